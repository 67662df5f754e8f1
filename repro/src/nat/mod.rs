//! Devices behind NATs: who is one, and what keeps their NATs from forgetting them.

mod pings;

pub use pings::NatPings;

use stack::header::{Contact, h};
use stack::message::Message;
use stack::uri::Uri;
use std::net::IpAddr;

/// Whether a contact is behind a NAT, and what came by the flow of this request leads back there: its host is an address
/// other than the one that the request came from, and that or the Via's is a private one. Only whoever sent the request
/// himself can be judged by it, so there is one Via.
pub fn is_behind(request: &Message, contact: &Uri<'_>) -> bool {
    let Some(source) = request.source().map(|source| source.flow.peer.ip().to_canonical()) else { return false };
    let Some(at) = contact.sip().and_then(|sip| sip.host.ip()).filter(|at| *at != source) else { return false };
    let mut vias = request.header(h::VIAS);
    let (Some(Ok(via)), None) = (vias.next(), vias.next()) else { return false };
    is_private(at) || via.host.ip().is_some_and(|sent_by| sent_by != source && is_private(sent_by))
}

/// Whether the sender of a request that begins a dialog is behind a NAT.
pub fn comes_from_behind(request: &Message) -> bool {
    match request.header(h::CONTACTS).next() {
        Some(Ok(Contact::Addr(addr))) => is_behind(request, &addr.uri),
        _ => false,
    }
}

/// An address that means something nearby alone: RFC 1918, RFC 6598, RFC 4193, link-local and loopback.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            ip.is_private() || ip.is_link_local() || ip.is_loopback() || first == 100 && second & 0xc0 == 64
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rutil::Time;
    use stack::message::Source;
    use stack::transport::{ConnectionId, Flow, TransportId, TransportType};

    fn behind(source: &str, vias: &[&str], contact: &str) -> bool {
        let vias: String = vias.iter().map(|at| format!("Via: SIP/2.0/UDP {at};branch=z9hG4bKa\r\n")).collect();
        let text = format!(
            "INVITE sip:b@h SIP/2.0\r\n{vias}From: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: c\r\n\
             CSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContact: <{contact}>\r\nContent-Length: 0\r\n\r\n"
        );
        let mut msg = Message::parse(text.into_bytes()).unwrap();
        let (kind, peer) = (TransportType::Udp, source.parse().unwrap());
        let flow = Flow { transport: TransportId(0), kind, connection: ConnectionId(0), peer, local: None };
        msg.set_source(Source { flow, at: Time::ZERO });
        comes_from_behind(&msg)
    }

    #[test]
    fn a_nat_is_seen_by_private_addresses_that_are_not_the_source() {
        const NAT: &str = "203.0.113.9:4711";
        for (source, vias, contact, expected) in [
            (NAT, &["10.0.0.1"][..], "sip:a@10.0.0.1", true),
            (NAT, &["100.64.0.1"], "sip:a@100.127.255.1:5062", true),
            (NAT, &["phone.example"], "sip:a@192.168.1.2;transport=tcp", true),
            // A public address of another link, but sent from behind.
            (NAT, &["10.0.0.1"], "sip:a@198.51.100.1", true),
            ("[2001:db8::1]:5060", &["[fd00::1]"], "sip:a@[fd00::1]", true),
            // What it knows itself, as by STUN.
            (NAT, &["10.0.0.1"], "sip:a@203.0.113.9:4711", false),
            // In one network with us.
            ("10.0.0.1:5060", &["10.0.0.1"], "sip:a@10.0.0.1", false),
            (NAT, &["198.51.100.1"], "sip:a@198.51.100.1", false),
            (NAT, &["100.128.0.1"], "sip:a@100.128.0.1", false),
            (NAT, &["10.0.0.1"], "sip:a@phone.example", false),
            // By another proxy.
            (NAT, &["203.0.113.9", "10.0.0.1"], "sip:a@10.0.0.1", false),
        ] {
            assert_eq!(behind(source, vias, contact), expected, "{source} {vias:?} {contact}");
        }
    }
}
