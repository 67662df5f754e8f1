//! From octets to an index: the start line, the header lines, and where the body begins.
//!
//! The loop over the lines is the hottest of the stack: one `memchr` for the line end, a short walk to the colon,
//! and a perfect look-up of the name. Nothing is parsed.

use super::{Body, Buffer, Field, Message, StartKind, StartLine};
use crate::header::HeaderId;
use bytes::{Buf, Bytes};
use memchr::memchr;
use smallvec::SmallVec;

/// Bounds on what a peer may send. Octets, except `headers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The start line.
    pub start_line: usize,
    /// One header line with its folded continuations.
    pub header_line: usize,
    /// The number of header lines.
    pub headers: usize,
    /// A whole message.
    pub message: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { start_line: 8 * 1024, header_line: 16 * 1024, headers: 256, message: 256 * 1024 }
    }
}

/// What is wrong with a message's framing or start line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Fault {
    /// There is no start line, or it is neither a request line nor a status line.
    #[error("start line is neither a request line nor a status line")]
    StartLine,
    /// The request line does not hold a method, a URI and a version with one space between them (RFC 3261 §7.1).
    #[error("request line is not Method SP Request-URI SP SIP-Version")]
    RequestLine,
    /// The Request-URI breaks the grammar: brackets, white space or headers.
    #[error("malformed Request-URI")]
    RequestUri,
    /// The version is not SIP/2.0 (RFC 3261 §21.5.6).
    #[error("SIP version not supported")]
    Version,
    /// The status code is not three digits from 100 to 699.
    #[error("status code out of range")]
    StatusCode,
    /// [`Limits::start_line`] is passed.
    #[error("start line too long")]
    StartLineTooLong,
    /// [`Limits::header_line`] is passed.
    #[error("header line too long")]
    HeaderLineTooLong,
    /// [`Limits::headers`] is passed.
    #[error("too many header lines")]
    TooManyHeaders,
    /// [`Limits::message`] is passed.
    #[error("message too large")]
    MessageTooLarge,
    /// A header line has no colon or its name is not a token.
    #[error("header line without a name and colon")]
    HeaderLine,
    /// The headers do not end with an empty line.
    #[error("headers do not end with an empty line")]
    Unterminated,
    /// Content-Length is not a number.
    #[error("Content-Length is not a number")]
    ContentLength,
    /// There are two Content-Length headers that differ.
    #[error("conflicting Content-Length headers")]
    ConflictingContentLength,
    /// The body is shorter than Content-Length says (RFC 3261 §18.3).
    #[error("body shorter than Content-Length")]
    Truncated,
    /// A message on a stream has no Content-Length (RFC 3261 §20.14).
    #[error("no Content-Length on a stream")]
    NoContentLength,
}

impl Fault {
    /// The status that answers a request with this fault.
    pub const fn status(self) -> u16 {
        match self {
            Fault::Version => 505,
            Fault::StartLineTooLong => 414,
            Fault::MessageTooLarge => 513,
            _ => 400,
        }
    }
}

impl From<Fault> for u16 {
    fn from(fault: Fault) -> u16 {
        fault.status()
    }
}

/// The index of a header section, before it is a message.
pub(crate) struct Indexed {
    pub(super) start: StartLine,
    pub(super) fields: SmallVec<[Field; super::INLINE_FIELDS]>,
    pub(super) seen: u128,
    pub(super) repeated: u128,
    /// Where the body begins.
    pub(crate) body: usize,
    pub(crate) fault: Option<Fault>,
    /// Why Content-Length cannot be trusted, if it cannot: kept apart, because another fault may have come first.
    pub(crate) unframed: Option<Fault>,
    pub(crate) content_length: Option<usize>,
}

impl Message {
    /// Reads one message from a buffer that holds exactly one: a datagram. The body goes to the end of the buffer
    /// or as far as Content-Length says (RFC 3261 §18.3); what is behind it is cut off.
    ///
    /// # Errors
    /// When there is no start line to be found. A message with a start line is always returned, and
    /// [`Message::fault`] says what else is wrong, so that a request can be answered.
    pub fn parse(bytes: impl Into<MessageBytes>) -> Result<Message, Fault> {
        Self::parse_datagram(bytes.into().0, &Limits::default())
    }

    /// Reads once more what this stack has accepted under its own limits or has printed itself: no other limit applies.
    pub(crate) fn parse_again(bytes: Bytes) -> Option<Message> {
        let limits =
            Limits { start_line: usize::MAX, header_line: usize::MAX, headers: usize::MAX, message: usize::MAX };
        Self::parse_datagram(bytes, &limits).ok()
    }

    /// [`Message::parse`] with limits of one's own.
    pub fn parse_datagram(bytes: Bytes, limits: &Limits) -> Result<Message, Fault> {
        let whole = bytes.len();
        let begin = bytes.iter().take_while(|&&b| b == b'\r' || b == b'\n').count();
        let mut bytes = if begin > 0 { bytes.slice(begin..) } else { bytes };
        let mut indexed = Indexed::read(&bytes, limits)?;
        let rest = bytes.len() - indexed.body;
        let length = indexed.content_length.unwrap_or(rest);
        if length > rest {
            indexed.fault.get_or_insert(Fault::Truncated);
        }
        let end = indexed.body + length.min(rest);
        Ok(Message::from_index(cut(&mut bytes, end, whole), indexed))
    }

    /// Puts index and buffer together; `raw` ends where the message ends.
    pub(crate) fn from_index(raw: Bytes, indexed: Indexed) -> Message {
        Message {
            raw,
            written: Vec::new(),
            start: indexed.start,
            fields: indexed.fields,
            seen: indexed.seen,
            repeated: indexed.repeated,
            body: Body::Raw(indexed.body as u32),
            touched: false,
            names: super::Names::default(),
            fault: indexed.fault,
            source: None,
            known: Default::default(),
        }
    }
}

/// Takes the first `len` octets of `from`, which is a share of a buffer of `whole` octets. A share keeps all its buffer
/// alive: where that is more than twice what is taken, it is copied out.
pub(crate) fn cut(from: &mut Bytes, len: usize, whole: usize) -> Bytes {
    if whole / 2 > len {
        let copy = Bytes::copy_from_slice(&from[..len]);
        from.advance(len);
        copy
    } else {
        from.split_to(len)
    }
}

/// Octets that [`Message::parse`] takes: [`Bytes`] without a copy, slices with one.
pub struct MessageBytes(Bytes);

impl From<Bytes> for MessageBytes {
    fn from(bytes: Bytes) -> Self {
        MessageBytes(bytes)
    }
}
impl From<&[u8]> for MessageBytes {
    fn from(bytes: &[u8]) -> Self {
        MessageBytes(Bytes::copy_from_slice(bytes))
    }
}
impl From<Vec<u8>> for MessageBytes {
    fn from(bytes: Vec<u8>) -> Self {
        MessageBytes(bytes.into())
    }
}

impl Indexed {
    /// Indexes the header section at the start of `bytes`.
    pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Result<Indexed, Fault> {
        if bytes.len() > limits.message.min(u32::MAX as usize) {
            return Err(Fault::MessageTooLarge);
        }
        let line_end = memchr(b'\n', bytes).ok_or(Fault::StartLine)?;
        let (kind, mut fault) = read_start_line(trim_cr(&bytes[..line_end]))?;
        if line_end > limits.start_line {
            fault = Some(Fault::StartLineTooLong);
        }
        let mut indexed = Indexed {
            start: StartLine { buffer: Buffer::Raw, start: 0, end: line_end as u32 + 1, kind },
            fields: SmallVec::new(),
            seen: 0,
            repeated: 0,
            body: bytes.len(),
            fault,
            unframed: None,
            content_length: None,
        };
        indexed.read_fields(bytes, line_end + 1, limits);
        Ok(indexed)
    }

    fn read_fields(&mut self, bytes: &[u8], mut at: usize, limits: &Limits) {
        loop {
            match bytes.get(at) {
                None => return self.broken(Fault::Unterminated),
                Some(b'\r') if bytes.get(at + 1) == Some(&b'\n') => {
                    self.body = at + 2;
                    return;
                }
                Some(b'\n') => {
                    self.body = at + 1;
                    return;
                }
                Some(_) => {}
            }
            let Some(end) = line_end(bytes, at) else { return self.broken(Fault::Unterminated) };
            if end - at > limits.header_line.min(u16::MAX as usize) {
                self.unframed(Fault::HeaderLineTooLong);
            } else if self.fields.len() >= limits.headers {
                self.unframed(Fault::TooManyHeaders);
            } else {
                self.read_field(bytes, at, end);
            }
            at = end;
        }
    }

    #[inline]
    fn read_field(&mut self, bytes: &[u8], start: usize, end: usize) {
        let line = &bytes[start..end];
        let Some((colon, name_len, id)) = read_name(line) else { return self.broken(Fault::HeaderLine) };
        let bit = 1u128 << id.0;
        self.repeated |= self.seen & bit;
        self.seen |= bit;
        let (value, value_end) = trimmed(bytes, start + colon + 1, end);
        self.fields.push(Field {
            start: start as u32,
            value: value as u32,
            value_end: value_end as u32,
            end: end as u32,
            name_len: name_len as u16,
            id,
            buffer: Buffer::Raw,
        });
        if id == HeaderId::CONTENT_LENGTH {
            self.read_content_length(&bytes[value..value_end]);
        }
    }

    fn read_content_length(&mut self, value: &[u8]) {
        let Some(length) = read_length(value) else { return self.unframed(Fault::ContentLength) };
        match self.content_length {
            Some(other) if other != length => self.unframed(Fault::ConflictingContentLength),
            _ => self.content_length = Some(length),
        }
    }

    /// The fault leaves open where the message ends: a Content-Length is bad, or may stand in a line that was left out.
    #[cold]
    fn unframed(&mut self, fault: Fault) {
        self.unframed.get_or_insert(fault);
        self.broken(fault);
    }

    fn broken(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }
}

/// Digits as a length; one that no message can have stays as large as a length can be.
pub(super) fn read_length(value: &[u8]) -> Option<usize> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    digits.then(|| value.iter().fold(0usize, |n, d| n.saturating_mul(10).saturating_add(usize::from(d - b'0'))))
}

/// The end of the line at `at` with its folded continuations (RFC 3261 §7.3.1), behind its LF.
#[inline]
fn line_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut from = at;
    loop {
        let end = from + memchr(b'\n', &bytes[from..])? + 1;
        match bytes.get(end) {
            Some(b' ' | b'\t') => from = end,
            _ => return Some(end),
        }
    }
}

/// Where the colon of a header line is, how long the name before it is, and what it names; `None` without a token and a
/// colon. White space between them is allowed (RFC 3261 §7.3.1).
#[inline]
fn read_name(line: &[u8]) -> Option<(usize, usize, HeaderId)> {
    let colon = find_colon(line)?;
    let id = HeaderId::lookup(&line[..colon]);
    if id != HeaderId::UNKNOWN {
        // What is in the table is a token.
        return Some((colon, colon, id));
    }
    let blanks = line[..colon].iter().rev().take_while(|b| matches!(b, b' ' | b'\t')).count();
    let name = &line[..colon - blanks];
    let is_name = !name.is_empty() && name.iter().all(|b| is_token(*b));
    is_name.then(|| (colon, name.len(), HeaderId::lookup(name)))
}

/// The first colon, eight octets at a time: names are too short for a call of `memchr` to be worth it.
#[inline]
fn find_colon(line: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    const COLONS: u64 = u64::from_ne_bytes([b':'; 8]);
    let (words, _) = line.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let other = u64::from_le_bytes(*word) ^ COLONS;
        // The lowest octet of zero has the lowest bit that is set here (those above it may be wrong).
        let zeros = other.wrapping_sub(ONES) & !other & HIGHS;
        if zeros != 0 {
            return Some(at * 8 + zeros.trailing_zeros() as usize / 8);
        }
    }
    let from = words.len() * 8;
    line[from..].iter().position(|b| *b == b':').map(|at| from + at)
}

fn read_start_line(line: &[u8]) -> Result<(StartKind, Option<Fault>), Fault> {
    if line.len() >= 4 && line[..4].eq_ignore_ascii_case(b"SIP/") {
        return Ok(read_status_line(line));
    }
    let method_end = line.iter().take_while(|&&b| is_token(b)).count();
    if method_end == 0 || line.get(method_end) != Some(&b' ') {
        return Err(Fault::StartLine);
    }
    let last_space = memchr::memrchr(b' ', line).unwrap_or(method_end);
    let uri = (method_end + 1, last_space.max(method_end + 1));
    let version = &line[last_space + 1..];
    let text = &line[uri.0..uri.1];
    let mut fault = None;
    if text.is_empty() || !version.get(..4).is_some_and(|v| v.eq_ignore_ascii_case(b"SIP/")) {
        fault = Some(Fault::RequestLine);
    } else if !version.eq_ignore_ascii_case(b"SIP/2.0") {
        fault = Some(Fault::Version);
    } else if text.iter().any(|b| ENDS_URI[usize::from(*b)]) {
        fault = Some(Fault::RequestUri);
    }
    let kind = StartKind::Request { method_end: method_end as u32, uri: (uri.0 as u32, uri.1 as u32) };
    Ok((kind, fault))
}

fn read_status_line(line: &[u8]) -> (StartKind, Option<Fault>) {
    let version_end = memchr(b' ', line).unwrap_or(line.len());
    let rest = line.get(version_end + 1..).unwrap_or(&[]);
    let code_len = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let well_placed = code_len == 3 && matches!(rest.get(3), None | Some(b' '));
    // What has no three digits is code 0, with a fault.
    let digits = if well_placed { &rest[..code_len] } else { &[] };
    let code = digits.iter().fold(0u16, |n, d| n * 10 + u16::from(d - b'0'));
    let fault = if !line[..version_end].eq_ignore_ascii_case(b"SIP/2.0") {
        Some(Fault::Version)
    } else if !(100..700).contains(&code) {
        Some(Fault::StatusCode)
    } else {
        None
    };
    let reason = (version_end + 1 + code_len + 1).min(line.len());
    (StartKind::Status { code, reason: (reason as u32, line.len() as u32) }, fault)
}

fn trim_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The part of `from..to` without white space and line ends at its ends: SP, HTAB, CR and LF (RFC 3261 §25.1), and not
/// the form feed that `trim_ascii` takes too.
#[inline]
pub(super) fn trimmed(bytes: &[u8], from: usize, to: usize) -> (usize, usize) {
    let part = &bytes[from..to];
    let stays = |b: &u8| !matches!(b, b' ' | b'\t' | b'\r' | b'\n');
    match part.iter().position(stays) {
        Some(begin) => (from + begin, part.iter().rposition(stays).map_or(to, |last| from + last + 1)),
        None => (to, to),
    }
}

/// What ends a URI where it stands among other things, and so cannot be in a Request-URI.
const ENDS_URI: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = matches!(b as u8, b' ' | b'\t' | b'<' | b'>' | b'"');
        b += 1;
    }
    table
};

/// Whether an octet may stand in a token (RFC 3261 §25.1).
#[inline]
pub(crate) const fn is_token(b: u8) -> bool {
    TOKEN[b as usize]
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 256 {
        let c = b as u8;
        table[b] = c.is_ascii_alphanumeric()
            || matches!(c, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~');
        b += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Octets that differ from a colon in one bit, and what a borrow from the octet below makes of them, stand before
    /// and behind it.
    #[test]
    fn the_first_colon_is_found_wherever_it_stands() {
        let near: Vec<u8> = (0..8).map(|bit| b':' ^ 1 << bit).chain([0, 0xff, b'a']).collect();
        for (len, filler) in (0..40).flat_map(|len| near.iter().map(move |filler| (len, *filler))) {
            let mut line = vec![filler; len];
            assert_eq!(find_colon(&line), None);
            for at in (0..len).rev() {
                line[at] = b':';
                assert_eq!(find_colon(&line), Some(at), "{line:?}");
            }
        }
    }

    #[test]
    fn a_name_is_a_token_before_a_colon() {
        let known = HeaderId::VIA;
        for (line, read) in [
            (&b"Via: x"[..], Some((3, 3, known))),
            (b"v:", Some((1, 1, known))),
            (b"VIA \t: x", Some((5, 3, known))),
            (b"X-Other: a:b", Some((7, 7, HeaderId::UNKNOWN))),
            (b"X-Other : a:b", Some((8, 7, HeaderId::UNKNOWN))),
            (b": x", None),
            (b" : x", None),
            (b"Vi a: x", None),
            (b"Via\r: x", None),
            (b"Via", None),
            (b"", None),
        ] {
            assert_eq!(read_name(line), read, "{line:?}");
        }
    }
}
