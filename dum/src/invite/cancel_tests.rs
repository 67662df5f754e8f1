//! INVITEs of ours that are given up unless they are answered (RFC 3261 §9.1): [`Handle::cancel`].

use super::ears::{Ears, call, calling, heard, options, respond};
use super::tests::{asked, sent};
use super::*;
use crate::auth::Credential;
use crate::testing::Bench;
use crate::{Counts, UsageEnded};
use stack::auth::{Algorithm, Challenge};
use stack::header::h;
use stack::transaction::Command;
use stack::tu::{ClientTransaction, NoResponse, TuEvent};
use std::time::Duration;

fn keep(_: &mut Message) {}

/// The last call is cancelled, twice; how often CANCEL was sent.
fn cancel(bench: &mut Bench<Ears>) -> usize {
    let call = call(bench).as_client();
    for _ in 0..2 {
        assert_eq!(bench.with(|_, dum| call.cancel(dum)), Ok(()));
    }
    cancels(bench)
}

/// CANCELs that were sent; nothing else was.
fn cancels(bench: &mut Bench<Ears>) -> usize {
    let all = std::mem::take(&mut bench.sent);
    assert!(all.iter().all(|sent| matches!(sent, Command::Cancel { .. })), "{all:?}");
    all.len()
}

/// A call that rings, with these tags, or does not; it is cancelled.
fn cancelled(offer: bool, tags: &[&str]) -> (Bench<Ears>, ClientTransaction, Message) {
    let mut options = options();
    options.master.user_mut().set_credentials([Credential::new("b", "alice", "wonderland")].into());
    let (mut bench, transaction, invite) = calling(options, offer);
    bench.dum.application_mut().follows = true;
    for tag in tags {
        respond(&mut bench, (transaction, &invite), 180, (tag, 0, 0), keep);
    }
    assert_eq!((cancel(&mut bench), heard(&mut bench)), (1, vec![]));
    (bench, transaction, invite)
}

/// It is not made once more, nor elsewhere.
#[test]
fn whatever_refuses_it_it_was_cancelled() {
    for tags in [&[][..], &["one"], &["one", "two"]] {
        for code in [487, 486, 603, 401, 422, 302, 0] {
            let (mut bench, transaction, invite) = cancelled(true, tags);
            if code == 0 {
                bench.event(TuEvent::NoResponse { transaction, reason: NoResponse::Timeout });
            } else {
                respond(&mut bench, (transaction, &invite), code, ("one", 0, 0), |msg| match code {
                    401 => msg.push_back(h::WWW_AUTHENTICATES, &Challenge::new("b", "1", Algorithm::MD5).to_auth()),
                    422 => msg.set(h::MIN_SE, &9000),
                    302 => msg.push_back(h::CONTACTS, "<sip:carol@192.0.2.8>"),
                    _ => {}
                });
            }
            bench.nothing_sent();
            assert_eq!(heard(&mut bench), vec!["LocalCancel"; tags.len().max(1)], "{code}");
            assert_eq!(bench.dum.counts(), Counts::default());
        }
    }
}

#[test]
fn a_200_that_crosses_the_cancel_connects_the_call() {
    for tags in [&[][..], &["one"]] {
        for offer in [true, false] {
            let (mut bench, transaction, invite) = cancelled(offer, tags);
            respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), keep);
            let call = call(&bench);
            if offer {
                assert_eq!(heard(&mut bench), ["connected", "answer 2000"]);
            } else {
                assert_eq!(heard(&mut bench), ["connected", "offer 2000"]);
                bench.with(|_, dum| call.provide_answer(dum, &super::ears::sdp(1000))).unwrap();
            }
            assert_eq!(sent(&mut bench), ["ACK one"]);
            // It is a call as any other.
            assert_eq!(bench.with(|_, dum| call.as_client().cancel(dum)), Err(SessionError::NotNow));
            bench.run(Duration::from_secs(200));
            bench.with(|_, dum| call.end(dum)).unwrap();
            assert_eq!((sent(&mut bench), heard(&mut bench)), (vec!["BYE one".to_owned()], vec!["LocalBye".into()]));
            assert_eq!(bench.with(|_, dum| call.as_client().cancel(dum)), Err(UsageEnded.into()));
        }
    }
}

/// Also one that had not been heard of.
#[test]
fn any_fork_may_be_answered() {
    for tag in ["one", "two", "three"] {
        let (mut bench, transaction, invite) = cancelled(true, &["one", "two"]);
        respond(&mut bench, (transaction, &invite), 200, (tag, 2000, 0), keep);
        let others = if tag == "three" { 2 } else { 1 };
        let expected = [&["connected", "answer 2000"][..], &["OtherFork", "OtherFork"][..others]].concat();
        let mut told = heard(&mut bench);
        told.sort_by_key(|what| what == "OtherFork");
        assert_eq!(
            (told, sent(&mut bench)),
            (expected.iter().map(|told| (*told).to_owned()).collect(), vec![format!("ACK {tag}")])
        );
        bench.event(TuEvent::ClientEnded { transaction });
        assert_eq!(bench.dum.counts().sessions, 1);
    }
}

/// A 200 that crosses it is acknowledged and ended; CANCEL is sent once.
#[test]
fn to_end_it_after_that_is_definite() {
    for answered in [true, false] {
        let (mut bench, transaction, invite) = cancelled(true, &["one"]);
        let call = call(&bench);
        bench.with(|_, dum| call.end(dum)).unwrap();
        assert_eq!((cancels(&mut bench), cancel(&mut bench)), (0, 0));
        respond(&mut bench, (transaction, &invite), if answered { 200 } else { 487 }, ("one", 2000, 0), keep);
        let left = if answered { vec!["ACK one", "BYE one"] } else { vec![] };
        assert_eq!(
            (sent(&mut bench), heard(&mut bench)),
            (left.into_iter().map(str::to_owned).collect(), vec!["LocalCancel".to_owned()])
        );
    }
}

/// One of two that were heard of: that one alone, as ever.
#[test]
fn to_end_a_fork_after_that_leaves_the_other() {
    let (mut bench, transaction, invite) = cancelled(true, &["one", "two"]);
    let two = call(&bench);
    bench.with(|_, dum| two.end(dum)).unwrap();
    assert_eq!((sent(&mut bench), heard(&mut bench)), (vec!["BYE two".to_owned()], vec!["LocalBye".to_owned()]));
    respond(&mut bench, (transaction, &invite), 487, ("one", 0, 0), keep);
    assert_eq!(heard(&mut bench), ["LocalCancel"]);
}

#[test]
fn what_we_are_asked_to_take_is_not_cancelled() {
    let mut bench = Bench::with_options(Ears::default(), options());
    bench.ask(1, asked(|_| {}));
    let call = call(&bench).as_client();
    assert_eq!(bench.with(|_, dum| call.cancel(dum)), Err(SessionError::NotNow));
    bench.nothing_sent();
}
