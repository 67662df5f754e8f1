//! Headers that are a number: Max-Forwards, Content-Length, RSeq, and the delta-seconds of Expires and others.

use super::param::param_access;
use super::{HeaderValue, Params, ParseError};
use crate::grammar::Cursor;
use std::fmt;

/// The digits of `text` as a number, at most 2^32-1; `None` if there are none or something else.
pub(crate) fn saturating(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u32::MAX))
}

/// Reads digits; `None` if the number is above 2^32-1.
#[inline]
pub(crate) fn read_digits(at: &mut Cursor<'_>, rule: &'static str) -> Result<Option<u32>, ParseError> {
    let start = at.pos();
    let rest = at.rest().as_bytes();
    let (mut number, mut count) = (0u64, 0);
    while let Some(digit) = rest.get(count).map(|b| b.wrapping_sub(b'0')).filter(|d| *d < 10) {
        number = (number * 10 + u64::from(digit)).min(1 << 40);
        count += 1;
    }
    if count == 0 {
        return Err(at.fail(rule));
    }
    at.seek(start + count);
    Ok(u32::try_from(number).ok())
}

fn only_digits(text: &str) -> Result<Option<u32>, ParseError> {
    let mut at = Cursor::new(text);
    at.skip_ws();
    let number = read_digits(&mut at, "number: digits expected")?;
    at.skip_ws();
    if at.at_end() { Ok(number) } else { Err(at.fail("number: digits expected")) }
}

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident($int:ty) $parse:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $int);

        impl HeaderValue for $name {
            type Value<'a> = $name;
            fn parse(text: &str) -> Result<$name, ParseError> {
                $parse(only_digits(text)?).map($name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

numbers! {
    /// Max-Forwards, 0 to 255 (RFC 3261 §20.22).
    MaxForwards(u8) |n: Option<u32>| {
        n.and_then(|n| u8::try_from(n).ok()).ok_or(ParseError { offset: 0, rule: "above 255" })
    };
    /// A number up to 2^32-1: Content-Length, RSeq.
    Number(u32) |n: Option<u32>| n.ok_or(ParseError { offset: 0, rule: "number: above 4294967295" });
    /// Seconds: Expires, Min-Expires, Flow-Timer. What is above 2^32-1 counts as that (RFC 4475 §3.1.2.4).
    DeltaSeconds(u32) |n: Option<u32>| Ok(n.unwrap_or(u32::MAX));
}

/// Seconds with parameters: Session-Expires and Min-SE (RFC 4028).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeltaParams<'a> {
    /// The seconds.
    pub seconds: u32,
    /// The parameters.
    pub params: Params<'a>,
}

impl<'a> DeltaParams<'a> {
    /// Seconds without parameters.
    pub const fn new(seconds: u32) -> Self {
        DeltaParams { seconds, params: Params::none() }
    }
    /// The same without a borrow.
    pub fn into_owned(self) -> DeltaParams<'static> {
        DeltaParams { seconds: self.seconds, params: self.params.into_owned() }
    }
}

param_access!(DeltaParams);

impl HeaderValue for DeltaParams<'static> {
    type Value<'a> = DeltaParams<'a>;
    fn parse(text: &str) -> Result<DeltaParams<'_>, ParseError> {
        let mut at = Cursor::new(text);
        at.skip_ws();
        let seconds = read_digits(&mut at, "delta-seconds: digits expected")?.unwrap_or(u32::MAX);
        Ok(DeltaParams { seconds, params: Params::read(&mut at)? })
    }
}

impl fmt::Display for DeltaParams<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.seconds, self.params)
    }
}

#[cfg(test)]
mod tests {
    use super::super::p;
    use super::*;

    #[test]
    fn leading_zeros_and_limits() {
        assert_eq!(MaxForwards::parse("0068"), Ok(MaxForwards(68)));
        assert_eq!(MaxForwards::parse("255"), Ok(MaxForwards(255)));
        assert!(MaxForwards::parse("300").is_err());
        assert_eq!(Number::parse(" 4294967295 "), Ok(Number(u32::MAX)));
        assert_eq!(DeltaSeconds::parse(&"1".repeat(100)), Ok(DeltaSeconds(u32::MAX)));
        for text in ["4294967296", "36893488147419103232", "-999", "", "1 2", "1;a", "+1"] {
            assert!(Number::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn delta_with_parameters() {
        let value = DeltaParams::parse("1800 ;refresher=uac").unwrap();
        assert_eq!((value.seconds, value.param(p::REFRESHER)), (1800, Some("uac")));
        assert_eq!(value.to_string(), "1800;refresher=uac");
        assert_eq!(DeltaParams::new(90).with(p::REFRESHER, "uas").to_string(), "90;refresher=uas");
        assert!(DeltaParams::parse("x").is_err());
    }
}
