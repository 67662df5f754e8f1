//! Responses on a connection that turns out to be lost (RFC 3261 §18.2.2).

use super::tcp::{LOCAL, accept, closed, connect, expect, expect_end, listen, unanswered};
use super::*;
use std::io::Write as _;
use std::net::Shutdown;

/// A response to what came by `flow`, and where it goes when that is gone.
fn reply(flow: Flow, sent_by: SocketAddr, bytes: impl Into<Bytes>, key: u64) -> Wire {
    let (bytes, peer, local, connection) = (bytes.into(), sent_by, flow.local, flow.connection);
    let notify = Some(Notify { shard: 0, key });
    Wire::Send { bytes, peer, local, domain: None, connection, connect: true, notify }
}

/// A peer that has sent an INVITE and closed the connection, so that whatever comes is answered with a reset.
fn gone(bench: &mut Bench, local: SocketAddr) -> Flow {
    let mut peer = connect(local);
    peer.write_all(b"INVITE sip:a").unwrap();
    drop(peer);
    let (_, flow) = bench.bytes();
    assert_eq!(closed(bench), flow);
    flow
}

#[test]
fn what_a_peer_that_has_gone_did_not_read_goes_to_its_sent_by() {
    for at_once in [true, false] {
        let mut bench = Bench::new(64);
        let (local, wire) = bench.tcp(0, LOCAL, &TcpOptions::default());
        let (listener, sent_by) = listen();
        let flow = gone(&mut bench, local);
        bench.push(&wire, reply(flow, sent_by, "SIP/2.0 180 Ringing", 1));
        // A request is not for that address.
        bench.push(&wire, reply(flow, sent_by, "BYE sip:a", 2));
        if at_once {
            bench.push(&wire, reply(flow, sent_by, "SIP/2.0 486 Busy", 3));
        }
        let mut peer = accept(&mut bench, &listener);
        if !at_once {
            bench.push(&wire, reply(flow, sent_by, "SIP/2.0 486 Busy", 3));
        }
        expect(&mut bench, &mut peer, b"SIP/2.0 180 RingingSIP/2.0 486 Busy");
        assert_eq!(unanswered(&mut bench), (flow, vec![2]));
        assert!(listener.accept().is_err(), "a second connection");
        assert!(bench.failed.lock().unwrap().is_empty());
    }
}

#[test]
fn it_is_tried_once() {
    let mut bench = Bench::new(64);
    let (local, wire) = bench.tcp(0, LOCAL, &TcpOptions::default());
    let (listener, sent_by) = listen();
    drop(listener);
    let flow = gone(&mut bench, local);
    bench.push(&wire, reply(flow, sent_by, "SIP/2.0 486 Busy", 1));
    assert_eq!(bench.failure(1), TransportError::Refused);
    bench.until("the end of all connections", |b| b.group.drained());
    assert_eq!(bench.failed.lock().unwrap().len(), 1);
}

#[test]
fn responses_that_are_not_wholly_written_at_a_reset_go_to_the_sent_by() {
    let mut bench = Bench::new(64);
    let (local, wire) = bench.tcp(0, LOCAL, &TcpOptions { write_queue: 16 << 20, ..TcpOptions::default() });
    let (listener, sent_by) = listen();
    let mut peer = connect(local);
    peer.write_all(b"INVITE sip:a").unwrap();
    let (_, flow) = bench.bytes();
    let stats = bench.group.stats(TransportId(0)).unwrap();
    let long = [b"SIP/2.0 200 ", &vec![b'x'; 12 << 20][..]].concat();
    bench.push(&wire, reply(flow, sent_by, long.clone(), 1));
    bench.push(&wire, reply(flow, sent_by, "BYE sip:a", 2));
    bench.push(&wire, reply(flow, sent_by, "SIP/2.0 486 Busy", 3));
    bench.until("octets on the way", |_| stats.sent_octets.get() > 0);
    socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    let mut peer = accept(&mut bench, &listener);
    expect(&mut bench, &mut peer, &[&long[..], b"SIP/2.0 486 Busy"].concat());
    assert_eq!(bench.failure(2), TransportError::ConnectionLost);
    assert_eq!(bench.failed.lock().unwrap().len(), 1);
}

#[test]
fn what_a_peer_has_read_behind_its_fin_is_not_repeated() {
    let mut bench = Bench::new(64);
    let (local, wire) = bench.tcp(0, LOCAL, &TcpOptions::default());
    let (listener, sent_by) = listen();
    listener.set_nonblocking(true).unwrap();
    let mut peer = connect(local);
    peer.write_all(b"INVITE sip:a").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let (_, flow) = bench.bytes();
    assert_eq!(closed(&mut bench), flow);
    bench.push(&wire, reply(flow, sent_by, "SIP/2.0 486 Busy", 1));
    expect(&mut bench, &mut peer, b"SIP/2.0 486 Busy");
    bench.push(&wire, Wire::Close { connection: flow.connection });
    expect_end(&mut bench, &mut peer);
    drop(peer);
    let stats = bench.group.stats(TransportId(0)).unwrap();
    bench.until("its end", |_| stats.closed.get() == 1);
    assert_eq!(stats.sent.get(), 1);
    assert!(listener.accept().is_err(), "a second connection");
}
