//! Messages that begin here: empty requests, and what follows from a request (response, CANCEL, ACK).

use super::{Body, Buffer, Message, StartKind, StartLine, reason_phrase};
use crate::header::{CSeq, HeaderId, Method, h, p};
use bytes::Bytes;
use smallvec::SmallVec;
use std::fmt::Display;

impl Message {
    fn empty() -> Message {
        let kind = StartKind::Status { code: 0, reason: (0, 0) };
        Message {
            raw: Bytes::new(),
            written: Vec::with_capacity(512),
            start: StartLine { buffer: Buffer::Written, start: 0, end: 0, kind },
            fields: SmallVec::new(),
            seen: 0,
            repeated: 0,
            body: Body::New(Bytes::new()),
            touched: true,
            names: super::Names::default(),
            fault: None,
            source: None,
            known: Default::default(),
        }
    }

    /// A request with a start line and nothing else.
    pub fn request(method: &Method<'_>, uri: &(impl Display + ?Sized)) -> Message {
        let mut msg = Message::empty();
        msg.write_request_line(method.as_str().as_bytes(), uri);
        msg
    }

    /// A response with a start line and nothing else. `None` as reason takes the phrase of RFC 3261 §21.
    pub fn status_line(code: u16, reason: Option<&str>) -> Message {
        let mut msg = Message::empty();
        msg.write_status_line(code, reason.unwrap_or_else(|| reason_phrase(code)));
        msg
    }

    /// The response to this request (RFC 3261 §8.2.6.2): Via, From, To, Call-ID and CSeq as they came; Record-Route
    /// for a provisional or successful response (§12.1.1); Timestamp for a 100. `to_tag` is added to a To that has
    /// none, except in a 100. The response goes back on the request's flow.
    pub fn make_response(&self, code: u16, reason: Option<&str>, to_tag: Option<&str>) -> Message {
        let mut response = Message::status_line(code, reason);
        let to_tag = to_tag.filter(|_| code != 100);
        // Where it was learnt that To has none, the tag goes in on the way.
        let on_the_way = self.knows_to_tag() == Some(false) && !self.is_repeated(HeaderId::TO);
        for field in &self.fields {
            let copy = match field.id {
                HeaderId::VIA | HeaderId::FROM | HeaderId::TO | HeaderId::CALL_ID | HeaderId::CSEQ => true,
                HeaderId::RECORD_ROUTE => (101..300).contains(&code),
                HeaderId::TIMESTAMP => code == 100,
                _ => false,
            };
            match to_tag.filter(|_| on_the_way && field.id == HeaderId::TO) {
                Some(tag) => response.copy_tagged(self, field, tag),
                None if copy => response.copy_line(self, field),
                None => {}
            }
        }
        if let Some(tag) = to_tag.filter(|_| !on_the_way && self.knows_to_tag() != Some(true)) {
            response.add_to_tag(tag);
        }
        response.copy_source(self.source);
        response
    }

    /// Adds a tag to a To header that has none.
    pub fn add_to_tag(&mut self, tag: &str) {
        if self.header(h::TO).is_ok_and(|to| !to.params.contains(p::TAG.name)) {
            // As it came: the response says what the request says, and the tag.
            let to = self.raw_value(HeaderId::TO).unwrap_or_default().to_vec();
            self.set_line(HeaderId::TO, |msg| {
                msg.written.extend_from_slice(&to);
                msg.write_tag(tag);
            });
        }
    }

    /// The CANCEL for this request as it was sent (RFC 3261 §9.1): same Request-URI, top Via, From, To, Call-ID,
    /// CSeq number and Route.
    pub fn make_cancel(&self) -> Message {
        self.follow_up(&Method::Cancel)
    }

    /// The ACK for a final response other than 2xx to this INVITE as it was sent (RFC 3261 §17.1.1.3): as CANCEL,
    /// with the To of the response.
    pub fn make_failure_ack(&self, response: &Message) -> Message {
        let mut ack = self.follow_up(&Method::Ack);
        if let Some(to) = response.field(HeaderId::TO) {
            ack.remove_id(HeaderId::TO);
            ack.copy_line(response, to);
        }
        ack
    }

    fn follow_up(&self, method: &Method<'_>) -> Message {
        let uri = String::from_utf8_lossy(self.request_uri_text());
        let mut msg = Message::request(method, &uri);
        if let Ok(via) = self.first(h::VIAS) {
            msg.push_front(h::VIAS, &via);
        }
        for field in &self.fields {
            if matches!(field.id, HeaderId::FROM | HeaderId::TO | HeaderId::CALL_ID | HeaderId::ROUTE) {
                msg.copy_line(self, field);
            }
        }
        let number = self.header(h::CSEQ).map_or(1, |cseq| cseq.number);
        msg.set(h::CSEQ, &CSeq { number, method: method.clone() });
        msg.set(h::MAX_FORWARDS, &70);
        msg
    }
}
