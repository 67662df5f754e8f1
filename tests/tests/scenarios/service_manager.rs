//! What a service manager is told, and the unit that it is given.

use crate::end::signal;
use crate::repro::{ANY_PORT, File, LIMIT};
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use tests::peers::{Process, Repro, available, repro_binary};

/// The socket that a service manager listens on.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Manager {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("repro-notify-{name}-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(LIMIT)).expect("a limit");
        Manager { socket, path }
    }

    /// What is told next, line by line.
    fn hear(&self) -> Vec<String> {
        let mut octets = [0; 4096];
        let length = self.socket.recv(&mut octets).expect("it is told something");
        String::from_utf8_lossy(&octets[..length]).lines().map(str::to_owned).collect()
    }

    /// What is told next but for the watchdog.
    fn hear_state(&self) -> Vec<String> {
        loop {
            let told = self.hear();
            if told != ["WATCHDOG=1"] {
                return told;
            }
        }
    }

    fn start(&self, more: &[&str]) -> Process {
        let mut command = Command::new(repro_binary().expect("it can be built"));
        command.args(ANY_PORT).args(more);
        command.env("NOTIFY_SOCKET", &self.path).env("WATCHDOG_USEC", "400000");
        Repro::start_command(&mut command, 2).expect("it starts").into_process()
    }
}

fn monotonic() -> u64 {
    let text = fs::read_to_string("/proc/uptime").expect("Linux");
    let seconds: f64 = text.split(' ').next().and_then(|word| word.parse().ok()).expect("seconds");
    (seconds * 1e6) as u64
}

#[test]
fn a_service_manager_is_told_the_whole_life() {
    for placement in ["inline", "sharded:2", "staged"] {
        let manager = Manager::new(placement);
        let file = File::new(&format!("notify-{placement}"), "[[domain]]\nname = \"example.com\"\n");
        let process = manager.start(&["--placement", placement, "--config", file.name()]);
        assert_eq!(manager.hear(), ["READY=1", "STATUS=it takes requests"]);
        // Nobody sends it anything, and its shards are seen to work all the same.
        for _ in 0..10 {
            assert_eq!(manager.hear(), ["WATCHDOG=1"]);
        }
        signal(&process, "HUP");
        let told = manager.hear_state();
        assert_eq!(told[0], "RELOADING=1", "{told:?}");
        let at: u64 = told[1].strip_prefix("MONOTONIC_USEC=").and_then(|at| at.parse().ok()).expect("a time");
        assert!(at > 0 && at <= monotonic() + 1_000_000, "{at}");
        assert_eq!(manager.hear_state(), ["READY=1", "STATUS=it takes requests; read again: 1 records"]);
        fs::write(file.name(), "[[domain]]\nnames = \"example.com\"\n").expect("it can be written");
        signal(&process, "HUP");
        assert_eq!(manager.hear_state()[0], "RELOADING=1");
        let told = manager.hear_state();
        assert!(told[0] == "READY=1" && told[1].contains("not read again: ") && told[1].contains(":2: "), "{told:?}");
        signal(&process, "TERM");
        assert_eq!(manager.hear_state(), ["STOPPING=1", "STATUS=it finishes what is under way"]);
        let (status, output) = process.finish(LIMIT).expect("it ends");
        assert_eq!(status.code(), Some(0), "{output}");
    }
}

/// The unit as systemd reads it, with the program that was built.
#[test]
fn the_unit_is_right() {
    if !available("systemd-analyze") {
        return;
    }
    let unit = include_str!("../../../apps/systemd/repro.service");
    let binary = repro_binary().expect("it can be built");
    let unit = unit.replace("/usr/local/bin/repro", binary.to_str().expect("a plain name"));
    let folder = std::env::temp_dir().join(format!("repro-unit-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a directory");
    let path = folder.join("repro.service");
    fs::write(&path, &unit).expect("it can be written");
    let verify = |path: &PathBuf| {
        let mut command = Command::new("systemd-analyze");
        let output = command.args(["verify", "--man=no", "--recursive-errors=no"]).arg(path).output().expect("it runs");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (right, said) = verify(&path);
    assert!(right && !said.contains("repro.service"), "{said}");
    // The check finds what is wrong.
    fs::write(&path, unit.replace("WatchdogSec=30", "WatchdogSecs=30")).expect("it can be written");
    let (_, said) = verify(&path);
    assert!(said.contains("WatchdogSecs"), "{said}");
    fs::remove_dir_all(&folder).expect("it is ours");
    // With a start each second the limit of five in ten seconds would end the attempts.
    let of_unit = unit.split("[Service]").next().unwrap_or_default();
    assert!(unit.contains("\nRestartSec=1\n") && of_unit.contains("\nStartLimitIntervalSec=0\n"), "{unit}");
}
