//! WebSocket as a transport for SIP (RFC 7118): what one connection keeps above its stream.

mod client;
mod frames;
mod upgrade;

pub(super) use client::NotAgreed;
pub(super) use frames::{Event, Fault, Frames, Mask, close, message, ping, pong};
pub(super) use upgrade::Refused;

use super::WsOptions;
use bytes::Bytes;
use client::Client;
use rutil::{Rng, Time};
use std::net::SocketAddr;
use std::time::Duration;
use tungstenite::protocol::frame::coding::CloseCode;

/// How long a message may be incomplete: 64·T1, as on other streams.
const PATIENCE: Duration = Duration::from_secs(32);

/// One WebSocket connection.
#[derive(Debug)]
pub(super) struct WebSocket {
    /// The opening handshake as far as it has come; none when it is over.
    request: Option<Vec<u8>>,
    /// We opened it.
    client: Option<Client>,
    pub(super) frames: Frames,
    /// What the latest ping wants back; it goes out when the queue is empty (RFC 6455 §5.5.3).
    pub(super) pong: Option<Bytes>,
    /// With what the connection is to be closed; none when a close frame has gone out.
    pub(super) farewell: Option<CloseCode>,
    /// When the message began that is incomplete.
    pub(super) incomplete: Option<Time>,
    /// When a ping is to be sent, or its pong is overdue.
    pub(super) ping_at: Time,
    /// Our ping is out, and nothing has come since.
    pub(super) pinged: bool,
}

impl WebSocket {
    /// One that a client opens.
    pub(super) fn new(options: &WsOptions) -> Self {
        WebSocket {
            request: Some(Vec::new()),
            client: None,
            frames: Frames::new(options.message, true),
            pong: None,
            farewell: Some(CloseCode::Normal),
            incomplete: None,
            ping_at: Time::MAX,
            pinged: false,
        }
    }

    /// One that we open at `path`, and the request that goes out first; `name` is the server's, where it is known.
    pub(super) fn connecting(
        options: &WsOptions,
        path: &str,
        (peer, name): (SocketAddr, Option<&str>),
        rng: Rng,
    ) -> (Self, Bytes) {
        let (client, request) = Client::new(path, peer, name, rng);
        let frames = Frames::new(options.message, false);
        (WebSocket { client: Some(client), frames, ..WebSocket::new(options) }, request.into())
    }

    /// Whether we opened it.
    pub(super) fn is_client(&self) -> bool {
        self.client.is_some()
    }

    /// The mask of our next frame: only clients have one (RFC 6455 §5.3).
    pub(super) fn mask(&mut self) -> Option<Mask> {
        self.client.as_mut().map(|client| (client.rng.next_u64() as u32).to_ne_bytes())
    }

    /// Takes octets of the answer to our handshake; when it is whole, how many of them belong to it.
    pub(super) fn answered(&mut self, octets: &[u8]) -> Option<Result<usize, NotAgreed>> {
        let (answer, client) = (self.request.as_mut()?, self.client.as_ref()?);
        let before = answer.len();
        answer.extend_from_slice(octets);
        let from = before.saturating_sub(3);
        let Some(end) = memchr::memmem::find(answer.get(from..)?, b"\r\n\r\n") else {
            return (answer.len() > upgrade::MOST).then_some(Err(NotAgreed::TooLong));
        };
        let size = from + end + 4;
        let checked = client.check(answer.get(..size)?);
        if checked.is_ok() {
            self.request = None;
        }
        Some(checked.map(|()| size.saturating_sub(before)))
    }

    /// Whether messages may pass.
    pub(super) fn is_open(&self) -> bool {
        self.request.is_none()
    }

    /// Takes octets of the opening handshake; what answers it, when it is whole.
    pub(super) fn upgrade(&mut self, octets: &[u8], options: &WsOptions) -> Option<Result<Vec<u8>, Refused>> {
        let request = self.request.as_mut()?;
        // The end may lie across two reads. Nothing is parsed before it is there, so that a request in many pieces is
        // read once.
        let from = request.len().saturating_sub(3);
        if request.len() + octets.len() > upgrade::MOST {
            return Some(Err(Refused::TooLong));
        }
        request.extend_from_slice(octets);
        memchr::memmem::find(request.get(from..)?, b"\r\n\r\n")?;
        let answer = upgrade::answer(request, options);
        if answer.is_ok() {
            self.request = None;
        }
        Some(answer)
    }

    /// Takes note that the peer is alive.
    pub(super) fn heard(&mut self, now: Time, options: &WsOptions) {
        self.pinged = false;
        self.ping_at = options.ping.map_or(Time::MAX, |interval| now + interval);
    }

    /// When it must be looked at, although nothing comes.
    pub(super) fn due(&self) -> Time {
        self.ping_at.min(self.incomplete.map_or(Time::MAX, |since| since + PATIENCE))
    }

    /// Whether its message is incomplete for too long.
    pub(super) fn is_late(&self, now: Time) -> bool {
        self.incomplete.is_some_and(|since| since + PATIENCE <= now)
    }
}

/// The response to a client that is refused.
pub(super) fn refusal(refused: &Refused) -> Bytes {
    refused.response().into()
}
