//! What the transactions of a shard count.

use crate::statistics::Counter;
use crate::statistics::counters::counters;

counters! {
    /// Counters of one shard's transactions; read at any time from any thread.
    pub struct TransactionStats => /// The values of [`TransactionStats`] at one moment.
    TransactionSnapshot;
    /// Client transactions begun.
    clients,
    /// Server transactions begun.
    servers,
    /// Client transactions alive, retired ones included.
    clients_alive,
    /// Server transactions alive, retired ones included.
    servers_alive,
    /// Octets of messages that the transactions keep: [`crate::StackOptions::transaction_octets`] bounds them.
    octets_kept,
    /// Messages that were sent again.
    retransmitted,
    /// Requests that came again and were absorbed.
    absorbed,
    /// Final responses that came again and were absorbed.
    absorbed_responses,
    /// Responses that matched no transaction and were dropped.
    stray_responses,
    /// Requests refused with 503: a table, its octets or a transaction user's FIFO was full.
    refused,
    /// Merged requests refused with 482.
    merged,
    /// Client transactions that got no response in time.
    timeouts,
    /// Client transactions whose transport failed.
    transport_failures,
    /// Further attempts of requests whose target failed (RFC 3263 §4.3); each is among the client transactions too.
    failovers,
    /// Responses to INVITE whose ACK did not come (Timer H).
    no_ack,
    /// Messages shed because the selector's FIFO was full.
    shed,
    /// Responses, ACKs and CANCELs that were sent and not kept, because they would have passed
    /// [`crate::StackOptions::transaction_octets`]: they are not sent again.
    not_kept,
}

pub(crate) fn count(counter: &Counter) {
    counter.inc();
}
