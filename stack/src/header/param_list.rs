//! Headers that are nothing but parameters: P-Charging-Vector and P-Charging-Function-Addresses (RFC 7315).

use super::param::read_value;
use super::{HeaderValue, Param, ParamKind, Params, ParseError};
use crate::grammar::{Cursor, TOKEN, Unfolded};
use std::borrow::Cow;
use std::fmt;

/// Parameters without a `;` before the first: `icid-value=1234bc9876e;orig-ioi=home1.net`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamList<'a> {
    /// The first parameter's name.
    pub name: Cow<'a, str>,
    /// The first parameter's value as it stands.
    pub value: Cow<'a, str>,
    /// The others.
    pub params: Params<'a>,
}

impl<'a> ParamList<'a> {
    /// The value of a parameter, the first included.
    pub fn param<K: ParamKind>(&self, key: Param<K>) -> K::Value<'_> {
        if self.name.eq_ignore_ascii_case(key.name) { K::read(Some(Some(&self.value))) } else { self.params.param(key) }
    }

    /// The value of the parameter with this name as it stands, the first included.
    pub fn get(&self, name: &str) -> Option<&str> {
        if self.name.eq_ignore_ascii_case(name) { Some(&self.value) } else { self.params.get(name) }
    }

    /// The same without a borrow.
    pub fn into_owned(self) -> ParamList<'static> {
        ParamList {
            name: Cow::Owned(self.name.into_owned()),
            value: Cow::Owned(self.value.into_owned()),
            params: self.params.into_owned(),
        }
    }
}

impl HeaderValue for ParamList<'static> {
    type Value<'a> = ParamList<'a>;

    fn parse(text: &str) -> Result<ParamList<'_>, ParseError> {
        let mut at = Cursor::new(text);
        at.skip_ws();
        let name = Cow::Borrowed(at.need(TOKEN, "parameter: name expected")?);
        at.skip_ws();
        if !at.eat(b'=') {
            return Err(at.fail("parameter: `=` expected"));
        }
        at.skip_ws();
        let value = Cow::Borrowed(read_value(&mut at)?);
        Ok(ParamList { name, value, params: Params::read(&mut at)? })
    }
}

impl fmt::Display for ParamList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}{}", self.name, Unfolded(&self.value), self.params)
    }
}

#[cfg(test)]
mod tests {
    use super::super::p;
    use super::*;

    #[test]
    fn round_trip() {
        let text = "icid-value=\"1234bc9876e\";icid-generated-at=192.0.6.8;orig-ioi=home1.net";
        let vector = ParamList::parse(text).unwrap();
        assert_eq!(vector.param(p::ICID_VALUE).as_deref(), Some("1234bc9876e"));
        assert_eq!((vector.get("orig-ioi"), vector.get("x")), (Some("home1.net"), None));
        assert_eq!(vector.to_string(), text);
        assert_eq!(vector.clone().into_owned(), vector);
        let text = "ccf=[5555::b99:c88:d77:e66];ecf=192.1.1.3";
        assert_eq!(ParamList::parse(text).unwrap().to_string(), text);
    }

    #[test]
    fn breaks_are_named_with_their_place() {
        for (text, offset) in [("", 0), ("a", 1), ("a=", 2), (";a=b", 0), ("a=b;", 4)] {
            assert_eq!(ParamList::parse(text).map_err(|e| e.offset), Err(offset), "{text}");
        }
    }
}
