//! What follows from a message.

use super::*;
use crate::header::{Method, h, p};

#[test]
fn a_response_takes_what_the_rfc_says() {
    let with = |lines: &str| parse(&REQUEST.replacen("Max-Forwards: 70", lines, 1));
    let request = with("Timestamp: 54\r\nRecord-Route: <sip:a;lr>,<sip:b;lr>");
    let response = request.make_response(180, None, Some("x1"));
    assert_eq!((response.status(), response.reason()), (Some(180), "Ringing"));
    assert_eq!(list(&response, h::VIAS), list(&request, h::VIAS));
    assert_eq!(list(&response, h::RECORD_ROUTES), ["<sip:a;lr>", "<sip:b;lr>"]);
    assert_eq!(response.header(h::TO).unwrap().param(p::TAG), Some("x1"));
    assert_eq!(response.header(h::FROM).unwrap(), request.header(h::FROM).unwrap());
    assert_eq!(response.header(h::CSEQ).unwrap(), request.header(h::CSEQ).unwrap());
    assert_eq!(response.header(h::CALL_ID).unwrap(), request.header(h::CALL_ID).unwrap());
    assert!(!response.exists(h::TIMESTAMP) && !response.exists(h::ROUTES) && response.body().is_empty());
    assert_eq!(response.method(), Some(Method::Invite));
    same_after_a_round(&response);

    let trying = request.make_response(100, Some("Wait"), Some("x1"));
    assert_eq!((trying.reason(), trying.header(h::TO).unwrap().param(p::TAG)), ("Wait", None));
    assert!(trying.exists(h::TIMESTAMP) && !trying.exists(h::RECORD_ROUTES));
    assert!(!request.make_response(486, None, Some("x1")).exists(h::RECORD_ROUTES));
    // A tag that is there stays.
    let tagged = parse(&REQUEST.replacen("t: Bob <sip:bob@biloxi.example.com>", "To: <sip:bob@b>;tag=own", 1));
    assert_eq!(tagged.make_response(200, None, Some("x1")).header(h::TO).unwrap().param(p::TAG), Some("own"));
}

#[test]
fn a_cancel_and_an_ack_belong_to_their_invite() {
    let invite = parse(REQUEST);
    let response = invite.make_response(486, None, Some("x1"));
    for (msg, method, tag) in
        [(invite.make_cancel(), Method::Cancel, None), (invite.make_failure_ack(&response), Method::Ack, Some("x1"))]
    {
        assert_eq!(msg.method(), Some(method.clone()));
        assert_eq!(msg.request_uri_text(), invite.request_uri_text());
        assert_eq!(list(&msg, h::VIAS), ["SIP/2.0/UDP a.example.com;branch=z9hG4bKa"]);
        assert_eq!(list(&msg, h::ROUTES), list(&invite, h::ROUTES));
        let cseq = msg.header(h::CSEQ).unwrap();
        assert_eq!((cseq.number, cseq.method), (314_159, method));
        assert_eq!(msg.header(h::TO).unwrap().param(p::TAG), tag);
        assert_eq!(msg.header(h::FROM).unwrap(), invite.header(h::FROM).unwrap());
        assert!(msg.body().is_empty());
        same_after_a_round(&msg);
    }
}
