//! What the programs say to whoever started them.

use std::fmt;
use std::io::{self, Write as _};

/// Exit code when a thread has died: an internal software error (`EX_SOFTWARE`).
const DIED: i32 = 70;

/// A line on standard error. If that cannot be written to, the exit code says enough.
pub(crate) fn say(program: &str, what: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{program}: {what}");
}

/// A thread has panicked: what it carried is lost, and the others would wait for it.
pub(crate) fn died(program: &str, thread: &str) {
    say(program, format_args!("thread {thread} has died, its calls are lost: exiting"));
    std::process::exit(DIED);
}
