//! Forwarding, seen at the next hop.

use std::net::{SocketAddr, UdpSocket};
use std::str;

use super::{LIMIT, Outcome, client};
use crate::corpus::Case;
use crate::verdict::{Parse, Reaction, Role};
use crate::{now, peers, raw};

/// The status with which the next hop ends the transaction.
const ANSWER: u16 = 480;
/// Larger requests may go over TCP instead (RFC 3261 §18.1.1), which the next hop here does not speak.
const LARGEST: usize = 1000;
/// What a proxy changes or may change in a request (RFC 3261 §16.6, RFC 5393 §5.3.3).
const CHANGED: &[&str] = &["via", "max-forwards", "max-breadth", "route", "record-route", "content-length"];

/// Whether [`check_forwarded`] applies: a well-formed request that a proxy has to send on, and that fits a datagram.
pub fn can_be_forwarded(case: &Case) -> bool {
    case.verdict.parse == Parse::Accept
        && case.verdict.reactions(Role::Proxy).contains(&Reaction::Forward)
        && case.bytes.len() <= LARGEST
        && raw::status(&case.bytes).is_none()
}

/// Sends a copy of the message whose Request-URI and Route lead to a socket of our own, compares what arrives there
/// with what was sent, and sees that the answer finds its way back.
///
/// All header fields that a proxy has no business with must arrive in order and byte for byte (a fold may be one
/// space), and so must the body; there must be one more Via and one hop less.
///
/// # Errors
/// The first difference, or what did not arrive.
pub fn check_forwarded(server: SocketAddr, case: &Case) -> Result<Outcome, String> {
    let next_hop = UdpSocket::bind((peers::loopback(), 0)).map_err(|e| format!("bind: {e}"))?;
    let address = next_hop.local_addr().map_err(|e| e.to_string())?;
    let message = redirect(&raw::with_transport(&case.bytes, "UDP"), address)
        .ok_or_else(|| format!("{}: the Request-URI has no host", case.name))?;
    let client = match client::bind_for(&message)? {
        Ok(socket) => socket,
        Err(skipped) => return Ok(skipped),
    };
    pass_through(server, &client, &next_hop, &message)
        .map(|()| Outcome::Right)
        .map_err(|e| format!("{} forwarded: {e}", case.name))
}

fn pass_through(server: SocketAddr, client: &UdpSocket, next_hop: &UdpSocket, message: &[u8]) -> Result<(), String> {
    client.send_to(message, server).map_err(|e| format!("send: {e}"))?;
    let deadline = now() + LIMIT;
    let Some((arrived, from)) = client::receive(next_hop, deadline)? else {
        let answer = client::receive(client, now() + LIMIT / 16)?.map(|(bytes, _)| first_line(&bytes));
        return Err(format!("nothing arrived at the next hop; the sender got {answer:?}"));
    };
    compare(message, &arrived)?;
    next_hop.send_to(&raw::response(&arrived, ANSWER), from).map_err(|e| format!("send: {e}"))?;
    while let Some((answer, _)) = client::receive(client, deadline)? {
        if raw::status(&answer) == Some(ANSWER) {
            return Ok(());
        }
    }
    Err("the next hop's answer did not come back".to_owned())
}

/// The message with `address` for the hosts in its Request-URI and in its Routes.
fn redirect(message: &[u8], address: SocketAddr) -> Option<Vec<u8>> {
    let mut spans = Vec::new();
    let start = message.iter().position(|b| *b == b' ')? + 1;
    let end = start + message[start..].iter().position(|b| *b == b' ')?;
    spans.push(host_span(message, start, end)?);
    for route in raw::fields(message).into_iter().filter(|f| f.name == "route") {
        let open = route.span.start + message[route.span.clone()].iter().position(|b| *b == b'<')?;
        spans.push(host_span(message, open + 1, route.span.end)?);
    }
    let mut copy = message.to_vec();
    for (start, end) in spans.into_iter().rev() {
        copy.splice(start..end, address.to_string().into_bytes());
    }
    Some(copy)
}

/// Where host and port stand in the sip URI at `start`: after the last `@`, up to a parameter, a header or the end.
fn host_span(message: &[u8], start: usize, end: usize) -> Option<(usize, usize)> {
    let uri = &message[start..end];
    let host = match uri.iter().rposition(|b| *b == b'@') {
        Some(at) => at + 1,
        None => uri.iter().position(|b| *b == b':')? + 1,
    };
    let length = uri[host..].iter().position(|b| matches!(b, b';' | b'?' | b'>')).unwrap_or(uri.len() - host);
    Some((start + host, start + host + length))
}

/// What must be the same is the same, and what must change has changed.
fn compare(sent: &[u8], arrived: &[u8]) -> Result<(), String> {
    let untouched = |message| {
        let fields = raw::fields(message).into_iter().filter(|f| !CHANGED.contains(&f.name.as_str()));
        let mut list: Vec<_> = fields.map(|f| (f.name, String::from_utf8_lossy(&f.value).into_owned())).collect();
        // Fields of one name keep their order among themselves; others may move.
        list.sort_by(|a, b| a.0.cmp(&b.0));
        list
    };
    let (before, after) = (untouched(sent), untouched(arrived));
    if let Some(missing) = before.iter().find(|field| !after.contains(field)) {
        return Err(format!("{missing:?} did not arrive as it was"));
    }
    if before != after {
        return Err(format!("fields were added or moved: {before:?} became {after:?}"));
    }
    if sent[raw::body_start(sent)..] != arrived[raw::body_start(arrived)..] {
        return Err("the body did not arrive as it was".to_owned());
    }
    let method = |message: &[u8]| message.split(|b| *b == b' ').next().unwrap_or_default().to_vec();
    if method(sent) != method(arrived) {
        return Err(format!("the method became {:?}", first_line(arrived)));
    }
    let (before, after) = (vias(sent), vias(arrived));
    if after.len() != before.len() + 1 {
        return Err(format!("{} Vias became {}", before.len(), after.len()));
    }
    let number = |message, name| str::from_utf8(&raw::first(message, name)?).ok()?.parse::<u32>().ok();
    // It may be missing; it does not grow, and without any the request goes nowhere.
    let most = number(sent, "max-breadth").unwrap_or(u32::MAX);
    if raw::first(arrived, "max-breadth").is_some()
        && !number(arrived, "max-breadth").is_some_and(|breadth| (1..=most).contains(&breadth))
    {
        return Err("Max-Breadth is no share of what it was".to_owned());
    }
    match (number(sent, "max-forwards"), number(arrived, "max-forwards")) {
        (Some(before), Some(after)) if after + 1 == before => Ok(()),
        (None, Some(_)) => Ok(()),
        (before, after) => Err(format!("Max-Forwards {before:?} became {after:?}")),
    }
}

/// All Via values, one field or several to a line.
fn vias(message: &[u8]) -> Vec<String> {
    let fields = raw::fields(message).into_iter().filter(|f| f.name == "via");
    let lines: Vec<_> = fields.map(|f| String::from_utf8_lossy(&f.value).into_owned()).collect();
    lines.iter().flat_map(|line| line.split(',')).map(|via| via.trim().to_owned()).collect()
}

fn first_line(message: &[u8]) -> String {
    String::from_utf8_lossy(message.split(|b| *b == b'\r').next().unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus;

    fn own(name: &str) -> Vec<u8> {
        corpus::own().into_iter().find(|c| c.name == name).expect("it is in the corpus").bytes
    }

    fn redirected(name: &str) -> String {
        let address = "127.0.0.9:5061".parse().expect("an address");
        String::from_utf8_lossy(&redirect(&own(name), address).expect("it has a host")).into_owned()
    }

    /// What a good proxy makes of a message.
    fn proxied(message: &[u8]) -> Vec<u8> {
        let text = String::from_utf8(message.to_vec()).expect("these messages are UTF-8");
        let text = text.replacen("Via:", "Via: SIP/2.0/UDP proxy.example.com;branch=z9hG4bK1\r\nVia:", 1);
        text.replace("Max-Forwards: 44", "Max-Forwards: 43").into_bytes()
    }

    #[test]
    fn only_the_next_hop_is_rewritten() {
        assert!(redirected("wsinv").starts_with("INVITE sip:mira@127.0.0.9:5061;berth SIP/2.0\r\n"));
        assert!(redirected("wsinv").contains("route:\r\n <sip:127.0.0.9:5061;lr;depth=9;unmarked>\r\n"));
        assert!(redirected("intmeth").contains(".(it-too)@127.0.0.9:5061 SIP/2.0\r\n"));
        assert!(redirected("ipv6-in-sdp").starts_with("INVITE sip:mira@127.0.0.9:5061 SIP/2.0\r\n"));
        assert!(redirected("regaut01").starts_with("REGISTER sip:127.0.0.9:5061 SIP/2.0\r\n"));
    }

    #[test]
    fn a_good_copy_passes_and_each_damage_shows() {
        let sent = own("esc01");
        let good = proxied(&sent);
        assert_eq!(compare(&sent, &good), Ok(()));
        let text = String::from_utf8(good).expect("it is UTF-8");
        for (from, to) in [
            ("%6Dir%61", "mira"),
            ("CSeq: 7100 INVITE\r\n", ""),
            ("From:", "X-New: 1\r\nFrom:"),
            ("a=sendrecv", "a=sendonly"),
            ("Max-Forwards: 43", "Max-Forwards: 44"),
            ("Via: SIP/2.0/UDP slip3.example.net;branch=z9hG4bKslip3esc01\r\n", ""),
            ("INVITE sip", "OPTIONS sip"),
        ] {
            assert!(text.contains(from), "{from}");
            assert!(compare(&sent, text.replacen(from, to, 1).as_bytes()).is_err(), "{from} to {to}");
        }
    }

    #[test]
    fn max_breadth_may_be_added_and_does_not_grow() {
        let sent = own("esc01");
        let with = |message: &[u8], breadth: &str| {
            let text = String::from_utf8(message.to_vec()).expect("it is UTF-8");
            text.replacen("From:", &format!("Max-Breadth: {breadth}\r\nFrom:"), 1).into_bytes()
        };
        let (seven, good) = (with(&sent, "7"), proxied(&sent));
        for (before, after, right) in [
            (&sent, "60", true),
            (&sent, "0", false),
            (&sent, "many", false),
            (&seven, "7", true),
            (&seven, "3", true),
            (&seven, "8", false),
        ] {
            assert_eq!(compare(before, &with(&good, after)).is_ok(), right, "{after}");
        }
    }

    #[test]
    fn many_messages_can_be_forwarded() {
        let names: Vec<_> = corpus::own().into_iter().filter(can_be_forwarded).map(|c| c.name).collect();
        assert!(names.len() >= 14, "{names:?}");
        assert!(!names.iter().any(|n| n == "badinv01" || n == "bcast" || n == "longreq"));
    }
}
