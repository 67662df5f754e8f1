//! A telephone behind a pretended NAT, and one that cannot register.

use std::net::{SocketAddr, UdpSocket};

use tests::raw;

use crate::phone::{Phone, record_routes};
use crate::repro::{File, address, start};

/// Where the telephone believes to be.
const INSIDE: &str = "sip:bob@10.0.0.1:5060";

/// What a telephone says that believes to be there.
fn from_inside(method: &str, target: &str, (from, to): (&str, &str), call: &str, routes: &[String]) -> Vec<u8> {
    say("10.0.0.1:5060", INSIDE, method, target, (from, to), call, routes)
}

fn say(
    sent_by: &str,
    contact: &str,
    method: &str,
    target: &str,
    (from, to): (&str, &str),
    call: &str,
    routes: &[String],
) -> Vec<u8> {
    let routes: String = routes.iter().rev().map(|route| format!("Route: {route}\r\n")).collect();
    let count = if method == "BYE" { 2 } else { 1 };
    let message = format!(
        "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {sent_by};branch=z9hG4bK{call}{method};rport\r\n\
         Max-Forwards: 70\r\n{routes}From: {from}\r\nTo: {to}\r\nCall-ID: {call}\r\nCSeq: {count} {method}\r\n\
         Contact: <{contact}>\r\nContent-Length: 0\r\n\r\n"
    );
    message.into_bytes()
}

/// What follows in the dialog of an INVITE that reached `phone`, from its side: a BYE.
fn bye(phone: &Phone, invite: &[u8], target: &str) {
    let routes = record_routes(invite);
    let own = phone.uri();
    let sent_by = own.rsplit('@').next().unwrap_or_default();
    let (from, to) = (format!("<{own}>;tag=b"), "<sip:bob@127.0.0.1>;tag=a");
    // The called side's route set is in the order of the Record-Routes.
    let reversed: Vec<String> = routes.into_iter().rev().collect();
    phone.send(&say(sent_by, &own, "BYE", target, (&from, to), "out", &reversed));
}

#[test]
fn a_telephone_behind_a_nat_is_called_pinged_and_calls() {
    let file = File::new("natted", "[nat]\ndetect = \"auto\"\nping_seconds = 1\n");
    let repro = start(&["--config", file.name()]);
    let proxy = address(&repro, "udp");
    let outside = UdpSocket::bind("127.0.0.5:0").expect("a free port");
    let (bob, alice) = (Phone::on("bob", outside, proxy), Phone::new("alice", proxy));
    let home = format!("sip:bob@{proxy}");
    let user = format!("<{home}>");
    bob.send(&from_inside("REGISTER", &format!("sip:{proxy}"), (&format!("{user};tag=r"), &user), "r", &[]));
    bob.hear("SIP/2.0 200 ");
    // The NAT hears something again and again.
    for _ in 0..2 {
        let ping = bob.hear(&format!("OPTIONS {INSIDE} SIP/2.0"));
        assert_eq!(bob.heard_from(), Some(proxy));
        bob.answer(&ping, 200);
    }
    // He is called, and what follows finds him by the Record-Route alone.
    let own = alice.uri();
    let sent_by = own.rsplit('@').next().expect("an address");
    alice.send(&say(sent_by, &own, "INVITE", &home, ("<sip:alice@x>;tag=a", &user), "in", &[]));
    let invite = bob.hear(&format!("INVITE {INSIDE} SIP/2.0"));
    bob.answer(&invite, 200);
    let success = alice.hear("SIP/2.0 200 ");
    let to = String::from_utf8(raw::first(&success, "to").expect("a To")).expect("a text");
    let routes = record_routes(&success);
    alice.send(&say(sent_by, &own, "BYE", INSIDE, ("<sip:alice@x>;tag=a", &to), "in", &routes));
    bob.hear(&format!("BYE {INSIDE} SIP/2.0"));
    // He calls; what comes back in the dialog finds him too.
    bob.send(&from_inside("INVITE", &own, (&format!("{user};tag=a"), &format!("<{own}>")), "out", &[]));
    let invite = alice.hear("INVITE ");
    bye(&alice, &invite, INSIDE);
    let heard = loop {
        let heard = bob.hear("BYE ");
        if raw::first(&heard, "call-id").as_deref() == Some(&b"out"[..]) {
            break heard;
        }
    };
    assert!(heard.starts_with(format!("BYE {INSIDE} ").as_bytes()));
}

#[test]
fn a_provisioned_contact_is_called_whatever_is_registered() {
    let bob = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let at = bob.local_addr().expect("it is bound");
    let file = File::new(
        "static",
        &format!("[[static_registration]]\naor = \"bob@127.0.0.1\"\ncontact = \"sip:desk@{at}\"\n"),
    );
    let repro = start(&["--config", file.name()]);
    let proxy: SocketAddr = address(&repro, "udp");
    let (bob, alice) = (Phone::on("desk", bob, proxy), Phone::new("alice", proxy));
    let (own, home) = (alice.uri(), format!("sip:bob@{proxy}"));
    let sent_by = own.rsplit('@').next().expect("an address");
    let message = |call: &str| say(sent_by, &own, "MESSAGE", &home, ("<sip:alice@x>;tag=a", "<sip:bob@x>"), call, &[]);
    alice.send(&message("before"));
    bob.answer(&bob.hear(&format!("MESSAGE {} SIP/2.0", bob.uri())), 200);
    alice.hear("SIP/2.0 200 ");
    let user = format!("<{home}>");
    let all = say(sent_by, &own, "REGISTER", &format!("sip:{proxy}"), (&format!("{user};tag=r"), &user), "r", &[]);
    let all = String::from_utf8(all).expect("a text").replace(&format!("Contact: <{own}>"), "Contact: *\r\nExpires: 0");
    alice.send(all.as_bytes());
    alice.hear("SIP/2.0 200 ");
    alice.send(&message("after"));
    let heard = bob.hear("MESSAGE ");
    assert_eq!(raw::first(&heard, "call-id").as_deref(), Some(&b"after"[..]));
}
