//! Quoted strings and folded lines.

use super::{WS, is, run_end};
use memchr::memchr2;
use std::borrow::Cow;
use std::fmt;

/// The end (past the closing quote) of the `quoted-string` that opens at `open`; `None` if it does not close.
pub fn quoted_end(bytes: &[u8], open: usize) -> Option<usize> {
    let mut pos = open + 1;
    loop {
        pos += memchr2(b'"', b'\\', bytes.get(pos..)?)?;
        if bytes[pos] == b'"' {
            return Some(pos + 1);
        }
        pos += 2;
    }
}

/// What a `quoted-string` says: without quotes and backslashes. Other text is given back as it is.
pub fn unquote(text: &str) -> Cow<'_, str> {
    let Some(inner) = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) else {
        return Cow::Borrowed(text);
    };
    if !inner.contains(['\\', '\r', '\n']) {
        return Cow::Borrowed(inner);
    }
    let mut plain = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => plain.extend(chars.next()),
            _ => plain.push(c),
        }
    }
    Cow::Owned(plain)
}

/// `text` as a `quoted-string`, quotes included. CR and LF have no form there and become spaces.
pub fn quote(text: &str) -> String {
    QuotedText(text).to_string()
}

/// Prints a text as a `quoted-string`.
#[derive(Clone, Copy, Debug)]
pub struct QuotedText<'a>(pub &'a str);

impl fmt::Display for QuotedText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                '\r' | '\n' => f.write_char(' ')?,
                // `qdtext` has no control characters, `quoted-pair` has.
                '\0'..='\x1f' | '\x7f' if c != '\t' => write!(f, "\\{c}")?,
                _ => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

/// `text` with each line fold (line break and the white space around it) as one space (RFC 3261 §7.3.1).
pub fn unfold(text: &str) -> Cow<'_, str> {
    if memchr2(b'\r', b'\n', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(Unfolded(text).to_string())
}

/// Prints a text with each line fold as one space: what is printed has no line breaks.
#[derive(Clone, Copy, Debug)]
pub struct Unfolded<'a>(pub &'a str);

impl fmt::Display for Unfolded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = memchr2(b'\r', b'\n', rest.as_bytes()) {
            let line = rest.get(..at).unwrap_or_default();
            f.write_str(line.trim_end_matches(|c: char| c.is_ascii() && is(c as u8, WS)))?;
            f.write_str(" ")?;
            rest = rest.get(run_end(rest.as_bytes(), at, WS)..).unwrap_or_default();
        }
        f.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting() {
        assert_eq!(unquote(r#""J Rosenberg \\\"""#), "J Rosenberg \\\"");
        assert_eq!(unquote("\"BEL:\\\x07 NUL:\\\0 DEL:\\\x7f\""), "BEL:\x07 NUL:\0 DEL:\x7f");
        assert_eq!(unquote("plain"), "plain");
        assert_eq!(quote("a \"b\" \\ \r\nX: y"), "\"a \\\"b\\\" \\\\   X: y\"");
        assert_eq!(quoted_end(br#""a\"b" x"#, 0), Some(6));
        assert_eq!(quoted_end(br#""a\""#, 0), None);
        assert_eq!(quoted_end(b"\"a\\", 0), None);
    }

    #[test]
    fn unfolding() {
        assert_eq!(
            unfold("newfangled value\r\n continued newfangled value"),
            "newfangled value continued newfangled value"
        );
        assert_eq!(unfold("a \n\tb\r\n c"), "a b c");
        assert!(matches!(unfold("plain"), Cow::Borrowed(_)));
    }
}
