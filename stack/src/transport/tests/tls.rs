//! TLS between two transports of one poll group, and against peers that misbehave.

use super::*;
use crate::statistics::Counter;
use crate::transport::tls::{TlsContext, mutual_tls_context, tls_context};
use std::io::{Read, Write as _};
use std::net::{IpAddr, TcpStream};

const LOCAL: &str = "127.0.0.1:0";

/// A context whose certificate is for these names, and which trusts whoever issued it.
pub(super) fn context(names: &[&str]) -> TlsContext {
    let names =
        names.iter().map(|name| format!("{}={name}", if name.parse::<IpAddr>().is_ok() { "ip" } else { "dns" }));
    tls_context(&names.collect::<Vec<_>>().join(" "))
}

/// Two TLS transports of one group, the second with its address: they speak with each other.
struct Pair {
    bench: Bench,
    near: FifoSender<Wire>,
    far: FifoSender<Wire>,
    at: SocketAddr,
}

impl Pair {
    fn new(names: &[&str], options: &TcpOptions) -> Self {
        Self::of(context(names), options)
    }

    fn of(tls: TlsContext, options: &TcpOptions) -> Self {
        let mut bench = Bench::new(64);
        let (_, near) = bench.tls(0, LOCAL, options, tls.clone());
        let (at, far) = bench.tls(1, LOCAL, options, tls);
        Pair { bench, near, far, at }
    }

    fn send(&self, bytes: impl Into<Bytes>, domain: Option<&str>, key: u64) {
        let (peer, connection) = (self.at, ConnectionId::default());
        let notify = Some(Notify { shard: 0, key });
        let domain = domain.map(Into::into);
        self.bench.push(
            &self.near,
            Wire::Send { bytes: bytes.into(), peer, local: None, domain, connection, connect: true, notify },
        );
    }

    fn failed(&self) -> Vec<TransportError> {
        self.bench.failed.lock().unwrap().iter().map(|f| f.error).collect()
    }

    fn counted(&self, id: u16, what: impl Fn(&TransportStats) -> &Counter) -> u64 {
        what(&self.bench.group.stats(TransportId(id)).unwrap()).get()
    }

    /// Collects octets until there are `size`; the last flow.
    fn gather(&mut self, size: usize) -> (Vec<u8>, Flow) {
        let (mut all, mut last) = (Vec::new(), None);
        while all.len() < size {
            let (bytes, flow) = self.bench.bytes();
            all.extend_from_slice(&bytes);
            last = Some(flow);
        }
        (all, last.unwrap())
    }
}

#[test]
fn messages_pass_both_ways_over_one_connection() {
    let mut pair = Pair::new(&["example.com"], &TcpOptions::default());
    pair.send("one", Some("example.com"), 1);
    pair.send("two", Some("EXAMPLE.com"), 2);
    let (got, flow) = pair.gather(6);
    assert_eq!(got, b"onetwo");
    assert_eq!((flow.transport, flow.kind), (TransportId(1), TransportType::Tls));
    let (peer, connection) = (flow.peer, flow.connection);
    let answer =
        Wire::Send { bytes: "back".into(), peer, local: None, domain: None, connection, connect: false, notify: None };
    pair.bench.push(&pair.far, answer);
    assert_eq!(pair.gather(4).0, b"back");
    // What follows on the flow (an ACK, a CANCEL) names no domain.
    pair.send("three", None, 3);
    assert_eq!(pair.gather(5).0, b"three");
    assert_eq!(pair.counted(0, |s| &s.connected), 1);
    assert_eq!((pair.counted(0, |s| &s.handshakes), pair.counted(1, |s| &s.handshakes)), (1, 1));
    assert_eq!(pair.failed(), []);
}

#[test]
fn much_more_than_a_socket_takes_arrives_whole() {
    let mut pair = Pair::new(&["example.com"], &TcpOptions { write_queue: 8 << 20, ..TcpOptions::default() });
    let message: Vec<u8> = (0..7_000_000_u32).map(|n| (n % 251) as u8).collect();
    pair.send(message.clone(), Some("example.com"), 1);
    pair.send("end", Some("example.com"), 2);
    let (got, _) = pair.gather(message.len() + 3);
    assert!(got.starts_with(&message) && got.ends_with(b"end"));
}

#[test]
fn a_peer_that_is_somebody_else_gets_nothing() {
    let mut pair = Pair::new(&["example.com"], &TcpOptions::default());
    pair.send("secret", Some("example.org"), 7);
    assert_eq!(pair.bench.failure(7), TransportError::Handshake);
    assert_eq!(pair.counted(0, |s| &s.handshakes_failed), 1);
    pair.bench.until("the server's view", |b| b.group.stats(TransportId(1)).unwrap().closed.get() == 1);
    assert!(pair.bench.rx.pop().is_none());
}

#[test]
fn another_domain_at_the_same_address_has_a_connection_of_its_own() {
    let mut pair = Pair::new(&["example.com", "example.net", "127.0.0.1"], &TcpOptions::default());
    for (n, domain) in ["example.com", "example.net", "127.0.0.1", "example.com"].into_iter().enumerate() {
        pair.send("x", Some(domain), n as u64);
        pair.gather(1);
    }
    assert_eq!(pair.counted(0, |s| &s.connected), 3);
    assert_eq!(pair.failed(), []);
}

#[test]
fn an_accepted_connection_serves_its_address() {
    let mut pair = Pair::new(&["example.com"], &TcpOptions::default());
    pair.send("register", Some("example.com"), 1);
    let (_, flow) = pair.gather(8);
    let (peer, connection) = (flow.peer, ConnectionId::default());
    let domain = Some(peer.ip().to_string().into());
    let invite =
        Wire::Send { bytes: "invite".into(), peer, local: None, domain, connection, connect: true, notify: None };
    pair.bench.push(&pair.far, invite);
    assert_eq!(pair.gather(6).0, b"invite");
    assert_eq!(pair.counted(1, |s| &s.connected), 0);
}

#[test]
fn plain_text_on_the_tls_port_ends_the_connection() {
    let mut pair = Pair::new(&["example.com"], &TcpOptions::default());
    let mut peer = TcpStream::connect(pair.at).unwrap();
    peer.write_all(b"OPTIONS sip:example.com SIP/2.0\r\n\r\n").unwrap();
    peer.set_nonblocking(true).unwrap();
    pair.bench.until("the end", |_| match peer.read(&mut [0; 64]) {
        // The alert that says why.
        Ok(size) => size == 0,
        Err(e) => e.kind() != std::io::ErrorKind::WouldBlock,
    });
    assert!(pair.bench.rx.pop().is_none(), "nobody heard of it");
    assert_eq!(pair.counted(1, |s| &s.handshakes_failed), 1);
}

/// A reset instead of the rest of the handshake costs that connection, and no other.
#[test]
fn a_reset_in_mid_handshake_of_a_client() {
    let mut pair = Pair::new(&["example.com"], &TcpOptions::default());
    pair.send("before", Some("example.com"), 1);
    pair.gather(6);
    let mut peer = TcpStream::connect(pair.at).unwrap();
    // The head of a record, and of a ClientHello in it.
    peer.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]).unwrap();
    pair.bench.until("its octets", |b| b.group.stats(TransportId(1)).unwrap().accepted.get() == 2);
    reset(peer);
    pair.bench.until("its end", |b| b.group.stats(TransportId(1)).unwrap().closed.get() == 1);
    assert_eq!((pair.counted(1, |s| &s.handshakes), pair.counted(1, |s| &s.handshakes_failed)), (1, 1));
    assert!(pair.bench.rx.pop().is_none(), "nobody hears of it");
    pair.send("after", Some("example.com"), 2);
    assert_eq!(pair.gather(5).0, b"after");
    assert_eq!((pair.counted(0, |s| &s.connected), pair.failed()), (1, vec![]));
}

#[test]
fn a_reset_in_mid_handshake_of_a_server_fails_what_waits() {
    let mut pair = Pair::new(&["example.com"], &TcpOptions::default());
    let server = std::net::TcpListener::bind(LOCAL).unwrap();
    pair.at = server.local_addr().unwrap();
    pair.send("one", Some("example.com"), 1);
    pair.send("two", Some("example.com"), 2);
    server.set_nonblocking(true).unwrap();
    let mut accepted = None;
    pair.bench.until("a connection", |_| {
        accepted = accepted.take().or_else(|| server.accept().ok());
        accepted.iter().for_each(|(stream, _)| stream.set_nonblocking(true).unwrap());
        // Its ClientHello has come.
        accepted.as_ref().is_some_and(|(stream, _)| stream.peek(&mut [0; 64]).is_ok_and(|size| size == 64))
    });
    reset(accepted.unwrap().0);
    assert_eq!([pair.bench.failure(1), pair.bench.failure(2)], [TransportError::Handshake; 2]);
    assert_eq!((pair.counted(0, |s| &s.handshakes_failed), pair.counted(0, |s| &s.closed)), (1, 1));
}

/// Ends a connection as a process does that dies with octets unread.
fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

#[test]
fn who_says_nothing_is_closed_in_time() {
    let options = TcpOptions { handshake_timeout: Duration::from_millis(50), ..TcpOptions::default() };
    let mut pair = Pair::new(&["example.com"], &options);
    let _silent = TcpStream::connect(pair.at).unwrap();
    pair.bench.until("the connection's end", |b| b.group.stats(TransportId(1)).unwrap().closed.get() == 1);
    assert!(pair.bench.rx.pop().is_none());
}

#[test]
fn one_source_has_its_share_of_half_open_connections() {
    let options = TcpOptions { max_handshakes: 24, ..TcpOptions::default() };
    let mut pair = Pair::new(&["example.com"], &options);
    let silent: Vec<TcpStream> = (0..10).map(|_| TcpStream::connect(pair.at).unwrap()).collect();
    pair.bench.until("seven ends", |b| b.group.stats(TransportId(1)).unwrap().closed.get() == 7);
    pair.send("too many", Some("example.com"), 1);
    pair.bench.failure(1);
    drop(silent);
    pair.bench.until("all ends", |b| b.group.stats(TransportId(1)).unwrap().closed.get() == 11);
    pair.send("hello", Some("example.com"), 2);
    assert_eq!(pair.gather(5).0, b"hello");
}

#[test]
fn close_is_told_to_both_sides() {
    let mut pair = Pair::new(&["example.com"], &TcpOptions::default());
    pair.send("before", Some("example.com"), 1);
    let (_, flow) = pair.gather(6);
    pair.bench.push(&pair.far, Wire::Close { connection: flow.connection });
    let mut ended = Vec::new();
    while ended.len() < 2 {
        // That nobody answered "before" is news as well.
        if let Received::Closed { flow } = pair.bench.next() {
            ended.push(flow.transport);
        }
    }
    ended.sort_unstable();
    assert_eq!(ended, [TransportId(0), TransportId(1)]);
}

/// A short read does not hide the FIN that came with it, whether there is a whole record before it or a part of one.
#[test]
fn a_fin_right_behind_the_octets_is_seen() {
    let tls = context(&["example.com"]);
    for cut in [0, 1] {
        let mut pair = Pair::of(tls.clone(), &TcpOptions::default());
        let mut socket = TcpStream::connect(pair.at).unwrap();
        socket.set_nonblocking(true).unwrap();
        let name = rustls::pki_types::ServerName::try_from("example.com").unwrap();
        let mut session = rustls::ClientConnection::new(tls.client(), name).unwrap();
        pair.bench.until("the handshake", |_| session.complete_io(&mut socket).is_ok() && !session.is_handshaking());
        session.writer().write_all(b"bye").unwrap();
        let mut record = Vec::new();
        session.write_tls(&mut record).unwrap();
        socket.write_all(&record[..record.len() - cut]).unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        if cut == 0 {
            assert_eq!(pair.gather(3).0, b"bye");
        }
        assert!(matches!(pair.bench.next(), Received::Closed { .. }), "cut by {cut}");
    }
}

/// RFC 5923: of two proxies that know each other by certificate, each sends on the connection that the other opened.
#[test]
fn a_peer_that_has_proved_who_it_is_gets_requests_on_its_own_connection() {
    let mut pair = Pair::of(mutual_tls_context("dns=example.com"), &TcpOptions::default());
    pair.send("request", Some("example.com"), 1);
    let (_, flow) = pair.gather(7);
    assert_eq!(pair.bench.proved.of(&flow).as_deref(), Some(&["example.com".to_owned()][..]));
    let (connection, port) = (flow.connection, 5099);
    pair.bench.push(&pair.far, Wire::Alias { connection, port });
    let back = |domain: &str, key| Wire::Send {
        bytes: "back".into(),
        peer: SocketAddr::new(flow.peer.ip(), port),
        local: None,
        domain: Some(domain.into()),
        connection: ConnectionId::default(),
        connect: false,
        notify: Some(Notify { shard: 0, key }),
    };
    pair.bench.push(&pair.far, back("example.com", 2));
    assert_eq!(pair.gather(4).0, b"back");
    // It is nobody else's, nor that of its address, which no certificate names.
    for (other, key) in [("example.org", 3), ("127.0.0.1", 5)] {
        pair.bench.push(&pair.far, back(other, key));
        assert_eq!(pair.bench.failure(key), TransportError::NoConnection);
    }
    // With the connection all that goes.
    pair.bench.push(&pair.far, Wire::Close { connection });
    while !matches!(pair.bench.next(), Received::Closed { flow } if flow.connection == connection) {}
    pair.bench.until("its end", |b| b.group.stats(TransportId(1)).unwrap().closed.get() == 1);
    assert_eq!(pair.bench.proved.of(&flow), None);
    pair.bench.push(&pair.far, back("example.com", 4));
    assert_eq!(pair.bench.failure(4), TransportError::NoConnection);
}

#[test]
fn an_alias_of_somebody_unknown_is_nothing() {
    let mut pair = Pair::new(&["example.com"], &TcpOptions::default());
    pair.send("request", Some("example.com"), 1);
    let (_, flow) = pair.gather(7);
    assert_eq!(pair.bench.proved.of(&flow), None);
    pair.bench.push(&pair.far, Wire::Alias { connection: flow.connection, port: 5099 });
    let (peer, connection) = (SocketAddr::new(flow.peer.ip(), 5099), ConnectionId::default());
    let notify = Some(Notify { shard: 0, key: 2 });
    let domain = Some("example.com".into());
    let back = Wire::Send { bytes: "back".into(), peer, local: None, domain, connection, connect: false, notify };
    pair.bench.push(&pair.far, back);
    assert_eq!(pair.bench.failure(2), TransportError::NoConnection);
}
