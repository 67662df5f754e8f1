//! What a request must have before it gets a transaction (reSIProcate's `Helper::validateMessage`), and what the
//! transport layer writes into its Via.

use crate::header::{HeaderError, HeaderId, Method, Via, h, p};
use crate::message::{Fault, Message, decimal};
use crate::transaction::{KeyMaker, ServerKey};
use crate::transport::{Flow, TransportType};
use crate::uri::{Host, v4_text};
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
    /// What the topmost Via does not yet say of where the request came from.
    pub stamp: Stamp,
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
    Ok(Checked { key, cancels, reply_to: via.reply_to(flow), stamp: Stamp::of(msg, &via, flow.peer), alias })
}

/// As nearly all write it, without white space.
const BARE_RPORT: &str = ";rport";

/// The topmost Via of a request, with what its parameters say to the layers below the transaction user. They are read
/// in one pass: each question by itself would read them again.
pub(crate) struct TopVia<'v> {
    pub(crate) host: &'v Host<'v>,
    pub(crate) port: Option<u16>,
    pub(crate) branch: Option<&'v str>,
    rport: bool,
    received: bool,
    /// The parameters up to an `rport` without a value, where there is one and no other.
    to_rport: Option<&'v str>,
}

impl<'v> TopVia<'v> {
    pub(crate) fn of(via: &'v Via<'_>) -> Self {
        let (mut branch, mut rport, mut received, mut to_rport) = (None, false, false, None);
        let params = via.params.as_str();
        for param in via.params.iter() {
            let is = |name: &str| param.name.eq_ignore_ascii_case(name);
            if is(p::BRANCH.name) {
                branch = branch.or(param.value);
            }
            if is(p::RPORT.name) {
                let to = params.get(..param.span().end);
                to_rport = to.filter(|to| !rport && to.ends_with(BARE_RPORT));
                rport = true;
            }
            received |= is(p::RECEIVED.name);
        }
        TopVia { host: &via.host, port: via.port, branch, rport, received, to_rport }
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

/// What is to be written into the topmost Via of a request, so that it says where the request came from: `received` when that
/// is not the sent-by address or `rport` is asked for, and the value of `rport` (RFC 3261 §18.2.1, RFC 3581 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// It says it.
    No,
    /// The usual case, an `rport` without a value and no `received`: both values go in so many octets behind the line's
    /// beginning.
    At(usize),
    /// The Via is written anew.
    Anew,
}

impl Stamp {
    /// Of a request whose topmost Via has been read.
    fn of(msg: &Message, via: &TopVia<'_>, source: SocketAddr) -> Stamp {
        if !via.needs_stamp(source) {
            return Stamp::No;
        }
        let bare = via.to_rport.filter(|_| !via.received);
        bare.and_then(|to_rport| msg.end_in_line(HeaderId::VIA, to_rport)).map_or(Stamp::Anew, Stamp::At)
    }

    /// Writes it.
    pub(super) fn put(self, msg: &mut Message, source: SocketAddr) {
        match self {
            Stamp::No => {}
            Stamp::At(at) => {
                let (mut port, mut ip) = ([0; 20], [0; 15]);
                let port = decimal(source.port().into(), &mut port).as_bytes();
                let long;
                let ip = match source.ip() {
                    IpAddr::V4(address) => v4_text(address, &mut ip).as_bytes(),
                    IpAddr::V6(address) => {
                        long = address.to_string();
                        long.as_bytes()
                    }
                };
                msg.splice_line(HeaderId::VIA, at, &[b"=", port, b";received=", ip]);
            }
            Stamp::Anew => {
                let Ok(via) = msg.first(h::VIAS) else { return };
                let mut via = via.into_owned();
                via.params.set(p::RECEIVED, source.ip());
                if via.param(p::RPORT).is_some() {
                    via.params.set(p::RPORT, source.port());
                }
                msg.pop_front(h::VIAS);
                msg.push_front(h::VIAS, &via);
            }
        }
    }
}

/// Writes into the topmost Via where the request came from ([`Stamp`]).
pub(crate) fn stamp_received(msg: &mut Message, source: SocketAddr) {
    let stamp = msg.first(h::VIAS).map(|via| Stamp::of(msg, &TopVia::of(&via), source));
    if let Ok(stamp) = stamp {
        stamp.put(msg, source);
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
