//! One connection: its stream, its phase, and the messages that wait for the socket.
//!
//! ```text
//!  accept(), with TLS or as a          TLS agreed,
//!  WebSocket ──────────────► Handshaking ─┐ upgrade answered
//!                                    ▲          │
//!                     connected, TLS │          ▼
//!  connect()        connected        │           peer's FIN (answers may still go out)
//! ───────────► Connecting ───────────┴► Open ──────────────────► HalfClosed
//!                     accept() ──►│                                  │
//!                                 │ Wire::Close                      │ Wire::Close
//!                                 ▼                                  ▼
//!                              Closing ◄─────────────────────────────┘
//!                                 │   what comes is read and dropped; answers to what came before still go out
//!                                 │ a time for these answers has passed
//!                                 ▼
//!                              Flushing
//!                                 │ all is written: our FIN goes out
//!                                 ▼
//!                             Lingering: what still comes is read and dropped until the peer's FIN, so that no
//!                             reset overtakes what was written last
//!  Broken: writing failed; what the peer sent before is still read
//! ```

use super::stream::Stream;
use super::ws::{self, WebSocket};
use super::{Attempt, ConnectionId, Flow, Notify, Received, TransportError, TransportId, TransportType};
use crate::uri::parse_ip;
use bytes::Bytes;
use rutil::Time;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Octets read from a socket at once.
pub(super) const CHUNK: usize = 65_536;
/// How long a connection that one side has closed is kept for what is still to be said.
pub(super) const GRACE: Duration = Duration::from_secs(5);
/// How long a connection that is to be closed waits for answers to what was read from it before: [`super::Wire::Close`]
/// comes from the scanner and overtakes requests that are still on their way through the stack.
pub(super) const LAST_ANSWERS: Duration = Duration::from_millis(500);
/// Requests written to a connection that are told when it is gone: the latest. It is not known here which have been
/// answered; of more than this many on one connection, the timers end those that have not.
pub(super) const UNANSWERED: usize = 256;
/// Octets of responses that are kept when they are out, because the peer may have gone without reading them: the latest.
const UNREAD: usize = 65_536;
/// Messages written in one system call.
const GATHER: usize = 32;

/// How a response begins, and no request does.
const RESPONSE: &[u8] = b"SIP/2.0 ";

/// Where a connection is in its life; the figure is above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Connecting,
    Handshaking,
    Open,
    HalfClosed,
    Closing,
    Flushing,
    Lingering,
    Broken,
}

impl Phase {
    /// Whether a message that names this very connection may go out on it.
    pub(super) fn takes_messages(self) -> bool {
        matches!(self, Phase::Connecting | Phase::Handshaking | Phase::Open | Phase::HalfClosed | Phase::Closing)
    }
    /// Whether nothing has been exchanged yet.
    pub(super) fn is_coming_up(self) -> bool {
        matches!(self, Phase::Connecting | Phase::Handshaking)
    }
}

/// A message that waits for the socket.
pub(super) struct Queued {
    pub(super) bytes: Bytes,
    /// It is no SIP message.
    pub(super) control: bool,
    /// A request that is answered.
    asks: bool,
    pub(super) notify: Option<Notify>,
    /// Of a response to what came on this connection: where it goes, once, when the connection is lost.
    pub(super) reply_to: Option<SocketAddr>,
}

impl Queued {
    /// A SIP message.
    pub(super) fn message(bytes: Bytes, notify: Option<Notify>) -> Self {
        Queued { control: false, asks: wants_answer(&bytes), bytes, notify, reply_to: None }
    }

    /// Octets that are no SIP message: an answer of HTTP, or a control frame.
    pub(super) fn control(bytes: Bytes) -> Self {
        Queued { control: true, asks: false, bytes, notify: None, reply_to: None }
    }

    pub(super) fn is_response(&self) -> bool {
        self.bytes.starts_with(RESPONSE)
    }

    /// The message in a WebSocket frame.
    pub(super) fn framed(self, mask: Option<ws::Mask>) -> Self {
        let bytes = ws::message(&self.bytes, mask);
        Queued { bytes, ..self }
    }
}

/// What a read brought.
pub(super) enum Got {
    /// So many octets, in the buffer.
    Octets(usize),
    /// The socket is empty.
    Nothing,
    /// The peer's FIN.
    End,
    Lost(io::Error),
}

/// What a write achieved.
#[derive(Default)]
pub(super) struct Written {
    /// Messages that are now whole with the operating system.
    pub(super) messages: u64,
    pub(super) octets: u64,
}

pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) peer: SocketAddr,
    /// Our address, where the listener is bound to all.
    pub(super) local: Option<IpAddr>,
    pub(super) stream: Stream,
    /// The peer opened it.
    pub(super) accepted: bool,
    /// Of a WebSocket transport: what is above the stream.
    pub(super) ws: Option<Box<WebSocket>>,
    /// The name that the peer has to prove, of a connection that was opened with TLS (RFC 5922 §7.3).
    pub(super) domain: Option<Arc<str>>,
    /// The SIP domains that the peer has proved to be (RFC 5922 §7.1).
    pub(super) proved: Arc<[String]>,
    /// Where else the peer listens: requests to there may use this connection (RFC 5923).
    pub(super) alias: Option<SocketAddr>,
    pub(super) phase: Phase,
    /// When octets last went in or out.
    pub(super) active: Time,
    /// When octets last came in.
    pub(super) heard: Time,
    /// How long none may come; none: as long as it likes.
    pub(super) silence: Option<Duration>,
    /// By when something must come, since it was asked for a sign of life.
    pub(super) answer_by: Option<Time>,
    /// When a phase other than Open ends by force.
    pub(super) ends: Time,
    /// An edge came and the socket is not yet drained.
    pub(super) readable: bool,
    /// The socket takes octets, as far as known.
    pub(super) writable: bool,
    /// A FIN or reset waits behind what can be read: a short read does not mean that the socket is drained.
    pub(super) ending: bool,
    /// The peer's FIN was read.
    pub(super) finished: bool,
    /// `rx` was told that nothing more will come.
    pub(super) announced: bool,
    /// It is in the list of those to be read.
    pub(super) to_read: bool,
    /// It is in the list of those to be written.
    pub(super) to_write: bool,
    /// Who waits for it to come up.
    pub(super) attempts: Vec<Attempt>,
    /// It was begun for a race, and no message has used it yet.
    pub(super) spare: bool,
    queue: VecDeque<Queued>,
    /// Octets of the first message that are out.
    offset: usize,
    /// Octets in the queue that are not out.
    queued: usize,
    /// The latest requests that are out, the oldest first. It grows to what the connection needs, [`UNANSWERED`] at
    /// most, and is allocated no more from then on.
    unanswered: VecDeque<Notify>,
    /// The latest responses that went out behind the peer's FIN, the oldest first: whether he still reads or has closed the
    /// connection, only a reset tells.
    unread: VecDeque<Queued>,
    /// Octets of these, [`UNREAD`] at most.
    unread_octets: usize,
}

impl Connection {
    pub(super) fn new(
        id: ConnectionId,
        peer: SocketAddr,
        domain: Option<Arc<str>>,
        stream: Stream,
        phase: Phase,
        now: Time,
    ) -> Self {
        Connection {
            id,
            peer,
            local: None,
            stream,
            accepted: false,
            ws: None,
            domain,
            proved: Arc::default(),
            alias: None,
            phase,
            active: now,
            heard: now,
            silence: None,
            answer_by: None,
            ends: Time::MAX,
            readable: false,
            writable: phase != Phase::Connecting,
            ending: false,
            finished: false,
            announced: false,
            to_read: false,
            to_write: false,
            attempts: Vec::new(),
            spare: false,
            queue: VecDeque::new(),
            offset: 0,
            queued: 0,
            unanswered: VecDeque::new(),
            unread: VecDeque::new(),
            unread_octets: 0,
        }
    }

    /// What a message that came on it says of where it came from.
    pub(super) fn flow(&self, transport: TransportId, kind: TransportType) -> Flow {
        Flow { transport, kind, connection: self.id, peer: self.peer, local: self.local }
    }

    /// Whether a message that names this very connection may go out on it. Where a client opens a WebSocket, only when it is
    /// one; where we do, messages wait.
    pub(super) fn takes_messages(&self) -> bool {
        self.phase.takes_messages() && self.ws.as_ref().is_none_or(|ws| ws.is_open() || ws.is_client())
    }

    /// Whether a request for `domain` to `peer` may use it: one whose peer has proved to be that, or has connected from
    /// just there. Without a domain any will do.
    pub(super) fn serves(&self, peer: SocketAddr, domain: Option<&str>) -> bool {
        let Some(domain) = domain else { return self.takes_messages() };
        match &self.domain {
            Some(proved) => proved.eq_ignore_ascii_case(domain),
            None if peer == self.peer && parse_ip(domain) == Some(peer.ip()) => self.takes_messages(),
            None => self.alias == Some(peer) && self.proved.iter().any(|proved| proved.eq_ignore_ascii_case(domain)),
        }
    }

    /// Whether the connection that was begun is up.
    pub(super) fn is_connected(&self) -> io::Result<bool> {
        let socket = self.stream.socket();
        if let Some(e) = socket.take_error()? {
            return Err(e);
        }
        match socket.peer_addr() {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Reads at most `buffer`. A short read means that the socket is drained, which saves a system call a message.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Got {
        match self.stream.read(buffer, self.ending) {
            Ok(0) => {
                self.readable = false;
                self.finished = true;
                // Behind a FIN a reset reads as the same end: only the socket's error tells it.
                match self.stream.socket().take_error() {
                    Ok(Some(e)) | Err(e) => Got::Lost(e),
                    Ok(None) => Got::End,
                }
            }
            Ok(size) => {
                self.readable = self.ending || self.stream.may_have_more(size, buffer.len());
                Got::Octets(size)
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                Got::Nothing
            }
            // Still readable: the next turn tries again.
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Got::Nothing,
            Err(e) => Got::Lost(e),
        }
    }

    pub(super) fn has_unsent(&self) -> bool {
        !self.queue.is_empty() || self.stream.wants_write()
    }

    /// Appends a message, or says why it may not wait here; `limit` is of octets.
    pub(super) fn enqueue(&mut self, message: Queued, limit: usize) -> Result<(), (Queued, TransportError)> {
        let size = message.bytes.len();
        if size > limit {
            return Err((message, TransportError::TooLarge));
        }
        if self.queued + size > limit {
            return Err((message, TransportError::Congested));
        }
        self.spare = false;
        if size > 0 {
            self.queued += size;
            self.queue.push_back(message);
        }
        Ok(())
    }

    /// Writes until the queue is empty or the socket is full, several messages in one system call.
    pub(super) fn write(&mut self) -> io::Result<Written> {
        let mut written = Written::default();
        self.flush()?;
        while self.writable && self.may_go() > 0 && !self.stream.is_handshaking() {
            let mut slices = [IoSlice::new(&[]); GATHER];
            let mut offered = 0;
            for (i, (slice, queued)) in slices.iter_mut().zip(&self.queue).take(self.may_go()).enumerate() {
                let rest = queued.bytes.get(if i == 0 { self.offset } else { 0 }..).unwrap_or_default();
                offered += rest.len();
                *slice = IoSlice::new(rest);
            }
            let count = self.may_go().min(GATHER);
            match self.stream.write_vectored(slices.get(..count).unwrap_or_default()) {
                Ok(size) => {
                    self.writable = self.stream.may_take_more(size, offered);
                    self.advance(size, &mut written);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(e) => return Err(e),
            }
        }
        Ok(written)
    }

    /// How many of the queue may go out: before a WebSocket that we open is one, only the request for it, which is first.
    fn may_go(&self) -> usize {
        match &self.ws {
            Some(ws) if ws.is_client() && !ws.is_open() => self.queue.iter().take_while(|first| first.control).count(),
            _ => self.queue.len(),
        }
    }

    /// Gives the socket what the stream has kept of earlier writes.
    fn flush(&mut self) -> io::Result<()> {
        match self.stream.flush() {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.writable = false,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            flushed => return flushed,
        }
        Ok(())
    }

    fn advance(&mut self, size: usize, written: &mut Written) {
        self.queued = self.queued.saturating_sub(size);
        written.octets += size as u64;
        self.offset += size;
        while let Some(first) = self.queue.front() {
            if self.offset < first.bytes.len() {
                break;
            }
            self.offset -= first.bytes.len();
            if let Some(notify) = first.notify.filter(|_| first.asks) {
                if self.unanswered.len() == UNANSWERED {
                    self.unanswered.pop_front();
                }
                self.unanswered.push_back(notify);
            }
            written.messages += u64::from(!first.control);
            let first = self.queue.pop_front();
            if self.ending || self.finished {
                first.into_iter().for_each(|message| self.keep(message));
            }
        }
    }

    /// Keeps a response that is out.
    fn keep(&mut self, message: Queued) {
        let size = message.bytes.len();
        if message.reply_to.is_none() || size > UNREAD {
            return;
        }
        while self.unread_octets + size > UNREAD {
            let Some(oldest) = self.unread.pop_front() else { break };
            self.unread_octets -= oldest.bytes.len();
        }
        self.unread_octets += size;
        self.unread.push_back(message);
    }

    /// The connection was reset: what the peer may not have read counts as not out.
    pub(super) fn take_back(&mut self) {
        self.unread_octets = 0;
        let mut unread = std::mem::take(&mut self.unread);
        unread.append(&mut self.queue);
        self.queue = unread;
    }

    /// What `rx` is to hear when nothing more will come from this connection: that, once, and which requests it leaves
    /// without an answer.
    pub(super) fn last_news(&mut self, flow: Flow) -> impl Iterator<Item = Received> + use<> {
        let closed = (!std::mem::replace(&mut self.announced, true)).then_some(Received::Closed { flow });
        let requests = Vec::from(std::mem::take(&mut self.unanswered));
        let unanswered = (!requests.is_empty()).then_some(Received::Unanswered { flow, requests });
        closed.into_iter().chain(unanswered)
    }

    /// Takes the messages that are not wholly out, and how many octets of them are not.
    pub(super) fn take_unsent(&mut self) -> (VecDeque<Queued>, usize) {
        self.offset = 0;
        (std::mem::take(&mut self.queue), std::mem::take(&mut self.queued))
    }

    /// Sends our FIN.
    pub(super) fn shut(&mut self) -> io::Result<()> {
        self.stream.shut()
    }
}

/// Whether a message is a request that is answered, by its first octets: all but ACK are.
fn wants_answer(message: &[u8]) -> bool {
    !message.starts_with(RESPONSE) && !message.starts_with(b"ACK ")
}
