//! What the proxy writes of calls and registrations, for billing.

use crate::admin::get;
use crate::end::signal;
use crate::phone::{Call, Phone};
use crate::repro::{ANY_PORT, File, LIMIT, address, refusal};
use serde_json::Value;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tests::peers::{self, Repro, Sipp};

/// A directory for one test, removed afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("repro-accounting-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        fs::create_dir_all(&path).expect("a directory");
        Folder(path)
    }

    /// The lines of all files there, the oldest file first.
    fn lines(&self) -> Vec<Value> {
        let mut files: Vec<_> =
            fs::read_dir(&self.0).expect("it is there").map(|entry| entry.expect("a file").path()).collect();
        let number = |path: &Path| path.extension().and_then(|last| last.to_str()?.parse::<u32>().ok()).unwrap_or(0);
        files.sort_by_key(|path| std::cmp::Reverse(number(path)));
        let texts = files.iter().map(|path| fs::read_to_string(path).expect("text")).collect::<String>();
        texts.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A proxy that writes to a file, with an HTTP server.
fn start(name: &str, placement: &str, file: &Path, more: &str) -> (Repro, File) {
    let text = format!("[accounting]\nfile = \"{}\"\n{more}[admin]\nlisten = \"127.0.0.1:0\"\n", file.display());
    let config = File::new(&format!("accounting-{name}"), &text);
    let more = ["--config", config.name(), "--placement", placement, "--log", "info"];
    let args: Vec<&str> = ANY_PORT.iter().copied().chain(more).collect();
    (Repro::start(&args, 3).expect("it starts"), config)
}

/// Ends it, so that all is written, and gives what it printed.
pub(crate) fn end(repro: Repro) -> String {
    let process = repro.into_process();
    signal(&process, "TERM");
    let (status, output) = process.finish(LIMIT).expect("it ends");
    assert_eq!(status.code(), Some(0), "{output}");
    output
}

fn count(lines: &[Value], event: &str) -> usize {
    lines.iter().filter(|line| line["event"] == event).count()
}

/// Calls of SIPp through the proxy, `meanwhile` while they go on.
pub(crate) fn calls(proxy: SocketAddr, calls: u32, rate: u32, meanwhile: impl FnOnce()) {
    let side =
        |scenario, local, calls, remote, more| Sipp { scenario, local, remote, calls, rate, transport: "u1", more };
    let [caller, called] = [(); 2].map(|()| SocketAddr::from((peers::loopback(), 5060)));
    let domain = proxy.to_string();
    let keys = ["-s", "bob", "-key", "domain", &domain];
    let registered = side("register.xml", called, 1, Some(proxy), &keys[..]).run(LIMIT).expect("it ends");
    assert_eq!((registered.successful, registered.failed), (1, 0));
    let called = side("uas_call.xml", called, calls, None, &[]).start().expect("the called side starts");
    let caller = side("uac_call.xml", caller, calls, Some(proxy), &keys[..2]).start().expect("the caller starts");
    meanwhile();
    let stats = caller.finish(LIMIT).expect("the caller ends");
    assert_eq!((stats.successful, stats.failed), (u64::from(calls), 0));
    let stats = called.finish(LIMIT).expect("the called side ends");
    assert_eq!((stats.successful, stats.failed), (u64::from(calls), 0));
}

#[test]
fn each_call_is_told_once_when_it_is_answered_and_once_when_it_ends() {
    if !peers::available("sipp") {
        return;
    }
    for placement in ["inline", "sharded:2"] {
        let folder = Folder::new(placement);
        let (repro, _config) = start(placement, placement, &folder.0.join("a.jsonl"), "");
        let proxy = address(&repro, "udp");
        calls(proxy, 100, 50, || {});
        // One that fails, one that is given up.
        let [alice, bob] = ["alice", "bob"].map(|name| Phone::new(name, proxy));
        alice.send(&alice.request("INVITE", &bob, "fails", 1));
        bob.answer(&bob.hear("INVITE "), 486);
        alice.hear("SIP/2.0 486 ");
        let ringing = Call::ring(&alice, &bob, "given-up");
        ringing.cancel();
        bob.hear("CANCEL ");
        bob.answer(ringing.invite(), 487);
        alice.hear("SIP/2.0 487 ");
        let (_, metrics) = get(address(&repro, "http"), "/metrics");
        for counted in [
            "repro_calls_attempted_total 102",
            "repro_calls_answered_total 100",
            "repro_calls_cancelled_total 1",
            "repro_calls_challenged_total 0",
            "repro_calls_failed_total{class=\"4xx\"} 1",
            "repro_calls_failed_total{class=\"5xx\"} 0",
            "repro_requests_ended_total{processor=\"registrar\"} 1",
            "repro_requests_forked_total 0",
        ] {
            assert!(metrics.contains(&format!("\n{counted}\n")), "{counted}: {metrics}");
        }
        end(repro);
        let lines = folder.lines();
        assert_eq!(count(&lines, "registration_added"), 1, "{lines:?}");
        assert_eq!((count(&lines, "session_established"), count(&lines, "session_ended")), (100, 100), "{lines:?}");
        let ended = lines.iter().filter(|line| line["event"] == "session_ended");
        for line in ended {
            let established = |other: &&Value| {
                other["event"] == "session_established"
                    && ["call_id", "from_tag", "to_tag"].iter().all(|key| other[key] == line[key])
            };
            assert_eq!(lines.iter().filter(established).count(), 1, "{line}");
            assert!(line["hung_up"] == "caller" && line["duration_ms"].is_u64() && line["code"] == 200, "{line}");
            assert!(line["target"].as_str().is_some_and(|target| target.starts_with("sip:")), "{line}");
        }
        let other: Vec<_> = lines.iter().filter(|line| line["code"].as_u64() > Some(299)).collect();
        let told: Vec<_> = other.iter().map(|line| (&line["event"], &line["call_id"], &line["code"])).collect();
        let expected = [("session_failed", "fails", 486), ("session_cancelled", "given-up", 487)]
            .map(|(event, call, code)| (Value::from(event), Value::from(call), Value::from(code)));
        assert_eq!(told, expected.iter().map(|(event, call, code)| (event, call, code)).collect::<Vec<_>>());
        assert_eq!(lines.len(), 203, "nothing else is told");
    }
}

/// Carol's contact is an address of the proxy: what is for her passes it twice, and so does the BYE, whoever sends it.
#[test]
fn a_call_that_passes_twice_is_told_twice_with_both_ends() {
    let folder = Folder::new("spiral");
    let (repro, _config) = start("spiral", "inline", &folder.0.join("a.jsonl"), "registrations = false\n");
    let proxy = address(&repro, "udp");
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| Phone::new(name, proxy));
    let elsewhere = String::from_utf8(carol.register(1, 600)).expect("it is UTF-8");
    let elsewhere = elsewhere.replace(&carol.uri(), &format!("sip:bob@{proxy}"));
    for (phone, register) in [(&bob, bob.register(1, 600)), (&carol, elsewhere.into_bytes())] {
        phone.send(&register);
        phone.hear("SIP/2.0 200 ");
    }
    for (id, hung_up) in [("one", "caller"), ("two", "callee")] {
        let mut call = Call::ring_at(&alice, &bob, &format!("sip:carol@{proxy}"), id);
        call.pick_up();
        call.acknowledge();
        let (from, to, bye) = match hung_up {
            "caller" => (&alice, &bob, call.by_caller("BYE", 2)),
            _ => (&bob, &alice, call.by_called("BYE", 2)),
        };
        from.send(&bye);
        to.answer(&to.hear("BYE "), 200);
        from.hear("SIP/2.0 200 ");
    }
    end(repro);
    let lines = folder.lines();
    for (id, hung_up) in [("one", "caller"), ("two", "callee")] {
        let of_call = |event: &str| {
            let of_call = lines.iter().filter(|line| line["call_id"] == id && line["event"] == event);
            of_call.map(|line| [&line["request_uri"], &line["target"]].map(|uri| uri.to_string())).collect::<Vec<_>>()
        };
        let quoted = |uri: String| format!("\"{uri}\"");
        let [own, carol] = ["bob", "carol"].map(|user| quoted(format!("sip:{user}@{proxy}")));
        // The answer passes the inner one first.
        let both = [[own.clone(), quoted(bob.uri())], [carol, own]];
        assert_eq!([of_call("session_established"), of_call("session_ended")], [both.to_vec(), both.to_vec()], "{id}");
        assert!(
            lines.iter().all(|line| line["call_id"] != id
                || line["event"] == "session_established"
                || line["hung_up"] == hung_up)
        );
    }
    assert_eq!(lines.len(), 8, "{lines:?}");
}

/// Files that are full are followed by others, and one is renamed by somebody else who sends SIGHUP: no line is lost.
#[test]
fn no_line_is_lost_when_files_are_rotated_under_load() {
    if !peers::available("sipp") {
        return;
    }
    let folder = Folder::new("rotated");
    let file = folder.0.join("a.jsonl");
    let (mut repro, _config) = start("rotated", "inline", &file, "max_octets = 131072\n");
    let (proxy, admin) = (address(&repro, "udp"), address(&repro, "http"));
    let process = repro.process();
    calls(proxy, 600, 200, || {
        // When there are lines to be moved away.
        while !fs::metadata(&file).is_ok_and(|there| there.len() > 10_000) {
            assert!(process.exited().is_none());
        }
        fs::rename(&file, folder.0.join("a.jsonl.900")).expect("it can be renamed");
        signal(process, "HUP");
    });
    let (_, metrics) = get(admin, "/metrics");
    assert!(metrics.contains("\nrepro_accounting_writable 1\n"), "{metrics}");
    assert!(metrics.contains("\nrepro_accounting_events_shed_total 0\n"), "{metrics}");
    end(repro);
    let files = fs::read_dir(&folder.0).expect("it is there").count();
    assert!(files >= 4, "{files} files");
    let large = |entry: fs::DirEntry| entry.metadata().expect("a file").len() > 131_072;
    assert!(!fs::read_dir(&folder.0).expect("it is there").any(|entry| large(entry.expect("a file"))));
    let lines = folder.lines();
    let counts = ["registration_added", "session_established", "session_ended"].map(|event| count(&lines, event));
    assert_eq!((counts, lines.len()), ([1, 600, 600], 1201));
}

/// A disk that is full stops no call. It is told once, and nothing is lost that fits into the FIFO.
#[test]
fn a_full_disk_stops_no_call_and_heals() {
    let folder = Folder::new("full");
    let link = folder.0.join("link");
    std::os::unix::fs::symlink("/dev/full", &link).expect("a link");
    let (mut repro, _config) = start("full", "inline", &link, "");
    let (proxy, admin) = (address(&repro, "udp"), address(&repro, "http"));
    let [alice, bob] = ["alice", "bob"].map(|name| Phone::new(name, proxy));
    for call in ["one", "two", "three"] {
        Call::establish(&alice, &bob, call);
    }
    let full = |line: &str| line.contains("No space left on device").then_some(());
    repro.process().wait_for(LIMIT, full).expect("it says so");
    let writable = |value: u32| get(admin, "/metrics").1.contains(&format!("\nrepro_accounting_writable {value}\n"));
    assert!(writable(0));
    // There is room again.
    let file = folder.0.join("a.jsonl");
    let new = folder.0.join("new");
    std::os::unix::fs::symlink(&file, &new).expect("a link");
    fs::rename(&new, &link).expect("it takes its place");
    let healed = |line: &str| line.contains("accounting is written again").then_some(());
    repro.process().wait_for(LIMIT, healed).expect("it tries again");
    assert!(writable(1));
    let output = end(repro);
    assert_eq!(output.matches("No space left on device").count(), 1, "{output}");
    let text = fs::read_to_string(&file).expect("it is there");
    assert_eq!(text.lines().filter(|line| line.contains("\"session_established\"")).count(), 3, "{text}");
}

#[test]
fn a_file_that_cannot_be_opened_is_told_at_the_start() {
    let config = File::new("accounting-nowhere", "[accounting]\nfile = \"/nowhere/a.jsonl\"\n");
    let said = refusal(&["--config", config.name(), "--listen", "udp:127.0.0.1:0"]);
    let place = format!("{}:2: accounting.file: /nowhere/a.jsonl: No such file", config.name());
    assert!(said.contains(&place), "{said}");
}
