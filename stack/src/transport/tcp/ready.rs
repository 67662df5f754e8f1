//! What a turn does with the connections that are ready: writing, agreeing on TLS, reading.

use super::super::connection::{CHUNK, GRACE, Got, Phase};
use super::super::poll_group::Context;
use super::super::{Flow, Received, TransportError};
use super::{BATCH, Tcp, list};
use bytes::Bytes;
use rutil::{Class, Time};
use std::io;

impl Tcp {
    pub(super) fn write(&mut self, ctx: &mut Context<'_>) -> bool {
        let ready = self.to_write.len();
        for _ in 0..ready {
            let Some(slot) = self.to_write.pop_front() else { break };
            let Some(connection) = self.table.get(slot) else { continue };
            connection.to_write = false;
            if connection.phase == Phase::Connecting {
                match connection.is_connected() {
                    Ok(true) => self.connected(ctx, slot),
                    Ok(false) => {
                        connection.writable = false;
                        continue;
                    }
                    Err(e) => {
                        self.close(ctx, slot, TransportError::from_io(&e));
                        continue;
                    }
                }
            }
            self.write_one(ctx, slot);
        }
        ready > 0
    }

    /// A connection that was begun is up: messages go out, or TLS is agreed on first.
    fn connected(&mut self, ctx: &mut Context<'_>, slot: usize) {
        let Some(connection) = self.table.get(slot) else { return };
        connection.active = ctx.now;
        if connection.readable {
            list(&mut self.to_read, &mut connection.to_read, slot);
        }
        let handshakes = connection.stream.is_handshaking() || connection.ws.is_some();
        self.stats.connected.add(1);
        match handshakes {
            true => self.table.enter(slot, Phase::Handshaking, ctx.now + self.options.handshake_timeout),
            false => {
                self.table.enter(slot, Phase::Open, Time::MAX);
                self.tell_attempts(ctx, slot);
            }
        }
    }

    /// TLS or WebSocket is agreed on: what waited goes out.
    pub(super) fn agreed(&mut self, ctx: &mut Context<'_>, slot: usize) {
        let Some(connection) = self.table.get(slot) else { return };
        connection.active = ctx.now;
        list(&mut self.to_write, &mut connection.to_write, slot);
        self.half_open.remove(connection.id, connection.peer.ip());
        self.note_identities(slot);
        self.stats.handshakes.add(1);
        self.table.enter(slot, Phase::Open, Time::MAX);
        self.tell_attempts(ctx, slot);
    }

    /// Keeps who the peer has proved to be (RFC 5922 §7.1).
    pub(super) fn note_identities(&mut self, slot: usize) {
        let (Some(tls), Some(connection)) = (&self.tls, self.table.get(slot)) else { return };
        let proved = tls.peer_identities(connection.stream.peer_certificates());
        if !proved.is_empty() {
            connection.proved = proved.into();
            self.proved.insert(self.id, connection.id, connection.proved.clone());
        }
    }

    fn write_one(&mut self, ctx: &mut Context<'_>, slot: usize) {
        self.queue_pong(slot);
        let Some(connection) = self.table.get(slot) else { return };
        match connection.write() {
            Ok(written) => {
                if written.octets > 0 {
                    self.unsent = self.unsent.saturating_sub(written.octets as usize);
                    connection.active = ctx.now;
                    self.stats.sent.add(written.messages);
                    self.stats.sent_octets.add(written.octets);
                }
                let owes_pong =
                    connection.takes_messages() && connection.ws.as_ref().is_some_and(|ws| ws.pong.is_some());
                if owes_pong && !connection.has_unsent() {
                    list(&mut self.to_write, &mut connection.to_write, slot);
                }
                // What does not take its messages ends sooner than what is idle.
                let stalled = connection.phase == Phase::Open && connection.has_unsent();
                if stalled {
                    self.table.note(slot);
                }
                let Some(connection) = self.table.get(slot) else { return };
                if connection.phase == Phase::Flushing && !connection.has_unsent() {
                    let ends = connection.ends;
                    if connection.finished || connection.shut().is_err() {
                        self.close(ctx, slot, TransportError::ConnectionLost);
                    } else {
                        self.table.enter(slot, Phase::Lingering, ends);
                    }
                }
            }
            Err(e) => {
                tracing::debug!(peer = %connection.peer, error = %e, "write");
                connection.take_back();
                let local = connection.local;
                let (unsent, octets) = connection.take_unsent();
                self.unsent = self.unsent.saturating_sub(octets);
                // What the peer said before it went is still worth reading.
                connection.ending = true;
                connection.readable = true;
                list(&mut self.to_read, &mut connection.to_read, slot);
                self.table.enter(slot, Phase::Broken, ctx.now + GRACE);
                self.fail_all(ctx, unsent, local, TransportError::ConnectionLost);
            }
        }
    }

    pub(super) fn read(&mut self, ctx: &mut Context<'_>) -> bool {
        let mut worked = self.deliver(ctx);
        for _ in 0..BATCH {
            if !self.held.is_empty() || !ctx.rx.has_room(Class::Essential) {
                break;
            }
            let Some(slot) = self.to_read.pop_front() else { break };
            worked = true;
            let Some(connection) = self.table.get(slot) else { continue };
            connection.to_read = false;
            // What a connecting socket has to say is an error, and `write` asks for it.
            if connection.readable && connection.phase != Phase::Connecting {
                self.read_one(ctx, slot);
            }
        }
        worked
    }

    /// Gives `rx` what is held, as far as there is room; whether anything went.
    pub(super) fn deliver(&mut self, ctx: &mut Context<'_>) -> bool {
        let mut any = false;
        while let Some(item) = self.held.pop_front() {
            if let Err(full) = ctx.rx.push(item, Class::Internal, ctx.now) {
                self.held.push_front(full.0);
                break;
            }
            any = true;
        }
        any
    }

    fn read_one(&mut self, ctx: &mut Context<'_>, slot: usize) {
        let Some(connection) = self.table.get(slot) else { return };
        let Some(buffer) = ctx.buffer.get_mut(..CHUNK) else { return };
        let got = connection.read(buffer);
        if connection.readable {
            list(&mut self.to_read, &mut connection.to_read, slot);
        }
        // TLS answers what it reads: with its part of a handshake, or new keys.
        if connection.stream.wants_write() && connection.writable {
            list(&mut self.to_write, &mut connection.to_write, slot);
        }
        if connection.phase == Phase::Handshaking && !connection.stream.is_handshaking() {
            match &connection.ws {
                None => self.agreed(ctx, slot),
                // The request for a WebSocket has waited for TLS.
                Some(ws) if ws.is_client() => list(&mut self.to_write, &mut connection.to_write, slot),
                Some(_) => {}
            }
        }
        let Some(connection) = self.table.get(slot) else { return };
        let (phase, flow) = (connection.phase, connection.flow(self.id, self.kind));
        match got {
            Got::Octets(size) if connection.ws.is_some() => self.read_websocket(ctx, slot, size),
            Got::Octets(size) if matches!(phase, Phase::Open | Phase::Broken) => {
                // A peer that talks and does not read counts as idle.
                connection.heard = ctx.now;
                connection.answer_by = None;
                if !connection.has_unsent() {
                    connection.active = ctx.now;
                }
                self.pass_up(ctx, size, flow);
            }
            Got::Octets(_) => {}
            Got::Nothing if phase == Phase::Broken => self.close(ctx, slot, TransportError::ConnectionLost),
            Got::Nothing => {}
            Got::End if phase == Phase::Open => {
                let news = connection.last_news(flow);
                self.table.enter(slot, Phase::HalfClosed, ctx.now + GRACE);
                news.for_each(|item| self.hold(ctx, item));
            }
            // Known already: an edge for writing tells it again.
            Got::End if matches!(phase, Phase::HalfClosed | Phase::Closing | Phase::Flushing) => {}
            Got::End if phase == Phase::Handshaking => {
                self.not_agreed(ctx, slot, &io::ErrorKind::UnexpectedEof.into());
            }
            Got::End => self.close(ctx, slot, TransportError::ConnectionLost),
            Got::Lost(e) if phase == Phase::Handshaking => self.not_agreed(ctx, slot, &e),
            Got::Lost(e) => {
                tracing::debug!(peer = %flow.peer, error = %e, "read");
                connection.take_back();
                self.close(ctx, slot, TransportError::ConnectionLost);
            }
        }
    }

    /// A handshake failed: what waited for it fails, and an operator wants to know why.
    pub(super) fn not_agreed(&mut self, ctx: &mut Context<'_>, slot: usize, error: &io::Error) {
        let Some(connection) = self.table.get(slot) else { return };
        let (peer, domain) = (connection.peer, connection.domain.as_deref().unwrap_or_default());
        let transport = self.kind.as_param();
        tracing::info!(%peer, transport, domain, %error, "handshake failed");
        self.stats.handshakes_failed.add(1);
        self.close(ctx, slot, TransportError::Handshake);
    }

    fn pass_up(&mut self, ctx: &mut Context<'_>, size: usize, flow: Flow) {
        let bytes = Bytes::copy_from_slice(ctx.buffer.get(..size).unwrap_or_default());
        self.stats.received.add(1);
        self.stats.received_octets.add(bytes.len() as u64);
        let chunk = Received::Chunk { bytes, flow, at: ctx.now };
        if let Err(full) = ctx.rx.push(chunk, Class::Essential, ctx.now) {
            self.held.push_back(full.0);
        }
    }
}
