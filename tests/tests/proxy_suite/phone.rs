//! A phone of the suite: it sends what the script says, and remembers what it needs for that.

use bytes::Bytes;
use rutil::Time;
use stack::header::{HeaderId, h};
use stack::message::Message;
use stack::transport::TransportType;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// A message that arrived, and the connection that it came by.
pub(crate) struct Arrived {
    pub(crate) msg: Message,
    pub(crate) connection: u64,
    pub(crate) at: Time,
}

/// One phone, and its part of the one call that it has at a time.
pub(crate) struct Phone {
    pub(crate) name: char,
    pub(crate) address: SocketAddr,
    pub(crate) kind: TransportType,
    /// Of the connection that it opened; 0 over UDP.
    pub(crate) connection: u64,
    pub(crate) inbox: VecDeque<Arrived>,
    /// The request that it sent last, and the last INVITE among them.
    pub(crate) sent: Option<Message>,
    pub(crate) invite: Option<Message>,
    /// What it answered last.
    pub(crate) answer: Option<(Bytes, u64)>,
    /// The request that it was sent last, and the last INVITE among them.
    pub(crate) asked: Option<(Message, u64)>,
    pub(crate) invited: Option<(Message, u64)>,
    /// The final response to its INVITE.
    pub(crate) answered: Option<Message>,
    /// A provisional one.
    pub(crate) early: Option<Message>,
    /// It acknowledges no failure.
    pub(crate) silent: bool,
    pub(crate) branch: u32,
    pub(crate) cseq: u32,
    pub(crate) call: u32,
}

/// The domain whose users the phones are.
pub(crate) const DOMAIN: &str = "example.com";

impl Phone {
    pub(crate) fn new(name: char, kind: TransportType) -> Self {
        let last = 64 + name as u8 - b'A';
        let port = if kind.is_secure() { 5061 } else { 5060 };
        Phone {
            name,
            address: SocketAddr::from(([192, 0, 2, last], port)),
            kind,
            connection: if kind == TransportType::Udp { 0 } else { u64::from(last) },
            inbox: VecDeque::new(),
            sent: None,
            invite: None,
            answer: None,
            asked: None,
            invited: None,
            answered: None,
            early: None,
            silent: false,
            branch: 0,
            cseq: 0,
            call: 0,
        }
    }

    /// Its address-of-record.
    pub(crate) fn aor(&self) -> String {
        aor(self.name)
    }

    pub(crate) fn contact(&self) -> String {
        let (scheme, transport) = match self.kind {
            TransportType::Tcp => ("sip", ";transport=tcp"),
            TransportType::Tls => ("sips", ""),
            _ => ("sip", ""),
        };
        format!("{scheme}:{}@{}{transport}", self.name, self.address)
    }

    fn via(&mut self) -> String {
        self.branch += 1;
        format!("SIP/2.0/{} {};branch=z9hG4bK{}{}", self.kind.as_str(), self.address, self.name, self.branch)
    }

    fn tag(&self) -> String {
        format!("{}{}", self.name, self.call)
    }

    /// A request outside of a dialog.
    pub(crate) fn initial(&mut self, method: &str, uri: &str, to: &str) -> Message {
        self.call += 1;
        self.cseq += 1;
        let mut msg = self.start(method, uri);
        msg.append_line("From", &format!("<{}>;tag={}", self.aor(), self.tag()));
        msg.append_line("To", &format!("<{to}>"));
        msg.append_line("Call-ID", &format!("{}{}@{}", self.name, self.call, self.address.ip()));
        msg.append_line("CSeq", &format!("{} {method}", self.cseq));
        if matches!(method, "INVITE" | "SUBSCRIBE" | "REFER") {
            msg.append_line("Contact", &format!("<{}>", self.contact()));
        }
        self.sent = Some(msg.clone());
        if method == "INVITE" {
            self.invite = Some(msg.clone());
        }
        msg
    }

    fn start(&mut self, method: &str, uri: &str) -> Message {
        let mut msg = Message::request(&stack::header::Method::from_token(method), uri);
        msg.append_line("Via", &self.via());
        msg.append_line("Max-Forwards", "70");
        msg
    }

    /// The ACK for a failure of its INVITE (RFC 3261 §17.1.1.3).
    pub(crate) fn acknowledge(&self, failure: &Message) -> Message {
        self.follow_up("ACK", failure)
    }

    /// The ACK for the final response to its INVITE, or the CANCEL of it.
    pub(crate) fn about_invite(&mut self, method: &str) -> Message {
        match (method, self.answered.clone()) {
            ("ACK", Some(answer)) if answer.status().is_some_and(|code| code < 300) => self.in_dialog(method),
            ("ACK", Some(answer)) => self.follow_up(method, &answer),
            _ => self.follow_up(method, &self.invite.clone().expect("an INVITE was sent")),
        }
    }

    /// A request with the branch of its INVITE, and the To of another message.
    fn follow_up(&self, method: &str, to: &Message) -> Message {
        let invite = self.invite.as_ref().expect("an INVITE was sent");
        let line = |msg: &Message, name: &str| {
            String::from_utf8_lossy(msg.raw_values(name).next().expect("a header")).into_owned()
        };
        let uri = String::from_utf8_lossy(invite.request_uri_text()).into_owned();
        let mut msg = Message::request(&stack::header::Method::from_token(method), uri.as_str());
        for name in ["Via", "Max-Forwards", "From"] {
            msg.append_line(name, &line(invite, name));
        }
        msg.append_line("To", &line(to, "To"));
        msg.append_line("Call-ID", &line(invite, "Call-ID"));
        msg.append_line("CSeq", &line(invite, "CSeq").replace("INVITE", method));
        msg
    }

    /// A request within the dialog that its INVITE, or the one that it answered, has made.
    pub(crate) fn in_dialog(&mut self, method: &str) -> Message {
        let answer = self.answered.as_ref().or(self.early.as_ref());
        let caller = answer.is_some();
        let peer = match caller {
            true => answer.cloned(),
            false => self.invited.as_ref().map(|(msg, _)| msg.clone()),
        };
        let peer = peer.expect("a dialog");
        let text = |id: HeaderId| peer.fields().filter(move |(found, _)| *found == id).map(|(_, value)| value);
        let one = |id| String::from_utf8(text(id).next().expect("a header").to_vec()).unwrap();
        let target = peer.header(h::CONTACTS).flatten().next().and_then(|contact| match contact {
            stack::header::Contact::Addr(addr) => Some(addr.uri.to_string()),
            _ => None,
        });
        let mut msg = self.start(method, &target.expect("a Contact"));
        let mut routes: Vec<String> = peer.header(h::RECORD_ROUTES).texts().flatten().map(str::to_owned).collect();
        if caller {
            routes.reverse();
        }
        routes.iter().for_each(|route| msg.append_line("Route", route));
        let (own, other) = match caller {
            true => (one(HeaderId::FROM), one(HeaderId::TO)),
            false => (format!("{};tag={}", one(HeaderId::TO), self.own_tag()), one(HeaderId::FROM)),
        };
        msg.append_line("From", &own);
        msg.append_line("To", &other);
        msg.append_line("Call-ID", &one(HeaderId::CALL_ID));
        let number = match method {
            "ACK" => one(HeaderId::CSEQ).split(' ').next().unwrap().parse().unwrap(),
            _ => {
                self.cseq += 1;
                self.cseq
            }
        };
        msg.append_line("CSeq", &format!("{number} {method}"));
        self.sent = Some(msg.clone());
        msg
    }

    /// The tag that it puts into To.
    fn own_tag(&self) -> String {
        format!("to{}", self.name)
    }

    /// Its answer to what it was asked last, or to the last INVITE.
    pub(crate) fn respond(&mut self, code: u16, to_invite: bool) -> (Message, u64) {
        let asked = if to_invite { &self.invited } else { &self.asked };
        let (request, connection) = asked.as_ref().expect("a request came");
        let tag = (code > 100).then(|| self.own_tag());
        let mut msg = request.make_response(code, None, tag.as_deref());
        if (101..300).contains(&code) {
            msg.append_line("Contact", &format!("<{}>", self.contact()));
        }
        if code / 100 == 3 {
            msg.append_line("Contact", &format!("<{}>", aor('D')));
        }
        (msg, *connection)
    }
}

/// The address-of-record of a phone.
pub(crate) fn aor(name: char) -> String {
    format!("sip:{name}@{DOMAIN}")
}
