//! What was agreed: confirmed by a refresh, not changed by a second answer, taken back after holds; and a call that outlives what
//! could not be sent.

use super::ears::{Ears, call, calling, heard, options, respond, sdp};
use super::tests::{addr, asked, within};
use super::*;
use crate::testing::Bench;
use stack::contents::sdp::{Direction, Sdp};
use stack::header::{h, p};
use stack::transport::TransportError;
use stack::tu::{ClientTransaction, NoResponse, TuEvent};
use std::time::Duration;

fn keep(_: &mut Message) {}

/// A call of the peer's, taken and acknowledged, and our tag.
fn taken(options: crate::DumOptions, edit: impl FnOnce(&mut Message)) -> (Bench<Ears>, String) {
    let mut bench = Bench::with_options(Ears::default(), options);
    bench.ask(1, asked(edit));
    let c = call(&bench);
    bench.with(|_, dum| c.provide_answer(dum, &sdp(5000)).and_then(|()| c.as_server().accept(dum))).unwrap();
    let (_, ok) = bench.response();
    let tag = ok.header(h::TO).unwrap().param(p::TAG).unwrap().to_owned();
    bench.event(TuEvent::Ack { msg: within(&Method::Ack, number(), &tag).into() });
    heard(&mut bench);
    (bench, tag)
}

fn number() -> u32 {
    asked(keep).header(h::CSEQ).unwrap().number
}

/// A call of ours, answered.
fn answered(edit: impl FnOnce(&mut Message)) -> (Bench<Ears>, ClientTransaction, Message) {
    let (mut bench, transaction, invite) = calling(options(), true);
    respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), edit);
    bench.sent.clear();
    heard(&mut bench);
    (bench, transaction, invite)
}

/// A request of the peer's in a call of ours.
fn theirs(invite: &Message, method: &Method<'_>, cseq: u32) -> Message {
    let mut msg = Message::request(method, "sip:alice@192.0.2.1");
    msg.append_line("From", "<sip:bob@192.0.2.9>;tag=one");
    msg.set(h::TO, &invite.header(h::FROM).unwrap());
    msg.set(h::CALL_ID, invite.header(h::CALL_ID).unwrap().as_str());
    msg.set(h::CSEQ, &format_args!("{cseq} {}", method.as_str()));
    msg.push_back(h::CONTACTS, "<sip:bob@192.0.2.9>");
    msg
}

/// RFC 3264 §6: what is offered with port 0 is answered with port 0; RFC 4145 §4.1: an answer is not actpass.
#[test]
fn a_refresh_by_the_callee_gets_an_answer_to_it() {
    let two = |audio, video, setup| {
        let text = format!(
            "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio {audio} RTP/AVP 0\r\n\
             a=setup:{setup}\r\nm=video {video} RTP/AVP 99\r\na=rtpmap:99 H264/90000\r\n"
        );
        Sdp::parse(&text.into()).unwrap()
    };
    let mut bench = Bench::with_options(Ears::default(), options());
    bench.with(|app, dum| {
        let profile = dum.master_profile().user().clone();
        let invite = dum.make_invite(&profile, &addr("<sip:bob@192.0.2.9>"), Some(&two(1000, 1002, "actpass")));
        app.calls.push(dum.send_invite(&profile, invite).unwrap().session());
    });
    let (transaction, invite) = bench.request();
    let answer = two(2000, 0, "active").print();
    let edit = |msg: &mut Message| msg.set_body(Some("application/sdp"), answer.clone());
    respond(&mut bench, (transaction, &invite), 200, ("one", 0, 0), edit);
    bench.sent.clear();
    let mut again = theirs(&invite, &Method::Invite, 10);
    again.set_body(Some("application/sdp"), answer);
    bench.ask(5, Message::parse(again.to_bytes()).unwrap());
    let (_, ok) = bench.response();
    let answer = Sdp::parse(&ok.body_bytes()).unwrap();
    let ports: Vec<_> = answer.media().map(|media| media.line().port).collect();
    assert_eq!((ports, String::from_utf8_lossy(ok.body()).contains("actpass")), (vec![1000, 0], false));
}

/// RFC 3261 §8.1.3.1, RFC 5057 §5.1: what could not be sent is as a 503, which ends the transaction alone.
#[test]
fn a_refresh_that_could_not_be_sent_once_does_not_end_the_call() {
    for reason in [NoResponse::Transport(TransportError::Refused), NoResponse::NotFound] {
        let (mut bench, ..) = answered(|msg| msg.append_line("Session-Expires", "1800;refresher=uac"));
        bench.run(Duration::from_secs(901));
        let (transaction, _) = bench.request();
        bench.event(TuEvent::NoResponse { transaction, reason });
        bench.nothing_sent();
        assert_eq!(heard(&mut bench), [""; 0]);
        // Its timer tries again.
        bench.run(Duration::from_secs(600));
        assert_eq!(bench.request().1.method(), Some(Method::Update));
    }
}

/// RFC 3261 §13.2.1: the 2xx brings the same answer as the provisional response before it.
#[test]
fn one_offer_has_one_answer() {
    let mut bench = Bench::new(Ears::default());
    bench.ask(1, asked(keep));
    let c = call(&bench);
    bench.with(|_, dum| c.provide_answer(dum, &sdp(5000)).and_then(|()| c.as_server().early_media(dum, 183))).unwrap();
    let (_, ringing) = bench.response();
    assert_eq!(bench.with(|_, dum| c.provide_answer(dum, &sdp(6000))), Err(SessionError::NotNow));
    bench.with(|_, dum| c.as_server().accept(dum)).unwrap();
    assert_eq!(bench.response().1.body(), ringing.body());
}

/// RFC 3264 §8.4: who takes a call back sends and receives as before.
#[test]
fn a_call_that_is_taken_back_is_as_before() {
    let (mut bench, ..) = answered(keep);
    let c = call(&bench);
    let change = |c: Handle<InviteSession>, bench: &mut Bench<Ears>, resume: bool| {
        bench.with(|_, dum| if resume { c.resume(dum) } else { c.hold(dum) }).unwrap();
        let (transaction, invite) = bench.request();
        let offer = Sdp::parse(&invite.body_bytes()).unwrap().media().next().unwrap().direction();
        // The peer holds too.
        let mut answer = sdp(2000);
        answer.media_mut(0).unwrap().set_direction(Direction::Inactive);
        let edit = |msg: &mut Message| msg.set_body(Some("application/sdp"), answer.print());
        respond(bench, (transaction, &invite), 200, ("one", 0, 0), edit);
        bench.sent.clear();
        offer
    };
    assert_eq!(change(c, &mut bench, false), Direction::SendOnly);
    assert_eq!(change(c, &mut bench, true), Direction::SendRecv);
    // The peer has held by inactive, as it may (and as hold() itself does in a call that is held), and we have answered so.
    let (mut bench, tag) = taken(options(), keep);
    let c = call(&bench);
    let inactive = |port| {
        let mut sdp = sdp(port);
        sdp.media_mut(0).unwrap().set_direction(Direction::Inactive);
        sdp
    };
    let mut held = within(&Method::Invite, number() + 1, &tag);
    held.set_body(Some("application/sdp"), inactive(4002).print());
    bench.ask(2, held);
    bench.with(|_, dum| c.provide_answer(dum, &inactive(5000))).unwrap();
    bench.event(TuEvent::Ack { msg: within(&Method::Ack, number() + 1, &tag).into() });
    bench.sent.clear();
    // Both hold; who takes it back wants what was before, not to listen only.
    assert_eq!(change(c, &mut bench, false), Direction::Inactive);
    assert_eq!(change(c, &mut bench, true), Direction::SendRecv);
}

/// RFC 3261 §15.1.1: who has sent a BYE has ended the call, whatever it brings along and whatever is answered.
#[test]
fn a_bye_ends_the_call_whatever_it_says() {
    let body: fn(&mut Message) = |bye| bye.set_body(Some("application/isup"), "x");
    let required: fn(&mut Message) = |bye| bye.push_back(h::REQUIRES, "magic");
    for (edit, status) in [(body, 200), (required, 420)] {
        let (mut bench, tag) = taken(crate::DumOptions::default(), keep);
        bench.sent.clear();
        let mut bye = within(&Method::Bye, number() + 1, &tag);
        edit(&mut bye);
        bench.ask(2, bye);
        let (_, response) = bench.response();
        assert_eq!((response.status(), response.exists(h::UNSUPPORTEDS)), (Some(status), status == 420));
        assert_eq!(heard(&mut bench), ["RemoteBye"]);
        bench.run(Duration::from_secs(3600));
        bench.nothing_sent();
    }
}
