//! A Redis server with nothing in it, which keeps nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use super::folder::Folder;
use super::{Process, loopback};

/// How long a start may take on a machine that is busy with other tests.
const LIMIT: Duration = Duration::from_secs(20);

const PORT: u16 = 6379;

/// A Redis server that can be stopped and started again, empty, at the same place.
#[derive(Debug)]
pub struct Redis {
    at: Ipv4Addr,
    process: Option<Process>,
    password: Option<&'static str>,
    folder: Folder,
}

impl Redis {
    /// Starts one; with a password it wants that.
    pub fn start(password: Option<&'static str>) -> Result<Self, String> {
        let folder = Folder::create("redis").map_err(|e| format!("redis: {e}"))?;
        let mut redis = Redis { at: loopback(), process: None, password, folder };
        redis.restart()?;
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

    /// Kills it: what it had is lost.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts it again, with nothing in it.
    pub fn restart(&mut self) -> Result<(), String> {
        self.stop();
        let mut command = Command::new("redis-server");
        command.args(["--bind", &self.at.to_string(), "--port", &PORT.to_string(), "--save", "", "--appendonly", "no"]);
        command.args(["--dir", &self.folder.path().display().to_string()]);
        if let Some(password) = self.password {
            command.args(["--requirepass", password]);
        }
        let mut process = Process::start(&mut command).map_err(|e| format!("redis-server: {e}"))?;
        let ready = |line: &str| line.contains("eady to accept connections").then_some(());
        process.wait_for(LIMIT, ready).map_err(|e| format!("redis-server does not start:\n{}", e.output))?;
        self.process = Some(process);
        Ok(())
    }
}
