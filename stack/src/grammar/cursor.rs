//! A place in a header's value.

use super::{WS, run_end};
use crate::header::ParseError;

/// A text and a position in it, always at a character boundary.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    pos: usize,
}

impl<'a> Cursor<'a> {
    #[inline]
    pub(crate) fn new(text: &'a str) -> Self {
        Cursor { text, pos: 0 }
    }

    #[inline]
    pub(crate) fn pos(&self) -> usize {
        self.pos
    }

    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.pos).copied()
    }

    #[inline]
    pub(crate) fn at_end(&self) -> bool {
        self.pos >= self.text.len()
    }

    /// What is left.
    #[inline]
    pub(crate) fn rest(&self) -> &'a str {
        self.text.get(self.pos..).unwrap_or_default()
    }

    /// The text from `start` up to here.
    #[inline]
    pub(crate) fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.pos).unwrap_or_default()
    }

    /// Moves to `pos`, which is a boundary: next to an ASCII character or at an end.
    #[inline]
    pub(crate) fn seek(&mut self, pos: usize) {
        self.pos = pos;
    }

    /// Goes past `byte` (ASCII) if it is next.
    #[inline]
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.pos += usize::from(found);
        found
    }

    #[inline]
    pub(crate) fn skip_ws(&mut self) {
        if self.peek().is_some_and(|b| b <= b' ') {
            self.pos = run_end(self.text.as_bytes(), self.pos, WS);
        }
    }

    /// The run of `class`, which may be empty.
    #[inline]
    pub(crate) fn take(&mut self, class: u16) -> &'a str {
        let start = self.pos;
        self.pos = run_end(self.text.as_bytes(), start, class);
        self.since(start)
    }

    /// A run of `class` that may not be empty.
    #[inline]
    pub(crate) fn need(&mut self, class: u16, rule: &'static str) -> Result<&'a str, ParseError> {
        let run = self.take(class);
        if run.is_empty() { Err(self.fail(rule)) } else { Ok(run) }
    }

    /// The position of `byte` at or after this one.
    #[inline]
    pub(crate) fn find(&self, byte: u8) -> Option<usize> {
        memchr::memchr(byte, self.text.as_bytes().get(self.pos..)?).map(|at| self.pos + at)
    }

    /// The rule is broken here.
    #[cold]
    pub(crate) fn fail(&self, rule: &'static str) -> ParseError {
        ParseError { offset: self.pos, rule }
    }
}
