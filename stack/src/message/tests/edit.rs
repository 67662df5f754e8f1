//! Writing into a message.

use super::*;
use crate::header::h;
use crate::message::Names;

#[test]
fn only_the_edited_lines_change() {
    let mut msg = parse(REQUEST);
    msg.set(h::MAX_FORWARDS, &69);
    msg.push_front(h::VIAS, "SIP/2.0/UDP d.example.com");
    msg.push_front(h::RECORD_ROUTES, "<sip:d.example.com;lr>");
    let expected = REQUEST.replacen("Max-Forwards: 70", "Max-Forwards: 69", 1).replacen(
        "Via:",
        "Record-Route: <sip:d.example.com;lr>\r\nVia: SIP/2.0/UDP d.example.com\r\nVia:",
        1,
    );
    assert_eq!(text(&msg), expected);
    assert!(msg.is_touched());
    same_after_a_round(&msg);
}

#[test]
fn set_replaces_the_first_line_and_drops_the_others() {
    let mut msg = parse("A b:c SIP/2.0\r\nTo: <sip:a>\r\nX: 1\r\nt: <sip:b>\r\nTo: <sip:c>\r\n\r\n");
    assert!(msg.is_repeated(h::TO.id));
    msg.set(h::TO, "<sip:d>");
    assert!(!msg.is_repeated(h::TO.id));
    assert_eq!(text(&msg), "A b:c SIP/2.0\r\nTo: <sip:d>\r\nX: 1\r\nContent-Length: 0\r\n\r\n");
    msg.set(h::SUBJECT, "new");
    assert!(text(&msg).contains("\r\nX: 1\r\nSubject: new\r\n"));
    same_after_a_round(&msg);
}

#[test]
fn pop_front_goes_over_commas_and_lines() {
    let mut msg = parse(REQUEST);
    for left in [&["<sip:two.example.com;lr>", "<sip:three.example.com>"][..], &["<sip:three.example.com>"], &[]] {
        assert!(msg.pop_front(h::ROUTES));
        assert_eq!(list(&msg, h::ROUTES), left);
        assert_eq!(list(&same_after_a_round(&msg), h::ROUTES), left);
    }
    assert!(!msg.pop_front(h::ROUTES) && !msg.exists(h::ROUTES));
    assert!(msg.pop_front(h::VIAS) && msg.pop_front(h::VIAS));
    assert_eq!(list(&msg, h::VIAS), ["SIP/2.0/TLS c.example.com"]);
    let mut msg = parse("A b:c SIP/2.0\r\nRoute:\r\nRoute: <sip:a,b>,\"x, y\" <sip:c>\r\n\r\n");
    assert!(msg.pop_front(h::ROUTES));
    assert_eq!(list(&msg, h::ROUTES), ["\"x, y\" <sip:c>"]);
    let mut msg = parse("A b:c SIP/2.0\r\nRoute:\r\nRoute: \r\n\r\n");
    assert!(!msg.pop_front(h::ROUTES) && !msg.exists(h::ROUTES));
}

#[test]
fn push_back_and_remove() {
    let mut msg = parse(REQUEST);
    msg.push_back(h::ROUTES, "<sip:four.example.com>");
    msg.push_back(h::CONTACTS, "<sip:alice@192.0.2.1>");
    assert_eq!(list(&msg, h::ROUTES)[3], "<sip:four.example.com>");
    assert!(text(&msg).contains("\r\nl: 5\r\nContact: <sip:alice@192.0.2.1>\r\n\r\nhello"));
    msg.remove(h::ROUTES);
    msg.remove(h::SUBJECT);
    assert!(!msg.exists(h::ROUTES) && !text(&msg).contains("Route"));
    msg.push_front(h::ROUTES, "<sip:five.example.com>");
    assert!(
        text(&msg).starts_with("INVITE sip:bob@biloxi.example.com SIP/2.0\r\nRoute: <sip:five.example.com>\r\nVia")
    );
    assert!(!msg.is_repeated(h::ROUTES.id));
    same_after_a_round(&msg);
}

#[test]
fn nothing_written_forges_a_header() {
    let evil = "x\r\nVia: forged\r\n\r\nbody";
    let mut msg = parse("A b:c SIP/2.0\r\nTo: <sip:a>\r\n\r\n");
    msg.append_line("X-A", evil);
    msg.append_line("X-B: y\r\nVia: forged\r\nX", "z");
    msg.append_line("", "no name");
    msg.set(h::SUBJECT, evil);
    msg.push_back(h::CONTACTS, evil);
    msg.set_request_uri(evil);
    msg.set_body(Some(evil), "a body");
    let again = parse(&text(&msg));
    assert!(!again.exists(h::VIAS));
    assert_eq!(again.lines().count(), 7);
    assert_eq!(again.body(), b"a body");
    assert_eq!(again.raw_values("X-A").collect::<Vec<_>>(), [b"x  Via: forged    body"]);
    assert_eq!(again.raw_values("X-B--y--Via--forged--X").collect::<Vec<_>>(), [b"z"]);
    let method = crate::header::Method::from_token("A b:c SIP/2.0\r\nVia");
    let request = Message::request(&method, "sip:a");
    assert_eq!(text(&request), "A-b-c-SIP-2.0--Via sip:a SIP/2.0\r\nContent-Length: 0\r\n\r\n");
    let response = Message::status_line(200, Some(evil));
    assert!(!parse(&text(&response)).exists(h::VIAS));
}

#[test]
fn the_request_uri_can_be_replaced() {
    let mut msg = parse(REQUEST);
    msg.set_request_uri("sips:carol@chicago.example.com;a=b");
    assert_eq!(text(&msg), REQUEST.replacen("sip:bob@biloxi.example.com", "sips:carol@chicago.example.com;a=b", 1));
    assert_eq!(same_after_a_round(&msg).request_uri().unwrap().to_string(), "sips:carol@chicago.example.com;a=b");
    let mut response = parse("SIP/2.0 200 OK\r\n\r\n");
    response.set_request_uri("sip:a");
    assert!(!response.is_touched() && response.request_uri().is_err());
}

#[test]
fn a_body_brings_its_type_and_length() {
    let mut msg = parse(REQUEST);
    msg.set_body(Some("application/sdp"), &b"v=0\r\n"[..]);
    let expected = REQUEST.replacen("c: text/plain\r\n", "", 1).replacen(
        "l: 5\r\n\r\nhello",
        "Content-Length: 5\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n",
        1,
    );
    let lines = |text: &str| {
        let mut lines: Vec<_> = text.split("\r\n").map(str::to_string).collect();
        lines.sort();
        lines
    };
    assert_eq!(lines(&text(&msg)), lines(&expected));
    same_after_a_round(&msg);
    msg.set_body(None, Bytes::new());
    assert!(!msg.exists(h::CONTENT_TYPE) && text(&msg).ends_with("\r\n\r\n"));
    assert_eq!(same_after_a_round(&msg).header(h::CONTENT_LENGTH).unwrap().0, 0);
}

/// Whoever forgets the length, or writes a wrong one, does not break the framing for the next element.
#[test]
fn a_wrong_content_length_is_not_printed() {
    let mut msg = parse(REQUEST);
    msg.set(h::CONTENT_LENGTH, &4);
    assert!(text(&msg).ends_with("\r\nContent-Length: 5\r\n\r\nhello"));
    msg.append_line("Content-Length", "17");
    msg.append_line("l", "-1");
    assert_eq!(text(&msg).matches("ontent-Length").count(), 1);
    assert_eq!(parse(&text(&msg)).fault(), None);
}

#[test]
fn lines_are_rewritten_in_their_places() {
    let mut msg = parse("A b:c SIP/2.0\r\nX: 1\r\nSubject: a\r\nY: 2\r\nx: 3\r\ns: b\r\n\r\n");
    msg.rewrite_lines("x", |value| (value == b"3").then(|| "4\r\nZ: 5".to_owned()));
    msg.rewrite_lines("subject", |value| Some(format!("{}!", String::from_utf8_lossy(value))));
    msg.rewrite_lines("none", |_| Some("no".to_owned()));
    let expected =
        "A b:c SIP/2.0\r\nX: 1\r\nsubject: a!\r\nY: 2\r\nx: 4  Z: 5\r\nsubject: b!\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(text(&msg), expected);
    same_after_a_round(&msg);
}

#[test]
fn a_response_gets_another_status() {
    let mut msg = parse("SIP/2.0 503 Busy\r\nX: 1\r\n\r\n");
    msg.set_status(486);
    assert_eq!(text(&msg), "SIP/2.0 486 Busy Here\r\nX: 1\r\nContent-Length: 0\r\n\r\n");
    let mut request = parse("A b:c SIP/2.0\r\nX: 1\r\n\r\n");
    request.set_status(486);
    assert_eq!(text(&request), "A b:c SIP/2.0\r\nX: 1\r\n\r\n");
}

#[test]
fn lines_are_removed_by_any_name() {
    let mut msg = parse("A b:c SIP/2.0\r\nX-One: 1\r\nSubject: a\r\nX-Two: 2\r\nx-one: 3\r\ns: b\r\n\r\n");
    msg.remove_lines("none");
    assert!(!msg.is_touched());
    msg.remove_lines("X-ONE");
    msg.remove_lines("subject");
    assert_eq!(text(&msg), "A b:c SIP/2.0\r\nX-Two: 2\r\nContent-Length: 0\r\n\r\n");
    same_after_a_round(&msg);
}

#[test]
fn names_are_written_compact_or_in_full() {
    let came = "A b:c SIP/2.0\r\nv: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom:  <b:d>;tag=1\r\n ;x\r\nX-One: 1\r\nt: <b:c>\r\n\
                CSeq: 1 A\r\nl: 2\r\n\r\nhi";
    let mut msg = parse(came);
    msg.set_names(Names::Full);
    let full = "A b:c SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <b:d>;tag=1\r\n ;x\r\nX-One: 1\r\nTo: <b:c>\r\n\
                CSeq: 1 A\r\nContent-Length: 2\r\n\r\nhi";
    assert_eq!(text(&msg), full);
    assert!(msg.octets() >= full.len());
    msg.append_line("Supported", "path");
    msg.set_names(Names::Compact);
    let compact = "A b:c SIP/2.0\r\nv: SIP/2.0/UDP h;branch=z9hG4bK1\r\nf: <b:d>;tag=1\r\n ;x\r\nX-One: 1\r\nt: <b:c>\r\n\
                   CSeq: 1 A\r\nk: path\r\nl: 2\r\n\r\nhi";
    assert_eq!(text(&msg), compact);
    assert_eq!(text(&parse(compact)), compact);
}
