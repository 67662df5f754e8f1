//! The state of one call, and what its machines ask for.

use super::ack::{self, Acked};
use super::call::{self, Call};
use super::callback::{Callback, What};
use super::glare::{self, PutOff};
use super::machine::{self, Action, EndReason, Event, State};
use super::modify;
use super::offer_answer::OfferAnswer;
use super::reliable::{self, Reliable};
use super::session_timer::{self, SessionTimer};
use crate::core::Core;
use crate::dialogs::DialogEntry;
use crate::dum::Dum;
use crate::handle::{Handle, UsageEnded};
use crate::profile::UserProfile;
use crate::refer::ServerRefer;
use crate::timers::{Alarm, Fire, TimerKind};
use crate::usage::Usage;
use bytes::Bytes;
use smallvec::SmallVec;
use stack::header::{Method, NameAddr, h};
use stack::message::Message;
use stack::tu::{ClientTransaction, SendOptions, ServerTransaction};
use stack::uri::Uri;
use std::sync::Arc;
use std::time::Duration;

/// A provisional response is repeated so often, or proxies would give up (RFC 3261 §13.3.1.1).
const REPEAT_1XX: Duration = Duration::from_secs(60);

/// A call of either side.
pub struct InviteSession {
    pub(super) state: State,
    pub(super) modify: modify::State,
    pub(super) media: OfferAnswer,
    /// The description of a provisional response that was not reliable.
    pub(super) preview: Option<Bytes>,
    /// Whose Call-ID it is (RFC 3261 §14.1).
    pub(super) caller: bool,
    pub(super) profile: Arc<UserProfile>,
    pub(crate) dialog: Option<Handle<DialogEntry>>,
    /// The INVITE that we sent, as long as its transaction.
    pub(super) call: Option<Handle<Call>>,
    /// The INVITE that we are to answer, the first or a later one.
    pub(super) asked: Option<Box<Asked>>,
    /// The UPDATE, or PRACK, that we are to answer: one may come while the first INVITE waits.
    pub(super) update: Option<Box<Asked>>,
    /// The 2xx to INVITE that we sent, or the last provisional response: what is repeated.
    pub(super) repeated: Option<Box<Repeated>>,
    /// The 2xx responses that we have acknowledged, or are to; the last one is at the end.
    pub(super) acked: Box<[Acked]>,
    /// Our re-INVITE or UPDATE, or our PRACK with an offer.
    pub(super) sent: Option<ClientTransaction>,
    /// It is a re-INVITE that nobody answers, and is cancelled.
    pub(super) given_up: bool,
    pub(super) bye: Option<ClientTransaction>,
    /// What the application adds to the message that ends it.
    pub(super) ending: Option<Box<Ending>>,
    /// INFO, MESSAGE and PRACK that are not answered; the PRACK that offers something is in `sent`.
    pub(super) requests: SmallVec<[(ClientTransaction, Method<'static>); 0]>,
    /// Who is told how the call goes.
    pub(super) refer: Option<Handle<ServerRefer>>,
    /// The call that ends when this one is accepted (RFC 3891).
    pub(super) replaces: Option<Handle<InviteSession>>,
    /// RFC 3262, when it is used.
    pub(super) reliable: Option<Box<Reliable>>,
    /// RFC 4028, when it is used, and the refresh that is under way: a re-INVITE is in `sent` too.
    pub(super) timer: Option<SessionTimer>,
    pub(super) refresh: Option<ClientTransaction>,
    /// The dialog's Contact is the application's.
    pub(super) moved: bool,
    /// It is a fork that the application does not look after: it ends with the others.
    pub(super) bound: bool,
    /// The last CSeq number of ours before the caller was heard in the dialog: until then it may not have had that.
    pub(super) before_heard: u32,
    /// Whether the peer's Allow has UPDATE.
    pub(super) peer_updates: bool,
    /// The least that servers on the way let a session last (RFC 4028 §7.4), and how often in a row they said so.
    pub(super) least: u32,
    pub(super) repairs: u8,
    /// What a glare has put off, and how often in a row.
    pub(super) again: Option<Box<PutOff>>,
    pub(super) glares: u8,
    pub(super) repeat: Alarm,
    pub(super) glare: Alarm,
    pub(super) expiry: Alarm,
    /// The application has not answered the offer of a change, or nobody our re-INVITE.
    pub(super) unanswered: Alarm,
}

/// A request that waits for our final response.
pub(super) struct Asked {
    pub(super) transaction: ServerTransaction,
    pub(super) msg: Arc<Message>,
    /// The To tag of its responses.
    pub(super) tag: Box<str>,
    /// What the 2xx is to bring.
    pub(super) staged: Option<Bytes>,
    /// A provisional response has brought it already.
    pub(super) told: bool,
    /// What else it is to say, if it waits for a PRACK.
    pub(super) edit: Option<Edit>,
}

impl Asked {
    pub(super) fn new(transaction: ServerTransaction, msg: Arc<Message>, tag: Box<str>) -> Self {
        Asked { transaction, msg, tag, staged: None, told: false, edit: None }
    }
}

/// What the application adds to a response that may leave later.
pub(super) type Edit = Box<dyn FnOnce(&mut Message) + Send>;

/// What the application adds to what ends a call: a CANCEL, and where a 2xx crosses that a BYE too.
pub(super) type Ending = Box<dyn Fn(&mut Message) + Send>;

/// A response that is sent again.
pub(super) struct Repeated {
    pub(super) transaction: ServerTransaction,
    pub(super) response: Message,
    pub(super) cseq: u32,
    pub(super) interval: Duration,
    /// How long it has been repeated.
    pub(super) waited: Duration,
}

/// The credentials of an INVITE; its ACK carries them too (RFC 3261 §22.1).
pub(super) type Credentials = Vec<(&'static str, String)>;

/// Which of two requests an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Invite,
    Update,
}

impl InviteSession {
    /// The profile by which it sends.
    pub(crate) fn profile(&self) -> &Arc<UserProfile> {
        &self.profile
    }

    pub(super) fn slot(&mut self, slot: Slot) -> &mut Option<Box<Asked>> {
        match slot {
            Slot::Invite => &mut self.asked,
            Slot::Update => &mut self.update,
        }
    }

    /// Whether it was answered: before that no session lasts that could be refreshed (RFC 4028 §4).
    pub(super) fn is_answered(&self) -> bool {
        !matches!(self.state, State::Calling | State::Early | State::Received | State::Ringing)
    }

    /// Whether its BYE waits for the ACK.
    pub(crate) fn owes_bye(&self) -> bool {
        matches!(self.state, State::HangingUp(_))
    }

    pub(super) fn new(state: State, profile: Arc<UserProfile>, media: OfferAnswer) -> Self {
        InviteSession {
            state,
            modify: modify::State::Idle,
            media,
            preview: None,
            caller: matches!(state, State::Calling),
            profile,
            dialog: None,
            call: None,
            asked: None,
            update: None,
            repeated: None,
            acked: Box::default(),
            sent: None,
            given_up: false,
            bye: None,
            ending: None,
            requests: SmallVec::new(),
            refer: None,
            replaces: None,
            reliable: None,
            timer: None,
            refresh: None,
            moved: false,
            bound: false,
            before_heard: if matches!(state, State::Calling) { 0 } else { u32::MAX },
            peer_updates: false,
            least: 0,
            repairs: 0,
            again: None,
            glares: 0,
            repeat: Alarm::OFF,
            glare: Alarm::OFF,
            expiry: Alarm::OFF,
            unanswered: Alarm::OFF,
        }
    }
}

/// What a step works with: the message that caused it, and the one that was made for it.
#[derive(Default)]
pub(super) struct Cause {
    pub(super) msg: Option<Arc<Message>>,
    pub(super) out: Option<Message>,
}

impl From<&Arc<Message>> for Cause {
    fn from(msg: &Arc<Message>) -> Self {
        Cause { msg: Some(msg.clone()), out: None }
    }
}

impl From<Message> for Cause {
    fn from(out: Message) -> Self {
        Cause { msg: None, out: Some(out) }
    }
}

impl Dum<'_> {
    pub(super) fn session(&mut self, call: Handle<InviteSession>) -> Result<&mut InviteSession, UsageEnded> {
        self.core.sessions.get_mut(call)
    }

    pub(super) fn tell(&mut self, call: Handle<InviteSession>, what: What, msg: Option<Arc<Message>>) {
        self.call_back(Callback { call, what, msg });
    }
}

/// One step of the call.
pub(super) fn step(dum: &mut Dum<'_>, call: Handle<InviteSession>, event: Event, cause: impl Into<Cause>) {
    let mut cause = cause.into();
    let event = of_fork(dum, call, event);
    if event == Event::End {
        for bound in call::bound_to(dum, call) {
            // The CANCEL is for all of them, and goes out once.
            reliable::refuse_streams(dum, bound);
            if let Ok(session) = dum.session(bound) {
                session.state = machine::step(session.state, event).0;
            }
        }
    }
    let Ok(session) = dum.session(call) else { return };
    let (next, actions) = machine::step(session.state, event);
    session.state = next;
    for action in actions {
        refer_progress(dum, call, *action, cause.msg.as_deref());
        act(dum, call, *action, &mut cause);
    }
}

/// What ends a call of ours before it is answered ends one early dialog alone, while others may still be answered: a CANCEL
/// would end them all (RFC 3261 §15).
fn of_fork(dum: &mut Dum<'_>, call: Handle<InviteSession>, event: Event) -> Event {
    let why = match event {
        Event::End => EndReason::LocalBye,
        Event::Silent => EndReason::Timeout,
        Event::Replaced => EndReason::Replaced,
        Event::Lost(why) => why,
        _ => return event,
    };
    match dum.session(call) {
        Ok(InviteSession { state: State::Early, call: Some(out), .. }) => {
            let out = *out;
            let whole = event == Event::End && call::are_bound(dum, out, call);
            if call::has_other(dum, out, call) && !whole { Event::EndFork(why) } else { event }
        }
        _ => event,
    }
}

/// Whoever sent us to make this call is told how it goes.
fn refer_progress(dum: &mut Dum<'_>, handle: Handle<InviteSession>, action: Action, msg: Option<&Message>) {
    let Ok(this) = dum.session(handle) else { return };
    let (Some(refer), out) = (this.refer, this.call) else { return };
    if matches!(action, Action::Tell(_)) && out.is_some_and(|out| call::has_other(dum, out, handle)) {
        // Another fork may still be answered.
        return;
    }
    let status = msg.and_then(Message::status);
    let status = match action {
        Action::TellProvisional => status.unwrap_or(180),
        Action::TellConnected => 200,
        Action::Tell(EndReason::Timeout) => 408,
        Action::Tell(EndReason::Transport) => 503,
        Action::Tell(_) => status.filter(|code| *code >= 300).unwrap_or(487),
        _ => return,
    };
    // It may have ended long ago.
    let _ = refer.notify(dum, status);
}

fn act(dum: &mut Dum<'_>, call: Handle<InviteSession>, action: Action, cause: &mut Cause) {
    let msg = || cause.msg.clone();
    match action {
        Action::TellProvisional => dum.tell(call, What::Provisional, msg()),
        Action::TellConnected => dum.tell(call, What::Connected, msg()),
        Action::TellConfirmed => dum.tell(call, What::Confirmed, msg()),
        Action::Tell(reason) => dum.tell(call, What::Terminated(reason), msg()),
        Action::SendAck => ack::send(dum, call, cause.msg.as_deref().and_then(ack::number_of)),
        Action::SendBye => {
            reliable::refuse_streams(dum, call);
            answer_what_is_left(dum, call);
            send_bye(dum, call);
        }
        Action::SendCancel => {
            reliable::refuse_streams(dum, call);
            let Ok(this) = dum.session(call) else { return };
            let (out, ending) = (this.call, this.ending.take());
            let out = out.and_then(|out| dum.core.calls.get(out).ok()).filter(|out| !out.cancelled);
            if let Some(out) = out {
                let edit = ending.as_deref().map(|edit| &**edit as &dyn Fn(&mut Message));
                dum.cancel(out.transaction, edit);
            }
            if let Ok(this) = dum.session(call) {
                this.ending = ending;
            }
        }
        Action::SendProvisional => {
            let reliable = cause.out.as_ref().is_some_and(|response| response.exists(h::RSEQ));
            let interval = if reliable { dum.core.values.t1 } else { REPEAT_1XX };
            send_repeated(dum, call, cause.out.take(), interval);
        }
        Action::SendSuccess => {
            let t1 = dum.core.values.t1;
            send_repeated(dum, call, cause.out.take(), t1);
            forget_request(dum, call);
        }
        Action::SendFailure => {
            let mut out = cause.out.take().or_else(|| make_answer(dum, call, Slot::Invite, 480).ok());
            let ending = dum.session(call).ok().and_then(|this| this.ending.take());
            out.iter_mut().zip(ending).for_each(|(out, edit)| edit(out));
            send_final(dum, call, Slot::Invite, out);
        }
        Action::Send487 => {
            let out = make_answer(dum, call, Slot::Invite, 487).ok();
            send_final(dum, call, Slot::Invite, out);
        }
        Action::StopRepeating => stop_repeating(dum, call),
        Action::Remove => remove(dum, call),
    }
}

pub(super) fn send_bye(dum: &mut Dum<'_>, call: Handle<InviteSession>) {
    if let Ok(transaction) = send(dum, call, &Method::Bye, None)
        && let Ok(session) = dum.session(call)
    {
        session.bye = Some(transaction);
    }
}

/// A request in the dialog was sent once more.
pub(crate) fn resent(core: &mut Core, call: Handle<InviteSession>, old: ClientTransaction, new: ClientTransaction) {
    let Ok(this) = core.sessions.get_mut(call) else { return };
    if let Some(reliable) = &mut this.reliable {
        reliable.resent(old, new);
    }
    let requests = this.requests.iter_mut().map(|(sent, _)| sent);
    let known = [&mut this.sent, &mut this.bye, &mut this.refresh].into_iter().flatten().chain(requests);
    known.filter(|sent| **sent == old).for_each(|sent| *sent = new);
}

/// A request in the dialog, with a body if there is one.
pub(super) fn send(
    dum: &mut Dum<'_>,
    call: Handle<InviteSession>,
    method: &Method<'_>,
    body: Option<Bytes>,
) -> Result<ClientTransaction, UsageEnded> {
    let dialog = dum.session(call)?.dialog.ok_or(UsageEnded)?;
    let mut msg = dum.make_in_dialog(dialog, method)?;
    if let Method::Invite | Method::Update = method {
        dum.advertise(&mut msg);
        session_timer::ask(dum, call, &mut msg);
    }
    if let Some(body) = body {
        msg.set_body(Some(SDP), body);
    }
    if let (Method::Bye, Some(edit)) = (method, &dum.session(call)?.ending) {
        edit(&mut msg);
    }
    Ok(dum.send(Usage::Invite(call), msg, SendOptions::default()))
}

/// The type of every body that a session sends.
pub(super) const SDP: &str = "application/sdp";

/// The answer to what we are asked, with the tag that all answers to it have, and Contact where it makes or refreshes the
/// dialog.
pub(super) fn make_answer(
    dum: &mut Dum<'_>,
    call: Handle<InviteSession>,
    slot: Slot,
    status: u16,
) -> Result<Message, UsageEnded> {
    let session = dum.session(call)?;
    let profile = session.profile.clone();
    let asked = session.slot(slot).as_ref().ok_or(UsageEnded)?;
    let (msg, tag) = (asked.msg.clone(), asked.tag.clone());
    let mut response = dum.make_response(&msg, status, Some(&tag));
    if (101..300).contains(&status) {
        match moved_to(dum, call) {
            Some(contact) => response.push_back(h::CONTACTS, contact),
            None => response.push_back(h::CONTACTS, &contact_for(dum, &profile, &msg)),
        }
        dum.advertise(&mut response);
    }
    Ok(response)
}

/// The Contact that the application has said.
fn moved_to<'d>(dum: &'d Dum<'_>, call: Handle<InviteSession>) -> Option<&'d str> {
    let dialog = dum.core.sessions.get(call).ok().filter(|this| this.moved)?.dialog?;
    dum.core.dialogs.get(dialog).ok()?.dialog.contact()
}

/// The Contact of an answer: where the request came to, and whom it was for.
fn contact_for(dum: &Dum<'_>, profile: &UserProfile, request: &Message) -> NameAddr<'static> {
    let asked = request.request_uri().map_or_else(|_| profile.from().uri.clone(), Uri::into_owned);
    let mut contact = dum.contact_in_answer(profile, request);
    if let (None, Uri::Sip(own), Some(asked)) = (profile.contact(), &mut contact.uri, asked.sip()) {
        own.user = asked.user.clone();
    }
    contact
}

/// Sends a response and keeps it to be sent again.
pub(super) fn send_repeated(dum: &mut Dum<'_>, call: Handle<InviteSession>, out: Option<Message>, interval: Duration) {
    let (Some(response), now) = (out, dum.now()) else { return };
    let Ok(Some(asked)) = dum.session(call).map(|session| &session.asked) else { return };
    let transaction = asked.transaction;
    let cseq = asked.msg.header(h::CSEQ).map_or(0, |cseq| cseq.number);
    dum.respond(transaction, response.clone());
    let Ok(session) = dum.core.sessions.get_mut(call) else { return };
    session.repeated = Some(Box::new(Repeated { transaction, response, cseq, interval, waited: Duration::ZERO }));
    dum.core.timers.set(&mut session.repeat, fire(call, TimerKind::Repeat), now, interval);
}

/// The last provisional response was acknowledged, so there is nothing to repeat; but after a while the next one is due.
pub(super) fn ring_again(dum: &mut Dum<'_>, call: Handle<InviteSession>) {
    let now = dum.now();
    let Ok(session) = dum.core.sessions.get_mut(call) else { return };
    dum.core.timers.set(&mut session.repeat, fire(call, TimerKind::Repeat), now, REPEAT_1XX);
}

pub(super) fn send_final(dum: &mut Dum<'_>, call: Handle<InviteSession>, slot: Slot, out: Option<Message>) {
    let asked = dum.session(call).ok().and_then(|session| session.slot(slot).take());
    if let (Some(asked), Some(response)) = (asked, out) {
        dum.respond(asked.transaction, response);
    }
}

/// The 2xx is sent: of the request nothing is needed any more.
pub(super) fn forget_request(dum: &mut Dum<'_>, call: Handle<InviteSession>) {
    if let Ok(session) = dum.session(call) {
        session.asked = None;
    }
}

pub(super) fn stop_repeating(dum: &mut Dum<'_>, call: Handle<InviteSession>) {
    if let Ok(session) = dum.session(call) {
        session.repeated = None;
        session.repeat.clear();
    }
}

pub(super) fn fire(call: Handle<InviteSession>, kind: TimerKind) -> Fire {
    Fire { usage: Usage::Invite(call), kind }
}

/// What the peer asked for is not to come any more (RFC 3261 §15.1.2). A 2xx of its that waits for the application is acknowledged
/// all the same, before any BYE (§13.2.2.4).
pub(super) fn answer_what_is_left(dum: &mut Dum<'_>, call: Handle<InviteSession>) {
    if let Some(this) = dum.session(call).ok().filter(|this| this.modify == modify::State::Answering) {
        this.modify = modify::State::Idle;
        ack::send(dum, call, None);
    }
    for slot in [Slot::Invite, Slot::Update] {
        let out = make_answer(dum, call, slot, 487).ok();
        send_final(dum, call, slot, out);
    }
}

fn remove(dum: &mut Dum<'_>, handle: Handle<InviteSession>) {
    answer_what_is_left(dum, handle);
    let Ok(session) = dum.core.sessions.remove(handle) else { return };
    // The final response to a re-INVITE may be lost with the other side of the call, which repeats it no more: after a 100 its
    // transaction would wait for ever (RFC 3261 §9.1 ends it).
    let refresh = session.refresh.filter(|refresh| session.sent != Some(*refresh));
    for sent in [session.sent, refresh].into_iter().flatten() {
        dum.cancel(sent, None);
    }
    if let Some(call) = session.call
        && let Ok(call) = dum.core.calls.get_mut(call)
    {
        let dialog = session.dialog.and_then(|dialog| dum.core.dialogs.get(dialog).ok());
        call.forget(handle, dialog.map(|entry| &entry.dialog));
        // Nobody is left who could be answered.
        let left = (call.sessions.is_empty() && call.request.is_some()).then_some(call.transaction);
        if let Some(transaction) = left {
            dum.cancel(transaction, None);
        }
    }
    if let Some(dialog) = session.dialog {
        dum.core.dialogs.leave(dialog, Usage::Invite(handle));
    }
}

/// One of its timers.
pub(crate) fn timer(dum: &mut Dum<'_>, call: Handle<InviteSession>, fire: Fire) {
    let now = dum.now();
    let Ok(session) = dum.core.sessions.get_mut(call) else { return };
    match fire.kind {
        TimerKind::Repeat if dum.core.timers.is_due(&mut session.repeat, fire, now) => repeat(dum, call),
        TimerKind::Session if dum.core.timers.is_due(&mut session.expiry, fire, now) => {
            session_timer::fired(dum, call);
        }
        TimerKind::Glare if dum.core.timers.is_due(&mut session.glare, fire, now) => {
            glare::again(dum, call);
        }
        TimerKind::Unanswered if dum.core.timers.is_due(&mut session.unanswered, fire, now) => {
            super::in_dialog::unanswered(dum, call);
        }
        _ => {}
    }
}

/// Sends the response once more: a 2xx after T1, doubling to T2, for 64·T1 (RFC 3261 §13.3.1.4).
fn repeat(dum: &mut Dum<'_>, call: Handle<InviteSession>) {
    let (values, now) = (dum.core.values, dum.now());
    let Ok(session) = dum.core.sessions.get_mut(call) else { return };
    let waits = session.reliable.as_ref().is_some_and(|reliable| reliable.is_waiting());
    let Some(repeated) = &mut session.repeated else { return };
    let reliable = repeated.response.exists(h::RSEQ);
    if reliable && !waits {
        return reliable::again(dum, call);
    }
    repeated.waited += repeated.interval;
    let success = repeated.response.status().is_some_and(|code| code >= 200);
    if reliable && repeated.waited >= values.long() {
        return reliable::go_on(dum, call, reliable::Event::NoPrack);
    }
    if success && repeated.waited >= values.long() {
        if session.modify == modify::State::Unacknowledged {
            super::in_dialog::step(dum, call, modify::Event::NoAck, Cause::default());
        }
        return step(dum, call, Event::NoAck, Cause::default());
    }
    if success || reliable {
        // RFC 3262 §3 has no T2.
        let most = if success { values.t2 } else { values.long() };
        repeated.interval = (repeated.interval * 2).min(most).min(values.long() - repeated.waited);
    }
    let (transaction, response, interval) = (repeated.transaction, repeated.response.clone(), repeated.interval);
    dum.core.timers.set(&mut session.repeat, fire(call, TimerKind::Repeat), now, interval);
    dum.respond(transaction, response);
}

/// Whether who sent a message takes UPDATE.
pub(super) fn updates(msg: &Message) -> bool {
    msg.header(h::ALLOWS).flatten().any(|method| method == Method::Update)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With texts and descriptions on the heap some 3 kB in all.
    #[test]
    fn a_call_stays_small() {
        let sizes = (size_of::<InviteSession>(), size_of::<DialogEntry>());
        assert!(sizes.0 <= 448 && sizes.1 <= 864, "{sizes:?}");
    }
}
