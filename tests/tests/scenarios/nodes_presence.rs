//! What is published at one node, and the calls that one relays, as who watches at another sees them.

use crate::cluster::{Device, Site, until};
use crate::phone::Phone;
use crate::presence::{publish, sees};
use crate::repro::{LIMIT, address};
use crate::sip_cli::{ended, sip};
use std::net::SocketAddr;
use tests::peers::{Process, Repro, available};
use tests::raw;

const PACKAGES: &str = "[events]\npackages = [\"presence\", \"message-summary\", \"dialog\"]\nthrottle_seconds = 0\n\
    dialogs_from_calls = true\n";
const BOB: &str = "sip:bob@test.example";

fn site() -> Option<Site> {
    if !available("redis-server") {
        return None;
    }
    let mut site = Site::start();
    site.add(PACKAGES);
    Some(site)
}

fn through(node: &Repro) -> String {
    format!("sip:{}", address(node, "udp"))
}

/// Watches at a node, until it was told so often.
fn watch(node: &Repro, event: &str, count: &str) -> Process {
    let args = ["subscribe", BOB, "--proxy", &through(node), "--event", event, "--count", count, "--json"];
    let mut watcher = sip(&args, &[]);
    watcher.wait_for(LIMIT, |line| line.contains("\"notify\"").then_some(())).expect("the first NOTIFY");
    watcher
}

fn told(watcher: Process) -> Vec<String> {
    let (code, output) = ended(watcher);
    assert_eq!(code, 0, "{output}");
    output.lines().filter(|line| line.contains("\"notify\"")).map(str::to_owned).collect()
}

#[test]
fn what_is_published_at_one_node_is_seen_changed_and_outlives_it_at_another() {
    let Some(mut site) = site() else { return };
    let (first, second) = (site.node("a"), site.node("b"));
    let mut watcher = watch(&second, "presence", "3");
    let etag = publish(BOB, &["--proxy", &through(&first), "--status", "open", "--note", "office"]).expect("an ETag");
    sees(&mut watcher, "office");
    // Its node dies. The other one has it, by the same entity-tag, and so has one that begins.
    drop(first);
    let again = ["--proxy", &through(&second), "--etag", &etag, "--status", "closed", "--note", "lunch"];
    let etag = publish(BOB, &again).expect("another");
    sees(&mut watcher, "lunch");
    let told = told(watcher);
    assert_eq!(told.len(), 3, "{told:?}");
    let third = site.node("c");
    let seen = until("c has it", || {
        let told = self::told(watch(&third, "presence", "1"));
        told.first().filter(|told| told.contains("lunch")).cloned()
    });
    assert!(!seen.contains("office"), "{seen}");
    publish(BOB, &["--proxy", &through(&third), "--etag", &etag, "--remove"]);
    until("b hears that it is gone", || {
        let told = self::told(watch(&second, "presence", "1"));
        told.first().is_some_and(|told| !told.contains("lunch")).then_some(())
    });
}

#[test]
fn a_redis_that_was_emptied_gets_what_is_published_again() {
    let Some(mut site) = site() else { return };
    let first = site.node("a");
    publish(BOB, &["--proxy", &through(&first), "--status", "open", "--note", "office"]).expect("an ETag");
    let keys = || site.redis().ask(&["--scan", "--pattern", "*aor:presence bob@test.example"]).expect("it answers");
    until("it is written", || keys().contains("bob").then_some(()));
    assert!(site.redis().ask(&["FLUSHALL"]).expect("it answers").contains("OK"));
    assert!(!keys().contains("bob"));
    // Without a fault the partitions are looked at one by one; a new connection looks at all of them.
    site.redis().ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).expect("it answers");
    site.redis().ask(&["CLIENT", "KILL", "TYPE", "pubsub", "SKIPME", "yes"]).expect("it answers");
    until("it is there again", || keys().contains("bob").then_some(()));
    let second = site.node("b");
    until("b has it", || {
        let told = told(watch(&second, "presence", "1"));
        told.first().is_some_and(|told| told.contains("office")).then_some(())
    });
}

/// A request of alice's to bob by his address.
fn request(alice: &Phone, method: &str, call: &str) -> Vec<u8> {
    let own = alice.uri();
    let sent_by = own.rsplit('@').next().unwrap_or_default();
    format!(
        "{method} {BOB} SIP/2.0\r\nVia: SIP/2.0/UDP {sent_by};branch=z9hG4bK{call}\r\nMax-Forwards: 70\r\n\
         From: <{own}>;tag=a\r\nTo: <{BOB}>\r\nCall-ID: {call}\r\nCSeq: 1 {method}\r\nContact: <{own}>\r\n\
         Content-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

#[test]
fn a_lamp_at_one_node_follows_the_calls_of_another_and_goes_out_with_it() {
    let Some(mut site) = site() else { return };
    let (first, second) = (site.node("a"), site.node("b"));
    let (a, b): (SocketAddr, SocketAddr) = (address(&first, "udp"), address(&second, "udp"));
    let (bob, alice) = (Phone::new("bob", a), Phone::new("alice", a));
    let mut device = Device::new();
    let contact = format!("Contact: <{}>\r\n", bob.uri());
    assert!(device.register(a, "bob", &contact).expect("an answer").starts_with("SIP/2.0 200 "));
    until("b knows bob", || (device.contacts(b, "bob") == 1).then_some(()));
    let mut watcher = watch(&second, "dialog", "4");
    alice.send(&request(&alice, "INVITE", "lamp"));
    let invite = bob.hear("INVITE ");
    bob.answer(&invite, 180);
    sees(&mut watcher, "early");
    bob.answer(&invite, 200);
    assert_eq!(raw::status(&alice.hear("SIP/2.0 200 ")), Some(200));
    sees(&mut watcher, "confirmed");
    drop(first);
    let told = told(watcher);
    let last = told.last().expect("a NOTIFY");
    assert!(told.len() == 4 && !last.contains("confirmed") && !last.contains("early"), "{told:?}");
}
