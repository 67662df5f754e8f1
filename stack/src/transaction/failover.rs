//! The next target of a request whose attempt failed (RFC 3263 §4.3).
//!
//! Each attempt is a client transaction with a branch of its own, and goes on as its figure has it: one that was answered
//! with 503 acknowledges that and absorbs its repetitions, one that was cancelled waits for its 487. The transaction user
//! hears of one attempt only, under the name of the first; the others have no transaction user.
//!
//! An INVITE that nobody answered may have arrived all the same, and its 2xx be late. It must not be lost (a call would
//! stand at one end alone), so the attempt stays as long as an accepted one, and when a 2xx comes while the transaction
//! user still waits, it is passed up: that attempt is then the transaction user's, and the one under way is cancelled.
//! After the transaction user has heard that its request failed, it is a stray response like any other (RFC 6026 §8.3).
//!
//! One that was given up for its silence alone, long before Timer B, goes on until then but is not sent again: when it
//! says something it is cancelled, and when it refuses that is acknowledged.

use super::client::{Client, Event, State};
use super::controller::{NO_TU, TransactionController};
use super::machine::Timer;
use super::stats::count;
use super::{ClientTransaction, Outgoing, Retry, client_invite, client_non_invite};
use crate::header::h;
use crate::message::Message;
use crate::selector::Cause;
use crate::transport::TransportError;
use crate::tu::{NoResponse, TuEvent};
use bytes::Bytes;
use rutil::{Class, Time};
use std::time::Duration;

/// What becomes of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// The event is the machine's.
    No,
    /// Another attempt has its place; whatever it hears from now on is late.
    Lingers,
}

impl TransactionController {
    /// Begins the next attempt, if this event ends one and there is another target; else changes nothing. Only while
    /// nothing was heard does a timeout or a transport failure lead elsewhere: who has sent a provisional response has
    /// the request.
    pub(super) fn fail_over(
        &mut self,
        at: (u32, u32),
        event: Event,
        (msg, reason): (Option<&Message>, NoResponse),
        now: Time,
    ) -> Left {
        use {client_invite::State as I, client_non_invite::State as N};
        let Some(client) = self.clients.get_mut(at.0, at.1).filter(|client| client.failover.is_some()) else {
            return Left::No;
        };
        let unheard = matches!(client.state, State::Invite(I::Calling) | State::NonInvite(N::Trying));
        let cause = match event {
            Event::Response(503) if client.is_pending() => Cause::Unavailable(msg.and_then(retry_after)),
            Event::TransportError if unheard && reason == TransportError::Handshake.into() => Cause::NotProved,
            Event::Timer(Timer::B | Timer::F) | Event::TransportError if unheard => Cause::Failed,
            _ => return Left::No,
        };
        if client.cancel_wanted.is_some() || client.cancel_sent || self.clients.len() >= self.limit {
            return Left::No;
        }
        if !self.begin_next(at, cause, now) {
            return Left::No;
        }
        let Some(client) = self.clients.get_mut(at.0, at.1) else { return Left::No };
        client.tu = NO_TU;
        if cause != Cause::Failed || !matches!(client.state, State::Invite(_)) {
            return Left::No;
        }
        if client.silent && matches!(event, Event::Timer(_)) {
            client.cancel_wanted = Some(None);
            self.count_client(at);
            self.arm_client(at, Timer::B, now);
            return Left::Lingers;
        }
        self.tally.moves(client.state.place(), State::Invite(I::Accepted).place());
        client.state = State::Invite(I::Accepted);
        client.kept = Bytes::new();
        self.count_client(at);
        self.arm(at, true, Timer::M, now + self.values.long(), now);
        Left::Lingers
    }

    /// The first time that Timer B fires where a target may be silent for so long and no longer: another one gets the
    /// request, or the transaction user is told. Whether this was that time.
    pub(super) fn is_silent(&mut self, at: (u32, u32), now: Time) -> bool {
        let Some(client) = self.clients.get_mut(at.0, at.1) else { return false };
        if client.silence.is_none() || std::mem::replace(&mut client.silent, true) {
            return false;
        }
        if client.state != State::Invite(client_invite::State::Calling) {
            return true;
        }
        if self.fail_over(at, Event::Timer(Timer::B), (None, NoResponse::Timeout), now) == Left::No {
            self.arm_client(at, Timer::B, now);
            let Some(client) = self.clients.get_mut(at.0, at.1) else { return true };
            // It is told once, also when another target gets the request after all, on Timer B.
            client.silence = None;
            let (transaction, tu) = (client.id.first_attempt(), client.tu);
            self.tell_tu(tu, TuEvent::Silent { transaction }, now);
        }
        true
    }

    /// The attempt that follows the one at `at`, with its transaction user.
    fn begin_next(&mut self, at: (u32, u32), cause: Cause, now: Time) -> bool {
        let Some(client) = self.clients.get_mut(at.0, at.1) else { return false };
        let Some((transaction, failover)) = client.id.next_attempt().zip(client.failover.take()) else { return false };
        let octets = failover.octets();
        let mut next = client.successor(transaction);
        let retry = Outgoing::Retry(Box::new(Retry { transaction, failover, cause }));
        if self.out.push(retry, Class::Internal, now).is_err() {
            count(&self.stats.shed);
            return false;
        }
        count(&self.stats.failovers);
        self.kept.count(&mut next.share, octets);
        self.insert_client(next);
        true
    }

    /// The attempt that the transaction user hears of.
    pub(super) fn current_attempt(&self, id: ClientTransaction) -> Option<(u32, u32)> {
        let attempts = std::iter::successors(Some(id.first_attempt()), |id| id.next_attempt());
        attempts
            .filter_map(|id| self.find_client(id.key(false)))
            .find(|at| self.clients.at(at.0).is_some_and(|(_, client)| client.tu != NO_TU))
    }

    /// Gives a response to the transaction user.
    pub(super) fn pass_up(&mut self, at: (u32, u32), msg: Box<Message>, now: Time) {
        let Some(client) = self.clients.get_mut(at.0, at.1) else { return };
        let (id, mut tu) = (client.id, client.tu);
        let success = msg.status().is_some_and(|code| (200..300).contains(&code));
        if tu == NO_TU && !client.cancel && success {
            tu = self.adopt(at, id, now);
        }
        self.tell_tu(tu, TuEvent::Response { transaction: id.first_attempt(), msg }, now);
    }

    /// A 2xx came to an attempt that was given up: who is to hear of it. If the transaction user still waits, the attempt
    /// is its own from now on, and the one that it waited for is cancelled.
    fn adopt(&mut self, at: (u32, u32), id: ClientTransaction, now: Time) -> u8 {
        let current = self.current_attempt(id);
        let Some((current, other)) = current.and_then(|at| Some((at, self.clients.get_mut(at.0, at.1)?))) else {
            count(&self.stats.stray_responses);
            return NO_TU;
        };
        if other.state == State::Invite(client_invite::State::Accepted) {
            return other.tu;
        }
        if !other.is_pending() {
            count(&self.stats.stray_responses);
            return NO_TU;
        }
        let tu = std::mem::replace(&mut other.tu, NO_TU);
        other.failover = None;
        other.cancel_wanted.get_or_insert_default();
        self.cancel_if_wanted(current, now);
        self.count_client(current);
        // A new slot: Timer M begins anew, and the one that runs finds nothing.
        if let Some(mut client) = self.clients.remove(at.0, at.1) {
            client.tu = tu;
            client.kept = Bytes::new();
            let key = client.id.key(false);
            let at = self.clients.insert(client);
            self.client_slots.insert(key, at.0);
            self.arm(at, true, Timer::M, now + self.values.long(), now);
        }
        tu
    }
}

impl Client {
    /// The next attempt of the same request, before anything was sent.
    fn successor(&self, id: ClientTransaction) -> Client {
        let state = match self.state {
            State::Invite(_) => State::Invite(client_invite::State::Calling),
            State::NonInvite(_) => State::NonInvite(client_non_invite::State::Trying),
        };
        let mut next = Client::new(id, state, self.tu, self.method, self.began);
        next.silence = self.silence;
        next
    }
}

fn retry_after(msg: &Message) -> Option<Duration> {
    msg.header(h::RETRY_AFTER).ok().map(|value| Duration::from_secs(value.seconds.into()))
}
