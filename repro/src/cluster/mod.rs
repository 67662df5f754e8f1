//! Several nodes that share one location service.
//!
//! Each node has all bindings in memory: a look-up never waits for the network. Redis is what they share: a node writes what
//! a REGISTER changes there, by a script that lets no two nodes interleave (`change.lua`), and answers when that is done. The
//! script publishes the change, and the other nodes take it over. A node that was cut off reads everything when it is back,
//! and writes what Redis has lost ([`sharer`]). Who speaks to Redis is the program's; here is all that it has to know.
//!
//! A flow ends at one node. For the others its binding is a [`Hop`]: a Route to that node, with a flow token.

mod beats;
mod change;
pub mod command;
mod expired;
mod node;
mod published;
mod secret;
pub mod sharer;

pub use change::{Change, PARTS, Value, What, changes, field, forget, part_of};
pub(crate) use expired::Expired;
pub use node::{DEAD_AFTER_MS, Hop, Node, Nodes};
pub use secret::ClusterSecret;

use crate::location::Own;
use crate::store::{MOST_NOTES, MOST_UNSAVED, NotKept, Places, Waits};
use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;
use stack::transport::{TransportTable, TransportType};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long a node may be silent that a call goes on to, before the call is given up: one that lives sends 100 at once.
pub const HOP_SILENCE: Duration = Duration::from_secs(2);

/// A change that is to be written.
#[derive(Debug)]
pub struct Job {
    /// The address-of-record.
    pub aor: Box<str>,
    /// What has changed.
    pub changes: Vec<Change>,
    /// Who waits for that.
    pub waits: Waits,
}

/// What has become of REGISTERs: posted to the proxy of each shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Those up to this number.
    pub up_to: u64,
    /// Those of them that were refused, and with which status.
    pub refused: Vec<(u64, u16)>,
}

/// What is counted.
#[derive(Debug, Default)]
pub struct Counts {
    /// Changes that were written, of bindings and of what is published.
    pub written: AtomicU64,
    /// Changes of others that were taken over.
    pub taken_over: AtomicU64,
    /// Changes that were refused: another node had a later one.
    pub refused: AtomicU64,
    /// Bindings and publications that were written again because Redis had lost them.
    pub restored: AtomicU64,
    /// How often Redis could not be reached any more.
    pub lost: AtomicU64,
}

/// This node among the others.
pub struct Cluster {
    me: Arc<Node>,
    life: u64,
    nodes: Nodes,
    address: OnceLock<String>,
    jobs: Sender<Job>,
    bell: OnceLock<Box<dyn Fn() + Send + Sync>>,
    unwritten: Places<MOST_UNSAVED>,
    notes: Places<MOST_NOTES>,
    connected: AtomicBool,
    passive: AtomicBool,
    draining: AtomicBool,
    /// Who is told that the others have been told that this node leaves.
    leaving: OnceLock<Sender<()>>,
    untold: Mutex<expired::Untold>,
    /// What happened.
    pub counts: Counts,
}

impl Cluster {
    /// The node of this name, in its `life`: a number that no other start has. With the changes that are to be written.
    pub fn new(name: &str, life: u64) -> (Self, Receiver<Job>) {
        let (jobs, taken) = bounded(MOST_UNSAVED + MOST_NOTES);
        let nodes = Nodes::default();
        let cluster = Cluster {
            me: nodes.node(name),
            // 0 is none.
            life: life.max(1),
            nodes,
            address: OnceLock::new(),
            jobs,
            bell: OnceLock::new(),
            unwritten: Places::default(),
            notes: Places::default(),
            connected: AtomicBool::new(false),
            passive: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            leaving: OnceLock::new(),
            untold: Mutex::default(),
            counts: Counts::default(),
        };
        (cluster, taken)
    }

    /// Says how other nodes get here, as `sip:192.0.2.1:5060;transport=tcp`.
    pub fn set_address(&self, address: String) {
        // A second one would be of another stack.
        let _ = self.address.set(address);
    }

    /// Says how whoever writes the changes is woken.
    pub fn set_bell(&self, bell: impl Fn() + Send + Sync + 'static) {
        // A second one would be of another writer.
        let _ = self.bell.set(Box::new(bell));
    }

    /// This node.
    pub fn own(&self) -> Own<'_> {
        Own { node: self.me.name(), life: self.life, nodes: &self.nodes }
    }

    /// All nodes.
    pub fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// The Route by which others get to a flow that ends here, by its token.
    pub fn route(&self, token: &str) -> Option<Arc<str>> {
        let (scheme, place) = self.address.get()?.split_once(':')?;
        Some(format!("<{scheme}:{token}@{place};lr>").into())
    }

    /// Whether changes can be written.
    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    pub(crate) fn set_connected(&self, connected: bool) -> bool {
        self.connected.swap(connected, Ordering::Relaxed)
    }

    /// Whether this process stands by: another one is the node of this name now. It keeps what it hears, writes nothing, and
    /// sends nothing of its own accord.
    pub fn is_passive(&self) -> bool {
        self.passive.load(Ordering::Relaxed)
    }

    /// Says whether it stands by.
    pub fn set_passive(&self, passive: bool) {
        self.passive.store(passive, Ordering::Relaxed);
        self.ring();
    }

    /// Says that this node takes nothing new any more: the others send it nothing that is.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.ring();
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Says that this node ends: the others count it as gone from now on. What is received is that they have been told;
    /// nothing without Redis.
    pub fn leave(&self) -> Receiver<()> {
        let (told, left) = bounded(1);
        // One that leaves already has told whoever asked first.
        let _ = self.leaving.set(told);
        self.ring();
        left
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.get().is_some()
    }

    /// The others have been told.
    pub(crate) fn has_left(&self) {
        if let Some(told) = self.leaving.get() {
            // It is said again each second.
            let _ = told.try_send(());
        }
    }

    /// How many REGISTERs wait.
    pub fn waiting(&self) -> usize {
        self.unwritten.taken()
    }

    /// Takes a place for a registration that is about to change something; [`Cluster::release`] gives it back.
    ///
    /// # Errors
    /// When there is none, or Redis cannot be reached.
    pub fn reserve(&self) -> Result<(), NotKept> {
        // Without an address no other node would have a way to the device.
        if !self.is_connected() || self.is_passive() || self.address.get().is_none() {
            return Err(NotKept::Failing);
        }
        self.unwritten.take()
    }

    /// Gives places back.
    pub fn release(&self, places: usize) {
        self.unwritten.give_back(places);
    }

    /// Has changes written; a place was reserved. The proxy of the shard hears of it with [`Written`], by this number.
    ///
    /// # Errors
    /// When nobody writes any more.
    pub fn write(&self, aor: &str, changes: Vec<Change>, (shard, number): (u16, u64)) -> Result<(), NotKept> {
        self.send(Job { aor: aor.into(), changes, waits: Waits::Register(shard, number) })
    }

    /// The same for whoever can wait himself.
    ///
    /// # Errors
    /// When nobody writes any more.
    pub fn write_told(&self, aor: &str, changes: Vec<Change>) -> Result<Receiver<Result<(), NotKept>>, NotKept> {
        let (told, outcome) = bounded(1);
        self.send(Job { aor: aor.into(), changes, waits: Waits::Told(told) })?;
        Ok(outcome)
    }

    /// The same where nobody waits.
    ///
    /// # Errors
    /// When there is no room: the others have what is gone until it expires.
    pub fn note(&self, aor: &str, changes: Vec<Change>) -> Result<(), NotKept> {
        if changes.is_empty() {
            return Ok(());
        }
        self.notes.take()?;
        self.send(Job { aor: aor.into(), changes, waits: Waits::Nobody }).inspect_err(|_| self.notes.give_back(1))
    }

    /// Whoever writes has taken this.
    pub(crate) fn taken(&self, job: &Job) {
        // Who waits has his place until he is answered.
        if matches!(job.waits, Waits::Nobody) {
            self.notes.give_back(1);
        }
    }

    fn send(&self, job: Job) -> Result<(), NotKept> {
        self.jobs.try_send(job).map_err(|_| NotKept::Full)?;
        self.ring();
        Ok(())
    }

    /// Wakes whoever writes.
    pub(crate) fn ring(&self) {
        self.bell.get().into_iter().for_each(|ring| ring());
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("me", &self.me).field("life", &self.life).finish_non_exhaustive()
    }
}

/// Where other nodes get to a process that listens on these transports: the first that is bound to an address, a UDP one
/// before others. None when all are bound to every address.
pub fn address_of(transports: &TransportTable) -> Option<String> {
    let shown = |kind: TransportType| match kind {
        TransportType::Udp => Some(""),
        TransportType::Tcp => Some(";transport=tcp"),
        // Between nodes a certificate would have to be agreed on.
        _ => None,
    };
    let known = || transports.iter().filter(|one| one.shard == 0 && !one.advertised.ip().is_unspecified());
    let of = |kind| known().find(|one| one.kind == kind);
    let first = of(TransportType::Udp).or_else(|| of(TransportType::Tcp))?;
    Some(format!("sip:{}{}", first.advertised, shown(first.kind)?))
}
