//! OPTIONS and others between a user agent and what a test plays.

use super::*;
use crate::testing::Bench;
use stack::header::{HeaderValue, MediaType, NameAddr, h};
use stack::tu::testing::Harness;
use stack::tu::{NoResponse, TuEvent};
use std::time::Duration;

pub(crate) fn client() -> ClientOutOfDialogRequest {
    ClientOutOfDialogRequest::new(Method::Options, None)
}

/// Writes down what it hears; keeps what it is asked, unless it is told to have no handler.
#[derive(Default)]
struct App {
    heard: Vec<String>,
    asked: Vec<Handle<ServerOutOfDialogRequest>>,
    deaf: bool,
}

impl Application for App {
    fn out_of_dialog(&mut self, _: &Method<'_>) -> Option<&mut dyn OutOfDialogHandler> {
        if self.deaf { None } else { Some(self) }
    }
}

impl OutOfDialogHandler for App {
    fn on_success(&mut self, _: &mut Dum<'_>, _: Handle<ClientOutOfDialogRequest>, outcome: &Outcome) {
        self.heard.push(format!("success {}", outcome.status));
    }
    fn on_failure(&mut self, _: &mut Dum<'_>, _: Handle<ClientOutOfDialogRequest>, outcome: &Outcome) {
        self.heard.push(format!("failure {} {}", outcome.status, outcome.response.is_some()));
    }
    fn on_received_request(&mut self, _: &mut Dum<'_>, request: Handle<ServerOutOfDialogRequest>, msg: &Message) {
        self.heard.push(format!("asked {:?}", msg.method().unwrap()));
        self.asked.push(request);
    }
}

fn incoming(method: &Method<'_>) -> Message {
    let (bob, alice) = (NameAddr::parse("<sip:bob@b>").unwrap(), NameAddr::parse("<sip:alice@a>").unwrap());
    stack::helper::make_initial(method, &bob, &alice, &mut rutil::Rng::from_seed(3))
}

#[test]
fn a_client_request_ends_with_its_final_answer() {
    let mut bench = Bench::new(App::default());
    let mut ask = |answer: u16| {
        let bob = NameAddr::parse("<sip:bob@192.0.2.9>").unwrap();
        let handle = bench.with(|_, dum| {
            let profile = dum.master_profile().user().clone();
            let msg = dum.make_request(&profile, &Method::Options, &bob);
            dum.send_request(msg).unwrap()
        });
        let (transaction, msg) = bench.request();
        assert!(msg.exists(h::CONTACTS) && msg.exists(h::ALLOWS));
        assert_eq!(bench.dum.counts().requests, 1);
        match answer {
            0 => bench.event(TuEvent::NoResponse { transaction, reason: NoResponse::Timeout }),
            code => {
                bench.respond(transaction, &msg, 100);
                bench.respond(transaction, &msg, code);
                // Whoever answers twice is not heard.
                bench.respond(transaction, &msg, 200);
            }
        }
        assert_eq!(bench.dum.counts(), Default::default());
        assert_eq!(format!("{handle:?}"), format!("ClientOutOfDialogRequest(0.{})", bench.generation()));
    };
    [200, 404, 0].into_iter().for_each(&mut ask);
    assert_eq!(bench.dum.application().heard, ["success 200", "failure 404 true", "failure 408 false"]);
}

#[test]
fn only_a_whole_request_is_sent() {
    let mut bench = Bench::new(App::default());
    let bob = NameAddr::parse("<sip:bob@192.0.2.9>").unwrap();
    bench.with(|_, dum| {
        let profile = dum.master_profile().user().clone();
        for method in [Method::Options, Method::Invite, Method::Subscribe, Method::Refer] {
            let mut whole = dum.make_request(&profile, &method, &bob);
            whole.set(h::EVENT, "presence");
            whole.set(h::REFER_TO, "<sip:carol@192.0.2.9>");
            let mut send = |msg| match method {
                Method::Invite => dum.send_invite(&profile, msg).map(drop),
                Method::Subscribe => dum.send_subscribe(&profile, msg).map(drop),
                Method::Refer => dum.send_refer(&profile, msg).map(drop),
                _ => dum.send_request(msg).map(drop),
            };
            let mut response = whole.make_response(100, None, None);
            response.set(h::EVENT, "presence");
            response.set(h::REFER_TO, "<sip:carol@192.0.2.9>");
            let mut other = whole.clone();
            other.set(h::CSEQ, "1 MESSAGE");
            let mut untagged = whole.clone();
            untagged.set(h::FROM, "<sip:alice@192.0.2.1>");
            for unfit in [response, other, untagged, Message::request(&method, "sip:bob@192.0.2.9")] {
                let sent = send(unfit.clone());
                assert!(matches!(sent, Err(crate::NotSent::Unfit(_))), "{sent:?}: {unfit:?}");
            }
            assert_eq!(send(whole), Ok(()));
        }
    });
    assert_eq!(bench.sent.len(), 4);
}

#[test]
fn a_server_request_is_answered_once_and_late_answers_are_errors() {
    let mut bench = Bench::new(App::default());
    bench.with(|_, dum| {
        let mut master = (**dum.master_profile()).clone();
        master.add_method(Method::Info).add_mime_type(Method::Info, MediaType::new("text", "plain"));
        dum.set_master_profile(master);
    });
    bench.ask(1, incoming(&Method::Info));
    let request = bench.dum.application().asked[0];
    let answered = bench.with(|_, dum| {
        let first = request.accept(dum, 202, |msg| msg.set(h::SUBJECT, "yes"));
        (first, request.reject(dum, 500, |_| {}))
    });
    assert_eq!(answered, (Ok(()), Err(crate::UsageEnded)));
    let (to, msg) = bench.response();
    assert_eq!((to, msg.status()), (Harness::server(1), Some(202)));
    assert_eq!(msg.header(h::SUBJECT).unwrap().to_string(), "yes");
    assert!(msg.header(h::TO).unwrap().param(stack::header::p::TAG).is_some());

    // One that nobody answers ends with its client's patience, without an answer.
    bench.ask(2, incoming(&Method::Info));
    let request = bench.dum.application().asked[1];
    bench.run(Duration::from_millis(31_900));
    assert_eq!(bench.dum.counts().requests, 1);
    bench.run(Duration::from_millis(200));
    assert_eq!(bench.dum.counts(), Default::default());
    assert_eq!(bench.with(|_, dum| request.accept(dum, 200, |_| {})), Err(crate::UsageEnded));
    bench.nothing_sent();
}

#[test]
fn without_a_handler_options_is_answered_and_the_rest_is_405() {
    let mut bench = Bench::new(App { deaf: true, ..App::default() });
    bench.ask(1, incoming(&Method::Options));
    let (_, msg) = bench.response();
    assert_eq!(msg.status(), Some(200));
    let line = |name| String::from_utf8_lossy(msg.raw_values(name).next().unwrap()).into_owned();
    assert_eq!(line("Allow"), "INVITE, ACK, CANCEL, OPTIONS, BYE, UPDATE");
    let accepted = "application/sdp, multipart/mixed, multipart/alternative";
    assert_eq!((line("Accept"), line("Accept-Encoding")), (accepted.into(), "identity".into()));
    assert!(!msg.exists(h::ACCEPT_LANGUAGES), "any will do");
    bench.with(|_, dum| {
        let mut master = (**dum.master_profile()).clone();
        master.add_language("en").add_language("de");
        dum.set_master_profile(master);
    });
    bench.ask(1, incoming(&Method::Options));
    assert_eq!(bench.response().1.raw_values("Accept-Language").next(), Some(&b"en, de"[..]));
    // A 405 says what is allowed, whether dum knows the method or has no handler for it (RFC 3261 §8.2.1).
    bench.with(|_, dum| {
        let mut master = (**dum.master_profile()).clone();
        master.add_method(Method::Info).add_method(Method::Register).add_method(Method::Publish);
        dum.set_master_profile(master);
    });
    for method in [Method::Info, Method::Register, Method::Publish, Method::from_token("FETCH")] {
        bench.ask(2, incoming(&method));
        let (_, msg) = bench.response();
        let allow: Vec<_> = msg.raw_values("Allow").map(String::from_utf8_lossy).collect();
        // All but this one.
        let all = "INVITE, ACK, CANCEL, OPTIONS, BYE, UPDATE, INFO, REGISTER, PUBLISH".split(", ");
        let others: Vec<_> = all.filter(|known| *known != method.as_str()).collect();
        assert_eq!((msg.status(), allow), (Some(405), vec![others.join(", ").into()]));
    }
    // What is in a dialog that is not there, and what can only be in one.
    let mut stray = incoming(&Method::Bye);
    bench.ask(3, stray.clone());
    assert_eq!(bench.response().1.status(), Some(481));
    stray.set(h::TO, "<sip:bob@b>;tag=nobody");
    bench.ask(4, stray);
    assert_eq!(bench.response().1.status(), Some(481));
    assert_eq!(bench.dum.counts(), Default::default());
}

#[test]
fn more_than_the_limit_is_refused() {
    let limits = crate::Limits { requests: 1, ..Default::default() };
    let mut bench = Bench::with_options(App::default(), crate::DumOptions { limits, ..Default::default() });
    bench.ask(1, incoming(&Method::Options));
    bench.nothing_sent();
    bench.ask(2, incoming(&Method::Options));
    assert_eq!(bench.response().1.status(), Some(503));
    let bob = NameAddr::parse("<sip:bob@192.0.2.9>").unwrap();
    let send = |dum: &mut Dum<'_>| {
        let profile = dum.master_profile().user().clone();
        let msg = dum.make_request(&profile, &Method::Options, &bob);
        dum.send_request(msg)
    };
    assert!(bench.with(|_, dum| send(dum)).is_ok());
    use Method::{Ack, Bye, Cancel, Invite, Notify, Prack, Subscribe, Update};
    for method in [Invite, Subscribe, Ack, Cancel, Bye, Prack, Update, Notify] {
        let refused = bench.with(|_, dum| dum.send_request(incoming(&method)));
        assert!(matches!(refused, Err(crate::NotSent::Unfit(_))), "{method:?}");
    }
    assert_eq!(bench.with(|_, dum| send(dum)), Err(crate::NotSent::NoRoom(crate::NoRoom)));
}
