//! Which processors there are, and in which order they are asked.

use super::{
    Processor, ResponseProcessor, TargetProcessor, am_i_responsible, call_forwarding, constant_location,
    digest_authenticator, diversion, emergency, event_server, identity, identity_back, identity_out, location_server,
    loop_detection, message_silo, options, peer, recursive_redirect, registrar, request_filter, static_route,
    strict_route_fixup, strip_credentials, trunk, trunk_route, trusted_node, validation,
};
use crate::config;
use std::collections::HashSet;
use std::sync::Arc;

/// The processors that a configuration may name: those of this crate, and a program's own.
///
/// ```
/// use repro::processors::{Processor, ProcessorResult, Processors};
/// use repro::proxy::RequestContext;
///
/// struct NoMessages;
///
/// impl Processor for NoMessages {
///     fn name(&self) -> &'static str {
///         "no-messages"
///     }
///
///     fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
///         match context.request.method() {
///             Some(stack::header::Method::Message) => context.respond_reason(403, "No Messages Here"),
///             _ => ProcessorResult::Continue,
///         }
///     }
/// }
///
/// let mut processors = Processors::standard();
/// processors.add_before("validation", NoMessages);
/// let chains = processors.chains(&repro::Config::default().chains)?;
/// # Ok::<(), repro::processors::ChainError>(())
/// ```
pub struct Processors {
    request: Vec<Arc<dyn Processor>>,
    target: Vec<Arc<dyn TargetProcessor>>,
    response: Vec<Arc<dyn ResponseProcessor>>,
}

/// What a chain names cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// It is not there.
    #[error("chains.{chain}: there is no processor {name:?}, expected some of {known}")]
    Unknown {
        /// `request`, `target` or `response`.
        chain: &'static str,
        /// What it names.
        name: String,
        /// Those that are there.
        known: String,
    },
    /// It would be asked twice.
    #[error("chains.{chain}: {name:?} is there twice: leave one out")]
    Twice {
        /// `request`, `target` or `response`.
        chain: &'static str,
        /// What it names.
        name: String,
    },
}

/// The chains of a proxy.
#[derive(Clone)]
pub struct Chains {
    pub(crate) request: Arc<[Arc<dyn Processor>]>,
    pub(crate) target: Arc<[Arc<dyn TargetProcessor>]>,
    pub(crate) response: Arc<[Arc<dyn ResponseProcessor>]>,
}

impl Processors {
    /// Those of this crate, in the order that they have when the configuration says none (RFC 3261 §16.3 to §16.5): first
    /// what finds out whether a request is for us, then what concerns only requests that go on. What leaves the chain
    /// without a target goes to its Request-URI.
    pub fn standard() -> Self {
        Processors {
            request: vec![
                Arc::new(loop_detection::LoopDetection),
                Arc::new(peer::FromPeer),
                Arc::new(strict_route_fixup::StrictRouteFixup),
                Arc::new(request_filter::RequestFilter),
                Arc::new(options::Options),
                Arc::new(trusted_node::TrustedNode),
                Arc::new(digest_authenticator::DigestAuthenticator),
                Arc::new(registrar::RegistrarDispatch),
                Arc::new(validation::Validation),
                Arc::new(am_i_responsible::AmIResponsible),
                Arc::new(event_server::EventServer),
                Arc::new(identity::Identity),
                Arc::new(recursive_redirect::RecursiveRedirect),
                Arc::new(emergency::Emergency),
                Arc::new(static_route::StaticRoute),
                Arc::new(trunk_route::TrunkRoute),
                Arc::new(constant_location::ConstantLocation),
                Arc::new(call_forwarding::CallForwarding),
                Arc::new(message_silo::MessageSilo),
                Arc::new(location_server::LocationServer),
            ],
            target: vec![
                Arc::new(trunk::ToTrunk),
                Arc::new(strip_credentials::StripCredentials),
                Arc::new(diversion::WriteDiversion),
                Arc::new(identity_out::IdentityOut),
                Arc::new(peer::ToPeer),
            ],
            response: vec![
                Arc::new(identity_back::IdentityBack),
                Arc::new(peer::BackToPeer),
                Arc::new(trunk::FromTrunk),
                Arc::new(recursive_redirect::RecursiveRedirect),
            ],
        }
    }

    /// Adds a processor of one's own to the request chain, before another; at the end if there is none of that name.
    pub fn add_before(&mut self, other: &str, own: impl Processor + 'static) {
        let at = self.request.iter().position(|known| known.name() == other).unwrap_or(self.request.len());
        self.request.insert(at, Arc::new(own));
    }

    /// Adds a processor of one's own at the end of the target chain.
    pub fn add_target(&mut self, own: impl TargetProcessor + 'static) {
        self.target.push(Arc::new(own));
    }

    /// Adds a processor of one's own at the end of the response chain.
    pub fn add_response(&mut self, own: impl ResponseProcessor + 'static) {
        self.response.push(Arc::new(own));
    }

    /// The chains that a configuration asks for: for each that it does not name all processors there are.
    ///
    /// # Errors
    /// When it names one that is not there, or one twice.
    pub fn chains(&self, config: &config::Chains) -> Result<Chains, ChainError> {
        Ok(Chains {
            request: chain("request", config.request.as_deref(), &self.request, |p| p.name())?,
            target: chain("target", config.target.as_deref(), &self.target, |p| p.name())?,
            response: chain("response", config.response.as_deref(), &self.response, |p| p.name())?,
        })
    }
}

/// One chain: those with these names, in this order.
fn chain<P: ?Sized>(
    chain: &'static str,
    names: Option<&[String]>,
    known: &[Arc<P>],
    name_of: impl Fn(&P) -> &'static str,
) -> Result<Arc<[Arc<P>]>, ChainError> {
    let Some(names) = names else { return Ok(known.into()) };
    let mut seen = HashSet::new();
    if let Some(name) = names.iter().find(|name| !seen.insert(*name)) {
        return Err(ChainError::Twice { chain, name: name.clone() });
    }
    let find = |name: &String| {
        known.iter().find(|processor| name_of(processor) == name).cloned().ok_or_else(|| ChainError::Unknown {
            chain,
            name: name.clone(),
            known: known.iter().map(|processor| name_of(processor)).collect::<Vec<_>>().join(", "),
        })
    };
    names.iter().map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(request: Option<&[&str]>) -> Result<Vec<&'static str>, ChainError> {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let config = config::Chains { request: request.map(names), ..config::Chains::default() };
        let chains = Processors::standard().chains(&config)?;
        Ok(chains.request.iter().map(|processor| processor.name()).collect())
    }

    #[test]
    fn the_configuration_orders() {
        assert_eq!(of(Some(&["validation", "options"])), Ok(vec!["validation", "options"]));
        assert_eq!(of(None).unwrap().first(), Some(&"loop-detection"));
        let error = of(Some(&["options", "monkey"])).unwrap_err().to_string();
        assert!(error.starts_with("chains.request: there is no processor \"monkey\""), "{error}");
        assert!(error.contains("loop-detection, peer"), "{error}");
        let error = of(Some(&["options", "validation", "options"])).unwrap_err().to_string();
        assert_eq!(error, "chains.request: \"options\" is there twice: leave one out");
    }
}
