//! When calls start: a pure machine that knows no clock.
//!
//! With a rate (open loop) the moments are fixed beforehand: a peer that is slow delays no call, and the time that a call
//! was late counts as the peer's. So a pause of the peer's shows in every call that it kept waiting, not in one of
//! them (coordinated omission).

use std::time::Duration;

/// Calls a second over a stretch of time, from one rate to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stretch {
    /// How long it is.
    pub(super) length: Duration,
    /// Calls a second at its beginning,
    pub(super) from: f64,
    /// and at its end.
    pub(super) to: f64,
}

/// How much load there is, and when.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    /// Calls start at these rates, one stretch after the other.
    Open(Vec<Stretch>),
    /// So many calls are in progress, for so long.
    Closed(u32, Duration),
}

/// The moments at which the calls of one shard start, from the first on.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    stretches: std::vec::IntoIter<Stretch>,
    now: Option<Stretch>,
    /// Where the present stretch begins.
    begins: Duration,
    /// The number of the next call in the present stretch; of all shards' calls.
    next: f64,
    /// Every so many-th call is this shard's.
    step: f64,
}

/// How long a burst takes: its sessions start within it.
const BURST: Duration = Duration::from_millis(1);

impl Shape {
    /// So many sessions at once, again and again.
    pub(super) fn bursts(sessions: u32, every: Duration, length: Duration) -> Self {
        let burst = BURST.min(every);
        let count = (length.as_secs_f64() / every.as_secs_f64()).ceil() as usize;
        let together = Stretch::constant(f64::from(sessions) / burst.as_secs_f64(), burst);
        let pause = Stretch::constant(0.0, every.saturating_sub(burst));
        Shape::Open([together, pause].into_iter().cycle().take(count.max(1).saturating_mul(2).min(MOST)).collect())
    }

    /// How long sessions are started.
    pub(super) fn length(&self) -> Duration {
        match self {
            Shape::Open(stretches) => stretches.iter().map(|stretch| stretch.length).sum(),
            Shape::Closed(_, length) => *length,
        }
    }
}

/// The most stretches of bursts.
const MOST: usize = 1_000_000;

impl Stretch {
    /// A constant rate.
    pub(super) fn constant(rate: f64, length: Duration) -> Self {
        Stretch { length, from: rate, to: rate }
    }

    /// How many calls there are in it.
    fn calls(&self) -> f64 {
        (self.from + self.to) / 2.0 * self.length.as_secs_f64()
    }

    /// When call `n` starts, from the beginning of the stretch: where the integral of the rate is `n`.
    fn at(&self, n: f64) -> Duration {
        let slope = (self.to - self.from) / self.length.as_secs_f64().max(1e-9);
        // As a quotient without cancellation it holds for a constant rate too.
        let root = (self.from * self.from + 2.0 * slope * n).max(0.0).sqrt();
        let seconds = if n == 0.0 { 0.0 } else { 2.0 * n / (self.from + root) };
        Duration::try_from_secs_f64(seconds).unwrap_or(self.length).min(self.length)
    }
}

impl Schedule {
    /// The schedule of shard `shard` of `shards`.
    pub(super) fn new(stretches: Vec<Stretch>, shard: u16, shards: u16) -> Self {
        let mut stretches = stretches.into_iter();
        let now = stretches.next();
        Schedule { stretches, now, begins: Duration::ZERO, next: f64::from(shard), step: f64::from(shards) }
    }

    /// When the next call starts, from the beginning of the run; none when all have.
    pub(super) fn peek(&mut self) -> Option<Duration> {
        loop {
            let stretch = self.now?;
            if self.next < stretch.calls() {
                return Some(self.begins + stretch.at(self.next));
            }
            // A call that falls between two stretches begins the second.
            self.next -= stretch.calls();
            self.begins += stretch.length;
            self.now = self.stretches.next();
        }
    }

    /// Goes on to the call after this one.
    pub(super) fn advance(&mut self) {
        self.next += self.step;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(stretches: &[Stretch], shard: u16, shards: u16) -> Vec<Duration> {
        let mut schedule = Schedule::new(stretches.to_vec(), shard, shards);
        let mut at = Vec::new();
        while let Some(next) = schedule.peek() {
            at.push(next);
            schedule.advance();
        }
        at
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_constant_rate_has_even_gaps_and_no_drift() {
        let at = all(&[Stretch::constant(300.0, 10 * SECOND)], 0, 1);
        assert_eq!(at.len(), 3000);
        for (n, at) in at.iter().enumerate() {
            assert!(at.abs_diff(SECOND * n as u32 / 300) < Duration::from_nanos(100), "{n}: {at:?}");
        }
    }

    #[test]
    fn a_ramp_has_the_calls_under_its_line() {
        let at = all(&[Stretch { length: 10 * SECOND, from: 0.0, to: 100.0 }], 0, 1);
        assert_eq!(at.len(), 500);
        let before = |second: u32| at.iter().filter(|at| **at < SECOND * second).count();
        assert_eq!((before(1), before(2), before(5)), (5, 20, 125));
        assert!(at.is_sorted());
        let down = all(&[Stretch { length: 10 * SECOND, from: 100.0, to: 0.0 }], 0, 1);
        assert_eq!((down.len(), down.iter().filter(|at| **at < 5 * SECOND).count()), (500, 375));
    }

    #[test]
    fn steps_follow_each_other() {
        let steps = [Stretch::constant(10.0, SECOND), Stretch::constant(20.0, SECOND)];
        let at = all(&steps, 0, 1);
        assert_eq!((at.len(), at[10], at[29]), (30, SECOND, SECOND + Duration::from_millis(950)));
    }

    #[test]
    fn bursts_begin_together() {
        let Shape::Open(stretches) = Shape::bursts(50, SECOND, 3 * SECOND) else { panic!("it is open") };
        let at = all(&stretches, 0, 1);
        assert_eq!(at.len(), 150);
        for (n, burst) in at.chunks(50).enumerate() {
            let begin = SECOND * n as u32;
            assert!(burst.iter().all(|at| *at >= begin && *at < begin + 2 * BURST), "{n}: {burst:?}");
        }
        assert_eq!(Shape::bursts(50, SECOND, 3 * SECOND).length(), 3 * SECOND);
    }

    #[test]
    fn shards_share_the_calls_of_one() {
        let shape = [Stretch { length: 3 * SECOND, from: 7.0, to: 50.0 }, Stretch::constant(11.5, 4 * SECOND)];
        let mut both = all(&shape, 0, 2);
        both.extend(all(&shape, 1, 2));
        both.sort();
        assert_eq!(both, all(&shape, 0, 1));
    }

    #[test]
    fn nothing_is_never() {
        assert!(all(&[], 0, 1).is_empty());
        assert!(all(&[Stretch::constant(0.0, SECOND)], 0, 1).is_empty());
    }
}
