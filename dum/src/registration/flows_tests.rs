//! Flows of registrations: a registrar, its connections and the time that passes are played.

use super::*;
use crate::auth::tests::{addr, profile};
use crate::testing::Bench;
use crate::{Application, DatagramKeepAlive, DumOptions, UserProfile};
use stack::header::{Contact, Method, h, p};
use stack::message::Source;
use stack::transaction::Command;
use stack::transport::{ConnectionId, Flow, TransportError, TransportId, TransportType};
use stack::tu::{NextHop, NoResponse, TuEvent};
use std::sync::Arc;

#[derive(Default)]
pub(super) struct App(Vec<String>);

impl Application for App {
    fn client_registrations(&mut self) -> Option<&mut dyn ClientRegistrationHandler> {
        Some(self)
    }
}

impl ClientRegistrationHandler for App {
    fn on_success(&mut self, _: &mut Dum<'_>, _: Handle<ClientRegistration>, _: &Message) {
        self.0.push("success".into());
    }
    fn on_flow_failed(&mut self, _: &mut Dum<'_>, _: Handle<ClientRegistration>) {
        self.0.push("flow failed".into());
    }
    fn on_request_retry(
        &mut self,
        _: &mut Dum<'_>,
        _: Handle<ClientRegistration>,
        outcome: &Outcome,
        suggested: Option<Duration>,
    ) -> Option<Duration> {
        self.0.push(format!("retry {}", outcome.status));
        suggested
    }
}

pub(super) type Phone = Bench<App>;

pub(super) fn phone(kind: TransportType) -> Phone {
    Phone::with_transports(App::default(), DumOptions::default(), &[kind])
}

fn heard(bench: &mut Phone) -> Vec<String> {
    bench.with(|app, _| std::mem::take(&mut app.0))
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(super) fn flow(kind: TransportType, connection: u64) -> Flow {
    let peer = "192.0.2.9:5060".parse().unwrap();
    Flow { transport: TransportId(0), kind, connection: ConnectionId(connection), peer, local: None }
}

fn tcp(connection: u64) -> Flow {
    flow(TransportType::Tcp, connection)
}

pub(super) const UDP: TransportType = TransportType::Udp;

/// A device with flows.
pub(super) fn device() -> UserProfile {
    let mut device = UserProfile::on(&profile());
    device.set_instance_id(Some("urn:uuid:1".into())).set_reg_id(1);
    device
}

/// The REGISTER that was sent last, answered on a flow with so much of time; `outbound`: the registrar supports it.
pub(super) fn grant(
    bench: &mut Phone,
    flow: Flow,
    outbound: bool,
    edit: impl FnOnce(&mut Message),
) -> (NextHop, Message) {
    let next_hop = hop(bench);
    let (transaction, request) = bench.request();
    assert_eq!(request.method(), Some(Method::Register));
    let mut msg = request.make_response(200, None, Some("registrar"));
    for contact in request.header(h::CONTACTS).flatten().filter_map(Contact::into_addr) {
        let gone = contact.param(p::EXPIRES) == Some(0);
        if !gone {
            msg.push_back(h::CONTACTS, &contact.with(p::EXPIRES, 3600));
        }
    }
    if outbound {
        msg.push_back(h::REQUIRES, "outbound");
    }
    edit(&mut msg);
    msg.set_source(Source { flow, at: bench.stack.now });
    bench.event(TuEvent::Response { transaction, msg: msg.into() });
    (next_hop, request)
}

/// Where the request goes that was sent first.
fn hop(bench: &Phone) -> NextHop {
    match bench.sent.front() {
        Some(Command::Send { options, .. }) => options.next_hop,
        other => panic!("no request: {other:?}"),
    }
}

pub(super) fn register(bench: &mut Phone, profile: UserProfile) -> Handle<ClientRegistration> {
    bench.with(|_, dum| dum.register(&Arc::new(profile))).unwrap()
}

pub(super) fn line(msg: &Message, name: &str) -> String {
    let all: Vec<_> = msg.raw_values(name).map(|value| String::from_utf8_lossy(value).into_owned()).collect();
    all.join(", ")
}

/// Lets time pass until something is sent: after how many milliseconds that was.
fn wait(bench: &mut Phone) -> u64 {
    let begin = bench.stack.now;
    for _ in 0..40_000 {
        if !bench.sent.is_empty() {
            return (bench.stack.now - begin).as_millis() as u64;
        }
        bench.run(Duration::from_millis(100));
    }
    panic!("nothing was sent in more than an hour");
}

/// The same, whatever keep-alives are sent meanwhile.
fn wait_for_a_request(bench: &mut Phone) {
    while !matches!(bench.sent.front(), Some(Command::Send { .. })) {
        bench.sent.clear();
        wait(bench);
    }
}

/// Takes a ping of a connection; within what time it is to be answered.
fn pinged(bench: &mut Phone) -> (ConnectionId, Option<Duration>) {
    match bench.sent.pop_front() {
        Some(Command::Ping { connection, within, .. }) => (connection, within),
        other => panic!("no ping: {other:?}"),
    }
}

/// Takes a datagram that is no message.
fn datagram(bench: &mut Phone) -> Vec<u8> {
    match bench.sent.pop_front() {
        Some(Command::SendRaw(transmission)) => transmission.bytes.to_vec(),
        other => panic!("no datagram: {other:?}"),
    }
}

/// Takes a STUN request; its name.
fn asked(bench: &mut Phone) -> u64 {
    let octets = datagram(bench);
    assert_eq!((octets.len(), &octets[..2]), (20, &[0, 1][..]));
    u64::from_be_bytes(octets[12..].try_into().unwrap())
}

fn ends(bench: &mut Phone, flow: Flow) {
    bench.event(TuEvent::FlowEnded { flow: flow.into() });
}

/// A ping that is answered, or at least not complained of.
fn prove(bench: &mut Phone) {
    wait(bench);
    pinged(bench);
    bench.run(seconds(11));
}

/// RFC 5626 §4.4.1.
#[test]
fn a_connection_is_pinged_as_the_registrar_wants_it() {
    for (timer, range) in [(None, 95_000..=120_100), (Some(60), 48_000..=60_100)] {
        let mut bench = phone(TransportType::Tcp);
        register(&mut bench, device());
        grant(&mut bench, tcp(7), true, |msg| {
            if let Some(timer) = timer {
                msg.set(h::FLOW_TIMER, &timer);
            }
        });
        for _ in 0..5 {
            let after = wait(&mut bench);
            assert!(range.contains(&after), "{after}");
            assert_eq!(pinged(&mut bench), (ConnectionId(7), Some(seconds(10))));
        }
        // The refresh takes the flow that it was registered by, and is no reason to ping sooner.
        while bench.sent.is_empty() || matches!(bench.sent.front(), Some(Command::Ping { .. })) {
            bench.sent.clear();
            wait(&mut bench);
        }
        let (next_hop, refresh) = grant(&mut bench, tcp(7), true, |_| {});
        assert_eq!((next_hop, line(&refresh, "CSeq")), (NextHop::Flow(tcp(7)), "2 REGISTER".into()));
        assert_eq!((heard(&mut bench), bench.dum.counts().flows), (vec!["success".to_owned(); 2], 1));
    }
}

/// RFC 5626 §4.5: at once by another one, as the same flow of the same device.
#[test]
fn who_has_lost_a_good_flow_registers_by_another_at_once() {
    let mut bench = phone(TransportType::Tcp);
    let handle = register(&mut bench, device());
    let (_, first) = grant(&mut bench, tcp(7), true, |_| {});
    prove(&mut bench);
    ends(&mut bench, tcp(8));
    bench.nothing_sent();
    ends(&mut bench, tcp(7));
    assert_eq!(heard(&mut bench), ["success", "flow failed"]);
    let (next_hop, second) = grant(&mut bench, tcp(9), true, |_| {});
    assert_eq!((next_hop, line(&second, "Contact")), (NextHop::Route, line(&first, "Contact")));
    assert!(line(&second, "Contact").contains(";reg-id=1"));
    assert_eq!((line(&second, "Call-ID"), line(&second, "CSeq")), (line(&first, "Call-ID"), "2 REGISTER".into()));
    // From now on that one is kept.
    wait(&mut bench);
    assert_eq!(pinged(&mut bench).0, ConnectionId(9));
    bench.with(|_, dum| handle.end(dum)).unwrap();
    assert_eq!(hop(&bench), NextHop::Flow(tcp(9)));
    grant(&mut bench, tcp(9), true, |_| {});
    assert_eq!(bench.dum.counts(), Default::default());
    bench.run(seconds(4000));
    bench.nothing_sent();
}

/// RFC 5626 §4.5: a flow is good when a keep-alive was answered on it.
#[test]
fn flows_that_are_good_for_nothing_are_made_more_and_more_seldom() {
    let mut bench = phone(TransportType::Tcp);
    register(&mut bench, device());
    let mut waits = Vec::new();
    for connection in 1..=4 {
        grant(&mut bench, tcp(connection), true, |_| {});
        ends(&mut bench, tcp(connection));
        waits.push(wait(&mut bench) / 1000);
    }
    for (wait, range) in waits.iter().zip([30..=60, 60..=120, 120..=240, 240..=480]) {
        assert!(range.contains(wait), "{waits:?}");
    }
    // One that is good begins anew.
    grant(&mut bench, tcp(5), true, |_| {});
    prove(&mut bench);
    ends(&mut bench, tcp(5));
    grant(&mut bench, tcp(6), true, |_| {});
    ends(&mut bench, tcp(6));
    assert!((30_000..=60_100).contains(&wait(&mut bench)));
    // A command does not wait.
    assert_eq!(hop(&bench), NextHop::Route);
}

/// Pings may come faster than their answers are waited for: that the next one goes out does not say that one was answered; that
/// the connection stands when that one's time is up does.
#[test]
fn pings_that_come_fast_make_a_flow_good_by_the_first_of_them() {
    for (lived, range) in [(seconds(19), 30_000..=60_100), (seconds(22), 0..=0)] {
        let mut bench = phone(TransportType::Tcp);
        let mut device = device();
        device.set_keep_alive_time_stream(Some(seconds(10)));
        register(&mut bench, device);
        grant(&mut bench, tcp(7), true, |_| {});
        bench.run(lived);
        for _ in 0..2 {
            assert_eq!(pinged(&mut bench), (ConnectionId(7), Some(seconds(10))));
        }
        bench.nothing_sent();
        ends(&mut bench, tcp(7));
        let after = wait(&mut bench);
        assert!(range.contains(&after), "{lived:?}: {after}");
        assert_eq!(hop(&bench), NextHop::Route);
    }
}

#[test]
fn a_refresh_that_is_lost_with_its_flow_takes_another() {
    let mut bench = phone(TransportType::Tcp);
    let handle = register(&mut bench, device());
    grant(&mut bench, tcp(7), true, |_| {});
    prove(&mut bench);
    let lost = NoResponse::Transport(TransportError::ConnectionLost);
    // Whichever is told first.
    for (connection, told_before) in [(7, false), (8, true)] {
        bench.with(|_, dum| handle.refresh(dum)).unwrap();
        assert_eq!(hop(&bench), NextHop::Flow(tcp(connection)));
        let (transaction, _) = bench.request();
        if told_before {
            ends(&mut bench, tcp(connection));
        }
        bench.event(TuEvent::NoResponse { transaction, reason: lost });
        ends(&mut bench, tcp(connection));
        let (next_hop, _) = grant(&mut bench, tcp(connection + 1), true, |_| {});
        assert_eq!(next_hop, NextHop::Route);
        assert_eq!(heard(&mut bench), ["success", "flow failed", "success"][usize::from(told_before)..]);
        prove(&mut bench);
    }
    // A new flow that cannot be made is tried again later.
    ends(&mut bench, tcp(9));
    let (transaction, _) = bench.request();
    bench.event(TuEvent::NoResponse { transaction, reason: NoResponse::Transport(TransportError::Refused) });
    assert_eq!(heard(&mut bench), ["flow failed", "retry 503"]);
    assert!((30_000..=60_100).contains(&wait(&mut bench)));
}

/// RFC 5626 §4.4.2.
#[test]
fn a_flow_over_udp_is_asked_by_stun() {
    let mut bench = phone(UDP);
    register(&mut bench, device());
    grant(&mut bench, flow(UDP, 0), true, |_| {});
    let mapped: Option<std::net::SocketAddr> = Some("203.0.113.7:4444".parse().unwrap());
    let name = asked(&mut bench);
    bench.event(TuEvent::Binding { name, mapped: mapped.map(Box::new) });
    for _ in 0..3 {
        let after = wait(&mut bench);
        assert!((24_000..=29_100).contains(&after), "{after}");
        let name = asked(&mut bench);
        bench.event(TuEvent::Binding { name: name ^ 1, mapped: None });
        bench.event(TuEvent::Binding { name, mapped: mapped.map(Box::new) });
        // What comes twice is nothing new.
        bench.event(TuEvent::Binding { name, mapped: None });
    }
    assert_eq!(heard(&mut bench), ["success"]);
    // No answer: seven times the same, and then it has failed.
    wait(&mut bench);
    let (name, begin) = (asked(&mut bench), bench.stack.now);
    for _ in 0..6 {
        wait(&mut bench);
        assert_eq!(asked(&mut bench), name);
    }
    wait(&mut bench);
    let took = (bench.stack.now - begin).as_millis();
    assert!((39_400..=39_700).contains(&took), "{took}");
    assert_eq!(heard(&mut bench), ["flow failed"]);
    // Another address is another flow (the NAT has forgotten this one), and so is none.
    for (answer, seen) in [(Some("203.0.113.7:4445".parse::<std::net::SocketAddr>().unwrap()), true), (None, false)] {
        grant(&mut bench, flow(UDP, 0), true, |_| {});
        let name = asked(&mut bench);
        bench.event(TuEvent::Binding { name, mapped: mapped.map(Box::new) });
        wait(&mut bench);
        let name = asked(&mut bench);
        bench.event(TuEvent::Binding { name, mapped: answer.map(Box::new) });
        assert_eq!(heard(&mut bench), ["success", "flow failed"], "{seen}");
    }
    grant(&mut bench, flow(UDP, 0), true, |_| {});
}

/// RFC 5626 §4.2.1: without `Require: outbound` the registrar knows nothing of flows.
#[test]
fn without_outbound_nothing_is_expected_but_the_end_of_a_connection() {
    let mut bench = phone(UDP);
    register(&mut bench, device());
    grant(&mut bench, flow(UDP, 0), false, |msg| msg.set(h::FLOW_TIMER, &5));
    for _ in 0..3 {
        let after = wait(&mut bench);
        assert!((24_000..=29_100).contains(&after), "{after}");
        assert_eq!(datagram(&mut bench), b"\r\n\r\n");
    }
    let mut bench = phone(TransportType::Tcp);
    let handle = register(&mut bench, UserProfile::on(&profile()));
    grant(&mut bench, tcp(7), false, |_| {});
    wait(&mut bench);
    assert_eq!(pinged(&mut bench), (ConnectionId(7), None));
    bench.with(|_, dum| handle.refresh(dum)).unwrap();
    let (next_hop, _) = grant(&mut bench, tcp(7), false, |_| {});
    assert_eq!(next_hop, NextHop::Route);
    ends(&mut bench, tcp(7));
    assert_eq!(heard(&mut bench), ["success", "success", "flow failed"]);
    grant(&mut bench, tcp(8), false, |_| {});
    // A proxy that closes each connection at once is not registered with without end.
    ends(&mut bench, tcp(8));
    bench.nothing_sent();
    assert!(wait(&mut bench) >= 30_000);
    // An answer on another connection: the old one may go.
    grant(&mut bench, tcp(9), false, |_| {});
    bench.with(|_, dum| handle.refresh(dum)).unwrap();
    grant(&mut bench, tcp(10), false, |_| {});
    ends(&mut bench, tcp(9));
    bench.nothing_sent();
    bench.with(|_, dum| handle.stop(dum)).unwrap();
    assert_eq!(bench.dum.counts(), Default::default());
}

#[test]
fn the_profile_says_how_often_and_how() {
    // Of the profile and the registrar the shorter.
    for (set, timer, range) in
        [(10, None, 8_000..=10_100), (10, Some(60), 8_000..=10_100), (200, Some(60), 50_000..=60_100)]
    {
        let mut options = DumOptions::default();
        options.master.user_mut().set_keep_alive_time_stream(Some(seconds(set)));
        let mut profile = options.master.user_profile();
        profile.set_from(Arc::new(addr("<sip:alice@example.com>").into_owned()));
        profile.set_instance_id(Some("urn:uuid:1".into())).set_reg_id(1);
        let mut bench = Phone::with_transports(App::default(), options, &[TransportType::Tcp]);
        register(&mut bench, profile);
        grant(&mut bench, tcp(7), true, |msg| {
            if let Some(timer) = timer {
                msg.set(h::FLOW_TIMER, &timer);
            }
        });
        let after = wait(&mut bench);
        assert!(range.contains(&after), "{after}");
    }
    let mut bench = phone(UDP);
    let mut crlf = device();
    crlf.set_datagram_keep_alive(DatagramKeepAlive::Crlf).set_keep_alive_time_datagram(Some(seconds(15)));
    register(&mut bench, crlf);
    grant(&mut bench, flow(UDP, 0), true, |_| {});
    assert!((12_000..=15_100).contains(&wait(&mut bench)));
    assert_eq!(datagram(&mut bench), b"\r\n\r\n");
    // None at all: that the connection has ended is noticed all the same.
    let mut bench = phone(TransportType::Tcp);
    let mut quiet = device();
    quiet.set_keep_alive_time_stream(Some(Duration::ZERO));
    register(&mut bench, quiet);
    grant(&mut bench, tcp(7), true, |_| {});
    bench.run(seconds(3000));
    bench.nothing_sent();
    ends(&mut bench, tcp(7));
    assert_eq!(hop(&bench), NextHop::Route);
}

#[test]
fn registrations_share_a_flow_and_its_keep_alives() {
    let mut bench = phone(TransportType::Tcp);
    let handles: Vec<_> = (0..3)
        .map(|at| {
            let mut profile = UserProfile::on(&profile());
            if at == 1 {
                profile.set_keep_alive_time_stream(Some(seconds(10)));
            }
            let handle = register(&mut bench, profile);
            grant(&mut bench, tcp(7), false, |_| {});
            handle
        })
        .collect();
    assert_eq!(bench.dum.counts().flows, 1);
    let pings = |bench: &mut Phone, over: u64| {
        bench.run(seconds(over));
        bench.sent.drain(..).filter(|sent| matches!(sent, Command::Ping { .. })).count()
    };
    assert!((10..=12).contains(&pings(&mut bench, 100)));
    bench.with(|_, dum| handles[1].stop(dum)).unwrap();
    // The alarm that is set may ring once more.
    assert!((8..=11).contains(&pings(&mut bench, 1000)));
    ends(&mut bench, tcp(7));
    assert_eq!(bench.sent.len(), 2);
    assert_eq!(bench.dum.counts().flows, 0);
}

/// RFC 5626 §4.2: a device has several flows, and each is its own.
#[test]
fn each_flow_of_a_device_is_registered_and_kept_for_itself() {
    let mut bench = phone(TransportType::Tcp);
    let proxies: Vec<_> = ["<sip:edge1;lr>", "<sip:edge2;lr>"].map(|proxy| Arc::new(addr(proxy).into_owned())).into();
    let none = bench.with(|_, dum| dum.register_flows(&profile(), &proxies));
    assert_eq!(none, Err(RegistrationError::NoInstance));
    let mut profile = UserProfile::on(&profile());
    profile.set_instance_id(Some("urn:uuid:1".into()));
    let handles = bench.with(|_, dum| dum.register_flows(&Arc::new(profile), &proxies)).unwrap();
    for (at, route) in [(1, "<sip:edge1;lr>"), (2, "<sip:edge2;lr>")] {
        let (_, register) = grant(&mut bench, tcp(at), true, |_| {});
        assert_eq!(line(&register, "Route"), route);
        assert!(line(&register, "Contact").ends_with(&format!(";reg-id={at}")), "{}", line(&register, "Contact"));
    }
    assert_eq!(bench.dum.counts().flows, 2);
    for (handle, connection) in handles.iter().zip(1..) {
        bench.with(|_, dum| handle.refresh(dum)).unwrap();
        let (next_hop, _) = grant(&mut bench, tcp(connection), true, |_| {});
        assert_eq!(next_hop, NextHop::Flow(tcp(connection)));
    }
    // One fails before it was good for anything: the other one is left, so there is more time.
    ends(&mut bench, tcp(2));
    wait_for_a_request(&mut bench);
    let since = bench.stack.now;
    assert!((90..=181).contains(&(since - rutil::Time::ZERO).as_secs()), "{since:?}");
    let (next_hop, again) = grant(&mut bench, tcp(3), true, |_| {});
    assert!(next_hop == NextHop::Route && line(&again, "Contact").ends_with(";reg-id=2"));
    // Requests of each have its proxy, and a Contact that keeps their dialogs to the flow.
    let contact = bench.with(|_, dum| {
        let profile = handles[1].profile(dum).unwrap();
        let invite = dum.make_request(&profile, &Method::Invite, &addr("<sip:bob@example.com>"));
        (line(&invite, "Route"), line(&invite, "Contact"))
    });
    assert_eq!(contact, ("<sip:edge2;lr>".into(), "<sip:alice@192.0.2.1:5060;transport=tcp;ob>".into()));
}

/// RFC 5626 §4.2: two proxies at one address.
#[test]
fn two_registrations_of_a_device_do_not_share_a_connection() {
    let mut bench = phone(TransportType::Tcp);
    let proxies: Vec<_> = ["<sip:edge1;lr>", "<sip:edge2;lr>"].map(|proxy| Arc::new(addr(proxy).into_owned())).into();
    let mut profile = UserProfile::on(&profile());
    profile.set_instance_id(Some("urn:uuid:1".into()));
    let handles = bench.with(|_, dum| dum.register_flows(&Arc::new(profile), &proxies)).unwrap();
    grant(&mut bench, tcp(1), true, |_| {});
    grant(&mut bench, tcp(1), true, |_| {});
    let own = |bench: &Phone| match bench.sent.front() {
        Some(Command::Send { options, .. }) => (options.next_hop, options.new_connection),
        other => panic!("no request: {other:?}"),
    };
    assert_eq!(own(&bench), (NextHop::Route, true));
    let (_, second) = grant(&mut bench, tcp(2), true, |_| {});
    assert!(line(&second, "Contact").ends_with(";reg-id=2"));
    assert_eq!(bench.dum.counts().flows, 2);
    bench.nothing_sent();
    bench.with(|_, dum| handles[1].refresh(dum)).unwrap();
    assert_eq!(own(&bench), (NextHop::Flow(tcp(2)), false));
    grant(&mut bench, tcp(2), true, |_| {});
    // A stack that has no other one: then they share it.
    ends(&mut bench, tcp(1));
    wait_for_a_request(&mut bench);
    grant(&mut bench, tcp(2), true, |_| {});
    assert_eq!(own(&bench), (NextHop::Route, true));
    grant(&mut bench, tcp(2), true, |_| {});
    bench.nothing_sent();
    bench.with(|_, dum| handles.iter().for_each(|handle| handle.stop(dum).unwrap()));
    assert_eq!(bench.dum.counts(), Default::default());
}

/// The same over UDP: a flow is a pair of addresses, so they differ in ours, where there are two.
#[test]
fn two_registrations_of_a_device_over_udp_take_a_port_each() {
    let proxies: Vec<_> = ["<sip:edge1;lr>", "<sip:edge2;lr>"].map(|proxy| Arc::new(addr(proxy).into_owned())).into();
    let mut profile = UserProfile::on(&profile());
    profile.set_instance_id(Some("urn:uuid:1".into()));
    let profile = Arc::new(profile);
    let ports = [flow(UDP, 0), Flow { transport: TransportId(1), ..flow(UDP, 0) }];
    for two in [true, false] {
        let kinds = [UDP, if two { UDP } else { TransportType::Tcp }];
        let mut bench = Phone::with_transports(App::default(), DumOptions::default(), &kinds);
        let handles = bench.with(|_, dum| dum.register_flows(&profile, &proxies)).unwrap();
        // Beside them there is what keeps the flows alive.
        let grant = |bench: &mut Phone, port: Flow| {
            bench.sent.retain(|sent| matches!(sent, Command::Send { .. }));
            grant(bench, port, true, |_| {})
        };
        grant(&mut bench, ports[0]);
        grant(&mut bench, ports[0]);
        if two {
            let (next_hop, again) = grant(&mut bench, ports[1]);
            assert_eq!(next_hop, NextHop::Flow(ports[1]));
            assert!(line(&again, "Contact").ends_with(";reg-id=2"));
        }
        assert_eq!(bench.dum.counts().flows, 1 + usize::from(two));
        assert!(!bench.sent.iter().any(|sent| matches!(sent, Command::Send { .. })));
        for (handle, port) in handles.iter().zip([ports[0], ports[usize::from(two)]]) {
            bench.with(|_, dum| handle.refresh(dum)).unwrap();
            assert_eq!(grant(&mut bench, port).0, NextHop::Flow(port));
        }
        bench.with(|_, dum| handles.iter().for_each(|handle| handle.stop(dum).unwrap()));
        assert_eq!(bench.dum.counts(), Default::default());
    }
}
