//! What a transport counted.

use super::drops::SocketEntry;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of one transport since its start. The transport writes, anyone reads.
#[derive(Debug, Default)]
pub struct TransportStats {
    /// Datagrams, messages of WebSockets, or chunks of streams, given to `rx`.
    pub received: Counter,
    /// Octets of those.
    pub received_octets: Counter,
    /// Messages given whole to the operating system.
    pub sent: Counter,
    /// Octets of those.
    pub sent_octets: Counter,
    /// Datagrams, and ICMP errors, dropped because `rx` was full.
    pub shed_received: Counter,
    /// ICMP errors that said that a datagram did not arrive.
    pub undelivered: Counter,
    /// Messages dropped because the socket, or the write queue of the connection, was full.
    pub shed_sent: Counter,
    /// Messages that could not be sent for any other reason, and errors of the sockets.
    pub errors: Counter,
    /// Connections accepted.
    pub accepted: Counter,
    /// Connections closed as they came, because their source has too many.
    pub refused: Counter,
    /// Connections opened to a peer.
    pub connected: Counter,
    /// TLS handshakes that succeeded, on accepted connections and on our own; of WebSocket transports, upgrades.
    pub handshakes: Counter,
    /// TLS handshakes that failed; of WebSocket transports, upgrades that were refused as well.
    pub handshakes_failed: Counter,
    /// Connections closed, for whatever reason; `accepted + connected - closed` are open.
    pub closed: Counter,
    pub(super) socket: OnceLock<SocketEntry>,
}

impl TransportStats {
    /// Datagrams that the kernel dropped before they could be read: the receive buffer was full, or overload had them
    /// filtered. `None` for a stream, or where the kernel does not say. It reads a file of the kernel's: not for each
    /// message.
    pub fn kernel_drops(&self) -> Option<u64> {
        self.socket.get()?.drops()
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Its value now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }
}
