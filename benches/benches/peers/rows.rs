//! The tables: who is measured with what.

use crate::Args;
use crate::generators::{Callee, Generator, Run};
use crate::proxies::{Kind, Proxy};
use benches::median;
use benches::svg::{Diagram, Line, draw};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tests::peers::{Process, available};

/// How often a round is tried in which not all calls went through, on a machine that is busy otherwise.
const ATTEMPTS: usize = 3;

/// What a proxy needed for the calls of a run.
#[derive(Clone, Copy)]
struct Figure {
    /// CPU time, ms a call.
    cpu: f64,
    run: Run,
}

/// One run of calls through a new proxy, after a second that does not count.
fn through(kind: &Kind, generator: Generator, rate: u32, args: &Args) -> Result<Figure, String> {
    let proxy = Proxy::start(kind)?;
    let calls = rate * args.seconds;
    let callee = Callee::start(generator, &args.sipload, calls + rate)?;
    let run = |calls| generator.run(&args.sipload, callee.address, Some(proxy.address), (calls, rate));
    run(rate)?;
    let before = proxy.cpu();
    let run = run(calls)?;
    let cpu = (proxy.cpu() - before).as_secs_f64() * 1000.0 / f64::from(calls);
    Ok(Figure { cpu, run })
}

/// Rounds of all proxies by turns: for each its figures, in which all calls went through.
fn rounds(kinds: &[Kind], generator: Generator, rate: u32, args: &Args) -> Vec<Vec<Figure>> {
    let mut all = vec![Vec::new(); kinds.len()];
    for attempt in 0..args.rounds * ATTEMPTS {
        let mut round = Vec::new();
        for turn in 0..kinds.len() {
            let at = (turn + attempt) % kinds.len();
            match through(&kinds[at], generator, rate, args) {
                Ok(figure) if figure.run.is_clean() => round.push((at, figure)),
                Ok(Figure { run, .. }) => {
                    let (name, of) = (kinds[at].name(), generator.name());
                    eprintln!(
                        "{name} {rate}/s by {of}: {} of {} calls, repeated {}",
                        run.succeeded, run.calls, run.repeated
                    );
                }
                Err(error) => eprintln!("{error}"),
            }
        }
        // A round counts when all of them came through: what else the machine did meets all.
        if round.len() == kinds.len() {
            round.into_iter().for_each(|(at, figure)| all[at].push(figure));
        }
        if all[0].len() == args.rounds {
            break;
        }
    }
    all
}

fn middle(figures: &[Figure], of: impl Fn(&Figure) -> f64) -> f64 {
    median(&figures.iter().map(of).collect::<Vec<_>>())
}

/// A row of a table of proxies: CPU, ratio to the first one's, percentiles. SIPp's times are whole milliseconds.
fn line(out: &mut String, what: &str, kinds: &[Kind], all: &[Vec<Figure>]) {
    let millis = |time: f64| if time == 0.0 { "< 1".to_owned() } else { format!("{time:.2}") };
    for (at, kind) in kinds.iter().enumerate() {
        let figures = &all[at];
        let ratios: Vec<f64> = all[0].iter().zip(figures).map(|(ours, other)| ours.cpu / other.cpu).collect();
        let ratio = if at == 0 { "–".to_owned() } else { format!("{:.2}", median(&ratios)) };
        let _ = writeln!(
            out,
            "| {what} | {} | {} | {:.4} | {ratio} | {} | {} |",
            kind.name(),
            figures.len(),
            middle(figures, |f| f.cpu),
            millis(middle(figures, |f| f.run.p50)),
            millis(middle(figures, |f| f.run.p99)),
        );
    }
}

const HEAD: &str =
    "| | proxy | rounds | CPU, ms a call | ours beside it | p50, ms | p99, ms |\n|---|---|---|---|---|---|---|\n";

/// CPU and latency of a call against the rate, under each generator; and the picture.
pub(crate) fn calls(args: &Args) -> String {
    let kinds = args.proxies();
    let mut out = format!("Calls over UDP, INVITE to the 200 of BYE, {} s each:\n\n{HEAD}", args.seconds);
    let mut diagrams = Vec::new();
    for generator in Generator::ALL {
        if generator == Generator::Sipp && !available("sipp") {
            continue;
        }
        let mut lines: [Vec<Line>; 2] =
            std::array::from_fn(|_| kinds.iter().map(|kind| Line { name: kind.name(), points: Vec::new() }).collect());
        for &rate in &args.rates {
            let all = rounds(&kinds, generator, rate, args);
            line(&mut out, &format!("{} {rate}/s", generator.name()), &kinds, &all);
            for (at, figures) in all.iter().enumerate().filter(|(_, figures)| !figures.is_empty()) {
                lines[0][at].points.push((f64::from(rate), middle(figures, |f| f.cpu * 1000.0)));
                lines[1][at].points.push((f64::from(rate), middle(figures, |f| f.run.p99)));
            }
        }
        let along = "calls per second";
        let [cpu, p99] = lines;
        let title = format!("CPU of the proxy, µs a call, by {}", generator.name());
        diagrams.push(Diagram { title, along, lines: cpu });
        if generator == Generator::Sipload {
            let title = "INVITE to 200, 99th percentile, ms, by sipload".to_owned();
            diagrams.push(Diagram { title, along, lines: p99 });
        }
    }
    if args.write {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers.svg");
        std::fs::write(&file, draw("Proxied calls over UDP, loopback", &diagrams)).expect("the picture can be written");
    }
    out
}

/// What more shards and more workers cost where there is work for one.
pub(crate) fn processors(args: &Args) -> String {
    let rate = args.rates.iter().copied().find(|rate| *rate >= 2000).unwrap_or(2000);
    let ours = |shards| Kind::Repro { repro: args.repro.clone(), shards };
    let mut kinds = vec![ours(1), ours(2)];
    if available("kamailio") {
        kinds.extend([1, 2, 4].map(|workers| Kind::Kamailio { workers }));
    }
    let all = rounds(&kinds, Generator::Sipload, rate, args);
    let mut out = format!("Shards and workers, calls at {rate}/s by sipload:\n\n{HEAD}");
    line(&mut out, &format!("{rate}/s"), &kinds, &all);
    out
}

/// Registrations, and standing calls, that memory is measured with.
const REGISTRATIONS: u32 = 10_000;
const CALLS: u32 = 1000;

/// Memory for 10,000 registrations and for 1,000 calls.
pub(crate) fn memory(args: &Args) -> String {
    let mut out = "Memory (proportional set of all processes), one run:\n\n\
        | proxy | at its start, MB | with 10,000 registrations | with 1,000 calls under way, more |\n|---|---|---|---|\n"
        .to_owned();
    for kind in args.proxies() {
        match memory_of(&kind, args) {
            Ok([start, registered, calls]) => {
                let _ = writeln!(out, "| {} | {start:.1} | {registered:.1} | {calls:.1} |", kind.name());
            }
            Err(error) => eprintln!("{}: {error}", kind.name()),
        }
    }
    out
}

fn memory_of(kind: &Kind, args: &Args) -> Result<[f64; 3], String> {
    let proxy = Proxy::start(kind)?;
    let memory = || proxy.memory() as f64 / 1e6;
    let start = memory();
    let rate = REGISTRATIONS / 5;
    let mut register = Command::new(&args.sipload);
    register.args(["register", "--target", &format!("sip:{}", proxy.address), "--rate", &rate.to_string()]);
    register.args(["--users", &format!("u{{0..{}}}@example.com", REGISTRATIONS - 1), "--duration", "5s"]);
    register.args(["--min-success", "1", "--json"]);
    let process = Process::start(&mut register).map_err(|e| e.to_string())?;
    let (status, output) = process.finish(Duration::from_secs(90)).map_err(|unfinished| unfinished.output)?;
    if !status.success() {
        return Err(format!("it cannot register {REGISTRATIONS} users: {output}"));
    }
    let registered = memory();
    let callee = Callee::start(Generator::Sipload, &args.sipload, CALLS)?;
    let mut call = Command::new(&args.sipload);
    call.args(["call", "--target", &format!("sip:service@{}", callee.address), "--via"]);
    call.args([&format!("sip:{}", proxy.address), "--rate", "500", "--duration", "2s", "--hold", "4s"]);
    let process = Process::start(&mut call).map_err(|e| e.to_string())?;
    // All of them stand after two seconds, the first end after four.
    std::thread::sleep(Duration::from_secs(3));
    let calls = memory() - registered;
    process.finish(Duration::from_secs(90)).map_err(|unfinished| unfinished.output)?;
    Ok([start, registered, calls])
}

/// After how many milliseconds calls are answered where generators are to agree: SIPp's times are whole milliseconds.
const LATER: u32 = 100;
/// At how many calls a second.
const AGREED: u32 = 500;

/// The generators themselves: what they cost where SIPp answers, and whether they see the same through each proxy.
pub(crate) fn generators(args: &Args) -> String {
    let mut out = String::new();
    if !available("sipp") {
        return out;
    }
    out.push_str("CPU of the caller, µs a call; SIPp answers, no proxy between:\n\n| | SIPp | sipload | ratio |\n|---|---|---|---|\n");
    for &rate in &args.rates {
        let alone = |generator: Generator| {
            let callee = Callee::start(Generator::Sipp, &args.sipload, rate * args.seconds)?;
            generator.run(&args.sipload, callee.address, None, (rate * args.seconds, rate))
        };
        let both = by_turns(&alone, rate, args);
        let [ours, sipp] = both.each_ref().map(|runs| median(&runs.iter().map(Run::cpu_of_call).collect::<Vec<_>>()));
        let _ = writeln!(out, "| {rate}/s | {sipp:.1} | {ours:.1} | {:.2} |", ours / sipp);
    }
    let _ = write!(
        out,
        "\nWhat they see at {AGREED}/s of calls that are answered after {LATER} ms, medians, ms:\n\n\
         | through | calls that succeeded, of all | | p50 | | p90 | | p99 | |\n|---|---|---|---|---|---|---|---|---|\n\
         | | SIPp | sipload | SIPp | sipload | SIPp | sipload | SIPp | sipload |\n"
    );
    for kind in args.proxies() {
        let through = |generator: Generator| {
            let proxy = Proxy::start(&kind)?;
            let calls = AGREED * args.seconds;
            let callee = Callee::later(calls, LATER)?;
            generator.run(&args.sipload, callee.address, Some(proxy.address), (calls, AGREED))
        };
        let [ours, sipp] = by_turns(&through, AGREED, args);
        let pair = |of: fn(&Run) -> f64| {
            let [sipp, ours] = [&sipp, &ours].map(|runs| median(&runs.iter().map(of).collect::<Vec<_>>()));
            format!("{sipp:.1} | {ours:.1}")
        };
        let succeeded = [&sipp, &ours].map(|runs| {
            let sum = |of: fn(&Run) -> u32| runs.iter().map(of).sum::<u32>();
            format!("{} of {}", sum(|run| run.succeeded), sum(|run| run.calls))
        });
        let [p50, p90, p99] = [pair(|run| run.p50), pair(|run| run.p90), pair(|run| run.p99)];
        let _ = writeln!(out, "| {} | {} | {p50} | {p90} | {p99} |", kind.name(), succeeded.join(" | "));
    }
    out
}

/// Runs of `sipload` and of SIPp by turns.
fn by_turns(run: &dyn Fn(Generator) -> Result<Run, String>, rate: u32, args: &Args) -> [Vec<Run>; 2] {
    let mut both = [Vec::new(), Vec::new()];
    for round in 0..args.rounds {
        for turn in 0..2 {
            let at = (turn + round) % 2;
            match run(Generator::ALL[at]) {
                Ok(run) => both[at].push(run),
                Err(error) => eprintln!("{} {rate}/s: {error}", Generator::ALL[at].name()),
            }
        }
    }
    both
}
