//! The user agent at the command line through the proxy: registrations, calls, texts, subscriptions, traces.

use crate::end::signal;
use crate::passwords::asking;
use crate::repro::{LIMIT, address, start};
use crate::sip_cli::{ended, events, run, sip};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use tests::peers::{Process, sip_binary};

/// One that waits for others, and where it listens.
pub(crate) struct Waiting {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

pub(crate) fn waiting(args: &[&str]) -> Waiting {
    let mut process = sip(&[args, &["--listen", "udp:127.0.0.1:0"]].concat(), &[]);
    let listens =
        |line: &str| line.split_once("127.0.0.1:").map(|(_, port)| port.trim_matches(['"', '}', ',']).to_owned());
    let port = process.wait_for(LIMIT, |line| listens(line.split(",\"event\"").next()?)).expect("it listens");
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    Waiting { process, address: format!("127.0.0.1:{port}").parse().expect("an address") }
}

/// Registers a contact for a user at a proxy.
fn register(user: &str, proxy: SocketAddr, contact: SocketAddr) {
    let (aor, contact) = (format!("sip:{user}@{proxy}"), format!("sip:{user}@{contact}"));
    let (code, output) = run(&["register", &aor, "--contact", &contact, "--expires", "600"]);
    assert!(code == 0 && output.contains(&contact), "{code}: {output}");
}

#[test]
fn bindings_are_added_listed_and_removed_with_a_password() {
    let repro = asking("sip-register", "", "inline");
    let proxy = format!("sip:{}", address(&repro, "tcp")) + ";transport=tcp";
    let common = ["register", "sip:bob@example.com", "--proxy", &proxy];
    let contacts = ["--contact", "<sip:bob@127.0.0.1:5999>;q=0.5", "--contact", "sip:bob@127.0.0.1:5998"];
    let register = |more: &[&str], environment: &[(&str, &str)]| ended(sip(&[&common, more].concat(), environment));
    let (code, output) = register(&contacts, &[]);
    assert!(code == 5 && output.contains("401 Unauthorized"), "{code}: {output}");
    let (code, output) = register(&contacts, &[("SIP_PASSWORD", "wonderland")]);
    assert_eq!(code, 5, "alice's: {output}");
    let own = [("SIP_USER", "bob"), ("SIP_PASSWORD", "builder")];
    let more = ["--expires", "600", "-v", "--ladder"];
    let (code, output) = register(&[&contacts[..], &more].concat(), &own);
    assert_eq!(code, 0, "{output}");
    let row = |contact: &str| output.lines().find(|line| line.starts_with(contact)).map(str::to_owned);
    let words = |row: String| row.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(row("contact").map(words).expect("a heading"), ["contact", "expires", "q", "more"]);
    assert_eq!(words(row("sip:bob@127.0.0.1:5999").expect("a binding"))[1..3], ["600", "0.5"], "{output}");
    assert!(output.contains("response=(hidden)") && !output.contains("builder"), "no secret is shown: {output}");
    // The ladder: a challenge, and the answer to it.
    assert_eq!(output.matches("- REGISTER -").count(), 2, "{output}");

    let file = std::env::temp_dir().join(format!("sip-credentials-{}", std::process::id()));
    fs::write(&file, "SIP_USER=bob\nSIP_PASSWORD=builder\n").expect("a temporary file");
    let credentials = ["--credentials", file.to_str().expect("UTF-8"), "--json"];
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("it is ours");
    let (code, output) = register(&credentials, &[]);
    assert!(code == 2 && output.contains("others may read it"), "{code}: {output}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let (code, output) = register(&credentials, &[]);
    let bindings = events(&output, "bindings").remove(0);
    assert_eq!((code, bindings["bindings"].as_array().map(Vec::len)), (0, Some(2)), "{output}");
    let (code, output) = register(&[&credentials[..], &["--remove", "sip:bob@127.0.0.1:5999"]].concat(), &[]);
    let bindings = events(&output, "bindings").remove(0);
    assert_eq!((code, &bindings["bindings"][0]["contact"]), (0, &"sip:bob@127.0.0.1:5998".into()), "{output}");
    let (code, output) = register(&["--credentials", credentials[1], "--remove-all"], &[]);
    assert!(code == 0 && output.contains("no bindings of sip:bob@example.com"), "{code}: {output}");
    fs::remove_file(&file).expect("it is ours");
}

/// A registrar that wants it longer gets it longer.
#[test]
fn a_short_registration_becomes_longer() {
    let repro = start(&[]);
    let aor = format!("sip:bob@{}", address(&repro, "udp"));
    let (code, output) = run(&["register", &aor, "--contact", "sip:bob@127.0.0.1:5999", "--expires", "5", "--ladder"]);
    assert_eq!(code, 0, "{output}");
    assert!(output.contains("423 Interval Too Brief") && output.contains("  60"), "{output}");
}

#[test]
fn a_call_through_the_proxy() {
    for transport in ["udp", "tcp"] {
        let repro = start(&[]);
        let answerer = waiting(&["answer", "--count", "1"]);
        register("bob", address(&repro, "udp"), answerer.address);
        let target = format!("sip:bob@{}", address(&repro, "udp"));
        let proxy = format!("sip:{};transport={transport}", address(&repro, transport));
        let (code, output) =
            run(&["call", &target, "--proxy", &proxy, "--from", "sip:alice@127.0.0.1", "--seconds", "0.1", "--ladder"]);
        assert_eq!(code, 0, "{output}");
        for said in ["180 Ringing (", "answered: 200 OK (", "hung up", "- INVITE (sdp) -", "- ACK -", "- BYE -"] {
            assert!(output.contains(said), "{said}: {output}");
        }
        let (code, output) = ended(answerer.process);
        assert_eq!(code, 0, "{output}");
        for said in ["call 1: from sip:alice@127.0.0.1", "call 1: answered", "call 1: the peer hung up"] {
            assert!(output.contains(said), "{said}: {output}");
        }
    }
}

#[test]
fn a_call_that_is_refused_or_not_answered() {
    let repro = start(&[]);
    let busy = waiting(&["answer", "--reject", "486", "--count", "1"]);
    register("busy", address(&repro, "udp"), busy.address);
    let (code, output) = run(&["call", &format!("sip:busy@{}", address(&repro, "udp")), "--json"]);
    let end = events(&output, "ended").remove(0);
    assert_eq!((code, &end["status"], &end["what"]), (1, &486.into(), &"refused".into()), "{output}");
    assert_eq!(ended(busy.process).0, 0);

    let slow = waiting(&["answer", "--ring", "60", "--count", "1"]);
    register("slow", address(&repro, "udp"), slow.address);
    let target = format!("sip:slow@{}", address(&repro, "udp"));
    let (code, output) = run(&["call", &target, "--timeout", "500ms", "--ladder"]);
    assert!(code == 3 && output.contains("- CANCEL -") && output.contains("given up"), "{code}: {output}");
    let (code, output) = ended(slow.process);
    assert!(code == 0 && output.contains("call 1: the caller gave up"), "{code}: {output}");

    let (code, output) = run(&["call", &format!("sip:nobody@{}", address(&repro, "udp"))]);
    assert!(code == 1 && output.contains("refused: 404"), "{code}: {output}");
}

/// It rings for a while and is then taken, without the caller's doing.
#[test]
fn ringing_ends_with_the_answer() {
    let answerer = waiting(&["answer", "--ring", "200ms", "--count", "1"]);
    let (code, output) = run(&["call", &format!("sip:bob@{}", answerer.address), "--seconds", "0", "--json"]);
    let at = |kind: &str| events(&output, kind).first().and_then(|event| event["ms"].as_f64()).expect("it happened");
    assert!(code == 0 && at("answered") - at("progress") > 100.0, "{code}: {output}");
    assert_eq!(ended(answerer.process).0, 0);
}

#[test]
fn a_signal_ends_calls_with_cancel_and_bye() {
    let slow = waiting(&["answer", "--ring", "60", "--count", "1"]);
    let mut caller = sip(&["call", &format!("sip:bob@{}", slow.address)], &[]);
    caller.wait_for(LIMIT, |line| line.contains("180 Ringing").then_some(())).expect("it rings");
    signal(&caller, "INT");
    let (code, output) = ended(caller);
    assert!(code == 130 && output.contains("given up"), "{code}: {output}");
    let (code, output) = ended(slow.process);
    assert!(code == 0 && output.contains("the caller gave up"), "{code}: {output}");

    // The called side ends it: by BYE, and the caller with it.
    let mut answerer = waiting(&["answer"]);
    let caller = sip(&["call", &format!("sip:bob@{}", answerer.address)], &[]);
    answerer.process.wait_for(LIMIT, |line| line.contains("answered").then_some(())).expect("it is answered");
    signal(&answerer.process, "TERM");
    let (code, output) = ended(answerer.process);
    assert!(code == 0 && output.contains("call 1: hung up"), "{code}: {output}");
    let (code, output) = ended(caller);
    assert!(code == 0 && output.contains("the peer hung up"), "{code}: {output}");

    let mut answerer = waiting(&["answer", "--count", "1"]);
    let caller = sip(&["call", &format!("sip:bob@{}", answerer.address)], &[]);
    answerer.process.wait_for(LIMIT, |line| line.contains("answered").then_some(())).expect("it is answered");
    signal(&caller, "INT");
    let (code, output) = ended(caller);
    assert!(code == 0 && output.contains("hung up"), "{code}: {output}");
    assert_eq!(ended(answerer.process).0, 0);
}

#[test]
fn texts_are_sent_and_shown() {
    let repro = start(&[]);
    let inbox = waiting(&["message", "--receive", "--count", "2", "--json"]);
    register("bob", address(&repro, "udp"), inbox.address);
    let target = format!("sip:bob@{}", address(&repro, "udp"));
    let (code, output) = run(&["message", &target, "grüße\x1b[2J", "--from", "sip:alice@127.0.0.1"]);
    assert!(code == 0 && output.contains("200 OK ("), "{code}: {output}");
    let mut piped = Command::new("sh");
    piped.args(["-c", "printf 'two\\nlines' | exec \"$0\" \"$@\""]).arg(sip_binary().expect("it can be built"));
    let (code, output) = ended(Process::start(piped.args(["message", &target])).expect("there is a shell"));
    assert!(code == 0 && output.contains("200 OK ("), "{code}: {output}");
    let (code, output) = ended(inbox.process);
    let texts = events(&output, "message");
    let bodies: Vec<_> = texts.iter().map(|text| text["body"].as_str().expect("a text")).collect();
    assert_eq!((code, bodies), (0, vec!["grüße\u{1b}[2J", "two\nlines"]), "{output}");
    assert_eq!(texts[0]["from"], "sip:alice@127.0.0.1");
    assert!(!output.contains('\x1b'), "{output}");
}

#[test]
fn a_subscription_to_registrations() {
    let repro = start(&[]);
    let proxy = address(&repro, "udp");
    let aor = format!("sip:bob@{proxy}");
    register("bob", proxy, "127.0.0.1:5998".parse().expect("an address"));
    let mut watcher = sip(&["subscribe", &aor, "--event", "reg", "--from", &aor, "--count", "2"], &[]);
    watcher.wait_for(LIMIT, |line| line.contains("127.0.0.1:5998: active").then_some(())).expect("a first NOTIFY");
    register("bob", proxy, "127.0.0.1:5999".parse().expect("an address"));
    let (code, output) = ended(watcher);
    assert_eq!((code, output.matches("NOTIFY: active").count()), (0, 2), "{output}");
    assert!(
        output.contains("  partial, version 1") && output.contains("127.0.0.1:5999: active, registered"),
        "{output}"
    );
    // Once.
    let (code, output) = run(&["subscribe", &aor, "--event", "reg", "--from", &aor, "--expires", "0", "--json"]);
    let told = events(&output, "notify");
    assert!(code == 0 && told.len() == 1, "{code}: {output}");
    assert!(told[0]["state"].as_str().is_some_and(|state| state.starts_with("terminated")), "{output}");
    assert!(told[0]["body"].as_str().is_some_and(|body| body.contains("127.0.0.1:5999")), "{output}");
    let (code, output) = run(&["subscribe", &format!("sip:nobody@{proxy}"), "--event", "dialog", "--json"]);
    assert_eq!((code, &events(&output, "response")[0]["status"]), (1, &404.into()), "{output}");
}

#[test]
fn the_way_through_two_proxies() {
    let (one, two) = (start(&[]), start(&[]));
    let callee = waiting(&["answer"]);
    register("bob", address(&two, "udp"), callee.address);
    let (first, target) = (format!("sip:{}", address(&one, "udp")), format!("sip:bob@{}", address(&two, "udp")));
    let (code, output) = run(&["trace", &target, "--proxy", &first, "--json"]);
    let hops: Vec<_> = events(&output, "hop").iter().map(|hop| hop["status"].as_u64()).collect();
    assert_eq!((code, hops), (0, vec![Some(483), Some(483), Some(200)]), "{output}");
    let (code, output) = run(&["trace", &target, "--proxy", &first]);
    assert!(code == 0 && output.contains("  0  483 Too Many Hops") && output.contains("  2  200 OK"), "{output}");
    assert!(output.contains("     Via: SIP/2.0/UDP 127.0.0.1:"), "{output}");
    // The first proxy answers for itself when Max-Forwards is over and it is the one that is asked.
    let (code, output) = run(&["trace", &first, "--json"]);
    assert_eq!((code, events(&output, "hop").len()), (0, 1), "{output}");
    // The second is gone: what is known is shown, and the exit code says that it did not get there.
    drop(two);
    let (code, output) = run(&["trace", &target, "--proxy", &first, "--json"]);
    let hops: Vec<_> = events(&output, "hop").iter().map(|hop| hop["status"].as_u64()).collect();
    assert_eq!((code, hops), (1, vec![Some(483), Some(500)]), "{output}");
}
