//! Flow tokens (RFC 5626 §5.3): the name of a flow in the user part of a URI that comes back to us, as a Record-Route
//! does. Who has one can send on that flow through us, and nobody can make one.

use crate::transport::{ConnectionId, Flow, TransportId, TransportTable, TransportType};
use rutil::Rng;
use siphasher::sip128::{Hasher128, SipHasher24};
use std::fmt::Write as _;
use std::hash::Hasher;
use std::net::{IpAddr, SocketAddr};

/// How a user part begins that is meant to be a token.
const PREFIX: &str = "flow-";
/// Transport, connection and port of the peer.
const FIXED: usize = 12;
/// The code that proves where a token comes from.
const PROOF: usize = 16;

/// Makes and reads flow tokens; all shards of a stack share one. The key of connections lives as long as the process, as
/// they do; that of flows over UDP may be given, and then these tokens outlive it too.
#[derive(Clone)]
pub struct FlowTokens {
    datagrams: (u64, u64),
    connections: (u64, u64),
}

/// A key for the tokens of flows over UDP. It must be another for each process that runs at the same time, and another when
/// its transports are others, which tokens name by their numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FlowKey(pub u64, pub u64);

impl std::fmt::Debug for FlowKey {
    // It is a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FlowKey")
    }
}

/// Marks a token that was given to a dialog, in the number of the transport.
const DIALOG: u16 = 0x8000;

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// All that goes to a device that has registered by its flow: its home knows the token, by a Path.
    Device,
    /// What belongs to a dialog: the other end knows it, by a Record-Route, and may be anybody.
    Dialog,
}

/// What a token names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedFlow {
    /// The flow.
    pub flow: Flow,
    /// What it may be used for.
    pub purpose: Purpose,
}

/// A flow token that this process did not make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a flow token of ours")]
pub struct BadFlowToken;

impl FlowTokens {
    /// Draws its keys.
    pub fn new(rng: &mut Rng) -> Self {
        let mut key = || (rng.next_u64(), rng.next_u64());
        FlowTokens { datagrams: key(), connections: key() }
    }

    /// The same with a key for flows over UDP that outlives the process, if there is one.
    #[must_use]
    pub fn with_key(self, key: Option<FlowKey>) -> Self {
        FlowTokens { datagrams: key.map_or(self.datagrams, |FlowKey(one, two)| (one, two)), ..self }
    }

    /// The token of a flow: `flow-` and hexadecimal digits, which need no escape in a user part.
    pub fn token(&self, flow: &Flow, purpose: Purpose) -> String {
        let mut octets = Vec::with_capacity(FIXED + 16 + PROOF);
        let mark = if purpose == Purpose::Dialog { DIALOG } else { 0 };
        octets.extend((flow.transport.0 | mark).to_be_bytes());
        octets.extend(flow.connection.0.to_be_bytes());
        octets.extend(flow.peer.port().to_be_bytes());
        match flow.peer.ip() {
            IpAddr::V4(ip) => octets.extend(ip.octets()),
            IpAddr::V6(ip) => octets.extend(ip.octets()),
        }
        let proof = self.proof(flow.kind, &octets);
        octets.extend(proof.to_be_bytes());
        let mut token = String::with_capacity(PREFIX.len() + 2 * octets.len());
        token.push_str(PREFIX);
        for octet in octets {
            let _ = write!(token, "{octet:02x}");
        }
        token
    }

    /// The flow that a user part names; none when it is not meant to be a token.
    ///
    /// # Errors
    /// [`BadFlowToken`]: it was tampered with, or another process made it.
    pub fn flow(&self, user: &str, transports: &TransportTable) -> Option<Result<NamedFlow, BadFlowToken>> {
        let digits = user.strip_prefix(PREFIX)?;
        Some(self.read(digits, transports).ok_or(BadFlowToken))
    }

    fn read(&self, digits: &str, transports: &TransportTable) -> Option<NamedFlow> {
        if digits.len() > 2 * (FIXED + 16 + PROOF) || !digits.len().is_multiple_of(2) {
            return None;
        }
        let digit = |c: u8| char::from(c).to_digit(16).map(|d| d as u8);
        let octet = |pair: &[u8; 2]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
        let octets: Vec<u8> = digits.as_bytes().as_chunks().0.iter().map(octet).collect::<Option<_>>()?;
        let (named, proof) = octets.split_last_chunk::<PROOF>()?;
        let (transport, rest) = named.split_first_chunk::<2>()?;
        let marked = u16::from_be_bytes(*transport);
        let kind = transports.get(TransportId(marked & !DIALOG))?.kind;
        // One comparison of two numbers: how long it takes tells nothing.
        if self.proof(kind, named) != u128::from_be_bytes(*proof) {
            return None;
        }
        let (connection, rest) = rest.split_first_chunk::<8>()?;
        let (port, ip) = rest.split_first_chunk::<2>()?;
        let ip: IpAddr = match (<[u8; 4]>::try_from(ip), <[u8; 16]>::try_from(ip)) {
            (Ok(v4), _) => v4.into(),
            (_, Ok(v6)) => v6.into(),
            _ => return None,
        };
        let (transport, purpose) = match marked & DIALOG {
            0 => (TransportId(marked), Purpose::Device),
            _ => (TransportId(marked & !DIALOG), Purpose::Dialog),
        };
        let flow = Flow {
            transport,
            kind,
            connection: ConnectionId(u64::from_be_bytes(*connection)),
            peer: SocketAddr::new(ip, u16::from_be_bytes(*port)),
            local: None,
        };
        Some(NamedFlow { flow, purpose })
    }

    /// A keyed code that nobody without the key can compute (SipHash-2-4 is made to be one).
    fn proof(&self, kind: TransportType, octets: &[u8]) -> u128 {
        let key = if kind.is_reliable() { self.connections } else { self.datagrams };
        let mut hash = SipHasher24::new_with_keys(key.0, key.1);
        hash.write(octets);
        hash.finish128().as_u128()
    }
}

impl std::fmt::Debug for FlowTokens {
    // The key is a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FlowTokens")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::TransportInfo;

    fn table() -> TransportTable {
        let at = "192.0.2.1:80".parse().unwrap();
        let info = |id, kind| TransportInfo::new(TransportId(id), kind, 0, at, at);
        TransportTable::new(vec![info(0, TransportType::Udp), info(1, TransportType::Ws)])
    }

    fn flow(transport: u16, peer: &str) -> Flow {
        let (kind, connection) = (TransportType::Ws, ConnectionId(0x1234_5600_0007));
        Flow { transport: TransportId(transport), kind, connection, peer: peer.parse().unwrap(), local: None }
    }

    #[test]
    fn a_token_names_its_flow() {
        let tokens = FlowTokens::new(&mut Rng::from_seed(1));
        for peer in ["192.0.2.9:40000", "[2001:db8::9]:1"] {
            for purpose in [Purpose::Device, Purpose::Dialog] {
                let token = tokens.token(&flow(1, peer), purpose);
                assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && token.len() < 100);
                assert_eq!(tokens.flow(&token, &table()), Some(Ok(NamedFlow { flow: flow(1, peer), purpose })));
            }
        }
        assert_eq!(tokens.flow("alice", &table()), None);
    }

    #[test]
    fn with_a_key_those_of_datagrams_outlive_the_process() {
        let tokens = |seed, key| FlowTokens::new(&mut Rng::from_seed(seed)).with_key(Some(FlowKey(key, 7)));
        let by_datagrams = Flow { kind: TransportType::Udp, ..flow(0, "192.0.2.9:40000") };
        let read = |by: &Flow, seed, key| {
            tokens(seed, key).flow(&tokens(1, 7).token(by, Purpose::Device), &table()).unwrap().is_ok()
        };
        assert!(read(&by_datagrams, 2, 7) && !read(&by_datagrams, 2, 8));
        assert!(read(&flow(1, "192.0.2.9:40000"), 1, 7) && !read(&flow(1, "192.0.2.9:40000"), 2, 7));
    }

    #[test]
    fn nobody_else_can_make_one() {
        let tokens = FlowTokens::new(&mut Rng::from_seed(1));
        let token = tokens.token(&flow(1, "192.0.2.9:40000"), Purpose::Dialog);
        let bad = |user: &str| assert_eq!(tokens.flow(user, &table()), Some(Err(BadFlowToken)), "{user}");
        bad(&FlowTokens::new(&mut Rng::from_seed(2)).token(&flow(1, "192.0.2.9:40000"), Purpose::Dialog));
        bad(&tokens.token(&flow(7, "192.0.2.9:40000"), Purpose::Dialog));
        for at in PREFIX.len()..token.len() {
            let other = if token.as_bytes()[at] == b'0' { "1" } else { "0" };
            bad(&format!("{}{other}{}", &token[..at], &token[at + 1..]));
            bad(&token[..at]);
        }
        for tail in ["00", "ä", "%30"] {
            bad(&format!("{token}{tail}"));
        }
    }
}
