//! What it costs to hand one boxed message on: through a FIFO on one runner, to another runner that is awake or asleep,
//! and, beside it, through an actix mailbox. Then the timing wheel.
//!
//! `cargo bench -p benches --bench hop`. Figures are per message (per timer for the wheel). "Streamed": the sender does
//! not wait, and the figure includes the box's allocation and release. "Round trip": one box goes to and fro between
//! two threads, and the figure is half a round.
//!
//! Seen on two virtual cores of an Intel Xeon that other work slowed (actix's hops took 1.2 to 1.9 times what they took
//! on a better day), release build, in one run:
//!
//! | hop | µs |
//! |---|---|
//! | same runner, push and pop | 0.050 |
//! | same runner, two actors, passes and all | 0.035 |
//! | other runner, awake, streamed | 0.82 |
//! | other runner, awake, round trip | 0.25 |
//! | other runner, asleep, round trip | 26 to 39 |
//! | actix, same arbiter | 0.19 |
//! | actix, other arbiter, streamed | 4.9 |
//! | actix, other arbiter, round trip | 28 to 42 |
//! | wheel, arm and expire one of 160,000 | 0.113 |

#![allow(missing_docs, reason = "criterion_group! makes a public function")]

use actix::{Actor as _, Addr, Arbiter, Context, Handler, Message, System, dev::SendError};
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime};
use rutil::{
    Actor, Bell, Class, Clock, Control, FifoReceiver, FifoSender, Full, ParkSleeper, RealClock, Rng, Runner, Time,
    Turn, Wheel, fifo,
};
use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// What crosses the stack's FIFOs: a pointer to a few hundred bytes.
type Boxed = Box<[u64; 32]>;

const CAPACITY: usize = 1024;
/// How many messages an actor takes in a turn, and how many circulate in the ring on one runner.
const BATCH: usize = 32;

fn message() -> Boxed {
    black_box(Box::new([7; 32]))
}

fn timed(what: impl FnOnce()) -> Duration {
    let clock = RealClock::new();
    what();
    clock.now().since(Time::ZERO)
}

type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// Passes every message on, or drops and counts it.
struct Relay {
    inbox: FifoReceiver<Boxed>,
    outbox: Option<FifoSender<Boxed>>,
    count: Arc<AtomicU64>,
}

impl Actor for Relay {
    fn name(&self) -> &'static str {
        "relay"
    }
    fn turn(&mut self, now: Time) -> Turn {
        let mut n = 0;
        while n < BATCH {
            let Some(item) = self.inbox.pop() else { break };
            if let Some(outbox) = &self.outbox {
                outbox.push(item, Class::Internal, now).expect("the ring has room for all that circulates");
            }
            n += 1;
        }
        self.count.fetch_add(n as u64, Ordering::Relaxed);
        if n == 0 { Turn::Idle } else { Turn::Worked }
    }
}

/// Always has work, so that its runner never sleeps.
struct Busy;

impl Actor for Busy {
    fn name(&self) -> &'static str {
        "busy"
    }
    fn turn(&mut self, _now: Time) -> Turn {
        Turn::Worked
    }
}

fn same_runner(group: &mut Group<'_>) {
    let (tx, mut rx) = fifo("hop", CAPACITY, Bell::silent());
    let mut item = Some(message());
    group.bench_function("same runner: push and pop", |b| {
        b.iter(|| {
            tx.push(item.take().expect("one circulates"), Class::New, Time::ZERO).expect("empty");
            item = rx.pop();
        });
    });

    let (to_a, at_a) = fifo("a", CAPACITY, Bell::silent());
    let (to_b, at_b) = fifo("b", CAPACITY, Bell::silent());
    (0..BATCH).for_each(|_| to_a.push(message(), Class::New, Time::ZERO).expect("empty"));
    let clock = RealClock::new();
    let mut runner = Runner::new(ParkSleeper::new(), clock.clone(), Arc::default());
    let count = Arc::new(AtomicU64::new(0));
    runner.add(Box::new(Relay { inbox: at_a, outbox: Some(to_b), count: count.clone() }));
    runner.add(Box::new(Relay { inbox: at_b, outbox: Some(to_a), count: count.clone() }));
    group.bench_function("same runner: two actors, passes and all", |b| {
        b.iter_custom(|n| {
            let end = count.load(Ordering::Relaxed) + n;
            let mut before = 0;
            let took = timed(|| {
                while count.load(Ordering::Relaxed) < end {
                    runner.pass(clock.now());
                    before += 2 * BATCH as u64;
                }
            });
            // A pass makes more hops than a short run asks for.
            took.mul_f64(n as f64 / before.max(1) as f64)
        });
    });
}

/// A runner on a thread of its own, ended when dropped.
struct Remote {
    control: Arc<Control>,
    bell: Bell,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Remote {
    /// `relay` is given the bell for the FIFO that feeds it.
    fn start(awake: bool, relay: impl FnOnce(Bell) -> Relay) -> Remote {
        let control = Arc::new(Control::default());
        let mut runner = Runner::new(ParkSleeper::new(), RealClock::new(), control.clone());
        let bell = runner.bell();
        runner.add(Box::new(relay(bell.clone())));
        if awake {
            runner.add(Box::new(Busy));
        }
        let thread = std::thread::Builder::new().name("remote".into()).spawn(move || runner.run());
        Remote { control, bell, thread: Some(thread.expect("a thread")) }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.control.stop.store(true, Ordering::Relaxed);
        self.bell.ring();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the runner ended well");
        }
    }
}

fn other_runner_streamed(group: &mut Group<'_>) {
    let count = Arc::new(AtomicU64::new(0));
    let mut sender = None;
    let _remote = Remote::start(true, |bell| {
        let (tx, inbox) = fifo("stream", CAPACITY, bell);
        sender = Some(tx);
        Relay { inbox, outbox: None, count: count.clone() }
    });
    let tx = sender.expect("made above");
    group.bench_function("other runner, awake: streamed", |b| {
        b.iter_custom(|n| {
            let end = count.load(Ordering::Relaxed) + n;
            timed(|| {
                for _ in 0..n {
                    let mut item = message();
                    while let Err(Full(back)) = tx.push(item, Class::New, Time::ZERO) {
                        item = back;
                        spin_loop();
                    }
                }
                while count.load(Ordering::Relaxed) < end {
                    spin_loop();
                }
            })
        });
    });
}

/// One box to and fro between this thread and a runner; both sides spin (awake) or sleep whenever they have nothing.
fn other_runner_round_trip(group: &mut Group<'_>, awake: bool) {
    use rutil::Sleeper;
    let mut here = ParkSleeper::new();
    let bell = here.bell();
    let (back, mut inbox) = fifo("back", CAPACITY, bell.clone());
    let mut sender = None;
    let _remote = Remote::start(awake, |bell| {
        let (tx, inbox) = fifo("there", CAPACITY, bell);
        sender = Some(tx);
        Relay { inbox, outbox: Some(back), count: Arc::default() }
    });
    let there = sender.expect("made above");
    let mut item = message();
    let mut round = || {
        there.push(std::mem::replace(&mut item, Box::new([0; 32])), Class::New, Time::ZERO).expect("empty");
        item = loop {
            if let Some(item) = inbox.pop() {
                break item;
            }
            if awake {
                spin_loop();
                continue;
            }
            bell.doze();
            if inbox.is_empty() {
                here.sleep(None);
            }
            bell.awake();
        };
    };
    let name = if awake { "other runner, awake: round trip" } else { "other runner, asleep: round trip" };
    group.bench_function(name, |b| b.iter_custom(|n| timed(|| (0..n).for_each(|_| round())) / 2));
}

/// A message that an actix actor passes on `left` times more.
#[derive(Message)]
#[rtype(result = "()")]
struct Hop {
    item: Boxed,
    left: u64,
}

#[derive(Message)]
#[rtype(result = "()")]
struct Meet(Addr<Mailbox>);

struct Mailbox {
    peer: Option<Addr<Mailbox>>,
    done: mpsc::Sender<()>,
}

impl actix::Actor for Mailbox {
    type Context = Context<Self>;
    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(CAPACITY);
    }
}

impl Handler<Meet> for Mailbox {
    type Result = ();
    fn handle(&mut self, Meet(peer): Meet, _: &mut Self::Context) {
        self.peer = Some(peer);
    }
}

impl Handler<Hop> for Mailbox {
    type Result = ();
    fn handle(&mut self, hop: Hop, _: &mut Self::Context) {
        match (&self.peer, hop.left) {
            (_, 0) => self.done.send(()).expect("the bench waits"),
            (Some(peer), left) => peer.try_send(Hop { item: hop.item, left: left - 1 }).expect("one circulates"),
            (None, _) => drop(hop.item),
        }
    }
}

fn send(to: &Addr<Mailbox>, mut hop: Hop) {
    while let Err(e) = to.try_send(hop) {
        match e {
            SendError::Full(back) => hop = back,
            SendError::Closed(_) => unreachable!("the arbiter lives as long as the bench"),
        }
        spin_loop();
    }
}

fn actix_mailbox(group: &mut Group<'_>) {
    let _system = System::new();
    let arbiters = [Arbiter::new(), Arbiter::new()];
    let (done, waits) = mpsc::channel();
    let start = |arbiter: &Arbiter| {
        let done = done.clone();
        Mailbox::start_in_arbiter(&arbiter.handle(), |_| Mailbox { peer: None, done })
    };

    let sink = start(&arbiters[0]);
    group.bench_function("actix, other arbiter: streamed", |b| {
        b.iter_custom(|n| {
            timed(|| {
                // The last one says that all have been handled; the others are dropped.
                (1..n).for_each(|_| send(&sink, Hop { item: message(), left: 1 }));
                send(&sink, Hop { item: message(), left: 0 });
                waits.recv().expect("an actor says so");
            })
        });
    });

    for (name, at) in [("actix, same arbiter: to and fro", 0), ("actix, other arbiter: round trip", 1)] {
        let (a, b) = (start(&arbiters[0]), start(&arbiters[at]));
        a.try_send(Meet(b.clone())).expect("empty");
        b.try_send(Meet(a.clone())).expect("empty");
        group.bench_function(name, |bench| {
            bench.iter_custom(|n| {
                timed(|| {
                    send(&a, Hop { item: message(), left: n });
                    waits.recv().expect("an actor says so");
                })
            });
        });
    }
    for arbiter in arbiters {
        arbiter.stop();
        arbiter.join().expect("the arbiter ended well");
    }
}

fn hops(c: &mut Criterion) {
    let mut group = c.benchmark_group("hop");
    same_runner(&mut group);
    other_runner_streamed(&mut group);
    other_runner_round_trip(&mut group, true);
    other_runner_round_trip(&mut group, false);
    actix_mailbox(&mut group);
}

/// A steady state of some 160,000 timers, each 0.5 to 32 s long: one armed and one expired at each step of 0.1 ms.
fn wheel(c: &mut Criterion) {
    let mut rng = Rng::from_seed(1);
    let mut wheel = Wheel::<u64>::new();
    let mut now = Time::ZERO;
    let mut fired = 0u64;
    let mut step = || {
        now += Duration::from_micros(100);
        wheel.arm(now + Duration::from_micros(500_000 + rng.range(31_500_000)), 1);
        wheel.expire(now, |item| fired += item);
        wheel.next_deadline()
    };
    (0..400_000).for_each(|_| _ = step());
    c.bench_function("wheel: arm and expire one of 160,000", |b| b.iter(&mut step));
    assert!(fired > 0);
}

criterion_group! {
    name = all;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = hops, wheel
}
criterion_main!(all);
