//! Escapes: `%` and two hexadecimal digits (RFC 3261 §19.1.2). A URI is split first and decoded after.

use crate::grammar::{USER, is};
use crate::header::ParseError;
use std::borrow::Cow;
use std::fmt::Write;

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|d| d as u8)
}

/// The octets of a text, escapes undone.
pub(crate) fn octets(text: &str) -> impl Iterator<Item = u8> + '_ {
    marked(text).map(|(octet, _)| octet)
}

/// The octets of a text, escapes undone, with a mark on those that were escaped.
pub(crate) fn marked(text: &str) -> impl Iterator<Item = (u8, bool)> + '_ {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        let (first, after) = rest.split_first()?;
        let escape = match (first, after) {
            (b'%', [high, low, tail @ ..]) => hex(*high).zip(hex(*low)).map(|(h, l)| (h << 4 | l, tail)),
            _ => None,
        };
        let (octet, tail) = escape.unwrap_or((*first, after));
        rest = tail;
        Some((octet, escape.is_some()))
    })
}

/// Undoes the escapes, once. `%00` is an octet like others (RFC 4475 §3.1.1.4).
pub fn decode(text: &str) -> Cow<'_, [u8]> {
    match memchr::memchr(b'%', text.as_bytes()) {
        None => Cow::Borrowed(text.as_bytes()),
        Some(_) => Cow::Owned(octets(text).collect()),
    }
}

/// Escapes all octets that are not in `class`, and `%` and `#`, which the class of the user has for reading only.
pub(crate) fn encode(octets: impl IntoIterator<Item = u8>, class: u16) -> String {
    let octets = octets.into_iter();
    let mut text = String::with_capacity(octets.size_hint().0);
    for octet in octets {
        if !matches!(octet, b'%' | b'#') && is(octet, class) {
            text.push(char::from(octet));
        } else {
            // Writing to a String does not fail.
            let _ = write!(text, "%{octet:02X}");
        }
    }
    text
}

/// A text as the user part of a URI has it: what may not stand there is escaped.
pub fn escape_user(user: &str) -> String {
    encode(user.bytes(), USER)
}

/// Checks that each `%` of a part begins an escape; `offset` is where the part starts.
#[inline]
pub(crate) fn check(part: &str, offset: usize) -> Result<(), ParseError> {
    let bytes = part.as_bytes();
    for at in memchr::memchr_iter(b'%', bytes) {
        if !bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
            return Err(ParseError { offset: offset + at, rule: "URI: `%` without two hexadecimal digits" });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_once() {
        assert_eq!(&*decode("v%61lue%25%34%31"), b"value%41");
        assert_eq!(&*decode("null-%00-null"), b"null-\0-null");
        assert!(matches!(decode("plain"), Cow::Borrowed(_)));
        assert_eq!(encode(*b"a b%\0;", USER), "a%20b%25%00;");
    }

    #[test]
    fn an_escape_has_two_digits() {
        assert!(check("%4a%00", 0).is_ok());
        for (text, offset) in [("%", 5), ("a%4", 6), ("%4g", 5), ("%41%zz", 8)] {
            assert_eq!(check(text, 5).map_err(|e| e.offset), Err(offset));
        }
    }
}
