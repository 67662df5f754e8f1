//! Peers that have promised keep-alives (RFC 5626 §4.4).

use super::tcp::{closed, connect};
use super::*;
use std::io::Write as _;

/// What goes out to a peer does not count: it may have gone long ago.
#[test]
fn who_promised_keep_alives_and_is_silent_is_closed() {
    let mut bench = Bench::new(64);
    let (local, wire) = bench.tcp(0, "127.0.0.1:0", &TcpOptions::default());
    let (mut silent, mut lively, mut free) = (connect(local), connect(local), connect(local));
    let mut flow_of = |peer: &mut std::net::TcpStream| {
        peer.write_all(b"x").unwrap();
        bench.bytes().1
    };
    let flows = [&mut silent, &mut lively, &mut free].map(&mut flow_of);
    let within = Duration::from_millis(200);
    for flow in &flows[..2] {
        bench.push(&wire, Wire::Expect { connection: flow.connection, within });
    }
    let begin = bench.clock.now();
    let mut ended = None;
    while bench.clock.now().since(begin) < within * 2 {
        lively.write_all(b"\r\n\r\n").unwrap();
        let Flow { connection, peer, .. } = flows[0];
        if ended.is_none() {
            let bytes = "to the silent one".into();
            let (domain, notify, local) = (None, None, None);
            bench.push(&wire, Wire::Send { bytes, peer, local, domain, connection, connect: false, notify });
        }
        bench.pass();
        while let Some(item) = bench.rx.pop() {
            if let Received::Closed { flow } = item {
                ended = Some((flow.connection, bench.clock.now().since(begin)));
            }
        }
    }
    let (connection, after) = ended.expect("the silent one is closed");
    assert_eq!(connection, flows[0].connection);
    assert!(after >= within);
    // It stops, and ends as well; who has promised nothing stays.
    assert_eq!(closed(&mut bench).connection, flows[1].connection);
    free.write_all(b"still here").unwrap();
    assert_eq!(bench.bytes().1.connection, flows[2].connection);
}
