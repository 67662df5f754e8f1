//! What other processes have used, as Linux tells it.

use std::fs;
use std::time::Duration;

/// CPU time of all threads of a process and of those that it has begun, as far as they live.
pub fn tree_cpu(process: u32) -> Duration {
    tree(process).into_iter().map(cpu).sum()
}

/// CPU time of all threads of a process so far.
///
/// # Panics
/// When it has ended.
pub fn cpu(process: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
    tasks.flatten().map(|task| on_processor(&task.path().join("schedstat").display().to_string())).sum()
}

/// How long a task has run, by its file `schedstat`; nothing when it has ended meanwhile.
pub fn on_processor(schedstat: &str) -> Duration {
    let text = fs::read_to_string(schedstat).unwrap_or_default();
    Duration::from_nanos(text.split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(0))
}

/// Memory of a process and of those that it has begun, octets: what several of them share counts once
/// (`Pss` of `smaps_rollup`).
pub fn tree_memory(process: u32) -> u64 {
    let of = |process: u32| {
        let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
    };
    tree(process).into_iter().map(of).sum()
}

/// A process and those that it has begun.
fn tree(root: u32) -> Vec<u32> {
    let mut of = vec![root];
    let all: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|process: u32| Some((process, parent(process)?)))
        .collect();
    let mut at = 0;
    while let Some(&one) = of.get(at) {
        of.extend(all.iter().filter(|(_, parent)| *parent == one).map(|(process, _)| process));
        at += 1;
    }
    of
}

fn parent(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name may have blanks and brackets of its own; behind it come the state and the parent.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}
