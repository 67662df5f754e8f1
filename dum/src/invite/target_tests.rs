//! Where requests in a dialog go when the other side moves (RFC 3261 §12.2, RFC 6141 §4): to its new Contact as soon as
//! what brought that is accepted, and not before.

use super::tests::{App, SDP, addr, asked, calling_with, fork, heard, sent, within};
use super::*;
use crate::testing::Bench;
use crate::{DumOptions, Reliability};
use stack::header::{h, p};
use stack::tu::{ClientTransaction, TuEvent};
use std::time::Duration;

fn sdp() -> Sdp {
    Sdp::parse(&SDP.into()).unwrap()
}

/// A call that was taken, and its local tag.
fn answered() -> (Bench<App>, Handle<InviteSession>, String) {
    let mut options = DumOptions::default();
    options.master.add_method(Method::Refer);
    let mut bench = Bench::with_options(App::default(), options);
    bench.ask(1, asked(|_| {}));
    let call = bench.dum.application().calls[0];
    let take = |dum: &mut Dum<'_>| {
        call.provide_answer(dum, &sdp()).and_then(|()| call.as_server().accept(dum)).unwrap();
    };
    bench.with(|_, dum| take(dum));
    let tag = bench.response().1.header(h::TO).unwrap().param(p::TAG).unwrap().to_owned();
    bench.event(TuEvent::Ack { msg: within(&Method::Ack, 1, &tag).into() });
    (bench, call, tag)
}

/// A request of the peer, who is somewhere else now.
fn moved(method: &Method<'_>, number: u32, tag: &str, user: &str, body: bool) -> Message {
    let mut msg = within(method, number, tag);
    msg.push_back(h::CONTACTS, &format_args!("<sip:{user}@192.0.2.9>"));
    if body {
        // Another one each time: the same would only refresh the session.
        msg.set_body(Some("application/sdp"), SDP.replace("4000", &(5000 + number).to_string()));
    }
    msg
}

/// Where the next request goes.
fn goes_to(bench: &mut Bench<App>, call: Handle<InviteSession>) -> String {
    bench.with(|_, dum| call.info(dum, "text/plain", "x")).unwrap();
    let (transaction, msg) = bench.request();
    bench.respond(transaction, &msg, 200);
    msg.request_uri().unwrap().sip().unwrap().user.as_deref().unwrap().to_owned()
}

#[test]
fn a_change_that_is_refused_moves_nobody() {
    let (mut bench, call, tag) = answered();
    assert_eq!(goes_to(&mut bench, call), "alice");
    for (at, method) in [(2, Method::Invite), (3, Method::Update)] {
        bench.ask(at, moved(&method, at, &tag, "refused", true));
        assert_eq!(goes_to(&mut bench, call), "alice", "{method:?} waits");
        bench.with(|_, dum| call.reject_offer(dum, 488)).unwrap();
        assert_eq!(bench.response().1.status(), Some(488));
        assert_eq!(goes_to(&mut bench, call), "alice", "{method:?} is refused");
    }
    // One that meets a change of ours.
    let mut other = sdp();
    other.media_mut(0).unwrap().set_direction(stack::contents::sdp::Direction::SendOnly);
    bench.with(|_, dum| call.update(dum, &other)).unwrap();
    let (transaction, update) = bench.request();
    bench.ask(4, moved(&Method::Invite, 4, &tag, "glare", true));
    assert_eq!(bench.response().1.status(), Some(491));
    // Refused itself, it brings no target either.
    let mut refusal = update.make_response(488, None, None);
    refusal.push_back(h::CONTACTS, "<sip:refusal@192.0.2.9>");
    bench.event(TuEvent::Response { transaction, msg: refusal.into() });
    assert_eq!(goes_to(&mut bench, call), "alice");
}

#[test]
fn a_change_that_is_accepted_moves_the_peer() {
    let (mut bench, call, tag) = answered();
    for (at, method, user) in [(2, Method::Invite, "second"), (3, Method::Update, "third")] {
        bench.ask(at, moved(&method, at, &tag, user, true));
        bench.with(|_, dum| call.provide_answer(dum, &sdp())).unwrap();
        assert_eq!(bench.response().1.status(), Some(200));
        assert_eq!(goes_to(&mut bench, call), user);
        if method == Method::Invite {
            bench.event(TuEvent::Ack { msg: within(&Method::Ack, at, &tag).into() });
        }
    }
    // One that changes nothing else.
    bench.ask(4, moved(&Method::Update, 4, &tag, "fourth", false));
    assert_eq!(bench.response().1.status(), Some(200));
    assert_eq!(goes_to(&mut bench, call), "fourth");
    // What is no target refresh request moves nobody.
    bench.ask(5, moved(&Method::Info, 5, &tag, "fifth", false));
    assert_eq!((bench.response().1.status(), goes_to(&mut bench, call).as_str()), (Some(405), "fourth"));
}

/// RFC 3311 §5.2, RFC 4028 §7.4: no offer, or the one that was agreed on.
#[test]
fn a_refresh_is_told_with_its_message_once_it_is_answered() {
    let (mut bench, call, tag) = answered();
    heard(&mut bench);
    let again = |method: &Method<'_>, number, user| {
        let mut msg = moved(method, number, &tag, user, false);
        msg.set_body(Some("application/sdp"), SDP);
        msg
    };
    bench.ask(2, moved(&Method::Update, 2, &tag, "second", false));
    assert_eq!((bench.response().1.status(), heard(&mut bench)), (Some(200), vec!["0 UPDATE of second".to_owned()]));
    bench.ask(3, again(&Method::Update, 3, "third"));
    assert_eq!((bench.response().1.status(), heard(&mut bench)), (Some(200), vec!["0 UPDATE of third".to_owned()]));
    bench.ask(4, again(&Method::Invite, 4, "fourth"));
    assert_eq!((bench.response().1.status(), heard(&mut bench)), (Some(200), vec!["0 INVITE of fourth".to_owned()]));
    bench.event(TuEvent::Ack { msg: within(&Method::Ack, 4, &tag).into() });
    // What offers something else is not one, nor what is refused.
    bench.ask(5, moved(&Method::Update, 5, &tag, "fifth", true));
    bench.with(|_, dum| call.reject_offer(dum, 488)).unwrap();
    let mut brief = moved(&Method::Update, 6, &tag, "sixth", false);
    brief.set_body(Some("application/sdp"), "v=1");
    bench.ask(6, brief);
    bench.ask(7, moved(&Method::Info, 7, &tag, "seventh", false));
    let statuses: Vec<_> = (0..3).map(|_| bench.response().1.status().unwrap()).collect();
    assert_eq!((statuses, heard(&mut bench)), (vec![488, 400, 405], Vec::new()));
}

fn respond(bench: &mut Bench<App>, to: (ClientTransaction, &Message), code: u16, rseq: u32, user: &str) {
    let mut msg = to.1.make_response(code, None, Some("one"));
    msg.push_back(h::CONTACTS, &format_args!("<sip:{user}@192.0.2.9>"));
    if rseq > 0 {
        msg.set(h::RSEQ, &rseq);
        msg.push_back(h::REQUIRES, "100rel");
    }
    msg.set_body(Some("application/sdp"), SDP);
    bench.event(TuEvent::Response { transaction: to.0, msg: msg.into() });
}

#[test]
fn before_the_2xx_a_reliable_response_or_an_update_moves_the_callee() {
    let mut options = DumOptions::default();
    options.master.add_100rel().add_option_tag("timer");
    options.master.user_mut().set_reliability(Reliability::Supported);
    let (mut bench, transaction, invite) = calling_with(options);
    let to = (transaction, &invite);
    respond(&mut bench, to, 183, 7, "one");
    assert_eq!(sent(&mut bench), ["PRACK one"]);
    respond(&mut bench, to, 180, 0, "unreliable");
    respond(&mut bench, to, 183, 8, "two");
    assert_eq!(sent(&mut bench), ["PRACK two"]);
    // Repeated it says nothing new.
    respond(&mut bench, to, 183, 7, "stale");
    bench.nothing_sent();
    let call = bench.dum.application().calls[0];
    assert_eq!(goes_to(&mut bench, call), "two");
    // The callee updates the session before it has accepted the call.
    let mut update = Message::request(&Method::Update, "sip:alice@192.0.2.1");
    let theirs = invite.make_response(180, None, Some("one"));
    update.set(h::FROM, &theirs.header(h::TO).unwrap());
    update.set(h::TO, &theirs.header(h::FROM).unwrap());
    update.set(h::CALL_ID, theirs.header(h::CALL_ID).unwrap().as_str());
    update.set(h::CSEQ, "1 UPDATE");
    update.push_back(h::CONTACTS, "<sip:three@192.0.2.9>");
    update.set_body(Some("application/sdp"), SDP.replace("4000", "4002"));
    bench.ask(1, update);
    assert_eq!(goes_to(&mut bench, call), "two", "it is not accepted");
    bench.with(|_, dum| call.provide_answer(dum, &sdp())).unwrap();
    assert_eq!(bench.response().1.status(), Some(200));
    assert_eq!(goes_to(&mut bench, call), "three");
    // The 2xx has the last word, and its ACK goes there.
    let mut ok = invite.make_response(200, None, Some("one"));
    ok.push_back(h::CONTACTS, "<sip:four@192.0.2.9>");
    ok.push_back(h::ALLOWS, "UPDATE");
    ok.set(h::SESSION_EXPIRES, "100;refresher=uac");
    bench.event(TuEvent::Response { transaction, msg: ok.into() });
    assert_eq!(sent(&mut bench), ["ACK four"]);
    // An UPDATE that only refreshes the session is a target refresh request too.
    bench.run(Duration::from_secs(50));
    let (transaction, refresh) = bench.request();
    assert_eq!(refresh.method(), Some(Method::Update));
    let mut ok = refresh.make_response(200, None, None);
    ok.push_back(h::CONTACTS, "<sip:five@192.0.2.9>");
    bench.event(TuEvent::Response { transaction, msg: ok.into() });
    assert_eq!(goes_to(&mut bench, call), "five");
    // So is a change that is under way: its target counts before its 2xx, and after its failure (RFC 6141 §4).
    bench.with(|_, dum| call.request_offer(dum)).unwrap();
    let (transaction, invite) = bench.request();
    let mut progress = invite.make_response(183, None, None);
    progress.push_back(h::CONTACTS, "<sip:six@192.0.2.9>");
    progress.set(h::RSEQ, &1);
    progress.push_back(h::REQUIRES, "100rel");
    bench.event(TuEvent::Response { transaction, msg: progress.into() });
    assert_eq!(sent(&mut bench), ["PRACK six"]);
    fork(&mut bench, (transaction, &invite), 500, "one");
    assert_eq!(goes_to(&mut bench, call), "six");
}

/// A REFER of the peer, who is somewhere else now.
fn referred(number: u32, tag: &str, user: &str) -> Message {
    let mut refer = moved(&Method::Refer, number, tag, user, false);
    refer.set(h::REFER_TO, "<sip:carol@192.0.2.3>");
    refer
}

#[test]
fn what_is_accepted_late_moves_nobody_back() {
    let (mut bench, call, tag) = answered();
    bench.ask(5, referred(5, &tag, "fifth"));
    let refer = bench.dum.application().refer.unwrap();
    bench.ask(6, moved(&Method::Update, 6, &tag, "sixth", false));
    assert_eq!((bench.response().1.status(), goes_to(&mut bench, call).as_str()), (Some(200), "sixth"));
    bench.with(|_, dum| refer.accept(dum)).unwrap();
    assert_eq!(sent(&mut bench), ["202", "NOTIFY sixth"]);
    assert_eq!(goes_to(&mut bench, call), "sixth");
    bench.ask(7, moved(&Method::Update, 7, &tag, "seventh", false));
    assert_eq!((bench.response().1.status(), goes_to(&mut bench, call).as_str()), (Some(200), "seventh"));
}

#[test]
fn a_transfer_moves_the_peer_too() {
    let (mut bench, call, tag) = answered();
    // One of which nobody wants to hear more.
    let mut quiet = referred(2, &tag, "second");
    quiet.set(h::REFER_SUB, "false");
    bench.ask(2, quiet);
    let refer = bench.dum.application().refer.unwrap();
    bench.with(|_, dum| refer.accept(dum)).unwrap();
    assert_eq!((bench.response().1.status(), goes_to(&mut bench, call).as_str()), (Some(202), "second"));
    // The answer to a NOTIFY, and one to a REFER of ours.
    bench.ask(3, referred(3, &tag, "third"));
    let refer = bench.dum.application().refer.unwrap();
    bench.with(|_, dum| refer.accept(dum)).unwrap();
    assert_eq!(bench.response().1.status(), Some(202));
    let moves = |bench: &mut Bench<App>, user: &str| {
        let (transaction, msg) = bench.request();
        let mut ok = msg.make_response(if user == "fourth" { 200 } else { 202 }, None, None);
        ok.push_back(h::CONTACTS, &format_args!("<sip:{user}@192.0.2.9>"));
        bench.event(TuEvent::Response { transaction, msg: ok.into() });
        msg.method().unwrap().as_str().to_owned()
    };
    assert_eq!((moves(&mut bench, "fourth").as_str(), goes_to(&mut bench, call).as_str()), ("NOTIFY", "fourth"));
    let carol = addr("<sip:carol@192.0.2.3>");
    bench.with(|_, dum| call.refer(dum, &carol, true)).unwrap();
    assert_eq!((moves(&mut bench, "fifth").as_str(), goes_to(&mut bench, call).as_str()), ("REFER", "fifth"));
}
