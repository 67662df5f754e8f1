//! RFC 4028: sessions that are refreshed, and such that are not.

use crate::world::{ALICE, BOB, World, aor, once, sdp};
use dum::DumOptions;
use dum::feature::{DumFeature, FeatureContext, Verdict};
use dum::invite::Session;
use stack::header::{Method, Token, h, p};
use stack::message::Message;
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
fn rfc_4028_7_the_caller_refreshes_with_update() {
    let mut world = established(true);
    world.run(49_700);
    assert_eq!(world.trace(), [""; 0]);
    world.run(300);
    assert_eq!(world.trace(), ["a UPDATE", "b 200 UPDATE"]);
    world.run(260_000);
    assert_eq!(world.trace(), ["a UPDATE", "b 200 UPDATE"].repeat(5));
    assert_eq!((world.heard(ALICE), world.heard(BOB)), (Vec::new(), vec!["refreshed by UPDATE".to_owned(); 6]));
    world.act(BOB, |bob, dum| bob.last().end(dum)).unwrap();
    world.ends_clean();
}

#[test]
fn rfc_4028_7_4_without_update_a_re_invite_does_and_nobody_is_asked() {
    let mut world = established(false);
    world.run(110_000);
    assert_eq!(world.trace(), ["a INVITE+", "b 200+ INVITE", "a ACK"].repeat(2));
    assert_eq!(
        (world.heard(ALICE), world.heard(BOB)),
        (vec!["answer 2000".to_owned(); 2], vec!["refreshed by INVITE".to_owned(); 2])
    );
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.ends_clean();
}

/// RFC 4028 §9: a caller that knows nothing of session timers cannot refresh, so the callee does.
#[test]
fn rfc_4028_9_the_callee_refreshes_where_the_caller_cannot() {
    for updates in [true, false] {
        let mut world = World::with(move |options| {
            options.master.user_mut().set_session_time(Duration::from_secs(100));
            if !updates {
                options.master.remove_method(&Method::Update);
            }
        });
        world.act(BOB, |_, dum| {
            let mut master = (**dum.master_profile()).clone();
            master.add_option_tag("timer");
            dum.set_master_profile(master);
        });
        world.call(ALICE, BOB, Some(1000));
        world.run(100);
        world.answer(BOB, 2000);
        world.run(100);
        world.trace();
        world.heard(BOB);
        // Six halves of an interval: three intervals.
        world.run(310_000);
        let refresh = match updates {
            true => &["b UPDATE", "a 200 UPDATE"][..],
            false => &["b INVITE+", "a 200+ INVITE", "b ACK"],
        };
        assert_eq!(world.trace(), refresh.repeat(6));
        assert!(world.act(BOB, |bob, dum| bob.last().is_alive(dum)));
        // When she is gone without a word he hears so.
        world.lose(|shown| shown.starts_with('a'));
        world.run(110_000);
        assert!(["terminated SessionExpired", "terminated Timeout"].contains(&&*world.heard(BOB).pop().unwrap()));
        assert_eq!(world.heard(ALICE).last().map(String::as_str), Some("terminated RemoteBye"));
        world.lose(|_| false);
        world.ends_clean();
    }
}

#[test]
fn rfc_4028_10_a_session_that_is_not_refreshed_is_over_for_both() {
    let mut world = established(true);
    world.lose(|_| true);
    world.run(110_000);
    // 32 s before its end, and before her UPDATE is given up.
    assert_eq!(world.heard(ALICE), ["terminated SessionExpired"]);
    assert_eq!(world.heard(BOB), ["terminated SessionExpired"]);
    assert_eq!(once(world.trace()), ["a UPDATE lost", "b BYE lost", "a BYE lost"]);
    world.ends_clean();
}

/// Who knows session timers: Bob alone, or both.
fn callee(alice_too: bool) -> World {
    let world = World::with(|options| {
        options.master.add_option_tag("timer");
        options.master.user_mut().set_session_time(Duration::from_secs(100));
    });
    if alice_too { world } else { without_timer(world) }
}

fn without_timer(mut world: World) -> World {
    world.act(ALICE, |alice, dum| {
        let mut master = DumOptions::default().master;
        master.user_mut().set_from(alice.profile.from().clone());
        dum.set_master_profile(master);
    });
    world
}

/// What a message says of the session: its time and who refreshes, the least, and whether `timer` is required.
pub(crate) fn says(world: &World, way: &str) -> (Option<(u32, String)>, Option<u32>, bool) {
    let msg = world.message(way);
    let expires = msg.header(h::SESSION_EXPIRES).ok();
    let who = expires.map(|value| (value.seconds, value.param(p::REFRESHER).unwrap_or_default().to_owned()));
    let required = msg.header(h::REQUIRES).flatten().any(|tag: Token<'_>| tag.is("timer"));
    (who, msg.header(h::MIN_SE).ok().map(|value| value.seconds), required)
}

/// Alice calls, with what she says of the session in her INVITE.
fn call_with(world: &mut World, lines: &'static [(&'static str, &'static str)]) {
    world.act(ALICE, move |alice, dum| {
        let profile = alice.profile.clone();
        let mut invite = dum.make_invite(&profile, &aor(BOB), Some(&sdp(1000)));
        for (name, value) in lines {
            invite.remove_lines(name);
            invite.append_line(name, value);
        }
        alice.calls.push(dum.send_invite(&profile, invite).unwrap().session());
    });
    world.run(50);
}

fn bob_answers(world: &mut World) {
    world.answer(BOB, 2000);
    world.run(100);
}

#[test]
fn rfc_4028_9_the_callee_refreshes_where_the_caller_knows_nothing_of_it() {
    let mut world = callee(false);
    call_with(&mut world, &[]);
    assert_eq!(says(&world, "a-b INVITE+"), (None, None, false));
    bob_answers(&mut world);
    assert_eq!(says(&world, "b-a 200+ INVITE"), (Some((100, "uas".into())), None, false));
    assert_eq!(world.flow(), ["a-b INVITE+", "b-a 180 INVITE", "b-a 200+ INVITE", "a-b ACK"]);
    world.run(49_000);
    assert_eq!(world.flow(), [""; 0]);
    world.run(1000);
    assert_eq!(says(&world, "b-a UPDATE").0, Some((100, "uac".into())));
    assert_eq!(world.flow(), ["b-a UPDATE", "a-b 200 UPDATE"]);
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.ends_clean();
}

#[test]
fn rfc_4028_9_the_callee_refreshes_where_the_caller_wants_that() {
    let mut world = callee(true);
    call_with(&mut world, &[("Session-Expires", "100;refresher=uas")]);
    bob_answers(&mut world);
    assert_eq!(says(&world, "b-a 200+ INVITE").0, Some((100, "uas".into())));
    world.flow();
    world.run(49_000);
    assert_eq!(world.flow(), [""; 0]);
    world.run(1000);
    // Each refresh says it anew, as its own sender and receiver see it.
    assert_eq!(says(&world, "b-a UPDATE"), (Some((100, "uac".into())), Some(90), false));
    assert_eq!(says(&world, "a-b 200 UPDATE"), (Some((100, "uac".into())), None, true));
    assert_eq!(world.flow(), ["b-a UPDATE", "a-b 200 UPDATE"]);
    world.run(251_000);
    assert_eq!(world.flow(), ["b-a UPDATE", "a-b 200 UPDATE"].repeat(5));
    // When Bob's refreshes are no longer heard both end the call before its time is up (§10).
    [ALICE, BOB].into_iter().for_each(|node| drop(world.heard(node)));
    world.lose(|shown| shown == "b UPDATE");
    world.run(70_000);
    assert_eq!([ALICE, BOB].map(|node| world.heard(node)), [["terminated SessionExpired"]; 2]);
    let flow: Vec<_> = world.flow().into_iter().filter(|shown| shown != "b-a UPDATE").collect();
    assert_eq!(flow, ["a-b BYE", "b-a BYE", "b-a 200 BYE", "a-b 200 BYE"]);
    world.ends_clean();
}

#[test]
fn rfc_4028_9_a_session_that_is_too_brief_for_the_callee_is_asked_for_anew() {
    let mut world = callee(true);
    call_with(&mut world, &[("Session-Expires", "60")]);
    bob_answers(&mut world);
    assert_eq!(says(&world, "b-a 422 INVITE"), (None, Some(90), false));
    assert_eq!(says(&world, "a-b INVITE+"), (Some((90, String::new())), Some(90), false));
    assert_eq!(says(&world, "b-a 200+ INVITE"), (Some((90, "uac".into())), None, true));
    let refused = ["a-b INVITE+", "b-a 422 INVITE", "a-b ACK"];
    assert_eq!(world.flow(), [&refused[..], &["a-b INVITE+", "b-a 180 INVITE", "b-a 200+ INVITE", "a-b ACK"]].concat());
    assert_eq!(world.heard(ALICE), ["provisional 180", "connected", "answer 2000"]);
    world.run(45_000);
    assert_eq!(world.flow(), ["a-b UPDATE", "b-a 200 UPDATE"]);
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.ends_clean();
}

/// What a proxy on the way demands, as Bob's user agent sees it first.
struct AtLeast(u32);

impl DumFeature for AtLeast {
    fn name(&self) -> &'static str {
        "at least"
    }
    fn incoming_request(&mut self, request: &mut Message, context: &mut FeatureContext<'_, '_>) -> Verdict {
        let brief = request.header(h::SESSION_EXPIRES).is_ok_and(|value| value.seconds < self.0);
        if !brief || request.method() != Some(Method::Invite) {
            return Verdict::Pass;
        }
        let mut response = context.make_response(request, 422);
        response.set(h::MIN_SE, &self.0);
        Verdict::Answer(response.into())
    }
}

/// RFC 4028 §7.3 and 12: the second INVITE is of the same call, with the next number.
#[test]
fn rfc_4028_7_3_a_session_that_is_too_brief_for_a_proxy_is_asked_for_anew() {
    let mut world = callee(true);
    world.act(BOB, |_, dum| dum.add_feature(AtLeast(200)));
    call_with(&mut world, &[]);
    let second = world.message("a-b INVITE+");
    bob_answers(&mut world);
    assert_eq!(says(&world, "a-b INVITE+"), (Some((200, String::new())), Some(200), false));
    assert_eq!(says(&world, "b-a 200+ INVITE"), (Some((200, "uac".into())), None, true));
    let refused = world.message("b-a 422 INVITE");
    assert_eq!(refused.header(h::CALL_ID).unwrap(), second.header(h::CALL_ID).unwrap());
    let number = |msg: &Message| msg.header(h::CSEQ).unwrap().number;
    assert_eq!(number(&refused) + 1, number(&second));
    let refused = ["a-b INVITE+", "b-a 422 INVITE", "a-b ACK"];
    assert_eq!(world.flow(), [&refused[..], &["a-b INVITE+", "b-a 180 INVITE", "b-a 200+ INVITE", "a-b ACK"]].concat());
    world.run(99_000);
    assert_eq!(world.flow(), [""; 0]);
    world.run(1000);
    assert_eq!(says(&world, "a-b UPDATE").0, Some((200, "uac".into())));
    assert_eq!(world.flow(), ["a-b UPDATE", "b-a 200 UPDATE"]);
    world.act(ALICE, |alice, dum| alice.last().end(dum)).unwrap();
    world.ends_clean();
}
