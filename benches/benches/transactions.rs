//! What a transaction costs, in CPU time and memory: the workloads of reSIProcate's `testStack`, client and server in
//! one process over UDP on loopback.
//!
//! `cargo bench -p benches --bench transactions`. CPU is user and system time of the whole process, from `getrusage`;
//! each figure is the median of five runs. A window of requests is kept in progress, so the runner seldom sleeps.

use benches::{cpu, median, resident};
use stack::header::{CSeq, CallId, Contact, Method, NameAddr, h};
use stack::message::Message;
use stack::transport::TransportType;
use stack::tu::{NextHop, SendOptions, TransactionUser, TuContext, TuEvent, TuOptions};
use stack::uri::Uri;
use stack::{Stack, StackOptions, TransportSpec};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const RUNS: usize = 5;
/// Requests or calls in progress.
const WINDOW: u64 = 50;

const SDP: &str = "v=0\r\no=user1 53655765 2353687637 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
    m=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";

#[derive(Clone, Copy, PartialEq)]
enum Workload {
    Register,
    Options,
    Invite,
}

#[derive(Default)]
struct Progress {
    done: AtomicU64,
    failed: AtomicU64,
}

/// Caller and callee in one transaction user.
struct Both {
    workload: Workload,
    server: SocketAddr,
    left: u64,
    next: u64,
    started: bool,
    progress: Arc<Progress>,
}

impl Both {
    fn request(&mut self, method: &Method<'static>, call: u64, cseq: u32, to_tag: Option<&str>) -> Message {
        let uri = format!("sip:user{call}@{}", self.server);
        let mut msg = Message::request(method, &uri);
        let from = NameAddr::new(Uri::parse("sip:caller@127.0.0.1").expect("a URI")).with("tag", format!("c{call}"));
        let mut to = NameAddr::new(Uri::parse(&uri).expect("a URI"));
        if let Some(tag) = to_tag {
            to = to.with("tag", tag);
        }
        msg.set(h::FROM, &from);
        msg.set(h::TO, &to);
        msg.set(h::CALL_ID, &CallId::new(format!("{call}@bench")));
        msg.set(h::CSEQ, &CSeq { number: cseq, method: method.clone() });
        msg.set(h::MAX_FORWARDS, &70);
        msg.push_back(h::CONTACTS, &Contact::Addr(NameAddr::new(Uri::parse("sip:caller@127.0.0.1").expect("a URI"))));
        msg
    }

    fn begin(&mut self, stack: &mut TuContext<'_>) {
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        self.next += 1;
        let msg = match self.workload {
            Workload::Register => self.request(&Method::Register, self.next, 1, None),
            Workload::Options => self.request(&Method::Options, self.next, 1, None),
            Workload::Invite => {
                let mut msg = self.request(&Method::Invite, self.next, 1, None);
                msg.set_body(Some("application/sdp"), SDP);
                msg
            }
        };
        stack.send(msg, self.options());
    }

    fn options(&self) -> SendOptions {
        SendOptions { next_hop: NextHop::Address(TransportType::Udp, self.server), ..SendOptions::default() }
    }

    fn answer(&self, transaction: stack::tu::ServerTransaction, msg: &Message, stack: &mut TuContext<'_>) {
        if msg.method() == Some(Method::Invite) {
            stack.respond(transaction, msg.make_response(180, None, Some("callee")));
            let mut ok = msg.make_response(200, None, Some("callee"));
            ok.push_back(h::CONTACTS, &format_args!("<sip:{}>", self.server));
            ok.set_body(Some("application/sdp"), SDP);
            stack.respond(transaction, ok);
        } else {
            stack.respond(transaction, msg.make_response(200, None, Some("callee")));
        }
    }

    fn response(&mut self, msg: &Message, stack: &mut TuContext<'_>) {
        let Some(200..) = msg.status() else { return };
        let call = msg.header(h::CALL_ID).ok().and_then(|id| id.as_str().split('@').next()?.parse().ok()).unwrap_or(0);
        if msg.method() == Some(Method::Invite) {
            let ack = self.request(&Method::Ack, call, 1, Some("callee"));
            stack.send_stateless(ack, self.options());
            let bye = self.request(&Method::Bye, call, 2, Some("callee"));
            stack.send(bye, self.options());
        } else {
            self.progress.done.fetch_add(1, Ordering::Relaxed);
            self.begin(stack);
        }
    }
}

impl TransactionUser for Both {
    fn name(&self) -> &'static str {
        "both"
    }

    fn process(&mut self, event: TuEvent, stack: &mut TuContext<'_>) {
        match event {
            TuEvent::Request { transaction, msg } => self.answer(transaction, &msg, stack),
            TuEvent::Response { msg, .. } => self.response(&msg, stack),
            TuEvent::NoResponse { .. } => {
                self.progress.failed.fetch_add(1, Ordering::Relaxed);
                self.begin(stack);
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<rutil::Time> {
        (!self.started).then_some(rutil::Time::ZERO)
    }

    fn wake(&mut self, stack: &mut TuContext<'_>) {
        self.started = true;
        let all: Vec<_> = stack.transports().iter().map(|t| t.bound).collect();
        self.server = all[1];
        for _ in 0..WINDOW {
            self.begin(stack);
        }
    }
}

struct Figures {
    cpu_us: f64,
    per_second: f64,
    kept: f64,
}

#[allow(clippy::disallowed_methods, reason = "a measurement reads the clock and waits for its subject")]
fn run(workload: Workload, count: u64) -> Figures {
    let progress = Arc::<Progress>::default();
    let mut builder = Stack::builder().options(StackOptions::default());
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    builder.add_transport(TransportSpec::udp(any)).add_transport(TransportSpec::udp(any));
    let (theirs, mut once) = (progress.clone(), false);
    let memory = resident();
    let (cpu, begin) = (cpu(), Instant::now());
    builder.register_tu(TuOptions::default(), move |_| {
        assert!(!std::mem::replace(&mut once, true), "one shard");
        let progress = theirs.clone();
        Both { workload, server: any, left: count, next: 0, started: false, progress }
    });
    let stack = builder.start().expect("the stack starts");
    while progress.done.load(Ordering::Relaxed) + progress.failed.load(Ordering::Relaxed) < count {
        std::thread::sleep(Duration::from_millis(5));
    }
    let (cpu, wall) = (benches::cpu() - cpu, begin.elapsed());
    let failed = progress.failed.load(Ordering::Relaxed);
    assert_eq!(failed, 0, "no transaction may fail");
    let stats = stack.transaction_stats();
    let kept = (resident() - memory) / (stats.clients_alive + stats.servers_alive).max(1) as f64;
    stack.shutdown(Duration::from_secs(1));
    Figures { cpu_us: cpu.as_secs_f64() * 1e6 / count as f64, per_second: count as f64 / wall.as_secs_f64(), kept }
}

fn main() {
    println!("{:<34} {:>12} {:>12} {:>16}", "UDP, both ends in one process", "CPU µs each", "each/s", "kept octets");
    for (name, workload, count) in [
        ("REGISTER/200", Workload::Register, 100_000),
        ("OPTIONS/200", Workload::Options, 100_000),
        ("INVITE/180/200/ACK/BYE/200", Workload::Invite, 40_000),
    ] {
        let figures: Vec<Figures> = (0..RUNS).map(|_| run(workload, count)).collect();
        println!(
            "{name:<34} {:>12.2} {:>12.0} {:>16.0}",
            median(&figures.iter().map(|f| f.cpu_us).collect::<Vec<_>>()),
            median(&figures.iter().map(|f| f.per_second).collect::<Vec<_>>()),
            // Later runs reuse what earlier ones freed: the first shows what is kept.
            figures[0].kept,
        );
    }
}
