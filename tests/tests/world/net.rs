//! The network: datagrams that may be late, lost, doubled or overtaken, and streams that are only late.

use bytes::Bytes;
use rutil::{Rng, Time};
use stack::transport::{TransportError, TransportType};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::time::Duration;
use tests::played::Sent;

/// The transports of every stack, by number.
pub(crate) const UDP: u16 = 0;
pub(crate) const TCP: u16 = 1;

/// How bad the network is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions {
    /// The usual latency, ms.
    pub(crate) latency: (u64, u64),
    /// How much later a datagram may be that is overtaken, ms, and how often that happens.
    pub(crate) overtaken: (u64, f64),
    pub(crate) loss: f64,
    pub(crate) double: f64,
}

/// Something on its way.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Delivery {
    pub(crate) at: Time,
    /// What was sent first arrives first at one moment.
    number: u64,
    pub(crate) node: usize,
    pub(crate) transport: u16,
    pub(crate) peer: SocketAddr,
    pub(crate) connection: u64,
    pub(crate) bytes: Bytes,
}

/// One end of a connection: the node, how it sees the other, and when its last octets arrive.
struct End {
    node: usize,
    peer: SocketAddr,
    last: Time,
}

pub(crate) struct SimNet {
    rng: Rng,
    conditions: Conditions,
    under_way: BinaryHeap<Reverse<Delivery>>,
    number: u64,
    hosts: Vec<SocketAddr>,
    /// By the node that connected and where to; the number is an index into `ends`, from 1.
    connections: BTreeMap<(usize, SocketAddr), u64>,
    ends: Vec<[End; 2]>,
}

impl SimNet {
    pub(crate) fn new(conditions: Conditions, hosts: Vec<SocketAddr>, rng: Rng) -> Self {
        let (connections, ends) = (BTreeMap::new(), Vec::new());
        SimNet { rng, conditions, under_way: BinaryHeap::new(), number: 0, hosts, connections, ends }
    }

    /// Takes what a node sent.
    ///
    /// # Errors
    /// Nobody listens there for streams. A datagram to nobody is lost.
    pub(crate) fn send(&mut self, node: usize, sent: Sent) -> Result<(), TransportError> {
        match sent.kind {
            TransportType::Udp => {
                self.datagram(node, &sent);
                Ok(())
            }
            _ => self.octets(node, sent),
        }
    }

    fn datagram(&mut self, node: usize, sent: &Sent) {
        let Some(to) = self.hosts.iter().position(|host| *host == sent.peer) else { return };
        let copies = 1 + usize::from(self.rng.chance(self.conditions.double));
        for _ in 0..copies {
            if self.rng.chance(self.conditions.loss) {
                continue;
            }
            let (most, how_often) = self.conditions.overtaken;
            let extra = if self.rng.chance(how_often) { self.rng.range(most) } else { 0 };
            let at = sent.at + self.latency() + Duration::from_millis(extra);
            self.put(at, to, UDP, self.hosts[node], 0, sent.bytes.clone());
        }
    }

    fn octets(&mut self, node: usize, sent: Sent) -> Result<(), TransportError> {
        let known = usize::try_from(sent.connection.0).ok().filter(|id| (1..=self.ends.len()).contains(id));
        let id = match known.or_else(|| self.connections.get(&(node, sent.peer)).map(|id| *id as usize)) {
            Some(id) => id,
            None => self.connect(node, sent.peer)?,
        };
        let arrival = sent.at + self.latency();
        let ends = &mut self.ends[id - 1];
        let other = if ends[0].node == node { &mut ends[1] } else { &mut ends[0] };
        // A stream keeps its order.
        other.last = other.last.max(arrival);
        let (at, to, peer) = (other.last, other.node, other.peer);
        self.put(at, to, TCP, peer, id as u64, sent.bytes);
        Ok(())
    }

    fn connect(&mut self, node: usize, to: SocketAddr) -> Result<usize, TransportError> {
        let host = self.hosts.iter().position(|host| *host == to).ok_or(TransportError::Refused)?;
        let id = self.ends.len() + 1;
        let port = 40_000 + id as u16;
        let near = SocketAddr::new(self.hosts[node].ip(), port);
        let end = |node, peer| End { node, peer, last: Time::ZERO };
        self.ends.push([end(node, to), end(host, near)]);
        self.connections.insert((node, to), id as u64);
        Ok(id)
    }

    fn latency(&mut self) -> Duration {
        let (least, most) = self.conditions.latency;
        Duration::from_millis(least + self.rng.range(most - least + 1))
    }

    fn put(&mut self, at: Time, node: usize, transport: u16, peer: SocketAddr, connection: u64, bytes: Bytes) {
        self.number += 1;
        self.under_way.push(Reverse(Delivery { at, number: self.number, node, transport, peer, connection, bytes }));
    }

    /// When the next thing arrives.
    pub(crate) fn next(&self) -> Option<Time> {
        self.under_way.peek().map(|next| next.0.at)
    }

    /// What arrives now.
    pub(crate) fn arrive(&mut self, now: Time) -> Option<Delivery> {
        if self.next()? > now {
            return None;
        }
        self.under_way.pop().map(|next| next.0)
    }
}
