//! Who is asked for a password, and who is not.

use super::tests::{addr, profile};
use super::*;
use crate::invite::{EndReason, InviteSession, InviteSessionHandler};
use crate::subscription::{
    ClientSubscription, ClientSubscriptionHandler, ServerSubscription, ServerSubscriptionHandler, SubscriptionState,
};
use crate::testing::Bench;
use crate::{Application, Dum, DumOptions, EventPackage, Handle};
use rutil::Rng;
use stack::auth::{Algorithm, Answer, Challenge};
use stack::contents::sdp::Sdp;
use stack::header::{Method, h};
use stack::message::Message;
use stack::transaction::Command;
use stack::tu::TuEvent;

/// It asks whoever it asks by default.
struct App {
    auth: ServerAuthManager,
    heard: Vec<String>,
    asked: Option<Message>,
}

impl Application for App {
    fn server_auth(&mut self) -> Option<&mut dyn ServerAuthHandler> {
        Some(self)
    }
    fn invite_sessions(&mut self) -> Option<&mut dyn InviteSessionHandler> {
        Some(self)
    }
    fn client_subscriptions(&mut self, _: &str) -> Option<&mut dyn ClientSubscriptionHandler> {
        Some(self)
    }
    fn server_subscriptions(&mut self, _: &str) -> Option<&mut dyn ServerSubscriptionHandler> {
        Some(self)
    }
}

impl ServerAuthHandler for App {
    fn manager(&self) -> &ServerAuthManager {
        &self.auth
    }
    fn realm(&self, _: &Message) -> String {
        "example.com".into()
    }
    fn secret(&self, user: &str, _: Algorithm) -> Option<Secret> {
        (user == "bob").then(|| Secret::password("builder"))
    }
}

impl InviteSessionHandler for App {
    fn on_terminated(&mut self, _: &mut Dum<'_>, _: Handle<InviteSession>, why: EndReason, _: Option<&Message>) {
        self.heard.push(format!("{why:?}"));
    }
}

impl ClientSubscriptionHandler for App {
    fn on_update_active(&mut self, dum: &mut Dum<'_>, _: Handle<ClientSubscription>, msg: &Message) {
        self.heard.push(format!("notified by {:?}", dum.authenticated_user(msg)));
    }
}

impl ServerSubscriptionHandler for App {
    fn on_new_subscription(&mut self, dum: &mut Dum<'_>, sub: Handle<ServerSubscription>, msg: &Message) {
        let mut other = msg.clone();
        other.set(h::CSEQ, "7 SUBSCRIBE");
        assert_eq!(dum.authenticated_user(&other), None);
        self.heard.push(format!("subscribed by {:?}", dum.authenticated_user(msg)));
        self.asked = Some(msg.clone());
        sub.accept(dum, SubscriptionState::Active, None).unwrap();
    }
}

fn bench() -> Bench<App> {
    let mut options = DumOptions::default();
    options.master.add_package(EventPackage::new("presence")).add_method(Method::Info);
    let auth = ServerAuthManager::new(ServerAuthOptions::default(), &mut Rng::from_seed(1));
    Bench::with_options(App { auth, heard: Vec::new(), asked: None }, options)
}

/// How a request of Bob's is answered: in the dialog of the tags his and ours.
fn ask(
    bench: &mut Bench<App>,
    (method, cseq): (Method<'static>, u32),
    (call_id, tags): (&str, [&str; 2]),
    edit: impl FnOnce(&mut Message),
) -> Message {
    let mut msg = Message::request(&method, "sip:alice@192.0.2.1:5060");
    msg.set(h::FROM, &format_args!("<sip:bob@example.com>;tag={}", tags[0]));
    let to = if tags[1].is_empty() { String::new() } else { format!(";tag={}", tags[1]) };
    msg.set(h::TO, &format_args!("<sip:alice@example.com>{to}"));
    msg.set(h::CALL_ID, call_id);
    msg.set(h::CSEQ, &format_args!("{cseq} {}", method.as_str()));
    msg.push_back(h::CONTACTS, "<sip:bob@192.0.2.9>");
    edit(&mut msg);
    bench.ask(cseq, Message::parse(msg.to_bytes()).unwrap());
    bench.response().1
}

/// Call-ID and our tag of a request of ours.
fn ours(msg: &Message) -> (String, String) {
    let tag = msg.header(h::FROM).unwrap().param(stack::header::p::TAG).unwrap().to_owned();
    (msg.header(h::CALL_ID).unwrap().to_string(), tag)
}

#[test]
fn whom_we_have_called_is_not_asked() {
    let mut bench = bench();
    let sdp = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
    bench.with(|_, dum| {
        let offer = Sdp::parse(&sdp.into()).unwrap();
        let msg = dum.make_invite(&profile(), &addr("<sip:bob@elsewhere.org>"), Some(&offer));
        dum.send_invite(&profile(), msg).unwrap()
    });
    let (transaction, invite) = bench.request();
    let mut ok = invite.make_response(200, None, Some("peer"));
    ok.push_back(h::CONTACTS, "<sip:bob@192.0.2.9>");
    ok.set_body(Some("application/sdp"), sdp);
    bench.event(TuEvent::Response { transaction, msg: ok.into() });
    assert!(matches!(bench.sent.pop_front(), Some(Command::SendStateless { .. })), "an ACK");
    let (call_id, tag) = ours(&invite);
    let dialog = (call_id.as_str(), ["peer", tag.as_str()]);
    assert_ne!(ask(&mut bench, (Method::Info, 1), dialog, |_| {}).status(), Some(401));
    assert_eq!(ask(&mut bench, (Method::Bye, 2), dialog, |_| {}).status(), Some(200));
    assert_eq!(bench.dum.application().heard, ["RemoteBye"]);
    assert_eq!(bench.dum.counts().dialogs, 0);
}

#[test]
fn whom_we_have_subscribed_to_is_not_asked() {
    let mut bench = bench();
    bench.with(|_, dum| {
        let msg = dum.make_subscribe(&profile(), &addr("<sip:bob@elsewhere.org>"), "presence");
        dum.send_subscribe(&profile(), msg).unwrap();
    });
    let (call_id, tag) = ours(&bench.request().1);
    for cseq in [1, 2] {
        // The first one makes the dialog.
        let answered = ask(&mut bench, (Method::Notify, cseq), (&call_id, ["peer", &tag]), |msg| {
            msg.set(h::EVENT, "presence");
            msg.set(h::SUBSCRIPTION_STATE, "active;expires=600");
        });
        assert_eq!(answered.status(), Some(200), "{cseq}");
    }
    assert_eq!(bench.dum.application().heard, ["notified by None"; 2]);
}

#[test]
fn who_begins_something_is_asked_in_its_dialog_too() {
    let mut bench = bench();
    let presence = |msg: &mut Message| msg.set(h::EVENT, "presence");
    let asked = ask(&mut bench, (Method::Subscribe, 1), ("c", ["bob", ""]), presence);
    assert_eq!(asked.status(), Some(401));
    let challenge = Challenge::read(&asked.header(h::WWW_AUTHENTICATES).next().unwrap().unwrap()).unwrap();
    let accepted = ask(&mut bench, (Method::Subscribe, 2), ("c", ["bob", ""]), |msg| {
        let uri = std::str::from_utf8(msg.request_uri_text()).unwrap();
        let answer = Answer { user: "bob", method: "SUBSCRIBE", uri, body: b"", cnonce: "c", count: 1 };
        let auth = challenge.answer(&Secret::password("builder"), &answer).unwrap();
        presence(msg);
        msg.push_back(h::AUTHORIZATIONS, &auth);
    });
    assert_eq!(accepted.status(), Some(200));
    assert_eq!(bench.dum.application().heard, ["subscribed by Some(\"bob\")"]);
    bench.with(|app, dum| assert_eq!(dum.authenticated_user(app.asked.as_ref().unwrap()), None, "it is over"));
    let tag = accepted.header(h::TO).unwrap().param(stack::header::p::TAG).unwrap().to_owned();
    bench.request();
    let dialog = ("c", ["bob", tag.as_str()]);
    assert_eq!(ask(&mut bench, (Method::Subscribe, 3), dialog, presence).status(), Some(401));
    // A NOTIFY in it is of no subscription of ours.
    assert_eq!(ask(&mut bench, (Method::Notify, 4), dialog, presence).status(), Some(401));
    assert_eq!(ask(&mut bench, (Method::Bye, 5), dialog, |_| {}).status(), Some(481));
}
