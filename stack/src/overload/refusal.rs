//! The 503 that overload is answered with, made at the cheapest place: by the scanner, from the octets, in one buffer,
//! with nothing parsed but the topmost Via.

use crate::header::{HeaderId, Method, h, p};
use crate::message::Message;
use crate::scanner::{TopVia, stamp_received};
use crate::transaction::{KeyMaker, ServerKey};
use crate::transport::Flow;
use bytes::Bytes;
use std::io::Write as _;

/// What a response repeats besides the Via (RFC 3261 §8.2.6.2): without one of them it would be no response.
const REPEATED: [HeaderId; 4] = [HeaderId::FROM, HeaderId::TO, HeaderId::CALL_ID, HeaderId::CSEQ];

/// What a request that is to be refused needs: its transaction's key, and where the answer goes. `None` for what cannot be
/// answered: an ACK, or a request without what a response repeats.
pub(crate) fn refusable(msg: &Message, flow: &Flow, keys: &KeyMaker) -> Option<(ServerKey, Flow)> {
    let method = msg.method()?;
    if msg.fault().is_some() || method == Method::Ack || REPEATED.iter().any(|id| !msg.has(*id)) {
        return None;
    }
    let via = msg.first(h::VIAS).ok()?;
    let top = TopVia::of(&via);
    Some((keys.of_request(msg, &top, &method).ok()?, top.reply_to(flow)))
}

/// The 503 for a request that gets no transaction. Its To tag is the one that the transactions know again in the ACK.
pub(crate) fn refuse(msg: &mut Message, flow: &Flow, key: ServerKey, retry_after: u32) -> Bytes {
    stamp_received(msg, flow.peer);
    print(msg, &key.own_tag(), retry_after)
}

fn print(msg: &Message, tag: &str, retry_after: u32) -> Bytes {
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(b"SIP/2.0 503 Service Unavailable\r\n");
    for (id, value) in msg.fields().filter(|(id, _)| *id == HeaderId::VIA || REPEATED.contains(id)) {
        out.extend_from_slice(id.name().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        if id == HeaderId::TO && msg.header(h::TO).is_ok_and(|to| to.param(p::TAG).is_none()) {
            out.extend_from_slice(b";tag=");
            out.extend_from_slice(tag.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }
    // Writing to a Vec cannot fail.
    let _ = write!(out, "Retry-After: {retry_after}\r\nContent-Length: 0\r\n\r\n");
    Bytes::from(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{ConnectionId, TransportId, TransportType};
    use rutil::Rng;

    fn keys() -> KeyMaker {
        KeyMaker::new(&mut Rng::from_seed(1))
    }

    fn answer(text: &str) -> Option<(Message, Flow)> {
        let peer = "192.0.2.7:5099".parse().unwrap();
        let flow = Flow {
            transport: TransportId(0),
            kind: TransportType::Udp,
            connection: ConnectionId::default(),
            peer,
            local: None,
        };
        let mut msg = Message::parse(text.as_bytes()).unwrap();
        let (key, reply_to) = refusable(&msg, &flow, &keys())?;
        let response = Message::parse(refuse(&mut msg, &flow, key, 3)).unwrap();
        assert_eq!((response.status(), response.fault()), (Some(503), None));
        assert_eq!(response.header(h::RETRY_AFTER).map(|after| after.seconds), Ok(3));
        Some((response, reply_to))
    }

    fn request(via: &str) -> String {
        format!(
            "INVITE sip:bob@b.example SIP/2.0\r\nv: {via}\r\nf: <sip:a@a.example>;tag=1\r\nTo: \"B\" <sip:b@b>\r\n\
             X: 1\r\ni: call\r\nCSeq: 1 INVITE\r\nContent-Length: 3\r\n\r\nabc"
        )
    }

    #[test]
    fn it_is_what_the_slow_way_makes() {
        for (via, port) in [
            ("SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bKa", 5070),
            ("SIP/2.0/UDP 192.0.2.7:5070;rport;branch=z9hG4bKa, SIP/2.0/UDP x;branch=z9hG4bKb", 5099),
            ("SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bKa;rport", 5099),
            ("SIP/2.0/UDP a.example;branch=z9hG4bKa", 5060),
            ("SIP/2.0/UDP a.example;branch=z9hG4bKa;received=1.2.3.4;rport=7", 5099),
            ("SIP/2.0/UDP a.example;branch=z9hG4bKa;x=\",;rport\"\r\nVia: SIP/2.0/UDP second;branch=z9hG4bKc", 5060),
        ] {
            let text = request(via);
            let (response, reply_to) = answer(&text).unwrap();
            let slow = Message::parse(text.as_bytes()).unwrap();
            let mut slow = slow.make_response(503, None, response.header(h::TO).unwrap().param(p::TAG));
            stamp_received(&mut slow, "192.0.2.7:5099".parse().unwrap());
            let vias = |msg: &Message| msg.header(h::VIAS).map(|via| via.unwrap().to_string()).collect::<Vec<_>>();
            assert_eq!((vias(&response), reply_to.peer.port()), (vias(&slow), port), "{via}");
            assert!(response.header(h::TO).unwrap().param(p::TAG).is_some_and(|tag| tag.len() == 16));
            let call = (response.raw_value(HeaderId::CALL_ID), response.raw_value(HeaderId::CSEQ));
            assert_eq!(call, (Some(&b"call"[..]), Some(&b"1 INVITE"[..])));
            assert!(!response.has(HeaderId::CONTENT_TYPE) && response.body().is_empty());
        }
    }

    #[test]
    fn what_cannot_be_answered_is_not() {
        let good = request("SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKa");
        assert!(answer(&good).is_some());
        for bad in [
            good.replace("CSeq: 1 INVITE\r\n", ""),
            good.replace("INVITE", "ACK"),
            good.replace("SIP/2.0/UDP 192.0.2.7", "SIP/2.0"),
            good.replace("Content-Length: 3", "Content-Length: x"),
        ] {
            assert!(answer(&bad).is_none(), "{bad}");
        }
    }
}
