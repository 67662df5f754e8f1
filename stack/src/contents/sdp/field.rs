//! The typed values of lines: origin, connection, bandwidth, timing, media (RFC 8866 §5, §9).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nom::bytes::complete::{take_while_m_n, take_while1};
use nom::character::complete::{char, u16, u64};
use nom::combinator::{all_consuming, opt, recognize};
use nom::multi::separated_list1;
use nom::sequence::preceded;
use nom::{IResult, Parser};

use crate::contents::media_type::is_token_char;

/// The value of `o=` (RFC 8866 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The user, `-` for none.
    pub username: &'a str,
    /// Together with the user and address, names the session.
    pub session_id: u64,
    /// Goes up by one with each change of the description (RFC 3264 §8).
    pub version: u64,
    /// Who made the description.
    pub address: Address<'a>,
}

/// Network type, address type and address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address<'a> {
    /// `IN`.
    pub network: &'a str,
    /// `IP4` or `IP6`.
    pub kind: &'a str,
    /// An IP address without brackets, or a host name.
    pub host: &'a str,
}

impl Address<'_> {
    /// The address, if it is one and no host name.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

/// The value of `c=` (RFC 8866 §5.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection<'a> {
    /// Where the media go, without the multicast suffixes.
    pub address: Address<'a>,
    /// Hops of an IPv4 multicast.
    pub ttl: Option<u8>,
    /// How many contiguous multicast addresses, from `address` up.
    pub count: Option<u16>,
}

/// The value of `b=` (RFC 8866 §5.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bandwidth<'a> {
    /// `CT`, `AS`, `TIAS` and others.
    pub kind: &'a str,
    /// Kilobits per second for `CT` and `AS`, bits per second for `TIAS` (RFC 3890).
    pub value: u64,
}

/// The value of `t=` (RFC 8866 §5.9), in seconds since 1900; 0 is unbounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// When the session starts.
    pub start: u64,
    /// When it stops.
    pub stop: u64,
}

/// The value of `m=` (RFC 8866 §5.14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaLine<'a> {
    /// `audio`, `video`, `text`, `application`, `message`, `image`.
    pub kind: &'a str,
    /// The transport port; 0 is a rejected or removed stream (RFC 3264 §6).
    pub port: u16,
    /// The number of ports, as in `49170/2`.
    pub count: Option<u16>,
    /// The protocol, `RTP/AVP`.
    pub proto: &'a str,
    formats: &'a str,
}

impl<'a> MediaLine<'a> {
    /// The formats in order of preference; for RTP, payload types.
    pub fn formats(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.formats.split(' ')
    }
}

impl fmt::Display for MediaLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.port)?;
        if let Some(count) = self.count {
            write!(f, "/{count}")?;
        }
        write!(f, " {} {}", self.proto, self.formats)
    }
}

/// Applies a grammar to a whole value. Some senders leave spaces at the end; they say nothing.
fn whole<'a, T>(
    grammar: impl Parser<&'a str, Output = T, Error = nom::error::Error<&'a str>>,
    text: &'a str,
) -> Option<T> {
    all_consuming(grammar).parse(text.trim_end_matches(' ')).ok().map(|(_, value)| value)
}

fn token(text: &str) -> IResult<&str, &str> {
    take_while1(is_token_char).parse(text)
}

fn non_space(text: &str) -> IResult<&str, &str> {
    take_while1(|c: char| !c.is_whitespace() && !c.is_control()).parse(text)
}

fn address(text: &str) -> IResult<&str, Address<'_>> {
    let (rest, (network, _, kind, _, host)) = (token, char(' '), token, char(' '), non_space).parse(text)?;
    Ok((rest, Address { network, kind, host }))
}

pub(super) fn origin(text: &str) -> Option<Origin<'_>> {
    let space = || char(' ');
    let fields = (non_space, space(), u64, space(), u64, space(), address);
    let (username, _, session_id, _, version, _, address) = whole(fields, text)?;
    Some(Origin { username, session_id, version, address })
}

pub(super) fn connection(text: &str) -> Option<Connection<'_>> {
    let mut address = whole(address, text)?;
    let (mut ttl, mut count) = (None, None);
    if address.network == "IN" {
        let mut pieces = address.host.split('/');
        address.host = pieces.next()?;
        // Only IPv4 multicast has a TTL; in IPv6 the one number is the count.
        if address.kind == "IP4" {
            ttl = pieces.next().map(str::parse).transpose().ok()?;
        }
        count = pieces.next().map(str::parse).transpose().ok()?;
        if pieces.next().is_some() || !is_host(address.kind, address.host) {
            return None;
        }
    }
    Some(Connection { address, ttl, count })
}

/// Whether the text is an address of this family or a host name. A name of digits and dots alone is a bad address.
fn is_host(kind: &str, host: &str) -> bool {
    let name = |host: &str| {
        host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
            && host.chars().any(|c| c.is_ascii_alphabetic())
    };
    match kind {
        "IP4" => host.parse::<Ipv4Addr>().is_ok() || name(host),
        "IP6" => host.parse::<Ipv6Addr>().is_ok() || name(host),
        _ => true,
    }
}

pub(super) fn bandwidth(text: &str) -> Option<Bandwidth<'_>> {
    let (kind, _, value) = whole((token, char(':'), u64), text)?;
    Some(Bandwidth { kind, value })
}

pub(super) fn timing(text: &str) -> Option<Timing> {
    let (start, _, stop) = whole((u64, char(' '), u64), text)?;
    Some(Timing { start, stop })
}

pub(super) fn media(text: &str) -> Option<MediaLine<'_>> {
    let space = || char(' ');
    let count = opt(preceded(char('/'), u16));
    let proto = recognize(separated_list1(char('/'), token));
    let formats = recognize(separated_list1(char(' '), token));
    let fields = (token, space(), u16, count, space(), proto, space(), formats);
    let (kind, _, port, count, _, proto, _, formats) = whole(fields, text)?;
    Some(MediaLine { kind, port, count, proto, formats })
}

/// The name of an attribute and what follows its colon.
pub(super) fn attribute_name(value: &[u8]) -> Option<(&str, Option<&[u8]>)> {
    let colon = memchr::memchr(b':', value);
    let (name, rest) = match colon {
        Some(at) => (value.get(..at)?, value.get(at + 1..)),
        None => (value, None),
    };
    let name = std::str::from_utf8(name).ok()?;
    let grammar = take_while_m_n(1, usize::MAX, is_token_char);
    whole(grammar, name).map(|name| (name, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        let got = origin("bob 280744730 28977631 IN IP4 host.example.com").unwrap();
        assert_eq!((got.username, got.session_id, got.version), ("bob", 280_744_730, 28_977_631));
        assert_eq!((got.address.host, got.address.ip()), ("host.example.com", None));
        for bad in ["", "- 1 2 IN IP4", "- x 2 IN IP4 h", "a b 1 2 IN IP4 h", "- 1 2 IN IP4 h h", "-  1 2 IN IP4 h"] {
            assert_eq!(origin(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn connections() {
        let six = connection("IN IP6 2001:db8::9:1").unwrap();
        assert_eq!(six.address.ip(), Some("2001:db8::9:1".parse().unwrap()));
        let mapped = connection("IN IP6 ::ffff:192.0.2.2").unwrap();
        assert_eq!(mapped.address.ip(), Some("::ffff:192.0.2.2".parse().unwrap()));
        let multicast = connection("IN IP4 233.252.0.1/127/3").unwrap();
        assert_eq!((multicast.address.host, multicast.ttl, multicast.count), ("233.252.0.1", Some(127), Some(3)));
        let multicast = connection("IN IP6 ff00::db8:0:101/3").unwrap();
        assert_eq!((multicast.ttl, multicast.count), (None, Some(3)));
        for bad in ["IN IP6 2001:db8:::1", "IN IP4 2001:db8::1", "IN IP4 1.2.3", "IN IP6 [::1]", "IN IP4 1.2.3.4/300"] {
            assert_eq!(connection(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn media_lines_print_as_they_were() {
        for text in ["audio 49170/2 RTP/AVP 0 8 96", "video 0 UDP/TLS/RTP/SAVPF 99", "image 5000 udptl t38"] {
            let line = media(text).unwrap();
            assert_eq!(line.to_string(), text);
        }
        assert_eq!(media("audio 1 RTP/AVP 0 8 ").unwrap().formats().collect::<Vec<_>>(), ["0", "8"]);
        for bad in ["audio 65536 RTP/AVP 0", "audio 1 RTP/AVP", "audio x RTP/AVP 0", "audio 1 RTP/ 0", "audio -1 x 0"] {
            assert_eq!(media(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn bandwidths_timings_and_attribute_names() {
        assert_eq!(bandwidth("X-YZ:128"), Some(Bandwidth { kind: "X-YZ", value: 128 }));
        assert_eq!(bandwidth("AS:1.5"), None);
        assert_eq!(timing("3338481189 3370017201"), Some(Timing { start: 3_338_481_189, stop: 3_370_017_201 }));
        assert_eq!(timing("0"), None);
        assert_eq!(attribute_name(b"fmtp:96 \xff:x"), Some(("fmtp", Some(&b"96 \xff:x"[..]))));
        assert_eq!(attribute_name(b"sendrecv"), Some(("sendrecv", None)));
        assert_eq!(attribute_name(b":x"), None);
        assert_eq!(attribute_name(b"a b:x"), None);
    }
}
