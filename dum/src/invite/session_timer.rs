//! Session timers (RFC 4028): what is agreed in INVITE and UPDATE, and what follows from it.
//!
//! ```text
//!   caller:  Session-Expires: 1800 ──INVITE──►  callee: 422 with Min-SE if that is too short
//!                                  ◄──2xx─────          Session-Expires: 1800;refresher=uac or uas
//!   who refreshes: UPDATE or re-INVITE after half of it; who does not: BYE shortly before its end (§10)
//! ```

use super::machine::Event;
use super::modify;
use super::session::{self, Cause, InviteSession, fire};
use super::{in_dialog, reliable};
use crate::dum::Dum;
use crate::handle::Handle;
use crate::outcome::Outcome;
use crate::profile::{SessionTimerMode, UserProfile};
use crate::timers::TimerKind;
use stack::header::{DeltaParams, Method, Token, h, p};
use stack::message::Message;
use stack::tu::ServerTransaction;
use std::time::Duration;

/// Nothing shorter is allowed (§4).
const MIN_SE: u32 = 90;

/// Nobody is waited for longer than that without a sign of life: a session that is agreed on for longer this side refreshes too,
/// whoever else is to.
const MAX_SE: u32 = 24 * 3600;

/// So often a refresh may be tried, before the session is over.
const TRIES: u32 = 4;

/// Its option tag.
const TIMER: &str = "timer";

/// What both sides have agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SessionTimer {
    /// Seconds after which a session without a refresh is over.
    pub(super) interval: u32,
    /// Whether this side refreshes.
    pub(super) ours: bool,
    /// Whether the peer knows nothing of it: its answers to refreshes say nothing either.
    pub(super) alone: bool,
    /// Refreshes that were due since the last one that was granted.
    pub(super) tries: u32,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// Session-Expires, if there is one.
    interval: Option<u32>,
    /// Who shall refresh, if it says so: whether the side that sent the request.
    requester: Option<bool>,
    pub(super) min: Option<u32>,
    /// Whether that side knows session timers.
    supported: bool,
}

impl Asked {
    /// Reads a request.
    pub(super) fn of(msg: &Message) -> Self {
        let expires = msg.header(h::SESSION_EXPIRES).ok();
        Asked {
            interval: expires.as_ref().map(|value| value.seconds),
            requester: expires.as_ref().and_then(refresher),
            min: msg.header(h::MIN_SE).ok().map(|value| value.seconds),
            supported: msg.header(h::SUPPORTEDS).flatten().any(|tag: Token<'_>| tag.is(TIMER)),
        }
    }

    /// Whether the side that asked is to ask again, for longer (§9): one that does not know of it could not.
    fn is_too_brief(self, least: u32) -> bool {
        self.supported && self.interval.is_some_and(|asked| asked < least)
    }

    /// What the side that was asked agrees to; `own` is what it would like, 0 for nothing (§9), and `mode` who it would like
    /// to refresh.
    pub(super) fn agree(self, own: u32, mode: SessionTimerMode) -> Option<SessionTimer> {
        let least = self.min.unwrap_or(MIN_SE).max(MIN_SE);
        let interval = match (self.interval, own) {
            (Some(asked), 0) => asked.max(MIN_SE),
            (Some(asked), own) => asked.min(own.max(least)).max(MIN_SE),
            (None, 0) => return None,
            (None, own) => own.max(least),
        };
        // Table 2 of §9: who does not know of it cannot refresh.
        let requester = self.supported && self.requester.or(mode.requester(false)).unwrap_or(true);
        Some(SessionTimer { interval, ours: !requester, alone: !self.supported, tries: 0 })
    }
}

/// The least that a profile agrees to.
fn least_by(profile: &UserProfile) -> u32 {
    u32::try_from(profile.min_session_time().as_secs()).unwrap_or(u32::MAX).max(MIN_SE)
}

/// Whether a request asks for less than a profile agrees to: it is to be answered 422, as [`too_brief`] has it.
pub(super) fn is_too_brief(dum: &Dum<'_>, profile: &UserProfile, msg: &Message) -> bool {
    dum.core.master.has_option_tag(TIMER) && Asked::of(msg).is_too_brief(least_by(profile))
}

/// Writes the least that is accepted into a 422 (§6).
pub(super) fn too_brief(profile: &UserProfile, response: &mut Message) {
    response.set(h::MIN_SE, &least_by(profile));
}

/// 422 with the least that is accepted.
pub(super) fn refuse(dum: &mut Dum<'_>, profile: &UserProfile, transaction: ServerTransaction, msg: &Message) {
    let mut response = dum.make_response(msg, 422, None);
    too_brief(profile, &mut response);
    dum.respond(transaction, response);
}

/// Whether `refresher` says uac.
fn refresher(value: &DeltaParams<'_>) -> Option<bool> {
    match value.param(p::REFRESHER) {
        Some(who) if who.eq_ignore_ascii_case("uac") => Some(true),
        Some(who) if who.eq_ignore_ascii_case("uas") => Some(false),
        _ => None,
    }
}

/// What a 2xx says to the side that asked counts from now on (§7.2); where this side knows nothing of it, nothing does. A peer
/// that knows nothing of it has answered, and ends nothing by its silence.
pub(super) fn granted(dum: &mut Dum<'_>, call: Handle<InviteSession>, response: &Message) {
    let value = response.header(h::SESSION_EXPIRES).ok().filter(|_| dum.core.master.has_option_tag(TIMER));
    let Ok(this) = dum.session(call) else { return };
    this.repairs = 0;
    let alone = this.timer.filter(|timer| timer.alone).map(|timer| SessionTimer { tries: 0, ..timer });
    let timer = value.map(|value| {
        let interval = value.seconds.max(MIN_SE);
        SessionTimer { interval, ours: refresher(&value).unwrap_or(true), alone: false, tries: 0 }
    });
    start(dum, call, timer.or(alone));
}

/// So many 422 in a row are heeded, of servers that each want more than the one before.
pub(super) const MAX_REPAIRS: u8 = 8;

/// A 422 to a request of ours in the call: whether the next one asks for more than this one did, as that wants (§7.4). A 422
/// that does not want more would come for ever.
pub(super) fn raise(dum: &mut Dum<'_>, call: Handle<InviteSession>, response: &Message) -> bool {
    let least = least_of(response);
    let Ok(this) = dum.session(call) else { return false };
    let timed = matches!(response.method(), Some(Method::Invite | Method::Update)) && this.is_answered();
    // What its provisional responses have settled is not offered again.
    let settled = reliable::is_within(this);
    let Some(timer) = this.timer.filter(|_| timed && !settled) else { return false };
    if least <= timer.interval.max(this.least) || this.repairs == MAX_REPAIRS {
        return false;
    }
    (this.least, this.repairs) = (least, this.repairs + 1);
    true
}

/// What a 422 asks for.
pub(super) fn least_of(response: &Message) -> u32 {
    response.header(h::MIN_SE).map_or(MIN_SE, |value| value.seconds)
}

impl SessionTimer {
    /// Whether this side refreshes.
    fn is_refreshed(&self) -> bool {
        self.ours || self.interval > MAX_SE
    }

    /// When to look next: to refresh, to try it once more, or to end what was not refreshed (§10).
    fn wait(&self) -> Duration {
        let whole = u64::from(self.interval.min(MAX_SE));
        let (half, last) = (Duration::from_secs(whole) / 2, Duration::from_secs(whole - (whole / 3).min(32)));
        match (self.is_refreshed(), self.tries) {
            (true, 0) => half,
            (true, _) => (last - half) / TRIES,
            (false, _) => last,
        }
    }

    /// Writes it into the 2xx that grants it; `Require` only where the peer is to refresh (§9).
    pub(super) fn grant(&self, response: &mut Message) {
        let who = if self.ours { "uas" } else { "uac" };
        response.set(h::SESSION_EXPIRES, &format_args!("{};refresher={who}", self.interval));
        if !self.ours {
            response.push_back(h::REQUIRES, TIMER);
        }
    }
}

/// What the user agent would like: the profile's time, if it knows of session timers at all.
pub(super) fn wish(dum: &Dum<'_>, profile: &UserProfile) -> u32 {
    let time = u32::try_from(profile.session_time().as_secs()).unwrap_or(u32::MAX);
    if time == 0 || !dum.core.master.has_option_tag(TIMER) { 0 } else { time.max(least_by(profile)) }
}

/// Writes into the first INVITE what the profile asks for.
pub(super) fn ask_first(dum: &Dum<'_>, profile: &UserProfile, invite: &mut Message) {
    let (wish, least) = (wish(dum, profile), least_by(profile));
    if wish > 0 {
        let mut asked = DeltaParams::new(wish);
        if let Some(ours) = profile.session_timer_mode().requester(true) {
            asked = asked.with(p::REFRESHER, if ours { "uac" } else { "uas" });
        }
        invite.set(h::SESSION_EXPIRES, &asked);
        // Without it 90 is meant.
        if least > MIN_SE {
            invite.set(h::MIN_SE, &least);
        }
    }
}

/// What a 422 asks for; who is to refresh stays as it was.
pub(super) fn lengthen(invite: &mut Message, least: u32) {
    let asked = invite.header(h::SESSION_EXPIRES).map_or_else(|_| DeltaParams::new(0), DeltaParams::into_owned);
    invite.set(h::SESSION_EXPIRES, &DeltaParams { seconds: least.max(MIN_SE), ..asked });
    invite.set(h::MIN_SE, &least);
}

/// What this side agrees to of what the first INVITE asks for; where it knows nothing of it, the caller is on its own.
pub(super) fn of_invite(dum: &Dum<'_>, profile: &UserProfile, invite: &Message) -> Option<SessionTimer> {
    let timer = Asked::of(invite).agree(wish(dum, profile), profile.session_timer_mode());
    timer.filter(|_| dum.core.master.has_option_tag(TIMER))
}

/// Writes into an INVITE or UPDATE what this side asks for: before anything is agreed what the profile says, later what was
/// agreed (§7.1, §7.4).
pub(super) fn ask(dum: &Dum<'_>, call: Handle<InviteSession>, msg: &mut Message) {
    let Ok(this) = dum.core.sessions.get(call) else { return };
    if let Some(timer) = this.timer.filter(|_| this.is_answered()) {
        let who = if timer.ours { "uac" } else { "uas" };
        let least = this.least.max(least_by(&this.profile));
        msg.set(h::SESSION_EXPIRES, &format_args!("{};refresher={who}", timer.interval.max(least)));
        msg.set(h::MIN_SE, &least);
    }
}

/// From now on this counts; nothing, if nothing was agreed.
pub(super) fn start(dum: &mut Dum<'_>, call: Handle<InviteSession>, timer: Option<SessionTimer>) {
    let now = dum.now();
    let Ok(this) = dum.core.sessions.get_mut(call) else { return };
    this.timer = timer;
    match timer {
        Some(timer) => {
            dum.core.timers.set(&mut this.expiry, fire(call, TimerKind::Session), now, timer.wait());
        }
        None => this.expiry.clear(),
    }
}

/// A call that nobody answers here is refused after so long: its caller is gone without a word.
const UNANSWERED: Duration = Duration::from_secs(3600);

/// A call that is not answered yet waits from now on; the alarm is free until it is. An INVITE with Expires is worth no more
/// than that says (RFC 3261 §13.2.1, §13.3.1).
pub(super) fn wait_for_answer(dum: &mut Dum<'_>, call: Handle<InviteSession>) {
    let now = dum.now();
    let Ok(this) = dum.core.sessions.get_mut(call) else { return };
    let asked = this.asked.as_ref().and_then(|asked| lifetime(&asked.msg));
    let ours = this.call.and_then(|call| dum.core.calls.get(call).ok()?.until).map(|until| until - now);
    let patience = if this.caller { this.profile.stale_call_time() } else { UNANSWERED };
    let patience = patience.min(asked.or(ours).unwrap_or(patience));
    dum.core.timers.set(&mut this.expiry, fire(call, TimerKind::Session), now, patience);
}

/// For how long an INVITE is meant.
pub(super) fn lifetime(invite: &Message) -> Option<Duration> {
    invite.header(h::EXPIRES).ok().map(|expires| Duration::from_secs(expires.0.into()))
}

/// Half of it has passed, or nearly all.
pub(super) fn fired(dum: &mut Dum<'_>, call: Handle<InviteSession>) {
    let Ok(this) = dum.session(call) else { return };
    if !this.is_answered() {
        let expired = this.asked.as_ref().is_some_and(|asked| asked.msg.exists(h::EXPIRES));
        let out = expired.then(|| session::make_answer(dum, call, session::Slot::Invite, 487).ok()).flatten();
        return session::step(dum, call, Event::Silent, Cause { msg: None, out });
    }
    let Some(mut timer) = this.timer else { return };
    if !timer.is_refreshed() || timer.tries == TRIES {
        return session::step(dum, call, Event::Expired, Cause::default());
    }
    timer.tries += 1;
    // An UPDATE without an offer may go while the application considers a re-INVITE.
    let may = in_dialog::is_idle(this) || this.modify == modify::State::ReceivedInvite && this.peer_updates;
    let idle = may && this.refresh.is_none() && this.again.is_none();
    start(dum, call, Some(timer));
    // An exchange that is under way, or put off, refreshes it too.
    if idle {
        refresh(dum, call);
    }
}

/// An UPDATE without a description, where the peer allows it; else a re-INVITE with the same offer (§7.4).
pub(super) fn refresh(dum: &mut Dum<'_>, call: Handle<InviteSession>) {
    let Ok(this) = dum.session(call) else { return };
    if !this.peer_updates {
        return invite_again(dum, call);
    }
    if let (Ok(sent), Ok(this)) = (session::send(dum, call, &Method::Update, None), dum.session(call)) {
        this.refresh = Some(sent);
    }
}

fn invite_again(dum: &mut Dum<'_>, call: Handle<InviteSession>) {
    let Ok(this) = dum.session(call) else { return };
    let offer = this.media.local.clone();
    if offer.is_some() {
        this.media.make(super::offer_answer::Move::SendOffer, offer);
    }
    in_dialog::step(dum, call, modify::Event::SendInvite, Cause::default());
    if let Ok(this) = dum.session(call) {
        this.refresh = this.sent;
    }
}

/// The UPDATE that was to refresh the session is refused. Where that is for what it is, a re-INVITE does it at once, and for the
/// rest of the call where UPDATE is not known at all; a 422 that wants nothing new, and what has come at
/// the wrong time (481, 491, 5xx), is left to the timer.
pub(super) fn refused(dum: &mut Dum<'_>, call: Handle<InviteSession>, status: u16) {
    let Ok(this) = dum.session(call) else { return };
    if matches!(status, 405 | 501) {
        this.peer_updates = false;
    }
    let later = matches!(status, 422 | 481 | 491 | 500 | 502..600);
    if !later && this.timer.is_some() && this.again.is_none() && in_dialog::is_idle(this) {
        invite_again(dum, call);
    }
}

/// The UPDATE that refreshes the session was answered, or not (RFC 4028 §10). What else there may be of it, the timer ends.
pub(super) fn refreshed(dum: &mut Dum<'_>, call: Handle<InviteSession>, outcome: &Outcome) {
    match (outcome.status, &outcome.response) {
        (200..300, Some(response)) => {
            if let Some(dialog) = super::dialog_of(dum, call) {
                dum.core.dialogs.answered(dialog, response);
            }
            granted(dum, call, response);
        }
        (422, Some(response)) if raise(dum, call, response) => refresh(dum, call),
        _ => match in_dialog::loss(dum, call, outcome) {
            Some(event) => session::step(dum, call, event, in_dialog::cause_of(outcome)),
            None => refused(dum, call, outcome.status),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(interval: Option<u32>, requester: Option<bool>, min: Option<u32>, supported: bool) -> Asked {
        Asked { interval, requester, min, supported }
    }

    /// The tables of RFC 4028 §9.
    #[test]
    fn what_is_agreed() {
        let timer = |interval, ours| Some(SessionTimer { interval, ours, alone: false, tries: 0 });
        for (request, own, agreed) in [
            (asked(None, None, None, false), 0, None),
            (asked(None, None, None, true), 0, None),
            // The caller knows nothing of it: the callee refreshes.
            (asked(None, None, None, false), 1800, timer(1800, true)),
            (asked(Some(600), None, None, false), 1800, timer(600, true)),
            (asked(None, None, None, true), 1800, timer(1800, false)),
            (asked(Some(3600), None, None, true), 1800, timer(1800, false)),
            (asked(Some(3600), Some(true), None, true), 1800, timer(1800, false)),
            (asked(Some(3600), Some(false), None, true), 1800, timer(1800, true)),
            // It may be shortened, but not below what the way demands.
            (asked(Some(3600), None, Some(2400), true), 1800, timer(2400, false)),
            (asked(Some(3600), None, None, true), 0, timer(3600, false)),
            // Who knows nothing of it is not asked to ask for more.
            (asked(Some(60), None, None, false), 1800, timer(90, true)),
            (asked(Some(60), None, None, false), 0, timer(90, true)),
        ] {
            assert!(!request.is_too_brief(MIN_SE), "{request:?}");
            let agreed = agreed.map(|timer| SessionTimer { alone: !request.supported, ..timer });
            assert_eq!(request.agree(own, SessionTimerMode::PreferUac), agreed, "{request:?} {own}");
        }
        // Who refreshes is for the callee to say where the caller does not, and knows how.
        use SessionTimerMode::*;
        for (mode, requester, supported, ours) in [
            (PreferUac, None, true, false),
            (PreferUas, None, true, true),
            (PreferLocal, None, true, true),
            (PreferRemote, None, true, false),
            (PreferLocal, Some(true), true, false),
            (PreferRemote, Some(false), true, true),
            (PreferRemote, None, false, true),
        ] {
            let agreed = asked(Some(600), requester, None, supported).agree(1800, mode).unwrap();
            assert_eq!(agreed.ours, ours, "{mode:?} {requester:?} {supported}");
        }
        for (interval, least, brief) in [(60, 90, true), (90, 90, false), (299, 300, true), (300, 300, false)] {
            assert_eq!(asked(Some(interval), None, None, true).is_too_brief(least), brief);
        }
    }

    #[test]
    fn when_it_is_refreshed_and_when_it_is_over() {
        let wait = |interval, ours, tries| SessionTimer { interval, ours, alone: false, tries }.wait().as_millis();
        assert_eq!((wait(1800, true, 0), wait(1800, true, 1), wait(1800, false, 0)), (900_000, 217_000, 1_768_000));
        assert_eq!((wait(90, true, 0), wait(90, true, 4), wait(90, false, 0)), (45_000, 3_750, 60_000));
    }
}
