//! OPTIONS to the proxy itself (RFC 3261 §11).

use super::{Processor, ProcessorResult};
use crate::proxy::{RequestContext, Verb};
use stack::header::h;

/// What the proxy lets pass or answers itself.
const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, PRACK, SUBSCRIBE, NOTIFY, PUBLISH, INFO, REFER, \
                     MESSAGE, UPDATE";

/// Answers OPTIONS that has our own address without a user as Request-URI and nowhere else to go. It is the final
/// recipient, so Max-Forwards does not matter (§16.3 step 3).
pub(super) struct Options;

impl Processor for Options {
    fn name(&self) -> &'static str {
        "options"
    }

    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        if context.verb != Verb::Options || !context.is_to_proxy() || context.route.is_some() {
            return ProcessorResult::Continue;
        }
        // §8.2.2.3: as the recipient we have to understand what is required; there is no extension here.
        if context.request.exists(h::REQUIRES) {
            return context.bad_extension(h::REQUIRES, &[]);
        }
        context.respond_with(200, |response| {
            response.append_line("Allow", ALLOW);
            response.append_line("Accept", "*/*");
            response.append_line("Accept-Encoding", "identity");
            response.append_line("Accept-Language", "en");
            response.append_line("Supported", "");
        })
    }
}
