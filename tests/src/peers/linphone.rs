//! Linphone at the command line, without devices: it plays files that say nothing to anybody.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use super::Process;
use super::folder::Folder;

/// How long a start may take on a machine that is busy with other tests.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A running `linphonec`.
#[derive(Debug)]
pub struct Linphone {
    process: Process,
    /// It keeps its databases there.
    _folder: Folder,
}

impl Linphone {
    /// Starts it at `local`, over UDP, as the user `bob`, and waits until it is there. `more` is what its command line says
    /// besides: `-a` answers every call.
    pub fn start(local: SocketAddr, more: &[&str]) -> Result<Self, String> {
        let folder = Folder::create("linphone").map_err(|e| e.to_string())?;
        let (ip, port) = (local.ip(), local.port());
        let config = format!(
            "[sip]\nbind_address={ip}\nsip_port={port}\nsip_tcp_port=0\nsip_tls_port=0\nguess_hostname=0\n\
             contact=<sip:bob@{ip}>\n[rtp]\naudio_rtp_port=-1\nvideo_rtp_port=-1\ntext_rtp_port=-1\n\
             [misc]\nversion_check_url_root=\n"
        );
        let rc = folder.path().join("linphonerc");
        fs::write(&rc, config).map_err(|e| format!("{}: {e}", rc.display()))?;
        for place in [".local/share/linphone", ".config/linphone"] {
            fs::create_dir_all(folder.path().join(place)).map_err(|e| format!("{place}: {e}"))?;
        }
        let mut command = Command::new("linphonec");
        command.arg("-c").arg(&rc).args(more).env("HOME", folder.path());
        command.env_remove("XDG_DATA_HOME").env_remove("XDG_CONFIG_HOME");
        let process = Process::start_with_input(&mut command).map_err(|e| format!("linphonec: {e}"))?;
        let mut linphone = Self { process, _folder: folder };
        // Its prompt is no line: what it answers shows that it listens.
        linphone.tell("help")?;
        linphone.says("Commands are:", START_LIMIT)?;
        linphone.tell("soundcard use files")?;
        Ok(linphone)
    }

    /// Types a command.
    pub fn tell(&mut self, command: &str) -> Result<(), String> {
        self.process.write_line(command).map_err(|e| format!("linphonec: {e}"))
    }

    /// Waits until it prints a line with `text`. If it does not in time, the error is all that it printed.
    pub fn says(&mut self, text: &str, limit: Duration) -> Result<(), String> {
        self.process.wait_for(limit, |line| line.contains(text).then_some(())).map_err(|unfinished| unfinished.output)
    }
}
