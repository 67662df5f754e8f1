//! Addresses in the configuration: where to listen, whom to trust, whom to ask.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use stack::header::p;
use stack::transport::TransportType;
use stack::uri::{Host, Uri};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// A transport to listen on: `udp:127.0.0.1:5060`, `tls:[::1]:5061`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Listen {
    /// UDP, TCP, TLS, WebSocket or WebSocket over TLS.
    pub kind: TransportType,
    /// The address to bind.
    pub address: SocketAddr,
}

/// A network: `10.0.0.0/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// A domain that the proxy answers for: a name or an address, without a port.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Domain(pub Host<'static>);

/// A name server: `192.0.2.53`, `192.0.2.53:5353`, `[2001:db8::53]:53`. Its port is 53 unless it says another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct NameServer(pub SocketAddr);

/// A proxy to send requests through: `sip:192.0.2.1:5060;lr`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct RouteUri(pub Uri<'static>);

/// A text in the configuration is not what it has to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?}: expected {expected}")]
pub struct BadText {
    text: String,
    expected: &'static str,
}

pub(crate) fn bad(text: &str, expected: &'static str) -> BadText {
    BadText { text: text.to_owned(), expected }
}

impl FromStr for Listen {
    type Err = BadText;
    fn from_str(text: &str) -> Result<Self, BadText> {
        const EXPECTED: &str =
            "udp:ADDRESS:PORT, or tcp, tls, ws or wss instead of udp, as udp:127.0.0.1:5060 or tls:[::1]:5061";
        let (kind, address) = text.split_once(':').ok_or_else(|| bad(text, EXPECTED))?;
        let kind = TransportType::from_name(kind).ok_or_else(|| bad(text, EXPECTED))?;
        let address = address.parse().map_err(|_| bad(text, EXPECTED))?;
        Ok(Listen { kind, address })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.as_param(), self.address)
    }
}

/// Reads an address with a port.
pub(super) fn socket_address<'de, D: Deserializer<'de>>(from: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(from)?;
    text.parse()
        .map_err(|_| serde::de::Error::custom(bad(&text, "an address with a port, as 127.0.0.1:8080 or [::1]:8080")))
}

/// The leading bits of an address: whether it is IPv4, how many bits, and they.
pub(crate) type Prefix = (bool, u8, u128);

/// The first bits of an address, if it is of that family.
pub(crate) fn prefix_of(address: IpAddr, v4: bool, bits: u8) -> Option<Prefix> {
    let (number, width) = match address {
        IpAddr::V4(ip) if v4 => (u128::from(ip.to_bits()), 32),
        IpAddr::V6(ip) if !v4 => (ip.to_bits(), 128),
        _ => return None,
    };
    Some((v4, bits, number.checked_shr(u32::from(width - bits.min(width))).unwrap_or(0)))
}

impl Network {
    /// Its leading bits.
    pub(crate) fn prefix(&self) -> Prefix {
        let v4 = self.address.is_ipv4();
        prefix_of(self.address, v4, self.bits).unwrap_or((v4, self.bits, 0))
    }

    /// Whether an address belongs to it. An IPv4 address that is written as IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => same(net.to_bits().into(), ip.to_bits().into(), 32, self.bits),
            (IpAddr::V6(net), IpAddr::V6(ip)) => same(net.to_bits(), ip.to_bits(), 128, self.bits),
            _ => false,
        }
    }
}

/// Whether the upper `bits` of two numbers of `width` bits are the same.
fn same(a: u128, b: u128, width: u32, bits: u8) -> bool {
    let ignored = width.saturating_sub(u32::from(bits));
    (a ^ b).checked_shr(ignored).unwrap_or(0) == 0
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alone = if self.address.is_ipv4() { 32 } else { 128 };
        match self.bits {
            bits if bits == alone => self.address.fmt(f),
            bits => write!(f, "{}/{bits}", self.address),
        }
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl Serialize for Domain {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl FromStr for Network {
    type Err = BadText;
    fn from_str(text: &str) -> Result<Self, BadText> {
        const EXPECTED: &str = "an address or a network, as 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32";
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| bad(text, EXPECTED))?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).map_err(|_| bad(text, EXPECTED))?;
        if bits > most {
            return Err(bad(text, EXPECTED));
        }
        Ok(Network { address, bits })
    }
}

impl FromStr for Domain {
    type Err = BadText;
    fn from_str(text: &str) -> Result<Self, BadText> {
        let host = Host::parse(text).map_err(|_| bad(text, "a domain name or an address without a port"))?;
        Ok(Domain(host.into_owned()))
    }
}

impl FromStr for NameServer {
    type Err = BadText;
    fn from_str(text: &str) -> Result<Self, BadText> {
        const EXPECTED: &str = "the address of a name server, as 192.0.2.53, 192.0.2.53:53 or [2001:db8::53]:53";
        let alone = text.parse().map(|ip: IpAddr| SocketAddr::new(ip, 53));
        let address: SocketAddr = alone.or_else(|_| text.parse()).map_err(|_| bad(text, EXPECTED))?;
        if address.port() == 0 || address.ip().is_unspecified() {
            return Err(bad(text, EXPECTED));
        }
        Ok(NameServer(address))
    }
}

impl FromStr for RouteUri {
    type Err = BadText;
    fn from_str(text: &str) -> Result<Self, BadText> {
        // RFC 3608 §5: with lr, so that it is no strict router.
        match Uri::parse_request(text) {
            Ok(uri) if uri.sip().is_some_and(|sip| sip.param(p::LR)) => Ok(RouteUri(uri.into_owned())),
            _ => Err(bad(text, "a sip or sips URI with lr, as sip:192.0.2.1:5060;lr")),
        }
    }
}

/// For `serde(try_from = "String")`.
macro_rules! from_string {
    ($($name:ident)*) => {$(
        impl TryFrom<String> for $name {
            type Error = $crate::config::net::BadText;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }
    )*};
}
pub(super) use from_string;
from_string! { Listen Network Domain NameServer RouteUri }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_names_transport_and_address() {
        for text in ["udp:127.0.0.1:5060", "tcp:[::1]:0", "tls:[::]:5061", "ws:127.0.0.1:80", "wss:127.0.0.1:443"] {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), text);
        }
        for text in ["", "udp", "udp:127.0.0.1", "sctp:127.0.0.1:5060", "tls:127.0.0.1", "udp:localhost:5060"] {
            let error = text.parse::<Listen>().unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("udp:ADDRESS:PORT"), "{error}");
        }
    }

    #[test]
    fn networks_contain_their_addresses() {
        let holds = |net: &str, ip: &str| net.parse::<Network>().unwrap().contains(ip.parse().unwrap());
        assert!(holds("10.0.0.0/8", "10.255.1.1") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("192.0.2.1", "192.0.2.1") && !holds("192.0.2.1", "192.0.2.2"));
        assert!(holds("0.0.0.0/0", "203.0.113.9") && !holds("0.0.0.0/0", "::1"));
        assert!(holds("2001:db8::/32", "2001:db8:1::1") && !holds("2001:db8::/32", "2001:db9::1"));
        assert!(holds("::/0", "::1") && holds("10.0.0.0/8", "::ffff:10.1.1.1"));
        for text in ["", "10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "::1/129", "example.com"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn name_servers_have_a_port() {
        for (text, address) in [
            ("192.0.2.53", "192.0.2.53:53"),
            ("192.0.2.53:5353", "192.0.2.53:5353"),
            ("2001:db8::53", "[2001:db8::53]:53"),
            ("[2001:db8::53]:5353", "[2001:db8::53]:5353"),
        ] {
            assert_eq!(text.parse(), Ok(NameServer(address.parse().unwrap())), "{text}");
        }
        for text in ["", "dns.example.com", "192.0.2.53:0", "0.0.0.0", "udp:192.0.2.53"] {
            assert!(text.parse::<NameServer>().unwrap_err().to_string().contains("192.0.2.53:53"), "{text}");
        }
    }
}
