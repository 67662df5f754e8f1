//! How the proxy ends: told to, told twice, or killed; and what becomes of calls meanwhile.

use std::net::UdpSocket;
use std::process::Command;
use std::sync::mpsc;

use stack::tu::{TransactionUser, TuContext, TuEvent, TuOptions};
use stack::{Stack, TransportSpec};
use tests::peers::{self, Process, Repro, repro_binary};
use tests::raw;

use crate::phone::{Call, Phone};
use crate::repro::{ANY_PORT, File, LIMIT, address, start};

pub(crate) fn signal(process: &Process, name: &str) {
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
        // These are nothing to end for.
        ["USR1", "USR2"].iter().for_each(|other| signal(&process, other));
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

/// A full disk, or a reader of the log that went away, takes the log and nothing else.
#[test]
fn a_log_that_cannot_be_written_ends_nothing() {
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" \"$@\" 2>/dev/full"]).arg(repro_binary().expect("it can be built"));
    let mut repro = Repro::start_command(shell.args(ANY_PORT).args(["--log", "trace"]), 2).expect("it starts");
    let [alice, bob] = ["alice", "bob"].map(|name| Phone::new(name, address(&repro, "udp")));
    // What is malformed is worth a line at the level of debug.
    alice.send(b"OPTIONS sip:bob SIP/2.0\r\n\r\n");
    Call::establish(&alice, &bob, "unlogged");
    signal(repro.process(), "TERM");
    let (status, _) = repro.into_process().finish(LIMIT).expect("it ends");
    assert_eq!(status.code(), Some(0));
}

/// Panics at every request.
struct Clumsy;

impl TransactionUser for Clumsy {
    fn name(&self) -> &'static str {
        "clumsy"
    }

    fn process(&mut self, _: TuEvent, _: &mut TuContext<'_>) {
        panic!("as it should");
    }
}

/// The thread that dies names itself, whatever killed it: `repro` then exits with 70.
#[test]
fn a_thread_of_the_stack_that_dies_is_told() {
    let (dead, deaths) = mpsc::channel();
    let mut builder = Stack::builder().on_panic(move |thread| drop(dead.send(thread.to_owned())));
    builder.add_transport(TransportSpec::udp("127.0.0.1:0".parse().expect("an address")));
    builder.register_tu(TuOptions::default(), |_shard| Clumsy);
    let stack = builder.start().expect("it starts");
    let at = stack.transports().iter().next().expect("one transport").bound;
    let [alice, bob] = ["alice", "bob"].map(|name| Phone::new(name, at));
    alice.send(&alice.request("OPTIONS", &bob, "fatal", 1));
    assert_eq!(deaths.recv_timeout(LIMIT).as_deref(), Ok("sip-0"));
}

/// What rings when it is told to stop is answered through it, ACK and all; only then it ends, and by itself.
#[test]
fn a_ringing_call_is_answered_while_it_drains() {
    let mut repro = start(&["--log", "info"]);
    let proxy = address(&repro, "udp");
    let [alice, bob, carol, dave] = ["alice", "bob", "carol", "dave"].map(|name| Phone::new(name, proxy));
    let mut call = Call::ring(&alice, &bob, "ringing");
    signal(repro.process(), "TERM");
    repro.process().wait_for(LIMIT, |line| line.contains("stopping").then_some(())).expect("it says so");
    // The line is written just before the stack is told: a call that rings came too early, and must not be waited for.
    let refused = (1..100).any(|count| {
        carol.send(&carol.request("INVITE", &dave, "refused", count));
        let answer = (0..100).find_map(|_| {
            if let Some(invite) = dave.overhear() {
                dave.answer(&invite, 486);
            }
            carol.overhear().filter(|answer| !answer.starts_with(b"SIP/2.0 1"))
        });
        let answer = answer.expect("one or the other");
        answer.starts_with(b"SIP/2.0 503 ") && raw::first(&answer, "retry-after").is_some()
    });
    assert!(refused);
    call.pick_up();
    call.acknowledge();
    let (status, output) = repro.into_process().finish(LIMIT).expect("it ends by itself");
    assert_eq!(status.code(), Some(0), "{output}");
    assert!(output.contains("all transactions have ended"), "{output}");
}

/// What rings for longer than it waits is cancelled, and its caller told in time to ask another proxy.
#[test]
fn who_is_not_answered_in_time_is_told_when_it_ends() {
    let ledger = File::new("ended", "");
    let config = File::new("ending", &format!("drain_seconds = 3\n[accounting]\nfile = {:?}\n", ledger.name()));
    let mut repro = start(&["--config", config.name(), "--log", "info"]);
    let proxy = address(&repro, "udp");
    let [alice, bob] = ["alice", "bob"].map(|name| Phone::new(name, proxy));
    let call = Call::ring(&alice, &bob, "unanswered");
    signal(repro.process(), "TERM");
    let cancel = bob.hear("CANCEL ");
    assert!(raw::first(&cancel, "reason").is_some_and(|reason| reason.starts_with(b"SIP;cause=503")));
    bob.answer(&cancel, 200);
    bob.answer(call.invite(), 487);
    bob.hear("ACK ");
    alice.hear("SIP/2.0 503 ");
    let ack = String::from_utf8(alice.request("ACK", &bob, "unanswered", 1)).expect("it is UTF-8");
    alice.send(ack.replace("unanswered1ACK", "unanswered1INVITE").as_bytes());
    let (status, output) = repro.into_process().finish(LIMIT).expect("it ends by itself");
    assert_eq!(status.code(), Some(0), "{output}");
    assert!(output.contains("all transactions have ended") && output.contains("not answered in time"), "{output}");
    let told = std::fs::read_to_string(ledger.name()).expect("it was written");
    assert!(told.contains("session_failed") && told.contains("503"), "{told}");
}

/// A proxy that is killed takes with it what was under way, and nothing else: what belongs to a dialog finds its way by
/// its Route, and what is repeated reaches the next proxy at the same address.
#[test]
fn calls_outlive_a_proxy_that_is_killed() {
    let place = format!("udp:{}:0", peers::loopback());
    let mut killed = Repro::start(&["--listen", &place], 1).expect("it starts");
    let proxy = address(&killed, "udp");
    let phones = ["alice", "bob", "carol", "dave", "erin", "frank"].map(|name| Phone::new(name, proxy));
    let [alice, bob, carol, dave, erin, frank] = &phones;
    let (talk, other) = (Call::establish(alice, bob, "talk"), Call::establish(carol, dave, "other"));
    let ringing = Call::ring(erin, frank, "ringing");
    signal(killed.process(), "KILL");
    let (status, _) = killed.into_process().finish(LIMIT).expect("it dies");
    assert_eq!(status.code(), None);
    // Nobody is there to take these: they are lost, and repeated below, as Timers A and E would.
    let (bye, invite) = (talk.by_caller("BYE", 2), alice.request("INVITE", bob, "again", 1));
    alice.send(&bye);
    alice.send(&invite);

    let again = Repro::start(&["--listen", &format!("udp:{proxy}")], 1).expect("it starts again");
    assert_eq!(address(&again, "udp"), proxy);
    // The caller hangs up the one call, the called side the other.
    alice.send(&bye);
    bob.answer(&bob.hear("BYE "), 200);
    alice.hear("SIP/2.0 200 ");
    dave.send(&other.by_called("BYE", 1));
    carol.answer(&carol.hear("BYE "), 200);
    dave.hear("SIP/2.0 200 ");
    // What rang is lost: nobody knows whose answer this is (RFC 6026 §7.3 forbids to pass it on), or what is cancelled.
    ringing.pick_up();
    ringing.cancel();
    assert!(erin.hear("SIP/2.0 ").starts_with(b"SIP/2.0 481 "));
    // What was said while nobody was there is carried when it is said again.
    alice.send(&invite);
    bob.answer(&bob.hear("INVITE "), 486);
    alice.hear("SIP/2.0 486 ");
    // And nobody heard anything of a call that was not theirs.
    for (phone, own) in phones.iter().zip([
        ["talk", "again"],
        ["talk", "again"],
        ["other"; 2],
        ["other"; 2],
        ["ringing"; 2],
        ["ringing"; 2],
    ]) {
        let unheard = phone.unheard_calls();
        assert!(unheard.iter().all(|call| own.contains(&call.as_str())), "{unheard:?}");
    }
}
