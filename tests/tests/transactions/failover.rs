//! A name with several targets (RFC 3263 §4.3): each attempt has a branch of its own, and the transaction user hears of
//! one request.

use crate::bench::{Bench, PEER, TCP, UDP, answer, first_line, line, parse, request_to, times, told};
use bytes::Bytes;
use stack::StackOptions;
use stack::header::h;
use stack::message::Message;
use stack::selector::records::Records;
use stack::selector::resolver::Answer;
use stack::transport::TransportError;
use stack::tu::{ClientTransaction, SendOptions, TuOptions};
use std::collections::HashSet;
use std::time::Duration;
use tests::played::Sent;

const NAME: &str = "sip:bob@farm.example.com:5060";

/// A bench whose transaction user also hears when transactions end.
fn bench() -> Bench {
    Bench::with(&StackOptions::default(), &[TuOptions { terminations: true, ..TuOptions::default() }])
}

/// Sends to [`NAME`], which has these addresses. The first look-up of a stack has number 2.
fn send(bench: &mut Bench, method: &str, addresses: &[&str]) -> (ClientTransaction, Sent) {
    send_to(bench, method, NAME, addresses)
}

fn send_to(bench: &mut Bench, method: &str, uri: &str, addresses: &[&str]) -> (ClientTransaction, Sent) {
    send_with(bench, method, uri, addresses, SendOptions::default())
}

fn send_with(
    bench: &mut Bench,
    method: &str,
    uri: &str,
    addresses: &[&str],
    options: SendOptions,
) -> (ClientTransaction, Sent) {
    let msg = request_to(method, uri);
    let id = bench.act(0, move |stack| stack.send(msg, options));
    bench.nothing_sent();
    let records = Records::Addresses(addresses.iter().map(|ip| ip.parse().unwrap()).collect());
    bench.stack.answer(Answer { token: 2, result: Ok(records), ttl: Some(Duration::from_secs(3600)) }, bench.now);
    (id, bench.one_sent())
}

fn two(bench: &mut Bench, method: &str) -> (ClientTransaction, Sent) {
    send(bench, method, &["192.0.2.11", "192.0.2.12"])
}

fn branch(sent: &Sent) -> String {
    parse(sent).first(h::VIAS).unwrap().branch().unwrap().to_owned()
}

fn respond(bench: &mut Bench, to: &Sent, code: u16) {
    bench.receive_on(UDP, &to.peer.to_string(), 0, answer(to, code));
}

fn unavailable(sent: &Sent, retry_after: &str) -> Bytes {
    let mut response = parse(sent).make_response(503, None, Some("b2"));
    response.append_line("Retry-After", retry_after);
    response.to_bytes()
}

/// The same request but for the branch.
fn check_same(first: &Sent, second: &Sent) {
    let without = |sent: &Sent| {
        let text = String::from_utf8_lossy(&sent.bytes).into_owned();
        text.lines().filter(|line| !line.starts_with("Via:")).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(without(first), without(second));
    assert_ne!(branch(first), branch(second));
}

#[test]
fn a_503_leads_to_the_next_target() {
    let mut bench = bench();
    let (_, first) = two(&mut bench, "INVITE");
    assert_eq!(first.peer.to_string(), "192.0.2.11:5060");
    respond(&mut bench, &first, 180);
    respond(&mut bench, &first, 503);
    let sent = bench.sent();
    assert_eq!(sent.iter().map(first_line).collect::<Vec<_>>(), [format!("INVITE {NAME}"), format!("ACK {NAME}")]);
    // The ACK belongs to the attempt that failed.
    assert_eq!((branch(&sent[1]), sent[1].peer), (branch(&first), first.peer));
    let second = &sent[0];
    assert_eq!(second.peer.to_string(), "192.0.2.12:5060");
    check_same(&first, second);
    // A repetition of the 503 gets its ACK again, and nothing else.
    bench.run_to(400);
    respond(&mut bench, &first, 503);
    assert_eq!(branch(&bench.one_sent()), branch(&first));
    respond(&mut bench, second, 200);
    assert_eq!(bench.told(0), [told(0, "180"), told(400, "200")]);
    assert_eq!(bench.alive().0, 2);
    // One call, one time.
    assert_eq!(bench.stack.statistics(bench.now).invite_times.count(), 1);
    bench.run_to(40_000);
    assert_eq!((bench.told(0), bench.alive().0), (vec![told(32_400, "client ended")], 0));
    assert_eq!(bench.stack.transactions().octets_kept, 0);
}

#[test]
fn the_last_failure_is_told() {
    let mut bench = bench();
    let (_, first) = two(&mut bench, "OPTIONS");
    respond(&mut bench, &first, 503);
    let second = bench.one_sent();
    check_same(&first, &second);
    assert_eq!(bench.told(0), []);
    respond(&mut bench, &second, 503);
    bench.nothing_sent();
    assert_eq!(bench.told(0), [told(0, "503")]);
    assert_eq!(bench.stack.transactions().failovers, 1);
    // Other failures are answers: nobody else is asked.
    for code in [500, 486, 600, 302] {
        let mut bench = self::bench();
        let (_, first) = two(&mut bench, "OPTIONS");
        respond(&mut bench, &first, code);
        bench.nothing_sent();
        assert_eq!(bench.told(0), [told(0, &code.to_string())]);
    }
}

#[test]
fn silence_leads_to_the_next_target() {
    for (method, resent) in [("INVITE", 6), ("OPTIONS", 10)] {
        let mut bench = bench();
        let (_, first) = two(&mut bench, method);
        bench.run_to(31_999);
        assert_eq!(bench.sent().iter().filter(|sent| branch(sent) == branch(&first)).count(), resent);
        assert_eq!(bench.told(0), []);
        bench.run_to(32_000);
        let second = bench.one_sent();
        assert_eq!(second.peer.to_string(), "192.0.2.12:5060");
        check_same(&first, &second);
        // Its timers begin anew, and those of the first mean nothing.
        bench.run_to(63_999);
        let sent = bench.sent();
        assert_eq!(times(&sent)[..3], [32_500, 33_500, 35_500]);
        assert!(sent.len() == resent && sent.iter().all(|sent| branch(sent) == branch(&second)));
        bench.run_to(64_000);
        let mut want = vec![told(64_000, "timeout")];
        want.extend((method == "INVITE").then(|| told(64_000, "client ended")));
        assert_eq!((bench.told(0), bench.alive().0), (want, 0), "{method}");
    }
}

/// The time of silence counts for each target; after the last one the transaction goes on, and its 2xx is passed up.
#[test]
fn silence_may_lead_on_sooner() {
    let mut bench = bench();
    let options = SendOptions { silence: Some(Duration::from_secs(5)), ..SendOptions::default() };
    let (_, first) = send_with(&mut bench, "INVITE", NAME, &["192.0.2.11", "192.0.2.12"], options);
    bench.run_to(4_999);
    bench.sent();
    assert_eq!(bench.told(0), []);
    bench.run_to(5_000);
    let second = bench.one_sent();
    assert_eq!(second.peer.to_string(), "192.0.2.12:5060");
    bench.run_to(9_999);
    assert_eq!(bench.told(0), []);
    bench.run_to(30_000);
    assert_eq!(bench.told(0), [told(10_000, "silent")]);
    // Whichever answers at last has the call.
    respond(&mut bench, &first, 200);
    assert_eq!(bench.told(0), [told(30_000, "200")]);
    bench.run_to(110_000);
    assert_eq!((bench.told(0), bench.alive().0), (vec![told(62_000, "client ended")], 0));
}

/// At ten seconds there is no room for another attempt; at 37 there is, for the first has ended.
#[test]
fn silence_is_told_once() {
    let options = StackOptions { transactions: 2, ..StackOptions::default() };
    let mut bench = Bench::with(&options, &[TuOptions::default()]);
    let options = SendOptions { silence: Some(Duration::from_secs(5)), ..SendOptions::default() };
    send_with(&mut bench, "INVITE", NAME, &["192.0.2.11", "192.0.2.12", "192.0.2.13"], options);
    bench.run_to(60_000);
    assert_eq!(bench.sent().last().unwrap().peer.to_string(), "192.0.2.13:5060");
    assert_eq!(bench.told(0), [told(10_000, "silent")]);
}

/// A target that was given up for its silence and says something after all: it is to stop ringing, and its refusal is
/// acknowledged, while the other one is waited for.
#[test]
fn who_speaks_up_too_late_is_cancelled_or_acknowledged() {
    for late in [180, 486] {
        let mut bench = bench();
        let options = SendOptions { silence: Some(Duration::from_secs(5)), ..SendOptions::default() };
        let (_, first) = send_with(&mut bench, "INVITE", NAME, &["192.0.2.11", "192.0.2.12"], options);
        bench.run_to(5_000);
        let second = bench.sent().pop().unwrap();
        bench.run_to(8_000);
        assert!(bench.sent().iter().all(|sent| sent.peer == second.peer), "the first is not sent again");
        respond(&mut bench, &first, late);
        let sent = bench.one_sent();
        assert_eq!((branch(&sent), sent.peer), (branch(&first), first.peer));
        let method = if late == 180 { "CANCEL" } else { "ACK" };
        assert_eq!(first_line(&sent), format!("{method} {NAME}"));
        if late == 180 {
            respond(&mut bench, &sent, 200);
            respond(&mut bench, &first, 487);
            assert_eq!(first_line(&bench.one_sent()), format!("ACK {NAME}"));
        }
        respond(&mut bench, &second, 200);
        assert_eq!(bench.told(0), [told(8_000, "200")]);
        bench.run_to(110_000);
        assert_eq!(bench.alive().0, 0);
    }
}

#[test]
fn who_says_something_in_time_is_not_silent() {
    for (at, code) in [(4_000, 100), (6_000, 180), (6_000, 200), (31_000, 486)] {
        let mut bench = bench();
        let options = SendOptions { silence: Some(Duration::from_secs(5)), ..SendOptions::default() };
        let (_, first) = send_with(&mut bench, "INVITE", NAME, &["192.0.2.11"], options);
        bench.run_to(at);
        let mut want = vec![told(5_000, "silent")];
        want.truncate(usize::from(at > 5_000));
        assert_eq!(bench.told(0), want);
        respond(&mut bench, &first, code);
        bench.run_to(36_000);
        assert_eq!(bench.told(0), [told(at, &code.to_string())], "and no timeout");
    }
    // Without any answer Timer B ends it when it always does; no other request has such a time.
    for (method, want) in [("INVITE", &["silent", "timeout", "client ended"][..]), ("OPTIONS", &["timeout"])] {
        let mut bench = bench();
        let options = SendOptions { silence: Some(Duration::from_secs(5)), ..SendOptions::default() };
        send_with(&mut bench, method, NAME, &["192.0.2.11"], options);
        bench.run_to(40_000);
        let heard = bench.told(0);
        assert_eq!(heard.iter().map(|(_, what)| what.as_str()).collect::<Vec<_>>(), want);
        assert_eq!(heard.iter().find(|(_, what)| what == "timeout"), Some(&told(32_000, "timeout")));
    }
}

#[test]
fn a_transport_error_leads_to_the_next_target() {
    for method in ["INVITE", "OPTIONS"] {
        let mut bench = bench();
        let (_, first) = send_to(
            &mut bench,
            method,
            "sip:bob@farm.example.com:5060;transport=tcp",
            &["192.0.2.11", "192.0.2.12", "192.0.2.13"],
        );
        assert_eq!(first.transport.0, TCP);
        bench.fail(first.notify.unwrap(), TransportError::ConnectTimeout);
        let second = bench.one_sent();
        check_same(&first, &second);
        // News of an attempt that is over ends no other.
        bench.fail(first.notify.unwrap(), TransportError::ConnectionLost);
        bench.nothing_sent();
        bench.fail(second.notify.unwrap(), TransportError::Refused);
        let third = bench.one_sent();
        assert_eq!(third.peer.to_string(), "192.0.2.13:5060");
        let branches: HashSet<String> = [&first, &second, &third].into_iter().map(branch).collect();
        assert_eq!(branches.len(), 3);
        assert_eq!(bench.told(0), []);
        bench.fail(third.notify.unwrap(), TransportError::Refused);
        assert_eq!(bench.told(0)[0], told(0, "connection refused"));
    }
}

#[test]
fn who_has_answered_provisionally_has_the_request() {
    for (method, end) in [("INVITE", 183), ("OPTIONS", 100)] {
        let mut bench = bench();
        let (_, first) = two(&mut bench, method);
        respond(&mut bench, &first, end);
        bench.run_to(33_000);
        assert!(bench.sent().iter().all(|sent| sent.peer == first.peer));
        bench.undelivered(&first, 200);
        assert!(bench.sent().is_empty());
    }
}

#[test]
fn a_cancel_ends_the_search_for_another_target() {
    let mut bench = bench();
    let (id, first) = two(&mut bench, "INVITE");
    respond(&mut bench, &first, 180);
    bench.act(0, move |stack| stack.cancel(id, None));
    let cancel = bench.one_sent();
    assert_eq!((branch(&cancel), cancel.peer), (branch(&first), first.peer));
    respond(&mut bench, &first, 503);
    assert_eq!(first_line(&bench.one_sent()), format!("ACK {NAME}"));
    assert_eq!(bench.told(0), [told(0, "180"), told(0, "503")]);
    // The same before anything was heard.
    let mut bench = self::bench();
    let (id, first) = two(&mut bench, "INVITE");
    bench.act(0, move |stack| stack.cancel(id, None));
    bench.run_to(40_000);
    assert!(bench.sent().iter().all(|sent| sent.peer == first.peer));
    assert_eq!(bench.told(0), [told(32_000, "timeout"), told(32_000, "client ended")]);
}

#[test]
fn the_attempt_under_way_is_the_one_that_is_cancelled() {
    let mut bench = bench();
    let (id, first) = two(&mut bench, "INVITE");
    bench.run_to(32_000);
    let second = bench.sent().pop().unwrap();
    respond(&mut bench, &second, 180);
    bench.act(0, move |stack| stack.cancel(id, None));
    let cancel = bench.one_sent();
    assert_eq!(
        (first_line(&cancel), branch(&cancel), cancel.peer),
        (format!("CANCEL {NAME}"), branch(&second), second.peer)
    );
    assert_ne!(branch(&cancel), branch(&first));
    respond(&mut bench, &cancel, 200);
    respond(&mut bench, &second, 487);
    assert_eq!(bench.told(0), [told(32_000, "180"), told(32_000, "487")]);
    bench.run_to(100_000);
    assert_eq!((bench.told(0), bench.alive().0), (vec![told(64_000, "client ended")], 0));
}

/// The first target was slow, not dead: its 2xx ends the transaction, and the attempt under way is cancelled.
#[test]
fn a_late_2xx_of_an_attempt_that_was_given_up_is_passed_up() {
    for provisional in [true, false] {
        let mut bench = bench();
        let (_, first) = two(&mut bench, "INVITE");
        bench.run_to(32_000);
        let second = bench.sent().pop().unwrap();
        if provisional {
            respond(&mut bench, &second, 180);
        }
        bench.run_to(40_000);
        bench.sent();
        respond(&mut bench, &first, 200);
        if !provisional {
            // Before a provisional response there is nothing to cancel (RFC 3261 §9.1).
            bench.nothing_sent();
            respond(&mut bench, &second, 180);
        }
        let cancel = bench.one_sent();
        assert_eq!((first_line(&cancel), branch(&cancel)), (format!("CANCEL {NAME}"), branch(&second)));
        respond(&mut bench, &second, 487);
        assert_eq!((first_line(&bench.one_sent()), branch(&cancel)), (format!("ACK {NAME}"), branch(&second)));
        respond(&mut bench, &cancel, 200);
        // The 2xx is repeated until its ACK comes, and each is passed up.
        bench.run_to(71_000);
        respond(&mut bench, &first, 200);
        let mut want = vec![told(40_000, "200"), told(71_000, "200")];
        want.splice(0..0, provisional.then(|| told(32_000, "180")));
        assert_eq!(bench.told(0), want);
        bench.run_to(110_000);
        assert_eq!((bench.told(0), bench.alive().0), (vec![told(72_000, "client ended")], 0));
    }
}

/// The CANCEL crosses a second 2xx: both are passed up, as if the INVITE had been forked (RFC 3261 §13.2.2.4).
#[test]
fn two_attempts_may_both_succeed() {
    let mut bench = bench();
    let (_, first) = two(&mut bench, "INVITE");
    bench.run_to(32_000);
    let second = bench.sent().pop().unwrap();
    respond(&mut bench, &first, 200);
    respond(&mut bench, &second, 200);
    assert_eq!(bench.told(0), [told(32_000, "200"), told(32_000, "200")]);
    bench.run_to(110_000);
    assert_eq!((bench.told(0), bench.alive().0), (vec![told(64_000, "client ended")], 0));
}

#[test]
fn after_the_final_answer_a_late_2xx_is_a_stray() {
    let mut bench = bench();
    let (_, first) = two(&mut bench, "INVITE");
    bench.run_to(32_000);
    let second = bench.sent().pop().unwrap();
    respond(&mut bench, &second, 486);
    respond(&mut bench, &first, 200);
    assert_eq!(bench.told(0), [told(32_000, "486")]);
    assert_eq!(bench.stack.transactions().stray_responses, 1);
}

#[test]
fn a_target_that_failed_goes_behind_the_others_for_a_while() {
    let mut bench = bench();
    let (_, first) = two(&mut bench, "OPTIONS");
    // 503 with Retry-After: for as long as it says (RFC 3261 §21.5.4).
    bench.receive_on(UDP, &first.peer.to_string(), 0, unavailable(&first, "100"));
    let second = bench.one_sent();
    respond(&mut bench, &second, 200);
    let mut next = |at: u64| {
        bench.run_to(at);
        let msg = request_to("OPTIONS", NAME);
        bench.act(0, move |stack| stack.send(msg, SendOptions::default()));
        let sent = bench.one_sent();
        respond(&mut bench, &sent, 200);
        sent.peer
    };
    assert_eq!([next(1_000), next(99_999), next(100_000)], [second.peer, second.peer, first.peer]);
}

#[test]
fn without_a_retry_after_the_order_stays() {
    let mut bench = bench();
    let (_, first) = two(&mut bench, "OPTIONS");
    respond(&mut bench, &first, 503);
    let second = bench.one_sent();
    respond(&mut bench, &second, 200);
    let msg = request_to("OPTIONS", NAME);
    bench.act(0, move |stack| stack.send(msg, SendOptions::default()));
    assert_eq!(bench.one_sent().peer, first.peer);
}

/// What another attempt needs counts among the octets that transactions keep; without room there is no other attempt.
#[test]
fn memory_for_another_attempt_is_counted() {
    let kept = |addresses: &[&str]| {
        let mut bench = bench();
        let sent = send(&mut bench, "INVITE", addresses).1;
        (bench.stack.transactions().octets_kept, sent.bytes.len() as u64)
    };
    let (one, octets) = kept(&["192.0.2.11"]);
    assert_eq!(one, octets);
    let (two, octets) = kept(&["192.0.2.11", "192.0.2.12"]);
    assert!(two > octets * 3 / 2 && two < octets * 3, "{two} {octets}");
    let options = StackOptions { transaction_octets: octets as usize + 10, ..StackOptions::default() };
    let mut bench = Bench::with(&options, &[TuOptions::default()]);
    let (_, first) = self::two(&mut bench, "INVITE");
    assert_eq!(bench.stack.transactions().octets_kept, octets);
    respond(&mut bench, &first, 503);
    bench.one_sent();
    assert_eq!(bench.told(0), [told(0, "503")]);
}

#[test]
fn a_number_becomes_the_request_uri() {
    let options = StackOptions { enum_suffix: Some("e164.arpa".into()), ..StackOptions::default() };
    let mut bench = Bench::with(&options, &[TuOptions::default()]);
    let msg: Message = request_to("INVITE", "tel:+1-2-3");
    bench.act(0, move |stack| stack.send(msg, SendOptions::default()));
    let naptr = stack::selector::records::Naptr {
        order: 1,
        preference: 1,
        flags: "u".into(),
        services: "E2U+sip".into(),
        regexp: format!(r"!^\+(.*)$!sip:\1@{PEER};user=phone!").into(),
        replacement: "".into(),
    };
    bench.stack.answer(Answer { token: 2, result: Ok(Records::Naptr(Box::new([naptr]))), ttl: None }, bench.now);
    let sent = bench.one_sent();
    assert_eq!(first_line(&sent), format!("INVITE sip:123@{PEER};user=phone"));
    assert_eq!((sent.peer.to_string().as_str(), line(&sent, "To")), (PEER, "<sip:bob@192.0.2.9>".to_owned()));
}
