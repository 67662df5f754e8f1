//! Who a response is from, as far as the sender of the request may know (RFC 3325 §5).

use super::identity::is_trusted;
use super::{ResponseProcessor, ResponseResult};
use crate::peers::identity::{read, unassert, wants_privacy};
use crate::proxy::ResponseView;
use stack::header::h;
use stack::transport::Flow;

/// Takes away what a stranger asserts, and what a stranger is not to know; and gives the request's From back that
/// `identity-out` has hidden.
pub(super) struct IdentityBack;

impl ResponseProcessor for IdentityBack {
    fn name(&self) -> &'static str {
        "identity-back"
    }

    fn process(&self, view: &mut ResponseView<'_, '_>) -> ResponseResult {
        if !view.server.config().identity.trust_domain {
            return ResponseResult::Continue;
        }
        let Some(response) = view.response.as_deref_mut() else { return ResponseResult::Continue };
        let peers = &view.server.provisioning().peers;
        let at = |flow: Option<Flow>| flow.and_then(|flow| peers.at(flow.peer.ip()));
        let (source, asker) = (response.source().map(|source| source.flow), at(view.upstream.source));
        let trunk = view.target.and_then(|target| target.hop.as_deref()).map(|hop| &hop.trunk.record.name);
        let peer = trunk.and_then(|trunk| peers.of_trunk(trunk)).or_else(|| at(source));
        let trusts = |flow, peer| is_trusted(view.server, flow, peer, view.stack.transports());
        let asserts = response.exists(h::P_ASSERTED_IDENTITIES) || response.exists(h::REMOTE_PARTY_IDS);
        if asserts {
            let believed = trusts(source, peer);
            if believed {
                read(peer.and_then(|peer| peer.record.identity), response);
            }
            let told = !wants_privacy(response) || trusts(view.upstream.source, asker);
            if !believed || !told {
                unassert(response);
            }
            if let Some(form) = asker.and_then(|asker| asker.record.identity) {
                form.write(response);
            }
        }
        if let Some(from) = &view.upstream.from {
            response.set(h::FROM, &**from);
        }
        ResponseResult::Continue
    }
}
