//! URIs: `sip` and `sips` (RFC 3261 §19.1), `tel` (RFC 3966), and all others as they stand.

mod compare;
mod escape;
mod host;
mod params;
mod sip;
mod tel;

pub use escape::{decode, escape_user};
pub(crate) use host::read_port;
pub use host::{Host, parse_ip, v4_text};
pub use params::{UriHeaders, UriParams};
pub use sip::SipUri;
pub use tel::TelUri;

use crate::grammar::Cursor;
use crate::header::ParseError;
use std::borrow::Cow;
use std::fmt;

/// A URI. `==` compares the text of the parts; [`Uri::equivalent`] is the RFC's comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uri<'a> {
    /// `sip:` and `sips:`
    Sip(SipUri<'a>),
    /// `tel:`
    Tel(TelUri<'a>),
    /// Any other scheme.
    Other(OtherUri<'a>),
}

/// A URI with another scheme than `sip`, `sips` and `tel`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherUri<'a> {
    /// The scheme, as it stands.
    pub scheme: Cow<'a, str>,
    /// What follows the colon.
    pub opaque: Cow<'a, str>,
}

impl<'a> Uri<'a> {
    /// Takes a whole text as a URI.
    #[inline]
    pub fn parse(text: &'a str) -> Result<Self, ParseError> {
        let bytes = text.as_bytes();
        let mut at = Cursor::new(text);
        if bytes.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"sip:")) {
            at.seek(4);
            return SipUri::read(&mut at, false).map(Uri::Sip);
        }
        if bytes.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"sips:")) {
            at.seek(5);
            return SipUri::read(&mut at, true).map(Uri::Sip);
        }
        if bytes.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"tel:")) {
            at.seek(4);
            return TelUri::read(&mut at).map(Uri::Tel);
        }
        OtherUri::parse(text).map(Uri::Other)
    }

    /// Takes a Request-URI: no white space, no `<>` (RFC 3261 §7.1), and no headers (§19.1.1). Whoever wants to be
    /// lenient about headers uses [`Uri::parse`] and removes them.
    pub fn parse_request(text: &'a str) -> Result<Self, ParseError> {
        if text.starts_with('<') {
            return Err(ParseError { offset: 0, rule: "must not stand in `<>`" });
        }
        match Uri::parse(text) {
            Ok(Uri::Sip(sip)) if !sip.headers.is_empty() => {
                let offset = text.len() - sip.headers.as_str().len();
                Err(ParseError { offset, rule: "headers are not allowed" })
            }
            // No part of a URI takes white space; say so rather than which part did not.
            Err(other) => Err(text.bytes().position(|b| b.is_ascii_whitespace()).map_or(other, white_space)),
            uri => uri,
        }
    }

    /// The SIP or SIPS URI, if it is one.
    pub fn sip(&self) -> Option<&SipUri<'a>> {
        if let Uri::Sip(uri) = self { Some(uri) } else { None }
    }

    /// The SIP or SIPS URI, if it is one, to be changed.
    pub fn sip_mut(&mut self) -> Option<&mut SipUri<'a>> {
        if let Uri::Sip(uri) = self { Some(uri) } else { None }
    }

    /// The scheme, as it stands in the URI for unknown ones, else in lower case.
    pub fn scheme(&self) -> &str {
        match self {
            Uri::Sip(uri) if uri.secure => "sips",
            Uri::Sip(_) => "sip",
            Uri::Tel(_) => "tel",
            Uri::Other(uri) => &uri.scheme,
        }
    }

    /// Whether both are the same by RFC 3261 §19.1.4, RFC 3966 §4, or, for other schemes, octet for octet.
    pub fn equivalent(&self, other: &Uri<'_>) -> bool {
        match (self, other) {
            (Uri::Sip(a), Uri::Sip(b)) => compare::equivalent(a, b),
            (Uri::Tel(a), Uri::Tel(b)) => a.equivalent(b),
            (Uri::Other(a), Uri::Other(b)) => a.scheme.eq_ignore_ascii_case(&b.scheme) && a.opaque == b.opaque,
            _ => false,
        }
    }

    /// The key of the address-of-record, see [`SipUri::aor_key`]; for other schemes the URI's text
    /// with the scheme in lower case (RFC 3986 §6.2.2.1).
    pub fn aor_key(&self) -> String {
        match self {
            Uri::Sip(uri) => uri.aor_key(),
            Uri::Tel(uri) => format!("tel:{}", uri.digits()),
            Uri::Other(uri) => format!("{}:{}", uri.scheme.to_ascii_lowercase(), uri.opaque),
        }
    }

    /// Its text: what `to_string` gives, without the formatting machinery for a SIP URI.
    pub fn text(&self) -> String {
        let Uri::Sip(sip) = self else { return self.to_string() };
        // As long as most are.
        let mut text = String::with_capacity(64);
        // Writing to a String cannot fail.
        let _ = sip.print(&mut text);
        text
    }

    /// The same without a borrow.
    pub fn into_owned(self) -> Uri<'static> {
        match self {
            Uri::Sip(uri) => Uri::Sip(uri.into_owned()),
            Uri::Tel(uri) => Uri::Tel(uri.into_owned()),
            Uri::Other(uri) => Uri::Other(OtherUri {
                scheme: Cow::Owned(uri.scheme.into_owned()),
                opaque: Cow::Owned(uri.opaque.into_owned()),
            }),
        }
    }
}

impl<'a> From<SipUri<'a>> for Uri<'a> {
    fn from(uri: SipUri<'a>) -> Self {
        Uri::Sip(uri)
    }
}

fn white_space(offset: usize) -> ParseError {
    ParseError { offset, rule: "white space" }
}

impl<'a> OtherUri<'a> {
    fn parse(text: &'a str) -> Result<Self, ParseError> {
        let colon = text.find(':').ok_or(ParseError { offset: 0, rule: "URI: scheme expected" })?;
        let (scheme, opaque) = (text.get(..colon).unwrap_or_default(), text.get(colon + 1..).unwrap_or_default());
        let scheme_ok = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        if !scheme_ok {
            return Err(ParseError { offset: 0, rule: "URI: scheme expected" });
        }
        let allowed = |b: u8| b.is_ascii_graphic() && !b"<>\"".contains(&b);
        match opaque.bytes().position(|b| !allowed(b)) {
            Some(at) => Err(ParseError { offset: colon + 1 + at, rule: "URI: character that needs an escape" }),
            None if opaque.is_empty() => Err(ParseError { offset: colon + 1, rule: "URI: nothing after the scheme" }),
            None => Ok(OtherUri { scheme: Cow::Borrowed(scheme), opaque: Cow::Borrowed(opaque) }),
        }
    }
}

impl fmt::Display for OtherUri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.scheme, self.opaque)
    }
}

impl fmt::Display for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Uri::Sip(uri) => uri.fmt(f),
            Uri::Tel(uri) => uri.fmt(f),
            Uri::Other(uri) => uri.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
