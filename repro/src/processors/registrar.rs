//! REGISTER for one of our domains goes to the registrar (RFC 3261 §10.3).

use super::{Processor, ProcessorResult};
use crate::proxy::{RequestContext, Verb};
use crate::registrar::OUTBOUND;
use stack::header::h;
use stack::uri::Uri;

/// Gives REGISTER to the registrar; every other request, and REGISTER for other domains, passes.
pub(super) struct RegistrarDispatch;

impl Processor for RegistrarDispatch {
    fn name(&self) -> &'static str {
        "registrar"
    }

    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        if context.verb != Verb::Register || !context.uri.ours || context.route.is_some() {
            return ProcessorResult::Continue;
        }
        // §10.3 step 2.
        if context.request.header(h::REQUIRES).any(|tag| !tag.is_ok_and(|tag| tag.is(OUTBOUND))) {
            return context.bad_extension(h::REQUIRES);
        }
        // Step 4: without authentication, who may register is who may send to any address.
        if !context.is_trusted() {
            return context.respond(403);
        }
        // Step 5: the address-of-record, which must be ours.
        let aor = match context.request.header(h::TO).map(|to| to.uri) {
            Ok(Uri::Sip(to)) if context.is_ours(&to.host, to.port) => Some(crate::proxy::aor_key(to)),
            Ok(Uri::Sip(_)) => None,
            _ => return context.respond(400),
        };
        let Some(aor) = aor else { return context.respond(404) };
        context.register(&aor)
    }
}
