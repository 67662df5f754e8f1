//! Partial messages on streams: each has its time, and all together have a bound.

use crate::bench::{Bench, PEER, TCP, first_line, incoming_call, told};
use stack::StackOptions;
use stack::overload::OverloadOptions;
use stack::transport::{ConnectionId, TransportId, TransportType};
use stack::tu::TuOptions;
use tests::played::capacity;

fn options(n: usize) -> String {
    incoming_call("OPTIONS", &format!("192.0.2.9;branch=z9hG4bK{n}"), "", &format!("call-{n}")).replace("UDP", "TCP")
}

fn closed(bench: &mut Bench) -> Vec<u64> {
    bench.settle();
    std::mem::take(&mut bench.stack.closed).into_iter().map(|(_, connection)| connection.0).collect()
}

/// Late, shed, and octets held.
fn partials(bench: &Bench) -> (u64, u64, u64) {
    let counted = bench.stack.scanner();
    (counted.late_partials, counted.shed_partials, counted.partial_octets)
}

/// 64·T1 after its first octet, however many come meanwhile.
#[test]
fn a_message_that_is_never_complete_ends_its_connection() {
    let mut bench = Bench::new();
    let text = options(1);
    for (at, octet) in text.bytes().take(300).enumerate().step_by(10) {
        bench.run_to(at as u64 * 100);
        bench.receive_on(TCP, PEER, 1, vec![octet]);
    }
    bench.receive_on(TCP, PEER, 2, "\r\n");
    bench.run_to(31_999);
    assert_eq!((closed(&mut bench), partials(&bench).0), (vec![], 0));
    assert!(partials(&bench).2 > 0);
    bench.run_to(32_000);
    assert_eq!((closed(&mut bench), partials(&bench)), (vec![1], (1, 0, 0)));
    // What still comes is not read; another connection is not concerned.
    bench.receive_on(TCP, PEER, 1, text);
    bench.receive_on(TCP, PEER, 2, options(2));
    assert_eq!(bench.told(0), [told(32_000, "OPTIONS")]);
    bench.run_to(100_000);
    assert_eq!(partials(&bench), (1, 0, 0));
}

/// A message that takes less time is a message.
#[test]
fn a_slow_message_is_complete_in_time() {
    let mut bench = Bench::new();
    let text = options(1);
    let (first, rest) = text.split_at(100);
    for round in 0..3 {
        bench.run_to(round * 40_000);
        bench.receive_on(TCP, PEER, 1, first.to_owned());
        bench.run_to(round * 40_000 + 31_000);
        bench.receive_on(TCP, PEER, 1, rest.to_owned());
        assert_eq!(bench.told(0), [told(round * 40_000 + 31_000, "OPTIONS")]);
        bench.run_to(round * 40_000 + 39_000);
    }
    assert_eq!((closed(&mut bench), partials(&bench)), (vec![], (0, 0, 0)));
}

/// While the stack itself does not read, no peer is late.
#[test]
fn a_stack_that_does_not_read_closes_nothing() {
    // What has waited so long would be refused, and so many refusals find no room in `wire` at one moment.
    let overload = OverloadOptions { max_wait: None, ..OverloadOptions::default() };
    let options_of_stack = StackOptions { overload, ..StackOptions::default() };
    let mut bench = Bench::with(&options_of_stack, &[TuOptions::default()]);
    let text = options(9999);
    let (first, rest) = text.split_at(100);
    bench.receive_on(TCP, PEER, 1, first.to_owned());
    bench.stack.stalled = Some("transactions");
    for n in 0..capacity("txn") + 1 {
        bench.receive_on(TCP, PEER, 2, options(n));
    }
    bench.receive_on(TCP, PEER, 1, rest.to_owned());
    bench.now = rutil::Time::from_millis(40_000);
    bench.settle();
    assert!(closed(&mut bench).is_empty());
    bench.stack.stalled = None;
    bench.settle();
    let got = bench.told(0).len() + bench.sent().iter().filter(|sent| first_line(sent).starts_with("503")).count();
    assert_eq!(got, capacity("txn") + 2);
    assert_eq!((closed(&mut bench), partials(&bench)), (vec![], (0, 0, 0)));
}

/// Nor while what completes a message waits in `rx` behind other messages.
#[test]
fn what_waits_to_be_read_is_not_late() {
    let mut bench = Bench::new();
    let (text, peer) = (options(9999), PEER.parse().unwrap());
    let (first, rest) = text.split_at(100);
    bench.receive_on(TCP, PEER, 1, first.to_owned());
    bench.stack.stalled = Some("scanner");
    bench.run_to(40_000);
    for n in 0..capacity("rx") - 1 {
        assert!(bench.stack.receive(TCP, peer, 2, options(n).into(), bench.now));
    }
    bench.receive_on(TCP, PEER, 1, rest.to_owned());
    bench.stack.stalled = None;
    let got = bench.told(0).len() as u64 + bench.stack.transactions().refused;
    assert_eq!((got, closed(&mut bench), partials(&bench)), (capacity("rx") as u64, vec![], (0, 0, 0)));
}

/// Above the bound the oldest goes, so that who is fast is served.
#[test]
fn too_many_octets_in_partial_messages_end_the_oldest() {
    let bounds = StackOptions { partial_octets: 10_000, ..StackOptions::default() };
    let mut bench = Bench::with(&bounds, &[TuOptions::default()]);
    let large = options(1).replace("Content-Length: 0", "Content-Length: 9000");
    let large = format!("{large}{}", "x".repeat(2000));
    for connection in 1..=20 {
        bench.run_to(connection * 100);
        bench.receive_on(TCP, PEER, connection, large.clone());
        let (_, _, held) = partials(&bench);
        assert!(held <= 10_000, "{held} octets");
        // Somebody else's message comes in two pieces.
        let text = options(100 + connection as usize);
        let (first, rest) = text.split_at(100);
        bench.receive_on(TCP, PEER, 1000, first.to_owned());
        bench.receive_on(TCP, PEER, 1000, rest.to_owned());
        assert_eq!(bench.told(0).len(), 1, "beside {connection}");
    }
    let closed = closed(&mut bench);
    assert_eq!(closed, (1..=closed.len() as u64).collect::<Vec<_>>());
    let (late, shed, held) = partials(&bench);
    assert_eq!((late, shed), (0, closed.len() as u64));
    // Nobody is closed without need.
    let one = large.len() as u64;
    assert_eq!(held, one * (20 - closed.len() as u64));
    assert!(held + one > 10_000, "{held} octets");
}

/// Each transport counts its connections for itself.
#[test]
fn connections_of_two_transports_are_not_mixed_up() {
    let on = ["192.0.2.1:5060", "192.0.2.2:5060"].map(|address| (TransportType::Tcp, address.parse().unwrap()));
    let mut bench = Bench::on(&StackOptions::default(), &[TuOptions::default()], &on);
    let text = options(1);
    let (first, rest) = text.split_at(100);
    bench.receive_on(0, PEER, 7, first.to_owned());
    bench.receive_on(1, PEER, 7, options(2));
    bench.receive_on(0, PEER, 7, rest.to_owned());
    assert_eq!(bench.told(0), [told(0, "OPTIONS"), told(0, "OPTIONS")]);
    bench.receive_on(1, PEER, 7, first.to_owned());
    bench.run_to(40_000);
    assert_eq!(bench.stack.closed, [(TransportId(1), ConnectionId(7))]);
}

/// A connection whose end found no room is ended when more comes on it.
#[test]
fn a_connection_whose_end_found_no_room_is_ended_later() {
    let mut bench = Bench::new();
    let (room, peer) = (capacity("wire") as u64, PEER.parse().unwrap());
    for connection in 0..room + 2 {
        assert!(bench.stack.receive(TCP, peer, connection, "no SIP\r\n\r\n".into(), bench.now));
        // Not the bench's: the transport takes nothing.
        bench.stack.settle(bench.now);
    }
    assert_eq!(closed(&mut bench), (0..room).collect::<Vec<_>>());
    for connection in [room, room + 1] {
        bench.receive_on(TCP, peer.to_string().as_str(), connection, options(1));
        assert_eq!(closed(&mut bench), [connection]);
    }
    assert_eq!(bench.told(0), []);
}
