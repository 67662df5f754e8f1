//! Row of a reload: how late messages are while 100,000 users and 10,000 routes are read again.

use crate::Args;
use crate::site::Site;
use crate::subject::Subject;
use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use stack::transport::TransportType;
use std::fmt::Write as _;
use std::io::IoSliceMut;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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

/// What a request had to wait for its answer: from before it was sent until the kernel had the answer. When who asks gets to
/// read it is not the proxy's doing.
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
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true).expect("it can be");
    let own = socket.local_addr().expect("it is bound");
    let (start, mut buffer) = (Instant::now(), [0; 2048]);
    let due = |number: usize| start + PACE * number as u32;
    let (mut sent, mut last, mut waits) = (Vec::new(), Instant::now(), Vec::new());
    while !over.load(Ordering::Relaxed) || waits.len() < sent.len() && last.elapsed() < Duration::from_secs(1) {
        let mut idle = true;
        while !over.load(Ordering::Relaxed) && due(sent.len()) <= Instant::now() {
            let number = sent.len();
            let text = format!(
                "OPTIONS sip:{proxy} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{number}\r\nMax-Forwards: 70\r\n\
                 From: <sip:a@{own}>;tag=a\r\nTo: <sip:{proxy}>\r\nCall-ID: {number}@{own}\r\nCSeq: 1 OPTIONS\r\n\
                 Content-Length: 0\r\n\r\n"
            );
            sent.push(since_epoch());
            socket.send_to(text.as_bytes(), proxy).expect("loopback");
            idle = false;
        }
        while let Some((size, came)) = receive(&socket, &mut buffer) {
            last = Instant::now();
            let number = tests::raw::first(&buffer[..size], "call-id");
            let number = number.and_then(|id| String::from_utf8(id).ok()?.split('@').next()?.parse::<usize>().ok());
            waits.extend(number.and_then(|number| Some(came.saturating_sub(*sent.get(number)?))));
            idle = false;
        }
        if idle {
            std::thread::park_timeout(Duration::from_micros(50));
        }
    }
    waits.sort_unstable();
    Waits(waits, sent.len())
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later")
}

/// The next datagram, and when the kernel had it.
fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> Option<(usize, Duration)> {
    let (mut into, mut control) = ([IoSliceMut::new(buffer)], cmsg_space!(TimeSpec));
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut into, Some(&mut control), MsgFlags::empty()).ok()?;
    let came = message.cmsgs().ok()?.find_map(|one| match one {
        ControlMessageOwned::ScmTimestampns(came) => Some(Duration::from(came)),
        _ => None,
    });
    Some((message.bytes, came.expect("the kernel says when it came")))
}
