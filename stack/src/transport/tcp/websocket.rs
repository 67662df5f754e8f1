//! What the connections of a WebSocket transport do besides: the upgrade, messages in frames, ping and close.

use super::super::connection::{LAST_ANSWERS, Phase, Queued};
use super::super::poll_group::Context;
use super::super::ws::{self, Event, Fault, Mask, WebSocket};
use super::super::{Received, TransportError};
use super::{Tcp, list};
use bytes::Bytes;
use rutil::Time;
use std::io;
use tungstenite::protocol::frame::coding::CloseCode;

/// A keep-alive that wants an answer, and that answer (RFC 5626 §3.5.1, which RFC 7118 §6 allows here).
pub(super) const CRLF_CRLF: &[u8] = b"\r\n\r\n";
const CRLF: &[u8] = b"\r\n";

impl Tcp {
    /// Takes `size` octets that are in the buffer.
    pub(super) fn read_websocket(&mut self, ctx: &mut Context<'_>, slot: usize, size: usize) {
        match self.table.get(slot).map(|c| c.phase) {
            Some(Phase::Handshaking) => match self.table.get(slot).and_then(|c| c.ws.as_ref()) {
                Some(ws) if ws.is_client() => self.upgraded(ctx, slot, size),
                _ => self.upgrade(ctx, slot, size),
            },
            Some(Phase::Open | Phase::Broken) => self.take_frames(ctx, slot, size),
            _ => {}
        }
    }

    /// The connection was begun: the request for a WebSocket is the first to go out on it.
    pub(super) fn ask_for_websocket(&mut self, slot: usize) {
        let Tcp { table, ws: options, rng, tls, .. } = self;
        let (Some(connection), Some(options), Some(rng)) = (table.get(slot), options, rng) else { return };
        let Some(path) = &options.connect else { return };
        let name = connection.domain.as_deref().or_else(|| tls.as_ref()?.server_name());
        let (ws, request) = WebSocket::connecting(options, path, (connection.peer, name), rng.split());
        connection.ws = Some(Box::new(ws));
        self.queue_control(slot, request);
    }

    /// Takes the answer to our request for a WebSocket, and what may follow it.
    fn upgraded(&mut self, ctx: &mut Context<'_>, slot: usize, size: usize) {
        let (Some(connection), Some(options)) = (self.table.get(slot), &self.ws) else { return };
        let Some(ws) = &mut connection.ws else { return };
        match ws.answered(ctx.buffer.get(..size).unwrap_or_default()) {
            None => {}
            Some(Ok(taken)) => {
                ws.heard(ctx.now, options);
                self.agreed(ctx, slot);
                ctx.buffer.copy_within(taken..size, 0);
                if size > taken {
                    self.take_frames(ctx, slot, size - taken);
                }
            }
            Some(Err(why)) => self.not_agreed(ctx, slot, &io::Error::other(why)),
        }
    }

    fn upgrade(&mut self, ctx: &mut Context<'_>, slot: usize, size: usize) {
        let (Some(connection), Some(options)) = (self.table.get(slot), &self.ws) else { return };
        let Some(ws) = &mut connection.ws else { return };
        let Some(answer) = ws.upgrade(ctx.buffer.get(..size).unwrap_or_default(), options) else { return };
        let (id, source) = (connection.id, connection.peer.ip());
        match answer {
            Ok(response) => {
                ws.heard(ctx.now, options);
                connection.active = ctx.now;
                self.stats.handshakes.add(1);
                self.queue_control(slot, response.into());
                self.note_identities(slot);
                self.table.enter(slot, Phase::Open, Time::MAX);
            }
            Err(refused) => {
                tracing::info!(peer = %connection.peer, %refused, "no WebSocket with this client");
                // Nobody above has heard of it.
                connection.announced = true;
                self.stats.handshakes_failed.add(1);
                self.queue_control(slot, ws::refusal(&refused));
                self.flush(ctx, slot);
            }
        }
        self.half_open.remove(id, source);
    }

    fn take_frames(&mut self, ctx: &mut Context<'_>, slot: usize, size: usize) {
        let Tcp { table, ws: options, held, stats, .. } = self;
        let (Some(connection), Some(options)) = (table.get(slot), options) else { return };
        // A peer that talks and does not read counts as idle.
        if !connection.has_unsent() {
            connection.active = ctx.now;
        }
        let (flow, idle) = (connection.flow(self.id, self.kind), !connection.has_unsent());
        let (Some(ws), Some(octets)) = (&mut connection.ws, ctx.buffer.get_mut(..size)) else { return };
        ws.heard(ctx.now, options);
        let before = ws.frames.held();
        let (mut asked, mut ping, mut closed, mut whole) = (false, None, None, false);
        let fed = ws.frames.feed(octets, |event| match event {
            Event::Message(bytes) if bytes == CRLF_CRLF => (asked, whole) = (true, true),
            Event::Message(bytes) => {
                whole = true;
                stats.received.add(1);
                stats.received_octets.add(bytes.len() as u64);
                held.push_back(Received::Datagram { bytes, flow, at: ctx.now });
            }
            Event::Ping(data) => ping = Some(data),
            Event::Close(code) => closed = Some(code),
        });
        self.partial = (self.partial + ws.frames.held()).saturating_sub(before);
        // What is incomplete now began in these octets if a message ended in them.
        let since = ws.incomplete.filter(|_| !whole).unwrap_or(ctx.now);
        ws.incomplete = ws.frames.is_incomplete().then_some(since);
        let begun = ws.incomplete == Some(ctx.now);
        if ping.is_some() {
            ws.pong = ping;
            list(&mut self.to_write, &mut connection.to_write, slot);
        }
        if begun {
            self.table.note(slot);
        }
        self.deliver(ctx);
        // One answer says it, and one that does not read gets none.
        if asked && idle {
            self.queue_frame(slot, |mask| ws::message(&Bytes::from_static(CRLF), mask));
        }
        match (fed, closed) {
            (Err(fault), _) => self.fail(ctx, slot, fault),
            (_, Some(code)) => self.closed_by_peer(ctx, slot, code),
            _ => {}
        }
        self.bound_partial(ctx);
    }

    /// The peer has closed the WebSocket: what it is owed is a close frame with its own code (RFC 6455 §5.5.1).
    fn closed_by_peer(&mut self, ctx: &mut Context<'_>, slot: usize, code: Option<CloseCode>) {
        let Some(connection) = self.table.get(slot) else { return };
        let flow = connection.flow(self.id, self.kind);
        connection.last_news(flow).for_each(|item| self.hold(ctx, item));
        let Some(connection) = self.table.get(slot).filter(|c| c.phase == Phase::Open) else { return };
        connection.ws.iter_mut().for_each(|ws| ws.farewell = None);
        self.queue_frame(slot, |mask| ws::close(code, mask));
        self.flush(ctx, slot);
    }

    /// Reads nothing more, and ends the connection when the answers to what was read before have had their time.
    fn fail(&mut self, ctx: &mut Context<'_>, slot: usize, fault: Fault) {
        let Some(connection) = self.table.get(slot) else { return };
        tracing::info!(peer = %connection.peer, %fault, "WebSocket closed");
        if let Some(ws) = &mut connection.ws {
            self.partial = self.partial.saturating_sub(ws.frames.held());
            ws.frames.give_up();
            (ws.incomplete, ws.farewell) = (None, Some(fault.code()));
        }
        if connection.phase == Phase::Open {
            self.table.enter(slot, Phase::Closing, ctx.now + LAST_ANSWERS);
        }
    }

    /// Keeps what incomplete messages take within its bound.
    fn bound_partial(&mut self, ctx: &mut Context<'_>) {
        while self.ws.as_ref().is_some_and(|options| self.partial > options.partial_octets) {
            let Some(slot) = self.table.oldest_incomplete() else { return };
            self.fail(ctx, slot, Fault::Crowded);
        }
    }

    /// The time of an open connection is up: its message is late, it has carried nothing for too long, or it is to be
    /// pinged.
    pub(super) fn expire_websocket(&mut self, ctx: &mut Context<'_>, slot: usize) {
        let (Some(connection), Some(options)) = (self.table.get(slot), &self.ws) else { return };
        let (idle, unsent) = (connection.active + self.options.idle_timeout <= ctx.now, connection.has_unsent());
        let Some(ws) = &mut connection.ws else { return };
        if ws.is_late(ctx.now) {
            return self.fail(ctx, slot, Fault::Late);
        }
        if idle {
            ws.farewell = Some(CloseCode::Away);
            return self.flush(ctx, slot);
        }
        if ws.pinged {
            return self.close(ctx, slot, TransportError::ConnectionLost);
        }
        ws.heard(ctx.now, options);
        ws.pinged = true;
        // Who does not read what waits is not helped by a ping; that it has the time of one to read is.
        if !unsent {
            self.queue_frame(slot, ws::ping);
        }
    }

    /// Queues a frame, with a mask where we are the client.
    pub(super) fn queue_frame(&mut self, slot: usize, frame: impl FnOnce(Option<Mask>) -> Bytes) {
        let mask = self.table.get(slot).and_then(|connection| connection.ws.as_mut()?.mask());
        self.queue_control(slot, frame(mask));
    }

    /// Queues what is no SIP message. It is beyond the limit on the queue, which its callers bound: one answer to a
    /// handshake, one close, one ping an interval, and one pong or keep-alive where the queue is empty.
    pub(super) fn queue_control(&mut self, slot: usize, bytes: Bytes) {
        let Some(connection) = self.table.get(slot) else { return };
        let size = bytes.len();
        if connection.enqueue(Queued::control(bytes), usize::MAX).is_ok() {
            self.unsent += size;
            list(&mut self.to_write, &mut connection.to_write, slot);
        }
    }

    /// The pong for the latest ping, when nothing else waits.
    pub(super) fn queue_pong(&mut self, slot: usize) {
        let Some(connection) = self.table.get(slot).filter(|c| !c.has_unsent() && c.takes_messages()) else { return };
        if let Some(data) = connection.ws.as_mut().and_then(|ws| ws.pong.take()) {
            self.queue_frame(slot, |mask| ws::pong(data, mask));
        }
    }
}
