//! Printing: runs of untouched lines are copied as they came.

use super::index::read_length;
use super::{Body, Message, Names};
use crate::header::HeaderId;
use bytes::Bytes;

/// Room for a Content-Length line that is added.
const LENGTH: usize = "Content-Length: 18446744073709551615\r\n".len();

impl Message {
    /// The message's octets. An untouched message is its own buffer, not a copy.
    pub fn to_bytes(&self) -> Bytes {
        if !self.touched {
            return self.raw.clone();
        }
        // Of the exact size mostly: what a transaction keeps takes no more memory than it must.
        let lines: usize = self.fields.iter().map(|field| (field.end - field.start) as usize).sum();
        let length = if self.has(HeaderId::CONTENT_LENGTH) { 0 } else { LENGTH };
        let start = (self.start.end - self.start.start) as usize;
        let mut out = Vec::with_capacity(start + lines + length + 2 + self.body().len());
        self.print(&mut out);
        Bytes::from(out)
    }

    /// The octets as they were received, whatever was written since.
    pub(crate) fn raw_bytes(&self) -> Bytes {
        self.raw.clone()
    }

    /// Octets that it holds: no fewer than it is printed with.
    pub fn octets(&self) -> usize {
        let body = if let Body::New(body) = &self.body { body.len() } else { 0 };
        // The longest name that has a compact form.
        let names = if self.names == Names::Full { self.fields.len() * "Request-Disposition".len() } else { 0 };
        self.raw.len() + self.written.len() + LENGTH + body + names
    }

    /// Appends the message's octets to `out`. A message that was written to gets a Content-Length where there is none,
    /// and the right one where it has another than the body's.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        if self.touched { self.print(out) } else { out.extend_from_slice(&self.raw) }
    }

    /// How the names of its headers are written from now on.
    pub fn set_names(&mut self, names: Names) {
        (self.names, self.touched) = (names, true);
    }

    fn print(&self, out: &mut Vec<u8>) {
        if self.names != Names::AsTheyAre {
            return self.print_with(self.names, out);
        }
        let body = self.body();
        let (mut buffer, mut from, mut to) = (self.start.buffer, self.start.start, self.start.end);
        let mut has_length = false;
        for field in &self.fields {
            if field.id == HeaderId::CONTENT_LENGTH {
                if read_length(self.value(field)) != Some(body.len()) {
                    continue;
                }
                has_length = true;
            }
            if field.buffer == buffer && field.start == to {
                to = field.end;
            } else {
                out.extend_from_slice(self.span(buffer, from, to));
                (buffer, from, to) = (field.buffer, field.start, field.end);
            }
        }
        out.extend_from_slice(self.span(buffer, from, to));
        if !has_length {
            let mut digits = [0; 20];
            out.extend_from_slice(b"Content-Length: ");
            out.extend_from_slice(decimal(body.len() as u64, &mut digits).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(body);
    }

    /// Line by line, each with another name.
    fn print_with(&self, names: Names, out: &mut Vec<u8>) {
        let (start, body) = (&self.start, self.body());
        out.extend_from_slice(self.span(start.buffer, start.start, start.end));
        let name = |id: HeaderId, out: &mut Vec<u8>| match id.compact().filter(|_| names == Names::Compact) {
            Some(letter) => out.push(letter),
            None => out.extend_from_slice(id.name().as_bytes()),
        };
        for field in self.fields.iter().filter(|field| field.id != HeaderId::CONTENT_LENGTH) {
            if field.id == HeaderId::UNKNOWN || field.id.compact().is_none() {
                out.extend_from_slice(self.span(field.buffer, field.start, field.end));
                continue;
            }
            name(field.id, out);
            out.extend_from_slice(b": ");
            out.extend_from_slice(self.span(field.buffer, field.value, field.value_end));
            out.extend_from_slice(b"\r\n");
        }
        name(HeaderId::CONTENT_LENGTH, out);
        out.extend_from_slice(b": ");
        out.extend_from_slice(decimal(body.len() as u64, &mut [0; 20]).as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(body);
    }

    /// Whether anything was written since the message was received.
    pub fn is_touched(&self) -> bool {
        self.touched
    }
}

/// A number in decimal, without the formatting machinery.
pub(crate) fn decimal(mut n: u64, digits: &mut [u8; 20]) -> &str {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            return std::str::from_utf8(&digits[at..]).unwrap_or_default();
        }
    }
}
