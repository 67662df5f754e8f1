//! UPDATEs of the peer while a re-INVITE of ours waits for its final response (RFC 3311 §5.2, RFC 6141, RFC 6337 §2.2).

use super::crossing_tests::of_peer;
use super::ears::{Ears, call, calling, heard, options, port_of, respond, sdp};
use super::tests::sent;
use super::*;
use crate::testing::Bench;
use stack::header::h;
use stack::transaction::Command;
use stack::tu::ClientTransaction;
use std::time::Duration;

fn keep(_: &mut Message) {}

type Change = (ClientTransaction, Message);

/// A call of ours that stands, with its INVITE, and a change: a re-INVITE.
fn changing(offer: bool) -> (Bench<Ears>, Message, Change) {
    let (mut bench, transaction, invite) = calling(options(), true);
    respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), keep);
    bench.sent.clear();
    heard(&mut bench);
    let call = call(&bench);
    bench.with(|_, dum| if offer { call.provide_offer(dum, &sdp(1002)) } else { call.request_offer(dum) }).unwrap();
    let change = bench.request();
    (bench, invite, change)
}

/// The same, with offer and answer agreed on by a reliable provisional response, and an UPDATE that came behind it.
fn within(offer: bool) -> (Bench<Ears>, Message, Change) {
    let (mut bench, invite, change) = changing(offer);
    respond(&mut bench, (change.0, &change.1), 183, ("one", 2002, 7), keep);
    if !offer {
        let call = call(&bench);
        bench.with(|_, dum| call.provide_answer(dum, &sdp(1002))).unwrap();
    }
    let (prack, msg) = bench.request();
    respond(&mut bench, (prack, &msg), 200, ("one", 0, 0), keep);
    assert_eq!(heard(&mut bench), [if offer { "answer 2002" } else { "offer 2002" }]);
    assert_eq!(agreed(&mut bench), [1002, 2002]);
    update(&mut bench, &invite, 5);
    bench.nothing_sent();
    assert_eq!(heard(&mut bench), ["offer 4000"]);
    (bench, invite, change)
}

fn update(bench: &mut Bench<Ears>, invite: &Message, number: u32) {
    bench.ask(number, of_peer(invite, &Method::Update, number));
}

fn answer(bench: &mut Bench<Ears>) {
    let call = call(bench);
    bench.with(|_, dum| call.provide_answer(dum, &sdp(1004))).unwrap();
    let (_, response) = bench.response();
    assert_eq!((response.status(), response.method()), (Some(200), Some(Method::Update)));
}

fn agreed(bench: &mut Bench<Ears>) -> [u16; 2] {
    let call = call(bench);
    bench.with(|_, dum| [call.local_sdp(dum), call.remote_sdp(dum)].map(|sdp| port_of(&sdp.unwrap())))
}

#[test]
fn an_update_behind_the_answer_is_answered_before_the_re_invite_or_behind_it() {
    for offer in [true, false] {
        for before in [true, false] {
            let (mut bench, _, change) = within(offer);
            if before {
                answer(&mut bench);
                assert_eq!(agreed(&mut bench), [1004, 4000]);
            }
            // What the 200 says again is not new.
            respond(&mut bench, (change.0, &change.1), 200, ("one", 2002, 0), keep);
            assert_eq!((sent(&mut bench), heard(&mut bench)), (vec!["ACK one".to_owned()], vec![]));
            if !before {
                answer(&mut bench);
            }
            assert_eq!(agreed(&mut bench), [1004, 4000]);
            let call = call(&bench);
            assert_eq!(bench.with(|_, dum| call.provide_offer(dum, &sdp(1006))), Ok(()));
        }
    }
}

/// RFC 6141 §3.4: what was agreed on within a re-INVITE that is refused is not. What is offered still is.
#[test]
fn a_re_invite_that_is_refused_takes_back_what_was_agreed_within() {
    for before in [true, false] {
        let (mut bench, _, change) = within(true);
        if before {
            answer(&mut bench);
        }
        respond(&mut bench, (change.0, &change.1), 488, ("one", 0, 0), keep);
        assert_eq!((heard(&mut bench), agreed(&mut bench)), (vec!["rejected 488".to_owned()], [1000, 2000]));
        if !before {
            answer(&mut bench);
            assert_eq!(agreed(&mut bench), [1004, 4000]);
        }
    }
}

#[test]
fn an_update_within_is_refused_alone() {
    let (mut bench, _, change) = within(true);
    let call = call(&bench);
    bench.with(|_, dum| call.reject_offer(dum, 488)).unwrap();
    let (_, response) = bench.response();
    assert_eq!((response.status(), response.method()), (Some(488), Some(Method::Update)));
    assert_eq!(agreed(&mut bench), [1002, 2002]);
    respond(&mut bench, (change.0, &change.1), 200, ("one", 0, 0), keep);
    assert_eq!((sent(&mut bench), agreed(&mut bench)), (vec!["ACK one".to_owned()], [1002, 2002]));
    // Nobody answers it: then the re-INVITE has its time.
    let (mut bench, _, change) = within(true);
    bench.run(Duration::from_secs(17));
    assert_eq!(bench.response().1.status(), Some(504));
    assert_eq!(heard(&mut bench), ["withdrawn"]);
    bench.run(Duration::from_secs(183));
    bench.nothing_sent();
    bench.run(Duration::from_secs(2));
    assert!(matches!(bench.sent.pop_front(), Some(Command::Cancel { transaction, .. }) if transaction == change.0));
}

/// RFC 3311 §5.2: one after the other; and before the answer they would meet.
#[test]
fn a_second_update_and_one_before_the_answer_are_refused() {
    let (mut bench, invite, _) = within(true);
    update(&mut bench, &invite, 6);
    let (_, response) = bench.response();
    assert_eq!((response.status(), response.exists(h::RETRY_AFTER)), (Some(500), true));
    bench.ask(7, of_peer(&invite, &Method::Invite, 7));
    assert_eq!(bench.response().1.status(), Some(491));
    answer(&mut bench);
    let mut next = of_peer(&invite, &Method::Update, 8);
    next.set_body(Some("application/sdp"), sdp(4002).print());
    bench.ask(8, next);
    bench.nothing_sent();
    assert_eq!(heard(&mut bench), ["offer 4002"]);
    for reliable in [None, Some(0)] {
        let (mut bench, invite, change) = changing(true);
        if let Some(rseq) = reliable {
            respond(&mut bench, (change.0, &change.1), 183, ("one", 2002, rseq), keep);
        }
        update(&mut bench, &invite, 5);
        assert_eq!((bench.response().1.status(), heard(&mut bench)), (Some(491), vec![]));
    }
}
