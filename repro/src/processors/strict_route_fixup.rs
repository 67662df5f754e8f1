//! Route preprocessing (RFC 3261 §16.4), and the flows that our own Routes name (RFC 5626 §5.3.1).

use super::{Processor, ProcessorResult};
use crate::proxy::RequestContext;
use stack::flow_token::{BadFlowToken, NamedFlow, Purpose};
use stack::header::{NameAddr, h, p};
use stack::transport::Flow;
use stack::uri::Uri;

/// Our own entries at the top of the Route set: two where we recorded both sides (RFC 5658).
const OWN_ROUTES: usize = 2;

/// Repairs what a strict router did to the Request-URI, resolves an `maddr` of ours, and takes ourselves off the Route
/// set.
pub(super) struct StrictRouteFixup;

impl Processor for StrictRouteFixup {
    fn name(&self) -> &'static str {
        "strict-route-fixup"
    }

    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        let routed = context.request.exists(h::ROUTES);
        let mut own = Own::default();
        if routed && context.uri.is_own_record_route {
            if own.pass(token_of_request_uri(context)).is_err() {
                return context.respond_reason(403, BAD_TOKEN);
            }
            if !restore_request_uri(context) {
                return context.respond(400);
            }
        }
        if context.uri.has_maddr {
            strip_maddr(context);
        }
        if !routed {
            return ProcessorResult::Continue;
        }
        for _ in 0..OWN_ROUTES {
            match top_route(context) {
                Ok(Some(Top { ours: true, token, .. })) => {
                    if own.pass(token).is_err() {
                        return context.respond_reason(403, BAD_TOKEN);
                    }
                    context.request.pop_front(h::ROUTES);
                    context.came_by_own_route = true;
                }
                Ok(_) => break,
                Err(()) => return context.respond(400),
            }
        }
        let named = own.leads_to(context.request.source().map(|source| source.flow));
        context.flow = named.map(|named| named.flow);
        context.is_flow_of_dialog = named.is_some_and(|named| named.purpose == Purpose::Dialog);
        if context.flow.as_ref().is_some_and(|flow| context.is_silent(flow)) {
            // A name of ours may lead to the device by another flow.
            if !context.uri.ours {
                return context.respond(430);
            }
            context.flow = None;
        }
        match top_route(context) {
            Ok(top) => {
                context.route = top.map(|top| top.loose);
                ProcessorResult::Continue
            }
            Err(()) => context.respond(400),
        }
    }
}

/// Why a request is refused that has a flow token which is not ours.
const BAD_TOKEN: &str = "Bad Flow Token";

/// The Routes of ours that a request has passed: the one for the side that it came from, then the one for the side that
/// it goes to.
#[derive(Default)]
struct Own {
    passed: usize,
    /// The flow that the last of them names.
    last: Option<NamedFlow>,
}

impl Own {
    fn pass(&mut self, token: Token) -> Result<(), BadFlowToken> {
        self.passed += 1;
        self.last = token.transpose()?;
        Ok(())
    }

    /// The flow that the request goes by. A single Route of ours stands for both sides: if it names where the request
    /// comes from, the request is leaving that side.
    fn leads_to(&self, source: Option<Flow>) -> Option<NamedFlow> {
        let same = |flow: &Flow| {
            source.is_some_and(|s| (s.transport, s.connection, s.peer) == (flow.transport, flow.connection, flow.peer))
        };
        self.last.filter(|named| self.passed > 1 || !same(&named.flow))
    }
}

/// A flow token, if there is one.
type Token = Option<Result<NamedFlow, BadFlowToken>>;

struct Top {
    ours: bool,
    loose: bool,
    token: Token,
}

fn token(context: &RequestContext<'_, '_>, uri: &Uri<'_>) -> Token {
    context.stack.flow_of(uri.sip()?.user.as_deref()?)
}

fn token_of_request_uri(context: &RequestContext<'_, '_>) -> Token {
    token(context, &context.request.request_uri().ok()?)
}

fn top_route(context: &RequestContext<'_, '_>) -> Result<Option<Top>, ()> {
    match context.request.header(h::ROUTES).next() {
        None => Ok(None),
        Some(Err(_)) => Err(()),
        Some(Ok(route)) => Ok(Some(match &route.uri {
            Uri::Sip(sip) if context.is_ours(&sip.host, sip.port) => {
                Top { ours: true, loose: sip.param(p::LR), token: token(context, &route.uri) }
            }
            Uri::Sip(sip) => Top { ours: false, loose: sip.param(p::LR), token: None },
            _ => Top { ours: false, loose: true, token: None },
        })),
    }
}

/// The previous hop is a strict router: it put our Record-Route into the Request-URI, and what was there behind the
/// Route set.
fn restore_request_uri(context: &mut RequestContext<'_, '_>) -> bool {
    let routes: Result<Vec<NameAddr<'static>>, _> =
        context.request.header(h::ROUTES).map(|route| route.map(NameAddr::into_owned)).collect();
    let Ok(mut routes) = routes else { return false };
    let Some(last) = routes.pop() else { return false };
    context.request.remove(h::ROUTES);
    for route in &routes {
        context.request.push_back(h::ROUTES, route);
    }
    context.request.set_request_uri(&last.uri);
    context.came_by_own_route = true;
    context.read_uri();
    true
}

/// An `maddr` that names us has brought the request here; without it, the URI says where it goes on.
fn strip_maddr(context: &mut RequestContext<'_, '_>) {
    let stripped = {
        let Ok(Uri::Sip(mut sip)) = context.request.request_uri() else { return };
        let own = sip.param(p::MADDR).and_then(|maddr| stack::uri::Host::parse(maddr).ok());
        if !own.is_some_and(|maddr| context.is_ours(&maddr, sip.port)) {
            return;
        }
        sip.port = None;
        sip.params.remove("maddr");
        sip.params.remove("transport");
        sip.to_string()
    };
    context.request.set_request_uri(&stripped);
    context.read_uri();
}
