//! Who the peers of TLS connections have proved to be (RFC 5922 §7), for transaction users to ask.

use super::{ConnectionId, Flow, TransportId};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;

/// One connection of one transport.
type Key = (TransportId, ConnectionId);

/// The SIP domains of peers by connection. An entry is as old as its connection, which a transport's table bounds; a peer
/// without a certificate has none. Written when TLS is agreed on and when a connection ends, never under a message.
#[derive(Debug, Default)]
pub struct ProvedPeers {
    domains: RwLock<HashMap<Key, Arc<[String]>>>,
}

impl ProvedPeers {
    /// The SIP domains that the peer of this flow has proved to be, in lower case; none for a flow without TLS, without a
    /// certificate of the peer's, or that has ended.
    pub fn of(&self, flow: &Flow) -> Option<Arc<[String]>> {
        if !flow.kind.is_secure() {
            return None;
        }
        self.domains.read().get(&(flow.transport, flow.connection)).cloned()
    }

    pub(super) fn insert(&self, transport: TransportId, connection: ConnectionId, domains: Arc<[String]>) {
        self.domains.write().insert((transport, connection), domains);
    }

    pub(super) fn remove(&self, transport: TransportId, connection: ConnectionId) {
        self.domains.write().remove(&(transport, connection));
    }
}
