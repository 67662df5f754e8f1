use super::connection::UNANSWERED;
use super::*;
use std::io::{Read, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};

pub(super) const LOCAL: &str = "127.0.0.1:0";

/// A peer connected to `to`.
pub(super) fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    // A fixed window: else the system would take in more and more for a peer that does not read.
    socket2::SockRef::from(&stream).set_recv_buffer_size(256 << 10).unwrap();
    stream
}

/// A peer that listens, and its address.
pub(super) fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(LOCAL).unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// The next connection of a peer that listens.
pub(super) fn accept(bench: &mut Bench, listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    let mut stream = None;
    bench.until("a connection", |_| {
        stream = listener.accept().ok();
        stream.is_some()
    });
    let (stream, _) = stream.unwrap();
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads as many octets as `expected` has while the transport works.
pub(super) fn expect(bench: &mut Bench, stream: &mut TcpStream, expected: &[u8]) {
    stream.set_nonblocking(true).unwrap();
    let mut got = Vec::new();
    let mut buffer = vec![0; 1 << 20];
    bench.until("octets at the peer", |_| {
        let room = buffer.len().min(expected.len() - got.len());
        match stream.read(&mut buffer[..room]) {
            Ok(size) => got.extend_from_slice(&buffer[..size]),
            Err(e) => assert_eq!(e.kind(), std::io::ErrorKind::WouldBlock),
        }
        got.len() == expected.len()
    });
    assert!(got == expected);
}

/// The peer sees that the connection has ended.
pub(super) fn expect_end(bench: &mut Bench, stream: &mut TcpStream) {
    stream.set_nonblocking(true).unwrap();
    bench.until("the end at the peer", |_| match stream.read(&mut [0; 64]) {
        Ok(size) => size == 0,
        Err(e) => e.kind() == std::io::ErrorKind::ConnectionReset,
    });
}

fn flow(connection: u64, peer: SocketAddr) -> Flow {
    let connection = ConnectionId(connection);
    Flow { transport: TransportId(0), kind: TransportType::Tcp, connection, peer, local: None }
}

/// A message on one connection only.
fn on(flow: Flow, bytes: impl Into<Bytes>, key: u64) -> Wire {
    Wire::Send {
        bytes: bytes.into(),
        peer: flow.peer,
        local: flow.local,
        domain: None,
        connection: flow.connection,
        connect: false,
        notify: Some(Notify { shard: 0, key }),
    }
}

pub(super) fn closed(bench: &mut Bench) -> Flow {
    match bench.next() {
        Received::Closed { flow } => flow,
        other => panic!("{other:?}"),
    }
}

fn reuse(addr: &str) {
    let mut bench = Bench::new(64);
    let (_, wire) = bench.tcp(5, addr, &TcpOptions::default());
    let listener = TcpListener::bind(addr).unwrap();
    let to = listener.local_addr().unwrap();
    // Both before and after the connection is up.
    bench.push(&wire, send("one ", to, 1));
    bench.push(&wire, send("two ", to, 2));
    let mut peer = accept(&mut bench, &listener);
    expect(&mut bench, &mut peer, b"one two ");
    bench.push(&wire, send("three", to, 3));
    expect(&mut bench, &mut peer, b"three");
    assert!(listener.accept().is_err(), "a second connection");
    peer.write_all(b"answer").unwrap();
    let (bytes, flow) = bench.bytes();
    assert_eq!(&bytes[..], b"answer");
    assert_eq!((flow.transport, flow.kind, flow.peer), (TransportId(5), TransportType::Tcp, to));
    assert_ne!(flow.connection, ConnectionId(0));
    let stats = bench.group.stats(TransportId(5)).unwrap();
    assert_eq!((stats.connected.get(), stats.sent.get(), stats.sent_octets.get()), (1, 3, 13));
    assert!(bench.failed.lock().unwrap().is_empty());
}

#[test]
fn one_connection_serves_all_messages_to_a_peer() {
    reuse(LOCAL);
}

#[test]
fn one_connection_serves_all_messages_to_a_peer_v6() {
    if !has_v6() {
        return;
    }
    reuse("[::1]:0");
}

#[test]
fn one_byte_at_a_time_and_back() {
    let mut bench = Bench::new(64);
    let (local, wire) = bench.tcp(0, LOCAL, &TcpOptions::default());
    let mut peer = connect(local);
    let text = b"OPTIONS sip:a@b SIP/2.0\r\n\r\n";
    let mut first = None;
    for byte in text {
        peer.write_all(&[*byte]).unwrap();
        let (bytes, flow) = bench.bytes();
        assert_eq!(&bytes[..], [*byte]);
        assert_eq!(*first.get_or_insert(flow), flow);
        bench.push(&wire, on(flow, bytes, 1));
    }
    expect(&mut bench, &mut peer, text);
    assert_eq!(first.unwrap().peer, peer.local_addr().unwrap());
}

#[test]
fn a_full_rx_stops_reading_and_loses_nothing() {
    const SIZE: usize = 4 << 20;
    let mut bench = Bench::new(3);
    let (local, _wire) = bench.tcp(0, LOCAL, &TcpOptions::default());
    let data: Vec<u8> = (0..SIZE as u32).map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8).collect();
    let mut got = Vec::with_capacity(SIZE);
    std::thread::scope(|scope| {
        let (mut peer, data) = (connect(local), &data);
        scope.spawn(move || peer.write_all(data).unwrap());
        let mut full = 0;
        while got.len() < SIZE {
            // Gives the transport more turns than room, so that it has to wait.
            bench.until("a full rx", |b| b.rx.len() >= 3 || got.len() + 3 * 65_536 >= SIZE);
            full += usize::from(bench.rx.len() >= 3);
            for _ in 0..3 {
                bench.pass();
            }
            assert!(bench.rx.len() <= 3);
            got.extend_from_slice(&bench.bytes().0);
        }
        assert!(full > 10, "rx was full {full} times");
    });
    assert!(got == data);
    closed(&mut bench);
}

#[test]
fn a_held_closed_is_not_lost() {
    let mut bench = Bench::new(1);
    let (local, _wire) = bench.tcp(0, LOCAL, &TcpOptions::default());
    for i in 0..8u8 {
        connect(local).write_all(&[i]).unwrap();
    }
    let (mut chunks, mut ends) = (Vec::new(), 0);
    while ends < 8 {
        match bench.next() {
            Received::Chunk { bytes, .. } => chunks.extend_from_slice(&bytes),
            _ => ends += 1,
        }
        bench.pass();
    }
    chunks.sort_unstable();
    assert_eq!(chunks, (0..8).collect::<Vec<u8>>());
}

#[test]
fn a_peer_that_does_not_read_congests_its_own_connection_only() {
    let mut bench = Bench::new(64);
    let options = TcpOptions { write_queue: 65_536, ..TcpOptions::default() };
    let (local, wire) = bench.tcp(0, LOCAL, &options);
    let (mut idle, mut lively) = (connect(local), connect(local));
    idle.write_all(b"i").unwrap();
    let (_, slow) = bench.bytes();
    lively.write_all(b"l").unwrap();
    let (_, fast) = bench.bytes();
    let mut pushed = 0u64;
    bench.until("congestion", |b| {
        b.push(&wire, on(slow, vec![pushed as u8; 16_384], pushed));
        pushed += 1;
        !b.failed.lock().unwrap().is_empty()
    });
    assert!(bench.failed.lock().unwrap().iter().all(|f| f.error == TransportError::Congested));
    bench.push(&wire, on(fast, "still alive", 1 << 32));
    expect(&mut bench, &mut lively, b"still alive");
    // What was taken arrives whole and in order; what was refused does not arrive at all.
    let refused: Vec<u64> = bench.failed.lock().unwrap().iter().map(|f| f.notify.key).collect();
    let expected: Vec<u8> = (0..pushed).filter(|k| !refused.contains(k)).flat_map(|k| vec![k as u8; 16_384]).collect();
    expect(&mut bench, &mut idle, &expected);
    bench.push(&wire, on(slow, vec![0; 65_537], 7777));
    assert_eq!(bench.failure(7777), TransportError::TooLarge);
}

#[test]
fn a_reset_fails_what_is_not_wholly_written() {
    let mut bench = Bench::new(64);
    let (local, wire) = bench.tcp(0, LOCAL, &TcpOptions { write_queue: 16 << 20, ..TcpOptions::default() });
    let mut peer = connect(local);
    peer.write_all(b"INVITE sip:half").unwrap();
    let (_, flow) = bench.bytes();
    let stats = bench.group.stats(TransportId(0)).unwrap();
    bench.push(&wire, on(flow, vec![b'x'; 12 << 20], 1));
    bench.push(&wire, on(flow, "behind", 2));
    bench.until("octets on the way", |_| stats.sent_octets.get() > 0);
    socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    assert_eq!(bench.failure(1), TransportError::ConnectionLost);
    assert_eq!(bench.failure(2), TransportError::ConnectionLost);
    assert_eq!(closed(&mut bench), flow);
    // The id is never used again.
    bench.push(&wire, on(flow, "late", 3));
    assert_eq!(bench.failure(3), TransportError::NoConnection);
    assert_eq!(stats.closed.get(), 1);
}

#[test]
fn a_refused_connection_fails_its_messages() {
    let mut bench = Bench::new(64);
    let (_, wire) = bench.tcp(0, LOCAL, &TcpOptions::default());
    let (listener, to) = listen();
    drop(listener);
    bench.push(&wire, send("one", to, 1));
    bench.push(&wire, send("two", to, 2));
    assert_eq!(bench.failure(1), TransportError::Refused);
    assert_eq!(bench.failure(2), TransportError::Refused);
    assert!(bench.rx.pop().is_none());
}

#[test]
fn a_connection_that_does_not_come_up_times_out() {
    let mut bench = Bench::new(64);
    let options = TcpOptions { connect_timeout: Duration::from_millis(100), ..TcpOptions::default() };
    let (_, wire) = bench.tcp(0, LOCAL, &options);
    // A listener that accepts nothing and whose backlog is full answers no SYN.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&LOCAL.parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.listen(0).unwrap();
    let to = socket.local_addr().unwrap().as_socket().unwrap();
    let _filling = connect(to);
    bench.push(&wire, send("x", to, 1));
    assert_eq!(bench.failure(1), TransportError::ConnectTimeout);
    bench.push(&wire, on(flow(0, to), "x", 2));
    assert_eq!(bench.failure(2), TransportError::NoConnection);
}

#[test]
fn an_idle_connection_is_closed() {
    let mut bench = Bench::new(64);
    let options = TcpOptions { idle_timeout: Duration::from_millis(100), ..TcpOptions::default() };
    let (local, _wire) = bench.tcp(0, LOCAL, &options);
    let mut peer = connect(local);
    let begin = bench.clock.now();
    // Traffic keeps it alive beyond its first due time.
    while bench.clock.now().since(begin) < Duration::from_millis(250) {
        peer.write_all(b"x").unwrap();
        bench.bytes();
        bench.pass();
    }
    closed(&mut bench);
    expect_end(&mut bench, &mut peer);
}

#[test]
fn a_full_table_closes_the_connection_idle_longest() {
    let mut bench = Bench::new(64);
    let (local, wire) = bench.tcp(0, LOCAL, &TcpOptions { max_connections: 2, ..TcpOptions::default() });
    let mut first = connect(local);
    first.write_all(b"1").unwrap();
    let (_, flow1) = bench.bytes();
    let mut second = connect(local);
    second.write_all(b"2").unwrap();
    let (_, flow2) = bench.bytes();
    // The first speaks again, so the second is the one idle longest.
    first.write_all(b"1").unwrap();
    bench.bytes();
    let mut third = connect(local);
    third.write_all(b"3").unwrap();
    assert_eq!(closed(&mut bench), flow2);
    assert_eq!(&bench.bytes().0[..], b"3");
    expect_end(&mut bench, &mut second);
    bench.push(&wire, on(flow1, "still here", 1));
    expect(&mut bench, &mut first, b"still here");
}

/// Somebody else may have the address by now: behind a NAT, or because he wanted to (RFC 5626 §5.3.1).
#[test]
fn what_goes_to_a_flow_goes_to_no_other_connection_of_its_address() {
    let mut bench = Bench::new(64);
    let (local, wire) = bench.tcp(0, LOCAL, &TcpOptions::default());
    let mut peer = connect(local);
    peer.write_all(b"1").unwrap();
    let (_, flow) = bench.bytes();
    let gone = Flow { connection: ConnectionId(flow.connection.0 + (1 << 24)), ..flow };
    bench.push(&wire, on(gone, "for who was there before", 1));
    assert_eq!(bench.failure(1), TransportError::NoConnection);
    // What knows no connection takes the one that is there, and so does a response (RFC 3261 §18.2.2).
    bench.push(&wire, send("any", flow.peer, 2));
    expect(&mut bench, &mut peer, b"any");
    let Wire::Send { bytes, peer: to, local, domain, connection, notify, .. } = on(gone, "SIP/2.0 200 OK", 3) else {
        unreachable!()
    };
    bench.push(&wire, Wire::Send { bytes, peer: to, local, domain, connection, connect: true, notify });
    expect(&mut bench, &mut peer, b"SIP/2.0 200 OK");
}

/// Connections that carry nothing push out no device that keeps its own alive, however soon that is due (RFC 5626 §4.4).
#[test]
fn a_full_table_closes_who_keeps_his_connection_alive_last() {
    let mut bench = Bench::new(64);
    let (local, wire) = bench.tcp(0, LOCAL, &TcpOptions { max_connections: 3, ..TcpOptions::default() });
    let flows: Vec<_> = (0..3)
        .map(|_| {
            let mut peer = connect(local);
            peer.write_all(b"x").unwrap();
            let (_, flow) = bench.bytes();
            (peer, flow)
        })
        .collect();
    let kept = |n: usize| Wire::Expect { connection: flows[n].1.connection, within: Duration::from_secs(100) };
    bench.push(&wire, kept(0));
    bench.push(&wire, kept(2));
    // What follows on the wire is out, so they are taken.
    let stats = bench.group.stats(TransportId(0)).unwrap();
    bench.push(&wire, on(flows[1].1, "SIP/2.0 200 OK", 1));
    bench.until("a message", |_| stats.sent.get() == 1);
    let mut flood = Vec::new();
    let mut newcomer = |bench: &mut Bench| {
        let mut peer = connect(local);
        peer.write_all(b"f").unwrap();
        flood.push(peer);
        let gone = closed(bench);
        (gone, bench.bytes().1)
    };
    let (gone, first) = newcomer(&mut bench);
    assert_eq!(gone, flows[1].1);
    let (gone, second) = newcomer(&mut bench);
    assert_eq!(gone, first);
    // Where all keep theirs alive, the one that was silent longest.
    bench.push(&wire, Wire::Expect { connection: second.connection, within: Duration::from_secs(100) });
    bench.push(&wire, on(second, "SIP/2.0 200 OK", 2));
    bench.until("a message", |_| stats.sent.get() == 2);
    assert_eq!(newcomer(&mut bench).0, flows[0].1);
}

#[test]
fn one_source_does_not_take_all_connections() {
    let mut bench = Bench::new(16);
    let options = TcpOptions { max_per_source: 2, ..TcpOptions::default() };
    let (local, _wire) = bench.tcp(0, LOCAL, &options);
    let stats = bench.group.stats(TransportId(0)).unwrap();
    let first = connect(local);
    let mut second = connect(local);
    let mut third = connect(local);
    bench.until("the third one's end", |_| stats.refused.get() == 1);
    expect_end(&mut bench, &mut third);
    second.write_all(b"still there").unwrap();
    assert_eq!(bench.bytes().0, "still there");
    // Who leaves makes room.
    drop(first);
    bench.until("the first one's end", |_| stats.closed.get() == 1);
    connect(local).write_all(b"new").unwrap();
    bench.until(
        "the newcomer's octets",
        |b| matches!(b.rx.pop(), Some(Received::Chunk { bytes, .. }) if bytes == "new"),
    );
}

#[test]
fn without_leave_to_connect_there_is_no_connection() {
    let mut bench = Bench::new(64);
    let (_, wire) = bench.tcp(0, LOCAL, &TcpOptions::default());
    let (_listener, peer) = listen();
    let flow = flow(77, peer);
    bench.push(&wire, on(flow, "x", 1));
    assert_eq!(bench.failure(1), TransportError::NoConnection);
    bench.push(&wire, send("x", "[::1]:5060".parse().unwrap(), 2));
    assert_eq!(bench.failure(2), TransportError::NoTransport);
}

#[test]
fn a_peer_that_has_closed_its_half_still_gets_its_answer() {
    let mut bench = Bench::new(64);
    let (local, wire) = bench.tcp(0, LOCAL, &TcpOptions::default());
    let mut peer = connect(local);
    peer.write_all(b"question").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let (bytes, flow) = bench.bytes();
    assert_eq!(&bytes[..], b"question");
    assert_eq!(closed(&mut bench), flow);
    // So long an answer that the socket has to become writable again on the way.
    let answer = [b"SIP/2.0 200 ", &vec![b'a'; 900_000][..]].concat();
    bench.push(&wire, on(flow, answer.clone(), 1));
    bench.push(&wire, on(flow, "SIP/2.0 486 b", 3));
    expect(&mut bench, &mut peer, &[&answer[..], b"SIP/2.0 486 b"].concat());
    // New work does not go to a peer that is leaving.
    bench.push(&wire, on(Flow { connection: ConnectionId(0), ..flow }, "new", 2));
    assert_eq!(bench.failure(2), TransportError::NoConnection);
    bench.push(&wire, Wire::Close { connection: flow.connection });
    expect_end(&mut bench, &mut peer);
    bench.until("an empty wire", |b| b.group.drained());
    assert!(bench.rx.pop().is_none(), "closed is told once");
}

#[test]
fn close_comes_after_what_is_queued() {
    let mut bench = Bench::new(64);
    let (local, wire) = bench.tcp(0, LOCAL, &TcpOptions { write_queue: 8 << 20, ..TcpOptions::default() });
    let mut peer = connect(local);
    peer.write_all(b"garbage").unwrap();
    let (_, flow) = bench.bytes();
    let last = vec![b'y'; 6 << 20];
    bench.push(&wire, on(flow, last.clone(), 1));
    bench.push(&wire, Wire::Close { connection: flow.connection });
    // What the peer says now is dropped, and does not keep it from reading the answer.
    peer.write_all(b"more garbage").unwrap();
    expect(&mut bench, &mut peer, &last);
    expect_end(&mut bench, &mut peer);
    drop(peer);
    assert_eq!(closed(&mut bench), flow);
    assert!(bench.failed.lock().unwrap().is_empty());
}

#[test]
fn answers_that_close_overtook_still_go_out() {
    for half_closed in [false, true] {
        let mut bench = Bench::new(64);
        let (local, wire) = bench.tcp(0, LOCAL, &TcpOptions::default());
        let mut peer = connect(local);
        peer.write_all(b"question, garbage").unwrap();
        let (_, flow) = bench.bytes();
        if half_closed {
            peer.shutdown(Shutdown::Write).unwrap();
            assert_eq!(closed(&mut bench), flow);
        }
        let began = bench.clock.now();
        bench.push(&wire, Wire::Close { connection: flow.connection });
        bench.push(&wire, on(flow, "answer", 1));
        // New work does not go to a peer that is to be left.
        bench.push(&wire, on(Flow { connection: ConnectionId(0), ..flow }, "new", 2));
        expect(&mut bench, &mut peer, b"answer");
        assert_eq!(bench.failure(2), TransportError::NoConnection);
        expect_end(&mut bench, &mut peer);
        assert!(bench.clock.now().since(began) >= Duration::from_millis(500), "it ended before its time");
        bench.push(&wire, on(flow, "too late", 3));
        assert_eq!(bench.failure(3), TransportError::NoConnection);
        drop(peer);
        if !half_closed {
            assert_eq!(closed(&mut bench), flow);
        }
        let keys: Vec<_> = bench.failed.lock().unwrap().iter().map(|f| f.notify.key).collect();
        assert_eq!(keys, [2, 3]);
    }
}

#[test]
fn the_end_of_a_closing_connection_does_not_wait_for_silence() {
    let mut bench = Bench::new(64);
    let (local, wire) = bench.tcp(0, LOCAL, &TcpOptions::default());
    let mut peer = connect(local);
    peer.write_all(b"garbage").unwrap();
    let (_, flow) = bench.bytes();
    bench.push(&wire, Wire::Close { connection: flow.connection });
    bench.push(&wire, Wire::Close { connection: flow.connection });
    peer.set_nonblocking(true).unwrap();
    // A peer that talks on, and an answer for it at every turn.
    bench.until("the end at the peer", |b| {
        let _ = peer.write(b"more garbage");
        b.push(&wire, on(flow, "SIP/2.0 200 y", 1));
        match peer.read(&mut [0; 1024]) {
            Ok(size) => size == 0,
            Err(e) => e.kind() == std::io::ErrorKind::ConnectionReset,
        }
    });
    assert!(bench.rx.pop().is_none(), "nothing that came after the close is passed up");
}

/// The keys of the requests that a connection leaves without an answer.
pub(super) fn unanswered(bench: &mut Bench) -> (Flow, Vec<u64>) {
    match bench.next() {
        Received::Unanswered { flow, requests } => (flow, requests.iter().map(|notify| notify.key).collect()),
        other => panic!("{other:?}"),
    }
}

/// Behind what the peer still said, so that an answer is not overtaken.
#[test]
fn requests_on_a_connection_that_ends_are_told_of() {
    for reset in [false, true] {
        let mut bench = Bench::new(64);
        let (_, wire) = bench.tcp(0, LOCAL, &TcpOptions::default());
        let (listener, to) = listen();
        let messages = ["INVITE sip:a", "SIP/2.0 200 OK", "ACK sip:a", "CANCEL sip:a", "OPTIONS sip:a"];
        for (key, message) in messages.iter().enumerate() {
            bench.push(&wire, send(*message, to, key as u64));
        }
        let mut peer = accept(&mut bench, &listener);
        expect(&mut bench, &mut peer, messages.concat().as_bytes());
        peer.set_nonblocking(false).unwrap();
        peer.write_all(b"SIP/2.0 486 Busy").unwrap();
        let mut flow = None;
        if reset {
            // A reset discards what has not been read.
            flow = Some(bench.bytes().1);
            socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
        }
        drop(peer);
        let flow = flow.unwrap_or_else(|| bench.bytes().1);
        assert_eq!(closed(&mut bench), flow);
        assert_eq!(unanswered(&mut bench), (flow, vec![0, 3, 4]));
        assert!(bench.failed.lock().unwrap().is_empty(), "all was written");
    }
}

#[test]
fn the_latest_requests_of_a_connection_are_remembered() {
    const MORE: u64 = 44;
    let mut bench = Bench::new(64);
    let (_, wire) = bench.tcp(0, LOCAL, &TcpOptions::default());
    let (listener, to) = listen();
    let count = UNANSWERED as u64 + MORE;
    for key in 0..count {
        bench.push(&wire, send("OPTIONS ", to, key));
    }
    let mut peer = accept(&mut bench, &listener);
    expect(&mut bench, &mut peer, "OPTIONS ".repeat(count as usize).as_bytes());
    drop(peer);
    let flow = closed(&mut bench);
    assert_eq!(unanswered(&mut bench), (flow, (MORE..count).collect()));
}

/// It can still take a request that names it, and no answer can come.
#[test]
fn a_request_on_half_a_connection_is_told_of_when_it_ends() {
    let mut bench = Bench::new(64);
    let (local, wire) = bench.tcp(0, LOCAL, &TcpOptions::default());
    let mut peer = connect(local);
    peer.write_all(b"question").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let (_, flow) = bench.bytes();
    assert_eq!(closed(&mut bench), flow);
    bench.push(&wire, on(flow, "BYE sip:a", 1));
    expect(&mut bench, &mut peer, b"BYE sip:a");
    bench.push(&wire, Wire::Close { connection: flow.connection });
    expect_end(&mut bench, &mut peer);
    drop(peer);
    assert_eq!(unanswered(&mut bench), (flow, vec![1]));
}

#[test]
fn bind_errors_name_the_address() {
    let mut bench = Bench::new(10);
    let (_listener, addr) = listen();
    let (_, rx) = fifo("wire", 1, Bell::silent());
    let error = bench.group.add_tcp(TransportId(1), addr, rx, &TcpOptions::default()).unwrap_err();
    assert!(matches!(error, BindError::InUse { kind: TransportType::Tcp, .. }));
    assert!(error.to_string().starts_with(&format!("tcp {addr} is in use: stop")), "{error}");
}

#[test]
fn what_wants_a_connection_of_its_own_gets_one() {
    let mut bench = Bench::new(64);
    let (_, wire) = bench.tcp(0, LOCAL, &TcpOptions::default());
    let (listener, peer) = listen();
    bench.push(&wire, send("first", peer, 1));
    let mut first = accept(&mut bench, &listener);
    let Wire::Send { bytes, peer, local, domain, connect, notify, .. } = send("second", peer, 2) else {
        unreachable!()
    };
    bench.push(&wire, Wire::Send { bytes, peer, local, domain, connection: ConnectionId::NEW, connect, notify });
    let mut second = accept(&mut bench, &listener);
    expect(&mut bench, &mut first, b"first");
    expect(&mut bench, &mut second, b"second");
}
