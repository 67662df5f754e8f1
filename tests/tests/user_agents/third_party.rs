//! RFC 3725 §4: a controller connects two others.

use crate::world::{ALICE, BOB, CAROL, World, aor, sdp};
use dum::invite::Session;
use stack::contents::sdp::{Local, Sdp};

/// Alice is called by the controller and answers, with or without an offer in the INVITE.
fn answered(world: &mut World, node: usize, port: u16, offered: bool) {
    world.run(50);
    world.act(node, move |phone, dum| {
        match offered {
            true => phone.incoming().provide_answer(dum, &sdp(port)),
            false => phone.incoming().provide_offer(dum, &sdp(port)),
        }
        .unwrap();
        phone.incoming().accept(dum).unwrap();
    });
    world.run(50);
}

fn remote(world: &mut World, call: usize) -> Sdp {
    world.act(CAROL, move |carol, dum| carol.calls[call].remote_sdp(dum).unwrap())
}

fn both_end(mut world: World) {
    for call in [0, 1] {
        world.act(CAROL, move |carol, dum| carol.calls[call].end(dum)).unwrap();
    }
    world.run(100);
    assert_eq!(world.heard(ALICE).last().map(String::as_str), Some("terminated RemoteBye"));
    world.ends_clean();
}

#[test]
fn rfc_3725_4_1_flow_i_the_offer_of_one_is_that_to_the_other() {
    let mut world = World::new();
    world.call(CAROL, ALICE, None);
    answered(&mut world, ALICE, 1000, false);
    assert_eq!(world.heard(CAROL), ["connected", "offer 1000"]);
    world.call(CAROL, BOB, Some(1000));
    answered(&mut world, BOB, 2000, true);
    world.act(CAROL, |carol, dum| {
        let answer = carol.calls[1].remote_sdp(dum).unwrap();
        carol.calls[0].provide_answer(dum, &answer).unwrap();
    });
    world.run(50);
    assert_eq!(world.heard(ALICE), ["new", "offer required", "connected", "confirmed", "answer 2000"]);
    let expected = ["c INVITE", "a 200+ INVITE", "c INVITE+", "b 200+ INVITE", "c ACK", "c ACK+"];
    assert_eq!(world.trace(), expected);
    both_end(world);
}

#[test]
fn rfc_3725_4_2_flow_ii_the_answer_to_a_black_hole_is_the_offer_to_the_other() {
    let mut world = World::new();
    world.call(CAROL, ALICE, Some(9));
    answered(&mut world, ALICE, 1000, true);
    world.call(CAROL, BOB, Some(1000));
    answered(&mut world, BOB, 2000, true);
    let answer = remote(&mut world, 1);
    world.act(CAROL, move |carol, dum| carol.calls[0].provide_offer(dum, &answer)).unwrap();
    world.run(50);
    world.act(ALICE, |alice, dum| alice.last().provide_answer(dum, &sdp(1000))).unwrap();
    world.run(50);
    assert_eq!(world.heard(ALICE), ["new", "offer 9", "connected", "confirmed", "offer 2000"]);
    assert_eq!(world.heard(BOB), ["new", "offer 1000", "connected", "confirmed"]);
    let expected = ["c-a INVITE+", "a-c 200+ INVITE", "c-a ACK", "c-b INVITE+", "b-c 200+ INVITE", "c-b ACK"];
    assert_eq!(world.flow(), [&expected[..], &["c-a INVITE+", "a-c 200+ INVITE", "c-a ACK"]].concat());
    both_end(world);
}

/// Bob makes the offer; Alice, who has a call already, is asked for hers by it.
fn offer_of_bob(world: &mut World) {
    world.call(CAROL, BOB, None);
    answered(world, BOB, 2000, false);
    world.act(CAROL, |carol, dum| carol.calls[0].provide_offer(dum, &sdp(2000))).unwrap();
    world.run(50);
    world.act(ALICE, |alice, dum| alice.last().provide_answer(dum, &sdp(1002))).unwrap();
    world.run(50);
    let answer = remote(world, 0);
    world.act(CAROL, move |carol, dum| carol.calls[1].provide_answer(dum, &answer)).unwrap();
    world.run(50);
    assert_eq!(world.heard(BOB), ["new", "offer required", "connected", "confirmed", "answer 1002"]);
}

const OFFER_OF_BOB: [&str; 6] =
    ["c-b INVITE", "b-c 200+ INVITE", "c-a INVITE+", "a-c 200+ INVITE", "c-a ACK", "c-b ACK+"];

#[test]
fn rfc_3725_4_3_flow_iii_the_first_offer_is_answered_with_a_black_hole() {
    let mut world = World::new();
    world.call(CAROL, ALICE, None);
    answered(&mut world, ALICE, 1000, false);
    world.act(CAROL, |carol, dum| carol.calls[0].provide_answer(dum, &sdp(9))).unwrap();
    world.run(50);
    offer_of_bob(&mut world);
    let alice = ["new", "offer required", "connected", "confirmed", "answer 9", "offer 2000"];
    assert_eq!(world.heard(ALICE), alice);
    let expected = ["c-a INVITE", "a-c 200+ INVITE", "c-a ACK+"];
    assert_eq!(world.flow(), [&expected[..], &OFFER_OF_BOB].concat());
    both_end(world);
}

#[test]
fn rfc_3725_4_4_flow_iv_a_call_without_media_first_then_the_offer_of_the_other() {
    let mut world = World::new();
    // Neither side has a stream yet.
    let none = || {
        let local = Local { username: "-", session_id: 1, version: 1, address: [192, 0, 2, 99].into(), name: "" };
        Sdp::offer(&local, &[]).unwrap()
    };
    world.act(CAROL, move |carol, dum| {
        let profile = carol.profile.clone();
        let invite = dum.make_invite(&profile, &aor(ALICE), Some(&none()));
        carol.calls.push(dum.send_invite(&profile, invite).unwrap().session());
    });
    world.run(50);
    world.act(ALICE, move |alice, dum| {
        alice.incoming().provide_answer(dum, &none()).unwrap();
        alice.incoming().accept(dum).unwrap();
    });
    world.run(50);
    offer_of_bob(&mut world);
    assert_eq!(world.heard(ALICE), ["new", "offer 0", "connected", "confirmed", "offer 2000"]);
    let expected = ["c-a INVITE+", "a-c 200+ INVITE", "c-a ACK"];
    assert_eq!(world.flow(), [&expected[..], &OFFER_OF_BOB].concat());
    both_end(world);
}
