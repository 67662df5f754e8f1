//! Devices behind NATs.

use super::*;
use crate::config::{Nat, NatDetection};
use crate::location::Notation;
use crate::provisioning::Records;
use crate::store::Service;
use rutil::VirtualClock;
use stack::tu::NextHop;

/// Where a NAT sends from; and what its device thinks that it is.
const NAT: &str = "203.0.113.9:4711";
const INSIDE: &str = "sip:bob@10.0.0.1:5062";

fn bench(nat: Nat) -> Bench {
    Bench::with("127.0.0.1:5060", Config { nat, ..Config::default() })
}

fn auto() -> Nat {
    Nat { detect: NatDetection::Auto, ping_seconds: 0, ..Nat::default() }
}

fn flow(peer: &str, kind: TransportType) -> Flow {
    let transport = TransportId(u16::from(kind != TransportType::Udp));
    Flow { transport, kind, connection: ConnectionId(0), peer: peer.parse().unwrap(), local: None }
}

/// Registers `user` from an address.
fn register(bench: &mut Bench, user: &str, from: Flow, contact: &str) {
    bench.came_by = Some(from);
    let via = format!("Via: SIP/2.0/{} 10.0.0.1:5062;branch=z9hG4bKr\r\n", from.kind.as_param());
    let lines = format!("{via}To: <sip:{user}@127.0.0.1>\r\nContact: <{contact}>\r\n");
    let mut msg = request("REGISTER", "sip:127.0.0.1", &lines);
    msg.set(h::CALL_ID, user);
    assert_eq!(bench.status(msg), 200);
    bench.came_by = None;
}

#[test]
fn a_natted_device_is_called_where_its_register_came_from() {
    for (detect, kind, next_hop) in [
        (NatDetection::Auto, TransportType::Udp, NextHop::Flow(flow(NAT, TransportType::Udp))),
        (NatDetection::Auto, TransportType::Tcp, NextHop::Flow(flow(NAT, TransportType::Tcp))),
        (NatDetection::Off, TransportType::Udp, NextHop::Route),
    ] {
        let mut bench = bench(Nat { detect, ..auto() });
        register(&mut bench, "bob", flow(NAT, kind), INSIDE);
        let (_, msg, options) = bench.forwarded(request("INVITE", "sip:bob@127.0.0.1", ""));
        assert_eq!((uri(&msg), options.next_hop), (INSIDE, next_hop), "{detect:?} {kind:?}");
    }
    // Who says where it is, is called there.
    let mut bench = bench(auto());
    register(&mut bench, "bob", flow(NAT, TransportType::Udp), "sip:bob@203.0.113.9:4711");
    assert_eq!(bench.forwarded(request("INVITE", "sip:bob@127.0.0.1", "")).2.next_hop, NextHop::Route);
}

/// RFC 5626 §4.4: keep-alives are expected of who was told so, not of who has his address later.
#[test]
fn what_one_device_has_promised_is_not_expected_of_the_next_one() {
    let mut bench = bench(auto());
    bench.came_by = Some(flow(NAT, TransportType::Udp));
    let lines = "Via: SIP/2.0/UDP 10.0.0.1:5062;branch=z9hG4bKr\r\nTo: <sip:alice@127.0.0.1>\r\n\
        Supported: path, outbound\r\nContact: <sip:alice@10.0.0.1>;reg-id=1;+sip.instance=\"<urn:uuid:a>\"\r\n";
    assert_eq!(bench.status(request("REGISTER", "sip:127.0.0.1", lines)), 200);
    bench.pass(41);
    assert!(
        bench.harness.call(|stack| stack.transports().heard().is_silent(&flow(NAT, TransportType::Udp), stack.now()))
    );
    register(&mut bench, "bob", flow(NAT, TransportType::Udp), INSIDE);
    bench.pass(41);
    assert_eq!(uri(&bench.forwarded(request("INVITE", "sip:bob@127.0.0.1", "")).1), INSIDE);
}

#[test]
fn the_dialogs_of_a_natted_caller_lead_back_by_its_flow() {
    for (detect, contact, expected) in [
        (NatDetection::Auto, "sip:alice@10.0.0.1", true),
        (NatDetection::Auto, "sip:alice@203.0.113.9", false),
        (NatDetection::Off, "sip:alice@10.0.0.1", false),
    ] {
        let mut bench = bench(Nat { detect, ..auto() });
        bench.came_by = Some(flow(NAT, TransportType::Udp));
        let lines = format!("Contact: <{contact}>\r\n");
        let (_, _, options) = bench.forwarded(request("INVITE", "sip:carol@192.0.2.7", &lines));
        assert_eq!((options.back_by_flow, options.record_route.is_some()), (expected, true), "{contact}");
    }
}

/// Lets time pass; the devices that were pinged meanwhile.
fn pinged(bench: &mut Bench, seconds: u64) -> Vec<(ClientTransaction, Box<Message>, NextHop)> {
    let outs = bench.pass(seconds).into_iter();
    outs.map(|out| match out {
        Out::Sent(client, msg, options) => (client, msg, options.next_hop),
        other => panic!("{other:?}"),
    })
    .collect()
}

#[test]
fn natted_devices_are_pinged_over_udp() {
    let mut bench = bench(Nat { ping_seconds: 16, ..auto() });
    let udp = flow(NAT, TransportType::Udp);
    register(&mut bench, "bob", udp, INSIDE);
    register(&mut bench, "carol", flow("203.0.113.9:9", TransportType::Tcp), INSIDE);
    register(&mut bench, "dave", flow("203.0.113.9:4712", TransportType::Udp), "sip:dave@203.0.113.9:4712");
    pinged(&mut bench, 1);
    for _ in 0..3 {
        let pings = pinged(&mut bench, 16);
        let [(client, msg, next_hop)] = &pings[..] else { panic!("{pings:?}") };
        assert_eq!((msg.method().unwrap().as_str(), uri(msg), *next_hop), ("OPTIONS", INSIDE, NextHop::Flow(udp)));
        assert!(bench.respond(*client, msg, 501).is_empty(), "whatever it says");
    }
}

#[test]
fn who_does_not_answer_is_given_up_if_that_is_wanted() {
    for (give_up_after, after) in [(0, 200), (3, 480)] {
        let mut bench = bench(Nat { ping_seconds: 16, give_up_after, ..auto() });
        register(&mut bench, "bob", flow(NAT, TransportType::Udp), INSIDE);
        // Two that are lost are forgotten with the next answer.
        let answers = [false, false, true, false, false, false];
        for (at, answers) in answers.into_iter().enumerate() {
            let pings = pinged(&mut bench, 16);
            let [(client, msg, _)] = &pings[..] else { panic!("{at}: {pings:?}") };
            match answers {
                true => bench.respond(*client, msg, 200),
                false => bench.no_response(*client, NoResponse::Timeout),
            };
        }
        let outs = bench.request(request("MESSAGE", "sip:bob@127.0.0.1", ""));
        match after {
            200 => assert!(matches!(outs[..], [Out::Sent(..)]), "{outs:?}"),
            status => assert_eq!(codes(&outs), [status]),
        }
        assert_eq!(pinged(&mut bench, 16).len(), usize::from(after == 200));
    }
}

#[test]
fn who_is_given_up_does_not_come_back_after_a_restart() {
    let mut bench = bench(Nat { ping_seconds: 16, give_up_after: 2, ..auto() });
    register(&mut bench, "bob", flow(NAT, TransportType::Udp), INSIDE);
    let notation = Notation { epoch: Duration::ZERO, listen: Vec::new(), shards: 1 };
    let clock = VirtualClock::new();
    let service = Service::new(None, None, Records::default(), notation, clock, &mut Rng::from_seed(4)).unwrap();
    bench.server.set_journal(service.journal());
    for expected in [&[][..], &["bob@127.0.0.1".into()]] {
        let pings = pinged(&mut bench, 16);
        let [(client, _, _)] = &pings[..] else { panic!("{pings:?}") };
        bench.no_response(*client, NoResponse::Timeout);
        assert_eq!(service.noted(), expected);
    }
}

#[test]
fn pings_are_spread_and_no_more_than_the_rate() {
    let users = 96;
    let mut bench = bench(Nat { ping_seconds: 16, pings_per_second: 3, ..auto() });
    for user in 0..users {
        let from = format!("203.0.113.9:{}", 5000 + user);
        register(&mut bench, &format!("u{user}"), flow(&from, TransportType::Udp), INSIDE);
    }
    let (mut most, mut all) = (0, std::collections::HashSet::new());
    for _ in 0..40 {
        let pings = pinged(&mut bench, 1);
        most = most.max(pings.len());
        all.extend(pings.iter().map(|(_, _, next_hop)| format!("{next_hop:?}")));
    }
    assert!((1..=4).contains(&most), "{most}");
    assert_eq!(all.len(), users, "each has had its turn");
    // With room enough they come evenly.
    let mut bench = self::bench(Nat { ping_seconds: 16, pings_per_second: 1000, ..auto() });
    for user in 0..users {
        let from = format!("203.0.113.9:{}", 5000 + user);
        register(&mut bench, &format!("u{user}"), flow(&from, TransportType::Udp), INSIDE);
    }
    let a_second: Vec<usize> = (0..16).map(|_| pinged(&mut bench, 1).len()).collect();
    assert!(a_second.iter().sum::<usize>() >= users - 12 && a_second.iter().all(|n| *n <= 20), "{a_second:?}");
}

/// Who watches from behind a NAT, or by a connection alone, is told by the flow that it asks by; a refresh by another one
/// changes that.
#[test]
fn a_natted_watcher_is_told_by_its_flow() {
    let ws = flow(NAT, TransportType::Ws);
    for (detect, from, contact, by_flow) in [
        (NatDetection::Auto, flow(NAT, TransportType::Udp), "sip:alice@10.0.0.1:5062", true),
        (NatDetection::Auto, flow(NAT, TransportType::Udp), "sip:alice@203.0.113.9:4711", false),
        (NatDetection::Off, flow(NAT, TransportType::Udp), "sip:alice@10.0.0.1:5062", false),
        (NatDetection::Off, ws, "sip:alice@df7jal23ls0d.invalid;transport=ws", true),
    ] {
        let mut bench = bench(Nat { detect, ..auto() });
        let mut subscribe = |from: Flow, more: &str, uri: &str, cseq: u32| {
            let via = format!("Via: SIP/2.0/{} 10.0.0.1:5062;branch=z9hG4bK{cseq}\r\n", from.kind.as_param());
            let lines = format!("{via}Event: reg\r\nContact: <{contact}>\r\nExpires: 600\r\n{more}");
            let mut msg = request("SUBSCRIBE", uri, &lines);
            msg.set(h::CSEQ, &format_args!("{cseq} SUBSCRIBE"));
            bench.came_by = Some(from);
            let mut outs = bench.request(msg);
            let Some(Out::Sent(client, notify, options)) = outs.pop() else { panic!("{outs:?}") };
            let [Out::Answer(_, 200, Some(answer))] = outs.as_slice() else { panic!("{outs:?}") };
            let answer = answer.clone();
            bench.respond(client, &notify, 200);
            (answer, options.next_hop)
        };
        let (answer, next_hop) = subscribe(from, "", "sip:bob@127.0.0.1", 1);
        assert_eq!(next_hop == NextHop::Flow(from), by_flow, "{detect:?} {contact}: {next_hop:?}");
        // Its NAT has given it another port since.
        let to = format!("To: {}\r\n", answer.header(h::TO).unwrap());
        let Some(Ok(stack::header::Contact::Addr(at))) = answer.header(h::CONTACTS).next() else {
            panic!("{answer:?}")
        };
        let moved = Flow { peer: "203.0.113.9:4999".parse().unwrap(), ..from };
        let (_, next_hop) = subscribe(moved, &to, &at.uri.to_string(), 2);
        assert_eq!(next_hop == NextHop::Flow(moved), by_flow, "{detect:?} {contact}: {next_hop:?}");
    }
}
