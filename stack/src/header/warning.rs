//! Warning (RFC 3261 §20.43).

use super::{HeaderValue, ParseError};
use crate::grammar::rules::{digits, lws1, quoted, whole};
use crate::grammar::{Unfolded, quote, unquote};
use nom::Parser;
use nom::bytes::complete::take_while1;
use nom::combinator::map_res;
use nom::error::context;
use std::borrow::Cow;
use std::fmt;

/// One value of Warning: `307 isi.edu "Session parameter 'foo' not understood"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning<'a> {
    /// The code, three digits.
    pub code: u16,
    /// Who warns: host and port, or a pseudonym.
    pub agent: Cow<'a, str>,
    /// The text with its quotes.
    pub raw_text: Cow<'a, str>,
}

impl<'a> Warning<'a> {
    /// A warning with any text; the agent is known to be a token or host and port.
    pub fn new(code: u16, agent: impl Into<Cow<'a, str>>, text: &str) -> Self {
        Warning { code, agent: agent.into(), raw_text: Cow::Owned(quote(text)) }
    }

    /// The text without quotes.
    pub fn text(&self) -> Cow<'_, str> {
        unquote(&self.raw_text)
    }

    /// The same without a borrow.
    pub fn into_owned(self) -> Warning<'static> {
        Warning {
            code: self.code,
            agent: Cow::Owned(self.agent.into_owned()),
            raw_text: Cow::Owned(self.raw_text.into_owned()),
        }
    }
}

impl HeaderValue for Warning<'static> {
    type Value<'a> = Warning<'a>;

    fn parse(text: &str) -> Result<Warning<'_>, ParseError> {
        let three =
            map_res(digits, |text: &str| if text.len() == 3 { text.parse::<u16>().map_err(|_| ()) } else { Err(()) });
        let agent = take_while1(|c: char| c.is_ascii_graphic() && !matches!(c, '"' | ',' | ';'));
        let rule = (
            context("code of three digits expected", three),
            lws1,
            context("agent expected", agent),
            lws1,
            context("quoted text expected", quoted),
        );
        let value = rule.map(|(code, _, agent, _, text)| Warning { code, agent: agent.into(), raw_text: text.into() });
        whole(text, "Warning", value)
    }
}

impl fmt::Display for Warning<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03} {} {}", self.code, self.agent, Unfolded(&self.raw_text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let text = "307 isi.edu:5060 \"Session parameter \\\"foo\\\" not understood\"";
        let warning = Warning::parse(text).unwrap();
        assert_eq!((warning.code, warning.agent.as_ref()), (307, "isi.edu:5060"));
        assert_eq!(warning.text(), "Session parameter \"foo\" not understood");
        assert_eq!(warning.to_string(), text);
        assert_eq!(warning.clone().into_owned(), warning);
        assert_eq!(Warning::new(307, "isi.edu:5060", &warning.text()), warning);
    }

    #[test]
    fn breaks_are_named_with_their_place() {
        for (text, offset, rule) in [
            ("1812 overture \"In Progress\"", 0, "code of three digits expected"),
            ("", 0, "digits expected"),
            ("301\"x\"", 3, "white space expected"),
            ("301 a b", 6, "quoted string expected"),
            ("301 a \"b", 6, "quoted string without closing quote"),
            ("301 a \"b\" c", 10, "nothing may follow the value"),
        ] {
            assert_eq!(Warning::parse(text), Err(ParseError { offset, rule }), "{text}");
        }
    }
}
