//! Calls that the proxy sends to somebody else, over real sockets: forwards, a group, redirections, and loops.

use std::net::{SocketAddr, UdpSocket};

use stack::message::Message;
use tests::peers::{self, Repro, Sipp};

use crate::repro::{File, LIMIT, address, start};

/// The largest datagram that is read.
const DATAGRAM: usize = 65_536;

/// Somebody with a UDP socket, who does what the test says.
struct Peer(UdpSocket);

impl Peer {
    fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.set_read_timeout(Some(LIMIT)).expect("a limit");
        Peer(socket)
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("it is bound")
    }

    /// The URI of a user at this place.
    fn uri(&self, user: &str) -> String {
        format!("sip:{user}@{}", self.address())
    }

    fn call(&self, proxy: SocketAddr, user: &str) {
        let (own, length) = (self.address(), "Content-Length: 0\r\n\r\n");
        let request = format!(
            "INVITE sip:{user}@{proxy} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{user}\r\nMax-Forwards: 70\r\n\
             From: <sip:alice@{proxy}>;tag=1\r\nTo: <sip:{user}@{proxy}>\r\nCall-ID: {user}-{own}\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:alice@{own}>\r\nSupported: histinfo\r\n{length}"
        );
        self.0.send_to(request.as_bytes(), proxy).expect("it is sent");
    }

    /// The next message that is wanted; others are retransmissions, and what belongs to earlier ones.
    fn next(&self, wanted: impl Fn(&Message) -> bool) -> (Message, SocketAddr) {
        let mut octets = vec![0; DATAGRAM];
        loop {
            let (length, from) = self.0.recv_from(&mut octets).expect("a message comes");
            let message = Message::parse(&octets[..length]).expect("a message");
            if wanted(&message) {
                return (message, from);
            }
        }
    }

    fn request(&self, method: &str) -> (Message, SocketAddr) {
        self.next(|message| message.is_request() && message.method().is_some_and(|own| own.as_str() == method))
    }

    /// The status of the final response.
    fn hears(&self) -> u16 {
        let (message, _) = self.next(|message| message.status().is_some_and(|code| code >= 200));
        message.status().expect("a response")
    }

    fn answers(&self, (request, from): &(Message, SocketAddr), code: u16, lines: &[(&str, String)]) {
        let mut response = request.make_response(code, None, Some("callee"));
        for (name, value) in lines {
            response.append_line(name, value);
        }
        self.0.send_to(&response.to_bytes(), from).expect("it is sent");
    }

    /// Takes a call.
    fn accepts(&self, call: &(Message, SocketAddr)) {
        self.answers(call, 200, &[("Contact", format!("<{}>", self.uri("callee")))]);
    }
}

fn values(message: &Message, name: &str) -> Vec<String> {
    message.raw_values(name).map(|value| String::from_utf8_lossy(value).into_owned()).collect()
}

/// A proxy with this configuration; users are at 127.0.0.1.
fn proxy(name: &str, text: &str) -> (Repro, SocketAddr) {
    let config = File::new(name, &format!("domains = [\"127.0.0.1\"]\n{text}"));
    let repro = start(&["--config", config.name()]);
    let address = address(&repro, "udp");
    (repro, address)
}

fn user(name: &str, forwards: &str) -> String {
    format!("[[user]]\naor = \"{name}@127.0.0.1\"\n{forwards}\n")
}

/// A phone that is called without having registered.
fn phone(name: &str, peer: &Peer) -> String {
    format!("[[static_registration]]\naor = \"{name}@127.0.0.1\"\ncontact = \"{}\"\n", peer.uri(name))
}

#[test]
fn a_busy_users_call_goes_to_somebody_else() {
    let [alice, bob, carol] = [(); 3].map(|()| Peer::new());
    let text = user("bob", "forward_busy = \"sip:carol@127.0.0.1\"") + &phone("bob", &bob) + &phone("carol", &carol);
    let (_repro, proxy) = proxy("busy", &text);
    alice.call(proxy, "bob");
    bob.answers(&bob.request("INVITE"), 486, &[]);
    let call = carol.request("INVITE");
    assert_eq!(values(&call.0, "Diversion"), ["<sip:bob@127.0.0.1>;reason=user-busy;counter=1"]);
    let history = values(&call.0, "History-Info");
    assert!(history[0].ends_with("?Reason=SIP%3Bcause%3D486>;index=1") && history.len() == 3, "{history:?}");
    carol.answers(&call, 180, &[]);
    carol.accepts(&call);
    assert_eq!(alice.hears(), 200);
}

#[test]
fn a_call_that_nobody_answers_goes_to_the_voicemail() {
    let [alice, bob, voicemail] = [(); 3].map(|()| Peer::new());
    let forwards = format!("voicemail = \"{}\"\nno_answer_seconds = 1", voicemail.uri("vm"));
    let (_repro, proxy) = proxy("no-answer", &(user("bob", &forwards) + &phone("bob", &bob)));
    alice.call(proxy, "bob");
    let ringing = bob.request("INVITE");
    bob.answers(&ringing, 180, &[]);
    let cancel = bob.request("CANCEL");
    assert_eq!(values(&cancel.0, "Reason"), ["SIP;cause=408;text=\"Not answered in time\""]);
    bob.answers(&cancel, 200, &[]);
    bob.answers(&ringing, 487, &[]);
    let call = voicemail.request("INVITE");
    assert_eq!(values(&call.0, "Diversion"), ["<sip:bob@127.0.0.1>;reason=no-answer;counter=1"]);
    voicemail.accepts(&call);
    assert_eq!(alice.hears(), 200);
}

#[test]
fn who_is_not_registered_has_a_voicemail() {
    let [alice, voicemail] = [(); 2].map(|()| Peer::new());
    let forwards = format!("voicemail = \"{}\"", voicemail.uri("vm"));
    let (_repro, proxy) = proxy("not-registered", &user("bob", &forwards));
    alice.call(proxy, "bob");
    let call = voicemail.request("INVITE");
    assert_eq!(values(&call.0, "Diversion"), ["<sip:bob@127.0.0.1>;reason=unavailable;counter=1"]);
    voicemail.accepts(&call);
    assert_eq!(alice.hears(), 200);
}

#[test]
fn a_group_rings_one_after_the_other_and_at_once() {
    let [alice, bob, carol] = [(); 3].map(|()| Peer::new());
    let members = format!("members = [\"sip:bob@127.0.0.1\", \"{}\"]\nstep_seconds = 1", carol.uri("carol"));
    let group = |name: &str, mode| format!("[[group]]\naor = \"{name}@127.0.0.1\"\nmode = \"{mode}\"\n{members}\n");
    let text = group("sales", "sequential") + &group("office", "parallel") + &phone("bob", &bob);
    let (_repro, proxy) = proxy("group", &text);
    alice.call(proxy, "sales");
    let ringing = bob.request("INVITE");
    bob.answers(&ringing, 180, &[]);
    let cancel = bob.request("CANCEL");
    bob.answers(&cancel, 200, &[]);
    bob.answers(&ringing, 487, &[]);
    carol.accepts(&carol.request("INVITE"));
    assert_eq!(alice.hears(), 200);
    let caller = Peer::new();
    caller.call(proxy, "office");
    let is_of = |message: &Message| message.is_request() && values(message, "Call-ID")[0].starts_with("office");
    let (first, second) = (bob.next(is_of), carol.next(is_of));
    bob.answers(&first, 180, &[]);
    carol.accepts(&second);
    assert_eq!(caller.hears(), 200);
    assert!(values(&bob.request("CANCEL").0, "Reason")[0].contains("Call completed elsewhere"));
}

#[test]
fn a_redirection_is_followed_or_sent_back() {
    for (follows, name) in [(true, "followed"), (false, "sent-back")] {
        let [alice, bob, other] = [(); 3].map(|()| Peer::new());
        let text = format!("[forwarding]\nfollow_redirects = {follows}\n{}", phone("bob", &bob));
        let (_repro, proxy) = proxy(name, &text);
        alice.call(proxy, "bob");
        let contact = format!("<{}>;q=0.5, <mailto:bob@127.0.0.1>;q=0.9", other.uri("x"));
        bob.answers(&bob.request("INVITE"), 302, &[("Contact", contact)]);
        if follows {
            let call = other.request("INVITE");
            assert_eq!(values(&call.0, "Diversion"), ["<sip:bob@127.0.0.1>;reason=deflection;counter=1"]);
            other.accepts(&call);
        }
        assert_eq!(alice.hears(), if follows { 200 } else { 302 });
    }
}

#[test]
fn who_forward_to_each_other_are_a_loop() {
    let alice = Peer::new();
    let to = |name: &str| format!("forward_always = \"sip:{name}@127.0.0.1\"");
    let (_repro, proxy) = proxy("loop", &(user("bob", &to("carol")) + &user("carol", &to("bob"))));
    alice.call(proxy, "bob");
    assert_eq!(alice.hears(), 482);
}

#[test]
fn forwarded_calls_stand() {
    if !peers::available("sipp") {
        return;
    }
    let side =
        |scenario, local, remote, more| Sipp { scenario, local, remote, calls: 10, rate: 20, transport: "u1", more };
    let [caller, called] = [(); 2].map(|()| SocketAddr::from((peers::loopback(), 5060)));
    let (_repro, proxy) = proxy("sipp", &user("bob", &format!("forward_always = \"sip:called@{called}\"")));
    let called = side("uas_call.xml", called, None, &[]).start().expect("the called side starts");
    let stats = side("uac_call.xml", caller, Some(proxy), &["-s", "bob"]).run(LIMIT).expect("the caller ends");
    assert_eq!((stats.successful, stats.failed), (10, 0));
    let stats = called.finish(LIMIT).expect("the called side ends");
    assert_eq!((stats.successful, stats.failed), (10, 0));
}
