//! Comparison of SIP URIs (RFC 3261 §19.1.4).

use super::escape::marked;
use super::sip::SipUri;

/// Parameters that make two URIs different if only one of them has it.
const SIGNIFICANT: [&str; 5] = ["transport", "user", "ttl", "method", "maddr"];

/// Each part of one URI is sought in the other, so the work grows with the square of their number. With more
/// parameters, or headers, than this in both together, they have to be octet for octet the same.
pub(super) const MOST_COMPARED: usize = 64;

/// An escaped character equals its plain form unless it is in the reserved set: then the mark stays.
fn canonical(text: &str, fold: bool) -> impl Iterator<Item = (u8, bool)> + '_ {
    marked(text).map(move |(octet, escaped)| {
        let reserved = matches!(octet, b';' | b'/' | b'?' | b':' | b'@' | b'&' | b'=' | b'+' | b'$' | b',');
        (if fold { octet.to_ascii_lowercase() } else { octet }, escaped && reserved)
    })
}

fn same(a: Option<&str>, b: Option<&str>, fold: bool) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => canonical(a, fold).eq(canonical(b, fold)),
        (None, None) => true,
        _ => false,
    }
}

/// Whether both URIs are equivalent. The relation is not transitive: unknown parameters that only one has are ignored.
pub(super) fn equivalent(a: &SipUri<'_>, b: &SipUri<'_>) -> bool {
    a.secure == b.secure
        && same(a.user.as_deref(), b.user.as_deref(), false)
        && same(a.password.as_deref(), b.password.as_deref(), false)
        && a.host == b.host
        && a.port == b.port
        && match a.params.iter().chain(b.params.iter()).nth(MOST_COMPARED) {
            Some(_) => a.params == b.params,
            None => params_agree(a, b) && params_agree(b, a),
        }
        && match a.headers.iter().chain(b.headers.iter()).nth(MOST_COMPARED) {
            Some(_) => a.headers == b.headers,
            None => headers_agree(a, b) && headers_agree(b, a),
        }
}

/// Each parameter of `a` has the same value in `b`, or is missing there and not significant.
fn params_agree(a: &SipUri<'_>, b: &SipUri<'_>) -> bool {
    a.params.iter().all(|p| {
        let named = |name: &str| same(Some(p.name), Some(name), true);
        let mut missing = true;
        // A name that stands twice is against the rules; then one of the values has to be the same.
        let found = b.params.iter().filter(|q| named(q.name)).any(|q| {
            missing = false;
            same(p.value, q.value, true)
        });
        found || (missing && !SIGNIFICANT.iter().any(|name| named(name)))
    })
}

/// Each header of `a` is in `b` with the same value.
fn headers_agree(a: &SipUri<'_>, b: &SipUri<'_>) -> bool {
    a.headers.iter().all(|(name, value)| b.headers.iter().any(|(n, v)| n.eq_ignore_ascii_case(&name) && v == value))
}

#[cfg(test)]
mod tests {
    use crate::uri::Uri;

    fn same(a: &str, b: &str) -> bool {
        let (a, b) = (Uri::parse(a).unwrap(), Uri::parse(b).unwrap());
        assert_eq!(a.equivalent(&b), b.equivalent(&a), "not symmetric: {a} {b}");
        a.equivalent(&b)
    }

    #[test]
    fn equivalent_examples() {
        for (a, b) in [
            ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtlanTa.CoM;Transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
            ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
            (
                "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
            ),
            (
                "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
                "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
            ),
        ] {
            assert!(same(a, b), "{a} {b}");
        }
    }

    /// Fifty thousand of each: with the square of that, this would not end.
    #[test]
    fn many_parts_take_no_more_time() {
        let parts = |separator: &str, n: usize| (0..n).map(|i| format!("{separator}p{i}=x")).collect::<String>();
        let (params, headers) = (parts(";", 50_000), parts("&", 50_000));
        let uri = format!("sip:a@example.com{params}?q=1{headers}");
        assert!(same(&uri, &uri.replacen("example.com", "EXAMPLE.com", 1)));
        assert!(!same(&uri, &uri.replacen("p7=x", "P7=x", 1)));
        assert!(same(&format!("sip:a{};z", parts(";", 31)), &format!("sip:a;Z{}", parts(";", 31))));
    }

    #[test]
    fn different_examples() {
        for (a, b) in [
            ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
            ("sip:a@example.com", "sips:a@example.com"),
            ("sip:a@example.com", "sip:example.com"),
            ("sip:a%3Bb@example.com", "sip:a;b@example.com"),
            ("sip:%00@example.com", "sip:%00%00@example.com"),
            ("sip:a:b@example.com", "sip:a@example.com"),
            ("sip:example.com;x=1", "sip:example.com;x=1;x=2"),
        ] {
            assert!(!same(a, b), "{a} {b}");
        }
    }
}
