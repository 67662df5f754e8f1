//! `sip parse`: how a message is made up, and what is wrong with it.

mod examine;
mod places;
mod rules;
mod sections;

use super::escape;
use super::output::Output;
use super::verdict::{Failure, Verdict};
use crate::sip::args::ParseArgs;
use examine::{Defect, Header, Report, examine};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The most octets that are read: what the stack takes at most.
const MOST: u64 = 256 * 1024;

/// Reads a message and reports on it.
pub(super) fn run(args: &ParseArgs, output: Output) -> Result<Verdict, Failure> {
    let octets = read(&args.file)?;
    let report = examine(&octets);
    if output.json {
        output.event("message", format_args!(""), to_json(&report));
    } else {
        output.event("message", format_args!("{}", to_text(&report)), Value::Null);
    }
    let broken = report.defects.iter().any(|defect| defect.is_error);
    Ok(if broken { Verdict::Refused } else { Verdict::Done })
}

/// Reads a file; `-` is standard input.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let all = |from: &mut dyn Read| {
        let mut octets = Vec::new();
        from.take(MOST + 1).read_to_end(&mut octets).map(|_| octets)
    };
    let octets = if path == Path::new("-") {
        all(&mut io::stdin().lock()).map_err(Failure::Input)?
    } else {
        let failed = |source| Failure::File { file: path.to_owned(), source };
        all(&mut File::open(path).map_err(failed)?).map_err(failed)?
    };
    if octets.len() as u64 > MOST {
        return Err(Failure::Argument(format!("{}: a message has at most {MOST} octets", path.display())));
    }
    Ok(octets)
}

fn to_text(report: &Report) -> String {
    let mut out = format!("{}\n", report.kind);
    for (name, value) in &report.start {
        out.push_str(&format!("      {name}: {}\n", escape::octets(value)));
    }
    for Header { line, name, known, values } in &report.headers {
        let known = if known.is_empty() || known == name { String::new() } else { format!(" ({known})") };
        for value in values {
            let shown = value.parsed.as_deref().map_or_else(|| escape::octets(&value.raw), |p| escape::line(p).into());
            out.push_str(&format!("{line:>4}  {}{known}: {shown}\n", escape::line(name)));
        }
        if values.is_empty() {
            out.push_str(&format!("{line:>4}  {}{known}:\n", escape::line(name)));
        }
    }
    out.push_str(&format!("body: {} octets{}\n", report.body, escape::line(&report.body_is)));
    for defect in &report.defects {
        let grade = if defect.is_error { "error" } else { "warning" };
        let Defect { line, column, offset, .. } = defect;
        out.push_str(&format!("{grade}: line {line}, column {column} (offset {offset}): {}\n", text_of(defect)));
    }
    if report.defects.is_empty() {
        out.push_str("nothing is wrong with it\n");
    }
    out.truncate(out.trim_end().len());
    out
}

fn text_of(defect: &Defect) -> String {
    let header = defect.header.as_deref().map_or_else(String::new, |name| format!("{}: ", escape::line(name)));
    format!("{header}{} ({})", escape::line(&defect.what), defect.rfc)
}

fn to_json(report: &Report) -> Value {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let start: serde_json::Map<_, _> =
        report.start.iter().map(|(name, v)| (name.replace(' ', "_"), text(v).into())).collect();
    let headers = report.headers.iter().map(|header| {
        let values = header.values.iter().map(|v| json!({"text": text(&v.raw), "parsed": v.parsed}));
        let name = if header.known.is_empty() { &header.name } else { &header.known };
        json!({"line": header.line, "name": name, "written": header.name, "values": values.collect::<Vec<_>>()})
    });
    let defects = report.defects.iter().map(|defect| {
        json!({
            "grade": if defect.is_error { "error" } else { "warning" },
            "line": defect.line, "column": defect.column, "offset": defect.offset,
            "header": defect.header, "text": defect.what, "rfc": defect.rfc,
        })
    });
    json!({
        "kind": report.kind, "start": start, "headers": headers.collect::<Vec<_>>(), "body_octets": report.body,
        "defects": defects.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_readable_and_safe() {
        let text = "OPTIONS sip:b@c SIP/2.0\r\nv: SIP/2.0/UDP a;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
                    From: \"\x1b[2J\" <sip:a@b>;tag=1\r\nTo: sip:b@c\r\nCall-ID: 1\r\nCSeq: one OPTIONS\r\nContent-Length: 0\r\n\r\n";
        let report = to_text(&examine(text.as_bytes()));
        assert!(!report.contains('\x1b'), "{report}");
        assert!(report.contains("   2  v (Via): SIP/2.0/UDP a;branch=z9hG4bK1\n"), "{report}");
        assert!(report.contains("error: line 7, column 7 (offset "), "{report}");
        assert!(report.contains("(RFC 3261 §20.16)"), "{report}");
        let value = to_json(&examine(text.as_bytes()));
        assert_eq!((&value["start"]["method"], &value["headers"][0]["name"]), (&"OPTIONS".into(), &"Via".into()));
        assert_eq!(value["defects"][0]["line"], 7);
    }
}
