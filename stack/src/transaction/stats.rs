//! What the transactions of a shard count.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters of one shard's transactions; read at any time from any thread.
        #[derive(Debug, Default)]
        pub struct TransactionStats {
            $($(#[$doc])* pub(crate) $name: AtomicU64,)*
        }

        /// The values of [`TransactionStats`] at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct TransactionSnapshot {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl TransactionStats {
            /// Reads all counters.
            pub fn snapshot(&self) -> TransactionSnapshot {
                TransactionSnapshot { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }

        impl TransactionSnapshot {
            /// Adds another shard's values.
            pub fn add(&mut self, other: &TransactionSnapshot) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

counters! {
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

pub(crate) fn count(counter: &AtomicU64) {
    // One shard writes, others only read: no locked add is needed.
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}
