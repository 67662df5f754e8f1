//! A request that was received out of a dialog.

use super::Callback;
use crate::asked;
use crate::dispatch::Request;
use crate::dum::Dum;
use crate::handle::{Handle, UsageEnded};
use stack::header::{Method, h};
use stack::message::Message;

/// A request that was received out of a dialog, until it is answered.
#[derive(Debug)]
pub enum ServerOutOfDialogRequest {}

impl Handle<ServerOutOfDialogRequest> {
    /// Answers with a 2xx, to which `edit` adds what it is to say; the usage ends. An OPTIONS gets what the user agent can
    /// do (RFC 3261 §11.2).
    ///
    /// # Errors
    /// [`UsageEnded`]: it was answered, or nobody waits for an answer any more.
    pub fn accept(self, dum: &mut Dum<'_>, status: u16, edit: impl FnOnce(&mut Message)) -> Result<(), UsageEnded> {
        asked::respond(dum, self.cast(), status.clamp(200, 299), |dum, request, response| {
            if request.method() == Some(Method::Options) {
                dum.advertise(response);
                let master = &dum.core.master;
                response.push_back(h::ACCEPTS, &master.accept(&Method::Invite));
                response.push_back(h::ACCEPT_ENCODINGS, &master.accept_encoding());
                let languages = master.accept_language();
                if !languages.is_empty() {
                    response.push_back(h::ACCEPT_LANGUAGES, &languages);
                }
            }
            edit(response);
        })
    }

    /// Answers with a 3xx to 6xx; the usage ends.
    ///
    /// # Errors
    /// [`UsageEnded`]: it was answered, or nobody waits for an answer any more.
    pub fn reject(self, dum: &mut Dum<'_>, status: u16, edit: impl FnOnce(&mut Message)) -> Result<(), UsageEnded> {
        asked::respond(dum, self.cast(), status.clamp(300, 699), |_, _, response| edit(response))
    }
}

/// A request came.
pub(crate) fn request(dum: &mut Dum<'_>, request: Request) {
    let msg = request.msg.clone();
    if let Some(asked) = asked::receive(dum, request) {
        dum.call_back(Callback::Received { request: asked.cast(), msg });
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
