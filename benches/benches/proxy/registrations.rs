//! Rows of the registrar: what a refresh costs with a password, and with a store; and what many users take.

use crate::site::Site;
use crate::subject::Subject;
use crate::{Args, Cases, compare};
use repro::location::{Binding, By, Limits, LocationStore, NewBinding, StoreFull};
use rutil::{Rng, Time};
use stack::auth::{Answer, Challenge, Hash, Secret, ha1};
use stack::header::h;
use stack::message::Message;
use stack::transport::TransportType;
use std::fmt::Write as _;
use std::hint::black_box;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

const UDP: TransportType = TransportType::Udp;
pub(crate) const DOMAIN: &str = "example.com";

/// Users whose refreshes are measured.
const USERS: usize = 1000;
/// Users whom memory, look-up and start are measured with.
const MANY: usize = 100_000;
/// When their transactions are surely over (64·T1 and a look at the timers).
const OVER: Duration = Duration::from_secs(34);
/// Look-ups of a round.
const LOOKUPS: usize = 1_000_000;

/// What all of these are started with: nobody is refused because the machine is busy.
const OPEN: &str = "domains = [\"example.com\"]\n[overload]\nmax_wait_ms = 0\n";

/// A refresh with SHA-256 and a nonce that was used before against one without a password; and one whose binding is
/// written into the store before the answer against one that is in memory alone.
pub(crate) fn refreshes(args: &Args) {
    let rate = args.rate.unwrap_or(5000);
    let what = format!("a refresh at {rate}/s over UDP, {USERS} users");
    let plain = || refresh(args, rate, OPEN, false);
    let required = format!("{OPEN}[auth]\nrequired = true\nalgorithms = [\"SHA-256\"]\n{}", users());
    let digest = || refresh(args, rate, &required, true);
    let cases: Cases<'_> = [("no password", &plain), ("digest", &digest)];
    compare(&what, "µs", Some(1.6), args, cases);
    let kept = format!("{OPEN}[store]\npath = \"bench.db\"\n");
    let kept = || refresh(args, rate, &kept, false);
    compare(&what, "µs", None, args, [("in memory", &plain), ("in the store", &kept)]);
}

/// Records of users with passwords.
pub(crate) fn users() -> String {
    let mut text = String::new();
    for at in 0..USERS {
        let hash = ha1(Hash::Sha256, &name(at), DOMAIN, &password(at));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "[[user]]\naor = \"{}@{DOMAIN}\"\nsha256 = \"{hash}\"", name(at));
    }
    text
}

pub(crate) fn name(at: usize) -> String {
    format!("user{at}")
}

pub(crate) fn password(at: usize) -> String {
    format!("secret{at}")
}

/// CPU of the registrar, µs a refresh; NaN when not all were answered 200.
fn refresh(args: &Args, rate: u32, configuration: &str, with_password: bool) -> f64 {
    let site = Site::new();
    let proxy = Subject::start(&args.repro, &site, &[UDP], configuration, "inline");
    let mut devices = Devices::new(proxy.address(UDP), USERS);
    if with_password {
        devices.log_in();
    }
    devices.register(rate, USERS);
    let before = proxy.cpu();
    let count = rate as usize * args.seconds as usize;
    let answered = devices.register(rate, count);
    let cpu = proxy.cpu() - before;
    if answered * 100 < count * 98 {
        eprintln!("{rate}/s: {answered} of {count} registered");
        return f64::NAN;
    }
    cpu.as_secs_f64() * 1e6 / answered as f64
}

/// Devices behind one socket, one contact each.
struct Devices {
    socket: UdpSocket,
    own: SocketAddr,
    registrar: SocketAddr,
    /// The CSeq number of the next request.
    cseq: u32,
    /// The next one to refresh.
    next: usize,
    challenges: Vec<Option<(Challenge, Secret, u32)>>,
}

impl Devices {
    fn new(registrar: SocketAddr, count: usize) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a limit");
        let own = socket.local_addr().expect("it is bound");
        let challenges = (0..count).map(|_| None).collect();
        Devices { socket, own, registrar, cseq: 1, next: 0, challenges }
    }

    /// Each is told its nonce.
    fn log_in(&mut self) {
        let mut buffer = [0; 4096];
        for at in 0..self.challenges.len() {
            let request = self.request(at);
            self.socket.send_to(request.as_bytes(), self.registrar).expect("loopback");
            let size = self.socket.recv(&mut buffer).expect("an answer");
            let answer = Message::parse(&buffer[..size]).expect("a response");
            let header = answer.first(h::WWW_AUTHENTICATES).expect("a challenge");
            let challenge = Challenge::read(&header).expect("of digest");
            self.challenges[at] = Some((challenge, Secret::password(&password(at)), 0));
        }
    }

    /// Sends so many REGISTERs, one after the other at a rate; how many were answered 200.
    fn register(&mut self, rate: u32, count: usize) -> usize {
        self.socket.set_nonblocking(true).expect("non-blocking");
        let began = Instant::now();
        let (mut sent, mut answered, mut buffer) = (0, 0, [0; 4096]);
        let length = Duration::from_secs_f64(count as f64 / f64::from(rate));
        loop {
            let elapsed = began.elapsed();
            let due = ((elapsed.as_secs_f64() * f64::from(rate)) as usize).min(count);
            for _ in 0..(due - sent).min(32) {
                let request = self.request(self.next);
                self.next = (self.next + 1) % self.challenges.len();
                sent += usize::from(self.socket.send_to(request.as_bytes(), self.registrar).is_ok());
            }
            let before = answered;
            while let Ok(size) = self.socket.recv(&mut buffer) {
                answered += usize::from(buffer[..size].starts_with(b"SIP/2.0 200"));
            }
            if answered == count || elapsed > length + Duration::from_secs(1) {
                return answered;
            }
            if before == answered && sent == due {
                std::thread::park_timeout(Duration::from_micros(50));
            }
        }
    }

    fn request(&mut self, at: usize) -> String {
        let (own, user, cseq) = (self.own, name(at), self.cseq);
        self.cseq += 1;
        let uri = format!("sip:{DOMAIN}");
        let credentials = self.challenges[at].as_mut().map(|(challenge, secret, count)| {
            *count += 1;
            let answer =
                Answer { user: &user, method: "REGISTER", uri: &uri, body: b"", cnonce: "f2a4c6e8", count: *count };
            format!("Authorization: {}\r\n", challenge.answer(secret, &answer).expect("SHA-256"))
        });
        format!(
            "REGISTER {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{cseq:08x};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:{user}@{DOMAIN}>;tag={cseq:08x}\r\nTo: <sip:{user}@{DOMAIN}>\r\nCall-ID: {at:08x}@{own}\r\n\
             CSeq: {cseq} REGISTER\r\nContact: <sip:{user}@{own}>;expires=3600\r\n{}Content-Length: 0\r\n\r\n",
            credentials.unwrap_or_default()
        )
    }
}

/// Many users with one contact each: memory of the whole process, look-up, and the start with them from the store.
pub(crate) fn many(args: &Args) {
    let kept = format!("{OPEN}[store]\npath = \"bench.db\"\n");
    let site = Site::new();
    let mut proxy = Subject::start(&args.repro, &site, &[UDP], &kept, "inline");
    let empty = proxy.resident();
    let registered = Devices::new(proxy.address(UDP), MANY).register(args.rate.unwrap_or(5000), MANY);
    let busy = proxy.resident();
    std::thread::sleep(OVER);
    let full = proxy.resident();
    let mut starts = Vec::new();
    let mut restored = Vec::new();
    for _ in 0..args.rounds {
        // Not asked to stop, but killed: what was answered is kept all the same.
        drop(proxy);
        let began = Instant::now();
        proxy = Subject::start(&args.repro, &site, &[UDP], &kept, "inline");
        starts.push(began.elapsed().as_secs_f64());
        // The allocator gives back what was needed to read them.
        std::thread::sleep(Duration::from_secs(2));
        restored.push(proxy.resident() as f64 / 1e6);
    }
    println!(
        "{registered} of {MANY} users with a contact | resident {:.1} MB, {:.1} MB as soon as they had registered, \
         {:.1} MB without them (must 100) | start with them {:.2} s (must 2), then {:.1} MB",
        full as f64 / 1e6,
        busy as f64 / 1e6,
        empty as f64 / 1e6,
        benches::median(&starts),
        benches::median(&restored),
    );
    let rounds: Vec<f64> = (0..args.rounds).map(|_| look_up()).collect();
    println!("a look-up among {MANY} users | {:.3} µs (must 1)", benches::median(&rounds));
}

/// µs for each look-up of some user, in an order that no cache knows.
fn look_up() -> f64 {
    let store = LocationStore::new(Limits { aors: MANY, contacts: 10 }, &mut Rng::from_seed(1));
    let aors: Vec<String> = (0..MANY).map(|at| format!("{}@{DOMAIN}", name(at))).collect();
    let later = Time::ZERO + Duration::from_secs(3600);
    for (at, aor) in aors.iter().enumerate() {
        let text = format!("sip:user@192.0.2.1:{}", at % 60_000 + 1);
        let uri = stack::uri::Uri::parse(&text).expect("a URI");
        let binding = Binding::new(NewBinding {
            uri: &uri,
            text: text.as_str().into(),
            params: "",
            q: 1000,
            expires_at: later,
            call_id: "a-call-id-as-long-as-they-are",
            cseq: 1,
            neighbour: None,
            by: By::Uri,
            device: None,
            reg_id: 0,
            now: Time::ZERO,
        });
        let put = |bindings: &mut Vec<Binding>| {
            bindings.push(binding);
            Ok::<(), StoreFull>(())
        };
        store.update(aor, Time::ZERO, put).expect("room");
    }
    let began = Instant::now();
    let mut at = 1;
    for _ in 0..LOOKUPS {
        at = (at * 40_503 + 12_345) % MANY;
        black_box(store.lookup(black_box(&aors[at]), Time::ZERO));
    }
    began.elapsed().as_secs_f64() * 1e6 / LOOKUPS as f64
}
