//! `name-addr / addr-spec` with parameters (RFC 3261 §20.10): From, To, Route, Record-Route, Path, Refer-To and others.

use super::param::param_access;
use super::{HeaderValue, Params, ParseError};
use crate::grammar::{Cursor, TOKEN, Unfolded, WS, is, quote, quoted_end, trim, unquote};
use crate::uri::Uri;
use std::borrow::Cow;
use std::fmt;

/// A URI with an optional name and parameters: `"Alice" <sip:alice@atlanta.com>;tag=88`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAddr<'a> {
    /// The display name as it stands: a `quoted-string` or tokens. [`NameAddr::display_name`] is what it says.
    pub display: Option<Cow<'a, str>>,
    /// The URI.
    pub uri: Uri<'a>,
    /// The parameters of the header, not those of the URI.
    pub params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// A URI without name and parameters.
    pub fn new(uri: impl Into<Uri<'a>>) -> Self {
        NameAddr { display: None, uri: uri.into(), params: Params::none() }
    }

    /// Sets the display name; quotes it.
    pub fn with_display(mut self, name: &str) -> Self {
        self.display = Some(Cow::Owned(quote(name)));
        self
    }

    /// The display name without quotes and backslashes.
    pub fn display_name(&self) -> Option<Cow<'_, str>> {
        self.display.as_deref().map(unquote)
    }

    /// The parameters of a value alone: where nothing is quoted the address before them is passed over, not checked.
    pub(crate) fn read_params(text: &'a str) -> Result<Params<'a>, ParseError> {
        let mut at = Cursor::new(text);
        match at.find(b'>') {
            Some(close) if at.find(b'"').is_none() => {
                at.seek(close + 1);
                Params::read(&mut at)
            }
            _ => <NameAddr<'static> as HeaderValue>::parse(text).map(|value| value.params),
        }
    }

    /// The same without a borrow.
    pub fn into_owned(self) -> NameAddr<'static> {
        NameAddr {
            display: self.display.map(|name| Cow::Owned(name.into_owned())),
            uri: self.uri.into_owned(),
            params: self.params.into_owned(),
        }
    }
}

param_access!(NameAddr);

impl HeaderValue for NameAddr<'static> {
    type Value<'a> = NameAddr<'a>;

    fn parse(text: &str) -> Result<NameAddr<'_>, ParseError> {
        let mut at = Cursor::new(text);
        at.skip_ws();
        let display = match at.peek() {
            Some(b'<') => None,
            Some(b'"') => Some(read_quoted(&mut at)?),
            _ => match read_name(&mut at)? {
                Some(name) => (!name.is_empty()).then_some(name),
                None => return read_bare(at),
            },
        };
        let uri = read_enclosed(&mut at)?;
        Ok(NameAddr { display: display.map(Cow::Borrowed), uri, params: Params::read(&mut at)? })
    }
}

/// A quoted display name; leaves the cursor at `<`.
fn read_quoted<'a>(at: &mut Cursor<'a>) -> Result<&'a str, ParseError> {
    let start = at.pos();
    let end = quoted_end(at.rest().as_bytes(), 0);
    at.seek(start + end.ok_or_else(|| at.fail("display name: quoted string without closing quote"))?);
    let name = at.since(start);
    at.skip_ws();
    if at.peek() == Some(b'<') { Ok(name) } else { Err(at.fail("name-addr: `<` expected after the display name")) }
}

/// A display name of tokens; leaves the cursor at `<`. `None`, and the cursor at the start, if a URI stands here.
fn read_name<'a>(at: &mut Cursor<'a>) -> Result<Option<&'a str>, ParseError> {
    let start = at.pos();
    // UTF-8 needs quotes in the RFC's rule, but no other reading is possible.
    let length = at.rest().bytes().take_while(|b| is(*b, TOKEN | WS) || *b >= 0x80).count();
    at.seek(start + length);
    let name = at.since(start);
    match at.peek() {
        Some(b'<') => Ok(Some(trim(name))),
        Some(b':') if !name.is_empty() && !name.bytes().any(|b| is(b, WS)) => {
            at.seek(start);
            Ok(None)
        }
        _ => Err(at.fail("name-addr: neither display name and `<` nor a URI")),
    }
}

/// The URI in `<>`.
#[inline]
pub(super) fn read_enclosed<'a>(at: &mut Cursor<'a>) -> Result<Uri<'a>, ParseError> {
    if !at.eat(b'<') {
        return Err(at.fail("name-addr: `<` expected"));
    }
    let start = at.pos();
    let close = at.find(b'>').ok_or_else(|| at.fail("name-addr: `<` without `>`"))?;
    at.seek(close);
    let uri = parse_at(at.since(start), start)?;
    at.eat(b'>');
    Ok(uri)
}

fn parse_at(text: &str, start: usize) -> Result<Uri<'_>, ParseError> {
    Uri::parse(text).map_err(|e| ParseError { offset: start + e.offset, ..e })
}

/// A URI without `<>`: parameters that follow belong to the header, and it may have no `?` and no `,` (RFC 3261 §20).
fn read_bare(mut at: Cursor<'_>) -> Result<NameAddr<'_>, ParseError> {
    let start = at.pos();
    let rest = at.rest().as_bytes();
    let length = rest.iter().position(|b| matches!(b, b';' | b'?' | b',') || is(*b, WS)).unwrap_or(rest.len());
    at.seek(start + length);
    let uri = at.since(start);
    if matches!(at.peek(), Some(b'?' | b',')) {
        return Err(at.fail("addr-spec: a URI with `?` or `,` must stand in `<>`"));
    }
    Ok(NameAddr { display: None, uri: parse_at(uri, start)?, params: Params::read(&mut at)? })
}

impl fmt::Display for NameAddr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.display {
            write!(f, "{} ", Unfolded(name))?;
        }
        write!(f, "<{}>{}", self.uri, self.params)
    }
}

#[cfg(test)]
mod tests {
    use super::super::p;
    use super::*;

    fn parse(text: &str) -> NameAddr<'_> {
        let value = NameAddr::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let printed = value.to_string();
        assert_eq!(NameAddr::parse(&printed).as_ref().map(ToString::to_string), Ok(printed.clone()));
        assert_eq!(value.clone().into_owned(), value);
        value
    }

    #[test]
    fn parameters_are_read_without_what_is_before_them() {
        for text in [
            "<sip:a@b>;tag=1",
            "Bob  <sip:a@b;tag=x?y=z> ; x ; tag = 2",
            "\"a > <b>;tag=9\" <sip:a@b>;tag=3;x=\">\"",
            "sip:a@b;tag=4",
            "<sip:a@b>",
            "sip:a@b",
        ] {
            assert_eq!(NameAddr::read_params(text).unwrap(), parse(text).params, "{text}");
        }
        for text in ["<sip:a@b>;", "<sip:a@b>x", "\"a <sip:a@b>;tag=1", ""] {
            assert!(NameAddr::read_params(text).is_err(), "{text}");
        }
    }

    #[test]
    fn white_space_and_folds() {
        let to = parse("\r\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n");
        assert_eq!(
            (to.param(p::TAG), to.uri.to_string().as_str()),
            (Some("1918181833n"), "sip:vivekg@chair-dnrc.example.com")
        );
        let from = parse("\"J Rosenberg \\\\\\\"\"       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8");
        assert_eq!(from.display_name().as_deref(), Some("J Rosenberg \\\""));
        assert_eq!(from.param(p::TAG), Some("98asjd8"));
        let route = parse("\r\n <sip:services.example.com;lr;unknownwith=value;unknown-no-value>");
        let uri = route.uri.sip().unwrap();
        assert!(uri.param(p::LR) && uri.params.contains("unknown-no-value"));
        assert_eq!(uri.params.get("unknownwith"), Some("value"));
    }

    #[test]
    fn display_names() {
        let from = parse("caller<sip:caller@example.com>;tag=323");
        assert_eq!((from.display.as_deref(), from.param(p::TAG)), (Some("caller"), Some("323")));
        let to = parse("\"BEL:\\\x07 NUL:\\\0 DEL:\\\x7f\" <sip:a@example.com>");
        assert_eq!(to.display_name().as_deref(), Some("BEL:\x07 NUL:\0 DEL:\x7f"));
        let text = "token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%=\"работающий\";tag=_token~1'+`*%!-.";
        let from = parse(text);
        assert_eq!(from.display.as_deref(), Some("token1~` token2'+_ token3*%!.-"));
        assert_eq!(from.param(p::TAG), Some("_token~1'+`*%!-."));
        assert_eq!(from.to_string(), text);
        assert_eq!(parse("\"%Z%45\" <sip:r@example.com>").display_name().as_deref(), Some("%Z%45"));
        assert_eq!(parse("Büro <sip:r@example.com>").display_name().as_deref(), Some("Büro"));
        let built =
            NameAddr::new(Uri::parse("sip:a@b").unwrap()).with_display("x \"y\"").with(p::TAG, "1").with_flag(p::LR);
        assert_eq!(built.to_string(), "\"x \\\"y\\\"\" <sip:a@b>;tag=1;lr");
    }

    #[test]
    fn parameters_without_brackets_belong_to_the_header() {
        let bare = parse("sip:+19725552222@gw1.example.net;unknownparam");
        assert!(bare.params.contains("unknownparam") && bare.uri.sip().unwrap().params.is_empty());
        let enclosed = parse("<sip:+19725552222@gw1.example.net;unknownparam>");
        assert!(enclosed.params.is_empty() && enclosed.uri.sip().unwrap().params.contains("unknownparam"));
        assert_eq!(parse("isbn:2983792873").uri.scheme(), "isbn");
    }

    #[test]
    fn breaks_are_named_with_their_place() {
        for (text, offset, rule) in [
            ("\"Mr. J. User <sip:j.user@example.com>", 0, "display name: quoted string without closing quote"),
            (
                "Bell, Alexander <sip:a.g.bell@example.com>;tag=43",
                4,
                "name-addr: neither display name and `<` nor a URI",
            ),
            ("sip:user@example.com?Route=%3Csip:x%3E", 20, "addr-spec: a URI with `?` or `,` must stand in `<>`"),
            ("sip:a,b@example.com", 5, "addr-spec: a URI with `?` or `,` must stand in `<>`"),
            ("\"W\" < sip:t.watson@example.org >", 5, "URI: scheme expected"),
            ("<sip:t.watson@example.org >", 25, "SIP URI: character that is not allowed here"),
            ("<sip:a@b", 1, "name-addr: `<` without `>`"),
            ("\"a\" sip:a@b", 4, "name-addr: `<` expected after the display name"),
            ("\"Joe\" <sip:joe@example.org>;;;;", 28, "parameter: name expected"),
            ("<sip:a@b> x", 10, "parameter: `;` expected"),
            ("", 0, "name-addr: neither display name and `<` nor a URI"),
            ("a b:c", 3, "name-addr: neither display name and `<` nor a URI"),
        ] {
            assert_eq!(NameAddr::parse(text), Err(ParseError { offset, rule }), "{text}");
        }
    }
}
