//! What the API answers, as a person reads it in a terminal.

use serde_json::Value;
use std::io::{self, IsTerminal as _};

/// Most characters of a column.
const WIDEST: usize = 60;

/// What was answered, for a terminal: no character of somebody else's moves its cursor.
pub(super) enum Shown {
    /// In columns.
    Table(Table),
    /// As it is.
    Lines(Vec<String>),
}

impl Shown {
    pub(super) fn write(&self, out: &mut impl io::Write) -> io::Result<()> {
        match self {
            Shown::Table(table) => table.write(out),
            Shown::Lines(lines) => lines.iter().try_for_each(|line| writeln!(out, "{}", harmless(line))),
        }
    }
}

fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Rows of columns.
pub(super) struct Table {
    head: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

impl Table {
    fn write(&self, out: &mut impl io::Write) -> io::Result<()> {
        let head: Vec<String> = self.head.iter().map(|name| name.to_uppercase()).collect();
        let width = |at: usize| {
            let of_rows = self.rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
            of_rows.chain(head.get(at).map(String::len)).max().unwrap_or(0).min(WIDEST)
        };
        let widths: Vec<usize> = (0..self.head.len().max(2)).map(width).collect();
        let is_told = io::stdout().is_terminal() || !self.head.is_empty();
        let lines = (is_told && !head.is_empty()).then_some(&head).into_iter().chain(&self.rows);
        for line in lines {
            let last = line.len().saturating_sub(1);
            for (at, cell) in line.iter().enumerate() {
                let width = widths.get(at).copied().unwrap_or(0);
                if at < last {
                    write!(out, "{:width$}  ", harmless(cell))?
                } else {
                    writeln!(out, "{}", harmless(cell))?
                }
            }
        }
        Ok(())
    }
}

/// A value as one cell.
fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

/// Each leaf on a line, by its path.
pub(super) fn fields(answer: &Value) -> Shown {
    fn walk(path: &str, value: &Value, rows: &mut Vec<Vec<String>>) {
        match value {
            Value::Object(inner) => inner.iter().for_each(|(name, value)| {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                walk(&path, value, rows);
            }),
            Value::Array(items) if items.iter().any(Value::is_object) => {
                for item in items.iter().filter_map(Value::as_object) {
                    let pairs: Vec<String> =
                        item.iter().map(|(name, value)| format!("{name}={}", cell(value))).collect();
                    rows.push(vec![path.to_owned(), pairs.join(" ")]);
                }
            }
            Value::Array(items) => {
                rows.push(vec![path.to_owned(), items.iter().map(cell).collect::<Vec<_>>().join(", ")])
            }
            leaf => rows.push(vec![path.to_owned(), cell(leaf)]),
        }
    }
    let mut rows = Vec::new();
    walk("", answer, &mut rows);
    Shown::Table(Table { head: &[], rows })
}

fn items(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["items"].as_array().into_iter().flatten()
}

pub(super) fn registrations(answer: &Value) -> Shown {
    let rows = items(answer).flat_map(|item| {
        let contacts = item["contacts"].as_array().into_iter().flatten();
        contacts.map(|contact| {
            let by = match &contact["reached_by"] {
                Value::String(uri) => uri.clone(),
                other if other["flow"].is_object() => {
                    format!("flow {} {}", cell(&other["flow"]["transport"]), cell(&other["flow"]["peer"]))
                }
                other => format!("path {}", cell(&other["path"])),
            };
            vec![
                cell(&item["aor"]),
                cell(&contact["contact"]),
                cell(&contact["expires_seconds"]),
                cell(&contact["q"]),
                by,
            ]
        })
    });
    Shown::Table(Table { head: &["address-of-record", "contact", "expires", "q", "reached by"], rows: rows.collect() })
}

pub(super) fn records(answer: &Value) -> Shown {
    let rows = items(answer).map(|item| vec![cell(&item["key"]), cell(&item["place"]), cell(&item["record"])]);
    Shown::Table(Table { head: &["key", "place", "record"], rows: rows.collect() })
}

pub(super) fn trunks(answer: &Value) -> Shown {
    let rows = items(answer).flat_map(|item| {
        let contacts = item["contacts"].as_array().into_iter().flatten();
        contacts.map(|contact| {
            let by_hand = if contact["forced_out"] == true { "by hand" } else { "" };
            vec![cell(&item["key"]), cell(&contact["contact"]), cell(&contact["state"]), by_hand.to_owned()]
        })
    });
    Shown::Table(Table { head: &["trunk", "contact", "state", ""], rows: rows.collect() })
}

pub(super) fn bans(answer: &Value) -> Shown {
    let rows = items(answer).map(|item| vec![cell(&item["address"]), cell(&item["seconds"])]);
    Shown::Table(Table { head: &["address", "seconds"], rows: rows.collect() })
}

pub(super) fn states(answer: &Value) -> Shown {
    let states = answer["states"].as_array().into_iter().flatten();
    let rows = states.map(|one| vec![cell(&one["kind"]), cell(&one["state"]), cell(&one["alive"])]);
    Shown::Table(Table { head: &["kind", "state", "alive"], rows: rows.collect() })
}

pub(super) fn transactions(answer: &Value) -> Shown {
    let rows = items(answer).map(|one| {
        let peer = match &one["transport"] {
            Value::String(transport) => format!("{transport} {}", cell(&one["peer"])),
            _ => "-".to_owned(),
        };
        let age = format!("{:.1}", one["age_seconds"].as_f64().unwrap_or_default());
        let [kind, method, state, call_id, branch] =
            ["kind", "method", "state", "call_id", "branch"].map(|name| cell(&one[name]));
        vec![age, kind, method, state, peer, call_id, branch]
    });
    let head = &["age", "kind", "method", "state", "peer", "call-id", "branch"];
    Shown::Table(Table { head, rows: rows.collect() })
}

pub(super) fn nodes(answer: &Value) -> Shown {
    let rows = items(answer).map(|one| {
        let state = match (&one["alive"], &one["draining"]) {
            (Value::Bool(true), Value::Bool(true)) => "draining",
            (Value::Bool(true), _) => "alive",
            _ => "gone",
        };
        let own = match (&one["own"], &answer["connected"]) {
            (Value::Bool(true), Value::Bool(true)) => "this one",
            (Value::Bool(true), _) => "this one, without Redis",
            _ => "",
        };
        vec![cell(&one["node"]), state.to_owned(), cell(&one["silent_seconds"]), own.to_owned()]
    });
    Shown::Table(Table { head: &["node", "state", "silent", ""], rows: rows.collect() })
}

pub(super) fn traces(answer: &Value) -> Shown {
    let rows = items(answer).map(|one| {
        let state = if one["recording"] == true { "recording" } else { "ended" };
        vec![
            cell(&one["call_id"]),
            state.to_owned(),
            cell(&one["seconds_left"]),
            cell(&one["messages"]),
            cell(&one["left_out"]),
        ]
    });
    Shown::Table(Table { head: &["call-id", "state", "seconds", "messages", "left out"], rows: rows.collect() })
}

/// The messages of a trace, each with a line before it.
pub(super) fn recording(answer: &Value) -> Shown {
    let mut lines = Vec::new();
    for one in items(answer) {
        let way = if one["direction"] == "sent" { "to" } else { "from" };
        let [at, transport, peer] = ["at", "transport", "peer"].map(|name| cell(&one[name]));
        lines.push(format!("---- {at} {way} {transport} {peer}"));
        let text = one["text"].as_str().unwrap_or_default();
        lines.extend(text.trim_end().lines().map(str::to_owned));
    }
    Shown::Lines(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn written(shown: Shown) -> String {
        let mut out = Vec::new();
        shown.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn tables_have_columns_and_no_control_characters() {
        let answer = json!({"items": [
            {"aor": "a@h", "contacts": [
                {"contact": "sip:a@192.0.2.1", "expires_seconds": 60, "q": 1.0, "reached_by": "uri"},
                {"contact": "sip:\u{1b}[2J@h", "expires_seconds": 7, "q": 0.5,
                 "reached_by": {"flow": {"transport": "tcp", "peer": "192.0.2.2:5060"}}},
            ]},
        ]});
        let expected = "ADDRESS-OF-RECORD  CONTACT          EXPIRES  Q    REACHED BY\n\
                        a@h                sip:a@192.0.2.1  60       1.0  uri\n\
                        a@h                sip:\u{fffd}[2J@h       7        0.5  flow tcp 192.0.2.2:5060\n";
        assert_eq!(written(registrations(&answer)), expected);
        assert_eq!(written(fields(&json!({"a": {"b": 1, "c": null}, "d": ["x", "y"]}))), "a.b  1\na.c  -\nd    x, y\n");
    }

    #[test]
    fn messages_of_a_trace_cannot_reach_the_terminal() {
        let answer = json!({"items": [
            {"at": "T", "direction": "sent", "transport": "udp", "peer": "192.0.2.1:5060", "text": "BYE x\r\nA: \u{1b}[2J\r\n\r\n"},
        ]});
        assert_eq!(written(recording(&answer)), "---- T to udp 192.0.2.1:5060\nBYE x\nA: \u{fffd}[2J\n");
    }
}
