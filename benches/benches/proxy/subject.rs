//! The proxy that is measured: a process of its own, and what it has used so far.

use crate::site::Site;
use benches::process;
use stack::transport::TransportType;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tests::peers::Repro;

/// A running proxy.
pub(crate) struct Subject {
    repro: Repro,
    /// Its number.
    pub(crate) process: u32,
}

impl Subject {
    /// Starts it with one transport of each kind on free ports; `more` is what else stands in its configuration.
    pub(crate) fn start(repro: &Path, site: &Site, kinds: &[TransportType], more: &str, placement: &str) -> Self {
        let mut command = Command::new(repro);
        command.arg("--config").arg(site.configuration(more)).args(["--placement", placement, "--log", "info"]);
        for kind in kinds {
            command.args(["--listen", &format!("{}:127.0.0.1:0", kind.as_param())]);
        }
        let mut repro =
            Repro::start_command(&mut command, kinds.len() + usize::from(more.contains("[admin]"))).expect("it starts");
        let process = repro.process().id();
        Subject { repro, process }
    }

    pub(crate) fn address(&self, kind: TransportType) -> SocketAddr {
        self.repro.address(kind.as_param()).expect("it listens")
    }

    /// Where its HTTP server listens, if it has one.
    pub(crate) fn http(&self) -> Option<SocketAddr> {
        self.repro.address("http")
    }

    /// CPU time of all its threads so far.
    pub(crate) fn cpu(&self) -> Duration {
        process::cpu(self.process)
    }

    /// Has it read its files again, until it says so with these words.
    pub(crate) fn reload(&mut self, said: &str, limit: Duration) {
        let sent = Command::new("kill").args(["-s", "HUP", &self.process.to_string()]).status().expect("kill runs");
        assert!(sent.success());
        self.repro.process().wait_for(limit, |line| line.contains(said).then_some(())).expect("it says so");
    }

    /// Resident memory, octets.
    pub(crate) fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process)).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux says");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }
}
