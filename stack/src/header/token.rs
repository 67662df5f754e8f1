//! A token with parameters: Event, Subscription-State, Reason, Supported, Require, Content-Disposition, Accept-Contact,
//! Security-Client and many others.

use super::param::param_access;
use super::{HeaderValue, Params, ParseError};
use crate::grammar::{Cursor, TOKEN};
use std::borrow::Cow;
use std::fmt;

/// A token with parameters: `SIP;cause=200;text="Call completed elsewhere"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// The token.
    pub value: Cow<'a, str>,
    /// The parameters.
    pub params: Params<'a>,
}

impl<'a> Token<'a> {
    /// A token that is known to be one, without parameters.
    pub fn new(value: impl Into<Cow<'a, str>>) -> Self {
        Token { value: value.into(), params: Params::none() }
    }

    /// Whether the token is this one, without regard to case.
    pub fn is(&self, value: &str) -> bool {
        self.value.eq_ignore_ascii_case(value)
    }

    /// The same without a borrow.
    pub fn into_owned(self) -> Token<'static> {
        Token { value: Cow::Owned(self.value.into_owned()), params: self.params.into_owned() }
    }
}

param_access!(Token);

impl HeaderValue for Token<'static> {
    type Value<'a> = Token<'a>;

    fn parse(text: &str) -> Result<Token<'_>, ParseError> {
        let mut at = Cursor::new(text);
        at.skip_ws();
        let value = Cow::Borrowed(at.need(TOKEN, "token expected")?);
        Ok(Token { value, params: Params::read(&mut at)? })
    }
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.value, self.params)
    }
}

#[cfg(test)]
mod tests {
    use super::super::p;
    use super::*;

    #[test]
    fn round_trip() {
        let reason = Token::parse("Q.850 ;cause=16 ;text=\"Terminated\"").unwrap();
        assert!(reason.is("q.850"));
        assert_eq!((reason.param(p::CAUSE), reason.param(p::TEXT).as_deref()), (Some(16), Some("Terminated")));
        let state = Token::parse("active;expires=600").unwrap();
        assert_eq!(state.param(p::EXPIRES), Some(600));
        for text in
            ["*;audio;require", "presence.winfo", "3GPP-UTRAN-TDD;utran-cell-id-3gpp=234151D0FCE11", "en-gb;q=0.8"]
        {
            let token = Token::parse(text).unwrap();
            assert_eq!(token.to_string(), text);
            assert_eq!(token.clone().into_owned(), token);
        }
        let built = Token::new("SIP").with(p::CAUSE, 200).with(p::TEXT, "Call completed elsewhere");
        assert_eq!(built.to_string(), "SIP;cause=200;text=\"Call completed elsewhere\"");
    }

    #[test]
    fn breaks_are_named_with_their_place() {
        for (text, offset) in [("", 0), ("a b", 2), (";a", 0), ("a;", 2), ("a,b", 1)] {
            assert_eq!(Token::parse(text).map_err(|e| e.offset), Err(offset), "{text}");
        }
    }
}
