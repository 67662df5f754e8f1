//! Two processes for one virtual address, in two networks of their own: the address moves, as VRRP moves it, and the process
//! that stood by goes on where the other one was.

use crate::end::signal;
use crate::networks::Networks;
use crate::nodes_faults::{DOMAIN, PASSWORD, configuration, judge, until_said};
use crate::repro::{File, LIMIT};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use tests::callers::{Callers, Rates};
use tests::peers::{Process, Redis, available, repro_binary};

const RATES: Rates = Rates { calls: 30, registrations: 10 };

/// Starts a process of the pair; it binds to an address that it may not have.
fn start(networks: &Networks, at: usize, listen: SocketAddr, config: &File) -> Process {
    let mut command = networks.command(at, &repro_binary().expect("it can be built"));
    command.args(["--config", config.name(), "--listen", &format!("udp:{listen}")]);
    let mut process = Process::start(&mut command).expect("it can be run");
    process.wait_for(LIMIT, |line| line.starts_with("listening on udp").then_some(())).expect("it starts");
    process
}

#[test]
fn the_process_that_stands_by_takes_over_with_the_address() {
    if !available("redis-server") || !available("ip") {
        return;
    }
    let networks = match Networks::new(&[0, 1]) {
        Ok(networks) => networks,
        Err(why) => return tests::skip(&format!("networks of their own cannot be made here: {why}")),
    };
    let redis = Redis::start_at(networks.here(0), Some(PASSWORD), &[]).expect("it starts");
    let shared = networks.spare();
    let listen = SocketAddr::from((shared, 5060));
    let more = format!("trusted_peers = [\"{}\"]\n", networks.here(0));
    let text = configuration("a", redis.address(), &more) + &format!("virtual_address = \"{shared}\"\n");
    let files = ["one", "two"].map(|name| File::new(&format!("standby-{name}"), &text));
    networks.give(0, shared);
    let mut first = start(&networks, 0, listen, &files[0]);
    let mut second = start(&networks, 1, listen, &files[1]);
    assert!(first.output().contains("passive=false") && second.output().contains("passive=true"));
    let mut callers = Callers::new(IpAddr::V4(networks.here(0)), &[listen], DOMAIN).expect("sockets");
    callers.prepare(10);
    callers.set_rates(RATES);
    callers.run_calls(60);
    assert_eq!(callers.tally.failures.len(), 0, "{}", callers.tally);
    // The one dies; whoever moves addresses notices.
    drop(first);
    networks.take(0, shared);
    networks.give(1, shared);
    until_said(&mut callers, &mut second, "this process takes over");
    callers.run_until("the callers come back", |all| !all.is_down(0));
    callers.run_calls(60);
    // The other way: the process lives on, and stands by.
    let mut first = start(&networks, 0, listen, &files[0]);
    assert!(first.output().contains("passive=true"));
    networks.take(1, shared);
    networks.give(0, shared);
    until_said(&mut callers, &mut first, "this process takes over");
    until_said(&mut callers, &mut second, "this process stands by");
    callers.run_until("the callers come back", |all| !all.is_down(0));
    callers.run_calls(60);
    // What rang there is over, whether or not the callers notice that nobody is at the address for a moment; who stands by
    // is asked until the address has moved.
    let may = |_, of: &str, why: &str| {
        why.starts_with("silence") || why == "timeout after ringing" || why == "503" && of != "BYE"
    };
    judge("a virtual address moved twice", &mut callers, may);
    assert_eq!(callers.missing(0), Vec::<u64>::new());
    for mut process in [first, second] {
        signal(&process, "TERM");
        let said = process.output();
        assert!(!said.contains("another node has the same name"), "{said}");
        process.finish(LIMIT).expect("it ends");
    }
}

/// Who stands by serves nobody, wherever a request comes from.
#[test]
fn who_stands_by_answers_503() {
    if !available("redis-server") || !available("ip") {
        return;
    }
    let networks = match Networks::new(&[0]) {
        Ok(networks) => networks,
        Err(why) => return tests::skip(&format!("a network of its own cannot be made here: {why}")),
    };
    let redis = Redis::start_at(networks.here(0), Some(PASSWORD), &[]).expect("it starts");
    let shared = networks.spare();
    let more = format!("trusted_peers = [\"{}\"]\n", networks.here(0));
    let text = configuration("a", redis.address(), &more) + &format!("virtual_address = \"{shared}\"\n");
    let file = File::new("standby-refuses", &text);
    let mut command = networks.command(0, &repro_binary().expect("it can be built"));
    let own = SocketAddr::from((networks.there(0), 5060));
    command.args([
        "--config",
        file.name(),
        "--listen",
        &format!("udp:{shared}:5060"),
        "--listen",
        &format!("udp:{own}"),
    ]);
    let mut process = Process::start(&mut command).expect("it can be run");
    process.wait_for(LIMIT, |line| line.contains(&format!("listening on udp {own}")).then_some(())).expect("it starts");
    let phone = UdpSocket::bind((networks.here(0), 0)).expect("a free port");
    phone.set_read_timeout(Some(LIMIT)).expect("a limit");
    let at = phone.local_addr().expect("it is bound");
    for method in ["OPTIONS", "REGISTER", "INVITE"] {
        let text = format!(
            "{method} sip:{own} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bK{method}\r\nMax-Forwards: 70\r\n\
             From: <sip:a@{DOMAIN}>;tag=1\r\nTo: <sip:a@{DOMAIN}>\r\nCall-ID: {method}\r\nCSeq: 1 {method}\r\n\
             Content-Length: 0\r\n\r\n"
        );
        phone.send_to(text.as_bytes(), own).expect("it can be sent");
        let mut buffer = [0; 4096];
        let size = phone.recv(&mut buffer).expect("an answer");
        let answer = String::from_utf8_lossy(&buffer[..size]);
        assert!(answer.starts_with("SIP/2.0 503 "), "{answer}");
    }
}
