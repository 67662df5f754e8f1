//! Devices that are reached by their flows (RFC 5626 §6).

use stack::header::{HeaderError, NameAddr, Token, h, p};
use stack::message::Message;

/// The option tag of RFC 5626.
pub const OUTBOUND: &str = "outbound";

/// Whether the device asks to be reached by its flows (RFC 5626 §6) and we are the first that it sends to: only then do we
/// have them.
pub(super) fn is_outbound(request: &Message) -> bool {
    let named = |tag: Result<Token<'_>, HeaderError>| tag.is_ok_and(|tag| tag.is(OUTBOUND));
    let asked = request.header(h::SUPPORTEDS).any(named) || request.header(h::REQUIRES).any(named);
    asked && request.header(h::VIAS).texts().count() == 1
}

/// Which flow of which device a contact is.
pub(super) fn instance(contact: &NameAddr<'_>) -> Option<(String, u32)> {
    let device = contact.param(p::INSTANCE)?;
    let flow = contact.param(p::REG_ID).filter(|flow| *flow > 0)?;
    Some((device.into_owned(), flow))
}
