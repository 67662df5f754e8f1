//! RFC 3665: session establishment between two user agents, as far as no proxy is needed.

use crate::world::{ALICE, BOB, CAROL, World, aor, port, sdp};
use dum::invite::Session;
use stack::header::{HeaderValue, NameAddr};
use std::sync::Arc;

#[test]
fn rfc_3665_3_1_successful_session_establishment() {
    let mut world = World::new();
    world.call(ALICE, BOB, Some(1000));
    world.run(50);
    assert_eq!(world.heard(BOB), ["new", "offer 1000"]);
    world.act(BOB, |bob, dum| bob.incoming().provisional(dum, 180)).unwrap();
    world.run(1000);
    assert_eq!(world.heard(ALICE), ["provisional 180"]);
    world.act(BOB, |bob, dum| {
        bob.incoming().provide_answer(dum, &sdp(2000)).unwrap();
        bob.incoming().accept(dum).unwrap();
    });
    world.run(100);
    assert_eq!(world.heard(ALICE), ["connected", "answer 2000"]);
    assert_eq!(world.heard(BOB), ["connected", "confirmed"]);
    let agreed = |world: &mut World, node| {
        world.act(node, |phone, dum| {
            assert!(phone.last().is_connected(dum));
            let ports = (phone.last().local_sdp(dum), phone.last().remote_sdp(dum));
            (port(&ports.0.unwrap()), port(&ports.1.unwrap()))
        })
    };
    assert_eq!((agreed(&mut world, ALICE), agreed(&mut world, BOB)), ((1000, 2000), (2000, 1000)));
    world.act(BOB, |bob, dum| bob.last().end(dum)).unwrap();
    assert_eq!(world.heard(BOB), ["terminated LocalBye"]);
    world.run(100);
    assert_eq!(world.heard(ALICE), ["terminated RemoteBye"]);
    assert_eq!(world.trace(), ["a INVITE+", "b 180 INVITE", "b 200+ INVITE", "a ACK", "b BYE", "a 200 BYE"]);
    world.ends_clean();
}

#[test]
fn rfc_6337_2_2_pattern_2_an_offer_in_the_2xx_is_answered_in_the_ack() {
    let mut world = World::new();
    world.call(ALICE, BOB, None);
    world.run(50);
    assert_eq!(world.heard(BOB), ["new", "offer required"]);
    let early = world.act(BOB, |bob, dum| bob.incoming().accept(dum));
    assert_eq!(early, Err(dum::invite::SessionError::NoDescription));
    world.act(BOB, |bob, dum| {
        bob.incoming().provide_offer(dum, &sdp(2000)).unwrap();
        bob.incoming().accept(dum).unwrap();
    });
    world.run(50);
    assert_eq!(world.heard(ALICE), ["connected", "offer 2000"]);
    // While Alice thinks, Bob repeats his answer.
    world.run(1000);
    world.act(ALICE, |alice, dum| alice.last().provide_answer(dum, &sdp(1000))).unwrap();
    world.run(3000);
    assert_eq!(world.heard(BOB), ["connected", "confirmed", "answer 1000"]);
    assert_eq!(world.trace(), ["a INVITE", "b 200+ INVITE", "b 200+ INVITE", "a ACK+"]);
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.run(50);
    assert_eq!(
        (world.heard(ALICE), world.heard(BOB)),
        (vec!["terminated LocalBye".into()], vec!["terminated RemoteBye".into()])
    );
    world.ends_clean();
}

#[test]
fn a_call_that_is_given_up_or_refused_or_finds_nobody() {
    // Alice gives up.
    let mut world = World::new();
    world.call(ALICE, BOB, Some(1000));
    world.run(50);
    world.act(BOB, |bob, dum| bob.incoming().provisional(dum, 180)).unwrap();
    world.run(50);
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.run(50);
    assert_eq!(world.heard(ALICE), ["provisional 180", "terminated LocalCancel"]);
    assert_eq!(world.heard(BOB), ["new", "offer 1000", "terminated RemoteCancel"]);
    let expected = ["a INVITE+", "b 180 INVITE", "a CANCEL", "b 200 CANCEL", "b 487 INVITE", "a ACK"];
    assert_eq!(world.trace(), expected);
    // Bob is busy.
    world.call(ALICE, BOB, Some(1000));
    world.run(50);
    world.act(BOB, |bob, dum| bob.incoming().reject(dum, 486, |_| {})).unwrap();
    world.run(50);
    assert_eq!(
        (world.heard(ALICE), world.heard(BOB).last().unwrap().as_str()),
        (vec!["terminated Refused".into()], "terminated Rejected")
    );
    assert_eq!(world.trace(), ["a INVITE+", "b 486 INVITE", "a ACK"]);
    // Bob is not to be disturbed.
    world.call(ALICE, BOB, Some(1000));
    world.run(50);
    world.act(BOB, |bob, dum| bob.incoming().reject(dum, 480, |_| {})).unwrap();
    world.run(50);
    assert_eq!(world.trace(), ["a INVITE+", "b 480 INVITE", "a ACK"]);
    world.heard(ALICE);
    // Nobody is there.
    world.lose(|_| true);
    world.call(ALICE, BOB, Some(1000));
    world.run(40_000);
    assert_eq!(world.heard(ALICE), ["terminated Timeout"]);
    world.ends_clean();
}

#[test]
fn early_media_and_a_redirection() {
    let mut world = World::new();
    world.call(ALICE, BOB, Some(1000));
    world.run(50);
    world.act(BOB, |bob, dum| {
        let call = bob.incoming();
        call.provide_answer(dum, &sdp(2000)).unwrap();
        call.early_media(dum, 183).unwrap();
    });
    // It is repeated every minute.
    world.run(130_000);
    assert_eq!(world.heard(ALICE), ["provisional 183", "early media 2000", "provisional 183", "provisional 183"]);
    assert_eq!(world.trace(), ["a INVITE+", "b 183+ INVITE", "b 183+ INVITE", "b 183+ INVITE"]);
    world.act(BOB, |bob, dum| bob.incoming().redirect(dum, &[crate::world::aor(2)])).unwrap();
    world.run(50);
    assert_eq!(world.heard(ALICE), ["terminated Redirected"]);
    assert_eq!(world.trace(), ["b 302 INVITE", "a ACK"]);
    world.ends_clean();
}

#[test]
fn what_the_application_keeps_with_a_dialog_goes_with_it() {
    let mut world = World::new();
    world.call(ALICE, BOB, Some(1000));
    let kept = Arc::new(());
    let (of_set, of_dialog) = (kept.clone(), kept.clone());
    world.act(ALICE, move |alice, dum| {
        assert!(alice.last().app_dialog(dum).is_none(), "there is none yet");
        *alice.last().app_dialog_set(dum).unwrap() = Some(Box::new(of_set));
    });
    world.run(50);
    world.answer(BOB, 2000);
    world.run(50);
    world.act(ALICE, move |alice, dum| {
        *alice.last().app_dialog(dum).unwrap() = Some(Box::new(of_dialog));
        let data = alice.last().app_dialog_set(dum).unwrap();
        assert!(data.as_ref().is_some_and(|data| data.is::<Arc<()>>()));
    });
    assert_eq!(Arc::strong_count(&kept), 3);
    world.act(BOB, |bob, dum| bob.last().end(dum)).unwrap();
    world.run(100);
    assert_eq!(Arc::strong_count(&kept), 2, "the set waits for further 2xx");
    world.ends_clean();
    assert_eq!(Arc::strong_count(&kept), 1);
}

#[test]
fn a_call_that_nobody_takes_is_given_up_by_both() {
    let mut world = World::new();
    world.call(ALICE, BOB, Some(1000));
    world.run(50);
    world.act(BOB, |bob, dum| bob.incoming().provisional(dum, 180)).unwrap();
    // As long as Bob rings she waits.
    world.run(500_000);
    world.lose(|shown| shown.starts_with('b'));
    world.run(100_000);
    assert_eq!(world.trace().last().map(String::as_str), Some("b 180 INVITE lost"));
    world.run(140_000);
    assert_eq!(world.heard(ALICE).last().map(String::as_str), Some("terminated Timeout"));
    assert_eq!(world.heard(BOB).last().map(String::as_str), Some("terminated RemoteCancel"));
    world.lose(|_| false);
    world.run(60_000);
    // And Bob, when Alice is gone without a word.
    world.call(ALICE, BOB, Some(1000));
    world.run(50);
    world.lose(|_| true);
    world.run(3_700_000);
    assert_eq!(world.heard(BOB).last().map(String::as_str), Some("terminated Timeout"));
    world.ends_clean();
}

#[test]
fn a_redirected_call_goes_where_it_is_sent() {
    let mut world = World::new();
    world.act(ALICE, |alice, _| alice.follows = true);
    world.call(ALICE, BOB, Some(1000));
    world.run(50);
    world.act(BOB, |bob, dum| bob.incoming().provisional(dum, 180)).unwrap();
    world.run(50);
    // To somebody who is busy first, then to himself, who was tried, then to Carol.
    world.act(BOB, |bob, dum| {
        let busy = NameAddr::parse("<sip:busy@192.0.2.3:5060>").unwrap();
        bob.incoming().redirect(dum, &[busy, aor(BOB), aor(CAROL)]).unwrap();
    });
    world.run(50);
    world.act(CAROL, |carol, dum| carol.incoming().reject(dum, 486, |_| {})).unwrap();
    world.run(50);
    world.answer(CAROL, 3000);
    world.run(100);
    let expected = ["a INVITE+", "b 180 INVITE", "b 302 INVITE", "a ACK", "a INVITE+", "c 486 INVITE", "a ACK"];
    let trace: Vec<_> = world.trace().into_iter().filter(|shown| !shown.contains("100 INVITE")).collect();
    assert_eq!(trace, [&expected[..], &["a INVITE+", "c 180 INVITE", "c 200+ INVITE", "a ACK"]].concat());
    assert_eq!(world.heard(ALICE), ["provisional 180", "provisional 180", "connected", "answer 3000"]);
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.ends_clean();
}

#[test]
fn a_handle_that_has_ended_is_an_error_and_nothing_else() {
    let mut world = World::established();
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.run(200_000);
    let ended = dum::invite::SessionError::Ended(dum::UsageEnded);
    for node in [ALICE, BOB] {
        world.act(node, move |phone, dum| {
            let call = phone.last();
            assert!(!call.is_alive(dum) && !call.is_connected(dum) && call.local_sdp(dum).is_none());
            assert_eq!(call.end(dum), Err(ended));
            assert_eq!(call.provide_offer(dum, &sdp(1)), Err(ended));
            assert_eq!(call.provide_answer(dum, &sdp(1)), Err(ended));
            assert_eq!(call.reject_offer(dum, 488), Err(ended));
            assert_eq!(phone.incoming().accept(dum), Err(ended));
        });
    }
    // Another call takes the slot; the old name does not lead to it.
    let old = world.act(ALICE, |alice, _| alice.last());
    world.call(ALICE, BOB, Some(1000));
    assert!(world.act(ALICE, move |alice, dum| !old.is_alive(dum) && alice.last().is_alive(dum)));
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.ends_clean();
}
