//! Transaction users: what they hear, what they may say, and who gets which request.

mod actor;
mod apart;
mod context;
mod poster;
mod rule;
pub mod testing;

pub(crate) use actor::TuActor;
pub use apart::{Rest, TuApart};
pub use context::{AddPath, NextHop, SendOptions, TuContext};
pub use poster::TuPoster;
pub use rule::{MessageFilterRule, TuOptions};

use crate::message::Message;
pub use crate::transaction::{ClientTransaction, ServerTransaction};
use crate::transport::{Flow, TransportError};
use rutil::Time;
use siphasher::sip::SipHasher13;
use std::any::Any;
use std::hash::Hasher as _;
use std::net::SocketAddr;

/// The layer above transactions: a user agent, a proxy, DUM, or a program's own.
///
/// It is driven by its FIFO: [`TransactionUser::process`] is called for each event and says what to do through the
/// [`TuContext`]. It must not block. An answer that takes time (a database, another server) is asked for elsewhere and
/// given later: a [`ServerTransaction`] can be answered from any later call.
pub trait TransactionUser: Send {
    /// The name in logs and statistics.
    fn name(&self) -> &'static str;

    /// Takes one event.
    fn process(&mut self, event: TuEvent, stack: &mut TuContext<'_>);

    /// When [`TransactionUser::wake`] wants to be called.
    fn deadline(&self) -> Option<Time> {
        None
    }

    /// Called when the deadline has passed.
    fn wake(&mut self, _stack: &mut TuContext<'_>) {}

    /// Whether nothing is under way that a graceful shutdown should wait for.
    fn drained(&self) -> bool {
        true
    }
}

/// The shard, of so many, that hears the messages with this Call-ID in a stack without transactions
/// ([`crate::StackOptions::raw`]). No secret is in it: who sends such a stack what he likes may choose the shard.
pub fn raw_shard(call_id: &[u8], shards: u16) -> u16 {
    if shards <= 1 {
        return 0;
    }
    let mut hash = SipHasher13::new();
    hash.write(call_id);
    (hash.finish() % u64::from(shards)) as u16
}

/// What a transaction user hears.
#[derive(Debug)]
pub enum TuEvent {
    /// A request that begins a transaction. It wants one final response by [`TuContext::respond`]. A CANCEL comes
    /// here only when it matches no INVITE.
    Request {
        /// What to answer to.
        transaction: ServerTransaction,
        /// The request.
        msg: Box<Message>,
    },
    /// An ACK for a 2xx, which has no transaction of its own (RFC 3261 §13.2.2.4).
    Ack {
        /// The ACK.
        msg: Box<Message>,
    },
    /// The client gave up its INVITE. The CANCEL itself has been answered; the INVITE still wants its final
    /// response, usually 487 (RFC 3261 §9.2).
    Cancelled {
        /// The INVITE.
        transaction: ServerTransaction,
        /// The CANCEL.
        cancel: Box<Message>,
    },
    /// A response to a request that was sent.
    Response {
        /// The request.
        transaction: ClientTransaction,
        /// The response.
        msg: Box<Message>,
    },
    /// A request will get no response: RFC 3261 §8.1.3.1 takes a timeout as 408, a transport error as 503.
    NoResponse {
        /// The request.
        transaction: ClientTransaction,
        /// Why.
        reason: NoResponse,
    },
    /// Nothing was heard of an INVITE for [`SendOptions::silence`], and there is no other target. Its transaction goes on, and
    /// may still have responses.
    Silent {
        /// The INVITE.
        transaction: ClientTransaction,
    },
    /// A response may not have arrived: its transport failed, or no ACK came for a final response (Timer H).
    NotDelivered {
        /// The request that was answered.
        transaction: ServerTransaction,
    },
    /// An INVITE client transaction is over and its name with it ([`TuOptions::terminations`]).
    ClientEnded {
        /// The transaction.
        transaction: ClientTransaction,
    },
    /// An INVITE server transaction is over and its name with it ([`TuOptions::terminations`]).
    ServerEnded {
        /// The transaction.
        transaction: ServerTransaction,
    },
    /// A connection is gone ([`TuOptions::flows`]), whoever closed it. What came on it has been told before.
    FlowEnded {
        /// The connection.
        flow: Box<Flow>,
    },
    /// What became of a STUN Binding request ([`TuContext::send_binding`]).
    Binding {
        /// Its name there.
        name: u64,
        /// What our address looks like from where it went; none: it was refused, or did not arrive.
        mapped: Option<Box<SocketAddr>>,
    },
    /// A message as it came, in a stack without transactions ([`crate::StackOptions::raw`]).
    Raw {
        /// The message.
        msg: Box<Message>,
    },
    /// What [`TuContext::send_raw`] was to send, or its connection, is lost.
    RawFailed {
        /// Its name there.
        name: u64,
        /// Why.
        error: TransportError,
    },
    /// What the program put in from another thread ([`TuPoster::post`]).
    Posted(Box<dyn Any + Send>),
}

/// Why a request got no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoResponse {
    /// Timer B or F fired, or a cancelled INVITE was never answered.
    #[error("no response in time")]
    Timeout,
    /// The next hop's name could not be resolved.
    #[error("next hop not found")]
    NotFound,
    /// No transport here reaches the next hop's kind of transport or address family.
    #[error("{0}")]
    Transport(TransportError),
}

impl NoResponse {
    /// Whether it tells that there is nobody at the other end of a flow (RFC 5626 §5.3.1). What is unreachable may be so for
    /// want of a route here.
    pub const fn is_dead_flow(self) -> bool {
        use TransportError::{ConnectionLost, NoConnection, Refused};
        matches!(self, NoResponse::Transport(ConnectionLost | NoConnection | Refused))
    }

    /// The status that stands for it (RFC 3261 §8.1.3.1, §16.9).
    pub const fn status(self) -> u16 {
        match self {
            NoResponse::Timeout => 408,
            NoResponse::NotFound | NoResponse::Transport(_) => 503,
        }
    }
}
