//! Bodies of the torture messages of RFC 4475 and RFC 5118, and any octets under each media type.

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
fn rfc4475_mpart01_holds_a_text_and_binary_der() {
    let body = body(include_bytes!("torture/mpart01.dat"));
    let media_type = MediaType::parse("multipart/mixed;boundary=7a9cbec02ceef655").unwrap();
    let contents = Contents::parse(&media_type, &body).unwrap();
    assert_eq!(contents.print(), body);
    assert_eq!(contents.media_type(), media_type);
    let Contents::Multipart(multipart) = &contents else { panic!("multipart") };
    let [text, der] = multipart.parts() else { panic!("two parts") };
    assert!(matches!(text.contents(), Ok(Contents::Text(text)) if text.text() == Ok("Hello".into())));
    assert_eq!(der.header("content-transfer-encoding"), Some("binary"));
    let Ok(Contents::Octets { media_type, octets }) = der.contents() else { panic!("octets") };
    assert_eq!(media_type, MediaType::OCTETS);
    // A DER sequence whose length field, 0x0152, counts what follows its four octets.
    assert!(octets.starts_with(&[0x30, 0x82, 0x01, 0x52]) && octets.contains(&0));
    assert_eq!(octets.len(), 4 + 0x152);
}

#[test]
fn rfc4475_sdp01_and_rfc5118_descriptions() {
    let plain = sdp(include_bytes!("torture/sdp01.dat"));
    assert_eq!(plain.origin().unwrap().username, "mhandley");

    let mapped = sdp(include_bytes!("torture/ipv4-mapped-ipv6.dat"));
    assert_eq!(hosts(&mapped), ["::ffff:192.0.2.2"; 2]);
    assert_eq!(mapped.origin().unwrap().session_id, 971_731_711_378_798_081);

    let six = sdp(include_bytes!("torture/ipv6-in-sdp.dat"));
    assert_eq!(six.session().connection().unwrap().address.ip(), Some("2001:db8::20".parse().unwrap()));
    let ports: Vec<_> = six.media().map(|media| (media.line().kind, media.line().port)).collect();
    assert_eq!(ports, [("audio", 6000), ("video", 6024)]);

    let both = sdp(include_bytes!("torture/mult-ip-in-sdp.dat"));
    assert_eq!(hosts(&both), ["192.0.2.1", "2001:db8::1"]);
    assert_eq!((both.session().connection(), both.name()), (None, Some("")));
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
