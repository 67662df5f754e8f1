//! Requests to who does not listen or goes away (RFC 3261 §18.4): their transactions end at once, over real sockets.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::num::NonZeroU16;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use rutil::{Clock, Placement, RealClock};
use stack::header::Method;
use stack::message::Message;
use stack::transport::TransportError;
use stack::tu::{ClientTransaction, NoResponse, SendOptions, TransactionUser, TuContext, TuEvent, TuOptions};
use stack::{Stack, TransportSpec, TuId};
use tests::peers::{Repro, loopback};
use tests::raw;

/// How long a test waits: less than Timers B and F, 32 s, so that they make nothing pass.
const LIMIT: Duration = Duration::from_secs(15);

fn placements() -> [Placement; 3] {
    [Placement::Inline, Placement::Sharded(NonZeroU16::new(2).expect("two")), Placement::Staged]
}

/// Passes on what it hears.
pub(crate) struct Listener(pub(crate) Sender<TuEvent>);

impl TransactionUser for Listener {
    fn name(&self) -> &'static str {
        "listener"
    }
    fn process(&mut self, event: TuEvent, _stack: &mut TuContext<'_>) {
        // At its end a test listens no more.
        let _ = self.0.send(event);
    }
}

/// A stack with UDP and TCP, and what its transaction user hears.
struct Client {
    stack: Stack,
    tu: TuId,
    heard: Receiver<TuEvent>,
}

impl Client {
    fn new(placement: Placement, ip: IpAddr) -> Self {
        let (sender, heard) = channel();
        let mut builder = Stack::builder().placement(placement);
        builder.add_transport(TransportSpec::udp((ip, 0).into()));
        builder.add_transport(TransportSpec::tcp((ip, 0).into()));
        let tu = builder.register_tu(TuOptions::default(), move |_| Listener(sender.clone()));
        Client { stack: builder.start().expect("it starts"), tu, heard }
    }

    fn send(&self, method: &Method<'_>, to: SocketAddr, params: &str) -> ClientTransaction {
        let mut msg = Message::request(method, &format!("sip:bob@{to}{params}"));
        msg.append_line("Max-Forwards", "70");
        msg.append_line("From", "<sip:alice@example.com>;tag=a1");
        msg.append_line("To", "<sip:bob@example.com>");
        msg.append_line("Call-ID", "call");
        msg.append_line("CSeq", &format!("1 {}", method.as_str()));
        self.stack.send(self.tu, msg, SendOptions::default()).expect("there is room")
    }

    /// What its transaction user hears next: of which request, and the status or why there is none.
    fn next(&self) -> (ClientTransaction, Result<u16, NoResponse>) {
        match self.heard.recv_timeout(LIMIT).expect("something is heard in time") {
            TuEvent::Response { transaction, msg } => (transaction, Ok(msg.status().expect("a response"))),
            TuEvent::NoResponse { transaction, reason } => (transaction, Err(reason)),
            other => panic!("{other:?}"),
        }
    }
}

/// An address where nobody listens on UDP, nor will any other test.
pub(crate) fn closed_port(ip: IpAddr) -> SocketAddr {
    UdpSocket::bind((ip, 0)).and_then(|socket| socket.local_addr()).expect("a free port")
}

/// The next connection to a peer that listens.
fn accept(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).expect("a mode");
    let clock = RealClock::new();
    let until = clock.now() + LIMIT;
    let stream = loop {
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(e) => assert!(e.kind() == ErrorKind::WouldBlock && clock.now() < until, "no connection: {e}"),
        }
        thread::park_timeout(Duration::from_millis(1));
    };
    stream.set_nonblocking(false).expect("a mode");
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    stream
}

/// One whole message.
fn read(stream: &mut TcpStream) -> Vec<u8> {
    let (mut got, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(message) = raw::take_message(&mut got) {
            return message;
        }
        let size = stream.read(&mut chunk).expect("a message comes");
        assert_ne!(size, 0, "the connection ended");
        got.extend_from_slice(&chunk[..size]);
    }
}

#[test]
fn a_closed_udp_port_ends_its_transactions() {
    let mut addresses = vec![(IpAddr::from([127, 0, 0, 1]), IpAddr::from(loopback()))];
    let v6 = IpAddr::from(Ipv6Addr::LOCALHOST);
    match UdpSocket::bind((v6, 0)) {
        Ok(_) => addresses.push((v6, v6)),
        Err(e) => tests::skip(&format!("no IPv6 on the loopback here: {e}")),
    }
    for placement in placements() {
        for &(ours, theirs) in &addresses {
            let client = Client::new(placement, ours);
            let dead = closed_port(theirs);
            // So many that every shard has some: the kernel tells an error to any of their sockets.
            for _ in 0..10 {
                for method in [Method::Invite, Method::Options] {
                    let sent = client.send(&method, dead, "");
                    let refused = Err(NoResponse::Transport(TransportError::Refused));
                    assert_eq!(client.next(), (sent, refused), "{placement} {dead}");
                }
            }
            assert_eq!(client.stack.transaction_stats().transport_failures, 20);
        }
    }
}

#[test]
fn errors_of_a_dead_peer_leave_a_live_one_alone() {
    const MESSAGES: usize = 100;
    for placement in placements() {
        let client = Client::new(placement, [127, 0, 0, 1].into());
        let dead = closed_port(loopback().into());
        let live = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        live.set_read_timeout(Some(LIMIT)).expect("a limit");
        let to = live.local_addr().expect("it is bound");
        let (mut alive, mut refused) = (Vec::new(), Vec::new());
        for _ in 0..MESSAGES {
            refused.push(client.send(&Method::Message, dead, ""));
            alive.push(client.send(&Method::Message, to, ""));
        }
        let mut buffer = [0; 2048];
        let mut answered = std::collections::BTreeSet::new();
        while answered.len() < MESSAGES {
            let (size, from) = live.recv_from(&mut buffer).expect("all messages come");
            let via = raw::first(&buffer[..size], "via").expect("it has one");
            answered.insert(via);
            live.send_to(&raw::response(&buffer[..size], 200), from).expect("loopback");
        }
        let (mut ok, mut failed) = (Vec::new(), Vec::new());
        for _ in 0..2 * MESSAGES {
            match client.next() {
                (transaction, Ok(200)) => ok.push(transaction),
                (transaction, Err(NoResponse::Transport(TransportError::Refused))) => failed.push(transaction),
                other => panic!("{placement}: {other:?}"),
            }
        }
        for list in [&mut ok, &mut failed, &mut alive, &mut refused] {
            list.sort();
        }
        assert!(ok == alive && failed == refused, "{placement}");
    }
}

#[test]
fn a_connection_that_closes_ends_its_transactions() {
    for placement in placements() {
        let client = Client::new(placement, [127, 0, 0, 1].into());
        for method in [Method::Invite, Method::Options] {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let sent = client.send(&method, listener.local_addr().expect("it is bound"), ";transport=tcp");
            let mut peer = accept(&listener);
            assert!(read(&mut peer).starts_with(method.as_str().as_bytes()));
            drop(peer);
            let lost = Err(NoResponse::Transport(TransportError::ConnectionLost));
            assert_eq!(client.next(), (sent, lost), "{placement}");
        }
    }
}

/// An answer is not overtaken by the end of the connection that brought it.
#[test]
fn a_peer_that_answers_and_closes_has_answered() {
    for placement in placements() {
        let client = Client::new(placement, [127, 0, 0, 1].into());
        for _ in 0..30 {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let sent = client.send(&Method::Options, listener.local_addr().expect("it is bound"), ";transport=tcp");
            let mut peer = accept(&listener);
            let answer = raw::response(&read(&mut peer), 200);
            peer.write_all(&answer).expect("it is read");
            drop(peer);
            assert_eq!(client.next(), (sent, Ok(200)), "{placement}");
        }
    }
}

/// RFC 3261 §18.2.2: who has lost the connection of a request answers over a new one.
#[test]
fn a_final_response_may_come_over_another_connection() {
    for placement in placements() {
        let client = Client::new(placement, [127, 0, 0, 1].into());
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let sent = client.send(&Method::Invite, listener.local_addr().expect("it is bound"), ";transport=tcp");
        let mut peer = accept(&listener);
        let invite = read(&mut peer);
        peer.write_all(&raw::response(&invite, 180)).expect("it is read");
        drop(peer);
        assert_eq!(client.next(), (sent, Ok(180)), "{placement}");
        let back = SocketAddr::from(([127, 0, 0, 1], raw::response_port(&invite)));
        let mut peer = TcpStream::connect(back).expect("it listens");
        for code in [183, 200] {
            peer.write_all(&raw::response(&invite, code)).expect("it is read");
            assert_eq!(client.next(), (sent, Ok(code)), "{placement}");
        }
    }
}

/// Sends a request through the proxy; the final response.
pub(crate) fn through(repro: &Repro, method: &str, target: &str) -> u16 {
    let caller = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    caller.set_read_timeout(Some(LIMIT)).expect("a limit");
    let own = caller.local_addr().expect("it is bound");
    let request = format!(
        "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{method}{}\r\nMax-Forwards: 70\r\n\
         From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:bob@127.0.0.1>\r\nCall-ID: {method}{}\r\nCSeq: 1 {method}\r\n\
         Content-Length: 0\r\n\r\n",
        own.port(),
        own.port(),
    );
    caller.send_to(request.as_bytes(), repro.address("udp").expect("it said so")).expect("loopback");
    let mut buffer = [0; 2048];
    loop {
        let size = caller.recv(&mut buffer).expect("an answer in time");
        match raw::status(&buffer[..size]).expect("a response") {
            100..=199 => {}
            code => return code,
        }
    }
}

/// RFC 3261 §16.9: a branch that fails has brought a 503, which goes back as 500 (§16.7 step 6).
#[test]
fn through_the_proxy_a_dead_target_is_answered_at_once() {
    for placement in ["inline", "sharded:2"] {
        let args = ["--listen", "udp:127.0.0.1:0", "--listen", "tcp:127.0.0.1:0", "--placement", placement];
        let repro = Repro::start(&args, 2).expect("it starts");
        for method in ["INVITE", "MESSAGE"] {
            let dead = format!("sip:bob@{}", closed_port(loopback().into()));
            assert_eq!(through(&repro, method, &dead), 500, "{placement} {method} over UDP");
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let target = format!("sip:bob@{};transport=tcp", listener.local_addr().expect("it is bound"));
            thread::scope(|scope| {
                scope.spawn(|| {
                    read(&mut accept(&listener));
                });
                assert_eq!(through(&repro, method, &target), 500, "{placement} {method} over TCP");
            });
        }
    }
}
