//! Two processes for one virtual address, in two networks of their own: the address moves, as VRRP moves it, and the process
//! that stood by goes on where the other one was.

use crate::cluster::{bind_natted, message, say_yes, until};
use crate::end::signal;
use crate::networks::Networks;
use crate::nodes_faults::{DOMAIN, PASSWORD, configuration, judge, until_said};
use crate::phone::Phone;
use crate::repro::{File, LIMIT};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use tests::callers::{Callers, Rates};
use tests::peers::{Process, Redis, available, repro_binary};
use tests::raw;

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

/// A device that only its flow leads to is reached from the same address, and what it has published is known there.
#[test]
fn a_phone_behind_a_nat_and_what_it_has_published_outlive_a_takeover() {
    if !available("redis-server") || !available("ip") {
        return;
    }
    let networks = match Networks::new(&[0, 1]) {
        Ok(networks) => networks,
        Err(why) => return tests::skip(&format!("networks of their own cannot be made here: {why}")),
    };
    let here = networks.here(0);
    let redis = Redis::start_at(here, Some(PASSWORD), &[]).expect("it starts");
    let shared = networks.spare();
    let listen = SocketAddr::from((shared, 5060));
    let more = "[nat]\ndetect = \"auto\"\n[events]\npackages = [\"presence\"]\n";
    let more = format!("trusted_peers = [\"{here}\"]\n{more}");
    let text = configuration("a", redis.address(), &more) + &format!("virtual_address = \"{shared}\"\n");
    let files = ["one", "two"].map(|name| File::new(&format!("standby-natted-{name}"), &text));
    networks.give(0, shared);
    let first = start(&networks, 0, listen, &files[0]);
    let mut second = start(&networks, 1, listen, &files[1]);
    let phone = |name| Phone::on(name, UdpSocket::bind((here, 0)).expect("a free port"), listen);
    let (bob, alice) = (phone("bob"), phone("alice"));
    bind_natted(&bob, "bob", 1);
    let publish = |count: u32, more: &str, body: &str| {
        let text = String::from_utf8(message(&alice, "alice", "PUBLISH", &format!("p{count}"))).expect("it is UTF-8");
        let length = format!(
            "Event: presence\r\nContent-Type: application/pidf+xml\r\n{more}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        alice.send(text.replacen("Content-Length: 0\r\n\r\n", &length, 1).as_bytes());
        alice.hear("SIP/2.0 ")
    };
    let document = format!("<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='sip:alice@{DOMAIN}'/>");
    let published = publish(1, "", &document);
    assert_eq!(raw::status(&published), Some(200), "{}", String::from_utf8_lossy(&published));
    let etag = String::from_utf8(raw::first(&published, "sip-etag").expect("a tag")).expect("it is UTF-8");
    let both = || redis.ask(&["--scan", "--pattern", "*aor:*"]).expect("it answers").lines().count() == 2;
    until("both are in Redis", || both().then_some(()));
    drop(first);
    networks.take(0, shared);
    networks.give(1, shared);
    second.wait_for(LIMIT, |line| line.contains("this process takes over").then_some(())).expect("it notices");
    // Beside it he hears the pings that keep his NAT open.
    let mut tries = 0;
    let heard = until("he is reached", || {
        tries += 1;
        alice.send(&message(&alice, "bob", "MESSAGE", &format!("after{tries}")));
        let heard = std::iter::from_fn(|| bob.overhear());
        heard.take(10).find(|heard| heard.starts_with(b"MESSAGE sip:bob@10.0.0.1:5060 "))
    });
    assert_eq!(bob.heard_from(), Some(listen), "his NAT lets nothing else in");
    say_yes(&bob, &heard);
    alice.hear("SIP/2.0 200 ");
    let refreshed = publish(2, &format!("SIP-If-Match: {etag}\r\n"), "");
    assert_eq!(raw::status(&refreshed), Some(200), "{}", String::from_utf8_lossy(&refreshed));
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
