//! Who is registered, as subscribers are told (RFC 3680).

use std::net::{SocketAddr, UdpSocket};
use std::thread;

use stack::contents::event::reg_info::{Event, RegistrationState};
use stack::contents::event::{DocumentState, EventDocument, RegInfo};
use tests::peers::Repro;
use tests::raw;

use crate::phone::Phone;
use crate::repro::{File, address, start};

/// A request out of a dialog, for bob.
fn request(from: &Phone, method: &str, domain: &str, (call, count): (&str, u32), lines: &str) -> Vec<u8> {
    let own = from.uri();
    let (user, sent_by) = own.trim_start_matches("sip:").split_once('@').expect("a user");
    let target = if method == "REGISTER" { format!("sip:{domain}") } else { format!("sip:bob@{domain}") };
    let message = format!(
        "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {sent_by};branch=z9hG4bK{call}{count}\r\nMax-Forwards: 70\r\n\
         From: <sip:{user}@{domain}>;tag={call}\r\nTo: <sip:bob@{domain}>\r\nCall-ID: {call}\r\nCSeq: {count} {method}\r\n\
         {lines}Content-Length: 0\r\n\r\n"
    );
    message.into_bytes()
}

/// Registers contacts for bob, and hears that it is done.
fn register(phone: &Phone, domain: &str, count: u32, contacts: &str, expires: u32) {
    let lines = format!("Contact: {contacts}\r\nExpires: {expires}\r\n");
    phone.send(&request(phone, "REGISTER", domain, ("r", count), &lines));
    phone.hear("SIP/2.0 200 ");
}

/// Subscribes to bob; the status of the answer.
fn subscribe(phone: &Phone, domain: &str, call: &str) -> Option<u16> {
    let lines = format!("Event: reg\r\nExpires: 600\r\nContact: <{}>\r\n", phone.uri());
    phone.send(&request(phone, "SUBSCRIBE", domain, (call, 1), &lines));
    raw::status(&phone.hear("SIP/2.0 "))
}

/// The next NOTIFY, which is answered, and the octets of its body.
fn told(phone: &Phone) -> (RegInfo, usize) {
    let notify = phone.hear("NOTIFY ");
    phone.answer(&notify, 200);
    let body = &notify[raw::body_start(&notify)..];
    (RegInfo::parse(body).expect("a document"), body.len())
}

fn contacts(info: &RegInfo) -> Vec<(String, Event)> {
    let all = info.registrations.iter().flat_map(|registration| &registration.contacts);
    all.map(|contact| (contact.uri.clone(), contact.event)).collect()
}

#[test]
fn a_subscriber_follows_a_registration_to_its_end() {
    let file = File::new("watched", "[registrar]\nmin_expires = 1\n");
    let follow = |placement: &str| {
        let repro = start(&["--config", file.name(), "--placement", placement]);
        let proxy = address(&repro, "udp");
        let (alice, bob, domain) = (Phone::new("alice", proxy), Phone::new("bob", proxy), proxy.to_string());
        assert_eq!(subscribe(&alice, &domain, "w"), Some(200));
        let (info, _) = told(&alice);
        let state = |info: &RegInfo| (info.version, info.state, info.registrations[0].state);
        assert_eq!((state(&info), contacts(&info)), ((0, DocumentState::Full, RegistrationState::Init), vec![]));
        let contact = bob.uri();
        for (count, expires, event) in [(1, 600, Event::Registered), (2, 12, Event::Refreshed)] {
            register(&bob, &domain, count, &format!("<{contact}>"), expires);
            let (info, _) = told(&alice);
            assert_eq!(state(&info), (count, DocumentState::Partial, RegistrationState::Active), "{placement}");
            assert_eq!(contacts(&info), [(contact.clone(), event)]);
        }
        let (info, _) = told(&alice);
        assert_eq!(state(&info), (3, DocumentState::Partial, RegistrationState::Terminated), "{placement}");
        assert_eq!(contacts(&info), [(contact, Event::Expired)]);
    };
    // Each lasts as long as its pauses between NOTIFYs.
    thread::scope(|scope| {
        ["inline", "sharded:2"]
            .map(|placement| scope.spawn(move || follow(placement)))
            .map(|one| one.join().expect("it follows"))
    });
}

#[test]
fn many_contacts_come_in_several_notifies() {
    const MOST: usize = 700;
    let file = File::new("many", &format!("[events]\nmax_body = {MOST}\n"));
    let repro = start(&["--config", file.name()]);
    let proxy = address(&repro, "udp");
    let (alice, bob, domain) = (Phone::new("alice", proxy), Phone::new("bob", proxy), proxy.to_string());
    let uris: Vec<String> = (0..9).map(|n| format!("sip:bob@127.0.0.1:{}", 40_000 + n)).collect();
    let all: Vec<String> = uris.iter().map(|uri| format!("<{uri}>")).collect();
    register(&bob, &domain, 1, &all.join(","), 600);
    assert_eq!(subscribe(&alice, &domain, "w"), Some(200));
    let (mut seen, mut documents) = (Vec::new(), 0);
    while seen.len() < uris.len() {
        let (info, octets) = told(&alice);
        let state = if documents == 0 { DocumentState::Full } else { DocumentState::Partial };
        assert_eq!((info.version, info.state), (documents, state));
        assert!(octets <= MOST, "{octets}");
        seen.extend(contacts(&info).into_iter().map(|(uri, _)| uri));
        documents += 1;
    }
    assert!(seen == uris && documents > 2, "{seen:?} in {documents}");
}

/// A proxy on the net: who is not its user's own telephone, or trusted, is told nothing.
#[test]
fn a_stranger_is_told_nothing() {
    let config = "domains = [\"example.com\"]\ntrusted_peers = [\"127.0.0.1\"]\nlisten = [\"udp:0.0.0.0:0\"]\n";
    let file = File::new("stranger", config);
    let repro = Repro::start(&["--config", file.name()], 1).expect("it starts");
    let proxy = SocketAddr::from(([127, 0, 0, 1], address(&repro, "udp").port()));
    let at = |name, host: &str| Phone::on(name, UdpSocket::bind((host, 0)).expect("a free port"), proxy);
    let (trusted, bob, mallory) = (at("operator", "127.0.0.1"), at("bob", "127.0.0.5"), at("bob", "127.0.0.6"));
    register(&trusted, "example.com", 1, &format!("<{}>", bob.uri()), 600);
    // In bob's name.
    assert_eq!(subscribe(&mallory, "example.com", "m"), Some(403));
    for (phone, call) in [(&bob, "b"), (&trusted, "t")] {
        assert_eq!(subscribe(phone, "example.com", call), Some(200), "{call}");
        assert_eq!(contacts(&told(phone).0), [(bob.uri(), Event::Registered)]);
    }
    assert!(mallory.overhear().is_none());
}
