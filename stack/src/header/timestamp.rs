//! Timestamp (RFC 3261 §20.38). A server gives it back as it came, so the numbers stay text.

use super::{HeaderValue, ParseError};
use crate::grammar::rules::{Parsed, lws1, whole};
use nom::Parser;
use nom::bytes::complete::take_while;
use nom::character::complete::char;
use nom::combinator::{opt, recognize, verify};
use nom::error::context;
use nom::sequence::preceded;
use std::borrow::Cow;
use std::fmt;

/// The value of Timestamp: `54.21 0.5`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timestamp<'a> {
    /// When the request was sent, in seconds of the sender's clock.
    pub time: Cow<'a, str>,
    /// How long the server took, in seconds.
    pub delay: Option<Cow<'a, str>>,
}

impl Timestamp<'_> {
    /// The same without a borrow.
    pub fn into_owned(self) -> Timestamp<'static> {
        Timestamp { time: Cow::Owned(self.time.into_owned()), delay: self.delay.map(|d| Cow::Owned(d.into_owned())) }
    }
}

/// `*DIGIT [ "." *DIGIT ]`, and not empty.
fn decimal(input: &str) -> Parsed<'_, &str> {
    let digits = || take_while(|c: char| c.is_ascii_digit());
    let number = recognize((digits(), opt((char('.'), digits()))));
    context("number expected", verify(number, |text: &str| text.contains(|c: char| c.is_ascii_digit()))).parse(input)
}

impl HeaderValue for Timestamp<'static> {
    type Value<'a> = Timestamp<'a>;

    fn parse(text: &str) -> Result<Timestamp<'_>, ParseError> {
        let value = (decimal, opt(preceded(lws1, decimal)));
        whole(
            text,
            "Timestamp",
            value.map(|(time, delay)| Timestamp { time: time.into(), delay: delay.map(Cow::from) }),
        )
    }
}

impl fmt::Display for Timestamp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.time)?;
        if let Some(delay) = &self.delay {
            write!(f, " {delay}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        for (text, time, delay) in [("54", "54", None), ("54.21  .5", "54.21", Some(".5")), ("1. 2", "1.", Some("2"))] {
            let value = Timestamp::parse(text).unwrap();
            assert_eq!((value.time.as_ref(), value.delay.as_deref()), (time, delay));
            assert_eq!(Timestamp::parse(&value.to_string()).as_ref(), Ok(&value));
            assert_eq!(value.clone().into_owned(), value);
        }
    }

    #[test]
    fn breaks_are_named_with_their_place() {
        for (text, offset) in [("", 0), (".", 0), ("1 x", 2), ("1 2 3", 4), ("-1", 0)] {
            assert_eq!(Timestamp::parse(text).map_err(|e| e.offset), Err(offset), "{text}");
        }
    }
}
