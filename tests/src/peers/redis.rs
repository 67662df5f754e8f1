//! A Redis server with nothing in it, which keeps nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use super::folder::Folder;
use super::{Process, loopback};

/// How long a start may take on a machine that is busy with other tests.
const LIMIT: Duration = Duration::from_secs(20);

const PORT: u16 = 6379;

/// A Redis server that can be stopped and started again at the same place, with what it had or with nothing.
#[derive(Debug)]
pub struct Redis {
    at: Ipv4Addr,
    process: Option<Process>,
    password: Option<&'static str>,
    /// What else it is told.
    more: Vec<String>,
    folder: Folder,
}

impl Redis {
    /// Starts one; with a password it wants that.
    pub fn start(password: Option<&'static str>) -> Result<Self, String> {
        Self::start_at(loopback(), password, &[])
    }

    /// Starts one at an address of this machine, with `more` arguments.
    pub fn start_at(at: Ipv4Addr, password: Option<&'static str>, more: &[&str]) -> Result<Self, String> {
        let folder = Folder::create("redis").map_err(|e| format!("redis: {e}"))?;
        let more = more.iter().map(|&word| word.to_owned()).collect();
        let mut redis = Redis { at, process: None, password, more, folder };
        redis.resume()?;
        Ok(redis)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (self.at, PORT).into()
    }

    /// The process, while there is one.
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// Kills it: what is not in its file is lost.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts it again, with nothing in it.
    pub fn restart(&mut self) -> Result<(), String> {
        self.stop();
        let kept = self.folder.path().join("appendonlydir");
        if kept.exists() {
            std::fs::remove_dir_all(kept).map_err(|e| format!("redis: {e}"))?;
        }
        self.resume()
    }

    /// Starts it again, with what it had, if `--appendonly yes` was among the arguments.
    pub fn resume(&mut self) -> Result<(), String> {
        self.stop();
        let mut command = Command::new("redis-server");
        command.args(["--bind", &self.at.to_string(), "--port", &PORT.to_string(), "--save", "", "--appendonly", "no"]);
        command.args(["--dir", &self.folder.path().display().to_string()]).args(&self.more);
        if let Some(password) = self.password {
            command.args(["--requirepass", password]);
        }
        let mut process = Process::start(&mut command).map_err(|e| format!("redis-server: {e}"))?;
        let ready = |line: &str| line.contains("eady to accept connections").then_some(());
        process.wait_for(LIMIT, ready).map_err(|e| format!("redis-server does not start:\n{}", e.output))?;
        self.process = Some(process);
        Ok(())
    }

    /// Asks it something, as `redis-cli` does; what that prints.
    pub fn ask(&self, what: &[&str]) -> Result<String, String> {
        let mut command = Command::new("redis-cli");
        command.args(["-h", &self.at.to_string(), "-p", &PORT.to_string()]);
        if let Some(password) = self.password {
            command.env("REDISCLI_AUTH", password);
        }
        let output = command.args(what).output().map_err(|e| format!("redis-cli: {e}"))?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}
