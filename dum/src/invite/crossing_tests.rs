//! Messages that cross each other, come twice, or come from peers that keep to no rule.

use super::tests::{App, SDP, calling, heard, sent};
use crate::testing::Bench;
use stack::header::h;
use stack::message::Message;
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

#[test]
fn a_session_timer_that_nobody_asked_for_ends_no_call() {
    let (mut bench, transaction, invite) = calling();
    ok(&mut bench, (transaction, &invite), |msg| msg.set(h::SESSION_EXPIRES, "100;refresher=uas"));
    bench.run(Duration::from_secs(7200));
    assert_eq!((sent(&mut bench), heard(&mut bench)), (vec!["ACK one".to_owned()], vec!["0 connected".to_owned()]));
}
