//! Names that a real name server knows (RFC 3263): through the proxy and from a stack of one's own.

use crate::dead_target::{Listener, closed_port, through};
use crate::name_server::{Mood, NameServer};
use crate::repro::{ANY_PORT, File};
use rutil::{Clock, RealClock};
use stack::header::Method;
use stack::message::Message;
use stack::tu::{ClientTransaction, NoResponse, SendOptions, TuEvent, TuOptions};
use stack::{Stack, StackOptions, TransportSpec, TuId};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;
use tests::peers::Repro;
use tests::raw;

/// How long a test waits: less than Timers B and F, 32 s, so that they make nothing pass.
const LIMIT: Duration = Duration::from_secs(15);

/// A stack that asks this name server, and what its transaction user hears.
pub(crate) struct Client {
    stack: Stack,
    tu: TuId,
    heard: Receiver<TuEvent>,
}

impl Client {
    pub(crate) fn new(server: SocketAddr) -> Self {
        let (sender, heard) = channel();
        let options = StackOptions {
            name_servers: vec![server],
            enum_suffix: Some("e164.test.example".into()),
            ..StackOptions::default()
        };
        let mut builder = Stack::builder().options(options);
        builder.add_transport(TransportSpec::udp("127.0.0.1:0".parse().expect("an address")));
        builder.add_transport(TransportSpec::tcp("127.0.0.1:0".parse().expect("an address")));
        let tu = builder.register_tu(TuOptions::default(), move |_| Listener(sender.clone()));
        Client { stack: builder.start().expect("it starts"), tu, heard }
    }

    fn send(&self, method: &Method<'_>, uri: &str) -> ClientTransaction {
        self.send_by(method, uri, &[])
    }

    /// An INVITE by this way.
    pub(crate) fn call(&self, uri: &str, routes: &[String]) -> ClientTransaction {
        self.send_by(&Method::Invite, uri, routes)
    }

    /// A request by this way.
    pub(crate) fn send_by(&self, method: &Method<'_>, uri: &str, routes: &[String]) -> ClientTransaction {
        let mut msg = Message::request(method, uri);
        routes.iter().for_each(|route| msg.append_line("Route", route));
        msg.append_line("Max-Forwards", "70");
        msg.append_line("From", "<sip:alice@example.com>;tag=a1");
        msg.append_line("To", "<sip:bob@example.com>");
        msg.append_line("Call-ID", "call");
        msg.append_line("CSeq", &format!("1 {}", method.as_str()));
        self.stack.send(self.tu, msg, SendOptions::default()).expect("there is room")
    }

    /// What comes next of a request: not that it is under way, which a proxy says or not (RFC 3261 §16.2).
    pub(crate) fn next(&self) -> (ClientTransaction, Result<u16, NoResponse>) {
        loop {
            match self.heard.recv_timeout(LIMIT).expect("something is heard in time") {
                TuEvent::Response { msg, .. } if msg.status() == Some(100) => {}
                TuEvent::Response { transaction, msg } => return (transaction, Ok(msg.status().expect("a response"))),
                TuEvent::NoResponse { transaction, reason } => return (transaction, Err(reason)),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Sends a MESSAGE; its end.
    fn ask(&self, uri: &str) -> Result<u16, NoResponse> {
        let sent = self.send(&Method::Message, uri);
        let (id, result) = self.next();
        assert_eq!(id, sent);
        result
    }
}

pub(crate) fn peer() -> (UdpSocket, u16) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_read_timeout(Some(LIMIT)).expect("a limit");
    let port = socket.local_addr().expect("it is bound").port();
    (socket, port)
}

/// Answers the next request; what it was.
pub(crate) fn answer(peer: &UdpSocket, code: u16) -> String {
    let mut buffer = [0; 4096];
    let (size, from) = peer.recv_from(&mut buffer).expect("a request comes");
    let request = &buffer[..size];
    if !request.starts_with(b"ACK ") {
        peer.send_to(&raw::response(request, code), from).expect("loopback");
    }
    String::from_utf8_lossy(request).into_owned()
}

fn lines(text: &[String]) -> Vec<&str> {
    text.iter().map(String::as_str).collect()
}

#[test]
fn naptr_srv_and_address_lead_to_the_server() {
    let (server, port) = peer();
    let srv = format!("_sip._udp 60 SRV 10 1 {port} alias");
    let zone = [
        "@ 60 NAPTR 10 10 s SIPS+D2T - _sips._tcp",
        "@ 60 NAPTR 20 10 s SIP+D2U - _sip._udp",
        &srv,
        "alias 60 CNAME host",
        "host 60 A 127.0.0.1",
    ];
    let names = NameServer::start(Mood::Answers, &zone);
    let client = Client::new(names.address);
    for round in 0..3 {
        let sent = client.send(&Method::Message, "sip:bob@Test.Example");
        answer(&server, 200);
        assert_eq!(client.next(), (sent, Ok(200)));
        // Once is enough while their time lasts.
        let asked = names.asked();
        let want = ["naptr test.example udp", "srv _sip._udp.test.example udp", "a alias.test.example udp"];
        assert_eq!(lines(&asked)[..if round == 0 { 3 } else { 0 }], want[..if round == 0 { 3 } else { 0 }]);
    }
}

/// An answer that does not fit into a datagram is asked for over TCP.
#[test]
fn large_answers_come_over_tcp() {
    let (server, port) = peer();
    let good = format!("_sip._udp.large 60 SRV 1 1 {port} host");
    let others: Vec<String> = (2..31)
        .map(|n| format!("_sip._udp.large 60 SRV {n} 1 5060 a-rather-long-name-of-a-server-that-is-number-{n}"))
        .collect();
    let mut zone = vec!["large 60 NAPTR 20 10 s SIP+D2U - _sip._udp.large", "host 60 A 127.0.0.1", &good];
    zone.extend(others.iter().map(String::as_str));
    let names = NameServer::start(Mood::Answers, &zone);
    let client = Client::new(names.address);
    let sent = client.send(&Method::Message, "sip:bob@large.test.example");
    answer(&server, 200);
    assert_eq!(client.next(), (sent, Ok(200)));
    assert!(names.asked().iter().any(|line| line == "srv _sip._udp.large.test.example tcp"));
}

#[test]
fn without_naptr_and_srv_the_addresses_will_do() {
    let (server, port) = peer();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let streams = listener.local_addr().expect("it is bound").port();
    let srv = format!("_sip._tcp.streams 60 SRV 1 1 {streams} host");
    let names = NameServer::start(Mood::Answers, &["host 60 A 127.0.0.1", &srv]);
    let client = Client::new(names.address);
    let sent = client.send(&Method::Message, &format!("sip:bob@host.test.example:{port}"));
    answer(&server, 200);
    assert_eq!(client.next(), (sent, Ok(200)));
    assert_eq!(names.asked(), ["a host.test.example udp"]);
    // SRV alone decides for TCP.
    let sent = client.send(&Method::Message, "sip:bob@streams.test.example");
    let (mut stream, _) = listener.accept().expect("it connects");
    let mut buffer = [0; 4096];
    let size = stream.read(&mut buffer).expect("a request comes");
    stream.write_all(&raw::response(&buffer[..size], 200)).expect("loopback");
    assert_eq!(client.next(), (sent, Ok(200)));
}

#[test]
fn names_that_are_none_and_servers_that_fail() {
    let names = NameServer::start(Mood::Answers, &["@ 60 NAPTR 1 1 s SIP+D2U - nobody", "_sip._udp.off 9 SRV 0 0 0 ."]);
    let client = Client::new(names.address);
    for uri in ["sip:bob@nowhere.test.example", "sip:bob@test.example", "sip:bob@off.test.example", "tel:+1"] {
        assert_eq!(client.ask(uri), Err(NoResponse::NotFound), "{uri}");
    }
    names.asked();
    // That there is nothing is remembered too (RFC 2308).
    assert_eq!(client.ask("sip:bob@nowhere.test.example"), Err(NoResponse::NotFound));
    assert_eq!(names.asked(), [""; 0]);
    let failing = NameServer::start(Mood::Fails, &[]);
    client.stack.set_name_servers(vec![failing.address]);
    assert_eq!(client.ask("sip:bob@nowhere.test.example"), Err(NoResponse::NotFound));
    let asked = failing.asked();
    assert!(["naptr", "srv", "a"].iter().all(|kind| asked.iter().any(|line| line.starts_with(kind))), "{asked:?}");
}

/// What needs no name does not wait for one; and other name servers are asked without a new start.
#[test]
fn a_silent_name_server_delays_only_what_asks_it() {
    let (server, port) = peer();
    let silent = NameServer::start(Mood::Silent, &[]);
    let client = Client::new(silent.address);
    let slow = client.send(&Method::Message, "sip:bob@slow.test.example");
    for _ in 0..20 {
        let sent = client.send(&Method::Message, &format!("sip:bob@127.0.0.1:{port}"));
        answer(&server, 200);
        assert_eq!(client.next(), (sent, Ok(200)));
    }
    let srv = [format!("_sip._udp.slow 60 SRV 1 1 {port} host"), format!("_sip._udp.fast 60 SRV 1 1 {port} host")];
    let names = NameServer::start(Mood::Answers, &[&srv[0], &srv[1], "host 60 A 127.0.0.1"]);
    client.stack.set_name_servers(vec![names.address]);
    let fast = client.send(&Method::Message, "sip:bob@fast.test.example");
    let mut answered = Vec::new();
    for _ in 0..2 {
        answer(&server, 200);
        let (id, result) = client.next();
        assert_eq!(result, Ok(200));
        answered.push(id);
    }
    answered.sort();
    let mut want = [slow, fast];
    want.sort();
    assert_eq!(answered, want);
}

/// `/etc/hosts` says all that there is to say of its names.
#[test]
fn names_of_this_machine_are_not_asked_for() {
    let (server, port) = peer();
    let silent = NameServer::start(Mood::Silent, &[]);
    let client = Client::new(silent.address);
    let sent = client.send(&Method::Message, &format!("sip:bob@localhost:{port}"));
    answer(&server, 200);
    assert_eq!(client.next(), (sent, Ok(200)));
    // NAPTR, SRV, address: nobody listens at the default port, or somebody else answers.
    let sent = client.send(&Method::Message, "sip:bob@localhost;transport=tcp");
    assert_eq!(client.next().0, sent);
    assert_eq!(silent.asked(), [""; 0]);
}

#[test]
fn weights_share_the_load() {
    const REQUESTS: usize = 400;
    let ((heavy, at), (light, other)) = (peer(), peer());
    let srv = [format!("_sip._udp.farm 60 SRV 1 75 {at} host"), format!("_sip._udp.farm 60 SRV 1 25 {other} host")];
    let names = NameServer::start(Mood::Answers, &[&srv[0], &srv[1], "host 60 A 127.0.0.1"]);
    let client = Client::new(names.address);
    heavy.set_nonblocking(true).expect("a mode");
    light.set_nonblocking(true).expect("a mode");
    let (mut counts, mut buffer) = ([0usize; 2], [0; 4096]);
    for _ in 0..REQUESTS {
        client.send(&Method::Message, "sip:bob@farm.test.example");
        'wait: loop {
            for (peer, count) in [&heavy, &light].into_iter().zip(&mut counts) {
                if let Ok((size, from)) = peer.recv_from(&mut buffer) {
                    peer.send_to(&raw::response(&buffer[..size], 200), from).expect("loopback");
                    *count += 1;
                    break 'wait;
                }
            }
            thread::yield_now();
        }
        assert_eq!(client.next().1, Ok(200));
    }
    // Six and more standard deviations of nine.
    assert!(counts[0].abs_diff(300) < 60 && counts[0] + counts[1] == REQUESTS, "{counts:?}");
}

#[test]
fn a_number_is_looked_up() {
    let (server, port) = peer();
    let rule = format!(r"3.2.1.e164 60 NAPTR 1 1 u E2U+sip !^\+(.*)$!sip:\1@127.0.0.1:{port}! .");
    let names = NameServer::start(Mood::Answers, &[&rule]);
    let client = Client::new(names.address);
    let sent = client.send(&Method::Message, "tel:+1-23");
    let request = answer(&server, 200);
    assert!(request.starts_with(&format!("MESSAGE sip:123@127.0.0.1:{port} SIP/2.0\r\n")), "{request}");
    assert_eq!(client.next(), (sent, Ok(200)));
}

/// Our proxy with this name server.
fn proxy(names: &NameServer) -> Repro {
    let text = format!("name_servers = [\"{}\"]\nenum_suffix = \"e164.test.example\"\n", names.address);
    let file = File::new(&format!("dns-{}", names.address.port()), &text);
    let args: Vec<&str> = ANY_PORT.iter().copied().chain(["--config", file.name()]).collect();
    Repro::start(&args, 2).expect("it starts")
}

/// The first server is gone, the second has no room: the caller hears of neither.
#[test]
fn through_the_proxy_a_call_finds_the_server_that_works() {
    let (busy, second) = peer();
    let (good, third) = peer();
    let dead = closed_port([127, 0, 0, 1].into()).port();
    let srv = [(1, dead), (2, second), (3, third)].map(|(n, port)| format!("_sip._udp.farm 60 SRV {n} 1 {port} host"));
    let number = r"4.e164 60 NAPTR 1 1 u E2U+sip !.*!sip:four@farm.test.example! .";
    let names = NameServer::start(Mood::Answers, &[&srv[0], &srv[1], &srv[2], number, "host 60 A 127.0.0.1"]);
    let repro = proxy(&names);
    let clock = RealClock::new();
    for target in ["sip:bob@farm.test.example", "tel:+4"] {
        let began = clock.now();
        thread::scope(|scope| {
            scope.spawn(|| {
                assert!(answer(&busy, 503).starts_with("INVITE "));
                assert!(answer(&busy, 503).starts_with("ACK "));
            });
            scope.spawn(|| assert!(answer(&good, 200).starts_with("INVITE ")));
            assert_eq!(through(&repro, "INVITE", target), 200, "{target}");
        });
        assert!(clock.now().since(began) < LIMIT);
    }
    // Nobody works: what the last one said, as 500 (RFC 3261 §16.7 step 6).
    thread::scope(|scope| {
        scope.spawn(|| answer(&busy, 503));
        scope.spawn(|| answer(&good, 503));
        assert_eq!(through(&repro, "MESSAGE", "sip:bob@farm.test.example"), 500);
    });
}
