//! WebSocket frames to messages and back (RFC 6455 §5).
//!
//! tungstenite reads and writes the heads of frames. Its own message reader is not used, because it keeps a buffer as
//! large as the largest message for each connection; here nothing is kept between messages, and what an incomplete
//! message holds is known to the octet.

use bytes::Bytes;
use std::io::Cursor;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame, FrameHeader};

/// The largest payload of a control frame (RFC 6455 §5.5).
const CONTROL: u64 = 125;
/// Octets of frames that one message may be spread over, as a multiple of the largest message: heads of frames, empty
/// frames and the control frames between them count.
const SPREAD: usize = 4;

/// What a client's frame is masked with (RFC 6455 §5.3).
pub(in crate::transport) type Mask = [u8; 4];

/// What a peer sent.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::transport) enum Event {
    /// A whole message, text or binary.
    Message(Bytes),
    /// A ping, which wants its octets back.
    Ping(Bytes),
    /// The peer has said all; with this code, and gets it back. Nothing that follows is read.
    Close(Option<CloseCode>),
}

/// Why a connection is failed (RFC 6455 §7.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::transport) enum Fault {
    #[error("message too large")]
    TooLarge,
    #[error("{0}")]
    Protocol(&'static str),
    #[error("text that is not UTF-8")]
    NotText,
    #[error("message not complete in time")]
    Late,
    #[error("incomplete messages take too much memory")]
    Crowded,
}

impl Fault {
    /// What the peer is told (RFC 6455 §7.4.1).
    pub(in crate::transport) fn code(self) -> CloseCode {
        match self {
            Fault::TooLarge => CloseCode::Size,
            Fault::Protocol(_) => CloseCode::Protocol,
            Fault::NotText => CloseCode::Invalid,
            Fault::Late | Fault::Crowded => CloseCode::Policy,
        }
    }
}

/// Puts the messages of one connection together. Bounded by the largest message: a frame that announces more is refused
/// before any of it is kept, and memory is taken as octets come, not as they are announced.
#[derive(Debug)]
pub(in crate::transport) struct Frames {
    /// The largest message.
    most: usize,
    /// The peer is a client: its frames are masked, those of servers are not.
    masked: bool,
    /// A frame that is not whole.
    rest: Vec<u8>,
    /// The payloads of a fragmented message so far.
    message: Vec<u8>,
    /// What a fragmented message is.
    kind: Option<Data>,
    /// Octets that came for the message which is incomplete.
    spread: usize,
    closed: bool,
}

impl Frames {
    pub(in crate::transport) fn new(most: usize, masked: bool) -> Self {
        Frames { most, masked, rest: Vec::new(), message: Vec::new(), kind: None, spread: 0, closed: false }
    }

    /// Memory that the incomplete message takes.
    pub(in crate::transport) fn held(&self) -> usize {
        self.rest.capacity() + self.message.capacity()
    }

    /// Whether a frame or a message has begun and not ended.
    pub(in crate::transport) fn is_incomplete(&self) -> bool {
        !self.rest.is_empty() || self.kind.is_some()
    }

    /// Takes the next octets, which it unmasks where they are. Nothing more may be fed after an error.
    pub(in crate::transport) fn feed(
        &mut self,
        mut octets: &mut [u8],
        mut sink: impl FnMut(Event),
    ) -> Result<(), Fault> {
        self.spread += octets.len();
        while !octets.is_empty() && !self.closed {
            if self.rest.is_empty() {
                // Most frames come whole, and are taken from where they are.
                match self.head(octets)? {
                    Some((head, size)) if octets.len() >= size.all => {
                        let (frame, after) = octets.split_at_mut(size.all);
                        self.frame(&head, frame.get_mut(size.head..).unwrap_or_default(), after.len(), &mut sink)?;
                        octets = after;
                    }
                    _ => {
                        self.rest.extend_from_slice(octets);
                        break;
                    }
                }
                continue;
            }
            let wanted = match self.head(&self.rest)? {
                Some((_, size)) => size.all.saturating_sub(self.rest.len()),
                None => 1,
            };
            let (taken, after) = octets.split_at_mut(wanted.min(octets.len()));
            self.rest.extend_from_slice(taken);
            octets = after;
            if let Some((head, size)) = self.head(&self.rest)?.filter(|(_, size)| self.rest.len() >= size.all) {
                let mut frame = std::mem::take(&mut self.rest);
                self.frame(&head, frame.get_mut(size.head..).unwrap_or_default(), octets.len(), &mut sink)?;
            }
        }
        if !self.is_incomplete() {
            self.spread = 0;
        }
        if self.spread > SPREAD * self.most { Err(Fault::TooLarge) } else { Ok(()) }
    }

    /// Gives up what is incomplete.
    pub(in crate::transport) fn give_up(&mut self) {
        *self = Frames { closed: true, ..Frames::new(self.most, self.masked) };
    }

    /// Reads and checks the head of a frame; none when it is not whole.
    fn head(&self, octets: &[u8]) -> Result<Option<(FrameHeader, Size)>, Fault> {
        let mut cursor = Cursor::new(octets);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| Fault::Protocol("unknown opcode"))?;
        let Some((head, length)) = parsed else { return Ok(None) };
        if head.rsv1 || head.rsv2 || head.rsv3 {
            return Err(Fault::Protocol("reserved bits are set"));
        }
        match (self.masked, head.mask) {
            (true, None) => return Err(Fault::Protocol("a client's frame without a mask")),
            (false, Some(_)) => return Err(Fault::Protocol("a server's frame with a mask")),
            _ => {}
        }
        if let OpCode::Control(_) = head.opcode
            && (length > CONTROL || !head.is_final)
        {
            return Err(Fault::Protocol("a control frame that is too long or fragmented"));
        }
        let length = usize::try_from(length).ok().filter(|length| *length <= self.most).ok_or(Fault::TooLarge)?;
        let head_size = cursor.position() as usize;
        Ok(Some((head, Size { head: head_size, all: head_size + length })))
    }

    /// Takes a whole frame; `behind` octets of the same read follow it.
    fn frame(
        &mut self,
        head: &FrameHeader,
        payload: &mut [u8],
        behind: usize,
        sink: &mut impl FnMut(Event),
    ) -> Result<(), Fault> {
        if let Some(mask) = head.mask {
            unmask(payload, mask);
        }
        match head.opcode {
            OpCode::Control(Control::Ping) => sink(Event::Ping(Bytes::copy_from_slice(payload))),
            OpCode::Control(Control::Close) => {
                let code = close_code(payload)?;
                self.give_up();
                sink(Event::Close(code));
            }
            OpCode::Control(_) => {}
            OpCode::Data(data) => {
                if let Some(message) = self.data(data, head.is_final, payload)? {
                    sink(Event::Message(message));
                }
            }
        }
        if self.kind.is_none() {
            self.spread = behind;
        }
        Ok(())
    }

    /// Takes the payload of a data frame; the message that it ends.
    fn data(&mut self, data: Data, last: bool, payload: &[u8]) -> Result<Option<Bytes>, Fault> {
        let kind = match (data, self.kind) {
            (Data::Continue, Some(kind)) => kind,
            (Data::Continue, None) => return Err(Fault::Protocol("a continuation of nothing")),
            (_, Some(_)) => return Err(Fault::Protocol("a new message within another")),
            (data, None) => data,
        };
        if self.message.len() + payload.len() > self.most {
            return Err(Fault::TooLarge);
        }
        if !last {
            self.kind = Some(kind);
            self.message.extend_from_slice(payload);
            return Ok(None);
        }
        self.kind = None;
        let message = if self.message.is_empty() {
            Bytes::copy_from_slice(payload)
        } else {
            let mut message = std::mem::take(&mut self.message);
            message.extend_from_slice(payload);
            message.into_boxed_slice().into()
        };
        if kind == Data::Text && std::str::from_utf8(&message).is_err() {
            return Err(Fault::NotText);
        }
        Ok(Some(message))
    }
}

/// How long a frame is.
struct Size {
    head: usize,
    all: usize,
}

/// RFC 6455 §5.3.
fn unmask(payload: &mut [u8], mask: Mask) {
    let key = u32::from_ne_bytes(mask);
    let (fours, rest) = payload.as_chunks_mut::<4>();
    for four in fours {
        *four = (u32::from_ne_bytes(*four) ^ key).to_ne_bytes();
    }
    for (octet, key) in rest.iter_mut().zip(mask) {
        *octet ^= key;
    }
}

/// What a close frame says (RFC 6455 §5.5.1).
fn close_code(payload: &[u8]) -> Result<Option<CloseCode>, Fault> {
    match payload {
        [] => Ok(None),
        [high, low, reason @ ..] if std::str::from_utf8(reason).is_ok() => {
            let code = CloseCode::from(u16::from_be_bytes([*high, *low]));
            if code.is_allowed() { Ok(Some(code)) } else { Err(Fault::Protocol("a close code that nobody may send")) }
        }
        _ => Err(Fault::Protocol("a malformed close frame")),
    }
}

/// A frame as it goes out.
fn printed(mut frame: Frame, mask: Option<Mask>) -> Bytes {
    frame.header_mut().mask = mask;
    let mut octets = Vec::with_capacity(frame.len());
    // Writing to a vector does not fail.
    let _ = frame.format(&mut octets);
    octets.into()
}

/// A SIP message in a frame of its own: text where it is UTF-8 (RFC 7118 §4.2).
pub(in crate::transport) fn message(bytes: &Bytes, mask: Option<Mask>) -> Bytes {
    let data = if std::str::from_utf8(bytes).is_ok() { Data::Text } else { Data::Binary };
    printed(Frame::message(bytes.clone(), OpCode::Data(data), true), mask)
}

/// A pong that returns what came with a ping.
pub(in crate::transport) fn pong(data: Bytes, mask: Option<Mask>) -> Bytes {
    printed(Frame::pong(data), mask)
}

/// A ping of ours.
pub(in crate::transport) fn ping(mask: Option<Mask>) -> Bytes {
    printed(Frame::ping(Bytes::new()), mask)
}

/// A close frame.
pub(in crate::transport) fn close(code: Option<CloseCode>, mask: Option<Mask>) -> Bytes {
    printed(Frame::close(code.map(|code| CloseFrame { code, reason: "".into() })), mask)
}

#[cfg(test)]
#[path = "frames_tests.rs"]
mod tests;
