//! The little that a driver has to read out of raw messages, without help from the stack under test.

use std::ops::Range;

/// One header field of a raw message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The long name in lower case.
    pub name: String,
    /// The value with folds read as one space and without blanks at its ends.
    pub value: Vec<u8>,
    /// Where the value stands in the message, folds included, without the last line end.
    pub span: Range<usize>,
}

/// Where the header section ends and the body begins; the end of the message if there is no empty line.
pub fn body_start(message: &[u8]) -> usize {
    message.windows(4).position(|w| w == b"\r\n\r\n").map_or(message.len(), |at| at + 4)
}

/// The header fields in order. Lines without a colon are left out.
pub fn fields(message: &[u8]) -> Vec<Field> {
    let head = &message[..body_start(message)];
    let mut found: Vec<Field> = Vec::new();
    let mut at = 0;
    for (number, line) in lines(head).enumerate() {
        let start = at;
        at += line.len() + 2;
        if number == 0 || line.is_empty() {
            continue;
        }
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            if let Some(last) = found.last_mut() {
                last.span.end = start + line.len();
                last.value.push(b' ');
                last.value.extend_from_slice(line.trim_ascii());
                last.value = last.value.trim_ascii().to_vec();
            }
        } else if let Some(colon) = line.iter().position(|b| *b == b':') {
            let name = String::from_utf8_lossy(line[..colon].trim_ascii()).to_ascii_lowercase();
            let value = line[colon + 1..].trim_ascii().to_vec();
            found.push(Field { name: long_name(name), value, span: start + colon + 1..start + line.len() });
        }
    }
    found
}

fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = head;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.windows(2).position(|w| w == b"\r\n").unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 2..).unwrap_or_default();
        Some(line)
    })
}

fn long_name(name: String) -> String {
    let long = match name.as_str() {
        "v" => "via",
        "i" => "call-id",
        "f" => "from",
        "t" => "to",
        "l" => "content-length",
        "m" => "contact",
        "c" => "content-type",
        "s" => "subject",
        "e" => "content-encoding",
        "k" => "supported",
        _ => return name,
    };
    long.to_owned()
}

/// The value of the first header of this name (long, lower case).
pub fn first(message: &[u8], name: &str) -> Option<Vec<u8>> {
    fields(message).into_iter().find(|f| f.name == name).map(|f| f.value)
}

/// The status code, if the message is a response.
pub fn status(message: &[u8]) -> Option<u16> {
    let code = message.strip_prefix(b"SIP/2.0 ")?.get(..3)?;
    std::str::from_utf8(code).ok()?.parse().ok()
}

/// The port to which responses go (RFC 3261 §18.2.2): that of the topmost Via's sent-by, or the default.
pub fn response_port(message: &[u8]) -> u16 {
    first(message, "via").and_then(|via| sent_by_port(&via)).unwrap_or(5060)
}

/// A copy of the message whose topmost Via names `transport`; the message itself if it has no such Via.
///
/// The transport in the Via decides how responses travel, so it has to be the one over which the request is sent.
pub fn with_transport(message: &[u8], transport: &str) -> Vec<u8> {
    let mut copy = message.to_vec();
    let Some(via) = fields(message).into_iter().find(|f| f.name == "via") else { return copy };
    let value = &message[via.span.clone()];
    let Some((slash, _)) = value.iter().enumerate().filter(|(_, b)| **b == b'/').nth(1) else { return copy };
    let blank = |b: &u8| b.is_ascii_whitespace();
    let start = slash + 1 + value[slash + 1..].iter().take_while(|b| blank(b)).count();
    let end = start + value[start..].iter().take_while(|b| !blank(b)).count();
    copy.splice(via.span.start + start..via.span.start + end, transport.bytes());
    copy
}

/// The port in `SIP/2.0/UDP host:port;…`, with blanks in all the places where they may be.
fn sent_by_port(via: &[u8]) -> Option<u16> {
    let via = String::from_utf8_lossy(via);
    let transport_and_rest = via.splitn(3, '/').nth(2)?.trim_start();
    let (transport, rest) = transport_and_rest.split_once([' ', '\t'])?;
    let rest = rest.trim_start();
    let after_host = match rest.find(']') {
        Some(close) if rest.starts_with('[') => rest.get(close + 1..)?,
        _ => rest.find([':', ';', ',', ' ', '\t']).map_or("", |end| &rest[end..]),
    };
    match after_host.trim_start().strip_prefix(':') {
        Some(port) => {
            let port = port.trim_start();
            port[..port.find(|c: char| !c.is_ascii_digit()).unwrap_or(port.len())].parse().ok()
        }
        None if transport.eq_ignore_ascii_case("TLS") => Some(5061),
        None => None,
    }
}

/// A response to `request` with the request's own fields, as far as it has them (RFC 3261 §8.2.6).
pub fn response(request: &[u8], status: u16) -> Vec<u8> {
    let mut response = format!("SIP/2.0 {status} As Asked\r\n").into_bytes();
    for field in fields(request) {
        let (name, tag) = match field.name.as_str() {
            "via" => ("Via", &b""[..]),
            "from" => ("From", &b""[..]),
            "to" if field.value.windows(3).any(|w| w == b"tag") => ("To", &b""[..]),
            "to" => ("To", &b";tag=answer"[..]),
            "call-id" => ("Call-ID", &b""[..]),
            "cseq" => ("CSeq", &b""[..]),
            _ => continue,
        };
        response.extend_from_slice(&[name.as_bytes(), b": ", &field.value, tag, b"\r\n"].concat());
    }
    response.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    response
}

/// Takes the first whole message off a stream's buffer, if it is all there (RFC 3261 §18.3).
pub fn take_message(buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    let blank = buffer.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    buffer.drain(..blank);
    let start = body_start(buffer);
    if !buffer[..start].ends_with(b"\r\n\r\n") {
        return None;
    }
    let length: usize = match first(buffer, "content-length") {
        Some(value) => std::str::from_utf8(&value).ok()?.parse().ok()?,
        None => 0,
    };
    let end = start.checked_add(length).filter(|end| *end <= buffer.len())?;
    Some(buffer.drain(..end).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_unfold_and_use_long_names() {
        let message = b"OPTIONS sip:a SIP/2.0\r\nv : SIP/2.0/UDP a\r\n ;branch=x\r\nX:\r\n\ty\r\n\r\nv: body\r\n";
        let got = fields(message);
        assert_eq!(got.len(), 2);
        assert_eq!((got[0].name.as_str(), got[0].value.as_slice()), ("via", &b"SIP/2.0/UDP a ;branch=x"[..]));
        assert_eq!(&message[got[0].span.clone()], b" SIP/2.0/UDP a\r\n ;branch=x");
        assert_eq!((got[1].name.as_str(), got[1].value.as_slice()), ("x", &b"y"[..]));
    }

    #[test]
    fn ports_of_all_shapes() {
        for (via, port) in [
            ("SIP/2.0/UDP a.example.com;branch=x", 5060),
            ("SIP/2.0/UDP a.example.com:5075;branch=x", 5075),
            ("SIP  /  2.0 /UDP   192.0.2.1  :  5099 ;branch=x", 5099),
            ("SIP/2.0/UDP [2001:db8::1];branch=x", 5060),
            ("SIP/2.0/UDP [2001:db8::1]:6050;branch=x:1", 6050),
            ("SIP/2.0/TLS a.example.com;branch=x", 5061),
            ("SIP/2.0/UDP 192.0.2.15;;,;,,", 5060),
            ("nonsense", 5060),
        ] {
            let message = format!("OPTIONS sip:a SIP/2.0\r\nVia: {via}\r\n\r\n");
            assert_eq!(response_port(message.as_bytes()), port, "{via}");
        }
    }

    #[test]
    fn only_the_topmost_transport_changes() {
        for (before, after) in [
            ("Via: SIP/2.0/TLS a\r\nVia: SIP/2.0/TLS b\r\n", "Via: SIP/2.0/UDP a\r\nVia: SIP/2.0/TLS b\r\n"),
            ("v : SIP / 2.0\r\n /\r\n SCTP  a\r\n", "v : SIP / 2.0\r\n /\r\n UDP  a\r\n"),
            ("Via: nonsense\r\n", "Via: nonsense\r\n"),
            ("X: SIP/2.0/TLS a\r\n", "X: SIP/2.0/TLS a\r\n"),
        ] {
            let whole = |headers: &str| format!("OPTIONS sip:a SIP/2.0\r\n{headers}\r\nVia: body").into_bytes();
            assert_eq!(with_transport(&whole(before), "UDP"), whole(after), "{before}");
        }
    }

    #[test]
    fn statuses_are_those_of_responses() {
        assert_eq!(status(b"SIP/2.0 404 Not Found\r\n"), Some(404));
        assert_eq!(status(b"OPTIONS sip:a SIP/2.0\r\n"), None);
        assert_eq!(status(b"SIP/2.0 4"), None);
    }

    #[test]
    fn a_response_carries_what_it_must() {
        let request = b"BYE sip:a SIP/2.0\r\nv: SIP/2.0/UDP a\r\nVia: SIP/2.0/UDP b\r\nt: sip:b\r\nX: y\r\n\r\n";
        assert_eq!(
            response(request, 480),
            b"SIP/2.0 480 As Asked\r\nVia: SIP/2.0/UDP a\r\nVia: SIP/2.0/UDP b\r\nTo: sip:b;tag=answer\r\n\
              Content-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn a_stream_is_cut_by_content_length() {
        let mut buffer = b"\r\n\r\nSIP/2.0 200 OK\r\nl: 3\r\n\r\nabcSIP/2.0 100 T\r\n\r\nrest".to_vec();
        assert_eq!(take_message(&mut buffer).as_deref(), Some(&b"SIP/2.0 200 OK\r\nl: 3\r\n\r\nabc"[..]));
        assert_eq!(take_message(&mut buffer).as_deref(), Some(&b"SIP/2.0 100 T\r\n\r\n"[..]));
        assert_eq!(take_message(&mut buffer), None);
        assert_eq!(buffer, b"rest");
    }
}
