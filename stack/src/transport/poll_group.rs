//! The poll group (reSIProcate's FdPollGrp): the actor that owns all sockets of one runner, and its sleep.

use super::mmsg::{BATCH, DATAGRAM};
use super::tcp::Tcp;
use super::tls::TlsContext;
use super::udp::Udp;
use super::{
    Attempt, BindError, Connected, ConnectionId, Notify, ProvedPeers, Received, TcpOptions, TransportError,
    TransportFailed, TransportId, TransportStats, TransportType, UdpOptions, Wire, WsOptions,
};
use crate::overload::Intake;
use mio::event::Event;
use mio::{Events, Poll, Registry, Token, Waker};
use rutil::{Actor, Bell, Class, FifoReceiver, FifoSender, Sleeper, Time, Turn};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Readiness events taken from the kernel at once.
const EVENTS: usize = 1024;
/// A token's low octet is the transport's index in the group, the rest is the socket's slot in the transport.
const SLOT_SHIFT: u32 = 8;
/// The index that no transport has: the waker's.
const WAKER: usize = (1 << SLOT_SHIFT) - 1;

/// Where failures of sends go: the wiring maps them into the `txn` FIFO of the shard that [`Notify`] names.
pub type FailureSink = Box<dyn FnMut(TransportFailed, Time) + Send>;

/// All transports of one runner, and the runner's sleeper: it sleeps in the kernel until a socket is ready, its bell
/// rings or time is up. Made on the thread that sets up, then moved to the runner's.
pub struct PollGroup {
    poll: Poll,
    events: Events,
    bell: Bell,
    rx: FifoSender<Received>,
    failed: FailureSink,
    transports: Vec<Transport>,
    /// Where datagrams and chunks are read into before they are copied to their exact size.
    buffer: Vec<u8>,
    intake: Arc<Intake>,
    connects: Option<FifoSender<Connected>>,
    /// How long it sleeps at least, whatever comes.
    beat: Option<Duration>,
}

enum Transport {
    Udp(Udp),
    Tcp(Box<Tcp>),
}

impl Transport {
    fn id(&self) -> TransportId {
        match self {
            Transport::Udp(udp) => udp.id(),
            Transport::Tcp(tcp) => tcp.id(),
        }
    }
    fn stats(&self) -> &Arc<TransportStats> {
        match self {
            Transport::Udp(udp) => udp.stats(),
            Transport::Tcp(tcp) => tcp.stats(),
        }
    }
    fn turn(&mut self, ctx: &mut Context<'_>) -> Turn {
        match self {
            Transport::Udp(udp) => udp.turn(ctx),
            Transport::Tcp(tcp) => tcp.turn(ctx),
        }
    }
    fn wants_turn(&self) -> bool {
        match self {
            Transport::Udp(udp) => udp.wants_turn(),
            Transport::Tcp(tcp) => tcp.wants_turn(),
        }
    }
    fn deadline(&self) -> Option<Time> {
        match self {
            Transport::Udp(_) => None,
            Transport::Tcp(tcp) => tcp.deadline(),
        }
    }
    fn drained(&self) -> bool {
        match self {
            Transport::Udp(udp) => udp.drained(),
            Transport::Tcp(tcp) => tcp.drained(),
        }
    }
    /// Whether it has left something unread.
    fn is_behind(&self) -> bool {
        match self {
            Transport::Udp(udp) => udp.is_behind(),
            Transport::Tcp(tcp) => tcp.is_behind(),
        }
    }
    fn ready(&mut self, slot: usize, event: &Event) {
        match self {
            Transport::Udp(udp) => udp.ready(event),
            Transport::Tcp(tcp) => tcp.ready(slot, event),
        }
    }
}

/// What a transport may use in its turn.
pub(super) struct Context<'a> {
    pub(super) now: Time,
    pub(super) rx: &'a FifoSender<Received>,
    pub(super) buffer: &'a mut [u8],
    pub(super) registry: &'a Registry,
    pub(super) failed: &'a mut FailureSink,
    pub(super) connects: Option<&'a FifoSender<Connected>>,
}

impl Context<'_> {
    /// Tells whoever asked to be told.
    pub(super) fn fail(&mut self, notify: Option<Notify>, error: TransportError) {
        if let Some(notify) = notify {
            (self.failed)(TransportFailed { notify, error }, self.now);
        }
    }
}

impl Context<'_> {
    /// Tells what became of an attempt to connect. Without room nobody hears, and who waits gives up in time.
    pub(super) fn connected(&self, attempt: Attempt, result: Result<ConnectionId, TransportError>) {
        if let Some(connects) = self.connects {
            let _ = connects.push(Connected { attempt, result }, Class::Internal, self.now);
        }
    }
}

/// The token of `slot` of the transport at `index`.
pub(super) const fn token(index: usize, slot: usize) -> Token {
    Token(slot << SLOT_SHIFT | index)
}

impl PollGroup {
    /// A group without transports that pushes what it reads to `rx` and reports failed sends to `failed`, which must
    /// not block.
    ///
    /// # Errors
    /// What the system says when it has no descriptors left.
    pub fn new(rx: FifoSender<Received>, failed: FailureSink) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), token(WAKER, 0))?;
        let bell = Bell::new(move || {
            if let Err(e) = waker.wake() {
                tracing::error!(error = %e, "cannot wake a runner");
            }
        });
        let buffer = vec![0; BATCH * DATAGRAM];
        let (events, transports, intake) = (Events::with_capacity(EVENTS), Vec::new(), Arc::default());
        Ok(PollGroup { poll, events, bell, rx, failed, transports, buffer, intake, connects: None, beat: None })
    }

    /// Sleeps for `beat` at least, and for less than two if something is due then, whatever comes: what comes meanwhile is read
    /// in one go.
    pub fn sleep_by(&mut self, beat: Option<Duration>) {
        self.beat = beat;
    }

    /// Adds a UDP socket bound to `addr` that sends what comes through `wire`; the address that it got.
    ///
    /// A datagram that finds `rx` full is dropped and counted; a response, ACK, CANCEL, BYE or PRACK may use the
    /// headroom. An ICMP error that says that the target of a datagram is dead comes as [`Received::Undelivered`]; one
    /// that finds `rx` full is dropped too, and the transaction's timers end it.
    ///
    /// # Errors
    /// [`BindError`] when the socket cannot be opened.
    pub fn add_udp(
        &mut self,
        id: TransportId,
        addr: SocketAddr,
        wire: FifoReceiver<Wire>,
        options: &UdpOptions,
    ) -> Result<SocketAddr, BindError> {
        let index = self.next_index(TransportType::Udp, addr)?;
        let (udp, local) = Udp::bind(id, addr, wire, options, self.poll.registry(), token(index, 0))?;
        self.transports.push(Transport::Udp(udp));
        Ok(local)
    }

    /// Adds a TCP listener bound to `addr`, and the connections that come of it and of what comes through `wire`; the
    /// address that it got.
    ///
    /// A message that fails is reported with its [`TransportError`]. When `rx` is full nothing is read. A peer's FIN
    /// is reported as [`Received::Closed`], once for each connection; for five seconds more a message that names the
    /// connection still goes out on it. The latest 256 requests that were written to a connection come as
    /// [`Received::Unanswered`] when it is gone.
    ///
    /// # Errors
    /// [`BindError`] when the socket cannot be opened.
    pub fn add_tcp(
        &mut self,
        id: TransportId,
        addr: SocketAddr,
        wire: FifoReceiver<Wire>,
        options: &TcpOptions,
    ) -> Result<SocketAddr, BindError> {
        let index = self.next_index(TransportType::Tcp, addr)?;
        let (tcp, local) = Tcp::bind(id, addr, wire, (options, None, None), self.poll.registry(), index)?;
        self.transports.push(Transport::Tcp(Box::new(tcp)));
        Ok(local)
    }

    /// Adds a listener for TLS over TCP, as [`PollGroup::add_tcp`]. No message passes before the peers have agreed; a peer
    /// that is connected to has to prove to be the `domain` of the message ([`Wire::Send`]). Who the peers have proved to
    /// be is entered into the [`ProvedPeers`].
    ///
    /// # Errors
    /// [`BindError`] when the socket cannot be opened.
    pub fn add_tls(
        &mut self,
        id: TransportId,
        addr: SocketAddr,
        wire: FifoReceiver<Wire>,
        options: &TcpOptions,
        tls: (TlsContext, Arc<ProvedPeers>),
    ) -> Result<SocketAddr, BindError> {
        let index = self.next_index(TransportType::Tls, addr)?;
        let (tcp, local) = Tcp::bind(id, addr, wire, (options, Some(tls), None), self.poll.registry(), index)?;
        self.transports.push(Transport::Tcp(Box::new(tcp)));
        Ok(local)
    }

    /// Adds a listener for WebSocket clients (RFC 7118), over TLS if `tls` is there. Each message comes as
    /// [`Received::Datagram`] with its connection's flow, and none is lost: when `rx` is full nothing is read. No message
    /// passes before the upgrade is answered. Nothing is ever connected to: a message for which no connection lives fails
    /// with [`TransportError::NoConnection`].
    ///
    /// # Errors
    /// [`BindError`] when the socket cannot be opened.
    pub fn add_ws(
        &mut self,
        id: TransportId,
        addr: SocketAddr,
        wire: FifoReceiver<Wire>,
        (options, ws): (&TcpOptions, &WsOptions),
        tls: Option<(TlsContext, Arc<ProvedPeers>)>,
    ) -> Result<SocketAddr, BindError> {
        let kind = if tls.is_some() { TransportType::Wss } else { TransportType::Ws };
        let index = self.next_index(kind, addr)?;
        let parts = (options, tls, Some(ws.clone()));
        let (tcp, local) = Tcp::bind(id, addr, wire, parts, self.poll.registry(), index)?;
        self.transports.push(Transport::Tcp(Box::new(tcp)));
        Ok(local)
    }

    /// Where to say whether its sockets have been emptied, and to hear how much new work they should let through.
    pub fn report_to(&mut self, intake: Arc<Intake>) {
        self.intake = intake;
    }

    /// Where to say what became of [`Wire::Connect`].
    pub fn report_connects(&mut self, connects: FifoSender<Connected>) {
        self.connects = Some(connects);
    }

    /// The counters of a transport of this group.
    pub fn stats(&self, id: TransportId) -> Option<Arc<TransportStats>> {
        self.transports.iter().find(|t| t.id() == id).map(|t| t.stats().clone())
    }

    fn next_index(&self, kind: TransportType, addr: SocketAddr) -> Result<usize, BindError> {
        let index = self.transports.len();
        if index < WAKER { Ok(index) } else { Err(BindError::TooMany { kind, addr, most: WAKER }) }
    }
}

impl Actor for PollGroup {
    fn name(&self) -> &'static str {
        "poll group"
    }

    fn turn(&mut self, now: Time) -> Turn {
        let PollGroup { poll, rx, failed, transports, buffer, intake, connects, .. } = self;
        let mut ctx = Context { now, rx, buffer, registry: poll.registry(), failed, connects: connects.as_ref() };
        let (mut all, mut behind) = (Turn::Idle, false);
        let gate = intake.gate();
        for transport in transports {
            if let Transport::Udp(udp) = transport {
                udp.narrow(gate);
            }
            if transport.turn(&mut ctx) == Turn::Worked {
                all = Turn::Worked;
            }
            behind |= transport.is_behind();
        }
        intake.backlog.looked(behind, now);
        all
    }

    fn wants_turn(&self) -> bool {
        self.transports.iter().any(Transport::wants_turn)
    }

    fn deadline(&self) -> Option<Time> {
        self.transports.iter().filter_map(|t| t.deadline()).min()
    }

    fn drained(&self) -> bool {
        self.transports.iter().all(|t| t.drained())
    }
}

impl Sleeper for PollGroup {
    fn sleep(&mut self, mut timeout: Option<Duration>) {
        if let Some(beat) = self.beat.filter(|_| timeout != Some(Duration::ZERO)) {
            // What is due before the next beat but one is worth no waking before it.
            let length = timeout.filter(|due| *due < beat * 2).map_or(beat, |due| due.max(beat));
            pause(length);
            timeout = timeout.map(|timeout| timeout.saturating_sub(length));
            // The kernel knows whole milliseconds, and rounds up: what is due within one is looked for at the next beat.
            timeout = timeout.map(|left| if left < Duration::from_millis(1) { Duration::ZERO } else { left });
        }
        if let Err(e) = self.poll.poll(&mut self.events, timeout) {
            if e.kind() != io::ErrorKind::Interrupted {
                tracing::error!(error = %e, "poll");
            }
            return;
        }
        for event in &self.events {
            let Token(token) = event.token();
            if let Some(transport) = self.transports.get_mut(token & WAKER) {
                transport.ready(token >> SLOT_SHIFT, event);
            }
        }
    }

    fn bell(&self) -> Bell {
        self.bell.clone()
    }
}

/// Sleeps as a runner does.
#[allow(clippy::disallowed_methods, reason = "it is a runner's sleep")]
fn pause(length: Duration) {
    std::thread::sleep(length);
}
