//! Retry-After (RFC 3261 §20.33): seconds, a comment and parameters.

use super::param::param_access;
use super::{HeaderValue, Params, ParseError};
use crate::grammar::rules::{comment, lws0, number, start};
use crate::grammar::{Cursor, Unfolded};
use nom::combinator::opt;
use nom::sequence::preceded;
use std::borrow::Cow;
use std::fmt;

/// The value of Retry-After: `120 (I'm in a meeting);duration=3600`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryAfter<'a> {
    /// After how many seconds.
    pub seconds: u32,
    /// The comment as it stands, without the outer parentheses.
    pub comment: Option<Cow<'a, str>>,
    /// The parameters.
    pub params: Params<'a>,
}

impl<'a> RetryAfter<'a> {
    /// Seconds alone.
    pub const fn new(seconds: u32) -> Self {
        RetryAfter { seconds, comment: None, params: Params::none() }
    }

    /// The same without a borrow.
    pub fn into_owned(self) -> RetryAfter<'static> {
        RetryAfter {
            seconds: self.seconds,
            comment: self.comment.map(|text| Cow::Owned(text.into_owned())),
            params: self.params.into_owned(),
        }
    }
}

param_access!(RetryAfter);

impl HeaderValue for RetryAfter<'static> {
    type Value<'a> = RetryAfter<'a>;

    fn parse(text: &str) -> Result<RetryAfter<'_>, ParseError> {
        let rule = (number, opt(preceded(lws0, comment)));
        let ((seconds, comment), end) = start(text, "Retry-After", rule)?;
        // `opt` takes a broken comment for none; then the parameters are not what they should be.
        let mut at = Cursor::new(text);
        at.seek(end);
        Ok(RetryAfter { seconds, comment: comment.map(Cow::Borrowed), params: Params::read(&mut at)? })
    }
}

impl fmt::Display for RetryAfter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.seconds.fmt(f)?;
        if let Some(comment) = &self.comment {
            write!(f, " ({})", Unfolded(comment))?;
        }
        self.params.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::super::p;
    use super::*;

    #[test]
    fn round_trip() {
        let value = RetryAfter::parse("120\r\n (I'm in a (long) meeting)").unwrap().into_owned();
        assert_eq!((value.seconds, value.comment.as_deref()), (120, Some("I'm in a (long) meeting")));
        assert_eq!(value.to_string(), "120 (I'm in a (long) meeting)");
        let value = RetryAfter::parse("18000 ; duration=3600").unwrap();
        assert_eq!((value.seconds, value.param(p::DURATION)), (18000, Some(3600)));
        assert_eq!(RetryAfter::new(5).with(p::DURATION, 1).to_string(), "5;duration=1");
    }

    #[test]
    fn breaks_are_named_with_their_place() {
        for (text, offset, rule) in [
            ("949302838503028349304023988", 0, "number above 4294967295"),
            ("soon", 0, "digits expected"),
            ("5 (a", 2, "parameter: `;` expected"),
            ("5;;", 2, "parameter: name expected"),
        ] {
            assert_eq!(RetryAfter::parse(text), Err(ParseError { offset, rule }), "{text}");
        }
    }
}
