//! How transports are set up.

use std::time::Duration;

/// How a UDP transport is set up.
#[derive(Clone, Debug)]
pub struct UdpOptions {
    /// Whether several sockets may have the address, the kernel spreading the peers over them (`SO_REUSEPORT`): one
    /// per shard.
    pub reuse_port: bool,
    /// Octets asked for as the socket's receive buffer; the system may give less (`net.core.rmem_max`).
    pub receive_buffer: usize,
    /// Octets asked for as the socket's send buffer; the system may give less (`net.core.wmem_max`).
    pub send_buffer: usize,
    /// Differentiated services code point of what is sent (RFC 2474), 0 to 63; 0 leaves the system's.
    pub dscp: u8,
    /// Whether the kernel says when a datagram came (`SO_TIMESTAMPNS`). It costs a little, and the time at which a message
    /// is read is the same where sockets are read at once: for those that read by a beat
    /// ([`crate::StackBuilder::beat`]).
    pub timestamps: bool,
    /// Whether the address need not be one of this machine yet (`IP_FREEBIND`).
    pub free_bind: bool,
}

impl Default for UdpOptions {
    fn default() -> Self {
        UdpOptions {
            reuse_port: false,
            receive_buffer: 4 << 20,
            send_buffer: 4 << 20,
            dscp: 0,
            timestamps: false,
            free_bind: false,
        }
    }
}

/// How a TCP transport is set up.
#[derive(Clone, Debug)]
pub struct TcpOptions {
    /// Whether several listeners may have the address, the kernel spreading the connections over them
    /// (`SO_REUSEPORT`): one per shard.
    pub reuse_port: bool,
    /// Whether the address need not be one of this machine yet (`IP_FREEBIND`).
    pub free_bind: bool,
    /// Differentiated services code point of what is sent (RFC 2474), 0 to 63; 0 leaves the system's.
    pub dscp: u8,
    /// Connections alive at once; when they are as many, the one idle longest is closed for a new one,
    /// one that was promised keep-alives (RFC 5626 §4.4) only when there is no other.
    pub max_connections: usize,
    /// Accepted connections from one address alive at once, from one /64 of IPv6; one more is closed as it comes. Many
    /// devices may share one address behind a NAT.
    pub max_per_source: usize,
    /// Octets that may wait in the write queue of one connection; what is above fails as congested.
    pub write_queue: usize,
    /// How long a connection may take to come up.
    pub connect_timeout: Duration,
    /// How long the peers of a connection may take to agree on TLS and WebSocket.
    pub handshake_timeout: Duration,
    /// Accepted connections that have not yet agreed on TLS or WebSocket, at most; for one more the oldest of them is
    /// closed. One source may have an eighth of them, and what it opens beyond that is closed as it comes.
    pub max_handshakes: usize,
    /// How long a connection may carry nothing before it is closed.
    pub idle_timeout: Duration,
}

impl Default for TcpOptions {
    fn default() -> Self {
        TcpOptions {
            reuse_port: false,
            free_bind: false,
            dscp: 0,
            max_connections: 10_000,
            max_per_source: 2_000,
            write_queue: 1 << 20,
            connect_timeout: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(5),
            max_handshakes: 1_000,
            idle_timeout: Duration::from_secs(600),
        }
    }
}

/// How the WebSocket transports are set up (RFC 7118), beside their [`TcpOptions`].
#[derive(Clone, Debug)]
pub struct WsOptions {
    /// The only path that a client may ask for, as `/ws`; none: any.
    pub path: Option<String>,
    /// The origins whose scripts may connect, as `https://phone.example.com`; empty: any. A client that names none is
    /// no browser, and passes.
    pub origins: Vec<String>,
    /// How long nothing may come from a client before it is sent a ping; when nothing has come as long again, its
    /// connection is closed. None: no pings.
    pub ping: Option<Duration>,
    /// The path to ask for where we connect, as `/ws`; none: clients connect to us, and nobody is connected to.
    pub connect: Option<String>,
    /// Octets of one message, at most. [`crate::StackBuilder`] takes [`crate::message::Limits::message`].
    pub message: usize,
    /// Octets that the incomplete messages of all connections of a transport may take; above that the connection whose
    /// message is incomplete longest is closed. [`crate::StackBuilder`] takes [`crate::StackOptions::partial_octets`].
    pub partial_octets: usize,
}

impl Default for WsOptions {
    fn default() -> Self {
        WsOptions {
            path: None,
            origins: Vec::new(),
            ping: None,
            connect: None,
            message: 256 << 10,
            partial_octets: 64 << 20,
        }
    }
}
