//! Privacy (RFC 3323 §4.2).

use super::{HeaderValue, ParseError};
use crate::grammar::{Cursor, TOKEN, Unfolded};
use std::borrow::Cow;
use std::fmt;

/// The value of Privacy: `id;header;critical`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Privacy<'a> {
    raw: Cow<'a, str>,
}

impl<'a> Privacy<'a> {
    /// Wishes that are known to be tokens.
    pub fn new(values: &[&str]) -> Privacy<'static> {
        Privacy { raw: Cow::Owned(values.join(";")) }
    }

    /// The wishes in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.raw.split(';').map(crate::grammar::trim)
    }

    /// Whether this wish is among them.
    pub fn contains(&self, value: &str) -> bool {
        self.iter().any(|v| v.eq_ignore_ascii_case(value))
    }

    /// The same without a borrow.
    pub fn into_owned(self) -> Privacy<'static> {
        Privacy { raw: Cow::Owned(self.raw.into_owned()) }
    }
}

impl HeaderValue for Privacy<'static> {
    type Value<'a> = Privacy<'a>;

    fn parse(text: &str) -> Result<Privacy<'_>, ParseError> {
        let mut at = Cursor::new(text);
        loop {
            at.skip_ws();
            at.need(TOKEN, "token expected")?;
            at.skip_ws();
            if at.at_end() {
                return Ok(Privacy { raw: Cow::Borrowed(crate::grammar::trim(text)) });
            }
            if !at.eat(b';') {
                return Err(at.fail("`;` expected"));
            }
        }
    }
}

impl fmt::Display for Privacy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Unfolded(&self.raw).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let privacy = Privacy::parse(" id ; Header;critical").unwrap();
        assert!(privacy.contains("header") && !privacy.contains("none"));
        assert_eq!(privacy.iter().collect::<Vec<_>>(), ["id", "Header", "critical"]);
        assert_eq!(Privacy::parse(&privacy.to_string()).as_ref(), Ok(&privacy));
        assert_eq!(privacy.clone().into_owned(), privacy);
        assert_eq!(Privacy::new(&["id", "critical"]).to_string(), "id;critical");
    }

    #[test]
    fn breaks_are_named_with_their_place() {
        for (text, offset) in [("", 0), ("id;", 3), ("id,x", 2), (";id", 0), ("a b", 2)] {
            assert_eq!(Privacy::parse(text).map_err(|e| e.offset), Err(offset), "{text}");
        }
    }
}
