//! Route preprocessing and the next hop (RFC 3261 §16.4, §16.6 steps 6 and 7).

use super::*;
use stack::tu::NextHop;

const FAR: &str = "sip:bob@192.0.2.7:5090";

fn routes(msg: &Message) -> Vec<String> {
    msg.header(h::ROUTES).map(|route| route.unwrap().to_string()).collect()
}

#[test]
fn our_own_routes_are_taken_off() {
    let mut bench = Bench::new();
    for (lines, left) in [
        ("Route: <sip:127.0.0.1;lr>\r\n", &[][..]),
        ("Route: <sip:127.0.0.1:5060;lr>, <sip:127.0.0.1;transport=tcp;lr>\r\n", &[]),
        ("Route: <sip:127.0.0.1:5060;lr>\r\nRoute: <sip:192.0.2.9;lr>\r\n", &["<sip:192.0.2.9;lr>"]),
        ("Route: <sip:192.0.2.9;lr>,<sip:127.0.0.1;lr>\r\n", &["<sip:192.0.2.9;lr>", "<sip:127.0.0.1;lr>"]),
        ("Route: <sip:127.0.0.1:5061;lr>\r\n", &["<sip:127.0.0.1:5061;lr>"]),
    ] {
        let (_, msg, options) = bench.forwarded(request("BYE", FAR, lines));
        assert_eq!(
            (routes(&msg), uri(&msg), options.next_hop),
            (left.iter().map(|s| s.to_string()).collect(), FAR, NextHop::Route)
        );
    }
}

#[test]
fn a_route_is_followed_even_to_our_own_user() {
    let mut bench = Bench::new();
    bench.register(&["<sip:1@127.0.0.1:9001>"]);
    let (_, msg, _) = bench.forwarded(request("INVITE", "sip:bob@127.0.0.1", "Route: <sip:192.0.2.9;lr>\r\n"));
    assert_eq!((uri(&msg), routes(&msg)), ("sip:bob@127.0.0.1", vec!["<sip:192.0.2.9;lr>".to_owned()]));
}

#[test]
fn a_strict_router_before_us_is_repaired() {
    let mut bench = Bench::new();
    let lines = "Route: <sip:192.0.2.9;lr>, <sip:bob@192.0.2.7:5090>\r\n";
    let (_, msg, options) = bench.forwarded(request("BYE", "sip:127.0.0.1:5060;lr", lines));
    assert_eq!((uri(&msg), routes(&msg)), (FAR, vec!["<sip:192.0.2.9;lr>".to_owned()]));
    assert_eq!(options.next_hop, NextHop::Route);
    let (_, msg, _) = bench.forwarded(request("BYE", "sip:127.0.0.1:5060;lr", "Route: <sip:bob@192.0.2.7:5090>\r\n"));
    assert_eq!((uri(&msg), routes(&msg).len()), (FAR, 0));
}

#[test]
fn a_strict_router_behind_us_gets_itself_as_request_uri() {
    let mut bench = Bench::new();
    let lines = "Route: <sip:127.0.0.1;lr>, <sip:strict@192.0.2.8>, <sip:192.0.2.9;lr>\r\n";
    let (_, msg, options) = bench.forwarded(request("BYE", FAR, lines));
    assert_eq!(uri(&msg), "sip:strict@192.0.2.8");
    assert_eq!(routes(&msg), ["<sip:192.0.2.9;lr>".to_owned(), format!("<{FAR}>")]);
    assert_eq!(options.next_hop, NextHop::RequestUri);
    // It gets what was sent to a sips URI over TLS.
    let (_, msg, _) = bench.forwarded(request("BYE", "sips:bob@192.0.2.7:5091", lines));
    assert_eq!(uri(&msg), "sips:strict@192.0.2.8");
}

#[test]
fn an_maddr_of_ours_is_stripped() {
    let mut bench = Bench::new();
    let (_, msg, _) = bench.forwarded(request("INVITE", "sip:bob@example.org:5060;maddr=127.0.0.1;transport=tcp", ""));
    assert_eq!(uri(&msg), "sip:bob@example.org");
    let other = "sip:bob@example.org;maddr=192.0.2.1";
    let (_, msg, _) = bench.forwarded(request("INVITE", other, ""));
    assert_eq!(uri(&msg), other);
}

#[test]
fn a_malformed_route_is_400() {
    let mut bench = Bench::new();
    assert_eq!(bench.status(request("BYE", FAR, "Route: <sip:127.0.0.1;lr\r\n")), 400);
    assert_eq!(bench.status(request("BYE", "sip:127.0.0.1;lr", "Route: <sip:a@b>, <<\r\n")), 400);
}
