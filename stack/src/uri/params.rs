//! URI parameters and embedded headers (RFC 3261 §19.1.1), kept as text and read on demand.

use super::escape::{check, decode, encode, octets};
use crate::grammar::{Cursor, HNV, PARAM};
use crate::header::ParseError;
use crate::header::param::{Param, ParamIter, ParamKind, RawParam};
use std::borrow::Cow;
use std::fmt;

/// Whether an escaped name is `name`, without regard to case.
fn same_name(escaped: &str, name: &str) -> bool {
    if escaped.eq_ignore_ascii_case(name) {
        return true;
    }
    escaped.contains('%')
        && octets(escaped).map(|b| b.to_ascii_lowercase()).eq(name.bytes().map(|b| b.to_ascii_lowercase()))
}

/// The parameters of a URI: `;lr;transport=tcp`.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct UriParams<'a> {
    /// Empty, or text that starts with `;` and obeys the grammar.
    raw: Cow<'a, str>,
}

impl<'a> UriParams<'a> {
    /// No parameters.
    pub const fn none() -> Self {
        UriParams { raw: Cow::Borrowed("") }
    }

    #[inline]
    pub(crate) fn read(at: &mut Cursor<'a>) -> Result<Self, ParseError> {
        let start = at.pos();
        while at.eat(b';') {
            at.need(PARAM, "URI parameter: name expected")?;
            if at.eat(b'=') {
                at.need(PARAM, "URI parameter: value expected")?;
            }
        }
        let raw = at.since(start);
        if !raw.is_empty() {
            check(raw, start)?;
        }
        Ok(UriParams { raw: Cow::Borrowed(raw) })
    }

    /// Parameters from text that [`UriParams::read`] took.
    #[inline]
    pub(crate) fn checked(raw: Cow<'a, str>) -> Self {
        UriParams { raw }
    }

    /// The text: empty, or starting with `;`.
    pub fn as_str(&self) -> &str {
        &self.raw
    }

    /// Whether there is no parameter.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// All parameters in order, as they stand: escapes are not undone.
    pub fn iter(&self) -> ParamIter<'_> {
        ParamIter::new(&self.raw)
    }

    fn find(&self, name: &str) -> Option<RawParam<'_>> {
        self.iter().find(|p| same_name(p.name, name))
    }

    /// The value of `key`, typed; a text is given as it stands.
    pub fn param<K: ParamKind>(&self, key: Param<K>) -> K::Value<'_> {
        K::read(self.find(key.name).map(|p| p.value))
    }

    /// The value of the parameter with this (unescaped) name, as it stands.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.find(name)?.value
    }

    /// The value of the parameter with this (unescaped) name, escapes undone.
    pub fn get_decoded(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.get(name).map(decode)
    }

    /// Whether there is a parameter with this (unescaped) name.
    pub fn contains(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Gives a parameter a value: in its place if it is there, else at the end. Name and value are not escaped yet; an
    /// empty value has no form and sets a parameter without one.
    pub fn set(&mut self, name: impl AsRef<str>, value: impl fmt::Display) {
        let value = value.to_string();
        if value.is_empty() {
            return self.set_flag(name);
        }
        self.put(name.as_ref(), &format!(";{}={}", escaped(name.as_ref()), escaped(&value)));
    }

    /// Sets a parameter without a value.
    pub fn set_flag(&mut self, name: impl AsRef<str>) {
        let text = format!(";{}", escaped(name.as_ref()));
        self.put(name.as_ref(), &text);
    }

    fn put(&mut self, name: &str, text: &str) {
        let span = self.find(name).map_or(self.raw.len()..self.raw.len(), |p| p.span());
        self.raw.to_mut().replace_range(span, text);
    }

    /// Removes all parameters with this name; says whether there was one.
    pub fn remove(&mut self, name: impl AsRef<str>) -> bool {
        let mut found = false;
        while let Some(span) = self.find(name.as_ref()).map(|p| p.span()) {
            self.raw.to_mut().replace_range(span, "");
            found = true;
        }
        found
    }

    /// The same without a borrow.
    pub fn into_owned(self) -> UriParams<'static> {
        UriParams { raw: Cow::Owned(self.raw.into_owned()) }
    }
}

fn escaped(text: &str) -> String {
    encode(text.bytes(), PARAM)
}

impl fmt::Display for UriParams<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.raw)
    }
}

impl fmt::Debug for UriParams<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UriParams({:?})", self.raw)
    }
}

/// The headers that a URI asks for: `?Subject=x&Route=y`.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct UriHeaders<'a> {
    /// Empty, or text that starts with `?` and obeys the grammar.
    raw: Cow<'a, str>,
}

impl<'a> UriHeaders<'a> {
    /// No headers.
    pub const fn none() -> Self {
        UriHeaders { raw: Cow::Borrowed("") }
    }

    #[inline]
    pub(crate) fn read(at: &mut Cursor<'a>) -> Result<Self, ParseError> {
        let start = at.pos();
        if at.eat(b'?') {
            let headers = at.need(HNV, "URI header: name expected")?;
            check(headers, start + 1)?;
            let mut offset = start + 1;
            for header in headers.split('&') {
                if header.find('=').is_none_or(|equals| equals == 0) {
                    return Err(ParseError { offset, rule: "URI header: name and `=` expected" });
                }
                offset += header.len() + 1;
            }
        }
        Ok(UriHeaders { raw: Cow::Borrowed(at.since(start)) })
    }

    /// The text: empty, or starting with `?`.
    pub fn as_str(&self) -> &str {
        &self.raw
    }

    /// Whether there is no header.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// All headers in order: names and values with escapes undone.
    pub fn iter(&self) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
        let pairs = self.raw.get(1..).unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, value)| (decode(name), decode(value)))
    }

    /// The value of the header with this name.
    pub fn get(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// Adds a header; escapes what must be escaped.
    pub fn push(&mut self, name: &str, value: &str) {
        // `=` and `&` have a meaning here.
        let part = |text: &str| encode(text.bytes(), HNV).replace('=', "%3D").replace('&', "%26");
        let text = format!("{}{}={}", if self.is_empty() { '?' } else { '&' }, part(name), part(value));
        self.raw.to_mut().push_str(&text);
    }

    /// The same without a borrow.
    pub fn into_owned(self) -> UriHeaders<'static> {
        UriHeaders { raw: Cow::Owned(self.raw.into_owned()) }
    }
}

impl fmt::Display for UriHeaders<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.raw)
    }
}

impl fmt::Debug for UriHeaders<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UriHeaders({:?})", self.raw)
    }
}
