//! The proxy driven by hand-made events.

mod accounting;
mod auth;
mod called;
mod cancel;
mod chains;
mod events;
mod filters;
mod flows;
mod fork;
mod forward;
mod forwarding;
mod groups;
mod gruu;
mod http;
mod identity;
mod kept;
mod nat;
mod path;
mod peers;
mod provisioned;
mod published;
mod redirect;
mod register;
mod relay;
mod routes;
mod silo;
mod steps;
mod trunks;
mod validation;
mod watchers;

use super::{Proxy, Server};
use crate::config::Config;
use crate::processors::Processors;
use rutil::{Rng, Time};
use stack::header::h;
use stack::message::{Message, Source};
use stack::transaction::Command;
use stack::transport::{ConnectionId, Flow, TransportId, TransportInfo, TransportTable, TransportType};
use stack::tu::testing::Harness;
use stack::tu::{ClientTransaction, NoResponse, SendOptions, ServerTransaction, TransactionUser, TuEvent};
use std::sync::Arc;
use std::time::Duration;

/// A command, in a shape that is easy to look at.
#[derive(Debug)]
enum Out {
    Sent(ClientTransaction, Box<Message>, SendOptions),
    Stateless(Box<Message>, SendOptions),
    Answer(ServerTransaction, u16, Option<Box<Message>>),
    Cancel(ClientTransaction, Option<String>),
    Expect(ConnectionId, Duration),
}

/// A proxy on UDP and TCP port 5060 of an address, and nothing behind it.
struct Bench {
    harness: Harness,
    proxy: Proxy,
    server: Arc<Server>,
    requests: u32,
    peer: &'static str,
    /// Where requests come from, if not from `peer` over UDP.
    came_by: Option<Flow>,
}

fn transports(address: &str) -> TransportTable {
    let at = address.parse().unwrap();
    let info = |id, kind| TransportInfo::new(TransportId(id), kind, 0, at, at);
    TransportTable::new(vec![info(0, TransportType::Udp), info(1, TransportType::Tcp)])
}

/// A request as it arrives; `lines` end with CR LF.
fn request(method: &str, uri: &str, lines: &str) -> Message {
    let own = |name: &str, line: &str| if lines.contains(name) { String::new() } else { line.to_owned() };
    let text = format!(
        "{method} {uri} SIP/2.0\r\n{}{}{}{}Call-ID: call\r\nCSeq: 1 {method}\r\n{lines}Content-Length: 0\r\n\r\n",
        own("Via:", "Via: SIP/2.0/UDP 127.0.0.1:7000;branch=z9hG4bKc\r\n"),
        own("Max-Forwards:", "Max-Forwards: 70\r\n"),
        own("From:", "From: <sip:alice@example.com>;tag=a\r\n"),
        own("To:", "To: <sip:bob@example.com>\r\n"),
    );
    let msg = Message::parse(text.as_bytes()).unwrap();
    assert!(msg.fault().is_none(), "{text}");
    msg
}

fn text(msg: &Message) -> String {
    String::from_utf8(msg.to_bytes().to_vec()).unwrap()
}

impl Bench {
    fn new() -> Self {
        Self::with("127.0.0.1:5060", Config::default())
    }

    fn with(address: &str, config: Config) -> Self {
        Self::with_processors(address, config, &Processors::standard())
    }

    fn with_processors(address: &str, mut config: Config, processors: &Processors) -> Self {
        let mut rng = Rng::from_seed(1);
        config.listen = vec![format!("udp:{address}").parse().unwrap()];
        let chains = processors.chains(&config.chains).unwrap();
        let server = Arc::new(Server::new(config, chains, &mut rng));
        let proxy = Proxy::new(server.clone(), 0, &mut rng);
        Bench {
            harness: Harness::new(transports(address)),
            proxy,
            server,
            requests: 0,
            peer: "127.0.0.1:7000",
            came_by: None,
        }
    }

    fn event(&mut self, event: TuEvent) -> Vec<Out> {
        let proxy = &mut self.proxy;
        self.harness.call(|stack| proxy.process(event, stack));
        self.outs()
    }

    fn outs(&mut self) -> Vec<Out> {
        let commands = self.harness.commands().into_iter();
        commands
            .map(|command| match command {
                Command::Send { transaction, msg, options, .. } => Out::Sent(transaction, msg, *options),
                Command::SendStateless { msg, options, .. } => Out::Stateless(msg, *options),
                Command::Respond { transaction, msg } => Out::Answer(transaction, msg.status().unwrap(), Some(msg)),
                Command::RespondStatus { transaction, code } => Out::Answer(transaction, code, None),
                Command::Expect { connection, within, .. } => Out::Expect(connection, within),
                Command::SendRaw(_) | Command::SendWritten(_) | Command::Ping { .. } => {
                    panic!("a proxy has no flows of its own, and writes nothing itself")
                }
                Command::Cancel { transaction, added } => {
                    let reason = added.iter().flat_map(|added| added.raw_values("Reason")).next();
                    Out::Cancel(transaction, reason.map(|reason| String::from_utf8_lossy(reason).into_owned()))
                }
            })
            .collect()
    }

    fn flow(&self) -> Flow {
        let (kind, peer) = (TransportType::Udp, self.peer.parse().unwrap());
        self.came_by.unwrap_or(Flow { transport: TransportId(0), kind, connection: ConnectionId(0), peer, local: None })
    }

    fn stamped(&self, mut msg: Message) -> Box<Message> {
        msg.set_source(Source { flow: self.flow(), at: self.harness.now });
        Box::new(msg)
    }

    fn request(&mut self, msg: Message) -> Vec<Out> {
        self.requests += 1;
        let (transaction, msg) = (Harness::server(self.requests), self.stamped(msg));
        self.event(TuEvent::Request { transaction, msg })
    }

    fn ack(&mut self, msg: Message) -> Vec<Out> {
        let msg = self.stamped(msg);
        self.event(TuEvent::Ack { msg })
    }

    /// The one status that answers a request.
    fn status(&mut self, msg: Message) -> u16 {
        match self.request(msg).as_slice() {
            [Out::Answer(transaction, code, _)] => {
                assert_eq!(*transaction, Harness::server(self.requests));
                *code
            }
            other => panic!("not answered: {other:?}"),
        }
    }

    /// Forwards a request to one target.
    fn forwarded(&mut self, msg: Message) -> (ClientTransaction, Box<Message>, SendOptions) {
        let mut outs = self.request(msg);
        match (outs.pop(), outs.is_empty()) {
            (Some(Out::Sent(client, msg, options)), true) => (client, msg, options),
            (other, _) => panic!("not forwarded to one target: {outs:?} {other:?}"),
        }
    }

    /// A response to a request that was forwarded, as it comes back.
    fn respond(&mut self, client: ClientTransaction, sent: &Message, code: u16) -> Vec<Out> {
        let msg = response(sent, code);
        self.event(TuEvent::Response { transaction: client, msg })
    }

    fn no_response(&mut self, client: ClientTransaction, reason: NoResponse) -> Vec<Out> {
        self.event(TuEvent::NoResponse { transaction: client, reason })
    }

    fn cancelled(&mut self) -> Vec<Out> {
        let cancel = Box::new(request("CANCEL", "sip:bob@127.0.0.1:5090", ""));
        self.event(TuEvent::Cancelled { transaction: Harness::server(self.requests), cancel })
    }

    /// Lets time pass, and wakes the proxy when it wants to be woken.
    fn pass(&mut self, seconds: u64) -> Vec<Out> {
        let until = self.harness.now + Duration::from_secs(seconds);
        while let Some(at) = self.proxy.deadline().filter(|at| *at <= until) {
            self.harness.now = at.max(self.harness.now);
            let proxy = &mut self.proxy;
            self.harness.call(|stack| proxy.wake(stack));
        }
        self.harness.now = until;
        self.outs()
    }

    /// Registers a contact of somebody.
    fn register_as(&mut self, user: &str, contact: &str) {
        let contact = format!("To: <sip:{user}@127.0.0.1>\r\nContact: <{contact}>\r\n");
        assert_eq!(self.status(request("REGISTER", "sip:127.0.0.1", &contact)), 200);
    }

    /// Registers contacts for `sip:bob@ADDRESS`, each with its parameters.
    fn register(&mut self, contacts: &[&str]) {
        let contact = format!("To: <sip:bob@127.0.0.1>\r\nContact: {}\r\n", contacts.join(", "));
        assert_eq!(self.status(request("REGISTER", "sip:127.0.0.1", &contact)), 200);
    }

    /// Nothing is kept of any request.
    fn assert_forgotten(&self) {
        let proxy = &self.proxy;
        assert!(proxy.contexts.is_empty() && proxy.branches.is_empty() && proxy.invites.is_empty());
    }
}

fn response(sent: &Message, code: u16) -> Box<Message> {
    let mut msg = sent.make_response(code, None, Some("b"));
    msg.push_front(h::VIAS, "SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKown");
    Box::new(msg)
}

/// The status codes that were sent back.
fn codes(outs: &[Out]) -> Vec<u16> {
    let code = |out: &Out| if let Out::Answer(_, code, _) = out { Some(*code) } else { None };
    outs.iter().filter_map(code).collect()
}

/// What was forwarded: names and messages.
fn sent(outs: Vec<Out>) -> Vec<(ClientTransaction, Box<Message>)> {
    let sent = |out| if let Out::Sent(client, msg, _) = out { Some((client, msg)) } else { None };
    outs.into_iter().filter_map(sent).collect()
}

/// Which branches were cancelled.
fn cancels(outs: &[Out]) -> Vec<ClientTransaction> {
    let cancel = |out: &Out| if let Out::Cancel(client, _) = out { Some(*client) } else { None };
    outs.iter().filter_map(cancel).collect()
}

/// The Request-URI's text.
fn uri(msg: &Message) -> &str {
    std::str::from_utf8(msg.request_uri_text()).unwrap()
}

#[test]
fn nothing_under_way_is_drained() {
    let bench = Bench::new();
    bench.assert_forgotten();
    assert!(bench.proxy.drained());
    assert_eq!((bench.proxy.deadline(), bench.harness.now), (None, Time::ZERO));
}
