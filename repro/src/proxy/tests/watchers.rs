//! Who may watch and publish, and how much.

use super::published::{config, pidf, presence, subscribe};
use super::*;
use crate::config::Watchers;
use crate::events::Package;
use stack::contents::event::pidf::Basic;
use stack::contents::event::{EventDocument, MessageSummary};

/// Who watches and publishes what of bob, by status: presence, message-summary; a PUBLISH of either.
fn allowed(watchers: Watchers) -> Vec<(&'static str, &'static str, [u16; 4])> {
    let mut config = Config {
        domains: vec!["example.com".parse().unwrap()],
        trusted_peers: vec!["10.0.0.0/8".parse().unwrap()],
        ..config()
    };
    config.events.watchers = watchers;
    let mut bench = Bench::with("192.0.2.1:5060", config);
    bench.peer = "10.0.0.1:5060";
    for (user, contact) in [("bob", "sip:bob@192.0.2.50"), ("alice", "sip:alice@192.0.2.51")] {
        let lines = format!("To: <sip:{user}@example.com>\r\nContact: <{contact}>\r\n");
        assert_eq!(bench.status(request("REGISTER", "sip:example.com", &lines)), 200);
    }
    let senders = [
        ("192.0.2.77:5060", "bob@example.com"),
        ("192.0.2.51:5060", "alice@example.com"),
        ("192.0.2.51:5060", "bob@example.com"),
        ("192.0.2.50:5060", "bob@example.com"),
        ("10.0.0.9:5060", "voicemail@example.net"),
    ];
    let mut count = 0;
    senders
        .into_iter()
        .map(|(peer, from)| {
            bench.peer = peer;
            let waits = MessageSummary { waiting: true, ..MessageSummary::default() }.print().to_vec();
            let all = [
                ("SUBSCRIBE", "presence", None),
                ("SUBSCRIBE", "message-summary", None),
                ("PUBLISH", "presence", Some(("application/pidf+xml", pidf(&[("a", Basic::Open)])))),
                ("PUBLISH", "message-summary", Some(("application/simple-message-summary", waits))),
            ];
            let codes = all.map(|(method, event, body)| {
                let lines = format!("From: <sip:{from}>;tag=1\r\nEvent: {event}\r\nContact: <sip:x@{peer}>\r\n");
                let mut msg = request(method, "sip:bob@example.com:5060", &lines);
                count += 1;
                msg.set(h::CALL_ID, &*format!("{count}"));
                if let Some((media, body)) = body {
                    msg.set_body(Some(media), body);
                }
                codes(&bench.request(msg))[0]
            });
            (peer, from, codes)
        })
        .collect()
}

#[test]
fn who_may_watch_and_publish_is_configured() {
    let [stranger, alice, mallory, bob, operator] = [
        ("192.0.2.77:5060", "bob@example.com"),
        ("192.0.2.51:5060", "alice@example.com"),
        ("192.0.2.51:5060", "bob@example.com"),
        ("192.0.2.50:5060", "bob@example.com"),
        ("10.0.0.9:5060", "voicemail@example.net"),
    ];
    let is = |(peer, from), codes| (peer, from, codes);
    let common = [is(bob, [200, 200, 200, 403]), is(operator, [200, 200, 200, 200])];
    for (watchers, of_stranger, of_alice, of_mallory) in
        [(Watchers::Users, 403, 200, 403), (Watchers::Oneself, 403, 403, 403), (Watchers::Anybody, 200, 200, 200)]
    {
        let [one, two, three] = [(stranger, of_stranger), (alice, of_alice), (mallory, of_mallory)]
            .map(|(who, code)| is(who, [code, 403, 403, 403]));
        let expected = [one, two, three, common[0], common[1]];
        assert_eq!(allowed(watchers), expected, "{watchers:?}");
    }
}

#[test]
fn watchers_and_publications_are_limited() {
    let mut config = config();
    config.events.subscriptions_per_user = 3;
    config.events.subscriptions_per_subscriber = 4;
    config.events.publications_per_user = 2;
    config.events.publications = 3;
    config.events.publication_octets = 6_000;
    let mut bench = Bench::with("127.0.0.1:5060", config);
    let mut calls = 0;
    let mut watch = |bench: &mut Bench, user: &str| {
        calls += 1;
        let mut msg = subscribe(&calls.to_string(), "presence", "");
        msg.set_request_uri(&format!("sip:{user}@127.0.0.1"));
        codes(&bench.request(msg))[0]
    };
    assert_eq!([(); 4].map(|()| watch(&mut bench, "bob")), [200, 200, 200, 403], "of one user");
    assert_eq!([(); 2].map(|()| watch(&mut bench, "carol")), [200, 403], "of one subscriber");
    bench.peer = "127.0.0.2:7000";
    assert_eq!(watch(&mut bench, "carol"), 200, "another subscriber");
    assert_eq!(bench.server.compositor().counts().refused_subscriptions(), 2);
    bench.pass(10);
    let publish = |bench: &mut Bench, user: &str, octets: usize| {
        let mut msg = presence(None, 600, &[("a", Basic::Open)]);
        let body = [msg.body(), " ".repeat(octets).as_bytes()].concat();
        msg.set_body(Some("application/pidf+xml"), body);
        msg.set_request_uri(&format!("sip:{user}@127.0.0.1"));
        codes(&bench.request(msg))[0]
    };
    assert_eq!([(); 3].map(|()| publish(&mut bench, "bob", 0)), [200, 200, 403], "of one user");
    assert_eq!(publish(&mut bench, "carol", 6_000), 500, "octets of all");
    assert_eq!([(); 2].map(|()| publish(&mut bench, "carol", 0)), [200, 500], "of all");
    assert_eq!((bench.server.compositor().len(), bench.server.compositor().counts().refused_publications()), (3, 3));
    // What has expired makes room.
    bench.pass(601);
    assert_eq!(publish(&mut bench, "carol", 0), 200);
    assert_eq!(bench.server.compositor().len(), 1);
}

#[test]
fn who_is_not_asked_has_the_share_of_his_address() {
    let mut bench = auth::asking(|config| {
        config.events.packages = Package::ALL.to_vec();
        config.events.watchers = Watchers::Anybody;
        config.events.subscriptions_per_subscriber = 2;
    });
    let watch = |call: &str, from: &str| {
        let lines = format!("From: <sip:{from}>;tag=a\r\nEvent: presence\r\nContact: <sip:x@203.0.113.9:5060>\r\n");
        let mut msg = request("SUBSCRIBE", "sip:bob@example.com", &lines);
        msg.set(h::CALL_ID, call);
        msg
    };
    let strangers = ["x1@evil.example", "x2@evil.example", "x3@evil.example", "x4@203.0.113.9:5060"];
    assert_eq!(strangers.map(|from| codes(&bench.request(watch(from, from)))[0]), [200, 200, 403, 403]);
    for (call, expected) in [("1", 200), ("2", 200), ("3", 403)] {
        let outs = auth::prove(&mut bench, watch(call, "alice@example.com"), "alice", "alice");
        assert_eq!(codes(&outs), [expected], "a user has a share of his own");
    }
}

#[test]
fn with_passwords_users_watch_each_other_and_publish_for_themselves() {
    let mut bench = auth::asking(|config| config.events.packages = Package::ALL.to_vec());
    for (number, (method, event, of, expected)) in [
        ("SUBSCRIBE", "presence", "bob@example.com", 200),
        ("SUBSCRIBE", "dialog", "dora@example.org", 200),
        ("SUBSCRIBE", "presence", "nobody@example.com", 404),
        ("SUBSCRIBE", "message-summary", "bob@example.com", 403),
        ("SUBSCRIBE", "message-summary", "alice@example.com", 200),
        ("PUBLISH", "presence", "bob@example.com", 403),
        ("PUBLISH", "presence", "alice@example.com", 200),
        ("PUBLISH", "message-summary", "alice@example.com", 403),
    ]
    .into_iter()
    .enumerate()
    {
        let contact = "Contact: <sip:x@203.0.113.9:5060>";
        let lines = format!("From: <sip:alice@example.com>;tag=a\r\nEvent: {event}\r\n{contact}\r\n");
        let mut msg = request(method, &format!("sip:{of}"), &lines);
        msg.set(h::CALL_ID, &*format!("{number}"));
        if method == "PUBLISH" {
            msg.set_body(Some("application/pidf+xml"), pidf(&[("a", Basic::Open)]));
        }
        let outs = auth::prove(&mut bench, msg, "alice", "alice");
        assert_eq!(codes(&outs), [expected], "{method} {event} {of}");
    }
    // Who is no user is nobody whom to tell.
    let lines = "From: <sip:eve@example.net>;tag=e\r\nEvent: presence\r\nContact: <sip:e@203.0.113.9:5060>\r\n";
    assert_eq!(bench.status(request("SUBSCRIBE", "sip:bob@example.com", lines)), 403);
}
