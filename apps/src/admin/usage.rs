//! What this process uses of the machine, as Linux tells it.

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeVal;
use repro::admin::ProcessUsage;
use std::fs;
use std::time::Duration;

/// CPU time, memory and files; what the system does not say is left out.
pub(super) fn of_this_process() -> ProcessUsage {
    let duration =
        |time: TimeVal| Duration::from_micros(u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap_or(0));
    let cpu = getrusage(UsageWho::RUSAGE_SELF).map(|usage| duration(usage.user_time()) + duration(usage.system_time()));
    ProcessUsage {
        cpu: cpu.unwrap_or_default(),
        resident: fs::read_to_string("/proc/self/status").ok().and_then(|text| resident(&text)),
        open_files: fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64),
        most_files: getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft),
    }
}

/// `VmRSS`, which is told in KiB.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something() {
        let usage = of_this_process();
        assert!(usage.resident.is_some_and(|octets| octets > 1 << 20) && usage.open_files > Some(2), "{usage:?}");
        assert!(usage.most_files >= usage.open_files, "{usage:?}");
        assert_eq!(resident("VmPeak:\t 9 kB\nVmRSS:\t  12 kB\n"), Some(12 * 1024));
        assert_eq!(resident("VmRSS: many"), None);
    }
}
