//! Tries torture messages on a running element and judges what comes back.
//!
//! Messages are sent as they are, but for the transport in the topmost Via, which has to be the one that is used. Their
//! bytes decide where the answers go: to the address from which they came and the port in that Via (RFC 3261 §18.2.2).
//! So the driver takes an address of 127.0.0.0/8 for itself alone and binds just that port there. What the element did
//! with a message is known when it has answered probes sent after it; nothing waits for a fixed time.
//!
//! [`check_over_udp`] and [`check_over_tcp`] see answers only. Where a proxy may send the message on, there need be
//! none, since the hosts that the messages name are out of reach: that it does is seen by [`check_forwarded_over_udp`]
//! and [`check_forwarded_over_tcp`], with the next hop of the message rewritten to sockets of their own.

mod client;
mod compare;
mod forward;
mod framed;
mod next_hop;
mod probe;
mod tcp;
mod udp;

pub use forward::{can_be_forwarded, can_be_forwarded_over_tcp, check_forwarded_over_tcp, check_forwarded_over_udp};
pub use tcp::check_over_tcp;
pub use udp::check_over_udp;

use std::time::Duration;

/// How long an element may take to answer a probe, or to do what the verdict wants. On an idle machine it takes a
/// millisecond; the rest is for machines that are busy with other tests.
const LIMIT: Duration = Duration::from_secs(4);

/// How long one socket is looked at when several may have something.
const TICK: Duration = Duration::from_millis(1);

/// Probes after a message. A second one follows the first, so an element that spreads its work over threads has had
/// time to react to the message as well.
const PROBES: u32 = 2;

/// The ways in which [`check_over_udp`] and its like end without an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The reaction is right; and how long the next probe took to be answered, where one was sent.
    Right(Option<Duration>),
    /// The message was not sent, for this reason, which has been printed.
    Skipped(String),
}
