//! Which call is to start now: by a schedule, or because fewer than wanted are in progress. For one shard.

use super::schedule::{Schedule, Shape};
use rutil::Time;
use std::time::Duration;

/// A call may start so long before its time: the kernel wakes a sleeper only at whole milliseconds, so what is due next is
/// started with what is due now. Half a millisecond each way is the least error that this gives.
pub(super) const LEAD: Duration = Duration::from_micros(500);

/// Calls started in one go: what they command must fit into the stack's FIFO.
pub(super) const BATCH: usize = 64;

/// A shard's part of a number: with the others' it makes the whole.
pub(super) fn share(of: u32, shard: u16, shards: u16) -> usize {
    let (of, shard, shards) = (of as usize, usize::from(shard), usize::from(shards));
    of / shards + usize::from(shard < of % shards)
}

/// What is left to start.
pub(super) struct Pace {
    origin: Time,
    schedule: Schedule,
    /// When the next call is due; none when there are no more.
    next: Option<Time>,
    /// How many calls are wanted in progress, and for how long.
    wanted: Option<(usize, Duration)>,
    /// How many, and until when.
    closed: Option<(usize, Time)>,
}

impl Pace {
    /// Nothing starts before [`Pace::begin`], and never more than `limit` of all shards' calls are wanted in progress.
    pub(super) fn new(shape: Option<&Shape>, limit: u32, (shard, shards): (u16, u16)) -> Self {
        let (stretches, wanted) = match shape {
            Some(Shape::Open(stretches)) => (stretches.clone(), None),
            Some(Shape::Closed(calls, length)) => {
                (Vec::new(), Some((share((*calls).min(limit), shard, shards), *length)))
            }
            None => (Vec::new(), None),
        };
        let schedule = Schedule::new(stretches, shard, shards);
        Pace { origin: Time::ZERO, schedule, next: None, wanted, closed: None }
    }

    /// The run begins.
    pub(super) fn begin(&mut self, now: Time) {
        self.origin = now;
        self.next = self.schedule.peek().map(|at| now + at);
        self.closed = self.wanted.map(|(calls, length)| (calls, now + length));
    }

    /// When the next call was due, if it is to start now, so many being in progress. The one after it is the next then.
    pub(super) fn take(&mut self, in_progress: usize, now: Time) -> Option<Time> {
        if let Some(due) = self.next.filter(|due| *due <= now + LEAD) {
            self.schedule.advance();
            self.next = self.schedule.peek().map(|at| self.origin + at);
            return Some(due);
        }
        self.closed = self.closed.filter(|(_, until)| now < *until);
        self.closed.filter(|(calls, _)| in_progress < *calls).map(|_| now)
    }

    /// No further call starts.
    pub(super) fn stop(&mut self) {
        (self.next, self.closed) = (None, None);
    }

    /// Whether no further call starts.
    pub(super) fn is_over(&self) -> bool {
        self.next.is_none() && self.closed.is_none()
    }

    /// When to look again.
    pub(super) fn deadline(&self, in_progress: usize) -> Option<Time> {
        let open = self.next.map(|due| Time::from_nanos(due.as_nanos().saturating_sub(LEAD.as_nanos() as u64)));
        let closed = self.closed.map(|(calls, until)| if in_progress < calls { Time::ZERO } else { until });
        open.into_iter().chain(closed).min()
    }
}
