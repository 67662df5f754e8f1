//! What is left to try when a target fails (RFC 3263 §4.3).

use super::locate::{Candidate, Target};
use crate::message::Message;
use crate::transaction::ClientTransaction;
use crate::tu::SendOptions;
use std::mem::size_of;
use std::time::Duration;

/// A request that may yet go elsewhere: kept by its client transaction until a final response, or until nothing is left
/// to try. Only a request whose name has several targets has one.
#[derive(Clone, Debug)]
pub struct Failover {
    /// The request without the Via and Record-Route of the attempt that is under way.
    pub(crate) msg: Box<Message>,
    pub(crate) options: Box<SendOptions>,
    /// Where the attempt under way went.
    pub(crate) tried: Target,
    /// Where the next go, in order.
    pub(crate) left: Vec<Candidate>,
}

impl Failover {
    /// What it keeps, for the budget of transactions.
    pub(crate) fn octets(&self) -> usize {
        self.msg.octets() + self.left.len() * size_of::<Candidate>() + size_of::<SendOptions>()
    }
}

/// The next attempt of a request: transactions → selector.
#[derive(Debug)]
pub struct Retry {
    /// Names the branch, and who is told: a new one for each attempt.
    pub(crate) transaction: ClientTransaction,
    pub(crate) failover: Box<Failover>,
    pub(crate) cause: Cause,
}

/// Why an attempt is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// There was no answer, or the transport failed.
    Failed,
    /// It could not prove to be whom it was looked up as: that may be wrong about the name, not about the target.
    NotProved,
    /// A 503, with what its Retry-After says; without one it asks for no rest (RFC 3261 §21.5.4).
    Unavailable(Option<Duration>),
}
