//! A registrar, and user agents that register with it.

use super::*;
use crate::auth::tests::{addr, profile};
use crate::auth::{ServerAuthHandler, ServerAuthManager, ServerAuthOptions};
use crate::testing::Bench;
use crate::{Application, DumOptions, UsageEnded, UserProfile};
use rutil::Rng;
use stack::auth::{Algorithm, Secret};
use stack::header::{Method, h};
use stack::transaction::Command;
use stack::tu::TuEvent;
use std::sync::Arc;

struct Registrar {
    store: MemoryRegistrations,
    auth: Option<ServerAuthManager>,
    heard: Vec<&'static str>,
    /// Those that were not answered at once.
    waiting: Option<Vec<Handle<ServerRegistration>>>,
}

impl Registrar {
    fn hear(&mut self, dum: &mut Dum<'_>, registration: Handle<ServerRegistration>, what: &'static str) {
        self.heard.push(what);
        match &mut self.waiting {
            Some(waiting) => waiting.push(registration),
            None => registration.accept(dum, |msg| msg.push_back(h::SERVICE_ROUTES, "<sip:core;lr>")).unwrap(),
        }
    }
}

impl Application for Registrar {
    fn server_auth(&mut self) -> Option<&mut dyn ServerAuthHandler> {
        if self.auth.is_some() { Some(self) } else { None }
    }
    fn server_registrations(&mut self) -> Option<&mut dyn ServerRegistrationHandler> {
        Some(self)
    }
}

impl ServerAuthHandler for Registrar {
    fn manager(&self) -> &ServerAuthManager {
        self.auth.as_ref().unwrap()
    }
    fn realm(&self, _: &Message) -> String {
        "example.com".to_owned()
    }
    fn secret(&self, user: &str, _: Algorithm) -> Option<Secret> {
        ["alice", "mallory"].contains(&user).then(|| Secret::password("wonderland"))
    }
}

impl ServerRegistrationHandler for Registrar {
    fn persistence(&mut self) -> &mut dyn RegistrationPersistence {
        &mut self.store
    }
    fn limits(&self) -> RegistrarLimits {
        RegistrarLimits { bindings: 3, ..RegistrarLimits::default() }
    }
    fn on_add(&mut self, dum: &mut Dum<'_>, registration: Handle<ServerRegistration>, _: &Message) {
        self.hear(dum, registration, "add");
    }
    fn on_refresh(&mut self, dum: &mut Dum<'_>, registration: Handle<ServerRegistration>, _: &Message) {
        self.hear(dum, registration, "refresh");
    }
    fn on_remove(&mut self, dum: &mut Dum<'_>, registration: Handle<ServerRegistration>, _: &Message) {
        self.hear(dum, registration, "remove");
    }
    fn on_remove_all(&mut self, dum: &mut Dum<'_>, registration: Handle<ServerRegistration>, _: &Message) {
        self.hear(dum, registration, "remove all");
    }
    fn on_query(&mut self, dum: &mut Dum<'_>, registration: Handle<ServerRegistration>, _: &Message) {
        self.hear(dum, registration, "query");
    }
}

fn registrar(authenticates: bool) -> Bench<Registrar> {
    let mut rng = Rng::from_seed(5);
    let auth = authenticates.then(|| ServerAuthManager::new(ServerAuthOptions::default(), &mut rng));
    let store = MemoryRegistrations::new(2, &mut rng);
    let mut options = DumOptions::default();
    options.master.add_method(Method::Register);
    Bench::with_options(Registrar { store, auth, heard: Vec::new(), waiting: None }, options)
}

/// A REGISTER of `aor` with a Call-ID, a number and further lines.
fn register(aor: &str, call_id: &str, cseq: u32, lines: &[(&str, &str)]) -> Message {
    let to = format!("<sip:{aor}>");
    let mut msg = stack::helper::make_request(
        &Method::Register,
        &addr("<sip:example.com>").uri,
        &addr(&format!("{to};tag=x")),
        &addr(&to),
        call_id,
        cseq,
    );
    lines.iter().for_each(|(name, value)| msg.append_line(name, value));
    Message::parse(msg.to_bytes()).unwrap()
}

fn ask(bench: &mut Bench<Registrar>, msg: Message) -> Message {
    bench.ask(1, msg);
    bench.response().1
}

fn line(msg: &Message, name: &str) -> String {
    let all: Vec<_> = msg.raw_values(name).map(|value| String::from_utf8_lossy(value).into_owned()).collect();
    all.join(", ")
}

#[test]
fn one_that_is_there_twice_is_taken_once_and_what_is_too_long_not_at_all() {
    let mut bench = registrar(false);
    let alice = "alice@example.com";
    let twice = ("Contact", "<sip:a@192.0.2.8>;expires=100, <sip:a@192.0.2.8>;expires=90");
    let answer = ask(&mut bench, register(alice, "1", 1, &[twice]));
    assert_eq!((answer.status(), line(&answer, "Contact")), (Some(200), "<sip:a@192.0.2.8>;expires=90".into()));
    let long = |octets: usize| "x".repeat(octets);
    for (call_id, name, value, status) in [
        ("2".to_owned(), "Contact", format!("<sip:{}@192.0.2.8>", long(1024)), 400),
        (long(257), "Contact", "<sip:b@192.0.2.8>".into(), 400),
        ("2".to_owned(), "Path", format!("<sip:{}@192.0.2.8;lr>", long(4096)), 400),
        ("2".to_owned(), "Path", "<sip:p1;lr>, <<".into(), 400),
        ("2".to_owned(), "Path", vec!["<sip:p;lr>"; 65].join(", "), 400),
        ("2".to_owned(), "Path", vec!["<sip:p;lr>"; 64].join(", "), 200),
    ] {
        let mut lines = vec![(name, value.as_str())];
        if name == "Path" {
            lines.push(("Contact", "<sip:b@192.0.2.8>"));
        }
        assert_eq!(ask(&mut bench, register(alice, &call_id, 1, &lines)).status(), Some(status), "{name}");
    }
}

#[test]
fn bindings_are_added_refreshed_and_removed_in_order() {
    let mut bench = registrar(false);
    let alice = "alice@example.com";
    let a = ("Contact", "<sip:a@192.0.2.8>;expires=100");
    let b = ("Contact", "<sip:b@192.0.2.9>");
    for (call_id, cseq, lines, status, said, heard) in [
        ("1", 1, vec![a], 200, "<sip:a@192.0.2.8>;expires=100", "add"),
        (
            "2",
            7,
            vec![b, ("Expires", "9999")],
            200,
            "<sip:a@192.0.2.8>;expires=100, <sip:b@192.0.2.9>;expires=3600",
            "add",
        ),
        ("1", 1, vec![a], 500, "", ""),
        ("1", 2, vec![("Contact", "<sip:A@192.0.2.8>;expires=59")], 423, "", ""),
        (
            "1",
            3,
            vec![("Contact", "<sip:a@192.0.2.8>;expires=60")],
            200,
            "<sip:a@192.0.2.8>;expires=60, <sip:b@192.0.2.9>;expires=3600",
            "refresh",
        ),
        ("3", 1, vec![], 200, "<sip:a@192.0.2.8>;expires=60, <sip:b@192.0.2.9>;expires=3600", "query"),
        // All or nothing: b is not removed by what came too late for a.
        ("1", 2, vec![("Contact", "<sip:b@192.0.2.9>;expires=0, <sip:a@192.0.2.8>")], 500, "", ""),
        ("3", 2, vec![("Contact", "<sip:b@192.0.2.9>;expires=0")], 200, "<sip:a@192.0.2.8>;expires=60", "remove"),
        ("3", 3, vec![("Contact", "<sip:c@c>, <sip:d@d>, <sip:e@e>")], 403, "", ""),
        ("3", 3, vec![("Contact", "*")], 400, "", ""),
        ("3", 3, vec![("Contact", "*"), ("Expires", "60")], 400, "", ""),
        ("3", 3, vec![("Contact", "*, <sip:a@a>"), ("Expires", "0")], 400, "", ""),
        ("3", 3, vec![("Contact", "<sip:a@")], 400, "", ""),
        ("1", 3, vec![("Contact", "*"), ("Expires", "0")], 500, "", ""),
        ("3", 3, vec![("Contact", "*"), ("Expires", "0")], 200, "", "remove all"),
    ] {
        let msg = ask(&mut bench, register(alice, call_id, cseq, &lines));
        assert_eq!((msg.status(), line(&msg, "Contact").as_str()), (Some(status), said), "{call_id} {cseq} {lines:?}");
        let last = bench.with(|app, _| app.heard.pop().unwrap_or_default());
        assert_eq!(last, heard, "{call_id} {cseq} {lines:?}");
        assert_eq!(line(&msg, "Min-Expires"), if status == 423 { "60" } else { "" });
        assert_eq!(line(&msg, "Service-Route"), if status == 200 { "<sip:core;lr>" } else { "" });
    }
    assert_eq!((bench.dum.counts(), bench.dum.application().store.len()), (Default::default(), 0));
}

#[test]
fn all_contacts_of_a_register_count_or_none() {
    let mut bench = registrar(false);
    let mut cseq = 0;
    let mut send = |removed: usize, rest: &str| {
        cseq += 1;
        let gone = (0..removed).map(|n| format!("<sip:old{n}@192.0.2.8>;expires=0, ")).collect::<String>();
        let msg = register("alice@example.com", "1", cseq, &[("Contact", &format!("{gone}{rest}")), ("Expires", "60")]);
        let answer = ask(&mut bench, msg);
        (answer.status().unwrap(), line(&answer, "Contact"))
    };
    assert_eq!(send(4, "<sip:new@192.0.2.8>"), (200, "<sip:new@192.0.2.8>;expires=60".into()));
    // As many as replace three bindings, and one more.
    assert_eq!(send(5, "<sip:new@192.0.2.8>;expires=0").0, 200);
    assert_eq!(send(6, "<sip:new@192.0.2.8>"), (403, String::new()));
    assert_eq!(send(4, "*").0, 400);
}

#[test]
fn a_binding_ends_with_its_time_and_the_store_has_a_limit() {
    let mut bench = registrar(false);
    let contact = |seconds| [("Contact", format!("<sip:a@192.0.2.8>;expires={seconds}"))];
    let ask_for = |bench: &mut Bench<Registrar>, aor: &str, seconds: u32| {
        let [(name, value)] = contact(seconds);
        ask(bench, register(aor, "1", bench.stack.now.as_millis() as u32, &[(name, &value)])).status()
    };
    assert_eq!(ask_for(&mut bench, "one@example.com", 60), Some(200));
    assert_eq!(ask_for(&mut bench, "two@example.com", 120), Some(200));
    let full = ask(&mut bench, register("three@example.com", "1", 1, &[("Contact", "<sip:a@192.0.2.8>")]));
    let again = full.header(h::RETRY_AFTER).map(|after| after.seconds);
    assert!(full.status() == Some(503) && again.is_ok_and(|seconds| (5..=10).contains(&seconds)), "{full:?}");
    bench.run(Duration::from_millis(59_500));
    let listed = ask(&mut bench, register("one@example.com", "2", 1, &[]));
    assert_eq!(line(&listed, "Contact"), "<sip:a@192.0.2.8>;expires=1");
    bench.run(Duration::from_millis(1_500));
    assert_eq!(ask_for(&mut bench, "three@example.com", 60), Some(200), "in the place of what has expired");
    let listed = ask(&mut bench, register("one@example.com", "2", 2, &[]));
    assert_eq!(line(&listed, "Contact"), "");
}

#[test]
fn a_device_has_one_binding_a_flow() {
    let mut bench = registrar(false);
    let instance = "+sip.instance=\"<urn:uuid:1>\"";
    let send = |bench: &mut Bench<Registrar>, cseq, port: u16, id: u8, lines: &[(&str, &str)]| {
        let contact = format!("<sip:a@192.0.2.8:{port}>;{instance};reg-id={id}");
        let lines = [&[("Contact", contact.as_str())], lines].concat();
        ask(bench, register("alice@example.com", &format!("c{id}"), cseq, &lines))
    };
    let outbound = [("Supported", "path, outbound"), ("Path", "<sip:edge;lr;ob>")];
    let first = send(&mut bench, 1, 1111, 1, &outbound);
    assert_eq!((line(&first, "Require"), line(&first, "Path")), ("outbound".into(), "<sip:edge;lr;ob>".into()));
    send(&mut bench, 1, 2222, 2, &outbound);
    let again = send(&mut bench, 2, 3333, 1, &outbound);
    let contacts = line(&again, "Contact");
    assert!(contacts.contains(":3333") && contacts.contains(":2222") && !contacts.contains(":1111"), "{contacts}");
    // Who does not support it is bound by its address.
    let plain = send(&mut bench, 3, 2222, 2, &[]);
    assert_eq!((line(&plain, "Contact").matches("sip:a@").count(), line(&plain, "Require")), (3, String::new()));
    let stored = bench.with(|app, dum| app.store.read(&addr("<sip:alice@example.com>").uri.aor_key(), dum.now()));
    assert_eq!(stored[0].path[0].uri.to_string(), "sip:edge;lr;ob");
}

/// RFC 5626 §6.
#[test]
fn a_flow_that_the_first_hop_does_not_keep_is_none() {
    let contact = |user: &str| format!("<sip:{user}@192.0.2.8>;+sip.instance=\"<urn:uuid:1>\";reg-id=1");
    let (one, vias) =
        (contact("a"), ["SIP/2.0/UDP 192.0.2.7;branch=z9hG4bK2", "SIP/2.0/UDP 192.0.2.8;branch=z9hG4bK1"]);
    let outbound = [("Contact", &*one), ("Supported", "path, outbound")];
    for (lines, kept) in [
        (&[("Via", vias[1])][..], true),
        (&[("Via", vias[0]), ("Via", vias[1])], false),
        (&[("Via", vias[0]), ("Via", vias[1]), ("Path", "<sip:edge;lr;ob>")], true),
        (&[("Via", vias[0]), ("Via", vias[1]), ("Path", "<sip:inner;lr>, <sip:edge;lr;ob>")], true),
        (&[("Via", vias[0]), ("Via", vias[1]), ("Path", "<sip:inner;lr;ob>, <sip:edge;lr>")], false),
    ] {
        let mut bench = registrar(false);
        let answer = ask(&mut bench, register("alice@example.com", "1", 1, &[&outbound, lines].concat()));
        assert_eq!((answer.status(), line(&answer, "Require") == "outbound"), (Some(200), kept), "{lines:?}");
    }
    // One flow leads to one device.
    for (second, status) in [(contact("b"), 400), (contact("b") + ";expires=0", 200)] {
        let mut bench = registrar(false);
        let lines = [&outbound[..], &[("Contact", &*second)]].concat();
        assert_eq!(ask(&mut bench, register("alice@example.com", "1", 1, &lines)).status(), Some(status));
    }
}

#[test]
fn a_handler_may_take_its_time_and_what_came_first_counts() {
    let mut bench = registrar(false);
    bench.with(|app, _| app.waiting = Some(Vec::new()));
    for (number, cseq) in [(1, 1), (2, 2)] {
        bench.ask(number, register("alice@example.com", "1", cseq, &[("Contact", "<sip:a@192.0.2.8>")]));
    }
    bench.nothing_sent();
    let waiting = bench.with(|app, _| app.waiting.take().unwrap());
    bench.with(|_, dum| {
        waiting[1].accept(dum, |_| {}).unwrap();
        assert_eq!(waiting[1].reject(dum, 403, |_| {}), Err(UsageEnded), "it was answered");
    });
    assert_eq!(bench.response().1.status(), Some(200));
    bench.with(|_, dum| waiting[0].accept(dum, |_| {})).unwrap();
    assert_eq!(bench.response().1.status(), Some(500), "a later one was faster");
    bench.with(|app, _| app.waiting = Some(Vec::new()));
    bench.ask(3, register("bob@example.com", "1", 1, &[]));
    bench.ask(4, register("bob@example.com", "1", 2, &[]));
    let waiting = bench.with(|app, _| app.waiting.take().unwrap());
    bench.with(|_, dum| waiting[0].reject(dum, 404, |_| {})).unwrap();
    assert_eq!(bench.response().1.status(), Some(404));
    bench.run(Duration::from_secs(33));
    assert_eq!(bench.with(|_, dum| waiting[1].accept(dum, |_| {})), Err(UsageEnded));
    assert_eq!(bench.dum.counts(), Default::default());
    bench.nothing_sent();
}

struct Phone(Vec<String>);

impl Application for Phone {
    fn client_registrations(&mut self) -> Option<&mut dyn ClientRegistrationHandler> {
        Some(self)
    }
}

impl ClientRegistrationHandler for Phone {
    fn on_success(&mut self, dum: &mut Dum<'_>, registration: Handle<ClientRegistration>, _: &Message) {
        let routes = registration.profile(dum).unwrap().service_route().len();
        self.0.push(format!("success {} {routes}", registration.expires(dum).unwrap().as_secs()));
    }
    fn on_removed(&mut self, _: &mut Dum<'_>, _: Handle<ClientRegistration>, _: &Message) {
        self.0.push("removed".into());
    }
    fn on_failure(&mut self, _: &mut Dum<'_>, _: Handle<ClientRegistration>, outcome: &Outcome) {
        self.0.push(format!("failure {}", outcome.status));
    }
}

/// Carries requests and answers until there are none; the status of each answer.
fn talk(phone: &mut Bench<Phone>, registrar: &mut Bench<Registrar>) -> Vec<u16> {
    let mut all = Vec::new();
    registrar.run(phone.stack.now.since(registrar.stack.now));
    while let Some(Command::Send { transaction, msg, .. }) = phone.sent.pop_front() {
        let answer = ask(registrar, Message::parse(msg.to_bytes()).unwrap());
        all.push(answer.status().unwrap());
        let msg = Message::parse(answer.to_bytes()).unwrap();
        phone.event(TuEvent::Response { transaction, msg: msg.into() });
    }
    all
}

#[test]
fn a_phone_registers_with_its_password_for_a_day() {
    let (mut phone, mut registrar) = (Bench::new(Phone(Vec::new())), registrar(true));
    let handle = phone.with(|_, dum| dum.register(&profile())).unwrap();
    assert_eq!(talk(&mut phone, &mut registrar), [401, 200]);
    assert_eq!(phone.dum.application().0, ["success 3600 1"]);
    // The nonce lives five minutes: each refresh has a stale one, and nobody is asked for a password.
    let end = phone.stack.now + Duration::from_secs(86_400);
    let mut refreshes = 0;
    while phone.stack.now < end {
        phone.run(Duration::from_secs(60));
        match talk(&mut phone, &mut registrar).as_slice() {
            [] => {}
            [401, 200] => refreshes += 1,
            other => panic!("{other:?}"),
        }
        let known =
            registrar.with(|app, dum| app.store.read(&addr("<sip:alice@example.com>").uri.aor_key(), dum.now()));
        assert_eq!(known.len(), 1, "there is a binding at every moment");
    }
    assert!((26..=29).contains(&refreshes), "{refreshes}");
    phone.with(|_, dum| handle.end(dum)).unwrap();
    talk(&mut phone, &mut registrar);
    assert_eq!(phone.dum.application().0.last().unwrap(), "removed");
    assert!(registrar.dum.application().store.is_empty());
    assert_eq!((phone.dum.counts(), registrar.dum.counts()), Default::default());
}

#[test]
fn wrong_passwords_others_addresses_and_recorded_requests_are_refused() {
    let (mut phone, mut registrar) = (Bench::new(Phone(Vec::new())), registrar(true));
    let with = |user: &str, password: &str| {
        let mut other = UserProfile::on(&profile());
        other.set_credentials([crate::auth::Credential::new("example.com", user, password)].into());
        Arc::new(other)
    };
    for (user, password, statuses) in [
        ("alice", "guess", vec![401, 401]),
        ("nobody", "wonderland", vec![401, 401]),
        ("mallory", "wonderland", vec![401, 403]),
    ] {
        phone.with(|_, dum| dum.register(&with(user, password))).unwrap();
        assert_eq!(talk(&mut phone, &mut registrar), statuses, "{user}");
    }
    assert_eq!(phone.dum.application().0, ["failure 401", "failure 401", "failure 403"]);
    assert!(registrar.dum.application().store.is_empty());
    // What was recorded on the wire serves nobody again.
    phone.with(|_, dum| dum.register(&with("alice", "wonderland"))).unwrap();
    let Some(Command::Send { transaction, msg, .. }) = phone.sent.pop_front() else { panic!() };
    let refusal = ask(&mut registrar, *msg);
    assert_eq!(line(&refusal, "WWW-Authenticate").matches("Digest").count(), 2);
    phone.event(TuEvent::Response { transaction, msg: refusal.into() });
    let (_, good) = phone.request();
    assert_eq!(ask(&mut registrar, good.clone()).status(), Some(200));
    let mut recorded = good;
    recorded.set(h::CSEQ, "9 REGISTER");
    let refusal = ask(&mut registrar, recorded);
    assert!(refusal.status() == Some(401) && line(&refusal, "WWW-Authenticate").contains("stale=TRUE"));
    // ACK and CANCEL are never challenged.
    registrar.ask(
        9,
        stack::message::Message::parse(register("alice@example.com", "1", 1, &[]).make_cancel().to_bytes()).unwrap(),
    );
    assert_eq!(registrar.response().1.status(), Some(481));
}
