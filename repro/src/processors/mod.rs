//! The processors, one a file, and the chains that they form, in the order that the configuration says (`[chains]`).
//!
//! ```text
//!   request ──► request chain ──► answered, or a target set
//!                                        │ for each target
//!                                        ▼
//!                                  target chain ──► its copy of the request, as it is sent
//!
//!   response of a target ──► response chain ──► goes back, counts as another status, or adds targets
//! ```
//!
//! A [`Processor`] looks at a request and lets the next one look, or has answered it, or knows its targets, or waits for
//! an answer from elsewhere. A [`TargetProcessor`] writes into the copy for one target what belongs there alone. A
//! [`ResponseProcessor`] sees the responses to requests that a processor wants watched.

mod am_i_responsible;
mod call_forwarding;
mod chains;
mod constant_location;
mod digest_authenticator;
mod diversion;
mod emergency;
mod event_server;
pub mod http;
mod identity;
mod identity_back;
mod identity_out;
mod location_server;
mod loop_detection;
mod message_silo;
mod options;
mod peer;
mod recursive_redirect;
mod registrar;
mod request_filter;
mod static_route;
mod strict_route_fixup;
mod strip_credentials;
mod trunk;
mod trunk_route;
mod trusted_node;
mod validation;

pub use chains::{ChainError, Chains, Processors};
pub(crate) use location_server::contacts_of;
pub(crate) use trunk_route::one_by_one;

use crate::proxy::{RequestContext, ResponseView, TargetView};
use std::any::Any;

/// What becomes of a request after a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessorResult {
    /// The next processor looks at it.
    Continue,
    /// No other processor of this chain looks at it: it goes to its targets.
    SkipThisChain,
    /// It is done with: answered, or dropped.
    SkipAllChains,
    /// It is a SUBSCRIBE or PUBLISH for the event server of this shard ([`crate::events`]), which answers it.
    ToEventServer,
    /// It waits for what the processor has asked for with [`RequestContext::wait`]; the same processor resumes it.
    WaitingForEvent,
}

/// One step in the treatment of a request. It serves all shards, and must not block.
pub trait Processor: Send + Sync {
    /// Its name in the configuration and in logs.
    fn name(&self) -> &'static str;

    /// Looks at a request.
    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult;

    /// Goes on with a request that waited; without an answer its time is over.
    fn resume(&self, _context: &mut RequestContext<'_, '_>, _answer: Option<Box<dyn Any + Send>>) -> ProcessorResult {
        ProcessorResult::Continue
    }
}

/// What becomes of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetResult {
    /// The next processor looks at it; after the last the request is sent.
    Continue,
    /// It gets nothing, and counts as having answered with this status.
    Skip(u16),
}

/// Writes the copy of a request for one target.
pub trait TargetProcessor: Send + Sync {
    /// Its name in the configuration and in logs.
    fn name(&self) -> &'static str;

    /// Looks at a target and its copy of the request, just before that is sent.
    fn process(&self, view: &mut TargetView<'_, '_>) -> TargetResult;
}

/// What becomes of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseResult {
    /// The next processor looks at it; after the last it counts as what it is.
    Continue,
    /// A failure counts as this status, without what the response said.
    CountAs(u16),
    /// A failure counts for nothing: others are tried in its place (RFC 3261 §16.7 step 4).
    Recurse,
}

/// Looks at the responses to a request that is watched ([`crate::proxy::RequestState::watched`]).
pub trait ResponseProcessor: Send + Sync {
    /// Its name in the configuration and in logs.
    fn name(&self) -> &'static str;

    /// Looks at a response, provisional or final, or at what stands for one that did not come.
    fn process(&self, view: &mut ResponseView<'_, '_>) -> ResponseResult;
}
