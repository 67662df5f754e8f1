//! Several targets: in parallel, one after the other, and the best response.

use super::*;

const U: &str = "sip:bob@127.0.0.1";

fn uris(sent: &[(ClientTransaction, Box<Message>)]) -> Vec<&str> {
    sent.iter().map(|(_, msg)| uri(msg)).collect()
}

#[test]
fn equal_preference_is_tried_at_the_same_time() {
    let mut bench = Bench::new();
    bench.register(&["<sip:1@127.0.0.1:9001>", "<sip:2@127.0.0.1:9002>"]);
    let branches = sent(bench.request(request("INVITE", U, "")));
    assert_eq!(uris(&branches), ["sip:1@127.0.0.1:9001", "sip:2@127.0.0.1:9002"]);
    for (_, msg) in &branches {
        assert_eq!((msg.header(h::MAX_BREADTH).unwrap().0, msg.header(h::MAX_FORWARDS).unwrap().0), (30, 69));
    }
    let [(one, first), (two, second)] = branches.as_slice() else { panic!() };
    assert_eq!(codes(&bench.respond(*one, first, 180)), [180]);
    assert_eq!(codes(&bench.respond(*two, second, 180)), [180]);
    let outs = bench.respond(*two, second, 200);
    assert_eq!((codes(&outs), cancels(&outs)), (vec![200], vec![*one]));
    // The other's 200 crosses the CANCEL: it is forwarded all the same.
    assert_eq!(codes(&bench.respond(*one, first, 200)), [200]);
    bench.assert_forgotten();
}

#[test]
fn after_a_2xx_the_others_end_silently() {
    let mut bench = Bench::new();
    bench.register(&["<sip:1@127.0.0.1:9001>", "<sip:2@127.0.0.1:9002>"]);
    let branches = sent(bench.request(request("INVITE", U, "")));
    let [(one, first), (two, second)] = branches.as_slice() else { panic!() };
    bench.respond(*one, first, 200);
    assert!(bench.respond(*two, second, 183).is_empty() && !bench.proxy.drained());
    assert!(bench.respond(*two, second, 487).is_empty());
    bench.assert_forgotten();
}

#[test]
fn the_best_failure_waits_for_all() {
    let mut bench = Bench::new();
    bench.register(&["<sip:1@127.0.0.1:9001>", "<sip:2@127.0.0.1:9002>"]);
    let branches = sent(bench.request(request("INVITE", U, "")));
    let [(one, first), (two, second)] = branches.as_slice() else { panic!() };
    assert!(bench.respond(*one, first, 500).is_empty());
    assert_eq!(codes(&bench.respond(*two, second, 486)), [486]);
    bench.assert_forgotten();
}

#[test]
fn a_6xx_cancels_the_others_and_wins() {
    let mut bench = Bench::new();
    bench.register(&["<sip:1@127.0.0.1:9001>", "<sip:2@127.0.0.1:9002>", "<sip:3@127.0.0.1:9003>;q=0.1"]);
    let branches = sent(bench.request(request("INVITE", U, "")));
    let [(one, first), (two, second)] = branches.as_slice() else { panic!() };
    bench.respond(*one, first, 180);
    let outs = bench.respond(*two, second, 603);
    assert_eq!((codes(&outs), cancels(&outs)), (vec![], vec![*one]));
    assert_eq!(codes(&bench.respond(*one, first, 487)), [603]);
    bench.assert_forgotten();
}

#[test]
fn lower_preference_is_tried_after_failure() {
    let mut bench = Bench::new();
    bench.register(&["<sip:3@127.0.0.1:9003>;q=0.3", "<sip:5@127.0.0.1:9005>;q=0.5", "<sip:9@127.0.0.1:9009>;q=0.9"]);
    let mut branches = sent(bench.request(request("INVITE", U, "")));
    for next in ["sip:9@127.0.0.1:9009", "sip:5@127.0.0.1:9005"] {
        assert_eq!(uris(&branches), [next]);
        let (client, msg) = branches.remove(0);
        branches = sent(bench.respond(client, &msg, 486));
    }
    assert_eq!(uris(&branches), ["sip:3@127.0.0.1:9003"]);
    let (client, msg) = branches.remove(0);
    assert_eq!(codes(&bench.respond(client, &msg, 404)), [486]);
    bench.assert_forgotten();
}

#[test]
fn max_breadth_limits_the_fork() {
    let mut bench = Bench::new();
    bench.register(&["<sip:1@127.0.0.1:9001>", "<sip:2@127.0.0.1:9002>"]);
    assert_eq!(bench.status(request("INVITE", U, "Max-Breadth: 1\r\n")), 440);
    let branches = sent(bench.request(request("INVITE", U, "Max-Breadth: 5\r\n")));
    let shares: Vec<u32> = branches.iter().map(|(_, msg)| msg.header(h::MAX_BREADTH).unwrap().0).collect();
    assert_eq!(shares, [2, 2]);
}

#[test]
fn nobody_sets_the_breadth_higher_than_we_do() {
    let mut bench = Bench::new();
    let (_, msg, _) = bench.forwarded(request("INVITE", "sip:bob@127.0.0.1:5090", "Max-Breadth: 4294967295\r\n"));
    assert_eq!(msg.header(h::MAX_BREADTH).unwrap().0, 60);
}

#[test]
fn every_request_leaves_with_max_breadth() {
    let breadth = |msg: &Message| msg.header(h::MAX_BREADTH).unwrap().0;
    let mut bench = Bench::new();
    for (lines, left) in [("", 60), ("Max-Breadth: 7\r\n", 7)] {
        assert_eq!(breadth(&bench.forwarded(request("BYE", "sip:bob@127.0.0.1:5090", lines)).1), left);
        let outs = bench.ack(request("ACK", "sip:bob@127.0.0.1:5090", lines));
        assert!(matches!(outs.as_slice(), [Out::Stateless(msg, _)] if breadth(msg) == left), "{outs:?}");
    }
    assert_eq!(bench.status(request("BYE", "sip:bob@127.0.0.1:5090", "Max-Breadth: 0\r\n")), 440);
    // Two at the same time share; the one after them has all.
    bench.register(&["<sip:1@127.0.0.1:9001>", "<sip:2@127.0.0.1:9002>", "<sip:3@127.0.0.1:9003>;q=0.3"]);
    let branches = sent(bench.request(request("INVITE", U, "Max-Breadth: 7\r\n")));
    let [(one, first), (two, second)] = branches.as_slice() else { panic!() };
    assert_eq!((breadth(first), breadth(second)), (3, 3));
    bench.respond(*one, first, 486);
    let later = sent(bench.respond(*two, second, 486));
    assert_eq!(later.iter().map(|(_, msg)| breadth(msg)).collect::<Vec<_>>(), [7]);
}

#[test]
fn a_non_invite_takes_the_first_2xx() {
    let mut bench = Bench::new();
    bench.register(&["<sip:1@127.0.0.1:9001>", "<sip:2@127.0.0.1:9002>"]);
    let branches = sent(bench.request(request("MESSAGE", U, "")));
    let [(one, first), (two, second)] = branches.as_slice() else { panic!() };
    let outs = bench.respond(*one, first, 200);
    assert_eq!((codes(&outs), cancels(&outs)), (vec![200], vec![]));
    bench.assert_forgotten();
    assert!(bench.respond(*two, second, 200).is_empty());
}

#[test]
fn challenges_of_all_branches_go_back() {
    let mut bench = Bench::new();
    bench.register(&["<sip:1@127.0.0.1:9001>", "<sip:2@127.0.0.1:9002>"]);
    let branches = sent(bench.request(request("INVITE", U, "")));
    let mut outs = Vec::new();
    for ((client, msg), realm) in branches.iter().zip(["one", "two"]) {
        let mut response = response(msg, 407);
        response.append_line("Proxy-Authenticate", &format!("Digest realm=\"{realm}\", nonce=\"n\""));
        outs = bench.event(TuEvent::Response { transaction: *client, msg: response });
    }
    let [Out::Answer(_, 407, Some(answer))] = outs.as_slice() else { panic!("{outs:?}") };
    assert!(text(answer).contains("realm=\"one\"") && text(answer).contains("realm=\"two\""));
}

/// Who rings on beside the next one shares Max-Breadth with him (RFC 5393 §5.3.3): all together have no more than there is.
#[test]
fn those_that_ring_on_share_max_breadth() {
    let forking = crate::config::Forking { step_seconds: 5, cancel_between_steps: false, ..Default::default() };
    for (lines, shares, cancelled) in
        [("", [20, 20, 20], 0), ("Max-Breadth: 4\r\n", [1, 1, 1], 0), ("Max-Breadth: 2\r\n", [2, 2, 2], 2)]
    {
        let mut bench = Bench::with("127.0.0.1:5060", Config { forking: forking.clone(), ..Config::default() });
        let contacts = [1, 2, 3].map(|n| format!("<sip:{n}@127.0.0.1:900{n}>;q=0.{}", 9 - n));
        bench.register(&contacts.each_ref().map(String::as_str));
        let (client, msg, _) = bench.forwarded(request("INVITE", U, lines));
        bench.respond(client, &msg, 180);
        let mut found = vec![msg.header(h::MAX_BREADTH).unwrap().0];
        let mut given_up = 0;
        for _ in 0..2 {
            let outs = bench.pass(6);
            given_up += cancels(&outs).len();
            let next = sent(outs);
            found.push(next[0].1.header(h::MAX_BREADTH).unwrap().0);
            bench.respond(next[0].0, &next[0].1, 180);
        }
        assert_eq!((found.as_slice(), given_up), (&shares[..], cancelled), "{lines}");
    }
}
