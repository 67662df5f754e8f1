//! Properties of any octets and any edits.

use super::*;
use crate::header::h;
use proptest::prelude::*;

/// Octets that get past the start line more often than noise does.
fn message_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => prop::sample::select(vec!["INVITE sip:a@b SIP/2.0\r\n", "SIP/2.0 200 OK\r\n", "\r\n", "\n", " ", ",", "\r"]),
        3 => prop::sample::select(vec![
            "Via: SIP/2.0/UDP a;branch=z9hG4bK1, SIP/2.0/TCP b\r\n", "v:\r\n", "To: <sip:a>;tag=1\r\n", "f: x\r\n",
            "Route: <sip:a;lr>,\r\n <sip:b>\r\n", "Route: ,\r\n", "l: 3\r\n", "Content-Length: 0\r\n", "X-Y: \t z\r\n\ty\r\n",
            "Authorization: Digest a=\"b\", c=d\r\n", "CSeq: 1 INVITE\r\n",
        ]),
    ];
    let text = prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes());
    let noisy = (text, any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..4)).prop_map(
        |(mut octets, at, noise)| {
            let at = at.index(octets.len() + 1);
            octets.splice(at..at, noise);
            octets
        },
    );
    prop_oneof![noisy, prop::collection::vec(any::<u8>(), 0..200)]
}

/// A good start line and whatever behind it.
fn started() -> impl Strategy<Value = Vec<u8>> {
    message_like().prop_map(|rest| [&b"OPTIONS sip:a@b SIP/2.0\r\n"[..], &rest].concat())
}

#[derive(Clone, Debug)]
enum Edit {
    Set(String),
    PushFront(String),
    PushBack(String),
    PopVia,
    PopRoute,
    PopAuthorization,
    Remove,
    Append(String, String),
    RequestUri(String),
    Body(Option<String>, Vec<u8>),
    Length(u8),
    ToTag(String),
}

fn edit() -> impl Strategy<Value = Edit> {
    let text = || prop_oneof!["[ -~]{0,12}", any::<String>(), Just("a\r\nVia: b\r\n\r\n".to_string())];
    prop_oneof![
        text().prop_map(Edit::Set),
        text().prop_map(Edit::PushFront),
        text().prop_map(Edit::PushBack),
        Just(Edit::PopVia),
        Just(Edit::PopRoute),
        Just(Edit::PopAuthorization),
        Just(Edit::Remove),
        (text(), text()).prop_map(|(name, value)| Edit::Append(name, value)),
        text().prop_map(Edit::RequestUri),
        (prop::option::of(text()), prop::collection::vec(any::<u8>(), 0..9)).prop_map(|(t, b)| Edit::Body(t, b)),
        any::<u8>().prop_map(Edit::Length),
        text().prop_map(Edit::ToTag),
    ]
}

fn apply(msg: &mut Message, edit: Edit) {
    match edit {
        Edit::Set(text) => msg.set(h::TO, &text),
        Edit::PushFront(text) => msg.push_front(h::VIAS, &text),
        Edit::PushBack(text) => msg.push_back(h::ROUTES, &text),
        Edit::PopVia => drop(msg.pop_front(h::VIAS)),
        Edit::PopRoute => drop(msg.pop_front(h::ROUTES)),
        Edit::PopAuthorization => drop(msg.pop_front(h::AUTHORIZATIONS)),
        Edit::Remove => msg.remove(h::ROUTES),
        Edit::Append(name, value) => msg.append_line(&name, &value),
        Edit::RequestUri(uri) => msg.set_request_uri(&uri),
        Edit::Body(content_type, body) => msg.set_body(content_type.as_deref(), body),
        Edit::Length(length) => msg.set(h::CONTENT_LENGTH, &length),
        Edit::ToTag(tag) => msg.add_to_tag(&tag),
    }
}

/// Everything that reads.
fn read_all(msg: &Message) {
    let _ = (msg.method(), msg.status(), msg.reason(), msg.request_uri(), msg.body(), msg.body_bytes());
    let _ = (msg.header(h::TO), msg.header(h::FROM), msg.header(h::CSEQ), msg.header(h::CONTENT_LENGTH));
    let _ = (msg.header(h::VIAS).count(), msg.header(h::ROUTES).count(), msg.header(h::AUTHORIZATIONS).count());
    let _ = (msg.lines().count(), msg.raw_values("x-y").count(), format!("{msg:?}"));
}

fn lines(msg: &Message) -> Vec<(&[u8], &[u8])> {
    msg.lines().filter(|(name, _)| ![&b"l"[..], b"L"].contains(name) && !name.eq_ignore_ascii_case(b"content-length")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_octets_are_read_and_printed(octets in message_like()) {
        if let Ok(msg) = Message::parse(&octets[..]) {
            read_all(&msg);
            let skipped = octets.iter().take_while(|b| b"\r\n".contains(b)).count();
            let printed = msg.to_bytes();
            prop_assert!(octets[skipped..].starts_with(&printed));
            let _ = (msg.make_cancel().to_bytes(), msg.make_failure_ack(&msg).to_bytes());
            let response = Message::parse(msg.make_response(200, None, Some("t")).to_bytes()).unwrap();
            prop_assert_eq!(response.fault(), None);
        }
    }

    #[test]
    fn what_is_edited_prints_and_parses_to_the_same(octets in started(), edits in prop::collection::vec(edit(), 1..8)) {
        let mut msg = Message::parse(&octets[..]).unwrap();
        for edit in edits {
            apply(&mut msg, edit);
            read_all(&msg);
        }
        let again = Message::parse(msg.to_bytes()).unwrap();
        prop_assert_eq!(lines(&again), lines(&msg));
        if msg.is_touched() {
            // What was wrong with the headers is not printed, and the framing is right.
            prop_assert!(matches!(again.fault(), None | Some(Fault::RequestUri | Fault::RequestLine)), "{:?}", again);
            prop_assert_eq!(again.body(), msg.body());
        }
    }
}
