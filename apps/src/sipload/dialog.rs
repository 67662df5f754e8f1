//! A dialog as the caller needs it: octets for ACK and BYE, made once from the 2xx (RFC 3261 §12.1.2, §12.2.1.1).
//!
//! All routes are taken for loose routers (`lr`).

use super::template::{message, write_number};
use crate::hop::Hop;
use bytes::Bytes;
use stack::header::{HeaderId, h, p};
use stack::message::Message;

/// Where the requests of a dialog go: its remote target and its route set (RFC 3261 §12.1.2). The dialogs of a run have mostly
/// the same, so the latest is kept with the lines of the 2xx that it was made of.
#[derive(Debug, Default)]
pub(super) struct Remote {
    of: Vec<(HeaderId, Vec<u8>)>,
    /// The request line without the method, and the Route lines.
    line: Vec<u8>,
    routes: Vec<u8>,
    /// They go where the first request went.
    to_hop: bool,
}

/// The lines of a 2xx that a [`Remote`] is made of.
fn lines(answer: &Message) -> impl Iterator<Item = (HeaderId, &[u8])> {
    answer.fields().filter(|(id, _)| matches!(*id, HeaderId::CONTACT | HeaderId::RECORD_ROUTE))
}

impl Remote {
    /// Makes it what a 2xx says. A Contact that is missing or malformed is replaced by `target`.
    pub(super) fn learn(&mut self, answer: &Message, target: &str, hop: &Hop) {
        let known = !self.line.is_empty() && lines(answer).eq(self.of.iter().map(|(id, value)| (*id, &value[..])));
        if known {
            return;
        }
        self.of = lines(answer).map(|(id, value)| (id, value.to_vec())).collect();
        self.line = match answer.first(h::CONTACTS).ok().and_then(|contact| contact.into_addr()) {
            Some(contact) => format!(" {} SIP/2.0\r\n", contact.uri).into_bytes(),
            None => format!(" {target} SIP/2.0\r\n").into_bytes(),
        };
        self.routes.clear();
        write_routes(&mut self.routes, answer);
        // Read as the stack would.
        let request = message([ACK, &self.line, &self.routes, b"\r\n"].concat().into());
        self.to_hop = request.is_some_and(|request| goes_to(&request, hop));
    }

    /// Whether requests go to the hop that it was learnt with: the topmost Route leads there, or without one the Contact.
    pub(super) fn is_at_hop(&self) -> bool {
        self.to_hop
    }
}

fn goes_to(request: &Message, hop: &Hop) -> bool {
    if request.is_sips() && !hop.kind.is_secure() {
        return false;
    }
    let uri = match request.header(h::ROUTES).next() {
        Some(route) => route.ok().map(|route| route.uri),
        None => request.request_uri().ok(),
    };
    uri.is_some_and(|uri| uri.sip().is_some_and(|uri| hop.is_meant_by(uri)))
}

/// What all requests of a dialog have in common.
#[derive(Clone, Debug)]
pub(super) struct Dialog {
    /// The request line without the method,
    common: Vec<u8>,
    /// which ends here, and the header lines but those that differ.
    line: usize,
    cseq: u32,
}

/// ACK's method.
const ACK: &[u8] = b"ACK";

impl Dialog {
    /// The dialog that a 2xx makes to an INVITE with this CSeq number.
    pub(super) fn of(answer: &Message, remote: &Remote, cseq: u32) -> Self {
        let mut common = Vec::with_capacity(512);
        common.extend_from_slice(&remote.line);
        common.extend_from_slice(&remote.routes);
        for (id, value) in answer.fields() {
            if matches!(id, HeaderId::FROM | HeaderId::TO | HeaderId::CALL_ID) {
                write_line(&mut common, id, value);
            }
        }
        common.extend_from_slice(b"Max-Forwards: 70\r\n");
        Dialog { common, line: remote.line.len(), cseq }
    }

    /// Whether a 2xx is of this dialog, and not of a fork: whether it has the same tag in To.
    pub(super) fn has(&self, answer: &Message) -> bool {
        let to = answer.fields().find(|(id, _)| *id == HeaderId::TO).map_or(&b""[..], |(_, value)| value);
        memchr::memmem::find(&self.common, to).is_some()
    }

    /// Whether a request of the peer is of this dialog, and not of a fork: whether From has the tag that To has here.
    pub(super) fn is_from_peer(&self, request: &Message) -> bool {
        let Some(ack) = message(self.ack(b"", "")) else { return false };
        match (ack.header(h::TO), request.header(h::FROM)) {
            (Ok(own), Ok(from)) => own.param(p::TAG) == from.param(p::TAG),
            _ => false,
        }
    }

    /// The ACK for its 2xx, with a line of Via or none, and the INVITE's `credentials`, header lines or nothing
    /// (RFC 3261 §22.1).
    pub(super) fn ack(&self, via: &[u8], credentials: &str) -> Bytes {
        self.request(ACK, self.cseq, via, credentials)
    }

    /// Its BYE: the first, or another with the header lines that answer the challenge to the one before.
    pub(super) fn bye(&self, nth: u32, via: &[u8], credentials: &str) -> Bytes {
        self.request(b"BYE", self.cseq.saturating_add(nth), via, credentials)
    }

    fn request(&self, method: &[u8], cseq: u32, via: &[u8], credentials: &str) -> Bytes {
        let (line, rest) = self.common.split_at(self.line);
        let mut out = Vec::with_capacity(self.common.len() + via.len() + credentials.len() + 64);
        for part in [method, line, via, rest, credentials.as_bytes(), b"CSeq: "] {
            out.extend_from_slice(part);
        }
        write_number(&mut out, cseq.into());
        out.push(b' ');
        out.extend_from_slice(method);
        out.extend_from_slice(b"\r\nContent-Length: 0\r\n\r\n");
        Bytes::from(out)
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

    fn text(octets: Bytes) -> String {
        let message = message(octets).expect("well formed");
        String::from_utf8_lossy(&message.to_bytes()).into_owned()
    }

    fn hop(kind: TransportType, address: &str) -> Hop {
        Hop { kind, address: address.parse().expect("an address"), name: None }
    }

    fn dialog_of(answer: &Message) -> Dialog {
        let mut remote = Remote::default();
        remote.learn(answer, "sip:b@y", &hop(TransportType::Udp, "192.0.2.9:5070"));
        Dialog::of(answer, &remote, 3)
    }

    #[test]
    fn ack_and_bye_follow_the_routes_backwards() {
        let answer = answer("Record-Route: <sip:p2;lr>, <sip:p1;lr>\r\nContact: \"B\" <sip:b@192.0.2.9:5070>\r\n");
        let dialog = dialog_of(&answer);
        let ack = text(dialog.ack(b"Via: v\r\n", ""));
        assert_eq!(
            ack,
            "ACK sip:b@192.0.2.9:5070 SIP/2.0\r\nVia: v\r\nRoute: <sip:p1;lr>\r\nRoute: <sip:p2;lr>\r\n\
             From: <sip:a@x>;tag=1\r\nTo: <sip:b@y>;tag=2\r\nCall-ID: 77\r\nMax-Forwards: 70\r\nCSeq: 3 ACK\r\n\
             Content-Length: 0\r\n\r\n"
        );
        let bye = ack.replace("ACK", "BYE").replace("CSeq: 3", "CSeq: 4").replace("Via: v\r\n", "");
        assert_eq!(text(dialog.bye(1, b"", "")), bye);
    }

    #[test]
    fn without_a_contact_the_target_is_asked() {
        for more in ["", "Contact: *\r\n", "Contact: <<>\r\n"] {
            let bye = text(dialog_of(&answer(more)).bye(1, b"", ""));
            assert!(bye.starts_with("BYE sip:b@y SIP/2.0\r\n"), "{more}");
        }
    }

    #[test]
    fn a_fork_is_told_by_its_tag() {
        let dialog = dialog_of(&answer(""));
        assert!(dialog.has(&answer("Contact: <sip:elsewhere>\r\n")));
        let fork = String::from_utf8_lossy(&answer("").to_bytes()).replace("tag=2", "tag=9");
        assert!(!dialog.has(&Message::parse(fork.into_bytes()).expect("well formed")));
    }

    #[test]
    fn credentials_are_those_of_the_invite_or_the_byes_own() {
        let dialog = dialog_of(&answer(""));
        let ack = text(dialog.ack(b"", "Authorization: Digest a\r\n"));
        assert!(ack.contains("\r\nAuthorization: Digest a\r\nCSeq: 3 ACK\r\n"));
        assert!(!text(dialog.bye(1, b"", "")).contains("Authorization"));
        let again = text(dialog.bye(2, b"", "Proxy-Authorization: Digest b\r\n"));
        assert!(again.contains("\r\nProxy-Authorization: Digest b\r\nCSeq: 5 BYE\r\n"), "{again}");
    }

    #[test]
    fn it_goes_where_the_first_request_went_or_elsewhere() {
        use TransportType::{Tls, Udp};
        let mut remote = Remote::default();
        let (contact, sips) = ("Contact: <sip:b@192.0.2.9:5070>\r\n", "Contact: <sips:b@192.0.2.9:5070>\r\n");
        let routed = |route: &str, contact: &str| format!("Record-Route: <sip:{route};lr>\r\n{contact}");
        for (lines, kind, hop_at, wanted) in [
            (routed("192.0.2.7:99;transport=tls", contact), Tls, "192.0.2.7:99", true),
            (routed("192.0.2.7:99;transport=tls", contact), Tls, "192.0.2.9:5061", false),
            (contact.to_owned(), Udp, "192.0.2.9:5070", true),
            (contact.to_owned(), Udp, "192.0.2.9:5060", false),
            (routed("192.0.2.7:99", contact), Udp, "192.0.2.7:99", true),
            // By no way that is not secure.
            (sips.to_owned(), Udp, "192.0.2.9:5070", false),
            (routed("192.0.2.7:99", sips), Udp, "192.0.2.7:99", false),
            (sips.to_owned(), Tls, "192.0.2.9:5070", true),
        ] {
            for _ in 0..2 {
                remote.learn(&answer(""), "sip:b@y", &hop(kind, hop_at));
                assert!(!remote.is_at_hop());
                // The second time it is known.
                (0..2).for_each(|_| remote.learn(&answer(&lines), "sip:b@y", &hop(kind, hop_at)));
                assert_eq!(remote.is_at_hop(), wanted, "{lines} {kind:?} {hop_at}");
            }
        }
    }
}
