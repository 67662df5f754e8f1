//! How often a message allocates: to be indexed, read, and printed with what a proxy adds.
//!
//! `cargo bench -p benches --bench allocations`. It prints the counts and fails where one is above its bound.

use bytes::Bytes;
use stack::header::h;
use stack::message::Message;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::hint::black_box;
use std::process::ExitCode;

mod invite;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Allocations and reallocations in `what`. Its result lives until they are counted.
fn count<T>(what: impl FnOnce() -> T) -> usize {
    let region = Region::new(ALLOCATOR);
    let result = black_box(what());
    let change = region.change();
    drop(result);
    change.allocations + change.reallocations
}

fn parse(octets: Bytes) -> Box<Message> {
    Box::new(Message::parse(octets).expect("an INVITE"))
}

fn main() -> ExitCode {
    let shared = Bytes::from_static(invite::INVITE);
    let mut msg = parse(shared.clone());
    let rows = [
        ("buffer and index", 2, count(|| parse(Bytes::copy_from_slice(invite::INVITE)))),
        (
            "buffer, index and six headers read",
            4,
            count(|| {
                let msg = parse(Bytes::copy_from_slice(invite::INVITE));
                black_box(invite::read_six(&msg));
                msg
            }),
        ),
        (
            "print with Via and Record-Route",
            3,
            count(|| {
                msg.push_front(h::RECORD_ROUTES, "<sip:192.0.2.1;lr>");
                msg.push_front(h::VIAS, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK000123456789abcdef;rport");
                msg.to_bytes()
            }),
        ),
    ];
    let mut good = true;
    for (what, bound, counted) in rows {
        println!("{counted} allocations (at most {bound}): {what}");
        good &= counted <= bound;
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
