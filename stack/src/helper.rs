//! Whole messages from few facts: reSIProcate's `Helper`.
//!
//! Requests out of a dialog draw a From tag and a Call-ID from the generator that they are given; requests within a
//! dialog take all from [`DialogInfo`]. None has a Via: the transport selector writes it (RFC 3261 §18.1.1). What a
//! message needs beyond its method is added to what comes back:
//!
//! ```
//! use rutil::Rng;
//! use stack::header::{HeaderValue, NameAddr, h, p};
//! use stack::helper;
//!
//! let mut rng = Rng::from_seed(1);
//! let bob = NameAddr::parse("Bob <sip:bob@biloxi.example.com>")?;
//! let alice = NameAddr::parse("Alice <sip:alice@atlanta.example.com>")?;
//! let contact = NameAddr::parse("<sip:alice@192.0.2.1>")?;
//! let mut invite = helper::make_invite(&bob, &alice, &contact, &mut rng);
//! invite.set_body(Some("application/sdp"), "v=0\r\n");
//! assert!(invite.header(h::FROM)?.param(p::TAG).is_some());
//! assert_eq!(invite.header(h::CSEQ)?.to_string(), "1 INVITE");
//!
//! let ringing = helper::make_response(&invite, 180, &rng.token::<12>());
//! assert_eq!(ringing.reason(), "Ringing");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::header::{CSeq, Contact, Many, Method, NameAddr, Token, h, p};
use crate::message::Message;
use crate::uri::{SipUri, Uri};
use bytes::Bytes;
use rutil::Rng;
use std::borrow::Cow;
use std::fmt::Display;

/// Hops that a new request may take (RFC 3261 §8.1.1.6).
const MAX_FORWARDS: u8 = 70;

/// What a request within a dialog says of it (RFC 3261 §12.2.1.1).
#[derive(Clone, Copy, Debug)]
pub struct DialogInfo<'a> {
    /// The Call-ID.
    pub call_id: &'a str,
    /// From, as it is printed: the local URI with the local tag.
    pub local: &'a str,
    /// To, as it is printed: the remote URI with the remote tag, if the peer gave one.
    pub remote: &'a str,
    /// The URI of the peer's Contact.
    pub remote_target: &'a Uri<'a>,
    /// The route set, nearest hop first.
    pub route_set: &'a [NameAddr<'a>],
    /// The number for CSeq.
    pub cseq: u32,
    /// This side's Contact, as it is printed, for the methods that carry one.
    pub contact: Option<&'a str>,
}

/// A request with the six headers that every request has, but for Via (RFC 3261 §8.1.1). `from` comes with its tag.
pub fn make_request(
    method: &Method<'_>,
    target: &Uri<'_>,
    from: &(impl Display + ?Sized),
    to: &(impl Display + ?Sized),
    call_id: &str,
    cseq: u32,
) -> Message {
    let mut msg = Message::request(method, request_uri(target).as_ref());
    msg.set(h::MAX_FORWARDS, &MAX_FORWARDS);
    msg.set(h::TO, to);
    msg.set(h::FROM, from);
    msg.set(h::CALL_ID, call_id);
    msg.set(h::CSEQ, &CSeq::new(cseq, method.clone()));
    msg
}

/// A request out of a dialog, with a From tag and a Call-ID of its own and CSeq 1.
pub fn make_initial(method: &Method<'_>, target: &NameAddr<'_>, from: &NameAddr<'_>, rng: &mut Rng) -> Message {
    let to = NameAddr { uri: request_uri(&target.uri).into_owned(), ..target.clone() };
    make_request(method, &target.uri, &tagged(from, rng), &to, &rng.token::<24>(), 1)
}

/// INVITE (RFC 3261 §13.2.1). The body is up to the caller.
pub fn make_invite(target: &NameAddr<'_>, from: &NameAddr<'_>, contact: &NameAddr<'_>, rng: &mut Rng) -> Message {
    with_contact(make_initial(&Method::Invite, target, from, rng), contact)
}

/// REGISTER (RFC 3261 §10.2): binds `contact` to `aor`, or asks for the bindings. The Request-URI has no user part.
/// A refresh takes the same Call-ID and the next CSeq number.
pub fn make_register(
    registrar: &SipUri<'_>,
    aor: &NameAddr<'_>,
    contact: Option<&Contact<'_>>,
    expires: Option<u32>,
    rng: &mut Rng,
) -> Message {
    let domain = Uri::Sip(SipUri { user: None, password: None, ..registrar.clone() });
    let mut msg = make_request(&Method::Register, &domain, &tagged(aor, rng), aor, &rng.token::<24>(), 1);
    if let Some(contact) = contact {
        msg.push_back(h::CONTACTS, contact);
    }
    if let Some(seconds) = expires {
        msg.set(h::EXPIRES, &seconds);
    }
    msg
}

/// OPTIONS (RFC 3261 §11.1).
pub fn make_options(target: &NameAddr<'_>, from: &NameAddr<'_>, rng: &mut Rng) -> Message {
    let mut msg = make_initial(&Method::Options, target, from, rng);
    msg.push_back(h::ACCEPTS, "application/sdp");
    msg
}

/// MESSAGE (RFC 3428 §4): a pager-mode text. It has no Contact.
pub fn make_message(
    target: &NameAddr<'_>,
    from: &NameAddr<'_>,
    content_type: &str,
    body: impl Into<Bytes>,
    rng: &mut Rng,
) -> Message {
    let mut msg = make_initial(&Method::Message, target, from, rng);
    msg.set_body(Some(content_type), body);
    msg
}

/// SUBSCRIBE (RFC 6665 §4.1.2) to an event package, for so many seconds.
pub fn make_subscribe(
    target: &NameAddr<'_>,
    from: &NameAddr<'_>,
    contact: &NameAddr<'_>,
    event: &Token<'_>,
    expires: u32,
    rng: &mut Rng,
) -> Message {
    let mut msg = with_contact(make_initial(&Method::Subscribe, target, from, rng), contact);
    msg.set(h::EVENT, event);
    msg.set(h::EXPIRES, &expires);
    msg
}

/// PUBLISH (RFC 3903 §4.1) of an address-of-record's state, for so many seconds. The body is up to the caller.
pub fn make_publish(
    aor: &NameAddr<'_>,
    from: &NameAddr<'_>,
    event: &Token<'_>,
    expires: u32,
    rng: &mut Rng,
) -> Message {
    let mut msg = make_initial(&Method::Publish, aor, from, rng);
    msg.set(h::EVENT, event);
    msg.set(h::EXPIRES, &expires);
    msg
}

/// REFER out of a dialog (RFC 3515 §2.4.1).
pub fn make_refer(
    target: &NameAddr<'_>,
    from: &NameAddr<'_>,
    contact: &NameAddr<'_>,
    refer_to: &NameAddr<'_>,
    rng: &mut Rng,
) -> Message {
    let mut msg = with_contact(make_initial(&Method::Refer, target, from, rng), contact);
    msg.set(h::REFER_TO, refer_to);
    msg
}

/// A request within a dialog (RFC 3261 §12.2.1.1). With a strict router in front, its URI is the Request-URI and the
/// remote target is the last Route.
pub fn make_in_dialog(method: &Method<'_>, dialog: &DialogInfo<'_>) -> Message {
    let strict = dialog.route_set.split_first().filter(|(first, _)| !is_loose(first));
    let (target, routes) = match strict {
        Some((first, rest)) => (&first.uri, rest),
        None => (dialog.remote_target, dialog.route_set),
    };
    let mut msg = make_request(method, target, dialog.local, dialog.remote, dialog.call_id, dialog.cseq);
    for route in routes {
        msg.push_back(h::ROUTES, route);
    }
    if strict.is_some() {
        msg.push_back(h::ROUTES, &NameAddr::new(without_headers(dialog.remote_target)));
    }
    match dialog.contact {
        Some(contact) if carries_contact(method) => with_contact(msg, contact),
        _ => msg,
    }
}

/// BYE (RFC 3261 §15.1.1).
pub fn make_bye(dialog: &DialogInfo<'_>) -> Message {
    make_in_dialog(&Method::Bye, dialog)
}

/// INFO (RFC 6086 §4.2.1) of a package. The body is up to the caller.
pub fn make_info(dialog: &DialogInfo<'_>, package: &Token<'_>) -> Message {
    let mut msg = make_in_dialog(&Method::Info, dialog);
    msg.set(h::INFO_PACKAGE, package);
    msg
}

/// UPDATE (RFC 3311 §5.1). The offer, if there is one, is up to the caller.
pub fn make_update(dialog: &DialogInfo<'_>) -> Message {
    make_in_dialog(&Method::Update, dialog)
}

/// NOTIFY (RFC 6665 §4.2.2). The body is up to the caller.
pub fn make_notify(dialog: &DialogInfo<'_>, event: &Token<'_>, state: &Token<'_>) -> Message {
    let mut msg = make_in_dialog(&Method::Notify, dialog);
    msg.set(h::EVENT, event);
    msg.set(h::SUBSCRIPTION_STATE, state);
    msg
}

/// PRACK for a reliable provisional response (RFC 3262 §4), or `None` if that has no good RSeq or CSeq.
pub fn make_prack(dialog: &DialogInfo<'_>, provisional: &Message) -> Option<Message> {
    let rseq = provisional.header(h::RSEQ).ok()?;
    let cseq = provisional.header(h::CSEQ).ok()?;
    let mut msg = make_in_dialog(&Method::Prack, dialog);
    msg.set(h::RACK, &format_args!("{rseq} {cseq}"));
    Some(msg)
}

/// The ACK for a 2xx response (RFC 3261 §13.2.2.4): a request within the dialog that takes the CSeq number and the
/// credentials of the INVITE. The number in `dialog` does not count. The body, if an answer is due, is up to the
/// caller.
pub fn make_ack(dialog: &DialogInfo<'_>, invite: &Message) -> Message {
    let cseq = invite.header(h::CSEQ).map_or(dialog.cseq, |cseq| cseq.number);
    let mut ack = make_in_dialog(&Method::Ack, &DialogInfo { cseq, ..*dialog });
    for header in [h::AUTHORIZATIONS, h::PROXY_AUTHORIZATIONS] {
        copy(invite, &mut ack, header);
    }
    ack
}

/// The ACK for another final response, within the INVITE's transaction: [`Message::make_failure_ack`].
pub fn make_failure_ack(invite: &Message, response: &Message) -> Message {
    invite.make_failure_ack(response)
}

/// The CANCEL of a request as it was sent: [`Message::make_cancel`].
pub fn make_cancel(request: &Message) -> Message {
    request.make_cancel()
}

/// The response to a request: [`Message::make_response`] with the usual reason phrase. All responses to one request
/// have the same tag (RFC 3261 §8.2.6.2), so it is the caller's.
pub fn make_response(request: &Message, code: u16, to_tag: &str) -> Message {
    request.make_response(code, None, Some(to_tag))
}

/// Whether a route is a loose router (RFC 3261 §19.1.1, `lr`).
fn is_loose(route: &NameAddr<'_>) -> bool {
    route.uri.sip().is_some_and(|uri| uri.param(p::LR))
}

/// Requests that make or refresh a remote target (RFC 3261 §12.2, RFC 3311, RFC 3515, RFC 6665).
fn carries_contact(method: &Method<'_>) -> bool {
    matches!(method, Method::Invite | Method::Update | Method::Subscribe | Method::Notify | Method::Refer)
}

/// A Request-URI: without headers and without `method` (RFC 3261 §19.1.1, table 1).
pub fn request_uri<'a, 'u>(uri: &'a Uri<'u>) -> Cow<'a, Uri<'u>> {
    // Nearly always there is neither.
    if uri.sip().is_none_or(|sip| sip.headers.is_empty() && !sip.params.contains("method")) {
        return Cow::Borrowed(uri);
    }
    let mut uri = without_headers(uri);
    if let Some(sip) = uri.sip_mut() {
        sip.params.remove("method");
    }
    Cow::Owned(uri)
}

fn without_headers<'u>(uri: &Uri<'u>) -> Uri<'u> {
    let mut uri = uri.clone();
    if let Some(sip) = uri.sip_mut() {
        sip.headers = crate::uri::UriHeaders::none();
    }
    uri
}

fn tagged<'a>(from: &NameAddr<'a>, rng: &mut Rng) -> NameAddr<'a> {
    from.clone().with(p::TAG, rng.token::<12>())
}

fn with_contact(mut msg: Message, contact: &(impl Display + ?Sized)) -> Message {
    msg.push_back(h::CONTACTS, contact);
    msg
}

/// Copies the values of a header that can be read.
fn copy<T: crate::header::HeaderValue>(from: &Message, to: &mut Message, header: Many<T>) {
    for text in from.header(header).texts().flatten() {
        to.push_back(header, &crate::grammar::Unfolded(text));
    }
}

#[cfg(test)]
#[path = "helper_tests.rs"]
mod tests;
