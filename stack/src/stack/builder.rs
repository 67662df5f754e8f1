//! What a stack is made of, and its start.

use super::{Stack, StackError, TransportSpec, TuId};
use crate::hep::{HepPlan, HepStats, OnMessage, OnWire, WatchedCalls};
use crate::options::StackOptions;
use crate::transaction::Input;
use crate::transport::tls::TlsContext;
use crate::transport::{
    AddressWatch, Interfaces, ProvedPeers, TcpOptions, TransportId, TransportInfo, TransportTable, TransportType,
    UdpOptions, Wire, WsOptions, system_route, towards_world,
};
use crate::tu::{TransactionUser, TuApart, TuOptions};
use crate::wiring::{self, CoreActors, Net, OnPanic, Plan, TuFactory};
use parking_lot::Mutex;
use rutil::{Bell, Control, FifoSender, ParkSleeper, Placement, RealClock, Rng};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Collects what a stack is made of.
pub struct StackBuilder {
    number: u32,
    placement: Placement,
    options: StackOptions,
    transports: Vec<TransportSpec>,
    tcp: TcpOptions,
    ws: WsOptions,
    tls: Option<TlsContext>,
    users: Vec<(TuOptions, TuFactory)>,
    pin: bool,
    beat: Option<Duration>,
    on_panic: Option<OnPanic>,
    on_message: Option<OnMessage>,
    clock: RealClock,
}

/// How many builders there were: the names of their transaction users are not to be taken for each other.
static BUILDERS: AtomicU32 = AtomicU32::new(0);

impl StackBuilder {
    pub(super) fn new() -> Self {
        StackBuilder {
            number: BUILDERS.fetch_add(1, Ordering::Relaxed),
            placement: Placement::Inline,
            options: StackOptions::default(),
            transports: Vec::new(),
            tcp: TcpOptions::default(),
            ws: WsOptions::default(),
            tls: None,
            users: Vec::new(),
            pin: false,
            beat: None,
            on_panic: None,
            on_message: None,
            clock: RealClock::new(),
        }
    }

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

    /// Has each runner with sockets that has nothing to do sleep for `beat` at least, and for less than two where something is
    /// due then, and do in one go what came meanwhile. Where hundreds of messages come a second most of what each costs is the
    /// waking for it, so that a beat of a millisecond saves a third of the CPU time, and adds a millisecond, or nearly two, to
    /// whatever is answered. Over UDP [`Source::at`] is then the time at which the kernel got a message. For load generators and
    /// what measures; none by default.
    ///
    /// [`Source::at`]: crate::message::Source::at
    pub fn beat(mut self, beat: Duration) -> Self {
        self.beat = Some(beat);
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
        TuId { at: (self.users.len() - 1).min(254) as u8, stack: self.number }
    }

    /// Registers a transaction user that no runner of the stack drives, but the program: [`Stack::take_apart`] gives what
    /// it drives it by. `wake` is called, from any thread, when there is something to do for one that rests
    /// ([`crate::tu::Rest::Until`]); it must not block. It serves one shard.
    ///
    /// It is for a transaction user that belongs to an executor, as that of a program's own actors. What is driven by the
    /// stack is faster: a message crosses no thread.
    pub fn register_tu_apart<T: TransactionUser + 'static>(
        &mut self,
        options: TuOptions,
        wake: impl Fn() + Send + Sync + 'static,
        make: impl FnMut(u16) -> T + 'static,
    ) -> TuId {
        self.register_tu(TuOptions { one_shard: true, bell: Some(Bell::new(wake)), ..options }, make)
    }

    /// The clock, where another part of the program must know the time that transaction users see.
    pub fn clock(mut self, clock: RealClock) -> Self {
        self.clock = clock;
        self
    }

    /// What to do when a runner's thread panics, with its name; by default the process logs it and goes on with the
    /// other runners. A panicked runner's calls are lost: a supervisor should end the process.
    pub fn on_panic(mut self, what: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.on_panic = Some(Arc::new(what));
        self
    }

    /// Whom to tell of each message that is received or sent, as it is on the wire and in that order: retransmissions too,
    /// those of TLS in plain text. It is called by the stack's runners, after what the message has caused, so it must
    /// return at once. Where more come than it can be told of they are left out, as with [`StackOptions::hep`].
    pub fn on_message(mut self, tell: impl Fn(OnWire) + Send + Sync + 'static) -> Self {
        self.on_message = Some(OnMessage { tell: Arc::new(tell), calls: None });
        self
    }

    /// The same of the messages of some calls alone. While there are none nothing goes that way, and each message costs one
    /// look at a number.
    pub fn on_message_of(mut self, calls: WatchedCalls, tell: impl Fn(OnWire) + Send + Sync + 'static) -> Self {
        self.on_message = Some(OnMessage { tell: Arc::new(tell), calls: Some(calls) });
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
        if shards > 1 && self.users.iter().any(|(options, _)| options.one_shard) {
            return Err(StackError::OneShard { shards });
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
        let wire_meters = wires.iter().map(|wire| wire.meter().clone()).collect();
        let mut transports = TransportTable::new(infos).with_proved(proved);
        let watched = transports.needs_interfaces();
        if watched {
            transports.latest().publish(Interfaces::read()?);
            transports.refresh();
        }
        let clock = self.clock.clone();
        let answers = Arc::<OnceLock<_>>::default();
        let resolver = wiring::resolver(answers.clone(), clock.clone());
        let hep_stats = Arc::<HepStats>::default();
        let mut hep = Vec::new();
        if self.options.hep.is_some() || self.on_message.is_some() {
            for _ in 0..shards {
                let (options, program) = (self.options.hep.as_ref(), self.on_message.clone());
                hep.push(HepPlan::open(options, clock.clone(), program, hep_stats.clone())?);
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
        let (mut actors, all): (Vec<_>, Vec<_>) = wiring::cores(plan, rx).into_iter().unzip();
        let (mut controls, mut apart) = (Vec::new(), Vec::new());
        for (tu, actor) in actors.iter_mut().flat_map(|actors: &mut CoreActors| actors.apart.drain(..)) {
            let Some(bell) = self.users.get(usize::from(tu)).and_then(|(options, _)| options.bell.clone()) else {
                continue;
            };
            let control = Arc::<Control>::default();
            controls.push((control.clone(), bell.clone()));
            apart.push((TuId { at: tu, stack: self.number }, TuApart::new(actor, bell, control, clock.clone())));
        }
        // Set once, here: the poll groups and the resolver were made before the cores.
        let _ = commands.set(all.iter().map(|core| core.commands.clone()).collect());
        let _ = answers.set(all.iter().map(|core| core.answers.clone()).collect());
        let mut stack = Stack {
            number: self.number,
            ending: AtomicBool::new(false),
            transports,
            bans: all.first().map(|core| core.bans.clone()).unwrap_or_default(),
            cores: all,
            controls,
            apart: Mutex::new(apart),
            threads: Mutex::default(),
            pin: self.pin.then(wiring::first_processor),
            resolver,
            clock,
            rng: own_rng,
            transport_stats: stats,
            wire_meters,
            hep: hep_stats,
        };
        let on_panic = self.on_panic.unwrap_or_else(|| Arc::new(|name| tracing::error!(runner = name, "panicked")));
        for (shard, ((mut group, park), actors)) in homes.into_iter().zip(actors).enumerate() {
            group.report_to(stack.cores[shard].intake.clone());
            group.sleep_by(self.beat);
            group.report_connects(stack.cores[shard].connects.clone());
            match park {
                Some(park) => {
                    stack.run(
                        format!("sip-net-{shard}"),
                        group,
                        CoreActors { actors: Vec::new(), order: Vec::new(), apart: Vec::new() },
                        &on_panic,
                    )?;
                    stack.run(format!("sip-core-{shard}"), park, actors, &on_panic)?;
                }
                None => stack.run(format!("sip-{shard}"), group, actors, &on_panic)?,
            }
        }
        if watched {
            let watch = AddressWatch::new(stack.transports.latest().clone(), Interfaces::read);
            stack.pin = None;
            let watch = CoreActors { actors: vec![Box::new(watch)], order: vec![0], apart: Vec::new() };
            stack.run("sip-addresses".into(), ParkSleeper::new(), watch, &on_panic)?;
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
        let streams = |spec: &TransportSpec| TcpOptions {
            reuse_port: across,
            free_bind: spec.free_bind,
            dscp: spec.dscp,
            ..self.tcp.clone()
        };
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
                        let timestamps = self.beat.is_some();
                        let own = UdpOptions {
                            reuse_port: across,
                            dscp: spec.dscp,
                            timestamps,
                            free_bind: spec.free_bind,
                            ..UdpOptions::default()
                        };
                        net.group.add_udp(id, bind, receiver, &own)?
                    }
                    TransportType::Tcp => net.group.add_tcp(id, bind, receiver, &streams(spec))?,
                    TransportType::Tls => {
                        let tls = (certificates(spec)?, proved.clone());
                        net.group.add_tls(id, bind, receiver, &streams(spec), tls)?
                    }
                    TransportType::Ws => net.group.add_ws(id, bind, receiver, (&streams(spec), &ws), None)?,
                    TransportType::Wss => {
                        let tls = (certificates(spec)?, proved.clone());
                        net.group.add_ws(id, bind, receiver, (&streams(spec), &ws), Some(tls))?
                    }
                };
                let info = match spec.advertise {
                    Some(address) => {
                        TransportInfo::new(id, spec.kind, shard as u16, bound, address).always_advertised()
                    }
                    None => TransportInfo::new(id, spec.kind, shard as u16, bound, towards_world(bound)),
                };
                infos.push(match &spec.record_as {
                    Some(name) => info.recorded_as(name),
                    None => info,
                });
                wires.push(sender);
            }
        }
        Ok((infos, wires))
    }
}
