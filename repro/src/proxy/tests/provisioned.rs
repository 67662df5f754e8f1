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
}
