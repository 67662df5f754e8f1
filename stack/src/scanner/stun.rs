//! STUN keep-alives (RFC 5626 §4.4.2 and §8): a device behind a NAT asks over the SIP socket what its address looks like
//! from here, and knows by the answer that its flow lives.
//!
//! Only that is answered: Binding requests with the magic cookie of RFC 5389, in datagrams. A SIP message begins with a
//! letter, a STUN message with two zero bits, so they cannot be mixed up.
//!
//! The requests that we send ourselves carry in their transaction id who is to hear of the answer, as our branches carry
//! their shard: so nothing is kept of them here.

use bytes::Bytes;
use std::net::{IpAddr, SocketAddr};

const COOKIE: u32 = 0x2112_a442;
const HEADER: usize = 20;
/// Larger requests than any device sends are not looked at.
const LARGEST: usize = 548;
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
/// Attributes below this must be understood (RFC 5389 §15).
const OPTIONAL: u16 = 0x8000;
/// Such attributes that mean nothing for a keep-alive: USERNAME, MESSAGE-INTEGRITY, REALM, NONCE.
const IGNORED: [u16; 4] = [0x0006, 0x0008, 0x0014, 0x0015];
/// Attributes that an error names at most.
const NAMED: usize = 8;

/// Whether a datagram is STUN's rather than SIP's.
pub(super) fn is_stun(datagram: &[u8]) -> bool {
    datagram.len() >= HEADER && datagram[0] < 0x40 && word(datagram, 4) == Some(COOKIE)
}

/// The answer to a Binding request from `peer`; none to anything else, or to what is no STUN message.
pub(super) fn answer(request: &[u8], peer: SocketAddr) -> Option<Bytes> {
    let length = usize::from(half(request, 2)?);
    let whole = request.len() == HEADER + length && request.len() <= LARGEST && length % 4 == 0;
    if !whole || half(request, 0)? != BINDING_REQUEST {
        return None;
    }
    let unknown = unknown_attributes(request.get(HEADER..)?)?;
    let id = request.get(4..HEADER)?;
    if unknown.is_empty() {
        return Some(message(BINDING_SUCCESS, id, &attribute(XOR_MAPPED_ADDRESS, &mapped(peer, id)?)));
    }
    let mut body = attribute(ERROR_CODE, b"\0\0\x04\x14Unknown Attribute");
    body.extend(attribute(UNKNOWN_ATTRIBUTES, &unknown));
    Some(message(BINDING_ERROR, id, &body))
}

/// Who sent a Binding request of ours. `name` is random, so who has not seen it cannot answer it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) shard: u16,
    pub(super) tu: u8,
    pub(super) name: u64,
}

/// A Binding request of a transaction user.
pub(crate) fn request(shard: u16, tu: u8, name: u64) -> Bytes {
    let mut id = COOKIE.to_be_bytes().to_vec();
    id.extend(shard.to_be_bytes());
    id.extend([tu, 0]);
    id.extend(name.to_be_bytes());
    message(BINDING_REQUEST, &id, &[])
}

/// The request of ours whose first octets an ICMP error quotes.
pub(super) fn request_of(quote: &[u8]) -> Option<Asked> {
    (is_stun(quote) && half(quote, 0) == Some(BINDING_REQUEST)).then(|| asked(quote)).flatten()
}

/// An answer to a Binding request, and the address that it has; none with an error.
pub(super) fn response(datagram: &[u8]) -> Option<(Asked, Option<SocketAddr>)> {
    let length = usize::from(half(datagram, 2)?);
    if datagram.len() != HEADER + length || datagram.len() > LARGEST {
        return None;
    }
    let mapped = match half(datagram, 0)? {
        BINDING_SUCCESS => Some(mapped_in(datagram)?),
        BINDING_ERROR => None,
        _ => return None,
    };
    Some((asked(datagram)?, mapped))
}

fn asked(message: &[u8]) -> Option<Asked> {
    let name = message.get(12..HEADER)?.try_into().ok().map(u64::from_be_bytes)?;
    Some(Asked { shard: half(message, 8)?, tu: *message.get(10)?, name })
}

/// XOR-MAPPED-ADDRESS of an answer.
fn mapped_in(message: &[u8]) -> Option<SocketAddr> {
    let mut rest = message.get(HEADER..)?;
    while half(rest, 0)? != XOR_MAPPED_ADDRESS {
        rest = rest.get(4 + usize::from(half(rest, 2)?).next_multiple_of(4)..)?;
    }
    let value = rest.get(4..4 + usize::from(half(rest, 2)?))?;
    let port = half(value, 2)? ^ (COOKIE >> 16) as u16;
    let address: Vec<u8> =
        value.get(4..)?.iter().zip(message.get(4..HEADER)?).map(|(octet, mask)| octet ^ mask).collect();
    let ip = match value.get(1)? {
        1 => IpAddr::from(<[u8; 4]>::try_from(address).ok()?),
        2 => IpAddr::from(<[u8; 16]>::try_from(address).ok()?),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// The types of the attributes that would have to be understood; none at all when they do not fill the message.
fn unknown_attributes(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut unknown = Vec::new();
    while !rest.is_empty() {
        let (kind, length) = (half(rest, 0)?, usize::from(half(rest, 2)?));
        if kind < OPTIONAL && !IGNORED.contains(&kind) && unknown.len() < 2 * NAMED {
            unknown.extend(kind.to_be_bytes());
        }
        rest = rest.get(4 + length.next_multiple_of(4)..)?;
    }
    Some(unknown)
}

/// RFC 5389 §15.2: the address, by a mask that NATs do not see through. `id` is the cookie and the transaction id.
fn mapped(peer: SocketAddr, id: &[u8]) -> Option<Vec<u8>> {
    let port = peer.port() ^ (COOKIE >> 16) as u16;
    let (family, address) = match peer.ip().to_canonical() {
        IpAddr::V4(v4) => (1, v4.octets().to_vec()),
        IpAddr::V6(v6) => (2, v6.octets().to_vec()),
    };
    let mut value = vec![0, family];
    value.extend(port.to_be_bytes());
    value.extend(address.iter().zip(id).map(|(octet, mask)| octet ^ mask));
    Some(value)
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut all = kind.to_be_bytes().to_vec();
    all.extend((value.len() as u16).to_be_bytes());
    all.extend(value);
    all.resize(all.len().next_multiple_of(4), 0);
    all
}

fn message(kind: u16, id: &[u8], body: &[u8]) -> Bytes {
    let mut all = kind.to_be_bytes().to_vec();
    all.extend((body.len() as u16).to_be_bytes());
    all.extend(id);
    all.extend(body);
    all.into()
}

fn half(octets: &[u8], at: usize) -> Option<u16> {
    octets.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
}

fn word(octets: &[u8], at: usize) -> Option<u32> {
    octets.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The transaction id of RFC 5769's messages.
    const ID: [u8; 12] = [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];

    fn asks(attributes: &[u8]) -> Vec<u8> {
        let id: Vec<u8> = COOKIE.to_be_bytes().into_iter().chain(ID).collect();
        message(BINDING_REQUEST, &id, attributes).to_vec()
    }

    #[test]
    fn the_answer_has_the_mapped_address_of_rfc_5769() {
        // §2.2 and §2.3: 192.0.2.1:32853 and [2001:db8:1234:5678:11:2233:4455:6677]:32853, masked.
        let v4 = answer(&asks(&[]), "192.0.2.1:32853".parse().unwrap()).unwrap();
        assert_eq!(v4[..4], [1, 1, 0, 12]);
        assert_eq!(v4[8..20], ID);
        assert_eq!(v4[20..], [0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43]);
        let v6 = answer(&asks(&[]), "[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap()).unwrap();
        let masked = [0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25, 0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9];
        assert_eq!(v6[20..28], [0, 0x20, 0, 20, 0, 2, 0xa1, 0x47]);
        assert_eq!(v6[28..], masked);
    }

    #[test]
    fn what_must_be_understood_and_is_not_is_named() {
        let peer = "192.0.2.1:5060".parse().unwrap();
        let software = attribute(0x8022, b"phone");
        let username = attribute(0x0006, b"u");
        let both = [software, username].concat();
        assert_eq!(answer(&asks(&both), peer).unwrap()[..2], [1, 1]);
        let strange = answer(&asks(&attribute(0x0031, b"")), peer).unwrap();
        assert_eq!(strange[..2], [1, 0x11]);
        assert!(strange.ends_with(&[0, 0x0a, 0, 2, 0, 0x31, 0, 0]), "{strange:?}");
    }

    #[test]
    fn other_messages_get_no_answer() {
        let peer = "192.0.2.1:5060".parse().unwrap();
        let mut indication = asks(&[]);
        indication[1] = 0x11;
        let mut short = asks(&[]);
        short[3] = 4;
        for other in [indication, short, asks(&[0, 6, 0, 200]), vec![0; 19]] {
            assert_eq!(answer(&other, peer), None, "{other:?}");
        }
        assert!(!is_stun(b"OPTIONS sip:example.com SIP/2.0\r\n") && is_stun(&asks(&[])));
    }

    #[test]
    fn an_answer_to_us_has_our_address_and_who_asked() {
        let asked = Asked { shard: 3, tu: 1, name: 0x0123_4567_89ab_cdef };
        let ours = request(3, 1, asked.name);
        assert_eq!(request_of(&ours[..HEADER]), Some(asked));
        for peer in ["192.0.2.1:32853", "[2001:db8:1234:5678:11:2233:4455:6677]:32853"] {
            let peer: SocketAddr = peer.parse().unwrap();
            let reply = answer(&ours, peer).unwrap();
            assert_eq!(response(&reply), Some((asked, Some(peer))));
            assert_eq!((request_of(&reply), response(&reply[..30])), (None, None));
        }
        let refused = message(BINDING_ERROR, &ours[4..HEADER], &attribute(ERROR_CODE, b"\0\0\x04\0"));
        assert_eq!(response(&refused), Some((asked, None)));
        // A success that does not say what it was asked for is none; nor is a request.
        assert_eq!(response(&message(BINDING_SUCCESS, &ours[4..HEADER], &attribute(0x8022, b"x"))), None);
        assert_eq!(response(&ours), None);
    }

    proptest! {
        #[test]
        fn no_octets_break_it(octets: Vec<u8>) {
            let _ = answer(&octets, "192.0.2.1:5060".parse().unwrap());
            let (_, _) = (response(&octets), request_of(&octets));
            let _ = response(&message(BINDING_SUCCESS, &[0x21; 16], &octets));
            let with_header = asks(&octets);
            let reply = answer(&with_header, "192.0.2.1:5060".parse().unwrap());
            prop_assert!(reply.is_none_or(|reply| reply.len() < 100));
        }
    }
}
