//! What all packages of the event server need to know of a SUBSCRIBE.

use crate::config::NatDetection;
use crate::nat;
use crate::proxy::{Server, aor_key};
use dum::subscription::ServerSubscription;
use dum::{Dum, Handle};
use stack::header::{self, MediaType, h};
use stack::message::Message;
use stack::selector;
use stack::transport::source_of;
use stack::uri::Uri;
use std::sync::Arc;

/// NOTIFYs go by the flow that the SUBSCRIBE came by, where its Contact does not lead back to the subscriber: as calls to
/// such a device do.
pub(super) fn lead(server: &Server, dum: &mut Dum<'_>, sub: Handle<ServerSubscription>, subscribe: &Message) {
    let natted = || server.config().nat.detect == NatDetection::Auto && nat::comes_from_behind(subscribe);
    let unreachable = || match subscribe.header(h::CONTACTS).next() {
        Some(Ok(header::Contact::Addr(addr))) => addr.uri.sip().is_some_and(selector::needs_flow),
        _ => false,
    };
    let direct = !subscribe.exists(h::RECORD_ROUTES);
    let flow = subscribe.source().map(|source| source.flow).filter(|_| direct && (natted() || unreachable()));
    // One that has ended is told nothing.
    let _ = sub.notify_by(dum, flow);
}

/// Whether a SUBSCRIBE asks for the state once. There is one NOTIFY, and everything must be in it.
pub(super) fn is_fetch(subscribe: &Message) -> bool {
    subscribe.header(h::EXPIRES).is_ok_and(|expires| expires.0 == 0)
}

/// The address-of-record that a request is about.
pub(super) fn resource_of(request: &Message) -> Option<Arc<str>> {
    match request.request_uri() {
        Ok(Uri::Sip(uri)) => Some(aor_key(uri).into()),
        _ => None,
    }
}

/// In whose share a subscription counts: of the user of ours whom From names, where passwords show that it is him; else of
/// the address that it comes from, since anybody can write a From, and who is not ours is not asked. Whose address is
/// trusted has a share for each user that he speaks for.
pub(super) fn subscriber(server: &Server, subscribe: &Message) -> Arc<str> {
    let address = subscribe.source().map(|source| source.flow.peer.ip());
    let trusted = address.is_some_and(|address| server.trusts_address(address));
    let asked = |from: &Uri<'_>| server.auth().is_some() && from.sip().is_some_and(|from| server.serves(&from.host));
    match (subscribe.header(h::FROM), address) {
        (Ok(from), _) if trusted || asked(&from.uri) => from.uri.aor_key().into(),
        (_, Some(address)) => source_of(address).to_string().into(),
        (_, None) => "".into(),
    }
}

/// Whether a subscriber takes documents of a type: Accept says so, or there is none (RFC 6665 §4.1.2.1, §8.2.1).
pub(super) fn takes(subscribe: &Message, (main, sub): (&str, &str)) -> bool {
    let own = MediaType::new(main, sub);
    !subscribe.exists(h::ACCEPTS)
        || subscribe.header(h::ACCEPTS).any(|range| range.is_ok_and(|range| range.accepts(&own)))
}
