//! Callers, telephones and whom they call, at the nodes of one site, over UDP: who gets nothing from a node, or 503, goes on to
//! the next one (RFC 3263 §4.3), and of each attempt it is known what became of it.
//!
//! A caller picks the nodes in turn. A node that has said nothing for four seconds, though it was asked all that time, is left
//! alone until it answers an OPTIONS. Calls ring for a moment, so that some are in progress whenever a node dies; each lasts
//! a second, and what belongs to its dialog goes to any node, by their common name in Record-Route.

mod parts;
mod tally;
mod text;

pub use tally::Tally;

use parts::{Answer, Attempt, Call, Node, Of};
use rutil::{Clock as _, RealClock, Time};
use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;
use text::{line, response, within};

/// RFC 3261 §17.1.1.1.
const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
/// How long a transaction is waited for, at a node that lives.
const TIMEOUT: Duration = Duration::from_secs(32);
/// A node that has said nothing for so long is left alone.
const SILENT: Duration = Duration::from_secs(4);
/// How often a node is asked whether it is back, and what was refused is tried again.
const AGAIN: Duration = Duration::from_millis(250);
/// How long a telephone rings, and a call lasts.
const RING: Duration = Duration::from_millis(200);
const HOLD: Duration = Duration::from_secs(1);
/// Most attempts of a call.
const MOST_TRIES: u32 = 20;
/// Most transactions at a time; with more nothing new is begun.
const MOST: usize = 2_000;
/// How long the socket is listened to before it is looked what else is due.
const MOMENT: Duration = Duration::from_millis(1);
/// How often timers are looked at.
const SWEEP: Duration = Duration::from_millis(5);
/// What is begun at once when the callers are late.
const BURST: u64 = 32;
/// How long something may take that is waited for.
const LIMIT: Duration = Duration::from_secs(120);

/// What is begun each second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Calls.
    pub calls: u32,
    /// Registrations, each of a new user.
    pub registrations: u32,
}

/// All of them, behind two sockets.
#[derive(Debug)]
pub struct Callers {
    clock: RealClock,
    domain: String,
    nodes: Vec<Node>,
    turn: usize,
    own: UdpSocket,
    callee: UdpSocket,
    rates: Rates,
    /// Since when they begin something, and what they have begun since.
    since: Time,
    begun: (u64, u64),
    count: u64,
    attempts: HashMap<u64, Attempt>,
    calls: HashMap<u64, Call>,
    /// What is due later: the end of a call, or another attempt.
    later: VecDeque<(Time, Of)>,
    answers: HashMap<String, Answer>,
    /// Call-IDs whose caller has heard the 200.
    heard: HashSet<String>,
    swept: Time,
    users: u64,
    acknowledged: Vec<u64>,
    tries: HashMap<u64, u32>,
    /// Who is called.
    called: Vec<u64>,
    known: HashSet<u64>,
    /// What became of everything so far.
    pub tally: Tally,
}

impl Callers {
    /// They have their sockets at `host`, and know these nodes of `domain`.
    ///
    /// # Errors
    /// Those of the sockets.
    pub fn new(host: IpAddr, nodes: &[SocketAddr], domain: &str) -> io::Result<Self> {
        let (own, callee) = (UdpSocket::bind((host, 0))?, UdpSocket::bind((host, 0))?);
        own.set_read_timeout(Some(MOMENT))?;
        callee.set_nonblocking(true)?;
        let of = |address: &SocketAddr| Node { address: *address, heard: Time::ZERO, down: false, ping_at: Time::ZERO };
        Ok(Callers {
            clock: RealClock::new(),
            domain: domain.to_owned(),
            nodes: nodes.iter().map(of).collect(),
            turn: 0,
            own,
            callee,
            rates: Rates::default(),
            since: Time::ZERO,
            begun: (0, 0),
            count: 0,
            attempts: HashMap::new(),
            calls: HashMap::new(),
            later: VecDeque::new(),
            answers: HashMap::new(),
            heard: HashSet::new(),
            swept: Time::ZERO,
            users: 0,
            acknowledged: Vec::new(),
            tries: HashMap::new(),
            called: Vec::new(),
            known: HashSet::new(),
            tally: Tally::default(),
        })
    }

    /// Registers so many users and waits until each node knows them; they are called from now on.
    ///
    /// # Panics
    /// When that does not succeed in time.
    pub fn prepare(&mut self, users: u64) {
        let now = self.clock.now();
        (0..users).for_each(|_| self.register_new(now));
        self.run_until("who is called registers", |all| all.acknowledged.len() as u64 == users);
        self.called = self.acknowledged.clone();
        for node in 0..self.nodes.len() {
            assert_eq!(self.missing(node), Vec::<u64>::new(), "node {node} does not know them");
        }
    }

    /// From now on so much is begun each second.
    pub fn set_rates(&mut self, rates: Rates) {
        (self.rates, self.since, self.begun) = (rates, self.clock.now(), (0, 0));
    }

    /// One more node; its number.
    pub fn add_node(&mut self, address: SocketAddr) -> usize {
        let now = self.clock.now();
        self.nodes.push(Node { address, heard: now, down: false, ping_at: now });
        self.nodes.len() - 1
    }

    /// How long the callers have worked at their present rates.
    pub fn elapsed(&self) -> Duration {
        self.clock.now().since(self.since)
    }

    /// Whether they leave a node alone.
    pub fn is_down(&self, node: usize) -> bool {
        self.nodes[node].down
    }

    /// Whom a node said yes to.
    pub fn acknowledged(&self) -> &[u64] {
        &self.acknowledged
    }

    /// Works until something is so.
    ///
    /// # Panics
    /// When that takes longer than two minutes.
    pub fn run_until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let limit = self.clock.now() + LIMIT;
        while !is_so(self) {
            assert!(self.clock.now() < limit, "not in time: {what}; {}", self.tally);
            self.step();
        }
    }

    /// Works until so many calls more have begun.
    ///
    /// # Panics
    /// When that takes longer than two minutes.
    pub fn run_calls(&mut self, calls: u64) {
        let until = self.tally.calls + calls;
        self.run_until("calls begin", |all| all.tally.calls >= until);
    }

    /// Begins nothing more and works until everything is over.
    ///
    /// # Panics
    /// When that takes longer than two minutes.
    pub fn finish(&mut self) {
        self.rates = Rates::default();
        self.run_until("all is over", |all| {
            all.calls.is_empty() && all.later.is_empty() && all.attempts.values().all(|one| one.of == Of::Ping)
        });
    }

    /// Whom of those whose REGISTER was answered 200 a node does not know, however often it is asked.
    ///
    /// # Panics
    /// When the node does not answer.
    pub fn missing(&mut self, node: usize) -> Vec<u64> {
        self.known.clear();
        let mut missing = self.acknowledged.clone();
        for _ in 0..50 {
            for chunk in missing.chunks(64) {
                let now = self.clock.now();
                chunk.iter().for_each(|user| self.ask(Of::Query(*user), node, now));
                self.run_until("the node answers", |all| {
                    !all.attempts.values().any(|attempt| matches!(attempt.of, Of::Query(_)))
                });
            }
            missing.retain(|user| !self.known.contains(user));
            if missing.is_empty() {
                break;
            }
        }
        missing
    }

    /// One look at everything.
    fn step(&mut self) {
        let now = self.clock.now();
        self.begin(now);
        if now.since(self.swept) >= SWEEP {
            self.swept = now;
            self.later(now);
            self.repeat(now);
            self.look_at_nodes(now);
        }
        let mut buffer = [0; 8192];
        for _ in 0..BURST {
            // It ends when nothing has come for a moment.
            let Ok((size, from)) = self.own.recv_from(&mut buffer) else { break };
            let now = self.clock.now();
            self.hear(&String::from_utf8_lossy(&buffer[..size]), from, now);
            self.answer(now);
        }
        self.answer(now);
    }

    fn begin(&mut self, now: Time) {
        let due = |rate: u32| (now.since(self.since).as_secs_f64() * f64::from(rate)) as u64;
        let (calls, registrations) = (due(self.rates.calls), due(self.rates.registrations));
        let room = if self.attempts.len() < MOST { BURST } else { 0 };
        for _ in 0..calls.saturating_sub(self.begun.0).min(room) {
            self.begun.0 += 1;
            self.tally.calls += 1;
            self.count += 1;
            let number = self.count;
            self.calls.insert(number, Call { tries: 0, ok: None });
            let node = self.pick();
            self.ask(Of::Invite(number), node, now);
        }
        for _ in 0..registrations.saturating_sub(self.begun.1).min(room) {
            self.begun.1 += 1;
            self.register_new(now);
        }
    }

    fn register_new(&mut self, now: Time) {
        self.users += 1;
        let (user, node) = (self.users, self.pick());
        self.ask(Of::Register(user), node, now);
    }

    /// The next node that is not left alone; any where there is none.
    fn pick(&mut self) -> usize {
        for _ in 0..self.nodes.len() {
            self.turn = (self.turn + 1) % self.nodes.len();
            if !self.nodes[self.turn].down {
                break;
            }
        }
        self.turn
    }

    fn later(&mut self, now: Time) {
        for _ in 0..self.later.len() {
            let Some((at, of)) = self.later.pop_front() else { return };
            match at <= now {
                true => {
                    let node = self.pick();
                    self.ask(of, node, now);
                }
                false => self.later.push_back((at, of)),
            }
        }
    }

    /// Sends a request.
    fn ask(&mut self, of: Of, node: usize, now: Time) {
        let (own, callee) = (local(&self.own), local(&self.callee));
        let (domain, place) = (&self.domain, self.nodes[node].address);
        self.count += 1;
        let branch = self.count;
        let head = |method: &str, uri: &str, from: &str, to: &str, call_id: &str, cseq: u32| {
            format!(
                "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{branch}\r\nMax-Forwards: 70\r\nFrom: {from}\r\n\
                 To: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n"
            )
        };
        let text = match of {
            Of::Invite(number) => {
                let Some(call) = self.calls.get_mut(&number) else { return };
                call.tries += 1;
                let user = self.called.get(number as usize % self.called.len().max(1)).copied().unwrap_or_default();
                let uri = format!("sip:u{user}@{domain}");
                let (from, call_id) =
                    (format!("<sip:caller@{domain}>;tag={branch}"), format!("call-{number}-{}", call.tries));
                let text = head("INVITE", &uri, &from, &format!("<{uri}>"), &call_id, 1);
                format!("{text}Contact: <sip:caller@{own}>\r\nContent-Length: 0\r\n\r\n")
            }
            Of::Bye(number) => {
                let Some(ok) = self.calls.get(&number).and_then(|call| call.ok.as_deref()) else { return };
                within(ok, "BYE", 2, own, branch)
            }
            Of::Stray => return,
            Of::Register(user) | Of::Query(user) => {
                let uri = format!("sip:u{user}@{domain}");
                let tries = self.tries.entry(user).or_default();
                *tries += 1;
                let (from, to, call_id) = (format!("<{uri}>;tag={branch}"), format!("<{uri}>"), format!("reg-{user}"));
                let text = head("REGISTER", &format!("sip:{domain}"), &from, &to, &call_id, *tries);
                let contact = match of {
                    Of::Register(_) => format!("Contact: <sip:u{user}@{callee}>\r\nExpires: 3600\r\n"),
                    _ => String::new(),
                };
                format!("{text}{contact}Content-Length: 0\r\n\r\n")
            }
            Of::Ping => {
                let uri = format!("sip:{place}");
                let from = format!("<sip:monitor@{domain}>;tag={branch}");
                let text = head("OPTIONS", &uri, &from, &format!("<{uri}>"), &format!("ping-{branch}"), 1);
                format!("{text}Content-Length: 0\r\n\r\n")
            }
        };
        self.send(of, node, branch, text, now);
    }

    fn send(&mut self, of: Of, node: usize, branch: u64, text: String, now: Time) {
        // What the loopback does not take is sent again.
        let _ = self.own.send_to(text.as_bytes(), self.nodes[node].address);
        let next = now + T1;
        let attempt = Attempt { of, node, text, begun: now, next, interval: T1, times: 1, rings: false };
        self.attempts.insert(branch, attempt);
    }

    /// Sends again what has no answer (§17.1.1.2, §17.1.2.2), and 200s that have no ACK (§13.3.1.4).
    fn repeat(&mut self, now: Time) {
        let mut over = Vec::new();
        for (branch, attempt) in &mut self.attempts {
            if now.since(attempt.begun) >= TIMEOUT {
                over.push(*branch);
            }
            let is_invite = matches!(attempt.of, Of::Invite(_));
            if attempt.next > now || is_invite && attempt.rings {
                continue;
            }
            let doubled = 2 * attempt.interval;
            attempt.interval = if is_invite { doubled } else { doubled.min(T2) };
            attempt.next = now + attempt.interval;
            attempt.times += 1;
            let _ = self.own.send_to(attempt.text.as_bytes(), self.nodes[attempt.node].address);
        }
        over.into_iter().for_each(|branch| self.failed(branch, "timeout", now));
        self.answers.retain(|_, answer| now < answer.until);
        for answer in self.answers.values_mut().filter(|answer| answer.next <= now) {
            answer.interval = (2 * answer.interval).min(T2);
            answer.next = now + answer.interval;
            let _ = self.callee.send_to(answer.text.as_bytes(), answer.to);
        }
    }

    fn look_at_nodes(&mut self, now: Time) {
        for node in 0..self.nodes.len() {
            let is_waited_for = |one: &Attempt| {
                let waits = one.of != Of::Ping && one.node == node && one.times >= 3;
                waits && now.since(one.begun) >= SILENT
            };
            if now.since(self.nodes[node].heard) >= SILENT
                && !self.nodes[node].down
                && self.attempts.values().any(is_waited_for)
            {
                self.nodes[node].down = true;
                let its = |(branch, one): (&u64, &Attempt)| (one.node == node).then_some(*branch);
                let all: Vec<u64> = self.attempts.iter().filter_map(its).collect();
                all.into_iter().for_each(|branch| self.failed(branch, "silence", now));
            }
            if self.nodes[node].down && self.nodes[node].ping_at <= now {
                self.nodes[node].ping_at = now + AGAIN;
                self.attempts.retain(|_, one| one.of != Of::Ping || one.node != node);
                self.ask(Of::Ping, node, now);
            }
        }
    }

    /// An attempt has come to nothing; the next node gets it, if there is anything to be had.
    fn failed(&mut self, branch: u64, why: &str, now: Time) {
        let Some(attempt) = self.attempts.remove(&branch) else { return };
        let of = attempt.of;
        if of == Of::Ping {
            return;
        }
        let why = if attempt.rings { format!("{why} after ringing") } else { why.to_owned() };
        *self.tally.failures.entry((attempt.node, of.name(), why)).or_default() += 1;
        match of {
            Of::Invite(number) => {
                let tries = self.calls.get(&number).map_or(0, |call| call.tries);
                if tries >= MOST_TRIES {
                    self.calls.remove(&number);
                    self.tally.lost += 1;
                } else {
                    // The next node at once, the first one again in a while.
                    let pause = if (tries as usize) < self.nodes.len() { Duration::ZERO } else { AGAIN };
                    self.later.push_back((now + pause, of));
                }
            }
            Of::Bye(_) | Of::Register(_) => self.later.push_back((now + AGAIN, of)),
            Of::Stray | Of::Query(_) | Of::Ping => {}
        }
    }

    /// What a node says.
    fn hear(&mut self, text: &str, from: SocketAddr, now: Time) {
        let number = self.nodes.iter().position(|node| node.address == from);
        let Some(node) = number.and_then(|number| self.nodes.get_mut(number)) else { return };
        node.heard = now;
        let branch = line(text, "Via: ").and_then(|via| via.split("z9hG4bK").nth(1)).unwrap_or_default();
        let end = branch.find(|c: char| !c.is_ascii_digit()).unwrap_or(branch.len());
        let branch: u64 = branch[..end].parse().unwrap_or(0);
        let Some(status) = crate::raw::status(text.as_bytes()) else { return };
        let (of, begun_at) = match self.attempts.get_mut(&branch) {
            Some(attempt) if status < 200 => {
                attempt.rings = true;
                return;
            }
            Some(attempt) => (attempt.of, attempt.node),
            None => return self.late(text, status, from, now),
        };
        if let Of::Invite(_) = of
            && status >= 300
        {
            self.acknowledge_failure(branch, text, from);
        }
        if of == Of::Ping {
            self.attempts.remove(&branch);
            self.nodes[begun_at].down &= status != 200;
            return;
        }
        if status != 200 {
            return self.failed(branch, &status.to_string(), now);
        }
        self.attempts.remove(&branch);
        match of {
            Of::Invite(number) => {
                self.acknowledge(text);
                self.heard.extend(line(text, "Call-ID: ").map(str::to_owned));
                let Some(call) = self.calls.get_mut(&number) else { return };
                call.ok = Some(text.to_owned());
                match call.tries {
                    1 => self.tally.first += 1,
                    _ => self.tally.again += 1,
                }
                self.later.push_back((now + HOLD, Of::Bye(number)));
            }
            Of::Bye(number) => {
                self.calls.remove(&number);
                self.tally.ended += 1;
            }
            Of::Register(user) => {
                self.acknowledged.push(user);
                self.tally.registered += 1;
            }
            Of::Query(user) => {
                if line(text, "Contact: ").is_some() {
                    self.known.insert(user);
                }
            }
            Of::Stray | Of::Ping => {}
        }
    }

    /// A response that nobody waits for any more: a 200 that comes again, or one to an attempt that was given up.
    fn late(&mut self, text: &str, status: u16, from: SocketAddr, now: Time) {
        let (Some(call_id), Some(cseq)) = (line(text, "Call-ID: "), line(text, "CSeq: ")) else { return };
        if !cseq.ends_with("INVITE") || status < 200 {
            return;
        }
        if status >= 300 {
            // Its ACK was lost.
            let via = line(text, "Via: ").and_then(|via| via.split("z9hG4bK").nth(1)).unwrap_or_default();
            let end = via.find(|c: char| !c.is_ascii_digit()).unwrap_or(via.len());
            return self.acknowledge_failure(via[..end].parse().unwrap_or(0), text, from);
        }
        self.acknowledge(text);
        if self.heard.insert(call_id.to_owned()) {
            self.tally.late += 1;
            self.count += 1;
            let (branch, node) = (self.count, self.pick());
            let bye = within(text, "BYE", 2, local(&self.own), branch);
            self.send(Of::Stray, node, branch, bye, now);
        }
    }

    /// The ACK for a 2xx, which goes where the next hop lives.
    fn acknowledge(&mut self, ok: &str) {
        self.count += 1;
        let (branch, node) = (self.count, self.pick());
        let ack = within(ok, "ACK", 1, local(&self.own), branch);
        let _ = self.own.send_to(ack.as_bytes(), self.nodes[node].address);
    }

    /// The ACK for another final response (§17.1.1.3).
    fn acknowledge_failure(&self, branch: u64, text: &str, from: SocketAddr) {
        let [from_value, to, call_id] =
            ["From: ", "To: ", "Call-ID: "].map(|name| line(text, name).unwrap_or_default());
        let uri = to.split(['<', '>']).nth(1).unwrap_or_default();
        let own = local(&self.own);
        let ack = format!(
            "ACK {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{branch}\r\nMax-Forwards: 70\r\nFrom: {from_value}\r\n\
             To: {to}\r\nCall-ID: {call_id}\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n"
        );
        let _ = self.own.send_to(ack.as_bytes(), from);
    }

    /// What the called telephones do.
    fn answer(&mut self, now: Time) {
        let mut buffer = [0; 8192];
        while let Ok((size, from)) = self.callee.recv_from(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..size]).into_owned();
            let Some(call_id) = line(&text, "Call-ID: ").map(str::to_owned) else { continue };
            let contact = format!("<sip:callee@{}>", local(&self.callee));
            match text.split(' ').next() {
                Some("INVITE") if !self.answers.contains_key(&call_id) => {
                    let _ = self.callee.send_to(response(&text, 180, &contact).as_bytes(), from);
                    let ok = response(&text, 200, &contact);
                    let (next, until) = (now + RING, now + TIMEOUT);
                    let answer = Answer { text: ok, to: from, next, interval: T1 / 2, until };
                    self.answers.insert(call_id, answer);
                }
                Some("ACK") => drop(self.answers.remove(&call_id)),
                Some("BYE") => {
                    let _ = self.callee.send_to(response(&text, 200, &contact).as_bytes(), from);
                }
                _ => {}
            }
        }
    }
}

fn local(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().expect("it is bound")
}
