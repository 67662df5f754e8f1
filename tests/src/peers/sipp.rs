//! SIPp with our own scenarios of `tests/sipp`.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::folder::Folder;
use super::{Process, Unfinished};
use crate::now;

/// How long a start may take on a machine that is busy with other tests.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How long to wait before looking again.
const MOMENT: Duration = Duration::from_millis(5);

/// One run of SIPp: which scenario, from where, to whom, how much.
#[derive(Clone, Debug)]
pub struct Sipp<'a> {
    /// The file in `tests/sipp`.
    pub scenario: &'a str,
    /// Its own address; the port must be given, as SIPp tells nobody which one it took.
    pub local: SocketAddr,
    /// The other side; none for a scenario that waits for requests.
    pub remote: Option<SocketAddr>,
    /// How many calls there are.
    pub calls: u32,
    /// Calls a second.
    pub rate: u32,
    /// SIPp's name for the transport: `u1` for UDP, `t1` for TCP, both over one socket.
    pub transport: &'a str,
    /// More arguments: keys (`-key name value`), a service name (`-s`).
    pub more: &'a [&'a str],
}

/// A running SIPp.
#[derive(Debug)]
pub struct Running {
    process: Process,
    folder: Folder,
}

/// What SIPp counted over the whole run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallStats {
    /// Calls that went through their scenario.
    pub successful: u64,
    /// Calls that did not.
    pub failed: u64,
    /// Messages sent again because no answer came.
    pub retransmissions: u64,
}

/// Why there is no count.
#[derive(Debug)]
pub enum SippError {
    /// It could not be started.
    Start(io::Error),
    /// It did not end in time; what it printed.
    Unfinished(String),
    /// It left no usable statistics; what it printed.
    NoStats(String),
}

impl Sipp<'_> {
    /// Starts it; one that waits for requests is there when this returns.
    pub fn start(&self) -> Result<Running, SippError> {
        let folder = Folder::create("sipp").map_err(SippError::Start)?;
        let mut command = Command::new("sipp");
        command.args(["-nostdin", "-trace_stat", "-trace_err", "-fd", "1", "-stf"]).arg(folder.path().join("stat.csv"));
        command.arg("-error_file").arg(folder.path().join("errors.log"));
        command.arg("-sf").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("sipp").join(self.scenario));
        command.args(["-i", &self.local.ip().to_string(), "-p", &self.local.port().to_string()]);
        command.args(["-t", self.transport, "-m", &self.calls.to_string(), "-r", &self.rate.to_string()]);
        // Where other tests keep it waiting for a second, the usual buffer loses an ACK, and what follows fails the call.
        command.args(["-buff_size", "2000000"]);
        command.args(self.more).args(self.remote.map(|r| r.to_string()));
        let mut process = Process::start(command.current_dir(folder.path())).map_err(SippError::Start)?;
        let deadline = now() + START_LIMIT;
        while self.remote.is_none() && !self.is_bound() {
            if process.exited().is_some() || now() >= deadline {
                return Err(SippError::Unfinished(process.output()));
            }
            // What it prints does not matter: this is only to look again in a moment.
            let _ = process.wait_for(MOMENT, |_| None::<()>);
        }
        Ok(Running { process, folder })
    }

    /// Whether some program listens on its address, as the kernel lists it.
    fn is_bound(&self) -> bool {
        // The state of a UDP socket without a peer, and that of a TCP socket that listens.
        let (list, state) = if self.transport.starts_with('t') { ("tcp", "0A") } else { ("udp", "07") };
        let text = fs::read_to_string(format!("/proc/net/{list}")).unwrap_or_default();
        text.lines().any(|line| {
            let mut columns = line.split_whitespace().skip(1);
            columns.next() == Some(&listed(self.local)) && columns.nth(1) == Some(state)
        })
    }

    /// Starts it and waits for its end.
    pub fn run(&self, limit: Duration) -> Result<CallStats, SippError> {
        self.start()?.finish(limit)
    }
}

impl Running {
    /// Whether its calls go on.
    pub fn goes_on(&mut self) -> bool {
        self.process.exited().is_none()
    }

    /// Waits for its end, which is after the last call; kills it if that takes longer than `limit`.
    pub fn finish(self, limit: Duration) -> Result<CallStats, SippError> {
        self.finish_with_times(limit).map(|(stats, _)| stats)
    }

    /// As [`Running::finish`], with the time of each call from its INVITE to its 200, in milliseconds, if it was started
    /// with `-trace_rtt -rtt_freq 1` and the scenario takes that time.
    pub fn finish_with_times(self, limit: Duration) -> Result<(CallStats, Vec<f64>), SippError> {
        let errors = self.folder.path().join("errors.log");
        let explain = |output: String| format!("{output}\n{}", fs::read_to_string(&errors).unwrap_or_default());
        match self.process.finish(limit) {
            Ok((status, output)) => {
                let csv = fs::read_to_string(self.folder.path().join("stat.csv")).unwrap_or_default();
                let stats =
                    parse_stats(&csv).ok_or_else(|| SippError::NoStats(explain(format!("{status}\n{output}"))))?;
                if stats.failed > 0 {
                    eprintln!("SIPp: {stats:?}\n{:.10000}", fs::read_to_string(&errors).unwrap_or_default());
                }
                Ok((stats, times(&self.folder)))
            }
            Err(Unfinished { output }) => Err(SippError::Unfinished(explain(output))),
        }
    }
}

/// What `-trace_rtt` has left: a line for each time, `date;ms;name`.
fn times(folder: &Folder) -> Vec<f64> {
    let files = fs::read_dir(folder.path()).into_iter().flatten().flatten();
    let of_times = files.filter(|file| file.file_name().to_string_lossy().ends_with("_rtt.csv"));
    let texts: Vec<String> = of_times.filter_map(|file| fs::read_to_string(file.path()).ok()).collect();
    texts.iter().flat_map(|text| text.lines()).filter_map(|line| line.split(';').nth(1)?.parse().ok()).collect()
}

/// How Linux lists an IPv4 address and port.
fn listed(address: SocketAddr) -> String {
    let octets = match address.ip() {
        IpAddr::V4(ip) => ip.octets(),
        IpAddr::V6(_) => panic!("{address}: the scenarios use IPv4"),
    };
    format!("{:08X}:{:04X}", u32::from_ne_bytes(octets), address.port())
}

/// The cumulative columns of the last line of SIPp's statistics.
fn parse_stats(csv: &str) -> Option<CallStats> {
    let mut lines = csv.lines().filter(|l| !l.trim().is_empty());
    let names: Vec<_> = lines.next()?.split(';').collect();
    let last: Vec<_> = lines.next_back()?.split(';').collect();
    let column = |name: &str| last.get(names.iter().position(|n| *n == name)?)?.trim().parse().ok();
    Some(CallStats {
        successful: column("SuccessfulCall(C)")?,
        failed: column("FailedCall(C)")?,
        retransmissions: column("Retransmissions(C)")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};

    #[test]
    fn statistics_are_the_cumulative_columns_of_the_last_line() {
        let csv = "StartTime;SuccessfulCall(P);SuccessfulCall(C);FailedCall(C);Retransmissions(C);\n\
                   a;1;1;0;0;\n\
                   b;1;12;3;4;\n";
        assert_eq!(parse_stats(csv), Some(CallStats { successful: 12, failed: 3, retransmissions: 4 }));
    }

    #[test]
    fn what_listens_is_listed_by_the_kernel() {
        let side =
            |local, transport| Sipp { scenario: "", local, remote: None, calls: 0, rate: 0, transport, more: &[] };
        let udp = UdpSocket::bind((super::super::loopback(), 0)).expect("a free port");
        let tcp = TcpListener::bind((super::super::loopback(), 0)).expect("a free port");
        let (udp_at, tcp_at) = (udp.local_addr().expect("bound"), tcp.local_addr().expect("bound"));
        assert!(side(udp_at, "u1").is_bound() && side(tcp_at, "t1").is_bound());
        assert!(!side(udp_at, "t1").is_bound() && !side(tcp_at, "u1").is_bound());
        drop((udp, tcp));
        assert!(!side(udp_at, "u1").is_bound() && !side(tcp_at, "t1").is_bound());
    }

    #[test]
    fn statistics_that_are_cut_short_are_none() {
        assert_eq!(parse_stats(""), None);
        assert_eq!(parse_stats("SuccessfulCall(C);FailedCall(C);Retransmissions(C);\n"), None);
        assert_eq!(parse_stats("SuccessfulCall(C);FailedCall(C);Retransmissions(C);\n1;\n"), None);
    }
}
