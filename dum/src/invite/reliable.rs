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

use super::body::{description, refusal};
use super::callback::What;
use super::machine::{Event as Main, State as Call};
use super::offer_answer::{Exchange, Move};
use super::session::{self, Cause, Edit, InviteSession, SDP};
use super::{ClientInviteSession, ServerInviteSession, SessionError, api, in_dialog, modify, server};
use crate::dispatch::Request;
use crate::dum::Dum;
use crate::handle::Handle;
use crate::usage::Usage;
use Action as A;
use Event as E;
use State::*;
use bytes::Bytes;
use stack::contents::sdp::Sdp;
use stack::header::{Method, Token, h};
use stack::message::Message;
use stack::tu::{ClientTransaction, SendOptions};
use std::collections::VecDeque;
use std::sync::Arc;

/// Provisional responses that wait for a PRACK; the application may send no more. So many PRACKs of ours may wait for their
/// answers; the peer's next response is not heard before.
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
#[derive(Default)]
pub(super) struct Reliable {
    pub(super) state: State,
    /// The callee's: of the last response sent. The caller's: of the last one received.
    rseq: u32,
    queue: VecDeque<(u16, bool, Option<Edit>)>,
    /// The caller's: the number of the INVITE whose provisional responses are counted, the first or a later one.
    cseq: u32,
    /// The caller's: a provisional response with an offer, whose PRACK waits for the answer.
    unanswered: Option<u32>,
    /// The caller's: one that the application is told of; its PRACK follows.
    due: Option<u32>,
    /// The caller's: PRACKs that are not answered, should a later request of ours overtake them.
    pracks: Vec<Prack>,
    /// What was agreed before, as soon as provisional responses have settled what the INVITE is about.
    before: Option<Box<Agreed>>,
}

/// A PRACK of ours: its transaction, which response it acknowledges, its body.
#[derive(Debug)]
struct Prack {
    transaction: ClientTransaction,
    rseq: u32,
    body: Option<Bytes>,
}

/// The descriptions of both sides: local, remote.
type Agreed = (Option<Bytes>, Option<Bytes>);

impl Reliable {
    /// Whether a provisional response was sent reliably and waits for its PRACK.
    pub(super) fn is_waiting(&self) -> bool {
        self.state != Idle
    }

    /// A PRACK was sent once more, for a challenge.
    pub(super) fn resent(&mut self, old: ClientTransaction, new: ClientTransaction) {
        let prack = self.pracks.iter_mut().find(|prack| prack.transaction == old);
        prack.into_iter().for_each(|prack| prack.transaction = new);
    }

    /// It was answered, or will never be. Whether it is a PRACK that counts.
    pub(super) fn forget(&mut self, transaction: ClientTransaction) -> bool {
        let before = self.pracks.len();
        self.pracks.retain(|prack| prack.transaction != transaction);
        self.pracks.len() < before
    }
}

/// Writes what makes a provisional response reliable (§3).
pub(super) fn stamp(dum: &mut Dum<'_>, call: Handle<InviteSession>, response: &mut Message) {
    number(dum, call, response);
    response.push_back(h::REQUIRES, "100rel");
}

/// Gives a provisional response the next number. The first one is drawn at random below 2^31.
fn number(dum: &mut Dum<'_>, call: Handle<InviteSession>, response: &mut Message) {
    let random = dum.rng().range(1 << 30) as u32;
    let Ok(this) = dum.session(call) else { return };
    let reliable = this.reliable.get_or_insert_default();
    reliable.rseq = if reliable.rseq == 0 { random + 1 } else { reliable.rseq + 1 };
    response.set(h::RSEQ, &reliable.rseq);
}

/// The application sends a provisional response or a 2xx that has to come behind others: whether it may go out now.
/// `None`: not at all.
pub(super) fn admit(
    this: &mut InviteSession,
    event: Event,
    (status, media): (u16, bool),
    edit: &mut Option<Edit>,
) -> Option<bool> {
    let reliable = this.reliable.get_or_insert_default();
    let (next, actions) = step(reliable.state, event);
    match actions {
        [A::Busy] => return None,
        [A::Queue] if reliable.queue.len() == MAX_QUEUE => return None,
        [A::Queue] => reliable.queue.push_back((status, media, edit.take())),
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
        (Exchange::OfferSent, Some((body, sdp))) if this.modify == modify::State::Idle => {
            if !this.media.make(Move::ReceiveAnswer, Some(body)) {
                return dum.refuse(request.transaction, &request.msg, 400);
            }
            dum.refuse(request.transaction, &request.msg, 200);
            dum.tell(call, What::Answer(sdp), Some(request.msg));
        }
        // An offer meets one of ours, in an UPDATE.
        (Exchange::OfferSent, Some(_)) => return dum.refuse(request.transaction, &request.msg, 491),
        // RFC 3262 §5: the offer of the response is answered here, or never; and one offer comes after the other.
        (Exchange::OfferSent, None) if this.modify == modify::State::Idle => {
            return dum.refuse(request.transaction, &request.msg, 400);
        }
        (Exchange::OfferReceived, Some(_)) => return dum.refuse_for_now(request.transaction, &request.msg),
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
            // What was repeated stays: it is sent anew after a while.
            A::StopRepeating => dum.session(call).into_iter().for_each(|this| this.repeat.clear()),
            A::Next => {
                let next = |dum: &mut Dum<'_>| dum.session(call).ok()?.reliable.as_mut()?.queue.pop_front();
                // One whose description has gone out with another says nothing new.
                let sent = std::iter::from_fn(|| {
                    next(dum).map(|(status, media, edit)| server::ring(dum, call.cast(), (status, media), edit))
                });
                if !sent.into_iter().any(|sent| sent.is_ok()) {
                    session::ring_again(dum, call);
                }
            }
            A::Accept => {
                let edit = dum.session(call).ok().and_then(|this| this.asked.as_mut()?.edit.take());
                let _ = server::accept_now(dum, call.cast::<ServerInviteSession>(), edit);
            }
            A::Refuse => {
                let response = session::make_answer(dum, call, session::Slot::Invite, 504);
                session::step(dum, call, Main::Silent, response.map_or_else(|_| Cause::default(), Cause::from));
            }
            A::Send | A::Queue | A::Busy => {}
        }
    }
}

/// A minute after the last one was acknowledged: the same by the next number, or proxies would give up (RFC 3261 §13.3.1.1). What
/// it said of media is settled.
pub(super) fn again(dum: &mut Dum<'_>, call: Handle<InviteSession>) {
    let Ok(this) = dum.session(call) else { return };
    let Some(mut response) = this.repeated.as_ref().map(|repeated| repeated.response.clone()) else { return };
    let Some(reliable) = &mut this.reliable else { return };
    reliable.state = step(reliable.state, E::Ring).0;
    response.set_body(None, "");
    number(dum, call, &mut response);
    session::step(dum, call, Main::Ring, response);
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
    let unanswered = this.requests.iter().filter(|(_, method)| *method == Method::Prack).count();
    let reliable = this.reliable.get_or_insert_default();
    let cseq = response.header(h::CSEQ).map_or(0, |cseq| cseq.number);
    if reliable.cseq != cseq {
        **reliable = Reliable { cseq, ..Reliable::default() };
    }
    // Where so many PRACKs are not answered, it comes again.
    if reliable.rseq != 0 && rseq != reliable.rseq.wrapping_add(1) || unanswered == MAX_QUEUE {
        return Received::Stale;
    }
    reliable.rseq = rseq;
    Received::Next(rseq)
}

/// A reliable provisional response, in its order: its description counts, and PRACK follows, with the answer if it brought
/// an offer, else when the application has heard of it and may have offered something.
pub(super) fn acknowledge(dum: &mut Dum<'_>, call: Handle<InviteSession>, rseq: u32, response: &Arc<Message>) {
    let description = description(response);
    // RFC 6141 §4: its Contact counts, as that of a 2xx.
    if let Some(dialog) = super::dialog_of(dum, call) {
        dum.core.dialogs.answered(dialog, response);
    }
    let Ok(this) = dum.session(call) else { return };
    let told = match (this.media.exchange, description) {
        (Exchange::OfferSent, Ok(Some((body, sdp)))) if is_open(this) && this.media.is_answered_by(&body) => {
            settle(this);
            this.media.make(Move::ReceiveAnswer, Some(body));
            Some(What::Answer(sdp))
        }
        (Exchange::Stable, Ok(Some((body, sdp))))
            if is_open(this) && this.media.make(Move::ReceiveOffer, Some(body.clone())) =>
        {
            if let Some(reliable) = &mut this.reliable {
                reliable.unanswered = Some(rseq);
            }
            return dum.tell(call, What::Offer(sdp), Some(response.clone()));
        }
        _ => None,
    };
    if let Some(reliable) = &mut this.reliable {
        reliable.due = Some(rseq);
    }
    if let Some(told) = told {
        dum.tell(call, told, Some(response.clone()));
    }
    dum.tell(call, What::Acknowledge, None);
}

/// The application has heard of the provisional response, or sends something behind it: its PRACK goes out.
pub(super) fn acknowledge_now(dum: &mut Dum<'_>, call: Handle<InviteSession>) {
    let Ok(this) = dum.session(call) else { return };
    let due = this.reliable.as_mut().and_then(|reliable| reliable.due.take());
    if let Some(rseq) = due.filter(|_| !matches!(this.state, Call::Ending | Call::Terminated)) {
        send_prack(dum, call, rseq, None);
    }
}

impl Handle<ClientInviteSession> {
    /// Offers a change with the PRACK of the reliable provisional response that the application is being told of: while
    /// [`InviteSessionHandler::on_provisional`](super::InviteSessionHandler::on_provisional) or
    /// [`InviteSessionHandler::on_answer`](super::InviteSessionHandler::on_answer) runs for it, and only when offer and
    /// answer of the INVITE are done (RFC 3262 §5). Its 2xx brings the answer. The peer can hardly refuse it: what it may
    /// not like is better offered with [`Session::update`](super::Session::update) (RFC 6337 §2.2).
    ///
    /// # Errors
    /// [`SessionError::NotNow`]: no PRACK is due, or another exchange is under way.
    pub fn offer_with_prack(self, dum: &mut Dum<'_>, offer: &Sdp) -> Result<(), SessionError> {
        let call = self.cast();
        let this = dum.session(call)?;
        match this.reliable.as_ref().is_some_and(|reliable| reliable.due.is_some()) {
            true => api::change(dum, call, Some(offer.print()), modify::Event::SendPrack),
            false => Err(SessionError::NotNow),
        }
    }
}

/// The PRACK that is due goes out, with an offer.
pub(super) fn send_offer(dum: &mut Dum<'_>, call: Handle<InviteSession>) {
    let Ok(this) = dum.session(call) else { return };
    let Some(rseq) = this.reliable.as_mut().and_then(|reliable| reliable.due.take()) else { return };
    let offer = this.media.offer.clone();
    if let (Some(sent), Ok(this)) = (make_and_send(dum, call, rseq, offer), dum.session(call)) {
        this.sent = Some(sent);
    }
}

/// A provisional response to an INVITE within the call: a reliable one is acknowledged, another says nothing new.
pub(super) fn provisional(dum: &mut Dum<'_>, call: Handle<InviteSession>, response: &Arc<Message>) {
    let Ok(this) = dum.session(call) else { return };
    if let Received::Next(rseq) = received(this, response) {
        acknowledge(dum, call, rseq, response);
    }
}

/// A change is sent: nothing of it is settled.
pub(super) fn begin(this: &mut InviteSession) {
    if let Some(reliable) = this.reliable.as_mut().filter(|_| this.modify == modify::State::SentInvite) {
        reliable.before = None;
    }
}

/// Offer and answer of the INVITE are about to be agreed on before it is answered: what was agreed before is kept for the
/// case that it is refused.
fn settle(this: &mut InviteSession) {
    let before = (this.media.local.clone(), this.media.remote.clone());
    if let Some(reliable) = &mut this.reliable {
        reliable.before = Some(before.into());
    }
}

/// Whether offer and answer of an INVITE are not agreed on yet: behind them its responses bring nothing (RFC 3261 §13.2.1),
/// even when another exchange is under way.
fn is_open(this: &InviteSession) -> bool {
    if this.modify.is_inviting() { !is_settled(this) } else { this.media.local.is_none() }
}

fn is_settled(this: &InviteSession) -> bool {
    this.reliable.as_ref().is_some_and(|reliable| reliable.before.is_some())
}

/// Whether a re-INVITE of ours waits for its final response, and offer and answer are agreed on.
pub(super) fn is_within(this: &InviteSession) -> bool {
    this.modify.is_inviting() && is_settled(this)
}

/// An INVITE within the call was answered with a 2xx: whether its provisional responses have said all.
pub(super) fn succeeded(this: &mut InviteSession) -> bool {
    this.reliable.as_mut().is_some_and(|reliable| reliable.before.take().is_some())
}

/// It was refused: what was agreed before it counts again (RFC 6141 §3.4).
pub(super) fn refused(this: &mut InviteSession) {
    if let Some(before) = this.reliable.as_mut().and_then(|reliable| reliable.before.take()) {
        (this.media.local, this.media.remote) = *before;
    }
}

/// The answer to the offer of a provisional response, if there is one that waits; it goes out with the PRACK.
pub(super) fn answer(dum: &mut Dum<'_>, call: Handle<InviteSession>, body: &Bytes) -> bool {
    let waiting = dum.session(call).ok().and_then(|this| this.reliable.as_mut()?.unanswered.take());
    let Some(rseq) = waiting else { return false };
    if let Ok(this) = dum.session(call) {
        settle(this);
        this.media.make(Move::SendAnswer, Some(body.clone()));
    }
    send_prack(dum, call, rseq, Some(body.clone()));
    true
}

/// The offer of a provisional response that nobody answers any more, since the call ends, is answered with the PRACK all the same
/// (§5): by an answer without streams.
pub(super) fn refuse_streams(dum: &mut Dum<'_>, call: Handle<InviteSession>) {
    let Ok(this) = dum.core.sessions.get(call) else { return };
    let waits = this.reliable.as_ref().is_some_and(|reliable| reliable.unanswered.is_some());
    let (offer, agreed) = (this.media.offer.clone().filter(|_| waits), this.media.local.clone());
    if let Some(body) = offer.and_then(|offer| refusal(dum, &offer, agreed.as_ref())) {
        answer(dum, call, &body);
    }
}

/// Sends a PRACK that has no offer; what its answer says is only whether the peer knows of it.
fn send_prack(dum: &mut Dum<'_>, call: Handle<InviteSession>, rseq: u32, body: Option<Bytes>) {
    if let (Some(sent), Ok(this)) = (make_and_send(dum, call, rseq, body), dum.session(call)) {
        this.requests.push((sent, Method::Prack));
    }
}

fn make_and_send(
    dum: &mut Dum<'_>,
    call: Handle<InviteSession>,
    rseq: u32,
    body: Option<Bytes>,
) -> Option<ClientTransaction> {
    let this = dum.session(call).ok()?;
    let (dialog, cseq) = (this.dialog?, this.reliable.as_ref().map_or(1, |reliable| reliable.cseq));
    let mut prack = dum.make_in_dialog(dialog, &Method::Prack).ok()?;
    prack.set(h::RACK, &format_args!("{rseq} {cseq} INVITE"));
    if let Some(body) = &body {
        prack.set_body(Some(SDP), body.clone());
    }
    let transaction = dum.send(Usage::Invite(call), prack, SendOptions::default());
    if let Some(reliable) = &mut dum.session(call).ok()?.reliable {
        reliable.pracks.push(Prack { transaction, rseq, body });
    }
    Some(transaction)
}

/// A PRACK of ours has come behind a later request, and was refused for that: without one the callee cannot answer, so that
/// another one goes out while the INVITE is open. Whether it did.
pub(super) fn overtaken(dum: &mut Dum<'_>, call: Handle<InviteSession>, transaction: ClientTransaction) -> bool {
    let Ok(this) = dum.session(call) else { return false };
    let open = matches!(this.state, Call::Calling | Call::Early) || this.modify.is_inviting();
    let Some(reliable) = this.reliable.as_mut().filter(|_| open) else { return false };
    let Some(at) = reliable.pracks.iter().position(|prack| prack.transaction == transaction) else { return false };
    let Prack { rseq, body, .. } = reliable.pracks.remove(at);
    let Some(new) = make_and_send(dum, call, rseq, body) else { return false };
    session::resent(dum.core, call, transaction, new);
    true
}

/// Whether a provisional response of ours is to be reliable: the caller requires it, or supports it and the profile wants
/// it. `None`: the profile insists and the caller cannot.
pub(super) fn wanted(this: &InviteSession, invite: &Message) -> Option<bool> {
    use crate::profile::Reliability;
    let mut supported = invite.header(h::SUPPORTEDS).flatten();
    let required = is_required(invite);
    let can = required || supported.any(|tag: Token<'_>| tag.is("100rel"));
    match this.profile.reliability() {
        Reliability::Required if !can => None,
        Reliability::Required | Reliability::Supported => Some(can),
        Reliability::Never => Some(required),
    }
}

/// Whether the caller takes no other provisional responses.
pub(super) fn is_required(invite: &Message) -> bool {
    invite.header(h::REQUIRES).flatten().any(|tag: Token<'_>| tag.is("100rel"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DumOptions;
    use crate::invite::Session;
    use crate::invite::tests::{App, SDP, calling_with, fork, heard};
    use crate::testing::Bench;
    use stack::tu::TuEvent;

    /// A call that is answered, with what was agreed.
    fn connected() -> (Bench<App>, Handle<InviteSession>) {
        let mut options = DumOptions::default();
        options.master.add_100rel();
        let (mut bench, transaction, invite) = calling_with(options);
        fork(&mut bench, (transaction, &invite), 200, "one");
        bench.sent.clear();
        heard(&mut bench);
        let call = bench.dum.application().calls[0];
        (bench, call)
    }

    fn port(port: u16) -> String {
        SDP.replace("4000", &port.to_string())
    }

    fn respond(bench: &mut Bench<App>, to: (ClientTransaction, &Message), code: u16, rseq: u32, body: &str) {
        let mut msg = to.1.make_response(code, None, Some("one"));
        msg.push_back(h::CONTACTS, "<sip:one@192.0.2.9>");
        if code < 200 {
            msg.set(h::RSEQ, &rseq);
            msg.push_back(h::REQUIRES, "100rel");
        }
        if !body.is_empty() {
            msg.set_body(Some("application/sdp"), body.to_owned());
        }
        bench.event(TuEvent::Response { transaction: to.0, msg: msg.into() });
    }

    fn rack(bench: &mut Bench<App>) -> (String, usize) {
        let (_, prack) = bench.request();
        assert_eq!(prack.method(), Some(Method::Prack));
        let rack = prack.header(h::RACK).unwrap();
        (format!("{} {}", rack.rseq, rack.cseq), prack.body().len())
    }

    /// RFC 3262 §4 makes no difference between INVITEs.
    #[test]
    fn a_change_is_acknowledged_step_by_step_as_the_call_was() {
        let (mut bench, call) = connected();
        let offer = Sdp::parse(&port(5000).into()).unwrap();
        bench.with(|_, dum| call.provide_offer(dum, &offer)).unwrap();
        let (transaction, invite) = bench.request();
        let to = (transaction, &invite);
        // A first one without a number, then two, one of them again.
        fork(&mut bench, to, 180, "one");
        bench.nothing_sent();
        respond(&mut bench, to, 183, 9000, &port(6000));
        assert_eq!(rack(&mut bench), ("9000 2".into(), 0));
        respond(&mut bench, to, 183, 9000, &port(6000));
        bench.nothing_sent();
        respond(&mut bench, to, 180, 9001, "");
        assert_eq!(rack(&mut bench), ("9001 2".into(), 0));
        let agreed = |bench: &mut Bench<App>| {
            bench.with(|_, dum| {
                [call.local_sdp(dum), call.remote_sdp(dum)].map(|sdp| sdp.unwrap().media().next().unwrap().line().port)
            })
        };
        assert_eq!(agreed(&mut bench), [5000, 6000]);
        // The 2xx need not say it again.
        respond(&mut bench, to, 200, 0, "");
        assert_eq!(crate::invite::tests::sent(&mut bench), ["ACK one"]);
        assert!(bench.with(|_, dum| call.is_connected(dum)));
        // One that is refused after all leaves what was agreed before.
        let offer = Sdp::parse(&port(5002).into()).unwrap();
        bench.with(|_, dum| call.provide_offer(dum, &offer)).unwrap();
        let (transaction, invite) = bench.request();
        respond(&mut bench, (transaction, &invite), 183, 7, &port(6002));
        assert_eq!(rack(&mut bench), ("7 5".into(), 0));
        respond(&mut bench, (transaction, &invite), 500, 0, "");
        assert_eq!(agreed(&mut bench), [5000, 6000]);
    }

    #[test]
    fn the_offer_of_a_change_may_come_early_and_be_answered_with_the_prack() {
        let (mut bench, call) = connected();
        bench.with(|_, dum| call.request_offer(dum)).unwrap();
        let (transaction, invite) = bench.request();
        respond(&mut bench, (transaction, &invite), 183, 3, &port(6000));
        bench.nothing_sent();
        let answer = Sdp::parse(&port(5000).into()).unwrap();
        bench.with(|_, dum| call.provide_answer(dum, &answer)).unwrap();
        let (what, body) = rack(&mut bench);
        assert_eq!((what.as_str(), body > 0), ("3 2", true));
        respond(&mut bench, (transaction, &invite), 200, 0, &port(6000));
        assert_eq!(crate::invite::tests::sent(&mut bench), ["ACK one"]);
        assert!(bench.with(|_, dum| call.is_connected(dum)));
        // It is over: the next one can begin.
        assert_eq!(bench.with(|_, dum| call.request_offer(dum)), Ok(()));
    }
}
