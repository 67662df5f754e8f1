//! More calls than there may be.

use super::ears::{Ears, call, heard, options, sdp};
use super::tests::{asked, within};
use super::*;
use crate::testing::Bench;
use stack::header::{h, p};
use stack::tu::TuEvent;

fn bench() -> Bench<Ears> {
    let mut options = options();
    options.limits.dialog_sets = 1;
    Bench::with_options(Ears::default(), options)
}

/// A call with this Call-ID.
fn another(id: &str) -> Message {
    asked(|msg| msg.set(h::CALL_ID, id))
}

fn accept(bench: &mut Bench<Ears>) -> Result<(), SessionError> {
    let call = call(bench).as_server();
    bench.with(|_, dum| call.provide_answer(dum, &sdp(2000)).and_then(|()| call.accept(dum)))
}

fn assert_refused(bench: &mut Bench<Ears>) {
    let (_, refused) = bench.response();
    assert_eq!(refused.status(), Some(503));
    assert!((5..=10).contains(&refused.header(h::RETRY_AFTER).unwrap().seconds), "{refused:?}");
}

#[test]
fn a_call_too_many_is_told_to_come_later_and_those_that_stand_go_on() {
    let mut bench = bench();
    bench.ask(1, asked(|_| {}));
    accept(&mut bench).unwrap();
    let tag = bench.response().1.header(h::TO).unwrap().param(p::TAG).unwrap().to_owned();
    bench.event(TuEvent::Ack { msg: within(&Method::Ack, 1, &tag).into() });
    heard(&mut bench);
    for number in 2..5 {
        bench.ask(number, another("another"));
        assert_refused(&mut bench);
        assert_eq!((heard(&mut bench).len(), bench.dum.counts().sessions), (0, 1));
    }
    // In the call everything goes on.
    let mut change = within(&Method::Invite, 2, &tag);
    change.push_back(h::CONTACTS, "<sip:alice@192.0.2.9>");
    change.set_body(Some("application/sdp"), sdp(4002).print());
    bench.ask(5, change);
    let standing = call(&bench);
    bench.with(|_, dum| standing.provide_answer(dum, &sdp(2002))).unwrap();
    assert_eq!(bench.response().1.status(), Some(200));
    bench.event(TuEvent::Ack { msg: within(&Method::Ack, 2, &tag).into() });
    for (number, method) in [(6, Method::Update), (7, Method::Bye)] {
        bench.ask(number, within(&method, number, &tag));
        assert_eq!(bench.response().1.status(), Some(200));
    }
    // There is room for the next one.
    bench.ask(8, another("another"));
    accept(&mut bench).unwrap();
    assert_eq!(bench.response().1.status(), Some(200));
}

#[test]
fn calls_that_ring_at_the_same_time_and_find_no_room_later_are_not_left_alone() {
    for ring in [false, true] {
        let mut bench = bench();
        for (number, id) in [(1, "one"), (2, "two"), (3, "three")] {
            bench.ask(number, another(id));
        }
        // The third one is too many, whoever answers.
        assert_refused(&mut bench);
        let [first, second] = bench.dum.application().calls[..] else { panic!("two calls") };
        bench.with(|_, dum| first.as_server().provisional(dum, 180)).unwrap();
        assert_eq!(bench.response().1.status(), Some(180));
        heard(&mut bench);
        let result = match ring {
            true => bench.with(|_, dum| second.as_server().provisional(dum, 180)),
            false => accept(&mut bench),
        };
        assert_eq!(result, Err(SessionError::NoRoom));
        assert_refused(&mut bench);
        assert_eq!(heard(&mut bench), ["Rejected"]);
        assert!(bench.with(|_, dum| first.is_alive(dum) && !second.is_alive(dum)));
    }
}
