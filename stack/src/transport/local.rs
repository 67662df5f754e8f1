//! The transports of a stack, and what they write into Via and Record-Route.

use super::{TransportId, TransportType};
use crate::uri::Host;
use std::net::{IpAddr, SocketAddr};

/// One transport as the rest of the stack sees it.
#[derive(Clone, Debug)]
pub struct TransportInfo {
    /// Its name; its index in the table.
    pub id: TransportId,
    /// How it carries messages.
    pub kind: TransportType,
    /// The shard whose runner drives it.
    pub shard: u16,
    /// What it is bound to.
    pub bound: SocketAddr,
    /// The address that peers are told: the bound one, or for a wildcard the machine's own.
    pub advertised: SocketAddr,
    /// `SIP/2.0/UDP 192.0.2.1:5060;branch=`
    via: Box<str>,
    /// `<sip:192.0.2.1:5060;lr>`
    record_route: Box<str>,
}

impl TransportInfo {
    /// Describes a transport.
    pub fn new(id: TransportId, kind: TransportType, shard: u16, bound: SocketAddr, advertised: SocketAddr) -> Self {
        let via = format!("SIP/2.0/{kind} {advertised};branch=").into();
        let record_route = match kind {
            TransportType::Udp => format!("<sip:{advertised};lr>"),
            _ => format!("<sip:{advertised};transport={};lr>", kind.as_param()),
        };
        TransportInfo { id, kind, shard, bound, advertised, via, record_route: record_route.into() }
    }

    pub(crate) fn via(&self) -> &[u8] {
        self.via.as_bytes()
    }

    pub(crate) fn record_route(&self) -> &[u8] {
        self.record_route.as_bytes()
    }
}

/// All transports of a stack, in the order of their names.
#[derive(Clone, Debug, Default)]
pub struct TransportTable {
    all: Vec<TransportInfo>,
}

impl TransportTable {
    /// A table of transports whose names are their indices.
    pub fn new(all: Vec<TransportInfo>) -> Self {
        TransportTable { all }
    }

    /// The transport with this name.
    pub fn get(&self, id: TransportId) -> Option<&TransportInfo> {
        self.all.get(usize::from(id.0))
    }

    /// All transports.
    pub fn iter(&self) -> impl Iterator<Item = &TransportInfo> {
        self.all.iter()
    }

    /// A transport of this type that reaches `peer`: on the same shard where there is one. Loopback transports reach
    /// only loopback peers and are preferred for them.
    pub fn towards(&self, kind: TransportType, peer: IpAddr, shard: u16) -> Option<&TransportInfo> {
        let fits = |t: &&TransportInfo| t.kind == kind && t.bound.is_ipv4() == peer.is_ipv4();
        let rank = |t: &&TransportInfo| {
            let loopback = t.bound.ip().is_loopback() != peer.is_loopback();
            (t.shard != shard, loopback, t.id)
        };
        self.all.iter().filter(fits).min_by_key(rank)
    }

    /// Whether host and port are one of ours. Without a port, the default port of the transport is meant.
    pub fn is_local(&self, host: &Host<'_>, port: Option<u16>) -> bool {
        let Some(ip) = host.ip() else { return false };
        self.all.iter().any(|t| {
            let same = t.advertised.ip() == ip || t.bound.ip() == ip;
            same && t.advertised.port() == port.unwrap_or_else(|| t.kind.default_port())
        })
    }
}
