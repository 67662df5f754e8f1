//! A request that every element answers at once and never sends on.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::raw;

/// An OPTIONS for the element itself with Max-Forwards 0 (RFC 3261 §11): a user agent answers it, and a proxy answers
/// it as well, with a 483 or in its own name (§16.3).
#[derive(Debug)]
pub(super) struct Probe {
    call_id: String,
    /// The request as it is sent.
    pub(super) bytes: Vec<u8>,
}

impl Probe {
    pub(super) fn new(server: SocketAddr, client: SocketAddr, transport: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = format!("probe-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let bytes = format!(
            "OPTIONS sip:{server} SIP/2.0\r\n\
             Via: SIP/2.0/{transport} {client};branch=z9hG4bK{id}\r\n\
             Max-Forwards: 0\r\n\
             To: <sip:{server}>\r\n\
             From: <sip:probe@{client}>;tag={id}\r\n\
             Call-ID: {id}@{client}\r\n\
             CSeq: 1 OPTIONS\r\n\
             Content-Length: 0\r\n\r\n"
        );
        Self { call_id: format!("{id}@{client}"), bytes: bytes.into_bytes() }
    }

    /// Whether `message` is the final answer to this probe.
    pub(super) fn is_answered_by(&self, message: &[u8]) -> bool {
        self.owns(message) && raw::status(message).is_some_and(|s| s >= 200)
    }

    /// Whether `message` belongs to this probe.
    pub(super) fn owns(&self, message: &[u8]) -> bool {
        raw::first(message, "call-id").is_some_and(|id| id == self.call_id.as_bytes())
    }
}
