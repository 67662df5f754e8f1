//! The opening handshake from the other side (RFC 6455 §4.1, RFC 7118 §4): what we ask where we connect, and what must be
//! answered.

use rutil::Rng;
use std::net::SocketAddr;
use tungstenite::handshake::client::{Response, generate_key};
use tungstenite::handshake::derive_accept_key;
use tungstenite::handshake::machine::TryParse;
use tungstenite::http::{HeaderMap, StatusCode};

/// The subprotocol (RFC 7118 §8.1).
const SIP: &str = "sip";

/// Why there is no WebSocket with a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::transport) enum NotAgreed {
    #[error("the answer is no HTTP")]
    NoHttp,
    #[error("the answer is too long")]
    TooLong,
    #[error("the server answers {0}")]
    Status(StatusCode),
    #[error("the answer has no good {0}")]
    Header(&'static str),
}

/// What is kept of a connection that we opened.
#[derive(Debug)]
pub(super) struct Client {
    /// What the server has to answer.
    accept: String,
    /// For the masks of our frames.
    pub(super) rng: Rng,
}

impl Client {
    /// The request that goes out first. `name`: the server's, where it is known.
    pub(super) fn new(path: &str, peer: SocketAddr, name: Option<&str>, rng: Rng) -> (Self, Vec<u8>) {
        let key = generate_key();
        let host = name.map_or_else(|| peer.to_string(), |name| format!("{name}:{}", peer.port()));
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {SIP}\r\n\r\n"
        );
        (Client { accept: derive_accept_key(key.as_bytes()), rng }, request.into_bytes())
    }

    /// Checks an answer that has come up to its empty line.
    pub(super) fn check(&self, head: &[u8]) -> Result<(), NotAgreed> {
        let Ok(Some((_, response))) = Response::try_parse(head) else { return Err(NotAgreed::NoHttp) };
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(NotAgreed::Status(response.status()));
        }
        let headers = response.headers();
        for (name, wanted) in [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Protocol", SIP)] {
            if !words(headers, name).any(|word| word.eq_ignore_ascii_case(wanted)) {
                return Err(NotAgreed::Header(name));
            }
        }
        // What we did not offer cannot be agreed on (RFC 6455 §9.1).
        if headers.contains_key("Sec-WebSocket-Extensions") {
            return Err(NotAgreed::Header("Sec-WebSocket-Extensions"));
        }
        match headers.get("Sec-WebSocket-Accept") {
            Some(accept) if accept.as_bytes() == self.accept.as_bytes() => Ok(()),
            _ => Err(NotAgreed::Header("Sec-WebSocket-Accept")),
        }
    }
}

/// The words of a header, from all its lines.
fn words<'h>(headers: &'h HeaderMap, name: &'static str) -> impl Iterator<Item = &'h str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::WsOptions;
    use crate::transport::ws::upgrade;

    fn client() -> (Client, Vec<u8>) {
        Client::new("/ws", "192.0.2.1:80".parse().unwrap(), None, Rng::from_seed(1))
    }

    #[test]
    fn our_own_server_takes_it_and_is_taken() {
        let (client, request) = client();
        let options = WsOptions { path: Some("/ws".into()), ..WsOptions::default() };
        let answer = upgrade::answer(&request, &options).unwrap();
        assert_eq!(client.check(&answer), Ok(()));
        assert!(String::from_utf8(request).unwrap().contains("\r\nHost: 192.0.2.1:80\r\n"));
        let named = Client::new("/", "192.0.2.1:443".parse().unwrap(), Some("example.com"), Rng::from_seed(1)).1;
        assert!(String::from_utf8(named).unwrap().contains("\r\nHost: example.com:443\r\n"));
    }

    #[test]
    fn what_is_not_agreed_on() {
        let (client, request) = client();
        let good = String::from_utf8(upgrade::answer(&request, &WsOptions::default()).unwrap()).unwrap().to_lowercase();
        let good = good.replace("http/1.1", "HTTP/1.1");
        let other = Client { accept: "x".into(), rng: Rng::from_seed(1) };
        assert_eq!(other.check(good.as_bytes()), Err(NotAgreed::Header("Sec-WebSocket-Accept")));
        for (from, to, wanted) in [
            ("101 ", "404 ", NotAgreed::Status(StatusCode::NOT_FOUND)),
            ("upgrade: websocket", "upgrade: h2c", NotAgreed::Header("Upgrade")),
            ("protocol: sip", "protocol: mqtt", NotAgreed::Header("Sec-WebSocket-Protocol")),
            ("HTTP/1.1 101", "SIP/2.0 101", NotAgreed::NoHttp),
        ] {
            assert!(good.contains(from), "{good}");
            assert_eq!(client.check(good.replace(from, to).as_bytes()), Err(wanted));
        }
        let more = good.replace("\r\n\r\n", "\r\nsec-websocket-extensions: permessage-deflate\r\n\r\n");
        assert_eq!(client.check(more.as_bytes()), Err(NotAgreed::Header("Sec-WebSocket-Extensions")));
    }
}
