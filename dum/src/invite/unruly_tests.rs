//! Peers that do not answer what is offered, or ask for sessions that are too brief.

use super::tests::{App, SDP, addr, asked, calling_with, heard, sent, within};
use super::*;
use crate::testing::Bench;
use crate::{DumOptions, Reliability};
use stack::header::{h, p};
use stack::tu::TuEvent;

fn sdp() -> Sdp {
    Sdp::parse(&SDP.into()).unwrap()
}

fn options() -> DumOptions {
    let mut options = DumOptions::default();
    options.master.add_100rel().add_option_tag("timer");
    options.master.user_mut().set_reliability(Reliability::Supported);
    options
}

/// RFC 3311 §5.1: an UPDATE with an offer has its answer in the 2xx.
#[test]
fn an_early_update_whose_2xx_has_no_answer_changes_nothing_and_the_call_goes_on() {
    let (mut bench, transaction, invite) = calling_with(options());
    let early = |code: u16, rseq: u32| {
        let mut msg = invite.make_response(code, None, Some("one"));
        msg.push_back(h::CONTACTS, "<sip:one@192.0.2.9>");
        msg.push_back(h::ALLOWS, "INVITE, ACK, BYE, CANCEL, UPDATE, PRACK");
        if rseq > 0 {
            msg.set(h::RSEQ, &rseq);
            msg.push_back(h::REQUIRES, "100rel");
        }
        msg.set_body(Some("application/sdp"), SDP);
        TuEvent::Response { transaction, msg: msg.into() }
    };
    bench.event(early(183, 7));
    let (prack, msg) = bench.request();
    bench.respond(prack, &msg, 200);
    let call = bench.dum.application().calls[0];
    let mut other = sdp();
    other.media_mut(0).unwrap().set_direction(stack::contents::sdp::Direction::SendOnly);
    bench.with(|_, dum| call.update(dum, &other)).unwrap();
    let (update, msg) = bench.request();
    assert_eq!(msg.method(), Some(Method::Update));
    bench.respond(update, &msg, 200);
    heard(&mut bench);
    bench.event(early(200, 0));
    assert_eq!((sent(&mut bench), heard(&mut bench)), (vec!["ACK one".to_owned()], vec!["0 connected".to_owned()]));
    // What is offered from now on is heard, on both sides.
    bench.with(|_, dum| call.update(dum, &other)).unwrap();
    let (update, msg) = bench.request();
    let mut answer = msg.make_response(200, None, Some("one"));
    answer.set_body(Some("application/sdp"), SDP.replace("4000", "4004"));
    bench.event(TuEvent::Response { transaction: update, msg: answer.into() });
    bench.nothing_sent();
}

/// RFC 3262 §5: the answer to the offer of a reliable response is in its PRACK.
#[test]
fn a_prack_without_the_answer_is_none() {
    let mut bench = Bench::with_options(App::default(), options());
    bench.ask(
        1,
        asked(|msg| {
            msg.set_body(None, "");
            msg.push_back(h::SUPPORTEDS, "100rel");
        }),
    );
    let call = bench.dum.application().calls[0];
    bench
        .with(|_, dum| {
            call.provide_offer(dum, &sdp()).unwrap();
            call.as_server().early_media(dum, 183)
        })
        .unwrap();
    let ringing = bench.response().1;
    let tag = ringing.header(h::TO).unwrap().param(p::TAG).unwrap().to_owned();
    let prack = |number: u32, body: bool| {
        let mut msg = within(&Method::Prack, number, &tag);
        let (rseq, cseq) = (ringing.header(h::RSEQ).unwrap().0, ringing.header(h::CSEQ).unwrap().number);
        msg.append_line("RAck", &format!("{rseq} {cseq} INVITE"));
        if body {
            msg.set_body(Some("application/sdp"), SDP);
        }
        msg
    };
    bench.ask(2, prack(2, false));
    assert_eq!(bench.response().1.status(), Some(400));
    bench.ask(3, prack(3, true));
    assert_eq!(bench.response().1.status(), Some(200));
    bench.with(|_, dum| call.as_server().accept(dum)).unwrap();
    assert_eq!(bench.response().1.status(), Some(200));
}

/// RFC 4028 §9: in a dialog as before it, and only to who knows what to do.
#[test]
fn a_session_that_is_too_brief_is_answered_422() {
    let brief = |msg: &mut Message, supported: bool| {
        msg.set(h::SESSION_EXPIRES, "60");
        if supported {
            msg.push_back(h::SUPPORTEDS, "timer");
        }
    };
    for (knows, supported, status) in [(true, true, 422), (true, false, 200), (false, true, 200)] {
        let mut bench = Bench::with_options(App::default(), if knows { options() } else { DumOptions::default() });
        bench.ask(1, asked(|msg| brief(msg, supported)));
        if status == 422 {
            let refused = bench.response().1;
            assert_eq!((refused.status(), refused.header(h::MIN_SE).unwrap().seconds), (Some(422), 90));
            continue;
        }
        let call = bench.dum.application().calls[0];
        bench
            .with(|_, dum| {
                call.provide_answer(dum, &sdp()).unwrap();
                call.as_server().accept(dum)
            })
            .unwrap();
        let ok = bench.response().1;
        assert_eq!(ok.status(), Some(status));
        let tag = ok.header(h::TO).unwrap().param(p::TAG).unwrap().to_owned();
        bench.event(TuEvent::Ack { msg: within(&Method::Ack, 1, &tag).into() });
        for (at, method) in [(2, Method::Update), (3, Method::Invite)] {
            let mut again = within(&method, at, &tag);
            brief(&mut again, true);
            again.push_back(h::CONTACTS, "<sip:alice@192.0.2.9>");
            bench.ask(at, again);
            if knows {
                assert_eq!(bench.response().1.status(), Some(422), "{method:?}");
            }
        }
    }
}

/// RFC 3515 §2.1: what Refer-To asks for need not be a call.
#[test]
fn what_is_no_call_is_not_followed_by_one() {
    let mut options = options();
    options.master.add_method(Method::Refer);
    let mut bench = Bench::with_options(App::default(), options);
    let (to, from, mut rng) = (addr("<sip:bob@192.0.2.1>"), addr("<sip:alice@192.0.2.9>"), rutil::Rng::from_seed(9));
    let mut refer = stack::helper::make_initial(&Method::Refer, &to, &from, &mut rng);
    refer.push_back(h::CONTACTS, "<sip:alice@192.0.2.9>");
    refer.append_line("Refer-To", "<sip:carol@192.0.2.7;method=MESSAGE>");
    bench.ask(1, refer);
    let refer = bench.dum.application().refer.unwrap();
    let followed = bench.with(|_, dum| {
        let profile = dum.master_profile().user().clone();
        refer.follow(dum, &profile, Some(&sdp()))
    });
    assert!(matches!(followed, Err(SessionError::NotNow)), "{followed:?}");
    bench.with(|_, dum| refer.reject(dum, 501)).unwrap();
    assert_eq!(bench.response().1.status(), Some(501));
}

/// RFC 3261 §14.2: behind an INVITE of its own that has no final response a second one comes too early; one that meets ours has
/// to wait.
#[test]
fn a_second_invite_in_an_early_dialog_is_500_and_one_that_meets_ours_491() {
    // It asks for an offer; which is in a reliable response, and answered; or it has one, and its answer.
    for (offer, reliable) in [(false, false), (false, true), (true, false)] {
        let mut bench = Bench::with_options(App::default(), options());
        bench.ask(
            1,
            asked(|msg| {
                if !offer {
                    msg.set_body(None, "");
                }
                msg.push_back(h::SUPPORTEDS, "100rel");
            }),
        );
        let call = bench.dum.application().calls[0].as_server();
        bench
            .with(|_, dum| match (offer, reliable) {
                (true, _) => call.provide_answer(dum, &sdp()).and_then(|()| call.early_media(dum, 183)),
                (false, true) => call.provide_offer(dum, &sdp()).and_then(|()| call.early_media(dum, 183)),
                (false, false) => call.provisional(dum, 180),
            })
            .unwrap();
        let (_, ringing) = bench.response();
        let tag = ringing.header(h::TO).unwrap().param(p::TAG).unwrap().to_owned();
        let number = ringing.header(h::CSEQ).unwrap().number;
        if let Ok(rseq) = ringing.header(h::RSEQ) {
            let mut prack = within(&Method::Prack, number + 1, &tag);
            prack.append_line("RAck", &format!("{} {number} INVITE", rseq.0));
            if !offer {
                prack.set_body(Some("application/sdp"), SDP);
            }
            bench.ask(2, prack);
            assert_eq!(bench.response().1.status(), Some(200));
        }
        bench.ask(3, within(&Method::Invite, number + 2, &tag));
        let (_, refusal) = bench.response();
        assert_eq!((refusal.status(), refusal.exists(h::RETRY_AFTER)), (Some(500), true), "{offer} {reliable}");
    }
    let (mut bench, transaction, invite) = super::ears::calling(options(), false);
    super::ears::respond(&mut bench, (transaction, &invite), 183, ("one", 2000, 1), |_| {});
    bench.ask(1, super::crossing_tests::of_peer(&invite, &Method::Invite, 5));
    assert_eq!(bench.response().1.status(), Some(491));
}
