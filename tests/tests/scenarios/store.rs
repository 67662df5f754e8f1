//! What outlives the process, and the command line around it.

use crate::end::signal;
use crate::repro::{ANY_PORT, LIMIT, address, refusal};
use rusqlite::Connection;
use rutil::{Clock, RealClock};
use stack::message::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use tests::peers::{Repro, repro_binary};

/// A configuration with a store, in a directory of its own.
pub(crate) struct Site(PathBuf);

impl Site {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("repro-site-{}-{name}", std::process::id()));
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).expect("a directory");
        fs::write(folder.join("repro.toml"), text).expect("a file");
        Site(folder)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn config(&self) -> String {
        self.0.join("repro.toml").display().to_string()
    }

    pub(crate) fn start(&self) -> Repro {
        let config = self.config();
        let args: Vec<&str> = ANY_PORT.iter().copied().chain(["--config", &config, "--log", "info"]).collect();
        Repro::start(&args, 2).expect("it starts")
    }

    /// Runs a subcommand with a standard input.
    pub(crate) fn run(&self, args: &[&str], input: &str) -> Output {
        let mut command = Command::new(repro_binary().expect("it can be built"));
        command.args(args).args(["--config", &self.config()]).env_remove("REPRO_PASSWORD");
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it can be run");
        // Who does not read it closes it.
        let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
        child.wait_with_output().expect("it ends")
    }

    pub(crate) fn done(&self, args: &[&str], input: &str) -> String {
        let output = self.run(args, input);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{args:?}: {said}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// The one line that says why not.
    pub(crate) fn refused(&self, args: &[&str], input: &str) -> String {
        let output = self.run(args, input);
        let said = String::from_utf8(output.stderr).expect("text");
        assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{args:?}: {said}");
        said
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

const STORE: &str = "[store]\npath = \"repro.db\"\n";

/// A phone that registers, over UDP.
struct Phone {
    socket: UdpSocket,
    sent: u32,
}

impl Phone {
    fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        Phone { socket, sent: 0 }
    }

    fn send(&mut self, proxy: SocketAddr, user: &str, lines: &str) {
        let request = self.write(proxy, user, lines);
        self.socket.send_to(request.as_bytes(), proxy).expect("loopback");
    }

    /// A MESSAGE to a user.
    fn page(&mut self, proxy: SocketAddr, user: &str, body: &str) {
        let lines = format!("Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let request = self.write(proxy, user, "").replace("REGISTER sip:", &format!("MESSAGE sip:{user}@"));
        let request = request.replace(" REGISTER\r\n", " MESSAGE\r\n").replace("Content-Length: 0\r\n\r\n", &lines);
        self.socket.send_to(request.as_bytes(), proxy).expect("loopback");
    }

    /// A REGISTER of a user.
    fn write(&mut self, proxy: SocketAddr, user: &str, lines: &str) -> String {
        self.sent += 1;
        let (own, number) = (self.socket.local_addr().expect("bound"), self.sent);
        format!(
            "REGISTER sip:{proxy} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{own}-{number}\r\nMax-Forwards: 70\r\n\
             From: <sip:{user}@{proxy}>;tag=1\r\nTo: <sip:{user}@{proxy}>\r\nCall-ID: {user}-{own}\r\n\
             CSeq: {number} REGISTER\r\n{lines}Content-Length: 0\r\n\r\n",
        )
    }

    /// The next final answer. One that is slow to come is announced by a 100 (RFC 4320).
    fn answer(&self, patience: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(patience)).expect("a limit");
        let mut octets = [0; 65_536];
        loop {
            let length = self.socket.recv(&mut octets).ok()?;
            let answer = String::from_utf8_lossy(octets.get(..length)?).into_owned();
            if !answer.starts_with("SIP/2.0 100 ") {
                return Some(answer);
            }
        }
    }

    /// Sends a request and gives the status of the answer, with its text.
    fn ask(&mut self, proxy: SocketAddr, user: &str, lines: &str) -> (u16, String) {
        self.send(proxy, user, lines);
        let answer = self.answer(LIMIT).expect("an answer");
        (answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status"), answer)
    }
}

/// Registrations come as fast as they are answered; the process is killed in the middle, and has each binding that it
/// acknowledged when it comes back.
#[test]
fn what_was_acknowledged_outlives_a_kill() {
    // A burst on a busy machine is not what this is about.
    let site = Site::new("kill", STORE);
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..3 {
        let repro = site.start();
        let (proxy, mut phone) = (address(&repro, "udp"), Phone::new());
        for user in &acknowledged {
            let (code, answer) = phone.ask(proxy, user, "");
            assert!(code == 200 && answer.contains(&format!("<sip:{user}@192.0.2.1>")), "{round} {user}: {answer}");
        }
        // More are on their way than are answered when it is killed.
        for number in 0..300 {
            let user = format!("u{round}-{number}");
            phone.send(proxy, &user, &format!("Contact: <sip:{user}@192.0.2.1>\r\n"));
        }
        for _ in 0..100 {
            let answer = phone.answer(LIMIT).expect("an answer");
            assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
            let user = answer.split_once("To: <sip:").and_then(|(_, rest)| rest.split_once('@')).expect("a To").0;
            acknowledged.push(user.to_owned());
        }
        let process = repro.into_process();
        signal(&process, "KILL");
        // What was acknowledged until then, and is still in the socket, counts as well.
        while let Some(answer) = phone.answer(Duration::from_millis(100)) {
            assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
            let user = answer.split_once("To: <sip:").and_then(|(_, rest)| rest.split_once('@')).expect("a To").0;
            acknowledged.push(user.to_owned());
        }
    }
    assert!(acknowledged.len() >= 300);
}

/// A hundred phones a second register and refresh, steadily, while the process is killed and comes back: each binding that
/// was acknowledged is there, and whoever had no answer sends the very same request again and gets one.
#[test]
fn a_kill_under_a_steady_load_loses_nothing_that_was_acknowledged() {
    const RATE: u64 = 100;
    let site = Site::new("steady", STORE);
    let clock = RealClock::new();
    let (mut acknowledged, mut open): (BTreeSet<String>, Vec<(String, String)>) = Default::default();
    // All the time from one port: what comes from elsewhere repeats nothing.
    let mut phone = Phone::new();
    for round in 0..3_u64 {
        let repro = site.start();
        let proxy = address(&repro, "udp");
        for user in &acknowledged {
            let (code, answer) = phone.ask(proxy, user, "");
            assert!(code == 200 && answer.contains(&format!("<sip:{user}@192.0.2.1>")), "{round} {user}: {answer}");
        }
        for (user, request) in open.drain(..) {
            // As it was, but to where the proxy is now: a repetition that finds what it has written, or a first one.
            let (first, rest) = request.split_once("CSeq: ").expect("a CSeq");
            let number: u32 = rest.split(' ').next().and_then(|number| number.parse().ok()).expect("a number");
            let own = phone.socket.local_addr().expect("bound");
            let call =
                first.split_once("Call-ID: ").and_then(|(_, rest)| rest.split_once("\r\n")).expect("a Call-ID").0;
            let request = format!(
                "REGISTER sip:{proxy} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKagain-{call}-{number}\r\n\
                 Max-Forwards: 70\r\nFrom: <sip:{user}@{proxy}>;tag=1\r\nTo: <sip:{user}@{proxy}>\r\nCall-ID: {call}\r\n\
                 CSeq: {number} REGISTER\r\nContact: <sip:{user}@192.0.2.1>\r\nContent-Length: 0\r\n\r\n"
            );
            phone.socket.send_to(request.as_bytes(), proxy).expect("loopback");
            let answer = phone.answer(LIMIT).expect("an answer");
            assert!(
                answer.starts_with("SIP/2.0 200 ") && answer.contains(&format!("<sip:{user}@192.0.2.1>")),
                "{answer}"
            );
            acknowledged.insert(user);
        }
        // Two seconds of it, and it is killed in mid-run: with some sent and not answered yet.
        let began = clock.now();
        let mut waiting: BTreeMap<String, String> = BTreeMap::new();
        let heard = |answer: String, waiting: &mut BTreeMap<String, String>, acknowledged: &mut BTreeSet<String>| {
            assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
            let user = answer.split_once("To: <sip:").and_then(|(_, rest)| rest.split_once('@')).expect("a To").0;
            waiting.remove(user);
            acknowledged.insert(user.to_owned());
        };
        for number in 0..2 * RATE {
            let due = began + Duration::from_millis(number * 1000 / RATE);
            while let Some(left) = Some(due.since(clock.now())).filter(|left| *left > Duration::from_millis(1)) {
                if let Some(answer) = phone.answer(left) {
                    heard(answer, &mut waiting, &mut acknowledged);
                }
            }
            // Every second one is a refresh of somebody who was there before.
            let user = format!("s{}-{}", if number % 2 == 0 { round } else { round.saturating_sub(1) }, number / 2);
            let request = phone.write(proxy, &user, &format!("Contact: <sip:{user}@192.0.2.1>\r\n"));
            phone.socket.send_to(request.as_bytes(), proxy).expect("loopback");
            waiting.insert(user, request);
        }
        signal(&repro.into_process(), "KILL");
        while let Some(answer) = phone.answer(Duration::from_millis(100)) {
            heard(answer, &mut waiting, &mut acknowledged);
        }
        open.extend(waiting);
    }
    assert!(acknowledged.len() as u64 > 2 * RATE, "{}", acknowledged.len());
}

/// Its row was written, and the process died before the answer went out: the phone repeats its request.
#[test]
fn a_registration_that_is_repeated_after_a_kill_is_answered() {
    let site = Site::new("repeated", STORE);
    let (mut phone, contact) = (Phone::new(), "Contact: <sip:bob@192.0.2.1>;expires=600\r\n");
    for round in 0..3 {
        let repro = site.start();
        let proxy = address(&repro, "udp");
        // With the same Call-ID and CSeq each time.
        phone.sent = 6;
        let (code, answer) = phone.ask(proxy, "bob", contact);
        assert!(code == 200 && answer.contains("<sip:bob@192.0.2.1>;expires="), "{round}: {answer}");
        // An older one is out of order.
        phone.sent = 5;
        assert_eq!(phone.ask(proxy, "bob", contact).0, 500, "{round}");
        signal(&repro.into_process(), "KILL");
    }
}

/// Messages for who is not there wait, whatever becomes of the process.
#[test]
fn messages_that_were_accepted_outlive_a_kill() {
    let site = Site::new("messages", &format!("{STORE}[silo]\n"));
    let mut phone = Phone::new();
    let repro = site.start();
    let proxy = address(&repro, "udp");
    for expires in [60, 0] {
        let lines = format!("Contact: <sip:{}>;expires={expires}\r\n", phone.socket.local_addr().expect("bound"));
        assert_eq!(phone.ask(proxy, "bob", &lines).0, 200);
    }
    for body in ["one", "two", "three"] {
        phone.page(proxy, "bob", body);
        let answer = phone.answer(LIMIT).expect("an answer");
        assert!(answer.starts_with("SIP/2.0 202 "), "{answer}");
    }
    signal(&repro.into_process(), "KILL");
    let repro = site.start();
    let proxy = address(&repro, "udp");
    let lines = format!("Contact: <sip:{}>\r\n", phone.socket.local_addr().expect("bound"));
    phone.send(proxy, "bob", &lines);
    let mut heard = Vec::new();
    while heard.len() < 3 {
        let message = phone.answer(LIMIT).expect("a message");
        let Some(body) = message.strip_prefix("MESSAGE ").and_then(|rest| rest.split("\r\n\r\n").nth(1)) else {
            continue;
        };
        // A repetition of what was answered is nothing new.
        if heard.last().map(String::as_str) != Some(body) {
            heard.push(body.to_owned());
        }
        let request = Message::parse(message.as_bytes()).expect("a request");
        let response = request.make_response(200, None, Some("b"));
        phone.socket.send_to(&response.to_bytes(), proxy).expect("loopback");
    }
    assert_eq!(heard, ["one", "two", "three"]);
    // What was delivered leaves nothing.
    let process = repro.into_process();
    signal(&process, "TERM");
    process.finish(LIMIT).expect("it ends");
    let store = Connection::open(site.0.join("repro.db")).expect("it opens");
    let left: u32 = store.query_row("SELECT count(*) FROM message", [], |row| row.get(0)).expect("a table");
    assert_eq!(left, 0);
}

/// Another process holds the database: registrations are refused, not lost, and go on when it lets go.
#[test]
fn a_store_that_cannot_write_refuses_and_heals() {
    let site = Site::new("held", STORE);
    let repro = site.start();
    let (proxy, mut phone) = (address(&repro, "udp"), Phone::new());
    let contact = "Contact: <sip:bob@192.0.2.1>\r\n";
    assert_eq!(phone.ask(proxy, "bob", contact).0, 200);
    let other = Connection::open(site.0.join("repro.db")).expect("it opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("it is free");
    let (code, answer) = phone.ask(proxy, "bob", contact);
    assert!(code == 503 && answer.contains("Retry-After: "), "{answer}");
    // From now on at once, and who only asks is answered.
    assert_eq!(phone.ask(proxy, "eve", contact).0, 503);
    assert_eq!(phone.ask(proxy, "bob", "").0, 200);
    other.execute_batch("ROLLBACK").expect("it was held");
    // Nothing comes of its own accord: waiting for it is a pause.
    let again = || phone.ask(proxy, "bob", contact).0 == 200 || phone.answer(Duration::from_millis(100)).is_some();
    assert!(std::iter::repeat_with(again).take(100).any(|healed| healed));
}

#[test]
fn a_file_that_is_no_database_is_a_clear_error() {
    let site = Site::new("corrupt", STORE);
    fs::write(site.0.join("repro.db"), "this is no database, but long enough to be taken for one".repeat(99)).unwrap();
    for args in [&["check"][..], &["list"], &["--listen", "udp:127.0.0.1:0"]] {
        let said = site.refused(args, "");
        assert!(
            said.contains("repro.db: ") && said.contains("not a database") && said.contains("move the file"),
            "{said}"
        );
    }
}

#[test]
fn records_are_changed_by_the_command_line() {
    by_the_command_line("records", STORE, STORE);
}

/// All that the command line does with records, in one place and in another one, which configurations name.
pub(crate) fn by_the_command_line(name: &str, place: &str, other: &str) {
    let text = format!("{place}[[user]]\naor = \"own@example.com\"\n");
    let (site, line) = (Site::new(name, &text), place.lines().count() + 1);
    assert_eq!(site.done(&["set", "domain", "{\"name\": \"example.com\", \"realm\": \"Acme\"}"], ""), "");
    site.done(&["user", "add", "Alice@EXAMPLE.com", "--third-party", "*"], "geheim\n");
    let exported = site.done(&["export"], "");
    // printf 'Alice:Acme:geheim' | md5sum
    assert!(exported.contains("\"md5\":\"65618abb2c0559d82d2791c2f4b38872\""), "{exported}");
    assert!(!exported.contains("geheim") && exported.lines().count() == 2, "{exported}");
    let listed = site.done(&["user", "list"], "");
    assert_eq!(listed, format!("user\town@example.com\t{}:{line}\nuser\tAlice@example.com\tstore\n", site.config()));
    assert!(site.done(&["check"], "").ends_with("3 records\n"));
    for (args, input, parts) in [
        (&["user", "add", "alice"][..], "x\n", &["user aor: ", "expected an address-of-record"][..]),
        (&["user", "add", "Alice@example.com"], "x\n", &["is there already"]),
        (&["user", "add", "own@example.com"], "x\n", &["is there already"]),
        (&["user", "add", "new@example.com"], "\n", &["no password: set REPRO_PASSWORD"]),
        (&["user", "passwd", "eve@example.com"], "x\n", &["is not in the store"]),
        (&["remove", "domain", "example.org"], "", &["domain example.org: is not in the store"]),
        (
            &["set", "user", "{\"aor\": \"own@example.com\"}"],
            "",
            &["store: user own@example.com: is also in ", &format!(":{line}: ")],
        ),
        (&["set", "usr", "{}"], "", &["usr: expected one of user, domain"]),
        (
            &["import", "-"],
            "{\"kind\":\"user\",\"aor\":\"b@h\"}\n{\"kind\":\"user\"}\n",
            &["-:2: user: missing field `aor`"],
        ),
    ] {
        let said = site.refused(args, input);
        assert!(parts.iter().all(|part| said.contains(part)), "{args:?}: {said}");
    }
    assert_eq!(site.done(&["export"], ""), exported, "what is refused changes nothing");
    // All that was exported can be imported elsewhere.
    let other = Site::new(&format!("{name}-other"), other);
    assert_eq!(other.done(&["import", "-"], &exported), "2 records, 2 of them new or changed\n");
    assert_eq!(other.done(&["import", "-"], &exported), "2 records, 0 of them new or changed\n");
    assert_eq!(other.done(&["export"], ""), exported);
    site.done(&["user", "passwd", "Alice@example.com"], "neu\n");
    assert_ne!(site.done(&["export"], ""), exported);
    site.done(&["user", "remove", "sip:Alice@Example.com"], "");
    assert_eq!(site.done(&["export"], "").lines().count(), 1);
}

#[test]
fn a_running_proxy_takes_what_another_process_changes() {
    let site = Site::new("running", STORE);
    let mut repro = site.start();
    let (proxy, mut phone) = (address(&repro, "udp"), Phone::new());
    site.done(
        &["import", "-"],
        "{\"kind\":\"static_registration\",\"aor\":\"gw@127.0.0.1\",\"contact\":\"sip:127.0.0.1:9\"}\n",
    );
    let told = |line: &str| line.contains("what is provisioned is put together anew").then_some(());
    repro.process().wait_for(LIMIT, told).expect("it notices");
    // A wrong set is refused whole, and what was there stays.
    fs::write(
        site.0.join("repro.toml"),
        format!("{STORE}[[static_registration]]\naor = \"gw@127.0.0.1\"\ncontact = \"sip:127.0.0.1:9\"\n"),
    )
    .unwrap();
    signal(repro.process(), "HUP");
    let told = |line: &str| line.contains("what is provisioned stays as it was: ").then(|| line.to_owned());
    let line = repro.process().wait_for(LIMIT, told).expect("it says why not");
    assert!(line.contains("store: static_registration gw@127.0.0.1") && line.contains("repro.toml:3"), "{line}");
    assert_eq!(phone.ask(proxy, "bob", "Contact: <sip:bob@192.0.2.1>\r\n").0, 200);
}

/// Two proxies would write over each other's bindings.
#[test]
fn a_second_proxy_on_the_same_database_does_not_start() {
    let site = Site::new("second", STORE);
    let repro = site.start();
    let config = site.config();
    let said = refusal(&["--listen", "udp:127.0.0.1:0", "--config", &config]);
    assert!(said.contains("repro.db: another repro runs on it"), "{said}");
    site.done(&["set", "domain", "{\"name\": \"example.com\"}"], "");
    drop(repro);
    // It ends with the process, however that ends.
    signal(&site.start().into_process(), "KILL");
    drop(site.start());
}

#[test]
fn check_says_what_is_wrong_and_where() {
    let site = Site::new("check", STORE);
    assert_eq!(site.done(&["check"], ""), "the configuration is right: 0 records\n");
    assert!(!site.0.join("repro.db").exists(), "what is not there is not made");
    for (text, parts) in [
        ("[registrar]\nmin_expires = 0", &["repro.toml:2: registrar.min_expires: expected at least 1"][..]),
        ("[[user]]\naor = 5", &["repro.toml:2: user aor: ", "expected a string"]),
        ("[[user]]\naor = \"a@h\"\n[[user]]\naor = \"a@h\"", &["repro.toml:3: user a@h: is also in ", "repro.toml:1"]),
        ("[store]\npath = \"no/where/a.db\"", &["store.path: there is no folder ", "/no/where: make it"]),
        ("[accounting]\nfile = \"nowhere/a\"", &["accounting.file: there is no folder ", "/nowhere: make it"]),
    ] {
        fs::write(site.0.join("repro.toml"), text).unwrap();
        let said = site.refused(&["check"], "");
        assert!(parts.iter().all(|part| said.contains(part)), "{text}: {said}");
    }
    // What is right and means nothing is said, and no error.
    let peer = "[[peer]]\nname = \"carrier\"\nnetworks = [\"192.0.2.0/24\"]\nidentity = \"rpid\"\n";
    let users =
        "[[user]]\naor = \"a@one.example\"\n[[user]]\naor = \"b@one.example\"\n[[user]]\naor = \"c@127.0.0.1\"\n";
    let trusted = "[identity]\ntrust_domain = true\n";
    for (text, warned) in [
        (
            peer.to_owned(),
            "repro.toml:1: peer carrier identity: it means nothing until identity.trust_domain is true\n",
        ),
        (format!("{trusted}{peer}"), ""),
        (
            "[accounting]\nfile = \"a\"\n[accounting.redis]\nurl = \"redis://127.0.0.1\"".to_owned(),
            "repro.toml:2: accounting.file: it means nothing beside [accounting.redis]\n",
        ),
        (
            "[auth]\nrequired = true\n[chains]\nrequest = [\"options\"]\n".to_owned(),
            "chains.request is without digest-authenticator: nobody is asked for the password that auth.required wants, but for \
             a way out of our domains\n",
        ),
        (
            users.to_owned(),
            "repro.toml:1: user a@one.example: nobody can register or call it, nor 1 more of that domain: name one.example \
             in domains or a [[domain]]\n",
        ),
        (format!("domains = [\"One.Example\"]\n{users}"), ""),
        (format!("[[domain]]\nname = \"one.example\"\n{users}"), ""),
    ] {
        fs::write(site.0.join("repro.toml"), &text).unwrap();
        let output = site.run(&["check"], "");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        assert!(if warned.is_empty() { said.is_empty() } else { said.ends_with(warned) }, "{text}: {said}");
    }
}
