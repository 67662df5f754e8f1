//! Flows of this side to the proxies that it has registered by (RFC 5626): reSIProcate's `KeepAliveManager`.
//!
//! A flow that several registrations use is kept alive once, as the most demanding of them wants it. When it fails all of
//! them are told, and see to another one.

mod machine;

use crate::dum::Dum;
use crate::handle::{Handle, Usages};
use crate::registration::{self, ClientRegistration};
use crate::timers::{Alarm, Fire, TimerKind};
use crate::usage::Usage;
use machine::{Action, Event, Mode, PONG, State, pause, step, wait};
use rutil::{HashMap, Keyed, Time};
use stack::transport::{ConnectionId, Flow, TransportId};
use std::net::SocketAddr;
use std::time::Duration;

/// How long a flow must have lived to count as a good one where nothing on it is answered.
const GOOD: Duration = Duration::from_secs(30);

/// What makes two flows one: a connection has its number, datagrams have their peer.
type Name = (TransportId, ConnectionId, SocketAddr);

fn name(flow: &Flow) -> Name {
    (flow.transport, flow.connection, flow.peer)
}

/// How a registration wants its flow kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    /// The longest time between two keep-alives; zero: there are none, and only the end of a connection is noticed.
    pub(crate) every: Duration,
    /// The other side answers them, and has failed if it does not.
    pub(crate) answered: bool,
}

/// A flow that registrations use.
pub(crate) struct KeptFlow {
    flow: Flow,
    users: Vec<(Handle<ClientRegistration>, Wish)>,
    state: State,
    since: Time,
    /// It has answered, by STUN.
    answered: bool,
    /// When it was pinged first, and when it was asked for a sign of life last.
    first_asked: Option<Time>,
    asked_at: Time,
    /// The STUN request that is under way.
    asked: Option<u64>,
    /// What our address looked like in the last answer.
    mapped: Option<SocketAddr>,
    alarm: Alarm,
}

/// A registration of a device, and its flow.
type OfDevice = (Handle<ClientRegistration>, Handle<KeptFlow>);

/// All flows in use; each has one registration at least.
pub(crate) struct Flows {
    kept: Usages<KeptFlow>,
    names: HashMap<Name, Handle<KeptFlow>>,
    asked: HashMap<u64, Handle<KeptFlow>>,
    /// The flows that each device is registered by: its address-of-record and its instance.
    devices: HashMap<String, Vec<OfDevice>>,
}

impl Flows {
    pub(crate) fn new(limit: usize, hasher: &Keyed) -> Self {
        Flows {
            kept: Usages::new(limit),
            names: HashMap::with_hasher(hasher.clone()),
            asked: HashMap::with_hasher(hasher.clone()),
            devices: HashMap::with_hasher(hasher.clone()),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    /// What [`hold`] was given.
    pub(crate) fn flow(&self, kept: Handle<KeptFlow>) -> Option<Flow> {
        self.kept.get(kept).ok().map(|kept| kept.flow)
    }

    /// A device has one flow more.
    pub(crate) fn add_to_device(&mut self, device: String, user: Handle<ClientRegistration>, kept: Handle<KeptFlow>) {
        self.devices.entry(device).or_default().push((user, kept));
    }

    /// A device has one flow less.
    pub(crate) fn take_from_device(&mut self, device: &str, user: Handle<ClientRegistration>) {
        if let Some(all) = self.devices.get_mut(device) {
            all.retain(|(known, _)| *known != user);
            if all.is_empty() {
                self.devices.remove(device);
            }
        }
    }

    /// Whether a device has a flow by another registration already.
    pub(crate) fn is_taken(&self, device: &str, user: Handle<ClientRegistration>, flow: &Flow) -> bool {
        let kept = self.names.get(&name(flow));
        let mut all = self.devices.get(device).into_iter().flatten();
        kept.is_some_and(|kept| all.any(|(other, with)| *other != user && with == kept))
    }

    /// Whether a device is registered by some flow.
    pub(crate) fn has_device(&self, device: &str) -> bool {
        self.devices.contains_key(device)
    }
}

impl KeptFlow {
    fn wish(&self) -> Wish {
        let all = self.users.iter().map(|(_, wish)| wish);
        let every = all.clone().map(|wish| wish.every).filter(|every| !every.is_zero()).min();
        let answered = all.clone().any(|wish| wish.answered && !wish.every.is_zero());
        Wish { every: every.unwrap_or_default(), answered }
    }

    fn mode(&self) -> Mode {
        match (self.wish().answered, self.flow.kind.is_reliable()) {
            (false, _) => Mode::Blind,
            (true, true) => Mode::Ping,
            (true, false) => Mode::Stun,
        }
    }

    /// RFC 5626 §4.5: whether it counts as having been successful.
    fn is_good(&self, now: Time) -> bool {
        match self.mode() {
            Mode::Stun => self.answered,
            // Its transport would have closed it: it looks after the first ping that is not answered, whatever follows it.
            Mode::Ping => self.first_asked.is_some_and(|at| now.since(at) >= wait(Mode::Ping, 1)),
            Mode::Blind => now.since(self.since) >= GOOD,
        }
    }
}

/// From now on a registration uses a flow, and wants it kept so.
pub(crate) fn hold(
    dum: &mut Dum<'_>,
    flow: Flow,
    user: Handle<ClientRegistration>,
    wish: Wish,
) -> Option<Handle<KeptFlow>> {
    let now = dum.now();
    let flows = &mut dum.core.flows;
    let handle = match flows.names.get(&name(&flow)) {
        Some(handle) => *handle,
        None => {
            let kept = KeptFlow {
                flow,
                users: Vec::new(),
                state: State::Resting,
                since: now,
                answered: false,
                first_asked: None,
                asked_at: now,
                asked: None,
                mapped: None,
                alarm: Alarm::OFF,
            };
            let handle = flows.kept.insert(kept).ok()?;
            flows.names.insert(name(&flow), handle);
            handle
        }
    };
    let kept = flows.kept.get_mut(handle).ok()?;
    let before = kept.wish();
    kept.users.retain(|(known, _)| *known != user);
    kept.users.push((user, wish));
    match (kept.state == State::Resting && kept.wish() != before, kept.mode(), kept.mapped) {
        (false, ..) => {}
        // At once: a NAT that forgets this side before the first answer would go unnoticed.
        (true, Mode::Stun, None) => happen(dum, handle, Event::Timer),
        _ => rest(dum, handle),
    }
    Some(handle)
}

/// A registration uses a flow no longer; whether that has been a good one.
pub(crate) fn release(dum: &mut Dum<'_>, handle: Handle<KeptFlow>, user: Handle<ClientRegistration>) -> bool {
    let now = dum.now();
    let Ok(kept) = dum.core.flows.kept.get_mut(handle) else { return false };
    let good = kept.is_good(now);
    kept.users.retain(|(known, _)| *known != user);
    if kept.users.is_empty() {
        remove(dum, handle);
    }
    good
}

fn remove(dum: &mut Dum<'_>, handle: Handle<KeptFlow>) -> Option<KeptFlow> {
    let kept = dum.core.flows.kept.remove(handle).ok()?;
    dum.core.flows.names.remove(&name(&kept.flow));
    if let Some(asked) = kept.asked {
        dum.core.flows.asked.remove(&asked);
    }
    Some(kept)
}

/// A connection is gone.
pub(crate) fn ended(dum: &mut Dum<'_>, flow: &Flow) {
    if let Some(handle) = dum.core.flows.names.get(&name(flow)).copied() {
        happen(dum, handle, Event::Ended);
    }
}

/// A STUN Binding request was answered, or refused.
pub(crate) fn bound(dum: &mut Dum<'_>, asked: u64, mapped: Option<SocketAddr>) {
    let Some(handle) = dum.core.flows.asked.get(&asked).copied() else { return };
    let Ok(kept) = dum.core.flows.kept.get_mut(handle) else { return };
    let event = match mapped {
        Some(mapped) => Event::Answered { same: *kept.mapped.get_or_insert(mapped) == mapped },
        None => Event::Refused,
    };
    happen(dum, handle, event);
}

/// It is time for a keep-alive, or its answer is missing.
pub(crate) fn timer(dum: &mut Dum<'_>, handle: Handle<KeptFlow>, fire: Fire) {
    let now = dum.now();
    let Ok(kept) = dum.core.flows.kept.get_mut(handle) else { return };
    if dum.core.timers.is_due(&mut kept.alarm, fire, now) {
        happen(dum, handle, Event::Timer);
    }
}

fn happen(dum: &mut Dum<'_>, handle: Handle<KeptFlow>, event: Event) {
    let Ok(kept) = dum.core.flows.kept.get_mut(handle) else { return };
    let (state, action) = step(kept.mode(), kept.state, event);
    kept.state = state;
    match action {
        Action::None => {}
        Action::Ask => ask(dum, handle),
        Action::Rest => {
            kept.answered |= kept.mode() == Mode::Stun;
            if let Some(asked) = kept.asked.take() {
                dum.core.flows.asked.remove(&asked);
            }
            rest(dum, handle);
        }
        Action::Fail => {
            let good = kept.is_good(dum.stack.now());
            let Some(gone) = remove(dum, handle) else { return };
            tracing::info!(peer = %gone.flow.peer, transport = %gone.flow.kind, "a flow has failed");
            for (user, _) in gone.users {
                registration::flows::failed(dum, user, good);
            }
        }
    }
}

fn ask(dum: &mut Dum<'_>, handle: Handle<KeptFlow>) {
    let Ok(kept) = dum.core.flows.kept.get_mut(handle) else { return };
    let (flow, mode, every) = (kept.flow, kept.mode(), kept.wish().every);
    if kept.asked.is_none() {
        kept.asked_at = dum.stack.now();
    }
    if mode == Mode::Ping {
        kept.first_asked.get_or_insert(kept.asked_at);
    }
    match mode {
        Mode::Blind => {
            dum.stack.ping(&flow, None);
            return rest(dum, handle);
        }
        Mode::Ping => dum.stack.ping(&flow, Some(PONG)),
        Mode::Stun => {
            // One that is sent again is the same.
            let asked = *kept.asked.get_or_insert_with(|| dum.stack.rng().next_u64());
            dum.core.flows.asked.insert(asked, handle);
            dum.stack.send_binding(&flow, asked);
        }
    }
    let State::Asked(times) = kept.state else { return };
    let least = every * 5 / 6;
    let wait = wait(mode, times);
    set_alarm(dum, handle, if mode == Mode::Ping { wait.min(least) } else { wait });
}

fn rest(dum: &mut Dum<'_>, handle: Handle<KeptFlow>) {
    let Ok(kept) = dum.core.flows.kept.get_mut(handle) else { return };
    let every = kept.wish().every;
    if every.is_zero() {
        return kept.alarm.clear();
    }
    // From the last one on, not from its answer.
    let gone = dum.stack.now().since(kept.asked_at);
    let after = pause(every, dum.stack.rng()).saturating_sub(gone);
    set_alarm(dum, handle, after);
}

fn set_alarm(dum: &mut Dum<'_>, handle: Handle<KeptFlow>, after: Duration) {
    let now = dum.now();
    let Ok(kept) = dum.core.flows.kept.get_mut(handle) else { return };
    let fire = Fire { usage: Usage::Flow(handle), kind: TimerKind::KeepAlive };
    dum.core.timers.set(&mut kept.alarm, fire, now, after);
}
