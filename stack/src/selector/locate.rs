//! The next hop of a request (RFC 3261 §8.1.2, RFC 3263 §4): pure, without a resolver.
//!
//! What is done so far of RFC 3263: explicit transports and ports, numeric hosts, and names by their A and AAAA
//! records. NAPTR and SRV are not asked.

use crate::header::{h, p};
use crate::message::Message;
use crate::transport::{TransportError, TransportType};
use crate::tu::{NextHop, NoResponse};
use crate::uri::{Host, SipUri, Uri};
use std::net::{IpAddr, SocketAddr};

/// A place to send to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// By what transport.
    pub kind: TransportType,
    /// Where.
    pub address: SocketAddr,
}

/// What [`locate`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Located {
    /// The place itself.
    At(Target),
    /// A name whose addresses must be looked up.
    Name {
        /// The host name in lower case.
        name: String,
        /// By what transport.
        kind: TransportType,
        /// The port.
        port: u16,
    },
}

/// Finds the next hop of a request: the topmost Route, else the Request-URI; `maddr` instead of the host where it is
/// given.
///
/// # Errors
/// [`NoResponse::NotFound`] for a URI that leads nowhere, [`NoResponse::Transport`] for a transport that nobody knows.
pub fn locate(msg: &Message, next_hop: NextHop, outbound_proxy: Option<&SipUri<'_>>) -> Result<Located, NoResponse> {
    match next_hop {
        NextHop::Flow(flow) => return Ok(Located::At(Target { kind: flow.kind, address: flow.peer })),
        NextHop::Address(kind, address) => return Ok(Located::At(Target { kind, address })),
        NextHop::RequestUri => {}
        NextHop::Route => {
            if let Some(route) = msg.header(h::ROUTES).next() {
                let route = route.map_err(|_| NoResponse::NotFound)?;
                return of_uri(&route.uri);
            }
            if let Some(proxy) = outbound_proxy {
                return locate_uri(proxy);
            }
        }
    }
    of_uri(&msg.request_uri().map_err(|_| NoResponse::NotFound)?)
}

fn of_uri(uri: &Uri<'_>) -> Result<Located, NoResponse> {
    uri.sip().ok_or(NoResponse::NotFound).and_then(locate_uri)
}

/// Finds where a request goes that has this Request-URI and no Route.
///
/// # Errors
/// As [`locate`].
pub fn locate_uri(uri: &SipUri<'_>) -> Result<Located, NoResponse> {
    let kind = transport_of(uri)?;
    let port = uri.port.unwrap_or_else(|| kind.default_port());
    let maddr = match uri.param(p::MADDR) {
        Some(text) => Some(Host::parse(text).map_err(|_| NoResponse::NotFound)?),
        None => None,
    };
    let host = maddr.as_ref().unwrap_or(&uri.host);
    match host.ip() {
        Some(ip) if reachable(ip) => Ok(Located::At(Target { kind, address: SocketAddr::new(ip, port) })),
        Some(_) => Err(NoResponse::NotFound),
        None => Ok(Located::Name { name: host.to_string().to_ascii_lowercase(), kind, port }),
    }
}

/// Nobody is made to send to a group, to everybody or to "here", be it written as an IPv4-mapped IPv6 address.
pub(super) fn reachable(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => !v4.is_multicast() && !v4.is_broadcast() && !v4.is_unspecified(),
        IpAddr::V6(v6) => !v6.is_multicast() && !v6.is_unspecified(),
    }
}

/// RFC 3263 §4.1 without NAPTR: the `transport` parameter, else TLS for sips and UDP for sip.
fn transport_of(uri: &SipUri<'_>) -> Result<TransportType, NoResponse> {
    let named = match uri.param(p::TRANSPORT) {
        Some(name) => Some(TransportType::from_name(name).ok_or(NoResponse::Transport(TransportError::NoTransport))?),
        None => None,
    };
    Ok(match (named, uri.secure) {
        (None, false) => TransportType::Udp,
        (None | Some(TransportType::Tcp), true) => TransportType::Tls,
        (Some(TransportType::Ws), true) => TransportType::Wss,
        // RFC 3261 §26.2.2: sips is never sent in clear.
        (Some(TransportType::Udp), true) => return Err(NoResponse::Transport(TransportError::NoTransport)),
        (Some(kind), _) => kind,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::Method;

    fn request(uri: &str, routes: &[&str]) -> Message {
        let mut msg = Message::request(&Method::Options, uri);
        for route in routes {
            msg.push_back(h::ROUTES, *route);
        }
        msg
    }

    fn at(kind: TransportType, address: &str) -> Result<Located, NoResponse> {
        Ok(Located::At(Target { kind, address: address.parse().unwrap() }))
    }

    #[test]
    fn transports_and_ports() {
        use TransportType::{Tcp, Tls, Udp, Ws, Wss};
        let cases = [
            ("sip:a@192.0.2.1", at(Udp, "192.0.2.1:5060")),
            ("sip:a@192.0.2.1:5080;transport=TCP", at(Tcp, "192.0.2.1:5080")),
            ("sip:a@[2001:db8::1];transport=tcp", at(Tcp, "[2001:db8::1]:5060")),
            ("sips:a@192.0.2.1", at(Tls, "192.0.2.1:5061")),
            ("sips:a@192.0.2.1;transport=tcp", at(Tls, "192.0.2.1:5061")),
            ("sip:a@192.0.2.1;transport=ws", at(Ws, "192.0.2.1:80")),
            ("sips:a@192.0.2.1;transport=ws", at(Wss, "192.0.2.1:443")),
            ("sip:a@example.com;maddr=192.0.2.9", at(Udp, "192.0.2.9:5060")),
            ("sips:a@192.0.2.1;transport=udp", Err(TransportError::NoTransport.into())),
            ("sip:a@192.0.2.1;transport=sctp", Err(TransportError::NoTransport.into())),
            ("sip:a@255.255.255.255", Err(NoResponse::NotFound)),
            ("sip:a@0.0.0.0", Err(NoResponse::NotFound)),
            ("sip:a@224.0.1.75", Err(NoResponse::NotFound)),
            ("sip:a@[ff02::1]", Err(NoResponse::NotFound)),
            ("sip:a@[::ffff:224.0.1.75]", Err(NoResponse::NotFound)),
            ("sip:a@[::ffff:255.255.255.255]", Err(NoResponse::NotFound)),
            ("sip:a@[::ffff:0.0.0.0]", Err(NoResponse::NotFound)),
            ("sip:a@[::ffff:192.0.2.1]", at(Udp, "[::ffff:192.0.2.1]:5060")),
            ("tel:+1234", Err(NoResponse::NotFound)),
        ];
        for (uri, want) in cases {
            assert_eq!(locate(&request(uri, &[]), NextHop::Route, None), want, "{uri}");
        }
    }

    #[test]
    fn names_are_asked_for() {
        let want = Located::Name { name: "sip.example.com".into(), kind: TransportType::Udp, port: 5060 };
        assert_eq!(locate(&request("sip:a@SIP.example.com", &[]), NextHop::Route, None), Ok(want));
    }

    #[test]
    fn routes_come_before_the_request_uri() {
        let msg = request("sip:a@192.0.2.1", &["<sip:192.0.2.2;lr>", "<sip:192.0.2.3;lr>"]);
        assert_eq!(locate(&msg, NextHop::Route, None), at(TransportType::Udp, "192.0.2.2:5060"));
        assert_eq!(locate(&msg, NextHop::RequestUri, None), at(TransportType::Udp, "192.0.2.1:5060"));
        let proxy = SipUri::new(Host::parse("192.0.2.4").unwrap());
        assert_eq!(locate(&msg, NextHop::Route, Some(&proxy)), at(TransportType::Udp, "192.0.2.2:5060"));
        let bare = request("sip:a@192.0.2.1", &[]);
        assert_eq!(locate(&bare, NextHop::Route, Some(&proxy)), at(TransportType::Udp, "192.0.2.4:5060"));
    }
}
