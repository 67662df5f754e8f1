//! The actor behind the `hep` FIFO.

use super::{Capture, HepOptions, encode};
use crate::transport::TransportTable;
use rutil::{Actor, Counter, FifoReceiver, Time, Turn};
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
    socket: UdpSocket,
    epoch: Duration,
    pub(crate) stats: Arc<HepStats>,
}

impl HepPlan {
    /// Opens a socket towards the capture server. `epoch` is how long after the Unix epoch the clock of the actors begins.
    ///
    /// # Errors
    /// When the system has no socket, or no way to the capture server.
    pub fn open(collector: SocketAddr, epoch: Duration, stats: Arc<HepStats>) -> io::Result<Self> {
        let any: SocketAddr = match collector {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any)?;
        socket.set_nonblocking(true)?;
        socket.connect(collector)?;
        Ok(HepPlan { socket, epoch, stats })
    }
}

/// Sends what crosses `hep` to the capture server.
pub(crate) struct HepExporter {
    captures: FifoReceiver<Capture>,
    socket: UdpSocket,
    options: HepOptions,
    transports: TransportTable,
    /// How long after the Unix epoch the clock of the actors begins.
    epoch: Duration,
    stats: Arc<HepStats>,
}

impl HepExporter {
    pub(crate) fn new(
        captures: FifoReceiver<Capture>,
        HepPlan { socket, epoch, stats }: HepPlan,
        options: &HepOptions,
        transports: TransportTable,
    ) -> Self {
        HepExporter { captures, socket, options: options.clone(), transports, epoch, stats }
    }

    fn export(&self, capture: &Capture) {
        let packet = encode(&capture.packet(&self.transports, &self.options, self.epoch));
        // A refusal is the echo of an earlier packet: nobody listens there now. It is taken notice of by sending once
        // more, as it is not this packet's.
        let send = |packet: &[u8]| match self.socket.send(packet) {
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => self.socket.send(packet),
            sent => sent,
        };
        match packet.map(|packet| send(&packet)) {
            Some(Ok(_)) => self.stats.exported.add(1),
            _ => self.stats.shed.add(1),
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

    fn drained(&self) -> bool {
        self.captures.is_empty()
    }
}
