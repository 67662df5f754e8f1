//! A subscription of somebody else (RFC 6665 §4.2).

use super::machine::{Notice, Outbox};
use super::state::EventId;
use super::{Callback, ServerSubscriptionEnd, SubscriptionError, SubscriptionState, TerminateReason};
use crate::core::Core;
use crate::dialog::Dialog;
use crate::dialogs::DialogEntry;
use crate::dispatch::Request;
use crate::dum::Dum;
use crate::effect::{self, Effect};
use crate::handle::{Handle, UsageEnded};
use crate::outcome::Outcome;
use crate::profile::UserProfile;
use crate::timers::{Alarm, Fire, TimerKind};
use crate::usage::Usage;
use bytes::Bytes;
use rutil::Time;
use stack::contents::Contents;
use stack::header::{Method, h};
use stack::message::Message;
use stack::transport::Flow;
use stack::tu::{NextHop, SendOptions, ServerTransaction};
use std::sync::Arc;
use std::time::Duration;

/// A subscription of somebody else, until its last NOTIFY is sent.
#[derive(Debug)]
pub struct ServerSubscription {
    event: EventId,
    /// By which it is answered out of a dialog, and notified.
    profile: Arc<UserProfile>,
    /// The SUBSCRIBE, as long as it is not answered.
    asked: Option<(ServerTransaction, Arc<Message>)>,
    /// From the beginning for a SUBSCRIBE that came in one, else as soon as it is accepted.
    pub(crate) dialog: Option<Handle<DialogEntry>>,
    /// The flow that NOTIFYs go by, whatever the Contact says.
    flow: Option<Flow>,
    /// Seconds that it was granted last, and until when it lasts.
    granted: u32,
    until: Time,
    expiry: Alarm,
    /// The last state: what a NOTIFY says.
    state: SubscriptionState,
    body: Option<(Arc<str>, Bytes)>,
    /// Why it is over, as soon as it is; the last NOTIFY says so.
    end: Option<(ServerSubscriptionEnd, TerminateReason, Option<u32>)>,
    /// The SUBSCRIBE that has ended it.
    parting: Option<Arc<Message>>,
    outbox: Outbox,
    later: Alarm,
    /// A SUBSCRIBE has had no NOTIFY yet.
    owed: bool,
}

/// The profile by which it sends.
pub(crate) fn profile(core: &Core, sub: Handle<ServerSubscription>) -> Option<Arc<UserProfile>> {
    core.dialogs.profile_of(core.server_subscriptions.get(sub).ok()?.dialog?).ok().cloned()
}

/// A SUBSCRIBE that no subscription has: it begins one.
pub(crate) fn request(dum: &mut Dum<'_>, request: Request) {
    let Request { transaction, msg } = request;
    let event = match EventId::of(&msg) {
        Ok(event) => event,
        Err(_) if msg.exists(h::EVENT) => return dum.refuse(transaction, &msg, 400),
        Err(_) => return bad_event(dum, transaction, &msg),
    };
    let Some(granted) = dum.core.master.package(&event.package).map(|package| package.grant(asked(&msg))) else {
        return bad_event(dum, transaction, &msg);
    };
    let granted = match granted {
        Ok(granted) => granted,
        Err(least) => return too_brief(dum, transaction, &msg, least),
    };
    let package = event.package.clone();
    let (now, profile) = (dum.now(), dum.core.master.user().clone());
    let inserted = dum.core.server_subscriptions.insert(ServerSubscription {
        event,
        profile,
        asked: Some((transaction, msg.clone())),
        dialog: None,
        flow: None,
        granted,
        until: now,
        expiry: Alarm::OFF,
        state: SubscriptionState::Pending,
        body: None,
        end: None,
        parting: (granted == 0).then(|| msg.clone()),
        outbox: Outbox::Idle,
        later: Alarm::OFF,
        owed: false,
    });
    let Ok(sub) = inserted else { return dum.refuse_new(transaction, &msg) };
    // The dialog lasts as long as this waits for an answer, whatever else ends in it (RFC 5057 §4).
    if let Some(dialog) = dum.core.dialogs.of_request(&msg) {
        if dum.core.dialogs.join(dialog, Usage::ServerSubscription(sub)).is_err() {
            remove(dum, sub);
            return dum.refuse(transaction, &msg, 503);
        }
        if let Ok(this) = dum.core.server_subscriptions.get_mut(sub) {
            this.dialog = Some(dialog);
        }
    }
    expire_in(dum, sub, dum.core.values.long());
    dum.call_back(Callback::Subscribed { package, sub, msg });
}

fn asked(msg: &Message) -> Option<u32> {
    msg.header(h::EXPIRES).ok().map(|expires| expires.0)
}

/// 489 with what would have been known (RFC 6665 §4.2.1.1).
pub(crate) fn bad_event(dum: &mut Dum<'_>, transaction: ServerTransaction, msg: &Message) {
    let mut response = dum.make_response(msg, 489, None);
    if let Some(events) = dum.core.master.allow_events() {
        response.push_back(h::ALLOW_EVENTS, &events);
    }
    dum.respond(transaction, response);
}

/// 423 with the least that would do (RFC 6665 §4.2.1.1).
pub(crate) fn too_brief(dum: &mut Dum<'_>, transaction: ServerTransaction, msg: &Message, least: u32) {
    let mut response = dum.make_response(msg, 423, None);
    response.set(h::MIN_EXPIRES, &least);
    dum.respond(transaction, response);
}

/// Nobody knows the package after all.
pub(super) fn reject_unknown(dum: &mut Dum<'_>, sub: Handle<ServerSubscription>) {
    let Some(this) = remove(dum, sub) else { return };
    if let Some((transaction, msg)) = this.asked {
        bad_event(dum, transaction, &msg);
    }
}

impl Handle<ServerSubscription> {
    /// Accepts it: 200 and a NOTIFY with the state. Who asked with Expires 0 is told once, and it ends.
    ///
    /// # Errors
    /// [`SubscriptionError::NotNow`]: it is answered already. [`SubscriptionError::Dialog`], [`SubscriptionError::NoRoom`]: it is
    /// refused, and the usage ends. [`SubscriptionError::Ended`].
    pub fn accept(
        self,
        dum: &mut Dum<'_>,
        state: SubscriptionState,
        contents: Option<&Contents>,
    ) -> Result<(), SubscriptionError> {
        let this = dum.core.server_subscriptions.get_mut(self)?;
        let (transaction, msg) = this.asked.take().ok_or(SubscriptionError::NotNow)?;
        let (granted, profile) = (this.granted, this.profile.clone());
        // A SUBSCRIBE in a dialog joins that, and has a To tag.
        let mut response = answer(dum, &msg, granted, &profile);
        if let Err(error) = enter_dialog(dum, self, &msg, &response) {
            remove(dum, self);
            let status = if matches!(error, SubscriptionError::Dialog(_)) { 400 } else { 503 };
            dum.refuse(transaction, &msg, status);
            return Err(error);
        }
        dum.advertise(&mut response);
        dum.respond(transaction, response);
        extend(dum, self, granted);
        let this = dum.core.server_subscriptions.get_mut(self)?;
        (this.state, this.body) = (state, contents.map(printed));
        happen(dum, self, Notice::State);
        Ok(())
    }

    /// Answers and notifies by a profile of its own: Contact, User-Agent, passwords and what else it sets. By default it is the
    /// master profile's; in a dialog that was there before, that dialog's.
    ///
    /// # Errors
    /// [`SubscriptionError::NotNow`]: it is answered already, or came in a dialog. [`SubscriptionError::Ended`].
    pub fn set_profile(self, dum: &mut Dum<'_>, profile: &Arc<UserProfile>) -> Result<(), SubscriptionError> {
        let this = dum.core.server_subscriptions.get_mut(self)?;
        if this.asked.is_none() || this.dialog.is_some() {
            return Err(SubscriptionError::NotNow);
        }
        this.profile = profile.clone();
        Ok(())
    }

    /// Says which flow its NOTIFYs go by from now on, whatever the Contact of the SUBSCRIBE says: its subscriber is behind a
    /// NAT, or nothing but its connection leads there. None: by its Contact, or its route set.
    ///
    /// # Errors
    /// [`SubscriptionError::Ended`].
    pub fn notify_by(self, dum: &mut Dum<'_>, flow: Option<Flow>) -> Result<(), SubscriptionError> {
        dum.core.server_subscriptions.get_mut(self)?.flow = flow;
        Ok(())
    }

    /// Refuses it with a 3xx to 6xx, to which `edit` adds what it is to say; the usage ends.
    ///
    /// # Errors
    /// [`SubscriptionError::NotNow`]: it is answered already. [`SubscriptionError::Ended`].
    pub fn reject(
        self,
        dum: &mut Dum<'_>,
        status: u16,
        edit: impl FnOnce(&mut Message),
    ) -> Result<(), SubscriptionError> {
        let this = dum.core.server_subscriptions.get_mut(self)?;
        let (transaction, msg) = this.asked.take().ok_or(SubscriptionError::NotNow)?;
        remove(dum, self);
        let mut response = dum.make_response(&msg, status.clamp(300, 699), None);
        edit(&mut response);
        dum.respond(transaction, response);
        Ok(())
    }

    /// Tells the state: at once, or when the NOTIFY under way is answered; then the last one that was given.
    ///
    /// # Errors
    /// [`SubscriptionError::NotNow`]: it is not accepted yet. [`SubscriptionError::Ended`]: it is over, or only
    /// its last NOTIFY is still to be sent.
    pub fn notify(
        self,
        dum: &mut Dum<'_>,
        state: SubscriptionState,
        contents: Option<&Contents>,
    ) -> Result<(), SubscriptionError> {
        let this = live(dum, self)?;
        this.state = state;
        this.body = contents.map(printed);
        happen(dum, self, Notice::State);
        Ok(())
    }

    /// Ends it: a last NOTIFY with the reason, after how many seconds the subscriber may try again, and the state, if there is
    /// one to tell. [`super::ServerSubscriptionHandler::on_terminated`] comes when that is sent, behind the one under
    /// way, or when the subscriber says to that one that it knows of no subscription; its answer is not told.
    ///
    /// # Errors
    /// As [`Handle::notify`].
    pub fn terminate(
        self,
        dum: &mut Dum<'_>,
        reason: TerminateReason,
        retry_after: Option<u32>,
        contents: Option<&Contents>,
    ) -> Result<(), SubscriptionError> {
        let this = live(dum, self)?;
        this.body = contents.map(printed);
        this.end = Some((ServerSubscriptionEnd::Local(reason), reason, retry_after));
        happen(dum, self, Notice::State);
        Ok(())
    }

    /// The name of its event package.
    ///
    /// # Errors
    /// [`UsageEnded`].
    pub fn package<'a>(self, dum: &'a Dum<'_>) -> Result<&'a str, UsageEnded> {
        Ok(&dum.core.server_subscriptions.get(self)?.event.package)
    }
}

fn printed(contents: &Contents) -> (Arc<str>, Bytes) {
    (contents.media_type().to_string().into(), contents.print())
}

/// It is accepted, and not over.
fn live<'a>(
    dum: &'a mut Dum<'_>,
    sub: Handle<ServerSubscription>,
) -> Result<&'a mut ServerSubscription, SubscriptionError> {
    let this = dum.core.server_subscriptions.get_mut(sub)?;
    match (&this.asked, &this.end) {
        (None, None) => Ok(this),
        (None, Some(_)) => Err(UsageEnded.into()),
        (Some(_), _) => Err(SubscriptionError::NotNow),
    }
}

/// 200 with Expires and Contact.
pub(crate) fn answer(dum: &mut Dum<'_>, msg: &Message, granted: u32, profile: &UserProfile) -> Message {
    let mut response = dum.make_response(msg, 200, None);
    response.set(h::EXPIRES, &granted);
    let dialog = dum.core.dialogs.of_request(msg);
    dum.write_contact(&mut response, (dialog, profile), msg);
    response
}

/// It is over, in its dialog too.
fn remove(dum: &mut Dum<'_>, sub: Handle<ServerSubscription>) -> Option<ServerSubscription> {
    let this = dum.core.server_subscriptions.remove(sub).ok()?;
    if let Some(dialog) = this.dialog {
        dum.core.dialogs.leave(dialog, Usage::ServerSubscription(sub));
    }
    Some(this)
}

/// The SUBSCRIBE makes a dialog, unless it came in one (RFC 6665 §4.4.1, §4.5.2).
fn enter_dialog(
    dum: &mut Dum<'_>,
    sub: Handle<ServerSubscription>,
    msg: &Message,
    response: &Message,
) -> Result<(), SubscriptionError> {
    if let Some(dialog) = dum.core.server_subscriptions.get(sub)?.dialog {
        dum.core.dialogs.accepted(dialog, msg);
        return Ok(());
    }
    let dialog = Dialog::uas(msg, response)?;
    let (id, profile) = (dialog.id().clone(), dum.core.server_subscriptions.get(sub)?.profile.clone());
    let set = dum.core.dialogs.open(&id.call_id, &id.local_tag, profile, None)?;
    let added = dum.core.dialogs.add(set, dialog, Usage::ServerSubscription(sub));
    if added.is_err() {
        dum.core.dialogs.close(set);
    }
    dum.core.server_subscriptions.get_mut(sub)?.dialog = Some(added?);
    Ok(())
}

/// Whether a request in the dialog is a SUBSCRIBE for it.
pub(crate) fn takes(core: &Core, sub: Handle<ServerSubscription>, request: &Message) -> bool {
    let this = core.server_subscriptions.get(sub);
    request.method() == Some(Method::Subscribe) && this.is_ok_and(|this| this.event.matches(request))
}

/// A SUBSCRIBE of it: a refresh, or with Expires 0 its end.
pub(crate) fn refreshed(dum: &mut Dum<'_>, sub: Handle<ServerSubscription>, request: Request) {
    let Request { transaction, msg } = request;
    let Ok(this) = dum.core.server_subscriptions.get(sub) else { return };
    if this.asked.is_some() {
        // As long as it is not answered, there is nothing to refresh.
        return dum.refuse_for_now(transaction, &msg);
    }
    if this.end.is_some() {
        return dum.refuse(transaction, &msg, 481);
    }
    let (package, profile) = (this.event.package.clone(), this.profile.clone());
    let granted = dum.core.master.package(&package).map_or(Ok(0), |package| package.grant(asked(&msg)));
    let granted = match granted {
        Ok(granted) => granted,
        Err(least) => return too_brief(dum, transaction, &msg, least),
    };
    let response = answer(dum, &msg, granted, &profile);
    dum.respond(transaction, response);
    extend(dum, sub, granted);
    if let Ok(this) = dum.core.server_subscriptions.get_mut(sub) {
        this.owed = true;
        if let Some(dialog) = this.dialog {
            dum.core.dialogs.accepted(dialog, &msg);
        }
    }
    happen(dum, sub, Notice::Asked);
    if granted == 0 {
        if let Ok(this) = dum.core.server_subscriptions.get_mut(sub) {
            this.parting = Some(msg);
        }
        settle(dum, sub);
    } else {
        dum.call_back(Callback::Refreshed { package, sub, msg });
    }
}

/// Sends the NOTIFY that a SUBSCRIBE is owed.
pub(super) fn settle(dum: &mut Dum<'_>, sub: Handle<ServerSubscription>) {
    if dum.core.server_subscriptions.get(sub).is_ok_and(|this| this.owed) {
        happen(dum, sub, Notice::State);
    }
}

/// It lasts from now on for that many seconds; zero ends it.
fn extend(dum: &mut Dum<'_>, sub: Handle<ServerSubscription>, seconds: u32) {
    let now = dum.now();
    let Ok(this) = dum.core.server_subscriptions.get_mut(sub) else { return };
    if seconds == 0 {
        this.until = now;
        this.expiry.clear();
        this.end = Some((ServerSubscriptionEnd::ByClient, TerminateReason::Timeout, None));
    } else {
        expire_in(dum, sub, Duration::from_secs(seconds.into()));
    }
}

fn expire_in(dum: &mut Dum<'_>, sub: Handle<ServerSubscription>, after: Duration) {
    let now = dum.now();
    let Ok(this) = dum.core.server_subscriptions.get_mut(sub) else { return };
    this.until = now + after;
    dum.core.timers.set(&mut this.expiry, fire(sub, TimerKind::Subscription), now, after);
}

fn fire(sub: Handle<ServerSubscription>, kind: TimerKind) -> Fire {
    Fire { usage: Usage::ServerSubscription(sub), kind }
}

/// One step of its NOTIFYs.
fn happen(dum: &mut Dum<'_>, sub: Handle<ServerSubscription>, notice: Notice) {
    let Ok(this) = dum.core.server_subscriptions.get_mut(sub) else { return };
    this.owed &= notice != Notice::State;
    let (next, send) = this.outbox.step(notice);
    this.outbox = next;
    if send {
        send_notify(dum, sub);
    }
}

/// A NOTIFY with the last state (RFC 6665 §4.2.2); after the last one the usage is over.
fn send_notify(dum: &mut Dum<'_>, sub: Handle<ServerSubscription>) {
    let now = dum.now();
    let Ok(this) = dum.core.server_subscriptions.get(sub) else { return };
    let Some(dialog) = this.dialog else { return };
    let Ok(mut msg) = dum.make_in_dialog(dialog, &Method::Notify) else { return };
    let Ok(this) = dum.core.server_subscriptions.get(sub) else { return };
    msg.set(h::EVENT, &this.event);
    match this.end {
        None => {
            let left = (this.until - now).as_secs();
            msg.set(h::SUBSCRIPTION_STATE, &format_args!("{};expires={left}", this.state.as_str()));
        }
        Some((_, reason, retry_after)) => {
            let reason = reason.as_str().map_or(String::new(), |reason| format!(";reason={reason}"));
            let retry_after = retry_after.map_or(String::new(), |seconds| format!(";retry-after={seconds}"));
            msg.set(h::SUBSCRIPTION_STATE, &format_args!("terminated{reason}{retry_after}"));
        }
    }
    if let Some((media, octets)) = &this.body {
        msg.set_body(Some(media), octets.clone());
    }
    let (end, next_hop) = (this.end, this.flow.map_or(NextHop::Route, NextHop::Flow));
    dum.send(Usage::ServerSubscription(sub), msg, SendOptions { next_hop, ..SendOptions::default() });
    if let Some((end, ..)) = end {
        finish(dum, sub, end, None);
    }
}

/// A subscriber that refuses a NOTIFY for no time at all gets the next one after this.
pub(crate) const LEAST_WAIT: Duration = Duration::from_secs(1);

/// A NOTIFY was answered, or not: a refusal ends the subscription, unless it says when to try again (RFC 6665 §4.2.2).
pub(crate) fn outcome(dum: &mut Dum<'_>, sub: Handle<ServerSubscription>, outcome: &Outcome) {
    if outcome.is_provisional() || dum.core.server_subscriptions.get(sub).is_err() {
        return;
    }
    if outcome.is_success() {
        let dialog = dum.core.server_subscriptions.get(sub).ok().and_then(|this| this.dialog);
        if let (Some(dialog), Some(response)) = (dialog, &outcome.response) {
            dum.core.dialogs.answered(dialog, response);
        }
        happen(dum, sub, Notice::Accepted);
        if let Ok(this) = dum.core.server_subscriptions.get(sub)
            && this.outbox == Outbox::Idle
        {
            let package = this.event.package.clone();
            if let Some(msg) = outcome.response.clone() {
                dum.call_back(Callback::Accepted { package, sub, msg });
            }
        }
        return;
    }
    let after = outcome.response.as_ref().and_then(|msg| msg.header(h::RETRY_AFTER).ok()).map(|after| after.seconds);
    // RFC 5057 §5.1: a 480 may say when, too.
    let over =
        outcome.response.as_ref().is_some_and(|msg| outcome.status != 480 && effect::of(msg) != Effect::Transaction);
    let Some(seconds) = after.filter(|_| !over) else {
        // What was to end it already ends it, and the last NOTIFY is sent to whom may still listen.
        return match dum.core.server_subscriptions.get(sub) {
            Ok(this) if this.end.is_some() && !over => happen(dum, sub, Notice::Accepted),
            _ => failed(dum, sub, outcome.status, outcome.response.as_ref()),
        };
    };
    let (now, after) = (dum.now(), LEAST_WAIT.max(Duration::from_secs(seconds.into())));
    let Ok(this) = dum.core.server_subscriptions.get_mut(sub) else { return };
    // Only the last NOTIFY is left: longer than the subscription would have lasted nobody waits for that.
    if let Some((end, ..)) = this.end.filter(|_| after > this.until - now) {
        return finish(dum, sub, end, None);
    }
    dum.core.timers.set(&mut this.later, fire(sub, TimerKind::Notify), now, after);
    happen(dum, sub, Notice::Later);
}

/// Its dialog is lost, as the answer to a request of another usage says.
pub(crate) fn lost(dum: &mut Dum<'_>, sub: Handle<ServerSubscription>, response: &Arc<Message>) {
    let Ok(this) = dum.core.server_subscriptions.get_mut(sub) else { return };
    if let Some((transaction, msg)) = this.asked.take() {
        dum.refuse(transaction, &msg, 481);
    }
    failed(dum, sub, response.status().unwrap_or_default(), Some(response));
}

/// Nobody is to be notified any more. What has ended it before counts.
fn failed(dum: &mut Dum<'_>, sub: Handle<ServerSubscription>, status: u16, response: Option<&Arc<Message>>) {
    let Ok(this) = dum.core.server_subscriptions.get(sub) else { return };
    match this.end {
        Some((end, ..)) => finish(dum, sub, end, None),
        None => finish(dum, sub, ServerSubscriptionEnd::NotifyFailed(status), response.cloned()),
    }
}

/// One of its timers.
pub(crate) fn timer(dum: &mut Dum<'_>, sub: Handle<ServerSubscription>, fire: Fire) {
    let now = dum.now();
    let Ok(this) = dum.core.server_subscriptions.get_mut(sub) else { return };
    match fire.kind {
        TimerKind::Subscription if dum.core.timers.is_due(&mut this.expiry, fire, now) => expired(dum, sub),
        TimerKind::Notify if dum.core.timers.is_due(&mut this.later, fire, now) => happen(dum, sub, Notice::Due),
        _ => {}
    }
}

/// It was not refreshed: NOTIFY says so (RFC 6665 §4.2.2). A subscriber that wants to be left alone longer than that is
/// left alone.
fn expired(dum: &mut Dum<'_>, sub: Handle<ServerSubscription>) {
    let Ok(this) = dum.core.server_subscriptions.get_mut(sub) else { return };
    if this.asked.is_some() {
        return finish(dum, sub, ServerSubscriptionEnd::Unanswered, None);
    }
    let (end, ..) = *this.end.get_or_insert((ServerSubscriptionEnd::Expired, TerminateReason::Timeout, None));
    if this.outbox == Outbox::Waiting {
        return finish(dum, sub, end, None);
    }
    happen(dum, sub, Notice::State);
}

/// It is over, with the response that has ended it or with what the subscriber has asked for.
fn finish(
    dum: &mut Dum<'_>,
    sub: Handle<ServerSubscription>,
    end: ServerSubscriptionEnd,
    response: Option<Arc<Message>>,
) {
    let Some(this) = remove(dum, sub) else { return };
    let parting = this.parting.filter(|_| end == ServerSubscriptionEnd::ByClient);
    dum.call_back(Callback::Over { package: this.event.package, sub, end, msg: response.or(parting) });
}
