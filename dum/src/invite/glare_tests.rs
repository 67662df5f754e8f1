//! Changes that a 491 has put off: each is made once more, or the application hears that it is not.

use super::crossing_tests::of_peer;
use super::ears::{Ears, call, calling, heard, options, port_of, respond, sdp};
use super::prack_tests::ringing;
use super::tests::{asked, within};
use super::*;
use crate::testing::Bench;
use stack::contents::sdp::Direction;
use stack::header::{h, p};
use stack::transaction::Command;
use stack::tu::TuEvent;
use std::time::Duration;

fn keep(_: &mut Message) {}

/// A call of ours that stands, and its INVITE.
fn connected() -> (Bench<Ears>, Message) {
    let (mut bench, transaction, invite) = calling(options(), true);
    respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), keep);
    bench.sent.clear();
    heard(&mut bench);
    (bench, invite)
}

/// The change that was sent gets this answer; its method and description.
fn answered(bench: &mut Bench<Ears>, code: u16, port: u16) -> (String, Option<Sdp>) {
    let (transaction, msg) = bench.request();
    respond(bench, (transaction, &msg), code, ("one", port, 0), keep);
    let offer = (!msg.body().is_empty()).then(|| Sdp::parse(&msg.body_bytes()).unwrap());
    (msg.method().unwrap().as_str().to_owned(), offer)
}

/// A call that is held, which meets another change: it waits.
fn held() -> (Bench<Ears>, Message) {
    let (mut bench, invite) = connected();
    let call = call(&bench);
    bench.with(|_, dum| call.hold(dum)).unwrap();
    assert_eq!(answered(&mut bench, 491, 0).0, "INVITE");
    assert_eq!(heard(&mut bench), [""; 0]);
    (bench, invite)
}

const LONG: Duration = Duration::from_secs(5);

#[test]
fn it_waits_for_what_is_under_way_and_follows_on_what_was_agreed_meanwhile() {
    let (mut bench, invite) = held();
    let call = call(&bench);
    // The change of the peer comes first, and takes its time.
    let mut change = of_peer(&invite, &Method::Invite, 5);
    change.set_body(Some("application/sdp"), sdp(2002).print());
    bench.ask(3, change);
    bench.run(LONG);
    bench.nothing_sent();
    let mut answer = sdp(1004);
    answer.continue_from(&bench.with(|_, dum| call.local_sdp(dum)).unwrap()).unwrap();
    bench.with(|_, dum| call.provide_answer(dum, &answer)).unwrap();
    assert_eq!(bench.response().1.status(), Some(200));
    bench.run(LONG);
    let repeated = std::mem::take(&mut bench.sent);
    assert!(repeated.iter().all(|sent| matches!(sent, Command::Respond { .. })), "{repeated:?}");
    let mut ack = of_peer(&invite, &Method::Ack, 5);
    ack.set_body(None, "");
    bench.event(TuEvent::Ack { msg: ack.into() });
    bench.run(LONG);
    let (method, offer) = answered(&mut bench, 200, 2002);
    let offer = offer.unwrap();
    assert_eq!((&*method, offer.media().next().unwrap().direction()), ("INVITE", Direction::SendOnly));
    let version = |sdp: &Sdp| sdp.origin().unwrap().version;
    assert_eq!(version(&offer), version(&answer) + 1);
    assert_eq!(heard(&mut bench), ["offer 2002", "answer 2002"]);
}

#[test]
fn a_callee_who_accepts_meanwhile_makes_it_after_the_ack() {
    let (mut bench, tag, rseq) = ringing();
    let call = call(&bench);
    let mut prack = within(&Method::Prack, 2, &tag);
    prack.set(h::RACK, &format!("{rseq} 1 INVITE"));
    bench.ask(2, prack);
    assert_eq!(bench.response().1.status(), Some(200));
    bench.with(|_, dum| call.update(dum, &sdp(2002))).unwrap();
    assert_eq!(answered(&mut bench, 491, 0).0, "UPDATE");
    bench.with(|_, dum| call.as_server().accept(dum)).unwrap();
    bench.run(LONG);
    let repeated = std::mem::take(&mut bench.sent);
    assert!(repeated.iter().all(|sent| matches!(sent, Command::Respond { .. })), "{repeated:?}");
    bench.event(TuEvent::Ack { msg: within(&Method::Ack, 1, &tag).into() });
    bench.run(LONG);
    let (method, offer) = answered(&mut bench, 200, 4002);
    assert_eq!((&*method, offer.map(|offer| port_of(&offer))), ("INVITE", Some(2002)));
    assert_eq!(heard(&mut bench).last().map(String::as_str), Some("answer 4002"));
}

#[test]
fn what_is_overtaken_or_does_not_fit_any_more_is_told() {
    // The application wants something else.
    let (mut bench, _) = held();
    let call = call(&bench);
    bench.with(|_, dum| call.provide_offer(dum, &sdp(1006))).unwrap();
    assert_eq!(heard(&mut bench), ["rejected 491"]);
    assert_eq!(answered(&mut bench, 200, 2006).1.map(|offer| port_of(&offer)), Some(1006));
    bench.sent.clear();
    bench.run(LONG);
    bench.nothing_sent();
    assert_eq!(heard(&mut bench), ["answer 2006"]);
    // Both have agreed on two streams; an offer has no fewer (RFC 3264 §8).
    let (mut bench, invite) = held();
    let call = self::call(&bench);
    let two =
        |port: u16| Sdp::parse(&[&sdp(port).print()[..], b"m=video 6000 RTP/AVP 31\r\n"].concat().into()).unwrap();
    let mut change = of_peer(&invite, &Method::Update, 5);
    change.set_body(Some("application/sdp"), two(2002).print());
    bench.ask(3, change);
    bench.with(|_, dum| call.provide_answer(dum, &two(1002))).unwrap();
    bench.sent.clear();
    bench.run(LONG);
    bench.nothing_sent();
    assert_eq!(heard(&mut bench), ["offer 2002", "rejected 491"]);
    // The end of the call says what there is to say.
    let (mut bench, invite) = held();
    let mut bye = of_peer(&invite, &Method::Bye, 5);
    bye.set_body(None, "");
    bench.ask(3, bye);
    bench.sent.clear();
    bench.run(LONG);
    bench.nothing_sent();
    assert_eq!(heard(&mut bench), ["RemoteBye"]);
}

#[test]
fn a_peer_that_is_never_ready_is_told_of() {
    let (mut bench, _) = held();
    for _ in 0..9 {
        bench.run(LONG);
        assert_eq!(answered(&mut bench, 491, 0).0, "INVITE");
        assert_eq!(heard(&mut bench), [""; 0]);
    }
    bench.run(LONG);
    assert_eq!(answered(&mut bench, 491, 0).0, "INVITE");
    assert_eq!(heard(&mut bench), ["rejected 491"]);
    bench.run(LONG);
    bench.nothing_sent();
    // The next one has as many attempts.
    let call = call(&bench);
    bench.with(|_, dum| call.hold(dum)).unwrap();
    answered(&mut bench, 491, 0);
    bench.run(LONG);
    assert_eq!((answered(&mut bench, 200, 2000).0, heard(&mut bench)), ("INVITE".into(), vec!["answer 2000".into()]));
}

#[test]
fn a_wish_for_an_offer_is_made_once_more_too() {
    let (mut bench, _) = connected();
    let call = call(&bench);
    bench.with(|_, dum| call.request_offer(dum)).unwrap();
    assert_eq!(answered(&mut bench, 491, 0), ("INVITE".to_owned(), None));
    bench.run(LONG);
    assert_eq!(answered(&mut bench, 200, 2002), ("INVITE".to_owned(), None));
    assert_eq!(heard(&mut bench), ["offer 2002"]);
}

/// RFC 4028 §7.4: a change refreshes the session too, so while one is put off nothing else is sent for that.
#[test]
fn a_change_that_is_put_off_is_the_refresh() {
    let (mut bench, transaction, invite) = calling(options(), true);
    respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), |msg| {
        msg.set(h::SESSION_EXPIRES, "600;refresher=uac");
    });
    bench.sent.clear();
    heard(&mut bench);
    bench.run(Duration::from_secs(299));
    let call = call(&bench);
    bench.with(|_, dum| call.hold(dum)).unwrap();
    assert_eq!(answered(&mut bench, 491, 0).0, "INVITE");
    // The session's half is over before the change is made once more.
    bench.run(Duration::from_millis(1500));
    bench.nothing_sent();
    bench.run(LONG);
    assert_eq!(answered(&mut bench, 200, 2000).0, "INVITE");
    assert_eq!(heard(&mut bench), ["answer 2000"]);
}

#[test]
fn what_was_an_update_stays_one() {
    let (mut bench, _) = connected();
    let call = call(&bench);
    bench.with(|_, dum| call.update(dum, &sdp(1002))).unwrap();
    assert_eq!(answered(&mut bench, 491, 0).0, "UPDATE");
    bench.run(LONG);
    let (method, offer) = answered(&mut bench, 200, 2002);
    assert_eq!((&*method, offer.map(|offer| port_of(&offer))), ("UPDATE", Some(1002)));
    assert_eq!(heard(&mut bench), ["answer 2002"]);
}

/// Its provisional response has answered the offer: what the 491 refuses is the rest of the INVITE.
#[test]
fn a_change_that_was_settled_is_not_made_again() {
    let (mut bench, _) = connected();
    let call = call(&bench);
    bench.with(|_, dum| call.provide_offer(dum, &sdp(1002))).unwrap();
    let (transaction, msg) = bench.request();
    respond(&mut bench, (transaction, &msg), 183, ("one", 2002, 7), keep);
    let (prack, acknowledged) = bench.request();
    respond(&mut bench, (prack, &acknowledged), 200, ("one", 0, 0), keep);
    respond(&mut bench, (transaction, &msg), 491, ("one", 0, 0), keep);
    assert_eq!(heard(&mut bench), ["answer 2002", "rejected 491"]);
    bench.run(LONG);
    bench.nothing_sent();
    assert!(bench.with(|_, dum| call.is_connected(dum)));
}

/// RFC 4028 §10: the application has offered nothing, so it hears nothing, and the refresh is tried again.
#[test]
fn a_refresh_that_is_refused_is_tried_again_and_not_told() {
    for code in [488, 491, 500] {
        let (mut bench, transaction, invite) = calling(options(), true);
        respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), |msg| {
            msg.set(h::SESSION_EXPIRES, "600;refresher=uac");
            msg.remove(h::ALLOWS);
        });
        bench.sent.clear();
        heard(&mut bench);
        bench.run(Duration::from_secs(301));
        let (method, offer) = answered(&mut bench, code, 0);
        assert_eq!((&*method, offer.map(|offer| port_of(&offer))), ("INVITE", Some(1000)));
        let acknowledged = bench.sent.len();
        bench.run(Duration::from_secs(200));
        bench.sent.drain(..acknowledged);
        let (method, offer) = answered(&mut bench, 200, 2000);
        assert_eq!((&*method, offer.map(|offer| port_of(&offer))), ("INVITE", Some(1000)), "{code}");
        assert_eq!(heard(&mut bench), ["answer 2000"], "{code}");
        let call = call(&bench);
        assert!(bench.with(|_, dum| call.is_connected(dum)));
        // A change of its own it does hear of.
        bench.sent.clear();
        bench.with(|_, dum| call.provide_offer(dum, &sdp(1002))).unwrap();
        answered(&mut bench, 488, 0);
        assert_eq!(heard(&mut bench), ["rejected 488"], "{code}");
    }
}

/// A refresh stays one when it is made once more for a longer session.
#[test]
fn a_refresh_that_was_too_brief_and_is_refused_then_is_not_told() {
    let (mut bench, transaction, invite) = calling(options(), true);
    respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), |msg| {
        msg.set(h::SESSION_EXPIRES, "600;refresher=uac");
        msg.remove(h::ALLOWS);
    });
    bench.sent.clear();
    heard(&mut bench);
    bench.run(Duration::from_secs(301));
    let (transaction, msg) = bench.request();
    respond(&mut bench, (transaction, &msg), 422, ("one", 0, 0), |msg| msg.set(h::MIN_SE, &900));
    assert_eq!(answered(&mut bench, 488, 0).0, "INVITE");
    assert_eq!(heard(&mut bench), [""; 0]);
}

/// RFC 4028 §9: what a 2xx does not grant does not last.
#[test]
fn a_session_that_is_not_granted_again_has_no_end() {
    let mut options = options();
    options.master.user_mut().set_session_time(Duration::ZERO);
    let mut bench = Bench::with_options(Ears::default(), options);
    bench.ask(
        1,
        asked(|msg| {
            msg.push_back(h::SUPPORTEDS, "timer");
            msg.set(h::SESSION_EXPIRES, "600;refresher=uac");
        }),
    );
    let call = call(&bench);
    bench.with(|_, dum| call.provide_answer(dum, &sdp(2000)).and_then(|()| call.as_server().accept(dum))).unwrap();
    let ok = bench.response().1;
    assert!(ok.exists(h::SESSION_EXPIRES));
    let tag = ok.header(h::TO).unwrap().param(p::TAG).unwrap().to_owned();
    bench.event(TuEvent::Ack { msg: within(&Method::Ack, 1, &tag).into() });
    let mut update = within(&Method::Update, 2, &tag);
    update.push_back(h::SUPPORTEDS, "timer");
    bench.ask(2, update);
    let ok = bench.response().1;
    assert_eq!((ok.status(), ok.exists(h::SESSION_EXPIRES)), (Some(200), false));
    bench.run(Duration::from_secs(1200));
    bench.nothing_sent();
    assert!(bench.with(|_, dum| call.is_connected(dum)));
}
