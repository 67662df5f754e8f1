//! A call that we are asked to take, until it is answered.

use super::body;
use super::callback::What;
use super::machine::{Event, State};
use super::offer_answer::{Exchange, Move, OfferAnswer};
use super::session::{Asked, Edit, InviteSession, SDP, Slot, make_answer, step};
use super::{ServerInviteSession, SessionError, join, reliable, session, session_timer};
use crate::dialog::Dialog;
use crate::dispatch::Request;
use crate::dum::Dum;
use crate::handle::{Handle, UsageEnded};
use crate::profile::UserProfile;
use crate::usage::Usage;
use stack::header::{Method, NameAddr, h};
use stack::message::Message;
use std::sync::Arc;

/// An INVITE out of a dialog.
pub(crate) fn request(dum: &mut Dum<'_>, request: Request) {
    let Request { transaction, msg } = request;
    let Ok(description) = body::description(&msg) else { return dum.refuse(transaction, &msg, 400) };
    if Dialog::check(&msg).is_err() {
        // No Contact (RFC 3261 §8.1.1.8), or a route that nobody can follow: it could not be accepted.
        return dum.refuse(transaction, &msg, 400);
    }
    if !dum.core.dialogs.have_room() {
        return dum.refuse_new(transaction, &msg);
    }
    let mut media = OfferAnswer::default();
    let (body, offer) = description.unzip();
    if body.is_some() {
        media.make(Move::ReceiveOffer, body);
    }
    let replaces = match join::joined(dum, &msg).and_then(|_| join::replaced(dum, &msg)) {
        Ok(replaces) => replaces,
        Err(status) => return dum.refuse(transaction, &msg, status),
    };
    let profile = dum.core.master.user().clone();
    let mut call = InviteSession::new(State::Received, profile, media);
    call.replaces = replaces;
    let tag = dum.stack.new_tag().into();
    call.asked = Some(Box::new(Asked::new(transaction, msg.clone(), tag)));
    if session_timer::is_too_brief(dum, &call.profile, &msg) {
        return session_timer::refuse(dum, &call.profile, transaction, &msg);
    }
    call.timer = session_timer::of_invite(dum, &call.profile, &msg);
    call.least = session_timer::Asked::of(&msg).min.unwrap_or(0);
    call.peer_updates = session::updates(&msg);
    let Ok(call) = dum.core.sessions.insert(call) else { return dum.refuse_new(transaction, &msg) };
    dum.core.servers.insert(transaction, Usage::Invite(call));
    session_timer::wait_for_answer(dum, call);
    dum.tell(call, What::New, Some(msg.clone()));
    dum.tell(call, offer.map_or(What::OfferRequired, What::Offer), Some(msg));
}

impl Handle<ServerInviteSession> {
    /// Sends a provisional response, 101 to 199; it is repeated every minute (RFC 3261 §13.3.1.1). A status that is none of these
    /// is taken as the nearest: 100, which is the transaction's, as 101.
    ///
    /// # Errors
    /// [`SessionError`]: it is answered already, or has ended.
    pub fn provisional(self, dum: &mut Dum<'_>, status: u16) -> Result<(), SessionError> {
        ring(dum, self, (status, false), None)
    }

    /// The same, with what `edit` adds to it, when it leaves: one that is to be reliable waits for the PRACK of the one before.
    ///
    /// # Errors
    /// As [`Handle::provisional`].
    pub fn provisional_with(
        self,
        dum: &mut Dum<'_>,
        status: u16,
        edit: impl FnOnce(&mut Message) + Send + 'static,
    ) -> Result<(), SessionError> {
        ring(dum, self, (status, false), Some(Box::new(edit)))
    }

    /// The same with the answer that [`super::Session::provide_answer`] gave: what is heard before the call is answered.
    ///
    /// # Errors
    /// [`SessionError`]; [`SessionError::NoDescription`]: there is no answer yet.
    pub fn early_media(self, dum: &mut Dum<'_>, status: u16) -> Result<(), SessionError> {
        ring(dum, self, (status, true), None)
    }

    /// The same, with what `edit` adds to it, as [`Handle::provisional_with`].
    ///
    /// # Errors
    /// As [`Handle::early_media`].
    pub fn early_media_with(
        self,
        dum: &mut Dum<'_>,
        status: u16,
        edit: impl FnOnce(&mut Message) + Send + 'static,
    ) -> Result<(), SessionError> {
        ring(dum, self, (status, true), Some(Box::new(edit)))
    }

    /// Takes the call: 200 with the answer or offer that was provided, repeated until its ACK. After it
    /// [`super::InviteSessionHandler::on_connected`] comes.
    ///
    /// # Errors
    /// [`SessionError::NoDescription`]: neither [`super::Session::provide_answer`] nor [`super::Session::provide_offer`] came
    /// first. [`SessionError::NotNow`]: it is answered already, or a change by UPDATE is under way. [`SessionError::NoRoom`].
    /// [`SessionError::Ended`]; by this too, where the call whose place it was to take is gone: 603 (RFC 3891 §3).
    pub fn accept(self, dum: &mut Dum<'_>) -> Result<(), SessionError> {
        accept(dum, self, None)
    }

    /// The same, with what `edit` adds to the 200, when it leaves: behind the PRACK that is waited for.
    ///
    /// # Errors
    /// As [`Handle::accept`].
    pub fn accept_with(
        self,
        dum: &mut Dum<'_>,
        edit: impl FnOnce(&mut Message) + Send + 'static,
    ) -> Result<(), SessionError> {
        accept(dum, self, Some(Box::new(edit)))
    }

    /// The call that this one takes the place of when it is accepted (RFC 3891); that one then ends by itself.
    pub fn replaced_call(self, dum: &Dum<'_>) -> Option<Handle<InviteSession>> {
        dum.core.sessions.get(self.cast()).ok()?.replaces
    }

    /// Answers by a profile of its own: Contact, times and what else it sets. By default it is the master profile's. Whether
    /// the caller must know reliable provisional responses ([`Reliability::Required`](crate::Reliability)) is decided behind
    /// [`super::InviteSessionHandler::on_new_session`], or by the first response.
    ///
    /// # Errors
    /// [`SessionError`]: a response was sent, or the call has ended; by this too, where the profile requires what the caller
    /// cannot: 421 (RFC 3261 §21.4.16), or agrees to no session as short as he asks for: 422 (RFC 4028 §6).
    pub fn set_profile(self, dum: &mut Dum<'_>, profile: &Arc<UserProfile>) -> Result<(), SessionError> {
        let invite = pending(dum, self)?.msg.clone();
        let timer = session_timer::of_invite(dum, profile, &invite);
        let this = dum.session(self.cast())?;
        if this.dialog.is_some() {
            return Err(SessionError::NotNow);
        }
        (this.profile, this.timer) = (profile.clone(), timer);
        if session_timer::is_too_brief(dum, profile, &invite) {
            self.reject(dum, 422, |response| session_timer::too_brief(profile, response))?;
            return Err(UsageEnded.into());
        }
        insist(dum, self)
    }

    /// Refuses the call with a 3xx to 6xx, to which `edit` adds what it is to say; the call ends. A status that is none of these is
    /// taken as the nearest, so that nothing but [`Handle::accept`] accepts.
    ///
    /// # Errors
    /// [`SessionError`]: it is answered already, or has ended.
    pub fn reject(self, dum: &mut Dum<'_>, status: u16, edit: impl FnOnce(&mut Message)) -> Result<(), SessionError> {
        pending(dum, self)?;
        let mut response = make_answer(dum, self.cast(), Slot::Invite, status.clamp(300, 699))?;
        edit(&mut response);
        step(dum, self.cast(), Event::Reject, response);
        Ok(())
    }

    /// Sends the caller elsewhere: 302 with these contacts (RFC 3261 §21.3.3).
    ///
    /// # Errors
    /// [`SessionError`]: it is answered already, or has ended.
    pub fn redirect(self, dum: &mut Dum<'_>, contacts: &[NameAddr<'_>]) -> Result<(), SessionError> {
        self.reject(dum, 302, |response| contacts.iter().for_each(|contact| response.push_back(h::CONTACTS, contact)))
    }
}

/// What waits for an answer.
fn pending<'d>(dum: &'d mut Dum<'_>, call: Handle<ServerInviteSession>) -> Result<&'d mut Asked, SessionError> {
    let this = dum.session(call.cast())?;
    match (this.state, &mut this.asked) {
        (State::Received | State::Ringing, Some(asked)) => Ok(asked),
        (State::Ending | State::Terminated, _) => Err(SessionError::Ended(UsageEnded)),
        _ => Err(SessionError::NotNow),
    }
}

/// Refuses a call with 421 where its profile requires reliable provisional responses and the caller knows nothing of them (RFC
/// 3261 §21.4.16).
///
/// # Errors
/// It is refused, or is answered already.
pub(super) fn insist(dum: &mut Dum<'_>, call: Handle<ServerInviteSession>) -> Result<(), SessionError> {
    let invite = pending(dum, call)?.msg.clone();
    if reliable::wanted(dum.session(call.cast())?, &invite).is_some() {
        return Ok(());
    }
    call.reject(dum, 421, |response| response.push_back(h::REQUIRES, "100rel"))?;
    Err(UsageEnded.into())
}

fn accept(dum: &mut Dum<'_>, call: Handle<ServerInviteSession>, edit: Option<Edit>) -> Result<(), SessionError> {
    let ready = pending(dum, call)?.staged.is_some();
    let this = dum.session(call.cast())?;
    if !ready && this.media.local.is_none() {
        return Err(SessionError::NoDescription);
    }
    if !ready && this.media.exchange != Exchange::Stable {
        return Err(SessionError::NotNow);
    }
    insist(dum, call)?;
    match reliable::admit(dum.session(call.cast())?, reliable::Event::Accept, (200, false), &mut None) {
        Some(true) => accept_now(dum, call, edit),
        // The PRACK for what was sent before is waited for.
        Some(false) => {
            pending(dum, call)?.edit = edit;
            Ok(())
        }
        None => Err(SessionError::NotNow),
    }
}

/// Sends the 2xx, with what was provided unless a reliable provisional response has brought it.
pub(super) fn accept_now(
    dum: &mut Dum<'_>,
    call: Handle<ServerInviteSession>,
    edit: Option<Edit>,
) -> Result<(), SessionError> {
    let replaces = dum.session(call.cast())?.replaces;
    if replaces.is_some_and(|old| join::is_gone(dum, old)) {
        call.reject(dum, 603, |_| {})?;
        return Err(UsageEnded.into());
    }
    let asked = pending(dum, call)?;
    let (body, msg, call) = (asked.staged.clone(), Some(asked.msg.clone()), call.cast());
    let mut response = make_answer(dum, call, Slot::Invite, 200)?;
    if let Some(body) = &body {
        response.set_body(Some(SDP), body.clone());
    }
    enter_dialog(dum, call, &response)?;
    let this = dum.session(call)?;
    if body.is_some() {
        this.media.make(describe(this.media.exchange), body);
    }
    if let Some(Ok(entry)) = this.dialog.map(|dialog| dum.core.dialogs.get_mut(dialog)) {
        entry.dialog.confirm();
    }
    let timer = dum.session(call)?.timer;
    if let Some(timer) = &timer {
        timer.grant(&mut response);
    }
    session_timer::start(dum, call, timer);
    if let Some(edit) = edit {
        edit(&mut response);
    }
    step(dum, call, Event::Accept, session::Cause { msg, out: Some(response) });
    if let Some(old) = replaces {
        step(dum, old, Event::Replaced, session::Cause::default());
    }
    Ok(())
}

/// What a description of ours is, seen from what came before.
fn describe(exchange: Exchange) -> Move {
    if exchange == Exchange::OfferReceived { Move::SendAnswer } else { Move::SendOffer }
}

/// A provisional response: sent, or behind others that wait for their PRACK.
pub(super) fn ring(
    dum: &mut Dum<'_>,
    call: Handle<ServerInviteSession>,
    (status, media): (u16, bool),
    mut edit: Option<Edit>,
) -> Result<(), SessionError> {
    insist(dum, call)?;
    let asked = pending(dum, call)?;
    let (staged, invite, call) = (asked.staged.clone(), asked.msg.clone(), call.cast());
    if media && staged.is_none() {
        return Err(SessionError::NoDescription);
    }
    let this = dum.session(call)?;
    let mut reliable = reliable::wanted(this, &invite) == Some(true);
    // RFC 3262 §5: a reliable one to an INVITE without an offer makes it; what says nothing of media need not be reliable.
    if reliable && !media && this.media.exchange == Exchange::Stable && this.media.local.is_none() {
        if reliable::is_required(&invite) {
            return Err(SessionError::NotNow);
        }
        reliable = false;
    }
    // RFC 3261 §13.2.1: the first offer is in a response that is sent reliably.
    if media && !reliable && this.media.exchange == Exchange::Stable {
        return Err(SessionError::NotNow);
    }
    let mut response = make_answer(dum, call, Slot::Invite, status.clamp(101, 199))?;
    enter_dialog(dum, call, &response)?;
    if reliable {
        match reliable::admit(dum.session(call)?, reliable::Event::Ring, (status, media), &mut edit) {
            Some(true) => {}
            Some(false) => return Ok(()),
            None => return Err(SessionError::NotNow),
        }
        reliable::stamp(dum, call, &mut response);
    }
    if let Some(body) = staged.filter(|_| media) {
        response.set_body(Some(SDP), body.clone());
        if let Some(asked) = &mut dum.session(call)?.asked {
            asked.told = true;
        }
        if reliable {
            let this = dum.session(call)?;
            this.media.make(describe(this.media.exchange), Some(body));
            // The 2xx need not say it again.
            if let Some(asked) = &mut this.asked {
                asked.staged = None;
            }
        }
    }
    if let Some(edit) = edit {
        edit(&mut response);
    }
    step(dum, call, Event::Ring, response);
    Ok(())
}

/// The first response with a tag makes the dialog. Where there is no room for it any more, the call is refused.
fn enter_dialog(dum: &mut Dum<'_>, call: Handle<InviteSession>, response: &Message) -> Result<(), SessionError> {
    let entered = make_dialog(dum, call, response);
    if entered == Err(SessionError::NoRoom) {
        let mut response = make_answer(dum, call, Slot::Invite, 503)?;
        dum.come_later(&mut response);
        step(dum, call, Event::Reject, response);
    }
    entered
}

fn make_dialog(dum: &mut Dum<'_>, call: Handle<InviteSession>, response: &Message) -> Result<(), SessionError> {
    let this = dum.session(call)?;
    let (None, Some(asked)) = (this.dialog, &this.asked) else { return Ok(()) };
    let (msg, tag, profile) = (asked.msg.clone(), asked.tag.clone(), this.profile.clone());
    let dialog = Dialog::uas(&msg, response).map_err(|_| SessionError::NotNow)?;
    let usage = Usage::Invite(call);
    let set = dum.core.dialogs.open(&dialog.id().call_id, &tag, profile, None).map_err(|_| SessionError::NoRoom)?;
    let Ok(entry) = dum.core.dialogs.add(set, dialog, usage) else {
        dum.core.dialogs.close(set);
        return Err(SessionError::NoRoom);
    };
    dum.session(call)?.dialog = Some(entry);
    Ok(())
}

/// CANCEL came for an INVITE of it, the first or a later one; the stack has answered the CANCEL.
pub(crate) fn cancelled(dum: &mut Dum<'_>, call: Handle<InviteSession>, cancel: &Message) {
    let cause = || session::Cause { msg: Some(Arc::new(cancel.clone())), out: None };
    let Ok(this) = dum.session(call) else { return };
    if matches!(this.state, State::Received | State::Ringing) {
        step(dum, call, Event::Cancel, cause());
    } else if this.asked.as_ref().is_some_and(|asked| asked.msg.method() == Some(Method::Invite)) {
        super::in_dialog::withdraw(dum, call, super::modify::Event::Cancel, cause());
    }
}
