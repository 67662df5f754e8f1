//! What an operator sees of a running proxy, and may change. All of it is questions and answers: the HTTP server that
//! carries them is the program's.
//!
//! No shard waits for any of it: what is counted is read where it is counted, bindings and bans behind the locks that they
//! have anyway, a sixteenth of the bindings at a time; the list of transactions is asked for, some slots between two messages;
//! and a message of a call that is traced is put aside ([`traces`]).

pub mod api;
mod exposition;
mod metrics;
mod stack_metrics;
pub mod traces;

pub use metrics::ProcessUsage;

use crate::proxy::Server;
use crate::store::Journal;
use parking_lot::{Mutex, MutexGuard};
use rutil::{Clock as _, RealClock, Time};
use stack::Stack;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use traces::Traces;

/// A proxy that has started.
pub struct Parts {
    /// Its stack.
    pub stack: Arc<Stack>,
    /// What its shards share.
    pub server: Arc<Server>,
    /// The way to the thread of the store.
    pub journal: Arc<Journal>,
    /// Messages of calls that an operator wants to see.
    pub traces: Arc<Traces>,
    /// The clock of all of them.
    pub clock: RealClock,
}

impl Parts {
    fn now(&self) -> Time {
        self.clock.now()
    }

    /// Whether registrations outlive the process.
    fn has_store(&self) -> bool {
        self.server.journal().is_some()
    }
}

/// The proxy as whoever operates it sees it: before it has started, while it runs, and when it is to end.
#[derive(Default)]
pub struct Operation {
    parts: OnceLock<Parts>,
    draining: AtomicBool,
    changes: Mutex<()>,
}

/// Why the proxy should get no new work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// It has not started.
    #[error("starting")]
    Starting,
    /// It finishes what is under way, and ends.
    #[error("draining")]
    Draining,
    /// It stands by for another process.
    #[error("standing by: this machine does not have cluster.virtual_address")]
    Passive,
    /// The store cannot write.
    #[error("the store cannot write: registrations are refused")]
    Store,
}

impl Operation {
    /// It has started.
    pub fn started(&self, parts: Parts) {
        // A second one would be of another process.
        let _ = self.parts.set(parts);
    }

    /// Until this is dropped nobody else changes what is provisioned: what was read of it still holds when it is written.
    pub fn changes(&self) -> MutexGuard<'_, ()> {
        self.changes.lock()
    }

    /// It is to end.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// What has started, if it has.
    pub fn parts(&self) -> Option<&Parts> {
        self.parts.get()
    }

    /// Whether it should get new work.
    ///
    /// # Errors
    /// Why not.
    pub fn ready(&self) -> Result<(), NotReady> {
        let Some(parts) = self.parts() else { return Err(NotReady::Starting) };
        match () {
            () if self.draining.load(Ordering::Relaxed) => Err(NotReady::Draining),
            () if parts.server.is_passive() => Err(NotReady::Passive),
            () if parts.has_store() && parts.journal.is_failing() => Err(NotReady::Store),
            () => Ok(()),
        }
    }

    /// Everything that is counted, in the text format of Prometheus, version 0.0.4. It walks histograms and reads files of
    /// the kernel's: for every second, not for every message.
    pub fn metrics(&self, usage: &ProcessUsage) -> String {
        metrics::render(self, usage)
    }
}

#[cfg(test)]
mod tests;
