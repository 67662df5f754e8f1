//! A stack in virtual time whose transports are played: octets go in at `rx` and come out at `wire[t]`, and nothing
//! moves unless it is told to. One shard, no thread, no socket, no clock.

use bytes::Bytes;
use rutil::{Bell, Class, FifoReceiver, FifoSender, Meter, Rng, Time, Turn, fifo};
use stack::StackOptions;
use stack::selector::resolver::{Answer, ResolverHandle};
use stack::transaction::{Door, Input};
use stack::transport::{
    Attempt, Connected, ConnectionId, Flow, Notify, Received, TransportError, TransportFailed, TransportId,
    TransportInfo, TransportTable, TransportType, Wire,
};
use stack::tu::{TuEvent, TuOptions};
use stack::wiring::{Core, CoreActors, EDGES, Plan, TuFactory, cores};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Passes at one moment after which two actors are taken to feed each other for ever.
const PASSES: u32 = 1_000_000;

/// How many items a FIFO of the stack holds.
///
/// # Panics
/// When there is none of that name.
pub fn capacity(name: &str) -> usize {
    EDGES.iter().find(|edge| edge.name == name).expect("a FIFO of the stack").capacity
}

/// What a stack gave to a transport.
#[derive(Clone, Debug)]
pub struct Sent {
    /// When.
    pub at: Time,
    /// By which transport.
    pub transport: TransportId,
    /// That transport's type.
    pub kind: TransportType,
    /// To whom.
    pub peer: SocketAddr,
    /// On which connection; zero where any will do.
    pub connection: ConnectionId,
    /// Who hears of a failure.
    pub notify: Option<Notify>,
    /// One message.
    pub bytes: Bytes,
}

/// The stack.
pub struct Played {
    actors: CoreActors,
    core: Core,
    rx: FifoSender<Received>,
    wires: Vec<FifoReceiver<Wire>>,
    transports: TransportTable,
    /// What is asked is not answered, but by [`Played::answer`].
    pub resolver: ResolverHandle,
    /// An actor that gets no turns: it stands for one that is slow.
    pub stalled: Option<&'static str>,
    /// Connections that the transports were told to close.
    pub closed: Vec<(TransportId, ConnectionId)>,
    /// The connections whose peers were to be heard, and how often.
    pub expected: Vec<(TransportId, ConnectionId, Duration)>,
    /// The connections whose peers were asked for a sign of life, and within what time.
    pub pinged: Vec<(TransportId, ConnectionId, Option<Duration>)>,
    /// Connections that were asked for, and are up when [`Played::connected`] says so.
    pub connecting: Vec<(TransportId, SocketAddr, Attempt)>,
    /// Those that nobody waits for any more.
    pub given_up: Vec<Attempt>,
}

impl Played {
    /// A stack with these transports, bound and advertised alike, and these transaction users. `seed` decides every
    /// tag, branch and hash key.
    pub fn new(
        options: &StackOptions,
        transports: &[(TransportType, SocketAddr)],
        users: &mut [(TuOptions, TuFactory)],
        seed: u64,
    ) -> Self {
        let describe = |(at, (kind, address)): (usize, &(TransportType, SocketAddr))| {
            TransportInfo::new(TransportId(at as u16), *kind, 0, *address, *address)
        };
        let transports = TransportTable::new(transports.iter().enumerate().map(describe).collect());
        let (senders, wires) = transports.iter().map(|_| fifo("wire", capacity("wire"), Bell::silent())).unzip();
        let (rx, from_transports) = fifo("rx", capacity("rx"), Bell::silent());
        // A thread that never comes up: the test answers.
        let resolver = ResolverHandle::new(|_| Ok(()));
        let plan = Plan {
            hep: Vec::new(),
            options,
            transports: transports.clone(),
            route: |_| None,
            wires: senders,
            users,
            resolver: resolver.clone(),
            rng: &mut Rng::from_seed(seed),
        };
        let (actors, core) = cores(plan, vec![(from_transports, Bell::silent())]).remove(0);
        Played {
            actors,
            core,
            rx,
            wires,
            transports,
            resolver,
            stalled: None,
            closed: Vec::new(),
            expected: Vec::new(),
            pinged: Vec::new(),
            connecting: Vec::new(),
            given_up: Vec::new(),
        }
    }

    /// Gives every actor turns until none has anything to do at this moment.
    ///
    /// # Panics
    /// When that never ends.
    pub fn settle(&mut self, now: Time) {
        for _ in 0..PASSES {
            if !self.pass(now) {
                return;
            }
        }
        panic!("the actors feed each other for ever");
    }

    /// The turns of one pass, in the order that a runner has; whether any actor did something.
    pub fn pass(&mut self, now: Time) -> bool {
        let mut worked = false;
        for at in &self.actors.order {
            let actor = &mut self.actors.actors[*at];
            if self.stalled != Some(actor.name()) {
                worked |= actor.turn(now) == Turn::Worked;
            }
        }
        worked
    }

    /// The earliest deadline of all actors.
    pub fn deadline(&self) -> Option<Time> {
        self.actors.actors.iter().filter(|a| self.stalled != Some(a.name())).filter_map(|a| a.deadline()).min()
    }

    /// Whether an actor waits for a moment to come: false when no timer is armed and nothing is held.
    pub fn waits(&self) -> bool {
        self.actors.actors.iter().any(|a| a.deadline().is_some())
    }

    /// Takes what the transports were given, transport by transport.
    pub fn take_sent(&mut self, now: Time) -> Vec<Sent> {
        let mut all = Vec::new();
        for (wire, transport) in self.wires.iter_mut().zip(self.transports.iter()) {
            while let Some(item) = wire.pop() {
                let (transport, kind) = (transport.id, transport.kind);
                match item {
                    Wire::Send { bytes, peer, connection, notify, .. } => {
                        all.push(Sent { at: now, transport, kind, peer, connection, notify, bytes });
                    }
                    Wire::Close { connection } => self.closed.push((transport, connection)),
                    Wire::Expect { connection, within } => self.expected.push((transport, connection, within)),
                    Wire::Ping { connection, within } => self.pinged.push((transport, connection, within)),
                    Wire::Alias { .. } => {}
                    Wire::Connect { peer, attempt, .. } => self.connecting.push((transport, peer, attempt)),
                    Wire::GiveUp { attempt, .. } => self.given_up.push(attempt),
                }
            }
        }
        all
    }

    /// Octets come in by a transport. False when `rx` has no room.
    pub fn receive(&mut self, transport: u16, peer: SocketAddr, connection: u64, bytes: Bytes, now: Time) -> bool {
        let id = TransportId(transport);
        let kind = self.transports.get(id).expect("a transport of this stack").kind;
        let flow = Flow { transport: id, kind, connection: ConnectionId(connection), peer, local: None };
        let received = match kind {
            TransportType::Udp | TransportType::Ws | TransportType::Wss => Received::Datagram { bytes, flow, at: now },
            _ => Received::Chunk { bytes, flow, at: now },
        };
        self.rx.push(received, Class::Internal, now).is_ok()
    }

    /// The resolver answers the look-up of this number.
    pub fn answer(&mut self, answer: Answer, now: Time) {
        assert!(self.core.answers.push(answer, Class::Internal, now).is_ok(), "dns_done is full");
    }

    /// The program puts something into the FIFO of a transaction user, by its number. False when there is no room.
    pub fn post(&mut self, tu: usize, item: Box<dyn std::any::Any + Send>, now: Time) -> bool {
        self.core.users[tu].push(TuEvent::Posted(item), Class::New, now).is_ok()
    }

    /// A transport says something else than that octets came in. False when `rx` has no room.
    pub fn tell(&mut self, news: Received, now: Time) -> bool {
        self.rx.push(news, Class::Internal, now).is_ok()
    }

    /// A transport says what became of an attempt to connect.
    pub fn connected(&mut self, attempt: Attempt, result: Result<ConnectionId, TransportError>, now: Time) {
        let connected = Connected { attempt, result };
        assert!(self.core.connects.push(connected, Class::Internal, now).is_ok(), "connected is full");
    }

    /// A transport says that it could not deliver.
    pub fn fail(&mut self, notify: Notify, error: TransportError, now: Time) {
        let failed = Input::Failed(TransportFailed { notify, error });
        assert!(self.core.commands.push(failed, Class::Internal, now).is_ok(), "cmd is full");
    }

    /// The transports have looked at their sockets, and left something or not.
    pub fn behind(&self, left: bool, now: Time) {
        self.core.intake.backlog.looked(left, now);
    }

    /// How many of 1024 datagrams with new work the kernel would let through.
    pub fn share(&self) -> u32 {
        self.core.intake.share()
    }

    /// Bans an address.
    pub fn ban(&self, address: std::net::IpAddr, length: std::time::Duration, now: Time) {
        self.core.bans.ban(address, length, now);
    }

    /// Opens or closes the doors, as a shutdown does.
    pub fn set_doors(&self, door: Door) {
        self.core.doors.set(door);
    }

    /// Whether nothing is left that a shutdown waits for.
    pub fn drained(&self) -> bool {
        self.actors.actors.iter().all(|a| a.drained())
    }

    /// The meters of all FIFOs.
    pub fn meters(&self) -> impl Iterator<Item = &Arc<Meter>> {
        self.core.meters.iter().chain(self.wires.iter().map(|wire| wire.meter()))
    }

    /// What the transactions have counted.
    pub fn transactions(&self) -> stack::transaction::TransactionSnapshot {
        self.core.transactions.snapshot()
    }

    /// All that its actors have counted.
    pub fn statistics(&self, now: Time) -> stack::statistics::Statistics {
        self.core.statistics(now)
    }

    /// What the scanner has counted.
    pub fn scanner(&self) -> stack::scanner::ScannerSnapshot {
        self.core.scanner.snapshot()
    }
}
