//! Kamailio as it is measured beside us: a proxy with transactions that records itself, and a registrar in memory.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

/// What it does, as its own documentation has it: it relays by the Request-URI, and users of `example.com` to where they
/// have registered.
const CONFIGURATION: &str = r#"
debug=-1
log_stderror=yes
children=WORKERS
auto_aliases=no
dns=no
rev_dns=no
use_dns_cache=off
listen=udp:ADDRESS
disable_tcp=yes
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
modparam("usrloc", "db_mode", 0)
modparam("usrloc", "hash_size", 14)
modparam("registrar", "max_expires", 7200)
request_route {
    if (!mf_process_maxfwd_header("70")) { sl_send_reply("483", "Too Many Hops"); exit; }
    if (has_totag()) {
        if (loose_route()) { t_relay(); exit; }
        if (is_method("ACK") && t_check_trans()) t_relay();
        exit;
    }
    t_check_trans();
    if (is_method("REGISTER")) { if (!save("location")) sl_reply_error(); exit; }
    if (uri == myself) { sl_send_reply("200", "OK"); exit; }
    if (is_method("INVITE")) record_route();
    if ($rd == "example.com" && !lookup("location")) { sl_send_reply("404", "Not Found"); exit; }
    if (!t_relay()) sl_reply_error();
    exit;
}
"#;

/// How to start it on `address` with so many workers, with its own files in `folder`. Its `tlsf` allocator is four times
/// faster than the one for debugging that Debian's packages use by default.
///
/// # Errors
/// When its configuration cannot be written.
pub fn kamailio(address: SocketAddr, workers: u32, folder: &Path) -> io::Result<Command> {
    let file = folder.join("kamailio.cfg");
    let text = CONFIGURATION.replace("ADDRESS", &address.to_string()).replace("WORKERS", &workers.to_string());
    std::fs::write(&file, text)?;
    let mut command = Command::new("kamailio");
    command.args(["-DD", "-E", "-m", "1024", "-M", "8", "-x", "tlsf", "-Y"]).arg(folder).arg("-f").arg(file);
    Ok(command)
}
