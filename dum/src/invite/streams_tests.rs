//! Answers that do not have the streams of their offer (RFC 3264 §6): those that come are malformed answers, of ours none is sent.
//! Offers that do not have the streams that were agreed on (§8): those that come are refused, of ours none is sent.

use super::ears::{Ears, call, calling, heard, options, respond, sdp};
use super::tests::{asked, sent, within};
use super::*;
use crate::testing::Bench;
use stack::header::{h, p};
use stack::transaction::Command;
use stack::tu::TuEvent;

/// A description with a stream more than those of [`sdp`].
fn longer(port: u16) -> Sdp {
    Sdp::parse(&[&sdp(port).print()[..], b"m=video 4002 RTP/AVP 31\r\n"].concat().into()).unwrap()
}

/// One with as many, but of another kind.
fn other(port: u16) -> Sdp {
    let text = String::from_utf8(sdp(port).print().to_vec()).unwrap();
    Sdp::parse(&text.replace("m=audio", "m=video").into()).unwrap()
}

const UNFIT: [fn(u16) -> Sdp; 2] = [longer, other];

fn describe(sdp: Sdp) -> impl FnOnce(&mut Message) {
    move |msg| msg.set_body(Some("application/sdp"), sdp.print())
}

/// A call of ours that is answered, as far as the application has heard.
fn connected() -> (Bench<Ears>, Handle<InviteSession>) {
    let (mut bench, transaction, invite) = calling(options(), true);
    respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), |_| {});
    assert_eq!(
        (heard(&mut bench), sent(&mut bench)),
        (vec!["connected".into(), "answer 2000".into()], vec!["ACK one".into()])
    );
    let call = call(&bench);
    (bench, call)
}

/// What is told of a 2xx by which a call is answered, or changed.
#[test]
fn a_call_or_a_change_that_is_answered_so_ends_the_call() {
    for unfit in UNFIT {
        let (mut bench, transaction, invite) = calling(options(), true);
        respond(&mut bench, (transaction, &invite), 200, ("one", 0, 0), describe(unfit(2000)));
        assert_eq!(
            (heard(&mut bench), sent(&mut bench)),
            (vec!["IllegalNegotiation".into()], vec!["ACK one".into(), "BYE one".into()])
        );
        let (mut bench, call) = connected();
        bench.with(|_, dum| call.provide_offer(dum, &sdp(1002))).unwrap();
        let (transaction, invite) = bench.request();
        respond(&mut bench, (transaction, &invite), 200, ("one", 0, 0), describe(unfit(2000)));
        assert_eq!(
            (heard(&mut bench), sent(&mut bench)),
            (vec!["IllegalNegotiation".into()], vec!["ACK one".into(), "BYE one".into()])
        );
        let (mut bench, call) = connected();
        bench.with(|_, dum| call.update(dum, &sdp(1002))).unwrap();
        let (transaction, update) = bench.request();
        respond(&mut bench, (transaction, &update), 200, ("one", 0, 0), describe(unfit(2000)));
        assert_eq!(
            (heard(&mut bench).pop(), sent(&mut bench)),
            (Some("IllegalNegotiation".into()), vec!["BYE one".into()])
        );
    }
}

#[test]
fn before_the_call_is_answered_it_counts_as_none() {
    for unfit in UNFIT {
        for rseq in [0, 7] {
            let (mut bench, transaction, invite) = calling(options(), true);
            respond(&mut bench, (transaction, &invite), 183, ("one", 0, rseq), describe(unfit(2000)));
            assert_eq!((heard(&mut bench), bench.sent.len()), (vec![], usize::from(rseq > 0)), "the PRACK");
            bench.sent.clear();
            respond(&mut bench, (transaction, &invite), 200, ("one", 2002, 0), |_| {});
            assert_eq!(heard(&mut bench), ["connected", "answer 2002"]);
        }
    }
}

/// Our offer, of a 200 or of a reliable 183, is answered with the ACK or the PRACK.
#[test]
fn so_it_is_with_the_answer_to_the_offer_of_a_response() {
    for unfit in UNFIT {
        let ringing = |reliable: bool| {
            let mut bench = Bench::with_options(Ears::default(), options());
            bench.ask(
                1,
                asked(|msg| {
                    msg.set_body(None, "");
                    if reliable {
                        msg.push_back(h::SUPPORTEDS, "100rel");
                    }
                }),
            );
            let call = call(&bench).as_server();
            bench.with(|_, dum| call.provide_offer(dum, &sdp(1000))).unwrap();
            bench.with(|_, dum| if reliable { call.early_media(dum, 183) } else { call.accept(dum) }).unwrap();
            let (_, response) = bench.response();
            let tag = response.header(h::TO).unwrap().param(p::TAG).unwrap().to_owned();
            heard(&mut bench);
            (bench, response, tag)
        };
        let (mut bench, _, tag) = ringing(false);
        let mut ack = within(&Method::Ack, 1, &tag);
        describe(unfit(2000))(&mut ack);
        bench.event(TuEvent::Ack { msg: ack.into() });
        assert_eq!(heard(&mut bench), ["IllegalNegotiation"]);
        let (mut bench, early, tag) = ringing(true);
        let mut prack = within(&Method::Prack, 2, &tag);
        prack.set(h::RACK, &format!("{} 1 INVITE", early.header(h::RSEQ).unwrap().0));
        for (number, answer, status) in [(2, unfit(2000), 400), (3, sdp(2000), 200)] {
            let mut prack = prack.clone();
            describe(answer)(&mut prack);
            prack.set(h::CSEQ, &format!("{number} PRACK"));
            bench.ask(number, prack);
            assert_eq!(bench.response().1.status(), Some(status));
        }
        assert_eq!(heard(&mut bench), ["answer 2000"]);
    }
}

#[test]
fn ours_is_an_error_and_the_offer_waits_on() {
    for unfit in UNFIT {
        let refused = Err(SessionError::OtherStreams);
        // That of a call that comes, of a change of it, and of the 200 to a call of ours.
        let mut bench = Bench::with_options(Ears::default(), options());
        bench.ask(1, asked(|_| {}));
        let theirs = call(&bench);
        assert_eq!(bench.with(|_, dum| theirs.provide_answer(dum, &unfit(1000))), refused);
        let early = bench.with(|_, dum| theirs.as_server().accept(dum));
        assert_eq!(early, Err(SessionError::NoDescription));
        bench
            .with(|_, dum| theirs.provide_answer(dum, &sdp(1000)).and_then(|()| theirs.as_server().accept(dum)))
            .unwrap();
        let tag = bench.response().1.header(h::TO).unwrap().param(p::TAG).unwrap().to_owned();
        bench.event(TuEvent::Ack { msg: within(&Method::Ack, 1, &tag).into() });
        for (number, method) in [(2, Method::Invite), (3, Method::Update)] {
            let mut change = within(&method, number, &tag);
            change.push_back(h::CONTACTS, "<sip:alice@192.0.2.9>");
            describe(sdp(2002 + number as u16))(&mut change);
            bench.ask(number, change);
            assert_eq!(bench.with(|_, dum| theirs.provide_answer(dum, &unfit(1000))), refused);
            bench.nothing_sent();
            bench.with(|_, dum| theirs.provide_answer(dum, &sdp(1002))).unwrap();
            assert_eq!(bench.response().1.status(), Some(200));
            bench.event(TuEvent::Ack { msg: within(&Method::Ack, number, &tag).into() });
        }
        let (mut bench, transaction, invite) = calling(options(), false);
        respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), |_| {});
        let ours = call(&bench);
        assert_eq!(bench.with(|_, dum| ours.provide_answer(dum, &unfit(1000))), refused);
        bench.nothing_sent();
        bench.with(|_, dum| ours.provide_answer(dum, &sdp(1000))).unwrap();
        assert_eq!(sent(&mut bench), ["ACK one"]);
    }
}

/// One without streams.
fn none() -> Sdp {
    Sdp::parse(&"v=0\r\no=- 1 2 IN IP4 192.0.2.9\r\ns=-\r\nt=0 0\r\n".into()).unwrap()
}

/// RFC 3264 §8: a stream stays, with port 0 where it is not wanted any more.
#[test]
fn an_offer_without_the_streams_before_is_not_sent() {
    let (mut bench, call) = connected();
    let refused = Err(SessionError::OtherStreams);
    assert_eq!(bench.with(|_, dum| call.provide_offer(dum, &none())), refused);
    assert_eq!(bench.with(|_, dum| call.update(dum, &none())), refused);
    bench.nothing_sent();
    // The one that a re-INVITE asks for waits for another.
    let (mut bench, tag) = taken();
    bench.ask(2, change(&Method::Invite, 2, &tag, None));
    assert_eq!(heard(&mut bench), ["offer required"]);
    let c = super::ears::call(&bench);
    assert_eq!(bench.with(|_, dum| c.provide_offer(dum, &none())), refused);
    bench.nothing_sent();
    bench.with(|_, dum| c.provide_offer(dum, &longer(5000))).unwrap();
    assert_eq!(bench.response().1.status(), Some(200));
}

/// RFC 3264 §8.
#[test]
fn an_offer_without_the_streams_before_is_refused() {
    let (mut bench, tag) = taken();
    for (number, method) in [(2, Method::Invite), (3, Method::Update)] {
        bench.ask(number, change(&method, number, &tag, Some(none())));
        assert_eq!((bench.response().1.status(), heard(&mut bench)), (Some(488), vec![]));
    }
    // Nothing is under way behind it, and more streams may come.
    bench.ask(4, change(&Method::Invite, 4, &tag, Some(longer(4002))));
    assert_eq!(heard(&mut bench), ["offer 4002"]);
    // What a 2xx brings has no refusal.
    let (mut bench, call) = connected();
    bench.with(|_, dum| call.request_offer(dum)).unwrap();
    let (transaction, invite) = bench.request();
    respond(&mut bench, (transaction, &invite), 200, ("one", 0, 0), describe(none()));
    assert_eq!(
        (heard(&mut bench), sent(&mut bench)),
        (vec!["IllegalNegotiation".into()], vec!["ACK one".into(), "BYE one".into()])
    );
}

/// Descriptions that follow on that of port 1000: one that differs, the same by another name, and one that differs again.
fn following() -> [Sdp; 3] {
    let named = |port: u16| String::from_utf8(sdp(port).print().to_vec()).unwrap().replace("o=", "o=x");
    [sdp(1002), Sdp::parse(&named(1002).into()).unwrap(), Sdp::parse(&named(1003).into()).unwrap()]
}

/// The origin of a description that was sent: the version, of the session that this side has begun.
fn version(sent: &Message) -> u64 {
    let sdp = Sdp::parse(&sent.body_bytes()).unwrap();
    let origin = sdp.origin().unwrap();
    assert_eq!((origin.username, origin.session_id), ("-", 1));
    origin.version
}

/// RFC 3264 §8: the version is the next one where something has changed, and the one before where nothing has.
#[test]
fn a_changed_offer_has_the_next_version() {
    let (mut bench, call) = connected();
    let versions = following().map(|offer| {
        bench.with(|_, dum| call.provide_offer(dum, &offer)).unwrap();
        let (transaction, invite) = bench.request();
        respond(&mut bench, (transaction, &invite), 200, ("one", 2000, 0), |_| {});
        bench.sent.clear();
        version(&invite)
    });
    assert_eq!(versions, [2, 2, 3]);
}

/// The same, whatever the answer goes out with.
#[test]
fn a_changed_answer_has_the_next_version() {
    let mut offers = (3000..).step_by(2).map(sdp);
    let answer = |bench: &mut Bench<Ears>, answer: Sdp| {
        let call = super::ears::call(bench);
        bench.with(|_, dum| call.provide_answer(dum, &answer)).unwrap();
    };
    for method in [Method::Invite, Method::Update] {
        let (mut bench, tag) = taken();
        let mut number = 1;
        let versions = following().map(|next| {
            number += 1;
            bench.ask(number, change(&method, number, &tag, offers.next()));
            answer(&mut bench, next);
            if method == Method::Invite {
                bench.event(TuEvent::Ack { msg: within(&Method::Ack, number, &tag).into() });
            }
            version(&bench.response().1)
        });
        assert_eq!(versions, [2, 2, 3], "the 200 to {}", method.as_str());
    }
    let mut bench = Bench::with_options(Ears::default(), options());
    bench.ask(1, asked(|msg| msg.push_back(h::SUPPORTEDS, "100rel")));
    answer(&mut bench, sdp(1000));
    let call = super::ears::call(&bench).as_server();
    bench.with(|_, dum| call.early_media(dum, 183)).unwrap();
    let mut number = 1;
    let versions = following().map(|next| {
        number += 1;
        let (_, ringing) = bench.response();
        let mut prack =
            change(&Method::Prack, number, ringing.header(h::TO).unwrap().param(p::TAG).unwrap(), offers.next());
        prack.set(h::RACK, &format_args!("{} 1 INVITE", ringing.header(h::RSEQ).unwrap().0));
        bench.ask(number, prack);
        answer(&mut bench, next);
        let (_, ok) = bench.response();
        bench.with(|_, dum| call.provisional(dum, 180)).unwrap();
        version(&ok)
    });
    assert_eq!(versions, [2, 2, 3], "the 200 to PRACK");
    for code in [200, 183] {
        let (mut bench, call) = connected();
        let versions = following().map(|next| {
            bench.with(|_, dum| call.request_offer(dum)).unwrap();
            let (transaction, invite) = bench.request();
            let rseq = u32::from(code == 183);
            respond(&mut bench, (transaction, &invite), code, ("one", 0, rseq), describe(offers.next().unwrap()));
            answer(&mut bench, next);
            let sent = match bench.sent.pop_front() {
                Some(Command::SendStateless { msg, .. } | Command::Send { msg, .. }) => msg,
                other => panic!("{other:?}"),
            };
            if code == 183 {
                respond(&mut bench, (transaction, &invite), 200, ("one", 0, 0), |_| {});
            }
            bench.sent.clear();
            version(&sent)
        });
        assert_eq!(versions, [2, 2, 3], "with {code}");
    }
}

/// A call of the peer's, taken and acknowledged, and our tag.
fn taken() -> (Bench<Ears>, String) {
    let mut bench = Bench::with_options(Ears::default(), options());
    bench.ask(1, asked(|_| {}));
    let c = super::ears::call(&bench);
    bench.with(|_, dum| c.provide_answer(dum, &sdp(5000)).and_then(|()| c.as_server().accept(dum))).unwrap();
    let (_, ok) = bench.response();
    let tag = ok.header(h::TO).unwrap().param(p::TAG).unwrap().to_owned();
    bench.event(TuEvent::Ack { msg: within(&Method::Ack, 1, &tag).into() });
    heard(&mut bench);
    (bench, tag)
}

fn change(method: &Method<'_>, number: u32, tag: &str, offer: Option<Sdp>) -> Message {
    let mut msg = within(method, number, tag);
    match offer {
        Some(offer) => describe(offer)(&mut msg),
        None => msg.set_body(None, ""),
    }
    msg
}
