//! Where FIFOs and threads are born. ARCHITECTURE.md's table is [`EDGES`].
//!
//! One *core* a shard: scanner, transactions, timer queue, selector, transaction users. One *net* a shard: the
//! transports. [`Placement::Inline`] has one shard on one runner; [`Placement::Sharded`] one runner a shard, net and
//! core together; [`Placement::Staged`] one shard with net and core on a runner each.
//!
//! [`Placement::Inline`]: rutil::Placement::Inline
//! [`Placement::Sharded`]: rutil::Placement::Sharded
//! [`Placement::Staged`]: rutil::Placement::Staged

use crate::flow_token::FlowTokens;
use crate::hep::{HepExporter, HepPlan, Tap};
use crate::options::StackOptions;
use crate::overload::{Bans, Intake, NextHops, Sources};
use crate::scanner::{MessageHeaderScanner, ScannerParts, ScannerStats, Shared};
use crate::selector::resolver::{Answer, ResolverHandle, ResolverOptions, serve};
use crate::selector::{SelectorParts, TransportSelector};
use crate::statistics::{Statistics, Tally};
use crate::timer::TimerQueue;
use crate::transaction::{
    ControllerParts, Doors, Incoming, Input, KeyMaker, TransactionController, TransactionStats, TuPort,
};
use crate::transport::{Connected, FailureSink, PollGroup, Received, RouteQuery, TransportTable, Wire};
use crate::tu::{TransactionUser, TuActor, TuEvent, TuOptions};
use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;
use rutil::{
    Actor, Bell, Class, Clock, CongestionManager, FifoReceiver, FifoSender, Meter, ParkSleeper, RealClock, Rng, Runner,
    Sleeper, Time, fifo,
};
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What a full FIFO does to its producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// What does not fit is dropped and counted, or whoever sent it is told; the producer goes on.
    Shed,
    /// The producer keeps what does not fit, two entries a transaction at most, and goes on.
    Keep,
    /// The producer keeps what does not fit, and takes nothing more from the FIFOs that are named until it has gone.
    Hold(&'static [&'static str]),
}

/// One FIFO of the stack.
#[derive(Clone, Copy, Debug)]
pub struct Edge {
    /// The FIFO's name.
    pub name: &'static str,
    /// Who pushes.
    pub from: &'static str,
    /// Who pops.
    pub to: &'static str,
    /// How many items it holds.
    pub capacity: usize,
    /// What happens when it is full.
    pub when_full: WhenFull,
}

const fn row(name: &'static str, from: &'static str, to: &'static str, capacity: usize, when_full: WhenFull) -> Edge {
    Edge { name, from, to, capacity, when_full }
}

/// All FIFOs. The hold edges form no circle (a test says so), so nothing can wait for itself.
pub const EDGES: [Edge; 11] = [
    row("rx", "transports", "scanner", 256, WhenFull::Shed),
    row("txn", "scanner", "transactions", 256, WhenFull::Hold(&["rx"])),
    row("cmd", "TU, timers, selector, transports", "transactions", 512, WhenFull::Hold(&["tu", "out", "dns_done"])),
    row("timer", "transactions", "timers", 512, WhenFull::Keep),
    row("out", "transactions", "selector", 512, WhenFull::Shed),
    row("wire", "selector, scanner", "transports", 256, WhenFull::Shed),
    row("tu", "transactions, the program", "TU", 256, WhenFull::Hold(&["txn"])),
    row("connected", "transports", "selector", 256, WhenFull::Shed),
    row("dns", "selector", "resolver", 1024, WhenFull::Shed),
    row("hep", "scanner, selector", "exporter", 1024, WhenFull::Shed),
    row("dns_done", "resolver", "selector", 256, WhenFull::Hold(&["dns"])),
];

const fn capacity(name: &str) -> usize {
    let mut at = 0;
    while at < EDGES.len() {
        if equal(EDGES[at].name, name) {
            return EDGES[at].capacity;
        }
        at += 1;
    }
    panic!("no such FIFO");
}

const fn equal(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while a.len() == b.len() && at < a.len() && a[at] == b[at] {
        at += 1;
    }
    a.len() == b.len() && at == a.len()
}

/// Makes the FIFO of a row of [`EDGES`].
macro_rules! edge {
    ($name:literal, $bell:expr) => {{
        const CAPACITY: usize = capacity($name);
        fifo($name, CAPACITY, $bell)
    }};
}

/// The least that an address has before the next is tried beside it (RFC 8305 §5).
const SHORTEST_DELAY: Duration = Duration::from_millis(10);

/// Makes one transaction user for each shard.
pub type TuFactory = Box<dyn FnMut(u16) -> Box<dyn TransactionUser>>;

/// What all shards share, before they are built.
pub struct Plan<'a> {
    /// Their behaviour.
    pub options: &'a StackOptions,
    /// All transports.
    pub transports: TransportTable,
    /// Which address of ours leads to another: [`system_route`], or what a simulation says.
    ///
    /// [`system_route`]: crate::transport::system_route
    pub route: RouteQuery,
    /// The `wire[t]` FIFOs by transport.
    pub wires: Vec<FifoSender<Wire>>,
    /// The transaction users in the order of their registration.
    pub users: &'a mut [(TuOptions, TuFactory)],
    /// The resolver.
    pub resolver: ResolverHandle,
    /// What the exporters need, one a shard; none without export.
    pub hep: Vec<HepPlan>,
    /// Randomness for everything.
    pub rng: &'a mut Rng,
}

/// One shard's actors: they belong to its runner.
pub struct CoreActors {
    /// Scanner, transactions, transaction users, selector, timer queue: in the order in which a message passes.
    pub actors: Vec<Box<dyn Actor>>,
    /// In which order they have their turns, so that what a message causes is done in one pass: the transactions have
    /// one after the scanner, one after the transaction users and one after the selector.
    pub order: Vec<usize>,
    /// Transaction users that somebody else drives, by their numbers.
    pub apart: Vec<(u8, Box<dyn Actor>)>,
}

/// The ends of one shard's FIFOs that others feed, and what they may read.
pub struct Core {
    /// Commands and news from outside the shard.
    pub commands: FifoSender<Input>,
    /// The resolver's answers.
    pub answers: FifoSender<Answer>,
    /// What became of connections that the selector asked for.
    pub connects: FifoSender<Connected>,
    /// What comes to the transaction users, in the order of their registration.
    pub users: Vec<FifoSender<TuEvent>>,
    /// What its FIFOs have seen.
    pub meters: Vec<Arc<Meter>>,
    /// What its scanner counts.
    pub scanner: Arc<ScannerStats>,
    /// What its transactions count.
    pub transactions: Arc<TransactionStats>,
    /// What all its actors count together.
    pub(crate) tally: Arc<Tally>,
    /// What may begin a transaction.
    pub doors: Arc<Doors>,
    /// What waits in its sockets, and what they should let through.
    pub intake: Arc<Intake>,
    /// Whose messages are not read; one for all shards.
    pub bans: Arc<Bans>,
    /// What it may take on.
    pub congestion: Arc<CongestionManager>,
}

impl Core {
    /// What this shard has counted, as if it were the whole stack; nothing of transports.
    pub fn statistics(&self, now: Time) -> Statistics {
        Statistics::of_cores(std::slice::from_ref(self), &self.bans, now)
    }
}

/// Builds the cores of all shards: `rx` has the receiving end of each shard's `rx` FIFO and the bell of the runner that
/// the shard will run on. For a simulation give one shard, a silent bell, and play the transports yourself.
pub fn cores(mut plan: Plan<'_>, rx: Vec<(FifoReceiver<Received>, Bell)>) -> Vec<(CoreActors, Core)> {
    let (keys, tokens) = (KeyMaker::new(plan.rng), FlowTokens::new(plan.rng).with_key(plan.options.flow_key));
    let across = rx.len() > 1;
    let mut senders: Vec<FifoSender<Incoming>> = Vec::new();
    let mut receivers: Vec<FifoReceiver<Incoming>> = Vec::new();
    for (_, bell) in &rx {
        let (sender, receiver) = edge!("txn", if across { bell.clone() } else { Bell::silent() });
        senders.push(sender);
        receivers.push(receiver);
    }
    let common = Common { txn: senders, keys, tokens, bans: Arc::default() };
    let ends = rx.into_iter().zip(receivers).enumerate();
    ends.map(|(shard, ((rx, bell), txn))| core(&mut plan, shard as u16, rx, bell, txn, &common)).collect()
}

/// What the shards have in common.
struct Common {
    txn: Vec<FifoSender<Incoming>>,
    keys: KeyMaker,
    tokens: FlowTokens,
    bans: Arc<Bans>,
}

fn core(
    plan: &mut Plan<'_>,
    shard: u16,
    rx: FifoReceiver<Received>,
    bell: Bell,
    from_scanner: FifoReceiver<Incoming>,
    common: &Common,
) -> (CoreActors, Core) {
    let Common { txn, keys, tokens, bans } = common;
    let (commands, inputs) = edge!("cmd", bell.clone());
    let (to_timer, arms) = edge!("timer", Bell::silent());
    let (to_out, out) = edge!("out", Bell::silent());
    let (answers, from_resolver) = edge!("dns_done", bell.clone());
    let (connects, connected) = edge!("connected", bell.clone());
    let mut meters = vec![rx.meter().clone(), from_scanner.meter().clone(), inputs.meter().clone()];
    meters.extend([arms.meter().clone(), out.meter().clone(), connected.meter().clone()]);
    let mut exporter = None;
    let tap = match plan.hep.pop() {
        Some(hep) => {
            let (to_hep, captures) = edge!("hep", Bell::silent());
            meters.push(captures.meter().clone());
            let tap = Tap::new(to_hep, &hep);
            exporter = Some(HepExporter::new(captures, hep, plan.transports.clone()));
            tap
        }
        None => Tap::none(),
    };
    let scanner_stats = Arc::<ScannerStats>::default();
    let tally = Arc::<Tally>::default();
    let mut watched = vec![rx.meter().clone(), from_scanner.meter().clone()];
    let bell_of = |options: &TuOptions| options.bell.clone().unwrap_or_else(|| bell.clone());
    let tus: Vec<_> = plan.users.iter().map(|(options, _)| edge!("tu", bell_of(options))).collect();
    watched.extend(tus.iter().map(|(_, events)| events.meter().clone()));
    let intake = Arc::<Intake>::default();
    let congestion = Arc::new(plan.options.overload.watch(&watched, intake.backlog.clone()));
    let scanner = MessageHeaderScanner::new(ScannerParts {
        shard,
        rx,
        // Its own shard's runner is awake while it scans.
        txn: txn
            .iter()
            .enumerate()
            .map(|(to, txn)| if to == usize::from(shard) { txn.near() } else { txn.clone() })
            .collect(),
        wires: plan.wires.clone(),
        transports: plan.transports.clone(),
        limits: plan.options.limits,
        partial_octets: plan.options.partial_octets,
        patience: plan.options.timers.long(),
        keys: keys.clone(),
        rng: plan.rng.split(),
        tap: tap.clone(),
        stats: scanner_stats.clone(),
        tally: tally.clone(),
        congestion: congestion.clone(),
        shared: Shared { intake: intake.clone(), bans: bans.clone() },
        sources: Sources::new(&plan.options.source_limits, plan.rng),
        control: plan.options.overload.control,
        raw: plan.options.raw,
        flows: plan.users.iter().any(|(options, _)| options.flows),
    });
    let to_users: Vec<_> = tus.iter().map(|(to_tu, _)| to_tu.clone()).collect();
    let (mut ports, mut users, mut apart) = (Vec::new(), Vec::new(), Vec::new());
    for ((tu, (options, factory)), (to_tu, events)) in plan.users.iter_mut().enumerate().zip(tus) {
        meters.push(events.meter().clone());
        let elsewhere = options.bell.is_some();
        ports.push(TuPort { options: options.clone(), events: if elsewhere { to_tu.clone() } else { to_tu.near() } });
        let actor = TuActor::new(
            tu as u8,
            shard,
            events,
            if elsewhere { commands.clone() } else { commands.near() },
            plan.transports.clone(),
            (plan.rng.split(), tokens.clone(), bans.clone()),
            factory(shard),
        );
        if elsewhere {
            apart.push((tu as u8, Box::new(actor) as Box<dyn Actor>));
        } else {
            users.push(actor);
        }
    }
    let transaction_stats = Arc::<TransactionStats>::default();
    let doors = Arc::<Doors>::default();
    let controller = TransactionController::new(ControllerParts {
        shard,
        from_scanner,
        inputs,
        out: to_out,
        timers: to_timer,
        tus: ports,
        values: plan.options.timers,
        limit: plan.options.transactions,
        octets: plan.options.transaction_octets,
        keys: keys.clone(),
        rng: plan.rng.split(),
        stats: transaction_stats.clone(),
        tally: tally.clone(),
        doors: doors.clone(),
        congestion: congestion.clone(),
        control: plan.options.overload.control.then(|| intake.clone()),
        raw: plan.options.raw,
    });
    let selector = TransportSelector::new(SelectorParts {
        shard,
        out,
        answers: from_resolver,
        connected,
        attempt_delay: plan.options.connection_attempt_delay.max(SHORTEST_DELAY),
        resolver: plan.resolver.clone(),
        news: commands.near(),
        wires: plan.wires.clone(),
        transports: plan.transports.clone(),
        route: plan.route,
        outbound_proxy: plan.options.outbound_proxy.clone(),
        enum_suffix: plan.options.enum_suffix.clone(),
        udp_limit: plan.options.udp_limit,
        next_hops: plan.options.overload.control.then(|| NextHops::new(plan.rng)),
        rng: plan.rng.split(),
        tokens: tokens.clone(),
        tap,
        tally: tally.clone(),
    });
    let timers = TimerQueue::new(arms, commands.near());
    let mut actors: Vec<Box<dyn Actor>> = vec![Box::new(scanner), Box::new(controller)];
    actors.extend(users.into_iter().map(|user| Box::new(user) as Box<dyn Actor>));
    let (transactions, selector_at) = (1, actors.len());
    actors.push(Box::new(selector));
    actors.push(Box::new(timers));
    let mut order: Vec<usize> = (0..selector_at).collect();
    order.extend([transactions, selector_at, transactions, selector_at + 1]);
    if let Some(exporter) = exporter {
        order.push(actors.len());
        actors.push(Box::new(exporter));
    }
    let (scanner, transactions, bans) = (scanner_stats, transaction_stats, bans.clone());
    let core = Core {
        users: to_users,
        connects,
        commands,
        answers,
        meters,
        scanner,
        transactions,
        tally,
        doors,
        intake,
        bans,
        congestion,
    };
    (CoreActors { actors, order, apart }, core)
}

/// One shard's sockets, and the ends of their FIFOs.
pub(crate) struct Net {
    pub(crate) group: PollGroup,
    pub(crate) rx: FifoReceiver<Received>,
    /// Where the core runs, if not with the sockets.
    pub(crate) park: Option<ParkSleeper>,
}

impl Net {
    /// The bell of the runner that drives the core.
    pub(crate) fn core_bell(&self) -> Bell {
        self.park.as_ref().map_or_else(|| self.group.bell(), ParkSleeper::bell)
    }
}

/// Makes one shard's poll group, still without transports. `commands` is filled with every shard's `cmd` FIFO later.
pub(crate) fn net(staged: bool, commands: Arc<OnceLock<Vec<FifoSender<Input>>>>) -> io::Result<Net> {
    let park = staged.then(ParkSleeper::new);
    let (to_scanner, rx) = edge!("rx", park.as_ref().map_or_else(Bell::silent, Sleeper::bell));
    let failed: FailureSink = Box::new(move |failed, now| {
        let shard = commands.get().and_then(|all| all.get(usize::from(failed.notify.shard)));
        // Without room the transaction's own timers end it.
        let told = shard.is_some_and(|cmd| cmd.push(Input::Failed(failed), Class::Internal, now).is_ok());
        if !told {
            tracing::debug!(error = %failed.error, "a transport failure found no room in cmd");
        }
    });
    Ok(Net { group: PollGroup::new(to_scanner, failed)?, rx, park })
}

/// Makes the `wire[t]` FIFO of a transport in this group. `near` says that only this runner feeds it.
pub(crate) fn wire(group: &PollGroup, near: bool) -> (FifoSender<Wire>, FifoReceiver<Wire>) {
    edge!("wire", if near { Bell::silent() } else { group.bell() })
}

/// What to do when a runner's thread panics: it gets the thread's name.
pub type OnPanic = Arc<dyn Fn(&str) + Send + Sync>;

/// Starts a named thread for a runner, on a processor of its own when `pin` says its number.
pub(crate) fn spawn_runner<S, C>(
    name: String,
    mut runner: Runner<S, C>,
    pin: Option<usize>,
    on_panic: OnPanic,
) -> io::Result<JoinHandle<()>>
where
    S: Sleeper + 'static,
    C: Clock + 'static,
{
    let alarm = name.clone();
    thread::Builder::new().name(name).spawn(move || {
        if let Some(number) = pin {
            pin_to(number);
        }
        // The actors of a runner that panicked are not used again, so their state does not matter.
        if panic::catch_unwind(AssertUnwindSafe(|| runner.run())).is_err() {
            on_panic(&alarm);
        }
    })
}

/// The processors that this process may use, and which of them runs this thread.
fn processors() -> nix::Result<(Vec<usize>, usize)> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    let mine: Vec<usize> = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false)).collect();
    let here = sched_getcpu()?;
    let at = mine.iter().position(|cpu| *cpu == here).unwrap_or(0);
    Ok((mine, at))
}

/// Where to begin pinning: two programs on one machine should not all begin with its first processor.
pub(crate) fn first_processor() -> usize {
    processors().map_or(0, |(_, at)| at)
}

/// Keeps this thread on one of the processors that it may use: the `number`th, counted round. A runner sleeps and wakes
/// thousands of times a second, and each time that it wakes elsewhere its caches are cold.
fn pin_to(number: usize) {
    let pinned = processors().and_then(|(mine, _)| {
        let mut one = CpuSet::new();
        if let Some(cpu) = mine.get(number % mine.len().max(1)) {
            one.set(*cpu)?;
            sched_setaffinity(Pid::from_raw(0), &one)?;
        }
        Ok(())
    });
    if let Err(error) = pinned {
        tracing::warn!(%error, "a runner could not be pinned to a processor");
    }
}

/// A resolver whose thread starts at the first look-up.
pub(crate) fn resolver(answers: Arc<OnceLock<Vec<FifoSender<Answer>>>>, clock: RealClock) -> ResolverHandle {
    ResolverHandle::new(move |handle| {
        let (answers, clock) = (answers.get().cloned().unwrap_or_default(), clock.clone());
        let run = move || {
            if let Err(error) = serve(&handle, &ResolverOptions::default(), answers, clock) {
                tracing::error!(%error, "the resolver cannot run");
            }
        };
        thread::Builder::new().name("sip-control".into()).spawn(run).map(drop)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::{Arm, Outgoing};
    use crate::tu::TuEvent;

    /// Follows "X is full, so Y is not drained, so Y becomes full".
    fn waits_for(name: &str, path: &mut Vec<&'static str>) {
        let edge = EDGES.iter().find(|e| e.name == name).unwrap_or_else(|| panic!("{name} is not in the table"));
        assert!(!path.contains(&edge.name), "{} waits for itself: {path:?}", edge.name);
        path.push(edge.name);
        if let WhenFull::Hold(others) = edge.when_full {
            for other in others {
                waits_for(other, path);
            }
        }
        path.pop();
    }

    /// A ring is written all the way round before an entry is written again: what is large crosses in a box.
    #[test]
    fn entries_between_actors_are_small() {
        assert!(size_of::<Outgoing>() <= 40, "out: {}", size_of::<Outgoing>());
        assert!(size_of::<Input>() <= 40, "cmd: {}", size_of::<Input>());
        assert!(size_of::<TuEvent>() <= 32, "tu: {}", size_of::<TuEvent>());
        assert!(size_of::<Arm>() <= 24, "timer: {}", size_of::<Arm>());
        assert!(size_of::<Incoming>() <= 64, "txn: {}", size_of::<Incoming>());
        assert!(size_of::<Received>() <= 112, "rx: {}", size_of::<Received>());
        assert!(size_of::<Wire>() <= 136, "wire: {}", size_of::<Wire>());
    }

    #[test]
    fn no_hold_edge_closes_a_circle() {
        for edge in EDGES {
            waits_for(edge.name, &mut Vec::new());
        }
    }
}
