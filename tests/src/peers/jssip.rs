//! Scripts in Node: JsSIP, the phone of browsers, and what drives a browser.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use super::{Process, available};

/// Where its scripts and its modules are.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers-js");

/// Starts a script of `peers-js` with `arguments`; `authority` is a file with the certificate authority that it is to
/// trust. None if Node is to be left out, as [`available`] says, or JsSIP cannot be installed.
///
/// # Panics
/// If JsSIP cannot be installed and `CI=true`.
pub fn jssip(script: &str, arguments: &[&str], authority: &Path) -> Option<Result<Process, String>> {
    let mut command = node(script, arguments)?;
    Some(Process::start(command.env("NODE_EXTRA_CA_CERTS", authority)).map_err(|e| format!("node: {e}")))
}

/// A script of `peers-js`, to be run in Node.
pub(super) fn node(script: &str, arguments: &[&str]) -> Option<Command> {
    static INSTALLED: OnceLock<Result<(), String>> = OnceLock::new();
    if !available("node") {
        return None;
    }
    if let Err(error) = INSTALLED.get_or_init(install) {
        crate::skip(&format!("JsSIP cannot be installed: {error}"));
        return None;
    }
    let mut command = Command::new("node");
    command.current_dir(FOLDER).arg(script).args(arguments);
    Some(command)
}

/// Installs the versions that `package-lock.json` names, where that has not been done.
fn install() -> Result<(), String> {
    if Path::new(FOLDER).join("node_modules/.package-lock.json").exists() {
        return Ok(());
    }
    let npm = Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(FOLDER).output();
    match npm {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("npm ci: {}", String::from_utf8_lossy(&output.stderr))),
        Err(error) => Err(format!("npm: {error}")),
    }
}
