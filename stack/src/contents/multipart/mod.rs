//! Multipart bodies (RFC 2046 §5.1), as RFC 3261 §7.4.1 and RFC 5621 use them.
//!
//! Octets between delimiters are never looked into, so parts may be binary. The parts are slices of the body; the body
//! itself is kept, with preamble, epilogue and padding, and printed as it came.

mod build;
mod part;

use bytes::Bytes;
use memchr::memmem::Finder;

use super::media_type::MediaType;

pub use part::Part;

/// Most parts of one multipart body.
pub const MAX_PARTS: usize = 64;
/// Most multipart bodies inside each other; the outermost is the first.
pub const MAX_DEPTH: u8 = 4;
/// Most header fields of one part.
pub const MAX_PART_HEADERS: usize = 32;
/// Most octets of a boundary (RFC 2046 §5.1.1).
pub const MAX_BOUNDARY: usize = 70;

/// What is wrong with a multipart body. Offsets are in octets from the start of the body, or of the part where only a
/// part is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MultipartError {
    /// The media type is not `multipart/…`.
    #[error("media type is not multipart")]
    NotMultipart,
    /// RFC 2046 §5.1.1: a boundary is required, of 1 to 70 printable characters, a space not last.
    #[error("boundary parameter is missing or illegal")]
    Boundary,
    /// The boundary occurs nowhere at the start of a line.
    #[error("no boundary in the body")]
    NoDelimiter,
    /// Nothing but a closing delimiter: there must be a part.
    #[error("no part before the closing boundary")]
    NoParts,
    /// The body ends before its closing delimiter: it is cut short.
    #[error("no closing boundary")]
    NotClosed,
    /// A part's header line is not `name: value`.
    #[error("body part header at offset {0} is not name: value")]
    PartHeader(usize),
    /// More than [`MAX_PARTS`].
    #[error("more than {MAX_PARTS} body parts")]
    TooManyParts,
    /// More than [`MAX_PART_HEADERS`].
    #[error("more than {MAX_PART_HEADERS} headers in the body part at offset {0}")]
    TooManyHeaders(usize),
    /// Deeper than [`MAX_DEPTH`].
    #[error("more than {MAX_DEPTH} multipart bodies inside each other")]
    TooDeep,
    /// While building: every boundary made from the token occurs in a part.
    #[error("boundary token occurs in the parts in all its variants")]
    NoFreeBoundary,
}

/// A multipart body of any subtype.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multipart {
    media_type: MediaType<'static>,
    octets: Bytes,
    parts: Vec<Part>,
    preamble: Bytes,
    epilogue: Bytes,
}

impl Multipart {
    /// Splits a body by the boundary of its media type. Line ends are CRLF; a bare LF is tolerated.
    pub fn parse(media_type: &MediaType<'_>, body: &Bytes) -> Result<Multipart, MultipartError> {
        Multipart::parse_at(media_type, body, 1)
    }

    /// Splits a body that stands inside `depth - 1` others.
    pub(super) fn parse_at(media_type: &MediaType<'_>, body: &Bytes, depth: u8) -> Result<Multipart, MultipartError> {
        if depth > MAX_DEPTH {
            return Err(MultipartError::TooDeep);
        }
        if !media_type.kind().eq_ignore_ascii_case("multipart") {
            return Err(MultipartError::NotMultipart);
        }
        let boundary = media_type.parameter("boundary").ok_or(MultipartError::Boundary)?;
        let printable = |b: u8| b == b' ' || b.is_ascii_graphic();
        if !(1..=MAX_BOUNDARY).contains(&boundary.len()) || boundary.ends_with(' ') || !boundary.bytes().all(printable)
        {
            return Err(MultipartError::Boundary);
        }
        let dash_boundary = format!("--{boundary}");
        let mut delimiters = Delimiters { body, finder: Finder::new(&dash_boundary), from: 0 };
        let first = delimiters.next().ok_or(MultipartError::NoDelimiter)?;
        let (preamble, mut previous) = (body.slice(..first.before), first);
        let mut parts = Vec::new();
        while !previous.closes {
            let next = delimiters.next().ok_or(MultipartError::NotClosed)?;
            if parts.len() == MAX_PARTS {
                return Err(MultipartError::TooManyParts);
            }
            // An empty part may share its only line end with both delimiters.
            let octets = body.slice(previous.after..next.before.max(previous.after));
            parts.push(Part::read(octets, previous.after, depth)?);
            previous = next;
        }
        if parts.is_empty() {
            return Err(MultipartError::NoParts);
        }
        let epilogue = body.slice(previous.after..);
        let (media_type, octets) = (media_type.clone().into_owned(), body.clone());
        Ok(Multipart { media_type, octets, parts, preamble, epilogue })
    }

    /// The body, as it was parsed or built.
    pub fn print(&self) -> Bytes {
        self.octets.clone()
    }

    /// The media type with the boundary: the value for `Content-Type`.
    pub fn media_type(&self) -> &MediaType<'static> {
        &self.media_type
    }

    /// The parts in their order; there is at least one.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// What stands before the first delimiter; to be ignored (RFC 2046 §5.1.1).
    pub fn preamble(&self) -> &Bytes {
        &self.preamble
    }

    /// What stands after the line of the closing delimiter; to be ignored.
    pub fn epilogue(&self) -> &Bytes {
        &self.epilogue
    }

    /// The part with a `Content-ID`, given without angle brackets: the target of a `cid:` URI (RFC 2392).
    pub fn part_by_id(&self, id: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.content_id() == Some(id))
    }

    /// The root of `multipart/related`: the part that the `start` parameter names, else the first (RFC 2387 §3.2).
    /// `None` if `start` names no part.
    pub fn root(&self) -> Option<&Part> {
        match self.media_type.parameter("start") {
            Some(start) => self.part_by_id(part::without_brackets(start)),
            None => self.parts.first(),
        }
    }

    /// Of `multipart/signed`, the exact octets that the signature covers and the part with the signature (RFC 1847
    /// §2.1): the first part with its headers, without the line end that belongs to the delimiter. `None` for another
    /// subtype or another number of parts than two.
    pub fn signed(&self) -> Option<(&Bytes, &Part)> {
        match &self.parts[..] {
            [content, signature] if self.media_type.is("multipart", "signed") => Some((content.octets(), signature)),
            _ => None,
        }
    }
}

/// A delimiter line. What it bounds ends at `before`, which leaves out the line end that belongs to the delimiter, and
/// goes on at `after`.
#[derive(Clone, Copy)]
struct Delimiter {
    before: usize,
    after: usize,
    closes: bool,
}

struct Delimiters<'a> {
    body: &'a [u8],
    finder: Finder<'a>,
    from: usize,
}

impl Iterator for Delimiters<'_> {
    type Item = Delimiter;

    fn next(&mut self) -> Option<Delimiter> {
        loop {
            let at = self.from + self.finder.find(self.body.get(self.from..)?)?;
            self.from = at + 1;
            if let Some(delimiter) = self.line_at(at) {
                // That is the start of a line, where the next delimiter may stand already.
                self.from = delimiter.after;
                return Some(delimiter);
            }
        }
    }
}

impl Delimiters<'_> {
    /// Takes the boundary at `at` as a delimiter if it fills a line but for `--` and padding. RFC 2046 lets a reader
    /// stop at the boundary, but then one boundary could not be the beginning of another, as it often is in nested
    /// bodies.
    fn line_at(&self, at: usize) -> Option<Delimiter> {
        let before = match self.body.get(..at)? {
            [] => 0,
            [.., b'\r', b'\n'] => at - 2,
            [.., b'\n'] => at - 1,
            _ => return None,
        };
        let line = self.body.get(at + self.finder.needle().len()..)?;
        let (closes, rest) = line.strip_prefix(b"--").map_or((false, line), |rest| (true, rest));
        let padding = rest.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
        let end = match rest.get(padding..)? {
            [b'\r', b'\n', ..] => 2,
            [b'\n', ..] => 1,
            [] if closes => 0,
            _ => return None,
        };
        let after = self.body.len() - rest.len() + padding + end;
        Some(Delimiter { before, after, closes })
    }
}

#[cfg(test)]
mod tests;
