//! What transactions keep of messages, counted and bounded in octets.

use crate::bench::{
    Bench, PEER, TCP, answer, first_line, incoming, incoming_call, line, parse, request, request_to, told,
};
use bytes::Bytes;
use stack::StackOptions;
use stack::message::Message;
use stack::transport::TransportError;
use stack::tu::{SendOptions, TuOptions};
use std::sync::Arc;

fn bounded(transaction_octets: usize) -> Bench {
    Bench::with(&StackOptions { transaction_octets, ..StackOptions::default() }, &[TuOptions::default()])
}

/// Octets kept, and how often something was not kept.
fn kept(bench: &Bench) -> (usize, u64) {
    let counted = bench.stack.transactions();
    (counted.octets_kept as usize, counted.not_kept)
}

fn options(n: usize) -> String {
    incoming_call("OPTIONS", &format!("192.0.2.9;branch=z9hG4bK{n}"), "", &format!("call-{n}"))
}

fn with_body(mut msg: Message, size: usize) -> Message {
    msg.set_body(Some("text/plain"), vec![b'x'; size]);
    msg
}

/// What the one message sent has in octets.
fn sent(bench: &mut Bench) -> usize {
    bench.one_sent().bytes.len()
}

/// The request until the final response, the last response while it may be repeated.
#[test]
fn what_a_server_keeps() {
    let mut bench = Bench::new();
    let text = incoming("INVITE", "192.0.2.9;branch=z9hG4bKcall", "");
    let invite = text.len();
    bench.receive(text);
    let (call, msg) = bench.request();
    assert_eq!(kept(&bench), (invite, 0));
    bench.run_to(100);
    let trying = sent(&mut bench);
    assert_eq!(kept(&bench), (invite + trying, 0));
    bench.respond(call, with_body(msg.make_response(183, None, Some("a1")), 500));
    let progress = sent(&mut bench);
    assert_eq!(kept(&bench), (invite + progress, 0), "instead of the 100");
    bench.respond(call, msg.make_response(486, None, Some("a1")));
    let busy = sent(&mut bench);
    assert_eq!(kept(&bench), (busy, 0));
    bench.receive(incoming("ACK", "192.0.2.9;branch=z9hG4bKcall", "a1"));
    assert_eq!((kept(&bench), bench.alive()), ((0, 0), (0, 1)));

    bench.receive(options(1));
    let (question, msg) = bench.request();
    assert_eq!(kept(&bench), (options(1).len(), 0));
    bench.respond(question, msg.make_response(200, None, Some("a1")));
    let ok = sent(&mut bench);
    assert_eq!(kept(&bench), (ok, 0));
    bench.run_to(40_000);
    assert_eq!((kept(&bench), bench.alive()), ((0, 0), (0, 0)));
}

/// The request as it went out until the final response; of an INVITE then its ACK.
#[test]
fn what_a_client_keeps() {
    let mut bench = Bench::new();
    for (code, acked) in [(486, true), (200, false)] {
        bench.send(request("INVITE"));
        let invite = bench.one_sent();
        assert_eq!(kept(&bench), (invite.bytes.len(), 0));
        bench.receive(answer(&invite, 180));
        assert_eq!(kept(&bench), (invite.bytes.len(), 0));
        bench.receive(answer(&invite, code));
        let ack = if acked { sent(&mut bench) } else { 0 };
        assert_eq!(kept(&bench), (ack, 0), "after {code}");
        bench.run_to(bench.now.as_millis() + 40_000);
        assert_eq!((kept(&bench), bench.alive()), ((0, 0), (0, 0)));
    }
    bench.send(request("OPTIONS"));
    let question = bench.one_sent();
    assert_eq!(kept(&bench), (question.bytes.len(), 0));
    bench.run_to(bench.now.as_millis() + 40_000);
    assert_eq!((kept(&bench), bench.alive()), ((0, 0), (0, 0)), "nobody answered");
}

/// A CANCEL is kept beside its INVITE.
#[test]
fn what_a_cancelled_client_keeps() {
    let mut bench = Bench::new();
    let call = bench.send(request("INVITE"));
    let invite = bench.one_sent();
    bench.receive(answer(&invite, 180));
    bench.act(0, move |stack| stack.cancel(call, None));
    let cancel = bench.one_sent();
    assert_eq!(kept(&bench), (invite.bytes.len() + cancel.bytes.len(), 0));
    bench.receive(answer(&cancel, 200));
    bench.receive(answer(&invite, 487));
    let ack = sent(&mut bench);
    bench.run_to(10_000);
    assert_eq!(kept(&bench), (ack, 0));
    bench.run_to(40_000);
    assert_eq!(kept(&bench), (0, 0));
}

/// A large request falls back to UDP while the answer is on its way: what then goes out once more is not kept.
#[test]
fn a_client_that_is_answered_keeps_no_late_request() {
    let mut bench = Bench::new();
    bench.send(with_body(request("INVITE"), 1300));
    let invite = bench.one_sent();
    bench.stack.stalled = Some("selector");
    bench.fail(invite.notify.unwrap(), TransportError::Refused);
    bench.receive_on(TCP, PEER, 1, answer(&invite, 200));
    assert_eq!((bench.told(0), kept(&bench)), (vec![told(0, "200")], (0, 0)));
    bench.stack.stalled = None;
    assert_eq!(first_line(&bench.one_sent()), first_line(&invite));
    assert_eq!((kept(&bench), bench.alive()), ((0, 0), (1, 0)));
}

#[test]
fn a_request_that_passes_the_budget_is_refused() {
    let size = options(0).len();
    let mut bench = bounded(2 * size + size / 2);
    (0..2).for_each(|n| bench.receive(options(n)));
    bench.nothing_sent();
    bench.receive(options(2));
    let refused = bench.one_sent();
    assert_eq!(first_line(&refused), "503 Service Unavailable");
    assert_eq!(line(&refused, "Call-ID"), "call-2");
    assert!(line(&refused, "Retry-After").parse::<u32>().is_ok_and(|s| s > 0));
    assert_eq!((bench.told(0).len(), bench.alive(), bench.stack.transactions().refused), (2, (0, 2), 1));
    assert_eq!(kept(&bench), (2 * size, 0));
    bench.run_to(40_000);
    bench.sent();
    bench.receive(options(3));
    assert_eq!(bench.told(0), [told(40_000, "OPTIONS")]);
}

#[test]
fn a_client_that_passes_the_budget_is_refused() {
    let mut bench = bounded(2000);
    for _ in 0..3 {
        bench.send(with_body(request("MESSAGE"), 700));
    }
    let sent: usize = bench.sent().iter().map(|sent| sent.bytes.len()).sum();
    assert_eq!((bench.told(0), bench.alive()), (vec![told(0, "congested")], (2, 0)));
    assert_eq!((kept(&bench), bench.stack.transactions().refused), ((sent, 0), 1));
}

/// A request that the selector still has is counted too: else a burst could pass the budget.
#[test]
fn requests_on_their_way_out_are_counted() {
    let mut bench = bounded(2000);
    bench.stack.stalled = Some("selector");
    for _ in 0..3 {
        bench.send(with_body(request("MESSAGE"), 700));
    }
    assert_eq!((bench.told(0), bench.alive()), (vec![told(0, "congested")], (2, 0)));
    assert!(kept(&bench).0 > 1400);
    bench.stack.stalled = None;
    bench.run_to(40_000);
    assert_eq!(kept(&bench), (0, 0));
}

/// Whoever answers decides how large an answer is: one that passes the budget goes out, and is not kept.
#[test]
fn a_response_that_passes_the_budget_is_sent_once() {
    let text = incoming("INVITE", "192.0.2.9;branch=z9hG4bKcall", "");
    let mut bench = bounded(text.len() + 1000);
    bench.receive(text.clone());
    let (call, msg) = bench.request();
    bench.respond(call, with_body(msg.make_response(183, None, Some("a1")), 2000));
    assert_eq!(first_line(&bench.one_sent()), "183 Session Progress");
    assert_eq!(kept(&bench), (text.len(), 1));
    bench.receive(text.clone());
    bench.nothing_sent();
    bench.respond(call, msg.make_response(180, None, Some("a1")));
    assert_eq!(first_line(&bench.one_sent()), "180 Ringing");
    bench.receive(text);
    assert_eq!(first_line(&bench.one_sent()), "180 Ringing", "there was room for that");
    bench.respond(call, with_body(msg.make_response(486, None, Some("a1")), 2000));
    assert_eq!(first_line(&bench.one_sent()), "486 Busy Here");
    assert_eq!(kept(&bench), (0, 2));
    bench.run_to(40_000);
    bench.nothing_sent();
    assert_eq!((bench.told(0), bench.alive()), (vec![told(32_000, "not delivered")], (0, 0)));
}

#[test]
fn a_cancel_and_an_ack_that_pass_the_budget_are_sent_once() {
    let size = {
        let mut bench = Bench::new();
        bench.send(request("INVITE"));
        sent(&mut bench)
    };
    let mut bench = bounded(size + 20);
    let call = bench.send(request("INVITE"));
    let invite = bench.one_sent();
    bench.receive(answer(&invite, 180));
    bench.act(0, move |stack| stack.cancel(call, None));
    assert_eq!(first_line(&bench.one_sent()), "CANCEL sip:bob@192.0.2.9");
    bench.run_to(5_000);
    bench.nothing_sent();
    assert_eq!(kept(&bench), (size, 1));
    let busy = parse(&invite).make_response(487, None, Some(&"b".repeat(1000))).to_bytes();
    bench.receive(busy.clone());
    assert_eq!(first_line(&bench.one_sent()), "ACK sip:bob@192.0.2.9");
    assert_eq!(kept(&bench), (0, 2));
    bench.receive(busy);
    bench.nothing_sent();
}

/// A message that shares a large chunk of a stream with others does not keep the chunk alive.
#[test]
fn a_transaction_does_not_keep_the_chunk_that_it_came_in() {
    let mut bench = Bench::new();
    let mut chunk = options(1).replace("UDP", "TCP");
    // Requests that leave nothing behind.
    for n in 0..100 {
        let ack = incoming_call("ACK", &format!("192.0.2.9;branch=z9hG4bKack{n}"), "a1", "call-2");
        chunk.push_str(&ack.replace("UDP", "TCP"));
    }
    chunk.push_str(&options(2).replace("UDP", "TCP"));
    let buffer: Arc<[u8]> = chunk.into_bytes().into();
    let alive = Arc::downgrade(&buffer);
    bench.receive_on(TCP, PEER, 1, Bytes::from_owner(buffer));
    let heard = bench.heard(0);
    assert_eq!((heard.len(), bench.alive()), (102, (0, 2)));
    assert!(alive.upgrade().is_none(), "two requests of 300 octets keep 30,000");
}

/// Nor a large datagram of which little is the message.
#[test]
fn a_transaction_does_not_keep_what_is_behind_its_message() {
    let mut bench = Bench::new();
    let buffer: Arc<[u8]> = format!("{}{}", options(1), "x".repeat(60_000)).into_bytes().into();
    let alive = Arc::downgrade(&buffer);
    bench.receive(Bytes::from_owner(buffer));
    assert_eq!((bench.heard(0).len(), bench.alive()), (1, (0, 1)));
    assert!(alive.upgrade().is_none());
}

/// Nor does a response, whoever has it.
#[test]
fn a_response_does_not_keep_the_chunk_that_it_came_in() {
    let mut bench = Bench::new();
    let msg = request_to("INVITE", "sip:bob@192.0.2.9;transport=tcp");
    bench.act(0, move |stack| stack.send(msg, SendOptions::default()));
    let invite = bench.one_sent();
    let chunk = [&answer(&invite, 486)[..], "\r\n".repeat(10_000).as_bytes()].concat();
    let buffer: Arc<[u8]> = chunk.into();
    let alive = Arc::downgrade(&buffer);
    bench.receive_on(TCP, PEER, 1, Bytes::from_owner(buffer));
    let heard = bench.heard(0);
    assert_eq!(heard.len(), 1);
    assert!(alive.upgrade().is_none(), "{heard:?} keeps it");
}
