//! The generators: the same calls, made by `sipload` and by SIPp, to somebody who answers at once.

use nix::sys::resource::{UsageWho, getrusage};
use std::any::Any;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tests::peers::{Process, Sipp, loopback};

/// Who makes the calls.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Generator {
    Sipload,
    Sipp,
}

/// What came of a run.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    pub(crate) calls: u32,
    pub(crate) succeeded: u32,
    /// Messages of the generator that were sent again.
    pub(crate) repeated: u32,
    /// From INVITE to 200, ms.
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    /// CPU time of the generator that calls.
    pub(crate) cpu: Duration,
}

impl Run {
    /// Whether all calls went through, the first time.
    pub(crate) fn is_clean(&self) -> bool {
        self.succeeded == self.calls
    }

    /// CPU time of the caller, µs a call.
    pub(crate) fn cpu_of_call(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / f64::from(self.calls)
    }
}

impl Generator {
    pub(crate) const ALL: [Generator; 2] = [Generator::Sipload, Generator::Sipp];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Generator::Sipload => "sipload",
            Generator::Sipp => "SIPp",
        }
    }

    /// `calls` calls at `rate` a second to `callee`, through `proxy` where there is one.
    pub(crate) fn run(
        self,
        sipload: &Path,
        callee: SocketAddr,
        proxy: Option<SocketAddr>,
        (calls, rate): (u32, u32),
    ) -> Result<Run, String> {
        let before = children();
        let mut run = match self {
            Generator::Sipload => by_sipload(sipload, callee, proxy, (calls, rate))?,
            Generator::Sipp => by_sipp(callee, proxy, (calls, rate))?,
        };
        run.cpu = children() - before;
        Ok(run)
    }
}

/// CPU time of all children that have ended and were waited for.
fn children() -> Duration {
    getrusage(UsageWho::RUSAGE_CHILDREN).map_or(Duration::ZERO, |used| {
        let micros = |t: nix::sys::time::TimeVal| t.tv_sec() as u64 * 1_000_000 + t.tv_usec() as u64;
        Duration::from_micros(micros(used.user_time()) + micros(used.system_time()))
    })
}

/// How long a run may take beyond its calls.
const GRACE: Duration = Duration::from_secs(60);

fn limit(calls: u32, rate: u32) -> Duration {
    Duration::from_secs_f64(f64::from(calls) / f64::from(rate)) + GRACE
}

fn by_sipload(
    sipload: &Path,
    callee: SocketAddr,
    proxy: Option<SocketAddr>,
    (calls, rate): (u32, u32),
) -> Result<Run, String> {
    let length = f64::from(calls) / f64::from(rate);
    let mut command = Command::new(sipload);
    command.args(["call", "--target", &format!("sip:service@{callee}"), "--rate", &rate.to_string(), "--json"]);
    command.args(["--duration", &format!("{}ms", (length * 1000.0).round())]);
    command.args(proxy.into_iter().flat_map(|proxy| ["--via".to_owned(), format!("sip:{proxy}")]));
    let out = output(&mut command, limit(calls, rate))?;
    let begin = out.find('{').ok_or(out.clone())?;
    let json: serde_json::Value = serde_json::Deserializer::from_str(&out[begin..])
        .into_iter()
        .next()
        .ok_or("no JSON")?
        .map_err(|e| e.to_string())?;
    let count = |name: &str| json[name].as_u64().unwrap_or(0) as u32;
    let time = |name: &str| json["times_ms"]["answered"][name].as_f64().unwrap_or(f64::NAN);
    Ok(Run {
        calls,
        succeeded: count("succeeded"),
        repeated: count("retransmitted"),
        p50: time("p50"),
        p90: time("p90"),
        p99: time("p99"),
        cpu: Duration::ZERO,
    })
}

/// Runs a command to its end; what it printed.
fn output(command: &mut Command, limit: Duration) -> Result<String, String> {
    let process = Process::start(command).map_err(|e| e.to_string())?;
    let (_, output) = process.finish(limit).map_err(|unfinished| unfinished.output)?;
    Ok(output)
}

/// Datagrams wait in large buffers, as they do with the proxies; and so many calls may be under way.
const ROOM: [&str; 4] = ["-buff_size", "4000000", "-l", "30000"];

fn by_sipp(callee: SocketAddr, proxy: Option<SocketAddr>, (calls, rate): (u32, u32)) -> Result<Run, String> {
    let local = SocketAddr::new(callee.ip(), free_port(callee)?);
    let proxy = proxy.map(|proxy| proxy.to_string());
    let via: Vec<&str> = proxy.iter().flat_map(|proxy| ["-rsa", proxy.as_str()]).collect();
    let more = [&["-trace_rtt", "-rtt_freq", "1"], &ROOM[..], &via].concat();
    let sipp =
        Sipp { scenario: "uac_call.xml", local, remote: Some(callee), calls, rate, transport: "u1", more: &more };
    let started = sipp.start().map_err(|e| format!("{e:?}"))?;
    let (stats, mut times) = started.finish_with_times(limit(calls, rate)).map_err(|e| format!("{e:?}"))?;
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
    Ok(Run {
        calls,
        succeeded: stats.successful as u32,
        repeated: stats.retransmissions as u32,
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        cpu: Duration::ZERO,
    })
}

fn free_port(like: SocketAddr) -> Result<u16, String> {
    let found = UdpSocket::bind((like.ip(), 0)).and_then(|socket| socket.local_addr());
    found.map(|found| found.port()).map_err(|e| e.to_string())
}

/// Somebody who answers: SIPp, or `sipload`. He ends with this.
pub(crate) struct Callee {
    pub(crate) address: SocketAddr,
    _program: Box<dyn Any>,
}

impl Callee {
    /// One that answers `calls` calls at once.
    pub(crate) fn start(generator: Generator, sipload: &Path, calls: u32) -> Result<Self, String> {
        let ip = std::net::IpAddr::V4(loopback());
        let local = SocketAddr::new(ip, free_port(SocketAddr::new(ip, 0))?);
        if generator == Generator::Sipp {
            return Self::sipp("uas_call.xml", local, calls, &[]);
        }
        let mut command = Command::new(sipload);
        let mut process =
            Process::start(command.args(["uas", "--listen", &format!("udp:{local}")])).map_err(|e| e.to_string())?;
        let listens = process.wait_for(GRACE, |line| line.contains("listening on").then_some(()));
        listens.map_err(|unfinished| unfinished.output)?;
        Ok(Callee { address: local, _program: Box::new(process) })
    }

    /// SIPp, which answers `calls` calls after so many milliseconds.
    pub(crate) fn later(calls: u32, millis: u32) -> Result<Self, String> {
        let ip = std::net::IpAddr::V4(loopback());
        let local = SocketAddr::new(ip, free_port(SocketAddr::new(ip, 0))?);
        Self::sipp("uas_call_later.xml", local, calls, &["-d", &millis.to_string()])
    }

    fn sipp(scenario: &str, local: SocketAddr, calls: u32, more: &[&str]) -> Result<Self, String> {
        let more = &[&ROOM[..], more].concat();
        let sipp = Sipp { scenario, local, remote: None, calls, rate: 10_000, transport: "u1", more };
        let program = sipp.start().map_err(|e| format!("{e:?}"))?;
        Ok(Callee { address: local, _program: Box::new(program) })
    }
}
