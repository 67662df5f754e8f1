//! Changes that are taken back: re-INVITEs of ours that the application does not want any more, and offers of the peer in an early
//! dialog that ends.

use super::crossing_tests::of_peer;
use super::ears::{Ears, call, calling, heard, options, port_of, respond, sdp};
use super::*;
use crate::auth::Credential;
use crate::testing::Bench;
use stack::auth::{Algorithm, Challenge};
use stack::header::h;
use stack::transaction::Command;
use stack::tu::{ClientTransaction, NoResponse, TuEvent};
use std::time::Duration;

fn keep(_: &mut Message) {}

/// A call of ours that stands, with credentials, and its INVITE.
fn connected() -> (Bench<Ears>, Message) {
    let mut options = options();
    options.master.user_mut().set_credentials([Credential::new("b", "alice", "wonderland")].into());
    let (mut bench, transaction, invite) = calling(options, true);
    respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), keep);
    bench.sent.clear();
    heard(&mut bench);
    (bench, invite)
}

fn withdraw(bench: &mut Bench<Ears>) -> Result<(), SessionError> {
    let call = call(bench);
    bench.with(|_, dum| call.withdraw_offer(dum))
}

/// One that the peer has not answered, and is cancelled, once.
fn withdrawn(offer: bool) -> (Bench<Ears>, (ClientTransaction, Message)) {
    let (mut bench, _) = connected();
    let call = call(&bench);
    bench.with(|_, dum| if offer { call.provide_offer(dum, &sdp(1002)) } else { call.request_offer(dum) }).unwrap();
    let (transaction, msg) = bench.request();
    respond(&mut bench, (transaction, &msg), 180, ("one", 0, 0), keep);
    for _ in 0..2 {
        withdraw(&mut bench).unwrap();
    }
    let cancelled = bench.sent.pop_front();
    assert!(matches!(cancelled, Some(Command::Cancel { transaction: it, .. }) if it == transaction), "{cancelled:?}");
    bench.nothing_sent();
    (bench, (transaction, msg))
}

fn agreed(bench: &mut Bench<Ears>) -> [u16; 2] {
    let call = call(bench);
    bench.with(|_, dum| [call.local_sdp(dum), call.remote_sdp(dum)].map(|sdp| port_of(&sdp.unwrap())))
}

/// Whatever it is refused with, it is not made once more.
#[test]
fn what_was_agreed_before_stands_when_it_is_refused() {
    for code in [487, 491, 422, 401, 488, 408, 0] {
        let (mut bench, (transaction, msg)) = withdrawn(true);
        // A re-INVITE that is cancelled has its time by then: 64·T1 in the stack.
        respond(&mut bench, (transaction, &msg), 180, ("one", 0, 0), keep);
        bench.run(Duration::from_secs(30));
        if code == 0 {
            bench.event(TuEvent::NoResponse { transaction, reason: NoResponse::Timeout });
        } else {
            respond(&mut bench, (transaction, &msg), code, ("one", 0, 0), |msg| match code {
                422 => msg.set(h::MIN_SE, &9000),
                401 => msg.push_back(h::WWW_AUTHENTICATES, &Challenge::new("b", "1", Algorithm::MD5).to_auth()),
                _ => {}
            });
        }
        bench.run(Duration::from_secs(10));
        bench.nothing_sent();
        let told = if code == 0 { 408 } else { code };
        assert_eq!((heard(&mut bench), agreed(&mut bench)), (vec![format!("rejected {told}")], [1000, 2000]));
        // The next one can be made, and taken back.
        assert_eq!(withdraw(&mut bench), Err(SessionError::NotNow));
        let call = call(&bench);
        bench.with(|_, dum| call.provide_offer(dum, &sdp(1004))).unwrap();
        let (transaction, msg) = bench.request();
        respond(&mut bench, (transaction, &msg), 200, ("one", 2004, 0), keep);
        assert_eq!((heard(&mut bench), agreed(&mut bench)), (vec!["answer 2004".to_owned()], [1004, 2004]));
    }
}

/// RFC 3261 §9.1: the CANCEL has no effect on it.
#[test]
fn a_200_that_crosses_the_cancel_counts() {
    let (mut bench, (transaction, msg)) = withdrawn(true);
    respond(&mut bench, (transaction, &msg), 200, ("one", 2002, 0), keep);
    assert_eq!(super::tests::sent(&mut bench), ["ACK one"]);
    assert_eq!((heard(&mut bench), agreed(&mut bench)), (vec!["answer 2002".to_owned()], [1002, 2002]));
    // Where we have asked for an offer it brings that, and the ACK the answer.
    let (mut bench, (transaction, msg)) = withdrawn(false);
    respond(&mut bench, (transaction, &msg), 200, ("one", 2002, 0), keep);
    bench.nothing_sent();
    let call = call(&bench);
    bench.with(|_, dum| call.provide_answer(dum, &sdp(1002))).unwrap();
    assert_eq!(super::tests::sent(&mut bench), ["ACK one"]);
    assert_eq!((heard(&mut bench), agreed(&mut bench)), (vec!["offer 2002".to_owned()], [1002, 2002]));
}

#[test]
fn what_is_put_off_is_not_made() {
    let (mut bench, _) = connected();
    let call = call(&bench);
    bench.with(|_, dum| call.provide_offer(dum, &sdp(1002))).unwrap();
    let (transaction, msg) = bench.request();
    respond(&mut bench, (transaction, &msg), 491, ("one", 0, 0), keep);
    assert_eq!((heard(&mut bench), withdraw(&mut bench)), (vec![], Ok(())));
    assert_eq!((heard(&mut bench), withdraw(&mut bench)), (vec!["rejected 491".to_owned()], Err(SessionError::NotNow)));
    bench.run(Duration::from_secs(10));
    bench.nothing_sent();
}

#[test]
fn an_update_or_a_refresh_is_not_taken_back() {
    let (mut bench, invite) = connected();
    let call = call(&bench);
    assert_eq!(withdraw(&mut bench), Err(SessionError::NotNow));
    bench.with(|_, dum| call.update(dum, &sdp(1002))).unwrap();
    assert_eq!(withdraw(&mut bench), Err(SessionError::NotNow));
    let mut bye = of_peer(&invite, &Method::Bye, 5);
    bye.set_body(None, "");
    bench.ask(3, bye);
    assert_eq!(withdraw(&mut bench), Err(SessionError::Ended(crate::UsageEnded)));
    let (mut bench, transaction, invite) = calling(options(), true);
    respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), |msg| {
        msg.set(h::SESSION_EXPIRES, "100;refresher=uac");
        msg.remove(h::ALLOWS);
    });
    bench.sent.clear();
    bench.run(Duration::from_secs(51));
    let (_, refresh) = bench.request();
    assert_eq!(refresh.method(), Some(Method::Invite));
    assert_eq!(withdraw(&mut bench), Err(SessionError::NotNow));
}

/// The INVITE goes elsewhere, or once more: the early dialog is over, with what the peer has offered in it.
#[test]
fn an_offer_in_an_early_dialog_ends_with_that() {
    for code in [302, 422] {
        for update in [true, false] {
            let (mut bench, transaction, invite) = calling(options(), update);
            bench.dum.application_mut().follows = true;
            respond(&mut bench, (transaction, &invite), 183, ("one", 2000, 7), keep);
            if update {
                let (prack, msg) = bench.request();
                respond(&mut bench, (prack, &msg), 200, ("one", 0, 0), keep);
                bench.ask(3, of_peer(&invite, &Method::Update, 5));
                assert_eq!(heard(&mut bench), ["answer 2000", "offer 4000"]);
            } else {
                assert_eq!(heard(&mut bench), ["offer 2000"]);
            }
            bench.nothing_sent();
            respond(&mut bench, (transaction, &invite), code, ("one", 0, 0), |msg| match code {
                302 => msg.push_back(h::CONTACTS, "<sip:carol@192.0.2.8>"),
                _ => msg.set(h::MIN_SE, &9000),
            });
            if update {
                assert_eq!(bench.response().1.status(), Some(487));
            }
            assert_eq!(heard(&mut bench), ["withdrawn"], "{code} {update}");
            let call = call(&bench);
            assert_eq!(bench.with(|_, dum| call.provide_answer(dum, &sdp(1002))), Err(SessionError::NotNow));
            let (transaction, again) = bench.request();
            assert_eq!(again.method(), Some(Method::Invite));
            respond(&mut bench, (transaction, &again), 200, ("two", 2000, 0), keep);
            let told = if update { "answer 2000" } else { "offer 2000" };
            assert_eq!(heard(&mut bench), ["connected", told]);
        }
    }
}
