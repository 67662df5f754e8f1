//! What comes late of an attempt at a call, or of one of its forks, when there is another.

use super::crossing_tests::of_peer;
use super::ears::{Ears, call, calling, heard, options, port_of, respond, sdp};
use super::tests::addr;
use super::*;
use crate::testing::Bench;
use stack::header::{h, p};
use stack::transaction::Command;
use stack::tu::{ClientTransaction, NoResponse, TuEvent};
use std::time::Duration;

fn keep(_: &mut Message) {}

fn agreed(bench: &mut Bench<Ears>) -> [u16; 2] {
    let call = *bench.dum.application().calls.first().unwrap();
    bench.with(|_, dum| [call.local_sdp(dum), call.remote_sdp(dum)].map(|sdp| port_of(&sdp.unwrap())))
}

/// A call whose answer has come early; the PRACK for it.
type Early = (Bench<Ears>, (ClientTransaction, Message), (ClientTransaction, Message));

fn early() -> Early {
    early_with(false)
}

/// The same, where the PRACK may bring an offer.
fn early_with(offer: bool) -> Early {
    let (mut bench, transaction, invite) = calling(options(), true);
    bench.dum.application_mut().with_prack = offer.then(|| sdp(1002));
    respond(&mut bench, (transaction, &invite), 183, ("one", 2000, 7), keep);
    assert_eq!(heard(&mut bench)[0], "answer 2000");
    let prack = bench.request();
    (bench, (transaction, invite), prack)
}

/// The attempt fails for a session that is too brief: the next one.
fn again(bench: &mut Bench<Ears>, invite: &(ClientTransaction, Message)) -> (ClientTransaction, Message) {
    respond(bench, (invite.0, &invite.1), 422, ("other", 0, 0), |msg| msg.set(h::MIN_SE, &7200));
    let next = bench.request();
    assert_eq!(next.1.method(), Some(Method::Invite));
    next
}

/// It is answered, and both sides have the same call.
fn is_answered(bench: &mut Bench<Ears>, invite: &(ClientTransaction, Message)) {
    respond(bench, (invite.0, &invite.1), 200, ("next", 3000, 0), keep);
    assert!(
        matches!(bench.sent.pop_front(), Some(Command::SendStateless { msg, .. }) if msg.method() == Some(Method::Ack))
    );
    bench.nothing_sent();
    assert_eq!((heard(bench), agreed(bench)), (vec!["connected".to_owned(), "answer 3000".into()], [1000, 3000]));
}

/// RFC 3261 §8.1.3.4.
#[test]
fn a_prack_of_the_attempt_before_ends_nothing() {
    type Late = fn(&mut Bench<Ears>, &(ClientTransaction, Message));
    let unknown: Late = |bench, prack| respond(bench, (prack.0, &prack.1), 481, ("one", 0, 0), keep);
    let silent: Late =
        |bench, prack| bench.event(TuEvent::NoResponse { transaction: prack.0, reason: NoResponse::Timeout });
    for late in [unknown, silent] {
        for before in [true, false] {
            let (mut bench, invite, prack) = early();
            let next = again(&mut bench, &invite);
            if before {
                late(&mut bench, &prack);
                bench.nothing_sent();
            }
            is_answered(&mut bench, &next);
            if !before {
                late(&mut bench, &prack);
                bench.nothing_sent();
            }
            let call = call(&bench);
            assert!(bench.with(|_, dum| call.is_connected(dum)));
            assert_eq!(bench.with(|_, dum| call.hold(dum)), Ok(()));
        }
    }
}

#[test]
fn a_change_in_the_attempt_before_changes_nothing() {
    for (code, port) in [(200, 2002), (488, 0), (491, 0)] {
        let (mut bench, invite, prack) = early();
        respond(&mut bench, (prack.0, &prack.1), 200, ("one", 0, 0), keep);
        let call = call(&bench);
        bench.with(|_, dum| call.update(dum, &sdp(1002))).unwrap();
        let update = bench.request();
        let next = again(&mut bench, &invite);
        respond(&mut bench, (update.0, &update.1), code, ("one", port, 0), keep);
        bench.run(Duration::from_secs(5));
        bench.nothing_sent();
        assert_eq!(heard(&mut bench), ["rejected 487"], "{code}");
        is_answered(&mut bench, &next);
    }
    // It was put off; or is an offer with the PRACK.
    for (with_prack, told) in [(false, "rejected 491"), (true, "rejected 487")] {
        let (mut bench, invite, prack) = early_with(with_prack);
        let call = call(&bench);
        if !with_prack {
            respond(&mut bench, (prack.0, &prack.1), 200, ("one", 0, 0), keep);
            bench.with(|_, dum| call.update(dum, &sdp(1002))).unwrap();
            let update = bench.request();
            respond(&mut bench, (update.0, &update.1), 491, ("one", 0, 0), keep);
        }
        let next = again(&mut bench, &invite);
        bench.run(Duration::from_secs(5));
        bench.nothing_sent();
        assert_eq!(heard(&mut bench), [told]);
        is_answered(&mut bench, &next);
    }
    // The callee of the attempt before has asked for one: it is told that nobody will answer.
    let (mut bench, invite, prack) = early();
    respond(&mut bench, (prack.0, &prack.1), 200, ("one", 0, 0), keep);
    let mut change = of_peer(&invite.1, &Method::Update, 5);
    change.set_body(Some("application/sdp"), sdp(2002).print());
    bench.ask(3, change);
    assert_eq!(heard(&mut bench), ["offer 2002"]);
    respond(&mut bench, (invite.0, &invite.1), 422, ("other", 0, 0), |msg| msg.set(h::MIN_SE, &7200));
    assert_eq!(bench.response().1.status(), Some(487));
    assert_eq!(heard(&mut bench), ["withdrawn"]);
    let next = bench.request();
    bench.run(Duration::from_secs(20));
    bench.nothing_sent();
    is_answered(&mut bench, &next);
}

/// RFC 3261 §13.2.1: behind the first answer its responses bring nothing, whatever else is offered meanwhile.
#[test]
fn a_description_that_comes_again_is_no_answer_to_something_else() {
    let (mut bench, invite, prack) = early();
    respond(&mut bench, (prack.0, &prack.1), 200, ("one", 0, 0), keep);
    let own = call(&bench);
    bench.with(|_, dum| own.update(dum, &sdp(1002))).unwrap();
    let update = bench.request();
    respond(&mut bench, (invite.0, &invite.1), 180, ("one", 2000, 8), keep);
    assert_eq!(bench.request().1.method(), Some(Method::Prack));
    respond(&mut bench, (invite.0, &invite.1), 180, ("one", 2000, 0), keep);
    assert_eq!(heard(&mut bench), [""; 0]);
    respond(&mut bench, (update.0, &update.1), 200, ("one", 2002, 0), keep);
    assert_eq!((heard(&mut bench), agreed(&mut bench)), (vec!["answer 2002".to_owned()], [1002, 2002]));
    // Nor is it another offer.
    let (mut bench, transaction, invite) = calling(options(), false);
    respond(&mut bench, (transaction, &invite), 183, ("one", 2000, 7), keep);
    let own = call(&bench);
    bench.with(|_, dum| own.provide_answer(dum, &sdp(1000))).unwrap();
    let prack = bench.request();
    respond(&mut bench, (prack.0, &prack.1), 200, ("one", 0, 0), keep);
    assert_eq!(heard(&mut bench), ["offer 2000"]);
    respond(&mut bench, (transaction, &invite), 180, ("one", 2000, 8), keep);
    let prack = bench.request();
    assert_eq!((prack.1.method(), prack.1.body().len(), heard(&mut bench)), (Some(Method::Prack), 0, vec![]));
}

/// RFC 3261 §15: a fork was ended, and what it said before it knew that comes behind.
#[test]
fn a_fork_that_was_ended_takes_no_call() {
    // Its 2xx comes behind the answer to the BYE, or crosses the BYE.
    for (crosses, answered) in [(false, true), (false, false), (true, true), (true, false)] {
        let (mut bench, transaction, invite) = calling(options(), true);
        for tag in ["one", "two"] {
            respond(&mut bench, (transaction, &invite), 180, (tag, 0, 0), keep);
        }
        let two = call(&bench);
        bench.with(|_, dum| two.end(dum)).unwrap();
        let (bye, msg) = bench.request();
        assert_eq!(msg.header(h::TO).unwrap().param(p::TAG), Some("two"));
        if !crosses {
            bench.respond(bye, &msg, 200);
        }
        assert_eq!(heard(&mut bench), ["LocalBye"]);
        let forks = bench.dum.application().calls.len();
        respond(&mut bench, (transaction, &invite), 180, ("two", 0, 0), keep);
        bench.nothing_sent();
        for _ in 0..2 {
            respond(&mut bench, (transaction, &invite), 200, ("two", 2002, 0), keep);
        }
        let expected = if crosses { &["ACK two", "ACK two"][..] } else { &["ACK two", "BYE two", "ACK two"] };
        let (sent, nothing) = (super::tests::sent(&mut bench), heard(&mut bench));
        assert_eq!((sent, nothing), (expected.iter().map(|sent| (*sent).to_owned()).collect(), vec![]));
        if crosses {
            bench.respond(bye, &msg, 200);
        }
        assert_eq!(bench.dum.application().calls.len(), forks);
        if answered {
            respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), keep);
            assert_eq!(heard(&mut bench), ["connected", "answer 2000"]);
        } else {
            // The proxy has taken that one for the answer: no other comes.
            bench.event(TuEvent::ClientEnded { transaction });
            assert_eq!(heard(&mut bench), ["OtherFork"]);
            assert_eq!(bench.dum.counts().sessions, 0);
        }
    }
}

/// What is no INVITE of its own makes no call, and leaves nothing.
#[test]
fn only_an_invite_out_of_a_dialog_makes_a_call() {
    let (mut bench, _, sent) = calling(options(), true);
    let counts = bench.dum.counts();
    let twice = sent.clone();
    let mut within = sent.clone();
    within.set(h::TO, "<sip:bob@192.0.2.9>;tag=bob");
    let mut untagged = sent.clone();
    untagged.set(h::FROM, "<sip:alice@192.0.2.1>");
    let options = bench.with(|_, dum| {
        let profile = dum.master_profile().user().clone();
        dum.make_request(&profile, &Method::Options, &addr("<sip:bob@192.0.2.9>"))
    });
    for (msg, said) in [
        (options, "an INVITE out of a dialog is expected"),
        (within, "an INVITE out of a dialog is expected"),
        (untagged, "an INVITE out of a dialog is expected"),
        (twice, "this INVITE was sent before"),
    ] {
        let refused = bench.with(|_, dum| dum.send_invite(&dum.master_profile().user().clone(), msg)).unwrap_err();
        assert!(refused.to_string().starts_with(said), "{refused}");
        bench.nothing_sent();
    }
    assert_eq!(bench.dum.counts(), counts);
}

/// Nor does it take the call with it when another attempt is made.
#[test]
fn a_fork_that_was_ended_does_not_keep_the_call_from_another_attempt() {
    for (code, edit) in [
        (422, (|msg| msg.set(h::MIN_SE, &7200)) as fn(&mut Message)),
        (302, |msg| msg.push_back(h::CONTACTS, "<sip:carol@192.0.2.8>")),
    ] {
        let (mut bench, transaction, invite) = calling(options(), true);
        bench.dum.application_mut().follows = true;
        for tag in ["one", "two"] {
            respond(&mut bench, (transaction, &invite), 180, (tag, 0, 0), keep);
        }
        let [one, two] = bench.dum.application().calls[..] else { panic!("two calls") };
        bench.with(|_, dum| one.end(dum)).unwrap();
        let (bye, msg) = bench.request();
        assert_eq!(
            (msg.header(h::TO).unwrap().param(p::TAG), heard(&mut bench)),
            (Some("one"), vec!["LocalBye".into()])
        );
        respond(&mut bench, (transaction, &invite), code, ("other", 0, 0), edit);
        let next = bench.request();
        assert_eq!((next.1.method(), next.1.header(h::CSEQ).unwrap().number), (Some(Method::Invite), 2), "{code}");
        bench.respond(bye, &msg, 200);
        respond(&mut bench, (next.0, &next.1), 180, ("three", 0, 0), keep);
        respond(&mut bench, (next.0, &next.1), 200, ("three", 3000, 0), keep);
        assert_eq!(heard(&mut bench), ["connected", "answer 3000"]);
        assert!(bench.with(|_, dum| two.is_connected(dum)));
    }
}

/// RFC 3261 §12.2.2: what it was sent before, as a PRACK, came behind a number that the BYE must not be below.
#[test]
fn the_bye_for_a_late_fork_is_behind_what_it_was_sent_before() {
    let (mut bench, transaction, invite) = calling(options(), true);
    for rseq in 7..10 {
        respond(&mut bench, (transaction, &invite), 183, ("one", 0, rseq), keep);
        let prack = bench.request();
        respond(&mut bench, (prack.0, &prack.1), 200, ("one", 0, 0), keep);
    }
    respond(&mut bench, (transaction, &invite), 200, ("two", 2000, 0), keep);
    bench.sent.clear();
    respond(&mut bench, (transaction, &invite), 200, ("one", 2002, 0), keep);
    assert!(matches!(bench.sent.pop_front(), Some(Command::SendStateless { .. })));
    let bye = bench.request().1;
    assert_eq!((bye.method(), bye.header(h::CSEQ).unwrap().number), (Some(Method::Bye), 5));
}
