//! Our proxy as a process of its own.

use std::env;
use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::Process;
use super::folder::Folder;

/// How long a start may take on a machine that is busy with other tests.
const START_LIMIT: Duration = Duration::from_secs(20);

/// What a configuration has where each request counts: on a machine that is busy with other things the proxy would refuse
/// some. It is a last part: what stands behind it would belong to it.
pub const PATIENT: &str = "\n[overload]\nmax_wait_ms = 0\n";

/// A running `repro`.
#[derive(Debug)]
pub struct Repro {
    process: Process,
    listening: Vec<(String, SocketAddr)>,
}

/// Builds `repro` in the profile of this test and says where it is.
///
/// Cargo gives a test only the binaries of its own package; the first call lets cargo build it.
pub fn repro_binary() -> Result<PathBuf, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(|| build("apps", "--bin", "repro")).clone()
}

/// Builds `sipload`, as [`repro_binary`].
pub fn sipload_binary() -> Result<PathBuf, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(|| build("apps", "--bin", "sipload")).clone()
}

/// Builds `sip`, as [`repro_binary`].
pub fn sip_binary() -> Result<PathBuf, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(|| build("apps", "--bin", "sip")).clone()
}

/// Builds all examples of `dum`, as [`repro_binary`], and says where this one is.
pub fn example_binary(name: &str) -> Result<PathBuf, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(|| build("dum", "--examples", "")).clone().map(|folder| folder.join(name))
}

/// Builds `name` of a package, which is a `--bin`, or all of its `--examples`; where that is.
fn build(package: &str, kind: &str, name: &str) -> Result<PathBuf, String> {
    let test = env::current_exe().map_err(|e| e.to_string())?;
    // TARGET/PROFILE/deps/scenarios-…
    let profile_dir = test.ancestors().nth(2).ok_or("the test is not in a target folder")?;
    let target_dir = profile_dir.parent().ok_or("the test is not in a target folder")?;
    let profile = match profile_dir.file_name().and_then(|n| n.to_str()) {
        Some("debug") => "dev",
        Some(name) => name,
        None => return Err("the target folder has no profile".to_owned()),
    };
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What cargo tells this test of its own package is not for that build: scripts of dependencies would take it for a
    // change, and all that needs them would be built again.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    let output = command
        .args(["build", "--quiet", "--package", package, kind])
        .args(Some(name).filter(|name| !name.is_empty()))
        .args(["--profile", profile, "--target-dir"])
        .arg(target_dir)
        .output()
        .map_err(|e| format!("cargo build: {e}"))?;
    if !output.status.success() {
        return Err(format!("cargo build: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(profile_dir.join(if name.is_empty() { "examples" } else { name }))
}

impl Repro {
    /// Builds and starts `repro` with `args`, and waits until it has said where it listens.
    ///
    /// `transports` is how many `listening on <transport> <address>` lines there will be. One without a
    /// configuration, or with one that says nothing of overload, is [`PATIENT`].
    pub fn start(args: &[&str], transports: usize) -> Result<Self, String> {
        let mut command = Command::new(repro_binary()?);
        let folder = Folder::create("repro").map_err(|e| format!("a folder: {e}"))?;
        match args.iter().skip_while(|arg| **arg != "--config").nth(1) {
            Some(config) => be_patient(Path::new(config)),
            None => {
                let config = folder.path().join("repro.toml");
                command.arg("--config").arg(&config);
                fs::write(config, PATIENT)
            }
        }
        .map_err(|e| format!("its configuration: {e}"))?;
        Self::start_command(command.args(args), transports)
    }

    /// As [`Repro::start`], with a command that becomes `repro`.
    pub fn start_command(command: &mut Command, transports: usize) -> Result<Self, String> {
        let mut process = Process::start(command).map_err(|e| format!("repro: {e}"))?;
        let mut listening = Vec::new();
        for _ in 0..transports {
            let found = process.wait_for(START_LIMIT, listening_on);
            listening.push(found.map_err(|e| format!("repro does not say where it listens:\n{}", e.output))?);
        }
        Ok(Self { process, listening })
    }

    /// The address on which it listens for `transport` (`udp`, `tcp`, …), the first if there are several.
    pub fn address(&self, transport: &str) -> Option<SocketAddr> {
        self.listening.iter().find(|(t, _)| t == transport).map(|(_, address)| *address)
    }

    /// The process by itself, to wait for its end.
    pub fn into_process(self) -> Process {
        self.process
    }

    /// The process, for its output and whether it still runs.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// Adds [`PATIENT`] to a configuration that says nothing of overload.
fn be_patient(config: &Path) -> io::Result<()> {
    // Two starts with one file may look at the same time.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    if fs::read_to_string(config)?.contains("[overload]") {
        return Ok(());
    }
    fs::OpenOptions::new().append(true).open(config)?.write_all(PATIENT.as_bytes())
}

/// Reads `listening on udp 127.0.0.1:45123`, whatever stands before it in a log line.
fn listening_on(line: &str) -> Option<(String, SocketAddr)> {
    let (_, found) = line.split_once("listening on ")?;
    let mut words = found.split_whitespace();
    let transport = words.next()?.to_ascii_lowercase();
    Some((transport, words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_where_it_listens() {
        let udp = ("udp".to_owned(), "127.0.0.1:45123".parse().expect("an address"));
        assert_eq!(listening_on("listening on udp 127.0.0.1:45123"), Some(udp.clone()));
        assert_eq!(listening_on("2026 INFO repro: listening on UDP 127.0.0.1:45123 (2 shards)"), Some(udp));
        assert_eq!(listening_on("listening on udp"), None);
        assert_eq!(listening_on("stopped"), None);
    }

    #[test]
    fn start_collects_all_addresses() {
        let script =
            "echo listening on udp 127.0.0.1:1; echo listening on tcp 127.0.0.1:2 >&2; exec cat /dev/zero >/dev/null";
        let repro = Repro::start_command(Command::new("sh").args(["-c", script]), 2).expect("both lines come");
        assert_eq!(repro.address("tcp"), Some("127.0.0.1:2".parse().expect("an address")));
        assert_eq!(repro.address("tls"), None);
    }

    #[test]
    fn a_start_that_fails_shows_the_output() {
        let error = Repro::start_command(Command::new("sh").args(["-c", "echo no such key >&2; exit 1"]), 1);
        assert!(error.expect_err("it ends at once").contains("no such key"));
    }
}
