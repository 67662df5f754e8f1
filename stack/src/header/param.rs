//! Header parameters: `;name=value;flag` (RFC 3261 §25.1, `generic-param`), kept as text and read on demand.

use super::{ParseError, QValue};
use crate::grammar::{
    Cursor, PLAIN, QuotedText, TOKEN, Unfolded, VALUE, is_token, quoted_end, run_end, trim, unfold, unquote,
};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;

/// How a parameter's value is read. The argument is `None` if the parameter is absent and `Some(None)` if it has no
/// value.
pub trait ParamKind {
    /// What a reader gets.
    type Value<'p>;
    /// Reads the raw value.
    fn read(raw: Option<Option<&str>>) -> Self::Value<'_>;
}

/// A parameter's name and type: `to.param(p::TAG)`.
#[derive(Debug)]
pub struct Param<K> {
    /// The name, in lower case.
    pub name: &'static str,
    kind: PhantomData<fn() -> K>,
}

impl<K> Clone for Param<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Param<K> {}
impl<K> Param<K> {
    /// Names a parameter.
    pub const fn new(name: &'static str) -> Self {
        Param { name, kind: PhantomData }
    }
}
impl<K: ParamKind> Param<K> {
    /// What a value of [`Params::several`] says.
    pub fn of(self, raw: Option<Option<&str>>) -> K::Value<'_> {
        K::read(raw)
    }
}
impl<K> AsRef<str> for Param<K> {
    fn as_ref(&self) -> &str {
        self.name
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident: $value:ty = |$raw:ident| $read:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub enum $name {}
        impl ParamKind for $name {
            type Value<'p> = $value;
            fn read($raw: Option<Option<&str>>) -> Self::Value<'_> {
                $read
            }
        }
    )*};
}

kinds! {
    /// The value as it stands: a token, a host.
    Text: Option<&'p str> = |raw| raw.flatten();
    /// Present or not.
    Flag: bool = |raw| raw.is_some();
    /// A text that may be quoted; given without quotes.
    Quoted: Option<Cow<'p, str>> = |raw| raw.flatten().map(unquote);
    /// A number; what is above 2^32-1 counts as that, what is no number as absent (RFC 3261 §20.10, RFC 4475 §3.1.2.4).
    Integer: Option<u32> = |raw| raw.flatten().and_then(super::number::saturating);
    /// A quality, 0 to 1; what is none counts as absent.
    Quality: Option<QValue> = |raw| raw.flatten().and_then(|text| text.parse().ok());
    /// An address, with or without brackets (RFC 5118 §4.5).
    Address: Option<IpAddr> = |raw| raw.flatten().and_then(crate::uri::parse_ip);
    /// `rport` (RFC 3581): `Some(None)` asks for it, `Some(Some(port))` answers.
    Rport: Option<Option<u16>> = |raw| raw.map(|value| value.and_then(|text| text.parse().ok()));
}

/// Gives a type with a field `params` the access to it.
macro_rules! param_access {
    ($name:ident) => {
        impl $name<'_> {
            /// The value of a parameter, typed: `value.param(p::TAG)`.
            #[inline]
            pub fn param<K: $crate::header::ParamKind>(&self, key: $crate::header::Param<K>) -> K::Value<'_> {
                self.params.param(key)
            }

            /// Adds a parameter or changes it: `with(p::TAG, tag)`.
            #[must_use]
            pub fn with(mut self, name: impl AsRef<str>, value: impl std::fmt::Display) -> Self {
                self.params.set(name, value);
                self
            }

            /// Adds a parameter without a value.
            #[must_use]
            pub fn with_flag(mut self, name: impl AsRef<str>) -> Self {
                self.params.set_flag(name);
                self
            }
        }
    };
}
pub(crate) use param_access;

/// The parameters of one header value.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Params<'a> {
    /// Empty, or text that starts with `;` and obeys the grammar.
    raw: Cow<'a, str>,
}

impl<'a> Params<'a> {
    /// No parameters.
    pub const fn none() -> Self {
        Params { raw: Cow::Borrowed("") }
    }

    /// Takes `;a=b;c`. An empty parameter is an error (RFC 4475 §3.1.2.1).
    pub fn parse(text: &'a str) -> Result<Self, ParseError> {
        Self::read(&mut Cursor::new(text))
    }

    /// Checks what is left of a value: parameters, or nothing but white space.
    #[inline]
    pub(crate) fn read(at: &mut Cursor<'a>) -> Result<Self, ParseError> {
        at.skip_ws();
        let start = at.pos();
        let mut end = start;
        while !at.at_end() {
            if !at.eat(b';') {
                return Err(at.fail("parameter: `;` expected"));
            }
            end = read_one(at)?;
            at.skip_ws();
        }
        at.seek(end);
        Ok(Params { raw: Cow::Borrowed(at.since(start)) })
    }

    /// The text: empty, or starting with `;`.
    pub fn as_str(&self) -> &str {
        &self.raw
    }

    /// Whether there is no parameter.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// All parameters in order: names, and values as they stand.
    pub fn iter(&self) -> ParamIter<'_> {
        ParamIter { raw: &self.raw, pos: 0 }
    }

    /// The value of `key`, typed.
    pub fn param<K: ParamKind>(&self, key: Param<K>) -> K::Value<'_> {
        K::read(self.find(key.name).map(|p| p.value))
    }

    /// The value of the first parameter with this name, as it stands; `None` also if it has no value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.find(name)?.value
    }

    /// Whether there is a parameter with this name.
    pub fn contains(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn find(&self, name: &str) -> Option<RawParam<'_>> {
        self.iter().find(|p| p.name.eq_ignore_ascii_case(name))
    }

    /// Gives a parameter a value: in its place if it is there, else at the end. What is not a legal bare value is
    /// quoted. A name that is no token is ignored.
    pub fn set(&mut self, name: impl AsRef<str>, value: impl fmt::Display) {
        let name = name.as_ref();
        let text = value.to_string();
        let quoted = text.starts_with('"') && quoted_end(text.as_bytes(), 0) == Some(text.len());
        let bare = quoted || text.bytes().all(|b| b < 0x80 && crate::grammar::is(b, VALUE)) && !text.is_empty();
        match bare && !text.contains(['\r', '\n']) {
            true => self.put(name, format_args!(";{name}={text}")),
            false => self.put(name, format_args!(";{name}={}", QuotedText(&text))),
        }
    }

    /// Sets a parameter without a value.
    pub fn set_flag(&mut self, name: impl AsRef<str>) {
        let name = name.as_ref();
        self.put(name, format_args!(";{name}"));
    }

    fn put(&mut self, name: &str, text: fmt::Arguments<'_>) {
        if !is_token(name) {
            return;
        }
        let span = self.find(name).map_or(self.raw.len()..self.raw.len(), |p| p.span);
        self.raw.to_mut().replace_range(span, &text.to_string());
    }

    /// Removes all parameters with this name; says whether there was one.
    pub fn remove(&mut self, name: impl AsRef<str>) -> bool {
        let name = name.as_ref();
        let mut found = false;
        while let Some(span) = self.find(name).map(|p| p.span) {
            self.raw.to_mut().replace_range(span, "");
            found = true;
        }
        found
    }

    /// The values of several parameters by their names, read in one pass: for [`Param::of`].
    pub fn several<const N: usize>(&self, names: [&str; N]) -> [Option<Option<&str>>; N] {
        let mut values = [None; N];
        for param in self.iter() {
            let at = names.iter().position(|name| param.name.eq_ignore_ascii_case(name));
            if let Some(value) = at.and_then(|at| values.get_mut(at)) {
                // Of two with one name the first counts.
                *value = value.or(Some(param.value));
            }
        }
        values
    }

    /// The text without the parameters of these names, each line fold a space.
    pub fn without(&self, names: &[&str]) -> String {
        let is_kept = |param: &RawParam<'_>| !names.iter().any(|name| param.name.eq_ignore_ascii_case(name));
        let kept: String = self.iter().filter(is_kept).filter_map(|param| self.raw.get(param.span)).collect();
        match unfold(&kept) {
            Cow::Borrowed(_) => kept,
            Cow::Owned(unfolded) => unfolded,
        }
    }

    /// The same without a borrow.
    pub fn into_owned(self) -> Params<'static> {
        Params { raw: Cow::Owned(self.raw.into_owned()) }
    }
}

impl fmt::Display for Params<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Unfolded(&self.raw).fmt(f)
    }
}

impl fmt::Debug for Params<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Params({:?})", self.raw)
    }
}

/// Reads one parameter after its `;`; gives where it ends.
#[inline]
fn read_one(at: &mut Cursor<'_>) -> Result<usize, ParseError> {
    at.skip_ws();
    at.need(TOKEN, "parameter: name expected")?;
    let end = at.pos();
    at.skip_ws();
    if !at.eat(b'=') {
        return Ok(end);
    }
    at.skip_ws();
    read_value(at)?;
    Ok(at.pos())
}

/// `token / host / quoted-string`, and `<uri>` (RFC 8224's `info`).
#[inline]
pub(crate) fn read_value<'a>(at: &mut Cursor<'a>) -> Result<&'a str, ParseError> {
    let start = at.pos();
    match at.peek() {
        Some(b'"') => {
            let end = quoted_end(at.rest().as_bytes(), 0);
            let end = end.ok_or_else(|| at.fail("parameter: quoted string without closing quote"))?;
            at.seek(start + end);
        }
        Some(b'<') => {
            let end = at.find(b'>').ok_or_else(|| at.fail("parameter: `<` without `>`"))?;
            at.seek(end + 1);
        }
        _ => return at.need(VALUE, "parameter: value expected"),
    }
    Ok(at.since(start))
}

/// One parameter as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawParam<'p> {
    /// The name.
    pub name: &'p str,
    /// The value, if there is one.
    pub value: Option<&'p str>,
    span: std::ops::Range<usize>,
}

/// The parameters of one text, in order.
#[derive(Clone, Debug)]
pub struct ParamIter<'p> {
    raw: &'p str,
    pos: usize,
}

impl<'p> ParamIter<'p> {
    /// Iterates over checked text: empty or starting with `;`.
    pub(crate) fn new(raw: &'p str) -> Self {
        ParamIter { raw, pos: 0 }
    }
}

impl<'p> Iterator for ParamIter<'p> {
    type Item = RawParam<'p>;

    #[inline]
    fn next(&mut self) -> Option<RawParam<'p>> {
        let bytes = self.raw.as_bytes();
        let start = self.pos;
        if start >= bytes.len() {
            return None;
        }
        let mut end = start + 1;
        let mut equals = None;
        loop {
            // Names are short, values are not.
            end = match equals {
                None => run_end(bytes, end, PLAIN),
                Some(_) => end + memchr::memchr3(b';', b'"', b'<', bytes.get(end..)?).unwrap_or(bytes.len() - end),
            };
            match bytes.get(end) {
                None | Some(b';') => break,
                Some(b'"') => end = quoted_end(bytes, end).unwrap_or(bytes.len()),
                Some(b'<') => end = memchr::memchr(b'>', bytes.get(end..)?).map_or(bytes.len(), |at| end + at + 1),
                Some(_) => {
                    equals = equals.or(Some(end));
                    end += 1;
                }
            }
        }
        let name = self.raw.get(start + 1..equals.unwrap_or(end))?;
        self.pos = end;
        let value = equals.and_then(|at| self.raw.get(at + 1..end)).map(trim);
        Some(RawParam { name: trim(name), value, span: start..end })
    }
}

impl RawParam<'_> {
    pub(crate) fn span(&self) -> std::ops::Range<usize> {
        self.span.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::super::p;
    use super::*;

    #[test]
    fn reads_with_white_space_and_quotes() {
        let text =
            ";\r\n branch  =   z9hG4bK9ikj8 ; Flag;q = 0.33 ; x=\"a;b=\\\"c\" ; received=[2001:db8::9:255]; rport";
        let params = Params::parse(text).unwrap();
        assert_eq!(params.param(p::BRANCH), Some("z9hG4bK9ikj8"));
        assert_eq!(params.param(p::Q), Some(QValue::new(330)));
        assert_eq!(params.get("x"), Some("\"a;b=\\\"c\""));
        assert!(params.contains("flag") && !params.contains("b"));
        assert_eq!(params.param(p::RECEIVED), "2001:db8::9:255".parse().ok());
        assert_eq!(params.param(p::RPORT), Some(None));
        assert_eq!(Params::parse(";rport=5061").unwrap().param(p::RPORT), Some(Some(5061)));
        assert_eq!(params.iter().count(), 6);
    }

    #[test]
    fn rejects_empty_parameters() {
        for (text, offset) in [(";;", 1), (";", 1), (";a=", 3), (";a=;b", 3), (";a b", 3), (";a=\"b", 3), ("a", 0)] {
            assert_eq!(Params::parse(text).map_err(|e| e.offset), Err(offset), "{text}");
        }
        assert!(Params::parse(" \r\n ").unwrap().is_empty());
    }

    #[test]
    fn numbers_do_not_overflow() {
        let params = Params::parse(";expires=280297596632815;ttl=x").unwrap();
        assert_eq!(params.param(p::EXPIRES), Some(u32::MAX));
        assert_eq!(params.param(p::TTL), None);
    }

    #[test]
    fn sets_and_removes() {
        let mut params = Params::parse(";a=1;TAG=x;b").unwrap();
        params.set(p::TAG, "y");
        params.set("text", "so; \"it\" is\r\nX: 1");
        params.set_flag(p::LR);
        assert_eq!(params.as_str(), ";a=1;tag=y;b;text=\"so; \\\"it\\\" is  X: 1\";lr");
        assert!(params.remove("a") && !params.remove("a"));
        assert_eq!(params.param(p::TEXT).as_deref(), Some("so; \"it\" is  X: 1"));
        assert_eq!(Params::parse(params.as_str()), Ok(params.clone()));
    }

    #[test]
    fn several_are_read_and_left_out_at_once() {
        let params =
            Params::parse(";Expires=60 ; q=0.5;expires=7;+sip.instance=\"<urn:x;y>\";ob;x=\"a\r\n b\"").unwrap();
        let [expires, q, instance, reg_id] =
            params.several([p::EXPIRES.name, p::Q.name, p::INSTANCE.name, p::REG_ID.name]);
        assert_eq!((p::EXPIRES.of(expires), p::Q.of(q)), (params.param(p::EXPIRES), params.param(p::Q)));
        assert_eq!((p::INSTANCE.of(instance), p::REG_ID.of(reg_id)), (params.param(p::INSTANCE), None));
        assert_eq!(params.without(&["expires", "Q", "+sip.instance"]), ";ob;x=\"a b\"");
        let mut removed = params.clone();
        assert!(removed.remove("expires") && removed.remove("ob"));
        assert_eq!(params.without(&["ob", "expires"]), removed.to_string());
        assert_eq!(params.without(&[]), params.to_string());
        assert_eq!(Params::none().without(&["a"]), "");
    }
}
