//! What the scanner of a shard counts.

use crate::statistics::Counter;
use crate::statistics::counters::counters;

counters! {
    /// Counters of one shard's scanner; read at any time from any thread.
    pub struct ScannerStats => /// The values of [`ScannerStats`] at one moment.
    ScannerSnapshot;
    /// Requests given to transactions.
    requests,
    /// Responses given to transactions.
    responses,
    /// Requests answered with 400, 414, 505 or 513 because they are malformed.
    refused,
    /// What was dropped: no SIP, malformed responses and ACKs, responses to nothing that we sent.
    garbage,
    /// Requests answered with 503 because they would have had to wait too long.
    overload,
    /// Requests dropped because even to answer them would have taken too long.
    dropped,
    /// Requests refused because their source sent more than [`crate::overload::SourceLimits::rate`].
    excess,
    /// Datagrams and chunks not read because their source is banned.
    banned,
    /// Bans that [`crate::overload::SourceLimits::ban_after`] led to.
    bans,
    /// Messages for which `txn[i]` had no room.
    shed,
    /// Connections closed because a message on them was incomplete for 64·T1.
    late_partials,
    /// Connections closed because the incomplete messages of all took more than
    /// [`crate::StackOptions::partial_octets`].
    shed_partials,
    /// Octets that the incomplete messages of all streams take now.
    partial_octets,
}

pub(super) fn count(counter: &Counter) {
    counter.inc();
}
