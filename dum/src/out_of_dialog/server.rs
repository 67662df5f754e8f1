//! A request that was received out of a dialog.

use super::Callback;
use crate::dispatch::Request;
use crate::dum::Dum;
use crate::handle::{Handle, UsageEnded};
use crate::timers::{Alarm, Fire, TimerKind};
use crate::usage::Usage;
use stack::header::{Method, h};
use stack::message::Message;
use stack::tu::ServerTransaction;
use std::sync::Arc;

/// A request that was received out of a dialog, until it is answered.
#[derive(Debug)]
pub struct ServerOutOfDialogRequest {
    transaction: ServerTransaction,
    msg: Arc<Message>,
    /// When its client gives up.
    unanswered: Alarm,
}

impl ServerOutOfDialogRequest {
    pub(crate) fn new(Request { transaction, msg }: Request) -> Self {
        ServerOutOfDialogRequest { transaction, msg, unanswered: Alarm::OFF }
    }
}

impl Handle<ServerOutOfDialogRequest> {
    /// Answers with a 2xx, to which `edit` adds what it is to say; the usage ends. An OPTIONS gets what the user agent can
    /// do (RFC 3261 §11.2).
    ///
    /// # Errors
    /// [`UsageEnded`]: it was answered, or nobody waits for an answer any more.
    pub fn accept(self, dum: &mut Dum<'_>, status: u16, edit: impl FnOnce(&mut Message)) -> Result<(), UsageEnded> {
        respond(dum, self, status.clamp(200, 299), edit)
    }

    /// Answers with a 3xx to 6xx; the usage ends.
    ///
    /// # Errors
    /// [`UsageEnded`]: it was answered, or nobody waits for an answer any more.
    pub fn reject(self, dum: &mut Dum<'_>, status: u16, edit: impl FnOnce(&mut Message)) -> Result<(), UsageEnded> {
        respond(dum, self, status.clamp(300, 699), edit)
    }
}

fn respond(
    dum: &mut Dum<'_>,
    request: Handle<ServerOutOfDialogRequest>,
    status: u16,
    edit: impl FnOnce(&mut Message),
) -> Result<(), UsageEnded> {
    let ServerOutOfDialogRequest { transaction, msg, .. } = dum.core.server_requests.remove(request)?;
    let mut response = dum.make_response(&msg, status, None);
    if msg.method() == Some(Method::Options) && status < 300 {
        dum.advertise(&mut response);
        let master = &dum.core.master;
        response.push_back(h::ACCEPTS, &master.accept(&Method::Invite));
        response.push_back(h::ACCEPT_ENCODINGS, &master.accept_encoding());
    }
    if status == 405 {
        response.push_back(h::ALLOWS, dum.core.master.allow());
    }
    edit(&mut response);
    dum.stack.respond(transaction, response);
    Ok(())
}

/// A request came.
pub(crate) fn request(dum: &mut Dum<'_>, request: Request) {
    let (transaction, msg) = (request.transaction, request.msg.clone());
    let Ok(handle) = dum.core.server_requests.insert(ServerOutOfDialogRequest::new(request)) else {
        return dum.refuse(transaction, &msg, 503);
    };
    let fire = Fire { usage: Usage::ServerOutOfDialog(handle), kind: TimerKind::Unanswered };
    let (now, after) = (dum.now(), dum.core.values.long());
    if let Ok(usage) = dum.core.server_requests.get_mut(handle) {
        dum.core.timers.set(&mut usage.unanswered, fire, now, after);
    }
    dum.call_back(Callback::Received { request: handle, msg });
}

/// Its client waits no longer; a late answer, or a 408, would only confuse (RFC 4320 §4.2).
pub(crate) fn timer(dum: &mut Dum<'_>, request: Handle<ServerOutOfDialogRequest>, fire: Fire) {
    let now = dum.now();
    let Ok(usage) = dum.core.server_requests.get_mut(request) else { return };
    if dum.core.timers.is_due(&mut usage.unanswered, fire, now) {
        let _ = dum.core.server_requests.remove(request);
    }
}

/// What is answered where nobody wants to know.
pub(crate) fn answer_unheard(dum: &mut Dum<'_>, request: Handle<ServerOutOfDialogRequest>, msg: &Message) {
    let answered = match msg.method() {
        Some(Method::Options) => request.accept(dum, 200, |_| {}),
        _ => request.reject(dum, 405, |_| {}),
    };
    // It may have been answered before this was asked for.
    let _ = answered;
}
