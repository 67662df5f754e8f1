//! WebSocket transports that connect, to others of ours and to peers that are none.

use super::*;
use std::io::{Read, Write};
use std::net::TcpListener;

fn connecting() -> WsOptions {
    WsOptions { connect: Some("/ws".into()), ..WsOptions::default() }
}

fn to(peer: SocketAddr, domain: Option<&str>, text: String) -> Wire {
    let (bytes, domain) = (text.into_bytes().into(), domain.map(Into::into));
    let (connection, notify) = (ConnectionId::default(), Some(Notify { shard: 0, key: 1 }));
    Wire::Send { bytes, peer, local: None, domain, connection, connect: true, notify }
}

#[test]
fn messages_pass_both_ways_on_one_connection() {
    for secure in [false, true] {
        let tls = || secure.then(|| tls::context(&["example.com"]));
        let (tls, domain) = (tls(), secure.then_some("example.com"));
        let mut bench = Bench::new(64);
        let (server, back) = bench.ws(0, (&TcpOptions::default(), &WsOptions::default()), tls.clone());
        let (_, wire) = bench.ws(1, (&TcpOptions::default(), &connecting()), tls);
        // All before the first is answered, and one that takes several frames of TCP.
        let texts = ["one".to_owned(), "two".to_owned(), "x".repeat(100_000)];
        texts.iter().for_each(|text| bench.push(&wire, to(server, domain, text.clone())));
        let mut flow = None;
        for text in &texts {
            let (bytes, from) = bench.bytes();
            assert_eq!((&bytes[..], from.transport), (text.as_bytes(), TransportId(0)));
            flow = Some(from);
        }
        let Flow { peer, connection, .. } = flow.expect("three came");
        let bytes = bytes::Bytes::from_static(b"back");
        let send = Wire::Send { bytes, peer, local: None, domain: None, connection, connect: false, notify: None };
        bench.push(&back, send);
        let (bytes, flow) = bench.bytes();
        assert_eq!((&bytes[..], flow.transport, flow.peer), (&b"back"[..], TransportId(1), server));
        let stats = |id| bench.group.stats(TransportId(id)).expect("it is there").clone();
        let counts =
            (stats(0).accepted.get(), stats(1).connected.get(), stats(1).handshakes.get(), stats(1).sent.get());
        assert_eq!(counts, (1, 1, 1, 3), "secure: {secure}");
    }
}

#[test]
fn an_attempt_is_up_when_the_websocket_is() {
    let mut bench = Bench::new(64);
    let (server, _) = bench.ws(0, (&TcpOptions::default(), &WsOptions::default()), None);
    let (_, wire) = bench.ws(1, (&TcpOptions::default(), &connecting()), None);
    let (tx, mut told) = fifo("connected", 16, Bell::silent());
    bench.group.report_connects(tx);
    let attempt = Attempt { race: 1, number: 0 };
    bench.push(&wire, Wire::Connect { peer: server, local: None, domain: None, attempt });
    let mut got = None;
    bench.until("what became of it", |_| {
        got = told.pop();
        got.is_some()
    });
    assert!(got.is_some_and(|got| got.result.is_ok() && got.attempt == attempt));
    assert_eq!(bench.group.stats(TransportId(1)).expect("it is there").handshakes.get(), 1);
}

/// What waits for a WebSocket fails when the server will not have it, and nothing of it goes out before.
#[test]
fn a_server_that_refuses_is_told_nothing_else() {
    let answers = ["HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "SIP/2.0 200 OK\r\n\r\n", ""];
    for answer in answers {
        let mut bench = Bench::new(64);
        let (_, wire) = bench.ws(0, (&TcpOptions::default(), &connecting()), None);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let at = listener.local_addr().expect("bound");
        bench.push(&wire, to(at, None, "MESSAGE".into()));
        bench.until("a connection", |b| b.group.stats(TransportId(0)).is_some_and(|s| s.connected.get() == 1));
        let (mut peer, _) = listener.accept().expect("it came");
        peer.set_nonblocking(true).expect("a socket");
        let mut asked = Vec::new();
        bench.until("the request", |_| {
            let mut buffer = [0; 4096];
            if let Ok(size) = peer.read(&mut buffer) {
                asked.extend_from_slice(&buffer[..size]);
            }
            asked.ends_with(b"\r\n\r\n")
        });
        let text = String::from_utf8(asked).expect("text");
        assert!(text.starts_with("GET /ws HTTP/1.1\r\n") && text.matches("\r\n\r\n").count() == 1, "{text}");
        peer.write_all(answer.as_bytes()).expect("it reads");
        drop(peer);
        assert_eq!(bench.failure(1), TransportError::Handshake, "{answer}");
    }
}
