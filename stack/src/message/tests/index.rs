//! What the index finds, and what it finds wrong.

use super::*;
use crate::header::{h, p};

fn fault_of(text: &str) -> Option<Fault> {
    Message::parse(text.as_bytes()).map_or_else(Some, |msg| msg.fault())
}

fn limited(text: &str, limits: Limits) -> Option<Fault> {
    Message::parse_datagram(Bytes::copy_from_slice(text.as_bytes()), &limits).map_or_else(Some, |msg| msg.fault())
}

#[test]
fn an_untouched_message_prints_as_it_came() {
    for text in [REQUEST, &REQUEST.replace("\r\n", "\n"), "SIP/2.0 200\r\n\r\n", "A b:c SIP/2.0\n\n\0\u{ff}"] {
        let msg = parse(text);
        assert_eq!(msg.fault(), None);
        assert_eq!(msg.to_bytes(), text.as_bytes());
        let mut out = b"before ".to_vec();
        msg.write_to(&mut out);
        assert_eq!(out, format!("before {text}").into_bytes());
    }
}

/// A form feed is no white space (RFC 3261 §25.1), also where Rust counts it as such.
#[test]
fn only_white_space_is_cut_off() {
    let msg = parse("SIP/2.0 200 OK\r\nX: \t\u{c}a\u{c} \r\n b\u{b} \t\r\n \r\n\r\n");
    assert_eq!(msg.raw_values("x").collect::<Vec<_>>(), [b"\x0ca\x0c \r\n b\x0b"]);
    assert_eq!(fault_of("SIP/2.0 200 OK\r\nContent-Length:\u{c}0\r\n\r\n"), Some(Fault::ContentLength));
}

#[test]
fn headers_in_every_form_are_found() {
    for text in [REQUEST.to_string(), REQUEST.replace("\r\n", "\n"), REQUEST.replace(": ", " \t : ")] {
        let msg = parse(&text);
        assert_eq!(msg.header(h::FROM).unwrap().param(p::TAG), Some("1928301774"));
        assert_eq!(msg.header(h::TO).unwrap().param(p::TAG), None);
        assert_eq!(msg.header(h::CALL_ID).unwrap().as_str(), "a84b4c76e66710");
        assert_eq!(msg.header(h::CSEQ).unwrap().number, 314_159);
        assert_eq!(msg.header(h::CONTENT_TYPE).unwrap().to_string(), "text/plain");
        let hosts: Vec<_> = msg.header(h::VIAS).map(|via| via.unwrap().host.to_string()).collect();
        assert_eq!(hosts, ["a.example.com", "b.example.com", "c.example.com"]);
        assert_eq!(
            list(&msg, h::ROUTES),
            ["<sip:one.example.com;lr>", "<sip:two.example.com;lr>", "<sip:three.example.com>"]
        );
        assert_eq!(msg.raw_values("x-KEPT").collect::<Vec<_>>(), [b"as it   came"]);
        assert_eq!((msg.body(), &msg.body_bytes()[..]), (&b"hello"[..], &b"hello"[..]));
        assert!(msg.is_repeated(h::ROUTES.id) && !msg.is_repeated(h::TO.id));
        assert!(msg.exists(h::VIAS) && !msg.exists(h::CONTACTS));
    }
}

#[test]
fn the_commas_of_credentials_belong_to_the_value() {
    let digest = "Digest username=\"a\", realm=\"b\", nonce=\"c\", uri=\"sip:d\", response=\"e\"";
    let msg = parse(&format!("A b:c SIP/2.0\r\nAuthorization: {digest}\r\nAuthorization: Other x=1, y=2\r\n\r\n"));
    assert_eq!(list(&msg, h::AUTHORIZATIONS), [digest, "Other x=1, y=2"]);
    assert!(msg.header(h::AUTHORIZATIONS).all(|value| value.is_ok()));
}

#[test]
fn an_error_does_not_spoil_the_other_headers() {
    let msg =
        Message::parse(&b"A b:c SIP/2.0\r\nTo: <\r\nFrom: <sip:\xff>\r\nCall-ID: x\r\nVia: ;, a\r\n\r\n"[..]).unwrap();
    assert_eq!(msg.fault(), None);
    assert_eq!(msg.header(h::TO).unwrap_err().header, "To");
    assert_eq!(msg.header(h::FROM).unwrap_err().rule, "not UTF-8");
    assert_eq!(msg.header(h::CALL_ID).unwrap().as_str(), "x");
    assert_eq!(msg.header(h::CSEQ).unwrap_err().rule, "header is missing");
    assert_eq!(msg.header(h::VIAS).filter(Result::is_err).count(), 2);
    assert_eq!(msg.first(h::ROUTES).unwrap_err().header, "Route");
}

#[test]
fn start_lines() {
    for (line, fault) in [
        ("", Fault::StartLine),
        (" INVITE sip:a SIP/2.0", Fault::StartLine),
        ("INVITE", Fault::StartLine),
        ("IN\"VITE sip:a SIP/2.0", Fault::StartLine),
        ("INVITE\tsip:a SIP/2.0", Fault::StartLine),
        ("INVITE sip:a", Fault::RequestLine),
        ("INVITE  SIP/2.0", Fault::RequestLine),
        ("INVITE sip:a HTTP/1.1", Fault::RequestLine),
        ("INVITE sip:a SIP/2.0 ", Fault::RequestLine),
        ("INVITE sip:a SIP/2.1", Fault::Version),
        ("INVITE sip:a SIP/7.0", Fault::Version),
        ("INVITE  sip:a SIP/2.0", Fault::RequestUri),
        ("INVITE sip:a  SIP/2.0", Fault::RequestUri),
        ("INVITE <sip:a> SIP/2.0", Fault::RequestUri),
        ("INVITE sip:a; lr SIP/2.0", Fault::RequestUri),
        ("SIP/3.0 200 OK", Fault::Version),
        ("SIP/2.0200 OK", Fault::Version),
        ("SIP/2.0 99 Low", Fault::StatusCode),
        ("SIP/2.0 700 High", Fault::StatusCode),
        ("SIP/2.0 4294967301 Large", Fault::StatusCode),
        ("SIP/2.0 20x OK", Fault::StatusCode),
        ("SIP/2.0 200OK", Fault::StatusCode),
        ("SIP/2.0", Fault::StatusCode),
        ("SIP/2.0 ", Fault::StatusCode),
    ] {
        assert_eq!(fault_of(&format!("{line}\r\n\r\n")), Some(fault), "{line:?}");
    }
    assert_eq!(fault_of(""), Some(Fault::StartLine));
    assert_eq!(fault_of("\r\n\r\nINVITE sip:a sip/2.0\r\n\r\n"), None);
    let msg = parse("SIP/2.0 183 = 2**3 * 22+7 \u{1F642}\r\n\r\n");
    assert_eq!((msg.status(), msg.reason(), msg.fault()), (Some(183), "= 2**3 * 22+7 \u{1F642}", None));
    assert_eq!((parse("SIP/2.0 100 \r\n\r\n").reason(), parse("sip/2.0 100\r\n\r\n").reason()), ("", ""));
}

#[test]
fn header_lines() {
    for line in ["no colon", ": no name", " no line to continue", "na me: x", "n\u{e4}me: x", "\r: x", "a\rb: x", "x"] {
        assert_eq!(fault_of(&format!("A b:c SIP/2.0\r\n{line}\r\n\r\n")), Some(Fault::HeaderLine), "{line:?}");
    }
    for text in
        ["A b:c SIP/2.0\r\n", "A b:c SIP/2.0\r\nTo: x\r\n", "A b:c SIP/2.0\r\nTo: x", "A b:c SIP/2.0\nTo: x\n y\n"]
    {
        assert_eq!(fault_of(text), Some(Fault::Unterminated), "{text:?}");
    }
    // A fold may be a line of white space, and a body may start with white space.
    let msg = parse("A b:c SIP/2.0\r\nTo: x\r\n \r\n\ty\r\n\r\n body");
    assert_eq!(msg.lines().collect::<Vec<_>>(), [(&b"To"[..], &b"x\r\n \r\n\ty"[..])]);
    assert_eq!((msg.fault(), msg.body()), (None, &b" body"[..]));
}

#[test]
fn each_limit_has_its_fault() {
    let limits = Limits { start_line: 20, header_line: 20, headers: 2, message: 100 };
    let with = |line: &str| limited(&format!("A b:c SIP/2.0\r\n{line}\r\n\r\n"), limits);
    assert_eq!(with("To: x\r\nFrom: x"), None);
    assert_eq!(limited("A b:c456789 SIP/2.0\r\n\r\n", limits), None);
    assert_eq!(limited("A b:c4567890 SIP/2.0\r\n\r\n", limits), Some(Fault::StartLineTooLong));
    assert_eq!(with("To: 56789012345678"), None);
    assert_eq!(with("To: 567890123456789"), Some(Fault::HeaderLineTooLong));
    assert_eq!(with("To: 567890\r\n 3456789"), Some(Fault::HeaderLineTooLong));
    assert_eq!(with("To: x\r\nFrom: x\r\nX: y"), Some(Fault::TooManyHeaders));
    assert_eq!(limited(&format!("A b:c SIP/2.0\r\n\r\n{}", "x".repeat(83)), limits), None);
    assert_eq!(limited(&format!("A b:c SIP/2.0\r\n\r\n{}", "x".repeat(84)), limits), Some(Fault::MessageTooLarge));
    let codes = [Fault::MessageTooLarge, Fault::Version, Fault::StartLineTooLong, Fault::HeaderLine].map(Fault::status);
    assert_eq!(codes, [513, 505, 414, 400]);
    // However large the limits are, the index holds.
    let long = format!("A b:c SIP/2.0\r\nTo: {}\r\n\r\n", "x".repeat(70_000));
    let limits = Limits { header_line: usize::MAX, headers: usize::MAX, start_line: usize::MAX, message: usize::MAX };
    assert_eq!(limited(&long, limits), Some(Fault::HeaderLineTooLong));
}

#[test]
fn the_body_is_as_long_as_content_length_says() {
    let with = |length: &str, body: &str| parse(&format!("A b:c SIP/2.0\r\nContent-Length: {length}\r\n\r\n{body}"));
    for (length, body, taken, fault) in [
        ("5", "hello", "hello", None),
        ("2", "hello", "he", None),
        ("0", "hello", "", None),
        ("00000000000000000000000000005", "hello", "hello", None),
        ("6", "hello", "hello", Some(Fault::Truncated)),
        ("99999999999999999999999999999", "hello", "hello", Some(Fault::Truncated)),
        ("-1", "hello", "hello", Some(Fault::ContentLength)),
        ("", "hello", "hello", Some(Fault::ContentLength)),
        ("5 5", "hello", "hello", Some(Fault::ContentLength)),
        ("5\r\nl: 5", "hello", "hello", None),
        ("5\r\nl: 4", "hello", "hello", Some(Fault::ConflictingContentLength)),
        ("4\r\nl: x", "hello", "hell", Some(Fault::ContentLength)),
    ] {
        let msg = with(length, body);
        assert_eq!((msg.body(), msg.fault()), (taken.as_bytes(), fault), "{length:?}");
    }
    assert_eq!(parse("A b:c SIP/2.0\r\n\r\nto the end").body(), b"to the end");
    // What is cut off is not printed either.
    let mut msg = with("2", "hello");
    assert!(text(&msg).ends_with("\r\n\r\nhe"));
    msg.set(h::MAX_FORWARDS, &1);
    assert!(text(&msg).ends_with("\r\n\r\nhe"));
}
