//! RFC 4028: sessions that are refreshed, and such that are not.

use crate::world::{ALICE, BOB, World};
use dum::invite::Session;
use stack::header::Method;
use std::time::Duration;

/// An established call; a session lasts 100 s.
fn established(updates: bool) -> World {
    let mut world = World::with(move |options| {
        options.master.add_option_tag("timer");
        options.master.user_mut().set_session_time(Duration::from_secs(100));
        if !updates {
            options.master.remove_method(&Method::Update);
        }
    });
    world.call(ALICE, BOB, Some(1000));
    world.run(100);
    world.answer(BOB, 2000);
    world.run(100);
    world.trace();
    [ALICE, BOB].into_iter().for_each(|node| drop(world.heard(node)));
    world
}

#[test]
fn the_caller_refreshes_with_update() {
    let mut world = established(true);
    world.run(49_700);
    assert_eq!(world.trace(), [""; 0]);
    world.run(300);
    assert_eq!(world.trace(), ["a UPDATE", "b 200 UPDATE"]);
    world.run(260_000);
    assert_eq!(world.trace(), ["a UPDATE", "b 200 UPDATE"].repeat(5));
    assert_eq!((world.heard(ALICE).len(), world.heard(BOB).len()), (0, 0));
    world.act(BOB, |bob, dum| bob.last().end(dum)).unwrap();
    world.ends_clean();
}

#[test]
fn without_update_a_re_invite_does_and_nobody_is_asked() {
    let mut world = established(false);
    world.run(110_000);
    assert_eq!(world.trace(), ["a INVITE+", "b 200+ INVITE", "a ACK"].repeat(2));
    assert_eq!((world.heard(ALICE), world.heard(BOB)), (vec!["answer 2000".to_owned(); 2], Vec::new()));
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.ends_clean();
}

#[test]
fn a_session_that_is_not_refreshed_is_over_for_both() {
    let mut world = established(true);
    world.lose(|_| true);
    world.run(110_000);
    // 32 s before its end, and before her UPDATE is given up.
    assert_eq!(world.heard(ALICE), ["terminated SessionExpired"]);
    assert_eq!(world.heard(BOB), ["terminated SessionExpired"]);
    world.ends_clean();
}
