//! Congestion zones from the meters of FIFOs, as reSIProcate's `GeneralCongestionManager` has them.

use crate::Time;
use crate::fifo::Meter;
use std::sync::Arc;
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
}

impl Zone {
    /// The zone of a load in percent of the tolerance: above 80 no new work, above 100 nothing that is not essential.
    pub const fn of_percent(percent: u32) -> Zone {
        match percent {
            0..=80 => Zone::Normal,
            81..=100 => Zone::RejectNewWork,
            _ => Zone::RejectNonEssential,
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
        let (metric, tolerance) = match self {
            Tolerance::Wait(most) => (meter.expected_wait().as_nanos(), most.as_nanos()),
            Tolerance::Depth(most) => (meter.depth() as u128, most as u128),
            Tolerance::Age(most) => (meter.oldest_age(now).as_nanos(), most.as_nanos()),
        };
        match (metric, tolerance) {
            (0, _) => 0,
            (_, 0) => u32::MAX,
            // Both are below 2^97 (a Duration in ns), so the product fits.
            (metric, tolerance) => u32::try_from(100 * metric / tolerance).unwrap_or(u32::MAX),
        }
    }
}

/// Watches FIFOs and says what may be taken on. Built with the wiring, then shared unchanged: to ask it is a few relaxed
/// loads a FIFO, cheap enough for every message.
#[derive(Clone, Debug, Default)]
pub struct CongestionManager {
    watched: Vec<(Arc<Meter>, Tolerance)>,
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

    /// The load of the FIFO nearest to (or farthest beyond) its tolerance, in percent of it.
    pub fn percent(&self, now: Time) -> u32 {
        self.watched.iter().map(|(meter, tolerance)| tolerance.percent(meter, now)).max().unwrap_or(0)
    }

    /// The zone of the fullest FIFO.
    pub fn zone(&self, now: Time) -> Zone {
        Zone::of_percent(self.percent(now))
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
            (900, Zone::RejectNonEssential),
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
    fn the_fullest_decides_and_extremes_do_not_overflow() {
        let (mut manager, _rx) = watching(10, Tolerance::Depth(100));
        let (tx, rx) = filled(50);
        manager.watch(tx.meter().clone(), Tolerance::Depth(100));
        assert_eq!(manager.percent(Time::ZERO), 50);
        rx.served(1, Duration::MAX);
        manager.watch(tx.meter().clone(), Tolerance::Wait(Duration::from_nanos(1)));
        assert_eq!(manager.percent(Time::MAX), u32::MAX);
        assert_eq!(watching(1, Tolerance::Depth(0)).0.zone(Time::ZERO), Zone::RejectNonEssential);
        assert_eq!(watching(0, Tolerance::Depth(0)).0.zone(Time::ZERO), Zone::Normal);
        assert_eq!(CongestionManager::new().zone(Time::MAX), Zone::Normal);
    }
}
