//! The text format of Prometheus, version 0.0.4: families of samples, each with its help and type.

use rutil::stats::Snapshot;
use std::fmt::{self, Display, Write as _};
use std::time::Duration;

/// Where the buckets of response times end, seconds.
pub(super) const RESPONSE_TIMES: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 32.0, 60.0, 120.0, 180.0];
/// Where the buckets of waits inside of the process end, seconds.
pub(super) const WAITS: &[f64] = &[0.000_01, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0];

/// The labels of a sample.
pub(super) type Labels<'a> = &'a [(&'a str, &'a dyn Display)];

/// The text as it grows.
#[derive(Default)]
pub(super) struct Exposition(String);

/// One family, whose samples follow.
pub(super) struct Family<'e> {
    text: &'e mut String,
    name: &'static str,
}

impl Exposition {
    pub(super) fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "counter", help)
    }

    pub(super) fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", help)
    }

    pub(super) fn histogram(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "histogram", help)
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        // A String takes everything, here and below.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family { text: &mut self.0, name }
    }

    pub(super) fn end(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// A sample.
    pub(super) fn add(&mut self, labels: Labels<'_>, value: impl Display) -> &mut Self {
        self.sample("", labels, None, &value)
    }

    /// All samples of a histogram: its buckets end at `bounds`, in seconds.
    pub(super) fn add_times(&mut self, labels: Labels<'_>, times: &Snapshot, bounds: &[f64]) -> &mut Self {
        for bound in bounds {
            let count = times.up_to(Duration::from_secs_f64(*bound));
            self.sample("_bucket", labels, Some(bound), &count);
        }
        let count = times.count();
        self.sample("_bucket", labels, Some(&"+Inf"), &count);
        self.sample("_sum", labels, None, &times.sum().as_secs_f64());
        self.sample("_count", labels, None, &count)
    }

    fn sample(
        &mut self,
        suffix: &str,
        labels: Labels<'_>,
        bound: Option<&dyn Display>,
        value: &dyn Display,
    ) -> &mut Self {
        let _ = write!(self.text, "{}{suffix}", self.name);
        let mut before = '{';
        for (name, value) in labels.iter().copied().chain(bound.map(|bound| ("le", bound))) {
            let _ = write!(self.text, "{before}{name}=\"");
            let _ = write!(Escaped(self.text), "{value}");
            self.text.push('"');
            before = ',';
        }
        if before == ',' {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
        self
    }
}

/// Writes the value of a label: others have chosen some of it.
struct Escaped<'t>(&'t mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, value: &str) -> fmt::Result {
        for character in value.chars() {
            match character {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                other => self.0.push(other),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rutil::Histogram;

    #[test]
    fn families_of_samples() {
        let mut text = Exposition::default();
        text.gauge("a", "One.").add(&[], 7);
        text.counter("b_total", "Two.").add(&[("name", &"x\"\\\ny"), ("n", &1)], 0.5).add(&[("name", &"z")], 1);
        assert_eq!(
            text.end(),
            "# HELP a One.\n# TYPE a gauge\na 7\n# HELP b_total Two.\n# TYPE b_total counter\n\
             b_total{name=\"x\\\"\\\\\\ny\",n=\"1\"} 0.5\nb_total{name=\"z\"} 1\n"
        );
    }

    #[test]
    fn buckets_hold_all_that_is_shorter() {
        let times = Histogram::new();
        for millis in [2, 20, 20, 2_000] {
            times.record(Duration::from_millis(millis));
        }
        let mut text = Exposition::default();
        text.histogram("t_seconds", "Times.").add_times(&[("to", &"INVITE")], &times.snapshot(), &[0.005, 0.1, 1.0]);
        let text = text.end();
        for line in [
            "t_seconds_bucket{to=\"INVITE\",le=\"0.005\"} 1",
            "t_seconds_bucket{to=\"INVITE\",le=\"0.1\"} 3",
            "t_seconds_bucket{to=\"INVITE\",le=\"1\"} 3",
            "t_seconds_bucket{to=\"INVITE\",le=\"+Inf\"} 4",
            "t_seconds_count{to=\"INVITE\"} 4",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        let sum = text.lines().find_map(|line| line.strip_prefix("t_seconds_sum{to=\"INVITE\"} ")).unwrap();
        assert!((sum.parse::<f64>().unwrap() - 2.042).abs() < 0.03, "{sum}");
    }
}
