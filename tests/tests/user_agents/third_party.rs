//! RFC 3725: a controller connects two others.

use crate::world::{ALICE, BOB, CAROL, World, sdp};
use dum::invite::Session;
use stack::contents::sdp::Sdp;

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
fn flow_1_the_offer_of_one_is_that_to_the_other() {
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
fn flow_3_a_call_without_media_first_then_the_offer_of_the_other() {
    let mut world = World::new();
    // Alice answers a black-holed offer; her side is exchanged once Bob has made his.
    world.call(CAROL, ALICE, Some(9));
    answered(&mut world, ALICE, 1000, true);
    world.call(CAROL, BOB, None);
    answered(&mut world, BOB, 2000, false);
    world.act(CAROL, |carol, dum| {
        let offer = carol.calls[1].session();
        assert!(offer.is_connected(dum));
        carol.calls[0].provide_offer(dum, &sdp(2000)).unwrap();
    });
    world.run(50);
    world.act(ALICE, |alice, dum| alice.last().provide_answer(dum, &sdp(1002))).unwrap();
    world.run(50);
    let answer = remote(&mut world, 0);
    world.act(CAROL, move |carol, dum| carol.calls[1].provide_answer(dum, &answer)).unwrap();
    world.run(50);
    assert_eq!(world.heard(ALICE), ["new", "offer 9", "connected", "confirmed", "offer 2000"]);
    assert_eq!(world.heard(BOB), ["new", "offer required", "connected", "confirmed", "answer 1002"]);
    let expected = ["c INVITE+", "a 200+ INVITE", "c ACK", "c INVITE", "b 200+ INVITE", "c INVITE+", "a 200+ INVITE"];
    assert_eq!(world.trace(), [&expected[..], &["c ACK", "c ACK+"]].concat());
    both_end(world);
}
