//! Splits a header's value at its top-level commas (RFC 3261 §7.3.1).

use super::{quoted_end, trim};
use memchr::{memchr, memchr2};

/// The values of a list, in order. See [`split_list`].
#[derive(Clone, Debug)]
pub struct ListIter<'a> {
    rest: Option<&'a str>,
    open: Open,
}

/// What was found not to close. From there on it is plain text: to seek its end again from each place where it might
/// open would take time with the square of the length, which a peer chooses.
#[derive(Clone, Copy, Debug, Default)]
struct Open {
    quote: bool,
    angle: bool,
}

/// Splits a value at commas that stand outside quotes and `<>`; white space around is trimmed. No list has comments
/// (RFC 3261 §25.1), so parentheses are characters like others. An empty
/// value is an empty list; an empty element (`a,,b`) is given as an empty text, which no value's parser takes.
pub fn split_list(value: &str) -> ListIter<'_> {
    let value = trim(value);
    ListIter { rest: (!value.is_empty()).then_some(value), open: Open::default() }
}

impl<'a> ListIter<'a> {
    /// What was not given yet, as it stands.
    pub fn rest(&self) -> &'a str {
        self.rest.map_or("", trim)
    }
}

impl<'a> Iterator for ListIter<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest?;
        let Some(comma) = memchr(b',', rest.as_bytes()).and_then(|first| self.open.top_level_comma(rest, first)) else {
            self.rest = None;
            return Some(trim(rest));
        };
        self.rest = rest.get(comma + 1..);
        rest.get(..comma).map(trim)
    }
}

impl Open {
    /// The first comma at top level, where `first` is the first of all commas.
    fn top_level_comma(&mut self, text: &str, first: usize) -> Option<usize> {
        let bytes = text.as_bytes();
        if memchr2(b'"', b'<', bytes.get(..first)?).is_none() {
            return Some(first);
        }
        let mut pos = 0;
        while let Some(byte) = bytes.get(pos) {
            let end = match byte {
                b',' => return Some(pos),
                // What does not close is plain text: then its value's parser says what is wrong with it.
                b'"' => seek(&mut self.quote, || quoted_end(bytes, pos)),
                b'<' => seek(&mut self.angle, || memchr(b'>', bytes.get(pos..)?).map(|close| pos + close))
                    .and_then(|close| enclosed(bytes, pos, close)),
                _ => None,
            };
            pos = end.unwrap_or(pos + 1);
        }
        None
    }
}

/// Seeks an end unless there is none.
fn seek(none: &mut bool, end: impl FnOnce() -> Option<usize>) -> Option<usize> {
    let found = if *none { None } else { end() };
    *none = found.is_none();
    found
}

/// Past the `>` at `close`, for the `<` at `open`. A second `<` between them means that the first does not enclose.
fn enclosed(bytes: &[u8], open: usize, close: usize) -> Option<usize> {
    let nested = memchr(b'<', bytes.get(open + 1..close)?).is_some();
    (!nested).then_some(close + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<&str> {
        split_list(text).collect()
    }

    #[test]
    fn splits_at_top_level_only() {
        assert_eq!(split("a, b ,\r\n c"), ["a", "b", "c"]);
        assert_eq!(split("\"x, \\\" y\" <sip:a,b@c>;q=1, <sip:d>"), ["\"x, \\\" y\" <sip:a,b@c>;q=1", "<sip:d>"]);
        assert_eq!(split("a(, b), \"(\", c"), ["a(", "b)", "\"(\"", "c"]);
        assert_eq!(split("one"), ["one"]);
    }

    #[test]
    fn empty_elements_stay_visible() {
        assert_eq!(split(""), Vec::<&str>::new());
        assert_eq!(split(" \r\n "), Vec::<&str>::new());
        assert_eq!(split("a,,b"), ["a", "", "b"]);
        assert_eq!(split("a;,;,,"), ["a;", ";", "", ""]);
    }

    #[test]
    fn what_does_not_close_encloses_nothing() {
        assert_eq!(split("\"a, b"), ["\"a", "b"]);
        assert_eq!(split("<a, b"), ["<a", "b"]);
        assert_eq!(split("<a, <b>"), ["<a", "<b>"]);
    }

    /// A million octets: with the square of that, this would not end.
    #[test]
    fn what_does_not_close_is_sought_once() {
        for piece in ["\"\\", "<,"] {
            let text = piece.repeat(1_000_000 / piece.len());
            assert_eq!(split(&format!("{text},")).len(), text.matches(',').count() + 2, "{piece}");
        }
    }
}
