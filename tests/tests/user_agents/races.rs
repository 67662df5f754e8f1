//! What crosses on the way, and what is lost.

use crate::phone::Phone;
use crate::world::{ALICE, BOB, World, sdp};
use dum::Dum;
use dum::invite::Session;

fn accept(world: &mut World) {
    world.act(BOB, |bob, dum| {
        bob.incoming().provide_answer(dum, &sdp(2000)).unwrap();
        bob.incoming().accept(dum).unwrap();
    });
}

#[test]
fn a_200_that_crosses_the_cancel_is_acknowledged_and_ended() {
    let mut world = World::new();
    world.call(ALICE, BOB, Some(1000));
    world.run(50);
    world.act(BOB, |bob, dum| bob.incoming().provisional(dum, 180)).unwrap();
    world.run(50);
    accept(&mut world);
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.run(100);
    let expected =
        ["a INVITE+", "b 180 INVITE", "b 200+ INVITE", "a CANCEL", "a ACK", "a BYE", "b 200 CANCEL", "b 200 BYE"];
    assert_eq!(world.trace(), expected);
    assert_eq!(world.heard(ALICE), ["provisional 180", "terminated LocalCancel"]);
    assert_eq!(world.heard(BOB), ["new", "offer 1000", "connected", "confirmed", "terminated RemoteBye"]);
    world.ends_clean();
}

#[test]
fn a_cancel_before_any_provisional_response_is_held_back() {
    for definite in [true, false] {
        let mut world = World::new();
        world.lose(|shown| shown == "a INVITE+");
        world.call(ALICE, BOB, Some(1000));
        give_up(&mut world, definite);
        world.run(400);
        assert_eq!(world.trace(), ["a INVITE+ lost"]);
        world.lose(|_| false);
        world.run(1000);
        let expected = ["a INVITE+", "b 100 INVITE", "a CANCEL", "b 200 CANCEL", "b 487 INVITE", "a ACK"];
        assert_eq!(world.trace(), expected);
        assert_eq!(world.heard(ALICE), ["terminated LocalCancel"]);
        assert_eq!(world.heard(BOB), ["new", "offer 1000", "terminated RemoteCancel"]);
        world.ends_clean();
    }
}

/// Alice gives up her call, also if it is answered just then, or unless it is.
fn give_up(world: &mut World, definite: bool) {
    let given_up = move |alice: &mut Phone, dum: &mut Dum<'_>| {
        if definite { alice.last().end(dum) } else { alice.last().as_client().cancel(dum) }
    };
    world.act(ALICE, given_up).unwrap();
}

/// The 200 is no provisional response: nothing is cancelled any more.
#[test]
fn a_200_that_comes_before_any_provisional_response_leaves_no_cancel() {
    let mut world = World::new();
    world.call(ALICE, BOB, Some(1000));
    world.run(50);
    accept(&mut world);
    give_up(&mut world, false);
    world.run(100);
    assert_eq!(world.trace(), ["a INVITE+", "b 200+ INVITE", "a ACK"]);
    assert_eq!(world.heard(ALICE), ["connected", "answer 2000"]);
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.ends_clean();
}

#[test]
fn a_2xx_is_repeated_until_its_ack_and_each_is_acknowledged() {
    let mut world = World::new();
    world.call(ALICE, BOB, Some(1000));
    world.run(50);
    let mut acks = 0;
    world.lose(move |shown| {
        acks += usize::from(shown == "a ACK");
        shown == "a ACK" && acks < 4
    });
    accept(&mut world);
    world.run(20_000);
    let lost = ["b 200+ INVITE", "a ACK lost"].repeat(3);
    assert_eq!(world.trace(), [&["a INVITE+"][..], &lost, &["b 200+ INVITE", "a ACK"]].concat());
    assert_eq!(world.heard(ALICE), ["connected", "answer 2000"]);
    assert_eq!(world.heard(BOB), ["new", "offer 1000", "connected", "confirmed"]);
    world.act(BOB, |bob, dum| bob.last().end(dum)).unwrap();
    world.ends_clean();
}

#[test]
fn without_an_ack_the_callee_ends_the_call() {
    let mut world = World::new();
    world.call(ALICE, BOB, Some(1000));
    world.run(50);
    world.lose(|shown| shown == "a ACK");
    accept(&mut world);
    world.run(31_900);
    assert_eq!(world.heard(BOB), ["new", "offer 1000", "connected"]);
    let repeated = world.trace().iter().filter(|shown| shown.starts_with("b 200")).count();
    // At 0, 0.5, 1.5, 3.5 s and then every 4 s.
    assert_eq!(repeated, 11);
    world.run(200);
    assert_eq!(world.heard(BOB), ["terminated NoAck"]);
    assert_eq!(world.trace(), ["b BYE", "a 200 BYE"]);
    assert_eq!(world.heard(ALICE), ["connected", "answer 2000", "terminated RemoteBye"]);
    world.ends_clean();
}

#[test]
fn a_callee_who_hangs_up_before_the_ack_waits_for_it() {
    let mut world = World::new();
    world.call(ALICE, BOB, Some(1000));
    world.run(50);
    accept(&mut world);
    world.act(BOB, |bob, dum| bob.last().end(dum)).unwrap();
    assert_eq!(world.trace(), ["a INVITE+", "b 200+ INVITE"]);
    // As a shutdown does; which does not wait for what may be repeated.
    assert!(!world.drained(BOB));
    world.run(100);
    assert_eq!(world.trace(), ["a ACK", "b BYE", "a 200 BYE"]);
    assert_eq!(world.heard(BOB), ["new", "offer 1000", "connected", "terminated LocalBye"]);
    assert!(world.drained(ALICE) && world.drained(BOB));
    world.ends_clean();
}

#[test]
fn two_byes_that_cross_end_the_call_once() {
    let mut world = World::established();
    for node in [ALICE, BOB] {
        world.act(node, |phone, dum| phone.last().end(dum)).unwrap();
    }
    world.run(100);
    assert_eq!(world.trace(), ["a BYE", "b BYE", "a 200 BYE", "b 200 BYE"]);
    assert_eq!(
        (world.heard(ALICE), world.heard(BOB)),
        (vec!["terminated LocalBye".into()], vec!["terminated LocalBye".into()])
    );
    world.ends_clean();
}

/// What is sent behind a BYE may arrive first: then the BYE is out of order (RFC 3261 §12.2.2), and is sent anew.
#[test]
fn a_bye_that_a_notify_has_overtaken_is_sent_once_more() {
    let mut world = crate::steps::established(ALICE, BOB);
    world.act(BOB, |bob, dum| bob.last().refer(dum, &crate::world::aor(2), true).map(drop)).unwrap();
    world.run(50);
    world.act(ALICE, |alice, dum| alice.refers[0].accept(dum)).unwrap();
    world.run(50);
    world.flow();
    let mut byes = 0;
    world.lose(move |shown| {
        byes += u32::from(shown == "a BYE");
        shown == "a BYE" && byes == 1
    });
    world.act(ALICE, |alice, dum| {
        alice.last().end(dum).unwrap();
        alice.refers[0].notify(dum, 200).unwrap();
    });
    world.run(1000);
    let overtaken = ["a-b BYE", "a-b NOTIFY+", "b-a 200 NOTIFY", "a-b BYE", "b-a 500 BYE"];
    assert_eq!(world.flow(), [&overtaken[..], &["a-b BYE", "b-a 200 BYE"]].concat());
    assert_eq!(world.heard(BOB).last().map(String::as_str), Some("terminated RemoteBye"));
    world.ends_clean();
}

/// Who has not had the 2xx yet does not know its dialog: 481 to what is sent behind it says nothing of the call.
#[test]
fn a_481_to_what_overtakes_the_2xx_does_not_end_the_call() {
    let mut world = crate::steps::able();
    world.call(ALICE, BOB, Some(1000));
    world.run(50);
    let mut answers = 0;
    world.lose(move |shown| {
        answers += u32::from(shown == "b 200+ INVITE");
        shown == "b 200+ INVITE" && answers == 1
    });
    accept(&mut world);
    world.act(BOB, |bob, dum| bob.last().message(dum, "text/plain", "x")).unwrap();
    world.run(1000);
    let overtaken = ["a-b INVITE+", "b-a 200+ INVITE", "b-a MESSAGE+", "a-b 481 MESSAGE"];
    assert_eq!(world.flow(), [&overtaken[..], &["a-b INVITE+", "b-a 200+ INVITE", "a-b ACK"]].concat());
    assert!(world.act(BOB, |bob, dum| bob.last().is_connected(dum)));
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.run(50);
    assert_eq!(world.heard(BOB)[2..], ["connected", "481 MESSAGE", "confirmed", "terminated RemoteBye"]);
    world.ends_clean();
}
