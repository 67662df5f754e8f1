//! Call-ID and In-Reply-To (RFC 3261 §20.8, §20.21).

use super::{HeaderValue, ParseError};
use crate::grammar::{CALL_ID, Cursor};
use std::borrow::Cow;
use std::fmt;

/// A Call-ID; compared octet for octet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CallId<'a> {
    /// The id.
    pub value: Cow<'a, str>,
}

impl<'a> CallId<'a> {
    /// Takes an id that is known to be good.
    pub fn new(value: impl Into<Cow<'a, str>>) -> Self {
        CallId { value: value.into() }
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.value
    }

    /// The same without a borrow.
    pub fn into_owned(self) -> CallId<'static> {
        CallId { value: Cow::Owned(self.value.into_owned()) }
    }
}

impl HeaderValue for CallId<'static> {
    type Value<'a> = CallId<'a>;

    fn parse(text: &str) -> Result<CallId<'_>, ParseError> {
        let mut at = Cursor::new(text);
        at.skip_ws();
        let id = at.need(CALL_ID, "not a character of a word")?;
        at.skip_ws();
        if at.at_end() { Ok(CallId { value: Cow::Borrowed(id) }) } else { Err(at.fail("not a character of a word")) }
    }
}

impl fmt::Display for CallId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        for text in ["wsinv.ndaksdj@192.0.2.1", "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{", "x"] {
            let id = CallId::parse(text).unwrap();
            assert_eq!((id.as_str(), id.to_string().as_str()), (text, text));
            assert_eq!(id.clone().into_owned(), id);
        }
        assert_eq!(CallId::parse(" a@b\r\n").unwrap().as_str(), "a@b");
    }

    #[test]
    fn breaks_are_named_with_their_place() {
        for (text, offset) in [("", 0), (" a b", 3), ("a,b", 1), ("a;b", 1), ("é", 0), ("a\0", 1)] {
            assert_eq!(CallId::parse(text).map_err(|e| e.offset), Err(offset), "{text}");
        }
    }
}
