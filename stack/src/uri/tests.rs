//! URIs of RFC 4475, RFC 5118 and RFC 3261 §19.1.

use super::*;
use crate::header::p;

fn sip(text: &str) -> SipUri<'_> {
    match Uri::parse(text) {
        Ok(Uri::Sip(uri)) => uri,
        other => panic!("{text}: {other:?}"),
    }
}

fn user(text: &str) -> Vec<u8> {
    sip(text).user_decoded().unwrap().into_owned()
}

#[test]
fn escapes_are_undone_after_the_split() {
    let uri = sip("sip:sips%3Auser%40example.com@example.net");
    assert_eq!(uri.user_decoded().unwrap(), &b"sips:user@example.com"[..]);
    assert_eq!((uri.secure, uri.host), (false, Host::Name("example.net".into())));
    assert_eq!(user("sip:%75se%72@example.com"), b"user");
    assert_eq!(user("sip:I%20have%20spaces@example.net"), b"I have spaces");
    assert_eq!(user("sip:null-%00-null@example.com").len(), 11);
    let contact = sip("sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31");
    assert!(contact.param(p::LR));
    assert_eq!(contact.params.get_decoded("name").unwrap(), &b"value%41"[..]);
}

#[test]
fn the_user_may_hold_separators() {
    let uri = sip("sip:user;par=u%40example.net@example.com");
    assert_eq!(uri.user_decoded().unwrap(), &b"user;par=u@example.net"[..]);
    assert!(uri.params.is_empty());
    let text =
        "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com";
    let uri = sip(text);
    assert_eq!(uri.user.as_deref(), Some("1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"));
    assert_eq!(uri.password.as_deref(), Some("&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"));
    assert_eq!(uri.to_string(), text);
}

#[test]
fn parts_round_trip() {
    for text in [
        "sip:example.com",
        "sips:alice:secretword@atlanta.com;transport=tcp",
        "sip:alice@192.0.2.4:5070;lr;maddr=[::1]?Subject=x&Route=%3Csip:sip.example.com%3E",
        "sip:vivekg@chair-dnrc.example.com;unknownparam",
        "sip:[2001:db8::10]:5070",
        "sip:+1-212-555-1212:1234@gateway.com;user=phone",
        "soap.beep://192.0.2.103:3002",
        "isbn:2983792873",
        "urn:service:sos.fire",
    ] {
        let uri = Uri::parse(text).unwrap();
        assert_eq!(uri.to_string(), text);
        assert_eq!(uri.clone().into_owned(), uri);
    }
    let route = sip("sip:user@example.com?Route=%3Csip:sip.example.com%3E&x=");
    assert_eq!(route.headers.get("route").unwrap(), &b"<sip:sip.example.com>"[..]);
    assert_eq!(route.headers.iter().count(), 2);
}

#[test]
fn breaks_are_named_with_their_place() {
    for (text, offset, rule) in [
        ("sip:2001:db8::10", 9, "port: digits expected"),
        ("sip:a@b:65536", 8, "port: above 65535"),
        ("sip:a@b:", 8, "port: digits expected"),
        ("sip:@b", 4, "user: empty"),
        ("sip:a b@c", 5, "user: character that needs an escape"),
        ("sip:a%4x@c", 5, "URI: `%` without two hexadecimal digits"),
        ("sip:a@b;;lr", 8, "URI parameter: name expected"),
        ("sip:a@b;x=", 10, "URI parameter: value expected"),
        ("sip:a@b?x", 8, "URI header: name and `=` expected"),
        ("sip:a@b?", 8, "URI header: name expected"),
        ("sip:", 4, "host: name or address expected"),
        ("sip:a:b:c@d", 7, "user: character that needs an escape"),
        ("1x:y", 0, "URI: scheme expected"),
        ("http:", 5, "URI: nothing after the scheme"),
        ("http://a b", 8, "URI: character that needs an escape"),
    ] {
        assert_eq!(Uri::parse(text), Err(ParseError { offset, rule }), "{text}");
    }
}

#[test]
fn request_uris_are_strict() {
    for (text, offset) in [
        ("<sip:user@example.com>", 0),
        ("sip:user@example.com; lr", 21),
        ("sip:user@example.com?Route=%3Csip:example.com%3E", 20),
        ("", 0),
    ] {
        assert_eq!(Uri::parse_request(text).map_err(|e| e.offset), Err(offset), "{text}");
    }
    assert!(Uri::parse_request("sip:vivekg@chair-dnrc.example.com;unknownparam").is_ok());
}

#[test]
fn keys_of_addresses_of_record() {
    let key = |text| Uri::parse(text).unwrap().aor_key();
    assert_eq!(key("sip:%61lice@Atlanta.COM;transport=tcp;user=phone"), "alice@atlanta.com");
    assert_eq!(key("sip:a%3bb:pw@x.org?Subject=y"), key("sips:a;b@x.org"));
    assert_ne!(key("sip:%00@x.org"), key("sip:%00%00@x.org"));
    assert_eq!(key("sip:Bob@x.org:5070"), "Bob@x.org:5070");
    assert_eq!(key("sip:x.org"), "x.org");
    assert_eq!(key("tel:+1-201-555"), "tel:+1201555");
    assert_eq!(key("URN:service:SOS"), "urn:service:SOS");
}

#[test]
fn building_escapes() {
    let uri = SipUri::new(Host::Name("example.com".into())).with_user("a b@c%").with_port(5070);
    let uri = uri.with_param(p::TRANSPORT, "tcp").with_flag(p::LR).with_param("x", "a;b=c");
    assert_eq!(uri.to_string(), "sip:a%20b%40c%25@example.com:5070;transport=tcp;lr;x=a%3Bb%3Dc");
    let mut uri = sip("sip:a@b;lr;transport=udp").into_owned();
    uri.params.set(p::TRANSPORT, "tls");
    assert!(uri.params.remove(p::LR));
    uri.headers.push("Subject", "a&b = c");
    assert_eq!(uri.to_string(), "sip:a@b;transport=tls?Subject=a%26b%20%3D%20c");
}
