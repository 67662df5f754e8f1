//! Whose a certificate is: the SIP domain identities that it contains, and how they are compared (RFC 5922 §7).

use crate::uri::{Host, parse_ip};
use rustls::pki_types::ServerName;
use std::net::IpAddr;
use x509_parser::error::X509Error;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// Most identities of a certificate that are told; one is compared with all that it has.
pub(super) const MAX_IDENTITIES: usize = 100;

/// The names of a certificate, as far as SIP has a use for them. Bounded by the certificate, which a handshake limits
/// to 64 KiB.
#[derive(Debug, Default)]
pub(super) struct Names<'a> {
    /// Whether there is a subjectAltName.
    has_alt_name: bool,
    /// Host parts of the `sip` URIs without userinfo.
    uris: Vec<&'a str>,
    dns: Vec<&'a str>,
    addresses: Vec<IpAddr>,
    /// The common name, if there is one and no other.
    common_name: Option<&'a str>,
}

impl<'a> Names<'a> {
    /// Reads a certificate.
    ///
    /// # Errors
    /// When it is no X.509 certificate or its subjectAltName is malformed or there twice.
    pub(super) fn read(der: &'a [u8]) -> Result<Self, X509Error> {
        let (_, certificate) = X509Certificate::from_der(der)?;
        let mut names = Names::default();
        let mut common = certificate.tbs_certificate.subject.iter_common_name();
        if let (Some(name), None) = (common.next(), common.next()) {
            names.common_name = name.as_str().ok();
        }
        if let Some(extension) = certificate.subject_alternative_name()? {
            names.has_alt_name = true;
            extension.value.general_names.iter().for_each(|name| names.add(name));
        }
        Ok(names)
    }

    fn add(&mut self, name: &GeneralName<'a>) {
        match name {
            GeneralName::URI(uri) => self.uris.extend(sip_host(uri)),
            GeneralName::DNSName(name) => self.dns.push(name),
            GeneralName::IPAddress(octets) => self.addresses.extend(address(octets)),
            _ => {}
        }
    }

    /// The SIP domain identities: the `sip` URIs; if there are none the DNS names; the common name if there is no
    /// subjectAltName at all and `accept_common_name` (RFC 5922 §7.1).
    fn identities(&self, accept_common_name: bool) -> impl Iterator<Item = &'a str> {
        let names = if self.uris.is_empty() { &self.dns } else { &self.uris };
        names.iter().copied().chain(self.common_name.filter(|_| accept_common_name && !self.has_alt_name))
    }

    /// Whether the certificate is that of `name`: of a domain if an identity is equal, without regard to case and in
    /// its entirety, so that a wildcard is like nothing (RFC 5922 §7.2). An address is in the certificate as the host of
    /// a `sip` URI or, as with DNS names only if there is no such URI, as an iPAddress.
    pub(super) fn matches(&self, name: &ServerName<'_>, accept_common_name: bool) -> bool {
        match name {
            ServerName::DnsName(name) => {
                let name = absolute(name.as_ref());
                self.identities(accept_common_name).any(|identity| absolute(identity).eq_ignore_ascii_case(name))
            }
            ServerName::IpAddress(ip) => {
                let ip = IpAddr::from(*ip);
                let listed = self.uris.is_empty() && self.addresses.contains(&ip);
                listed || self.uris.iter().any(|host| parse_ip(host) == Some(ip))
            }
            _ => false,
        }
    }

    /// The SIP domain identities that are hosts, in lower case, each once, [`MAX_IDENTITIES`] at most.
    pub(super) fn hosts(&self, accept_common_name: bool) -> Vec<String> {
        distinct(self.identities(accept_common_name), MAX_IDENTITIES)
    }

    /// All domains that a client may ask for and find in this certificate, SIP or not, in lower case.
    pub(super) fn domains(&self) -> Vec<String> {
        let common = self.common_name.filter(|_| !self.has_alt_name);
        distinct(self.uris.iter().chain(&self.dns).copied().chain(common), usize::MAX)
    }
}

/// The names that are hosts (no wildcards, no odd octets), in lower case, each once.
fn distinct<'a>(names: impl Iterator<Item = &'a str>, most: usize) -> Vec<String> {
    let mut found = Vec::new();
    for name in names.map(absolute).filter(|name| Host::parse(name).is_ok()) {
        let name = name.to_ascii_lowercase();
        if found.len() < most && !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

/// A domain without the dot of the root.
pub(super) fn absolute(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// The host part of a `sip` URI that names a domain. One with userinfo names a user, and no other scheme counts
/// (RFC 5922 §7.1).
fn sip_host(uri: &str) -> Option<&str> {
    let (scheme, rest) = uri.split_once(':')?;
    if !scheme.eq_ignore_ascii_case("sip") || rest.contains('@') {
        return None;
    }
    let end = match rest.strip_prefix('[') {
        Some(v6) => v6.find(']')? + 2,
        None => rest.find([':', ';', '?', '/']).unwrap_or(rest.len()),
    };
    rest.get(..end)
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => <[u8; 4]>::try_from(octets).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(octets).ok().map(IpAddr::from),
    }
}
