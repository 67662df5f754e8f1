//! What a sender may do because of where it sends from, or of what its certificate proves.

use super::{Processor, ProcessorResult};
use crate::proxy::RequestContext;

/// Looks for the sender in `trusted_peers` and `[[acl]]`. Without it in the chain nobody is trusted.
pub(super) struct TrustedNode;

impl Processor for TrustedNode {
    fn name(&self) -> &'static str {
        "trusted-node"
    }

    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        if let Some(source) = context.request.source() {
            context.trust = context.server.trust(&source.flow, context.stack.transports());
        }
        ProcessorResult::Continue
    }
}
