//! A running proxy as its operator sees it, by HTTP.

use crate::end::signal;
use crate::repro::{ANY_PORT, File, LIMIT, address, refusal};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use tests::peers::{self, Repro};

/// The token of proxies that have one.
pub(crate) const TOKEN: &str = "a-token-for-tests-0123456789";

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Asks once, on a connection of its own: `lines` are further header lines.
pub(crate) fn ask(server: SocketAddr, method: &str, path: &str, lines: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(server).expect("it listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    let host = if lines.contains("Host: ") { String::new() } else { format!("Host: {server}\r\n") };
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let request = format!("{method} {path} HTTP/1.1\r\n{host}Connection: close\r\n{lines}{length}\r\n{body}");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut octets = Vec::new();
    stream.read_to_end(&mut octets).expect("it answers and hangs up");
    let text = String::from_utf8(octets).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// GET, and what came back with which status.
pub(crate) fn get(server: SocketAddr, path: &str) -> (u16, String) {
    let answer = ask(server, "GET", path, "", "");
    (answer.status, answer.body)
}

/// A proxy on free ports with an HTTP server, with or without [`TOKEN`]; `more` is further configuration.
pub(crate) fn start(name: &str, token: bool, more: &str) -> (Repro, File) {
    let token = if token { format!("token = \"{TOKEN}\"\n") } else { String::new() };
    let file = File::new(name, &format!("{more}\n[admin]\nlisten = \"127.0.0.1:0\"\n{token}"));
    let args: Vec<&str> = ANY_PORT.iter().copied().chain(["--config", file.name(), "--log", "info"]).collect();
    (Repro::start(&args, 3).expect("it starts"), file)
}

/// Sends an OPTIONS to the proxy itself, and waits for its answer.
pub(crate) fn options(proxy: SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_read_timeout(Some(LIMIT)).expect("a limit");
    let own = socket.local_addr().expect("bound");
    let request = format!(
        "OPTIONS sip:{proxy} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{own}\r\nMax-Forwards: 70\r\n\
         From: <sip:a@{own}>;tag=1\r\nTo: <sip:{proxy}>\r\nCall-ID: {own}\r\nCSeq: 1 OPTIONS\r\n\
         Content-Length: 0\r\n\r\n"
    );
    socket.send_to(request.as_bytes(), proxy).expect("loopback");
    let mut octets = [0; 2048];
    let length = socket.recv(&mut octets).expect("an answer");
    assert!(octets[..length].starts_with(b"SIP/2.0 200 "), "{}", String::from_utf8_lossy(&octets[..length]));
}

/// The value of a sample.
fn sample(metrics: &str, name: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[test]
fn metrics_count_what_happens() {
    for placement in ["inline", "sharded:2"] {
        let trunk = "[[trunk]]\nname = \"gw\"\ncontacts = [\"sip:127.0.0.1:9\", \"sip:127.0.0.1:19\"]\n";
        let (repro, _file) = start("metrics", false, &format!("placement = \"{placement}\"\n{trunk}"));
        let (http, sip) = (address(&repro, "http"), address(&repro, "udp"));
        assert_eq!(get(http, "/healthz"), (200, "ok\n".to_owned()));
        let (status, before) = get(http, "/metrics");
        assert_eq!((status, sample(&before, "sip_requests_received_total{method=\"OPTIONS\"}")), (200, Some(0.0)));
        (0..3).for_each(|_| options(sip));
        let (_, after) = get(http, "/metrics");
        assert_eq!(sample(&after, "sip_requests_received_total{method=\"OPTIONS\"}"), Some(3.0), "{after}");
        assert_eq!(sample(&after, "sip_responses_sent_total{to=\"other\",code=\"200\"}"), Some(3.0), "{after}");
        assert_eq!((sample(&after, "repro_ready"), sample(&after, "repro_bindings")), (Some(1.0), Some(0.0)));
        assert!(sample(&after, "process_resident_memory_bytes") > Some(1e6), "{after}");
        let in_service = "repro_trunk_contact_in_service{trunk=\"gw\",contact=\"sip:127.0.0.1:9\"}";
        assert_eq!(sample(&after, in_service), Some(1.0), "{after}");
        check_with_promtool(&after);
    }
}

/// Prometheus' own check of names, types and units.
fn check_with_promtool(metrics: &str) {
    if !peers::available("promtool") {
        return;
    }
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = promtool.spawn().expect("it can be run");
    // It reads all before it writes.
    child.stdin.take().expect("a pipe").write_all(metrics.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}\n{metrics}", String::from_utf8_lossy(&said));
}

#[test]
fn it_is_ready_from_the_start_to_the_drain() {
    let (mut repro, _file) = start("ready", true, "");
    let (http, sip) = (address(&repro, "http"), address(&repro, "udp"));
    assert_eq!(get(http, "/readyz"), (200, "ready\n".to_owned()));
    // An INVITE that nobody answers keeps it from ending.
    let (caller, called) =
        (UdpSocket::bind("127.0.0.1:0").expect("a port"), UdpSocket::bind("127.0.0.1:0").expect("a port"));
    let (own, target) = (caller.local_addr().expect("bound"), called.local_addr().expect("bound"));
    let invite = format!(
        "INVITE sip:x@{target} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKready\r\nMax-Forwards: 70\r\n\
         From: <sip:a@{own}>;tag=1\r\nTo: <sip:x@{target}>\r\nCall-ID: ready\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:a@{own}>\r\nContent-Length: 0\r\n\r\n"
    );
    caller.send_to(invite.as_bytes(), sip).expect("loopback");
    called.set_read_timeout(Some(LIMIT)).expect("a limit");
    let mut octets = [0; 2048];
    let (length, from) = called.recv_from(&mut octets).expect("it is forwarded");
    let forwarded = octets[..length].to_vec();
    signal(repro.process(), "TERM");
    repro.process().wait_for(LIMIT, |line| line.contains("stopping").then_some(())).expect("it says so");
    while get(http, "/readyz") != (503, "draining\n".to_owned()) {}
    assert_eq!(get(http, "/healthz").0, 200, "it is not to be killed");
    called.send_to(&tests::raw::response(&forwarded, 486), from).expect("loopback");
    let (status, output) = repro.into_process().finish(LIMIT).expect("it ends");
    assert!(status.success() && output.contains("all transactions have ended"), "{output}");
}

#[test]
fn who_has_no_token_sees_nothing_but_whether_it_lives() {
    let (mut repro, _file) = start("token", true, "");
    let http = address(&repro, "http");
    let with = |lines: &str| ask(http, "GET", "/metrics", lines, "");
    let none = with("");
    assert_eq!(none.status, 401);
    assert!(none.head.to_lowercase().contains("www-authenticate: bearer"), "{none:?}");
    assert_eq!(with("Authorization: Bearer another-token-0123456789\r\n").status, 401);
    let own = format!("Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(with(&own).status, 200);
    // Not even with it from a page of somebody else.
    let other = with(&format!("{own}Origin: http://evil.example\r\n"));
    assert!(other.status == 403 && other.body.contains("requests from pages of other sites are refused"), "{other:?}");
    assert_eq!((get(http, "/healthz").0, get(http, "/else").0), (200, 401));
    let output = repro.process().output();
    assert!(!output.contains(TOKEN), "{output}");
}

#[test]
fn another_token_counts_from_the_next_reload_on() {
    let tokens = File::new("tokens", &format!("{TOKEN}\n"));
    let config =
        File::new("reread", &format!("[admin]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"{}\"\n", tokens.name()));
    let args: Vec<&str> = ANY_PORT.iter().copied().chain(["--config", config.name()]).collect();
    let repro = Repro::start(&args, 3).expect("it starts");
    let http = address(&repro, "http");
    let reload =
        |token: &str| ask(http, "POST", "/api/v1/reload", &format!("Authorization: Bearer {token}\r\n"), "").status;
    let other = "another-token-0123456789";
    assert_eq!((reload(TOKEN), reload(other)), (200, 401));
    std::fs::write(tokens.name(), other).expect("it can be written");
    // The old one asks for this.
    assert_eq!((reload(TOKEN), reload(TOKEN), reload(other)), (200, 401, 200));
    // What is no token changes nothing.
    std::fs::write(tokens.name(), "short").expect("it can be written");
    assert_eq!((reload(other), reload(other)), (409, 409));
    std::fs::write(config.name(), "[admin]\nlisten = \"127.0.0.1:0\"\n").expect("it can be written");
    assert_eq!((reload(other), get(http, "/metrics").0), (200, 401));
}

#[test]
fn without_a_token_a_strange_name_is_refused() {
    let (repro, _file) = start("host", false, "");
    let http = address(&repro, "http");
    let rebound = ask(http, "GET", "/metrics", "Host: evil.example\r\n", "");
    assert_eq!(rebound.status, 403, "{rebound:?}");
    assert_eq!(ask(http, "POST", "/metrics", "", "").status, 405);
    assert_eq!(get(http, "/nothing").0, 404);
    // What is no HTTP, or too much of it, does no harm.
    for garbage in ["\u{1}\u{2}\r\n\r\n".to_owned(), format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000))] {
        let mut stream = TcpStream::connect(http).expect("it listens");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        let _ = stream.write_all(garbage.as_bytes());
        let mut answer = Vec::new();
        // It may hang up before it has read all.
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(get(http, "/healthz").0, 200);
}

#[test]
fn a_server_for_all_the_world_needs_a_token() {
    let file = File::new("admin-open", "[admin]\nlisten = \"0.0.0.0:0\"\n");
    let said = refusal(&["--config", file.name()]);
    assert!(said.contains(&format!("{}:2: admin.listen: ", file.name())) && said.contains("token_file"), "{said}");
    let file = File::new("admin-elsewhere", "[admin]\nlisten = \"192.0.2.1:80\"\ntoken = \"0123456789abcdef\"\n");
    let said = refusal(&["--config", file.name(), "--listen", "udp:127.0.0.1:0"]);
    assert!(said.contains("admin.listen: 192.0.2.1:80: "), "{said}");
}
