//! The load generator as a program: beside itself, SIPp and the proxy, and beside peers with faults.

use crate::end::signal;
use crate::passwords::asking;
use crate::repro::{File, LIMIT, address, start};
use serde_json::Value;
use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread;
use tests::peers::{self, Process, Repro, Sipp, sipload_binary};
use tests::raw;

pub(crate) fn sipload(args: &[&str]) -> Process {
    let binary = sipload_binary().expect("it can be built");
    Process::start(Command::new(binary).args(args)).expect("it can be run")
}

/// A callee that listens on a free port.
pub(crate) fn uas(listen: &str, more: &[&str]) -> Repro {
    let binary = sipload_binary().expect("it can be built");
    let mut command = Command::new(binary);
    command.args(["uas", "--json", "--listen", listen]).args(more);
    Repro::start_command(&mut command, 1).expect("it listens")
}

/// What a run says: its exit code and its summary.
pub(crate) fn summary(process: Process) -> (Option<i32>, Value) {
    let (code, summary, _) = ended(process);
    (code, summary)
}

/// The same, and all that was written.
fn ended(process: Process) -> (Option<i32>, Value, String) {
    let (status, output) = process.finish(LIMIT).expect("it ends");
    let json: String = output.lines().filter(|line| line.starts_with([' ', '{', '}'])).collect();
    let summary = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {output}"));
    (status.code(), summary, output)
}

/// Makes calls, with `more` arguments.
pub(crate) fn calls(target: &str, more: &[&str]) -> (Option<i32>, Value) {
    summary(sipload(&[&["call", "--json", "--target", target], more].concat()))
}

pub(crate) fn counts(summary: &Value) -> [u64; 3] {
    ["started", "succeeded", "failed"].map(|name| summary[name].as_u64().expect("a number"))
}

/// Fifty calls in one second.
pub(crate) const SOME: [&str; 6] = ["--rate", "50", "--duration", "1s", "--min-success", "1"];
/// How often calls through the proxy are tried: on a machine that is busy with other things it may refuse some.
pub(crate) const ATTEMPTS: u32 = 3;

#[test]
fn a_caller_and_a_callee_agree() {
    for (transport, more) in [("udp", &[][..]), ("tcp", &[]), ("udp", &["--shards", "2"]), ("tcp", &["--shards", "2"])]
    {
        let callee = uas(&format!("{transport}:127.0.0.1:0"), more);
        let target = format!("sip:service@{};transport={transport}", address(&callee, transport));
        let (code, run) = calls(&target, &[&SOME, more].concat());
        assert_eq!((code, counts(&run)), (Some(0), [50, 50, 0]), "{transport} {more:?}: {run}");
        for name in ["post_dial_delay", "answered", "bye", "scheduling_error"] {
            assert_eq!(run["times_ms"][name]["count"], 50, "{name}: {run}");
        }
        let callee = callee.into_process();
        signal(&callee, "INT");
        let (code, run) = summary(callee);
        assert_eq!((code, counts(&run), &run["unfinished"]), (Some(0), [50, 50, 0], &0.into()), "{run}");
    }
}

#[test]
fn so_many_calls_in_progress() {
    let callee = uas("udp:127.0.0.1:0", &[]);
    let target = format!("sip:service@{}", address(&callee, "udp"));
    let (code, run) = calls(&target, &["--concurrent", "5", "--hold", "100ms", "--duration", "1s"]);
    let [started, succeeded, failed] = counts(&run);
    assert_eq!((code, succeeded, failed), (Some(0), started, 0), "{run}");
    // Each lasts a tenth of a second and some milliseconds.
    assert!((10..=50).contains(&started), "{run}");
}

#[test]
fn sipp_calls_the_callee() {
    if !peers::available("sipp") {
        return;
    }
    for (listed, transport) in [("udp", "u1"), ("tcp", "t1")] {
        let callee = uas(&format!("{listed}:127.0.0.1:0"), &[]);
        let (local, remote) = ((peers::loopback(), 5060).into(), Some(address(&callee, listed)));
        let sipp = Sipp { scenario: "uac_call.xml", local, remote, calls: 25, rate: 50, transport, more: &[] };
        let stats = sipp.run(LIMIT).expect("SIPp ends");
        assert_eq!((stats.successful, stats.failed), (25, 0), "{listed}");
    }
}

#[test]
fn the_caller_calls_sipp() {
    if !peers::available("sipp") {
        return;
    }
    for (listed, transport) in [("udp", "u1"), ("tcp", "t1")] {
        let local = SocketAddr::from((peers::loopback(), 5060));
        let sipp = Sipp { scenario: "uas_call.xml", local, remote: None, calls: 50, rate: 50, transport, more: &[] };
        let sipp = sipp.start().expect("SIPp starts");
        let (code, run) = calls(&format!("sip:service@{local};transport={listed}"), &SOME);
        assert_eq!((code, counts(&run)), (Some(0), [50, 50, 0]), "{listed}: {run}");
        let stats = sipp.finish(LIMIT).expect("SIPp ends");
        assert_eq!((stats.successful, stats.failed), (50, 0), "{listed}");
    }
}

#[test]
fn calls_through_the_proxy() {
    for transport in ["udp", "tcp"] {
        let proxy = start(&[]);
        let callee = uas(&format!("{transport}:127.0.0.1:0"), &[]);
        let target = format!("sip:service@{};transport={transport}", address(&callee, transport));
        let via = format!("sip:{};transport={transport}", address(&proxy, transport));
        let mut runs = (0..ATTEMPTS).map(|_| calls(&target, &[&SOME[..], &["--via", &via]].concat()));
        let good = |(code, run): &(Option<i32>, Value)| (*code, counts(run)) == (Some(0), [50, 50, 0]);
        let all: Vec<_> = runs.by_ref().map(|run| (good(&run), run)).take_while(|(good, _)| !good).collect();
        assert!(all.len() < ATTEMPTS as usize, "{transport}: {all:?}");
    }
}

/// A callee that answers each request with what `answer` says, or not at all.
pub(crate) fn faulty(mut answer: impl FnMut(&[u8]) -> Option<u16> + Send + 'static) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = socket.local_addr().expect("it is bound");
    // The thread ends with the process.
    let serve = move || {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            if let Some(code) = answer(&buffer[..length]) {
                let _ = socket.send_to(&raw::response(&buffer[..length], code), from);
            }
        }
    };
    thread::Builder::new().spawn(serve).expect("a thread");
    format!("sip:service@{address}")
}

#[test]
fn a_faulty_peer_is_told() {
    let (mut invites, mut dropped) = (0, 0);
    let target = faulty(move |request| {
        if request.starts_with(b"ACK") {
            return None;
        }
        if !request.starts_with(b"INVITE") {
            return Some(200);
        }
        invites += 1;
        // One in ten is refused, the first of the others is lost once.
        if invites % 10 == 0 {
            return Some(503);
        }
        dropped += 1;
        (dropped != 1).then_some(200)
    });
    let (code, run) = calls(&target, &SOME);
    let [started, succeeded, failed] = counts(&run);
    assert_eq!((code, started, succeeded + failed), (Some(1), 50, 50), "{run}");
    // 50 calls and at least one INVITE that came again.
    assert!((5..=6).contains(&failed), "{run}");
    assert_eq!(run["causes"]["INVITE: 503 Service Unavailable"], failed, "{run}");
    assert!(
        run["retransmitted"].as_u64() >= Some(1) && run["times_ms"]["answered"]["max"].as_f64() > Some(490.0),
        "{run}"
    );
    assert!(run["missed"][0].as_str().is_some_and(|missed| missed.starts_with("success 0.")), "{run}");
}

#[test]
fn a_silent_target_is_told_in_one_line() {
    let target = faulty(|_| None);
    let process = sipload(&["call", "--target", &target, "--rate", "10", "--duration", "100ms"]);
    let (status, output) = process.finish(LIMIT).expect("it ends by itself");
    assert_eq!(status.code(), Some(1), "{output}");
    let said: Vec<_> = output.lines().filter(|line| line.starts_with("sipload: ")).collect();
    assert!(said.len() == 1 && said[0].ends_with("does not answer"), "{output}");
}

#[test]
fn ctrl_c_ends_calls_and_tells_of_them() {
    let ((acks, acknowledged), (byes, ended)) = (channel(), channel());
    let target = faulty(move |request| {
        if request.starts_with(b"ACK") {
            let _ = acks.send(());
            return None;
        }
        if request.starts_with(b"BYE") {
            let _ = byes.send(());
        }
        Some(200)
    });
    let args = ["call", "--json", "--target", &target, "--concurrent", "20", "--hold", "10m", "--duration", "10m"];
    let caller = sipload(&args);
    (0..20).for_each(|_| acknowledged.recv_timeout(LIMIT).expect("the calls are answered"));
    signal(&caller, "INT");
    let (code, run) = summary(caller);
    assert_eq!((code, counts(&run), &run["unfinished"]), (Some(0), [20, 20, 0], &0.into()), "{run}");
    assert_eq!(ended.try_iter().count(), 20);
}

#[test]
fn other_requests_are_answered() {
    let callee = uas("udp:127.0.0.1:0", &[]);
    let target = format!("sip:{}", address(&callee, "udp"));
    for (method, more) in [
        ("OPTIONS", &["options"][..]),
        ("MESSAGE", &["message", "--text", "tea?"]),
        ("SUBSCRIBE", &["subscribe", "--event", "reg", "--expires", "60"]),
    ] {
        let common = ["--json", "--target", &target, "--users", "u{0..9}@example.com", "--min-success", "1"];
        let (code, run) = summary(sipload(&[more, &common, &["--rate", "40", "--duration", "500ms"]].concat()));
        assert_eq!((code, counts(&run), run["what"].as_str()), (Some(0), [20, 20, 0], Some(method)), "{run}");
    }
}

#[test]
fn users_register_at_the_proxy() {
    let proxy = start(&[]);
    let target = format!("sip:{}", address(&proxy, "udp"));
    let users = format!("u{{0..9}}@{}", address(&proxy, "udp"));
    let args = ["register", "--json", "--target", &target, "--users", &users, "--rate", "20", "--duration", "500ms"];
    let (code, run) = summary(sipload(&args));
    assert_eq!((code, counts(&run)), (Some(0), [10, 10, 0]), "{run}");
}

#[test]
fn users_register_with_passwords() {
    let proxy = asking("load", "", "inline");
    let via = format!("sip:{}", address(&proxy, "udp"));
    let register = |password| {
        let who = ["register", "--target", "sip:example.com", "--users", "bob@example.com", "--password", password];
        summary(sipload(&[&who[..], &["--json", "--via", &via, "--rate", "10", "--duration", "300ms"]].concat()))
    };
    let (code, run) = register("builder");
    assert_eq!((code, counts(&run)), (Some(0), [3, 3, 0]), "{run}");
    let (code, run) = register("wonderland");
    assert_eq!((code, counts(&run)), (Some(1), [3, 0, 3]), "{run}");
}

#[test]
fn the_load_goes_up_in_steps_and_is_drawn() {
    let callee = uas("udp:127.0.0.1:0", &[]);
    let target = format!("sip:service@{}", address(&callee, "udp"));
    let file = File::new("report", "");
    let (code, run) = calls(&target, &["--rate", "20,40", "--duration", "1s", "--html", file.name()]);
    assert_eq!((code, counts(&run)), (Some(0), [60, 60, 0]), "{run}");
    let html = std::fs::read_to_string(file.name()).expect("it is written");
    assert!(html.starts_with("<!DOCTYPE html>") && html.contains("INVITE: 60 in"), "{html}");
    // Four pictures: rates, calls in progress, p99 over time, times by nines.
    assert_eq!(html.matches("</svg>").count(), 4, "{html}");
    let (code, run) = calls(&target, &["--burst", "10", "--every", "500ms", "--duration", "1s"]);
    assert_eq!((code, counts(&run)), (Some(0), [20, 20, 0]), "{run}");
}

/// The number of the call that a request is of: its Call-ID is that, from 0, and the name of the run.
pub(crate) fn number(request: &[u8]) -> u32 {
    let call_id = String::from_utf8(raw::first(request, "call-id").expect("one")).expect("text");
    call_id.split('-').next().and_then(|n| n.parse().ok()).expect("a number")
}

/// A peer that takes thirty calls of each run: in half a second that is a rate of 60.
#[test]
fn the_highest_rate_is_found() {
    let target = faulty(move |request| match request {
        request if request.starts_with(b"ACK") => None,
        request => Some(if request.starts_with(b"INVITE") && number(request) >= 30 { 503 } else { 200 }),
    });
    // All who are answered are answered soon: those who are not count nevertheless.
    let args = ["--rate", "40", "--find-max", "--duration", "500ms", "--max-p99", "10s", "--json"];
    let (code, run, output) = ended(sipload(&[&["call", "--target", &target], &args[..]].concat()));
    assert!(output.contains("sipload: the highest rate that meets the criteria: 60/s"), "{output}");
    assert!(output.contains("sipload: 40/s: good") && output.contains("sipload: 80/s: success 0.75"), "{output}");
    // What is told is the best attempt, and not the last.
    assert_eq!((code, counts(&run), run["best_rate"].as_f64()), (Some(0), [30, 30, 0], Some(60.0)), "{run}");
}

#[test]
fn a_search_that_is_cut_short_tells_the_best_so_far() {
    let (runs, begun) = channel();
    let target = faulty(move |request| {
        if request.starts_with(b"INVITE") && number(request) == 0 {
            let _ = runs.send(());
        }
        (!request.starts_with(b"ACK")).then_some(200)
    });
    let args = ["--rate", "20", "--find-max", "--duration", "1s", "--json"];
    let caller = sipload(&[&["call", "--target", &target], &args[..]].concat());
    (0..2).for_each(|_| begun.recv_timeout(LIMIT).expect("there is a second attempt"));
    signal(&caller, "INT");
    let (code, run, output) = ended(caller);
    assert!(output.contains("sipload: the highest rate so far that meets the criteria: 20/s"), "{output}");
    assert_eq!((code, counts(&run), run["best_rate"].as_f64()), (Some(1), [20, 20, 0], Some(20.0)), "{run}");
}

#[test]
fn what_keeps_it_from_running_is_told_in_one_line() {
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let listen = format!("udp:{}", taken.local_addr().expect("it is bound"));
    let call = ["call", "--target", "sip:a@127.0.0.1:9", "--rate", "1"];
    for (args, text) in [
        (&["uas", "--listen", &listen][..], "is in use"),
        (&[&call[..], &["--listen", &listen]].concat(), "is in use"),
        (&[&call[..], &["--listen", "tcp:127.0.0.1:0"]].concat(), "--listen is tcp"),
        (&["call", "--target", "sip:no.such.host.invalid", "--rate", "1"], "no.such.host.invalid"),
        (&[&call[..], &["--users", "two words@x"]].concat(), "expected NAME@DOMAIN"),
        (&[&call[..], &["--users-file", "/nowhere/users.csv"]].concat(), "/nowhere/users.csv"),
    ] {
        let (status, output) = sipload(args).finish(LIMIT).expect("it ends by itself");
        assert_eq!((status.code(), output.lines().count()), (Some(2), 1), "{output}");
        assert!(output.starts_with("sipload: ") && output.contains(text), "{output}");
    }
    let (status, output) =
        sipload(&["call", "--target", "sip:a@127.0.0.1", "--rate", "0"]).finish(LIMIT).expect("ends");
    assert!(status.code() == Some(2) && output.contains("expected calls a second"), "{output}");
}
