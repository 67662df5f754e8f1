//! The message: one buffer, an index of header lines, and typed values parsed when somebody asks.
//!
//! A [`Message`] that came from the wire keeps its octets in one [`Bytes`] and an index of where each header line
//! starts, where its value starts and where it ends. Reading a header parses a *view* that borrows from the buffer:
//! it allocates nothing, and a header that nobody reads costs nothing. Writing appends the new line to a second,
//! small buffer and points the index there; printing copies runs of untouched lines as they came.
//!
//! ```
//! use stack::message::Message;
//! use stack::header::{h, p};
//! let text = b"OPTIONS sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\
//!     To: <sip:bob@example.com>\r\nFrom: <sip:alice@example.com>;tag=77\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\r\n";
//! let mut msg = Message::parse(&text[..])?;
//! assert_eq!(msg.header(h::FROM)?.param(p::TAG), Some("77"));
//! msg.set(h::MAX_FORWARDS, &70);
//! assert!(msg.to_bytes().ends_with(b"Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod access;
mod build;
mod edit;
mod index;
mod known;
mod print;
mod reason;
#[cfg(test)]
mod tests;

pub use access::{Access, Values};
pub use index::{Fault, Limits, MessageBytes};
pub(crate) use index::{Indexed, cut};
pub(crate) use print::decimal;
pub use reason::reason_phrase;

use crate::header::HeaderId;
use crate::transport::Flow;
use bytes::Bytes;
use rutil::Time;
use smallvec::SmallVec;

/// Header lines that fit in a message without an allocation of their own.
const INLINE_FIELDS: usize = 20;

/// A SIP request or response (RFC 3261 §7).
#[derive(Clone)]
pub struct Message {
    /// The message as it came; empty for one that was built.
    raw: Bytes,
    /// Text of the lines that were written since.
    written: Vec<u8>,
    start: StartLine,
    fields: SmallVec<[Field; INLINE_FIELDS]>,
    /// One bit per [`HeaderId`] that may be present (removal does not clear it).
    seen: u128,
    /// One bit per [`HeaderId`] that may be there on more than one line (removal does not clear it).
    repeated: u128,
    body: Body,
    touched: bool,
    names: Names,
    fault: Option<Fault>,
    source: Option<Source>,
    known: known::Known,
}

/// How the names of headers are written (RFC 3261 §7.3.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// As they came.
    #[default]
    AsTheyAre,
    /// One letter for those that have a compact form.
    Compact,
    /// No compact form.
    Full,
}

/// Where and when a message was received.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// The flow that it came on.
    pub flow: Flow,
    /// When the transport read it, or, with [`crate::StackBuilder::beat`] and over UDP, when the kernel got it.
    pub at: Time,
}

/// Which buffer a line lives in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Buffer {
    Raw,
    Written,
}

/// One header line: `start..end` with its line end, the value without the white space around it.
#[derive(Clone, Copy, Debug)]
struct Field {
    start: u32,
    value: u32,
    value_end: u32,
    end: u32,
    name_len: u16,
    id: HeaderId,
    buffer: Buffer,
}

/// The start line, `start..end` with its line end.
#[derive(Clone, Copy, Debug)]
struct StartLine {
    buffer: Buffer,
    start: u32,
    end: u32,
    kind: StartKind,
}

#[derive(Clone, Copy, Debug)]
enum StartKind {
    Request { method_end: u32, uri: (u32, u32) },
    Status { code: u16, reason: (u32, u32) },
}

#[derive(Clone, Debug)]
enum Body {
    /// From here to the end of `raw`.
    Raw(u32),
    New(Bytes),
}

impl Message {
    /// Whether it is a request.
    pub fn is_request(&self) -> bool {
        matches!(self.start.kind, StartKind::Request { .. })
    }

    /// Whether it is a response.
    pub fn is_response(&self) -> bool {
        !self.is_request()
    }

    /// The status code of a response.
    pub fn status(&self) -> Option<u16> {
        match self.start.kind {
            StartKind::Status { code, .. } => Some(code),
            StartKind::Request { .. } => None,
        }
    }

    /// The reason phrase of a response; empty for a request, or when it is not UTF-8.
    pub fn reason(&self) -> &str {
        match self.start.kind {
            StartKind::Status { reason, .. } => {
                std::str::from_utf8(self.span(self.start.buffer, reason.0, reason.1)).unwrap_or("")
            }
            StartKind::Request { .. } => "",
        }
    }

    /// The first thing that is wrong with the framing or the start line, when the message is not well formed.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Where it came from; `None` for a message that was built here.
    pub fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    /// Says where it came from.
    pub fn set_source(&mut self, source: Source) {
        self.source = Some(source);
    }

    /// The body's octets.
    pub fn body(&self) -> &[u8] {
        match &self.body {
            Body::Raw(at) => self.raw.get(*at as usize..).unwrap_or(&[]),
            Body::New(bytes) => bytes,
        }
    }

    /// The body as a share of the buffer: nothing is copied.
    pub fn body_bytes(&self) -> Bytes {
        match &self.body {
            Body::Raw(at) => self.raw.slice((*at as usize).min(self.raw.len())..),
            Body::New(bytes) => bytes.clone(),
        }
    }

    fn span(&self, buffer: Buffer, start: u32, end: u32) -> &[u8] {
        let from: &[u8] = match buffer {
            Buffer::Raw => &self.raw,
            Buffer::Written => &self.written,
        };
        from.get(start as usize..end as usize).unwrap_or(&[])
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let line = self.span(self.start.buffer, self.start.start, self.start.end);
        f.debug_struct("Message")
            .field("start", &String::from_utf8_lossy(line).trim_end())
            .field("headers", &self.fields.len())
            .field("body", &self.body().len())
            .field("fault", &self.fault)
            .finish()
    }
}
