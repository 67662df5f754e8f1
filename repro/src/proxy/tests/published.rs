//! Presence, messages that wait and dialogs: what is published, and who is told (RFC 3903, RFC 3856, RFC 3842, RFC 4235).

use super::*;
use crate::events::Package;
use stack::contents::event::dialog_info::{DialogElement, State};
use stack::contents::event::pidf::{Basic, Note, Tuple};
use stack::contents::event::{DialogInfo, DocumentState, EventDocument, MessageSummary, Pidf};
use stack::header::p;

pub(super) const BOB: &str = "sip:bob@127.0.0.1";

pub(super) fn config() -> Config {
    let mut config = Config::default();
    config.events.packages = Package::ALL.to_vec();
    config
}

fn bench() -> Bench {
    Bench::with("127.0.0.1:5060", config())
}

pub(super) fn subscribe(call: &str, event: &str, lines: &str) -> Message {
    let lines = format!("Event: {event}\r\nContact: <sip:alice@127.0.0.1:7000>\r\n{lines}");
    let mut msg = request("SUBSCRIBE", BOB, &lines);
    msg.set(h::CALL_ID, call);
    msg
}

/// Takes the NOTIFYs of a turn, answers each with 200, and gives what they say, until no more come at once.
pub(super) fn told<D: EventDocument>(bench: &mut Bench, outs: Vec<Out>) -> Vec<D> {
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
pub(super) fn one<D: EventDocument + std::fmt::Debug>(bench: &mut Bench, outs: Vec<Out>) -> D {
    let mut all = told(bench, outs);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// Names and states of what a document says.
fn tuples(pidf: &Pidf) -> Vec<(&str, Basic)> {
    assert_eq!(pidf.entity, BOB);
    pidf.tuples.iter().map(|tuple| (tuple.id.as_str(), tuple.basic.unwrap())).collect()
}

pub(super) fn pidf(tuples: &[(&str, Basic)]) -> Vec<u8> {
    let tuples = tuples.iter().map(|(id, basic)| Tuple::new(*id, *basic)).collect();
    Pidf { entity: "pres:whoever@example.net".into(), tuples, ..Pidf::default() }.print().to_vec()
}

/// A PUBLISH for bob.
pub(super) fn publication(event: &str, etag: Option<&str>, expires: u32, body: Option<(&str, Vec<u8>)>) -> Message {
    let etag = etag.map_or(String::new(), |etag| format!("SIP-If-Match: {etag}\r\n"));
    let mut msg = request("PUBLISH", BOB, &format!("Event: {event}\r\nExpires: {expires}\r\n{etag}"));
    if let Some((media, body)) = body {
        msg.set_body(Some(media), body);
    }
    msg
}

pub(super) fn presence(etag: Option<&str>, expires: u32, states: &[(&str, Basic)]) -> Message {
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
