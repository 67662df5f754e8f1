//! The message-header scanner for streams: octets in any chunking, whole messages out (RFC 3261 §18.3).

use crate::message::{Fault, Indexed, Limits, Message, cut};
use bytes::{Buf, Bytes, BytesMut};

/// What a stream held.
#[derive(Debug)]
pub enum Scanned {
    /// A message. Its [`Message::fault`] may name what is wrong behind a good framing.
    Message(Message),
    /// A double CRLF between messages: the peer wants a CRLF in return (RFC 5626 §3.5.1).
    KeepAlive,
    /// The framing is lost: nothing behind this can be read. With the start and headers of the broken message where
    /// there were any, so that a request can be answered before the flow is closed.
    Broken(Fault, Option<Message>),
}

/// Frames the messages of one stream. It holds at most one partial message, bounded by [`Limits::message`], and the
/// chunk that came last. A message that it gives keeps no more than twice its own octets alive.
pub struct StreamScanner {
    limits: Limits,
    partial: BytesMut,
    /// How many partial messages there were.
    partials: u32,
    /// Octets of `partial` in which the end of the headers was sought in vain.
    sought: usize,
    /// Headers that are read, and the length of the whole message, while the body is incomplete.
    head: Option<(Indexed, usize)>,
    /// CRLFs since the last message.
    line_ends: u8,
    broken: bool,
    /// Octets in which the end of the headers was sought, in all.
    #[cfg(test)]
    looked_at: usize,
}

impl StreamScanner {
    /// A scanner at the start of a stream.
    pub fn new(limits: Limits) -> Self {
        StreamScanner {
            limits,
            partial: BytesMut::new(),
            partials: 0,
            sought: 0,
            head: None,
            line_ends: 0,
            broken: false,
            #[cfg(test)]
            looked_at: 0,
        }
    }

    /// Octets of a message that is not complete.
    pub fn pending(&self) -> usize {
        self.partial.len()
    }

    /// Octets of memory that the message takes that is not complete.
    pub(super) fn held(&self) -> usize {
        self.partial.capacity()
    }

    /// Tells the partial message that it is in from those before.
    pub(super) fn partial(&self) -> Option<u32> {
        (!self.partial.is_empty()).then_some(self.partials)
    }

    /// Whether it reads nothing more.
    pub(super) fn is_stopped(&self) -> bool {
        self.broken
    }

    /// Drops the partial message; nothing more is read.
    pub(super) fn stop(&mut self) {
        self.broken = true;
        self.partial = BytesMut::new();
        self.head = None;
    }

    /// Takes the next octets and gives what they complete to `sink`, in order. After [`Scanned::Broken`] nothing
    /// more comes.
    pub fn feed(&mut self, mut chunk: Bytes, mut sink: impl FnMut(Scanned)) {
        // Octets of the buffer that the chunk is a share of.
        let mut whole = chunk.len();
        while !self.broken && !chunk.is_empty() {
            if self.partial.is_empty() {
                // The usual case: a message that has its chunk for itself is taken without a copy.
                self.skip_line_ends(&mut chunk, &mut sink);
                match self.take_whole(&mut chunk, whole) {
                    Ok(Some(msg)) => sink(Scanned::Message(msg)),
                    Ok(None) => {
                        self.partials = self.partials.wrapping_add(1);
                        self.partial.extend_from_slice(&chunk);
                        chunk = Bytes::new();
                    }
                    Err((fault, msg)) => self.give_up(fault, msg, &mut sink),
                }
            } else {
                self.partial.extend_from_slice(&chunk);
                chunk = Bytes::new();
                whole = self.partial.capacity();
                match self.take_partial() {
                    Ok(Some((msg, rest))) => {
                        chunk = rest;
                        sink(Scanned::Message(msg));
                    }
                    Ok(None) => {}
                    Err((fault, msg)) => self.give_up(fault, msg, &mut sink),
                }
            }
        }
    }

    fn give_up(&mut self, fault: Fault, msg: Option<Box<Message>>, sink: &mut impl FnMut(Scanned)) {
        self.stop();
        sink(Scanned::Broken(fault, msg.map(|msg| *msg)));
    }

    fn skip_line_ends(&mut self, chunk: &mut Bytes, sink: &mut impl FnMut(Scanned)) {
        let mut at = 0;
        while let Some(b) = chunk.get(at).copied().filter(|&b| b == b'\r' || b == b'\n') {
            at += 1;
            if b == b'\n' {
                self.line_ends += 1;
                if self.line_ends == 2 {
                    self.line_ends = 0;
                    sink(Scanned::KeepAlive);
                }
            }
        }
        chunk.advance(at);
        if !chunk.is_empty() {
            self.line_ends = 0;
        }
    }

    /// A whole message at the start of `chunk`, when there is one.
    fn take_whole(&mut self, chunk: &mut Bytes, whole: usize) -> Result<Option<Message>, Broken> {
        self.sought = 0;
        let Some((indexed, total)) = self.read_head(chunk)? else { return Ok(None) };
        if chunk.len() < total {
            self.head = Some((indexed, total));
            return Ok(None);
        }
        Ok(Some(Message::from_index(cut(chunk, total, whole), indexed)))
    }

    fn take_partial(&mut self) -> Result<Option<(Message, Bytes)>, Broken> {
        if self.head.is_none() {
            // Borrowed apart, because `read_head` needs the scanner too.
            let partial = std::mem::take(&mut self.partial);
            let head = self.read_head(&partial);
            self.partial = partial;
            self.head = head?;
        }
        match self.head.take() {
            Some((indexed, total)) if self.partial.len() >= total => {
                let whole = self.partial.capacity();
                let mut all = std::mem::take(&mut self.partial).freeze();
                let raw = cut(&mut all, total, whole);
                self.sought = 0;
                Ok(Some((Message::from_index(raw, indexed), all)))
            }
            head => {
                self.head = head;
                Ok(None)
            }
        }
    }

    /// Reads the headers at the start of `bytes` if they are complete; with the length of the whole message.
    fn read_head(&mut self, bytes: &[u8]) -> Result<Option<(Indexed, usize)>, Broken> {
        #[cfg(test)]
        {
            self.looked_at += bytes.len() - self.sought.saturating_sub(3);
        }
        let end = end_of_headers(bytes, self.sought);
        if end.unwrap_or(bytes.len()) > self.limits.message {
            return Err(self.too_long(bytes));
        }
        let Some(head_len) = end else {
            self.sought = bytes.len();
            return Ok(None);
        };
        let head = &bytes[..head_len];
        let indexed = Indexed::read(head, &self.limits).map_err(|fault| (fault, None))?;
        let total = match (indexed.unframed, indexed.content_length) {
            (Some(fault), _) => Err(fault),
            (None, None) => Err(Fault::NoContentLength),
            (None, Some(length)) => Ok(head_len.saturating_add(length)),
        };
        match total {
            Ok(total) if total <= self.limits.message => Ok(Some((indexed, total))),
            lost => {
                let msg = Message::from_index(Bytes::copy_from_slice(head), indexed);
                Err((lost.err().unwrap_or(Fault::MessageTooLarge), Some(Box::new(msg))))
            }
        }
    }

    /// Headers that pass all bounds: which one first, and those that are whole, so that it can be answered.
    fn too_long(&self, bytes: &[u8]) -> Broken {
        let bytes = &bytes[..self.limits.message];
        let Some(last) = memchr::memrchr(b'\n', bytes) else { return (Fault::StartLineTooLong, None) };
        match Indexed::read(&bytes[..=last], &self.limits) {
            Err(fault) => (fault, None),
            Ok(indexed) => {
                let is_line = bytes.len() - last > self.limits.header_line;
                let fault = if is_line { Fault::HeaderLineTooLong } else { Fault::MessageTooLarge };
                let fault = indexed.unframed.unwrap_or(fault);
                (fault, Some(Box::new(Message::from_index(Bytes::copy_from_slice(&bytes[..=last]), indexed))))
            }
        }
    }
}

/// Boxed, because it is as rare as it is large.
type Broken = (Fault, Option<Box<Message>>);

/// Where the headers end (behind the empty line), looking only at what was not looked at before.
fn end_of_headers(bytes: &[u8], sought: usize) -> Option<usize> {
    let mut from = sought.saturating_sub(3);
    loop {
        let lf = from + memchr::memchr(b'\n', bytes.get(from..)?)?;
        match (bytes.get(lf + 1), bytes.get(lf + 2)) {
            (Some(b'\n'), _) => return Some(lf + 2),
            (Some(b'\r'), Some(b'\n')) => return Some(lf + 3),
            _ => from = lf + 1,
        }
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
