//! A look from outside at the transactions that are alive: a few slots of a shard at a time, so that no message waits for
//! it. What is read of them (messages are parsed for that) is read on the thread of whoever looks.

use super::client::{self, Client, method_of};
use super::controller::TransactionController;
use super::server::{self, Server};
use super::{ClientTransaction, client_invite, client_non_invite, server_invite, server_non_invite};
use crate::header::{h, p};
use crate::message::Message;
use crate::transport::{Flow, TransportType};
use bytes::Bytes;
use rutil::Time;
use std::net::SocketAddr;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

/// Slots of each table that are looked at in one go.
const SLOTS: u32 = 512;

/// What crosses `cmd` when somebody looks.
#[derive(Debug)]
pub struct Look {
    /// The first slot, of clients and of servers.
    pub(crate) from: u32,
    /// Those as well that wait for nothing.
    pub(crate) retired: bool,
    /// Where it is told what is there.
    pub(crate) told: SyncSender<Looked>,
}

/// What is in some slots.
#[derive(Debug)]
pub(crate) struct Looked {
    pub(crate) found: Vec<Alive>,
    /// Where to go on; nothing at the end.
    pub(crate) next: Option<u32>,
}

/// A transaction that is alive, as its shard gives it.
#[derive(Debug)]
pub(crate) struct Alive {
    machine: Machine,
    id: Option<ClientTransaction>,
    /// What is kept of its messages, perhaps nothing.
    message: Bytes,
    flow: Option<(TransportType, SocketAddr)>,
    pub(crate) began: Time,
}

#[derive(Clone, Copy, Debug)]
enum Machine {
    /// With the mark of its method.
    Client(client::State, u16),
    Server(server::State),
}

/// A transaction that is alive: what [`crate::Stack::transactions`] tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionInfo {
    /// The shard that it lives in.
    pub shard: u16,
    /// `client INVITE`, `client non-INVITE`, `server INVITE`, `server non-INVITE`.
    pub kind: &'static str,
    /// As in the RFC's figure: `Proceeding`.
    pub state: String,
    /// It has not done what it is there for: it waits for a response, or for the ACK of a failure. Others only absorb what
    /// comes again.
    pub pending: bool,
    /// The request's method; none when only an extension's mark is left.
    pub method: Option<String>,
    /// The Call-ID, while a message is kept: those that only absorb what comes again have none mostly.
    pub call_id: Option<String>,
    /// The branch of the topmost Via; of a client the part that names it, when no message is kept.
    pub branch: Option<String>,
    /// By which transport the request came, or went; none before it has gone.
    pub transport: Option<TransportType>,
    /// From where, or to whom.
    pub peer: Option<SocketAddr>,
    /// Since it began, failovers of the same request included.
    pub age: Duration,
}

impl Alive {
    /// What can be read of it.
    pub(crate) fn info(self, shard: u16, now: Time) -> TransactionInfo {
        let message = Some(self.message).filter(|octets| !octets.is_empty()).and_then(Message::parse_again);
        let call_id = message.as_ref().and_then(|msg| Some(msg.header(h::CALL_ID).ok()?.as_str().to_owned()));
        let top = message.as_ref().and_then(|msg| Some(msg.first(h::VIAS).ok()?.param(p::BRANCH)?.to_owned()));
        let own = || Some(String::from_utf8_lossy(self.id?.branch(None).as_bytes()).into_owned());
        let asked = message.as_ref().and_then(|msg| Some(msg.header(h::CSEQ).ok()?.method.as_str().to_owned()));
        let (kind, state, pending, method) = match self.machine {
            Machine::Client(client::State::Invite(state), _) => {
                use client_invite::State as S;
                let pending = matches!(state, S::Calling | S::Proceeding);
                ("client INVITE", format!("{state:?}"), pending, Some("INVITE".to_owned()))
            }
            Machine::Client(client::State::NonInvite(state), mark) => {
                use client_non_invite::State as S;
                let pending = matches!(state, S::Trying | S::Proceeding);
                let method = method_of(mark).map(|method| method.as_str().to_owned());
                ("client non-INVITE", format!("{state:?}"), pending, method.or(asked))
            }
            Machine::Server(server::State::Invite(state)) => {
                use server_invite::State as S;
                let pending = matches!(state, S::Trying | S::Proceeding | S::Completed);
                ("server INVITE", format!("{state:?}"), pending, Some("INVITE".to_owned()))
            }
            Machine::Server(server::State::NonInvite(state)) => {
                use server_non_invite::State as S;
                let pending = matches!(state, S::Trying | S::Proceeding);
                ("server non-INVITE", format!("{state:?}"), pending, asked)
            }
        };
        let (transport, peer) = self.flow.unzip();
        let branch = top.or_else(own);
        let age = now.since(self.began);
        TransactionInfo { shard, kind, state, pending, method, call_id, branch, transport, peer, age }
    }

    fn of_client(client: &Client) -> Self {
        let to = |flow: Flow| (flow.kind, flow.peer);
        Alive {
            machine: Machine::Client(client.state, client.method),
            id: Some(client.id),
            message: client.kept.clone(),
            flow: client.flow.map(to),
            began: client.began,
        }
    }

    fn of_server(server: &Server) -> Self {
        let message = if server.request.is_empty() { &server.response } else { &server.request };
        Alive {
            machine: Machine::Server(server.state),
            id: None,
            message: message.clone(),
            flow: Some((server.reply_to.kind, server.source)),
            began: server.began,
        }
    }
}

impl TransactionController {
    /// Tells whoever looks what is in some slots.
    pub(super) fn look(&self, look: &Look) {
        let end = look.from.saturating_add(SLOTS);
        let mut found = Vec::new();
        for slot in look.from..end {
            let client = self.clients.at(slot).map(|(_, client)| client);
            found.extend(client.filter(|client| look.retired || client.is_pending()).map(Alive::of_client));
            let server = self.servers.at(slot).map(|(_, server)| server);
            found.extend(server.filter(|server| look.retired || server.waits()).map(Alive::of_server));
        }
        let slots = self.clients.slots().max(self.servers.slots());
        let next = Some(end).filter(|end| (*end as usize) < slots);
        // Who does not wait any more need not be told.
        let _ = look.told.try_send(Looked { found, next });
    }
}
