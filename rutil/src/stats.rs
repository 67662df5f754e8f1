//! Counters, gauges and histograms of durations.

use hdrhistogram::Histogram as Hdr;
use std::fmt;
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

/// Bits of a duration's place among those with as many binary digits: 128 places, so each is kept to 1 %.
const PLACE_BITS: u32 = 7;

/// Places of durations up to [`LONGEST`].
const PLACES: usize = place(LONGEST.as_nanos() as u64) + 1;

/// Where a duration is counted: below 256 ns each has its own place, from there on 128 share each power of two.
const fn place(nanos: u64) -> usize {
    let shift = (u64::BITS - nanos.leading_zeros()).saturating_sub(PLACE_BITS + 1);
    ((shift as usize) << PLACE_BITS) + (nanos >> shift) as usize
}

/// The middle of the durations that share a place.
const fn middle(place: usize) -> u64 {
    let shift = (place >> PLACE_BITS).saturating_sub(1) as u32;
    let least = ((place - ((shift as usize) << PLACE_BITS)) as u64) << shift;
    least + (1 << shift) / 2
}

/// Durations up to [`LONGEST`], each kept to 1 %, in some 37 KB.
///
/// One thread records, which takes no lock and no read-modify-write; any may take a [`Snapshot`] meanwhile. Threads that
/// record each keep a histogram of their own, and whoever reads merges what they held ([`Snapshot::merge`]).
pub struct Histogram(Box<[AtomicU64]>);

/// What a [`Histogram`] held at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot(Hdr<u64>);

impl Histogram {
    /// An empty histogram.
    pub fn new() -> Self {
        Histogram((0..PLACES).map(|_| AtomicU64::new(0)).collect())
    }
    /// Takes a duration; one beyond [`LONGEST`] counts as that.
    pub fn record(&self, took: Duration) {
        let nanos = took.min(LONGEST).as_nanos() as u64;
        if let Some(count) = self.0.get(place(nanos)) {
            count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
    }
    /// What it holds now.
    pub fn snapshot(&self) -> Snapshot {
        let mut seen = Snapshot::default();
        for (place, count) in self.0.iter().enumerate() {
            let count = count.load(Ordering::Relaxed);
            if count > 0 {
                seen.0.saturating_record_n(middle(place), count);
            }
        }
        seen
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram").field("count", &self.snapshot().count()).finish_non_exhaustive()
    }
}

/// Nothing.
impl Default for Snapshot {
    fn default() -> Self {
        // The bounds are constants that the crate accepts (low ≥ 1, high ≥ 2 × low, at most 5 digits).
        Snapshot(Hdr::new_with_bounds(1, LONGEST.as_nanos() as u64, 2).expect("constant bounds"))
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
    /// The sum of all, each kept to 1 %; as more are recorded it never gets less.
    pub fn sum(&self) -> Duration {
        let nanos = |value: &hdrhistogram::iterators::IterationValue<u64>| {
            u128::from(value.value_iterated_to()) * u128::from(value.count_at_value())
        };
        let sum: u128 = self.0.iter_recorded().map(|value| nanos(&value)).sum();
        Duration::from_nanos(u64::try_from(sum).unwrap_or(u64::MAX))
    }
    /// How many were not longer than this, to 1 % of it.
    pub fn up_to(&self, longest: Duration) -> u64 {
        let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
        self.0.count_between(0, nanos.min(LONGEST.as_nanos() as u64))
    }
    /// The shortest; zero when empty.
    pub fn min(&self) -> Duration {
        Duration::from_nanos(self.0.min())
    }
    /// The longest; zero when empty.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.0.max())
    }
    /// Takes over all that `other` holds.
    pub fn merge(&mut self, other: &Snapshot) {
        // All have the same bounds, so nothing is out of range.
        let added = self.0.add(&other.0);
        debug_assert!(added.is_ok());
    }
    /// Adds `n` durations of zero: what whoever records leaves out because it is most of all.
    pub fn add_zeros(&mut self, n: u64) {
        self.0.saturating_record_n(0, n);
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
    fn sums_and_counts_of_those_up_to_a_bound() {
        let histogram = Histogram::new();
        assert_eq!((histogram.snapshot().sum(), histogram.snapshot().up_to(LONGEST)), (Duration::ZERO, 0));
        (1..=1000).for_each(|i| histogram.record(i * US));
        let seen = histogram.snapshot();
        assert!(near(seen.sum(), 500_500 * US), "{:?}", seen.sum());
        assert!(seen.up_to(250 * US).abs_diff(250) <= 3, "{}", seen.up_to(250 * US));
        assert_eq!((seen.up_to(Duration::from_nanos(900)), seen.up_to(Duration::MAX)), (0, 1000));
    }

    #[test]
    fn each_duration_has_a_place_of_its_size() {
        let mut last = 0;
        for nanos in (0..2000).chain((11..42).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1])) {
            let at = place(nanos);
            assert!(at == last || at > last && at < PLACES, "{nanos}: {at} after {last}");
            assert!(middle(at).abs_diff(nanos) <= nanos / 100, "{nanos}: {}", middle(at));
            last = at;
        }
        assert_eq!(place(LONGEST.as_nanos() as u64), PLACES - 1);
    }

    #[test]
    fn empty_zero_endless_and_merged() {
        let (a, b) = (Histogram::new(), Histogram::new());
        let none = a.snapshot();
        assert_eq!(none.count(), 0);
        assert_eq!([none.mean(), none.quantile(0.99), none.max()], [Duration::ZERO; 3]);
        a.record(Duration::ZERO);
        b.record(Duration::MAX);
        let mut both = a.snapshot();
        both.merge(&b.snapshot());
        assert_eq!((both.count(), both.min()), (2, Duration::ZERO));
        assert!(near(both.max(), LONGEST), "{:?}", both.max());
        both.add_zeros(98);
        assert_eq!((both.count(), both.quantile(0.98), both.mean() > Duration::ZERO), (100, Duration::ZERO, true));
    }
}
