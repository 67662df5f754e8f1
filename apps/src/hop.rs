//! Where requests go, and from where.

use repro::config::Listen;
use stack::header::p;
use stack::transport::{TransportType, system_route};
use stack::uri::{Host, SipUri};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};

/// Why there is no way to the peer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HopError {
    /// The name has no address.
    #[error("{0} has no address: {1}")]
    NoAddress(String, String),
    /// There is no such transport, or it is not served; those that are.
    #[error("transport {0} cannot be used here: use {1}")]
    Transport(String, &'static str),
    /// `--listen` names another transport, or an address of another family, than the peer's URI.
    #[error("--listen is {0}, but the peer is reached by {1}")]
    Differs(&'static str, &'static str),
    /// Nothing leads to it.
    #[error("no route to {0}")]
    NoRoute(SocketAddr),
}

/// The transports, all and the secure ones.
const ALL: &str = "udp, tcp, tls, ws or wss";
const SECURE: &str = "tls or wss";

/// By which transport requests go there.
///
/// # Errors
/// [`HopError::Transport`]: there is no such transport.
pub(crate) fn kind_of(uri: &SipUri<'_>) -> Result<TransportType, HopError> {
    let kind = match uri.param(p::TRANSPORT) {
        Some(name) => TransportType::from_name(name).ok_or_else(|| HopError::Transport(name.to_owned(), ALL))?,
        None if uri.secure => TransportType::Tls,
        None => TransportType::Udp,
    };
    match kind {
        TransportType::Tcp if uri.secure => Ok(TransportType::Tls),
        TransportType::Ws if uri.secure => Ok(TransportType::Wss),
        TransportType::Udp if uri.secure => Err(HopError::Transport("udp of a sips URI".to_owned(), SECURE)),
        kind => Ok(kind),
    }
}

/// Where requests go first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hop {
    /// By which transport,
    pub(crate) kind: TransportType,
    /// and to which address.
    pub(crate) address: SocketAddr,
    /// Its name, where it has one.
    pub(crate) name: Option<String>,
}

impl Hop {
    /// The one that a URI says. A name is looked up here, once; this may wait.
    pub(crate) fn of(uri: &SipUri<'_>) -> Result<Self, HopError> {
        let kind = kind_of(uri)?;
        let first = addresses(uri, kind)?.into_iter().next();
        let nobody = || HopError::NoAddress(uri.host.to_string(), "the answer was empty".to_owned());
        let name = if let Host::Name(name) = &uri.host { Some(name.to_ascii_lowercase()) } else { None };
        Ok(Hop { kind, address: first.ok_or_else(nobody)?, name })
    }

    /// Whether a URI leads there as well, by its address or its name; one that names a transport names this one.
    pub(crate) fn is_meant_by(&self, uri: &SipUri<'_>) -> bool {
        let says_kind = uri.secure || uri.param(p::TRANSPORT).is_some();
        if says_kind && kind_of(uri).ok() != Some(self.kind) || uri.param(p::MADDR).is_some() {
            return false;
        }
        let port = uri.port.unwrap_or(self.kind.default_port());
        let host = match &uri.host {
            Host::Name(name) => self.name.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(name)),
            host => host.ip() == Some(self.address.ip()),
        };
        host && port == self.address.port()
    }
}

/// The addresses of a URI's host. A name is looked up here, for its addresses alone; this may wait.
pub(crate) fn addresses(uri: &SipUri<'_>, kind: TransportType) -> Result<Vec<SocketAddr>, HopError> {
    let port = uri.port.unwrap_or(kind.default_port());
    match &uri.host {
        Host::V4(ip) => Ok(vec![SocketAddr::new(IpAddr::V4(*ip), port)]),
        Host::V6(ip) => Ok(vec![SocketAddr::new(IpAddr::V6(*ip), port)]),
        Host::Name(name) => match (&**name, port).to_socket_addrs() {
            Ok(found) => Ok(found.collect()),
            Err(error) => Err(HopError::NoAddress(name.to_string(), error.to_string())),
        },
    }
}

/// Whether one of these leads to a peer by its transport and, where its address is known, from the same family.
///
/// # Errors
/// [`HopError::Differs`]: none does.
pub(crate) fn leads(listen: &[Listen], kind: TransportType, peer: Option<IpAddr>) -> Result<(), HopError> {
    let Some(first) = listen.first() else { return Ok(()) };
    let mut of_kind = listen.iter().filter(|listen| listen.kind == kind).peekable();
    if of_kind.peek().is_none() {
        return Err(HopError::Differs(first.kind.as_param(), kind.as_param()));
    }
    let family = |ip: IpAddr| if ip.is_ipv4() { "IPv4" } else { "IPv6" };
    match peer.map(family) {
        Some(theirs) if of_kind.all(|listen| family(listen.address.ip()) != theirs) => {
            Err(HopError::Differs(family(first.address.ip()), theirs))
        }
        _ => Ok(()),
    }
}

/// Where to bind for a way to `peer`: the address that the kernel's route to it says, with any port.
pub(crate) fn local(kind: TransportType, peer: SocketAddr, listen: Option<Listen>) -> Result<Listen, HopError> {
    match listen {
        Some(listen) => leads(&[listen], kind, Some(peer.ip())).map(|()| listen),
        None => {
            let address = system_route(peer.ip()).ok_or(HopError::NoRoute(peer))?;
            Ok(Listen { kind, address: SocketAddr::new(address, 0) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stack::uri::Uri;

    fn uri(text: &str) -> SipUri<'_> {
        let Ok(Uri::Sip(uri)) = Uri::parse(text) else { panic!("{text} is a SIP URI") };
        uri
    }

    fn hop(text: &str) -> Result<(TransportType, SocketAddr), HopError> {
        Hop::of(&uri(text)).map(|hop| (hop.kind, hop.address))
    }

    #[test]
    fn the_uri_says_transport_and_port() {
        let at = |text: &str| text.parse().expect("an address");
        assert_eq!(hop("sip:a@192.0.2.1").ok(), Some((TransportType::Udp, at("192.0.2.1:5060"))));
        assert_eq!(hop("sip:[2001:db8::1]:99;transport=tcp").ok(), Some((TransportType::Tcp, at("[2001:db8::1]:99"))));
        assert_eq!(hop("sips:192.0.2.1").ok(), Some((TransportType::Tls, at("192.0.2.1:5061"))));
        assert_eq!(hop("sips:192.0.2.1;transport=tcp").ok(), Some((TransportType::Tls, at("192.0.2.1:5061"))));
        assert_eq!(hop("sip:192.0.2.1;transport=ws").ok(), Some((TransportType::Ws, at("192.0.2.1:80"))));
        assert_eq!(hop("sips:192.0.2.1:99;transport=ws").ok(), Some((TransportType::Wss, at("192.0.2.1:99"))));
        assert_eq!(hop("sip:localhost:5070").ok().map(|(_, address)| address.port()), Some(5070));
    }

    #[test]
    fn a_route_may_mean_the_same_hop() {
        let hop = Hop::of(&uri("sip:LOCALHOST:5061;transport=tls")).expect("a host");
        let ip = format!("sip:{}:5061", hop.address.ip());
        for (text, wanted) in [
            ("sip:localhost:5061;lr", true),
            ("sip:localhost:5061;transport=tls;lr", true),
            ("sip:localhost:5061;transport=udp;lr", false),
            ("sip:other:5061", false),
            ("sip:localhost:5061;maddr=192.0.2.1", false),
            ("sips:localhost:5061", true),
            ("sips:localhost:5061;transport=ws", false),
            ("sip:localhost:5070", false),
        ] {
            assert_eq!(hop.is_meant_by(&uri(text)), wanted, "{text}");
        }
        assert!(hop.address.is_ipv6() || hop.is_meant_by(&uri(&ip)));
    }

    #[test]
    fn what_leads_nowhere_is_told() {
        assert!(hop("sip:192.0.2.1;transport=sctp").expect_err("no such").to_string().contains("sctp"));
        assert!(hop("sips:192.0.2.1;transport=udp").is_err());
        assert!(hop("sip:no.such.host.invalid").expect_err("no such").to_string().contains("no.such.host.invalid"));
    }

    #[test]
    fn the_route_says_where_to_bind() {
        let peer = "127.0.0.1:5070".parse().expect("an address");
        let found = local(TransportType::Udp, peer, None).expect("loopback");
        assert_eq!(found.address.to_string(), "127.0.0.1:0");
        let tcp = "tcp:127.0.0.1:0".parse().expect("well formed");
        assert!(matches!(local(TransportType::Udp, peer, Some(tcp)), Err(HopError::Differs("tcp", "udp"))));
    }
}
