//! Bodies of the messages of a call: which is a description of its session.

use crate::dum::Dum;
use crate::{parts, validate};
use bytes::Bytes;
use stack::contents::sdp::{Local, Sdp, Section};
use stack::header::h;
use stack::message::Message;
use std::net::{IpAddr, Ipv4Addr};

/// The body of a message, if it is a description of the session. What is not understood counts as nothing where the sender
/// says that it may (RFC 3261 §20.11).
///
/// # Errors
/// It cannot be read, or is of another type.
pub(super) fn description(msg: &Message) -> Result<Option<(Bytes, Box<Sdp>)>, ()> {
    if msg.body().is_empty() {
        return Ok(None);
    }
    match read(msg) {
        Err(()) if validate::may_be_ignored(msg) => Ok(None),
        read => read,
    }
}

fn read(msg: &Message) -> Result<Option<(Bytes, Box<Sdp>)>, ()> {
    if !msg.header(h::CONTENT_DISPOSITION).map_or(true, |disposition| disposition.is("session")) {
        return Err(());
    }
    let media = msg.header(h::CONTENT_TYPE).map_err(drop)?;
    let body = match parts::has_parts(&media) {
        // What of its parts must be understood was looked at before.
        true => match parts::session(&media, &msg.body_bytes()) {
            Some(body) => body,
            None => return Ok(None),
        },
        false if media.is("application", "sdp") => msg.body_bytes(),
        false => return Err(()),
    };
    // A copy: a share would keep the whole message.
    let body = Bytes::copy_from_slice(&body);
    let sdp = Sdp::parse(&body).map_err(drop)?;
    Ok(Some((body, Box::new(sdp))))
}

/// The answer to an offer that only says again what was agreed (RFC 4028 §7.4): our description as it stands. Where that was the
/// offer then, it becomes an answer: what the peer has rejected is rejected, nothing is sent or received that the peer does
/// not want, and who was to say which side sets up a connection has said it (RFC 4145 §4). `None` where more is to be chosen.
pub(super) fn confirm(local: Bytes, offer: &Sdp) -> Option<Bytes> {
    let agreed = Sdp::parse(&local).ok()?;
    let mut answer = agreed.clone();
    for (at, (own, offered)) in agreed.media().zip(offer.media()).enumerate() {
        if own.section().attributes().filter(|attribute| attribute.name == "crypto").count() > 1 {
            return None;
        }
        if offered.is_rejected() && !own.is_rejected() {
            answer.set_port(at, 0);
        }
        let direction = offered.direction().answer(own.direction());
        let open = setup(own.section(), agreed.session()) == Some("actpass");
        let section = answer.media_mut(at)?;
        if direction != own.direction() {
            section.set_direction(direction);
        }
        if open {
            let role = setup(offered.section(), offer.session());
            let role = if role == Some("active") { "passive" } else { "active" };
            section.remove_attributes("setup");
            section.add_attribute("setup", Some(role)).ok()?;
        }
    }
    if answer.print() == agreed.print() {
        return Some(local);
    }
    // Each stream has its own now.
    if answer.session().attribute("setup").is_some_and(|role| role.text() == Some("actpass")) {
        answer.session_mut().remove_attributes("setup");
    }
    answer.continue_from(&agreed).ok()?;
    Some(answer.print())
}

/// Which side sets up the connection of a stream.
fn setup<'a>(stream: &'a Section, session: &'a Section) -> Option<&'a str> {
    stream.attribute("setup").or_else(|| session.attribute("setup"))?.text()
}

/// An answer that takes none of the streams of an offer, behind what was agreed before.
pub(super) fn refusal(dum: &mut Dum<'_>, offer: &Bytes, agreed: Option<&Bytes>) -> Option<Bytes> {
    let transport = dum.stack.transports().iter().next();
    let address = transport.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |transport| transport.advertised.ip());
    let session_id = dum.rng().next_u64() >> 1;
    let here = Local { username: "-", session_id, version: 1, address, name: "" };
    let mut answer = Sdp::answer_to(&Sdp::parse(offer).ok()?, &here, &[]).ok()?;
    if let Some(agreed) = agreed.and_then(|agreed| Sdp::parse(agreed).ok()) {
        answer.continue_from(&agreed).ok()?;
    }
    Some(answer.print())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invite::tests::{App, SDP, asked, heard, within};
    use crate::invite::{Session, SessionError};
    use crate::testing::Bench;
    use stack::header::{Method, p};
    use stack::tu::TuEvent;

    /// RFC 3261 §20.11.
    #[test]
    fn a_body_that_may_be_ignored_is() {
        let optional = |msg: &mut Message, kind: &str| {
            msg.set_body(Some(kind), SDP);
            msg.append_line("Content-Disposition", "early-session;handling=optional");
        };
        let answer = Sdp::parse(&SDP.into()).unwrap();
        for kind in ["application/x-magic", "application/sdp"] {
            let mut bench = Bench::new(App::default());
            bench.ask(1, asked(|msg| optional(msg, kind)));
            assert_eq!(heard(&mut bench), ["0 new"]);
            // There is no offer: it is ours.
            let call = bench.dum.application().calls[0].as_server();
            assert_eq!(bench.with(|_, dum| call.provide_answer(dum, &answer)), Err(SessionError::NotNow));
            bench.with(|_, dum| call.provide_offer(dum, &answer).and_then(|()| call.accept(dum))).unwrap();
            let (_, ok) = bench.response();
            assert_eq!(ok.status(), Some(200));
            let tag = ok.header(h::TO).unwrap().param(p::TAG).unwrap().to_owned();
            let mut ack = within(&Method::Ack, 1, &tag);
            ack.set_body(Some("application/sdp"), SDP);
            bench.event(TuEvent::Ack { msg: ack.into() });
            // An UPDATE with such a body only refreshes.
            let mut update = within(&Method::Update, 2, &tag);
            optional(&mut update, kind);
            bench.ask(2, update);
            assert_eq!(bench.response().1.status(), Some(200));
        }
        // Among other parts it is found, and is an offer.
        let mut bench = Bench::new(App::default());
        let parts = format!("--b\r\nContent-Type: application/sdp\r\n\r\n{SDP}\r\n--b--\r\n");
        bench.ask(1, asked(|msg| msg.set_body(Some("multipart/mixed;boundary=b"), parts)));
        let call = bench.dum.application().calls[0].as_server();
        assert_eq!(bench.with(|_, dum| call.provide_answer(dum, &answer)), Ok(()));
        // Parts without one are no offer.
        let mut bench = Bench::new(App::default());
        let parts = "--b\r\nContent-Type: application/isup\r\nContent-Disposition: signal;handling=optional\r\n\r\nx\r\n\
                     --b--\r\n";
        bench.ask(1, asked(|msg| msg.set_body(Some("multipart/mixed;boundary=b"), parts)));
        let call = bench.dum.application().calls[0].as_server();
        assert_eq!(bench.with(|_, dum| call.provide_offer(dum, &answer)), Ok(()));
        // Who insists is refused.
        let mut bench = Bench::new(App::default());
        bench.ask(1, asked(|msg| msg.append_line("Content-Disposition", "early-session")));
        assert_eq!((bench.response().1.status(), heard(&mut bench).len()), (Some(400), 0));
    }
}
