//! Presence, messages that wait and dialogs, as telephones and our own programs see them.

use crate::end::signal;
use crate::phone::{Phone, record_routes};
use crate::repro::{File, LIMIT, address, start};
use crate::sip_cli::{ended, events, run, sip};
use crate::store::Site;
use rusqlite::Connection;
use rutil::{Clock as _, RealClock};
use std::net::SocketAddr;
use std::thread;
use tests::peers::{self, Baresip, Process, Repro};
use tests::raw;

pub(crate) const PACKAGES: &str =
    "[events]\npackages = [\"presence\", \"message-summary\", \"dialog\"]\nthrottle_seconds = 0\n";

/// Somebody who watches by `sip subscribe`, until he was told so often.
fn watcher(target: &str, event: &str, count: &str) -> Process {
    let mut process = sip(&["subscribe", target, "--event", event, "--count", count, "--json"], &[]);
    process.wait_for(LIMIT, |line| line.contains("\"notify\"").then_some(())).expect("the first NOTIFY");
    process
}

/// A watcher is told something.
pub(crate) fn sees(watcher: &mut Process, text: &str) {
    let told = |line: &str| (line.contains("\"notify\"") && line.contains(text)).then_some(());
    watcher.wait_for(LIMIT, told).unwrap_or_else(|_| panic!("it is not told {text}"));
}

pub(crate) fn publish(target: &str, more: &[&str]) -> Option<String> {
    let (code, output) = run(&[&["publish", target, "--json"], more].concat());
    assert_eq!(code, 0, "{output}");
    events(&output, "published").first().and_then(|event| Some(event["etag"].as_str()?.to_owned()))
}

#[test]
fn who_watches_by_our_programs_follows_who_publishes_by_them() {
    let file = File::new("presence", PACKAGES);
    thread::scope(|scope| {
        for placement in ["inline", "sharded:2"] {
            let file = &file;
            scope.spawn(move || {
                let repro = start(&["--config", file.name(), "--placement", placement]);
                let target = format!("sip:bob@{}", address(&repro, "udp"));
                let mut watchers = [(); 3].map(|()| watcher(&target, "presence", "4"));
                let etag = publish(&target, &["--status", "open", "--note", "in <the> \"office\""]).expect("an ETag");
                watchers.iter_mut().for_each(|watcher| sees(watcher, "office"));
                let etag =
                    publish(&target, &["--etag", &etag, "--status", "closed", "--note", "away"]).expect("another");
                watchers.iter_mut().for_each(|watcher| sees(watcher, "away"));
                publish(&target, &["--etag", &etag, "--remove"]);
                for watcher in watchers {
                    let (code, output) = ended(watcher);
                    let told = output.lines().filter(|line| line.contains("\"notify\""));
                    let told: Vec<&str> = told.collect();
                    assert_eq!((code, told.len()), (0, 4), "{placement}: {output}");
                    for (line, text) in told.iter().zip(["closed", "office", "away", "closed"]) {
                        assert!(line.contains(text), "{placement}: {text} is not in {line}");
                    }
                }
            });
        }
    });
}

/// What a softphone of others makes of it, and what it publishes.
#[test]
fn baresip_watches_and_publishes() {
    if !peers::available("baresip") {
        return;
    }
    let file = File::new("presence-baresip", PACKAGES);
    let repro = start(&["--config", file.name()]);
    let proxy = address(&repro, "udp");
    let local = SocketAddr::from((peers::loopback(), 5060));
    let bob = format!("sip:bob@{proxy}");
    let mut watcher = sip(&["subscribe", &bob, "--json"], &[]);
    watcher.wait_for(LIMIT, |line| line.contains("closed").then_some(())).expect("nobody is there");
    let account = format!("<{bob}>;regint=600;pubint=600;answermode=auto");
    let contact = format!("\"Alice\" <sip:alice@{proxy}>;presence=p2p");
    let modules = ["contact.so", "presence.so"];
    let mut baresip = Baresip::with(local, &account, &contact, &modules, &["/presence_online"]).expect("it starts");
    // It publishes by PUBLISH, and the watcher is told.
    watcher.wait_for(LIMIT, |line| line.contains("open").then_some(())).expect("bob is there");
    publish(&format!("sip:alice@{proxy}"), &["--status", "open"]);
    baresip.says("Online", LIMIT).expect("alice is there");
    signal(&watcher, "INT");
    ended(watcher);
}

/// A flood of watchers and publications is cut off, and what was there before is told on.
#[test]
fn a_flood_is_cut_off() {
    let limits = "subscriptions_per_user = 20\npublications_per_user = 5\nmax_publication = 1000\n";
    let file = File::new("presence-flood", &format!("{PACKAGES}{limits}"));
    let repro = start(&["--config", file.name()]);
    let proxy = address(&repro, "udp");
    let (alice, mallory) = (Phone::new("alice", proxy), Phone::new("mallory", proxy));
    let subscribe = |phone: &Phone, call: &str| {
        let lines = format!("Event: presence\r\nExpires: 600\r\nContact: <{}>\r\n", phone.uri());
        phone.send(&request(phone, "SUBSCRIBE", (call, 1), &lines, ""));
        raw::status(&phone.hear("SIP/2.0 "))
    };
    assert_eq!(subscribe(&alice, "w"), Some(200));
    let told = alice.hear("NOTIFY ");
    alice.answer(&told, 200);
    let codes: Vec<_> = (0..40).map(|call| subscribe(&mallory, &format!("m{call}"))).collect();
    assert_eq!(codes.iter().filter(|code| **code == Some(200)).count(), 19, "{codes:?}");
    assert!(codes.iter().skip(19).all(|code| *code == Some(403)), "{codes:?}");
    let open = |id: usize| {
        format!(
            "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='sip:bob'><tuple id='t{id}'><status><basic>open</basic></status></tuple></presence>"
        )
    };
    let publish = |count: u32, body: &str| {
        let lines = "Event: presence\r\nContent-Type: application/pidf+xml\r\n";
        mallory.send(&request(&mallory, "PUBLISH", (&format!("p{count}"), 1), lines, body));
        loop {
            let response = mallory.hear("SIP/2.0 ");
            if raw::first(&response, "cseq").expect("a CSeq").ends_with(b"PUBLISH") {
                return raw::status(&response).expect("a status");
            }
        }
    };
    let bomb = "<!DOCTYPE p [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><presence>&b;</presence>";
    let deep = format!("{}{}", "<a>".repeat(100), "</a>".repeat(100));
    for (count, (body, expected)) in
        [(bomb, 400), ("<presence", 400), (&*deep, 413), (&*"x".repeat(2000), 413), ("\u{0}", 400)]
            .into_iter()
            .enumerate()
    {
        assert_eq!(publish(count as u32, body), expected, "{}", body.chars().take(40).collect::<String>());
    }
    let codes: Vec<_> = (0..8).map(|id| publish(100 + id, &open(id as usize))).collect();
    assert_eq!(codes, [200, 200, 200, 200, 200, 403, 403, 403]);
    // Of all that alice is told what was taken, in one document at last.
    loop {
        let told = alice.hear("NOTIFY ");
        alice.answer(&told, 200);
        if String::from_utf8_lossy(&told).contains("t4") {
            break;
        }
    }
}

/// A request for bob, out of a dialog.
fn request(from: &Phone, method: &str, (call, count): (&str, u32), lines: &str, body: &str) -> Vec<u8> {
    let (own, proxy) = (from.uri(), from.proxy());
    let sent_by = own.rsplit('@').next().expect("a host");
    format!(
        "{method} sip:bob@{proxy} SIP/2.0\r\nVia: SIP/2.0/UDP {sent_by};branch=z9hG4bK{call}{count}\r\nMax-Forwards: 70\r\n\
         From: <{own}>;tag={call}\r\nTo: <sip:bob@{proxy}>\r\nCall-ID: {call}\r\nCSeq: {count} {method}\r\n\
         {lines}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// After a restart without a store what was published and who watched is not known, and both are told so that they begin anew.
#[test]
fn after_a_restart_all_begin_anew() {
    let file = File::new("presence-restart", PACKAGES);
    let listen = format!("udp:{}", SocketAddr::from((peers::loopback(), 5060)));
    let start = || Repro::start(&["--config", file.name(), "--listen", &listen], 1).expect("it starts");
    let repro = start();
    let phone = Phone::new("bob", address(&repro, "udp"));
    let ask = |method: &str, (call, count): (&str, u32), lines: &str, body: &str| {
        let contact =
            format!("Event: presence\r\nContact: <{}>\r\nContent-Type: application/pidf+xml\r\n", phone.uri());
        phone.send(&request(&phone, method, (call, count), &format!("{contact}{lines}"), body));
        loop {
            let response = phone.hear("SIP/2.0 ");
            if raw::first(&response, "cseq").is_some_and(|cseq| cseq.ends_with(method.as_bytes())) {
                return response;
            }
        }
    };
    let text = |value: Option<Vec<u8>>| String::from_utf8(value.expect("a header")).expect("it is UTF-8");
    let body = "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='sip:bob'/>";
    let published = ask("PUBLISH", ("p", 1), "", body);
    let etag = text(raw::first(&published, "sip-etag"));
    let subscribed = ask("SUBSCRIBE", ("s", 1), "", "");
    let (to, contact) = (text(raw::first(&subscribed, "to")), text(raw::first(&subscribed, "contact")));
    let refresh = |count: u32| {
        let again =
            String::from_utf8(request(&phone, "SUBSCRIBE", ("s", count), "Event: presence\r\n", "")).expect("UTF-8");
        let old = format!("To: <sip:bob@{}>", phone.proxy());
        let own = format!("sip:bob@{} ", phone.proxy());
        let target = format!("{} ", contact.trim_matches(['<', '>']));
        let more = format!("To: {to}\r\nContact: <{}>", phone.uri());
        phone.send(again.replacen(&own, &target, 1).replacen(&old, &more, 1).as_bytes());
        loop {
            let response = phone.hear("SIP/2.0 ");
            if text(raw::first(&response, "cseq")) == format!("{count} SUBSCRIBE") {
                return raw::status(&response);
            }
        }
    };
    let publish = |count: u32| ask("PUBLISH", ("p", count), &format!("SIP-If-Match: {etag}\r\n"), "");
    assert_eq!(refresh(2), Some(200));
    drop(repro);
    let _repro = start();
    assert_eq!((refresh(3), raw::status(&publish(2))), (Some(481), Some(412)));
    assert_eq!(raw::status(&ask("PUBLISH", ("p", 3), "", body)), Some(200));
    assert_eq!(raw::status(&ask("SUBSCRIBE", ("anew", 1), "", "")), Some(200));
}

/// With a store what was published is there after a kill, by the same entity-tag, and what was removed is not.
#[test]
fn with_a_store_what_is_published_outlives_a_kill() {
    let text = format!("domains = [\"example.com\"]\n[store]\npath = \"repro.db\"\n{PACKAGES}");
    let site = Site::new("published", &text);
    let bob = "sip:bob@example.com";
    // No answer waits for the store.
    let kept = |etag: &str| {
        let count = "SELECT count(*) FROM binding WHERE aor = 'presence bob@example.com' AND instr(contacts, ?1) > 0";
        let clock = RealClock::new();
        let began = clock.now();
        let database = Connection::open(site.path("repro.db")).expect("it is there");
        while database.query_row(count, [etag], |row| row.get::<_, u32>(0)).unwrap_or(0) == 0 {
            assert!(clock.now().since(began) < LIMIT, "{etag} is not written");
            thread::yield_now();
        }
    };
    let kill = |repro: Repro| {
        let process = repro.into_process();
        signal(&process, "KILL");
        process.finish(LIMIT).expect("it is dead");
    };
    let through = |repro: &Repro| format!("sip:{}", address(repro, "udp"));
    let repro = site.start();
    let via = through(&repro);
    let etag = publish(bob, &["--proxy", &via, "--status", "open", "--note", "office"]).expect("an ETag");
    kept(&etag);
    kill(repro);
    let repro = site.start();
    let via = through(&repro);
    let seen = run(&["subscribe", bob, "--proxy", &via, "--event", "presence", "--count", "1", "--json"]);
    assert!(seen.1.contains("office"), "{seen:?}");
    let refreshed = publish(bob, &["--proxy", &via, "--etag", &etag]).expect("another");
    kept(&refreshed);
    let short = publish(bob, &["--proxy", &via, "--status", "open", "--note", "lunch"]).expect("one more");
    publish(bob, &["--proxy", &via, "--etag", &refreshed, "--remove"]);
    kept(&short);
    // This end is in order: all is written.
    let process = repro.into_process();
    signal(&process, "TERM");
    process.finish(LIMIT).expect("it ends");
    let repro = site.start();
    let via = through(&repro);
    let (code, output) = run(&["publish", bob, "--proxy", &via, "--etag", &refreshed]);
    assert!(code != 0 && output.contains("412"), "{output}");
    let seen = run(&["subscribe", bob, "--proxy", &via, "--event", "presence", "--count", "1", "--json"]);
    assert!(seen.1.contains("lunch") && !seen.1.contains("office"), "{seen:?}");
}

/// The lamp of a telephone that publishes nothing: its calls are what the proxy sees of them.
#[test]
fn a_lamp_follows_the_calls_that_are_relayed() {
    let file = File::new("presence-calls", &format!("{PACKAGES}dialogs_from_calls = true\n"));
    let repro = start(&["--config", file.name()]);
    let proxy = address(&repro, "udp");
    let (alice, bob) = (Phone::new("alice", proxy), Phone::new("bob", proxy));
    bob.send(&bob.register(1, 600));
    bob.hear("SIP/2.0 200 ");
    let mut watcher = watcher(&format!("sip:bob@{proxy}"), "dialog", "4");
    // To bob's address, not to his telephone.
    let invite = String::from_utf8(alice.request("INVITE", &bob, "lamp", 1)).expect("it is UTF-8");
    alice.send(invite.replacen(&bob.uri(), &format!("sip:bob@{proxy}"), 1).as_bytes());
    let invite = bob.hear("INVITE ");
    bob.answer(&invite, 180);
    alice.hear("SIP/2.0 180 ");
    sees(&mut watcher, "early");
    bob.answer(&invite, 200);
    let success = alice.hear("SIP/2.0 200 ");
    sees(&mut watcher, "confirmed");
    let header = |name: &str| String::from_utf8(raw::first(&success, name).expect("a header")).expect("it is UTF-8");
    for method in ["ACK", "BYE"] {
        let sent_by = alice.uri().rsplit('@').next().expect("a host").to_owned();
        let routes: String =
            record_routes(&success).into_iter().rev().map(|route| format!("Route: {route}\r\n")).collect();
        let request = format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/UDP {sent_by};branch=z9hG4bKlamp{method}\r\nMax-Forwards: 70\r\n{routes}\
             From: {}\r\nTo: {}\r\nCall-ID: lamp\r\nCSeq: {} {method}\r\nContent-Length: 0\r\n\r\n",
            bob.uri(),
            header("from"),
            header("to"),
            if method == "ACK" { 1 } else { 2 },
        );
        alice.send(request.as_bytes());
        let heard = bob.hear(&format!("{method} "));
        if method == "BYE" {
            bob.answer(&heard, 200);
        }
    }
    let (code, output) = ended(watcher);
    let told: Vec<&str> = output.lines().filter(|line| line.contains("\"notify\"")).collect();
    assert!(code == 0 && told.len() == 4, "{output}");
    for (line, state) in told.iter().skip(1).zip(["early", "confirmed", "terminated"]) {
        assert!(line.contains(state), "{state} is not in {line}");
    }
}
