//! WebSocket transports against tungstenite as a client, and against peers that misbehave.

use super::*;
use crate::statistics::Counter;
use crate::transport::tls::mutual_tls_context;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::HandshakeError;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame};
use tungstenite::{Error, Message, WebSocket};

/// A WebSocket transport of its own group.
struct Server {
    bench: Bench,
    at: SocketAddr,
    wire: FifoSender<Wire>,
}

impl Server {
    fn new() -> Self {
        Self::with(&TcpOptions::default(), &WsOptions::default())
    }

    fn with(options: &TcpOptions, ws: &WsOptions) -> Self {
        let mut bench = Bench::new(64);
        let (at, wire) = bench.ws(0, (options, ws), None);
        Server { bench, at, wire }
    }

    fn raw(&self) -> TcpStream {
        let stream = TcpStream::connect(self.at).unwrap();
        stream.set_nonblocking(true).unwrap();
        // A fixed window: else the system would take in more and more for a peer that does not read.
        socket2::SockRef::from(&stream).set_recv_buffer_size(64 << 10).unwrap();
        stream
    }

    fn client(&mut self) -> WebSocket<TcpStream> {
        let stream = self.raw();
        handshake(&mut self.bench, stream)
    }

    /// A client that speaks no more than we write.
    fn raw_client(&mut self) -> TcpStream {
        let mut client = self.client();
        client.get_mut().try_clone().unwrap()
    }

    /// A client, and the flow of a first message from it.
    fn client_and_flow(&mut self) -> (WebSocket<TcpStream>, Flow) {
        let mut client = self.client();
        client.send(Message::text("hello")).unwrap();
        let (bytes, flow) = self.bench.bytes();
        assert_eq!(&bytes[..], b"hello");
        (client, flow)
    }

    fn counted(&self, what: impl Fn(&TransportStats) -> &Counter) -> u64 {
        what(&self.bench.group.stats(TransportId(0)).unwrap()).get()
    }

    /// A message on this flow only.
    fn answer(&self, flow: Flow, bytes: impl Into<Bytes>, key: u64) {
        let (peer, connection, notify) = (flow.peer, flow.connection, Some(Notify { shard: 0, key }));
        let bytes = bytes.into();
        self.bench.push(
            &self.wire,
            Wire::Send { bytes, peer, local: None, domain: None, connection, connect: false, notify },
        );
    }
}

/// The client's side of the upgrade.
fn handshake<S: Read + Write>(bench: &mut Bench, stream: S) -> WebSocket<S> {
    let mut request = "ws://127.0.0.1/".into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "sip".parse().unwrap());
    let (mut state, mut done) = (Some(tungstenite::client::client(request, stream)), None);
    bench.until("the upgrade", |_| {
        match state.take().unwrap() {
            Ok((client, response)) => {
                assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "sip");
                done = Some(client);
            }
            Err(HandshakeError::Interrupted(middle)) => state = Some(middle.handshake()),
            Err(HandshakeError::Failure(error)) => panic!("{error}"),
        }
        done.is_some()
    });
    done.unwrap()
}

/// What the client gets next.
fn read<S: Read + Write>(bench: &mut Bench, client: &mut WebSocket<S>) -> Result<Message, Error> {
    let mut got = None;
    bench.until("a frame at the client", |_| {
        got = match client.read() {
            Err(Error::Io(e)) if e.kind() == ErrorKind::WouldBlock => None,
            other => Some(other),
        };
        got.is_some()
    });
    got.unwrap()
}

/// Everything until the server ends the connection.
fn read_to_end(bench: &mut Bench, stream: &mut TcpStream) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), [0; 65536]);
    bench.until("the end at the client", |_| match stream.read(&mut buffer) {
        Ok(size) => {
            all.extend_from_slice(&buffer[..size]);
            size == 0
        }
        Err(e) => e.kind() != ErrorKind::WouldBlock,
    });
    all
}

/// Writes all of it, while the server works.
fn write_all(bench: &mut Bench, stream: &mut TcpStream, octets: &[u8]) {
    let mut out = 0;
    bench.until("octets taken", |b| {
        b.rx.pop();
        match stream.write(&octets[out..]) {
            Ok(size) => out += size,
            // The server may have had enough.
            Err(e) if e.kind() != ErrorKind::WouldBlock => out = octets.len(),
            Err(_) => {}
        }
        out == octets.len()
    });
}

/// Passes a message back and forth: whatever came before has been dealt with.
fn works<S: Read + Write>(bench: &mut Bench, client: &mut WebSocket<S>) {
    client.send(Message::text("still there")).unwrap();
    assert_eq!(&bench.bytes().0[..], b"still there");
}

fn fragment(payload: impl Into<Bytes>, data: Data, last: bool) -> Message {
    Message::Frame(Frame::message(payload, OpCode::Data(data), last))
}

/// The head of a client's frame with a mask of zeros, so that its payload is what it is.
fn plain(first: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() < 126);
    [&[first, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat()
}

#[test]
fn messages_pass_both_ways() {
    let mut server = Server::new();
    let mut client = server.client();
    client.send(Message::text("text")).unwrap();
    client.send(Message::binary(&b"\xff\0"[..])).unwrap();
    for part in [fragment("in ", Data::Text, false), fragment("two ", Data::Continue, false)] {
        client.send(part).unwrap();
    }
    client.send(Message::Ping("between".into())).unwrap();
    client.send(fragment("parts", Data::Continue, true)).unwrap();
    let (text, flow) = server.bench.bytes();
    assert_eq!((&text[..], flow.kind, flow.kind.is_reliable()), (&b"text"[..], TransportType::Ws, true));
    assert_eq!(&server.bench.bytes().0[..], b"\xff\0");
    assert_eq!(&server.bench.bytes().0[..], b"in two parts");
    assert_eq!(read(&mut server.bench, &mut client).unwrap(), Message::Pong("between".into()));
    server.answer(flow, "SIP/2.0 200 OK", 1);
    server.answer(flow, &b"\xff"[..], 2);
    assert_eq!(read(&mut server.bench, &mut client).unwrap(), Message::text("SIP/2.0 200 OK"));
    assert_eq!(read(&mut server.bench, &mut client).unwrap(), Message::binary(&b"\xff"[..]));
    // A request that knows no connection finds the one that comes from its peer's address.
    server.bench.push(&server.wire, send("MESSAGE", flow.peer, 3));
    assert_eq!(read(&mut server.bench, &mut client).unwrap(), Message::text("MESSAGE"));
    assert_eq!((server.counted(|s| &s.sent), server.counted(|s| &s.handshakes)), (3, 1), "pongs are no messages");
    assert!(server.bench.failed.lock().unwrap().is_empty());
}

#[test]
fn over_tls() {
    let tls = tls::context(&["example.com"]);
    let mut bench = Bench::new(64);
    let (at, wire) = bench.ws(0, (&TcpOptions::default(), &WsOptions::default()), Some(tls.clone()));
    let stream = TcpStream::connect(at).unwrap();
    stream.set_nonblocking(true).unwrap();
    let session = rustls::ClientConnection::new(tls.client(), "example.com".try_into().unwrap()).unwrap();
    let mut client = handshake(&mut bench, rustls::StreamOwned::new(session, stream));
    client.send(Message::text("secret")).unwrap();
    let (bytes, flow) = bench.bytes();
    assert_eq!((&bytes[..], flow.kind), (&b"secret"[..], TransportType::Wss));
    let (peer, connection) = (flow.peer, flow.connection);
    let long = "x".repeat(100_000);
    let send = Wire::Send {
        bytes: long.clone().into(),
        peer,
        local: None,
        domain: None,
        connection,
        connect: false,
        notify: None,
    };
    bench.push(&wire, send);
    assert_eq!(read(&mut bench, &mut client).unwrap(), Message::text(long));
}

/// RFC 5922 §7.1, as over TLS.
#[test]
fn who_a_client_with_a_certificate_has_proved_to_be_is_known() {
    let tls = mutual_tls_context("dns=example.com");
    let mut bench = Bench::new(64);
    let (at, _wire) = bench.ws(0, (&TcpOptions::default(), &WsOptions::default()), Some(tls.clone()));
    let stream = TcpStream::connect(at).unwrap();
    stream.set_nonblocking(true).unwrap();
    let session = rustls::ClientConnection::new(tls.client(), "example.com".try_into().unwrap()).unwrap();
    let mut client = handshake(&mut bench, rustls::StreamOwned::new(session, stream));
    client.send(Message::text("hello")).unwrap();
    let (_, flow) = bench.bytes();
    assert_eq!(bench.proved.of(&flow).as_deref(), Some(&["example.com".to_owned()][..]));
}

#[test]
fn who_is_refused_hears_why_and_nobody_else_does() {
    let ws = WsOptions { path: Some("/sip".into()), origins: vec!["https://a.example".into()], ..WsOptions::default() };
    let mut server = Server::with(&TcpOptions::default(), &ws);
    let good = "GET /sip HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nOrigin: https://a.example\
                \r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
                Sec-WebSocket-Protocol: sip\r\n\r\n";
    let long = format!("GET /sip HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    let cases = [
        (good.replace("/sip ", "/ "), "HTTP/1.1 404 "),
        (good.replace("a.example", "b.example"), "HTTP/1.1 403 "),
        (good.replace("Protocol: sip", "Protocol: xmpp"), "HTTP/1.1 400 "),
        (good.replace("Version: 13", "Version: 7"), "HTTP/1.1 426 "),
        ("\u{16}\u{3}\u{1}garbage\r\n\r\n".into(), "HTTP/1.1 400 "),
        (long, "HTTP/1.1 431 "),
    ];
    let refused = cases.len() as u64;
    for (request, status) in cases {
        let mut stream = server.raw();
        // In two pieces: the end may come later.
        let (first, second) = request.as_bytes().split_at(request.len() - 2);
        write_all(&mut server.bench, &mut stream, first);
        write_all(&mut server.bench, &mut stream, second);
        let answer = String::from_utf8(read_to_end(&mut server.bench, &mut stream)).unwrap();
        assert!(answer.starts_with(status), "{answer}");
        drop(stream);
    }
    server.bench.until("their ends", |b| b.group.stats(TransportId(0)).unwrap().closed.get() == refused);
    assert_eq!((server.counted(|s| &s.handshakes_failed), server.counted(|s| &s.handshakes)), (refused, 0));
    assert!(server.bench.rx.pop().is_none(), "nobody heard of them");
    let mut stream = server.raw();
    write_all(&mut server.bench, &mut stream, good.as_bytes());
    server.bench.until("the upgrade", |b| b.group.stats(TransportId(0)).unwrap().handshakes.get() == 1);
}

#[test]
fn half_an_upgrade_ends_in_time_and_in_number() {
    let options =
        TcpOptions { handshake_timeout: Duration::from_millis(50), max_handshakes: 3, ..TcpOptions::default() };
    let mut server = Server::with(&options, &WsOptions::default());
    let mut slow: Vec<TcpStream> = (0..10).map(|_| server.raw()).collect();
    slow.iter_mut().for_each(|stream| stream.write_all(b"GET / HTTP/1.1\r\n").unwrap());
    server.bench.until("all ends", |b| b.group.stats(TransportId(0)).unwrap().closed.get() == 10);
    assert!(server.bench.rx.pop().is_none());
    let mut client = server.client();
    works(&mut server.bench, &mut client);
}

#[test]
fn nobody_is_connected_to_and_nothing_goes_out_before_the_upgrade() {
    let mut server = Server::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    server.bench.push(&server.wire, send("MESSAGE", listener.local_addr().unwrap(), 1));
    assert_eq!(server.bench.failure(1), TransportError::NoConnection);
    let half = server.raw();
    server.bench.until("it is accepted", |b| b.group.stats(TransportId(0)).unwrap().accepted.get() == 1);
    server.bench.push(&server.wire, send("MESSAGE", half.local_addr().unwrap(), 2));
    assert_eq!(server.bench.failure(2), TransportError::NoConnection);
    assert_eq!(server.counted(|s| &s.connected), 0);
}

#[test]
fn what_names_a_connection_goes_to_no_other() {
    let mut server = Server::new();
    let (mut client, flow) = server.client_and_flow();
    let other = ConnectionId(flow.connection.0 + (1 << 24));
    server.answer(Flow { connection: other, ..flow }, "for somebody else", 1);
    assert_eq!(server.bench.failure(1), TransportError::NoConnection);
    client.close(None).unwrap();
    assert!(matches!(server.bench.next(), Received::Closed { flow: closed } if closed == flow));
    server.answer(flow, "too late", 2);
    assert_eq!(server.bench.failure(2), TransportError::NoConnection);
}

#[test]
fn a_close_is_answered_with_its_code() {
    let mut server = Server::new();
    let (mut client, _) = server.client_and_flow();
    client.close(Some(CloseFrame { code: CloseCode::Library(4242), reason: "bye".into() })).unwrap();
    let Ok(Message::Close(Some(reply))) = read(&mut server.bench, &mut client) else { panic!("no close") };
    assert_eq!(reply.code, CloseCode::Library(4242));
    assert!(matches!(read(&mut server.bench, &mut client), Err(Error::ConnectionClosed)));
    drop(client);
    server.bench.until("its end", |b| b.group.stats(TransportId(0)).unwrap().closed.get() == 1);
}

#[test]
fn bad_frames_close_with_their_code_after_the_last_answers() {
    let ws = WsOptions { message: 1000, ..WsOptions::default() };
    let huge = [&[0x82, 0xff][..], &u64::MAX.to_be_bytes(), &[0; 4]].concat();
    let endless = [plain(0x01, b"a"), plain(0x00, b"").repeat(5000)].concat();
    for (octets, code) in [
        (vec![0x81, 0x01, b'a'], 1002_u16),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), 1002),
        (plain(0x81, b"\xff"), 1007),
        (huge, 1009),
        (endless, 1009),
    ] {
        let mut server = Server::with(&TcpOptions::default(), &ws);
        let mut client = server.raw_client();
        client.write_all(&plain(0x81, b"OPTIONS")).unwrap();
        let (_, flow) = server.bench.bytes();
        write_all(&mut server.bench, &mut client, &octets);
        server.answer(flow, "SIP/2.0 200 OK", 1);
        let got = read_to_end(&mut server.bench, &mut client);
        let want = [&[0x81, 14][..], b"SIP/2.0 200 OK", &[0x88, 2], &code.to_be_bytes()].concat();
        assert_eq!(got, want);
        drop(client);
        assert!(matches!(server.bench.next(), Received::Closed { .. }));
    }
}

#[test]
fn a_flood_of_pings_gets_the_latest_pong_and_bounded_memory() {
    let mut server = Server::new();
    let mut client = server.raw_client();
    let pings: Vec<u8> = (0..50_000_u32).flat_map(|n| plain(0x89, &n.to_be_bytes())).collect();
    write_all(&mut server.bench, &mut client, &pings);
    let mut all = Vec::new();
    let last = [&[0x8a, 4][..], &49_999_u32.to_be_bytes()].concat();
    let mut buffer = [0; 65536];
    server.bench.until("the last pong", |_| {
        if let Ok(size) = client.read(&mut buffer) {
            all.extend_from_slice(&buffer[..size]);
        }
        all.ends_with(&last)
    });
    assert!(all.len() < pings.len() / 20, "{} octets of pongs", all.len());
    client.write_all(&plain(0x81, b"and on")).unwrap();
    assert_eq!(&server.bench.bytes().0[..], b"and on");
}

/// A pong that can no longer go out is not waited for.
#[test]
fn a_ping_before_a_close_keeps_nobody_busy() {
    let mut server = Server::new();
    let mut client = server.raw_client();
    client.write_all(&[plain(0x89, b"ping"), plain(0x88, &1000_u16.to_be_bytes())].concat()).unwrap();
    let (mut all, mut buffer) = (Vec::new(), [0; 64]);
    server.bench.until("the close", |_| {
        if let Ok(size) = client.read(&mut buffer) {
            all.extend_from_slice(&buffer[..size]);
        }
        all.ends_with(&[0x88, 2, 0x03, 0xe8])
    });
    // It sleeps until the client, who has not closed his side, is to have done so.
    let mut turn = || server.bench.group.turn(server.bench.clock.now());
    assert!((0..20).any(|_| turn() == Turn::Idle));
}

#[test]
fn a_keep_alive_is_answered_once_a_read() {
    let mut server = Server::new();
    let mut client = server.client();
    for _ in 0..3 {
        client.send(Message::text("\r\n\r\n")).unwrap();
        assert_eq!(read(&mut server.bench, &mut client).unwrap(), Message::text("\r\n"));
    }
    works(&mut server.bench, &mut client);
}

#[test]
fn nothing_is_lost_when_rx_is_full() {
    let mut server = Server::new();
    let mut client = server.client();
    let (mut sent, mut next) = (0, 0);
    server.bench.until("all messages", |b| {
        // Many messages a read, many times what `rx` holds; taken out one a pass.
        while sent < 3000 && client.write(Message::text(sent.to_string())).is_ok() {
            sent += 1;
        }
        let _ = client.flush();
        if let Some(Received::Datagram { bytes, .. }) = b.rx.pop() {
            assert_eq!(bytes, next.to_string());
            next += 1;
        }
        next == 3000
    });
}

#[test]
fn a_slow_reader_gets_whole_messages_up_to_its_queue() {
    let options = TcpOptions { write_queue: 1 << 20, ..TcpOptions::default() };
    let mut server = Server::with(&options, &WsOptions::default());
    let (mut client, flow) = server.client_and_flow();
    let mut sent = 0;
    while server.bench.failed.lock().unwrap().is_empty() {
        server.answer(flow, format!("{sent}-{}", "y".repeat(60_000)), sent);
        sent += 1;
        server.bench.pass();
    }
    let failed: Vec<u64> = server.bench.failed.lock().unwrap().iter().map(|f| f.notify.key).collect();
    assert!(server.bench.failed.lock().unwrap().iter().all(|f| f.error == TransportError::Congested));
    for key in (0..sent).filter(|key| !failed.contains(key)) {
        let text = read(&mut server.bench, &mut client).unwrap().into_text().unwrap();
        assert!(text.starts_with(&format!("{key}-")) && text.len() > 60_000);
    }
    works(&mut server.bench, &mut client);
}

#[test]
fn a_sign_of_life_is_wanted_by_a_ping() {
    let within = Duration::from_millis(100);
    let mut server = Server::new();
    let (mut client, flow) = server.client_and_flow();
    let ask = |server: &Server| {
        server.bench.push(&server.wire, Wire::Ping { connection: flow.connection, within: Some(within) });
    };
    ask(&server);
    assert!(matches!(read(&mut server.bench, &mut client), Ok(Message::Ping(_))));
    client.send(Message::text("behind the pong")).unwrap();
    let end = server.bench.clock.now() + within * 2;
    server.bench.until("a while", |b| b.clock.now() > end);
    assert_eq!(server.counted(|s| &s.closed), 0);
    assert!(matches!(server.bench.next(), Received::Datagram { .. }));
    // This one is not read.
    ask(&server);
    assert!(matches!(server.bench.next(), Received::Closed { flow: closed } if closed == flow));
}

/// The first one that is not answered counts, however soon the next is sent.
#[test]
fn pings_that_come_fast_hide_no_silence() {
    let within = Duration::from_millis(200);
    let mut server = Server::new();
    let (_silent, flow) = server.client_and_flow();
    let begin = server.bench.clock.now();
    let mut next = begin;
    server.bench.until("the end of who does not answer", |b| {
        let now = b.clock.now();
        assert!(now < begin + within * 50, "it is still open");
        if now >= next {
            next = now + within / 4;
            b.push(&server.wire, Wire::Ping { connection: flow.connection, within: Some(within) });
        }
        b.group.stats(TransportId(0)).unwrap().closed.get() == 1
    });
    assert!(matches!(server.bench.next(), Received::Closed { flow: closed } if closed == flow));
}

#[test]
fn who_does_not_answer_our_ping_is_gone() {
    let ws = WsOptions { ping: Some(Duration::from_millis(50)), ..WsOptions::default() };
    let mut server = Server::with(&TcpOptions::default(), &ws);
    let mut alive = server.client();
    let dead = server.raw_client();
    let mut pings = 0;
    server.bench.until("five pings and one end", |b| {
        // Reading is what answers.
        if let Ok(Message::Ping(_)) = alive.read() {
            pings += 1;
        }
        pings >= 5 && b.group.stats(TransportId(0)).unwrap().closed.get() == 1
    });
    assert!(matches!(server.bench.next(), Received::Closed { .. }));
    works(&mut server.bench, &mut alive);
    drop(dead);
}

#[test]
fn who_is_idle_too_long_is_told_so() {
    let options = TcpOptions { idle_timeout: Duration::from_millis(50), ..TcpOptions::default() };
    let mut server = Server::with(&options, &WsOptions::default());
    let mut client = server.client();
    let Ok(Message::Close(Some(close))) = read(&mut server.bench, &mut client) else { panic!("no close") };
    assert_eq!(close.code, CloseCode::Away);
}

#[test]
fn a_message_is_not_incomplete_for_ever() {
    let mut server = Server::new();
    let mut late = server.client();
    late.send(fragment("half a message", Data::Text, false)).unwrap();
    let mut whole = server.client();
    works(&mut server.bench, &mut whole);
    // Time passes: the last answers have theirs after the message's.
    for seconds in [33, 34] {
        let later = server.bench.clock.now() + Duration::from_secs(seconds);
        while server.bench.group.turn(later) == Turn::Worked {}
    }
    let Ok(Message::Close(Some(close))) = read(&mut server.bench, &mut late) else { panic!("no close") };
    assert_eq!(close.code, CloseCode::Policy);
    works(&mut server.bench, &mut whole);
}

/// Each message has its own time: one that begins where another ends is not as old as that.
#[test]
fn a_message_that_begins_behind_another_is_not_late() {
    let mut server = Server::new();
    let mut client = server.client();
    client.send(fragment("begin", Data::Text, false)).unwrap();
    let began = server.bench.clock.now();
    let pass = |server: &mut Server, seconds: u64| {
        server.bench.group.sleep(Some(Duration::from_millis(1)));
        server.bench.group.turn(began + Duration::from_secs(seconds));
        server.bench.rx.pop()
    };
    while server.counted(|s| &s.handshakes) == 0 || pass(&mut server, 0).is_some() {}
    for seconds in [20, 40, 60, 80] {
        // In one write, so that both are read at once.
        client.write(fragment("end", Data::Continue, true)).unwrap();
        client.write(fragment("begin", Data::Text, false)).unwrap();
        client.flush().unwrap();
        let got = (0..10_000).find_map(|_| pass(&mut server, seconds));
        assert!(matches!(&got, Some(Received::Datagram { bytes, .. }) if bytes == "beginend"), "{seconds}: {got:?}");
    }
    // The last one is: a ping is no part of it.
    client.send(Message::Ping("I live".into())).unwrap();
    for seconds in [111, 113, 114] {
        (0..10).for_each(|_| drop(pass(&mut server, seconds)));
    }
    let mut got = read(&mut server.bench, &mut client);
    if matches!(got, Ok(Message::Pong(_))) {
        got = read(&mut server.bench, &mut client);
    }
    let Ok(Message::Close(Some(close))) = got else { panic!("{got:?}") };
    assert_eq!(close.code, CloseCode::Policy);
}

#[test]
fn when_incomplete_messages_take_too_much_the_oldest_goes() {
    let ws = WsOptions { partial_octets: 250_000, ..WsOptions::default() };
    let mut server = Server::with(&TcpOptions::default(), &ws);
    let mut clients: Vec<_> = (0..3).map(|_| server.client()).collect();
    for client in &mut clients {
        client.send(fragment(vec![7; 100_000], Data::Binary, false)).unwrap();
        client.send(Message::Ping("is it read".into())).unwrap();
        let got = read(&mut server.bench, client);
        assert!(matches!(got, Ok(Message::Pong(_) | Message::Close(_))), "{got:?}");
    }
    let mut ends = clients.iter_mut();
    let Ok(Message::Close(Some(close))) = read(&mut server.bench, ends.next().unwrap()) else { panic!("no close") };
    assert_eq!(close.code, CloseCode::Policy);
    let last = clients.last_mut().unwrap();
    last.send(fragment(vec![7; 10], Data::Continue, true)).unwrap();
    assert_eq!(server.bench.bytes().0.len(), 100_010);
}
