//! Checks of what is to be forwarded (RFC 3261 §16.3 steps 3 and 5), and the new Max-Forwards (§16.6 step 3).

use super::{Processor, ProcessorResult};
use crate::proxy::{RequestContext, Verb};
use stack::header::{MaxForwards, h};

/// Max-Forwards of a request that has none.
const DEFAULT_MAX_FORWARDS: u8 = 70;

/// A CANCEL that matches no INVITE, Max-Forwards and Proxy-Require.
pub(super) struct Validation;

impl Processor for Validation {
    fn name(&self) -> &'static str {
        "validation"
    }

    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        // §9.2. That §16.10 has a proxy pass on what it does not know is for proxies that forward an INVITE without a
        // transaction, and can make the same branch for its CANCEL. This one never does: its CANCEL would match nothing.
        if context.verb == Verb::Cancel {
            return context.respond(481);
        }
        let left = match context.request.header(h::MAX_FORWARDS) {
            Ok(MaxForwards(0)) => return context.respond(483),
            Ok(MaxForwards(n)) => n - 1,
            // The scanner has refused what is malformed: here it is missing.
            Err(_) => DEFAULT_MAX_FORWARDS,
        };
        // §16.3 step 5: no extension that a proxy must support is supported.
        if context.request.exists(h::PROXY_REQUIRES) {
            return context.bad_extension(h::PROXY_REQUIRES, &[]);
        }
        context.request.set_number(h::MAX_FORWARDS, left.into());
        ProcessorResult::Continue
    }
}
