//! WebSocket clients, who are reached by their flows alone (RFC 7118 §5, RFC 5626 §5.3).

use super::*;
use stack::flow_token::Purpose;
use stack::transport::TransportError;
use stack::tu::NextHop;

const ALICE: &str = "<sip:alice@df7jal23ls0d.invalid;transport=ws>";
const TO_ALICE: &str = "sip:alice@df7jal23ls0d.invalid;transport=ws";
const LOST: NoResponse = NoResponse::Transport(TransportError::NoConnection);

/// A proxy with a WebSocket transport beside UDP and TCP.
fn bench() -> Bench {
    bench_with(Config::default())
}

fn bench_with(config: Config) -> Bench {
    let mut bench = Bench::with("127.0.0.1:5060", config);
    let infos = transports("127.0.0.1:5060").iter().cloned().collect::<Vec<_>>().into_iter();
    let at = "127.0.0.1:8080".parse().unwrap();
    let ws = TransportInfo::new(TransportId(2), TransportType::Ws, 0, at, at);
    bench.harness = Harness::new(TransportTable::new(infos.chain([ws]).collect()));
    bench
}

fn ws(connection: u64) -> Flow {
    let peer = format!("127.0.0.1:{}", 40_000 + connection).parse().unwrap();
    Flow { transport: TransportId(2), kind: TransportType::Ws, connection: ConnectionId(connection), peer, local: None }
}

fn register(bench: &mut Bench, flow: Flow, contact: &str) -> u16 {
    bench.came_by = Some(flow);
    let code = bench.status(request(
        "REGISTER",
        "sip:127.0.0.1",
        &format!("To: <sip:bob@127.0.0.1>\r\nContact: {contact}\r\n"),
    ));
    bench.came_by = None;
    code
}

/// A Record-Route value of ours with the token of a flow.
fn own(bench: &mut Bench, flow: Flow) -> String {
    let token = bench.harness.call(|stack| stack.flow_token(&flow, Purpose::Dialog));
    format!("<sip:{token}@127.0.0.1:8080;transport=ws;lr>")
}

#[test]
fn a_registered_client_is_called_by_its_flow() {
    let mut bench = bench();
    assert_eq!(register(&mut bench, ws(1), ALICE), 200);
    let (_, msg, options) = bench.forwarded(request("INVITE", "sip:bob@127.0.0.1", ""));
    assert_eq!((uri(&msg), options.next_hop), (TO_ALICE, NextHop::Flow(ws(1))));
    assert_eq!(options.record_route, Some(bench.flow()));
    // Whoever registers again, on another connection, is called there.
    bench.came_by = Some(ws(2));
    let mut again = request("REGISTER", "sip:127.0.0.1", &format!("To: <sip:bob@127.0.0.1>\r\nContact: {ALICE}\r\n"));
    again.set(h::CALL_ID, "again");
    assert_eq!(bench.status(again), 200);
    bench.came_by = None;
    let (_, _, options) = bench.forwarded(request("INVITE", "sip:bob@127.0.0.1", ""));
    assert_eq!(options.next_hop, NextHop::Flow(ws(2)));
    // Who can be connected to is.
    bench.register(&["<sip:bob@127.0.0.1:5090;transport=tcp>;q=0.1"]);
    let (client, _, _) = bench.forwarded(request("MESSAGE", "sip:bob@127.0.0.1", ""));
    let outs = bench.no_response(client, LOST);
    assert!(matches!(&outs[..], [Out::Sent(_, _, options)] if options.next_hop == NextHop::Route), "{outs:?}");
}

#[test]
fn a_client_whose_connection_is_gone_is_not_there() {
    for (method, reason) in [("INVITE", LOST), ("MESSAGE", NoResponse::Transport(TransportError::ConnectionLost))] {
        let mut bench = bench();
        assert_eq!(register(&mut bench, ws(1), ALICE), 200);
        let (client, _, _) = bench.forwarded(request(method, "sip:bob@127.0.0.1", ""));
        assert_eq!(codes(&bench.no_response(client, reason)), [480]);
    }
}

#[test]
fn what_cannot_be_connected_to_registers_by_a_connection_only() {
    let mut bench = bench();
    let udp = bench.flow();
    assert_eq!(register(&mut bench, udp, ALICE), 400);
    let tcp = Flow { transport: TransportId(1), kind: TransportType::Tcp, ..ws(1) };
    assert_eq!(register(&mut bench, tcp, "<sip:alice@df7jal23ls0d.invalid;transport=tcp>"), 200);
    let (_, _, options) = bench.forwarded(request("INVITE", "sip:bob@127.0.0.1", ""));
    assert_eq!(options.next_hop, NextHop::Flow(tcp));
}

#[test]
fn a_route_that_names_a_flow_leads_there() {
    let mut bench = bench();
    let (alice, bob) = (own(&mut bench, ws(1)), own(&mut bench, ws(2)));
    let udp = "<sip:127.0.0.1:5060;lr>";
    for (routes, came_by, next_hop) in [
        // From a peer over UDP to alice, and back.
        (vec![udp, &alice], None, NextHop::Flow(ws(1))),
        (vec![&alice, udp], Some(ws(1)), NextHop::Route),
        (vec![&alice], None, NextHop::Flow(ws(1))),
        (vec![&alice], Some(ws(1)), NextHop::Route),
        // Between two clients; alice has come back on another connection.
        (vec![&alice, &bob], Some(ws(1)), NextHop::Flow(ws(2))),
        (vec![&bob, &alice], Some(ws(2)), NextHop::Flow(ws(1))),
        (vec![&alice, &bob], Some(ws(3)), NextHop::Flow(ws(2))),
        // To herself.
        (vec![&alice, &alice], Some(ws(1)), NextHop::Flow(ws(1))),
    ] {
        bench.came_by = came_by;
        let lines = format!("To: <sip:bob@x>;tag=1\r\nRoute: {}\r\n", routes.join(","));
        let (_, msg, options) = bench.forwarded(request("BYE", TO_ALICE, &lines));
        assert_eq!((options.next_hop, uri(&msg), msg.exists(h::ROUTES)), (next_hop, TO_ALICE, false), "{routes:?}");
    }
    let (lines, own_uri) = (format!("Route: <{TO_ALICE}>\r\n"), alice.trim_matches(['<', '>']));
    bench.came_by = None;
    // By a strict router.
    let (_, msg, options) = bench.forwarded(request("BYE", own_uri, &lines));
    assert_eq!((options.next_hop, uri(&msg)), (NextHop::Flow(ws(1)), TO_ALICE));
}

#[test]
fn a_flow_that_is_gone_is_430_and_a_forged_one_403() {
    let mut bench = bench();
    let alice = own(&mut bench, ws(1));
    let bye = |route: &str| request("BYE", TO_ALICE, &format!("To: <sip:bob@x>;tag=1\r\nRoute: {route}\r\n"));
    let (client, _, _) = bench.forwarded(bye(&alice));
    assert_eq!(codes(&bench.no_response(client, LOST)), [430]);
    let (client, _, _) = bench.forwarded(bye(&alice));
    assert_eq!(codes(&bench.no_response(client, NoResponse::Timeout)), [] as [u16; 0]);
    for ours in [TransportError::Unreachable, TransportError::Congested] {
        let (client, _, _) = bench.forwarded(bye(&alice));
        assert_eq!(codes(&bench.no_response(client, NoResponse::Transport(ours))), [500], "the flow may live");
    }
    assert_eq!(bench.status(bye(&alice.replace("flow-8", "flow-0"))), 403);
    assert_eq!(bench.status(bye("<sip:flow-00@127.0.0.1:8080;lr>")), 403);
    // A user that is no token means nothing.
    bench.forwarded(bye("<sip:alice@127.0.0.1:8080;lr>"));
}

#[test]
fn a_stranger_may_follow_a_flow_and_nothing_else() {
    let mut bench = Bench::with("192.0.2.1:5060", Config::default());
    bench.harness = Harness::new(self::bench().harness.call(|stack| stack.transports().clone()));
    let alice = own(&mut bench, ws(1));
    bench.peer = "198.51.100.1:5060";
    let route = format!("To: <sip:bob@x>;tag=1\r\nRoute: {alice}\r\n");
    assert_eq!(bench.forwarded(request("BYE", TO_ALICE, &route)).2.next_hop, NextHop::Flow(ws(1)));
    // Not even that outside of the dialog; but who knows it from a Path has it for that.
    let begins = |token: &str| request("INVITE", TO_ALICE, &format!("Route: {token}\r\n"));
    assert_eq!(bench.status(begins(&alice)), 403);
    let device = bench.harness.call(|stack| stack.flow_token(&ws(1), Purpose::Device));
    bench.forwarded(begins(&format!("<sip:{device}@127.0.0.1:8080;transport=ws;lr;ob>")));
    assert_eq!(
        bench.status(request("BYE", TO_ALICE, "To: <sip:bob@x>;tag=1\r\nRoute: <sip:127.0.0.1:8080;lr>\r\n")),
        403
    );
}

const DEVICE: &str = "\"<urn:uuid:00000000-0000-1000-8000-000a95a0e128>\"";

/// A REGISTER of a device for one of its flows; the answer.
fn register_flow(bench: &mut Bench, flow: Flow, contact: &str, reg_id: u32, supported: &str) -> Message {
    bench.came_by = Some(flow);
    let lines = format!(
        "To: <sip:bob@127.0.0.1>\r\nContact: <{contact}>;reg-id={reg_id};+sip.instance={DEVICE}\r\n{supported}"
    );
    let mut msg = request("REGISTER", "sip:127.0.0.1", &lines);
    // A device that was started again begins with another Call-ID.
    msg.set(h::CALL_ID, format!("{reg_id}-{}", flow.connection.0).as_str());
    let outs = bench.request(msg);
    bench.came_by = None;
    match outs.into_iter().next_back() {
        Some(Out::Answer(_, 200, Some(answer))) => *answer,
        other => panic!("{other:?}"),
    }
}

fn tcp(connection: u64) -> Flow {
    Flow { transport: TransportId(1), kind: TransportType::Tcp, ..ws(connection) }
}

/// RFC 5626 §6: a device is reached by its newest flow, and one that comes back replaces what it had.
#[test]
fn a_device_with_outbound_is_called_by_its_flow() {
    let mut bench = bench();
    let supported = "Supported: path, outbound\r\n";
    let answer = register_flow(&mut bench, tcp(1), "sip:bob@10.0.0.1:40000;transport=tcp;ob", 1, supported);
    assert_eq!(answer.raw_values("Require").next(), Some(&b"outbound"[..]));
    let called = |bench: &mut Bench| {
        let (_, msg, options) = bench.forwarded(request("MESSAGE", "sip:bob@127.0.0.1", ""));
        (uri(&msg).to_owned(), options.next_hop)
    };
    assert_eq!(called(&mut bench), ("sip:bob@10.0.0.1:40000;transport=tcp;ob".into(), NextHop::Flow(tcp(1))));
    // Started again, with another address: the same flow of the same device.
    register_flow(&mut bench, tcp(2), "sip:bob@10.0.0.1:40001;transport=tcp;ob", 1, supported);
    assert_eq!(called(&mut bench), ("sip:bob@10.0.0.1:40001;transport=tcp;ob".into(), NextHop::Flow(tcp(2))));
    // A second flow: not both at a time.
    bench.pass(1);
    register_flow(&mut bench, tcp(3), "sip:bob@10.0.0.1:40002;transport=tcp;ob", 2, supported);
    assert_eq!(called(&mut bench).1, NextHop::Flow(tcp(3)));
}

/// RFC 5626 §4.4: only who is reached by a flow has to keep it alive.
#[test]
fn a_device_is_told_how_often_to_send_keep_alives() {
    let registrar = crate::config::Registrar { flow_timer: 100, ..Default::default() };
    let udp = Flow { transport: TransportId(0), kind: TransportType::Udp, connection: ConnectionId(0), ..ws(1) };
    let supported = "Supported: path, outbound\r\n";
    let behind = "Path: <sip:edge.example.com;lr;ob>\r\n";
    for (configured, flow, lines, told) in [
        (100, tcp(1), supported.to_owned(), Some(100)),
        (100, udp, supported.to_owned(), Some(30)),
        (20, udp, supported.to_owned(), Some(20)),
        (0, tcp(1), supported.to_owned(), None),
        (100, ws(1), supported.to_owned(), None),
        (100, tcp(1), String::new(), None),
        (100, tcp(1), format!("{supported}{behind}"), None),
    ] {
        let registrar = crate::config::Registrar { flow_timer: configured, ..registrar.clone() };
        let mut bench = bench_with(Config { registrar, ..Config::default() });
        bench.came_by = Some(flow);
        let contact = format!("Contact: <sip:bob@10.0.0.1>;reg-id=1;+sip.instance={DEVICE}\r\n");
        let outs = bench.request(request(
            "REGISTER",
            "sip:127.0.0.1",
            &format!("To: <sip:bob@127.0.0.1>\r\n{contact}{lines}"),
        ));
        let Some(Out::Answer(_, 200, Some(answer))) = outs.last() else { panic!("{outs:?}") };
        assert_eq!(answer.header(h::FLOW_TIMER).ok().map(|timer| timer.0), told, "{flow:?}");
        let expected = told.filter(|_| flow.kind.is_reliable()).map(|told| (flow.connection, told + 10));
        let found = outs.iter().find_map(|out| match out {
            Out::Expect(connection, within) => Some((*connection, within.as_secs() as u32)),
            _ => None,
        });
        assert_eq!(found, expected);
    }
}

/// RFC 5626 §4.4: a flow over UDP that sends no keep-alives is dead, and the next one is used.
#[test]
fn a_silent_flow_over_udp_is_forgotten() {
    let mut bench = bench();
    let supported = "Supported: path, outbound\r\n";
    let contact = |flow: u64| format!("sip:bob@10.0.0.1:4000{flow};ob");
    let udp =
        |flow| Flow { transport: TransportId(0), kind: TransportType::Udp, connection: ConnectionId(0), ..ws(flow) };
    register_flow(&mut bench, tcp(1), &contact(1), 1, supported);
    bench.pass(1);
    register_flow(&mut bench, udp(2), &contact(2), 2, supported);
    bench.pass(40);
    let called = |bench: &mut Bench| uri(&bench.forwarded(request("MESSAGE", "sip:bob@127.0.0.1", "")).1).to_owned();
    assert_eq!(called(&mut bench), contact(2));
    bench.pass(1);
    assert_eq!(called(&mut bench), contact(1));
    // The device comes back, and is silent again: without another flow it is not there.
    register_flow(&mut bench, udp(3), &contact(2), 2, supported);
    let named =
        format!("To: <sip:bob@127.0.0.1>\r\nContact: <{}>;reg-id=1;+sip.instance={DEVICE};expires=0\r\n", contact(1));
    let mut gone = request("REGISTER", "sip:127.0.0.1", &named);
    gone.set(h::CALL_ID, "gone");
    assert_eq!(bench.status(gone), 200);
    assert_eq!(called(&mut bench), contact(2));
    bench.pass(41);
    assert_eq!(bench.status(request("MESSAGE", "sip:bob@127.0.0.1", "")), 480);
}

/// RFC 5626 §5.3.1: whoever registered the device with our Path is told, and takes its next flow.
#[test]
fn a_flow_over_udp_that_a_route_names_is_430_when_it_is_silent() {
    let mut bench = bench();
    let udp = Flow { transport: TransportId(0), kind: TransportType::Udp, connection: ConnectionId(0), ..ws(1) };
    let path = own(&mut bench, udp);
    bench.came_by = Some(udp);
    let contact = format!("Contact: <sip:bob@10.0.0.1;ob>;reg-id=1;+sip.instance={DEVICE}\r\n");
    let lines = format!("Supported: path, outbound\r\n{contact}");
    let (client, registered, _) = bench.forwarded(request("REGISTER", "sip:example.org", &lines));
    let mut granted = response(&registered, 200);
    granted.append_line("Require", "outbound");
    granted.append_line("Contact", contact.trim_end().trim_start_matches("Contact: "));
    let outs = bench.event(TuEvent::Response { transaction: client, msg: granted });
    assert_eq!(codes(&outs), [200]);
    bench.came_by = None;
    let to = |uri: &str| request("MESSAGE", uri, &format!("Route: {path}\r\n"));
    bench.pass(40);
    assert_eq!(bench.forwarded(to("sip:bob@10.0.0.1;ob")).2.next_hop, NextHop::Flow(udp));
    bench.pass(1);
    assert_eq!(bench.status(to("sip:bob@10.0.0.1;ob")), 430);
    // A GRUU knows where the device is now.
    register_flow(&mut bench, tcp(2), "sip:bob@10.0.0.1:40001;transport=tcp;ob", 2, "Supported: path, outbound\r\n");
    let gruu = format!("sip:bob@127.0.0.1;gr={}", DEVICE.trim_matches(['"', '<', '>']));
    assert_eq!(bench.forwarded(to(&gruu)).2.next_hop, NextHop::Flow(tcp(2)));
}

/// RFC 5626 §4.4: one line of a telephone that is called says nothing of the keep-alives of the others.
#[test]
fn a_silent_flow_is_silent_for_all_of_its_users() {
    let mut bench = bench();
    let udp = Flow { transport: TransportId(0), kind: TransportType::Udp, connection: ConnectionId(0), ..ws(1) };
    bench.came_by = Some(udp);
    for user in ["bob", "carol"] {
        let lines = format!(
            "To: <sip:{user}@127.0.0.1>\r\nSupported: path, outbound\r\n\
             Contact: <sip:{user}@10.0.0.1:40001;ob>;reg-id=1;+sip.instance={DEVICE}\r\n"
        );
        assert_eq!(bench.status(request("REGISTER", "sip:127.0.0.1", &lines)), 200);
    }
    bench.came_by = None;
    bench.pass(41);
    for user in ["bob", "carol"] {
        assert_eq!(bench.status(request("MESSAGE", &format!("sip:{user}@127.0.0.1"), "")), 480, "{user}");
    }
}

/// Three flows of one device; the newest is the third.
fn three_flows() -> Bench {
    let mut bench = bench();
    for flow in 1..=3 {
        let contact = format!("sip:bob@10.0.0.1:4000{flow};transport=tcp;ob");
        register_flow(&mut bench, tcp(flow), &contact, flow as u32, "Supported: path, outbound\r\n");
        bench.pass(1);
    }
    bench
}

/// What was forwarded to one target: by which connection.
fn by_connection(outs: Vec<Out>) -> (ClientTransaction, Box<Message>, u64) {
    match outs.into_iter().next() {
        Some(Out::Sent(client, msg, SendOptions { next_hop: NextHop::Flow(flow), .. })) => {
            (client, msg, flow.connection.0)
        }
        other => panic!("{other:?}"),
    }
}

/// RFC 5626 §7: the next flow of the device takes the place of one that failed, which is forgotten.
#[test]
fn a_dead_flow_is_followed_by_the_next_of_the_device() {
    for method in ["INVITE", "MESSAGE"] {
        let mut bench = three_flows();
        let (client, msg, at) = by_connection(bench.request(request(method, "sip:bob@127.0.0.1", "")));
        assert_eq!((at, uri(&msg)), (3, "sip:bob@10.0.0.1:40003;transport=tcp;ob"));
        // By the transport, or by what stands between.
        let (client, msg, at) = by_connection(bench.no_response(client, LOST));
        assert_eq!((at, uri(&msg)), (2, "sip:bob@10.0.0.1:40002;transport=tcp;ob"));
        let (client, msg, at) = by_connection(bench.respond(client, &msg, 430));
        assert_eq!((at, uri(&msg)), (1, "sip:bob@10.0.0.1:40001;transport=tcp;ob"));
        assert_eq!(codes(&bench.respond(client, &msg, 200)), [200]);
        bench.assert_forgotten();
        // The next call begins with what is left.
        let (client, _, at) = by_connection(bench.request(request(method, "sip:bob@127.0.0.1", "")));
        assert_eq!(at, 1);
        assert_eq!(codes(&bench.no_response(client, LOST)), [480]);
        assert_eq!(bench.status(request(method, "sip:bob@127.0.0.1", "")), 480);
        bench.assert_forgotten();
    }
}

#[test]
fn what_the_device_says_by_one_flow_counts() {
    for code in [408, 480, 486, 500, 503] {
        let mut bench = three_flows();
        let (client, msg, _) = by_connection(bench.request(request("INVITE", "sip:bob@127.0.0.1", "")));
        assert_eq!(codes(&bench.respond(client, &msg, code)), [if code == 503 { 500 } else { code }]);
        // Nor does silence, or what is our own trouble.
        let (client, _, at) = by_connection(bench.request(request("INVITE", "sip:bob@127.0.0.1", "")));
        assert_eq!(at, 3);
        assert_eq!(codes(&bench.no_response(client, NoResponse::Timeout)), [408]);
        let (client, ..) = by_connection(bench.request(request("INVITE", "sip:bob@127.0.0.1", "")));
        let congested = NoResponse::Transport(TransportError::Congested);
        assert_eq!(codes(&bench.no_response(client, congested)), [480]);
        assert_eq!(by_connection(bench.request(request("INVITE", "sip:bob@127.0.0.1", ""))).2, 3);
    }
}

/// A link of ours that is down for a moment takes no registration away.
#[test]
fn what_is_unreachable_is_passed_over_and_kept() {
    let mut bench = three_flows();
    let unreachable = NoResponse::Transport(TransportError::Unreachable);
    for _ in 0..2 {
        let (mut client, _, mut at) = by_connection(bench.request(request("INVITE", "sip:bob@127.0.0.1", "")));
        for next in [2, 1] {
            assert_eq!(at, next + 1);
            (client, _, at) = by_connection(bench.no_response(client, unreachable));
        }
        assert_eq!((at, codes(&bench.no_response(client, unreachable))), (1, vec![480]));
        bench.assert_forgotten();
    }
}

#[test]
fn a_caller_who_gave_up_wakes_no_other_flow() {
    let mut bench = three_flows();
    let (client, ..) = by_connection(bench.request(request("INVITE", "sip:bob@127.0.0.1", "")));
    assert_eq!(cancels(&bench.cancelled()), [client]);
    let outs = bench.no_response(client, LOST);
    assert_eq!((codes(&outs), sent(outs).len()), (vec![480], 0));
    bench.assert_forgotten();
}

/// Other targets ring on, and those of lower preference wait.
#[test]
fn the_next_flow_leaves_other_targets_alone() {
    let mut bench = three_flows();
    bench.register(&["<sip:desk@127.0.0.1:5090>", "<sip:mailbox@127.0.0.1:5091>;q=0.1"]);
    let mut outs = bench.request(request("INVITE", "sip:bob@127.0.0.1", ""));
    assert_eq!(outs.len(), 2);
    let flow = outs.remove(0);
    let desk = sent(outs);
    let (client, _, at) = by_connection(vec![flow]);
    assert_eq!(at, 3);
    let (client, msg, at) = by_connection(bench.no_response(client, LOST));
    assert_eq!((at, msg.header(h::MAX_BREADTH).unwrap().0), (2, 30));
    assert!(bench.respond(client, &msg, 486).is_empty());
    let last = sent(bench.respond(desk[0].0, &desk[0].1, 486));
    assert_eq!(last.iter().map(|(_, msg)| uri(msg)).collect::<Vec<_>>(), ["sip:mailbox@127.0.0.1:5091"]);
}

/// RFC 5626 §6: a flow is named by its device and its number, not by its URI.
#[test]
fn a_flow_is_removed_by_its_name() {
    const SAME: &str = "sip:bob@10.0.0.1:40000;transport=tcp;ob";
    let mut bench = bench();
    let left = |bench: &mut Bench, contact: &str| {
        let lines = format!("To: <sip:bob@127.0.0.1>\r\n{contact}");
        let mut msg = request("REGISTER", "sip:127.0.0.1", &lines);
        msg.set(h::CALL_ID, "another");
        match bench.request(msg).into_iter().next() {
            Some(Out::Answer(_, 200, Some(answer))) => answer.header(h::CONTACTS).count(),
            other => panic!("{other:?}"),
        }
    };
    let all = |bench: &mut Bench| {
        for flow in 1..=3 {
            register_flow(bench, tcp(flow), SAME, flow as u32, "Supported: path, outbound\r\n");
        }
    };
    all(&mut bench);
    assert_eq!(left(&mut bench, ""), 3);
    let named = format!("Contact: <{SAME}>;reg-id=3;+sip.instance={DEVICE};expires=0\r\n");
    assert_eq!(left(&mut bench, &named), 2);
    assert_eq!(by_connection(bench.request(request("MESSAGE", "sip:bob@127.0.0.1", ""))).2, 2);
    // Who names no flow means the URI, whatever has it.
    assert_eq!(left(&mut bench, &format!("Contact: <{SAME}>;expires=0\r\n")), 0);
}

/// Without the option tag, or behind another proxy, reg-id means nothing (RFC 5626 §6).
#[test]
fn without_outbound_the_contact_is_what_counts() {
    let mut bench = bench();
    let answer = register_flow(&mut bench, tcp(1), "sip:bob@127.0.0.1:9;transport=tcp", 1, "");
    assert!(!answer.exists(h::REQUIRES));
    let (_, _, options) = bench.forwarded(request("MESSAGE", "sip:bob@127.0.0.1", ""));
    assert_eq!(options.next_hop, NextHop::Route);
    let behind =
        "Supported: outbound\r\nVia: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKb, SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\r\n";
    let answer = register_flow(&mut bench, tcp(1), "sip:bob@127.0.0.1:10;transport=tcp", 1, behind);
    assert!(!answer.exists(h::REQUIRES));
}
