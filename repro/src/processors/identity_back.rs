//! Who a response is from, as far as the sender of the request may know (RFC 3325 §5).

use super::identity::{is_trusted, unassert, wants_privacy};
use super::{ResponseProcessor, ResponseResult};
use crate::proxy::ResponseView;
use stack::header::h;

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
        let trusts = |flow| is_trusted(view.server, flow, view.stack.transports());
        let asserts = response.exists(h::P_ASSERTED_IDENTITIES) || response.exists(h::REMOTE_PARTY_IDS);
        if asserts {
            let believed = trusts(response.source().map(|source| source.flow));
            let told = !wants_privacy(response) || trusts(view.upstream.source);
            if !believed || !told {
                unassert(response);
            }
        }
        if let Some(from) = &view.upstream.from {
            response.set(h::FROM, &**from);
        }
        ResponseResult::Continue
    }
}
