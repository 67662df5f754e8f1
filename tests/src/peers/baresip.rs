//! baresip, a softphone, without devices: what it hears and says is its own silence.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use super::Process;
use super::folder::Folder;
use serde_json::Value;

/// How long a start may take on a machine that is busy with other tests.
const START_LIMIT: Duration = Duration::from_secs(20);

/// Where Debian's package has its modules.
const MODULES: &str = "/usr/lib/baresip/modules";

/// Where it takes commands, at its own address.
const CONTROL_PORT: u16 = 4444;

/// The longest answer to a command that is read.
const LONGEST: usize = 65_536;

/// A running baresip, which answers every call.
#[derive(Debug)]
pub struct Baresip {
    process: Process,
    control: SocketAddr,
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
        let control = SocketAddr::from((local.ip(), CONTROL_PORT));
        let config = format!(
            "sip_listen {local}\nmodule_path {MODULES}\naudio_source aubridge,nil\naudio_player aubridge,nil\n\
             module g711.so\nmodule aubridge.so\nmodule_app account.so\nmodule_app menu.so\n\
             module_app ctrl_tcp.so\nctrl_tcp_listen {control}\n{more}"
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
        let mut baresip = Self { process, control, _folder: folder };
        baresip.says("baresip is ready", START_LIMIT)?;
        Ok(baresip)
    }

    /// Waits until it prints a line with `text`. If it does not in time, the error is all that it printed.
    pub fn says(&mut self, text: &str, limit: Duration) -> Result<(), String> {
        self.process.wait_for(limit, |line| line.contains(text).then_some(())).map_err(|unfinished| unfinished.output)
    }

    /// Has it do something, as if it was typed: `hold`, `transfer sip:…`. The error is its own, or that nothing was heard.
    pub fn tell(&mut self, command: &str) -> Result<(), String> {
        let (name, params) = command.split_once(' ').unwrap_or((command, ""));
        let asked = || -> io::Result<Value> {
            let mut stream = TcpStream::connect(self.control)?;
            stream.set_read_timeout(Some(START_LIMIT))?;
            let json = serde_json::json!({ "command": name, "params": params }).to_string();
            stream.write_all(format!("{}:{json},", json.len()).as_bytes())?;
            // What happens meanwhile is told there as well.
            let mut answers = BufReader::new(stream);
            loop {
                let answer: Value = serde_json::from_slice(&netstring(&mut answers)?)?;
                if answer["response"] == true {
                    return Ok(answer);
                }
            }
        };
        let answer = asked().map_err(|e| format!("baresip, {command}: {e}"))?;
        if answer["ok"] == true { Ok(()) } else { Err(format!("baresip, {command}: {answer}")) }
    }
}

/// `length:octets,`
fn netstring(from: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut length = Vec::new();
    from.by_ref().take(8).read_until(b':', &mut length)?;
    let digits = length.strip_suffix(b":").and_then(|digits| str::from_utf8(digits).ok());
    let length = digits.and_then(|digits| digits.parse().ok()).filter(|length: &usize| *length <= LONGEST);
    // The comma belongs to it.
    let mut octets = vec![0; length.ok_or(io::ErrorKind::InvalidData)? + 1];
    from.read_exact(&mut octets)?;
    octets.pop();
    Ok(octets)
}
