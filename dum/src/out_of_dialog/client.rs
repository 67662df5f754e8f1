//! A request that was sent out of a dialog.

use super::Callback;
use crate::dum::Dum;
use crate::handle::{Handle, NoRoom};
use crate::outcome::Outcome;
use crate::usage::Usage;
use stack::header::Method;
use stack::message::Message;
use stack::tu::SendOptions;

/// A request that was sent out of a dialog, until its final answer.
#[derive(Debug)]
pub struct ClientOutOfDialogRequest {
    method: Method<'static>,
}

impl ClientOutOfDialogRequest {
    pub(crate) fn new(method: Method<'static>) -> Self {
        ClientOutOfDialogRequest { method }
    }
}

impl Dum<'_> {
    /// Sends a request out of a dialog, as [`Dum::make_request`] made it; the answer is told to
    /// [`super::OutOfDialogHandler`].
    ///
    /// # Errors
    /// [`NoRoom`]: nothing was sent.
    pub fn send_request(&mut self, msg: Message) -> Result<Handle<ClientOutOfDialogRequest>, NoRoom> {
        let method = msg.method().map_or(Method::Other("".into()), Method::into_owned);
        let handle = self.core.client_requests.insert(ClientOutOfDialogRequest::new(method))?;
        self.send(Usage::ClientOutOfDialog(handle), msg, SendOptions::default());
        Ok(handle)
    }
}

/// A response, or none.
pub(crate) fn outcome(dum: &mut Dum<'_>, request: Handle<ClientOutOfDialogRequest>, outcome: Outcome) {
    if outcome.is_provisional() {
        return;
    }
    if let Ok(ClientOutOfDialogRequest { method }) = dum.core.client_requests.remove(request) {
        dum.call_back(Callback::Ended { request, method, outcome });
    }
}
