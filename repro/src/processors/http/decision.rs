//! What the service answers.

use crate::location::{By, Located};
use crate::provisioning::{ContactUri, one_line};
use crate::proxy::{Step, Steps};
use serde::Deserialize;
use smallvec::smallvec;
use stack::grammar::is_token;
use stack::header::HeaderId;
use stack::message::Message;
use std::fmt::Display;
use std::time::Duration;

/// Most targets, contacts, headers to add and headers to remove of a decision, each.
const MOST: usize = 32;
/// The longest time of a target, seconds: less than Timer C, which ends all.
const MOST_SECONDS: u32 = 170;
/// Most octets of a reason phrase, and of the value of a header.
const MOST_TEXT: usize = 1024;

/// What only the proxy writes: what makes a message, names its transaction and dialog, or leads it.
const OWN: [HeaderId; 9] = [
    HeaderId::VIA,
    HeaderId::FROM,
    HeaderId::TO,
    HeaderId::CALL_ID,
    HeaderId::CSEQ,
    HeaderId::MAX_FORWARDS,
    HeaderId::ROUTE,
    HeaderId::RECORD_ROUTE,
    HeaderId::CONTENT_LENGTH,
];

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The next processor looks at it.
    Continue(Edits),
    /// It is answered with a failure.
    Reject {
        /// 400 to 699.
        code: u16,
        /// The reason phrase; none: the usual one.
        reason: Option<String>,
    },
    /// It goes to these targets.
    Targets(Steps, Edits),
    /// The caller is told to go to these (302).
    Redirect(Vec<ContactUri>),
}

/// What is changed in a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    add: Vec<(String, String)>,
    remove: Vec<String>,
}

/// An answer that is no decision.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}, in the answer {shown:?}")]
pub struct BadDecision {
    what: String,
    /// How it begins.
    shown: String,
}

/// The decision as it is written.
#[derive(Deserialize)]
#[serde(tag = "decision", rename_all = "lowercase", deny_unknown_fields)]
enum Written {
    Continue {
        #[serde(default)]
        add: Vec<Line>,
        #[serde(default)]
        remove: Vec<String>,
    },
    Reject {
        code: u16,
        reason: Option<String>,
    },
    Targets {
        targets: Vec<WrittenTarget>,
        #[serde(default)]
        add: Vec<Line>,
        #[serde(default)]
        remove: Vec<String>,
    },
    Redirect {
        contacts: Vec<ContactUri>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    name: String,
    value: String,
}

/// A target; those of the lowest priority are tried first, and those of the same at the same time.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTarget {
    uri: ContactUri,
    #[serde(default)]
    priority: u32,
    /// Seconds after which those of the next priority are tried: the longest of those of this priority.
    timeout: Option<u32>,
}

impl Decision {
    /// Reads an answer.
    ///
    /// # Errors
    /// When it is no decision; the text says what was expected, and fits into a line of a log.
    pub fn parse(answer: &[u8]) -> Result<Decision, BadDecision> {
        let read = serde_json::from_slice::<Written>(answer).map_err(|error| error.to_string());
        let decision = read.and_then(Decision::of);
        decision.map_err(|what| {
            let shown = answer.get(..MOST_TEXT).unwrap_or(answer);
            BadDecision { what: one_line(&what), shown: one_line(&String::from_utf8_lossy(shown)) }
        })
    }

    fn of(written: Written) -> Result<Decision, String> {
        match written {
            Written::Continue { add, remove } => Ok(Decision::Continue(Edits::of(add, remove)?)),
            Written::Reject { code, .. } if !(400..700).contains(&code) => {
                Err(expected("code", code, "a failure, 400 to 699"))
            }
            Written::Reject { code, reason } => match reason {
                Some(reason) if !is_line(&reason) => Err(expected("reason", reason, "a short text of one line")),
                reason => Ok(Decision::Reject { code, reason }),
            },
            Written::Targets { targets, add, remove } => {
                Ok(Decision::Targets(steps(some("targets", targets)?), Edits::of(add, remove)?))
            }
            Written::Redirect { contacts } => Ok(Decision::Redirect(some("contacts", contacts)?)),
        }
    }
}

fn expected(key: &str, value: impl Display, what: &str) -> String {
    format!("{key}: {value}: expected {what}")
}

/// A list that is neither empty nor long.
fn some<T>(key: &str, list: Vec<T>) -> Result<Vec<T>, String> {
    match list.len() {
        1..=MOST => Ok(list),
        number => Err(expected(key, number, &format!("1 to {MOST}"))),
    }
}

fn is_line(text: &str) -> bool {
    text.len() <= MOST_TEXT && !text.chars().any(char::is_control)
}

fn steps(mut targets: Vec<WrittenTarget>) -> Steps {
    targets.sort_by_key(|target| target.priority);
    let (mut steps, mut last) = (Steps::new(), None);
    for WrittenTarget { uri, priority, timeout } in targets {
        let contact = Located { uri: uri.as_str().into(), q: 1000, by: By::Uri, older: None };
        let timeout = timeout.map(|seconds| Duration::from_secs(seconds.min(MOST_SECONDS).into()));
        match steps.last_mut() {
            Some(step) if last == Some(priority) => {
                step.targets.push(contact.into());
                step.timeout = step.timeout.max(timeout);
            }
            _ => steps.push(Step { targets: smallvec![contact.into()], timeout, ..Step::default() }),
        }
        last = Some(priority);
    }
    steps
}

impl Edits {
    fn of(add: Vec<Line>, remove: Vec<String>) -> Result<Edits, String> {
        if add.len() > MOST || remove.len() > MOST {
            return Err(format!("add, remove: expected at most {MOST} headers each"));
        }
        if let Some(name) = add.iter().map(|line| &line.name).chain(&remove).find(|name| !is_free(name)) {
            return Err(expected("name", name, "the name of a header that is not the proxy's own"));
        }
        if let Some(line) = add.iter().find(|line| !is_line(&line.value)) {
            return Err(expected("value", &line.value, "a text of one line and at most 1024 octets"));
        }
        Ok(Edits { add: add.into_iter().map(|Line { name, value }| (name, value)).collect(), remove })
    }

    /// Removes what is to be removed, and adds what is to be added.
    pub fn apply(&self, request: &mut Message) {
        self.remove.iter().for_each(|name| request.remove_lines(name));
        self.add.iter().for_each(|(name, value)| request.append_line(name, value));
    }
}

/// Whether a header may be written by others than the proxy.
fn is_free(name: &str) -> bool {
    name.len() <= 64 && is_token(name) && !OWN.contains(&HeaderId::lookup(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(answer: &str) -> Result<Decision, String> {
        Decision::parse(answer.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn decisions_are_read() {
        assert_eq!(parse(r#"{"decision":"continue"}"#), Ok(Decision::Continue(Edits::default())));
        let reject = |code, reason: Option<&str>| Ok(Decision::Reject { code, reason: reason.map(Into::into) });
        assert_eq!(parse(r#"{"decision":"reject","code":403,"reason":"Not Paid"}"#), reject(403, Some("Not Paid")));
        assert_eq!(parse(r#"{"code":603,"decision":"reject"}"#), reject(603, None));
        let redirect = parse(r#"{"decision":"redirect","contacts":["sip:a@h","sips:b@h"]}"#);
        assert_eq!(redirect, Ok(Decision::Redirect(["sip:a@h", "sips:b@h"].map(|uri| uri.parse().unwrap()).into())));
    }

    #[test]
    fn targets_are_in_steps_of_their_priority() {
        let answer = r#"{"decision":"targets","targets":[{"uri":"sip:c@h","priority":20},
            {"uri":"sip:a@h","timeout":5},{"uri":"sip:b@h","timeout":9}],
            "add":[{"name":"X-Account","value":"7"}],"remove":["X-Debug"]}"#;
        let Ok(Decision::Targets(steps, edits)) = parse(answer) else { panic!("{:?}", parse(answer)) };
        let uris = |step: &Step| step.targets.iter().map(|t| t.contact.uri.to_string()).collect::<Vec<_>>();
        let shapes: Vec<_> = steps.iter().map(|step| (uris(step), step.timeout.map(|t| t.as_secs()))).collect();
        assert_eq!(shapes, [(vec!["sip:a@h".into(), "sip:b@h".into()], Some(9)), (vec!["sip:c@h".into()], None)]);
        assert_eq!((edits.add.len(), edits.remove), (1, vec!["X-Debug".to_owned()]));
    }

    #[test]
    fn what_is_no_decision_is_told() {
        let long = format!(r#"{{"decision":"redirect","contacts":[{}"sip:a@h"]}}"#, r#""sip:a@h","#.repeat(40));
        for (answer, expected) in [
            ("", "EOF while parsing"),
            ("<html>500</html>", "expected value at line 1"),
            ("{}", "missing field `decision`"),
            (r#"{"decision":"dance"}"#, "unknown variant `dance`"),
            (r#"{"decision":"continue","code":1}"#, "unknown field `code`"),
            (r#"{"decision":"reject","code":200}"#, "code: 200: expected a failure, 400 to 699"),
            (r#"{"decision":"reject","code":70000}"#, "invalid value: integer `70000`"),
            (r#"{"decision":"reject","code":400,"reason":"a\r\nX: b"}"#, "reason: a\\r\\nX: b: expected a short text"),
            (r#"{"decision":"targets","targets":[]}"#, "targets: 0: expected 1 to 32"),
            (r#"{"decision":"targets","targets":[{"uri":"http://h"}]}"#, "expected a sip or sips URI"),
            (&long, "contacts: 41: expected 1 to 32"),
            (r#"{"decision":"continue","add":[{"name":"v","value":"x"}]}"#, "name: v: expected the name of a header"),
            (r#"{"decision":"continue","remove":["max-forwards"]}"#, "name: max-forwards: expected the name"),
            (r#"{"decision":"continue","add":[{"name":"A: b","value":"x"}]}"#, "name: A: b: expected the name"),
            (
                r#"{"decision":"continue","add":[{"name":"A","value":"x\nVia: y"}]}"#,
                "value: x\\nVia: y: expected a text",
            ),
        ] {
            let error = parse(answer).unwrap_err();
            assert!(error.contains(expected) && !error.contains(['\r', '\n']), "{answer}: {error}");
        }
        // Neither its size nor what stands in it does harm to a log.
        let huge = [b"\xff\x1b[2J\r\n".as_slice(), &[b'x'; 60_000]].concat();
        let error = Decision::parse(&huge).unwrap_err().to_string();
        assert!(error.len() < 1000 && !error.contains(['\x1b', '\r', '\n']), "{error}");
    }

    #[test]
    fn edits_remove_first() {
        let mut msg = Message::parse(&b"A b:c SIP/2.0\r\nX: 1\r\nSubject: s\r\nx: 2\r\nY: 3\r\n\r\n"[..]).unwrap();
        let add = vec![Line { name: "X".into(), value: "4".into() }];
        Edits::of(add, vec!["x".into(), "Subject".into(), "Z".into()]).unwrap().apply(&mut msg);
        let text = String::from_utf8(msg.to_bytes().to_vec()).unwrap();
        assert_eq!(text, "A b:c SIP/2.0\r\nY: 3\r\nX: 4\r\nContent-Length: 0\r\n\r\n");
    }
}
