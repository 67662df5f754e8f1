//! The targets of a request for one of our users: the contacts of the address-of-record (RFC 3261 §16.5).

use super::{Processor, ProcessorResult};
use crate::proxy::{RequestContext, aor_key};
use stack::uri::Uri;

/// Looks up who is meant. A request that has a Route or a flow to follow, or is for elsewhere, passes: its target is its
/// Request-URI.
pub(super) struct LocationServer;

impl Processor for LocationServer {
    fn name(&self) -> &'static str {
        "location-server"
    }

    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        if context.flow.is_some() || context.route.is_some() || !context.uri.ours {
            return ProcessorResult::Continue;
        }
        let aor = match context.request.request_uri() {
            Ok(Uri::Sip(sip)) if sip.user.is_some() => aor_key(sip),
            _ => return context.respond(404),
        };
        match context.server.location().lookup(&aor, context.stack.now()) {
            None => context.respond(404),
            Some(found) if found.is_empty() => context.respond(480),
            Some(found) => {
                context.targets = found;
                ProcessorResult::SkipThisChain
            }
        }
    }
}
