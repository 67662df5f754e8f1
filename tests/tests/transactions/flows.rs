//! What a transaction user does for its own flows, and hears of them (RFC 5626 §4.4).

use crate::bench::{Bench, PEER, TCP, UDP, answer, request_to, told};
use stack::StackOptions;
use stack::transport::{ConnectionId, Flow, TransportId, TransportType};
use stack::tu::TuOptions;
use std::time::Duration;

fn flow(transport: u16, kind: TransportType, connection: u64) -> Flow {
    let connection = ConnectionId(connection);
    Flow { transport: TransportId(transport), kind, connection, peer: PEER.parse().unwrap(), local: None }
}

/// The first transaction user wants to hear of connections, the second does not.
fn bench() -> Bench {
    let wants = TuOptions { flows: true, ..TuOptions::default() };
    Bench::with(&StackOptions::default(), &[wants, TuOptions::default()])
}

#[test]
fn a_ping_reaches_its_connection() {
    let (mut bench, within) = (bench(), Some(Duration::from_secs(10)));
    bench.act(0, move |stack| stack.ping(&flow(TCP, TransportType::Tcp, 7), within));
    assert_eq!(bench.stack.pinged, [(TransportId(TCP), ConnectionId(7), within)]);
    bench.nothing_sent();
    bench.act(0, move |stack| stack.ping(&flow(UDP, TransportType::Udp, 0), within));
    let sent = bench.one_sent();
    assert_eq!((&sent.bytes[..], sent.peer), (&b"\r\n\r\n"[..], PEER.parse().unwrap()));
}

/// And not before what came on the connection.
#[test]
fn the_end_of_a_connection_is_told_to_who_wants_it() {
    let mut bench = bench();
    bench.send(request_to("OPTIONS", "sip:bob@192.0.2.9;transport=tcp"));
    let sent = bench.one_sent();
    let response = answer(&sent, 200);
    assert!(bench.stack.receive(TCP, sent.peer, 0, response, bench.now));
    bench.ends(&[&sent]);
    assert_eq!(bench.told(0), [told(0, "200"), told(0, "flow ended")]);
    assert_eq!(bench.told(1), []);
}

#[test]
fn a_binding_request_is_answered_to_who_sent_it() {
    let mut bench = bench();
    let name = 0x0123_4567_89ab_cdef;
    bench.act(1, move |stack| stack.send_binding(&flow(UDP, TransportType::Udp, 0), name));
    let sent = bench.one_sent();
    assert_eq!((sent.bytes.len(), &sent.bytes[..2]), (20, &[0, 1][..]));
    // RFC 5389 §15.2: 192.0.2.1:32853.
    let mapped = [0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
    bench.receive([&[1, 1, 0, 12], &sent.bytes[4..], &mapped].concat());
    assert_eq!(bench.told(1), [told(0, &format!("binding {name}: 192.0.2.1:32853"))]);
    bench.receive([&[1, 0x11, 0, 0], &sent.bytes[4..]].concat());
    bench.undelivered(&sent, 20);
    let none = told(0, &format!("binding {name}: none"));
    assert_eq!((bench.told(1), bench.told(0)), (vec![none.clone(), none], vec![]));
    // Those of nobody: another shard, another transaction user.
    for at in [8, 9, 10] {
        let mut answer = [&[1, 1, 0, 12], &sent.bytes[4..], &mapped].concat();
        answer[at] = 77;
        bench.receive(answer);
    }
    assert_eq!((bench.told(0), bench.told(1)), (vec![], vec![]));
}
