//! Calls to telephone numbers: dial rules, then trunks.

use super::am_i_responsible::may_still_prove;
use super::{Processor, ProcessorResult};
use crate::location::is_sips;
use crate::proxy::{RequestContext, Step, Steps, Target, When, aor_key};
use crate::routing::dial::{Dialled, number_params};
use crate::routing::trunk::{Hop, Hops, Redirects};
use stack::header::h;
use stack::uri::{Host, SipUri, Uri};

/// Sends requests for a number, in a `tel` URI or in one of our domains, to the trunks for it, unless a user of ours has
/// it as its name. Who calls must be known: a number in our domain leads out of it, and costs money.
pub(super) struct TrunkRoute;

impl Processor for TrunkRoute {
    fn name(&self) -> &'static str {
        "trunk-route"
    }

    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        let (server, trunks) = (context.server, &context.server.provisioning().trunks);
        if trunks.is_empty() || !context.wants_targets() {
            return ProcessorResult::Continue;
        }
        let Some(digits) = number(context) else { return ProcessorResult::Continue };
        if is_users(context, &digits) {
            return ProcessorResult::Continue;
        }
        let number = match server.dial_plan().dial(&digits) {
            Dialled::Number(number) | Dialled::Emergency(number) => number,
            Dialled::Incomplete => return context.respond(484),
        };
        match trunks.choose(&number, context.stack.rng().next_u64(), context.stack.now()) {
            // A domain of ours says itself that there is nobody; a number may be found by ENUM.
            None if context.uri.is_sip || context.is_enum() => ProcessorResult::Continue,
            None => context.respond(404),
            Some(mut hops) => {
                let trusted = context.trust.relay || context.is_open();
                let params = context.request.request_uri().map(|uri| number_params(&uri, trusted)).unwrap_or_default();
                hops.iter_mut().for_each(|hop| hop.add_params(&params));
                to_trunks(context, hops)
            }
        }
    }
}

/// The number that a request is for; none when it is for somebody else's number, or no number.
pub(super) fn number(context: &RequestContext<'_, '_>) -> Option<String> {
    let uri = context.request.request_uri().ok()?;
    let ours = |domain: &str| Host::parse(domain).is_ok_and(|host| context.is_ours(&host, None));
    let mine = context.uri.ours || matches!(uri, Uri::Tel(_));
    context.server.dial_plan().number_in(&uri, ours).filter(|_| mine)
}

/// Whether one of our users has a number as its name: in the domain of the Request-URI, or for a `tel` URI in that of
/// the caller, if it is ours; then the request is for this user from now on.
fn is_users(context: &mut RequestContext<'_, '_>, digits: &str) -> bool {
    let (server, now) = (context.server, context.stack.now());
    let known = |aor: &str| {
        let provisioned = server.provisioning();
        provisioned.user(aor).is_some()
            || provisioned.group(aor).is_some()
            || !provisioned.static_contacts(aor).is_empty()
            || server.location().lookup(aor, now).is_some()
    };
    if let Ok(Uri::Sip(sip)) = context.request.request_uri() {
        return known(&aor_key(sip));
    }
    let Ok(from) = context.request.header(h::FROM) else { return false };
    let Uri::Sip(SipUri { host, port, .. }) = from.uri else { return false };
    if !context.is_ours(&host, port) {
        return false;
    }
    let user = SipUri::new(host).with_user(digits).into_owned();
    let is_known = known(&user.aor_key());
    if is_known {
        context.request.set_request_uri(&user);
        context.read_uri();
    }
    is_known
}

/// Tries trunks one after the other: the next one only when one could not be reached or had no room, so that nobody is
/// called twice who does not want to answer. An emergency goes on after any failure.
pub(super) fn to_trunks(context: &mut RequestContext<'_, '_>, mut hops: Hops) -> ProcessorResult {
    if !context.may_relay() {
        // Who is anonymous was not asked yet.
        match may_still_prove(context) {
            Some(ProcessorResult::Continue) => {}
            Some(asked) => return asked,
            None => return context.respond_reason(403, "Relaying Forbidden"),
        }
    }
    // RFC 5630 §5.3: what was sent to a sips URI goes to nobody who would get it in clear.
    if matches!(context.request.request_uri(), Ok(Uri::Sip(sip)) if sip.secure) {
        hops.retain(|hop| is_sips(&hop.uri));
    }
    if hops.is_empty() {
        // RFC 3398 §7.2.4.1: no circuit available. A 503 would say that this proxy is overloaded.
        return context.respond_with(500, |response| response.append_line("Reason", "Q.850;cause=34"));
    }
    context.watched = true;
    context.recurses = hops.iter().any(|hop| hop.trunk.record.redirects == Redirects::Follow);
    context.steps = one_by_one(hops);
    ProcessorResult::SkipThisChain
}

/// A step for each attempt, the first whatever was before.
pub(crate) fn one_by_one(hops: Hops) -> Steps {
    let step = |(at, hop): (usize, Hop)| {
        let when = if hop.emergency || at == 0 { When::Always } else { When::Unavailable };
        Step { when, ..Step::to(Target::by_trunk(hop)) }
    };
    hops.into_iter().enumerate().map(step).collect()
}
