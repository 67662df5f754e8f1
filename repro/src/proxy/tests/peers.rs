//! What is agreed with other networks.

use super::provisioned::post;
use super::*;
use serde_json::json;

/// A carrier at 192.0.2.9, one trunk that leads to it, and everything open.
fn bench(peer: serde_json::Value) -> Bench {
    let mut bench = Bench::new();
    let mut record = json!({"name": "carrier", "networks": ["192.0.2.9"], "trunks": ["gw"]});
    record.as_object_mut().unwrap().extend(peer.as_object().unwrap().clone());
    let trunk = json!({"name": "gw", "contacts": ["sip:192.0.2.9"]});
    post(&mut bench, &[("peer", record), ("trunk", trunk)]);
    bench
}

const CARRIER: &str = "192.0.2.9:5060";

#[test]
fn a_peer_sends_what_was_agreed() {
    let mut bench = bench(json!({"methods": ["INVITE", "BYE"]}));
    let uri = "sip:bob@127.0.0.1:5090";
    bench.forwarded(request("MESSAGE", uri, ""));
    bench.peer = CARRIER;
    for (method, code) in [("MESSAGE", 405), ("REGISTER", 405), ("INFO", 405), ("MONKEY", 501)] {
        let outs = bench.request(request(method, uri, "To: <sip:bob@example.com>;tag=b\r\n"));
        let [Out::Answer(_, answer, Some(msg))] = outs.as_slice() else { panic!("{outs:?}") };
        assert_eq!((*answer, text(msg).contains("Allow: INVITE, BYE\r\n")), (code, true), "{method}");
    }
    bench.forwarded(request("INVITE", uri, ""));
    assert!(matches!(bench.ack(request("ACK", uri, "")).as_slice(), [Out::Stateless(..)]));
}

#[test]
fn nobody_else_sends_in_its_name() {
    let mut bench = bench(json!({"domains": ["carrier.example"]}));
    let uri = "sip:bob@127.0.0.1:5090";
    let from = "From: <sip:x@Carrier.example>;tag=a\r\n";
    assert_eq!(bench.status(request("INVITE", uri, from)), 403);
    bench.peer = CARRIER;
    bench.forwarded(request("INVITE", uri, from));
    bench.forwarded(request("INVITE", uri, ""));
}

#[test]
fn what_goes_to_a_peer_is_written_for_it() {
    let rules = json!({"names": "compact", "remove": ["X-Secret", "Organization"], "add": ["X-Account: 4711"],
                       "max_forwards": 20});
    let mut bench = bench(rules);
    let lines = "X-Secret: 1\r\nx-account: mine\r\nOrganization: us\r\nSubject: hello\r\n";
    for uri in ["sip:bob@192.0.2.9", "tel:+49301"] {
        let (_, msg, _) = bench.forwarded(request("INVITE", uri, lines));
        let sent = text(&msg);
        assert!(sent.contains("f: <sip:alice@example.com>;tag=a\r\n") && sent.contains("\r\ns: hello\r\n"), "{sent}");
        assert!(sent.contains("\r\nX-Account: 4711\r\n") && sent.contains("\r\nMax-Forwards: 20\r\n"), "{sent}");
        assert!(!sent.contains("Secret") && !sent.contains("Organization") && !sent.contains("mine"), "{sent}");
    }
    // To others nothing of this happens.
    let (_, msg, _) = bench.forwarded(request("INVITE", "sip:bob@192.0.2.77", lines));
    assert!(text(&msg).contains("X-Secret: 1\r\n") && msg.header(h::MAX_FORWARDS).unwrap().0 == 69);
    // A method that was not agreed goes to nobody.
    assert_eq!(bench.status(request("PUBLISH", "sip:bob@192.0.2.9", "")), 405);
}

#[test]
fn responses_to_a_peer_are_written_for_it_too() {
    let mut bench = bench(json!({"names": "full", "remove": ["Server"], "add": ["X-Account: 4711"]}));
    bench.peer = CARRIER;
    let (client, sent, _) = bench.forwarded(request("INVITE", "sip:bob@127.0.0.1:5090", ""));
    for code in [180, 200] {
        let mut response = response(&sent, code);
        response.append_line("Server", "phone");
        response.append_line("k", "100rel");
        let outs = bench.event(TuEvent::Response { transaction: client, msg: response });
        let [Out::Answer(_, _, Some(answer))] = outs.as_slice() else { panic!("{outs:?}") };
        let told = text(answer);
        assert!(!told.contains("Server") && told.contains("\r\nSupported: 100rel\r\n"), "{told}");
        assert!(!told.contains("X-Account"), "a response has what it had");
    }
}

/// The bound is for connections: what comes is looked at here, what goes out when it is printed.
#[test]
fn a_request_that_takes_too_many_segments_is_refused() {
    let mut bench = bench(json!({"max_segments": 2}));
    let large = |octets: usize| {
        let mut msg = request("MESSAGE", "sip:bob@192.0.2.9", "");
        msg.set_body(Some("text/plain"), Vec::new());
        let head = msg.to_bytes().len() + 3;
        msg.set_body(Some("text/plain"), vec![b'x'; octets - head]);
        let msg = Message::parse(msg.to_bytes()).unwrap();
        assert_eq!(msg.to_bytes().len(), octets);
        msg
    };
    let allow_messages = json!({"max_segments": 2, "methods": ["MESSAGE"]});
    let mut bench_with_messages = self::bench(allow_messages);
    let (_, _, options) = bench_with_messages.forwarded(large(5_000));
    assert_eq!(options.most_octets, Some(2 * 1428));
    let (_, _, options) = bench.forwarded(request("INVITE", "sip:bob@192.0.2.77", ""));
    assert_eq!(options.most_octets, None);
    // From the peer: over UDP there are no segments.
    bench_with_messages.peer = CARRIER;
    let to_other = |octets| {
        let mut msg = large(octets);
        msg.set_request_uri("sip:bob@192.0.2.77");
        Message::parse(msg.to_bytes()).unwrap()
    };
    bench_with_messages.forwarded(to_other(5_000));
    let peer = CARRIER.parse().unwrap();
    let kind = TransportType::Tcp;
    bench_with_messages.came_by =
        Some(Flow { transport: TransportId(1), kind, connection: ConnectionId(7), peer, local: None });
    bench_with_messages.forwarded(to_other(2 * 1428 - 100));
    assert_eq!(bench_with_messages.status(to_other(2 * 1428 + 100)), 513);
}
