//! The commands of the guides in `docs/`, run as they stand: what they print is compared with what the guide shows.
//!
//! A comment before a block of code says what becomes of it:
//!
//! | comment | |
//! |---|---|
//! | `<!-- write FILE -->`, `<!-- append FILE -->` | the block goes into that file |
//! | `<!-- run -->` | the block is run to its end, with success |
//! | `<!-- start -->` | the block is a program that goes on; the lines behind it are waited for |
//! | `<!-- restart -->` | the same, when the running `repro` has been stopped |
//! | `<!-- log -->` | the running `repro` prints the lines of the block |
//!
//! The `text` block behind it has the lines that are printed, in this order; `…` stands for anything, and other lines may
//! stand between them. Each run has an address and a directory of its own.

use crate::end::signal;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tests::peers::{Process, available, loopback, repro_binary, sip_binary, sipload_binary};

const LIMIT: Duration = Duration::from_secs(40);

/// A block of code with the comment before it.
struct Block<'g> {
    order: &'g str,
    code: String,
    /// What the block behind it shows.
    shown: Vec<String>,
}

/// The blocks that have a comment, with `address` in the place of 127.0.0.1.
fn blocks<'g>(guide: &'g str, address: &str) -> Vec<Block<'g>> {
    let mut blocks: Vec<Block<'g>> = Vec::new();
    // Where the next block of code belongs; behind other text, nowhere.
    let (mut order, mut shows) = (None, false);
    let mut lines = guide.lines();
    while let Some(line) = lines.next() {
        if let Some(kind) = line.strip_prefix("```") {
            let body: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            let code = body.join("\n").replace("127.0.0.1", address);
            match order.take() {
                Some(order) => {
                    blocks.push(Block { order, code, shown: Vec::new() });
                    shows = true;
                }
                None if shows && kind == "text" => {
                    blocks.last_mut().expect("it follows one").shown = code.lines().map(str::to_owned).collect();
                    shows = false;
                }
                None => shows = false,
            }
        } else if let Some(comment) = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")) {
            (order, shows) = (Some(comment), false);
        } else if !line.is_empty() {
            shows = false;
        }
    }
    blocks
}

/// Whether a line is what the guide shows.
fn fits(line: &str, shown: &str) -> bool {
    let mut pieces = shown.split('…');
    let mut rest = match pieces.next().map(|first| line.find(first).map(|at| &line[at + first.len()..])) {
        Some(Some(rest)) => rest,
        _ => return false,
    };
    pieces.all(|piece| match rest.find(piece) {
        Some(at) => {
            rest = &rest[at + piece.len()..];
            true
        }
        None => false,
    })
}

/// Without the colours of a terminal.
fn plain(text: &str) -> String {
    let mut pieces = text.split('\x1b');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |plain, piece| plain + piece.split_once('m').map_or(piece, |(_, rest)| rest))
}

/// One who follows a guide.
struct Reader {
    folder: PathBuf,
    path: String,
    /// With what each was started by.
    running: Vec<(String, Process)>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.running.clear();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Reader {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("guide-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).expect("a directory");
        let programs =
            [repro_binary(), sip_binary(), sipload_binary()].map(|program| program.expect("it can be built"));
        let own = programs[0].parent().map(Path::display).expect("it is in a directory");
        let path = format!("{own}:{}", std::env::var("PATH").unwrap_or_default());
        Reader { folder, path, running: Vec::new() }
    }

    fn shell(&self, script: &str) -> Process {
        let mut command = Command::new("bash");
        command.args(["-e", "-c", script]).current_dir(&self.folder).env("PATH", &self.path);
        Process::start(&mut command).expect("there is a bash")
    }

    fn follow(&mut self, block: &Block<'_>) {
        let (order, file) = block.order.split_once(' ').unwrap_or((block.order, ""));
        match order {
            "write" | "append" => self.write(file, order == "append", &block.code),
            "run" => {
                let (status, output) = self.shell(&block.code).finish(LIMIT).expect("it ends");
                let output = plain(&output);
                assert!(status.success(), "{}\n{output}", block.code);
                let mut lines = output.lines();
                for shown in &block.shown {
                    assert!(lines.any(|line| fits(line, shown)), "no line as {shown:?} in order:\n{output}");
                }
            }
            "start" => self.start(&block.code, &block.shown),
            "restart" => {
                self.stop_repro();
                self.start(&block.code, &block.shown);
            }
            "log" => {
                let repro = self.running.iter_mut().find(|(code, _)| code.starts_with("repro")).expect("it runs");
                for shown in block.code.lines() {
                    // It may have come already.
                    if !plain(&repro.1.output()).lines().any(|line| fits(line, shown)) {
                        wait(&mut repro.1, shown);
                    }
                }
            }
            other => panic!("no such order: {other}"),
        }
    }

    fn write(&self, file: &str, append: bool, text: &str) {
        let mut options = fs::OpenOptions::new();
        options.create(true).append(append).write(true).truncate(!append);
        let mut file = options.open(self.folder.join(file)).expect("it can be written");
        writeln!(file, "{text}").expect("it can be written");
    }

    fn start(&mut self, code: &str, shown: &[String]) {
        // `exec`: what is stopped is the program, not a shell.
        let mut process = self.shell(&format!("exec {code}"));
        // Of two outputs nobody knows which is read first, but what a program says last it says when it is ready.
        for shown in shown {
            if !plain(&process.output()).lines().any(|line| fits(line, shown)) {
                wait(&mut process, shown);
            }
        }
        self.running.push((code.to_owned(), process));
    }

    fn stop_repro(&mut self) {
        let Some(at) = self.running.iter().position(|(code, _)| code.starts_with("repro")) else { return };
        let (_, process) = self.running.remove(at);
        signal(&process, "TERM");
        let (status, output) = process.finish(LIMIT).expect("it ends");
        assert!(status.success(), "{output}");
    }
}

fn wait(process: &mut Process, shown: &str) {
    let found = process.wait_for(LIMIT, |line| fits(&plain(line), shown).then_some(()));
    found.unwrap_or_else(|error| panic!("no line as {shown:?} in:\n{}", plain(&error.output)));
}

fn follow(name: &str, guide: &str) {
    let address = loopback().to_string();
    let mut reader = Reader::new(name);
    let blocks = blocks(guide, &address);
    assert!(blocks.iter().any(|block| block.order == "run"), "there is nothing to follow");
    blocks.iter().for_each(|block| reader.follow(block));
}

#[test]
fn run_repro() {
    if available("openssl") && available("curl") {
        follow("run-repro", include_str!("../../../docs/run-repro.md"));
    }
}

#[test]
fn run_it_for_real() {
    if available("openssl") {
        follow("readme", include_str!("../../../README.md"));
    }
}

#[test]
fn load_test() {
    follow("load-test", include_str!("../../../docs/load-test.md"));
}

#[test]
fn debug() {
    follow("debug", include_str!("../../../docs/debug.md"));
}

#[test]
fn a_guide_is_read() {
    let guide = "<!-- run -->\n```sh\necho 127.0.0.1\n```\n```text\n127.…\n```\ntext\n```text\nnot shown\n```\n";
    let blocks = blocks(guide, "127.0.0.9");
    assert_eq!(blocks.len(), 1);
    assert_eq!(
        (blocks[0].order, &*blocks[0].code, &*blocks[0].shown),
        ("run", "echo 127.0.0.9", &["127.…".to_owned()][..])
    );
    assert!(fits("200 OK (7.3 ms)", "200 OK (… ms)") && !fits("200 OK", "200 OK (… ms)"));
    assert!(fits("\tindented ok", "indented…ok") && !fits("ok indented", "indented…ok"));
    assert_eq!(plain("\x1b[2m2026\x1b[0m \x1b[32m INFO\x1b[0m x"), "2026  INFO x");
}
