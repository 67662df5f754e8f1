//! The actor: a state machine plus the ends of its bounded FIFOs.

use crate::{Bell, Time};
use std::time::Duration;

/// What came of an actor's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing to do until something arrives or the deadline passes.
    Idle,
    /// Did something, or has more to do: give the others a turn and come back.
    Worked,
}

/// A state machine with bounded inboxes. It is driven by a [`crate::Runner`]; it is not a thread.
///
/// An actor may push and pop with calls that return at once, and is told the time. It may not block, sleep, or read
/// a clock. When the next FIFO is full it either sheds and counts, or *holds*: keeps one item, drains nothing more,
/// and asks by its deadline to be called again.
pub trait Actor: Send {
    /// The name in logs and statistics.
    fn name(&self) -> &'static str;

    /// Does a bounded amount of work (a batch, not all there is).
    fn turn(&mut self, now: Time) -> Turn;

    /// Whether a turn would find something to do, as far as that is quickly said: something lies in an inbox. What is due by
    /// time need not count, [`Actor::deadline`] tells it. A runner that has worked asks everybody before it sleeps, and saves
    /// a pass when nobody wants a turn; who does not know says yes.
    fn wants_turn(&self) -> bool {
        true
    }

    /// When it must be called again even if nothing arrives.
    fn deadline(&self) -> Option<Time> {
        None
    }

    /// True when nothing is left that a graceful shutdown should wait for.
    fn drained(&self) -> bool {
        true
    }
}

/// The actor of a runner that knows how to sleep until a socket is ready, a bell rings or time is up.
pub trait Sleeper: Actor {
    /// Sleeps at most `timeout` (`None`: until woken; zero: only looks). Called by the runner alone.
    fn sleep(&mut self, timeout: Option<Duration>);

    /// The bell that ends [`Sleeper::sleep`], also one that rang just before it. Every call must give a clone of the
    /// same bell: the runner says through it that it dozes, and the FIFOs' senders look there.
    fn bell(&self) -> Bell;
}
