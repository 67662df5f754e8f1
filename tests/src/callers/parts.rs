//! What callers keep of what is under way.

use rutil::Time;
use std::net::SocketAddr;
use std::time::Duration;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Invite(u64),
    Bye(u64),
    /// Of a call that was given up.
    Stray,
    Register(u64),
    /// Whether a node knows a user.
    Query(u64),
    Ping,
}

impl Of {
    pub(super) fn name(self) -> &'static str {
        match self {
            Of::Invite(_) => "INVITE",
            Of::Bye(_) | Of::Stray => "BYE",
            Of::Register(_) => "REGISTER",
            Of::Query(_) => "query",
            Of::Ping => "OPTIONS",
        }
    }
}

/// A client transaction.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) of: Of,
    pub(super) node: usize,
    pub(super) text: String,
    pub(super) begun: Time,
    pub(super) next: Time,
    pub(super) interval: Duration,
    pub(super) times: u32,
    /// It has a provisional response.
    pub(super) rings: bool,
}

/// A call, of its caller.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) tries: u32,
    /// What began the dialog.
    pub(super) ok: Option<String>,
}

/// A 200 that has no ACK yet.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) to: SocketAddr,
    pub(super) next: Time,
    pub(super) interval: Duration,
    pub(super) until: Time,
}

/// A node, as the callers see it.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) address: SocketAddr,
    pub(super) heard: Time,
    pub(super) down: bool,
    pub(super) ping_at: Time,
}
