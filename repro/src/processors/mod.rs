//! The processors of a request, one a file, in the order in which [`request_chain`] puts them. Each looks at the
//! request, and either lets the next one look, or has answered it, or knows its targets.

mod am_i_responsible;
mod location_server;
mod loop_detection;
mod options;
mod registrar;
mod strict_route_fixup;
mod validation;

use crate::proxy::RequestContext;

/// What becomes of a request after a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessorResult {
    /// The next processor looks at it.
    Continue,
    /// No other processor of this chain looks at it: it goes to its targets.
    SkipThisChain,
    /// It is done with: answered, or dropped.
    SkipAllChains,
}

/// One step in the treatment of a request. It must not block.
pub trait Processor: Send {
    /// Its name in logs.
    fn name(&self) -> &'static str;
    /// Looks at a request.
    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult;
}

/// The chain that every request runs through (RFC 3261 §16.3 to §16.5): first what finds out whether it is for us, then
/// what concerns only requests that go on. What leaves it without a target goes to its Request-URI.
pub fn request_chain() -> Vec<Box<dyn Processor>> {
    vec![
        Box::new(loop_detection::LoopDetection),
        Box::new(strict_route_fixup::StrictRouteFixup),
        Box::new(options::Options),
        Box::new(registrar::RegistrarDispatch),
        Box::new(validation::Validation),
        Box::new(am_i_responsible::AmIResponsible),
        Box::new(location_server::LocationServer),
    ]
}
