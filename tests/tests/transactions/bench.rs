//! The bench: one played stack, transaction users that do what the test says, and the peer's messages.

use bytes::Bytes;
use rutil::Time;
use stack::StackOptions;
use stack::header::Method;
use stack::message::Message;
use stack::transport::{Flow, Notify, Received, TransportError, TransportType};
use stack::tu::{
    ClientTransaction, NoResponse, SendOptions, ServerTransaction, TransactionUser, TuContext, TuEvent, TuOptions,
};
use stack::wiring::TuFactory;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tests::played::{Played, Sent};

/// Our transports: 0 is UDP, 1 is TCP.
pub(crate) const UDP: u16 = 0;
pub(crate) const TCP: u16 = 1;
/// In benches that have it.
pub(crate) const WS: u16 = 2;
pub(crate) const OURS: &str = "192.0.2.1:5060";
/// The other side.
pub(crate) const PEER: &str = "192.0.2.9:5060";

type Todo = Box<dyn FnOnce(&mut TuContext<'_>) + Send>;

/// A transaction user without a will of its own: it writes down what it hears and does what the test gives it to do.
#[derive(Clone, Default)]
struct Script {
    heard: Arc<Mutex<Vec<(Time, TuEvent)>>>,
    todo: Arc<Mutex<VecDeque<Todo>>>,
    name: &'static str,
}

impl TransactionUser for Script {
    fn name(&self) -> &'static str {
        self.name
    }
    fn process(&mut self, event: TuEvent, stack: &mut TuContext<'_>) {
        self.heard.lock().unwrap().push((stack.now(), event));
    }
    fn deadline(&self) -> Option<Time> {
        (!self.todo.lock().unwrap().is_empty()).then_some(Time::ZERO)
    }
    fn wake(&mut self, stack: &mut TuContext<'_>) {
        while let Some(todo) = self.todo.lock().unwrap().pop_front() {
            todo(stack);
        }
    }
}

pub(crate) struct Bench {
    pub(crate) stack: Played,
    pub(crate) now: Time,
    users: Vec<Script>,
    sent: Vec<Sent>,
}

impl Bench {
    /// Both transports, one transaction user that takes everything.
    pub(crate) fn new() -> Self {
        Self::with(&StackOptions::default(), &[TuOptions::default()])
    }

    pub(crate) fn with(options: &StackOptions, users: &[TuOptions]) -> Self {
        let ours = OURS.parse().unwrap();
        Self::on(options, users, &[(TransportType::Udp, ours), (TransportType::Tcp, ours)])
    }

    pub(crate) fn on(options: &StackOptions, users: &[TuOptions], on: &[(TransportType, SocketAddr)]) -> Self {
        let names = ["first", "second", "third"].iter();
        let scripts: Vec<Script> =
            users.iter().zip(names).map(|(_, name)| Script { name, ..Script::default() }).collect();
        let make = |(options, script): (&TuOptions, &Script)| {
            let script = script.clone();
            (options.clone(), Box::new(move |_| Box::new(script.clone()) as Box<dyn TransactionUser>) as TuFactory)
        };
        let mut made: Vec<(TuOptions, TuFactory)> = users.iter().zip(&scripts).map(make).collect();
        let stack = Played::new(options, on, &mut made, 1);
        Bench { stack, now: Time::ZERO, users: scripts, sent: Vec::new() }
    }

    /// Does something in the name of a transaction user, and lets the stack settle.
    pub(crate) fn act<R: Send + 'static>(
        &mut self,
        tu: usize,
        what: impl FnOnce(&mut TuContext<'_>) -> R + Send + 'static,
    ) -> R {
        let result = Arc::new(Mutex::new(None));
        let slot = result.clone();
        self.todo(tu, move |stack| *slot.lock().unwrap() = Some(what(stack)));
        self.settle();
        result.lock().unwrap().take().expect("the transaction user was not called")
    }

    /// Gives a transaction user something to do at its next turn.
    pub(crate) fn todo(&mut self, tu: usize, what: impl FnOnce(&mut TuContext<'_>) + Send + 'static) {
        self.users[tu].todo.lock().unwrap().push_back(Box::new(what));
    }

    pub(crate) fn settle(&mut self) {
        self.stack.settle(self.now);
        self.sent.extend(self.stack.take_sent(self.now));
    }

    /// One pass; what it sent.
    pub(crate) fn pass(&mut self) -> (bool, Vec<Sent>) {
        let worked = self.stack.pass(self.now);
        (worked, self.stack.take_sent(self.now))
    }

    /// Lets time pass up to so many milliseconds since the start, from deadline to deadline.
    pub(crate) fn run_to(&mut self, ms: u64) {
        let end = Time::from_millis(ms);
        assert!(end >= self.now, "time does not go back");
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

    /// What was sent since the last call.
    pub(crate) fn sent(&mut self) -> Vec<Sent> {
        self.settle();
        std::mem::take(&mut self.sent)
    }

    /// The one message that was sent since the last call.
    pub(crate) fn one_sent(&mut self) -> Sent {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{:?}", sent.iter().map(first_line).collect::<Vec<_>>());
        sent.remove(0)
    }

    pub(crate) fn nothing_sent(&mut self) {
        let sent = self.sent();
        assert!(sent.is_empty(), "{:?}", sent.iter().map(first_line).collect::<Vec<_>>());
    }

    /// What a transaction user heard since the last call.
    pub(crate) fn heard(&mut self, tu: usize) -> Vec<TuEvent> {
        self.settle();
        self.users[tu].heard.lock().unwrap().drain(..).map(|(_, event)| event).collect()
    }

    /// In words and with milliseconds.
    pub(crate) fn told(&mut self, tu: usize) -> Vec<(u64, String)> {
        self.settle();
        let heard: Vec<_> = self.users[tu].heard.lock().unwrap().drain(..).collect();
        heard.iter().map(|(at, event)| (at.as_millis(), word(event))).collect()
    }

    /// A message comes from the peer by UDP.
    pub(crate) fn receive(&mut self, text: impl Into<Bytes>) {
        self.receive_on(UDP, PEER, 0, text);
    }

    pub(crate) fn receive_on(&mut self, transport: u16, peer: &str, connection: u64, text: impl Into<Bytes>) {
        let taken = self.stack.receive(transport, peer.parse().unwrap(), connection, text.into(), self.now);
        assert!(taken, "rx is full");
        self.settle();
    }

    pub(crate) fn fail(&mut self, notify: Notify, error: TransportError) {
        self.stack.fail(notify, error, self.now);
        self.settle();
    }

    /// An ICMP error quotes the first octets of what was sent.
    pub(crate) fn undelivered(&mut self, sent: &Sent, octets: usize) {
        let flow = flow(sent);
        let quote = sent.bytes.slice(..octets.min(sent.bytes.len()));
        self.news(Received::Undelivered { quote, flow, error: TransportError::Refused });
        self.settle();
    }

    /// The connection that took these requests is gone.
    pub(crate) fn unanswered(&mut self, sent: &[&Sent]) {
        self.ends(sent);
        self.settle();
    }

    /// The same, and the stack has no time to look at it yet.
    pub(crate) fn ends(&mut self, sent: &[&Sent]) {
        let requests = sent.iter().filter_map(|sent| sent.notify).collect();
        let flow = flow(sent[0]);
        self.news(Received::Closed { flow });
        self.news(Received::Unanswered { flow, requests });
    }

    fn news(&mut self, news: Received) {
        assert!(self.stack.tell(news, self.now), "rx is full");
    }

    /// Sends a request to the peer's URI.
    pub(crate) fn send(&mut self, msg: Message) -> ClientTransaction {
        self.act(0, move |stack| stack.send(msg, SendOptions::default()))
    }

    pub(crate) fn respond(&mut self, to: ServerTransaction, msg: Message) {
        self.act(0, move |stack| stack.respond(to, msg));
    }

    /// Takes the one request that the first transaction user was given.
    pub(crate) fn request(&mut self) -> (ServerTransaction, Message) {
        let mut heard = self.heard(0);
        assert_eq!(heard.len(), 1, "{heard:?}");
        match heard.remove(0) {
            TuEvent::Request { transaction, msg } => (transaction, *msg),
            other => panic!("{other:?}"),
        }
    }

    /// Client and server transactions alive.
    pub(crate) fn alive(&self) -> (u64, u64) {
        let counted = self.stack.transactions();
        (counted.clients_alive, counted.servers_alive)
    }
}

fn flow(sent: &Sent) -> Flow {
    Flow { transport: sent.transport, kind: sent.kind, connection: sent.connection, peer: sent.peer, local: None }
}

pub(crate) fn word(event: &TuEvent) -> String {
    match event {
        TuEvent::Request { msg, .. } => msg.method().map_or(String::new(), |m| m.as_str().to_owned()),
        TuEvent::Ack { .. } => "ACK".into(),
        TuEvent::Cancelled { .. } => "cancelled".into(),
        TuEvent::Response { msg, .. } => msg.status().unwrap_or(0).to_string(),
        TuEvent::NoResponse { reason: NoResponse::Timeout, .. } => "timeout".into(),
        TuEvent::NoResponse { reason, .. } => reason.to_string(),
        TuEvent::NotDelivered { .. } => "not delivered".into(),
        TuEvent::Silent { .. } => "silent".into(),
        TuEvent::ClientEnded { .. } => "client ended".into(),
        TuEvent::ServerEnded { .. } => "server ended".into(),
        TuEvent::Posted(_) => "posted".into(),
        TuEvent::FlowEnded { .. } => "flow ended".into(),
        TuEvent::Binding { name, mapped: Some(mapped) } => format!("binding {name}: {mapped}"),
        TuEvent::Binding { name, mapped: None } => format!("binding {name}: none"),
        TuEvent::Raw { .. } | TuEvent::RawFailed { .. } => "raw".into(),
    }
}

/// A request of ours, to the peer by UDP.
pub(crate) fn request(method: &str) -> Message {
    request_to(method, "sip:bob@192.0.2.9")
}

pub(crate) fn request_to(method: &str, uri: &str) -> Message {
    let mut msg = Message::request(&Method::from_token(method), uri);
    msg.append_line("Max-Forwards", "70");
    msg.append_line("From", "<sip:alice@192.0.2.1>;tag=a1");
    msg.append_line("To", "<sip:bob@192.0.2.9>");
    msg.append_line("Call-ID", "call-1");
    msg.append_line("CSeq", &format!("7 {method}"));
    msg
}

/// The peer's answer to what was sent, with a tag.
pub(crate) fn answer(sent: &Sent, code: u16) -> Bytes {
    parse(sent).make_response(code, None, Some("b2")).to_bytes()
}

/// A request of the peer's. `via` is what follows `SIP/2.0/UDP `.
pub(crate) fn incoming(method: &str, via: &str, to_tag: &str) -> String {
    incoming_call(method, via, to_tag, "call-2")
}

pub(crate) fn incoming_call(method: &str, via: &str, to_tag: &str, call: &str) -> String {
    let tag = if to_tag.is_empty() { String::new() } else { format!(";tag={to_tag}") };
    format!(
        "{method} sip:alice@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP {via}\r\nMax-Forwards: 70\r\n\
         From: <sip:bob@192.0.2.9>;tag=b2\r\nTo: <sip:alice@192.0.2.1>{tag}\r\nCall-ID: {call}\r\n\
         CSeq: 3 {method}\r\nContent-Length: 0\r\n\r\n"
    )
}

pub(crate) fn parse(sent: &Sent) -> Message {
    Message::parse(sent.bytes.clone()).expect("what was sent is a message")
}

/// The start line without the version.
pub(crate) fn first_line(sent: &Sent) -> String {
    let text = String::from_utf8_lossy(&sent.bytes);
    text.lines().next().unwrap_or("").trim_end_matches(" SIP/2.0").trim_start_matches("SIP/2.0 ").to_owned()
}

/// The value of a header of what was sent, the first line of that name.
pub(crate) fn line(sent: &Sent, name: &str) -> String {
    let value = tests::raw::first(&sent.bytes, &name.to_ascii_lowercase()).unwrap_or_default();
    String::from_utf8(value).unwrap()
}

/// When each was sent, in milliseconds.
pub(crate) fn times(sent: &[Sent]) -> Vec<u64> {
    sent.iter().map(|s| s.at.as_millis()).collect()
}

/// Told at a time.
pub(crate) fn told(at: u64, what: &str) -> (u64, String) {
    (at, what.to_owned())
}
