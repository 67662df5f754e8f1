//! Building multipart bodies.

use bytes::{BufMut, Bytes, BytesMut};
use memchr::memmem;

use super::{MAX_BOUNDARY, MAX_PARTS, Multipart, MultipartError, Part};
use crate::contents::media_type::MediaType;

/// How many variants of the token are tried. A part can only hold a variant by chance, or on purpose by one who knows
/// the token.
const VARIANTS: usize = 100;

impl Multipart {
    /// Joins parts into a body of `media_type` (`multipart/mixed`; `multipart/related` with its `type` and `start`),
    /// to which the boundary is added. The boundary is `token`, which the caller draws at random, or if a part holds
    /// that, `token` with a number. The parts' octets are taken as they are, so a signature over one stays valid.
    pub fn build(media_type: MediaType<'_>, parts: &[Part], token: &str) -> Result<Multipart, MultipartError> {
        if parts.is_empty() {
            return Err(MultipartError::NoParts);
        }
        if parts.len() > MAX_PARTS {
            return Err(MultipartError::TooManyParts);
        }
        let boundary = free_boundary(parts, token)?;
        let mut body = BytesMut::new();
        for part in parts {
            body.put_slice(format!("--{boundary}\r\n").as_bytes());
            body.put_slice(part.octets());
            body.put_slice(b"\r\n");
        }
        body.put_slice(format!("--{boundary}--\r\n").as_bytes());
        let media_type = media_type.with("boundary", &boundary).map_err(|_| MultipartError::Boundary)?;
        Multipart::parse(&media_type, &Bytes::from(body))
    }
}

/// RFC 2046 §5.1.1: the boundary must not occur in the parts.
fn free_boundary(parts: &[Part], token: &str) -> Result<String, MultipartError> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&b);
    if token.is_empty() || !token.bytes().all(legal) {
        return Err(MultipartError::Boundary);
    }
    let numbered = (1..VARIANTS).map(|number| format!("{token}-{number}"));
    for candidate in std::iter::once(token.to_owned()).chain(numbered) {
        if candidate.len() > MAX_BOUNDARY {
            return Err(MultipartError::Boundary);
        }
        let delimiter = format!("--{candidate}");
        if parts.iter().all(|part| memmem::find(part.octets(), delimiter.as_bytes()).is_none()) {
            return Ok(candidate);
        }
    }
    Err(MultipartError::NoFreeBoundary)
}
