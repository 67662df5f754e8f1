//! What the proxies tell the store: whose bindings have changed. They never wait for it.
//!
//! Bounded by [`MOST_UNSAVED`]: so many REGISTERs may wait for the store at a time. Who finds no room, or a store that
//! cannot write, is refused before anything is changed. What else is told has places of its own, and takes none of those.

use crate::provisioning::{Provisioning, Records};
use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::{Notify, mpsc};

/// Most REGISTERs that wait for the store, all shards together.
pub const MOST_UNSAVED: usize = 8_192;

/// Most changes that nobody waits for.
pub(crate) const MOST_NOTES: usize = 8_192;
/// Things that operators ask for, at a time.
const MOST_ORDERS: usize = 16;

/// What has become of an order: how many records there are now, or why everything stays as it was.
pub type Outcome = Result<usize, String>;

/// Where an outcome is told.
pub(super) type Told = Sender<Outcome>;

/// What is provisioned, and what of it stands in the configuration.
#[derive(Clone)]
pub struct Published {
    /// What the proxies look things up in.
    pub provisioning: Arc<Provisioning>,
    /// The records of the configuration.
    pub file: Arc<Records>,
}

/// Who waits until something is kept.
#[derive(Debug)]
pub enum Waits {
    /// Nobody.
    Nobody,
    /// A REGISTER: its shard, and its number there.
    Register(u16, u64),
    /// Whoever has the other end of this.
    Told(Sender<Result<(), NotKept>>),
}

/// What the thread of the store is to do.
pub(super) enum Job {
    /// Write what an address-of-record has.
    Save {
        aor: Box<str>,
        /// Who waits for that.
        waits: Waits,
    },
    /// Write what is there, and end.
    Stop,
}

/// Put together anew what is provisioned.
pub(super) struct Order {
    /// With these records of the configuration, or with those from before.
    pub(super) file: Option<Box<Records>>,
    /// Where it is told what has become of it.
    pub(super) told: Told,
}

/// The end of the FIFOs to the store that the proxies have.
pub struct Journal {
    jobs: Sender<Job>,
    orders: mpsc::Sender<Order>,
    /// Told to whoever carries out orders that it is over.
    end: Notify,
    /// REGISTERs that wait.
    unsaved: Places<MOST_UNSAVED>,
    notes: Places<MOST_NOTES>,
    failing: AtomicBool,
    stale: AtomicBool,
    /// What the proxies were given last.
    published: Mutex<Option<Published>>,
}

/// So many may be there at a time.
#[derive(Default)]
pub(crate) struct Places<const MOST: usize>(AtomicUsize);

impl<const MOST: usize> Places<MOST> {
    pub(crate) fn take(&self) -> Result<(), NotKept> {
        if self.0.fetch_add(1, Ordering::Relaxed) >= MOST {
            self.give_back(1);
            return Err(NotKept::Full);
        }
        Ok(())
    }

    pub(crate) fn give_back(&self, places: usize) {
        self.0.fetch_sub(places, Ordering::Relaxed);
    }

    pub(crate) fn taken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
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
    /// Another node was there before.
    #[error("another node has changed it meanwhile")]
    Overtaken,
}

/// An order is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOrdered {
    /// Too many wait.
    #[error("too many changes of what is provisioned wait: try again later")]
    Full,
    /// Nobody carries it out any more.
    #[error("what is provisioned is not put together any more: the proxy ends")]
    Ended,
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
    pub(super) fn new() -> (Self, Receiver<Job>, mpsc::Receiver<Order>) {
        // Each kind has its places, and the end has the last one: what has a place is never refused.
        let (jobs, taken) = bounded(MOST_UNSAVED + MOST_NOTES + 1);
        let (orders, wanted) = mpsc::channel(MOST_ORDERS);
        let journal = Journal {
            jobs,
            orders,
            end: Notify::new(),
            unsaved: Places::default(),
            notes: Places::default(),
            failing: AtomicBool::new(false),
            stale: AtomicBool::new(false),
            published: Mutex::new(None),
        };
        (journal, taken, wanted)
    }

    /// Takes a place for a registration that is about to change something; [`Journal::release`] gives it back.
    ///
    /// # Errors
    /// When there is none.
    pub fn reserve(&self) -> Result<(), NotKept> {
        if self.failing.load(Ordering::Relaxed) {
            return Err(NotKept::Failing);
        }
        self.unsaved.take()
    }

    /// Gives places back.
    pub fn release(&self, places: usize) {
        self.unsaved.give_back(places);
    }

    /// Has the bindings of an address-of-record written; a place was reserved. The proxy of the shard hears of it with
    /// [`Saved`], by this number.
    ///
    /// # Errors
    /// When the store is gone.
    pub fn save(&self, aor: &str, shard: u16, number: u64) -> Result<(), NotKept> {
        self.send(Job::Save { aor: aor.into(), waits: Waits::Register(shard, number) })
    }

    /// The same for whoever can wait himself.
    ///
    /// # Errors
    /// When the store is gone.
    pub fn save_told(&self, aor: &str) -> Result<Receiver<Result<(), NotKept>>, NotKept> {
        let (told, outcome) = bounded(1);
        self.send(Job::Save { aor: aor.into(), waits: Waits::Told(told) })?;
        Ok(outcome)
    }

    /// The same where nobody waits.
    ///
    /// # Errors
    /// When there is no room: what is written is older than what is there, until it expires or is written again.
    pub fn note(&self, aor: &str) -> Result<(), NotKept> {
        self.notes.take()?;
        // Who is not heard any more is nobody's loss.
        let _ = self.send(Job::Save { aor: aor.into(), waits: Waits::Nobody });
        Ok(())
    }

    /// Has everything that is provisioned put together anew: with other records of the configuration, or because those in
    /// the store have changed. What comes of it is told when all proxies have it.
    ///
    /// # Errors
    /// When too much is asked for at the same time, or it is over.
    pub fn publish(&self, file: Option<Records>) -> Result<Receiver<Outcome>, NotOrdered> {
        let (told, outcome) = bounded(1);
        let refused = |error| match error {
            mpsc::error::TrySendError::Full(_) => NotOrdered::Full,
            mpsc::error::TrySendError::Closed(_) => NotOrdered::Ended,
        };
        self.orders.try_send(Order { file: file.map(Box::new), told }).map_err(refused)?;
        Ok(outcome)
    }

    /// Whether the store cannot write: registrations are refused.
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Whether the proxies work with what was provisioned before: what is now cannot be read, or was refused.
    pub fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Relaxed)
    }

    pub(super) fn set_stale(&self, stale: bool) {
        self.stale.store(stale, Ordering::Relaxed);
    }

    /// How many REGISTERs wait for the store.
    pub fn waiting(&self) -> usize {
        self.unsaved.taken()
    }

    /// What is provisioned now; the proxies have it or get it next. Not for each message: all share one lock.
    pub fn published(&self) -> Option<Published> {
        self.published.lock().clone()
    }

    pub(super) fn set_published(&self, published: Published) {
        let former = self.published.lock().replace(published);
        // Others need not wait until the records of the configuration are freed.
        drop(former);
    }

    /// Waits until it is over.
    pub(super) async fn ended(&self) {
        self.end.notified().await;
    }

    /// Has the threads end; to be called once.
    pub(super) fn stop(&self) {
        self.end.notify_one();
        // There is room for it; the thread may have ended already.
        let _ = self.send(Job::Stop);
    }

    /// The thread has taken this from the FIFO.
    pub(super) fn taken(&self, job: &Job) {
        match job {
            // Who waits has his place until he is answered.
            Job::Save { waits: Waits::Register(..) | Waits::Told(_), .. } | Job::Stop => {}
            Job::Save { waits: Waits::Nobody, .. } => self.notes.give_back(1),
        }
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
    fn each_kind_has_its_own_places_and_the_end_has_one() {
        let (journal, jobs, mut orders) = Journal::new();
        (0..MOST_UNSAVED).for_each(|_| journal.reserve().unwrap());
        assert_eq!(journal.reserve(), Err(NotKept::Full));
        assert_eq!((0..2 * MOST_NOTES).filter(|_| journal.note("b@h").is_ok()).count(), MOST_NOTES);
        assert_eq!(jobs.len(), MOST_NOTES);
        (0..MOST_ORDERS).for_each(|_| drop(journal.publish(None).unwrap()));
        assert_eq!(journal.publish(None).err(), Some(NotOrdered::Full));
        // Who has reserved a place has it still.
        (0..MOST_UNSAVED as u64).for_each(|number| journal.save("a@h", 0, number).unwrap());
        journal.stop();
        let all: Vec<Job> = jobs.try_iter().inspect(|job| journal.taken(job)).collect();
        assert!(matches!(all.last(), Some(Job::Stop)));
        assert_eq!(journal.reserve(), Err(NotKept::Full), "they are not answered");
        journal.release(1);
        assert!(orders.try_recv().is_ok());
        assert!(journal.reserve().is_ok() && journal.publish(None).is_ok());
        journal.note("c@h").unwrap();
        assert_eq!(jobs.len(), 1);
        drop(orders);
        assert_eq!(journal.publish(None).err(), Some(NotOrdered::Ended));
    }

    #[test]
    fn a_store_that_fails_takes_nothing() {
        let (journal, _jobs, _orders) = Journal::new();
        assert!(!journal.set_failing(true));
        assert_eq!(journal.reserve(), Err(NotKept::Failing));
        assert!(journal.set_failing(false));
        assert_eq!(journal.reserve(), Ok(()));
    }
}
