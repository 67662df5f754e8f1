//! Offers that are answered late, or never. That of a 2xx: its ACK is the user agent's, not the transaction's (RFC 3261 §13.2.2.4, RFC
//! 6026 §7.2).

use super::crossing_tests::of_peer;
use super::ears::{Ears, call, calling, heard, options, port_of, respond, sdp};
use super::tests::asked;
use super::*;
use crate::testing::Bench;
use stack::header::h;
use stack::transaction::Command;
use stack::tu::testing::Harness;
use stack::tu::{ClientTransaction, NoResponse, TuEvent};
use std::time::Duration;

fn keep(_: &mut Message) {}

/// The ports of the ACKs that were sent, and nothing else was.
fn acks(bench: &mut Bench<Ears>) -> Vec<u16> {
    let port = |sent| match sent {
        Command::SendStateless { msg, .. } if msg.method() == Some(Method::Ack) => {
            port_of(&Sdp::parse(&msg.body_bytes()).unwrap())
        }
        other => panic!("no ACK: {other:?}"),
    };
    std::mem::take(&mut bench.sent).into_iter().map(port).collect()
}

/// A 2xx has brought an offer, of the first INVITE or of a later one.
fn offered(first: bool) -> (Bench<Ears>, ClientTransaction, Message) {
    let (mut bench, transaction, invite) = calling(options(), !first);
    respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), keep);
    if first {
        bench.nothing_sent();
        assert_eq!(heard(&mut bench), ["connected", "offer 2000"]);
        return (bench, transaction, invite);
    }
    bench.sent.clear();
    let call = call(&bench);
    bench.with(|_, dum| call.request_offer(dum)).unwrap();
    let (transaction, invite) = bench.request();
    respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), keep);
    bench.nothing_sent();
    (bench, transaction, invite)
}

#[test]
fn each_2xx_that_comes_again_is_acknowledged_with_the_answer() {
    for first in [true, false] {
        let (mut bench, transaction, invite) = offered(first);
        // Not before there is one.
        respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), keep);
        bench.nothing_sent();
        let call = call(&bench);
        bench.with(|_, dum| call.provide_answer(dum, &sdp(1002))).unwrap();
        assert_eq!(acks(&mut bench), [1002]);
        for _ in 0..3 {
            respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), keep);
        }
        assert_eq!(acks(&mut bench), [1002; 3]);
    }
}

/// By its CSeq number, whatever was agreed since, and whatever waits.
#[test]
fn each_2xx_that_comes_late_has_its_own_ack() {
    let acked = |bench: &mut Bench<Ears>| {
        let number = |sent| match sent {
            Command::SendStateless { msg, .. } if msg.method() == Some(Method::Ack) => {
                (msg.header(h::CSEQ).unwrap().number, msg.body().is_empty())
            }
            other => panic!("no ACK: {other:?}"),
        };
        std::mem::take(&mut bench.sent).into_iter().map(number).collect::<Vec<_>>()
    };
    let (mut bench, transaction, invite) = calling(options(), true);
    respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), keep);
    assert_eq!(acked(&mut bench), [(1, true)]);
    let (call, mut all) = (call(&bench), vec![(transaction, invite)]);
    let change = |bench: &mut Bench<Ears>, offer: bool| {
        bench.with(|_, dum| if offer { call.provide_offer(dum, &sdp(1002)) } else { call.request_offer(dum) }).unwrap();
        let (transaction, invite) = bench.request();
        respond(bench, (transaction, &invite), 200, ("one", 2000, 0), keep);
        (transaction, invite)
    };
    all.push(change(&mut bench, true));
    assert_eq!(acked(&mut bench), [(2, true)]);
    let waits = change(&mut bench, false);
    for ((transaction, invite), number) in all.iter().zip(1..) {
        respond(&mut bench, (*transaction, invite), 200, ("one", 2000, 0), keep);
        assert_eq!(acked(&mut bench), [(number, true)]);
    }
    respond(&mut bench, (waits.0, &waits.1), 200, ("one", 2000, 0), keep);
    bench.nothing_sent();
    bench.with(|_, dum| call.provide_answer(dum, &sdp(1002))).unwrap();
    assert_eq!(acked(&mut bench), [(3, false)]);
    all.push(waits);
    // Four are kept.
    for _ in 0..2 {
        all.push(change(&mut bench, true));
        bench.sent.clear();
    }
    for ((transaction, invite), number) in all.iter().zip(1..) {
        respond(&mut bench, (*transaction, invite), 200, ("one", 2000, 0), keep);
        assert_eq!(acked(&mut bench), if number == 1 { vec![] } else { vec![(number, number != 3)] });
    }
}

#[test]
fn an_answer_after_timer_m_is_sent_all_the_same() {
    for first in [true, false] {
        let (mut bench, transaction, _) = offered(first);
        bench.event(TuEvent::ClientEnded { transaction });
        let call = call(&bench);
        assert!(bench.with(|_, dum| call.is_connected(dum)));
        bench.with(|_, dum| call.provide_answer(dum, &sdp(1002))).unwrap();
        assert_eq!(acks(&mut bench), [1002]);
        // The call stands, and leaves nothing.
        assert_eq!(bench.with(|_, dum| call.hold(dum)), Ok(()));
        bench.sent.clear();
        bench.with(|_, dum| call.end(dum)).unwrap();
        let (bye, msg) = bench.request();
        assert_eq!(msg.method(), Some(Method::Bye));
        bench.respond(bye, &msg, 200);
        assert_eq!(
            (bench.dum.counts().sessions, bench.dum.counts().dialog_sets),
            (usize::from(!first), usize::from(!first))
        );
    }
}

/// RFC 3261 §13.2.2.4: who does not want it after all acknowledges the 2xx with an answer that takes no stream, and ends the
/// call.
#[test]
fn an_offer_that_is_not_wanted_is_answered_before_the_call_ends() {
    type End = fn(&mut Bench<Ears>, &Message);
    let reject: End = |bench, _| {
        let call = call(bench);
        bench.with(|_, dum| call.reject_offer(dum, 488)).unwrap();
    };
    let hang_up: End = |bench, _| {
        let call = call(bench);
        bench.with(|_, dum| call.end(dum)).unwrap();
    };
    let bye: End = |bench, invite| {
        let mut bye = of_peer(invite, &Method::Bye, 1);
        bye.set_body(None, "");
        bench.ask(9, bye);
    };
    let gone: End = |bench, _| {
        let call = call(bench);
        bench.with(|_, dum| call.info(dum, "text/plain", "?")).unwrap();
        let (info, msg) = bench.request();
        bench.respond(info, &msg, 481);
    };
    let expire: End = |bench, invite| {
        let mut update = of_peer(invite, &Method::Update, 1);
        update.set_body(None, "");
        update.set(h::SESSION_EXPIRES, "100;refresher=uac");
        update.push_back(h::SUPPORTEDS, "timer");
        bench.ask(9, update);
        bench.run(Duration::from_secs(100));
    };
    for (first, over, end, why) in [
        (true, false, gone, "Gone"),
        (true, false, expire, "SessionExpired"),
        (false, false, bye, "RemoteBye"),
        (false, true, bye, "RemoteBye"),
        (false, false, gone, "Gone"),
        (false, false, expire, "SessionExpired"),
        (true, true, reject, "LocalBye"),
        (true, false, hang_up, "LocalBye"),
        (true, false, bye, "RemoteBye"),
        (false, false, reject, "LocalBye"),
        (false, true, hang_up, "LocalBye"),
    ] {
        let (mut bench, transaction, invite) = offered(first);
        heard(&mut bench);
        if over {
            bench.event(TuEvent::ClientEnded { transaction });
        }
        end(&mut bench, &invite);
        let at = bench.sent.iter().position(|sent| matches!(sent, Command::SendStateless { .. }));
        let Some(Command::SendStateless { msg: ack, .. }) = at.and_then(|at| bench.sent.remove(at)) else {
            panic!("no ACK: {:?}", bench.sent)
        };
        let answer = Sdp::parse(&ack.body_bytes()).expect("an answer");
        assert_eq!((ack.method(), port_of(&answer), answer.media().count()), (Some(Method::Ack), 0, 1));
        if !first {
            // It comes behind what was agreed.
            assert!(String::from_utf8_lossy(&ack.body_bytes()).contains("o=- 1 2 IN IP4 192.0.2.9\r\n"));
        }
        assert_eq!(heard(&mut bench), [why]);
        bench.sent.clear();
        if !over && why == "LocalBye" {
            // The 2xx again has the same again.
            respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), keep);
            assert_eq!(acks(&mut bench), [0]);
        }
    }
}

/// The same where the INVITE was given up, and where another fork has been answered.
#[test]
fn an_offer_that_comes_too_late_is_answered_too() {
    let (mut bench, transaction, invite) = calling(options(), false);
    let own = call(&bench);
    bench.with(|_, dum| own.end(dum)).unwrap();
    bench.sent.clear();
    respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), keep);
    bench.sent.truncate(1);
    assert_eq!(acks(&mut bench), [0]);
    for (offers, ports) in [(false, 0), (true, 1000)] {
        let (mut bench, transaction, invite) = calling(options(), offers);
        respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), keep);
        bench.sent.clear();
        respond(&mut bench, (transaction, &invite), 200, ("two", 3000, 0), keep);
        let Some(Command::SendStateless { msg: ack, .. }) = bench.sent.pop_front() else { panic!("an ACK") };
        assert_eq!(Sdp::parse(&ack.body_bytes()).map_or(1000, |answer| port_of(&answer)), ports);
    }
}

/// RFC 3262 §5: the offer of a reliable provisional response is answered with the PRACK, whatever becomes of the call.
#[test]
fn an_early_offer_that_is_not_wanted_is_answered_before_the_call_is_cancelled() {
    let (mut bench, transaction, invite) = calling(options(), false);
    respond(&mut bench, (transaction, &invite), 183, ("one", 2000, 7), keep);
    bench.nothing_sent();
    let own = call(&bench);
    bench.with(|_, dum| own.reject_offer(dum, 488)).unwrap();
    let (prack, msg) = bench.request();
    assert_eq!((msg.method(), msg.header(h::RACK).unwrap().rseq), (Some(Method::Prack), 7));
    assert_eq!(port_of(&Sdp::parse(&msg.body_bytes()).unwrap()), 0);
    assert!(matches!(bench.sent.pop_front(), Some(Command::Cancel { .. })));
    bench.nothing_sent();
    respond(&mut bench, (prack, &msg), 200, ("one", 0, 0), keep);
    respond(&mut bench, (transaction, &invite), 487, ("one", 0, 0), keep);
    assert_eq!(heard(&mut bench), ["offer 2000", "LocalCancel"]);
    assert_eq!(bench.dum.counts(), crate::Counts::default());
    // One of two early dialogs ends with BYE.
    let (mut bench, transaction, invite) = calling(options(), false);
    respond(&mut bench, (transaction, &invite), 180, ("one", 0, 0), keep);
    respond(&mut bench, (transaction, &invite), 183, ("two", 2000, 7), keep);
    let own = call(&bench);
    bench.with(|_, dum| own.end(dum)).unwrap();
    let methods = [bench.request().1, bench.request().1].map(|msg| msg.method().unwrap().into_owned());
    assert_eq!(methods, [Method::Prack, Method::Bye]);
}

/// RFC 3311 §5.2: an UPDATE whose offer the application leaves unanswered is refused in time, and so is a PRACK.
#[test]
fn an_offer_that_must_be_answered_at_once_is_refused_with_504() {
    for late in [false, true] {
        let (mut bench, transaction, invite) = calling(options(), true);
        respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), keep);
        bench.sent.clear();
        let call = call(&bench);
        // The second waits as long as the first.
        for number in 5..7 {
            let mut change = of_peer(&invite, &Method::Update, number);
            change.set_body(Some("application/sdp"), sdp(2000 + number as u16).print());
            bench.ask(number, change);
            bench.run(Duration::from_secs(15));
            bench.nothing_sent();
            if late {
                bench.run(Duration::from_secs(2));
                assert_eq!(bench.response().1.status(), Some(504));
                let answered = bench.with(|_, dum| call.provide_answer(dum, &sdp(1002)));
                assert_eq!(answered, Err(SessionError::NotNow));
                let agreed = bench.with(|_, dum| call.remote_sdp(dum)).map(|sdp| port_of(&sdp));
                assert_eq!(agreed, Some(2000));
            } else {
                bench.with(|_, dum| call.provide_answer(dum, &sdp(1002))).unwrap();
                assert_eq!(bench.response().1.status(), Some(200));
            }
        }
        // What was answered, and a re-INVITE, which may ring, are not refused.
        let mut change = of_peer(&invite, &Method::Invite, 7);
        change.set_body(Some("application/sdp"), sdp(2104).print());
        bench.ask(7, change);
        bench.run(Duration::from_secs(60));
        assert!(bench.sent.iter().all(|sent| matches!(sent, Command::Respond { msg, .. } if msg.status() < Some(200))));
        // Nor does that last for ever: nobody could change anything.
        bench.sent.clear();
        bench.run(Duration::from_secs(121));
        assert_eq!(bench.response().1.status(), Some(488));
        // The call stands.
        assert!(bench.with(|_, dum| call.is_connected(dum)));
        assert_eq!(bench.with(|_, dum| call.hold(dum)), Ok(()));
    }
}

/// RFC 3311 §5.2: an UPDATE before the one before it is answered, whether it brings an offer or not.
#[test]
fn an_update_behind_another_that_is_not_answered_comes_too_early() {
    for offer in [true, false] {
        let (mut bench, transaction, invite) = calling(options(), true);
        respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), keep);
        bench.sent.clear();
        let own = call(&bench);
        let update = |number: u16, offer: bool| {
            let mut update = of_peer(&invite, &Method::Update, number.into());
            match offer {
                true => update.set_body(Some("application/sdp"), sdp(2000 + number).print()),
                false => update.set_body(None, ""),
            }
            update
        };
        bench.ask(5, update(5, true));
        bench.nothing_sent();
        bench.ask(6, update(6, offer));
        let (_, early) = bench.response();
        assert_eq!(early.status(), Some(500));
        assert!(early.header(h::RETRY_AFTER).unwrap().seconds <= 10);
        bench.with(|_, dum| own.provide_answer(dum, &sdp(1002))).unwrap();
        assert_eq!(bench.response().1.header(h::CSEQ).unwrap().number, 5);
        bench.ask(7, update(7, false));
        assert_eq!(bench.response().1.status(), Some(200));
    }
}

/// RFC 3261 §13.3.1: an INVITE that says how long it is meant.
#[test]
fn an_invitation_that_has_expired_is_refused_with_487() {
    for (expires, status, wait) in [(Some(20), 487, 20), (None, 480, 3600), (Some(7200), 487, 3600)] {
        let mut bench = Bench::with_options(Ears::default(), options());
        bench.ask(
            1,
            asked(|msg| {
                if let Some(seconds) = expires {
                    msg.set(h::EXPIRES, &seconds);
                }
            }),
        );
        let own = call(&bench);
        bench.run(Duration::from_secs(wait - 1));
        bench.nothing_sent();
        bench.with(|_, dum| own.as_server().provisional(dum, 180)).unwrap();
        bench.sent.clear();
        bench.run(Duration::from_secs(1));
        assert_eq!(
            (bench.response().1.status(), heard(&mut bench)),
            (Some(status), vec!["offer 4000".into(), "Timeout".into()])
        );
        assert_eq!(bench.dum.counts().sessions, 0);
    }
    // Answered in time it lasts.
    let mut bench = Bench::with_options(Ears::default(), options());
    bench.ask(1, asked(|msg| msg.set(h::EXPIRES, &20)));
    let own = call(&bench);
    bench.with(|_, dum| own.provide_answer(dum, &sdp(2000)).and_then(|()| own.as_server().accept(dum))).unwrap();
    bench.run(Duration::from_secs(25));
    assert!(bench.with(|_, dum| own.is_connected(dum)));
}

/// RFC 3261 §13.2.1: the same of an INVITE of ours; what rings does not prolong it.
#[test]
fn an_invitation_of_ours_that_has_expired_is_cancelled() {
    let mut bench = Bench::with_options(Ears::default(), options());
    bench.with(|app, dum| {
        let profile = dum.master_profile().user().clone();
        let mut invite = dum.make_invite(&profile, &super::tests::addr("<sip:bob@192.0.2.9>"), Some(&sdp(1000)));
        invite.set(h::EXPIRES, &20);
        app.calls.push(dum.send_invite(&profile, invite).unwrap().session());
    });
    let (transaction, invite) = bench.request();
    bench.run(Duration::from_secs(15));
    respond(&mut bench, (transaction, &invite), 180, ("one", 0, 0), keep);
    bench.run(Duration::from_secs(4));
    bench.nothing_sent();
    bench.run(Duration::from_secs(1));
    assert!(matches!(bench.sent.pop_front(), Some(Command::Cancel { .. })), "{:?}", bench.sent);
    respond(&mut bench, (transaction, &invite), 487, ("one", 0, 0), keep);
    assert_eq!(heard(&mut bench), ["Timeout"]);
}

#[test]
fn a_prack_whose_offer_is_left_unanswered_is_refused_with_504() {
    let (mut bench, prack) = super::prack_tests::with_offer();
    bench.ask(2, prack);
    bench.run(Duration::from_secs(15));
    bench.nothing_sent();
    bench.run(Duration::from_secs(2));
    let (_, answer) = bench.response();
    assert_eq!((answer.status(), answer.method()), (Some(504), Some(Method::Prack)));
    let call = call(&bench);
    bench.with(|_, dum| call.as_server().accept(dum)).unwrap();
    assert_eq!(bench.response().1.status(), Some(200));
}

/// A call of ours, which stands, with a change that was answered with 100.
fn stale(edit: impl FnOnce(&mut Message)) -> (Bench<Ears>, ClientTransaction, Message) {
    let (mut bench, transaction, invite) = calling(options(), true);
    respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), edit);
    bench.sent.clear();
    heard(&mut bench);
    let call = call(&bench);
    bench.with(|_, dum| call.provide_offer(dum, &sdp(1002))).unwrap();
    let (change, msg) = bench.request();
    respond(&mut bench, (change, &msg), 100, ("", 0, 0), keep);
    (bench, change, msg)
}

/// The request that was cancelled, and nothing else was sent.
fn cancelled(bench: &mut Bench<Ears>) -> Option<ClientTransaction> {
    let sent = bench.sent.pop_front().map(|sent| match sent {
        Command::Cancel { transaction, .. } => transaction,
        other => panic!("no CANCEL: {other:?}"),
    });
    bench.nothing_sent();
    sent
}

#[test]
fn a_change_that_nobody_answers_is_cancelled_and_the_call_lives() {
    let silence = |transaction| TuEvent::NoResponse { transaction, reason: NoResponse::Timeout };
    for code in [None, Some(408), Some(487)] {
        let (mut bench, change, msg) = stale(keep);
        let call = call(&bench);
        // Each provisional response begins the time anew.
        bench.run(Duration::from_secs(184));
        respond(&mut bench, (change, &msg), 180, ("one", 0, 0), keep);
        bench.run(Duration::from_secs(184));
        assert_eq!(cancelled(&mut bench), None);
        bench.run(Duration::from_secs(1));
        assert_eq!(cancelled(&mut bench), Some(change));
        // What comes behind the CANCEL changes nothing in that; it is sent once.
        respond(&mut bench, (change, &msg), 180, ("one", 0, 0), keep);
        bench.run(Duration::from_secs(31));
        assert_eq!((cancelled(&mut bench), heard(&mut bench)), (None, vec![]));
        match code {
            None => bench.event(silence(change)),
            Some(code) => respond(&mut bench, (change, &msg), code, ("one", 0, 0), keep),
        }
        assert_eq!(heard(&mut bench), [format!("rejected {}", code.unwrap_or(408))]);
        bench.run(Duration::from_secs(600));
        bench.nothing_sent();
        assert_eq!(bench.with(|_, dum| call.local_sdp(dum)).map(|sdp| port_of(&sdp)), Some(1000));
        // The next change has as much time, and its silence without a provisional response ends the call as ever.
        bench.with(|_, dum| call.provide_offer(dum, &sdp(1004))).unwrap();
        let (change, msg) = bench.request();
        respond(&mut bench, (change, &msg), 100, ("", 0, 0), keep);
        bench.run(Duration::from_secs(184));
        assert_eq!(cancelled(&mut bench), None);
        bench.event(silence(change));
        assert_eq!(heard(&mut bench), ["Timeout"]);
    }
}

#[test]
fn a_2xx_that_crosses_the_cancel_of_a_change_counts() {
    let (mut bench, change, msg) = stale(keep);
    bench.run(Duration::from_secs(185));
    assert_eq!(cancelled(&mut bench), Some(change));
    respond(&mut bench, (change, &msg), 200, ("one", 2002, 0), keep);
    assert_eq!(heard(&mut bench), ["answer 2002"]);
    assert_eq!(bench.sent.len(), 1, "the ACK alone: {:?}", bench.sent);
    let call = call(&bench);
    assert_eq!(bench.with(|_, dum| call.local_sdp(dum)).map(|sdp| port_of(&sdp)), Some(1002));
}

/// RFC 4028 §10: the refresh goes out as soon as the change is given up.
#[test]
fn a_change_that_nobody_answers_does_not_keep_the_session_from_its_refresh() {
    let (mut bench, change, _) = stale(|msg| {
        msg.set(h::SESSION_EXPIRES, "600;refresher=uac");
        msg.remove(h::ALLOWS);
    });
    bench.run(Duration::from_secs(185));
    assert_eq!(cancelled(&mut bench), Some(change));
    bench.event(TuEvent::NoResponse { transaction: change, reason: NoResponse::Timeout });
    assert_eq!(heard(&mut bench), ["rejected 408"]);
    bench.run(Duration::from_secs(116));
    let (refresh, msg) = bench.request();
    respond(&mut bench, (refresh, &msg), 100, ("", 0, 0), keep);
    // A refresh is given up too, and tried again; of that the application hears nothing.
    bench.run(Duration::from_secs(185));
    assert_eq!(cancelled(&mut bench), Some(refresh));
    bench.event(TuEvent::NoResponse { transaction: refresh, reason: NoResponse::Timeout });
    assert_eq!(heard(&mut bench), [""; 0]);
    bench.run(Duration::from_secs(70));
    let (refresh, msg) = bench.request();
    respond(&mut bench, (refresh, &msg), 200, ("one", 2000, 0), keep);
    let call = call(&bench);
    assert!(bench.with(|_, dum| call.is_connected(dum)));
}

/// A user who is asked "video?" need not be asked any more.
#[test]
fn a_change_that_is_not_to_be_answered_any_more_is_withdrawn() {
    for (method, offer, cancel, status) in [
        (Method::Invite, true, true, 487),
        (Method::Invite, false, true, 487),
        (Method::Invite, true, false, 488),
        (Method::Invite, false, false, 488),
        (Method::Update, true, false, 504),
    ] {
        let (mut bench, transaction, invite) = calling(options(), true);
        respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), keep);
        bench.sent.clear();
        heard(&mut bench);
        let mut change = of_peer(&invite, &method, 5);
        match offer {
            true => change.set_body(Some("application/sdp"), sdp(2002).print()),
            false => change.set_body(None, ""),
        }
        bench.ask(5, change);
        assert_eq!(heard(&mut bench), [if offer { "offer 2002" } else { "offer required" }]);
        match cancel {
            true => {
                let cancel = Message::request(&Method::Cancel, "sip:alice@192.0.2.1");
                bench.event(TuEvent::Cancelled { transaction: Harness::server(5), cancel: cancel.into() });
            }
            false => bench.run(Duration::from_secs(180)),
        }
        assert_eq!(bench.response().1.status(), Some(status));
        assert_eq!(heard(&mut bench), [if cancel { "withdrawn by CANCEL" } else { "withdrawn" }]);
        let call = call(&bench);
        bench.with(|_, dum| {
            assert_eq!(call.provide_answer(dum, &sdp(1002)), Err(SessionError::NotNow));
            assert_eq!(call.reject_offer(dum, 488), Err(SessionError::NotNow));
            assert_eq!(call.hold(dum), Ok(()));
        });
    }
    // What was answered before is not: the CANCEL comes too late.
    let (mut bench, transaction, invite) = calling(options(), true);
    respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), keep);
    heard(&mut bench);
    let mut change = of_peer(&invite, &Method::Invite, 5);
    change.set_body(Some("application/sdp"), sdp(2002).print());
    bench.ask(5, change);
    let call = call(&bench);
    bench.with(|_, dum| call.provide_answer(dum, &sdp(1002))).unwrap();
    let cancel = Message::request(&Method::Cancel, "sip:alice@192.0.2.1");
    bench.event(TuEvent::Cancelled { transaction: Harness::server(5), cancel: cancel.into() });
    assert_eq!(heard(&mut bench), ["offer 2002"]);
}

/// An application that has to know whether it may ask its user, or who says so, sees the message that brought a description.
#[test]
fn a_description_is_told_with_the_message_that_brought_it() {
    let (mut bench, transaction, invite) = calling(options(), true);
    let brought = |bench: &mut Bench<Ears>| std::mem::take(&mut bench.dum.application_mut().brought);
    respond(&mut bench, (transaction, &invite), 183, ("one", 2000, 7), keep);
    assert_eq!(brought(&mut bench), "183 INVITE");
    let (prack, msg) = bench.request();
    respond(&mut bench, (prack, &msg), 200, ("one", 0, 0), keep);
    respond(&mut bench, (transaction, &invite), 200, ("one", 0, 0), keep);
    bench.sent.clear();
    let call = call(&bench);
    bench.with(|_, dum| call.update(dum, &sdp(1002))).unwrap();
    let (update, msg) = bench.request();
    respond(&mut bench, (update, &msg), 200, ("one", 2002, 0), keep);
    assert_eq!(brought(&mut bench), "200 UPDATE");
    for (number, method, offers) in [(5, Method::Update, true), (6, Method::Invite, true), (7, Method::Invite, false)] {
        let mut change = of_peer(&invite, &method, number);
        change.set_body(Some("application/sdp"), sdp(2000 + number as u16).print());
        if !offers {
            change.set_body(None, "");
        }
        bench.ask(number, change);
        assert_eq!(brought(&mut bench), method.as_str());
        bench.with(|_, dum| call.reject_offer(dum, 488)).unwrap();
    }
    bench.with(|_, dum| call.request_offer(dum)).unwrap();
    bench.sent.drain(..bench.sent.len() - 1);
    let (again, msg) = bench.request();
    respond(&mut bench, (again, &msg), 200, ("one", 2010, 0), keep);
    assert_eq!(brought(&mut bench), "200 INVITE");
}
