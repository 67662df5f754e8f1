//! Headers: one header, one file (parse, print and a round-trip test).

mod auth;
mod call_id;
mod contact;
mod cseq;
mod date;
mod dialog_ref;
mod free_text;
mod generic_uri;
mod id;
mod media_type;
mod method;
mod name_addr;
pub(crate) mod number;
pub mod p;
pub mod param;
mod param_list;
mod privacy;
mod qvalue;
mod rack;
mod retry_after;
mod table;
#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod tests;
mod timestamp;
mod token;
mod via;
mod warning;
mod word;

pub use auth::{Auth, AuthParams};
pub use call_id::CallId;
pub use contact::Contact;
pub use cseq::CSeq;
pub use date::Date;
pub use dialog_ref::DialogRef;
pub use free_text::FreeText;
pub use generic_uri::GenericUri;
pub use id::HeaderId;
pub use media_type::MediaType;
pub use method::{KNOWN_METHODS, Method};
pub use name_addr::NameAddr;
pub use number::{DeltaParams, DeltaSeconds, MaxForwards, Number};
pub use param::{Param, ParamKind, Params};
pub use param_list::ParamList;
pub use privacy::Privacy;
pub use qvalue::QValue;
pub use rack::RAck;
pub use retry_after::RetryAfter;
pub use table::{check, h, reprint};
pub use timestamp::Timestamp;
pub use token::Token;
pub use via::Via;
pub use warning::Warning;
pub use word::Word;

use std::fmt;
use std::marker::PhantomData;

/// What is wrong with a header: a value that names the header, the offset and the broken rule. It becomes a 400
/// (RFC 3261 §21.4.1) and does not spoil the other headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{header}: {rule} (offset {offset})")]
pub struct HeaderError {
    /// The header's name in canonical form, `Call-ID`.
    pub header: &'static str,
    /// Where in the value, in octets.
    pub offset: usize,
    /// The rule that it breaks.
    pub rule: &'static str,
}

/// What is wrong with a piece of text, before it is known which header it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule} (offset {offset})")]
pub struct ParseError {
    /// Where, in octets from the start of the text.
    pub offset: usize,
    /// The rule that it breaks.
    pub rule: &'static str,
}

impl ParseError {
    /// The same, with the name of the header.
    pub fn of(self, header: HeaderId) -> HeaderError {
        HeaderError { header: header.name(), offset: self.offset, rule: self.rule }
    }
}

/// The type of a header's value: `Via<'static>` stands for all `Via<'a>`. Values borrow from the message; reading
/// allocates nothing. `Display` prints the value.
pub trait HeaderValue {
    /// The value, borrowing from a message.
    type Value<'a>: fmt::Display;
    /// Parses one value (of a list: one element, with white space trimmed). Folded lines may contain CR and LF: they
    /// are white space.
    fn parse(text: &str) -> Result<Self::Value<'_>, ParseError>;
}

/// Names a header that occurs once: `msg.header(h::TO)` is a `Result` of its value.
pub struct One<T> {
    /// Which header.
    pub id: HeaderId,
    value: PhantomData<fn() -> T>,
}

/// Names a header that is a list: `msg.header(h::VIAS)` iterates over its values, over all lines and commas.
pub struct Many<T> {
    /// Which header.
    pub id: HeaderId,
    value: PhantomData<fn() -> T>,
}

impl<T> Clone for One<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for One<T> {}
impl<T> Clone for Many<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Many<T> {}

impl<T> fmt::Debug for One<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "One({:?})", self.id)
    }
}
impl<T> fmt::Debug for Many<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Many({:?})", self.id)
    }
}

impl<T> One<T> {
    /// Names header `id` as a single value.
    pub const fn new(id: HeaderId) -> Self {
        One { id, value: PhantomData }
    }
}
impl<T> Many<T> {
    /// Names header `id` as a list.
    pub const fn new(id: HeaderId) -> Self {
        Many { id, value: PhantomData }
    }
}
