//! What one SUBSCRIBE of ours makes: its subscriptions, one for each fork, and the attempts that follow when they end.
//!
//! ```text
//!                      NOTIFY: one more subscription
//!                              ┌───┐
//!   send_subscribe ──► Open ───┴───┘──Timer N──► Closed: the subscriptions that there are
//!                       │                           │
//!                       └── refused, no NOTIFY, or the last subscription is over ──► ended
//!                                        └── to be tried again ──► Waiting ──► Open, with a new Call-ID
//! ```

use super::state::EventId;
use super::{Callback, ClientSubscription, SubscriptionEnd};
use crate::core::Core;
use crate::dialog::Dialog;
use crate::dialogs::{DialogSet, MAX_FORKS};
use crate::dispatch::Request;
use crate::dum::Dum;
use crate::handle::{Handle, NoRoom, NotSent, UsageEnded};
use crate::outcome::Outcome;
use crate::profile::UserProfile;
use crate::registration::times::LONGEST_TOLD;
use crate::timers::{Alarm, Fire, TimerKind};
use crate::usage::Usage;
use rutil::Time;
use smallvec::SmallVec;
use stack::header::{Method, NameAddr, h, p};
use stack::message::Message;
use stack::tu::{ClientTransaction, SendOptions};
use std::sync::Arc;
use std::time::Duration;

/// The longest wait that attempts that fail one after the other lead to.
const MAX_BACKOFF: Duration = Duration::from_secs(3600);

/// What one SUBSCRIBE of ours makes, until nothing more is to come of it.
#[derive(Debug)]
pub struct ClientSubscriptionSet {
    pub(super) event: EventId,
    profile: Arc<UserProfile>,
    /// What is sent again when it is to be tried again.
    request: Box<Message>,
    pub(crate) set: Option<Handle<DialogSet>>,
    transaction: Option<ClientTransaction>,
    subscriptions: SmallVec<[Handle<ClientSubscription>; 1]>,
    /// Forks of this attempt that are over, by their tags: what they sent before they were and comes late begins nothing.
    over: SmallVec<[Box<str>; 0]>,
    /// Seconds that are asked for, and those that the 2xx grants.
    expires: u32,
    /// The request under way is the answer to a 423.
    raised: bool,
    granted: Option<u32>,
    /// When it was sent last, and how many attempts before that one came to nothing.
    sent: Time,
    failures: u8,
    /// How the last subscription of this attempt ended.
    last: Option<SubscriptionEnd>,
    /// The application wants no more of it.
    ending: bool,
    /// Timer N, then the time of the next attempt.
    timer_n: Alarm,
    retry: Alarm,
}

/// The profile by which it sends.
pub(crate) fn profile(core: &Core, set: Handle<ClientSubscriptionSet>) -> Option<Arc<UserProfile>> {
    core.subscription_sets.get(set).ok().map(|this| this.profile.clone())
}

/// Whether it waits for the answer to its SUBSCRIBE: one that is to end makes no further attempt.
pub(crate) fn awaits(core: &Core, set: Handle<ClientSubscriptionSet>, transaction: ClientTransaction) -> bool {
    core.subscription_sets.get(set).is_ok_and(|this| this.transaction == Some(transaction) && !this.ending)
}

/// The SUBSCRIBE was sent once more, with another number.
pub(crate) fn resent(core: &mut Core, set: Handle<ClientSubscriptionSet>, new: ClientTransaction, cseq: u32) {
    if let Ok(this) = core.subscription_sets.get_mut(set) {
        this.transaction = Some(new);
        this.request.set(h::CSEQ, &format_args!("{cseq} SUBSCRIBE"));
    }
}

impl Dum<'_> {
    /// A SUBSCRIBE for the events of a package, with the Accept of [`crate::EventPackage`] and the profile's time. With
    /// `Expires: 0` it fetches the state once (RFC 6665 §4.4.3).
    pub fn make_subscribe(&mut self, profile: &UserProfile, target: &NameAddr<'_>, event: &str) -> Message {
        let mut msg = self.make_request(profile, &Method::Subscribe, target);
        msg.set(h::EVENT, event);
        msg.set(h::EXPIRES, &profile.subscription_time().as_secs().min(u32::MAX.into()));
        let name = event.split(';').next().unwrap_or_default().trim();
        let types = self.core.master.package(name).map_or(&[][..], |package| package.accept());
        types.iter().for_each(|media| msg.push_back(h::ACCEPTS, media));
        msg
    }

    /// Subscribes: sends a SUBSCRIBE that [`Dum::make_subscribe`] made. What comes of it is told to
    /// [`super::ClientSubscriptionHandler`].
    ///
    /// # Errors
    /// [`NotSent`]: there is no room, or the message is no SUBSCRIBE with an Event, or was sent before.
    pub fn send_subscribe(
        &mut self,
        profile: &Arc<UserProfile>,
        msg: Message,
    ) -> Result<Handle<ClientSubscriptionSet>, NotSent> {
        if !self.is_request_of(&msg, &Method::Subscribe) {
            return Err(NotSent::Unfit("a SUBSCRIBE is expected, as Dum::make_subscribe makes it"));
        }
        let event = EventId::of(&msg).map_err(|_| NotSent::Unfit("a SUBSCRIBE needs an Event"))?;
        if self.core.dialogs.is_known(&msg) {
            return Err(NotSent::Unfit("this SUBSCRIBE was sent before: each has a Call-ID of its own"));
        }
        let wish = || profile.subscription_time().as_secs().try_into().unwrap_or(u32::MAX);
        let expires = msg.header(h::EXPIRES).map_or_else(|_| wish(), |expires| expires.0);
        let handle = self.core.subscription_sets.insert(ClientSubscriptionSet {
            event,
            profile: profile.clone(),
            request: Box::new(msg),
            set: None,
            transaction: None,
            subscriptions: SmallVec::new(),
            over: SmallVec::new(),
            expires,
            raised: false,
            granted: None,
            sent: self.now(),
            failures: 0,
            last: None,
            ending: false,
            timer_n: Alarm::OFF,
            retry: Alarm::OFF,
        })?;
        let begun = begin(self, handle);
        if begun.is_err() {
            let _ = self.core.subscription_sets.remove(handle);
        }
        Ok(begun.map(|()| handle)?)
    }
}

impl Handle<ClientSubscriptionSet> {
    /// Ends it: all its subscriptions, those of forks that have not been heard of yet, and further attempts.
    ///
    /// # Errors
    /// [`UsageEnded`].
    pub fn end(self, dum: &mut Dum<'_>) -> Result<(), UsageEnded> {
        let this = dum.core.subscription_sets.get_mut(self)?;
        this.ending = true;
        if this.retry.is_set() {
            remove(dum, self);
            return Ok(());
        }
        for sub in this.subscriptions.clone() {
            let _ = sub.end(dum);
        }
        Ok(())
    }

    /// Its subscriptions.
    ///
    /// # Errors
    /// [`UsageEnded`].
    pub fn subscriptions<'a>(self, dum: &'a Dum<'_>) -> Result<&'a [Handle<ClientSubscription>], UsageEnded> {
        Ok(&dum.core.subscription_sets.get(self)?.subscriptions)
    }
}

/// Opens a dialog set for the request and sends it.
fn begin(dum: &mut Dum<'_>, handle: Handle<ClientSubscriptionSet>) -> Result<(), NoRoom> {
    let this = dum.core.subscription_sets.get(handle).map_err(|_| NoRoom)?;
    let call_id = this.request.header(h::CALL_ID).map_err(|_| NoRoom)?;
    let from = this.request.header(h::FROM).map_err(|_| NoRoom)?;
    let tag = from.param(p::TAG).unwrap_or_default();
    let creator = Some(Usage::Subscribing(handle));
    let set = dum.core.dialogs.open(call_id.as_str(), tag, this.profile.clone(), creator)?;
    if let Ok(this) = dum.core.subscription_sets.get_mut(handle) {
        this.set = Some(set);
        this.over.clear();
    }
    send(dum, handle);
    Ok(())
}

/// Sends the request as it is, with Timer N (RFC 6665 §4.1.2.4).
fn send(dum: &mut Dum<'_>, handle: Handle<ClientSubscriptionSet>) {
    let (now, long) = (dum.now(), dum.core.values.long());
    let Ok(this) = dum.core.subscription_sets.get_mut(handle) else { return };
    (this.sent, this.last, this.granted) = (now, None, None);
    dum.core.timers.set(&mut this.timer_n, fire(handle, TimerKind::Notify), now, long);
    let msg = (*this.request).clone();
    let transaction = dum.send(Usage::Subscribing(handle), msg, SendOptions::default());
    if let Ok(this) = dum.core.subscription_sets.get_mut(handle) {
        this.transaction = Some(transaction);
    }
}

fn fire(set: Handle<ClientSubscriptionSet>, kind: TimerKind) -> Fire {
    Fire { usage: Usage::Subscribing(set), kind }
}

/// Whether a request is a NOTIFY for it, in a dialog that is not there yet.
pub(crate) fn takes(core: &Core, set: Handle<ClientSubscriptionSet>, request: &Message) -> bool {
    let this = core.subscription_sets.get(set);
    request.method() == Some(Method::Notify) && this.is_ok_and(|this| this.event.matches(request))
}

/// A NOTIFY that makes a dialog: it may come before the response to the SUBSCRIBE, and from each fork.
pub(crate) fn notified(dum: &mut Dum<'_>, handle: Handle<ClientSubscriptionSet>, request: Request) {
    let Ok(this) = dum.core.subscription_sets.get(handle) else { return };
    let (Some(set), ending) = (this.set, this.ending) else { return };
    let tag =
        request.msg.header(h::FROM).ok().and_then(|from| from.param(p::TAG).map(str::to_owned)).unwrap_or_default();
    if this.over.len() >= MAX_FORKS || this.over.iter().any(|over| **over == *tag) {
        return dum.refuse(request.transaction, &request.msg, 481);
    }
    let Ok(dialog) = Dialog::of_notify(&this.request, &request.msg) else {
        return dum.refuse(request.transaction, &request.msg, 400);
    };
    if super::state::Notified::of(&request.msg).is_err() {
        return dum.refuse(request.transaction, &request.msg, 400);
    }
    let until = this.sent + Duration::from_secs(this.granted.unwrap_or(this.expires).into());
    let package = this.event.package.clone();
    let Ok(sub) = add(dum, handle, set, dialog, until) else {
        // More forks than there is room for: their notifiers are to forget it.
        return dum.refuse(request.transaction, &request.msg, 481);
    };
    dum.call_back(Callback::New { package, set: handle, sub, msg: request.msg.clone() });
    super::client::notified(dum, sub, request);
    if ending {
        let _ = sub.end(dum);
    }
}

fn add(
    dum: &mut Dum<'_>,
    handle: Handle<ClientSubscriptionSet>,
    set: Handle<DialogSet>,
    dialog: Dialog,
    until: Time,
) -> Result<Handle<ClientSubscription>, NoRoom> {
    // The dialog has its usage from the beginning, the usage its dialog: one of them is there first.
    let entry = dum.core.dialogs.add(set, dialog, Usage::Subscribing(handle))?;
    let inserted = dum.core.client_subscriptions.insert(ClientSubscription::new(handle, entry, until));
    if let Ok(sub) = inserted {
        let _ = dum.core.dialogs.join(entry, Usage::ClientSubscription(sub));
        if let Ok(this) = dum.core.subscription_sets.get_mut(handle) {
            this.subscriptions.push(sub);
        }
    }
    dum.core.dialogs.leave(entry, Usage::Subscribing(handle));
    inserted
}

/// The SUBSCRIBE was answered, or not.
pub(crate) fn outcome(
    dum: &mut Dum<'_>,
    handle: Handle<ClientSubscriptionSet>,
    transaction: ClientTransaction,
    outcome: &Outcome,
) {
    let Ok(this) = dum.core.subscription_sets.get_mut(handle) else { return };
    if this.transaction != Some(transaction) || outcome.is_provisional() {
        return;
    }
    this.transaction = None;
    let raised = std::mem::take(&mut this.raised);
    let response = outcome.response.as_deref();
    if outcome.is_success() || !this.subscriptions.is_empty() {
        // Timer N waits for the NOTIFY; a fork that notified counts more than a refusal.
        this.granted = response.and_then(|msg| msg.header(h::EXPIRES).ok()).map(|expires| expires.0);
        if let Some(seconds) = this.granted.filter(|_| outcome.is_success()) {
            let subscriptions = this.subscriptions.clone();
            subscriptions.into_iter().for_each(|sub| super::client::granted(dum, sub, seconds));
        }
        return;
    }
    if outcome.status == 423 && !this.ending && !raised && raise(this, response) {
        let cseq = this.request.header(h::CSEQ).map_or(1, |cseq| cseq.number);
        this.request.set(h::CSEQ, &format_args!("{} SUBSCRIBE", cseq.saturating_add(1)));
        return send(dum, handle);
    }
    let retry = response.and_then(|msg| msg.header(h::RETRY_AFTER).ok());
    let retry = retry.map(|after| Duration::from_secs(after.seconds.into()));
    fail(dum, handle, SubscriptionEnd::Refused(outcome.status), outcome.response.clone(), retry);
}

/// Takes the Min-Expires of a 423, if it is more than was asked for; what was to be fetched once stays so.
fn raise(this: &mut ClientSubscriptionSet, response: Option<&Message>) -> bool {
    let least = response.and_then(|msg| msg.header(h::MIN_EXPIRES).ok()).map_or(0, |least| least.0);
    let more = this.expires > 0 && least > this.expires;
    if more {
        // A notifier that wants more each time is answered as one that refuses.
        this.raised = true;
        this.expires = least;
        this.request.set(h::EXPIRES, &least);
    }
    more
}

/// Nothing came of the SUBSCRIBE.
fn fail(
    dum: &mut Dum<'_>,
    handle: Handle<ClientSubscriptionSet>,
    end: SubscriptionEnd,
    msg: Option<Arc<Message>>,
    retry: Option<Duration>,
) {
    let Ok(this) = dum.core.subscription_sets.get(handle) else { return };
    let package = this.event.package.clone();
    dum.call_back(Callback::Failure { package, set: handle, end, msg });
    over(dum, handle, end, retry);
}

/// There is no subscription any more, and none to come: the application says whether to try again.
fn over(dum: &mut Dum<'_>, handle: Handle<ClientSubscriptionSet>, end: SubscriptionEnd, retry: Option<Duration>) {
    let Ok(this) = dum.core.subscription_sets.get_mut(handle) else { return };
    if this.ending || this.expires == 0 {
        return remove(dum, handle);
    }
    // A late answer to the SUBSCRIBE means nothing any more.
    this.transaction = None;
    this.timer_n.clear();
    let (package, retry) = (this.event.package.clone(), retry.map(|after| after.min(LONGEST_TOLD)));
    dum.call_back(Callback::Retry { package, set: handle, end, retry });
}

/// One of its subscriptions is over: which, and the tag of its notifier.
pub(super) fn subscription_ended(
    dum: &mut Dum<'_>,
    handle: Handle<ClientSubscriptionSet>,
    (sub, tag): (Handle<ClientSubscription>, Box<str>),
    end: SubscriptionEnd,
    retry: Option<Duration>,
) {
    let Ok(this) = dum.core.subscription_sets.get_mut(handle) else { return };
    this.subscriptions.retain(|known| *known != sub);
    if this.set.is_some() {
        this.over.push(tag);
    }
    this.last = Some(end);
    let forks_may_come = this.timer_n.is_set() && (retry.is_none() || this.expires == 0);
    if this.subscriptions.is_empty() && !forks_may_come {
        over(dum, handle, end, retry);
    }
}

/// The application has said when to try again, if at all. Attempts that come to nothing one after the other wait longer
/// each time, so a notifier that refuses at once makes no loop.
pub(super) fn retry(dum: &mut Dum<'_>, handle: Handle<ClientSubscriptionSet>, after: Option<Duration>) {
    let (now, values) = (dum.now(), dum.core.values);
    let Ok(this) = dum.core.subscription_sets.get_mut(handle) else { return };
    let Some(after) = after.filter(|_| !this.ending) else { return remove(dum, handle) };
    let lasted = now - this.sent >= values.long();
    this.failures = if lasted { 0 } else { this.failures.saturating_add(1) };
    let backoff = match this.failures.saturating_sub(1) {
        0 => Duration::ZERO,
        n => (values.t1 * (1 << n.min(20))).min(MAX_BACKOFF),
    };
    if let Some(set) = this.set.take() {
        dum.core.dialogs.close(set);
    }
    dum.core.timers.set(&mut this.retry, fire(handle, TimerKind::Subscription), now, after.max(backoff));
}

/// Timer N, or the time of the next attempt.
pub(crate) fn timer(dum: &mut Dum<'_>, handle: Handle<ClientSubscriptionSet>, fire: Fire) {
    let now = dum.now();
    let Ok(this) = dum.core.subscription_sets.get_mut(handle) else { return };
    match fire.kind {
        TimerKind::Notify if dum.core.timers.is_due(&mut this.timer_n, fire, now) => closed(dum, handle),
        TimerKind::Subscription if dum.core.timers.is_due(&mut this.retry, fire, now) => again(dum, handle),
        _ => {}
    }
}

/// No further forks are waited for.
fn closed(dum: &mut Dum<'_>, handle: Handle<ClientSubscriptionSet>) {
    let Ok(this) = dum.core.subscription_sets.get_mut(handle) else { return };
    let (none, last, ending) = (this.subscriptions.is_empty(), this.last, this.ending);
    if let Some(set) = this.set.take() {
        dum.core.dialogs.close(set);
    }
    match last {
        _ if !none => {}
        Some(end) => over(dum, handle, end, None),
        None if ending => over(dum, handle, SubscriptionEnd::Local, None),
        None => fail(dum, handle, SubscriptionEnd::Timeout, None, None),
    }
}

/// The same once more, as a request of its own.
fn again(dum: &mut Dum<'_>, handle: Handle<ClientSubscriptionSet>) {
    let (call_id, tag) = (dum.rng().token::<24>(), dum.stack.new_tag());
    let Ok(this) = dum.core.subscription_sets.get_mut(handle) else { return };
    let Ok(from) = this.request.header(h::FROM).map(|from| from.into_owned()) else { return };
    let from = NameAddr { params: Default::default(), ..from };
    let request = &mut this.request;
    request.set(h::FROM, &from.with("tag", &tag));
    request.set(h::CALL_ID, &call_id);
    request.set(h::CSEQ, "1 SUBSCRIBE");
    if begin(dum, handle).is_err() {
        fail(dum, handle, SubscriptionEnd::Timeout, None, Some(MAX_BACKOFF));
    }
}

fn remove(dum: &mut Dum<'_>, handle: Handle<ClientSubscriptionSet>) {
    let Ok(this) = dum.core.subscription_sets.remove(handle) else { return };
    if let Some(set) = this.set {
        dum.core.dialogs.close(set);
    }
    dum.call_back(Callback::Ended { package: this.event.package, set: handle });
}

/// The package of a subscription.
pub(super) fn package(dum: &Dum<'_>, sub: Handle<ClientSubscription>) -> Arc<str> {
    let set = dum.core.client_subscriptions.get(sub).and_then(|this| dum.core.subscription_sets.get(this.set));
    set.map_or_else(|_| "".into(), |set| set.event.package.clone())
}

/// Writes what a SUBSCRIBE in a dialog says as the first one did: Event, Accept, Expires.
pub(super) fn describe(dum: &Dum<'_>, sub: Handle<ClientSubscription>, msg: &mut Message) {
    let set = dum.core.client_subscriptions.get(sub).and_then(|this| dum.core.subscription_sets.get(this.set));
    let Ok(set) = set else { return };
    for name in ["Event", "Accept"] {
        for value in set.request.raw_values(name) {
            msg.append_line(name, &String::from_utf8_lossy(value));
        }
    }
    msg.set(h::EXPIRES, &set.expires);
}

/// Whether the request that was answered asked for longer after a 423.
pub(super) fn take_raised(dum: &mut Dum<'_>, sub: Handle<ClientSubscription>) -> bool {
    let Ok(set) = dum.core.client_subscriptions.get(sub).map(|this| this.set) else { return false };
    dum.core.subscription_sets.get_mut(set).is_ok_and(|this| std::mem::take(&mut this.raised))
}

/// A refresh was too brief: whether to ask for longer.
pub(super) fn lengthen(dum: &mut Dum<'_>, sub: Handle<ClientSubscription>, response: Option<&Message>) -> bool {
    let Ok(set) = dum.core.client_subscriptions.get(sub).map(|this| this.set) else { return false };
    dum.core.subscription_sets.get_mut(set).is_ok_and(|this| raise(this, response))
}
