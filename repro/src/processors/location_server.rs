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
        let (aor, secure) = match context.request.request_uri() {
            Ok(Uri::Sip(sip)) if sip.user.is_some() => {
                let secure = sip.secure;
                (aor_key(sip), secure)
            }
            _ => return context.respond(404),
        };
        match context.server.location().lookup(&aor, context.stack.now()) {
            None => context.respond(404),
            Some(mut found) => {
                // RFC 5630 §5.3: what was sent to a sips URI goes to nobody who would get it in clear.
                found.retain(|contact| !secure || is_sips(&contact.uri));
                if found.is_empty() {
                    return context.respond(480);
                }
                context.targets = found;
                context.aor = aor;
                ProcessorResult::SkipThisChain
            }
        }
    }
}

fn is_sips(uri: &str) -> bool {
    uri.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("sips:"))
}
