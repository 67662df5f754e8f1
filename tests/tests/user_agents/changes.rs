//! Sessions that change: re-INVITE, UPDATE, hold, glare.

use crate::world::{ALICE, BOB, World, directed, port, sdp};
use dum::invite::{Session, SessionError};
use stack::contents::sdp::{Direction, Sdp};
use stack::header::{HeaderValue, NameAddr};

#[test]
fn a_session_is_changed_by_re_invite() {
    let mut world = World::established();
    world.act(BOB, |bob, dum| bob.last().provide_offer(dum, &sdp(2002))).unwrap();
    world.run(50);
    assert_eq!(world.heard(ALICE), ["offer 2002"]);
    assert_eq!(world.act(ALICE, |alice, dum| alice.last().provide_offer(dum, &sdp(1))), Err(SessionError::NotNow));
    world.act(ALICE, |alice, dum| alice.last().provide_answer(dum, &sdp(1002))).unwrap();
    world.run(50);
    assert_eq!(world.heard(BOB), ["answer 1002"]);
    assert_eq!(world.trace(), ["b INVITE+", "a 200+ INVITE", "b ACK"]);
    // Held and taken back, from the other side and with UPDATE.
    world.act(ALICE, |alice, dum| alice.last().update(dum, &directed(1002, Direction::SendOnly))).unwrap();
    world.run(50);
    world.act(BOB, |bob, dum| bob.last().provide_answer(dum, &directed(2002, Direction::RecvOnly))).unwrap();
    world.run(50);
    assert_eq!(world.trace(), ["a UPDATE+", "b 200+ UPDATE"]);
    let held =
        world.act(BOB, |bob, dum| bob.last().remote_sdp(dum).unwrap().media().next().map(|media| media.direction()));
    assert_eq!(held, Some(Direction::SendOnly));
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.ends_clean();
}

/// The same with a new address, as there: the re-INVITE tells it, and from its answer on everything goes there.
#[test]
fn a_side_that_moves_tells_its_new_address() {
    for update in [false, true] {
        let mut world = World::established();
        let place = "192.0.2.202:5062";
        world.move_to(BOB, place.parse().unwrap());
        let contact = NameAddr::parse(&format!("<sip:bob@{place}>")).unwrap().into_owned();
        world
            .act(BOB, move |bob, dum| {
                bob.last().set_contact(dum, &contact)?;
                if update { bob.last().update(dum, &sdp(2002)) } else { bob.last().provide_offer(dum, &sdp(2002)) }
            })
            .unwrap();
        world.run(50);
        world.act(ALICE, |alice, dum| alice.last().provide_answer(dum, &sdp(1002))).unwrap();
        world.run(50);
        let (change, ack) = if update { ("UPDATE", None) } else { ("INVITE", Some("b-a ACK")) };
        let expected = [format!("b-a {change}+"), format!("a-b 200+ {change}")].into_iter();
        assert_eq!(world.flow(), expected.chain(ack.map(str::to_owned)).collect::<Vec<_>>());
        // What Alice wants, she asks for there; the answers say it again.
        world.act(ALICE, |alice, dum| alice.last().provide_offer(dum, &sdp(1004))).unwrap();
        world.run(50);
        world.act(BOB, |bob, dum| bob.last().provide_answer(dum, &sdp(2004))).unwrap();
        world.run(50);
        assert_eq!(world.flow(), ["a-b INVITE+", "b-a 200+ INVITE", "a-b ACK"]);
        world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
        world.ends_clean();
    }
}

#[test]
fn rfc_5359_2_1_a_call_is_held_by_one_then_by_both_and_taken_back() {
    let mut world = World::established();
    let held = |world: &mut World| [ALICE, BOB].map(|node| world.act(node, |phone, dum| phone.last().is_held(dum)));
    let answer = |world: &mut World, node, direction| {
        world.run(50);
        let port = if node == ALICE { 1000 } else { 2000 };
        world.act(node, move |phone, dum| phone.last().provide_answer(dum, &directed(port, direction))).unwrap();
        world.run(50);
    };
    let of = |asker, other| [format!("{asker} INVITE+"), format!("{other} 200+ INVITE"), format!("{asker} ACK")];
    let ways = |world: &World, ways: [&str; 2]| {
        ways.map(|way| {
            let body = Sdp::parse(&world.message(way).body().to_vec().into()).expect("a description");
            body.media().next().expect("a stream").direction()
        })
    };
    let (by_alice, by_bob) = (["a-b INVITE+", "b-a 200+ INVITE"], ["b-a INVITE+", "a-b 200+ INVITE"]);
    world.act(ALICE, |alice, dum| alice.last().hold(dum)).unwrap();
    answer(&mut world, BOB, Direction::RecvOnly);
    assert_eq!(held(&mut world), [false, true]);
    assert_eq!(
        (ways(&world, by_alice), world.trace()),
        ([Direction::SendOnly, Direction::RecvOnly], of("a", "b").into())
    );
    world.act(BOB, |bob, dum| bob.last().hold(dum)).unwrap();
    answer(&mut world, ALICE, Direction::Inactive);
    assert_eq!(held(&mut world), [true, true]);
    assert_eq!(
        (ways(&world, by_bob), world.trace()),
        ([Direction::Inactive, Direction::Inactive], of("b", "a").into())
    );
    // Alice takes back what she may: Bob still holds.
    world.act(ALICE, |alice, dum| alice.last().resume(dum)).unwrap();
    answer(&mut world, BOB, Direction::SendOnly);
    assert_eq!(held(&mut world), [true, false]);
    assert_eq!(
        (ways(&world, by_alice), world.trace()),
        ([Direction::SendRecv, Direction::SendOnly], of("a", "b").into())
    );
    world.act(BOB, |bob, dum| bob.last().resume(dum)).unwrap();
    answer(&mut world, ALICE, Direction::SendRecv);
    assert_eq!(held(&mut world), [false, false]);
    assert_eq!(
        (ways(&world, by_bob), world.trace()),
        ([Direction::SendRecv, Direction::SendRecv], of("b", "a").into())
    );
    let version = world.act(BOB, |bob, dum| bob.last().local_sdp(dum).unwrap().origin().unwrap().version);
    assert!(version > 1, "each offer is a new version: {version}");
    // A peer of old holds with 0.0.0.0 (RFC 2543).
    world.act(ALICE, |alice, dum| {
        let mut old = sdp(1000);
        old.media_mut(0).unwrap().set_connection([0, 0, 0, 0].into());
        alice.last().provide_offer(dum, &old).unwrap();
    });
    answer(&mut world, BOB, Direction::SendRecv);
    assert_eq!((held(&mut world), world.trace()), ([false, true], of("a", "b").into()));
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.ends_clean();
}

#[test]
fn a_refused_change_leaves_what_was_agreed() {
    let mut world = World::established();
    world.act(ALICE, |alice, dum| alice.last().provide_offer(dum, &sdp(1002))).unwrap();
    world.run(50);
    world.act(BOB, |bob, dum| bob.last().reject_offer(dum, 488)).unwrap();
    world.run(50);
    assert_eq!(world.trace(), ["a INVITE+", "b 488 INVITE", "a ACK"]);
    assert_eq!(world.heard(ALICE), ["offer rejected 488"]);
    let agreed = |phone: &mut crate::phone::Phone, dum: &mut dum::Dum<'_>| {
        (port(&phone.last().local_sdp(dum).unwrap()), port(&phone.last().remote_sdp(dum).unwrap()))
    };
    assert_eq!((world.act(ALICE, agreed), world.act(BOB, agreed)), ((1000, 2000), (2000, 1000)));
    // And the next one is made as if nothing had been.
    world.act(BOB, |bob, dum| bob.last().request_offer(dum)).unwrap();
    world.run(50);
    world.act(ALICE, |alice, dum| alice.last().provide_offer(dum, &sdp(1004))).unwrap();
    world.run(50);
    world.act(BOB, |bob, dum| bob.last().provide_answer(dum, &sdp(2004))).unwrap();
    world.run(50);
    assert_eq!(world.trace(), ["b INVITE", "a 200+ INVITE", "b ACK+"]);
    assert_eq!(
        (world.heard(ALICE), world.heard(BOB)),
        (vec!["offer required".into(), "answer 2004".into()], vec!["offer 1002".into(), "offer 1004".into()])
    );
    assert_eq!((world.act(ALICE, agreed), world.act(BOB, agreed)), ((1004, 2004), (2004, 1004)));
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.ends_clean();
}

#[test]
fn rfc_6337_4_2_two_changes_that_meet_are_refused_and_one_comes_first_the_second_time() {
    let mut world = World::established();
    world.act(ALICE, |alice, dum| alice.last().provide_offer(dum, &sdp(1002))).unwrap();
    world.act(BOB, |bob, dum| bob.last().provide_offer(dum, &sdp(2002))).unwrap();
    world.run(40);
    assert_eq!(world.trace(), ["a INVITE+", "b INVITE+", "a 491 INVITE", "b 491 INVITE", "a ACK", "b ACK"]);
    // Bob, whose Call-ID it is not, waits at most two seconds, Alice at least 2.1 (RFC 3261 §14.1).
    world.run(2020);
    assert_eq!(world.heard(ALICE), ["offer 2002"]);
    world.act(ALICE, |alice, dum| alice.last().provide_answer(dum, &sdp(1000))).unwrap();
    world.run(2500);
    assert_eq!(world.heard(BOB), ["answer 1000", "offer 1002"]);
    world.act(BOB, |bob, dum| bob.last().provide_answer(dum, &sdp(2002))).unwrap();
    world.run(50);
    assert_eq!(world.heard(ALICE), ["answer 2002"]);
    let expected = ["b INVITE+", "a 100 INVITE", "a 200+ INVITE", "b ACK"];
    assert_eq!(world.trace(), [&expected[..], &["a INVITE+", "b 100 INVITE", "b 200+ INVITE", "a ACK"]].concat());
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.ends_clean();
}

#[test]
fn a_dialog_that_is_gone_over_there_ends_here() {
    let mut world = World::established();
    world.lose(|shown| shown.starts_with("b BYE"));
    world.act(BOB, |bob, dum| bob.last().end(dum)).unwrap();
    world.run(40_000);
    world.lose(|_| false);
    world.trace();
    world.act(ALICE, |alice, dum| alice.last().provide_offer(dum, &sdp(1002))).unwrap();
    world.run(100);
    assert_eq!(world.trace(), ["a INVITE+", "b 481 INVITE", "a ACK"]);
    assert_eq!(world.heard(ALICE), ["terminated Gone"]);
    world.ends_clean();
}

#[test]
fn a_change_that_nobody_answers_ends_the_call() {
    let mut world = World::established();
    world.act(ALICE, |alice, dum| alice.last().update(dum, &sdp(1002))).unwrap();
    world.lose(|shown| shown.starts_with('b'));
    world.run(33_000);
    assert_eq!(world.heard(ALICE), ["terminated Timeout"]);
    world.ends_clean();
}

#[test]
fn a_bye_while_a_change_waits_for_its_answer() {
    let mut world = World::established();
    world.act(ALICE, |alice, dum| alice.last().provide_offer(dum, &sdp(1002))).unwrap();
    world.run(50);
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.run(50);
    assert_eq!(world.trace(), ["a INVITE+", "a BYE", "b 200 BYE", "b 487 INVITE", "a ACK"]);
    assert_eq!(world.heard(BOB), ["offer 1002", "terminated RemoteBye"]);
    world.ends_clean();
}

#[test]
fn a_change_whose_answer_is_lost_with_the_call_ends_too() {
    let mut world = World::established();
    world.act(ALICE, |alice, dum| alice.last().provide_offer(dum, &sdp(1002))).unwrap();
    world.run(300);
    world.lose(|shown| shown == "b 200+ INVITE");
    world.act(BOB, |bob, dum| {
        bob.last().provide_answer(dum, &sdp(2002)).unwrap();
        bob.last().end(dum).unwrap();
    });
    world.run(40_000);
    assert_eq!(world.heard(ALICE), ["terminated RemoteBye"]);
    let trace = world.trace();
    assert_eq!(trace[..3], ["a INVITE+", "b 100 INVITE", "b 200+ INVITE lost"]);
    assert!(trace.contains(&"a CANCEL".to_owned()), "{trace:?}");
    world.ends_clean();
}
