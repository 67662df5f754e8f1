//! Congestion zones from the meters of FIFOs, as reSIProcate's `GeneralCongestionManager` has them.

use crate::Time;
use crate::fifo::Meter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What may be taken on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Zone {
    /// Everything.
    #[default]
    Normal,
    /// All but new work, which is told to come back after [`CongestionManager::retry_after`].
    RejectNewWork,
    /// Only what finishes work in progress: what is in a dialog, responses, ACK.
    RejectNonEssential,
    /// The same, and even to say no costs too much: what is new is dropped unread.
    Drop,
}

impl Zone {
    /// The zone of a load in percent of the tolerance: above 80 no new work, above 100 nothing that is not essential,
    /// above 400 no answers to it either.
    pub const fn of_percent(percent: u32) -> Zone {
        match percent {
            0..=80 => Zone::Normal,
            81..=100 => Zone::RejectNewWork,
            101..=400 => Zone::RejectNonEssential,
            _ => Zone::Drop,
        }
    }
}

/// How much of what is tolerated in a FIFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tolerance {
    /// The wait that an item which arrives now has to expect ([`Meter::expected_wait`]).
    Wait(Duration),
    /// The number of items ([`Meter::depth`]).
    Depth(usize),
    /// The age of the oldest item ([`Meter::oldest_age`]).
    Age(Duration),
}

impl Tolerance {
    /// What `meter` shows at `now`, in percent of this, rounded down. Zero tolerance of something is over 100.
    pub fn percent(self, meter: &Meter, now: Time) -> u32 {
        // Most are empty most of the time, and then nothing need be computed.
        if meter.depth() == 0 {
            return 0;
        }
        match self {
            Tolerance::Wait(most) => share(meter.expected_wait(), most),
            Tolerance::Depth(most) => percent(meter.depth() as u128, most as u128),
            Tolerance::Age(most) => share(meter.oldest_age(now), most),
        }
    }
}

fn share(wait: Duration, most: Duration) -> u32 {
    percent(wait.as_nanos(), most.as_nanos())
}

fn percent(metric: u128, tolerance: u128) -> u32 {
    match (metric, tolerance) {
        (0, _) => 0,
        (_, 0) => u32::MAX,
        // Both are below 2^97 (a Duration in ns), so the product fits.
        (metric, tolerance) => u32::try_from(100 * metric / tolerance).unwrap_or(u32::MAX),
    }
}

/// How long something outside has waited to be taken in: what lies in the kernel's socket buffers. Whoever empties it
/// says whether it did; what is read next has waited no longer than since it was last empty. One writes, anyone reads.
#[derive(Debug)]
pub struct Backlog(AtomicU64);

/// Nothing waits.
const NO_BACKLOG: u64 = u64::MAX;

impl Backlog {
    /// Nothing waits.
    pub const fn new() -> Self {
        Backlog(AtomicU64::new(NO_BACKLOG))
    }

    /// Says whether something was left when it was looked at, at `now`.
    pub fn looked(&self, left: bool, now: Time) {
        let since = self.0.load(Ordering::Relaxed);
        match (left, since) {
            (true, NO_BACKLOG) => self.0.store(now.as_nanos(), Ordering::Relaxed),
            (false, NO_BACKLOG) | (true, _) => {}
            (false, _) => self.0.store(NO_BACKLOG, Ordering::Relaxed),
        }
    }

    /// How long it has not been empty: what is at its head has waited no longer.
    pub fn age(&self, now: Time) -> Duration {
        match self.0.load(Ordering::Relaxed) {
            NO_BACKLOG => Duration::ZERO,
            since => now.since(Time::from_nanos(since)),
        }
    }
}

impl Default for Backlog {
    fn default() -> Self {
        Self::new()
    }
}

/// Watches FIFOs, and what waits outside, and says what may be taken on. Built with the wiring, then shared unchanged: to
/// ask it is a few relaxed loads for each, cheap enough for every message.
#[derive(Clone, Debug, Default)]
pub struct CongestionManager {
    watched: Vec<(Arc<Meter>, Tolerance)>,
    outside: Option<(Arc<Backlog>, Duration)>,
}

/// The longest [`CongestionManager::retry_after`], in seconds.
pub const RETRY_AFTER_MAX: u32 = 60;

impl CongestionManager {
    /// A manager that watches nothing and lets everything pass.
    pub fn new() -> Self {
        Self::default()
    }

    /// Watches one more FIFO.
    pub fn watch(&mut self, meter: Arc<Meter>, tolerance: Tolerance) {
        self.watched.push((meter, tolerance));
    }

    /// Watches what waits outside, of which an age of `most` is tolerated.
    pub fn watch_outside(&mut self, backlog: Arc<Backlog>, most: Duration) {
        self.outside = Some((backlog, most));
    }

    /// The load of whatever is nearest to (or farthest beyond) its tolerance, in percent of it.
    pub fn percent(&self, now: Time) -> u32 {
        let inside = self.watched.iter().map(|(meter, tolerance)| tolerance.percent(meter, now)).max().unwrap_or(0);
        let outside = self.outside.as_ref().map_or(0, |(backlog, most)| share(backlog.age(now), *most));
        inside.max(outside)
    }

    /// The zone of the fullest FIFO.
    pub fn zone(&self, now: Time) -> Zone {
        Zone::of_percent(self.percent(now))
    }

    /// The longest wait that is seen or to be expected at `now`, in any FIFO or outside.
    pub fn longest_wait(&self, now: Time) -> Duration {
        let inside = self.watched.iter().map(|(meter, tolerance)| match tolerance {
            Tolerance::Age(_) => meter.oldest_age(now),
            Tolerance::Wait(_) | Tolerance::Depth(_) => meter.expected_wait(),
        });
        inside.chain(self.outside.iter().map(|(backlog, _)| backlog.age(now))).max().unwrap_or_default()
    }

    /// After how many seconds those who were rejected may come back: the longest expected wait, rounded up, from 1 to
    /// [`RETRY_AFTER_MAX`].
    pub fn retry_after(&self) -> u32 {
        let wait = self.watched.iter().map(|(meter, _)| meter.expected_wait()).max().unwrap_or_default();
        let seconds = wait.as_nanos().div_ceil(1_000_000_000);
        u32::try_from(seconds).unwrap_or(u32::MAX).clamp(1, RETRY_AFTER_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bell, Class, FifoReceiver, FifoSender, fifo};

    fn filled(depth: u64) -> (FifoSender<u64>, FifoReceiver<u64>) {
        let (tx, rx) = fifo("t", 1000, Bell::silent());
        for i in 0..depth {
            tx.push(i, Class::Internal, Time::ZERO).unwrap();
        }
        (tx, rx)
    }

    fn watching(depth: u64, tolerance: Tolerance) -> (CongestionManager, FifoReceiver<u64>) {
        let (tx, rx) = filled(depth);
        let mut manager = CongestionManager::new();
        manager.watch(tx.meter().clone(), tolerance);
        (manager, rx)
    }

    #[test]
    fn zones_begin_above_80_and_above_100_percent() {
        for (depth, zone) in [
            (0, Zone::Normal),
            (160, Zone::Normal),
            (162, Zone::RejectNewWork),
            (200, Zone::RejectNewWork),
            (202, Zone::RejectNonEssential),
            (800, Zone::RejectNonEssential),
            (802, Zone::Drop),
            (900, Zone::Drop),
        ] {
            let (manager, _rx) = watching(depth, Tolerance::Depth(200));
            assert_eq!(manager.zone(Time::ZERO), zone, "{depth}");
        }
    }

    #[test]
    fn age_counts_by_now() {
        let (manager, _rx) = watching(1, Tolerance::Age(Duration::from_secs(1)));
        assert_eq!(manager.percent(Time::from_millis(500)), 50);
        assert_eq!(manager.zone(Time::from_millis(900)), Zone::RejectNewWork);
        assert_eq!(manager.zone(Time::from_millis(1500)), Zone::RejectNonEssential);
    }

    #[test]
    fn wait_and_retry_after_follow_the_service_time() {
        let (manager, rx) = watching(100, Tolerance::Wait(Duration::from_secs(2)));
        assert_eq!((manager.percent(Time::ZERO), manager.retry_after()), (0, 1));
        rx.served(1, Duration::from_millis(25));
        assert_eq!((manager.percent(Time::ZERO), manager.retry_after()), (125, 3));
        rx.served(1, Duration::from_secs(1000));
        assert_eq!(manager.retry_after(), RETRY_AFTER_MAX);
    }

    #[test]
    fn what_waits_outside_counts_from_when_it_was_last_empty() {
        let backlog = Arc::new(Backlog::new());
        let mut manager = CongestionManager::new();
        manager.watch_outside(backlog.clone(), Duration::from_millis(100));
        let at = Time::from_millis;
        assert_eq!(manager.zone(at(10_000)), Zone::Normal, "nobody has looked yet");
        // Left over at 10 s, and again and again: its age counts from the first time.
        (0..3).for_each(|n| backlog.looked(true, at(10_000 + n)));
        let zones = [(10_080, Zone::Normal), (10_081, Zone::RejectNewWork), (10_101, Zone::RejectNonEssential)];
        zones.into_iter().for_each(|(ms, zone)| assert_eq!(manager.zone(at(ms)), zone, "{ms}"));
        assert_eq!(manager.zone(at(10_401)), Zone::Drop);
        backlog.looked(false, at(10_402));
        assert_eq!(manager.zone(at(10_402)), Zone::Normal);
        backlog.looked(true, at(20_000));
        assert_eq!((manager.percent(at(20_050)), backlog.age(at(20_050)).as_millis()), (50, 50));
    }

    #[test]
    fn the_fullest_decides_and_extremes_do_not_overflow() {
        let (mut manager, _rx) = watching(10, Tolerance::Depth(100));
        let (tx, rx) = filled(50);
        manager.watch(tx.meter().clone(), Tolerance::Depth(100));
        assert_eq!(manager.percent(Time::ZERO), 50);
        rx.served(1, Duration::MAX);
        manager.watch(tx.meter().clone(), Tolerance::Wait(Duration::from_nanos(1)));
        assert_eq!(manager.percent(Time::MAX), u32::MAX);
        assert_eq!(watching(1, Tolerance::Depth(0)).0.zone(Time::ZERO), Zone::Drop);
        assert_eq!(watching(0, Tolerance::Depth(0)).0.zone(Time::ZERO), Zone::Normal);
        assert_eq!(CongestionManager::new().zone(Time::MAX), Zone::Normal);
    }
}
