//! UDP (RFC 3261 §18): datagrams to `rx`, `wire[t]` to datagrams, in batches.

use super::drops::SocketEntry;
use super::errqueue::{self, Returned};
use super::filter;
use super::mmsg::{self, Asked, BATCH, Besides};
use super::poll_group::Context;
use super::{
    BindError, ConnectionId, Flow, Notify, Received, TransportError, TransportId, TransportStats, TransportType,
    UdpOptions, Wire, socket,
};
use crate::overload::Gate;
use bytes::Bytes;
use mio::event::Event;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use rutil::{Class, FifoReceiver, Turn};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::Arc;

/// Datagrams that are asked for when nothing says that there are more: each costs its preparation, there or not.
const FEW: usize = 4;
/// How often a datagram is offered, or the socket asked for what has come, in a turn. An ICMP error is told to whichever
/// call comes next, which has nothing to do with it, and where many requests go to a dead peer, several come in a row.
const TRIES: u32 = 4;

struct Outgoing {
    bytes: Bytes,
    peer: SocketAddr,
    /// The address to send from, where the socket has all.
    local: Option<IpAddr>,
    notify: Option<Notify>,
}

/// One UDP socket.
pub(super) struct Udp {
    id: TransportId,
    socket: mio::net::UdpSocket,
    token: Token,
    v6: bool,
    /// Bound to all addresses: which one is told with each datagram, in and out.
    wildcard: bool,
    /// What the kernel says of each datagram.
    asked: Asked,
    /// An edge came and the socket is not yet drained.
    readable: bool,
    /// How many datagrams to ask for: [`FEW`], or [`BATCH`] as long as so few are there each time: one call more would tell
    /// the rest, and split what goes out.
    many: bool,
    /// ICMP errors may wait.
    errors: bool,
    /// The socket's send buffer is full; a writable edge will come.
    blocked: bool,
    /// Writable edges are asked for. Only while blocked: else the kernel reports one for every datagram that has left.
    writable: bool,
    wire: FifoReceiver<Wire>,
    /// Popped and not yet sent; at most one batch.
    pending: VecDeque<Outgoing>,
    /// Which new work the kernel lets through.
    gate: Gate,
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
            wildcard: addr.ip().is_unspecified(),
            asked: match (options.timestamps, addr.ip().is_unspecified()) {
                (true, _) => Asked::AddressAndTime,
                (false, true) => Asked::Address,
                (false, false) => Asked::Nothing,
            },
            readable: false,
            many: false,
            errors: false,
            blocked: false,
            writable: false,
            wire,
            pending: VecDeque::with_capacity(BATCH),
            gate: Gate::OPEN,
            stats: Arc::default(),
        };
        if let Some(entry) = SocketEntry::of(udp.socket.as_raw_fd(), udp.v6) {
            let _ = udp.stats.socket.set(entry);
        }
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
        self.errors |= event.is_error();
        if self.blocked && event.is_writable() {
            self.blocked = false;
        }
    }

    /// Whether the last batch that was read was full.
    pub(super) fn is_behind(&self) -> bool {
        self.readable
    }

    /// Has the kernel let through a share of the datagrams that begin something new. Where it cannot, they are refused
    /// or dropped by the scanner.
    pub(super) fn narrow(&mut self, gate: Gate) {
        if gate != self.gate {
            self.gate = gate;
            if let Err(error) = filter::narrow(&self.socket, gate) {
                tracing::debug!(transport = self.id.0, %error, "udp filter");
            }
        }
    }

    pub(super) fn drained(&self) -> bool {
        self.pending.is_empty() && self.wire.is_empty()
    }

    /// Whether something waits for a turn.
    pub(super) fn wants_turn(&self) -> bool {
        self.readable || self.errors || !self.blocked && !self.drained()
    }

    /// One batch in, one batch out.
    pub(super) fn turn(&mut self, ctx: &mut Context<'_>) -> Turn {
        let mut turn = Turn::Idle;
        if self.readable {
            self.receive(ctx);
            turn = Turn::Worked;
        }
        // After the messages: an answer that has come counts for more than an error behind it.
        if self.errors {
            self.read_errors(ctx);
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

    /// Reads one batch. A batch that is not full has emptied the socket: the next datagram brings a new edge, and so
    /// does an error that comes after the last edge. False when there was nothing.
    fn read_batch(&mut self, buffer: &mut [u8], mut take: impl FnMut(&[u8], SocketAddr, Besides)) -> bool {
        for _ in 0..TRIES {
            let (fd, kind) = (self.socket.as_raw_fd(), (self.v6, self.asked));
            let read = match self.many {
                true => mmsg::receive::<BATCH>(fd, kind, buffer, &mut take),
                false => mmsg::receive::<FEW>(fd, kind, buffer, &mut take),
            };
            match read {
                Ok(read) => {
                    self.readable = read == if self.many { BATCH } else { FEW };
                    self.many = read >= FEW;
                    return true;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => return false,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.readable = false;
                    return false;
                }
                Err(e) => {
                    self.errors = true;
                    tracing::debug!(transport = self.id.0, error = %e, "udp receive");
                }
            }
        }
        // Behind the errors there may be datagrams, of which no edge will tell: the next turn asks again.
        false
    }

    fn receive(&mut self, ctx: &mut Context<'_>) {
        let (mut octets, mut count, mut shed) = (0, 0, 0);
        let (rx, now, id, wildcard) = (ctx.rx, ctx.now, self.id, self.wildcard);
        let any = self.read_batch(ctx.buffer, |bytes, peer, Besides { local, age }| {
            let class = class_of(bytes);
            if !rx.has_room(class) {
                shed += 1;
                return;
            }
            let flow = Flow { local: local.filter(|_| wildcard), ..flow(id, peer) };
            let datagram = Received::Datagram { bytes: Bytes::copy_from_slice(bytes), flow, at: now.before(age) };
            match rx.push(datagram, class, now) {
                Ok(()) => (count, octets) = (count + 1, octets + bytes.len() as u64),
                Err(_) => shed += 1,
            }
        });
        if !any {
            return;
        }
        self.stats.received.add(count);
        self.stats.received_octets.add(octets);
        if shed > 0 {
            self.stats.shed_received.add(shed);
        }
    }

    /// Reads what ICMP says of datagrams that were sent: a batch, so that a flood of errors leaves time for messages.
    fn read_errors(&mut self, ctx: &mut Context<'_>) {
        for _ in 0..BATCH {
            match errqueue::take(self.socket.as_raw_fd(), self.v6, ctx.buffer) {
                Ok(Some(returned)) => self.undelivered(ctx, &returned),
                Ok(None) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // Mostly: the queue is empty. The next error brings a new edge.
                Err(_) => {
                    self.errors = false;
                    return;
                }
            }
        }
    }

    /// Passes a datagram's first octets up with the reason why it did not arrive. Everybody can send us such an error,
    /// so it uses no headroom.
    fn undelivered(&self, ctx: &mut Context<'_>, returned: &Returned) {
        let &Returned { size, peer, error } = returned;
        tracing::debug!(transport = self.id.0, %peer, %error, "a datagram did not arrive");
        self.stats.undelivered.add(1);
        let Some(quote) = ctx.buffer.get(..size) else { return };
        let undelivered =
            Received::Undelivered { quote: Bytes::copy_from_slice(quote), flow: flow(self.id, peer), error };
        if ctx.rx.push(undelivered, Class::New, ctx.now).is_err() {
            self.stats.shed_received.add(1);
        }
    }

    /// Takes from the wire until a batch is pending.
    fn fill(&mut self, ctx: &mut Context<'_>) {
        while self.pending.len() < BATCH {
            match self.wire.pop() {
                Some(Wire::Send { bytes, peer, local, notify, .. }) if peer.is_ipv6() == self.v6 => {
                    let local = local.filter(|_| self.wildcard);
                    self.pending.push_back(Outgoing { bytes, peer, local, notify });
                }
                Some(Wire::Send { notify, .. }) => {
                    self.stats.errors.add(1);
                    ctx.fail(notify, TransportError::NoTransport);
                }
                Some(
                    Wire::Close { .. }
                    | Wire::Alias { .. }
                    | Wire::Connect { .. }
                    | Wire::GiveUp { .. }
                    | Wire::Expect { .. }
                    | Wire::Ping { .. },
                ) => {}
                None => break,
            }
        }
    }

    /// Sends what is pending, until it is gone or the socket is full, or until the next turn if errors of others crowd in.
    fn flush(&mut self, ctx: &mut Context<'_>) {
        let mut tries = 0;
        while let Some(first) = self.pending.front() {
            let local = first.local;
            let sent = if self.pending.len() == 1 && local.is_none() {
                self.socket.send_to(&first.bytes, first.peer).map(|_| 1)
            } else {
                let same = self.pending.iter().take_while(|o| o.local == local);
                mmsg::send(self.socket.as_raw_fd(), self.v6, local, same.map(|o| (&o.bytes[..], o.peer)))
            };
            match sent {
                Ok(n) => {
                    tries = 0;
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
                    tries += 1;
                    self.errors = true;
                    if is_of_another(&e) {
                        if tries == TRIES {
                            return;
                        }
                    } else if tries == TRIES || is_full(&e) {
                        tries = 0;
                        self.give_up(ctx, &e);
                    }
                }
            }
        }
        if self.writable {
            self.ask(ctx, false);
        }
    }

    /// Drops the first message.
    fn give_up(&mut self, ctx: &mut Context<'_>, error: &io::Error) {
        let Some(Outgoing { peer, notify, .. }) = self.pending.pop_front() else { return };
        tracing::debug!(transport = self.id.0, %peer, %error, "udp send");
        if is_full(error) {
            return self.stats.shed_sent.add(1);
        }
        self.stats.errors.add(1);
        ctx.fail(notify, TransportError::from_io(error));
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
        self.writable = writable;
        if let Err(e) = ctx.registry.reregister(&mut self.socket, self.token, interest) {
            self.stats.errors.add(1);
            tracing::error!(transport = self.id.0, error = %e, "udp interest");
        }
    }
}

fn flow(transport: TransportId, peer: SocketAddr) -> Flow {
    Flow { transport, kind: TransportType::Udp, connection: ConnectionId::default(), peer, local: None }
}

/// Whether the error is ICMP's answer to an earlier datagram, which the error queue has too: nobody else refuses one.
fn is_of_another(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused
}

/// Whether the queue of the network interface is full. Without the error queue the system would not say so: it is a
/// loss like any other on the way, and the machines retransmit.
fn is_full(error: &io::Error) -> bool {
    error.raw_os_error().map(Errno::from_raw) == Some(Errno::ENOBUFS)
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
    fn a_full_interface_loses_a_datagram_and_fails_nobody() {
        let poll = mio::Poll::new().unwrap();
        let (_wire, from_wire) = rutil::fifo("wire", 10, rutil::Bell::silent());
        let (rx, _received) = rutil::fifo("rx", 10, rutil::Bell::silent());
        let addr = "127.0.0.1:0".parse().unwrap();
        let (mut udp, _) =
            Udp::bind(TransportId(0), addr, from_wire, &UdpOptions::default(), poll.registry(), Token(0)).unwrap();
        let (sender, told) = std::sync::mpsc::channel();
        let mut failed: super::super::FailureSink = Box::new(move |failure, _| sender.send(failure).unwrap());
        let now = rutil::Time::ZERO;
        let (buffer, registry) = (&mut [][..], poll.registry());
        let mut ctx = Context { now, rx: &rx, buffer, registry, failed: &mut failed, connects: None };
        for (error, expected) in [(Errno::ENOBUFS, None), (Errno::ENETUNREACH, Some(TransportError::Unreachable))] {
            let notify = Some(Notify { shard: 0, key: 1 });
            udp.pending.push_back(Outgoing { bytes: Bytes::new(), peer: addr, local: None, notify });
            udp.give_up(&mut ctx, &error.into());
            assert_eq!(told.try_recv().ok().map(|failure| failure.error), expected);
        }
        assert_eq!((udp.stats.shed_sent.get(), udp.stats.errors.get(), udp.pending.len()), (1, 1, 0));
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
            let wire = Wire::Send {
                bytes: Bytes::new(),
                peer,
                local: None,
                domain: None,
                connection,
                connect: false,
                notify: None,
            };
            tx.push(wire, Class::Internal, rutil::Time::ZERO).unwrap();
        }
        udp.shed();
        assert_eq!((udp.wire.len(), udp.stats.shed_sent.get()), (8, 2));
        assert!(matches!(udp.wire.pop(), Some(Wire::Send { peer, .. }) if peer.port() == 3));
    }
}
