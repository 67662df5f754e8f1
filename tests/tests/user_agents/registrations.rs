//! RFC 3665 §2: registrations of Bob's, message by message. The registrar is repro, which asks for his password. Where the RFC
//! has a `mailto:` URI as second contact this has another telephone: repro binds what a request can be sent to.

use crate::world::{BOB, PROXY, World, address, aor, at_proxy};
use dum::auth::Credential;
use dum::registration::ClientRegistration;
use dum::{Dum, Handle, UserProfile};
use serde_json::json;
use stack::auth::{Hash, ha1};
use stack::header::{Contact, HeaderValue, NameAddr, h, p};
use stack::message::Message;
use stack::selector::records::{RecordType, Records};
use std::sync::Arc;

/// What every REGISTER is answered with in the end, where it is not refused.
const ONE: [&str; 2] = ["b-p REGISTER", "p-b 200 REGISTER"];
const ASKED: [&str; 2] = ["b-p REGISTER", "p-b 401 REGISTER"];

fn world() -> World {
    let mut world = World::new();
    world.add_proxy(|config| {
        config.auth.required = true;
        config.trusted_peers.clear();
    });
    let digits = ha1(Hash::Sha256, "bob", "example.com", "zanzibar");
    let bob = json!({"aor": "bob@example.com", "sha256": digits});
    world.provision(&[("domain", json!({"name": "example.com"})), ("user", bob)]);
    world.add_name("example.com", RecordType::A, Records::Addresses([address(PROXY).ip()].into()));
    world
}

/// Bob registers, with this password.
fn register(world: &mut World, password: &'static str) {
    world.act(BOB, move |bob, dum| {
        let mut profile = UserProfile::on(&bob.profile);
        profile.set_from(Arc::new(at_proxy("bob")));
        profile.set_credentials([Credential::new("example.com", "bob", password)].into());
        let registration = dum.register(&Arc::new(profile)).unwrap();
        bob.kept.registrations.push((registration, "bob".to_owned()));
    });
    world.run(100);
}

/// Bob does something with his registration.
fn act(world: &mut World, what: impl FnOnce(Handle<ClientRegistration>, &mut Dum<'_>) + Send + 'static) {
    world.act(BOB, move |bob, dum| what(bob.kept.registrations[0].0, dum));
    world.run(100);
}

/// Bob is registered, and nothing of that is in the trace.
fn registered() -> World {
    let mut world = world();
    register(&mut world, "zanzibar");
    world.flow();
    world.heard(BOB);
    world
}

/// Where he is found besides.
fn other() -> NameAddr<'static> {
    NameAddr::parse("<sip:bob@192.0.2.77:5060>").unwrap().into_owned()
}

/// The contacts of a message, each with its time.
fn contacts(msg: &Message) -> Vec<(String, Option<u32>)> {
    let shown = |contact: Contact<'_>| {
        let Contact::Addr(addr) = contact else { return ("*".to_owned(), None) };
        (addr.uri.to_string(), addr.param(p::EXPIRES))
    };
    msg.header(h::CONTACTS).map(|contact| shown(contact.unwrap())).collect()
}

/// The name of the user that it has a password of, and its number.
fn says(msg: &Message) -> (Option<String>, u32) {
    let auth = msg.header(h::AUTHORIZATIONS).next().map(|auth| auth.unwrap().get("username").unwrap().into_owned());
    (auth, msg.header(h::CSEQ).unwrap().number)
}

fn bound(contacts: &[NameAddr<'_>]) -> Vec<(String, Option<u32>)> {
    contacts.iter().map(|contact| (contact.uri.to_string(), Some(3600))).collect()
}

#[test]
fn rfc_3665_2_1_successful_new_registration() {
    let mut world = world();
    register(&mut world, "zanzibar");
    let first = world.message("p-b 401 REGISTER");
    assert_eq!(
        first.header(h::WWW_AUTHENTICATES).next().unwrap().unwrap().get("realm").as_deref(),
        Some("example.com")
    );
    let second = world.message("b-p REGISTER");
    assert_eq!(says(&second), (Some("bob".into()), first.header(h::CSEQ).unwrap().number + 1));
    assert_eq!(second.header(h::CALL_ID).unwrap(), first.header(h::CALL_ID).unwrap());
    assert_eq!(second.request_uri().unwrap().to_string(), "sip:example.com");
    assert_eq!(contacts(&world.message("p-b 200 REGISTER")), bound(&[aor(BOB)]));
    assert_eq!(world.flow(), [ASKED, ONE].concat());
    assert_eq!(world.heard(BOB), ["registered"]);
    act(&mut world, |registration, dum| registration.end(dum).unwrap());
    world.ends_clean();
}

/// He has shown his password, and is not asked again.
#[test]
fn rfc_3665_2_2_update_of_contact_list() {
    let mut world = registered();
    act(&mut world, |registration, dum| registration.add_binding(dum, other()).unwrap());
    assert_eq!(says(&world.message("b-p REGISTER")), (Some("bob".into()), 3));
    assert_eq!(contacts(&world.message("p-b 200 REGISTER")), bound(&[aor(BOB), other()]));
    assert_eq!(world.flow(), ONE);
    act(&mut world, |registration, dum| registration.end(dum).unwrap());
    world.ends_clean();
}

#[test]
fn rfc_3665_2_3_request_for_current_contact_list() {
    let mut world = registered();
    act(&mut world, |registration, dum| registration.add_binding(dum, other()).unwrap());
    world.flow();
    act(&mut world, |registration, dum| registration.query(dum).unwrap());
    let asked = world.message("b-p REGISTER");
    assert_eq!((contacts(&asked), says(&asked)), (Vec::new(), (Some("bob".into()), 4)));
    assert_eq!(contacts(&world.message("p-b 200 REGISTER")), bound(&[aor(BOB), other()]));
    assert_eq!(world.flow(), ONE);
    act(&mut world, |registration, dum| {
        assert_eq!(registration.bindings(dum).unwrap().len(), 2);
        registration.end(dum).unwrap();
    });
    world.ends_clean();
}

#[test]
fn rfc_3665_2_4_cancellation_of_registration() {
    let mut world = registered();
    act(&mut world, |registration, dum| registration.remove_all(dum).unwrap());
    let asked = world.message("b-p REGISTER");
    assert_eq!((contacts(&asked), asked.header(h::EXPIRES).unwrap().0), (vec![("*".to_owned(), None)], 0));
    assert_eq!(says(&asked), (Some("bob".into()), 3));
    assert_eq!(contacts(&world.message("p-b 200 REGISTER")), []);
    assert_eq!(world.flow(), ONE);
    assert_eq!(world.heard(BOB), ["unregistered"]);
    world.ends_clean();
}

#[test]
fn rfc_3665_2_5_unsuccessful_registration() {
    let mut world = world();
    register(&mut world, "a guess");
    assert_eq!(says(&world.message("b-p REGISTER")), (Some("bob".into()), 2));
    assert_eq!(world.flow(), [ASKED, ASKED].concat());
    assert_eq!(world.heard(BOB), ["not registered 401"]);
    world.ends_clean();
}
