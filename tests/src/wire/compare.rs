//! What was sent, and what of it arrived behind a proxy.

use std::str;

use super::next_hop::{Arrived, Way};
use crate::raw;

/// The largest request that may go over UDP (RFC 3261 §18.1.1).
const LARGEST: usize = 1300;
/// What a proxy changes or may change in a request (RFC 3261 §16.6, RFC 5393 §5.3.3).
const CHANGED: &[&str] = &["via", "max-forwards", "max-breadth", "route", "record-route", "content-length"];

/// What must be the same is the same, what must change has changed, and it came by a transport that is made for its size.
pub(super) fn compare(sent: &[u8], arrived: &Arrived) -> Result<(), String> {
    let (way, arrived) = (arrived.way, arrived.bytes.as_slice());
    if matches!(way, Way::Udp(_)) && arrived.len() > LARGEST {
        return Err(format!("{} octets came over UDP", arrived.len()));
    }
    let transport = if matches!(way, Way::Udp(_)) { "SIP/2.0/UDP " } else { "SIP/2.0/TCP " };
    let top = vias(arrived).into_iter().next().unwrap_or_default();
    if !top.starts_with(transport) {
        return Err(format!("came by {way:?} with the Via {top:?}"));
    }
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

pub(super) fn first_line(message: &[u8]) -> String {
    String::from_utf8_lossy(message.split(|b| *b == b'\r').next().unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus;

    fn own(name: &str) -> Vec<u8> {
        corpus::own().into_iter().find(|c| c.name == name).expect("it is in the corpus").bytes
    }

    /// What a good proxy makes of a message.
    fn proxied(message: &[u8]) -> Vec<u8> {
        let text = String::from_utf8(message.to_vec()).expect("these messages are UTF-8");
        let text = text.replacen("Via:", "Via: SIP/2.0/UDP proxy.example.com;branch=z9hG4bK1\r\nVia:", 1);
        text.replace("Max-Forwards: 44", "Max-Forwards: 43").into_bytes()
    }

    fn compared(sent: &[u8], arrived: &[u8]) -> Result<(), String> {
        let way = Way::Udp("127.0.0.1:5060".parse().expect("an address"));
        compare(sent, &Arrived { bytes: arrived.to_vec(), way })
    }

    #[test]
    fn a_good_copy_passes_and_each_damage_shows() {
        let sent = own("esc01");
        let good = proxied(&sent);
        assert_eq!(compared(&sent, &good), Ok(()));
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
            assert!(compared(&sent, text.replacen(from, to, 1).as_bytes()).is_err(), "{from} to {to}");
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
            assert_eq!(compared(before, &with(&good, after)).is_ok(), right, "{after}");
        }
    }

    #[test]
    fn what_is_large_comes_over_tcp() {
        let (sent, udp) = (own("longreq"), Way::Udp("127.0.0.1:5060".parse().expect("an address")));
        let with_via = |transport: &str| {
            let text = String::from_utf8(sent.clone()).expect("it is UTF-8").replacen(
                "Max-Forwards: 70",
                "Max-Forwards: 69",
                1,
            );
            let (line, rest) = text.split_once("\r\n").expect("a line");
            format!("{line}\r\nVia: SIP/2.0/{transport} p.example.com;branch=z9hG4bK1\r\n{rest}").into_bytes()
        };
        assert_eq!(compare(&sent, &Arrived { bytes: with_via("TCP"), way: Way::Tcp(0) }), Ok(()));
        for (transport, way) in [("UDP", udp), ("UDP", Way::Tcp(0)), ("TCP", udp)] {
            assert!(compare(&sent, &Arrived { bytes: with_via(transport), way }).is_err(), "{transport} {way:?}");
        }
    }
}
