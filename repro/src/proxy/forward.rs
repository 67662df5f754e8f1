//! Forwarding a request (RFC 3261 §16.6).

use super::request_context::{RequestContext, RequestState, Verb};
use super::response_context::Forwarding;
use super::target::truncate;
use crate::config::NatDetection;
use crate::location::is_sips;
use crate::nat;
use stack::header::{HeaderValue, NameAddr, h};
use stack::message::Message;
use stack::tu::{NextHop, SendOptions, TuContext};
use stack::uri::Uri;

impl<'s, 'c> RequestContext<'s, 'c> {
    /// Ends the part of the processors: the request with its targets and the way it is sent.
    pub(super) fn into_forwarding(mut self) -> (Forwarding, &'s mut TuContext<'c>) {
        let config = self.server.config();
        let dialog = matches!(self.verb, Verb::Invite | Verb::DialogForming);
        // Step 4: who began the dialog without us keeps it without us.
        let record = config.record_route && dialog && self.is_initial();
        let inbound = self.request.source().map(|source| source.flow);
        let next_hop = match (self.flow, self.route) {
            (Some(flow), _) => NextHop::Flow(flow),
            (None, Some(false)) => {
                to_strict_router(&mut self.state.request);
                NextHop::RequestUri
            }
            _ => NextHop::Route,
        };
        // RFC 5393 §5.3.3: who forks may allow less than he was allowed.
        let most = config.limits.max_breadth;
        let max_breadth = self.request.header(h::MAX_BREADTH).map_or(most, |breadth| breadth.0.min(most));
        let RequestState { request, mut steps, onward, aor, loop_hash, path, watched, recurses, .. } = self.state;
        truncate(&mut steps, config.limits.max_targets);
        let record_route = inbound.filter(|_| record);
        let back_by_flow = record && config.nat.detect == NatDetection::Auto && nat::comes_from_behind(&request);
        let options = SendOptions {
            next_hop,
            record_route,
            back_by_flow,
            loop_hash: Some(loop_hash),
            path,
            no_rport: false,
            new_connection: false,
            silence: None,
            most_octets: None,
        };
        let room = config.limits.max_targets - steps.iter().map(|step| step.targets.len()).sum::<usize>();
        let tried = match recurses {
            true => vec![String::from_utf8_lossy(request.request_uri_text()).into()],
            false => Vec::new(),
        };
        let ringing = 0;
        let mut forwarding = Forwarding {
            request,
            steps,
            onward,
            room,
            tried,
            aor,
            options,
            max_breadth,
            ringing,
            watched,
            recurses,
            accounted: false,
        };
        forwarding.fit_breadth();
        (forwarding, self.stack)
    }
}

/// Step 6: a next hop without `lr` wants itself in the Request-URI, and what was there at the end of the Route set. What
/// was sent to a sips URI stays on TLS, whatever that next hop calls itself (RFC 3261 §26.2.2).
fn to_strict_router(request: &mut Message) {
    let Some(Ok(next)) = request.header(h::ROUTES).texts().next() else { return };
    let next = next.to_owned();
    let Ok(route) = NameAddr::parse(&next) else { return };
    let target = String::from_utf8_lossy(request.request_uri_text()).into_owned();
    request.pop_front(h::ROUTES);
    request.push_back(h::ROUTES, &format_args!("<{target}>"));
    let mut uri = route.uri;
    if let Uri::Sip(sip) = &mut uri {
        sip.secure |= is_sips(&target);
    }
    request.set_request_uri(&uri);
}
