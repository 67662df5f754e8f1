//! What a message costs: to index it, to read what every element reads, and to print it with what a proxy adds.
//!
//! `cargo bench -p benches --bench message`. Figures are per message. The octets are shared, so "index" allocates
//! the box only; the bench `allocations` counts.

#![allow(missing_docs, reason = "criterion_group! makes a public function")]

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use stack::header::{HeaderId, h, p};
use stack::message::Message;
use std::hint::black_box;

mod invite;

fn index(c: &mut Criterion) {
    let octets = Bytes::from_static(invite::INVITE);
    c.bench_function("message/index", |b| {
        b.iter(|| Box::new(Message::parse(black_box(&octets).clone()).expect("an INVITE")));
    });
    c.bench_function("message/index and read six", |b| {
        b.iter(|| {
            let msg = Box::new(Message::parse(black_box(&octets).clone()).expect("an INVITE"));
            black_box(invite::read_six(&msg));
            msg
        });
    });
    c.bench_function("message/copy, index and read six", |b| {
        b.iter(|| {
            let msg = Box::new(Message::parse(black_box(invite::INVITE)).expect("an INVITE"));
            black_box(invite::read_six(&msg));
            msg
        });
    });
}

fn print(c: &mut Criterion) {
    let msg = Message::parse(invite::INVITE).expect("an INVITE");
    c.bench_function("message/print with Via and Record-Route", |b| {
        b.iter_batched_ref(
            || msg.clone(),
            |msg| {
                msg.push_front(h::RECORD_ROUTES, "<sip:192.0.2.1;lr>");
                msg.push_front(h::VIAS, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK000123456789abcdef;rport");
                msg.to_bytes()
            },
            BatchSize::SmallInput,
        );
    });
    c.bench_function("message/response", |b| {
        b.iter(|| msg.make_response(black_box(200), None, Some("a73kszlfl")).to_bytes());
    });
}

fn single(c: &mut Criterion) {
    let msg = Message::parse(invite::INVITE).expect("an INVITE");
    c.bench_function("message/read top Via", |b| {
        b.iter(|| black_box(msg.first(h::VIAS)).is_ok_and(|via| via.param(p::BRANCH).is_some()));
    });
    c.bench_function("message/read From", |b| {
        b.iter(|| black_box(msg.header(h::FROM)).is_ok_and(|from| from.param(p::TAG).is_some()));
    });
    c.bench_function("message/look up a name", |b| {
        b.iter(|| HeaderId::lookup(black_box(b"Content-Length")));
    });
}

criterion_group!(benches, index, print, single);
criterion_main!(benches);
