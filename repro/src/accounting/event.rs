//! What the proxies tell: taken from messages on a shard, so only what costs little is done here.

use crate::location::Binding;
use crate::proxy::Target;
use crate::routing::trunk::Trunk;
use rutil::Time;
use stack::contents::event::reg_info::Event as RegistrationEvent;
use stack::header::{HeaderError, Method, NameAddr, h, p};
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

fn address(header: Result<NameAddr<'_>, HeaderError>) -> (Box<str>, Box<str>) {
    match header {
        Ok(named) => (short(&named.uri.to_string()), short(named.param(p::TAG).unwrap_or_default())),
        Err(_) => Default::default(),
    }
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
                let (from, from_tag) = address(request.header(h::FROM));
                let diversions = request.raw_values("Diversion").take(MOST_DIVERSIONS);
                Some(Account::Invite(Arc::new(Call {
                    at: now,
                    call_id: call_id(request),
                    from,
                    from_tag,
                    to: address(request.header(h::TO)).0,
                    request_uri: short(&String::from_utf8_lossy(request.request_uri_text())),
                    source: request.source().map(|source| source.flow),
                    user: None,
                    peer: peer.map(Into::into),
                    diversions: diversions.map(|value| short(&String::from_utf8_lossy(value))).collect(),
                })))
            }
            (Method::Bye, true) => {
                let ((from, from_tag), (to, to_tag)) =
                    (address(request.header(h::FROM)), address(request.header(h::TO)));
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
    address(response.header(h::TO)).1
}
