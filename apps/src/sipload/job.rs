//! What each session does: a call, or one request.

use super::template::Template;
use stack::transport::TransportType;
use std::net::SocketAddr;
use std::time::Duration;

/// What each session does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// INVITE, ACK, BYE; the time from the answer to the BYE.
    Call(Duration),
    /// REGISTER for so many seconds.
    Register(u32),
    /// OPTIONS.
    Options,
    /// MESSAGE with this text.
    Message(String),
    /// SUBSCRIBE to this event package, for so many seconds.
    Subscribe(String, u32),
}

impl Job {
    /// The method of its first request.
    pub(super) fn method(&self) -> &'static str {
        match self {
            Job::Call(_) => "INVITE",
            Job::Register(_) => "REGISTER",
            Job::Options => "OPTIONS",
            Job::Message(_) => "MESSAGE",
            Job::Subscribe(..) => "SUBSCRIBE",
        }
    }

    /// Its first request, sent from `own`. `with_users`: From names the session's user, else one of `own`.
    pub(super) fn request(&self, target: &str, kind: TransportType, own: SocketAddr, with_users: bool) -> Template {
        let method = self.method();
        let aor = |template: Template| match with_users {
            true => template.text("<sip:").user().text(">"),
            false => template.text(&format!("<sip:sipload@{own}>")),
        };
        let head = Template::default().text(&format!("{method} {target} SIP/2.0\r\n")).via();
        let head = aor(head.text("Max-Forwards: 70\r\nFrom: ")).text(";tag=").id().text("\r\nTo: ");
        // RFC 3261 §10.2: To is what is registered.
        let head = if let Job::Register(_) = self { aor(head) } else { head.text(&format!("<{target}>")) };
        let head = head.text("\r\nCall-ID: ").id().text("\r\nCSeq: ").cseq().text(&format!(" {method}\r\n"));
        let (lines, body) = self.rest(own);
        let head = match self {
            // RFC 3428 §4: without a Contact.
            Job::Message(_) => head.credentials(),
            _ => head.credentials().text("Contact: <sip:").name().text(&format!("@{own}{}>\r\n", transport(kind))),
        };
        head.text(&format!("{lines}Content-Length: {}\r\n\r\n{body}", body.len()))
    }

    /// The header lines of its own, and the body.
    fn rest(&self, own: SocketAddr) -> (String, String) {
        match self {
            Job::Call(_) => ("Content-Type: application/sdp\r\n".to_owned(), session(own)),
            Job::Register(seconds) => (format!("Expires: {seconds}\r\n"), String::new()),
            Job::Options => ("Accept: application/sdp\r\n".to_owned(), String::new()),
            Job::Message(text) => ("Content-Type: text/plain\r\n".to_owned(), text.clone()),
            Job::Subscribe(event, seconds) => (format!("Event: {event}\r\nExpires: {seconds}\r\n"), String::new()),
        }
    }
}

/// The parameter for a Contact.
pub(super) fn transport(kind: TransportType) -> String {
    if kind == TransportType::Udp { String::new() } else { format!(";transport={}", kind.as_param()) }
}

/// A session description with one stream of audio.
pub(super) fn session(own: SocketAddr) -> String {
    let (family, ip) = (if own.is_ipv4() { "IP4" } else { "IP6" }, own.ip());
    format!(
        "v=0\r\no=- 1 1 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n\
         a=rtpmap:0 PCMU/8000\r\n"
    )
}

#[cfg(test)]
mod tests {
    use super::super::template::{Fill, message};
    use super::*;
    use stack::header::{h, p};

    #[test]
    fn requests_are_what_their_rfcs_say() {
        let own = "192.0.2.1:5080".parse().expect("an address");
        let fill = Fill {
            via: b"",
            id: 3,
            run: "run",
            cseq: 2,
            name: "bob",
            domain: "x",
            credentials: "Authorization: Digest a=1\r\n",
        };
        for (job, with_users) in [
            (Job::Call(Duration::ZERO), false),
            (Job::Register(60), true),
            (Job::Options, true),
            (Job::Message("hello".into()), true),
            (Job::Subscribe("presence".into(), 60), false),
        ] {
            let mut template = job.request("sip:target", TransportType::Tcp, own, with_users);
            let request = message(template.render(&fill)).expect("well formed");
            let from = request.header(h::FROM).expect("one");
            assert_eq!(from.uri.to_string(), if with_users { "sip:bob@x" } else { "sip:sipload@192.0.2.1:5080" });
            assert_eq!(from.param(p::TAG), Some("3-run"));
            let to = request.header(h::TO).expect("one").uri.to_string();
            assert_eq!(to, if let Job::Register(_) = job { "sip:bob@x" } else { "sip:target" });
            assert_eq!(request.header(h::CSEQ).expect("one").to_string(), format!("2 {}", job.method()));
            assert_eq!(request.header(h::AUTHORIZATIONS).count(), 1);
            let contact = request.first(h::CONTACTS).map(|contact| contact.to_string()).ok();
            let wanted = (job != Job::Message("hello".into())).then_some("<sip:bob@192.0.2.1:5080;transport=tcp>");
            assert_eq!(contact.as_deref(), wanted);
            let length = request.header(h::CONTENT_LENGTH).expect("one").to_string();
            assert_eq!(length, request.body().len().to_string());
        }
    }
}
