//! CSeq (RFC 3261 §20.16): a number and a method.

use super::number::read_digits;
use super::{HeaderValue, Method, ParseError};
use crate::grammar::{Cursor, TOKEN};
use std::fmt;

/// The value of CSeq.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// The sequence number.
    pub number: u32,
    /// The method of the request.
    pub method: Method<'a>,
}

impl<'a> CSeq<'a> {
    /// A number and a method.
    pub const fn new(number: u32, method: Method<'a>) -> Self {
        CSeq { number, method }
    }

    /// The same without a borrow.
    pub fn into_owned(self) -> CSeq<'static> {
        CSeq { number: self.number, method: self.method.into_owned() }
    }
}

impl HeaderValue for CSeq<'static> {
    type Value<'a> = CSeq<'a>;

    fn parse(text: &str) -> Result<CSeq<'_>, ParseError> {
        let mut at = Cursor::new(text);
        at.skip_ws();
        let start = at.pos();
        let number = read_digits(&mut at, "number expected")?;
        let number = number.ok_or(ParseError { offset: start, rule: "number above 4294967295" })?;
        let space = at.pos();
        at.skip_ws();
        if at.pos() == space {
            return Err(at.fail("white space expected after the number"));
        }
        let method = Method::from_token(at.need(TOKEN, "method expected")?);
        at.skip_ws();
        if at.at_end() { Ok(CSeq { number, method }) } else { Err(at.fail("nothing may follow the value")) }
    }
}

impl fmt::Display for CSeq<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        for (text, number, method) in [
            ("0009\r\n  INVITE", 9, Method::Invite),
            ("2130706432 ACK", 2130706432, Method::Ack),
            ("29344 RE%47IST%45R", 29344, Method::Other("RE%47IST%45R".into())),
        ] {
            let cseq = CSeq::parse(text).unwrap();
            assert_eq!(cseq, CSeq::new(number, method));
            assert_eq!(CSeq::parse(&cseq.to_string()), Ok(cseq.clone()));
            assert_eq!(cseq.clone().into_owned(), cseq);
        }
    }

    #[test]
    fn breaks_are_named_with_their_place() {
        for (text, offset, rule) in [
            ("36893488147419103232 REGISTER", 0, "number above 4294967295"),
            ("4294967296 REGISTER", 0, "number above 4294967295"),
            ("INVITE", 0, "number expected"),
            ("", 0, "number expected"),
            ("1", 1, "white space expected after the number"),
            ("1INVITE", 1, "white space expected after the number"),
            ("1 ", 2, "method expected"),
            ("1 INVITE x", 9, "nothing may follow the value"),
        ] {
            assert_eq!(CSeq::parse(text), Err(ParseError { offset, rule }), "{text}");
        }
    }
}
