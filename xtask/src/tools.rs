//! Programs from outside the workspace: which are needed, how they are found and installed.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::steps::cargo;

/// The variable in which the tests find the peers that they are to skip, separated by commas.
pub(crate) const SKIP_VARIABLE: &str = "SIP_TEST_SKIP";

/// A cargo subcommand that `cargo install` provides.
pub(crate) struct Tool {
    program: &'static str,
}

/// Licences, sources and advisories of the dependencies.
pub(crate) const CARGO_DENY: Tool = Tool { program: "cargo-deny" };

/// A SIP program that the tests talk to.
pub(crate) struct Peer {
    /// The program's name, and its name for `--skip` and [`SKIP_VARIABLE`].
    pub(crate) program: &'static str,
    /// The Debian package that holds it.
    pub(crate) package: &'static str,
}

/// All peers.
pub(crate) const PEERS: &[Peer] = &[
    Peer { program: "sipp", package: "sip-tester" },
    Peer { program: "baresip", package: "baresip-core" },
    Peer { program: "linphonec", package: "linphone-cli" },
    Peer { program: "kamailio", package: "kamailio" },
    Peer { program: "chromium", package: "chromium" },
    // For JsSIP, which the tests install by npm in `tests/peers-js`.
    Peer { program: "node", package: "nodejs" },
    Peer { program: "npm", package: "npm" },
    // For Schemathesis, which the tests install by pip in `tests/peers-py`.
    Peer { program: "python3", package: "python3-venv" },
    // What several nodes share.
    Peer { program: "redis-server", package: "redis-server" },
    Peer { program: "redis-cli", package: "redis-tools" },
    // Moves an address between two machines.
    Peer { program: "keepalived", package: "keepalived" },
    // Beside its own programs, which are in no PATH.
    Peer { program: "psql", package: "postgresql" },
    // Checks what /metrics says.
    Peer { program: "promtool", package: "prometheus" },
    // Networks of their own, with loss and delay.
    Peer { program: "ip", package: "iproute2" },
    // What the guides type.
    Peer { program: "curl", package: "curl" },
    Peer { program: "openssl", package: "openssl" },
    // Reads the unit file.
    Peer { program: "systemd-analyze", package: "systemd" },
];

/// The variable that names the file in which the tests note what they leave out.
pub(crate) const LEFT_OUT_VARIABLE: &str = "SIP_TEST_LEFT_OUT";

impl Tool {
    /// Installs the tool if it is not there; the build is kept under `target/tools`, so an interrupted one resumes.
    pub(crate) fn ensure(&self) -> Result<(), String> {
        if on_path(self.program) {
            return Ok(());
        }
        println!("    {} is missing: cargo install {} --locked", self.program, self.program);
        let status = Command::new(cargo())
            .args(["install", self.program, "--locked", "--target-dir"])
            .arg(target_dir().join("tools"))
            .status();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("cargo install {}: {status}", self.program)),
            Err(error) => Err(format!("cargo install {}: {error}", self.program)),
        }
    }
}

/// Installs missing peers where that is possible and returns those that are still missing.
pub(crate) fn missing_peers(wanted: impl Iterator<Item = &'static Peer>) -> Vec<&'static Peer> {
    let missing: Vec<_> = wanted.filter(|p| !on_path(p.program)).collect();
    if !missing.is_empty() && Path::new("/etc/debian_version").exists() && is_root() {
        apt_get(&["update"]);
        // One after the other: a package may bring the program of the next one, and conflict with that one's package.
        for peer in &missing {
            if !on_path(peer.program) {
                apt_get(&["install", "-y", "--no-install-recommends", peer.package]);
            }
        }
    }
    missing.into_iter().filter(|p| !on_path(p.program)).collect()
}

/// Whether a program of this name is on the PATH or where `cargo install` puts it.
pub(crate) fn on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    env::split_paths(&path).chain(cargo_home.map(|home| home.join("bin"))).any(|dir| dir.join(program).is_file())
}

/// A failure shows itself: the package is still missing afterwards.
fn apt_get(args: &[&str]) {
    println!("    apt-get {}", args.join(" "));
    let status = Command::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive").status();
    if let Err(error) = status {
        eprintln!("    apt-get: {error}");
    }
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").stderr(Stdio::null()).output();
    output.is_ok_and(|o| o.stdout.trim_ascii() == b"0")
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_owned();
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_exists_and_nothing_else() {
        assert!(on_path("cargo"));
        assert!(!on_path("no-such-program-anywhere"));
    }

    /// Else it is neither installed nor to be left out.
    #[test]
    fn every_program_that_tests_ask_for_is_known() {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests");
        let mut folders = vec![tests.join("src"), tests.join("tests")];
        let mut asked = 0;
        while let Some(folder) = folders.pop() {
            for entry in
                std::fs::read_dir(&folder).expect("it can be read").map(|entry| entry.expect("an entry").path())
            {
                if entry.is_dir() {
                    folders.push(entry);
                    continue;
                }
                let text = std::fs::read_to_string(&entry).unwrap_or_default();
                for rest in text.split("available(\"").skip(1) {
                    let program = rest.split('"').next().unwrap_or_default();
                    assert!(PEERS.iter().any(|peer| peer.program == program), "{program} in {}", entry.display());
                    asked += 1;
                }
            }
        }
        assert!(asked > 10, "{asked}");
    }
}
