//! SUBSCRIBE to what the proxy itself knows goes to the event server: who is registered (RFC 3680).

use super::{Processor, ProcessorResult};
use crate::events::{REG, USER};
use crate::proxy::{RequestContext, Verb, aor_key};
use stack::header::{Method, h, p};
use stack::selector::Target;
use stack::uri::Uri;

/// Hands over SUBSCRIBEs for the packages of [`crate::events`]; every other request passes. A user of ours may be watched
/// by himself, and by who may send to any address; others get 403.
pub(super) struct EventServer;

impl Processor for EventServer {
    fn name(&self) -> &'static str {
        "event-server"
    }

    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        if context.verb != Verb::DialogForming || !context.uri.ours || context.route.is_some() || context.flow.is_some()
        {
            return ProcessorResult::Continue;
        }
        let is_reg = context.request.header(h::EVENT).is_ok_and(|event| *event.value == *REG);
        if !is_reg || context.request.method() != Some(Method::Subscribe) {
            return ProcessorResult::Continue;
        }
        let Ok(Uri::Sip(uri)) = context.request.request_uri() else { return ProcessorResult::Continue };
        if !context.is_initial() {
            let to_us = uri.user.as_deref() == Some(USER);
            return if to_us { ProcessorResult::ToEventServer } else { ProcessorResult::Continue };
        }
        // A device may have an event server of its own.
        if uri.user.is_none() || uri.param(p::GR).is_some() {
            return ProcessorResult::Continue;
        }
        let aor = aor_key(uri);
        let allowed = context.trust.relay || context.is_open() || is_user(context, &aor);
        if allowed { ProcessorResult::ToEventServer } else { context.respond(403) }
    }
}

/// Whether a request is from a user: he has shown it, or, where nobody is asked, it comes from a device that is registered
/// for him.
fn is_user(context: &RequestContext<'_, '_>, aor: &str) -> bool {
    if context.server.auth().is_some() {
        return context.user.as_deref() == Some(aor);
    }
    let from = match context.request.header(h::FROM).map(|from| from.uri) {
        Ok(Uri::Sip(from)) => context.is_ours(&from.host, from.port) && aor_key(from) == aor,
        _ => false,
    };
    let place = context.request.source().map(|source| Target { kind: source.flow.kind, address: source.flow.peer });
    let at_home = |place| context.server.location().has_endpoint(aor, place, context.stack.now());
    from && place.is_some_and(at_home)
}
