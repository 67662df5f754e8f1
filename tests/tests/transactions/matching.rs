//! Which request belongs to which server transaction (RFC 3261 §17.2.3, §8.2.2.2), and ACKs without one.

use crate::bench::{Bench, answer, first_line, incoming, incoming_call, line, parse, request, told};
use stack::StackOptions;
use stack::header::h;
use stack::tu::{SendOptions, TuOptions};

fn refuse_merged() -> TuOptions {
    TuOptions { refuse_merged: true, ..TuOptions::default() }
}

#[test]
fn branch_sent_by_and_method_decide() {
    let mut bench = Bench::new();
    bench.receive(incoming("OPTIONS", "192.0.2.9;branch=z9hG4bKone", ""));
    // Tokens and host names know no case.
    bench.receive(incoming("OPTIONS", "192.0.2.9;branch=Z9HG4BKONE", ""));
    assert_eq!((bench.told(0).len(), bench.stack.transactions().absorbed), (1, 1));
    for via in ["192.0.2.9;branch=z9hG4bKtwo", "192.0.2.8;branch=z9hG4bKone", "192.0.2.9:5062;branch=z9hG4bKone"] {
        bench.receive(incoming("OPTIONS", via, ""));
        assert_eq!(bench.told(0).len(), 1, "{via}");
    }
    bench.receive(incoming("MESSAGE", "192.0.2.9;branch=z9hG4bKone", ""));
    assert_eq!(bench.told(0), [told(0, "MESSAGE")]);
}

/// Without the cookie the whole request decides; `z9hG4bK` and nothing behind it is no cookie (RFC 4475 §3.2.1).
#[test]
fn rfc_2543_and_bad_branches() {
    for via in ["192.0.2.9", "192.0.2.9;branch=1", "192.0.2.9;branch=z9hG4bK"] {
        let mut bench = Bench::new();
        bench.receive(incoming_call("INVITE", via, "", "one"));
        let (invite, msg) = bench.request();
        bench.receive(incoming_call("INVITE", via, "", "one"));
        assert_eq!(bench.told(0), [], "{via}: a repetition");
        assert_eq!(first_line(&bench.one_sent()), "100 Trying", "{via}");
        bench.receive(incoming_call("CANCEL", via, "", "one"));
        assert_eq!(bench.told(0), [told(0, "cancelled")], "{via}");
        assert_eq!(first_line(&bench.one_sent()), "200 OK", "{via}");
        bench.respond(invite, msg.make_response(487, None, Some("a1")));
        assert_eq!(bench.sent().len(), 1);
        bench.receive(incoming_call("ACK", via, "a1", "one"));
        bench.run_to(4000);
        bench.nothing_sent();
        assert_eq!(bench.told(0), [], "{via}: the ACK ended Timer G");
        // The same branch in another call is another transaction.
        bench.receive(incoming_call("INVITE", via, "", "two"));
        assert_eq!(bench.told(0), [told(4000, "INVITE")], "{via}");
    }
}

#[test]
fn a_merged_request_is_refused_with_482() {
    let mut bench = Bench::with(&StackOptions::default(), &[refuse_merged()]);
    bench.receive(incoming("INVITE", "192.0.2.9;branch=z9hG4bKone", ""));
    let (invite, msg) = bench.request();
    let merged = incoming("INVITE", "192.0.2.9;branch=z9hG4bKtwo", "");
    bench.receive(merged.clone());
    let loop_detected = bench.one_sent();
    assert_eq!(first_line(&loop_detected), "482 Loop Detected");
    assert_eq!((bench.told(0), bench.alive(), bench.stack.transactions().merged), (vec![], (0, 1), 1));
    // Without a transaction every repetition must get the same tag (RFC 3261 §8.2.7), and the ACK is nobody's business.
    bench.receive(merged);
    assert_eq!(bench.one_sent().bytes, loop_detected.bytes);
    let tag = line(&loop_detected, "To").rsplit("tag=").next().unwrap().to_owned();
    bench.receive(incoming("ACK", "192.0.2.9;branch=z9hG4bKtwo", &tag));
    assert_eq!(bench.told(0), []);
    // What is in a dialog is never merged; another call is not either.
    bench.receive(incoming("INVITE", "192.0.2.9;branch=z9hG4bKthree", "a1"));
    bench.receive(incoming_call("INVITE", "192.0.2.9;branch=z9hG4bKfour", "", "another"));
    assert_eq!(bench.told(0).len(), 2);
    // When the first has ended, nothing is left to merge with.
    bench.respond(invite, msg.make_response(486, None, Some("a1")));
    bench.receive(incoming("ACK", "192.0.2.9;branch=z9hG4bKone", "a1"));
    bench.run_to(6000);
    bench.receive(incoming("INVITE", "192.0.2.9;branch=z9hG4bKfive", ""));
    assert_eq!(bench.told(0), [told(6000, "INVITE")]);
}

#[test]
fn a_proxy_gets_merged_requests() {
    let mut bench = Bench::new();
    bench.receive(incoming("INVITE", "192.0.2.9;branch=z9hG4bKone", ""));
    bench.receive(incoming("INVITE", "192.0.2.9;branch=z9hG4bKtwo", ""));
    assert_eq!(bench.told(0).len(), 2);
}

/// RFC 3261 §13.2.2.4: the ACK for a 2xx has a branch of its own and no transaction, in either direction.
#[test]
fn the_ack_for_2xx_has_no_transaction() {
    let mut bench = Bench::new();
    bench.receive(incoming("ACK", "192.0.2.9;branch=z9hG4bKack", "a1"));
    bench.receive(incoming("ACK", "192.0.2.9;branch=z9hG4bKack", "a1"));
    assert_eq!((bench.told(0), bench.alive()), (vec![told(0, "ACK"), told(0, "ACK")], (0, 0)));
    bench.act(0, |stack| stack.send_stateless(request("ACK"), SendOptions::default()));
    let ack = bench.one_sent();
    assert_eq!((first_line(&ack).as_str(), ack.notify), ("ACK sip:bob@192.0.2.9", None));
    assert!(parse(&ack).first(h::VIAS).unwrap().branch().unwrap().starts_with("z9hG4bK"));
    bench.run_to(60_000);
    bench.nothing_sent();
    assert_eq!((bench.told(0), bench.alive()), (vec![], (0, 0)));
}

/// RFC 3261 §18.1.2: a response whose topmost Via names another sent-by is not ours, whatever its branch.
#[test]
fn a_response_to_another_sent_by_is_discarded() {
    let mut bench = Bench::new();
    bench.send(request("OPTIONS"));
    let sent = bench.one_sent();
    let good = String::from_utf8(answer(&sent, 200).to_vec()).unwrap();
    let others = ["192.0.2.2:5060", "192.0.2.1:5062", "sip.example.com:5060", "[2001:db8::1]:5060"];
    for other in others {
        bench.receive(good.replacen("192.0.2.1:5060", other, 1));
    }
    assert_eq!((bench.told(0), bench.stack.scanner().garbage), (vec![], others.len() as u64));
    // Without a port it is the default one.
    bench.receive(good.replacen("192.0.2.1:5060", "192.0.2.1", 1));
    assert_eq!(bench.told(0), [told(0, "200")]);
}

/// RFC 3261 §17.1.3: the method in CSeq must be the request's, extensions included.
#[test]
fn a_response_with_another_method_is_nobodys() {
    for (method, others) in [
        ("OPTIONS", ["INVITE", "MESSAGE", "CANCEL", "options", "FOO"]),
        ("INVITE", ["OPTIONS", "ACK", "CANCEL", "invite", "FOO"]),
        ("FOO", ["OPTIONS", "INVITE", "CANCEL", "foo", "FOOT"]),
    ] {
        let mut bench = Bench::new();
        bench.send(request(method));
        let sent = bench.one_sent();
        let good = String::from_utf8(answer(&sent, 200).to_vec()).unwrap();
        for other in others {
            bench.receive(good.replacen(&format!("7 {method}"), &format!("7 {other}"), 1));
        }
        assert_eq!((bench.told(0), bench.stack.transactions().stray_responses), (vec![], 5), "{method}");
        bench.receive(good);
        assert_eq!(bench.told(0), [told(0, "200")], "{method}");
    }
}

/// RFC 3261 §8.2.7: what is malformed is refused without a transaction; the ACK for that is nobody's business.
#[test]
fn the_ack_for_a_refused_malformed_invite_is_absorbed() {
    for via in ["192.0.2.9;branch=z9hG4bKbad", "192.0.2.9;branch=1"] {
        let mut bench = Bench::new();
        let bad = incoming("INVITE", via, "").replacen("Max-Forwards: 70", "Max-Forwards: many", 1);
        bench.receive(bad.clone());
        let refused = bench.one_sent();
        assert!(first_line(&refused).starts_with("400 "), "{via}");
        bench.receive(bad);
        assert_eq!(bench.one_sent().bytes, refused.bytes, "{via}: the same tag every time");
        let tag = line(&refused, "To").rsplit("tag=").next().unwrap().to_owned();
        bench.receive(incoming("ACK", via, &tag));
        assert_eq!((bench.told(0), bench.stack.transactions().absorbed), (vec![], 1), "{via}");
        // An ACK for another response is the user's.
        bench.receive(incoming("ACK", via, "other"));
        assert_eq!(bench.told(0), [told(0, "ACK")], "{via}");
    }
}

/// A re-INVITE has the dialog's To tag, so its refusal cannot have one of ours: its ACK looks like that for a 2xx.
#[test]
fn the_ack_for_a_refused_malformed_re_invite_is_the_users() {
    let mut bench = Bench::new();
    let via = "192.0.2.9;branch=z9hG4bKbad";
    bench.receive(incoming("INVITE", via, "a1").replacen("Max-Forwards: 70", "Max-Forwards: many", 1));
    let refused = bench.one_sent();
    assert!(first_line(&refused).starts_with("400 ") && line(&refused, "To").ends_with("tag=a1"));
    bench.receive(incoming("ACK", via, "a1"));
    assert_eq!((bench.told(0), bench.alive()), (vec![told(0, "ACK")], (0, 0)));
}
