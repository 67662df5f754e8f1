//! What happens when something is full, and in a shutdown.

use crate::bench::{
    Bench, PEER, TCP, UDP, answer, first_line, incoming, incoming_call, line, parse, request, request_to, told,
};
use stack::StackOptions;
use stack::header::h;
use stack::message::Message;
use stack::transaction::Door;
use stack::tu::{TuEvent, TuOptions};
use tests::played::capacity;

fn options(n: usize) -> String {
    incoming_call("OPTIONS", &format!("192.0.2.9;branch=z9hG4bK{n}"), "", &format!("call-{n}"))
}

fn bye(n: usize) -> String {
    incoming_call("BYE", &format!("192.0.2.9;branch=z9hG4bKbye{n}"), "a1", &format!("call-{n}"))
}

/// A transaction user that does not get on: new requests are refused from 80 % on, what belongs to something that
/// exists still goes in, and when it goes on it hears of everything that was not refused.
#[test]
fn a_full_transaction_user() {
    let capacity = capacity("tu");
    let room = capacity - capacity / 5;
    let mut bench = Bench::new();
    bench.receive(incoming("INVITE", "192.0.2.9;branch=z9hG4bKcall", ""));
    let (call, _) = bench.request();
    bench.run_to(100);
    bench.sent();
    bench.send(request("MESSAGE"));
    let message = bench.one_sent();
    bench.stack.stalled = Some("first");
    let mut refused = 0;
    for n in 0..room + 10 {
        bench.receive(options(n));
        for sent in bench.sent() {
            assert_eq!(first_line(&sent), "503 Service Unavailable");
            assert!(line(&sent, "Retry-After").parse::<u32>().is_ok_and(|s| s > 0));
            refused += 1;
        }
    }
    assert_eq!((refused, bench.stack.transactions().refused), (10, 10));
    // A CANCEL, a BYE, an ACK and a response.
    bench.receive(incoming("CANCEL", "192.0.2.9;branch=z9hG4bKcall", ""));
    assert_eq!(first_line(&bench.one_sent()), "200 OK");
    bench.receive(bye(1));
    bench.receive(incoming("ACK", "192.0.2.9;branch=z9hG4bKack", "a1"));
    bench.receive(answer(&message, 200));
    bench.nothing_sent();
    bench.stack.stalled = None;
    let heard = bench.heard(0);
    assert_eq!(heard.len(), room + 4);
    let rest: Vec<&TuEvent> = heard.iter().skip(room).collect();
    assert!(
        matches!(&rest[..], [TuEvent::Cancelled { transaction, .. }, TuEvent::Request { .. }, TuEvent::Ack { .. }, TuEvent::Response { .. }]
            if *transaction == call),
        "{rest:?}"
    );
    // And new requests are welcome again.
    bench.receive(options(capacity));
    assert_eq!(bench.told(0), [told(100, "OPTIONS")]);
}

/// Nothing that the transaction layer must tell is lost when there is no room at all: it is held, and the scanner with
/// it, until the user goes on; time does not stand still for the other transactions.
#[test]
fn an_overfull_transaction_user_loses_nothing() {
    // More than `tu` holds, so that `txn` fills too.
    let acks = capacity("tu") + capacity("txn") / 2;
    let mut bench = Bench::new();
    bench.send(request("MESSAGE"));
    bench.sent();
    bench.stack.stalled = Some("first");
    for n in 0..acks {
        bench.receive(incoming_call("ACK", &format!("192.0.2.9;branch=z9hG4bK{n}"), "a1", "call-3"));
    }
    bench.run_to(40_000);
    assert_eq!(bench.sent().len(), 10, "Timer E of the MESSAGE");
    bench.stack.stalled = None;
    bench.run_to(40_010);
    let heard = bench.told(0);
    assert_eq!(heard.iter().filter(|(_, what)| what == "ACK").count(), acks);
    assert_eq!(heard.iter().filter(|(_, what)| what == "timeout").count(), 1);
    assert!(bench.stack.meters().all(|meter| meter.depth() == 0));
}

#[test]
fn a_shutdown_refuses_what_is_new() {
    let mut bench = Bench::new();
    bench.receive(incoming("INVITE", "192.0.2.9;branch=z9hG4bKcall", ""));
    let (call, msg) = bench.request();
    bench.stack.set_doors(Door::Dialogs);
    assert!(!bench.stack.drained());
    let via = "192.0.2.9;branch=z9hG4bKnew";
    bench.receive(incoming("INVITE", via, ""));
    let refused = bench.one_sent();
    assert_eq!(first_line(&refused), "503 Service Unavailable");
    assert!(!line(&refused, "Retry-After").is_empty());
    let tag = parse(&refused).header(h::TO).unwrap().param(stack::header::p::TAG).unwrap().to_owned();
    bench.receive(incoming("ACK", via, &tag));
    assert_eq!(bench.told(0), [], "the ACK for the stack's own refusal");
    bench.receive(bye(1));
    let (bye, bye_msg) = bench.request();
    bench.receive(incoming("CANCEL", "192.0.2.9;branch=z9hG4bKcall", ""));
    assert_eq!(bench.told(0), [told(0, "cancelled")]);
    bench.respond(bye, bye_msg.make_response(200, None, None));
    bench.respond(call, msg.make_response(487, None, Some("a1")));
    assert_eq!(bench.sent().len(), 3);
    assert!(bench.stack.drained(), "what only absorbs repetitions is not waited for");
}

/// In the last moment of a shutdown nothing begins: what is repeated by itself gets no answer, the rest is refused.
#[test]
fn behind_shut_doors_nothing_begins() {
    let mut bench = Bench::new();
    bench.receive(incoming("INVITE", "192.0.2.9;branch=z9hG4bKcall", ""));
    let (call, msg) = bench.request();
    bench.stack.set_doors(Door::Shut);
    bench.receive(bye(1));
    assert_eq!((bench.sent().len(), bench.told(0)), (0, vec![]));
    bench.receive_on(TCP, PEER, 1, bye(2).replace("/UDP", "/TCP"));
    assert_eq!(first_line(&bench.one_sent()), "503 Service Unavailable");
    bench.receive(incoming("CANCEL", "192.0.2.9;branch=z9hG4bKcall", ""));
    assert_eq!(bench.told(0), [told(0, "cancelled")], "that is one thing less to wait for");
    bench.respond(call, msg.make_response(487, None, Some("a1")));
    assert_eq!(bench.sent().len(), 2);
    assert!(bench.stack.drained());
    bench.stack.set_doors(Door::Dialogs);
    bench.receive(bye(1));
    assert_eq!(bench.told(0), [told(0, "BYE")]);
}

#[test]
fn a_full_table_of_servers_refuses() {
    let small = StackOptions { transactions: 2, ..StackOptions::default() };
    let mut bench = Bench::with(&small, &[TuOptions::default()]);
    (0..3).for_each(|n| bench.receive(options(n)));
    let refused = bench.one_sent();
    assert_eq!(
        (first_line(&refused).as_str(), line(&refused, "Call-ID").as_str()),
        ("503 Service Unavailable", "call-2")
    );
    assert_eq!((bench.told(0).len(), bench.alive()), (2, (0, 2)));
    bench.run_to(40_000);
    bench.receive(options(3));
    assert_eq!(bench.told(0), [told(40_000, "OPTIONS")]);
}

#[test]
fn a_full_table_of_clients_refuses() {
    let small = StackOptions { transactions: 2, ..StackOptions::default() };
    let mut bench = Bench::with(&small, &[TuOptions::default()]);
    for _ in 0..3 {
        bench.send(request("OPTIONS"));
    }
    assert_eq!((bench.sent().len(), bench.told(0)), (2, vec![told(0, "congested")]));
    assert_eq!((bench.alive(), bench.stack.transactions().refused), ((2, 0), 1));
}

/// Whoever counts on the end of each INVITE hears of it even when there was no beginning.
#[test]
fn a_refused_invite_ends() {
    let none = StackOptions { transactions: 0, ..StackOptions::default() };
    let mut bench = Bench::with(&none, &[TuOptions { terminations: true, ..TuOptions::default() }]);
    bench.send(request("INVITE"));
    bench.send(request("OPTIONS"));
    assert_eq!(bench.told(0), [told(0, "congested"), told(0, "client ended"), told(0, "congested")]);
}

/// When `out` has no room for the ACK, the final response is still told.
#[test]
fn a_final_response_is_told_although_its_ack_finds_no_room() {
    let mut bench = Bench::new();
    bench.send(request_to("INVITE", "sip:bob@192.0.2.9;transport=tcp"));
    let invite = bench.one_sent();
    bench.stack.stalled = Some("selector");
    bench.stack.set_doors(Door::Dialogs);
    for n in 0..capacity("out") {
        bench.receive(options(n));
    }
    assert_eq!(bench.stack.meters().find(|m| m.name() == "out").unwrap().depth(), capacity("out"), "503s fill it");
    bench.receive_on(TCP, PEER, 1, answer(&invite, 486));
    assert_eq!(bench.told(0), [told(0, "486")]);
    assert_eq!((bench.alive(), bench.stack.transactions().shed), ((0, 0), 1));
}

/// A request that finds no room in `out` is answered at once.
#[test]
fn a_request_that_finds_no_room_is_answered_at_once() {
    let mut bench = Bench::new();
    bench.stack.stalled = Some("selector");
    bench.stack.set_doors(Door::Dialogs);
    for n in 0..capacity("out") {
        bench.receive(options(n));
    }
    bench.send(request("OPTIONS"));
    assert_eq!((bench.told(0), bench.alive()), (vec![told(0, "congested")], (0, 0)));
}

/// A message that is larger than the default limits is cancelled and acknowledged like any other.
#[test]
fn a_very_large_invite_gets_its_ack() {
    let mut bench = Bench::new();
    let mut invite = request_to("INVITE", "sip:bob@192.0.2.9;transport=tcp");
    invite.set_body(Some("text/plain"), vec![b'x'; 300 * 1024]);
    let call = bench.send(invite);
    let sent = bench.one_sent();
    let head = tests::raw::body_start(&sent.bytes);
    let small = String::from_utf8_lossy(&sent.bytes[..head]).replace("307200", "0");
    let reply = |code| Message::parse(small.as_bytes()).unwrap().make_response(code, None, Some("b2")).to_bytes();
    bench.receive_on(TCP, PEER, 1, reply(180));
    bench.act(0, move |stack| stack.cancel(call, None));
    assert_eq!(first_line(&bench.one_sent()), "CANCEL sip:bob@192.0.2.9;transport=tcp");
    bench.receive_on(TCP, PEER, 1, reply(487));
    assert_eq!(first_line(&bench.one_sent()), "ACK sip:bob@192.0.2.9;transport=tcp");
}

/// `rx` is bounded, and what it took is not lost.
#[test]
fn rx_is_bounded() {
    let mut bench = Bench::new();
    let peer = PEER.parse().unwrap();
    let taken =
        (0..capacity("rx") + 100).filter(|n| bench.stack.receive(UDP, peer, 0, options(*n).into(), bench.now)).count();
    bench.settle();
    assert_eq!(taken, capacity("rx"));
    let got = bench.told(0).len() as u64 + bench.stack.transactions().refused + bench.stack.scanner().shed;
    assert_eq!(got, taken as u64, "each was told, refused or counted");
}

/// RFC 5626 §3.5.1: a double CRLF wants one in return; a thousand of them in one chunk want no more.
#[test]
fn a_chunk_gets_one_pong() {
    let mut bench = Bench::new();
    for pings in [1, 1000] {
        bench.receive_on(TCP, PEER, 7, "\r\n\r\n".repeat(pings));
        let pong = bench.one_sent();
        assert_eq!((&pong.bytes[..], pong.connection.0), (&b"\r\n"[..], 7));
    }
}
