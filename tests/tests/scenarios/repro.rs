//! The proxy as a program: start, torture, calls through it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tests::corpus::{self, Case};
use tests::peers::{self, Process, Repro, Sipp, repro_binary};
use tests::verdict::Role;
use tests::wire::{
    Outcome, can_be_forwarded, can_be_forwarded_over_tcp, check_forwarded_over_tcp, check_forwarded_over_udp,
    check_over_tcp, check_over_udp,
};

pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// UDP and TCP on free ports of the loopback.
pub(crate) const ANY_PORT: [&str; 4] = ["--listen", "udp:127.0.0.1:0", "--listen", "tcp:127.0.0.1:0"];

/// One that listens there.
pub(crate) fn start(more: &[&str]) -> Repro {
    let args: Vec<&str> = ANY_PORT.iter().chain(more).copied().collect();
    Repro::start(&args, 2).expect("it starts")
}

pub(crate) fn address(repro: &Repro, transport: &str) -> SocketAddr {
    repro.address(transport).expect("it said so")
}

/// How soon the next request after a torture message is answered.
const PROMPT: Duration = Duration::from_millis(100);
/// How often a message is tried until that is so: a machine that is busy with other things may be late once or twice.
const ATTEMPTS: u32 = 5;

/// Tries messages in all ways, each on a proxy of its own: the RFC uses branches more than once, and a request with
/// the branch of an earlier one is that request again.
fn torture(role: Role, more: &[&str], wanted: impl Fn(&Case) -> bool) {
    let (mut wrong, mut delays) = (Vec::new(), Vec::new());
    let mut judge = |case: &Case, check: &dyn Fn() -> Result<Outcome, String>| {
        for attempt in 1..=ATTEMPTS {
            match check() {
                Ok(Outcome::Right(Some(delay))) if delay >= PROMPT && attempt < ATTEMPTS => continue,
                Ok(Outcome::Right(answered_in)) => delays.extend(answered_in.map(|delay| (delay, case.name.clone()))),
                Ok(Outcome::Skipped(_)) => {}
                Err(error) => wrong.push(error),
            }
            return;
        }
    };
    for case in &corpus::all().into_iter().filter(wanted).collect::<Vec<_>>() {
        judge(case, &|| check_over_udp(address(&start(more), "udp"), case, role));
        judge(case, &|| check_over_tcp(address(&start(more), "tcp"), case, role));
        if role == Role::Proxy && can_be_forwarded(case) {
            judge(case, &|| check_forwarded_over_udp(address(&start(more), "udp"), case));
        }
        if role == Role::Proxy && can_be_forwarded_over_tcp(case) {
            judge(case, &|| check_forwarded_over_tcp(address(&start(more), "tcp"), case));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    delays.sort();
    let (median, worst) = (&delays[delays.len() / 2], &delays[delays.len() - 1]);
    eprintln!("{role:?}: the next request is answered in {:?}; worst: {worst:?}", median.0);
    assert!(worst.0 < PROMPT, "{delays:?}");
}

#[test]
fn a_proxy_under_torture() {
    torture(Role::Proxy, &[], |_| true);
}

#[test]
fn a_registrar_under_torture() {
    let config = File::new("registrar", "domains = [\"example.com\", \"[2001:db8:77::10]\", \"2001:db8:77::10\"]");
    // A domain is a host: without brackets it is no IPv6 address.
    assert!(refusal(&["--config", config.name()]).contains("domains"));
    let config = File::new("registrar", "domains = [\"example.com\", \"[2001:db8:77::10]\"]");
    // What is for other domains is a proxy's business.
    let own = |case: &Case| {
        let is_for = |domain: &str| case.bytes.starts_with(format!("REGISTER sip:{domain} ").as_bytes());
        is_for("example.com") || is_for("[2001:db8:77::10]")
    };
    torture(Role::Registrar, &["--config", config.name()], own);
}

/// What follows a good request loses the framing of the stream: the request is answered, what follows is not, and the
/// connection ends.
#[test]
fn a_request_before_lost_framing_is_answered() {
    for placement in ["inline", "sharded:2", "staged"] {
        let repro = start(&["--placement", placement]);
        let proxy = address(&repro, "tcp");
        let mut stream = TcpStream::connect(proxy).expect("it listens");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        let request = |call: &str, length: &str| {
            format!(
                "OPTIONS sip:{proxy} SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK{call}\r\n\
                 Max-Forwards: 0\r\nFrom: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:{proxy}>\r\nCall-ID: {call}\r\n\
                 CSeq: 1 OPTIONS\r\n{length}\r\n"
            )
        };
        let octets = [request("good", "Content-Length: 4\r\n").as_str(), "body, too long\r\n\r\n"].concat();
        let after = request("after", "Content-Length: 0\r\n");
        // In one write, so that both are read at once.
        stream.write_all((octets + &after).as_bytes()).expect("it reads");
        let mut answers = String::new();
        stream.read_to_string(&mut answers).expect("the connection ends in good order");
        assert_eq!(answers.matches("SIP/2.0 ").count(), 1, "{placement}: {answers}");
        assert!(answers.contains("\r\nCall-ID: good\r\n"), "{placement}: {answers}");
    }
}

/// Registers the called side, then calls it by its address-of-record.
fn calls_through(transport: &str, listed: &str, placement: &str) {
    if !peers::available("sipp") {
        return;
    }
    let repro = start(&["--placement", placement]);
    let proxy = address(&repro, listed);
    let side =
        |scenario, local, calls, remote, more| Sipp { scenario, local, remote, calls, rate: 50, transport, more };
    let [caller, called] = [(); 2].map(|()| SocketAddr::from((peers::loopback(), 5060)));
    // The called side registers first, with the same address: SIPp has one scenario a run.
    let domain = proxy.to_string();
    let keys = ["-s", "bob", "-key", "domain", &domain];
    let registered = side("register.xml", called, 1, Some(proxy), &keys[..]).run(LIMIT).expect("it ends");
    assert_eq!((registered.successful, registered.failed), (1, 0));
    let called = side("uas_call.xml", called, 25, None, &[]).start().expect("the called side starts");
    let caller = side("uac_call.xml", caller, 25, Some(proxy), &keys[..2]);
    let stats = caller.run(LIMIT).expect("the caller ends");
    assert_eq!((stats.successful, stats.failed), (25, 0));
    let stats = called.finish(LIMIT).expect("the called side ends");
    assert_eq!((stats.successful, stats.failed), (25, 0));
}

#[test]
fn registered_users_are_called_over_udp() {
    calls_through("u1", "udp", "inline");
}

#[test]
fn registered_users_are_called_over_tcp() {
    calls_through("t1", "tcp", "inline");
}

#[test]
fn all_shards_know_the_registered_users() {
    calls_through("u1", "udp", "sharded:2");
    calls_through("t1", "tcp", "sharded:2");
}

#[test]
fn calls_go_through_two_stages() {
    calls_through("u1", "udp", "staged");
    calls_through("t1", "tcp", "staged");
}

/// A file for one test, removed afterwards.
pub(crate) struct File(PathBuf);

impl File {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("repro-{name}-{}.toml", std::process::id()));
        fs::write(&path, text).expect("a temporary file");
        File(path)
    }

    pub(crate) fn name(&self) -> &str {
        self.0.to_str().expect("a plain name")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What `repro` says when it does not start: one line, and exit code 1.
pub(crate) fn refusal(args: &[&str]) -> String {
    let binary = repro_binary().expect("it can be built");
    let process = Process::start(Command::new(binary).args(args)).expect("it can be run");
    let (status, output) = process.finish(LIMIT).expect("it ends by itself");
    assert_eq!((status.code(), output.lines().count()), (Some(1), 1), "{output}");
    assert!(output.starts_with("repro: "), "{output}");
    output
}

#[test]
fn what_keeps_it_from_starting_is_told_in_one_line() {
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let said = refusal(&["--listen", &format!("udp:{address}")]);
    assert!(said.contains(&address) && said.contains("in use"), "{said}");
    let said = refusal(&["--listen", "tcp:127.0.0.1:5099", "--listen", "tls:127.0.0.1:5099"]);
    assert!(said.contains("--listen tls:127.0.0.1:5099: names an address and port twice"), "{said}");
    let said = refusal(&["--listen", "tcp:192.0.2.1:5060"]);
    assert!(said.contains("192.0.2.1:5060") && said.contains("not an address of this machine"), "{said}");
    let said = refusal(&["--config", "/nowhere/repro.toml"]);
    assert!(said.contains("/nowhere/repro.toml"), "{said}");
    let file = File::new("bad", "record_route = true\n[registrar]\nmax_contact = 3\n");
    let said = refusal(&["--config", file.name()]);
    assert!(said.contains(&format!("{}:3: registrar.max_contact:", file.name())), "{said}");
    let said = refusal(&["--log", "repro=loud", "--listen", "udp:127.0.0.1:0"]);
    assert!(said.contains("repro=loud"), "{said}");
    // A word that is no level would be a module's name.
    let said = refusal(&["--log", "verbose", "--listen", "udp:127.0.0.1:0"]);
    assert!(said.contains("\"verbose\" is no level: expected off, "), "{said}");
    // What a start would refuse is refused by `check`.
    for (text, wanted) in [
        ("[log]\nfilter = \"loud\"\n", "\"loud\" is no level"),
        ("[admin]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"/nowhere/token\"\n", "/nowhere/token"),
    ] {
        let config = File::new("checked", text);
        let said = refusal(&["--config", config.name(), "check"]);
        assert!(said.contains(wanted), "{said}");
    }
}
