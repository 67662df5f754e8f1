//! What the proxies tell: taken from messages on a shard, so only what costs little is done here.

use crate::location::Binding;
use crate::proxy::Target;
use crate::routing::trunk::Trunk;
use memchr::memchr;
use rutil::Time;
use stack::contents::event::reg_info::Event as RegistrationEvent;
use stack::header::{Method, NameAddr, One, h, p};
use stack::message::Message;
use stack::transport::Flow;
use std::borrow::Cow;
use std::sync::Arc;

/// Most octets that are kept of any text of a message.
const MOST_TEXT: usize = 512;
/// Most Diversions of a call that are kept.
const MOST_DIVERSIONS: usize = 10;

/// Texts of a message, none longer than [`short`] has it, in one piece of memory.
#[derive(Debug)]
struct Texts<const N: usize> {
    all: Box<str>,
    ends: [u16; N],
}

impl<const N: usize> Default for Texts<N> {
    fn default() -> Self {
        Texts { all: Box::default(), ends: [0; N] }
    }
}

impl<const N: usize> Texts<N> {
    fn new(texts: [&str; N]) -> Self {
        let mut all = String::with_capacity(texts.iter().map(|text| text.len()).sum());
        let ends = texts.map(|text| {
            all.push_str(text);
            u16::try_from(all.len()).unwrap_or(u16::MAX)
        });
        Texts { all: all.into(), ends }
    }

    fn get(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.all.get(start.into()..self.ends[index].into()).unwrap_or_default()
    }
}

/// What an INVITE that begins a session says. It is shared by all that is told of it.
#[derive(Debug, Default)]
pub struct Call {
    pub(super) at: Time,
    /// Call-ID, From, its tag, To, Request-URI.
    texts: Texts<5>,
    pub(super) source: Option<Flow>,
    pub(super) user: Option<Box<str>>,
    pub(super) peer: Option<Box<str>>,
    pub(super) diversions: Vec<Box<str>>,
}

/// What a BYE says. From is who hangs up.
#[derive(Debug, Default)]
pub struct Bye {
    pub(super) at: Time,
    /// Call-ID, From, its tag, To, its tag.
    texts: Texts<5>,
    pub(super) reason: Option<Box<str>>,
}

impl Call {
    /// With Call-ID, From, its tag, To, and Request-URI.
    pub(super) fn new(at: Time, texts: [&str; 5]) -> Self {
        Call { at, texts: Texts::new(texts), ..Call::default() }
    }

    pub(super) fn call_id(&self) -> &str {
        self.texts.get(0)
    }

    pub(super) fn from(&self) -> (&str, &str) {
        (self.texts.get(1), self.texts.get(2))
    }

    pub(super) fn to(&self) -> &str {
        self.texts.get(3)
    }

    pub(super) fn request_uri(&self) -> &str {
        self.texts.get(4)
    }
}

impl Bye {
    /// With Call-ID, From, its tag, To, and its tag.
    pub(super) fn new(at: Time, texts: [&str; 5]) -> Self {
        Bye { at, texts: Texts::new(texts), reason: None }
    }

    pub(super) fn call_id(&self) -> &str {
        self.texts.get(0)
    }

    pub(super) fn from(&self) -> (&str, &str) {
        (self.texts.get(1), self.texts.get(2))
    }

    pub(super) fn to(&self) -> (&str, &str) {
        (self.texts.get(3), self.texts.get(4))
    }
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
    /// It ends one; none when that is told.
    Bye(Option<Box<Bye>>),
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
pub(super) fn short(text: &str) -> Cow<'_, str> {
    if text.len() <= MOST_TEXT {
        return text.into();
    }
    let end = (0..=text.len().min(MOST_TEXT)).rev().find(|end| text.is_char_boundary(*end));
    format!("{}{CUT}", text.get(..end.unwrap_or(0)).unwrap_or_default()).into()
}

/// URI and tag of From or To.
fn address<'m>(msg: &'m Message, header: One<NameAddr<'static>>) -> (Cow<'m, str>, Cow<'m, str>) {
    if let Some((uri, tag)) = msg.raw_values(header.id.name()).next().and_then(plain_address) {
        return (short(uri), short(tag));
    }
    let owned = |text: &str| Cow::Owned(short(text).into_owned());
    match msg.header(header) {
        Ok(named) => (owned(&named.uri.to_string()), owned(named.param(p::TAG).unwrap_or_default())),
        Err(_) => Default::default(),
    }
}

/// The same for what nearly all send, `"name" <uri>;tag=value`, without taking it apart: each call has five of them.
fn plain_address(value: &[u8]) -> Option<(&str, &str)> {
    let text = std::str::from_utf8(value).ok()?;
    let split = |text: &'_ str, at: u8| memchr(at, text.as_bytes());
    let unnamed = match text.strip_prefix('"') {
        Some(quoted) => {
            let (name, rest) = quoted.split_at_checked(split(quoted, b'"')?)?;
            rest.get(1..).filter(|_| !name.contains('\\'))?
        }
        None => text,
    };
    let (name, rest) = unnamed.split_at_checked(split(unnamed, b'<')?)?;
    let rest = rest.get(1..)?;
    let (uri, params) = rest.split_at_checked(split(rest, b'>')?)?;
    let tag = if params == ">" { "" } else { params.strip_prefix(">;tag=")? };
    let is_more = |octet: u8| octet <= b' ' || octet == b';' || octet == b'"';
    let plain = split(name, b'"').is_none() && !tag.bytes().fold(false, |any, octet| any | is_more(octet));
    plain.then_some((uri, tag))
}

/// The Call-ID: one that is malformed has been refused before.
fn call_id(msg: &Message) -> Cow<'_, str> {
    msg.raw_values(h::CALL_ID.id.name()).next().map(text).unwrap_or_default()
}

/// A text of a message, whatever it is.
fn text(value: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(value) {
        Ok(text) => short(text),
        Err(_) => Cow::Owned(short(&String::from_utf8_lossy(value)).into_owned()),
    }
}

/// The first Reason.
pub(crate) fn reason_of(msg: &Message) -> Option<Box<str>> {
    msg.raw_values("Reason").next().map(|value| text(value).into())
}

impl Account {
    /// What is to be remembered of a request, if it begins or ends a session; `peer` is whose it is.
    pub(crate) fn of(request: &Message, now: Time, peer: Option<&str>) -> Option<Account> {
        match (request.method()?, request.has_to_tag()) {
            (Method::Invite, false) => {
                let ((from, from_tag), (to, _)) = (address(request, h::FROM), address(request, h::TO));
                let (call_id, request_uri) = (call_id(request), text(request.request_uri_text()));
                let diversions = request.raw_values("Diversion").take(MOST_DIVERSIONS);
                Some(Account::Invite(Arc::new(Call {
                    source: request.source().map(|source| source.flow),
                    peer: peer.map(Into::into),
                    diversions: diversions.map(|value| text(value).into()).collect(),
                    ..Call::new(now, [&call_id, &from, &from_tag, &to, &request_uri])
                })))
            }
            (Method::Bye, true) => {
                let ((from, from_tag), (to, to_tag)) = (address(request, h::FROM), address(request, h::TO));
                let bye = Bye::new(now, [&call_id(request), &from, &from_tag, &to, &to_tag]);
                Some(Account::Bye(Some(Box::new(Bye { reason: reason_of(request), ..bye }))))
            }
            _ => None,
        }
    }

    /// Says which user has shown to be the sender.
    pub(crate) fn set_user(&mut self, user: Option<&str>) {
        if let (Account::Invite(call), Some(user)) = (self, user)
            && let Some(call) = Arc::get_mut(call)
        {
            call.user = Some(short(user).into());
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
    address(response, h::TO).1.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(from: &str) -> (String, String) {
        let msg = Message::parse(format!("BYE sip:a SIP/2.0\r\nFrom: {from}\r\n\r\n").as_bytes()).unwrap();
        let (uri, tag) = address(&msg, h::FROM);
        (uri.into(), tag.into())
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
