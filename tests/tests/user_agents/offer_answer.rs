//! RFC 6337: how an offer is refused in each of the messages that bring one, and offers that cross something else. The six
//! patterns of §2.2 themselves are in `basic`, `reliable` and `changes`.

use crate::world::{ALICE, BOB, World, directed, port, sdp};
use dum::Reliability;
use dum::invite::{Session, SessionError};
use stack::contents::sdp::{Direction, Sdp};
use stack::message::Message;

fn world() -> World {
    World::with(|options| {
        options.master.add_100rel();
        options.master.user_mut().set_reliability(Reliability::Supported);
    })
}

fn established() -> World {
    let mut world = World::established();
    world.heard(ALICE);
    world
}

/// Somebody refuses what he was offered last.
fn refuse(world: &mut World, node: usize) {
    world.act(node, |phone, dum| phone.last().reject_offer(dum, 488)).unwrap();
    world.run(100);
}

/// What was sent, without what was repeated while somebody thought.
fn exchanges(world: &mut World) -> Vec<String> {
    let mut flow = world.flow();
    flow.dedup();
    flow
}

/// The ports that both agree on.
fn agreed(world: &mut World) -> [[u16; 2]; 2] {
    [ALICE, BOB].map(|node| {
        world.act(node, |phone, dum| {
            [phone.last().local_sdp(dum), phone.last().remote_sdp(dum)].map(|sdp| port(&sdp.unwrap()))
        })
    })
}

/// An answer that takes none of the streams.
fn takes_nothing(msg: &Message) -> bool {
    Sdp::parse(&msg.body_bytes()).unwrap().media().all(|media| media.is_rejected())
}

#[test]
fn rfc_6337_2_3_an_offer_in_an_invite_is_refused_with_488() {
    let mut world = World::new();
    world.call(ALICE, BOB, Some(1000));
    world.run(50);
    refuse(&mut world, BOB);
    assert_eq!(world.flow(), ["a-b INVITE+", "b-a 488 INVITE", "a-b ACK"]);
    assert_eq!(world.heard(ALICE), ["terminated Refused"]);
    world.ends_clean();
}

#[test]
fn rfc_6337_2_3_an_offer_in_a_re_invite_or_update_is_refused_with_488() {
    for update in [false, true] {
        let mut world = established();
        world
            .act(ALICE, move |alice, dum| {
                if update { alice.last().update(dum, &sdp(1002)) } else { alice.last().provide_offer(dum, &sdp(1002)) }
            })
            .unwrap();
        world.run(50);
        refuse(&mut world, BOB);
        let refused: &[&str] =
            if update { &["a-b UPDATE+", "b-a 488 UPDATE"] } else { &["a-b INVITE+", "b-a 488 INVITE", "a-b ACK"] };
        assert_eq!(world.flow(), refused);
        assert_eq!(world.heard(ALICE), ["offer rejected 488"]);
        // What was agreed before still counts.
        assert_eq!(agreed(&mut world), [[1000, 2000], [2000, 1000]]);
        world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
        world.ends_clean();
    }
}

/// There is no refusal but an answer that takes nothing, in the ACK, and the end of the call.
#[test]
fn rfc_6337_2_3_an_offer_in_a_2xx_is_refused_by_the_ack_and_the_end() {
    for first in [true, false] {
        let mut world = if first { World::new() } else { established() };
        match first {
            true => world.call(ALICE, BOB, None),
            false => world.act(ALICE, |alice, dum| alice.last().request_offer(dum)).unwrap(),
        }
        world.run(50);
        world.act(BOB, move |bob, dum| {
            bob.last().provide_offer(dum, &sdp(2002)).unwrap();
            if first {
                bob.incoming().accept(dum).unwrap();
            }
        });
        world.run(50);
        refuse(&mut world, ALICE);
        assert!(takes_nothing(&world.message("a-b ACK+")));
        assert_eq!(world.flow(), ["a-b INVITE", "b-a 200+ INVITE", "a-b ACK+", "a-b BYE", "b-a 200 BYE"]);
        assert_eq!(world.heard(ALICE).last().map(String::as_str), Some("terminated LocalBye"));
        assert_eq!(world.heard(BOB).last().map(String::as_str), Some("terminated RemoteBye"));
        world.ends_clean();
    }
}

#[test]
fn rfc_6337_2_3_an_offer_in_a_reliable_183_is_refused_by_the_prack_and_the_end() {
    let mut world = world();
    world.call(ALICE, BOB, None);
    world.run(50);
    world.act(BOB, |bob, dum| {
        bob.incoming().provide_offer(dum, &sdp(2000)).unwrap();
        bob.incoming().early_media(dum, 183).unwrap();
    });
    world.run(50);
    refuse(&mut world, ALICE);
    assert!(takes_nothing(&world.message("a-b PRACK+")));
    let given_up = ["a-b PRACK+", "a-b CANCEL", "b-a 200 CANCEL", "b-a 200 PRACK", "b-a 487 INVITE", "a-b ACK"];
    assert_eq!(world.flow(), [&["a-b INVITE", "b-a 183+ INVITE"][..], &given_up].concat());
    assert_eq!(world.heard(ALICE), ["provisional 183", "offer 2000", "terminated LocalCancel"]);
    assert_eq!(world.heard(BOB), ["new", "offer required", "answer 0", "terminated RemoteCancel"]);
    world.ends_clean();
}

/// §3.1.1: the answer in a reliable response counts when its PRACK has come, and nothing is offered before.
#[test]
fn rfc_6337_3_1_1_nothing_is_offered_before_the_prack_for_the_answer() {
    let mut world = world();
    world.lose(|shown| shown == "a PRACK");
    world.call(ALICE, BOB, Some(1000));
    world.run(50);
    world.act(BOB, |bob, dum| {
        bob.incoming().provide_answer(dum, &sdp(2000)).unwrap();
        bob.incoming().early_media(dum, 183).unwrap();
    });
    world.run(50);
    let offer = |world: &mut World| world.act(BOB, |bob, dum| bob.last().provide_offer(dum, &sdp(2002)));
    assert_eq!(offer(&mut world), Err(SessionError::NotNow));
    world.lose(|_| false);
    world.run(500);
    offer(&mut world).unwrap();
    world.run(50);
    assert_eq!(world.heard(ALICE), ["provisional 183", "answer 2000", "offer 2002"]);
    world.act(ALICE, |alice, dum| alice.last().provide_answer(dum, &sdp(1002))).unwrap();
    world.run(50);
    assert_eq!(agreed(&mut world), [[1002, 2002], [2002, 1002]]);
    let answered = ["a-b INVITE+", "b-a 183+ INVITE", "a-b PRACK", "b-a 183+ INVITE", "a-b PRACK", "b-a 200 PRACK"];
    assert_eq!(world.flow(), [&answered[..], &["b-a UPDATE+", "a-b 200+ UPDATE"]].concat());
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.ends_clean();
}

#[test]
fn rfc_6337_4_1_an_update_that_crosses_the_2xx() {
    let mut world = world();
    world.call(ALICE, BOB, Some(1000));
    world.run(50);
    world.act(BOB, |bob, dum| {
        bob.incoming().provide_answer(dum, &sdp(2000)).unwrap();
        bob.incoming().early_media(dum, 183).unwrap();
    });
    world.run(100);
    world.act(ALICE, |alice, dum| alice.last().update(dum, &sdp(1002))).unwrap();
    world.act(BOB, |bob, dum| bob.incoming().accept(dum)).unwrap();
    world.run(100);
    let crossed = ["a-b UPDATE+", "b-a 200 INVITE", "a-b ACK", "b-a 491 UPDATE"];
    let early = ["a-b INVITE+", "b-a 183+ INVITE", "a-b PRACK", "b-a 200 PRACK"];
    assert_eq!(world.flow(), [early, crossed].concat());
    assert_eq!(world.heard(ALICE), ["provisional 183", "answer 2000", "connected"]);
    // It is made once more.
    world.run(5000);
    world.act(BOB, |bob, dum| bob.last().provide_answer(dum, &sdp(2002))).unwrap();
    world.run(100);
    assert_eq!(exchanges(&mut world), ["a-b UPDATE+", "b-a 200+ UPDATE"]);
    assert_eq!(world.heard(BOB), ["new", "offer 1000", "connected", "confirmed", "offer 1002"]);
    assert_eq!(world.heard(ALICE), ["answer 2002"]);
    assert_eq!(agreed(&mut world), [[1002, 2002], [2002, 1002]]);
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.ends_clean();
}

#[test]
fn rfc_6337_4_1_a_re_invite_that_overtakes_the_ack() {
    let mut world = World::new();
    world.call(ALICE, BOB, Some(1000));
    world.run(50);
    let mut acks = 0;
    world.lose(move |shown| {
        acks += u32::from(shown == "a ACK");
        shown == "a ACK" && acks == 1
    });
    world.answer(BOB, 2000);
    world.run(50);
    world.act(ALICE, |alice, dum| alice.last().provide_offer(dum, &sdp(1002))).unwrap();
    world.run(100);
    let begun = ["a-b INVITE+", "b-a 180 INVITE", "b-a 200+ INVITE", "a-b ACK"];
    assert_eq!(world.flow(), [&begun[..], &["a-b INVITE+", "b-a 491 INVITE", "a-b ACK"]].concat());
    assert_eq!(world.heard(ALICE), ["provisional 180", "connected", "answer 2000"]);
    world.run(6000);
    world.act(BOB, |bob, dum| bob.last().provide_answer(dum, &sdp(2002))).unwrap();
    world.run(100);
    // The 2xx has its ACK, and the change is made once more.
    assert_eq!(world.flow(), ["b-a 200+ INVITE", "a-b ACK", "a-b INVITE+", "b-a 200+ INVITE", "a-b ACK"]);
    assert_eq!(world.heard(BOB), ["new", "offer 1000", "connected", "confirmed", "offer 1002"]);
    assert_eq!(world.heard(ALICE), ["answer 2002"]);
    assert_eq!(agreed(&mut world), [[1002, 2002], [2002, 1002]]);
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.ends_clean();
}

/// §4.2, of which `changes` has two re-INVITEs.
#[test]
fn rfc_6337_4_2_an_update_that_meets_another_or_a_re_invite() {
    for bob_updates in [true, false] {
        let mut world = established();
        let held = |port| directed(port, Direction::SendOnly);
        world.act(ALICE, move |alice, dum| alice.last().update(dum, &sdp(1002))).unwrap();
        world
            .act(BOB, move |bob, dum| {
                if bob_updates {
                    bob.last().update(dum, &held(2000))
                } else {
                    bob.last().provide_offer(dum, &held(2000))
                }
            })
            .unwrap();
        world.run(40);
        let met: &[&str] = match bob_updates {
            true => &["a-b UPDATE+", "b-a UPDATE+", "a-b 491 UPDATE", "b-a 491 UPDATE"],
            false => &["a-b UPDATE+", "b-a INVITE+", "a-b 491 INVITE", "b-a 491 UPDATE", "b-a ACK"],
        };
        assert_eq!(world.flow(), met);
        // Bob comes first, as it is not his Call-ID.
        world.run(2020);
        world.act(ALICE, |alice, dum| alice.last().provide_answer(dum, &directed(1000, Direction::RecvOnly))).unwrap();
        world.run(2500);
        world.act(BOB, |bob, dum| bob.last().provide_answer(dum, &sdp(2002))).unwrap();
        world.run(50);
        let first: &[&str] = match bob_updates {
            true => &["b-a UPDATE+", "a-b 200+ UPDATE"],
            false => &["b-a INVITE+", "a-b 200+ INVITE", "b-a ACK"],
        };
        assert_eq!(exchanges(&mut world), [first, &["a-b UPDATE+", "b-a 200+ UPDATE"]].concat());
        assert_eq!(world.heard(ALICE), ["offer 2000", "answer 2002"]);
        assert_eq!(world.heard(BOB), ["answer 1000", "offer 1002"]);
        assert_eq!(agreed(&mut world), [[1002, 2002], [2002, 1002]]);
        world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
        world.ends_clean();
    }
}
