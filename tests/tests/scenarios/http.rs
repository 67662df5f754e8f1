//! An HTTP service decides what becomes of requests: it answers, dawdles, talks nonsense, and dies.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use tests::peers::Repro;

use crate::phone::Phone;
use crate::repro::{File, address, start};
use crate::tls::Site;

/// What the service answers those who call these users.
type Answers = HashMap<&'static str, (u16, String)>;

/// A service that keeps connections open, and has counted them.
#[derive(Clone)]
struct Service {
    address: SocketAddr,
    answers: Arc<Answers>,
    asked: Arc<Mutex<Vec<Value>>>,
    connections: Arc<AtomicUsize>,
    tls: Option<Arc<ServerConfig>>,
}

impl Service {
    fn start(answers: Answers, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (asked, connections) = (Arc::default(), Arc::default());
        let service = Service { address, answers: Arc::new(answers), asked, connections, tls };
        let own = service.clone();
        let run = move || {
            for stream in listener.incoming().map_while(Result::ok) {
                own.connections.fetch_add(1, Ordering::Relaxed);
                let own = own.clone();
                thread::Builder::new().spawn(move || own.meet(stream)).expect("a thread");
            }
        };
        thread::Builder::new().name("service".into()).spawn(run).expect("a thread");
        service
    }

    fn meet(&self, stream: TcpStream) {
        match &self.tls {
            None => self.serve(stream),
            Some(config) => {
                let connection = ServerConnection::new(config.clone()).expect("a configuration");
                self.serve(StreamOwned::new(connection, stream));
            }
        }
    }

    /// Answers until the client hangs up. Whoever is not in the table waits in vain.
    fn serve(&self, stream: impl Read + Write) {
        let mut stream = BufReader::new(stream);
        while let Some(question) = read(&mut stream) {
            let uri = question["uri"].as_str().expect("a URI").to_owned();
            self.asked.lock().expect("no panic").push(question);
            let user = uri.trim_start_matches("sip:").split('@').next().expect("a user");
            let Some((status, body)) = self.answers.get(user) else { continue };
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len());
            let stream = stream.get_mut();
            if stream.write_all(format!("{head}{body}").as_bytes()).and_then(|()| stream.flush()).is_err() {
                return;
            }
        }
    }
}

/// One request's body.
fn read(stream: &mut impl BufRead) -> Option<Value> {
    let (mut length, mut first) = (0, true);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if first {
            assert_eq!(line, "POST /decide HTTP/1.1\r\n");
            first = false;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().expect("a number");
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(serde_json::from_slice(&body).expect("JSON"))
}

fn decision(json: &Value) -> (u16, String) {
    (200, json.to_string())
}

fn proxy(url: &str, more: &str) -> (Repro, SocketAddr, File) {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("http-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let config = File::new(&name, &format!("[http]\nurl = \"{url}/decide\"\n{more}"));
    let repro = start(&["--config", config.name()]);
    let at = address(&repro, "udp");
    (repro, at, config)
}

/// The status that a call to this user of the proxy gets.
fn call(caller: &Phone, to: &str, at: SocketAddr) -> String {
    invite(caller, to, at);
    status(caller, to)
}

fn invite(caller: &Phone, to: &str, at: SocketAddr) {
    let invite = String::from_utf8(caller.request("INVITE", caller, to, 1)).expect("it is UTF-8");
    let invite = invite.replacen(&format!("INVITE {}", caller.uri()), &format!("INVITE sip:{to}@{at}"), 1);
    caller.send(invite.as_bytes());
}

fn status(caller: &Phone, to: &str) -> String {
    loop {
        let answer = String::from_utf8(caller.hear("SIP/2.0 ")).expect("it is UTF-8");
        let line = answer.lines().next().expect("a line").trim_start_matches("SIP/2.0 ");
        if !line.starts_with("100") && answer.contains(&format!("Call-ID: {to}\r\n")) {
            return line.to_owned();
        }
    }
}

#[test]
fn a_service_decides() {
    let bob = Phone::new("bob", "127.0.0.1:9".parse().expect("an address"));
    let answers = Answers::from([
        ("refused", decision(&json!({"decision": "reject", "code": 402, "reason": "No Money"}))),
        ("moved", decision(&json!({"decision": "redirect", "contacts": [bob.uri()]}))),
        ("left", decision(&json!({"decision": "continue"}))),
        (
            "bob",
            decision(&json!({"decision": "targets", "targets": [{"uri": bob.uri()}],
            "add": [{"name": "X-Account", "value": "7"}]})),
        ),
    ]);
    let service = Service::start(answers, None);
    let (_repro, at, _config) = proxy(&format!("http://{}", service.address), "headers = [\"Contact\"]");
    let alice = Phone::new("alice", at);
    assert_eq!(call(&alice, "refused", at), "402 No Money");
    assert!(call(&alice, "moved", at).starts_with("302 "));
    // It goes on to the location service, which knows nobody of that name.
    assert!(call(&alice, "left", at).starts_with("404 "));
    invite(&alice, "bob", at);
    let called = bob.hear("INVITE ");
    bob.send_to(&tests::raw::response(&called, 486), bob.heard_from().expect("it heard"));
    assert!(status(&alice, "bob").starts_with("486 "));
    assert!(String::from_utf8(called).expect("it is UTF-8").contains("X-Account: 7\r\n"));
    let asked = service.asked.lock().expect("no panic");
    let first = asked.first().expect("it was asked");
    assert_eq!((&first["method"], &first["call_id"]), (&json!("INVITE"), &json!("refused")));
    assert_eq!(first["source"], json!({"transport": "udp", "address": alice.uri().replace("sip:alice@", "")}));
    assert_eq!(first["headers"], json!({"Contact": [format!("<{}>", alice.uri())]}));
    // One connection was enough.
    assert_eq!((asked.len(), service.connections.load(Ordering::Relaxed)), (4, 1));
}

/// Calls those who a service fails for: what they get, and what the log says.
fn fails(more: &str) -> (Vec<String>, String) {
    let answers = Answers::from([
        ("garbage", (200, "<html>\u{1b}[2J</html>".to_owned())),
        ("error", (500, "{\"decision\":\"continue\"}".to_owned())),
        ("huge", (200, format!("{{\"decision\":\"continue\"{}}}", " ".repeat(70_000)))),
        ("cut", (200, String::new())),
    ]);
    let service = Service::start(answers, None);
    let more = format!("timeout_ms = 200\n{more}\n[log]\nfilter = \"debug\"");
    let (mut repro, at, _config) = proxy(&format!("http://{}", service.address), &more);
    let alice = Phone::new("alice", at);
    let users = ["garbage", "error", "huge", "cut", "slow"];
    let mut statuses: Vec<String> = users.iter().map(|user| call(&alice, user, at)).collect();
    // Nobody listens where somebody was.
    let gone = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let (_dead, at, _config) = proxy(&format!("http://{gone}"), &more);
    statuses.push(call(&Phone::new("alice", at), "dead", at));
    (statuses, repro.process().output())
}

#[test]
fn a_service_that_fails_closes_or_opens_the_way() {
    let (statuses, log) = fails("");
    assert!(statuses.iter().all(|status| status.starts_with("503 ")), "{statuses:?}");
    for said in ["<html>", "status 500", "length limit exceeded", "EOF while parsing", "no answer in time"] {
        assert!(log.contains(said), "{said}: {log}");
    }
    let (statuses, _) = fails("fail_open = true");
    assert!(statuses.iter().all(|status| status.starts_with("404 ")), "{statuses:?}");
}

#[test]
fn a_service_is_asked_over_tls() {
    let site = Site::new();
    site.issue(&["localhost"], |_| {});
    let read = |name: &str| std::fs::read(site.path(name)).expect("it was written");
    let certificate = CertificateDer::from_pem_slice(&read("own.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(&read("own.key")).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("both");
    let config = config.with_no_client_auth().with_single_cert(vec![certificate], key).expect("they belong together");
    let answers = Answers::from([("refused", decision(&json!({"decision": "reject", "code": 402})))]);
    let service = Service::start(answers, Some(Arc::new(config)));
    let url = |host: &str| format!("https://{host}:{}", service.address.port());
    let trust = format!("[tls]\ntrust = [\"{}\"]", site.path("ca.pem").display());
    // The name is the certificate's; with another, or a CA that nobody named, there is no decision.
    for (host, more, expected) in
        [("localhost", &*trust, "402 "), ("127.0.0.1", &trust, "503 "), ("localhost", "", "503 ")]
    {
        let (_repro, at, _config) = proxy(&url(host), more);
        let status = call(&Phone::new("alice", at), "refused", at);
        assert!(status.starts_with(expected), "{host}: {status}");
    }
}
