//! A bare or quoted text with parameters: Identity (RFC 8224, RFC 4474), User-to-User (RFC 7433), P-Visited-Network-ID.

use super::param::{param_access, read_value};
use super::{HeaderValue, Params, ParseError};
use crate::grammar::{Cursor, Unfolded, quote, unquote};
use std::borrow::Cow;
use std::fmt;

/// A bare or quoted text with parameters: `"Visited network 1";x=y`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word<'a> {
    /// The text as it stands.
    pub raw: Cow<'a, str>,
    /// The parameters.
    pub params: Params<'a>,
}

impl<'a> Word<'a> {
    /// A bare text that is known to be one: a token, or base64.
    pub fn bare(raw: impl Into<Cow<'a, str>>) -> Self {
        Word { raw: raw.into(), params: Params::none() }
    }

    /// Any text, quoted.
    pub fn quoted(text: &str) -> Word<'static> {
        Word { raw: Cow::Owned(quote(text)), params: Params::none() }
    }

    /// What the text says, without quotes.
    pub fn text(&self) -> Cow<'_, str> {
        unquote(&self.raw)
    }

    /// The same without a borrow.
    pub fn into_owned(self) -> Word<'static> {
        Word { raw: Cow::Owned(self.raw.into_owned()), params: self.params.into_owned() }
    }
}

param_access!(Word);

impl HeaderValue for Word<'static> {
    type Value<'a> = Word<'a>;

    fn parse(text: &str) -> Result<Word<'_>, ParseError> {
        let mut at = Cursor::new(text);
        at.skip_ws();
        if at.peek() == Some(b'<') {
            return Err(at.fail("bare or quoted text expected"));
        }
        let raw = read_value(&mut at).map_err(|e| ParseError { rule: "bare or quoted text expected", ..e })?;
        Ok(Word { raw: Cow::Borrowed(raw), params: Params::read(&mut at)? })
    }
}

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Unfolded(&self.raw), self.params)
    }
}

#[cfg(test)]
mod tests {
    use super::super::p;
    use super::*;

    #[test]
    fn round_trip() {
        let text = "eyJhbGciOiJFUzI1NiJ9.eyJ.rq3pjT1hoRwakEGjHCnWSwUnshd0-zJ6F1VOgFWSjHBr8Qjpjlk-cpFYpFYso==;\
            info=<https://biloxi.example.org/biloxi.cer>;alg=ES256;ppt=shaken";
        let identity = Word::parse(text).unwrap();
        assert_eq!(identity.param(p::INFO), Some("<https://biloxi.example.org/biloxi.cer>"));
        assert_eq!(identity.param(p::PPT).as_deref(), Some("shaken"));
        assert_eq!(identity.to_string(), text);
        assert_eq!(identity.clone().into_owned(), identity);
        let network = Word::parse(" \"Visited network 1\" ").unwrap();
        assert_eq!(
            (network.text().as_ref(), network.to_string().as_str()),
            ("Visited network 1", "\"Visited network 1\"")
        );
        let uui = Word::parse("56a390f3d2b7310023a2;encoding=hex").unwrap();
        assert_eq!((uui.text().as_ref(), uui.param(p::ENCODING)), ("56a390f3d2b7310023a2", Some("hex")));
        assert_eq!(Word::quoted("a\"b").with(p::ENCODING, "hex").to_string(), "\"a\\\"b\";encoding=hex");
    }

    #[test]
    fn breaks_are_named_with_their_place() {
        for (text, offset) in [("", 0), ("\"a", 0), ("<a>", 0), ("a b", 2), ("a;;b", 2)] {
            assert_eq!(Word::parse(text).map_err(|e| e.offset), Err(offset), "{text}");
        }
    }
}
