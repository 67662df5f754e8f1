//! The opening handshake (RFC 6455 §4.2, RFC 7118 §4): an HTTP request that asks for the subprotocol `sip`.

use crate::transport::WsOptions;
use std::fmt::Write as _;
use tungstenite::error::{Error, ProtocolError};
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::server::{Request, create_response, write_response};
use tungstenite::http::HeaderValue;
use tungstenite::http::header::{ORIGIN, SEC_WEBSOCKET_PROTOCOL};

/// Most octets of the request. A browser's has a few hundred, and its cookies.
pub(super) const MOST: usize = 16 * 1024;

/// The subprotocol (RFC 7118 §8.1).
const SIP: &str = "sip";

/// Why a client is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::transport) enum Refused {
    #[error("malformed request")]
    Malformed,
    #[error("not a request for WebSocket: {0}")]
    NoUpgrade(ProtocolError),
    #[error("something follows the request before it is answered")]
    Early,
    #[error("subprotocol sip expected")]
    NoSip,
    #[error("origin not allowed")]
    Origin,
    #[error("nothing here")]
    Path,
    #[error("GET expected")]
    Method,
    #[error("WebSocket version 13 expected")]
    Version,
    #[error("request too long")]
    TooLong,
}

impl Refused {
    fn status(&self) -> &'static str {
        match self {
            Refused::Malformed | Refused::NoUpgrade(_) | Refused::Early | Refused::NoSip => "400 Bad Request",
            Refused::Origin => "403 Forbidden",
            Refused::Path => "404 Not Found",
            Refused::Method => "405 Method Not Allowed\r\nAllow: GET",
            Refused::Version => "426 Upgrade Required\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13",
            Refused::TooLong => "431 Request Header Fields Too Large",
        }
    }

    /// The whole response.
    pub(super) fn response(&self) -> Vec<u8> {
        let (why, mut text) = (self.to_string(), String::new());
        let _ = write!(
            text,
            "HTTP/1.1 {}\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{why}\n",
            self.status(),
            why.len() + 1
        );
        text.into_bytes()
    }
}

/// Answers a request that has come up to its empty line.
///
/// # Errors
/// What the client did wrong.
pub(super) fn answer(head: &[u8], options: &WsOptions) -> Result<Vec<u8>, Refused> {
    let request = match Request::try_parse(head) {
        Ok(Some((size, request))) if size == head.len() => request,
        Ok(Some(_)) => return Err(Refused::Early),
        Err(Error::Protocol(ProtocolError::WrongHttpMethod)) => return Err(Refused::Method),
        Ok(None) | Err(_) => return Err(Refused::Malformed),
    };
    if options.path.as_deref().is_some_and(|path| path != request.uri().path()) {
        return Err(Refused::Path);
    }
    let mut response = create_response(&request).map_err(|error| match error {
        Error::Protocol(ProtocolError::MissingSecWebSocketVersionHeader) => Refused::Version,
        Error::Protocol(why) => Refused::NoUpgrade(why),
        _ => Refused::Malformed,
    })?;
    // Browsers always say where a script came from; who is none may say what it likes, or nothing (RFC 6455 §10.2).
    let origins = request.headers().get_all(ORIGIN);
    let allowed =
        |origin: &HeaderValue| options.origins.iter().any(|own| own.as_bytes().eq_ignore_ascii_case(origin.as_bytes()));
    if !options.origins.is_empty() && !origins.iter().all(allowed) {
        return Err(Refused::Origin);
    }
    let offered = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    if !offered.flat_map(|value| value.split(',')).any(|name| name.trim() == SIP) {
        return Err(Refused::NoSip);
    }
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SIP));
    let mut octets = Vec::new();
    write_response(&mut octets, &response).map_err(|_| Refused::Malformed)?;
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "GET /ws?x=1 HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
                        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
                        Origin: https://Phone.example.com\r\nSec-WebSocket-Protocol: mqtt, sip\r\n\
                        Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

    fn options(path: Option<&str>, origins: &[&str]) -> WsOptions {
        WsOptions {
            path: path.map(Into::into),
            origins: origins.iter().map(|o| (*o).into()).collect(),
            ..WsOptions::default()
        }
    }

    #[test]
    fn a_browser_is_answered_with_its_key_and_sip_and_no_extension() {
        let text = String::from_utf8(answer(GOOD.as_bytes(), &WsOptions::default()).unwrap()).unwrap().to_lowercase();
        assert!(text.starts_with("http/1.1 101 switching protocols\r\n") && text.ends_with("\r\n\r\n"), "{text}");
        for line in ["sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=", "sec-websocket-protocol: sip"] {
            assert!(text.contains(&format!("\r\n{line}\r\n")), "{text}");
        }
        assert!(!text.contains("extensions"), "{text}");
        assert!(answer(GOOD.as_bytes(), &options(Some("/ws"), &["https://phone.example.com"])).is_ok());
        let no_browser = GOOD.replace("Origin: https://Phone.example.com\r\n", "");
        assert!(answer(no_browser.as_bytes(), &options(None, &["https://phone.example.com"])).is_ok());
    }

    #[test]
    fn what_is_refused_and_how() {
        let any = WsOptions::default();
        let with = |from: &str, to: &str| GOOD.replace(from, to);
        for (request, options, status) in [
            (GOOD.into(), options(Some("/sip"), &[]), "404"),
            (GOOD.into(), options(None, &["https://example.org", "https://example.net"]), "403"),
            (with("mqtt, sip", "mqtt, sip2"), any.clone(), "400"),
            (with("Sec-WebSocket-Protocol: mqtt, sip\r\n", ""), any.clone(), "400"),
            (with("Version: 13", "Version: 8"), any.clone(), "426"),
            (with("GET", "POST"), any.clone(), "405"),
            (with("Upgrade: WebSocket\r\n", ""), any.clone(), "400"),
            (with("dGhlIHNhbXBsZSBub25jZQ==", "short"), any.clone(), "400"),
            (with("HTTP/1.1", "HTTP/1.0"), any.clone(), "400"),
            (with("\r\n\r\n", "\r\n\r\n\u{1}"), any.clone(), "400"),
            ("REGISTER sip:example.com SIP/2.0\r\n\r\n".into(), any.clone(), "400"),
        ] {
            let refused = answer(request.as_bytes(), &options).unwrap_err();
            let text = String::from_utf8(refused.response()).unwrap();
            assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {text}");
            assert_eq!(text.contains("Sec-WebSocket-Version: 13\r\n"), status == "426");
        }
    }
}
