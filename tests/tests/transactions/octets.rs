//! What transactions keep of messages.

use crate::bench::{Bench, PEER, TCP, answer, incoming_call, request_to};
use bytes::Bytes;
use stack::tu::SendOptions;
use std::sync::Arc;

fn options(n: usize) -> String {
    incoming_call("OPTIONS", &format!("192.0.2.9;branch=z9hG4bK{n}"), "", &format!("call-{n}"))
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
