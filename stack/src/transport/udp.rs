//! UDP (RFC 3261 §18): datagrams to `rx`, `wire[t]` to datagrams, in batches.

use super::mmsg::{self, BATCH};
use super::poll_group::Context;
use super::{
    BindError, ConnectionId, Flow, Notify, Received, TransportError, TransportId, TransportStats, TransportType,
    UdpOptions, Wire, socket,
};
use bytes::Bytes;
use mio::event::Event;
use mio::{Interest, Registry, Token};
use rutil::{Class, FifoReceiver, Turn};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;

/// Datagrams that are asked for when nothing says that there are more: each costs its preparation, there or not.
const FEW: usize = 4;

struct Outgoing {
    bytes: Bytes,
    peer: SocketAddr,
    notify: Option<Notify>,
}

/// One UDP socket.
pub(super) struct Udp {
    id: TransportId,
    socket: mio::net::UdpSocket,
    token: Token,
    v6: bool,
    /// An edge came and the socket is not yet drained.
    readable: bool,
    /// How many datagrams to ask for: [`FEW`], and [`BATCH`] after a batch that was full.
    most: usize,
    /// The socket's send buffer is full; a writable edge will come.
    blocked: bool,
    /// Writable edges are asked for. Only while blocked: else the kernel reports one for every datagram that has left.
    asked: bool,
    wire: FifoReceiver<Wire>,
    /// Popped and not yet sent; at most one batch.
    pending: VecDeque<Outgoing>,
    stats: Arc<TransportStats>,
}

impl Udp {
    /// Binds and registers a socket.
    pub(super) fn bind(
        id: TransportId,
        addr: SocketAddr,
        wire: FifoReceiver<Wire>,
        options: &UdpOptions,
        registry: &Registry,
        token: Token,
    ) -> Result<(Self, SocketAddr), BindError> {
        let (mut socket, local) =
            socket::open_udp(addr, options).map_err(|source| BindError::new(TransportType::Udp, addr, source))?;
        registry
            .register(&mut socket, token, Interest::READABLE)
            .map_err(|source| BindError::new(TransportType::Udp, addr, source))?;
        let udp = Udp {
            id,
            socket,
            token,
            v6: addr.is_ipv6(),
            readable: false,
            most: FEW,
            blocked: false,
            asked: false,
            wire,
            pending: VecDeque::with_capacity(BATCH),
            stats: Arc::default(),
        };
        Ok((udp, local))
    }

    pub(super) fn id(&self) -> TransportId {
        self.id
    }

    pub(super) fn stats(&self) -> &Arc<TransportStats> {
        &self.stats
    }

    /// Takes note of an edge.
    pub(super) fn ready(&mut self, event: &Event) {
        self.readable |= event.is_readable() || event.is_error();
        if self.blocked && event.is_writable() {
            self.blocked = false;
        }
    }

    pub(super) fn drained(&self) -> bool {
        self.pending.is_empty() && self.wire.is_empty()
    }

    /// One batch in, one batch out.
    pub(super) fn turn(&mut self, ctx: &mut Context<'_>) -> Turn {
        let mut turn = Turn::Idle;
        if self.readable {
            self.receive(ctx);
            turn = Turn::Worked;
        }
        if self.blocked {
            self.shed();
        } else if !self.drained() {
            self.fill(ctx);
            self.flush(ctx);
            turn = Turn::Worked;
        }
        turn
    }

    /// Reads one batch. A batch that is not full has emptied the socket: the next datagram brings a new edge.
    fn receive(&mut self, ctx: &mut Context<'_>) {
        let (mut octets, mut count, mut shed) = (0, 0, 0);
        let flow = Flow {
            transport: self.id,
            kind: TransportType::Udp,
            connection: ConnectionId::default(),
            peer: SocketAddr::from(([0, 0, 0, 0], 0)),
        };
        let (rx, now) = (ctx.rx, ctx.now);
        let read = mmsg::receive(self.socket.as_raw_fd(), self.v6, ctx.buffer, self.most, |bytes, peer| {
            let class = class_of(bytes);
            if !rx.has_room(class) {
                shed += 1;
                return;
            }
            let flow = Flow { peer, ..flow };
            match rx.push(Received::Datagram { bytes: Bytes::copy_from_slice(bytes), flow, at: now }, class, now) {
                Ok(()) => (count, octets) = (count + 1, octets + bytes.len() as u64),
                Err(_) => shed += 1,
            }
        });
        match read {
            Ok(read) => {
                self.readable = read == self.most;
                self.most = if self.readable { BATCH } else { FEW };
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return,
            Err(e) => {
                self.readable = false;
                if e.kind() != io::ErrorKind::WouldBlock {
                    self.stats.errors.add(1);
                    tracing::debug!(transport = self.id.0, error = %e, "udp receive");
                }
                return;
            }
        }
        self.stats.received.add(count);
        self.stats.received_octets.add(octets);
        if shed > 0 {
            self.stats.shed_received.add(shed);
        }
    }

    /// Takes from the wire until a batch is pending.
    fn fill(&mut self, ctx: &mut Context<'_>) {
        while self.pending.len() < BATCH {
            match self.wire.pop() {
                Some(Wire::Send { bytes, peer, notify, .. }) if peer.is_ipv6() == self.v6 => {
                    self.pending.push_back(Outgoing { bytes, peer, notify });
                }
                Some(Wire::Send { notify, .. }) => {
                    self.stats.errors.add(1);
                    ctx.fail(notify, TransportError::NoTransport);
                }
                Some(Wire::Close { .. }) => {}
                None => break,
            }
        }
    }

    /// Sends what is pending, until it is gone or the socket is full.
    fn flush(&mut self, ctx: &mut Context<'_>) {
        while let Some(first) = self.pending.front() {
            let sent = if self.pending.len() == 1 {
                self.socket.send_to(&first.bytes, first.peer).map(|_| 1)
            } else {
                let messages = self.pending.iter().map(|o| (&o.bytes[..], o.peer));
                mmsg::send(self.socket.as_raw_fd(), self.v6, messages)
            };
            match sent {
                Ok(n) => {
                    let octets = self.pending.drain(..n).map(|o| o.bytes.len() as u64).sum();
                    self.stats.sent.add(n as u64);
                    self.stats.sent_octets.add(octets);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    self.ask(ctx, true);
                    return;
                }
                Err(e) => {
                    self.stats.errors.add(1);
                    tracing::debug!(transport = self.id.0, peer = %first.peer, error = %e, "udp send");
                    let notify = self.pending.pop_front().and_then(|o| o.notify);
                    ctx.fail(notify, TransportError::from_io(&e));
                }
            }
        }
        if self.asked {
            self.ask(ctx, false);
        }
    }

    /// While the socket is full, keeps a fifth of the wire free by dropping the oldest: their machines retransmit.
    fn shed(&mut self) {
        let capacity = self.wire.meter().capacity();
        while self.wire.len() > capacity - capacity / 5 {
            self.wire.pop();
            self.stats.shed_sent.add(1);
        }
    }

    /// Asks for writable edges, or no longer.
    fn ask(&mut self, ctx: &mut Context<'_>, writable: bool) {
        let interest = if writable { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        self.asked = writable;
        if let Err(e) = ctx.registry.reregister(&mut self.socket, self.token, interest) {
            self.stats.errors.add(1);
            tracing::error!(transport = self.id.0, error = %e, "udp interest");
        }
    }
}

/// What a datagram is worth when `rx` is nearly full, by its first octets: what ends work goes before what begins it.
fn class_of(bytes: &[u8]) -> Class {
    const ESSENTIAL: [&[u8]; 5] = [b"SIP/2.0 ", b"ACK ", b"BYE ", b"CANCEL ", b"PRACK "];
    if ESSENTIAL.iter().any(|start| bytes.starts_with(start)) { Class::Essential } else { Class::New }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_work_is_essential() {
        for start in ["SIP/2.0 200 OK", "ACK sip:a@b SIP/2.0", "CANCEL sip:a", "BYE sip:a", "PRACK sip:a"] {
            assert_eq!(class_of(start.as_bytes()), Class::Essential, "{start}");
        }
        for start in ["INVITE sip:a", "OPTIONS sip:a", "", "\r\n", "SIP/2.0", "ACKNOWLEDGE sip:a"] {
            assert_eq!(class_of(start.as_bytes()), Class::New, "{start}");
        }
    }

    #[test]
    fn a_full_socket_keeps_a_fifth_of_the_wire_free() {
        let poll = mio::Poll::new().unwrap();
        let (tx, rx) = rutil::fifo("wire", 10, rutil::Bell::silent());
        let addr = "127.0.0.1:0".parse().unwrap();
        let (mut udp, _) =
            Udp::bind(TransportId(0), addr, rx, &UdpOptions::default(), poll.registry(), Token(0)).unwrap();
        udp.blocked = true;
        for port in 1..=10 {
            let peer = SocketAddr::from(([127, 0, 0, 1], port));
            let connection = ConnectionId::default();
            let wire = Wire::Send { bytes: Bytes::new(), peer, connection, connect: false, notify: None };
            tx.push(wire, Class::Internal, rutil::Time::ZERO).unwrap();
        }
        udp.shed();
        assert_eq!((udp.wire.len(), udp.stats.shed_sent.get()), (8, 2));
        assert!(matches!(udp.wire.pop(), Some(Wire::Send { peer, .. }) if peer.port() == 3));
    }
}
