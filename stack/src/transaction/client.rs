//! Client transactions: what is kept of each, and how the machines' actions are carried out.

use super::controller::{NO_TU, TransactionController};
use super::failover::Left;
use super::kept::Share;
use super::machine::{Action, Timer};
use super::stats::count;
use super::{ClientTransaction, Downgrade, Outgoing, Sent, TimerKey, Written, client_invite, client_non_invite};
use crate::header::{KNOWN_METHODS, Method, h};
use crate::message::Message;
use crate::overload::LoadReport;
use crate::selector::Failover;
use crate::statistics::Place;
use crate::transport::{Flow, Notify, TransportError};
use crate::tu::{NoResponse, SendOptions, TuEvent};
use bytes::Bytes;
use rutil::hash::shrink;
use rutil::{Class, Time};
use std::sync::Arc;
use std::time::Duration;

/// A client transaction.
pub(super) struct Client {
    pub(super) id: ClientTransaction,
    pub(super) state: State,
    /// When the transaction user sent the request, by whichever attempt.
    pub(super) began: Time,
    pub(super) tu: u8,
    /// What tells the request's method from others: [`method_mark`].
    pub(super) method: u16,
    /// A CANCEL shares its INVITE's name.
    pub(super) cancel: bool,
    /// The transaction user wants to cancel, and no provisional response has come.
    pub(super) cancel_wanted: Option<Option<Box<Message>>>,
    /// The CANCEL has gone out: another would share its branch and be nothing new.
    pub(super) cancel_sent: bool,
    /// A response that came before the selector's news that the request went out. Not counted: it waits no longer than
    /// the news in `cmd`, which bounds how many there are.
    early: Option<Box<Message>>,
    /// How often Timer A or E fired.
    round: u8,
    /// How long nothing may be heard ([`SendOptions::silence`]): Timer B fires a first time then.
    pub(super) silence: Option<Duration>,
    /// It has fired that first time.
    pub(super) silent: bool,
    /// Where it went; `None` until the selector says.
    pub(super) flow: Option<Flow>,
    /// Whom its peer has to prove to be, over TLS: for the CANCEL and the ACK as for the request.
    domain: Option<Arc<str>>,
    /// That is a stream only because the request is large.
    for_size: bool,
    /// The request as sent, until a final response; then an INVITE's ACK.
    pub(super) kept: Bytes,
    kept_is_ack: bool,
    /// Where else it can go, until a final response.
    pub(super) failover: Option<Box<Failover>>,
    /// What `kept` and `failover` are counted with; until the selector says what went out, the request as it came.
    pub(super) share: Share,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Invite(client_invite::State),
    NonInvite(client_non_invite::State),
}

/// What the machines are told, before it is known which machine.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    Response(u16),
    Timer(Timer),
    TransportError,
}

impl State {
    pub(super) fn place(self) -> Place {
        match self {
            State::Invite(state) => Place::client_invite(state),
            State::NonInvite(state) => Place::client_non_invite(state),
        }
    }

    fn step(self, event: Event) -> (State, &'static [Action]) {
        match self {
            State::Invite(state) => {
                use client_invite::Event as E;
                let event = match event {
                    Event::Response(100..=199) => E::Provisional,
                    Event::Response(200..=299) => E::Success,
                    Event::Response(_) => E::Failure,
                    Event::Timer(timer) => E::Timer(timer),
                    Event::TransportError => E::TransportError,
                };
                let (state, actions) = client_invite::step(state, event);
                (State::Invite(state), actions)
            }
            State::NonInvite(state) => {
                use client_non_invite::Event as E;
                let event = match event {
                    Event::Response(100..=199) => E::Provisional,
                    Event::Response(_) => E::Final,
                    Event::Timer(timer) => E::Timer(timer),
                    Event::TransportError => E::TransportError,
                };
                let (state, actions) = client_non_invite::step(state, event);
                (State::NonInvite(state), actions)
            }
        }
    }
}

/// A method in two octets (FNV-1a, folded): the known ones have one each, two of extensions are alike once in 65536.
fn method_mark(method: &Method<'_>) -> u16 {
    let hash = method.as_str().bytes().fold(0x811c_9dc5_u32, |hash, b| (hash ^ u32::from(b)).wrapping_mul(0x0100_0193));
    (hash >> 16 ^ hash) as u16
}

/// The known method with this mark.
pub(super) fn method_of(mark: u16) -> Option<&'static Method<'static>> {
    KNOWN_METHODS.iter().find(|method| method_mark(method) == mark)
}

impl Client {
    pub(super) fn new(id: ClientTransaction, state: State, tu: u8, method: u16, began: Time) -> Self {
        Client {
            id,
            state,
            began,
            tu,
            method,
            cancel: false,
            cancel_wanted: None,
            cancel_sent: false,
            early: None,
            round: 0,
            silence: None,
            silent: false,
            flow: None,
            domain: None,
            for_size: false,
            kept: Bytes::new(),
            kept_is_ack: false,
            failover: None,
            share: Share::default(),
        }
    }
    /// Whether a response with this method in its CSeq can be its own (RFC 3261 §17.1.3).
    fn expects(&self, method: Option<&Method<'_>>) -> bool {
        method.map(method_mark) == Some(self.method)
    }
    fn is_reliable(&self) -> bool {
        self.flow.is_some_and(|flow| flow.kind.is_reliable())
    }
    fn key(&self) -> u64 {
        self.id.key(self.cancel)
    }
    /// Whether it waits for a response.
    pub(super) fn is_pending(&self) -> bool {
        use {client_invite::State as I, client_non_invite::State as N};
        matches!(self.state, State::Invite(I::Calling | I::Proceeding) | State::NonInvite(N::Trying | N::Proceeding))
    }
}

impl TransactionController {
    /// Begins a client transaction; its timers start when the selector has sent it.
    pub(super) fn start_client(
        &mut self,
        id: ClientTransaction,
        tu: u8,
        msg: Box<Message>,
        options: Box<SendOptions>,
        now: Time,
    ) {
        // A request that was built has a method.
        let method = msg.method().unwrap_or(Method::Options);
        let Some(mut client) = self.new_client(id, tu, &method, msg.octets(), now) else { return };
        client.silence = options.silence.filter(|silence| *silence < self.values.long());
        self.insert_client(client);
        let request = Outgoing::Request { transaction: id, msg, options, stateless: false };
        if self.out.push(request, Class::Internal, now).is_err() {
            // Nothing went out and no timer runs: the transaction must be told, or it would wait for ever.
            count(&self.stats.shed);
            self.client_not_sent(id.key(false), TransportError::Congested.into(), now);
        }
    }

    /// Begins a client transaction with a request that is written. There is nothing to wait for: its timers start at once.
    pub(super) fn start_written(&mut self, written: Written, now: Time) {
        let Written { transaction, tu, method, bytes, flow } = written;
        let Some(client) = self.new_client(transaction, tu, &method, bytes.len(), now) else { return };
        let start = match client.state {
            State::Invite(_) => client_invite::START,
            State::NonInvite(_) => client_non_invite::START,
        };
        let at = self.insert_client(Client { flow: Some(flow), kept: bytes.clone(), ..client });
        self.transmit(bytes, (flow, None), Some(self.client_notify(transaction.key(false))), now);
        self.act_client(at, start, None, NoResponse::Timeout, now);
    }

    /// A client transaction for a request of so many octets, if there is room for one more; else the transaction user is told.
    fn new_client(
        &mut self,
        id: ClientTransaction,
        tu: u8,
        method: &Method<'_>,
        octets: usize,
        now: Time,
    ) -> Option<Client> {
        if self.clients.len() >= self.limit || !self.kept.has_room(octets) {
            count(&self.stats.refused);
            self.tell_tu(tu, TuEvent::NoResponse { transaction: id, reason: TransportError::Congested.into() }, now);
            if *method == Method::Invite && self.wants_terminations(tu) {
                self.tell_tu(tu, TuEvent::ClientEnded { transaction: id }, now);
            }
            return None;
        }
        let state = match method {
            Method::Invite => State::Invite(client_invite::State::Calling),
            _ => State::NonInvite(client_non_invite::State::Trying),
        };
        let mut client = Client::new(id, state, tu, method_mark(method), now);
        self.kept.count(&mut client.share, octets);
        Some(client)
    }

    pub(super) fn insert_client(&mut self, client: Client) -> (u32, u32) {
        let key = client.key();
        self.tally.enters(client.state.place());
        let at = self.clients.insert(client);
        self.client_slots.insert(key, at.0);
        count(&self.stats.clients);
        at
    }

    pub(super) fn find_client(&self, key: u64) -> Option<(u32, u32)> {
        let slot = *self.client_slots.get(&key)?;
        self.clients.at(slot).map(|(generation, _)| (slot, generation))
    }

    /// The selector sent it: keep the octets, start the timers.
    pub(super) fn client_sent(&mut self, sent: Sent, now: Time) {
        let Sent { key, bytes, flow, domain, for_size, failover } = sent;
        let Some(at) = self.find_client(key) else { return };
        let Some(client) = self.clients.get_mut(at.0, at.1) else { return };
        // The second time it is a downgrade's, and an answer may have come meanwhile.
        let first = client.flow.is_none();
        client.flow = Some(flow);
        client.domain = domain;
        client.for_size = for_size;
        if client.is_pending() {
            client.kept = bytes;
            if first {
                client.failover = failover;
            }
        }
        let (id, early) = (client.id, client.early.take());
        let start = match client.state {
            State::Invite(client_invite::State::Calling) => client_invite::START,
            State::NonInvite(client_non_invite::State::Trying) => client_non_invite::START,
            _ => &[],
        };
        let start = if first { start } else { &start[..start.len().min(1)] };
        self.act_client(at, start, None, NoResponse::Timeout, now);
        if let Some(msg) = early {
            self.on_response(id, msg, now);
        }
    }

    /// The selector could not send it.
    pub(super) fn client_not_sent(&mut self, key: u64, reason: NoResponse, now: Time) {
        let Some(at) = self.find_client(key) else { return };
        self.step_client(at, Event::TransportError, None, reason, now);
    }

    /// A transport failed under it. A large request that went to a stream for its size alone tries UDP once.
    pub(super) fn client_failed(&mut self, key: u64, error: TransportError, now: Time) {
        let Some(at) = self.find_client(key) else { return };
        let Some(client) = self.clients.get_mut(at.0, at.1) else { return };
        let calling = matches!(
            client.state,
            State::Invite(client_invite::State::Calling) | State::NonInvite(client_non_invite::State::Trying)
        );
        let not_connected = matches!(error, TransportError::Refused | TransportError::ConnectTimeout);
        if let (true, true, true, Some(flow)) = (calling, not_connected, client.for_size, client.flow) {
            let bytes = client.kept.clone();
            let downgrade = Outgoing::Downgrade(Box::new(Downgrade { bytes, flow, key }));
            if self.out.push(downgrade, Class::Internal, now).is_ok() {
                return;
            }
        }
        self.client_not_sent(key, error.into(), now);
    }

    /// What it sent gets no answer where it went. That is no news when an answer has come, and none to a transaction
    /// that has its final response: it only repeats its ACK for who asks for it.
    pub(super) fn client_lost(&mut self, key: u64, error: TransportError, now: Time) {
        let client = self.find_client(key).and_then(|at| self.clients.get_mut(at.0, at.1));
        if client.is_some_and(|client| client.is_pending() && client.early.is_none()) {
            self.client_failed(key, error, now);
        }
    }

    /// A response came.
    pub(super) fn on_response(&mut self, id: ClientTransaction, msg: Box<Message>, now: Time) {
        let method = msg.method();
        let cancel = method == Some(Method::Cancel);
        let found = self.find_client(id.key(cancel));
        let client = found.and_then(|at| self.clients.get_mut(at.0, at.1)).filter(|c| c.expects(method.as_ref()));
        let (Some(at), Some(client), Some(code)) = (found, client, msg.status()) else {
            count(&self.stats.stray_responses);
            return;
        };
        if let (Some(_), Some(flow)) = (&self.control, client.flow)
            && let Some(report) = msg.first(h::VIAS).ok().and_then(|via| LoadReport::of(&via))
            && self.out.push(Outgoing::Load(Box::new((flow.peer, report))), Class::Internal, now).is_err()
        {
            count(&self.stats.shed);
        }
        if client.flow.is_none() {
            // Its own request is still news in `cmd`, behind other news: an ACK could not be built yet, nor sent.
            if client.early.as_ref().and_then(|early| early.status()).is_none_or(|code| code < 200) {
                client.early = Some(msg);
            }
            return;
        }
        let provisional = code < 200;
        self.step_client(at, Event::Response(code), Some(msg), NoResponse::Timeout, now);
        if provisional && !cancel {
            self.cancel_if_wanted(at, now);
        }
    }

    pub(super) fn client_timer(&mut self, key: TimerKey, now: Time) {
        self.step_client((key.slot, key.generation), Event::Timer(key.timer), None, NoResponse::Timeout, now);
    }

    /// The transaction user wants to cancel an INVITE.
    pub(super) fn cancel_client(&mut self, id: ClientTransaction, added: Option<Box<Message>>, now: Time) {
        let Some(at) = self.current_attempt(id) else { return };
        let Some(client) = self.clients.get_mut(at.0, at.1).filter(|c| !c.cancel_sent) else { return };
        client.cancel_wanted = Some(added);
        self.cancel_if_wanted(at, now);
    }

    pub(super) fn cancel_if_wanted(&mut self, at: (u32, u32), now: Time) {
        let Some(client) = self.clients.get_mut(at.0, at.1) else { return };
        let (State::Invite(client_invite::State::Proceeding), Some(flow)) = (client.state, client.flow) else { return };
        let Some(added) = client.cancel_wanted.take() else { return };
        client.cancel_sent = true;
        let (id, kept, domain) = (client.id, client.kept.clone(), client.domain.clone());
        self.arm(at, true, Timer::Cancelled, now + self.values.long(), now);
        // What we sent was printed by us: it parses.
        let Some(invite) = Message::parse_again(kept) else { return };
        let mut cancel = invite.make_cancel();
        if let Some(added) = added {
            cancel.append_fields_of(&added);
        }
        let bytes = cancel.to_bytes();
        let state = State::NonInvite(client_non_invite::State::Trying);
        let client = Client::new(id, state, NO_TU, method_mark(&Method::Cancel), now);
        let at = self.insert_client(Client {
            cancel: true,
            flow: Some(flow),
            domain: domain.clone(),
            kept: bytes.clone(),
            ..client
        });
        self.transmit(bytes, (flow, domain), Some(self.client_notify(id.key(true))), now);
        self.act_client(at, client_non_invite::START, None, NoResponse::Timeout, now);
    }

    fn step_client(&mut self, at: (u32, u32), event: Event, msg: Option<Box<Message>>, reason: NoResponse, now: Time) {
        if matches!(event, Event::Timer(Timer::B)) && self.is_silent(at, now) {
            return;
        }
        if self.fail_over(at, event, (msg.as_deref(), reason), now) == Left::Lingers {
            return;
        }
        let Some(client) = self.clients.get_mut(at.0, at.1) else { return };
        let (state, actions) = client.state.step(event);
        if let Event::Response(200..) = event {
            match client.is_pending() {
                // Our own CANCELs are nobody's request; and one that fails over has been counted there.
                true if client.tu == NO_TU => {}
                true => self.tally.final_after(matches!(state, State::Invite(_)), now.since(client.began)),
                false if actions.contains(&Action::PassUp) => {}
                false => count(&self.stats.absorbed_responses),
            }
        }
        self.tally.moves(client.state.place(), state.place());
        client.state = state;
        self.act_client(at, actions, msg, reason, now);
    }

    fn act_client(
        &mut self,
        at: (u32, u32),
        actions: &'static [Action],
        mut msg: Option<Box<Message>>,
        reason: NoResponse,
        now: Time,
    ) {
        for action in actions {
            let Some(client) = self.clients.get_mut(at.0, at.1) else { return };
            match *action {
                Action::Arm(timer) => self.arm_client(at, timer, now),
                // It was given up.
                Action::Resend if client.tu == NO_TU && !client.cancel => {}
                Action::Resend => {
                    let (bytes, flow, key) = (client.kept.clone(), client.flow, client.key());
                    let domain = client.domain.clone();
                    count(&self.stats.retransmitted);
                    if let Some(flow) = flow {
                        self.transmit(bytes, (flow, domain), Some(self.client_notify(key)), now);
                    }
                }
                Action::SendAck => self.send_ack(at, msg.as_deref(), now),
                Action::PassUp => {
                    if let Some(msg) = msg.take() {
                        self.pass_up(at, msg, now);
                    }
                }
                Action::Forget => client.kept = Bytes::new(),
                Action::Timeout => {
                    let (id, tu) = (client.id.first_attempt(), client.tu);
                    count(&self.stats.timeouts);
                    self.tell_tu(tu, TuEvent::NoResponse { transaction: id, reason: NoResponse::Timeout }, now);
                }
                Action::TransportFailed => {
                    let (id, tu) = (client.id.first_attempt(), client.tu);
                    count(&self.stats.transport_failures);
                    self.tell_tu(tu, TuEvent::NoResponse { transaction: id, reason }, now);
                }
                Action::Terminate => self.end_client(at, now),
                Action::Send | Action::SendTrying => {}
            }
        }
        self.count_client(at);
    }

    /// Counts what it keeps now. An ACK or a CANCEL that passes the budget has gone out, and is not kept for a repetition;
    /// a request had its room from the beginning, and takes what its Via adds.
    pub(super) fn count_client(&mut self, at: (u32, u32)) {
        let Some(client) = self.clients.get_mut(at.0, at.1) else { return };
        if client.flow.is_none() {
            return;
        }
        if (client.kept_is_ack || client.cancel) && !self.kept.fits(&client.share, client.kept.len()) {
            client.kept = Bytes::new();
            count(&self.stats.not_kept);
        }
        let pending = client.is_pending();
        let octets = match &client.failover {
            None => client.kept.len(),
            Some(failover) => client.kept.len() + failover.octets(),
        };
        // A request has its room from the beginning; to go elsewhere takes more.
        if client.failover.is_some() && (!pending || !self.kept.fits(&client.share, octets)) {
            client.failover = None;
        }
        let octets = if client.failover.is_some() { octets } else { client.kept.len() };
        self.kept.count(&mut client.share, octets);
    }

    /// Over UDP, Timers B and F are armed when A and E fire first, T1 after the request went out: what is answered until
    /// then, which is nearly all, has no use for them.
    pub(super) fn arm_client(&mut self, at: (u32, u32), timer: Timer, now: Time) {
        let Some(client) = self.clients.get_mut(at.0, at.1) else { return };
        let slow = timer == Timer::E && client.state == State::NonInvite(client_non_invite::State::Proceeding);
        let after = match self.values.duration(timer, client.is_reliable(), client.round) {
            Some(_) if slow => self.values.t2, // RFC 3261 §17.1.2.2: in Proceeding at intervals of T2
            Some(after) if timer == Timer::B => match client.silence {
                Some(silence) if client.silent => after.saturating_sub(silence),
                silence => silence.unwrap_or(after),
            },
            Some(after) => after,
            None => return,
        };
        let first = self.values.t1.min(self.values.t2);
        let waits = !client.is_reliable() && client.silence.is_none_or(|silence| silence > first);
        let after = match (timer, client.round) {
            (Timer::B | Timer::F, 1) if waits => return,
            (Timer::B | Timer::F, 2) if waits && !client.silent => after.saturating_sub(first),
            _ => after,
        };
        if matches!(timer, Timer::A | Timer::E) {
            client.round = client.round.saturating_add(1);
            if waits && client.round == 2 {
                self.arm_client(at, if timer == Timer::A { Timer::B } else { Timer::F }, now);
            }
        }
        if after.is_zero() {
            self.step_client(at, Event::Timer(timer), None, NoResponse::Timeout, now);
        } else {
            self.arm(at, true, timer, now + after, now);
        }
    }

    /// The first time: builds the ACK from the INVITE that is kept, and keeps it instead.
    fn send_ack(&mut self, at: (u32, u32), response: Option<&Message>, now: Time) {
        let Some(client) = self.clients.get_mut(at.0, at.1) else { return };
        let Some(flow) = client.flow else { return };
        if client.kept_is_ack {
            count(&self.stats.retransmitted);
        } else {
            let Some((response, invite)) = response.zip(Message::parse_again(client.kept.clone())) else { return };
            client.kept = invite.make_failure_ack(response).to_bytes();
            client.kept_is_ack = true;
        }
        let (bytes, domain) = (client.kept.clone(), client.domain.clone());
        let key = client.key();
        self.transmit(bytes, (flow, domain), Some(self.client_notify(key)), now);
    }

    fn end_client(&mut self, at: (u32, u32), now: Time) {
        let Some(client) = self.clients.remove(at.0, at.1) else { return };
        self.tally.leaves(client.state.place());
        self.kept.release(&client.share);
        self.client_slots.remove(&client.key());
        shrink(&mut self.client_slots);
        if matches!(client.state, State::Invite(_)) && self.wants_terminations(client.tu) {
            self.tell_tu(client.tu, TuEvent::ClientEnded { transaction: client.id.first_attempt() }, now);
        }
    }

    pub(super) fn client_notify(&self, key: u64) -> Notify {
        Notify { shard: self.shard, key }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_methods_have_one_mark_each() {
        let marks: std::collections::HashSet<u16> = KNOWN_METHODS.iter().map(method_mark).collect();
        assert_eq!(marks.len(), KNOWN_METHODS.len());
        assert!(KNOWN_METHODS.iter().all(|method| method_of(method_mark(method)) == Some(method)));
        assert!(!marks.contains(&method_mark(&Method::from_token("invite"))), "methods are case-sensitive");
    }
}
