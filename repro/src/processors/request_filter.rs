//! Requests that an operator does not want, or wants otherwise: reSIProcate's `RequestFilter`.

use super::{Processor, ProcessorResult};
use crate::proxy::{RequestContext, Verb};
use crate::routing::filter::Verdict;

/// Asks the filters (`[[filter]]`). An ACK and a CANCEL belong to a request that they have let pass.
pub(super) struct RequestFilter;

impl Processor for RequestFilter {
    fn name(&self) -> &'static str {
        "request-filter"
    }

    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        let filters = &context.server.provisioning().filters;
        if filters.is_empty() || matches!(context.verb, Verb::Ack | Verb::Cancel) {
            return ProcessorResult::Continue;
        }
        match filters.apply(&mut context.request) {
            Verdict::Pass => {
                context.read_uri();
                ProcessorResult::Continue
            }
            Verdict::Reject { code, reason: Some(reason) } => context.respond_reason(code, reason),
            Verdict::Reject { code, reason: None } => context.respond(code),
        }
    }
}
