//! Schemathesis: asks an HTTP API for all that its description says, and for what it says is wrong, and compares the answers
//! with the description.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use super::folder::Folder;
use super::{Process, available};

/// Where the list of what it needs is, and where it is installed.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers-py");

/// A run that has begun.
#[derive(Debug)]
pub struct Schemathesis {
    /// It prints what is wrong, and ends with 0 when nothing is.
    pub process: Process,
    _folder: Folder,
}

/// Tries the API that is described at `path` of `server`, with this token, always in the same way; `more` are further
/// arguments. None if Python is to be left out, as [`available`] says, or it cannot be installed.
///
/// # Panics
/// If it cannot be installed and `CI=true`.
pub fn schemathesis(
    server: SocketAddr,
    path: &str,
    token: &str,
    more: &[&str],
) -> Option<Result<Schemathesis, String>> {
    static INSTALLED: OnceLock<Result<(), String>> = OnceLock::new();
    if !available("python3") {
        return None;
    }
    if let Err(error) = INSTALLED.get_or_init(install) {
        crate::skip(&format!("Schemathesis cannot be installed: {error}"));
        return None;
    }
    Some(start(&format!("http://{server}{path}"), token, more))
}

fn start(url: &str, token: &str, more: &[&str]) -> Result<Schemathesis, String> {
    // What it leaves behind.
    let folder = Folder::create("schemathesis").map_err(|e| e.to_string())?;
    let mut command = Command::new(format!("{FOLDER}/.venv/bin/st"));
    command.args(["run", url, "--header", &format!("Authorization: Bearer {token}")]);
    command.args(["--seed", "1", "--generation-deterministic", "--no-color"]);
    // How soon and how much it generates is of no interest here.
    command.args(["--suppress-health-check", "all", "--checks", "all"]).args(more).current_dir(folder.path());
    let process = Process::start(&mut command).map_err(|e| format!("st: {e}"))?;
    Ok(Schemathesis { process, _folder: folder })
}

/// Installs the versions that `requirements.txt` names, where that has not been done.
fn install() -> Result<(), String> {
    let read = |name: &str| fs::read_to_string(Path::new(FOLDER).join(name));
    let wanted = read("requirements.txt").map_err(|e| format!("requirements.txt: {e}"))?;
    if read(".venv/requirements.txt").is_ok_and(|there| there == wanted) {
        return Ok(());
    }
    run(Command::new("python3").args(["-m", "venv", "--clear", ".venv"]))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt"];
    run(Command::new(format!("{FOLDER}/.venv/bin/python")).args(pip))?;
    fs::write(Path::new(FOLDER).join(".venv/requirements.txt"), wanted).map_err(|e| e.to_string())
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.current_dir(FOLDER).output().map_err(|e| format!("{command:?}: {e}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}
