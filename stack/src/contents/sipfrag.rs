//! Fragments of SIP messages: `message/sipfrag` (RFC 3420), the body of a NOTIFY for REFER (RFC 3515 §2.4.5).

use bytes::Bytes;
use nom::bytes::complete::{tag_no_case, take_while, take_while_m_n, take_while1};
use nom::character::complete::char;
use nom::combinator::{all_consuming, opt, recognize};
use nom::sequence::preceded;
use nom::{IResult, Parser};

use super::media_type::is_token_char;

/// Most header lines of a fragment.
pub const MAX_LINES: usize = 256;

/// What is wrong with a fragment. Lines count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SipFragError {
    /// The first line is neither a start line nor a header (RFC 3261 §7.1, §7.2).
    #[error("sipfrag line 1 is no start line and no header")]
    StartLine,
    /// A later line before the empty one is not a header, nor does it continue one.
    #[error("sipfrag line {0} is not name: value")]
    Header(usize),
    /// More header lines than [`MAX_LINES`].
    #[error("sipfrag has more than {MAX_LINES} lines")]
    TooManyLines,
}

/// The start line of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusLine<'a> {
    /// `SIP/2.0`.
    pub version: &'a str,
    /// 100 to 699.
    pub code: u16,
    /// The reason phrase; may be empty.
    pub reason: &'a str,
}

/// The start line of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLine<'a> {
    /// `INVITE`.
    pub method: &'a str,
    /// The Request-URI, not parsed.
    pub uri: &'a str,
    /// `SIP/2.0`.
    pub version: &'a str,
}

/// A start line, headers and a body, each of which may be missing. It is kept as octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipFrag {
    octets: Bytes,
    /// Where the headers begin.
    headers: usize,
    /// Where the empty line begins, and where the body does.
    end: (usize, usize),
}

impl SipFrag {
    /// Checks the lines of a fragment. A bare LF is tolerated, as is a last line without line end.
    pub fn parse(body: &Bytes) -> Result<SipFrag, SipFragError> {
        let (mut at, mut headers) = (0, 0);
        for number in 1.. {
            let Some((line, next)) = line_at(body, at) else { break };
            if number > MAX_LINES {
                return Err(SipFragError::TooManyLines);
            }
            if line.is_empty() {
                return Ok(SipFrag { octets: body.clone(), headers, end: (at, next) });
            }
            // Behind the start line there is no header yet that could go on.
            let folded = at > headers && matches!(line.first(), Some(b' ' | b'\t'));
            if number == 1 && (status_line(line).is_some() || request_line(line).is_some()) {
                headers = next;
            } else if !folded && header(line).is_none() {
                return Err(if number == 1 { SipFragError::StartLine } else { SipFragError::Header(number) });
            }
            at = next;
        }
        Ok(SipFrag { octets: body.clone(), headers, end: (at, at) })
    }

    /// Makes a fragment of a status line alone, the least that RFC 3515 §2.4.5 asks for.
    pub fn status(code: u16, reason: &str) -> Result<SipFrag, SipFragError> {
        let line = format!("SIP/2.0 {code} {reason}");
        if status_line(line.as_bytes()).is_none() {
            return Err(SipFragError::StartLine);
        }
        SipFrag::parse(&format!("{line}\r\n").into())
    }

    /// The octets, as they came.
    pub fn print(&self) -> Bytes {
        self.octets.clone()
    }

    /// The status line, if the fragment is of a response and has it.
    pub fn status_line(&self) -> Option<StatusLine<'_>> {
        self.start_line().and_then(status_line)
    }

    /// The request line, if the fragment is of a request and has it.
    pub fn request_line(&self) -> Option<RequestLine<'_>> {
        self.start_line().and_then(request_line)
    }

    /// The octets of the header lines with their line ends, for a message parser.
    pub fn header_octets(&self) -> Bytes {
        self.octets.slice(self.headers..self.end.0)
    }

    /// The headers: name and value, without the white space around it. Folded values keep their folds.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let octets = self.octets.get(..self.end.0).unwrap_or_default();
        let mut at = self.headers;
        std::iter::from_fn(move || {
            let (line, mut next) = line_at(octets, at)?;
            let (name, value) = header(line)?;
            let start = at + line.len() - value.len();
            let mut end = at + line.len();
            while let Some((more @ [b' ' | b'\t', ..], after)) = line_at(octets, next) {
                end = next + more.len();
                next = after;
            }
            at = next;
            Some((name, octets.get(start..end)?.trim_ascii()))
        })
    }

    /// What follows the empty line; `None` if there is no empty line.
    pub fn body(&self) -> Option<Bytes> {
        (self.end.0 != self.end.1).then(|| self.octets.slice(self.end.1..))
    }

    fn start_line(&self) -> Option<&[u8]> {
        line_at(self.octets.get(..self.headers)?, 0).map(|(line, _)| line)
    }
}

/// The line that begins at `at`, without its line end, and where the next begins.
fn line_at(octets: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = octets.get(at..).filter(|rest| !rest.is_empty())?;
    let Some(lf) = memchr::memchr(b'\n', rest) else { return Some((rest, octets.len())) };
    let line = rest.get(..lf)?;
    Some((line.strip_suffix(b"\r").unwrap_or(line), at + lf + 1))
}

fn version(text: &str) -> IResult<&str, &str> {
    let digits = || take_while1(|c: char| c.is_ascii_digit());
    recognize((tag_no_case("SIP/"), digits(), char('.'), digits())).parse(text)
}

fn status_line(line: &[u8]) -> Option<StatusLine<'_>> {
    let code = take_while_m_n(3, 3, |c: char| c.is_ascii_digit());
    // Some senders leave out the space before an empty reason.
    let reason = opt(preceded(char(' '), take_while(|c: char| !c.is_control() || c == '\t')));
    let grammar = (version, char(' '), code, reason);
    let (_, (version, _, code, reason)) = all_consuming(grammar).parse(std::str::from_utf8(line).ok()?).ok()?;
    let code = code.parse().ok().filter(|code| (100..700).contains(code))?;
    Some(StatusLine { version, code, reason: reason.unwrap_or_default() })
}

fn request_line(line: &[u8]) -> Option<RequestLine<'_>> {
    let uri = take_while1(|c: char| !c.is_whitespace() && !c.is_control());
    let grammar = (take_while1(is_token_char), char(' '), uri, char(' '), version);
    let (_, (method, _, uri, _, version)) = all_consuming(grammar).parse(std::str::from_utf8(line).ok()?).ok()?;
    Some(RequestLine { method, uri, version })
}

fn header(line: &[u8]) -> Option<(&str, &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    let name = std::str::from_utf8(line.get(..colon)?).ok()?.trim_end_matches([' ', '\t']);
    let is_name = !name.is_empty() && name.chars().all(is_token_char);
    is_name.then_some((name, line.get(colon + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frag(text: &str) -> Result<SipFrag, SipFragError> {
        SipFrag::parse(&Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn a_status_line_needs_no_line_end() {
        for text in ["SIP/2.0 100 Trying", "SIP/2.0 100 Trying\n", "SIP/2.0 100 Trying\r\n\r\n"] {
            let frag = frag(text).unwrap();
            let expected = StatusLine { version: "SIP/2.0", code: 100, reason: "Trying" };
            assert_eq!((frag.status_line(), frag.request_line()), (Some(expected), None));
            assert_eq!(frag.print(), text.as_bytes());
        }
        assert_eq!(frag("SIP/2.0 200").unwrap().status_line().unwrap().reason, "");
        assert_eq!(SipFrag::status(603, "Declined").unwrap().print(), &b"SIP/2.0 603 Declined\r\n"[..]);
    }

    #[test]
    fn each_piece_is_optional() {
        let all = frag("INVITE sip:a@b SIP/2.0\r\nSubject : x:y\r\n  z\r\nTo: <sip:a@b>\r\n\r\n\r\nbody\0").unwrap();
        let line = RequestLine { method: "INVITE", uri: "sip:a@b", version: "SIP/2.0" };
        assert_eq!((all.request_line(), all.status_line()), (Some(line), None));
        let headers: Vec<_> = all.headers().collect();
        assert_eq!(headers, [("Subject", &b"x:y\r\n  z"[..]), ("To", &b"<sip:a@b>"[..])]);
        assert_eq!(all.header_octets(), &b"Subject : x:y\r\n  z\r\nTo: <sip:a@b>\r\n"[..]);
        assert_eq!(all.body().unwrap(), &b"\r\nbody\0"[..]);

        let headers = frag("From: <sip:a@b>\nSubject: about SIP/2.0").unwrap();
        assert_eq!(headers.headers().map(|(name, _)| name).collect::<Vec<_>>(), ["From", "Subject"]);
        assert_eq!((headers.request_line(), headers.body()), (None, None));
        let body = frag("\r\nonly a body").unwrap();
        assert_eq!((body.headers().count(), body.body().unwrap()), (0, Bytes::from_static(b"only a body")));
        assert_eq!(frag("").unwrap().headers().count(), 0);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for text in ["SIP/2.0 99 x", "SIP/2.0 700 x", "SIP/2.0 1000 x", " folded: x", "hello", "INVITE sip:a b SIP/2.0"]
        {
            assert_eq!(frag(text), Err(SipFragError::StartLine), "{text}");
        }
        assert_eq!(frag("SIP/2.0 200 OK\r\nTo: x\r\nbad\r\n"), Err(SipFragError::Header(3)));
        assert_eq!(frag("SIP/2.0 100 \r\n \na:"), Err(SipFragError::Header(2)));
        assert_eq!(frag(&"a: b\n".repeat(MAX_LINES + 1)), Err(SipFragError::TooManyLines));
        assert_eq!(SipFrag::status(200, "OK\r\nX: y"), Err(SipFragError::StartLine));
        assert_eq!(SipFrag::status(7, ""), Err(SipFragError::StartLine));
    }

    proptest! {
        #[test]
        fn fragments_never_panic_and_print_back(
            text in "(SIP/2\\.0 [1-6][0-9]{2} [a-z ]{0,5}(\r\n|\n))?([a-z]{1,3} ?:[ -~]{0,5}(\r\n [a-z]?)?(\r\n|\n)){0,4}([\r\n\0a: ]{0,6})",
            octets in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            for body in [text.into_bytes(), octets] {
                let body = Bytes::from(body);
                if let Ok(frag) = SipFrag::parse(&body) {
                    prop_assert_eq!(frag.print(), body.clone());
                    let pieces = frag.headers + frag.header_octets().len() + frag.body().map_or(0, |b| b.len());
                    prop_assert!(pieces <= body.len() && body.len() - pieces <= 2);
                    let unfolded = frag.header_octets().split(|b| *b == b'\n')
                        .filter(|l| l.first().is_some_and(|b| !b" \t".contains(b))).count();
                    prop_assert_eq!(frag.headers().count(), unfolded);
                }
            }
        }
    }
}
