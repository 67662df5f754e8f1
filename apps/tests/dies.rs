//! A thread of the stack that dies takes the program with it, loudly (exit code 70), and leaves nobody waiting.

use clap::Parser as _;
use stack::tu::{MessageFilterRule, TransactionUser, TuContext, TuEvent, TuOptions};
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Stdio};

/// Set for the process that is to die.
const DIES: &str = "PROXY_DIES";

/// A transaction user with a fault.
struct Clumsy;

impl TransactionUser for Clumsy {
    fn name(&self) -> &'static str {
        "clumsy"
    }
    fn process(&mut self, _: TuEvent, _: &mut TuContext<'_>) {
        panic!("as it should");
    }
}

/// The program itself, in a process of its own: repro, and in it a transaction user that panics at a MESSAGE.
#[test]
fn the_one_that_dies() {
    if std::env::var_os(DIES).is_none() {
        return;
    }
    let args = ["repro", "--listen", "udp:127.0.0.1:0", "--listen", "tcp:127.0.0.1:0"];
    let args = apps::repro::Args::parse_from(args.into_iter().chain(["--placement", "sharded:2"]));
    let code = apps::repro::main(args, |builder, _| {
        let rule = MessageFilterRule::methods(&["MESSAGE"]);
        builder.register_tu(TuOptions { rule, ..TuOptions::default() }, |_shard| Clumsy);
    });
    panic!("it ended by itself: {code:?}");
}

#[test]
fn a_thread_that_dies_takes_the_program_with_it() {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["--exact", "the_one_that_dies", "--nocapture"]).env(DIES, "1");
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it can be run");
    let mut lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
    let listening = |line: String| line.split_once("listening on udp ")?.1.parse::<SocketAddr>().ok();
    let proxy = lines.by_ref().map_while(Result::ok).find_map(listening).expect("it starts");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let own = socket.local_addr().expect("it is bound");
    let request = format!(
        "MESSAGE sip:{proxy} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
         From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:{proxy}>\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\n\r\n"
    );
    socket.send_to(request.as_bytes(), proxy).expect("loopback");
    let mut said = String::new();
    process.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
    assert_eq!(process.wait().expect("it ends").code(), Some(70), "{said}");
    assert!(said.contains("as it should"), "the panic itself: {said}");
    let line = said.lines().find(|line| line.starts_with("repro: thread sip-")).unwrap_or_default();
    assert!(line.ends_with(" has died, its calls are lost: exiting"), "{said}");
}
