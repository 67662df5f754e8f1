//! Messages between a user agent and what a test plays.

use super::*;
use crate::testing::Bench;
use crate::{DumOptions, Limits, NoRoom};
use stack::contents::Text;
use stack::header::{HeaderValue, MediaType, Method, NameAddr, h};
use stack::tu::{NoResponse, TuEvent};

/// Writes down what it hears, and accepts what it is told to.
#[derive(Default)]
struct App {
    heard: Vec<String>,
    arrived: Vec<Handle<ServerPagerMessage>>,
    deaf: bool,
}

impl Application for App {
    fn pager_messages(&mut self) -> Option<&mut dyn PagerMessageHandler> {
        if self.deaf { None } else { Some(self) }
    }
}

impl PagerMessageHandler for App {
    fn on_success(&mut self, _: &mut Dum<'_>, _: Handle<ClientPagerMessage>, outcome: &Outcome) {
        self.heard.push(format!("success {}", outcome.status));
    }
    fn on_failure(&mut self, _: &mut Dum<'_>, _: Handle<ClientPagerMessage>, outcome: &Outcome, page: &Contents) {
        self.heard.push(format!("failure {} {}", outcome.status, String::from_utf8_lossy(&page.print())));
    }
    fn on_message_arrived(&mut self, _: &mut Dum<'_>, pager: Handle<ServerPagerMessage>, msg: &Message) {
        self.heard.push(format!("arrived {}", String::from_utf8_lossy(msg.body())));
        self.arrived.push(pager);
    }
}

fn bench() -> Bench<App> {
    let mut options = DumOptions { limits: Limits { requests: 2, ..Limits::default() }, ..DumOptions::default() };
    options.master.add_method(Method::Message).add_mime_type(Method::Message, MediaType::new("text", "plain"));
    Bench::with_options(App::default(), options)
}

fn text(words: &str) -> Contents {
    Contents::Text(Text::new(words))
}

fn pager(bench: &mut Bench<App>) -> Result<Handle<ClientPagerMessage>, NoRoom> {
    bench.with(|_, dum| {
        let profile = dum.master_profile().user().clone();
        dum.make_pager(&profile, &NameAddr::parse("<sip:bob@192.0.2.9>").unwrap())
    })
}

#[test]
fn messages_go_one_after_the_other_in_order() {
    let mut bench = bench();
    let pager = pager(&mut bench).unwrap();
    bench.nothing_sent();
    bench.with(|_, dum| ["one", "two", "three", "four"].map(|words| pager.page(dum, text(words)).unwrap()));
    let mut ids = Vec::new();
    for (n, (words, answer)) in [("one", 200), ("two", 404), ("three", 0), ("four", 202)].into_iter().enumerate() {
        let (transaction, msg) = bench.request();
        bench.nothing_sent();
        assert_eq!((msg.body(), msg.header(h::CSEQ).unwrap().number), (words.as_bytes(), n as u32 + 1));
        // RFC 3428 §4: no Contact.
        assert!(!msg.exists(h::CONTACTS) && msg.header(h::CONTENT_TYPE).unwrap().is("text", "plain"));
        ids.push(msg.header(h::CALL_ID).unwrap().as_str().to_owned());
        if answer == 0 {
            bench.event(TuEvent::NoResponse { transaction, reason: NoResponse::Timeout });
        } else {
            bench.respond(transaction, &msg, 100);
            bench.respond(transaction, &msg, answer);
            bench.respond(transaction, &msg, 200);
        }
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
    let heard = ["success 200", "failure 404 two", "failure 408 three", "success 202"];
    assert_eq!(bench.dum.application().heard, heard);
    bench.with(|_, dum| pager.page(dum, text("five"))).unwrap();
    bench.request();
    bench.with(|_, dum| pager.end(dum)).unwrap();
    assert_eq!(bench.with(|_, dum| pager.page(dum, text("six"))), Err(UsageEnded.into()));
    assert_eq!(bench.dum.counts().requests, 0);
}

#[test]
fn queues_and_pagers_have_limits() {
    let mut bench = bench();
    let first = pager(&mut bench).unwrap();
    let page = |dum: &mut Dum<'_>| first.page(dum, text("x"));
    assert!((0..MAX_PAGES).all(|_| bench.with(|_, dum| page(dum)).is_ok()));
    assert_eq!(bench.with(|_, dum| page(dum)), Err(PagerError::Full));
    pager(&mut bench).unwrap();
    assert_eq!(pager(&mut bench), Err(NoRoom));
}

fn incoming(words: &'static str) -> Message {
    let (bob, alice) = (NameAddr::parse("<sip:bob@b>").unwrap(), NameAddr::parse("<sip:alice@a>").unwrap());
    let mut msg = stack::helper::make_initial(&Method::Message, &bob, &alice, &mut rutil::Rng::from_seed(3));
    msg.set_body(Some("text/plain"), words);
    msg
}

#[test]
fn what_arrives_is_answered_once() {
    let mut bench = bench();
    bench.ask(1, incoming("hi"));
    let message = bench.dum.application().arrived[0];
    let answers = bench.with(|_, dum| (message.accept(dum, 202), message.reject(dum, 480, |_| {})));
    assert_eq!(answers, (Ok(()), Err(UsageEnded)));
    assert_eq!(bench.response().1.status(), Some(202));
    // A type that is not understood.
    let mut html = incoming("");
    html.set_body(Some("text/html"), "<p>");
    bench.ask(2, html);
    let (_, refused) = bench.response();
    assert_eq!((refused.status(), refused.raw_values("Accept").next()), (Some(415), Some(&b"text/plain"[..])));
    // Nobody wants it.
    bench.dum.application_mut().deaf = true;
    bench.ask(3, incoming("hi"));
    assert_eq!(bench.response().1.status(), Some(405));
    assert_eq!((&bench.dum.application().heard[..], bench.dum.counts().requests), (&["arrived hi".to_owned()][..], 0));
}
