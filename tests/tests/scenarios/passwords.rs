//! Passwords on the wire: SIPp's digest, and a client of our own for what SIPp does not do.

use std::net::{SocketAddr, UdpSocket};

use stack::auth::{Answer, Challenge, Hash, Secret, ha1};
use stack::header::h;
use stack::message::Message;
use tests::peers::{self, CallStats, Repro, Sipp};

use super::repro::{ANY_PORT, File, LIMIT, address};

/// A proxy that asks for passwords; alice's is `wonderland` and bob's `builder`.
pub(crate) fn asking(name: &str, auth: &str, placement: &str) -> Repro {
    let user = |user: &str, password: &str| {
        let digits = |hash| ha1(hash, user, "example.com", password);
        let (md5, sha256) = (digits(Hash::Md5), digits(Hash::Sha256));
        format!("[[user]]\naor = \"{user}@example.com\"\nmd5 = \"{md5}\"\nsha256 = \"{sha256}\"\n")
    };
    let (alice, bob) = (user("alice", "wonderland"), user("bob", "builder"));
    let text = format!("[auth]\nrequired = true\n{auth}\n[[domain]]\nname = \"example.com\"\n{alice}{bob}");
    let config = File::new(name, &text);
    let more = ["--config", config.name(), "--placement", placement];
    let args: Vec<&str> = ANY_PORT.iter().chain(&more).copied().collect();
    Repro::start(&args, 2).expect("it starts")
}

/// SIPp with a user, a password and a service.
fn sipp(scenario: &str, local: SocketAddr, proxy: SocketAddr, more: &[&str]) -> CallStats {
    sipp_by("u1", scenario, local, proxy, more)
}

fn sipp_by(transport: &str, scenario: &str, local: SocketAddr, proxy: SocketAddr, more: &[&str]) -> CallStats {
    let more = [&["-key", "domain", "example.com", "-timeout", "8s", "-max_retrans", "3"], more].concat();
    let side = Sipp { scenario, local, remote: Some(proxy), calls: 1, rate: 10, transport, more: &more };
    side.run(LIMIT).expect("it ends")
}

#[test]
fn a_phone_registers_and_is_called_with_passwords() {
    if !peers::available("sipp") {
        return;
    }
    let repro = asking("passwords", "algorithms = [\"MD5\"]", "inline");
    let proxy = address(&repro, "udp");
    let [caller, called] = [(); 2].map(|()| SocketAddr::from((peers::loopback(), 5060)));
    let bob = ["-s", "bob", "-au", "bob", "-ap"];
    let stats = sipp("register_digest.xml", called, proxy, &[&bob[..], &["builder"]].concat());
    assert_eq!((stats.successful, stats.failed), (1, 0));
    let side =
        Sipp { scenario: "uas_call.xml", local: called, remote: None, calls: 1, rate: 1, transport: "u1", more: &[] };
    let running = side.start().expect("the called side starts");
    let alice = ["-s", "bob", "-key", "caller", "alice", "-au", "alice", "-ap"];
    let stats = sipp("uac_call_digest.xml", caller, proxy, &[&alice[..], &["wonderland"]].concat());
    assert_eq!((stats.successful, stats.failed), (1, 0));
    let stats = running.finish(LIMIT).expect("the called side ends");
    assert_eq!((stats.successful, stats.failed), (1, 0));
    // Neither with a wrong password, nor with another's.
    let stats = sipp("register_digest.xml", called, proxy, &[&bob[..], &["wonderland"]].concat());
    assert_eq!((stats.successful, stats.failed), (0, 1));
    let other = ["-s", "bob", "-au", "alice", "-ap", "wonderland"];
    let stats = sipp("register_digest.xml", called, proxy, &other);
    assert_eq!((stats.successful, stats.failed), (0, 1));
}

#[test]
fn a_phone_registers_over_tcp_with_its_password_and_no_other() {
    if !peers::available("sipp") {
        return;
    }
    let repro = asking("passwords-tcp", "algorithms = [\"MD5\"]", "inline");
    let proxy = address(&repro, "tcp");
    for (password, successful) in [("wonderland", 1), ("guess", 0), ("builder", 0), ("wonderland", 1)] {
        let local = SocketAddr::from((peers::loopback(), 5060));
        let more = ["-s", "alice", "-au", "alice", "-ap", password];
        let stats = sipp_by("t1", "register_digest.xml", local, proxy, &more);
        assert_eq!((stats.successful, stats.failed), (successful, 1 - successful), "{password}");
    }
}

/// A client over UDP that can do what no phone does.
struct Client {
    socket: UdpSocket,
    proxy: SocketAddr,
    sent: u32,
}

impl Client {
    fn new(from: &str, proxy: SocketAddr) -> Self {
        let socket = UdpSocket::bind(from).expect("a free port");
        socket.set_read_timeout(Some(LIMIT)).expect("a limit");
        Client { socket, proxy, sent: 0 }
    }

    fn send(&mut self, call: &str, more: &str) {
        self.sent += 1;
        let (n, local) = (self.sent, self.socket.local_addr().expect("it is bound"));
        let text = format!(
            "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{n}{call}\r\nMax-Forwards: 9\r\n\
             From: <sip:alice@example.com>;tag=a\r\nTo: <sip:alice@example.com>\r\nCall-ID: {call}\r\n\
             CSeq: {n} REGISTER\r\nContact: <sip:alice@{local}>\r\n{more}Content-Length: 0\r\n\r\n"
        );
        self.socket.send_to(text.as_bytes(), self.proxy).expect("it is sent");
    }

    fn answer(&self) -> Message {
        let mut octets = [0; 4096];
        let (length, _) = self.socket.recv_from(&mut octets).expect("an answer");
        Message::parse(&octets[..length]).expect("a message")
    }

    fn ask(&mut self, call: &str, more: &str) -> Message {
        self.send(call, more);
        self.answer()
    }

    /// Credentials for the strongest challenge of an answer.
    fn credentials(&self, answer: &Message, password: &str, count: u32) -> String {
        credentials(answer, password, count)
    }
}

/// Alice's credentials for the strongest challenge of an answer to her REGISTER.
pub(crate) fn credentials(answer: &Message, password: &str, count: u32) -> String {
    let header = answer.first(h::WWW_AUTHENTICATES).expect("a challenge");
    let challenge = Challenge::read(&header).expect("a challenge for digest");
    let uri = "sip:example.com";
    let with = Answer { user: "alice", method: "REGISTER", uri, body: b"", cnonce: "c", count };
    let auth = challenge.answer(&Secret::password(password), &with).expect("a password serves all");
    format!("Authorization: {auth}\r\n")
}

/// What was recorded serves on no shard, whichever its Call-ID leads to.
#[test]
fn a_recorded_request_is_refused_by_all_shards() {
    let repro = asking("recorded", "", "sharded:2");
    let mut phone = Client::new("127.0.0.1:0", address(&repro, "udp"));
    let challenge = phone.ask("first", "");
    let recorded = phone.credentials(&challenge, "wonderland", 1);
    assert!(recorded.contains("SHA-256"), "{recorded}");
    assert_eq!(phone.ask("first", &recorded).status(), Some(200));
    for n in 0..16 {
        let refusal = phone.ask(&format!("call-{n}"), &recorded);
        let header = refusal.first(h::WWW_AUTHENTICATES).expect("a challenge");
        assert_eq!((refusal.status(), header.get("stale").as_deref()), (Some(401), Some("TRUE")), "{n}");
    }
    // The next count serves on whichever shard it comes to.
    for n in 2..10 {
        let next = phone.credentials(&challenge, "wonderland", n);
        assert_eq!(phone.ask(&format!("more-{n}"), &next).status(), Some(200), "{n}");
    }
}

/// Who guesses is not heard any more; others are.
#[test]
fn who_guesses_is_banned() {
    let repro = asking("guesses", "ban_after = 8", "inline");
    let proxy = address(&repro, "udp");
    let mut thief = Client::new("127.0.0.1:0", proxy);
    for n in 1..=8 {
        let challenge = thief.ask(&format!("guess-{n}"), "");
        let guess = thief.credentials(&challenge, &format!("guess {n}"), 1);
        assert_eq!(thief.ask(&format!("guess-{n}"), &guess).status(), Some(401), "{n}");
    }
    thief.send("unheard", "");
    // The proxy reads its socket in order: what came after the thief's was answered.
    let mut phone = Client::new("127.0.0.2:0", proxy);
    let challenge = phone.ask("other", "");
    let right = phone.credentials(&challenge, "wonderland", 1);
    assert_eq!(phone.ask("other", &right).status(), Some(200));
    thief.socket.set_nonblocking(true).expect("it can be");
    assert!(thief.socket.recv_from(&mut [0; 4096]).is_err(), "it was heard");
}
