//! Row of two nodes with one Redis: how long it takes from a REGISTER at one until the other knows the contact.

use crate::Args;
use crate::site::Site;
use crate::subject::Subject;
use stack::transport::TransportType;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};
use tests::peers::{Redis, available};

const UDP: TransportType = TransportType::Udp;
/// What the nodes show each other, of this measurement alone.
const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// After how long what is not answered is sent again, and how soon the other node is asked once more.
const AGAIN: Duration = Duration::from_millis(500);
const SOON: Duration = Duration::from_millis(1);

/// A user.
#[derive(Clone, Copy)]
struct User {
    /// When he was to register: a late one counts.
    due: Instant,
    sent: Instant,
    /// When the first node has answered.
    answered: Option<Instant>,
    /// When the other knew it.
    known: Option<Instant>,
}

/// Users register at one node, at a rate; each is asked for at the other until it knows him.
pub(crate) fn registrations(args: &Args) {
    if !available("redis-server") {
        return;
    }
    let rate = args.rate.unwrap_or(1000);
    let count = (u64::from(rate) * args.seconds) as usize;
    for round in 0..args.rounds {
        let (mut answered, mut known) = once(args, rate, count);
        let p = |times: &mut Vec<Duration>| {
            times.sort_unstable();
            let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or_default();
            format!("{} of {count}: p50 {:.1?} p99 {:.1?}", times.len(), at(0.5), at(0.99))
        };
        let (answered, known) = (p(&mut answered), p(&mut known));
        println!(
            "{rate} registrations/s, round {round} | answered {answered} | seen by the other {known} (must p99 50 ms)"
        );
    }
}

fn once(args: &Args, rate: u32, count: usize) -> (Vec<Duration>, Vec<Duration>) {
    let redis = Redis::start(None).expect("it starts");
    let site = [Site::new(), Site::new()];
    let node = |at: usize| {
        let more = format!(
            "domains = [\"example.com\"]\n[overload]\nmax_wait_ms = 0\n[cluster]\nnode = \"n{at}\"\n\
             redis = [\"redis://{}\"]\nsecret = \"{SECRET}\"\n",
            redis.address()
        );
        Subject::start(&args.repro, &site[at], &[UDP], &more, "inline")
    };
    let nodes = [node(0), node(1)];
    let [first, second] = [0, 1].map(|at| nodes[at].address(UDP));
    let [device, asker] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").expect("a free port"));
    for socket in [&device, &asker] {
        socket.set_nonblocking(true).expect("it can be");
    }
    let own = device.local_addr().expect("it is bound");
    let start = Instant::now() + Duration::from_secs(1);
    let due = |n: usize| start + Duration::from_secs_f64(n as f64 / f64::from(rate));
    let of = |n| User { due: due(n), sent: due(n), answered: None, known: None };
    let mut users: Vec<User> = (0..count).map(of).collect();
    let (mut cseq, mut buffer) = (0, [0; 4096]);
    let mut send = |socket: &UdpSocket, to: SocketAddr, n: usize, contact: bool| {
        cseq += 1;
        let contact = if contact { format!("Contact: <sip:u{n}@{own}>\r\n") } else { String::new() };
        let from = socket.local_addr().expect("it is bound");
        let text = format!(
            "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{cseq};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:u{n}@example.com>;tag=r\r\nTo: <sip:u{n}@example.com>\r\nCall-ID: u{n}\r\n\
             CSeq: {cseq} REGISTER\r\n{contact}Content-Length: 0\r\n\r\n"
        );
        // What the loopback does not take is sent again.
        let _ = socket.send_to(text.as_bytes(), to);
    };
    let limit = due(count) + Duration::from_secs(30);
    let (mut begun, mut done) = (0, 0);
    while done < count && Instant::now() < limit {
        let now = Instant::now();
        while begun < count && users[begun].due <= now {
            users[begun].sent = now;
            send(&device, first, begun, true);
            begun += 1;
        }
        let mut idle = true;
        while let Ok(size) = device.recv(&mut buffer) {
            let answer = String::from_utf8_lossy(&buffer[..size]);
            let Some(n) = number(&answer).filter(|_| answer.starts_with("SIP/2.0 200 ")) else { continue };
            idle = false;
            if users[n].answered.is_none() {
                users[n].answered = Some(Instant::now());
                users[n].sent = Instant::now();
                send(&asker, second, n, false);
            }
        }
        while let Ok(size) = asker.recv(&mut buffer) {
            let answer = String::from_utf8_lossy(&buffer[..size]);
            let Some(n) = number(&answer) else { continue };
            idle = false;
            if answer.contains("\r\nContact: ") && users[n].known.is_none() {
                users[n].known = Some(Instant::now());
                done += 1;
            }
        }
        for (n, user) in users[..begun].iter_mut().enumerate().filter(|(_, user)| user.known.is_none()) {
            let (socket, to, wait) = match user.answered {
                None => (&device, first, AGAIN),
                Some(_) => (&asker, second, SOON),
            };
            if now.duration_since(user.sent) >= wait {
                user.sent = now;
                send(socket, to, n, user.answered.is_none());
            }
        }
        if idle {
            std::thread::park_timeout(Duration::from_micros(50));
        }
    }
    let times = |of: fn(&User) -> Option<Instant>| {
        users.iter().filter_map(|user| Some(of(user)?.duration_since(user.due))).collect()
    };
    (times(|user| user.answered), times(|user| user.known))
}

/// The number of the user in the To of an answer.
fn number(answer: &str) -> Option<usize> {
    answer.split("To: <sip:u").nth(1)?.split('@').next()?.parse().ok()
}
