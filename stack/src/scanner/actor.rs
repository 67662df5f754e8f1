//! The actor between `rx` and `txn[i]`.

use super::Refusal;
use super::ScannerStats;
use super::admission::{Admission, Shared};
use super::check::{TopVia, check_request, stamp_received};
use super::stats::count;
use super::stream::Scanned;
use super::streams::Streams;
use super::stun;
use super::undelivered::transaction_of;
use crate::header::{HeaderId, Method, h, p};
use crate::hep::Tap;
use crate::message::{Limits, Message, Source};
use crate::overload::Sources;
use crate::statistics::Tally;
use crate::transaction::{Binding, ClientTransaction, Incoming, KeyMaker};
use crate::transport::{Flow, Notify, Received, TransportError, TransportFailed, TransportTable, TransportType, Wire};
use crate::tu::raw_shard;
use bytes::Bytes;
use rutil::{Actor, Class, CongestionManager, FifoReceiver, FifoSender, Full, Rng, Time, Turn};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Items a turn: all that fits in `rx`, for all sockets of a runner fill it before the scanner has its turn.
const BATCH: usize = 256;

/// How long to wait for room before looking again.
const HOLD: Duration = Duration::from_millis(1);

/// What a scanner is made of.
pub(crate) struct ScannerParts {
    pub(crate) shard: u16,
    pub(crate) rx: FifoReceiver<Received>,
    /// One a shard.
    pub(crate) txn: Vec<FifoSender<Incoming>>,
    /// One a transport of the stack, by [`crate::transport::TransportId`].
    pub(crate) wires: Vec<FifoSender<Wire>>,
    pub(crate) transports: TransportTable,
    pub(crate) limits: Limits,
    /// Octets that the partial messages of all streams may take.
    pub(crate) partial_octets: usize,
    /// How long a message of a stream may be incomplete.
    pub(crate) patience: Duration,
    pub(crate) keys: KeyMaker,
    pub(crate) rng: Rng,
    pub(crate) tap: Tap,
    pub(crate) stats: Arc<ScannerStats>,
    pub(crate) tally: Arc<Tally>,
    pub(crate) congestion: Arc<CongestionManager>,
    pub(crate) shared: Shared,
    pub(crate) sources: Option<Sources>,
    /// RFC 7339.
    pub(crate) control: bool,
    /// There are no transactions.
    pub(crate) raw: bool,
    /// Somebody wants to hear when a connection is gone.
    pub(crate) flows: bool,
}

/// Frames, checks and distributes messages.
pub(crate) struct MessageHeaderScanner {
    pub(super) parts: ScannerParts,
    streams: Streams,
    pub(super) admission: Admission,
    /// Messages of streams that found no room: while there are any, nothing is read from `rx`.
    held: VecDeque<(usize, Incoming)>,
    retry_at: Time,
}

impl MessageHeaderScanner {
    pub(crate) fn new(mut parts: ScannerParts) -> Self {
        let streams = Streams::new(parts.limits, parts.partial_octets, parts.patience, &mut parts.rng);
        let admission = Admission::new(parts.congestion.clone(), parts.sources.take());
        MessageHeaderScanner { parts, streams, admission, held: VecDeque::new(), retry_at: Time::ZERO }
    }

    fn receive(&mut self, received: Received, now: Time) {
        match received {
            Received::Datagram { bytes, flow, at } => self.datagram(bytes, flow, at, now),
            Received::Chunk { bytes, flow, at } => self.chunk(bytes, flow, at, now),
            Received::Closed { flow } => {
                self.streams.remove(&flow);
                if self.parts.flows {
                    let shard = usize::from(self.parts.shard);
                    self.hand_over(shard, Incoming::FlowEnded(Box::new(flow)), Class::Internal, flow, now);
                }
            }
            Received::Unanswered { flow, requests } => {
                requests.into_iter().for_each(|notify| self.lost(notify, TransportError::ConnectionLost, flow, now));
            }
            Received::Undelivered { quote, flow, error } => {
                if let Some(asked) = stun::request_of(&quote) {
                    self.bound(asked, None, flow, now);
                } else if let Some((shard, key)) = transaction_of(&quote) {
                    self.lost(Notify { shard, key }, error, flow, now);
                }
            }
        }
    }

    /// A request went out in vain. Its transaction hears so behind the responses that came before.
    fn lost(&mut self, notify: Notify, error: TransportError, flow: Flow, now: Time) {
        let shard = usize::from(notify.shard);
        // What ICMP quotes may name a shard that does not exist.
        if shard < self.parts.txn.len() {
            self.hand_over(shard, Incoming::Lost(TransportFailed { notify, error }), Class::New, flow, now);
        }
    }

    /// News of a Binding request of ours, or what pretends to be that.
    fn bound(&mut self, asked: stun::Asked, mapped: Option<SocketAddr>, flow: Flow, now: Time) {
        let stun::Asked { shard, tu, name } = asked;
        if usize::from(shard) < self.parts.txn.len() && !self.parts.raw {
            let binding = Incoming::Binding(Box::new(Binding { tu, name, mapped }));
            self.hand_over(usize::from(shard), binding, Class::New, flow, now);
        }
    }

    fn datagram(&mut self, bytes: Bytes, flow: Flow, at: Time, now: Time) {
        // Keep-alives (RFC 5626 §4.4: CRLF, CRLFCRLF, a NUL from old devices) are nothing to answer.
        if bytes.iter().all(|b| matches!(b, b'\r' | b'\n' | 0)) {
            self.parts.transports.heard().keep_alive(&flow, now);
            return;
        }
        if self.is_banned(&flow, now) {
            // A WebSocket message.
            if flow.kind.is_reliable() {
                self.close(flow, now);
            }
            return;
        }
        if flow.kind == TransportType::Udp && stun::is_stun(&bytes) {
            if let Some(answer) = stun::answer(&bytes, flow.peer) {
                self.parts.transports.heard().keep_alive(&flow, now);
                self.reply(answer, flow, now);
            } else if let Some((asked, mapped)) = stun::response(&bytes) {
                self.bound(asked, mapped, flow, now);
            } else {
                count(&self.parts.stats.garbage);
            }
            return;
        }
        if !self.admits(&bytes, flow, at, now) {
            return;
        }
        match Message::parse_datagram(bytes, &self.parts.limits) {
            Ok(msg) => self.message(Box::new(msg), flow, at, now),
            Err(fault) => {
                tracing::debug!(peer = %flow.peer, %fault, "datagram dropped");
                count(&self.parts.stats.garbage);
                self.offence(&flow, now);
            }
        }
    }

    fn chunk(&mut self, bytes: Bytes, flow: Flow, at: Time, now: Time) {
        if self.is_banned(&flow, now) {
            return self.close(flow, now);
        }
        let mut stream = self.streams.take(flow);
        if stream.scanner.is_stopped() {
            // It was to be closed, and `wire` had no room.
            self.close(flow, now);
        }
        // One answer says it: a chunk full of keep-alives must not fill `wire`.
        let mut answered = false;
        stream.scanner.feed(bytes, |scanned| match scanned {
            Scanned::Message(mut msg) => {
                if self.admits_message(&mut msg, flow, now) {
                    self.message(Box::new(msg), flow, at, now);
                }
            }
            Scanned::KeepAlive if std::mem::replace(&mut answered, true) => {}
            Scanned::KeepAlive => self.reply(Bytes::from_static(b"\r\n"), flow, now),
            Scanned::Broken(fault, msg) => {
                match msg {
                    Some(msg) => self.refuse(&msg, flow, Refusal::Fault(fault), now),
                    None => self.offence(&flow, now),
                }
                tracing::info!(peer = %flow.peer, %fault, "stream closed: its framing is lost");
                self.close(flow, now);
            }
        });
        self.streams.put(stream, now);
        while let Some(flow) = self.streams.crowded() {
            count(&self.parts.stats.shed_partials);
            tracing::info!(peer = %flow.peer, "stream closed: incomplete messages take too much memory");
            self.close(flow, now);
        }
    }

    /// Closes the streams whose messages are incomplete for too long.
    fn close_late(&mut self, now: Time) -> bool {
        let mut any = false;
        for _ in 0..BATCH {
            let Some(flow) = self.streams.late(now) else { break };
            count(&self.parts.stats.late_partials);
            tracing::info!(peer = %flow.peer, "stream closed: its message was not complete in time");
            self.close(flow, now);
            any = true;
        }
        any
    }

    pub(super) fn message(&mut self, mut msg: Box<Message>, flow: Flow, at: Time, now: Time) {
        self.parts.tap.received(|| msg.to_bytes(), flow, now);
        msg.set_source(Source { flow, at });
        if self.parts.raw {
            let call_id = msg.raw_value(HeaderId::CALL_ID).unwrap_or_default();
            let shard = usize::from(raw_shard(call_id, self.parts.txn.len() as u16));
            return self.hand_over(shard, Incoming::Raw(msg), Class::Essential, flow, now);
        }
        if msg.is_response() {
            return self.response(msg, flow, now);
        }
        match check_request(&mut msg, &flow, &self.parts.keys) {
            Ok(checked) => {
                checked.stamp.put(&mut msg, flow.peer);
                if let Some(port) = checked.alias {
                    self.alias(flow, port, now);
                }
                let shard = self.parts.keys.shard(&msg, self.parts.txn.len());
                let method = msg.method();
                let class = class_of(method.as_ref());
                self.parts.tally.request_received(method.as_ref());
                self.admission.remember(checked.key, &msg, class == Class::New && !msg.has_to_tag());
                count(&self.parts.stats.requests);
                let (key, cancels, reply_to) = (checked.key, checked.cancels.map(Box::new), checked.reply_to.peer);
                self.hand_over(shard, Incoming::Request { msg, key, cancels, reply_to }, class, flow, now);
            }
            Err(refusal) => self.refuse(&msg, flow, refusal, now),
        }
    }

    fn response(&mut self, msg: Box<Message>, flow: Flow, now: Time) {
        let ours = |msg: &Message| {
            if msg.fault().is_some() {
                return None;
            }
            let via = msg.first(h::VIAS).ok()?;
            // RFC 3261 §18.1.2: what names another sent-by was not sent through us.
            if !self.parts.transports.is_local(&via.host, via.port) {
                return None;
            }
            // What CSeq says decides which transaction it is: a response without a good one is nobody's.
            let cseq = msg.header(h::CSEQ).ok()?;
            let transaction = ClientTransaction::from_branch(via.param(p::BRANCH)?)?;
            if usize::from(transaction.shard()) >= self.parts.txn.len() {
                return None;
            }
            self.parts.tally.response_received(Some(&cseq.method), msg.status());
            Some(transaction)
        };
        match ours(&msg) {
            Some(transaction) => {
                count(&self.parts.stats.responses);
                let incoming = Incoming::Response { msg, transaction };
                self.hand_over(usize::from(transaction.shard()), incoming, Class::Essential, flow, now);
            }
            None => {
                tracing::debug!(peer = %flow.peer, "response dropped: malformed, or not to a request of ours");
                count(&self.parts.stats.garbage);
            }
        }
    }

    fn hand_over(&mut self, shard: usize, incoming: Incoming, class: Class, flow: Flow, now: Time) {
        // What came on a stream is not lost: it waits, and the stream with it.
        let class = if flow.kind.is_reliable() { Class::Internal } else { class };
        if !self.held.is_empty() {
            self.held.push_back((shard, incoming));
        } else if let Err(Full(incoming)) = self.parts.txn[shard].push(incoming, class, now) {
            if flow.kind.is_reliable() {
                self.held.push_back((shard, incoming));
                self.retry_at = now + HOLD;
            } else {
                count(&self.parts.stats.shed);
            }
        }
    }

    /// Answers a malformed request without a transaction. An ACK gets no answer (RFC 3261 §17), nor does a request
    /// without any Via. The To tag is its key's where it has one, so that the transactions know the ACK again.
    fn refuse(&mut self, msg: &Message, flow: Flow, refusal: Refusal, now: Time) {
        if msg.is_response() || msg.method() == Some(Method::Ack) || !msg.exists(h::VIAS) {
            count(&self.parts.stats.garbage);
            // A line of words and colons: HTTP, or nothing.
            if !msg.is_response() && !msg.exists(h::VIAS) {
                self.offence(&flow, now);
            }
            return;
        }
        count(&self.parts.stats.refused);
        tracing::debug!(peer = %flow.peer, %refusal, "request refused");
        let reply_to = msg.first(h::VIAS).map_or(flow, |via| TopVia::of(&via).reply_to(&flow));
        let code = refusal.status();
        self.parts.tally.response_sent(msg.method() == Some(Method::Invite), code);
        let reason = format!("{} ({refusal})", crate::message::reason_phrase(code));
        let tag = self.own_tag(msg).unwrap_or_else(|| format!("{:016x}", self.parts.rng.next_u64()));
        let mut response = msg.make_response(code, Some(&reason), Some(&tag));
        stamp_received(&mut response, flow.peer);
        let bytes = response.to_bytes();
        self.parts.tap.sent(&bytes, reply_to, now);
        self.reply(bytes, reply_to, now);
    }

    fn own_tag(&self, msg: &Message) -> Option<String> {
        let (via, method) = (msg.first(h::VIAS).ok()?, msg.method()?);
        self.parts.keys.of_request(msg, &TopVia::of(&via), &method).ok().map(|key| key.own_tag())
    }

    pub(super) fn reply(&mut self, bytes: Bytes, flow: Flow, now: Time) {
        let Some(wire) = self.parts.wires.get(usize::from(flow.transport.0)) else { return };
        let Flow { peer, local, connection, .. } = flow;
        let send = Wire::Send { bytes, peer, local, domain: None, connection, connect: false, notify: None };
        if wire.push(send, Class::Essential, now).is_err() {
            count(&self.parts.stats.shed);
        }
    }

    /// RFC 5923 §5. Without room the next request says it again.
    fn alias(&mut self, flow: Flow, port: u16, now: Time) {
        if let Some(wire) = self.parts.wires.get(usize::from(flow.transport.0)) {
            let _ = wire.push(Wire::Alias { connection: flow.connection, port }, Class::New, now);
        }
    }

    fn close(&mut self, flow: Flow, now: Time) {
        if let Some(wire) = self.parts.wires.get(usize::from(flow.transport.0)) {
            // Without room the connection stays until more comes on it; its scanner reads nothing of that.
            let _ = wire.push(Wire::Close { connection: flow.connection }, Class::Internal, now);
        }
    }
}

/// What finishes a transaction or a dialog keeps the headroom.
fn class_of(method: Option<&Method<'_>>) -> Class {
    match method {
        Some(Method::Ack | Method::Cancel | Method::Bye | Method::Prack) => Class::Essential,
        _ => Class::New,
    }
}

impl Actor for MessageHeaderScanner {
    fn name(&self) -> &'static str {
        "scanner"
    }

    fn turn(&mut self, now: Time) -> Turn {
        self.parts.transports.refresh();
        let mut worked = false;
        while let Some((shard, incoming)) = self.held.pop_front() {
            if let Err(Full(incoming)) = self.parts.txn[shard].push(incoming, Class::Internal, now) {
                self.held.push_front((shard, incoming));
                self.retry_at = now + HOLD;
                break;
            }
            worked = true;
        }
        let ScannerParts { rx, shared, rng, .. } = &mut self.parts;
        self.admission.begin(!rx.is_empty(), shared, rng, now);
        self.admission.report(&self.parts.stats, self.parts.shard, now);
        for _ in 0..BATCH {
            if !self.held.is_empty() {
                break;
            }
            let Some(received) = self.parts.rx.pop() else { break };
            self.receive(received, now);
            worked = true;
        }
        self.answer_refused(now);
        // While something waits to be read, what completes a message may be in it.
        if self.held.is_empty() && self.parts.rx.is_empty() {
            worked |= self.close_late(now);
        }
        if !worked {
            return Turn::Idle;
        }
        self.parts.stats.partial_octets.set(self.streams.octets() as u64);
        Turn::Worked
    }

    fn wants_turn(&self) -> bool {
        !self.held.is_empty() || !self.parts.rx.is_empty()
    }

    fn deadline(&self) -> Option<Time> {
        let next = if self.held.is_empty() { self.streams.deadline() } else { Some(self.retry_at) };
        [next, self.admission.deadline()].into_iter().flatten().min()
    }

    fn drained(&self) -> bool {
        self.held.is_empty() && self.parts.rx.is_empty()
    }
}
