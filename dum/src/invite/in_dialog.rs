//! Requests within a call, of both sides: BYE, re-INVITE, UPDATE and the ACK.

use super::RemoteControl;
use super::ack::{self, Acked};
use super::api;
use super::body;
use super::callback::What;
use super::glare;
use super::machine::{EndReason, Event, State};
use super::modify::{self, Action};
use super::offer_answer::{Exchange, Move};
use super::reliable;
use super::session::{self, Asked, Cause, InviteSession, Slot, fire};
use super::session_timer;
use crate::core::Core;
use crate::dispatch::{self, Request};
use crate::dum::Dum;
use crate::effect::{self, Effect};
use crate::handle::Handle;
use crate::outcome::Outcome;
use crate::timers::TimerKind;
use crate::usage::Usage;
use crate::validate;
use stack::contents::sdp::Sdp;
use stack::header::{Method, h};
use stack::message::Message;
use stack::tu::ClientTransaction;
use std::sync::Arc;
use std::time::Duration;

/// Whether a request in the dialog belongs to the call.
pub(crate) fn takes(request: &Message) -> bool {
    use Method::{Ack, Bye, Info, Invite, Message, Prack, Refer, Update};
    match request.method() {
        // Others are of subscriptions.
        Some(Method::Notify) => RemoteControl::of(request).is_some(),
        method => matches!(method, Some(Invite | Ack | Bye | Update | Prack | Info | Message | Refer)),
    }
}

/// The caller sends something in the dialog, and so knows it: when that is the first, what we have sent before may have come
/// to one who did not.
fn heard(dum: &mut Dum<'_>, call: Handle<InviteSession>) {
    let last = last_cseq(dum, call).unwrap_or_default();
    if let Ok(this) = dum.session(call) {
        this.before_heard = this.before_heard.min(last);
    }
}

/// A request in the dialog.
pub(crate) fn request(dum: &mut Dum<'_>, call: Handle<InviteSession>, request: Request) {
    heard(dum, call);
    let Ok(this) = dum.session(call) else { return };
    let dialog = this.dialog;
    let ending = matches!(this.state, State::Ending | State::Terminated);
    let profile = this.profile.clone();
    let updating = this.update.as_ref().is_some_and(|asked| asked.msg.method() == Some(Method::Update));
    match request.msg.method() {
        Some(Method::Bye) => bye(dum, call, &request),
        _ if ending => dum.refuse(request.transaction, &request.msg, 481),
        Some(Method::Refer) => crate::refer::server::request(dum, dialog, Some(call), request),
        Some(Method::Notify) if !RemoteControl::is_known(&request.msg, &dum.core.master) => {
            crate::subscription::server::bad_event(dum, request.transaction, &request.msg);
        }
        Some(Method::Info | Method::Message | Method::Notify) => {
            dum.tell(call, What::Request(request.transaction), Some(request.msg));
        }
        Some(Method::Prack) => reliable::prack(dum, call, request),
        // RFC 3311 §5.2: one after the other, also where this one brings no offer.
        Some(Method::Update) if updating => {
            dum.refuse_for_now(request.transaction, &request.msg);
        }
        Some(Method::Invite | Method::Update) if session_timer::is_too_brief(dum, &profile, &request.msg) => {
            session_timer::refuse(dum, &profile, request.transaction, &request.msg);
        }
        Some(Method::Invite) => change(dum, call, request, modify::Event::GotInvite),
        Some(Method::Update) if matches!(body::description(&request.msg), Ok(None)) => refreshed(dum, call, request),
        _ => change(dum, call, request, modify::Event::GotUpdate),
    }
}

/// The call is over, whatever the BYE brings along or requires (RFC 3261 §15.1.1).
fn bye(dum: &mut Dum<'_>, call: Handle<InviteSession>, request: &Request) {
    match validate::check_required(&request.msg, &dum.core.master) {
        Ok(()) => dum.refuse(request.transaction, &request.msg, 200),
        Err(refusal) => dispatch::refused(dum, request.transaction, &request.msg, &refusal),
    }
    session::step(dum, call, Event::Bye, &request.msg);
}

/// UPDATE without an offer: it refreshes the remote target, and may refresh the session (RFC 3311 §5.2).
fn refreshed(dum: &mut Dum<'_>, call: Handle<InviteSession>, request: Request) {
    let Request { transaction, msg: request } = request;
    let Ok(this) = dum.session(call) else { return };
    let asked = Asked::new(transaction, request.clone(), "".into());
    let before = this.update.replace(Box::new(asked));
    let response = session::make_answer(dum, call, Slot::Update, 200);
    if let Ok(this) = dum.session(call) {
        this.update = before;
    }
    if let Ok(mut response) = response {
        accepts(dum, call, &request);
        regrant(dum, call, &request, &mut response);
        dum.respond(transaction, response);
        dum.tell(call, What::Refresh, Some(request));
    }
}

/// A request in the dialog gets its 2xx.
pub(super) fn accepts(dum: &mut Dum<'_>, call: Handle<InviteSession>, request: &Message) {
    if let Some(dialog) = super::dialog_of(dum, call) {
        dum.core.dialogs.accepted(dialog, request);
    }
}

/// A request that the peer refreshes the session with: the 2xx says what counts from now on (RFC 4028 §9).
pub(super) fn regrant(dum: &mut Dum<'_>, call: Handle<InviteSession>, request: &Message, response: &mut Message) {
    let Ok(this) = dum.session(call) else { return };
    let (profile, answered) = (this.profile.clone(), this.is_answered());
    // PRACK has no say in it.
    let refreshes = matches!(request.method(), Some(Method::Invite | Method::Update));
    if !answered || !refreshes || !dum.core.master.has_option_tag("timer") {
        return;
    }
    let (wish, asked) = (session_timer::wish(dum, &profile), session_timer::Asked::of(request));
    if let Ok(this) = dum.session(call) {
        this.least = this.least.max(asked.min.unwrap_or(0));
    }
    let agreed = asked.agree(wish, profile.session_timer_mode());
    if let Some(timer) = agreed {
        timer.grant(response);
    }
    session_timer::start(dum, call, agreed);
}

/// A request that may change the session.
pub(super) fn change(dum: &mut Dum<'_>, call: Handle<InviteSession>, request: Request, event: modify::Event) {
    let Request { transaction, msg } = request;
    let Ok(description) = body::description(&msg) else { return dum.refuse(transaction, &msg, 400) };
    let Ok(this) = dum.session(call) else { return };
    let (next, actions) = match (this.state, this.media.exchange) {
        // What was offered before has had no answer.
        (State::Connected, exchange)
            if this.modify == modify::State::Idle && exchange != Exchange::Stable && description.is_some() =>
        {
            (this.modify, &[Action::Refuse491][..])
        }
        // Our re-INVITE has its answer, in a provisional response: offers may follow.
        (State::Connected, Exchange::Stable) if event == modify::Event::GotUpdate && reliable::is_within(this) => {
            modify::step(this.modify, modify::Event::GotUpdateWithin)
        }
        (State::Connected, _) => modify::step(this.modify, event),
        // RFC 3311 §5.2: in an early dialog too, once the first offer is answered.
        (State::Early | State::Ringing, Exchange::Stable)
            if event == modify::Event::GotUpdate && this.media.local.is_some() =>
        {
            modify::step(this.modify, event)
        }
        // RFC 3261 §14.2, RFC 3311 §5.2: what it asked before has no final response, or no answer.
        (State::Ringing, _) if event == modify::Event::GotInvite => (this.modify, &[Action::Refuse500][..]),
        (State::Early | State::Ringing, Exchange::OfferReceived) if event == modify::Event::GotUpdate => {
            (this.modify, &[Action::Refuse500][..])
        }
        // Our own INVITE, or the ACK for our 2xx, is under way.
        _ => (this.modify, &[Action::Refuse491][..]),
    };
    // RFC 3264 §8: no stream goes away.
    let fits = description.as_ref().is_none_or(|(offer, _)| this.media.is_followed_by(offer));
    let refused = matches!(actions, [Action::Refuse491] | [Action::Refuse500]);
    if !fits && !refused {
        return dum.refuse(transaction, &msg, 488);
    }
    this.modify = next;
    let refusal = match actions {
        [Action::Refuse491] => dum.make_response(&msg, 491, None),
        [Action::Refuse500] => return dum.refuse_for_now(transaction, &msg),
        _ => return offered(dum, call, Request { transaction, msg }, description),
    };
    dum.respond(transaction, refusal);
}

/// It is the application's turn.
fn offered(
    dum: &mut Dum<'_>,
    call: Handle<InviteSession>,
    request: Request,
    description: Option<(bytes::Bytes, Box<Sdp>)>,
) {
    let Request { transaction, msg } = request;
    let invite = msg.method() == Some(Method::Invite);
    if invite {
        dum.core.servers.insert(transaction, Usage::Invite(call));
    }
    let Ok(this) = dum.session(call) else { return };
    let slot = if invite { Slot::Invite } else { Slot::Update };
    *this.slot(slot) = Some(Box::new(Asked::new(transaction, msg.clone(), "".into())));
    let what = match description {
        Some((body, sdp)) => {
            // What was agreed already is only confirmed: it refreshes the session (RFC 4028 §7.4).
            let same = this.media.remote.as_ref() == Some(&body);
            let again = this.media.local.clone().filter(|_| same).and_then(|local| body::confirm(local, &sdp));
            this.media.make(Move::ReceiveOffer, Some(body));
            if let Some(answer) = again {
                if api::provide(dum, call, answer, Exchange::OfferReceived).is_ok() {
                    dum.tell(call, What::Refresh, Some(msg));
                }
                return;
            }
            What::Offer(sdp)
        }
        None => What::OfferRequired,
    };
    {
        // Its client waits for 64·T1; half of that leaves time for the way.
        let (now, at_once) = (dum.now(), dum.core.values.long() / 2);
        let after = if slot == Slot::Update { at_once } else { UNANSWERED };
        if let Ok(this) = dum.core.sessions.get_mut(call) {
            dum.core.timers.set(&mut this.unanswered, fire(call, TimerKind::Unanswered), now, after);
        }
    }
    dum.tell(call, what, Some(msg));
}

/// How long a re-INVITE may wait for the application: proxies wait for three minutes at least (RFC 3261 §16.6).
const UNANSWERED: Duration = Duration::from_secs(180);

/// How long a re-INVITE of ours waits for its next response: a peer that keeps to the same three minutes answers before.
const STALE: Duration = Duration::from_secs(185);

/// A re-INVITE of ours was sent, or a provisional response to it came.
fn wait_for_peer(dum: &mut Dum<'_>, call: Handle<InviteSession>) {
    let now = dum.now();
    if let Ok(this) = dum.core.sessions.get_mut(call)
        && this.modify == modify::State::SentInvite
        && !this.given_up
    {
        dum.core.timers.set(&mut this.unanswered, fire(call, TimerKind::Unanswered), now, STALE);
    }
}

/// Nobody answers our re-INVITE, or it is taken back: CANCEL. Its final response is what becomes of it, or, without one in 64·T1,
/// the end of its transaction (RFC 3261 §9.1).
pub(super) fn give_up(dum: &mut Dum<'_>, call: Handle<InviteSession>) {
    let Ok(this) = dum.session(call) else { return };
    if let Some(sent) = this.sent.filter(|_| !this.given_up) {
        this.given_up = true;
        this.unanswered.clear();
        dum.cancel(sent, None);
    }
}

/// Whether a request is a re-INVITE that was cancelled: it is not sent once more.
pub(crate) fn is_given_up(core: &Core, call: Handle<InviteSession>, transaction: ClientTransaction) -> bool {
    core.sessions.get(call).is_ok_and(|this| this.given_up && this.sent == Some(transaction))
}

/// The application has not answered a change in time. Without a final response to an UPDATE, or a PRACK with an offer, the peer
/// would count the offer as refused, and this side might still take it (RFC 3311 §5.2); and while a re-INVITE waits nobody can
/// change anything.
pub(super) fn unanswered(dum: &mut Dum<'_>, call: Handle<InviteSession>) {
    let (slot, status) = match dum.session(call).map(|this| this.modify) {
        Ok(modify::State::SentInvite) => return give_up(dum, call),
        Ok(modify::State::ReceivedUpdate | modify::State::WithinInvite) => (Slot::Update, 504),
        // RFC 3261 §14.2: the change alone is refused. A 480 may end the peer's whole call (RFC 5057 §5.1).
        Ok(modify::State::ReceivedInvite) => (Slot::Invite, 488),
        _ => return,
    };
    if let Ok(response) = session::make_answer(dum, call, slot, status) {
        withdraw(dum, call, modify::Event::Decline, response);
    }
}

/// The application need not answer a change any more.
pub(super) fn withdraw(dum: &mut Dum<'_>, call: Handle<InviteSession>, event: modify::Event, cause: impl Into<Cause>) {
    let cause = cause.into();
    let cancel = cause.msg.clone();
    if step(dum, call, event, cause) {
        dum.tell(call, What::OfferWithdrawn, cancel);
    }
}

/// One step of a change that is under way; false when it has to wait.
pub(super) fn step(
    dum: &mut Dum<'_>,
    call: Handle<InviteSession>,
    event: modify::Event,
    cause: impl Into<Cause>,
) -> bool {
    let mut cause = cause.into();
    let Ok(this) = dum.session(call) else { return false };
    let slot = if this.modify.owes_update() { Slot::Update } else { Slot::Invite };
    let back = this.modify == modify::State::WithinInvite;
    let (next, actions) = modify::step(this.modify, event);
    this.modify = next;
    for action in actions {
        if *action == Action::Busy {
            return false;
        }
        act(dum, call, *action, slot, &mut cause);
    }
    if back {
        wait_for_peer(dum, call);
    }
    true
}

fn act(dum: &mut Dum<'_>, call: Handle<InviteSession>, action: Action, slot: Slot, cause: &mut Cause) {
    match action {
        Action::SendInvite | Action::SendUpdate => {
            let method = if action == Action::SendInvite { Method::Invite } else { Method::Update };
            reliable::acknowledge_now(dum, call);
            let offer = dum.session(call).ok().and_then(|this| {
                reliable::begin(this);
                this.media.offer.clone()
            });
            if let (Ok(sent), Ok(this)) = (session::send(dum, call, &method, offer), dum.session(call)) {
                this.sent = Some(sent);
            }
            wait_for_peer(dum, call);
        }
        Action::SendPrack => reliable::send_offer(dum, call),
        Action::SendAck => ack::send(dum, call, None),
        Action::SendSuccess => {
            if slot == Slot::Invite {
                let t1 = dum.core.values.t1;
                session::send_repeated(dum, call, cause.out.take(), t1);
                session::forget_request(dum, call);
            } else {
                session::send_final(dum, call, slot, cause.out.take());
            }
        }
        Action::SendFailure => session::send_final(dum, call, slot, cause.out.take()),
        Action::Send487 => {
            let out = session::make_answer(dum, call, slot, 487).ok();
            session::send_final(dum, call, slot, out);
        }
        Action::RollBack => {
            if let Ok(this) = dum.session(call) {
                this.media.make(Move::Refused, None);
            }
        }
        Action::ArmGlare => glare::arm(dum, call),
        Action::StopRepeating => session::stop_repeating(dum, call),
        // These are done where their event comes from.
        Action::TellOffer | Action::TellRefused | Action::Refuse491 | Action::Refuse500 | Action::Busy => {}
    }
}

/// The ACK for a 2xx of ours, the first or that of a re-INVITE.
pub(crate) fn ack(dum: &mut Dum<'_>, call: Handle<InviteSession>, ack: Message) {
    let number = ack.header(h::CSEQ).map_or(0, |cseq| cseq.number);
    heard(dum, call);
    let Ok(this) = dum.session(call) else { return };
    let ours = |repeated: &session::Repeated| repeated.cseq == number && repeated.response.status() == Some(200);
    if !this.repeated.as_deref().is_some_and(ours) {
        return;
    }
    let answer = match (this.media.exchange, body::description(&ack)) {
        (Exchange::OfferSent, Ok(Some((body, sdp)))) => {
            this.media.make(Move::ReceiveAnswer, Some(body)).then_some(Some(sdp))
        }
        (Exchange::OfferSent, _) => None,
        _ => Some(None),
    };
    let ack = Arc::new(ack);
    let modified = this.modify == modify::State::Unacknowledged;
    let Some(answer) = answer else { return session::step(dum, call, Event::AckIllegal, &ack) };
    if modified {
        step(dum, call, modify::Event::Ack, &ack);
    } else {
        session::step(dum, call, Event::Ack, &ack);
    }
    if let Some(sdp) = answer {
        dum.tell(call, What::Answer(sdp), Some(ack));
    }
}

/// A response to a request of ours in the dialog, or none.
pub(crate) fn outcome(
    dum: &mut Dum<'_>,
    call: Handle<InviteSession>,
    transaction: ClientTransaction,
    outcome: Outcome,
) {
    let Ok(this) = dum.session(call) else { return };
    if outcome.is_provisional() {
        if let Some(response) = outcome.response.filter(|_| this.sent == Some(transaction)) {
            wait_for_peer(dum, call);
            reliable::provisional(dum, call, &response);
        }
        return;
    }
    if was_overtaken(dum, call, &outcome) && reliable::overtaken(dum, call, transaction) {
        return;
    }
    let Ok(this) = dum.session(call) else { return };
    let prack = this.reliable.as_mut().is_some_and(|reliable| reliable.forget(transaction));
    if prack && outcome.response.is_none() && outcome.status != 408 {
        return session::step(dum, call, Event::Lost(EndReason::Transport), Cause::default());
    }
    if this.bye == Some(transaction) {
        return match was_overtaken(dum, call, &outcome) {
            true => session::send_bye(dum, call),
            false => session::step(dum, call, Event::ByeDone, Cause::default()),
        };
    }
    if let Some(acked) = this.acked.iter().find(|acked| acked.transaction == transaction) {
        // The 2xx again: its ACK was lost, or waits for the answer that it is to bring.
        if !acked.is_open() || this.state == State::Ending {
            let number = acked.cseq;
            ack::send(dum, call, Some(number));
        }
        return;
    }
    let refresh = this.refresh.take_if(|refresh| *refresh == transaction).is_some();
    if refresh && this.sent != Some(transaction) {
        return session_timer::refreshed(dum, call, &outcome);
    }
    if let Some(at) = this.requests.iter().position(|(sent, _)| *sent == transaction) {
        let (_, method) = this.requests.remove(at);
        return answered(dum, call, method, outcome);
    }
    if this.sent != Some(transaction) {
        return;
    }
    this.sent = None;
    let given_up = std::mem::take(&mut this.given_up);
    match &outcome.response {
        Some(response) if outcome.is_success() => success(dum, call, transaction, response),
        _ => failure(dum, call, outcome, refresh, given_up),
    }
}

/// Whether a request that we have sent later came first, as a NOTIFY of a transfer may: then this one is out of order over
/// there (RFC 3261 §12.2.2), and where it is a BYE the peer still has the call.
fn was_overtaken(dum: &Dum<'_>, call: Handle<InviteSession>, outcome: &Outcome) -> bool {
    let Some(response) = outcome.response.as_ref().filter(|_| outcome.status == 500) else { return false };
    let last = last_cseq(dum, call);
    response.header(h::CSEQ).is_ok_and(|cseq| last.is_some_and(|last| cseq.number < last))
}

/// The CSeq number that was last used in the call's dialog.
fn last_cseq(dum: &Dum<'_>, call: Handle<InviteSession>) -> Option<u32> {
    let dialog = super::dialog_of(dum, call)?;
    dum.core.dialogs.get(dialog).ok()?.dialog.last_cseq()
}

pub(super) fn cause_of(outcome: &Outcome) -> Cause {
    outcome.response.as_ref().map_or_else(Cause::default, Cause::from)
}

/// What an answer, or none, says of the dialog itself (RFC 3261 §12.2.1.2, RFC 5057 §5.1). A request that has overtaken our
/// response to the INVITE, or has come without it, came to one who did not know the dialog yet. And where the callee has no
/// early dialog any more, its final response is on its way: that is what ends the INVITE, or sends it elsewhere.
pub(super) fn loss(dum: &Dum<'_>, call: Handle<InviteSession>, outcome: &Outcome) -> Option<Event> {
    let this = dum.core.sessions.get(call).ok()?;
    let pending = this.call.filter(|_| this.state == State::Early);
    let last = pending.is_some_and(|out| !super::call::has_other(dum, out, call));
    let unknown = |response: &Message| response.header(h::CSEQ).is_ok_and(|cseq| cseq.number <= this.before_heard);
    match (outcome.status, &outcome.response) {
        (408, _) => Some(Event::Silent),
        // What could not be sent is as if it had got 503 (RFC 3261 §8.1.3.1): the next request may find its way.
        (_, None) => None,
        (_, Some(_)) if last => None,
        (481, Some(response)) => Some(Event::Gone).filter(|_| !unknown(response)),
        (_, Some(response)) => match effect::of(response) {
            Effect::Dialog => Some(Event::Lost(EndReason::Gone)),
            // NOTIFY is of no subscription here: the peer just does not let us answer its call.
            Effect::Usage if response.method() != Some(Method::Notify) => Some(Event::Lost(EndReason::Refused)),
            _ => None,
        },
    }
}

/// The dialog is lost, as the answer to a request of another usage says.
pub(crate) fn lost(dum: &mut Dum<'_>, call: Handle<InviteSession>, response: &Arc<Message>) {
    session::step(dum, call, Event::Lost(EndReason::Gone), response);
}

/// INFO, MESSAGE or PRACK was answered, or will never be.
fn answered(dum: &mut Dum<'_>, call: Handle<InviteSession>, method: Method<'static>, outcome: Outcome) {
    let prack = method == Method::Prack;
    // Who does not know that request alone may be silent about it; a PRACK is part of the INVITE, and it must get there.
    let loss = loss(dum, call, &outcome).filter(|event| prack || *event != Event::Silent);
    let cause = cause_of(&outcome);
    if !prack || loss.is_none() && !outcome.is_success() {
        dum.tell(call, What::Answered(method, outcome), None);
    }
    if let Some(event) = loss {
        session::step(dum, call, event, cause);
    }
}

fn success(dum: &mut Dum<'_>, call: Handle<InviteSession>, transaction: ClientTransaction, response: &Arc<Message>) {
    let Ok(this) = dum.core.sessions.get_mut(call) else { return };
    if let Some(dialog) = this.dialog {
        dum.core.dialogs.answered(dialog, response);
    }
    let invite = response.method() == Some(Method::Invite);
    if invite {
        let cseq = response.header(h::CSEQ).map_or(0, |cseq| cseq.number);
        let credentials = dum.core.client_auth.request(transaction).map(super::call::credentials).unwrap_or_default();
        this.owe_ack(Acked { transaction, cseq, answers: false, body: None, credentials });
    }
    let settled = this.modify.is_inviting() && reliable::succeeded(this);
    let (event, told) = match (this.media.exchange, body::description(response)) {
        _ if settled => {
            session_timer::granted(dum, call, response);
            step(dum, call, modify::Event::Success, response);
            return;
        }
        (Exchange::OfferSent, Ok(Some((body, sdp)))) if this.media.make(Move::ReceiveAnswer, Some(body.clone())) => {
            (modify::Event::Success, What::Answer(sdp))
        }
        (Exchange::Stable, Ok(Some((body, sdp))))
            if invite && this.media.make(Move::ReceiveOffer, Some(body.clone())) =>
        {
            this.acked.last_mut().into_iter().for_each(|acked| acked.answers = true);
            (modify::Event::SuccessOffer, What::Offer(sdp))
        }
        _ if invite => {
            step(dum, call, modify::Event::Success, response);
            return session::step(dum, call, Event::AckIllegal, response);
        }
        // An UPDATE without its answer changes nothing; a call that stands ends, when its ACK has come.
        _ => {
            let event = if this.state == State::Accepted { Event::End } else { Event::AckIllegal };
            step(dum, call, modify::Event::Refused, response);
            dum.tell(call, What::OfferRejected(Outcome::of(response.clone())), None);
            return session::step(dum, call, event, response);
        }
    };
    this.glares = 0;
    // PRACK has no say in it.
    if this.is_answered() && response.method() != Some(Method::Prack) {
        session_timer::granted(dum, call, response);
    }
    step(dum, call, event, response);
    dum.tell(call, told, Some(response.clone()));
}

/// A change of ours, or a re-INVITE that was to refresh the session, is refused, or nobody answers it.
fn failure(dum: &mut Dum<'_>, call: Handle<InviteSession>, outcome: Outcome, refresh: bool, given_up: bool) {
    if let (422, Some(response)) = (outcome.status, &outcome.response)
        && !given_up
        && session_timer::raise(dum, call, response)
    {
        step(dum, call, modify::Event::TooBrief, response);
        if let Some(this) = dum.session(call).ok().filter(|_| refresh) {
            this.refresh = this.sent;
        }
        return;
    }
    let Ok(this) = dum.session(call) else { return };
    // What its provisional responses have settled is not offered again.
    let settled = reliable::is_within(this);
    let put_off = outcome.status == 491 && !settled && !refresh && !given_up && glare::put_off(this, &outcome);
    let event = if put_off { modify::Event::Pending } else { modify::Event::Refused };
    if this.modify.is_inviting() {
        reliable::refused(this);
    }
    step(dum, call, event, cause_of(&outcome));
    // Silence about what we gave up ends the change alone: the peer may well be there, and its user undecided.
    match loss(dum, call, &outcome).filter(|event| !given_up || *event != Event::Silent) {
        Some(event) => session::step(dum, call, event, cause_of(&outcome)),
        // The application has offered nothing, and its timer tries again.
        None if put_off || refresh => {}
        None => {
            if let Ok(this) = dum.session(call) {
                this.glares = 0;
            }
            dum.tell(call, What::OfferRejected(outcome), None);
        }
    }
}

/// A transaction of its own is over: its 2xx is not repeated any more.
pub(crate) fn transaction_ended(dum: &mut Dum<'_>, call: Handle<InviteSession>, transaction: ClientTransaction) {
    if let Ok(this) = dum.session(call) {
        this.forget_acks(|over| over == transaction);
    }
}

/// Whether the application may change the session now.
pub(super) fn is_idle(this: &InviteSession) -> bool {
    let early = matches!(this.state, State::Early | State::Ringing) && this.media.local.is_some();
    // RFC 3311 §5.1: not before the PRACK that may bring an offer.
    let waits = this.reliable.as_ref().is_some_and(|reliable| reliable.is_waiting());
    let open = (this.state == State::Connected || early) && !waits;
    open && this.modify == modify::State::Idle && this.media.exchange == Exchange::Stable
}
