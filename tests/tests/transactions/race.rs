//! A host with addresses of both families, over connections: which of them gets the request (RFC 8305).

use crate::bench::{Bench, answer, line, request_to, told};
use stack::StackOptions;
use stack::selector::records::{RecordType, Records};
use stack::selector::resolver::Answer;
use stack::transport::{Attempt, ConnectionId, TransportError, TransportType};
use stack::tu::TuOptions;
use std::net::IpAddr;
use std::time::Duration;

const V4: &str = "192.0.2.9:5060";
const V6: &str = "[2001:db8::9]:5060";

/// A stack with TCP of both families that has sent a request to a host with two addresses.
fn racing(method: &str) -> Bench {
    let on = ["192.0.2.1:5060", "[2001:db8::1]:5060"].map(|at| (TransportType::Tcp, at.parse().unwrap()));
    let mut bench = Bench::on(&StackOptions::default(), &[TuOptions::default()], &on);
    send(&mut bench, method);
    for lookup in bench.stack.resolver.take_waiting() {
        let address = if lookup.query.record == RecordType::A { V4 } else { V6 };
        let ip: IpAddr = address.parse::<std::net::SocketAddr>().unwrap().ip();
        let (result, ttl) = (Ok(Records::Addresses([ip].into())), Some(Duration::from_secs(600)));
        bench.stack.answer(Answer { token: lookup.token, result, ttl }, bench.now);
    }
    bench.nothing_sent();
    bench
}

fn send(bench: &mut Bench, method: &str) {
    bench.send(request_to(method, "sip:bob@host.example:5060;transport=tcp"));
}

/// The connections that were asked for since the last call.
fn asked(bench: &mut Bench) -> Vec<(String, Attempt)> {
    bench.settle();
    bench.nothing_sent();
    bench.stack.connecting.drain(..).map(|(_, peer, attempt)| (peer.to_string(), attempt)).collect()
}

/// The one connection that was asked for.
fn one_asked(bench: &mut Bench, to: &str) -> Attempt {
    let asked = asked(bench);
    assert_eq!(asked.iter().map(|(peer, _)| peer.as_str()).collect::<Vec<_>>(), [to]);
    asked[0].1
}

fn up(bench: &mut Bench, attempt: Attempt, connection: u64) {
    bench.stack.connected(attempt, Ok(ConnectionId(connection)), bench.now);
    bench.settle();
}

fn fails(bench: &mut Bench, attempt: Attempt, error: TransportError) {
    bench.stack.connected(attempt, Err(error), bench.now);
    bench.settle();
}

#[test]
fn ipv6_has_its_time_and_gets_the_request() {
    let mut bench = racing("INVITE");
    let v6 = one_asked(&mut bench, V6);
    bench.run_to(249);
    assert_eq!(asked(&mut bench), []);
    up(&mut bench, v6, 7);
    let sent = bench.one_sent();
    assert_eq!((sent.peer.to_string(), sent.connection), (V6.to_owned(), ConnectionId(7)));
    assert!(line(&sent, "Via").starts_with("SIP/2.0/TCP [2001:db8::1]:5060;"), "{}", line(&sent, "Via"));
    bench.run_to(30_000);
    assert!(asked(&mut bench).is_empty() && bench.stack.given_up.is_empty());
    assert_eq!(bench.stack.statistics(bench.now).dns.greylisted, 0);
}

#[test]
fn after_250_ms_ipv4_is_tried_beside_it_and_what_is_slow_is_given_up() {
    let mut bench = racing("INVITE");
    let v6 = one_asked(&mut bench, V6);
    bench.run_to(250);
    let v4 = one_asked(&mut bench, V4);
    bench.run_to(270);
    up(&mut bench, v4, 8);
    let sent = bench.one_sent();
    assert_eq!((sent.peer.to_string(), sent.connection), (V4.to_owned(), ConnectionId(8)));
    assert!(line(&sent, "Via").starts_with("SIP/2.0/TCP 192.0.2.1:5060;"), "{}", line(&sent, "Via"));
    assert_eq!(bench.stack.given_up, [v6]);
    // That it came up too late changes nothing.
    up(&mut bench, v6, 9);
    bench.nothing_sent();
    bench.receive_on(0, V4, 8, answer(&sent, 486));
    assert_eq!(bench.told(0), [told(270, "486")]);
    bench.sent();
    // For a minute the other address is the first.
    send(&mut bench, "OPTIONS");
    let again = one_asked(&mut bench, V4);
    up(&mut bench, again, 8);
    let options = bench.one_sent();
    assert_eq!(options.connection, ConnectionId(8));
    bench.receive_on(0, V4, 8, answer(&options, 200));
    bench.run_to(61_000);
    send(&mut bench, "OPTIONS");
    one_asked(&mut bench, V6);
}

#[test]
fn a_refusal_begins_the_other_at_once() {
    let mut bench = racing("OPTIONS");
    let v6 = one_asked(&mut bench, V6);
    bench.run_to(5);
    fails(&mut bench, v6, TransportError::Refused);
    let v4 = one_asked(&mut bench, V4);
    up(&mut bench, v4, 3);
    assert_eq!(bench.one_sent().peer.to_string(), V4);
    let counted = bench.stack.statistics(bench.now);
    assert_eq!((counted.transactions.failovers, counted.dns.greylisted), (0, 1), "nobody above hears of it");
}

#[test]
fn when_none_comes_up_the_request_fails_with_the_last_reason() {
    let mut bench = racing("INVITE");
    let v6 = one_asked(&mut bench, V6);
    bench.run_to(250);
    let v4 = one_asked(&mut bench, V4);
    fails(&mut bench, v4, TransportError::Refused);
    fails(&mut bench, v6, TransportError::Unreachable);
    assert_eq!(bench.told(0), [told(250, "unreachable")]);
    assert!(bench.stack.drained() && bench.alive() == (0, 0));
}

/// The transports owe an answer; should it be lost, the request does not wait for ever.
#[test]
fn our_own_congestion_is_held_against_nobody() {
    use TransportError::{Congested, Handshake, Refused};
    for (v6_error, v4_error, expected) in
        [(Congested, Congested, 0), (Refused, Congested, 1), (Congested, Refused, 1), (Refused, Handshake, 1)]
    {
        let mut bench = racing("OPTIONS");
        let v6 = one_asked(&mut bench, V6);
        fails(&mut bench, v6, v6_error);
        let v4 = one_asked(&mut bench, V4);
        fails(&mut bench, v4, v4_error);
        assert_eq!(bench.stack.statistics(bench.now).dns.greylisted, expected, "{v6_error:?} {v4_error:?}");
    }
    // Nor when another is up.
    let mut bench = racing("OPTIONS");
    let v6 = one_asked(&mut bench, V6);
    fails(&mut bench, v6, Congested);
    let v4 = one_asked(&mut bench, V4);
    up(&mut bench, v4, 7);
    assert_eq!(
        (bench.one_sent().peer.to_string(), bench.stack.statistics(bench.now).dns.greylisted),
        (V4.to_owned(), 0)
    );
}

#[test]
fn a_race_that_nobody_decides_ends() {
    let mut bench = racing("INVITE");
    assert!(!bench.stack.drained());
    bench.run_to(20_000);
    assert_eq!(bench.told(0), [told(15_000, "connection timed out")]);
    assert_eq!(bench.stack.given_up.len(), 2);
    assert!(bench.stack.drained());
}

/// What the winner says counts: on 503 the request goes to the address that lost (RFC 3263 §4.3).
#[test]
fn who_lost_is_the_next_target() {
    let mut bench = racing("OPTIONS");
    let v6 = one_asked(&mut bench, V6);
    up(&mut bench, v6, 7);
    let sent = bench.one_sent();
    bench.receive_on(1, V6, 7, answer(&sent, 503));
    let next = bench.one_sent();
    assert_eq!((next.peer.to_string(), next.connection), (V4.to_owned(), ConnectionId(0)));
    assert_eq!(bench.stack.transactions().failovers, 1);
}
