//! Proxies side by side, under SIPp and under `sipload`.
//!
//! `cargo bench -p benches --bench peers -- [ROW...] [--rates 500,1000,2000,4000] [--seconds 3] [--rounds 5] [--write]
//! [--also NAME=COMMAND] [--repro PATH] [--sipload PATH]`, where ROW is `calls`, `processors`, `memory` or `generators`; all
//! without.
//!
//! repro, Kamailio, and whatever else is named take turns: each figure is of a new process, after a second of load that
//! does not count, and the order changes from round to round. CPU is user and system time of the proxy and of all
//! processes that it has begun. The figures are medians, the ratios are medians of the rounds'. `--also` is another
//! proxy: its command line, with ADDRESS where the address and port stand on which it is to serve UDP; it must relay by the
//! Request-URI (`--also 'opensips=opensips -F -f my.cfg -l udp:ADDRESS'`). `--write` puts the tables into
//! `benches/RESULTS.md`, between the marks `peers`, and the picture into `benches/peers.svg`.
#![allow(clippy::disallowed_methods, reason = "a measurement waits for its subject")]

mod generators;
mod proxies;
mod rows;

use proxies::Kind;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use tests::peers::{available, repro_binary, sipload_binary};

/// What is asked for on the command line.
pub(crate) struct Args {
    rows: Vec<String>,
    pub(crate) rates: Vec<u32>,
    pub(crate) seconds: u32,
    pub(crate) rounds: usize,
    pub(crate) write: bool,
    /// Other proxies: name and command line.
    also: Vec<(String, String)>,
    pub(crate) repro: PathBuf,
    pub(crate) sipload: PathBuf,
}

impl Args {
    fn read() -> Self {
        let mut args = Args {
            rows: Vec::new(),
            rates: vec![500, 1000, 2000, 4000],
            seconds: 3,
            rounds: 5,
            write: false,
            also: Vec::new(),
            repro: PathBuf::new(),
            sipload: PathBuf::new(),
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("{word} wants a value"));
            match word.as_str() {
                // Of cargo.
                "--bench" => {}
                "--rates" => {
                    args.rates = value().split(',').map(|rate| rate.parse().expect("calls a second")).collect();
                }
                "--seconds" => args.seconds = value().parse().expect("seconds"),
                "--rounds" => args.rounds = value().parse().expect("a number"),
                "--write" => args.write = true,
                "--also" => {
                    let value = value();
                    let (name, command) = value.split_once('=').expect("NAME=COMMAND");
                    args.also.push((name.to_owned(), command.to_owned()));
                }
                "--repro" => args.repro = value().into(),
                "--sipload" => args.sipload = value().into(),
                row => args.rows.push(row.to_owned()),
            }
        }
        if args.repro.as_os_str().is_empty() {
            args.repro = repro_binary().expect("it is built");
        }
        if args.sipload.as_os_str().is_empty() {
            args.sipload = sipload_binary().expect("it is built");
        }
        args
    }

    /// The proxies that are there, ours first.
    pub(crate) fn proxies(&self) -> Vec<Kind> {
        let mut all = vec![Kind::Repro { repro: self.repro.clone(), shards: 1 }];
        if available("kamailio") {
            all.push(Kind::Kamailio { workers: 2 });
        }
        all.extend(
            self.also.iter().map(|(name, command)| Kind::Other { name: name.clone(), command: command.clone() }),
        );
        all
    }
}

fn main() {
    let args = Args::read();
    let mut report = String::new();
    for (name, row) in [
        ("calls", rows::calls as fn(&Args) -> String),
        ("processors", rows::processors),
        ("memory", rows::memory),
        ("generators", rows::generators),
    ] {
        if args.rows.is_empty() || args.rows.iter().any(|wanted| wanted == name) {
            let table = row(&args);
            println!("{table}");
            let _ = writeln!(report, "{table}");
        }
    }
    if args.write {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("RESULTS.md");
        let text = std::fs::read_to_string(&file).expect("it is there");
        std::fs::write(&file, between(&text, &report)).expect("it can be written");
        println!("written: {}", file.display());
    }
}

/// The text with `report` between its marks.
fn between(text: &str, report: &str) -> String {
    const MARKS: [&str; 2] = ["<!-- peers -->\n", "<!-- end of peers -->\n"];
    let [begin, end] = MARKS.map(|mark| text.find(mark).unwrap_or_else(|| panic!("RESULTS.md has no {mark}")));
    format!("{}{}{report}{}", &text[..begin], MARKS[0], &text[end..])
}
