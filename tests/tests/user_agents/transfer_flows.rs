//! RFC 5589 and RFC 5359 §2.4 and 2.5: transfers from the first message to the last. Alice is the transferee, Bob the
//! transferor, Carol the target.

use crate::steps::{able, all_end, answer, connect, follow, sorted, take};
use crate::world::{ALICE, BOB, CAROL, DAVE, World, aor, both, sdp};
use dum::invite::Session;
use stack::contents::sdp::Direction::{RecvOnly, SendRecv};
use stack::header::{CallId, DialogRef, Method, h, p};
use stack::uri::Uri;

pub(crate) const CALL: [&str; 4] = ["a-b INVITE+", "b-a 180 INVITE", "b-a 200+ INVITE", "a-b ACK"];
/// Bob holds Alice, or takes her back.
pub(crate) const HOLD: [&str; 3] = ["b-a INVITE+", "a-b 200+ INVITE", "b-a ACK"];
/// Bob sends Alice to Carol, and she sets out.
pub(crate) const REFERRED: [&str; 5] = ["b-a REFER", "a-b 202 REFER", "a-b NOTIFY+", "a-c INVITE+", "b-a 200 NOTIFY"];
/// Carol rings, and Bob is told.
pub(crate) const RINGS: [&str; 3] = ["c-a 180 INVITE", "a-b NOTIFY+", "b-a 200 NOTIFY"];
/// Carol answers, and Bob is told, for the last time.
pub(crate) const TAKEN: [&str; 4] = ["c-a 200+ INVITE", "a-c ACK", "a-b NOTIFY+", "b-a 200 NOTIFY"];
pub(crate) const BYE: [&str; 2] = ["b-a BYE", "a-b 200 BYE"];
/// Bob asks Carol first, and holds her.
const CONSULTED: [&str; 7] =
    ["b-c INVITE+", "c-b 180 INVITE", "c-b 200+ INVITE", "b-c ACK", "b-c INVITE+", "c-b 200+ INVITE", "b-c ACK"];

/// Alice takes Bob's place in his call with Carol.
pub(crate) const TAKEN_OVER: [&str; 6] =
    ["c-a 200+ INVITE", "c-b BYE", "a-c ACK", "b-c 200 BYE", "a-b NOTIFY+", "b-a 200 NOTIFY"];
/// Carol takes Bob's place in his call with Alice, and Bob leaves her.
const PROTECTED: [&str; 13] = [
    "b-c REFER",
    "c-b 202 REFER",
    "c-b NOTIFY+",
    "c-a INVITE+",
    "b-c 200 NOTIFY",
    "a-c 200+ INVITE",
    "a-b BYE",
    "c-a ACK",
    "b-a 200 BYE",
    "c-b NOTIFY+",
    "b-c 200 NOTIFY",
    "b-c BYE",
    "c-b 200 BYE",
];

/// What Bob hears of a transfer that comes about.
const TOLD: [&str; 5] = ["refer accepted", "refer 100", "refer 180", "refer 200", "refer ended Some(200)"];

fn called() -> World {
    let mut world = able();
    connect(&mut world, ALICE, BOB);
    world
}

/// Alice has called Bob, and he holds her.
pub(crate) fn held() -> World {
    let mut world = called();
    hold(&mut world);
    world
}

pub(crate) fn hold(world: &mut World) {
    world.act(BOB, |bob, dum| bob.calls[0].hold(dum)).unwrap();
    answer(world, ALICE, RecvOnly);
}

pub(crate) fn resume(world: &mut World) {
    world.act(BOB, |bob, dum| bob.calls[0].resume(dum)).unwrap();
    answer(world, ALICE, SendRecv);
}

/// Bob calls Carol, and holds her too.
fn consult(world: &mut World) {
    connect(world, BOB, CAROL);
    world.act(BOB, |bob, dum| bob.calls[1].hold(dum)).unwrap();
    answer(world, CAROL, RecvOnly);
}

fn ring(world: &mut World) {
    world.act(CAROL, |carol, dum| carol.incoming().provisional(dum, 180)).unwrap();
    world.run(50);
}

fn refer(world: &mut World) {
    world.act(BOB, |bob, dum| bob.calls[0].refer(dum, &aor(CAROL), true).map(drop)).unwrap();
    world.run(50);
}

/// One of Bob's calls ends.
pub(crate) fn hang_up(world: &mut World, call: usize) {
    world.act(BOB, move |bob, dum| bob.calls[call].end(dum)).unwrap();
    world.run(50);
}

/// The last that Bob has heard.
pub(crate) fn told(world: &mut World, last: usize) -> Vec<String> {
    let heard = world.heard(BOB);
    heard[heard.len().saturating_sub(last)..].to_vec()
}

pub(crate) fn is_flow(world: &mut World, parts: &[&[&str]]) {
    assert_eq!(world.flow(), parts.concat());
}

/// The same where something is sent by several at one moment.
pub(crate) fn is_flow_at_once(world: &mut World, parts: &[&[&str]]) {
    let expected = parts.concat().into_iter().map(str::to_owned).collect();
    assert_eq!(sorted(world.flow()), sorted(expected));
}

#[test]
fn rfc_5359_2_4_transfer_unattended() {
    let mut world = called();
    refer(&mut world);
    world.act(ALICE, |alice, dum| alice.refers[0].accept(dum)).unwrap();
    world.run(50);
    // Bob is gone before Alice calls; their dialog lasts as long as she tells him how that goes.
    hang_up(&mut world, 0);
    assert_eq!(told(&mut world, 3), ["refer accepted", "refer 100", "terminated LocalBye"]);
    world.act(ALICE, |alice, dum| {
        let profile = alice.profile.clone();
        let mut invite = dum.make_invite(&profile, &aor(CAROL), Some(&sdp(1000)));
        invite.set(h::REFERRED_BY, &aor(BOB));
        alice.calls.push(dum.send_invite(&profile, invite).unwrap().session());
    });
    world.run(50);
    assert_eq!(world.message("a-c INVITE+").header(h::REFERRED_BY).unwrap().uri, aor(BOB).uri);
    ring(&mut world);
    take(&mut world, CAROL);
    world.act(ALICE, |alice, dum| alice.refers[0].notify(dum, 200)).unwrap();
    world.run(50);
    assert_eq!(told(&mut world, 2), ["refer 200", "refer ended Some(200)"]);
    let accepted = ["b-a REFER", "a-b 202 REFER", "a-b NOTIFY+", "b-a 200 NOTIFY"];
    let called = ["a-c INVITE+", "c-a 180 INVITE", "c-a 200+ INVITE", "a-c ACK"];
    is_flow(&mut world, &[&CALL, &accepted, &BYE, &called, &["a-b NOTIFY+", "b-a 200 NOTIFY"]]);
    all_end(world);
}

#[test]
fn rfc_5359_2_5_transfer_attended() {
    let mut world = held();
    consult(&mut world);
    replace(&mut world);
    is_flow_at_once(&mut world, &[&CALL, &HOLD, &CONSULTED, &REFERRED, &TAKEN_OVER, &BYE]);
    all_end(world);
}

/// Alice takes Bob's place in his call with Carol, and he leaves.
pub(crate) fn replace(world: &mut World) {
    world.act(BOB, |bob, dum| bob.calls[0].refer_to_call(dum, bob.calls[1]).map(drop)).unwrap();
    world.run(50);
    follow(world, ALICE);
    let names = world.act(BOB, |bob, dum| bob.calls[1].replaces(dum)).unwrap();
    let invite = world.message("a-c INVITE+");
    let replaces = invite.header(h::REPLACES).unwrap();
    assert_eq!(replaces.call_id, names.call_id);
    assert_eq!(
        (replaces.param(p::TO_TAG), replaces.param(p::FROM_TAG)),
        (names.param(p::TO_TAG), names.param(p::FROM_TAG))
    );
    assert!(world.act(CAROL, |carol, dum| carol.incoming().replaced_call(dum) == Some(carol.calls[0])));
    take(world, CAROL);
    let heard = ["refer accepted", "refer 100", "terminated RemoteBye", "refer 200", "refer ended Some(200)"];
    assert_eq!(told(world, 5), heard);
    hang_up(world, 0);
    assert!(world.act(ALICE, |alice, dum| alice.last().is_connected(dum)));
}

#[test]
fn rfc_5589_6_1_successful_transfer() {
    let mut world = held();
    // In a dialog of its own, which names the call's (RFC 4538).
    world.act(BOB, |bob, dum| {
        let (profile, names) = (bob.profile.clone(), bob.calls[0].replaces(dum).unwrap());
        let dialog = DialogRef::new(CallId::new(names.call_id.as_str().to_owned()))
            .with(p::LOCAL_TAG, names.param(p::TO_TAG).unwrap())
            .with(p::REMOTE_TAG, names.param(p::FROM_TAG).unwrap());
        let mut refer = dum.make_refer(&profile, &aor(ALICE), &aor(CAROL));
        refer.set(h::TARGET_DIALOG, &dialog);
        dum.send_refer(&profile, refer).unwrap();
    });
    world.run(50);
    assert_eq!(world.message("b-a REFER").header(h::TO).unwrap().param(p::TAG), None);
    // So Alice knows which of her calls it is for.
    assert!(world.act(ALICE, |alice, _| alice.referred_in == [Some(alice.calls[0])]));
    transferred(&mut world);
    all_end(world);
}

/// Alice, who has set out, reaches Carol; Bob hears of it, and goes.
fn comes_about(world: &mut World) {
    ring(world);
    take(world, CAROL);
    assert_eq!(told(world, 5), TOLD);
    hang_up(world, 0);
}

/// Alice sets out and reaches Carol, who hangs up in the end.
fn transferred(world: &mut World) {
    follow(world, ALICE);
    comes_about(world);
    world.act(CAROL, |carol, dum| carol.last().end(dum)).unwrap();
    world.run(50);
    let end = ["c-a BYE", "a-c 200 BYE"];
    is_flow(world, &[&CALL, &HOLD, &REFERRED, &RINGS, &TAKEN, &BYE, &end]);
}

#[test]
fn rfc_5589_6_2_and_8_transfer_with_dialog_reuse_and_referred_by() {
    let mut world = held();
    refer(&mut world);
    assert!(world.message("b-a REFER").header(h::TO).unwrap().param(p::TAG).is_some());
    assert_eq!(world.message("b-a REFER").header(h::REFERRED_BY).unwrap().uri, aor(BOB).uri);
    assert!(world.act(ALICE, |alice, _| alice.referred_in == [Some(alice.calls[0])]));
    transferred(&mut world);
    all_end(world);
}

#[test]
fn rfc_5589_8_the_target_learns_who_sends_the_caller() {
    let mut world = held();
    refer(&mut world);
    follow(&mut world, ALICE);
    assert_eq!(world.message("a-c INVITE+").header(h::REFERRED_BY).unwrap().uri, aor(BOB).uri);
    all_end(world);
}

#[test]
fn rfc_5589_6_3_1_target_busy() {
    let mut world = held();
    refer(&mut world);
    follow(&mut world, ALICE);
    world.act(CAROL, |carol, dum| carol.incoming().reject(dum, 486, |_| {})).unwrap();
    world.run(50);
    assert_eq!(told(&mut world, 4), ["refer accepted", "refer 100", "refer 486", "refer ended Some(486)"]);
    resume(&mut world);
    hang_up(&mut world, 0);
    let busy = ["c-a 486 INVITE", "a-c ACK", "a-b NOTIFY+", "b-a 200 NOTIFY"];
    is_flow(&mut world, &[&CALL, &HOLD, &REFERRED, &busy, &HOLD, &BYE]);
    all_end(world);
}

#[test]
fn rfc_5589_6_3_2_transfer_target_does_not_answer() {
    let mut world = held();
    refer(&mut world);
    follow(&mut world, ALICE);
    ring(&mut world);
    // Alice gives up.
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.run(50);
    assert_eq!(told(&mut world, 3), ["refer 180", "refer 487", "refer ended Some(487)"]);
    resume(&mut world);
    hang_up(&mut world, 0);
    let given_up = ["a-c CANCEL", "c-a 200 CANCEL", "c-a 487 INVITE", "a-c ACK", "a-b NOTIFY+", "b-a 200 NOTIFY"];
    is_flow(&mut world, &[&CALL, &HOLD, &REFERRED, &RINGS, &given_up, &HOLD, &BYE]);
    all_end(world);
}

#[test]
fn rfc_5589_7_1_exposing_transfer_target() {
    let mut world = held();
    connect(&mut world, BOB, CAROL);
    hang_up(&mut world, 1);
    refer(&mut world);
    follow(&mut world, ALICE);
    comes_about(&mut world);
    let alerted = ["b-c INVITE+", "c-b 180 INVITE", "c-b 200+ INVITE", "b-c ACK", "b-c BYE", "c-b 200 BYE"];
    is_flow(&mut world, &[&CALL, &HOLD, &alerted, &REFERRED, &RINGS, &TAKEN, &BYE]);
    all_end(world);
}

/// Carol is sent to Alice, in Bob's place, and Alice does not learn Carol's address beforehand.
#[test]
fn rfc_5589_7_2_protecting_transfer_target() {
    let mut world = held();
    consult(&mut world);
    protect(&mut world);
    is_flow_at_once(&mut world, &[&CALL, &HOLD, &CONSULTED, &PROTECTED]);
    all_end(world);
}

fn protect(world: &mut World) {
    world.act(BOB, |bob, dum| bob.calls[1].refer_to_call(dum, bob.calls[0]).map(drop)).unwrap();
    world.run(50);
    follow(world, CAROL);
    assert!(world.act(ALICE, |alice, dum| alice.incoming().replaced_call(dum) == Some(alice.calls[0])));
    take(world, ALICE);
    hang_up(world, 1);
    assert!(world.act(CAROL, |carol, dum| carol.last().is_connected(dum)));
}

#[test]
fn rfc_5589_7_3_attended_transfer() {
    let mut world = held();
    consult(&mut world);
    replace(&mut world);
    // Bob has left both; Alice and Carol talk until one hangs up.
    world.act(CAROL, |carol, dum| carol.last().end(dum)).unwrap();
    world.run(50);
    let end = ["c-a BYE", "a-c 200 BYE"];
    is_flow_at_once(&mut world, &[&CALL, &HOLD, &CONSULTED, &REFERRED, &TAKEN_OVER, &BYE, &end]);
    all_end(world);
}

/// Alice does not know REFER: Carol is asked instead.
#[test]
fn rfc_5589_7_4_recovery_when_one_party_does_not_support_refer() {
    let mut world = able();
    world.act(ALICE, |_, dum| {
        let mut master = (**dum.master_profile()).clone();
        master.remove_method(&Method::Refer);
        dum.set_master_profile(master);
    });
    connect(&mut world, ALICE, BOB);
    hold(&mut world);
    consult(&mut world);
    world.act(BOB, |bob, dum| bob.calls[0].refer_to_call(dum, bob.calls[1]).map(drop)).unwrap();
    world.run(50);
    assert_eq!(told(&mut world, 1), ["refer rejected 405"]);
    protect(&mut world);
    let refused = ["b-a REFER", "a-b 405 REFER"];
    is_flow_at_once(&mut world, &[&CALL, &HOLD, &CONSULTED, &refused, &PROTECTED]);
    all_end(world);
}

/// Bob does not know whether Carol's Contact leads to her telephone alone, so he names her address-of-record, which leads to
/// Dave's too: that one does not know the call, and the other one takes it.
#[test]
fn rfc_5589_7_5_attended_transfer_when_the_contact_uri_may_not_lead_to_one_user_agent() {
    let mut world = able();
    world.add_proxy(|_| {});
    [CAROL, DAVE].into_iter().for_each(|node| world.register(node, &both(), 1.0, 1));
    connect(&mut world, ALICE, BOB);
    hold(&mut world);
    consult(&mut world);
    let referred = world.act(BOB, |bob, dum| {
        let names = bob.calls[1].replaces(dum).unwrap();
        let mut refer_to = both();
        let Uri::Sip(uri) = &mut refer_to.uri else { panic!("{refer_to}") };
        uri.headers.push("Replaces", &names.to_string());
        uri.headers.push("Require", "replaces");
        bob.calls[0].refer(dum, &refer_to, true).map(drop)
    });
    referred.unwrap();
    world.run(50);
    world.act(ALICE, |alice, dum| {
        let (profile, refer) = (alice.by_proxy.clone(), alice.refers[0]);
        alice.calls.push(refer.follow(dum, &profile, Some(&sdp(1000))).unwrap().session());
    });
    world.run(100);
    assert!(world.act(DAVE, |dave, _| dave.calls.is_empty()));
    assert!(world.act(CAROL, |carol, dum| carol.incoming().replaced_call(dum) == Some(carol.calls[0])));
    take(&mut world, CAROL);
    let heard = ["refer accepted", "refer 100", "terminated RemoteBye", "refer 200", "refer ended Some(200)"];
    assert_eq!(told(&mut world, 5), heard);
    hang_up(&mut world, 0);
    let referred = ["b-a REFER", "a-b 202 REFER", "a-b NOTIFY+", "a-p INVITE+", "b-a 200 NOTIFY"];
    let forked = ["p-c INVITE+", "p-d INVITE+", "d-p 481 INVITE", "p-d ACK"];
    let taken = ["c-p 200+ INVITE", "p-a 200+ INVITE", "c-b BYE", "b-c 200 BYE", "a-p ACK", "p-c ACK"];
    let told = ["a-b NOTIFY+", "b-a 200 NOTIFY"];
    is_flow_at_once(&mut world, &[&CALL, &HOLD, &CONSULTED, &referred, &forked, &taken, &told, &BYE]);
    all_end(world);
}

/// Bob hangs up while Carol rings, and his telephone goes on for him: it waits for her, and sends Alice there as soon as she
/// has answered. This is the way that is recommended (figure 11).
#[test]
fn rfc_5589_7_6_semi_attended_transfer() {
    let mut world = held();
    world.call(BOB, CAROL, Some(2000));
    world.run(50);
    ring(&mut world);
    take(&mut world, CAROL);
    replace(&mut world);
    let answered = ["b-c INVITE+", "c-b 180 INVITE", "c-b 200+ INVITE", "b-c ACK"];
    is_flow_at_once(&mut world, &[&CALL, &HOLD, &answered, &REFERRED, &TAKEN_OVER, &BYE]);
    all_end(world);
}

/// He gives that call up at once, and sends Alice there when he knows that it has come to nothing (figure 12).
#[test]
fn rfc_5589_7_6_semi_attended_transfer_as_an_unattended_one() {
    let mut world = given_up();
    refer(&mut world);
    follow(&mut world, ALICE);
    comes_about(&mut world);
    is_flow(&mut world, &[&CALL, &HOLD, &GIVEN_UP, &REFERRED, &RINGS, &TAKEN, &BYE]);
    all_end(world);
}

/// Carol answers just then, so that he has her on the line, and sends Alice to take his place (figure 13).
#[test]
fn rfc_5589_7_6_semi_attended_transfer_as_an_attended_one() {
    let mut world = held();
    world.call(BOB, CAROL, Some(2000));
    world.run(50);
    ring(&mut world);
    world.act(CAROL, |carol, dum| {
        carol.incoming().provide_answer(dum, &sdp(3000)).unwrap();
        carol.incoming().accept(dum).unwrap();
    });
    world.act(BOB, |bob, dum| bob.calls[1].as_client().cancel(dum)).unwrap();
    world.run(100);
    assert_eq!(told(&mut world, 2), ["connected", "answer 3000"]);
    replace(&mut world);
    let crossed = ["b-c INVITE+", "c-b 180 INVITE", "c-b 200+ INVITE", "b-c CANCEL", "b-c ACK", "c-b 200 CANCEL"];
    is_flow_at_once(&mut world, &[&CALL, &HOLD, &crossed, &REFERRED, &TAKEN_OVER, &BYE]);
    all_end(world);
}

/// Carol is a gateway: who is behind it lifts the receiver just after Bob has given the call up, and then Alice finds the
/// line busy. Bob takes her back. What is recommended against it is figure 11.
#[test]
fn rfc_5589_11_2_consultative_turned_blind_gateway_glare() {
    let mut world = given_up();
    refer(&mut world);
    follow(&mut world, ALICE);
    world.act(CAROL, |carol, dum| carol.incoming().reject(dum, 486, |_| {})).unwrap();
    world.run(50);
    assert_eq!(told(&mut world, 4), ["refer accepted", "refer 100", "refer 486", "refer ended Some(486)"]);
    resume(&mut world);
    assert!(world.act(ALICE, |alice, dum| alice.calls[0].is_connected(dum) && !alice.calls[0].is_held(dum)));
    let busy = ["c-a 486 INVITE", "a-c ACK", "a-b NOTIFY+", "b-a 200 NOTIFY"];
    is_flow(&mut world, &[&CALL, &HOLD, &GIVEN_UP, &REFERRED, &busy, &HOLD]);
    all_end(world);
}

const GIVEN_UP: [&str; 6] =
    ["b-c INVITE+", "c-b 180 INVITE", "b-c CANCEL", "c-b 200 CANCEL", "c-b 487 INVITE", "b-c ACK"];

/// Bob holds Alice and calls Carol, but does not wait until she answers.
fn given_up() -> World {
    let mut world = held();
    world.call(BOB, CAROL, Some(2000));
    world.run(50);
    ring(&mut world);
    hang_up(&mut world, 1);
    assert_eq!(told(&mut world, 1), ["terminated LocalCancel"]);
    world
}

/// Carol does not know Replaces: Alice's INVITE, which requires it, is refused, and Bob sends her there without.
#[test]
fn rfc_5589_7_7_attended_transfer_fallback_to_basic_transfer() {
    let mut world = able();
    world.act(CAROL, |_, dum| {
        let mut master = dum::DumOptions::default().master;
        master.user_mut().set_from(std::sync::Arc::new(aor(CAROL)));
        dum.set_master_profile(master);
    });
    connect(&mut world, ALICE, BOB);
    hold(&mut world);
    consult(&mut world);
    world.act(BOB, |bob, dum| bob.calls[0].refer_to_call(dum, bob.calls[1]).map(drop)).unwrap();
    world.run(50);
    follow(&mut world, ALICE);
    assert_eq!(told(&mut world, 4), ["refer accepted", "refer 100", "refer 420", "refer ended Some(420)"]);
    hang_up(&mut world, 1);
    refer(&mut world);
    world.act(ALICE, |alice, dum| {
        let (profile, refer) = (alice.profile.clone(), alice.refers[1]);
        alice.calls.push(refer.follow(dum, &profile, Some(&sdp(1000))).unwrap().session());
    });
    world.run(50);
    comes_about(&mut world);
    let refused = ["b-a REFER", "a-b 202 REFER", "a-b NOTIFY+", "a-c INVITE+"];
    let answers = ["b-a 200 NOTIFY", "c-a 420 INVITE", "a-c ACK", "a-b NOTIFY+", "b-a 200 NOTIFY"];
    let gone = ["b-c BYE", "c-b 200 BYE"];
    is_flow(&mut world, &[&CALL, &HOLD, &CONSULTED, &refused, &answers, &gone, &REFERRED, &RINGS, &TAKEN, &BYE]);
    all_end(world);
}
