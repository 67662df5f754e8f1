//! Registrations from behind a NAT: a first hop is played that sees another address.

use super::flows_tests::{App, Phone, UDP, device, flow, grant, line, phone, register};
use super::*;
use crate::auth::tests::{addr, profile};
use crate::{DumOptions, UserProfile};
use stack::header::{Method, h};
use stack::transaction::Command;
use stack::transport::TransportType;
use std::sync::Arc;

/// What the first hop says of where a request came from.
fn via(transport: &str, received: &str, rport: u16) -> impl FnOnce(&mut Message) {
    let via = format!("SIP/2.0/{transport} 192.0.2.1:5060;branch=z9hG4bK1;received={received};rport={rport}");
    move |msg| msg.push_back(h::VIAS, &*via)
}

/// RFC 3581 §4.
#[test]
fn who_is_behind_a_nat_registers_the_address_that_others_see() {
    let mut bench = phone(UDP);
    let handle = register(&mut bench, UserProfile::on(&profile()));
    let udp = flow(UDP, 0);
    grant(&mut bench, udp, false, via("UDP", "203.0.113.7", 4444));
    let (_, second) = grant(&mut bench, udp, false, via("UDP", "203.0.113.7", 4444));
    let (public, own) = ("<sip:alice@203.0.113.7:4444>", "<sip:alice@192.0.2.1:5060>");
    assert_eq!(line(&second, "Contact"), format!("{public}, {own};expires=0"));
    bench.nothing_sent();
    let contact = bench.with(|_, dum| {
        let profile = handle.profile(dum).unwrap();
        line(&dum.make_request(&profile, &Method::Invite, &addr("<sip:bob@example.com>")), "Contact")
    });
    assert_eq!(contact, public);
    // The NAT gives it another port, and takes to giving it another one each time: it is not asked without end.
    bench.with(|_, dum| handle.refresh(dum)).unwrap();
    grant(&mut bench, udp, false, via("UDP", "203.0.113.7", 5555));
    let (_, moved) = grant(&mut bench, udp, false, via("UDP", "203.0.113.7", 6666));
    assert_eq!(line(&moved, "Contact"), format!("<sip:alice@203.0.113.7:5555>, {public};expires=0"));
    bench.nothing_sent();
    bench.with(|_, dum| handle.refresh(dum)).unwrap();
    grant(&mut bench, udp, false, via("UDP", "203.0.113.7", 6666));
    // No NAT any more.
    bench.with(|_, dum| handle.refresh(dum)).unwrap();
    grant(&mut bench, udp, false, via("UDP", "192.0.2.1", 5060));
    let (_, back) = grant(&mut bench, udp, false, via("UDP", "192.0.2.1", 5060));
    assert!(line(&back, "Contact").starts_with(&format!("{own}, ")), "{}", line(&back, "Contact"));
    bench.nothing_sent();
}

#[test]
fn who_is_not_behind_a_nat_or_says_where_he_is_keeps_his_contact() {
    let with = |kind: TransportType, outbound: bool, seen: (&str, u16), edit: fn(&mut UserProfile)| {
        let mut bench = phone(kind);
        let mut profile = device();
        edit(&mut profile);
        register(&mut bench, profile);
        grant(&mut bench, flow(kind, 7), outbound, via(kind.as_str(), seen.0, seen.1));
        bench.sent.iter().filter(|sent| matches!(sent, Command::Send { .. })).count()
    };
    let keep: fn(&mut UserProfile) = |_| {};
    let nat = ("203.0.113.7", 4444);
    assert_eq!(with(UDP, false, nat, keep), 1);
    assert_eq!(with(TransportType::Tcp, false, nat, keep), 1);
    assert_eq!(with(UDP, false, ("192.0.2.1", 5060), keep), 0);
    // A connection has a port of its own.
    assert_eq!(with(TransportType::Tcp, false, ("192.0.2.1", 4444), keep), 0);
    assert_eq!(with(UDP, true, nat, keep), 0);
    assert_eq!(
        with(UDP, false, nat, |profile| {
            profile.set_contact_rewrite(false);
        }),
        0
    );
    let contact = |profile: &mut UserProfile| {
        profile.set_contact(Some(Arc::new(addr("<sip:alice@192.0.2.1:5060>").into_owned())));
    };
    assert_eq!(with(UDP, false, nat, contact), 0);
}

#[test]
fn the_profile_says_whether_rport_is_asked_for() {
    let mut options = DumOptions::default();
    options.master.user_mut().set_rport(false);
    let mut profile = options.master.user_profile();
    profile.set_from(Arc::new(addr("<sip:alice@example.com>").into_owned()));
    let mut bench = Phone::with_options(App::default(), options);
    let no_rport = |bench: &mut Phone| match bench.sent.pop_front() {
        Some(Command::Send { options, .. }) => options.no_rport,
        other => panic!("no request: {other:?}"),
    };
    register(&mut bench, profile.clone());
    assert!(no_rport(&mut bench));
    // One dialog has it.
    let profile = Arc::new(profile);
    for (rport, expected) in [(None, true), (Some(true), false)] {
        let mut call = UserProfile::on(&profile);
        if let Some(rport) = rport {
            call.set_rport(rport);
        }
        bench.with(|_, dum| {
            let call = Arc::new(call);
            let invite = dum.make_request(&call, &Method::Invite, &addr("<sip:bob@example.com>"));
            dum.send_invite(&call, invite).unwrap();
        });
        assert_eq!(no_rport(&mut bench), expected);
    }
}
