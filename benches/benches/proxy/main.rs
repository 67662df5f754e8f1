//! What the proxy costs in one case beside another: each row is a bound of the project.
//!
//! `cargo bench -p benches --bench proxy -- [ROW...] [--rounds 5] [--seconds 3] [--rate 1000] [--connections 4]
//! [--repro PATH] [--off PATH]`, where ROW is `calls`, `everything`, `observed`, `handshakes`, `accounting`, `shards`, `refusals`, `memory`,
//! `registrations`, `users`, `notifies`, `nodes`, `reload`, `scale` or `faults`; all of them without.
//!
//! `--off` is a build of the proxy without the accounting that the row of this name is about; without it only what the
//! configuration can switch off is measured.
//!
//! CPU is user and system time of the proxy's threads, as the scheduler counts it (ns); the load comes from this process
//! and is not in it. The two cases of a row take turns, each time with a new proxy, and the order changes from round to
//! round: so what else the machine does meets both. The figures are medians, the ratio is the median of the rounds'.
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock and waits for its subject")]

mod calls;
mod edge;
mod handshakes;
mod load;
mod memory;
mod nodes;
mod refusals;
mod registrations;
mod reload;
mod scale;
mod site;
mod subject;
mod watchers;

use benches::median;
use std::path::PathBuf;
use tests::peers::repro_binary;

/// As the proxy: what is measured here of rustls alone is not to differ by the allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is asked for on the command line.
pub(crate) struct Args {
    rows: Vec<String>,
    pub(crate) rounds: usize,
    pub(crate) seconds: u64,
    /// Calls or requests a second.
    pub(crate) rate: Option<u32>,
    /// Standing connections on each side of the proxy.
    pub(crate) connections: usize,
    pub(crate) repro: PathBuf,
    /// A proxy that counts nothing.
    pub(crate) off: Option<PathBuf>,
}

impl Args {
    fn read() -> Self {
        let (rows, repro) = (Vec::new(), PathBuf::new());
        let mut args = Args { rows, rounds: 5, seconds: 3, rate: None, connections: 4, repro, off: None };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("{word} wants a value"));
            match word.as_str() {
                // Of cargo.
                "--bench" => {}
                "--rounds" => args.rounds = value().parse().expect("a number"),
                "--seconds" => args.seconds = value().parse().expect("seconds"),
                "--rate" => args.rate = Some(value().parse().expect("a number a second")),
                "--connections" => args.connections = value().parse().expect("a number"),
                "--repro" => args.repro = value().into(),
                "--off" => args.off = Some(value().into()),
                row => args.rows.push(row.to_owned()),
            }
        }
        if args.repro.as_os_str().is_empty() {
            args.repro = repro_binary().expect("it is built");
        }
        args
    }

    fn wants(&self, row: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|wanted| wanted == row)
    }
}

fn main() {
    let args = Args::read();
    for (name, row) in [
        ("calls", calls::over_tls as fn(&Args)),
        ("everything", calls::with_everything),
        ("observed", calls::observed),
        ("handshakes", handshakes::beside_rustls),
        ("accounting", calls::without_accounting),
        ("shards", calls::on_two_shards),
        ("refusals", refusals::cost),
        ("memory", memory::of_connections),
        ("registrations", registrations::refreshes),
        ("users", registrations::many),
        ("notifies", watchers::notifies),
        ("nodes", nodes::registrations),
        ("reload", reload::reload),
        ("scale", scale::costs),
        ("faults", scale::faults),
    ] {
        if args.wants(name) {
            row(&args);
        }
    }
}

/// Two cases of a row with their names.
pub(crate) type Cases<'a> = [(&'a str, &'a dyn Fn() -> f64); 2];

/// How often a round is tried in which the load was not what it should be (NaN), on a machine that is busy otherwise.
const ATTEMPTS: usize = 3;

/// Measures two cases by turns and prints their row: the bound is of the second beside the first.
pub(crate) fn compare(what: &str, unit: &str, must: Option<f64>, args: &Args, cases: Cases<'_>) {
    let mut figures = [Vec::new(), Vec::new()];
    for attempt in 0..args.rounds * ATTEMPTS {
        let mut round = [f64::NAN; 2];
        for case in if attempt % 2 == 0 { [0, 1] } else { [1, 0] } {
            round[case] = cases[case].1();
        }
        if round.iter().all(|figure| figure.is_finite()) {
            figures.iter_mut().zip(round).for_each(|(all, figure)| all.push(figure));
        }
        if figures[0].len() == args.rounds {
            break;
        }
    }
    let ratios: Vec<f64> = figures[0].iter().zip(&figures[1]).map(|(first, second)| second / first).collect();
    let shown = |figures: &[f64]| {
        let (low, high) = figures.iter().fold((f64::MAX, 0.0_f64), |(low, high), f| (low.min(*f), high.max(*f)));
        format!("{:.3} ({low:.3} to {high:.3})", median(figures))
    };
    let [(first, _), (second, _)] = cases;
    let [of_first, of_second] = figures.each_ref().map(|figures| shown(figures));
    let (ratio, rounds) = (shown(&ratios), ratios.len());
    let must = must.map_or(String::new(), |must| format!(" | must {must}"));
    println!(
        "{what}, {rounds} rounds | {first}: {of_first} {unit} | {second}: {of_second} {unit} | ratio {ratio}{must}"
    );
}
