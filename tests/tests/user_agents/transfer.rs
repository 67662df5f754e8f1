//! RFC 5589: transfers, with REFER, Replaces and what is told of them; and what else is asked within a call.

use crate::world::{ALICE, BOB, CAROL, World, aor, sdp};
use dum::invite::Session;
use stack::header::{MediaType, Method};

fn understands(world: &mut World) {
    for node in [ALICE, BOB, CAROL] {
        world.act(node, |_, dum| {
            let mut master = (**dum.master_profile()).clone();
            master.add_transfer().add_method(Method::Info).add_method(Method::Message);
            master.add_mime_type(Method::Message, MediaType::new("text", "plain"));
            dum.set_master_profile(master);
        });
    }
}

/// Alice and Bob have a call.
fn established() -> World {
    let mut world = World::established();
    understands(&mut world);
    world
}

fn offer_and_follow(world: &mut World, node: usize, port: u16) {
    world.act(node, move |phone, dum| {
        let profile = phone.profile.clone();
        let refer = phone.refers[0];
        phone.calls.push(refer.follow(dum, &profile, Some(&sdp(port))).unwrap().session());
    });
}

#[test]
fn rfc_5589_6_1_a_blind_transfer_is_told_to_its_end() {
    let mut world = established();
    // Bob sends Alice to Carol and leaves the call at once.
    world.act(BOB, |bob, dum| bob.last().refer(dum, &aor(CAROL), true).map(drop)).unwrap();
    world.run(50);
    assert_eq!(world.heard(ALICE), ["refer to <sip:carol@192.0.2.3:5060>"]);
    offer_and_follow(&mut world, ALICE, 1002);
    world.run(50);
    world.act(BOB, |bob, dum| bob.last().end(dum)).unwrap();
    world.run(50);
    world.answer(CAROL, 3000);
    world.run(100);
    assert_eq!(world.heard(ALICE), ["terminated RemoteBye", "provisional 180", "connected", "answer 3000"]);
    let bob = ["refer accepted", "refer 100", "terminated LocalBye", "refer 180", "refer 200", "refer ended Some(200)"];
    assert_eq!(world.heard(BOB), bob);
    let expected = ["b REFER", "a 202 REFER", "a NOTIFY+", "a INVITE+", "b 200 NOTIFY", "b BYE", "a 200 BYE"];
    let trace: Vec<_> = world.trace().into_iter().filter(|shown| shown != "c 100 INVITE").collect();
    assert_eq!(trace[..7], expected);
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.ends_clean();
}

#[test]
fn rfc_5589_7_3_an_attended_transfer_replaces_the_second_call() {
    let mut world = established();
    // Bob calls Carol too, and gives Alice his place in that call.
    world.call(BOB, CAROL, Some(2002));
    world.run(50);
    world.answer(CAROL, 3000);
    world.run(50);
    world.act(BOB, |bob, dum| bob.calls[0].refer_to_call(dum, bob.calls[1]).map(drop)).unwrap();
    world.run(50);
    [ALICE, BOB, CAROL].into_iter().for_each(|node| drop(world.heard(node)));
    offer_and_follow(&mut world, ALICE, 1002);
    world.run(50);
    assert_eq!(world.heard(CAROL), ["new", "offer 1002"]);
    world.act(CAROL, |carol, dum| {
        let call = carol.incoming();
        assert_eq!(call.replaced_call(dum), Some(carol.calls[0]));
        call.provide_answer(dum, &sdp(3002)).unwrap();
        call.accept(dum).unwrap();
    });
    world.run(100);
    assert_eq!(world.heard(CAROL), ["connected", "terminated Replaced", "confirmed"]);
    assert_eq!(
        world.heard(BOB),
        ["refer accepted", "refer 100", "terminated RemoteBye", "refer 200", "refer ended Some(200)"]
    );
    assert_eq!(world.heard(ALICE), ["connected", "answer 3002"]);
    world.act(BOB, |bob, dum| bob.calls[0].end(dum)).unwrap();
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.ends_clean();
}

#[test]
fn a_transfer_that_fails_is_told_and_the_call_goes_on() {
    let mut world = established();
    world.act(BOB, |bob, dum| bob.last().refer(dum, &aor(CAROL), true).map(drop)).unwrap();
    world.run(50);
    offer_and_follow(&mut world, ALICE, 1002);
    world.run(50);
    world.act(CAROL, |carol, dum| carol.incoming().reject(dum, 486, |_| {})).unwrap();
    world.run(50);
    assert_eq!(world.heard(BOB), ["refer accepted", "refer 100", "refer 486", "refer ended Some(486)"]);
    assert!(world.act(BOB, |bob, dum| bob.last().is_connected(dum)));
    // Without a subscription (RFC 4488) nothing is told but that it will be done.
    world.act(BOB, |bob, dum| bob.last().refer(dum, &aor(CAROL), false).map(drop)).unwrap();
    world.run(50);
    world.trace();
    world.act(ALICE, |alice, dum| alice.refers[1].accept(dum)).unwrap();
    world.run(50);
    assert_eq!(world.trace(), ["a 202 REFER"]);
    assert_eq!(world.heard(BOB), ["refer accepted"]);
    // And one that is refused.
    world.act(BOB, |bob, dum| bob.last().refer(dum, &aor(CAROL), true).map(drop)).unwrap();
    world.run(50);
    world.act(ALICE, |alice, dum| alice.refers[2].reject(dum, 603)).unwrap();
    world.run(50);
    assert_eq!(world.heard(BOB), ["refer rejected 603"]);
    world.act(BOB, |bob, dum| bob.last().end(dum)).unwrap();
    world.ends_clean();
}

#[test]
fn replaces_of_a_call_that_is_not_there_is_481() {
    let mut world = established();
    world.act(BOB, |bob, dum| {
        let profile = bob.profile.clone();
        let mut invite = dum.make_invite(&profile, &aor(CAROL), Some(&sdp(2002)));
        invite.set(stack::header::h::REPLACES, &bob.last().replaces(dum).unwrap());
        bob.calls.push(dum.send_invite(&profile, invite).unwrap().session());
    });
    world.run(50);
    assert_eq!(world.trace(), ["b INVITE+", "c 481 INVITE", "b ACK"]);
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.ends_clean();
}

#[test]
fn info_and_message_within_a_call() {
    let mut world = established();
    world.act(ALICE, |alice, dum| {
        alice.last().info(dum, "application/dtmf-relay", "Signal=1\r\n").unwrap();
        alice.last().message(dum, "text/plain", "hello").unwrap();
    });
    world.run(50);
    assert_eq!(world.heard(BOB), ["message hello"]);
    assert_eq!(world.heard(ALICE), ["415 INFO", "200 MESSAGE"]);
    assert_eq!(world.trace(), ["a INFO+", "a MESSAGE+", "b 415 INFO", "b 200 MESSAGE"]);
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.ends_clean();
}

/// RFC 3515 §2.4.4: the subscription is one as any other.
#[test]
fn who_transfers_asks_how_far_it_is_and_then_wants_to_know_no_more() {
    let mut world = established();
    let refer = world.act(BOB, |bob, dum| bob.last().refer(dum, &aor(CAROL), true)).unwrap();
    world.run(50);
    offer_and_follow(&mut world, ALICE, 1002);
    world.run(50);
    world.act(CAROL, |carol, dum| carol.incoming().provisional(dum, 180)).unwrap();
    world.run(50);
    assert_eq!(world.heard(BOB), ["refer accepted", "refer 100", "refer 180"]);
    world.trace();
    world.act(BOB, move |_, dum| refer.refresh(dum)).unwrap();
    world.run(50);
    assert_eq!(world.trace(), ["b SUBSCRIBE", "a 200 SUBSCRIBE", "a NOTIFY+", "b 200 NOTIFY"]);
    assert_eq!(world.heard(BOB), ["refer 180"]);
    world.act(BOB, move |_, dum| refer.end(dum)).unwrap();
    world.run(50);
    assert_eq!(world.trace(), ["b SUBSCRIBE", "a 200 SUBSCRIBE", "a NOTIFY+", "b 200 NOTIFY"]);
    assert_eq!(world.heard(BOB), ["refer 180", "refer ended Some(180)"]);
    assert!(world.act(BOB, move |_, dum| refer.refresh(dum)).is_err());
    // What was asked for is done all the same, and nobody is told of it.
    world.answer(CAROL, 3000);
    world.run(100);
    assert!(world.act(ALICE, |alice, dum| alice.calls.iter().all(|call| call.is_connected(dum))));
    assert!(!world.trace().iter().any(|shown| shown.contains("NOTIFY")));
    world.act(BOB, |bob, dum| bob.last().end(dum)).unwrap();
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.ends_clean();
}
