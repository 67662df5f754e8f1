//! A request out of a dialog that was received and waits for its answer: what the server usages of REGISTER, PUBLISH and
//! requests of no particular kind are. They differ in their handlers, and in what a 200 is to say.
//!
//! ```text
//!   received ──respond──► ended
//!      │ └──64·T1───────► ended
//!      └──accept──► accepted (its 200 waits for what is done in the callback) ──take, answer──► ended
//! ```

use crate::dispatch::Request;
use crate::dum::Dum;
use crate::handle::{Handle, UsageEnded};
use crate::timers::{Alarm, Fire, TimerKind};
use crate::usage::Usage;
use stack::message::Message;
use stack::tu::ServerTransaction;
use std::sync::Arc;

/// A request that waits for its answer.
#[derive(Debug)]
pub(crate) struct Asked {
    transaction: ServerTransaction,
    msg: Arc<Message>,
    /// The 200, when it was accepted and what it stands for is still to be done.
    response: Option<Box<Message>>,
    /// When its client gives up.
    unanswered: Alarm,
}

/// Keeps a request; where there is no room it is answered with 503.
pub(crate) fn receive(dum: &mut Dum<'_>, Request { transaction, msg }: Request) -> Option<Handle<Asked>> {
    let asked = Asked { transaction, msg: msg.clone(), response: None, unanswered: Alarm::OFF };
    let Ok(asked) = dum.core.asked.insert(asked) else {
        dum.refuse_new(transaction, &msg);
        return None;
    };
    let fire = Fire { usage: Usage::Asked(asked), kind: TimerKind::Unanswered };
    let (now, after) = (dum.now(), dum.core.values.long());
    if let Ok(this) = dum.core.asked.get_mut(asked) {
        dum.core.timers.set(&mut this.unanswered, fire, now, after);
    }
    Some(asked)
}

/// Answers, with what `edit` adds, which is shown the request; the usage ends.
pub(crate) fn respond(
    dum: &mut Dum<'_>,
    asked: Handle<Asked>,
    status: u16,
    edit: impl FnOnce(&mut Dum<'_>, &Message, &mut Message),
) -> Result<(), UsageEnded> {
    if dum.core.asked.get(asked)?.response.is_some() {
        return Err(UsageEnded);
    }
    let this = dum.core.asked.remove(asked)?;
    let mut response = dum.make_response(&this.msg, status, None);
    edit(dum, &this.msg, &mut response);
    dum.respond(this.transaction, response);
    Ok(())
}

/// Writes the 200, with what `edit` adds, for [`take`] and [`answer`] to finish.
pub(crate) fn accept(
    dum: &mut Dum<'_>,
    asked: Handle<Asked>,
    edit: impl FnOnce(&mut Message),
) -> Result<(), UsageEnded> {
    let this = dum.core.asked.get(asked)?;
    if this.response.is_some() {
        return Err(UsageEnded);
    }
    let msg = this.msg.clone();
    let mut response = dum.make_response(&msg, 200, None);
    edit(&mut response);
    dum.core.asked.get_mut(asked)?.response = Some(Box::new(response));
    Ok(())
}

/// What was asked, and the 200 of [`accept`]; it may still be answered otherwise.
pub(crate) fn take(dum: &mut Dum<'_>, asked: Handle<Asked>) -> Option<(Arc<Message>, Box<Message>)> {
    let this = dum.core.asked.get_mut(asked).ok()?;
    let response = this.response.take()?;
    Some((this.msg.clone(), response))
}

/// Sends the response of [`take`]; the usage ends.
pub(crate) fn answer(dum: &mut Dum<'_>, asked: Handle<Asked>, response: Box<Message>) {
    if let Ok(this) = dum.core.asked.remove(asked) {
        dum.respond(this.transaction, response);
    }
}

/// Its client waits no longer; a late answer, or a 408, would only confuse (RFC 4320 §4.2).
pub(crate) fn timer(dum: &mut Dum<'_>, asked: Handle<Asked>, fire: Fire) {
    let now = dum.now();
    let Ok(this) = dum.core.asked.get_mut(asked) else { return };
    if dum.core.timers.is_due(&mut this.unanswered, fire, now) {
        let _ = dum.core.asked.remove(asked);
    }
}
