//! Why a transport could not be set up.

use super::TransportType;
use std::io;
use std::net::SocketAddr;

/// Why a transport could not be added to its [`super::PollGroup`]. The text says what, where and what to do.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another socket has the address.
    #[error("{} {addr} is in use: stop the other program or choose another port with --listen", .kind.as_param())]
    InUse {
        /// The transport's type.
        kind: TransportType,
        /// The address asked for.
        addr: SocketAddr,
    },
    /// No interface of this machine has the address.
    #[error("{} {addr} is not an address of this machine: choose one that `ip address` lists", .kind.as_param())]
    NotLocal {
        /// The transport's type.
        kind: TransportType,
        /// The address asked for.
        addr: SocketAddr,
    },
    /// The system does not let this user have the port.
    #[error("{} {addr} is not permitted: choose a port above 1023, or give the program CAP_NET_BIND_SERVICE", .kind.as_param())]
    Denied {
        /// The transport's type.
        kind: TransportType,
        /// The address asked for.
        addr: SocketAddr,
    },
    /// A poll group has as many transports as its tokens can name.
    #[error("{} {addr} is one transport too many for this runner (the most is {most}): listen on fewer addresses", .kind.as_param())]
    TooMany {
        /// The transport's type.
        kind: TransportType,
        /// The address asked for.
        addr: SocketAddr,
        /// The limit.
        most: usize,
    },
    /// Any other error of the operating system.
    #[error("{} {addr} cannot be opened: {source}", .kind.as_param())]
    Io {
        /// The transport's type.
        kind: TransportType,
        /// The address asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl BindError {
    /// Sorts what the system said about `addr`.
    pub(super) fn new(kind: TransportType, addr: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse { kind, addr },
            io::ErrorKind::AddrNotAvailable => BindError::NotLocal { kind, addr },
            io::ErrorKind::PermissionDenied => BindError::Denied { kind, addr },
            _ => BindError::Io { kind, addr, source },
        }
    }
}
