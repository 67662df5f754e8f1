//! Reliable provisional responses (RFC 3262), of both sides.
//!
//! ```text
//!   callee:            Ring (sent, repeated)            Accept
//!            Idle ───────────────────────► Waiting ──────────────► Holding (the 2xx waits)
//!             ▲ ▲          PRACK: the next one │                       │
//!             │ └──────────────────────────────┘      PRACK: 2xx       │
//!             └────────────────────────────────────────────────────────┘
//!                        64·T1 without PRACK: the INVITE is refused
//! ```
//!
//! One is under way at a time; further ones wait for its PRACK.

use super::body::description;
use super::callback::What;
use super::machine::Event as Main;
use super::offer_answer::{Exchange, Move};
use super::session::{self, Cause, InviteSession, SDP};
use super::{ServerInviteSession, in_dialog, modify, server};
use crate::dispatch::Request;
use crate::dum::Dum;
use crate::handle::Handle;
use crate::usage::Usage;
use Action as A;
use Event as E;
use State::*;
use bytes::Bytes;
use stack::header::{Method, Token, h};
use stack::message::Message;
use stack::tu::SendOptions;
use std::collections::VecDeque;
use std::sync::Arc;

/// Provisional responses that wait for a PRACK; the application may send no more.
const MAX_QUEUE: usize = 8;

/// Whether a provisional response was sent and is not acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum State {
    #[default]
    Idle,
    Waiting,
    Holding,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    /// The application sends another one.
    Ring,
    /// The PRACK that is waited for.
    Prack,
    /// The application accepts.
    Accept,
    /// 64·T1 without PRACK.
    NoPrack,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// Send it, and repeat it.
    Send,
    /// It waits.
    Queue,
    StopRepeating,
    /// Send what has waited longest.
    Next,
    /// Send the 2xx.
    Accept,
    /// Refuse the INVITE (§3).
    Refuse,
    /// Not now.
    Busy,
}

#[cfg(test)]
pub(crate) const STATES: [State; 3] = [Idle, Waiting, Holding];

#[cfg(test)]
pub(crate) const EVENTS: [Event; 4] = [E::Ring, E::Prack, E::Accept, E::NoPrack];

/// One step.
pub(crate) const fn step(state: State, event: Event) -> (State, &'static [Action]) {
    match (state, event) {
        (Idle, E::Ring) => (Waiting, &[A::Send]),
        (Idle, E::Accept) => (Idle, &[A::Accept]),
        (Waiting, E::Ring) => (Waiting, &[A::Queue]),
        (Waiting, E::Prack) => (Idle, &[A::StopRepeating, A::Next]),
        // §3: a 2xx waits for the PRACK of what carried a description; here it waits for each.
        (Waiting, E::Accept) => (Holding, &[]),
        (Holding, E::Prack) => (Idle, &[A::StopRepeating, A::Accept]),
        (Holding, E::Ring | E::Accept) => (Holding, &[A::Busy]),
        (Waiting | Holding, E::NoPrack) => (Idle, &[A::StopRepeating, A::Refuse]),
        (same, _) => (same, &[]),
    }
}

/// What a call keeps of it.
#[derive(Debug, Default)]
pub(super) struct Reliable {
    pub(super) state: State,
    /// The callee's: of the last response sent. The caller's: of the last one received.
    rseq: u32,
    queue: VecDeque<(u16, bool)>,
    /// The callee's: the status of the last response sent.
    status: u16,
    /// The caller's: a provisional response with an offer, whose PRACK waits for the answer.
    unanswered: Option<u32>,
}

impl Reliable {
    /// Whether a provisional response was sent reliably and waits for its PRACK.
    pub(super) fn is_waiting(&self) -> bool {
        self.state != Idle
    }
}

/// Writes what makes a provisional response reliable (§3). The first number is drawn at random below 2^31.
pub(super) fn stamp(dum: &mut Dum<'_>, call: Handle<InviteSession>, response: &mut Message) {
    let random = dum.rng().range(1 << 30) as u32;
    let Ok(this) = dum.session(call) else { return };
    let reliable = this.reliable.get_or_insert_default();
    reliable.rseq = if reliable.rseq == 0 { random + 1 } else { reliable.rseq + 1 };
    response.set(h::RSEQ, &reliable.rseq);
    response.push_back(h::REQUIRES, "100rel");
}

/// The application sends a provisional response or a 2xx that has to come behind others: whether it may go out now.
/// `None`: not at all.
pub(super) fn admit(this: &mut InviteSession, event: Event, what: (u16, bool)) -> Option<bool> {
    let reliable = this.reliable.get_or_insert_default();
    let (next, actions) = step(reliable.state, event);
    match actions {
        [A::Busy] => return None,
        [A::Queue] if reliable.queue.len() == MAX_QUEUE => return None,
        [A::Queue] => reliable.queue.push_back(what),
        [A::Send] => reliable.status = what.0,
        _ => {}
    }
    reliable.state = next;
    Some(matches!(actions, [A::Send] | [A::Accept]))
}

/// PRACK came: it must name the response that waits for it (§3).
pub(super) fn prack(dum: &mut Dum<'_>, call: Handle<InviteSession>, request: Request) {
    let Ok(this) = dum.session(call) else { return };
    let cseq = this.repeated.as_ref().map_or(0, |repeated| repeated.cseq);
    let named = this.reliable.as_ref().filter(|reliable| reliable.is_waiting()).is_some_and(|reliable| {
        let rack = request.msg.header(h::RACK);
        rack.is_ok_and(|rack| (rack.rseq, rack.cseq, rack.method) == (reliable.rseq, cseq, Method::Invite))
    });
    if !named {
        return dum.refuse(request.transaction, &request.msg, 481);
    }
    let Ok(description) = description(&request.msg) else {
        return dum.refuse(request.transaction, &request.msg, 400);
    };
    match (this.media.exchange, description) {
        (Exchange::OfferSent, Some((body, sdp))) => {
            this.media.make(Move::ReceiveAnswer, Some(body));
            dum.refuse(request.transaction, &request.msg, 200);
            dum.tell(call, What::Answer(sdp), None);
        }
        // A new offer, behind the answer in the provisional response (§5).
        (Exchange::Stable, Some(_)) => in_dialog::change(dum, call, request, modify::Event::GotUpdate),
        (_, _) => dum.refuse(request.transaction, &request.msg, 200),
    }
    go_on(dum, call, E::Prack);
}

/// The provisional response was acknowledged, or never will be.
pub(super) fn go_on(dum: &mut Dum<'_>, call: Handle<InviteSession>, event: Event) {
    let Ok(this) = dum.session(call) else { return };
    let Some(reliable) = &mut this.reliable else { return };
    let (next, actions) = step(reliable.state, event);
    reliable.state = next;
    for action in actions {
        match action {
            A::StopRepeating => session::stop_repeating(dum, call),
            A::Next => {
                let next = dum.session(call).ok().and_then(|this| this.reliable.as_mut()?.queue.pop_front());
                match next {
                    Some((status, media)) => drop(server::ring(dum, call.cast(), status, media)),
                    None => session::ring_again(dum, call),
                }
            }
            A::Accept => drop(server::accept_now(dum, call.cast::<ServerInviteSession>())),
            A::Refuse => {
                let response = session::make_answer(dum, call, session::Slot::Invite, 504);
                session::step(dum, call, Main::Reject, response.map_or_else(|_| Cause::default(), Cause::from));
            }
            A::Send | A::Queue | A::Busy => {}
        }
    }
}

/// A minute after the last one was acknowledged: a new one, or proxies would give up (RFC 3261 §13.3.1.1).
pub(super) fn again(dum: &mut Dum<'_>, call: Handle<InviteSession>) {
    let Ok(this) = dum.session(call) else { return };
    if let Some(status) = this.reliable.as_ref().filter(|reliable| !reliable.is_waiting()).map(|it| it.status) {
        // It may have been answered meanwhile.
        let _ = server::ring(dum, call.cast(), status, false);
    }
}

/// What a provisional response is to the caller.
pub(super) enum Received {
    /// Not reliable, or its number cannot be read.
    Unreliable,
    /// The next one.
    Next(u32),
    /// Repeated, or it overtook another one: nothing is done (§4).
    Stale,
}

/// Looks at the number of a provisional response.
pub(super) fn received(this: &mut InviteSession, response: &Message) -> Received {
    let required = response.header(h::REQUIRES).flatten().any(|tag: Token<'_>| tag.is("100rel"));
    let Some(rseq) = response.header(h::RSEQ).ok().filter(|_| required).map(|rseq| rseq.0) else {
        return Received::Unreliable;
    };
    let reliable = this.reliable.get_or_insert_default();
    if reliable.rseq != 0 && rseq != reliable.rseq.wrapping_add(1) {
        return Received::Stale;
    }
    reliable.rseq = rseq;
    Received::Next(rseq)
}

/// A reliable provisional response, in its order: its description counts, and PRACK follows, with the answer if it brought
/// an offer.
pub(super) fn acknowledge(dum: &mut Dum<'_>, call: Handle<InviteSession>, rseq: u32, response: &Arc<Message>) {
    let description = description(response);
    let Ok(this) = dum.session(call) else { return };
    let told = match (this.media.exchange, description) {
        (Exchange::OfferSent, Ok(Some((body, sdp)))) => {
            this.media.make(Move::ReceiveAnswer, Some(body));
            Some(What::Answer(sdp))
        }
        (Exchange::Stable, Ok(Some((body, sdp)))) if this.media.local.is_none() => {
            this.media.make(Move::ReceiveOffer, Some(body));
            if let Some(reliable) = &mut this.reliable {
                reliable.unanswered = Some(rseq);
            }
            return dum.tell(call, What::Offer(sdp), None);
        }
        _ => None,
    };
    send_prack(dum, call, rseq, None);
    if let Some(told) = told {
        dum.tell(call, told, None);
    }
}

/// The answer to the offer of a provisional response, if there is one that waits; it goes out with the PRACK.
pub(super) fn answer(dum: &mut Dum<'_>, call: Handle<InviteSession>, body: &Bytes) -> bool {
    let waiting = dum.session(call).ok().and_then(|this| this.reliable.as_mut()?.unanswered.take());
    let Some(rseq) = waiting else { return false };
    if let Ok(this) = dum.session(call) {
        this.media.make(Move::SendAnswer, Some(body.clone()));
    }
    send_prack(dum, call, rseq, Some(body.clone()));
    true
}

fn send_prack(dum: &mut Dum<'_>, call: Handle<InviteSession>, rseq: u32, body: Option<Bytes>) {
    let Ok(this) = dum.session(call) else { return };
    let Some(dialog) = this.dialog else { return };
    let cseq = this.call.and_then(|out| Some(dum.core.calls.get(out).ok()?.cseq()));
    let Ok(mut prack) = dum.make_in_dialog(dialog, &Method::Prack) else { return };
    prack.set(h::RACK, &format_args!("{rseq} {} INVITE", cseq.unwrap_or(1)));
    if let Some(body) = body {
        prack.set_body(Some(SDP), body);
    }
    dum.send(Usage::Invite(call), prack, SendOptions::default());
}

/// Whether a provisional response of ours is to be reliable: the caller requires it, or supports it and the profile wants
/// it. `None`: the profile insists and the caller cannot.
pub(super) fn wanted(this: &InviteSession, invite: &Message) -> Option<bool> {
    use crate::profile::Reliability;
    let mut required = invite.header(h::REQUIRES).flatten();
    let mut supported = invite.header(h::SUPPORTEDS).flatten();
    let required = required.any(|tag: Token<'_>| tag.is("100rel"));
    let can = required || supported.any(|tag: Token<'_>| tag.is("100rel"));
    match this.profile.reliability() {
        Reliability::Required if !can => None,
        Reliability::Required | Reliability::Supported => Some(can),
        Reliability::Never => Some(required),
    }
}
