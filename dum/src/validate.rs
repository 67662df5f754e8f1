//! What a request must satisfy before a usage sees it (RFC 3261 §8.2).

use crate::{MasterProfile, parts};
use stack::header::{MediaType, Method, h, p};
use stack::message::Message;

/// Why a request is refused, and with which headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 400: what cannot be read.
    Malformed,
    /// 405 with Allow (§8.2.1).
    Method,
    /// 416 (§8.2.2.1).
    Scheme,
    /// 420 with Unsupported (§8.2.2.3).
    Extension(Vec<String>),
    /// 415 with Accept (§8.2.3).
    Type,
    /// 415 with Accept-Encoding.
    Encoding,
    /// 415 with Accept-Language.
    Language,
}

impl Refusal {
    pub(crate) fn status(&self) -> u16 {
        match self {
            Refusal::Malformed => 400,
            Refusal::Method => 405,
            Refusal::Scheme => 416,
            Refusal::Extension(_) => 420,
            Refusal::Type | Refusal::Encoding | Refusal::Language => 415,
        }
    }

    /// Writes the headers that say what would have been accepted.
    pub(crate) fn describe(&self, request: &Message, response: &mut Message, master: &MasterProfile) {
        match self {
            Refusal::Malformed | Refusal::Method | Refusal::Scheme => {}
            Refusal::Extension(tags) => response.push_back(h::UNSUPPORTEDS, &tags.join(", ")),
            Refusal::Type => {
                response.push_back(h::ACCEPTS, &request.method().map_or(String::new(), |m| master.accept(&m)));
            }
            Refusal::Encoding => response.push_back(h::ACCEPT_ENCODINGS, &master.accept_encoding()),
            Refusal::Language => response.push_back(h::ACCEPT_LANGUAGES, &master.accept_language()),
        }
    }
}

/// Checks a request in the order of RFC 3261 §8.2: method, Request-URI, Require, what names calls, body. ACK and CANCEL are never refused
/// for what they require (§8.2.2.3), nor is an ACK for anything.
pub(crate) fn check(request: &Message, master: &MasterProfile) -> Result<(), Refusal> {
    let method = request.method().ok_or(Refusal::Malformed)?;
    if method == Method::Ack || method == Method::Cancel {
        return Ok(());
    }
    if !master.has_method(&method) {
        return Err(Refusal::Method);
    }
    if !master.has_scheme(request.request_uri().map_err(|_| Refusal::Malformed)?.scheme()) {
        return Err(Refusal::Scheme);
    }
    // Who has sent it has ended the session, whatever we answer (§15.1.1): so it comes to what it ends.
    if method == Method::Bye && request.has_to_tag() {
        return Ok(());
    }
    // It has ended the subscription in the same way (RFC 6665 §4.1.3).
    let ends = || request.header(h::SUBSCRIPTION_STATE).is_ok_and(|state| state.is("terminated"));
    if method == Method::Notify && request.has_to_tag() && ends() {
        return Ok(());
    }
    check_required(request, master)?;
    if names_calls(request, &method, master) {
        return Err(Refusal::Malformed);
    }
    check_body(request, &method, master)
}

/// Whether all that a request requires is understood.
pub(crate) fn check_required(request: &Message, master: &MasterProfile) -> Result<(), Refusal> {
    if !request.exists(h::REQUIRES) {
        return Ok(());
    }
    let unknown: Vec<String> = request
        .header(h::REQUIRES)
        .map(|tag| tag.map(|tag| tag.value.into_owned()).map_err(|_| Refusal::Malformed))
        .filter(|tag| !tag.as_ref().is_ok_and(|tag| master.has_option_tag(tag)))
        .collect::<Result<_, _>>()?;
    if unknown.is_empty() { Ok(()) } else { Err(Refusal::Extension(unknown)) }
}

/// Whether Join or Replaces stands where it may not: in a request other than INVITE, more than once, or one beside the other
/// (RFC 3891 §3, RFC 3911 §4).
fn names_calls(request: &Message, method: &Method<'_>, master: &MasterProfile) -> bool {
    let replaces = match master.has_option_tag("replaces") && request.exists(h::REPLACES) {
        true => request.raw_values("Replaces").count(),
        false => 0,
    };
    let joins = if request.exists(h::JOIN) { request.raw_values("Join").count() } else { 0 };
    replaces + joins > usize::from(*method == Method::Invite)
}

fn check_body(request: &Message, method: &Method<'_>, master: &MasterProfile) -> Result<(), Refusal> {
    if request.body().is_empty() {
        return Ok(());
    }
    if may_be_ignored(request) {
        return Ok(());
    }
    let media = request.header(h::CONTENT_TYPE).map_err(|_| Refusal::Type)?;
    let takes = |media: &MediaType<'_>| master.has_mime_type(method, media);
    if !takes(&media) || parts::has_parts(&media) && !parts::can_be_read(&media, &request.body_bytes(), &takes) {
        return Err(Refusal::Type);
    }
    if !request.header(h::CONTENT_ENCODINGS).all(|e| e.is_ok_and(|e| master.has_encoding(&e.value))) {
        return Err(Refusal::Encoding);
    }
    if !request.header(h::CONTENT_LANGUAGES).all(|l| l.is_ok_and(|l| master.has_language(&l.value))) {
        return Err(Refusal::Language);
    }
    Ok(())
}

/// Whether who does not understand the body may leave it alone (RFC 3261 §20.11).
pub(crate) fn may_be_ignored(msg: &Message) -> bool {
    let disposition = msg.header(h::CONTENT_DISPOSITION);
    disposition.is_ok_and(|d| d.param(p::HANDLING).is_some_and(|how| how.eq_ignore_ascii_case("optional")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, uri: &str, lines: &[(&str, &str)], body: &'static str) -> Message {
        let mut msg = Message::request(&Method::from_token(method), uri);
        if !body.is_empty() {
            msg.set_body(None, body);
        }
        lines.iter().for_each(|(name, value)| msg.append_line(name, value));
        Message::parse(msg.to_bytes()).unwrap()
    }

    /// Status, and the header that explains it.
    fn refused(msg: &Message, master: &MasterProfile) -> Option<(u16, String)> {
        let refusal = check(msg, master).err()?;
        let mut response = msg.make_response(refusal.status(), None, None);
        refusal.describe(msg, &mut response, master);
        let names = ["Unsupported", "Accept", "Accept-Encoding", "Accept-Language"];
        let said = names.iter().find_map(|name| {
            let value = response.raw_values(name).next()?;
            Some(format!("{name}: {}", String::from_utf8_lossy(value)))
        });
        Some((refusal.status(), said.unwrap_or_default()))
    }

    #[test]
    fn each_refusal_has_its_status_and_says_what_would_do() {
        let mut master = MasterProfile::default();
        master.add_method(Method::Message).add_mime_type(Method::Message, MediaType::new("text", "*"));
        master.add_option_tag("timer").add_encoding("gzip").add_language("en");
        let text = ("Content-Type", "text/plain");
        for (msg, expected) in [
            (request("OPTIONS", "sip:a@b", &[], ""), None),
            (
                request("FETCH", "sip:a@b", &[], ""),
                // Allow comes with every 405.
                Some((405, "")),
            ),
            (request("OPTIONS", "http://a", &[], ""), Some((416, ""))),
            (
                request("OPTIONS", "sip:a@b", &[("Require", "timer, path"), ("Require", "gruu")], ""),
                Some((420, "Unsupported: path, gruu")),
            ),
            (request("OPTIONS", "sip:a@b", &[("Require", "TIMER")], ""), None),
            (request("CANCEL", "sip:a@b", &[("Require", "path")], ""), None),
            (request("ACK", "sip:a@b", &[("Require", "path"), ("Content-Type", "x/y")], "z"), None),
            (request("MESSAGE", "sip:a@b", &[text], "hi"), None),
            (request("MESSAGE", "sip:a@b", &[("Content-Type", "a/b")], "hi"), Some((415, "Accept: text/*"))),
            (request("MESSAGE", "sip:a@b", &[], "hi"), Some((415, "Accept: text/*"))),
            (request("BYE", "sip:a@b", &[text], "hi"), Some((415, "Accept: "))),
            (request("BYE", "sip:a@b", &[text, ("Content-Disposition", "x;handling=optional")], "hi"), None),
            (request("MESSAGE", "sip:a@b", &[text, ("Content-Encoding", "gzip")], "hi"), None),
            (
                request("MESSAGE", "sip:a@b", &[text, ("Content-Encoding", "br")], "hi"),
                Some((415, "Accept-Encoding: identity, gzip")),
            ),
            (
                request("MESSAGE", "sip:a@b", &[text, ("Content-Language", "fr")], "hi"),
                Some((415, "Accept-Language: en")),
            ),
        ] {
            let expected = expected.map(|(code, said)| (code, said.to_owned()));
            assert_eq!(refused(&msg, &master), expected, "{msg:?}");
        }
    }
}
