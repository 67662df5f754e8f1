//! Messages that cross each other, come twice, or come from peers that keep to no rule.

use super::ears::{options, sdp};
use super::tests::{App, SDP, addr, asked, calling, calling_with, fork, heard, sent, within};
use super::*;
use crate::refer::ServerRefer;
use crate::testing::Bench;
use crate::{Application, Counts, DumOptions};
use stack::header::{h, p};
use stack::message::Message;
use stack::transaction::Command;
use stack::tu::{ClientTransaction, TuEvent};
use std::time::Duration;

/// A 200 of one peer, with changes.
fn ok(bench: &mut Bench<App>, (transaction, request): (ClientTransaction, &Message), edit: impl FnOnce(&mut Message)) {
    let mut msg = request.make_response(200, None, Some("one"));
    msg.push_back(h::CONTACTS, "<sip:one@192.0.2.9>");
    msg.set_body(Some("application/sdp"), SDP);
    edit(&mut msg);
    bench.event(TuEvent::Response { transaction, msg: msg.into() });
}

/// A call that was answered, and its INVITE.
fn connected() -> (Bench<App>, ClientTransaction, Message, Handle<InviteSession>) {
    let (mut bench, transaction, invite) = calling();
    ok(&mut bench, (transaction, &invite), |_| {});
    assert_eq!((sent(&mut bench), heard(&mut bench)), (vec!["ACK one".to_owned()], vec!["0 connected".to_owned()]));
    let call = bench.dum.application().calls[0];
    (bench, transaction, invite, call)
}

#[test]
fn a_session_timer_that_nobody_asked_for_ends_no_call() {
    let (mut bench, transaction, invite) = calling();
    ok(&mut bench, (transaction, &invite), |msg| msg.set(h::SESSION_EXPIRES, "100;refresher=uas"));
    bench.run(Duration::from_secs(7200));
    assert_eq!((sent(&mut bench), heard(&mut bench)), (vec!["ACK one".to_owned()], vec!["0 connected".to_owned()]));
}

#[test]
fn a_call_that_was_ended_is_not_sent_again() {
    // The CANCEL is held back until a 1xx; what comes is a wish for another INVITE.
    let (mut bench, transaction, invite) = calling();
    let call = bench.dum.application().calls[0];
    bench.with(|_, dum| call.end(dum)).unwrap();
    fork(&mut bench, (transaction, &invite), 422, "one");
    assert_eq!((sent(&mut bench), heard(&mut bench)), (vec!["Cancel".to_owned()], vec!["0 LocalCancel".to_owned()]));
    assert_eq!(bench.dum.counts(), Counts::default());
    // The application ends it while it is asked whether to go on.
    let (mut bench, transaction, invite) = calling();
    bench.dum.application_mut().gives_up = true;
    fork(&mut bench, (transaction, &invite), 302, "elsewhere");
    assert_eq!((sent(&mut bench), heard(&mut bench)), (vec!["Cancel".to_owned()], vec!["0 LocalCancel".to_owned()]));
    assert_eq!(bench.dum.counts(), Counts::default());
}

#[test]
fn a_redirection_that_nobody_hears_of_is_followed() {
    struct Deaf;
    impl Application for Deaf {}
    let mut bench = Bench::new(Deaf);
    bench.with(|_, dum| {
        let profile = dum.master_profile().user().clone();
        let invite = dum.make_invite(&profile, &addr("<sip:bob@192.0.2.9>"), None);
        dum.send_invite(&profile, invite).unwrap();
    });
    let (transaction, invite) = bench.request();
    let mut moved = invite.make_response(302, None, Some("one"));
    moved.push_back(h::CONTACTS, "<sip:carol@192.0.2.8>");
    bench.event(TuEvent::Response { transaction, msg: moved.into() });
    let (transaction, invite) = bench.request();
    assert_eq!(invite.request_uri_text(), b"sip:carol@192.0.2.8");
    bench.respond(transaction, &invite, 486);
    assert_eq!(bench.dum.counts(), Counts::default());
}

/// RFC 3261 §15: no BYE before the ACK, also for a call whose place is taken.
#[test]
fn a_call_that_is_replaced_before_its_ack_is_ended_after_it() {
    let mut options = DumOptions::default();
    options.master.add_transfer();
    let mut bench = Bench::with_options(App::default(), options);
    let answer = Sdp::parse(&SDP.into()).unwrap();
    bench.ask(1, asked(|_| {}));
    let take = |app: &mut App, dum: &mut Dum<'_>| {
        let call = app.calls.last().unwrap().as_server();
        call.provide_answer(dum, &answer).and_then(|()| call.accept(dum))
    };
    bench.with(take).unwrap();
    let tag = bench.response().1.header(h::TO).unwrap().param(p::TAG).unwrap().to_owned();
    let first = asked(|_| {});
    let (id, theirs) = (first.header(h::CALL_ID).unwrap(), first.header(h::FROM).unwrap());
    let replaces = format!("{};to-tag={tag};from-tag={}", id.as_str(), theirs.param(p::TAG).unwrap());
    bench.ask(
        2,
        asked(|msg| {
            msg.set(h::CALL_ID, "another");
            msg.append_line("Replaces", &replaces);
        }),
    );
    bench.with(take).unwrap();
    assert_eq!(bench.response().1.status(), Some(200));
    bench.nothing_sent();
    assert_eq!(heard(&mut bench), ["0 new", "0 connected", "1 new", "1 connected"]);
    bench.event(TuEvent::Ack { msg: within(&Method::Ack, 1, &tag).into() });
    assert_eq!((sent(&mut bench), heard(&mut bench)), (vec!["BYE alice".to_owned()], vec!["0 Replaced".to_owned()]));
}

#[test]
fn what_was_not_offered_cannot_be_refused() {
    let (mut bench, transaction, invite) = calling();
    fork(&mut bench, (transaction, &invite), 180, "one");
    let call = bench.dum.application().calls[0];
    assert_eq!(bench.with(|_, dum| call.reject_offer(dum, 488)), Err(SessionError::NotNow));
    bench.nothing_sent();
    ok(&mut bench, (transaction, &invite), |_| {});
    assert_eq!(heard(&mut bench), ["0 180", "0 connected"]);
}

#[test]
fn the_early_dialogs_of_an_attempt_end_with_its_422() {
    let (mut bench, transaction, invite) = calling();
    for tag in ["one", "two"] {
        fork(&mut bench, (transaction, &invite), 180, tag);
    }
    fork(&mut bench, (transaction, &invite), 422, "one");
    let (transaction, invite) = bench.request();
    assert_eq!((bench.dum.counts().dialogs, bench.dum.counts().sessions), (0, 2));
    fork(&mut bench, (transaction, &invite), 180, "three");
    assert_eq!(heard(&mut bench), ["0 180", "1 fork", "1 180", "1 Refused", "0 180"]);
    fork(&mut bench, (transaction, &invite), 486, "three");
    assert_eq!((sent(&mut bench), bench.dum.counts()), (Vec::new(), Counts::default()));
}

#[test]
fn the_invite_is_given_up_with_its_last_early_dialog() {
    let (mut bench, transaction, invite) = calling();
    for tag in ["one", "two"] {
        fork(&mut bench, (transaction, &invite), 180, tag);
    }
    // The one that ends by BYE does not count any more, though the BYE is not answered.
    let [one, two] = bench.dum.application().calls[..] else { panic!("two calls") };
    bench.with(|_, dum| two.end(dum).and_then(|()| one.end(dum))).unwrap();
    assert_eq!(sent(&mut bench), ["BYE two", "Cancel"]);
}

#[test]
fn a_refer_that_can_make_no_dialog_is_refused() {
    let mut options = DumOptions::default();
    options.master.add_transfer();
    let mut bench = Bench::with_options(App::default(), options);
    let edits: [fn(&mut Message); 2] = [
        |_| {},
        |msg| {
            msg.push_back(h::CONTACTS, "<sip:alice@192.0.2.9>");
            msg.append_line("Record-Route", "<<");
        },
    ];
    for (at, edit) in edits.into_iter().enumerate() {
        let mut msg = stack::helper::make_initial(
            &Method::Refer,
            &addr("<sip:bob@192.0.2.1>"),
            &addr("<sip:alice@192.0.2.9>"),
            &mut rutil::Rng::from_seed(9),
        );
        msg.set(h::REFER_TO, "<sip:carol@192.0.2.8>");
        edit(&mut msg);
        bench.ask(at as u32, msg);
        assert_eq!((bench.response().1.status(), bench.dum.counts()), (Some(400), Counts::default()), "{at}");
    }
}

#[test]
fn a_2xx_that_comes_again_is_not_acknowledged_before_its_offer_is_answered() {
    let (mut bench, _, _, call) = connected();
    bench.with(|_, dum| call.request_offer(dum)).unwrap();
    let (transaction, invite) = bench.request();
    ok(&mut bench, (transaction, &invite), |_| {});
    ok(&mut bench, (transaction, &invite), |_| {});
    bench.nothing_sent();
    bench.with(|_, dum| call.provide_answer(dum, &Sdp::parse(&SDP.into()).unwrap())).unwrap();
    ok(&mut bench, (transaction, &invite), |_| {});
    assert_eq!(sent(&mut bench), ["ACK one", "ACK one"]);
}

/// A provisional response that is sent reliably, with a description.
fn reliable(bench: &mut Bench<App>, (transaction, invite): (ClientTransaction, &Message), tag: &str) {
    let mut msg = invite.make_response(183, None, Some(tag));
    msg.push_back(h::CONTACTS, &format!("<sip:{tag}@192.0.2.9>"));
    msg.set(h::RSEQ, &7);
    msg.push_back(h::REQUIRES, "100rel");
    msg.set_body(Some("application/sdp"), SDP);
    bench.event(TuEvent::Response { transaction, msg: msg.into() });
}

#[test]
fn each_fork_answers_the_offer_of_the_invite() {
    let (mut bench, transaction, invite) = calling();
    for tag in ["one", "two"] {
        reliable(&mut bench, (transaction, &invite), tag);
        assert_eq!(sent(&mut bench), [format!("PRACK {tag}")]);
    }
    let calls = bench.dum.application().calls.clone();
    assert!(bench.with(|_, dum| calls.iter().all(|call| call.remote_sdp(dum).is_some())));
    fork(&mut bench, (transaction, &invite), 200, "two");
    assert_eq!(sent(&mut bench), ["ACK two"]);
}

#[test]
fn a_2xx_that_crosses_an_early_update_is_no_answer_to_it() {
    let (mut bench, transaction, invite) = calling();
    reliable(&mut bench, (transaction, &invite), "one");
    let call = bench.dum.application().calls[0];
    let (_, prack) = bench.request();
    assert_eq!(prack.method(), Some(Method::Prack));
    bench.with(|_, dum| call.provide_offer(dum, &Sdp::parse(&SDP.into()).unwrap())).unwrap();
    let (update, msg) = bench.request();
    ok(&mut bench, (transaction, &invite), |msg| msg.set_body(None, ""));
    assert_eq!(
        (sent(&mut bench), &heard(&mut bench)[1..]),
        (vec!["ACK one".to_owned()], &["0 connected".to_owned()][..])
    );
    ok(&mut bench, (update, &msg), |_| {});
    assert!(bench.with(|_, dum| call.hold(dum)).is_ok(), "nothing is under way any more");
}

/// A request of the peer in the dialog of a call of ours.
pub(super) fn of_peer(invite: &Message, method: &Method<'_>, number: u32) -> Message {
    let (us, them) = (addr("<sip:alice@192.0.2.1>"), addr("<sip:bob@192.0.2.9>"));
    let mut msg = stack::helper::make_initial(method, &us, &them, &mut rutil::Rng::from_seed(9));
    msg.set(h::TO, &invite.header(h::FROM).unwrap());
    msg.set(h::FROM, "<sip:bob@192.0.2.9>;tag=one");
    msg.set(h::CALL_ID, invite.header(h::CALL_ID).unwrap().as_str());
    msg.set(h::CSEQ, &format!("{number} {}", method.as_str()));
    msg.push_back(h::CONTACTS, "<sip:one@192.0.2.9>");
    msg.set_body(Some("application/sdp"), SDP);
    msg
}

#[test]
fn a_call_that_is_gone_answers_what_it_was_asked() {
    for method in [Method::Invite, Method::Update] {
        let (mut bench, _, invite, call) = connected();
        bench.with(|_, dum| call.info(dum, "text/plain", "?")).unwrap();
        let (info, msg) = bench.request();
        // A change that is not what was agreed: the application has to answer.
        let mut change = of_peer(&invite, &method, 5);
        change.set_body(Some("application/sdp"), SDP.replace("4000", "4002"));
        bench.ask(3, change);
        bench.nothing_sent();
        bench.respond(info, &msg, 481);
        assert_eq!((sent(&mut bench), heard(&mut bench)), (vec!["487".to_owned()], vec!["0 Gone".to_owned()]));
    }
}

/// RFC 4028 §10: a week, say; as caller and as callee.
#[test]
fn a_long_session_lasts_as_long_as_the_peer_is_there() {
    let mut options = DumOptions::default();
    options.master.add_option_tag("timer");
    options.master.user_mut().set_session_time(Duration::ZERO);
    let (mut ours, transaction, invite) = calling_with(options.clone());
    ok(&mut ours, (transaction, &invite), |msg| msg.set(h::SESSION_EXPIRES, "604800;refresher=uas"));
    let mut theirs = Bench::with_options(App::default(), options);
    theirs.ask(
        1,
        asked(|msg| {
            msg.set(h::SESSION_EXPIRES, "604800;refresher=uac");
            msg.push_back(h::SUPPORTEDS, "timer");
        }),
    );
    let (call, answer) = (theirs.dum.application().calls[0], Sdp::parse(&SDP.into()).unwrap());
    theirs.with(|_, dum| call.provide_answer(dum, &answer).and_then(|()| call.as_server().accept(dum))).unwrap();
    let (_, granted) = theirs.response();
    assert_eq!(granted.header(h::SESSION_EXPIRES).unwrap().to_string(), "604800;refresher=uac");
    let tag = granted.header(h::TO).unwrap().param(p::TAG).unwrap().to_owned();
    let number = asked(|_| {}).header(h::CSEQ).unwrap().number;
    theirs.event(TuEvent::Ack { msg: within(&Method::Ack, number, &tag).into() });
    for mut bench in [ours, theirs] {
        sent(&mut bench);
        heard(&mut bench);
        // Nobody is waited for as long as that: who has to refresh only each half week is asked each half day.
        for _ in 0..14 {
            bench.run(Duration::from_secs(43_200));
            let (refresh, msg) = bench.request();
            assert_eq!(heard(&mut bench), [""; 0]);
            let mut ok = msg.make_response(200, None, None);
            let asked = msg.header(h::SESSION_EXPIRES).unwrap().to_string();
            assert!(asked.starts_with("604800;"), "{asked}");
            ok.set(h::SESSION_EXPIRES, &asked);
            ok.push_back(h::CONTACTS, "<sip:one@192.0.2.9>");
            if msg.method() == Some(Method::Invite) {
                ok.set_body(Some("application/sdp"), SDP);
            }
            bench.event(TuEvent::Response { transaction: refresh, msg: ok.into() });
            bench.event(TuEvent::ClientEnded { transaction: refresh });
            sent(&mut bench);
            heard(&mut bench);
        }
        // Who is gone by then is not waited for: a day is the most.
        bench.run(Duration::from_secs(86_400));
        assert!(sent(&mut bench).iter().any(|sent| sent.starts_with("BYE ")));
        assert_eq!(heard(&mut bench), ["0 SessionExpired"]);
    }
}

#[test]
fn the_end_of_the_first_invite_leaves_the_ack_of_a_later_one() {
    let (mut bench, first, _, call) = connected();
    bench.with(|_, dum| call.request_offer(dum)).unwrap();
    let (transaction, invite) = bench.request();
    ok(&mut bench, (transaction, &invite), |_| {});
    bench.event(TuEvent::ClientEnded { transaction: first });
    bench.with(|_, dum| call.provide_answer(dum, &Sdp::parse(&SDP.into()).unwrap())).unwrap();
    assert_eq!(sent(&mut bench), ["ACK one"]);
}

/// The tag of our answers to [`asked`], which rings.
fn ringing(bench: &mut Bench<App>) -> String {
    let call = bench.dum.application().calls[0].as_server();
    bench.with(|_, dum| call.provisional(dum, 180)).unwrap();
    bench.response().1.header(h::TO).unwrap().param(p::TAG).unwrap().to_owned()
}

#[test]
fn a_call_that_rings_has_no_session_timer() {
    let mut options = DumOptions::default();
    options.master.add_option_tag("timer");
    let mut bench = Bench::with_options(App::default(), options);
    bench.ask(1, asked(|_| {}));
    let tag = ringing(&mut bench);
    let mut update = within(&Method::Update, 2, &tag);
    update.set(h::SESSION_EXPIRES, "100;refresher=uac");
    update.push_back(h::SUPPORTEDS, "timer");
    bench.ask(2, update);
    let (_, answer) = bench.response();
    assert_eq!((answer.status(), answer.exists(h::SESSION_EXPIRES)), (Some(200), false));
    bench.run(Duration::from_secs(200));
    assert_eq!(
        (sent(&mut bench), heard(&mut bench)),
        (vec!["180".to_owned(); 3], vec!["0 new".to_owned(), "0 UPDATE of alice".to_owned()])
    );
}

/// RFC 3262 §3: by another number, but as the application wrote it. What it said of media is agreed by then.
#[test]
fn a_reliable_response_is_sent_anew_every_minute() {
    for media in [false, true] {
        let mut bench = Bench::with_options(App::default(), options());
        bench.ask(1, asked(|msg| msg.push_back(h::SUPPORTEDS, "100rel")));
        let call = bench.dum.application().calls[0].as_server();
        let say = |msg: &mut Message| msg.append_line("Alert-Info", "<urn:1>");
        bench
            .with(|_, dum| match media {
                true => call.provide_answer(dum, &sdp(2000)).and_then(|()| call.early_media_with(dum, 183, say)),
                false => call.provisional_with(dum, 183, say),
            })
            .unwrap();
        let mut numbers = Vec::new();
        for number in 2..=4 {
            let (_, ringing) = bench.response();
            let said: Vec<_> = ringing.raw_values("Alert-Info").collect();
            assert_eq!((ringing.status(), said), (Some(183), vec![&b"<urn:1>"[..]]));
            assert_eq!(ringing.body().is_empty(), !media || number > 2);
            let (tag, rseq) =
                (ringing.header(h::TO).unwrap().param(p::TAG).unwrap().to_owned(), ringing.header(h::RSEQ).unwrap().0);
            numbers.push(rseq);
            // It is repeated until its PRACK.
            bench.run(Duration::from_millis(600));
            assert_eq!(bench.response().1.to_bytes(), ringing.to_bytes());
            let mut prack = within(&Method::Prack, number, &tag);
            prack.set(h::RACK, &format!("{rseq} 1 INVITE"));
            bench.ask(number, prack);
            assert_eq!(bench.response().1.status(), Some(200));
            bench.run(Duration::from_millis(59_900));
            bench.nothing_sent();
            bench.run(Duration::from_millis(200));
        }
        assert!(numbers.is_sorted_by(|one, next| one + 1 == *next), "{numbers:?}");
    }
}

/// A session of 100 s that is ours to refresh.
fn grant(msg: &mut Message) {
    msg.set(h::SESSION_EXPIRES, "100;refresher=uac");
    msg.push_back(h::ALLOWS, "UPDATE");
}

/// A call of ours with such a session, and its INVITE.
fn refreshing() -> (Bench<App>, Message) {
    let mut options = DumOptions::default();
    options.master.add_option_tag("timer");
    let (mut bench, transaction, invite) = calling_with(options);
    ok(&mut bench, (transaction, &invite), grant);
    assert_eq!(sent(&mut bench), ["ACK one"]);
    (bench, invite)
}

#[test]
fn a_refresh_that_fails_is_tried_again() {
    let (mut bench, _) = refreshing();
    let call = bench.dum.application().calls[0];
    bench.run(Duration::from_secs(50));
    let (first, msg) = bench.request();
    bench.respond(first, &msg, 500);
    bench.nothing_sent();
    bench.run(Duration::from_secs(10));
    let (second, msg) = bench.request();
    assert_eq!(msg.method(), Some(Method::Update));
    ok(&mut bench, (second, &msg), |msg| {
        grant(msg);
        msg.set_body(None, "");
    });
    bench.run(Duration::from_secs(45));
    bench.nothing_sent();
    // What is changed without a word of it lasts as long as nobody ends it (RFC 4028 §7.2).
    bench.with(|_, dum| call.hold(dum)).unwrap();
    let (transaction, invite) = bench.request();
    ok(&mut bench, (transaction, &invite), |_| {});
    bench.run(Duration::from_secs(7200));
    assert_eq!((sent(&mut bench), heard(&mut bench)), (vec!["ACK one".to_owned()], vec!["0 connected".to_owned()]));
}

/// RFC 4028 §7.4: before the session is over.
#[test]
fn where_update_is_refused_a_re_invite_refreshes() {
    for (code, method) in [
        (405, Method::Invite),
        (501, Method::Invite),
        (403, Method::Update),
        (488, Method::Update),
        (603, Method::Update),
    ] {
        let (mut bench, invite) = refreshing();
        bench.run(Duration::from_secs(50));
        let (update, msg) = bench.request();
        assert_eq!(msg.method(), Some(Method::Update));
        bench.respond(update, &msg, code);
        let (again, msg) = bench.request();
        assert_eq!((msg.method(), msg.body()), (Some(Method::Invite), invite.body()));
        ok(&mut bench, (again, &msg), grant);
        assert_eq!(sent(&mut bench), ["ACK one"]);
        // Who knows no UPDATE is not asked a second time.
        bench.run(Duration::from_secs(50));
        assert_eq!((bench.request().1.method(), heard(&mut bench)), (Some(method), vec!["0 connected".to_owned()]));
        bench.nothing_sent();
    }
}

/// A REFER out of a dialog, not answered.
fn referred(mut options: DumOptions) -> (Bench<App>, Handle<ServerRefer>) {
    options.master.add_transfer();
    let mut bench = Bench::with_options(App::default(), options);
    let mut refer = stack::helper::make_initial(
        &Method::Refer,
        &addr("<sip:bob@192.0.2.1>"),
        &addr("<sip:alice@192.0.2.9>"),
        &mut rutil::Rng::from_seed(9),
    );
    refer.set(h::REFER_TO, "<sip:carol@192.0.2.8>");
    refer.push_back(h::CONTACTS, "<sip:alice@192.0.2.9>");
    bench.ask(1, refer);
    let refer = bench.dum.application().refer.unwrap();
    (bench, refer)
}

/// What the NOTIFYs that were sent say, each of which is accepted.
fn told(bench: &mut Bench<App>) -> Vec<String> {
    let mut shown = Vec::new();
    while let Some(command) = bench.sent.pop_front() {
        let Command::Send { transaction, msg, .. } = command else { continue };
        if msg.method() == Some(Method::Notify) {
            let state = msg.header(h::SUBSCRIPTION_STATE).unwrap().to_string();
            let frag = String::from_utf8_lossy(msg.body()).lines().next().unwrap().to_owned();
            shown.push(format!("{frag}, {state}"));
            bench.respond(transaction, &msg, 200);
        }
    }
    shown
}

#[test]
fn a_transfer_to_many_phones_is_told_as_the_one_that_answers() {
    let (mut bench, refer) = referred(DumOptions::default());
    let offer = Sdp::parse(&SDP.into()).unwrap();
    bench.with(|_, dum| {
        let profile = dum.master_profile().user().clone();
        refer.follow(dum, &profile, Some(&offer)).unwrap();
    });
    let (_, accepted) = bench.response();
    let (first, trying) = bench.request();
    let (transaction, invite) = bench.request();
    assert_eq!((accepted.status(), trying.method()), (Some(202), Some(Method::Notify)));
    bench.respond(first, &trying, 200);
    for (code, tag, expected) in [
        (180, "one", "SIP/2.0 180 Ringing, active;expires=180"),
        (183, "two", "SIP/2.0 183 Session Progress, active;expires=180"),
        (200, "two", "SIP/2.0 200 OK, terminated;reason=noresource"),
    ] {
        fork(&mut bench, (transaction, &invite), code, tag);
        assert_eq!(told(&mut bench), [expected]);
    }
    // One fork that is ended is not the end of it; the last one is.
    let (mut bench, refer) = referred(DumOptions::default());
    bench.with(|_, dum| {
        let profile = dum.master_profile().user().clone();
        refer.follow(dum, &profile, Some(&offer)).unwrap();
    });
    let (_, (first, trying)) = (bench.response(), bench.request());
    let (transaction, invite) = bench.request();
    bench.respond(first, &trying, 200);
    fork(&mut bench, (transaction, &invite), 180, "one");
    fork(&mut bench, (transaction, &invite), 180, "two");
    told(&mut bench);
    let one = bench.dum.application().calls[0];
    bench.with(|_, dum| one.end(dum)).unwrap();
    assert_eq!(told(&mut bench), [""; 0]);
    fork(&mut bench, (transaction, &invite), 486, "two");
    assert_eq!(told(&mut bench), ["SIP/2.0 486 Busy Here, terminated;reason=noresource"]);
}

#[test]
fn a_transfer_lasts_as_long_as_something_is_told_and_ends_with_a_word() {
    let (mut bench, refer) = referred(DumOptions::default());
    bench.with(|_, dum| refer.accept(dum)).unwrap();
    told(&mut bench);
    bench.run(Duration::from_secs(100));
    bench.with(|_, dum| refer.notify(dum, 180)).unwrap();
    told(&mut bench);
    bench.run(Duration::from_secs(179));
    assert_eq!((told(&mut bench).len(), bench.dum.counts().refers), (0, 1));
    bench.run(Duration::from_secs(2));
    assert_eq!(told(&mut bench), ["SIP/2.0 180 Ringing, terminated;reason=timeout"]);
    assert_eq!((bench.dum.counts().refers, bench.dum.counts().dialogs), (0, 0));
}

#[test]
fn an_early_update_that_meets_another_is_sent_again() {
    let (mut bench, transaction, invite) = calling();
    reliable(&mut bench, (transaction, &invite), "one");
    let call = bench.dum.application().calls[0];
    bench.with(|_, dum| call.provide_offer(dum, &Sdp::parse(&SDP.into()).unwrap())).unwrap();
    let (_, (update, msg)) = (bench.request(), bench.request());
    bench.respond(update, &msg, 491);
    bench.run(Duration::from_secs(5));
    let (update, msg) = bench.request();
    assert_eq!((msg.method(), msg.body()), (Some(Method::Update), SDP.as_bytes()));
    ok(&mut bench, (update, &msg), |_| {});
    assert!(bench.with(|_, dum| call.provide_offer(dum, &Sdp::parse(&SDP.into()).unwrap())).is_ok());
}

#[test]
fn a_transfer_that_there_is_no_room_for_is_accepted_and_told_as_503() {
    let mut options = DumOptions::default();
    options.limits.dialog_sets = 1;
    let (mut bench, refer) = referred(options);
    let result = bench.with(|_, dum| {
        let profile = dum.master_profile().user().clone();
        refer.follow(dum, &profile, None)
    });
    assert_eq!((result, bench.response().1.status()), (Err(SessionError::NoRoom), Some(202)));
    let expected =
        ["SIP/2.0 100 Trying, active;expires=180", "SIP/2.0 503 Service Unavailable, terminated;reason=noresource"];
    assert_eq!((told(&mut bench), bench.dum.counts().dialogs), (expected.map(String::from).into(), 0));
}
