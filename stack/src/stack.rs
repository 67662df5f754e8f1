//! The façade: builder, transports, transaction users, commands from outside, and a shutdown that drains.

use crate::hep::{HepPlan, HepStats};
use crate::message::Message;
use crate::options::StackOptions;
use crate::overload::{BanList, Bans};
use crate::scanner::{ScannerSnapshot, ScannerStats};
use crate::selector::resolver::ResolverHandle;
use crate::transaction::{ClientTransaction, Command, Input, ServerTransaction, TransactionSnapshot, TransactionStats};
use crate::transport::tls::TlsContext;
use crate::transport::{
    AddressWatch, BindError, Interfaces, ProvedPeers, TcpOptions, TransportId, TransportInfo, TransportStats,
    TransportTable, TransportType, UdpOptions, Wire, WsOptions, system_route, towards_world,
};
use crate::tu::{SendOptions, TransactionUser, TuOptions};
use crate::wiring::{self, Core, Net, OnPanic, Plan, TuFactory};
use parking_lot::Mutex;
use rutil::rng::EntropyError;
use rutil::{
    Actor, Bell, Class, Clock, Control, FifoSender, Meter, ParkSleeper, Placement, RealClock, Rng, Runner, Sleeper,
};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

/// A transport to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportSpec {
    kind: TransportType,
    bind: SocketAddr,
    advertise: Option<SocketAddr>,
    dscp: u8,
}

impl TransportSpec {
    /// UDP on an address; port 0 takes a free one.
    pub fn udp(bind: SocketAddr) -> Self {
        TransportSpec { kind: TransportType::Udp, bind, advertise: None, dscp: 0 }
    }

    /// TCP on an address: listens, and connects from it; port 0 takes a free one.
    pub fn tcp(bind: SocketAddr) -> Self {
        TransportSpec { kind: TransportType::Tcp, bind, advertise: None, dscp: 0 }
    }

    /// TLS over TCP on an address: listens, and connects from it; port 0 takes a free one. The stack must be given
    /// certificates ([`StackBuilder::tls`]).
    pub fn tls(bind: SocketAddr) -> Self {
        TransportSpec { kind: TransportType::Tls, bind, advertise: None, dscp: 0 }
    }

    /// WebSocket (RFC 7118) on an address: clients connect to it, and nothing is connected from it; port 0 takes a free
    /// one.
    pub fn ws(bind: SocketAddr) -> Self {
        TransportSpec { kind: TransportType::Ws, bind, advertise: None, dscp: 0 }
    }

    /// WebSocket over TLS, as [`TransportSpec::ws`]. The stack must be given certificates ([`StackBuilder::tls`]).
    pub fn wss(bind: SocketAddr) -> Self {
        TransportSpec { kind: TransportType::Wss, bind, advertise: None, dscp: 0 }
    }

    /// What Via and Record-Route say instead of the bound address.
    pub fn advertise(mut self, address: SocketAddr) -> Self {
        self.advertise = Some(address);
        self
    }

    /// Marks what it sends with a differentiated services code point (RFC 2474), 0 to 63: IPv4's type of service, IPv6's
    /// traffic class. 0, as without, leaves the system's. RFC 4594 gives signalling 40 (CS5).
    pub fn dscp(mut self, code_point: u8) -> Self {
        self.dscp = code_point;
        self
    }

    /// The address to bind.
    pub fn bind_address(&self) -> SocketAddr {
        self.bind
    }

    /// The type of the transport.
    pub fn kind(&self) -> TransportType {
        self.kind
    }
}

/// Why a stack did not start.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// A transport could not be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A secure transport without certificates.
    #[error("{} {addr} needs a certificate: give the stack one", .kind.as_param())]
    NoTls {
        /// The transport's type.
        kind: TransportType,
        /// The address asked for.
        addr: SocketAddr,
    },
    /// A differentiated services code point has six bits.
    #[error("DSCP {0} does not exist: use 0 to 63")]
    Dscp(u8),
    /// More transports or shards than can be named.
    #[error("too many transports or shards: at most 255 of each")]
    TooMany,
    /// No randomness, no threads or no descriptors.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
    /// The system gives no randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

/// Names a transaction user of a stack: what [`StackBuilder::register_tu`] gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TuId(u8);

/// Collects what a stack is made of.
pub struct StackBuilder {
    placement: Placement,
    options: StackOptions,
    transports: Vec<TransportSpec>,
    tcp: TcpOptions,
    ws: WsOptions,
    tls: Option<TlsContext>,
    users: Vec<(TuOptions, TuFactory)>,
    pin: bool,
    on_panic: Option<OnPanic>,
}

impl StackBuilder {
    /// Where the actors run.
    pub fn placement(mut self, placement: Placement) -> Self {
        self.placement = placement;
        self
    }

    /// Whether each runner stays on one processor. It saves a quarter of the CPU time where the runners often sleep, and
    /// makes a runner wait where another program keeps its processor busy. Off by default.
    pub fn pin_runners(mut self, pin: bool) -> Self {
        self.pin = pin;
        self
    }

    /// Timers, limits and the outbound proxy.
    pub fn options(mut self, options: StackOptions) -> Self {
        self.options = options;
        self
    }

    /// Bounds on TCP connections. Whether ports are shared is the placement's business, and the mark
    /// the transport's: `reuse_port` and `dscp` are overruled.
    pub fn tcp_options(mut self, options: TcpOptions) -> Self {
        self.tcp = options;
        self
    }

    /// Whom the WebSocket transports let in. Sizes are the stack's business: `message` and `partial_octets` are
    /// overruled by [`StackBuilder::options`].
    pub fn ws_options(mut self, options: WsOptions) -> Self {
        self.ws = options;
        self
    }

    /// The certificates of the TLS transports.
    pub fn tls(mut self, tls: TlsContext) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Adds a transport.
    pub fn add_transport(&mut self, spec: TransportSpec) -> &mut Self {
        self.transports.push(spec);
        self
    }

    /// Registers a transaction user; `make` is called once for each shard. A request goes to the first that was
    /// registered with a rule that it matches; one that no rule matches is answered 501.
    pub fn register_tu<T: TransactionUser + 'static>(
        &mut self,
        options: TuOptions,
        mut make: impl FnMut(u16) -> T + 'static,
    ) -> TuId {
        self.users.push((options, Box::new(move |shard| Box::new(make(shard)))));
        TuId((self.users.len() - 1).min(254) as u8)
    }

    /// What to do when a runner's thread panics, with its name; by default the process logs it and goes on with the
    /// other runners. A panicked runner's calls are lost: a supervisor should end the process.
    pub fn on_panic(mut self, what: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.on_panic = Some(Arc::new(what));
        self
    }

    /// Opens the transports and starts the runners.
    ///
    /// # Errors
    /// [`StackError`], with nothing left open.
    pub fn start(mut self) -> Result<Stack, StackError> {
        let shards = usize::from(self.placement.shards());
        if shards > 255 || self.transports.len() * shards > 255 || self.users.len() > 255 {
            return Err(StackError::TooMany);
        }
        if let Some(spec) = self.transports.iter().find(|spec| spec.dscp > 63) {
            return Err(StackError::Dscp(spec.dscp));
        }
        let commands = Arc::<OnceLock<Vec<FifoSender<Input>>>>::default();
        let staged = self.placement == Placement::Staged;
        let mut nets = Vec::new();
        for _ in 0..shards {
            nets.push(wiring::net(staged, commands.clone())?);
        }
        let proved = Arc::<ProvedPeers>::default();
        let (infos, wires) = self.bind(&mut nets, staged, &proved)?;
        let stats = infos.iter().filter_map(|t| Some((t.id, nets[usize::from(t.shard)].group.stats(t.id)?))).collect();
        let mut transports = TransportTable::new(infos).with_proved(proved);
        let watched = transports.needs_interfaces();
        if watched {
            transports.latest().publish(Interfaces::read()?);
            transports.refresh();
        }
        let clock = RealClock::new();
        let answers = Arc::<OnceLock<_>>::default();
        let resolver = wiring::resolver(answers.clone(), clock.clone());
        let hep_stats = Arc::<HepStats>::default();
        let mut hep = Vec::new();
        if let Some(options) = &self.options.hep {
            let epoch = rutil::time::epoch_of(&clock);
            for _ in 0..shards {
                hep.push(HepPlan::open(options.collector, epoch, hep_stats.clone())?);
            }
        }
        resolver.set_name_servers(self.options.name_servers.clone());
        let mut rng = Rng::from_os()?;
        let own_rng = Mutex::new(rng.split());
        let plan = Plan {
            options: &self.options,
            transports: transports.clone(),
            route: system_route,
            wires,
            users: &mut self.users,
            resolver: resolver.clone(),
            hep,
            rng: &mut rng,
        };
        let bells: Vec<Bell> = nets.iter().map(Net::core_bell).collect();
        let (rx, homes): (Vec<_>, Vec<_>) =
            nets.into_iter().zip(&bells).map(|(net, bell)| ((net.rx, bell.clone()), (net.group, net.park))).unzip();
        let mut all = wiring::cores(plan, rx);
        let actors: Vec<_> =
            all.iter_mut().map(|core| (std::mem::take(&mut core.actors), core.order.clone())).collect();
        // Set once, here: the poll groups and the resolver were made before the cores.
        let _ = commands.set(all.iter().map(|core| core.commands.clone()).collect());
        let _ = answers.set(all.iter().map(|core| core.answers.clone()).collect());
        let mut stack = Stack {
            transports,
            bans: all.first().map(|core| core.bans.clone()).unwrap_or_default(),
            cores: all,
            controls: Vec::new(),
            threads: Vec::new(),
            pin: self.pin.then(wiring::first_processor),
            resolver,
            clock,
            rng: own_rng,
            transport_stats: stats,
            hep: hep_stats,
        };
        let on_panic = self.on_panic.unwrap_or_else(|| Arc::new(|name| tracing::error!(runner = name, "panicked")));
        for (shard, ((mut group, park), actors)) in homes.into_iter().zip(actors).enumerate() {
            group.report_to(stack.cores[shard].intake.clone());
            match park {
                Some(park) => {
                    stack.run(format!("sip-net-{shard}"), group, (Vec::new(), Vec::new()), &on_panic)?;
                    stack.run(format!("sip-core-{shard}"), park, actors, &on_panic)?;
                }
                None => stack.run(format!("sip-{shard}"), group, actors, &on_panic)?,
            }
        }
        if watched {
            let watch = AddressWatch::new(stack.transports.latest().clone(), Interfaces::read);
            stack.pin = None;
            stack.run("sip-addresses".into(), ParkSleeper::new(), (vec![Box::new(watch)], vec![0]), &on_panic)?;
        }
        Ok(stack)
    }

    fn bind(
        &self,
        nets: &mut [Net],
        staged: bool,
        proved: &Arc<ProvedPeers>,
    ) -> Result<(Vec<TransportInfo>, Vec<FifoSender<Wire>>), StackError> {
        let (mut infos, mut wires) = (Vec::<TransportInfo>::new(), Vec::new());
        let across = nets.len() > 1;
        let streams = |spec: &TransportSpec| TcpOptions { reuse_port: across, dscp: spec.dscp, ..self.tcp.clone() };
        let (message, partial_octets) = (self.options.limits.message, self.options.partial_octets);
        let ws = WsOptions { message, partial_octets, ..self.ws.clone() };
        let certificates =
            |spec: &TransportSpec| self.tls.clone().ok_or(StackError::NoTls { kind: spec.kind, addr: spec.bind });
        for (shard, net) in nets.iter_mut().enumerate() {
            for (at, spec) in self.transports.iter().enumerate() {
                let id = TransportId(infos.len() as u16);
                let (sender, receiver) = wiring::wire(&net.group, !staged && !across);
                // The first shard's port is everybody's.
                let bind = if shard > 0 { infos[at].bound } else { spec.bind };
                let bound = match spec.kind {
                    TransportType::Udp => {
                        let options = UdpOptions { reuse_port: across, dscp: spec.dscp, ..UdpOptions::default() };
                        net.group.add_udp(id, bind, receiver, &options)?
                    }
                    TransportType::Tcp => net.group.add_tcp(id, bind, receiver, &streams(spec))?,
                    TransportType::Tls => {
                        let tls = (certificates(spec)?, proved.clone());
                        net.group.add_tls(id, bind, receiver, &streams(spec), tls)?
                    }
                    TransportType::Ws => net.group.add_ws(id, bind, receiver, (&streams(spec), &ws), None)?,
                    TransportType::Wss => {
                        net.group.add_ws(id, bind, receiver, (&streams(spec), &ws), Some(certificates(spec)?))?
                    }
                };
                let info = match spec.advertise {
                    Some(address) => {
                        TransportInfo::new(id, spec.kind, shard as u16, bound, address).always_advertised()
                    }
                    None => TransportInfo::new(id, spec.kind, shard as u16, bound, towards_world(bound)),
                };
                infos.push(info);
                wires.push(sender);
            }
        }
        Ok((infos, wires))
    }
}

/// A running stack. Dropping it stops it at once; [`Stack::shutdown`] drains first.
///
/// A user agent that answers OPTIONS:
/// ```
/// use stack::header::{Method, h};
/// use stack::tu::{TransactionUser, TuContext, TuEvent, TuOptions};
/// use stack::{Stack, TransportSpec};
/// use std::net::UdpSocket;
/// use std::time::Duration;
///
/// /// Answers OPTIONS with 200 and what it can do, everything else with 405 (RFC 3261 §11.2).
/// struct Answerer;
///
/// impl TransactionUser for Answerer {
///     fn name(&self) -> &'static str {
///         "answerer"
///     }
///
///     fn process(&mut self, event: TuEvent, stack: &mut TuContext<'_>) {
///         // An ACK, or the news that a response did not arrive, needs no answer.
///         let TuEvent::Request { transaction, msg } = event else { return };
///         let code = if msg.method() == Some(Method::Options) { 200 } else { 405 };
///         let mut response = msg.make_response(code, None, Some(&stack.new_tag()));
///         response.push_back(h::ALLOWS, "OPTIONS");
///         response.push_back(h::ACCEPTS, "application/sdp");
///         stack.respond(transaction, response);
///     }
/// }
///
/// // One UDP transport on a free port, one transaction user that takes every request.
/// let mut builder = Stack::builder();
/// builder.add_transport(TransportSpec::udp("127.0.0.1:0".parse()?));
/// builder.register_tu(TuOptions::default(), |_shard| Answerer);
/// let stack = builder.start()?;
/// let server = stack.transports().iter().next().expect("one transport").bound;
///
/// // A client of a few lines asks it.
/// let client = UdpSocket::bind("127.0.0.1:0")?;
/// client.set_read_timeout(Some(Duration::from_secs(5)))?;
/// let request = format!(
///     "OPTIONS sip:{server} SIP/2.0\r\n\
///      Via: SIP/2.0/UDP {client};branch=z9hG4bK74bf9\r\n\
///      Max-Forwards: 70\r\n\
///      From: <sip:alice@example.com>;tag=9fxced76sl\r\n\
///      To: <sip:{server}>\r\n\
///      Call-ID: 3848276298220188511\r\n\
///      CSeq: 1 OPTIONS\r\n\
///      Content-Length: 0\r\n\r\n",
///     client = client.local_addr()?,
/// );
/// client.send_to(request.as_bytes(), server)?;
/// let mut buffer = [0; 2048];
/// let (len, _) = client.recv_from(&mut buffer)?;
/// let answer = std::str::from_utf8(&buffer[..len])?;
/// assert!(answer.starts_with("SIP/2.0 200 OK\r\n"), "{answer}");
/// assert!(answer.contains("Allow: OPTIONS\r\n"), "{answer}");
///
/// // Finish what is under way, for at most a second.
/// assert!(stack.shutdown(Duration::from_secs(1)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Stack {
    transports: TransportTable,
    cores: Vec<Core>,
    bans: Arc<Bans>,
    controls: Vec<(Arc<Control>, Bell)>,
    threads: Vec<JoinHandle<()>>,
    /// The processor of the first runner.
    pin: Option<usize>,
    resolver: ResolverHandle,
    clock: RealClock,
    rng: Mutex<Rng>,
    transport_stats: Vec<(TransportId, Arc<TransportStats>)>,
    hep: Arc<HepStats>,
}

/// The stack took no command: its `cmd` FIFO is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stack is congested")]
pub struct Congested;

impl Stack {
    /// An empty builder: one runner, no transports, no transaction users.
    pub fn builder() -> StackBuilder {
        StackBuilder {
            placement: Placement::Inline,
            options: StackOptions::default(),
            transports: Vec::new(),
            tcp: TcpOptions::default(),
            ws: WsOptions::default(),
            tls: None,
            users: Vec::new(),
            pin: false,
            on_panic: None,
        }
    }

    /// The transports with the addresses that they got; in each shard in the order of `add_transport`. It knows the
    /// machine's addresses as they were at the start; a [`crate::tu::TuContext`] has the present ones.
    pub fn transports(&self) -> &TransportTable {
        &self.transports
    }

    /// Sends a request for a transaction user, from any thread; what becomes of it is told to that transaction user.
    ///
    /// # Errors
    /// [`Congested`]: nothing was sent.
    pub fn send(
        &self,
        tu: TuId,
        msg: impl Into<Box<Message>>,
        options: SendOptions,
    ) -> Result<ClientTransaction, Congested> {
        let random = self.rng.lock().next_u64();
        let shard = (random >> 32) as usize % self.cores.len();
        let transaction = ClientTransaction::new(shard as u16, random);
        self.command(shard, Command::Send { transaction, tu: tu.0, msg: msg.into(), options: Box::new(options) })?;
        Ok(transaction)
    }

    /// Sends a request without a transaction, from any thread: the ACK for a 2xx.
    ///
    /// # Errors
    /// [`Congested`]: nothing was sent.
    pub fn send_stateless(&self, msg: impl Into<Box<Message>>, options: SendOptions) -> Result<(), Congested> {
        let random = self.rng.lock().next_u64();
        let shard = (random >> 32) as usize % self.cores.len();
        let transaction = ClientTransaction::new(shard as u16, random);
        let options = Box::new(options);
        self.command(shard, Command::SendStateless { transaction, msg: msg.into(), options })
    }

    /// Cancels an INVITE that was sent, from any thread: as [`crate::tu::TuContext::cancel`].
    ///
    /// # Errors
    /// [`Congested`]: nothing was cancelled.
    pub fn cancel(&self, transaction: ClientTransaction, reason: Option<&str>) -> Result<(), Congested> {
        let shard = usize::from(transaction.shard());
        self.command(shard, Command::Cancel { transaction, reason: reason.map(Into::into) })
    }

    /// Answers a request from any thread.
    ///
    /// # Errors
    /// [`Congested`]: the request was not answered.
    pub fn reply(&self, transaction: ServerTransaction, msg: impl Into<Box<Message>>) -> Result<(), Congested> {
        let shard = usize::from(transaction.shard());
        self.command(shard, Command::Respond { transaction, msg: msg.into() })
    }

    fn command(&self, shard: usize, command: Command) -> Result<(), Congested> {
        let core = self.cores.get(shard).ok_or(Congested)?;
        core.commands.push(Input::Command(command), Class::Essential, self.clock.now()).map_err(|_| Congested)
    }

    /// From now on asks these name servers; none: the system's, which are read again. What the servers before have said
    /// is forgotten, and what is being looked up is asked once more.
    pub fn set_name_servers(&self, servers: Vec<SocketAddr>) {
        self.resolver.set_name_servers(servers);
    }

    /// What the transactions of all shards have counted.
    pub fn transaction_stats(&self) -> TransactionSnapshot {
        let mut sum = TransactionSnapshot::default();
        for core in &self.cores {
            sum.add(&TransactionStats::snapshot(&core.transactions));
        }
        sum
    }

    /// What the scanner of each shard has counted.
    pub fn scanner_stats(&self) -> Vec<ScannerSnapshot> {
        self.cores.iter().map(|core| ScannerStats::snapshot(&core.scanner)).collect()
    }

    /// Who is banned, to be read and changed.
    pub fn bans(&self) -> BanList {
        BanList::new(self.bans.clone(), self.clock.clone())
    }

    /// The counters of each transport.
    pub fn transport_stats(&self) -> &[(TransportId, Arc<TransportStats>)] {
        &self.transport_stats
    }

    /// What became of the messages that were to be exported.
    pub fn hep_stats(&self) -> &HepStats {
        &self.hep
    }

    /// The meters of all FIFOs, shard by shard.
    pub fn meters(&self) -> impl Iterator<Item = &Arc<Meter>> {
        self.cores.iter().flat_map(|core| &core.meters)
    }

    /// Refuses what begins something new with 503, waits until every pending transaction has ended, at most `limit`,
    /// and stops. True when all had ended. Transactions that only absorb retransmissions are not waited for.
    pub fn shutdown(mut self, limit: Duration) -> bool {
        for core in &self.cores {
            core.draining.store(true, Ordering::Relaxed);
        }
        let until = self.clock.now() + limit;
        let drained = loop {
            for (control, bell) in &self.controls {
                control.drained.store(false, Ordering::Release);
                control.drain.store(true, Ordering::Relaxed);
                bell.ring();
            }
            // A runner that has nothing to do says so before it sleeps; a busy one is asked again.
            std::thread::park_timeout(Duration::from_millis(10));
            if self.controls.iter().all(|(control, _)| control.drained.load(Ordering::Acquire)) {
                break true;
            }
            if self.clock.now() >= until {
                break false;
            }
        };
        self.stop();
        drained
    }

    fn run<S: Sleeper + 'static>(
        &mut self,
        name: String,
        sleeper: S,
        (actors, order): (Vec<Box<dyn Actor>>, Vec<usize>),
        on_panic: &OnPanic,
    ) -> Result<(), StackError> {
        let control = Arc::<Control>::default();
        let mut runner = Runner::new(sleeper, self.clock.clone(), control.clone());
        for actor in actors {
            runner.add(actor);
        }
        runner.order(order);
        self.controls.push((control, runner.bell()));
        let pin = self.pin.map(|first| first + self.threads.len());
        self.threads.push(wiring::spawn_runner(name, runner, pin, on_panic.clone())?);
        Ok(())
    }

    fn stop(&mut self) {
        for (control, bell) in &self.controls {
            control.stop.store(true, Ordering::Relaxed);
            bell.ring();
        }
        for thread in self.threads.drain(..) {
            // A runner that panicked has already been reported.
            let _ = thread.join();
        }
        self.resolver.stop();
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.stop();
    }
}
