//! Writing headers: the new line goes to the message's second buffer, the index points there.

use super::access::Access;
use super::index::{is_token, trimmed};
use super::print::decimal;
use super::reason::reason_phrase;
use super::{Body, Buffer, Field, Message, Source, StartKind, StartLine};
use crate::grammar::{is_token as is_token_text, quote, split_list};
use crate::header::{HeaderId, HeaderValue, Many, One};
use bytes::Bytes;
use std::fmt::{Display, Write as _};

/// The longest name that is written, in octets.
const MAX_NAME: usize = 1024;

/// Room for what a proxy writes into a request: a Via, a Record-Route, a Max-Forwards.
const WRITTEN: usize = 320;

impl Message {
    /// Sets a single header: replaces its first line and drops the others, or adds it at the end.
    pub fn set<T: HeaderValue>(&mut self, header: One<T>, value: &(impl Display + ?Sized)) {
        self.set_text(header.id, value);
    }

    /// Sets a single header whose value is a number: [`Message::set`] without the formatting machinery.
    pub fn set_number<T: HeaderValue>(&mut self, header: One<T>, number: u32) {
        self.set_line(header.id, |msg| msg.written.extend_from_slice(decimal(number.into(), &mut [0; 20]).as_bytes()));
    }

    /// Adds a value in front of a list: before its first line, or before all headers when there is none.
    pub fn push_front<T: HeaderValue>(&mut self, header: Many<T>, value: &(impl Display + ?Sized)) {
        let field = self.write_line(header.id, |msg| msg.write_display(value));
        self.insert_front(field);
    }

    /// Adds a value behind a list: after its last line, or after all headers when there is none.
    pub fn push_back<T: HeaderValue>(&mut self, header: Many<T>, value: &(impl Display + ?Sized)) {
        let field = self.write_line(header.id, |msg| msg.write_display(value));
        let at = self.fields.iter().rposition(|f| f.id == field.id).map_or(self.fields.len(), |at| at + 1);
        self.insert(at, field);
    }

    /// Removes every line of a header.
    pub fn remove<A: Access>(&mut self, header: A) {
        self.remove_id(header.id());
    }

    /// Removes the first value of a list, with empty lines before it, and returns whether there was one.
    pub fn pop_front<T: HeaderValue>(&mut self, header: Many<T>) -> bool {
        while let Some(at) = self.fields.iter().position(|f| f.id == header.id) {
            self.touched = true;
            let value = self.value(&self.fields[at]);
            let empty = value.is_empty();
            let rest = if header.id.is_list() { rest_of_list(value).map(<[u8]>::to_vec) } else { None };
            match rest {
                Some(rest) => self.fields[at] = self.write_line(header.id, |msg| msg.written.extend_from_slice(&rest)),
                None => {
                    self.fields.remove(at);
                }
            }
            if !empty {
                return true;
            }
        }
        false
    }

    /// Adds a header line that the stack does not know, at the end. What would forge headers is replaced: line ends in
    /// the value by spaces, characters of the name that no name has by `-`. Without a name, nothing is added.
    pub fn append_line(&mut self, name: &str, value: &str) {
        self.append_parts(name, &[value]);
    }

    /// [`Message::append_line`] with a value in parts, one behind the other.
    pub fn append_parts(&mut self, name: &str, parts: &[&str]) {
        let start = self.written.len();
        self.written.extend(name.bytes().take(MAX_NAME).map(|b| if is_token(b) { b } else { b'-' }));
        let name_len = self.written.len() - start;
        if name_len == 0 {
            return;
        }
        let id = HeaderId::lookup(&self.written[start..]);
        self.written.extend_from_slice(b": ");
        let value_at = self.written.len();
        parts.iter().for_each(|part| self.written.extend_from_slice(part.as_bytes()));
        self.unbreak(value_at);
        self.written.extend_from_slice(b"\r\n");
        let field = self.field_at(id, start, name_len, value_at);
        self.push(field);
    }

    /// Gives the lines of a header, known or not, new values: `new` is told the value of each; `None` leaves it as it is.
    pub fn rewrite_lines(&mut self, name: &str, mut new: impl FnMut(&[u8]) -> Option<String>) {
        let id = HeaderId::lookup(name.as_bytes());
        for at in 0..self.fields.len() {
            let Some(field) = self.fields.get(at).copied().filter(|field| field.id == id) else { continue };
            let its = self.span(field.buffer, field.start, field.start + u32::from(field.name_len));
            if id == HeaderId::UNKNOWN && !its.eq_ignore_ascii_case(name.as_bytes()) {
                continue;
            }
            if let Some(value) = new(self.value(&field)) {
                let before = self.fields.len();
                self.append_line(name, &value);
                // The new line takes the place of the old one.
                if self.fields.len() > before {
                    self.fields.swap_remove(at);
                }
            }
        }
    }

    /// Removes every line of a header, known or not.
    pub fn remove_lines(&mut self, name: &str) {
        let id = HeaderId::lookup(name.as_bytes());
        if id != HeaderId::UNKNOWN {
            return self.remove_id(id);
        }
        let is_it = |msg: &Message, field: &Field| {
            field.id == id
                && msg
                    .span(field.buffer, field.start, field.start + u32::from(field.name_len))
                    .eq_ignore_ascii_case(name.as_bytes())
        };
        let mut at = 0;
        while let Some(field) = self.fields.get(at).copied() {
            match is_it(self, &field) {
                true => {
                    self.fields.remove(at);
                    self.touched = true;
                }
                false => at += 1,
            }
        }
    }

    /// Makes it a response with another status, with the usual reason phrase; a request is left alone.
    pub fn set_status(&mut self, code: u16) {
        if let StartKind::Status { .. } = self.start.kind {
            self.write_status_line(code, reason_phrase(code));
        }
    }

    /// Replaces the Request-URI; a response is left alone.
    pub fn set_request_uri(&mut self, uri: &(impl Display + ?Sized)) {
        let StartKind::Request { method_end, .. } = self.start.kind else { return };
        let method = self.span(self.start.buffer, self.start.start, self.start.start + method_end).to_vec();
        self.write_request_line(&method, uri);
    }

    /// Replaces the body and its Content-Type (`None`: no body type).
    pub fn set_body(&mut self, content_type: Option<&str>, body: impl Into<Bytes>) {
        let body = body.into();
        self.remove_id(HeaderId::CONTENT_TYPE);
        if let Some(content_type) = content_type {
            self.set_text(HeaderId::CONTENT_TYPE, content_type);
        }
        self.set_text(HeaderId::CONTENT_LENGTH, &body.len());
        self.body = Body::New(body);
        self.touched = true;
    }

    /// Gives the message the same source as another: a response made for a request goes back on its flow.
    pub(crate) fn copy_source(&mut self, source: Option<Source>) {
        self.source = source;
    }

    /// Writes a first Via (or any list line) from octets that are known to be clean: no formatting.
    pub(crate) fn push_front_raw(&mut self, id: HeaderId, parts: &[&[u8]]) {
        let field = self.write_line(id, |msg| parts.iter().for_each(|part| msg.written.extend_from_slice(part)));
        self.insert_front(field);
    }

    /// Replaces the first value of a list by octets that are known to be clean.
    pub(crate) fn replace_first_raw<T: HeaderValue>(&mut self, header: Many<T>, parts: &[&[u8]]) {
        self.pop_front(header);
        self.push_front_raw(header.id, parts);
    }

    /// Writes octets that are known to be clean into a header's first line, so far behind the line's beginning, which is in
    /// its value or where that ends.
    pub(crate) fn splice_line(&mut self, id: HeaderId, at: usize, parts: &[&[u8]]) {
        let Some(place) = self.fields.iter().position(|f| f.id == id) else { return };
        let field = self.fields[place];
        self.make_room();
        let (start, middle) = (self.written.len(), field.start + at as u32);
        self.write_again(field.buffer, field.start, middle);
        parts.iter().for_each(|part| self.written.extend_from_slice(part));
        self.write_again(field.buffer, middle, field.end);
        let value = start + (field.value - field.start) as usize;
        self.fields[place] = self.field_at(id, start, usize::from(field.name_len), value);
        self.forget(id);
        self.touched = true;
    }

    /// Writes what is there already once more.
    fn write_again(&mut self, buffer: Buffer, start: u32, end: u32) {
        let range = start as usize..end as usize;
        match buffer {
            Buffer::Raw => self.written.extend_from_slice(self.raw.get(range).unwrap_or_default()),
            Buffer::Written if range.start <= range.end && range.end <= self.written.len() => {
                self.written.extend_from_within(range);
            }
            Buffer::Written => {}
        }
    }

    pub(super) fn write_request_line(&mut self, method: &[u8], uri: &(impl Display + ?Sized)) {
        let start = self.written.len();
        self.written.extend(method.iter().map(|b| if is_token(*b) { *b } else { b'-' }));
        self.written.push(b' ');
        let uri_start = self.written.len();
        self.write_display(uri);
        let uri_end = self.written.len();
        self.written.extend_from_slice(b" SIP/2.0\r\n");
        let kind = StartKind::Request { method_end: method.len() as u32, uri: (uri_start as u32, uri_end as u32) };
        self.set_start(start, kind);
    }

    pub(super) fn write_status_line(&mut self, code: u16, reason: &str) {
        let start = self.written.len();
        self.written.extend_from_slice(b"SIP/2.0 ");
        self.written.extend_from_slice(decimal(code.into(), &mut [0; 20]).as_bytes());
        self.written.push(b' ');
        let reason_start = self.written.len();
        self.written.extend_from_slice(reason.as_bytes());
        self.unbreak(reason_start);
        let kind = StartKind::Status { code, reason: (reason_start as u32, self.written.len() as u32) };
        self.written.extend_from_slice(b"\r\n");
        self.set_start(start, kind);
    }

    fn set_start(&mut self, start: usize, kind: StartKind) {
        self.forget_uri();
        self.start = StartLine { buffer: Buffer::Written, start: start as u32, end: self.written.len() as u32, kind };
        self.touched = true;
    }

    pub(super) fn set_text(&mut self, id: HeaderId, value: &(impl Display + ?Sized)) {
        self.set_line(id, |msg| msg.write_display(value));
    }

    pub(super) fn set_line(&mut self, id: HeaderId, write: impl FnOnce(&mut Self)) {
        let field = self.write_line(id, write);
        match self.fields.iter().position(|f| f.id == id) {
            Some(first) => {
                self.fields[first] = field;
                if self.is_repeated(id) {
                    let mut at = 0;
                    self.fields.retain(|f| {
                        at += 1;
                        f.id != id || at == first + 1
                    });
                }
            }
            None => self.push(field),
        }
        self.forget(id);
        self.touched = true;
    }

    pub(super) fn remove_id(&mut self, id: HeaderId) {
        if self.seen & (1 << id.0) != 0 {
            self.fields.retain(|f| f.id != id);
            self.seen &= !(1 << id.0);
            self.repeated &= !(1 << id.0);
            self.forget(id);
            self.touched = true;
        }
    }

    /// Copies a line of another message as it stands.
    pub(super) fn copy_line(&mut self, from: &Message, field: &Field) {
        let start = self.written.len() as u32;
        self.written.extend_from_slice(from.span(field.buffer, field.start, field.end));
        if !self.written.ends_with(b"\n") {
            self.written.extend_from_slice(b"\r\n");
        }
        let here = |at: u32| start + (at - field.start);
        let (value, value_end, end) = (here(field.value), here(field.value_end), self.written.len() as u32);
        self.push(Field { start, value, value_end, end, buffer: Buffer::Written, ..*field });
    }

    /// Copies a line of another message, and gives its value a tag.
    pub(super) fn copy_tagged(&mut self, from: &Message, field: &Field, tag: &str) {
        let start = self.written.len();
        self.written.extend_from_slice(from.span(field.buffer, field.start, field.value_end));
        self.write_tag(tag);
        self.written.extend_from_slice(b"\r\n");
        let value = start + (field.value - field.start) as usize;
        let field = self.field_at(field.id, start, usize::from(field.name_len), value);
        self.push(field);
    }

    /// Appends the header fields of another message, but for those that it has already.
    pub(crate) fn append_fields_of(&mut self, other: &Message) {
        let own = self.seen & !(1 << HeaderId::UNKNOWN.0);
        other.fields.iter().filter(|field| own & (1 << field.id.0) == 0).for_each(|field| self.copy_line(other, field));
    }

    /// Writes a line whose value `write` appends, without what would end the line.
    fn write_line(&mut self, id: HeaderId, write: impl FnOnce(&mut Self)) -> Field {
        self.make_room();
        let start = self.written.len();
        self.written.extend_from_slice(id.name().as_bytes());
        let name_len = self.written.len() - start;
        self.written.extend_from_slice(b": ");
        let value_at = self.written.len();
        write(self);
        self.written.extend_from_slice(b"\r\n");
        self.field_at(id, start, name_len, value_at)
    }

    /// For what a proxy writes, at once.
    fn make_room(&mut self) {
        if self.written.capacity() == 0 {
            self.written.reserve(WRITTEN);
        }
    }

    /// Formats a value.
    fn write_display(&mut self, value: &(impl Display + ?Sized)) {
        let from = self.written.len();
        let mut out = Octets(&mut self.written);
        // Writing to a Vec cannot fail, and a Display that fails by itself leaves what it wrote.
        let _ = write!(out, "{value}");
        self.unbreak(from);
    }

    pub(super) fn write_tag(&mut self, tag: &str) {
        self.written.extend_from_slice(b";tag=");
        match is_token_text(tag) {
            true => self.written.extend_from_slice(tag.as_bytes()),
            false => self.written.extend_from_slice(quote(tag).as_bytes()),
        }
    }

    /// A CR or LF in what was written from here on would forge a header, so it becomes a space.
    fn unbreak(&mut self, mut from: usize) {
        while let Some(at) = self.written.get(from..).and_then(|text| memchr::memchr2(b'\r', b'\n', text)) {
            from += at;
            self.written[from] = b' ';
        }
    }

    fn field_at(&self, id: HeaderId, start: usize, name_len: usize, value: usize) -> Field {
        let (value, value_end) = trimmed(&self.written, value, self.written.len());
        Field {
            start: start as u32,
            value: value as u32,
            value_end: value_end as u32,
            end: self.written.len() as u32,
            name_len: name_len as u16,
            id,
            buffer: Buffer::Written,
        }
    }

    fn insert_front(&mut self, field: Field) {
        let at = self.fields.iter().position(|f| f.id == field.id).unwrap_or(0);
        self.insert(at, field);
    }

    fn insert(&mut self, at: usize, field: Field) {
        self.note(field.id);
        self.fields.insert(at, field);
    }

    fn push(&mut self, field: Field) {
        self.note(field.id);
        self.fields.push(field);
    }

    /// A line of this header is added.
    fn note(&mut self, id: HeaderId) {
        let bit = 1u128 << id.0;
        self.repeated |= self.seen & bit;
        self.seen |= bit;
        self.forget(id);
        self.touched = true;
    }
}

/// What stands behind the first comma of a list; `None` when there is one value.
fn rest_of_list(value: &[u8]) -> Option<&[u8]> {
    memchr::memchr(b',', value)?;
    let text = std::str::from_utf8(value).ok()?;
    let mut split = split_list(text);
    split.next()?;
    let rest = split.rest();
    (!rest.is_empty()).then_some(rest.as_bytes())
}

struct Octets<'a>(&'a mut Vec<u8>);

impl std::fmt::Write for Octets<'_> {
    fn write_str(&mut self, s: &str) -> std::fmt::Result {
        self.0.extend_from_slice(s.as_bytes());
        Ok(())
    }
}
