//! What the messages say.

use super::*;
use crate::header::HeaderValue;

fn addr(text: &str) -> NameAddr<'_> {
    NameAddr::parse(text).unwrap()
}

/// The text of the message, which parses without a fault.
fn text(msg: &Message) -> String {
    let octets = msg.to_bytes();
    let again = Message::parse(octets.clone()).unwrap();
    assert_eq!(again.fault(), None);
    for id in ["To", "From", "Call-ID", "CSeq", "Max-Forwards"] {
        assert_eq!(again.raw_values(id).count(), 1, "{id}");
    }
    assert!(again.request_uri().is_ok() && !again.exists(h::VIAS));
    String::from_utf8(octets.to_vec()).unwrap()
}

const BOB: &str = "Bob <sip:bob@biloxi.example.com;method=INVITE;user=phone?Subject=x>";
const ALICE: &str = "Alice <sip:alice@atlanta.example.com>";
const CONTACT: &str = "<sip:alice@192.0.2.1>";

#[test]
fn requests_out_of_a_dialog() {
    let mut rng = Rng::from_seed(1);
    let (bob, alice, contact) = (addr(BOB), addr(ALICE), addr(CONTACT));
    let event = Token::new("presence");
    let first = make_invite(&bob, &alice, &contact, &mut rng);
    let second = make_invite(&bob, &alice, &contact, &mut rng);
    let tag = |msg: &Message| msg.header(h::FROM).unwrap().param(p::TAG).unwrap().to_string();
    assert_ne!(tag(&first), tag(&second));
    assert_ne!(first.header(h::CALL_ID).unwrap(), second.header(h::CALL_ID).unwrap());
    assert!(text(&first).starts_with("INVITE sip:bob@biloxi.example.com;user=phone SIP/2.0\r\nMax-Forwards: 70\r\n"));
    assert!(text(&first).contains("\r\nTo: Bob <sip:bob@biloxi.example.com;user=phone>\r\n"));
    let has = |msg: Message, lines: &[&str]| {
        let text = text(&msg);
        for line in lines {
            assert!(text.contains(&format!("\r\n{line}\r\n")), "{line:?} in {text}");
        }
    };
    let binding = Contact::Addr(contact.clone());
    let registrar = Uri::parse("sip:alice:pw@atlanta.example.com").unwrap();
    let register = make_register(registrar.sip().unwrap(), &alice, Some(&binding), Some(60), &mut rng);
    assert!(text(&register).starts_with("REGISTER sip:atlanta.example.com SIP/2.0\r\n"));
    has(
        register,
        &[
            "To: Alice <sip:alice@atlanta.example.com>",
            "Contact: <sip:alice@192.0.2.1>",
            "Expires: 60",
            "CSeq: 1 REGISTER",
        ],
    );
    assert!(!make_register(registrar.sip().unwrap(), &alice, None, None, &mut rng).exists(h::CONTACTS));
    has(make_options(&bob, &alice, &mut rng), &["CSeq: 1 OPTIONS", "Accept: application/sdp"]);
    has(
        make_subscribe(&bob, &alice, &contact, &event, 600, &mut rng),
        &["Event: presence", "Expires: 600", "CSeq: 1 SUBSCRIBE"],
    );
    has(make_publish(&bob, &alice, &event, 600, &mut rng), &["Event: presence", "Expires: 600", "CSeq: 1 PUBLISH"]);
    has(
        make_refer(&bob, &alice, &contact, &addr("<sip:carol@c>"), &mut rng),
        &["Refer-To: <sip:carol@c>", "Contact: <sip:alice@192.0.2.1>"],
    );
    let message = make_message(&bob, &alice, "text/plain", "hello", &mut rng);
    assert!(!message.exists(h::CONTACTS) && text(&message).ends_with("Content-Length: 5\r\n\r\nhello"));
}

fn with_routes(method: &Method<'_>, routes: &[&str], check: impl Fn(&Message)) {
    let remote_target = Uri::parse("sip:bob@192.0.2.9?Subject=no").unwrap();
    let route_set: Vec<_> = routes.iter().map(|route| addr(route)).collect();
    let (contact, route_set) = (Some(CONTACT), &route_set[..]);
    let info = DialogInfo {
        call_id: "c1",
        local: "<sip:alice@a>;tag=l",
        remote: "<sip:bob@b>;tag=r",
        remote_target: &remote_target,
        route_set,
        cseq: 8,
        contact,
    };
    check(&make_in_dialog(method, &info));
}

#[test]
fn the_route_set_chooses_the_request_uri() {
    let route = |msg: &Message| {
        let routes = msg.header(h::ROUTES).texts().map(|r| r.unwrap().to_string()).collect::<Vec<_>>();
        (String::from_utf8(msg.request_uri_text().to_vec()).unwrap(), routes)
    };
    let to = |uri: &str, routes: &[&str]| (uri.to_string(), routes.iter().map(ToString::to_string).collect::<Vec<_>>());
    let bye = Method::Bye;
    with_routes(&bye, &[], |msg| assert_eq!(route(msg), to("sip:bob@192.0.2.9", &[])));
    with_routes(&bye, &["<sip:p1;lr>", "<sip:p2>"], |msg| {
        assert_eq!(route(msg), to("sip:bob@192.0.2.9", &["<sip:p1;lr>", "<sip:p2>"]));
    });
    with_routes(&bye, &["<sip:p1;method=X?a=b>", "<sip:p2;lr>"], |msg| {
        assert_eq!(route(msg), to("sip:p1", &["<sip:p2;lr>", "<sip:bob@192.0.2.9>"]));
        text(msg);
    });
}

#[test]
fn requests_within_a_dialog_say_which() {
    with_routes(&Method::Bye, &[], |msg| {
        let expected = "BYE sip:bob@192.0.2.9 SIP/2.0\r\nMax-Forwards: 70\r\nTo: <sip:bob@b>;tag=r\r\n\
            From: <sip:alice@a>;tag=l\r\nCall-ID: c1\r\nCSeq: 8 BYE\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(text(msg), expected);
    });
    for method in [Method::Invite, Method::Update, Method::Notify] {
        with_routes(&method, &[], |msg| assert!(msg.exists(h::CONTACTS)));
    }
}

#[test]
fn an_ack_and_a_prack_follow_their_invite() {
    let target = Uri::parse("sip:bob@192.0.2.9").unwrap();
    let info = DialogInfo {
        call_id: "c1",
        local: "<sip:alice@a>;tag=l",
        remote: "<sip:bob@b>;tag=r",
        remote_target: &target,
        route_set: &[],
        cseq: 9,
        contact: None,
    };
    let mut invite = make_in_dialog(&Method::Invite, &DialogInfo { cseq: 7, ..info });
    invite.push_back(h::AUTHORIZATIONS, "Digest username=\"a\", realm=\"b\"");
    invite.push_back(h::PROXY_AUTHORIZATIONS, "Digest username=\"c\", realm=\"d\"");
    let ack = make_ack(&info, &invite);
    assert!(text(&ack).contains("\r\nCSeq: 7 ACK\r\nAuthorization: Digest username=\"a\", realm=\"b\"\r\nProxy-"));
    let mut provisional = make_response(&invite, 183, "r");
    assert!(make_prack(&info, &provisional).is_none());
    provisional.set(h::RSEQ, &41);
    let prack = make_prack(&info, &provisional).unwrap();
    assert!(text(&prack).contains("\r\nCSeq: 9 PRACK\r\nRAck: 41 7 INVITE\r\n"));
    assert!(text(&make_info(&info, &Token::new("dtmf"))).contains("\r\nInfo-Package: dtmf\r\n"));
    let notify = make_notify(&info, &Token::new("refer"), &Token::new("active").with(p::EXPIRES, 60));
    assert!(text(&notify).contains("\r\nEvent: refer\r\nSubscription-State: active;expires=60\r\n"));
    assert!(text(&make_bye(&info)).starts_with("BYE "));
    // An UPDATE refreshes the remote target, so it has to say ours (RFC 3311 §5.1).
    let update = text(&make_update(&DialogInfo { contact: Some("<sip:alice@192.0.2.1>"), ..info }));
    assert!(update.starts_with("UPDATE ") && update.contains("\r\nContact: "), "{update}");
}

#[test]
fn what_belongs_to_a_transaction_is_made_of_its_request() {
    let mut rng = Rng::from_seed(1);
    let mut invite = make_invite(&addr(BOB), &addr(ALICE), &addr(CONTACT), &mut rng);
    invite.push_front(h::VIAS, "SIP/2.0/UDP a;branch=z9hG4bK1");
    let busy = make_response(&invite, 486, "t");
    assert_eq!((busy.status(), busy.header(h::TO).unwrap().param(p::TAG)), (Some(486), Some("t")));
    let (cancel, ack) = (make_cancel(&invite), make_failure_ack(&invite, &busy));
    assert_eq!((cancel.method(), ack.method()), (Some(Method::Cancel), Some(Method::Ack)));
    assert_eq!(ack.first(h::VIAS).unwrap().branch(), Some("z9hG4bK1"));
}
