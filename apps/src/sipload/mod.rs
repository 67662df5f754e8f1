//! The load generator: calls and other requests at a rate or so many at once, and somebody who answers them.
//!
//! The main thread is the control plane: it starts the stack, waits for the end or a signal, and tells what the run was
//! like. SIP runs on the stack's threads, where each shard has a caller (`caller.rs`) or a callee (`callee.rs`), which
//! are transaction users of their own: no dialog manager is between them and the transactions. Exit codes: 0 the criteria
//! held, 1 they did not, 2 it could not run, 70 a thread of the stack died.

mod args;
mod callee;
mod caller;
mod credentials;
mod criteria;
mod dialog;
mod job;
mod live;
mod pace;
mod play;
mod plot;
mod report;
mod scenario;
mod schedule;
mod search;
mod session;
mod stats;
mod summary;
mod template;
mod users;
mod way;

pub use args::Args;

use crate::hop::{self, Hop, HopError};
use crate::terminal::{died, say};
use crate::tls::CertificateError;
use args::{LoadArgs, ScenarioArgs, Task, UasArgs};
use callee::Callee;
use caller::{Caller, CallerOptions, Stop};
use criteria::Criteria;
use job::Job;
use live::Live;
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use play::{Scenario, options, raw};
use repro::config::Listen;
use rutil::rng::EntropyError;
use rutil::{Clock, Placement, RealClock, Rng, Time};
use scenario::{Driver, DriverOptions, ScenarioError, Shared, ThirdError};
use schedule::{Shape, Stretch};
use search::Search;
use stack::transport::tls::TlsContext;
use stack::transport::{TransportType, WsOptions};
use stack::tu::{TuOptions, TuPoster};
use stack::{Stack, StackBuilder, StackError, TransportSpec};
use stats::Stats;
use std::cell::OnceCell;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::num::{NonZeroU8, NonZeroU16};
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use summary::Summary;
use tokio::signal::unix::{SignalKind, signal};
use users::UsersError;

/// Exit code when the criteria did not hold.
const MISSED: u8 = 1;
/// Exit code when it could not run; clap's for a wrong command line.
const CANNOT: u8 = 2;
/// How it is called in what it says.
const PROGRAM: &str = "sipload";

/// The variable of the environment with the users' password.
const PASSWORD: &str = "SIPLOAD_PASSWORD";

/// How long calls over UDP sleep at least. What comes meanwhile has the time at which the kernel got it.
const BEAT: Duration = Duration::from_millis(1);
/// How often the end is looked for.
const LOOK: Duration = Duration::from_millis(50);
/// How long what is in progress may take when it was told to end.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// A target that has sent nothing for so long is silent.
const SILENCE: Duration = Duration::from_secs(8);
/// How long calls may take to be answered after the last was started: Timer B is 32 s.
const ANSWER_LIMIT: Duration = Duration::from_secs(40);

/// Why it could not run.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(transparent)]
    Hop(#[from] HopError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Users(#[from] UsersError),
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    #[error(transparent)]
    Third(#[from] ThirdError),
    #[error("missing: {0}")]
    Missing(&'static str),
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    #[error(transparent)]
    Stack(#[from] StackError),
    #[error("cannot watch for signals: {0}")]
    Signals(io::Error),
    #[error("{}: {source}", .file.display())]
    Report { file: PathBuf, source: io::Error },
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
}

/// Runs it to its end.
pub fn main(args: Args) -> ExitCode {
    let done = actix::System::new().block_on(async {
        match args.role.task() {
            Task::Uas(args) => uas(args).await,
            Task::Load(job, load) => generate(Work::Job(job), *load).await,
            Task::Scenario(args) => scenario(*args).await,
        }
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(MISSED),
        Err(error) => {
            say(PROGRAM, format_args!("{error}"));
            ExitCode::from(CANNOT)
        }
    }
}

/// A builder with what both roles have in common.
fn builder(shards: NonZeroU8, listen: &[Listen], tls: Option<TlsContext>) -> StackBuilder {
    let placement = match NonZeroU16::from(shards) {
        NonZeroU16::MIN => Placement::Inline,
        more => Placement::Sharded(more),
    };
    let mut builder = Stack::builder().options(options()).placement(placement).on_panic(|thread| died(PROGRAM, thread));
    if let Some(tls) = tls {
        builder = builder.tls(tls);
    }
    for listen in listen {
        builder.add_transport(TransportSpec::new(listen.kind, listen.address));
    }
    // A connection is an open file; where the limit cannot be raised, it stays.
    let _ = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    builder
}

/// What each session does.
enum Work {
    Job(Job),
    Scenario(Box<Scenario>),
}

impl Work {
    /// How it is called in the summary.
    fn what(&self) -> &'static str {
        match self {
            Work::Job(job) => job.method(),
            Work::Scenario(_) => "scenario",
        }
    }

    /// How long a session lasts, as far as the command line says it.
    fn hold(&self) -> Duration {
        match self {
            Work::Job(Job::Call(hold)) => *hold,
            Work::Job(_) => Duration::ZERO,
            Work::Scenario(scenario) => scenario.hold,
        }
    }
}

/// Runs a scenario: makes its calls, or answers those that come, or that another controller begins.
async fn scenario(args: ScenarioArgs) -> Result<bool, RunError> {
    let scenario = Scenario::read(&args)?;
    let load = args.load;
    let hop = if scenario.program.is_called() { None } else { Some(first_hop(&load)?) };
    if hop.is_some() && !scenario.program.is_commanded() {
        return generate(Work::Scenario(Box::new(scenario)), load).await;
    }
    let listen = match &hop {
        Some(hop) => hop::local(hop.kind, hop.address, load.listen)?,
        None => load
            .listen
            .ok_or(RunError::Missing("--listen TRANSPORT:ADDRESS:PORT: where calls come to, as udp:127.0.0.1:5070"))?,
    };
    let mut rng = Rng::from_os()?;
    let target = load.target.as_ref().map_or_else(|| format!("sip:{}", listen.address), ToString::to_string);
    let clock = RealClock::new();
    let mut setup = scenario.setup(target, listen.kind, &load, clock.epoch(), &mut rng)?;
    let name = hop.as_ref().and_then(|hop| hop.name.clone());
    let tls = load.tls.context([listen.kind], name, hop.is_none())?;
    let mut builder = raw(builder(load.shards, &[listen], tls)).clock(clock);
    let (limit, shards) = (load.limit.get(), load.shards.get().into());
    let stats: Vec<Arc<Stats>> = (0..shards).map(|_| Arc::default()).collect();
    let poster = Rc::<OnceCell<TuPoster>>::default();
    let commands = scenario.third(poster.clone()).await?;
    let shared = Shared::of(&mut setup, &mut rng, |text| stats[0].note(text))?;
    let options = Arc::new(DriverOptions { setup, shape: None, hop, limit, shards, connections: 1, commands, shared });
    let of = stats.clone();
    let tu = builder.register_tu(TuOptions::default(), move |shard| {
        Driver::new(options.clone(), shard, of.get(usize::from(shard)).cloned().unwrap_or_default(), rng.split())
    });
    answer(builder, "scenario", &stats, load.json, |stack| drop(poster.set(stack.poster(tu)))).await
}

/// Where calls go first.
fn first_hop(load: &LoadArgs) -> Result<Hop, RunError> {
    let missing = RunError::Missing("--target SIP-URI: whom to call, as sip:service@127.0.0.1:5070");
    let target = load.target.as_ref().ok_or(missing)?;
    Ok(Hop::of(load.via.as_ref().unwrap_or(target))?)
}

/// Answers until a signal comes.
async fn uas(args: UasArgs) -> Result<bool, RunError> {
    let mut rng = Rng::from_os()?;
    let stats: Vec<Arc<Stats>> = (0..args.shards.get()).map(|_| Arc::default()).collect();
    let tls = args.tls.context(args.listen.iter().map(|listen| listen.kind), None, true)?;
    let mut builder = builder(args.shards, &args.listen, tls);
    let of = stats.clone();
    builder.register_tu(TuOptions { refuse_merged: true, ..TuOptions::default() }, move |shard| {
        Callee::new(of.get(usize::from(shard)).cloned().unwrap_or_default(), &mut rng)
    });
    answer(builder, "uas", &stats, args.json, |_| {}).await
}

/// Starts what answers, and tells of it when a signal has come.
async fn answer(
    builder: StackBuilder,
    what: &'static str,
    stats: &[Arc<Stats>],
    json: bool,
    started: impl FnOnce(&Stack),
) -> Result<bool, RunError> {
    let mut ends = Ends::watch()?;
    let stack = builder.start()?;
    started(&stack);
    let began = RealClock::new();
    announce(&stack).map_err(RunError::Output)?;
    loop {
        tokio::select! {
            () = ends.next() => break,
            () = tokio::time::sleep(LOOK) => tell_notes(stats),
        }
    }
    let took = began.now().since(Time::ZERO);
    let run = Summary { took, generated: took, ..measured(what, &stack, stats) };
    tell(&run, &[], json)?;
    Ok(true)
}

/// Tells what scenarios have noted.
fn tell_notes(stats: &[Arc<Stats>]) {
    for note in stats.iter().flat_map(|stats| std::mem::take(&mut *stats.notes.lock())) {
        live::clear();
        say(PROGRAM, format_args!("{}", note.escape_debug()));
    }
}

/// Makes calls, or sends requests.
async fn generate(work: Work, load: LoadArgs) -> Result<bool, RunError> {
    if let Some(missing) = load.missing() {
        return Err(RunError::Missing(missing));
    }
    let mut ends = Ends::watch()?;
    let criteria = load.criteria();
    if let Some(file) = &load.html {
        // Before the run, not after an hour of it.
        let opened = std::fs::OpenOptions::new().append(true).create(true).open(file);
        opened.map_err(|source| RunError::Report { file: file.clone(), source })?;
    }
    if !load.find_max {
        let run = once(&work, &load, load.shape(), &mut ends).await?;
        let missed = run.missed(&criteria);
        tell(&run.summary, &missed, load.json)?;
        missed.iter().for_each(|missed| say(PROGRAM, format_args!("{missed}")));
        report(&run, &load, &missed)?;
        return Ok(missed.is_empty());
    }
    find_max(&work, &load, &criteria, &mut ends).await
}

/// Makes runs until the highest rate is found, and tells of the best of them; where none was good, of the last.
async fn find_max(work: &Work, load: &LoadArgs, criteria: &Criteria, ends: &mut Ends) -> Result<bool, RunError> {
    let mut best: Option<Run> = None;
    let mut search = Search::new(load.rate.first().copied().unwrap_or(1.0));
    loop {
        let rate = search.rate();
        let shape = Shape::Open(vec![Stretch::constant(rate, load.duration)]);
        let mut run = once(work, load, shape, ends).await?;
        let missed = run.missed(criteria);
        let what = if missed.is_empty() { "good".to_owned() } else { missed.join(", ") };
        say(PROGRAM, format_args!("{rate:.0}/s: {what}"));
        // What was cut short tells nothing, and a silent target will not answer fewer.
        let more = !run.interrupted && search.tried(missed.is_empty()) && !run.silent;
        let cut = run.interrupted || run.silent;
        let last = if missed.is_empty() && !cut { best.insert(run) } else { best.as_mut().unwrap_or(&mut run) };
        if more {
            continue;
        }
        last.summary.best_rate = search.best();
        let missed = last.missed(criteria);
        tell(&last.summary, &missed, load.json)?;
        report(last, load, &missed)?;
        let so_far = if cut { " so far" } else { "" };
        match search.best() {
            Some(best) => say(PROGRAM, format_args!("the highest rate{so_far} that meets the criteria: {best:.0}/s")),
            None => say(PROGRAM, format_args!("no rate meets the criteria{so_far}")),
        }
        return Ok(search.best().is_some() && !cut);
    }
}

/// A run and how it ended.
struct Run {
    summary: Summary,
    live: Live,
    /// The peer's address.
    peer: String,
    /// Nothing was ever heard of it.
    silent: bool,
    /// A signal ended it.
    interrupted: bool,
}

impl Run {
    /// What was not as it should be.
    fn missed(&self, criteria: &Criteria) -> Vec<String> {
        match self.silent {
            true => vec![format!("{} does not answer", self.peer)],
            false => criteria.missed(&self.summary).iter().map(ToString::to_string).collect(),
        }
    }
}

/// One run.
async fn once(work: &Work, load: &LoadArgs, shape: Shape, ends: &mut Ends) -> Result<Run, RunError> {
    let (hold, what) = (work.hold(), work.what());
    let hop = first_hop(load)?;
    let first = hop::local(hop.kind, hop.address, load.listen)?;
    // The others have any port.
    let more = Listen { address: SocketAddr::new(first.address.ip(), 0), ..first };
    let more = std::iter::repeat_n(more, usize::from(load.connections.saturating_sub(1)));
    let listen: Vec<Listen> = std::iter::once(first).chain(more).collect();
    let tls = load.tls.context([hop.kind], hop.name.clone(), false)?;
    let peer = format!("{} {}", hop.kind.as_param(), hop.address);
    let target = load.target.as_ref().map(ToString::to_string).unwrap_or_default();
    let (limit, length) = (load.limit.get(), shape.length());
    let (shards, connections) = (load.shards.get(), load.connections);
    let mut rng = Rng::from_os()?;
    let stats: Vec<Arc<Stats>> = (0..shards).map(|_| Arc::default()).collect();
    let connect = Some(load.ws_path.clone());
    let mut builder = builder(load.shards, &listen, tls).ws_options(WsOptions { connect, ..WsOptions::default() });
    if hop.kind == TransportType::Udp {
        builder = builder.beat(BEAT);
    }
    let of = stats.clone();
    let of = move |shard: u16| of.get(usize::from(shard)).cloned().unwrap_or_default();
    let third = Rc::<OnceCell<TuPoster>>::default();
    let tu = match work {
        Work::Job(job) => {
            let (job, users) = (job.clone(), load.users(std::env::var(PASSWORD).ok())?);
            let shards = shards.into();
            let options = CallerOptions { shape, job, users, target, hop, limit, shards };
            let options = Arc::new(options);
            builder.register_tu(TuOptions::default(), move |shard| {
                Caller::new(options.clone(), shard, of(shard), &mut rng)
            })
        }
        Work::Scenario(scenario) => {
            let clock = RealClock::new();
            let mut setup = scenario.setup(target, hop.kind, load, clock.epoch(), &mut rng)?;
            let commands = scenario.third(third.clone()).await?;
            let shared = Shared::of(&mut setup, &mut rng, |text| stats[0].note(text))?;
            let (shape, hop, shards) = (Some(shape), Some(hop), shards.into());
            let options = DriverOptions { setup, shape, hop, limit, shards, connections, commands, shared };
            let options = Arc::new(options);
            builder = raw(builder).clock(clock);
            builder.register_tu(TuOptions::default(), move |shard| {
                Driver::new(options.clone(), shard, of(shard), rng.split())
            })
        }
    };
    let stack = builder.start()?;
    let (began, used) = (RealClock::new(), cpu());
    let mut live = Live::default();
    let poster = stack.poster(tu);
    drop(third.set(poster.clone()));
    let stop = || (0..poster.shards()).for_each(|shard| drop(poster.post(shard, Box::new(Stop))));
    let end = wait(what, &stats, stop, &began, (length, hold), &mut live, ends).await;
    live::clear();
    tell_notes(&stats);
    let took = began.now().since(Time::ZERO);
    let summary = measured(what, &stack, &stats);
    let summary = Summary { took, generated: took.min(length), cpu: summary.cpu.saturating_sub(used), ..summary };
    live.finish(took, &summary);
    Ok(Run { summary, live, peer, silent: end == End::Silent, interrupted: end == End::Interrupted })
}

/// Writes the report, where one is wanted.
fn report(run: &Run, load: &LoadArgs, missed: &[String]) -> Result<(), RunError> {
    let Some(file) = &load.html else { return Ok(()) };
    let target = load.target.as_ref().map(ToString::to_string).unwrap_or_default();
    let title = format!("{} to {target}", run.summary.what);
    let stated = load.criteria() != Criteria::default() || !missed.is_empty();
    let html = report::html(&title, &run.summary, run.live.points(), stated.then_some(missed));
    std::fs::write(file, html).map_err(|source| RunError::Report { file: file.clone(), source })
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// All was done, or had its time.
    Done,
    /// Nothing was ever heard of the target.
    Silent,
    /// A signal came.
    Interrupted,
}

/// Waits for the end: all is done, or everything was told to end and had its time. What `stop` posts may be refused where
/// much is under way, so it is posted at each look, and finds nothing to do if it was there before.
async fn wait(
    what: &'static str,
    stats: &[Arc<Stats>],
    stop: impl Fn(),
    clock: &impl Clock,
    (generated, hold): (Duration, Duration),
    live: &mut Live,
    ends: &mut Ends,
) -> End {
    let mut stopped: Option<Time> = None;
    let mut end = End::Done;
    let heard = || stats.iter().any(|stats| stats.heard.get() > 0);
    let failed = || stats.iter().any(|stats| stats.failed.get() > 0);
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = ends.next() => {
                if stopped.is_some() {
                    return End::Interrupted;
                }
                stop();
                (stopped, end) = (Some(clock.now()), End::Interrupted);
            }
        }
        let now = clock.now();
        let ran = now.since(Time::ZERO);
        tell_notes(stats);
        if live.is_due(ran) {
            live::show(&live.look(ran, &Summary::of(what, stats)));
        }
        if stats.iter().all(|stats| stats.done.load(Ordering::Acquire)) {
            // All were refused, or timed out.
            return if !heard() && failed() && stopped.is_none() { End::Silent } else { end };
        }
        match stopped {
            Some(since) if now.since(since) > STOP_LIMIT => return end,
            Some(_) => stop(),
            None if ran > SILENCE && !heard() && !failed() => return End::Silent,
            None if ran > generated + hold + ANSWER_LIMIT => {
                stop();
                stopped = Some(now);
            }
            None => {}
        }
    }
}

/// CPU time of this process so far.
fn cpu() -> Duration {
    getrusage(UsageWho::RUSAGE_SELF).map_or(Duration::ZERO, |used| {
        let of = |seconds, micros| {
            Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
                + Duration::from_micros(u64::try_from(micros).unwrap_or(0))
        };
        let (user, system) = (used.user_time(), used.system_time());
        of(user.tv_sec(), user.tv_usec()) + of(system.tv_sec(), system.tv_usec())
    })
}

/// What was counted.
fn measured(what: &'static str, stack: &Stack, stats: &[Arc<Stats>]) -> Summary {
    let transactions = stack.transaction_stats();
    let sum = |of: fn(&Stats) -> u64| stats.iter().map(|stats| of(stats)).sum::<u64>();
    Summary {
        retransmitted: transactions.retransmitted + sum(|stats| stats.repeated.get()),
        absorbed: transactions.absorbed + transactions.absorbed_responses + sum(|stats| stats.came_again.get()),
        timeouts: transactions.timeouts,
        cpu: cpu(),
        ..Summary::of(what, stats)
    }
}

/// Tells what the run was like; programs are told what was missed as well.
fn tell(run: &Summary, missed: &[String], json: bool) -> Result<(), RunError> {
    let text = if json { format!("{:#}\n", run.to_json(missed)) } else { format!("{run}\n") };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(RunError::Output)
}

/// One line for each transport, for whoever waits for the start or wants to know the port.
fn announce(stack: &Stack) -> Result<(), io::Error> {
    let mut out = io::stdout().lock();
    for transport in stack.transports().iter().filter(|transport| transport.shard == 0) {
        writeln!(out, "listening on {} {}", transport.kind.as_param(), transport.bound)?;
    }
    out.flush()
}

/// The signals that ask for the end.
struct Ends {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
}

impl Ends {
    fn watch() -> Result<Self, RunError> {
        let watch = |kind| signal(kind).map_err(RunError::Signals);
        Ok(Ends { term: watch(SignalKind::terminate())?, int: watch(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rutil::VirtualClock;
    use std::cell::Cell;

    #[test]
    fn what_was_refused_is_posted_again() {
        let (shard, posted) = (Arc::<Stats>::default(), Cell::new(0));
        shard.heard.inc();
        let stats = [shard.clone()];
        // The first finds no room.
        let stop = || {
            posted.set(posted.get() + 1);
            shard.done.store(posted.get() > 1, Ordering::Release);
        };
        let clock = VirtualClock::new();
        clock.advance(ANSWER_LIMIT * 2);
        let end = actix::System::new().block_on(async {
            let mut ends = Ends::watch().expect("signals can be watched");
            let (times, mut live) = ((Duration::ZERO, Duration::ZERO), Live::default());
            let wait = wait("INVITE", &stats, stop, &clock, times, &mut live, &mut ends);
            tokio::time::timeout(STOP_LIMIT, wait).await
        });
        assert_eq!((end.ok(), posted.get()), (Some(End::Done), 2));
    }
}
