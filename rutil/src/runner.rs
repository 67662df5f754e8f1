//! The runner: the only loop. It drains its actors, fires their deadlines, and sleeps on a bell.

use crate::{Actor, Bell, Clock, Sleeper, Time, Turn};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Passes without sleep after which the sleeper looks at its sockets all the same.
const LOOK_EVERY: u32 = 16;

thread_local! {
    /// The time of the pass that runs on this thread. The FIFOs use it to learn their service time; nothing else may.
    static PASS: Cell<Option<Time>> = const { Cell::new(None) };
}

/// The time of the pass that runs on this thread.
pub(crate) fn pass_time() -> Option<Time> {
    PASS.get()
}

/// Does `what` as a pass at `now`.
pub(crate) fn in_pass<R>(now: Time, what: impl FnOnce() -> R) -> R {
    PASS.set(Some(now));
    let done = what();
    PASS.set(None);
    done
}

/// Drives some actors on one thread, in the order in which they were added.
pub struct Runner<S: Sleeper, C: Clock> {
    sleeper: S,
    actors: Vec<Box<dyn Actor>>,
    /// Whose turn it is in a pass.
    order: Vec<usize>,
    clock: C,
    control: Arc<Control>,
}

/// How a runner is told from outside to end. Ring its bell after each change.
#[derive(Debug, Default)]
pub struct Control {
    /// End [`Runner::run`] at once.
    pub stop: AtomicBool,
    /// Say in `drained`, whenever there is nothing to do, whether all actors are drained.
    pub drain: AtomicBool,
    /// The runner's answer to `drain`.
    pub drained: AtomicBool,
}

impl<S: Sleeper, C: Clock> Runner<S, C> {
    /// A runner that sleeps as `sleeper` does, and ends when `control` says so.
    pub fn new(sleeper: S, clock: C, control: Arc<Control>) -> Self {
        Runner { sleeper, actors: Vec::new(), order: Vec::new(), clock, control }
    }

    /// Adds an actor behind the ones that are there; it has one turn in each pass.
    pub fn add(&mut self, actor: Box<dyn Actor>) {
        self.order.push(self.actors.len());
        self.actors.push(actor);
    }

    /// Whose turn it is in a pass, by the order of [`Runner::add`]: an actor may have several turns, each must have one.
    /// An order in which a message goes all its way in one pass saves the passes that would carry it on.
    ///
    /// # Panics
    /// When an actor has no turn, or there is no such actor.
    pub fn order(&mut self, order: Vec<usize>) {
        assert!((0..self.actors.len()).all(|actor| order.contains(&actor)), "every actor has a turn");
        assert!(order.iter().all(|actor| *actor < self.actors.len()), "every turn has an actor");
        self.order = order;
    }

    /// The bell that wakes this runner: for the FIFOs that feed it from other threads, and for who sets `stop`.
    pub fn bell(&self) -> Bell {
        self.sleeper.bell()
    }

    /// One turn of every actor; whether any did something.
    pub fn pass(&mut self, now: Time) -> Turn {
        in_pass(now, || {
            let mut all = self.sleeper.turn(now);
            for at in &self.order {
                if self.actors[*at].turn(now) == Turn::Worked {
                    all = Turn::Worked;
                }
            }
            // What was made in this pass goes out in this pass.
            if all == Turn::Worked {
                self.sleeper.turn(now);
            }
            all
        })
    }

    /// Whether anybody knows of something to do.
    fn wants_turn(&self) -> bool {
        self.sleeper.wants_turn() || self.actors.iter().any(|actor| actor.wants_turn())
    }

    /// Passes at `now` until no actor has anything to do, at most `limit` times: one step of a simulation. False when
    /// there was still work after `limit` passes (two actors that feed each other for ever).
    pub fn settle(&mut self, now: Time, limit: u32) -> bool {
        (0..limit).any(|_| self.pass(now) == Turn::Idle)
    }

    /// The earliest deadline of all actors.
    pub fn deadline(&self) -> Option<Time> {
        self.actors.iter().filter_map(|a| a.deadline()).chain(self.sleeper.deadline()).min()
    }

    /// Whether no actor has anything left that a graceful shutdown should wait for. The last are asked first: what they
    /// wait for is what the others keep, and those may have much to look through.
    pub fn drained(&self) -> bool {
        self.sleeper.drained() && self.actors.iter().rev().all(|a| a.drained())
    }

    /// Runs until [`Control::stop`] is set.
    pub fn run(&mut self) {
        let bell = self.sleeper.bell();
        // Passes since the last sleep.
        let mut passes = 0;
        while !self.control.stop.load(Ordering::Relaxed) {
            // After a pass that worked there is most often nothing left. It is looked for with the bell set, so that this is also
            // the look that must lie between setting the bell and sleeping.
            if passes > 0 {
                bell.doze();
            }
            let now = self.clock.now();
            let all_done = passes > 0 && !self.wants_turn();
            let idle = all_done || self.pass(now) == Turn::Idle && passes > 0;
            if idle && !self.control.stop.load(Ordering::Relaxed) {
                self.rest(now);
            }
            bell.awake();
            passes = if idle { 0 } else { passes + 1 };
            if passes > LOOK_EVERY {
                passes = 1;
                self.sleeper.sleep(Some(Duration::ZERO));
            }
        }
    }

    /// Nothing is left to do at `now`: sleeps until something comes.
    fn rest(&mut self, now: Time) {
        if self.control.drain.load(Ordering::Relaxed) {
            self.control.drained.store(self.drained(), Ordering::Release);
        }
        self.sleeper.sleep(self.deadline().map(|at| at.since(now)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Class, FifoReceiver, FifoSender, ParkSleeper, RealClock, VirtualClock, Wheel, fifo};
    use std::sync::atomic::AtomicU64;

    /// Passes on what it gets, a second later.
    struct Delay {
        inbox: FifoReceiver<u64>,
        wheel: Wheel<u64>,
        outbox: FifoSender<(u64, Time)>,
    }

    impl Actor for Delay {
        fn name(&self) -> &'static str {
            "delay"
        }
        fn turn(&mut self, now: Time) -> Turn {
            let mut turn = Turn::Idle;
            if let Some(item) = self.inbox.pop() {
                self.wheel.arm(now + Duration::from_secs(1), item);
                turn = Turn::Worked;
            }
            self.wheel.expire(now, |item| {
                self.outbox.push((item, now), Class::Internal, now).unwrap();
                turn = Turn::Worked;
            });
            turn
        }
        fn deadline(&self) -> Option<Time> {
            self.wheel.next_deadline()
        }
        fn drained(&self) -> bool {
            self.wheel.is_empty() && self.inbox.is_empty()
        }
    }

    /// Adds one and passes on at once: up to `last`, then it sets `stop`.
    struct Relay {
        inbox: FifoReceiver<u64>,
        outbox: FifoSender<u64>,
        last: u64,
        stop: Option<Arc<Control>>,
        seen: Arc<AtomicU64>,
    }

    impl Actor for Relay {
        fn name(&self) -> &'static str {
            "relay"
        }
        fn turn(&mut self, now: Time) -> Turn {
            let Some(item) = self.inbox.pop() else { return Turn::Idle };
            self.seen.fetch_add(1, Ordering::Relaxed);
            if item < self.last {
                self.outbox.push(item + 1, Class::Internal, now).unwrap();
            } else if let Some(stop) = &self.stop {
                stop.stop.store(true, Ordering::Relaxed);
            }
            Turn::Worked
        }
    }

    fn relay(inbox: FifoReceiver<u64>, outbox: FifoSender<u64>, last: u64, stop: Option<Arc<Control>>) -> Relay {
        Relay { inbox, outbox, last, stop, seen: Arc::default() }
    }

    #[test]
    fn two_actors_in_virtual_time() {
        let clock = VirtualClock::new();
        let (first, relay_in) = fifo("relay", 4, Bell::silent());
        let (relay_out, delay_in) = fifo("delay", 4, Bell::silent());
        let (delay_out, mut end) = fifo("end", 4, Bell::silent());
        let mut runner = Runner::new(ParkSleeper::new(), clock.clone(), Arc::default());
        // Against the flow, so that one pass cannot be enough.
        runner.add(Box::new(Delay { inbox: delay_in, wheel: Wheel::new(), outbox: delay_out }));
        runner.add(Box::new(relay(relay_in, relay_out, u64::MAX, None)));
        clock.advance(Duration::from_millis(250));
        for item in [10, 20] {
            first.push(item, Class::New, clock.now()).unwrap();
            assert!(runner.settle(clock.now(), 10));
            clock.advance(Duration::from_millis(400));
        }
        assert!(end.is_empty() && !runner.drained());
        let mut got = Vec::new();
        while let Some(at) = runner.deadline() {
            clock.advance_to(at);
            assert!(runner.settle(clock.now(), 10));
            got.extend(end.pop());
        }
        assert_eq!(got, [(11, Time::from_millis(1250)), (21, Time::from_millis(1650))]);
        assert!(runner.drained());
    }

    #[test]
    fn settle_gives_up_on_actors_that_feed_each_other_for_ever() {
        let (tx, rx) = fifo("round", 4, Bell::silent());
        tx.push(0, Class::New, Time::ZERO).unwrap();
        let mut runner = Runner::new(ParkSleeper::new(), VirtualClock::new(), Arc::default());
        let round = relay(rx, tx, u64::MAX, None);
        let seen = round.seen.clone();
        runner.add(Box::new(round));
        assert!(!runner.settle(Time::ZERO, 100));
        assert_eq!(seen.load(Ordering::Relaxed), 100);
    }

    #[test]
    fn a_runner_feeds_its_fifos_service_time() {
        let clock = VirtualClock::new();
        let (tx, rx) = fifo("in", 100, Bell::silent());
        let (out, _sink) = fifo("out", 100, Bell::silent());
        let meter = tx.meter().clone();
        (0..10).for_each(|i| tx.push(i, Class::New, clock.now()).unwrap());
        let mut runner = Runner::new(ParkSleeper::new(), clock.clone(), Arc::default());
        runner.add(Box::new(relay(rx, out, u64::MAX, None)));
        for _ in 0..2 {
            runner.pass(clock.now());
            clock.advance(Duration::from_millis(3));
        }
        assert_eq!(meter.expected_wait(), 8 * Duration::from_millis(3));
    }

    /// Works once, and knows when it has nothing more to do, or does not say so.
    struct Once {
        says: bool,
        turns: Arc<AtomicU64>,
    }

    impl Actor for Once {
        fn name(&self) -> &'static str {
            "once"
        }
        fn turn(&mut self, _: Time) -> Turn {
            if self.turns.fetch_add(1, Ordering::Relaxed) == 0 { Turn::Worked } else { Turn::Idle }
        }
        fn wants_turn(&self) -> bool {
            !self.says
        }
    }

    /// Ends its runner instead of sleeping.
    struct Sleepless(ParkSleeper, Arc<Control>);

    impl Actor for Sleepless {
        fn name(&self) -> &'static str {
            "sleepless"
        }
        fn turn(&mut self, _: Time) -> Turn {
            Turn::Idle
        }
        fn wants_turn(&self) -> bool {
            false
        }
    }

    impl Sleeper for Sleepless {
        fn sleep(&mut self, _: Option<Duration>) {
            self.1.stop.store(true, Ordering::Relaxed);
        }
        fn bell(&self) -> Bell {
            self.0.bell()
        }
    }

    #[test]
    fn a_pass_in_which_nobody_wants_a_turn_is_saved() {
        let turns_of = |says| {
            let (control, turns) = (Arc::<Control>::default(), Arc::<AtomicU64>::default());
            let mut runner = Runner::new(Sleepless(ParkSleeper::new(), control.clone()), RealClock::new(), control);
            runner.add(Box::new(Once { says, turns: turns.clone() }));
            runner.run();
            turns.load(Ordering::Relaxed)
        };
        assert_eq!([turns_of(true), turns_of(false)], [1, 2]);
    }

    #[test]
    fn staged_ping_pong_over_two_threads_loses_no_wake_up() {
        const LAST: u64 = 40_000;
        let stop = Arc::new(Control::default());
        let clock = RealClock::new();
        let mut runners = [(); 2].map(|()| Runner::new(ParkSleeper::new(), clock.clone(), stop.clone()));
        let bells = [0, 1].map(|i: usize| runners[i].bell());
        let (to_a, at_a) = fifo("a", 4, bells[0].clone());
        let (to_b, at_b) = fifo("b", 4, bells[1].clone());
        let a = relay(at_a, to_b.clone(), LAST, Some(stop.clone()));
        let b = relay(at_b, to_a.clone(), LAST, Some(stop.clone()));
        let seen = [a.seen.clone(), b.seen.clone()];
        runners[0].add(Box::new(a));
        runners[1].add(Box::new(b));
        std::thread::scope(|scope| {
            for mut runner in runners {
                let bells = bells.clone();
                scope.spawn(move || {
                    runner.run();
                    bells.iter().for_each(Bell::ring);
                });
            }
            to_a.push(0, Class::New, Time::ZERO).unwrap();
        });
        assert_eq!(seen.map(|s| s.load(Ordering::Relaxed)), [LAST / 2 + 1, LAST / 2]);
    }
}
