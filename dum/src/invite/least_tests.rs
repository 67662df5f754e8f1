//! 422: sessions that have to be longer (RFC 4028), before a call and in it.

use super::crossing_tests::of_peer;
use super::ears::{Ears, call, calling, heard, options, port_of, respond, sdp};
use super::tests::asked;
use super::*;
use crate::testing::Bench;
use stack::header::{h, p};
use stack::tu::ClientTransaction;
use std::sync::Arc;
use std::time::Duration;

/// What a request says of the session: its length and the least.
fn said(msg: &Message) -> (u32, u32) {
    (msg.header(h::SESSION_EXPIRES).unwrap().seconds, msg.header(h::MIN_SE).map_or(0, |least| least.seconds))
}

fn too_brief(bench: &mut Bench<Ears>, to: (ClientTransaction, &Message), least: u32) {
    respond(bench, to, 422, ("proxy", 0, 0), |msg| msg.set(h::MIN_SE, &least));
}

fn grant(bench: &mut Bench<Ears>, to: (ClientTransaction, &Message), port: u16, length: u32, updates: bool) {
    respond(bench, to, 200, ("one", port, 0), |msg| {
        msg.set(h::SESSION_EXPIRES, &format_args!("{length};refresher=uac"));
        if !updates {
            msg.remove(h::ALLOWS);
        }
    });
}

/// A call whose session this side is to refresh after 50 s.
fn connected(updates: bool) -> (Bench<Ears>, Message) {
    let (mut bench, transaction, invite) = calling(options(), true);
    grant(&mut bench, (transaction, &invite), 2000, 100, updates);
    bench.sent.clear();
    heard(&mut bench);
    (bench, invite)
}

#[test]
fn two_servers_on_the_way_of_the_invite_want_more_one_after_the_other() {
    let (mut bench, first, invite) = calling(options(), true);
    assert_eq!(said(&invite), (1800, 0));
    too_brief(&mut bench, (first, &invite), 3600);
    let (second, invite) = bench.request();
    assert_eq!(said(&invite), (3600, 3600));
    too_brief(&mut bench, (second, &invite), 7200);
    let (third, invite) = bench.request();
    assert_eq!((said(&invite), invite.header(h::CSEQ).unwrap().number), ((7200, 7200), 3));
    grant(&mut bench, (third, &invite), 2000, 7200, true);
    assert_eq!(heard(&mut bench), ["connected", "answer 2000"]);
    bench.sent.clear();
    // What they want counts in the call too (§7.4).
    bench.run(Duration::from_secs(3601));
    let (_, refresh) = bench.request();
    assert_eq!((refresh.method(), said(&refresh)), (Some(Method::Update), (7200, 7200)));
}

#[test]
fn a_422_that_wants_no_more_or_comes_for_ever_is_a_refusal() {
    let (mut bench, transaction, invite) = calling(options(), true);
    too_brief(&mut bench, (transaction, &invite), 1800);
    bench.nothing_sent();
    assert_eq!(heard(&mut bench), ["Refused"]);
    let (mut bench, mut transaction, mut invite) = calling(options(), true);
    for more in 1..=8 {
        too_brief(&mut bench, (transaction, &invite), 1800 + more);
        (transaction, invite) = bench.request();
    }
    too_brief(&mut bench, (transaction, &invite), 9999);
    bench.nothing_sent();
    assert_eq!((heard(&mut bench), bench.dum.counts()), (vec!["Refused".to_owned()], crate::Counts::default()));
}

#[test]
fn a_refresh_that_is_too_brief_is_sent_again_at_once() {
    let (mut bench, _) = connected(true);
    bench.run(Duration::from_secs(50));
    let (first, update) = bench.request();
    assert_eq!((update.method(), said(&update)), (Some(Method::Update), (100, 90)));
    too_brief(&mut bench, (first, &update), 200);
    let (second, update) = bench.request();
    assert_eq!((update.method(), said(&update)), (Some(Method::Update), (200, 200)));
    too_brief(&mut bench, (second, &update), 400);
    let (third, update) = bench.request();
    assert_eq!(said(&update), (400, 400));
    grant(&mut bench, (third, &update), 0, 400, true);
    bench.run(Duration::from_secs(199));
    bench.nothing_sent();
    bench.run(Duration::from_secs(1));
    let (transaction, update) = bench.request();
    assert_eq!(said(&update), (400, 400));
    // One that wants nothing new is left to the timer, and the session ends in its time.
    too_brief(&mut bench, (transaction, &update), 400);
    bench.nothing_sent();
    assert_eq!(heard(&mut bench), [""; 0]);
    bench.run(Duration::from_secs(200));
    assert_eq!(heard(&mut bench), ["SessionExpired"]);
}

#[test]
fn a_re_invite_that_is_too_brief_offers_the_same_again() {
    // A refresh by a peer that has no UPDATE, then changes of the application's.
    let (mut bench, _) = connected(false);
    bench.run(Duration::from_secs(50));
    let again = |bench: &mut Bench<Ears>, method: Method<'_>, port: u16, least: u32| {
        let (transaction, change) = bench.request();
        assert_eq!(change.method(), Some(method));
        too_brief(bench, (transaction, &change), least);
        let (transaction, second) = bench.request();
        assert_eq!((second.method(), said(&second)), (change.method(), (least, least)));
        assert_eq!((second.body(), port_of(&Sdp::parse(&second.body_bytes()).unwrap())), (change.body(), port));
        (transaction, second)
    };
    let (transaction, refresh) = again(&mut bench, Method::Invite, 1000, 200);
    grant(&mut bench, (transaction, &refresh), 2000, 200, false);
    let call = call(&bench);
    bench.sent.clear();
    assert_eq!(heard(&mut bench), ["answer 2000"]);
    for (method, least) in [(Method::Invite, 300), (Method::Update, 400)] {
        bench
            .with(|_, dum| match method {
                Method::Update => call.update(dum, &sdp(1002)),
                _ => call.provide_offer(dum, &sdp(1002)),
            })
            .unwrap();
        let (transaction, change) = again(&mut bench, method, 1002, least);
        grant(&mut bench, (transaction, &change), 2002, least, false);
        assert_eq!(heard(&mut bench), ["answer 2002"]);
        bench.sent.clear();
    }
    // What is no use is told.
    bench.with(|_, dum| call.provide_offer(dum, &sdp(1004))).unwrap();
    let (transaction, change) = bench.request();
    too_brief(&mut bench, (transaction, &change), 400);
    bench.nothing_sent();
    assert_eq!(heard(&mut bench), ["rejected 422"]);
    assert_eq!(bench.with(|_, dum| call.local_sdp(dum)).map(|sdp| port_of(&sdp)), Some(1002));
}

/// §7.4: the largest that anybody has said.
#[test]
fn the_least_that_the_peer_says_is_heeded_by_ours() {
    let (mut bench, invite) = connected(true);
    let mut refresh = of_peer(&invite, &Method::Update, 5);
    refresh.set_body(None, "");
    refresh.push_back(h::SUPPORTEDS, "timer");
    refresh.set(h::SESSION_EXPIRES, "500;refresher=uas");
    refresh.set(h::MIN_SE, &300);
    bench.ask(3, refresh);
    let (_, ok) = bench.response();
    assert_eq!((ok.status(), ok.header(h::SESSION_EXPIRES).unwrap().seconds), (Some(200), 500));
    bench.run(Duration::from_secs(251));
    assert_eq!(said(&bench.request().1), (500, 300));
}

#[test]
fn the_profile_of_a_call_says_how_long_its_session_lasts() {
    for (time, granted) in [(200, Some(200)), (0, None)] {
        let mut bench = Bench::with_options(Ears::default(), options());
        bench.ask(1, asked(|msg| msg.push_back(h::SUPPORTEDS, "timer")));
        let call = call(&bench);
        bench.with(|_, dum| {
            let mut profile = dum.master_profile().user_profile();
            profile.set_session_time(Duration::from_secs(time));
            call.as_server().set_profile(dum, &Arc::new(profile)).unwrap();
            call.provide_answer(dum, &sdp(2000)).unwrap();
            call.as_server().accept(dum).unwrap();
        });
        let (_, answer) = bench.response();
        assert_eq!(answer.header(h::SESSION_EXPIRES).ok().map(|value| value.seconds), granted);
    }
}

/// RFC 4028 §7.4: what the INVITE said counts for all that is sent in the call, by the callee too.
#[test]
fn a_callee_asks_for_no_less_than_the_way_of_the_invite_wanted() {
    let mut bench = Bench::with_options(Ears::default(), options());
    bench.ask(
        1,
        asked(|msg| {
            msg.push_back(h::SUPPORTEDS, "timer");
            msg.set(h::SESSION_EXPIRES, "3600;refresher=uas");
            msg.set(h::MIN_SE, &2400);
        }),
    );
    let own = call(&bench);
    bench.with(|_, dum| own.provide_answer(dum, &sdp(2000)).and_then(|()| own.as_server().accept(dum))).unwrap();
    let (_, ok) = bench.response();
    assert_eq!(ok.header(h::SESSION_EXPIRES).unwrap().to_string(), "2400;refresher=uas");
    let tag = ok.header(h::TO).unwrap().param(stack::header::p::TAG).unwrap().to_owned();
    bench.event(stack::tu::TuEvent::Ack { msg: super::tests::within(&Method::Ack, 1, &tag).into() });
    bench.run(Duration::from_secs(1201));
    let (_, refresh) = bench.request();
    assert_eq!(said(&refresh), (2400, 2400));
}

/// A proxy on the way has asked for a session timer: the next INVITE asks for one itself, and once.
#[test]
fn a_422_to_who_asked_for_no_session_timer_is_heeded_once() {
    let mut options = options();
    options.master.user_mut().set_session_time(Duration::ZERO);
    let (mut bench, transaction, invite) = calling(options, true);
    assert!(!invite.exists(h::SESSION_EXPIRES));
    too_brief(&mut bench, (transaction, &invite), 600);
    let (transaction, invite) = bench.request();
    assert_eq!(said(&invite), (600, 600));
    too_brief(&mut bench, (transaction, &invite), 600);
    bench.nothing_sent();
    assert_eq!(heard(&mut bench), ["Refused"]);
}

/// RFC 4028 §7.1, §9: who refreshes is as the profile of the caller has it, else as that of the callee.
#[test]
fn who_refreshes_is_said_by_the_profile() {
    use crate::profile::SessionTimerMode::*;
    let with = |mode| {
        let mut options = options();
        options.master.user_mut().set_session_timer_mode(mode);
        options
    };
    let refresher = |msg: &Message| {
        let value = msg.header(h::SESSION_EXPIRES).unwrap();
        value.param(p::REFRESHER).map(str::to_owned)
    };
    for (mode, asks, grants) in [
        (PreferUac, None, "uac"),
        (PreferUas, Some("uas"), "uas"),
        (PreferLocal, Some("uac"), "uas"),
        (PreferRemote, Some("uas"), "uac"),
    ] {
        let (mut bench, transaction, invite) = calling(with(mode), true);
        assert_eq!(refresher(&invite).as_deref(), asks, "{mode:?}");
        too_brief(&mut bench, (transaction, &invite), 3600);
        let (_, invite) = bench.request();
        assert_eq!((refresher(&invite).as_deref(), said(&invite)), (asks, (3600, 3600)), "{mode:?}");
        let mut bench = Bench::with_options(Ears::default(), with(mode));
        let invite = asked(|msg| {
            msg.push_back(h::SUPPORTEDS, "timer");
            msg.set(h::SESSION_EXPIRES, &600);
        });
        bench.ask(1, invite);
        let call = call(&bench);
        bench
            .with(|_, dum| {
                call.provide_answer(dum, &sdp(1000)).unwrap();
                call.as_server().accept(dum)
            })
            .unwrap();
        let (_, answer) = bench.response();
        assert_eq!((answer.status(), refresher(&answer).as_deref()), (Some(200), Some(grants)), "{mode:?}");
    }
}

/// RFC 4028 §4, §6, §7.1: the least that a profile agrees to, of calls of ours and of others, at the beginning and later.
#[test]
fn the_least_is_for_the_profile_to_say() {
    let with = |least| {
        let mut options = options();
        options
            .master
            .user_mut()
            .set_min_session_time(Duration::from_secs(least))
            .set_session_time(Duration::from_secs(200));
        options
    };
    // Less than 90 there is not, and 90 need not be said.
    assert_eq!(said(&calling(with(10), true).2), (200, 0));
    let (mut bench, transaction, invite) = calling(with(300), true);
    assert_eq!(said(&invite), (300, 300));
    too_brief(&mut bench, (transaction, &invite), 400);
    let (transaction, again) = bench.request();
    assert_eq!(said(&again), (400, 400));
    grant(&mut bench, (transaction, &again), 2000, 400, true);
    bench.sent.clear();
    let of = |length: u32| {
        let mut refresh = of_peer(&invite, &Method::Update, 5);
        refresh.set_body(None, "");
        refresh.push_back(h::SUPPORTEDS, "timer");
        refresh.set(h::SESSION_EXPIRES, &length);
        refresh
    };
    let least = |msg: &Message| msg.header(h::MIN_SE).unwrap().seconds;
    bench.ask(3, of(299));
    let (_, refused) = bench.response();
    assert_eq!((refused.status(), least(&refused)), (Some(422), 300));
    bench.ask(4, of(300));
    assert_eq!(bench.response().1.status(), Some(200));
    // One that is asked to take a call, by the master's profile or by its own.
    let begin = |length: u32| {
        asked(|msg| {
            msg.push_back(h::SUPPORTEDS, "timer");
            msg.set(h::SESSION_EXPIRES, &length);
        })
    };
    let mut bench = Bench::with_options(Ears::default(), with(300));
    bench.ask(1, begin(299));
    let (_, refused) = bench.response();
    assert_eq!((refused.status(), least(&refused), bench.dum.counts().sessions), (Some(422), 300, 0));
    for (length, expected) in [(599, Err(SessionError::Ended(crate::UsageEnded))), (600, Ok(()))] {
        let mut bench = Bench::with_options(Ears::default(), with(300));
        bench.ask(1, begin(length));
        let call = call(&bench).as_server();
        let answered = bench.with(|_, dum| {
            let mut profile = dum.master_profile().user_profile();
            profile.set_min_session_time(Duration::from_secs(600));
            call.set_profile(dum, &Arc::new(profile))?;
            call.provide_answer(dum, &sdp(2000)).and_then(|()| call.accept(dum))
        });
        assert_eq!(answered, expected);
        let (_, response) = bench.response();
        match expected {
            Ok(()) => assert_eq!(response.header(h::SESSION_EXPIRES).unwrap().seconds, 600),
            Err(_) => assert_eq!((response.status(), least(&response)), (Some(422), 600)),
        }
    }
}
