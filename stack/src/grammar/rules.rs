//! `nom` rules for the headers that are not on the message path. Each failure names the rule and the place.

use super::{TOKEN, WS, is, quoted_end};
use crate::header::ParseError;
use nom::bytes::complete::{take_while, take_while1};
use nom::error::{ContextError, ErrorKind, FromExternalError, context};
use nom::sequence::{preceded, terminated};
use nom::{Finish, IResult, Parser};

/// Where a rule failed, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault<'a> {
    rest: &'a str,
    rule: Option<&'static str>,
}

impl<'a> nom::error::ParseError<&'a str> for Fault<'a> {
    fn from_error_kind(rest: &'a str, _: ErrorKind) -> Self {
        Fault { rest, rule: None }
    }
    fn append(_: &'a str, _: ErrorKind, other: Self) -> Self {
        other
    }
}

impl<'a> ContextError<&'a str> for Fault<'a> {
    // The innermost name is the most exact.
    fn add_context(_: &'a str, rule: &'static str, other: Self) -> Self {
        Fault { rule: other.rule.or(Some(rule)), ..other }
    }
}

impl<'a, E> FromExternalError<&'a str, E> for Fault<'a> {
    fn from_external_error(rest: &'a str, _: ErrorKind, _: E) -> Self {
        Fault { rest, rule: None }
    }
}

/// What a rule gives.
pub(crate) type Parsed<'a, T> = IResult<&'a str, T, Fault<'a>>;

/// Applies a rule to the start of a value, white space before it left out; gives also where the rest starts.
pub(crate) fn start<'a, T>(
    text: &'a str,
    what: &'static str,
    rule: impl Parser<&'a str, Output = T, Error = Fault<'a>>,
) -> Result<(T, usize), ParseError> {
    let place = |rest: &str| text.len() - rest.len().min(text.len());
    match preceded(lws0, context(what, rule)).parse(text).finish() {
        Ok((rest, value)) => Ok((value, place(rest))),
        Err(fault) => Err(ParseError { offset: place(fault.rest), rule: fault.rule.unwrap_or(what) }),
    }
}

/// Applies a rule to the whole of a value; white space at the ends is nothing.
pub(crate) fn whole<'a, T>(
    text: &'a str,
    what: &'static str,
    rule: impl Parser<&'a str, Output = T, Error = Fault<'a>>,
) -> Result<T, ParseError> {
    match start(text, what, terminated(rule, lws0))? {
        (value, end) if end == text.len() => Ok(value),
        (_, end) => Err(ParseError { offset: end, rule: "nothing may follow the value" }),
    }
}

/// Optional white space, folds included.
pub(crate) fn lws0(input: &str) -> Parsed<'_, &str> {
    take_while(|c: char| c.is_ascii() && is(c as u8, WS)).parse(input)
}

/// White space, folds included.
pub(crate) fn lws1(input: &str) -> Parsed<'_, &str> {
    context("white space expected", take_while1(|c: char| c.is_ascii() && is(c as u8, WS))).parse(input)
}

/// `token`
pub(crate) fn token(input: &str) -> Parsed<'_, &str> {
    context("token expected", take_while1(|c: char| c.is_ascii() && is(c as u8, TOKEN))).parse(input)
}

/// `quoted-string`, quotes and backslashes included.
pub(crate) fn quoted(input: &str) -> Parsed<'_, &str> {
    let fault = |rule| nom::Err::Error(Fault { rest: input, rule: Some(rule) });
    if !input.starts_with('"') {
        return Err(fault("quoted string expected"));
    }
    let end = quoted_end(input.as_bytes(), 0).ok_or_else(|| fault("quoted string without closing quote"))?;
    input.split_at_checked(end).map(|(text, rest)| (rest, text)).ok_or_else(|| fault("quoted string expected"))
}

/// One or more digits.
pub(crate) fn digits(input: &str) -> Parsed<'_, &str> {
    context("digits expected", take_while1(|c: char| c.is_ascii_digit())).parse(input)
}

/// A number up to 2^32-1.
pub(crate) fn number(input: &str) -> Parsed<'_, u32> {
    let (rest, text) = digits(input)?;
    match text.parse() {
        Ok(number) => Ok((rest, number)),
        Err(_) => Err(nom::Err::Error(Fault { rest: input, rule: Some("number above 4294967295") })),
    }
}

/// A separator with optional white space around it.
pub(crate) fn sep<'a>(c: char) -> impl Parser<&'a str, Output = (), Error = Fault<'a>> {
    (lws0, nom::character::complete::char(c), lws0).map(|_| ())
}

/// `comment`: the text in parentheses, which nest, without the outer ones.
pub(crate) fn comment(input: &str) -> Parsed<'_, &str> {
    let fault = |rule| nom::Err::Error(Fault { rest: input, rule: Some(rule) });
    if !input.starts_with('(') {
        return Err(fault("comment expected"));
    }
    let (mut depth, mut escaped) = (0u32, false);
    for (at, byte) in input.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && !escaped {
            return match (input.get(1..at), input.get(at + 1..)) {
                (Some(inner), Some(rest)) => Ok((rest, inner)),
                _ => Err(fault("comment expected")),
            };
        }
    }
    Err(fault("comment without closing parenthesis"))
}
