//! Subscriptions to who is registered (RFC 3680).

use super::*;
use stack::contents::event::reg_info::{Contact, Event, RegistrationState};
use stack::contents::event::{DocumentState, EventDocument, RegInfo};
use stack::header::p;

const BOB: &str = "sip:bob@127.0.0.1";

fn subscribe(call: &str, expires: u32) -> Message {
    let lines = format!("Event: reg\r\nContact: <sip:alice@127.0.0.1:7000>\r\nExpires: {expires}\r\n");
    let mut msg = request("SUBSCRIBE", BOB, &lines);
    msg.set(h::CALL_ID, call);
    msg
}

/// The one NOTIFY among what was sent, and what it says.
fn notify(outs: Vec<Out>) -> (ClientTransaction, Box<Message>, RegInfo) {
    let mut sent = sent(outs);
    assert_eq!(sent.len(), 1, "{sent:?}");
    let (client, msg) = sent.remove(0);
    assert_eq!(msg.header(h::EVENT).unwrap().value, "reg");
    let info = RegInfo::parse(msg.body()).unwrap();
    (client, msg, info)
}

/// Answers a NOTIFY with 200; what follows.
fn accept(bench: &mut Bench, (client, msg, _): (ClientTransaction, Box<Message>, RegInfo)) -> Vec<Out> {
    bench.respond(client, &msg, 200)
}

/// Lets time pass; the NOTIFY that is sent meanwhile is answered.
fn told(bench: &mut Bench, seconds: u64) -> RegInfo {
    let outs = bench.pass(seconds);
    let all = notify(outs);
    let info = all.2.clone();
    assert!(accept(bench, all).is_empty());
    info
}

fn register(bench: &mut Bench, cseq: u32, contact: &str, expires: u32) {
    let lines = format!("To: <{BOB}>\r\nContact: {contact}\r\nExpires: {expires}\r\n");
    let mut msg = request("REGISTER", "sip:127.0.0.1", &lines);
    msg.set(h::CSEQ, &format_args!("{cseq} REGISTER"));
    assert_eq!(bench.status(msg), 200);
}

fn contacts(info: &RegInfo) -> Vec<(&str, Event, bool)> {
    let all = info.registrations.iter().flat_map(|registration| &registration.contacts);
    all.map(|contact: &Contact| (contact.uri.as_str(), contact.event, contact.active)).collect()
}

fn shape(info: &RegInfo) -> (u32, DocumentState, RegistrationState) {
    (info.version, info.state, info.registrations[0].state)
}

/// Somebody watches bob, who is not registered yet.
fn watched() -> Bench {
    let mut bench = Bench::new();
    let outs = bench.request(subscribe("w", 3600));
    assert_eq!(codes(&outs), [200]);
    let first = notify(outs);
    assert_eq!(first.1.header(h::SUBSCRIPTION_STATE).unwrap().to_string(), "active;expires=3600");
    assert_eq!(shape(&first.2), (0, DocumentState::Full, RegistrationState::Init));
    assert!(contacts(&first.2).is_empty());
    assert!(accept(&mut bench, first).is_empty());
    bench.pass(10);
    bench
}

#[test]
fn what_becomes_of_a_contact_is_told() {
    use DocumentState::Partial;
    use RegistrationState::{Active, Terminated};
    const PHONE: &str = "sip:bob@127.0.0.1:5090";
    let mut bench = watched();
    register(&mut bench, 1, &format!("<{PHONE}>;q=0.5"), 600);
    let info = told(&mut bench, 0);
    assert_eq!((shape(&info), contacts(&info)), ((1, Partial, Active), vec![(PHONE, Event::Registered, true)]));
    let contact = info.registrations[0].contacts[0].clone();
    assert_eq!((contact.expires, contact.q.as_deref(), contact.cseq), (Some(600), Some("0.5"), Some(1)));
    bench.pass(10);
    register(&mut bench, 2, &format!("<{PHONE}>"), 60);
    let info = told(&mut bench, 0);
    assert_eq!((shape(&info), contacts(&info)), ((2, Partial, Active), vec![(PHONE, Event::Refreshed, true)]));
    assert_eq!(info.registrations[0].contacts[0].id, contact.id);
    let info = told(&mut bench, 61);
    assert_eq!((shape(&info), contacts(&info)), ((3, Partial, Terminated), vec![(PHONE, Event::Expired, false)]));
    register(&mut bench, 3, &format!("<{PHONE}>"), 600);
    assert_ne!(told(&mut bench, 5).registrations[0].contacts[0].id, contact.id);
    bench.pass(10);
    register(&mut bench, 4, "*", 0);
    let info = told(&mut bench, 0);
    assert_eq!((shape(&info), contacts(&info)), ((5, Partial, Terminated), vec![(PHONE, Event::Unregistered, false)]));
    assert!(sent(bench.pass(1000)).is_empty());
}

#[test]
fn what_changes_meanwhile_is_told_at_once_afterwards() {
    let mut bench = watched();
    register(&mut bench, 1, "<sip:one@127.0.0.1:5091>", 600);
    let first = notify(bench.pass(0));
    // While that is under way; and then for five seconds.
    register(&mut bench, 2, "<sip:two@127.0.0.1:5092>", 600);
    register(&mut bench, 3, "<sip:two@127.0.0.1:5092>", 700);
    assert!(sent(bench.pass(20)).is_empty());
    let second = notify(accept(&mut bench, first));
    assert_eq!(contacts(&second.2), [("sip:two@127.0.0.1:5092", Event::Refreshed, true)]);
    register(&mut bench, 4, "<sip:one@127.0.0.1:5091>", 0);
    assert!(accept(&mut bench, second).is_empty() && sent(bench.pass(4)).is_empty());
    let third = notify(bench.pass(1));
    assert_eq!(
        (third.2.version, contacts(&third.2)),
        (3, vec![("sip:one@127.0.0.1:5091", Event::Unregistered, false)])
    );
}

#[test]
fn what_does_not_fit_goes_into_further_notifies() {
    let mut config = Config::default();
    config.events.max_body = 600;
    let mut bench = Bench::with("127.0.0.1:5060", config);
    let uris: Vec<String> = (0..6).map(|n| format!("sip:bob@127.0.0.1:{}", 5090 + n)).collect();
    register(&mut bench, 1, &uris.iter().map(|uri| format!("<{uri}>")).collect::<Vec<_>>().join(","), 600);
    let mut outs = bench.request(subscribe("w", 600));
    let (mut seen, mut states) = (Vec::new(), Vec::new());
    while outs.iter().any(|out| matches!(out, Out::Sent(..))) {
        let next = notify(outs);
        assert!(next.1.body().len() <= 600, "{}", next.1.body().len());
        seen.extend(contacts(&next.2).iter().map(|(uri, ..)| (*uri).to_owned()));
        states.push((next.2.version, next.2.state));
        outs = accept(&mut bench, next);
    }
    assert_eq!(seen, uris);
    assert!(states.len() > 2 && states[0] == (0, DocumentState::Full), "{states:?}");
    assert!((1..).zip(&states[1..]).all(|(n, state)| *state == (n, DocumentState::Partial)), "{states:?}");
    // Who asks once is told all at once.
    let once = notify(bench.request(subscribe("once", 0)));
    assert_eq!(contacts(&once.2).len(), 6);
    assert!(once.1.header(h::SUBSCRIPTION_STATE).unwrap().is("terminated"));
    assert_eq!(bench.proxy.events.counts().subscriptions, 1);
}

#[test]
fn a_refresh_brings_everything_and_an_end_the_last_notify() {
    let mut bench = watched();
    register(&mut bench, 1, "<sip:bob@127.0.0.1:5090>", 600);
    let first = notify(bench.pass(0));
    let from = first.1.header(h::FROM).unwrap().to_string();
    let contact = first.1.header(h::CONTACTS).next().unwrap().unwrap().to_string();
    let again = |cseq: u32, expires: u32| {
        let mut msg = subscribe("w", expires);
        msg.set_request_uri(contact.trim_matches(['<', '>']));
        msg.set(h::TO, &from);
        msg.set(h::CSEQ, &format_args!("{cseq} SUBSCRIBE"));
        msg
    };
    // While a NOTIFY is under way.
    let outs = bench.request(again(2, 700));
    assert_eq!((codes(&outs), sent(outs).len()), (vec![200], 0));
    let second = notify(accept(&mut bench, first));
    assert_eq!((shape(&second.2).0, shape(&second.2).1), (2, DocumentState::Full));
    assert_eq!(contacts(&second.2).len(), 1);
    assert!(accept(&mut bench, second).is_empty());
    let outs = bench.request(again(3, 0));
    assert_eq!(codes(&outs), [200]);
    let last = notify(outs);
    assert_eq!(last.1.header(h::SUBSCRIPTION_STATE).unwrap().param(p::REASON).as_deref(), Some("timeout"));
    assert!(accept(&mut bench, last).is_empty());
    assert_eq!(bench.proxy.events.counts(), Default::default());
    // Nobody watches any more: nothing is noted.
    register(&mut bench, 9, "<sip:bob@127.0.0.1:5090>", 600);
    assert!(!bench.server.location().watch().is_ready(0) && bench.proxy.events.is_idle());
    assert_eq!(bench.status(again(4, 600)), 481);
}

#[test]
fn other_packages_and_other_methods_go_to_the_devices() {
    let mut bench = watched();
    register(&mut bench, 1, "<sip:bob@127.0.0.1:5090>", 600);
    bench.pass(0);
    for (method, event) in [("SUBSCRIBE", "presence"), ("SUBSCRIBE", "reg.winfo"), ("NOTIFY", "reg")] {
        let mut msg = request(method, BOB, &format!("Event: {event}\r\nContact: <sip:a@127.0.0.1:7000>\r\n"));
        msg.set(h::CALL_ID, event);
        let (_, forwarded, _) = bench.forwarded(msg);
        assert_eq!(uri(&forwarded), "sip:bob@127.0.0.1:5090");
    }
}

#[test]
fn a_user_is_watched_by_himself_and_by_trusted_peers() {
    let config = Config {
        domains: vec!["example.com".parse().unwrap()],
        trusted_peers: vec!["10.0.0.0/8".parse().unwrap()],
        ..Config::default()
    };
    let mut bench = Bench::with("192.0.2.1:5060", config);
    bench.peer = "10.0.0.1:5060";
    for (user, contact) in [("bob", "sip:bob@192.0.2.50"), ("alice", "sip:alice@192.0.2.51")] {
        let lines = format!("To: <sip:{user}@example.com>\r\nContact: <{contact}>\r\n");
        assert_eq!(bench.status(request("REGISTER", "sip:example.com", &lines)), 200);
    }
    for (number, (peer, from, expected)) in [
        ("192.0.2.77:5060", "bob@example.com", 403),
        ("192.0.2.51:5060", "alice@example.com", 403),
        // Alice in bob's name; bob's telephone in her name.
        ("192.0.2.51:5060", "bob@example.com", 403),
        ("192.0.2.50:5060", "alice@example.com", 403),
        ("192.0.2.50:5060", "bob@example.net", 403),
        ("192.0.2.50:5060", "bob@example.com", 200),
        ("10.0.0.9:5060", "operator@example.net", 200),
    ]
    .into_iter()
    .enumerate()
    {
        bench.peer = peer;
        let lines = format!("From: <sip:{from}>;tag=1\r\nEvent: reg\r\nContact: <sip:x@{peer}>\r\n");
        let mut msg = request("SUBSCRIBE", "sip:bob@example.com", &lines);
        msg.set(h::CALL_ID, &*format!("{number}"));
        assert_eq!(codes(&bench.request(msg)), [expected], "{peer} {from}");
    }
}

#[test]
fn a_shard_hears_of_what_another_one_changes() {
    let mut bench = watched();
    let mut other = Bench::new();
    other.proxy = Proxy::new(bench.server.clone(), 1, &mut Rng::from_seed(4));
    other.harness.now = bench.harness.now;
    register(&mut other, 1, "<sip:bob@127.0.0.1:5090>", 600);
    assert!(sent(other.pass(0)).is_empty());
    assert_eq!(contacts(&told(&mut bench, 0)), [("sip:bob@127.0.0.1:5090", Event::Registered, true)]);
}

#[test]
fn watchers_are_limited() {
    let mut config = Config::default();
    config.limits.subscriptions = 65;
    let mut bench = Bench::with("127.0.0.1:5060", config);
    let status = |bench: &mut Bench, call: usize, uri: &str| {
        let mut msg = subscribe(&call.to_string(), 600);
        msg.set_request_uri(uri);
        codes(&bench.request(msg))
    };
    assert!((0..64).all(|call| status(&mut bench, call, BOB) == [200]));
    assert_eq!(status(&mut bench, 64, BOB), [403], "of one user");
    assert_eq!(status(&mut bench, 65, "sip:carol@127.0.0.1"), [200]);
    assert_eq!(status(&mut bench, 66, "sip:dave@127.0.0.1"), [503], "of all");
    assert_eq!(bench.proxy.events.counts().subscriptions, 65);
}

#[test]
fn devices_are_told_with_their_names() {
    let mut bench = watched();
    register(&mut bench, 7, "<sip:bob@127.0.0.1:5090>;+sip.instance=\"<urn:uuid:1>\";audio", 600);
    let info = told(&mut bench, 0);
    let contact = &info.registrations[0].contacts[0];
    let of = |name: &str| contact.extensions.iter().filter(|one| one.name == name).cloned().collect::<Vec<_>>();
    let public = &of("pub-gruu")[0];
    assert_eq!(public.attribute("uri"), Some("sip:bob@127.0.0.1;gr=urn:uuid:1"));
    assert_eq!(public.namespace, "urn:ietf:params:xml:ns:gruuinfo");
    let temporary = of("temp-gruu")[0].clone();
    assert_eq!(temporary.attribute("first-cseq"), Some("7"));
    let params: Vec<_> =
        of("unknown-param").iter().map(|one| (one.attribute("name").unwrap().to_owned(), one.text.clone())).collect();
    assert_eq!(params, [("+sip.instance".into(), "\"<urn:uuid:1>\"".into()), ("audio".into(), String::new())]);
    // Both lead there.
    for name in [public.attribute("uri").unwrap(), temporary.attribute("uri").unwrap()] {
        let (_, msg, _) = bench.forwarded(request("MESSAGE", name, ""));
        assert_eq!(uri(&msg), "sip:bob@127.0.0.1:5090");
    }
}
