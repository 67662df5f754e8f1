//! A datagram as a message: read, write, read again.

use bytes::Bytes;
use stack::grammar::split_list;
use stack::header::{FreeText, HeaderError, HeaderId, Many, Method, h, p, reprint};
use stack::message::Message;

/// Header lines up to which an edited message, or one that is made from it, stays below the limit.
const MOST_LINES: usize = 200;

/// Takes the octets as a datagram. An untouched message prints as the octets that were accepted; every header can be
/// read by its type, and an error lies inside the value; what is edited reads back as it was written; the response to
/// a request, its CANCEL and its ACK are messages without a fault.
pub fn datagram(data: &[u8]) {
    let Ok(msg) = Message::parse(data) else { return };
    untouched(&msg, data);
    read_all(&msg);
    if msg.lines().count() > MOST_LINES {
        return;
    }
    if msg.fault().is_none() {
        edited(&msg);
        popped(&msg);
    }
    if msg.is_request() {
        answered(&msg);
    }
}

fn untouched(msg: &Message, data: &[u8]) {
    let line_ends = data.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    let printed = msg.to_bytes();
    assert!(data[line_ends..].starts_with(&printed), "an untouched message prints as it came");
    assert!(printed.ends_with(msg.body()));
    let again = Message::parse(printed.clone()).expect("what was accepted is accepted again");
    same(msg, &again);
    assert_eq!(again.fault(), msg.fault());
    assert_eq!(again.to_bytes(), printed);
}

/// Start line, header lines and body.
fn same(a: &Message, b: &Message) {
    assert_eq!((a.is_request(), a.status(), a.reason()), (b.is_request(), b.status(), b.reason()));
    assert_eq!((a.method(), a.request_uri_text()), (b.method(), b.request_uri_text()));
    assert!(a.lines().eq(b.lines()), "{:?}\n{:?}", a.to_bytes(), b.to_bytes());
    assert_eq!(a.body(), b.body());
}

fn within(error: HeaderError, text: &[u8]) {
    assert!(error.offset <= text.len(), "{error} in {text:?}");
}

fn read_all(msg: &Message) {
    for (name, value) in msg.lines() {
        let id = HeaderId::lookup(name);
        assert!(msg.has(id));
        let Ok(text) = std::str::from_utf8(value) else { continue };
        let elements = if id.is_list() { split_list(text).collect() } else { vec![text] };
        for element in elements {
            if let Err(error) = reprint(id, element) {
                within(error, element.as_bytes());
            }
        }
    }
    for id in HeaderId::all() {
        let texts = msg.header(Many::<FreeText<'_>>::new(id)).texts().count();
        assert!(texts == 0 || msg.has(id));
    }
    if let Err(error) = msg.request_uri() {
        within(error, msg.request_uri_text());
    }
    let _ = (msg.header(h::TO), msg.header(h::FROM), msg.header(h::CALL_ID), msg.header(h::CSEQ));
    let _ = (msg.header(h::VIAS).count(), msg.header(h::ROUTES).count(), msg.header(h::CONTACTS).count());
}

fn texts(msg: &Message) -> Vec<Result<String, HeaderError>> {
    msg.header(h::VIAS).texts().map(|text| text.map(str::to_owned)).collect()
}

fn edited(msg: &Message) {
    let mut msg = msg.clone();
    if msg.has(HeaderId::MAX_FORWARDS) {
        msg.set(h::MAX_FORWARDS, &69);
    }
    msg.push_front(h::VIAS, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKfuzz");
    assert_eq!(
        msg.first(h::VIAS).ok().and_then(|via| via.param(p::BRANCH).map(str::to_owned)),
        Some("z9hG4bKfuzz".into())
    );
    msg.push_back(h::RECORD_ROUTES, "<sip:192.0.2.1;lr>");
    msg.append_line("X-Fuzz", "a\r\nVia: forged");
    msg.remove(h::CONTACTS);
    msg.set_request_uri("sip:b@192.0.2.2");
    read_back(&msg);
    msg.set_body(Some("text/plain"), Bytes::from_static(b"body"));
    assert_eq!((msg.body(), msg.has(HeaderId::CONTACT)), (&b"body"[..], false));
    read_back(&msg);
}

/// What is printed is the message: with a Content-Length where it had none.
fn read_back(msg: &Message) {
    let printed = msg.to_bytes();
    let again = Message::parse(printed.clone()).expect("what we print is a message");
    assert_eq!(again.fault(), None, "{printed:?}");
    assert_eq!(again.to_bytes(), printed, "nothing is cut off");
    let mut whole = msg.clone();
    if !whole.has(HeaderId::CONTENT_LENGTH) {
        whole.set(h::CONTENT_LENGTH, &msg.body().len());
    }
    same(&whole, &again);
}

/// Taking the first value off a list takes that and nothing else.
fn popped(msg: &Message) {
    let before = texts(msg);
    if before.iter().any(|text| text.as_ref().is_ok_and(String::is_empty)) {
        // An empty element is an error that `first` reports; nobody pops it.
        return;
    }
    let mut msg = msg.clone();
    assert_eq!(msg.pop_front(h::VIAS), !before.is_empty());
    assert_eq!(texts(&msg), before.get(1..).unwrap_or_default());
    if msg.is_touched() {
        read_back(&msg);
    }
}

fn answered(msg: &Message) {
    let response = msg.make_response(200, None, Some("fuzz"));
    read_back(&response);
    assert_eq!((response.status(), response.reason()), (Some(200), "OK"));
    assert_eq!(texts(&response), texts(msg));
    // A tag without a value stays as it came: a request with it is answered 400 by the scanner.
    if msg.header(h::TO).is_ok_and(|to| to.param(p::TAG).is_some() || !to.params.contains(p::TAG.name)) {
        assert!(response.header(h::TO).is_ok_and(|to| to.param(p::TAG).is_some()));
    }
    if msg.fault().is_none() && msg.request_uri().is_ok() {
        for (made, method) in [(msg.make_cancel(), Method::Cancel), (msg.make_failure_ack(&response), Method::Ack)] {
            read_back(&made);
            assert_eq!(made.method(), Some(method));
            let uri = |msg: &Message| msg.request_uri().map(|uri| uri.to_string());
            assert_eq!(uri(&made), uri(msg));
        }
    }
}
