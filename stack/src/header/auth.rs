//! Challenges and credentials (RFC 3261 §20.7, §20.27, §20.28, §20.44; RFC 7235; RFC 8760).

use super::{HeaderValue, ParseError};
use crate::grammar::rules::{Parsed, lws0, quoted, sep, start, token, whole};
use crate::grammar::{QuotedText, Unfolded, VALUE, is, is_token, split_list, trim, unquote};
use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::take_while1;
use nom::combinator::{cut, recognize, verify};
use nom::error::context;
use nom::multi::separated_list1;
use nom::sequence::preceded;
use std::borrow::Cow;
use std::fmt;

/// `auth-param`s: `realm="atlanta.com", qop="auth", stale=FALSE`. Authentication-Info has nothing else.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AuthParams<'a> {
    raw: Cow<'a, str>,
}

/// A scheme and its parameters: WWW-Authenticate, Authorization and their Proxy- forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth<'a> {
    /// The scheme, `Digest`.
    pub scheme: Cow<'a, str>,
    /// The parameters.
    pub params: AuthParams<'a>,
}

impl<'a> AuthParams<'a> {
    /// No parameters yet.
    pub const fn none() -> Self {
        AuthParams { raw: Cow::Borrowed("") }
    }

    /// The parameters in order: names, and values as they stand (empty for a bare `token68`).
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        split_list(&self.raw).map(|param| match param.split_once('=') {
            Some((name, value)) if !matches!(value, "" | "=") => (trim(name), trim(value)),
            _ => (param, ""),
        })
    }

    /// The value with this name as it stands, quotes included.
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The value with this name, without quotes.
    pub fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.raw(name).map(unquote)
    }

    /// Adds a parameter with a bare value, for `algorithm`, `nc`, `stale` and `qop` of credentials. What is no token is
    /// quoted.
    #[must_use]
    pub fn with(self, name: &str, value: &str) -> Self {
        if is_token(value) { self.append(format_args!("{name}={value}")) } else { self.with_quoted(name, value) }
    }

    /// Adds a parameter with a quoted value.
    #[must_use]
    pub fn with_quoted(self, name: &str, value: &str) -> Self {
        self.append(format_args!("{name}={}", QuotedText(value)))
    }

    fn append(mut self, text: fmt::Arguments<'_>) -> Self {
        let comma = if self.raw.is_empty() { "" } else { ", " };
        self.raw.to_mut().push_str(&format!("{comma}{text}"));
        self
    }

    /// The same without a borrow.
    pub fn into_owned(self) -> AuthParams<'static> {
        AuthParams { raw: Cow::Owned(self.raw.into_owned()) }
    }
}

impl<'a> Auth<'a> {
    /// A scheme without parameters.
    pub fn new(scheme: impl Into<Cow<'a, str>>) -> Self {
        Auth { scheme: scheme.into(), params: AuthParams::none() }
    }

    /// Whether the scheme is `Digest`.
    pub fn is_digest(&self) -> bool {
        self.scheme.eq_ignore_ascii_case("Digest")
    }

    /// A parameter's value, without quotes.
    pub fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.params.get(name)
    }

    /// Adds a parameter with a bare value, see [`AuthParams::with`].
    #[must_use]
    pub fn with(self, name: &str, value: &str) -> Self {
        Auth { params: self.params.with(name, value), ..self }
    }

    /// Adds a parameter with a quoted value.
    #[must_use]
    pub fn with_quoted(self, name: &str, value: &str) -> Self {
        Auth { params: self.params.with_quoted(name, value), ..self }
    }

    /// The same without a borrow.
    pub fn into_owned(self) -> Auth<'static> {
        Auth { scheme: Cow::Owned(self.scheme.into_owned()), params: self.params.into_owned() }
    }
}

fn bare(input: &str) -> Parsed<'_, &str> {
    let value = take_while1(|c: char| !c.is_ascii() || is(c as u8, VALUE));
    verify(value, |text: &str| !text.starts_with('=')).parse(input)
}

fn param(input: &str) -> Parsed<'_, &str> {
    let value = context("auth-param: value expected", alt((quoted, bare)));
    recognize((context("auth-param: name expected", token), context("auth-param: `=` expected", sep('=')), cut(value)))
        .parse(input)
}

fn params(input: &str) -> Parsed<'_, &str> {
    recognize(separated_list1(sep(','), param)).parse(input)
}

impl HeaderValue for AuthParams<'static> {
    type Value<'a> = AuthParams<'a>;

    fn parse(text: &str) -> Result<AuthParams<'_>, ParseError> {
        whole(text, "auth-param expected", params.map(|raw| AuthParams { raw: Cow::Borrowed(raw) }))
    }
}

impl HeaderValue for Auth<'static> {
    type Value<'a> = Auth<'a>;

    fn parse(text: &str) -> Result<Auth<'_>, ParseError> {
        let (scheme, end) = start(text, "auth-scheme expected", token)?;
        let rest = text.get(end..).unwrap_or_default();
        let raw = match whole(rest, "auth-param expected", preceded(lws0, params)) {
            Ok(raw) => raw,
            // Instead of parameters a scheme may have one `token68` (RFC 7235 §2.1, RFC 8898).
            Err(_) if !scheme.eq_ignore_ascii_case("Digest") && is_token68(trim(rest)) => trim(rest),
            Err(error) => return Err(ParseError { offset: end + error.offset, ..error }),
        };
        Ok(Auth { scheme: Cow::Borrowed(scheme), params: AuthParams { raw: Cow::Borrowed(raw) } })
    }
}

fn is_token68(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !body.is_empty() && body.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b))
}

impl fmt::Display for AuthParams<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Unfolded(&self.raw).fmt(f)
    }
}

impl fmt::Display for Auth<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.scheme, self.params)
    }
}

/// Names only: nonces, responses and bearer tokens do not belong in logs.
impl fmt::Debug for AuthParams<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().filter(|(_, value)| !value.is_empty()).map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let text = "Digest realm=\"atlanta.com\",\r\n domain=\"sip:ss1.carrier.com\", qop=\"auth,auth-int\", \
            nonce=\"f84f1cec41e6cbe5aea9c8e88d359\", opaque=\"\", stale=FALSE, algorithm=MD5";
        let auth = Auth::parse(text).unwrap();
        assert!(auth.is_digest());
        assert_eq!(auth.get("REALM").as_deref(), Some("atlanta.com"));
        assert_eq!(auth.get("qop").as_deref(), Some("auth,auth-int"));
        assert_eq!((auth.get("opaque").as_deref(), auth.params.raw("stale")), (Some(""), Some("FALSE")));
        assert_eq!((auth.get("x"), auth.params.iter().count()), (None, 7));
        assert_eq!(Auth::parse(&auth.to_string()).unwrap().to_string(), auth.to_string());
        assert_eq!(auth.clone().into_owned(), auth);
        let other = Auth::parse("NoOneKnowsThisScheme opaque-data=here").unwrap();
        assert_eq!(
            (other.scheme.as_ref(), other.get("opaque-data").as_deref()),
            ("NoOneKnowsThisScheme", Some("here"))
        );
        let info = AuthParams::parse("nextnonce=\"47364c23432d\" , rspauth=\"x\"").unwrap();
        assert_eq!(info.get("rspauth").as_deref(), Some("x"));
    }

    #[test]
    fn building() {
        let auth = Auth::new("Digest").with_quoted("realm", "a \"b\"").with("nc", "00000001").with("x", "a b");
        assert_eq!(auth.to_string(), "Digest realm=\"a \\\"b\\\"\", nc=00000001, x=\"a b\"");
        assert_eq!(auth.get("realm").as_deref(), Some("a \"b\""));
        assert_eq!(Auth::parse(&auth.to_string()).as_ref(), Ok(&auth));
    }

    #[test]
    fn secrets_stay_out_of_logs() {
        let bearer = Auth::parse("Bearer eyJhbGciOi.JSUzI1NiIs-_~+/==").unwrap();
        assert_eq!(bearer.params.to_string(), "eyJhbGciOi.JSUzI1NiIs-_~+/==");
        assert!(!format!("{bearer:?}").contains("eyJ"));
        let digest = Auth::parse("Digest username=\"bob\", response=\"6629\"").unwrap();
        let debug = format!("{digest:?}");
        assert!(debug.contains("response") && !debug.contains("6629"));
    }

    #[test]
    fn breaks_are_named_with_their_place() {
        for (text, offset, rule) in [
            ("", 0, "token expected"),
            ("Digest", 6, "token expected"),
            ("Digest realm=", 13, "auth-param: value expected"),
            ("Digest realm=\"a", 13, "auth-param: value expected"),
            ("Bearer a b", 9, "auth-param: `=` expected"),
            ("Bearer a=b=c,", 12, "nothing may follow the value"),
            ("Digest realm=\"a\",", 16, "nothing may follow the value"),
            ("Digest realm=\"a\" nonce=\"b\"", 17, "nothing may follow the value"),
        ] {
            assert_eq!(Auth::parse(text), Err(ParseError { offset, rule }), "{text}");
        }
    }
}
