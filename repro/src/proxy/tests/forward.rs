//! Forwarding to one target, and its responses (RFC 3261 §16.6, §16.7).

use super::*;
use stack::transport::TransportError;
use stack::tu::NextHop;

const BOB: &str = "sip:bob@127.0.0.1:5090";

#[test]
fn an_invite_goes_to_its_request_uri() {
    let mut bench = Bench::new();
    let (_, msg, options) = bench.forwarded(request("INVITE", BOB, ""));
    assert!(text(&msg).starts_with("INVITE sip:bob@127.0.0.1:5090 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:7000"));
    assert_eq!(msg.header(h::MAX_FORWARDS).unwrap().0, 69);
    assert_eq!(
        (options.next_hop, options.record_route.map(|flow| flow.transport)),
        (NextHop::Route, Some(TransportId(0)))
    );
    assert!(options.loop_hash.is_some());
}

#[test]
fn only_what_begins_a_dialog_is_recorded() {
    let mut bench = Bench::new();
    let in_dialog = "To: <sip:bob@example.com>;tag=b\r\n";
    for (method, lines, recorded) in [
        ("INVITE", "", true),
        ("SUBSCRIBE", "", true),
        ("REFER", "", true),
        ("NOTIFY", "", true),
        ("MESSAGE", "", false),
        ("REGISTER", "", false),
        ("INVITE", in_dialog, false),
        ("BYE", in_dialog, false),
    ] {
        let (_, _, options) = bench.forwarded(request(method, BOB, lines));
        assert_eq!(options.record_route.is_some(), recorded, "{method} {lines}");
    }
    let mut silent = Bench::with("127.0.0.1:5060", Config { record_route: false, ..Config::default() });
    assert_eq!(silent.forwarded(request("INVITE", BOB, "")).2.record_route, None);
}

#[test]
fn responses_go_back_without_our_via() {
    let mut bench = Bench::new();
    let (client, msg, _) = bench.forwarded(request("INVITE", BOB, ""));
    assert!(bench.respond(client, &msg, 100).is_empty());
    for code in [180, 183, 200] {
        match bench.respond(client, &msg, code).as_slice() {
            [Out::Answer(transaction, got, Some(response))] => {
                assert_eq!((*transaction, *got), (Harness::server(1), code));
                let vias: Vec<_> = response.header(h::VIAS).map(|via| via.unwrap().to_string()).collect();
                assert_eq!(vias, ["SIP/2.0/UDP 127.0.0.1:7000;branch=z9hG4bKc"]);
            }
            other => panic!("{code}: {other:?}"),
        }
    }
    bench.assert_forgotten();
}

#[test]
fn a_late_2xx_is_forwarded_until_the_transaction_ends() {
    let mut bench = Bench::new();
    let (client, msg, _) = bench.forwarded(request("INVITE", BOB, ""));
    assert_eq!(codes(&bench.respond(client, &msg, 200)), [200]);
    assert_eq!(codes(&bench.respond(client, &msg, 200)), [200]);
    assert!(bench.respond(client, &msg, 180).is_empty() && bench.respond(client, &msg, 486).is_empty());
    assert!(bench.event(TuEvent::ClientEnded { transaction: client }).is_empty());
    assert!(bench.respond(client, &msg, 200).is_empty() && bench.proxy.accepted.is_empty());
}

/// A shutdown waits for the ACK of a 2xx: nobody else would send it on.
#[test]
fn after_a_2xx_it_is_not_drained_until_the_ack_has_had_time() {
    let mut bench = Bench::new();
    let (client, msg, _) = bench.forwarded(request("INVITE", BOB, ""));
    bench.respond(client, &msg, 200);
    bench.assert_forgotten();
    assert!(bench.pass(1).is_empty() && !bench.proxy.drained());
    // A repetition says that there was no ACK yet.
    assert_eq!(codes(&bench.respond(client, &msg, 200)), [200]);
    assert!(bench.pass(1).is_empty() && !bench.proxy.drained());
    assert!(bench.pass(1).is_empty() && bench.proxy.drained());
    // Nothing else has an ACK that matters here.
    let (client, msg, _) = bench.forwarded(request("MESSAGE", BOB, ""));
    bench.respond(client, &msg, 200);
    assert!(bench.proxy.drained());
    let (client, msg, _) = bench.forwarded(request("INVITE", BOB, ""));
    bench.respond(client, &msg, 486);
    assert!(bench.proxy.drained());
}

#[test]
fn a_failure_ends_the_context_at_once() {
    let mut bench = Bench::new();
    for code in [302, 404, 486, 500, 603] {
        let (client, msg, _) = bench.forwarded(request("INVITE", BOB, ""));
        assert_eq!(codes(&bench.respond(client, &msg, code)), [code]);
        bench.assert_forgotten();
        assert!(bench.respond(client, &msg, code).is_empty());
    }
    assert!(bench.proxy.accepted.is_empty());
}

#[test]
fn a_503_becomes_500() {
    let mut bench = Bench::new();
    let (client, msg, _) = bench.forwarded(request("INVITE", BOB, ""));
    assert_eq!(codes(&bench.respond(client, &msg, 503)), [500]);
    let (client, ..) = bench.forwarded(request("MESSAGE", BOB, ""));
    let refused = NoResponse::Transport(TransportError::Refused);
    assert_eq!(codes(&bench.no_response(client, refused)), [500]);
    let (client, ..) = bench.forwarded(request("INVITE", BOB, ""));
    assert_eq!(codes(&bench.no_response(client, NoResponse::NotFound)), [500]);
    bench.assert_forgotten();
}

#[test]
fn a_timeout_is_408_for_invite_and_silence_for_others() {
    let mut bench = Bench::new();
    let (client, ..) = bench.forwarded(request("INVITE", BOB, ""));
    assert_eq!(codes(&bench.no_response(client, NoResponse::Timeout)), [408]);
    let (client, ..) = bench.forwarded(request("MESSAGE", BOB, ""));
    assert!(bench.no_response(client, NoResponse::Timeout).is_empty());
    let (client, msg, _) = bench.forwarded(request("MESSAGE", BOB, ""));
    assert!(bench.respond(client, &msg, 408).is_empty());
    bench.assert_forgotten();
}

#[test]
fn a_non_invite_has_one_final_response_and_no_provisional() {
    let mut bench = Bench::new();
    let (client, msg, _) = bench.forwarded(request("MESSAGE", BOB, ""));
    assert!(bench.respond(client, &msg, 180).is_empty());
    assert_eq!(codes(&bench.respond(client, &msg, 200)), [200]);
    bench.assert_forgotten();
    assert!(bench.proxy.accepted.is_empty());
}

#[test]
fn a_response_without_another_via_ends_its_branch() {
    let mut bench = Bench::new();
    let (client, msg, _) = bench.forwarded(request("INVITE", BOB, ""));
    let mut bare = msg.make_response(200, None, None);
    bare.remove(h::VIAS);
    bare.push_front(h::VIAS, "SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKown");
    let outs = bench.event(TuEvent::Response { transaction: client, msg: Box::new(bare) });
    assert_eq!(codes(&outs), [502]);
    bench.assert_forgotten();
}

#[test]
fn timer_c_cancels_what_rings_too_long() {
    let mut bench = Bench::new();
    let (client, msg, _) = bench.forwarded(request("INVITE", BOB, ""));
    bench.respond(client, &msg, 180);
    assert!(bench.pass(180).is_empty());
    // Each provisional response but 100 sets it back.
    bench.respond(client, &msg, 183);
    assert!(bench.pass(180).is_empty());
    bench.respond(client, &msg, 100);
    assert_eq!(cancels(&bench.pass(6)), [client]);
    assert_eq!(codes(&bench.respond(client, &msg, 487)), [487]);
    bench.assert_forgotten();
}

#[test]
fn timer_c_gives_up_what_never_answered() {
    let mut bench = Bench::new();
    bench.forwarded(request("INVITE", BOB, ""));
    assert!(bench.pass(184).is_empty());
    assert_eq!(codes(&bench.pass(2)), [408]);
    bench.assert_forgotten();
}

#[test]
fn timer_c_of_an_ended_call_means_nothing() {
    let mut bench = Bench::new();
    let (client, msg, _) = bench.forwarded(request("INVITE", BOB, ""));
    bench.respond(client, &msg, 200);
    assert!(bench.pass(400).is_empty() && bench.proxy.deadline().is_none());
}

#[test]
fn an_ack_is_sent_on_without_a_transaction() {
    let mut bench = Bench::new();
    let lines = "Route: <sip:127.0.0.1:5060;lr>\r\nTo: <sip:bob@example.com>;tag=b\r\n";
    match bench.ack(request("ACK", BOB, lines)).as_slice() {
        [Out::Stateless(msg, options)] => {
            assert_eq!((uri(msg), msg.exists(h::ROUTES)), (BOB, false));
            assert_eq!((msg.header(h::MAX_FORWARDS).unwrap().0, options.next_hop), (69, NextHop::Route));
        }
        other => panic!("{other:?}"),
    }
    assert!(bench.ack(request("ACK", "sip:127.0.0.1", "")).is_empty());
    assert!(bench.ack(request("ACK", BOB, "Max-Forwards: 0\r\n")).is_empty());
    bench.assert_forgotten();
}

#[test]
fn a_retired_call_costs_few_octets() {
    let entry = size_of::<(ClientTransaction, super::super::Accepted)>();
    // A map of at least half load, and the stale entry of Timer C in the wheel.
    assert!(2 * (entry + 1) + 8 + 4 + size_of::<ClientTransaction>() + 4 <= 200, "{entry}");
}
