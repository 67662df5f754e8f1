//! What a first reader has found out about a request, so that the layers above need not find it out again.

use super::Message;
use super::access::Access;
use crate::header::{HeaderError, HeaderId, h, p};
use crate::uri::{Host, SipUri, Uri, UriHeaders, UriParams};
use std::borrow::Cow;
use std::net::IpAddr;

/// What is known of a message's Request-URI and To; nothing at first, and nothing again once they are written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    uri: Option<UriAt>,
    /// The URI of To, in that header's value.
    to: Option<UriAt>,
    to_tag: Option<bool>,
}

/// A part of a URI's text.
type Span = (u16, u16);

/// Where the parts of a `sip:` or `sips:` URI without password and headers lie in its text.
#[derive(Clone, Copy, Debug)]
struct UriAt {
    secure: bool,
    user: Option<Span>,
    host: HostAt,
    port: Option<u16>,
    params: Span,
}

#[derive(Clone, Copy, Debug)]
enum HostAt {
    Name(Span),
    Address(IpAddr),
}

impl UriAt {
    fn of(uri: &Uri<'_>, text: &str) -> Option<UriAt> {
        let sip = uri.sip().filter(|sip| sip.password.is_none() && sip.headers.is_empty())?;
        let span = |part: &str| {
            let from = place_in(text.as_bytes(), part)?;
            Some((u16::try_from(from).ok()?, u16::try_from(from + part.len()).ok()?))
        };
        let user = match &sip.user {
            Some(user) => Some(span(user)?),
            None => None,
        };
        let host = match &sip.host {
            Host::Name(name) => HostAt::Name(span(name)?),
            Host::V4(address) => HostAt::Address(IpAddr::V4(*address)),
            Host::V6(address) => HostAt::Address(IpAddr::V6(*address)),
        };
        let params = if sip.params.is_empty() { (0, 0) } else { span(sip.params.as_str())? };
        Some(UriAt { secure: sip.secure, user, host, port: sip.port, params })
    }

    fn view(self, text: &str) -> Option<Uri<'_>> {
        let part = |(from, to): Span| text.get(usize::from(from)..usize::from(to)).map(Cow::Borrowed);
        let user = match self.user {
            Some(span) => Some(part(span)?),
            None => None,
        };
        let host = match self.host {
            HostAt::Name(span) => Host::Name(part(span)?),
            HostAt::Address(address) => Host::from(address),
        };
        let params = UriParams::checked(part(self.params)?);
        let (secure, port) = (self.secure, self.port);
        Some(Uri::Sip(SipUri { secure, user, password: None, host, port, params, headers: UriHeaders::none() }))
    }
}

/// Where a part begins that is a piece of a text: its place follows from its address.
fn place_in(text: &[u8], part: &str) -> Option<usize> {
    let from = (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    text.get(from..from.checked_add(part.len())?).filter(|same| *same == part.as_bytes())?;
    Some(from)
}

fn wrong(offset: usize, rule: &'static str) -> HeaderError {
    HeaderError { header: "Request-URI", offset, rule }
}

impl Message {
    /// The Request-URI.
    ///
    /// # Errors
    /// When it is malformed, or the message is a response.
    pub fn request_uri(&self) -> Result<Uri<'_>, HeaderError> {
        let text = self.uri_text()?;
        match self.known.uri.and_then(|known| known.view(text)) {
            Some(uri) => Ok(uri),
            None => Uri::parse_request(text).map_err(|e| wrong(e.offset, e.rule)),
        }
    }

    fn uri_text(&self) -> Result<&str, HeaderError> {
        std::str::from_utf8(self.request_uri_text()).map_err(|e| wrong(e.valid_up_to(), "not UTF-8"))
    }

    /// Whether To has a tag: the request is within a dialog (RFC 3261 §12.2). False for a malformed To.
    pub fn has_to_tag(&self) -> bool {
        self.known.to_tag.unwrap_or_else(|| self.header(h::TO).is_ok_and(|to| to.param(p::TAG).is_some()))
    }

    /// The URI of To.
    ///
    /// # Errors
    /// When To is missing or malformed.
    pub fn to_uri(&self) -> Result<Uri<'_>, HeaderError> {
        let known = self.known.to.and_then(|known| known.view(self.to_text()?));
        known.map_or_else(|| self.header(h::TO).map(|to| to.uri), Ok)
    }

    fn to_text(&self) -> Option<&str> {
        std::str::from_utf8(self.raw_value(HeaderId::TO)?).ok()
    }

    /// Whether To has a tag, if that was learnt: then To is well-formed.
    pub(super) fn knows_to_tag(&self) -> Option<bool> {
        self.known.to_tag
    }

    /// Reads Request-URI and To and remembers what they say.
    ///
    /// # Errors
    /// When one of them is malformed or missing.
    pub(crate) fn learn(&mut self) -> Result<(), HeaderError> {
        let to = self.header(h::TO)?;
        let to_tag = to.param(p::TAG).is_some();
        if !to_tag && to.params.contains(p::TAG.name) {
            return Err(HeaderError { header: "To", offset: 0, rule: "tag without a value" });
        }
        let to = self.to_text().and_then(|text| UriAt::of(&to.uri, text));
        let text = self.uri_text()?;
        let uri = Uri::parse_request(text).map_err(|e| wrong(e.offset, e.rule))?;
        self.known = Known { uri: UriAt::of(&uri, text), to, to_tag: Some(to_tag) };
        Ok(())
    }

    /// How far behind the beginning of a header's first line a part of that line ends.
    pub(crate) fn end_in_line(&self, id: HeaderId, part: &str) -> Option<usize> {
        let field = self.field(id)?;
        place_in(self.span(field.buffer, field.start, field.end), part).map(|from| from + part.len())
    }

    /// The start line was written.
    pub(super) fn forget_uri(&mut self) {
        self.known.uri = None;
    }

    /// A header was written.
    #[inline]
    pub(super) fn forget(&mut self, id: HeaderId) {
        if id == h::TO.id() {
            (self.known.to, self.known.to_tag) = (None, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::NameAddr;

    fn request(uri: &str, to: &str) -> Message {
        let text = format!("OPTIONS {uri} SIP/2.0\r\nTo: {to}\r\n\r\n");
        Message::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn what_was_learnt_is_what_would_be_read() {
        for uri in [
            "sip:a.example",
            "sips:bob@[2001:db8::1]:5061;transport=tcp;lr",
            "sip:bob;x=y@192.0.2.1:5060;maddr=192.0.2.9",
            "sip:1@a.example;lr",
            "sip:bob:secret@a.example",
            "tel:+1-201-555-0123;phone-context=a.example",
            "urn:service:sos",
        ] {
            let (mut msg, fresh) = (request(uri, "<sip:a@b>"), request(uri, "<sip:a@b>"));
            msg.learn().unwrap();
            assert_eq!(msg.request_uri(), fresh.request_uri(), "{uri}");
            let mut to = request("sip:a.example", &format!("A <{uri}>;x"));
            to.learn().unwrap();
            assert_eq!(to.to_uri(), Uri::parse(uri).map_err(|e| wrong(e.offset, e.rule)));
            assert_eq!(to.known.to.is_some(), uri.starts_with("sip") && !uri.contains("secret"), "{uri}");
            to.set(h::TO, "<sip:other@a.example>");
            assert_eq!(to.to_uri().unwrap().to_string(), "sip:other@a.example");
            let known = msg.known.uri.is_some();
            assert_eq!(known, uri.starts_with("sip") && !uri.contains("secret"), "{uri}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut msg = request("sip:a@a.example", "<sip:a@a.example>");
        msg.learn().unwrap();
        assert!(!msg.has_to_tag());
        msg.set_request_uri("sip:b@b.example;lr");
        assert_eq!(msg.request_uri().unwrap().to_string(), "sip:b@b.example;lr");
        let to = NameAddr::new(Uri::parse("sip:a@a.example").unwrap()).with(p::TAG, "1");
        msg.set(h::TO, &to);
        assert!(msg.has_to_tag());
        msg.learn().unwrap();
        msg.remove(h::TO);
        assert!(!msg.has_to_tag() && msg.learn().is_err());
        let mut empty = request("sip:a@a.example", "<sip:a@b>;tag");
        assert_eq!(empty.learn().map_err(|error| error.rule), Err("tag without a value"));
        empty.add_to_tag("1");
        assert_eq!(empty.header(h::TO).map(|to| to.to_string()).unwrap(), "<sip:a@b>;tag");
    }

    #[test]
    fn a_response_says_the_same_whether_or_not_to_was_learnt() {
        for to in
            ["<sip:a@b>", "A <sip:a@b>;x=y ", "\"a;tag=1\" <sip:a@b>", "sip:a@b", "<sip:a@b>\r\n ;x", "<sip:a@b>;tag=1"]
        {
            for tag in ["1a", "two words"] {
                let (mut learnt, fresh) = (request("sip:a.example", to), request("sip:a.example", to));
                learnt.learn().unwrap();
                let of = |request: &Message| request.make_response(200, Some("So\r\nWhat"), Some(tag)).to_bytes();
                assert_eq!(of(&learnt), of(&fresh), "{to}");
                let response = Message::parse(of(&learnt)).unwrap();
                assert!(response.has_to_tag() && response.reason() == "So  What", "{response:?}");
            }
        }
        let mut twice = request("sip:a.example", "<sip:a@b>\r\nTo: <sip:c@d>");
        twice.learn().unwrap();
        assert!(!twice.make_response(400, None, Some("1")).is_repeated(HeaderId::TO));
    }
}
