//! What the proxies tell the store: whose bindings have changed. They never wait for it.
//!
//! Bounded by [`MOST_UNSAVED`]: so many REGISTERs may wait for the store at a time. Who finds no room, or a store that
//! cannot write, is refused before anything is changed.

use crate::provisioning::Records;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Most REGISTERs that wait for the store, all shards together.
pub const MOST_UNSAVED: usize = 8_192;

/// Things that operators ask for, at a time.
const MOST_ORDERS: usize = 16;

/// What the thread of the store is to do.
pub(super) enum Job {
    /// Write what an address-of-record has.
    Save {
        aor: Box<str>,
        /// Who waits for that, and the number it waits for.
        waits: Option<(u16, u64)>,
    },
    /// These are the records of the configuration now.
    Reload(Box<Records>),
    /// Write what is there, and end.
    Stop,
}

/// The end of the FIFO to the store that the proxies have.
pub struct Journal {
    jobs: Sender<Job>,
    /// REGISTERs that wait.
    unsaved: AtomicUsize,
    failing: AtomicBool,
}

/// The store takes nothing now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// Too many wait for it.
    #[error("too many registrations wait for the store")]
    Full,
    /// It cannot write.
    #[error("the store cannot write")]
    Failing,
}

/// What has become of registrations: posted to the proxy of each shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Those up to this number.
    pub up_to: u64,
    /// They are kept; else they are not, for now.
    pub kept: bool,
}

impl Journal {
    pub(super) fn new() -> (Self, Receiver<Job>) {
        let (jobs, orders) = bounded(MOST_UNSAVED + MOST_ORDERS);
        (Journal { jobs, unsaved: AtomicUsize::new(0), failing: AtomicBool::new(false) }, orders)
    }

    /// Takes a place for a registration that is about to change something; [`Journal::release`] gives it back.
    ///
    /// # Errors
    /// When there is none.
    pub fn reserve(&self) -> Result<(), NotKept> {
        if self.failing.load(Ordering::Relaxed) {
            return Err(NotKept::Failing);
        }
        if self.unsaved.fetch_add(1, Ordering::Relaxed) >= MOST_UNSAVED {
            self.release(1);
            return Err(NotKept::Full);
        }
        Ok(())
    }

    /// Gives places back.
    pub fn release(&self, places: usize) {
        self.unsaved.fetch_sub(places, Ordering::Relaxed);
    }

    /// Has the bindings of an address-of-record written; a place was reserved. The proxy of the shard hears of it with
    /// [`Saved`], by this number.
    ///
    /// # Errors
    /// When the store is gone.
    pub fn save(&self, aor: &str, shard: u16, number: u64) -> Result<(), NotKept> {
        self.send(Job::Save { aor: aor.into(), waits: Some((shard, number)) })
    }

    /// The same where nobody waits. When there is no room it is left: what is written then is older than what is there,
    /// until it expires or is written again.
    pub fn note(&self, aor: &str) {
        if self.unsaved.load(Ordering::Relaxed) < MOST_UNSAVED {
            let _ = self.send(Job::Save { aor: aor.into(), waits: None });
        }
    }

    /// The records of the configuration are others now: everything that is provisioned is put together anew.
    ///
    /// # Errors
    /// When too much is asked for at the same time.
    pub fn reload(&self, records: Records) -> Result<(), NotKept> {
        self.send(Job::Reload(Box::new(records)))
    }

    pub(super) fn stop(&self) {
        let _ = self.send(Job::Stop);
    }

    pub(super) fn set_failing(&self, failing: bool) -> bool {
        self.failing.swap(failing, Ordering::Relaxed)
    }

    fn send(&self, job: Job) -> Result<(), NotKept> {
        self.jobs.try_send(job).map_err(|_| NotKept::Full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_so_many() {
        let (journal, jobs) = Journal::new();
        for number in 0..MOST_UNSAVED as u64 {
            journal.reserve().unwrap();
            journal.save("a@h", 0, number).unwrap();
        }
        assert_eq!(journal.reserve(), Err(NotKept::Full));
        journal.note("b@h");
        assert_eq!(jobs.len(), MOST_UNSAVED);
        journal.reload(Records::default()).unwrap();
        journal.release(1);
        assert_eq!(journal.reserve(), Ok(()));
    }

    #[test]
    fn a_store_that_fails_takes_nothing() {
        let (journal, _jobs) = Journal::new();
        assert!(!journal.set_failing(true));
        assert_eq!(journal.reserve(), Err(NotKept::Failing));
        assert!(journal.set_failing(false));
        assert_eq!(journal.reserve(), Ok(()));
    }
}
