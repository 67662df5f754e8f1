//! SUBSCRIBE to what the proxy itself knows (RFC 3680), or to what is published here, and PUBLISH (RFC 3903) go to the event
//! server.

use super::location_server::look_up;
use super::{Processor, ProcessorResult};
use crate::config::Watchers;
use crate::events::{Package, REG, USER};
use crate::proxy::{RequestContext, Verb, aor_key};
use stack::header::{Method, h, p};
use stack::uri::{SipUri, Uri};

/// Hands over SUBSCRIBEs for the packages of [`crate::events`], and PUBLISHs for users of ours where any of these are
/// published; every other request passes. Who may send to any address may watch and publish for everybody, and a user for
/// himself, but for messages that wait for him: those a voicemail server publishes. Presence and dialogs may be watched by
/// whom `events.watchers` names; others get 403.
pub(super) struct EventServer;

impl Processor for EventServer {
    fn name(&self) -> &'static str {
        "event-server"
    }

    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        if !context.uri.ours || context.route.is_some() || context.flow.is_some() {
            return ProcessorResult::Continue;
        }
        match (context.verb, context.request.method()) {
            (Verb::DialogForming, Some(Method::Subscribe)) => subscribe(context),
            (Verb::Other, Some(Method::Publish)) => publish(context),
            _ => ProcessorResult::Continue,
        }
    }
}

/// What a SUBSCRIBE is for, if that is told here; `Some(None)` is `reg`.
fn package(context: &RequestContext<'_, '_>) -> Option<Option<Package>> {
    let event = context.request.header(h::EVENT).ok()?;
    let kept = |package: &Package| context.server.config().events.keeps(*package);
    if *event.value == *REG { Some(None) } else { Package::of(&event.value).filter(kept).map(Some) }
}

fn subscribe(context: &mut RequestContext<'_, '_>) -> ProcessorResult {
    let Some(package) = package(context) else { return ProcessorResult::Continue };
    let Ok(Uri::Sip(uri)) = context.request.request_uri() else { return ProcessorResult::Continue };
    if !context.is_initial() {
        let to_us = uri.user.as_deref() == Some(USER);
        return if to_us { ProcessorResult::ToEventServer } else { ProcessorResult::Continue };
    }
    // A device may have an event server of its own.
    if uri.user.is_none() || uri.param(p::GR).is_some() {
        return ProcessorResult::Continue;
    }
    let aor = aor_key(uri);
    if !may_do_all(context) && !is_user(context, &aor) && !may_watch(context, package) {
        return context.respond(403);
    }
    // Where it is known who the users are.
    if package.is_some() && context.server.auth().is_some() && !is_known(context, &aor) {
        return context.respond(404);
    }
    ProcessorResult::ToEventServer
}

fn publish(context: &mut RequestContext<'_, '_>) -> ProcessorResult {
    if context.server.config().events.packages.is_empty() || !context.is_initial() {
        return ProcessorResult::Continue;
    }
    let Ok(Uri::Sip(uri)) = context.request.request_uri() else { return ProcessorResult::Continue };
    if uri.user.is_none() || uri.param(p::GR).is_some() {
        return ProcessorResult::Continue;
    }
    let (aor, own) = (aor_key(uri.clone()), uri.port.is_some().then(|| SipUri { port: None, ..uri }.to_string()));
    let for_himself = package(context) != Some(Some(Package::MessageSummary));
    let allowed = may_do_all(context) || for_himself && is_user(context, &aor);
    if !allowed {
        return context.respond(403);
    }
    if context.server.auth().is_some() && !is_known(context, &aor) {
        return context.respond(404);
    }
    // A port of ours means nothing: it is the same user.
    if let Some(own) = own {
        context.request.set_request_uri(&own);
    }
    ProcessorResult::ToEventServer
}

/// Whether its sender may watch everybody, and publish for everybody.
fn may_do_all(context: &RequestContext<'_, '_>) -> bool {
    context.trust.relay || context.is_open()
}

/// Whether its sender may watch users of ours.
fn may_watch(context: &RequestContext<'_, '_>, package: Option<Package>) -> bool {
    match (package, context.server.config().events.watchers) {
        (None | Some(Package::MessageSummary), _) | (_, Watchers::Oneself) => false,
        (_, Watchers::Anybody) => true,
        (_, Watchers::Users) => context.sender().is_some_and(|sender| is_user(context, &sender)),
    }
}

/// Whether an address-of-record is one of a user.
fn is_known(context: &RequestContext<'_, '_>, aor: &str) -> bool {
    look_up(context.server, aor, context.stack.now()).is_some()
}

/// Whether a request is from a user: he has shown it, or, where nobody is asked, it comes from a device that is registered
/// for him.
fn is_user(context: &RequestContext<'_, '_>, aor: &str) -> bool {
    match context.server.auth() {
        Some(_) => context.user.as_deref() == Some(aor),
        None => context.sender_at_home().as_deref() == Some(aor),
    }
}
