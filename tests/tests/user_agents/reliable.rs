//! RFC 3262 and RFC 3311: provisional responses that arrive, offers and answers before the call is answered.

use crate::phone::Phone;
use crate::world::{ALICE, BOB, World, directed, once, port, sdp};
use dum::invite::{Session, SessionError};
use dum::{Dum, Reliability, UserProfile};
use stack::contents::sdp::Direction;
use std::sync::Arc;

fn world(reliability: Reliability) -> World {
    World::with(move |options| {
        options.master.add_100rel();
        options.master.user_mut().set_reliability(reliability);
    })
}

fn early(world: &mut World, port: u16) {
    world.act(BOB, move |bob, dum| {
        bob.incoming().provide_answer(dum, &sdp(port)).unwrap();
        bob.incoming().early_media(dum, 183).unwrap();
    });
}

#[test]
fn rfc_6337_2_2_pattern_3_a_reliable_answer_is_acknowledged_and_the_200_waits_for_that() {
    let mut world = world(Reliability::Supported);
    world.call(ALICE, BOB, Some(1000));
    world.run(50);
    early(&mut world, 2000);
    // Accepted at once: the 2xx waits for the PRACK.
    world.act(BOB, |bob, dum| bob.incoming().accept(dum)).unwrap();
    world.run(100);
    let expected = ["a INVITE+", "b 183+ INVITE", "a PRACK", "b 200 PRACK", "b 200 INVITE", "a ACK"];
    assert_eq!(world.trace(), expected);
    assert_eq!(world.heard(ALICE), ["provisional 183", "answer 2000", "connected"]);
    assert_eq!(world.heard(BOB), ["new", "offer 1000", "connected", "confirmed"]);
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.ends_clean();
}

#[test]
fn rfc_3262_3_a_lost_provisional_response_is_repeated_and_its_order_kept() {
    let mut world = world(Reliability::Required);
    world.call(ALICE, BOB, Some(1000));
    world.run(50);
    let mut seen = 0;
    world.lose(move |shown| {
        seen += usize::from(shown == "b 180 INVITE");
        shown == "b 180 INVITE" && seen < 3
    });
    world.act(BOB, |bob, dum| {
        bob.incoming().provisional(dum, 180).unwrap();
        bob.incoming().provisional(dum, 182).unwrap();
        bob.incoming().provisional(dum, 181).unwrap();
    });
    world.run(4000);
    let mut expected = vec!["a INVITE+", "b 180 INVITE lost", "a INVITE+", "b 180 INVITE lost"];
    for code in ["b 180 INVITE", "b 182 INVITE", "b 181 INVITE"] {
        expected.extend([code, "a PRACK", "b 200 PRACK"]);
    }
    assert_eq!(world.trace(), expected);
    assert_eq!(world.heard(ALICE), ["provisional 180", "provisional 182", "provisional 181"]);
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.ends_clean();
}

#[test]
fn rfc_3262_3_a_prack_that_never_comes_refuses_the_call() {
    let mut world = world(Reliability::Supported);
    world.call(ALICE, BOB, Some(1000));
    world.run(50);
    world.lose(|shown| shown.starts_with("a PRACK"));
    world.act(BOB, |bob, dum| bob.incoming().provisional(dum, 180)).unwrap();
    world.run(33_000);
    assert_eq!(world.heard(BOB), ["new", "offer 1000", "terminated Timeout"]);
    assert_eq!(world.heard(ALICE), ["provisional 180", "terminated Refused"]);
    assert_eq!(once(world.trace()), ["a INVITE+", "b 180 INVITE", "a PRACK lost", "b 504 INVITE", "a ACK"]);
    world.ends_clean();
}

#[test]
fn rfc_6337_2_2_patterns_4_and_6_an_offer_in_a_reliable_183_then_two_in_early_updates() {
    let mut world = world(Reliability::Supported);
    world.call(ALICE, BOB, None);
    world.run(50);
    world.act(BOB, |bob, dum| {
        bob.incoming().provide_offer(dum, &sdp(2000)).unwrap();
        bob.incoming().early_media(dum, 183).unwrap();
    });
    world.run(50);
    assert_eq!(world.heard(ALICE), ["provisional 183", "offer 2000"]);
    world.act(ALICE, |alice, dum| alice.last().provide_answer(dum, &sdp(1000))).unwrap();
    world.run(50);
    assert_eq!(world.heard(BOB), ["new", "offer required", "answer 1000"]);
    // In the early dialog the session changes by UPDATE, from both sides (RFC 3311).
    world.act(BOB, |bob, dum| bob.last().provide_offer(dum, &directed(2002, Direction::SendOnly))).unwrap();
    world.run(50);
    world.act(ALICE, |alice, dum| alice.last().provide_answer(dum, &directed(1002, Direction::RecvOnly))).unwrap();
    world.run(50);
    world.act(ALICE, |alice, dum| alice.last().provide_offer(dum, &sdp(1004))).unwrap();
    world.run(50);
    world.act(BOB, |bob, dum| bob.last().provide_answer(dum, &sdp(2004))).unwrap();
    world.run(50);
    world.act(BOB, |bob, dum| bob.incoming().accept(dum)).unwrap();
    world.run(50);
    assert_eq!(world.heard(ALICE), ["offer 2002", "answer 2004", "connected"]);
    assert_eq!(world.heard(BOB), ["answer 1002", "offer 1004", "connected", "confirmed"]);
    let expected = ["a INVITE", "b 183+ INVITE", "a PRACK+", "b 200 PRACK", "b UPDATE+", "a 200+ UPDATE"];
    let trace: Vec<_> = world.trace().into_iter().filter(|shown| shown != "b 100 INVITE").collect();
    assert_eq!(trace, [&expected[..], &["a UPDATE+", "b 200+ UPDATE", "b 200 INVITE", "a ACK"]].concat());
    world.act(BOB, |bob, dum| bob.last().end(dum)).unwrap();
    world.ends_clean();
}

/// The offer of the INVITE is answered early, and another one comes with the PRACK.
#[test]
fn rfc_6337_2_2_pattern_5_an_offer_in_the_prack_is_answered_in_its_200() {
    for refused in [false, true] {
        let mut world = world(Reliability::Supported);
        world.call(ALICE, BOB, Some(1000));
        world.act(ALICE, |alice, _| alice.with_prack = Some(1002));
        world.run(50);
        early(&mut world, 2000);
        world.run(50);
        assert_eq!(world.heard(BOB), ["new", "offer 1000", "offer 1002"]);
        world.act(BOB, move |bob, dum| match refused {
            true => bob.last().reject_offer(dum, 488).unwrap(),
            false => bob.last().provide_answer(dum, &sdp(2002)).unwrap(),
        });
        world.run(50);
        world.act(BOB, |bob, dum| bob.incoming().accept(dum)).unwrap();
        world.run(100);
        let (answer, told) =
            if refused { ("b 488 PRACK", "offer rejected 488") } else { ("b 200+ PRACK", "answer 2002") };
        assert_eq!(world.trace(), ["a INVITE+", "b 183+ INVITE", "a PRACK+", answer, "b 200 INVITE", "a ACK"]);
        assert_eq!(world.heard(ALICE), ["provisional 183", "answer 2000", told, "connected"]);
        let ports = |phone: &mut Phone, dum: &mut Dum<'_>| {
            [phone.last().local_sdp(dum), phone.last().remote_sdp(dum)].map(|sdp| port(&sdp.unwrap()))
        };
        let [alice, bob] = if refused { [[1000, 2000], [2000, 1000]] } else { [[1002, 2002], [2002, 1002]] };
        assert_eq!((world.act(ALICE, ports), world.act(BOB, ports)), (alice, bob));
        world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
        world.ends_clean();
    }
}

#[test]
fn rfc_3262_4_a_prack_that_nobody_answers_ends_the_call() {
    let mut world = world(Reliability::Supported);
    world.call(ALICE, BOB, Some(1000));
    world.run(50);
    world.lose(|shown| shown == "b 200 PRACK");
    world.act(BOB, |bob, dum| bob.incoming().provisional(dum, 180)).unwrap();
    world.run(33_000);
    assert_eq!(world.heard(ALICE), ["provisional 180", "terminated Timeout"]);
    assert_eq!(world.heard(BOB), ["new", "offer 1000", "terminated RemoteCancel"]);
    let asked = ["a INVITE+", "b 180 INVITE", "a PRACK", "b 200 PRACK lost"];
    assert_eq!(once(world.trace()), [&asked[..], &["a CANCEL", "b 200 CANCEL", "b 487 INVITE", "a ACK"]].concat());
    world.ends_clean();
}

#[test]
fn rfc_3262_3_who_cannot_is_refused_where_it_is_required() {
    // Bob insists, Alice does not know of it.
    let mut world = World::new();
    world.act(BOB, |bob, dum| {
        let mut profile = UserProfile::on(&bob.profile);
        profile.set_reliability(Reliability::Required);
        bob.profile = Arc::new(profile);
        let mut master = (**dum.master_profile()).clone();
        master.add_100rel();
        master.user_mut().set_reliability(Reliability::Required);
        dum.set_master_profile(master);
    });
    world.call(ALICE, BOB, Some(1000));
    world.run(50);
    assert_eq!(world.trace(), ["a INVITE+", "b 421 INVITE", "a ACK"]);
    assert_eq!(world.heard(ALICE), ["terminated Refused"]);
    assert_eq!(world.heard(BOB), ["new", "terminated Rejected"]);
    // An offer can be in a reliable response only.
    world.call(BOB, ALICE, None);
    world.run(50);
    assert_eq!(world.trace(), ["b INVITE", "a 420 INVITE", "b ACK"], "it requires what Alice does not know");
    let mut world = World::new();
    world.call(ALICE, BOB, None);
    world.run(50);
    let refused = world.act(BOB, |bob, dum| {
        bob.incoming().provide_offer(dum, &sdp(2000)).unwrap();
        bob.incoming().early_media(dum, 183)
    });
    assert_eq!(refused, Err(SessionError::NotNow));
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.run(50);
    world.ends_clean();
}
