//! What must hold: written down as it happens, read at the end.

use rutil::Time;
use stack::header::{Method, h};
use stack::message::Message;
use stack::tu::{ClientTransaction, ServerTransaction, TuEvent};
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};
use tests::played::Sent;

#[derive(Default)]
struct Client {
    invite: bool,
    /// The final response that came first.
    code: Option<u16>,
    no_response: bool,
    ended: bool,
}

#[derive(Default)]
struct Server {
    cancelled: bool,
    ended: bool,
}

/// The books of the whole world. The standard library's hasher has fixed keys here, so a trace is a number.
#[derive(Default)]
struct Books {
    clients: HashMap<(usize, ClientTransaction), Client>,
    /// INVITE server transactions.
    servers: HashMap<(usize, ServerTransaction), Server>,
    /// Node and what names a request: one transaction user hears of it once.
    requests: HashSet<(usize, u64)>,
    /// Node, branch and method of each final response, and a hash of its octets.
    finals: HashMap<(usize, u64), u64>,
    trace: DefaultHasher,
    broken: Vec<String>,
}

/// Of each kind, how many broken rules are named.
const MOST: usize = 20;

/// What a run came to.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Sums {
    pub(crate) clients: usize,
    pub(crate) no_response: usize,
    pub(crate) success: usize,
    pub(crate) failure: usize,
    pub(crate) cancelled: usize,
}

#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Books>>);

impl Ledger {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap()
    }

    /// A transaction user began a client transaction.
    pub(crate) fn begun(&self, node: usize, transaction: ClientTransaction, invite: bool) {
        let mut books = self.books();
        let before = books.clients.insert((node, transaction), Client { invite, ..Client::default() });
        books.check(before.is_none(), || format!("{node}: {transaction:?} was given twice"));
    }

    /// A transaction user hears something.
    pub(crate) fn heard(&self, node: usize, event: &TuEvent, now: Time) {
        let mut books = self.books();
        (now.as_nanos(), node).hash(&mut books.trace);
        match event {
            TuEvent::Request { transaction, msg } => books.request(node, *transaction, msg),
            TuEvent::Response { transaction, msg } => books.response(node, *transaction, msg.status().unwrap_or(0)),
            TuEvent::NoResponse { transaction, .. } => books.client(node, *transaction, "no response", |client| {
                let fine = client.code.is_none() && !client.no_response && !client.ended;
                client.no_response = true;
                fine
            }),
            TuEvent::ClientEnded { transaction } => books.client(node, *transaction, "the end", |client| {
                let over = client.code.is_some() || client.no_response;
                !std::mem::replace(&mut client.ended, true) && over && client.invite
            }),
            TuEvent::Cancelled { transaction, .. } => books.server(node, *transaction, "a second CANCEL", |server| {
                !std::mem::replace(&mut server.cancelled, true)
            }),
            TuEvent::ServerEnded { transaction } => {
                books.server(node, *transaction, "a second end", |server| !std::mem::replace(&mut server.ended, true))
            }
            TuEvent::Ack { .. } | TuEvent::NotDelivered { .. } | TuEvent::Silent { .. } | TuEvent::Posted(_) => {}
            TuEvent::FlowEnded { .. } | TuEvent::Binding { .. } => {}
            TuEvent::Raw { .. } | TuEvent::RawFailed { .. } => {}
        }
    }

    /// A message goes out on the wire.
    pub(crate) fn sent(&self, node: usize, sent: &Sent) {
        let mut books = self.books();
        (sent.at.as_nanos(), node, sent.transport.0, sent.peer, &sent.bytes[..]).hash(&mut books.trace);
        if !sent.bytes.starts_with(b"SIP/2.0 ") {
            return;
        }
        let Ok(msg) = Message::parse(sent.bytes.clone()) else {
            return books.check(false, || format!("{node} sent what is no message"));
        };
        let (Some(code), Some(name)) = (msg.status(), name(&msg)) else { return };
        let octets = hash(&sent.bytes[..]);
        match (books.finals.get(&(node, name)).copied(), code) {
            (None, 200..) => {
                books.finals.insert((node, name), octets);
            }
            (Some(first), 200..) => {
                books.check(first == octets, || format!("{node}: two final responses, the second {}", text(sent)));
            }
            (Some(_), _) => books.check(false, || format!("{node}: a provisional after a final: {}", text(sent))),
            (None, _) => {}
        }
    }

    pub(crate) fn check(&self, holds: bool, what: impl FnOnce() -> String) {
        self.books().check(holds, what);
    }

    pub(crate) fn trace(&self) -> u64 {
        self.books().trace.finish()
    }

    /// What was broken so far.
    pub(crate) fn broken(&self) -> Vec<String> {
        self.books().broken.clone()
    }

    /// Closes the books: every client transaction has ended with one thing, every INVITE was said to have ended.
    pub(crate) fn close(&self) -> Sums {
        let mut books = self.books();
        let mut sums = Sums { clients: books.clients.len(), ..Sums::default() };
        let mut open = Vec::new();
        for ((node, transaction), client) in &books.clients {
            let one = client.code.is_some() != client.no_response;
            if !one || client.ended != client.invite {
                open.push(format!("{node}: {transaction:?} is open: {:?} {}", client.code, client.ended));
            }
            sums.no_response += usize::from(client.no_response);
            sums.success += usize::from(client.code.is_some_and(|code| code < 300));
            sums.failure += usize::from(client.code.is_some_and(|code| code >= 300));
        }
        for ((node, transaction), server) in &books.servers {
            if !server.ended {
                open.push(format!("{node}: {transaction:?} has not ended"));
            }
            sums.cancelled += usize::from(server.cancelled);
        }
        open.sort();
        open.truncate(MOST);
        books.broken.extend(open);
        sums
    }
}

impl Books {
    fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds && self.broken.len() < MOST {
            self.broken.push(what());
        }
    }

    fn request(&mut self, node: usize, transaction: ServerTransaction, msg: &Message) {
        let new = name(msg).is_some_and(|name| self.requests.insert((node, name)));
        self.check(new, || format!("{node}: {msg:?} was given twice"));
        if msg.method() == Some(Method::Invite) {
            let before = self.servers.insert((node, transaction), Server::default());
            self.check(before.is_none(), || format!("{node}: {transaction:?} names two"));
        }
    }

    fn response(&mut self, node: usize, transaction: ClientTransaction, code: u16) {
        (transaction, code).hash(&mut self.trace);
        self.client(node, transaction, &format!("a {code}"), |client| {
            let success = |code: u16| (200..300).contains(&code);
            match client.code {
                _ if client.no_response || client.ended => false,
                None if code < 200 => true,
                None => {
                    client.code = Some(code);
                    true
                }
                // Silence, but for the 2xx that are repeated.
                Some(first) => client.invite && success(first) && success(code),
            }
        });
    }

    fn client(&mut self, node: usize, id: ClientTransaction, what: &str, fine: impl FnOnce(&mut Client) -> bool) {
        let fine = self.clients.get_mut(&(node, id)).is_some_and(fine);
        self.check(fine, || format!("{node}: {id:?} must not hear {what}"));
    }

    fn server(&mut self, node: usize, id: ServerTransaction, what: &str, fine: impl FnOnce(&mut Server) -> bool) {
        let fine = self.servers.get_mut(&(node, id)).is_some_and(fine);
        self.check(fine, || format!("{node}: {id:?} must not hear {what}"));
    }
}

/// What names a transaction: the topmost Via and the method.
fn name(msg: &Message) -> Option<u64> {
    let via = msg.first(h::VIAS).ok()?;
    Some(hash((via.host.to_string(), via.branch()?.to_owned(), msg.method()?.as_str().to_owned())))
}

fn hash(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

fn text(sent: &Sent) -> String {
    String::from_utf8_lossy(&sent.bytes).into_owned()
}
