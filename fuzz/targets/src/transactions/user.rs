//! The transaction user: does what it is told, and checks what it hears.

use stack::header::{Method, h};
use stack::message::Message;
use stack::tu::{ClientTransaction, SendOptions, ServerTransaction, TransactionUser, TuContext, TuEvent};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rutil::Time;

/// What it is told to do.
pub(super) enum Order {
    Send(Box<Message>, SendOptions),
    SendStateless(Box<Message>, SendOptions),
    Respond(usize, u16),
    RespondStatus(usize, u16),
    Cancel(usize, Option<String>),
}

/// What it has heard of a client transaction.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) transaction: ClientTransaction,
    pub(super) invite: bool,
    pub(super) successes: u32,
    /// Final responses other than 2xx to INVITE, and news that there is none.
    pub(super) finals: u32,
    pub(super) silent: bool,
    pub(super) ended: bool,
    pub(super) cancelled: bool,
}

/// What it has heard of a server transaction.
pub(super) struct Server {
    pub(super) transaction: ServerTransaction,
    pub(super) request: Box<Message>,
    pub(super) invite: bool,
    pub(super) ended: bool,
}

/// What the world and the transaction user share.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) orders: Vec<Order>,
    pub(super) clients: Vec<Client>,
    pub(super) servers: Vec<Server>,
}

impl Notes {
    fn client(&mut self, name: ClientTransaction) -> &mut Client {
        self.clients.iter_mut().find(|client| client.transaction == name).expect("news of a request that was sent")
    }

    fn server(&mut self, name: ServerTransaction) -> &mut Server {
        self.servers.iter_mut().find(|server| server.transaction == name).expect("news of a request that came")
    }
}

/// See the module.
#[derive(Clone, Default)]
pub(super) struct User {
    notes: Arc<Mutex<Notes>>,
}

impl User {
    pub(super) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TransactionUser for User {
    fn name(&self) -> &'static str {
        "fuzz"
    }

    fn process(&mut self, event: TuEvent, _stack: &mut TuContext<'_>) {
        hear(&mut self.notes(), event);
    }

    fn deadline(&self) -> Option<Time> {
        (!self.notes().orders.is_empty()).then_some(Time::ZERO)
    }

    fn wake(&mut self, stack: &mut TuContext<'_>) {
        let mut notes = self.notes();
        for order in std::mem::take(&mut notes.orders) {
            obey(&mut notes, order, stack);
        }
    }
}

fn obey(notes: &mut Notes, order: Order, stack: &mut TuContext<'_>) {
    match order {
        Order::Send(msg, options) => {
            let invite = msg.method() == Some(Method::Invite);
            let transaction = stack.send(msg, options);
            let client =
                Client { transaction, invite, successes: 0, finals: 0, silent: false, ended: false, cancelled: false };
            notes.clients.push(client);
        }
        Order::SendStateless(msg, options) => stack.send_stateless(msg, options),
        Order::Respond(server, code) => {
            if let Some(server) = notes.servers.get(server) {
                stack.respond(server.transaction, server.request.make_response(code, None, Some("fuzz")));
            }
        }
        Order::RespondStatus(server, code) => {
            if let Some(server) = notes.servers.get(server) {
                stack.respond_status(server.transaction, code);
            }
        }
        Order::Cancel(client, reason) => {
            if let Some(client) = notes.clients.get_mut(client) {
                client.cancelled = true;
                stack.cancel(client.transaction, reason.as_deref());
            }
        }
    }
}

fn hear(notes: &mut Notes, event: TuEvent) {
    match event {
        TuEvent::Response { transaction, msg } => {
            let client = notes.client(transaction);
            let code = msg.status().expect("a response");
            assert!(!client.ended && client.finals == 0, "{code} after the end of {transaction:?}");
            match (code, client.invite) {
                (..200, _) => assert_eq!(client.successes, 0, "{code} after 2xx"),
                (..300, true) => client.successes += 1,
                _ => {
                    assert_eq!(client.successes, 0, "{code} after 2xx");
                    client.finals += 1;
                }
            }
        }
        TuEvent::NoResponse { transaction, reason } => {
            let client = notes.client(transaction);
            assert!(!client.ended && client.finals == 0 && client.successes == 0, "{reason} after a final response");
            client.finals += 1;
        }
        TuEvent::Silent { transaction } => {
            let client = notes.client(transaction);
            assert!(client.invite && !client.ended && client.finals + client.successes == 0, "silent after an answer");
            assert!(!std::mem::replace(&mut client.silent, true), "silent twice");
        }
        TuEvent::ClientEnded { transaction } => {
            let client = notes.client(transaction);
            assert!(client.invite && !client.ended && client.finals + client.successes > 0);
            client.ended = true;
        }
        TuEvent::Request { transaction, msg } => {
            assert!(notes.servers.iter().all(|server| server.transaction != transaction), "a name comes twice");
            assert!(msg.fault().is_none() && msg.header(h::CSEQ).is_ok() && msg.first(h::VIAS).is_ok());
            let invite = msg.method() == Some(Method::Invite);
            notes.servers.push(Server { transaction, request: msg, invite, ended: false });
        }
        TuEvent::Ack { msg } => assert_eq!(msg.method(), Some(Method::Ack)),
        TuEvent::Cancelled { transaction, cancel } => {
            assert_eq!(cancel.method(), Some(Method::Cancel));
            let server = notes.server(transaction);
            assert!(server.invite && !server.ended);
        }
        TuEvent::NotDelivered { transaction } => assert!(!notes.server(transaction).ended),
        TuEvent::ServerEnded { transaction } => {
            let server = notes.server(transaction);
            assert!(server.invite && !server.ended);
            server.ended = true;
        }
        TuEvent::Posted(_) => panic!("nobody posts here"),
        // Anybody can write one.
        TuEvent::Binding { .. } => {}
        TuEvent::FlowEnded { .. } => panic!("nobody wants to hear of connections"),
        TuEvent::Raw { .. } | TuEvent::RawFailed { .. } => panic!("there are transactions"),
    }
}
