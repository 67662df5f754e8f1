//! The Dockerfile, without a container: what it copies is there, and the program takes the commands that it has.

use crate::end::signal;
use crate::repro::LIMIT;
use crate::store::Site;
use std::path::Path;
use std::process::{Command, Output};
use tests::peers::{Process, loopback, repro_binary};

const DOCKERFILE: &str = include_str!("../../../Dockerfile");

/// The words of a command that stands as a JSON array behind this, for another configuration.
fn words(instruction: &str, config: &str) -> Vec<String> {
    let (_, rest) = DOCKERFILE.split_once(instruction).unwrap_or_else(|| panic!("no {instruction}"));
    let words: Vec<String> = serde_json::from_str(rest.lines().next().unwrap_or_default()).expect("an array of words");
    words.into_iter().map(|word| word.replace("/etc/repro/repro.toml", config)).collect()
}

#[test]
fn the_container_runs_says_that_it_is_well_and_stops() {
    let own = loopback();
    let admin = format!("listen = [\"udp:{own}:5060\"]\n[admin]\nlisten = \"{own}:8080\"\n");
    let site = Site::new("container", &admin);
    let start = [words("\nENTRYPOINT ", &site.config()), words("\nCMD ", &site.config())].concat();
    let health = words(" CMD ", &site.config());
    assert_eq!((start[0].as_str(), health[0].as_str()), ("repro", "repro"));
    let repro = repro_binary().expect("it can be built");
    let is_well = || -> Output { Command::new(&repro).args(&health[1..]).output().expect("it can be run") };
    assert!(!is_well().status.success(), "nothing runs yet");
    let mut process = Process::start(Command::new(&repro).args(&start[1..])).expect("it can be run");
    process.wait_for(LIMIT, |line| line.contains("listening on udp").then_some(())).expect("it starts");
    let said = is_well();
    assert!(said.status.success(), "{said:?}");
    let (_, stop) = DOCKERFILE.split_once("\nSTOPSIGNAL SIG").expect("how it ends");
    signal(&process, stop.lines().next().expect("a name"));
    let (status, output) = process.finish(LIMIT).expect("it ends");
    assert_eq!(status.code(), Some(0), "{output}");
}

#[test]
fn the_image_is_built_of_what_is_there() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).expect("it is there");
    let number = |text: &str, before: &str| -> Vec<u32> {
        let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before}"));
        let version = rest.split(|next: char| next != '.' && !next.is_ascii_digit()).next().unwrap_or_default();
        version.split('.').map(|part| part.parse().expect("a number")).collect()
    };
    let workspace = read("Cargo.toml");
    assert!(number(DOCKERFILE, "FROM rust:") >= number(&workspace, "rust-version = \""));
    // What is built is a program of ours, and is what the second image gets.
    let (_, built) = DOCKERFILE.split_once(" --package apps --bin ").expect("it is built");
    let built = built.lines().next().expect("a name");
    assert!(root.join(format!("apps/src/bin/{built}.rs")).is_file(), "{built}");
    assert!(DOCKERFILE.contains(&format!("COPY --from=build /src/target/release/{built} /usr/local/bin/{built}\n")));
    // All of the workspace is copied: what is left out is built anew, or belongs to no crate.
    let (_, members) = workspace.split_once("members = ").expect("a workspace");
    let members: Vec<&str> = serde_json::from_str(members.lines().next().unwrap_or_default()).expect("a list");
    for left_out in read(".dockerignore").lines() {
        assert!(members.iter().all(|member| !member.starts_with(left_out)), "{left_out}");
    }
}
