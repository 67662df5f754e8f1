//! A call by one proxy, and the services of RFC 5359 that a proxy, or a feature of a user agent, does.

use crate::world::{ALICE, BOB, CAROL, World, address, at_proxy, sdp};
use dum::feature::{DumFeature, FeatureContext, Verdict};
use dum::invite::Session;
use serde_json::{Value, json};
use stack::header::h;
use stack::message::Message;

/// Bob and Carol are users of the proxy, Bob with these forwards.
fn world(forwards: Value) -> World {
    let mut world = World::new();
    world.add_proxy(|_| {});
    let mut bob = json!({"aor": "bob@example.com"});
    bob.as_object_mut().unwrap().extend(forwards.as_object().unwrap().clone());
    world.provision(&[
        ("domain", json!({"name": "example.com"})),
        ("user", bob),
        ("user", json!({"aor": "carol@example.com"})),
    ]);
    world.register(BOB, &at_proxy("bob"), 1.0, 1);
    world.register(CAROL, &at_proxy("carol"), 1.0, 1);
    world.flow();
    world
}

fn call(world: &mut World) {
    world.act(ALICE, |alice, dum| {
        let profile = alice.by_proxy.clone();
        let invite = dum.make_invite(&profile, &at_proxy("bob"), Some(&sdp(1000)));
        alice.calls.push(dum.send_invite(&profile, invite).unwrap().session());
    });
    world.run(100);
}

/// From ringing to the end: the proxy is in the way of all of it.
fn answered(world: &mut World, node: usize) -> Vec<String> {
    world.answer(node, 2000);
    world.run(100);
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.run(100);
    let name = if node == BOB { "b" } else { "c" };
    let there = |what: &str| vec![format!("a-p {what}"), format!("p-{name} {what}")];
    let back = |what: &str| vec![format!("{name}-p {what}"), format!("p-a {what}")];
    [back("180 INVITE"), back("200+ INVITE"), there("ACK"), there("BYE"), back("200 BYE")].concat()
}

/// Without the order of what is sent at one moment.
fn sorted(mut flow: Vec<String>) -> Vec<String> {
    flow.sort();
    flow
}

fn strings(flow: &[&str]) -> Vec<String> {
    flow.iter().map(|shown| (*shown).to_owned()).collect()
}

#[test]
fn a_call_by_a_proxy() {
    let mut world = world(json!({}));
    call(&mut world);
    let rest = answered(&mut world, BOB);
    assert_eq!(sorted(world.flow()), sorted([strings(&["a-p INVITE+", "p-b INVITE+"]), rest].concat()));
    assert_eq!(world.heard(ALICE), ["provisional 180", "connected", "answer 2000", "terminated LocalBye"]);
    world.ends_clean();
}

#[test]
fn rfc_5359_2_7_call_forwarding_unconditional() {
    let mut world = world(json!({"forward_always": "sip:carol@example.com"}));
    call(&mut world);
    let rest = answered(&mut world, CAROL);
    let flow = world.flow().into_iter().filter(|shown| shown != "p-a 181 INVITE").collect();
    assert_eq!(sorted(flow), sorted([strings(&["a-p INVITE+", "p-c INVITE+"]), rest].concat()));
    assert!(world.heard(BOB).is_empty());
    world.ends_clean();
}

#[test]
fn rfc_5359_2_8_call_forwarding_busy() {
    let mut world = world(json!({"forward_busy": "sip:carol@example.com"}));
    call(&mut world);
    world.act(BOB, |bob, dum| bob.incoming().reject(dum, 486, |_| {})).unwrap();
    world.run(100);
    let rest = answered(&mut world, CAROL);
    let begin = ["a-p INVITE+", "p-b INVITE+", "b-p 486 INVITE", "p-b ACK", "p-c INVITE+"];
    let flow = world.flow().into_iter().filter(|shown| shown != "p-a 181 INVITE").collect();
    assert_eq!(sorted(flow), sorted([strings(&begin), rest].concat()));
    world.ends_clean();
}

#[test]
fn rfc_5359_2_9_call_forwarding_no_answer() {
    let mut world = world(json!({"forward_no_answer": "sip:carol@example.com", "no_answer_seconds": 10}));
    call(&mut world);
    world.act(BOB, |bob, dum| bob.incoming().provisional(dum, 180)).unwrap();
    world.run(9_000);
    assert_eq!(world.heard(CAROL), [""; 0]);
    world.run(1_500);
    assert_eq!(world.heard(BOB).last().map(String::as_str), Some("terminated RemoteCancel"));
    let rest = answered(&mut world, CAROL);
    let rings = ["a-p INVITE+", "p-b INVITE+", "b-p 180 INVITE", "p-a 180 INVITE"];
    let gives_up = ["p-b CANCEL", "b-p 200 CANCEL", "b-p 487 INVITE", "p-b ACK", "p-c INVITE+"];
    let flow = world.flow().into_iter().filter(|shown| shown != "p-a 181 INVITE").collect();
    assert_eq!(sorted(flow), sorted([strings(&rings), strings(&gives_up), rest].concat()));
    world.ends_clean();
}

#[test]
fn rfc_5359_2_12_find_me() {
    let mut world = world(json!({}));
    // At his desk first, then where Carol is.
    world.register(CAROL, &at_proxy("bob"), 0.5, 2);
    world.flow();
    call(&mut world);
    world.act(BOB, |bob, dum| bob.incoming().reject(dum, 480, |_| {})).unwrap();
    world.run(100);
    let rest = answered(&mut world, CAROL);
    let begin = ["a-p INVITE+", "p-b INVITE+", "b-p 480 INVITE", "p-b ACK", "p-c INVITE+"];
    assert_eq!(sorted(world.flow()), sorted([strings(&begin), rest].concat()));
    world.ends_clean();
}

/// Who is on the list is not talked with, whoever calls.
struct Screening(&'static str);

impl Screening {
    fn judge(&self, party: &str, request: &Message, context: &mut FeatureContext<'_, '_>) -> Verdict {
        match party == self.0 {
            true => Verdict::Answer(context.make_response(request, 403).into()),
            false => Verdict::Pass,
        }
    }
}

impl DumFeature for Screening {
    fn name(&self) -> &'static str {
        "screening"
    }
    fn incoming_request(&mut self, request: &mut Message, context: &mut FeatureContext<'_, '_>) -> Verdict {
        let from = request.header(h::FROM).unwrap().uri.to_string();
        self.judge(&from, request, context)
    }
    fn outgoing_request(&mut self, request: &mut Message, context: &mut FeatureContext<'_, '_>) -> Verdict {
        let to = request.header(h::TO).unwrap().uri.to_string();
        self.judge(&to, request, context)
    }
}

#[test]
fn rfc_5359_2_13_and_2_14_calls_are_screened() {
    let mut world = World::new();
    let alice: &'static str = "sip:alice@192.0.2.1:5060";
    assert_eq!(address(ALICE).to_string(), "192.0.2.1:5060");
    world.act(BOB, move |_, dum| dum.add_feature(Screening(alice)));
    // Incoming: she is refused, Carol is not.
    world.call(ALICE, BOB, Some(1000));
    world.run(50);
    world.call(CAROL, BOB, Some(3000));
    world.run(50);
    let expected = ["a-b INVITE+", "b-a 403 INVITE", "a-b ACK", "c-b INVITE+"];
    assert_eq!(world.flow(), expected);
    assert_eq!(
        (world.heard(ALICE), world.heard(BOB)),
        (strings(&["terminated Refused"]), strings(&["new", "offer 3000"]))
    );
    // Outgoing: nothing leaves.
    world.call(BOB, ALICE, Some(2000));
    world.run(50);
    assert_eq!(world.flow(), [""; 0]);
    assert_eq!(world.heard(BOB), ["terminated Refused"]);
    world.act(CAROL, |carol, dum| carol.last().end(dum)).unwrap();
    world.ends_clean();
}
