//! The connections of one TCP transport: by slot, by id, by peer, and in the orders in which they end and have been idle.
//!
//! Bounded by `max_connections`. An entry leaves when its connection closes, fails, idles too long, or is the oldest
//! idle one when room is needed.

use super::connection::{Connection, Phase};
use super::stream::Stream;
use super::{Attempt, ConnectionId};
use rutil::Time;
use smallvec::SmallVec;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// The low bits of a [`ConnectionId`] are its slot, the rest counts connections: so an id is never used twice.
const SLOT_BITS: u32 = 24;
/// The most connections that ids can tell apart.
const MOST: usize = (1 << SLOT_BITS) - 1;
/// How long a connection may take nothing of what waits for it: 64·T1, when the transactions have given up.
const STALLED: Duration = Duration::from_secs(32);
/// How many entries the search for an idle connection looks at.
const SEARCH: usize = 1024;

/// Who goes first when room is needed: whether keep-alives are promised, and when octets last went in or out.
type Idleness = (bool, Time);

pub(super) struct Table {
    slots: Vec<Option<Connection>>,
    free: Vec<usize>,
    /// Connections that may be reused for a new request: those to each peer, the newest last.
    by_peer: HashMap<SocketAddr, SmallVec<[usize; 2]>>,
    /// How many connections each source has opened that live.
    sources: HashMap<IpAddr, usize>,
    /// When each connection is due to end, at the latest lookup: traffic does not touch it, so an entry may be too
    /// early and is then put where it belongs when its time comes. One entry per connection.
    order: BTreeSet<(Time, usize)>,
    /// The connections by when octets last went in or out, those with a device that has promised keep-alives behind all
    /// others: at the latest lookup, as `order`.
    idlest: BTreeSet<(Idleness, usize)>,
    /// Where each slot stands in `order` and in `idlest`.
    noted: Vec<(Time, Idleness)>,
    born: u64,
    idle: Duration,
    most: usize,
    /// The listener is bound to all addresses: each connection knows its own.
    wildcard: bool,
}

impl Table {
    pub(super) fn new(most: usize, idle: Duration, wildcard: bool) -> Self {
        Table {
            slots: Vec::new(),
            free: Vec::new(),
            by_peer: HashMap::new(),
            sources: HashMap::new(),
            order: BTreeSet::new(),
            idlest: BTreeSet::new(),
            noted: Vec::new(),
            born: 0,
            idle,
            most: most.clamp(1, MOST),
            wildcard,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.most
    }

    /// The slot that the next [`Table::insert`] will use.
    pub(super) fn next_slot(&self) -> usize {
        self.free.last().copied().unwrap_or(self.slots.len())
    }

    /// Enters a connection; `ends` matters for one that is connecting.
    pub(super) fn insert(
        &mut self,
        stream: Stream,
        (peer, domain): (SocketAddr, Option<Arc<str>>),
        phase: Phase,
        now: Time,
        ends: Time,
    ) {
        if phase != Phase::Connecting {
            *self.sources.entry(source_of(peer.ip())).or_default() += 1;
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.noted.push((Time::ZERO, (false, Time::ZERO)));
            self.slots.len() - 1
        });
        self.born += 1;
        let id = ConnectionId(self.born << SLOT_BITS | slot as u64);
        let local = if self.wildcard { stream.socket().local_addr().ok().map(|local| local.ip()) } else { None };
        let mut connection = Connection::new(id, peer, domain, stream, phase, now);
        connection.accepted = phase != Phase::Connecting;
        connection.local = local;
        connection.ends = ends;
        if let Some(entry) = self.slots.get_mut(slot) {
            *entry = Some(connection);
        }
        self.by_peer.entry(peer).or_default().push(slot);
        self.note(slot);
    }

    pub(super) fn get(&mut self, slot: usize) -> Option<&mut Connection> {
        self.slots.get_mut(slot)?.as_mut()
    }

    /// The slot of the connection `id`, if it lives.
    pub(super) fn by_id(&mut self, id: ConnectionId) -> Option<usize> {
        let slot = usize::try_from(id.0 & MOST as u64).ok()?;
        self.get(slot).is_some_and(|c| c.id == id).then_some(slot)
    }

    /// The slot of the newest connection to `peer` that new requests for `domain` may use.
    pub(super) fn by_peer(&self, peer: SocketAddr, domain: Option<&str>) -> Option<usize> {
        let serves =
            |slot: &usize| self.slots.get(*slot).and_then(Option::as_ref).is_some_and(|c| c.serves(peer, domain));
        self.by_peer.get(&peer)?.iter().rev().copied().find(serves)
    }

    /// The slot of the connection to `peer` that this attempt waits for.
    pub(super) fn with_attempt(&self, peer: SocketAddr, attempt: Attempt) -> Option<usize> {
        let waits = |slot: &usize| {
            self.slots.get(*slot).and_then(Option::as_ref).is_some_and(|c| c.attempts.contains(&attempt))
        };
        self.by_peer.get(&peer)?.iter().copied().find(waits)
    }

    /// Requests to `alias` may use the connection too.
    pub(super) fn alias(&mut self, slot: usize, alias: SocketAddr) {
        let Some(connection) = self.get(slot) else { return };
        if connection.alias.is_none() && connection.phase == Phase::Open {
            connection.alias = Some(alias);
            self.by_peer.entry(alias).or_default().push(slot);
        }
    }

    /// The peer has promised to be heard so often. A WebSocket is asked with pings instead.
    pub(super) fn expect(&mut self, id: ConnectionId, within: Duration) {
        let Some(slot) = self.by_id(id) else { return };
        if let Some(connection) = self.get(slot).filter(|connection| connection.ws.is_none()) {
            connection.silence = Some(within);
            self.note(slot);
        }
    }

    /// Moves a connection to another phase, which ends at `ends` (Open: by idleness).
    pub(super) fn enter(&mut self, slot: usize, phase: Phase, ends: Time) {
        let Some(connection) = self.get(slot) else { return };
        connection.phase = phase;
        connection.ends = ends;
        if !matches!(phase, Phase::Connecting | Phase::Handshaking | Phase::Open) {
            self.forget_peer(slot);
        }
        self.note(slot);
    }

    pub(super) fn remove(&mut self, slot: usize) -> Option<Connection> {
        self.forget_peer(slot);
        let connection = self.slots.get_mut(slot)?.take()?;
        let (due, idleness) = self.noted.get(slot).copied()?;
        self.order.remove(&(due, slot));
        self.idlest.remove(&(idleness, slot));
        self.free.push(slot);
        if connection.accepted {
            self.leave_source(connection.peer.ip());
        }
        Some(connection)
    }

    /// How many connections that live were opened from this address; of IPv6, from its /64, which one customer has.
    pub(super) fn count_of_source(&self, ip: IpAddr) -> usize {
        self.sources.get(&source_of(ip)).copied().unwrap_or(0)
    }

    fn leave_source(&mut self, ip: IpAddr) {
        if let Entry::Occupied(mut count) = self.sources.entry(source_of(ip)) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// When the earliest connection may be due.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.order.first().map(|&(at, _)| at)
    }

    /// A connection whose time is up at `now`.
    pub(super) fn expired(&mut self, now: Time) -> Option<usize> {
        while let Some(&(at, slot)) = self.order.first() {
            if at > now {
                return None;
            }
            if self.due(slot) <= now {
                return Some(slot);
            }
            self.note(slot);
        }
        None
    }

    /// The connection that has been idle longest and owes nobody anything: the one to close when room is needed. One with
    /// a device that keeps it alive, as it has promised (RFC 5626 §4.4), goes only when there is no other.
    pub(super) fn oldest_idle(&mut self) -> Option<usize> {
        for _ in 0..SEARCH {
            let mut entries = self.idlest.iter().take(SEARCH);
            let &(noted, slot) = entries.find(|&&(_, slot)| {
                let connection = self.slots.get(slot).and_then(|c| c.as_ref());
                connection.is_some_and(|c| !c.phase.is_coming_up() && !c.has_unsent())
            })?;
            if self.idleness(slot) == noted {
                return Some(slot);
            }
            self.note(slot);
        }
        None
    }

    /// The WebSocket connection whose message is incomplete longest.
    pub(super) fn oldest_incomplete(&self) -> Option<usize> {
        let since =
            |entry: &Option<Connection>| entry.as_ref().and_then(|c| c.ws.as_ref()).and_then(|ws| ws.incomplete);
        let all = self.slots.iter().enumerate().filter_map(|(slot, entry)| Some((since(entry)?, slot)));
        all.min().map(|(_, slot)| slot)
    }

    /// Whether some connection has messages that are not out.
    pub(super) fn has_unsent(&self) -> bool {
        self.slots.iter().flatten().any(|c| c.has_unsent())
    }

    fn due(&self, slot: usize) -> Time {
        match self.slots.get(slot).and_then(|c| c.as_ref()) {
            Some(c) if c.phase == Phase::Open => {
                let idle = c.active + if c.has_unsent() { self.idle.min(STALLED) } else { self.idle };
                let due = c.silence.map_or(idle, |silence| idle.min(c.heard + silence));
                let due = c.answer_by.map_or(due, |by| due.min(by));
                c.ws.as_ref().map_or(due, |ws| due.min(ws.due()))
            }
            Some(c) => c.ends,
            None => Time::MAX,
        }
    }

    fn idleness(&self, slot: usize) -> Idleness {
        let connection = self.slots.get(slot).and_then(|c| c.as_ref());
        connection.map_or((true, Time::MAX), |c| (c.silence.is_some(), c.active))
    }

    /// Puts a connection where it belongs in the orders: to be called when it is due earlier than before.
    pub(super) fn note(&mut self, slot: usize) {
        let now = (self.due(slot), self.idleness(slot));
        let Some(noted) = self.noted.get_mut(slot) else { return };
        let (due, idleness) = std::mem::replace(noted, now);
        self.order.remove(&(due, slot));
        self.order.insert((now.0, slot));
        self.idlest.remove(&(idleness, slot));
        self.idlest.insert((now.1, slot));
    }

    fn forget_peer(&mut self, slot: usize) {
        let Some((peer, alias)) = self.get(slot).map(|c| (c.peer, c.alias.take())) else { return };
        for address in [Some(peer), alias].into_iter().flatten() {
            if let Entry::Occupied(mut same) = self.by_peer.entry(address) {
                same.get_mut().retain(|s| *s != slot);
                if same.get().is_empty() {
                    same.remove();
                }
            }
        }
    }
}

/// What counts as one source: an address, of IPv6 a /64, which one customer has.
pub fn source_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}
