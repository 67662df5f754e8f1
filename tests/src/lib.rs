//! What the scenarios share: the torture messages with their verdicts, a driver that tries them on the wire, and the
//! real programs that the stack is tested against. The scenarios themselves are modules of `tests/scenarios/main.rs`.

pub mod callers;
pub mod corpus;
pub mod peers;
pub mod played;
pub mod raw;
pub mod verdict;
pub mod wire;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Instant;

/// Whether this is a run in which a skipped part counts as a failure (`CI=true`).
pub fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|v| v == "true")
}

/// Says that a part is left out, and why.
///
/// # Panics
/// With `CI=true`: there nothing may be left out unseen.
pub fn skip(reason: &str) {
    left_out(is_ci(), noted_in(), reason);
}

/// Says what is left out on its error output, and to who runs all tests.
fn note_skip(reason: &str) {
    left_out(false, noted_in(), reason);
}

/// The file in which it is noted, a line each, with the test's name.
fn noted_in() -> Option<PathBuf> {
    std::env::var_os("SIP_TEST_LEFT_OUT").map(PathBuf::from)
}

fn left_out(ci: bool, noted_in: Option<PathBuf>, reason: &str) {
    assert!(!ci, "{reason}");
    eprintln!("skipped: {reason}");
    let Some(path) = noted_in else { return };
    let thread = std::thread::current();
    let line = format!("{}: {reason}\n", thread.name().unwrap_or("a test"));
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
    if let Err(error) = file.and_then(|mut file| file.write_all(line.as_bytes())) {
        eprintln!("skipped: it cannot be noted: {error}");
    }
}

/// The clock for deadlines against real sockets and processes.
#[expect(clippy::disallowed_methods, reason = "waiting for a real peer needs a real deadline")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "no such thing")]
    fn what_is_left_out_is_noted_and_fails_in_ci() {
        let file = std::env::temp_dir().join(format!("left-out-{}", std::process::id()));
        left_out(false, Some(file.clone()), "nothing like it");
        let noted = std::fs::read_to_string(&file).unwrap_or_default();
        std::fs::remove_file(&file).expect("it is noted");
        assert!(noted.ends_with("what_is_left_out_is_noted_and_fails_in_ci: nothing like it\n"), "{noted}");
        left_out(true, None, "no such thing");
    }
}
