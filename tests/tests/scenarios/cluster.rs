//! Several nodes with one location service, and what becomes of it when Redis or a node is stopped, frozen or killed.

use crate::admin::{ask, get};
use crate::end::signal;
use crate::phone::Phone;
use crate::repro::{File, LIMIT, address};
use rutil::{Clock as _, RealClock, Time};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;
use tests::peers::{Redis, Repro, available};
use tests::raw;

pub(crate) const PASSWORD: &str = "geheim";
const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Several nodes.
pub(crate) struct Site {
    redis: Redis,
    /// How nodes get to it.
    place: String,
    /// What else the nodes are configured with.
    more: String,
    files: Vec<File>,
}

impl Site {
    pub(crate) fn start() -> Self {
        let redis = Redis::start(Some(PASSWORD)).expect("it starts");
        let place = format!("redis = [\"redis://{}\"]\n", redis.address());
        Self::on(redis, place)
    }

    /// On this server, to which one gets by `place`.
    pub(crate) fn on(redis: Redis, place: String) -> Self {
        Site { redis, place, more: String::new(), files: Vec::new() }
    }

    pub(crate) fn redis(&self) -> &Redis {
        &self.redis
    }

    /// Nodes that are started from now on are configured with this as well.
    pub(crate) fn add(&mut self, more: &str) {
        self.more += more;
    }

    /// Asks Redis something.
    fn ask(&self, what: &[&str]) -> String {
        self.redis.ask(what).expect("it answers")
    }

    /// A node of this name.
    pub(crate) fn node(&mut self, name: &'static str) -> Repro {
        let text = format!(
            "domains = [\"test.example\"]\npin_runners = false\n[nat]\ndetect = \"auto\"\n[log]\nfilter = \"info\"\n\
             [registrar]\nmin_expires = 1\n\
             [cluster]\nnode = \"{name}\"\n{}password = \"{PASSWORD}\"\nsecret = \"{SECRET}\"\n\
             [admin]\nlisten = \"127.0.0.1:0\"\n{}",
            self.place, self.more
        );
        let file = File::new(&format!("cluster-{}-{name}", self.redis.address().ip()), &text);
        let args = ["--config", file.name(), "--listen", "udp:127.0.0.1:0", "--listen", "tcp:127.0.0.1:0"];
        let node = Repro::start(&args, 3).expect("it starts");
        self.files.push(file);
        node
    }
}

/// Does something again and again until it gives something.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let clock = RealClock::new();
    while clock.now() < Time::ZERO + LIMIT {
        if let Some(found) = ask() {
            return found;
        }
    }
    panic!("not in time: {what}");
}

/// What a device says to a registrar and hears of it.
pub(crate) struct Device {
    socket: UdpSocket,
    count: u32,
}

impl Device {
    pub(crate) fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a limit");
        Device { socket, count: 0 }
    }

    fn write(&mut self, node: SocketAddr, user: &str, contact: &str) -> (String, String) {
        self.count += 1;
        let (own, count) = (self.socket.local_addr().expect("it is bound"), self.count);
        let branch = format!("z9hG4bK{user}{}x{count}", own.port());
        let text = format!(
            "REGISTER sip:{node} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch={branch}\r\nMax-Forwards: 70\r\n\
             From: <sip:{user}@test.example>;tag=r\r\nTo: <sip:{user}@test.example>\r\nCall-ID: {user}-{}\r\n\
             CSeq: {count} REGISTER\r\n{contact}Content-Length: 0\r\n\r\n",
            own.port()
        );
        (branch, text)
    }

    /// Sends a REGISTER, again if need be; its final answer, if there is one in time.
    pub(crate) fn register(&mut self, node: SocketAddr, user: &str, contact: &str) -> Option<String> {
        let (branch, text) = self.write(node, user, contact);
        let mut buffer = [0; 65_536];
        for _ in 0..20 {
            self.socket.send_to(text.as_bytes(), node).expect("loopback");
            while let Ok((size, _)) = self.socket.recv_from(&mut buffer) {
                let answer = String::from_utf8_lossy(&buffer[..size]).into_owned();
                if answer.contains(&branch) && !answer.starts_with("SIP/2.0 1") {
                    return Some(answer);
                }
            }
        }
        None
    }

    /// Registers a contact; the status.
    pub(crate) fn bind(&mut self, node: SocketAddr, user: &str) -> Option<u16> {
        let contact = format!("Contact: <sip:{user}@{}>\r\n", self.socket.local_addr().expect("it is bound"));
        raw::status(self.register(node, user, &contact)?.as_bytes())
    }

    /// How many contacts a node knows of a user.
    pub(crate) fn contacts(&mut self, node: SocketAddr, user: &str) -> usize {
        self.register(node, user, "").map_or(0, |answer| answer.matches("\r\nContact: ").count())
    }
}

/// Says yes to whom it comes from.
pub(crate) fn say_yes(phone: &Phone, request: &[u8]) {
    phone.send_to(&raw::response(request, 200), phone.heard_from().expect("it came from somewhere"));
}

pub(crate) fn message(from: &Phone, to: &str, method: &str, call: &str) -> Vec<u8> {
    let own = from.uri();
    let sent_by = own.rsplit('@').next().unwrap_or_default();
    let text = format!(
        "{method} sip:{to}@test.example SIP/2.0\r\nVia: SIP/2.0/UDP {sent_by};branch=z9hG4bK{call}\r\nMax-Forwards: 70\r\n\
         From: <{own}>;tag=a\r\nTo: <sip:{to}@test.example>\r\nCall-ID: {call}\r\nCSeq: 1 {method}\r\n\
         Contact: <{own}>\r\nContent-Length: 0\r\n\r\n"
    );
    text.into_bytes()
}

/// Binds a phone that believes to be behind a NAT, so that only the flow to this node leads to it.
pub(crate) fn bind_natted(phone: &Phone, user: &str, count: u32) {
    let text = format!(
        "REGISTER sip:test.example SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKn{count}{user};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:{user}@test.example>;tag=r\r\nTo: <sip:{user}@test.example>\r\nCall-ID: n{user}\r\n\
         CSeq: {count} REGISTER\r\nContact: <sip:{user}@10.0.0.1:5060>\r\nContent-Length: 0\r\n\r\n"
    );
    phone.send(text.as_bytes());
    phone.hear("SIP/2.0 200 ");
}

#[test]
fn who_registers_with_one_node_is_reached_by_the_other() {
    if !available("redis-server") {
        return;
    }
    let mut site = Site::start();
    let (first, second) = (site.node("a"), site.node("b"));
    let (a, b) = (address(&first, "udp"), address(&second, "udp"));
    let (bob, alice) = (Phone::new("bob", a), Phone::new("alice", b));
    let mut device = Device::new();
    let contact = format!("Contact: <{}>\r\n", bob.uri());
    assert!(device.register(a, "bob", &contact).expect("an answer").starts_with("SIP/2.0 200 "));
    until("b knows bob", || (device.contacts(b, "bob") == 1).then_some(()));
    alice.send(&message(&alice, "bob", "MESSAGE", "direct"));
    say_yes(&bob, &bob.hear("MESSAGE "));
    alice.hear("SIP/2.0 200 ");
    assert_eq!(bob.heard_from(), Some(b), "he can be sent to by any node");
    // He goes by the other node, and comes back with another Call-ID.
    let gone = device.register(b, "bob", "Contact: *\r\nExpires: 0\r\n").expect("an answer");
    assert!(gone.starts_with("SIP/2.0 200 "), "{gone}");
    until("a knows that he is gone", || (device.contacts(a, "bob") == 0).then_some(()));
    let mut other = Device::new();
    assert_eq!(other.bind(b, "bob"), Some(200));
    until("a knows bob", || (device.contacts(a, "bob") == 1).then_some(()));
}

/// What the API of a node says of all nodes.
fn nodes(http: SocketAddr) -> Value {
    let (status, body) = get(http, "/api/v1/nodes");
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).expect("JSON")
}

#[test]
fn an_operator_sees_which_nodes_live_and_removes_a_contact_for_all() {
    if !available("redis-server") {
        return;
    }
    let mut site = Site::start();
    let (first, second) = (site.node("a"), site.node("b"));
    let (a, http) = (address(&first, "udp"), address(&second, "http"));
    let alive = |told: &Value| -> Vec<(String, bool)> {
        let items = told["items"].as_array().into_iter().flatten();
        items.map(|one| (one["node"].as_str().unwrap_or_default().to_owned(), one["alive"] == true)).collect()
    };
    let both = |first: bool| vec![("a".to_owned(), first), ("b".to_owned(), true)];
    let told = until("both live", || Some(nodes(http)).filter(|told| alive(told) == both(true)));
    assert_eq!(
        (&told["node"], &told["connected"], &told["items"][1]["own"]),
        (&json!("b"), &json!(true), &json!(true))
    );
    // A contact of the other node's is removed here, and is gone there.
    let mut device = Device::new();
    assert_eq!(device.bind(a, "bob"), Some(200));
    let path = "/api/v1/registrations/bob%40test.example";
    until("b knows bob", || (get(http, path).0 == 200).then_some(()));
    let removed = ask(http, "DELETE", path, "", "");
    assert_eq!(removed.status, 200, "{removed:?}");
    until("a knows that he is gone", || (device.contacts(a, "bob") == 0).then_some(()));
    drop(first);
    until("one is gone", || (alive(&nodes(http)) == both(false)).then_some(()));
    // Without Redis nothing is removed.
    assert_eq!(device.bind(address(&second, "udp"), "carol"), Some(200));
    let path = "/api/v1/registrations/carol%40test.example";
    assert_eq!(get(http, path).0, 200);
    drop(site.redis);
    until("Redis is gone", || (nodes(http)["connected"] == false).then_some(()));
    assert_eq!((ask(http, "DELETE", path, "", "").status, get(http, path).0), (503, 200));
}

/// The others need not wait until it was silent for a while.
#[test]
fn a_node_that_ends_says_so() {
    if !available("redis-server") {
        return;
    }
    let mut site = Site::start();
    let first = site.node("a").into_process();
    signal(&first, "TERM");
    let (status, output) = first.finish(LIMIT).expect("it ends");
    assert!(status.success(), "{output}");
    let said = site.ask(&["HGET", "repro:nodes", "a"]);
    let at: u64 = said.split(' ').next().and_then(|at| at.parse().ok()).expect("milliseconds");
    let now: u64 = site.ask(&["TIME"]).lines().next().and_then(|at| at.parse().ok()).expect("seconds");
    assert!(at + 3_500 <= (now + 1) * 1_000, "{said} at {now}");
}

/// Who has his flow at a node that drains is away for what is new, and is not refused with 503; what he has goes on.
#[test]
fn a_node_that_drains_finishes_its_calls_and_is_sent_nothing_new() {
    if !available("redis-server") {
        return;
    }
    let mut site = Site::start();
    let (first, second) = (site.node("a"), site.node("b"));
    let (a, b, http) = (address(&first, "udp"), address(&second, "udp"), address(&second, "http"));
    let (bob, alice, carol) = (Phone::new("bob", a), Phone::new("alice", b), Phone::new("carol", b));
    bind_natted(&bob, "bob", 1);
    let mut device = Device::new();
    until("b knows bob", || (device.contacts(b, "bob") == 1).then_some(()));
    alice.send(&message(&alice, "bob", "INVITE", "begun"));
    let invite = bob.hear("INVITE ");
    bob.answer(&invite, 180);
    alice.hear("SIP/2.0 180 ");
    let first = first.into_process();
    signal(&first, "TERM");
    let drains = |one: &Value| one["node"] == "a" && one["alive"] == true && one["draining"] == true;
    let items = |told: Value| told["items"].as_array().cloned().unwrap_or_default();
    until("b knows that a drains", || items(nodes(http)).iter().any(drains).then_some(()));
    for (method, call) in [("INVITE", "new"), ("MESSAGE", "note")] {
        carol.send(&message(&carol, "bob", method, call));
        let answer = carol.hear("SIP/2.0 4");
        assert_eq!(raw::status(&answer), Some(480), "{}", String::from_utf8_lossy(&answer));
    }
    bob.answer(&invite, 200);
    alice.hear("SIP/2.0 200 ");
    let (status, output) = first.finish(LIMIT).expect("it ends");
    assert!(status.success(), "{output}");
}

/// A device that only its flow leads to, as of a phone behind a NAT.
#[test]
fn a_request_for_who_has_his_flow_at_another_node_goes_there_and_a_dead_node_is_said_at_once() {
    if !available("redis-server") {
        return;
    }
    let mut site = Site::start();
    let (first, second) = (site.node("a"), site.node("b"));
    let (a, b) = (address(&first, "udp"), address(&second, "udp"));
    let (bob, alice) = (Phone::new("bob", a), Phone::new("alice", b));
    bind_natted(&bob, "bob", 1);
    let mut device = Device::new();
    until("b knows bob", || (device.contacts(b, "bob") == 1).then_some(()));
    alice.send(&message(&alice, "bob", "INVITE", "flow"));
    let invite = bob.hear("INVITE sip:bob@10.0.0.1:5060 SIP/2.0");
    assert_eq!(bob.heard_from(), Some(a), "it comes by the flow");
    assert_eq!(String::from_utf8_lossy(&invite).matches("\r\nVia: ").count(), 3);
    bob.answer(&invite, 200);
    alice.hear("SIP/2.0 200 ");
    // A node that dies takes the way to him along: he is away, and not silent for 32 s.
    drop(first);
    let mut tries = 0;
    let clock = RealClock::new();
    let begun = clock.now();
    let answer = until("an answer", || {
        tries += 1;
        let call = format!("dead{tries}");
        alice.send(&message(&alice, "bob", "INVITE", &call));
        let answer = alice.hear("SIP/2.0 4");
        let is_its = raw::first(&answer, "call-id").as_deref() == Some(call.as_bytes());
        is_its.then(|| raw::status(&answer))
    });
    println!(
        "the first INVITE after the death of the node was answered {answer:?} after {:?}",
        clock.now().since(begun)
    );
    assert_eq!(answer, Some(480));
    // With its name and his flow it comes back.
    let mut text = second.into_process().output();
    text.push('\n');
    assert!(!text.contains(PASSWORD) && !text.contains("0123456789abcdef"), "{text}");
}

#[test]
fn a_frozen_node_costs_a_call_two_seconds_and_later_ones_nothing() {
    if !available("redis-server") {
        return;
    }
    let mut site = Site::start();
    let (mut first, mut second) = (site.node("a"), site.node("b"));
    let (a, b) = (address(&first, "udp"), address(&second, "udp"));
    let (bob, alice) = (Phone::new("bob", a), Phone::new("alice", b));
    bind_natted(&bob, "bob", 1);
    let mut device = Device::new();
    until("b knows bob", || (device.contacts(b, "bob") == 1).then_some(()));
    signal(first.process(), "STOP");
    let clock = RealClock::new();
    let begun = clock.now();
    alice.send(&message(&alice, "bob", "INVITE", "frozen"));
    let answer = alice.hear("SIP/2.0 4");
    println!("an INVITE for a flow of a frozen node: {:?} after {:?}", raw::status(&answer), clock.now().since(begun));
    assert_eq!(raw::status(&answer), Some(480));
    let gone = |line: &str| line.contains("a node is gone").then_some(());
    second.process().wait_for(LIMIT, gone).expect("it is noticed");
    let begun = clock.now();
    alice.send(&message(&alice, "bob", "MESSAGE", "later"));
    let answer = alice.hear("SIP/2.0 4");
    println!("a MESSAGE when that is known: {:?} after {:?}", raw::status(&answer), clock.now().since(begun));
    assert_eq!(raw::status(&answer), Some(480));
    signal(first.process(), "CONT");
    let back = |line: &str| line.contains("a node is back").then_some(());
    second.process().wait_for(LIMIT, back).expect("it is noticed");
    alice.send(&message(&alice, "bob", "MESSAGE", "back"));
    loop {
        // What the frozen node had in its inbox comes too.
        let heard = bob.hear("");
        if heard.starts_with(b"MESSAGE ") {
            break say_yes(&bob, &heard);
        }
    }
    alice.hear("SIP/2.0 200 ");
}

#[test]
fn without_redis_who_is_known_is_reached_and_an_empty_one_gets_everything_back() {
    if !available("redis-server") {
        return;
    }
    let mut site = Site::start();
    let (first, second) = (site.node("a"), site.node("b"));
    let (a, b) = (address(&first, "udp"), address(&second, "udp"));
    let (bob, alice) = (Phone::new("bob", a), Phone::new("alice", b));
    let mut device = Device::new();
    let contact = format!("Contact: <{}>\r\n", bob.uri());
    assert!(device.register(a, "bob", &contact).expect("an answer").starts_with("SIP/2.0 200 "));
    until("b knows bob", || (device.contacts(b, "bob") == 1).then_some(()));
    site.redis.stop();
    let refused = until("a refusal", || {
        let answer = device.register(a, "carol", &format!("Contact: <sip:carol@{b}>\r\n"))?;
        answer.starts_with("SIP/2.0 503 ").then_some(answer)
    });
    assert!(refused.contains("\r\nRetry-After: 5\r\n") && !refused.contains("\r\nContact: "), "{refused}");
    alice.send(&message(&alice, "bob", "MESSAGE", "down"));
    say_yes(&bob, &bob.hear("MESSAGE "));
    alice.hear("SIP/2.0 200 ");
    site.redis.restart().expect("it starts");
    let mut other = Device::new();
    until("it heals", || (other.bind(b, "dave") == Some(200)).then_some(()));
    // A node that has never heard of them knows what the others have put back.
    let third = site.node("c");
    let c = address(&third, "udp");
    until("c knows bob", || (device.contacts(c, "bob") == 1).then_some(()));
    until("c knows dave", || (device.contacts(c, "dave") == 1).then_some(()));
}

/// Who binds and unbinds ever new contacts is not kept with all of them.
#[test]
fn contacts_that_are_gone_do_not_pile_up_in_redis() {
    if !available("redis-server") || !available("redis-cli") {
        return;
    }
    let mut site = Site::start();
    let node = site.node("a");
    let (a, mut device) = (address(&node, "udp"), Device::new());
    let contact = |number: usize| format!("<sip:bob@192.0.2.1:{}>", 5060 + number);
    const ROUNDS: usize = 60;
    for number in 1..=ROUNDS {
        let line = format!("Contact: {}, {};expires=0\r\n", contact(number), contact(number - 1));
        let answer = device.register(a, "bob", &line).expect("an answer");
        assert!(answer.starts_with("SIP/2.0 200 ") && answer.matches("\r\nContact: ").count() == 1, "{answer}");
    }
    let keys = site.ask(&["--raw", "KEYS", "repro:*:aor:bob@test.example"]);
    let fields: usize = site.ask(&["--raw", "HLEN", &keys]).parse().expect("a number");
    println!("{ROUNDS} contacts one after the other: {fields} fields");
    // As many as there may be contacts, or 16, and the one that is bound.
    assert!((2..=1 + 16).contains(&fields), "{keys}: {fields}");
}

/// A Redis that takes no writes is as none: said once, and REGISTER is refused without a word each.
#[test]
fn a_redis_that_takes_no_writes_counts_as_lost_until_it_does() {
    if !available("redis-server") || !available("redis-cli") {
        return;
    }
    let mut site = Site::start();
    let mut node = site.node("a");
    let (a, mut device) = (address(&node, "udp"), Device::new());
    assert_eq!(device.bind(a, "bob"), Some(200));
    assert_eq!(site.ask(&["CONFIG", "SET", "maxmemory", "1"]), "OK");
    node.process().wait_for(LIMIT, |line| line.contains("Redis is lost").then_some(())).expect("it is noticed");
    for _ in 0..10 {
        assert_eq!(device.bind(a, "carol"), Some(503));
    }
    assert_eq!(device.contacts(a, "bob"), 1);
    assert_eq!(site.ask(&["CONFIG", "SET", "maxmemory", "0"]), "OK");
    until("it heals", || (device.bind(a, "carol") == Some(200)).then_some(()));
    let output = node.into_process().output();
    let lost: Vec<&str> = output.lines().filter(|line| line.contains("Redis is lost")).collect();
    assert!(lost.len() == 1 && lost[0].contains("maxmemory"), "{lost:?}");
    let said = output.lines().filter(|line| line.contains("is not written") || line.contains("connected to Redis"));
    // The start, at most one change that came before the sign of life, and the end of it.
    assert!(said.count() <= 3, "{output}");
}

/// What became of registrations.
#[derive(Debug, Default)]
struct Tally {
    answers: BTreeMap<u16, usize>,
    unanswered: usize,
}

/// Registers users with nodes in turn, one after the other, and does something at one moment; whom a node said yes to.
fn register_many(users: usize, nodes: &[SocketAddr], mut at: impl FnMut(usize)) -> (Vec<String>, Tally) {
    let (mut device, mut tally, mut bound) = (Device::new(), Tally::default(), Vec::new());
    for number in 0..users {
        at(number);
        let user = format!("u{number}");
        // As a device does (RFC 3263): another node when one is silent or has no time.
        let mut status = None;
        for turn in 0..nodes.len() {
            status = device.bind_once(nodes[(number + turn) % nodes.len()], &user);
            if status == Some(200) {
                break;
            }
        }
        match status {
            Some(status) => *tally.answers.entry(status).or_default() += 1,
            None => tally.unanswered += 1,
        }
        if status == Some(200) {
            bound.push(user);
        }
    }
    (bound, tally)
}

impl Device {
    /// Registers with one attempt.
    fn bind_once(&mut self, node: SocketAddr, user: &str) -> Option<u16> {
        let contact = format!("Contact: <sip:{user}@{}>\r\n", self.socket.local_addr().expect("it is bound"));
        let (branch, text) = self.write(node, user, &contact);
        let mut buffer = [0; 65_536];
        self.socket.send_to(text.as_bytes(), node).expect("loopback");
        while let Ok((size, _)) = self.socket.recv_from(&mut buffer) {
            let answer = String::from_utf8_lossy(&buffer[..size]).into_owned();
            if answer.contains(&branch) && !answer.starts_with("SIP/2.0 1") {
                return raw::status(answer.as_bytes());
            }
        }
        None
    }
}

/// Nobody whom a node said yes to is lost with it: the others know him.
#[test]
fn a_node_that_is_killed_while_devices_register_loses_no_binding() {
    if !available("redis-server") {
        return;
    }
    let mut site = Site::start();
    let (first, second) = (site.node("a"), site.node("b"));
    let (a, b) = (address(&first, "udp"), address(&second, "udp"));
    let mut victim = Some(first);
    let (bound, tally) = register_many(600, &[a, b], |number| {
        if number == 300 {
            victim = None;
        }
    });
    let mut device = Device::new();
    let lost: Vec<&String> = bound.iter().filter(|user| (0..20).all(|_| device.contacts(b, user) == 0)).collect();
    println!("600 users, one of two nodes killed: {tally:?}, of {} bound {} lost", bound.len(), lost.len());
    assert!(lost.is_empty() && bound.len() > 300, "{lost:?}");
}

/// Redis is killed and comes back empty while devices register.
#[test]
fn redis_that_is_killed_and_emptied_while_devices_register_loses_nobody() {
    if !available("redis-server") {
        return;
    }
    let mut site = Site::start();
    let (first, second) = (site.node("a"), site.node("b"));
    let (a, b) = (address(&first, "udp"), address(&second, "udp"));
    let redis = &mut site.redis;
    let (bound, tally) = register_many(600, &[a, b], |number| match number {
        200 => redis.stop(),
        400 => redis.restart().expect("it starts"),
        _ => {}
    });
    let mut device = Device::new();
    until("it heals", || (device.bind(a, "last") == Some(200)).then_some(()));
    let third = site.node("c");
    let c = address(&third, "udp");
    let mut counts = BTreeMap::new();
    for (name, node) in [("a", a), ("b", b), ("c", c)] {
        let lost = bound.iter().filter(|user| (0..20).all(|_| device.contacts(node, user) == 0)).count();
        counts.insert(name, lost);
    }
    println!("600 users, Redis killed at 200, empty again at 400: {tally:?}, of {} bound lost {counts:?}", bound.len());
    assert!(counts.values().all(|lost| *lost == 0) && bound.len() >= 200);
}
