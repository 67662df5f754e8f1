//! Export of messages to a capture server, as Homer: HEPv3 (EEP), a datagram a message. Opt-in.
//!
//! What the scanner frames and what the selector and the scanner send goes through the `hep` FIFO to the exporter of the
//! shard. Export never holds anything up: what finds the FIFO or the socket full is not exported, and counted. Messages
//! are exported as they are, those of TLS too: the way to the capture server must be as safe as they are. The program
//! itself may be told of them as well, or instead ([`crate::StackBuilder::on_message`]): of all, or of those of some calls
//! ([`WatchedCalls`]), and then nothing else takes room in the FIFO.

mod calls;
mod exporter;
mod packet;

pub use calls::WatchedCalls;
pub(crate) use exporter::HepExporter;
pub use exporter::{HepPlan, HepStats};
pub use packet::{Packet, encode};

use crate::transport::{Flow, TransportTable, TransportType};
use bytes::Bytes;
use rutil::{Class, Clock, FifoSender, RealClock, Time};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Where messages are exported to.
#[derive(Clone)]
pub struct HepOptions {
    /// The capture server; it is spoken to over UDP.
    pub collector: SocketAddr,
    /// Names this agent there.
    pub agent: u32,
    /// The password that the capture server asks for, if any.
    pub auth_key: Option<String>,
}

impl fmt::Debug for HepOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let auth_key = self.auth_key.as_ref().map(|_| "(secret)");
        let mut all = f.debug_struct("HepOptions");
        all.field("collector", &self.collector).field("agent", &self.agent).field("auth_key", &auth_key).finish()
    }
}

/// A message on the wire, as [`crate::StackBuilder::on_message`] tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnWire {
    /// Its octets.
    pub bytes: Bytes,
    /// By which transport it came or goes.
    pub transport: TransportType,
    /// Who sent it.
    pub source: SocketAddr,
    /// Who gets it.
    pub destination: SocketAddr,
    /// When it was found among what was read, or handed to the transport: what a message causes is later than the message, in
    /// whichever shard.
    pub at: Time,
    /// Whether it goes out. Whether it arrives nobody knows.
    pub sent: bool,
}

/// The program, where it wants messages.
#[derive(Clone)]
pub struct OnMessage {
    /// What is called with each.
    pub tell: Arc<dyn Fn(OnWire) + Send + Sync>,
    /// Those of which calls; `None`: all.
    pub calls: Option<WatchedCalls>,
}

/// What crosses `hep`: one message on its way.
#[derive(Debug)]
pub struct Capture {
    bytes: Bytes,
    flow: Flow,
    at: Time,
    sent: bool,
}

/// The near end of the `hep` FIFO; nothing without export.
#[derive(Clone)]
pub(crate) struct Tap(Option<Arc<TapEnd>>);

struct TapEnd {
    fifo: FifoSender<Capture>,
    /// Nothing but these is wanted.
    calls: Option<WatchedCalls>,
    stats: Arc<HepStats>,
    /// A pass of a runner has one time, from its beginning, and what another shard handed to it may be later than that.
    clock: RealClock,
}

impl Tap {
    pub(crate) fn none() -> Self {
        Tap(None)
    }

    /// The one of an exporter with this plan.
    pub(crate) fn new(fifo: FifoSender<Capture>, plan: &HepPlan) -> Self {
        let (calls, stats, clock) = (plan.only().cloned(), plan.stats.clone(), plan.clock.clone());
        Tap(Some(Arc::new(TapEnd { fifo, calls, stats, clock })))
    }

    /// A message came in; `bytes` is asked for only where somebody wants it.
    #[inline]
    pub(crate) fn received(&self, bytes: impl FnOnce() -> Bytes, flow: Flow, now: Time) {
        if let Some(end) = self.listens(now) {
            end.push(bytes(), flow, false);
        }
    }

    /// A message goes out.
    #[inline]
    pub(crate) fn sent(&self, bytes: &Bytes, flow: Flow, now: Time) {
        if let Some(end) = self.listens(now) {
            end.push(bytes.clone(), flow, true);
        }
    }

    #[inline]
    fn listens(&self, now: Time) -> Option<&TapEnd> {
        self.0.as_deref().filter(|end| end.calls.as_ref().is_none_or(|calls| calls.any(now)))
    }
}

impl TapEnd {
    fn push(&self, bytes: Bytes, flow: Flow, sent: bool) {
        let at = self.clock.now();
        if self.calls.as_ref().is_some_and(|calls| !calls.has(&bytes, at)) {
            return;
        }
        if self.fifo.push(Capture { bytes, flow, at, sent }, Class::Internal, at).is_err() {
            self.stats.shed.add(1);
        }
    }
}

impl Capture {
    /// Who sent it and who gets it; its own address is the transport's.
    fn ends(&self, transports: &TransportTable) -> (SocketAddr, SocketAddr) {
        let local = transports.get(self.flow.transport).map_or(self.flow.peer, |t| match self.flow.local {
            Some(ip) => SocketAddr::new(ip, t.bound.port()),
            None => t.advertised,
        });
        if self.sent { (local, self.flow.peer) } else { (self.flow.peer, local) }
    }

    fn packet<'a>(&'a self, transports: &TransportTable, options: &'a HepOptions, epoch: Duration) -> Packet<'a> {
        let (source, destination) = self.ends(transports);
        Packet {
            source,
            destination,
            transport: self.flow.kind,
            at: epoch + self.at.since(Time::ZERO),
            agent: options.agent,
            auth_key: options.auth_key.as_deref(),
            payload: &self.bytes,
        }
    }

    fn on_wire(&self, transports: &TransportTable) -> OnWire {
        let (source, destination) = self.ends(transports);
        let (bytes, transport) = (self.bytes.clone(), self.flow.kind);
        OnWire { bytes, transport, source, destination, at: self.at, sent: self.sent }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{ConnectionId, TransportId};
    use rutil::{Bell, fifo};

    /// A request is read in one shard and goes out in another, whose pass began before it came.
    #[test]
    fn what_a_message_causes_is_later_than_the_message() {
        let clock = RealClock::new();
        let plan = HepPlan::open(None, clock.clone(), None, Arc::default()).unwrap();
        let (to_hep, mut captures) = fifo("hep", 8, Bell::silent());
        let (one, other) = (Tap::new(to_hep.clone(), &plan), Tap::new(to_hep, &plan));
        let (transport, connection, peer) = (TransportId(0), ConnectionId(0), "192.0.2.1:5060".parse().unwrap());
        let flow = Flow { transport, kind: TransportType::Udp, connection, peer, local: None };
        one.received(|| Bytes::from_static(b"in"), flow, clock.now());
        other.sent(&Bytes::from_static(b"out"), flow, Time::ZERO);
        let (came, went) = (captures.pop().unwrap(), captures.pop().unwrap());
        assert!(!came.sent && went.sent, "{came:?} {went:?}");
        assert!(Time::ZERO < came.at && came.at <= went.at, "{came:?} {went:?}");
    }
}
