//! What is refused (RFC 3261 §16.3, RFC 5393 §4.2), and OPTIONS.

use super::*;

const BOB: &str = "sip:bob@127.0.0.1:5090";
const US: &str = "sip:127.0.0.1:5060";

#[test]
fn max_forwards() {
    let mut bench = Bench::new();
    assert_eq!(bench.status(request("INVITE", BOB, "Max-Forwards: 0\r\n")), 483);
    assert_eq!(bench.status(request("OPTIONS", BOB, "Max-Forwards: 0\r\n")), 483);
    let (_, msg, _) = bench.forwarded(request("INVITE", BOB, "Max-Forwards: 1\r\n"));
    assert_eq!(msg.header(h::MAX_FORWARDS).unwrap().0, 0);
    let mut without = request("INVITE", BOB, "");
    without.remove(h::MAX_FORWARDS);
    let (_, msg, _) = bench.forwarded(without);
    assert_eq!(msg.header(h::MAX_FORWARDS).unwrap().0, 70);
}

#[test]
fn what_ends_here_is_served_without_forwards_left() {
    let mut bench = Bench::new();
    let lines =
        "Max-Forwards: 0\r\nProxy-Require: foo\r\nTo: <sip:bob@127.0.0.1>\r\nContact: <sip:1@127.0.0.1:9001>\r\n";
    assert_eq!(bench.status(request("REGISTER", "sip:127.0.0.1", lines)), 200);
    let routed = "Max-Forwards: 0\r\nTo: <sip:bob@127.0.0.1>\r\nRoute: <sip:127.0.0.1;lr>\r\n";
    assert_eq!(bench.status(request("REGISTER", "sip:127.0.0.1", routed)), 200);
    // What would be forwarded is not: a call to the user that just registered, a registration elsewhere.
    assert_eq!(bench.status(request("INVITE", "sip:bob@127.0.0.1", "Max-Forwards: 0\r\n")), 483);
    assert_eq!(bench.status(request("INVITE", "sip:bob@127.0.0.1", "Proxy-Require: foo\r\n")), 420);
    assert_eq!(bench.status(request("REGISTER", "sip:example.org", lines)), 483);
}

#[test]
fn schemes() {
    let mut bench = Bench::new();
    for uri in ["nobodyKnowsThisScheme:totallyopaquecontent", "tel:+15551234", "http://example.com"] {
        assert_eq!(bench.status(request("OPTIONS", uri, "")), 416, "{uri}");
    }
    bench.forwarded(request("INVITE", "tel:+15551234", "Route: <sip:192.0.2.9;lr>\r\n"));
    bench.forwarded(request("INVITE", "sips:bob@192.0.2.9", ""));
}

#[test]
fn extensions_that_a_proxy_must_know() {
    let mut bench = Bench::new();
    let lines = "Proxy-Require: foo, bar\r\nProxy-Require: baz\r\n";
    let outs = bench.request(request("OPTIONS", BOB, lines));
    let [Out::Answer(_, 420, Some(answer))] = outs.as_slice() else { panic!("{outs:?}") };
    assert!(text(answer).contains("\r\nUnsupported: foo, bar, baz\r\n"), "{}", text(answer));
    // Require is for the other end.
    bench.forwarded(request("INVITE", BOB, "Require: foo\r\n"));
}

#[test]
fn options_to_the_proxy() {
    let mut bench = Bench::new();
    for uri in [US, "sip:127.0.0.1", "sip:127.0.0.1;transport=tcp"] {
        let outs = bench.request(request("OPTIONS", uri, "Max-Forwards: 0\r\n"));
        let [Out::Answer(_, 200, Some(answer))] = outs.as_slice() else { panic!("{outs:?}") };
        for name in ["Allow: ", "Accept: ", "Accept-Encoding: ", "Accept-Language: ", "Supported: "] {
            assert!(text(answer).contains(&format!("\r\n{name}")), "{name}");
        }
        assert!(answer.header(h::TO).unwrap().params.get("tag").is_some());
    }
    assert_eq!(bench.status(request("OPTIONS", US, "Require: nothingSupportsThis\r\n")), 420);
    assert_eq!(bench.status(request("INVITE", US, "")), 404);
}

/// A Route that names us has brought it here, and leads nowhere else; one that names another does.
#[test]
fn options_to_the_proxy_by_a_route() {
    let mut bench = Bench::new();
    for route in ["<sip:127.0.0.1:5060;lr>", "<sip:127.0.0.1;lr>, <sip:127.0.0.1;transport=tcp;lr>"] {
        let lines = format!("Route: {route}\r\nMax-Forwards: 0\r\n");
        assert_eq!(bench.status(request("OPTIONS", US, &lines)), 200, "{route}");
    }
    // From a strict router: what it put behind the Route set is the Request-URI again.
    let strict = format!("Route: <{US}>\r\n");
    assert_eq!(bench.status(request("OPTIONS", "sip:127.0.0.1:5060;lr", &strict)), 200);
    let onward = "Route: <sip:127.0.0.1;lr>, <sip:192.0.2.9;lr>\r\n";
    let (_, msg, _) = bench.forwarded(request("OPTIONS", US, onward));
    assert_eq!(msg.header(h::ROUTES).count(), 1);
}

/// What comes back to us is what we sent, with our Via on top.
fn come_back(bench: &Bench, msg: &Message, options: &SendOptions, host: &str) -> Message {
    let hash = options.loop_hash.unwrap();
    let mut back = Message::parse(&msg.to_bytes()[..]).unwrap();
    back.push_front(h::VIAS, &format_args!("SIP/2.0/UDP {host};branch=z9hG4bK000123456789abcde0.{hash:016x}"));
    back.set_source(*bench.stamped(back.clone()).source().unwrap());
    back
}

#[test]
fn a_loop_is_found_and_a_spiral_goes_on() {
    let mut bench = Bench::new();
    let (_, msg, options) = bench.forwarded(request("INVITE", "sip:bob@example.org", ""));
    let back = come_back(&bench, &msg, &options, "127.0.0.1:5060");
    assert_eq!(bench.status(back.clone()), 482);
    // The same hash in somebody else's Via is no loop of ours.
    bench.forwarded(come_back(&bench, &msg, &options, "192.0.2.1:5060"));
    // Another Request-URI: a spiral.
    let mut spiral = back.clone();
    spiral.set_request_uri("sip:carol@example.org");
    let (_, msg, options) = bench.forwarded(spiral);
    // And when the spiral comes back as it was, it is a loop.
    assert_eq!(bench.status(come_back(&bench, &msg, &options, "127.0.0.1:5060")), 482);
    // So is one whose copy came through another branch.
    assert_eq!(bench.status(back), 482);
}

#[test]
fn another_transaction_of_the_call_is_no_loop() {
    let mut bench = Bench::new();
    let (_, msg, options) = bench.forwarded(request("INVITE", "sip:bob@example.org", ""));
    let mut other = come_back(&bench, &msg, &options, "127.0.0.1:5060");
    other.set(h::CSEQ, "2 INVITE");
    bench.forwarded(other);
}
