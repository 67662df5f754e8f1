//! Whether this proxy may carry the request at all.

use super::{Processor, ProcessorResult};
use crate::proxy::RequestContext;

/// Refuses schemes that it cannot route (RFC 3261 §16.3 step 2), and to relay for strangers.
///
/// Who may send a request to an address that is not in one of our domains: everybody, when the proxy listens on
/// loopback addresses only; else trusted peers, the contacts and sources of registered users, and within a dialog
/// also whoever sends to a registered contact. The last is no hole: a Route that names us can be forged, but what it
/// gives access to is a user of ours. A Route that names a flow cannot be forged, and leads to who gave it away.
pub(super) struct AmIResponsible;

impl Processor for AmIResponsible {
    fn name(&self) -> &'static str {
        "am-i-responsible"
    }

    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        if context.flow.is_some() {
            return ProcessorResult::Continue;
        }
        if context.route.is_none() && !context.uri.is_sip && !context.is_number() {
            return context.respond(416);
        }
        if context.route.is_none() && context.uri.ours {
            return ProcessorResult::Continue;
        }
        let allowed = context.may_relay() || context.goes_to_endpoint();
        if allowed { ProcessorResult::Continue } else { context.respond_reason(403, "Relaying Forbidden") }
    }
}
