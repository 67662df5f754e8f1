//! Where requests go, and from where.

use repro::config::Listen;
use stack::header::p;
use stack::transport::TransportType;
use stack::uri::{Host, SipUri};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};

/// Why there is no way to the peer.
#[derive(Debug, thiserror::Error)]
pub(super) enum HopError {
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
    #[error("no route to {0}: {1}")]
    NoRoute(SocketAddr, io::Error),
}

/// By which transport and to which address requests go. A name is looked up here, once; this may wait.
pub(super) fn next_hop(uri: &SipUri<'_>) -> Result<(TransportType, SocketAddr), HopError> {
    let kind = match uri.param(p::TRANSPORT) {
        Some(name) => TransportType::from_name(name).ok_or_else(|| HopError::Transport(name.to_owned()))?,
        None if uri.secure => TransportType::Tls,
        None => TransportType::Udp,
    };
    let kind = if uri.secure && kind == TransportType::Tcp { TransportType::Tls } else { kind };
    if !matches!(kind, TransportType::Udp | TransportType::Tcp) {
        return Err(HopError::Transport(kind.as_param().to_owned()));
    }
    let port = uri.port.unwrap_or(kind.default_port());
    let ip = match &uri.host {
        Host::V4(ip) => IpAddr::V4(*ip),
        Host::V6(ip) => IpAddr::V6(*ip),
        Host::Name(name) => look_up(name, port).map_err(|why| HopError::NoAddress(name.to_string(), why))?,
    };
    Ok((kind, SocketAddr::new(ip, port)))
}

fn look_up(name: &str, port: u16) -> Result<IpAddr, String> {
    let mut addresses = (name, port).to_socket_addrs().map_err(|error| error.to_string())?;
    addresses.next().map(|address| address.ip()).ok_or_else(|| "the answer was empty".to_owned())
}

/// Where to bind for a way to `peer`: the address that the kernel's route to it says, with any port.
pub(super) fn local(kind: TransportType, peer: SocketAddr, listen: Option<Listen>) -> Result<Listen, HopError> {
    match listen {
        Some(listen) if listen.kind != kind => Err(HopError::Differs(listen.kind.as_param(), kind.as_param())),
        Some(listen) => Ok(listen),
        None => {
            // Connecting a UDP socket sends nothing: it asks for the route.
            let any: IpAddr = if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            let asked = UdpSocket::bind((any, 0)).and_then(|socket| {
                socket.connect(peer)?;
                socket.local_addr()
            });
            let address = asked.map_err(|error| HopError::NoRoute(peer, error))?;
            Ok(Listen { kind, address: SocketAddr::new(address.ip(), 0) })
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
