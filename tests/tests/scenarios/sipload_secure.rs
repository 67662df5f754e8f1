//! The load generator over TLS and WebSocket, by several connections, and where passwords are asked for.

use crate::passwords::asking;
use crate::repro::{LIMIT, address};
use crate::sipload::{SOME, calls, counts, sipload, summary, uas};
use crate::tls::Site;
use tests::peers::{self, Repro};

/// The arguments for a certificate, and for the CA that it leads to.
fn certificates(site: &Site) -> ([String; 4], [String; 2]) {
    let path = |name: &str| site.path(name).display().to_string();
    let own = ["--tls-cert".into(), path("own.pem"), "--tls-key".into(), path("own.key")];
    (own, ["--tls-trust".into(), path("ca.pem")])
}

fn texts(all: &[String]) -> Vec<&str> {
    all.iter().map(String::as_str).collect()
}

#[test]
fn a_caller_and_a_callee_agree_over_tls_and_websocket() {
    let site = Site::new();
    site.issue(&["127.0.0.1"], |_| {});
    let (own, trust) = certificates(&site);
    let shards = &["--shards", "2"][..];
    let several = &["--connections", "3", "--ws-path", "/ws"][..];
    for (transport, both, caller) in [
        ("tls", &[][..], &[][..]),
        ("ws", &[], &[]),
        ("wss", &[], several),
        ("tls", shards, several),
        ("udp", &[], several),
    ] {
        let callee = uas(&format!("{transport}:127.0.0.1:0"), &[&texts(&own)[..], both].concat());
        let target = format!("sip:service@{};transport={transport}", address(&callee, transport));
        let (code, run) = calls(&target, &[&SOME[..], &texts(&trust), both, caller].concat());
        assert_eq!((code, counts(&run)), (Some(0), [50, 50, 0]), "{transport} {both:?} {caller:?}: {run}");
    }
}

#[test]
fn calls_through_the_proxy_over_tls_and_websocket() {
    let site = Site::new();
    site.issue(&["127.0.0.1"], |_| {});
    let (own, trust) = certificates(&site);
    let config = site.config();
    let listen = ["--listen", "tls:127.0.0.1:0", "--listen", "wss:127.0.0.1:0", "--listen", "ws:127.0.0.1:0"];
    let proxy = Repro::start(&[&["--config", config.as_str()], &listen[..]].concat(), 3).expect("it starts");
    let callee = uas("tls:127.0.0.1:0", &texts(&own));
    let target = format!("sip:service@{};transport=tls", address(&callee, "tls"));
    for transport in ["tls", "wss", "ws"] {
        let via = format!("sip:{};transport={transport}", address(&proxy, transport));
        let more = ["--via", &via, "--connections", "2", "--rate", "20", "--duration", "500ms", "--min-success", "1"];
        let (code, run) = calls(&target, &[&more[..], &texts(&trust)].concat());
        assert_eq!((code, counts(&run)), (Some(0), [10, 10, 0]), "{transport}: {run}");
    }
}

#[test]
fn who_is_not_whom_he_should_be_gets_no_calls() {
    let site = Site::new();
    site.issue(&["127.0.0.1"], |_| {});
    let (own, _) = certificates(&site);
    let callee = uas("tls:127.0.0.1:0", &texts(&own));
    let target = format!("sip:service@{};transport=tls", address(&callee, "tls"));
    let other = Site::new();
    let (_, trust) = certificates(&other);
    let (code, run) = calls(&target, &[&["--rate", "10", "--duration", "300ms"][..], &texts(&trust)].concat());
    assert_eq!((code, counts(&run)), (Some(1), [3, 0, 3]), "{run}");
    assert_eq!(run["causes"]["INVITE: TLS or WebSocket handshake failed"], 3, "{run}");
}

#[test]
fn certificates_that_are_missing_are_told_in_one_line() {
    let call = ["call", "--target", "sip:a@127.0.0.1;transport=tls", "--rate", "1", "--tls-trust", "/nowhere/ca.pem"];
    for (args, text) in [
        (&["uas", "--listen", "tls:127.0.0.1:0"][..], "--listen tls: needs a certificate: add --tls-cert"),
        (&["uas", "--listen", "wss:127.0.0.1:0"], "--listen wss: needs"),
        (&call, "--tls-trust: /nowhere/ca.pem"),
    ] {
        let (status, output) = sipload(args).finish(LIMIT).expect("it ends by itself");
        assert_eq!((status.code(), output.lines().count()), (Some(2), 1), "{output}");
        assert!(output.starts_with("sipload: ") && output.contains(text), "{output}");
    }
}

#[test]
fn calls_of_users_with_passwords() {
    let proxy = asking("calls", "", "inline");
    let via = format!("sip:{}", address(&proxy, "udp"));
    let bob = format!("udp:{}:5060", peers::loopback());
    let common = ["--json", "--via", &via, "--min-success", "1", "--rate", "10", "--duration", "300ms"];
    let who = ["--users", "bob@example.com", "--password", "builder", "--listen", &bob];
    let register = ["register", "--target", "sip:example.com"];
    let (code, run) = summary(sipload(&[&register[..], &common, &who].concat()));
    assert_eq!((code, counts(&run)), (Some(0), [3, 3, 0]), "{run}");
    let _callee = uas(&bob, &[]);
    let who = ["--users", "alice@example.com", "--password", "wonderland"];
    let call = ["call", "--target", "sip:bob@example.com"];
    let (code, run) = summary(sipload(&[&call[..], &common, &who].concat()));
    assert_eq!((code, counts(&run)), (Some(0), [3, 3, 0]), "{run}");
}
