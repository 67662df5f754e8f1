//! One part of a multipart body: headers and content.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use super::{MAX_PART_HEADERS, MultipartError};
use crate::contents::media_type::{MediaType, is_token};
use crate::contents::{Contents, ContentsError};

/// A body part. Its octets are kept as they came, headers included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    octets: Bytes,
    headers: Vec<(Range<usize>, Range<usize>)>,
    content: usize,
    depth: u8,
}

impl Part {
    /// Makes a part of a content, with the content's media type as `Content-Type` and more headers as (name, value),
    /// such as `Content-ID`, `<1@example.com>`.
    pub fn new(contents: &Contents, headers: &[(&str, &str)]) -> Result<Part, MultipartError> {
        let mut octets = BytesMut::new();
        octets.put_slice(format!("Content-Type: {}\r\n", contents.media_type()).as_bytes());
        for (name, value) in headers {
            if !is_token(name) || value.bytes().any(|b| matches!(b, 0 | b'\r' | b'\n')) {
                return Err(MultipartError::PartHeader(octets.len()));
            }
            octets.put_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        octets.put_slice(b"\r\n");
        octets.put_slice(&contents.print());
        Part::read(octets.freeze(), 0, 1)
    }

    /// Finds headers and content in the octets between two delimiters. `offset` is where they stand in the body, for
    /// errors; `depth` is the number of multipart bodies around them.
    pub(super) fn read(octets: Bytes, offset: usize, depth: u8) -> Result<Part, MultipartError> {
        let mut headers: Vec<(Range<usize>, Range<usize>)> = Vec::new();
        let mut at = 0;
        while let Some(rest) = octets.get(at..).filter(|rest| !rest.is_empty()) {
            let end = memchr::memchr(b'\n', rest).map_or(octets.len(), |lf| at + lf + 1);
            let text = line_text(octets.get(at..end).unwrap_or_default());
            let fail = || MultipartError::PartHeader(offset + at);
            match text.first() {
                None => {
                    at = end;
                    break;
                }
                // A folded line goes on with the value before it.
                Some(b' ' | b'\t') => headers.last_mut().ok_or_else(fail)?.1.end = at + text.len(),
                Some(_) => {
                    if headers.len() == MAX_PART_HEADERS {
                        return Err(MultipartError::TooManyHeaders(offset));
                    }
                    let colon = memchr::memchr(b':', text).ok_or_else(fail)?;
                    let name = text.get(..colon).unwrap_or_default().trim_ascii_end();
                    if !std::str::from_utf8(name).is_ok_and(is_token) {
                        return Err(fail());
                    }
                    headers.push((at..at + name.len(), at + colon + 1..at + text.len()));
                }
            }
            at = end;
        }
        Ok(Part { octets, headers, content: at, depth })
    }

    /// The whole part, headers included.
    pub fn octets(&self) -> &Bytes {
        &self.octets
    }

    /// The content, after the empty line.
    pub fn content(&self) -> Bytes {
        self.octets.slice(self.content..)
    }

    /// The headers in their order: name and value, without the white space around it. Folded values keep their folds.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let octets = |range: &Range<usize>| self.octets.get(range.clone()).unwrap_or_default();
        self.headers.iter().map(move |(name, value)| {
            // A name is a token, so it is text.
            (std::str::from_utf8(octets(name)).unwrap_or_default(), octets(value).trim_ascii())
        })
    }

    /// The value of the first header of a name, without regard to case; `None` also if it is not UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }

    /// The media type; without `Content-Type` it is `text/plain` (RFC 2046 §5.1).
    pub fn media_type(&self) -> Result<MediaType<'_>, ContentsError> {
        match self.headers().find(|(known, _)| known.eq_ignore_ascii_case("Content-Type")) {
            Some((_, value)) => Ok(MediaType::parse(&String::from_utf8_lossy(value))?.into_owned()),
            None => Ok(MediaType::TEXT),
        }
    }

    /// `Content-ID` without its angle brackets.
    pub fn content_id(&self) -> Option<&str> {
        self.header("Content-ID").map(without_brackets)
    }

    /// `Content-Disposition`, `render` or `session` for example (RFC 3261 §20.11).
    pub fn content_disposition(&self) -> Option<&str> {
        self.header("Content-Disposition")
    }

    /// The content by its media type. A content in a transfer encoding that changes octets (base64, quoted-printable)
    /// is given as the octets that it is.
    pub fn contents(&self) -> Result<Contents, ContentsError> {
        let media_type = self.media_type()?;
        let plain =
            |encoding: &str| ["binary", "8bit", "7bit"].iter().any(|known| encoding.eq_ignore_ascii_case(known));
        if self.header("Content-Transfer-Encoding").is_none_or(plain) {
            Contents::parse_at(&media_type, &self.content(), self.depth + 1)
        } else {
            Ok(Contents::octets(&media_type, self.content()))
        }
    }
}

/// A line without its line end.
fn line_text(line: &[u8]) -> &[u8] {
    match line.strip_suffix(b"\n") {
        Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
        None => line,
    }
}

pub(super) fn without_brackets(id: &str) -> &str {
    id.strip_prefix('<').and_then(|id| id.strip_suffix('>')).unwrap_or(id)
}
