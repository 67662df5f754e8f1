//! Runs the steps and says how they ended.

use std::env;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::args::Plan;
use crate::steps::{self, STEPS, Step};
use crate::tools::{self, PEERS};

/// How the run went so far.
#[derive(Default)]
struct Report {
    passed: Vec<&'static str>,
    failed: Vec<String>,
    skipped: Vec<String>,
    /// Tests of which something was left out.
    left_out: usize,
}

/// Runs the steps that `plan` leaves in and stops at the first failure.
pub(crate) fn test(plan: &Plan) -> ExitCode {
    let mut report = Report::default();
    let started = now();
    let ready = peers(plan, is_ci(), &mut report);
    if ready.is_ok() && env::var_os("TORTURE_DIR").is_none() && plan.selects("test") {
        report.skipped.push("original torture messages (TORTURE_DIR is not set)".to_owned());
    }
    if let Ok(skipped_peers) = ready {
        steps(plan, &skipped_peers, &mut report);
    }
    println!("\n{} in {}", report.summary(), seconds(now() - started));
    if report.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Builds the documentation and says where it is.
pub(crate) fn docs() -> ExitCode {
    alone(&steps::DOC, || println!("begin with {}", tools::target_dir().join("doc/guides/index.html").display()))
}

/// Makes the pictures of the web page, with SIPp and Chromium.
pub(crate) fn pictures() -> ExitCode {
    alone(&steps::PICTURES, || {})
}

fn alone(step: &Step, done: impl FnOnce()) -> ExitCode {
    println!("==> {}", step.line());
    match step.run("") {
        Ok(()) => {
            done();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn steps(plan: &Plan, skipped_peers: &str, report: &mut Report) {
    for step in STEPS.iter().filter(|s| plan.selects(s.name)) {
        if plan.skips(step.name) {
            println!("==> {}: skipped on request", step.name);
            report.skipped.push(step.name.to_owned());
            continue;
        }
        println!("==> {}: {}", step.name, step.line());
        let started = now();
        // What an earlier run that was cut off has left.
        drop(steps::left_out());
        let result = step.run(skipped_peers);
        for what in steps::left_out() {
            println!("    left out: {what}");
            report.left_out += 1;
        }
        println!("    {} took {}", step.name, seconds(now() - started));
        match result {
            Ok(()) => report.passed.push(step.name),
            Err(error) => return report.failed.push(format!("{} ({error})", step.name)),
        }
    }
}

/// Makes the peers ready; returns the value of [`tools::SKIP_VARIABLE`] for the tests, or `Err` if a skip is a failure.
fn peers(plan: &Plan, ci: bool, report: &mut Report) -> Result<String, ()> {
    if !plan.selects("test") || plan.skips("test") {
        return Ok(String::new());
    }
    let mut skipped: Vec<_> = PEERS.iter().filter(|p| plan.skips(p.program)).map(|p| p.program).collect();
    report.skipped.extend(skipped.iter().map(|p| (*p).to_owned()));
    for peer in tools::missing_peers(PEERS.iter().filter(|p| !plan.skips(p.program))) {
        println!(
            "==> {} is missing (Debian package {}): what its tests leave out is named behind them",
            peer.program, peer.package
        );
        let list = if ci { &mut report.failed } else { &mut report.skipped };
        list.push(format!("{} (not installed)", peer.program));
        skipped.push(peer.program);
    }
    if report.failed.is_empty() { Ok(skipped.join(",")) } else { Err(()) }
}

impl Report {
    /// The closing line.
    fn summary(&self) -> String {
        let part = |label: &str, names: String| if names.is_empty() { None } else { Some(format!("{label}: {names}")) };
        let parts = [
            part("passed", self.passed.join(", ")),
            part("FAILED", self.failed.join(", ")),
            part("skipped", self.skipped.join(", ")),
            part("left out", tests(self.left_out)),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
    }
}

fn tests(many: usize) -> String {
    if many == 0 { String::new() } else { format!("something of {many} tests, named above") }
}

fn is_ci() -> bool {
    env::var("CI").is_ok_and(|v| v == "true")
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[expect(clippy::disallowed_methods, reason = "how long a step took is for the person who waits")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_names_every_part() {
        let report = Report {
            passed: vec!["fmt", "clippy"],
            failed: vec!["test (cargo test: exit status: 101)".to_owned()],
            skipped: vec!["advisories".to_owned()],
            left_out: 2,
        };
        assert_eq!(
            report.summary(),
            "passed: fmt, clippy · FAILED: test (cargo test: exit status: 101) · skipped: advisories · \
             left out: something of 2 tests, named above"
        );
    }

    #[test]
    fn summary_leaves_out_what_is_empty() {
        assert_eq!(Report { passed: vec!["fmt"], ..Report::default() }.summary(), "passed: fmt");
    }

    #[test]
    fn peers_skipped_on_request_are_named_even_in_ci() {
        let plan = Plan { skip: PEERS.iter().map(|p| p.program.to_owned()).collect(), ..Plan::default() };
        let mut report = Report::default();
        let all: Vec<&str> = PEERS.iter().map(|p| p.program).collect();
        assert_eq!(peers(&plan, true, &mut report), Ok(all.join(",")));
        assert_eq!(report.skipped, all);
    }
}
