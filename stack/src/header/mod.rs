//! Headers: one header, one file (parse, print and a round-trip test).

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

/// A header that the stack knows, or [`HeaderId::UNKNOWN`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HeaderId(pub u8);

impl HeaderId {
    /// Any header that is not in the table; its name is in the message.
    pub const UNKNOWN: HeaderId = HeaderId(0);
}
