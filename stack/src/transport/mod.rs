//! Transports: sockets to bytes and back. What crosses the `rx` and `wire[t]` FIFOs is defined here.
//!
//! One [`PollGroup`] a runner owns all its sockets: datagrams go out and in by batches of 32 a system call, streams
//! by chunks of at most 64 KiB in and by gathered writes out. Datagrams that find `rx` full are shed and counted; of
//! a stream nothing is lost.

mod connection;
mod drops;
mod error;
mod errqueue;
mod filter;
mod heard;
mod interfaces;
mod local;
mod mmsg;
mod options;
mod poll_group;
mod proved;
mod route;
mod socket;
mod stats;
mod stream;
mod table;
mod tcp;
pub mod tls;
mod udp;
mod ws;

#[cfg(test)]
mod tests;

pub use error::BindError;
pub(crate) use filter::decides;
pub use heard::HeardFlows;
pub(crate) use interfaces::AddressWatch;
pub use interfaces::{InterfaceAddress, Interfaces, Latest};
pub(crate) use local::Text;
pub use local::{TransportInfo, TransportTable, Way};
pub use options::{TcpOptions, UdpOptions, WsOptions};
pub use poll_group::{FailureSink, PollGroup};
pub use proved::ProvedPeers;
pub use route::{RouteQuery, system_route};
pub(crate) use route::{Routes, towards_world};
pub use stats::{TransportSnapshot, TransportStats};
pub use table::source_of;

use bytes::Bytes;
use rutil::Time;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// How a SIP message travels (the transport of a Via's sent-protocol).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TransportType {
    /// Datagrams; unreliable.
    Udp,
    /// A byte stream.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// WebSocket (RFC 7118).
    Ws,
    /// WebSocket over TLS.
    Wss,
}

impl TransportType {
    /// Whether the transport itself delivers or reports failure (RFC 3261 §17: no retransmissions then).
    pub const fn is_reliable(self) -> bool {
        !matches!(self, TransportType::Udp)
    }
    /// Whether the wire is encrypted.
    pub const fn is_secure(self) -> bool {
        matches!(self, TransportType::Tls | TransportType::Wss)
    }
    /// The port where none is given (RFC 3261 §18.2.1, RFC 7118 §5.3).
    pub const fn default_port(self) -> u16 {
        match self {
            TransportType::Udp | TransportType::Tcp => 5060,
            TransportType::Tls => 5061,
            TransportType::Ws => 80,
            TransportType::Wss => 443,
        }
    }
    /// The name in a Via: upper case.
    pub const fn as_str(self) -> &'static str {
        match self {
            TransportType::Udp => "UDP",
            TransportType::Tcp => "TCP",
            TransportType::Tls => "TLS",
            TransportType::Ws => "WS",
            TransportType::Wss => "WSS",
        }
    }
    /// The name in a URI's `transport` parameter: lower case.
    pub const fn as_param(self) -> &'static str {
        match self {
            TransportType::Udp => "udp",
            TransportType::Tcp => "tcp",
            TransportType::Tls => "tls",
            TransportType::Ws => "ws",
            TransportType::Wss => "wss",
        }
    }
    /// Reads a name in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Udp, Self::Tcp, Self::Tls, Self::Ws, Self::Wss]
            .into_iter()
            .find(|t| t.as_str().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for TransportType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Names one transport of a stack: its index in the order of `add_transport`; it picks the `wire[t]` FIFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransportId(pub u16);

/// Names one connection of one transport, never used twice. Zero for datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ConnectionId(pub u64);

impl ConnectionId {
    /// None that stands: one is opened for what names it.
    pub const NEW: ConnectionId = ConnectionId(u64::MAX);
}

/// Where a message came from, and how an answer gets back: a transport, the peer's address and, for streams, the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The transport that received it.
    pub transport: TransportId,
    /// That transport's type.
    pub kind: TransportType,
    /// The connection; zero for datagrams.
    pub connection: ConnectionId,
    /// The peer's address and port.
    pub peer: SocketAddr,
    /// Our address, where the transport is bound to all addresses (a wildcard): the one that it came to, or that it is
    /// to leave from. `None`: the one that the transport is bound to, or the kernel's choice.
    pub local: Option<IpAddr>,
}

/// What crosses `rx`: transport → message-header scanner.
#[derive(Debug)]
pub enum Received {
    /// One datagram, or one message of a WebSocket.
    Datagram {
        /// Its octets, in a buffer of exactly their size.
        bytes: Bytes,
        /// Where it came from.
        flow: Flow,
        /// When its batch was read.
        at: Time,
    },
    /// The next octets of a stream.
    Chunk {
        /// The octets.
        bytes: Bytes,
        /// The connection.
        flow: Flow,
        /// When it was read.
        at: Time,
    },
    /// The connection is gone; what was half received is worth nothing.
    Closed {
        /// The connection.
        flow: Flow,
    },
    /// Requests that were written to a connection which is gone: no answer will come there. It comes behind all that
    /// was read from the connection, so that it overtakes no answer.
    Unanswered {
        /// The connection.
        flow: Flow,
        /// Who is to hear of it; answered requests may be among them.
        requests: Vec<Notify>,
    },
    /// A datagram did not arrive: an ICMP error came back (RFC 3261 §18.4).
    Undelivered {
        /// Its first octets, as many as the error quotes.
        quote: Bytes,
        /// Where it was sent.
        flow: Flow,
        /// Why it did not arrive.
        error: TransportError,
    },
}

/// Who is told what became of a send: an opaque number of the transaction layer (shard and transaction key).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Notify {
    /// The transaction shard whose `txn` FIFO gets the news.
    pub shard: u16,
    /// The transaction's key there.
    pub key: u64,
}

/// What crosses `wire[t]`: selector (and scanner) → transport.
#[derive(Debug)]
pub enum Wire {
    /// Send these octets.
    Send {
        /// One whole message.
        bytes: Bytes,
        /// The peer.
        peer: SocketAddr,
        /// The address to send or connect from, as [`Flow::local`].
        local: Option<IpAddr>,
        /// TLS: the host of the URI that led there, which the peer has to prove to be (RFC 5922 §7.3); none where the
        /// flow is known.
        domain: Option<Arc<str>>,
        /// Streams: use this connection if it still lives; else (and for zero) any live connection to `peer`, else
        /// connect.
        connection: ConnectionId,
        /// Streams: whether a new connection may be opened to `peer` when none lives.
        connect: bool,
        /// Who hears of a failure.
        notify: Option<Notify>,
    },
    /// The peer of an accepted connection listens at this port too, and wants requests on the connection (RFC 5923):
    /// those for its address and this port go there, if it has proved to be who they are for.
    Alias {
        /// The connection.
        connection: ConnectionId,
        /// The port of the Via's sent-by.
        port: u16,
    },
    /// The peer of this connection has promised keep-alives: it is closed when nothing comes for so long (RFC 5626 §4.4). A
    /// WebSocket has pings instead.
    Expect {
        /// The connection.
        connection: ConnectionId,
        /// The longest silence.
        within: Duration,
    },
    /// Wants a sign of life of the peer of this connection (RFC 5626 §4.4.1): a double CRLF goes out, and the connection is
    /// closed when nothing has come after so long; with none, nothing is expected. Over a WebSocket it is a ping.
    Ping {
        /// The connection.
        connection: ConnectionId,
        /// The longest wait.
        within: Option<Duration>,
    },
    /// Streams: connect, and tell what became of it ([`Connected`]); a connection that lives, or comes up, will do.
    Connect {
        /// The peer.
        peer: SocketAddr,
        /// As in [`Wire::Send`].
        local: Option<IpAddr>,
        /// As in [`Wire::Send`].
        domain: Option<Arc<str>>,
        /// Who asks.
        attempt: Attempt,
    },
    /// Nobody waits any more for the connection of an attempt: close it, unless others use it.
    GiveUp {
        /// The peer.
        peer: SocketAddr,
        /// Who asked.
        attempt: Attempt,
    },
    /// Read nothing more from this connection (a stream whose framing is lost), and close it when the answers to what
    /// was read before have had half a second to be sent, and what is queued has gone out.
    Close {
        /// The connection.
        connection: ConnectionId,
    },
}

/// Names one connection of a race: an opaque number of the selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// The race.
    pub race: u64,
    /// The attempt in it.
    pub number: u8,
}

/// What crosses `connected`: transports → selector.
#[derive(Clone, Copy, Debug)]
pub struct Connected {
    /// Which attempt.
    pub attempt: Attempt,
    /// The connection that messages may go out on, or why there is none.
    pub result: Result<ConnectionId, TransportError>,
}

/// Why a message could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TransportError {
    /// The peer refused the connection or answered with an ICMP error.
    #[error("connection refused")]
    Refused,
    /// Network or host unreachable, or no route.
    #[error("unreachable")]
    Unreachable,
    /// The connection was lost with the message unsent or unanswered.
    #[error("connection lost")]
    ConnectionLost,
    /// The connection did not come up in time.
    #[error("connection timed out")]
    ConnectTimeout,
    /// The peers did not agree on TLS or WebSocket, or the peer could not prove who it is.
    #[error("TLS or WebSocket handshake failed")]
    Handshake,
    /// The write queue or the `wire` FIFO is full.
    #[error("congested")]
    Congested,
    /// There is no connection and none may be opened.
    #[error("no connection")]
    NoConnection,
    /// The stack has no transport of this type or address family.
    #[error("no such transport")]
    NoTransport,
    /// The message is larger than the transport can carry.
    #[error("message too large")]
    TooLarge,
    /// Any other error of the operating system.
    #[error("input/output error")]
    Io,
}

/// What a transport tells the transaction shard that asked ([`Notify`]).
#[derive(Clone, Copy, Debug)]
pub struct TransportFailed {
    /// The transaction.
    pub notify: Notify,
    /// Why.
    pub error: TransportError,
}

impl TransportError {
    /// What an error of the operating system on a send or a connect means for the message.
    pub(crate) fn from_io(error: &std::io::Error) -> Self {
        use std::io::ErrorKind as K;
        match error.kind() {
            K::ConnectionRefused => TransportError::Refused,
            K::HostUnreachable | K::NetworkUnreachable | K::AddrNotAvailable => TransportError::Unreachable,
            K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe | K::NotConnected => {
                TransportError::ConnectionLost
            }
            K::TimedOut => TransportError::ConnectTimeout,
            _ => match error.raw_os_error().map(nix::errno::Errno::from_raw) {
                Some(nix::errno::Errno::EMSGSIZE) => TransportError::TooLarge,
                Some(nix::errno::Errno::ENOBUFS) => TransportError::Congested,
                // A socket bound to a loopback address has no route to the world: the kernel calls that EINVAL.
                Some(nix::errno::Errno::EINVAL) => TransportError::Unreachable,
                _ => TransportError::Io,
            },
        }
    }
}
