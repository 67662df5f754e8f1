//! Events in virtual time, from the FIFO to the file.

use super::service::Writer;
use super::*;
use crate::config::Config;
use rutil::Rng;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// 2026-11-22 02:32:05 UTC.
const EPOCH: Duration = Duration::from_secs(1_795_314_725);

/// A collector of events, and the file that they go to.
pub(crate) struct Desk {
    writer: Writer,
    folder: PathBuf,
}

impl Desk {
    pub(crate) fn new(name: &str, more: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("repro-accounting-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("a.jsonl");
        let config = format!("[accounting]\nfile = \"{}\"\n{more}", path.display());
        let settings = Config::parse(&config, "my.toml").unwrap().accounting.unwrap();
        let file = Box::new(file::RotatingFile::new(&settings).unwrap());
        Desk { writer: Writer::new(&settings, file, Bell::silent(), &mut Rng::from_seed(1)), folder }
    }

    pub(crate) fn accounting(&self) -> Arc<Accounting> {
        self.writer.accounting()
    }

    /// Has everything written, and gives the lines of the file.
    pub(crate) fn lines(&mut self, now: Time) -> Vec<Value> {
        self.writer.turn(now, EPOCH);
        let text = std::fs::read_to_string(self.folder.join("a.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn refused(accounting: &Accounting, call_id: &str) {
    let call = Call::new(Time::ZERO, [call_id, "", "", "", ""]);
    accounting.refused(Arc::new(call), 404, false, Time::ZERO);
}

#[test]
fn what_does_not_fit_is_shed_and_counted() {
    let mut desk = Desk::new("shed", "");
    let accounting = desk.accounting();
    (0..MOST_WAITING + 7).for_each(|number| refused(&accounting, &number.to_string()));
    assert_eq!((accounting.waiting(), accounting.shed(), accounting.written()), (MOST_WAITING, 7, 0));
    let lines = desk.lines(Time::from_millis(50));
    assert_eq!((lines.len(), accounting.written(), accounting.waiting()), (MOST_WAITING, MOST_WAITING as u64, 0));
    assert!(lines.iter().enumerate().all(|(number, line)| line["call_id"].as_str() == Some(&number.to_string())));
}

#[test]
fn while_nothing_can_be_written_events_wait() {
    let mut desk = Desk::new("heals", "");
    let accounting = desk.accounting();
    let away = desk.folder.with_extension("away");
    std::fs::rename(&desk.folder, &away).unwrap();
    (0..1_000).for_each(|number| refused(&accounting, &number.to_string()));
    assert!(desk.lines(Time::from_millis(50)).is_empty());
    assert!(accounting.is_failing() && accounting.written() == 0 && accounting.waiting() > 0);
    std::fs::rename(&away, &desk.folder).unwrap();
    let lines = desk.lines(Time::from_millis(1_050));
    assert_eq!((lines.len(), accounting.is_failing(), accounting.shed()), (1_000, false, 0));
    assert!(lines.iter().enumerate().all(|(number, line)| line["call_id"].as_str() == Some(&number.to_string())));
}

#[test]
fn what_peers_say_stays_in_its_line() {
    let mut desk = Desk::new("escapes", "");
    refused(&desk.accounting(), "x\"}\r\n{\"event\":\"session_ended\u{1b}[2J");
    let lines = desk.lines(Time::ZERO);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["call_id"], "x\"}\r\n{\"event\":\"session_ended\u{1b}[2J");
    let text = std::fs::read_to_string(desk.folder.join("a.jsonl")).unwrap();
    assert!(!text.contains('\u{1b}') && text.matches('\n').count() == 1, "{text}");
}

#[test]
fn a_file_that_is_too_small_is_refused() {
    let error = Config::parse("[accounting]\nfile = \"a\"\nmax_octets = 1000\n", "my.toml").unwrap_err().to_string();
    assert!(error.starts_with("my.toml:3: accounting.max_octets: expected at least 131072"), "{error}");
    let error = Config::parse("[accounting]\nkeep = 3\n", "my.toml").unwrap_err().to_string();
    assert!(error.starts_with("my.toml:1: accounting") && error.contains("[accounting.redis]"), "{error}");
}
