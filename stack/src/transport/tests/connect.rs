//! Connections that are asked for before there is anything to send.

use super::tls::context;
use super::*;
use std::net::TcpListener;

/// A transport and what it tells of attempts.
struct Dialer {
    bench: Bench,
    wire: FifoSender<Wire>,
    told: FifoReceiver<Connected>,
}

impl Dialer {
    fn of(mut bench: Bench, wire: FifoSender<Wire>) -> Self {
        let (tx, told) = fifo("connected", 16, Bell::silent());
        bench.group.report_connects(tx);
        Dialer { bench, wire, told }
    }

    fn tcp() -> Self {
        let mut bench = Bench::new(64);
        let (_, wire) = bench.tcp(0, "127.0.0.1:0", &TcpOptions::default());
        Self::of(bench, wire)
    }

    fn connect(&self, peer: SocketAddr, race: u64, domain: Option<&str>) -> Attempt {
        let attempt = Attempt { race, number: 0 };
        let domain = domain.map(Into::into);
        self.bench.push(&self.wire, Wire::Connect { peer, local: None, domain, attempt });
        attempt
    }

    fn result(&mut self, attempt: Attempt) -> Result<ConnectionId, TransportError> {
        let mut got = None;
        let told = &mut self.told;
        self.bench.until("what became of it", |_| {
            got = told.pop();
            got.is_some()
        });
        let got = got.unwrap();
        assert_eq!(got.attempt, attempt);
        got.result
    }

    fn open(&self) -> u64 {
        let stats = self.bench.group.stats(TransportId(0)).unwrap();
        stats.connected.get() - stats.closed.get()
    }
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    (listener, at)
}

#[test]
fn one_that_is_up_serves_who_asks_and_what_is_sent() {
    let mut dialer = Dialer::tcp();
    let (_listener, at) = listener();
    let first = dialer.connect(at, 1, None);
    let id = dialer.result(first).unwrap();
    let second = dialer.connect(at, 2, None);
    assert_eq!((dialer.result(second), dialer.open()), (Ok(id), 1));
    let message = send("hello", at, 1);
    dialer.bench.push(&dialer.wire, message);
    dialer.bench.until("the message", |b| b.group.stats(TransportId(0)).unwrap().sent.get() == 1);
    assert_eq!(dialer.open(), 1);
}

#[test]
fn a_refusal_is_told() {
    let mut dialer = Dialer::tcp();
    let (listener, at) = listener();
    drop(listener);
    let attempt = dialer.connect(at, 1, None);
    assert_eq!(dialer.result(attempt), Err(TransportError::Refused));
    let other = "[::1]:5060".parse().unwrap();
    let attempt = dialer.connect(other, 2, None);
    assert_eq!(dialer.result(attempt), Err(TransportError::NoTransport));
}

/// TLS counts: before it is agreed on the connection is of no use. While it comes up it can be given up, by all who wait.
#[test]
fn what_is_given_up_ends_unless_it_is_used() {
    let mut bench = Bench::new(64);
    let (_, wire) = bench.tls(0, "127.0.0.1:0", &TcpOptions::default(), context(&["example.com"]));
    let mut dialer = Dialer::of(bench, wire);
    let (silent, at) = listener();
    let attempts = [1, 2].map(|race| dialer.connect(at, race, Some("example.com")));
    dialer.bench.until("a connection", |b| b.group.stats(TransportId(0)).unwrap().connected.get() == 1);
    dialer.bench.push(&dialer.wire, Wire::GiveUp { peer: at, attempt: attempts[0] });
    (0..5).for_each(|_| dialer.bench.pass());
    assert_eq!(dialer.open(), 1, "somebody waits");
    dialer.bench.push(&dialer.wire, Wire::GiveUp { peer: at, attempt: attempts[1] });
    dialer.bench.until("its end", |b| b.group.stats(TransportId(0)).unwrap().closed.get() == 1);
    assert!(dialer.told.pop().is_none(), "who gave up hears nothing");
    // A message waits on the next one: it is not closed for want of a race.
    let attempt = dialer.connect(at, 3, Some("example.com"));
    let (bytes, connection) = ("hello".into(), ConnectionId::default());
    let (domain, notify) = (Some("example.com".into()), Some(Notify { shard: 0, key: 9 }));
    let message = Wire::Send { bytes, peer: at, local: None, domain, connection, connect: true, notify };
    dialer.bench.push(&dialer.wire, message);
    dialer.bench.push(&dialer.wire, Wire::GiveUp { peer: at, attempt });
    (0..5).for_each(|_| dialer.bench.pass());
    assert_eq!(dialer.bench.group.stats(TransportId(0)).unwrap().closed.get(), 1);
    drop(silent);
    dialer.bench.failure(9);
}

#[test]
fn tls_is_up_when_it_is_agreed_on() {
    let mut bench = Bench::new(64);
    let tls = context(&["example.com"]);
    let (_, wire) = bench.tls(0, "127.0.0.1:0", &TcpOptions::default(), tls.clone());
    let (at, _far) = bench.tls(1, "127.0.0.1:0", &TcpOptions::default(), tls);
    let mut dialer = Dialer::of(bench, wire);
    let attempt = dialer.connect(at, 1, Some("example.com"));
    assert!(dialer.result(attempt).is_ok());
    assert_eq!(dialer.bench.group.stats(TransportId(0)).unwrap().handshakes.get(), 1);
    let attempt = dialer.connect(at, 2, Some("example.org"));
    assert_eq!(dialer.result(attempt), Err(TransportError::Handshake));
}
