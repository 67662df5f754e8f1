//! Peers that have promised keep-alives, and those that are asked for a sign of life (RFC 5626 §4.4).

use super::tcp::connect;
use super::*;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

/// Says so often that they live; both are longer than a turn, and the test needs no more of the clock.
const WITHIN: Duration = Duration::from_millis(150);

/// A connection, and the flow that it is.
fn peer(bench: &mut Bench, local: SocketAddr) -> (TcpStream, Flow) {
    let mut peer = connect(local);
    peer.write_all(b"x").unwrap();
    let (_, flow) = bench.bytes();
    (peer, flow)
}

/// When a connection ended, and when octets last came from it.
fn ended(bench: &mut Bench, flow: Flow, mut meanwhile: impl FnMut(&Bench)) -> (Time, Time) {
    let (mut heard, mut ended) = (Time::ZERO, None);
    bench.until("the end of a connection", |bench| {
        meanwhile(bench);
        while let Some(item) = bench.rx.pop() {
            match item {
                Received::Chunk { flow: from, at, .. } if from.connection == flow.connection => heard = at,
                Received::Closed { flow: from } => {
                    assert_eq!(from.connection, flow.connection);
                    ended = Some(bench.clock.now());
                }
                _ => {}
            }
        }
        ended.is_some()
    });
    (ended.unwrap_or_default(), heard)
}

/// What goes out to a peer does not count: it may have gone long ago. And who has promised nothing may be silent.
#[test]
fn who_promised_keep_alives_and_is_silent_is_closed() {
    let mut bench = Bench::new(64);
    let (local, wire) = bench.tcp(0, "127.0.0.1:0", &TcpOptions::default());
    let (mut free, free_flow) = peer(&mut bench, local);
    let begin = bench.clock.now();
    let (_silent, flow) = peer(&mut bench, local);
    bench.push(&wire, Wire::Expect { connection: flow.connection, within: WITHIN });
    let mut sent = Time::ZERO;
    let (ended, _) = ended(&mut bench, flow, |bench| {
        if bench.clock.now().since(sent) < WITHIN / 10 {
            return;
        }
        sent = bench.clock.now();
        let Flow { connection, peer, .. } = flow;
        let (bytes, domain, notify, local) = ("x".into(), None, None, None);
        bench.push(&wire, Wire::Send { bytes, peer, local, domain, connection, connect: false, notify });
    });
    assert!(ended.since(begin) >= WITHIN, "{begin:?} {ended:?}");
    free.write_all(b"still here").unwrap();
    assert_eq!(bench.bytes().1.connection, free_flow.connection);
}

#[test]
fn keep_alives_keep_a_connection() {
    let mut bench = Bench::new(64);
    let (local, wire) = bench.tcp(0, "127.0.0.1:0", &TcpOptions::default());
    let (mut lively, flow) = peer(&mut bench, local);
    bench.push(&wire, Wire::Expect { connection: flow.connection, within: WITHIN });
    let begin = bench.clock.now();
    let (ended, heard) = ended(&mut bench, flow, |bench| {
        if bench.clock.now().since(begin) < WITHIN * 2 {
            lively.write_all(b"\r\n\r\n").unwrap();
        }
    });
    assert!(ended.since(heard) >= WITHIN, "{ended:?} {heard:?}");
}

#[test]
fn who_is_asked_for_a_sign_of_life_and_gives_none_is_closed() {
    let mut bench = Bench::new(64);
    let (local, wire) = bench.tcp(0, "127.0.0.1:0", &TcpOptions::default());
    let (mut lively, flow) = peer(&mut bench, local);
    let (mut dead, dead_flow) = peer(&mut bench, local);
    let (mut old, old_flow) = peer(&mut bench, local);
    let begin = bench.clock.now();
    for (connection, within) in [(flow, Some(WITHIN)), (dead_flow, Some(WITHIN)), (old_flow, None)] {
        bench.push(&wire, Wire::Ping { connection: connection.connection, within });
    }
    let (ended, _) = {
        let mut asked = false;
        let answer = |_: &Bench| {
            let mut ping = [0; 4];
            lively.set_nonblocking(true).unwrap();
            if !asked && lively.read_exact(&mut ping).is_ok() {
                assert_eq!(&ping, b"\r\n\r\n");
                lively.write_all(b"\r\n").unwrap();
                asked = true;
            }
        };
        ended(&mut bench, dead_flow, answer)
    };
    assert!(ended.since(begin) >= WITHIN, "{begin:?} {ended:?}");
    let mut read = Vec::new();
    dead.read_to_end(&mut read).unwrap();
    assert_eq!(read, b"\r\n\r\n");
    // The one that answered lives, and so does the one of which nothing was expected; what was closed is not asked again.
    bench.push(&wire, Wire::Ping { connection: dead_flow.connection, within: Some(WITHIN) });
    for (stream, from) in [(&mut lively, flow), (&mut old, old_flow)] {
        stream.write_all(b"x").unwrap();
        assert_eq!(bench.bytes().1.connection, from.connection);
    }
}
