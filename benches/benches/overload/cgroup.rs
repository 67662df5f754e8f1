//! A share of a processor for a group of processes: a control group, version 2 or 1.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The period of the share, µs: short, so that a group waits for its next turn no longer than this.
const PERIOD: u32 = 10_000;

/// A control group, removed when it goes out of scope; its processes must have ended by then.
pub(crate) struct Group(PathBuf);

impl Group {
    /// Makes a group that gets so many parts of one processor, of 1000.
    pub(crate) fn new(name: &str, share: u32) -> io::Result<Group> {
        let quota = PERIOD / 1000 * share;
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for root in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/cpu"] {
            let dir = Path::new(root).join(format!("{name}-{}", std::process::id()));
            let made = fs::create_dir(&dir).and_then(|()| limit(&dir, quota));
            match made {
                Ok(()) => return Ok(Group(dir)),
                Err(error) => last = error,
            }
            let _ = fs::remove_dir(&dir);
        }
        Err(last)
    }

    /// Where a process writes its number to join.
    pub(crate) fn door(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }

    fn processes(&self) -> Vec<String> {
        fs::read_to_string(self.door()).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// Proportional resident memory of its processes, KiB.
    pub(crate) fn memory(&self) -> u64 {
        let pss = |pid: &String| {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
            text.lines().find_map(|l| l.strip_prefix("Pss:"))?.split_whitespace().next()?.parse::<u64>().ok()
        };
        self.processes().iter().filter_map(pss).sum()
    }

    /// CPU time of its processes so far, clock ticks.
    pub(crate) fn ticks(&self) -> u64 {
        let ticks = |pid: &String| {
            let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let fields: Vec<&str> = text.rsplit(')').next()?.split_whitespace().collect();
            Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
        };
        self.processes().iter().filter_map(ticks).sum()
    }
}

fn limit(dir: &Path, quota: u32) -> io::Result<()> {
    if !dir.join("cgroup.procs").exists() {
        // A directory like any other.
        return Err(io::ErrorKind::Unsupported.into());
    }
    if dir.join("cpu.max").exists() {
        return fs::write(dir.join("cpu.max"), format!("{quota} {PERIOD}"));
    }
    if !dir.join("cpu.cfs_quota_us").exists() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    fs::write(dir.join("cpu.cfs_period_us"), PERIOD.to_string())?;
    fs::write(dir.join("cpu.cfs_quota_us"), quota.to_string())
}

impl Drop for Group {
    fn drop(&mut self) {
        // What a program leaves behind that was ended by force, as Kamailio leaves its children.
        for pid in self.processes() {
            let _ = std::process::Command::new("kill").args(["-9", &pid]).status();
        }
        // The kernel lets go of the last process a moment after it has ended.
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::park_timeout(std::time::Duration::from_millis(10));
        }
        eprintln!("{} is left behind", self.0.display());
    }
}
