//! The transports over real sockets on loopback.

mod connect;
mod reset;
mod silence;
mod tcp;
mod tls;
mod udp;
mod wildcard;
mod ws;
mod ws_client;

use super::*;
use rutil::time::RealClock;
use rutil::{Actor, Bell, Clock, FifoReceiver, FifoSender, Sleeper, Turn, fifo};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(10);

/// A poll group driven by hand, with the far ends of its FIFOs.
struct Bench {
    group: PollGroup,
    clock: RealClock,
    rx: FifoReceiver<Received>,
    failed: Arc<Mutex<Vec<TransportFailed>>>,
    proved: Arc<ProvedPeers>,
}

impl Bench {
    fn new(rx_capacity: usize) -> Self {
        let (tx, rx) = fifo("rx", rx_capacity, Bell::silent());
        let failed = Arc::new(Mutex::new(Vec::new()));
        let sink = failed.clone();
        let group = PollGroup::new(tx, Box::new(move |f, _| sink.lock().unwrap().push(f))).unwrap();
        Bench { group, clock: RealClock::new(), rx, failed, proved: Arc::default() }
    }

    fn udp(&mut self, id: u16, addr: &str, options: &UdpOptions) -> (SocketAddr, FifoSender<Wire>) {
        let (tx, rx) = fifo("wire", 2048, self.group.bell());
        (self.group.add_udp(TransportId(id), addr.parse().unwrap(), rx, options).unwrap(), tx)
    }

    fn tcp(&mut self, id: u16, addr: &str, options: &TcpOptions) -> (SocketAddr, FifoSender<Wire>) {
        let (tx, rx) = fifo("wire", 2048, self.group.bell());
        (self.group.add_tcp(TransportId(id), addr.parse().unwrap(), rx, options).unwrap(), tx)
    }

    fn tls(
        &mut self,
        id: u16,
        addr: &str,
        options: &TcpOptions,
        tls: crate::transport::tls::TlsContext,
    ) -> (SocketAddr, FifoSender<Wire>) {
        let (tx, rx) = fifo("wire", 2048, self.group.bell());
        (
            self.group
                .add_tls(TransportId(id), addr.parse().unwrap(), rx, options, (tls, self.proved.clone()))
                .unwrap(),
            tx,
        )
    }

    fn ws(
        &mut self,
        id: u16,
        options: (&TcpOptions, &WsOptions),
        tls: Option<crate::transport::tls::TlsContext>,
    ) -> (SocketAddr, FifoSender<Wire>) {
        let (tx, rx) = fifo("wire", 2048, self.group.bell());
        let addr = (std::net::Ipv4Addr::LOCALHOST, 0).into();
        (self.group.add_ws(TransportId(id), addr, rx, options, tls.map(|tls| (tls, self.proved.clone()))).unwrap(), tx)
    }

    /// One pass as a runner makes it.
    fn pass(&mut self) {
        let now = self.clock.now();
        if self.group.turn(now) == Turn::Idle {
            let wait = self.group.deadline().map_or(Duration::from_millis(5), |at| at.since(now));
            self.group.sleep(Some(wait.min(Duration::from_millis(5))));
        } else {
            self.group.sleep(Some(Duration::ZERO));
        }
    }

    /// Passes until `done` says so; panics with `what` when it does not come.
    fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let end = self.clock.now() + PATIENCE;
        while !done(self) {
            assert!(self.clock.now() < end, "waited in vain for {what}");
            self.pass();
        }
    }

    /// What comes out of `rx` next.
    fn next(&mut self) -> Received {
        let mut got = None;
        self.until("something received", |b| {
            got = b.rx.pop();
            got.is_some()
        });
        got.unwrap()
    }

    /// The next datagram or chunk.
    fn bytes(&mut self) -> (Bytes, Flow) {
        match self.next() {
            Received::Datagram { bytes, flow, .. } | Received::Chunk { bytes, flow, .. } => (bytes, flow),
            other => panic!("{other:?}"),
        }
    }

    fn push(&self, wire: &FifoSender<Wire>, message: Wire) {
        wire.push(message, rutil::Class::Internal, self.clock.now()).unwrap();
    }

    /// The failure of the message whose key is `key`.
    fn failure(&mut self, key: u64) -> TransportError {
        let mut error = None;
        self.until("a failure", |b| {
            error = b.failed.lock().unwrap().iter().find(|f| f.notify.key == key).map(|f| f.error);
            error.is_some()
        });
        error.unwrap()
    }
}

/// A message to `peer`; its failure is reported under `key`.
/// Whether this machine has IPv6 on its loopback. With `CI=true` it has to: nothing is left out unseen there.
pub(super) fn has_v6() -> bool {
    let tried = std::net::UdpSocket::bind("[::1]:0");
    if let Err(error) = &tried {
        assert!(!std::env::var("CI").is_ok_and(|value| value == "true"), "no IPv6 on the loopback: {error}");
        eprintln!("skipped: this machine has no IPv6 loopback: {error}");
    }
    tried.is_ok()
}

fn send(bytes: impl Into<Bytes>, peer: SocketAddr, key: u64) -> Wire {
    Wire::Send {
        bytes: bytes.into(),
        peer,
        domain: None,
        local: None,
        connection: ConnectionId::default(),
        connect: true,
        notify: Some(Notify { shard: 0, key }),
    }
}

/// Sends every datagram back.
struct Echo {
    rx: FifoReceiver<Received>,
    wire: FifoSender<Wire>,
}

impl Actor for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }
    fn turn(&mut self, now: Time) -> Turn {
        let Some(received) = self.rx.pop() else { return Turn::Idle };
        let (Received::Datagram { bytes, flow, .. } | Received::Chunk { bytes, flow, .. }) = received else {
            return Turn::Worked;
        };
        let Flow { peer, local, connection, .. } = flow;
        let answer = Wire::Send { bytes, peer, local, domain: None, connection, connect: false, notify: None };
        self.wire.push(answer, rutil::Class::Internal, now).unwrap();
        Turn::Worked
    }
}

#[test]
fn a_runner_on_its_own_thread_sleeps_on_the_sockets() {
    let (tx, rx) = fifo("rx", 64, Bell::silent());
    let mut group = PollGroup::new(tx, Box::new(|f, _| panic!("{f:?}"))).unwrap();
    let (wire, wire_rx) = fifo("wire", 64, Bell::silent());
    let addr = "127.0.0.1:0".parse().unwrap();
    let local = group.add_udp(TransportId(0), addr, wire_rx, &UdpOptions::default()).unwrap();
    let (bell, stop) = (group.bell(), Arc::new(rutil::Control::default()));
    let mut runner = rutil::Runner::new(group, RealClock::new(), stop.clone());
    runner.add(Box::new(Echo { rx, wire }));
    std::thread::scope(|scope| {
        scope.spawn(move || runner.run());
        let peer = std::net::UdpSocket::bind(addr).unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut buffer = [0; 8];
        let echoed = (0..2000u32).all(|i| {
            peer.send_to(&i.to_be_bytes(), local).is_ok()
                && peer.recv(&mut buffer).is_ok_and(|size| buffer[..size] == i.to_be_bytes())
        });
        stop.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        bell.ring();
        assert!(echoed);
    });
}
