//! What a message must have beside headers that are well written.

use super::examine::{Findings, Line, Report, body_of};
use stack::contents::{Contents, ContentsError, MediaType};
use stack::header::{CSeq, DeltaSeconds, MaxForwards};
use stack::header::{Contact, HeaderId, HeaderValue as _, Method, NameAddr, Via, p};

/// What every message has (RFC 3261 §8.1.1, §8.2.6.2).
const NEEDED: [(HeaderId, &str); 5] = [
    (HeaderId::VIA, "RFC 3261 §8.1.1.7"),
    (HeaderId::TO, "RFC 3261 §8.1.1.2"),
    (HeaderId::FROM, "RFC 3261 §8.1.1.3"),
    (HeaderId::CALL_ID, "RFC 3261 §8.1.1.4"),
    (HeaderId::CSEQ, "RFC 3261 §8.1.1.5"),
];

/// Checks a message whose lines are known; `body` is where its body begins.
pub(super) fn check(octets: &[u8], lines: &[Line], body: usize, report: &mut Report, found: &mut Findings) {
    let head = Head { octets, lines };
    for (id, rfc) in NEEDED {
        if head.line(id).is_none() {
            found.error(0, Some(id.name()), "the header is missing", rfc);
        }
    }
    for (at, line) in lines.iter().enumerate() {
        let before = lines.get(..at).unwrap_or_default();
        if line.id.is_single() && before.iter().any(|other| other.id == line.id) {
            found.error(line.at, Some(line.id.name()), "it may stand there once only", "RFC 3261 §7.3.1");
        }
    }
    let method = match report.start.first() {
        Some(("method", method)) => String::from_utf8(method.clone()).ok(),
        _ => None,
    };
    if let Some(method) = &method {
        request(&head, method, found);
    }
    tags(&head, report.kind, found);
    lengths(&head, body, report, found);
}

/// The header lines and what they say.
struct Head<'m> {
    octets: &'m [u8],
    lines: &'m [Line],
}

impl<'m> Head<'m> {
    fn line(&self, id: HeaderId) -> Option<&'m Line> {
        self.lines.iter().find(|line| line.id == id)
    }

    fn text(&self, id: HeaderId) -> Option<(&'m str, usize)> {
        let line = self.line(id)?;
        let value = self.octets.get(line.value.clone())?;
        Some((std::str::from_utf8(value).ok()?, line.value.start))
    }
}

/// What a request must be.
fn request(head: &Head<'_>, method: &str, found: &mut Findings) {
    if let Some((text, at)) = head.text(HeaderId::CSEQ)
        && let Ok(cseq) = CSeq::parse(text)
        && cseq.method.as_str() != method
    {
        let what = format!("it names {}, and the request line {method}", cseq.method.as_str());
        found.error(at, Some("CSeq"), what, "RFC 3261 §8.1.1.5");
    }
    match head.text(HeaderId::MAX_FORWARDS) {
        None if head.line(HeaderId::MAX_FORWARDS).is_none() => {
            // RFC 2543 knew none, so receivers put up with it.
            found.warning(0, Some("Max-Forwards"), "the header is missing", "RFC 3261 §8.1.1.6");
        }
        Some((text, at)) if MaxForwards::parse(text).is_ok_and(|hops| hops.to_string() == "0") => {
            found.warning(at, Some("Max-Forwards"), "the first proxy will refuse it with 483", "RFC 3261 §16.3");
        }
        _ => {}
    }
    if let Some((text, at)) = head.text(HeaderId::VIA)
        && let Some(Ok(via)) = stack::grammar::split_list(text).next().map(Via::parse)
        && via.rfc3261_branch().is_none()
    {
        let what = "the topmost branch does not begin with z9hG4bK, or nothing follows";
        found.warning(at, Some("Via"), what, "RFC 3261 §8.1.1.7");
    }
    let makes_dialog = [Method::Invite, Method::Subscribe, Method::Refer].iter().any(|known| known.as_str() == method);
    if makes_dialog && head.line(HeaderId::CONTACT).is_none() {
        found.warning(0, Some("Contact"), "a request that makes a dialog has one", "RFC 3261 §8.1.1.8");
    }
    if method == Method::Register.as_str() {
        star(head, found);
    }
}

/// `*` stands alone, and with `Expires: 0` (RFC 3261 §10.2.2).
fn star(head: &Head<'_>, found: &mut Findings) {
    let lines = head.lines.iter().filter(|line| line.id == HeaderId::CONTACT);
    let texts = lines
        .filter_map(|line| Some((line.value.start, std::str::from_utf8(head.octets.get(line.value.clone())?).ok()?)));
    let values: Vec<_> =
        texts.flat_map(|(at, text)| stack::grammar::split_list(text).map(move |value| (at, value))).collect();
    let Some((at, _)) = values.iter().find(|(_, value)| matches!(Contact::parse(value), Ok(Contact::Star))) else {
        return;
    };
    if values.len() > 1 {
        found.error(*at, Some("Contact"), "* stands beside other values", "RFC 3261 §10.2.2");
    }
    let zero = head.text(HeaderId::EXPIRES).and_then(|(text, _)| DeltaSeconds::parse(text).ok());
    if zero.is_none_or(|expires| expires.to_string() != "0") {
        found.error(*at, Some("Contact"), "* needs Expires: 0", "RFC 3261 §10.2.2");
    }
}

/// Whether the tags are there that must be.
fn tags(head: &Head<'_>, kind: &str, found: &mut Findings) {
    let tagless = |id| {
        let (text, at) = head.text(id)?;
        NameAddr::parse(text).ok().filter(|addr| addr.param(p::TAG).is_none()).map(|_| at)
    };
    if let Some(at) = tagless(HeaderId::FROM) {
        found.warning(at, Some("From"), "there is no tag", "RFC 3261 §8.1.1.3");
    }
    // A 100 has none, and a refusal of who knows nothing of dialogs may do without.
    if kind == "response"
        && let Some(at) = tagless(HeaderId::TO)
    {
        found.warning(at, Some("To"), "there is no tag: only a 100 has none", "RFC 3261 §8.2.6.2");
    }
}

/// What Content-Length and Content-Type say of the body.
fn lengths(head: &Head<'_>, body: usize, report: &mut Report, found: &mut Findings) {
    let rest = head.octets.len().saturating_sub(body);
    let said =
        head.text(HeaderId::CONTENT_LENGTH).and_then(|(text, at)| Some((text.trim().parse::<usize>().ok()?, at)));
    match said {
        Some((length, at)) if length > rest => {
            let what = format!("it says {length}, and {rest} octets follow: the message is cut short");
            found.error(at, Some("Content-Length"), what, "RFC 3261 §18.3");
        }
        Some((length, at)) if length < rest => {
            let what = format!("it says {length}, and {rest} octets follow: the rest does not belong to the message");
            found.warning(at, Some("Content-Length"), what, "RFC 3261 §18.3");
        }
        Some(_) => {}
        None if head.line(HeaderId::CONTENT_LENGTH).is_none() => {
            found.warning(0, Some("Content-Length"), "without it, it cannot be sent on a stream", "RFC 3261 §20.14");
        }
        None => {}
    }
    report.body = said.map_or(rest, |(length, _)| length.min(rest));
    if report.body == 0 {
        return;
    }
    let Some((text, at)) = head.text(HeaderId::CONTENT_TYPE) else {
        if head.line(HeaderId::CONTENT_TYPE).is_none() {
            found.error(body, Some("Content-Type"), "there is a body and no type", "RFC 3261 §20.15");
        }
        return;
    };
    report.body_is = format!(", {text}");
    match MediaType::parse(text) {
        Err(error) => {
            let rfc = "RFC 3261 §20.15";
            if !found.defects.iter().any(|defect| defect.header.as_deref() == Some("Content-Type")) {
                found.error(at, Some("Content-Type"), error.to_string(), rfc);
            }
        }
        Ok(_) if head.line(HeaderId::CONTENT_ENCODING).is_some() => {}
        Ok(media) => contents(head.octets, &media, (body, report.body), found),
    }
}

/// What is wrong with the body itself.
fn contents(octets: &[u8], media: &MediaType<'_>, (from, length): (usize, usize), found: &mut Findings) {
    let body = body_of(octets, from, length);
    let Err(error) = Contents::parse(media, &body) else { return };
    let (at, rfc) = match &error {
        ContentsError::Sdp(error) => {
            let ends = body.iter().enumerate().filter(|(_, octet)| **octet == b'\n').map(|(at, _)| at + 1);
            let begin = std::iter::once(0).chain(ends).nth(error.line.saturating_sub(1)).unwrap_or(body.len());
            (from + begin, "RFC 8866 §5")
        }
        ContentsError::Multipart(_) => (from, "RFC 2046 §5.1"),
        ContentsError::SipFrag(_) => (from, "RFC 3420 §2"),
        ContentsError::MediaType(_) => (from, "RFC 2045 §5.1"),
    };
    found.error(at, None, format!("body: {error}"), rfc);
}

#[cfg(test)]
mod tests {
    use super::super::examine::examine;

    const REGISTER: &str = "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
        From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 7 REGISTER\r\nContact: *\r\nExpires: 0\r\n\
        Content-Length: 0\r\n\r\n";

    fn found(text: &str) -> Vec<(bool, usize, String)> {
        let told = |d: super::super::examine::Defect| (d.is_error, d.line, d.header.unwrap_or_default() + " " + d.rfc);
        examine(text.as_bytes()).defects.into_iter().map(told).collect()
    }

    #[test]
    fn rules_of_requests() {
        assert_eq!(found(REGISTER), []);
        let error = |line, what: &str| (true, line, what.to_owned());
        let warning = |line, what: &str| (false, line, what.to_owned());
        for (from, to, wanted) in [
            ("Expires: 0\r\n", "", error(8, "Contact RFC 3261 §10.2.2")),
            ("Contact: *", "Contact: <sip:x>, *", error(8, "Contact RFC 3261 §10.2.2")),
            ("CSeq: 7 REGISTER", "CSeq: 7 INVITE", error(7, "CSeq RFC 3261 §8.1.1.5")),
            ("Call-ID: 1", "Call-ID: 1\r\nCall-ID: 2", error(7, "Call-ID RFC 3261 §7.3.1")),
            ("To: <sip:a@b>\r\n", "", error(1, "To RFC 3261 §8.1.1.2")),
            ("Content-Length: 0", "Content-Length: 9", error(10, "Content-Length RFC 3261 §18.3")),
            ("Max-Forwards: 70\r\n", "", warning(1, "Max-Forwards RFC 3261 §8.1.1.6")),
            ("branch=z9hG4bK1", "branch=1", warning(2, "Via RFC 3261 §8.1.1.7")),
            (";tag=1", "", warning(4, "From RFC 3261 §8.1.1.3")),
        ] {
            assert_eq!(found(&REGISTER.replace(from, to)), [wanted], "{from} -> {to}");
        }
    }

    #[test]
    fn a_body_is_looked_into() {
        let sdp = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nm=audio nine RTP/AVP 0\r\n";
        let with = |media: &str, body: &str| {
            let text = format!("Content-Type: {media}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            found(&REGISTER.replace("Content-Length: 0\r\n\r\n", &text))
        };
        assert_eq!(with("application/sdp", sdp), [(true, 17, " RFC 8866 §5".to_owned())]);
        assert_eq!(with("application/sdp", &sdp.replace("nine", "9")), []);
        assert_eq!(with("multipart/mixed;boundary=x", "none"), [(true, 13, " RFC 2046 §5.1".to_owned())]);
        assert_eq!(with("text/plain", "hello"), []);
        let untyped = REGISTER.replace("Content-Length: 0\r\n\r\n", "Content-Length: 2\r\n\r\nhi");
        assert_eq!(found(&untyped), [(true, 12, "Content-Type RFC 3261 §20.15".to_owned())]);
    }
}
