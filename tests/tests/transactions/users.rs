//! Several transaction users: who gets which request.

use crate::bench::{Bench, answer, first_line, incoming, incoming_call, request, told};
use stack::StackOptions;
use stack::tu::{MessageFilterRule, SendOptions, TuOptions};

fn rule(rule: MessageFilterRule) -> TuOptions {
    TuOptions { rule, ..TuOptions::default() }
}

fn bench() -> Bench {
    let calls = MessageFilterRule::methods(&["INVITE", "BYE"]);
    let presence = MessageFilterRule {
        methods: vec!["SUBSCRIBE".into(), "PUBLISH".into()],
        events: vec!["presence".into()],
        ..MessageFilterRule::default()
    };
    let here = MessageFilterRule { hosts: vec!["Example.COM".into()], ..MessageFilterRule::default() };
    Bench::with(&StackOptions::default(), &[rule(calls), rule(presence), rule(here)])
}

#[test]
fn the_first_rule_that_matches_takes_the_request() {
    let mut bench = bench();
    let mut next = 0;
    let mut ask = |method: &str, host: &str, event: &str| {
        next += 1;
        let text = incoming_call(method, &format!("192.0.2.9;branch=z9hG4bK{next}"), "", &format!("call-{next}"))
            .replace("sip:alice@192.0.2.1 SIP", &format!("sip:alice@{host} SIP"));
        let text = match event {
            "" => text,
            _ => text.replace("Max-Forwards", &format!("Event: {event}\r\nMax-Forwards")),
        };
        bench.receive(text);
        let heard = [0, 1, 2].map(|tu| bench.told(tu).len());
        let refused: Vec<String> = bench.sent().iter().map(first_line).collect();
        (heard, refused.join(""))
    };
    let refused = "501 Not Implemented".to_owned();
    assert_eq!(ask("INVITE", "192.0.2.1", ""), ([1, 0, 0], String::new()));
    assert_eq!(ask("INVITE", "example.com", ""), ([1, 0, 0], String::new()));
    assert_eq!(ask("SUBSCRIBE", "192.0.2.1", "Presence"), ([0, 1, 0], String::new()));
    assert_eq!(ask("SUBSCRIBE", "192.0.2.1", "dialog"), ([0, 0, 0], refused.clone()));
    assert_eq!(ask("SUBSCRIBE", "192.0.2.1", ""), ([0, 0, 0], refused.clone()));
    assert_eq!(ask("SUBSCRIBE", "EXAMPLE.com", "dialog"), ([0, 0, 1], String::new()));
    assert_eq!(ask("OPTIONS", "example.com", ""), ([0, 0, 1], String::new()));
    assert_eq!(ask("OPTIONS", "example.org", ""), ([0, 0, 0], refused));
    // ACK and CANCEL go with the INVITE.
    assert_eq!(ask("ACK", "example.com", ""), ([1, 0, 0], String::new()));
}

#[test]
fn a_cancel_follows_its_invite() {
    let mut bench = bench();
    let via = "192.0.2.9;branch=z9hG4bKcall";
    bench.receive(incoming("INVITE", via, ""));
    assert_eq!(bench.told(0), [told(0, "INVITE")]);
    bench.receive(incoming("CANCEL", via, "").replace("sip:alice@192.0.2.1 SIP", "sip:alice@example.com SIP"));
    assert_eq!((bench.told(0), bench.told(2)), (vec![told(0, "cancelled")], vec![]));
}

#[test]
fn who_asked_hears_the_answer() {
    let mut bench = bench();
    for tu in [2, 0, 1] {
        bench.act(tu, |stack| stack.send(request("OPTIONS"), SendOptions::default()));
        let sent = bench.one_sent();
        bench.receive(answer(&sent, 200));
        assert_eq!([0, 1, 2].map(|other| bench.told(other).len()), [0, 1, 2].map(|other| usize::from(other == tu)));
    }
}

/// The ACK for a request that nobody took belongs to nobody, although a later user would take an ACK.
#[test]
fn the_ack_for_a_refusal_reaches_nobody() {
    let subscriptions = MessageFilterRule::methods(&["SUBSCRIBE"]);
    let acks = MessageFilterRule::methods(&["ACK"]);
    let mut bench = Bench::with(&StackOptions::default(), &[rule(subscriptions), rule(acks)]);
    let via = "192.0.2.9;branch=z9hG4bKcall";
    bench.receive(incoming("INVITE", via, ""));
    let refused = bench.one_sent();
    assert_eq!(first_line(&refused), "501 Not Implemented");
    let to = crate::bench::line(&refused, "To");
    bench.receive(incoming("ACK", via, to.rsplit("tag=").next().unwrap()));
    assert_eq!((bench.told(0), bench.told(1)), (vec![], vec![]));
}
