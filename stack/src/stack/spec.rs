//! What a stack is asked to open, and why it did not start.

use crate::transport::{BindError, TransportType};
use crate::uri::Host;
use rutil::rng::EntropyError;
use std::io;
use std::net::SocketAddr;

/// A transport to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportSpec {
    pub(super) kind: TransportType,
    pub(super) bind: SocketAddr,
    pub(super) advertise: Option<SocketAddr>,
    pub(super) dscp: u8,
    pub(super) record_as: Option<Host<'static>>,
    pub(super) free_bind: bool,
}

impl TransportSpec {
    /// A transport of a type on an address; port 0 takes a free one. What the types ask for is said at the functions that are
    /// named after them.
    pub fn new(kind: TransportType, bind: SocketAddr) -> Self {
        TransportSpec { kind, bind, advertise: None, dscp: 0, record_as: None, free_bind: false }
    }

    /// UDP on an address; port 0 takes a free one.
    pub fn udp(bind: SocketAddr) -> Self {
        Self::new(TransportType::Udp, bind)
    }

    /// TCP on an address: listens, and connects from it; port 0 takes a free one.
    pub fn tcp(bind: SocketAddr) -> Self {
        Self::new(TransportType::Tcp, bind)
    }

    /// TLS over TCP on an address: listens, and connects from it; port 0 takes a free one. The stack must be given
    /// certificates ([`super::StackBuilder::tls`]).
    pub fn tls(bind: SocketAddr) -> Self {
        Self::new(TransportType::Tls, bind)
    }

    /// WebSocket (RFC 7118) on an address: clients connect to it, and nothing is connected from it; port 0 takes a free
    /// one.
    pub fn ws(bind: SocketAddr) -> Self {
        Self::new(TransportType::Ws, bind)
    }

    /// WebSocket over TLS, as [`TransportSpec::ws`]. The stack must be given certificates ([`super::StackBuilder::tls`]).
    pub fn wss(bind: SocketAddr) -> Self {
        Self::new(TransportType::Wss, bind)
    }

    /// What Via and Record-Route say instead of the bound address.
    pub fn advertise(mut self, address: SocketAddr) -> Self {
        self.advertise = Some(address);
        self
    }

    /// A name for Record-Route instead of the address, which leads here and to other machines that record the same
    /// (RFC 3263): a dialog outlives one of them. Where a Record-Route names a flow, it has the address.
    pub fn record_as(mut self, name: Host<'static>) -> Self {
        self.record_as = Some(name);
        self
    }

    /// The address need not be one of this machine yet: as a virtual one that moves from machine to machine (`IP_FREEBIND`).
    /// What is sent to it comes here once it is.
    pub fn free_bind(mut self) -> Self {
        self.free_bind = true;
        self
    }

    /// Marks what it sends with a differentiated services code point (RFC 2474), 0 to 63: IPv4's type of service, IPv6's
    /// traffic class. 0, as without, leaves the system's. RFC 4594 gives signalling 40 (CS5).
    pub fn dscp(mut self, code_point: u8) -> Self {
        self.dscp = code_point;
        self
    }

    /// The address to bind.
    pub fn bind_address(&self) -> SocketAddr {
        self.bind
    }

    /// The type of the transport.
    pub fn kind(&self) -> TransportType {
        self.kind
    }
}

/// Why a stack did not start.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// A transport could not be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A secure transport without certificates.
    #[error("{} {addr} needs a certificate: give the stack one", .kind.as_param())]
    NoTls {
        /// The transport's type.
        kind: TransportType,
        /// The address asked for.
        addr: SocketAddr,
    },
    /// A differentiated services code point has six bits.
    #[error("DSCP {0} does not exist: use 0 to 63")]
    Dscp(u8),
    /// A transaction user that serves one shard only ([`crate::tu::TuOptions::one_shard`]).
    #[error(
        "a transaction user keeps its dialogs on one shard: place the stack inline or staged, not on {shards} shards"
    )]
    OneShard {
        /// The shards asked for.
        shards: usize,
    },
    /// More transports or shards than can be named.
    #[error("too many transports or shards: at most 255 of each")]
    TooMany,
    /// No randomness, no threads or no descriptors.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
    /// The system gives no randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}
