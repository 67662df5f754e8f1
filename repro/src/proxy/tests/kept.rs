//! With a store, the answer to a REGISTER waits until its binding is kept.

use super::*;
use crate::location::Notation;
use crate::provisioning::Records;
use crate::store::{MOST_UNSAVED, Saved, Service};
use rutil::VirtualClock;

/// A proxy whose store does nothing of its own accord.
fn bench() -> (Bench, Service) {
    let bench = Bench::new();
    let notation = Notation { epoch: Duration::ZERO, listen: Vec::new(), shards: 1 };
    let clock = VirtualClock::new();
    let service = Service::new(None, None, Records::default(), notation, clock, &mut Rng::from_seed(4)).unwrap();
    bench.server.set_journal(service.journal());
    (bench, service)
}

fn register(bench: &mut Bench, cseq: u32, lines: &str) -> Vec<Out> {
    let lines = format!("{lines}CSeq: {cseq} REGISTER\r\n");
    let text = text(&request("REGISTER", "sip:127.0.0.1", "To: <sip:bob@127.0.0.1>\r\n"));
    let text = text.replace("CSeq: 1 REGISTER\r\n", &lines);
    bench.request(Message::parse(text.as_bytes()).unwrap())
}

fn saved(bench: &mut Bench, up_to: u64, kept: bool) -> Vec<u16> {
    let outs = bench.event(TuEvent::Posted(Box::new(Saved { up_to, kept })));
    let codes = outs.iter().map(|out| match out {
        Out::Answer(_, code, _) => *code,
        other => panic!("{other:?}"),
    });
    codes.collect()
}

const CONTACT: &str = "Contact: <sip:bob@192.0.2.8>\r\n";

#[test]
fn the_answer_waits_for_the_store() {
    let (mut bench, _service) = bench();
    for cseq in 1..=3 {
        assert!(register(&mut bench, cseq, CONTACT).is_empty());
    }
    assert!(!bench.proxy.drained());
    assert_eq!(saved(&mut bench, 2, true), [200, 200]);
    assert!(saved(&mut bench, 2, true).is_empty());
    assert_eq!(saved(&mut bench, 3, false), [503]);
    assert!(bench.proxy.drained());
}

#[test]
fn who_only_asks_or_is_refused_waits_for_nothing() {
    let (mut bench, _service) = bench();
    for (lines, code) in [("", 200), ("Contact: *\r\n", 400), ("Contact: <sip:bob@192.0.2.8>;expires=1\r\n", 423)] {
        let outs = register(&mut bench, 1, lines);
        assert!(matches!(outs.as_slice(), [Out::Answer(_, told, Some(_))] if *told == code), "{outs:?}");
    }
    assert!(bench.proxy.drained());
}

#[test]
fn when_too_many_wait_the_next_is_refused_and_changes_nothing() {
    let (mut bench, service) = bench();
    assert!(register(&mut bench, 5, CONTACT).is_empty());
    assert_eq!(saved(&mut bench, 1, true), [200]);
    // The place of the one that is refused for another reason is given back.
    let outs = register(&mut bench, 4, CONTACT);
    assert!(matches!(outs.as_slice(), [Out::Answer(_, 500, _)]), "{outs:?}");
    (0..MOST_UNSAVED).for_each(|_| service.journal().reserve().unwrap());
    let other = "Contact: <sip:bob@192.0.2.9>\r\n";
    let outs = register(&mut bench, 6, other);
    let [Out::Answer(_, 503, Some(response))] = outs.as_slice() else { panic!("{outs:?}") };
    assert!(text(response).contains("Retry-After: 5\r\n"));
    assert_eq!(bench.server.location().bindings("bob@127.0.0.1", Time::ZERO).len(), 1);
    service.journal().release(1);
    assert!(register(&mut bench, 6, other).is_empty());
    assert_eq!(saved(&mut bench, 2, true), [200]);
    assert!(register(&mut bench, 7, CONTACT).is_empty(), "its place is free again");
}

/// A message that waits for who is not there is accepted when it is kept, as a registration is.
#[test]
fn a_message_is_accepted_when_it_is_kept() {
    let config = Config::parse("[silo]\n", "x").unwrap();
    let mut bench = Bench::with("127.0.0.1:5060", config);
    let notation = Notation { epoch: Duration::ZERO, listen: Vec::new(), shards: 1 };
    let clock = VirtualClock::new();
    let service = Service::new(None, None, Records::default(), notation, clock, &mut Rng::from_seed(4)).unwrap();
    bench.server.set_journal(service.journal());
    register(&mut bench, 1, CONTACT);
    register(&mut bench, 2, "Contact: <sip:bob@192.0.2.8>;expires=0\r\n");
    assert_eq!(saved(&mut bench, 2, true), [200, 200]);
    let message = || request("MESSAGE", "sip:bob@127.0.0.1", "");
    assert!(bench.request(message()).is_empty() && bench.request(message()).is_empty());
    assert!(!bench.proxy.drained());
    assert_eq!(saved(&mut bench, 3, true), [202]);
    assert_eq!(saved(&mut bench, 4, false), [503]);
    assert!(bench.proxy.drained());
    // One that has no room gives its place back, and one that finds none is told when to come again.
    assert_eq!(bench.status(request("MESSAGE", "sip:eve@127.0.0.1", "")), 404);
    (0..MOST_UNSAVED).for_each(|_| service.journal().reserve().unwrap());
    let outs = bench.request(message());
    let [Out::Answer(_, 503, Some(response))] = outs.as_slice() else { panic!("{outs:?}") };
    assert!(text(response).contains("Retry-After: 5\r\n"));
    assert_eq!(bench.server.silo().unwrap().len(), 2);
    // What was delivered is told to the store.
    service.journal().release(MOST_UNSAVED);
    service.noted();
    register(&mut bench, 3, CONTACT);
    let (client, msg) = sent(bench.pass(0)).remove(0);
    bench.respond(client, &msg, 200);
    assert_eq!(service.noted(), ["bob@127.0.0.1".into()]);
}
