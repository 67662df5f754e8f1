//! Hosts and ports (RFC 3261 §25.1, `hostport`; RFC 5118 for IPv6).

use crate::grammar::{Cursor, HOST, is};
use crate::header::ParseError;
use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host: a name or an address. Names compare without regard to case.
#[derive(Clone, Debug)]
pub enum Host<'a> {
    /// A domain name, or what looks like one.
    Name(Cow<'a, str>),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address; in text it stands in brackets.
    V6(Ipv6Addr),
}

/// Reads an address, an IPv6 address with or without brackets (RFC 5118 §4.5).
pub fn parse_ip(text: &str) -> Option<IpAddr> {
    match text.strip_prefix('[') {
        Some(inner) => parse_v6(inner.strip_suffix(']')?).map(IpAddr::V6),
        None if text.contains(':') => parse_v6(text).map(IpAddr::V6),
        None => text.parse().ok().map(IpAddr::V4),
    }
}

/// Four decimal numbers at the start of a text, and where they end. By hand, because the standard library's parser of addresses is slow and every Via, Route and
/// Request-URI has a host; as there, a number has no leading zero.
#[inline]
fn read_v4(text: &[u8]) -> Option<(Ipv4Addr, usize)> {
    let (mut address, mut at) = (0u32, 0);
    for part in 0..4 {
        let start = at;
        let mut number = 0u32;
        while let Some(digit) = text.get(at).map(|b| b.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
            number = number * 10 + u32::from(digit);
            at += 1;
            if number > 255 {
                return None;
            }
        }
        let leading_zero = at - start > 1 && text.get(start) == Some(&b'0');
        let ends = if part < 3 { text.get(at) == Some(&b'.') } else { true };
        if at == start || leading_zero || !ends {
            return None;
        }
        at += usize::from(part < 3);
        address = address << 8 | number;
    }
    // What goes on as a name is one.
    let whole = text.get(at).is_none_or(|b| !is(*b, HOST));
    whole.then(|| (Ipv4Addr::from_bits(address), at))
}

/// An address in dots and decimals, in the octets of `text`: by hand, as it is read.
pub fn v4_text(address: Ipv4Addr, text: &mut [u8; 15]) -> &str {
    let mut at = 0;
    let mut put = |octet: u8| {
        if let Some(place) = text.get_mut(at) {
            *place = octet;
            at += 1;
        }
    };
    for (part, number) in address.octets().into_iter().enumerate() {
        if part > 0 {
            put(b'.');
        }
        if number >= 100 {
            put(b'0' + number / 100);
        }
        if number >= 10 {
            put(b'0' + number / 10 % 10);
        }
        put(b'0' + number % 10);
    }
    let length = at;
    text.get(..length).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
}

/// Three colons before an embedded IPv4 address come from a fault in RFC 3261's grammar and mean two (RFC 5118 §4.10).
fn parse_v6(text: &str) -> Option<Ipv6Addr> {
    let parsed = text.parse().ok();
    if parsed.is_some() || !text.contains(":::") {
        return parsed;
    }
    text.replacen(":::", "::", 1).parse().ok()
}

impl<'a> Host<'a> {
    /// Takes a whole text as a host, IPv6 in brackets.
    pub fn parse(text: &'a str) -> Result<Self, ParseError> {
        let mut at = Cursor::new(text);
        let host = Host::read(&mut at)?;
        if at.at_end() { Ok(host) } else { Err(at.fail("host: not a host character")) }
    }

    #[inline]
    pub(crate) fn read(at: &mut Cursor<'a>) -> Result<Self, ParseError> {
        let start = at.pos();
        if at.eat(b'[') {
            let close = at.find(b']').ok_or_else(|| at.fail("host: `[` without `]`"))?;
            at.seek(close);
            let inside = at.since(start + 1);
            let address = parse_v6(inside).ok_or(ParseError { offset: start, rule: "host: not an IPv6 address" })?;
            at.seek(close + 1);
            return Ok(Host::V6(address));
        }
        if let Some((address, length)) = read_v4(at.rest().as_bytes()) {
            at.seek(start + length);
            return Ok(Host::V4(address));
        }
        let name = at.need(HOST, "host: name or address expected")?;
        Ok(Host::Name(Cow::Borrowed(name)))
    }

    /// The address, if this is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Host::Name(_) => None,
            Host::V4(address) => Some(IpAddr::V4(*address)),
            Host::V6(address) => Some(IpAddr::V6(*address)),
        }
    }

    /// The same without a borrow.
    pub fn into_owned(self) -> Host<'static> {
        match self {
            Host::Name(name) => Host::Name(Cow::Owned(name.into_owned())),
            Host::V4(address) => Host::V4(address),
            Host::V6(address) => Host::V6(address),
        }
    }
}

impl From<IpAddr> for Host<'_> {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Host::V4(address),
            IpAddr::V6(address) => Host::V6(address),
        }
    }
}

impl PartialEq for Host<'_> {
    fn eq(&self, other: &Host<'_>) -> bool {
        match (self, other) {
            (Host::Name(a), Host::Name(b)) => a.eq_ignore_ascii_case(b),
            (Host::V4(a), Host::V4(b)) => a == b,
            (Host::V6(a), Host::V6(b)) => a == b,
            _ => false,
        }
    }
}
impl Eq for Host<'_> {}

impl Host<'_> {
    /// Prints it.
    pub(super) fn print(&self, f: &mut impl fmt::Write) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::V4(address) => f.write_str(v4_text(*address, &mut [0; 15])),
            Host::V6(address) => write!(f, "[{address}]"),
        }
    }
}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(f)
    }
}

/// The digits of a port.
#[inline]
pub(crate) fn read_port(at: &mut Cursor<'_>) -> Result<u16, ParseError> {
    let start = at.pos();
    let port = crate::header::number::read_digits(at, "port: digits expected")?;
    port.and_then(|n| u16::try_from(n).ok()).ok_or(ParseError { offset: start, rule: "port: above 65535" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_the_standard_library_does() {
        for text in [
            "1.2.3.4",
            "0.0.0.0",
            "255.255.255.255",
            "256.1.1.1",
            "1.2.3",
            "1.2.3.4.5",
            "1..2.3",
            "01.2.3.4",
            ".1.2.3",
            "1.2.3.",
            "1.2.3.4x",
            "00.0.0.0",
            "1.2.3.1000",
        ] {
            let read = read_v4(text.as_bytes()).filter(|(_, length)| *length == text.len());
            assert_eq!(read.map(|(address, _)| address), text.parse().ok(), "{text}");
            if let Some((address, _)) = read {
                assert_eq!(v4_text(address, &mut [0; 15]), address.to_string());
            }
        }
    }

    #[test]
    fn names_and_addresses() {
        for (text, ip) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("[2001:db8::9:1]", Some("2001:db8::9:1")),
            ("[2001:db8::10:5070]", Some("2001:db8::10:5070")),
            ("[::ffff:192.0.2.10]", Some("::ffff:192.0.2.10")),
            ("[2001:db8:::192.0.2.1]", Some("2001:db8::192.0.2.1")),
            ("host-1.example.com.", None),
            ("1.example", None),
        ] {
            let host = Host::parse(text).unwrap();
            assert_eq!(host.ip(), ip.map(|ip| ip.parse().unwrap()), "{text}");
            assert_eq!(Host::parse(&host.to_string()), Ok(host.clone()));
        }
        for text in ["", "[::1", "[1:2]", "a b", "[]", "2001:db8::1", "é", "[::1]x"] {
            assert!(Host::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bare_addresses() {
        assert_eq!(parse_ip("[2001:db8::9:255]"), parse_ip("2001:db8::9:255"));
        assert_eq!(parse_ip("192.0.2.200"), "192.0.2.200".parse().ok());
        assert_eq!(parse_ip("[192.0.2.200]"), None);
    }
}
