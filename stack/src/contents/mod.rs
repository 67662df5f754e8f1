//! Bodies of SIP messages, apart from the messages that carry them.
//!
//! [`Contents::parse`] reads a body by its media type; [`Contents::print`] gives the octets back, the same ones if
//! nobody changed anything. Parts of a multipart body are read when they are asked for, so a bad one does not spoil
//! the others.

pub mod event;
pub mod media_type;
pub mod multipart;
pub mod sdp;
pub mod sipfrag;
pub mod text;

use bytes::Bytes;

pub use media_type::{MediaType, MediaTypeError};
pub use multipart::{Multipart, MultipartError, Part};
pub use sdp::{Sdp, SdpError};
pub use sipfrag::{SipFrag, SipFragError};
pub use text::{Text, TextError};

/// Why a body, or a part of one, cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentsError {
    /// The media type, of a part.
    #[error(transparent)]
    MediaType(#[from] MediaTypeError),
    /// A session description.
    #[error(transparent)]
    Sdp(#[from] SdpError),
    /// A multipart body.
    #[error(transparent)]
    Multipart(#[from] MultipartError),
    /// A fragment of a message.
    #[error(transparent)]
    SipFrag(#[from] SipFragError),
}

impl ContentsError {
    /// The status code for a request with this body: 413 for what goes over a limit (RFC 3261 §21.4.11), else 400.
    pub fn status(&self) -> u16 {
        use sdp::SdpRule::{TooManyLines, TooManyMedia};
        match self {
            ContentsError::MediaType(MediaTypeError::TooManyParameters)
            | ContentsError::Sdp(SdpError { rule: TooManyLines | TooManyMedia, .. })
            | ContentsError::Multipart(
                MultipartError::TooManyParts | MultipartError::TooManyHeaders(_) | MultipartError::TooDeep,
            )
            | ContentsError::SipFrag(SipFragError::TooManyLines) => 413,
            _ => 400,
        }
    }
}

/// A body by its media type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contents {
    /// `application/sdp`.
    Sdp(Sdp),
    /// `multipart/…`, any subtype.
    Multipart(Multipart),
    /// `message/sipfrag`.
    SipFrag(SipFrag),
    /// `text/plain`.
    Text(Text),
    /// Any other type: the octets as they are.
    Octets {
        /// The media type with its parameters.
        media_type: MediaType<'static>,
        /// The body.
        octets: Bytes,
    },
}

impl Contents {
    /// Reads a body by its media type. The body must not be in a `Content-Encoding`.
    pub fn parse(content_type: &MediaType<'_>, body: &Bytes) -> Result<Contents, ContentsError> {
        Contents::parse_at(content_type, body, 1)
    }

    /// Reads a body that, if it is a multipart one, is the `depth`-th from the outermost.
    fn parse_at(media_type: &MediaType<'_>, body: &Bytes, depth: u8) -> Result<Contents, ContentsError> {
        Ok(if media_type.is("application", "sdp") {
            Contents::Sdp(Sdp::parse(body)?)
        } else if media_type.kind().eq_ignore_ascii_case("multipart") {
            Contents::Multipart(Multipart::parse_at(media_type, body, depth)?)
        } else if media_type.is("message", "sipfrag") {
            Contents::SipFrag(SipFrag::parse(body)?)
        } else if media_type.is("text", "plain") {
            Contents::Text(Text::parse(media_type, body))
        } else {
            Contents::octets(media_type, body.clone())
        })
    }

    /// Octets of a type that the stack does not look into.
    pub fn octets(media_type: &MediaType<'_>, octets: Bytes) -> Contents {
        Contents::Octets { media_type: media_type.clone().into_owned(), octets }
    }

    /// The body's octets: for an untouched one, those that were parsed.
    pub fn print(&self) -> Bytes {
        match self {
            Contents::Sdp(sdp) => sdp.print(),
            Contents::Multipart(multipart) => multipart.print(),
            Contents::SipFrag(frag) => frag.print(),
            Contents::Text(text) => text.print(),
            Contents::Octets { octets, .. } => octets.clone(),
        }
    }

    /// The value for `Content-Type`.
    pub fn media_type(&self) -> MediaType<'static> {
        match self {
            Contents::Sdp(_) => MediaType::SDP,
            Contents::Multipart(multipart) => multipart.media_type().clone(),
            Contents::SipFrag(_) => MediaType::SIPFRAG,
            Contents::Text(text) => text.media_type().clone(),
            Contents::Octets { media_type, .. } => media_type.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
