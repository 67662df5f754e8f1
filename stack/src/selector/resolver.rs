//! The resolver: an actix actor that asks the DNS (NAPTR, SRV, A, AAAA), on the control thread.
//!
//! The selector holds a [`ResolverHandle`] and hands it [`Lookup`]s; the [`Answer`] comes through the `dns_done` FIFO
//! of the shard that asked, whose bell wakes the runner. When that FIFO is full the answer is held and tried again.
//! At most [`MOST_LOOKUPS`] are under way, whatever their stage, so nothing here grows; more are refused. Nothing is kept
//! here: what was answered is in the cache of the selector that asked.

use super::dns::Client;
use super::records::{Query, Records};
use actix::{Actor, Addr, Handler, Message, System, SystemRunner};
use parking_lot::Mutex;
use rutil::{Class, Clock, FifoSender};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Look-ups under way at once.
pub const MOST_LOOKUPS: usize = 1024;
/// How long a held answer waits before its FIFO is tried again.
const RETRY: Duration = Duration::from_millis(1);

/// What crosses `dns`: a question.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct Lookup {
    /// The question; the addresses of an address literal are itself.
    pub query: Query,
    /// Comes back in the answer.
    pub token: u64,
    /// Whose `dns_done` FIFO gets the answer: its index in what [`serve`] was given.
    pub shard: u16,
}

/// What crosses `dns_done`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The look-up's.
    pub token: u64,
    /// The records of the type that was asked for, never none.
    pub result: Result<Records, DnsError>,
    /// How long the result may be kept; `None` when the servers did not say.
    pub ttl: Option<Duration>,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// The name does not exist, or has no such records.
    #[error("no such name or records")]
    NotFound,
    /// It cannot be a domain name.
    #[error("not a domain name")]
    BadName,
    /// No server answered in time.
    #[error("the name servers did not answer in time")]
    Timeout,
    /// The servers failed, or cannot be reached.
    #[error("look-up failed: {0}")]
    Failed(String),
}

/// The look-up was refused: too many are under way, or the resolver has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the resolver is busy")]
pub struct Busy;

/// How the resolver is set up. Which name servers it asks is the business of [`ResolverHandle::set_name_servers`].
#[derive(Clone, Debug)]
pub struct ResolverOptions {
    /// How long one look-up may take in all.
    pub timeout: Duration,
}

impl Default for ResolverOptions {
    fn default() -> Self {
        ResolverOptions { timeout: Duration::from_secs(4) }
    }
}

type Start = Box<dyn Fn(ResolverHandle) -> io::Result<()> + Send + Sync>;

/// How the selectors reach the resolver. Clones are cheap and reach the same one.
#[derive(Clone)]
pub struct ResolverHandle {
    shared: Arc<Shared>,
}

struct Shared {
    start: Start,
    under_way: AtomicUsize,
    stage: Mutex<Stage>,
    servers: Mutex<Vec<SocketAddr>>,
    /// How often `servers` was changed.
    generation: AtomicU64,
}

enum Stage {
    /// Nobody has asked yet: there is no thread.
    Idle,
    /// The thread is coming up; what was asked meanwhile.
    Starting(Vec<Lookup>),
    Running(Addr<Resolver>, System),
    Stopped,
}

impl ResolverHandle {
    /// A resolver that does not run yet. At the first look-up `start` is called: it starts the thread that calls
    /// [`serve`] with the handle it is given.
    pub fn new(start: impl Fn(ResolverHandle) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let shared = Shared {
            start: Box::new(start),
            under_way: AtomicUsize::new(0),
            stage: Mutex::new(Stage::Idle),
            servers: Mutex::new(Vec::new()),
            generation: AtomicU64::new(0),
        };
        ResolverHandle { shared: Arc::new(shared) }
    }

    /// From now on asks these name servers; none: the system's (`/etc/resolv.conf`), which are read again. What the
    /// servers before have said is forgotten. Names of `/etc/hosts` come first in any case.
    pub fn set_name_servers(&self, servers: Vec<SocketAddr>) {
        *self.shared.servers.lock() = servers;
        self.shared.generation.fetch_add(1, Ordering::Release);
    }

    /// Changes with the name servers: answers of another generation are worth nothing.
    pub(super) fn generation(&self) -> u64 {
        self.shared.generation.load(Ordering::Acquire)
    }

    /// Asks. Never blocks on the network.
    ///
    /// # Errors
    /// [`Busy`] when too many look-ups are under way, or none can be made any more.
    pub fn try_lookup(&self, lookup: Lookup) -> Result<(), Busy> {
        if self.shared.under_way.fetch_add(1, Ordering::AcqRel) >= MOST_LOOKUPS {
            self.done();
            return Err(Busy);
        }
        let taken = self.enter(lookup);
        if taken.is_err() {
            self.done();
        }
        taken
    }

    /// Takes what was asked while the thread does not come up: in a simulation it never does, and whoever plays the
    /// resolver answers.
    pub fn take_waiting(&self) -> Vec<Lookup> {
        match &mut *self.shared.stage.lock() {
            Stage::Starting(waiting) => {
                self.shared.under_way.fetch_sub(waiting.len(), Ordering::AcqRel);
                std::mem::take(waiting)
            }
            _ => Vec::new(),
        }
    }

    /// Ends the resolver: look-ups under way get no answer, later ones are refused, and [`serve`] returns.
    pub fn stop(&self) {
        let stage = std::mem::replace(&mut *self.shared.stage.lock(), Stage::Stopped);
        if let Stage::Running(_, system) = stage {
            system.stop();
        }
    }

    fn enter(&self, lookup: Lookup) -> Result<(), Busy> {
        let mut stage = self.shared.stage.lock();
        match &mut *stage {
            Stage::Running(addr, _) => return addr.try_send(lookup).map_err(|_| Busy),
            Stage::Starting(waiting) => {
                waiting.push(lookup);
                return Ok(());
            }
            Stage::Stopped => return Err(Busy),
            Stage::Idle => *stage = Stage::Starting(vec![lookup]),
        }
        drop(stage);
        (self.shared.start)(self.clone()).map_err(|e| {
            tracing::error!(error = %e, "cannot start the resolver's thread");
            self.reset(1);
            Busy
        })
    }

    /// The thread did not come up: the next look-up tries again. What waited is lost; `counted` of it is counted off
    /// elsewhere.
    fn reset(&self, counted: usize) {
        let mut stage = self.shared.stage.lock();
        if let Stage::Starting(waiting) = &*stage {
            self.shared.under_way.fetch_sub(waiting.len().saturating_sub(counted), Ordering::AcqRel);
            *stage = Stage::Idle;
        }
    }

    /// The actor is there: hands it what waits. False when it is no longer wanted.
    fn run(&self, addr: Addr<Resolver>) -> bool {
        let mut stage = self.shared.stage.lock();
        if matches!(&*stage, Stage::Stopped) {
            return false;
        }
        let before = std::mem::replace(&mut *stage, Stage::Running(addr.clone(), System::current()));
        if let Stage::Starting(waiting) = before {
            for lookup in waiting {
                if addr.try_send(lookup).is_err() {
                    self.done();
                }
            }
        }
        true
    }

    fn done(&self) {
        self.shared.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Runs the resolver's actix system on this thread until [`ResolverHandle::stop`]. `answers` are the `dns_done` FIFOs
/// by shard.
///
/// # Errors
/// What the system says when the runtime cannot be made.
pub fn serve(
    handle: &ResolverHandle,
    options: &ResolverOptions,
    answers: Vec<FifoSender<Answer>>,
    clock: impl Clock + 'static,
) -> io::Result<()> {
    start(handle, options, answers, clock).inspect_err(|_| handle.reset(0))?.map_or(Ok(()), |system| system.run())
}

/// The system with the actor in it; none when it is no longer wanted.
fn start(
    handle: &ResolverHandle,
    options: &ResolverOptions,
    answers: Vec<FifoSender<Answer>>,
    clock: impl Clock + 'static,
) -> io::Result<Option<SystemRunner>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let system = System::with_tokio_rt(|| runtime);
    let wanted = system.block_on(async {
        let generation = handle.generation();
        let client = Client::new(&handle.shared.servers.lock(), options)?;
        let desk = Desk { options: options.clone(), answers, clock: Box::new(clock), handle: handle.clone() };
        let addr = Resolver::create(|ctx| {
            ctx.set_mailbox_capacity(MOST_LOOKUPS);
            Resolver { desk: Rc::new(desk), client: Rc::new(client), generation }
        });
        Ok::<bool, io::Error>(handle.run(addr))
    })?;
    Ok(wanted.then_some(system))
}

/// The actor.
struct Resolver {
    desk: Rc<Desk>,
    client: Rc<Client>,
    /// Of the servers that `client` asks.
    generation: u64,
}

/// What every look-up needs.
struct Desk {
    options: ResolverOptions,
    answers: Vec<FifoSender<Answer>>,
    clock: Box<dyn Clock>,
    handle: ResolverHandle,
}

impl Actor for Resolver {
    type Context = actix::Context<Self>;
}

impl Resolver {
    /// Another client when the servers were changed; look-ups under way stay with theirs.
    fn renew(&mut self) {
        let generation = self.desk.handle.generation();
        if generation == self.generation {
            return;
        }
        let servers = self.desk.handle.shared.servers.lock().clone();
        match Client::new(&servers, &self.desk.options) {
            Ok(client) => {
                tracing::info!(?servers, "name servers changed");
                (self.client, self.generation) = (Rc::new(client), generation);
            }
            Err(error) => tracing::error!(%error, "the name servers stay as they were"),
        }
    }
}

impl Handler<Lookup> for Resolver {
    type Result = ();

    fn handle(&mut self, lookup: Lookup, _: &mut Self::Context) {
        self.renew();
        let (desk, client) = (self.desk.clone(), self.client.clone());
        actix::spawn(async move {
            let (result, ttl) = client.ask(&lookup.query).await;
            if let Err(e) = &result {
                tracing::debug!(query = ?lookup.query, error = %e, "look-up");
            }
            desk.deliver(lookup.shard, Answer { token: lookup.token, result, ttl }).await;
            desk.handle.done();
        });
    }
}

impl Desk {
    /// Pushes the answer, however long the FIFO stays full.
    async fn deliver(&self, shard: u16, answer: Answer) {
        let Some(fifo) = self.answers.get(usize::from(shard)) else {
            tracing::error!(shard, "a look-up of a shard that does not exist");
            return;
        };
        let mut held = answer;
        while let Err(full) = fifo.push(held, Class::Internal, self.clock.now()) {
            held = full.0;
            actix::clock::sleep(RETRY).await;
        }
    }
}

#[cfg(test)]
#[path = "resolver_tests.rs"]
mod tests;
