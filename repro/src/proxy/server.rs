//! What the proxies of all shards share.

use super::Counters;
use crate::accounting::Accounting;
use crate::auth::Authentication;
use crate::cluster::{Cluster, ClusterSecret, forget};
use crate::config::Config;
use crate::events::Compositor;
use crate::gruu_token::GruuTokens;
use crate::location::{Binding, By, Limits, Located, LocationStore};
use crate::processors::Chains;
use crate::provisioning::{AccessList, Provisioning, Trust};
use crate::routing::dial::DialPlan;
use crate::silo::Silo;
use crate::store::{Journal, NotKept};
use crossbeam_channel::Receiver;
use rutil::hash::Keyed;
use rutil::{Rng, Time};
use stack::transport::{Flow, TransportTable};
use stack::tu::TuPoster;
use stack::uri::Host;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What the proxies of all shards work with. Each has one of its own, of which the most is shared; what is provisioned
/// changes, and then each gets another.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
    provisioning: Arc<Provisioning>,
}

/// Configuration, location service, processors and secrets of one process.
struct Shared {
    config: Config,
    location: LocationStore,
    hasher: Keyed,
    gruus: GruuTokens,
    open: bool,
    /// Our trusted peers.
    peers: AccessList,
    auth: Option<Authentication>,
    chains: Chains,
    /// One for each shard.
    counters: Box<[Counters]>,
    poster: OnceLock<TuPoster>,
    silo: Option<Arc<Silo>>,
    compositor: Compositor,
    /// Nanoseconds; 0: nobody has said so.
    epoch: AtomicU64,
    journal: OnceLock<Arc<Journal>>,
    accounting: OnceLock<Arc<Accounting>>,
    cluster: OnceLock<(Arc<Cluster>, GruuTokens)>,
}

/// What keeps bindings, and answers to REGISTER wait for.
#[derive(Clone, Copy)]
pub enum Keeper<'s> {
    /// The store of this process.
    Store(&'s Journal),
    /// What several nodes share.
    Cluster(&'s Cluster),
}

impl Keeper<'_> {
    /// Takes a place for a registration that is about to change something.
    ///
    /// # Errors
    /// When there is none, or nothing can be kept now.
    pub fn reserve(self) -> Result<(), NotKept> {
        match self {
            Keeper::Store(journal) => journal.reserve(),
            Keeper::Cluster(cluster) => cluster.reserve(),
        }
    }

    /// Gives a place back.
    pub fn release(self) {
        match self {
            Keeper::Store(journal) => journal.release(1),
            Keeper::Cluster(cluster) => cluster.release(1),
        }
    }
}

impl Server {
    /// Sets up what the configuration asks for. `config.listen` is what is really listened on: it decides whether the
    /// proxy is open to everybody.
    pub fn new(config: Config, chains: Chains, rng: &mut Rng) -> Self {
        let limits = Limits { aors: config.registrar.max_aors, contacts: config.registrar.max_contacts };
        let location = LocationStore::new(limits, rng);
        let (open, auth) = (config.is_open(), Authentication::new(&config.auth, rng));
        let peers = AccessList::of_networks(&config.trusted_peers, rng);
        let (hasher, gruus) = (Keyed::new(rng), GruuTokens::new(rng));
        let (poster, epoch, journal, accounting, cluster) = <_>::default();
        let shards = config.placement.shards();
        let counters = (0..shards.max(1)).map(|_| Counters::new(chains.request.len())).collect();
        let silo = config.silo.clone().map(|silo| Arc::new(Silo::new(silo, shards, rng)));
        let compositor = Compositor::new(config.events.clone(), rng);
        let shared = Shared {
            config,
            location,
            hasher,
            gruus,
            open,
            peers,
            auth,
            chains,
            counters,
            poster,
            silo,
            compositor,
            epoch,
            journal,
            accounting,
            cluster,
        };
        Server { shared: Arc::new(shared), provisioning: Arc::new(Provisioning::empty(rng)) }
    }

    /// The same with something else provisioned.
    pub fn with_provisioning(&self, provisioning: Arc<Provisioning>) -> Self {
        Server { shared: self.shared.clone(), provisioning }
    }

    /// The same with nothing provisioned: for whoever looks nothing up, and should not keep alive what was provisioned once.
    pub fn without_provisioning(&self) -> Self {
        // Nobody looks anything up in it: the keys of its tables need not be secret.
        self.with_provisioning(Arc::new(Provisioning::empty(&mut Rng::from_seed(0))))
    }

    /// Dial rules, with the settings that they are used with.
    pub fn dial_plan(&self) -> DialPlan<'_> {
        DialPlan { config: &self.config().dial, rules: &self.provisioning.dial_rules }
    }

    /// What is provisioned.
    pub fn provisioning(&self) -> &Provisioning {
        &self.provisioning
    }

    /// Says how answers from elsewhere get to the proxies, once the stack has started.
    pub fn set_poster(&self, poster: TuPoster) {
        self.location().watch().set_poster(poster.clone());
        self.compositor().set_poster(poster.clone());
        // A second one would be of another stack.
        let _ = self.shared.poster.set(poster);
    }

    /// How answers from elsewhere get to the proxies.
    pub fn poster(&self) -> Option<&TuPoster> {
        self.shared.poster.get()
    }

    /// Says how long after the Unix epoch time zero is, again when the wall clock was set.
    pub fn set_epoch(&self, epoch: Duration) {
        self.shared.epoch.store(u64::try_from(epoch.as_nanos()).unwrap_or(0), Ordering::Relaxed);
    }

    /// A time as RFC 3339 has it, in UTC with milliseconds, once the epoch is known.
    pub fn timestamp(&self, at: Time) -> Option<String> {
        Some(crate::accounting::timestamp(at, self.epoch()?))
    }

    /// A time in seconds after the Unix epoch, once that is known.
    pub fn unix_seconds(&self, at: Time) -> Option<u64> {
        Some((self.epoch()? + at.since(Time::ZERO)).as_secs())
    }

    fn epoch(&self) -> Option<Duration> {
        let nanos = Some(self.shared.epoch.load(Ordering::Relaxed)).filter(|nanos| *nanos != 0)?;
        Some(Duration::from_nanos(nanos))
    }

    /// The messages for users who are not there, if any are kept.
    pub fn silo(&self) -> Option<&Arc<Silo>> {
        self.shared.silo.as_ref()
    }

    /// What is published for users of ours.
    pub fn compositor(&self) -> &Compositor {
        &self.shared.compositor
    }

    /// Says where changes of bindings are kept, and of what is published if nodes do not share that, before the first
    /// request.
    pub fn set_journal(&self, journal: Arc<Journal>) {
        if self.cluster().is_none() {
            self.compositor().set_journal(journal.clone());
        }
        // A second one would be of another store.
        let _ = self.shared.journal.set(journal);
    }

    /// Where changes of bindings are kept; without a store nowhere.
    pub fn journal(&self) -> Option<&Journal> {
        self.shared.journal.get().map(|journal| &**journal)
    }

    /// Says whom sessions and registrations are told from now on: what is in the location store already is no news.
    pub fn set_accounting(&self, accounting: Arc<Accounting>) {
        self.cluster().into_iter().for_each(|cluster| accounting.set_cluster(cluster.clone()));
        if accounting.wants_registrations() {
            self.location().set_accounting(accounting.clone());
        }
        // A second one would be of another file.
        let _ = self.shared.accounting.set(accounting);
    }

    /// Whom sessions and registrations are told, if anybody is.
    pub fn accounting(&self) -> Option<&Accounting> {
        self.shared.accounting.get().map(|accounting| &**accounting)
    }

    /// Makes it one of the nodes that share their bindings, with the secret that they share; before the first request.
    pub fn set_cluster(&self, cluster: Arc<Cluster>, secret: &ClusterSecret) {
        self.compositor().set_cluster(cluster.clone());
        // A second one would be of another process.
        let _ = self.shared.cluster.set((cluster, GruuTokens::of_cluster(secret)));
    }

    /// This node among those that share their bindings, if there are any.
    pub fn cluster(&self) -> Option<&Arc<Cluster>> {
        self.shared.cluster.get().map(|(cluster, _)| cluster)
    }

    /// Whether this process stands by for another one.
    pub fn is_passive(&self) -> bool {
        self.cluster().is_some_and(|cluster| cluster.is_passive())
    }

    /// What keeps bindings; nothing when they are in memory only.
    pub fn keeper(&self) -> Option<Keeper<'_>> {
        let cluster = self.cluster().map(|cluster| Keeper::Cluster(cluster));
        cluster.or_else(|| self.journal().map(Keeper::Store))
    }

    /// Removes the bindings of an address-of-record that gave this: the flow is dead (RFC 5626 §7).
    pub fn forget(&self, aor: &str, dead: &Located, now: Time) {
        let gone = self.location().remove(aor, dead, now);
        match &dead.by {
            // Connections are not written down.
            By::Flow(flow) if flow.kind.is_reliable() && self.cluster().is_none() => {}
            _ => self.note_gone(aor, &gone),
        }
    }

    /// Has it noted that these bindings are gone. When there is no room they stay where they are kept until they expire.
    pub fn note_gone(&self, aor: &str, gone: &[Binding]) {
        // Who cannot lose them tries again.
        let _ = self.try_note_gone(aor, gone);
    }

    /// The same for who tries again.
    ///
    /// # Errors
    /// When there is no room.
    pub(crate) fn try_note_gone(&self, aor: &str, gone: &[Binding]) -> Result<(), NotKept> {
        match self.keeper() {
            _ if gone.is_empty() => Ok(()),
            Some(Keeper::Cluster(cluster)) => cluster.note(aor, gone.iter().map(forget).collect()),
            Some(Keeper::Store(journal)) => journal.note(aor),
            None => Ok(()),
        }
    }

    /// Has it kept that these bindings are gone: a place was reserved for that. What comes of it is told there; nothing is
    /// where nothing is kept.
    ///
    /// # Errors
    /// When nobody keeps anything any more.
    pub(crate) fn keep_gone(
        &self,
        aor: &str,
        gone: &[Binding],
    ) -> Result<Option<Receiver<Result<(), NotKept>>>, NotKept> {
        match self.keeper() {
            Some(Keeper::Cluster(cluster)) => cluster.write_told(aor, gone.iter().map(forget).collect()).map(Some),
            Some(Keeper::Store(journal)) => journal.save_told(aor).map(Some),
            None => Ok(None),
        }
    }

    /// What a shard counts.
    pub(crate) fn counters(&self, shard: u16) -> &Counters {
        // There is one for each, and one at least.
        &self.shared.counters[usize::from(shard) % self.shared.counters.len()]
    }

    /// What all shards count.
    pub(crate) fn all_counters(&self) -> &[Counters] {
        &self.shared.counters
    }

    /// The chains of processors.
    pub fn chains(&self) -> &Chains {
        &self.shared.chains
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// The location service.
    pub fn location(&self) -> &LocationStore {
        &self.shared.location
    }

    /// Hashes with the key of this process.
    pub fn hasher(&self) -> &Keyed {
        &self.shared.hasher
    }

    /// Makes and reads temporary GRUUs.
    pub fn gruus(&self) -> &GruuTokens {
        self.shared.cluster.get().map_or(&self.shared.gruus, |(_, shared)| shared)
    }

    /// Whether everybody who reaches the proxy may use it.
    pub fn is_open(&self) -> bool {
        self.shared.open
    }

    /// Asks for passwords; none when they are not required.
    pub fn auth(&self) -> Option<&Authentication> {
        self.shared.auth.as_ref()
    }

    /// What may be done by whoever sends on a flow, without a password. Trusted peers count only when the proxy is told
    /// which domains are its own.
    pub fn trust(&self, flow: &Flow, transports: &TransportTable) -> Trust {
        let (address, proved) = (flow.peer.ip(), || transports.proved().of(flow));
        let listed = self.provisioning.access.trust(address, proved);
        let has_domains = !self.shared.config.domains.is_empty() || self.provisioning.domains().next().is_some();
        if has_domains { listed.or(self.shared.peers.trust(address, proved)) } else { listed }
    }

    /// Whether an address is trusted without a password, whatever certificate it has.
    pub fn trusts_address(&self, address: IpAddr) -> bool {
        let nothing = || None::<Arc<[String]>>;
        let listed = self.provisioning.access.trust(address, nothing);
        listed.or(self.shared.peers.trust(address, nothing)).listed
    }

    /// The first domain of ours, in lower case, if we are told any.
    pub fn first_domain(&self) -> Option<String> {
        let named = self.shared.config.domains.first();
        let first =
            named.or_else(|| self.provisioning.domains().map(|domain| &domain.name).min_by_key(|d| d.to_string()));
        first.map(|domain| domain.to_string().to_ascii_lowercase())
    }

    /// Whether a name is one of our domains.
    pub fn serves(&self, host: &Host<'_>) -> bool {
        let named = self.shared.config.domains.iter().chain(&self.shared.config.record_route_name);
        matches!(host, Host::Name(_))
            && (named.into_iter().any(|domain| domain.0 == *host) || self.provisioning.serves(host))
    }

    /// Whether host and port belong to one of our domains: an address that we listen on with its port, or a configured
    /// domain with no port or one that we listen on.
    pub fn is_ours(&self, host: &Host<'_>, port: Option<u16>, transports: &TransportTable) -> bool {
        if transports.is_local(host, port) {
            return true;
        }
        let own_port = |port| transports.iter().any(|t| t.advertised.port() == port || t.bound.port() == port);
        let config = &self.shared.config;
        let named = config.domains.iter().chain(&config.record_route_name).any(|domain| domain.0 == *host);
        (named || self.provisioning.serves(host)) && port.is_none_or(own_port)
    }
}
