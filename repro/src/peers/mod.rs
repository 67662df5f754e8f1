//! Peers: other networks, each with rules of its own for what comes from it and what goes to it.

pub mod identity;
mod record;
#[cfg(test)]
mod tests;

pub use identity::IdentityForm;
pub use record::{HeaderLine, HeaderName, MethodName, NamesOut, PeerRecord};

use crate::config::Network;
use stack::message::Message;
use stack::uri::Host;
use std::net::IpAddr;

/// Octets of SIP in one TCP segment: what a packet of 1500 octets has beside the headers of IPv6 and TCP and TCP's time
/// stamps (40, 20 and 12). With IPv4 there are 20 more.
const SEGMENT: u32 = 1428;

/// A peer, ready for look-ups.
#[derive(Debug)]
pub struct Peer {
    /// As it was written.
    pub record: PeerRecord,
}

/// All peers. Those of a proxy are some tens, and are looked through.
#[derive(Debug, Default)]
pub struct Peers {
    all: Box<[Peer]>,
    /// The networks of all, the smallest first, with whose they are.
    networks: Box<[(Network, usize)]>,
    /// Whether any is told by From who calls.
    pub rewrites_from: bool,
}

impl Peers {
    /// Makes a table of their records.
    pub fn new(records: impl Iterator<Item = PeerRecord>) -> Self {
        let all: Box<[Peer]> = records.map(|record| Peer { record }).collect();
        let networks = |(at, peer): (usize, &Peer)| {
            peer.record.networks.iter().map(move |network| (*network, at)).collect::<Vec<_>>()
        };
        let mut networks: Box<[(Network, usize)]> = all.iter().enumerate().flat_map(networks).collect();
        networks.sort_by_key(|(network, _)| std::cmp::Reverse(network.prefix().1));
        let rewrites_from = all.iter().any(|peer| peer.record.identity == Some(IdentityForm::From));
        Peers { all, networks, rewrites_from }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The peer that sends from an address: that with the smallest network around it.
    pub fn at(&self, address: IpAddr) -> Option<&Peer> {
        let (_, at) = self.networks.iter().find(|(network, _)| network.contains(address))?;
        self.all.get(*at)
    }

    /// The peer that a trunk leads to.
    pub fn of_trunk(&self, trunk: &str) -> Option<&Peer> {
        self.all.iter().find(|peer| peer.record.trunks.iter().any(|name| name == trunk))
    }

    /// The peer that alone may send in the name of a domain.
    pub fn with_domain(&self, host: &Host<'_>) -> Option<&Peer> {
        self.all.iter().find(|peer| peer.record.domains.iter().any(|domain| domain.0 == *host))
    }
}

impl Peer {
    /// Whether requests of a method go to and from it. What ends or belongs to an allowed request is allowed.
    pub fn allows(&self, method: &str) -> bool {
        matches!(method, "ACK" | "CANCEL") || self.record.methods.iter().any(|allowed| *allowed.0 == *method)
    }

    /// What is allowed, as an Allow says it.
    pub fn allow(&self) -> String {
        self.record.methods.iter().map(|method| &*method.0).collect::<Vec<_>>().join(", ")
    }

    /// The most octets of a request to or from it on a connection.
    pub fn most_octets(&self) -> Option<u32> {
        self.record.max_segments.map(|segments| u32::from(segments) * SEGMENT)
    }

    /// Whether messages to it are changed.
    pub fn edits(&self) -> bool {
        let record = &self.record;
        record.names.is_some() || !record.remove.is_empty() || !record.add.is_empty()
    }

    /// Writes a message as this peer wants it: without the headers that it is not to see, with those that it expects,
    /// and their names in its form. A response gets no headers that it did not have.
    pub fn edit(&self, msg: &mut Message) {
        for name in &self.record.remove {
            msg.remove_lines(name.as_str());
        }
        if msg.is_request() {
            for line in &self.record.add {
                msg.remove_lines(line.name());
                msg.append_line(line.name(), line.value());
            }
        }
        if let Some(names) = self.record.names {
            msg.set_names(names.into());
        }
    }
}
