//! A dialog as the caller needs it: octets for ACK and BYE, made once from the 2xx (RFC 3261 §12.1.2, §12.2.1.1).
//!
//! All routes are taken for loose routers (`lr`).

use super::template::{message, write_number};
use crate::hop::Hop;
use bytes::Bytes;
use stack::header::{HeaderId, h, p};
use stack::message::Message;
use std::io::Write as _;

/// ACK, and where in it lies what all requests of the dialog have in common.
#[derive(Clone, Debug)]
pub(super) struct Dialog {
    ack: Bytes,
    common: u32,
    cseq: u32,
}

/// A method, and ACK's.
const ACK: &[u8] = b"ACK";

impl Dialog {
    /// The dialog that a 2xx to an INVITE makes. A Contact that is missing or malformed is replaced by `target`. ACK has the
    /// INVITE's `credentials`, header lines or nothing (RFC 3261 §22.1).
    pub(super) fn of(answer: &Message, target: &str, credentials: &str) -> Self {
        let mut ack = Vec::with_capacity(512);
        ack.extend_from_slice(ACK);
        ack.push(b' ');
        // Writing to a vector cannot fail.
        let _ = match answer.first(h::CONTACTS).ok().and_then(|contact| contact.into_addr()) {
            Some(contact) => write!(ack, "{}", contact.uri),
            None => write!(ack, "{target}"),
        };
        ack.extend_from_slice(b" SIP/2.0\r\n");
        write_routes(&mut ack, answer);
        for (id, value) in answer.fields() {
            if matches!(id, HeaderId::FROM | HeaderId::TO | HeaderId::CALL_ID) {
                write_line(&mut ack, id, value);
            }
        }
        ack.extend_from_slice(b"Max-Forwards: 70\r\n");
        let common = ack.len() as u32;
        let cseq = answer.header(h::CSEQ).map_or(1, |cseq| cseq.number);
        ack.extend_from_slice(credentials.as_bytes());
        end(&mut ack, cseq, ACK);
        Dialog { ack: Bytes::from(ack), common, cseq }
    }

    /// Whether its requests go to this hop: its topmost Route leads there, or without one its Contact.
    pub(super) fn goes_to(&self, hop: &Hop) -> bool {
        let Some(ack) = self.ack() else { return false };
        let uri = match ack.header(h::ROUTES).next() {
            Some(route) => route.ok().map(|route| route.uri),
            None => ack.request_uri().ok(),
        };
        uri.is_some_and(|uri| uri.sip().is_some_and(|uri| hop.is_meant_by(uri)))
    }

    /// Whether a 2xx is of this dialog, and not of a fork: whether it has the same tag in To.
    pub(super) fn has(&self, answer: &Message) -> bool {
        let to = answer.fields().find(|(id, _)| *id == HeaderId::TO).map_or(&b""[..], |(_, value)| value);
        memchr::memmem::find(&self.ack, to).is_some()
    }

    /// Whether a request of the peer is of this dialog, and not of a fork: whether From has the tag that To has here.
    pub(super) fn is_from_peer(&self, request: &Message) -> bool {
        let Some(ack) = self.ack() else { return false };
        match (ack.header(h::TO), request.header(h::FROM)) {
            (Ok(own), Ok(from)) => own.param(p::TAG) == from.param(p::TAG),
            _ => false,
        }
    }

    /// The ACK for its 2xx.
    pub(super) fn ack(&self) -> Option<Box<Message>> {
        message(self.ack.clone())
    }

    /// Its BYE: the first, or another with the header lines that answer the challenge to the one before.
    pub(super) fn bye(&self, nth: u32, credentials: &str) -> Option<Box<Message>> {
        const BYE: &[u8] = b"BYE";
        let common = self.ack.get(ACK.len()..self.common as usize)?;
        let mut bye = Vec::with_capacity(self.ack.len() + 8);
        bye.extend_from_slice(BYE);
        bye.extend_from_slice(common);
        bye.extend_from_slice(credentials.as_bytes());
        end(&mut bye, self.cseq.saturating_add(nth), BYE);
        message(Bytes::from(bye))
    }
}

/// The route set: the Record-Routes from the last to the first.
fn write_routes(out: &mut Vec<u8>, answer: &Message) {
    if !answer.has(HeaderId::RECORD_ROUTE) {
        return;
    }
    let routes: Vec<&str> = answer.header(h::RECORD_ROUTES).texts().filter_map(Result::ok).collect();
    for route in routes.iter().rev() {
        write_line(out, HeaderId::ROUTE, route.as_bytes());
    }
}

/// A header line.
pub(super) fn write_line(out: &mut Vec<u8>, id: HeaderId, value: &[u8]) {
    out.extend_from_slice(id.name().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn end(out: &mut Vec<u8>, cseq: u32, method: &[u8]) {
    out.extend_from_slice(b"CSeq: ");
    write_number(out, cseq.into());
    out.push(b' ');
    out.extend_from_slice(method);
    out.extend_from_slice(b"\r\nContent-Length: 0\r\n\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use stack::transport::TransportType;

    fn answer(more: &str) -> Message {
        let text = format!(
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n{more}From: <sip:a@x>;tag=1\r\n\
             To: <sip:b@y>;tag=2\r\nCall-ID: 77\r\nCSeq: 3 INVITE\r\n\r\n"
        );
        Message::parse(text.into_bytes()).expect("well formed")
    }

    fn text(message: Option<Box<Message>>) -> String {
        String::from_utf8_lossy(&message.expect("well formed").to_bytes()).into_owned()
    }

    #[test]
    fn ack_and_bye_follow_the_routes_backwards() {
        let answer = answer("Record-Route: <sip:p2;lr>, <sip:p1;lr>\r\nContact: \"B\" <sip:b@192.0.2.9:5070>\r\n");
        let dialog = Dialog::of(&answer, "sip:b@y", "");
        assert_eq!(
            text(dialog.ack()),
            "ACK sip:b@192.0.2.9:5070 SIP/2.0\r\nRoute: <sip:p1;lr>\r\nRoute: <sip:p2;lr>\r\nFrom: <sip:a@x>;tag=1\r\n\
             To: <sip:b@y>;tag=2\r\nCall-ID: 77\r\nMax-Forwards: 70\r\nCSeq: 3 ACK\r\nContent-Length: 0\r\n\r\n"
        );
        assert_eq!(text(dialog.bye(1, "")), text(dialog.ack()).replace("ACK", "BYE").replace("CSeq: 3", "CSeq: 4"));
    }

    #[test]
    fn without_a_contact_the_target_is_asked() {
        for more in ["", "Contact: *\r\n", "Contact: <<>\r\n"] {
            assert!(
                text(Dialog::of(&answer(more), "sip:b@y", "").bye(1, "")).starts_with("BYE sip:b@y SIP/2.0\r\n"),
                "{more}"
            );
        }
    }

    #[test]
    fn a_fork_is_told_by_its_tag() {
        let dialog = Dialog::of(&answer(""), "sip:b@y", "");
        assert!(dialog.has(&answer("Contact: <sip:elsewhere>\r\n")));
        let fork = String::from_utf8_lossy(&answer("").to_bytes()).replace("tag=2", "tag=9");
        assert!(!dialog.has(&Message::parse(fork.into_bytes()).expect("well formed")));
    }

    #[test]
    fn credentials_are_those_of_the_invite_or_the_byes_own() {
        let dialog = Dialog::of(&answer(""), "sip:b@y", "Authorization: Digest a\r\n");
        assert!(text(dialog.ack()).contains("\r\nAuthorization: Digest a\r\nCSeq: 3 ACK\r\n"));
        assert!(!text(dialog.bye(1, "")).contains("Authorization"));
        let again = text(dialog.bye(2, "Proxy-Authorization: Digest b\r\n"));
        assert!(again.contains("\r\nProxy-Authorization: Digest b\r\nCSeq: 5 BYE\r\n"), "{again}");
    }

    #[test]
    fn it_goes_where_the_first_request_went_or_elsewhere() {
        let hop = |text: &str| Hop { kind: TransportType::Tls, address: text.parse().expect("an address"), name: None };
        let routed = answer("Record-Route: <sip:192.0.2.7:99;transport=tls;lr>\r\nContact: <sip:b@192.0.2.9>\r\n");
        let routed = Dialog::of(&routed, "sip:b@y", "");
        assert!(routed.goes_to(&hop("192.0.2.7:99")) && !routed.goes_to(&hop("192.0.2.9:5061")));
        let direct = Dialog::of(&answer("Contact: <sip:b@192.0.2.9>\r\n"), "sip:b@y", "");
        assert!(direct.goes_to(&hop("192.0.2.9:5061")) && !direct.goes_to(&hop("192.0.2.9:5070")));
    }
}
