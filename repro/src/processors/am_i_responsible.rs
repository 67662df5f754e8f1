//! Whether this proxy may carry the request at all.

use super::digest_authenticator::{self, Anonymous};
use super::{Processor, ProcessorResult};
use crate::proxy::RequestContext;

/// Refuses schemes that it cannot route (RFC 3261 §16.3 step 2), and to relay for strangers.
///
/// Who may send a request to an address that is not in one of our domains: everybody, when the proxy listens on
/// loopback addresses only; else trusted peers, the contacts and sources of registered users, and within a dialog
/// also whoever sends to a registered contact. The last is no hole: a Route that names us can be forged, but what it
/// gives access to is a user of ours. A Route that names a flow cannot be forged, and leads to who gave it away.
/// Where passwords are required, they are what opens the way out of a dialog, and trust; a source does not.
pub(super) struct AmIResponsible;

impl Processor for AmIResponsible {
    fn name(&self) -> &'static str {
        "am-i-responsible"
    }

    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        // Who had a call with a device may not begin others at it, by what he was told for the first one.
        let misused = context.is_flow_of_dialog && context.is_initial() && !context.may_relay();
        if context.flow.is_some() && !misused {
            return ProcessorResult::Continue;
        }
        if context.route.is_none() && !context.uri.is_sip && !context.is_number() {
            return context.respond(416);
        }
        if context.route.is_none() && context.uri.ours && !misused {
            return ProcessorResult::Continue;
        }
        if context.may_relay() || context.goes_to_endpoint() {
            return ProcessorResult::Continue;
        }
        may_still_prove(context).unwrap_or_else(|| context.respond_reason(403, "Relaying Forbidden"))
    }
}

/// Within a dialog nobody was asked yet; and who is anonymous is asked only here. An ACK has the credentials of its INVITE,
/// and gets no answer. None: it is forbidden.
pub(super) fn may_still_prove(context: &mut RequestContext<'_, '_>) -> Option<ProcessorResult> {
    let auth = context.server.auth().filter(|_| !context.trust.listed)?;
    let result = digest_authenticator::authenticate(context, auth, Anonymous::Asked);
    (result != ProcessorResult::Continue || context.user.is_some()).then_some(result)
}
