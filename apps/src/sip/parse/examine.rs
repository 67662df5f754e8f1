//! The report on a message. It goes by the octets, line by line, so that every defect has its place and none hides
//! another.

use super::places::Places;
use super::{rules, sections};
use bytes::Bytes;
use stack::grammar::split_list;
use stack::header::{HeaderId, check, reprint};
use stack::message::{Fault, Message};
use stack::uri::Uri;

/// The most header lines that are looked at: as many as the stack takes.
const HEADERS: usize = 256;

/// What a message is made of, and what is wrong with it.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// `request`, `response` or `no SIP message`.
    pub(super) kind: &'static str,
    /// The parts of the start line by their names.
    pub(super) start: Vec<(&'static str, Vec<u8>)>,
    /// The header lines.
    pub(super) headers: Vec<Header>,
    /// Octets of the body.
    pub(super) body: usize,
    /// What the body was found to be.
    pub(super) body_is: String,
    /// What is wrong, in the order of the places.
    pub(super) defects: Vec<Defect>,
}

/// A header line with its folds.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) line: usize,
    /// The name as it is written.
    pub(super) name: String,
    /// The name in canonical form; empty if it is not known here.
    pub(super) known: String,
    pub(super) values: Vec<HeaderText>,
}

/// One value of a header.
#[derive(Debug)]
pub(super) struct HeaderText {
    pub(super) raw: Vec<u8>,
    /// As it is printed from its parsed form; none where it is malformed.
    pub(super) parsed: Option<String>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Defect {
    /// What receivers refuse; else what they put up with.
    pub(super) is_error: bool,
    pub(super) line: usize,
    /// In octets, from 1.
    pub(super) column: usize,
    pub(super) offset: usize,
    pub(super) header: Option<String>,
    pub(super) what: String,
    pub(super) rfc: &'static str,
}

/// Where defects are gathered.
pub(super) struct Findings {
    places: Places,
    pub(super) defects: Vec<Defect>,
}

impl Findings {
    pub(super) fn error(&mut self, offset: usize, header: Option<&str>, what: impl Into<String>, rfc: &'static str) {
        self.add(true, offset, header, what.into(), rfc);
    }

    pub(super) fn warning(&mut self, offset: usize, header: Option<&str>, what: impl Into<String>, rfc: &'static str) {
        self.add(false, offset, header, what.into(), rfc);
    }

    fn add(&mut self, is_error: bool, offset: usize, header: Option<&str>, what: String, rfc: &'static str) {
        let (line, column) = self.places.of(offset);
        self.defects.push(Defect { is_error, line, column, offset, header: header.map(str::to_owned), what, rfc });
    }
}

/// A header line in the octets.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// Where the line begins.
    pub(super) at: usize,
    pub(super) id: HeaderId,
    /// Where the value begins and ends, without white space around it.
    pub(super) value: std::ops::Range<usize>,
}

/// Examines octets as one message, as it comes in a datagram.
pub(super) fn examine(octets: &[u8]) -> Report {
    let mut found = Findings { places: Places::new(octets), defects: Vec::new() };
    let begin = octets.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    if begin > 0 {
        found.warning(0, None, "empty lines before the start line", "RFC 3261 §7.5");
    }
    let mut report = Report::default();
    let Some(start_end) = line_end(octets, begin) else {
        report.kind = "no SIP message";
        found.error(begin, None, "there is no line that ends", "RFC 3261 §7");
        report.defects = found.defects;
        return report;
    };
    start_line(octets, begin..start_end, &mut report, &mut found);
    let (lines, body) = header_lines(octets, start_end, &mut report, &mut found);
    line_ends(&octets[..body.min(octets.len())], &mut found);
    if report.kind != "no SIP message" {
        rules::check(octets, &lines, body, &mut report, &mut found);
    }
    found.defects.sort_by_key(|defect| defect.offset);
    report.defects = found.defects;
    report
}

/// Where the line that begins at `at` ends, behind its LF.
fn line_end(octets: &[u8], at: usize) -> Option<usize> {
    octets.get(at..)?.iter().position(|octet| *octet == b'\n').map(|found| at + found + 1)
}

fn start_line(octets: &[u8], range: std::ops::Range<usize>, report: &mut Report, found: &mut Findings) {
    let begin = range.start;
    let line = octets[range].trim_ascii_end();
    // The line alone, so that what is wrong is wrong with it.
    let alone = [line, b"\r\n\r\n"].concat();
    let msg = match Message::parse(alone) {
        Ok(msg) => msg,
        Err(fault) => {
            report.kind = "no SIP message";
            report.start = vec![("line", line.to_vec())];
            return found.error(begin, None, fault.to_string(), "RFC 3261 §7");
        }
    };
    let rfc = if msg.is_request() { "RFC 3261 §7.1" } else { "RFC 3261 §7.2" };
    if let Some(fault) = msg.fault() {
        let rfc = if fault == Fault::Version { "RFC 3261 §7.1, §21.5.6" } else { rfc };
        found.error(begin, None, fault.to_string(), rfc);
    }
    if let Some(status) = msg.status() {
        report.kind = "response";
        report.start = vec![("status", status.to_string().into_bytes()), ("reason", msg.reason().as_bytes().to_vec())];
        return;
    }
    report.kind = "request";
    let method = msg.method().map_or_else(Vec::new, |method| method.as_str().as_bytes().to_vec());
    let uri = msg.request_uri_text().to_vec();
    let at = begin + method.len() + 1;
    report.start = vec![("method", method), ("request URI", uri.clone())];
    match std::str::from_utf8(&uri) {
        Err(error) => found.error(at + error.valid_up_to(), None, "the Request-URI is not UTF-8", "RFC 3261 §7.1"),
        Ok(text) => {
            // What the start line's own fault says already is not said twice.
            let said = matches!(msg.fault(), Some(Fault::RequestLine | Fault::RequestUri));
            if let Err(error) = Uri::parse_request(text).map(drop)
                && !said
            {
                found.error(at + error.offset, None, format!("Request-URI: {}", error.rule), "RFC 3261 §19.1.1");
            }
        }
    }
}

/// The header lines, and where the body begins.
fn header_lines(octets: &[u8], mut at: usize, report: &mut Report, found: &mut Findings) -> (Vec<Line>, usize) {
    let mut lines = Vec::new();
    loop {
        let end = match octets.get(at..) {
            Some([b'\r', b'\n', ..]) => return (lines, at + 2),
            Some([b'\n', ..]) => return (lines, at + 1),
            _ => folded_end(octets, at),
        };
        let Some(end) = end else {
            found.error(octets.len(), None, "the headers do not end with an empty line", "RFC 3261 §7");
            return (lines, octets.len());
        };
        if lines.len() == HEADERS {
            found.error(at, None, format!("more than {HEADERS} header lines: the rest is not looked at"), "limit");
            return (lines, octets.len());
        }
        if let Some(line) = header_line(octets, at..end, report, found) {
            lines.push(line);
        }
        at = end;
    }
}

/// The end of a line with its folds (RFC 3261 §7.3.1).
fn folded_end(octets: &[u8], at: usize) -> Option<usize> {
    let mut end = line_end(octets, at)?;
    while matches!(octets.get(end), Some(b' ' | b'\t')) {
        end = line_end(octets, end)?;
    }
    Some(end)
}

fn header_line(
    octets: &[u8],
    range: std::ops::Range<usize>,
    report: &mut Report,
    found: &mut Findings,
) -> Option<Line> {
    let (at, line) = (range.start, &octets[range.clone()]);
    let colon = line.iter().position(|octet| *octet == b':');
    let name = colon.and_then(|colon| std::str::from_utf8(line[..colon].trim_ascii_end()).ok());
    let Some((colon, name)) = colon.zip(name.filter(|name| stack::grammar::is_token(name))) else {
        found.error(at, None, "no header line: a name that is a token, and a colon", "RFC 3261 §7.3.1");
        return None;
    };
    let id = HeaderId::lookup(name.as_bytes());
    let text = &line[colon + 1..];
    let from = at + colon + 1 + text.iter().take_while(|octet| octet.is_ascii_whitespace()).count().min(text.len());
    let value = from..from.max(at + line.trim_ascii_end().len());
    let values = header_values(octets, id, name, value.clone(), found);
    let (number, _) = found.places.of(at);
    report.headers.push(Header { line: number, name: name.to_owned(), known: id.name().to_owned(), values });
    Some(Line { at, id, value })
}

/// The values of a line, each checked.
fn header_values(
    octets: &[u8],
    id: HeaderId,
    name: &str,
    value: std::ops::Range<usize>,
    found: &mut Findings,
) -> Vec<HeaderText> {
    let begin = value.start;
    let raw = &octets[value];
    let called = if id.name().is_empty() { name } else { id.name() };
    let text = match std::str::from_utf8(raw) {
        Ok(text) => text,
        Err(error) => {
            found.error(begin + error.valid_up_to(), Some(called), "not UTF-8", "RFC 3261 §7");
            return vec![HeaderText { raw: raw.to_vec(), parsed: None }];
        }
    };
    let mut one = |text: &str, at: usize| {
        if let Err(error) = check(id, text) {
            found.error(at + error.offset.min(text.len()), Some(called), error.rule, sections::of_header(id));
        }
        HeaderText { raw: text.as_bytes().to_vec(), parsed: reprint(id, text).ok() }
    };
    if !id.is_list() {
        return vec![one(text, begin)];
    }
    // Each value is a piece of the text, so its place follows from its address.
    let place = |part: &str| (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize).min(text.len());
    split_list(text).map(|part| one(part, begin + place(part))).collect()
}

/// Line ends other than CRLF, told once.
fn line_ends(head: &[u8], found: &mut Findings) {
    let alone = (0..head.len()).find(|at| head[*at] == b'\n' && (*at == 0 || head[*at - 1] != b'\r'));
    if let Some(at) = alone {
        found.warning(at, None, "a line ends with LF alone, without CR", "RFC 3261 §7");
    }
    let stray = (0..head.len()).find(|at| head[*at] == b'\r' && head.get(*at + 1) != Some(&b'\n'));
    if let Some(at) = stray {
        found.error(at, None, "a CR without LF", "RFC 3261 §25.1");
    }
}

/// The body as a share of its own.
pub(super) fn body_of(octets: &[u8], from: usize, length: usize) -> Bytes {
    let rest = octets.get(from..).unwrap_or_default();
    Bytes::copy_from_slice(rest.get(..length).unwrap_or(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1, SIP/2.0/TCP b;branch=z9hG4bK2\r\n\
        Max-Forwards: 70\r\nFrom: Alice\r\n <sip:alice@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\nCall-ID: 1\r\n\
        CSeq: 7 INVITE\r\nContact: <sip:alice@a>\r\nContent-Length: 0\r\n\r\n";

    fn defects(text: &str) -> Vec<(bool, usize, usize, String)> {
        let report = examine(text.as_bytes());
        report.defects.into_iter().map(|d| (d.is_error, d.line, d.column, d.what)).collect()
    }

    fn errors(text: &str) -> Vec<(usize, usize, String)> {
        defects(text).into_iter().filter(|d| d.0).map(|(_, line, column, what)| (line, column, what)).collect()
    }

    #[test]
    fn a_good_message_has_no_defects() {
        let report = examine(GOOD.as_bytes());
        assert_eq!(report.defects, [], "{report:?}");
        assert_eq!((report.kind, report.headers.len(), report.headers[0].values.len()), ("request", 8, 2));
        assert_eq!(report.headers[2].line, 4);
        assert_eq!(report.headers[3].line, 6, "the fold counts as a line");
    }

    #[test]
    fn a_defect_has_its_place() {
        let bad = GOOD.replace("tag=1", "tag=1;;x").replace("SIP/2.0/TCP b", "SIP/2.0/TCP b:99999");
        let found = errors(&bad);
        let via = GOOD.lines().nth(1).and_then(|line| line.find(" b;")).expect("it is there") + 2;
        assert!(found.iter().any(|(line, column, _)| (*line, *column) >= (2, via) && *line == 2), "{found:?}");
        assert!(found.iter().any(|(line, ..)| *line == 5), "in the folded line: {found:?}");
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn one_defect_does_not_hide_another() {
        let bad = GOOD
            .replace("CSeq: 7 INVITE", "CSeq: 7 BYE")
            .replace("Max-Forwards: 70", "Max-Forwards: many")
            .replace("Call-ID: 1\r\n", "")
            .replace("Contact: ", "no colon here\r\nContact: ");
        let found = errors(&bad);
        let said = |what: &str| found.iter().any(|(.., text)| text.contains(what));
        assert!(said("it names BYE") && said("digits expected"), "{found:?}");
        assert!(said("missing") && said("no header line"), "{found:?}");
        assert_eq!(found.len(), 4, "{found:?}");
    }

    #[test]
    fn start_lines_are_checked() {
        for (line, column) in [
            ("INVITE sip:bob@example.com SIP/3.0", 1),
            ("INVITE  sip:bob@example.com SIP/2.0", 1),
            ("INVITE sip:bob@exa^mple.com SIP/2.0", 19),
            ("hello", 1),
            ("SIP/2.0 99 No", 1),
        ] {
            let found = errors(&GOOD.replace("INVITE sip:bob@example.com SIP/2.0", line));
            assert_eq!(found.first().map(|(l, c, _)| (*l, *c)), Some((1, column)), "{line}: {found:?}");
        }
        assert_eq!(examine(b"").kind, "no SIP message");
        assert_eq!(errors("hello").len(), 1);
    }

    #[test]
    fn line_ends_are_told() {
        let lf = GOOD.replace("\r\n", "\n");
        assert!(matches!(&defects(&lf)[..], [(false, 1, ..)]), "{:?}", defects(&lf));
        assert_eq!(errors(&GOOD.replace("Call-ID: 1\r\n", "Call-ID: 1\rX\r\n")).first().map(|e| e.0), Some(7));
        assert!(errors(GOOD.trim_end()).iter().any(|e| e.2.contains("empty line")));
    }

    #[test]
    fn any_octets_give_a_report() {
        for octets in [
            &b"\xff\xfe"[..],
            b"\n",
            b"\r\n\r\n",
            b":\n:\n\n",
            b"A sip:x SIP/2.0\r\n\xff: 1\r\nVia:\r\n",
            b"SIP/2.0\n\n",
        ] {
            let _ = examine(octets);
        }
        for end in 0..GOOD.len() {
            let _ = examine(&GOOD.as_bytes()[..end]);
        }
    }
}
