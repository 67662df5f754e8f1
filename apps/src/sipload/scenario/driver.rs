//! The transaction user of a scenario: starts calls when the schedule says so, or takes those that come, and gives each its
//! messages and its times.

use super::super::caller::Stop;
use super::super::pace::{BATCH, Pace, share};
use super::super::schedule::Shape;
use super::super::stats::Stats;
use super::call::Call;
use super::error::ScenarioError;
use super::machine::{Event, Machine, Out, Setup};
use super::program::{Program, Value};
use super::text::PREFIXED;
use super::third::Commands;
use crate::hop::Hop;
use parking_lot::Mutex;
use rutil::{HashMap, Keyed, Rng, Slab, Time, Wheel};
use stack::header::{HeaderId, Method};
use stack::message::Message;
use stack::transport::{ConnectionId, Flow};
use stack::tu::{TransactionUser, TuContext, TuEvent, raw_shard};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How exactly times are kept, in ns.
const TICK: u64 = 1_000_000;

/// What the program posts: a command of the other controller.
pub(crate) struct Command(pub(crate) String);

/// What the drivers of all shards are made of.
pub(crate) struct DriverOptions {
    pub(crate) setup: Setup,
    /// When calls start; none for a scenario that is called.
    pub(crate) shape: Option<Shape>,
    /// Where they go.
    pub(crate) hop: Option<Hop>,
    /// The most calls in progress, of all shards.
    pub(crate) limit: u32,
    pub(crate) shards: u16,
    /// Transports of each shard, which calls use in turn.
    pub(crate) connections: u8,
    /// Where commands for the other controller go.
    pub(crate) commands: Option<Commands>,
    pub(crate) shared: Shared,
}

/// What the calls of all shards share.
#[derive(Default)]
pub(crate) struct Shared {
    /// The values of the scenario's global variables, in their order. Held while a call does its steps, if there are any.
    globals: Mutex<Vec<Value>>,
    /// A call has said that no more are started.
    stopped: AtomicBool,
}

impl Shared {
    /// Does what the scenario does once, before its calls; what that logs goes to `note`.
    ///
    /// # Errors
    /// When that fails.
    pub(crate) fn of(setup: &mut Setup, rng: &mut Rng, note: impl Fn(String)) -> Result<Self, ScenarioError> {
        let vars: Vec<Value> = setup.program.vars.iter().map(|(_, value)| value.clone()).collect();
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let (mut call, mut out) = (Call::new(0, String::new(), (nowhere, nowhere), vars), Vec::new());
        let Program { steps, init, .. } = &mut setup.program;
        std::mem::swap(steps, init);
        Machine { setup, call: &mut call, now: Time::ZERO, rng, out: &mut out }.happens(Event::Begin);
        let Program { steps, init, globals, .. } = &mut setup.program;
        std::mem::swap(steps, init);
        let mut shared = Shared::default();
        for what in out {
            match what {
                Out::Failed(cause) => return Err(ScenarioError::Arguments(cause)),
                Out::Log(text) => note(text),
                Out::StopAll => *shared.stopped.get_mut() = true,
                _ => {}
            }
        }
        let value = |var: &usize| call.vars.get(*var).cloned().unwrap_or_default();
        *shared.globals.get_mut() = globals.iter().map(value).collect();
        Ok(shared)
    }
}

#[cfg(test)]
impl Shared {
    pub(super) fn values(&self) -> Vec<Value> {
        self.globals.lock().clone()
    }
}

/// A call and what the driver knows of it.
struct Entry {
    call: Call,
    flow: Flow,
    /// When its times began.
    due: Time,
    /// When the wheel will look at it.
    armed: Option<Time>,
    /// It counts as in progress.
    counts: bool,
    /// The scenario has said where it goes.
    directed: bool,
}

type Place = (u32, u32);

/// Drives a shard's calls of a scenario.
pub(crate) struct Driver {
    options: Arc<DriverOptions>,
    shard: u16,
    stats: Arc<Stats>,
    rng: Rng,
    begun: bool,
    /// How calls leave, and from which address.
    ways: Vec<(Flow, SocketAddr)>,
    pace: Pace,
    calls: Slab<Entry>,
    by_id: HashMap<String, Place>,
    wheel: Wheel<Place, TICK>,
    started: u64,
    /// No more calls are taken or started.
    stopped: bool,
    out: Vec<Out>,
}

impl Driver {
    pub(crate) fn new(options: Arc<DriverOptions>, shard: u16, stats: Arc<Stats>, mut rng: Rng) -> Self {
        Driver {
            pace: Pace::new(options.shape.as_ref(), options.limit, (shard, options.shards)),
            options,
            shard,
            stats,
            begun: false,
            ways: Vec::new(),
            calls: Slab::new(),
            by_id: HashMap::with_hasher(Keyed::new(&mut rng)),
            rng,
            wheel: Wheel::new(),
            started: 0,
            stopped: false,
            out: Vec::new(),
        }
    }

    /// Now it is known which addresses the transports have.
    fn begin(&mut self, stack: &TuContext<'_>) {
        self.begun = true;
        if let Some(hop) = &self.options.hop {
            let own = stack
                .transports()
                .iter()
                .filter(|own| own.kind == hop.kind && own.shard == self.shard)
                .take(usize::from(self.options.connections));
            let kind = hop.kind;
            let way = |transport| Flow {
                transport,
                kind,
                connection: ConnectionId::default(),
                peer: hop.address,
                local: None,
            };
            self.ways = own.map(|own| (way(own.id), own.advertised)).collect();
        }
        self.pace.begin(stack.now());
    }

    fn start_due(&mut self, stack: &mut TuContext<'_>) {
        let now = stack.now();
        for _ in 0..BATCH {
            let Some(due) = self.pace.take(self.calls.len(), now) else { return };
            self.start(due, stack);
        }
    }

    fn start(&mut self, due: Time, stack: &mut TuContext<'_>) {
        let now = stack.now();
        let way = self.ways.get(self.started as usize % self.ways.len().max(1)).copied();
        let Some((flow, local)) = way.filter(|_| self.has_room()) else {
            return self.stats.not_started.inc();
        };
        let call_id = self.call_id(local);
        let place = self.insert(call_id, flow, local, due.min(now));
        self.stats.started_at(due, now);
        self.happens(place, Event::Begin, now, stack);
    }

    fn has_room(&self) -> bool {
        self.calls.len() < share(self.options.limit, self.shard, self.options.shards)
    }

    /// The number of the next call: each shard has its own.
    fn number(&self) -> u64 {
        self.started * u64::from(self.options.shards) + u64::from(self.shard)
    }

    /// The next call's name: one whose messages come to this shard.
    fn call_id(&self, local: SocketAddr) -> String {
        let (number, run, ip) = (self.number() + 1, &self.options.setup.run, local.ip());
        let mut names = (1..u32::MAX).map(|nth| match nth {
            1 => format!("{number}-{run}@{ip}"),
            nth => format!("{number}-{run}-{nth}@{ip}"),
        });
        names.find(|name| raw_shard(name.as_bytes(), self.options.shards) == self.shard).unwrap_or_default()
    }

    fn insert(&mut self, call_id: String, flow: Flow, local: SocketAddr, due: Time) -> Place {
        let vars: Vec<Value> = self.options.setup.program.vars.iter().map(|(_, value)| value.clone()).collect();
        let number = self.number();
        let mut call = Call::new(number, call_id.clone(), (local, flow.peer), vars);
        let tables = &self.options.setup.fields;
        call.lines = tables.iter().map(|table| table.line_of(number, &mut self.rng)).collect();
        let place = self.calls.insert(Entry { call, flow, due, armed: None, counts: true, directed: false });
        self.by_id.insert(call_id, place);
        self.started += 1;
        self.stats.started.inc();
        self.stats.in_progress.add(1);
        place
    }

    /// Something happens to a call; `heard`: when it came.
    fn happens(&mut self, place: Place, event: Event, heard: Time, stack: &mut TuContext<'_>) {
        let Driver { options, calls, rng, out, .. } = self;
        let Some(entry) = calls.get_mut(place.0, place.1) else { return };
        let now = stack.now();
        {
            let globals = &options.setup.program.globals;
            let mut values = (!globals.is_empty()).then(|| options.shared.globals.lock());
            let mut swap = |call: &mut Call| {
                for (var, value) in globals.iter().zip(values.iter_mut().flat_map(|values| values.iter_mut())) {
                    call.vars.get_mut(*var).into_iter().for_each(|own| std::mem::swap(own, value));
                }
            };
            swap(&mut entry.call);
            Machine { setup: &options.setup, call: &mut entry.call, now, rng, out }.happens(event);
            swap(&mut entry.call);
        }
        let (due, mut flow) = (entry.due, entry.flow);
        let name = u64::from(place.0) << 32 | u64::from(place.1);
        let (mut over, mut no_command) = (false, false);
        for what in std::mem::take(&mut self.out) {
            let mut counted = false;
            match what {
                Out::Send(octets) => stack.send_raw(octets, flow, name),
                Out::Again(octets) => {
                    self.stats.repeated.inc();
                    stack.send_raw(octets, flow, name);
                }
                Out::Command(text) => {
                    let sent = self.options.commands.as_ref().map(|commands| commands.try_send(text));
                    no_command |= !matches!(sent, Some(Ok(())));
                }
                Out::Destination(peer) => {
                    flow = Flow { connection: ConnectionId::default(), peer, ..flow };
                    if let Some(entry) = self.calls.get_mut(place.0, place.1) {
                        (entry.flow, entry.directed) = (flow, true);
                    }
                }
                Out::Log(text) => self.stats.note(text),
                Out::NoteRinging => self.stats.ringing.record(heard.since(due)),
                Out::NoteAnswer => self.stats.answered.record(heard.since(due)),
                Out::NoteBye(took) => self.stats.bye.record(took),
                Out::Absorbed => self.stats.came_again.inc(),
                Out::Succeeded => (counted, ()) = (true, self.stats.succeeded.inc()),
                Out::Failed(cause) => (counted, ()) = (true, self.stats.fail(cause)),
                Out::Stopped => (counted, ()) = (true, self.stats.stopped.inc()),
                Out::HungUp => (counted, ()) = (true, self.stats.hung_up.inc()),
                Out::Over => over = true,
                Out::StopAll => self.options.shared.stopped.store(true, Ordering::Relaxed),
            }
            if counted && let Some(entry) = self.calls.get_mut(place.0, place.1).filter(|entry| entry.counts) {
                entry.counts = false;
                self.stats.in_progress.add(-1);
            }
        }
        if no_command && !over {
            return self.happens(place, Event::Lost("no other controller: --3pcc".to_owned()), heard, stack);
        }
        if over {
            if let Some(entry) = self.calls.remove(place.0, place.1) {
                self.by_id.remove(&entry.call.call_id);
            }
        } else {
            self.arm(place);
        }
    }

    fn arm(&mut self, place: Place) {
        let Some(entry) = self.calls.get_mut(place.0, place.1) else { return };
        let Some(at) = entry.call.deadline() else { return };
        if entry.armed.is_none_or(|armed| at < armed) {
            entry.armed = Some(at);
            self.wheel.arm(at, place);
        }
    }

    /// A message of a peer.
    fn came(&mut self, message: Box<Message>, stack: &mut TuContext<'_>) {
        if message.is_response() { &self.stats.heard } else { &self.stats.requests }.inc();
        let Some(source) = message.source().copied() else { return };
        let call_id = message
            .fields()
            .find(|(id, _)| *id == HeaderId::CALL_ID)
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned());
        let Some(mut call_id) = call_id else { return };
        // What a scenario has written before the call's own is none of it.
        if self.options.setup.program.prefixed
            && let Some((_, own)) = call_id.split_once(PREFIXED)
        {
            call_id = own.to_owned();
        }
        if let Some(place) = self.by_id.get(&call_id).copied() {
            // What is sent from now on goes where this came from, if the scenario is called.
            if self.options.hop.is_none()
                && let Some(entry) = self.calls.get_mut(place.0, place.1).filter(|entry| !entry.directed)
            {
                entry.flow = source.flow;
            }
            return self.happens(place, Event::Message(message), source.at, stack);
        }
        if message.is_response() || message.method() == Some(Method::Ack) {
            return;
        }
        let begins = self.options.setup.program.is_called() && !message.has_to_tag();
        if !begins || self.stopped || !self.has_room() {
            let code = if message.has_to_tag() || !begins { 481 } else { 503 };
            let answer = message.make_response(code, None, Some("none")).to_bytes();
            return stack.send_raw(answer, source.flow, u64::MAX);
        }
        let own = stack.transports().get(source.flow.transport);
        let Some(local) = own.map(|own| match source.flow.local {
            Some(ip) if own.is_wildcard() => SocketAddr::new(ip, own.bound.port()),
            _ => own.advertised,
        }) else {
            return;
        };
        let place = self.insert(call_id, source.flow, local, source.at);
        self.happens(place, Event::Begin, source.at, stack);
        self.happens(place, Event::Message(message), source.at, stack);
    }

    /// A command of the other controller: its Call-ID names the call, or begins one.
    fn commanded(&mut self, text: String, stack: &mut TuContext<'_>) {
        let line = text
            .lines()
            .find_map(|line| line.split_once(':').filter(|(name, _)| name.trim().eq_ignore_ascii_case("call-id")));
        let Some(call_id) = line.map(|(_, value)| value.trim().to_owned()) else { return };
        let now = stack.now();
        let place = match self.by_id.get(&call_id).copied() {
            Some(place) => place,
            None => {
                let begins = self.options.setup.program.is_commanded() && !self.stopped;
                let way = self.ways.get(self.started as usize % self.ways.len().max(1)).copied();
                let Some((flow, local)) = way.filter(|_| begins && self.has_room()) else {
                    return;
                };
                let place = self.insert(call_id, flow, local, now);
                self.happens(place, Event::Begin, now, stack);
                place
            }
        };
        self.happens(place, Event::Command(text), now, stack);
    }

    fn lost(&mut self, name: u64, why: String, stack: &mut TuContext<'_>) {
        let place = ((name >> 32) as u32, name as u32);
        let now = stack.now();
        // Over UDP what is lost is sent again.
        if self.calls.get(place.0, place.1).is_some_and(|entry| entry.flow.kind.is_reliable()) {
            self.happens(place, Event::Lost(why), now, stack);
        }
    }

    fn stop(&mut self, stack: &mut TuContext<'_>) {
        self.pace.stop();
        self.stopped = true;
        let all: Vec<Place> = self.by_id.values().copied().collect();
        let now = stack.now();
        all.into_iter().for_each(|place| self.happens(place, Event::Stop, now, stack));
    }

    /// A scenario may have ended everything, on this shard or another.
    fn heed_the_stop(&mut self) {
        if self.options.shared.stopped.load(Ordering::Relaxed) {
            self.pace.stop();
            self.stopped = true;
        }
    }

    fn look_for_end(&mut self) {
        self.heed_the_stop();
        let makes_calls = self.options.shape.is_some();
        let idle = self.pace.is_over() && (makes_calls || self.stopped);
        if self.begun && idle && self.calls.is_empty() {
            self.stats.done.store(true, Ordering::Release);
        }
    }
}

impl TransactionUser for Driver {
    fn name(&self) -> &'static str {
        "scenario"
    }

    fn process(&mut self, event: TuEvent, stack: &mut TuContext<'_>) {
        if !self.begun {
            self.begin(stack);
        }
        self.heed_the_stop();
        match event {
            TuEvent::Raw { msg } => self.came(msg, stack),
            TuEvent::RawFailed { name, error } => self.lost(name, error.to_string(), stack),
            TuEvent::Posted(item) if item.is::<Stop>() => self.stop(stack),
            TuEvent::Posted(item) => {
                if let Ok(command) = item.downcast::<Command>() {
                    self.commanded(command.0, stack);
                }
            }
            _ => {}
        }
        self.look_for_end();
    }

    fn deadline(&self) -> Option<Time> {
        if !self.begun {
            return Some(Time::ZERO);
        }
        self.pace.deadline(self.calls.len()).into_iter().chain(self.wheel.next_deadline()).min()
    }

    fn wake(&mut self, stack: &mut TuContext<'_>) {
        if !self.begun {
            self.begin(stack);
        }
        self.heed_the_stop();
        let now = stack.now();
        while let Some(place) = self.wheel.pop(now) {
            let Some(entry) = self.calls.get_mut(place.0, place.1) else { continue };
            // One that was armed for an earlier time finds it moved.
            entry.armed = None;
            match entry.call.deadline() {
                Some(at) if at <= now => self.happens(place, Event::Time, now, stack),
                _ => self.arm(place),
            }
        }
        self.start_due(stack);
        self.look_for_end();
    }
}
