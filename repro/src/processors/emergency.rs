//! Emergency calls.

use super::trunk_route::{number, to_trunks};
use super::{Processor, ProcessorResult};
use crate::proxy::RequestContext;
use crate::routing::dial::Dialled;

/// Sends calls to emergency numbers (`dial.emergency`) and services (`urn:service:sos`, RFC 5031) to the trunks for them, then to all others, whatever their health
/// and whatever the failure, until one has taken the call. Nobody else is asked about them: no static route, and no user
/// who has such a name. Who calls must be known all the same, as for any call that leaves through a trunk.
pub(super) struct Emergency;

impl Processor for Emergency {
    fn name(&self) -> &'static str {
        "emergency"
    }

    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        let server = context.server;
        if server.config().dial.emergency.is_empty() || !context.wants_targets() {
            return ProcessorResult::Continue;
        }
        let plan = server.dial_plan();
        let service = context.request.request_uri().ok().and_then(|uri| plan.service_in(&uri).map(str::to_owned));
        let dialled = service.map(Dialled::Emergency).or_else(|| number(context).map(|digits| plan.dial(&digits)));
        let Some(Dialled::Emergency(number)) = dialled else { return ProcessorResult::Continue };
        let hops = server.provisioning().trunks.emergency(&number, context.stack.rng().next_u64(), context.stack.now());
        if hops.is_empty() { ProcessorResult::Continue } else { to_trunks(context, hops) }
    }
}
