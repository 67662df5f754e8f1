//! The location service (RFC 3261 §10): which contacts an address-of-record has, in memory, shared by all shards.
//!
//! Bounded by [`Limits`]: so many addresses-of-record, so many contacts of each. A binding leaves when it is removed or
//! has expired (it counts as gone at once, and is dropped when its record is written or by [`LocationStore::sweep`]).
//! A record without bindings stays until room is needed: it tells "known, but not here" (480) from "unknown" (404).

mod binding;
mod listing;
mod natted;
mod shared;
mod stored;
mod watch;

pub use binding::{Binding, By, NewBinding};
pub use natted::Natted;
pub use shared::{Own, Read};
pub use stored::Notation;
pub(crate) use stored::{from_unix, to_unix};
pub use watch::{Change, Changes, Watch, Watcher};

use crate::accounting::Accounting;
use parking_lot::RwLock;
use rutil::hash::Keyed;
use rutil::{HashMap, Rng, Time};
use smallvec::SmallVec;
use stack::contents::event::reg_info::Event;
use stack::selector::Target;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Locks of the records: look-ups of different records rarely meet. Registrations meet on the one of the endpoints.
pub(crate) const PARTS: usize = 16;

/// How often [`LocationStore::sweep`] should be called; each call looks at one part of sixteen.
pub const SWEEP_EVERY: Duration = Duration::from_secs(4);

/// Bounds of a [`LocationStore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most addresses-of-record.
    pub aors: usize,
    /// Most contacts of one.
    pub contacts: usize,
}

/// A contact that a request can be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The URI, without the headers that it may have had.
    pub uri: Arc<str>,
    /// Preference, in thousandths.
    pub q: u16,
    /// How a request gets there.
    pub by: By,
    /// The older flows of the same device, the newest first, for when this one is dead (RFC 5626 §7).
    pub older: Option<Box<Found>>,
}

impl Located {
    /// One flow of a device, with those that come after it; none when there is no first one.
    pub fn of_flows(mut flows: Found) -> Option<Located> {
        if flows.is_empty() {
            return None;
        }
        let first = flows.remove(0);
        Some(Located { older: (!flows.is_empty()).then(|| Box::new(flows)), ..first })
    }
}

/// What a look-up finds, the most preferred first.
pub type Found = SmallVec<[Located; 2]>;

/// What an address-of-record has.
pub type Record = SmallVec<[Binding; 1]>;

/// A place that a binding has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    /// We send there.
    Near(Target),
    /// A Path begins there: we send there what goes on to somewhere else.
    Proxy(Target),
    /// The last proxy of a Path sends there.
    Behind(Target),
}

/// Whether a URI's scheme is `sips`.
pub fn is_sips(uri: &str) -> bool {
    uri.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("sips:"))
}

/// A part of the records. They are boxed because a table that grows has twice its size in memory, and a tenth to spare.
type Part = HashMap<Box<str>, Box<Record>>;

/// All bindings.
pub struct LocationStore {
    parts: [RwLock<Part>; PARTS],
    /// How many bindings have this place: who may use a proxy that is not open to everybody.
    endpoints: RwLock<HashMap<Place, u32>>,
    hasher: Keyed,
    limits: Limits,
    records: AtomicUsize,
    bindings: AtomicUsize,
    next_sweep: AtomicUsize,
    next_id: AtomicU32,
    watch: Watch,
    accounting: OnceLock<Arc<Accounting>>,
}

/// Whose change it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// A request's that came here.
    Here,
    /// Another node's: that one accounts for it, but not for what has expired.
    Elsewhere,
}

/// No room for another address-of-record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many addresses-of-record")]
pub struct StoreFull;

impl LocationStore {
    /// An empty store.
    pub fn new(limits: Limits, rng: &mut Rng) -> Self {
        let hasher = Keyed::new(rng);
        LocationStore {
            parts: std::array::from_fn(|_| RwLock::new(HashMap::with_hasher(hasher.clone()))),
            endpoints: RwLock::new(HashMap::with_hasher(hasher.clone())),
            watch: Watch::new(&hasher),
            accounting: OnceLock::new(),
            hasher,
            limits,
            records: AtomicUsize::new(0),
            bindings: AtomicUsize::new(0),
            next_sweep: AtomicUsize::new(0),
            next_id: AtomicU32::new(1),
        }
    }

    /// Its bounds.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// How many addresses-of-record it knows.
    pub fn len(&self) -> usize {
        self.records.load(Ordering::Relaxed)
    }

    /// How many bindings there are; those that have expired are still counted for a minute.
    pub fn len_of_bindings(&self) -> usize {
        self.bindings.load(Ordering::Relaxed)
    }

    /// Whether it knows none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Who hears of changes.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Says whom changes are told for billing.
    pub(crate) fn set_accounting(&self, accounting: Arc<Accounting>) {
        // A second one would be of another file.
        let _ = self.accounting.set(accounting);
    }

    /// Something has changed here.
    fn note(&self, aor: &str, now: Time, what: impl FnOnce() -> Vec<Change>) {
        self.note_of(Origin::Here, aor, now, what);
    }

    /// Something has changed.
    fn note_of(&self, origin: Origin, aor: &str, now: Time, what: impl FnOnce() -> Vec<Change>) {
        let Some(accounting) = self.accounting.get() else { return self.watch.note(aor, what) };
        let changes = what();
        let is_ours = |change: &&Change| origin == Origin::Here || change.event == Event::Expired;
        accounting.tell_changes(aor, changes.iter().filter(is_ours), now);
        self.watch.note(aor, || changes);
    }

    fn part(&self, aor: &str) -> &RwLock<Part> {
        &self.parts[self.hasher.hash_one(aor) as usize % PARTS]
    }

    /// The contacts of an address-of-record, the most preferred first, of each device the flow that registered last; `None`
    /// when it never registered.
    pub fn lookup(&self, aor: &str, now: Time) -> Option<Found> {
        let part = self.part(aor).read();
        let record = part.get(aor)?;
        let live = || record.iter().filter(|binding| binding.expires_at > now);
        let newest = |binding: &&Binding| !live().any(|other| binding.is_older_flow_than(other));
        Some(live().filter(newest).map(|binding| binding.located_before(live())).collect())
    }

    /// The contact that a device has registered last (RFC 5627 §6.1); `of_device` says which contacts are its own.
    pub fn lookup_device(&self, aor: &str, now: Time, of_device: impl Fn(&Binding) -> bool) -> Option<Found> {
        let part = self.part(aor).read();
        let record = part.get(aor)?;
        let live = || record.iter().filter(|binding| binding.expires_at > now && of_device(binding));
        let newest = live().max_by_key(|binding| binding.registered());
        Some(newest.map(|binding| binding.located_before(live())).into_iter().collect())
    }

    /// Removes the bindings of an address-of-record that gave this: the flow is dead (RFC 5626 §7). Gives those that it
    /// has removed.
    pub fn remove(&self, aor: &str, dead: &Located, now: Time) -> Record {
        self.remove_where(aor, now, |binding| binding.gave(dead))
    }

    /// Removes bindings that lead nowhere, and gives them.
    fn remove_where(&self, aor: &str, now: Time, is_gone: impl Fn(&Binding) -> bool) -> Record {
        let mut part = self.part(aor).write();
        let Some(record) = part.get_mut(aor) else { return Record::new() };
        let gone: Record = record.iter().filter(|binding| is_gone(binding)).cloned().collect();
        self.note(aor, now, || gone.iter().map(|binding| Change::new(Event::Deactivated, binding)).collect());
        self.leave(gone.iter());
        record.retain(|binding| !is_gone(binding));
        gone
    }

    /// The bindings of an address-of-record, the most preferred first.
    pub fn bindings(&self, aor: &str, now: Time) -> Record {
        self.part(aor)
            .read()
            .get(aor)
            .into_iter()
            .flat_map(|record| record.iter())
            .filter(|b| b.expires_at > now)
            .cloned()
            .collect()
    }

    /// Changes the bindings of an address-of-record, and gives what they are then: all of what `change` does, or, when
    /// it fails, nothing.
    ///
    /// # Errors
    /// What `change` returns, or [`StoreFull`].
    pub fn update<E: From<StoreFull>>(
        &self,
        aor: &str,
        now: Time,
        change: impl FnOnce(&mut Vec<Binding>) -> Result<(), E>,
    ) -> Result<Record, E> {
        self.update_by(Origin::Here, aor, now, change)
    }

    /// The same, of this origin.
    fn update_by<E: From<StoreFull>>(
        &self,
        origin: Origin,
        aor: &str,
        now: Time,
        change: impl FnOnce(&mut Vec<Binding>) -> Result<(), E>,
    ) -> Result<Record, E> {
        let make = |live: &[&Binding]| {
            let mut bindings: Vec<Binding> = live.iter().copied().cloned().collect();
            change(&mut bindings)?;
            Ok(bindings.into_iter().collect())
        };
        self.replace_by(origin, aor, now, make, |_, record| record.iter().cloned().collect())
    }

    /// Puts what `make` makes of the bindings of an address-of-record into their place: what stays nobody has to copy. Gives
    /// what `look` sees in those from before, the expired ones among them, and in those that are there then; others wait
    /// for it.
    ///
    /// # Errors
    /// What `make` returns, or [`StoreFull`]; then nothing is changed.
    pub fn replace<R, E: From<StoreFull>>(
        &self,
        aor: &str,
        now: Time,
        make: impl FnOnce(&[&Binding]) -> Result<Record, E>,
        look: impl FnOnce(&[Binding], &[Binding]) -> R,
    ) -> Result<R, E> {
        self.replace_by(Origin::Here, aor, now, make, look)
    }

    fn replace_by<R, E: From<StoreFull>>(
        &self,
        origin: Origin,
        aor: &str,
        now: Time,
        make: impl FnOnce(&[&Binding]) -> Result<Record, E>,
        look: impl FnOnce(&[Binding], &[Binding]) -> R,
    ) -> Result<R, E> {
        let mut part = self.part(aor).write();
        let place = part.get_mut(aor);
        let known = place.as_ref().map_or(&[][..], |record| record.as_slice());
        let live: SmallVec<[&Binding; 4]> = known.iter().filter(|binding| binding.expires_at > now).collect();
        let mut record = make(&live)?;
        drop(live);
        // Stable: of equal preference the one that registered first comes first.
        record.sort_by_key(|binding| std::cmp::Reverse(binding.q));
        for new in record.iter_mut().filter(|binding| binding.id == 0) {
            new.id = self.next_id.fetch_add(1, Ordering::Relaxed).max(1);
        }
        let (old, record) = match place {
            Some(place) => (std::mem::replace(&mut **place, record), &**place),
            None if record.is_empty() => return Ok(look(&[], &[])),
            None => {
                if self.len() >= self.limits.aors && !self.drop_empty(&mut part, now) {
                    return Err(StoreFull.into());
                }
                self.records.fetch_add(1, Ordering::Relaxed);
                (Record::new(), &**part.entry(aor.into()).insert_entry(Box::new(record)).into_mut())
            }
        };
        self.note_of(origin, aor, now, || watch::changes(&old, record, now));
        // Who only refreshes is where he was.
        if old.len() != record.len() || !old.iter().zip(record).all(|(old, new)| old.is_where(new)) {
            self.enter(record.iter());
            self.forget_places(old.iter());
        }
        self.bindings.fetch_add(record.len(), Ordering::Relaxed);
        self.bindings.fetch_sub(old.len(), Ordering::Relaxed);
        Ok(look(&old, record))
    }

    /// Looks at the bindings of an address-of-record where they are, the expired ones among them.
    pub fn inspect<R>(&self, aor: &str, look: impl FnOnce(&[Binding]) -> R) -> R {
        look(self.part(aor).read().get(aor).map_or(&[], |record| record.as_slice()))
    }

    /// Puts in what was kept since another process: it counts as what has registered before.
    ///
    /// # Errors
    /// [`StoreFull`].
    pub fn restore(&self, aor: &str, bindings: Vec<Binding>, now: Time) -> Result<(), StoreFull> {
        let put = |own: &mut Vec<Binding>| {
            *own = bindings;
            own.truncate(self.limits.contacts);
            Ok(())
        };
        self.update(aor, now, put).map(drop)
    }

    /// Whether the contact of some binding is at this place, or its REGISTER came from there directly.
    pub fn is_endpoint(&self, target: Target) -> bool {
        self.endpoints.read().contains_key(&Place::Near(target))
    }

    /// Whether the Path of some binding leads there first.
    pub fn is_proxy(&self, target: Target) -> bool {
        self.endpoints.read().contains_key(&Place::Proxy(target))
    }

    /// Whether the contact of some binding is at this place behind another proxy, in the addresses that are known there.
    pub fn is_behind_proxy(&self, target: Target) -> bool {
        self.endpoints.read().contains_key(&Place::Behind(target))
    }

    /// Drops what has expired in one part of the store; the next call takes the next part.
    pub fn sweep(&self, now: Time) {
        let at = self.next_sweep.fetch_add(1, Ordering::Relaxed) % PARTS;
        let mut part = self.parts[at].write();
        for (aor, record) in part.iter_mut().filter(|(_, record)| record.iter().any(|b| b.expires_at <= now)) {
            self.expire_of(aor, record, now);
        }
    }

    /// Drops what has expired of one address-of-record.
    pub fn expire(&self, aor: &str, now: Time) {
        if let Some(record) = self.part(aor).write().get_mut(aor) {
            self.expire_of(aor, record, now);
        }
    }

    fn expire_of(&self, aor: &str, record: &mut Record, now: Time) {
        let gone = || record.iter().filter(|binding| binding.expires_at <= now);
        self.note(aor, now, || gone().map(|binding| Change::new(Event::Expired, binding)).collect());
        self.leave(gone());
        record.retain(|binding| binding.expires_at > now);
    }

    /// Whether a contact of an address-of-record is at this place, or its REGISTER came from there directly.
    pub fn has_endpoint(&self, aor: &str, target: Target, now: Time) -> bool {
        let part = self.part(aor).read();
        part.get(aor)
            .into_iter()
            .flat_map(|record| record.iter())
            .any(|binding| binding.expires_at > now && binding.is_at(target))
    }

    /// Makes room by dropping records without bindings; says whether there were any.
    fn drop_empty(&self, part: &mut Part, now: Time) -> bool {
        let before = part.len();
        part.retain(|aor, record| {
            let live = record.iter().any(|b| b.expires_at > now);
            if !live {
                self.note(aor, now, || record.iter().map(|binding| Change::new(Event::Expired, binding)).collect());
                self.leave(record.iter());
            }
            live
        });
        let dropped = before - part.len();
        self.records.fetch_sub(dropped, Ordering::Relaxed);
        dropped > 0
    }

    fn enter<'b>(&self, bindings: impl Iterator<Item = &'b Binding>) {
        let mut endpoints = self.endpoints.write();
        for place in bindings.flat_map(Binding::places) {
            *endpoints.entry(place).or_insert(0) += 1;
        }
    }

    /// These are gone.
    fn leave<'b>(&self, bindings: impl Iterator<Item = &'b Binding>) {
        self.forget_places(bindings.inspect(|_| {
            self.bindings.fetch_sub(1, Ordering::Relaxed);
        }));
    }

    fn forget_places<'b>(&self, bindings: impl Iterator<Item = &'b Binding>) {
        let mut endpoints = self.endpoints.write();
        for place in bindings.flat_map(Binding::places) {
            match endpoints.get_mut(&place) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(endpoints.remove(&place)),
            }
        }
    }
}

impl std::fmt::Debug for LocationStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocationStore").field("records", &self.len()).field("limits", &self.limits).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stack::transport::TransportType;

    fn store(aors: usize) -> LocationStore {
        LocationStore::new(Limits { aors, contacts: 10 }, &mut Rng::from_seed(1))
    }

    fn udp(address: &str) -> Target {
        Target { kind: TransportType::Udp, address: address.parse().unwrap() }
    }

    fn binding(uri: &str, q: u16, expires: u64) -> Binding {
        let uri = stack::uri::Uri::parse(uri).unwrap();
        Binding::new(NewBinding {
            uri: &uri,
            text: uri.to_string().into(),
            params: "",
            q,
            expires_at: Time::from_millis(expires * 1000),
            call_id: "c",
            cseq: 1,
            neighbour: Some(udp("192.0.2.9:7000")),
            by: By::Uri,
            device: None,
            reg_id: 0,
            now: Time::ZERO,
        })
    }

    fn add(store: &LocationStore, aor: &str, new: Binding, now: Time) -> Result<(), StoreFull> {
        let added = store.update(aor, now, |bindings| {
            bindings.push(new);
            Ok(())
        });
        added.map(|record| assert_eq!(record, store.bindings(aor, now)))
    }

    #[test]
    fn the_preferred_comes_first_and_the_expired_is_gone() {
        let store = store(10);
        let now = Time::ZERO;
        assert_eq!(store.lookup("u@h", now), None);
        add(&store, "u@h", binding("sip:a@192.0.2.1?Route=x", 500, 60), now).unwrap();
        add(&store, "u@h", binding("sip:b@192.0.2.2", 1000, 30), now).unwrap();
        let uris = |at| store.lookup("u@h", at).unwrap().iter().map(|l| l.uri.to_string()).collect::<Vec<_>>();
        assert_eq!(uris(now), ["sip:b@192.0.2.2", "sip:a@192.0.2.1"]);
        assert_eq!(uris(Time::from_millis(30_000)), ["sip:a@192.0.2.1"]);
        assert!(uris(Time::from_millis(60_000)).is_empty());
    }

    #[test]
    fn a_change_that_fails_changes_nothing() {
        let store = store(10);
        let failed = store.update("u@h", Time::ZERO, |bindings| {
            bindings.push(binding("sip:a@192.0.2.1", 0, 60));
            Err(StoreFull)
        });
        assert_eq!((failed, store.lookup("u@h", Time::ZERO), store.len()), (Err(StoreFull), None, 0));
    }

    #[test]
    fn endpoints_live_as_long_as_their_bindings() {
        let store = store(10);
        let (contact, source) = (udp("192.0.2.1:5060"), udp("192.0.2.9:7000"));
        add(&store, "u@h", binding("sip:a@192.0.2.1", 0, 60), Time::ZERO).unwrap();
        add(&store, "v@h", binding("sip:a@192.0.2.1", 0, 90), Time::ZERO).unwrap();
        assert!(store.is_endpoint(contact) && store.is_endpoint(source));
        assert_eq!(store.len_of_bindings(), 2);
        let sweep_all = |at| (0..PARTS).for_each(|_| store.sweep(Time::from_millis(at)));
        sweep_all(60_000);
        assert!(store.is_endpoint(contact));
        assert_eq!(store.len_of_bindings(), 1);
        sweep_all(90_000);
        assert!(!store.is_endpoint(contact) && !store.is_endpoint(source));
        assert_eq!((store.len(), store.len_of_bindings()), (2, 0));
    }

    #[test]
    fn an_endpoint_is_where_a_request_is_sent() {
        let store = store(10);
        let now = Time::ZERO;
        add(&store, "u@h", binding("sip:a@192.0.2.1;maddr=192.0.2.2?Subject=x", 0, 60), now).unwrap();
        add(&store, "u@h", binding("sips:a@192.0.2.3", 0, 60), now).unwrap();
        let tls = Target { kind: TransportType::Tls, address: "192.0.2.3:5061".parse().unwrap() };
        assert!(store.is_endpoint(udp("192.0.2.2:5060")) && store.is_endpoint(tls));
        assert!(!store.is_endpoint(udp("192.0.2.1:5060")) && !store.is_endpoint(udp("192.0.2.3:5061")));
    }

    #[test]
    fn a_full_store_refuses_until_a_record_is_empty() {
        let store = store(1);
        add(&store, "u@h", binding("sip:a@192.0.2.1", 0, 60), Time::ZERO).unwrap();
        assert_eq!(add(&store, "v@h", binding("sip:a@192.0.2.1", 0, 60), Time::ZERO), Err(StoreFull));
        assert!(add(&store, "u@h", binding("sip:b@192.0.2.1", 0, 60), Time::ZERO).is_ok());
        // Room is made in the part that the new record belongs to: some of many names share the part of the old one.
        let later = Time::from_millis(60_000);
        let taken = (0..200).filter(|n| add(&store, &format!("{n}@h"), binding("sip:a@h", 0, 90), later).is_ok());
        assert_eq!((taken.count(), store.len()), (1, 1));
    }
}
