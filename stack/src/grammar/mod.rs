//! The lexical rules that the headers and URIs share (RFC 3261 §25.1): character classes, a cursor for the
//! hand-written parsers on the message path, and `nom` rules for all others.

mod cursor;
pub(crate) mod rules;
mod split;
mod text;

pub(crate) use cursor::Cursor;
pub use split::{ListIter, split_list};
pub use text::{QuotedText, Unfolded, quote, quoted_end, unfold, unquote};

/// White space between tokens: SP, HTAB, and the CR and LF of a folded line.
pub(crate) const WS: u16 = 1;
/// `token`.
pub(crate) const TOKEN: u16 = 2;
/// `user`, with `%`. `#` is not in the RFC's rule, but dialled service codes bring it.
pub(crate) const USER: u16 = 4;
/// `password`, with `%`.
pub(crate) const PASSWORD: u16 = 8;
/// `paramchar` of a URI parameter, with `%`.
pub(crate) const PARAM: u16 = 16;
/// `hname` and `hvalue` of a URI header, with `%`, `=` and `&`.
pub(crate) const HNV: u16 = 32;
/// Characters of a host name; `_` is not in the RFC's rule, but host names have it.
pub(crate) const HOST: u16 = 64;
/// A parameter's unquoted value. The RFC has `token / host`; implementations put more there, so all is taken that
/// cannot be confused with a separator.
pub(crate) const VALUE: u16 = 128;
/// Characters of a Call-ID. The RFC's rule is `word [ "@" word ]`; taken is all that cannot be confused with a separator
/// of values, for what a peer chose as the name of a call has to come back to it.
pub(crate) const CALL_ID: u16 = 256;

/// All octets that mean nothing to whoever looks for the next parameter.
pub(crate) const PLAIN: u16 = 512;

const fn contains(set: &[u8], byte: u8) -> bool {
    let mut i = 0;
    while i < set.len() {
        if set[i] == byte {
            return true;
        }
        i += 1;
    }
    false
}

const fn classes() -> [u16; 256] {
    let mut table = [0u16; 256];
    let mut i = 0;
    while i < 256 {
        let b = i as u8;
        let alnum = b.is_ascii_alphanumeric();
        let unreserved = alnum || contains(b"-_.!~*'()%", b);
        let mut class = 0;
        if contains(b" \t\r\n", b) {
            class |= WS;
        }
        if alnum || contains(b"-.!%*_+`'~", b) {
            class |= TOKEN;
        }
        if unreserved || contains(b"&=+$,;?/#", b) {
            class |= USER;
        }
        if unreserved || contains(b"&=+$,", b) {
            class |= PASSWORD;
        }
        if unreserved || contains(b"[]/:&+$", b) {
            class |= PARAM;
        }
        if unreserved || contains(b"[]/?:+$&=", b) {
            class |= HNV;
        }
        if alnum || contains(b"-._", b) {
            class |= HOST;
        }
        if b >= 0x80 || (b.is_ascii_graphic() && !contains(b";,\"<>\\", b)) {
            class |= VALUE;
        }
        if b.is_ascii_graphic() && !contains(b",;", b) {
            class |= CALL_ID;
        }
        if !contains(b";=\"<", b) {
            class |= PLAIN;
        }
        table[i] = class;
        i += 1;
    }
    table
}

static CLASSES: [u16; 256] = classes();

/// Whether `byte` belongs to one of the classes.
#[inline]
pub(crate) fn is(byte: u8, class: u16) -> bool {
    CLASSES[byte as usize] & class != 0
}

/// Where the run of `class` that starts at `from` ends.
#[inline]
pub(crate) fn run_end(bytes: &[u8], from: usize, class: u16) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    from + rest.iter().position(|b| !is(*b, class)).unwrap_or(rest.len())
}

/// `text` without white space at its ends.
#[inline]
pub(crate) fn trim(text: &str) -> &str {
    if let [first, .., last] = text.as_bytes()
        && *first > b' '
        && *last > b' '
    {
        return text;
    }
    text.trim_matches(|c: char| c.is_ascii() && is(c as u8, WS))
}

/// Whether `text` is one or more characters of `class`.
pub(crate) fn all(text: &str, class: u16) -> bool {
    !text.is_empty() && text.bytes().all(|b| is(b, class))
}

/// Whether `text` is a `token`.
pub fn is_token(text: &str) -> bool {
    all(text, TOKEN)
}
