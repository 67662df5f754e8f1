//! What it costs to choose: among static routes, entries of the access list, trunks and prefixes.
//!
//! `cargo bench -p benches --bench routing`. It prints the microseconds of one choice, the median of nine rounds over a
//! thousand different requests each.

use repro::{Config, Provisioning};
use rutil::{Clock, RealClock, Rng, Time};
use std::fmt::Write as _;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

const ROUTES: u32 = 1000;
const ENTRIES: u32 = 1000;
const TRUNKS: u32 = 100;
const PREFIXES: u32 = 10_000;
const REQUESTS: usize = 1000;
const ROUNDS: usize = 9;

/// Ten digits that have nothing to do with those of the number before.
fn scattered(at: u32) -> u64 {
    u64::from(at).wrapping_mul(6_364_136_223_846_793_005) % 9_000_000_000 + 1_000_000_000
}

fn provisioning() -> Provisioning {
    let mut text = String::new();
    for at in 0..ROUTES {
        // By number, by host, and with an alternative: what operators write.
        let uri = match at % 3 {
            0 => format!(r"^sip:(?:\+|00){}(\d*)@", scattered(at) / 1000),
            1 => format!(r"^sip:([^@]+)@gw{at}\.example\.com(?::\d+)?(?:;.*)?$"),
            _ => format!(r"^sip:(user|group)-{at}@"),
        };
        let _ = writeln!(text, "[[static_route]]\nname = \"{at}\"\nuri = '{uri}'\nrewrite = 'sip:$1@192.0.2.1'");
    }
    for at in 0..ENTRIES {
        let (high, low) = (at >> 8, at & 255);
        let bits = [32, 24, 28, 30][at as usize % 4];
        let _ = writeln!(text, "[[acl]]\nnetwork = \"10.{high}.{low}.0/{bits}\"");
    }
    for at in 0..TRUNKS {
        let own = (0..PREFIXES / TRUNKS).map(|step| format!("\"+{}\"", scattered(at + step * TRUNKS) / 10_000));
        let own = own.collect::<Vec<_>>().join(", ");
        // All of them carry this one as well.
        let _ = writeln!(
            text,
            "[[trunk]]\nname = \"{at}\"\ncontacts = [\"sip:gw{at}.example.com\"]\nweight = {}\nprefixes = [\"+0\", {own}]",
            at + 1,
        );
    }
    let config = Config::parse(&text, "bench").expect("a configuration");
    Provisioning::compile(&config.records, &mut Rng::from_seed(1)).expect("it fits together")
}

/// The microseconds of one choice.
fn cost<T, R>(requests: &[T], choose: impl Fn(&T) -> R) -> f64 {
    let clock = RealClock::new();
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let before = clock.now();
            for request in requests {
                black_box(choose(black_box(request)));
            }
            clock.now().since(before).as_secs_f64() * 1e6 / requests.len() as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

fn main() {
    let all = provisioning();
    let requests = |make: &dyn Fn(u32) -> String| (0..REQUESTS as u32).map(make).collect::<Vec<_>>();
    let by_number = requests(&|at| format!("sip:00{}7@proxy.example.com;user=phone", scattered(at / 3 * 3) / 1000));
    let by_host = requests(&|at| format!("sip:somebody@gw{}.example.com:5060;transport=tcp", at % 333 * 3 + 1));
    let by_none = requests(&|at| format!("sip:alice{at}@proxy.example.com"));
    let routed = |uri: &String| all.static_routes.choose(uri.as_bytes(), "INVITE", None);
    assert!(by_number.iter().chain(&by_host).all(|uri| !routed(uri).is_empty()) && routed(&by_none[0]).is_empty());
    let numbers = requests(&|at| format!("+{}", scattered(at * 7 % PREFIXES)));
    let carried = |number: &String| all.trunks.choose(number, 0x9e37_79b9_7f4a_7c15, Time::ZERO);
    assert!(numbers.iter().all(|number| carried(number).is_some_and(|hops| !hops.is_empty())));
    let everywhere = requests(&|at| format!("+0{at}"));
    let addresses: Vec<IpAddr> =
        (0..REQUESTS as u32).map(|at| Ipv4Addr::new(10, (at >> 8) as u8, at as u8, (at % 2) as u8).into()).collect();
    let trusted = |address: &IpAddr| all.access.trust(*address, || None::<Vec<String>>);
    let rows = [
        ("static route, by number", cost(&by_number, routed)),
        ("static route, by host", cost(&by_host, routed)),
        ("static route, none fits", cost(&by_none, routed)),
        ("access list", cost(&addresses, trusted)),
        ("trunk, by one of 10,000 prefixes", cost(&numbers, carried)),
        ("trunk, among 100 with one prefix", cost(&everywhere, carried)),
    ];
    for (what, micros) in rows {
        println!("{micros:.2} µs: {what}");
    }
}
