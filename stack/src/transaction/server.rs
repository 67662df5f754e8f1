//! Server transactions: what is kept of each, and how the machines' actions are carried out.

use super::controller::{NO_TU, TransactionController};
use super::kept::Share;
use super::machine::{Action, Timer};
use super::stats::count;
use super::{Door, ServerKey, ServerTransaction, TimerKey, server_invite, server_non_invite};
use crate::header::{Method, h, p};
use crate::message::{Message, Source};
use crate::overload::{Intake, Work, report};
use crate::scanner::stamp_received;
use crate::statistics::Place;
use crate::transport::{Flow, Notify};
use crate::tu::TuEvent;
use bytes::Bytes;
use rutil::hash::shrink;
use rutil::{Class, Time, Zone};
use std::net::SocketAddr;

/// In a [`Notify`] key: a server transaction.
const SERVER: u64 = 1 << 63;

/// A server transaction.
pub(super) struct Server {
    key: ServerKey,
    /// What a merged request would share with it; 0 when nobody asks.
    merge: u128,
    pub(super) state: State,
    tu: u8,
    /// When its request came.
    pub(super) began: Time,
    /// How often Timer G fired.
    round: u8,
    pub(super) reply_to: Flow,
    /// Where the request came from: what a response that the stack makes says in `received` and `rport`.
    pub(super) source: SocketAddr,
    /// The request as it came, until the final response: what a response that the stack makes is made from.
    pub(super) request: Bytes,
    /// The last response, while it may have to be repeated.
    pub(super) response: Bytes,
    /// What request and response are counted with.
    share: Share,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Invite(server_invite::State),
    NonInvite(server_non_invite::State),
}

/// What the machines are told, before it is known which machine.
#[derive(Clone, Copy, Debug)]
enum Event {
    Retransmit,
    Ack,
    Respond(u16),
    Timer(Timer),
    TransportError,
}

impl State {
    fn place(self) -> Place {
        match self {
            State::Invite(state) => Place::server_invite(state),
            State::NonInvite(state) => Place::server_non_invite(state),
        }
    }

    fn step(self, event: Event) -> (State, &'static [Action]) {
        match self {
            State::Invite(state) => {
                use server_invite::Event as E;
                let event = match event {
                    Event::Retransmit => E::Retransmit,
                    Event::Ack => E::Ack,
                    Event::Respond(..=199) => E::Provisional,
                    Event::Respond(200..=299) => E::Success,
                    Event::Respond(_) => E::Failure,
                    Event::Timer(timer) => E::Timer(timer),
                    Event::TransportError => E::TransportError,
                };
                let (state, actions) = server_invite::step(state, event);
                (State::Invite(state), actions)
            }
            State::NonInvite(state) => {
                use server_non_invite::Event as E;
                let event = match event {
                    Event::Retransmit | Event::Ack => E::Retransmit,
                    Event::Respond(..=199) => E::Provisional,
                    Event::Respond(_) => E::Final,
                    Event::Timer(timer) => E::Timer(timer),
                    Event::TransportError => E::TransportError,
                };
                let (state, actions) = server_non_invite::step(state, event);
                (State::NonInvite(state), actions)
            }
        }
    }
}

impl Server {
    /// Whether its transaction user still owes a final response.
    pub(super) fn is_pending(&self) -> bool {
        use {server_invite::State as I, server_non_invite::State as N};
        matches!(self.state, State::Invite(I::Trying | I::Proceeding) | State::NonInvite(N::Trying | N::Proceeding))
    }
    /// Whether it waits for a response or for an ACK.
    pub(super) fn waits(&self) -> bool {
        self.is_pending() || self.state == State::Invite(server_invite::State::Completed)
    }
    fn is_invite(&self) -> bool {
        matches!(self.state, State::Invite(_))
    }
    /// The To tag of its last response, or what the stack would give it.
    fn tag(&self) -> String {
        let response = Message::parse_again(self.response.clone());
        let given = response.and_then(|r| r.header(h::TO).ok()?.param(p::TAG).map(str::to_owned));
        given.unwrap_or_else(|| self.key.own_tag())
    }
}

/// Whether a request belongs to no dialog and cancels nothing.
fn begins_something(msg: &Message) -> bool {
    msg.method() != Some(Method::Cancel) && !msg.has_to_tag()
}

impl TransactionController {
    /// A request came, whatever its method.
    pub(super) fn on_request(
        &mut self,
        msg: Box<Message>,
        key: ServerKey,
        cancels: Option<ServerKey>,
        reply_to: Flow,
        now: Time,
    ) {
        let is_ack = msg.method() == Some(Method::Ack);
        if let Some(at) = self.find_server(key) {
            let event = if is_ack { Event::Ack } else { Event::Retransmit };
            if !is_ack {
                count(&self.stats.absorbed);
            }
            self.step_server(at, event, Some(msg), now);
            return;
        }
        if is_ack {
            // The ACK for a response that the stack itself gave without a transaction ends here.
            if key.is_tag_of(&msg) {
                count(&self.stats.absorbed);
            } else if let Some(tu) = self.select_tu(&msg) {
                self.tell_tu(tu, TuEvent::Ack { msg }, now);
            }
            return;
        }
        self.begin(msg, key, cancels, reply_to, now);
    }

    fn begin(&mut self, msg: Box<Message>, key: ServerKey, cancels: Option<ServerKey>, reply_to: Flow, now: Time) {
        let cancelled = cancels.and_then(|key| self.find_server(key));
        let tu = match cancelled.and_then(|at| self.servers.get_mut(at.0, at.1)).map(|invite| invite.tu) {
            Some(tu) => Some(tu),
            None => self.select_tu(&msg),
        };
        let Some(tu) = tu else { return self.refuse(&msg, key, reply_to, 501, now) };
        let door = self.doors.get();
        // What gives up a call that is waited for ends it the sooner.
        if door == Door::Shut && cancelled.is_none() {
            count(&self.stats.refused);
            if reply_to.kind.is_reliable() {
                self.refuse(&msg, key, reply_to, 503, now);
            }
            return;
        }
        // What belongs to a dialog may use the headroom, and is served while the stack drains.
        let short = !self.tu_has_room(tu, Class::New) || door == Door::Dialogs;
        // Its scanner looked at the FIFOs before it; where another shard's did, they are others.
        let congested = self.zone != Zone::Normal && !Work::of_message(&msg).is_welcome(self.zone);
        let refused = congested || short && (begins_something(&msg) || !self.tu_has_room(tu, Class::Essential));
        let request = msg.raw_bytes();
        if self.servers.len() >= self.limit || !self.kept.has_room(request.len()) || refused {
            count(&self.stats.refused);
            return self.refuse(&msg, key, reply_to, 503, now);
        }
        let merge = self.merge_key(tu, &msg);
        if merge != 0 && self.merges.contains_key(&merge) {
            count(&self.stats.merged);
            return self.refuse(&msg, key, reply_to, 482, now);
        }
        let invite = msg.method() == Some(Method::Invite);
        let state = match invite {
            true => State::Invite(server_invite::State::Trying),
            false => State::NonInvite(server_non_invite::State::Trying),
        };
        let start = if invite { server_invite::START } else { server_non_invite::START };
        let (response, share) = (Bytes::new(), Share::default());
        let source = msg.source().map_or(reply_to.peer, |source| source.flow.peer);
        let owner = if cancelled.is_some() { NO_TU } else { tu };
        let (began, round) = (now, 0);
        let server = Server { key, merge, state, tu: owner, began, round, reply_to, source, request, response, share };
        let at = self.servers.insert(server);
        self.server_slots.insert(key, at.0);
        if merge != 0 {
            self.merges.insert(merge, at.0);
        }
        count(&self.stats.servers);
        self.tally.enters(state.place());
        self.act_server(at, start, None, now);
        match cancelled {
            Some(invite) => self.cancelled(at, invite, msg, now),
            None => {
                let transaction = self.server_name(at);
                self.tell_tu(tu, TuEvent::Request { transaction, msg }, now);
            }
        }
    }

    /// RFC 3261 §9.2: a CANCEL that matches is answered 200, and means something only while the INVITE is pending. The
    /// 200 has the To tag of the INVITE's own responses.
    fn cancelled(&mut self, cancel: (u32, u32), invite: (u32, u32), msg: Box<Message>, now: Time) {
        if let Some(tag) = self.servers.get_mut(invite.0, invite.1).map(|s| s.tag()) {
            self.respond_tagged(self.server_name(cancel), 200, &tag, now);
        }
        let pending = self.servers.get_mut(invite.0, invite.1).is_some_and(|s| s.is_pending());
        if pending {
            let tu = self.servers.get_mut(invite.0, invite.1).map_or(0, |s| s.tu);
            let transaction = self.server_name(invite);
            self.tell_tu(tu, TuEvent::Cancelled { transaction, cancel: msg }, now);
        }
    }

    fn merge_key(&self, tu: u8, msg: &Message) -> u128 {
        match self.refuses_merged(tu) && begins_something(msg) {
            true => self.keys.of_merge(msg).unwrap_or(0),
            false => 0,
        }
    }

    /// Answers a request that gets no transaction.
    fn refuse(&mut self, msg: &Message, key: ServerKey, reply_to: Flow, code: u16, now: Time) {
        self.tally.response_sent(msg.method() == Some(Method::Invite), code);
        let mut response = msg.make_response(code, None, Some(&key.own_tag()));
        if code == 503 {
            // RFC 3261 §21.5.4: when to try again.
            response.append_line("Retry-After", "5");
        }
        self.transmit(response.to_bytes(), (reply_to, None), None, now);
    }

    fn find_server(&self, key: ServerKey) -> Option<(u32, u32)> {
        let slot = *self.server_slots.get(&key)?;
        self.servers.at(slot).map(|(generation, _)| (slot, generation))
    }

    fn server_name(&self, at: (u32, u32)) -> ServerTransaction {
        ServerTransaction { shard: self.shard, slot: at.0, generation: at.1 }
    }

    /// The transaction user answers.
    pub(super) fn respond(&mut self, id: ServerTransaction, msg: &Message, now: Time) {
        let at = (id.slot, id.generation);
        let Some(code) = msg.status() else { return };
        let Some(server) = self.servers.get_mut(at.0, at.1) else { return };
        // A non-INVITE request gets no provisional response but 100 (RFC 4320 §4.1), and no 408: its client has timed
        // out by then (§4.2).
        if !server.is_invite() && matches!(code, 101..=199 | 408) {
            return;
        }
        let (state, actions) = server.state.step(Event::Respond(code));
        self.tally.moves(server.state.place(), state.place());
        server.state = state;
        if actions.contains(&Action::Send) {
            server.response = Self::reported(self.control.as_deref(), msg, now);
            if code >= 200 {
                server.request = Bytes::new();
            }
        }
        self.act_server(at, actions, None, now);
    }

    /// The octets of a response, with what RFC 7339 has to say where it is spoken.
    fn reported(control: Option<&Intake>, msg: &Message, now: Time) -> Bytes {
        let Some(intake) = control else { return msg.to_bytes() };
        let mut msg = msg.clone();
        report(&mut msg, intake.wanted(), now);
        msg.to_bytes()
    }

    /// Answers with a status and what the request says.
    pub(super) fn respond_status(&mut self, id: ServerTransaction, code: u16, now: Time) {
        let Some(server) = self.servers.get_mut(id.slot, id.generation) else { return };
        let tag = server.key.own_tag();
        self.respond_tagged(id, code, &tag, now);
    }

    fn respond_tagged(&mut self, id: ServerTransaction, code: u16, tag: &str, now: Time) {
        let Some(server) = self.servers.get_mut(id.slot, id.generation) else { return };
        let Some(request) = Self::request_of(server) else { return };
        let response = request.make_response(code, None, Some(tag));
        self.respond(id, &response, now);
    }

    /// The request, read once more from what came.
    fn request_of(server: &Server) -> Option<Message> {
        let mut request = Message::parse_again(server.request.clone())?;
        stamp_received(&mut request, server.source);
        request.set_source(Source { flow: server.reply_to, at: Time::ZERO });
        Some(request)
    }

    pub(super) fn server_timer(&mut self, key: TimerKey, now: Time) {
        self.step_server((key.slot, key.generation), Event::Timer(key.timer), None, now);
    }

    pub(super) fn server_failed(&mut self, key: u64, now: Time) {
        let slot = ((key >> 31) & 0xffff_ffff) as u32;
        self.step_server((slot, (key & 0x7fff_ffff) as u32), Event::TransportError, None, now);
    }

    pub(super) fn is_server_key(key: u64) -> bool {
        key & SERVER != 0
    }

    fn server_notify(&self, at: (u32, u32)) -> Notify {
        Notify { shard: self.shard, key: SERVER | u64::from(at.0) << 31 | u64::from(at.1) }
    }

    fn step_server(&mut self, at: (u32, u32), event: Event, msg: Option<Box<Message>>, now: Time) {
        let Some(server) = self.servers.get_mut(at.0, at.1) else { return };
        let (state, actions) = server.state.step(event);
        self.tally.moves(server.state.place(), state.place());
        server.state = state;
        self.act_server(at, actions, msg, now);
    }

    fn act_server(&mut self, at: (u32, u32), actions: &'static [Action], mut msg: Option<Box<Message>>, now: Time) {
        for action in actions {
            let Some(server) = self.servers.get_mut(at.0, at.1) else { return };
            match *action {
                Action::Arm(timer) => self.arm_server(at, timer, now),
                Action::Send | Action::Resend => {
                    if *action == Action::Resend {
                        count(&self.stats.retransmitted);
                    }
                    let (bytes, flow) = (server.response.clone(), server.reply_to);
                    self.tally.octets_sent(server.is_invite(), &bytes);
                    self.transmit(bytes, (flow, None), Some(self.server_notify(at)), now);
                }
                Action::SendTrying => {
                    let Some(request) = Self::request_of(server) else { return };
                    let bytes = request.make_response(100, None, None).to_bytes();
                    server.response = bytes.clone();
                    self.tally.response_sent(server.is_invite(), 100);
                    let flow = server.reply_to;
                    self.transmit(bytes, (flow, None), Some(self.server_notify(at)), now);
                }
                Action::PassUp => {
                    let tu = server.tu;
                    if let Some(msg) = msg.take() {
                        self.tell_tu(tu, TuEvent::Ack { msg }, now);
                    }
                }
                Action::Forget => server.response = Bytes::new(),
                Action::Timeout | Action::TransportFailed => {
                    let tu = server.tu;
                    if *action == Action::Timeout {
                        count(&self.stats.no_ack);
                    }
                    let transaction = self.server_name(at);
                    self.tell_tu(tu, TuEvent::NotDelivered { transaction }, now);
                }
                Action::Terminate => self.end_server(at, now),
                Action::SendAck => {}
            }
        }
        self.count_server(at);
    }

    /// Counts what it keeps now. A response that passes the budget has gone out, and is not kept for a repetition.
    fn count_server(&mut self, at: (u32, u32)) {
        let Some(server) = self.servers.get_mut(at.0, at.1) else { return };
        if !self.kept.fits(&server.share, server.request.len() + server.response.len()) {
            server.response = Bytes::new();
            count(&self.stats.not_kept);
        }
        self.kept.count(&mut server.share, server.request.len() + server.response.len());
    }

    fn arm_server(&mut self, at: (u32, u32), timer: Timer, now: Time) {
        let Some(server) = self.servers.get_mut(at.0, at.1) else { return };
        let reliable = server.reply_to.kind.is_reliable();
        let after = match (timer, server.is_invite()) {
            (Timer::Trying, false) => Some(self.values.non_invite_trying()),
            (Timer::Abandoned, _) => Some(self.values.long().saturating_sub(self.values.non_invite_trying())),
            _ => self.values.duration(timer, reliable, server.round),
        };
        let Some(after) = after else { return };
        if timer == Timer::G {
            server.round = server.round.saturating_add(1);
        }
        if after.is_zero() {
            self.step_server(at, Event::Timer(timer), None, now);
        } else {
            self.arm(at, false, timer, now + after, now);
        }
    }

    fn end_server(&mut self, at: (u32, u32), now: Time) {
        let Some(server) = self.servers.remove(at.0, at.1) else { return };
        self.tally.leaves(server.state.place());
        self.kept.release(&server.share);
        self.server_slots.remove(&server.key);
        shrink(&mut self.server_slots);
        if server.merge != 0 {
            self.merges.remove(&server.merge);
            shrink(&mut self.merges);
        }
        if server.is_invite() && self.wants_terminations(server.tu) {
            let transaction = self.server_name(at);
            self.tell_tu(server.tu, TuEvent::ServerEnded { transaction }, now);
        }
    }
}
