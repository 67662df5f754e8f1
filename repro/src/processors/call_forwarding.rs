//! Calls that go to somebody else than their address says: forwards of users, and groups.

use super::{Processor, ProcessorResult};
use crate::forwarding::{Chain, Resolved, Resolver};
use crate::proxy::{RequestContext, Verb, aor_key};
use crate::routing::trunk::Redirects;
use stack::uri::Uri;

/// Looks for a user who forwards his calls, or a group. What has a Route or a flow to follow, or names a device (a GRUU),
/// passes, and so does what is within a dialog. A group takes calls, and nothing else (405); other requests to a user who
/// forwards go to his contacts.
pub(super) struct CallForwarding;

impl Processor for CallForwarding {
    fn name(&self) -> &'static str {
        "call-forwarding"
    }

    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        let provisioning = context.server.provisioning();
        let concerned = provisioning.forwards() && context.uri.ours && context.uri.has_user;
        if !concerned || context.route.is_some() || context.flow.is_some() || !context.is_initial() {
            return ProcessorResult::Continue;
        }
        let aor = match context.request.request_uri() {
            Ok(Uri::Sip(sip)) if !sip.params.contains("gr") => aor_key(sip),
            _ => return ProcessorResult::Continue,
        };
        let group = provisioning.group(&aor).is_some();
        let forwards = group || provisioning.user(&aor).is_some_and(|user| user.forwards().is_some());
        match context.verb {
            Verb::Invite if forwards => {}
            Verb::Invite | Verb::Ack => return ProcessorResult::Continue,
            _ if group => {
                return context.respond_with(405, |response| response.append_line("Allow", "INVITE, ACK, CANCEL"));
            }
            _ => return ProcessorResult::Continue,
        }
        let draw = context.stack.rng().next_u64();
        let resolver = Resolver {
            server: context.server,
            transports: context.stack.transports(),
            now: context.stack.now(),
            request: &context.request,
            secure: context.request.is_sips(),
            draw,
        };
        let chain = Chain::new(context.request.request_uri_text());
        match resolver.resolve(&format!("sip:{aor}").into(), chain) {
            Ok(Resolved { steps, onward }) => {
                (context.steps, context.onward, context.aor) = (steps, onward, aor);
                heed_trunks(context);
                ProcessorResult::SkipThisChain
            }
            Err(code) => context.respond(code),
        }
    }
}

/// What goes to a trunk now, or may do so later, is heeded as its answers and redirections ask for.
fn heed_trunks(context: &mut RequestContext<'_, '_>) {
    let trunks = &context.server.provisioning().trunks;
    let by_trunk = || context.steps.iter().flat_map(|step| &step.targets).any(|target| target.hop.is_some());
    if !trunks.is_empty() && (context.onward.is_some() || by_trunk()) {
        context.watched = true;
        context.recurses |= trunks.iter().any(|trunk| trunk.record.redirects == Redirects::Follow);
    }
}
