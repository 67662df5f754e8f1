//! Dialogs made of messages that both sides exchange.

use super::*;
use rutil::{Rng, Time};
use stack::header::{HeaderValue, p};
use stack::message::Source;
use stack::transport::{ConnectionId, Flow, TransportId, TransportType};

fn addr(text: &str) -> NameAddr<'_> {
    NameAddr::parse(text).unwrap()
}

/// What the other side reads.
fn wire(msg: &Message) -> Message {
    let msg = Message::parse(msg.to_bytes()).unwrap();
    assert_eq!(msg.fault(), None);
    msg
}

fn invite() -> Message {
    let (bob, alice, contact) = (addr("<sip:bob@b>"), addr("<sip:alice@a>"), addr("<sip:alice@192.0.2.1>"));
    helper::make_invite(&bob, &alice, &contact, &mut Rng::from_seed(1))
}

/// The INVITE as it arrives behind two proxies.
fn routed(invite: &Message) -> Message {
    let mut msg = wire(invite);
    msg.push_front(h::VIAS, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1");
    msg.push_front(h::RECORD_ROUTES, "<sip:p1;lr>");
    msg.push_front(h::RECORD_ROUTES, "<sip:p2;lr>");
    wire(&msg)
}

fn answer(request: &Message, code: u16, contact: Option<&str>) -> Message {
    let mut msg = helper::make_response(request, code, "bobs");
    if let Some(contact) = contact {
        msg.push_back(h::CONTACTS, contact);
    }
    wire(&msg)
}

/// Both sides of a call that was answered with 200.
fn call() -> (Message, Dialog, Dialog) {
    let invite = invite();
    let received = routed(&invite);
    let ok = answer(&received, 200, Some("<sip:bob@192.0.2.9>"));
    let (uac, uas) = (Dialog::uac(&invite, &ok).unwrap(), Dialog::uas(&received, &ok).unwrap());
    (invite, uac, uas)
}

fn routes(msg: &Message) -> Vec<String> {
    msg.header(h::ROUTES).texts().map(|route| route.unwrap().to_string()).collect()
}

fn number(msg: &Message) -> u32 {
    msg.header(h::CSEQ).unwrap().number
}

#[test]
fn both_sides_know_the_same_dialog() {
    let (invite, uac, uas) = call();
    assert_eq!((uac.state(), uas.state()), (DialogState::Confirmed, DialogState::Confirmed));
    assert_eq!(uac.id().call_id, invite.header(h::CALL_ID).unwrap().as_str());
    assert_eq!((&uac.id().local_tag, &uac.id().remote_tag), (&uas.id().remote_tag, &uas.id().local_tag));
    assert_eq!((uac.id().remote_tag.as_str(), uas.id().set_id().local_tag.as_str()), ("bobs", "bobs"));
    assert_eq!(uac.remote_target().to_string(), "sip:bob@192.0.2.9");
    assert_eq!(uas.remote_target().to_string(), "sip:alice@192.0.2.1");
    let set = |dialog: &Dialog| dialog.route_set().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(set(&uac), ["<sip:p1;lr>", "<sip:p2;lr>"]);
    assert_eq!(set(&uas), ["<sip:p2;lr>", "<sip:p1;lr>"]);
    assert!(!uac.is_secure() && !uas.is_secure());
    assert!(uac.is_ours() && !uas.is_ours());
}

/// RFC 3840: Contact has parameters that say what somebody is.
#[test]
fn what_the_other_side_says_of_itself_is_in_its_contact() {
    let invite = invite();
    let received = routed(&invite);
    let contact = |dialog: &Dialog| dialog.remote_contact().map(|contact| contact.to_string());
    let mut uac = Dialog::uac(&invite, &answer(&received, 180, None)).unwrap();
    assert_eq!(contact(&uac), None);
    let ok = answer(&received, 200, Some("<sip:bob@192.0.2.9>;isfocus"));
    uac.receive_response(&ok).unwrap();
    let mut uas = Dialog::uas(&received, &ok).unwrap();
    assert_eq!(contact(&uac).as_deref(), Some("<sip:bob@192.0.2.9>;isfocus"));
    assert_eq!(contact(&uas).as_deref(), Some("<sip:alice@192.0.2.1>"));
    let mut update = uac.make_request(&Method::Update);
    update.remove(h::CONTACTS);
    update.push_back(h::CONTACTS, "<sip:alice@192.0.2.1>;isfocus");
    let update = wire(&update);
    uas.receive_request(&update).unwrap();
    assert!(!uas.remote_contact().unwrap().param(p::ISFOCUS), "it is not accepted");
    uas.refresh_target(&update);
    assert!(uas.remote_contact().unwrap().param(p::ISFOCUS));
}

#[test]
fn requests_of_each_side_are_in_the_dialog_of_the_other() {
    let (invite, mut uac, mut uas) = call();
    let ack = wire(&uac.make_ack(&invite));
    assert_eq!((ack.method(), number(&ack)), (Some(Method::Ack), number(&invite)));
    assert_eq!(&DialogId::of_request(&ack).unwrap(), uas.id());
    uas.receive_request(&ack).unwrap();

    let update = wire(&uac.make_request(&Method::Update));
    assert_eq!((number(&update), routes(&update).len()), (2, 2));
    assert_eq!(update.request_uri_text(), b"sip:bob@192.0.2.9");
    assert_eq!(&DialogId::of_request(&update).unwrap(), uas.id());
    uas.receive_request(&update).unwrap();

    let bye = wire(&uas.make_request(&Method::Bye));
    assert_eq!((number(&bye), bye.request_uri_text()), (1, &b"sip:alice@192.0.2.1"[..]));
    assert_eq!(routes(&bye), ["<sip:p2;lr>", "<sip:p1;lr>"]);
    assert_eq!(bye.header(h::FROM).unwrap().param(p::TAG), Some("bobs"));
    assert_eq!(&DialogId::of_request(&bye).unwrap(), uac.id());
    uac.receive_request(&bye).unwrap();
    assert_eq!(number(&uas.make_request(&Method::Info)), 2);
    // An ACK takes no number.
    assert_eq!(number(&uas.make_request(&Method::Ack)), 2);
}

#[test]
fn a_request_out_of_order_is_500_and_changes_nothing() {
    let (_, mut uac, mut uas) = call();
    let first = uac.make_request(&Method::Info);
    let mut second = uac.make_request(&Method::Invite);
    second.remove(h::CONTACTS);
    second.push_back(h::CONTACTS, "<sip:alice@192.0.2.2>");
    uas.receive_request(&wire(&second)).unwrap();
    // It counts when it is accepted (RFC 6141 §4).
    assert_eq!(uas.remote_target().to_string(), "sip:alice@192.0.2.1");
    uas.refresh_target(&wire(&second));
    assert_eq!(uas.remote_target().to_string(), "sip:alice@192.0.2.2");
    let late = uas.receive_request(&wire(&first)).unwrap_err();
    assert_eq!((late, late.status()), (InDialogError::OutOfOrder, 500));
    let mut old = uac.make_request(&Method::Update);
    old.set(h::CSEQ, "1 UPDATE");
    assert_eq!(uas.receive_request(&wire(&old)), Err(InDialogError::OutOfOrder));
    assert_eq!(uas.remote_target().to_string(), "sip:alice@192.0.2.2");
    // The side that has received nothing yet takes any number.
    let mut high = uas.make_request(&Method::Bye);
    high.set(h::CSEQ, "4294967295 BYE");
    uac.receive_request(&wire(&high)).unwrap();
    assert_eq!(uac.receive_request(&wire(&uas.make_request(&Method::Bye))), Err(InDialogError::OutOfOrder));
}

/// What is not read again because it stood there before is where the other side is all the same.
#[test]
fn a_contact_that_comes_again_moves_the_other_side_back() {
    let (_, mut uac, mut uas) = call();
    let mut said = |uas: &mut Dialog, contact: &str| {
        let mut update = uac.make_request(&Method::Update);
        update.remove(h::CONTACTS);
        update.append_line("Contact", contact);
        let update = wire(&update);
        let taken = uas.receive_request(&update);
        if taken.is_ok() {
            uas.refresh_target(&update);
        }
        (taken.is_ok(), uas.remote_target().to_string())
    };
    let (here, there) = ("<sip:alice@192.0.2.1>;x=y", "<sip:alice@192.0.2.2>");
    for (contact, target) in [(here, "1"), (here, "1"), (there, "2"), (here, "1"), ("<sip:alice@192.0.2.3>, *", "3")] {
        assert_eq!(said(&mut uas, contact), (true, format!("sip:alice@192.0.2.{target}")), "{contact}");
    }
    // A response moves it too, and what came before it is new again.
    assert_eq!(said(&mut uas, here).1, "sip:alice@192.0.2.1");
    let update = wire(&uas.make_request(&Method::Update));
    uas.receive_response(&answer(&update, 200, Some("<sip:alice@192.0.2.4>"))).unwrap();
    assert_eq!(uas.remote_target().to_string(), "sip:alice@192.0.2.4");
    assert_eq!(said(&mut uas, here).1, "sip:alice@192.0.2.1");
    for bad in ["*", "<sip:alice@192.0.2.1", "", ", "] {
        assert_eq!(said(&mut uas, bad).1, "sip:alice@192.0.2.1", "{bad}");
    }
    // A Contact that was never there is no reason to believe an empty one.
    let (_, _, mut fresh) = call();
    assert_eq!(said(&mut fresh, "*"), (false, "sip:alice@192.0.2.1".into()));
}

#[test]
fn a_bad_contact_is_400_and_changes_nothing() {
    let (_, mut uac, mut uas) = call();
    let elsewhere = ["*", "<mailto:bob@b>", "<tel:+1234>", "<http://b>"].map(|contact| (contact, None));
    for (contact, name) in elsewhere.into_iter().chain([("<sip:", Some("Contact"))]) {
        let mut reinvite = uac.make_request(&Method::Invite);
        reinvite.remove(h::CONTACTS);
        reinvite.push_back(h::CONTACTS, contact);
        let error = uas.receive_request(&wire(&reinvite)).unwrap_err();
        assert_eq!(error.status(), 400);
        assert_eq!(matches!(error, InDialogError::Header(_)), name.is_some());
    }
    assert_eq!(uas.remote_target().to_string(), "sip:alice@192.0.2.1");
    // The numbers were not taken: the second one may come again.
    let mut again = uac.make_request(&Method::Info);
    again.set(h::CSEQ, "2 INFO");
    uas.receive_request(&wire(&again)).unwrap();
}

#[test]
fn an_early_dialog_is_confirmed_by_its_2xx() {
    let invite = invite();
    let received = routed(&invite);
    let ringing = answer(&received, 180, Some("<sip:bob@192.0.2.8>"));
    let (mut uac, mut uas) = (Dialog::uac(&invite, &ringing).unwrap(), Dialog::uas(&received, &ringing).unwrap());
    assert_eq!((uac.state(), uas.state()), (DialogState::Early, DialogState::Early));
    uac.receive_response(&answer(&received, 183, Some("<sip:bob@192.0.2.7>"))).unwrap();
    assert_eq!((uac.state(), uac.remote_target().to_string().as_str()), (DialogState::Early, "sip:bob@192.0.2.8"));
    // One that is sent reliably counts.
    let mut reliable = answer(&received, 183, Some("<sip:bob@192.0.2.7>"));
    reliable.set(h::RSEQ, &1);
    uac.receive_response(&reliable).unwrap();
    assert_eq!(uac.remote_target().to_string(), "sip:bob@192.0.2.8", "without Require it is not reliable");
    reliable.push_back(h::REQUIRES, "100rel");
    uac.receive_response(&reliable).unwrap();
    assert_eq!((uac.state(), uac.remote_target().to_string().as_str()), (DialogState::Early, "sip:bob@192.0.2.7"));
    // Between them a proxy went out of the way.
    let mut ok = answer(&received, 200, Some("<sip:bob@192.0.2.9>"));
    ok.pop_front(h::RECORD_ROUTES);
    uac.receive_response(&wire(&ok)).unwrap();
    uas.confirm();
    assert_eq!((uac.state(), uas.state()), (DialogState::Confirmed, DialogState::Confirmed));
    assert_eq!(uac.remote_target().to_string(), "sip:bob@192.0.2.9");
    assert_eq!(uac.route_set().len(), 1);
    // Once confirmed, the route set stays (RFC 3261 §12.2); the target does not.
    let mut refresh = answer(&received, 200, Some("<sip:bob@192.0.2.10>"));
    refresh.remove(h::RECORD_ROUTES);
    uac.receive_response(&wire(&refresh)).unwrap();
    assert_eq!((uac.route_set().len(), uac.remote_target().to_string().as_str()), (1, "sip:bob@192.0.2.10"));
    // A response to what refreshes no target has no say in it.
    let bye = uac.make_request(&Method::Bye);
    uac.receive_response(&answer(&wire(&bye), 200, Some("<sip:elsewhere>"))).unwrap();
    assert_eq!(uac.remote_target().to_string(), "sip:bob@192.0.2.10");
}

#[test]
fn a_strict_router_gets_its_own_uri() {
    let invite = invite();
    let mut received = wire(&invite);
    received.push_front(h::RECORD_ROUTES, "<sip:p1>");
    let ok = answer(&received, 200, Some("<sip:bob@192.0.2.9>"));
    let bye = Dialog::uac(&invite, &ok).unwrap().make_request(&Method::Bye);
    assert_eq!((bye.request_uri_text(), routes(&bye)), (&b"sip:p1"[..], vec!["<sip:bob@192.0.2.9>".to_string()]));
}

#[test]
fn what_makes_no_dialog() {
    let invite = invite();
    let received = routed(&invite);
    let contact = Some("<sip:bob@192.0.2.9>");
    let both = |request: &Message, response: &Message| {
        (Dialog::uac(request, response).err(), Dialog::uas(request, response).err())
    };
    let refused = |error| (Some(error), Some(error));
    for code in [100, 300, 486] {
        assert_eq!(both(&received, &answer(&received, code, contact)), refused(DialogError::Response), "{code}");
    }
    let options = helper::make_options(&addr("<sip:b>"), &addr("<sip:a>"), &mut Rng::from_seed(2));
    assert_eq!(both(&options, &answer(&options, 200, contact)), refused(DialogError::Method));
    assert_eq!(both(&received, &answer(&routed(&options), 200, contact)), refused(DialogError::Mismatch));
    for contact in ["*", "<mailto:bob@b>", "<tel:+1234>"] {
        let (mut invited, answer) = (received.clone(), answer(&received, 200, Some(contact)));
        assert_eq!(Dialog::uac(&invite, &answer).err(), Some(DialogError::Contact), "{contact}");
        invited.remove(h::CONTACTS);
        invited.push_back(h::CONTACTS, contact);
        assert_eq!(Dialog::check(&invited).err(), Some(DialogError::Contact), "{contact}");
    }
    let missing = Dialog::uac(&invite, &answer(&received, 200, None)).unwrap_err();
    assert_eq!(missing.to_string(), "Contact: header is missing (offset 0)");
    // A provisional response may be without.
    let ringing = Dialog::uac(&invite, &answer(&received, 180, None)).unwrap();
    assert_eq!(ringing.remote_target().to_string(), "sip:bob@b");
    let untagged = wire(&received.make_response(180, None, None));
    assert_eq!(both(&received, &untagged), refused(DialogError::Response));
    // A peer of RFC 2543 answers without a tag.
    let mut old = received.make_response(200, None, None);
    old.push_back(h::CONTACTS, "<sip:bob@192.0.2.9>");
    assert_eq!(Dialog::uac(&invite, &wire(&old)).unwrap().id().remote_tag, "");
    let mut long = answer(&received, 200, contact);
    for _ in 0..MAX_ROUTES {
        long.push_back(h::RECORD_ROUTES, "<sip:p;lr>");
    }
    assert_eq!(Dialog::uac(&invite, &long).err(), Some(DialogError::TooManyRoutes));
}

#[test]
fn a_secure_dialog_needs_sips_and_a_secure_transport() {
    for (uri, kind, secure) in [
        ("sips:bob@b", TransportType::Tls, true),
        ("sips:bob@b", TransportType::Udp, false),
        ("sip:bob@b", TransportType::Tls, false),
    ] {
        let mut request = routed(&invite());
        request.set_request_uri(uri);
        let peer = "127.0.0.1:5061".parse().unwrap();
        let flow = Flow { transport: TransportId(0), kind, connection: ConnectionId(1), peer, local: None };
        request.set_source(Source { flow, at: Time::ZERO });
        let mut ok = answer(&request, 200, Some("<sips:bob@192.0.2.9>"));
        ok.set_source(Source { flow, at: Time::ZERO });
        assert_eq!(Dialog::uas(&request, &ok).unwrap().is_secure(), secure, "{uri} {kind}");
        assert_eq!(Dialog::uac(&request, &ok).unwrap().is_secure(), secure, "{uri} {kind}");
    }
}
