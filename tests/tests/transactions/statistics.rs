//! The snapshot of everything that a stack has counted.

use crate::bench::{Bench, answer, incoming, request};
use rutil::Zone;
use stack::selector::resolver::{Answer, DnsError};
use stack::statistics::{DnsSnapshot, Statistics};
use std::time::Duration;

fn statistics(bench: &Bench) -> Statistics {
    bench.stack.statistics(bench.now)
}

fn near(took: Duration, ms: u64) -> bool {
    took.abs_diff(Duration::from_millis(ms)) <= Duration::from_millis(ms) / 100
}

#[test]
fn a_call_and_what_was_repeated() {
    let mut bench = Bench::new();
    bench.send(request("INVITE"));
    bench.run_to(600);
    let sent = bench.sent();
    assert_eq!(statistics(&bench).in_state("client INVITE", "Calling"), 1);
    bench.receive(answer(&sent[0], 180));
    assert_eq!(statistics(&bench).in_state("client INVITE", "Proceeding"), 1);
    bench.run_to(2000);
    bench.receive(answer(&sent[0], 486));
    bench.receive(answer(&sent[0], 486));
    bench.send(request("OPTIONS"));
    let options = bench.sent().pop().expect("it went out");
    bench.run_to(2100);
    bench.receive(answer(&options, 200));
    let seen = statistics(&bench);
    let sent = |method: &str| seen.requests_of(method).expect("it is known").sent;
    assert_eq!([sent("INVITE"), sent("ACK"), sent("OPTIONS"), sent("BYE"), sent("other")], [2, 2, 1, 0, 0]);
    let received = |class, to_invite| seen.responses_of_class(class, to_invite).0;
    assert_eq!([received(1, true), received(4, true), received(2, false), received(2, true)], [1, 2, 1, 0]);
    assert_eq!((seen.transactions.retransmitted, seen.transactions.absorbed_responses), (2, 1));
    assert_eq!((seen.invite_times.count(), seen.non_invite_times.count()), (1, 1));
    assert!(near(seen.invite_times.max(), 2000), "{:?}", seen.invite_times.max());
    assert!(near(seen.non_invite_times.max(), 100), "{:?}", seen.non_invite_times.max());
    let states: Vec<_> = seen.states.iter().map(|count| (count.kind, count.state.as_str(), count.alive)).collect();
    assert_eq!(states, [("client INVITE", "Completed", 1), ("client non-INVITE", "Completed", 1)]);
    bench.run_to(100_000);
    let later = statistics(&bench);
    assert!(later.states.is_empty() && later.uptime == Duration::from_secs(100), "{:?}", later.states);
}

/// A response that names a shard which is not there is nobody's.
#[test]
fn a_forged_branch_counts_as_garbage() {
    let mut bench = Bench::new();
    bench.send(request("OPTIONS"));
    let sent = bench.one_sent();
    let forged = |shard: &str| {
        let text = String::from_utf8_lossy(&answer(&sent, 200)).into_owned();
        let at = text.find("z9hG4bK").expect("our branch") + "z9hG4bK".len();
        format!("{}{shard}{}", &text[..at], &text[at + shard.len()..])
    };
    let counted = |bench: &Bench| {
        let seen = statistics(bench);
        (seen.responses_of_class(2, false).0, seen.scanner.responses, seen.scanner.garbage)
    };
    bench.receive(forged("ff"));
    assert_eq!(counted(&bench), (0, 0, 1));
    bench.receive(forged("00"));
    assert_eq!(counted(&bench), (1, 1, 1));
}

#[test]
fn what_came_in_and_how_it_was_answered() {
    let mut bench = Bench::new();
    let options = incoming("OPTIONS", "192.0.2.9;branch=z9hG4bK1", "");
    bench.receive(options.clone());
    let (transaction, msg) = bench.request();
    bench.respond(transaction, msg.make_response(405, None, Some("x")));
    bench.receive(options);
    bench.receive(incoming("ZAP", "192.0.2.9;branch=z9hG4bK2", ""));
    // Malformed: it gets its answer, and no transaction.
    bench.receive(incoming("BYE", "192.0.2.9;branch=z9hG4bK3", "").replace("CSeq: 3 BYE", "CSeq: 3 ACK"));
    let seen = statistics(&bench);
    let received = |method: &str| seen.requests_of(method).expect("it is known").received;
    assert_eq!([received("OPTIONS"), received("other"), received("BYE")], [2, 1, 0]);
    let sent = |class| seen.responses_of_class(class, false).1;
    assert_eq!((sent(4), seen.transactions.absorbed, seen.scanner.refused), (3, 1, 1));
    let codes: Vec<_> = seen.responses.iter().map(|count| (count.code, count.sent)).collect();
    assert_eq!(codes, [(400, 1), (405, 2)]);
    let states: Vec<_> = seen.states.iter().map(|count| (count.kind, count.state.as_str(), count.alive)).collect();
    assert_eq!(states, [("server non-INVITE", "Trying", 1), ("server non-INVITE", "Completed", 1)]);
}

#[test]
fn waits_and_zone_show_what_is_slow() {
    let mut bench = Bench::new();
    bench.stack.stalled = Some("first");
    bench.receive(incoming("OPTIONS", "192.0.2.9;branch=z9hG4bK1", ""));
    bench.run_to(90);
    assert_eq!(statistics(&bench).overload.zone, Zone::RejectNewWork);
    bench.receive(incoming("INVITE", "192.0.2.9;branch=z9hG4bK2", ""));
    bench.run_to(300);
    let seen = statistics(&bench);
    let tu = seen.fifos.iter().find(|fifo| fifo.name == "tu").expect("there is one");
    assert_eq!((tu.depth, tu.peak, tu.oldest_age), (1, 1, Duration::from_millis(300)));
    assert_eq!((seen.overload.zone, seen.overload.load, seen.scanner.overload), (Zone::RejectNonEssential, 300, 1));
    assert_eq!(seen.responses_of_class(5, true), (0, 1));
    bench.stack.stalled = None;
    bench.settle();
    let seen = statistics(&bench);
    assert_eq!((seen.overload.zone, seen.overload.share), (Zone::Normal, bench.stack.share()));
    let tu = seen.fifos.iter().find(|fifo| fifo.name == "tu").expect("there is one");
    assert!(tu.depth == 0 && tu.waits.count() == 1 && tu.passed == 1);
}

#[test]
fn lookups_and_how_they_ended() {
    let mut bench = Bench::new();
    let to = |name: &str| crate::bench::request_to("OPTIONS", &format!("sip:bob@{name}:5060"));
    bench.send(to("gone.example"));
    let asked = bench.stack.resolver.take_waiting();
    bench.run_to(40);
    let error = Err(DnsError::NotFound);
    asked.iter().for_each(|lookup| {
        bench.stack.answer(Answer { token: lookup.token, result: error.clone(), ttl: None }, bench.now);
    });
    bench.settle();
    bench.send(to("gone.example"));
    bench.send(to("silent.example"));
    bench.run_to(20_000);
    let seen = statistics(&bench);
    let expected = DnsSnapshot { asked: 2, not_found: 1, timed_out: 1, cached: 1, ..DnsSnapshot::default() };
    assert_eq!((seen.dns, seen.dns_times.count()), (expected, 2));
    assert!(near(seen.dns_times.min(), 40) && near(seen.dns_times.max(), 6000), "{:?}", seen.dns_times.max());
    assert_eq!(bench.told(0).len(), 3);
}

/// What an operator reads: numbers by name, and nothing of what did not happen.
#[test]
fn the_lines_leave_out_what_is_zero() {
    let mut bench = Bench::new();
    assert_eq!(statistics(&bench).lines().len(), 1, "{:?}", statistics(&bench).lines());
    bench.send(request("INVITE"));
    bench.run_to(600);
    let sent = bench.sent();
    bench.receive(answer(&sent[0], 486));
    let lines = statistics(&bench).lines();
    let expected = ["received: 4xx 1", "sent: INVITE 2 ACK 1", "transactions: clients 1 client-INVITE/Completed 1 "];
    assert!(expected.iter().zip(&lines).all(|(start, line)| line.starts_with(start)), "{lines:#?}");
    assert!(lines[2].contains("retransmitted 1") && lines[2].contains("invite-final p50 60"), "{lines:#?}");
    assert!(lines[3].starts_with("load: Normal 0% ") && !lines.iter().any(|line| line.contains(" 0 ")), "{lines:#?}");
}
