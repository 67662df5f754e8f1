//! Requests that a feature has: they wait for an answer from elsewhere, or for the time at which somebody is told of them.
//!
//! ```text
//!              Reserved ──verdict: Wait──► Held ──resume, time──► the feature goes on with it
//!   Take ────► Held by nobody ──64·T1, CANCEL──► ended
//!   outgoing, Answer ────► Answered ──at once, but not in the midst of what sends it──► told to the usage
//! ```

use super::chain::{self, Direction};
use crate::core::Core;
use crate::dum::Dum;
use crate::handle::{Handle, NoRoom, UsageEnded};
use crate::timers::{Alarm, Fire, TimerKind};
use crate::usage::Usage;
use stack::header::Method;
use stack::message::Message;
use stack::tu::{ClientTransaction, NoResponse, SendOptions, ServerTransaction, TuEvent};
use std::any::Any;
use std::time::Duration;

/// A request that waits for an answer from elsewhere.
pub struct Waiting {
    within: Duration,
    state: State,
    alarm: Alarm,
}

/// What a feature is told: whatever its program knows it by.
pub type Answer = Box<dyn Any + Send>;

enum State {
    /// Named, but not here yet.
    Reserved,
    /// With the place of its feature; without one nobody goes on with it.
    Held { request: Request, feature: Option<usize> },
    /// A request of ours that a feature has answered.
    Answered { transaction: ClientTransaction, response: Option<Box<Message>> },
}

/// A request, and by which name the stack knows it.
pub(super) struct Request {
    pub(super) msg: Box<Message>,
    pub(super) name: Name,
}

#[derive(Clone, Copy)]
pub(super) enum Name {
    Incoming(ServerTransaction),
    Outgoing(ClientTransaction, SendOptions),
}

impl Name {
    pub(super) fn direction(&self) -> Direction {
        match self {
            Name::Incoming(_) => Direction::Incoming,
            Name::Outgoing(..) => Direction::Outgoing,
        }
    }
}

impl Handle<Waiting> {
    /// Tells a request's feature what it waited for ([`super::DumFeature::resumed`]); the request goes on, in whatever way
    /// that says. From another thread: in a command ([`crate::DumHandle::command`]).
    ///
    /// # Errors
    /// [`UsageEnded`]: its time was over, its client has given it up, or it was resumed before.
    pub fn resume(self, dum: &mut Dum<'_>, answer: impl Any + Send) -> Result<(), UsageEnded> {
        let (request, feature) = take(dum.core, self)?;
        chain::resume(dum, request, feature, Some(Box::new(answer)));
        Ok(())
    }
}

/// What waits, and its feature.
fn take(core: &mut Core, waiting: Handle<Waiting>) -> Result<(Request, usize), UsageEnded> {
    match core.waiting.get(waiting)?.state {
        State::Held { feature: Some(_), .. } => {}
        _ => return Err(UsageEnded),
    }
    match remove(core, waiting)?.state {
        State::Held { request, feature: Some(feature) } => Ok((request, feature)),
        _ => Err(UsageEnded),
    }
}

fn remove(core: &mut Core, waiting: Handle<Waiting>) -> Result<Waiting, UsageEnded> {
    let this = core.waiting.remove(waiting)?;
    if let State::Held { request: Request { name: Name::Outgoing(transaction, _), .. }, .. } = this.state {
        core.held.remove(&transaction);
    }
    Ok(this)
}

/// A name for what is going to wait.
pub(super) fn reserve(core: &mut Core, within: Duration) -> Result<Handle<Waiting>, NoRoom> {
    if core.waiting.len() >= core.most_waiting {
        return Err(NoRoom);
    }
    let within = within.min(core.values.long());
    core.waiting.insert(Waiting { within, state: State::Reserved, alarm: Alarm::OFF })
}

/// A request waits by the name that was reserved for it, or for its end where no feature goes on with it.
pub(super) fn hold(dum: &mut Dum<'_>, waiting: Handle<Waiting>, request: Request, feature: Option<usize>) {
    match request.name {
        // Whose CANCEL it is.
        Name::Incoming(transaction) if request.msg.method() == Some(Method::Invite) => {
            dum.core.servers.insert(transaction, Usage::Waiting(waiting));
        }
        Name::Incoming(_) => {}
        Name::Outgoing(transaction, _) => drop(dum.core.held.insert(transaction, waiting)),
    }
    set(dum, waiting, State::Held { request, feature });
}

/// A request of ours is answered by a feature, or will not be answered: its usage hears of that when it has sent it.
pub(super) fn answered(dum: &mut Dum<'_>, transaction: ClientTransaction, response: Option<Box<Message>>) {
    let state = State::Answered { transaction, response };
    // There are no more of them than requests under way, each of which a usage has.
    let waiting = Waiting { within: Duration::ZERO, state: State::Reserved, alarm: Alarm::OFF };
    if let Ok(waiting) = dum.core.waiting.insert(waiting) {
        set(dum, waiting, state);
    }
}

fn set(dum: &mut Dum<'_>, waiting: Handle<Waiting>, state: State) {
    let now = dum.now();
    let Ok(this) = dum.core.waiting.get_mut(waiting) else { return };
    this.state = state;
    let fire = Fire { usage: Usage::Waiting(waiting), kind: TimerKind::Unanswered };
    dum.core.timers.set(&mut this.alarm, fire, now, this.within);
}

/// Gives up an INVITE of ours that has not left. False: it has, or there is none.
pub(super) fn cancel(dum: &mut Dum<'_>, transaction: ClientTransaction) -> bool {
    let Some(waiting) = dum.core.held.get(&transaction).copied() else { return false };
    let Ok(Waiting { state: State::Held { request, .. }, .. }) = remove(dum.core, waiting) else { return false };
    let response = dum.make_response(&request.msg, 487, None);
    answered(dum, transaction, Some(response.into()));
    true
}

/// Its client gave up an INVITE that waits (RFC 3261 §9.2).
pub(crate) fn cancelled(dum: &mut Dum<'_>, waiting: Handle<Waiting>) {
    let Ok(Waiting { state: State::Held { request, .. }, .. }) = remove(dum.core, waiting) else { return };
    if let Name::Incoming(transaction) = request.name {
        dum.refuse(transaction, &request.msg, 487);
    }
}

/// Its time is over.
pub(crate) fn timer(dum: &mut Dum<'_>, waiting: Handle<Waiting>, fire: Fire) {
    let now = dum.now();
    let Ok(this) = dum.core.waiting.get_mut(waiting) else { return };
    if !dum.core.timers.is_due(&mut this.alarm, fire, now) {
        return;
    }
    let Ok(this) = remove(dum.core, waiting) else { return };
    match this.state {
        State::Reserved => {}
        State::Held { request, feature: Some(feature) } => chain::resume(dum, request, feature, None),
        State::Held { request, feature: None } => match request.name {
            Name::Incoming(transaction) => dum.refuse(transaction, &request.msg, 480),
            Name::Outgoing(transaction, _) => unanswered(dum, transaction),
        },
        State::Answered { transaction, response: Some(msg) } => {
            dum.core.passed.push_back(TuEvent::Response { transaction, msg });
        }
        State::Answered { transaction, response: None } => unanswered(dum, transaction),
    }
}

fn unanswered(dum: &mut Dum<'_>, transaction: ClientTransaction) {
    dum.core.passed.push_back(TuEvent::NoResponse { transaction, reason: NoResponse::Timeout });
}
