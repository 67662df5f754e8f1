//! A HEPv3 packet: `HEP3`, the length of all, and chunks of vendor, type, length and value.

use crate::transport::TransportType;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The protocol of the payload: SIP.
const SIP: u8 = 1;
/// IANA's protocol numbers.
const UDP: u8 = 17;
const TCP: u8 = 6;
/// The address families as Linux counts them, which is what capture servers expect.
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// One message, as a capture server wants it.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Who sent it.
    pub source: SocketAddr,
    /// Who received it.
    pub destination: SocketAddr,
    /// How it travelled.
    pub transport: TransportType,
    /// When, since the Unix epoch.
    pub at: Duration,
    /// The capture agent.
    pub agent: u32,
    /// The capture server's password.
    pub auth_key: Option<&'a str>,
    /// The message.
    pub payload: &'a [u8],
}

/// The packet's octets; none when the message is too large for a packet (65,535 octets in all).
pub fn encode(packet: &Packet<'_>) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(packet.payload.len() + 140);
    out.extend(b"HEP3\0\0");
    let (source, destination) = (packet.source.ip().to_canonical(), packet.destination.ip().to_canonical());
    chunk(&mut out, 1, &[if source.is_ipv4() { AF_INET } else { AF_INET6 }])?;
    chunk(&mut out, 2, &[if packet.transport == TransportType::Udp { UDP } else { TCP }])?;
    address(&mut out, source, (3, 5))?;
    address(&mut out, destination, (4, 6))?;
    chunk(&mut out, 7, &packet.source.port().to_be_bytes())?;
    chunk(&mut out, 8, &packet.destination.port().to_be_bytes())?;
    // Seconds are 32 bits in this protocol: until 2106.
    chunk(&mut out, 9, &(packet.at.as_secs() as u32).to_be_bytes())?;
    chunk(&mut out, 10, &packet.at.subsec_micros().to_be_bytes())?;
    chunk(&mut out, 11, &[SIP])?;
    chunk(&mut out, 12, &packet.agent.to_be_bytes())?;
    if let Some(key) = packet.auth_key {
        chunk(&mut out, 14, key.as_bytes())?;
    }
    chunk(&mut out, 15, packet.payload)?;
    let length = u16::try_from(out.len()).ok()?;
    out.get_mut(4..6)?.copy_from_slice(&length.to_be_bytes());
    Some(out)
}

fn address(out: &mut Vec<u8>, ip: IpAddr, (v4_type, v6_type): (u16, u16)) -> Option<()> {
    match ip {
        IpAddr::V4(v4) => chunk(out, v4_type, &v4.octets()),
        IpAddr::V6(v6) => chunk(out, v6_type, &v6.octets()),
    }
}

/// Vendor 0 is the protocol itself; the length counts these six octets too.
fn chunk(out: &mut Vec<u8>, kind: u16, value: &[u8]) -> Option<()> {
    let length = u16::try_from(value.len() + 6).ok()?;
    out.extend([0, 0]);
    out.extend(kind.to_be_bytes());
    out.extend(length.to_be_bytes());
    out.extend(value);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The chunks of a packet by type.
    fn chunks(packet: &[u8]) -> Vec<(u16, Vec<u8>)> {
        let half = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
        assert_eq!((&packet[..4], usize::from(half(4))), (&b"HEP3"[..], packet.len()));
        let (mut at, mut all) = (6, Vec::new());
        while at < packet.len() {
            assert_eq!(half(at), 0, "no vendor");
            let end = at + usize::from(half(at + 4));
            all.push((half(at + 2), packet[at + 6..end].to_vec()));
            at = end;
        }
        all
    }

    fn packet<'a>(source: &str, destination: &str, payload: &'a [u8]) -> Packet<'a> {
        Packet {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            transport: TransportType::Tls,
            at: Duration::new(0x6543_2100, 7_000),
            agent: 2001,
            auth_key: Some("pass"),
            payload,
        }
    }

    #[test]
    fn every_chunk_is_there() {
        let octets = encode(&packet("192.0.2.1:5060", "192.0.2.2:5061", b"OPTIONS")).unwrap();
        let want: Vec<(u16, Vec<u8>)> = vec![
            (1, vec![2]),
            (2, vec![6]),
            (3, vec![192, 0, 2, 1]),
            (4, vec![192, 0, 2, 2]),
            (7, vec![0x13, 0xc4]),
            (8, vec![0x13, 0xc5]),
            (9, vec![0x65, 0x43, 0x21, 0]),
            (10, vec![0, 0, 0, 7]),
            (11, vec![1]),
            (12, vec![0, 0, 7, 0xd1]),
            (14, b"pass".to_vec()),
            (15, b"OPTIONS".to_vec()),
        ];
        assert_eq!(chunks(&octets), want);
        let octets = encode(&packet("[2001:db8::1]:5060", "[2001:db8::2]:5061", b"")).unwrap();
        let types: Vec<u16> = chunks(&octets).iter().map(|c| c.0).collect();
        assert_eq!(types, [1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15]);
    }

    #[test]
    fn what_no_packet_can_hold_is_none() {
        assert!(encode(&packet("192.0.2.1:1", "192.0.2.2:2", &[b'x'; 65_400])).is_some());
        assert!(encode(&packet("192.0.2.1:1", "192.0.2.2:2", &[b'x'; 65_530])).is_none());
        assert!(encode(&packet("192.0.2.1:1", "192.0.2.2:2", &vec![b'x'; 200_000])).is_none());
    }
}
