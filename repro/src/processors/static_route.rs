//! Targets by the look of the Request-URI: reSIProcate's `StaticRoute`.

use super::am_i_responsible::may_still_prove;
use super::{Processor, ProcessorResult};
use crate::location::{By, Located, is_sips};
use crate::proxy::{RequestContext, Step, Steps};
use crate::routing::static_route::Chosen;
use stack::header::h;
use stack::uri::Uri;

/// Looks for static routes (`[[static_route]]`). Those of one priority are tried at the same time, the next ones after
/// they have failed. A single one that leads to one of our domains is another name for somebody there. What leads elsewhere
/// is for who may relay, unless it is open to all. Several that lead to our domains come back over the net, as from
/// ourselves: who may not relay gets the first one alone, as a name.
pub(super) struct StaticRoute;

impl Processor for StaticRoute {
    fn name(&self) -> &'static str {
        "static-route"
    }

    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        let routes = &context.server.provisioning().static_routes;
        if routes.is_empty() || !context.wants_targets() {
            return ProcessorResult::Continue;
        }
        let request = &context.request;
        let event = request.header(h::EVENT).ok();
        let event = event.as_ref().map(|event| &*event.value);
        let Some(method) = request.method() else { return ProcessorResult::Continue };
        let mut chosen = routes.choose(request.request_uri_text(), method.as_str(), event);
        // RFC 5630 §5.3: what was sent to a sips URI goes to nobody who would get it in clear.
        if request.is_sips() {
            chosen.retain(|one| is_sips(&one.uri));
        }
        // What has an `maddr` goes there, whoever's name it has.
        let stays = |one: &Chosen| {
            matches!(Uri::parse(&one.uri), Ok(Uri::Sip(sip))
                if context.is_ours(&sip.host, sip.port) && !sip.params.contains("maddr"))
        };
        if !chosen.is_empty() && !context.may_relay() {
            chosen.retain(|one| one.open || stays(one));
            match chosen.first().map(stays) {
                Some(true) => chosen.truncate(1),
                Some(false) => chosen.retain(|one| !stays(one)),
                // Who is anonymous was not asked yet.
                None => {
                    return match may_still_prove(context) {
                        Some(ProcessorResult::Continue) => self.process(context),
                        Some(asked) => asked,
                        None => context.respond_reason(403, "Relaying Forbidden"),
                    };
                }
            }
        }
        if let [one] = chosen.as_slice()
            && stays(one)
        {
            context.request.set_request_uri(&one.uri);
            context.read_uri();
            return ProcessorResult::Continue;
        }
        let (mut steps, mut last) = (Steps::new(), None);
        for route in chosen {
            let target = Located { uri: route.uri.into(), q: 1000, by: By::Uri, older: None };
            match steps.last_mut() {
                Some(step) if last == Some(route.priority) => step.targets.push(target.into()),
                _ => steps.push(Step::to(target)),
            }
            last = Some(route.priority);
        }
        if steps.is_empty() {
            return ProcessorResult::Continue;
        }
        context.steps = steps;
        ProcessorResult::SkipThisChain
    }
}
