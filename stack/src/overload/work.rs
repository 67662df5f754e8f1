//! What a request is worth when not all can be served, seen from its octets with as little reading as possible.

use crate::header::{HeaderId, Method};
use crate::message::Message;
use memchr::memchr;
use rutil::Zone;

/// What is lost when a message is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// New work: a request outside of any dialog.
    New,
    /// New work that counts for more: a registration (who loses it cannot be called), an emergency call (RFC 5031) or
    /// what has a Resource-Priority (RFC 4412).
    Preferred,
    /// What belongs to work in progress: responses, ACK, CANCEL, BYE, PRACK, and all requests within a dialog.
    InProgress,
}

/// What ends or carries on work in progress, by its first octets.
const IN_PROGRESS: [&[u8]; 5] = [b"SIP/2.0 ", b"ACK ", b"BYE ", b"CANCEL ", b"PRACK "];
/// The Request-URI of an emergency call (RFC 5031 §4.1).
const EMERGENCY: &[u8] = b" urn:service:sos";

impl Work {
    /// Reads no more of a datagram than it must. What is no SIP counts as new.
    pub fn of(octets: &[u8]) -> Work {
        let octets = behind_line_ends(octets);
        if carries_on(octets) {
            return Work::InProgress;
        }
        let mut lines = Lines(octets);
        let first = lines.next().unwrap_or_default();
        let mut work = if prefers(first) { Work::Preferred } else { Work::New };
        for line in lines {
            match line.first() {
                Some(b't' | b'T') if value_of(line, b"to", b"t").is_some_and(has_tag) => return Work::InProgress,
                Some(b'r' | b'R') if value_of(line, b"resource-priority", b"").is_some() => work = Work::Preferred,
                _ => {}
            }
        }
        work
    }

    /// The same of a message that has been indexed.
    pub(crate) fn of_message(msg: &Message) -> Work {
        match msg.method() {
            None | Some(Method::Ack | Method::Bye | Method::Cancel | Method::Prack) => Work::InProgress,
            _ if msg.has_to_tag() => Work::InProgress,
            Some(Method::Register) => Work::Preferred,
            _ if msg.has(HeaderId::RESOURCE_PRIORITY) => Work::Preferred,
            _ if msg.request_uri_text().starts_with(&EMERGENCY[1..]) => Work::Preferred,
            _ => Work::New,
        }
    }

    /// Whether it is taken on in a zone.
    pub fn is_welcome(self, zone: Zone) -> bool {
        match zone {
            Zone::Normal => true,
            Zone::RejectNewWork => self >= Work::Preferred,
            Zone::RejectNonEssential | Zone::Drop => self == Work::InProgress,
        }
    }
}

/// What the limits by source count a request as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// New work.
    Outside,
    /// A request that seems to be within a dialog, and begins something all the same: anybody can write a To tag.
    Within,
}

/// What begins something within a dialog too (RFC 3261 §14, RFC 6665, RFC 3515).
const FORMING: [&[u8]; 3] = [b"INVITE ", b"SUBSCRIBE ", b"REFER "];

impl Asks {
    /// `None` for what is not counted.
    pub(crate) fn of(octets: &[u8]) -> Option<Asks> {
        let forming = || FORMING.iter().any(|start| behind_line_ends(octets).starts_with(start));
        Asks::decide(Work::of(octets), forming)
    }

    /// The same of a message that has been indexed.
    pub(crate) fn of_message(msg: &Message) -> Option<Asks> {
        let forming = || matches!(msg.method(), Some(Method::Invite | Method::Subscribe | Method::Refer));
        Asks::decide(Work::of_message(msg), forming)
    }

    fn decide(work: Work, forming: impl FnOnce() -> bool) -> Option<Asks> {
        match work {
            Work::InProgress => forming().then_some(Asks::Within),
            _ => Some(Asks::Outside),
        }
    }
}

/// A datagram may begin with line ends (RFC 3261 §7.5).
fn behind_line_ends(octets: &[u8]) -> &[u8] {
    let start = octets.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    octets.get(start..).unwrap_or_default()
}

/// Whether the first octets alone say that it belongs to work in progress.
fn carries_on(octets: &[u8]) -> bool {
    IN_PROGRESS.iter().any(|start| octets.starts_with(start))
}

fn prefers(request_line: &[u8]) -> bool {
    let uri = memchr(b' ', request_line).and_then(|at| request_line.get(at..)).unwrap_or_default();
    request_line.starts_with(b"REGISTER ") || uri.starts_with(EMERGENCY)
}

/// The start line and the header lines, each with its continuations, up to the empty line.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let mut end = 0;
        loop {
            end += memchr(b'\n', self.0.get(end..)?)? + 1;
            if !matches!(self.0.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        let (line, rest) = self.0.split_at(end);
        self.0 = rest;
        let empty = matches!(line, b"\n" | b"\r\n");
        (!empty).then_some(line)
    }
}

/// The value of a line that has this name, or this short form.
fn value_of<'a>(line: &'a [u8], name: &[u8], short: &[u8]) -> Option<&'a [u8]> {
    let colon = memchr(b':', line)?;
    let said = line.get(..colon)?.trim_ascii_end();
    let same = said.eq_ignore_ascii_case(name) || (!short.is_empty() && said.eq_ignore_ascii_case(short));
    if same { line.get(colon + 1..) } else { None }
}

/// Whether a name-addr has a tag: behind its last `>`, or anywhere when it has none. When in doubt it has one, and is
/// served.
fn has_tag(value: &[u8]) -> bool {
    let params = memchr::memrchr(b'>', value).and_then(|at| value.get(at..)).unwrap_or(value);
    params.split(|b| *b == b';').skip(1).any(|param| {
        let param = param.trim_ascii_start();
        param.get(..3).is_some_and(|name| name.eq_ignore_ascii_case(b"tag"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, lines: &str) -> String {
        format!("{method} sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP c;branch=z9hG4bK1\r\n{lines}\r\nTo: body;tag=1\r\n")
    }

    #[test]
    fn a_to_tag_is_seen_as_the_parser_sees_it() {
        for (to, expected) in [
            ("To: <sip:a@b>\r\n", Work::New),
            ("To: <sip:a@b>;tag=1\r\n", Work::InProgress),
            ("t:sip:a@b;TAG=1\r\n", Work::InProgress),
            ("TO : \"x;tag=1\" <sip:a@b;tag=2>\r\n", Work::New),
            ("To: <sip:a@b>\r\n ;x=1;\r\n\ttag=1\r\n", Work::InProgress),
            ("To: <sip:a@b>;x=tag\r\n", Work::New),
            ("X-To: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\n", Work::New),
            ("Timestamp: 1;tag=1\r\nTo: <sip:a@b>\r\n", Work::New),
        ] {
            let text = request("INVITE", to);
            assert_eq!(Work::of(text.as_bytes()), expected, "{to}");
            assert_eq!(Work::of_message(&Message::parse(text.as_bytes()).unwrap()), expected, "{to}");
        }
    }

    #[test]
    fn methods_and_priorities() {
        let to = "To: <sip:a@b>\r\n";
        for (text, expected) in [
            (request("ACK", to), Work::InProgress),
            (request("BYE", to), Work::InProgress),
            (request("CANCEL", to), Work::InProgress),
            (request("PRACK", to), Work::InProgress),
            (request("OPTIONS", to), Work::New),
            (request("MESSAGE", to), Work::New),
            (request("REGISTER", to), Work::Preferred),
            (request("INVITE", &format!("{to}Resource-Priority: wps.3\r\n")), Work::Preferred),
            (request("INVITE", to).replace("sip:a@b SIP", "urn:service:sos.fire SIP"), Work::Preferred),
            (request("INVITE", to).replace("INVITE sip:a@b", "SIP/2.0 200 OK\r\nX: "), Work::InProgress),
            (format!("\r\n\r\n{}", request("INVITE", "To: <sip:a@b>;tag=1\r\n")), Work::InProgress),
            (format!("\r\n\r\n{}", request("CANCEL", to)), Work::InProgress),
        ] {
            assert_eq!(Work::of(text.as_bytes()), expected, "{text}");
            assert_eq!(Work::of_message(&Message::parse(text.as_bytes()).unwrap()), expected, "{text}");
        }
        for garbage in ["", "\r\n", "INVITE", "\0\0\0", "INVITE sip:a SIP/2.0\r\nTo", "x\n\n\nTo: a;tag=1\n"] {
            assert_eq!(Work::of(garbage.as_bytes()), Work::New, "{garbage:?}");
        }
    }

    #[test]
    fn what_is_counted_of_a_source() {
        let tag = "To: <sip:a@b>;tag=1\r\n";
        for (text, expected) in [
            (request("INVITE", "To: <sip:a@b>\r\n"), Some(Asks::Outside)),
            (request("REGISTER", "To: <sip:a@b>\r\n"), Some(Asks::Outside)),
            (request("INVITE", tag), Some(Asks::Within)),
            (request("SUBSCRIBE", tag), Some(Asks::Within)),
            (format!("\r\n{}", request("REFER", tag)), Some(Asks::Within)),
            (request("BYE", tag), None),
            (request("INFO", tag), None),
            (request("ACK", tag), None),
        ] {
            assert_eq!(Asks::of(text.as_bytes()), expected, "{text}");
            assert_eq!(Asks::of_message(&Message::parse(text.as_bytes()).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn each_zone_has_its_guests() {
        use Work::{InProgress, New, Preferred};
        let welcome = |zone| [New, Preferred, InProgress].map(|work| work.is_welcome(zone));
        assert_eq!(welcome(Zone::Normal), [true; 3]);
        assert_eq!(welcome(Zone::RejectNewWork), [false, true, true]);
        assert_eq!(welcome(Zone::RejectNonEssential), [false, false, true]);
        assert_eq!(welcome(Zone::Drop), [false, false, true]);
    }
}
