//! REGISTER for one of our domains goes to the registrar (RFC 3261 §10.3), for another it passes and gets a Path.

use super::{Processor, ProcessorResult};
use crate::proxy::{RequestContext, Verb};
use crate::registrar::{GRUU, OUTBOUND, PATH, supports};
use stack::header::{Contact, NameAddr, h, p};
use stack::message::Message;
use stack::selector::needs_flow;
use stack::tu::AddPath;
use stack::uri::Uri;

/// What a REGISTER may require.
const EXTENSIONS: [&str; 3] = [OUTBOUND, PATH, GRUU];

/// Gives REGISTER to the registrar; every other request passes.
pub(super) struct RegistrarDispatch;

impl Processor for RegistrarDispatch {
    fn name(&self) -> &'static str {
        "registrar"
    }

    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        if context.verb != Verb::Register {
            return ProcessorResult::Continue;
        }
        if !context.uri.ours || context.route.is_some() {
            return pass_on(context);
        }
        // §10.3 step 2.
        if context
            .request
            .header(h::REQUIRES)
            .any(|tag| !tag.is_ok_and(|tag| EXTENSIONS.iter().any(|known| tag.is(known))))
        {
            return context.bad_extension(h::REQUIRES, &EXTENSIONS);
        }
        // Step 4: what a password has to do with it was decided before.
        if !context.may_register() {
            return context.respond(403);
        }
        // Step 5: the address-of-record, which must be ours.
        let aor = match context.request.to_uri() {
            Ok(Uri::Sip(to)) if context.is_ours(&to.host, to.port) => Some(crate::proxy::aor_key(to)),
            Ok(Uri::Sip(_)) => None,
            _ => return context.respond(400),
        };
        let Some(aor) = aor else { return context.respond(404) };
        context.register(&aor)
    }
}

/// For another domain. What is sent to its contacts comes back through us, if the device can bear it (RFC 3327 §5.2),
/// and then on the flow of a device that wants it so, if we are the first that it sends to (RFC 5626 §5.1).
fn pass_on(context: &mut RequestContext<'_, '_>) -> ProcessorResult {
    if !context.server.config().path {
        return ProcessorResult::Continue;
    }
    let first_hop = context.request.header(h::VIAS).texts().count() == 1;
    let only_by_flow = first_hop && any_contact(&context.request, |c| c.uri.sip().is_some_and(needs_flow));
    let by_flow = only_by_flow || first_hop && any_contact(&context.request, |c| c.param(p::REG_ID).is_some());
    match supports(&context.request, PATH) {
        true => context.path = if by_flow { AddPath::Flow } else { AddPath::Here },
        // Nobody would ever reach it.
        false if only_by_flow => return context.respond_with(421, |response| response.append_line("Require", PATH)),
        false => {}
    }
    if only_by_flow && !context.request.header(h::REQUIRES).any(|tag| tag.is_ok_and(|tag| tag.is(PATH))) {
        context.request.append_line("Require", PATH);
    }
    ProcessorResult::Continue
}

fn any_contact(request: &Message, is: impl Fn(&NameAddr<'_>) -> bool) -> bool {
    request.header(h::CONTACTS).any(|contact| matches!(contact, Ok(Contact::Addr(addr)) if is(&addr)))
}
