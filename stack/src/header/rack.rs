//! RAck (RFC 3262 §7.2): the RSeq and the CSeq of the response that a PRACK acknowledges.

use super::{HeaderValue, Method, ParseError};
use crate::grammar::rules::{lws1, number, token, whole};
use nom::Parser;
use std::fmt;

/// The value of RAck: `776656 1 INVITE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RAck<'a> {
    /// The RSeq of the provisional response.
    pub rseq: u32,
    /// The number of its CSeq.
    pub cseq: u32,
    /// The method of its CSeq.
    pub method: Method<'a>,
}

impl RAck<'_> {
    /// The same without a borrow.
    pub fn into_owned(self) -> RAck<'static> {
        RAck { rseq: self.rseq, cseq: self.cseq, method: self.method.into_owned() }
    }
}

impl HeaderValue for RAck<'static> {
    type Value<'a> = RAck<'a>;

    fn parse(text: &str) -> Result<RAck<'_>, ParseError> {
        let rule = (number, lws1, number, lws1, token);
        whole(text, "RAck", rule.map(|(rseq, _, cseq, _, name)| RAck { rseq, cseq, method: Method::from_token(name) }))
    }
}

impl fmt::Display for RAck<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.rseq, self.cseq, self.method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let rack = RAck::parse(" 776656\r\n 1  INVITE ").unwrap();
        assert_eq!(rack, RAck { rseq: 776656, cseq: 1, method: Method::Invite });
        assert_eq!(rack.to_string(), "776656 1 INVITE");
        assert_eq!(rack.clone().into_owned(), rack);
    }

    #[test]
    fn breaks_are_named_with_their_place() {
        for (text, offset, rule) in [
            ("", 0, "digits expected"),
            ("1 INVITE", 2, "digits expected"),
            ("1 2INVITE", 3, "white space expected"),
            ("1 4294967296 INVITE", 2, "number above 4294967295"),
            ("1 2 INVITE x", 11, "nothing may follow the value"),
        ] {
            assert_eq!(RAck::parse(text), Err(ParseError { offset, rule }), "{text}");
        }
    }
}
