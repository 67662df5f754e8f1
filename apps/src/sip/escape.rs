//! What peers send, made safe for a terminal: no octet of theirs moves a cursor, clears a screen or turns a line round.

use std::borrow::Cow;

/// Whether a character is not to reach a terminal: controls (C0, DEL and C1, which terminals obey in UTF-8 too) and those
/// that change the direction of writing.
fn is_bad(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escaped(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if keep(c) || !is_bad(c) => out.push(c),
            '\r' => out.push_str("\\r"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
        }
    }
    out
}

/// A text in one line.
pub(super) fn line(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_bad) { Cow::Owned(escaped(text, |_| false)) } else { Cow::Borrowed(text) }
}

/// Octets in one line: those that are no UTF-8 as `\xff`.
pub(super) fn octets(octets: &[u8]) -> String {
    let mut out = String::new();
    for chunk in octets.utf8_chunks() {
        out.push_str(&line(chunk.valid()));
        chunk.invalid().iter().for_each(|octet| out.push_str(&format!("\\x{octet:02x}")));
    }
    out
}

/// Octets in the lines that they have; tabs stay, and the CR of a line's end is left out.
pub(super) fn lines(octets: &[u8]) -> String {
    let mut out = String::new();
    for chunk in octets.utf8_chunks() {
        out.push_str(&escaped(&chunk.valid().replace("\r\n", "\n"), |c| matches!(c, '\n' | '\t')));
        chunk.invalid().iter().for_each(|octet| out.push_str(&format!("\\x{octet:02x}")));
    }
    out
}

/// JSON whose texts have no such characters as they are: it says the same.
pub(super) fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut units = [0; 2];
    for c in text.chars() {
        match c {
            c if is_bad(c) => {
                c.encode_utf16(&mut units).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal() {
        assert_eq!(line("OK"), "OK");
        assert_eq!(line("a\x1b[2Jb\r\n\tc\u{9b}31m\u{202e}d"), "a\\u{1b}[2Jb\\r\\n\\tc\\u{9b}31m\\u{202e}d");
        assert_eq!(octets(b"\xff\x1b["), "\\xff\\u{1b}[");
        assert_eq!(lines(b"one\r\n\ttwo\x07\r\nthree\rfour\xfe"), "one\n\ttwo\\u{7}\nthree\\rfour\\xfe");
        assert_eq!(line("grüße 港口"), "grüße 港口");
    }

    #[test]
    fn json_says_the_same() {
        let value = serde_json::json!({"a": "x\u{9b}\u{7f}\u{202e}\n\"y"});
        let safe = json(&value.to_string());
        assert!(safe.chars().all(|c| !is_bad(c)), "{safe}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).expect("JSON"), value);
    }
}
