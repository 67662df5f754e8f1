//! Whom the proxy serves: domains, users, and who may send elsewhere.

use super::provisioned::post;
use super::*;
use serde_json::json;

const STRANGER: &str = "203.0.113.9:5060";
const FRIEND: &str = "10.1.2.3:5060";
const FAR: &str = "sip:carol@198.51.100.1";

/// A proxy on the net, with a domain and friends in 10.0.0.0/8.
fn public() -> Bench {
    let config = Config {
        domains: vec!["example.com".parse().unwrap()],
        trusted_peers: vec!["10.0.0.0/8".parse().unwrap()],
        ..Config::default()
    };
    let mut bench = Bench::with("192.0.2.1:5060", config);
    bench.peer = FRIEND;
    bench
}

fn register(bench: &mut Bench, contact: &str) -> u16 {
    let lines = format!("To: <sip:bob@example.com>\r\nContact: <{contact}>\r\n");
    bench.status(request("REGISTER", "sip:example.com", &lines))
}

#[test]
fn domains_and_ports() {
    let mut bench = public();
    assert_eq!(register(&mut bench, "sip:bob@10.9.9.9:7000"), 200);
    for uri in ["sip:bob@example.com", "sip:bob@EXAMPLE.com:5060", "sip:bob@example.com;user=phone"] {
        assert_eq!(super::uri(&bench.forwarded(request("INVITE", uri, "")).1), "sip:bob@10.9.9.9:7000", "{uri}");
    }
    for uri in ["sip:bob@example.com:5070", "sip:bob@sub.example.com", "sip:bob@192.0.2.1:5090"] {
        assert_eq!(super::uri(&bench.forwarded(request("INVITE", uri, "")).1), uri);
    }
    assert_eq!(bench.status(request("INVITE", "sip:carol@example.com", "")), 404);
    assert_eq!(bench.status(request("INVITE", "sip:bob@192.0.2.1", "")), 404);
}

#[test]
fn a_known_user_without_contacts_is_480() {
    let mut bench = Bench::new();
    bench.register(&["<sip:1@127.0.0.1:9001>;expires=60"]);
    bench.forwarded(request("INVITE", "sip:bob@127.0.0.1", ""));
    bench.pass(60);
    assert_eq!(bench.status(request("INVITE", "sip:bob@127.0.0.1", "")), 480);
}

#[test]
fn an_own_address_with_another_port_is_elsewhere() {
    let mut bench = Bench::new();
    for uri in ["sip:bob@127.0.0.1:5090", "sip:bob@127.0.0.2:5060", "sip:bob@[::1]:5060"] {
        assert_eq!(super::uri(&bench.forwarded(request("INVITE", uri, "")).1), uri);
    }
}

#[test]
fn strangers_reach_our_users_and_nobody_else() {
    let mut bench = public();
    assert_eq!(register(&mut bench, "sip:bob@10.9.9.9:7000"), 200);
    bench.peer = STRANGER;
    bench.forwarded(request("INVITE", "sip:bob@example.com", ""));
    assert_eq!(bench.status(request("INVITE", FAR, "")), 403);
    assert_eq!(bench.status(request("INVITE", "sip:bob@example.com", "Route: <sip:198.51.100.1;lr>\r\n")), 403);
    assert_eq!(register(&mut bench, "sip:eve@203.0.113.9"), 403);
    bench.peer = FRIEND;
    bench.forwarded(request("INVITE", FAR, ""));
}

#[test]
fn within_a_dialog_one_end_is_ours() {
    let mut bench = public();
    assert_eq!(register(&mut bench, "sip:bob@10.9.9.9:7000"), 200);
    let own = "Route: <sip:192.0.2.1:5060;lr>\r\nTo: <sip:bob@example.com>;tag=b\r\n";
    bench.peer = STRANGER;
    bench.forwarded(request("BYE", "sip:bob@10.9.9.9:7000", own));
    // A forged Route opens nothing.
    assert_eq!(bench.status(request("BYE", FAR, own)), 403);
    assert_eq!(bench.status(request("INVITE", "sip:bob@10.9.9.9:7000", "")), 403);
    // Nor does it begin a call at a device: that would take it, whatever stands before the @.
    let begins = "Route: <sip:192.0.2.1:5060;lr>\r\n";
    for method in ["INVITE", "MESSAGE", "REFER"] {
        assert_eq!(bench.status(request(method, "sip:+1900@10.9.9.9:7000", begins)), 403, "{method}");
    }
    let (onward, ack) = ("Route: <sip:192.0.2.1;lr>, <sip:198.51.100.1;lr>\r\n", request("ACK", FAR, own));
    assert_eq!(bench.status(request("BYE", "sip:bob@10.9.9.9:7000", onward)), 403);
    assert!(bench.ack(ack).is_empty());
    // The other way: from the user's device.
    bench.peer = "10.9.9.9:7000";
    bench.forwarded(request("BYE", FAR, own));
}

#[test]
fn what_counts_is_where_a_request_is_sent() {
    let mut bench = public();
    assert_eq!(register(&mut bench, "sip:bob@10.9.9.9:7000"), 200);
    let own = "Route: <sip:192.0.2.1:5060;lr>\r\nTo: <sip:bob@example.com>;tag=b\r\n";
    bench.peer = STRANGER;
    for params in ["maddr=198.51.100.1", "maddr=victim.example.net", "maddr=10.9.9.8", "transport=tcp"] {
        let uri = format!("sip:bob@10.9.9.9:7000;{params}");
        assert_eq!(bench.status(request("BYE", &uri, own)), 403, "{uri}");
        assert!(bench.ack(request("ACK", &uri, own)).is_empty(), "{uri}");
    }
    assert_eq!(bench.status(request("BYE", "sip:bob@device.example.net:7000", own)), 403);
    // An maddr may also lead to the device.
    bench.forwarded(request("BYE", "sip:bob@device.example.net:7000;maddr=10.9.9.9", own));
    bench.forwarded(request("BYE", "sip:bob@10.9.9.9:7000;transport=udp", own));
}

/// A static route that leads out of our domains is no way round the right to relay, unless it is open to all.
#[test]
fn a_static_route_does_not_make_a_relay() {
    let route = |name: &str, uri: &str, to: &str, open: bool| {
        ("static_route", json!({"name": name, "uri": uri, "rewrite": to, "open": open}))
    };
    let mut bench = public();
    let far = "sip:$1@198.51.100.1";
    let routes = [
        ("domain", json!({"name": "example.com"})),
        route("out", "^sip:([0-9]+)@example", far, false),
        route("open", "^sip:open-([0-9]+)@example", far, true),
        route("both-out", "^sip:both-([0-9]+)@example", far, false),
        route("both-open", "^sip:both-([0-9]+)@example", "sip:$1@198.51.100.2", true),
        route("here", "^sip:desk@example", "sip:bob@example.com", false),
        route("number", "^sip:n([0-9]+)@example", "tel:$1", false),
    ];
    post(&mut bench, &routes);
    assert_eq!(register(&mut bench, "sip:bob@10.9.9.9:7000"), 200);
    assert_eq!(uri(&bench.forwarded(request("INVITE", "sip:1900@example.com", "")).1), "sip:1900@198.51.100.1");
    bench.peer = STRANGER;
    for method in ["INVITE", "MESSAGE", "SUBSCRIBE", "OPTIONS"] {
        for to in ["sip:1900@example.com", "sip:1900@example.com;user=phone", "sip:n1@example.com"] {
            assert_eq!(bench.status(request(method, to, "")), 403, "{method} {to}");
        }
    }
    for (to, at) in [
        ("sip:open-7@example.com", "sip:7@198.51.100.1"),
        ("sip:both-7@example.com", "sip:7@198.51.100.2"),
        ("sip:desk@example.com", "sip:bob@10.9.9.9:7000"),
    ] {
        assert_eq!(uri(&bench.forwarded(request("INVITE", to, "")).1), at);
    }
    // A forged Route, and a name of ours in From, open nothing.
    let own = "Route: <sip:192.0.2.1:5060;lr>\r\nFrom: <sip:bob@example.com>;tag=1\r\n";
    assert_eq!(bench.status(request("INVITE", "sip:1900@example.com", own)), 403);
}

/// What is sent on by a static route goes by its Request-URI: an `maddr` that the rewriting kept, or several names of ours
/// that would come back as from the proxy itself, are no way round the right to relay either.
#[test]
fn a_static_route_sends_nothing_of_a_stranger_out_by_a_name_of_ours() {
    let route = |name: &str, uri: &str, to: &str, priority: u32, open: bool| {
        let record = json!({"name": name, "uri": uri, "rewrite": to, "priority": priority, "open": open});
        ("static_route", record)
    };
    let mut bench = public();
    let routes = [
        ("domain", json!({"name": "example.com"})),
        route("sales 1", "^sip:sales@example.com(.*)", "sip:bob@example.com$1", 1, false),
        route("sales 2", "^sip:sales@example.com(.*)", "sip:carol@example.com$1", 1, false),
        route("desk", "^sip:desk@example.com(.*)", "sip:bob@example.com$1", 1, false),
        route("open 1", "^sip:open-([a-z0-9]+)@", "sip:$1@example.com", 1, true),
        route("open 2", "^sip:open-([a-z0-9]+)@", "sip:$1@example.com", 2, true),
        route("out first", "^sip:out@", "sip:x@198.51.100.1", 1, true),
        route("then here", "^sip:out@", "sip:bob@example.com", 2, false),
    ];
    post(&mut bench, &routes);
    assert_eq!(register(&mut bench, "sip:bob@10.9.9.9:7000"), 200);
    let called = |bench: &mut Bench, to: &str| -> Vec<String> {
        sent(bench.request(request("INVITE", to, ""))).iter().map(|(_, msg)| uri(msg).to_owned()).collect()
    };
    // Who may send anywhere himself.
    let far = "sip:sales@example.com;maddr=203.0.113.5";
    assert_eq!(called(&mut bench, "sip:sales@example.com"), ["sip:bob@example.com", "sip:carol@example.com"]);
    assert_eq!(called(&mut bench, far).len(), 2);
    assert_eq!(called(&mut bench, "sip:desk@example.com;maddr=10.8.8.8"), ["sip:bob@example.com;maddr=10.8.8.8"]);
    bench.peer = STRANGER;
    for to in [
        far,
        "sip:sales@example.com;MADDR=203.0.113.5",
        "sip:sales@example.com;maddr=victim.example.net;transport=tcp",
        "sip:desk@example.com;x=1;maddr=203.0.113.5",
    ] {
        assert_eq!(bench.status(request("INVITE", to, "")), 403, "{to}");
    }
    let bob = ["sip:bob@10.9.9.9:7000"];
    assert_eq!(called(&mut bench, "sip:sales@example.com"), bob);
    assert_eq!(called(&mut bench, "sip:open-bob@example.com"), bob);
    assert_eq!(bench.status(request("INVITE", "sip:open-1900@example.com", "")), 404);
    let (client, msg, _) = bench.forwarded(request("INVITE", "sip:out@example.com", ""));
    assert_eq!(uri(&msg), "sip:x@198.51.100.1");
    assert_eq!(codes(&bench.respond(client, &msg, 404)), [404], "and no second target");
}

#[test]
fn without_domains_and_peers_nobody_is_trusted() {
    let both = public().server.config().clone();
    let domains = Config { trusted_peers: Vec::new(), ..both.clone() };
    let peers = Config { domains: Vec::new(), ..both };
    for config in [Config::default(), domains, peers] {
        let mut bench = Bench::with("192.0.2.1:5060", config);
        bench.peer = FRIEND;
        assert_eq!(bench.status(request("INVITE", FAR, "")), 403);
        let lines = "To: <sip:bob@192.0.2.1>\r\nContact: <sip:bob@10.9.9.9>\r\n";
        assert_eq!(bench.status(request("REGISTER", "sip:192.0.2.1", lines)), 403);
    }
}
