//! The runner: the only loop. It drains its actors, fires their deadlines, and sleeps on a bell.

use crate::{Actor, Clock, Sleeper, Time, Turn};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Passes without sleep after which the sleeper looks at its sockets all the same.
const LOOK_EVERY: u32 = 16;

/// Drives some actors on one thread, in the order in which they were added.
pub struct Runner<S: Sleeper, C: Clock> {
    sleeper: S,
    actors: Vec<Box<dyn Actor>>,
    clock: C,
    stop: Arc<AtomicBool>,
}

impl<S: Sleeper, C: Clock> Runner<S, C> {
    /// A runner that sleeps as `sleeper` does. `stop` ends [`Runner::run`]; ring the sleeper's bell after setting it.
    pub fn new(sleeper: S, clock: C, stop: Arc<AtomicBool>) -> Self {
        Runner { sleeper, actors: Vec::new(), clock, stop }
    }

    /// Adds an actor behind the ones that are there.
    pub fn add(&mut self, actor: Box<dyn Actor>) {
        self.actors.push(actor);
    }

    /// One turn of every actor; whether any did something.
    pub fn pass(&mut self, now: Time) -> Turn {
        let mut all = self.sleeper.turn(now);
        for actor in &mut self.actors {
            if actor.turn(now) == Turn::Worked {
                all = Turn::Worked;
            }
        }
        all
    }

    /// The earliest deadline of all actors.
    pub fn deadline(&self) -> Option<Time> {
        self.actors.iter().filter_map(|a| a.deadline()).chain(self.sleeper.deadline()).min()
    }

    /// Whether no actor has anything left that a graceful shutdown should wait for.
    pub fn drained(&self) -> bool {
        self.sleeper.drained() && self.actors.iter().all(|a| a.drained())
    }

    /// Runs until `stop` is set.
    pub fn run(&mut self) {
        let bell = self.sleeper.bell();
        let mut busy = 0;
        while !self.stop.load(Ordering::Relaxed) {
            if self.pass(self.clock.now()) == Turn::Worked {
                busy += 1;
                if busy == LOOK_EVERY {
                    busy = 0;
                    self.sleeper.sleep(Some(Duration::ZERO));
                }
                continue;
            }
            busy = 0;
            bell.doze();
            // Something may have been pushed between the pass and `doze`: look once more before sleeping.
            let now = self.clock.now();
            if self.pass(now) == Turn::Idle && !self.stop.load(Ordering::Relaxed) {
                self.sleeper.sleep(self.deadline().map(|at| at.since(now)));
            }
            bell.awake();
        }
    }
}
