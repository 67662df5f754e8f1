//! Registrations at a registrar that a test plays.

use super::*;
use crate::auth::tests::{addr, profile};
use crate::testing::Bench;
use crate::{Application, Limits, UsageEnded, UserProfile};
use stack::auth::{Algorithm, Challenge, Presented};
use stack::header::{Contact, h, p};
use stack::tu::{ClientTransaction, NoResponse, TuEvent};
use std::sync::Arc;

#[derive(Default)]
struct App {
    heard: Vec<String>,
    /// The handler's own decision.
    stubborn: Option<Duration>,
}

impl Application for App {
    fn client_registrations(&mut self) -> Option<&mut dyn ClientRegistrationHandler> {
        Some(self)
    }
}

impl ClientRegistrationHandler for App {
    fn on_success(&mut self, dum: &mut Dum<'_>, registration: Handle<ClientRegistration>, _: &Message) {
        self.heard.push(format!("success {:?}", registration.expires(dum).unwrap()));
    }
    fn on_removed(&mut self, _: &mut Dum<'_>, _: Handle<ClientRegistration>, response: &Message) {
        self.heard.push(format!("removed {}", response.status().unwrap()));
    }
    fn on_request_retry(
        &mut self,
        _: &mut Dum<'_>,
        _: Handle<ClientRegistration>,
        outcome: &Outcome,
        suggested: Option<Duration>,
    ) -> Option<Duration> {
        self.heard.push(format!("retry {} {}", outcome.status, suggested.is_some()));
        self.stubborn.or(suggested)
    }
    fn on_refused(&mut self, _: &mut Dum<'_>, _: Handle<ClientRegistration>, outcome: &Outcome) {
        self.heard.push(format!("refused {}", outcome.status));
    }
    fn on_failure(&mut self, _: &mut Dum<'_>, _: Handle<ClientRegistration>, outcome: &Outcome) {
        self.heard.push(format!("failure {}", outcome.status));
    }
}

type Phone = Bench<App>;

fn register(bench: &mut Phone, profile: &Arc<UserProfile>) -> Handle<ClientRegistration> {
    bench.with(|_, dum| dum.register(profile)).unwrap()
}

/// Answers with the Contacts that were asked for, each for so long; what else it says is up to `edit`.
fn grant(bench: &mut Phone, expires: u32, edit: impl FnOnce(&mut Message)) -> Message {
    let (transaction, request) = bench.request();
    let mut msg = request.make_response(200, None, Some("registrar"));
    for contact in request.header(h::CONTACTS).flatten().filter_map(Contact::into_addr) {
        msg.push_back(h::CONTACTS, &contact.with(p::EXPIRES, expires));
    }
    edit(&mut msg);
    bench.event(TuEvent::Response { transaction, msg: msg.into() });
    request
}

fn refuse(bench: &mut Phone, status: u16, edit: impl FnOnce(&mut Message)) -> Message {
    let (transaction, request) = bench.request();
    let mut msg = request.make_response(status, None, Some("registrar"));
    edit(&mut msg);
    bench.event(TuEvent::Response { transaction, msg: msg.into() });
    request
}

fn heard(bench: &mut Phone) -> Vec<String> {
    bench.with(|app, _| std::mem::take(&mut app.heard))
}

fn line(msg: &Message, name: &str) -> String {
    let all: Vec<_> = msg.raw_values(name).map(|value| String::from_utf8_lossy(value).into_owned()).collect();
    all.join(", ")
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn a_binding_is_kept_alive_and_taken_away() {
    let mut bench = Phone::new(App::default());
    let handle = register(&mut bench, &profile());
    let first = grant(&mut bench, 600, |_| {});
    assert_eq!(first.request_uri_text(), b"sip:example.com");
    assert_eq!(line(&first, "Contact"), "<sip:alice@192.0.2.1:5060>");
    assert_eq!((line(&first, "To"), line(&first, "Expires")), ("<sip:alice@example.com>".into(), "3600".into()));
    assert_eq!(heard(&mut bench), ["success 600s"]);
    // Refreshed in time, as the same registration.
    bench.run(seconds(500));
    bench.nothing_sent();
    bench.run(seconds(41));
    let second = grant(&mut bench, 60, |_| {});
    assert_eq!(line(&second, "Call-ID"), line(&first, "Call-ID"));
    assert_eq!((line(&second, "From"), line(&second, "CSeq")), (line(&first, "From"), "2 REGISTER".into()));
    assert_eq!(bench.with(|_, dum| handle.expires(dum)), Ok(seconds(60)));
    bench.run(seconds(56));
    grant(&mut bench, 3600, |_| {});
    bench.with(|_, dum| handle.end(dum)).unwrap();
    let last = grant(&mut bench, 0, |_| {});
    assert_eq!((line(&last, "Expires"), line(&last, "Contact")), ("0".into(), line(&first, "Contact")));
    assert_eq!(heard(&mut bench), ["success 60s", "success 3600s", "removed 200"]);
    assert_eq!(bench.with(|_, dum| handle.refresh(dum)), Err(UsageEnded));
    assert_eq!(bench.dum.counts(), Default::default());
    bench.run(seconds(7200));
    bench.nothing_sent();
}

#[test]
fn a_password_is_shown_when_it_is_asked_for_and_then_at_once() {
    let mut bench = Phone::new(App::default());
    register(&mut bench, &profile());
    let challenge = Challenge::new("example.com", "n1", Algorithm::SHA_256);
    refuse(&mut bench, 401, |msg| msg.push_back(h::WWW_AUTHENTICATES, &challenge.to_auth()));
    let count = |msg: &Message| Presented::read(&msg.first(h::AUTHORIZATIONS).unwrap()).unwrap().count;
    let second = grant(&mut bench, 100, |_| {});
    assert_eq!((count(&second), line(&second, "CSeq")), (Some(1), "2 REGISTER".into()));
    bench.run(seconds(91));
    let third = grant(&mut bench, 100, |msg| msg.push_back(h::AUTHENTICATION_INFOS, "nextnonce=\"n2\""));
    assert_eq!((count(&third), line(&third, "CSeq")), (Some(2), "3 REGISTER".into()));
    bench.run(seconds(91));
    let fourth = grant(&mut bench, 100, |_| {});
    assert_eq!(
        (count(&fourth), Presented::read(&fourth.first(h::AUTHORIZATIONS).unwrap()).unwrap().nonce),
        (Some(1), "n2".into())
    );
}

#[test]
fn a_time_that_is_too_brief_is_made_longer_once() {
    let mut bench = Phone::new(App::default());
    let mut brief = UserProfile::on(&profile());
    brief.set_registration_time(seconds(30));
    register(&mut bench, &Arc::new(brief));
    let first = refuse(&mut bench, 423, |msg| msg.set(h::MIN_EXPIRES, &120));
    let second = grant(&mut bench, 120, |_| {});
    assert_eq!((line(&first, "Expires"), line(&second, "Expires")), ("30".into(), "120".into()));
    assert_eq!(line(&second, "CSeq"), "2 REGISTER");
    // A registrar that wants what it was given is broken.
    bench.run(seconds(110));
    refuse(&mut bench, 423, |msg| msg.set(h::MIN_EXPIRES, &120));
    assert_eq!(heard(&mut bench), ["success 120s", "retry 423 false", "failure 423"]);
    assert_eq!(bench.dum.counts(), Default::default());
}

#[test]
fn a_registrar_that_wants_more_each_time_is_not_asked_without_end() {
    let mut bench = Phone::new(App::default());
    register(&mut bench, &profile());
    refuse(&mut bench, 423, |msg| msg.set(h::MIN_EXPIRES, &7200));
    refuse(&mut bench, 423, |msg| msg.set(h::MIN_EXPIRES, &7201));
    bench.nothing_sent();
    assert_eq!(heard(&mut bench), ["retry 423 false", "failure 423"]);
}

#[test]
fn failures_are_tried_again_as_the_registrar_or_the_handler_wants() {
    let mut bench = Phone::new(App::default());
    register(&mut bench, &profile());
    refuse(&mut bench, 503, |msg| msg.set(h::RETRY_AFTER, &7));
    bench.run(Duration::from_millis(6_900));
    bench.nothing_sent();
    bench.run(Duration::from_millis(200));
    let (transaction, _) = bench.request();
    bench.event(TuEvent::NoResponse { transaction, reason: NoResponse::Timeout });
    // The second failure in a row: 30 to 60 s.
    bench.run(seconds(29));
    bench.nothing_sent();
    bench.run(seconds(32));
    refuse(&mut bench, 403, |_| {});
    assert_eq!(heard(&mut bench), ["retry 503 true", "retry 408 true", "retry 403 false", "failure 403"]);
    assert_eq!(bench.dum.counts(), Default::default());
    // A handler that does not take no for an answer.
    bench.with(|app, _| app.stubborn = Some(seconds(5)));
    let handle = register(&mut bench, &profile());
    refuse(&mut bench, 403, |_| {});
    bench.run(seconds(6));
    refuse(&mut bench, 403, |_| {});
    // A command does not wait for the next try.
    bench.with(|_, dum| handle.end(dum)).unwrap();
    grant(&mut bench, 0, |_| {});
    assert_eq!(heard(&mut bench), ["retry 403 false", "retry 403 false", "removed 200"]);
    bench.run(seconds(60));
    bench.nothing_sent();
}

#[test]
fn bindings_come_and_go_one_by_one_and_commands_wait_for_answers() {
    let mut bench = Phone::new(App::default());
    let handle = register(&mut bench, &profile());
    bench.with(|_, dum| handle.add_binding(dum, addr("<sip:alice@192.0.2.7>").into_owned())).unwrap();
    assert_eq!(bench.sent.len(), 1, "the second waits");
    grant(&mut bench, 600, |_| {});
    let both = grant(&mut bench, 600, |msg| msg.push_back(h::CONTACTS, "<sip:desk@192.0.2.3>;expires=9"));
    assert_eq!(line(&both, "Contact"), "<sip:alice@192.0.2.1:5060>, <sip:alice@192.0.2.7>");
    bench.with(|_, dum| {
        assert_eq!(handle.bindings(dum).unwrap().len(), 3);
        assert_eq!(handle.expires(dum), Ok(seconds(600)), "what is another device's does not count");
        handle.remove_binding(dum, &addr("<sip:alice@192.0.2.1:5060>").uri).unwrap();
    });
    let gone = grant(&mut bench, 0, |msg| msg.push_back(h::CONTACTS, "<sip:alice@192.0.2.7>;expires=500"));
    assert_eq!(
        (line(&gone, "Contact"), line(&gone, "Expires")),
        ("<sip:alice@192.0.2.1:5060>;expires=0".into(), "".into())
    );
    bench.run(seconds(451));
    let refresh = grant(&mut bench, 600, |_| {});
    assert_eq!(line(&refresh, "Contact"), "<sip:alice@192.0.2.7>");
    bench.with(|_, dum| handle.remove_all(dum)).unwrap();
    let all = grant(&mut bench, 0, |_| {});
    assert_eq!((line(&all, "Contact"), line(&all, "Expires")), ("*".into(), "0".into()));
    assert_eq!(heard(&mut bench).last().unwrap(), "removed 200");
    // A query binds nothing and is not refreshed.
    let handle = bench.with(|_, dum| dum.query_registrations(&profile())).unwrap();
    let query = grant(&mut bench, 0, |msg| msg.push_back(h::CONTACTS, "<sip:desk@192.0.2.3>;expires=9"));
    assert_eq!((line(&query, "Contact"), line(&query, "Expires")), (String::new(), String::new()));
    bench.run(seconds(10_000));
    bench.nothing_sent();
    bench.with(|_, dum| assert_eq!(handle.bindings(dum).unwrap()[0].uri.to_string(), "sip:desk@192.0.2.3"));
    bench.with(|_, dum| handle.stop(dum)).unwrap();
    assert_eq!(bench.dum.counts(), Default::default());
}

#[test]
fn commands_that_wait_lose_nothing() {
    let (one, two) = (addr("<sip:alice@192.0.2.1:5060>"), addr("<sip:alice@192.0.2.7>"));
    let mut bench = Phone::new(App::default());
    let handle = register(&mut bench, &profile());
    grant(&mut bench, 600, |_| {});
    bench.with(|_, dum| handle.add_binding(dum, two.clone().into_owned())).unwrap();
    grant(&mut bench, 600, |_| {});
    // The second goes while the first is on its way out.
    bench.with(|_, dum| handle.remove_binding(dum, &one.uri).and(handle.remove_binding(dum, &two.uri))).unwrap();
    assert_eq!(line(&grant(&mut bench, 0, |_| {}), "Contact"), "<sip:alice@192.0.2.1:5060>;expires=0");
    assert_eq!(line(&grant(&mut bench, 0, |_| {}), "Contact"), "<sip:alice@192.0.2.7>;expires=0");
    bench.nothing_sent();
    // A refresh that waits takes what is to go with it; what came back stays.
    bench.with(|_, dum| handle.add_binding(dum, one.clone().into_owned())).unwrap();
    grant(&mut bench, 600, |_| {});
    bench.with(|_, dum| {
        handle.add_binding(dum, two.clone().into_owned()).unwrap();
        handle.remove_binding(dum, &one.uri).unwrap();
        handle.refresh(dum).unwrap();
        handle.query(dum).unwrap();
    });
    grant(&mut bench, 600, |_| {});
    let both = grant(&mut bench, 600, |_| {});
    assert_eq!(line(&both, "Contact"), "<sip:alice@192.0.2.7>, <sip:alice@192.0.2.1:5060>;expires=0");
    bench.nothing_sent();
    // Nothing overtakes the end.
    bench.with(|_, dum| handle.query(dum).and(handle.end(dum)).and(handle.refresh(dum))).unwrap();
    grant(&mut bench, 0, |_| {});
    assert_eq!(line(&grant(&mut bench, 0, |_| {}), "Expires"), "0");
    assert_eq!(heard(&mut bench).last().unwrap(), "removed 200");
    assert_eq!(bench.dum.counts(), Default::default());
}

#[test]
fn a_query_puts_no_refresh_off() {
    let mut bench = Phone::new(App::default());
    let handle = register(&mut bench, &profile());
    grant(&mut bench, 600, |_| {});
    // The answer knows the binding by another name, as one behind a border element.
    bench.run(seconds(400));
    bench.with(|_, dum| handle.query(dum)).unwrap();
    grant(&mut bench, 0, |msg| msg.push_back(h::CONTACTS, "<sip:mapped@192.0.2.3>;expires=200"));
    bench.run(seconds(195));
    assert_eq!(line(&grant(&mut bench, 600, |_| {}), "Expires"), "3600");
    // One that is refused is followed by the refresh.
    bench.with(|_, dum| handle.query(dum)).unwrap();
    refuse(&mut bench, 503, |msg| msg.set(h::RETRY_AFTER, &7));
    bench.run(seconds(8));
    assert_eq!(line(&grant(&mut bench, 600, |_| {}), "Contact"), "<sip:alice@192.0.2.1:5060>");
    bench.run(seconds(500));
    bench.nothing_sent();
}

#[test]
fn a_query_or_removal_that_is_refused_leaves_the_bindings() {
    let desk = addr("<sip:desk@192.0.2.8>");
    let mut bench = Phone::new(App::default());
    let handle = register(&mut bench, &profile());
    grant(&mut bench, 600, |_| {});
    bench.with(|_, dum| handle.query(dum)).unwrap();
    refuse(&mut bench, 403, |_| {});
    bench.run(seconds(500));
    bench.nothing_sent();
    bench.run(seconds(41));
    grant(&mut bench, 600, |_| {});
    bench.with(|_, dum| handle.add_binding(dum, desk.clone().into_owned())).unwrap();
    grant(&mut bench, 600, |_| {});
    heard(&mut bench);
    bench.with(|_, dum| handle.remove_binding(dum, &desk.uri)).unwrap();
    refuse(&mut bench, 403, |_| {});
    assert_eq!(heard(&mut bench), ["retry 403 false", "refused 403"]);
    // What it cannot be rid of does not spoil what is refreshed.
    bench.run(seconds(541));
    assert_eq!(line(&grant(&mut bench, 60, |_| {}), "Contact"), "<sip:alice@192.0.2.1:5060>");
    // A pause that is longer than the bindings last is not kept.
    bench.with(|_, dum| handle.query(dum)).unwrap();
    refuse(&mut bench, 503, |msg| msg.set(h::RETRY_AFTER, &3600));
    bench.run(seconds(56));
    grant(&mut bench, 600, |_| {});
    bench.with(|_, dum| handle.end(dum)).unwrap();
    grant(&mut bench, 0, |_| {});
    assert_eq!(heard(&mut bench), ["success 60s", "retry 503 true", "success 600s", "removed 200"]);
}

#[test]
fn what_the_registrar_gives_is_in_the_profile_of_later_requests() {
    let mut bench = Phone::new(App::default());
    let mut device = UserProfile::on(&profile());
    device.set_instance_id(Some("urn:uuid:0C67446E".into())).set_reg_id(2);
    device.set_outbound_proxy(Some(Arc::new(addr("<sip:edge.example.com;lr>").into_owned())));
    let handle = register(&mut bench, &Arc::new(device));
    let (transaction, request) = bench.request();
    assert_eq!(line(&request, "Contact"), "<sip:alice@192.0.2.1:5060>;+sip.instance=\"<urn:uuid:0C67446E>\";reg-id=2");
    assert_eq!(line(&request, "Supported"), "path, outbound, gruu");
    assert_eq!(line(&request, "Route"), "<sip:edge.example.com;lr>");
    let mut msg = request.make_response(200, None, Some("registrar"));
    let gruu = "\"sip:alice@example.com;gr=urn:uuid:0C67446E\"";
    msg.push_back(h::CONTACTS, &format_args!("<sip:alice@192.0.2.1:5060>;expires=60;pub-gruu={gruu}"));
    msg.push_back(h::SERVICE_ROUTES, "<sip:core.example.com;lr>");
    bench.event(TuEvent::Response { transaction, msg: msg.into() });
    let options = bench.with(|_, dum| {
        let profile = handle.profile(dum).unwrap();
        dum.make_request(&profile, &stack::header::Method::Options, &addr("<sip:bob@example.com>"))
    });
    assert_eq!(line(&options, "Route"), "<sip:edge.example.com;lr>, <sip:core.example.com;lr>");
    assert_eq!(line(&options, "Contact"), "<sip:alice@example.com;gr=urn:uuid:0C67446E>");
    // RFC 3608 §6.1: REGISTER itself does not take it.
    bench.with(|_, dum| handle.flow_failed(dum)).unwrap();
    let again = grant(&mut bench, 60, |_| {});
    assert_eq!(
        (line(&again, "Route"), line(&again, "CSeq")),
        ("<sip:edge.example.com;lr>".into(), "2 REGISTER".into())
    );
}

#[test]
fn another_way_is_taken_at_once() {
    let mut bench = Phone::new(App::default());
    let handle = register(&mut bench, &profile());
    // Nobody waits for what went by the old one,
    let (old, request) = bench.request();
    bench.with(|_, dum| handle.flow_failed(dum)).unwrap();
    let (transaction, _) = bench.request();
    bench.respond(old, &request, 403);
    bench.event(TuEvent::NoResponse { transaction: old, reason: NoResponse::Timeout });
    assert!(heard(&mut bench).is_empty());
    // nor until the pause is over that it has led to.
    bench.event(TuEvent::NoResponse { transaction, reason: NoResponse::Timeout });
    bench.nothing_sent();
    bench.with(|_, dum| handle.flow_failed(dum)).unwrap();
    assert_eq!(line(&grant(&mut bench, 600, |_| {}), "CSeq"), "3 REGISTER");
    assert_eq!(heard(&mut bench), ["retry 408 true", "success 600s"]);
}

#[test]
fn another_way_takes_the_bindings_along_and_not_without_end() {
    let desk = addr("<sip:desk@192.0.2.8>");
    for removes in [false, true] {
        let mut bench = Phone::new(App::default());
        let handle = register(&mut bench, &profile());
        grant(&mut bench, 600, |_| {});
        bench.with(|_, dum| handle.add_binding(dum, desk.clone().into_owned())).unwrap();
        grant(&mut bench, 600, |_| {});
        match removes {
            true => bench.with(|_, dum| handle.remove_binding(dum, &desk.uri)).unwrap(),
            false => bench.with(|_, dum| handle.query(dum)).unwrap(),
        }
        bench.request();
        (0..100).for_each(|_| bench.with(|_, dum| handle.flow_failed(dum)).unwrap());
        (1..MOST_LEFT).for_each(|_| drop(bench.request()));
        let again = grant(&mut bench, 600, |_| {});
        let contacts = again.header(h::CONTACTS).map(|contact| contact.unwrap().to_string()).collect::<Vec<_>>();
        let other = if removes { "<sip:desk@192.0.2.8>;expires=0" } else { "<sip:desk@192.0.2.8>" };
        assert_eq!(contacts, ["<sip:alice@192.0.2.1:5060>", other]);
        // The last one that was asked for.
        grant(&mut bench, 600, |_| {});
        bench.nothing_sent();
        bench.with(|_, dum| handle.flow_failed(dum)).unwrap();
        grant(&mut bench, 600, |_| {});
    }
}

#[test]
fn the_last_binding_whose_removal_is_refused_ends_nothing() {
    let mut bench = Phone::new(App::default());
    let handle = register(&mut bench, &profile());
    grant(&mut bench, 600, |_| {});
    bench.with(|_, dum| handle.remove_binding(dum, &addr("<sip:alice@192.0.2.1:5060>").uri)).unwrap();
    refuse(&mut bench, 503, |msg| msg.set(h::RETRY_AFTER, &10));
    bench.run(seconds(12));
    refuse(&mut bench, 403, |_| {});
    assert_eq!(heard(&mut bench), ["success 600s", "retry 503 true", "retry 403 false", "refused 403"]);
    bench.run(seconds(1000));
    bench.nothing_sent();
    bench.with(|_, dum| handle.refresh(dum)).unwrap();
    assert_eq!(line(&grant(&mut bench, 600, |_| {}), "Contact"), "<sip:alice@192.0.2.1:5060>");
}

#[test]
fn what_is_to_be_removed_has_a_limit() {
    let mut bench = Phone::new(App::default());
    let handle = register(&mut bench, &profile());
    let (transaction, _) = bench.request();
    let mut comes_and_goes = |n: usize| {
        let contact = addr(&format!("<sip:c{n}@192.0.2.8>")).into_owned();
        bench.with(|_, dum| handle.add_binding(dum, contact.clone()).and(handle.remove_binding(dum, &contact.uri)))
    };
    for n in 0..MAX_BINDINGS {
        assert_eq!(comes_and_goes(n), Ok(()));
    }
    assert_eq!(comes_and_goes(MAX_BINDINGS), Err(RegistrationError::NoRoom));
    bench.event(TuEvent::NoResponse { transaction, reason: NoResponse::Timeout });
    assert_eq!(bench.request().1.header(h::CONTACTS).count(), 2 + MAX_BINDINGS);
}

#[test]
fn registrations_have_a_limit_and_are_apart_from_each_other() {
    let limits = Limits { requests: 2, ..Default::default() };
    let mut bench = Phone::with_options(App::default(), crate::DumOptions { limits, ..Default::default() });
    let one = register(&mut bench, &profile());
    let two = register(&mut bench, &profile());
    assert_eq!(bench.with(|_, dum| dum.register(&profile())), Err(RegistrationError::NoRoom));
    let first = grant(&mut bench, 100, |_| {});
    let second = grant(&mut bench, 1000, |_| {});
    assert_ne!(line(&first, "Call-ID"), line(&second, "Call-ID"));
    bench.with(|_, dum| one.stop(dum)).unwrap();
    bench.run(seconds(500));
    bench.nothing_sent();
    assert_eq!(bench.with(|_, dum| two.expires(dum)), Ok(seconds(1000)));
    // An answer that nobody waits for.
    let stray = ClientTransaction::new(0, 1);
    bench.respond(stray, &first, 200);
    assert_eq!(bench.dum.counts().registrations, 1);
}

/// RFC 3261 §10.2.4: a binding for no time is none.
#[test]
fn a_registrar_that_grants_nothing_is_asked_again_and_more_and_more_seldom() {
    let mut bench = Phone::new(App::default());
    let handle = register(&mut bench, &profile());
    let mut waits = Vec::new();
    for _ in 0..3 {
        grant(&mut bench, 0, |_| {});
        assert_eq!(heard(&mut bench), ["retry 200 true"]);
        let asked = bench.stack.now;
        while bench.sent.is_empty() {
            bench.run(seconds(1));
        }
        waits.push((bench.stack.now - asked).as_secs());
    }
    assert!(
        (15..=31).contains(&waits[0]) && (30..=61).contains(&waits[1]) && (60..=121).contains(&waits[2]),
        "{waits:?}"
    );
    // The header says it for a Contact that says nothing; Retry-After says when.
    let (transaction, request) = bench.request();
    let mut msg = request.make_response(200, None, Some("registrar"));
    msg.set(h::EXPIRES, &0);
    msg.append_line("Retry-After", "100");
    bench.event(TuEvent::Response { transaction, msg: msg.into() });
    assert_eq!(heard(&mut bench), ["retry 200 true"]);
    bench.run(seconds(99));
    bench.nothing_sent();
    bench.run(seconds(2));
    grant(&mut bench, 600, |_| {});
    assert_eq!(heard(&mut bench), ["success 600s"]);
    // Of two bindings one is not taken: the other one is refreshed in its time.
    bench.with(|_, dum| handle.add_binding(dum, addr("<sip:alice@192.0.2.77>").into_owned())).unwrap();
    let (transaction, request) = bench.request();
    let mut msg = request.make_response(200, None, Some("registrar"));
    for (contact, expires) in request.header(h::CONTACTS).flatten().filter_map(Contact::into_addr).zip([300, 0]) {
        msg.push_back(h::CONTACTS, &contact.with(p::EXPIRES, expires));
    }
    bench.event(TuEvent::Response { transaction, msg: msg.into() });
    assert_eq!(heard(&mut bench), ["success 300s"]);
    bench.run(seconds(250));
    bench.nothing_sent();
    bench.run(seconds(21));
    assert_eq!(bench.request().1.header(h::CONTACTS).count(), 2);
}

#[test]
fn who_registers_for_no_time_is_told_so_and_not_registered_again() {
    let mut bench = Phone::new(App::default());
    let mut brief = UserProfile::on(&profile());
    brief.set_registration_time(Duration::ZERO);
    let handle = register(&mut bench, &Arc::new(brief));
    let request = grant(&mut bench, 0, |_| {});
    assert_eq!(line(&request, "Expires"), "0");
    assert_eq!(heard(&mut bench), ["success 0ns"]);
    bench.run(seconds(7200));
    bench.nothing_sent();
    assert_eq!(bench.with(|_, dum| handle.stop(dum)), Ok(()));
}

#[test]
fn many_that_begin_together_are_refreshed_evenly() {
    let mut bench = Phone::new(App::default());
    let handles: Vec<_> = (0..2000)
        .map(|_| {
            let handle = register(&mut bench, &profile());
            grant(&mut bench, 3600, |_| {});
            handle
        })
        .collect();
    let mut quarters = [0; 8];
    for sent in &mut quarters {
        for _ in 0..15 {
            bench.run(seconds(60));
            while !bench.sent.is_empty() {
                grant(&mut bench, 3600, |_| {});
                *sent += 1;
            }
        }
    }
    // Each comes every 51 to 54 minutes, so some 571 in each quarter of an hour; in the fourth all of the first 99 besides, who
    // were not many yet. Together they would be 2000 in one, and none in three.
    assert!(quarters.iter().all(|sent| (480..720).contains(sent)), "{quarters:?}");
    assert!(bench.with(|_, dum| handles.iter().all(|handle| handle.expires(dum) == Ok(seconds(3600)))));
}

/// What nobody answers is over when the bindings are; they may be those of a REGISTER that nobody has answered either.
#[test]
fn the_end_of_a_registration_is_not_asked_for_for_ever() {
    for (heard_of, all) in [(true, false), (false, false), (false, true)] {
        let mut bench = Phone::new(App::default());
        let handle = register(&mut bench, &profile());
        let lasts = if heard_of { 600 } else { 3600 };
        if heard_of {
            grant(&mut bench, lasts, |_| {});
        }
        bench.with(|_, dum| if all { handle.remove_all(dum) } else { handle.end(dum) }).unwrap();
        let (began, mut ends) = (bench.stack.now, Vec::new());
        while bench.dum.counts().registrations > 0 {
            while let Some(stack::transaction::Command::Send { transaction, msg, .. }) = bench.sent.pop_front() {
                ends.extend((line(&msg, "Expires") == "0").then_some(bench.stack.now - began));
                bench.event(TuEvent::NoResponse { transaction, reason: NoResponse::Timeout });
            }
            assert!(bench.stack.now - began < seconds(2 * lasts as u64));
            bench.run(seconds(1));
        }
        assert!(ends.len() > 2 && ends.iter().all(|at| *at < seconds(lasts.into())), "{ends:?}");
        let told = heard(&mut bench);
        assert_eq!(told[told.len() - 2..], ["retry 408 false", "failure 408"]);
    }
}
