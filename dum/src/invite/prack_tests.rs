//! PRACK: offers in it, and what becomes of it (RFC 3262 §5, RFC 6337 §2).

use super::ears::{Ears, call, calling, heard, options, port_of, respond, sdp};
use super::tests::{asked, within};
use super::*;
use crate::testing::Bench;
use crate::{Reliability, UsageEnded, UserProfile};
use stack::header::{h, p};
use stack::transaction::Command;
use stack::transport::TransportError;
use stack::tu::{ClientTransaction, NoResponse, TuEvent};
use std::sync::Arc;
use std::time::Duration;

fn keep(_: &mut Message) {}

/// What is agreed: here, there.
fn agreed(bench: &mut Bench<Ears>) -> [u16; 2] {
    let call = call(bench);
    bench.with(|_, dum| [call.local_sdp(dum), call.remote_sdp(dum)].map(|sdp| port_of(&sdp.unwrap())))
}

fn cancels(bench: &mut Bench<Ears>) -> usize {
    std::mem::take(&mut bench.sent).iter().filter(|command| matches!(command, Command::Cancel { .. })).count()
}

/// A call whose answer has come early, and been followed by an offer in the PRACK.
fn offered() -> (Bench<Ears>, (ClientTransaction, Message), (ClientTransaction, Message)) {
    let (mut bench, transaction, invite) = calling(options(), true);
    bench.dum.application_mut().with_prack = Some(sdp(1002));
    respond(&mut bench, (transaction, &invite), 183, ("one", 2000, 7), keep);
    let (prack, msg) = bench.request();
    assert_eq!((msg.method(), msg.header(h::RACK).unwrap().rseq), (Some(Method::Prack), 7));
    assert_eq!(port_of(&Sdp::parse(&msg.body_bytes()).unwrap()), 1002);
    bench.nothing_sent();
    assert_eq!(heard(&mut bench), ["answer 2000", "Ok(())"]);
    (bench, (transaction, invite), (prack, msg))
}

/// Pattern 5 of RFC 6337.
#[test]
fn an_offer_in_the_prack_is_answered_in_its_2xx() {
    for crossed in [false, true] {
        let (mut bench, (transaction, invite), (prack, msg)) = offered();
        let ok = |bench: &mut Bench<Ears>| {
            let grant = |msg: &mut Message| msg.set(h::SESSION_EXPIRES, "600;refresher=uac");
            respond(bench, (transaction, &invite), 200, ("one", 0, 0), grant);
            assert_eq!(bench.sent.len(), 1, "the ACK");
            bench.sent.clear();
        };
        let call = call(&bench);
        assert_eq!(bench.with(|_, dum| call.update(dum, &sdp(1))), Err(SessionError::NotNow));
        if crossed {
            ok(&mut bench);
        }
        respond(&mut bench, (prack, &msg), 200, ("one", 2002, 0), keep);
        if !crossed {
            ok(&mut bench);
        }
        let mut told = heard(&mut bench);
        told.sort();
        assert_eq!((told, agreed(&mut bench)), (vec!["answer 2002".to_owned(), "connected".into()], [1002, 2002]));
        // The PRACK has not ended the session timer.
        bench.run(Duration::from_secs(301));
        assert_eq!(bench.request().1.method(), Some(Method::Update));
    }
}

#[test]
fn an_offer_in_the_prack_that_is_refused_changes_nothing() {
    for (code, port, told) in [(488, 0, "rejected 488"), (200, 0, "rejected 200"), (500, 0, "rejected 500")] {
        let (mut bench, (transaction, invite), (prack, msg)) = offered();
        respond(&mut bench, (prack, &msg), code, ("one", port, 0), keep);
        assert_eq!((heard(&mut bench), agreed(&mut bench)), (vec![told.to_owned()], [1000, 2000]));
        respond(&mut bench, (transaction, &invite), 200, ("one", 0, 0), keep);
        assert_eq!(heard(&mut bench), ["connected"]);
        let call = call(&bench);
        assert_eq!(bench.with(|_, dum| call.hold(dum)), Ok(()));
    }
    // 491 is none of PRACK's answers; what it says is heeded all the same, by UPDATE.
    let (mut bench, _, (prack, msg)) = offered();
    respond(&mut bench, (prack, &msg), 491, ("one", 0, 0), keep);
    bench.run(Duration::from_secs(5));
    let (_, update) = bench.request();
    assert_eq!((update.method(), port_of(&Sdp::parse(&update.body_bytes()).unwrap())), (Some(Method::Update), 1002));
    assert_eq!(heard(&mut bench), [""; 0]);
}

#[test]
fn a_prack_offers_only_what_may_be_offered_and_while_it_is_due() {
    let with_prack = |bench: &mut Bench<Ears>| {
        let call = call(bench);
        bench.with(|_, dum| call.as_client().offer_with_prack(dum, &sdp(1002)))
    };
    let (mut bench, transaction, invite) = calling(options(), true);
    assert_eq!(with_prack(&mut bench), Err(SessionError::NotNow));
    respond(&mut bench, (transaction, &invite), 183, ("one", 2000, 7), keep);
    // It went out when the application had heard of the answer.
    assert_eq!(bench.request().1.method(), Some(Method::Prack));
    assert_eq!(with_prack(&mut bench), Err(SessionError::NotNow));
    bench.nothing_sent();
    // Who changes the session behind the answer does so behind the PRACK.
    let call = call(&bench);
    assert_eq!(bench.with(|_, dum| call.provide_offer(dum, &sdp(1002))), Ok(()));
    assert_eq!(bench.request().1.method(), Some(Method::Update));
}

/// RFC 3261 §12.2.1.2.
#[test]
fn a_prack_that_is_not_answered_ends_the_call() {
    type Answer = fn(&mut Bench<Ears>, ClientTransaction, &Message);
    let answers: [(Answer, &str); 3] = [
        (|bench, prack, msg| respond(bench, (prack, msg), 408, ("one", 0, 0), keep), "Timeout"),
        (
            |bench, transaction, _| {
                bench.event(TuEvent::NoResponse { transaction, reason: NoResponse::Timeout });
            },
            "Timeout",
        ),
        (
            |bench, transaction, _| {
                bench
                    .event(TuEvent::NoResponse { transaction, reason: NoResponse::Transport(TransportError::Refused) });
            },
            "Transport",
        ),
    ];
    for (answer, told) in answers {
        // The only early dialog: the INVITE is given up. That of the answer and that without one.
        for (offer, port) in [(true, 2000), (true, 0)] {
            let (mut bench, transaction, invite) = calling(options(), offer);
            respond(&mut bench, (transaction, &invite), 183, ("one", port, 7), keep);
            let (prack, msg) = bench.request();
            heard(&mut bench);
            answer(&mut bench, prack, &msg);
            assert_eq!(cancels(&mut bench), 1, "{told}");
            respond(&mut bench, (transaction, &invite), 487, ("one", 0, 0), keep);
            assert_eq!(heard(&mut bench), [told]);
            assert_eq!(bench.dum.counts(), crate::Counts::default());
        }
        // One of two: the other one goes on.
        let (mut bench, transaction, invite) = calling(options(), true);
        respond(&mut bench, (transaction, &invite), 183, ("one", 0, 7), keep);
        let (prack, msg) = bench.request();
        respond(&mut bench, (transaction, &invite), 180, ("two", 0, 0), keep);
        answer(&mut bench, prack, &msg);
        assert_eq!(heard(&mut bench), [told]);
        assert_eq!(cancels(&mut bench), 0);
        respond(&mut bench, (transaction, &invite), 200, ("two", 2000, 0), keep);
        assert_eq!(heard(&mut bench), ["connected", "answer 2000"]);
        // One with an offer.
        let (mut bench, (transaction, invite), (prack, msg)) = offered();
        answer(&mut bench, prack, &msg);
        assert_eq!(cancels(&mut bench), 1, "{told}");
        respond(&mut bench, (transaction, &invite), 487, ("one", 0, 0), keep);
        assert_eq!(heard(&mut bench), [told]);
    }
    // A call that is answered ends with BYE.
    let (mut bench, transaction, invite) = calling(options(), true);
    respond(&mut bench, (transaction, &invite), 183, ("one", 2000, 7), keep);
    let (prack, _) = bench.request();
    respond(&mut bench, (transaction, &invite), 200, ("one", 0, 0), keep);
    bench.sent.clear();
    bench.event(TuEvent::NoResponse { transaction: prack, reason: NoResponse::Timeout });
    assert_eq!(bench.request().1.method(), Some(Method::Bye));
    assert_eq!(heard(&mut bench), ["answer 2000", "connected", "Timeout"]);
}

#[test]
fn another_refusal_of_a_prack_is_told_and_the_call_goes_on() {
    let (mut bench, transaction, invite) = calling(options(), false);
    respond(&mut bench, (transaction, &invite), 183, ("one", 2000, 7), keep);
    bench.nothing_sent();
    let call = call(&bench);
    bench.with(|_, dum| call.provide_answer(dum, &sdp(1000))).unwrap();
    let (prack, msg) = bench.request();
    assert_eq!(port_of(&Sdp::parse(&msg.body_bytes()).unwrap()), 1000);
    respond(&mut bench, (prack, &msg), 488, ("one", 0, 0), keep);
    assert_eq!(heard(&mut bench), ["offer 2000", "488 PRACK"]);
    assert!(bench.with(|_, dum| call.is_alive(dum)));
    respond(&mut bench, (transaction, &invite), 180, ("one", 0, 8), keep);
    let (prack, msg) = bench.request();
    respond(&mut bench, (prack, &msg), 200, ("one", 0, 0), keep);
    assert_eq!(heard(&mut bench), [""; 0], "what went well is not told");
}

#[test]
fn a_peer_that_answers_no_prack_makes_nothing_grow() {
    let (mut bench, transaction, invite) = calling(options(), true);
    let ring = |bench: &mut Bench<Ears>, rseq| {
        respond(bench, (transaction, &invite), 180, ("one", 0, rseq), keep);
    };
    (1..=8).for_each(|rseq| ring(&mut bench, rseq));
    let pracks: Vec<_> = (0..8).map(|_| bench.request()).collect();
    ring(&mut bench, 9);
    bench.nothing_sent();
    // INFO has a count of its own.
    let call = call(&bench);
    assert_eq!(bench.with(|_, dum| call.info(dum, "text/plain", "?")), Ok(()));
    bench.sent.clear();
    respond(&mut bench, (pracks[0].0, &pracks[0].1), 200, ("one", 0, 0), keep);
    // It comes again.
    ring(&mut bench, 9);
    assert_eq!(bench.request().1.header(h::RACK).unwrap().rseq, 9);
}

/// A call that is asked for and has had its answer early; the PRACK for that, with an offer.
pub(super) fn with_offer() -> (Bench<Ears>, Message) {
    let (bench, tag, rseq) = ringing();
    let mut prack = within(&Method::Prack, 2, &tag);
    prack.set(h::RACK, &format!("{rseq} 1 INVITE"));
    prack.set_body(Some("application/sdp"), sdp(1002).print());
    (bench, prack)
}

/// A call that is asked for and has had its answer early: our tag, and the number to be acknowledged.
pub(super) fn ringing() -> (Bench<Ears>, String, u32) {
    let mut bench = Bench::with_options(Ears::default(), options());
    bench.ask(1, asked(|msg| msg.push_back(h::SUPPORTEDS, "100rel")));
    let call = call(&bench);
    bench
        .with(|_, dum| call.provide_answer(dum, &sdp(2000)).and_then(|()| call.as_server().early_media(dum, 183)))
        .unwrap();
    let ringing = bench.response().1;
    let tag = ringing.header(h::TO).unwrap().param(p::TAG).unwrap().to_owned();
    (bench, tag, ringing.header(h::RSEQ).unwrap().0)
}

/// RFC 3262 §3: 481, and the response is repeated as before.
#[test]
fn a_prack_that_fits_nothing_is_481() {
    let (mut bench, tag, rseq) = ringing();
    let others = [format!("{} 1 INVITE", rseq + 1), format!("{rseq} 2 INVITE"), format!("{rseq} 1 UPDATE")];
    let of = |number: u32, rack: &str| {
        let mut prack = within(&Method::Prack, number, &tag);
        prack.set(h::RACK, rack);
        prack
    };
    for (at, rack) in (2..).zip(&others) {
        bench.ask(at, of(at, rack));
        assert_eq!(bench.response().1.status(), Some(481), "{rack}");
    }
    bench.ask(5, within(&Method::Prack, 5, &tag));
    assert_eq!(bench.response().1.status(), Some(481), "without RAck");
    bench.run(Duration::from_millis(600));
    assert_eq!(bench.response().1.status(), Some(183));
    // The second one comes too late for it.
    for (at, status) in [(6, 200), (7, 481)] {
        bench.ask(at, of(at, &format!("{rseq} 1 INVITE")));
        assert_eq!(bench.response().1.status(), Some(status));
    }
    bench.run(Duration::from_secs(10));
    bench.nothing_sent();
}

/// RFC 3262 §4: what comes too early is as if it had been lost.
#[test]
fn a_reliable_response_behind_a_gap_waits_to_be_repeated() {
    let (mut bench, transaction, invite) = calling(options(), true);
    for (code, rseq, acknowledged) in [(180, 7, true), (182, 9, false), (183, 8, true), (183, 8, false), (182, 9, true)]
    {
        respond(&mut bench, (transaction, &invite), code, ("one", 0, rseq), |_| {});
        match acknowledged {
            true => assert_eq!(bench.request().1.header(h::RACK).unwrap().rseq, rseq),
            false => bench.nothing_sent(),
        }
    }
}

/// RFC 3311 §5.1: no UPDATE before the PRACK, which may bring an offer.
#[test]
fn a_change_waits_for_the_prack_and_the_200_for_the_change() {
    let (mut bench, tag, rseq) = ringing();
    let call = call(&bench);
    assert_eq!(bench.with(|_, dum| call.update(dum, &sdp(2002))), Err(SessionError::NotNow));
    let mut prack = within(&Method::Prack, 2, &tag);
    prack.set(h::RACK, &format!("{rseq} 1 INVITE"));
    bench.ask(2, prack);
    assert_eq!(bench.response().1.status(), Some(200));
    assert_eq!(bench.with(|_, dum| call.update(dum, &sdp(2002))), Ok(()));
    let (update, msg) = bench.request();
    assert_eq!(msg.method(), Some(Method::Update));
    // And the 200 waits for that: the answer would belong to either.
    assert_eq!(bench.with(|_, dum| call.as_server().accept(dum)), Err(SessionError::NotNow));
    respond(&mut bench, (update, &msg), 200, ("", 1002, 0), keep);
    assert_eq!(bench.with(|_, dum| call.as_server().accept(dum)), Ok(()));
    assert_eq!(bench.response().1.status(), Some(200));
}

/// RFC 3262 §5: a reliable one to an INVITE without an offer would have to make it.
#[test]
fn what_rings_without_an_offer_is_not_reliable() {
    for (header, status) in [(h::SUPPORTEDS, Some(180)), (h::REQUIRES, None)] {
        let mut bench = Bench::with_options(Ears::default(), options());
        bench.ask(
            1,
            asked(|msg| {
                msg.set_body(None, "");
                msg.push_back(header, "100rel");
            }),
        );
        assert_eq!(heard(&mut bench), ["offer required"]);
        let call = call(&bench);
        let rang = bench.with(|_, dum| call.as_server().provisional(dum, 180));
        if status.is_none() {
            assert_eq!(rang, Err(SessionError::NotNow));
            bench.nothing_sent();
        } else {
            let ringing = bench.response().1;
            assert_eq!((ringing.status(), ringing.exists(h::RSEQ)), (status, false));
        }
        // With one it is.
        bench
            .with(|_, dum| call.provide_offer(dum, &sdp(2000)).and_then(|()| call.as_server().early_media(dum, 183)))
            .unwrap();
        assert!(bench.response().1.exists(h::RSEQ));
    }
}

/// The other half: an offer comes with a PRACK.
#[test]
fn an_offer_that_comes_with_a_prack_is_answered_or_refused_in_its_final_response() {
    for refused in [false, true] {
        let (mut bench, prack) = with_offer();
        let call = call(&bench);
        bench.ask(2, prack);
        bench.nothing_sent();
        assert_eq!(heard(&mut bench), ["offer 4000", "offer 1002"]);
        // The response is acknowledged by it.
        bench.run(Duration::from_secs(3));
        bench.nothing_sent();
        let (status, ports) = match refused {
            true => {
                bench.with(|_, dum| call.reject_offer(dum, 488)).unwrap();
                (488, [2000, 4000])
            }
            false => {
                bench.with(|_, dum| call.provide_answer(dum, &sdp(2002))).unwrap();
                (200, [2002, 1002])
            }
        };
        let (_, answer) = bench.response();
        assert_eq!((answer.status(), answer.method()), (Some(status), Some(Method::Prack)));
        assert_eq!((answer.body().is_empty(), agreed(&mut bench)), (refused, ports));
        bench.with(|_, dum| call.as_server().accept(dum)).unwrap();
        let (_, ok) = bench.response();
        assert_eq!((ok.status(), ok.method(), ok.body().len()), (Some(200), Some(Method::Invite), 0));
    }
}

/// RFC 6337 §2.2: what was answered reliably no later response brings anew.
#[test]
fn behind_a_reliable_answer_nothing_is_offered_before_its_prack_nor_in_the_2xx() {
    let (mut bench, tag, rseq) = ringing();
    let call = call(&bench);
    assert_eq!(bench.with(|_, dum| call.provide_offer(dum, &sdp(2002))), Err(SessionError::NotNow));
    let mut prack = within(&Method::Prack, 2, &tag);
    prack.set(h::RACK, &format!("{rseq} 1 INVITE"));
    bench.ask(2, prack);
    assert_eq!(bench.response().1.status(), Some(200));
    bench.with(|_, dum| call.as_server().accept(dum)).unwrap();
    let (_, answer) = bench.response();
    assert_eq!((answer.status(), answer.body().len()), (Some(200), 0));
}

/// RFC 4028 §4: INVITE and UPDATE alone have to do with session timers.
#[test]
fn a_prack_that_is_answered_behind_the_200_grants_no_session() {
    let (mut bench, prack) = with_offer();
    let call = call(&bench);
    bench.with(|_, dum| call.as_server().accept(dum)).unwrap();
    bench.nothing_sent();
    bench.ask(2, prack);
    let ok = bench.response().1;
    assert_eq!((ok.status(), ok.method()), (Some(200), Some(Method::Invite)));
    bench.with(|_, dum| call.provide_answer(dum, &sdp(2002))).unwrap();
    let (_, answer) = bench.response();
    assert_eq!((answer.status(), answer.method()), (Some(200), Some(Method::Prack)));
    assert!(!answer.exists(h::SESSION_EXPIRES));
}

/// RFC 3311 §5.1: no UPDATE may bring an offer before that of the INVITE's exchange is answered.
#[test]
fn an_update_before_the_first_offer_is_refused() {
    let mut bench = Bench::with_options(Ears::default(), options());
    bench.ask(1, asked(|msg| msg.set_body(None, "")));
    let call = call(&bench);
    bench.with(|_, dum| call.as_server().provisional(dum, 180)).unwrap();
    let tag = bench.response().1.header(h::TO).unwrap().param(p::TAG).unwrap().to_owned();
    let mut update = within(&Method::Update, 2, &tag);
    update.set_body(Some("application/sdp"), sdp(1002).print());
    bench.ask(2, update);
    assert_eq!((bench.response().1.status(), heard(&mut bench)), (Some(491), vec!["offer required".to_owned()]));
    bench.with(|_, dum| call.provide_offer(dum, &sdp(2000)).and_then(|()| call.as_server().accept(dum))).unwrap();
    assert_eq!(port_of(&Sdp::parse(&bench.response().1.body_bytes()).unwrap()), 2000);
}

/// Of two that were to bring the same description the second says nothing new: what comes behind it goes out all the same.
#[test]
fn what_cannot_be_sent_any_more_holds_up_nothing() {
    let mut bench = Bench::with_options(Ears::default(), options());
    bench.ask(1, asked(|msg| msg.push_back(h::SUPPORTEDS, "100rel")));
    let call = call(&bench);
    bench
        .with(|_, dum| {
            let call = call.as_server();
            call.provisional(dum, 180)?;
            call.provide_answer(dum, &sdp(2000))?;
            call.early_media(dum, 183)?;
            call.early_media(dum, 183)?;
            call.provisional(dum, 182)
        })
        .unwrap();
    let mut said = Vec::new();
    for number in 2..5 {
        let ringing = bench.response().1;
        said.push(ringing.status().unwrap());
        let tag = ringing.header(h::TO).unwrap().param(p::TAG).unwrap().to_owned();
        let mut prack = within(&Method::Prack, number, &tag);
        prack.set(h::RACK, &format!("{} 1 INVITE", ringing.header(h::RSEQ).unwrap().0));
        bench.ask(number, prack);
        assert_eq!(bench.response().1.status(), Some(200));
    }
    assert_eq!(said, [180, 183, 182]);
}

#[test]
fn a_profile_of_its_own_may_require_what_the_caller_cannot() {
    for can in [true, false] {
        let mut bench = Bench::with_options(Ears::default(), options());
        bench.ask(
            1,
            asked(|msg| {
                if can {
                    msg.push_back(h::SUPPORTEDS, "100rel");
                }
            }),
        );
        let call = call(&bench);
        let set = bench.with(|_, dum| {
            let mut profile = UserProfile::on(dum.master_profile().user());
            profile.set_reliability(Reliability::Required);
            call.as_server().set_profile(dum, &Arc::new(profile))
        });
        if can {
            assert_eq!(set, Ok(()));
            bench.with(|_, dum| call.as_server().provisional(dum, 180)).unwrap();
            assert!(bench.response().1.exists(h::RSEQ));
        } else {
            assert_eq!(set, Err(SessionError::Ended(UsageEnded)));
            let (_, refused) = bench.response();
            let required = refused.raw_values("Require").next().map(<[u8]>::to_vec);
            assert_eq!((refused.status(), required.as_deref()), (Some(421), Some(&b"100rel"[..])));
            assert_eq!(bench.dum.counts().sessions, 0);
        }
    }
}

/// What a call's own profile says counts, before anything is answered.
#[test]
fn a_profile_of_its_own_need_not_require_what_the_master_profile_does() {
    for (lenient, status) in [(true, 180), (false, 421)] {
        let mut options = options();
        options.master.user_mut().set_reliability(Reliability::Required);
        let mut bench = Bench::with_options(Ears { lenient, ..Ears::default() }, options);
        bench.ask(1, asked(|_| {}));
        let call = call(&bench).as_server();
        let rings = bench.with(|_, dum| call.provisional(dum, 180));
        assert_eq!((rings.is_ok(), bench.response().1.status()), (lenient, Some(status)));
        let told: &[&str] = if lenient { &["offer 4000"] } else { &["Rejected"] };
        assert_eq!(heard(&mut bench), told);
        bench.nothing_sent();
    }
}

/// RFC 3262 §4, RFC 3261 §12.2.2: a PRACK that is lost comes again behind what was sent after it, and is out of order there.
/// The callee waits for it all the same.
#[test]
fn a_prack_that_was_overtaken_goes_out_again_behind_what_has_overtaken_it() {
    let (mut bench, transaction, invite) = calling(options(), true);
    let ring = |bench: &mut Bench<Ears>| respond(bench, (transaction, &invite), 183, ("one", 2000, 7), keep);
    ring(&mut bench);
    let (mut prack, mut msg) = bench.request();
    for number in [3, 5] {
        let call = call(&bench);
        bench.with(|_, dum| call.update(dum, &sdp(1002))).unwrap();
        let (update, changed) = bench.request();
        assert_eq!(changed.header(h::CSEQ).unwrap().number, number);
        respond(&mut bench, (update, &changed), 200, ("one", 2000, 0), keep);
        heard(&mut bench);
        respond(&mut bench, (prack, &msg), 500, ("one", 0, 0), keep);
        (prack, msg) = bench.request();
        assert_eq!((msg.method(), msg.header(h::CSEQ).unwrap().number), (Some(Method::Prack), number + 1));
        assert_eq!(msg.header(h::RACK).unwrap().rseq, 7);
        assert!(heard(&mut bench).is_empty());
        ring(&mut bench);
        bench.nothing_sent();
    }
    // One that nothing has overtaken is refused for another reason.
    respond(&mut bench, (prack, &msg), 500, ("one", 0, 0), keep);
    bench.nothing_sent();
    assert_eq!(heard(&mut bench), ["500 PRACK"]);
    respond(&mut bench, (transaction, &invite), 200, ("one", 0, 0), keep);
    assert_eq!(heard(&mut bench), ["connected"]);
}

/// With an offer of its own it waits for the answer as before.
#[test]
fn a_prack_with_an_offer_that_was_overtaken_offers_it_again() {
    let (mut bench, _, (prack, msg)) = offered();
    let call = call(&bench);
    bench.with(|_, dum| call.info(dum, "application/dtmf-relay", "Signal=1")).unwrap();
    let (info, last) = bench.request();
    bench.respond(info, &last, 200);
    heard(&mut bench);
    respond(&mut bench, (prack, &msg), 500, ("one", 0, 0), keep);
    let again = bench.request();
    assert_eq!((again.1.method(), again.1.body()), (Some(Method::Prack), msg.body()));
    respond(&mut bench, (again.0, &again.1), 200, ("one", 2002, 0), keep);
    assert_eq!(heard(&mut bench), ["answer 2002"]);
}
