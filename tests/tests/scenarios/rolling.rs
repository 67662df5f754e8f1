//! A proxy is changed, and replaced by another, while calls go through it: none fails.

use crate::accounting::calls;
use crate::end::signal;
use crate::name_server::{Mood, NameServer};
use crate::repro::{ANY_PORT, File, LIMIT, address};
use crate::sipload::{counts, summary, uas};
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use tests::peers::PATIENT;
use tests::peers::{self, Repro, Sipp};

/// Reads its files again and again, each time with others, while users are called.
#[test]
fn a_reload_fails_no_call() {
    if !peers::available("sipp") {
        return;
    }
    const TIMES: usize = 20;
    let records = |users: usize| {
        (0..users).fold(PATIENT.to_owned(), |mut text, number| {
            let _ = write!(text, "[[user]]\naor = \"user{number}@example.com\"\n");
            text
        })
    };
    let file = File::new("reloads", &records(1));
    let more = ["--config", file.name(), "--log", "info", "--placement", "sharded:2"];
    let args: Vec<&str> = ANY_PORT.iter().copied().chain(more).collect();
    let mut repro = Repro::start(&args, 2).expect("it starts");
    let proxy = address(&repro, "udp");
    let process = repro.process();
    calls(proxy, 500, 100, || {
        for users in 1..=TIMES {
            fs::write(file.name(), records(50 * users)).expect("it can be written");
            signal(process, "HUP");
            let anew = |line: &str| line.contains(&format!("users={}", 50 * users)).then_some(());
            process.wait_for(LIMIT, anew).expect("it says so");
        }
    });
}

/// A node of two: where it listens, and what it is configured as.
struct Node {
    repro: Repro,
    place: SocketAddr,
}

impl Node {
    fn start(at: &str, config: &File) -> Self {
        let args = ["--listen", at, "--config", config.name(), "--log", "info"];
        let repro = Repro::start(&args, 1).expect("it starts");
        let place = repro.address("udp").expect("it said so");
        Node { repro, place }
    }

    /// Lets it finish what it does, and starts another in its place.
    fn upgrade(self, config: &File) -> Self {
        let process = self.repro.into_process();
        signal(&process, "TERM");
        let (status, output) = process.finish(LIMIT).expect("it ends");
        assert!(status.success() && output.contains("all transactions have ended"), "{output}");
        Node::start(&format!("udp:{}", self.place), config)
    }
}

/// Two nodes behind one name, and a proxy that leads there: one node after the other is replaced while calls begin and end.
#[test]
fn an_upgrade_of_one_node_after_the_other_fails_no_call() {
    if !peers::available("sipp") {
        return;
    }
    let caller = SocketAddr::from((peers::loopback(), 5060));
    // It answers to where a request came from: SIPp, to where the call came from, which may be the other node.
    let callee = uas(&format!("udp:{}:0", peers::loopback()), &[]);
    let called = address(&callee, "udp");
    let of_nodes = format!(
        "record_route_name = \"core.test.example\"\npin_runners = false\n\
         [[static_registration]]\naor = \"bob@core.test.example\"\ncontact = \"sip:bob@{called}\"\n"
    );
    let config = File::new("rolling-nodes", &of_nodes);
    let places = [(); 2].map(|()| peers::loopback());
    let [mut one, mut two] = places.map(|place| Node::start(&format!("udp:{place}:0"), &config));
    let zone = [
        format!("_sip._udp.core 60 SRV 10 1 {} one", one.place.port()),
        format!("_sip._udp.core 60 SRV 20 1 {} two", two.place.port()),
        format!("one 60 A {}", places[0]),
        format!("two 60 A {}", places[1]),
    ];
    let names = NameServer::start(Mood::Answers, &zone.each_ref().map(String::as_str));
    let of_edge = format!(
        "name_servers = [\"{}\"]\npin_runners = false\n\
         [[static_route]]\nname = \"core\"\nuri = \"^sip:bob@\"\nrewrite = \"sip:bob@core.test.example\"\n",
        names.address
    );
    let of_edge = File::new("rolling-edge", &of_edge);
    let args: Vec<&str> = ANY_PORT.iter().copied().chain(["--config", of_edge.name()]).collect();
    let edge = Repro::start(&args, 2).expect("it starts");
    let (remote, more) = (Some(address(&edge, "udp")), &["-s", "bob"][..]);
    let calls = Sipp { scenario: "uac_call.xml", local: caller, remote, calls: 600, rate: 50, transport: "u1", more };
    let mut caller = calls.start().expect("the caller starts");
    one = one.upgrade(&config);
    two = two.upgrade(&config);
    assert!(caller.goes_on(), "all was over before both were replaced");
    let stats = caller.finish(LIMIT).expect("the caller ends");
    assert_eq!((stats.successful, stats.failed), (600, 0));
    let callee = callee.into_process();
    signal(&callee, "INT");
    let (code, run) = summary(callee);
    assert_eq!((code, counts(&run), &run["unfinished"]), (Some(0), [600, 600, 0], &0.into()), "{run}");
    drop((one, two));
}
