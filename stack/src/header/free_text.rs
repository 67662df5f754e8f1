//! Free text: Subject, Organization, Server, User-Agent (RFC 3261 §20.36 and others).

use super::{HeaderValue, ParseError};
use crate::grammar::{Unfolded, trim, unfold};
use std::borrow::Cow;
use std::fmt;

/// Any text, possibly empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FreeText<'a> {
    /// The text as it stands, folds included.
    pub raw: Cow<'a, str>,
}

impl<'a> FreeText<'a> {
    /// A text. Line breaks in it are printed as spaces.
    pub fn new(text: impl Into<Cow<'a, str>>) -> Self {
        FreeText { raw: text.into() }
    }

    /// The text with each fold as one space.
    pub fn text(&self) -> Cow<'_, str> {
        unfold(&self.raw)
    }

    /// The same without a borrow.
    pub fn into_owned(self) -> FreeText<'static> {
        FreeText { raw: Cow::Owned(self.raw.into_owned()) }
    }
}

impl HeaderValue for FreeText<'static> {
    type Value<'a> = FreeText<'a>;

    fn parse(text: &str) -> Result<FreeText<'_>, ParseError> {
        Ok(FreeText { raw: Cow::Borrowed(trim(text)) })
    }
}

impl fmt::Display for FreeText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Unfolded(&self.raw).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        for (text, plain) in [("", ""), ("\r\n ", ""), (" Tech\r\n  Support ", "Tech Support"), ("电 \"x", "电 \"x")]
        {
            let value = FreeText::parse(text).unwrap();
            assert_eq!((value.text().as_ref(), value.to_string().as_str()), (plain, plain));
            assert_eq!(value.clone().into_owned(), value);
        }
        assert_eq!(FreeText::new("a\r\nVia: b").to_string(), "a Via: b");
    }
}
