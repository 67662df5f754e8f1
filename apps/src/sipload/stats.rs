//! What is counted while it runs. Each shard counts for itself; whoever reads adds up.

use parking_lot::Mutex;
use rutil::{Counter, Gauge, Histogram, Time};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// What waits to be told, at most.
const MOST_NOTES: usize = 1000;
/// Above this a call is counted as late.
const LATE: Duration = Duration::from_millis(1);
/// Most different causes of failures; further ones count as one.
const MOST_CAUSES: usize = 1000;
/// Most characters of one.
const LONGEST_CAUSE: usize = 200;

/// What one shard has counted.
#[derive(Debug, Default)]
pub(super) struct Stats {
    /// Sessions started.
    pub(super) started: Counter,
    /// Sessions that were to start and found no room.
    pub(super) not_started: Counter,
    /// Sessions that started more than a millisecond after their time.
    pub(super) late: Counter,
    /// Sessions that did all that they should.
    pub(super) succeeded: Counter,
    /// Sessions that did not.
    pub(super) failed: Counter,
    /// Sessions that the end of the run ended.
    pub(super) stopped: Counter,
    /// Calls that the peer ended before their time.
    pub(super) hung_up: Counter,
    /// Sessions in progress.
    pub(super) in_progress: Gauge,
    /// Responses that have come.
    pub(super) heard: Counter,
    /// Requests that the peers sent of themselves.
    pub(super) requests: Counter,
    /// From the scheduled time to the first provisional response but 100.
    pub(super) ringing: Histogram,
    /// From the scheduled time to the 2xx.
    pub(super) answered: Histogram,
    /// From BYE to its 2xx.
    pub(super) bye: Histogram,
    /// How far from its time a session started.
    pub(super) schedule: Histogram,
    /// Messages that a scenario sent again, and that came again.
    pub(super) repeated: Counter,
    pub(super) came_again: Counter,
    /// What a scenario tells people, until it is told.
    pub(super) notes: Mutex<VecDeque<String>>,
    /// Why sessions failed. Locked for a failure only.
    pub(super) causes: Mutex<BTreeMap<String, u64>>,
    /// Nothing is left to do.
    pub(super) done: AtomicBool,
}

impl Stats {
    /// Keeps something to be told; what is too much is left out.
    pub(super) fn note(&self, text: String) {
        let mut notes = self.notes.lock();
        if notes.len() < MOST_NOTES {
            notes.push_back(text);
        }
    }

    /// A call that was due then is started now.
    pub(super) fn started_at(&self, due: Time, now: Time) {
        self.schedule.record(now.since(due).max(due.since(now)));
        if now.since(due) > LATE {
            self.late.inc();
        }
    }

    /// Counts a failure.
    pub(super) fn fail(&self, cause: String) {
        self.failed.inc();
        // What peers say may be in it.
        let cause: String = cause.chars().take(LONGEST_CAUSE).map(|c| if c.is_control() { '?' } else { c }).collect();
        let mut causes = self.causes.lock();
        let room = causes.len() < MOST_CAUSES || causes.contains_key(&cause);
        *causes.entry(if room { cause } else { "other causes".to_owned() }).or_default() += 1;
    }
}
