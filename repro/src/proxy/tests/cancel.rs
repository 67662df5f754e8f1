//! CANCEL (RFC 3261 §16.10).

use super::*;

const BOB: &str = "sip:bob@127.0.0.1:5090";

#[test]
fn pending_branches_are_cancelled_and_answer() {
    let mut bench = Bench::new();
    let (client, msg, _) = bench.forwarded(request("INVITE", BOB, ""));
    bench.respond(client, &msg, 180);
    let outs = bench.cancelled();
    assert_eq!((codes(&outs), cancels(&outs)), (vec![], vec![client]));
    assert_eq!(codes(&bench.respond(client, &msg, 487)), [487]);
    bench.assert_forgotten();
}

#[test]
fn a_2xx_that_crosses_the_cancel_wins() {
    let mut bench = Bench::new();
    let (client, msg, _) = bench.forwarded(request("INVITE", BOB, ""));
    bench.cancelled();
    assert_eq!(codes(&bench.respond(client, &msg, 200)), [200]);
}

#[test]
fn a_cancelled_branch_that_never_answers_is_487() {
    let mut bench = Bench::new();
    let (client, ..) = bench.forwarded(request("INVITE", BOB, ""));
    bench.cancelled();
    assert_eq!(codes(&bench.no_response(client, NoResponse::Timeout)), [487]);
    bench.assert_forgotten();
}

#[test]
fn no_other_target_is_tried() {
    let mut bench = Bench::new();
    bench.register(&["<sip:1@127.0.0.1:9001>", "<sip:2@127.0.0.1:9002>;q=0.1"]);
    let (client, msg, _) = bench.forwarded(request("INVITE", "sip:bob@127.0.0.1", ""));
    bench.cancelled();
    let outs = bench.respond(client, &msg, 486);
    assert_eq!((codes(&outs), outs.len()), (vec![486], 1));
    bench.assert_forgotten();
}

#[test]
fn a_cancel_that_matches_nothing_is_481() {
    let mut bench = Bench::new();
    for uri in ["sip:bob@127.0.0.1", "sip:127.0.0.1", BOB, "sip:carol@example.org"] {
        assert_eq!(bench.status(request("CANCEL", uri, "")), 481, "{uri}");
    }
    assert_eq!(bench.status(request("CANCEL", BOB, "Route: <sip:192.0.2.9;lr>\r\n")), 481);
    assert!(bench.cancelled().is_empty());
    bench.assert_forgotten();
}
