//! What a run was like, for people and for programs.

use super::stats::Stats;
use rutil::stats::Snapshot;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What a run was like.
#[derive(Clone, Debug, Default)]
pub(super) struct Summary {
    /// What it was: the method of the first request, or `uas`.
    pub(super) what: &'static str,
    /// From its beginning to its end.
    pub(super) took: Duration,
    /// How long sessions were started.
    pub(super) generated: Duration,
    pub(super) started: u64,
    pub(super) not_started: u64,
    pub(super) late: u64,
    pub(super) succeeded: u64,
    pub(super) failed: u64,
    pub(super) stopped: u64,
    /// Calls that the peer ended before their time.
    pub(super) hung_up: u64,
    /// Sessions that were in progress when it was left.
    pub(super) unfinished: u64,
    pub(super) heard: u64,
    pub(super) requests: u64,
    pub(super) ringing: Snapshot,
    pub(super) answered: Snapshot,
    pub(super) bye: Snapshot,
    pub(super) schedule: Snapshot,
    pub(super) causes: BTreeMap<String, u64>,
    /// Messages that the stack sent again.
    pub(super) retransmitted: u64,
    /// Messages of the peers that came again.
    pub(super) absorbed: u64,
    /// Requests that got no response in time.
    pub(super) timeouts: u64,
    /// CPU time of the process.
    pub(super) cpu: Duration,
    /// The highest rate that met the criteria, where one was searched and this was the attempt.
    pub(super) best_rate: Option<f64>,
}

/// The quantiles that are told.
pub(super) const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)];

impl Summary {
    /// What all shards have counted.
    pub(super) fn of(what: &'static str, shards: &[Arc<Stats>]) -> Self {
        let mut all = Summary { what, ..Summary::default() };
        for shard in shards {
            all.started += shard.started.get();
            all.not_started += shard.not_started.get();
            all.late += shard.late.get();
            all.succeeded += shard.succeeded.get();
            all.failed += shard.failed.get();
            all.stopped += shard.stopped.get();
            all.hung_up += shard.hung_up.get();
            all.unfinished += u64::try_from(shard.in_progress.get()).unwrap_or(0);
            all.heard += shard.heard.get();
            all.requests += shard.requests.get();
            all.ringing.merge(&shard.ringing.snapshot());
            all.answered.merge(&shard.answered.snapshot());
            all.bye.merge(&shard.bye.snapshot());
            all.schedule.merge(&shard.schedule.snapshot());
            for (cause, count) in shard.causes.lock().iter() {
                *all.causes.entry(cause.clone()).or_default() += count;
            }
        }
        all
    }

    /// The share of what was to start that succeeded; what the user ended counts neither way.
    pub(super) fn success(&self) -> f64 {
        let counted = (self.started + self.not_started).saturating_sub(self.stopped);
        self.succeeded as f64 / counted.max(1) as f64
    }

    fn cpu_per_session(&self) -> Duration {
        u32::try_from(self.started).ok().and_then(|n| self.cpu.checked_div(n)).unwrap_or_default()
    }

    /// Sessions started a second.
    pub(super) fn rate(&self) -> f64 {
        if self.generated.is_zero() { 0.0 } else { self.started as f64 / self.generated.as_secs_f64() }
    }

    /// The histograms that hold something, with their names.
    pub(super) fn times(&self) -> impl Iterator<Item = (&'static str, &Snapshot)> {
        let all = [
            ("post_dial_delay", &self.ringing),
            ("answered", &self.answered),
            ("bye", &self.bye),
            ("scheduling_error", &self.schedule),
        ];
        all.into_iter().filter(|(_, times)| times.count() > 0)
    }

    /// For programs: times in milliseconds.
    pub(super) fn to_json(&self, missed: &[String]) -> Value {
        let times: serde_json::Map<String, Value> = self
            .times()
            .map(|(name, times)| {
                let mut of = serde_json::Map::new();
                of.insert("count".into(), times.count().into());
                of.insert("mean".into(), millis(times.mean()).into());
                of.extend(QUANTILES.iter().map(|(name, q)| ((*name).into(), millis(times.quantile(*q)).into())));
                of.insert("max".into(), millis(times.max()).into());
                (name.to_owned(), Value::Object(of))
            })
            .collect();
        json!({
            "what": self.what,
            "seconds": self.took.as_secs_f64(),
            "rate": self.rate(),
            "started": self.started,
            "not_started": self.not_started,
            "late": self.late,
            "succeeded": self.succeeded,
            "failed": self.failed,
            "stopped": self.stopped,
            "ended_by_peer": self.hung_up,
            "unfinished": self.unfinished,
            "success": self.success(),
            "responses": self.heard,
            "requests": self.requests,
            "retransmitted": self.retransmitted,
            "absorbed": self.absorbed,
            "timeouts": self.timeouts,
            "causes": self.causes,
            "times_ms": times,
            "cpu_us_per_session": self.cpu_per_session().as_secs_f64() * 1e6,
            "missed": missed,
            "best_rate": self.best_rate,
        })
    }
}

/// To the microsecond.
pub(super) fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { started, succeeded, failed, .. } = self;
        writeln!(f, "{}: {started} in {:.1} s ({:.1}/s)", self.what, self.took.as_secs_f64(), self.rate())?;
        writeln!(f, "  succeeded {succeeded} ({:.2} %), failed {failed}", self.success() * 100.0)?;
        if let Some(rate) = self.best_rate {
            writeln!(f, "  the highest rate that meets the criteria: {rate:.0}/s")?;
        }
        for (name, count) in [
            ("ended by the end of the run", self.stopped),
            ("ended by the peer", self.hung_up),
            ("unfinished", self.unfinished),
            ("not started for want of room", self.not_started),
            ("started more than 1 ms late", self.late),
            ("messages sent again", self.retransmitted),
            ("messages that came again", self.absorbed),
            ("requests without an answer", self.timeouts),
            ("requests from the other side", self.requests),
        ] {
            if count > 0 {
                writeln!(f, "  {name}: {count}")?;
            }
        }
        for (cause, count) in &self.causes {
            writeln!(f, "  failed: {count} x {cause}")?;
        }
        if self.times().next().is_some() {
            writeln!(f, "  {:<18}{:>9}{:>9}{:>9}{:>9}{:>9}", "ms", "p50", "p90", "p99", "p999", "max")?;
        }
        for (name, times) in self.times() {
            write!(f, "  {:<18}", name.replace('_', " "))?;
            for (_, q) in QUANTILES {
                write!(f, "{:>9.3}", millis(times.quantile(q)))?;
            }
            writeln!(f, "{:>9.3}", millis(times.max()))?;
        }
        let per = self.cpu_per_session().as_secs_f64() * 1e6;
        write!(f, "  CPU {:.2} s, {per:.1} us for each", self.cpu.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted() -> Summary {
        let shards = [Arc::<Stats>::default(), Arc::<Stats>::default()];
        for (at, shard) in shards.iter().enumerate() {
            shard.started.add(50);
            shard.succeeded.add(45);
            (0..5).for_each(|_| shard.fail(format!("INVITE: {}", 500 + at)));
            (1..=45).for_each(|ms| shard.answered.record(Duration::from_millis(ms)));
        }
        let (generated, cpu) = (Duration::from_secs(2), Duration::from_millis(10));
        Summary { generated, cpu, took: Duration::from_secs(3), ..Summary::of("INVITE", &shards) }
    }

    #[test]
    fn shards_are_added_up() {
        let all = counted();
        assert_eq!((all.started, all.succeeded, all.failed), (100, 90, 10));
        assert_eq!(all.causes, [("INVITE: 500".to_owned(), 5), ("INVITE: 501".to_owned(), 5)].into());
        assert_eq!((all.answered.count(), all.success()), (90, 0.9));
    }

    #[test]
    fn it_reads_well() {
        let text = counted().to_string();
        for part in
            ["INVITE: 100 in 3.0 s (50.0/s)", "succeeded 90 (90.00 %), failed 10", "5 x INVITE: 501", "100.0 us"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("bye") && !text.contains("late"), "{text}");
    }

    #[test]
    fn programs_read_the_same() {
        let json = counted().to_json(&["p99".into()]);
        assert_eq!((json["started"].as_u64(), json["causes"]["INVITE: 500"].as_u64()), (Some(100), Some(5)));
        let p50 = json["times_ms"]["answered"]["p50"].as_f64().expect("a number");
        assert!((22.0..24.0).contains(&p50), "{p50}");
        assert_eq!((&json["missed"][0], json["cpu_us_per_session"].as_f64()), (&json!("p99"), Some(100.0)));
    }

    #[test]
    fn what_the_user_ended_is_no_failure() {
        let run = Summary { started: 10, succeeded: 8, stopped: 2, ..Summary::default() };
        assert_eq!((run.success(), Summary::default().success()), (1.0, 0.0));
    }
}
