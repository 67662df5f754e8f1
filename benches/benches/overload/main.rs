//! Overload: what a proxy achieves when much more is offered than it can do, beside Kamailio where that is installed.
//!
//! `cargo bench -p benches --bench overload -- [--seconds 3] [--share 150] [--svg FILE] [--repro PATH] [--only NAME]`
//!
//! Each proxy is confined to the same share of a processor (parts of 1000, a control group with a period of 10 ms), so
//! that the load generator, in this process, can offer many times what it can do. First the capacity is searched with
//! rising rates, then 1, 2, 5 and 10 times as much is offered; then half of it, to see when all is well again. The
//! generator is open-loop: calls (INVITE, 180, 200, ACK, BYE, 200) begin at their time, and what is not answered is
//! repeated as RFC 3261 says. Goodput counts calls that were over two seconds after they began.
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock and waits for its subject")]

mod cgroup;
mod load;

use benches::kamailio::kamailio;
use benches::svg::{Diagram, Line, draw};
use cgroup::Group;
use load::{Outcome, answer, call, callee};
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tests::peers::{Process, available, repro_binary};

/// What is asked for on the command line.
struct Args {
    seconds: u64,
    share: u32,
    svg: Option<PathBuf>,
    repro: Option<PathBuf>,
    only: Option<String>,
}

/// One rate and what came of it.
pub(crate) struct Point {
    pub(crate) rate: u32,
    pub(crate) goodput: f64,
    pub(crate) p99: Duration,
}

/// A proxy's curve.
pub(crate) struct Curve {
    pub(crate) name: &'static str,
    pub(crate) points: Vec<Point>,
}

fn main() {
    let args = read_args();
    let mut curves = Vec::new();
    for name in ["repro", "kamailio"] {
        if args.only.as_deref().is_some_and(|only| only != name) || (name == "kamailio" && !available(name)) {
            continue;
        }
        match measure(name, &args) {
            Ok(curve) => curves.push(curve),
            Err(error) => eprintln!("{name} is not measured: {error}"),
        }
    }
    if let Some(file) = &args.svg {
        std::fs::write(file, picture(&curves, args.share)).expect("the file can be written");
        println!("{}", file.display());
    }
}

/// The curves: offered load against goodput, and against the 99th percentile of the set-up time.
fn picture(curves: &[Curve], share: u32) -> String {
    let lines = |value: fn(&Point) -> f64| {
        let of = |curve: &Curve| curve.points.iter().map(|point| (f64::from(point.rate), value(point))).collect();
        curves.iter().map(|curve| Line { name: curve.name.to_owned(), points: of(curve) }).collect()
    };
    let diagram = |title: &str, lines| Diagram { title: title.to_owned(), along: "offered, calls per second", lines };
    let heading = format!("Each proxy on {share} of 1000 parts of a processor; UDP, loopback");
    let diagrams = [
        diagram("calls completed, per second", lines(|point| point.goodput)),
        diagram("set-up of those, 99th percentile, ms", lines(|point| point.p99.as_secs_f64() * 1000.0)),
    ];
    draw(&heading, &diagrams)
}

fn read_args() -> Args {
    let mut args = Args { seconds: 3, share: 150, svg: None, repro: None, only: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        // `cargo bench` adds `--bench`.
        if word == "--bench" {
            continue;
        }
        let value = words.next().unwrap_or_else(|| panic!("{word} wants a value"));
        match word.as_str() {
            "--seconds" => args.seconds = value.parse().expect("seconds"),
            "--share" => args.share = value.parse().expect("parts of 1000, at least 100"),
            "--svg" => args.svg = Some(value.into()),
            "--repro" => args.repro = Some(value.into()),
            "--only" => args.only = Some(value),
            _ => panic!("{word}: expected --seconds, --share, --svg, --repro or --only"),
        }
    }
    args
}

/// Starts a proxy in its group, and waits until it answers.
fn start(name: &str, group: &Group, address: SocketAddr, args: &Args) -> Result<Process, String> {
    let mut shell = Command::new("sh");
    shell.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(group.door());
    if name == "repro" {
        let binary = args.repro.clone().map_or_else(repro_binary, Ok)?;
        shell.arg(binary).args(["--listen", &format!("udp:{address}")]);
    } else {
        let folder = std::env::temp_dir().join(format!("overload-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
        let kamailio = kamailio(address, 2, &folder).map_err(|e| e.to_string())?;
        shell.arg(kamailio.get_program()).args(kamailio.get_args());
    }
    let process = Process::start(&mut shell).map_err(|e| e.to_string())?;
    let probe = UdpSocket::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    probe.set_read_timeout(Some(Duration::from_millis(100))).map_err(|e| e.to_string())?;
    let own = probe.local_addr().map_err(|e| e.to_string())?;
    for n in 0..100 {
        let ask = format!(
            "OPTIONS sip:{address} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKprobe{n};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:a@{own}>;tag=1\r\nTo: <sip:{address}>\r\nCall-ID: probe{n}\r\nCSeq: 1 OPTIONS\r\n\
             Content-Length: 0\r\n\r\n"
        );
        let _ = probe.send_to(ask.as_bytes(), address);
        if probe.recv(&mut [0; 2048]).is_ok() {
            return Ok(process);
        }
    }
    Err("it does not answer".to_owned())
}

fn measure(name: &'static str, args: &Args) -> Result<Curve, String> {
    let free = UdpSocket::bind("127.0.0.1:0").and_then(|s| s.local_addr()).map_err(|e| e.to_string())?;
    let group = Group::new(&format!("overload-{name}"), args.share)
        .map_err(|e| format!("no control group can be made to confine it: {e}"))?;
    let process = start(name, &group, free, args)?;
    let (socket, stop) = (callee(), AtomicBool::new(false));
    let at = socket.local_addr().map_err(|e| e.to_string())?;
    let points = std::thread::scope(|scope| {
        scope.spawn(|| answer(&socket, &stop));
        let length = Duration::from_secs(args.seconds);
        let mut run = 0;
        let mut offer = |rate: u32, length: Duration| {
            run += 1;
            let (ticks, mut cpu) = (group.ticks(), 0.0);
            let at_end = || cpu = (group.ticks() - ticks) as f64 * 10.0 / length.as_secs_f64();
            let outcome = call(&format!("{name}{run}"), free, at, (rate, length), at_end);
            report(name, rate, length, &outcome, cpu, group.memory());
            outcome
        };
        let capacity = search(&mut offer);
        let mut points = Vec::new();
        for times in [1, 2, 5, 10] {
            let rate = capacity * times;
            let outcome = offer(rate, length);
            let goodput = f64::from(outcome.completed) / length.as_secs_f64();
            points.push(Point { rate, goodput, p99: outcome.p99() });
        }
        // The rush is over: half of what it can do, with what the rush left behind.
        offer(capacity * 10, Duration::from_secs(1));
        let after = offer(capacity / 2, length);
        println!(
            "{name}: after the rush the last call failed that began at {:?}",
            after.last_failure.unwrap_or_default()
        );
        stop.store(true, Ordering::Relaxed);
        points
    });
    drop(process);
    Ok(Curve { name, points })
}

/// The highest rate of a row that rises by a fifth at which 98 of 100 calls are completed.
fn search(offer: &mut impl FnMut(u32, Duration) -> Outcome) -> u32 {
    let (mut rate, mut best) = (400, 400);
    loop {
        let outcome = offer(rate, Duration::from_secs(2));
        if f64::from(outcome.completed) < 0.98 * f64::from(outcome.offered) {
            return best;
        }
        best = rate;
        rate += rate / 5;
    }
}

fn report(name: &str, rate: u32, length: Duration, outcome: &Outcome, cpu: f64, memory: u64) {
    let median = outcome.setup.get(outcome.setup.len() / 2).copied().unwrap_or_default();
    println!(
        "{name} offered {rate}/s ({}), completed {:.0}/s, refused {:.0}/s, repeated {}, set-up {:.1} ms, p99 {:.1} ms, \
         CPU {cpu:.0} per mille, {} MiB",
        outcome.offered,
        f64::from(outcome.completed) / length.as_secs_f64(),
        f64::from(outcome.refused) / length.as_secs_f64(),
        outcome.repeated,
        median.as_secs_f64() * 1000.0,
        outcome.p99().as_secs_f64() * 1000.0,
        memory / 1024,
    );
}
