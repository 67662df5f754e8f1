//! What a request must have before it gets a transaction (reSIProcate's `Helper::validateMessage`), and what the
//! transport layer writes into its Via.

use crate::header::{HeaderError, HeaderId, Method, Via, h, p};
use crate::message::{Fault, Message, decimal};
use crate::transaction::{KeyMaker, ServerKey};
use crate::transport::{Flow, TransportType};
use crate::uri::{Host, v4_text};
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

/// Why a request is refused before it gets a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The framing or the start line is broken.
    #[error("{0}")]
    Fault(#[from] Fault),
    /// A header that everybody needs is missing or malformed.
    #[error("{0}")]
    Header(#[from] HeaderError),
    /// A header that may come once came twice (RFC 4475 §3.3.9).
    #[error("{0} came more than once")]
    Repeated(&'static str),
    /// The method of CSeq is not the request's (RFC 3261 §8.1.1.5).
    #[error("CSeq names another method than the request line")]
    MethodMismatch,
}

impl Refusal {
    /// The status that answers the request.
    pub const fn status(self) -> u16 {
        match self {
            Refusal::Fault(fault) => fault.status(),
            _ => 400,
        }
    }
}

/// What the transaction layer needs to know of a request.
#[derive(Clone, Copy, Debug)]
pub struct Checked {
    /// Its transaction's key.
    pub key: ServerKey,
    /// For a CANCEL, the key of the INVITE.
    pub cancels: Option<ServerKey>,
    /// Where the response goes.
    pub reply_to: Flow,
    /// The topmost Via does not yet say where the request came from.
    pub unstamped: bool,
    /// Over TLS, the port at which the sender listens when it wants requests on the same connection (RFC 5923 §4).
    pub alias: Option<u16>,
}

const ONCE: [HeaderId; 6] =
    [HeaderId::TO, HeaderId::FROM, HeaderId::CALL_ID, HeaderId::CSEQ, HeaderId::MAX_FORWARDS, HeaderId::CONTENT_TYPE];

/// Checks what every element needs of a request: start line, Via, To, From, Call-ID, CSeq, Max-Forwards. A missing
/// Max-Forwards is allowed, as RFC 2543 knew none; other headers are checked by who uses them.
///
/// # Errors
/// A [`Refusal`] that names the header and the rule.
pub fn check_request(msg: &mut Message, flow: &Flow, keys: &KeyMaker) -> Result<Checked, Refusal> {
    if let Some(fault) = msg.fault() {
        return Err(fault.into());
    }
    msg.learn()?;
    let top = msg.first(h::VIAS)?;
    let via = TopVia::of(&top);
    let aliased = flow.kind == TransportType::Tls && top.param(p::ALIAS);
    let alias = aliased.then(|| via.port.unwrap_or_else(|| flow.kind.default_port()));
    if let Some(id) = ONCE.into_iter().find(|id| msg.is_repeated(*id)) {
        return Err(Refusal::Repeated(id.name()));
    }
    msg.header(h::FROM)?;
    msg.header(h::CALL_ID)?;
    if msg.has(HeaderId::MAX_FORWARDS) {
        msg.header(h::MAX_FORWARDS)?;
    }
    let cseq = msg.header(h::CSEQ)?;
    let method = msg.method().unwrap_or(Method::Options);
    if cseq.method != method {
        return Err(Refusal::MethodMismatch);
    }
    let key = keys.of_request(msg, &via, &method)?;
    let cancels = match method {
        Method::Cancel => Some(keys.of_cancelled(msg, &via)?),
        _ => None,
    };
    Ok(Checked { key, cancels, reply_to: via.reply_to(flow), unstamped: via.needs_stamp(flow.peer), alias })
}

/// The topmost Via of a request, with what its parameters say to the layers below the transaction user. They are read
/// in one pass: each question by itself would read them again.
pub(crate) struct TopVia<'v> {
    pub(crate) host: &'v Host<'v>,
    pub(crate) port: Option<u16>,
    pub(crate) branch: Option<&'v str>,
    rport: bool,
    received: bool,
}

impl<'v> TopVia<'v> {
    pub(crate) fn of(via: &'v Via<'_>) -> Self {
        let (mut branch, mut rport, mut received) = (None, false, false);
        for param in via.params.iter() {
            let is = |name: &str| param.name.eq_ignore_ascii_case(name);
            if is(p::BRANCH.name) {
                branch = branch.or(param.value);
            }
            rport |= is(p::RPORT.name);
            received |= is(p::RECEIVED.name);
        }
        TopVia { host: &via.host, port: via.port, branch, rport, received }
    }

    /// Where the response to a request goes (RFC 3261 §18.2.2, RFC 3581 §4): over a stream on the same connection, or to
    /// the sent-by port when it is gone; over UDP to the source address with the port that the Via says.
    ///
    /// Where the RFC sends to `maddr`, this does so only when that is the source address, which makes it nothing to ask
    /// for: whoever writes a Via could else make us send to a third party or to a group.
    pub(crate) fn reply_to(&self, flow: &Flow) -> Flow {
        let sent_by = self.port.unwrap_or_else(|| flow.kind.default_port());
        let source = flow.peer;
        let peer = match flow.kind {
            TransportType::Udp if self.rport => source,
            _ => SocketAddr::new(source.ip(), sent_by),
        };
        Flow { peer, ..*flow }
    }

    /// Whether it does not yet say where the request came from.
    fn needs_stamp(&self, source: SocketAddr) -> bool {
        self.rport || self.received || self.host.ip() != Some(source.ip())
    }
}

/// Writes into the topmost Via where the request came from: `received` when that is not the sent-by address or
/// `rport` is asked for, and the value of `rport` (RFC 3261 §18.2.1, RFC 3581 §4).
pub(crate) fn stamp_received(msg: &mut Message, source: SocketAddr) {
    if let Some(stamped) = splice_rport(msg, source) {
        return msg.replace_first_raw(h::VIAS, &[&stamped]);
    }
    let Ok(via) = msg.first(h::VIAS) else { return };
    let asked = via.param(p::RPORT).is_some();
    if !TopVia::of(&via).needs_stamp(source) {
        return;
    }
    let mut via = via.into_owned();
    via.params.set(p::RECEIVED, source.ip());
    if asked {
        via.params.set(p::RPORT, source.port());
    }
    msg.pop_front(h::VIAS);
    msg.push_front(h::VIAS, &via);
}

/// The usual case by hand: an `rport` without value and no `received`. The new text of the topmost Via.
fn splice_rport(msg: &Message, source: SocketAddr) -> Option<Vec<u8>> {
    let text = msg.header(h::VIAS).texts().next()?.ok()?;
    // What is quoted may have anything in it.
    if memchr::memchr2(b'"', b'<', text.as_bytes()).is_some() {
        return None;
    }
    let (mut end, mut bare) = (0, None);
    for part in text.split(';') {
        end += part.len();
        if part == p::RPORT.name && bare.is_none() {
            bare = Some(end);
        } else if begins(part, p::RPORT.name) || begins(part, p::RECEIVED.name) {
            return None;
        }
        end += 1;
    }
    let (before, after) = text.split_at_checked(bare?)?;
    let mut stamped = Vec::with_capacity(text.len() + 64);
    stamped.extend_from_slice(before.as_bytes());
    stamped.push(b'=');
    stamped.extend_from_slice(decimal(source.port().into(), &mut [0; 20]).as_bytes());
    stamped.extend_from_slice(b";received=");
    match source.ip() {
        IpAddr::V4(ip) => stamped.extend_from_slice(v4_text(ip, &mut [0; 15]).as_bytes()),
        // Writing to a Vec cannot fail.
        IpAddr::V6(ip) => drop(write!(stamped, "{ip}")),
    }
    stamped.extend_from_slice(after.as_bytes());
    Some(stamped)
}

/// Whether a parameter has this name, or one that begins so: white space may stand around both.
fn begins(part: &str, name: &str) -> bool {
    part.trim_ascii_start().get(..name.len()).is_some_and(|own| own.eq_ignore_ascii_case(name))
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
