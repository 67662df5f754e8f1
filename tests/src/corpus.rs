//! The torture messages: our own beside RFC 4475 and RFC 5118, and the originals where there is a copy of them.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::raw;
use crate::verdict::{Parse, Reaction, Stream, Verdict};

/// One message and what is right for it.
#[derive(Clone, Debug)]
pub struct Case {
    /// The name that the RFC gives to the message.
    pub name: String,
    /// The message as it goes over the wire.
    pub bytes: Vec<u8>,
    /// What is right for it.
    pub verdict: Verdict,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a message comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `tests/torture`, of our own composition. Its facts are those of the bytes.
    Own,
    /// The folder that `TORTURE_DIR` names.
    Original,
}

/// All messages: our own, and the originals if the environment variable `TORTURE_DIR` names their folder.
///
/// # Panics
/// If a file or a verdict cannot be read: the corpus is part of the repository.
pub fn all() -> Vec<Case> {
    let mut cases = own();
    match env::var_os("TORTURE_DIR") {
        Some(dir) => cases.extend(originals(Path::new(&dir))),
        None => eprintln!("TORTURE_DIR not set: the originals are not run"),
    }
    cases
}

/// Our own messages, in the order of `verdicts.toml`.
///
/// # Panics
/// As [`all`].
pub fn own() -> Vec<Case> {
    #[derive(Deserialize)]
    struct File {
        case: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        file: PathBuf,
        #[serde(flatten)]
        verdict: Verdict,
    }
    let text = String::from_utf8(read(&folder().join("verdicts.toml"))).expect("verdicts.toml is UTF-8");
    let file: File = toml::from_str(&text).unwrap_or_else(|e| panic!("verdicts.toml: {e}"));
    let case = |entry: Entry| Case {
        name: entry.file.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        bytes: read(&folder().join(&entry.file)),
        verdict: entry.verdict,
        origin: Origin::Own,
    };
    file.case.into_iter().map(case).collect()
}

/// The originals under `dir`: `expected.json`, and the messages that it names.
///
/// Our verdict holds for the message of the same name, since it follows the RFC; `expected.json` decides where the RFC
/// has no such message.
///
/// # Panics
/// As [`all`].
pub fn originals(dir: &Path) -> Vec<Case> {
    let ours: BTreeMap<_, _> = own().into_iter().map(|c| (c.name, c.verdict)).collect();
    let case = |(name, file, expected): (String, PathBuf, Verdict)| {
        let bytes = read(&dir.join(file));
        let mut verdict = ours.get(&name).cloned().unwrap_or(expected);
        verdict.facts.clear();
        if !bytes.windows(4).any(|w| w == b"\r\n\r\n") {
            verdict.stream = Stream::Wait;
        }
        if raw::first(&bytes, "via").is_none() {
            // RFC 3261 §18.2.2: without a Via nobody can say where the answer should go.
            verdict.proxy.push(Reaction::Discard);
            verdict.uas.push(Reaction::Discard);
        }
        Case { name, bytes, verdict, origin: Origin::Original }
    };
    expected(dir).into_iter().map(case).collect()
}

/// Name, file and verdict of each message in the `expected.json` of `dir`.
///
/// # Panics
/// As [`all`].
pub fn expected(dir: &Path) -> Vec<(String, PathBuf, Verdict)> {
    let json: Value = serde_json::from_slice(&read(&dir.join("expected.json"))).expect("expected.json is JSON");
    let mut found = Vec::new();
    for (group, rfc) in [("rfc4475", 4475), ("rfc5118", 5118)] {
        let messages = json[group].as_object().unwrap_or_else(|| panic!("expected.json has no {group}"));
        for (name, value) in messages {
            let verdict = expected_verdict(rfc, value).unwrap_or_else(|| panic!("expected.json: {name}"));
            let file = value["file"].as_str().unwrap_or_else(|| panic!("expected.json: {name} has no file"));
            found.push((name.clone(), PathBuf::from(file), verdict));
        }
    }
    found
}

fn expected_verdict(rfc: u16, value: &Value) -> Option<Verdict> {
    let section = value["section"].as_str();
    let parse = match value["parse"].as_str()? {
        "accept" => Parse::Accept,
        "reject" => Parse::Reject,
        "either" => Parse::Either,
        _ => return None,
    };
    Some(Verdict {
        rfc: section.map(|_| rfc),
        section: section.unwrap_or_default().to_owned(),
        point: value["title"].as_str()?.to_owned(),
        parse,
        proxy: reactions(&value["proxy"])?,
        uas: reactions(&value["uas"])?,
        registrar: reactions(&value["registrar"])?,
        // Its words on streams are for people.
        stream: Stream::Any,
        differs: None,
        facts: BTreeMap::new(),
    })
}

/// A word, a list of words and status codes, or `n/a` for none.
fn reactions(value: &Value) -> Option<Vec<Reaction>> {
    match value {
        Value::String(word) if word == "n/a" => Some(Vec::new()),
        Value::String(word) => Some(vec![Reaction::from_word(word)?]),
        Value::Number(code) => Some(vec![Reaction::Status(u16::try_from(code.as_u64()?).ok()?)]),
        Value::Array(list) => Some(list.iter().map(reactions).collect::<Option<Vec<_>>>()?.concat()),
        _ => None,
    }
}

/// The folder of our own messages.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("torture")
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
