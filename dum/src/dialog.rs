//! A dialog (RFC 3261 §12).
//!
//! ```text
//!                 1xx with a tag              2xx
//!   INVITE sent ----------------> Early ----------------> Confirmed
//!         \                                                  ^
//!          \________________________2xx______________________/
//! ```
//!
//! A final response other than 2xx ends an early dialog, a BYE a confirmed one: both are for the usage to see, which
//! then drops its dialog.

use super::DialogId;
use stack::header::{Contact, HeaderError, HeaderValue, Method, NameAddr, Token, h};
use stack::helper::{self, DialogInfo};
use stack::message::Message;
use stack::uri::Uri;

/// The longest route set that is kept.
pub const MAX_ROUTES: usize = 64;

/// Whether the dialog is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialogState {
    /// Made by a provisional response.
    Early,
    /// Made or confirmed by a 2xx.
    Confirmed,
}

/// Why request and response make no dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialogError {
    /// A header that the dialog needs is missing or malformed.
    #[error("{0}")]
    Header(#[from] HeaderError),
    /// Only responses from 101 to 299 make a dialog, and provisional ones only for INVITE and with a To tag.
    #[error("a response that makes no dialog")]
    Response,
    /// Only INVITE, SUBSCRIBE and REFER make a dialog.
    #[error("a method that makes no dialog")]
    Method,
    /// Call-ID or From tag of the response are not the request's.
    #[error("request and response do not belong together")]
    Mismatch,
    /// Contact is `*`, or is no SIP or SIPS URI (RFC 3261 §8.1.1.8).
    #[error("Contact has no SIP address")]
    Contact,
    /// More than [`MAX_ROUTES`] values of Record-Route.
    #[error("route set too long")]
    TooManyRoutes,
}

/// Why a request is refused within its dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InDialogError {
    /// A header that the dialog reads is missing or malformed.
    #[error("{0}")]
    Header(#[from] HeaderError),
    /// The CSeq number is lower than one that was there before (RFC 3261 §12.2.2).
    #[error("CSeq is out of order")]
    OutOfOrder,
    /// Contact is `*`, or is no SIP or SIPS URI (RFC 3261 §8.1.1.8).
    #[error("Contact has no SIP address")]
    Contact,
}

impl InDialogError {
    /// The status that answers the request.
    pub const fn status(self) -> u16 {
        match self {
            InDialogError::OutOfOrder => 500,
            InDialogError::Header(_) | InDialogError::Contact => 400,
        }
    }
}

/// The state of a dialog. It takes no part in the transport of its messages.
#[derive(Clone, Debug)]
pub struct Dialog {
    id: DialogId,
    state: DialogState,
    /// This side's address with its tag, as requests say it.
    local: Box<str>,
    /// The other side's address with its tag, if it has one.
    remote: Box<str>,
    /// This side's Contact, if it gave one.
    contact: Option<Box<str>>,
    remote_target: Uri<'static>,
    /// The Contact that brought the remote target, as it stood there; empty if none did. Nearly every request brings the same
    /// again, which then need not be read.
    target_text: Box<str>,
    route_set: Vec<NameAddr<'static>>,
    /// The number of the last request of this side, if there was one.
    local_cseq: Option<u32>,
    /// The highest number of a request from the other side, if there was one.
    remote_cseq: Option<u32>,
    /// The number of the request in the dialog that brought the remote target last, if one did.
    target_cseq: Option<u32>,
    secure: bool,
    /// This side sent the request that made it.
    ours: bool,
}

impl Dialog {
    /// The dialog of the side that sent `request` and received `response` (RFC 3261 §12.1.2). The route set is the
    /// response's Record-Route in reverse. A provisional response that has no Contact, against §12.1.1, leaves the
    /// Request-URI as remote target.
    ///
    /// # Errors
    /// See [`DialogError`].
    pub fn uac(request: &Message, response: &Message) -> Result<Dialog, DialogError> {
        let remote_target = match contact_of(response)? {
            Some(contact) => contact.uri.into_owned(),
            None if state_of(request, response)? == DialogState::Early => request.request_uri()?.into_owned(),
            None => return Err(missing_contact(response)),
        };
        Self::towards(request, response, remote_target, reversed(routes_of(response)?))
    }

    /// The dialog of a 2xx to `request` whose Contact or Record-Route is missing or malformed: enough to acknowledge and to end
    /// it. Its requests go where `request` went.
    ///
    /// # Errors
    /// See [`DialogError`].
    pub(crate) fn uac_regardless(request: &Message, response: &Message) -> Result<Dialog, DialogError> {
        let contact = contact_of(response).ok().flatten().map(|contact| contact.uri.into_owned());
        let target = contact.map_or_else(|| Ok(request.request_uri()?.into_owned()), Ok::<_, DialogError>)?;
        let before = || request.header(h::ROUTES).flatten().take(MAX_ROUTES).map(NameAddr::into_owned).collect();
        let routes = if response.exists(h::RECORD_ROUTES) { routes_of(response).ok().map(reversed) } else { None };
        Self::towards(request, response, target, routes.unwrap_or_else(before))
    }

    fn towards(
        request: &Message,
        response: &Message,
        remote_target: Uri<'static>,
        route_set: Vec<NameAddr<'static>>,
    ) -> Result<Dialog, DialogError> {
        let state = state_of(request, response)?;
        let id = DialogId::of_response(response)?;
        if DialogId::of_response(request)?.set_id() != id.set_id() {
            return Err(DialogError::Mismatch);
        }
        if state == DialogState::Early && id.remote_tag.is_empty() {
            return Err(DialogError::Response);
        }
        Ok(Dialog {
            id,
            state,
            local: printed(&response.header(h::FROM)?),
            remote: printed(&response.header(h::TO)?),
            contact: contact_of(request)?.as_ref().map(printed),
            remote_target,
            target_text: contact_text(response),
            route_set,
            local_cseq: Some(request.header(h::CSEQ)?.number),
            remote_cseq: None,
            target_cseq: None,
            secure: is_secure(request, response),
            ours: true,
        })
    }

    /// The dialog that a 2xx to an INVITE of ours makes, when the INVITE is not at hand any more: enough to acknowledge and
    /// to end it. It has no Contact of this side and is not secure. Without a Contact of the peer that can be read, requests go
    /// to whom the INVITE was for.
    ///
    /// # Errors
    /// See [`DialogError`].
    pub fn of_success(response: &Message) -> Result<Dialog, DialogError> {
        let to = response.header(h::TO)?;
        let contact = contact_of(response).ok().flatten();
        Ok(Dialog {
            id: DialogId::of_response(response)?,
            state: DialogState::Confirmed,
            local: printed(&response.header(h::FROM)?),
            remote: printed(&to),
            contact: None,
            remote_target: contact.map_or_else(|| to.uri.clone().into_owned(), |contact| contact.uri.into_owned()),
            target_text: contact_text(response),
            route_set: reversed(routes_of(response)?),
            local_cseq: Some(response.header(h::CSEQ)?.number),
            remote_cseq: None,
            target_cseq: None,
            secure: false,
            ours: true,
        })
    }

    /// The dialog of the side that received `request` and sends `response` (RFC 3261 §12.1.1). The route set is the
    /// request's Record-Route as it stands.
    ///
    /// # Errors
    /// See [`DialogError`].
    pub fn uas(request: &Message, response: &Message) -> Result<Dialog, DialogError> {
        let state = state_of(request, response)?;
        let id = DialogId::of_request(response)?;
        let theirs = DialogId::of_request(request)?;
        if (&theirs.call_id, &theirs.remote_tag) != (&id.call_id, &id.remote_tag) {
            return Err(DialogError::Mismatch);
        }
        // This side always gives a tag: without one, nothing that comes could be told to be in the dialog.
        if id.local_tag.is_empty() {
            return Err(DialogError::Response);
        }
        let remote_target = contact_of(request)?.ok_or_else(|| missing_contact(request))?.uri.into_owned();
        Ok(Dialog {
            id,
            state,
            local: printed(&response.header(h::TO)?),
            remote: printed(&request.header(h::FROM)?),
            contact: contact_of(response)?.as_ref().map(printed),
            remote_target,
            target_text: contact_text(request),
            route_set: routes_of(request)?,
            local_cseq: None,
            remote_cseq: Some(request.header(h::CSEQ)?.number),
            target_cseq: None,
            secure: is_secure(request, request),
            ours: false,
        })
    }

    /// The dialog of the side that sent `subscribe` and received `notify`: the NOTIFY makes it, not the response
    /// (RFC 6665 §4.4.1). The route set is the NOTIFY's Record-Route as it stands.
    ///
    /// # Errors
    /// See [`DialogError`].
    pub fn of_notify(subscribe: &Message, notify: &Message) -> Result<Dialog, DialogError> {
        if notify.method() != Some(Method::Notify) {
            return Err(DialogError::Method);
        }
        let (id, ours) = (DialogId::of_request(notify)?, DialogId::of_request(subscribe)?);
        if (&ours.call_id, &ours.remote_tag) != (&id.call_id, &id.local_tag) {
            return Err(DialogError::Mismatch);
        }
        Ok(Dialog {
            id,
            state: DialogState::Confirmed,
            local: printed(&notify.header(h::TO)?),
            remote: printed(&notify.header(h::FROM)?),
            contact: contact_of(subscribe)?.as_ref().map(printed),
            remote_target: contact_of(notify)?.ok_or_else(|| missing_contact(notify))?.uri.into_owned(),
            target_text: contact_text(notify),
            route_set: routes_of(notify)?,
            local_cseq: Some(subscribe.header(h::CSEQ)?.number),
            remote_cseq: Some(notify.header(h::CSEQ)?.number),
            target_cseq: None,
            secure: is_secure(subscribe, notify),
            ours: true,
        })
    }

    /// Whether a request that was received can make a dialog: what [`Dialog::uas`] reads of it.
    ///
    /// # Errors
    /// See [`DialogError`].
    pub(crate) fn check(request: &Message) -> Result<(), DialogError> {
        DialogId::of_request(request)?;
        contact_of(request)?.ok_or_else(|| missing_contact(request))?;
        request.header(h::CSEQ)?;
        routes_of(request).map(drop)
    }

    /// What it is known by.
    pub fn id(&self) -> &DialogId {
        &self.id
    }

    /// Whether it is settled.
    pub fn state(&self) -> DialogState {
        self.state
    }

    /// Where requests go, after the route set.
    pub fn remote_target(&self) -> &Uri<'static> {
        &self.remote_target
    }

    /// The peer's Contact that brought the remote target, with what it says of the peer (RFC 3840); none if the peer gave none.
    pub fn remote_contact(&self) -> Option<NameAddr<'_>> {
        Contact::parse(&self.target_text).ok()?.into_addr()
    }

    /// The proxies on the way, nearest first.
    pub fn route_set(&self) -> &[NameAddr<'static>] {
        &self.route_set
    }

    /// Where this side is found, as it says so in its requests.
    pub fn contact(&self) -> Option<&str> {
        self.contact.as_deref()
    }

    /// From now on this side is found elsewhere: the peer learns that by the next request that refreshes the target (RFC 3261
    /// §12.2.1.1).
    pub fn set_contact(&mut self, contact: &NameAddr<'_>) {
        self.contact = Some(printed(contact));
    }

    /// Whether it was made by a request to a `sips` URI that came over a secure transport.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether this side sent the request that made it.
    pub fn is_ours(&self) -> bool {
        self.ours
    }

    /// The 2xx to the request that made it went out: the side of [`Dialog::uas`] has nothing to receive for that.
    pub fn confirm(&mut self) {
        self.state = DialogState::Confirmed;
    }

    /// Takes what a response to a request of this dialog says: a 2xx to the INVITE that made it confirms it and gives
    /// the route set anew (RFC 3261 §13.2.2.4); a 2xx to any target refresh request (§12.2.1.2), and a provisional
    /// response to INVITE that was sent reliably (RFC 6141 §4), bring the remote target, and any other response leaves
    /// it. Whose dialog the response belongs to is for the caller to see.
    ///
    /// # Errors
    /// See [`DialogError`]; then nothing has changed.
    pub fn receive_response(&mut self, response: &Message) -> Result<(), DialogError> {
        let Some(status) = response.status().filter(|status| (101..300).contains(status)) else { return Ok(()) };
        let method = response.header(h::CSEQ)?.method;
        let counts = if status < 200 { method == Method::Invite && is_reliable(response) } else { true };
        let contact = if counts && refreshes_target(&method) { contact_of(response)? } else { None };
        if self.state == DialogState::Early && method == Method::Invite && status >= 200 {
            self.route_set = reversed(routes_of(response)?);
            self.state = DialogState::Confirmed;
        }
        if let Some(contact) = contact {
            self.remote_target = contact.uri.into_owned();
            self.target_text = contact_text(response);
        }
        Ok(())
    }

    /// Takes a request that came in this dialog (RFC 3261 §12.2.2): checks the order of CSeq, and that a new remote
    /// target can be read. It counts when the request is accepted: [`Dialog::refresh_target`]. An ACK and a CANCEL have
    /// the number of their INVITE and change nothing.
    ///
    /// # Errors
    /// See [`InDialogError`]; then nothing has changed.
    pub fn receive_request(&mut self, request: &Message) -> Result<(), InDialogError> {
        let cseq = request.header(h::CSEQ)?;
        if matches!(cseq.method, Method::Ack | Method::Cancel) {
            return Ok(());
        }
        if self.remote_cseq.is_some_and(|last| cseq.number < last) {
            return Err(InDialogError::OutOfOrder);
        }
        if refreshes_target(&cseq.method) && !self.stays(request) {
            match contact_of(request) {
                Ok(_) => {}
                Err(DialogError::Header(error)) => return Err(error.into()),
                Err(_) => return Err(InDialogError::Contact),
            }
        }
        self.remote_cseq = Some(cseq.number);
        Ok(())
    }

    /// A request that [`Dialog::receive_request`] took is accepted: if it is a target refresh request, its Contact is the
    /// remote target from now on. One that is refused leaves the target as it is (RFC 6141 §4: a re-INVITE counts with
    /// its 2xx, or a provisional response that is sent reliably). Accepted after a later one, it brings nothing: the other
    /// side has moved on since.
    pub fn refresh_target(&mut self, request: &Message) {
        let Ok(cseq) = request.header(h::CSEQ) else { return };
        if !refreshes_target(&cseq.method) || self.target_cseq.is_some_and(|last| cseq.number < last) {
            return;
        }
        if self.stays(request) {
            self.target_cseq = Some(cseq.number);
        } else if let Ok(Some(contact)) = contact_of(request) {
            self.remote_target = contact.uri.into_owned();
            self.target_text = contact_text(request);
            self.target_cseq = Some(cseq.number);
        }
    }

    /// Whether a request has the Contact that the remote target came with.
    fn stays(&self, request: &Message) -> bool {
        let text = request.header(h::CONTACTS).texts().next();
        text.is_some_and(|text| text.is_ok_and(|text| !text.is_empty() && *text == *self.target_text))
    }

    /// A request in this dialog with the next CSeq number (RFC 3261 §12.2.1.1). An ACK takes no number of its own: see
    /// [`Dialog::make_ack`].
    pub fn make_request(&mut self, method: &Method<'_>) -> Message {
        if !matches!(method, Method::Ack | Method::Cancel) {
            self.next_cseq();
        }
        helper::make_in_dialog(method, &self.info())
    }

    /// The number of the last request that this side has sent in it.
    pub(crate) fn last_cseq(&self) -> Option<u32> {
        self.local_cseq
    }

    /// What this side sends in it comes behind this number.
    pub(crate) fn begin_behind(&mut self, cseq: u32) {
        self.local_cseq = self.local_cseq.max(Some(cseq));
    }

    /// The next CSeq number: for a request of this dialog that is sent once more with a change (RFC 3261 §8.1.3.5).
    pub fn next_cseq(&mut self) -> u32 {
        let next = self.local_cseq.map_or(1, |last| last.saturating_add(1));
        *self.local_cseq.insert(next)
    }

    /// The ACK for a 2xx to `invite`, a request of this side in this dialog (RFC 3261 §13.2.2.4).
    pub fn make_ack(&self, invite: &Message) -> Message {
        helper::make_ack(&self.info(), invite)
    }

    /// The ACK for a 2xx to the INVITE with this CSeq number. The credentials of the INVITE, which it is to carry too, are
    /// up to the caller.
    pub fn make_ack_of(&self, cseq: u32) -> Message {
        helper::make_in_dialog(&Method::Ack, &DialogInfo { cseq, ..self.info() })
    }

    fn info(&self) -> DialogInfo<'_> {
        DialogInfo {
            call_id: &self.id.call_id,
            local: &self.local,
            remote: &self.remote,
            remote_target: &self.remote_target,
            route_set: &self.route_set,
            cseq: self.local_cseq.unwrap_or(1),
            contact: self.contact.as_deref(),
        }
    }
}

/// The state of the dialog that a response makes, if it makes one.
fn state_of(request: &Message, response: &Message) -> Result<DialogState, DialogError> {
    let method = request.method().filter(|_| request.is_request()).ok_or(DialogError::Method)?;
    if !matches!(method, Method::Invite | Method::Subscribe | Method::Refer) {
        return Err(DialogError::Method);
    }
    match response.status() {
        Some(101..200) if method == Method::Invite => Ok(DialogState::Early),
        Some(200..300) => Ok(DialogState::Confirmed),
        _ => Err(DialogError::Response),
    }
}

/// Requests whose Contact is the new remote target (RFC 3261 §12.2, RFC 3311 §5.1, RFC 6665 §4.4.1).
fn refreshes_target(method: &Method<'_>) -> bool {
    matches!(method, Method::Invite | Method::Update | Method::Subscribe | Method::Notify | Method::Refer)
}

/// Whether a provisional response was sent reliably (RFC 3262 §4).
fn is_reliable(response: &Message) -> bool {
    response.exists(h::RSEQ) && response.header(h::REQUIRES).flatten().any(|tag: Token<'_>| tag.is("100rel"))
}

/// The address in Contact, if there is one; SIP goes nowhere else. Others behind the first do not count.
fn contact_of(msg: &Message) -> Result<Option<NameAddr<'_>>, DialogError> {
    let Some(contact) = msg.header(h::CONTACTS).next() else { return Ok(None) };
    contact?.into_addr().filter(|contact| contact.uri.sip().is_some()).map(Some).ok_or(DialogError::Contact)
}

/// The first Contact as it stands; empty if there is none.
fn contact_text(msg: &Message) -> Box<str> {
    msg.header(h::CONTACTS).texts().next().and_then(Result::ok).unwrap_or_default().into()
}

fn printed(value: &NameAddr<'_>) -> Box<str> {
    value.to_string().into()
}

fn missing_contact(msg: &Message) -> DialogError {
    msg.first(h::CONTACTS).err().map_or(DialogError::Contact, DialogError::Header)
}

fn routes_of(msg: &Message) -> Result<Vec<NameAddr<'static>>, DialogError> {
    let mut routes = Vec::new();
    for route in msg.header(h::RECORD_ROUTES) {
        if routes.len() == MAX_ROUTES {
            return Err(DialogError::TooManyRoutes);
        }
        routes.push(route?.into_owned());
    }
    Ok(routes)
}

fn reversed(mut routes: Vec<NameAddr<'static>>) -> Vec<NameAddr<'static>> {
    routes.reverse();
    routes
}

/// A `sips` Request-URI, and a secure transport under what was received (RFC 3261 §12.1).
fn is_secure(request: &Message, received: &Message) -> bool {
    let sips = request.request_uri().is_ok_and(|uri| uri.scheme() == "sips");
    sips && received.source().is_some_and(|source| source.flow.kind.is_secure())
}

#[cfg(test)]
#[path = "dialog_tests.rs"]
mod tests;
