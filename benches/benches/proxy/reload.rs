//! Row of a reload: how late messages are while 100,000 users and 10,000 routes are read again.

use crate::Args;
use crate::site::Site;
use crate::subject::Subject;
use stack::transport::TransportType;
use std::fmt::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const UDP: TransportType = TransportType::Udp;
const USERS: usize = 100_000;
const ROUTES: usize = 10_000;
/// Between two requests.
const PACE: Duration = Duration::from_millis(1);
/// How long a reload may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Asks a proxy again and again, first while nothing else happens, then while it reads its file again.
pub(crate) fn reload(args: &Args) {
    for round in 0..args.rounds {
        let site = Site::new();
        let mut proxy = Subject::start(&args.repro, &site, &[UDP], &records(USERS), "inline");
        let address = proxy.address(UDP);
        let calm = asked(address, || std::thread::sleep(Duration::from_secs(args.seconds)));
        site.configuration(&records(USERS + 1));
        let begun = Instant::now();
        let busy = asked(address, || proxy.reload(&format!("users={}", USERS + 1), LIMIT));
        println!(
            "reload of {USERS} users and {ROUTES} routes, round {round}, {:.1?} | calm: {calm} | meanwhile: {busy} (must: most 5 ms)",
            begun.elapsed()
        );
    }
}

fn records(users: usize) -> String {
    let mut text = String::from("[overload]\nmax_wait_ms = 0\n");
    for user in 0..users {
        let _ = write!(text, "[[user]]\naor = \"user{user}@example.com\"\n");
    }
    for route in 0..ROUTES {
        let uri = format!("^sip:{route:05}");
        let _ = write!(
            text,
            "[[static_route]]\nname = \"r{route}\"\nuri = \"{uri}\"\nrewrite = \"sip:gateway{route}.example.com\"\n"
        );
    }
    text
}

/// What a request had to wait for its answer, since it was due.
struct Waits(Vec<Duration>, usize);

impl std::fmt::Display for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = |share: f64| self.0.get((self.0.len() as f64 * share) as usize).copied().unwrap_or_default();
        let most = self.0.last().copied().unwrap_or_default();
        write!(f, "{} of {}: p50 {:.2?} p99 {:.2?} most {most:.2?}", self.0.len(), self.1, at(0.5), at(0.99))
    }
}

/// Sends OPTIONS at a pace until `meanwhile` is done.
fn asked(proxy: SocketAddr, meanwhile: impl FnOnce() + Send) -> Waits {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asks = scope.spawn(|| ask(proxy, &over));
        meanwhile();
        over.store(true, Ordering::Relaxed);
        asks.join().expect("no panic")
    })
}

fn ask(proxy: SocketAddr, over: &AtomicBool) -> Waits {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_nonblocking(true).expect("it can be");
    let own = socket.local_addr().expect("it is bound");
    let (start, mut buffer) = (Instant::now(), [0; 2048]);
    let due = |number: usize| start + PACE * number as u32;
    let (mut sent, mut last, mut waits) = (0, Instant::now(), Vec::new());
    while !over.load(Ordering::Relaxed) || waits.len() < sent && last.elapsed() < Duration::from_secs(1) {
        let mut idle = true;
        while !over.load(Ordering::Relaxed) && due(sent) <= Instant::now() {
            let text = format!(
                "OPTIONS sip:{proxy} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{sent}\r\nMax-Forwards: 70\r\n\
                 From: <sip:a@{own}>;tag=a\r\nTo: <sip:{proxy}>\r\nCall-ID: {sent}@{own}\r\nCSeq: 1 OPTIONS\r\n\
                 Content-Length: 0\r\n\r\n"
            );
            socket.send_to(text.as_bytes(), proxy).expect("loopback");
            sent += 1;
            idle = false;
        }
        while let Ok(size) = socket.recv(&mut buffer) {
            last = Instant::now();
            let number = tests::raw::first(&buffer[..size], "call-id");
            let number = number.and_then(|id| String::from_utf8(id).ok()?.split('@').next()?.parse().ok());
            waits.extend(number.map(|number| due(number).elapsed()));
            idle = false;
        }
        if idle {
            std::thread::park_timeout(Duration::from_micros(50));
        }
    }
    waits.sort_unstable();
    Waits(waits, sent)
}
