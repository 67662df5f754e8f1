//! The examples of `dum` as programs: against each other and through the proxy, by what they print and how they end.

use std::net::{SocketAddr, UdpSocket};
use std::process::Command;

use tests::peers::{Process, example_binary};
use tests::raw;

use crate::end::signal;
use crate::passwords::asking;
use crate::phone::Phone;
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

/// A softphone that has registered, with a password.
fn registered(proxy: SocketAddr, user: &str, password: &str) -> Process {
    let mut command = Command::new(example_binary("softphone").expect("it can be built"));
    command.args(["--register", "--from", &format!("sip:{user}@example.com"), "--proxy", &format!("<sip:{proxy};lr>")]);
    Process::start_with_input(command.env("SIP_PASSWORD", password)).expect("it can be run")
}

fn press(process: &mut Process, key: &str) {
    process.write_line(key).expect("it reads");
}

/// A key that changes the call, pressed again as long as the change before it is not acknowledged.
fn changes(process: &mut Process, key: &str, done: &str) {
    loop {
        press(process, key);
        let said = process.wait_for(LIMIT, |line| match line {
            "not in this state of the call" => Some(false),
            line => (line == done).then_some(true),
        });
        if said.unwrap_or_else(|unfinished| panic!("no {done:?}:\n{}", unfinished.output)) {
            return;
        }
    }
}

#[test]
fn two_softphones_register_call_refuse_hold_write_transfer_and_hang_up() {
    let repro = asking("softphones", "", "inline");
    let proxy = address(&repro, "udp");
    let (mut alice, mut bob) = (registered(proxy, "alice", "wonderland"), registered(proxy, "bob", "builder"));
    says(&mut alice, "registered");
    says(&mut bob, "registered");
    // Refused.
    press(&mut alice, "c sip:bob@example.com");
    says(&mut bob, "a call from sip:alice@example.com: a answers, r refuses");
    says(&mut alice, "180 Ringing");
    press(&mut bob, "r");
    says(&mut alice, "ended, Refused: 603 Decline");
    says(&mut bob, "ended, Rejected");
    // Given up before it is answered.
    press(&mut alice, "c sip:bob@example.com");
    says(&mut bob, "a call from");
    says(&mut alice, "180 Ringing");
    press(&mut alice, "");
    says(&mut alice, "ended, LocalCancel");
    says(&mut bob, "ended, RemoteCancel");
    // Answered, and held by each side.
    press(&mut alice, "c sip:bob@example.com");
    says(&mut bob, "a call from");
    press(&mut bob, "a");
    says(&mut alice, "answered");
    says(&mut alice, "audio both ways");
    says(&mut bob, "answered");
    for holds in [true, false] {
        let (holder, other) = if holds { (&mut alice, &mut bob) } else { (&mut bob, &mut alice) };
        changes(holder, "h", "held");
        says(other, "held by the other side");
        changes(holder, "b", "audio both ways");
        says(other, "audio both ways");
    }
    press(&mut bob, "m sip:alice@example.com good morning");
    says(&mut alice, "sip:bob@example.com writes: good morning");
    says(&mut bob, "the text has arrived");
    // Bob sends Alice to somebody who takes her.
    let (mut carol, elsewhere) = listening("auto_answer", &[]);
    press(&mut bob, &format!("t sip:carol@{elsewhere}"));
    says(&mut alice, &format!("transferred to sip:carol@{elsewhere}"));
    says(&mut alice, "answered");
    says(&mut bob, "the transfer is done");
    says(&mut bob, "ended, LocalBye");
    says(&mut alice, "ended, RemoteBye");
    press(&mut alice, "");
    says(&mut alice, "ended, LocalBye");
    says(&mut carol, "ended, RemoteBye");
    in_order(&interrupted(carol), &["a call from sip:alice@example.com", "answered", "ended, RemoteBye"]);
    // Without a call there is nothing to do.
    press(&mut alice, "a");
    says(&mut alice, "there is no call");
    press(&mut alice, "t nowhere");
    says(&mut alice, "there is no call");
    press(&mut alice, "c nowhere");
    says(&mut alice, "URI");
    // They end in a call: one by Ctrl-C, the other by its key.
    press(&mut bob, "c sip:alice@example.com");
    says(&mut alice, "a call from sip:bob@example.com");
    press(&mut alice, "a");
    says(&mut bob, "audio both ways");
    let output = interrupted(alice);
    // BYE and REGISTER go out together, and either may be answered first.
    for end in ["ended, LocalBye", "not registered any more"] {
        in_order(&output, &["a call from sip:bob@", "answered", end]);
    }
    says(&mut bob, "ended, RemoteBye");
    press(&mut bob, "c sip:alice@example.com");
    says(&mut bob, "ended, Refused: 4");
    press(&mut bob, "q");
    let (code, output) = ended(bob);
    assert_eq!(code, 0, "{output}");
    in_order(&output, &["ended, Refused: 4", "not registered any more"]);
    // With another's password there is no telephone.
    let (code, output) = ended(registered(proxy, "alice", "builder"));
    assert_eq!(code, 1, "{output}");
    in_order(&output, &["listening on udp ", "not registered: 40"]);
}

#[test]
fn a_softphone_takes_one_call_at_a_time_and_gives_one_up_with_itself() {
    let (mut bob, address) = listening("softphone", &[]);
    let target = format!("sip:bob@{address}");
    let mut alice = example("softphone", &[&target]);
    says(&mut alice, "180 Ringing");
    let (code, output) = ended(example("softphone", &[&target, "--from", "sip:carol@example.com"]));
    assert_eq!(code, 1, "{output}");
    in_order(&output, &["calling ", "ended, Refused: 486 Busy Here"]);
    signal(&alice, "INT");
    let (code, output) = ended(alice);
    assert_eq!(code, 1, "{output}");
    in_order(&output, &["180 Ringing", "ended, LocalCancel"]);
    says(&mut bob, "ended, RemoteCancel");
    // What is told to others must be one address.
    let (code, output) = ended(example("softphone", &["--listen", "0.0.0.0:0"]));
    assert_eq!(code, 1, "{output}");
    in_order(&output, &["--listen"]);
    let output = interrupted(bob);
    assert!(!output.contains("carol"), "{output}");
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

/// An offer has one answer (RFC 3261 §13.2.1): an announcement of one fork has given it when another one takes the call. So the
/// caller gets what that one says as a change.
#[test]
fn the_back_to_back_user_agent_tells_of_another_fork_by_a_change() {
    let bob = Phone::new("bob", SocketAddr::from(([127, 0, 0, 1], 9)));
    let (b2bua, middle) = listening("b2bua", &[&bob.uri()]);
    let alice = Phone::new("alice", middle);
    let with = |message: Vec<u8>, port: u16| {
        let sdp = format!(
            "v=0\r\no=- {port} 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
        );
        let length = format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}", sdp.len());
        String::from_utf8(message).expect("UTF-8").replace("Content-Length: 0\r\n\r\n", &length).into_bytes()
    };
    let answer = |by: &Phone, request: &[u8], status, tag: &str, port| {
        let contact = format!("Contact: <{}>\r\nContent-Length", by.uri());
        let response = String::from_utf8(raw::response(request, status)).expect("UTF-8");
        let response = response.replace("tag=answer", &format!("tag={tag}")).replace("Content-Length", &contact);
        with(response.into_bytes(), port)
    };
    let says = |message: &[u8], port: u16| {
        let text = String::from_utf8_lossy(message).into_owned();
        assert!(text.contains(&format!("m=audio {port} ")), "{port}: {text}");
    };
    let target = format!("sip:anybody@{middle}");
    alice.send(&with(alice.request_to("INVITE", &target, "forks", 1), 4000));
    let invite = bob.hear("INVITE ");
    says(&invite, 4000);
    bob.send_to(&answer(&bob, &invite, 183, "announcement", 5000), middle);
    says(&alice.hear("SIP/2.0 183 "), 5000);
    bob.send_to(&answer(&bob, &invite, 200, "phone", 6000), middle);
    bob.hear("ACK ");
    let success = alice.hear("SIP/2.0 200 ");
    says(&success, 5000);
    let within = |method: &str, count: u32| {
        let to = String::from_utf8(raw::first(&success, "to").expect("it has one")).expect("UTF-8");
        let request = alice.request_to(method, &target, "forks", count);
        let request = String::from_utf8(request).expect("UTF-8");
        request.replace(&format!("To: <{target}>"), &format!("To: {to}")).into_bytes()
    };
    alice.send(&within("ACK", 1));
    let change = alice.hear("INVITE ");
    says(&change, 6000);
    alice.send(&answer(&alice, &change, 200, "", 4000));
    alice.hear("ACK ");
    alice.send(&within("BYE", 2));
    bob.hear("BYE ");
    interrupted(b2bua);
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
