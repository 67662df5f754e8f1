//! The flow of a registration (RFC 5626): by which way it was registered, how that is kept, and what happens when it fails.

use super::client::{happen, refused};
use super::machine::Event;
use super::{Callback, ClientRegistration, RegistrationError, times};
use crate::core::Core;
use crate::dum::Dum;
use crate::flow::{self, KeptFlow, Wish};
use crate::handle::Handle;
use crate::outcome::Outcome;
use crate::profile::{DatagramKeepAlive, UserProfile};
use stack::header::{NameAddr, h, p};
use stack::message::Message;
use stack::transport::{Flow, TransportInfo};
use stack::tu::{NextHop, SendOptions};
use std::sync::Arc;
use std::time::Duration;

/// RFC 5626 §4.4.1 and §4.4.2: the most time between two keep-alives where nobody says.
const STREAM: Duration = Duration::from_secs(120);
const DATAGRAM: Duration = Duration::from_secs(29);

/// What a client registration knows of its flow.
#[derive(Debug, Default)]
pub(super) struct OwnFlow {
    /// The first hop knows nothing of flows (439).
    unsupported: bool,
    /// By which its last REGISTER was answered.
    kept: Option<Handle<KeptFlow>>,
    /// The registrar reaches this side by it: requests to the registrar take no other.
    outbound: bool,
    /// The request under way has taken it.
    taken: bool,
    /// Flows in a row that failed before they were good for anything.
    bad: u32,
    /// The next request is to take a connection of its own.
    own: bool,
    /// The next request is to go by this one: over UDP, from another port.
    other: Option<Flow>,
}

impl OwnFlow {
    /// Whether the registrar reaches this side by its flow.
    pub(super) fn is_outbound(&self) -> bool {
        self.outbound
    }
}

impl Dum<'_> {
    /// Registers by several flows (RFC 5626 §4.2): one to each of these outbound proxies, with a `reg-id` each, from
    /// [`UserProfile::reg_id`] or 1 on. Each keeps its flow, and makes a new one when that fails; the registrar reaches this
    /// side as long as one is left. Two proxies at one address get a connection each; over UDP a port of ours each, as far as
    /// there are transports: by one port they are one flow.
    ///
    /// # Errors
    /// [`RegistrationError`]: nothing was sent.
    pub fn register_flows(
        &mut self,
        profile: &Arc<UserProfile>,
        proxies: &[Arc<NameAddr<'static>>],
    ) -> Result<Vec<Handle<ClientRegistration>>, RegistrationError> {
        if profile.instance_id().is_none() {
            return Err(RegistrationError::NoInstance);
        }
        let mut all = Vec::with_capacity(proxies.len());
        for (proxy, id) in proxies.iter().zip(profile.reg_id().max(1)..) {
            let mut own = UserProfile::on(profile);
            own.set_outbound_proxy(Some(proxy.clone())).set_reg_id(id);
            match self.begin_registration(&Arc::new(own)) {
                Ok(registration) => all.push(registration),
                Err(error) => {
                    all.into_iter().for_each(|registration| forget(self, registration));
                    return Err(error);
                }
            }
        }
        for registration in &all {
            registration.refresh(self)?;
        }
        Ok(all)
    }
}

/// Whether a profile registers by flow.
pub(super) fn are_wanted(profile: &UserProfile) -> bool {
    profile.reg_id() > 0 && profile.instance_id().is_some()
}

impl ClientRegistration {
    /// Whether it is made by flow.
    pub(super) fn is_by_flow(&self) -> bool {
        are_wanted(&self.profile) && !self.flow.unsupported
    }
}

/// The first hop knows nothing of flows: the device is registered without, from now on.
pub(super) fn do_without(dum: &mut Dum<'_>, registration: Handle<ClientRegistration>) {
    release(dum, registration);
    let Ok(this) = dum.core.client_registrations.get_mut(registration) else { return };
    this.flow.unsupported = true;
    for contact in this.mine.iter_mut().chain(this.leaving.iter_mut().map(|(contact, _)| contact)) {
        contact.params.remove(p::REG_ID);
    }
}

/// What all flows of one device have in common.
fn device(this: &ClientRegistration) -> Option<String> {
    let instance = this.profile.instance_id().filter(|_| this.is_by_flow())?;
    Some(format!("{} {instance}", this.profile.from().uri))
}

/// The way of its next request.
pub(super) fn options(core: &mut Core, registration: Handle<ClientRegistration>) -> SendOptions {
    let Ok(this) = core.client_registrations.get_mut(registration) else { return SendOptions::default() };
    let own = &mut this.flow;
    let flow = own.kept.filter(|_| own.outbound).and_then(|kept| core.flows.flow(kept));
    own.taken = flow.is_some();
    let (new, other) = (std::mem::take(&mut own.own), own.other.take());
    let next_hop = flow.or(other).map_or(NextHop::Route, NextHop::Flow);
    SendOptions { next_hop, new_connection: new && flow.is_none(), ..SendOptions::default() }
}

/// The registrar has bound this side: the flow by which it said so is kept from now on. Whether it is one that another
/// registration of the device has, so that this one is to go by another (RFC 5626 §4.2); not `again`.
pub(super) fn follow(
    dum: &mut Dum<'_>,
    registration: Handle<ClientRegistration>,
    response: &Message,
    again: bool,
) -> bool {
    let Some(source) = response.source() else { return false };
    let Ok(this) = dum.core.client_registrations.get_mut(registration) else { return false };
    let required = response.header(h::REQUIRES).flatten().any(|tag| tag.is("outbound"));
    let outbound = required && device(this).is_some();
    let timer = response.header(h::FLOW_TIMER).ok().map(|timer| timer.0).filter(|timer| outbound && *timer > 0);
    let wish = wish(&this.profile, &source.flow, outbound, timer);
    let device_of = device(this).filter(|_| outbound && !again);
    let is_taken = |flow: &Flow| device_of.as_ref().is_some_and(|of| dum.core.flows.is_taken(of, registration, flow));
    if is_taken(&source.flow) {
        let own = source.flow.kind.is_reliable();
        let others = dum.stack.transports().iter().filter(|transport| serves(transport, &source.flow));
        let mut others = others.map(|transport| Flow { transport: transport.id, local: None, ..source.flow });
        let other = others.find(|flow| !own && !is_taken(flow));
        drop(others);
        if own || other.is_some() {
            if let Ok(this) = dum.core.client_registrations.get_mut(registration) {
                (this.flow.own, this.flow.other) = (own, other);
            }
            release(dum, registration);
            return true;
        }
    }
    let Ok(this) = dum.core.client_registrations.get_mut(registration) else { return false };
    let old = this.flow.kept;
    if old.is_none_or(|old| dum.core.flows.flow(old).is_none_or(|flow| flow != source.flow)) {
        release(dum, registration);
    }
    let kept = flow::hold(dum, source.flow, registration, wish);
    let Ok(this) = dum.core.client_registrations.get_mut(registration) else { return false };
    let counted = this.flow.kept.is_some() && this.flow.outbound;
    this.flow.kept = kept;
    this.flow.outbound = outbound && kept.is_some();
    match (device(this), counted, kept.filter(|_| outbound)) {
        (Some(device), false, Some(kept)) => dum.core.flows.add_to_device(device, registration, kept),
        (Some(device), true, None) => dum.core.flows.take_from_device(&device, registration),
        _ => {}
    }
    false
}

/// Whether another transport reaches who a datagram flow leads to.
fn serves(transport: &TransportInfo, flow: &Flow) -> bool {
    (transport.kind, transport.bound.is_ipv4()) == (flow.kind, flow.peer.is_ipv4()) && transport.id != flow.transport
}

/// RFC 5626 §4.4: the profile's time, the registrar's, or what the RFC has; of the first two the shorter.
fn wish(profile: &UserProfile, flow: &Flow, outbound: bool, timer: Option<u32>) -> Wish {
    let timer = timer.map(|seconds| Duration::from_secs(seconds.into()));
    let (set, usual, answered) = match flow.kind.is_reliable() {
        true => (profile.keep_alive_time_stream(), STREAM, true),
        false => {
            (profile.keep_alive_time_datagram(), DATAGRAM, profile.datagram_keep_alive() == DatagramKeepAlive::Stun)
        }
    };
    let every = match (set, timer) {
        (Some(set), Some(timer)) => set.min(timer),
        (set, timer) => set.or(timer).unwrap_or(usual),
    };
    Wish { every, answered: outbound && answered }
}

/// It uses no flow any more; whether the one that it had has been a good one.
pub(super) fn release(dum: &mut Dum<'_>, registration: Handle<ClientRegistration>) -> bool {
    let Ok(this) = dum.core.client_registrations.get_mut(registration) else { return false };
    let kept = this.flow.kept.take();
    if std::mem::take(&mut this.flow.outbound)
        && let Some(device) = device(this)
    {
        dum.core.flows.take_from_device(&device, registration);
    }
    kept.is_some_and(|kept| flow::release(dum, kept, registration))
}

/// The usage ends, and its flow with it if nobody else has it.
pub(super) fn forget(dum: &mut Dum<'_>, registration: Handle<ClientRegistration>) {
    release(dum, registration);
    let _ = dum.core.client_registrations.remove(registration);
}

/// Its flow has failed: it is registered anew by another one, at once if this one has been good (RFC 5626 §4.5).
pub(crate) fn failed(dum: &mut Dum<'_>, registration: Handle<ClientRegistration>, good: bool) {
    release(dum, registration);
    note(dum, registration, good);
    happen(dum, registration, Event::FlowFailed { good });
}

fn note(dum: &mut Dum<'_>, registration: Handle<ClientRegistration>, good: bool) {
    let Ok(this) = dum.core.client_registrations.get_mut(registration) else { return };
    this.flow.bad = if good { 0 } else { this.flow.bad.saturating_add(1) };
    dum.call_back(Callback::FlowFailed { registration });
}

/// Whether a request that had taken the flow was not answered because that has failed. What it was for is done then by
/// another one.
pub(super) fn is_lost(dum: &mut Dum<'_>, registration: Handle<ClientRegistration>, outcome: &Outcome) -> bool {
    let Ok(this) = dum.core.client_registrations.get_mut(registration) else { return false };
    // 430: a proxy further on has lost its part of the flow (RFC 5626 §11.1).
    let failed = outcome.response.is_none() || outcome.status == 430;
    if !std::mem::take(&mut this.flow.taken) || !failed {
        return false;
    }
    // Its connection may have told it before.
    if this.flow.kept.is_some() {
        let good = release(dum, registration);
        note(dum, registration, good);
    }
    let bad = dum.core.client_registrations.get(registration).map_or(0, |this| this.flow.bad);
    match bad == 0 {
        true => happen(dum, registration, Event::Again),
        false => refused(dum, registration, outcome.clone()),
    }
    true
}

/// How long to wait after a flow that was good for nothing.
pub(super) fn back_off(dum: &mut Dum<'_>, registration: Handle<ClientRegistration>) -> Duration {
    let others = has_others(dum.core, registration);
    let bad = dum.core.client_registrations.get(registration).map_or(1, |this| this.flow.bad);
    times::back_off(bad, others, dum.stack.rng())
}

/// What is suggested after a refusal: registrations by flow wait as RFC 5626 §4.5 has it.
pub(super) fn retry(
    dum: &mut Dum<'_>,
    registration: Handle<ClientRegistration>,
    outcome: &Outcome,
) -> Option<Duration> {
    let others = has_others(dum.core, registration);
    let this = dum.core.client_registrations.get(registration).ok()?;
    match device(this) {
        Some(_) => times::retry_by_flow(outcome, this.failures, others, dum.stack.rng()),
        None => times::retry(outcome, this.failures, dum.stack.rng()),
    }
}

fn has_others(core: &Core, registration: Handle<ClientRegistration>) -> bool {
    let device = core.client_registrations.get(registration).ok().and_then(device);
    device.is_some_and(|device| core.flows.has_device(&device))
}
