//! Two stacks in two network namespaces, and a wire between them that loses packets and is slow.
//!
//! The kernel's netem does that where it is built in, which it often is not; here the test itself is the wire: it carries
//! the frames of two virtual links from one to the other. Everything above is the system's: its TCP repeats, its ARP asks.

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike as _};
use rutil::{Clock as _, RealClock, Rng, Time};
use stack::header::{Method, h, p};
use stack::message::Message;
use stack::tu::{SendOptions, ServerTransaction, TransactionUser, TuContext, TuEvent, TuOptions};
use stack::{Stack, TransportSpec, TuId};
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tests::peers;

use crate::dead_target::Listener;
use crate::interfaces::Namespaces;
use crate::lame::context;
use crate::repro::LIMIT;
use crate::tls::Site;

/// P is the wire between A and B. Frames may be large, as nobody splits what the system puts together.
const PLAN: &[&str] = &[
    "netns add P",
    "netns add A",
    "netns add B",
    "-n P link add pa type veth peer name va netns A",
    "-n P link add pb type veth peer name vb netns B",
    "-n P link set pa mtu 65535 up",
    "-n P link set pb mtu 65535 up",
    "-n A addr add 10.78.0.1/24 dev va",
    "-n B addr add 10.78.0.2/24 dev vb",
    "-n A link set va mtu 65535 up",
    "-n B link set vb mtu 65535 up",
];

/// How bad the wire is.
const LOSS: f64 = 0.1;
const DELAY: Duration = Duration::from_millis(20);

/// The first interval of repetitions (RFC 3261 §13.3.1.4).
const T1: Duration = Duration::from_millis(500);

/// All that passes a link.
fn tap(link: &str) -> OwnedFd {
    let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::empty(), SockProtocol::EthAll);
    let socket = socket.expect("whoever makes namespaces may");
    let all = getifaddrs().expect("links");
    let mut addresses = all.filter(|interface| interface.interface_name == link).filter_map(|i| i.address);
    let address = addresses.find_map(|address| address.as_link_addr().copied()).expect("the link is there");
    bind(socket.as_raw_fd(), &address).expect("the link is there");
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::milliseconds(1)).expect("a limit");
    socket
}

/// Carries frames one way until told to stop, each [`DELAY`] late; how many it lost.
fn carry(from: &OwnedFd, to: &OwnedFd, mut rng: Rng, stop: &AtomicBool, lost: &AtomicU64) {
    let (clock, mut buffer) = (RealClock::new(), vec![0; 70_000]);
    let mut under_way: VecDeque<(Time, Vec<u8>)> = VecDeque::new();
    while !stop.load(Ordering::Relaxed) {
        if let Ok(size) = recv(from.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            let frame = &mut buffer[..size];
            complete(frame);
            if is_ipv4(frame) && rng.chance(LOSS) {
                lost.fetch_add(1, Ordering::Relaxed);
            } else {
                under_way.push_back((clock.now() + DELAY, frame.to_vec()));
            }
        }
        while let Some((_, frame)) = under_way.front().filter(|(at, _)| *at <= clock.now()) {
            // A link without room loses it too.
            let _ = send(to.as_raw_fd(), frame, MsgFlags::empty());
            under_way.pop_front();
        }
    }
}

fn is_ipv4(frame: &[u8]) -> bool {
    frame.get(12..14) == Some(&[8, 0])
}

/// Writes the checksum of TCP and UDP, which the system leaves to the hardware.
fn complete(frame: &mut [u8]) {
    const HEAD: usize = 14;
    if !is_ipv4(frame) || frame.len() < HEAD + 20 {
        return;
    }
    let protocol = frame[HEAD + 9];
    let start = HEAD + usize::from(frame[HEAD] & 15) * 4;
    let end = HEAD + usize::from(u16::from_be_bytes([frame[HEAD + 2], frame[HEAD + 3]]));
    let Some(at) = [(6, 16), (17, 6)].iter().find(|(p, _)| *p == protocol).map(|(_, at)| start + at) else { return };
    let Some(segment) = frame.get(start..end).filter(|segment| at + 2 <= start + segment.len()) else { return };
    let mut sum = u64::from(protocol) + segment.len() as u64;
    frame[at..at + 2].fill(0);
    let words = frame[HEAD + 12..HEAD + 20].chunks(2).chain(frame[start..end].chunks(2));
    sum += words.map(|pair| u64::from(pair[0]) << 8 | pair.get(1).map_or(0, |b| u64::from(*b))).sum::<u64>();
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    frame[at..at + 2].copy_from_slice(&(!(sum as u16)).to_be_bytes());
}

/// A 200 that waits for its ACK.
struct Unacknowledged {
    transaction: ServerTransaction,
    response: Box<Message>,
    next: Time,
    interval: Duration,
}

/// Takes every call, and repeats its 200 until the ACK has come.
#[derive(Default)]
struct Callee {
    calls: HashMap<String, Unacknowledged>,
}

fn call_id(msg: &Message) -> String {
    msg.header(h::CALL_ID).expect("it has one").to_string()
}

impl TransactionUser for Callee {
    fn name(&self) -> &'static str {
        "callee"
    }

    fn process(&mut self, event: TuEvent, stack: &mut TuContext<'_>) {
        match event {
            TuEvent::Request { transaction, msg } if msg.method() == Some(Method::Invite) => {
                let tag = stack.new_tag();
                stack.respond(transaction, msg.make_response(180, None, Some(&tag)));
                let response = Box::new(msg.make_response(200, None, Some(&tag)));
                stack.respond(transaction, response.clone());
                let waits = Unacknowledged { transaction, response, next: stack.now() + T1, interval: T1 };
                self.calls.insert(call_id(&msg), waits);
            }
            TuEvent::Request { transaction, .. } => stack.respond_status(transaction, 200),
            TuEvent::Ack { msg } => drop(self.calls.remove(&call_id(&msg))),
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.calls.values().map(|call| call.next).min()
    }

    fn wake(&mut self, stack: &mut TuContext<'_>) {
        let now = stack.now();
        for call in self.calls.values_mut().filter(|call| call.next <= now) {
            stack.respond(call.transaction, call.response.clone());
            call.interval *= 2;
            call.next = now + call.interval.min(8 * T1);
        }
    }
}

/// The calling side.
struct Caller {
    stack: Stack,
    tu: TuId,
    heard: Receiver<TuEvent>,
}

impl Caller {
    fn request(&self, method: &Method<'_>, uri: &str, call: &str, to: &str) -> Message {
        let mut msg = Message::request(method, uri);
        let count = if *method == Method::Bye { 2 } else { 1 };
        for (name, value) in [
            ("Max-Forwards", "70"),
            ("From", "<sip:alice@10.78.0.1>;tag=a1"),
            ("To", to),
            ("Call-ID", call),
            ("CSeq", &format!("{count} {}", method.as_str())),
        ] {
            msg.append_line(name, value);
        }
        msg
    }

    /// So many calls at once, from INVITE to the answer to BYE.
    fn calls(&self, uri: &str, name: &str, count: usize) {
        let send = |msg| {
            self.stack.send(self.tu, msg, SendOptions::default()).expect("there is room");
        };
        for n in 0..count {
            send(self.request(&Method::Invite, uri, &format!("{name}-{n}"), "<sip:bob@10.78.0.2>"));
        }
        let (mut stand, mut over) = (HashSet::new(), 0);
        while over < count {
            let event =
                self.heard.recv_timeout(2 * LIMIT).unwrap_or_else(|_| panic!("{name}: {over} calls of {count}"));
            let TuEvent::Response { msg, .. } = event else { panic!("{name}: {event:?}") };
            let (code, id) = (msg.status().expect("a response"), call_id(&msg));
            let invite = msg.method() == Some(Method::Invite);
            assert!(code <= 200, "{name}: {code}");
            if code == 200 && invite {
                let tag = msg.header(h::TO).expect("it has one").param(p::TAG).expect("a dialog").to_owned();
                let to = format!("<sip:bob@10.78.0.2>;tag={tag}");
                let ack = self.request(&Method::Ack, uri, &id, &to);
                self.stack.send_stateless(ack, SendOptions::default()).expect("there is room");
                if stand.insert(id.clone()) {
                    send(self.request(&Method::Bye, uri, &id, &to));
                }
            } else if code == 200 {
                over += 1;
            }
        }
    }
}

/// A stack with UDP, TCP and TLS on this address; the addresses that these got.
fn stack(site: &Site, ip: &str, user: impl FnOnce(&mut stack::StackBuilder) -> TuId) -> (Stack, TuId, Vec<SocketAddr>) {
    let mut builder = Stack::builder().tls(context(site));
    for make in [TransportSpec::udp, TransportSpec::tcp, TransportSpec::tls] {
        builder.add_transport(make(format!("{ip}:0").parse().expect("an address")));
    }
    let tu = user(&mut builder);
    let stack = builder.start().expect("it starts");
    let bound = stack.transports().iter().map(|transport| transport.bound).collect();
    (stack, tu, bound)
}

fn three_transports(net: &Namespaces, lost: &AtomicU64) {
    let site = Site::new();
    site.issue(&["10.78.0.2"], |_| {});
    let (_callee, _, at) = net.within("B", || {
        stack(&site, "10.78.0.2", |builder| builder.register_tu(TuOptions::default(), |_| Callee::default()))
    });
    let (sender, heard) = channel();
    let (stack, tu, _) = net.within("A", || {
        stack(&site, "10.78.0.1", |builder| {
            builder.register_tu(TuOptions::default(), move |_| Listener(sender.clone()))
        })
    });
    let caller = Caller { stack, tu, heard };
    let mut before = 0;
    for (uri, name, count) in [
        (format!("sip:bob@{}", at[0]), "udp", 30),
        (format!("sip:bob@{};transport=tcp", at[1]), "tcp", 10),
        (format!("sips:bob@{}", at[2]), "tls", 10),
    ] {
        caller.calls(&uri, name, count);
        let seen = caller.stack.statistics();
        let repeated =
            seen.transactions.retransmitted - std::mem::replace(&mut before, seen.transactions.retransmitted);
        eprintln!(
            "{name}: {count} calls, {repeated} requests repeated, {} packets lost",
            lost.swap(0, Ordering::Relaxed)
        );
        assert_eq!((repeated > 0, seen.transactions.timeouts), (name == "udp", 0), "{name}: TCP repeats for itself");
    }
    let seen = caller.stack.statistics();
    assert_eq!(seen.requests_of("BYE").map(|count| count.sent >= 50), Some(true));
    assert_eq!((seen.transports[1].counters.connected, seen.transports[2].counters.handshakes), (1, 1));
}

#[test]
fn calls_over_a_wire_that_loses_and_delays() {
    if !peers::available("ip") {
        return;
    }
    let net = match Namespaces::new(PLAN) {
        Ok(net) => net,
        Err(why) => return tests::skip(&format!("no network namespaces can be made here: {why}")),
    };
    let [a, b] = net.within("P", || [tap("pa"), tap("pb")]);
    let (stop, lost) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| carry(&a, &b, Rng::from_seed(1), &stop, &lost));
        scope.spawn(|| carry(&b, &a, Rng::from_seed(2), &stop, &lost));
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| three_transports(&net, &lost)));
        stop.store(true, Ordering::Relaxed);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}
