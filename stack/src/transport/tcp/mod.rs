//! TCP (RFC 3261 §18), and TLS and WebSocket over it: one listener, the connections it accepts and those it opens.
//!
//! Nothing that a stream brings is shed: when `rx` is full no socket is read, and TCP's own window holds the peers.

mod attempts;
mod half_open;
mod ready;
mod websocket;

use super::connection::{GRACE, LAST_ANSWERS, Phase, Queued};
use super::poll_group::{Context, token};
use super::stream::Stream;
use super::table::Table;
use super::tls::TlsContext;
use super::ws::{self, WebSocket};
use super::{
    BindError, ConnectionId, Notify, ProvedPeers, Received, TcpOptions, TransportError, TransportId, TransportStats,
    TransportType, Wire, WsOptions, socket,
};
use bytes::Bytes;
use half_open::HalfOpen;
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry};
use rutil::{Class, FifoReceiver, Rng, Time, Turn};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Connections accepted, messages taken from the wire and sockets read in one turn.
const BATCH: usize = 64;
/// How long a held chunk waits before `rx` is tried again.
const RETRY: Duration = Duration::from_millis(1);
/// How long nothing is accepted when the system has no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How many full write queues may wait in all; above that a message is taken only by a connection with none waiting.
const FULL_QUEUES: usize = 64;
/// News of closed connections that may wait for `rx` before no new connection is taken.
const MOST_HELD: usize = 1024;

/// What a secure transport begins its sessions with, and where it tells who its peers are.
type TlsSide = (TlsContext, Arc<ProvedPeers>);

/// What is told to the sender of a message that was not taken.
type Refused = (Option<Notify>, TransportError);

/// Where a message is to go.
struct To {
    peer: SocketAddr,
    /// The address of ours to connect from, where the listener has all.
    local: Option<IpAddr>,
    /// The name that the peer has to prove.
    domain: Option<Arc<str>>,
}

/// One listener for streams and its connections.
pub(super) struct Tcp {
    id: TransportId,
    kind: TransportType,
    /// Of a secure transport: what its sessions begin with.
    tls: Option<TlsContext>,
    /// Who the peers have proved to be.
    proved: Arc<ProvedPeers>,
    /// Of a WebSocket transport: whom it lets in.
    ws: Option<WsOptions>,
    /// Of one that connects: for the masks of its connections.
    rng: Option<Rng>,
    index: usize,
    listener: TcpListener,
    local: SocketAddr,
    wire: FifoReceiver<Wire>,
    options: TcpOptions,
    table: Table,
    half_open: HalfOpen,
    /// Octets in all write queues.
    unsent: usize,
    /// Memory that incomplete WebSocket messages take.
    partial: usize,
    to_read: VecDeque<usize>,
    to_write: VecDeque<usize>,
    /// What `rx` had no room for; nothing is read until it is gone.
    held: VecDeque<Received>,
    /// When to try again although no edge comes: something is held, or sockets wait to be read.
    retry: Option<Time>,
    acceptable: bool,
    /// Nothing is accepted before this.
    accept_from: Time,
    /// The last accept found no descriptors; logged.
    exhausted: bool,
    stats: Arc<TransportStats>,
}

impl Tcp {
    /// Binds and registers a listener.
    pub(super) fn bind(
        id: TransportId,
        addr: SocketAddr,
        wire: FifoReceiver<Wire>,
        (options, tls, ws): (&TcpOptions, Option<TlsSide>, Option<WsOptions>),
        registry: &Registry,
        index: usize,
    ) -> Result<(Self, SocketAddr), BindError> {
        let kind = match (&tls, &ws) {
            (None, None) => TransportType::Tcp,
            (Some(_), None) => TransportType::Tls,
            (None, Some(_)) => TransportType::Ws,
            (Some(_), Some(_)) => TransportType::Wss,
        };
        let connects = ws.as_ref().is_some_and(|ws| ws.connect.is_some());
        let rng = connects.then(Rng::from_os).transpose();
        let rng = rng.map_err(|error| BindError::new(kind, addr, io::Error::other(error)))?;
        let listen = || {
            let (mut listener, local) = socket::listen_tcp(addr, options)?;
            registry.register(&mut listener, token(index, 0), Interest::READABLE)?;
            Ok((listener, local))
        };
        let (listener, local) = listen().map_err(|source| BindError::new(kind, addr, source))?;
        tracing::info!(%local, transport = kind.as_param(), "listening");
        let proved = tls.as_ref().map(|(_, proved)| proved.clone()).unwrap_or_default();
        let tcp = Tcp {
            id,
            kind,
            tls: tls.map(|(tls, _)| tls),
            proved,
            ws,
            rng,
            index,
            listener,
            local,
            wire,
            options: options.clone(),
            table: Table::new(options.max_connections, options.idle_timeout, local.ip().is_unspecified()),
            half_open: HalfOpen::new(options.max_handshakes),
            unsent: 0,
            partial: 0,
            to_read: VecDeque::new(),
            to_write: VecDeque::new(),
            held: VecDeque::new(),
            retry: None,
            acceptable: false,
            accept_from: Time::ZERO,
            exhausted: false,
            stats: Arc::default(),
        };
        Ok((tcp, local))
    }

    pub(super) fn id(&self) -> TransportId {
        self.id
    }

    pub(super) fn stats(&self) -> &Arc<TransportStats> {
        &self.stats
    }

    /// Takes note of an edge. A late edge for a slot that has a new owner does no harm: its socket says "would block".
    pub(super) fn ready(&mut self, slot: usize, event: &Event) {
        let Some(slot) = slot.checked_sub(1) else {
            self.acceptable = true;
            return;
        };
        let Some(connection) = self.table.get(slot) else { return };
        connection.ending |= event.is_read_closed() || event.is_error();
        if event.is_readable() || connection.ending {
            connection.readable = true;
            list(&mut self.to_read, &mut connection.to_read, slot);
        }
        if event.is_writable() || event.is_error() {
            connection.writable = true;
            list(&mut self.to_write, &mut connection.to_write, slot);
        }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        let accept = self.acceptable.then_some(self.accept_from);
        [self.table.deadline(), self.retry, accept].into_iter().flatten().min()
    }

    /// Whether a connection was not read to its end.
    pub(super) fn is_behind(&self) -> bool {
        !self.to_read.is_empty()
    }

    pub(super) fn drained(&self) -> bool {
        self.wire.is_empty() && self.held.is_empty() && !self.table.has_unsent()
    }

    /// Whether something waits for a turn beside what is due: mostly not, where most of the traffic is UDP's.
    pub(super) fn wants_turn(&self) -> bool {
        let listed = !self.to_read.is_empty() || !self.to_write.is_empty() || !self.held.is_empty();
        self.acceptable || listed || !self.wire.is_empty()
    }

    /// A bounded share of all there is to do.
    pub(super) fn turn(&mut self, ctx: &mut Context<'_>) -> Turn {
        if !self.wants_turn() && self.table.deadline().is_none_or(|at| at > ctx.now) {
            return Turn::Idle;
        }
        let expired = self.expire(ctx);
        let accepted = self.accept(ctx);
        let taken = self.take(ctx);
        let written = self.write(ctx);
        let read = self.read(ctx);
        self.retry = (!self.held.is_empty() || !self.to_read.is_empty()).then(|| ctx.now + RETRY);
        if expired || accepted || taken || written || read { Turn::Worked } else { Turn::Idle }
    }

    /// Ends what connections do whose time is up: waiting for last answers, or living at all.
    fn expire(&mut self, ctx: &mut Context<'_>) -> bool {
        let mut worked = false;
        for _ in 0..BATCH {
            let Some(slot) = self.table.expired(ctx.now) else { break };
            worked = true;
            let Some(connection) = self.table.get(slot) else { continue };
            match connection.phase {
                Phase::Closing => self.flush(ctx, slot),
                Phase::Connecting | Phase::Handshaking => self.close(ctx, slot, TransportError::ConnectTimeout),
                Phase::Open if connection.ws.is_some() => self.expire_websocket(ctx, slot),
                _ => self.close(ctx, slot, TransportError::ConnectionLost),
            }
        }
        worked
    }

    fn accept(&mut self, ctx: &mut Context<'_>) -> bool {
        if !self.acceptable || ctx.now < self.accept_from {
            return false;
        }
        if self.held.len() >= MOST_HELD {
            self.accept_from = ctx.now + RETRY;
            return false;
        }
        for _ in 0..BATCH {
            match self.listener.accept() {
                Ok((stream, peer)) => {
                    self.exhausted = false;
                    self.adopt(ctx, stream, peer);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.acceptable = false;
                    break;
                }
                // The one that was to be accepted has gone already.
                Err(e) if matches!(e.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) => {}
                // No descriptors, mostly: to try again at once would only spin.
                Err(e) => {
                    if !self.exhausted {
                        let hint = "raise the limit of open files";
                        tracing::error!(transport = self.id.0, error = %e, hint, "cannot accept for now");
                    }
                    self.exhausted = true;
                    self.stats.errors.add(1);
                    self.accept_from = ctx.now + ACCEPT_PAUSE;
                    break;
                }
            }
        }
        true
    }

    fn adopt(&mut self, ctx: &mut Context<'_>, stream: TcpStream, peer: SocketAddr) {
        if self.table.count_of_source(peer.ip()) >= self.options.max_per_source {
            tracing::debug!(%peer, "connection refused: its source has too many");
            self.stats.refused.add(1);
            return;
        }
        if !self.make_room(ctx) {
            self.stats.errors.add(1);
            return;
        }
        if let Err(e) = stream.set_nodelay(true) {
            tracing::debug!(%peer, error = %e, "nodelay");
        }
        let (phase, ends) = match self.tls.is_some() || self.ws.is_some() {
            true => (Phase::Handshaking, ctx.now + self.options.handshake_timeout),
            false => (Phase::Open, Time::MAX),
        };
        let stream = Stream::accepted(stream, self.tls.as_ref()).map_err(io::Error::other);
        match stream.and_then(|stream| self.enter(ctx, stream, (peer, None), phase, ends)) {
            Ok(slot) => {
                self.stats.accepted.add(1);
                if let (Some(options), Some(connection)) = (&self.ws, self.table.get(slot)) {
                    connection.ws = Some(Box::new(WebSocket::new(options)));
                }
                self.note_half_open(ctx, slot);
            }
            Err(e) => {
                tracing::debug!(%peer, error = %e, "accept");
                self.stats.errors.add(1);
            }
        }
    }

    /// Takes note of an accepted connection that has yet to agree on TLS or WebSocket, and closes one that is too many.
    fn note_half_open(&mut self, ctx: &mut Context<'_>, slot: usize) {
        let Some(connection) = self.table.get(slot).filter(|c| c.phase == Phase::Handshaking) else { return };
        let too_many = self.half_open.insert(connection.id, connection.peer.ip());
        let slot = too_many.and_then(|id| self.table.by_id(id));
        slot.into_iter().for_each(|slot| self.close(ctx, slot, TransportError::ConnectTimeout));
    }

    /// Registers a connection and enters it into the table; its slot.
    fn enter(
        &mut self,
        ctx: &mut Context<'_>,
        mut stream: Stream,
        peer: (SocketAddr, Option<Arc<str>>),
        phase: Phase,
        ends: Time,
    ) -> io::Result<usize> {
        let slot = self.table.next_slot();
        let interest = Interest::READABLE | Interest::WRITABLE;
        ctx.registry.register(stream.socket_mut(), token(self.index, slot + 1), interest)?;
        self.table.insert(stream, peer, phase, ctx.now, ends);
        Ok(slot)
    }

    /// Whether the table has room, after closing the connection idle longest if need be.
    fn make_room(&mut self, ctx: &mut Context<'_>) -> bool {
        if !self.table.is_full() {
            return true;
        }
        match self.table.oldest_idle() {
            Some(slot) => {
                self.close(ctx, slot, TransportError::ConnectionLost);
                true
            }
            None => false,
        }
    }

    /// Takes from the wire.
    fn take(&mut self, ctx: &mut Context<'_>) -> bool {
        for taken in 0..BATCH {
            match self.wire.pop() {
                Some(Wire::Send { bytes, peer, local, domain, connection, connect, notify }) => {
                    let to = To { peer, local, domain };
                    let message = Queued::message(bytes, notify);
                    if let Err((notify, error)) = self.send(ctx, message, to, connection, connect) {
                        let counter = match error {
                            TransportError::Congested => &self.stats.shed_sent,
                            _ => &self.stats.errors,
                        };
                        counter.add(1);
                        ctx.fail(notify, error);
                    }
                }
                Some(Wire::Alias { connection, port }) => self.alias(connection, port),
                Some(Wire::Expect { connection, within }) => self.table.expect(connection, within),
                Some(Wire::Ping { connection, within }) => self.ping(ctx, connection, within),
                Some(Wire::Connect { peer, local, domain, attempt }) => {
                    self.attempt(ctx, To { peer, local, domain }, attempt);
                }
                Some(Wire::GiveUp { peer, attempt }) => self.give_up(ctx, peer, attempt),
                Some(Wire::Close { connection }) => self.begin_close(ctx, connection),
                None => return taken > 0,
            }
        }
        true
    }

    /// Queues a message on the connection it names, else on one to its peer, else on a new one (RFC 3261 §18.2.2). What goes
    /// to a flow, or to a WebSocket client, who cannot be connected to, goes out on the connection that it names or not at
    /// all: behind the address there may be somebody else by now (RFC 5626 §5.3.1).
    fn send(
        &mut self,
        ctx: &mut Context<'_>,
        mut message: Queued,
        to: To,
        id: ConnectionId,
        connect: bool,
    ) -> Result<(), Refused> {
        let named = self.table.by_id(id).filter(|&s| self.table.get(s).is_some_and(|c| c.takes_messages()));
        let tied = self.ws.is_some() || !connect;
        let only_named = id == ConnectionId::NEW || tied && id != ConnectionId::default();
        if connect && named.is_some() && self.ws.is_none() && message.is_response() {
            message.reply_to = Some(to.peer);
        }
        let by_peer = || self.table.by_peer(to.peer, to.domain.as_deref()).filter(|_| !only_named);
        let slot = match named.or_else(by_peer) {
            Some(slot) => slot,
            None if connect && self.may_connect() => self.connect(ctx, to).map_err(|error| (message.notify, error))?,
            None => return Err((message.notify, TransportError::NoConnection)),
        };
        let Some(connection) = self.table.get(slot) else { return Ok(()) };
        if connection.has_unsent() && self.unsent > FULL_QUEUES * self.options.write_queue {
            return Err((message.notify, TransportError::Congested));
        }
        let message = match &mut connection.ws {
            Some(ws) => message.framed(ws.mask()),
            None => message,
        };
        let size = message.bytes.len();
        connection.enqueue(message, self.options.write_queue).map_err(|(m, error)| (m.notify, error))?;
        self.unsent += size;
        if connection.writable {
            list(&mut self.to_write, &mut connection.to_write, slot);
        }
        Ok(())
    }

    /// RFC 5923 §5: only of a peer that has proved who it is, or anybody could draw the requests of his neighbours.
    fn alias(&mut self, id: ConnectionId, port: u16) {
        let Some(slot) = self.table.by_id(id) else { return };
        let Some(connection) = self.table.get(slot).filter(|c| c.accepted && !c.proved.is_empty()) else { return };
        let alias = SocketAddr::new(connection.peer.ip(), port);
        self.table.alias(slot, alias);
    }

    /// RFC 5626 §4.4.1. Where messages wait their acknowledgement says as much as the answer to a ping behind them.
    fn ping(&mut self, ctx: &mut Context<'_>, id: ConnectionId, within: Option<Duration>) {
        let Some(slot) = self.table.by_id(id) else { return };
        let Some(connection) = self.table.get(slot).filter(|c| c.phase == Phase::Open) else { return };
        let by = within.map(|within| ctx.now + within);
        let unsent = connection.has_unsent();
        match (&mut connection.ws, by) {
            // One that is not answered yet stays the one that counts.
            (Some(ws), Some(by)) if ws.pinged => ws.ping_at = ws.ping_at.min(by),
            (Some(ws), Some(by)) => (ws.pinged, ws.ping_at) = (true, by),
            (Some(_), None) => {}
            (None, by) => connection.answer_by = connection.answer_by.or(by),
        }
        let websocket = connection.ws.is_some();
        match (unsent, websocket) {
            (true, _) => {}
            (false, true) => self.queue_frame(slot, ws::ping),
            (false, false) => self.queue_control(slot, Bytes::from_static(websocket::CRLF_CRLF)),
        }
        self.table.note(slot);
    }

    /// Whether connections are opened here: WebSockets only where it is said what to ask for.
    fn may_connect(&self) -> bool {
        self.ws.is_none() || self.rng.is_some()
    }

    /// Begins a connection to `peer`; its slot.
    fn connect(&mut self, ctx: &mut Context<'_>, To { peer, local, domain }: To) -> Result<usize, TransportError> {
        if peer.is_ipv6() != self.local.is_ipv6() {
            return Err(TransportError::NoTransport);
        }
        if self.held.len() >= MOST_HELD || !self.make_room(ctx) {
            return Err(TransportError::Congested);
        }
        let ends = ctx.now + self.options.connect_timeout;
        let entered = socket::connect_tcp(self.local, local, peer, &self.options).and_then(|socket| {
            let stream = Stream::connecting(socket, peer, domain.as_deref(), self.tls.as_ref());
            let stream = stream.map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
            self.enter(ctx, stream, (peer, domain), Phase::Connecting, ends)
        });
        if let Ok(slot) = entered {
            self.ask_for_websocket(slot);
        }
        entered.map_err(|e| {
            tracing::debug!(%peer, error = %e, "connect");
            TransportError::from_io(&e)
        })
    }

    /// Wire::Close: nothing more is taken in; what is queued or names the connection within [`LAST_ANSWERS`] goes out,
    /// then the connection ends.
    fn begin_close(&mut self, ctx: &mut Context<'_>, id: ConnectionId) {
        let Some(slot) = self.table.by_id(id) else { return };
        let Some(connection) = self.table.get(slot) else { return };
        if matches!(connection.phase, Phase::Open | Phase::HalfClosed) {
            self.table.enter(slot, Phase::Closing, ctx.now + LAST_ANSWERS);
        }
    }

    /// The time for last answers is over: what is queued goes out, then our FIN.
    fn flush(&mut self, ctx: &mut Context<'_>, slot: usize) {
        let Some(connection) = self.table.get(slot) else { return };
        // Listed even with an empty queue, because writing is what sends the FIN.
        connection.writable = true;
        list(&mut self.to_write, &mut connection.to_write, slot);
        if let Some(code) = connection.ws.as_mut().filter(|ws| ws.is_open()).and_then(|ws| ws.farewell.take()) {
            self.queue_frame(slot, |mask| ws::close(Some(code), mask));
        }
        self.table.enter(slot, Phase::Flushing, ctx.now + GRACE);
    }

    /// Gives `rx` what must not be lost, behind what is held already.
    fn hold(&mut self, ctx: &mut Context<'_>, item: Received) {
        if !self.held.is_empty() {
            self.held.push_back(item);
        } else if let Err(full) = ctx.rx.push(item, Class::Internal, ctx.now) {
            self.held.push_back(full.0);
        }
    }

    /// Ends a connection at once: what was not sent fails, and `rx` hears of it if it knew it.
    fn close(&mut self, ctx: &mut Context<'_>, slot: usize, error: TransportError) {
        let Some(mut connection) = self.table.remove(slot) else { return };
        let (unsent, octets) = connection.take_unsent();
        self.unsent = self.unsent.saturating_sub(octets);
        self.fail_all(ctx, unsent, connection.local, error);
        connection.attempts.drain(..).for_each(|attempt| ctx.connected(attempt, Err(error)));
        self.half_open.remove(connection.id, connection.peer.ip());
        if !connection.proved.is_empty() {
            self.proved.remove(self.id, connection.id);
        }
        if let Some(ws) = &connection.ws {
            self.partial = self.partial.saturating_sub(ws.frames.held());
        }
        if connection.phase == Phase::Connecting {
            tracing::debug!(transport = self.id.0, peer = %connection.peer, %error, "cannot connect");
            return;
        }
        self.stats.closed.add(1);
        if connection.phase == Phase::Handshaking {
            return;
        }
        let flow = connection.flow(self.id, self.kind);
        connection.last_news(flow).for_each(|item| self.hold(ctx, item));
    }

    /// What was not sent on a connection that is lost. A response goes out once more, on a new one (RFC 3261 §18.2.2); all
    /// else fails.
    fn fail_all(
        &mut self,
        ctx: &mut Context<'_>,
        messages: VecDeque<Queued>,
        local: Option<IpAddr>,
        error: TransportError,
    ) {
        for mut message in messages {
            let sent = match message.reply_to.take() {
                Some(peer) => self.send(ctx, message, To { peer, local, domain: None }, ConnectionId::default(), true),
                None => Err((message.notify, error)),
            };
            if let Err((notify, error)) = sent {
                self.stats.errors.add(1);
                ctx.fail(notify, error);
            }
        }
    }
}

/// Puts a slot at the end of a list once.
fn list(list: &mut VecDeque<usize>, listed: &mut bool, slot: usize) {
    if !*listed {
        *listed = true;
        list.push_back(slot);
    }
}
