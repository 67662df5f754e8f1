//! Many connections that say nothing.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use tests::peers::{Repro, repro_binary};

use crate::end::signal;
use crate::repro::{ANY_PORT, File, LIMIT, address, start};

/// Connections that a proxy should hold without noticing.
const MANY: u64 = 10_000;

/// How many connections this process may hold; as many as it is allowed at most.
fn connections() -> u64 {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("Linux says");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("up to the hard limit is allowed");
    let count = MANY.min(hard.saturating_sub(200));
    if count < MANY {
        println!("only {hard} open files are allowed here: {count} connections instead of {MANY}");
    }
    count
}

/// Resident kB of a process.
pub(crate) fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux says");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn connect(proxy: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(proxy).expect("it listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    stream
}

fn ask(stream: &mut TcpStream, name: &str) {
    let (own, proxy) = (stream.local_addr().expect("it is connected"), stream.peer_addr().expect("it is connected"));
    let request = format!(
        "OPTIONS sip:{proxy} SIP/2.0\r\nVia: SIP/2.0/TCP {own};branch=z9hG4bK{name}\r\nMax-Forwards: 70\r\n\
         From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:{proxy}>\r\nCall-ID: {name}\r\nCSeq: 1 OPTIONS\r\n\
         Content-Length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("it is read");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"SIP/2.0 200 ");
}

/// Ten thousand idle connections cost little, and the one among them that speaks is answered.
#[test]
fn idle_connections_cost_little_and_hinder_nobody() {
    let file = File::new("idle", "[limits]\nconnections = 20000\nconnections_per_source = 20000\n");
    let mut repro = start(&["--config", file.name()]);
    let proxy = address(&repro, "tcp");
    let process = repro.process().id();
    ask(&mut connect(proxy), "first");
    let before = resident(process);
    let count = connections();
    let mut idle: Vec<TcpStream> = (0..count).map(|_| connect(proxy)).collect();
    // The last is accepted after all others.
    ask(idle.last_mut().expect("there are some"), "last");
    let octets = (resident(process).saturating_sub(before)) * 1024 / count;
    println!("{count} idle connections, {octets} octets each");
    assert!(octets < 4096, "{octets} octets for an idle connection");
    ask(&mut idle[0], "oldest");
}

/// More connections than open files: who is idle longest makes room, one source has its share of them, and the log says so at
/// the start.
#[test]
fn few_open_files_leave_room_for_who_comes() {
    let start = |more: &[&str]| {
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -n 100; exec \"$0\" \"$@\""]).arg(repro_binary().expect("it is built"));
        Repro::start_command(shell.args(ANY_PORT).args(more), 2).expect("it starts")
    };
    let file = File::new("few-files", "[limits]\nconnections_per_source = 20000\n");
    let repro = start(&["--config", file.name()]);
    let proxy = address(&repro, "tcp");
    let many: Vec<TcpStream> = (0..200).map(|_| connect(proxy)).collect();
    ask(&mut connect(proxy), "last");
    drop((many, repro));
    let mut repro = start(&[]);
    let proxy = address(&repro, "tcp");
    let mut many: Vec<TcpStream> = (0..100).map(|_| connect(proxy)).collect();
    ask(&mut many[0], "first");
    signal(repro.process(), "TERM");
    let (_, output) = repro.into_process().finish(LIMIT).expect("it ends");
    assert!(output.contains("is more than 100 open files allow: it is 75;"), "{output}");
}
