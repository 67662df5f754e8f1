//! What is answered for an application that does not: never silence.

use super::crossing_tests::of_peer;
use super::ears::sdp;
use super::tests::{addr, asked, call_bob};
use super::*;
use crate::out_of_dialog::OutOfDialogHandler;
use crate::pager::PagerMessageHandler;
use crate::refer::ReferHandler;
use crate::subscription::ServerSubscriptionHandler;
use crate::testing::Bench;
use crate::{Application, DumOptions, EventPackage};
use stack::header::{MediaType, h};
use stack::transaction::Command;
use stack::tu::TuEvent;

/// It has no handlers.
struct Deaf;
impl Application for Deaf {}

/// It has all handlers, and nothing in them.
struct Idle;
impl Application for Idle {
    fn invite_sessions(&mut self) -> Option<&mut dyn InviteSessionHandler> {
        Some(self)
    }
    fn refers(&mut self) -> Option<&mut dyn ReferHandler> {
        Some(self)
    }
    fn server_subscriptions(&mut self, _: &str) -> Option<&mut dyn ServerSubscriptionHandler> {
        Some(self)
    }
    fn out_of_dialog(&mut self, _: &Method<'_>) -> Option<&mut dyn OutOfDialogHandler> {
        Some(self)
    }
    fn pager_messages(&mut self) -> Option<&mut dyn PagerMessageHandler> {
        Some(self)
    }
}
impl InviteSessionHandler for Idle {}
impl ReferHandler for Idle {}
impl ServerSubscriptionHandler for Idle {}
impl OutOfDialogHandler for Idle {}
impl PagerMessageHandler for Idle {}

/// It takes note of calls, and forgets what they offer.
struct Forgetful;
impl Application for Forgetful {
    fn invite_sessions(&mut self) -> Option<&mut dyn InviteSessionHandler> {
        Some(self)
    }
}
impl InviteSessionHandler for Forgetful {
    fn on_new_session(&mut self, _: &mut Dum<'_>, _: Handle<ServerInviteSession>, _: &Message) {}
}

/// A user agent that says that it can do everything.
fn options() -> DumOptions {
    let mut options = DumOptions::default();
    options.master.add_transfer().add_remote_control().add_100rel().add_package(EventPackage::new("presence"));
    for method in [Method::Info, Method::Message, Method::Publish, Method::Register] {
        options.master.add_method(method.clone()).add_mime_type(method, MediaType::new("text", "plain"));
    }
    options
}

fn request(method: &Method<'_>, edit: impl FnOnce(&mut Message)) -> Message {
    let (bob, alice, mut rng) = (addr("<sip:bob@192.0.2.1>"), addr("<sip:alice@192.0.2.9>"), rutil::Rng::from_seed(9));
    let mut msg = stack::helper::make_initial(method, &bob, &alice, &mut rng);
    msg.push_back(h::CONTACTS, "<sip:alice@192.0.2.9>");
    edit(&mut msg);
    msg
}

fn subscribe() -> Message {
    request(&Method::Subscribe, |msg| msg.set(h::EVENT, "presence"))
}

fn refer() -> Message {
    request(&Method::Refer, |msg| msg.set(h::REFER_TO, "<sip:carol@192.0.2.8>"))
}

/// The answer, with the line of this name.
fn answer<A: Application>(bench: &mut Bench<A>, msg: Message, name: &str) -> (u16, Option<String>) {
    bench.ask(1, msg);
    let (_, response) = bench.response();
    bench.nothing_sent();
    let line = response.raw_values(name).next().map(|value| String::from_utf8_lossy(value).into_owned());
    (response.status().unwrap(), line)
}

#[test]
fn without_a_handler_a_method_is_not_allowed_and_an_event_not_known() {
    for (msg, status) in [
        (asked(|_| {}), 405),
        (refer(), 405),
        (request(&Method::Message, |_| {}), 405),
        (request(&Method::Info, |_| {}), 405),
        (request(&Method::Publish, |msg| msg.set(h::EVENT, "presence")), 405),
        (request(&Method::Register, |_| {}), 405),
        // What nobody has heard of.
        (request(&Method::from_token("FETCH"), |_| {}), 405),
        (request(&Method::Options, |_| {}), 200),
    ] {
        let method = msg.method().unwrap().as_str().to_owned();
        let mut bench = Bench::with_options(Deaf, options());
        let (code, allow) = answer(&mut bench, msg, "Allow");
        assert_eq!(code, status, "{method}");
        // RFC 3261 §20.5: what would do, which is not this.
        let allow = allow.unwrap();
        let allowed: Vec<_> = allow.split(", ").collect();
        assert!(allowed.contains(&"BYE") && allowed.contains(&method.as_str()) == (code == 200), "{method}: {allow}");
        assert_eq!(bench.dum.counts().sessions, 0);
    }
    // RFC 6665 §4.2.1.1: with the events that it knows, whether nobody is there for this one or nobody knows it.
    for event in ["presence", "weather"] {
        let mut bench = Bench::with_options(Deaf, options());
        let subscribe = request(&Method::Subscribe, |msg| msg.set(h::EVENT, event));
        let expected = (489, Some("refer, talk, hold, presence".to_owned()));
        assert_eq!(answer(&mut bench, subscribe, "Allow-Events"), expected, "{event}");
    }
}

#[test]
fn a_method_that_the_profile_does_not_have_is_405_with_those_that_it_has() {
    let mut bench = Bench::with_options(Idle, DumOptions::default());
    for msg in [subscribe(), refer(), request(&Method::Message, |_| {}), request(&Method::Info, |_| {})] {
        let expected = (405, Some("INVITE, ACK, CANCEL, OPTIONS, BYE, UPDATE".to_owned()));
        assert_eq!(answer(&mut bench, msg, "Allow"), expected);
    }
}

#[test]
fn a_body_that_nobody_reads_is_415_with_what_would_do() {
    let mut bench = Bench::with_options(Idle, options());
    let image = |msg: &mut Message| msg.set_body(Some("image/png"), "x");
    let sdp = "application/sdp, multipart/mixed, multipart/alternative";
    for (msg, accept) in [
        (asked(image), sdp),
        (request(&Method::Message, image), "text/plain"),
        (request(&Method::Options, image), sdp),
        (request(&Method::Subscribe, image), ""),
    ] {
        assert_eq!(answer(&mut bench, msg, "Accept"), (415, Some(accept.to_owned())));
    }
}

/// RFC 3261 §12.2.2: that comes first, whatever else there is to say.
#[test]
fn what_is_asked_in_a_dialog_that_is_gone_is_481() {
    let edits: [fn(&mut Message); 4] = [
        |msg| msg.set_body(Some("image/png"), "x"),
        |msg| msg.push_back(h::REQUIRES, "path"),
        |msg| msg.append_line("Join", "1;to-tag=1;from-tag=1"),
        |_| {},
    ];
    for edit in edits {
        for method in [Method::Info, Method::Invite, Method::Subscribe, Method::from_token("FETCH")] {
            let mut bench = Bench::with_options(Idle, options());
            let within = request(&method, |msg| {
                msg.set(h::TO, "<sip:bob@192.0.2.1>;tag=gone");
                edit(msg);
            });
            assert_eq!(answer(&mut bench, within, "Accept"), (481, None), "{}", method.as_str());
        }
    }
}

#[test]
fn handlers_that_do_nothing_refuse_what_they_are_told() {
    for (msg, status) in [
        (asked(|_| {}), 480),
        (asked(|msg| msg.set_body(None, "")), 480),
        (refer(), 603),
        (subscribe(), 603),
        (request(&Method::Message, |_| {}), 405),
        (request(&Method::Info, |_| {}), 405),
        (request(&Method::Options, |_| {}), 200),
    ] {
        let method = msg.method().unwrap().as_str().to_owned();
        let mut bench = Bench::with_options(Idle, options());
        assert_eq!(answer(&mut bench, msg, "Allow").0, status, "{method}");
    }
    // Who takes a call, and forgets what it is about: RFC 3261 §13.3.1.3.
    for edit in [(|_| {}) as fn(&mut Message), |msg| msg.set_body(None, "")] {
        let mut bench = Bench::with_options(Forgetful, options());
        assert_eq!(answer(&mut bench, asked(edit), "Allow").0, 488);
        assert_eq!((bench.dum.counts().sessions, bench.dum.counts().dialogs), (0, 0));
    }
}

/// A call of ours that is answered, and its INVITE.
fn connected<A: Application>(app: A) -> (Bench<A>, Message) {
    let mut bench = Bench::with_options(app, options());
    let (_, transaction, invite) = call_bob(&mut bench, Some(&sdp(1000)));
    let mut ok = invite.make_response(200, None, Some("one"));
    ok.push_back(h::CONTACTS, "<sip:one@192.0.2.9>");
    ok.set_body(Some("application/sdp"), sdp(2000).print());
    bench.event(TuEvent::Response { transaction, msg: ok.into() });
    bench.sent.clear();
    (bench, invite)
}

#[test]
fn in_a_call_too() {
    // The call is ours, so it stands whatever its application does.
    let ((mut bench, invite), mut number) = (connected(Idle), 1);
    let mut within = |method: Method<'_>, edit: fn(&mut Message), status: u16| {
        number += 1;
        let mut msg = of_peer(&invite, &method, number);
        msg.set_body(None, "");
        edit(&mut msg);
        let (code, allow) = answer(&mut bench, msg, "Allow");
        assert_eq!(code, status, "{method:?}");
        assert_eq!(code == 405, allow.is_some(), "{method:?}");
    };
    let change = |msg: &mut Message| msg.set_body(Some("application/sdp"), sdp(2002).print());
    within(Method::Invite, change, 488);
    within(Method::Invite, |_| {}, 488);
    within(Method::Update, change, 488);
    within(Method::Info, |_| {}, 405);
    within(Method::Message, |_| {}, 405);
    within(Method::Refer, |msg| msg.set(h::REFER_TO, "<sip:carol@192.0.2.8>"), 603);
    within(Method::Notify, |msg| msg.set(h::EVENT, "talk"), 489);
    within(Method::Notify, |msg| msg.set(h::EVENT, "weather"), 481);
    within(Method::Subscribe, |msg| msg.set(h::EVENT, "weather"), 489);
    within(Method::Prack, |msg| msg.set(h::RACK, "1 1 INVITE"), 481);
    within(Method::from_token("FETCH"), |_| {}, 405);
    within(Method::Invite, |msg| msg.set_body(Some("image/png"), "x"), 415);
    within(Method::Bye, |_| {}, 200);
}

/// Nobody hears of calls any more.
#[test]
fn in_a_call_that_nobody_hears_of_too() {
    let (mut bench, invite) = connected(Deaf);
    let methods = [Method::Info, Method::Message, Method::Invite, Method::Update, Method::Bye];
    for (number, (method, status)) in (2..).zip(methods.into_iter().zip([405, 405, 488, 488, 200])) {
        let mut msg = of_peer(&invite, &method, number);
        match status {
            488 => msg.set_body(Some("application/sdp"), sdp(2002).print()),
            _ => msg.set_body(None, ""),
        }
        assert_eq!(answer(&mut bench, msg, "Allow").0, status, "{method:?}");
    }
}

/// The application has one call, and knows nothing of forks: when it ends that, nobody rings any more.
#[test]
fn a_call_of_the_peers_is_none_of_ours() {
    let mut bench = Bench::with_options(super::ears::Ears::default(), options());
    bench.ask(1, super::tests::asked(|_| {}));
    let call = super::ears::call(&bench).as_client();
    assert_eq!(bench.with(|_, dum| call.end_together(dum)), Err(SessionError::NotNow));
    bench.with(|_, dum| call.end(dum)).unwrap();
    let ended = Err(SessionError::Ended(crate::UsageEnded));
    assert_eq!(bench.with(|_, dum| call.end_together(dum)), ended);
}

/// The nearest is taken: none accepts, and none is the transaction's.
#[test]
fn a_status_that_a_response_cannot_have_is_another() {
    for (status, provisional, refusal) in [(0, 101, 300), (100, 101, 300), (200, 199, 300), (u16::MAX, 199, 699)] {
        let mut bench = Bench::with_options(super::ears::Ears::default(), options());
        bench.ask(1, super::tests::asked(|_| {}));
        let call = super::ears::call(&bench).as_server();
        bench.with(|_, dum| call.provisional(dum, status)).unwrap();
        assert_eq!(bench.response().1.status(), Some(provisional));
        bench.with(|_, dum| call.reject(dum, status, |_| {})).unwrap();
        assert_eq!(bench.response().1.status(), Some(refusal));
    }
}

#[test]
fn the_forks_of_a_call_end_with_it() {
    for late in [false, true] {
        let mut bench = Bench::with_options(Idle, options());
        let (call, transaction, invite) = call_bob(&mut bench, Some(&sdp(1000)));
        for tag in ["one", "two"] {
            let mut ringing = invite.make_response(180, None, Some(tag));
            ringing.push_back(h::CONTACTS, "<sip:bob@192.0.2.9>");
            bench.event(TuEvent::Response { transaction, msg: ringing.into() });
        }
        bench.with(|_, dum| call.end(dum)).unwrap();
        let sent = Vec::from(std::mem::take(&mut bench.sent));
        assert!(matches!(sent[..], [Command::Cancel { .. }]), "{sent:?}");
        bench.with(|_, dum| call.end(dum)).unwrap();
        bench.nothing_sent();
        if late {
            // The 2xx of the other one has crossed the CANCEL.
            let mut taken = invite.make_response(200, None, Some("two"));
            taken.push_back(h::CONTACTS, "<sip:bob@192.0.2.9>");
            taken.set_body(Some("application/sdp"), sdp(2000).print());
            bench.event(TuEvent::Response { transaction, msg: taken.into() });
            assert!(
                matches!(bench.sent.pop_front(), Some(Command::SendStateless { msg, .. }) if msg.method() == Some(Method::Ack))
            );
            let (ended, bye) = bench.request();
            assert_eq!(bye.method(), Some(Method::Bye));
            bench.respond(ended, &bye, 200);
        } else {
            bench.respond(transaction, &invite, 487);
        }
        bench.event(TuEvent::ClientEnded { transaction });
        assert_eq!((bench.dum.counts().sessions, bench.dum.counts().dialogs), (0, 0), "{late}");
    }
}
