//! Chromium, a browser without a window: what a page is like when it is shown. Scripts of `peers-js` drive it.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::jssip::node;
use super::{Process, available};

/// How long a page may take on a machine that is busy with other tests.
const LIMIT: Duration = Duration::from_secs(60);

/// Starts a script of `peers-js` that drives the browser, which it starts itself. None if that, or Node, is to be left out,
/// as [`available`] says.
///
/// # Panics
/// As [`super::jssip`].
pub fn browser(script: &str, arguments: &[&str]) -> Option<Result<Process, String>> {
    if !available("chromium") {
        return None;
    }
    Some(Process::start(&mut node(script, arguments)?).map_err(|e| format!("node: {e}")))
}

/// Shows a page of the file system, and tells its title, its plots with their sizes and the lengths of their lines, and what
/// scripts have failed. None as [`browser`] says.
pub fn show(page: &Path) -> Option<Result<Value, String>> {
    Some(browser("report.js", &[&format!("file://{}", page.display())])?.and_then(seen))
}

fn seen(process: Process) -> Result<Value, String> {
    let (_, output) = process.finish(LIMIT).map_err(|unfinished| unfinished.output)?;
    let seen = output.lines().find_map(|line| line.strip_prefix("seen: "));
    let seen = seen.ok_or_else(|| format!("nothing was shown: {output}"))?;
    serde_json::from_str(seen).map_err(|error| format!("{error}: {output}"))
}
