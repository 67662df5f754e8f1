//! Counters, gauges and histograms of durations.

use hdrhistogram::Histogram as Hdr;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Counts up. One relaxed atomic.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// A counter at zero.
    pub const fn new() -> Self {
        Counter(AtomicU64::new(0))
    }
    /// Counts one.
    pub fn inc(&self) {
        self.add(1);
    }
    /// Counts `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }
    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A level that goes up and down. One relaxed atomic.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// A gauge at zero.
    pub const fn new() -> Self {
        Gauge(AtomicI64::new(0))
    }
    /// Moves by `by`.
    pub fn add(&self, by: i64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }
    /// Moves to `to`.
    pub fn set(&self, to: i64) {
        self.0.store(to, Ordering::Relaxed);
    }
    /// The level.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The longest duration that a [`Histogram`] tells from longer ones.
pub const LONGEST: Duration = Duration::from_secs(3600);

/// Durations from 1 ns to [`LONGEST`], each kept to 1 %, in some 40 KB.
///
/// Recording takes an uncontended lock: one thread should record, any may take a [`Snapshot`]. Threads that record much
/// keep a histogram each and [`Histogram::merge`] them.
#[derive(Debug)]
pub struct Histogram(Mutex<Hdr<u64>>);

/// What a [`Histogram`] held at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot(Hdr<u64>);

impl Histogram {
    /// An empty histogram.
    pub fn new() -> Self {
        // The bounds are constants that the crate accepts (low ≥ 1, high ≥ 2 × low, at most 5 digits).
        let hdr = Hdr::new_with_bounds(1, LONGEST.as_nanos() as u64, 2).expect("constant bounds");
        Histogram(Mutex::new(hdr))
    }
    /// Takes a duration; one beyond [`LONGEST`] counts as that.
    pub fn record(&self, took: Duration) {
        let nanos = took.min(LONGEST).as_nanos() as u64;
        self.0.lock().saturating_record(nanos);
    }
    /// Takes over all that `other` holds.
    pub fn merge(&self, other: &Snapshot) {
        // All have the same bounds, so nothing is out of range.
        let added = self.0.lock().add(&other.0);
        debug_assert!(added.is_ok());
    }
    /// Forgets everything.
    pub fn clear(&self) {
        self.0.lock().reset();
    }
    /// What it holds now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.0.lock().clone())
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Snapshot {
    /// How many durations were recorded.
    pub fn count(&self) -> u64 {
        self.0.len()
    }
    /// The mean; zero when empty.
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.0.mean() as u64)
    }
    /// The duration that a share `q` (0 to 1) of all did not exceed: 0.99 gives the 99th percentile; zero when empty.
    pub fn quantile(&self, q: f64) -> Duration {
        Duration::from_nanos(self.0.value_at_quantile(q))
    }
    /// The shortest; zero when empty.
    pub fn min(&self) -> Duration {
        Duration::from_nanos(self.0.min())
    }
    /// The longest; zero when empty.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.0.max())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Duration = Duration::from_micros(1);

    fn near(a: Duration, b: Duration) -> bool {
        a.abs_diff(b) <= b / 100 + Duration::from_nanos(1)
    }

    #[test]
    fn counters_count_on_all_threads() {
        static COUNTER: Counter = Counter::new();
        let gauge = Gauge::new();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    (0..1000).for_each(|_| {
                        COUNTER.inc();
                        gauge.add(2);
                        gauge.add(-3);
                    })
                });
            }
        });
        COUNTER.add(5);
        assert_eq!((COUNTER.get(), gauge.get()), (2005, -2000));
        gauge.set(7);
        assert_eq!(gauge.get(), 7);
    }

    #[test]
    fn quantiles_within_one_percent() {
        let histogram = Histogram::new();
        (1..=1000).for_each(|i| histogram.record(i * US));
        let seen = histogram.snapshot();
        assert_eq!(seen.count(), 1000);
        for (q, us) in [(0.5, 500), (0.99, 990), (0.999, 999), (1.0, 1000)] {
            assert!(near(seen.quantile(q), us * US), "{q}: {:?}", seen.quantile(q));
        }
        assert!(
            near(seen.mean(), Duration::from_nanos(500_500)) && near(seen.min(), US) && near(seen.max(), 1000 * US)
        );
    }

    #[test]
    fn empty_zero_endless_and_merged() {
        let (a, b) = (Histogram::new(), Histogram::new());
        let none = a.snapshot();
        assert_eq!(none.count(), 0);
        assert_eq!([none.mean(), none.quantile(0.99), none.max()], [Duration::ZERO; 3]);
        a.record(Duration::ZERO);
        b.record(Duration::MAX);
        a.merge(&b.snapshot());
        let both = a.snapshot();
        assert_eq!((both.count(), both.min()), (2, Duration::ZERO));
        assert!(near(both.max(), LONGEST), "{:?}", both.max());
        a.clear();
        assert_eq!(a.snapshot().count(), 0);
    }
}
