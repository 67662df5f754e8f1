//! Presence, messages that wait and dialogs: what is published, and who is told (RFC 3903, RFC 3856, RFC 3842, RFC 4235).

use super::*;
use crate::config::Watchers;
use crate::events::Package;
use stack::contents::event::dialog_info::{DialogElement, State};
use stack::contents::event::pidf::{Basic, Note, Tuple};
use stack::contents::event::{DialogInfo, DocumentState, EventDocument, MessageSummary, Pidf};
use stack::header::p;

const BOB: &str = "sip:bob@127.0.0.1";

fn config() -> Config {
    let mut config = Config::default();
    config.events.packages = Package::ALL.to_vec();
    config
}

fn bench() -> Bench {
    Bench::with("127.0.0.1:5060", config())
}

fn subscribe(call: &str, event: &str, lines: &str) -> Message {
    let lines = format!("Event: {event}\r\nContact: <sip:alice@127.0.0.1:7000>\r\n{lines}");
    let mut msg = request("SUBSCRIBE", BOB, &lines);
    msg.set(h::CALL_ID, call);
    msg
}

/// Takes the NOTIFYs of a turn, answers each with 200, and gives what they say, until no more come at once.
fn told<D: EventDocument>(bench: &mut Bench, outs: Vec<Out>) -> Vec<D> {
    let (mut all, mut outs) = (Vec::new(), sent(outs));
    while let Some((client, msg)) = outs.pop() {
        let (kind, subtype) = D::MEDIA_TYPE;
        assert!(msg.header(h::CONTENT_TYPE).unwrap().is(kind, subtype));
        all.push(D::parse(msg.body()).unwrap());
        outs.extend(sent(bench.respond(client, &msg, 200)));
    }
    all
}

/// The one NOTIFY of a turn.
fn one<D: EventDocument + std::fmt::Debug>(bench: &mut Bench, outs: Vec<Out>) -> D {
    let mut all = told(bench, outs);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// Names and states of what a document says.
fn tuples(pidf: &Pidf) -> Vec<(&str, Basic)> {
    assert_eq!(pidf.entity, BOB);
    pidf.tuples.iter().map(|tuple| (tuple.id.as_str(), tuple.basic.unwrap())).collect()
}

fn pidf(tuples: &[(&str, Basic)]) -> Vec<u8> {
    let tuples = tuples.iter().map(|(id, basic)| Tuple::new(*id, *basic)).collect();
    Pidf { entity: "pres:whoever@example.net".into(), tuples, ..Pidf::default() }.print().to_vec()
}

/// A PUBLISH for bob.
fn publication(event: &str, etag: Option<&str>, expires: u32, body: Option<(&str, Vec<u8>)>) -> Message {
    let etag = etag.map_or(String::new(), |etag| format!("SIP-If-Match: {etag}\r\n"));
    let mut msg = request("PUBLISH", BOB, &format!("Event: {event}\r\nExpires: {expires}\r\n{etag}"));
    if let Some((media, body)) = body {
        msg.set_body(Some(media), body);
    }
    msg
}

fn presence(etag: Option<&str>, expires: u32, states: &[(&str, Basic)]) -> Message {
    let body = (!states.is_empty()).then(|| ("application/pidf+xml", pidf(states)));
    publication("presence", etag, expires, body)
}

/// The entity-tag of a publication that is taken, and what else is sent.
fn taken(bench: &mut Bench, msg: Message) -> (String, Vec<Out>) {
    let mut outs = bench.request(msg);
    let at = outs.iter().position(|out| matches!(out, Out::Answer(..))).expect("an answer");
    let Out::Answer(_, 200, Some(response)) = outs.remove(at) else { panic!("not taken") };
    (response.header(h::SIP_ETAG).unwrap().to_string(), outs)
}

/// Somebody watches the presence of bob, who is not there.
fn watched() -> Bench {
    let mut bench = bench();
    let outs = bench.request(subscribe("w", "presence", "Expires: 3600\r\n"));
    assert_eq!(codes(&outs), [200]);
    assert_eq!(tuples(&one(&mut bench, outs)), [("registration", Basic::Closed)]);
    bench.pass(10);
    bench
}

#[test]
fn what_is_published_is_told_until_it_is_removed() {
    let mut bench = watched();
    let (first, outs) = taken(&mut bench, presence(None, 600, &[("phone", Basic::Open)]));
    assert_eq!(tuples(&one(&mut bench, outs)), [("phone", Basic::Open)]);
    bench.pass(10);
    let (second, outs) = taken(&mut bench, presence(Some(&first), 600, &[]));
    assert!(second != first && sent(outs).is_empty(), "a refresh tells nothing");
    assert_eq!(bench.status(presence(Some(&first), 600, &[])), 412);
    let (third, outs) = taken(&mut bench, presence(Some(&second), 600, &[("phone", Basic::Closed)]));
    assert_eq!(tuples(&one(&mut bench, outs)), [("phone", Basic::Closed)]);
    bench.pass(10);
    assert_eq!(bench.server.compositor().len(), 1);
    let (_, outs) = taken(&mut bench, presence(Some(&third), 0, &[]));
    assert_eq!(tuples(&one(&mut bench, outs)), [("registration", Basic::Closed)]);
    assert_eq!((bench.server.compositor().len(), bench.server.compositor().octets()), (0, 0));
}

#[test]
fn a_publication_expires() {
    let mut bench = watched();
    let (etag, outs) = taken(&mut bench, presence(None, 60, &[("phone", Basic::Open)]));
    one::<Pidf>(&mut bench, outs);
    bench.pass(50);
    // It lasts longer than it was told first.
    let (etag, outs) = taken(&mut bench, presence(Some(&etag), 60, &[]));
    assert!(sent(outs).is_empty() && sent(bench.pass(59)).is_empty());
    let outs = bench.pass(2);
    assert_eq!(tuples(&one(&mut bench, outs)), [("registration", Basic::Closed)]);
    assert_eq!(bench.status(presence(Some(&etag), 60, &[])), 412);
    assert_eq!(bench.server.compositor().len(), 0);
}

#[test]
fn without_publications_registrations_count() {
    let mut bench = watched();
    let register = |bench: &mut Bench, cseq: u32, expires: u32| {
        let lines = format!("To: <{BOB}>\r\nContact: <sip:bob@127.0.0.1:5090>\r\nExpires: {expires}\r\n");
        let mut msg = request("REGISTER", "sip:127.0.0.1", &lines);
        msg.set(h::CSEQ, &format_args!("{cseq} REGISTER"));
        assert_eq!(bench.status(msg), 200);
        let outs = bench.pass(0);
        let all: Vec<Pidf> = told(bench, outs);
        all.iter().map(|pidf| pidf.tuples[0].basic.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(register(&mut bench, 1, 600), [Basic::Open]);
    bench.pass(10);
    assert_eq!(register(&mut bench, 2, 60), [], "a refresh tells nothing");
    let outs = bench.pass(61);
    assert_eq!(tuples(&one(&mut bench, outs)), [("registration", Basic::Closed)], "it has expired");
    bench.pass(10);
    assert_eq!(register(&mut bench, 3, 600), [Basic::Open]);
    bench.pass(10);
    assert_eq!(register(&mut bench, 4, 0), [Basic::Closed]);
    // What is published counts alone.
    bench.pass(10);
    let (_, outs) = taken(&mut bench, presence(None, 600, &[("desk", Basic::Open)]));
    assert_eq!(tuples(&one(&mut bench, outs)), [("desk", Basic::Open)]);
    bench.pass(10);
    assert_eq!(register(&mut bench, 5, 600), []);
}

#[test]
fn registrations_count_only_where_they_are_to() {
    let mut config = config();
    config.events.presence_from_registrations = false;
    let mut bench = Bench::with("127.0.0.1:5060", config);
    let outs = bench.request(subscribe("w", "presence", ""));
    assert_eq!(tuples(&one(&mut bench, outs)), []);
    bench.pass(10);
    bench.register(&["<sip:bob@127.0.0.1:5090>"]);
    assert!(sent(bench.pass(10)).is_empty());
}

#[test]
fn after_a_notify_there_is_a_pause_and_then_what_is_so() {
    let mut bench = watched();
    let (etag, outs) = taken(&mut bench, presence(None, 600, &[("phone", Basic::Open)]));
    one::<Pidf>(&mut bench, outs);
    let (etag, outs) = taken(&mut bench, presence(Some(&etag), 600, &[("phone", Basic::Closed)]));
    assert!(sent(outs).is_empty());
    let (etag, _) = taken(&mut bench, presence(Some(&etag), 600, &[("car", Basic::Open)]));
    assert!(sent(bench.pass(4)).is_empty());
    let outs = bench.pass(1);
    assert_eq!(tuples(&one(&mut bench, outs)), [("car", Basic::Open)]);
    // One that is not answered holds back the next, however long that takes.
    bench.pass(10);
    let (etag, outs) = taken(&mut bench, presence(Some(&etag), 600, &[("bus", Basic::Open)]));
    let waits = sent(outs).remove(0);
    taken(&mut bench, presence(Some(&etag), 600, &[("train", Basic::Open)]));
    assert!(sent(bench.pass(20)).is_empty());
    let outs = bench.respond(waits.0, &waits.1, 200);
    assert_eq!(tuples(&one(&mut bench, outs)), [("train", Basic::Open)]);
}

#[test]
fn what_several_publish_is_one_document() {
    let mut bench = watched();
    let (first, outs) = taken(&mut bench, presence(None, 600, &[("a", Basic::Open), ("b", Basic::Open)]));
    one::<Pidf>(&mut bench, outs);
    bench.pass(10);
    let (second, outs) = taken(&mut bench, presence(None, 600, &[("b", Basic::Closed), ("c", Basic::Open)]));
    let all = [("a", Basic::Open), ("b", Basic::Closed), ("c", Basic::Open)];
    assert_eq!(tuples(&one(&mut bench, outs)), all);
    bench.pass(10);
    // The one that says something new counts as the later one.
    let (first, outs) = taken(&mut bench, presence(Some(&first), 600, &[("b", Basic::Open)]));
    assert_eq!(tuples(&one(&mut bench, outs)), [("b", Basic::Open), ("c", Basic::Open)]);
    bench.pass(10);
    let (_, outs) = taken(&mut bench, presence(Some(&second), 0, &[]));
    assert_eq!(tuples(&one(&mut bench, outs)), [("b", Basic::Open)]);
    bench.pass(10);
    // What stands beside the ways is told as well, and each extension once.
    let person = |text: &str| format!("<person xmlns='urn:x' id='p'>{text}</person>");
    let with = |text: &str| {
        let mut document = Pidf::parse(&pidf(&[])).unwrap();
        document.notes.push(Note { text: text.into(), lang: None });
        let own = stack::contents::event::Element::parse(person(text).as_bytes()).unwrap();
        document.extensions.push(own);
        publication("presence", None, 600, Some(("application/pidf+xml", document.print().to_vec())))
    };
    let (_, outs) = taken(&mut bench, with("out"));
    one::<Pidf>(&mut bench, outs);
    taken(&mut bench, with("back"));
    let outs = bench.pass(10);
    let document = one::<Pidf>(&mut bench, outs);
    assert_eq!(document.notes.iter().map(|note| note.text.as_str()).collect::<Vec<_>>(), ["out", "back"]);
    assert_eq!(document.extensions.iter().map(|one| one.text.as_str()).collect::<Vec<_>>(), ["back"]);
    taken(&mut bench, presence(Some(&first), 600, &[]));
}

#[test]
fn who_asks_once_is_told_once() {
    let mut bench = watched();
    taken(&mut bench, presence(None, 600, &[("phone", Basic::Open)]));
    let mut outs = sent(bench.request(subscribe("once", "presence", "Expires: 0\r\n")));
    let (_, msg) = outs.remove(0);
    assert!(msg.header(h::SUBSCRIPTION_STATE).unwrap().is("terminated"));
    assert_eq!(tuples(&Pidf::parse(msg.body()).unwrap()), [("phone", Basic::Open)]);
    assert_eq!(bench.proxy.events.counts().subscriptions, 1);
    assert_eq!(bench.server.compositor().counts().subscriptions(Some(Package::Presence)), 1);
}

#[test]
fn a_refresh_brings_the_state_and_an_end_leaves_nothing() {
    let mut bench = bench();
    let outs = bench.request(subscribe("w", "presence", "Expires: 600\r\n"));
    let first = sent(outs).remove(0);
    bench.respond(first.0, &first.1, 200);
    let from = first.1.header(h::FROM).unwrap().to_string();
    let contact = first.1.header(h::CONTACTS).next().unwrap().unwrap().to_string();
    let again = |cseq: u32, expires: u32| {
        let mut msg = subscribe("w", "presence", &format!("Expires: {expires}\r\n"));
        msg.set_request_uri(contact.trim_matches(['<', '>']));
        msg.set(h::TO, &from);
        msg.set(h::CSEQ, &format_args!("{cseq} SUBSCRIBE"));
        msg
    };
    let outs = bench.request(again(2, 700));
    assert_eq!((codes(&outs), tuples(&one(&mut bench, outs))), (vec![200], vec![("registration", Basic::Closed)]));
    let outs = bench.request(again(3, 0));
    let last = sent(outs).remove(0);
    assert_eq!(last.1.header(h::SUBSCRIPTION_STATE).unwrap().param(p::REASON).as_deref(), Some("timeout"));
    bench.respond(last.0, &last.1, 200);
    assert_eq!(bench.status(again(4, 600)), 481);
    assert!(bench.proxy.events.is_idle());
    assert_eq!(bench.server.compositor().counts().subscriptions(Some(Package::Presence)), 0);
    // Nobody watches: what is published wakes nobody, and what is registered is noted nowhere.
    taken(&mut bench, presence(None, 600, &[("phone", Basic::Open)]));
    bench.register(&["<sip:bob@127.0.0.1:5090>"]);
    assert!(!bench.server.location().watch().is_ready(0) && sent(bench.pass(10)).is_empty());
}

#[test]
fn what_cannot_be_taken_is_refused() {
    let mut bench = bench();
    let xml = |text: String| ("application/pidf+xml", text.into_bytes());
    let open = || xml(String::from_utf8(pidf(&[("a", Basic::Open)])).unwrap());
    let deep = format!("{}{}", "<a>".repeat(30), "</a>".repeat(30));
    let root = |inner: &str| format!("<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='sip:a'>{inner}</presence>");
    let changed =
        DialogInfo { version: 1, state: DocumentState::Partial, entity: BOB.into(), dialogs: Vec::new() }.print();
    let partial = ("application/dialog-info+xml", changed.to_vec());
    // Short as it is written, long as it would be told.
    let spread = format!(
        "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='sip:a' xmlns:x='urn:{}'>{}</presence>",
        "x".repeat(200),
        "<x:a/>".repeat(300)
    );
    for (what, msg, expected) in [
        ("no body", publication("presence", None, 600, None), 400),
        ("another package", publication("conference", None, 600, Some(open())), 489),
        ("reg", publication("reg", None, 600, Some(open())), 489),
        ("no type that is known", publication("presence", None, 600, Some(("text/html", b"x".to_vec()))), 415),
        ("a type of another package", publication("dialog", None, 600, Some(open())), 415),
        ("too brief", publication("presence", None, 59, Some(open())), 423),
        ("no such tag", publication("presence", Some("nobody"), 600, Some(open())), 412),
        ("no XML", publication("presence", None, 600, Some(xml("<presence".into()))), 400),
        ("another root", publication("presence", None, 600, Some(xml("<html/>".into()))), 400),
        ("no id", publication("presence", None, 600, Some(xml(root("<tuple><status/></tuple>")))), 400),
        (
            "a document type",
            publication("presence", None, 600, Some(xml("<!DOCTYPE a [<!ENTITY x \"xx\">]><presence/>".into()))),
            400,
        ),
        ("too deep", publication("presence", None, 600, Some(xml(deep))), 413),
        ("too long", publication("presence", None, 600, Some(xml(root(&" ".repeat(9_000))))), 413),
        ("too long when told", publication("presence", None, 600, Some(xml(spread))), 413),
        ("a partial document", publication("dialog", None, 600, Some(partial)), 488),
        ("no UTF-8", publication("presence", None, 600, Some(("application/pidf+xml", vec![0xff; 10]))), 400),
    ] {
        let outs = bench.request(msg);
        assert_eq!(codes(&outs), [expected], "{what}");
        let Out::Answer(_, _, Some(response)) = &outs[0] else { panic!("{what}") };
        match expected {
            423 => assert_eq!(response.header(h::MIN_EXPIRES).unwrap().0, 60),
            489 => assert!(response.exists(h::ALLOW_EVENTS), "{what}"),
            415 => assert!(response.exists(h::ACCEPTS), "{what}"),
            _ => {}
        }
    }
    assert!(bench.server.compositor().is_empty());
    for (accept, expected) in [("text/plain", 406), ("text/plain, application/pidf+xml", 200), ("application/*", 200)] {
        let msg = subscribe(&accept.len().to_string(), "presence", &format!("Accept: {accept}\r\n"));
        assert_eq!(codes(&bench.request(msg)), [expected], "{accept}");
    }
    assert_eq!(codes(&bench.request(subscribe("brief", "presence", "Expires: 5\r\n"))), [423]);
}

#[test]
fn what_is_not_kept_here_goes_to_the_devices() {
    let mut config = config();
    config.events.packages = vec![Package::Dialog];
    let mut bench = Bench::with("127.0.0.1:5060", config);
    bench.register(&["<sip:bob@127.0.0.1:5090>"]);
    let (_, forwarded, _) = bench.forwarded(subscribe("p", "presence", ""));
    assert_eq!(uri(&forwarded), "sip:bob@127.0.0.1:5090");
    // And without any package nothing is published.
    let mut bench = Bench::new();
    bench.register(&["<sip:bob@127.0.0.1:5090>"]);
    bench.forwarded(presence(None, 600, &[("a", Basic::Open)]));
}

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
fn who_comes_and_goes_leaves_no_timers_and_a_turn_looks_at_some() {
    const MANY: usize = 200;
    let mut bench = bench();
    bench.register(&["<sip:bob@127.0.0.1:5090>;expires=3600"]);
    taken(&mut bench, presence(None, 600, &[("phone", Basic::Open)]));
    for call in 0..50 {
        for event in ["presence", "reg"] {
            let outs = bench.request(subscribe(&format!("{event}{call}"), event, "Expires: 0\r\n"));
            let (client, msg) = sent(outs).remove(0);
            bench.respond(client, &msg, 200);
        }
    }
    assert!(bench.proxy.events.is_idle());
    assert_eq!(bench.proxy.events.timers(), (0, 1));
    // What ends later than what was watched there before is told in time.
    bench.pass(300);
    let of = |user: usize, mut msg: Message| {
        msg.set_request_uri(&format!("sip:{user}@127.0.0.1"));
        msg
    };
    for user in 0..MANY {
        taken(&mut bench, of(user, presence(None, 600, &[("phone", Basic::Open)])));
        let outs = bench.request(of(user, subscribe(&user.to_string(), "presence", "Expires: 3600\r\n")));
        told::<Pidf>(&mut bench, outs);
    }
    assert!(sent(bench.pass(599)).is_empty());
    let before = bench.proxy.events.timers().1;
    assert!(before >= MANY);
    bench.harness.now += Duration::from_secs(2);
    let proxy = &mut bench.proxy;
    bench.harness.call(|stack| proxy.wake(stack));
    let left = bench.proxy.events.timers().1;
    assert!((1..=64).contains(&(before - left)), "{before} {left}");
    let outs = bench.outs();
    let now = told::<Pidf>(&mut bench, outs).len();
    let outs = bench.pass(0);
    let ended: Vec<Pidf> = told(&mut bench, outs);
    assert_eq!((now + ended.len(), bench.proxy.events.timers().1), (MANY, 0));
    assert!(ended.iter().all(|pidf| pidf.tuples[0].id == "registration"));
}

#[test]
fn one_document_is_written_for_all_who_watch_and_some_are_told_in_a_turn() {
    const MANY: usize = 500;
    let mut bench = bench();
    for call in 0..MANY {
        let outs = bench.request(subscribe(&call.to_string(), "presence", ""));
        one::<Pidf>(&mut bench, outs);
    }
    bench.pass(10);
    let counts = || bench.server.compositor().counts().composed();
    let before = counts();
    let (_, outs) = taken(&mut bench, presence(None, 600, &[("phone", Basic::Open)]));
    let first = sent(outs);
    assert!(first.len() <= 64, "{}", first.len());
    let rest = sent(bench.pass(0));
    assert_eq!(first.len() + rest.len(), MANY);
    assert_eq!(bench.server.compositor().counts().composed() - before, 1);
}

#[test]
fn a_shard_hears_of_what_is_published_on_another_one() {
    let mut bench = watched();
    let mut other = bench_of(&bench);
    let (etag, outs) = taken(&mut other, presence(None, 60, &[("phone", Basic::Open)]));
    assert!(sent(outs).is_empty());
    let outs = bench.pass(0);
    assert_eq!(tuples(&one(&mut bench, outs)), [("phone", Basic::Open)]);
    let (_, outs) = taken(&mut bench, presence(Some(&etag), 60, &[]));
    assert!(sent(outs).is_empty());
    let outs = bench.pass(61);
    assert_eq!(tuples(&one(&mut bench, outs)), [("registration", Basic::Closed)]);
}

/// Another shard of the same proxy.
fn bench_of(bench: &Bench) -> Bench {
    let mut other = Bench::new();
    other.proxy = Proxy::new(bench.server.clone(), 1, &mut Rng::from_seed(4));
    other.server = bench.server.clone();
    other.harness.now = bench.harness.now;
    other
}

#[test]
fn lamps_are_lit_while_messages_wait() {
    let mut bench = bench();
    let outs = bench.request(subscribe("w", "message-summary", ""));
    assert!(!one::<MessageSummary>(&mut bench, outs).waiting);
    bench.pass(10);
    let body = b"Messages-Waiting: yes\r\nVoice-Message: 2/8 (0/2)\r\n".to_vec();
    let media = "application/simple-message-summary";
    let (_, outs) = taken(&mut bench, publication("message-summary", None, 600, Some((media, body))));
    let summary = one::<MessageSummary>(&mut bench, outs);
    assert_eq!((summary.waiting, summary.class("voice-message").unwrap().all), (true, (2, 8)));
    assert_eq!(
        codes(&bench.request(publication("message-summary", None, 600, Some((media, b"lamp on".to_vec()))))),
        [400]
    );
}

#[test]
fn dialogs_of_several_devices_are_told_with_versions_of_each_subscription() {
    let mut bench = bench();
    let document = |state| {
        let dialogs = vec![DialogElement::new("1", state)];
        let (version, kind) = (77, DocumentState::Full);
        let info = DialogInfo { version, state: kind, entity: BOB.into(), dialogs };
        Some(("application/dialog-info+xml", info.print().to_vec()))
    };
    let shape = |info: DialogInfo| {
        assert_eq!((info.state, info.entity.as_str()), (DocumentState::Full, BOB));
        (info.version, info.dialogs.into_iter().map(|dialog| dialog.state).collect::<Vec<_>>())
    };
    let outs = bench.request(subscribe("w", "dialog", ""));
    assert_eq!(shape(one(&mut bench, outs)), (0, vec![]));
    bench.pass(10);
    let (etag, outs) = taken(&mut bench, publication("dialog", None, 600, document(State::Early)));
    assert_eq!(shape(one(&mut bench, outs)), (1, vec![State::Early]));
    // Who comes later begins anew.
    let outs = bench.request(subscribe("later", "dialog", ""));
    assert_eq!(shape(one(&mut bench, outs)), (0, vec![State::Early]));
    bench.pass(10);
    // Another device has a dialog of the same name.
    let (_, outs) = taken(&mut bench, publication("dialog", None, 600, document(State::Confirmed)));
    let mut all: Vec<DialogInfo> = told(&mut bench, outs);
    all.sort_by_key(|info| info.version);
    let ids: Vec<&str> = all[0].dialogs.iter().map(|dialog| dialog.id.as_str()).collect();
    assert!(ids.len() == 2 && ids[0] != ids[1], "{ids:?}");
    let first = ids[0].to_owned();
    assert_eq!(all.iter().map(|info| info.version).collect::<Vec<_>>(), [1, 2]);
    // A dialog keeps its name.
    bench.pass(10);
    let (_, outs) = taken(&mut bench, publication("dialog", Some(&etag), 600, document(State::Confirmed)));
    let all: Vec<DialogInfo> = told(&mut bench, outs);
    assert!(all.iter().all(|info| info.dialogs.iter().any(|dialog| dialog.id == first)), "{all:?}");
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

/// Who is told, and of each dialog whether he has called, its state, and whom he speaks with.
type Lamp = (String, Vec<(String, State, Option<String>)>);

/// What is told of the calls of alice and bob, who have telephones and watch themselves.
struct Lamps {
    bench: Bench,
    count: u32,
}

impl Lamps {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        config.events.dialogs_from_calls = true;
        config.events.throttle_seconds = 0;
        change(&mut config);
        let mut bench = Bench::with("127.0.0.1:5060", config);
        for (user, contact) in [("bob", "sip:bob@127.0.0.1:5090"), ("alice", "sip:alice@127.0.0.1:7000")] {
            bench.register_as(user, contact);
            let mut msg = subscribe(user, "dialog", "");
            msg.set_request_uri(&format!("sip:{user}@127.0.0.1"));
            let outs = bench.request(msg);
            assert_eq!(one::<DialogInfo>(&mut bench, outs).dialogs, []);
        }
        Lamps { bench, count: 0 }
    }

    /// Alice calls bob.
    fn call(&mut self, lines: &str) -> (ClientTransaction, Box<Message>) {
        self.count += 1;
        let from = "From: <sip:alice@127.0.0.1>;tag=a\r\nTo: <sip:bob@127.0.0.1>\r\n";
        let mut msg = request("INVITE", BOB, &format!("{from}Contact: <sip:alice@127.0.0.1:7000>\r\n{lines}"));
        msg.set(h::CALL_ID, &*format!("call{}", self.count));
        let (client, sent, _) = self.bench.forwarded(msg);
        (client, sent)
    }

    /// What is told meanwhile: who is told, whether he has called, the state, and whom he speaks with.
    fn told(&mut self) -> Vec<Lamp> {
        let outs = self.bench.pass(0);
        let all: Vec<DialogInfo> = told(&mut self.bench, outs);
        let mut all: Vec<_> = all
            .into_iter()
            .map(|info| {
                let dialogs = info.dialogs.into_iter().map(|dialog| {
                    assert!(dialog.call_id.is_none() && dialog.local_tag.is_none() && dialog.remote_tag.is_none());
                    assert_eq!(dialog.local.unwrap().identity.as_deref(), Some(info.entity.as_str()));
                    let remote = dialog.remote.and_then(|remote| remote.identity);
                    (dialog.direction.unwrap().to_string(), dialog.state, remote)
                });
                (info.entity.clone(), dialogs.collect())
            })
            .collect();
        all.sort_by_key(|(entity, _)| entity.clone());
        all
    }

    /// What both are told of one call.
    fn both(state: State) -> Vec<Lamp> {
        let [alice, bob] = ["sip:alice@127.0.0.1", BOB].map(str::to_owned);
        let one = |direction: &str, remote: &str| vec![(direction.to_owned(), state, Some(remote.to_owned()))];
        vec![(alice.clone(), one("initiator", &bob)), (bob, one("recipient", &alice))]
    }
}

#[test]
fn calls_are_told_from_the_first_ring_to_the_bye() {
    let mut lamps = Lamps::new(|_| {});
    let (client, invite) = lamps.call("");
    assert_eq!(lamps.told(), [], "nobody has said anything");
    lamps.bench.respond(client, &invite, 180);
    assert_eq!(lamps.told(), Lamps::both(State::Early));
    lamps.bench.respond(client, &invite, 183);
    assert_eq!(lamps.told(), []);
    lamps.bench.respond(client, &invite, 200);
    assert_eq!(lamps.told(), Lamps::both(State::Confirmed));
    // Bob hangs up; that of another call means nothing.
    for (call, expected) in [("other", vec![]), ("call1", Lamps::both(State::Terminated))] {
        let lines = "From: <sip:bob@127.0.0.1>;tag=b\r\nTo: <sip:alice@127.0.0.1>;tag=a\r\n";
        let mut bye = request("BYE", "sip:alice@127.0.0.1:7000", lines);
        bye.set(h::CALL_ID, call);
        lamps.bench.forwarded(bye);
        assert_eq!(lamps.told(), expected, "{call}");
    }
    lamps.bench.pass(1);
    assert_eq!(lamps.bench.server.compositor().len(), 2);
    let outs = lamps.bench.pass(20);
    let all: Vec<DialogInfo> = told(&mut lamps.bench, outs);
    assert!(all.len() == 2 && all.iter().all(|info| info.dialogs.is_empty()));
    assert!(lamps.bench.server.compositor().is_empty());
}

#[test]
fn calls_that_fail_or_are_given_up_or_forgotten_are_over() {
    let mut lamps = Lamps::new(|config| config.events.calls_seconds = 600);
    // Nobody rings: nobody is told.
    let (client, invite) = lamps.call("");
    lamps.bench.respond(client, &invite, 486);
    assert_eq!(lamps.told(), []);
    for given_up in [false, true] {
        let (client, invite) = lamps.call("");
        lamps.bench.respond(client, &invite, 180);
        assert_eq!(lamps.told(), Lamps::both(State::Early));
        if given_up {
            lamps.bench.cancelled();
        }
        lamps.bench.respond(client, &invite, if given_up { 487 } else { 486 });
        assert_eq!(lamps.told(), Lamps::both(State::Terminated));
        let outs = lamps.bench.pass(20);
        told::<DialogInfo>(&mut lamps.bench, outs);
    }
    // Who wants to be nobody is nobody here too.
    let (client, invite) = lamps.call("Privacy: id\r\n");
    lamps.bench.respond(client, &invite, 200);
    let all = lamps.told();
    assert_eq!(all[1].1, [("recipient".to_owned(), State::Confirmed, None)]);
    assert_eq!(all[0].1[0].2.as_deref(), Some(BOB));
    let outs = lamps.bench.pass(601);
    let all: Vec<DialogInfo> = told(&mut lamps.bench, outs);
    assert!(all.len() == 2 && all.iter().all(|info| info.dialogs.is_empty()));
    // A publication of the proxy's is nobody's to change.
    let (client, invite) = lamps.call("");
    lamps.bench.respond(client, &invite, 180);
    lamps.told();
    let etags = || lamps.bench.server.compositor().etags(Package::Dialog, "bob@127.0.0.1");
    let before = etags();
    let own = before.first().expect("a publication").clone();
    assert!(own.ends_with(" recipient early"), "{own:?}");
    for etag in [own.as_str(), own.trim(), &own.replace(' ', "%20")] {
        let msg = publication("dialog", Some(etag), 0, None);
        assert!(lamps.bench.status(msg) >= 400, "{etag}");
    }
    assert_eq!(lamps.bench.server.compositor().etags(Package::Dialog, "bob@127.0.0.1"), before);
}

#[test]
fn a_call_that_two_have_taken_is_over_with_the_last() {
    let mut lamps = Lamps::new(|_| {});
    let (client, invite) = lamps.call("");
    for tag in ["b", "c"] {
        let mut msg = invite.make_response(200, None, Some(tag));
        msg.push_front(h::VIAS, "SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKown");
        lamps.bench.event(TuEvent::Response { transaction: client, msg: Box::new(msg) });
    }
    assert_eq!(lamps.told(), Lamps::both(State::Confirmed));
    // Alice hangs up on one of them, and one that is not in it says that he hangs up.
    for (tag, expected) in [("b", vec![]), ("x", vec![]), ("c", Lamps::both(State::Terminated))] {
        let lines = format!("From: <sip:alice@127.0.0.1>;tag=a\r\nTo: <sip:bob@127.0.0.1>;tag={tag}\r\n");
        let mut bye = request("BYE", "sip:bob@127.0.0.1:5090", &lines);
        bye.set(h::CALL_ID, "call1");
        lamps.bench.forwarded(bye);
        assert_eq!(lamps.told(), expected, "{tag}");
    }
}

#[test]
fn calls_do_not_take_the_room_of_telephones() {
    let mut lamps = Lamps::new(|config| config.events.publications_per_user = 2);
    for _ in 0..3 {
        let (client, invite) = lamps.call("");
        lamps.bench.respond(client, &invite, 180);
    }
    lamps.told();
    assert_eq!(lamps.bench.server.compositor().etags(Package::Dialog, "bob@127.0.0.1").len(), 2);
    let info = DialogInfo { version: 0, state: DocumentState::Full, entity: BOB.into(), dialogs: Vec::new() };
    let body = ("application/dialog-info+xml", info.print().to_vec());
    let publish = |bench: &mut Bench| codes(&bench.request(publication("dialog", None, 600, Some(body.clone()))))[0];
    assert_eq!([(); 3].map(|()| publish(&mut lamps.bench)), [200, 200, 403]);
}

#[test]
fn calls_are_told_only_where_they_are_to() {
    let mut lamps = Lamps::new(|config| config.events.dialogs_from_calls = false);
    let (client, invite) = lamps.call("");
    lamps.bench.respond(client, &invite, 180);
    lamps.bench.respond(client, &invite, 200);
    assert_eq!(lamps.told(), []);
    assert!(lamps.bench.server.compositor().is_empty());
}
