//! Connections that somebody waits for before there is anything to send: those of a race (RFC 8305).

use super::super::connection::Phase;
use super::super::poll_group::Context;
use super::super::{Attempt, TransportError};
use super::{Tcp, To};
use std::net::SocketAddr;

impl Tcp {
    /// Tells when there is a connection to the peer: at once if one is up, else when the one that comes up is.
    pub(super) fn attempt(&mut self, ctx: &mut Context<'_>, to: To, attempt: Attempt) {
        if !self.may_connect() {
            return ctx.connected(attempt, Err(TransportError::NoConnection));
        }
        let slot = match self.table.by_peer(to.peer, to.domain.as_deref()) {
            Some(slot) => slot,
            None => match self.connect(ctx, to) {
                Ok(slot) => {
                    self.table.get(slot).into_iter().for_each(|connection| connection.spare = true);
                    slot
                }
                Err(error) => return ctx.connected(attempt, Err(error)),
            },
        };
        let Some(connection) = self.table.get(slot) else { return };
        match connection.phase {
            Phase::Connecting | Phase::Handshaking => connection.attempts.push(attempt),
            _ => ctx.connected(attempt, Ok(connection.id)),
        }
    }

    /// The connection is up.
    pub(super) fn tell_attempts(&mut self, ctx: &mut Context<'_>, slot: usize) {
        let Some(connection) = self.table.get(slot) else { return };
        let id = connection.id;
        connection.attempts.drain(..).for_each(|attempt| ctx.connected(attempt, Ok(id)));
    }

    /// Nobody waits any more for this attempt. One that came up meanwhile, and is not used, idles like any other.
    pub(super) fn give_up(&mut self, ctx: &mut Context<'_>, peer: SocketAddr, attempt: Attempt) {
        let Some(slot) = self.table.with_attempt(peer, attempt) else { return };
        let Some(connection) = self.table.get(slot) else { return };
        connection.attempts.retain(|other| *other != attempt);
        if connection.spare && connection.attempts.is_empty() {
            self.close(ctx, slot, TransportError::NoConnection);
        }
    }
}
