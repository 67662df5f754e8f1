//! Limits and refusals of the proxy as a program.

use tests::raw;

use crate::phone::{Call, Phone};
use crate::repro::{File, address, start};

/// A source above its rate is refused in due form; its calls that stand go on; who sends garbage too is not heard at
/// all, until the ban ends.
#[test]
fn a_source_that_asks_for_too_much() {
    let file = File::new("limited", "[limits]\nsource_rate = 1\nsource_burst = 3\nban_after = 3\nban_seconds = 1\n");
    let repro = start(&["--config", file.name()]);
    let [alice, bob] = ["alice", "bob"].map(|name| Phone::new(name, address(&repro, "udp")));
    let call = Call::establish(&alice, &bob, "talk");
    // One request is used up; two more are within the burst, or three on a slow machine.
    let mut refused = 0;
    for count in 1..20 {
        alice.send(&alice.request("INVITE", &bob, "more", count));
        let answer = loop {
            match (bob.overhear(), alice.overhear()) {
                (Some(invite), _) if invite.starts_with(b"INVITE ") => bob.answer(&invite, 486),
                (_, Some(answer)) if !answer.starts_with(b"SIP/2.0 1") => break answer,
                _ => {}
            }
        };
        if answer.starts_with(b"SIP/2.0 503 ") {
            assert!(raw::first(&answer, "retry-after").is_some() && raw::first(&answer, "to").is_some());
            refused += 1;
            break;
        }
    }
    assert_eq!(refused, 1);
    // Within the dialog nothing is counted.
    alice.send(&call.by_caller("BYE", 2));
    bob.answer(&bob.hear("BYE "), 200);
    alice.hear("SIP/2.0 200 ");
    // Two offences more, and it is not heard; then it is.
    alice.send(b"no SIP");
    alice.send(b"no SIP");
    let heard = (100..200).filter(|count| {
        alice.send(&alice.request("OPTIONS", &bob, "banned", *count));
        bob.overhear().or_else(|| alice.overhear()).is_some()
    });
    let first = heard.take(1).next().expect("the ban ends");
    assert!(first > 100, "it was not banned");
}
