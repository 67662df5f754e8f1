//! What a call costs through dum, in CPU time and memory: caller and callee in one user agent of one process, over UDP on
//! loopback.
//!
//! `cargo bench -p benches --bench calls`. CPU is user and system time of the whole process, from `getrusage`; the figure
//! is the median of five runs. A window of calls is kept in progress, so the runner seldom sleeps. Memory is resident
//! memory with calls established, after their transactions are gone.

use benches::{cpu, median, resident};
use dum::invite::{EndReason, InviteSession, InviteSessionHandler, ServerInviteSession, Session};
use dum::{Application, DialogUsageManager, Dum, DumHandle, DumOptions, Handle, UserProfile};
use rutil::Rng;
use stack::contents::sdp::Sdp;
use stack::header::{HeaderValue, NameAddr};
use stack::message::Message;
use stack::overload::OverloadOptions;
use stack::{Stack, StackOptions, TransportSpec};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const RUNS: usize = 5;
/// Calls of a run.
const CALLS: u64 = 20_000;
/// Calls in progress.
const WINDOW: u64 = 50;
/// Calls that are held.
const HELD: u64 = 10_000;

const SDP: &str = "v=0\r\no=user1 53655765 2353687637 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
    m=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";

#[derive(Default)]
struct Progress {
    /// Calls that were answered, and calls that have ended.
    answered: AtomicU64,
    ended: AtomicU64,
    failed: AtomicU64,
}

/// Caller and callee.
struct Both {
    profile: Arc<UserProfile>,
    own: NameAddr<'static>,
    sdp: Sdp,
    left: u64,
    hold: bool,
    progress: Arc<Progress>,
}

impl Both {
    fn begin(&mut self, dum: &mut Dum<'_>) {
        if self.left > 0 {
            self.left -= 1;
            let invite = dum.make_invite(&self.profile, &self.own, Some(&self.sdp));
            dum.send_invite(&self.profile, invite).expect("there is room");
        }
    }
}

impl Application for Both {
    fn invite_sessions(&mut self) -> Option<&mut dyn InviteSessionHandler> {
        Some(self)
    }
}

impl InviteSessionHandler for Both {
    fn on_new_session(&mut self, dum: &mut Dum<'_>, call: Handle<ServerInviteSession>, _: &Message) {
        call.provisional(dum, 180).expect("it has just come");
    }
    fn on_offer(&mut self, dum: &mut Dum<'_>, call: Handle<InviteSession>, _: &Sdp, _: &Message) {
        call.provide_answer(dum, &self.sdp).expect("an offer");
        call.as_server().accept(dum).expect("it rings");
    }
    fn on_answer(&mut self, dum: &mut Dum<'_>, call: Handle<InviteSession>, _: &Sdp, _: &Message) {
        self.progress.answered.fetch_add(1, Ordering::Relaxed);
        if self.hold {
            self.begin(dum);
        } else {
            call.end(dum).expect("it is up");
        }
    }
    fn on_terminated(&mut self, dum: &mut Dum<'_>, _: Handle<InviteSession>, why: EndReason, msg: Option<&Message>) {
        match why {
            EndReason::LocalBye => {
                self.progress.ended.fetch_add(1, Ordering::Relaxed);
                self.begin(dum);
            }
            EndReason::RemoteBye => {}
            _ => {
                eprintln!("a call failed: {why:?} {:?}", msg.and_then(Message::status));
                self.progress.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Starts a user agent that makes so many calls to itself.
fn start(count: u64, hold: bool) -> (Stack, Arc<Progress>) {
    let progress = Arc::<Progress>::default();
    let mut rng = Rng::from_os().expect("randomness");
    // All of a window begins at once: nothing is to be refused for that.
    let overload = OverloadOptions { max_wait: None, ..OverloadOptions::default() };
    let mut builder = Stack::builder().options(StackOptions { overload, ..StackOptions::default() });
    builder.add_transport(TransportSpec::udp(([127, 0, 0, 1], 0).into()));
    let theirs = progress.clone();
    let user = builder.register_tu(DialogUsageManager::<Both>::tu_options(), move |_| {
        let own = NameAddr::parse("<sip:caller@127.0.0.1>").expect("a name-addr").into_owned();
        let sdp = Sdp::parse(&SDP.into()).expect("a description");
        let app = Both { profile: Arc::default(), own, sdp, left: count, hold, progress: theirs.clone() };
        DialogUsageManager::new(app, DumOptions::default(), &mut rng)
    });
    let stack = builder.start().expect("the stack starts");
    let bound = stack.transports().iter().next().expect("one transport").bound;
    let begin = move |app: &mut Both, dum: &mut Dum<'_>| {
        app.own = NameAddr::parse(&format!("<sip:callee@{bound}>")).expect("a name-addr").into_owned();
        (0..WINDOW).for_each(|_| app.begin(dum));
    };
    DumHandle::<Both>::new(stack.poster(user)).command(begin).expect("it has nothing to do");
    (stack, progress)
}

#[allow(clippy::disallowed_methods, reason = "a measurement waits for its subject")]
fn wait(done: &AtomicU64, count: u64, progress: &Progress) {
    while done.load(Ordering::Relaxed) < count {
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(progress.failed.load(Ordering::Relaxed), 0, "no call may fail");
    }
}

/// CPU time of a call in µs, and calls a second.
#[allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn whole_calls() -> (f64, f64) {
    let (cpu, begin) = (cpu(), Instant::now());
    let (stack, progress) = start(CALLS, false);
    wait(&progress.ended, CALLS, &progress);
    let (cpu, wall) = (benches::cpu() - cpu, begin.elapsed());
    drop(stack);
    (cpu.as_secs_f64() * 1e6 / CALLS as f64, CALLS as f64 / wall.as_secs_f64())
}

/// Octets of an established call, one side: at once, and when its transactions are gone. What they have freed stays resident.
#[allow(clippy::disallowed_methods, reason = "a measurement waits for its subject")]
fn held_calls() -> (f64, f64) {
    let memory = resident();
    let (stack, progress) = start(HELD, true);
    wait(&progress.answered, HELD, &progress);
    let each = |memory: f64| (resident() - memory) / (2 * HELD) as f64;
    let at_once = each(memory);
    while stack.transaction_stats().clients_alive + stack.transaction_stats().servers_alive > 0 {
        std::thread::sleep(Duration::from_millis(500));
    }
    (at_once, each(memory))
}

fn main() {
    let (at_once, later) = held_calls();
    println!("an established call, one side: {at_once:.0} octets at once, {later:.0} without its transactions");
    let (cpu, rate): (Vec<f64>, Vec<f64>) = (0..RUNS).map(|_| whole_calls()).unzip();
    println!("INVITE/180/200/ACK/BYE/200, both ends: {:.2} µs CPU each, {:.0}/s", median(&cpu), median(&rate));
}
