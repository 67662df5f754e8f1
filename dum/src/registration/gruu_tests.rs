//! GRUUs of a registration, and a registration by flow whose first hop knows of none.

use super::flows_tests::{UDP, device, flow, grant, phone, register};
use super::*;
use crate::auth::tests::addr;
use crate::testing::Bench;
use crate::{Application, DumOptions, Gruu, UserProfile};
use stack::header::{Method, h, p};
use stack::transport::TransportType;
use stack::tu::{NextHop, TuEvent};
use std::sync::Arc;

const PUBLIC: &str = "sip:alice@example.com;gr=urn:uuid:1";
const TEMPORARY: &str = "sip:tgruu.7hs@example.com;gr";

/// A device that was registered so, and the Contact of an OPTIONS by the profile that it then has, or the anonymous one.
fn contacts(profile: UserProfile, gruus: &[(&str, &str)]) -> [String; 2] {
    let mut bench = phone(UDP);
    let handle = register(&mut bench, profile);
    give(&mut bench, gruus);
    bench.with(|_, dum| {
        [handle.profile(dum).unwrap(), handle.anonymous_profile(dum).unwrap()].map(|profile| {
            let options = dum.make_request(&profile, &Method::Options, &addr("<sip:bob@b>"));
            let from = options.header(h::FROM).unwrap().uri.to_string();
            let contact = options.first(h::CONTACTS).unwrap().to_string();
            format!("{from} {contact}")
        })
    })
}

fn give(bench: &mut Bench<super::flows_tests::App>, gruus: &[(&str, &str)]) {
    grant(bench, flow(UDP, 0), false, |msg| {
        let mut contact = msg.first(h::CONTACTS).unwrap().into_addr().unwrap().into_owned();
        gruus.iter().for_each(|(name, gruu)| {
            contact.params.set(name, format_args!("\"{gruu}\""));
        });
        msg.remove(h::CONTACTS);
        msg.push_back(h::CONTACTS, &contact);
    });
}

#[test]
fn the_contact_is_the_gruu_that_the_profile_asks_for() {
    let both = &[("pub-gruu", PUBLIC), ("temp-gruu", TEMPORARY)][..];
    let plain = "<sip:alice@192.0.2.1:5060>";
    let (own, nobody) = ("sip:alice@example.com", "sip:anonymous@anonymous.invalid");
    for (wish, gruus, contact, anonymous) in [
        (Gruu::Public, both, PUBLIC, TEMPORARY),
        (Gruu::Temporary, both, TEMPORARY, TEMPORARY),
        (Gruu::Never, both, plain, TEMPORARY),
        (Gruu::Temporary, &both[..1], plain, "sip:anonymous@192.0.2.1:5060"),
        (Gruu::Public, &both[1..], plain, TEMPORARY),
        (Gruu::Public, &[], plain, "sip:anonymous@192.0.2.1:5060"),
        // What is no GRUU is none.
        (Gruu::Public, &[("pub-gruu", "sip:mallory@b"), ("temp-gruu", "<<")], plain, "sip:anonymous@192.0.2.1:5060"),
    ] {
        let mut profile = device();
        profile.set_reg_id(0).set_gruu(wish);
        let bare = |uri: &str| if uri.starts_with('<') { uri.to_owned() } else { format!("<{uri}>") };
        let expected = [format!("{own} {}", bare(contact)), format!("{nobody} {}", bare(anonymous))];
        assert_eq!(contacts(profile, gruus), expected, "{wish:?} {gruus:?}");
    }
    // A Contact that the profile says names the user, too.
    let mut profile = device();
    profile.set_reg_id(0).set_contact(Some(Arc::new(addr("<sip:alice@192.0.2.7>").into_owned())));
    let [own, anonymous] = contacts(profile, &[]);
    assert_eq!((own.contains("alice@192.0.2.7"), anonymous.contains("alice")), (true, false), "{anonymous}");
    // By a flow the Contact asks that dialogs keep to it.
    let mut bench = phone(UDP);
    let handle = register(&mut bench, device());
    grant(&mut bench, flow(UDP, 0), true, |_| {});
    let contact = bench.with(|_, dum| handle.anonymous_profile(dum).unwrap().contact().unwrap().to_string());
    assert_eq!(contact, "<sip:192.0.2.1:5060;ob>");
}

/// RFC 5627 §3.2: each REGISTER brings another temporary one.
#[test]
fn the_gruus_of_the_last_answer_can_be_read() {
    let mut bench = phone(UDP);
    let handle = register(&mut bench, device());
    let read = |bench: &mut Bench<_>| {
        bench.with(|_, dum| {
            [handle.pub_gruu(dum), handle.temp_gruu(dum)].map(|gruu| gruu.unwrap().map(|gruu| gruu.to_string()))
        })
    };
    assert_eq!(read(&mut bench), [None, None]);
    for n in 1..3 {
        let temporary = format!("sip:tgruu.{n}@example.com;gr");
        give(&mut bench, &[("pub-gruu", PUBLIC), ("temp-gruu", &temporary)]);
        assert_eq!(read(&mut bench), [Some(PUBLIC.to_owned()), Some(temporary)]);
        bench.with(|_, dum| handle.refresh(dum)).unwrap();
    }
    give(&mut bench, &[]);
    assert_eq!(read(&mut bench), [None, None]);
    bench.with(|_, dum| handle.stop(dum)).unwrap();
    assert_eq!(bench.with(|_, dum| handle.pub_gruu(dum)), Err(crate::UsageEnded));
}

/// Writes down what it hears.
#[derive(Default)]
struct App(Vec<String>);

impl Application for App {
    fn client_registrations(&mut self) -> Option<&mut dyn ClientRegistrationHandler> {
        Some(self)
    }
}

impl ClientRegistrationHandler for App {
    fn on_success(&mut self, _: &mut Dum<'_>, _: Handle<ClientRegistration>, _: &Message) {
        self.0.push("success".into());
    }
    fn on_removed(&mut self, _: &mut Dum<'_>, _: Handle<ClientRegistration>, _: &Message) {
        self.0.push("removed".into());
    }
    fn on_no_outbound(&mut self, _: &mut Dum<'_>, _: Handle<ClientRegistration>, response: &Message) {
        self.0.push(format!("no outbound {}", response.status().unwrap()));
    }
    fn on_failure(&mut self, _: &mut Dum<'_>, _: Handle<ClientRegistration>, outcome: &Outcome) {
        self.0.push(format!("failure {}", outcome.status));
    }
}

/// The REGISTER that was sent: its Contact, what it supports; and it is answered so.
fn answer(bench: &mut Bench<App>, code: u16) -> (String, String) {
    let (transaction, request) = bench.request();
    let mut msg = request.make_response(code, None, Some("registrar"));
    let contact = request.first(h::CONTACTS).unwrap().into_addr().unwrap();
    if code == 200 && contact.param(p::EXPIRES) != Some(0) {
        msg.push_back(h::CONTACTS, &contact.clone().with(p::EXPIRES, 600));
    }
    msg.set_source(stack::message::Source { flow: flow(UDP, 0), at: bench.stack.now });
    bench.event(TuEvent::Response { transaction, msg: msg.into() });
    (contact.to_string(), request.first(h::SUPPORTEDS).unwrap().to_string())
}

/// RFC 5626 §11.6.
#[test]
fn a_first_hop_without_outbound_has_the_device_registered_without() {
    let begin = || {
        let mut bench = Bench::with_transports(App::default(), DumOptions::default(), &[TransportType::Udp]);
        let handle = bench.with(|_, dum| dum.register(&Arc::new(device()))).unwrap();
        let (contact, _) = answer(&mut bench, 439);
        assert!(contact.ends_with(";reg-id=1"), "{contact}");
        (bench, handle)
    };
    let (mut bench, handle) = begin();
    // At once; and it stays so, also for what is added and removed.
    let plain = "<sip:alice@192.0.2.1:5060>;+sip.instance=\"<urn:uuid:1>\"";
    assert_eq!(answer(&mut bench, 200), (plain.to_owned(), "path".to_owned()));
    assert_eq!(std::mem::take(&mut bench.dum.application_mut().0), ["no outbound 439", "success"]);
    bench.with(|_, dum| handle.refresh(dum)).unwrap();
    assert_eq!(answer(&mut bench, 200).0, plain);
    bench.with(|_, dum| handle.add_binding(dum, addr("<sip:alice@192.0.2.7>").into_owned())).unwrap();
    let (transaction, request) = bench.request();
    let text = String::from_utf8(request.to_bytes().to_vec()).unwrap();
    assert!(!text.contains("reg-id") && !text.contains("outbound"), "{text}");
    bench.respond(transaction, &request, 200);
    bench.with(|_, dum| handle.end(dum)).unwrap();
    answer(&mut bench, 200);
    assert_eq!(bench.dum.application().0.last().map(String::as_str), Some("removed"));
    // A registrar that says so all the same has refused.
    let (mut bench, _) = begin();
    assert_eq!(answer(&mut bench, 439).0, plain);
    bench.nothing_sent();
    assert_eq!(bench.dum.application().0, ["no outbound 439", "failure 439"]);
    assert_eq!(bench.dum.counts().registrations, 0);
}

/// The route has changed since it was registered: the flow is kept no longer.
#[test]
fn a_refresh_that_is_refused_so_goes_by_the_route() {
    let mut bench = phone(UDP);
    let handle = register(&mut bench, device());
    grant(&mut bench, flow(UDP, 0), true, |_| {});
    // The first keep-alive.
    bench.sent.clear();
    bench.with(|_, dum| handle.refresh(dum)).unwrap();
    let (transaction, request) = bench.request();
    bench.respond(transaction, &request, 439);
    let (hop, again) = grant(&mut bench, flow(UDP, 0), false, |_| {});
    assert_eq!(hop, NextHop::Route);
    assert!(!again.first(h::CONTACTS).unwrap().to_string().contains("reg-id"));
    let contact = bench.with(|_, dum| handle.profile(dum).unwrap().contact());
    assert_eq!(contact, None, "no `ob` where there is no flow");
}
