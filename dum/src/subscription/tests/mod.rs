//! Subscriptions between two user agents, and between one and what a test plays.

mod flood;
mod notifier;
mod pair;
mod subscriber;

use super::*;
use crate::testing::Bench;
use crate::{Application, DumOptions, EventPackage};
use stack::contents::{Contents, Text};
use stack::header::{HeaderValue, MediaType, Method, NameAddr, h};
use stack::tu::{ClientTransaction, TuEvent};

/// Writes down what it hears.
#[derive(Default)]
struct App {
    heard: Vec<String>,
    sets: Vec<Handle<ClientSubscriptionSet>>,
    subs: Vec<Handle<ClientSubscription>>,
    served: Vec<Handle<ServerSubscription>>,
    /// How often all that was told had been accepted.
    accepted: u32,
    /// It does not serve anybody.
    deaf: bool,
    /// It never tries again.
    patient: bool,
}

impl Application for App {
    fn client_subscriptions(&mut self, _: &str) -> Option<&mut dyn ClientSubscriptionHandler> {
        Some(self)
    }
    fn server_subscriptions(&mut self, package: &str) -> Option<&mut dyn ServerSubscriptionHandler> {
        if self.deaf || package != "presence" { None } else { Some(self) }
    }
}

fn body(msg: &Message) -> String {
    String::from_utf8_lossy(msg.body()).into_owned()
}

impl ClientSubscriptionHandler for App {
    fn on_new_subscription(
        &mut self,
        _: &mut Dum<'_>,
        _: Handle<ClientSubscriptionSet>,
        sub: Handle<ClientSubscription>,
        _: &Message,
    ) {
        self.subs.push(sub);
        self.heard.push("new".into());
    }
    fn on_update_active(&mut self, _: &mut Dum<'_>, _: Handle<ClientSubscription>, msg: &Message) {
        self.heard.push(format!("active {}", body(msg)));
    }
    fn on_update_pending(&mut self, _: &mut Dum<'_>, _: Handle<ClientSubscription>, _: &Message) {
        self.heard.push("pending".into());
    }
    fn on_update_extension(&mut self, _: &mut Dum<'_>, _: Handle<ClientSubscription>, _: &Message) {
        self.heard.push("extension".into());
    }
    fn on_terminated(
        &mut self,
        _: &mut Dum<'_>,
        _: Handle<ClientSubscription>,
        end: SubscriptionEnd,
        msg: Option<&Message>,
    ) {
        self.heard.push(format!("over {end:?} {}", msg.map_or("-".into(), body)));
    }
    fn on_failure(
        &mut self,
        _: &mut Dum<'_>,
        _: Handle<ClientSubscriptionSet>,
        end: SubscriptionEnd,
        _: Option<&Message>,
    ) {
        self.heard.push(format!("failure {end:?}"));
    }
    fn on_request_retry(
        &mut self,
        _: &mut Dum<'_>,
        _: Handle<ClientSubscriptionSet>,
        _: SubscriptionEnd,
        proposed: Option<Duration>,
    ) -> Option<Duration> {
        self.heard.push(format!("retry {:?}", proposed.map(|after| after.as_secs())));
        proposed.filter(|_| !self.patient)
    }
    fn on_ended(&mut self, _: &mut Dum<'_>, _: Handle<ClientSubscriptionSet>) {
        self.heard.push("ended".into());
    }
}

impl ServerSubscriptionHandler for App {
    fn on_new_subscription(&mut self, _: &mut Dum<'_>, sub: Handle<ServerSubscription>, _: &Message) {
        self.served.push(sub);
        self.heard.push("asked".into());
    }
    fn on_refresh(&mut self, _: &mut Dum<'_>, _: Handle<ServerSubscription>, _: &Message) {
        self.heard.push("refreshed".into());
    }
    fn on_accepted(&mut self, _: &mut Dum<'_>, _: Handle<ServerSubscription>, response: &Message) {
        assert_eq!(response.status(), Some(200));
        self.accepted += 1;
    }
    fn on_terminated(
        &mut self,
        _: &mut Dum<'_>,
        _: Handle<ServerSubscription>,
        end: ServerSubscriptionEnd,
        msg: Option<&Message>,
    ) {
        let by = msg.map(|msg| (msg.method(), msg.status()));
        match end {
            ServerSubscriptionEnd::ByClient => assert_eq!(by, Some((Some(Method::Subscribe), None))),
            ServerSubscriptionEnd::NotifyFailed(code) => assert!(by.is_none_or(|by| by.1 == Some(code))),
            _ => assert_eq!(by, None),
        }
        self.heard.push(format!("end {end:?}"));
    }
}

fn options() -> DumOptions {
    let mut options = DumOptions::default();
    let presence = EventPackage::new("presence").with_type(MediaType::new("text", "plain")).with_expires(60..=3600);
    options.master.add_package(presence).add_package(EventPackage::new("dialog"));
    options
}

fn bench() -> Bench<App> {
    Bench::with_options(App::default(), options())
}

fn heard(bench: &mut Bench<App>) -> Vec<String> {
    std::mem::take(&mut bench.dum.application_mut().heard)
}

fn text(words: &str) -> Contents {
    Contents::Text(Text::new(words))
}

fn value(msg: &Message, name: &str) -> String {
    msg.raw_values(name).next().map_or(String::new(), |value| String::from_utf8_lossy(value).into_owned())
}

/// Subscribes to presence for a time.
fn subscribe(bench: &mut Bench<App>, expires: u32) -> Handle<ClientSubscriptionSet> {
    bench.with(|app, dum| {
        let profile = dum.master_profile().user().clone();
        let target = NameAddr::parse("<sip:bob@192.0.2.9>").unwrap();
        let mut msg = dum.make_subscribe(&profile, &target, "presence");
        msg.set(h::EXPIRES, &expires);
        let set = dum.send_subscribe(&profile, msg).unwrap();
        app.sets.push(set);
        set
    })
}

/// A NOTIFY of the notifier with that tag.
fn notify(subscribe: &Message, tag: &str, cseq: u32, state: &str) -> Message {
    let to = subscribe.header(h::FROM).unwrap().to_string();
    let mut msg = Message::request(&Method::Notify, "sip:alice@192.0.2.1");
    msg.set(h::FROM, &format_args!("<sip:bob@192.0.2.9>;tag={tag}"));
    msg.set(h::TO, &to);
    msg.set(h::CALL_ID, subscribe.header(h::CALL_ID).unwrap().as_str());
    msg.set(h::CSEQ, &format_args!("{cseq} NOTIFY"));
    msg.push_back(h::CONTACTS, &format_args!("<sip:{tag}@192.0.2.9>"));
    msg.set(h::EVENT, "presence");
    if !state.is_empty() {
        msg.set(h::SUBSCRIPTION_STATE, state);
    }
    msg
}

/// A request comes: the status that answers it.
fn ask(bench: &mut Bench<App>, msg: Message) -> u16 {
    bench.ask(1, msg);
    let answered = bench.response().1;
    answered.status().unwrap()
}

/// A SUBSCRIBE of ours is answered.
fn answer(
    bench: &mut Bench<App>,
    (transaction, request): (ClientTransaction, &Message),
    code: u16,
    line: (&str, &str),
) {
    let mut msg = request.make_response(code, None, Some("one"));
    msg.append_line(line.0, line.1);
    bench.event(TuEvent::Response { transaction, msg: msg.into() });
}
