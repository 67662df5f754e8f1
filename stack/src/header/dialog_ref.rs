//! References to a dialog: Replaces (RFC 3891), Join (RFC 3911), Target-Dialog (RFC 4538).

use super::param::param_access;
use super::{CallId, HeaderValue, Params, ParseError};
use crate::grammar::Cursor;
use std::fmt;

/// A Call-ID with the tags as parameters: `425928@bobster.example.org;to-tag=7743;from-tag=6472`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialogRef<'a> {
    /// The Call-ID of the dialog.
    pub call_id: CallId<'a>,
    /// The parameters.
    pub params: Params<'a>,
}

impl<'a> DialogRef<'a> {
    /// A reference without tags.
    pub const fn new(call_id: CallId<'a>) -> Self {
        DialogRef { call_id, params: Params::none() }
    }

    /// The same without a borrow.
    pub fn into_owned(self) -> DialogRef<'static> {
        DialogRef { call_id: self.call_id.into_owned(), params: self.params.into_owned() }
    }
}

param_access!(DialogRef);

impl HeaderValue for DialogRef<'static> {
    type Value<'a> = DialogRef<'a>;

    fn parse(text: &str) -> Result<DialogRef<'_>, ParseError> {
        let mut at = Cursor::new(text);
        at.seek(at.find(b';').unwrap_or(text.len()));
        let call_id = CallId::parse(at.since(0))?;
        Ok(DialogRef { call_id, params: Params::read(&mut at)? })
    }
}

impl fmt::Display for DialogRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.call_id, self.params)
    }
}

#[cfg(test)]
mod tests {
    use super::super::p;
    use super::*;

    #[test]
    fn round_trip() {
        let value = DialogRef::parse("425928@bobster.example.org ; to-tag=7743;from-tag=6472;early-only").unwrap();
        assert_eq!((value.call_id.as_str(), value.param(p::TO_TAG)), ("425928@bobster.example.org", Some("7743")));
        assert!(value.param(p::EARLY_ONLY));
        assert_eq!(DialogRef::parse(&value.to_string()).as_ref(), Ok(&value));
        assert_eq!(value.clone().into_owned(), value);
        let built = DialogRef::new(CallId::new("a@b")).with(p::TO_TAG, 1).with(p::FROM_TAG, 2).with_flag(p::EARLY_ONLY);
        assert_eq!(built.to_string(), "a@b;to-tag=1;from-tag=2;early-only");
    }

    #[test]
    fn breaks_are_named_with_their_place() {
        for (text, offset) in [("", 0), (";to-tag=1", 0), ("a b;to-tag=1", 2), ("a;to-tag=", 9), ("a;;", 2)] {
            assert_eq!(DialogRef::parse(text).map_err(|e| e.offset), Err(offset), "{text}");
        }
    }
}
