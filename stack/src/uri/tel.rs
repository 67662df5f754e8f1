//! Telephone numbers (RFC 3966).

use super::compare::MOST_COMPARED;
use super::params::UriParams;
use crate::grammar::Cursor;
use crate::header::ParseError;
use crate::header::param::{Param, ParamKind};
use std::borrow::Cow;
use std::fmt;

/// A `tel:` URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelUri<'a> {
    /// The number as it stands, with visual separators; a global number starts with `+`.
    pub number: Cow<'a, str>,
    /// The parameters.
    pub params: UriParams<'a>,
}

fn is_separator(byte: &u8) -> bool {
    matches!(byte, b'-' | b'.' | b'(' | b')')
}

/// A number without visual separators, in lower case.
fn plain(number: &str) -> impl Iterator<Item = u8> + '_ {
    number.bytes().filter(|b| !is_separator(b)).map(|b| b.to_ascii_lowercase())
}

impl<'a> TelUri<'a> {
    pub(crate) fn read(at: &mut Cursor<'a>) -> Result<Self, ParseError> {
        let start = at.pos();
        let global = at.eat(b'+');
        let digit = |b: &u8| b.is_ascii_digit() || (!global && (b.is_ascii_hexdigit() || matches!(b, b'*' | b'#')));
        let rest = at.rest().as_bytes();
        let length = rest.iter().take_while(|b| digit(b) || is_separator(b)).count();
        if !rest.iter().take(length).any(digit) {
            return Err(at.fail("tel URI: number expected"));
        }
        at.seek(at.pos() + length);
        let number = Cow::Borrowed(at.since(start));
        let params = UriParams::read(at)?;
        if !at.at_end() {
            return Err(at.fail("tel URI: character that is not allowed here"));
        }
        Ok(TelUri { number, params })
    }

    /// Whether the number is global: starts with `+`.
    pub fn is_global(&self) -> bool {
        self.number.starts_with('+')
    }

    /// The number without visual separators.
    pub fn digits(&self) -> String {
        plain(&self.number).map(char::from).collect()
    }

    /// The value of a URI parameter.
    pub fn param<K: ParamKind>(&self, key: Param<K>) -> K::Value<'_> {
        self.params.param(key)
    }

    /// Whether both name the same number: visual separators do not count, parameters are a set (RFC 3966 §4).
    pub fn equivalent(&self, other: &TelUri<'_>) -> bool {
        let subset = |a: &TelUri<'_>, b: &TelUri<'_>| a.params.iter().all(|p| b.has(p.name, p.value));
        plain(&self.number).eq(plain(&other.number))
            && match self.params.iter().chain(other.params.iter()).nth(MOST_COMPARED) {
                Some(_) => self.params == other.params,
                None => subset(self, other) && subset(other, self),
            }
    }

    fn has(&self, name: &str, value: Option<&str>) -> bool {
        // In a phone-context that is a number, and in an extension, visual separators do not count either.
        let number = |text: &str| {
            name.eq_ignore_ascii_case("ext") || (name.eq_ignore_ascii_case("phone-context") && text.starts_with('+'))
        };
        self.params.iter().any(|p| {
            p.name.eq_ignore_ascii_case(name)
                && match (p.value, value) {
                    (Some(a), Some(b)) if number(a) => plain(a).eq(plain(b)),
                    (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
                    (a, b) => a == b,
                }
        })
    }

    /// The same without a borrow.
    pub fn into_owned(self) -> TelUri<'static> {
        TelUri { number: Cow::Owned(self.number.into_owned()), params: self.params.into_owned() }
    }
}

impl fmt::Display for TelUri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tel:{}{}", self.number, self.params)
    }
}

#[cfg(test)]
mod tests {
    use crate::uri::Uri;

    fn same(a: &str, b: &str) -> bool {
        Uri::parse(a).unwrap().equivalent(&Uri::parse(b).unwrap())
    }

    #[test]
    fn comparison() {
        assert!(same("tel:+1-201-555-0123", "TEL:+1.201.(555)0123"));
        assert!(same("tel:7042;phone-context=+1-201;ext=1-2", "tel:70-42;ext=12;phone-context=+1201"));
        assert!(same("tel:863-1234;phone-context=Example.com", "tel:8631234;phone-context=example.COM"));
        let many: String = (0..50_000).map(|i| format!(";p{i}=1")).collect();
        assert!(same(&format!("tel:+1{many}"), &format!("tel:+-1{many}")));
        assert!(!same(&format!("tel:+1{many}"), &format!("tel:+1;P{}", &many[2..])));
        assert!(!same("tel:+12015550123", "tel:12015550123"));
        assert!(!same("tel:+12015550123;ext=1", "tel:+12015550123"));
        assert!(!same("tel:+12015550123", "sip:+12015550123@example.com"));
    }

    #[test]
    fn syntax() {
        for text in ["tel:+1-201-555-0123;phone-context=x", "tel:*31#;phone-context=example.com", "tel:aF9"] {
            assert_eq!(Uri::parse(text).unwrap().to_string(), text);
        }
        for text in ["tel:", "tel:+", "tel:--", "tel:+1a", "tel:12 3", "tel:1;", "tel:hello"] {
            assert!(Uri::parse(text).is_err(), "{text}");
        }
    }
}
