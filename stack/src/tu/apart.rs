//! A transaction user that the program drives itself: on an executor of its own, beside what else is done there.

use rutil::{Actor, Bell, Clock, Control, RealClock, Runner, Sleeper, Time, Turn};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Passes of one call of [`TuApart::work`]: a transaction user under load leaves room for others.
const PASSES: u32 = 16;

/// A transaction user on no runner of the stack's ([`crate::StackBuilder::register_tu_apart`]). What it hears comes by the
/// same bounded FIFO as ever, and so does what it says: when it is behind, the stack answers new requests with 503.
///
/// Dropped, it hears nothing more; the stack does not wait for it.
pub struct TuApart {
    runner: Runner<Elsewhere, RealClock>,
    bell: Bell,
    control: Arc<Control>,
    clock: RealClock,
}

/// When [`TuApart::work`] is to be called again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// As soon as others have had their turn: there is more to do.
    Again,
    /// When the bell rings, and after this time, if there is one.
    Until(Option<Duration>),
    /// Never: the stack has stopped.
    Over,
}

impl TuApart {
    pub(crate) fn new(actor: Box<dyn Actor>, bell: Bell, control: Arc<Control>, clock: RealClock) -> Self {
        let mut runner = Runner::new(Elsewhere(bell.clone()), clock.clone(), control.clone());
        runner.add(actor);
        TuApart { runner, bell, control, clock }
    }

    /// Does a bounded part of what there is to do, and says when to be called again. It returns at once.
    pub fn work(&mut self) -> Rest {
        self.bell.awake();
        for _ in 0..PASSES {
            if self.is_over() {
                return Rest::Over;
            }
            if self.runner.pass(self.clock.now()) == Turn::Worked {
                continue;
            }
            self.bell.doze();
            // What came before the bell was set rang for nobody.
            let now = self.clock.now();
            if self.is_over() || self.runner.pass(now) == Turn::Worked {
                self.bell.awake();
                return Rest::Again;
            }
            if self.control.drain.load(Ordering::Relaxed) {
                self.control.drained.store(self.runner.drained(), Ordering::Release);
            }
            return Rest::Until(self.runner.deadline().map(|at| at.since(now)));
        }
        Rest::Again
    }

    fn is_over(&self) -> bool {
        self.control.stop.load(Ordering::Relaxed)
    }
}

impl Drop for TuApart {
    fn drop(&mut self) {
        self.control.stop.store(true, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for TuApart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TuApart")
    }
}

/// It sleeps where nobody here sees it.
struct Elsewhere(Bell);

impl Actor for Elsewhere {
    fn name(&self) -> &'static str {
        "elsewhere"
    }

    fn turn(&mut self, _: Time) -> Turn {
        Turn::Idle
    }

    fn wants_turn(&self) -> bool {
        false
    }
}

impl Sleeper for Elsewhere {
    fn sleep(&mut self, _: Option<Duration>) {}

    fn bell(&self) -> Bell {
        self.0.clone()
    }
}
