//! What a stack has counted, in one piece: [`crate::Stack::statistics`].
//!
//! Whoever does the work counts it, in counters that its thread alone writes: no lock, no read-modify-write, no clock and
//! no allocation on a message's way. A snapshot reads them one after the other while the work goes on, so numbers in it
//! may differ by what happened meanwhile. All count from the stack's start.

pub(crate) mod counters;
mod lines;
mod tally;

pub use counters::Counter;
pub use tally::{DnsSnapshot, DnsStats};
pub(crate) use tally::{Place, Tally};

use crate::overload::Bans;
use crate::scanner::ScannerSnapshot;
use crate::transaction::{TransactionSnapshot, client_invite, client_non_invite, server_invite, server_non_invite};
use crate::transport::{TransportId, TransportSnapshot, TransportType};
use crate::wiring::Core;
use rutil::stats::Snapshot;
use rutil::{Meter, Time, Zone};
use std::net::SocketAddr;
use std::time::Duration;

/// All that a stack has counted, at one moment.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// How long the stack has run.
    pub uptime: Duration,
    /// Each transport of each shard.
    pub transports: Vec<TransportStatistics>,
    /// Requests by method, in the order of [`crate::header::KNOWN_METHODS`]; the last is `other`.
    pub requests: Vec<MethodCount>,
    /// Responses by what they answer and status code; those that were seen.
    pub responses: Vec<ResponseCount>,
    /// Each FIFO of each shard, those of the transports' `wire` included.
    pub fifos: Vec<FifoStatistics>,
    /// Transactions: begun, alive, sent again, failed.
    pub transactions: TransactionSnapshot,
    /// Transactions alive, by kind and state; those of which there are some.
    pub states: Vec<StateCount>,
    /// Time from an INVITE that a transaction user sent to its final response, failovers and look-ups included.
    pub invite_times: Snapshot,
    /// The same of other requests.
    pub non_invite_times: Snapshot,
    /// What the scanners took on, refused and dropped.
    pub scanner: ScannerSnapshot,
    /// Look-ups.
    pub dns: DnsSnapshot,
    /// Time from a question to its answer, whatever that was.
    pub dns_times: Snapshot,
    /// What is taken on.
    pub overload: OverloadStatistics,
    /// Sources that are banned now.
    pub banned: usize,
    /// Messages exported to a capture server.
    pub hep_exported: u64,
    /// Messages that were to be exported, and were not.
    pub hep_shed: u64,
}

/// What one transport has counted.
#[derive(Clone, Debug)]
pub struct TransportStatistics {
    /// Its name.
    pub id: TransportId,
    /// Its type.
    pub kind: TransportType,
    /// The shard that it belongs to.
    pub shard: u16,
    /// What it is bound to.
    pub bound: SocketAddr,
    /// Its counters.
    pub counters: TransportSnapshot,
    /// Datagrams that the kernel dropped; `None` for a stream, or where the kernel does not say.
    pub kernel_drops: Option<u64>,
}

impl TransportStatistics {
    /// Connections that are open now, and those whose TLS or WebSocket handshake is under way.
    pub fn open(&self) -> u64 {
        (self.counters.accepted + self.counters.connected).saturating_sub(self.counters.closed)
    }
}

/// How many requests of a method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodCount {
    /// `INVITE`, or `other`.
    pub method: String,
    /// Given to the transactions, repetitions included; what was refused before is in [`Statistics::scanner`].
    pub received: u64,
    /// Given to a transport, repetitions included.
    pub sent: u64,
}

/// How many responses of a status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseCount {
    /// To INVITE; else to any other request.
    pub to_invite: bool,
    /// 100 to 699.
    pub code: u16,
    /// Given to the transactions, repetitions included.
    pub received: u64,
    /// Given to a transport, repetitions included.
    pub sent: u64,
}

/// How many transactions are in a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateCount {
    /// `client INVITE`, `client non-INVITE`, `server INVITE`, `server non-INVITE`.
    pub kind: &'static str,
    /// As in the RFC's figure: `Proceeding`.
    pub state: String,
    /// How many.
    pub alive: u64,
}

/// One FIFO.
#[derive(Clone, Debug)]
pub struct FifoStatistics {
    /// Its name in the wiring table.
    pub name: &'static str,
    /// The shard whose actor pops.
    pub shard: u16,
    /// How many items it can hold.
    pub capacity: usize,
    /// Items in it.
    pub depth: usize,
    /// The most that were in it at once.
    pub peak: usize,
    /// Items that went through.
    pub passed: u64,
    /// Items that found no room.
    pub refused: u64,
    /// How long an item that arrives now will probably wait.
    pub expected_wait: Duration,
    /// The age of the oldest item in it.
    pub oldest_age: Duration,
    /// How long those that went through had waited.
    pub waits: Snapshot,
}

impl FifoStatistics {
    pub(crate) fn of(meter: &Meter, shard: u16, now: Time) -> Self {
        FifoStatistics {
            name: meter.name(),
            shard,
            capacity: meter.capacity(),
            depth: meter.depth(),
            peak: meter.peak(),
            passed: meter.passed(),
            refused: meter.refused(),
            expected_wait: meter.expected_wait(),
            oldest_age: meter.oldest_age(now),
            waits: meter.waits(),
        }
    }
}

/// What is taken on now, of the shard that is worst off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverloadStatistics {
    /// The zone.
    pub zone: Zone,
    /// What waits, in percent of what is tolerated.
    pub load: u32,
    /// How many of 1024 datagrams with new work the kernel lets through.
    pub share: u32,
}

impl OverloadStatistics {
    /// The part of the datagrams with new work that the kernel lets through, 0 to 1.
    pub fn admitted(&self) -> f64 {
        f64::from(self.share) / f64::from(crate::overload::ALL)
    }
}

impl Default for OverloadStatistics {
    fn default() -> Self {
        OverloadStatistics { zone: Zone::Normal, load: 0, share: crate::overload::ALL }
    }
}

impl Statistics {
    /// What the cores of all shards have counted; the transports and the exporter are somebody else's.
    pub(crate) fn of_cores(cores: &[Core], bans: &Bans, now: Time) -> Self {
        let mut all = Statistics {
            uptime: now.since(Time::ZERO),
            transports: Vec::new(),
            requests: Vec::new(),
            responses: Vec::new(),
            fifos: Vec::new(),
            transactions: TransactionSnapshot::default(),
            states: Vec::new(),
            invite_times: Snapshot::default(),
            non_invite_times: Snapshot::default(),
            scanner: ScannerSnapshot::default(),
            dns: DnsSnapshot::default(),
            dns_times: Snapshot::default(),
            overload: OverloadStatistics::default(),
            banned: bans.list(now).len(),
            hep_exported: 0,
            hep_shed: 0,
        };
        for (shard, core) in cores.iter().enumerate() {
            all.add_core(core, shard as u16, now);
        }
        all.states = states(cores);
        all.responses.sort_by_key(|count| (!count.to_invite, count.code));
        all
    }

    fn add_core(&mut self, core: &Core, shard: u16, now: Time) {
        for (at, count) in core.tally.methods().enumerate() {
            match self.requests.get_mut(at) {
                Some(sum) => (sum.received, sum.sent) = (sum.received + count.received, sum.sent + count.sent),
                None => self.requests.push(count),
            }
        }
        for count in core.tally.responses() {
            let same = |sum: &&mut ResponseCount| (sum.to_invite, sum.code) == (count.to_invite, count.code);
            match self.responses.iter_mut().find(same) {
                Some(sum) => (sum.received, sum.sent) = (sum.received + count.received, sum.sent + count.sent),
                None => self.responses.push(count),
            }
        }
        self.fifos.extend(core.meters.iter().map(|meter| FifoStatistics::of(meter, shard, now)));
        self.transactions.add(&core.transactions.snapshot());
        let [invite, non_invite] = &core.tally.finals;
        self.invite_times.merge(&invite.snapshot());
        self.non_invite_times.merge(&non_invite.snapshot());
        self.scanner.add(&core.scanner.snapshot());
        self.dns.add(&core.tally.dns.snapshot());
        self.dns_times.merge(&core.tally.dns_time.snapshot());
        let load = core.congestion.percent(now);
        self.overload.load = self.overload.load.max(load);
        self.overload.zone = self.overload.zone.max(Zone::of_percent(load));
        self.overload.share = self.overload.share.min(core.intake.share());
    }

    /// Requests of a method.
    pub fn requests_of(&self, method: &str) -> Option<&MethodCount> {
        self.requests.iter().find(|count| count.method == method)
    }

    /// Responses of a status class, 1 to 6: how many were received, and how many sent.
    pub fn responses_of_class(&self, class: u16, to_invite: bool) -> (u64, u64) {
        let those = self.responses.iter().filter(|count| count.code / 100 == class && count.to_invite == to_invite);
        those.fold((0, 0), |(received, sent), count| (received + count.received, sent + count.sent))
    }

    /// Transactions of a kind that are in a state.
    pub fn in_state(&self, kind: &str, state: &str) -> u64 {
        let those = self.states.iter().filter(|count| count.kind == kind && count.state == state);
        those.map(|count| count.alive).sum()
    }
}

/// Transactions by kind and state.
fn states(cores: &[Core]) -> Vec<StateCount> {
    let count = |kind, state: String, place: Place| {
        let alive = cores.iter().map(|core| core.tally.in_state(place)).fold(0, u64::wrapping_add);
        StateCount { kind, state, alive }
    };
    let all = (client_invite::STATES.iter())
        .map(|state| count("client INVITE", format!("{state:?}"), Place::client_invite(*state)))
        .chain(
            (client_non_invite::STATES.iter())
                .map(|state| count("client non-INVITE", format!("{state:?}"), Place::client_non_invite(*state))),
        )
        .chain(
            (server_invite::STATES.iter())
                .map(|state| count("server INVITE", format!("{state:?}"), Place::server_invite(*state))),
        )
        .chain(
            (server_non_invite::STATES.iter())
                .map(|state| count("server non-INVITE", format!("{state:?}"), Place::server_non_invite(*state))),
        );
    all.filter(|count| count.alive > 0).collect()
}
