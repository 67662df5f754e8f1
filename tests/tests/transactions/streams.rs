//! What the scanner makes of streams.

use crate::bench::{Bench, PEER, incoming_call, told};
use stack::StackOptions;
use stack::transport::TransportType;
use stack::tu::TuOptions;

fn options(n: usize) -> String {
    incoming_call("OPTIONS", &format!("192.0.2.9;branch=z9hG4bK{n}"), "", &format!("call-{n}")).replace("UDP", "TCP")
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
}
