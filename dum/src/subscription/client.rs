//! A subscription of ours in one dialog (RFC 6665 §4.1).

use super::machine::{Action, Event, State, step};
use super::set::{self, ClientSubscriptionSet};
use super::state::Notified;
use super::{Callback, SubscriptionEnd};
use crate::core::Core;
use crate::dialogs::DialogEntry;
use crate::dispatch::Request;
use crate::dum::Dum;
use crate::effect::{self, Effect};
use crate::handle::{Handle, UsageEnded};
use crate::outcome::Outcome;
use crate::profile::UserProfile;
use crate::timers::{Alarm, Fire, TimerKind};
use crate::usage::Usage;
use rutil::Time;
use stack::header::{Method, h};
use stack::message::Message;
use stack::tu::{ClientTransaction, SendOptions};
use std::sync::Arc;
use std::time::Duration;

/// A subscription of ours: of the dialog that one NOTIFY made. A SUBSCRIBE that forks makes several.
#[derive(Debug)]
pub struct ClientSubscription {
    pub(super) set: Handle<ClientSubscriptionSet>,
    pub(crate) dialog: Handle<DialogEntry>,
    state: State,
    /// The SUBSCRIBE under way.
    pub(crate) transaction: Option<ClientTransaction>,
    /// Until when it lasts, as far as we have heard.
    until: Time,
    /// The next refresh; while one is under way, the end.
    alarm: Alarm,
    timer_n: Alarm,
    /// What will be told when it is over, if we know already.
    retry_after: Option<u32>,
    end: Option<SubscriptionEnd>,
}

impl ClientSubscription {
    pub(super) fn new(set: Handle<ClientSubscriptionSet>, dialog: Handle<DialogEntry>, until: Time) -> Self {
        let (state, alarm, timer_n) = (State::Subscribed, Alarm::OFF, Alarm::OFF);
        ClientSubscription {
            set,
            dialog,
            state,
            transaction: None,
            until,
            alarm,
            timer_n,
            retry_after: None,
            end: None,
        }
    }
}

/// The profile by which it sends.
pub(crate) fn profile(core: &Core, sub: Handle<ClientSubscription>) -> Option<Arc<UserProfile>> {
    core.dialogs.profile_of(core.client_subscriptions.get(sub).ok()?.dialog).ok().cloned()
}

/// The SUBSCRIBE under way was sent once more.
pub(crate) fn resent(core: &mut Core, sub: Handle<ClientSubscription>, new: ClientTransaction) {
    if let Ok(this) = core.client_subscriptions.get_mut(sub) {
        this.transaction = Some(new);
    }
}

impl Handle<ClientSubscription> {
    /// Asks for the state now: a SUBSCRIBE, which also prolongs it. While one is under way nothing is sent.
    ///
    /// # Errors
    /// [`UsageEnded`].
    pub fn refresh(self, dum: &mut Dum<'_>) -> Result<(), UsageEnded> {
        dum.core.client_subscriptions.get(self)?;
        happen(dum, self, Event::Due, None);
        Ok(())
    }

    /// Ends it: a SUBSCRIBE with Expires 0. NOTIFYs are told until the last one, which is told as
    /// [`SubscriptionEnd::Local`].
    ///
    /// # Errors
    /// [`UsageEnded`].
    pub fn end(self, dum: &mut Dum<'_>) -> Result<(), UsageEnded> {
        let this = dum.core.client_subscriptions.get_mut(self)?;
        this.end = Some(SubscriptionEnd::Local);
        happen(dum, self, Event::End, None);
        Ok(())
    }

    /// The SUBSCRIBE that it comes from.
    ///
    /// # Errors
    /// [`UsageEnded`].
    pub fn set(self, dum: &Dum<'_>) -> Result<Handle<ClientSubscriptionSet>, UsageEnded> {
        Ok(dum.core.client_subscriptions.get(self)?.set)
    }
}

/// Whether a request in the dialog is one of its NOTIFYs.
pub(crate) fn takes(core: &Core, sub: Handle<ClientSubscription>, request: &Message) -> bool {
    let set = core.client_subscriptions.get(sub).and_then(|this| core.subscription_sets.get(this.set));
    request.method() == Some(Method::Notify) && set.is_ok_and(|set| set.event.matches(request))
}

/// A NOTIFY of it.
pub(crate) fn notified(dum: &mut Dum<'_>, sub: Handle<ClientSubscription>, request: Request) {
    let Request { transaction, msg } = request;
    // RFC 6665 §8.2.3: it stands in every NOTIFY.
    let Ok(notified) = Notified::of(&msg) else { return dum.refuse(transaction, &msg, 400) };
    dum.refuse(transaction, &msg, 200);
    let now = dum.now();
    let Ok(this) = dum.core.client_subscriptions.get_mut(sub) else { return };
    dum.core.dialogs.accepted(this.dialog, &msg);
    match notified {
        Notified::Live { state, expires } => {
            if let Some(seconds) = expires {
                this.until = now + Duration::from_secs(seconds.into());
            }
            let package = set::package(dum, sub);
            dum.call_back(Callback::Update { package, sub, state, msg });
            happen(dum, sub, Event::Notify, None);
        }
        Notified::Terminated { reason, retry_after } => {
            this.end.get_or_insert(SubscriptionEnd::Terminated(reason));
            this.retry_after = retry_after;
            happen(dum, sub, Event::Terminated, Some(msg));
        }
    }
}

/// The answer to the SUBSCRIBE came after the NOTIFY: it may grant less than that let expect.
pub(super) fn granted(dum: &mut Dum<'_>, sub: Handle<ClientSubscription>, seconds: u32) {
    let until = dum.now() + Duration::from_secs(seconds.into());
    let Ok(this) = dum.core.client_subscriptions.get_mut(sub) else { return };
    if until < this.until && this.state == State::Subscribed {
        this.until = until;
        arm_refresh(dum, sub);
    }
}

/// A SUBSCRIBE of it was answered, or not.
pub(crate) fn outcome(
    dum: &mut Dum<'_>,
    sub: Handle<ClientSubscription>,
    transaction: ClientTransaction,
    outcome: &Outcome,
) {
    let now = dum.now();
    let Ok(this) = dum.core.client_subscriptions.get_mut(sub) else { return };
    if this.transaction != Some(transaction) || outcome.is_provisional() {
        return;
    }
    this.transaction = None;
    let raised = set::take_raised(dum, sub);
    let Ok(this) = dum.core.client_subscriptions.get_mut(sub) else { return };
    let response = outcome.response.as_deref();
    let event = match outcome.status {
        200..300 => {
            this.retry_after = None;
            if let Some(response) = response {
                dum.core.dialogs.answered(this.dialog, response);
            }
            if let Some(Ok(expires)) = response.map(|msg| msg.header(h::EXPIRES)) {
                this.until = now + Duration::from_secs(expires.0.into());
            }
            Event::Success
        }
        status if response.is_some_and(|response| effect::of(response) != Effect::Transaction) => {
            this.end.get_or_insert(SubscriptionEnd::Refused(status));
            Event::Gone
        }
        status => {
            this.retry_after = response.and_then(|msg| msg.header(h::RETRY_AFTER).ok()).map(|after| after.seconds);
            if status == 423 && !raised && set::lengthen(dum, sub, response) { Event::TooBrief } else { Event::Refused }
        }
    };
    happen(dum, sub, event, outcome.response.clone());
}

/// Its dialog is lost, as the answer to a request of another usage says.
pub(crate) fn lost(dum: &mut Dum<'_>, sub: Handle<ClientSubscription>, response: &Arc<Message>) {
    let Ok(this) = dum.core.client_subscriptions.get_mut(sub) else { return };
    this.end.get_or_insert(SubscriptionEnd::Refused(response.status().unwrap_or_default()));
    happen(dum, sub, Event::Gone, Some(response.clone()));
}

/// One step.
pub(super) fn happen(dum: &mut Dum<'_>, sub: Handle<ClientSubscription>, event: Event, msg: Option<Arc<Message>>) {
    let Ok(this) = dum.core.client_subscriptions.get_mut(sub) else { return };
    let (next, actions) = step(this.state, event);
    this.state = next;
    for action in actions {
        match action {
            Action::SendRefresh => send(dum, sub, None),
            Action::SendEnd => send(dum, sub, Some(0)),
            Action::StopTimerN => {
                if let Ok(this) = dum.core.client_subscriptions.get_mut(sub) {
                    this.timer_n.clear();
                }
            }
            Action::ArmRefresh => arm_refresh(dum, sub),
            Action::Hasten => hasten(dum, sub),
            Action::ArmRetry => arm_retry(dum, sub),
            Action::Finish => finish(dum, sub, event, msg.clone()),
        }
    }
}

/// A SUBSCRIBE in the dialog, with Timer N (RFC 6665 §4.1.2.2).
fn send(dum: &mut Dum<'_>, sub: Handle<ClientSubscription>, expires: Option<u32>) {
    let Ok(this) = dum.core.client_subscriptions.get(sub) else { return };
    let Ok(mut msg) = dum.make_in_dialog(this.dialog, &Method::Subscribe) else { return };
    set::describe(dum, sub, &mut msg);
    if let Some(seconds) = expires {
        msg.set(h::EXPIRES, &seconds);
    }
    let transaction = dum.send(Usage::ClientSubscription(sub), msg, SendOptions::default());
    let (now, long) = (dum.now(), dum.core.values.long());
    let Ok(this) = dum.core.client_subscriptions.get_mut(sub) else { return };
    this.transaction = Some(transaction);
    dum.core.timers.set(&mut this.timer_n, fire(sub, TimerKind::Notify), now, long);
    if this.state == State::Ending {
        this.alarm.clear();
    } else {
        dum.core.timers.set(&mut this.alarm, fire(sub, TimerKind::Subscription), now, this.until - now);
    }
}

/// After how long a refresh is due at the latest: nine tenths of the time that is left, or five seconds before its end, but
/// no sooner than half of it.
fn latest(left: Duration) -> Duration {
    (left * 9 / 10).min(left.saturating_sub(Duration::from_secs(5))).max(left / 2)
}

/// A NOTIFY puts no refresh off, however often one comes: where the end is later than it was, the answer to the refresh
/// says so too.
fn hasten(dum: &mut Dum<'_>, sub: Handle<ClientSubscription>) {
    let now = dum.now();
    if dum.core.client_subscriptions.get(sub).is_ok_and(|this| this.alarm.is_after(now + latest(this.until - now))) {
        arm_refresh(dum, sub);
    }
}

/// Refreshes are spread: up to a fifth sooner than at the latest.
fn arm_refresh(dum: &mut Dum<'_>, sub: Handle<ClientSubscription>) {
    let now = dum.now();
    let spread = dum.rng().range(201) as u32;
    let Ok(this) = dum.core.client_subscriptions.get_mut(sub) else { return };
    let after = latest(this.until - now) * (1000 - spread) / 1000;
    dum.core.timers.set(&mut this.alarm, fire(sub, TimerKind::Subscription), now, after);
}

/// After half of the time that is left, or when the notifier said.
fn arm_retry(dum: &mut Dum<'_>, sub: Handle<ClientSubscription>) {
    let now = dum.now();
    let Ok(this) = dum.core.client_subscriptions.get_mut(sub) else { return };
    let left = this.until - now;
    let told = Duration::from_secs(this.retry_after.unwrap_or_default().into());
    let after = told.max(left / 2).max(Duration::from_secs(1)).min(left);
    // What is left of it counts for a new subscription too.
    this.retry_after = u32::try_from((told - after.min(told)).as_secs()).ok();
    dum.core.timers.set(&mut this.alarm, fire(sub, TimerKind::Subscription), now, after);
}

fn fire(sub: Handle<ClientSubscription>, kind: TimerKind) -> Fire {
    Fire { usage: Usage::ClientSubscription(sub), kind }
}

/// One of its timers.
pub(crate) fn timer(dum: &mut Dum<'_>, sub: Handle<ClientSubscription>, fire: Fire) {
    let now = dum.now();
    let Ok(this) = dum.core.client_subscriptions.get_mut(sub) else { return };
    let event = match fire.kind {
        TimerKind::Subscription if dum.core.timers.is_due(&mut this.alarm, fire, now) => {
            match (this.until <= now, this.state) {
                (true, _) => Event::Expired,
                // A NOTIFY has said meanwhile that it lasts longer.
                (false, State::Refreshing) => {
                    return dum.core.timers.set(&mut this.alarm, fire, now, this.until - now);
                }
                (false, _) => Event::Due,
            }
        }
        TimerKind::Notify if dum.core.timers.is_due(&mut this.timer_n, fire, now) => Event::TimerN,
        _ => return,
    };
    happen(dum, sub, event, None);
}

/// It is over.
fn finish(dum: &mut Dum<'_>, sub: Handle<ClientSubscription>, event: Event, msg: Option<Arc<Message>>) {
    let package = set::package(dum, sub);
    let Ok(this) = dum.core.client_subscriptions.remove(sub) else { return };
    let tag = dum.core.dialogs.get(this.dialog).map(|entry| entry.dialog.id().remote_tag.as_str().into());
    dum.core.dialogs.leave(this.dialog, Usage::ClientSubscription(sub));
    let end = this.end.unwrap_or(SubscriptionEnd::Timeout);
    // A message is told with the end that it brought.
    let msg = msg.filter(|_| matches!(event, Event::Terminated | Event::Gone));
    dum.call_back(Callback::Terminated { package, sub, end, msg });
    let retry = match end {
        SubscriptionEnd::Terminated(reason) => reason.retry(this.retry_after),
        // RFC 6665 §4.1.2.2: the notifier has lost it.
        SubscriptionEnd::Refused(481) => Some(Duration::ZERO),
        SubscriptionEnd::Timeout => Some(Duration::from_secs(this.retry_after.unwrap_or_default().into())),
        SubscriptionEnd::Refused(_) | SubscriptionEnd::Local => None,
    };
    set::subscription_ended(dum, this.set, (sub, tag.unwrap_or_default()), end, retry);
}
