//! Registrations that come and go through other proxies (RFC 3327, RFC 5626 §5.1 and §6).

use super::*;
use crate::config::Network;
use stack::tu::{AddPath, NextHop};

const THROUGH: &str =
    "Via: SIP/2.0/UDP 127.0.0.1:7000;branch=z9hG4bKb\r\nVia: SIP/2.0/TCP 10.0.0.9;branch=z9hG4bKa\r\n";
const EDGE: &str = "<sip:edge.example.com;lr>";

/// A REGISTER that came through another proxy.
fn through(lines: &str) -> Message {
    request("REGISTER", "sip:127.0.0.1", &format!("{THROUGH}To: <sip:bob@127.0.0.1>\r\n{lines}"))
}

fn answer(bench: &mut Bench, msg: Message) -> Box<Message> {
    match bench.request(msg).into_iter().next() {
        Some(Out::Answer(_, _, Some(answer))) => answer,
        other => panic!("{other:?}"),
    }
}

fn line(msg: &Message, name: &str) -> Vec<String> {
    msg.raw_values(name).map(|value| String::from_utf8(value.to_vec()).unwrap()).collect()
}

#[test]
fn a_request_goes_to_a_contact_by_its_path() {
    let mut bench = Bench::new();
    // Where the contact leads is for the last proxy to say.
    let lines = "Supported: path\r\nContact: <sip:bob@df7jal23ls0d.invalid;transport=ws>\r\n\
                 Path: <sip:127.0.0.1:7000;lr>, <sip:token@inner.example.com;transport=tcp;lr>\r\n";
    let registered = answer(&mut bench, through(lines));
    let path = "<sip:127.0.0.1:7000;lr>, <sip:token@inner.example.com;transport=tcp;lr>";
    assert_eq!((registered.status(), line(&registered, "Path")), (Some(200), vec![path.to_owned()]));
    let (_, msg, options) = bench.forwarded(request("INVITE", "sip:bob@127.0.0.1", ""));
    assert_eq!((uri(&msg), line(&msg, "Route")), ("sip:bob@df7jal23ls0d.invalid;transport=ws", vec![path.to_owned()]));
    assert_eq!((options.next_hop, options.record_route.is_some()), (NextHop::Route, true));
    // Each contact has its own.
    bench.register(&["<sip:bob@127.0.0.1:5090>"]);
    let both = sent(bench.request(request("INVITE", "sip:bob@127.0.0.1", "")));
    assert_eq!(both.iter().filter(|(_, msg)| msg.exists(h::ROUTES)).count(), 1);
    assert_eq!(both.len(), 2);
}

#[test]
fn a_path_that_cannot_be_used_is_refused() {
    let mut bench = Bench::new();
    let many = [EDGE; 9].join(", ");
    let long = format!("<sip:{}@edge.example.com;lr>", "u".repeat(1000));
    for (path, why) in [
        ("<tel:+1234>", "Path: sip or sips URI expected"),
        ("<sip:edge.example.com>", "Path: lr expected"),
        ("<sip:224.0.1.75;lr>", "Path: its host is not the address of one device"),
        ("<sip:x.invalid;lr>", "Path: nothing but a connection of its own leads there"),
        ("<sip:192.0.2.1;transport=sctp;lr>", "Path: its transport is not supported"),
        (&many, "Path too long"),
        (&long, "Path too long"),
        ("<sip:edge", "Bad Request"),
    ] {
        let lines = format!("Supported: path\r\nPath: {path}\r\nContact: <sip:1@127.0.0.1:9001>\r\n");
        let refused = answer(&mut bench, through(&lines));
        assert!(text(&refused).starts_with(&format!("SIP/2.0 400 {why}\r\n")), "{path}: {}", text(&refused));
    }
    let refused = answer(&mut bench, through(&format!("Path: {EDGE}\r\nContact: <sip:1@127.0.0.1:9001>\r\n")));
    assert_eq!((refused.status(), line(&refused, "Unsupported")), (Some(420), vec!["path".to_owned()]));
    assert_eq!(bench.status(request("INVITE", "sip:bob@127.0.0.1", "")), 404);
}

/// Nobody who may not register can have requests sent anywhere by a Path.
#[test]
fn a_path_of_a_stranger_is_not_looked_at() {
    let trusted = "192.0.2.0/24".parse::<Network>().unwrap();
    let domains = vec!["example.com".parse().unwrap()];
    let config = Config { trusted_peers: vec![trusted], domains, ..Config::default() };
    let mut bench = Bench::with("192.0.2.1:5060", config);
    let register = || {
        let lines = "Supported: path\r\nPath: <sip:192.0.2.8;lr>\r\nContact: <sip:bob@10.0.0.9>\r\n";
        request("REGISTER", "sip:example.com", &format!("{THROUGH}{lines}"))
    };
    bench.peer = "198.51.100.1:5060";
    assert_eq!(bench.status(register()), 403);
    bench.peer = "192.0.2.8:5060";
    assert_eq!(bench.status(register()), 200);
    // Within a dialog that we recorded a stranger reaches the device behind the proxy, and nothing else there.
    bench.peer = "198.51.100.1:5060";
    let bye = |uri: &str, route: &str| {
        request("BYE", uri, &format!("To: <sip:bob@example.com>;tag=1\r\nRoute: <sip:192.0.2.1;lr>, <{route};lr>\r\n"))
    };
    bench.forwarded(bye("sip:bob@10.0.0.9", "sip:192.0.2.8"));
    bench.forwarded(bye("sip:bob@example.com;gr=urn:uuid:1", "sip:192.0.2.8"));
    assert_eq!(bench.status(bye("sip:+1900@10.0.0.10", "sip:192.0.2.8")), 403);
    assert_eq!(bench.status(bye("sip:bob@10.0.0.9", "sip:192.0.2.77")), 403);
    // That proxy would carry it on for us: to another Route, back here as one of its own, or to an `maddr`.
    for behind in ["<sip:198.51.100.9;lr>", "<sip:192.0.2.1;lr>"] {
        for user in ["sip:bob@10.0.0.9", "sip:bob@example.com", "sip:+1900@198.51.100.9"] {
            let routes = format!("<sip:192.0.2.1;lr>, <sip:192.0.2.8;lr>, {behind}");
            let lines = format!("To: <sip:bob@example.com>;tag=1\r\nRoute: {routes}\r\n");
            assert_eq!(bench.status(request("BYE", user, &lines)), 403, "{user} {routes}");
        }
    }
    assert_eq!(bench.status(bye("sip:bob@example.com;maddr=198.51.100.9", "sip:192.0.2.8")), 403);
    // Its address means something there alone: not that of a host here.
    let direct = "To: <sip:bob@example.com>;tag=1\r\nRoute: <sip:192.0.2.1;lr>\r\n";
    assert_eq!(bench.status(request("BYE", "sip:bob@10.0.0.9", direct)), 403);
    // Nor has that proxy users of its own here; but what it sends is sent for its users.
    assert_eq!(bench.status(request("BYE", "sip:+1900@192.0.2.8", direct)), 403);
    let config =
        Config { trusted_peers: vec![trusted], domains: bench.server.config().domains.clone(), ..Config::default() };
    let mut other = Bench::with("192.0.2.1:5060", config);
    other.peer = "192.0.2.9:5060";
    let lines = "Supported: path\r\nPath: <sip:203.0.113.8;lr>\r\nContact: <sip:bob@10.0.0.9>\r\n";
    assert_eq!(other.status(request("REGISTER", "sip:example.com", &format!("{THROUGH}{lines}"))), 200);
    other.peer = "203.0.113.8:5060";
    other.forwarded(request("INVITE", "sip:carol@198.51.100.9", ""));
    bench.peer = "10.0.0.9:5060";
    assert_eq!(bench.status(request("INVITE", "sip:+1900@198.51.100.9", "")), 403);
}

const DEVICE: &str = "Contact: <sip:bob@10.0.0.9;transport=tcp;ob>;reg-id=1;+sip.instance=\"<urn:uuid:1>\"\r\n";

#[test]
fn outbound_works_through_a_proxy_that_keeps_the_flows() {
    let mut bench = Bench::new();
    let register = |required: &str, path: &str| through(&format!("{required}: path, outbound\r\n{path}{DEVICE}"));
    let kept = "Path: <sip:outer.example.com;lr>, <sip:token@edge.example.com;lr;ob>\r\n";
    let registered = answer(&mut bench, register("Supported", kept));
    assert_eq!((registered.status(), line(&registered, "Require")), (Some(200), vec!["outbound".to_owned()]));
    // The device's proxy is the last value; without its `ob` there are no flows.
    let mut bench = Bench::new();
    for path in ["Path: <sip:token@outer.example.com;lr;ob>, <sip:edge.example.com;lr>\r\n", ""] {
        let mut msg = register("Supported", path);
        msg.set(h::CALL_ID, path.len().to_string().as_str());
        let registered = answer(&mut bench, msg);
        assert_eq!((registered.status(), line(&registered, "Require")), (Some(200), vec![]), "{path}");
        assert_eq!(answer(&mut bench, register("Require", path)).status(), Some(439), "{path}");
    }
}

/// RFC 3327 §5.2: only for who supports it, and only in other domains.
#[test]
fn a_register_for_another_domain_gets_a_path() {
    let mut bench = Bench::new();
    let mut path = |lines: &str| {
        let (_, msg, options) = bench.forwarded(request("REGISTER", "sip:example.org", lines));
        (options.path, line(&msg, "Require"))
    };
    let (one, plain) = ("Supported: path, outbound\r\n", "Contact: <sip:bob@10.0.0.9>\r\n");
    assert_eq!(path(plain), (AddPath::None, vec![]));
    assert_eq!(path(&format!("{one}{plain}")), (AddPath::Here, vec![]));
    assert_eq!(path(&format!("{one}{DEVICE}")), (AddPath::Flow, vec![]));
    assert_eq!(path(&format!("{one}{DEVICE}{THROUGH}")), (AddPath::Here, vec![]));
    // Nothing but its flow leads to it.
    let nowhere = "Contact: <sip:bob@df7jal23ls0d.invalid;transport=ws>\r\n";
    assert_eq!(path(&format!("{one}{nowhere}")), (AddPath::Flow, vec!["path".to_owned()]));
    let refused = answer(&mut bench, request("REGISTER", "sip:example.org", nowhere));
    assert_eq!((refused.status(), line(&refused, "Require")), (Some(421), vec!["path".to_owned()]));
    assert_eq!(bench.forwarded(request("OPTIONS", "sip:example.org", one)).2.path, AddPath::None);
    let mut silent = Bench::with("127.0.0.1:5060", Config { path: false, ..Config::default() });
    let lines = format!("{one}{nowhere}");
    assert_eq!(silent.forwarded(request("REGISTER", "sip:example.org", &lines)).2.path, AddPath::None);
}

/// RFC 5626 §4.4: the keep-alives of a device come to its edge proxy.
#[test]
fn a_device_that_registers_through_us_is_told_to_send_keep_alives() {
    let flow = |kind, transport| {
        let peer = "10.0.0.9:40000".parse().unwrap();
        Flow { transport: TransportId(transport), kind, connection: ConnectionId(7), peer, local: None }
    };
    let (tcp, ws) = (flow(TransportType::Tcp, 1), flow(TransportType::Ws, 2));
    let (gone, other) = (DEVICE.replace("\r\n", ";expires=0\r\n"), DEVICE.replace("\r\n", ";expires=60\r\n"));
    for (came_by, lines, granted, told, expected) in [
        (tcp, DEVICE, "Require: outbound\r\n", Some(120), Some(130)),
        (tcp, DEVICE, "Require: outbound\r\nFlow-Timer: 60\r\n", Some(60), Some(70)),
        (tcp, DEVICE, "", None, None),
        (tcp, "Contact: <sip:bob@10.0.0.9>\r\n", "Require: outbound\r\n", None, None),
        (ws, DEVICE, "Require: outbound\r\n", None, None),
        // Who takes its flow away will be silent.
        (tcp, &gone, "Require: outbound\r\n", None, None),
        (tcp, &format!("{DEVICE}Expires: 0\r\n"), "Require: outbound\r\n", None, None),
        (tcp, &format!("{gone}{other}Expires: 0\r\n"), "Require: outbound\r\n", Some(120), Some(130)),
    ] {
        let mut bench = Bench::new();
        bench.came_by = Some(came_by);
        let register = request("REGISTER", "sip:example.org", &format!("Supported: path, outbound\r\n{lines}"));
        let (client, sent, _) = bench.forwarded(register);
        let mut msg = response(&sent, 200);
        for line in granted.lines() {
            let (name, value) = line.split_once(": ").unwrap();
            msg.append_line(name, value);
        }
        let outs = bench.event(TuEvent::Response { transaction: client, msg });
        let Some(Out::Answer(_, 200, Some(answer))) = outs.last() else { panic!("{outs:?}") };
        assert_eq!(answer.header(h::FLOW_TIMER).ok().map(|timer| timer.0), told, "{granted}");
        let found = outs.iter().find_map(|out| match out {
            Out::Expect(ConnectionId(7), within) => Some(within.as_secs()),
            _ => None,
        });
        assert_eq!(found, expected, "{granted}");
        bench.assert_forgotten();
    }
}
