//! The actor behind the `hep` FIFO.

use super::{Capture, HepOptions, OnMessage, WatchedCalls, encode};
use crate::transport::TransportTable;
use rutil::{Actor, Clock, Counter, FifoReceiver, RealClock, Time, Turn};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

/// Messages a turn.
const BATCH: usize = 64;

/// What became of the messages that were to be exported.
#[derive(Debug, Default)]
pub struct HepStats {
    /// Sent to the capture server; whether it was there nobody knows.
    pub exported: Counter,
    /// Not exported: the FIFO or the socket had no room, or the message is larger than a packet.
    pub shed: Counter,
}

/// What the exporter of a shard needs from outside.
pub struct HepPlan {
    server: Option<Server>,
    program: Option<OnMessage>,
    pub(super) stats: Arc<HepStats>,
    pub(super) clock: RealClock,
}

/// The way to the capture server.
struct Server {
    socket: UdpSocket,
    options: HepOptions,
    /// How long after the Unix epoch the clock of the actors begins.
    epoch: Duration,
}

impl HepPlan {
    /// Opens a socket towards the capture server, where there is one. `clock` is that of the actors; `program` is told of
    /// each message.
    ///
    /// # Errors
    /// When the system has no socket, or no way to the capture server.
    pub fn open(
        options: Option<&HepOptions>,
        clock: RealClock,
        program: Option<OnMessage>,
        stats: Arc<HepStats>,
    ) -> io::Result<Self> {
        let server = options.map(|options| Server::open(options, clock.epoch())).transpose()?;
        Ok(HepPlan { server, program, stats, clock })
    }

    /// The calls whose messages are wanted, where nobody wants all.
    pub(super) fn only(&self) -> Option<&WatchedCalls> {
        self.program.as_ref().filter(|_| self.server.is_none())?.calls.as_ref()
    }
}

impl Server {
    fn open(options: &HepOptions, epoch: Duration) -> io::Result<Self> {
        let any: SocketAddr = match options.collector {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any)?;
        socket.set_nonblocking(true)?;
        socket.connect(options.collector)?;
        Ok(Server { socket, options: options.clone(), epoch })
    }

    /// Sends a message; false: it was too large, or there was no room.
    fn export(&self, capture: &Capture, transports: &TransportTable) -> bool {
        // A refusal is the echo of an earlier packet: nobody listens there now. It is taken notice of by sending once
        // more, as it is not this packet's.
        let send = |packet: &[u8]| match self.socket.send(packet) {
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => self.socket.send(packet),
            sent => sent,
        };
        let packet = encode(&capture.packet(transports, &self.options, self.epoch));
        packet.is_some_and(|packet| send(&packet).is_ok())
    }
}

/// Sends what crosses `hep` to the capture server, and tells the program.
pub(crate) struct HepExporter {
    captures: FifoReceiver<Capture>,
    plan: HepPlan,
    transports: TransportTable,
}

impl HepExporter {
    pub(crate) fn new(captures: FifoReceiver<Capture>, plan: HepPlan, transports: TransportTable) -> Self {
        HepExporter { captures, plan, transports }
    }

    fn export(&self, capture: &Capture) {
        let HepPlan { server, program, stats, .. } = &self.plan;
        match server.as_ref().map(|server| server.export(capture, &self.transports)) {
            Some(true) => stats.exported.add(1),
            Some(false) => stats.shed.add(1),
            None => {}
        }
        if let Some(OnMessage { tell, calls }) = program
            && calls.as_ref().is_none_or(|calls| calls.has(&capture.bytes, capture.at))
        {
            tell(capture.on_wire(&self.transports));
        }
    }
}

impl Actor for HepExporter {
    fn name(&self) -> &'static str {
        "hep"
    }

    fn turn(&mut self, _now: Time) -> Turn {
        let mut worked = false;
        for _ in 0..BATCH {
            let Some(capture) = self.captures.pop() else { break };
            self.export(&capture);
            worked = true;
        }
        if worked { Turn::Worked } else { Turn::Idle }
    }

    fn wants_turn(&self) -> bool {
        !self.captures.is_empty()
    }

    fn drained(&self) -> bool {
        self.captures.is_empty()
    }
}
