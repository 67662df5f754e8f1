//! Messages from octets and back.

mod any;
mod build;
mod edit;
mod index;

use super::*;

/// A request with a header of each kind: compact, folded, on two lines, with commas, unknown.
const REQUEST: &str = "INVITE sip:bob@biloxi.example.com SIP/2.0\r\n\
    Via: SIP/2.0/UDP a.example.com;branch=z9hG4bKa, SIP/2.0/TCP b.example.com\r\n\
    v: SIP/2.0/TLS c.example.com\r\n\
    Max-Forwards: 70\r\n\
    f: Alice <sip:alice@atlanta.example.com>\r\n ;tag=1928301774\r\n\
    t: Bob <sip:bob@biloxi.example.com>\r\n\
    i: a84b4c76e66710\r\n\
    CSeq: 314159 INVITE\r\n\
    Route: <sip:one.example.com;lr>\r\n\
    X-Kept:  as it   came \r\n\
    Route: <sip:two.example.com;lr>, <sip:three.example.com>\r\n\
    c: text/plain\r\n\
    l: 5\r\n\
    \r\n\
    hello";

fn parse(text: &str) -> Message {
    Message::parse(text.as_bytes()).unwrap()
}

fn text(msg: &Message) -> String {
    String::from_utf8(msg.to_bytes().to_vec()).unwrap()
}

/// The texts of a list's values.
fn list<T: crate::header::HeaderValue>(msg: &Message, header: crate::header::Many<T>) -> Vec<&str> {
    msg.header(header).texts().map(Result::unwrap).collect()
}

/// Prints, parses again, and finds the same start line, headers and body.
fn same_after_a_round(msg: &Message) -> Message {
    let again = Message::parse(msg.to_bytes()).unwrap();
    assert_eq!(again.fault(), None, "{}", text(msg));
    assert_eq!((again.method(), again.status()), (msg.method(), msg.status()));
    assert_eq!((again.request_uri_text(), again.reason()), (msg.request_uri_text(), msg.reason()));
    assert_eq!(again.body(), msg.body());
    let lines = |msg: &Message| {
        let lines = msg.lines().filter(|(name, _)| !name.eq_ignore_ascii_case(b"Content-Length"));
        lines.map(|(name, value)| (name.to_vec(), value.to_vec())).collect::<Vec<_>>()
    };
    assert_eq!(lines(&again), lines(msg));
    again
}
