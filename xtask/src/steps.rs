//! The steps of `cargo xtask test`, in the order in which they run.

use std::collections::BTreeSet;
use std::env;
use std::path::PathBuf;
use std::process::Command;

use crate::tools::{self, Tool};

/// One check.
pub(crate) struct Step {
    /// What `--only` and `--skip` call it.
    pub(crate) name: &'static str,
    /// The cargo subcommand that it needs beyond the toolchain; installed if missing.
    pub(crate) needs: Option<Tool>,
    /// The arguments for cargo.
    pub(crate) args: fn() -> &'static [&'static str],
    /// An environment variable for this step alone.
    pub(crate) env: Option<(&'static str, &'static str)>,
}

/// All steps. Advisories stand apart from the other dependency checks because their database is on the open network.
pub(crate) const STEPS: &[Step] = &[
    Step { name: "fmt", needs: None, args: || &["fmt", "--all", "--check"], env: None },
    Step {
        name: "clippy",
        needs: None,
        args: || &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
        env: None,
    },
    // The tests start these, and build them as here: so that none of them waits for that.
    Step { name: "programs", needs: None, args: || &["build", "--package", "apps", "--bins"], env: None },
    Step { name: "examples", needs: None, args: || &["build", "--package", "dum", "--examples"], env: None },
    Step { name: "test", needs: None, args: test_args, env: None },
    Step { name: "doctest", needs: None, args: || &["test", "--workspace", "--doc"], env: None },
    DOC,
    Step {
        name: "deny",
        needs: Some(tools::CARGO_DENY),
        args: || &["deny", "check", "bans", "licenses", "sources"],
        env: None,
    },
    Step { name: "advisories", needs: Some(tools::CARGO_DENY), args: || &["deny", "check", "advisories"], env: None },
];

/// All crates and the guides of `docs/` as pages.
pub(crate) const DOC: Step = Step {
    name: "doc",
    needs: None,
    args: || &["doc", "--workspace", "--no-deps"],
    env: Some(("RUSTDOCFLAGS", "-D warnings")),
};

/// What an operator sees, for the documentation.
pub(crate) const PICTURES: Step =
    Step { name: "pictures", needs: None, args: || &["run", "--package", "tests", "--example", "pictures"], env: None };

/// nextest gives each test its own process and names the slow ones; cargo's own runner does as well without it.
fn test_args() -> &'static [&'static str] {
    if tools::on_path("cargo-nextest") {
        &["nextest", "run", "--workspace"]
    } else {
        &["test", "--workspace", "--lib", "--bins", "--tests"]
    }
}

impl Step {
    /// Installs what the step needs and runs it. The error is one line for the summary.
    pub(crate) fn run(&self, skipped_peers: &str) -> Result<(), String> {
        if let Some(tool) = &self.needs {
            tool.ensure()?;
        }
        let mut command = Command::new(cargo());
        // What cargo tells this program of its own package is not for that build: scripts of dependencies would take it for a
        // change, and all that needs them would be built again, here and when a test builds what it starts.
        for (name, _) in env::vars_os().filter(|(name, _)| is_of_package(&name.to_string_lossy())) {
            command.env_remove(name);
        }
        command
            .args((self.args)())
            .env(tools::SKIP_VARIABLE, skipped_peers)
            .env(tools::LEFT_OUT_VARIABLE, left_out_file());
        if let Some((name, value)) = self.env {
            command.env(name, value);
        }
        let status = command.status().map_err(|e| format!("{}: {e}", self.line()))?;
        if status.success() { Ok(()) } else { Err(format!("{}: {status}", self.line())) }
    }

    /// The command as a person would type it.
    pub(crate) fn line(&self) -> String {
        let env = self.env.map(|(name, value)| format!("{name}='{value}' ")).unwrap_or_default();
        format!("{env}cargo {}", (self.args)().join(" "))
    }
}

/// What tests have left out, each once: the test's name, and why. The file is gone afterwards.
pub(crate) fn left_out() -> Vec<String> {
    let text = std::fs::read_to_string(left_out_file()).unwrap_or_default();
    let _ = std::fs::remove_file(left_out_file());
    text.lines().map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect()
}

fn left_out_file() -> PathBuf {
    tools::target_dir().join("left-out.txt")
}

/// Whether cargo sets this variable for the package that it runs.
fn is_of_package(name: &str) -> bool {
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
}

/// The cargo that runs this program, so that a `+toolchain` stays in force.
pub(crate) fn cargo() -> String {
    env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_plain() {
        let names: BTreeSet<_> = STEPS.iter().map(|s| s.name).collect();
        assert_eq!(names.len(), STEPS.len());
        assert!(names.iter().all(|n| n.bytes().all(|b| b.is_ascii_lowercase())));
    }

    #[test]
    fn line_can_be_typed() {
        let doc = STEPS.iter().find(|s| s.name == "doc").expect("there is a doc step");
        assert_eq!(doc.line(), "RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps");
    }

    #[test]
    fn doc_tests_run_whatever_the_runner() {
        let doctest = STEPS.iter().find(|s| s.name == "doctest").expect("there is a doctest step");
        assert!((doctest.args)().contains(&"--doc"));
    }
}
