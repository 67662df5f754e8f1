//! The proxy in a played stack, and scripts.
//!
//! A script is a list of lines. `A`, `B`, … are phones; each is user `A@example.com` and so on, at an address of its own,
//! over UDP unless `A/tcp` or `A/tls` stands in the first line that names it.
//!
//! | line | what happens |
//! |---|---|
//! | `A registers` | a REGISTER with its contact, and its 200 |
//! | `A registers as B q=0.5` | its contact for another's address-of-record |
//! | `A INVITE B` | a request to `B@example.com`, any method |
//! | `A INVITE sip:x@192.0.2.70` | to a URI |
//! | `A INVITE B: Name: value / Name: value` | with lines of its own |
//! | `A ACK`, `A CANCEL`, `A BYE`, … | within its call |
//! | `B 180`, `B 200` | answers what it was asked last |
//! | `B 487 INVITE` | answers the INVITE |
//! | `A again`, `A again INVITE`, `B answers again` | repeats its last request, its INVITE, its last response |
//! | `B reflects`, `B reflects as INVITE` | sends back the request that it was sent last, as another method |
//! | `A answers itself 200` | sends an answer to its own last request |
//! | `B edits: Name: value` | writes a line of its next response in the place of all of that name; without a value removes them |
//! | `B edits: first Name: value` | in the place of the first of that name |
//! | `B edits: more Name: value` | before those of that name |
//! | `A< 180`, `B< INVITE` | must have arrived, the first that was not looked at yet |
//! | `A is silent` | from now on it acknowledges no failure of its INVITE; else it does so at once |
//! | `B< INVITE*` | one or more of the same |
//! | `A< 200: Name: value / Name: value` | with lines that begin so |
//! | `+500 ms`, `+32 s` | time passes |
//! | `quiet` | nothing has arrived that was not looked at |
//! | `B is gone` | what is sent to it cannot be delivered |
//!
//! 100 Trying need not be looked at. At the end of a script nothing may be left.

use crate::phone::{Arrived, Phone, aor};
use repro::config::Config;
use repro::processors::Processors;
use repro::{Proxy, Server};
use rutil::{Rng, Time};
use stack::StackOptions;
use stack::message::Message;
use stack::transport::{TransportError, TransportType};
use stack::tu::TransactionUser;
use stack::wiring::TuFactory;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tests::played::{Played, Sent};

const PROXY: &str = "192.0.2.1";

pub(crate) struct Fixture {
    stack: Played,
    now: Time,
    phones: BTreeMap<char, Phone>,
    gone: Vec<char>,
    /// How the next response is edited.
    edits: Vec<String>,
    /// Where the script is, for failures.
    line: String,
}

/// Plays a script with the default configuration.
///
/// # Panics
/// When something else arrives than the script says.
pub(crate) fn play(script: &str) {
    play_with(Config::default(), script);
}

/// Plays a script with a configuration.
pub(crate) fn play_with(config: Config, script: &str) {
    let mut fixture = Fixture::new(config);
    let lines = || script.lines().map(str::trim).filter(|line| !line.is_empty());
    for word in lines().filter_map(|line| line.split(' ').next()).filter(|word| word.starts_with(char::is_uppercase)) {
        fixture.phone(word);
    }
    for line in lines() {
        line.clone_into(&mut fixture.line);
        fixture.step(line);
    }
    "the end".clone_into(&mut fixture.line);
    fixture.quiet();
}

impl Fixture {
    fn new(mut config: Config) -> Self {
        let at = |port| SocketAddr::new(PROXY.parse().unwrap(), port);
        let on = [(TransportType::Udp, at(5060)), (TransportType::Tcp, at(5060)), (TransportType::Tls, at(5061))];
        config.domains = vec!["example.com".parse().unwrap()];
        config.trusted_peers = vec!["192.0.2.0/24".parse().unwrap()];
        config.listen = vec!["udp:192.0.2.1:5060".parse().unwrap()];
        let mut rng = Rng::from_seed(1);
        let chains = Processors::standard().chains(&config.chains).unwrap();
        let server = Arc::new(Server::new(config, chains, &mut rng));
        let make = move |shard| Box::new(Proxy::new(server.clone(), shard, &mut rng)) as Box<dyn TransactionUser>;
        let stack =
            Played::new(&StackOptions::default(), &on, &mut [(Proxy::options(), Box::new(make) as TuFactory)], 1);
        let (phones, gone, edits) = (BTreeMap::new(), Vec::new(), Vec::new());
        Fixture { stack, now: Time::ZERO, phones, gone, edits, line: String::new() }
    }

    fn fail(&self, what: &str) -> ! {
        panic!("at `{}`: {what}", self.line)
    }

    fn step(&mut self, line: &str) {
        if let Some(time) = line.strip_prefix('+') {
            return self.pass(time);
        }
        if line == "quiet" {
            return self.quiet();
        }
        let (who, rest) = line.split_once(' ').unwrap_or_else(|| self.fail("expected a phone and what it does"));
        let who = self.phone(who);
        let (what, more) = rest.split_once(": ").map_or((rest, None), |(what, more)| (what, Some(more)));
        let words: Vec<&str> = what.split(' ').collect();
        match (who, words.as_slice()) {
            ((name, true), [what]) => self.expect(name, what, more),
            ((name, false), ["registers", rest @ ..]) => self.register(name, rest),
            ((name, false), ["is", "gone"]) => self.gone.push(name),
            ((name, false), ["is", "silent"]) => self.get(name).silent = true,
            ((name, false), ["again", "INVITE"]) => {
                let msg = self.phones[&name].invite.clone().unwrap_or_else(|| self.fail("nothing was sent"));
                self.send(name, &msg, None);
            }
            ((name, false), ["reflects", rest @ ..]) => {
                let (msg, connection) = self.phones[&name].asked.clone().unwrap_or_else(|| self.fail("not asked"));
                let method = msg.method().map_or(String::new(), |method| method.as_str().to_owned());
                let other = rest.last().copied().unwrap_or(&method);
                let changed =
                    text(&msg).replacen(&method, other, 1).replace(&format!(" {method}\r\n"), &format!(" {other}\r\n"));
                self.receive(name, changed.into(), connection);
            }
            ((name, false), ["answers", "itself", code]) => {
                let msg = self.phones[&name].sent.clone().unwrap_or_else(|| self.fail("nothing was sent"));
                let answer = msg.make_response(code.parse().unwrap(), None, Some("self"));
                self.receive(name, answer.to_bytes(), self.phones[&name].connection);
            }
            ((_, false), ["edits"]) => self.edits.push(more.unwrap_or_default().to_owned()),
            ((name, false), ["again"]) => {
                let msg = self.phones[&name].sent.clone().unwrap_or_else(|| self.fail("nothing was sent"));
                self.send(name, &msg, None);
            }
            ((name, false), ["answers", "again"]) => {
                let (bytes, connection) = self.phones[&name].answer.clone().unwrap_or_else(|| self.fail("no answer"));
                self.receive(name, bytes, connection);
            }
            ((name, false), [code, rest @ ..]) if code.bytes().all(|b| b.is_ascii_digit()) => {
                self.answer(name, code.parse().unwrap(), !rest.is_empty());
            }
            ((name, false), [method, to]) => self.request(name, method, to, more),
            ((name, false), [method]) => self.request_of_call(name, method, more),
            _ => self.fail("not understood"),
        }
    }

    /// The phone of `A`, `A/tcp` or `A<`, made when it is named first; whether something is to arrive at it.
    fn phone(&mut self, word: &str) -> (char, bool) {
        let name = word.chars().next().unwrap_or('?');
        let kind = word.split_once('/').map(|(_, kind)| TransportType::from_name(kind));
        let kind = kind.map_or(TransportType::Udp, |kind| kind.unwrap_or_else(|| self.fail("no such transport")));
        self.phones.entry(name).or_insert_with(|| Phone::new(name, kind));
        (name, word.ends_with('<'))
    }

    fn get(&mut self, name: char) -> &mut Phone {
        self.phones.get_mut(&name).expect("it was named")
    }

    fn register(&mut self, name: char, rest: &[&str]) {
        let mut whose = name;
        let mut params = String::new();
        for word in rest {
            match *word {
                "as" => {}
                word if word.len() == 1 => whose = word.chars().next().unwrap(),
                word => params = format!(";{word}"),
            }
        }
        let phone = self.get(name);
        let contact = format!("<{}>{params}", phone.contact());
        let mut msg = phone.initial("REGISTER", "sip:example.com", &aor(whose));
        msg.append_line("Contact", &contact);
        self.send(name, &msg, None);
        self.expect(name, "200", None);
    }

    fn request(&mut self, name: char, method: &str, to: &str, more: Option<&str>) {
        let uri = if to.len() == 1 { aor(to.chars().next().unwrap()) } else { to.to_owned() };
        let to = if method == "REGISTER" && to.starts_with("sip:example") { self.get(name).aor() } else { uri.clone() };
        (self.get(name).answered, self.get(name).early) = (None, None);
        let msg = self.get(name).initial(method, &uri, &to);
        self.send(name, &msg, more);
    }

    fn request_of_call(&mut self, name: char, method: &str, more: Option<&str>) {
        let msg = match method {
            "ACK" | "CANCEL" => self.get(name).about_invite(method),
            _ => self.get(name).in_dialog(method),
        };
        self.send(name, &msg, more);
    }

    /// Sends a request with a line more, in the place of the one with its name.
    fn send(&mut self, name: char, msg: &Message, more: Option<&str>) {
        let edits = more.into_iter().flat_map(|lines| lines.split(" / "));
        let bytes = edits.fold(text(msg), |msg, edit| edited(&msg, edit)).into();
        let connection = self.get(name).connection;
        self.receive(name, bytes, connection);
    }

    fn receive(&mut self, name: char, bytes: bytes::Bytes, connection: u64) {
        let phone = self.get(name);
        let transport = match phone.kind {
            TransportType::Udp => 0,
            TransportType::Tcp => 1,
            _ => 2,
        };
        let address = phone.address;
        let taken = self.stack.receive(transport, address, connection, bytes, self.now);
        assert!(taken, "rx is full");
        self.settle();
    }

    fn answer(&mut self, name: char, code: u16, to_invite: bool) {
        let (msg, connection) = self.get(name).respond(code, to_invite);
        let edits = std::mem::take(&mut self.edits);
        let bytes: bytes::Bytes = edits.iter().fold(text(&msg), |msg, edit| edited(&msg, edit)).into();
        self.get(name).answer = Some((bytes.clone(), connection));
        self.receive(name, bytes, connection);
    }

    /// Looks at the next message of a phone.
    fn expect(&mut self, name: char, what: &str, line: Option<&str>) {
        let (what, many) = what.strip_suffix('*').map_or((what, false), |what| (what, true));
        let is = |arrived: &Arrived| word(&arrived.msg) == what;
        while self.get(name).inbox.front().is_some_and(|arrived| word(&arrived.msg) == "100" && what != "100") {
            self.get(name).inbox.pop_front();
        }
        let Some(arrived) = self.get(name).inbox.pop_front() else { self.fail("nothing has arrived") };
        if !is(&arrived) {
            self.fail(&format!("{} has arrived:\n{}", word(&arrived.msg), text(&arrived.msg)));
        }
        while many && self.get(name).inbox.front().is_some_and(is) {
            self.get(name).inbox.pop_front();
        }
        for line in line.into_iter().flat_map(|lines| lines.split(" / ")) {
            if !text(&arrived.msg).contains(&format!("\r\n{line}")) {
                self.fail(&format!("without {line}:\n{}", text(&arrived.msg)));
            }
        }
        self.take(name, arrived);
    }

    /// What a phone remembers of a message.
    fn take(&mut self, name: char, arrived: Arrived) {
        let phone = self.get(name);
        let Arrived { msg, connection, .. } = arrived;
        match msg.status() {
            None => {
                let method = msg.method().map(|method| method.as_str().to_owned());
                match method.as_deref() {
                    Some("ACK") => {}
                    Some("INVITE") => {
                        (phone.answered, phone.invited, phone.asked) =
                            (None, Some((msg.clone(), connection)), Some((msg, connection)));
                    }
                    _ => phone.asked = Some((msg, connection)),
                }
            }
            Some(code) if code >= 200 && is_invite(&msg) => phone.answered = Some(msg),
            Some(code) if code > 100 && is_invite(&msg) => phone.early = Some(msg),
            Some(_) => {}
        }
    }

    fn pass(&mut self, time: &str) {
        let (number, unit) = time.split_once(' ').unwrap_or_else(|| self.fail("expected a time, as 500 ms"));
        let number: u64 = number.parse().unwrap();
        let length = if unit == "ms" { Duration::from_millis(number) } else { Duration::from_secs(number) };
        let end = self.now + length;
        loop {
            self.settle();
            match self.stack.deadline().filter(|at| *at <= end) {
                Some(at) => self.now = self.now.max(at),
                None => break,
            }
        }
        self.now = end;
        self.settle();
    }

    fn settle(&mut self) {
        loop {
            self.stack.settle(self.now);
            // A connection that is asked for is up at once.
            let connecting = std::mem::take(&mut self.stack.connecting);
            let sent = self.stack.take_sent(self.now);
            if sent.is_empty() && connecting.is_empty() {
                return;
            }
            for (_, peer, attempt) in connecting {
                let up = Ok(stack::transport::ConnectionId(1000 + u64::from(peer.port())));
                self.stack.connected(attempt, up, self.now);
            }
            sent.into_iter().for_each(|sent| self.deliver(sent));
        }
    }

    fn deliver(&mut self, sent: Sent) {
        if sent.peer.ip().to_string() == PROXY {
            // It comes round a corner.
            assert!(
                self.stack.receive(sent.transport.0, sent.peer, sent.connection.0, sent.bytes, self.now),
                "rx is full"
            );
            return;
        }
        let to = self.phones.values_mut().find(|phone| phone.address == sent.peer && phone.kind == sent.kind);
        let lost = to.as_ref().is_none_or(|phone| self.gone.contains(&phone.name));
        if lost {
            if let Some(notify) = sent.notify {
                self.stack.fail(notify, TransportError::Refused, self.now);
            }
            return;
        }
        let msg = Message::parse(sent.bytes).expect("what is sent is a message");
        let Some(phone) = to else { return };
        // What is sent on no connection in particular makes one.
        let connection =
            if sent.connection.0 == 0 && sent.kind.is_reliable() { phone.connection } else { sent.connection.0 };
        let failed = is_invite(&msg) && msg.status().is_some_and(|code| code >= 300);
        let ack = (failed && !phone.silent).then(|| phone.acknowledge(&msg));
        phone.inbox.push_back(Arrived { msg, connection, at: self.now });
        let (name, connection) = (phone.name, phone.connection);
        if let Some(ack) = ack {
            self.receive(name, ack.to_bytes(), connection);
        }
    }

    fn quiet(&self) {
        for phone in self.phones.values() {
            if let Some(arrived) = phone.inbox.iter().find(|arrived| word(&arrived.msg) != "100") {
                let at = arrived.at.as_millis();
                self.fail(&format!("{} has {} since {at} ms:\n{}", phone.name, word(&arrived.msg), text(&arrived.msg)));
            }
        }
    }
}

/// A message with a line written, replaced or removed, as the table of the module says.
fn edited(msg: &str, edit: &str) -> String {
    let (how, line) = match edit.split_once(' ') {
        Some((how @ ("first" | "more"), line)) => (how, line),
        _ => ("all", edit),
    };
    let name = line.split_once(':').map_or(line, |(name, _)| name).to_ascii_lowercase();
    let empty = line.trim_end().ends_with(':');
    let (mut out, mut written) = (String::new(), empty);
    for old in msg.split_inclusive("\r\n") {
        let same = old.split_once(':').is_some_and(|(old, _)| old.eq_ignore_ascii_case(&name));
        let replaced = same && (how == "all" || how == "first" && !out.contains(EDITED));
        if (same || old == "\r\n") && !written {
            out += &format!("{line}\r\n");
            written = true;
        }
        match replaced {
            true => out.push(EDITED),
            false => out += old,
        }
    }
    out.replace(EDITED, "")
}

/// Marks where a line was taken out.
const EDITED: char = '\u{1}';

/// A method or a status code.
fn word(msg: &Message) -> String {
    match msg.status() {
        Some(code) => code.to_string(),
        None => msg.method().map_or_else(|| "?".to_owned(), |method| method.as_str().to_owned()),
    }
}

fn is_invite(msg: &Message) -> bool {
    msg.raw_values("CSeq").next().is_some_and(|value| value.ends_with(b"INVITE"))
}

fn text(msg: &Message) -> String {
    String::from_utf8_lossy(&msg.to_bytes()).into_owned()
}
