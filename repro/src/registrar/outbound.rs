//! Devices that are reached by their flows (RFC 5626 §6).

use super::RegisterError;
use super::path::Path;
use stack::header::{Contact, HeaderError, Token, h, p};
use stack::message::Message;
use stack::transport::{Flow, TransportType};
use stack::tu::TuContext;
use std::time::Duration;

/// The option tag of RFC 5626.
pub const OUTBOUND: &str = "outbound";

/// Whether the sender of a REGISTER supports an extension.
pub fn supports(request: &Message, tag: &str) -> bool {
    let named = |listed: Result<Token<'_>, HeaderError>| listed.is_ok_and(|listed| listed.is(tag));
    request.header(h::SUPPORTEDS).any(named) || request.header(h::REQUIRES).any(named)
}

/// Whether the device asks to be reached by its flows (RFC 5626 §6), and whoever it sends to first keeps them: we, or the
/// proxy whose Path says so.
pub(super) fn is_outbound(request: &Message, path: Option<&Path>) -> Result<bool, RegisterError> {
    if !supports(request, OUTBOUND) {
        return Ok(false);
    }
    let kept = path.map_or_else(|| request.header(h::VIAS).texts().count() == 1, |path| path.outbound);
    let insists = || request.header(h::REQUIRES).any(|tag| tag.is_ok_and(|tag| tag.is(OUTBOUND)));
    if !kept && insists() { Err(RegisterError::NoOutbound) } else { Ok(kept) }
}

/// Over UDP a device has to be heard more often: NATs forget what is silent for longer (RFC 5626 §4.4.2).
const OFTEN_ENOUGH: u32 = 30;
/// How much later than it was told a keep-alive may come.
const GRACE: u32 = 10;

/// What a device is told by the Flow-Timer for its flow, in seconds; none for WebSocket, which has pings of its own.
pub(super) fn flow_timer(flow: &Flow, configured: u32) -> Option<u32> {
    let timer = match flow.kind {
        TransportType::Ws | TransportType::Wss => return None,
        TransportType::Udp => configured.min(OFTEN_ENOUGH),
        TransportType::Tcp | TransportType::Tls => configured,
    };
    (timer > 0).then_some(timer)
}

/// How long a device may be silent that was told this.
pub(super) fn silence(timer: u32) -> Duration {
    Duration::from_secs(u64::from(timer) + u64::from(GRACE))
}

/// Whether a REGISTER asks for a flow: who only takes one away sends no keep-alives for it.
pub fn registers_flow(request: &Message) -> bool {
    let header = request.header(h::EXPIRES).ok().map(|seconds| seconds.0);
    request.header(h::CONTACTS).any(|contact| match contact {
        Ok(Contact::Addr(addr)) => addr.param(p::REG_ID).is_some() && addr.param(p::EXPIRES).or(header) != Some(0),
        _ => false,
    })
}

/// RFC 5626 §4.4: the answer of another registrar to a device whose flow ends here. We are who hears its keep-alives: so it
/// is told how often to send them, unless the registrar has told it.
pub fn keep_alives_through(answer: &mut Message, flow: &Flow, configured: u32, stack: &mut TuContext<'_>) {
    if !answer.header(h::REQUIRES).any(|tag| tag.is_ok_and(|tag| tag.is(OUTBOUND))) {
        return;
    }
    let told = answer.header(h::FLOW_TIMER).ok().map(|timer| timer.0).filter(|timer| *timer > 0);
    let Some(timer) = told.or_else(|| flow_timer(flow, configured)) else { return };
    if told.is_none() {
        answer.append_line("Flow-Timer", &timer.to_string());
    }
    stack.expect_keep_alives(flow, silence(timer));
}
