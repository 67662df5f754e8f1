//! The proxies: how each is started, and what it has used.

use benches::kamailio::kamailio;
use benches::process;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tests::peers::Process;

/// How often a proxy is asked whether it is there, each time for [`PATIENCE`].
const TRIES: u32 = 100;
const PATIENCE: Duration = Duration::from_millis(100);

/// Which proxy.
pub(crate) enum Kind {
    /// Ours, on so many shards.
    Repro {
        repro: PathBuf,
        shards: u32,
    },
    /// Kamailio with so many workers.
    Kamailio {
        workers: u32,
    },
    Other {
        name: String,
        command: String,
    },
}

impl Kind {
    /// What it is called in the tables.
    pub(crate) fn name(&self) -> String {
        match self {
            Kind::Repro { shards: 1, .. } => "repro".to_owned(),
            Kind::Repro { shards, .. } => format!("repro, {shards} shards"),
            Kind::Kamailio { workers: 2 } => "Kamailio".to_owned(),
            Kind::Kamailio { workers } => format!("Kamailio, {workers} workers"),
            Kind::Other { name, .. } => name.clone(),
        }
    }
}

/// A running proxy, which ends with this.
pub(crate) struct Proxy {
    process: Process,
    folder: PathBuf,
    pub(crate) address: SocketAddr,
}

impl Proxy {
    /// Starts it, and waits until it answers.
    pub(crate) fn start(kind: &Kind) -> Result<Self, String> {
        let free = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let address = free.map_err(|e| e.to_string())?;
        let folder = std::env::temp_dir().join(format!("peers-{}-{}", std::process::id(), address.port()));
        fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
        let mut command = match kind {
            Kind::Repro { repro, shards } => {
                let file = folder.join("repro.toml");
                // Nobody is refused because the machine is busy with the generators.
                let text = "domains = [\"example.com\"]\npin_runners = true\n[overload]\nmax_wait_ms = 0\n";
                fs::write(&file, text).map_err(|e| e.to_string())?;
                let placement = if *shards == 1 { "inline".to_owned() } else { format!("sharded:{shards}") };
                let mut command = Command::new(repro);
                command.arg("--config").arg(file).args(["--listen", &format!("udp:{address}")]);
                command.args(["--placement", &placement]);
                command
            }
            Kind::Kamailio { workers } => kamailio(address, *workers, &folder).map_err(|e| e.to_string())?,
            Kind::Other { command, .. } => {
                let mut words = command.split_whitespace().map(|word| word.replace("ADDRESS", &address.to_string()));
                let mut command = Command::new(words.next().unwrap_or_default());
                command.args(words);
                command
            }
        };
        let process = Process::start(command.current_dir(&folder)).map_err(|e| format!("{}: {e}", kind.name()))?;
        let mut proxy = Proxy { process, folder, address };
        match proxy.answers() {
            Ok(true) => Ok(proxy),
            Ok(false) => Err(format!("{} does not answer: {}", kind.name(), proxy.process.output())),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Whether it answers an OPTIONS for itself.
    fn answers(&self) -> std::io::Result<bool> {
        let address = self.address;
        let probe = UdpSocket::bind("127.0.0.1:0")?;
        probe.set_read_timeout(Some(PATIENCE))?;
        let own = probe.local_addr()?;
        for n in 0..TRIES {
            let ask = format!(
                "OPTIONS sip:{address} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKprobe{n};rport\r\n\
                 Max-Forwards: 70\r\nFrom: <sip:a@{own}>;tag=1\r\nTo: <sip:{address}>\r\nCall-ID: probe{n}\r\n\
                 CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
            );
            // One that is not there yet refuses.
            let _ = probe.send_to(ask.as_bytes(), address);
            match probe.recv(&mut [0; 2048]) {
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => std::thread::sleep(PATIENCE),
                Err(_) => {}
            }
        }
        Ok(false)
    }

    /// CPU time of all its processes so far.
    pub(crate) fn cpu(&self) -> Duration {
        process::tree_cpu(self.process.id())
    }

    /// Memory of all its processes, octets.
    pub(crate) fn memory(&self) -> u64 {
        process::tree_memory(self.process.id())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Kamailio's other processes end with it only when it is asked to end.
        let asked = Command::new("kill").args(["-s", "TERM", &self.process.id().to_string()]).status();
        for _ in 0..TRIES {
            if asked.is_err() || self.process.exited().is_some() {
                break;
            }
            std::thread::sleep(PATIENCE);
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}
