//! Events as lines: one JSON object each. What is not known is left out.

use super::event::{Bye, CUT, Call, Destination, Entry, Event};
use super::object::Object;
use super::sessions::{Ended, Sessions};
use crate::location::{Binding, By};
use rutil::Time;
use stack::contents::event::reg_info::Event as RegistrationEvent;
use stack::header::Date;
use stack::uri::{SipUri, Uri};
use std::borrow::Cow;
use std::fmt::Write;
use std::time::Duration;

/// A time as RFC 3339 has it, in UTC with milliseconds; `epoch` is how long after 1970 time zero is.
pub(crate) fn timestamp(at: Time, epoch: Duration) -> String {
    String::from_utf8_lossy(&Stamps::default().stamp(at, epoch)).into_owned()
}

/// Writes times as RFC 3339 has them, in UTC with milliseconds: the lines of a call have five, most of the same day.
#[derive(Default)]
pub(super) struct Stamps {
    /// The day after 1970 that was written last, and how.
    day: Option<(u64, [u8; 24])>,
}

impl Stamps {
    fn stamp(&mut self, at: Time, epoch: Duration) -> [u8; 24] {
        let since = epoch + at.since(Time::ZERO);
        let (day, second) = (since.as_secs() / 86_400, (since.as_secs() % 86_400) as u32);
        let mut text = match self.day {
            Some((last, text)) if last == day => text,
            _ => {
                let Date { year, month, day: of_month, .. } = Date::from_unix(since.as_secs());
                let mut text = *b"0000-00-00T00:00:00.000Z";
                digits(&mut text[..4], year.into());
                digits(&mut text[5..7], month.into());
                digits(&mut text[8..10], of_month.into());
                self.day = Some((day, text));
                text
            }
        };
        digits(&mut text[11..13], second / 3600);
        digits(&mut text[14..16], second / 60 % 60);
        digits(&mut text[17..19], second % 60);
        digits(&mut text[20..23], since.subsec_millis());
        text
    }
}

/// Fills `places` with the last digits of a number.
#[inline]
fn digits(places: &mut [u8], mut number: u32) {
    for place in places.iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A text with URIs, each alone or in angle brackets, without the passwords that they may have.
fn shown(text: &str) -> Cow<'_, str> {
    // The scheme has a colon as well, and a password one before it and an `@` behind it.
    let more = memchr::memchr_iter(b':', text.as_bytes()).nth(1).and_then(|at| text.get(at..));
    if more.is_none_or(|more| memchr::memchr(b'@', more.as_bytes()).is_none() && !more.ends_with(CUT)) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        let end = rest.find(['<', '>']).unwrap_or(rest.len());
        let (piece, behind) = rest.split_at(end);
        write_piece(piece, behind, &mut shown);
        let Some(bracket) = behind.chars().next() else { break };
        shown.push(bracket);
        rest = &behind[1..];
    }
    if shown == text { text.into() } else { shown.into() }
}

/// Writes what stands between brackets. What is no URI that can be read may be part of one with a password, which is before
/// an `@` here or `behind`, or where the text is cut: nothing behind the user is told.
fn write_piece(piece: &str, behind: &str, shown: &mut String) {
    match Uri::parse(piece) {
        Ok(Uri::Sip(uri)) if uri.password.is_some() => {
            // Writing to a text does not fail.
            let _ = write!(shown, "{}", SipUri { password: None, ..uri });
        }
        Ok(Uri::Sip(_) | Uri::Tel(_)) => shown.push_str(piece),
        _ => {
            let second = piece.match_indices(':').nth(1).map(|(at, _)| piece.split_at(at));
            let suspect = |text: &str| text.contains('@') || text.ends_with(CUT);
            match second {
                Some((user, more)) if suspect(more) || suspect(behind) => {
                    shown.push_str(user);
                    shown.push_str(":…");
                }
                _ => shown.push_str(piece),
            }
        }
    }
}

/// Puts lines together, with what is known of the sessions that stand.
pub(super) struct Lines {
    pub(super) sessions: Sessions,
    pub(super) stamps: Stamps,
}

impl Lines {
    /// Writes the line of an event behind `text`, or those of several sessions that end with it; one that says nothing new has
    /// none. `epoch` is how long after 1970 time zero is.
    pub(super) fn write(&mut self, entry: Entry, epoch: Duration, text: &mut Vec<u8>) {
        let Entry { at, event } = entry;
        match event {
            Event::Established { call, to_tag, code, destination } => {
                let mut line = self.begin("session_established", (at, epoch), text);
                let start = line.here();
                self.call((&call, &to_tag), destination.as_ref(), epoch, &mut line);
                // The line of its end says all of this again.
                let told = line.since(start).into();
                line.number("setup_ms", millis(at.since(call.at)));
                line.number("code", code.into());
                line.end();
                self.sessions.begin(&call, &to_tag, (at, told));
            }
            Event::Failed { call, code, cancelled, reason, destination } => {
                let name = match code {
                    _ if cancelled => "session_cancelled",
                    300..=399 => "session_redirected",
                    _ => "session_failed",
                };
                let mut line = self.begin(name, (at, epoch), text);
                self.call((&call, ""), destination.as_ref(), epoch, &mut line);
                line.number("setup_ms", millis(at.since(call.at)));
                end(line, code, reason.as_deref());
            }
            Event::Ended { bye, code } => self.ended(&bye, code, epoch, text),
            Event::Registration { aor, event, binding } => {
                self.registration((&aor, event, &binding), (at, epoch), text);
            }
        }
    }

    fn begin<'t>(&mut self, event: &'static str, (at, epoch): (Time, Duration), text: &'t mut Vec<u8>) -> Object<'t> {
        let mut line = Object::new("event", event, text);
        line.time("time", &self.stamps.stamp(at, epoch));
        line
    }

    /// What a line says about a call.
    fn call(
        &mut self,
        (call, to_tag): (&Call, &str),
        destination: Option<&Destination>,
        epoch: Duration,
        line: &mut Object<'_>,
    ) {
        line.text("call_id", call.call_id());
        parties(line, call.from(), (call.to(), to_tag));
        line.time("invited_at", &self.stamps.stamp(call.at, epoch));
        line.text("request_uri", &shown(call.request_uri()));
        call.source.iter().for_each(|source| line.place("source", source.kind, source.peer));
        line.some("user", call.user.as_deref());
        line.some("peer", call.peer.as_deref());
        line.list("diversion", call.diversions.iter().map(|one| shown(one)));
        if let Some(destination) = destination {
            line.text("target", &shown(&destination.uri));
            line.some("trunk", destination.trunk.as_ref().map(|trunk| &*trunk.record.name));
        }
    }

    fn ended(&mut self, bye: &Bye, code: u16, epoch: Duration, text: &mut Vec<u8>) {
        match self.sessions.end(bye) {
            Ended::Again => {}
            Ended::Sessions(sessions, by_caller) => {
                for session in &sessions {
                    let mut line = self.begin("session_ended", (bye.at, epoch), text);
                    line.fields(&session.told);
                    line.time("answered_at", &self.stamps.stamp(session.answered, epoch));
                    line.number("setup_ms", millis(session.answered.since(session.invited)));
                    line.number("duration_ms", millis(bye.at.since(session.answered)));
                    line.text("hung_up", if by_caller { "caller" } else { "callee" });
                    end(line, code, bye.reason.as_deref());
                }
            }
            Ended::Unknown => {
                let mut line = self.begin("session_ended", (bye.at, epoch), text);
                line.text("call_id", bye.call_id());
                parties(&mut line, bye.from(), bye.to());
                line.text("hung_up", "from");
                end(line, code, bye.reason.as_deref());
            }
        }
    }

    fn registration(
        &mut self,
        (aor, event, binding): (&str, RegistrationEvent, &Binding),
        (at, epoch): (Time, Duration),
        text: &mut Vec<u8>,
    ) {
        let name = match event {
            RegistrationEvent::Registered | RegistrationEvent::Created => "registration_added",
            RegistrationEvent::Refreshed | RegistrationEvent::Shortened => "registration_refreshed",
            RegistrationEvent::Expired => "registration_expired",
            _ => "registration_removed",
        };
        let mut line = self.begin(name, (at, epoch), text);
        line.text("call_id", &binding.call_id);
        line.text("aor", aor);
        line.text("contact", &shown(binding.uri()));
        line.text("cause", event.as_str());
        line.number("expires_seconds", binding.expires_at.since(at).as_secs());
        line.number("cseq", binding.cseq.into());
        match binding.by() {
            By::Flow(flow) => line.place("source", flow.kind, flow.peer),
            _ => binding.neighbour().iter().for_each(|from| line.place("source", from.kind, from.address)),
        }
        if let By::Path(path) = binding.by() {
            line.text("path", &shown(path));
        }
        line.some("instance", binding.device());
        line.end();
    }
}

/// What stands at the end of most lines.
fn end(mut line: Object<'_>, code: u16, reason: Option<&str>) {
    line.number("code", code.into());
    line.some("reason", reason.map(shown).as_deref());
    line.end();
}

fn parties(line: &mut Object<'_>, (from, from_tag): (&str, &str), (to, to_tag): (&str, &str)) {
    line.text("from", &shown(from));
    line.text("from_tag", from_tag);
    line.text("to", &shown(to));
    line.some("to_tag", Some(to_tag).filter(|tag| !tag.is_empty()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounting::event::short;

    #[test]
    fn times_are_those_of_rfc_3339() {
        let at = |nanos, epoch| timestamp(Time::from_nanos(nanos), Duration::from_secs(epoch));
        assert_eq!(at(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(1_999_999, 1_795_314_725), "2026-11-22T02:32:05.001Z");
    }

    #[test]
    fn no_password_is_told() {
        for (text, expected) in [
            ("sip:alice@example.com", "sip:alice@example.com"),
            ("sip:alice:s3cret@example.com:5060;x=1", "sip:alice@example.com:5060;x=1"),
            ("sip:[2001:db8::1]:5060", "sip:[2001:db8::1]:5060"),
            ("\"A\" <sip:a:s3cret@h>;reason=busy", "\"A\" <sip:a@h>;reason=busy"),
            ("\"a@b\" <sip:u:s3cret@h>;reason=busy", "\"a@b\" <sip:u@h>;reason=busy"),
            ("\"a<b\" <sip:u:s3cret@h>, <sip:v:s3cret@h;lr>", "\"a<b\" <sip:u@h>, <sip:v@h;lr>"),
            ("<sip:h:5060;lr>,<sip:token:s3cret@h:5060;lr>", "<sip:h:5060;lr>,<sip:token@h:5060;lr>"),
            ("SIP;cause=302;text=\"to sip:u:s3cret@h\"", "SIP;cause=302;text=\"to sip:u:…"),
            ("SIP;cause=486;text=\"a: b: c\"", "SIP;cause=486;text=\"a: b: c\""),
            ("sip:a@h, sip:u:s3cret@h", "sip:a@h, sip:…"),
            ("http://u:s3cret@h", "http://u:…"),
            ("sip:a:s3cret@h^", "sip:a:…"),
            ("tel:+4930123", "tel:+4930123"),
        ] {
            assert_eq!(shown(text), expected);
        }
        // What is cut short may end before its @.
        for password in ["12345", "s3cret"] {
            let long = format!("\"{}\" <sip:u:{password}@h>", "x".repeat(500));
            for octets in 0..long.len() - 505 {
                let long = format!("{}{long}", " ".repeat(octets));
                let cut = short(&long);
                assert!(!shown(&cut).contains(&password[..2]), "{cut}");
            }
        }
    }
}
