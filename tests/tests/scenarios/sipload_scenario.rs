//! Scenarios that the load generator runs: its own, in TOML, and SIPp's, among them those that SIPp has built in.

use crate::end::signal;
use crate::passwords::asking;
use crate::repro::{LIMIT, address, start};
use crate::sipload::{calls, counts, sipload, summary, uas};
use crate::tls::Site;
use serde_json::Value;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use tests::peers::{self, Process, Repro, Sipp, sipload_binary};

/// A scenario in a file, removed afterwards.
struct Written(PathBuf);

impl Written {
    fn new(name: &str, text: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let count = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("sipload-{}-{count}-{name}", std::process::id()));
        std::fs::write(&path, text).expect("a temporary file");
        Written(path)
    }

    /// One that SIPp has built in, as it prints it.
    fn of_sipp(name: &str) -> Self {
        let output = Command::new("sipp").args(["-sd", name]).stdin(Stdio::null()).output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("</scenario>"), "{name}: {text}");
        Self::new(&format!("{name}.xml"), &text)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a plain name")
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Ten calls in half a second.
const TEN: [&str; 6] = ["--rate", "20", "--duration", "500ms", "--min-success", "1"];

/// Makes calls by a scenario.
fn play(file: &str, target: &str, more: &[&str]) -> (Option<i32>, Value) {
    summary(sipload(&[&["scenario", file, "--json", "--target", target], more].concat()))
}

/// Answers by a scenario.
fn answering(file: &str, listen: &str, more: &[&str]) -> Repro {
    let binary = sipload_binary().expect("it can be built");
    let mut command = Command::new(binary);
    command.args(["scenario", file, "--json", "--listen", listen]).args(more);
    Repro::start_command(&mut command, 1).expect("it listens")
}

/// Ends who answers; what it has counted.
pub(crate) fn ended(callee: Repro) -> Value {
    let callee = callee.into_process();
    signal(&callee, "INT");
    summary(callee).1
}

fn sipp_uas(name: &str, calls: &str) -> (Process, SocketAddr) {
    let local = SocketAddr::from((peers::loopback(), 5060));
    let mut command = Command::new("sipp");
    command.args(["-nostdin", "-sn", name, "-m", calls, "-i", &local.ip().to_string(), "-p", "5060"]);
    (Process::start(command.current_dir(std::env::temp_dir())).expect("it runs"), local)
}

const CALL: &str = r#"
name = "a call, and a question within it"

[[step]]
send = "INVITE"
sdp = true
headers = { Subject = "call {number} of {user}" }

[[step]]
expect = 200
optional = [100, 180, 183]
capture = { media = { body = true, regex = "m=audio ([0-9]+)" } }
or = { 486 = "busy", 5xx = "busy" }

[[step]]
send = "ACK"

[[step]]
pause = { uniform = ["10ms", "50ms"] }

[[step]]
send = "INFO"
headers = { X-Media = "{media}" }

[[step]]
expect = "2xx"

[[step]]
send = "BYE"

[[step]]
expect = 200

[[step]]
end = true

[[step]]
label = "busy"
fail = "the other side is busy"
"#;

const ANSWER: &str = r#"
[[step]]
expect = "INVITE"

[[step]]
send = 180

[[step]]
send = 200
sdp = true

[[step]]
expect = "ACK"

[[step]]
expect = "INFO"
capture = { media = { header = "X-Media", regex = "^[0-9]+$" } }

[[step]]
send = 200

[[step]]
expect = "BYE"

[[step]]
send = 200
"#;

#[test]
fn scenarios_of_ones_own_call_each_other() {
    let (call, answer) = (Written::new("call.toml", CALL), Written::new("answer.toml", ANSWER));
    let site = Site::new();
    site.issue(&["127.0.0.1"], |_| {});
    let path = |name: &str| site.path(name).display().to_string();
    let (cert, key, ca) = (path("own.pem"), path("own.key"), path("ca.pem"));
    let own = ["--tls-cert", &cert, "--tls-key", &key];
    let more = ["--users", "u{0..9}@example.com", "--tls-trust", &ca, "--connections", "2"];
    let shards = &["--shards", "2"][..];
    for (transport, both) in
        [("udp", &[][..]), ("tcp", &[]), ("tls", &[]), ("ws", &[]), ("udp", shards), ("tcp", shards)]
    {
        let callee = answering(answer.path(), &format!("{transport}:127.0.0.1:0"), &[&own[..], both].concat());
        let target = format!("sip:service@{};transport={transport}", address(&callee, transport));
        let (code, run) = play(call.path(), &target, &[&TEN[..], &more, both].concat());
        assert_eq!((code, counts(&run)), (Some(0), [10, 10, 0]), "{transport} {both:?}: {run}");
        for name in ["post_dial_delay", "answered", "bye"] {
            assert_eq!(run["times_ms"][name]["count"], 10, "{transport} {both:?}: {name}: {run}");
        }
        assert_eq!(counts(&ended(callee)), [10, 10, 0], "{transport} {both:?}");
    }
}

#[test]
fn a_scenario_of_ones_own_goes_through_the_proxy_with_a_password() {
    let proxy = asking("scenario", "", "inline");
    let text = "[[step]]\nsend = \"REGISTER\"\nuri = \"sip:example.com\"\nheaders = { To = \"<sip:{user}@{domain}>\", Expires = 60 }\n\
                [[step]]\nexpect = 200\nauthenticate = true\n";
    let register = Written::new("register.toml", text);
    let via = format!("sip:{}", address(&proxy, "udp"));
    let who = |password| ["--users", "bob@example.com", "--password", password, "--via", &via];
    let (code, run) = play(register.path(), "sip:example.com", &[&TEN[..], &who("builder")].concat());
    assert_eq!((code, counts(&run)), (Some(0), [10, 10, 0]), "{run}");
    let (code, run) = play(register.path(), "sip:example.com", &[&TEN[..], &who("wrong")].concat());
    assert_eq!((code, counts(&run)), (Some(1), [10, 0, 10]), "{run}");
}

/// Who is called stands in what SIPp's scenario says, whatever it goes through; and the proxy sends it there.
#[test]
fn sipps_remote_address_is_the_target_behind_a_proxy() {
    let sipp = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("sipp").join(name).display().to_string();
    let (proxy, callee) = (start(&[]), uas("udp:127.0.0.1:0", &[]));
    let target = format!("sip:service@{}", address(&callee, "udp"));
    let via = format!("sip:{}", address(&proxy, "udp"));
    let common = ["--rate", "10", "--duration", "200ms", "--min-success", "1", "--via", &via];
    let (code, run) = play(&sipp("uac_call.xml"), &target, &common);
    assert_eq!((code, counts(&run)), (Some(0), [2, 2, 0]), "{run}");
    assert_eq!(counts(&ended(callee)), [2, 2, 0]);
}

#[test]
fn calls_of_all_shards_share_variables() {
    let text = "<scenario><Global variables=\"n\"/>\n<nop><action><add assign_to=\"n\" value=\"1\"/>\
                <log message=\"call [$n]\"/></action></nop></scenario>";
    let count = Written::new("count.xml", text);
    let args = ["scenario", count.path(), "--shards", "2", "--target", "sip:a@127.0.0.1:9"];
    let (status, output) = sipload(&[&args[..], &TEN].concat()).finish(LIMIT).expect("it ends by itself");
    assert_eq!(status.code(), Some(0), "{output}");
    for number in 1..=10 {
        assert!(output.lines().any(|line| line.ends_with(&format!("call {number}.000000"))), "{number}: {output}");
    }
}

#[test]
fn what_is_wrong_in_a_scenario_is_told_in_one_line() {
    let wrong = Written::new("wrong.toml", "[[step]]\nsend = \"INVITE\"\nhedaers = {}\n");
    let xml = Written::new("wrong.xml", "<scenario>\n<pause/>\n<rtpstream/>\n</scenario>\n");
    let answer = Written::new("answer.toml", ANSWER);
    let target = ["--target", "sip:a@127.0.0.1:9", "--rate", "1"];
    for (args, text) in [
        (
            &[&["scenario", wrong.path()][..], &target].concat(),
            format!("{}:3: step.hedaers: is not known", wrong.path()),
        ),
        (&[&["scenario", xml.path()][..], &target].concat(), format!("{}:3: <rtpstream> is not supported", xml.path())),
        (&vec!["scenario", "/nowhere/x.toml"], "/nowhere/x.toml".to_owned()),
        (&vec!["scenario", answer.path()], "missing: --listen".to_owned()),
        (&vec!["call", "--rate", "1"], "missing: --target".to_owned()),
        (&vec!["call", "--target", "sip:a@127.0.0.1"], "missing: --rate".to_owned()),
        (&[&["call", "--html", "/nowhere/x.html"][..], &target].concat(), "/nowhere/x.html: No such file".to_owned()),
        (
            &[&["call", "--listen", "udp:[::1]:0"][..], &target].concat(),
            "--listen is IPv6, but the peer is reached by IPv4".to_owned(),
        ),
    ] {
        let (status, output) = sipload(args).finish(LIMIT).expect("it ends by itself");
        assert_eq!((status.code(), output.lines().count()), (Some(2), 1), "{output}");
        assert!(output.starts_with("sipload: ") && output.contains(&text), "{output}");
    }
}

#[test]
fn sipps_own_callers_run_unchanged() {
    if !peers::available("sipp") {
        return;
    }
    let callee = uas("udp:127.0.0.1:0", &[]);
    let target = format!("sip:service@{}", address(&callee, "udp"));
    let (code, run) = play(Written::of_sipp("uac").path(), &target, &TEN);
    assert_eq!((code, counts(&run)), (Some(0), [10, 10, 0]), "{run}");
    for name in ["uac", "regexp"] {
        let file = Written::of_sipp(name);
        let (sipp, local) = sipp_uas("uas", "10");
        let (code, run) = play(file.path(), &format!("sip:service@{local}"), &TEN);
        assert_eq!((code, counts(&run)), (Some(0), [10, 10, 0]), "{name}: {run}");
        let (status, output) = sipp.finish(LIMIT).expect("it ends after its calls");
        assert!(status.success(), "{output}");
    }
}

/// As with SIPp, what stands before `///` is none of the call's own Call-ID, for who calls and for who is called.
#[test]
fn a_call_id_may_have_something_before_it() {
    if !peers::available("sipp") {
        return;
    }
    let prefixed = |name: &str| {
        let own = Written::of_sipp(name);
        let text = std::fs::read_to_string(own.path()).expect("readable");
        Written::new(&format!("prefixed-{name}.xml"), &text.replace("Call-ID: [call_id]", "Call-ID: abc///[call_id]"))
    };
    let (caller, (sipp, local)) = (prefixed("uac"), sipp_uas("uas", "10"));
    let target = format!("sip:service@{local}");
    let (code, run) = play(caller.path(), &target, &TEN);
    assert_eq!((code, counts(&run)), (Some(0), [10, 10, 0]), "{run}");
    let (status, output) = sipp.finish(LIMIT).expect("it ends after its calls");
    assert!(status.success(), "{output}");
    let refused = [&["scenario", caller.path(), "--shards", "2", "--target", &target][..], &TEN].concat();
    let (status, output) = sipload(&refused).finish(LIMIT).expect("it ends by itself");
    assert!(status.code() == Some(2) && output.contains("--shards: calls with ///[call_id] run on one"), "{output}");
}

#[test]
fn sipps_own_callee_runs_unchanged() {
    if !peers::available("sipp") {
        return;
    }
    let file = Written::of_sipp("uas");
    let local = SocketAddr::from((peers::loopback(), 5060));
    let callee = answering(file.path(), &format!("udp:{local}"), &[]);
    let sipp = Sipp {
        scenario: "uac_call.xml",
        local: (peers::loopback(), 5060).into(),
        remote: Some(local),
        calls: 10,
        rate: 20,
        transport: "u1",
        more: &[],
    };
    let stats = sipp.run(LIMIT).expect("SIPp ends");
    assert_eq!((stats.successful, stats.failed), (10, 0));
    let (code, run) = calls(&format!("sip:service@{local}"), &TEN);
    assert_eq!((code, counts(&run)), (Some(0), [10, 10, 0]), "{run}");
    assert_eq!(counts(&ended(callee)), [20, 20, 0]);
}

#[test]
fn sipps_branches_agree_with_sipp_and_with_each_other() {
    if !peers::available("sipp") {
        return;
    }
    let (caller, callee) = (Written::of_sipp("branchc"), Written::of_sipp("branchs"));
    let three = ["--rate", "10", "--duration", "300ms", "--min-success", "1"];
    let own = answering(callee.path(), "udp:127.0.0.1:0", &[]);
    let (code, run) = play(caller.path(), &format!("sip:ua2@{}", address(&own, "udp")), &three);
    assert_eq!((code, counts(&run)), (Some(0), [3, 3, 0]), "{run}");
    assert_eq!(counts(&ended(own)), [3, 3, 0]);
    let (sipp, local) = sipp_uas("branchs", "3");
    let (code, run) = play(caller.path(), &format!("sip:ua2@{local}"), &three);
    assert_eq!((code, counts(&run)), (Some(0), [3, 3, 0]), "{run}");
    let (status, output) = sipp.finish(LIMIT).expect("it ends after its calls");
    assert!(status.success(), "{output}");
}

/// Two controllers put together calls of two who only answer.
#[test]
fn sipps_controllers_of_third_party_calls_run_unchanged() {
    if !peers::available("sipp") {
        return;
    }
    let (one, other) = (Written::of_sipp("3pcc-C-A"), Written::of_sipp("3pcc-C-B"));
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let third = ["--3pcc", &free.to_string()].map(str::to_owned);
    let third: Vec<&str> = third.iter().map(String::as_str).collect();
    let [a, b] = [(); 2].map(|()| uas("udp:127.0.0.1:0", &[]));
    let target = |callee: &Repro| format!("sip:service@{}", address(callee, "udp"));
    let to_b = target(&b);
    let second = answering(other.path(), "udp:127.0.0.1:0", &[&["--target", &to_b][..], &third].concat());
    let (code, run) = play(one.path(), &target(&a), &[&TEN[..], &third].concat());
    assert_eq!((code, counts(&run)), (Some(0), [10, 10, 0]), "{run}");
    // The other side's calls may end a moment later.
    assert_eq!(counts(&ended(second))[0], 10);
    for callee in [a, b] {
        assert_eq!(counts(&ended(callee))[0], 10);
    }
}

/// A file of `tests/sipp`.
fn sipp(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sipp").join(name).display().to_string()
}

/// Ten REGISTERs with the right password, and fifteen with one that is right for a third of the users.
fn registered_and_refused(registrar: SocketAddr) -> [[u64; 3]; 2] {
    let target = format!("sip:{registrar}");
    [("u{0..1}", "secret-{user}", "20"), ("u{0..2}", "secret-u1", "30")].map(|(users, password, rate)| {
        let users = format!("{users}@test.example");
        let who = ["register", "--json", "--target", &target, "--users", &users, "--password", password];
        counts(&summary(sipload(&[&who[..], &["--rate", rate, "--duration", "500ms"]].concat())).1)
    })
}

#[test]
fn a_registrar_with_passwords_agrees_with_sipp() {
    if !peers::available("sipp") {
        return;
    }
    // By this name the scenario knows it.
    let folder = std::env::temp_dir().join(format!("sipload-users-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a directory");
    let users = Written(folder.join("users.csv"));
    std::fs::write(users.path(), "SEQUENTIAL\nu0;secret-u0\nu1;secret-u1\n").expect("a file");
    let file = sipp("registrar_digest.xml");
    let wanted = [[10, 10, 0], [15, 5, 10]];
    let ours = answering(&file, "udp:127.0.0.1:0", &["--fields", users.path()]);
    assert_eq!(registered_and_refused(address(&ours, "udp")), wanted);
    assert_eq!(counts(&ended(ours)), [25, 25, 0]);
    let local = SocketAddr::from((peers::loopback(), 5060));
    let (scenario, more) = ("registrar_digest.xml", &["-inf", users.path(), "-infindex", "users.csv", "0"][..]);
    let theirs = Sipp { scenario, local, remote: None, calls: 25, rate: 1, transport: "u1", more };
    let theirs = theirs.start().expect("it runs");
    assert_eq!(registered_and_refused(local), wanted);
    let stats = theirs.finish(LIMIT).expect("it ends");
    assert_eq!((stats.successful, stats.failed), (25, 0));
    drop(users);
    std::fs::remove_dir(folder).expect("it was made here");
}

#[test]
fn scenarios_with_digest_go_through_the_proxy() {
    let proxy = asking("digest", "algorithms = [\"MD5\"]", "inline");
    let proxy = format!("sip:bob@{}", address(&proxy, "udp"));
    let bob = format!("udp:{}:5060", peers::loopback());
    let common = ["--key", "domain=example.com", "--rate", "10", "--duration", "100ms", "--min-success", "1"];
    let who = ["--users", "bob@example.com", "--password", "builder", "--listen", &bob];
    let (code, run) = play(&sipp("register_digest.xml"), &proxy, &[&common[..], &who].concat());
    assert_eq!((code, counts(&run)), (Some(0), [1, 1, 0]), "{run}");
    let callee = answering(&sipp("uas_call.xml"), &bob, &[]);
    let who = ["--users", "alice@example.com", "--password", "wonderland", "--key", "caller=alice"];
    let (code, run) = play(&sipp("uac_call_digest.xml"), &proxy, &[&common[..], &who].concat());
    assert_eq!((code, counts(&run)), (Some(0), [1, 1, 0]), "{run}");
    assert_eq!(counts(&ended(callee)), [1, 1, 0]);
}

#[test]
fn a_redirected_call_goes_on_elsewhere_as_with_sipp() {
    for transport in ["udp", "tcp"] {
        let second = uas(&format!("{transport}:127.0.0.1:0"), &[]);
        let redirect = format!(
            "[[step]]\nexpect = \"INVITE\"\n[[step]]\nsend = 302\nheaders = {{ Contact = \"<sip:b@{}>\" }}\n\
             [[step]]\nexpect = \"ACK\"\n",
            address(&second, transport)
        );
        let redirect = Written::new("redirect.toml", &redirect);
        let first = answering(redirect.path(), &format!("{transport}:127.0.0.1:0"), &[]);
        let to = address(&first, transport);
        let target = format!("sip:service@{to};transport={transport}");
        let (code, run) = play(&sipp("uac_redirected.xml"), &target, &TEN);
        assert_eq!((code, counts(&run)), (Some(0), [10, 10, 0]), "{transport}: {run}");
        let mut all = 10;
        if transport == "udp" && peers::available("sipp") {
            let (scenario, local) = ("uac_redirected.xml", SocketAddr::from((peers::loopback(), 5060)));
            let theirs = Sipp { scenario, local, remote: Some(to), calls: 10, rate: 20, transport: "u1", more: &[] };
            let stats = theirs.run(LIMIT).expect("SIPp ends");
            assert_eq!((stats.successful, stats.failed), (10, 0));
            all = 20;
        }
        assert_eq!(counts(&ended(first)), [all, all, 0], "{transport}");
        assert_eq!(counts(&ended(second)), [all, all, 0], "{transport}");
    }
}
