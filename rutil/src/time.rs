//! Time as an argument: a monotonic [`Time`], the real clock and a virtual one.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// A point of monotonic time: nanoseconds since the origin of the [`Clock`] that gave it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(u64);

impl Time {
    /// The clock's origin.
    pub const ZERO: Time = Time(0);
    /// Later than every deadline: "never".
    pub const MAX: Time = Time(u64::MAX);

    /// The point `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Time(nanos)
    }
    /// The point `millis` milliseconds after the origin.
    pub const fn from_millis(millis: u64) -> Self {
        Time(millis.saturating_mul(1_000_000))
    }
    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }
    /// Whole milliseconds since the origin.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }
    /// The point so long before this one, at most the origin.
    pub fn before(self, by: Duration) -> Self {
        Time(self.0.saturating_sub(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
    /// Time passed since `earlier`, zero when `earlier` is later.
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, by: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl AddAssign<Duration> for Time {
    fn add_assign(&mut self, by: Duration) {
        *self = *self + by;
    }
}

impl Sub for Time {
    type Output = Duration;
    fn sub(self, earlier: Time) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000_000, self.0 / 1_000 % 1_000_000)
    }
}

/// Where a runner reads the time. Actors never see it: they are given `now`.
pub trait Clock: Send {
    /// The present.
    fn now(&self) -> Time;

    /// How long after the Unix epoch its origin was, by the wall clock of this moment; zero if that stands before the epoch.
    /// A wall clock that is set moves it. For what must be understood elsewhere: inside, only [`Time`] is compared.
    fn epoch(&self) -> Duration;
}

/// The machine's monotonic clock. Clones share their origin, so their times can be compared.
#[derive(Clone, Debug)]
pub struct RealClock {
    origin: Instant,
}

impl RealClock {
    /// A clock whose origin is this moment.
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn new() -> Self {
        RealClock { origin: Instant::now() }
    }
}

impl Default for RealClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for RealClock {
    fn now(&self) -> Time {
        Time::ZERO + self.origin.elapsed()
    }

    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    fn epoch(&self) -> Duration {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        since.saturating_sub(self.origin.elapsed())
    }
}

/// A clock that stands still until it is told to move: for tests and simulation. Clones show the same time.
#[derive(Clone, Debug, Default)]
pub struct VirtualClock {
    nanos: Arc<AtomicU64>,
    epoch: Arc<AtomicU64>,
}

impl VirtualClock {
    /// A clock at [`Time::ZERO`].
    pub fn new() -> Self {
        Self::default()
    }
    /// Moves to `to`; a time in the past is ignored.
    pub fn advance_to(&self, to: Time) {
        self.nanos.fetch_max(to.as_nanos(), Ordering::SeqCst);
    }
    /// Moves forward by `by`.
    pub fn advance(&self, by: Duration) {
        self.advance_to(self.now() + by);
    }
    /// Sets the wall clock, so that its origin was so long after the Unix epoch; at first it was there.
    pub fn set_epoch(&self, epoch: Duration) {
        self.epoch.store(u64::try_from(epoch.as_nanos()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Time {
        Time(self.nanos.load(Ordering::SeqCst))
    }

    fn epoch(&self) -> Duration {
        Duration::from_nanos(self.epoch.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        let second = Duration::from_secs(1);
        assert_eq!(Time::from_millis(1500) - Time::from_millis(500), second);
        assert_eq!(Time::ZERO - Time::from_millis(1), Duration::ZERO);
        assert_eq!(Time::from_nanos(u64::MAX - 1) + second, Time::MAX);
        assert_eq!((Time::ZERO + Duration::MAX, Time::from_millis(u64::MAX)), (Time::MAX, Time::MAX));
        assert_eq!(format!("{:?}", Time::from_nanos(61_002_003_999)), "61.002003s");
    }

    #[test]
    fn the_virtual_clock_is_shared_and_never_goes_back() {
        let clock = VirtualClock::new();
        let other = clock.clone();
        clock.advance(Duration::from_millis(20));
        other.advance_to(Time::from_millis(10));
        assert_eq!(other.now().as_millis(), 20);
    }

    #[test]
    fn clones_of_the_real_clock_compare() {
        let clock = RealClock::new();
        let before = clock.now();
        assert!(clock.clone().now() >= before);
        // The wall clock is that of the system: after 2020, and before 2120.
        let wall = (clock.epoch() + clock.now().since(Time::ZERO)).as_secs();
        assert!((1_577_836_800..4_733_510_400).contains(&wall), "{wall}");
    }
}
