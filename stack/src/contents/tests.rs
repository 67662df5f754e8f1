//! Bodies of torture messages in the manner of RFC 4475 and RFC 5118, and any octets under each media type.

use super::*;
use proptest::prelude::*;

/// The body of a message: what follows the first empty line.
fn body(message: &'static [u8]) -> Bytes {
    let end = memchr::memmem::find(message, b"\r\n\r\n").unwrap();
    Bytes::from_static(message).slice(end + 4..)
}

fn sdp(message: &'static [u8]) -> Sdp {
    let body = body(message);
    match Contents::parse(&MediaType::SDP, &body).unwrap() {
        Contents::Sdp(sdp) => {
            assert_eq!(sdp.print(), body);
            assert_eq!(Sdp::parse(&sdp.print()).unwrap(), sdp);
            sdp
        }
        other => panic!("{other:?}"),
    }
}

fn hosts(sdp: &Sdp) -> Vec<&str> {
    sdp.media().map(|media| media.connection().unwrap().address.host).collect()
}

#[test]
fn a_multipart_body_holds_a_text_and_binary_octets() {
    let body = body(include_bytes!("../../../tests/torture/mpart01.sip"));
    let media_type = MediaType::parse("multipart/mixed;boundary=fog-horn-4417").unwrap();
    let contents = Contents::parse(&media_type, &body).unwrap();
    assert_eq!(contents.print(), body);
    assert_eq!(contents.media_type(), media_type);
    let Contents::Multipart(multipart) = &contents else { panic!("multipart") };
    let [text, binary] = multipart.parts() else { panic!("two parts") };
    assert!(matches!(text.contents(), Ok(Contents::Text(text)) if text.text() == Ok("ahoy".into())));
    assert_eq!(binary.header("content-transfer-encoding"), Some("binary"));
    let Ok(Contents::Octets { media_type, octets }) = binary.contents() else { panic!("octets") };
    assert_eq!(media_type, MediaType::OCTETS);
    // Every octet up and down again, and between them what resembles a boundary and a message.
    let up: Vec<u8> = (0..=255).collect();
    assert!(octets.starts_with(&up) && octets.ends_with(&up.into_iter().rev().collect::<Vec<_>>()));
    assert!(memchr::memmem::find(&octets, b"\r\n--fog\r\n\0SIP/2.0 200 OK\r\n\r\n").is_some());
}

#[test]
fn descriptions_with_either_address_family() {
    let plain = sdp(include_bytes!("../../../tests/torture/sdp01.sip"));
    assert_eq!(plain.origin().unwrap().username, "mira");

    let mapped = sdp(include_bytes!("../../../tests/torture/ipv4-mapped-ipv6.sip"));
    assert_eq!(hosts(&mapped), ["::ffff:192.0.2.114"]);
    assert_eq!(mapped.origin().unwrap().session_id, 77003);

    let six = sdp(include_bytes!("../../../tests/torture/ipv6-in-sdp.sip"));
    assert_eq!(six.session().connection().unwrap().address.ip(), Some("2001:db8:77::21".parse().unwrap()));
    let ports: Vec<_> = six.media().map(|media| (media.line().kind, media.line().port)).collect();
    assert_eq!(ports, [("audio", 41000), ("video", 41002)]);

    let both = sdp(include_bytes!("../../../tests/torture/mult-ip-in-sdp.sip"));
    assert_eq!(hosts(&both), ["192.0.2.112", "2001:db8:77::22"]);
    assert_eq!((both.session().connection(), both.name()), (None, Some("-")));
}

#[test]
fn a_session_id_of_any_length_and_an_empty_name() {
    let text = "v=0\r\no=a 18446744073709551615 0 IN IP4 192.0.2.1\r\ns=\r\nt=3338481189 3370017201\r\n";
    let Contents::Sdp(sdp) = Contents::parse(&MediaType::SDP, &Bytes::from(text)).unwrap() else { panic!("SDP") };
    assert_eq!((sdp.origin().unwrap().session_id, sdp.name()), (u64::MAX, Some("")));
}

#[test]
fn the_media_type_chooses_without_regard_to_case() {
    let choose = |text, body: &'static str| Contents::parse(&MediaType::parse(text).unwrap(), &Bytes::from(body));
    assert!(matches!(choose("Application/SDP", "v=0"), Err(ContentsError::Sdp(_))));
    assert!(matches!(choose("message/SipFrag;version=2.0", "SIP/2.0 200 OK"), Ok(Contents::SipFrag(_))));
    assert!(matches!(choose("Text/Plain;charset=x", "\0"), Ok(Contents::Text(_))));
    let unknown = choose("application/UnknownFormat;a=1", "<audio>").unwrap();
    assert_eq!(unknown.media_type().to_string(), "application/UnknownFormat;a=1");
    assert_eq!(unknown.print(), "<audio>");
    assert_eq!(choose("multipart/form-data", "").unwrap_err(), MultipartError::Boundary.into());
}

#[test]
fn a_limit_is_413_and_a_fault_400() {
    let lines = format!("v=0\n{}", "a=x\n".repeat(sdp::MAX_LINES));
    assert_eq!(Contents::parse(&MediaType::SDP, &lines.into()).unwrap_err().status(), 413);
    assert_eq!(Contents::parse(&MediaType::SDP, &Bytes::new()).unwrap_err().status(), 400);
}

proptest! {
    #[test]
    fn any_octets_of_any_type_print_back(
        octets in proptest::collection::vec(any::<u8>(), 0..200),
        which in prop::sample::select(vec![
            "application/sdp", "message/sipfrag", "text/plain;charset=us-ascii", "multipart/alternative;boundary=x", "a/b",
        ]),
    ) {
        let body = Bytes::from(octets);
        if let Ok(contents) = Contents::parse(&MediaType::parse(which).unwrap(), &body) {
            prop_assert_eq!(contents.print(), body);
            prop_assert_eq!(Contents::parse(&contents.media_type(), &contents.print()).unwrap(), contents);
        }
    }
}
