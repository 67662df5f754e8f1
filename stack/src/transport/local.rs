//! The transports of a stack, what they write into Via and Record-Route, and which of them leads to a peer.

use super::interfaces::{Interfaces, Latest};
use super::{ConnectionId, Flow, HeardFlows, ProvedPeers, TransportId, TransportType};
use crate::uri::Host;
use smallvec::SmallVec;
use std::fmt::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::sync::Arc;

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
    /// The address that peers are told: the bound one. Of a wildcard, the one towards the world at the start; peers are
    /// told the one towards them.
    pub advertised: SocketAddr,
    /// Peers are told the address towards them.
    by_route: bool,
    /// `SIP/2.0/UDP 192.0.2.1:5060;branch=`
    via: Box<str>,
    /// `192.0.2.1:5060;lr>`
    record_route: Box<str>,
    /// `example.com;lr>`: what leads to any of several machines.
    shared: Option<Box<str>>,
}

impl TransportInfo {
    /// Describes a transport. One that is bound to all addresses tells each peer the one towards it.
    pub fn new(id: TransportId, kind: TransportType, shard: u16, bound: SocketAddr, advertised: SocketAddr) -> Self {
        let (mut via, mut record_route) = (String::new(), String::new());
        // A String takes everything.
        let _ = write_via(&mut via, kind, advertised);
        let _ = write_record_route(&mut record_route, kind, advertised);
        let by_route = bound.ip().is_unspecified();
        TransportInfo {
            id,
            kind,
            shard,
            bound,
            advertised,
            by_route,
            via: via.into(),
            record_route: record_route.into(),
            shared: None,
        }
    }

    /// Says this name in Record-Route instead of an address: it leads to this machine and to others that do the same
    /// (RFC 3263), so that a dialog outlives one of them.
    pub fn recorded_as(mut self, name: &Host<'_>) -> Self {
        let mut shared = String::new();
        // A String takes everything.
        let _ = write_record_route(&mut shared, self.kind, name);
        self.shared = Some(shared.into());
        self
    }

    /// Tells every peer the advertised address: whoever set it knows better than the routes, as behind a NAT.
    pub fn always_advertised(mut self) -> Self {
        self.by_route = false;
        self
    }

    /// Whether each peer is told the address towards it.
    pub(crate) fn is_by_route(&self) -> bool {
        self.by_route
    }

    /// Whether it is bound to all addresses.
    pub fn is_wildcard(&self) -> bool {
        self.bound.ip().is_unspecified()
    }

    /// What stands in a Via before the branch; `local` is the address that the message leaves from.
    pub(crate) fn via(&self, local: Option<IpAddr>) -> Text<'_> {
        self.text(local, &self.via, write_via)
    }

    /// The Record-Route that leads to it, behind `<sip:` and what may be the user part; `local` as in a [`Flow`] of the side that will use it.
    pub(crate) fn record_route(&self, local: Option<IpAddr>) -> Text<'_> {
        self.text(local, &self.record_route, write_record_route)
    }

    /// The Record-Route for who may use any of the machines with its name, else as [`TransportInfo::record_route`].
    pub(crate) fn shared_route(&self, local: Option<IpAddr>) -> Text<'_> {
        self.shared.as_deref().map_or_else(|| self.record_route(local), Text::Usual)
    }

    fn text<'t>(
        &'t self,
        local: Option<IpAddr>,
        usual: &'t str,
        write: fn(&mut dyn Write, TransportType, SocketAddr) -> fmt::Result,
    ) -> Text<'t> {
        let Some(local) = local.filter(|_| self.by_route) else { return Text::Usual(usual) };
        let mut written = Buffer(SmallVec::new());
        match write(&mut written, self.kind, SocketAddr::new(local, self.bound.port())) {
            Ok(()) => Text::Written(written.0),
            Err(fmt::Error) => Text::Usual(usual),
        }
    }
}

fn write_via(out: &mut dyn Write, kind: TransportType, address: SocketAddr) -> fmt::Result {
    // RFC 5923 §4: whoever gets our requests may send his own on the same connection.
    let alias = if kind == TransportType::Tls { ";alias" } else { "" };
    write!(out, "SIP/2.0/{kind} {address}{alias};branch=")
}

fn write_record_route(out: &mut dyn Write, kind: TransportType, address: impl fmt::Display) -> fmt::Result {
    match kind {
        TransportType::Udp => write!(out, "{address};lr>"),
        // RFC 7118 defines no other parameter for WSS.
        TransportType::Wss => write!(out, "{address};transport=ws;lr>"),
        _ => write!(out, "{address};transport={};lr>", kind.as_param()),
    }
}

/// Octets that no address is too long for.
type Octets = SmallVec<[u8; 96]>;

struct Buffer(Octets);

impl Write for Buffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Octets of a header, written at the start or for this message.
pub(crate) enum Text<'t> {
    Usual(&'t str),
    Written(Octets),
}

impl Deref for Text<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Text::Usual(text) => text.as_bytes(),
            Text::Written(octets) => octets,
        }
    }
}

/// How a message leaves: the transport, and the address where the transport has all.
#[derive(Clone, Copy, Debug)]
pub struct Way<'t> {
    /// The transport.
    pub transport: &'t TransportInfo,
    /// As [`Flow::local`].
    pub local: Option<IpAddr>,
}

impl Way<'_> {
    /// The flow to a peer, on any connection.
    pub fn flow(self, peer: SocketAddr) -> Flow {
        let TransportInfo { id, kind, .. } = *self.transport;
        Flow { transport: id, kind, connection: ConnectionId::default(), peer, local: self.local }
    }
}

/// All transports of a stack, in the order of their names, and the machine's addresses as they were at the last
/// [`TransportTable::refresh`]. A clone is cheap and has the same transports.
#[derive(Clone, Debug)]
pub struct TransportTable {
    all: Arc<[TransportInfo]>,
    interfaces: Arc<Interfaces>,
    seen: u64,
    latest: Arc<Latest>,
    proved: Arc<ProvedPeers>,
    heard: Arc<HeardFlows>,
}

impl TransportTable {
    /// A table of transports whose names are their indices. It knows no interfaces until some are published.
    pub fn new(all: Vec<TransportInfo>) -> Self {
        TransportTable {
            all: all.into(),
            interfaces: Arc::default(),
            seen: 0,
            latest: Arc::default(),
            proved: Arc::default(),
            heard: Arc::default(),
        }
    }

    /// The same table with the peers of its transports.
    pub(crate) fn with_proved(self, proved: Arc<ProvedPeers>) -> Self {
        TransportTable { proved, ..self }
    }

    /// Who the peers of TLS connections have proved to be.
    pub fn proved(&self) -> &ProvedPeers {
        &self.proved
    }

    /// Which flows over UDP are silent whose devices have promised keep-alives.
    pub fn heard(&self) -> &HeardFlows {
        &self.heard
    }

    /// Where the machine's addresses are published, for this table and its clones.
    pub fn latest(&self) -> &Arc<Latest> {
        &self.latest
    }

    /// Takes note of the machine's addresses; whether they are others than before. Actors do so at each turn.
    pub fn refresh(&mut self) -> bool {
        let Some((seen, interfaces)) = self.latest.since(self.seen) else { return false };
        (self.seen, self.interfaces) = (seen, interfaces);
        true
    }

    /// Whether the machine's addresses matter: a transport is bound to all, or there is a choice between several.
    pub fn needs_interfaces(&self) -> bool {
        let alike = |a: &TransportInfo, b: &TransportInfo| a.kind == b.kind && a.bound.is_ipv4() == b.bound.is_ipv4();
        self.iter().any(|a| a.is_wildcard() || self.iter().any(|b| alike(a, b) && a.bound.ip() != b.bound.ip()))
    }

    /// The transport with this name.
    pub fn get(&self, id: TransportId) -> Option<&TransportInfo> {
        self.all.get(usize::from(id.0))
    }

    /// All transports.
    pub fn iter(&self) -> impl Iterator<Item = &TransportInfo> {
        self.all.iter()
    }

    /// Whether a transport of this type has the address family of `peer`.
    pub fn reaches(&self, kind: TransportType, peer: IpAddr) -> bool {
        self.iter().any(|t| t.kind == kind && t.bound.is_ipv4() == peer.is_ipv4())
    }

    /// A transport of this type that leads to `peer`: on the same shard where there is one, and the one that has the
    /// address that `source` says leads there. `source` is asked only when there is a choice.
    ///
    /// Else it is one whose link `peer` is on, or which is on the interface that leads there, or any: a loopback
    /// transport for loopback peers and another for others, the first that was added.
    pub fn towards(
        &self,
        kind: TransportType,
        peer: IpAddr,
        shard: u16,
        source: impl FnOnce(IpAddr) -> Option<IpAddr>,
    ) -> Option<Way<'_>> {
        let fits = |t: &&TransportInfo| t.kind == kind && t.bound.is_ipv4() == peer.is_ipv4();
        let near = self.iter().filter(fits).any(|t| t.shard == shard);
        let candidates = || self.iter().filter(fits).filter(|t| !near || t.shard == shard);
        let first = candidates().next()?;
        if !first.by_route && candidates().all(|t| t.bound.ip() == first.bound.ip()) {
            return Some(Way { transport: first, local: None });
        }
        let source = source(peer);
        let transport = candidates().min_by_key(|t| (self.distance(t, source, peer), t.id))?;
        Some(Way { transport, local: source.filter(|_| transport.by_route) })
    }

    /// How badly a transport fits a peer that our address `source` leads to.
    fn distance(&self, t: &TransportInfo, source: Option<IpAddr>, peer: IpAddr) -> (bool, u8) {
        let own = t.bound.ip();
        if t.is_wildcard() || source == Some(own) {
            return (false, 0);
        }
        let far = match source {
            _ if self.interfaces.on_link(own, peer) => 1,
            Some(source) if self.interfaces.share_interface(own, source) => 2,
            _ => 3,
        };
        (own.is_loopback() != peer.is_loopback(), far)
    }

    /// Takes note of an address that a message is about to leave from, so that the answer to it is known as ours: the
    /// kernel knows of a new address before it was read.
    pub(crate) fn learn(&self, local: Option<IpAddr>) {
        if let Some(ip) = local.filter(|ip| !self.interfaces.contains(*ip)) {
            self.latest.learn(ip);
        }
    }

    /// Whether host and port are one of ours: of a transport that is bound to all, every address of this machine is.
    /// Without a port, the default port of the transport is meant.
    pub fn is_local(&self, host: &Host<'_>, port: Option<u16>) -> bool {
        let Some(ip) = host.ip() else { return false };
        self.iter().any(|t| {
            let port = port.unwrap_or_else(|| t.kind.default_port());
            if t.advertised.port() == port && (t.advertised.ip() == ip || t.bound.ip() == ip) {
                return true;
            }
            t.is_wildcard()
                && t.bound.port() == port
                && t.bound.is_ipv4() == ip.is_ipv4()
                && self.interfaces.contains(ip)
        })
    }
}

#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;
