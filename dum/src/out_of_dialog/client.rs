//! A request that was sent out of a dialog.

use super::Callback;
use crate::dum::Dum;
use crate::handle::{Handle, NotSent};
use crate::outcome::Outcome;
use crate::profile::UserProfile;
use crate::usage::Usage;
use stack::header::Method;
use stack::message::Message;
use stack::tu::SendOptions;
use std::sync::Arc;

/// A request that was sent out of a dialog, until its final answer.
#[derive(Debug)]
pub struct ClientOutOfDialogRequest {
    method: Method<'static>,
    pub(crate) profile: Option<Arc<UserProfile>>,
}

impl ClientOutOfDialogRequest {
    pub(crate) fn new(method: Method<'static>, profile: Option<Arc<UserProfile>>) -> Self {
        ClientOutOfDialogRequest { method, profile }
    }
}

impl Dum<'_> {
    /// Sends a request out of a dialog, as [`Dum::make_request`] made it; the answer is told to
    /// [`super::OutOfDialogHandler`].
    ///
    /// # Errors
    /// [`NotSent`]: there is no room, or the message is no request, or without what every request has (From with a tag, To,
    /// Call-ID, CSeq of its method), or the method begins a dialog (INVITE, SUBSCRIBE, REFER) or is of one (ACK, CANCEL, BYE,
    /// PRACK, UPDATE, NOTIFY): those have their usages.
    pub fn send_request(&mut self, msg: Message) -> Result<Handle<ClientOutOfDialogRequest>, NotSent> {
        self.send_request_of(None, msg)
    }

    /// The same for a profile whose credentials answer challenges.
    ///
    /// # Errors
    /// [`NotSent`]: there is no room, or the message is no request, or without what every request has (From with a tag, To,
    /// Call-ID, CSeq of its method), or the method begins a dialog (INVITE, SUBSCRIBE, REFER) or is of one (ACK, CANCEL, BYE,
    /// PRACK, UPDATE, NOTIFY): those have their usages.
    pub fn send_request_as(
        &mut self,
        profile: &Arc<UserProfile>,
        msg: Message,
    ) -> Result<Handle<ClientOutOfDialogRequest>, NotSent> {
        self.send_request_of(Some(profile.clone()), msg)
    }

    fn send_request_of(
        &mut self,
        profile: Option<Arc<UserProfile>>,
        msg: Message,
    ) -> Result<Handle<ClientOutOfDialogRequest>, NotSent> {
        let method = msg.method().map_or(Method::Other("".into()), Method::into_owned);
        match method {
            Method::Invite => return Err(NotSent::Unfit("an INVITE begins a session: Dum::send_invite sends it")),
            Method::Subscribe => {
                return Err(NotSent::Unfit("a SUBSCRIBE begins a usage: Dum::send_subscribe sends it"));
            }
            Method::Refer => return Err(NotSent::Unfit("a REFER begins a usage: Dum::send_refer sends it")),
            Method::Ack | Method::Cancel => return Err(NotSent::Unfit("ACK and CANCEL belong to an INVITE")),
            Method::Bye | Method::Prack | Method::Update | Method::Notify => {
                return Err(NotSent::Unfit("BYE, PRACK, UPDATE and NOTIFY are sent within a dialog, by its usage"));
            }
            _ if !self.is_request_of(&msg, &method) => {
                return Err(NotSent::Unfit("a request is expected, as Dum::make_request makes it"));
            }
            _ => {}
        }
        let handle = self.core.client_requests.insert(ClientOutOfDialogRequest::new(method, profile))?;
        self.send(Usage::ClientOutOfDialog(handle), msg, SendOptions::default());
        Ok(handle)
    }
}

/// A response, or none.
pub(crate) fn outcome(dum: &mut Dum<'_>, request: Handle<ClientOutOfDialogRequest>, outcome: Outcome) {
    if outcome.is_provisional() {
        return;
    }
    if let Ok(ClientOutOfDialogRequest { method, .. }) = dum.core.client_requests.remove(request) {
        dum.call_back(Callback::Ended { request, method, outcome });
    }
}
