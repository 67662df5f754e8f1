//! What a transport counted.

use super::drops::SocketEntry;
use crate::statistics::counters::counters;
use std::sync::OnceLock;

counters! {
    /// Counters of one transport since its start. The transport writes, anyone reads.
    pub struct TransportStats => /// The values of [`TransportStats`] at one moment.
    TransportSnapshot;
    /// Datagrams, messages of WebSockets, or chunks of streams, given to `rx`.
    received,
    /// Octets of those.
    received_octets,
    /// Messages given whole to the operating system.
    sent,
    /// Octets of those.
    sent_octets,
    /// Datagrams, and ICMP errors, dropped because `rx` was full.
    shed_received,
    /// ICMP errors that said that a datagram did not arrive.
    undelivered,
    /// Messages dropped because the socket, or the write queue of the connection, was full.
    shed_sent,
    /// Messages that could not be sent for any other reason, and errors of the sockets.
    errors,
    /// Connections accepted.
    accepted,
    /// Connections closed as they came, because their source has too many.
    refused,
    /// Connections opened to a peer.
    connected,
    /// TLS handshakes that succeeded, on accepted connections and on our own; of WebSocket transports, upgrades.
    handshakes,
    /// TLS handshakes that failed; of WebSocket transports, upgrades that were refused as well.
    handshakes_failed,
    /// Connections closed, for whatever reason; `accepted + connected - closed` are open.
    closed,
    ; socket: OnceLock<SocketEntry>
}

impl TransportStats {
    /// Datagrams that the kernel dropped before they could be read: the receive buffer was full, or overload had them
    /// filtered. `None` for a stream, or where the kernel does not say. It reads a file of the kernel's: not for each
    /// message.
    pub fn kernel_drops(&self) -> Option<u64> {
        self.socket.get()?.drops()
    }
}
