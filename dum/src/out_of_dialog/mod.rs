//! Requests that belong to no dialog and make none: OPTIONS, INFO, and those of extensions (reSIProcate's
//! `ClientOutOfDialogReq` and `ServerOutOfDialogReq`).
//!
//! ```text
//!   client:  sent --1xx--> sent --2xx--> ended (on_success)         server:  received --accept, reject--> ended
//!                               --else-> ended (on_failure)                           --64·T1----------> ended
//! ```

pub(crate) mod client;
pub(crate) mod server;
#[cfg(test)]
pub(crate) mod tests;

pub use client::ClientOutOfDialogRequest;
pub use server::ServerOutOfDialogRequest;

use crate::application::Application;
use crate::dum::Dum;
use crate::handle::Handle;
use crate::outcome::Outcome;
use stack::header::Method;
use stack::message::Message;
use std::sync::Arc;

/// Hears of requests out of a dialog, sent and received.
pub trait OutOfDialogHandler {
    /// A request was answered with 2xx; its usage has ended.
    fn on_success(&mut self, _dum: &mut Dum<'_>, _request: Handle<ClientOutOfDialogRequest>, _outcome: &Outcome) {}

    /// A request was refused, or not answered (408, 503); its usage has ended.
    fn on_failure(&mut self, _dum: &mut Dum<'_>, _request: Handle<ClientOutOfDialogRequest>, _outcome: &Outcome) {}

    /// A request came. It is to be answered by [`Handle::accept`] or [`Handle::reject`], now or within 32 s. By default
    /// OPTIONS is accepted and others are rejected with 405.
    fn on_received_request(&mut self, dum: &mut Dum<'_>, request: Handle<ServerOutOfDialogRequest>, msg: &Message) {
        server::answer_unheard(dum, request, msg);
    }
}

/// What the application is to be told.
pub(crate) enum Callback {
    Ended { request: Handle<ClientOutOfDialogRequest>, method: Method<'static>, outcome: Outcome },
    Received { request: Handle<ServerOutOfDialogRequest>, msg: Arc<Message> },
}

impl Callback {
    pub(crate) fn deliver(self, dum: &mut Dum<'_>, app: &mut impl Application) {
        match self {
            Callback::Ended { request, method, outcome } => match app.out_of_dialog(&method) {
                Some(handler) if outcome.is_success() => handler.on_success(dum, request, &outcome),
                Some(handler) => handler.on_failure(dum, request, &outcome),
                None => {}
            },
            Callback::Received { request, msg } if msg.method() == Some(Method::Message) && pages(app) => {
                if let Some(handler) = app.pager_messages() {
                    handler.on_message_arrived(dum, request.cast(), &msg);
                }
            }
            Callback::Received { request, msg } => match msg.method().and_then(|method| app.out_of_dialog(&method)) {
                Some(handler) => handler.on_received_request(dum, request, &msg),
                None => server::answer_unheard(dum, request, &msg),
            },
        }
    }
}

/// Whether MESSAGE has a handler of its own.
fn pages(app: &mut impl Application) -> bool {
    app.pager_messages().is_some()
}
