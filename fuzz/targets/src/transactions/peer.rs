//! The peers: what they send, by the script.

use super::script::Script;
use bytes::Bytes;
use stack::message::Message;
use stack::transport::{ConnectionId, Flow, TransportId, TransportType};
use std::net::SocketAddr;

const METHODS: [&str; 8] = ["INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "REGISTER", "PRACK", "invite"];
const BRANCHES: [&str; 7] = [
    "branch=z9hG4bKb0",
    "branch=z9hG4bKb1",
    "branch=z9hG4bKb2;rport",
    "branch=old",
    "branch=z9hG4bK",
    "rport",
    "maddr=192.0.2.99;branch=z9hG4bKb3",
];
const SENT_BY: [&str; 4] = ["192.0.2.1:5060", "192.0.2.1", "peer.example.com", "[2001:db8::1]:5070"];
pub(super) const CODES: [u16; 16] = [100, 101, 180, 183, 199, 200, 202, 299, 301, 404, 407, 487, 500, 503, 600, 699];

/// Where it comes from: datagrams of three peers, streams of three connections.
pub(super) fn flow(script: &mut Script<'_>) -> Flow {
    let number = script.below(6) as u16;
    let peer = SocketAddr::from(([192, 0, 2, 1 + (number % 3) as u8], 5060));
    match number < 3 {
        true => {
            Flow { transport: TransportId(0), kind: TransportType::Udp, connection: ConnectionId(0), peer, local: None }
        }
        false => {
            let connection = ConnectionId(u64::from(number));
            Flow { transport: TransportId(1), kind: TransportType::Tcp, connection, peer, local: None }
        }
    }
}

/// A request out of few pieces, so that requests meet.
pub(super) fn request(script: &mut Script<'_>) -> Vec<u8> {
    let method = script.pick(&METHODS);
    let (branch, sent_by) = (script.pick(&BRANCHES), script.pick(&SENT_BY));
    let cseq = if script.one_in(16) { "OPTIONS" } else { method };
    let number = 1 + script.below(2);
    let to_tag = if script.one_in(3) { ";tag=fuzz" } else { "" };
    let more = script.pick(&[
        "",
        "",
        "",
        "Via: SIP/2.0/UDP 192.0.2.9\r\n",
        "Max-Forwards: x\r\n",
        "Timestamp: 1\r\n",
        "bad\r\n",
    ]);
    let text = format!(
        "{method} sip:a@192.0.2.100 SIP/2.0\r\nVia: SIP/2.0/UDP {sent_by};{branch}\r\nTo: <sip:a@x>{to_tag}\r\n\
         From: <sip:b@x>;tag={}\r\nCall-ID: c{}\r\nCSeq: {number} {cseq}\r\n{more}Content-Length: 0\r\n\r\n",
        script.below(2),
        script.below(2),
    );
    damaged(script, text.into_bytes())
}

/// A response to a request that went out.
pub(super) fn response(script: &mut Script<'_>, request: &Bytes) -> Vec<u8> {
    let Ok(request) = Message::parse(request.clone()) else { return Vec::new() };
    let tag = ["1", "2"][script.below(2)];
    let code = script.pick(&CODES);
    let response = request.make_response(code, None, Some(tag));
    damaged(script, response.to_bytes().to_vec())
}

/// Mostly as it is; else with one octet changed, or cut.
fn damaged(script: &mut Script<'_>, mut octets: Vec<u8>) -> Vec<u8> {
    if script.one_in(6) {
        let at = usize::from(script.octet()) << 8 | usize::from(script.octet());
        let at = at % octets.len().max(1);
        match script.below(3) {
            0 => octets.truncate(at),
            1 => drop(octets.splice(at..at, script.octets(4).iter().copied())),
            _ => octets.get_mut(at).into_iter().for_each(|b| *b = script.octet()),
        }
    }
    octets
}
