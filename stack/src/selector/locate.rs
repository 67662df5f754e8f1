//! The next hop of a request (RFC 3261 §8.1.2, RFC 3263 §4): what can be said of it without asking the DNS. The rest is
//! the business of [`super::search`].

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

/// One of several places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) target: Target,
    /// Of which host: the addresses of one may race.
    pub(crate) host: u8,
}

/// What [`locate`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Located {
    /// The place itself.
    At(Target),
    /// A name that must be looked up.
    Name(Place),
    /// A telephone number that must be looked up, `+` and digits: a `tel` URI with a global number (RFC 6116).
    Number(String),
}

/// The TARGET of RFC 3263 §4 with a name, and what its URI says beside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The host name in lower case.
    pub name: String,
    /// The transport that the URI names.
    pub transport: Option<TransportType>,
    /// The port that the URI names.
    pub port: Option<u16>,
    /// A `sips` URI: only secure transports will do.
    pub secure: bool,
}

impl Place {
    /// The transport, if neither the URI nor the DNS names one (RFC 3263 §4.1).
    pub fn default_transport(&self) -> TransportType {
        self.transport.unwrap_or(if self.secure { TransportType::Tls } else { TransportType::Udp })
    }
}

/// Finds the next hop of a request: the topmost Route, else the Request-URI; `maddr` instead of the host where it is
/// given. With a sips Request-URI a Route or an outbound proxy counts as sips too (RFC 3261 §8.1.2).
///
/// # Errors
/// [`NoResponse::NotFound`] for a URI that leads nowhere, [`NoResponse::Transport`] for a transport that nobody knows.
pub fn locate(msg: &Message, next_hop: NextHop, outbound_proxy: Option<&SipUri<'_>>) -> Result<Located, NoResponse> {
    match next_hop {
        NextHop::Flow(flow) | NextHop::From(flow) => {
            return Ok(Located::At(Target { kind: flow.kind, address: flow.peer }));
        }
        NextHop::Address(kind, address) => return Ok(Located::At(Target { kind, address })),
        NextHop::RequestUri => {}
        NextHop::Route => {
            if let Some(route) = msg.header(h::ROUTES).next() {
                let route = route.map_err(|_| NoResponse::NotFound)?;
                let sip = route.uri.sip().ok_or(NoResponse::NotFound)?;
                return locate_as(sip, sip.secure || msg.is_sips());
            }
            if let Some(proxy) = outbound_proxy {
                return locate_as(proxy, proxy.secure || msg.is_sips());
            }
        }
    }
    match msg.request_uri().map_err(|_| NoResponse::NotFound)? {
        Uri::Sip(sip) => locate_uri(&sip),
        Uri::Tel(tel) if tel.is_global() => Ok(Located::Number(tel.digits())),
        _ => Err(NoResponse::NotFound),
    }
}

/// Finds where a request goes that has this Request-URI and no Route.
///
/// # Errors
/// As [`locate`].
pub fn locate_uri(uri: &SipUri<'_>) -> Result<Located, NoResponse> {
    locate_as(uri, uri.secure)
}

fn locate_as(uri: &SipUri<'_>, secure: bool) -> Result<Located, NoResponse> {
    let transport = transport_of(uri, secure)?;
    // RFC 6761 §6.4: there is no such host, and nobody need be asked. It stands where a client cannot be connected to.
    if let Host::Name(name) = &uri.host
        && is_invalid(name)
    {
        return Err(NoResponse::NotFound);
    }
    let maddr = match uri.param(p::MADDR) {
        Some(text) => Some(Host::parse(text).map_err(|_| NoResponse::NotFound)?),
        None => None,
    };
    let host = maddr.as_ref().unwrap_or(&uri.host);
    let name = || host.to_string().to_ascii_lowercase();
    let place = |name| Place { name, transport, port: uri.port, secure };
    match host.ip() {
        Some(ip) if reachable(ip) => {
            let kind = place(String::new()).default_transport();
            let port = uri.port.unwrap_or_else(|| kind.default_port());
            Ok(Located::At(Target { kind, address: SocketAddr::new(ip, port) }))
        }
        Some(_) => Err(NoResponse::NotFound),
        None => Ok(Located::Name(place(name()))),
    }
}

/// Whether a host name is below `.invalid`.
fn is_invalid(name: &str) -> bool {
    let label = name.trim_end_matches('.').rsplit('.').next();
    label.is_some_and(|label| label.eq_ignore_ascii_case("invalid"))
}

/// Whether the place that a URI names can be reached by nothing but a flow that is known already: a WebSocket client, or
/// a host below `.invalid` (RFC 7118 §5).
pub fn needs_flow(uri: &SipUri<'_>) -> bool {
    let websocket = || matches!(transport_of(uri, uri.secure), Ok(Some(TransportType::Ws | TransportType::Wss)));
    matches!(&uri.host, Host::Name(name) if is_invalid(name)) || websocket()
}

/// Nobody is made to send to a group, to everybody or to "here", be it written as an IPv4-mapped IPv6 address.
pub(super) fn reachable(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => !v4.is_multicast() && !v4.is_broadcast() && !v4.is_unspecified(),
        IpAddr::V6(v6) => !v6.is_multicast() && !v6.is_unspecified(),
    }
}

/// The `transport` parameter, with TLS where the scheme asks for it (RFC 3261 §26.2.2: sips is never sent in clear).
fn transport_of(uri: &SipUri<'_>, secure: bool) -> Result<Option<TransportType>, NoResponse> {
    let Some(name) = uri.param(p::TRANSPORT) else { return Ok(None) };
    match (TransportType::from_name(name), secure) {
        (Some(TransportType::Tcp), true) => Ok(Some(TransportType::Tls)),
        (Some(TransportType::Ws), true) => Ok(Some(TransportType::Wss)),
        (Some(TransportType::Udp), true) | (None, _) => Err(NoResponse::Transport(TransportError::NoTransport)),
        (named, _) => Ok(named),
    }
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
            ("sip:a@df7jal23ls0d.invalid;transport=ws", Err(NoResponse::NotFound)),
            ("sip:a@df7jal23ls0d.INVALID.", Err(NoResponse::NotFound)),
        ];
        for (uri, want) in cases {
            assert_eq!(locate(&request(uri, &[]), NextHop::Route, None), want, "{uri}");
        }
    }

    #[test]
    fn what_cannot_be_connected_to() {
        let needs = |text: &str| needs_flow(Uri::parse(text).unwrap().sip().unwrap());
        assert!(
            needs("sip:a@x.invalid;transport=ws") && needs("sip:a@x.invalid") && needs("sip:a@192.0.2.1;transport=WSS")
        );
        assert!(!needs("sip:a@invalid.example.com") && !needs("sip:a@192.0.2.1;transport=tcp"));
    }

    #[test]
    fn names_are_asked_for() {
        let place = |transport, port, secure| {
            Ok(Located::Name(Place { name: "sip.example.com".into(), transport, port, secure }))
        };
        let cases = [
            ("sip:a@SIP.example.com", place(None, None, false)),
            ("sips:a@sip.example.com", place(None, None, true)),
            ("sips:a@sip.example.com;transport=tcp", place(Some(TransportType::Tls), None, true)),
            ("sip:a@sip.example.com:5070;transport=tcp", place(Some(TransportType::Tcp), Some(5070), false)),
            ("sip:a@192.0.2.1;maddr=SIP.example.com", place(None, None, false)),
            ("sips:a@sip.example.com;transport=udp", Err(TransportError::NoTransport.into())),
            ("tel:+1-(234).5", Ok(Located::Number("+12345".into()))),
            ("tel:1234;phone-context=example.com", Err(NoResponse::NotFound)),
        ];
        for (uri, want) in cases {
            assert_eq!(locate(&request(uri, &[]), NextHop::Route, None), want, "{uri}");
        }
    }

    #[test]
    fn a_number_in_a_route_is_no_server() {
        let msg = request("sip:a@192.0.2.1", &["<tel:+1234>"]);
        assert_eq!(locate(&msg, NextHop::Route, None), Err(NoResponse::NotFound));
    }

    #[test]
    fn a_sips_request_goes_to_no_next_hop_in_clear() {
        let to = |uri: &str, route: &str| locate(&request(uri, &[route]), NextHop::Route, None);
        assert_eq!(to("sips:a@a.example", "<sip:192.0.2.2;lr>"), at(TransportType::Tls, "192.0.2.2:5061"));
        assert_eq!(
            to("SIPS:a@a.example", "<sip:192.0.2.2;transport=tcp;lr>"),
            at(TransportType::Tls, "192.0.2.2:5061")
        );
        let udp = to("sips:a@a.example", "<sip:192.0.2.2;transport=udp;lr>");
        assert_eq!(udp, Err(TransportError::NoTransport.into()));
        let proxy = SipUri::new(Host::parse("192.0.2.4").unwrap());
        let bare = locate(&request("sips:a@a.example", &[]), NextHop::Route, Some(&proxy));
        assert_eq!(bare, at(TransportType::Tls, "192.0.2.4:5061"));
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
