//! The load generator beside SIPp: through Kamailio and repro both must see the same. Beside a peer with faults, and in a
//! browser.

use crate::repro::{File, LIMIT, address, start};
use crate::sipload::{ATTEMPTS, calls, counts, faulty, number, sipload, summary, uas};
use crate::sipload_scenario::ended;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tests::peers::{self, Kamailio, Sipp};

/// Registers bob at a proxy, and has him called: by sipload, then by SIPp. How many calls succeeded of each, and how many the
/// callee has seen.
fn both_call_through(proxy: SocketAddr, domain: &str) -> [u64; 3] {
    let bob = format!("udp:{}:5060", peers::loopback());
    let (users, target) = (format!("bob@{domain}"), format!("sip:{domain}"));
    let register =
        ["register", "--json", "--target", &target, "--users", &users, "--password", "builder", "--listen", &bob];
    let (code, run) = summary(sipload(&[&register[..], &["--rate", "10", "--duration", "100ms"]].concat()));
    assert_eq!((code, counts(&run)), (Some(0), [1, 1, 0]), "{run}");
    let callee = uas(&bob, &[]);
    let (_, run) = calls(&format!("sip:bob@{domain}"), &["--rate", "20", "--duration", "1s", "--hold", "100ms"]);
    let sipp = Sipp {
        scenario: "uac_call.xml",
        local: (peers::loopback(), 5060).into(),
        remote: Some(proxy),
        calls: 20,
        rate: 20,
        transport: "u1",
        more: &["-s", "bob"],
    };
    let stats = sipp.run(LIMIT).expect("SIPp ends");
    [counts(&run)[1], stats.successful, counts(&ended(callee))[1]]
}

/// All calls succeed, and all see the same; within some attempts, for the machine may be busy with other things.
fn agree(run: impl Fn() -> [u64; 3]) {
    let all: Vec<[u64; 3]> = (0..ATTEMPTS).map(|_| run()).take_while(|run| *run != [20, 20, 40]).collect();
    assert!(all.len() < ATTEMPTS as usize, "{all:?}");
}

#[test]
fn sipload_and_sipp_agree_on_calls_through_kamailio() {
    if !peers::available("sipp") || !peers::available("kamailio") {
        return;
    }
    agree(|| {
        let local = SocketAddr::from((peers::loopback(), 5060));
        let _kamailio = Kamailio::start(local, "builder").expect("it starts");
        both_call_through(local, &local.ip().to_string())
    });
}

#[test]
fn sipload_and_sipp_agree_on_calls_through_repro() {
    if !peers::available("sipp") {
        return;
    }
    agree(|| {
        let repro = start(&[]);
        let proxy = address(&repro, "udp");
        both_call_through(proxy, &proxy.to_string())
    });
}

/// A peer that loses one message in twenty and refuses one call in ten is told as just that.
#[test]
fn a_peer_that_loses_some_and_refuses_some_is_told() {
    let (lost, asked) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let (losing, asking) = (lost.clone(), asked.clone());
    let mut came = 0;
    let target = faulty(move |request| {
        let is_ack = request.starts_with(b"ACK");
        asking.fetch_add(u64::from(!is_ack), Ordering::Relaxed);
        came += u32::from(!is_ack);
        if !is_ack && came % 20 == 0 {
            losing.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let refused = request.starts_with(b"INVITE") && number(request) % 10 == 3;
        (!is_ack).then_some(if refused { 503 } else { 200 })
    });
    let (code, run) = calls(&target, &["--rate", "100", "--duration", "1s", "--min-success", "0.9"]);
    assert_eq!((code, counts(&run)), (Some(0), [100, 90, 10]), "{run}");
    assert_eq!(run["causes"], serde_json::json!({ "INVITE: 503 Service Unavailable": 10 }), "{run}");
    let (lost, asked) = (lost.load(Ordering::Relaxed), asked.load(Ordering::Relaxed));
    assert!(lost >= 9 && asked == 190 + run["retransmitted"].as_u64().expect("a number"), "{lost} of {asked}: {run}");
    // What was lost was sent again, half a second later, and counts as such.
    assert!(run["retransmitted"].as_u64() >= Some(lost), "{lost}: {run}");
    let longest = ["answered", "bye"].map(|name| run["times_ms"][name]["max"].as_f64().unwrap_or(0.0));
    assert!(longest.iter().any(|time| *time > 490.0), "{run}");
}

#[test]
fn the_report_is_shown_by_a_browser() {
    let target = faulty(|request| match request {
        request if request.starts_with(b"ACK") => None,
        request => Some(if request.starts_with(b"INVITE") && number(request) % 7 == 3 { 503 } else { 200 }),
    });
    let file = File::new("shown", "");
    let page = Path::new(file.name()).with_extension("html");
    let name = page.display().to_string();
    let (_, run) = calls(&target, &["--rate", "20,40", "--duration", "2s", "--min-success", "0.99", "--html", &name]);
    assert_eq!(counts(&run)[0], 120, "{run}");
    let seen = peers::show(&page);
    let removed = std::fs::remove_file(&page);
    let Some(seen) = seen else { return };
    let seen = seen.expect("it is shown");
    removed.expect("it was there");
    assert_eq!(
        (&seen["errors"], seen["title"].as_str()),
        (&Value::Array(Vec::new()), Some(&*format!("sipload: INVITE to {target}")))
    );
    // Nothing has to be scrolled sideways, and each plot has a size and lines.
    assert!(seen["width"].as_f64().is_some_and(|width| width <= 1100.0), "{seen}");
    let plots = seen["plots"].as_array().expect("an array");
    assert_eq!(plots.len(), 4, "{seen}");
    for plot in plots {
        let at = |name: &str| plot[name].as_f64().expect("a number");
        assert!(at("width") > 300.0 && at("height") > 100.0 && at("right") <= 1100.0, "{plot}");
        let lines = plot["lines"].as_array().expect("an array");
        assert!(!lines.is_empty() && lines.iter().any(|line| line.as_f64() > Some(50.0)), "{plot}");
    }
}
