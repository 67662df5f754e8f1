//! A constant target for whatever is in one of our domains, as an edge has that hands everything to one server behind it.

use super::{Processor, ProcessorResult};
use crate::location::{By, Found, Located, is_sips};
use crate::proxy::{RequestContext, by_preference};

/// Sends each request for a user of ours, that has no Route or flow to follow, to the contacts of
/// `forwarding.constant_location`; without any it does nothing.
pub(super) struct ConstantLocation;

impl Processor for ConstantLocation {
    fn name(&self) -> &'static str {
        "constant-location"
    }

    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        let config = context.server.config();
        let contacts = &config.forwarding.constant_location;
        let concerned = !contacts.is_empty() && context.uri.ours && context.uri.has_user;
        if !concerned || context.route.is_some() || context.flow.is_some() {
            return ProcessorResult::Continue;
        }
        let secure = context.request.is_sips();
        let texts = contacts.iter().map(|contact| contact.as_str()).filter(|uri| !secure || is_sips(uri));
        let found: Found = texts.map(|uri| Located { uri: uri.into(), q: 1000, by: By::Uri, older: None }).collect();
        if found.is_empty() {
            return context.respond(480);
        }
        context.steps = by_preference(found, &config.forking);
        ProcessorResult::SkipThisChain
    }
}
