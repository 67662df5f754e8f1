//! Who a request is from, as this proxy asserts it (RFC 3325), and what it keeps to itself (RFC 3323).
//!
//! Who is trusted without a password is in the trust domain, and a peer that is said to be: what it asserts is believed, and
//! it is told everything.

use super::{Processor, ProcessorResult};
use crate::peers::Peer;
use crate::peers::identity::{read, unassert};
use crate::proxy::{RequestContext, Server, Verb, aor_key};
use stack::header::{NameAddr, h};
use stack::message::Message;
use stack::transport::{Flow, TransportTable};
use stack::uri::Uri;

/// Takes away what a stranger asserts, and asserts who has shown to be one of ours. The responses are to be looked at too.
pub(super) struct Identity;

impl Processor for Identity {
    fn name(&self) -> &'static str {
        "identity"
    }

    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        if !context.server.config().identity.trust_domain {
            return ProcessorResult::Continue;
        }
        context.watched |= !matches!(context.verb, Verb::Ack | Verb::Cancel);
        let peers = &context.server.provisioning().peers;
        let peer = context.request.source().and_then(|source| peers.at(source.flow.peer.ip()));
        if peer.and_then(|peer| peer.record.trust_domain).unwrap_or(context.trust.listed) {
            read(peer.and_then(|peer| peer.record.identity), &mut context.request);
            return ProcessorResult::Continue;
        }
        unassert(&mut context.request);
        let asserted = context.user.as_deref().map(|user| asserted(&context.request, user));
        context.request.remove(h::P_PREFERRED_IDENTITIES);
        if let Some(asserted) = asserted {
            context.request.append_line("P-Asserted-Identity", &asserted);
        }
        ProcessorResult::Continue
    }
}

/// RFC 3325 §6: the identity that a user prefers, if that is his, else his address-of-record.
fn asserted(request: &Message, user: &str) -> String {
    let is_his = |addr: &NameAddr<'_>| matches!(&addr.uri, Uri::Sip(uri) if aor_key(uri.clone()) == user);
    let preferred = request.header(h::P_PREFERRED_IDENTITIES).flatten().find(is_his);
    preferred.map_or_else(|| format!("<sip:{user}>"), |addr| addr.to_string())
}

/// Whether what comes by a flow is from the trust domain; `peer`: whose it is.
pub(super) fn is_trusted(
    server: &Server,
    flow: Option<Flow>,
    peer: Option<&Peer>,
    transports: &TransportTable,
) -> bool {
    let listed = || flow.is_some_and(|flow| server.trust(&flow, transports).listed);
    peer.and_then(|peer| peer.record.trust_domain).unwrap_or_else(listed)
}
