//! Events as lines: one JSON object each. What is not known is left out.

use super::event::{Bye, CUT, Call, Destination, Entry, Event};
use super::sessions::{Ended, Session, Sessions};
use crate::location::{Binding, By};
use rutil::Time;
use serde::Serialize;
use smallvec::{SmallVec, smallvec};
use stack::contents::event::reg_info::Event as RegistrationEvent;
use stack::header::Date;
use stack::transport::Flow;
use stack::uri::{Host, SipUri, Uri};
use std::borrow::Cow;
use std::fmt::Write;
use std::time::Duration;

/// A line. Which fields it has its event says.
#[derive(Default, Serialize)]
struct Line<'a> {
    event: &'static str,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    call_id: Option<&'a str>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    parties: Option<Parties<'a>>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    call: Option<CallFields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trunk: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answered_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    setup_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hung_up: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Cow<'a, str>>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    registration: Option<Registration<'a>>,
}

#[derive(Serialize)]
struct Parties<'a> {
    from: Cow<'a, str>,
    from_tag: &'a str,
    to: Cow<'a, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    to_tag: &'a str,
}

#[derive(Serialize)]
struct CallFields<'a> {
    invited_at: String,
    request_uri: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    diversion: Vec<Cow<'a, str>>,
}

#[derive(Serialize)]
struct Registration<'a> {
    aor: &'a str,
    contact: Cow<'a, str>,
    cause: &'static str,
    expires_seconds: u64,
    cseq: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
}

/// A time as RFC 3339 has it, in UTC with milliseconds; `epoch` is how long after 1970 time zero is.
pub(crate) fn timestamp(at: Time, epoch: Duration) -> String {
    let since = epoch + at.since(Time::ZERO);
    let Date { year, month, day, hour, minute, second } = Date::from_unix(since.as_secs());
    // Digit by digit: this stands some five times in the lines of a call.
    let mut text = *b"0000-00-00T00:00:00.000Z";
    digits(&mut text[..4], year);
    digits(&mut text[5..7], month.into());
    digits(&mut text[8..10], day.into());
    digits(&mut text[11..13], hour.into());
    digits(&mut text[14..16], minute.into());
    digits(&mut text[17..19], second.into());
    digits(&mut text[20..23], u16::try_from(since.subsec_millis()).unwrap_or(999));
    String::from_utf8_lossy(&text).into_owned()
}

/// Fills `places` with the last digits of a number.
fn digits(places: &mut [u8], mut number: u16) {
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
    let more = text.match_indices(':').nth(1).and_then(|(at, _)| text.get(at..));
    if more.is_none_or(|more| !more.contains('@') && !more.ends_with(CUT)) {
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

fn place(flow: &Flow) -> String {
    // A host writes an address faster than the standard library does.
    format!("{}:{}:{}", flow.kind.as_param(), Host::from(flow.peer.ip()), flow.peer.port())
}

/// Puts lines together, with what is known of the sessions that stand.
pub(super) struct Lines {
    pub(super) sessions: Sessions,
}

impl Lines {
    /// Writes the line of an event behind `text`; `epoch` is how long after 1970 time zero is.
    pub(super) fn write(&mut self, entry: Entry, epoch: Duration, text: &mut Vec<u8>) {
        let Entry { at, event } = entry;
        let before = text.len();
        let written = match &event {
            Event::Established { call, to_tag, code, destination } => {
                let mut line = of_call("session_established", call, destination.as_ref(), (at, epoch));
                line.parties = Some(parties(call, to_tag));
                line.code = Some(*code);
                line.setup_ms = Some(millis(at.since(call.at)));
                serde_json::to_writer(&mut *text, &line)
            }
            Event::Failed { call, code, cancelled, reason, destination } => {
                let name = match code {
                    _ if *cancelled => "session_cancelled",
                    300..=399 => "session_redirected",
                    _ => "session_failed",
                };
                let mut line = of_call(name, call, destination.as_ref(), (at, epoch));
                line.code = Some(*code);
                line.reason = reason.as_deref().map(shown);
                line.setup_ms = Some(millis(at.since(call.at)));
                serde_json::to_writer(&mut *text, &line)
            }
            Event::Ended { bye, code } => self.ended(bye, *code, epoch, text),
            Event::Registration { aor, event, binding } => {
                serde_json::to_writer(&mut *text, &registration((aor, *event, binding), (at, epoch)))
            }
        };
        match written {
            // One that says nothing new has no line.
            Ok(()) if text.len() == before => {}
            Ok(()) => text.push(b'\n'),
            Err(error) => {
                text.truncate(before);
                tracing::error!(%error, "an event cannot be written down");
            }
        }
        if let Event::Established { call, to_tag, destination, .. } = event {
            self.sessions.begin(Session { call, to_tag, answered: at, destination });
        }
    }

    fn ended(&mut self, bye: &Bye, code: u16, epoch: Duration, text: &mut Vec<u8>) -> serde_json::Result<()> {
        let ended = self.sessions.end(bye);
        let lines: SmallVec<[Line<'_>; 1]> = match &ended {
            Ended::Again => return Ok(()),
            Ended::Sessions(sessions, by_caller) => {
                sessions.iter().map(|session| of_end(session, *by_caller, (bye.at, epoch))).collect()
            }
            Ended::Unknown => smallvec![Line {
                event: "session_ended",
                time: timestamp(bye.at, epoch),
                call_id: Some(&bye.call_id),
                parties: Some(Parties {
                    from: shown(&bye.from),
                    from_tag: &bye.from_tag,
                    to: shown(&bye.to),
                    to_tag: &bye.to_tag,
                }),
                hung_up: Some("from"),
                ..Line::default()
            }],
        };
        for (number, mut line) in lines.into_iter().enumerate() {
            if number > 0 {
                text.push(b'\n');
            }
            line.code = Some(code);
            line.reason = bye.reason.as_deref().map(shown);
            serde_json::to_writer(&mut *text, &line)?;
        }
        Ok(())
    }
}

/// The end of a session that stood.
fn of_end(session: &Session, by_caller: bool, (at, epoch): (Time, Duration)) -> Line<'_> {
    let Session { call, to_tag, answered, destination } = session;
    Line {
        parties: Some(parties(call, to_tag)),
        answered_at: Some(timestamp(*answered, epoch)),
        setup_ms: Some(millis(answered.since(call.at))),
        duration_ms: Some(millis(at.since(*answered))),
        hung_up: Some(if by_caller { "caller" } else { "callee" }),
        ..of_call("session_ended", call, destination.as_ref(), (at, epoch))
    }
}

fn parties<'a>(call: &'a Call, to_tag: &'a str) -> Parties<'a> {
    Parties { from: shown(&call.from), from_tag: &call.from_tag, to: shown(&call.to), to_tag }
}

fn of_call<'a>(
    event: &'static str,
    call: &'a Call,
    destination: Option<&'a Destination>,
    (at, epoch): (Time, Duration),
) -> Line<'a> {
    let fields = CallFields {
        invited_at: timestamp(call.at, epoch),
        request_uri: shown(&call.request_uri),
        source: call.source.as_ref().map(place),
        user: call.user.as_deref(),
        peer: call.peer.as_deref(),
        diversion: call.diversions.iter().map(|one| shown(one)).collect(),
    };
    let trunk = destination.and_then(|to| to.trunk.as_deref());
    Line {
        event,
        time: timestamp(at, epoch),
        call_id: Some(&call.call_id),
        parties: Some(parties(call, "")),
        call: Some(fields),
        target: destination.map(|to| shown(&to.uri)),
        trunk: trunk.map(|trunk| &*trunk.record.name),
        ..Line::default()
    }
}

fn registration<'a>(
    (aor, event, binding): (&'a str, RegistrationEvent, &'a Binding),
    (at, epoch): (Time, Duration),
) -> Line<'a> {
    let name = match event {
        RegistrationEvent::Registered | RegistrationEvent::Created => "registration_added",
        RegistrationEvent::Refreshed | RegistrationEvent::Shortened => "registration_refreshed",
        RegistrationEvent::Expired => "registration_expired",
        _ => "registration_removed",
    };
    let source = match binding.by() {
        By::Flow(flow) => Some(place(flow)),
        _ => binding.neighbour().map(|from| format!("{}:{}", from.kind.as_param(), from.address)),
    };
    let path = if let By::Path(path) = binding.by() { Some(shown(path)) } else { None };
    Line {
        event: name,
        time: timestamp(at, epoch),
        call_id: Some(&binding.call_id),
        registration: Some(Registration {
            aor,
            contact: shown(binding.uri()),
            cause: event.as_str(),
            expires_seconds: binding.expires_at.since(at).as_secs(),
            cseq: binding.cseq,
            source,
            path,
            instance: binding.device(),
        }),
        ..Line::default()
    }
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
                let cut = short(&format!("{}{long}", " ".repeat(octets)));
                assert!(!shown(&cut).contains(&password[..2]), "{cut}");
            }
        }
    }
}
