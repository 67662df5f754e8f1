//! Requests that wait for an answer from elsewhere: a processor has asked a service, and goes on when that has answered.
//!
//! Bounded by `limits.waiting`; an entry leaves with its answer, its CANCEL, or its time.

use super::request_context::RequestState;
use rutil::hash::Keyed;
use rutil::{HashMap, Rng, Time, Wheel};
use stack::tu::{ServerTransaction, TuPoster};
use std::any::Any;
use std::time::Duration;

/// How exact the time is that is waited, nanoseconds.
const TICK: u64 = 20_000_000;

/// Where the answer to what a processor asked is given. It may go to any thread.
pub struct Waiter {
    poster: Option<TuPoster>,
    shard: u16,
    ticket: u64,
}

/// An answer on its way to the shard that waits for it.
pub(super) struct Answer {
    pub(super) ticket: u64,
    pub(super) item: Box<dyn Any + Send>,
}

/// The proxy has no room for an answer, or is gone; when it has room, the answer may be given again.
#[derive(Debug, thiserror::Error)]
#[error("the proxy takes no answer now")]
pub struct NotTaken;

impl Waiter {
    pub(super) fn new(poster: Option<TuPoster>, shard: u16, ticket: u64) -> Self {
        Waiter { poster, shard, ticket }
    }

    /// Gives the answer: [`crate::processors::Processor::resume`] gets it, if the request still waits.
    ///
    /// # Errors
    /// When the proxy is so busy that it takes nothing more, or has stopped.
    pub fn answer(&self, item: impl Any + Send) -> Result<(), NotTaken> {
        let answer = Answer { ticket: self.ticket, item: Box::new(item) };
        let poster = self.poster.as_ref().ok_or(NotTaken)?;
        poster.post(self.shard.into(), Box::new(answer)).map_err(|_| NotTaken)
    }
}

/// A request that waits.
pub(super) struct Parked {
    pub(super) state: RequestState,
    /// The processor that asked.
    pub(super) at: usize,
}

/// The requests of a shard that wait.
pub(super) struct ParkingLot {
    parked: HashMap<u64, Parked>,
    /// Which of them is whose: for CANCEL.
    of: HashMap<ServerTransaction, u64>,
    times: Wheel<u64, TICK>,
    next: u64,
}

impl ParkingLot {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let hasher = Keyed::new(rng);
        ParkingLot {
            parked: HashMap::with_hasher(hasher.clone()),
            of: HashMap::with_hasher(hasher),
            times: Wheel::new(),
            next: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.parked.len()
    }

    pub(super) fn next_ticket(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn park(&mut self, ticket: u64, parked: Parked, until: Time) {
        if let Some(transaction) = parked.state.transaction {
            self.of.insert(transaction, ticket);
        }
        self.parked.insert(ticket, parked);
        self.times.arm(until, ticket);
    }

    pub(super) fn take(&mut self, ticket: u64) -> Option<Parked> {
        let parked = self.parked.remove(&ticket)?;
        if let Some(transaction) = parked.state.transaction {
            self.of.remove(&transaction);
        }
        Some(parked)
    }

    /// Takes out the request of a transaction.
    pub(super) fn take_of(&mut self, transaction: ServerTransaction) -> Option<Parked> {
        let ticket = *self.of.get(&transaction)?;
        self.take(ticket)
    }

    /// One whose time is over.
    pub(super) fn pop(&mut self, now: Time) -> Option<Parked> {
        while let Some(ticket) = self.times.pop(now) {
            if let Some(parked) = self.take(ticket) {
                return Some(parked);
            }
        }
        None
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.times.next_deadline()
    }
}

/// What a processor waits for.
pub(super) struct Waiting {
    pub(super) ticket: u64,
    pub(super) patience: Duration,
}
