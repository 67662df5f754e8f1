//! Requests that a transaction user has written itself go the way of the others.

use crate::bench::{Bench, PEER, UDP, answer, line, request, told};
use stack::StackOptions;
use stack::header::Method;
use stack::transport::{ConnectionId, Flow, TransportError, TransportId, TransportType};
use stack::tu::{ClientTransaction, NextHop, SendOptions, TuContext};

fn flow() -> Flow {
    let (peer, connection) = (PEER.parse().unwrap(), ConnectionId::default());
    Flow { transport: TransportId(UDP), kind: TransportType::Udp, connection, peer, local: None }
}

/// A request behind its Via.
fn octets(method: &str, via: &[u8]) -> Vec<u8> {
    let text = request(method).to_bytes();
    let (first, rest) = text.split_at(text.windows(2).position(|end| end == b"\r\n").unwrap() + 2);
    [first, via, rest].concat()
}

fn send(bench: &mut Bench, method: &'static str, written: bool) -> ClientTransaction {
    bench.act(0, move |stack: &mut TuContext<'_>| {
        let (transaction, mut via) = (stack.new_transaction(), Vec::new());
        if written {
            assert!(stack.write_via(transaction, &flow(), &mut via));
            stack.send_written(transaction, Method::from_token(method), octets(method, &via).into(), &flow());
        } else {
            let options = SendOptions { next_hop: NextHop::From(flow()), ..SendOptions::default() };
            stack.send_as(transaction, request(method), options);
        }
        transaction
    })
}

type Seen = (Vec<(u64, String)>, Vec<(u64, String)>, (u64, u64));

/// What goes out and what is told when `then` happens after the request.
fn seen(method: &'static str, written: bool, then: impl FnOnce(&mut Bench, ClientTransaction)) -> Seen {
    let mut bench = Bench::new();
    let transaction = send(&mut bench, method, written);
    then(&mut bench, transaction);
    bench.run_to(80_000);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let sent = bench.sent().iter().map(|sent| (sent.at.as_millis(), text(&sent.bytes))).collect();
    (sent, bench.told(0), bench.alive())
}

/// The request of a bench, whose octets are as always the first that are sent. It stays among what was sent.
fn first(bench: &mut Bench) -> tests::played::Sent {
    bench.settle();
    bench.sent().remove(0)
}

#[test]
fn they_go_out_are_repeated_and_end_as_others_do() {
    for method in ["INVITE", "OPTIONS"] {
        for case in 0..6 {
            let then = |bench: &mut Bench, transaction: ClientTransaction| {
                if case == 0 {
                    return; // Nobody answers.
                }
                let request = first(bench);
                assert!(line(&request, "Via").starts_with("SIP/2.0/UDP "));
                bench.run_to(700);
                match case {
                    1 => bench.receive(answer(&request, 200)),
                    2 => bench.receive(answer(&request, 503)),
                    3 => bench.fail(request.notify.unwrap(), TransportError::Refused),
                    4 => bench.undelivered(&request, 200),
                    _ => {
                        bench.receive(answer(&request, 180));
                        bench.act(0, move |stack| stack.cancel(transaction, None));
                    }
                }
            };
            let (others, these) = (seen(method, false, then), seen(method, true, then));
            assert!(!others.1.is_empty() && (case != 0 || others.0.len() > 5), "{method} {case}: {others:?}");
            assert_eq!(these, others, "{method} {case}");
        }
    }
}

#[test]
fn where_there_is_no_room_they_are_refused() {
    let options = StackOptions { transactions: 0, ..StackOptions::default() };
    let mut bench = Bench::with(&options, &[Default::default()]);
    send(&mut bench, "INVITE", true);
    bench.nothing_sent();
    assert_eq!(bench.told(0), [told(0, &stack::tu::NoResponse::from(TransportError::Congested).to_string())]);
}

#[test]
fn without_a_transaction_they_go_out_once() {
    let mut bench = Bench::new();
    bench.act(0, |stack| stack.send_written_stateless(octets("ACK", b"Via: x\r\n").into(), &flow()));
    assert_eq!(&bench.one_sent().bytes[..], octets("ACK", b"Via: x\r\n"));
    bench.run_to(40_000);
    bench.nothing_sent();
    assert_eq!(bench.alive(), (0, 0));
}

/// A wildcard's address is known when the route to the peer is.
#[test]
fn a_via_is_written_where_the_address_is_known() {
    let on = [(TransportType::Udp, "0.0.0.0:5060".parse().unwrap())];
    let mut bench = Bench::on(&StackOptions::default(), &[Default::default()], &on);
    let via = |local: Option<&str>| {
        let flow = Flow { transport: TransportId(0), local: local.map(|ip| ip.parse().unwrap()), ..flow() };
        move |stack: &mut TuContext<'_>| {
            let (transaction, mut via) = (stack.new_transaction(), Vec::new());
            (stack.write_via(transaction, &flow, &mut via), String::from_utf8(via).unwrap())
        }
    };
    assert_eq!(bench.act(0, via(None)), (false, String::new()));
    let (known, via) = bench.act(0, via(Some("192.0.2.77")));
    assert!(known && via.starts_with("Via: SIP/2.0/UDP 192.0.2.77:5060;branch=z9hG4bK"), "{via}");
    assert!(via.ends_with(";rport\r\n"), "{via}");
}
