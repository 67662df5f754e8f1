//! Row of the event server: what a NOTIFY costs when what many watch changes.

use crate::site::Site;
use crate::subject::Subject;
use crate::{Args, Cases, compare};
use stack::transport::TransportType;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};
use tests::raw;

const UDP: TransportType = TransportType::Udp;
/// Subscriptions in all.
const WATCHERS: usize = 10_000;
/// Users that are watched by many each.
const FEW: usize = 100;
/// How long nothing may come until something is lost: longer than Timer E, which repeats a NOTIFY.
const PATIENCE: Duration = Duration::from_secs(12);
/// After how long what is not answered is sent again.
const AGAIN: Duration = Duration::from_secs(1);
/// SUBSCRIBEs, or NOTIFYs of PUBLISHs, that wait for their answers: more would not fit into the socket's buffer, and what is
/// lost is sent again.
const AT_ONCE: usize = 32;

const EVENTS: &str = "[limits]\nsubscriptions = 20000\n[overload]\nmax_wait_ms = 0\n\
    [events]\npackages = [\"presence\"]\nsubscriptions_per_subscriber = 20000\nthrottle_seconds = 0\n";

/// One change of state each: of 100 users with 100 watchers, and of 10,000 with one, where each NOTIFY has a PUBLISH, a
/// document that is read and one that is written.
pub(crate) fn notifies(args: &Args) {
    let few = || cost(args, FEW);
    let each = || cost(args, WATCHERS);
    let what = format!("a NOTIFY, {WATCHERS} subscriptions to presence over UDP (must: 100 watchers each 20 µs)");
    let cases: Cases<'_> = [("100 watchers each", &few), ("one watcher each, with its PUBLISH", &each)];
    compare(&what, "µs", None, args, cases);
}

/// CPU of the proxy, µs for each NOTIFY, its answer and its share of the PUBLISH; NaN when not all came.
fn cost(args: &Args, users: usize) -> f64 {
    let site = Site::new();
    let proxy = Subject::start(&args.repro, &site, &[UDP], EVENTS, "inline");
    let mut phones = Phones::new(proxy.address(UDP));
    let subscribed = phones.exchange(WATCHERS, (WATCHERS, AT_ONCE), |phones, at| phones.subscribe(at, at % users));
    if subscribed != WATCHERS {
        eprintln!("{subscribed} of {WATCHERS} were told when they subscribed");
        return f64::NAN;
    }
    let before = proxy.cpu();
    let at_once = (AT_ONCE * users / WATCHERS).max(1);
    let told = phones.exchange(users, (WATCHERS, at_once), |phones, user| phones.publish(user));
    let cpu = proxy.cpu() - before;
    if told != WATCHERS {
        eprintln!("{told} of {WATCHERS} were told of the change");
        return f64::NAN;
    }
    cpu.as_secs_f64() * 1e6 / WATCHERS as f64
}

/// All who watch and publish, behind one socket.
struct Phones {
    socket: UdpSocket,
    own: SocketAddr,
    proxy: SocketAddr,
    /// The number of the last NOTIFY of each.
    heard: Vec<u32>,
}

impl Phones {
    fn new(proxy: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.set_read_timeout(Some(AGAIN)).expect("a limit");
        let own = socket.local_addr().expect("it is bound");
        Phones { socket, own, proxy, heard: vec![0; WATCHERS] }
    }

    /// Sends so many requests, `at_once` at a time, and answers NOTIFYs until `expected` new ones have come; how many did.
    fn exchange(
        &mut self,
        requests: usize,
        (expected, at_once): (usize, usize),
        request: impl Fn(&Self, usize) -> String,
    ) -> usize {
        // Those that are not answered are sent again: a datagram may be lost.
        let (mut open, mut sent, mut told): (Vec<usize>, _, _) = (Vec::new(), 0, 0);
        let mut again = Instant::now();
        let (mut buffer, mut last) = (vec![0; 65_536], Instant::now());
        while (told < expected || !open.is_empty() || sent < requests) && last.elapsed() < PATIENCE {
            let new = requests.min(sent + at_once.saturating_sub(open.len()));
            let due = again.elapsed() > AGAIN;
            let old = open.iter().copied().filter(|_| due);
            for at in old.chain(sent..new) {
                let text = request(self, at);
                self.socket.send_to(text.as_bytes(), self.proxy).expect("loopback");
            }
            if due {
                again = Instant::now();
            }
            open.extend(sent..new);
            sent = new;
            let Ok(size) = self.socket.recv(&mut buffer) else { continue };
            let message = &buffer[..size];
            if !message.starts_with(b"NOTIFY ") {
                let call = raw::first(message, "call-id").and_then(|call| String::from_utf8(call).ok());
                let digits = call.as_deref().and_then(|call| call.trim_start_matches('p').split('@').next());
                let at = digits.and_then(|digits| usize::from_str_radix(digits, 16).ok());
                if message.starts_with(b"SIP/2.0 200") {
                    open.retain(|waiting| Some(*waiting) != at);
                    last = Instant::now();
                }
                continue;
            }
            let response = raw::response(message, 200);
            self.socket.send_to(&response, self.proxy).expect("loopback");
            let number = |name: &str, radix| {
                let value = raw::first(message, name).and_then(|value| String::from_utf8(value).ok());
                let digits = value.as_deref().and_then(|text| text.split([' ', '@']).next()).unwrap_or_default();
                u32::from_str_radix(digits, radix).expect("a number of ours")
            };
            let (at, cseq) = (number("call-id", 16) as usize, number("cseq", 10));
            // What is repeated was counted.
            if self.heard[at] < cseq {
                (self.heard[at], last) = (cseq, Instant::now());
                told += 1;
            }
        }
        told
    }

    fn subscribe(&self, at: usize, user: usize) -> String {
        let (own, proxy) = (self.own, self.proxy);
        format!(
            "SUBSCRIBE sip:user{user}@{proxy} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKs{at:08x}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:watcher{at}@{proxy}>;tag={at:08x}\r\nTo: <sip:user{user}@{proxy}>\r\n\
             Call-ID: {at:08x}@bench\r\nCSeq: 1 SUBSCRIBE\r\nContact: <sip:watcher{at}@{own}>\r\nEvent: presence\r\n\
             Expires: 3600\r\nContent-Length: 0\r\n\r\n"
        )
    }

    fn publish(&self, user: usize) -> String {
        let (own, proxy) = (self.own, self.proxy);
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" \
             entity=\"sip:user{user}@{proxy}\"><tuple id=\"phone\"><status><basic>open</basic></status>\
             <contact>sip:user{user}@{proxy}</contact><note>at the desk</note></tuple></presence>"
        );
        format!(
            "PUBLISH sip:user{user}@{proxy} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKp{user:08x}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:user{user}@{proxy}>;tag=p{user:08x}\r\nTo: <sip:user{user}@{proxy}>\r\n\
             Call-ID: p{user:08x}@bench\r\nCSeq: 1 PUBLISH\r\nEvent: presence\r\nExpires: 3600\r\n\
             Content-Type: application/pidf+xml\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}
