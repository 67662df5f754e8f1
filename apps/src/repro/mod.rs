//! The proxy and registrar as a program.
//!
//! The main thread is the control plane, an actix system: it starts the stack, waits for signals and stops it, or reads
//! again what may change while it runs (SIGHUP): certificates, and the records of the configuration. SIP runs on the
//! stack's own threads, what waits for the disk on that of the store. With a subcommand (`provision`) there is no proxy.
//! Exit codes: 0 stopped when told to, or done; 1 could not start, or not done; 2 wrong arguments; 70 a thread of the
//! stack died.

mod ctl;
mod levers;
mod provision;
mod service_manager;
mod tables;

use crate::admin::{self, AdminError};
use crate::http_client::{self, HttpError};
use crate::redis::{self, AccountingStream, RedisSetupError};
use crate::terminal::{self, say};
use clap::Parser;
use levers::Levers;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use provision::{PASSWORD, Task, TaskError, perform};
use repro::accounting::{self, Sink};
use repro::admin::api::Control as _;
use repro::admin::traces::Traces;
use repro::admin::{Operation, Parts};
use repro::cluster::Cluster;
use repro::cluster::sharer::Sharer;
use repro::config::{self, Config, ConfigError, FileName, Listen};
use repro::location::Notation;
use repro::processors::http::HttpProcessor;
use repro::processors::{ChainError, Processors};
use repro::proxy::Withdraw;
use repro::store::{Running, Service, Source, Store, StoreError};
use repro::{Proxy, Server};
use rutil::log::LogError;
use rutil::rng::EntropyError;
use rutil::{Clock as _, Placement, RealClock, Rng};
use stack::hep::HepOptions;
use stack::transport::tls::TlsContext;
use stack::transport::{Interfaces, TcpOptions, TransportType};
use stack::{Stack, StackBuilder, StackError, StackOptions, TransportSpec};
use std::convert::Infallible;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How it is called in what it says.
const PROGRAM: &str = "repro";

/// SIP's port.
const PORT: u16 = 5060;
/// How often to look whether the virtual address is here.
const LOOK: Duration = Duration::from_millis(200);
/// How long before the end of its patience it cancels what rings: the other side may have to be told twice.
const WITHDRAWAL: Duration = Duration::from_secs(2);
/// Open files that are not for SIP's connections nor for those to the HTTP service, or a quarter of all there may be.
const SPARE_FILES: u64 = 256;
/// How long an end may wait until the other nodes have been told of it.
const FAREWELL: Duration = Duration::from_millis(500);

/// A SIP proxy and registrar.
///
/// Without --listen and without a configuration it listens for UDP and TCP on port 5060 of the loopback addresses.
#[derive(Debug, Parser)]
#[command(name = "repro", version)]
pub struct Args {
    /// Configuration file (TOML).
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    #[command(flatten)]
    above: Above,
    #[command(subcommand)]
    task: Option<Task>,
}

/// What counts above the configuration.
#[derive(Clone, Debug, clap::Args)]
struct Above {
    /// Listen here, instead of where the configuration says: udp:127.0.0.1:5060. May be repeated.
    #[arg(long, value_name = "TRANSPORT:ADDRESS:PORT")]
    listen: Vec<Listen>,
    /// Where the actors run: inline, sharded:N or staged.
    #[arg(long)]
    placement: Option<Placement>,
    /// What to log on standard error: info, or warn,stack=debug.
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
}

/// Why the proxy did not start.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Chains(#[from] ChainError),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Redis(#[from] RedisSetupError),
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    #[error(transparent)]
    Stack(#[from] StackError),
    #[error("cannot watch for signals: {0}")]
    Signals(io::Error),
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    #[error("{place}: {source}")]
    Accounting { place: String, source: io::Error },
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
}

/// Runs it to its end. `more` adds what a program of one's own has besides: transaction users, before the proxy's own, to
/// the stack, and processors to those that `[chains]` may name. `apps/examples/own_processor.rs` is such a program.
pub fn main(mut args: Args, more: impl FnOnce(&mut StackBuilder, &mut Processors)) -> ExitCode {
    let done = match args.task.take() {
        Some(Task::Ctl(asked)) => return ctl::main(asked, &args),
        Some(task) => {
            let config = configure(&args).map_err(|error| TaskError::Start(error.into()));
            config.and_then(|config| perform(task, config))
        }
        None => actix::System::new().block_on(run(args, more)).map_err(TaskError::Start),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(PROGRAM, format_args!("{error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args, more: impl FnOnce(&mut StackBuilder, &mut Processors)) -> Result<(), StartError> {
    let mut config = configure(&args)?;
    rutil::log::init(config.log.format, &config.log.filter)?;
    let files = raise_open_files();
    // Before the stack starts: a signal that comes meanwhile must not be lost.
    let mut signals = Signals::watch().map_err(StartError::Signals)?;
    let (drain, refuses) = (config.drain(), config.serves_nobody());
    let interval = config.statistics_interval();
    let tls = config.tls()?;
    let operation = Arc::<Operation>::default();
    let guard = Arc::new(admin::Guard::new(config.admin_token()?));
    let levers = Arc::new(Levers::new(
        tls.clone(),
        &mut config,
        (args.config.clone(), args.above),
        operation.clone(),
        guard.clone(),
    ));
    // It answers from now on: that the proxy is not ready.
    if let Some(address) = admin::start(&config, operation.clone(), levers.clone(), guard)? {
        writeln!(io::stdout(), "listening on http {address}").map_err(StartError::Output)?;
    }
    // The domains of what stands in the file may stand in the store: `repro check` looks there too.
    if config.store.is_none() && config.database.is_none() {
        config.unheeded(&config.records).iter().for_each(|what| tracing::warn!("{what}"));
    }
    let clock = RealClock::new();
    let (own, mut rng) = (clock.clone(), Rng::from_os()?);
    // Reading what is provisioned may take a while.
    let kept = tokio::task::spawn_blocking(move || keep(&mut config, own, &mut rng).map(|service| (config, service)));
    let (config, service) = kept.await.map_err(|error| StartError::Thread(error.into()))??;
    let (parts, writers) = start(config, service, clock, tls, files, more)?;
    let (stack, server) = (parts.stack.clone(), parts.server.clone());
    levers.started(writers.store.journal(), parts.server.clone());
    operation.started(parts);
    announce(&stack).map_err(StartError::Output)?;
    service_manager::started(&operation);
    if refuses {
        tracing::warn!(
            "listening beyond the loopback: nobody may register or relay until there are [[acl]], or domains and trusted_peers, or \
             auth.required and [[user]]"
        );
    }
    let name = tokio::select! {
        name = signals.end(|| reload(&levers)) => name,
        () = levers.end() => "drain",
        never = tell_statistics(&stack, interval) => match never {},
        never = stand_by(&stack, &server) => match never {},
    };
    tracing::info!(signal = name, "stopping");
    operation.drain();
    if let Some(cluster) = server.cluster() {
        cluster.drain();
    }
    service_manager::stopping();
    let pending = server.clone();
    let all_told = move || {
        let left = server.cluster().filter(|cluster| cluster.is_connected()).map(|cluster| cluster.leave());
        left.is_none_or(|left| left.recv_timeout(FAREWELL).is_ok())
    };
    stop((stack, pending), (writers, all_told), drain, signals).await;
    Ok(())
}

/// Takes as many open files as this process may have, and says how many: a connection is one, and the usual limit is 1024.
fn raise_open_files() -> u64 {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        tracing::debug!(before = soft, now = hard, "open files");
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map(|()| hard)
    });
    raised.unwrap_or_else(|error| {
        tracing::warn!(%error, "the limit of open files stays as it is");
        getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft)
    })
}

/// Most connections of one transport of a shard: those that are configured, or what the open files of this process allow,
/// with some left for the store, the log and whoever operates it. Above that the transport closes who is idle longest;
/// without descriptors it could take nobody.
fn connections(config: &Config, files: u64) -> usize {
    let listeners = config.listen.iter().filter(|listen| listen.kind != TransportType::Udp).count();
    let tables = listeners.saturating_mul(config.placement.shards().into());
    let questions = config.http.as_ref().map_or(0, |http| http.in_flight.get().into());
    let (spare, wanted) = ((files / 4).min(SPARE_FILES + questions), config.limits.connections);
    let files_for_them = usize::try_from(files - spare).unwrap_or(usize::MAX);
    let allowed = files_for_them.checked_div(tables).unwrap_or(wanted).max(1);
    if allowed < wanted {
        tracing::warn!(
            "limits.connections = {wanted} for each listener of each shard is more than {files} open files allow: it is {allowed}; raise \
             their limit (LimitNOFILE, ulimit -n)"
        );
    }
    allowed.min(wanted)
}

/// As much of a part as there is of the whole: never nothing, and never more than the part.
fn share_of(part: usize, have: usize, whole: usize) -> usize {
    let share = (part as u128 * have as u128).checked_div(whole as u128);
    share.and_then(|share| usize::try_from(share).ok()).unwrap_or(part).clamp(1, part.max(1))
}

/// The configuration of the file, overridden by the arguments.
fn configure(args: &Args) -> Result<Config, ConfigError> {
    let config = args.above.over(Config::read(args.config.as_deref(), environment())?);
    config.listens_once()?;
    Ok(config)
}

impl Above {
    fn over(&self, mut config: Config) -> Config {
        if !self.listen.is_empty() {
            config.listen.clone_from(&self.listen);
        }
        if config.listen.is_empty() {
            config.listen = loopback();
        }
        if let Some(placement) = self.placement {
            config.placement = placement;
        }
        if let Some(filter) = &self.log {
            config.log.filter.clone_from(filter);
        }
        config
    }
}

/// The variables of the environment that are texts.
fn environment() -> impl Iterator<Item = (String, String)> {
    let texts =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    texts.filter(|(name, _)| name != PASSWORD)
}

/// UDP and TCP on the loopback addresses that this machine has.
fn loopback() -> Vec<Listen> {
    let has_v6 = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
    let v6 = has_v6.then(|| SocketAddr::from((Ipv6Addr::LOCALHOST, PORT)));
    let kinds = [TransportType::Udp, TransportType::Tcp];
    std::iter::once(v4).chain(v6).flat_map(|address| kinds.map(|kind| Listen { kind, address })).collect()
}

/// The threads that write to the disk.
struct Writers {
    store: Running,
    accounting: Option<accounting::Running>,
}

impl Writers {
    /// Has everything written, and waits for the end.
    fn stop(self) {
        self.store.stop();
        self.accounting.into_iter().for_each(accounting::Running::stop);
    }
}

/// Opens where calls and registrations are told, if they are.
fn account(config: &Config, rng: &mut Rng) -> Result<Option<accounting::Service>, StartError> {
    let Some(settings) = &config.accounting else { return Ok(None) };
    let stream = settings.redis.as_ref().map(AccountingStream::new).transpose()?;
    let opened = accounting::Service::new(settings, stream.map(|stream| -> Box<dyn Sink> { Box::new(stream) }), rng);
    let place = settings.file.as_ref().map_or("accounting", FileName::place).to_owned();
    opened.map(Some).map_err(|source| StartError::Accounting { place, source })
}

fn start(
    config: Config,
    mut service: Service,
    clock: RealClock,
    tls: Option<TlsContext>,
    files: u64,
    more: impl FnOnce(&mut StackBuilder, &mut Processors),
) -> Result<(Parts, Writers), StartError> {
    let (mut rng, epoch) = (Rng::from_os()?, clock.epoch());
    let accounting = account(&config, &mut rng)?;
    let hep =
        config.hep.clone().map(|hep| HepOptions { collector: hep.collector, agent: hep.agent, auth_key: hep.auth_key });
    let options = StackOptions {
        hep,
        name_servers: config.name_servers.iter().map(|server| server.0).collect(),
        enum_suffix: config.enum_suffix.as_ref().map(|suffix| suffix.0.to_string()),
        flow_key: config.flow_key()?,
        ..config.stack_options(service.listed())
    };
    let (max_connections, limits) = (connections(&config, files), &config.limits);
    let streams = TcpOptions {
        max_connections,
        // One source has no larger share of fewer.
        max_per_source: share_of(limits.connections_per_source, max_connections, limits.connections),
        ..TcpOptions::default()
    };
    let mut builder = Stack::builder()
        .placement(config.placement)
        .pin_runners(config.pin_runners)
        .options(options)
        .tcp_options(streams)
        .ws_options(config.ws_options())
        .on_panic(died);
    if let Some(tls) = tls {
        builder = builder.tls(tls);
    }
    for listen in &config.listen {
        let mut spec = TransportSpec::new(listen.kind, listen.address).dscp(config.dscp);
        if config.cluster.as_ref().is_some_and(|cluster| cluster.virtual_address == Some(listen.address.ip())) {
            spec = spec.free_bind();
        }
        if let Some(name) = &config.record_route_name {
            spec = spec.record_as(name.0.clone());
        }
        builder.add_transport(spec);
    }
    let mut processors = processors(&config)?;
    more(&mut builder, &mut processors);
    let chains = processors.chains(&config.chains)?;
    builder = builder.clock(clock.clone());
    let traces = Arc::<Traces>::default();
    if config.admin.is_some() {
        let told = traces.clone();
        builder = builder.on_message_of(traces.calls(), move |message| told.take(message));
    }
    let server = Arc::new(Server::new(config, chains, &mut rng).with_provisioning(service.provisioning()));
    let shared =
        server.config().cluster.as_ref().map(|settings| share(settings, &server, &clock, &mut rng)).transpose()?;
    if service.keeps_bindings() {
        server.set_journal(service.journal());
        // Where nodes share them they are not in the database.
        let restored = if shared.is_none() { service.restore(&server)? } else { 0 };
        let messages = service.restore_messages(&server)?;
        tracing::info!(restored, messages, "addresses-of-record have their bindings again, and the silo its messages");
    }
    accounting.iter().for_each(|service| server.set_accounting(service.accounting()));
    let of_shards = server.clone();
    let proxy = builder.register_tu(Proxy::options(), move |shard| Proxy::new(of_shards.clone(), shard, &mut rng));
    let stack = Arc::new(builder.start()?);
    stack.set_passive(server.is_passive());
    if let Some(shared) = shared {
        shared.begin(&server, stack.poster(proxy), stack.transports())?;
    }
    server.set_poster(stack.poster(proxy));
    server.set_epoch(epoch);
    let store = service.start(&server, stack.poster(proxy), died).map_err(StartError::Thread)?;
    let accounting = accounting.map(|service| service.start(clock.clone(), || died("accounting")));
    let accounting = accounting.transpose().map_err(StartError::Thread)?;
    let journal = store.journal();
    let server = Arc::new(server.without_provisioning());
    Ok((Parts { stack, server, journal, traces, clock }, Writers { store, accounting }))
}

/// Makes this a node of those that share their bindings, and waits for what the others have.
fn share(
    settings: &config::Cluster,
    server: &Server,
    clock: &RealClock,
    rng: &mut Rng,
) -> Result<redis::Running, StartError> {
    let (cluster, jobs) = Cluster::new(&settings.node.0, rng.next_u64());
    let (cluster, config) = (Arc::new(cluster), server.config());
    if let Some(address) = settings.virtual_address {
        if !config.listen.iter().any(|listen| listen.address.ip() == address) {
            return Err(RedisSetupError::NoTransport(address).into());
        }
        let interfaces = Interfaces::read().map_err(RedisSetupError::Interfaces)?;
        cluster.set_passive(!interfaces.contains(address));
        tracing::info!(%address, passive = cluster.is_passive(), "a process of two for one address");
    }
    server.set_cluster(cluster.clone(), &settings.shared_secret()?);
    let notation = notation(config, clock);
    let sharer = Sharer::new((cluster.clone(), jobs), server.without_provisioning(), notation, &settings.name.0, rng);
    let running = redis::start(settings, &cluster, sharer, clock.clone(), || died("cluster"))?;
    running.wait();
    Ok(running)
}

fn notation(config: &Config, clock: &RealClock) -> Notation {
    let (listen, shards) = (config.listen.clone(), config.placement.shards());
    Notation { epoch: clock.epoch(), listen, shards }
}

/// The processors that chains may name.
fn processors(config: &Config) -> Result<Processors, StartError> {
    let mut processors = Processors::standard();
    if let Some(http) = &config.http {
        let service = http_client::start(http, config)?;
        processors.add_before("static-route", HttpProcessor::new(http, service));
    }
    Ok(processors)
}

/// A thread has panicked.
fn died(thread: &str) {
    terminal::died(PROGRAM, thread);
}

/// Opens the store, if there is one, and puts together what is provisioned.
fn keep(config: &mut Config, clock: RealClock, rng: &mut Rng) -> Result<Service, StartError> {
    let open = |settings: &config::Store| Store::open(&settings.path, settings.synchronous_full);
    let mut store = config.store.as_ref().map(open).transpose()?;
    store.as_mut().map_or(Ok(()), Store::claim)?;
    let notation = notation(config, &clock);
    let source = Source::open(config, clock.clone())?;
    if let (Some(store), Some(Source::Postgres(_))) = (&store, &source) {
        let records = store.records().map_or(0, |records| records.len());
        if records > 0 {
            let file = store.path().display();
            tracing::warn!("{file}: the {records} records in it do not count: those of [database] do");
        }
    }
    Ok(Service::new(store, source, std::mem::take(&mut config.records), notation, clock, rng)?)
}

/// One line for each transport, for whoever waits for the start or wants to know the port.
fn announce(stack: &Stack) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for transport in stack.transports().iter().filter(|transport| transport.shard == 0) {
        writeln!(out, "listening on {} {}", transport.kind.as_param(), transport.bound)?;
    }
    out.flush()
}

/// Logs the statistics again and again.
async fn tell_statistics(stack: &Stack, interval: Option<Duration>) -> Infallible {
    loop {
        match interval {
            Some(interval) => tokio::time::sleep(interval).await,
            None => std::future::pending().await,
        }
        if tracing::enabled!(tracing::Level::INFO) {
            stack.statistics().lines().iter().for_each(|line| tracing::info!("{line}"));
        }
    }
}

/// With a virtual address: follows it. The machine that has it serves, and the other one stands by.
async fn stand_by(stack: &Stack, server: &Server) -> Infallible {
    let settings = server.config().cluster.as_ref();
    let (Some(address), Some(cluster)) = (settings.and_then(|one| one.virtual_address), server.cluster()) else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(LOOK).await;
        // What cannot be read stays as it is.
        let Ok(Ok(interfaces)) = tokio::task::spawn_blocking(Interfaces::read).await else { continue };
        let passive = !interfaces.contains(address);
        if passive != cluster.is_passive() {
            match passive {
                true => tracing::warn!(%address, "the address is gone: this process stands by"),
                false => tracing::warn!(%address, "the address is here: this process takes over"),
            }
            cluster.set_passive(passive);
            stack.set_passive(passive);
        }
    }
}

/// Takes no new requests and waits for pending transactions, no longer than `limit`. A second signal cuts it short.
async fn stop(
    (stack, server): (Arc<Stack>, Arc<Server>),
    (writers, all_told): (Writers, impl FnOnce() -> bool + Send + 'static),
    limit: Duration,
    mut signals: Signals,
) {
    let drained = tokio::task::spawn_blocking(move || {
        let drained = stack.shutdown(limit);
        writers.stop();
        // Now, and not before: with it goes what was written for billing, which nobody is to tell again.
        if !all_told() {
            tracing::warn!("the other nodes take this one for living until it was silent for a while");
        }
        drained
    });
    let shards = server.config().placement.shards();
    let withdraw = async {
        tokio::time::sleep(limit.saturating_sub(WITHDRAWAL.min(limit / 2))).await;
        for shard in 0..shards {
            let _ = server.poster().map(|poster| poster.post(shard.into(), Box::new(Withdraw)));
        }
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        never = withdraw => match never {},
        drained = drained => match drained {
            Ok(true) => tracing::info!("all transactions have ended"),
            _ => tracing::warn!("stopped with transactions pending"),
        },
        name = signals.end(|| {}) => {
            tracing::warn!(signal = name, "stopping at once");
            std::process::exit(0);
        }
    }
}

/// Reads again what may change, on a thread that may wait; the log says what came of it.
fn reload(levers: &Arc<Levers>) {
    let levers = levers.clone();
    tokio::task::spawn_blocking(move || {
        rutil::give_way();
        drop(levers.reload());
    });
}

/// The signals that ask for something.
struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
    /// Some programs' scripts send these, which end a process that does not say what they mean.
    user: [Signal; 2],
}

impl Signals {
    fn watch() -> io::Result<Self> {
        Ok(Signals {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
            user: [signal(SignalKind::user_defined1())?, signal(SignalKind::user_defined2())?],
        })
    }

    /// Waits for one that asks for an end, and does `again` for each SIGHUP meanwhile.
    async fn end(&mut self, again: impl Fn()) -> &'static str {
        let [one, other] = &mut self.user;
        loop {
            tokio::select! {
                _ = one.recv() => tracing::warn!("SIGUSR1 means nothing here: SIGHUP has the files read again"),
                _ = other.recv() => tracing::warn!("SIGUSR2 means nothing here: SIGHUP has the files read again"),
                _ = self.term.recv() => return "SIGTERM",
                _ = self.int.recv() => return "SIGINT",
                _ = self.hup.recv() => again(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_connections_than_open_files() {
        let of = |text: &str, files| connections(&Config::parse(text, "repro.toml").unwrap(), files);
        let two = "listen = [\"udp:127.0.0.1:5060\", \"tcp:127.0.0.1:5060\", \"ws:127.0.0.1:5080\"]\n";
        assert_eq!((of(two, u64::MAX), of(two, 1 << 20), of(two, 4096)), (10_000, 10_000, 1920));
        assert_eq!(of(&format!("placement = \"sharded:2\"\n{two}"), 4096), 960);
        assert_eq!((of(two, 100), of(two, 0)), (37, 1));
        // Nobody who connects.
        assert_eq!(of("listen = [\"udp:127.0.0.1:5060\"]", 4096), 10_000);
        let http = "[http]\nurl = \"http://127.0.0.1/\"\nin_flight = 500\n";
        assert_eq!(of(&format!("{two}{http}"), 4096), (4096 - 256 - 500) / 2);
    }

    #[test]
    fn one_source_has_its_share_of_them() {
        assert_eq!((share_of(2_000, 10_000, 10_000), share_of(2_000, 75, 10_000)), (2_000, 15));
        assert_eq!((share_of(20_000, 75, 10_000), share_of(3, 75, 10_000)), (150, 1));
        assert_eq!((share_of(0, 1, 0), share_of(5, 7, 0)), (1, 5));
    }
}
