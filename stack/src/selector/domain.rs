//! Whom a request must reach: the name that a TLS peer has to prove (RFC 5922 §7.3).

use crate::header::h;
use crate::message::Message;
use crate::tu::NextHop;
use crate::uri::{SipUri, Uri};
use std::sync::Arc;

/// The host of the URI that says where a request goes, in lower case: of the topmost Route, the outbound proxy or the
/// Request-URI. What DNS made of it, or an `maddr`, does not count: who writes these must not say whom we trust. None
/// where the next hop is a flow or an address already.
pub(super) fn domain_to_prove(
    msg: &Message,
    next_hop: NextHop,
    outbound_proxy: Option<&SipUri<'_>>,
) -> Option<Arc<str>> {
    let route = match next_hop {
        NextHop::Flow(_) | NextHop::From(_) | NextHop::Address(..) => return None,
        NextHop::RequestUri => None,
        NextHop::Route => msg.header(h::ROUTES).next(),
    };
    match (route, next_hop, outbound_proxy) {
        (Some(route), ..) => host(&route.ok()?.uri),
        (None, NextHop::Route, Some(proxy)) => Some(lower(proxy)),
        _ => host(&msg.request_uri().ok()?),
    }
}

fn host(uri: &Uri<'_>) -> Option<Arc<str>> {
    uri.sip().map(lower)
}

fn lower(uri: &SipUri<'_>) -> Arc<str> {
    uri.host.to_string().to_ascii_lowercase().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::Method;
    use crate::transport::TransportType;
    use crate::uri::Host;

    #[test]
    fn the_uri_that_leads_there_names_it() {
        let mut msg = Message::request(&Method::Options, "sips:a@Example.COM;maddr=192.0.2.1");
        let proxy = SipUri::new(Host::parse("proxy.example.net").unwrap());
        let domain = |msg: &Message, hop, proxy| domain_to_prove(msg, hop, proxy).map(|d| d.to_string());
        assert_eq!(domain(&msg, NextHop::Route, None).as_deref(), Some("example.com"));
        assert_eq!(domain(&msg, NextHop::Route, Some(&proxy)).as_deref(), Some("proxy.example.net"));
        assert_eq!(domain(&msg, NextHop::RequestUri, Some(&proxy)).as_deref(), Some("example.com"));
        msg.push_back(h::ROUTES, "<sips:[2001:db8::1];lr>");
        assert_eq!(domain(&msg, NextHop::Route, Some(&proxy)).as_deref(), Some("[2001:db8::1]"));
        let address = NextHop::Address(TransportType::Tls, "192.0.2.1:5061".parse().unwrap());
        assert_eq!(domain(&msg, address, None), None);
    }
}
