//! Who may ask: whoever shows the token, and no web page of somebody else.
//!
//! Without a token everybody on this machine may do everything, and so could a page in a browser on it: so the host that
//! is asked for has to be an address or `localhost`, which no name of a stranger's can be made to be (DNS rebinding), and
//! a request that names where it comes from (`Origin`) has to come from here.

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use parking_lot::RwLock;
use repro::config::AdminToken;
use std::net::IpAddr;
use subtle::ConstantTimeEq as _;

/// Says where a request of a browser's comes from.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Why somebody may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Denied {
    #[error("expected Authorization: Bearer and the token of [admin]")]
    NoToken,
    #[error("this is not the token of [admin]")]
    WrongToken,
    #[error("expected an address or localhost as Host: without a token no other name is answered for")]
    Host,
    #[error("requests from pages of other sites are refused")]
    Origin,
}

/// What has to be shown.
pub(crate) struct Guard(RwLock<Option<AdminToken>>);

impl Guard {
    pub(crate) fn new(token: Option<AdminToken>) -> Self {
        Guard(RwLock::new(token))
    }

    /// From now on this token has to be shown. Where one had to be, none is no token: who listens to others does so until the
    /// end.
    pub(crate) fn change(&self, token: Option<AdminToken>) {
        let mut own = self.0.write();
        match token {
            Some(token) => *own = Some(token),
            None if own.is_some() => {
                tracing::warn!("there is no token for [admin] any more: the old one counts until the end")
            }
            None => {}
        }
    }

    /// Whether a request with these headers may be answered.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Denied> {
        let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        let host = text(HOST).unwrap_or_default();
        match (text(ORIGIN), text(SEC_FETCH_SITE)) {
            (Some(origin), _) if !is_of(origin, host) => return Err(Denied::Origin),
            (_, Some("cross-site" | "same-site")) => return Err(Denied::Origin),
            _ => {}
        }
        match &*self.0.read() {
            None if is_address(host) => Ok(()),
            None => Err(Denied::Host),
            Some(token) => {
                let shown = text(AUTHORIZATION).and_then(|value| value.split_once(' '));
                let shown = shown.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
                let (_, shown) = shown.ok_or(Denied::NoToken)?;
                let same: bool = shown.trim().as_bytes().ct_eq(token.secret().as_bytes()).into();
                if same { Ok(()) } else { Err(Denied::WrongToken) }
            }
        }
    }
}

/// Whether an origin is this server as its client knows it; something in front may speak TLS.
fn is_of(origin: &str, host: &str) -> bool {
    let of_origin = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    of_origin.is_some_and(|own| own.eq_ignore_ascii_case(host))
}

/// Whether a Host is an address, or `localhost`, with or without a port.
fn is_address(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|octet| octet.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    bare.parse::<IpAddr>().is_ok() || name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    const SECRET: &str = "0123456789abcdef";

    fn check(guard: &Guard, headers: &[(HeaderName, &str)]) -> Result<(), Denied> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()));
        guard.check(&headers.collect())
    }

    #[test]
    fn the_token_and_no_other() {
        let guard = Guard::new(Some(AdminToken::new(SECRET).unwrap()));
        let shows = |value: &str| check(&guard, &[(HOST, "repro.example.com"), (AUTHORIZATION, value)]);
        assert_eq!(shows(&format!("Bearer {SECRET}")), Ok(()));
        assert_eq!(shows(&format!("bearer  {SECRET}")), Ok(()));
        assert_eq!(check(&guard, &[(HOST, "127.0.0.1")]), Err(Denied::NoToken));
        assert_eq!(shows(&format!("Basic {SECRET}")), Err(Denied::NoToken));
        for wrong in ["Bearer 0123456789abcdeF", "Bearer 0123456789abcde", "Bearer x", "Bearer "] {
            assert_eq!(shows(wrong), Err(Denied::WrongToken), "{wrong}");
        }
    }

    #[test]
    fn a_token_takes_the_place_of_another_and_is_not_taken_away() {
        let guard = Guard::new(None);
        let shows = |token: &str| check(&guard, &[(HOST, "127.0.0.1"), (AUTHORIZATION, &format!("Bearer {token}"))]);
        guard.change(None);
        assert_eq!(check(&guard, &[(HOST, "127.0.0.1")]), Ok(()));
        guard.change(AdminToken::new(SECRET).ok());
        assert_eq!((shows(SECRET), check(&guard, &[(HOST, "127.0.0.1")])), (Ok(()), Err(Denied::NoToken)));
        guard.change(AdminToken::new("fedcba9876543210").ok());
        assert_eq!((shows(SECRET), shows("fedcba9876543210")), (Err(Denied::WrongToken), Ok(())));
        guard.change(None);
        assert_eq!(check(&guard, &[(HOST, "127.0.0.1")]), Err(Denied::NoToken));
    }

    #[test]
    fn without_a_token_the_host_is_an_address() {
        let guard = Guard::new(None);
        for host in ["127.0.0.1", "127.0.0.1:8080", "[::1]:8080", "[::1]", "localhost:1", "LocalHost"] {
            assert_eq!(check(&guard, &[(HOST, host)]), Ok(()), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example:8080", "", "localhost.evil.example", "[::1", "localhost:"]
        {
            assert_eq!(check(&guard, &[(HOST, host)]), Err(Denied::Host), "{host}");
        }
        assert_eq!(check(&guard, &[]), Err(Denied::Host));
    }

    #[test]
    fn pages_of_others_are_refused() {
        for guard in [Guard::new(None), Guard::new(Some(AdminToken::new(SECRET).unwrap()))] {
            let token = format!("Bearer {SECRET}");
            let from =
                |origin: &str| check(&guard, &[(HOST, "127.0.0.1:80"), (ORIGIN, origin), (AUTHORIZATION, &token)]);
            assert_eq!((from("http://127.0.0.1:80"), from("https://127.0.0.1:80")), (Ok(()), Ok(())));
            for origin in ["http://evil.example", "null", "http://127.0.0.1:81", "http://127.0.0.1", "file://"] {
                assert_eq!(from(origin), Err(Denied::Origin), "{origin}");
            }
            for site in ["cross-site", "same-site"] {
                let headers = [(HOST, "127.0.0.1:80"), (SEC_FETCH_SITE, site), (AUTHORIZATION, &*token)];
                assert_eq!(check(&guard, &headers), Err(Denied::Origin));
            }
        }
    }
}
