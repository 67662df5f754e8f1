//! Requests that wait for a name.

use super::super::records::{Records, Srv};
use super::super::resolver::DnsError;
use super::*;
use crate::header::Method;
use crate::transport::TransportId;
use rutil::{Bell, fifo};
use std::net::IpAddr;

struct Bench {
    selector: TransportSelector,
    out: FifoSender<Outgoing>,
    answers: FifoSender<Answer>,
    news: FifoReceiver<Input>,
    wire: FifoReceiver<Wire>,
}

/// One UDP transport, and a resolver that never answers by itself.
fn bench() -> Bench {
    let (to_out, out) = fifo("out", 16, Bell::silent());
    let (to_answers, answers) = fifo("dns_done", 16, Bell::silent());
    let (news, from_news) = fifo("cmd", 16, Bell::silent());
    let (to_wire, wire) = fifo("wire", 16, Bell::silent());
    let ours = "192.0.2.1:5060".parse().unwrap();
    let transport = TransportInfo::new(TransportId(0), TransportType::Udp, 0, ours, ours);
    let selector = TransportSelector::new(SelectorParts {
        shard: 0,
        out,
        answers,
        resolver: ResolverHandle::new(|_| Ok(())),
        news,
        wires: vec![to_wire],
        transports: TransportTable::new(vec![transport]),
        route: |_| None,
        outbound_proxy: None,
        enum_suffix: None,
        next_hops: None,
        udp_limit: 1300,
        rng: Rng::from_seed(1),
        tokens: FlowTokens::new(&mut Rng::from_seed(1)),
        tap: Tap::none(),
        connected: fifo("connected", 16, Bell::silent()).1,
        attempt_delay: Duration::from_millis(250),
        tally: Arc::default(),
    });
    Bench { selector, out: to_out, answers: to_answers, news: from_news, wire }
}

impl Bench {
    fn send(&mut self, number: u64, uri: &str) {
        let request = Outgoing::Request {
            transaction: ClientTransaction::new(0, number << 1),
            msg: Box::new(Message::request(&Method::Options, uri)),
            options: Box::default(),
            stateless: false,
        };
        assert!(self.out.push(request, Class::Internal, Time::ZERO).is_ok());
        self.selector.turn(Time::ZERO);
    }

    /// What the name server says to the look-up of this number; where the requests then went.
    fn answer(&mut self, token: u64, result: Result<Records, DnsError>) -> Vec<String> {
        assert!(self.answers.push(Answer { token, result, ttl: None }, Class::Internal, Time::ZERO).is_ok());
        self.selector.turn(Time::ZERO);
        let sent = std::iter::from_fn(|| self.wire.pop());
        sent.map(|item| match item {
            Wire::Send { peer, .. } => peer.to_string(),
            other => format!("{other:?}"),
        })
        .collect()
    }

    fn found(&mut self, token: u64, addresses: &[&str]) -> Vec<String> {
        self.answer(token, Ok(Records::Addresses(addresses.iter().map(|text| text.parse().unwrap()).collect())))
    }
}

#[test]
fn requests_to_one_name_share_a_look_up() {
    let mut bench = bench();
    bench.send(1, "sip:a@one.example.com:5060");
    bench.send(2, "sip:a@two.example.com:5060");
    bench.send(3, "sip:b@ONE.example.com:5070");
    assert_eq!(bench.found(2, &["192.0.2.7"]), ["192.0.2.7:5060", "192.0.2.7:5070"]);
    assert_eq!(bench.found(2, &["192.0.2.7"]), [""; 0]);
    assert_eq!(bench.found(4, &["192.0.2.8"]), ["192.0.2.8:5060"]);
    assert!(bench.selector.drained());
    // What is known is not asked again, for as long as it may be believed.
    bench.send(4, "sip:c@two.example.com:5060");
    assert_eq!(bench.wire.pop().map(|_| ()), Some(()));
}

#[test]
fn naptr_srv_and_addresses_one_after_the_other() {
    let mut bench = bench();
    bench.send(1, "sip:a@example.com");
    assert_eq!(bench.answer(2, Err(DnsError::Timeout)), [""; 0]);
    let srv = Srv { priority: 1, weight: 1, port: 5070, target: "host".into() };
    assert_eq!(bench.answer(3, Ok(Records::Srv(Box::new([srv])))), [""; 0]);
    assert_eq!(bench.found(4, &["192.0.2.7"]), ["192.0.2.7:5070"]);
}

/// What needs no name never waits for one.
#[test]
fn a_numeric_host_passes_those_that_wait() {
    let mut bench = bench();
    for number in 1..9 {
        bench.send(number, &format!("sip:a@host{number}.example.com"));
    }
    assert!(bench.wire.pop().is_none());
    bench.send(9, "sip:a@192.0.2.7");
    assert!(matches!(bench.wire.pop(), Some(Wire::Send { peer, .. }) if peer.to_string() == "192.0.2.7:5060"));
}

#[test]
fn no_record_sends_us_to_a_group_or_to_everybody() {
    const HARMFUL: [&str; 6] =
        ["224.0.1.75", "255.255.255.255", "0.0.0.0", "ff02::1", "::ffff:224.0.1.75", "::ffff:0.0.0.0"];
    let mut bench = bench();
    bench.send(1, "sip:a@one.example.com:5060");
    let mixed: Vec<&str> = HARMFUL.into_iter().chain(["192.0.2.7"]).collect();
    assert_eq!(bench.found(2, &mixed), ["192.0.2.7:5060"]);
    assert!(matches!(bench.news.pop(), Some(Input::Sent(_))));
    bench.send(2, "sip:a@two.example.com:5060");
    assert_eq!(bench.found(4, &HARMFUL), [""; 0]);
    assert!(matches!(bench.news.pop(), Some(Input::NotSent { reason: NoResponse::NotFound, .. })));
}

/// A resolver that has died answers nothing; what waits for it must not wait for ever, nor keep the name from being
/// asked for again.
#[test]
fn a_look_up_without_an_answer_ends() {
    let mut bench = bench();
    bench.send(1, "sip:a.example");
    bench.send(2, "sip:a.example");
    let mut now = Time::ZERO;
    while !bench.selector.drained() {
        assert!(bench.news.pop().is_none());
        let due = bench.selector.deadline().expect("it has its time");
        bench.selector.turn(Time::from_nanos(due.as_nanos() - 1));
        assert!(bench.news.pop().is_none());
        bench.selector.turn(due);
        now = due;
    }
    assert_eq!(now.as_millis(), 13_000);
    for number in [1, 2] {
        let Some(Input::NotSent { key, reason }) = bench.news.pop() else { panic!("no news of {number}") };
        assert_eq!((key, reason), (number << 1, NoResponse::NotFound));
    }
    // A question that is never answered leaves too.
    bench.selector.turn(Time::from_millis(20_000));
    assert_eq!(bench.selector.deadline(), None);
    // The next request asks again, and its answer is its own.
    bench.send(3, "sip:a.example:5060");
    assert_eq!(bench.found(2, &["192.0.2.7"]), Vec::<String>::new());
    assert!(!bench.selector.drained());
}

#[test]
fn other_name_servers_are_asked_what_the_old_ones_were() {
    let mut bench = bench();
    bench.send(1, "sip:a@one.example.com:5060");
    assert_eq!(bench.found(2, &["192.0.2.7"]), ["192.0.2.7:5060"]);
    bench.send(2, "sip:a@two.example.com:5060");
    bench.selector.parts.resolver.set_name_servers(vec!["192.0.2.53:53".parse().unwrap()]);
    // An answer of the old ones is worth nothing, and the question has another number.
    assert_eq!(bench.found(4, &["192.0.2.8"]), [""; 0]);
    assert_eq!(bench.found(5, &["192.0.2.9"]), ["192.0.2.9:5060"]);
    // What they said before is forgotten.
    bench.send(3, "sip:a@one.example.com:5060");
    assert!(bench.wire.pop().is_none());
}

/// A bench whose UDP transports are bound to these addresses, with the routes of a machine of two subnets.
fn multi_homed(bound: &[&str]) -> Bench {
    let mut bench = bench();
    let table = bound.iter().enumerate().map(|(at, address)| {
        let address = address.parse().unwrap();
        TransportInfo::new(TransportId(at as u16), TransportType::Udp, 0, address, address)
    });
    bench.selector.parts.transports = TransportTable::new(table.collect());
    let wire = bench.selector.parts.wires.remove(0);
    bench.selector.parts.wires = bound.iter().map(|_| wire.clone()).collect();
    fn route(peer: IpAddr) -> Option<IpAddr> {
        let far = matches!(peer, IpAddr::V4(v4) if v4.octets()[0] == 192);
        Some(if far { [192, 168, 1, 1].into() } else { [10, 0, 0, 1].into() })
    }
    bench.selector.routes = Routes::new(route, &mut Rng::from_seed(1));
    bench
}

impl Bench {
    /// Forwards a request that came by `inbound`, and says which address it leaves from and what is written on it.
    fn forwarded(&mut self, uri: &str, inbound: Flow) -> (Option<IpAddr>, Flow, Vec<String>) {
        let options = SendOptions { record_route: Some(inbound), ..SendOptions::default() };
        let request = Outgoing::Request {
            transaction: ClientTransaction::new(0, 2),
            msg: Box::new(Message::request(&Method::Invite, uri)),
            options: Box::new(options),
            stateless: false,
        };
        assert!(self.out.push(request, Class::Internal, Time::ZERO).is_ok());
        self.selector.turn(Time::ZERO);
        let Some(Wire::Send { bytes, local, .. }) = self.wire.pop() else { panic!("nothing was sent") };
        let Some(Input::Sent(sent)) = self.news.pop() else { panic!("nobody was told") };
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let ours = |line: &&str| line.starts_with("Via") || line.starts_with("Record-Route");
        let lines = text.lines().filter(ours).map(|line| line.split(";branch").next().unwrap().to_owned());
        (local, sent.flow, lines.collect())
    }
}

fn came_to(transport: u16, local: Option<[u8; 4]>) -> Flow {
    let peer = "10.0.0.99:5060".parse().unwrap();
    let (connection, local) = (Default::default(), local.map(IpAddr::from));
    Flow { transport: TransportId(transport), kind: TransportType::Udp, connection, peer, local }
}

#[test]
fn each_side_of_a_wildcard_is_told_the_address_towards_it() {
    let mut bench = multi_homed(&["0.0.0.0:5060"]);
    let (local, flow, lines) = bench.forwarded("sip:bob@192.168.1.9", came_to(0, Some([10, 0, 0, 1])));
    assert_eq!((local, flow.local), (Some([192, 168, 1, 1].into()), local));
    let two = ["Via: SIP/2.0/UDP 192.168.1.1:5060", "Record-Route: <sip:192.168.1.1:5060;lr>"];
    assert_eq!(lines, [two[0], two[1], "Record-Route: <sip:10.0.0.1:5060;lr>"]);
    // It leaves where it came in: one is enough.
    let (local, _, lines) = bench.forwarded("sip:bob@10.0.0.9", came_to(0, Some([10, 0, 0, 1])));
    assert_eq!(local, Some([10, 0, 0, 1].into()));
    assert_eq!(lines, ["Via: SIP/2.0/UDP 10.0.0.1:5060", "Record-Route: <sip:10.0.0.1:5060;lr>"]);
    // The address from which a request left is known as ours, should the answer come before it is read.
    bench.selector.parts.transports.refresh();
    let ours = crate::uri::Host::parse("192.168.1.1").unwrap();
    assert!(bench.selector.parts.transports.is_local(&ours, None));
}

#[test]
fn several_addresses_tell_each_side_its_own() {
    let mut bench = multi_homed(&["10.0.0.1:5060", "192.168.1.1:5060"]);
    let (local, flow, lines) = bench.forwarded("sip:bob@192.168.1.9", came_to(0, None));
    assert_eq!((local, flow.transport), (None, TransportId(1)));
    let two = ["Via: SIP/2.0/UDP 192.168.1.1:5060", "Record-Route: <sip:192.168.1.1:5060;lr>"];
    assert_eq!(lines, [two[0], two[1], "Record-Route: <sip:10.0.0.1:5060;lr>"]);
    let (_, flow, lines) = bench.forwarded("sip:bob@10.0.0.9", came_to(1, None));
    assert_eq!((flow.transport, lines.len()), (TransportId(0), 3));
    let (_, _, lines) = bench.forwarded("sip:bob@10.0.0.9", came_to(0, None));
    assert_eq!(lines.len(), 2);
}

/// A flow that a transaction user has made up says nothing of our address.
#[test]
fn a_flow_of_a_wildcard_without_an_address_gets_one() {
    let mut bench = multi_homed(&["0.0.0.0:5060"]);
    let flow = Flow { peer: "192.168.1.9:5060".parse().unwrap(), ..came_to(0, None) };
    let request = Outgoing::Request {
        transaction: ClientTransaction::new(0, 2),
        msg: Box::new(Message::request(&Method::Options, "sip:bob@example.com")),
        options: Box::new(SendOptions { next_hop: NextHop::Flow(flow), ..SendOptions::default() }),
        stateless: false,
    };
    assert!(bench.out.push(request, Class::Internal, Time::ZERO).is_ok());
    bench.selector.turn(Time::ZERO);
    let Some(Wire::Send { bytes, local, .. }) = bench.wire.pop() else { panic!("nothing was sent") };
    assert_eq!(local, Some([192, 168, 1, 1].into()));
    assert!(bytes.windows(16).any(|octets| octets == b"192.168.1.1:5060"));
}

/// RFC 3327 §5.2, RFC 5626 §5.1: the address that the registrar reaches us by, and the flow that the device has.
#[test]
fn a_path_names_the_side_that_it_is_used_from() {
    let mut bench = multi_homed(&["10.0.0.1:5060", "192.168.1.1:5060"]);
    let token = FlowTokens::new(&mut Rng::from_seed(1)).token(&came_to(0, None), Purpose::Device);
    for (path, value) in [
        (AddPath::None, None),
        (AddPath::Here, Some("Path: <sip:192.168.1.1:5060;lr>".to_owned())),
        (AddPath::Flow, Some(format!("Path: <sip:{token}@192.168.1.1:5060;lr;ob>"))),
    ] {
        let mut msg = Message::request(&Method::Register, "sip:192.168.1.9");
        msg.set_source(crate::message::Source { flow: came_to(0, None), at: Time::ZERO });
        let request = Outgoing::Request {
            transaction: ClientTransaction::new(0, 2),
            msg: Box::new(msg),
            options: Box::new(SendOptions { path, ..SendOptions::default() }),
            stateless: false,
        };
        assert!(bench.out.push(request, Class::Internal, Time::ZERO).is_ok());
        bench.selector.turn(Time::ZERO);
        let Some(Wire::Send { bytes, .. }) = bench.wire.pop() else { panic!("nothing was sent") };
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert_eq!(text.lines().find(|line| line.starts_with("Path")).map(str::to_owned), value);
    }
}
