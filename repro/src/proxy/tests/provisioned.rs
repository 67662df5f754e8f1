//! What is provisioned counts from the moment at which it is posted.

use super::*;
use crate::provisioning::{Place, Provisioning, Records};
use serde_json::json;

pub(super) fn post(bench: &mut Bench, lines: &[(&str, serde_json::Value)]) {
    let mut records = Records::default();
    for (kind, body) in lines {
        records.add(kind, body.clone(), Place::Store).unwrap();
    }
    let provisioning = Provisioning::compile(&records, &mut Rng::from_seed(3)).unwrap();
    assert!(bench.event(TuEvent::Posted(Box::new(Arc::new(provisioning)))).is_empty());
}

fn targets(outs: &[Out]) -> Vec<String> {
    let sent = outs.iter().filter_map(|out| match out {
        Out::Sent(_, msg, _) => Some(msg.request_uri().unwrap().to_string()),
        _ => None,
    });
    sent.collect()
}

#[test]
fn a_domain_is_ours_when_it_is_provisioned() {
    let mut bench = Bench::new();
    let call = || request("OPTIONS", "sip:bob@Example.com", "");
    assert_eq!(targets(&bench.request(call())), ["sip:bob@Example.com"]);
    post(&mut bench, &[("domain", json!({"name": "example.com"}))]);
    let outs = bench.request(call());
    assert!(matches!(outs.as_slice(), [Out::Answer(_, 404, _)]), "{outs:?}");
    post(&mut bench, &[]);
    assert_eq!(targets(&bench.request(call())), ["sip:bob@Example.com"]);
}

#[test]
fn provisioned_contacts_stand_beside_registered_ones() {
    let mut bench = Bench::new();
    let gateway = json!({"aor": "bob@example.com", "contact": "sip:49301@192.0.2.7", "q": 0.5});
    post(&mut bench, &[("domain", json!({"name": "example.com"})), ("static_registration", gateway)]);
    let call = || request("OPTIONS", "sip:bob@example.com", "");
    assert_eq!(targets(&bench.request(call())), ["sip:49301@192.0.2.7"]);
    let register = "Contact: <sip:bob@192.0.2.8>\r\n";
    let outs = bench.request(request("REGISTER", "sip:example.com", register));
    assert!(matches!(outs.as_slice(), [Out::Answer(_, 200, _)]), "{outs:?}");
    assert_eq!(targets(&bench.request(call())), ["sip:bob@192.0.2.8"], "the more preferred first");
    // It neither goes with the others nor is called twice.
    let mut all = request("REGISTER", "sip:example.com", "Contact: *\r\nExpires: 0\r\n");
    all.set(h::CSEQ, "2 REGISTER");
    assert_eq!(bench.status(all), 200);
    assert_eq!(targets(&bench.request(call())), ["sip:49301@192.0.2.7"]);
    let mut same = request("REGISTER", "sip:example.com", "Contact: <sip:49301@192.0.2.7>;q=0.5\r\n");
    same.set(h::CSEQ, "3 REGISTER");
    assert_eq!(bench.status(same), 200);
    assert_eq!(targets(&bench.request(call())), ["sip:49301@192.0.2.7"]);
}

#[test]
fn a_device_that_is_provisioned_is_a_users_device() {
    let config = Config { trusted_peers: vec!["10.0.0.1".parse().unwrap()], ..Config::default() };
    let config = Config { domains: vec!["example.com".parse().unwrap()], ..config };
    let mut bench = Bench::with("192.0.2.1:5060", config);
    let relayed = |bench: &mut Bench, from: &'static str| {
        bench.peer = from;
        targets(&bench.request(request("MESSAGE", "sip:x@192.0.2.99", "")))
    };
    assert!(relayed(&mut bench, "192.0.2.7:5060").is_empty());
    post(&mut bench, &[("static_registration", json!({"aor": "bob@example.com", "contact": "sip:49301@192.0.2.7"}))]);
    assert_eq!(relayed(&mut bench, "192.0.2.7:5060"), ["sip:x@192.0.2.99"]);
    assert!(relayed(&mut bench, "192.0.2.8:5060").is_empty());
    // A stranger's request within a dialog reaches it.
    bench.peer = "198.51.100.1:5060";
    let lines = "To: <sip:bob@example.com>;tag=1\r\nRoute: <sip:192.0.2.1;lr>\r\n";
    assert_eq!(targets(&bench.request(request("BYE", "sip:49301@192.0.2.7", lines))), ["sip:49301@192.0.2.7"]);
}

#[test]
fn who_watches_is_told_of_what_is_provisioned() {
    use stack::contents::event::{EventDocument, RegInfo, reg_info::Event};
    let mut bench = Bench::new();
    let domain = ("domain", json!({"name": "example.com"}));
    let gateway = ("static_registration", json!({"aor": "bob@example.com", "contact": "sip:49301@192.0.2.7"}));
    post(&mut bench, &[domain.clone(), gateway]);
    let lines = "Event: reg\r\nContact: <sip:alice@127.0.0.1:7000>\r\n";
    let mut outs = bench.request(request("SUBSCRIBE", "sip:bob@example.com", lines));
    let told = |outs: Vec<Out>| {
        let (client, msg) = sent(outs).remove(0);
        let info = RegInfo::parse(msg.body()).unwrap();
        let contacts = info.registrations[0].contacts.iter();
        (client, msg, contacts.map(|one| (one.uri.clone(), one.event)).collect::<Vec<_>>())
    };
    outs.retain(|out| matches!(out, Out::Sent(..)));
    let (client, msg, contacts) = told(outs);
    assert_eq!(contacts, [("sip:49301@192.0.2.7".to_owned(), Event::Created)]);
    assert!(bench.respond(client, &msg, 200).is_empty());
    bench.pass(5);
    let mut records = Records::default();
    records.add(domain.0, domain.1, Place::Store).unwrap();
    let provisioning = Arc::new(Provisioning::compile(&records, &mut Rng::from_seed(3)).unwrap());
    assert_eq!(told(bench.event(TuEvent::Posted(Box::new(provisioning)))).2, []);
}
