//! The targets of a request for one of our users: the contacts of the address-of-record (RFC 3261 §16.5), or those of the
//! one device that a GRUU names (RFC 5627 §6.1).

use super::{Processor, ProcessorResult};
use crate::location::{Binding, By, Found, Located, is_sips};
use crate::proxy::{RequestContext, Server, aor_key, by_preference};
use crate::registrar::urn;
use rutil::Time;
use stack::transport::TransportTable;
use stack::uri::{SipUri, Uri};

/// Looks up who is meant. A request that has a Route or a flow to follow, or is for elsewhere, passes: its target is its
/// Request-URI. A GRUU says better than a flow where its device is now; without it the flow remains.
pub(super) struct LocationServer;

impl Processor for LocationServer {
    fn name(&self) -> &'static str {
        "location-server"
    }

    fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
        if context.route.is_some() || !context.uri.ours {
            return ProcessorResult::Continue;
        }
        let (server, now) = (context.server, context.stack.now());
        let transports = context.stack.transports();
        let (looked, secure) = match context.request.request_uri() {
            Ok(Uri::Sip(sip)) if is_gruu(&sip) => (look_up_device(server, &sip, now), sip.secure),
            _ if context.flow.is_some() => return ProcessorResult::Continue,
            Ok(Uri::Sip(sip)) if sip.user.is_some() => {
                let secure = sip.secure;
                let aor = aor_key(sip);
                (look_up(server, &aor, now).map(|found| (aor, found)), secure)
            }
            _ => (None, false),
        };
        let Some((aor, found)) = looked else { return nobody(context, 404) };
        let begins = !context.request.has_to_tag();
        let mut found = alive((server, transports), &aor, found, begins, now);
        // RFC 5630 §5.3: what was sent to a sips URI goes to nobody who would get it in clear.
        found.retain(|contact| !secure || is_sips(&contact.uri));
        if found.is_empty() {
            return nobody(context, 480);
        }
        let steps = by_preference(found, &server.config().forking);
        (context.steps, context.aor, context.flow) = (steps, aor, None);
        ProcessorResult::SkipThisChain
    }
}

/// The contacts of an address-of-record: those that were registered, and those that are provisioned.
pub(super) fn look_up(server: &Server, aor: &str, now: Time) -> Option<Found> {
    let registered = server.location().lookup(aor, now);
    let provisioned = server.provisioning().static_contacts(aor);
    if provisioned.is_empty() {
        // A user who is provisioned is known: away (480), and not nobody (404).
        return registered
            .or_else(|| server.provisioning().user(aor).filter(|user| user.enabled).map(|_| Found::new()));
    }
    let mut found = registered.unwrap_or_default();
    for one in provisioned {
        // One that has registered besides is called once.
        if found.iter().all(|contact| contact.uri != one.contact) {
            found.push(Located { uri: one.contact.clone(), q: one.q, by: By::Uri, older: None });
        }
    }
    found.sort_by_key(|contact| std::cmp::Reverse(contact.q));
    Some(found)
}

/// The contacts of an address-of-record that a new request can be sent to; `None`: nobody has registered it, or is
/// provisioned.
pub(crate) fn contacts_of(server: &Server, transports: &TransportTable, aor: &str, now: Time) -> Option<Found> {
    look_up(server, aor, now).map(|found| alive((server, transports), aor, found, true, now))
}

/// Forgets the flows over UDP whose keep-alives stay away (RFC 5626 §4.4), and passes over those of nodes that are gone,
/// or, where the request `begins` something, that drain; what is left of each device.
fn alive((server, transports): (&Server, &TransportTable), aor: &str, found: Found, begins: bool, now: Time) -> Found {
    let is_silent =
        |contact: &Located| matches!(&contact.by, By::Flow(flow) if transports.heard().is_silent(flow, now));
    let is_away = |contact: &Located| match &contact.by {
        By::Node(hop) if begins => !hop.takes_new(),
        By::Node(hop) => !hop.is_alive(),
        _ => false,
    };
    let leads_nowhere = |contact: &Located| is_silent(contact) || is_away(contact);
    let older = |contact: &Located| contact.older.iter().flat_map(|older| older.iter()).any(leads_nowhere);
    if !found.iter().any(|contact| leads_nowhere(contact) || older(contact)) {
        return found;
    }
    let devices = found.into_iter().filter_map(|mut contact| {
        let older = contact.older.take();
        let mut flows: Found =
            std::iter::once(contact).chain(older.map(|older| *older).into_iter().flatten()).collect();
        flows.retain(|flow| {
            let silent = is_silent(flow);
            if silent {
                server.forget(aor, flow, now);
            }
            // A node may come back, and so may its flows over UDP.
            !silent && !is_away(flow)
        });
        Located::of_flows(flows)
    });
    devices.collect()
}

/// There is no contact; but the flow that a Route of ours named is as good.
fn nobody(context: &mut RequestContext<'_, '_>, status: u16) -> ProcessorResult {
    if context.flow.is_some() { ProcessorResult::Continue } else { context.respond(status) }
}

fn is_gruu(sip: &SipUri<'_>) -> bool {
    !sip.params.is_empty() && sip.params.contains("gr")
}

/// The contact of the device that a GRUU names, with its address-of-record; `None`: there is no such GRUU.
fn look_up_device(server: &Server, sip: &SipUri<'_>, now: Time) -> Option<(String, Found)> {
    let (store, tokens) = (server.location(), server.gruus());
    if let Some(wanted) = sip.params.get_decoded("gr") {
        let is_it = |device: &str| urn(device).as_bytes().eq_ignore_ascii_case(&wanted);
        let aor = aor_key(sip.clone());
        let found = store.lookup_device(&aor, now, |binding| binding.device().is_some_and(is_it))?;
        return Some((aor, found));
    }
    let token = tokens.read(sip.user.as_deref()?).ok()?;
    let is_it = |binding: &Binding| binding.device().is_some_and(|device| tokens.is_for_device(&token, device));
    let found = store.lookup_device(&token.aor, now, is_it)?;
    // Another Call-ID has ended it (RFC 5627 §3.2). Without any contact the device is away.
    let valid = |binding: &Binding| is_it(binding) && tokens.is_for_call_id(&token, &binding.call_id);
    let ended = !found.is_empty() && store.lookup_device(&token.aor, now, valid).is_none_or(|found| found.is_empty());
    (!ended).then_some((token.aor, found))
}
