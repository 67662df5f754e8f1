//! A presence user agent and its server, against each other and against what a test plays.

use super::*;
use crate::auth::tests::{addr, profile};
use crate::testing::Bench;
use crate::{Application, DumOptions, UsageEnded};
use rutil::Rng;
use stack::header::{MediaType, Method};
use stack::transaction::Command;
use stack::tu::TuEvent;
use std::sync::Arc;

const PIDF: &str = "application/pidf+xml";

/// Both sides: what it publishes and what others publish with it.
struct App {
    heard: Vec<String>,
    store: MemoryPublications,
}

impl Application for App {
    fn client_publications(&mut self) -> Option<&mut dyn ClientPublicationHandler> {
        Some(self)
    }
    fn server_publications(&mut self) -> Option<&mut dyn ServerPublicationHandler> {
        Some(self)
    }
}

impl ClientPublicationHandler for App {
    fn on_success(&mut self, _: &mut Dum<'_>, _: Handle<ClientPublication>, _: &Message) {
        self.heard.push("success".into());
    }
    fn on_removed(&mut self, _: &mut Dum<'_>, _: Handle<ClientPublication>, response: Option<&Message>) {
        let by = response.map(|response| format!(" {}", response.status().unwrap()));
        self.heard.push(format!("removed{}", by.unwrap_or_default()));
    }
    fn on_refused(&mut self, _: &mut Dum<'_>, _: Handle<ClientPublication>, outcome: &Outcome) {
        self.heard.push(format!("refused {}", outcome.status));
    }
    fn on_failure(&mut self, _: &mut Dum<'_>, _: Handle<ClientPublication>, outcome: &Outcome) {
        self.heard.push(format!("failure {}", outcome.status));
    }
}

impl ServerPublicationHandler for App {
    fn persistence(&mut self) -> &mut dyn PublicationPersistence {
        &mut self.store
    }
    fn on_update(&mut self, dum: &mut Dum<'_>, publication: Handle<ServerPublication>, _: &Message) {
        self.heard.push("update".into());
        publication.accept(dum, |_| {}).unwrap();
    }
}

fn bench() -> Bench<App> {
    let mut options = DumOptions::default();
    options.master.add_method(Method::Publish).add_event("presence");
    options.master.add_mime_type(Method::Publish, MediaType::new("application", "pidf+xml"));
    Bench::with_options(App { heard: Vec::new(), store: MemoryPublications::new(2, &mut Rng::from_seed(1)) }, options)
}

fn publish(bench: &mut Bench<App>) -> Handle<ClientPublication> {
    let alice = addr("<sip:alice@example.com>");
    bench.with(|_, dum| dum.publish(&profile(), &alice, "presence", PIDF, "open")).unwrap()
}

fn answer(bench: &mut Bench<App>, status: u16, lines: &[(&str, &str)]) -> Message {
    let (transaction, request) = bench.request();
    let mut msg = request.make_response(status, None, Some("server"));
    lines.iter().for_each(|(name, value)| msg.append_line(name, value));
    bench.event(TuEvent::Response { transaction, msg: msg.into() });
    request
}

fn line(msg: &Message, name: &str) -> String {
    msg.raw_values(name).next().map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
}

/// CSeq, SIP-If-Match, Expires and body of what was sent.
fn said(msg: &Message) -> (String, String, String, String) {
    let body = String::from_utf8_lossy(msg.body()).into_owned();
    (line(msg, "CSeq"), line(msg, "SIP-If-Match"), line(msg, "Expires"), body)
}

fn words(cseq: &str, etag: &str, expires: &str, body: &str) -> (String, String, String, String) {
    (format!("{cseq} PUBLISH"), etag.into(), expires.into(), body.into())
}

#[test]
fn a_document_is_refreshed_changed_and_removed_by_its_tag() {
    let mut bench = bench();
    let handle = publish(&mut bench);
    let first = answer(&mut bench, 200, &[("SIP-ETag", "e1"), ("Expires", "100")]);
    assert_eq!((said(&first), line(&first, "Event")), (words("1", "", "3600", "open"), "presence".into()));
    bench.run(Duration::from_secs(91));
    let refresh = answer(&mut bench, 200, &[("SIP-ETag", "e2"), ("Expires", "100")]);
    assert_eq!((said(&refresh), line(&refresh, "Content-Type")), (words("2", "e1", "3600", ""), String::new()));
    bench.with(|_, dum| {
        handle.update(dum, PIDF, "busy").unwrap();
        handle.update(dum, PIDF, "closed").unwrap();
    });
    let busy = answer(&mut bench, 200, &[("SIP-ETag", "e3")]);
    let closed = answer(&mut bench, 200, &[("SIP-ETag", "e4")]);
    assert_eq!((said(&busy), said(&closed)), (words("3", "e2", "3600", "busy"), words("4", "e3", "3600", "closed")));
    bench.with(|_, dum| handle.end(dum)).unwrap();
    assert_eq!(said(&answer(&mut bench, 200, &[])), words("5", "e4", "0", ""));
    assert_eq!(bench.dum.application().heard, ["success", "success", "success", "success", "removed 200"]);
    assert_eq!(bench.with(|_, dum| handle.end(dum)), Err(UsageEnded));
    assert_eq!(bench.dum.counts(), Default::default());
}

#[test]
fn an_update_that_is_refused_leaves_what_was_published() {
    let mut bench = bench();
    let handle = publish(&mut bench);
    answer(&mut bench, 200, &[("SIP-ETag", "e1"), ("Expires", "100")]);
    bench.run(Duration::from_secs(50));
    bench.with(|_, dum| handle.update(dum, PIDF, "far too large")).unwrap();
    assert_eq!(bench.with(|_, dum| handle.document(dum)).unwrap(), "far too large");
    answer(&mut bench, 413, &[]);
    assert_eq!(bench.dum.application().heard, ["success", "refused 413"]);
    assert_eq!(bench.with(|_, dum| handle.document(dum)).unwrap(), "open");
    // It is refreshed in its time; and when the server has lost it, it is the one that the server had.
    bench.run(Duration::from_secs(44));
    assert_eq!(said(&answer(&mut bench, 412, &[])), words("3", "e1", "3600", ""));
    assert_eq!(said(&answer(&mut bench, 200, &[("SIP-ETag", "e2")])), words("4", "", "3600", "open"));
    // Of two updates the second is refused.
    bench.with(|_, dum| handle.update(dum, PIDF, "busy").and(handle.update(dum, PIDF, "far too large"))).unwrap();
    answer(&mut bench, 200, &[("SIP-ETag", "e3")]);
    answer(&mut bench, 413, &[]);
    bench.with(|_, dum| handle.refresh(dum)).unwrap();
    answer(&mut bench, 412, &[]);
    assert_eq!(said(&answer(&mut bench, 200, &[("SIP-ETag", "e4")])), words("8", "", "3600", "busy"));
    bench.with(|_, dum| handle.end(dum)).unwrap();
    assert_eq!(said(&answer(&mut bench, 200, &[])), words("9", "e4", "0", ""));
}

#[test]
fn no_update_that_comes_to_nothing_takes_along_what_was_published() {
    let mut bench = bench();
    let handle = publish(&mut bench);
    answer(&mut bench, 200, &[("SIP-ETag", "e1"), ("Expires", "600")]);
    let update = |dum: &mut Dum<'_>| handle.update(dum, PIDF, "busy");
    // One that is to be tried again only when it has expired,
    bench.with(|_, dum| update(dum)).unwrap();
    answer(&mut bench, 503, &[("Retry-After", "3600")]);
    bench.run(Duration::from_secs(545));
    assert_eq!(said(&answer(&mut bench, 200, &[("Expires", "600")])), words("3", "e1", "3600", ""));
    // one behind which a refresh waits,
    bench.with(|_, dum| update(dum).and(handle.refresh(dum))).unwrap();
    answer(&mut bench, 413, &[]);
    assert_eq!(said(&answer(&mut bench, 200, &[("Expires", "600")])), words("5", "e1", "3600", ""));
    // and one of which the server has neither the one before nor wants the new one.
    bench.with(|_, dum| update(dum)).unwrap();
    answer(&mut bench, 412, &[]);
    answer(&mut bench, 413, &[]);
    assert_eq!(said(&answer(&mut bench, 413, &[])), words("8", "", "3600", "open"));
    let heard = ["success", "refused 503", "success", "refused 413", "success", "refused 413", "failure 413"];
    assert_eq!(bench.dum.application().heard, heard);
    assert_eq!(bench.dum.counts(), Default::default());
}

#[test]
fn nothing_overtakes_the_removal() {
    // Neither an update,
    let mut bench = bench();
    let handle = publish(&mut bench);
    bench.with(|_, dum| handle.end(dum).and(handle.update(dum, PIDF, "busy")).and(handle.refresh(dum))).unwrap();
    answer(&mut bench, 200, &[("SIP-ETag", "e1")]);
    assert_eq!(said(&answer(&mut bench, 200, &[])), words("2", "e1", "0", ""));
    assert_eq!(bench.dum.application().heard, ["success", "removed 200"]);
    // nor the news that the server has forgotten it already: it is not published once more.
    let handle = publish(&mut bench);
    answer(&mut bench, 200, &[("SIP-ETag", "e1")]);
    bench.with(|_, dum| handle.refresh(dum).and(handle.end(dum))).unwrap();
    answer(&mut bench, 412, &[]);
    bench.nothing_sent();
    assert_eq!(bench.dum.application().heard[2..], ["success", "removed 412"]);
    assert_eq!(bench.dum.counts(), Default::default());
}

#[test]
fn what_has_no_tag_is_published_whole() {
    let mut bench = bench();
    let handle = publish(&mut bench);
    answer(&mut bench, 200, &[]);
    bench.with(|_, dum| handle.refresh(dum)).unwrap();
    assert_eq!(said(&answer(&mut bench, 200, &[("SIP-ETag", "e1")])), words("2", "", "3600", "open"));
    bench.with(|_, dum| handle.refresh(dum)).unwrap();
    assert_eq!(said(&answer(&mut bench, 200, &[])), words("3", "e1", "3600", ""));
}

#[test]
fn what_the_server_forgot_is_published_anew_and_too_brief_is_made_longer() {
    let mut bench = bench();
    publish(&mut bench);
    answer(&mut bench, 423, &[("Min-Expires", "7200")]);
    let longer = answer(&mut bench, 200, &[("SIP-ETag", "e1"), ("Expires", "7200")]);
    assert_eq!(said(&longer), words("2", "", "7200", "open"));
    bench.run(Duration::from_secs(6500));
    let refresh = answer(&mut bench, 412, &[]);
    assert_eq!(said(&refresh), words("3", "e1", "7200", ""));
    let anew = answer(&mut bench, 412, &[]);
    assert_eq!(said(&anew), words("4", "", "7200", "open"));
    // A 412 for what named no tag makes no sense and ends it.
    assert_eq!(bench.dum.application().heard, ["success", "failure 412"]);
    // Failures of the server are waited out.
    publish(&mut bench);
    answer(&mut bench, 500, &[("Retry-After", "4")]);
    bench.run(Duration::from_secs(5));
    answer(&mut bench, 404, &[]);
    assert_eq!(bench.dum.application().heard.last().unwrap(), "failure 404");
    assert_eq!(bench.dum.counts(), Default::default());
}

#[test]
fn a_server_that_wants_more_each_time_is_not_asked_without_end() {
    let mut bench = bench();
    publish(&mut bench);
    answer(&mut bench, 423, &[("Min-Expires", "7200")]);
    answer(&mut bench, 423, &[("Min-Expires", "7201")]);
    bench.nothing_sent();
    assert_eq!(bench.dum.application().heard, ["failure 423"]);
}

#[test]
fn the_server_takes_what_has_the_right_tag_and_refuses_the_rest() {
    let mut bench = bench();
    let mut tag = String::new();
    for (uri, lines, body, status, what) in [
        ("a", vec![("Event", "presence")], "open", 200, "initial"),
        ("a", vec![("Event", "presence"), ("SIP-If-Match", "*last")], "", 200, "refresh"),
        ("a", vec![("Event", "presence"), ("SIP-If-Match", "*last"), ("Expires", "90")], "busy", 200, "update"),
        ("a", vec![("Event", "presence"), ("SIP-If-Match", "nothing")], "busy", 412, ""),
        ("b", vec![("Event", "presence"), ("SIP-If-Match", "*last")], "busy", 412, "of another resource"),
        ("a", vec![("Event", "presence"), ("SIP-If-Match", "*last"), ("Expires", "59")], "", 423, ""),
        ("a", vec![("Event", "presence")], "", 400, "an initial one without a body"),
        ("a", vec![], "open", 489, ""),
        ("a", vec![("Event", "weather")], "open", 489, ""),
        ("b", vec![("Event", "presence")], "open", 200, "initial"),
        ("c", vec![("Event", "presence")], "open", 500, "the store is full"),
        ("b", vec![("Event", "presence"), ("SIP-If-Match", "*last"), ("Expires", "0")], "late", 200, "removed"),
        ("b", vec![("Event", "presence"), ("SIP-If-Match", "*last"), ("Expires", "0")], "", 412, "removed before"),
        ("b", vec![("Event", "presence"), ("Expires", "0")], "", 200, "nothing is there"),
        ("c", vec![("Event", "presence")], "open", 200, "initial"),
        ("d", vec![("Event", "presence"), ("Expires", "0")], "open", 200, "for no time, in a full store"),
    ] {
        let uri = format!("<sip:{uri}@example.com>");
        let mut msg =
            stack::helper::make_initial(&Method::Publish, &addr(&uri), &addr("<sip:a@a>"), &mut Rng::from_seed(1));
        let named = |value: &str| if value == "*last" { tag.clone() } else { value.to_owned() };
        lines.iter().for_each(|(name, value)| msg.append_line(name, &named(value)));
        if !body.is_empty() {
            msg.set_body(Some(PIDF), body);
        }
        bench.ask(1, Message::parse(msg.to_bytes()).unwrap());
        let (_, response) = bench.response();
        assert_eq!(response.status(), Some(status), "{uri} {lines:?} {what}");
        assert_eq!(line(&response, "Retry-After"), if status == 500 { "60" } else { "" });
        assert_eq!(line(&response, "Min-Expires"), if status == 423 { "60" } else { "" });
        assert_eq!(line(&response, "Allow-Events"), if status == 489 { "presence" } else { "" });
        let new = line(&response, "SIP-ETag");
        assert_eq!(new.is_empty(), status != 200);
        if status == 200 {
            assert_ne!(new, tag, "each version has its own");
            tag = new;
        }
    }
    let resource = Resource { aor: addr("<sip:a@example.com>").uri.aor_key(), event: "presence".into() };
    let documents = bench.with(|app, dum| app.store.read(&resource, dum.now()));
    assert_eq!((documents.len(), &*documents[0].body, documents[0].content_type.as_str()), (1, &b"busy"[..], PIDF));
    bench.run(Duration::from_secs(91));
    assert!(bench.with(|app, dum| app.store.read(&resource, dum.now())).is_empty());
    assert_eq!(bench.dum.counts(), Default::default());
}

#[test]
fn both_sides_understand_each_other() {
    let (mut phone, mut server) = (bench(), bench());
    let handle = publish(&mut phone);
    let mut statuses = Vec::new();
    for round in 0..4 {
        while let Some(Command::Send { transaction, msg, .. }) = phone.sent.pop_front() {
            server.ask(1, Message::parse(msg.to_bytes()).unwrap());
            let answer = server.response().1;
            statuses.push(answer.status().unwrap());
            let msg = Message::parse(answer.to_bytes()).unwrap();
            phone.event(TuEvent::Response { transaction, msg: msg.into() });
        }
        match round {
            0 => phone.with(|_, dum| handle.update(dum, PIDF, "busy")).unwrap(),
            1 => {
                phone.run(Duration::from_secs(3300));
                server.run(Duration::from_secs(3300));
            }
            2 => phone.with(|_, dum| handle.end(dum)).unwrap(),
            _ => {}
        }
    }
    assert_eq!(statuses, [200, 200, 200, 200]);
    assert_eq!(phone.dum.application().heard, ["success", "success", "success", "removed 200"]);
    assert!(server.dum.application().store.is_empty() && server.sent.is_empty());
}

#[test]
fn what_is_granted_for_no_time_is_published_anew_after_a_while() {
    let mut bench = bench();
    let handle = publish(&mut bench);
    answer(&mut bench, 200, &[("SIP-ETag", "e1"), ("Expires", "100")]);
    bench.run(Duration::from_secs(91));
    answer(&mut bench, 200, &[("SIP-ETag", "e2"), ("Expires", "0")]);
    assert_eq!(std::mem::take(&mut bench.dum.application_mut().heard), ["success"]);
    bench.run(Duration::from_secs(14));
    bench.nothing_sent();
    bench.run(Duration::from_secs(17));
    // Its entity-tag means nothing any more.
    let anew = answer(&mut bench, 200, &[("SIP-ETag", "e3"), ("Expires", "0")]);
    assert_eq!(said(&anew), words("3", "", "3600", "open"));
    bench.run(Duration::from_secs(29));
    bench.nothing_sent();
    // There is nothing to remove.
    bench.with(|_, dum| handle.end(dum)).unwrap();
    bench.nothing_sent();
    assert_eq!(bench.dum.application().heard, ["removed"]);
    assert_eq!(bench.dum.counts(), Default::default());
}

#[test]
fn what_is_published_for_no_time_is_removed_with_its_2xx() {
    let mut fleeting = (*profile()).clone();
    fleeting.set_publication_time(Duration::ZERO);
    let fleeting = Arc::new(fleeting);
    let mut bench = bench();
    for status in [200, 403, 500] {
        bench.with(|_, dum| {
            let alice = addr("<sip:alice@example.com>");
            dum.publish(&fleeting, &alice, "presence", PIDF, "open").unwrap();
        });
        let sent = answer(&mut bench, status, &[("SIP-ETag", "e"), ("Expires", "0")]);
        assert_eq!(said(&sent), words("1", "", "0", "open"));
        bench.nothing_sent();
    }
    assert_eq!(bench.dum.application().heard, ["removed 200", "failure 403"]);
    // A server that failed is asked once more, and one that says nothing of the time means what was asked for.
    bench.run(Duration::from_secs(31));
    assert_eq!(said(&answer(&mut bench, 200, &[])), words("2", "", "0", "open"));
    assert_eq!(bench.dum.application().heard, ["removed 200", "failure 403", "removed 200"]);
    bench.run(Duration::from_secs(7200));
    bench.nothing_sent();
    assert_eq!(bench.dum.counts(), Default::default());
}

/// What nobody removes expires by itself.
#[test]
fn the_end_of_a_publication_is_not_asked_for_for_ever() {
    let mut bench = bench();
    let handle = publish(&mut bench);
    answer(&mut bench, 200, &[("SIP-ETag", "e1"), ("Expires", "600")]);
    bench.with(|_, dum| handle.end(dum)).unwrap();
    let (began, mut asked) = (bench.stack.now, Vec::new());
    while bench.dum.counts().publications > 0 {
        while let Some(Command::Send { transaction, .. }) = bench.sent.pop_front() {
            asked.push(bench.stack.now - began);
            bench.event(TuEvent::NoResponse { transaction, reason: stack::tu::NoResponse::Timeout });
        }
        assert!(bench.stack.now - began < Duration::from_secs(1200));
        bench.run(Duration::from_secs(1));
    }
    assert!(asked.len() > 2 && asked.iter().all(|at| *at < Duration::from_secs(600)), "{asked:?}");
    assert_eq!(bench.dum.application().heard, ["success", "failure 408"]);
}
