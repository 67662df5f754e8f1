//! A host with addresses of both families of which one leads nowhere (RFC 8305), over real sockets.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use rutil::{Clock as _, RealClock};
use stack::header::Method;
use stack::message::Message;
use stack::tu::{SendOptions, TuEvent, TuOptions};
use stack::{Stack, StackOptions, TransportSpec};
use tests::peers;
use tests::raw;

use crate::dead_target::Listener;
use crate::interfaces::Namespaces;
use crate::name_server::{Mood, NameServer};
use crate::repro::LIMIT;

/// A and B are on one link; what A sends by IPv6 to the prefix of B, nobody there takes.
const PLAN: &[&str] = &[
    "netns add A",
    "netns add B",
    "-n A link add va type veth peer name vb netns B",
    "-n A addr add 10.79.0.1/24 dev va",
    "-n A addr add 2001:db8:79::1/64 dev va nodad",
    "-n B addr add 10.79.0.2/24 dev vb",
    "-n A link set lo up",
    "-n A link set va up",
    "-n B link set vb up",
];

/// Answers all requests on one connection, then on the next.
fn serve(listener: TcpListener) {
    let run = move || {
        // It ends with the test's process.
        while let Ok((mut stream, _)) = listener.accept() {
            let (mut heard, mut buffer) = (Vec::new(), [0; 4096]);
            while let Ok(size @ 1..) = stream.read(&mut buffer) {
                heard.extend_from_slice(&buffer[..size]);
                while let Some(request) = raw::take_message(&mut heard) {
                    let _ = stream.write_all(&raw::response(&request, 200));
                }
            }
        }
    };
    thread::Builder::new().name("server".into()).spawn(run).expect("a thread");
}

/// Sends so many requests one after the other from a stack on these addresses, each when the one before is answered; the
/// connections that were opened over IPv4 and over IPv6, and how long the first request took.
fn ask(names: &NameServer, on: [&str; 2], port: u16, count: usize) -> ([u64; 2], Duration) {
    let (sender, heard) = channel();
    let options = StackOptions { name_servers: vec![names.address], ..StackOptions::default() };
    let mut builder = Stack::builder().options(options);
    for at in on {
        builder.add_transport(TransportSpec::tcp(at.parse().expect("an address")));
    }
    let tu = builder.register_tu(TuOptions::default(), move |_| Listener(sender.clone()));
    let stack = builder.start().expect("it starts");
    let (clock, mut took) = (RealClock::new(), None);
    for n in 0..count {
        let mut msg = Message::request(&Method::Message, &format!("sip:bob@both.test.example:{port};transport=tcp"));
        for (name, value) in [
            ("Max-Forwards", "70"),
            ("From", "<sip:alice@example.com>;tag=a1"),
            ("To", "<sip:bob@both.test.example>"),
            ("Call-ID", "call"),
            ("CSeq", &format!("{n} MESSAGE")),
        ] {
            msg.append_line(name, value);
        }
        let began = clock.now();
        stack.send(tu, msg, SendOptions::default()).expect("there is room");
        match heard.recv_timeout(LIMIT) {
            Ok(TuEvent::Response { msg, .. }) => assert_eq!(msg.status(), Some(200)),
            other => panic!("{other:?}"),
        }
        took.get_or_insert(clock.now().since(began));
    }
    let seen = stack.statistics();
    assert_eq!((seen.transactions.failovers, seen.transactions.timeouts), (0, 0));
    ([0, 1].map(|at| seen.transports[at].counters.connected), took.unwrap_or_default())
}

#[test]
fn ipv6_comes_first_where_it_works() {
    let v4 = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = v4.local_addr().expect("it is bound").port();
    let v6 = match TcpListener::bind(SocketAddr::new("::1".parse().expect("an address"), port)) {
        Ok(v6) => v6,
        Err(why) => return tests::skip(&format!("no IPv6 on the loopback here: {why}")),
    };
    serve(v4);
    serve(v6);
    let names = NameServer::start(Mood::Answers, &["both 60 A 127.0.0.1", "both 60 AAAA ::1"]);
    let (connected, _) = ask(&names, ["127.0.0.1:0", "[::1]:0"], port, 3);
    assert_eq!(connected, [0, 1]);
}

#[test]
fn where_ipv6_is_refused_ipv4_is_tried_at_once() {
    let v4 = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = v4.local_addr().expect("it is bound").port();
    serve(v4);
    let names = NameServer::start(Mood::Answers, &["both 60 A 127.0.0.1", "both 60 AAAA ::1"]);
    let (connected, _) = ask(&names, ["127.0.0.1:0", "[::1]:0"], port, 3);
    assert_eq!(connected, [1, 0]);
}

#[test]
fn where_ipv6_leads_nowhere_it_costs_the_delay_and_once() {
    if !peers::available("ip") {
        return;
    }
    let net = match Namespaces::new(PLAN) {
        Ok(net) => net,
        Err(why) => return tests::skip(&format!("no network namespaces can be made here: {why}")),
    };
    let listener = net.within("B", || TcpListener::bind("10.79.0.2:0").expect("the address is there"));
    let port = listener.local_addr().expect("it is bound").port();
    serve(listener);
    net.within("A", || {
        let names = NameServer::start(Mood::Answers, &["both 60 A 10.79.0.2", "both 60 AAAA 2001:db8:79::2"]);
        let (connected, first) = ask(&names, ["10.79.0.1:0", "[2001:db8:79::1]:0"], port, 5);
        eprintln!("the first request took {first:?}");
        assert_eq!(connected, [1, 0]);
        // The kernel gives up on IPv6 after three seconds.
        assert!((Duration::from_millis(250)..Duration::from_millis(2500)).contains(&first), "{first:?}");
    });
}
