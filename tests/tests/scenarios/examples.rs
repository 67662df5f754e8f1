//! The examples of `dum` as programs: against each other and through the proxy, by what they print and how they end.

use std::net::{SocketAddr, UdpSocket};
use std::process::Command;

use tests::peers::{Process, example_binary};

use crate::end::signal;
use crate::presence::{PACKAGES, publish};
use crate::repro::{File, LIMIT, address, start};
use crate::sip_cli::{ended, run};

fn example(name: &str, args: &[&str]) -> Process {
    let mut command = Command::new(example_binary(name).expect("it can be built"));
    Process::start_with_input(command.args(args)).expect("it can be run")
}

/// One that waits for calls, and where.
fn listening(name: &str, args: &[&str]) -> (Process, SocketAddr) {
    let mut process = example(name, args);
    let address = |line: &str| line.strip_prefix("listening on udp ")?.parse().ok();
    let address = process.wait_for(LIMIT, address).expect("it says where it listens");
    (process, address)
}

fn says(process: &mut Process, text: &str) {
    let said = process.wait_for(LIMIT, |line| line.contains(text).then_some(()));
    said.unwrap_or_else(|unfinished| panic!("no {text:?}:\n{}", unfinished.output));
}

/// Ctrl-C ends it, with exit code 0; all that it has printed.
fn interrupted(process: Process) -> String {
    signal(&process, "INT");
    let (code, output) = ended(process);
    assert_eq!(code, 0, "{output}");
    output
}

/// In that order, each as a part of a line of its own.
fn in_order(output: &str, parts: &[&str]) {
    let mut lines = output.lines();
    for part in parts {
        assert!(lines.any(|line| line.contains(part)), "no {part:?}, or too early:\n{output}");
    }
}

#[test]
fn a_softphone_calls_who_answers_and_hangs_up() {
    let (answerer, address) = listening("auto_answer", &[]);
    let target = format!("sip:bob@{address}");
    // After a time, and by a key.
    let (code, output) = ended(example("softphone", &[&target, "--seconds", "0"]));
    assert_eq!(code, 0, "{output}");
    in_order(&output, &[&format!("calling {target}"), "180 Ringing", "answered", "ended, LocalBye"]);
    let mut softphone = example("softphone", &[&target, "--from", "sip:carol@example.com"]);
    says(&mut softphone, "answered");
    softphone.write_line("").expect("it reads");
    let (code, output) = ended(softphone);
    assert_eq!(code, 0, "{output}");
    in_order(&output, &["answered", "ended, LocalBye"]);
    // The other side ends the third, as its program ends.
    let mut softphone = example("softphone", &[&target]);
    says(&mut softphone, "answered");
    let said = interrupted(answerer);
    let (code, output) = ended(softphone);
    assert_eq!(code, 0, "{output}");
    in_order(&output, &["answered", "ended, RemoteBye"]);
    in_order(&said, &["a call from sip:alice@localhost", "ended, RemoteBye", "a call from sip:carol@example.com"]);
    in_order(&said, &["ended, RemoteBye", "ended, RemoteBye", "ended, LocalBye"]);
    // Nobody is there any more: no call, exit code 1.
    let (code, output) = ended(example("softphone", &[&target]));
    assert_eq!(code, 1, "{output}");
    in_order(&output, &["calling ", "ended, "]);
}

#[test]
fn a_call_goes_through_the_back_to_back_user_agent_and_the_proxy() {
    let repro = start(&[]);
    let proxy = address(&repro, "udp");
    let (answerer, callee) = listening("auto_answer", &[]);
    let contact = format!("sip:bob@{callee}");
    let (code, output) = run(&["register", &format!("sip:bob@{proxy}"), "--contact", &contact, "--expires", "600"]);
    assert_eq!(code, 0, "{output}");
    let route = format!("<sip:{proxy};lr>");
    let (b2bua, middle) = listening("b2bua", &[&format!("sip:bob@{proxy}"), "--proxy", &route]);
    let target = format!("sip:anybody@{middle}");
    let (code, output) = ended(example("softphone", &[&target, "--seconds", "0"]));
    assert_eq!(code, 0, "{output}");
    in_order(&output, &["180 Ringing", "answered", "ended, LocalBye"]);
    // One that the callee ends.
    let mut softphone = example("softphone", &[&target]);
    says(&mut softphone, "answered");
    let called = interrupted(answerer);
    in_order(&called, &["a call from sip:alice@localhost", "ended, RemoteBye", "a call from", "ended, LocalBye"]);
    let (code, output) = ended(softphone);
    assert_eq!(code, 0, "{output}");
    in_order(&output, &["answered", "ended, RemoteBye"]);
    // And one that nobody takes: the failure comes through as well.
    let (code, output) = ended(example("softphone", &[&target]));
    assert_eq!(code, 1, "{output}");
    in_order(&output, &["calling ", "ended, Refused: "]);
    let output = interrupted(b2bua);
    let caller = output.lines().find_map(|line| line.strip_suffix(": a call from sip:alice@localhost"));
    let caller = caller.unwrap_or_else(|| panic!("{output}"));
    in_order(&output, &[&format!("{caller}: calling sip:bob@{proxy} as InviteSession("), "ended, "]);
    // Both sides of each call have ended, the failed one by its refusal.
    for (end, count) in [("ended, LocalBye", 2), ("ended, RemoteBye", 2), ("ended, Refused", 1), ("ended, Rejected", 1)]
    {
        assert_eq!(output.matches(end).count(), count, "{end}: {output}");
    }
}

/// Ctrl-C ends the calls of the back-to-back user agent with it, to both sides.
#[test]
fn the_back_to_back_user_agent_ends_its_calls_with_itself() {
    let (mut answerer, callee) = listening("auto_answer", &[]);
    let (b2bua, middle) = listening("b2bua", &[&format!("sip:bob@{callee}")]);
    let mut softphone = example("softphone", &[&format!("sip:bob@{middle}")]);
    says(&mut softphone, "answered");
    says(&mut answerer, "answered");
    interrupted(b2bua);
    says(&mut answerer, "ended, RemoteBye");
    let (code, output) = ended(softphone);
    assert_eq!(code, 0, "{output}");
    in_order(&output, &["answered", "ended, RemoteBye"]);
    interrupted(answerer);
}

#[test]
fn a_presence_watcher_is_told_by_the_proxy() {
    let file = File::new("presence-example", PACKAGES);
    let repro = start(&["--config", file.name()]);
    let bob = format!("sip:bob@{}", address(&repro, "udp"));
    let mut watcher =
        example("presence_watcher", &[&bob, "--listen", "127.0.0.1:0", "--from", "sip:alice@example.com"]);
    says(&mut watcher, "Some(Closed)");
    let etag = publish(&bob, &["--status", "open"]).expect("an ETag");
    says(&mut watcher, "Some(Open)");
    publish(&bob, &["--etag", &etag, "--remove"]);
    says(&mut watcher, "Some(Closed)");
    let output = interrupted(watcher);
    in_order(&output, &["Some(Closed)", "Some(Open)", "Some(Closed)", "ended, Local"]);
    assert!(output.lines().all(|line| line.starts_with("sip:bob@")), "{output}");
    // Who cannot be watched is told of as well.
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it is bound");
    let mut watcher = example("presence_watcher", &[&format!("sip:bob@{silent}"), "--listen", "127.0.0.1:0"]);
    says(&mut watcher, "not subscribed: ");
    interrupted(watcher);
    let (code, output) = ended(example("presence_watcher", &["no address"]));
    assert!(code == 1 && output.contains("no address"), "{code}: {output}");
}
