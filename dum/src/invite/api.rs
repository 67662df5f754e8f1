//! What an application does with a call.

use super::machine::{Event, State};
use super::modify;
use super::offer_answer::{Exchange, Move};
use super::session::{self, Cause, SDP, Slot, make_answer};
use super::{ClientInviteSession, InviteSession, RemoteControl, ServerInviteSession, glare, in_dialog, reliable};
use crate::dialogs::AppData;
use crate::dum::Dum;
use crate::handle::{Handle, NoRoom, UsageEnded};
use crate::refer::{self, ClientRefer};
use crate::usage::Usage;
use bytes::Bytes;
use stack::contents::sdp::{Direction, Media, Sdp};
use stack::header::{DialogRef, Method, NameAddr};
use stack::message::Message;
use stack::tu::SendOptions;

/// Why a call was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The call has ended.
    #[error(transparent)]
    Ended(#[from] UsageEnded),
    /// It is not the time for it: the call is answered or is not, or another offer waits for its answer.
    #[error("not in this state of the call")]
    NotNow,
    /// It is no answer to the peer's offer: as many streams, of the same media in the same order, are to be in it, those that are
    /// not wanted with port 0 (RFC 3264 §6). Or it is an offer without the streams that were agreed on, which stay in the same
    /// way (§8).
    #[error("the description does not have the streams of the one before")]
    OtherStreams,
    /// An answer or an offer is due first.
    #[error("no session description was provided")]
    NoDescription,
    /// A limit is reached. A call that was to be answered is refused with 503.
    #[error("no room for another dialog")]
    NoRoom,
}

impl From<NoRoom> for SessionError {
    fn from(_: NoRoom) -> Self {
        SessionError::NoRoom
    }
}

impl From<Handle<ClientInviteSession>> for Handle<InviteSession> {
    fn from(call: Handle<ClientInviteSession>) -> Self {
        call.cast()
    }
}

impl From<Handle<ServerInviteSession>> for Handle<InviteSession> {
    fn from(call: Handle<ServerInviteSession>) -> Self {
        call.cast()
    }
}

impl Handle<InviteSession> {
    /// The same call as one that we are asked to take: of one that is our own every call with it gives
    /// [`SessionError::NotNow`].
    pub fn as_server(self) -> Handle<ServerInviteSession> {
        self.cast()
    }

    /// The same call as one that we make: of one that we are asked to take every call with it gives
    /// [`SessionError::NotNow`].
    pub fn as_client(self) -> Handle<ClientInviteSession> {
        self.cast()
    }
}

impl Session for Handle<InviteSession> {}
impl Session for Handle<ClientInviteSession> {}
impl Session for Handle<ServerInviteSession> {}

/// What can be done with a call of either side.
pub trait Session: Copy + Into<Handle<InviteSession>> {
    /// The call without its side.
    fn session(self) -> Handle<InviteSession> {
        self.into()
    }

    /// Whether it has not ended.
    fn is_alive(self, dum: &Dum<'_>) -> bool {
        dum.core.sessions.get(self.into()).is_ok_and(|this| !matches!(this.state, State::Ending | State::Terminated))
    }

    /// Whether it was answered and has not ended.
    fn is_connected(self, dum: &Dum<'_>) -> bool {
        let answered = [State::Answering, State::Accepted, State::Connected];
        dum.core.sessions.get(self.into()).is_ok_and(|this| answered.contains(&this.state))
    }

    /// What the application keeps with the call's dialog; none before there is one.
    fn app_dialog<'d>(self, dum: &'d mut Dum<'_>) -> Option<&'d mut AppData> {
        let dialog = super::dialog_of(dum, self.into())?;
        Some(&mut dum.core.dialogs.get_mut(dialog).ok()?.data)
    }

    /// What the application keeps with the call's dialog set: of one that we make, all forks have it in common.
    fn app_dialog_set<'d>(self, dum: &'d mut Dum<'_>) -> Option<&'d mut AppData> {
        let set = super::set_of(dum, self.into())?;
        Some(&mut dum.core.dialogs.set_mut(set).ok()?.data)
    }

    /// The description of this side that was agreed last.
    fn local_sdp(self, dum: &Dum<'_>) -> Option<Sdp> {
        dum.core.sessions.get(self.into()).ok()?.media.local.as_ref().and_then(|body| Sdp::parse(body).ok())
    }

    /// The peer's description that was agreed last.
    fn remote_sdp(self, dum: &Dum<'_>) -> Option<Sdp> {
        dum.core.sessions.get(self.into()).ok()?.media.remote.as_ref().and_then(|body| Sdp::parse(body).ok())
    }

    /// Answers the peer's offer. That of the first INVITE is sent when the call is accepted, or before with
    /// [`Handle::early_media`]; any other is sent now. That of an UPDATE or a PRACK has 32·T1 (16 s), then it is refused with
    /// 504 (RFC 3311 §5.2); that of a re-INVITE has three minutes, then 488. Behind what was agreed it has the origin of that,
    /// with the next version where anything differs (RFC 3264 §8).
    ///
    /// # Errors
    /// [`SessionError::NotNow`]: there is no offer to answer, or not any more. [`SessionError::OtherStreams`]: nothing is sent, and the
    /// offer waits for another answer.
    fn provide_answer(self, dum: &mut Dum<'_>, answer: &Sdp) -> Result<(), SessionError> {
        provide(dum, self.into(), answer.print(), Exchange::OfferReceived)
    }

    /// Offers a session, where the peer's INVITE brought no offer, or a change of it: with a re-INVITE (RFC 3261 §14). A change
    /// gets the origin of what this side has agreed to, with the next version (RFC 3264 §8).
    ///
    /// # Errors
    /// [`SessionError::NotNow`]: another exchange is under way. [`SessionError::OtherStreams`].
    fn provide_offer(self, dum: &mut Dum<'_>, offer: &Sdp) -> Result<(), SessionError> {
        let call = self.into();
        if !in_dialog::is_idle(alive(dum, call)?) {
            return provide(dum, call, offer.print(), Exchange::Stable);
        }
        // RFC 3311 §5.1: in an early dialog there is no other way.
        let early = alive(dum, call)?.state != State::Connected;
        let event = if early { modify::Event::SendUpdate } else { modify::Event::SendInvite };
        change(dum, call, Some(offer.print()), event)
    }

    /// Offers a change with UPDATE (RFC 3311), which the peer must answer at once.
    ///
    /// # Errors
    /// As [`Session::provide_offer`].
    fn update(self, dum: &mut Dum<'_>, offer: &Sdp) -> Result<(), SessionError> {
        change(dum, self.into(), Some(offer.print()), modify::Event::SendUpdate)
    }

    /// Asks the peer for an offer: a re-INVITE without one.
    ///
    /// # Errors
    /// [`SessionError::NotNow`]: another exchange is under way.
    fn request_offer(self, dum: &mut Dum<'_>) -> Result<(), SessionError> {
        change(dum, self.into(), None, modify::Event::SendInvite)
    }

    /// Takes back a change of ours that the peer has not answered: the re-INVITE is cancelled (RFC 3261 §9.1). What becomes of it is told
    /// as ever: [`super::InviteSessionHandler::on_offer_rejected`], mostly with 487, and what was agreed before counts; but a 200 that
    /// crosses the CANCEL counts, and is told with [`super::InviteSessionHandler::on_answer`], or `on_offer` where we have asked
    /// for one. A change that a 491 has put off is not made, which is told, too. To take it back once more does nothing.
    ///
    /// # Errors
    /// [`SessionError::NotNow`]: there is no such change. An UPDATE cannot be taken back: it is answered at once (RFC 3311 §5.2).
    fn withdraw_offer(self, dum: &mut Dum<'_>) -> Result<(), SessionError> {
        let call = self.into();
        let this = alive(dum, call)?;
        if this.again.is_some() {
            glare::overtaken(dum, call);
        } else if this.modify.is_inviting() && (this.refresh.is_none() || this.refresh != this.sent) {
            in_dialog::give_up(dum, call);
        } else {
            return Err(SessionError::NotNow);
        }
        Ok(())
    }

    /// Holds the call: offers what was agreed without receiving (RFC 3264 §8.4). It is held when
    /// [`super::InviteSessionHandler::on_answer`] comes. This side may go on sending, music for example.
    ///
    /// # Errors
    /// As [`Session::provide_offer`].
    fn hold(self, dum: &mut Dum<'_>) -> Result<(), SessionError> {
        let offer = directed(self.local_sdp(dum), false).ok_or(SessionError::NotNow)?;
        self.provide_offer(dum, &offer)
    }

    /// Takes a held call back: offers to receive again, and to send, but for streams that were agreed to be received only. What
    /// the peer holds on its side it says in its answer.
    ///
    /// # Errors
    /// As [`Session::provide_offer`].
    fn resume(self, dum: &mut Dum<'_>) -> Result<(), SessionError> {
        let offer = directed(self.local_sdp(dum), true).ok_or(SessionError::NotNow)?;
        self.provide_offer(dum, &offer)
    }

    /// Whether the peer holds the call: it receives none of the streams that are in use, or says so with the address
    /// 0.0.0.0 as of old.
    fn is_held(self, dum: &Dum<'_>) -> bool {
        let Some(sdp) = self.remote_sdp(dum) else { return false };
        let mut media = sdp.media().filter(|media| !media.is_rejected()).peekable();
        media.peek().is_some() && media.all(|media| !receives(&media))
    }

    /// Refuses the peer's offer, or its wish for one, with a 4xx to 6xx, or the nearest of these. That of the first INVITE is the call itself;
    /// one that came in a response has no refusal but the end of the call (RFC 6337 §2.2), or an answer without streams.
    ///
    /// # Errors
    /// [`SessionError::NotNow`]: there is nothing to refuse.
    fn reject_offer(self, dum: &mut Dum<'_>, status: u16) -> Result<(), SessionError> {
        let call = self.into();
        let this = alive(dum, call)?;
        match (this.state, this.modify) {
            (_, modify::State::ReceivedInvite | modify::State::ReceivedUpdate | modify::State::WithinInvite) => {
                let slot = if this.modify.owes_update() { Slot::Update } else { Slot::Invite };
                let response = make_answer(dum, call, slot, status.clamp(400, 699))?;
                in_dialog::step(dum, call, modify::Event::Decline, response);
                Ok(())
            }
            (State::Received | State::Ringing, _) if this.media.local.is_none() => {
                Handle::<ServerInviteSession>::reject(call.cast(), dum, status, |_| {})
            }
            (State::Early | State::Answering, _) | (_, modify::State::Answering)
                if this.media.exchange == Exchange::OfferReceived =>
            {
                self.end(dum)
            }
            _ => Err(SessionError::NotNow),
        }
    }

    /// From now on this side of the call is found elsewhere, as after a change of networks: that is its Contact. The peer learns
    /// it by the next change of the session, [`Session::provide_offer`] or [`Session::update`], or by its next refresh
    /// (RFC 3261 §12.2).
    ///
    /// # Errors
    /// [`SessionError::NotNow`]: there is no dialog yet.
    fn set_contact(self, dum: &mut Dum<'_>, contact: &NameAddr<'_>) -> Result<(), SessionError> {
        let this = alive(dum, self.into())?;
        let dialog = this.dialog.ok_or(SessionError::NotNow)?;
        this.moved = true;
        dum.core.dialogs.get_mut(dialog)?.dialog.set_contact(contact);
        Ok(())
    }

    /// Where the peer is found: its Contact, with what it says there of itself (RFC 3840). A conference has `isfocus`, and can be
    /// subscribed to at this address (RFC 4579 §4). What a change brings counts as soon as that is answered.
    fn remote_contact<'d>(self, dum: &'d Dum<'_>) -> Option<NameAddr<'d>> {
        let dialog = super::dialog_of(dum, self.into())?;
        dum.core.dialogs.get(dialog).ok()?.dialog.remote_contact()
    }

    /// Sends INFO in the call (RFC 6086); [`super::InviteSessionHandler::on_request_answered`] tells the answer.
    ///
    /// # Errors
    /// [`SessionError::NotNow`]: there is no dialog yet, or eight requests wait for their answers.
    fn info(self, dum: &mut Dum<'_>, content_type: &str, body: impl Into<Bytes>) -> Result<(), SessionError> {
        request(dum, self.into(), &Method::Info, |msg| msg.set_body(Some(content_type), body))
    }

    /// Sends MESSAGE in the call (RFC 3428), as [`Session::info`].
    ///
    /// # Errors
    /// As [`Session::info`].
    fn message(self, dum: &mut Dum<'_>, content_type: &str, body: impl Into<Bytes>) -> Result<(), SessionError> {
        request(dum, self.into(), &Method::Message, |msg| msg.set_body(Some(content_type), body))
    }

    /// Has the peer answer the call or take it back, or hold it: NOTIFY with the event `talk` or `hold`, as
    /// [`Session::info`].
    ///
    /// # Errors
    /// As [`Session::info`].
    fn remote_control(self, dum: &mut Dum<'_>, control: RemoteControl) -> Result<(), SessionError> {
        request(dum, self.into(), &Method::Notify, |msg| control.describe(msg))
    }

    /// Asks the peer to make a call elsewhere (RFC 3515): a transfer, when our call is ended behind it.
    /// [`crate::refer::ReferHandler`] is told how that goes; with `subscribe` false, only whether the peer will
    /// (RFC 4488). [`crate::MasterProfile::add_transfer`] comes first: else what is told of it is refused.
    ///
    /// # Errors
    /// [`SessionError::NotNow`]: there is no dialog yet. [`SessionError::NoRoom`].
    fn refer(
        self,
        dum: &mut Dum<'_>,
        refer_to: &NameAddr<'_>,
        subscribe: bool,
    ) -> Result<Handle<ClientRefer>, SessionError> {
        let dialog = alive(dum, self.into())?.dialog.ok_or(SessionError::NotNow)?;
        refer::client::send(dum, dialog, refer_to, subscribe)
    }

    /// Asks the peer to take our place in another call of ours (an attended transfer, RFC 5589 §7): Refer-To names the
    /// other call's peer, with Replaces.
    ///
    /// # Errors
    /// [`SessionError::NotNow`]: one of the calls has no dialog yet.
    fn refer_to_call(
        self,
        dum: &mut Dum<'_>,
        other: impl Into<Handle<InviteSession>>,
    ) -> Result<Handle<ClientRefer>, SessionError> {
        let refer_to = refer::client::replacing(dum, other.into()).ok_or(SessionError::NotNow)?;
        self.refer(dum, &refer_to, true)
    }

    /// The value of Replaces (RFC 3891) that names this call to its peer: an INVITE with it takes its place.
    fn replaces(self, dum: &Dum<'_>) -> Option<DialogRef<'static>> {
        refer::client::replaces(dum, self.into())
    }

    /// Ends the call as its state wants it: CANCEL, BYE, 480, or BYE as soon as the ACK has come. Of several early dialogs of
    /// one INVITE that ends this one alone, unless they are bound
    /// ([`on_fork`](super::InviteSessionHandler::on_fork)).
    /// [`super::InviteSessionHandler::on_terminated`] comes with the BYE or the 480, and of a call that is cancelled with its
    /// final response: until then it is alive, and to end it once more does nothing.
    ///
    /// # Errors
    /// [`UsageEnded`] in [`SessionError::Ended`].
    fn end(self, dum: &mut Dum<'_>) -> Result<(), SessionError> {
        alive(dum, self.into())?;
        session::step(dum, self.into(), Event::End, Cause::default());
        Ok(())
    }

    /// Ends the call as [`Session::end`] does, with what `edit` adds to the message that does it: the BYE, now or when it may
    /// leave, the 480, or the CANCEL, which has header fields only, and none yet but what it is made of. A BYE that is due since
    /// a 2xx has crossed the CANCEL has it too. A Reason (RFC 3326) says why: a phone that rang in vain notes no missed call where
    /// the cause of a CANCEL is SIP 200.
    ///
    /// # Errors
    /// As [`Session::end`].
    fn end_with(self, dum: &mut Dum<'_>, edit: impl Fn(&mut Message) + Send + 'static) -> Result<(), SessionError> {
        alive(dum, self.into())?.ending = Some(Box::new(Box::new(edit)));
        self.end(dum)
    }
}

fn receives(media: &Media<'_>) -> bool {
    let address = media.connection().and_then(|connection| connection.address.ip());
    media.direction().receives() && !address.is_some_and(|ip| ip.is_unspecified())
}

/// The next version of a description, in which all streams are received or none. `inactive` may be what two holds have left of a
/// stream that was sent, so that it is sent again with the first of them that is taken back.
fn directed(agreed: Option<Sdp>, receive: bool) -> Option<Sdp> {
    let agreed = agreed?;
    let mut offer = agreed.clone();
    let sends = |direction| direction == Direction::Inactive && receive || Direction::sends(direction);
    let directions: Vec<_> = agreed.media().map(|media| Direction::new(sends(media.direction()), receive)).collect();
    for (at, direction) in directions.into_iter().enumerate() {
        offer.media_mut(at)?.set_direction(direction);
    }
    offer.continue_from(&agreed).ok()?;
    Some(offer)
}

pub(super) fn alive<'d>(
    dum: &'d mut Dum<'_>,
    call: Handle<InviteSession>,
) -> Result<&'d mut InviteSession, UsageEnded> {
    let this = dum.session(call)?;
    if matches!(this.state, State::Ending | State::Terminated) { Err(UsageEnded) } else { Ok(this) }
}

/// INFO, MESSAGE and NOTIFY that wait for their answers.
const MAX_REQUESTS: usize = 8;

fn request(
    dum: &mut Dum<'_>,
    call: Handle<InviteSession>,
    method: &Method<'static>,
    describe: impl FnOnce(&mut Message),
) -> Result<(), SessionError> {
    let this = alive(dum, call)?;
    let waiting = this.requests.iter().filter(|(_, method)| *method != Method::Prack).count();
    let dialog = this.dialog.filter(|_| waiting < MAX_REQUESTS).ok_or(SessionError::NotNow)?;
    let mut msg = dum.make_in_dialog(dialog, method)?;
    describe(&mut msg);
    let transaction = dum.send(Usage::Invite(call), msg, SendOptions::default());
    dum.session(call)?.requests.push((transaction, method.clone()));
    Ok(())
}

/// A description for a request of the peer's, or for the ACK of its 2xx.
pub(super) fn provide(
    dum: &mut Dum<'_>,
    call: Handle<InviteSession>,
    body: Bytes,
    turn: Exchange,
) -> Result<(), SessionError> {
    let this = alive(dum, call)?;
    if this.media.exchange != turn {
        return Err(SessionError::NotNow);
    }
    if turn == Exchange::OfferReceived && !this.media.is_answered_by(&body) {
        return Err(SessionError::OtherStreams);
    }
    let body = following(this, body)?;
    let made = if turn == Exchange::OfferReceived { Move::SendAnswer } else { Move::SendOffer };
    match (this.state, this.modify) {
        (_, modify::State::ReceivedInvite | modify::State::ReceivedUpdate | modify::State::WithinInvite) => {
            let slot = if this.modify.owes_update() { Slot::Update } else { Slot::Invite };
            let mut response = make_answer(dum, call, slot, 200)?;
            response.set_body(Some(SDP), body.clone());
            let request = dum.session(call)?.slot(slot).as_ref().map(|asked| asked.msg.clone());
            if let Some(request) = request {
                in_dialog::accepts(dum, call, &request);
                in_dialog::regrant(dum, call, &request, &mut response);
            }
            dum.session(call)?.media.make(made, Some(body));
            in_dialog::step(dum, call, modify::Event::Answer, response);
        }
        // What a reliable response has settled no later one brings anew (RFC 6337 §2.2).
        (State::Received | State::Ringing, _) if this.media.local.is_none() => {
            let asked = this.asked.as_mut().ok_or(SessionError::NotNow)?;
            // RFC 3261 §13.2.1: the 2xx says the same as the provisional response that has said it first.
            if asked.told && asked.staged.as_ref() != Some(&body) {
                return Err(SessionError::NotNow);
            }
            asked.staged = Some(body);
        }
        (State::Early, _) | (_, modify::State::SentInvite) if turn == Exchange::OfferReceived => {
            if !reliable::answer(dum, call, &body) {
                return Err(SessionError::NotNow);
            }
        }
        (State::Answering, _) | (_, modify::State::Answering) if turn == Exchange::OfferReceived => {
            this.media.make(made, Some(body.clone()));
            if let Some(acked) = this.acked.last_mut() {
                acked.body = Some(body);
            }
            let first = this.state == State::Answering;
            if first {
                session::step(dum, call, Event::Answer, Cause::default());
            } else {
                in_dialog::step(dum, call, modify::Event::Answer, Cause::default());
            }
            // Where its transaction is over no 2xx comes any more.
            let this = dum.core.sessions.get_mut(call)?;
            this.forget_acks(|transaction| !dum.core.clients.contains_key(&transaction));
        }
        _ => return Err(SessionError::NotNow),
    }
    Ok(())
}

fn following(this: &InviteSession, description: Bytes) -> Result<Bytes, SessionError> {
    this.media.following(description).map_err(|_| SessionError::OtherStreams)
}

/// A re-INVITE, UPDATE or PRACK of ours that changes the session.
pub(super) fn change(
    dum: &mut Dum<'_>,
    call: Handle<InviteSession>,
    offer: Option<Bytes>,
    event: modify::Event,
) -> Result<(), SessionError> {
    let this = alive(dum, call)?;
    let early = this.state != State::Connected;
    if !in_dialog::is_idle(this) || early && event == modify::Event::SendInvite {
        return Err(SessionError::NotNow);
    }
    let offer = offer.map(|offer| following(this, offer)).transpose()?;
    glare::overtaken(dum, call);
    if offer.is_some() {
        dum.session(call)?.media.make(Move::SendOffer, offer);
    }
    in_dialog::step(dum, call, event, Cause::default());
    Ok(())
}
