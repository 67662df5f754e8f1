//! Bodies of event packages in a few lines for people.

use super::escape;
use stack::contents::event::dialog_info::Participant;
use stack::contents::event::{DialogInfo, DocumentError, EventDocument, MessageSummary, Pidf, RegInfo};

/// The bodies that a package's NOTIFYs have; of one that is not known here, any.
pub(super) fn types_of(event: &str) -> Vec<(&'static str, &'static str)> {
    match event {
        "presence" => vec![Pidf::MEDIA_TYPE],
        "message-summary" => vec![MessageSummary::MEDIA_TYPE],
        "dialog" => vec![DialogInfo::MEDIA_TYPE],
        "reg" => vec![RegInfo::MEDIA_TYPE],
        _ => vec![("*", "*")],
    }
}

/// What a body says, in lines without anything that a terminal obeys. One that is not known, or malformed, is shown as it
/// is.
pub(super) fn describe(media: Option<&str>, body: &[u8]) -> Vec<String> {
    let Some(media) = media.filter(|_| !body.is_empty()) else { return Vec::new() };
    let name = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is = |(main, sub): (&str, &str)| name == format!("{main}/{sub}");
    let lines = if is(Pidf::MEDIA_TYPE) {
        presence(body)
    } else if is(MessageSummary::MEDIA_TYPE) {
        summary(body)
    } else if is(DialogInfo::MEDIA_TYPE) {
        dialogs(body)
    } else if is(RegInfo::MEDIA_TYPE) {
        registrations(body)
    } else {
        return escape::lines(body).lines().map(str::to_owned).collect();
    };
    match lines {
        Ok(lines) => lines.iter().map(|line| escape::line(line).into_owned()).collect(),
        Err(error) => {
            let whole = escape::lines(body);
            std::iter::once(format!("malformed: {error}")).chain(whole.lines().map(str::to_owned)).collect()
        }
    }
}

fn presence(body: &[u8]) -> Result<Vec<String>, DocumentError> {
    let pidf = Pidf::parse(body)?;
    let mut lines = Vec::new();
    for tuple in &pidf.tuples {
        let basic = tuple.basic.map_or("unknown", |basic| basic.as_str());
        let contact = tuple.contact.as_ref().map_or_else(String::new, |contact| format!(", {}", contact.uri));
        lines.push(format!("{} {}: {basic}{contact}", pidf.entity, tuple.id));
        lines.extend(tuple.notes.iter().map(|note| format!("  {}", note.text)));
    }
    lines.extend(pidf.notes.iter().map(|note| note.text.clone()));
    Ok(lines)
}

fn summary(body: &[u8]) -> Result<Vec<String>, DocumentError> {
    let summary = MessageSummary::parse(body)?;
    let account = summary.account.as_ref().map_or_else(String::new, |account| format!(" at {account}"));
    let mut lines = vec![format!("messages waiting: {}{account}", if summary.waiting { "yes" } else { "no" })];
    for (class, count) in &summary.classes {
        let urgent = count.urgent.map_or_else(String::new, |(new, old)| format!(", urgent {new} new, {old} old"));
        lines.push(format!("{class}: {} new, {} old{urgent}", count.all.0, count.all.1));
    }
    Ok(lines)
}

fn dialogs(body: &[u8]) -> Result<Vec<String>, DocumentError> {
    let info = DialogInfo::parse(body)?;
    let mut lines = vec![format!("{}, {}, version {}", info.entity, info.state, info.version)];
    for dialog in &info.dialogs {
        let who = |side: &Option<Participant>| side.as_ref().and_then(|side| side.identity.clone());
        let direction = dialog.direction.map_or_else(String::new, |direction| format!(", {direction}"));
        let remote = who(&dialog.remote).map_or_else(String::new, |remote| format!(", with {remote}"));
        let event = dialog.event.map_or_else(String::new, |event| format!(", {event}"));
        lines.push(format!("dialog {}: {}{direction}{remote}{event}", dialog.id, dialog.state));
    }
    Ok(lines)
}

fn registrations(body: &[u8]) -> Result<Vec<String>, DocumentError> {
    let info = RegInfo::parse(body)?;
    let mut lines = vec![format!("{}, version {}", info.state, info.version)];
    for registration in &info.registrations {
        lines.push(format!("{}: {}", registration.aor, registration.state));
        for contact in &registration.contacts {
            let state = if contact.active { "active" } else { "terminated" };
            let expires = contact.expires.map_or_else(String::new, |seconds| format!(", {seconds} s left"));
            lines.push(format!("  {}: {state}, {}{expires}", contact.uri, contact.event));
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stack::contents::event::message_summary::MessageCount;
    use stack::contents::event::pidf::{Basic, Tuple};
    use stack::contents::event::reg_info::{Contact, Event, Registration, RegistrationState};
    use stack::contents::event::{DocumentState, dialog_info};

    fn shown<D: EventDocument>(document: &D) -> Vec<String> {
        let (main, sub) = D::MEDIA_TYPE;
        describe(Some(&format!("{main}/{sub};charset=\"utf-8\"")), &document.print())
    }

    #[test]
    fn documents_are_readable() {
        let tuples = vec![Tuple::new("desk", Basic::Open)];
        let pidf = Pidf { entity: "sip:a@b".into(), tuples, ..Pidf::default() };
        assert_eq!(shown(&pidf), ["sip:a@b desk: open"]);
        let count = MessageCount { all: (2, 8), urgent: Some((0, 2)) };
        let classes = vec![("Voice-Message".to_owned(), count)];
        let summary = MessageSummary { waiting: true, classes, ..MessageSummary::default() };
        assert_eq!(shown(&summary), ["messages waiting: yes", "Voice-Message: 2 new, 8 old, urgent 0 new, 2 old"]);
        let dialogs = vec![dialog_info::DialogElement::new("d1", dialog_info::State::Early)];
        let info = DialogInfo { version: 3, state: DocumentState::Partial, entity: "sip:a@b".into(), dialogs };
        assert_eq!(shown(&info), ["sip:a@b, partial, version 3", "dialog d1: early"]);
        let contacts = vec![Contact { expires: Some(60), ..Contact::new("c", true, Event::Registered, "sip:a@c") }];
        let (aor, id, extensions) = ("sip:a@b".to_owned(), "r".to_owned(), Vec::new());
        let registrations = vec![Registration { aor, id, state: RegistrationState::Active, contacts, extensions }];
        let info = RegInfo { version: 0, state: DocumentState::Full, registrations };
        assert_eq!(shown(&info), ["full, version 0", "sip:a@b: active", "  sip:a@c: active, registered, 60 s left"]);
    }

    #[test]
    fn what_is_no_document_is_shown_and_safe() {
        assert_eq!(describe(Some("text/plain"), b"hi\r\n\x1b[2Jyou"), ["hi", "\\u{1b}[2Jyou"]);
        assert_eq!(describe(None, b"x"), [""; 0]);
        let broken = describe(Some("application/pidf+xml"), b"<pre\x1bsence");
        assert!(broken[0].starts_with("malformed: ") && broken[1] == "<pre\\u{1b}sence", "{broken:?}");
    }
}
