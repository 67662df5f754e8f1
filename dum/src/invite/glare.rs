//! Changes that meet others on their way (RFC 3261 §14.1, RFC 3311 §5.2): they are put off and made once more, or the
//! application hears that they are not.

use super::callback::What;
use super::machine::State;
use super::offer_answer::Move;
use super::session::{Cause, InviteSession, fire};
use super::{in_dialog, modify};
use crate::dum::Dum;
use crate::handle::Handle;
use crate::outcome::Outcome;
use crate::timers::TimerKind;
use bytes::Bytes;
use std::time::Duration;

/// So often in a row a change is put off, before the application hears that the peer does not want any.
const MOST: u8 = 10;

/// A change that waits.
pub(super) struct PutOff {
    /// Without one it asks for an offer.
    offer: Option<Bytes>,
    /// It was a re-INVITE.
    invite: bool,
    /// What put it off.
    outcome: Outcome,
}

/// A change of ours was answered with 491: whether it is to be made once more.
pub(super) fn put_off(this: &mut InviteSession, outcome: &Outcome) -> bool {
    if this.glares == MOST {
        return false;
    }
    this.glares += 1;
    let (offer, invite) = (this.media.offer.clone(), this.modify == modify::State::SentInvite);
    this.again = Some(Box::new(PutOff { offer, invite, outcome: outcome.clone() }));
    true
}

/// The application changes the session anew: what was put off will not be made, and it hears of that.
pub(super) fn overtaken(dum: &mut Dum<'_>, call: Handle<InviteSession>) {
    let Ok(this) = dum.session(call) else { return };
    this.glares = 0;
    if let Some(put_off) = this.again.take() {
        dum.tell(call, What::OfferRejected(put_off.outcome), None);
    }
}

/// Sets the glare timer: the owner of the Call-ID waits longer (RFC 3261 §14.1).
pub(super) fn arm(dum: &mut Dum<'_>, call: Handle<InviteSession>) {
    let now = dum.now();
    let random = dum.rng().range(201);
    let Ok(this) = dum.core.sessions.get_mut(call) else { return };
    let millis = if this.caller { 2100 + 10 * (random % 191) } else { 10 * random };
    let after = Duration::from_millis(millis);
    dum.core.timers.set(&mut this.glare, fire(call, TimerKind::Glare), now, after);
}

/// The glare timer: the change is made, or waits for what is under way now.
pub(super) fn again(dum: &mut Dum<'_>, call: Handle<InviteSession>) {
    let Ok(this) = dum.session(call) else { return };
    let asks = this.again.as_ref().is_some_and(|put_off| put_off.offer.is_none());
    // RFC 3311 §5.1: UPDATE cannot ask for an offer.
    let ready = in_dialog::is_idle(this) && (this.state == State::Connected || !asks);
    let over = matches!(this.state, State::Ending | State::Terminated);
    let Some(put_off) = this.again.take_if(|_| ready || over) else {
        if this.again.is_some() {
            arm(dum, call);
        }
        return;
    };
    if over {
        return;
    }
    // This side may have agreed to something else meanwhile, and to more streams.
    let Ok(offer) = put_off.offer.clone().map(|offer| this.media.following(offer)).transpose() else {
        return dum.tell(call, What::OfferRejected(put_off.outcome), None);
    };
    // In an early dialog there is no other way; what was an UPDATE asks nobody, and a re-INVITE might ring.
    let update = this.state != State::Connected || !put_off.invite && this.peer_updates;
    let event = if update { modify::Event::SendUpdate } else { modify::Event::SendInvite };
    if offer.is_some() {
        this.media.make(Move::SendOffer, offer);
    }
    in_dialog::step(dum, call, event, Cause::default());
}
