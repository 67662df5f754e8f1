//! The thread of the store: it writes bindings as they change, and may wait for the disk. What is provisioned has a thread
//! of its own beside it ([`Publisher`]).
//!
//! Group commit: it gathers for [`GATHER`], takes all that is there, and writes what each address-of-record has at that
//! moment, read from the location store. So the order of changes does not matter, and one that is not written now is
//! written with the next. What waits for it hears [`Saved`]. What is published for a user is in a row of its own, named as
//! other nodes would know it (`presence alice@example.com`); nobody waits for that.

mod messages;

use super::journal::{Job, Journal, MOST_NOTES, MOST_UNSAVED, NotKept, Saved, Waits};
use super::outbox::Outbox;
use super::publisher::Publisher;
use super::source::{Source, Wait};
use super::{Store, StoreError};
use crate::OnPanic;
use crate::events::Resource;
use crate::location::Notation;
use crate::provisioning::{Listed, Provisioning, Records, one_line};
use crate::proxy::Server;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use messages::Mail;
use rutil::{Clock, HashMap, HashSet, Keyed, ParkSleeper, Rng, Sleeper, Time};
use stack::tu::TuPoster;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How long to gather before writing: registrations that come at the same time share the cost of a commit, and those
/// that come meanwhile need not wake this thread.
const GATHER: Duration = Duration::from_millis(2);
/// How often to bring what was written to the disk, and to try again.
const TICK: Duration = Duration::from_secs(1);
/// How long to wait when nothing is to be done.
const IDLE: Duration = Duration::from_secs(3_600);
/// With so many that could not be written, nothing more is taken that nobody waits for.
const MOST_NOTED: usize = MOST_UNSAVED + MOST_NOTES;
/// How soon to try again when a proxy has taken no news.
const AGAIN: Duration = Duration::from_millis(1);

/// Where an address-of-record is in the store; by two hashes, since its name is in the location store already.
type Rows = HashMap<(u64, u64), i64>;

/// What the thread works with.
pub struct Service {
    store: Option<Store>,
    notation: Notation,
    clock: Box<dyn Clock>,
    rows: Rows,
    hashers: (Keyed, Keyed),
    next: i64,
    /// Where to go on looking for what has expired.
    swept: i64,
    /// Whose bindings could not be written.
    unsaved: HashSet<Box<str>>,
    text: Vec<u8>,
    journal: Arc<Journal>,
    jobs: Receiver<Job>,
    sleeper: ParkSleeper,
    troubles: Troubles,
    listed: Listed,
    /// Works beside this one, once both have started.
    publisher: Option<(Publisher, Wait)>,
}

/// What goes wrong and is tried again each second; it is logged when it begins.
#[derive(Default)]
struct Troubles {
    sync: bool,
    sweep: bool,
}

/// Takes note whether something goes wrong, and says whether that is new.
pub(super) fn begins(trouble: &mut bool, failing: bool) -> bool {
    !std::mem::replace(trouble, failing) && failing
}

/// The running threads.
pub struct Running {
    journal: Arc<Journal>,
    threads: Vec<JoinHandle<()>>,
}

impl Running {
    /// Where it is told what to do.
    pub fn journal(&self) -> Arc<Journal> {
        self.journal.clone()
    }

    /// Has everything written, and waits for the end.
    pub fn stop(self) {
        self.journal.stop();
        self.threads.into_iter().for_each(|thread| drop(thread.join()));
    }
}

impl Service {
    /// Prepares both threads, and compiles what is provisioned: `file` is what the configuration has, and `source`
    /// has the other records. Without a store nothing is written.
    ///
    /// # Errors
    /// When the store cannot be read, or what is provisioned does not go together.
    pub fn new(
        store: Option<Store>,
        source: Option<Source>,
        file: Records,
        notation: Notation,
        clock: impl Clock + Clone + 'static,
        rng: &mut Rng,
    ) -> Result<Self, StoreError> {
        let mut rng = rng.split();
        let (journal, jobs, orders) = Journal::new();
        let journal = Arc::new(journal);
        let (own, part, wait) = (Box::new(clock.clone()), rng.split(), Wait::new()?);
        let publisher = Publisher::new(source, file, notation.shards, own, part, (journal.clone(), orders), &wait)?;
        let hashers = (Keyed::new(&mut rng), Keyed::new(&mut rng));
        Ok(Service {
            store,
            notation,
            clock: Box::new(clock),
            rows: HashMap::with_hasher(Keyed::new(&mut rng)),
            unsaved: HashSet::with_hasher(Keyed::new(&mut rng)),
            hashers,
            next: 1,
            swept: 0,
            text: Vec::new(),
            journal,
            jobs,
            sleeper: ParkSleeper::new(),
            troubles: Troubles::default(),
            listed: publisher.listed(),
            publisher: Some((publisher, wait)),
        })
    }

    /// What is provisioned now.
    pub fn provisioning(&self) -> Arc<Provisioning> {
        // It is there from the beginning.
        let published = self.journal.published().map(|published| published.provisioning);
        published.unwrap_or_else(|| Arc::new(Provisioning::empty(&mut Rng::from_seed(0))))
    }

    /// Who is in the access list, now and later.
    pub fn listed(&self) -> Listed {
        self.listed.clone()
    }

    /// Where the proxies say what has changed.
    pub fn journal(&self) -> Arc<Journal> {
        self.journal.clone()
    }

    /// Whether registrations wait until they are written.
    pub fn keeps_bindings(&self) -> bool {
        self.store.is_some()
    }

    /// Puts the bindings that were kept into the location store, and what was published into the compositor, before the
    /// first request comes. Gives how many addresses-of-record have bindings.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn restore(&mut self, server: &Server) -> Result<usize, StoreError> {
        let (location, now, mut count) = (server.location(), self.clock.now(), 0);
        let (current, mut removed, mut left) = (self.provisioning(), Vec::new(), 0);
        let longest = now + Duration::from_secs(server.config().registrar.max_expires.into());
        let Some(store) = &mut self.store else { return Ok(0) };
        let (rows, next, hashers, notation) = (&mut self.rows, &mut self.next, &self.hashers, &self.notation);
        store.bindings(|id, aor, contacts, provisioned| {
            *next = id.saturating_add(1);
            // Who was removed, or may do nothing any more, was so while nobody was here to notice.
            let resource = Resource::of_shared_name(aor);
            let user = resource.as_ref().map_or(aor, |resource| &resource.aor);
            if provisioned && current.user(user).is_none_or(|user| !user.enabled) {
                return removed.push(id);
            }
            if let Some(resource) = resource {
                rows.insert(key(hashers, aor), id);
                match server.compositor().restore(&resource, contacts, (now, notation.epoch)) {
                    Ok(more) => left += more,
                    Err(error) => {
                        tracing::warn!(aor = one_line(aor), %error, "what is published in the store cannot be read");
                    }
                }
                return;
            }
            let mut bindings = match notation.read(contacts, now) {
                Ok(bindings) => bindings,
                Err(error) => {
                    return tracing::warn!(aor = one_line(aor), %error, "a binding in the store cannot be read");
                }
            };
            // Where the wall clock went back meanwhile, they would live longer than any may.
            bindings.iter_mut().for_each(|binding| binding.expires_at = binding.expires_at.min(longest));
            // Of two rows the later one counts.
            rows.insert(key(hashers, aor), id);
            match location.restore(aor, bindings, now) {
                Ok(()) => count += 1,
                Err(error) => tracing::warn!(aor = one_line(aor), %error, "a binding in the store has no room"),
            }
        })?;
        if !removed.is_empty() {
            tracing::info!(users = removed.len(), "bindings of users that are no more are dropped");
            store.save(|batch| removed.iter().try_for_each(|id| batch.remove(*id)))?;
        }
        if left > 0 {
            tracing::warn!(left, "what is published in the store has no room: raise the limits of [events]");
        }
        Ok(count)
    }

    /// Starts the threads; `on_panic` is called with the name of one that panics: nothing is kept any more then.
    ///
    /// # Errors
    /// When the system has none.
    pub fn start(
        mut self,
        server: &Server,
        poster: TuPoster,
        on_panic: impl Fn(&str) + Clone + Send + 'static,
    ) -> std::io::Result<Running> {
        let (journal, mut threads) = (self.journal.clone(), Vec::new());
        // Those that are born outside of the stack's wiring.
        let mut spawn = |name: &'static str, work: Box<dyn FnOnce() + Send>| {
            let on_panic = on_panic.clone();
            let guarded = move || {
                let _guard = OnPanic(|| on_panic(name));
                work();
            };
            threads.push(std::thread::Builder::new().name(name.to_owned()).spawn(guarded)?);
            std::io::Result::Ok(())
        };
        if let Some((publisher, wait)) = self.publisher.take() {
            let (server, poster) = (server.without_provisioning(), poster.clone());
            let work = move || {
                rutil::give_way();
                wait.on(publisher.run(server, poster));
            };
            spawn("provisioning", Box::new(work))?;
        }
        let server = server.without_provisioning();
        spawn("store", Box::new(move || self.run(server, poster)))?;
        Ok(Running { journal, threads })
    }

    fn run(mut self, server: Server, poster: TuPoster) {
        let mut outbox = Outbox::default();
        let mut tick = self.clock.now() + TICK;
        loop {
            let patience = match outbox.0.is_empty() {
                false => AGAIN,
                true if self.has_nothing_to_do() => IDLE,
                true => tick.since(self.clock.now()),
            };
            let first = match self.jobs.recv_timeout(patience) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let stopped = first.is_some_and(|job| self.work(job, &server, &mut outbox));
            outbox.post(&poster);
            if stopped {
                return;
            }
            if self.clock.now() >= tick {
                self.tick(&server);
                tick = self.clock.now() + TICK;
            }
        }
    }

    /// Nothing can happen but that it is told something.
    fn has_nothing_to_do(&self) -> bool {
        self.store.is_none()
    }

    /// Takes all that is there, and says whether it is to stop.
    fn work(&mut self, first: Job, server: &Server, outbox: &mut Outbox) -> bool {
        if matches!(first, Job::Save { .. }) {
            // Nobody rings: this ends when its time is over.
            self.sleeper.sleep(Some(GATHER));
        }
        let (mut waiting, mut told): (Vec<(u16, u64)>, Vec<_>) = Default::default();
        let mut stopped = false;
        let rest: Vec<Job> = self.jobs.try_iter().collect();
        for job in std::iter::once(first).chain(rest) {
            self.journal.taken(&job);
            match job {
                Job::Save { aor, waits } => {
                    if !matches!(waits, Waits::Nobody) || self.unsaved.len() < MOST_NOTED {
                        self.unsaved.insert(aor);
                    }
                    match waits {
                        Waits::Nobody => {}
                        Waits::Register(shard, number) => match waiting.iter_mut().find(|(other, _)| *other == shard) {
                            Some((_, last)) => *last = number.max(*last),
                            None => waiting.push((shard, number)),
                        },
                        Waits::Told(one) => told.push(one),
                    }
                }
                Job::Stop => stopped = true,
            }
        }
        let kept = self.save(server);
        waiting.into_iter().for_each(|(shard, up_to)| outbox.push(shard, Saved { up_to, kept }));
        let outcome = if kept { Ok(()) } else { Err(NotKept::Failing) };
        // Who does not wait any more need not be told.
        for one in told {
            let _ = one.try_send(outcome);
        }
        stopped
    }

    /// Writes what is not yet written; whether that is all now.
    fn save(&mut self, server: &Server) -> bool {
        let current = self.provisioning();
        let Some(store) = self.store.as_mut() else { return true };
        let mail = Mail::take(server.silo(), self.unsaved.iter());
        if self.unsaved.is_empty() && mail.is_none() {
            return true;
        }
        let now = self.clock.now();
        let (rows, text, notation, hashers) = (&mut self.rows, &mut self.text, &self.notation, &self.hashers);
        let mut new: Vec<((u64, u64), Option<i64>)> = Vec::new();
        let mut next = self.next;
        let saved = store.save(|batch| {
            for aor in &self.unsaved {
                let key = key(hashers, aor);
                let row = rows.get(&key).copied();
                let (last, provisioned) = write_row(aor, (server, &current), (notation, now), text);
                match (last, row) {
                    (Some(last), row) => {
                        let id = row.unwrap_or(next);
                        let contacts = std::str::from_utf8(text).unwrap_or("[]");
                        batch.put(id, aor, last, contacts, provisioned)?;
                        if row.is_none() {
                            next = next.saturating_add(1);
                            new.push((key, Some(id)));
                        }
                    }
                    (None, Some(id)) => {
                        batch.remove(id)?;
                        new.push((key, None));
                    }
                    (None, None) => {}
                }
            }
            mail.as_ref().map_or(Ok(()), |mail| mail.write(batch, notation))
        });
        mail.into_iter().for_each(|mail| mail.written(saved.is_ok()));
        if let Err(error) = saved {
            if !self.journal.set_failing(true) {
                tracing::error!("registrations and messages to be kept are refused: {error}");
            }
            return false;
        }
        for (key, row) in new {
            match row {
                Some(id) => drop(rows.insert(key, id)),
                None => drop(rows.remove(&key)),
            }
        }
        self.next = next;
        self.unsaved.clear();
        if self.journal.set_failing(false) {
            tracing::warn!("the store can be written again");
        }
        true
    }

    /// What is to be done now and then.
    fn tick(&mut self, server: &Server) {
        let epoch = self.clock.epoch();
        if self.notation.follow(epoch) {
            server.set_epoch(epoch);
            tracing::warn!("the system's clock was set: what is written from now on expires by that");
        }
        // One that failed is tried again here; nobody waits for it.
        let healthy = self.save(server);
        let Some(store) = self.store.as_mut().filter(|_| healthy) else { return };
        let (synced, troubles) = (store.sync(), &mut self.troubles);
        let new = begins(&mut troubles.sync, synced.is_err());
        if let Some(error) = synced.err().filter(|_| new) {
            tracing::error!(%error, "the store does not reach the disk: a power failure would lose registrations");
        }
        let wall = (self.notation.epoch + self.clock.now().since(Time::ZERO)).as_secs();
        let (rows, hashers) = (&mut self.rows, &self.hashers);
        let swept = store.drop_expired(self.swept, wall, |id, aor| {
            let key = key(hashers, aor);
            if rows.get(&key) == Some(&id) {
                rows.remove(&key);
            }
        });
        let swept = store.drop_messages(wall).and(swept);
        let new = begins(&mut troubles.sweep, swept.is_err());
        match swept {
            Ok(last) => self.swept = last,
            Err(error) if new => tracing::warn!("{error}"),
            Err(_) => {}
        }
    }
}

/// Writes what stands in the row of an address-of-record, or of what is published for one; when the last of it ends, in
/// Unix seconds, none if there is nothing, and whether it is a provisioned user's.
fn write_row(
    name: &str,
    (server, current): (&Server, &Provisioning),
    (notation, now): (&Notation, Time),
    text: &mut Vec<u8>,
) -> (Option<u64>, bool) {
    let resource = Resource::of_shared_name(name);
    let written = match &resource {
        Some(resource) => server.compositor().write(resource, (now, notation.epoch), text),
        None => server.location().inspect(name, |bindings| notation.write(bindings, now, text)),
    };
    let last = written.unwrap_or_else(|error| {
        tracing::error!(%error, "a row cannot be written down");
        None
    });
    let user = resource.as_ref().map_or(name, |resource| &resource.aor);
    (last, current.user(user).is_some())
}

fn key(hashers: &(Keyed, Keyed), aor: &str) -> (u64, u64) {
    (hashers.0.hash_one(aor), hashers.1.hash_one(aor))
}

#[cfg(test)]
pub(super) mod tests;
