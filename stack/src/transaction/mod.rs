//! Transactions (RFC 3261 §17): four pure machines, and the actor that owns all transactions of a shard.

mod client;
pub mod client_invite;
pub mod client_non_invite;
mod controller;
mod doors;
mod failover;
mod ids;
mod kept;
mod key;
mod look;
pub mod machine;
mod server;
pub mod server_invite;
pub mod server_non_invite;
mod stats;
#[cfg(test)]
mod tables;

pub(crate) use controller::{ControllerParts, TransactionController, TuPort};
pub use doors::{Door, Doors};
pub use ids::{ClientTransaction, MAGIC_COOKIE, ServerTransaction, loop_hash};
pub use key::{KeyMaker, ServerKey};
pub(crate) use look::{Alive, Looked};
pub use look::{Look, TransactionInfo};
pub use machine::{Action, Timer, TimerValues};
pub use stats::{TransactionSnapshot, TransactionStats};

use crate::header::Method;
use crate::message::Message;
use crate::overload::LoadReport;
use crate::selector::{Failover, Retry};
use crate::transport::{ConnectionId, Flow, Notify, TransportError, TransportFailed, TransportId};
use crate::tu::{NoResponse, SendOptions};
use bytes::Bytes;
use rutil::Time;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// What crosses `txn[i]`: message-header scanner → transactions.
#[derive(Debug)]
pub enum Incoming {
    /// A request that is well formed as far as a transaction needs.
    Request {
        /// The request, its topmost Via stamped with `received` and `rport`.
        msg: Box<Message>,
        /// Its transaction's key.
        key: ServerKey,
        /// For a CANCEL, the key of the INVITE that it means.
        cancels: Option<Box<ServerKey>>,
        /// Where on its flow the response goes (RFC 3261 §18.2.2, RFC 3581 §4).
        reply_to: SocketAddr,
    },
    /// A response whose topmost Via is ours.
    Response {
        /// The response.
        msg: Box<Message>,
        /// The attempt of a transaction that its branch names.
        transaction: ClientTransaction,
    },
    /// A message in a stack without transactions.
    Raw(Box<Message>),
    /// A request that went out gets no answer where it went: an ICMP error came back, or its connection is gone.
    Lost(TransportFailed),
    /// A connection is gone.
    FlowEnded(Box<Flow>),
    /// What became of a STUN Binding request of ours.
    Binding(Box<Binding>),
}

/// What became of a STUN Binding request (RFC 5626 §4.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Who sent it.
    pub tu: u8,
    /// Its name there.
    pub name: u64,
    /// What our address looks like from where it went; none: it was refused, or an ICMP error came back.
    pub mapped: Option<SocketAddr>,
}

/// What a transaction user commands.
#[derive(Debug)]
pub enum Command {
    /// Begin a client transaction.
    Send {
        /// Its name.
        transaction: ClientTransaction,
        /// Who hears of it.
        tu: u8,
        /// The request, without our Via.
        msg: Box<Message>,
        /// Where and how.
        options: Box<SendOptions>,
    },
    /// Send a request without a transaction.
    SendStateless {
        /// Names the branch.
        transaction: ClientTransaction,
        /// The request, without our Via.
        msg: Box<Message>,
        /// Where and how.
        options: Box<SendOptions>,
    },
    /// Answer a request.
    Respond {
        /// The request.
        transaction: ServerTransaction,
        /// The response.
        msg: Box<Message>,
    },
    /// Answer a request with nothing but a status.
    RespondStatus {
        /// The request.
        transaction: ServerTransaction,
        /// The status code.
        code: u16,
    },
    /// Begin a client transaction with a request that is written, our Via and all.
    SendWritten(Box<Written>),
    /// Send octets as they are.
    SendRaw(Box<Transmission>),
    /// Close a connection whose peer is silent for too long.
    Expect {
        /// Its transport.
        transport: TransportId,
        /// The connection.
        connection: ConnectionId,
        /// The longest silence.
        within: Duration,
    },
    /// Want a sign of life of the peer of a connection.
    Ping {
        /// Its transport.
        transport: TransportId,
        /// The connection.
        connection: ConnectionId,
        /// When it is closed without one; none: never.
        within: Option<Duration>,
    },
    /// Cancel an INVITE.
    Cancel {
        /// The INVITE.
        transaction: ClientTransaction,
        /// Header fields that it has beside those of the INVITE.
        added: Option<Box<Message>>,
    },
}

impl Command {
    pub(crate) fn cancel(transaction: ClientTransaction, reason: Option<&str>) -> Self {
        match reason {
            Some(reason) => Self::cancel_with(transaction, |cancel| cancel.append_line("Reason", reason)),
            None => Command::Cancel { transaction, added: None },
        }
    }

    pub(crate) fn cancel_with(transaction: ClientTransaction, edit: impl FnOnce(&mut Message)) -> Self {
        let mut added = Message::request(&Method::Cancel, "");
        edit(&mut added);
        Command::Cancel { transaction, added: Some(Box::new(added)) }
    }
}

/// What crosses `cmd[i]`: transaction users, timer queue, selector and transports → transactions. Apart from `txn[i]`,
/// so that this side is always drained, even while requests from outside must wait.
#[derive(Debug)]
pub enum Input {
    /// A transaction user's command.
    Command(Command),
    /// A timer fired.
    Fired(TimerKey),
    /// The selector found the next hop and sent the request.
    Sent(Box<Sent>),
    /// The selector could not send the request.
    NotSent {
        /// The client transaction's key.
        key: u64,
        /// Why.
        reason: NoResponse,
    },
    /// A transport could not deliver what a transaction sent.
    Failed(TransportFailed),
    /// Somebody wants to see the transactions.
    Look(Box<Look>),
}

/// How a request went out.
#[derive(Debug)]
pub struct Sent {
    /// The client transaction's key.
    pub key: u64,
    /// The request with our Via.
    pub bytes: Bytes,
    /// Where it went.
    pub flow: Flow,
    /// Whom its peer has to prove to be, over TLS.
    pub domain: Option<Arc<str>>,
    /// It went to a stream for its size alone: if nobody listens there, UDP is left (RFC 3261 §18.1.1).
    pub for_size: bool,
    /// Where else it can go (RFC 3263 §4.3).
    pub failover: Option<Box<Failover>>,
}

/// A request that is written, our Via and all, and where it goes.
#[derive(Debug)]
pub struct Written {
    /// Its transaction, which its topmost Via names.
    pub transaction: ClientTransaction,
    /// Who hears of it.
    pub tu: u8,
    /// Its method.
    pub method: Method<'static>,
    /// The request.
    pub bytes: Bytes,
    /// Where it goes.
    pub flow: Flow,
}

/// One message for a flow that is known.
#[derive(Debug)]
pub struct Transmission {
    /// The message.
    pub bytes: Bytes,
    /// Where it goes.
    pub flow: Flow,
    /// Whom the peer has to prove to be, for a request over TLS.
    pub domain: Option<Arc<str>>,
    /// Who hears of a failure.
    pub notify: Option<Notify>,
}

/// Names an armed timer. It is never cancelled: when its transaction is gone, the generation tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerKey {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
    pub(crate) client: bool,
    pub(crate) timer: Timer,
}

/// What crosses `timer[i]`: transactions → timer queue.
#[derive(Clone, Copy, Debug)]
pub struct Arm {
    /// When to fire.
    pub at: Time,
    /// What.
    pub key: TimerKey,
}

/// What crosses `out`: transactions → transport selector.
#[derive(Debug)]
pub enum Outgoing {
    /// A request whose next hop is to be found, and whose Via is to be filled.
    Request {
        /// Names the branch, and who is told.
        transaction: ClientTransaction,
        /// The request.
        msg: Box<Message>,
        /// Where and how.
        options: Box<SendOptions>,
        /// No transaction waits for news.
        stateless: bool,
    },
    /// What a next hop wants to be left out (RFC 7339): the next hop, and what it said.
    Load(Box<(SocketAddr, LoadReport)>),
    /// The peer of a connection has promised keep-alives.
    Expect {
        /// Its transport.
        transport: TransportId,
        /// The connection.
        connection: ConnectionId,
        /// The longest silence.
        within: Duration,
    },
    /// A sign of life is wanted of the peer of a connection.
    Ping {
        /// Its transport.
        transport: TransportId,
        /// The connection.
        connection: ConnectionId,
        /// When it is closed without one; none: never.
        within: Option<Duration>,
    },
    /// Octets for a flow that is known: a response, a repeated request, an ACK or a CANCEL.
    Bytes(Box<Transmission>),
    /// A request whose attempt has failed, for its next target (RFC 3263 §4.3).
    Retry(Box<Retry>),
    /// A request that could not be sent over a stream, once more over UDP (RFC 3261 §18.1.1).
    Downgrade(Box<Downgrade>),
}

/// What could not be sent over a stream.
#[derive(Debug)]
pub struct Downgrade {
    /// The request as it was to go out.
    pub bytes: Bytes,
    /// Where it was to go.
    pub flow: Flow,
    /// The client transaction's key.
    pub key: u64,
}

impl From<TransportError> for NoResponse {
    fn from(error: TransportError) -> Self {
        NoResponse::Transport(error)
    }
}
