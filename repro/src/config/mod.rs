//! The configuration: a plain struct with defaults, read from TOML in one place and validated once.

mod accounting;
mod admin;
mod auth;
mod chains;
mod cluster;
mod database;
mod error;
mod events;
#[cfg(test)]
mod example;
mod file;
mod forwarding;
mod http;
mod nat;
pub(crate) mod net;
mod secret;
mod silo;
mod source;
mod tls;
mod unheeded;

pub use accounting::{Accounting, Stream};
pub use admin::{Admin, AdminAddress, AdminToken, BadToken};
pub use auth::{AlgorithmName, Asserted, Auth, QopName};
pub use chains::{Chains, Fork, Forking};
pub use cluster::{Cluster, Name, NodeUri, RedisUrl, Secret};
pub use database::{BadDatabaseUrl, Database, DatabaseUrl};
pub use error::ConfigError;
pub use events::{Events, Watchers};
pub use forwarding::{Forwarding, HistoryInfo};
pub use http::{Http, ServiceUrl};
pub use nat::{Nat, NatDetection};
pub use net::{BadText, Domain, Listen, NameServer, Network, RouteUri};
pub use secret::Password;
pub use silo::Silo;
pub use source::PREFIX;
pub use tls::{FileName, Identity, Tls};

use crate::provisioning::{Listed, Records};
use crate::routing::dial::DialConfig;
use rutil::Placement;
use rutil::log::Format;
use serde::{Deserialize, Deserializer};
use stack::StackOptions;
use stack::overload::{Exempt, OverloadOptions, SourceLimits};
use stack::transport::{TransportType, WsOptions};
use std::collections::HashSet;
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// All that a proxy can be told. Each field is a key of the file with the same name.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Transports to listen on. None: UDP and TCP on port 5060 of the loopback addresses.
    pub listen: Vec<Listen>,
    /// Differentiated services code point of all that is sent (RFC 2474), 0 to 63; 0 leaves the system's.
    pub dscp: u8,
    /// Domains to answer for, besides the addresses that it listens on.
    pub domains: Vec<Domain>,
    /// Whether to stay in the path of the dialogs that begin here (RFC 3261 §16.6 step 4).
    pub record_route: bool,
    /// A name for Record-Route instead of the address that a message leaves from. By SRV it leads to this proxy and to
    /// others that record the same: a dialog outlives one of them. It is a domain of ours.
    pub record_route_name: Option<Domain>,
    /// Whether to stay in the path to who registers in other domains through us, and supports it (RFC 3327).
    pub path: bool,
    /// Where the actors run: `inline`, `sharded:N`, `staged`.
    #[serde(deserialize_with = "from_text")]
    pub placement: Placement,
    /// Whether each runner stays on one processor: less CPU time, unless another program keeps that processor busy.
    pub pin_runners: bool,
    /// Who may register and send requests to any address, when the proxy listens beyond the loopback.
    pub trusted_peers: Vec<Network>,
    /// The name servers to ask. None: the system's.
    pub name_servers: Vec<NameServer>,
    /// Where telephone numbers (`tel` URIs) are looked up, as `e164.arpa` (ENUM, RFC 6116). None: they are refused.
    pub enum_suffix: Option<Domain>,
    /// How long to wait for pending transactions when told to stop, seconds.
    pub drain_seconds: u64,
    /// TLS: certificates, and whom to trust.
    pub tls: Tls,
    /// Whom the transports `ws` and `wss` let in.
    pub websocket: WebSocket,
    /// The log.
    pub log: Log,
    /// Passwords.
    pub auth: Auth,
    /// Who requests are said to be from.
    pub identity: Asserted,
    /// The registrar.
    pub registrar: Registrar,
    /// Bounds.
    pub limits: Limits,
    /// Which processors are asked, and in which order.
    pub chains: Chains,
    /// How a request goes to several targets.
    pub forking: Forking,
    /// How telephone numbers are dialled.
    pub dial: DialConfig,
    /// Calls that go to somebody else than their address says.
    pub forwarding: Forwarding,
    /// What subscribers are told.
    pub events: Events,
    /// Devices behind NATs.
    pub nat: Nat,
    /// What happens when there is more to do than can be done.
    pub overload: Overload,
    /// What the log says of the statistics.
    pub statistics: Statistics,
    /// Export of messages to a capture server; without this table there is none.
    pub hep: Option<Hep>,
    /// An external service that decides about requests; without this table none is asked.
    pub http: Option<Http>,
    /// What is kept of messages to users who are not there; without this table nothing.
    pub silo: Option<Silo>,
    /// What outlives a restart; without this table bindings are in memory only, and records in this file only.
    pub store: Option<Store>,
    /// What became of calls and registrations, for billing; without this table nothing is written.
    pub accounting: Option<Accounting>,
    /// Nodes that share their bindings; without this table each is by itself.
    pub cluster: Option<Cluster>,
    /// A PostgreSQL database with records that several proxies share; without this table records are in this file and in
    /// the store.
    pub database: Option<Database>,
    /// The HTTP server for whoever operates the proxy; without this table there is none.
    pub admin: Option<Admin>,
    /// What is provisioned in the file: `[[user]]`, `[[domain]]`, `[[acl]]`, …
    #[serde(skip)]
    pub records: Records,
}

/// The store: an SQLite database.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// The database; a relative path begins at the configuration's directory. What is not there is made.
    pub path: PathBuf,
    /// Whether a registration is answered only when its binding is on the disk itself, so that not even a power failure
    /// loses it. Else a power failure may lose the last second, and a process that dies nothing.
    #[serde(default)]
    pub synchronous_full: bool,
}

/// Export of messages to a capture server (HEPv3, as Homer reads it).
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hep {
    /// The capture server's address and port; it is spoken to over UDP.
    #[serde(deserialize_with = "net::socket_address")]
    pub collector: SocketAddr,
    /// Names this proxy there.
    #[serde(default)]
    pub agent: u32,
    /// The password that the capture server asks for.
    pub auth_key: Option<String>,
}

/// Without the password: a configuration may be logged.
impl fmt::Debug for Hep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hep").field("collector", &self.collector).field("agent", &self.agent).finish_non_exhaustive()
    }
}

/// Whom the WebSocket transports let in (RFC 7118).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebSocket {
    /// The only path that a client may ask for, as `/ws`; without it any.
    pub path: Option<String>,
    /// The origins whose scripts may connect, as `https://phone.example.com`; empty: any.
    pub origins: Vec<String>,
    /// How long nothing may come from a client before it is pinged, seconds; after as long again it is gone. Without it
    /// there are no pings.
    pub ping_seconds: Option<NonZeroU32>,
}

/// The log, on standard error.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `target=level,…`
    pub filter: String,
    /// `human` or `json`.
    #[serde(deserialize_with = "log_format")]
    pub format: Format,
}

/// What the registrar grants (RFC 3261 §10.3).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Registrar {
    /// Shortest registration, seconds; a shorter wish is refused with 423.
    pub min_expires: u32,
    /// Longest registration, seconds; a longer wish is cut.
    pub max_expires: u32,
    /// Registration without a wish, seconds.
    pub default_expires: u32,
    /// Most contacts of one address-of-record; more, or more than 32 KiB of them, are refused with 403.
    pub max_contacts: usize,
    /// Most addresses-of-record; more are refused with 503.
    pub max_aors: usize,
    /// How often a device that is reached by its flow (RFC 5626) is told to send a keep-alive, seconds; over UDP 30 at most.
    /// A connection that is silent for ten seconds more is closed. 0: it is told nothing. WebSocket has pings instead.
    pub flow_timer: u32,
    /// The proxies that registered devices are told to send their requests through (RFC 3608), the first first.
    pub service_route: Vec<RouteUri>,
}

/// Bounds on what peers can make grow.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Most client and most server transactions of a shard; more requests are refused with 503.
    pub transactions: usize,
    /// Most connections of one transport of a shard; for one more the one idle longest is closed, a
    /// device's that keeps it alive (Flow-Timer) when there is no other. `repro` takes fewer where the process may not
    /// have as many open files.
    pub connections: usize,
    /// Most connections of one transport of a shard that one address has opened, one /64 of IPv6.
    pub connections_per_source: usize,
    /// Most targets that one request is forwarded to, one after the other or at the same time.
    pub max_targets: usize,
    /// Max-Breadth of a request that has none (RFC 5393 §5.3).
    pub max_breadth: u32,
    /// Most subscriptions of a shard to what the proxy tells itself; more are refused with 503.
    pub subscriptions: usize,
    /// Most requests of a shard that wait for another service at the same time; more are refused with 503.
    pub waiting: usize,
    /// Requests outside of dialogs that one address, one /64 of IPv6, may send in a second as datagrams, and as many on
    /// connections, to each shard; more are refused with 503, and so are more than four times as many INVITE, SUBSCRIBE and
    /// REFER within dialogs. 0: as many as it likes. Trusted peers are not limited.
    pub source_rate: u32,
    /// How many of them may come at once. 0: as many as in a second.
    pub source_burst: u32,
    /// After so many requests above the rate, or of what is no SIP, within a minute nothing more is read from an address,
    /// or no datagram more if datagrams did it. 0: never.
    pub ban_after: u32,
    /// For how long, seconds.
    pub ban_seconds: u64,
}

/// What happens when there is more to do than can be done.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Overload {
    /// The longest wait that is tolerated, milliseconds; above it what is new is refused with 503. 0: any.
    pub max_wait_ms: u64,
    /// Whether to tell neighbours how much they should leave out, and to leave out what they tell (RFC 7339).
    pub control: bool,
}

/// What the log says of the statistics.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Statistics {
    /// How often they are logged, at level `info`, seconds; 0: never.
    pub interval_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: Vec::new(),
            dscp: 0,
            domains: Vec::new(),
            record_route: true,
            record_route_name: None,
            path: true,
            placement: Placement::Inline,
            pin_runners: true,
            trusted_peers: Vec::new(),
            name_servers: Vec::new(),
            enum_suffix: None,
            drain_seconds: 10,
            tls: Tls::default(),
            websocket: WebSocket::default(),
            log: Log::default(),
            auth: Auth::default(),
            identity: Asserted::default(),
            registrar: Registrar::default(),
            limits: Limits::default(),
            chains: Chains::default(),
            forking: Forking::default(),
            dial: DialConfig::default(),
            forwarding: Forwarding::default(),
            events: Events::default(),
            nat: Nat::default(),
            overload: Overload::default(),
            statistics: Statistics::default(),
            hep: None,
            http: None,
            silo: None,
            store: None,
            accounting: None,
            cluster: None,
            database: None,
            admin: None,
            records: Records::default(),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Log { filter: "warn".to_owned(), format: Format::Human }
    }
}

impl Default for Registrar {
    fn default() -> Self {
        Registrar {
            min_expires: 60,
            max_expires: 7200,
            default_expires: 3600,
            max_contacts: 10,
            max_aors: 1_000_000,
            flow_timer: 120,
            service_route: Vec::new(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            transactions: 1_000_000,
            connections: 10_000,
            connections_per_source: 2_000,
            max_targets: 10,
            max_breadth: 60,
            subscriptions: 10_000,
            waiting: 10_000,
            source_rate: 0,
            source_burst: 0,
            ban_after: 0,
            ban_seconds: 300,
        }
    }
}

impl Default for Statistics {
    fn default() -> Self {
        Statistics { interval_seconds: 60 }
    }
}

impl Default for Overload {
    fn default() -> Self {
        Overload { max_wait_ms: 100, control: false }
    }
}

impl Config {
    /// The keys of the file, tables as a whole, that say something else in another configuration; records aside, which are
    /// provisioned anew while the proxy runs.
    pub fn keys_that_differ(&self, other: &Config) -> Vec<&'static str> {
        macro_rules! differ {
            ($($key:ident)*) => {{
                // A new key that is not listed does not compile.
                let Config { $($key,)* records: _ } = self;
                [$((stringify!($key), *$key != other.$key)),*]
            }};
        }
        let all = differ!(
            listen dscp domains record_route record_route_name path placement pin_runners trusted_peers
            name_servers enum_suffix drain_seconds tls websocket log auth identity registrar
            limits chains forking dial forwarding events nat overload statistics
            hep http silo store accounting cluster database admin
        );
        all.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }

    /// How the WebSocket transports are set up.
    pub fn ws_options(&self) -> WsOptions {
        let WebSocket { path, origins, ping_seconds } = &self.websocket;
        let ping = ping_seconds.map(|seconds| Duration::from_secs(seconds.get().into()));
        WsOptions { path: path.clone(), origins: origins.clone(), ping, ..WsOptions::default() }
    }

    /// How long to wait for pending transactions when told to stop.
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }

    /// How often the statistics are logged, if at all.
    pub fn statistics_interval(&self) -> Option<Duration> {
        Some(Duration::from_secs(self.statistics.interval_seconds)).filter(|interval| !interval.is_zero())
    }

    /// How the stack under the proxy behaves; who is `listed` is not limited by source, nor are `trusted_peers`.
    pub fn stack_options(&self, listed: Listed) -> StackOptions {
        let (limits, trusted) = (&self.limits, self.trusted_peers.clone());
        let max_wait = Some(Duration::from_millis(self.overload.max_wait_ms)).filter(|wait| !wait.is_zero());
        StackOptions {
            transactions: limits.transactions,
            overload: OverloadOptions { max_wait, control: self.overload.control },
            source_limits: SourceLimits {
                rate: limits.source_rate,
                burst: limits.source_burst,
                ban_after: limits.ban_after,
                ban_for: Duration::from_secs(limits.ban_seconds),
                exempt: Exempt::those(move |address| {
                    trusted.iter().any(|network| network.contains(address)) || listed.contains(address)
                }),
            },
            ..StackOptions::default()
        }
    }

    /// Whether whoever reaches the proxy may use it: all transports are bound to loopback addresses.
    pub fn is_open(&self) -> bool {
        self.listen.iter().all(|listen| listen.address.ip().is_loopback())
    }

    /// Whether each address and port to listen on is named once, as those of the file are: what counts above it may not be.
    ///
    /// # Errors
    /// Names the first that is not.
    pub fn listens_once(&self) -> Result<(), ConfigError> {
        self.first_taken().map_or(Ok(()), |listen| Err(ConfigError::ListensTwice(listen)))
    }

    /// The first address and port that an earlier one has: for UDP, or for what runs over TCP. Port 0 is any.
    fn first_taken(&self) -> Option<Listen> {
        let mut taken = HashSet::new();
        let mut named = self.listen.iter().filter(|listen| listen.address.port() != 0);
        named.find(|listen| !taken.insert((listen.kind == TransportType::Udp, listen.address))).copied()
    }

    /// Whether it listens beyond the loopback, and this file names nobody who may register or relay: no password is
    /// required, there is no access list, and trusted peers count only where it is told which domains are its own.
    pub fn serves_nobody(&self) -> bool {
        let has_domains = !self.domains.is_empty() || !self.records.domains.is_empty();
        let peers = has_domains && !self.trusted_peers.is_empty();
        !self.is_open() && !self.auth.required && self.records.acl.is_empty() && !peers
    }
}

/// Reads what can be parsed from a text.
fn from_text<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
}

fn log_format<'de, D: Deserializer<'de>>(from: D) -> Result<Format, D::Error> {
    match String::deserialize(from)?.as_str() {
        "human" => Ok(Format::Human),
        "json" => Ok(Format::Json),
        other => Err(serde::de::Error::custom(format_args!("{other:?}: expected \"human\" or \"json\""))),
    }
}
