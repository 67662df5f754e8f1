//! What the proxies tell: taken from messages on a shard, so only what costs little is done here.

use crate::location::Binding;
use crate::proxy::Target;
use crate::routing::trunk::Trunk;
use rutil::Time;
use stack::contents::event::reg_info::Event as RegistrationEvent;
use stack::header::{Method, NameAddr, One, h, p};
use stack::message::Message;
use stack::transport::Flow;
use std::sync::Arc;

/// Most octets that are kept of any text of a message.
const MOST_TEXT: usize = 512;
/// Most Diversions of a call that are kept.
const MOST_DIVERSIONS: usize = 10;

/// What an INVITE that begins a session says. It is shared by all that is told of it.
#[derive(Debug, Default)]
pub struct Call {
    pub(super) at: Time,
    pub(super) call_id: Box<str>,
    pub(super) from: Box<str>,
    pub(super) from_tag: Box<str>,
    pub(super) to: Box<str>,
    pub(super) request_uri: Box<str>,
    pub(super) source: Option<Flow>,
    pub(super) user: Option<Box<str>>,
    pub(super) peer: Option<Box<str>>,
    pub(super) diversions: Vec<Box<str>>,
}

/// What a BYE says. From is who hangs up.
#[derive(Debug, Default)]
pub struct Bye {
    pub(super) at: Time,
    pub(super) call_id: Box<str>,
    pub(super) from: Box<str>,
    pub(super) from_tag: Box<str>,
    pub(super) to: Box<str>,
    pub(super) to_tag: Box<str>,
    pub(super) reason: Option<Box<str>>,
}

/// Where a call went.
#[derive(Clone, Debug)]
pub struct Destination {
    pub(super) uri: Arc<str>,
    pub(super) trunk: Option<Arc<Trunk>>,
}

/// A request that something is told of when it has its answer.
#[derive(Debug)]
pub(crate) enum Account {
    /// It begins a session.
    Invite(Arc<Call>),
    /// It ends one.
    Bye(Box<Bye>),
}

/// What has happened.
#[derive(Debug)]
pub enum Event {
    /// A call has been answered.
    Established {
        /// The call.
        call: Arc<Call>,
        /// The tag of who has answered.
        to_tag: Box<str>,
        /// The status.
        code: u16,
        /// Where it went; none: to its Request-URI as it stood.
        destination: Option<Destination>,
    },
    /// A call has had another final answer.
    Failed {
        /// The call.
        call: Arc<Call>,
        /// The status that the caller was told.
        code: u16,
        /// The caller gave up.
        cancelled: bool,
        /// The Reason (RFC 3326) of the answer, or of the CANCEL.
        reason: Option<Box<str>>,
        /// Where it went last.
        destination: Option<Destination>,
    },
    /// A BYE has had its answer.
    Ended {
        /// The BYE.
        bye: Box<Bye>,
        /// The status.
        code: u16,
    },
    /// A contact has come or gone.
    Registration {
        /// The address-of-record.
        aor: Box<str>,
        /// What brought it there.
        event: RegistrationEvent,
        /// The contact, afterwards, or as it was last.
        binding: Box<Binding>,
    },
}

/// An event with its time.
#[derive(Debug)]
pub struct Entry {
    pub(super) at: Time,
    pub(super) event: Event,
}

/// What stands at the end of a text that is cut short.
pub(super) const CUT: char = '…';

/// The beginning of a text of a message.
pub(super) fn short(text: &str) -> Box<str> {
    if text.len() <= MOST_TEXT {
        return text.into();
    }
    let end = (0..=text.len().min(MOST_TEXT)).rev().find(|end| text.is_char_boundary(*end));
    format!("{}{CUT}", text.get(..end.unwrap_or(0)).unwrap_or_default()).into()
}

/// URI and tag of From or To.
fn address(msg: &Message, header: One<NameAddr<'static>>) -> (Box<str>, Box<str>) {
    if let Some((uri, tag)) = msg.raw_values(header.id.name()).next().and_then(plain_address) {
        return (short(uri), short(tag));
    }
    match msg.header(header) {
        Ok(named) => (short(&named.uri.to_string()), short(named.param(p::TAG).unwrap_or_default())),
        Err(_) => Default::default(),
    }
}

/// The same for what nearly all send, `"name" <uri>;tag=value`, without taking it apart: each call has four of them.
fn plain_address(value: &[u8]) -> Option<(&str, &str)> {
    let text = std::str::from_utf8(value).ok()?;
    let unnamed = match text.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').filter(|(name, _)| !name.contains('\\'))?.1,
        None => text,
    };
    let (name, rest) = unnamed.split_once('<')?;
    let (uri, params) = rest.split_once('>')?;
    let tag = if params.is_empty() { params } else { params.strip_prefix(";tag=")? };
    let plain = !name.contains('"') && !tag.contains([';', '"', ' ', '\t', '\r', '\n']);
    plain.then_some((uri, tag))
}

fn call_id(msg: &Message) -> Box<str> {
    msg.header(h::CALL_ID).map(|call_id| short(call_id.as_str())).unwrap_or_default()
}

/// The first Reason.
pub(crate) fn reason_of(msg: &Message) -> Option<Box<str>> {
    msg.raw_values("Reason").next().map(|value| short(&String::from_utf8_lossy(value)))
}

impl Account {
    /// What is to be remembered of a request, if it begins or ends a session; `peer` is whose it is.
    pub(crate) fn of(request: &Message, now: Time, peer: Option<&str>) -> Option<Account> {
        match (request.method()?, request.has_to_tag()) {
            (Method::Invite, false) => {
                let (from, from_tag) = address(request, h::FROM);
                let diversions = request.raw_values("Diversion").take(MOST_DIVERSIONS);
                Some(Account::Invite(Arc::new(Call {
                    at: now,
                    call_id: call_id(request),
                    from,
                    from_tag,
                    to: address(request, h::TO).0,
                    request_uri: short(&String::from_utf8_lossy(request.request_uri_text())),
                    source: request.source().map(|source| source.flow),
                    user: None,
                    peer: peer.map(Into::into),
                    diversions: diversions.map(|value| short(&String::from_utf8_lossy(value))).collect(),
                })))
            }
            (Method::Bye, true) => {
                let ((from, from_tag), (to, to_tag)) = (address(request, h::FROM), address(request, h::TO));
                let (call_id, reason) = (call_id(request), reason_of(request));
                let bye = Bye { at: now, call_id, from, from_tag, to, to_tag, reason };
                Some(Account::Bye(Box::new(bye)))
            }
            _ => None,
        }
    }

    /// Says which user has shown to be the sender.
    pub(crate) fn set_user(&mut self, user: Option<&str>) {
        if let (Account::Invite(call), Some(user)) = (self, user)
            && let Some(call) = Arc::get_mut(call)
        {
            call.user = Some(short(user));
        }
    }
}

impl From<&Target> for Destination {
    fn from(target: &Target) -> Self {
        let trunk = target.hop.as_ref().map(|hop| hop.trunk.clone());
        Destination { uri: target.contact.uri.clone(), trunk }
    }
}

/// The tag of who has answered.
pub(crate) fn to_tag(response: &Message) -> Box<str> {
    address(response, h::TO).1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(from: &str) -> (Box<str>, Box<str>) {
        address(&Message::parse(format!("BYE sip:a SIP/2.0\r\nFrom: {from}\r\n\r\n").as_bytes()).unwrap(), h::FROM)
    }

    #[test]
    fn an_address_is_told_however_it_is_written() {
        for from in [
            "<sip:a@b>;tag=1",
            "A <sip:a@b>;tag=1",
            "\"A <x> B\" <sip:a@b>;tag=1",
            "\"A \\\" <x>\" <sip:a@b>;tag=1",
            "<sip:a@b>;x=\";tag=2\";tag=1",
            "<sip:a@b>;tag=1;x=y",
            "<sip:a@b> ; TAG = 1",
            "sip:a@b;tag=1",
        ] {
            assert_eq!(of(from), ("sip:a@b".into(), "1".into()), "{from}");
        }
        assert_eq!(of("<sip:a@b>"), ("sip:a@b".into(), "".into()));
        assert_eq!(of("<sip:a@b"), ("".into(), "".into()));
    }
}
