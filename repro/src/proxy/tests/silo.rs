//! Messages for users who are not there.

use super::*;
use crate::config::Silo;
use crate::provisioning::Provisioning;

const BOB: &str = "sip:bob@127.0.0.1";

fn bench(more: &str) -> Bench {
    let config = Config::parse(&format!("[silo]\n{more}"), "x").unwrap();
    let bench = Bench::with("127.0.0.1:5060", config);
    bench.server.set_epoch(Duration::from_secs(1_289_690_940));
    bench
}

/// With a Call-ID of its own, so that it is no late repetition.
fn register(bench: &mut Bench, user: &str, contact: &str) {
    let mut msg =
        request("REGISTER", "sip:127.0.0.1", &format!("To: <sip:{user}@127.0.0.1>\r\nContact: {contact}\r\n"));
    msg.set(h::CALL_ID, &bench.requests);
    assert_eq!(bench.status(msg), 200);
}

/// Bob is known, and away.
fn away(bench: &mut Bench) {
    register(bench, "bob", "<sip:1@192.0.2.1>");
    register(bench, "bob", "<sip:1@192.0.2.1>;expires=0");
}

fn message(lines: &str, body: &str) -> Message {
    let mut msg = request("MESSAGE", BOB, lines);
    msg.set_body(Some("text/plain"), body.as_bytes().to_vec());
    msg
}

fn keep(bench: &mut Bench, body: &str) {
    assert_eq!(bench.status(message("", body)), 202);
}

/// What is delivered when Bob registers.
fn delivered(bench: &mut Bench) -> Vec<(ClientTransaction, Box<Message>)> {
    register(bench, "bob", "<sip:1@192.0.2.1>");
    sent(bench.pass(0))
}

fn bodies(sent: &[(ClientTransaction, Box<Message>)]) -> Vec<&str> {
    sent.iter().map(|(_, msg)| std::str::from_utf8(msg.body()).unwrap()).collect()
}

#[test]
fn messages_wait_and_are_delivered_in_order() {
    let mut bench = bench("");
    away(&mut bench);
    let lines =
        "From: \"A \\\"<>\" <sip:alice@example.com;x=1>;tag=a;y\r\nSubject: s\r\nX: 1\r\nRoute: <sip:127.0.0.1;lr>\r\n";
    assert_eq!(bench.status(message(lines, "one <script>\0")), 202);
    keep(&mut bench, "two");
    assert!(bench.pass(60).is_empty());
    let first = delivered(&mut bench);
    let [(client, msg)] = first.as_slice() else { panic!("{first:?}") };
    let printed = text(msg);
    assert_eq!((uri(msg), msg.body()), ("sip:1@192.0.2.1", b"one <script>\0".as_slice()));
    for line in [
        "To: <sip:bob@example.com>",
        "Subject: s",
        "Content-Type: text/plain",
        "CSeq: 1 MESSAGE",
        "Date: Sat, 13 Nov 2010 23:29:00 GMT",
    ] {
        assert!(printed.contains(&format!("{line}\r\n")), "{line}: {printed}");
    }
    assert!(printed.contains("From: \"A \\\"<>\" <sip:alice@example.com;x=1>;tag=") && !printed.contains("tag=a;"));
    assert!(!printed.contains("X: 1") && !printed.contains("Via") && !printed.contains("Call-ID: call\r\n"));
    let then = sent(bench.respond(*client, msg, 200));
    assert_eq!(bodies(&then), ["two"]);
    assert!(bench.respond(then[0].0, &then[0].1, 202).is_empty());
    assert!(delivered(&mut bench).is_empty() && bench.server.silo().unwrap().is_empty());
}

#[test]
fn what_fails_is_kept_until_the_next_registration() {
    let mut bench = bench("");
    away(&mut bench);
    ["one", "two"].iter().for_each(|body| keep(&mut bench, body));
    let first = delivered(&mut bench);
    // While it is under way another registration sends nothing more, but it is tried again afterwards.
    assert!(delivered(&mut bench).is_empty());
    assert!(bench.no_response(first[0].0, NoResponse::Timeout).is_empty());
    let again = sent(bench.pass(0));
    assert_eq!(bodies(&again), ["one"]);
    assert!(bench.respond(again[0].0, &again[0].1, 480).is_empty() && bench.pass(60).is_empty());
    // What the device refuses does not stand in the way of what comes after it.
    let again = delivered(&mut bench);
    let then = sent(bench.respond(again[0].0, &again[0].1, 415));
    assert_eq!(bodies(&then), ["two"]);
    bench.respond(then[0].0, &then[0].1, 200);
    assert_eq!(bodies(&delivered(&mut bench)), ["one"]);
}

#[test]
fn not_everything_is_kept() {
    let mut bench = bench("max_body = 9\nmax_per_user = 4");
    assert_eq!(bench.status(message("", "stranger")), 404);
    away(&mut bench);
    let mut composing = message("", "<x/>");
    composing.set_body(Some("Application/im-isComposing+xml;charset=utf-8"), "<x/>");
    assert_eq!((bench.status(composing), bench.server.silo().unwrap().len()), (200, 0));
    assert_eq!(bench.status(message("", "0123456789")), 413);
    assert_eq!(bench.status(message(&format!("Subject: {}\r\n", "s".repeat(5000)), "x")), 513);
    assert_eq!(bench.status(message("Expires: 0\r\n", "now")), 480);
    assert_eq!(bench.status(message("To: <sip:bob@example.com>;tag=b\r\n", "dialog")), 480);
    assert_eq!(bench.status(request("OPTIONS", BOB, "")), 480);
    ["1", "2"].iter().for_each(|body| keep(&mut bench, body));
    assert_eq!(bench.status(message("", "3")), 480);
    // Who is there gets it at once.
    register(&mut bench, "bob", "<sip:1@192.0.2.1>");
    bench.forwarded(message("", "4"));
}

#[test]
fn messages_expire_with_their_time_or_their_own() {
    let mut bench = bench("expires_seconds = 100");
    away(&mut bench);
    for (lines, body) in [("Expires: 50\r\n", "short"), ("Expires: 900\r\n", "long")] {
        assert_eq!(bench.status(message(lines, body)), 202);
    }
    bench.pass(60);
    assert_eq!(bodies(&delivered(&mut bench)), ["long"]);
    let mut bench = self::bench("expires_seconds = 100");
    away(&mut bench);
    keep(&mut bench, "gone");
    bench.pass(100);
    assert!(delivered(&mut bench).is_empty());
}

#[test]
fn a_provisioned_user_need_not_have_registered() {
    let config = Config { silo: Some(Silo::default()), ..Config::default() };
    let mut bench = Bench::with("127.0.0.1:5060", config);
    let records = Config::parse("[[user]]\naor = \"bob@127.0.0.1\"", "x").unwrap().records;
    let provisioning = Arc::new(Provisioning::compile(&records, &mut Rng::from_seed(2)).unwrap());
    bench.event(TuEvent::Posted(Box::new(provisioning)));
    keep(&mut bench, "welcome");
    let welcome = delivered(&mut bench);
    // Without a wall clock there is no Date.
    assert!(bodies(&welcome) == ["welcome"] && !welcome[0].1.exists(h::DATE));
}

#[test]
fn what_is_for_a_sips_uri_goes_to_no_other() {
    let mut bench = bench("");
    away(&mut bench);
    let msg = request("MESSAGE", "sips:bob@127.0.0.1", "");
    assert_eq!(bench.status(msg), 202);
    keep(&mut bench, "in clear");
    assert_eq!(bodies(&delivered(&mut bench)), ["in clear"]);
    assert_eq!(bench.server.silo().unwrap().len(), 2);
}

#[test]
fn who_registers_with_thousands_waits_for_them() {
    let mut bench = bench("");
    for user in 0..40 {
        register(&mut bench, &user.to_string(), "<sip:1@192.0.2.1>");
        register(&mut bench, &user.to_string(), "<sip:1@192.0.2.1>;expires=0");
        assert_eq!(bench.status(request("MESSAGE", &format!("sip:{user}@127.0.0.1"), "")), 202);
    }
    for user in 0..40 {
        register(&mut bench, &user.to_string(), "<sip:1@192.0.2.1>");
    }
    let first = sent(bench.pass(0));
    assert_eq!(first.len(), 32);
    assert!(bench.respond(first[0].0, &first[0].1, 200).is_empty());
    assert_eq!(sent(bench.pass(0)).len(), 1);
}

/// One who fills a mailbox, or all of them: others have room all the same. An address counts as one sender, whatever it
/// writes into From, and so does a user who has given his password, wherever he is.
#[test]
fn a_sender_has_a_share() {
    let mut bench = bench("max_per_user = 4\nmax_per_sender = 3");
    ["bob", "carol", "dave"].iter().for_each(|user| {
        register(&mut bench, user, "<sip:1@192.0.2.1>");
        register(&mut bench, user, "<sip:1@192.0.2.1>;expires=0");
    });
    let mut from = |peer: &'static str, name: &str, to: &str| {
        bench.peer = peer;
        let lines = format!("From: <sip:{name}@example.net>;tag=1\r\n");
        bench.status(request("MESSAGE", &format!("sip:{to}@127.0.0.1"), &lines))
    };
    let eve = "203.0.113.9:5060";
    assert_eq!([from(eve, "a", "bob"), from(eve, "b", "bob"), from(eve, "c", "bob")], [202, 202, 480]);
    assert_eq!([from(eve, "d", "carol"), from(eve, "e", "dave")], [202, 480]);
    let six = ["[2001:db8::1]:5060", "[2001:db8::2]:5060", "[2001:db8:0:1::1]:5060"];
    assert_eq!([from(six[0], "a", "bob"), from(six[1], "b", "bob"), from(six[2], "c", "carol")], [202, 202, 202]);
    assert_eq!(from("203.0.113.10:5060", "a", "bob"), 480, "there are four");
    // Of who is trusted From is believed: a carrier is not one sender.
    let config = "domains = [\"127.0.0.1\"]\ntrusted_peers = [\"10.0.0.0/8\"]\n[silo]\nmax_per_sender = 1\n";
    let mut bench = Bench::with("127.0.0.1:5060", Config::parse(config, "x").unwrap());
    away(&mut bench);
    bench.peer = "10.1.1.1:5060";
    for (name, code) in [("a", 202), ("b", 202), ("b", 480)] {
        let lines = format!("From: <sip:{name}@example.net>;tag=1\r\n");
        assert_eq!(bench.status(message(&lines, "x")), code, "{name}");
    }
}
