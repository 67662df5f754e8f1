//! What must be true of a run.

use super::summary::Summary;
use std::fmt;
use std::time::Duration;

/// What must be true of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Criteria {
    /// The share of the scheduled calls that must succeed; without it one must.
    pub(super) min_success: Option<f64>,
    /// The longest 99th percentile of the time to the 2xx.
    pub(super) max_p99: Option<Duration>,
}

/// What was not true.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Missed {
    /// Nothing succeeded.
    Nothing,
    /// The share of calls that succeeded, and what it should have been.
    Success(f64, f64),
    /// The 99th percentile, and what it should have been.
    P99(Duration, Duration),
}

impl Criteria {
    /// What of it does not hold.
    pub(super) fn missed(&self, run: &Summary) -> Vec<Missed> {
        let mut missed = Vec::new();
        if run.succeeded == 0 {
            missed.push(Missed::Nothing);
        }
        if let Some(wanted) = self.min_success.filter(|wanted| run.success() < *wanted) {
            missed.push(Missed::Success(run.success(), wanted));
        }
        let p99 = run.answered.quantile(0.99);
        if let Some(wanted) = self.max_p99.filter(|wanted| p99 > *wanted) {
            missed.push(Missed::P99(p99, wanted));
        }
        missed
    }
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Missed::Nothing => f.write_str("nothing succeeded"),
            Missed::Success(share, wanted) => write!(f, "success {share:.4} is less than {wanted}"),
            Missed::P99(p99, wanted) => write!(f, "p99 {p99:.1?} is more than {wanted:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rutil::Histogram;

    fn run(succeeded: u64, scheduled: u64, slow: u64) -> Summary {
        let times = Histogram::new();
        (0..100).for_each(|n| times.record(Duration::from_millis(if n < slow { 500 } else { 5 })));
        let (started, answered) = (scheduled, times.snapshot());
        Summary { succeeded, started, answered, ..Summary::default() }
    }

    #[test]
    fn without_criteria_one_success_is_enough() {
        assert_eq!(Criteria::default().missed(&run(1, 100, 100)), []);
        assert_eq!(Criteria::default().missed(&run(0, 100, 0)), [Missed::Nothing]);
    }

    #[test]
    fn what_is_missed_is_named_with_what_was_wanted() {
        let criteria = Criteria { min_success: Some(0.99), max_p99: Some(Duration::from_millis(200)) };
        assert_eq!(criteria.missed(&run(99, 100, 1)), []);
        assert_eq!(criteria.missed(&run(98, 100, 1)), [Missed::Success(0.98, 0.99)]);
        let slow = criteria.missed(&run(100, 100, 2));
        assert!(matches!(slow[..], [Missed::P99(p99, _)] if p99 >= Duration::from_millis(490)), "{slow:?}");
        assert!(slow[0].to_string().ends_with("is more than 200ms"), "{}", slow[0]);
    }

    #[test]
    fn what_was_scheduled_and_not_started_did_not_succeed() {
        let criteria = Criteria { min_success: Some(0.99), max_p99: None };
        let run = Summary { not_started: 100, ..run(100, 100, 0) };
        assert_eq!(criteria.missed(&run), [Missed::Success(0.5, 0.99)]);
    }
}
