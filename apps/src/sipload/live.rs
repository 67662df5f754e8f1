//! What a run is like while it runs: a line a second, and the points that the report draws.

use super::summary::Summary;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

/// How often there is a line.
const EVERY: Duration = Duration::from_secs(1);
/// The most points that are kept: then every second one is dropped, and half as many are taken.
const MOST: usize = 3600;

/// The run at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    /// From the beginning.
    pub(super) at: Duration,
    /// Sessions started since the point before, a second.
    pub(super) started: f64,
    /// The same of those that succeeded,
    pub(super) succeeded: f64,
    /// and failed.
    pub(super) failed: f64,
    /// In progress.
    pub(super) in_progress: u64,
    /// The 99th percentile of the time to the answer, from the beginning.
    pub(super) p99: Duration,
}

/// The run so far.
#[derive(Debug, Default)]
pub(super) struct Live {
    points: Vec<Point>,
    /// Seconds from one point that is kept to the next, and how many since the last.
    stride: u32,
    since: u32,
    next: Duration,
    last: (Duration, [u64; 3]),
}

impl Live {
    /// Whether it is time for [`Live::look`].
    pub(super) fn is_due(&self, at: Duration) -> bool {
        at >= self.next.max(EVERY)
    }

    /// Takes a point.
    pub(super) fn look(&mut self, at: Duration, run: &Summary) -> Point {
        self.next = at + EVERY;
        let counts = [run.started, run.succeeded, run.failed];
        let (before, old) = self.last;
        let seconds = at.saturating_sub(before).as_secs_f64().max(1e-9);
        let rate = |at: usize| match (counts.get(at), old.get(at)) {
            (Some(now), Some(then)) => now.saturating_sub(*then) as f64 / seconds,
            _ => 0.0,
        };
        let (in_progress, p99) = (run.unfinished, run.answered.quantile(0.99));
        let point = Point { at, started: rate(0), succeeded: rate(1), failed: rate(2), in_progress, p99 };
        self.last = (at, counts);
        self.since += 1;
        if self.since > self.stride {
            self.since = 0;
            self.points.push(point);
        }
        if self.points.len() > MOST {
            let mut keep = false;
            self.points.retain(|_| {
                std::mem::replace(&mut keep, false) || {
                    keep = true;
                    false
                }
            });
            self.stride = self.stride * 2 + 1;
        }
        point
    }

    /// Takes the last point, unless it would cover so little that its rates say nothing.
    pub(super) fn finish(&mut self, at: Duration, run: &Summary) {
        if self.points.is_empty() || at.saturating_sub(self.last.0) >= EVERY / 2 {
            self.look(at, run);
        }
    }

    /// The points.
    pub(super) fn points(&self) -> &[Point] {
        &self.points
    }
}

/// The line of a point.
pub(super) fn line(point: &Point) -> String {
    let Point { at, started, succeeded, failed, in_progress, p99 } = point;
    format!(
        "{:.0} s: {started:.0}/s, {succeeded:.0} succeeded, {failed:.0} failed, {in_progress} in progress, p99 {:.3} ms",
        at.as_secs_f64(),
        p99.as_secs_f64() * 1e3
    )
}

/// Shows a line: at a terminal in the place of the one before. It is only for people; if it cannot be written, it is left out.
pub(super) fn show(point: &Point) {
    let mut err = io::stderr().lock();
    let _ = if err.is_terminal() { write!(err, "\r{}\x1b[K", line(point)) } else { writeln!(err, "{}", line(point)) };
    let _ = err.flush();
}

/// Takes the last line away, at a terminal.
pub(super) fn clear() {
    let mut err = io::stderr().lock();
    if err.is_terminal() {
        let _ = write!(err, "\r\x1b[K");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(started: u64) -> Summary {
        Summary { started, succeeded: started / 2, failed: started / 4, unfinished: 7, ..Summary::default() }
    }

    #[test]
    fn rates_are_since_the_point_before() {
        let mut live = Live::default();
        assert!(!live.is_due(EVERY / 2) && live.is_due(EVERY));
        live.look(EVERY, &run(100));
        assert!(!live.is_due(EVERY * 3 / 2));
        let point = live.look(EVERY * 3, &run(500));
        assert_eq!((point.started, point.succeeded, point.failed, point.in_progress), (200.0, 100.0, 50.0, 7));
        assert_eq!(line(&point), "3 s: 200/s, 100 succeeded, 50 failed, 7 in progress, p99 0.000 ms");
    }

    #[test]
    fn the_last_point_covers_half_a_second_at_least() {
        let mut live = Live::default();
        live.finish(EVERY / 10, &run(10));
        assert_eq!(live.points().len(), 1, "a short run has one");
        live.look(EVERY * 2, &run(100));
        live.finish(EVERY * 2 + Duration::from_micros(3), &run(101));
        assert!(live.points().iter().all(|point| point.started <= 100.0), "{:?}", live.points());
        live.finish(EVERY * 5 / 2, &run(150));
        assert_eq!((live.points().len(), live.points()[2].started), (3, 100.0));
    }

    #[test]
    fn a_long_run_keeps_points_of_all_of_it() {
        let mut live = Live::default();
        for second in 1..=20_000 {
            live.look(EVERY * second, &run(u64::from(second)));
        }
        let points = live.points();
        assert!((MOST / 4..=MOST).contains(&points.len()), "{}", points.len());
        assert!(points[0].at < EVERY * 100 && points[points.len() - 1].at > EVERY * 19_980);
        assert!(points.windows(2).all(|two| two[0].at < two[1].at));
    }
}
