//! What is told of sessions and registrations.

use super::*;
use crate::accounting::tests::Desk;
use serde_json::Value;
use stack::tu::NoResponse;

const BOB: &str = "sip:bob@127.0.0.1:5090";

fn told(name: &str, more: &str) -> (Bench, Desk) {
    let (bench, desk) = (Bench::new(), Desk::new(name, more));
    bench.server.set_accounting(desk.accounting());
    (bench, desk)
}

fn events(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["event"].as_str().unwrap()).collect()
}

/// A BYE of one side, and its answer.
fn bye(bench: &mut Bench, (from, to): (&str, &str), reason: &str, code: u16) {
    let lines = format!("From: <sip:x@example.com>;tag={from}\r\nTo: <sip:y@example.com>;tag={to}\r\n{reason}");
    let (client, msg, _) = bench.forwarded(request("BYE", BOB, &lines));
    assert_eq!(codes(&bench.respond(client, &msg, code)), [code]);
}

#[test]
fn a_call_is_told_when_it_is_answered_and_when_it_ends() {
    let (mut bench, mut desk) = told("call", "");
    bench.pass(10);
    let diverted = "Diversion: <sip:carol:s3cret@example.com>;reason=user-busy\r\n";
    let (client, msg, _) = bench.forwarded(request("INVITE", "sip:bob:s3cret@127.0.0.1:5090", diverted));
    bench.pass(2);
    assert_eq!(codes(&bench.respond(client, &msg, 200)), [200]);
    // Said again, it is no second session.
    assert_eq!(codes(&bench.respond(client, &msg, 200)), [200]);
    bench.pass(61);
    bye(&mut bench, ("b", "a"), "Reason: Q.850;cause=16;text=\"bye\"\r\n", 200);
    let lines = desk.lines(bench.harness.now);
    assert_eq!(events(&lines), ["session_established", "session_ended"]);
    let expected = serde_json::json!({
        "event": "session_established", "time": "2026-11-22T02:32:17.000Z", "call_id": "call",
        "from": "sip:alice@example.com", "from_tag": "a", "to": "sip:bob@example.com", "to_tag": "b",
        "invited_at": "2026-11-22T02:32:15.000Z", "request_uri": "sip:bob@127.0.0.1:5090",
        "source": "udp:127.0.0.1:7000", "diversion": ["<sip:carol@example.com>;reason=user-busy"],
        "setup_ms": 2000, "code": 200,
    });
    assert_eq!(lines[0], expected);
    let mut ended = expected;
    ended["event"] = "session_ended".into();
    ended["time"] = "2026-11-22T02:33:18.000Z".into();
    ended["answered_at"] = "2026-11-22T02:32:17.000Z".into();
    ended["duration_ms"] = 61_000.into();
    ended["hung_up"] = "callee".into();
    ended["reason"] = "Q.850;cause=16;text=\"bye\"".into();
    assert_eq!(lines[1], ended);
    assert_eq!(desk.accounting().standing(), 0);
}

#[test]
fn a_call_that_fails_or_is_given_up_is_told_once() {
    let (mut bench, mut desk) = told("fails", "");
    let (client, msg, _) = bench.forwarded(request("INVITE", BOB, ""));
    bench.respond(client, &msg, 486);
    let (client, msg, _) = bench.forwarded(request("INVITE", BOB, ""));
    bench.respond(client, &msg, 180);
    let cancel = Box::new(request("CANCEL", BOB, "Reason: SIP;cause=600;text=\"no\"\r\n"));
    bench.event(TuEvent::Cancelled { transaction: Harness::server(bench.requests), cancel });
    bench.respond(client, &msg, 487);
    let (client, ..) = bench.forwarded(request("INVITE", BOB, ""));
    bench.no_response(client, NoResponse::Timeout);
    let (client, msg, _) = bench.forwarded(request("INVITE", BOB, ""));
    bench.respond(client, &msg, 302);
    // Refused here, and asked for a password by somebody else: that is no failure yet.
    assert_eq!(bench.status(request("INVITE", "sip:nobody@127.0.0.1", "")), 404);
    let (client, msg, _) = bench.forwarded(request("INVITE", BOB, ""));
    bench.respond(client, &msg, 407);
    // Within a session, and no session at all.
    let (client, msg, _) = bench.forwarded(request("INVITE", BOB, "To: <sip:b@h>;tag=b\r\n"));
    bench.respond(client, &msg, 488);
    let (client, msg, _) = bench.forwarded(request("MESSAGE", BOB, ""));
    bench.respond(client, &msg, 200);
    let lines = desk.lines(bench.harness.now);
    let told: Vec<_> = lines.iter().map(|line| (line["event"].as_str().unwrap(), &line["code"])).collect();
    let expected: Vec<_> = [
        ("session_failed", 486),
        ("session_cancelled", 487),
        ("session_failed", 408),
        ("session_redirected", 302),
        ("session_failed", 404),
    ]
    .map(|(event, code)| (event, Value::from(code)))
    .into();
    assert_eq!(told, expected.iter().map(|(event, code)| (*event, code)).collect::<Vec<_>>());
    assert_eq!(lines[1]["reason"], "SIP;cause=600;text=\"no\"");
}

#[test]
fn a_bye_is_told_when_it_is_answered_and_not_when_it_is_challenged() {
    let (mut bench, mut desk) = told("bye", "");
    // Of a session that nobody has seen here: From is who hung up.
    bye(&mut bench, ("x", "y"), "", 401);
    bye(&mut bench, ("x", "y"), "", 481);
    let (client, ..) = bench.forwarded(request("BYE", BOB, "To: <sip:b@h>;tag=b\r\n"));
    bench.no_response(client, NoResponse::Timeout);
    let lines = desk.lines(bench.harness.now);
    assert_eq!(events(&lines), ["session_ended"; 2]);
    let ended = |line: &Value| (line["code"].clone(), line["hung_up"].clone(), line["duration_ms"].clone());
    assert_eq!(ended(&lines[0]), (481.into(), "from".into(), Value::Null));
    assert_eq!(ended(&lines[1]), (408.into(), "from".into(), Value::Null));
}

#[test]
fn each_answer_of_a_fork_is_a_session_and_the_target_is_told() {
    let (mut bench, mut desk) = told("fork", "");
    bench.register(&["<sip:one@127.0.0.1:6001>"]);
    let (client, msg, _) = bench.forwarded(request("INVITE", "sip:bob@127.0.0.1", ""));
    bench.respond(client, &msg, 200);
    let mut other = msg.make_response(200, None, Some("c"));
    other.push_front(h::VIAS, "SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKown");
    bench.event(TuEvent::Response { transaction: client, msg: Box::new(other) });
    let lines = desk.lines(bench.harness.now);
    assert_eq!(events(&lines), ["registration_added", "session_established", "session_established"]);
    let answers: Vec<_> = lines[1..].iter().map(|line| (&line["to_tag"], &line["target"])).collect();
    let target = Value::from("sip:one@127.0.0.1:6001");
    assert_eq!(answers, [(&Value::from("b"), &target), (&Value::from("c"), &target)]);
    assert_eq!(desk.accounting().standing(), 2);
}

#[test]
fn registrations_are_told_from_their_first_to_their_end() {
    for refreshes in [false, true] {
        let (mut bench, mut desk) = told("registrations", &format!("refreshes = {refreshes}\nsessions = false"));
        let mut register = |cseq: u32, contact: &str| {
            let to = "To: <sip:bob@127.0.0.1>\r\n";
            let msg = request("REGISTER", "sip:127.0.0.1", &format!("{to}Contact: {contact}\r\n"));
            let msg = Message::parse(text(&msg).replace("CSeq: 1", &format!("CSeq: {cseq}")).as_bytes()).unwrap();
            assert_eq!(bench.status(msg), 200);
        };
        register(1, "<sip:one@127.0.0.1:6001>;expires=100");
        register(2, "<sip:one@127.0.0.1:6001>;expires=100");
        register(3, "<sip:one@127.0.0.1:6001>;expires=0");
        register(4, "<sip:two@127.0.0.1:6001>;expires=60");
        bench.pass(200);
        let lines = desk.lines(bench.harness.now);
        let mut expected = vec![
            ("registration_added", "sip:one@127.0.0.1:6001", "registered"),
            ("registration_refreshed", "sip:one@127.0.0.1:6001", "refreshed"),
            ("registration_removed", "sip:one@127.0.0.1:6001", "unregistered"),
            ("registration_added", "sip:two@127.0.0.1:6001", "registered"),
            ("registration_expired", "sip:two@127.0.0.1:6001", "expired"),
        ];
        if !refreshes {
            expected.remove(1);
        }
        let text = |line: &Value, key: &str| line[key].as_str().unwrap().to_owned();
        let told: Vec<_> =
            lines.iter().map(|line| (text(line, "event"), text(line, "contact"), text(line, "cause"))).collect();
        let expected: Vec<_> = expected.iter().map(|(a, b, c)| ((*a).into(), (*b).into(), (*c).into())).collect();
        assert_eq!(told, expected);
        assert_eq!((&lines[0]["aor"], &lines[0]["expires_seconds"]), (&"bob@127.0.0.1".into(), &100.into()));
        assert_eq!(lines[0]["source"], "udp:127.0.0.1:7000");
        // Nothing is told of sessions.
        bench.forwarded(request("INVITE", BOB, ""));
        assert!(bench.proxy.contexts.iter().all(|(_, context)| context.tracked.is_none()));
    }
}
