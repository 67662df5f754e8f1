//! Limits and refusals of the proxy as a program.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tests::raw;

use crate::phone::{Call, Phone};
use crate::repro::{File, LIMIT, address, start};

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

/// Who is in the access list by address is not limited, even when that is said later.
#[test]
fn who_is_listed_may_ask_as_often_as_he_likes() {
    let limits = "[limits]\nsource_rate = 1\nsource_burst = 1\nban_after = 1\nban_seconds = 3600\n";
    let file = File::new("exempt", &format!("{limits}[[acl]]\nnetwork = \"127.0.0.0/8\"\n"));
    let repro = start(&["--config", file.name()]);
    let alice = Phone::new("alice", address(&repro, "udp"));
    for count in 1..50 {
        alice.send(b"no SIP");
        alice.send(&alice.request("OPTIONS", &alice, "listed", count));
        let answer = loop {
            let heard = alice.overhear().expect("it is not banned");
            match heard.starts_with(b"OPTIONS ") {
                true => alice.answer(&heard, 200),
                false => break heard,
            }
        };
        assert!(answer.starts_with(b"SIP/2.0 200 "), "{}", String::from_utf8_lossy(&answer));
    }
}

/// What an operator reads of a flood: that it began, what it cost when it is over, and the numbers at intervals; never a
/// line a message.
#[test]
fn the_log_of_a_flood() {
    let text = "[log]\nfilter = \"info\"\nformat = \"json\"\n[overload]\nmax_wait_ms = 10\n[statistics]\ninterval_seconds = 1\n";
    let file = File::new("flood", text);
    let mut repro = start(&["--config", file.name()]);
    let proxy = address(&repro, "udp");
    let (alice, socket) = (Phone::new("alice", proxy), UdpSocket::bind("127.0.0.1:0").expect("a free port"));
    let own = socket.local_addr().expect("it is bound");
    let enough = AtomicBool::new(false);
    let begins = thread::scope(|scope| {
        let flood = scope.spawn(|| {
            for count in (0..).take_while(|_| !enough.load(Ordering::Relaxed)) {
                let request = format!(
                    "OPTIONS sip:{proxy} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{count}\r\nMax-Forwards: 70\r\n\
                     From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:{proxy}>\r\nCall-ID: {count}\r\nCSeq: 1 OPTIONS\r\n\r\n"
                );
                // The proxy may have no room for it.
                let _ = socket.send_to(request.as_bytes(), proxy);
            }
        });
        let line = repro.process().wait_for(LIMIT, |line| line.contains("overload begins").then(|| line.to_owned()));
        enough.store(true, Ordering::Relaxed);
        flood.join().expect("it ends");
        line.expect("it is told")
    });
    assert!(begins.contains("\"wait\":\"") && begins.contains("\"WARN\""), "{begins}");
    let over = repro.process().wait_for(LIMIT, |line| line.contains("overload is over").then(|| line.to_owned()));
    let over = over.expect("it is over");
    let counted = |name: &str| {
        let rest = over.split(&format!("\"{name}\":")).nth(1)?;
        rest.split([',', '}']).next()?.parse::<u64>().ok()
    };
    assert!(
        counted("refused").zip(counted("dropped")).is_some_and(|(refused, dropped)| refused + dropped > 0),
        "{over}"
    );
    assert!(over.contains("\"longest_wait\":"), "{over}");
    let numbers = repro.process().wait_for(LIMIT, |line| line.contains("load: Normal").then(|| line.to_owned()));
    let numbers = numbers.expect("at intervals");
    assert!(["overload-503 ", "slowest-fifo "].iter().all(|part| numbers.contains(part)), "{numbers}");
    // It is as it was before.
    alice.send(&alice.request("OPTIONS", &alice, "after", 1));
    alice.hear("OPTIONS ");
    let output = repro.process().output();
    let lines = |what: &str| output.lines().filter(|line| line.contains(what)).count();
    assert!(lines("overload begins") <= 2 && lines("overload is over") <= 2, "{output}");
    assert!(output.lines().count() < 200, "{} lines", output.lines().count());
}
