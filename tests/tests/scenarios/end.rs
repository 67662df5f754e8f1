//! How the proxy ends: told to, and told twice.

use std::net::UdpSocket;
use std::process::Command;

use tests::peers::{Process, repro_binary};

use crate::repro::{ANY_PORT, LIMIT, address, start};

fn signal(process: &Process, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &process.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
}

#[test]
fn a_signal_ends_it_when_nothing_is_pending() {
    for name in ["TERM", "INT"] {
        let binary = repro_binary().expect("it can be built");
        let mut process = Process::start(Command::new(binary).args(ANY_PORT)).expect("it can be run");
        for _ in 0..2 {
            process.wait_for(LIMIT, |line| line.starts_with("listening on ").then_some(())).expect("it starts");
        }
        signal(&process, name);
        let (status, output) = process.finish(LIMIT).expect("it ends");
        assert_eq!(status.code(), Some(0), "{output}");
    }
}

/// A request without an answer keeps it from ending; new requests are refused meanwhile; a second signal ends it.
#[test]
fn while_it_drains_it_refuses_and_a_second_signal_ends_it() {
    let mut repro = start(&["--log", "info"]);
    let proxy = address(&repro, "udp");
    let [client, silent] = [(); 2].map(|()| {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.set_read_timeout(Some(LIMIT / 100)).expect("a limit");
        socket
    });
    let port = |socket: &UdpSocket| socket.local_addr().expect("it is bound").port();
    let (own, next) = (port(&client), port(&silent));
    let mut buffer = [0; 2048];
    let ask = |method: &str, count: u32| {
        let request = format!(
            "{method} sip:bob@127.0.0.1:{next} SIP/2.0\r\n\
             Via: SIP/2.0/UDP 127.0.0.1:{own};branch=z9hG4bK{method}{count}\r\nMax-Forwards: 70\r\n\
             From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:bob@127.0.0.1>\r\nCall-ID: {method}\r\n\
             CSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
        );
        client.send_to(request.as_bytes(), proxy).expect("loopback");
    };
    let forwarded = (0..100).any(|_| {
        ask("MESSAGE", 0);
        silent.recv(&mut buffer).is_ok()
    });
    assert!(forwarded);
    signal(repro.process(), "TERM");
    let stopping = |line: &str| line.contains("stopping").then_some(());
    repro.process().wait_for(LIMIT, stopping).expect("it says so");
    // The line is written just before the stack is told: an OPTIONS that is forwarded, and not answered, was too early.
    let refused = (0..100).any(|count| {
        ask("OPTIONS", count);
        client.recv(&mut buffer).is_ok_and(|length| {
            let answer = String::from_utf8_lossy(&buffer[..length]).into_owned();
            answer.starts_with("SIP/2.0 503 ") && answer.contains("\r\nRetry-After: ")
        })
    });
    assert!(refused);
    signal(repro.process(), "TERM");
    repro.process().wait_for(LIMIT, |line| line.contains("stopping at once").then_some(())).expect("it says so");
}
