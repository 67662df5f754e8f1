//! Calls to groups.

use super::provisioned::post;
use super::*;
use serde_json::{Value, json};

const GROUP: &str = "sip:sales@127.0.0.1";

/// A proxy with a group of bob, on the phone of port 9001, carol on 9002, eve who is not registered, and a place elsewhere.
fn bench(fields: Value) -> Bench {
    let mut bench = Bench::new();
    let members = ["sip:bob@127.0.0.1", "sip:eve@127.0.0.1", "sip:carol@127.0.0.1", "sip:x@127.0.0.1:9009"];
    let mut group = json!({"aor": "sales@127.0.0.1", "members": members, "step_seconds": 10});
    group.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let bob = json!({"aor": "bob@127.0.0.1", "voicemail": "sip:vm@127.0.0.1:5090"});
    let eve = json!({"aor": "eve@127.0.0.1", "forward_not_registered": "sip:vm@127.0.0.1:5090"});
    post(&mut bench, &[("group", group), ("user", bob), ("user", eve)]);
    bench.register_as("bob", "sip:bob@127.0.0.1:9001");
    bench.register_as("carol", "sip:carol@127.0.0.1:9002");
    bench
}

fn call(bench: &mut Bench) -> Vec<(ClientTransaction, Box<Message>)> {
    sent(bench.request(request("INVITE", GROUP, "")))
}

fn ports(branches: &[(ClientTransaction, Box<Message>)]) -> Vec<u16> {
    branches.iter().map(|(_, msg)| uri(msg).rsplit(':').next().unwrap().parse().unwrap()).collect()
}

fn diversion(msg: &Message) -> Option<String> {
    msg.raw_values("Diversion").next().map(|value| String::from_utf8(value.to_vec()).unwrap())
}

#[test]
fn members_ring_one_after_the_other() {
    let mut bench = bench(json!({"fallback": "sip:desk@127.0.0.1:9005"}));
    let branches = call(&mut bench);
    assert_eq!((ports(&branches), diversion(&branches[0].1)), (vec![9001], None));
    let (bob, msg) = &branches[0];
    bench.respond(*bob, msg, 180);
    assert!(bench.pass(9).is_empty());
    let outs = bench.pass(2);
    assert_eq!(cancels(&outs), [*bob]);
    let branches = sent(outs);
    assert_eq!(ports(&branches), [9002]);
    bench.respond(*bob, msg, 487);
    // Who is busy is left at once; his voicemail does not take the group's calls.
    let branches = sent(bench.respond(branches[0].0, &branches[0].1, 486));
    assert_eq!(ports(&branches), [9009]);
    let outs = bench.pass(11);
    assert_eq!(cancels(&outs), [branches[0].0]);
    let branches = sent(outs);
    assert_eq!(ports(&branches), [9005]);
    let written = diversion(&branches[0].1);
    assert_eq!(written.as_deref(), Some("<sip:sales@127.0.0.1>;reason=no-answer;counter=1"));
    assert_eq!(codes(&bench.respond(branches[0].0, &branches[0].1, 200)), [200]);
}

#[test]
fn members_ring_at_once() {
    let mut bench = bench(json!({"mode": "parallel", "fallback": "sip:desk@127.0.0.1:9005"}));
    let branches = call(&mut bench);
    assert_eq!(ports(&branches), [9001, 9002, 9009]);
    let outs = bench.respond(branches[1].0, &branches[1].1, 200);
    assert_eq!((codes(&outs), cancels(&outs)), (vec![200], vec![branches[0].0, branches[2].0]));
    let branches = call(&mut bench);
    for (client, msg) in &branches[..2] {
        assert!(bench.respond(*client, msg, 486).is_empty());
    }
    let fallback = sent(bench.respond(branches[2].0, &branches[2].1, 486));
    assert_eq!(ports(&fallback), [9005]);
    assert!(diversion(&fallback[0].1).unwrap().contains("user-busy"));
    let branches = call(&mut bench);
    let outs = bench.pass(11);
    assert_eq!(cancels(&outs).len(), branches.len());
    assert_eq!(ports(&sent(outs)), [9005]);
}

#[test]
fn a_member_who_declines_for_all_ends_the_call() {
    let mut bench = bench(json!({"fallback": "sip:desk@127.0.0.1:9005"}));
    let branches = call(&mut bench);
    assert_eq!(codes(&bench.respond(branches[0].0, &branches[0].1, 603)), [603]);
    bench.assert_forgotten();
}

#[test]
fn a_group_without_members_falls_back() {
    let nobody = json!({"members": ["sip:eve@127.0.0.1"], "fallback": "sip:desk@127.0.0.1:9005"});
    let mut with = bench(nobody);
    let branches = call(&mut with);
    assert_eq!(ports(&branches), [9005]);
    assert!(diversion(&branches[0].1).unwrap().contains("unavailable"));
    let mut without = bench(json!({"members": ["sip:eve@127.0.0.1"]}));
    assert_eq!(without.status(request("INVITE", GROUP, "")), 480);
}

#[test]
fn without_a_fallback_the_caller_is_told() {
    let mut bench = bench(json!({"members": ["sip:bob@127.0.0.1"]}));
    let (bob, msg) = call(&mut bench).remove(0);
    bench.respond(bob, &msg, 180);
    let outs = bench.pass(11);
    assert_eq!((codes(&outs), cancels(&outs)), (vec![408], vec![bob]));
    bench.respond(bob, &msg, 487);
    bench.assert_forgotten();
}

#[test]
fn a_user_may_forward_to_a_group() {
    let mut bench = bench(json!({"members": ["sip:bob@127.0.0.1", "sip:carol@127.0.0.1"]}));
    let group = json!({"aor": "sales@127.0.0.1", "members": ["sip:bob@127.0.0.1"]});
    post(&mut bench, &[("group", group), ("user", json!({"aor": "a@127.0.0.1", "forward_always": GROUP}))]);
    let branches = sent(bench.request(request("INVITE", "sip:a@127.0.0.1", "")));
    assert_eq!(ports(&branches), [9001]);
    assert_eq!(diversion(&branches[0].1).as_deref(), Some("<sip:a@127.0.0.1>;reason=unconditional;counter=1"));
}

#[test]
fn a_group_takes_calls_only() {
    let mut bench = bench(json!({}));
    let outs = bench.request(request("MESSAGE", GROUP, ""));
    let [Out::Answer(_, 405, Some(refused))] = outs.as_slice() else { panic!("{outs:?}") };
    assert!(text(refused).contains("Allow: INVITE, ACK, CANCEL\r\n"));
}
