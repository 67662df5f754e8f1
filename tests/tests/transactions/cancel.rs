//! CANCEL, both ways (RFC 3261 §9).

use crate::bench::{Bench, answer, first_line, incoming, line, request, times, told};
use stack::transport::TransportError;
use stack::tu::TuEvent;

#[test]
fn before_a_provisional_response_cancel_waits() {
    let mut bench = Bench::new();
    let call = bench.send(request("INVITE"));
    let invite = bench.one_sent();
    bench.act(0, move |stack| {
        stack.cancel_with(call, |cancel| {
            cancel.append_line("Reason", "SIP;cause=200");
            cancel.append_line("User-Agent", "x");
            cancel.append_line("Call-ID", "another");
        });
    });
    bench.nothing_sent();
    bench.run_to(100);
    bench.receive(answer(&invite, 180));
    let cancel = bench.one_sent();
    assert_eq!(first_line(&cancel), "CANCEL sip:bob@192.0.2.9");
    for same in ["Via", "From", "To", "Call-ID"] {
        assert_eq!(line(&cancel, same), line(&invite, same), "{same}");
        let lines = String::from_utf8_lossy(&cancel.bytes).matches(&format!("\r\n{same}:")).count();
        assert_eq!(lines, 1, "{same}");
    }
    let others = ["CSeq", "Reason", "User-Agent"].map(|name| line(&cancel, name));
    assert_eq!(others, ["7 CANCEL", "SIP;cause=200", "x"]);
    assert_eq!(cancel.peer, invite.peer);
    // It is a non-INVITE transaction with its own Timer E; its answer is nobody's but the stack's.
    bench.run_to(1700);
    assert_eq!(times(&bench.sent()), [600, 1600]);
    bench.receive(answer(&cancel, 200));
    bench.run_to(2000);
    bench.nothing_sent();
    bench.receive(answer(&invite, 487));
    assert_eq!(first_line(&bench.one_sent()), "ACK sip:bob@192.0.2.9");
    assert_eq!(bench.told(0), [told(100, "180"), told(2000, "487")]);
    let seen = bench.stack.statistics(bench.now);
    assert_eq!(
        (seen.invite_times.count(), seen.non_invite_times.count()),
        (1, 0),
        "nobody waits for a CANCEL's answer"
    );
    bench.run_to(60_000);
    assert_eq!((bench.alive(), bench.told(0)), ((0, 0), vec![]));
}

#[test]
fn after_a_provisional_response_cancel_goes_at_once_and_once() {
    let mut bench = Bench::new();
    let call = bench.send(request("INVITE"));
    let invite = bench.one_sent();
    bench.receive(answer(&invite, 180));
    bench.act(0, move |stack| stack.cancel(call, None));
    let cancel = bench.one_sent();
    assert_eq!((first_line(&cancel).as_str(), line(&cancel, "Reason").as_str()), ("CANCEL sip:bob@192.0.2.9", ""));
    bench.act(0, move |stack| stack.cancel(call, None));
    bench.nothing_sent();
    bench.receive(answer(&cancel, 200));
    // Not even when the first CANCEL's transaction is over.
    bench.run_to(10_000);
    bench.act(0, move |stack| stack.cancel(call, None));
    bench.nothing_sent();
    bench.receive(answer(&invite, 487));
    bench.run_to(60_000);
    assert_eq!((bench.told(0), bench.alive()), (vec![told(0, "180"), told(10_000, "487")], (0, 0)));
}

#[test]
fn a_cancelled_invite_without_final_response_ends() {
    let mut bench = Bench::new();
    let call = bench.send(request("INVITE"));
    let invite = bench.one_sent();
    bench.receive(answer(&invite, 180));
    bench.run_to(1000);
    bench.act(0, move |stack| stack.cancel(call, None));
    let cancel = bench.one_sent();
    bench.receive(answer(&cancel, 200));
    bench.run_to(60_000);
    assert_eq!(bench.told(0), [told(0, "180"), told(33_000, "timeout")]);
    assert_eq!(bench.alive(), (0, 0));
}

#[test]
fn cancel_comes_too_late_or_means_nothing() {
    for code in [200, 486] {
        let mut bench = Bench::new();
        let call = bench.send(request("INVITE"));
        let invite = bench.one_sent();
        bench.act(0, move |stack| stack.cancel(call, None));
        bench.receive(answer(&invite, code));
        bench.act(0, move |stack| stack.cancel(call, None));
        assert!(bench.sent().iter().all(|s| first_line(s).starts_with("ACK")), "{code}");
        bench.run_to(60_000);
        assert_eq!((bench.told(0), bench.alive()), (vec![told(0, &code.to_string())], (0, 0)));
    }
    let mut bench = Bench::new();
    let other = bench.send(request("OPTIONS"));
    let sent = bench.one_sent();
    bench.receive(answer(&sent, 100));
    bench.act(0, move |stack| stack.cancel(other, None));
    bench.nothing_sent();
}

const VIA: &str = "192.0.2.9;branch=z9hG4bKcancelled";

#[test]
fn a_cancel_that_matches_is_answered_and_told() {
    let mut bench = Bench::new();
    bench.receive(incoming("INVITE", VIA, ""));
    let (invite, msg) = bench.request();
    bench.receive(incoming("CANCEL", VIA, ""));
    let ok = bench.one_sent();
    assert_eq!((first_line(&ok).as_str(), line(&ok, "CSeq").as_str()), ("200 OK", "3 CANCEL"));
    let heard = bench.heard(0);
    assert!(matches!(&heard[..], [TuEvent::Cancelled { transaction, .. }] if *transaction == invite), "{heard:?}");
    // The CANCEL again: the 200 again, and no further news.
    bench.receive(incoming("CANCEL", VIA, ""));
    assert_eq!(bench.one_sent().bytes, ok.bytes);
    assert_eq!(bench.told(0), []);
    bench.respond(invite, msg.make_response(487, None, Some("a1")));
    assert_eq!(first_line(&bench.one_sent()), "487 Request Terminated");
    bench.receive(incoming("ACK", VIA, "a1"));
    bench.run_to(60_000);
    bench.nothing_sent();
    assert_eq!((bench.told(0), bench.alive()), (vec![], (0, 0)));
}

/// The stack answers the CANCEL by itself, so nobody knows its transaction.
#[test]
fn a_cancel_whose_answer_cannot_be_sent_is_no_news() {
    let mut bench = Bench::new();
    bench.receive(incoming("INVITE", VIA, ""));
    let (invite, msg) = bench.request();
    bench.receive(incoming("CANCEL", VIA, ""));
    let ok = bench.one_sent();
    assert_eq!(bench.heard(0).len(), 1);
    bench.fail(ok.notify.unwrap(), TransportError::Unreachable);
    assert_eq!(bench.told(0), []);
    bench.respond(invite, msg.make_response(487, None, Some("a1")));
    let refused = bench.one_sent();
    bench.fail(refused.notify.unwrap(), TransportError::Unreachable);
    assert_eq!(bench.told(0).len(), 1, "the INVITE's own failure is");
}

#[test]
fn a_cancel_after_the_final_response_changes_nothing() {
    for code in [200, 486] {
        let mut bench = Bench::new();
        bench.receive(incoming("INVITE", VIA, ""));
        let (invite, msg) = bench.request();
        bench.respond(invite, msg.make_response(code, None, Some("a1")));
        bench.sent();
        bench.receive(incoming("CANCEL", VIA, ""));
        assert_eq!(first_line(&bench.one_sent()), "200 OK", "{code}");
        assert_eq!(bench.told(0), [], "{code}");
    }
}

#[test]
fn a_cancel_that_matches_nothing_is_a_request() {
    let mut bench = Bench::new();
    bench.receive(incoming("CANCEL", VIA, ""));
    let (cancel, _) = bench.request();
    bench.nothing_sent();
    bench.act(0, move |stack| stack.respond_status(cancel, 481));
    assert_eq!(first_line(&bench.one_sent()), "481 Call/Transaction Does Not Exist");
}

/// RFC 3261 §9.2: the 200 to the CANCEL has the To tag of the responses to the INVITE.
#[test]
fn the_answer_to_a_cancel_has_the_tag_of_the_invite() {
    // The stack gives both tags.
    let mut bench = Bench::new();
    bench.receive(incoming("INVITE", VIA, ""));
    let (invite, _) = bench.request();
    bench.receive(incoming("CANCEL", VIA, ""));
    let ok = bench.one_sent();
    bench.act(0, move |stack| stack.respond_status(invite, 487));
    let refused = bench.one_sent();
    assert!(line(&ok, "To").contains(";tag="));
    assert_eq!((first_line(&refused).as_str(), line(&refused, "To")), ("487 Request Terminated", line(&ok, "To")));
    // The transaction user has given one.
    let mut bench = Bench::new();
    bench.receive(incoming("INVITE", VIA, ""));
    let (invite, msg) = bench.request();
    bench.respond(invite, msg.make_response(180, None, Some("a1")));
    assert_eq!(first_line(&bench.one_sent()), "180 Ringing");
    bench.receive(incoming("CANCEL", VIA, ""));
    assert_eq!(line(&bench.one_sent(), "To"), "<sip:alice@192.0.2.1>;tag=a1");
}
