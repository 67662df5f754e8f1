//! The web page: one file, with its style and script in it. It asks the API for all that it shows.

use super::{Answer, with_type};
use hyper::StatusCode;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY};
use rutil::Rng;

const PAGE: &str = include_str!("page.html");
/// Stands in the file where its style and its script are let through.
const NONCE: &str = "NONCE";

/// The page, and what a browser may do with it: nothing but run what is in it, and ask us.
pub(super) fn answer() -> Answer {
    let Ok(mut rng) = Rng::from_os() else { return super::failed() };
    let nonce = rng.token::<26>();
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        nonce = nonce.as_str()
    );
    let mut answer = with_type(StatusCode::OK, "text/html; charset=utf-8", PAGE.replace(NONCE, &nonce));
    let headers = answer.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(HeaderName::from_static("x-frame-options"), HeaderValue::from_static("DENY"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_comes_from_outside_and_nothing_runs_without_the_nonce() {
        let answer = answer();
        let policy = answer.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'nonce-") && !policy.contains("unsafe"), "{policy}");
        assert_eq!((PAGE.matches("<script").count(), PAGE.matches("<style").count()), (1, 1));
        assert_eq!(PAGE.matches(" nonce=\"NONCE\"").count(), 2);
        for outside in ["http:", "https:", "src=", "@import", " style=\"", " onclick", "innerHTML", "insertAdjacent"] {
            assert!(!PAGE.contains(outside), "{outside}");
        }
    }
}
