//! What is asked of the DNS, and what it says, without the DNS's own types.

use std::net::IpAddr;

/// Records taken of one answer at most; what is more is not looked at.
pub const MOST_RECORDS: usize = 32;

/// The types of records that RFC 3263 and RFC 6116 ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordType {
    /// RFC 3403: services of a domain, or of a telephone number.
    Naptr,
    /// RFC 2782: the servers of a service.
    Srv,
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Query {
    /// The domain name in lower case.
    pub name: String,
    /// What is wanted of it.
    pub record: RecordType,
}

impl Query {
    /// A question.
    pub fn new(name: impl Into<String>, record: RecordType) -> Self {
        Query { name: name.into(), record }
    }
}

/// A NAPTR record (RFC 3403 §4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naptr {
    /// The lower first; a higher one is not looked at when one of a lower order fits.
    pub order: u16,
    /// Among those of one order, the lower first.
    pub preference: u16,
    /// `s`: an SRV name follows; `a`: a host; `u`: a URI.
    pub flags: Box<str>,
    /// `SIP+D2U`, `E2U+sip`, …
    pub services: Box<str>,
    /// With flag `u`, the rule that makes the URI.
    pub regexp: Box<str>,
    /// With the other flags, the name that follows, in lower case and without the dot at its end.
    pub replacement: Box<str>,
}

/// An SRV record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    /// The lower first.
    pub priority: u16,
    /// How often it comes first among those of its priority, in proportion.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The host in lower case and without the dot at its end; empty: the service is not to be had here.
    pub target: Box<str>,
}

/// The records of an answer, [`MOST_RECORDS`] at most; none when the name has none of the type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Records {
    /// Answers [`RecordType::Naptr`].
    Naptr(Box<[Naptr]>),
    /// Answers [`RecordType::Srv`].
    Srv(Box<[Srv]>),
    /// Answers [`RecordType::A`] and [`RecordType::Aaaa`].
    Addresses(Box<[IpAddr]>),
}

impl Records {
    /// No records.
    pub fn none(record: RecordType) -> Self {
        match record {
            RecordType::Naptr => Records::Naptr(Box::default()),
            RecordType::Srv => Records::Srv(Box::default()),
            RecordType::A | RecordType::Aaaa => Records::Addresses(Box::default()),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        match self {
            Records::Naptr(all) => all.is_empty(),
            Records::Srv(all) => all.is_empty(),
            Records::Addresses(all) => all.is_empty(),
        }
    }
}
