//! The user agent at the command line as a program: beside the proxy, SIPp, and peers with faults.

use crate::repro::{LIMIT, address, start};
use serde_json::Value;
use std::net::UdpSocket;
use std::process::Command;
use tests::corpus;
use tests::peers::{Process, sip_binary};
use tests::raw;
use tests::verdict::Parse;

/// Starts `sip`, without credentials of the environment.
pub(crate) fn sip(args: &[&str], environment: &[(&str, &str)]) -> Process {
    let mut command = Command::new(sip_binary().expect("it can be built"));
    for name in ["SIP_USER", "SIP_PASSWORD", "SIP_REALM"] {
        command.env_remove(name);
    }
    Process::start(command.args(args).envs(environment.iter().copied())).expect("it can be run")
}

/// Its exit code and all that it wrote.
pub(crate) fn ended(process: Process) -> (i32, String) {
    let (status, output) = process.finish(LIMIT).expect("it ends");
    (status.code().expect("it ends by itself"), output)
}

/// The same of one that begins now.
pub(crate) fn run(args: &[&str]) -> (i32, String) {
    ended(sip(args, &[]))
}

/// The events of a kind that it wrote as JSON lines.
pub(crate) fn events(output: &str, kind: &str) -> Vec<Value> {
    let lines = output.lines().filter(|line| line.starts_with('{'));
    let all = lines.map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    all.filter(|event| event["event"] == kind).collect()
}

#[test]
fn options_of_the_proxy() {
    let proxy = start(&[]);
    for transport in ["udp", "tcp"] {
        let target = format!("sip:{}", address(&proxy, transport));
        let (code, output) = run(&["options", &target, "--transport", transport, "--ladder", "-v"]);
        assert_eq!(code, 0, "{output}");
        assert!(output.contains("200 OK (") && output.contains("  Allow: "), "{output}");
        assert!(output.contains("|--------") && output.contains("OPTIONS"), "the ladder: {output}");
        assert!(output.contains(&format!("sent by {}: ", transport.to_uppercase())), "the messages: {output}");
        let (code, output) = run(&["options", &target, "--transport", transport, "--json"]);
        let (answers, results) = (events(&output, "response"), events(&output, "result"));
        assert_eq!((code, answers.len(), results.len()), (0, 1, 1), "{output}");
        assert_eq!((&answers[0]["status"], &results[0]["code"]), (&200.into(), &0.into()));
        assert!(answers[0]["headers"]["Allow"][0].as_str().is_some_and(|allow| allow.contains("REGISTER")), "{output}");
    }
}

#[test]
fn exit_codes_of_options() {
    let proxy = start(&[]);
    let nobody = format!("sip:nobody@{}", address(&proxy, "udp"));
    let (code, output) = run(&["options", &nobody]);
    assert!(code == 1 && output.contains("404 Not Found"), "{code}: {output}");
    // Bound, and says nothing.
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let target = format!("sip:{}", silent.local_addr().expect("bound"));
    let (code, output) = run(&["options", &target, "--timeout", "300ms"]);
    assert!(code == 3 && output.contains("does not answer"), "{code}: {output}");
    drop(silent);
    for transport in ["udp", "tcp"] {
        let (code, output) = run(&["options", &target, "--transport", transport]);
        assert!(code == 4 && output.contains("cannot be reached: connection refused"), "{code}: {output}");
    }
    let (code, output) = run(&["options", "bob"]);
    assert!(code == 2 && output.contains("expected a URI"), "{code}: {output}");
    let (code, output) = run(&["options", "sip:127.0.0.1", "--credentials", "/no/such/file"]);
    assert!(code == 2 && output.contains("/no/such/file"), "{code}: {output}");
}

/// Each says it in one line on standard error, whatever the command.
#[test]
fn a_peer_that_says_nothing_or_is_not_there_is_told_of_by_each_command() {
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let target = format!("sip:a@{}", silent.local_addr().expect("bound"));
    let commands = ["options", "call", "message", "subscribe", "publish", "register"];
    let each = |code: i32, what: &str| {
        let started = commands.map(|command| {
            let more: &[&str] = match command {
                "message" => &["hello"],
                "publish" => &["--status", "open"],
                _ => &[],
            };
            sip(&[&[command, &target, "--timeout", "300ms", "--json"], more].concat(), &[])
        });
        for (command, process) in commands.into_iter().zip(started) {
            let (status, output) = ended(process);
            let lines: Vec<_> = output.lines().filter(|line| line.starts_with("sip: ")).collect();
            assert_eq!(status, code, "{command}: {output}");
            assert!(lines.len() == 1 && lines[0].contains(what), "{command}: {output}");
            assert_eq!(events(&output, "error").len(), 1, "{command}: {output}");
        }
    };
    each(3, " does not answer");
    drop(silent);
    each(4, " cannot be reached: ");
}

#[test]
fn what_cannot_be_sent_or_written_is_told_in_one_line() {
    let proxy = start(&[]);
    let target = format!("sip:{}", address(&proxy, "udp"));
    let (code, output) = run(&["options", &target, "--listen", "udp:[::1]:0"]);
    let wanted = "sip: --listen is IPv6, but the peer is reached by IPv4";
    assert_eq!((code, output.trim()), (2, wanted));
    let large = std::env::temp_dir().join(format!("sip-large-{}", std::process::id()));
    std::fs::write(&large, vec![b'x'; 70_000]).expect("a file");
    let name = large.to_str().expect("UTF-8");
    let (code, output) = run(&["torture", &target, name]);
    let wanted = format!("sip: {name}: 70000 octets do not fit into a datagram: send it by ;transport=tcp");
    assert_eq!((code, output.trim()), (2, &*wanted));
    std::fs::remove_file(&large).expect("it is there");
    // Who reads it would take half of it for all.
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let mut command = Command::new(sip_binary().expect("it can be built"));
    let output = command.args(["options", &target]).stdout(full).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.starts_with("sip: standard output: No space left"), "{said}");
}

/// A reason with an escape sequence, and a header with one, do nothing to a terminal.
#[test]
fn what_peers_say_moves_no_cursor() {
    let peer = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let target = format!("sip:{}", peer.local_addr().expect("bound"));
    for more in [&["-v", "--ladder"][..], &["--json"]] {
        let process = sip(&[&["options", &target], more].concat(), &[]);
        let mut buffer = [0; 4096];
        let (length, from) = peer.recv_from(&mut buffer).expect("a request");
        let answer = String::from_utf8(raw::response(&buffer[..length], 200)).expect("UTF-8");
        let answer = answer.replacen("200 As Asked", "200 \x1b[2J\u{9b}1mO\u{202e}K", 1);
        let answer = answer.replacen("\r\nContent-Length", "\r\nServer: \x07\x1b]0;x\x07\r\nContent-Length", 1);
        peer.send_to(answer.as_bytes(), from).expect("loopback");
        let (code, output) = ended(process);
        assert_eq!(code, 0, "{output}");
        let bad = |c: char| (c.is_control() && c != '\n' && c != '\t') || c == '\u{202e}';
        assert!(!output.contains(bad), "{output:?}");
        assert!(output.contains("[2J"), "{output}");
    }
}

/// What is malformed by the verdicts has a defect with a place, and what is well formed has none.
#[test]
fn the_torture_messages_are_parsed() {
    let mut checked = [0; 2];
    for case in corpus::own() {
        let file = corpus::folder().join(format!("{}.sip", case.name));
        let (code, output) = run(&["parse", "--json", file.to_str().expect("UTF-8")]);
        let report = events(&output, "message").remove(0);
        let defects = report["defects"].as_array().expect("a list").iter();
        let errors: Vec<_> = defects.filter(|defect| defect["grade"] == "error").collect();
        assert_eq!(code, i32::from(!errors.is_empty()), "{}: {output}", case.name);
        for defect in &errors {
            assert!(defect["line"].as_u64().is_some_and(|line| line > 0), "{}: {defect}", case.name);
            assert!(defect["rfc"].as_str().is_some_and(|rfc| rfc.starts_with("RFC ")), "{}: {defect}", case.name);
        }
        match case.verdict.parse {
            Parse::Accept => assert!(errors.is_empty(), "{} is well formed: {errors:?}", case.name),
            Parse::Reject => assert!(!errors.is_empty(), "{} is malformed", case.name),
            Parse::Either => continue,
        }
        checked[usize::from(case.verdict.parse == Parse::Reject)] += 1;
    }
    assert!(checked[0] > 20 && checked[1] > 10, "{checked:?}");
}

/// The proxy reacts to what is sent octet by octet: over TCP, where the answer comes back whatever the Via says.
#[test]
fn torture_messages_are_answered() {
    let proxy = start(&[]);
    let target = format!("sip:{};transport=tcp", address(&proxy, "tcp"));
    let file = |name: &str| corpus::folder().join(name).to_str().expect("UTF-8").to_owned();
    let (bad, unknown) = (file("badvers.sip"), file("unkscm.sip"));
    let (code, output) = run(&["torture", "--json", &target, &bad, &unknown]);
    let answers = events(&output, "answers");
    assert_eq!((code, answers.len()), (0, 2), "{output}");
    let status = |at: usize| answers[at]["answers"].as_array().and_then(|all| all.last()?["status"].as_u64());
    assert_eq!((status(0), status(1)), (Some(505), Some(416)), "{output}");
    // A response that nobody waits for is not answered.
    let (code, output) = run(&["torture", &target, &file("bigcode.sip"), "--timeout", "300ms"]);
    assert!(code == 3 && output.contains("no answer"), "{code}: {output}");
}
