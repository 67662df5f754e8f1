//! Media types and ranges: Content-Type and Accept (RFC 3261 §20.15, §20.1).

use super::param::param_access;
use super::{HeaderValue, Params, ParseError};
use crate::grammar::{Cursor, TOKEN};
use std::borrow::Cow;
use std::fmt;

/// A media type with parameters: `multipart/mixed;boundary="x"`. In Accept both parts may be `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType<'a> {
    /// The type.
    pub main: Cow<'a, str>,
    /// The subtype.
    pub sub: Cow<'a, str>,
    /// The parameters.
    pub params: Params<'a>,
}

impl<'a> MediaType<'a> {
    /// A type and a subtype, known to be tokens.
    pub fn new(main: impl Into<Cow<'a, str>>, sub: impl Into<Cow<'a, str>>) -> Self {
        MediaType { main: main.into(), sub: sub.into(), params: Params::none() }
    }

    /// Whether this is the type; parameters do not count.
    pub fn is(&self, main: &str, sub: &str) -> bool {
        self.main.eq_ignore_ascii_case(main) && self.sub.eq_ignore_ascii_case(sub)
    }

    /// Whether this, as a range of Accept, contains the type.
    pub fn accepts(&self, other: &MediaType<'_>) -> bool {
        self.main == "*"
            || (self.main.eq_ignore_ascii_case(&other.main)
                && (self.sub == "*" || self.sub.eq_ignore_ascii_case(&other.sub)))
    }

    /// The same without a borrow.
    pub fn into_owned(self) -> MediaType<'static> {
        MediaType {
            main: Cow::Owned(self.main.into_owned()),
            sub: Cow::Owned(self.sub.into_owned()),
            params: self.params.into_owned(),
        }
    }
}

param_access!(MediaType);

impl HeaderValue for MediaType<'static> {
    type Value<'a> = MediaType<'a>;

    fn parse(text: &str) -> Result<MediaType<'_>, ParseError> {
        let mut at = Cursor::new(text);
        at.skip_ws();
        let main = Cow::Borrowed(at.need(TOKEN, "media type: type expected")?);
        at.skip_ws();
        if !at.eat(b'/') {
            return Err(at.fail("media type: `/` expected"));
        }
        at.skip_ws();
        let sub = Cow::Borrowed(at.need(TOKEN, "media type: subtype expected")?);
        Ok(MediaType { main, sub, params: Params::read(&mut at)? })
    }
}

impl fmt::Display for MediaType<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.main, self.sub, self.params)
    }
}

#[cfg(test)]
mod tests {
    use super::super::p;
    use super::*;

    #[test]
    fn round_trip() {
        let mixed = MediaType::parse("multipart / mixed ; boundary=\"a b\"").unwrap();
        assert!(mixed.is("Multipart", "MIXED"));
        assert_eq!(mixed.param(p::BOUNDARY).as_deref(), Some("a b"));
        assert_eq!(mixed.to_string(), "multipart/mixed; boundary=\"a b\"");
        assert_eq!(mixed.clone().into_owned(), mixed);
        let sdp = MediaType::new("application", "sdp");
        for (range, accepts) in
            [("*/*", true), ("application/*;q=0.5", true), ("APPLICATION/SDP", true), ("text/*", false)]
        {
            assert_eq!(MediaType::parse(range).unwrap().accepts(&sdp), accepts);
        }
        assert_eq!(MediaType::new("text", "plain").with(p::CHARSET, "UTF-8").to_string(), "text/plain;charset=UTF-8");
    }

    #[test]
    fn breaks_are_named_with_their_place() {
        for (text, offset) in [("", 0), ("text", 4), ("text/", 5), ("/x", 0), ("text/plain x", 11)] {
            assert_eq!(MediaType::parse(text).map_err(|e| e.offset), Err(offset), "{text}");
        }
    }
}
