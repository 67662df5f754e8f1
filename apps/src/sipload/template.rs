//! Requests as templates: text that is the same in all of them, and the few places that differ.

use bytes::Bytes;
use stack::message::Message;

/// A piece of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// The same in all requests.
    Text(Vec<u8>),
    /// Our Via, where it is written here.
    Via,
    /// What names the session: [`Fill::id`] and the run's token.
    Id,
    /// The number for CSeq.
    Cseq,
    /// The user's name.
    Name,
    /// The user's name and domain.
    User,
    /// What answers a challenge.
    Credentials,
}

/// A request with places to be filled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Template {
    pieces: Vec<Piece>,
    /// The octets of a request when it was rendered last: the next has about as many.
    size: usize,
}

/// What goes into the places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fill<'a> {
    /// The line of our Via, or nothing: the stack adds it.
    pub(super) via: &'a [u8],
    /// The session's number.
    pub(super) id: u64,
    /// The run's token, so that two runs have no Call-ID in common.
    pub(super) run: &'a str,
    /// The number for CSeq.
    pub(super) cseq: u32,
    /// The user's name,
    pub(super) name: &'a str,
    /// and domain.
    pub(super) domain: &'a str,
    /// Header lines that answer a challenge, or nothing.
    pub(super) credentials: &'a str,
}

impl Template {
    /// Appends text that is always the same.
    pub(super) fn text(mut self, text: &str) -> Self {
        match self.pieces.last_mut() {
            Some(Piece::Text(before)) => before.extend_from_slice(text.as_bytes()),
            _ => self.pieces.push(Piece::Text(text.as_bytes().to_vec())),
        }
        self
    }

    /// Appends our Via, where it is written here.
    pub(super) fn via(self) -> Self {
        self.piece(Piece::Via)
    }

    /// Appends the name of the session: a token of its number and the run's, for tags and Call-IDs.
    pub(super) fn id(self) -> Self {
        self.piece(Piece::Id)
    }

    /// Appends the number for CSeq.
    pub(super) fn cseq(self) -> Self {
        self.piece(Piece::Cseq)
    }

    /// Appends the user's name.
    pub(super) fn name(self) -> Self {
        self.piece(Piece::Name)
    }

    /// Appends `name@domain` of the user.
    pub(super) fn user(self) -> Self {
        self.piece(Piece::User)
    }

    /// Appends the header lines that answer a challenge, where there was one.
    pub(super) fn credentials(self) -> Self {
        self.piece(Piece::Credentials)
    }

    fn piece(mut self, piece: Piece) -> Self {
        self.pieces.push(piece);
        self
    }

    /// The octets of the request.
    pub(super) fn render(&mut self, fill: &Fill<'_>) -> Bytes {
        let mut out = Vec::with_capacity(self.size);
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Via => out.extend_from_slice(fill.via),
                Piece::Id => write_id(&mut out, fill),
                Piece::Cseq => write_number(&mut out, fill.cseq.into()),
                Piece::Name => out.extend_from_slice(fill.name.as_bytes()),
                Piece::User => {
                    out.extend_from_slice(fill.name.as_bytes());
                    out.push(b'@');
                    out.extend_from_slice(fill.domain.as_bytes());
                }
                Piece::Credentials => out.extend_from_slice(fill.credentials.as_bytes()),
            }
        }
        // The next one may have a digit more.
        self.size = self.size.max(out.len() + 8);
        Bytes::from(out)
    }
}

/// A message of octets that were made here.
pub(super) fn message(octets: Bytes) -> Option<Box<Message>> {
    let message = Message::parse(octets).ok()?;
    message.fault().is_none().then(|| Box::new(message))
}

fn write_id(out: &mut Vec<u8>, fill: &Fill<'_>) {
    write_number(out, fill.id);
    out.push(b'-');
    out.extend_from_slice(fill.run.as_bytes());
}

/// A number in decimal.
pub(super) fn write_number(out: &mut Vec<u8>, mut number: u64) {
    let begin = out.len();
    loop {
        out.push(b'0' + (number % 10) as u8);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out[begin..].reverse();
}

#[cfg(test)]
mod tests {
    use super::*;
    use stack::header::h;

    fn fill(id: u64) -> Fill<'static> {
        Fill { via: b"Via: SIP/2.0/UDP x\r\n", id, run: "run", cseq: 2, name: "u", domain: "d", credentials: "" }
    }

    #[test]
    fn places_are_filled_and_the_rest_stands() {
        let mut template = Template::default()
            .text("OPTIONS sip:a@b SIP/2.0\r\n")
            .via()
            .text("From: <sip:x@y>;tag=")
            .id()
            .text("\r\nTo: <sip:a@b>\r\n")
            .text("Call-ID: ")
            .id()
            .text("\r\nCSeq: ")
            .cseq()
            .text(" OPTIONS\r\n\r\n");
        for id in [7, 12345] {
            let message = message(template.render(&fill(id))).expect("it is well formed");
            assert_eq!(message.header(h::CALL_ID).expect("one").to_string(), format!("{id}-run"));
            assert_eq!(message.header(h::CSEQ).expect("one").to_string(), "2 OPTIONS");
            assert!(
                message
                    .to_bytes()
                    .starts_with(b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP x\r\nFrom: <sip:x@y>;tag=")
            );
        }
    }

    #[test]
    fn what_is_no_message_is_none() {
        assert!(message(Template::default().text("nothing at all").render(&fill(1))).is_none());
    }

    #[test]
    fn numbers_are_written_as_everybody_does() {
        for number in [0, 7, 10, 99, 100, 1_234_567_890, u64::MAX] {
            let mut out = b"x".to_vec();
            write_number(&mut out, number);
            assert_eq!(out, format!("x{number}").into_bytes());
        }
    }
}
