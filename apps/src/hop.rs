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
    /// There is no such transport, or it is not served here.
    #[error("transport {0} cannot be used here: use udp or tcp")]
    Transport(String),
    /// `--listen` names another transport than the peer's URI.
    #[error("--listen is {0}, but the peer is reached by {1}")]
    Differs(&'static str, &'static str),
    /// Nothing leads to it.
    #[error("no route to {0}")]
    NoRoute(SocketAddr),
}

/// By which transport requests go there.
///
/// # Errors
/// [`HopError::Transport`]: there is no such transport.
pub(crate) fn kind_of(uri: &SipUri<'_>) -> Result<TransportType, HopError> {
    let kind = match uri.param(p::TRANSPORT) {
        Some(name) => TransportType::from_name(name).ok_or_else(|| HopError::Transport(name.to_owned()))?,
        None if uri.secure => TransportType::Tls,
        None => TransportType::Udp,
    };
    Ok(if uri.secure && kind == TransportType::Tcp { TransportType::Tls } else { kind })
}

/// By which transport, UDP or TCP, and to which address requests go. A name is looked up here, once; this may wait.
pub(crate) fn next_hop(uri: &SipUri<'_>) -> Result<(TransportType, SocketAddr), HopError> {
    let kind = kind_of(uri)?;
    if !matches!(kind, TransportType::Udp | TransportType::Tcp) {
        return Err(HopError::Transport(kind.as_param().to_owned()));
    }
    let first = addresses(uri, kind)?.into_iter().next();
    let nobody = || HopError::NoAddress(uri.host.to_string(), "the answer was empty".to_owned());
    Ok((kind, first.ok_or_else(nobody)?))
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

/// Where to bind for a way to `peer`: the address that the kernel's route to it says, with any port.
pub(crate) fn local(kind: TransportType, peer: SocketAddr, listen: Option<Listen>) -> Result<Listen, HopError> {
    match listen {
        Some(listen) if listen.kind != kind => Err(HopError::Differs(listen.kind.as_param(), kind.as_param())),
        Some(listen) => Ok(listen),
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

    fn hop(text: &str) -> Result<(TransportType, SocketAddr), HopError> {
        let Ok(Uri::Sip(uri)) = Uri::parse(text) else { panic!("{text} is a SIP URI") };
        next_hop(&uri)
    }

    #[test]
    fn the_uri_says_transport_and_port() {
        let at = |text: &str| text.parse().expect("an address");
        assert_eq!(hop("sip:a@192.0.2.1").ok(), Some((TransportType::Udp, at("192.0.2.1:5060"))));
        assert_eq!(hop("sip:[2001:db8::1]:99;transport=tcp").ok(), Some((TransportType::Tcp, at("[2001:db8::1]:99"))));
        assert_eq!(hop("sip:localhost:5070").ok().map(|(_, address)| address.port()), Some(5070));
    }

    #[test]
    fn what_leads_nowhere_is_told() {
        assert!(hop("sip:192.0.2.1;transport=sctp").expect_err("no such").to_string().contains("sctp"));
        for unserved in ["sip:192.0.2.1;transport=ws", "sips:192.0.2.1", "sips:192.0.2.1;transport=tcp"] {
            assert!(matches!(hop(unserved), Err(HopError::Transport(_))), "{unserved}");
        }
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
