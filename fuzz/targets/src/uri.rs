//! URIs.

use stack::uri::Uri;

/// Two URIs, one on each of the first two lines. What is read prints to a text that reads as the same; the RFC's
/// comparison is reflexive and symmetric and does not mind a reprint; equivalent URIs have one address-of-record.
pub fn uri(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let (Some(a), b) = (lines.next(), lines.next()) else { return };
    let a = one(a);
    let b = b.and_then(one);
    let (Some(a), Some(b)) = (a, b) else { return };
    assert_eq!(a.equivalent(&b), b.equivalent(&a), "not symmetric: {a} {b}");
    if a == b {
        assert!(a.equivalent(&b), "{a}");
    }
    if a.equivalent(&b) {
        assert_eq!(a.aor_key(), b.aor_key(), "{a} {b}");
    }
}

fn one(text: &str) -> Option<Uri<'_>> {
    let uri = match Uri::parse(text) {
        Ok(uri) => uri,
        Err(error) => {
            assert!(error.offset <= text.len(), "{error} in {text:?}");
            assert!(Uri::parse_request(text).is_err(), "a Request-URI is a URI: {text:?}");
            return None;
        }
    };
    let printed = uri.to_string();
    assert!(!printed.contains(['\r', '\n']), "{printed:?}");
    let again = Uri::parse(&printed).unwrap_or_else(|e| panic!("{e}: {printed:?} from {text:?}"));
    assert_eq!(again, uri, "from {text:?}");
    assert!(uri.equivalent(&uri) && uri.equivalent(&again) && again.equivalent(&uri), "{text:?}");
    assert_eq!(again.aor_key(), uri.aor_key());
    assert_eq!(uri.clone().into_owned(), uri);
    match Uri::parse_request(text) {
        Ok(request) => assert_eq!(request, uri),
        Err(error) => assert!(error.offset <= text.len(), "{error} in {text:?}"),
    }
    if let Uri::Sip(sip) = &uri {
        let _ = (sip.user_decoded(), sip.headers.iter().count());
        let mut changed = sip.clone();
        changed.params.set("fuzz", "a;b=\"c\"");
        changed.headers.push("X", "?&=%\r\n");
        let text = changed.to_string();
        assert_eq!(Uri::parse(&text).as_ref().map(ToString::to_string), Ok(text.clone()));
    }
    Some(uri)
}
