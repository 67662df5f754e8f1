//! A JSON object as it is put together, one field after the other. Its names are ours, and written as they stand: a general
//! serializer looks at each of their octets, and the lines of a call have some thirty.

use stack::transport::TransportType;
use stack::uri::Host;
use std::io::Write as _;
use std::net::SocketAddr;

/// An object at the end of a text. Writing to a text does not fail.
pub(super) struct Object<'t>(&'t mut Vec<u8>);

impl<'t> Object<'t> {
    /// The beginning, with a field.
    pub(super) fn new(name: &'static str, value: &'static str, text: &'t mut Vec<u8>) -> Self {
        text.push(b'{');
        put_quoted(name, text);
        text.push(b':');
        put_quoted(value, text);
        Object(text)
    }

    fn name(&mut self, name: &'static str) {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    pub(super) fn text(&mut self, name: &'static str, value: &str) {
        self.name(name);
        put_quoted(value, self.0);
    }

    /// A time, as [`super::line::Stamps`] writes it.
    pub(super) fn time(&mut self, name: &'static str, stamp: &[u8; 24]) {
        self.name(name);
        self.0.push(b'"');
        self.0.extend_from_slice(stamp);
        self.0.push(b'"');
    }

    /// Where the next field begins.
    pub(super) fn here(&self) -> usize {
        self.0.len()
    }

    /// The fields from there on.
    pub(super) fn since(&self, start: usize) -> &[u8] {
        self.0.get(start..).unwrap_or_default()
    }

    /// Fields that were written before.
    pub(super) fn fields(&mut self, fields: &[u8]) {
        self.0.extend_from_slice(fields);
    }

    /// A field, if there is something.
    pub(super) fn some(&mut self, name: &'static str, value: Option<&str>) {
        value.into_iter().for_each(|value| self.text(name, value));
    }

    pub(super) fn number(&mut self, name: &'static str, value: u64) {
        self.name(name);
        let _ = serde_json::to_writer(&mut *self.0, &value);
    }

    /// A list, if there is something in it.
    pub(super) fn list<T: AsRef<str>>(&mut self, name: &'static str, values: impl Iterator<Item = T>) {
        let mut before = b'[';
        for value in values {
            if before == b'[' {
                self.name(name);
            }
            self.0.push(std::mem::replace(&mut before, b','));
            put_quoted(value.as_ref(), self.0);
        }
        if before == b',' {
            self.0.push(b']');
        }
    }

    /// Where something came from: `udp:192.0.2.1:5060`.
    pub(super) fn place(&mut self, name: &'static str, kind: TransportType, at: SocketAddr) {
        self.name(name);
        // A host writes an address faster than the standard library does.
        let _ = write!(self.0, "\"{}:{}:{}\"", kind.as_param(), Host::from(at.ip()), at.port());
    }

    /// Its end, and that of its line.
    pub(super) fn end(self) {
        self.0.extend_from_slice(b"}\n");
    }
}

/// Whether an octet needs an escape, found without a branch for each of them.
fn has_special(octets: &[u8]) -> bool {
    let is_special = |octet: u8| octet < 0x20 || octet == b'"' || octet == b'\\';
    let any = |octets: &[u8; 16]| octets.iter().fold(false, |any, octet| any | is_special(*octet));
    match octets.last_chunk() {
        // The last sixteen overlap those before them.
        Some(last) => octets.as_chunks().0.iter().any(any) || any(last),
        None => octets.iter().fold(false, |any, octet| any | is_special(*octet)),
    }
}

/// Writes a string of JSON. Few need an escape.
fn put_quoted(value: &str, text: &mut Vec<u8>) {
    if has_special(value.as_bytes()) {
        let _ = serde_json::to_writer(text, value);
        return;
    }
    text.push(b'"');
    text.extend_from_slice(value.as_bytes());
    text.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn an_octet_that_needs_an_escape_is_found_wherever_it_is() {
        for octets in 0..50 {
            let text = vec![b'a'; octets];
            assert!(!has_special(&text));
            for (at, special) in (0..octets).flat_map(|at| [0, 0x1f, b'"', b'\\'].map(|special| (at, special))) {
                let mut text = text.clone();
                text[at] = special;
                assert!(has_special(&text), "{at} of {octets}");
            }
        }
    }

    #[test]
    fn whatever_stands_in_it_can_be_read() {
        let all: Vec<String> = (0..=0x2ff).filter_map(char::from_u32).map(|any| format!("a{any}b")).collect();
        for value in all.iter().map(String::as_str).chain(["", "\"}\r\n{\"event\":\"x", "\\", "\u{2028}😀"]) {
            let mut text = Vec::new();
            let mut object = Object::new("event", "e", &mut text);
            object.text("text", value);
            object.some("some", Some(value));
            object.some("none", None);
            object.list("list", [value, "x"].into_iter());
            object.list("empty", std::iter::empty::<&str>());
            object.number("number", u64::MAX);
            object.place("place", TransportType::Wss, "[2001:db8::1]:5060".parse().unwrap());
            object.end();
            let line = text.strip_suffix(b"\n").unwrap();
            let expected = json!({
                "event": "e", "text": value, "some": value, "list": [value, "x"], "number": u64::MAX,
                "place": "wss:[2001:db8::1]:5060",
            });
            assert_eq!(serde_json::from_slice::<Value>(line).unwrap(), expected);
            assert!(!line.iter().any(|octet| *octet < 0x20), "{value:?}");
        }
    }
}
