//! The load generator: calls at a rate or so many at once, and somebody who answers them.
//!
//! The main thread is the control plane: it starts the stack, waits for the end or a signal, and tells what the run was
//! like. SIP runs on the stack's threads, where each shard has a caller (`caller.rs`) or a callee (`callee.rs`), which
//! are transaction users of their own: no dialog manager is between them and the transactions. Exit codes: 0 the criteria
//! held, 1 they did not, 2 it could not run, 70 a thread of the stack died.

mod args;
mod callee;
mod caller;
mod criteria;
mod dialog;
mod hop;
mod schedule;
mod session;
mod stats;
mod summary;
mod template;

pub use args::Args;

use args::{CallArgs, LoadArgs, Role, UasArgs};
use callee::Callee;
use caller::{Caller, CallerOptions, Stop};
use hop::HopError;
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use repro::config::Listen;
use rutil::rng::EntropyError;
use rutil::{Clock as _, Placement, RealClock, Rng, Time};
use schedule::{Shape, Stretch};
use stack::transport::TransportType;
use stack::tu::{TuOptions, TuPoster};
use stack::{Stack, StackBuilder, StackError, TransportSpec};
use stats::Stats;
use std::fmt;
use std::io::{self, Write as _};
use std::num::{NonZeroU8, NonZeroU16};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use summary::Summary;
use tokio::signal::unix::{SignalKind, signal};

/// Exit code when the criteria did not hold.
const MISSED: u8 = 1;
/// Exit code when it could not run; clap's for a wrong command line.
const CANNOT: u8 = 2;
/// Exit code when a thread of the stack has died.
const DIED: i32 = 70;

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
    Entropy(#[from] EntropyError),
    #[error(transparent)]
    Stack(#[from] StackError),
    #[error("cannot watch for signals: {0}")]
    Signals(io::Error),
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
}

/// Runs it to its end.
pub fn main(args: Args) -> ExitCode {
    let done = actix::System::new().block_on(async {
        match args.role {
            Role::Uas(args) => uas(args).await,
            Role::Call(args) => call(*args).await,
        }
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(MISSED),
        Err(error) => {
            say(format_args!("{error}"));
            ExitCode::from(CANNOT)
        }
    }
}

/// A line for whoever started the program. If standard error cannot be written to, the exit code says enough.
fn say(what: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "sipload: {what}");
}

/// A builder with what both roles have in common.
fn builder(shards: NonZeroU8, listen: &[Listen]) -> StackBuilder {
    let placement = match NonZeroU16::from(shards) {
        NonZeroU16::MIN => Placement::Inline,
        more => Placement::Sharded(more),
    };
    let mut builder = Stack::builder().placement(placement).on_panic(|thread| {
        say(format_args!("thread {thread} has died, its calls are lost: exiting"));
        std::process::exit(DIED);
    });
    for listen in listen {
        let make = match listen.kind {
            TransportType::Udp => TransportSpec::udp,
            TransportType::Tcp => TransportSpec::tcp,
            TransportType::Tls => TransportSpec::tls,
            TransportType::Ws => TransportSpec::ws,
            TransportType::Wss => TransportSpec::wss,
        };
        builder.add_transport(make(listen.address));
    }
    // A connection is an open file; where the limit cannot be raised, it stays.
    let _ = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    builder
}

/// Answers until a signal comes.
async fn uas(args: UasArgs) -> Result<bool, RunError> {
    let mut ends = Ends::watch()?;
    let mut rng = Rng::from_os()?;
    let stats: Vec<Arc<Stats>> = (0..args.shards.get()).map(|_| Arc::default()).collect();
    let mut builder = builder(args.shards, &args.listen);
    let of = stats.clone();
    builder.register_tu(TuOptions { refuse_merged: true, ..TuOptions::default() }, move |shard| {
        Callee::new(of.get(usize::from(shard)).cloned().unwrap_or_default(), &mut rng)
    });
    let stack = builder.start()?;
    let began = RealClock::new();
    announce(&stack).map_err(RunError::Output)?;
    ends.next().await;
    let took = began.now().since(Time::ZERO);
    let run = Summary { took, generated: took, ..measured("uas", &stack, &stats) };
    tell(&run, &[], args.json)?;
    Ok(true)
}

/// Makes calls.
async fn call(args: CallArgs) -> Result<bool, RunError> {
    let CallArgs { hold, load } = args;
    let mut ends = Ends::watch()?;
    let hop = hop::next_hop(load.via.as_ref().unwrap_or(&load.target))?;
    let local = hop::local(hop.0, hop.1, load.listen)?;
    let shape = shape(&load);
    let (target, limit) = (load.target.to_string(), load.limit.get());
    let shards = load.shards.get();
    let options = Arc::new(CallerOptions { shape, hold, target, hop, limit, shards: shards.into() });
    let mut rng = Rng::from_os()?;
    let stats: Vec<Arc<Stats>> = (0..shards).map(|_| Arc::default()).collect();
    let mut builder = builder(load.shards, &[local]);
    let of = stats.clone();
    let tu = builder.register_tu(TuOptions::default(), move |shard| {
        let stats = of.get(usize::from(shard)).cloned().unwrap_or_default();
        Caller::new(options.clone(), shard, stats, &mut rng)
    });
    let stack = builder.start()?;
    let began = RealClock::new();
    let silent = wait(&stats, stack.poster(tu), &began, load.duration, hold, &mut ends).await;
    let took = began.now().since(Time::ZERO);
    let run = Summary { took, generated: took.min(load.duration), ..measured("call", &stack, &stats) };
    let mut missed: Vec<String> = load.criteria().missed(&run).iter().map(ToString::to_string).collect();
    if silent {
        missed = vec![format!("{} {} does not answer", hop.0.as_param(), hop.1)];
    }
    tell(&run, &missed, load.json)?;
    Ok(missed.is_empty())
}

/// The load as the arguments have it.
fn shape(load: &LoadArgs) -> Shape {
    match (load.rate, load.concurrent) {
        (_, Some(calls)) => Shape::Closed(calls.get(), load.duration),
        (rate, None) => Shape::Open(vec![Stretch::constant(rate.unwrap_or(1.0), load.duration)]),
    }
}

/// Waits for the end: all is done, or everything was told to end and had its time. True when nothing was ever heard of
/// the target.
async fn wait(
    stats: &[Arc<Stats>],
    poster: TuPoster,
    clock: &RealClock,
    generated: Duration,
    hold: Duration,
    ends: &mut Ends,
) -> bool {
    let mut stopped: Option<Time> = None;
    let stop = || (0..poster.shards()).for_each(|shard| drop(poster.post(shard, Box::new(Stop))));
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = ends.next() => {
                if stopped.is_some() {
                    return false;
                }
                stop();
                stopped = Some(clock.now());
            }
        }
        let now = clock.now();
        if stats.iter().all(|stats| stats.done.load(Ordering::Acquire)) {
            return stats.iter().all(|stats| stats.heard.get() == 0) && stopped.is_none() && failed_silently(stats);
        }
        let silent = stats.iter().all(|stats| stats.heard.get() == 0 && stats.failed.get() == 0);
        match stopped {
            Some(since) if now.since(since) > STOP_LIMIT => return false,
            Some(_) => {}
            None if silent && now.since(Time::ZERO) > SILENCE => return true,
            None if now.since(Time::ZERO) > generated + hold + ANSWER_LIMIT => {
                stop();
                stopped = Some(now);
            }
            None => {}
        }
    }
}

/// Whether calls failed and no response came for any: refused, or timed out.
fn failed_silently(stats: &[Arc<Stats>]) -> bool {
    stats.iter().any(|stats| stats.failed.get() > 0)
}

/// What was counted.
fn measured(what: &'static str, stack: &Stack, stats: &[Arc<Stats>]) -> Summary {
    let transactions = stack.transaction_stats();
    let cpu = getrusage(UsageWho::RUSAGE_SELF).map_or(Duration::ZERO, |used| {
        [used.user_time(), used.system_time()]
            .into_iter()
            .map(|time| {
                Duration::new(
                    u64::try_from(time.tv_sec()).unwrap_or(0),
                    u32::try_from(time.tv_usec()).unwrap_or(0) * 1000,
                )
            })
            .sum()
    });
    Summary {
        retransmitted: transactions.retransmitted,
        absorbed: transactions.absorbed + transactions.absorbed_responses,
        timeouts: transactions.timeouts,
        cpu,
        ..Summary::of(what, stats)
    }
}

/// Tells what the run was like, and what was missed.
fn tell(run: &Summary, missed: &[String], json: bool) -> Result<(), RunError> {
    let mut out = io::stdout().lock();
    let written = if json { writeln!(out, "{:#}", run.to_json(missed)) } else { writeln!(out, "{run}") };
    written.and_then(|()| out.flush()).map_err(RunError::Output)?;
    missed.iter().for_each(|missed| say(format_args!("{missed}")));
    Ok(())
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
