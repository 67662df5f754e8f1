//! Properties of all headers, whatever their type.

use super::*;
use crate::grammar::split_list;
use crate::uri::Uri;
use proptest::prelude::*;
use std::borrow::Cow;

/// A good value of each type; every header takes at least one of them.
const GOOD: &[&str] = &[
    "SIP/2.0/UDP pc33.atlanta.com:5060;branch=z9hG4bK776asdhds",
    "\"A. G. Bell\" <sip:agb@bell-telephone.com;lr?Subject=x> ;tag=a48s",
    "<http://www.example.com/sounds/moo.wav>;x=y",
    "a84b4c76e66710@pc33.atlanta.com",
    "314159 INVITE",
    "776656 1 INVITE",
    "70",
    "120 (in a meeting);duration=60",
    "*",
    "text/plain;charset=UTF-8;q=0.5",
    "Digest realm=\"atlanta.com\", nonce=\"84a4cc6f3082121f32b42a2187831a9e\", qop=\"auth\"",
    "nextnonce=\"47364c23432d2e131a5fb210812c\"",
    "Sat, 13 Nov 2010 23:29:00 GMT",
    "54.2 0.1",
    "307 isi.edu \"Session parameter not understood\"",
    "presence;id=1",
    "id;critical",
    "98asjh@h.example;to-tag=1;from-tag=2",
    "icid-value=1234;orig-ioi=home1.net",
    "\"quoted \\\" text\";x=\"<y>\"",
    "INVITE",
];

#[test]
fn every_header_has_a_good_value_that_prints_the_same_twice() {
    for id in HeaderId::all() {
        let printed: Vec<String> = GOOD.iter().filter_map(|value| reprint(id, value).ok()).collect();
        assert!(!printed.is_empty(), "{id:?}");
        for text in printed {
            assert_eq!(reprint(id, &text).as_ref(), Ok(&text), "{id:?}");
        }
    }
}

#[test]
fn an_error_names_the_header() {
    let error = check(HeaderId::CALL_ID, "a b").unwrap_err();
    assert_eq!((error.header, error.offset), ("Call-ID", 2));
    assert_eq!(error.to_string(), "Call-ID: not a character of a word (offset 2)");
    assert!(check(HeaderId::UNKNOWN, ";;,,;;,;").is_ok());
}

#[test]
fn reading_borrows() {
    let borrowed = |text: &Cow<'_, str>| matches!(text, Cow::Borrowed(_));
    let via = Via::parse("SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK776").unwrap();
    assert!(borrowed(&via.protocol) && borrowed(&via.transport));
    assert!(matches!(&via.host, crate::uri::Host::Name(name) if borrowed(name)));
    let from = NameAddr::parse("\"Alice\" <sip:alice:pw@atlanta.com;lr>;tag=19").unwrap();
    let uri = from.uri.sip().unwrap();
    assert!([&from.display, &uri.user, &uri.password].iter().all(|part| part.as_ref().is_some_and(borrowed)));
    assert!(borrowed(&CallId::parse("a84b4c76e66710").unwrap().value));
    assert!(matches!(CSeq::parse("1 FOO").unwrap().method, Method::Other(Cow::Borrowed("FOO"))));
}

#[test]
fn shapes() {
    assert!(HeaderId::VIA.is_list() && !HeaderId::VIA.is_single());
    assert!(HeaderId::CSEQ.is_single() && !HeaderId::CSEQ.is_list());
    assert!(!HeaderId::AUTHORIZATION.is_list() && !HeaderId::AUTHORIZATION.is_single());
    assert!(!HeaderId::UNKNOWN.is_list() && !HeaderId::UNKNOWN.is_single());
    assert_eq!((h::VIAS.id, h::TO.id), (HeaderId::VIA, HeaderId::TO));
}

/// Text made of the pieces that headers are made of: it gets far more often past the first octet than noise does.
fn header_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => "[a-z0-9.*+%_-]{1,6}",
        4 => "[;:,=<>\"\\\\/@?&()\\[\\] \\t]",
        1 => Just("\r\n ".to_string()),
        1 => Just("sip:".to_string()),
        1 => Just("SIP/2.0/UDP ".to_string()),
        1 => Just("%41".to_string()),
        1 => "\\PC{1,2}",
        1 => prop::sample::select(GOOD).prop_map(str::to_string),
    ];
    prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

/// A good value with one octet changed, removed or doubled.
fn damaged() -> impl Strategy<Value = String> {
    (prop::sample::select(GOOD), any::<prop::sample::Index>(), any::<u8>(), 0..3u8).prop_map(|(good, at, byte, how)| {
        let mut bytes = good.as_bytes().to_vec();
        let at = at.index(bytes.len());
        match how {
            0 => bytes[at] = byte,
            1 => drop(bytes.remove(at)),
            _ => bytes.insert(at, byte),
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![header_like(), damaged(), any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// No text makes any parser panic; what is taken prints to a text that is taken and prints the same.
    #[test]
    fn parse_print_parse(text in any_text()) {
        for id in HeaderId::all() {
            match reprint(id, &text) {
                Ok(printed) => {
                    prop_assert!(!printed.contains(['\r', '\n']), "{:?} {:?}", id, printed);
                    prop_assert_eq!(reprint(id, &printed), Ok(printed), "{:?} {:?}", id, text);
                }
                Err(error) => prop_assert!(error.offset <= text.len(), "{:?} {:?} {:?}", id, text, error),
            }
        }
    }

    #[test]
    fn elements_of_a_list_are_its_text(text in any_text()) {
        let elements: Vec<&str> = split_list(&text).collect();
        let strip = |text: &str| text.chars().filter(|c| !" \t\r\n,".contains(*c)).collect::<String>();
        prop_assert_eq!(strip(&elements.concat()), strip(&text));
    }

    #[test]
    fn uris(text in prop_oneof![any_text(), any_text().prop_map(|t| format!("sip:{t}"))]) {
        if let Ok(uri) = Uri::parse(&text) {
            let printed = uri.to_string();
            let again = Uri::parse(&printed);
            prop_assert_eq!(again.as_ref(), Ok(&uri));
            prop_assert!(uri.equivalent(&uri));
            prop_assert_eq!(uri.aor_key(), again.unwrap().aor_key());
        }
        prop_assert!(Uri::parse_request(&text).is_err() || Uri::parse(&text).is_ok());
    }

    #[test]
    fn set_parameters_can_be_read(name in "[a-z]{1,3}", value in any::<String>()) {
        let mut params = Params::parse(";a=1;b=\"x;y\";c").unwrap();
        params.set(&name, &value);
        prop_assert_eq!(Params::parse(params.as_str()), Ok(params.clone()));
        let read = params.get(&name).map(crate::grammar::unquote).map(|v| v.into_owned());
        let already_quoted = value.starts_with('"');
        prop_assert!(already_quoted || read == Some(value.replace(['\r', '\n'], " ")), "{:?} {:?}", params, read);
    }

    #[test]
    fn lookup_is_exact(name in "[A-Za-z-]{0,33}") {
        let id = HeaderId::lookup(name.as_bytes());
        prop_assert!(id == HeaderId::UNKNOWN || name.len() == 1 || id.name().eq_ignore_ascii_case(&name));
    }
}
