//! Why calls end: each reason is reached, and told as what it is.

use super::ears::{Ears, call, calling, heard, options, respond, sdp};
use super::tests::{asked, within};
use super::*;
use crate::testing::Bench;
use stack::header::{h, p};
use stack::transaction::Command;
use stack::transport::TransportError;
use stack::tu::{ClientTransaction, NoResponse, TuEvent};
use std::time::Duration;

fn keep(_: &mut Message) {}

/// A call of ours, and what becomes of its INVITE.
fn ours(answer: &[(u16, &str, u16)]) -> Bench<Ears> {
    let (mut bench, transaction, invite) = calling(options(), true);
    for (code, tag, port) in answer {
        respond(&mut bench, (transaction, &invite), *code, (tag, *port, 0), keep);
    }
    bench
}

fn no_response(reason: NoResponse) -> Bench<Ears> {
    let (mut bench, transaction, _) = calling(options(), true);
    bench.event(TuEvent::NoResponse { transaction, reason });
    bench
}

/// A call of ours that was answered.
fn connected() -> Bench<Ears> {
    let mut bench = ours(&[(200, "one", 2000)]);
    bench.sent.clear();
    bench
}

/// A call that came, is answered or not, and the tag of our side; the ACK has not come.
fn theirs(accept: bool) -> (Bench<Ears>, String) {
    let mut bench = Bench::with_options(Ears::default(), options());
    bench.ask(1, asked(keep));
    let call = call(&bench).as_server();
    bench
        .with(|_, dum| match accept {
            true => call.provide_answer(dum, &sdp(2000)).and_then(|()| call.accept(dum)),
            false => call.provisional(dum, 180),
        })
        .unwrap();
    let tag = bench.response().1.header(h::TO).unwrap().param(p::TAG).unwrap().to_owned();
    (bench, tag)
}

fn end(mut bench: Bench<Ears>) -> Bench<Ears> {
    let call = call(&bench);
    bench.with(|_, dum| call.end(dum)).unwrap();
    bench
}

/// INFO gets this answer.
fn info(mut bench: Bench<Ears>, code: u16) -> Bench<Ears> {
    let call = call(&bench);
    bench.with(|_, dum| call.info(dum, "text/plain", "?")).unwrap();
    let (info, msg) = bench.request();
    bench.respond(info, &msg, code);
    bench
}

/// A call of ours that waits, is over for this reason, and then gets the final response.
fn given_up(how: impl FnOnce(&mut Bench<Ears>), code: u16) -> Bench<Ears> {
    let (mut bench, transaction, invite) = calling(options(), true);
    respond(&mut bench, (transaction, &invite), 180, ("one", 0, 0), keep);
    how(&mut bench);
    respond(&mut bench, (transaction, &invite), code, ("one", 2000 * u16::from(code == 200), 0), keep);
    bench
}

/// Somebody takes the place of a call.
fn replace(bench: &mut Bench<Ears>) {
    let call = call(bench);
    bench.with(|_, dum| {
        let mut master = (**dum.master_profile()).clone();
        master.add_transfer();
        dum.set_master_profile(master);
    });
    // As its peer names it.
    let mine = bench.with(|_, dum| call.replaces(dum)).unwrap();
    let (to, from) = (mine.param(p::TO_TAG).unwrap(), mine.param(p::FROM_TAG).unwrap());
    let replaces = format!("{};to-tag={from};from-tag={to}", mine.call_id.as_str());
    bench.ask(
        9,
        asked(|msg| {
            msg.set(h::CALL_ID, "another");
            msg.append_line("Replaces", &replaces);
        }),
    );
    let new = self::call(bench).as_server();
    assert_eq!(bench.with(|_, dum| new.replaced_call(dum)), Some(call));
    bench.with(|_, dum| new.provide_answer(dum, &sdp(2000)).and_then(|()| new.accept(dum))).unwrap();
}

#[test]
fn each_reason_is_reached_and_told_as_what_it_is() {
    use EndReason as R;
    type Case = (R, &'static str, fn() -> Bench<Ears>);
    let cases: &[Case] = &[
        (R::LocalBye, "we hang up", || end(connected())),
        (R::RemoteBye, "a caller hangs up", || {
            let (mut bench, tag) = theirs(true);
            bench.event(TuEvent::Ack { msg: within(&Method::Ack, 1, &tag).into() });
            bench.ask(2, within(&Method::Bye, 2, &tag));
            bench
        }),
        (R::LocalCancel, "we give up", || given_up(end_of, 487)),
        (R::LocalCancel, "we give up, and the 200 crosses that", || given_up(end_of, 200)),
        (R::RemoteCancel, "the caller gives up", || {
            let (mut bench, _) = theirs(false);
            let cancel = asked(|msg| msg.set(h::CSEQ, "1 CANCEL"));
            let transaction = stack::tu::testing::Harness::server(1);
            bench.event(TuEvent::Cancelled { transaction, cancel: cancel.into() });
            bench
        }),
        (R::Rejected, "we refuse", || {
            let (mut bench, _) = theirs(false);
            let call = call(&bench).as_server();
            bench.with(|_, dum| call.reject(dum, 486, |_| {})).unwrap();
            bench
        }),
        (R::Rejected, "we end what rings here", || end(theirs(false).0)),
        (R::Refused, "486", || ours(&[(180, "one", 0), (486, "one", 0)])),
        (R::Redirected, "302 that we do not follow", || {
            let (mut bench, transaction, invite) = calling(options(), true);
            respond(&mut bench, (transaction, &invite), 302, ("one", 0, 0), |msg| {
                msg.push_back(h::CONTACTS, "<sip:carol@192.0.2.8>");
            });
            bench
        }),
        (R::Timeout, "Timer B", || no_response(NoResponse::Timeout)),
        (R::Timeout, "it rings for too long", || given_up(|bench| bench.run(Duration::from_secs(186)), 487)),
        (R::Timeout, "it rings for too long, and the 200 crosses that", || {
            given_up(|bench| bench.run(Duration::from_secs(186)), 200)
        }),
        (R::Timeout, "nobody here answers", || {
            let (mut bench, _) = theirs(false);
            bench.run(Duration::from_secs(3601));
            bench
        }),
        (R::Timeout, "a change gets no answer", || {
            let mut bench = connected();
            let call = call(&bench);
            bench.with(|_, dum| call.update(dum, &sdp(1002))).unwrap();
            let (transaction, _) = bench.request();
            bench.event(TuEvent::NoResponse { transaction, reason: NoResponse::Timeout });
            bench
        }),
        (R::Timeout, "a reliable 180 is not acknowledged", || {
            let mut bench = Bench::with_options(Ears::default(), options());
            bench.ask(1, asked(|msg| msg.push_back(h::SUPPORTEDS, "100rel")));
            let call = call(&bench).as_server();
            bench.with(|_, dum| call.provisional(dum, 180)).unwrap();
            bench.run(Duration::from_secs(33));
            bench
        }),
        (R::Transport, "the INVITE cannot be sent", || no_response(NoResponse::Transport(TransportError::Refused))),
        (R::OtherFork, "another one answers", || ours(&[(180, "one", 0), (200, "two", 2000)])),
        (R::NoAck, "our 200 is not acknowledged", || {
            let (mut bench, _) = theirs(true);
            bench.run(Duration::from_secs(33));
            bench
        }),
        (R::SessionExpired, "nobody refreshes", || {
            let (mut bench, transaction, invite) = calling(options(), true);
            let grant = |msg: &mut Message| msg.set(h::SESSION_EXPIRES, "100;refresher=uas");
            respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), grant);
            bench.run(Duration::from_secs(101));
            bench
        }),
        (R::SessionExpired, "nobody refreshes, and we have not answered the offer of the 200", || {
            let (mut bench, transaction, invite) = calling(options(), false);
            let grant = |msg: &mut Message| msg.set(h::SESSION_EXPIRES, "100;refresher=uas");
            respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), grant);
            bench.run(Duration::from_secs(101));
            bench
        }),
        (R::Gone, "481 to a request of ours", || info(connected(), 481)),
        (R::Gone, "481 to a request of ours, while it rings here and the caller knows", || {
            let (mut bench, tag) = theirs(false);
            bench.ask(2, within(&Method::Update, 2, &tag));
            assert_eq!(bench.response().1.status(), Some(200));
            info(bench, 481)
        }),
        (R::IllegalNegotiation, "the 200 has no answer", || ours(&[(200, "one", 0)])),
        (R::Malformed, "the 200 has no Contact that can be read", || {
            let (mut bench, transaction, invite) = calling(options(), true);
            respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), bad_contact);
            bench
        }),
        (R::Replaced, "another call takes its place", || {
            let mut bench = connected();
            replace(&mut bench);
            bench
        }),
        (R::Replaced, "another call takes its place while it rings", || given_up(replace, 487)),
        (R::Replaced, "another call takes its place while it rings, and the 200 crosses that", || {
            given_up(replace, 200)
        }),
    ];
    for (why, how, case) in cases {
        let mut bench = case();
        let told = heard(&mut bench);
        let ends: Vec<_> = told.iter().filter(|told| told.starts_with(char::is_uppercase)).collect();
        assert_eq!(ends, [&format!("{why:?}")], "{how}: {told:?}");
    }
    // None is missing: a new reason does not compile here.
    let reached = |why: R| cases.iter().any(|(reached, ..)| *reached == why);
    let next = |why: R| match why {
        R::LocalBye => Some(R::RemoteBye),
        R::RemoteBye => Some(R::LocalCancel),
        R::LocalCancel => Some(R::RemoteCancel),
        R::RemoteCancel => Some(R::Rejected),
        R::Rejected => Some(R::Refused),
        R::Refused => Some(R::Redirected),
        R::Redirected => Some(R::Timeout),
        R::Timeout => Some(R::Transport),
        R::Transport => Some(R::OtherFork),
        R::OtherFork => Some(R::NoAck),
        R::NoAck => Some(R::SessionExpired),
        R::SessionExpired => Some(R::Gone),
        R::Gone => Some(R::IllegalNegotiation),
        R::IllegalNegotiation => Some(R::Malformed),
        R::Malformed => Some(R::Replaced),
        R::Replaced => None,
    };
    let all = std::iter::successors(Some(R::LocalBye), |why| next(*why));
    assert_eq!(all.filter(|why| !reached(*why)).collect::<Vec<_>>(), []);
}

fn end_of(bench: &mut Bench<Ears>) {
    let call = call(bench);
    bench.with(|_, dum| call.end(dum)).unwrap();
}

/// RFC 3261 §15: a CANCEL would end the other early dialogs too.
#[test]
fn one_early_dialog_of_several_is_ended_alone_for_every_reason() {
    for (how, why) in [
        (end_of as fn(&mut Bench<Ears>), "LocalBye"),
        (replace, "Replaced"),
        (|bench| bench.run(Duration::from_secs(100)), "Timeout"),
    ] {
        let (mut bench, transaction, invite) = calling(options(), true);
        respond(&mut bench, (transaction, &invite), 180, ("one", 0, 0), keep);
        if why == "Timeout" {
            bench.run(Duration::from_secs(100));
        }
        respond(&mut bench, (transaction, &invite), 180, ("two", 0, 0), keep);
        if why == "Timeout" {
            // The first one is the older.
            let first = bench.dum.application().calls[0];
            bench.dum.application_mut().calls.push(first);
        }
        how(&mut bench);
        let told = heard(&mut bench);
        assert_eq!(told.last().map(String::as_str), Some(why), "{told:?}");
        let byes = std::mem::take(&mut bench.sent);
        assert!(!byes.iter().any(|sent| matches!(sent, stack::transaction::Command::Cancel { .. })), "{byes:?}");
        let other = if why == "Timeout" { "two" } else { "one" };
        respond(&mut bench, (transaction, &invite), 200, (other, 2000, 0), keep);
        assert_eq!(heard(&mut bench), ["connected", "answer 2000"]);
    }
}

/// INFO of ours, not answered yet.
fn our_info(bench: &mut Bench<Ears>) -> (ClientTransaction, Message) {
    let call = call(bench);
    bench.with(|_, dum| call.info(dum, "text/plain", "?")).unwrap();
    bench.request()
}

/// Who lacks our 180 does not know its dialog, and answers what comes before it with 481.
#[test]
fn what_overtakes_the_180_does_not_end_the_call() {
    let (mut bench, tag) = theirs(false);
    let call = call(&bench);
    let (first, second) = (our_info(&mut bench), our_info(&mut bench));
    bench.respond(first.0, &first.1, 481);
    // Then it has come, and the answer to the second one, too, was made before that.
    bench.ask(2, within(&Method::Update, 2, &tag));
    assert_eq!(bench.response().1.status(), Some(200));
    bench.respond(second.0, &second.1, 481);
    assert_eq!(heard(&mut bench), ["offer 4000", "481 INFO", "481 INFO"]);
    bench.with(|_, dum| call.provide_answer(dum, &sdp(2000)).and_then(|()| call.as_server().accept(dum))).unwrap();
    assert_eq!(bench.response().1.status(), Some(200));
    bench.event(TuEvent::Ack { msg: within(&Method::Ack, 1, &tag).into() });
    assert!(bench.with(|_, dum| call.is_connected(dum)));
}

/// RFC 3261 §12.2.1.2 is about the dialog. A callee that has none any more has sent a final response, which may be lost and
/// comes again: what it says of the INVITE counts, and an early dialog may be one of several (RFC 5057 §5.1).
#[test]
fn an_early_dialog_that_is_gone_does_not_end_the_invite() {
    type Ask = fn(&mut Bench<Ears>) -> &'static str;
    let info: Ask = |bench| {
        let call = call(bench);
        bench.with(|_, dum| call.info(dum, "text/plain", "?")).unwrap();
        "481 INFO"
    };
    let update: Ask = |bench| {
        let call = call(bench);
        bench.with(|_, dum| call.update(dum, &sdp(1002))).unwrap();
        "rejected 481"
    };
    for (ask, rseq) in [(info, 0), (update, 7), ((|_| "481 PRACK") as Ask, 7)] {
        for (code, why) in [(486, "Refused"), (302, "Redirected"), (422, "Refused"), (200, "connected")] {
            let (mut bench, transaction, invite) = calling(options(), true);
            respond(&mut bench, (transaction, &invite), 183, ("one", 2000, rseq), keep);
            let prack = (rseq > 0).then(|| bench.request());
            heard(&mut bench);
            let told = ask(&mut bench);
            let (asked, msg) = if told == "481 PRACK" { prack.unwrap() } else { bench.request() };
            respond(&mut bench, (asked, &msg), 481, ("one", 0, 0), keep);
            bench.nothing_sent();
            assert_eq!(heard(&mut bench), [told]);
            respond(&mut bench, (transaction, &invite), code, ("one", 2000 * u16::from(code == 200), 0), keep);
            assert_eq!(heard(&mut bench)[0], why, "{told}");
        }
        // One of two: the other one goes on.
        let (mut bench, transaction, invite) = calling(options(), true);
        respond(&mut bench, (transaction, &invite), 183, ("one", 2000, rseq), keep);
        let prack = (rseq > 0).then(|| bench.request());
        heard(&mut bench);
        let told = ask(&mut bench);
        let (asked, msg) = if told == "481 PRACK" { prack.unwrap() } else { bench.request() };
        respond(&mut bench, (transaction, &invite), 180, ("two", 0, 0), keep);
        respond(&mut bench, (asked, &msg), 481, ("one", 0, 0), keep);
        bench.nothing_sent();
        assert_eq!(heard(&mut bench).last().map(String::as_str), Some("Gone"), "{told}");
        respond(&mut bench, (transaction, &invite), 200, ("two", 2000, 0), keep);
        assert_eq!(heard(&mut bench), ["connected", "answer 2000"]);
    }
}

/// Who lacks our 2xx does not know its dialog, and answers what comes before it with 481: that is heard behind the ACK.
#[test]
fn what_overtakes_the_200_does_not_end_the_call() {
    let (mut bench, tag) = theirs(true);
    let call = call(&bench);
    let (first, second) = (our_info(&mut bench), our_info(&mut bench));
    bench.respond(first.0, &first.1, 481);
    bench.event(TuEvent::Ack { msg: within(&Method::Ack, 1, &tag).into() });
    heard(&mut bench);
    bench.respond(second.0, &second.1, 481);
    assert_eq!(heard(&mut bench), ["481 INFO"]);
    assert!(bench.with(|_, dum| call.is_connected(dum)));
    let third = our_info(&mut bench);
    bench.respond(third.0, &third.1, 481);
    assert_eq!(heard(&mut bench), ["Gone"]);
}

/// As a Reason (RFC 3326) does: the CANCEL says it, and the BYE, also one that comes later, and the refusal.
#[test]
fn who_ends_a_call_says_why() {
    const SAID: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";
    let give_up = |bench: &mut Bench<Ears>| {
        let call = call(bench);
        let reason = stack::header::Token::new("SIP").with(p::CAUSE, 200).with(p::TEXT, "Call completed elsewhere");
        bench.with(|_, dum| call.end_with(dum, move |msg| msg.push_back(h::REASONS, &reason))).unwrap();
    };
    let said = |msg: &Message| {
        msg.raw_values("Reason").map(|value| String::from_utf8_lossy(value).into_owned()).collect::<Vec<_>>()
    };
    let bye = |bench: &mut Bench<Ears>| {
        let (_, msg) = bench.request();
        assert_eq!(msg.method(), Some(Method::Bye));
        said(&msg)
    };
    // Before it is answered; and the 200 crosses that.
    let (mut bench, transaction, invite) = calling(options(), true);
    respond(&mut bench, (transaction, &invite), 180, ("one", 0, 0), keep);
    give_up(&mut bench);
    match bench.sent.pop_front() {
        Some(Command::Cancel { added: Some(added), .. }) => assert_eq!(said(&added), [SAID]),
        other => panic!("{other:?}"),
    }
    respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), keep);
    assert!(matches!(bench.sent.pop_front(), Some(Command::SendStateless { .. })), "the ACK");
    assert_eq!(bye(&mut bench), [SAID]);
    // One that stands.
    let mut bench = connected();
    give_up(&mut bench);
    assert_eq!(bye(&mut bench), [SAID]);
    // One whose ACK has not come: behind it.
    let (mut bench, tag) = theirs(true);
    give_up(&mut bench);
    bench.nothing_sent();
    bench.event(TuEvent::Ack { msg: within(&Method::Ack, 1, &tag).into() });
    assert_eq!(bye(&mut bench), [SAID]);
    // One that rings here.
    let (mut bench, _) = theirs(false);
    give_up(&mut bench);
    let (_, refusal) = bench.response();
    assert_eq!((refusal.status(), said(&refusal)), (Some(480), vec![SAID.to_owned()]));
    // Who says none gives none.
    let mut bench = end(connected());
    assert_eq!(bye(&mut bench), [""; 0]);
}

fn bad_contact(msg: &mut Message) {
    msg.remove(h::CONTACTS);
    msg.append_line("Contact", "<<");
}

/// RFC 3261 §13.2.2.4: a 2xx is acknowledged, to where the peer is known to be, else to where the INVITE went.
#[test]
fn a_2xx_that_makes_no_dialog_is_acknowledged_and_ended() {
    let edits: [fn(&mut Message); 3] =
        [bad_contact, |msg| msg.remove(h::CONTACTS), |msg| msg.append_line("Record-Route", "<<")];
    for (at, edit) in edits.into_iter().enumerate() {
        for known in [false, true] {
            let (mut bench, transaction, invite) = calling(options(), true);
            if known {
                respond(&mut bench, (transaction, &invite), 180, ("one", 0, 0), keep);
            }
            respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), edit);
            // Known, no Contact is one that stays.
            if (at, known) == (1, true) {
                assert_eq!(heard(&mut bench), ["connected", "answer 2000"]);
                continue;
            }
            let to = if known || at == 2 { "sip:one@192.0.2.9" } else { "sip:bob@192.0.2.9" };
            let expected = [format!("ACK {to}"), format!("BYE {to}")];
            assert_eq!((told(&mut bench), heard(&mut bench)), (expected.to_vec(), vec!["Malformed".to_owned()]));
            // It is repeated, and so is its ACK.
            respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), edit);
            assert_eq!(told(&mut bench), expected[..1]);
            // Another fork's comes late.
            respond(&mut bench, (transaction, &invite), 200, ("two", 2000, 0), bad_contact);
            assert_eq!(told(&mut bench), ["ACK sip:bob@192.0.2.9", "BYE sip:bob@192.0.2.9"]);
        }
    }
    // It may cross our CANCEL.
    let (mut bench, transaction, invite) = calling(options(), true);
    end_of(&mut bench);
    bench.sent.clear();
    respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), bad_contact);
    assert_eq!((told(&mut bench).len(), heard(&mut bench)), (2, vec!["LocalCancel".to_owned()]));
}

/// What was sent, and to whom.
fn told(bench: &mut Bench<Ears>) -> Vec<String> {
    let one = |command| match command {
        Command::Send { msg, .. } | Command::SendStateless { msg, .. } => {
            let to = String::from_utf8_lossy(msg.request_uri_text()).into_owned();
            format!("{} {to}", msg.method().unwrap().as_str())
        }
        other => panic!("{other:?}"),
    };
    std::mem::take(&mut bench.sent).into_iter().map(one).collect()
}
