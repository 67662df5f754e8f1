//! What is printed: lines for people, or JSON lines for programs, on standard output.

use super::escape;
use super::verdict::{Failure, Verdict};
use super::wire::without_proof;
use crate::terminal::say;
use serde_json::{Map, Value, json};
use stack::message::Message;
use std::fmt;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How it is called in what it says.
pub(super) const PROGRAM: &str = "sip";

/// Something could not be written: a script that reads it would take it for all.
static LOST: AtomicBool = AtomicBool::new(false);

/// Where results go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    /// JSON lines instead of text.
    pub(super) json: bool,
}

impl Output {
    /// Something that happened: its line for people, and its name and members for programs. What comes from a peer is
    /// escaped in the text by the caller. If nobody reads it any more, the command goes on all the same.
    pub(super) fn event(self, name: &str, text: fmt::Arguments<'_>, members: Value) {
        let mut out = io::stdout().lock();
        let written = match (self.json, members) {
            (true, Value::Object(members)) => {
                let mut all = Map::from_iter([("event".to_owned(), name.into())]);
                all.extend(members);
                writeln!(out, "{}", escape::json(&Value::Object(all).to_string()))
            }
            (true, other) => writeln!(out, "{}", escape::json(&json!({"event": name, "value": other}).to_string())),
            (false, _) => writeln!(out, "{text}"),
        };
        if let Err(error) = written.and_then(|()| out.flush())
            && error.kind() != io::ErrorKind::BrokenPipe
            && !LOST.swap(true, Ordering::Relaxed)
        {
            say(PROGRAM, format_args!("standard output: {error}"));
        }
    }

    /// What came of a command whose results may not have been written.
    pub(super) fn whole(verdict: Verdict) -> Verdict {
        if verdict == Verdict::Done && LOST.load(Ordering::Relaxed) { Verdict::Usage } else { verdict }
    }

    /// A response, with how long it took.
    pub(super) fn response(self, response: &Message, took: Duration) {
        let (status, ms) = (response.status().unwrap_or_default(), milliseconds(took));
        let text = format!("{status} {} ({ms:.1} ms)", escape::line(response.reason()));
        let members = json!({
            "status": status, "reason": response.reason(), "ms": ms, "headers": headers(response),
            "body": body(response),
        });
        self.event("response", format_args!("{text}"), members);
    }

    /// The end of the command, for programs; people see the exit code.
    pub(super) fn result(self, verdict: Verdict) {
        if self.json {
            self.event("result", format_args!(""), json!({"outcome": verdict.name(), "code": verdict.code()}));
        }
    }

    /// Why it could not be done: on standard error, and for programs as an event too.
    pub(super) fn failure(self, failure: &Failure) {
        self.problem(&failure.to_string());
    }

    /// What went wrong.
    pub(super) fn problem(self, what: &str) {
        say(PROGRAM, format_args!("{}", escape::line(what)));
        if self.json {
            self.event("error", format_args!(""), json!({"text": what}));
        }
    }
}

/// Milliseconds, with three digits behind the point.
pub(super) fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// The headers of a message by their names in canonical form, each with all its lines.
pub(super) fn headers(msg: &Message) -> Value {
    let mut all = Map::new();
    for ((name, value), (id, _)) in msg.lines().zip(msg.fields()) {
        let name = if id.name().is_empty() { String::from_utf8_lossy(name).into_owned() } else { id.name().to_owned() };
        let values = all.entry(name).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(values) = values {
            values.push(without_proof_of(id.name(), &String::from_utf8_lossy(value)).into());
        }
    }
    Value::Object(all)
}

/// The value of a header without what a password could be guessed by.
fn without_proof_of(name: &str, value: &str) -> String {
    let line = without_proof(&format!("{name}: {value}"));
    line.get(name.len() + 2..).unwrap_or_default().to_owned()
}

/// The body of a message as text; null where there is none.
pub(super) fn body(msg: &Message) -> Value {
    if msg.body().is_empty() { Value::Null } else { String::from_utf8_lossy(msg.body()).into() }
}

/// The lines of some headers, for people: `Allow: INVITE, ACK`.
pub(super) fn header_lines(msg: &Message, names: &[&str]) -> String {
    let mut text = String::new();
    for name in names {
        for value in msg.raw_values(name) {
            text.push_str(&format!("  {name}: {}\n", escape::octets(value)));
        }
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_have_their_canonical_names() {
        let text = "SIP/2.0 200 OK\r\nv: SIP/2.0/UDP a;branch=z9hG4bK1\r\nVia: SIP/2.0/UDP b\r\nX-Odd: \x1b[1m\r\n\r\n";
        let msg = Message::parse(text.as_bytes()).expect("well formed");
        let wanted = json!({"Via": ["SIP/2.0/UDP a;branch=z9hG4bK1", "SIP/2.0/UDP b"], "X-Odd": ["\u{1b}[1m"]});
        assert_eq!(headers(&msg), wanted);
        let proof = "SIP/2.0 200 OK\r\nAuthentication-Info: qop=auth, rspauth=\"6629fae4\", nc=00000001\r\n\r\n";
        let wanted = json!({"Authentication-Info": ["qop=auth, rspauth=(hidden), nc=00000001"]});
        assert_eq!(headers(&Message::parse(proof.as_bytes()).expect("well formed")), wanted);
        assert_eq!(header_lines(&msg, &["Server", "X-Odd"]), "  X-Odd: \\u{1b}[1m");
        assert_eq!(body(&msg), Value::Null);
    }
}
