//! baresip, a softphone, without devices: what it hears and says is its own silence.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use super::Process;
use super::folder::Folder;

/// How long a start may take on a machine that is busy with other tests.
const START_LIMIT: Duration = Duration::from_secs(20);

/// Where Debian's package has its modules.
const MODULES: &str = "/usr/lib/baresip/modules";

/// A running baresip, which answers every call.
#[derive(Debug)]
pub struct Baresip {
    process: Process,
    /// It is read at the start and written to later.
    _folder: Folder,
}

impl Baresip {
    /// Starts it at `local`, as the user `bob`, and waits until it is there. `commands` are those of its command line
    /// (`/dial sip:…`), and run then.
    pub fn start(local: SocketAddr, commands: &[&str]) -> Result<Self, String> {
        Self::with(local, &format!("<sip:bob@{local}>;regint=0;answermode=auto"), "", &[], commands)
    }

    /// The same with another account, a line of the contacts, and further modules.
    pub fn with(
        local: SocketAddr,
        account: &str,
        contact: &str,
        modules: &[&str],
        commands: &[&str],
    ) -> Result<Self, String> {
        let folder = Folder::create("baresip").map_err(|e| e.to_string())?;
        let more: String = modules.iter().map(|module| format!("module_app {module}\n")).collect();
        let config = format!(
            "sip_listen {local}\nmodule_path {MODULES}\naudio_source aubridge,nil\naudio_player aubridge,nil\n\
             module g711.so\nmodule aubridge.so\nmodule_app account.so\nmodule_app menu.so\n{more}"
        );
        for (file, text) in [("config", &*config), ("accounts", account), ("contacts", contact)] {
            fs::write(folder.path().join(file), format!("{text}\n")).map_err(|e| format!("{file}: {e}"))?;
        }
        let mut command = Command::new("baresip");
        command.arg("-4").arg("-f").arg(folder.path());
        for line in commands {
            command.args(["-e", line]);
        }
        let process = Process::start(&mut command).map_err(|e| format!("baresip: {e}"))?;
        let mut baresip = Self { process, _folder: folder };
        baresip.says("baresip is ready", START_LIMIT)?;
        Ok(baresip)
    }

    /// Waits until it prints a line with `text`. If it does not in time, the error is all that it printed.
    pub fn says(&mut self, text: &str, limit: Duration) -> Result<(), String> {
        self.process.wait_for(limit, |line| line.contains(text).then_some(())).map_err(|unfinished| unfinished.output)
    }
}
