//! A document that this side publishes and keeps published.

use super::Callback;
use super::machine::{Action, Event, Op, State, step};
use crate::core::Core;
use crate::dum::Dum;
use crate::handle::{Handle, NoRoom, UsageEnded};
use crate::outcome::Outcome;
use crate::profile::UserProfile;
use crate::registration::times;
use crate::timers::{Alarm, Fire, TimerKind};
use crate::usage::Usage;
use bytes::Bytes;
use rutil::Time;
use stack::header::{Method, NameAddr, h};
use stack::message::Message;
use stack::tu::{ClientTransaction, SendOptions};
use std::sync::Arc;
use std::time::Duration;

/// The event state of one resource, as this side publishes it.
#[derive(Debug)]
pub struct ClientPublication {
    profile: Arc<UserProfile>,
    /// The first request without its body: later ones say the same with the next number.
    template: Box<Message>,
    /// What is to be published, what the PUBLISH under way brings along, and what the server has: media type and body.
    content: Content,
    sent: Option<Content>,
    published: Content,
    etag: Option<String>,
    state: State,
    queued: Option<Op>,
    pub(crate) transaction: Option<ClientTransaction>,
    cseq: u32,
    /// Asked for, in seconds: the profile's, or more after a 423.
    expires: u32,
    /// The request under way is the answer to a 423.
    raised: bool,
    /// Until when it is published, as the server has said last.
    granted: Time,
    /// Until when it may be published: so long, or as asked for since.
    until: Time,
    failures: u32,
    alarm: Alarm,
}

type Content = (Arc<str>, Bytes);

impl Dum<'_> {
    /// Publishes a document of an event package for a resource (RFC 3903 §4.1), and keeps it published until
    /// [`Handle::end`]. What comes of it is told to [`super::ClientPublicationHandler`]. With a time of zero
    /// ([`UserProfile::publication_time`]) the server looks at it and keeps nothing; the usage ends with its 2xx.
    ///
    /// # Errors
    /// [`NoRoom`]: nothing was sent.
    pub fn publish(
        &mut self,
        profile: &Arc<UserProfile>,
        resource: &NameAddr<'_>,
        event: &str,
        content_type: &str,
        body: impl Into<Bytes>,
    ) -> Result<Handle<ClientPublication>, NoRoom> {
        let mut template = self.make_request(profile, &Method::Publish, resource);
        template.set(h::EVENT, event);
        let content = (content_type.into(), body.into());
        let publication = ClientPublication {
            profile: profile.clone(),
            template: Box::new(template),
            published: content.clone(),
            sent: None,
            content,
            etag: None,
            state: State::Sending(Op::Initial),
            queued: None,
            transaction: None,
            cseq: 0,
            expires: u32::try_from(profile.publication_time().as_secs()).unwrap_or(u32::MAX),
            raised: false,
            granted: Time::ZERO,
            until: Time::ZERO,
            failures: 0,
            alarm: Alarm::OFF,
        };
        let publication = self.core.client_publications.insert(publication)?;
        send(self, publication, Op::Initial);
        Ok(publication)
    }
}

impl Handle<ClientPublication> {
    /// Publishes another document in the place of the one before; if that is refused, or to be tried again only when the one
    /// before has expired, the one before stays.
    ///
    /// # Errors
    /// [`UsageEnded`].
    pub fn update(self, dum: &mut Dum<'_>, content_type: &str, body: impl Into<Bytes>) -> Result<(), UsageEnded> {
        let this = dum.core.client_publications.get_mut(self)?;
        this.content = (content_type.into(), body.into());
        command(dum, self, Op::Modify)
    }

    /// Refreshes it now.
    ///
    /// # Errors
    /// [`UsageEnded`].
    pub fn refresh(self, dum: &mut Dum<'_>) -> Result<(), UsageEnded> {
        command(dum, self, Op::Refresh)
    }

    /// The document that is published, or is to be: after an update that was refused it is the one before.
    ///
    /// # Errors
    /// [`UsageEnded`].
    pub fn document(self, dum: &Dum<'_>) -> Result<Bytes, UsageEnded> {
        Ok(dum.core.client_publications.get(self)?.content.1.clone())
    }

    /// Removes it; the usage ends with the answer, or is given up for want of one when it will have expired.
    ///
    /// # Errors
    /// [`UsageEnded`].
    pub fn end(self, dum: &mut Dum<'_>) -> Result<(), UsageEnded> {
        command(dum, self, Op::Remove)
    }

    /// Ends the usage and sends nothing: what was published expires by itself.
    ///
    /// # Errors
    /// [`UsageEnded`].
    pub fn stop(self, dum: &mut Dum<'_>) -> Result<(), UsageEnded> {
        dum.core.client_publications.remove(self).map(drop)
    }
}

/// The profile by which it sends.
pub(crate) fn profile(core: &Core, publication: Handle<ClientPublication>) -> Option<Arc<UserProfile>> {
    core.client_publications.get(publication).ok().map(|this| this.profile.clone())
}

/// It was sent once more, for a challenge.
pub(crate) fn resent(core: &mut Core, publication: Handle<ClientPublication>, new: ClientTransaction, cseq: u32) {
    if let Ok(this) = core.client_publications.get_mut(publication) {
        (this.transaction, this.cseq) = (Some(new), cseq);
    }
}

fn command(dum: &mut Dum<'_>, publication: Handle<ClientPublication>, op: Op) -> Result<(), UsageEnded> {
    dum.core.client_publications.get(publication)?;
    happen(dum, publication, Event::Command(op));
    Ok(())
}

fn happen(dum: &mut Dum<'_>, publication: Handle<ClientPublication>, event: Event) {
    answered(dum, publication, event, None);
}

/// The same, by a response.
fn answered(dum: &mut Dum<'_>, publication: Handle<ClientPublication>, event: Event, response: Option<&Arc<Message>>) {
    let now = dum.now();
    let Ok(this) = dum.core.client_publications.get_mut(publication) else { return };
    let (state, action) = step(this.state, event);
    this.state = state;
    match action {
        Action::None | Action::AskRetry | Action::Failed => {}
        Action::Queue(op) => this.queued = this.queued.max(Some(op)),
        Action::Send(op) => send(dum, publication, op),
        Action::Succeeded | Action::Kept => {
            if action == Action::Kept {
                this.content = this.published.clone();
            }
            let left = u32::try_from((this.granted - now).as_secs()).unwrap_or(u32::MAX);
            let after = times::refresh(left, dum.stack.rng());
            set_alarm(dum, publication, after);
        }
        Action::Removed => {
            let _ = dum.core.client_publications.remove(publication);
            dum.call_back(Callback::Removed { publication, response: response.cloned() });
        }
    }
}

fn set_alarm(dum: &mut Dum<'_>, publication: Handle<ClientPublication>, after: Duration) {
    let now = dum.now();
    let Ok(this) = dum.core.client_publications.get_mut(publication) else { return };
    let fire = Fire { usage: Usage::ClientPublication(publication), kind: TimerKind::Publication };
    dum.core.timers.set(&mut this.alarm, fire, now, after);
}

fn send(dum: &mut Dum<'_>, publication: Handle<ClientPublication>, op: Op) {
    let now = dum.now();
    let Ok(this) = dum.core.client_publications.get_mut(publication) else { return };
    this.alarm.clear();
    if op != Op::Remove {
        this.until = this.until.max(now + Duration::from_secs(this.expires.into()));
    }
    this.cseq = this.cseq.saturating_add(1);
    let mut msg = (*this.template).clone();
    msg.set(h::CSEQ, &format_args!("{} PUBLISH", this.cseq));
    msg.set(h::EXPIRES, &if op == Op::Remove { 0 } else { this.expires });
    if op == Op::Initial {
        this.etag = None;
    }
    if let Some(etag) = &this.etag {
        msg.set(h::SIP_IF_MATCH, etag);
    }
    // RFC 3903 §4.3, §4.5: only what is new has a body; and what the server gave no tag to is always new to it.
    let whole = matches!(op, Op::Initial | Op::Modify) || op == Op::Refresh && this.etag.is_none();
    this.sent = whole.then(|| this.content.clone());
    if let Some((content_type, body)) = &this.sent {
        msg.set_body(Some(content_type), body.clone());
    }
    let transaction = dum.send(Usage::ClientPublication(publication), msg, SendOptions::default());
    if let Ok(this) = dum.core.client_publications.get_mut(publication) {
        this.transaction = Some(transaction);
    }
}

/// A response, or none.
pub(crate) fn outcome(
    dum: &mut Dum<'_>,
    publication: Handle<ClientPublication>,
    transaction: ClientTransaction,
    outcome: Outcome,
) {
    let Ok(this) = dum.core.client_publications.get_mut(publication) else { return };
    let State::Sending(op) = this.state else { return };
    if outcome.is_provisional() || this.transaction != Some(transaction) {
        return;
    }
    this.transaction = None;
    let raised = std::mem::take(&mut this.raised);
    match (&outcome.response, outcome.status) {
        (Some(response), 200..300) => success(dum, publication, op, response.clone()),
        (Some(response), 412) if op != Op::Initial => {
            let ending = this.queued == Some(Op::Remove);
            answered(dum, publication, Event::Forgotten { ending }, Some(response));
        }
        (Some(response), 423) => match response.header(h::MIN_EXPIRES) {
            // RFC 3903 §4.6 step 423: the same again, for as long as the server wants.
            // A server that wants more each time is answered as one that refuses.
            Ok(least) if least.0 > this.expires && op != Op::Remove && !raised => {
                (this.expires, this.raised) = (least.0, true);
                happen(dum, publication, Event::TooBrief);
            }
            _ => refused(dum, publication, Event::Refused, outcome),
        },
        _ => refused(dum, publication, Event::Refused, outcome),
    }
}

fn success(dum: &mut Dum<'_>, publication: Handle<ClientPublication>, op: Op, response: Arc<Message>) {
    let now = dum.now();
    let Ok(this) = dum.core.client_publications.get_mut(publication) else { return };
    let granted = response.header(h::EXPIRES).map_or(this.expires, |expires| expires.0);
    this.granted = now + Duration::from_secs(granted.into());
    this.until = this.granted;
    if let Some(sent) = this.sent.take() {
        this.published = sent;
    }
    if let Ok(etag) = response.header(h::SIP_ETAG) {
        this.etag = Some(etag.value.into_owned());
    }
    // What was to be published for no time is gone, as one that was removed.
    let op = if granted == 0 && this.expires == 0 { Op::Remove } else { op };
    this.state = State::Sending(op);
    if granted == 0 && op != Op::Remove {
        return refused(dum, publication, Event::NotGranted, Outcome::of(response));
    }
    this.failures = 0;
    answered(dum, publication, Event::Success, Some(&response));
    if op != Op::Remove {
        dum.call_back(Callback::Success { publication, response });
        next(dum, publication);
    }
}

/// What waited for the request before it.
fn next(dum: &mut Dum<'_>, publication: Handle<ClientPublication>) -> bool {
    let Ok(this) = dum.core.client_publications.get_mut(publication) else { return false };
    let Some(op) = this.queued.take() else { return false };
    happen(dum, publication, Event::Command(op));
    true
}

fn refused(dum: &mut Dum<'_>, publication: Handle<ClientPublication>, event: Event, outcome: Outcome) {
    happen(dum, publication, event);
    let this = dum.core.client_publications.get(publication);
    // A refresh is no other try of an update.
    let waits = this.is_ok_and(|this| (this.state, this.queued) == (State::Waiting(Op::Modify), Some(Op::Refresh)));
    if !waits && next(dum, publication) {
        return;
    }
    let now = dum.now();
    let Ok(this) = dum.core.client_publications.get_mut(publication) else { return };
    // What has expired by then need not be removed.
    let ends = this.state == State::Waiting(Op::Remove);
    let suggested = times::retry(&outcome, this.failures, dum.stack.rng());
    let suggested = suggested.filter(|after| !ends || now + *after < this.until);
    this.failures = this.failures.saturating_add(1);
    dum.call_back(Callback::Refused { publication, outcome, suggested });
}

/// What the handler decided about another try. False: it is given up, and the usage with it unless it was an update.
pub(super) fn decided(dum: &mut Dum<'_>, publication: Handle<ClientPublication>, retry: Option<Duration>) -> bool {
    let now = dum.now();
    let Ok(this) = dum.core.client_publications.get_mut(publication) else { return true };
    // It may have given another command instead.
    let State::Waiting(op) = this.state else { return true };
    // What is published is not to expire over it.
    let in_time = |after: &Duration| op != Op::Modify || now + *after < this.granted;
    if let Some(after) = retry.filter(in_time) {
        set_alarm(dum, publication, after);
        return true;
    }
    if op == Op::Initial && this.granted > now && this.content != this.published {
        // The server has forgotten the one before, and does not want the new one.
        this.content = this.published.clone();
        happen(dum, publication, Event::Timer);
        return false;
    }
    happen(dum, publication, Event::GaveUp);
    match dum.core.client_publications.get(publication).map(|this| this.state) {
        Ok(State::Ended) => drop(dum.core.client_publications.remove(publication)),
        _ => drop(next(dum, publication)),
    }
    false
}

/// The refresh is due, or another try.
pub(crate) fn timer(dum: &mut Dum<'_>, publication: Handle<ClientPublication>, fire: Fire) {
    let now = dum.now();
    let Ok(this) = dum.core.client_publications.get_mut(publication) else { return };
    if dum.core.timers.is_due(&mut this.alarm, fire, now) {
        happen(dum, publication, Event::Timer);
    }
}
