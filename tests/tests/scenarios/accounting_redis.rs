//! Accounting where there are several nodes: into a stream of Redis, and of what expires at each of them.

use crate::accounting::{calls, end};
use crate::cluster::{Device, Site, until};
use crate::repro::{ANY_PORT, File, LIMIT, address};
use serde_json::Value;
use std::collections::BTreeMap;
use tests::peers::{Redis, Repro, available};

/// The events of a stream, the oldest first.
pub(crate) fn events(redis: &Redis, stream: &str) -> Vec<Value> {
    let told = redis.ask(&["--json", "XRANGE", stream, "-", "+"]).expect("it answers");
    let all: Vec<(String, Vec<String>)> = serde_json::from_str(&told).expect("entries");
    let event = |(_, pair): &(String, Vec<String>)| {
        assert_eq!(pair[0], "event");
        serde_json::from_str(&pair[1]).expect("a JSON object")
    };
    all.iter().map(event).collect()
}

/// What a node of a site is configured with to tell what happens to a stream.
pub(crate) fn stream_of(redis: &Redis) -> String {
    let url = format!("redis://{}", redis.address());
    format!("[accounting]\n[accounting.redis]\nurl = \"{url}\"\npassword = \"geheim\"\n")
}

/// A proxy that tells what happens to a stream.
fn start(name: &str, redis: &Redis, more: &str) -> (Repro, File) {
    let text = format!(
        "pin_runners = false\n[accounting]\n[accounting.redis]\nurl = \"redis://{}\"\npassword = \"geheim\"\n{more}",
        redis.address()
    );
    let config = File::new(&format!("accounting-{name}"), &text);
    let args: Vec<&str> = ANY_PORT.iter().copied().chain(["--config", config.name(), "--log", "info"]).collect();
    (Repro::start(&args, 2).expect("it starts"), config)
}

#[test]
fn calls_are_entries_of_a_stream_whatever_becomes_of_redis() {
    if !available("redis-server") || !available("redis-cli") || !available("sipp") {
        return;
    }
    let keeps = ["--appendonly", "yes", "--appendfsync", "always"];
    let mut redis = Redis::start_at(tests::peers::loopback(), Some("geheim"), &keeps).expect("it starts");
    let (mut repro, _config) = start("stream", &redis, "");
    // It goes and comes back while calls begin and end.
    let proxy = address(&repro, "udp");
    let process = repro.process();
    calls(proxy, 300, 100, || {
        until("some are written", || (!redis.ask(&["XLEN", "repro:accounting"]).ok()?.starts_with('0')).then_some(()));
        redis.stop();
        process.wait_for(LIMIT, |line| line.contains("accounting waits").then_some(())).expect("it says so");
        redis.resume().expect("it starts");
    });
    let output = end(repro);
    let all = events(&redis, "repro:accounting");
    // What was on its way when Redis went may be there twice, and nothing is missing.
    let mut calls = BTreeMap::<(String, String), usize>::new();
    for event in &all {
        let of = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        *calls.entry((of("event"), of("call_id"))).or_default() += 1;
    }
    for name in ["session_established", "session_ended"] {
        let count = calls.keys().filter(|(event, _)| event == name).count();
        assert_eq!(count, 300, "{name}: {output}");
    }
    println!("300 calls, Redis killed meanwhile: {} entries for {} events", all.len(), calls.len());
    assert!(!output.contains("lost events") && !output.contains("geheim"), "{output}");
}

#[test]
fn a_stream_has_about_as_many_entries_as_it_may_and_its_server_may_be_away_at_the_start() {
    if !available("redis-server") || !available("redis-cli") || !available("sipp") {
        return;
    }
    let mut redis = Redis::start(Some("geheim")).expect("it starts");
    redis.stop();
    let (repro, _config) = start("trimmed", &redis, "stream = \"calls\"\nmax_entries = 100\n");
    redis.restart().expect("it starts");
    calls(address(&repro, "udp"), 500, 250, || ());
    end(repro);
    let left: usize = redis.ask(&["XLEN", "calls"]).expect("it answers").parse().expect("a number");
    // Redis drops whole nodes of a hundred entries.
    assert!((100..=300).contains(&left), "{left}");
}

/// Each expiry is told by one node, though each node has all bindings, and one of them was started anew meanwhile.
#[test]
fn what_expires_is_told_by_one_node() {
    if !available("redis-server") || !available("redis-cli") {
        return;
    }
    const USERS: usize = 20;
    let mut site = Site::start();
    site.add(&stream_of(site.redis()));
    let (first, second) = (site.node("a"), site.node("b"));
    let (a, b) = (address(&first, "udp"), address(&second, "udp"));
    let mut device = Device::new();
    for user in 0..USERS {
        let contact = format!("Contact: <sip:u{user}@192.0.2.1:5060>;expires=25\r\n");
        let answer = device.register(a, &format!("u{user}"), &contact).expect("an answer");
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    }
    // The node that took them forgets that.
    drop(first);
    let first = site.node("a");
    let a = address(&first, "udp");
    for user in 0..USERS {
        until("it knows them again", || (device.contacts(a, &format!("u{user}")) == 1).then_some(()));
    }
    let name = |user: usize| format!("u{user}");
    for user in 0..USERS {
        until("he has expired", || {
            (device.contacts(a, &name(user)) + device.contacts(b, &name(user)) == 0).then_some(())
        });
    }
    // Who comes back has what he had before told: at once, and at both nodes.
    let mut again = Device::new();
    for user in 0..USERS {
        assert_eq!(again.bind(b, &name(user)), Some(200));
        until("a knows him", || (device.contacts(a, &name(user)) == 1).then_some(()));
    }
    end(first);
    end(second);
    let mut told = BTreeMap::<String, usize>::new();
    for event in
        events(site.redis(), "repro:accounting").iter().filter(|event| event["event"] == "registration_expired")
    {
        *told.entry(event["aor"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    assert!(told.len() == USERS && told.values().all(|times| *times == 1), "{told:?}");
}
