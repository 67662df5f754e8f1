//! A proxy with a processor of one's own: it refuses anonymous calls to our users (RFC 5079).
//!
//! It takes the arguments and the configuration of `repro`; `[chains]` may put the processor elsewhere, or leave it out.
#![forbid(unsafe_code)]

use apps::repro::Args;
use clap::Parser as _;
use repro::processors::{Processor, ProcessorResult};
use repro::proxy::{RequestContext, Verb};
use stack::header::h;
use std::process::ExitCode;

struct NoAnonymousCalls;

impl Processor for NoAnonymousCalls {
    fn name(&self) -> &'static str {
        "no-anonymous-calls"
    }

    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        if context.verb != Verb::Invite || !context.is_initial() || !context.uri.ours {
            return ProcessorResult::Continue;
        }
        let from = context.request.header(h::FROM);
        let host = from.ok().and_then(|from| Some(from.uri.sip()?.host.to_string()));
        match host.as_deref() {
            Some("anonymous.invalid") => context.respond_reason(433, "Anonymity Disallowed"),
            _ => ProcessorResult::Continue,
        }
    }
}

fn main() -> ExitCode {
    apps::repro::main(Args::parse(), |_, processors| processors.add_before("location-server", NoAnonymousCalls))
}
