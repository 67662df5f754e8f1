//! A program with a processor of its own: the example.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A program that does not outlive its test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Cargo builds the examples with the tests, beside their folder.
fn start() -> (Program, SocketAddr) {
    let test = std::env::current_exe().expect("this test");
    let folder = test.ancestors().nth(2).expect("target/PROFILE/deps");
    let mut command = Command::new(folder.join("examples/own_processor"));
    command.args(["--listen", "udp:127.0.0.1:0"]).stdout(Stdio::piped());
    let mut process = command.spawn().expect("it can be run");
    let mut lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
    let listening = |line: String| line.split_once("listening on udp ")?.1.parse().ok();
    let address = lines.by_ref().map_while(Result::ok).find_map(listening).expect("it starts");
    (Program(process), address)
}

/// The status that a call gets.
fn call(socket: &UdpSocket, proxy: SocketAddr, from: &str) -> String {
    let own = socket.local_addr().expect("it is bound");
    let request = format!(
        "INVITE sip:bob@{proxy} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{from}\r\nMax-Forwards: 70\r\n\
         From: <sip:alice@{from}>;tag=1\r\nTo: <sip:bob@{proxy}>\r\nCall-ID: {from}\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:{own}>\r\nContent-Length: 0\r\n\r\n"
    );
    socket.send_to(request.as_bytes(), proxy).expect("loopback");
    let mut buffer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut buffer).expect("an answer");
        let line = String::from_utf8_lossy(&buffer[..length]).lines().next().unwrap_or_default().to_owned();
        if !line.contains(" 100 ") {
            return line;
        }
    }
}

#[test]
fn the_example_refuses_anonymous_calls() {
    let (_program, proxy) = start();
    // A socket for each call: what repeats a failure is of no interest.
    let socket = || {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a limit");
        socket
    };
    assert_eq!(call(&socket(), proxy, "anonymous.invalid"), "SIP/2.0 433 Anonymity Disallowed");
    assert_eq!(call(&socket(), proxy, "example.com"), "SIP/2.0 404 Not Found");
}
