//! Kamailio, a proxy and registrar, with a configuration of its own.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use super::Process;
use super::folder::Folder;

/// How long a start or an end may take on a machine that is busy with other tests.
const LIMIT: Duration = Duration::from_secs(20);

/// How long it is waited for the answer to one request, before the next.
const PATIENCE: Duration = Duration::from_millis(50);

/// A registrar that asks for a password, and a proxy that records itself: what its own documentation does.
const ROUTES: &str = r#"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"

modparam("usrloc", "db_mode", 0)

request_route {
    if (!mf_process_maxfwd_header("10")) {
        sl_send_reply("483", "Too Many Hops");
        exit;
    }
    if (is_method("CANCEL")) {
        if (t_check_trans()) t_relay();
        exit;
    }
    if (has_totag()) {
        if (loose_route()) {
            t_relay();
        } else if (is_method("ACK")) {
            if (t_check_trans()) t_relay();
        } else {
            sl_send_reply("481", "Call/Transaction Does Not Exist");
        }
        exit;
    }
    t_check_trans();
    if (is_method("REGISTER")) {
        if (!pv_www_authenticate("$fd", "PASSWORD", "0")) {
            www_challenge("$fd", "1");
            exit;
        }
        save("location");
        exit;
    }
    if (is_method("INVITE")) record_route();
    if (!lookup("location")) {
        sl_send_reply("404", "Not Found");
        exit;
    }
    t_relay();
}
"#;

/// A running Kamailio, over UDP.
#[derive(Debug)]
pub struct Kamailio {
    process: Option<Process>,
    _folder: Folder,
}

impl Kamailio {
    /// Starts it at `local`; everybody registers with `password`.
    pub fn start(local: SocketAddr, password: &str) -> Result<Self, String> {
        let folder = Folder::create("kamailio").map_err(|e| e.to_string())?;
        // One worker: with several a message may overtake the one before it.
        let head = "debug=1\nlog_stderror=yes\nchildren=1\ndisable_tcp=yes\nauto_aliases=no\n";
        let config = folder.path().join("kamailio.cfg");
        fs::write(&config, head.to_owned() + &ROUTES.replace("PASSWORD", password)).map_err(|e| e.to_string())?;
        let mut command = Command::new("kamailio");
        // In the foreground, with little memory, and what it writes while it runs in the folder.
        command.args(["-DD", "-E", "-m", "32", "-M", "4"]).arg("-f").arg(&config).arg("-Y").arg(folder.path());
        command.args(["-l", &format!("udp:{local}")]);
        let mut process = Process::start(&mut command).map_err(|e| format!("kamailio: {e}"))?;
        let listens = format!("udp: {}", local.ip());
        let found = process.wait_for(LIMIT, |line| line.contains(&listens).then_some(()));
        let kamailio = Self { process: Some(process), _folder: folder };
        found.map_err(|unfinished| unfinished.output)?;
        answers(local)?;
        Ok(kamailio)
    }
}

/// It says that it listens before it does: asks until there is an answer.
fn answers(proxy: SocketAddr) -> Result<(), String> {
    let socket = UdpSocket::bind((proxy.ip(), 0)).map_err(|e| e.to_string())?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(|e| e.to_string())?;
    let from = socket.local_addr().map_err(|e| e.to_string())?;
    for number in 1..=LIMIT.as_millis() / PATIENCE.as_millis() {
        let options = format!(
            "OPTIONS sip:{proxy} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{number};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:tests@{from}>;tag=1\r\nTo: <sip:nobody@{proxy}>\r\nCall-ID: {number}@{from}\r\n\
             CSeq: {number} OPTIONS\r\nContent-Length: 0\r\n\r\n"
        );
        socket.send_to(options.as_bytes(), proxy).map_err(|e| e.to_string())?;
        if socket.recv(&mut [0; 4096]).is_ok() {
            return Ok(());
        }
    }
    Err(format!("kamailio: no answer from {proxy}"))
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        // It has processes of its own, which end with it only when it is asked to end.
        if let Some(process) = self.process.take() {
            let asked = Command::new("kill").args(["-s", "TERM", &process.id().to_string()]).status();
            if asked.is_ok_and(|status| status.success()) {
                let _ = process.finish(LIMIT);
            }
        }
    }
}
