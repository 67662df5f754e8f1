//! An INVITE that we sent, with all its forks.

use super::ack::Acked;
use super::api::alive;
use super::body::{description, refusal};
use super::callback::What;
use super::glare;
use super::machine::{Event, State};
use super::modify;
use super::offer_answer::{Exchange, Move, OfferAnswer};
use super::redirect::{self, Redirect};
use super::reliable::{self, Received};
use super::session::{self, Cause, Credentials, InviteSession, SDP, step, updates};
use super::{ClientInviteSession, SessionError, session_timer};
use crate::auth::client as auth;
use crate::core::Core;
use crate::dialog::Dialog;
use crate::dialogs::{DialogEntry, DialogSet, MAX_FORKS};
use crate::dum::Dum;
use crate::handle::{Handle, NoRoom, NotSent};
use crate::outcome::Outcome;
use crate::profile::{Reliability, UserProfile};
use crate::timers::Alarm;
use crate::usage::Usage;
use bytes::Bytes;
use rutil::Time;
use smallvec::SmallVec;
use stack::contents::sdp::Sdp;
use stack::header::{Method, NameAddr, h, p};
use stack::message::Message;
use stack::tu::{ClientTransaction, SendOptions};
use std::sync::Arc;

/// An INVITE until its transaction ends: Timer M after a 2xx, at once after another final response.
pub(crate) struct Call {
    pub(super) transaction: ClientTransaction,
    pub(super) set: Handle<DialogSet>,
    cseq: u32,
    /// What dialogs are made from; not needed once there is a 2xx.
    pub(super) request: Option<Box<Message>>,
    credentials: Credentials,
    /// Whether it has an offer: else each 2xx brings one.
    offers: bool,
    /// When it is worth nothing any more, if it says so.
    pub(super) until: Option<Time>,
    /// One for each fork that answered; the first is there from the beginning.
    pub(super) sessions: SmallVec<[Handle<InviteSession>; 1]>,
    /// Where 3xx responses have sent it.
    pub(super) redirect: Option<Box<Redirect>>,
    /// How often it was sent once more for a 422.
    repairs: u8,
    /// How often in a row it was sent once more for a challenge.
    answers: u8,
    /// Forks whose 2xx came too late, by their tags: each gets one BYE.
    late: SmallVec<[Box<str>; 0]>,
    /// The highest CSeq number in the dialogs of forks that have ended: a BYE for a 2xx that comes too late is behind it.
    last: u32,
    /// Forks that have ended while others may still be answered, by their tags.
    over: SmallVec<[Box<str>; 0]>,
    /// It is cancelled, and goes on if it is answered all the same.
    pub(super) cancelled: bool,
}

impl Call {
    /// A session of it is gone, with its dialog.
    pub(super) fn forget(&mut self, session: Handle<InviteSession>, dialog: Option<&Dialog>) {
        self.sessions.retain(|known| *known != session);
        self.last = self.last.max(dialog.and_then(Dialog::last_cseq).unwrap_or(0));
        let tag = dialog.map(|dialog| &*dialog.id().remote_tag);
        if self.request.is_some() && self.over.len() < MAX_FORKS {
            self.over.extend(tag.map(Into::into));
        }
    }

    /// The fork that a response is of has ended: its BYE is on its way, and its dialog is there until that is answered.
    fn is_ending(&mut self, response: &Message) {
        let to = response.header(h::TO).ok().filter(|_| !self.is_over(response) && self.over.len() < MAX_FORKS);
        let tag: Option<Box<str>> = to.as_ref().and_then(|to| to.param(p::TAG)).map(Into::into);
        self.late.extend(tag.clone());
        self.over.extend(tag);
    }

    /// What its end is to its sessions.
    fn end_by(&self, event: Event) -> Event {
        if self.cancelled { Event::Cancelled } else { event }
    }

    /// Whether a response is of a fork that has ended.
    fn is_over(&self, response: &Message) -> bool {
        let to = response.header(h::TO);
        to.is_ok_and(|to| to.param(p::TAG).is_some_and(|tag| self.over.iter().any(|over| **over == *tag)))
    }
}

impl Handle<ClientInviteSession> {
    /// Gives up the INVITE with CANCEL, unless it is answered all the same (RFC 3261 §9.1): a 2xx that crosses the CANCEL
    /// connects the call, which is told as ever
    /// ([`on_connected`](super::InviteSessionHandler::on_connected)), where [`Session::end`](super::Session::end) would have
    /// it acknowledged and ended with BYE. Else the call ends with the INVITE, whatever refuses it
    /// ([`LocalCancel`](super::EndReason::LocalCancel)). The CANCEL is for all forks of the INVITE, and waits for a
    /// provisional response where none has come. To cancel once more does nothing; to end the call after it is definite.
    ///
    /// Who has asked for somebody in vain, and sends another there instead, finds so that he has him on the line (RFC 5589
    /// §7.6, figure 13).
    ///
    /// # Errors
    /// [`SessionError::NotNow`]: it is answered, or no call of ours. [`UsageEnded`](crate::UsageEnded) in
    /// [`SessionError::Ended`].
    pub fn cancel(self, dum: &mut Dum<'_>) -> Result<(), SessionError> {
        let this = alive(dum, self.cast())?;
        match (this.state, this.call) {
            (State::Cancelling(_), _) => {}
            (State::Calling | State::Early, Some(call)) => {
                let this = dum.core.calls.get_mut(call)?;
                let transaction = this.transaction;
                if !std::mem::replace(&mut this.cancelled, true) {
                    dum.cancel(transaction, None);
                }
            }
            _ => return Err(SessionError::NotNow),
        }
        Ok(())
    }

    /// Has this fork end together with the other early dialogs of its INVITE: [`Session::end`](super::Session::end) of one of
    /// them before the call is answered gives up the INVITE with CANCEL, where it would end that one alone with BYE (RFC 3261
    /// §15).
    ///
    /// # Errors
    /// [`SessionError::NotNow`]: it is no call of ours. [`UsageEnded`](crate::UsageEnded) in [`SessionError::Ended`].
    pub fn end_together(self, dum: &mut Dum<'_>) -> Result<(), SessionError> {
        let this = dum.session(self.cast())?;
        if !this.caller {
            return Err(SessionError::NotNow);
        }
        this.bound = true;
        Ok(())
    }
}

impl Dum<'_> {
    /// An INVITE with an offer, or without one: then the 2xx brings it.
    pub fn make_invite(&mut self, profile: &UserProfile, target: &NameAddr<'_>, offer: Option<&Sdp>) -> Message {
        let mut msg = self.make_request(profile, &Method::Invite, target);
        if let Some(offer) = offer {
            msg.set_body(Some(SDP), offer.print());
        }
        session_timer::ask_first(self, profile, &mut msg);
        if profile.reliability() == Reliability::Required {
            msg.push_back(h::REQUIRES, "100rel");
        }
        msg
    }

    /// Makes a call: sends an INVITE that [`Dum::make_invite`] made. What comes of it is told to
    /// [`super::InviteSessionHandler`].
    ///
    /// # Errors
    /// [`NotSent`]: there is no room, or the message is no INVITE out of a dialog, or was sent before.
    pub fn send_invite(
        &mut self,
        profile: &Arc<UserProfile>,
        msg: Message,
    ) -> Result<Handle<ClientInviteSession>, NotSent> {
        const UNFIT: NotSent = NotSent::Unfit("an INVITE out of a dialog is expected, as Dum::make_invite makes it");
        if !self.is_request_of(&msg, &Method::Invite) || msg.has_to_tag() {
            return Err(UNFIT);
        }
        let call_id = msg.header(h::CALL_ID).map_err(|_| UNFIT)?.as_str().to_owned();
        let tag = msg.header(h::FROM).map_err(|_| UNFIT)?.param(p::TAG).ok_or(UNFIT)?.to_owned();
        let cseq = msg.header(h::CSEQ).map_err(|_| UNFIT)?.number;
        if self.core.dialogs.is_known(&msg) {
            return Err(NotSent::Unfit("this INVITE was sent before: each call has a Call-ID of its own"));
        }
        if self.core.calls.is_full() || self.core.sessions.is_full() {
            return Err(NoRoom.into());
        }
        let set = self.core.dialogs.open(&call_id, &tag, profile.clone(), None)?;
        let media = OfferAnswer::of_invite(Bytes::copy_from_slice(msg.body()));
        let session = self.core.sessions.insert(InviteSession::new(State::Calling, profile.clone(), media))?;
        let (now, options) = (self.now(), self.options_by(Some(profile), SendOptions::default()));
        let transaction = self.transmit(msg.clone(), options);
        let call = self.core.calls.insert(Call {
            transaction,
            set,
            cseq,
            credentials: credentials(&msg),
            offers: !msg.body().is_empty(),
            until: session_timer::lifetime(&msg).map(|lifetime| now + lifetime),
            request: Some(Box::new(msg)),
            sessions: SmallVec::from_iter([session]),
            redirect: None,
            repairs: 0,
            answers: 0,
            late: SmallVec::new(),
            last: 0,
            over: SmallVec::new(),
            cancelled: false,
        })?;
        self.core.clients.insert(transaction, Usage::Call(call));
        if let Ok(set) = self.core.dialogs.set_mut(set) {
            set.creator = Some(Usage::Call(call));
        }
        if let Ok(this) = self.session(session) {
            this.call = Some(call);
        }
        session_timer::wait_for_answer(self, session);
        Ok(session.cast())
    }
}

/// The credentials of a request, as they are to stand in its ACK.
pub(super) fn credentials(msg: &Message) -> Credentials {
    let of = |name: &'static str| {
        msg.raw_values(name).map(move |value| (name, String::from_utf8_lossy(value).into_owned())).collect::<Vec<_>>()
    };
    [of("Authorization"), of("Proxy-Authorization")].concat()
}

/// The profile by which it is made.
pub(crate) fn profile(core: &Core, call: Handle<Call>) -> Option<Arc<UserProfile>> {
    let set = core.calls.get(call).ok()?.set;
    core.dialogs.set(set).ok().map(|set| set.profile.clone())
}

/// A 401 or 407: whether the INVITE is sent once more with an answer. None, if it is not the INVITE that was refused.
pub(crate) fn challenged(
    dum: &mut Dum<'_>,
    call: Handle<Call>,
    transaction: ClientTransaction,
    response: &Message,
) -> Option<bool> {
    let this = dum.core.calls.get(call).ok().filter(|this| this.transaction == transaction)?;
    let (Some(request), answers) = (&this.request, this.answers) else { return Some(false) };
    let request = request.clone();
    let profile = profile(dum.core, call)?;
    // Who has hung up does not call once more.
    if !is_wanted(dum, call) || !auth::learn(dum, &profile, &request, response, answers) {
        return Some(false);
    }
    resend(dum, call, Event::Refused, |_| {});
    dum.core.calls.get_mut(call).ok()?.answers = answers + 1;
    Some(true)
}

/// A response to the INVITE, or none.
pub(crate) fn outcome(dum: &mut Dum<'_>, call: Handle<Call>, transaction: ClientTransaction, outcome: Outcome) {
    let Ok(this) = dum.core.calls.get_mut(call) else { return };
    // The BYE for a late fork is answered too.
    if this.transaction != transaction {
        return;
    }
    match (&outcome.response, outcome.status) {
        (Some(response), 101..200) => provisional(dum, call, response),
        (_, ..200) => {}
        (Some(response), 200..300) => success(dum, call, response),
        (Some(response), 422) if is_wanted(dum, call) && repair(dum, call, response) => {}
        // §21.6: nobody else will take it either.
        (response, 300..600) if redirect::offer(dum, call, response.as_ref()) => {}
        (response, status) => {
            let event = match (response, status) {
                (Some(_), 300..400) => Event::Redirected,
                (Some(_), _) => Event::Refused,
                (None, 408) => Event::TimedOut,
                (None, _) => Event::Unreachable,
            };
            failure(dum, call, event, response.as_ref());
        }
    }
}

/// A 422: whether the INVITE is sent once more, for a session as long as that server wants it (RFC 4028 §7.3). Others on the
/// way may want more.
fn repair(dum: &mut Dum<'_>, call: Handle<Call>, response: &Message) -> bool {
    let Ok(this) = dum.core.calls.get_mut(call) else { return false };
    let Some(request) = &this.request else { return false };
    let least = session_timer::least_of(response);
    let asked = request.header(h::SESSION_EXPIRES).map_or(0, |value| value.seconds);
    if least <= asked || this.repairs == session_timer::MAX_REPAIRS {
        return false;
    }
    this.repairs += 1;
    if let Some(Ok(first)) = going_on(dum, call).map(|first| dum.session(first)) {
        first.least = least;
    }
    resend(dum, call, Event::Refused, |msg| {
        session_timer::lengthen(msg, least);
    });
    true
}

/// Whether another fork than this one may still take it.
pub(super) fn has_other(dum: &Dum<'_>, call: Handle<Call>, fork: Handle<InviteSession>) -> bool {
    let Ok(this) = dum.core.calls.get(call) else { return false };
    let mut others = this.sessions.iter().filter(|other| **other != fork);
    others.any(|other| {
        dum.core.sessions.get(*other).is_ok_and(|other| !matches!(other.state, State::Ending | State::Terminated))
    })
}

/// The other early dialogs of the INVITE that this call began with.
fn others(dum: &Dum<'_>, call: Handle<Call>, fork: Handle<InviteSession>) -> SmallVec<[Handle<InviteSession>; 1]> {
    let is_early = |other: &Handle<InviteSession>| {
        dum.core.sessions.get(*other).is_ok_and(|other| matches!(other.state, State::Calling | State::Early))
    };
    let all = dum.core.calls.get(call).ok().map(|this| this.sessions.iter().copied()).into_iter().flatten();
    all.filter(|other| *other != fork && is_early(other)).collect()
}

/// Whether an early dialog and all others of its INVITE end together.
pub(super) fn are_bound(dum: &Dum<'_>, call: Handle<Call>, fork: Handle<InviteSession>) -> bool {
    let is_bound = |fork| dum.core.sessions.get(fork).is_ok_and(|fork| fork.bound);
    is_bound(fork) || others(dum, call, fork).into_iter().all(is_bound)
}

/// The others, where they are bound and this is an early dialog of the same INVITE.
pub(super) fn bound_to(dum: &Dum<'_>, fork: Handle<InviteSession>) -> SmallVec<[Handle<InviteSession>; 1]> {
    match dum.core.sessions.get(fork) {
        Ok(InviteSession { state: State::Early, call: Some(call), .. }) => others(dum, *call, fork),
        _ => SmallVec::new(),
    }
}

/// Whether it may be sent once more: it is not answered, and the application has not given it up, at most some of its early
/// dialogs.
pub(super) fn is_wanted(dum: &Dum<'_>, call: Handle<Call>) -> bool {
    going_on(dum, call).is_some()
}

/// Which of its sessions goes on in the next attempt, if there may be one.
pub(super) fn going_on(dum: &Dum<'_>, call: Handle<Call>) -> Option<Handle<InviteSession>> {
    let this = dum.core.calls.get(call).ok().filter(|this| this.request.is_some() && !this.cancelled)?;
    let mut all = this.sessions.iter().filter_map(|session| Some((*session, dum.core.sessions.get(*session).ok()?)));
    // Those that have ended wait for the answer to their BYE.
    let (session, first) = all.find(|(_, this)| !matches!(this.state, State::Ending | State::Terminated))?;
    matches!(first.state, State::Calling | State::Early).then_some(session)
}

/// Sends the INVITE once more with a change, as another attempt at the same call: the next CSeq, the same Call-ID and tag
/// (RFC 3261 §8.1.3.5). Early dialogs of the attempt before are over, by this event.
pub(super) fn resend(dum: &mut Dum<'_>, call: Handle<Call>, over: Event, change: impl FnOnce(&mut Message)) {
    let Ok(this) = dum.core.calls.get(call) else { return };
    let body = this.request.as_ref().map(|request| Bytes::copy_from_slice(request.body()));
    let (Some(body), Some(first)) = (body, going_on(dum, call)) else { return };
    let Ok(this) = dum.core.calls.get_mut(call) else { return };
    this.sessions.retain(|session| *session != first);
    let others = std::mem::replace(&mut this.sessions, SmallVec::from_iter([first]));
    this.sessions.extend_from_slice(&others);
    others.iter().for_each(|other| step(dum, *other, over, Cause::default()));
    // What was under way in its early dialog is nothing to the next attempt.
    session::answer_what_is_left(dum, first);
    glare::overtaken(dum, first);
    let Ok(this) = dum.session(first) else { return };
    // The application may be at it still: an UPDATE, or the offer of a reliable provisional response.
    let withdrawn = this.media.exchange == Exchange::OfferReceived;
    let dropped = this.modify == modify::State::SentUpdate;
    this.state = State::Calling;
    this.media = OfferAnswer::of_invite(body);
    this.modify = modify::State::Idle;
    (this.preview, this.reliable, this.sent) = (None, None, None);
    this.requests.clear();
    (this.peer_updates, this.moved) = (false, false);
    [&mut this.glare, &mut this.unanswered].into_iter().for_each(Alarm::clear);
    if let Some(dialog) = this.dialog.take() {
        dum.core.dialogs.leave(dialog, Usage::Invite(first));
    }
    if withdrawn {
        dum.tell(first, What::OfferWithdrawn, None);
    }
    if dropped {
        dum.tell(first, What::OfferRejected(Outcome { status: 487, response: None, failure: None }), None);
    }
    session_timer::wait_for_answer(dum, first);
    let Ok(this) = dum.core.calls.get_mut(call) else { return };
    this.over.clear();
    let Some(mut request) = this.request.clone() else { return };
    this.cseq += 1;
    request.set(h::CSEQ, &format_args!("{} INVITE", this.cseq));
    change(&mut request);
    let profile = profile(dum.core, call);
    if let Some(profile) = &profile {
        auth::authorize(dum, profile, &mut request);
    }
    let transaction = dum.transmit(request.clone(), dum.options_by(profile.as_deref(), SendOptions::default()));
    if let Ok(this) = dum.core.calls.get_mut(call) {
        (this.transaction, this.credentials, this.answers) = (transaction, credentials(&request), 0);
        this.request = Some(request);
    }
    dum.core.clients.insert(transaction, Usage::Call(call));
}

/// A transaction of it is over; an attempt before the last one means nothing.
pub(crate) fn transaction_ended(dum: &mut Dum<'_>, call: Handle<Call>, transaction: ClientTransaction) {
    let Ok(this) = dum.core.calls.get_mut(call) else { return };
    if this.transaction != transaction {
        return;
    }
    // Nobody was answered but who had ended before.
    let (left, event) = (this.request.take().map(|_| this.sessions.clone()), this.end_by(Event::Overtaken));
    for session in left.into_iter().flatten() {
        step(dum, session, event, Cause::default());
    }
    ended(dum, call);
}

/// Its transaction is over: no 2xx comes any more, none is repeated.
fn ended(dum: &mut Dum<'_>, call: Handle<Call>) {
    let Ok(this) = dum.core.calls.remove(call) else { return };
    for session in &this.sessions {
        if let Ok(session) = dum.session(*session) {
            session.call = None;
            session.forget_acks(|over| over == this.transaction);
        }
    }
    dum.core.dialogs.close(this.set);
}

pub(super) fn failure(dum: &mut Dum<'_>, call: Handle<Call>, event: Event, response: Option<&Arc<Message>>) {
    let Ok(this) = dum.core.calls.get_mut(call) else { return };
    this.request = None;
    let event = this.end_by(event);
    for session in this.sessions.clone() {
        step(dum, session, event, response.map_or_else(Cause::default, Cause::from));
    }
    ended(dum, call);
}

fn provisional(dum: &mut Dum<'_>, call: Handle<Call>, response: &Arc<Message>) {
    if response.header(h::TO).map_or(true, |to| to.param(p::TAG).is_none()) {
        return;
    }
    let Some(session) = fork_of(dum, call, response) else { return };
    let Ok(this) = dum.session(session) else { return };
    if matches!(this.state, State::Cancelling(_)) {
        return;
    }
    session_timer::wait_for_answer(dum, session);
    let Ok(this) = dum.session(session) else { return };
    match reliable::received(this, response) {
        Received::Stale => return,
        Received::Next(rseq) => {
            step(dum, session, Event::Provisional, response);
            return reliable::acknowledge(dum, session, rseq, response);
        }
        Received::Unreliable => {}
    }
    let early = matches!(dum.session(session), Ok(s) if matches!(s.state, State::Calling | State::Early));
    step(dum, session, Event::Provisional, response);
    if let (true, Ok(Some((body, sdp)))) = (early, description(response)) {
        let Ok(this) = dum.session(session) else { return };
        let open = this.media.exchange == Exchange::OfferSent && this.media.local.is_none();
        if open && this.media.is_answered_by(&body) && this.preview.as_ref() != Some(&body) {
            this.preview = Some(body);
            dum.tell(session, What::EarlyMedia(sdp), Some(response.clone()));
        }
    }
}

fn success(dum: &mut Dum<'_>, call: Handle<Call>, response: &Arc<Message>) {
    let Ok(this) = dum.core.calls.get(call) else { return };
    let first = this.request.is_some();
    let known = dum.core.dialogs.of_response(response);
    let fits = match (&this.request, known.map(|entry| dum.core.dialogs.get_mut(entry))) {
        (Some(_), Some(Ok(entry))) => entry.dialog.receive_response(response).is_ok(),
        (Some(request), _) => Dialog::uac(request, response).is_ok(),
        (None, _) => true,
    };
    let session = if first { fork_of(dum, call, response) } else { known.and_then(|entry| invite_of(dum, entry)) };
    let Some(session) = session else { return late(dum, call, response) };
    if !first {
        return step(dum, session, Event::Success, response);
    }
    let ended = matches!(dum.session(session), Ok(session) if session.state == State::Ending);
    let Ok(this) = dum.core.calls.get_mut(call) else { return };
    if ended {
        // It has crossed our BYE to this fork, and another one may be answered yet.
        this.is_ending(response);
        return late(dum, call, response);
    }
    this.request = None;
    let (transaction, credentials, others) = (this.transaction, this.credentials.clone(), this.sessions.clone());
    let cseq = response.header(h::CSEQ).map_or(1, |cseq| cseq.number);
    accepted(dum, session, response, fits, Acked { transaction, cseq, answers: false, body: None, credentials });
    for other in others.into_iter().filter(|other| *other != session) {
        step(dum, other, Event::Overtaken, Cause::default());
    }
}

/// The first 2xx of a call: what its body is, and what follows. One that makes no dialog (`fits` is false) is acknowledged, and
/// the call ended.
fn accepted(dum: &mut Dum<'_>, call: Handle<InviteSession>, response: &Arc<Message>, fits: bool, acked: Acked) {
    let body = description(response);
    let Ok(session) = dum.session(call) else { return };
    session.owe_ack(acked);
    let preview = session.preview.take();
    session.peer_updates = updates(response);
    let (event, told) = match (session.media.exchange, body) {
        // A reliable provisional response has brought what the 2xx need not say; another exchange may be under way.
        _ if session.media.local.is_some() => (Event::Success, None),
        (Exchange::OfferSent, Ok(Some((body, sdp)))) if session.media.make(Move::ReceiveAnswer, Some(body.clone())) => {
            (Event::Success, Some(What::Answer(sdp)))
        }
        // Some peers send the answer in a provisional response only.
        (Exchange::OfferSent, Ok(None)) if preview.is_some() => {
            let answer = preview.as_ref().and_then(|body| Sdp::parse(body).ok());
            session.media.make(Move::ReceiveAnswer, preview);
            (Event::Success, answer.map(|sdp| What::Answer(Box::new(sdp))))
        }
        (Exchange::Stable, Ok(Some((body, sdp)))) => {
            session.media.make(Move::ReceiveOffer, Some(body));
            session.acked.last_mut().into_iter().for_each(|acked| acked.answers = true);
            (Event::SuccessOffer, Some(What::Offer(sdp)))
        }
        _ => (Event::SuccessIllegal, None),
    };
    session_timer::granted(dum, call, response);
    step(dum, call, if fits { event } else { Event::SuccessMalformed }, response);
    if let Some(told) = told.filter(|_| matches!(dum.session(call), Ok(s) if s.state != State::Ending)) {
        dum.tell(call, told, Some(response.clone()));
    }
}

/// The call that a response belongs to. A fork that is new gets one of its own, unless the INVITE was given up.
fn fork_of(dum: &mut Dum<'_>, call: Handle<Call>, response: &Arc<Message>) -> Option<Handle<InviteSession>> {
    if let Some(entry) = dum.core.dialogs.of_response(response) {
        return invite_of(dum, entry);
    }
    let this = dum.core.calls.get(call).ok().filter(|this| !this.is_over(response))?;
    let (set, first, forks) = (this.set, *this.sessions.first()?, this.sessions.len());
    let request = this.request.as_ref()?;
    let success = response.status().is_some_and(|status| status >= 200);
    let dialog = Dialog::uac(request, response);
    let dialog = if success { dialog.or_else(|_| Dialog::uac_regardless(request, response)) } else { dialog }.ok()?;
    // What others have answered is nothing to this one.
    let media = OfferAnswer::of_invite(Bytes::copy_from_slice(request.body()));
    let original = dum.session(first).ok()?;
    if original.dialog.is_none() {
        let entry = dum.core.dialogs.add(set, dialog, Usage::Invite(first)).ok()?;
        dum.session(first).ok()?.dialog = Some(entry);
        return Some(first);
    }
    if matches!(original.state, State::Cancelling(_)) || forks == MAX_FORKS {
        return None;
    }
    let mut session = InviteSession::new(State::Calling, original.profile.clone(), media);
    // Whoever sent us hears of all of them.
    (session.call, session.refer, session.least) = (Some(call), original.refer, original.least);
    let session = dum.core.sessions.insert(session).ok()?;
    let Ok(entry) = dum.core.dialogs.add(set, dialog, Usage::Invite(session)) else {
        let _ = dum.core.sessions.remove(session);
        return None;
    };
    dum.session(session).ok()?.dialog = Some(entry);
    dum.core.calls.get_mut(call).ok()?.sessions.push(session);
    dum.tell(session, What::Fork(first), Some(response.clone()));
    Some(session)
}

fn invite_of(dum: &Dum<'_>, entry: Handle<DialogEntry>) -> Option<Handle<InviteSession>> {
    let usages = &dum.core.dialogs.get(entry).ok()?.usages;
    usages.iter().find_map(|usage| if let Usage::Invite(call) = usage { Some(*call) } else { None })
}

/// A 2xx of a fork that nobody waits for: it is acknowledged and ended (RFC 3261 §13.2.2.4).
fn late(dum: &mut Dum<'_>, call: Handle<Call>, response: &Message) {
    let Ok(this) = dum.core.calls.get_mut(call) else { return };
    // If it is the first the INVITE is over with it, and nobody can be answered any more; unless it has crossed our BYE, and
    // another fork may be answered yet.
    let over = if this.is_over(response) { None } else { this.request.take() }.map(|_| this.sessions.clone());
    let event = this.end_by(Event::Overtaken);
    if let Ok(mut dialog) = Dialog::of_success(response) {
        let mut ack = dialog.make_ack_of(response.header(h::CSEQ).map_or(1, |cseq| cseq.number));
        this.credentials.iter().for_each(|(name, value)| ack.append_line(name, value));
        if let (false, Ok(Some((offer, _)))) = (this.offers, description(response))
            && let Some(answer) = refusal(dum, &offer, None)
        {
            ack.set_body(Some(SDP), answer);
        }
        dum.acknowledge(ack);
        let Ok(this) = dum.core.calls.get_mut(call) else { return };
        let tag = &dialog.id().remote_tag;
        if this.late.len() < MAX_FORKS && !this.late.iter().any(|known| **known == **tag) {
            this.late.push(tag.as_str().into());
            dialog.begin_behind(this.last);
            let bye = dialog.make_request(&Method::Bye);
            dum.send(Usage::Call(call), bye, SendOptions::default());
        }
    }
    for session in over.into_iter().flatten() {
        step(dum, session, event, Cause::default());
    }
}
