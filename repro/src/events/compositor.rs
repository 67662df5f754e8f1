//! The event state compositor (RFC 3903 §2): what is published for users of ours, shared by all shards, and which shards are
//! to hear of what. All of it is in memory behind one lock, which is held for a look-up; what is told is composed by who
//! tells it.
//!
//! Bounded by `[events]`: publications and their octets in all, and of one user; marks by the subscriptions of the shards.

use super::calls::{Calls, is_of_call, names_call};
use super::package::Package;
use super::shared::{Published, Teller};
use crate::cluster::{Change, Cluster, What};
use crate::config;
use crate::store::Journal;
use crate::wakes::Wakes;
use dum::publication::{Document, NotPublished};
use hashlink::LinkedHashMap;
use parking_lot::Mutex;
use rutil::{HashMap, Keyed, Rng, Time};
use smallvec::SmallVec;
use stack::tu::TuPoster;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// Most octets of what is published to one package of one user: all of it has to fit into one NOTIFY.
pub(crate) const MOST_OCTETS_OF_USER: usize = 48 << 10;
/// Most octets of the calls of one user that the proxy itself tells, besides.
const MOST_OCTETS_OF_CALLS: usize = 8 << 10;
/// Most changes that the other nodes have not heard of, each of another publication. What is published and does not find
/// room is told when all is compared; what is removed ends at the others when it expires.
const MOST_UNTOLD: usize = 32_768;
/// What a publication costs beside its text and the name of its user.
const OVERHEAD: usize = 256;

/// Whose state it is, and of what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Resource {
    pub(crate) package: Package,
    /// The address-of-record.
    pub(crate) aor: Arc<str>,
}

/// What was published.
pub(super) struct Publication {
    /// Stays as long as it is refreshed or changed.
    name: u64,
    pub(super) document: Document,
    /// Where nodes share what is published.
    pub(super) shared: Option<Box<Shared>>,
}

/// What other nodes know of a publication.
pub(super) struct Shared {
    /// By what name; it stays as long as it is refreshed or changed.
    pub(super) field: Box<str>,
    /// How often it was.
    pub(super) turn: u32,
    /// The version of this turn that they know; 0: they do not know it yet.
    pub(super) version: u64,
    pub(super) since: Time,
    /// Who tells a call by it.
    pub(super) teller: Option<Teller>,
}

/// What is published for a resource, and which shards hear of it.
#[derive(Default)]
pub(super) struct Entry {
    pub(super) publications: Vec<Publication>,
    /// Each with whether it has been told and has not looked since.
    marks: SmallVec<[(u16, bool); 1]>,
}

impl Entry {
    fn octets(&self, resource: &Resource) -> usize {
        self.publications.iter().map(|publication| cost(resource, &publication.document)).sum()
    }
}

fn cost(resource: &Resource, document: &Document) -> usize {
    OVERHEAD + resource.aor.len() + document.body.len() + document.content_type.len() + document.etag.len()
}

pub(super) struct Kept {
    pub(super) resources: HashMap<Resource, Entry>,
    /// When each publication ends.
    ends: BTreeMap<(Time, u64), Resource>,
    last: u64,
    octets: usize,
    /// What shards are to look at.
    changed: Vec<(u16, Resource)>,
    /// What the other nodes are to hear, by the names of publications: of each the last.
    pub(super) untold: LinkedHashMap<Box<str>, (Resource, Change), Keyed>,
    rng: Rng,
}

impl Kept {
    pub(super) fn publications(&self, resource: &Resource) -> &[Publication] {
        self.resources.get(resource).map_or(&[], |entry| entry.publications.as_slice())
    }

    pub(super) fn publications_mut(&mut self, resource: &Resource) -> &mut [Publication] {
        self.resources.get_mut(resource).map_or(&mut [], |entry| entry.publications.as_mut_slice())
    }
}

/// What the event servers of all shards have done and have.
#[derive(Debug, Default)]
pub struct EventCounts {
    /// Subscriptions, in the order of [`Package::ALL`], and behind these those to `reg`.
    subscriptions: [AtomicUsize; 4],
    /// NOTIFYs with what is published.
    notifies: AtomicU64,
    /// Documents that were written for them.
    composed: AtomicU64,
    /// Subscriptions that were refused for want of room.
    refused_subscriptions: AtomicU64,
    /// Publications that were refused for want of room, or because they could not be read.
    refused_publications: AtomicU64,
}

/// Something to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    Notify,
    Composed,
    RefusedSubscription,
    RefusedPublication,
}

impl EventCounts {
    pub(super) fn count(&self, what: Counted) {
        let counter = match what {
            Counted::Notify => &self.notifies,
            Counted::Composed => &self.composed,
            Counted::RefusedSubscription => &self.refused_subscriptions,
            Counted::RefusedPublication => &self.refused_publications,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn of(&self, package: Option<Package>) -> &AtomicUsize {
        let [presence, summary, dialog, reg] = &self.subscriptions;
        match package {
            Some(Package::Presence) => presence,
            Some(Package::MessageSummary) => summary,
            Some(Package::Dialog) => dialog,
            None => reg,
        }
    }

    /// A subscription has begun; `None` is `reg`.
    pub(super) fn begun(&self, package: Option<Package>) {
        self.of(package).fetch_add(1, Ordering::Relaxed);
    }

    /// A subscription has ended.
    pub(super) fn ended(&self, package: Option<Package>) {
        self.of(package).fetch_sub(1, Ordering::Relaxed);
    }

    /// Subscriptions to a package; `None` is `reg`.
    pub fn subscriptions(&self, package: Option<Package>) -> usize {
        self.of(package).load(Ordering::Relaxed)
    }

    /// NOTIFYs with what is published, since the start.
    pub fn notifies(&self) -> u64 {
        self.notifies.load(Ordering::Relaxed)
    }

    /// Documents that were written for them: one for all who watch, in each shard.
    pub fn composed(&self) -> u64 {
        self.composed.load(Ordering::Relaxed)
    }

    /// Subscriptions that were refused for want of room.
    pub fn refused_subscriptions(&self) -> u64 {
        self.refused_subscriptions.load(Ordering::Relaxed)
    }

    /// Publications that were refused for want of room, or because they could not be read.
    pub fn refused_publications(&self) -> u64 {
        self.refused_publications.load(Ordering::Relaxed)
    }
}

/// What is published for users of ours.
pub struct Compositor {
    pub(super) limits: config::Events,
    pub(super) calls: Calls,
    pub(super) kept: Mutex<Kept>,
    pub(super) cluster: OnceLock<Arc<Cluster>>,
    /// Where what is published is kept, if there is a store and no cluster.
    pub(super) journal: OnceLock<Arc<Journal>>,
    /// It was said that something of another node has no room.
    pub(super) full: AtomicBool,
    publications: AtomicUsize,
    octets: AtomicUsize,
    wakes: Wakes,
    counts: EventCounts,
}

impl Compositor {
    /// Nothing is published; `rng` gives the keys of its tables.
    pub fn new(limits: config::Events, rng: &mut Rng) -> Self {
        let kept = Kept {
            resources: HashMap::with_hasher(Keyed::new(rng)),
            ends: BTreeMap::new(),
            last: 0,
            octets: 0,
            changed: Vec::new(),
            untold: LinkedHashMap::with_hasher(Keyed::new(rng)),
            rng: Rng::from_seed(rng.next_u64()),
        };
        Compositor {
            limits,
            calls: Calls::new(rng),
            kept: Mutex::new(kept),
            cluster: OnceLock::new(),
            journal: OnceLock::new(),
            full: AtomicBool::new(false),
            publications: AtomicUsize::new(0),
            octets: AtomicUsize::new(0),
            wakes: Wakes::new(),
            counts: EventCounts::default(),
        }
    }

    /// Says how shards are woken, once the stack has started.
    pub(crate) fn set_poster(&self, poster: TuPoster) {
        self.wakes.set_poster(poster);
    }

    /// What the event servers have done.
    pub fn counts(&self) -> &EventCounts {
        &self.counts
    }

    /// How many publications there are; expired ones count until something else is published.
    pub fn len(&self) -> usize {
        self.publications.load(Ordering::Relaxed)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many octets they take.
    pub fn octets(&self) -> usize {
        self.octets.load(Ordering::Relaxed)
    }

    /// From now on a shard hears of a resource.
    pub(super) fn mark(&self, resource: &Resource, shard: u16) {
        let mut kept = self.kept.lock();
        let entry = kept.resources.entry(resource.clone()).or_default();
        if entry.marks.iter().all(|(marked, _)| *marked != shard) {
            entry.marks.push((shard, false));
        }
    }

    /// A shard hears no more of a resource.
    pub(super) fn clear(&self, resource: &Resource, shard: u16) {
        let mut kept = self.kept.lock();
        let Some(entry) = kept.resources.get_mut(resource) else { return };
        let told = entry.marks.iter().any(|(marked, told)| *marked == shard && *told);
        entry.marks.retain(|(marked, _)| *marked != shard);
        if entry.marks.is_empty() && entry.publications.is_empty() {
            kept.resources.remove(resource);
        }
        if told {
            kept.changed.retain(|(of, changed)| *of != shard || changed != resource);
        }
    }

    /// Whether there may be something for a shard to look at.
    pub(super) fn is_ready(&self, shard: u16) -> bool {
        self.wakes.is_ready(shard)
    }

    /// What a shard is to look at.
    pub(super) fn take(&self, shard: u16) -> Vec<Resource> {
        if !self.wakes.take(shard) {
            return Vec::new();
        }
        let mut kept = self.kept.lock();
        let Kept { resources, changed, .. } = &mut *kept;
        let own = changed.extract_if(.., |(of, _)| *of == shard).map(|(_, resource)| resource);
        own.inspect(|resource| {
            let marks = resources.get_mut(resource).map(|entry| entry.marks.iter_mut());
            marks.into_iter().flatten().filter(|(of, _)| *of == shard).for_each(|(_, told)| *told = false);
        })
        .collect()
    }

    /// What is published for a resource and has not expired, the oldest first.
    pub(crate) fn documents(&self, resource: &Resource, now: Time) -> Vec<(u64, Document)> {
        let kept = self.kept.lock();
        let all = kept.resources.get(resource).into_iter().flat_map(|entry| &entry.publications);
        all.filter(|publication| publication.document.expires > now)
            .map(|publication| (publication.name, publication.document.clone()))
            .collect()
    }

    /// The names of what is published for a user, expired or not.
    #[cfg(test)]
    pub(crate) fn etags(&self, package: Package, aor: &str) -> Vec<String> {
        let resource = Resource { package, aor: aor.into() };
        self.documents(&resource, Time::ZERO).into_iter().map(|(_, document)| document.etag).collect()
    }

    /// Instead of `before`, which was read before, there is `after` now, by this shard; what somebody else has published
    /// meanwhile stays. What has the place of something else is its next version.
    ///
    /// # Errors
    /// When there is no room, or somebody has changed the same meanwhile.
    pub(super) fn change(
        &self,
        resource: &Resource,
        before: &[Document],
        after: Vec<Document>,
        now: Time,
    ) -> Result<(), NotPublished> {
        let is_in = |document: &Document, all: &[Document]| all.iter().any(|other| other.etag == document.etag);
        let gone = before.iter().find(|document| !is_in(document, &after)).map(|document| document.etag.clone());
        let new = after.into_iter().find(|document| !is_in(document, before));
        self.replace(resource, gone.as_deref(), new, now)
    }

    /// Removes what has one entity-tag, or puts its next version in its place; without one, adds something.
    ///
    /// # Errors
    /// When there is no room, or what was to go is not there.
    pub(crate) fn replace(
        &self,
        resource: &Resource,
        gone: Option<&str>,
        new: Option<Document>,
        now: Time,
    ) -> Result<(), NotPublished> {
        let mut kept = self.kept.lock();
        self.drop_expired(&mut kept, now);
        let kept = &mut *kept;
        // What is published anew needs a name among the nodes.
        let is_call = gone.map_or_else(|| new.as_ref().is_some_and(is_of_call), names_call);
        let fresh = self.cluster.get().filter(|_| gone.is_none()).map(|_| kept.rng.token::<20>());
        let publications = kept.publications(resource);
        let at = match gone {
            Some(etag) => {
                let at = publications.iter().position(|publication| publication.document.etag == etag);
                Some(at.ok_or(NotPublished::Gone)?)
            }
            None => None,
        };
        let old = at.and_then(|at| publications.get(at));
        if let Some(new) = &new {
            self.check(kept, resource, old.map(|old| &old.document), new)?;
        }
        let (new, change) = match self.cluster.get() {
            None => (new.map(|new| (new, None)), None),
            Some(cluster) => {
                let old = old.and_then(|old| old.shared.as_deref());
                let field = || fresh.map(|fresh| fresh.as_str().into()).unwrap_or_default();
                let own = cluster.own();
                let teller = |new: &Document| {
                    let node = || own.nodes.node(own.node);
                    is_of_call(new).then(|| Teller { node: node(), life: own.life })
                };
                let shared = new.as_ref().map(|new| Shared::next(old, field, teller(new), now));
                let change = change_of(old, new.as_ref().zip(shared.as_ref()));
                (new.map(|new| (new, shared.map(Box::new))), change)
            }
        };
        self.put(kept, resource, at, new);
        if !is_call {
            self.note_for_store(resource);
        }
        if let (Some(cluster), Some(change)) = (self.cluster.get(), change) {
            kept.untold.insert(change.call_id.clone(), (resource.clone(), change));
            if kept.untold.len() > MOST_UNTOLD {
                kept.untold.pop_front();
            }
            cluster.ring();
        }
        Ok(())
    }

    /// Whether there is room for something, in the place of something else if there is that.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn check(
        &self,
        kept: &Kept,
        resource: &Resource,
        old: Option<&Document>,
        new: &Document,
    ) -> Result<(), NotPublished> {
        let room = Room { kept, limits: &self.limits, publications: self.len() };
        room.check(resource, kept.publications(resource), old, new)
    }

    /// Puts something in the place of a publication, or takes that away; without a place it is added. The shards hear of it.
    pub(super) fn put(
        &self,
        kept: &mut Kept,
        resource: &Resource,
        at: Option<usize>,
        new: Option<(Document, Option<Box<Shared>>)>,
    ) {
        let entry = kept.resources.entry(resource.clone()).or_default();
        let before = entry.octets(resource);
        let number = entry.publications.len();
        match (at, new) {
            (Some(at), Some((new, shared))) => {
                if let Some(publication) = entry.publications.get_mut(at) {
                    kept.ends.remove(&(publication.document.expires, publication.name));
                    kept.ends.insert((new.expires, publication.name), resource.clone());
                    let same_text = publication.document.body == new.body;
                    (publication.document, publication.shared) = (new, shared);
                    // What counts is what was published last.
                    if !same_text {
                        let last = entry.publications.remove(at);
                        entry.publications.push(last);
                    }
                }
            }
            (Some(at), None) => {
                let publication = entry.publications.remove(at);
                kept.ends.remove(&(publication.document.expires, publication.name));
            }
            (None, Some((document, shared))) => {
                kept.last += 1;
                kept.ends.insert((document.expires, kept.last), resource.clone());
                entry.publications.push(Publication { name: kept.last, document, shared });
            }
            (None, None) => {}
        }
        kept.octets = kept.octets + entry.octets(resource) - before;
        self.publications.fetch_add(entry.publications.len(), Ordering::Relaxed);
        self.publications.fetch_sub(number, Ordering::Relaxed);
        self.octets.store(kept.octets, Ordering::Relaxed);
        // Marks are told of refreshes too: they know when what they told ends.
        self.note(kept, resource);
    }

    /// Drops what has expired, and tells the shards.
    pub(super) fn expire(&self, now: Time) {
        self.drop_expired(&mut self.kept.lock(), now);
    }

    pub(super) fn drop_expired(&self, kept: &mut Kept, now: Time) {
        while let Some(first) = kept.ends.first_entry().filter(|first| first.key().0 <= now) {
            let (name, resource) = (first.key().1, first.remove());
            let Some(entry) = kept.resources.get_mut(&resource) else { continue };
            let before = entry.octets(&resource);
            entry.publications.retain(|publication| publication.name != name);
            kept.octets = kept.octets + entry.octets(&resource) - before;
            self.publications.fetch_sub(1, Ordering::Relaxed);
            self.note(kept, &resource);
        }
        self.octets.store(kept.octets, Ordering::Relaxed);
    }

    /// Tells who has marked a resource; without marks and publications it is forgotten.
    fn note(&self, kept: &mut Kept, resource: &Resource) {
        let Some(entry) = kept.resources.get_mut(resource) else { return };
        if entry.marks.is_empty() && entry.publications.is_empty() {
            kept.resources.remove(resource);
            return;
        }
        for (shard, told) in entry.marks.iter_mut().filter(|(_, told)| !*told) {
            *told = true;
            kept.changed.push((*shard, resource.clone()));
            self.wakes.wake(*shard);
        }
    }
}

/// What the other nodes are told when something takes the place of something else.
fn change_of(old: Option<&Shared>, new: Option<(&Document, &Shared)>) -> Option<Change> {
    let (shared, what) = match (old, new) {
        (_, Some((document, shared))) => {
            let (field, teller) = (shared.field.clone(), shared.teller.clone());
            let published = Published { field, turn: shared.turn, document: document.clone(), teller };
            (shared, What::Publish(Box::new(published)))
        }
        (Some(old), None) => (old, What::Forget),
        (None, None) => return None,
    };
    Some(Change {
        field: shared.field.to_string(),
        call_id: shared.field.clone(),
        cseq: shared.turn,
        what,
        before: None,
    })
}

/// Whether there is room.
struct Room<'k> {
    kept: &'k Kept,
    limits: &'k config::Events,
    publications: usize,
}

impl Room<'_> {
    fn check(
        &self,
        resource: &Resource,
        publications: &[Publication],
        old: Option<&Document>,
        new: &Document,
    ) -> Result<(), NotPublished> {
        let freed = old.map_or(0, |old| cost(resource, old));
        let octets = self.kept.octets - freed + cost(resource, new);
        // The calls that the proxy tells and what telephones publish do not take each other's room.
        let of_call = is_of_call(new);
        let is_other = |one: &&Document| is_of_call(one) == of_call && old.is_none_or(|old| old.etag != one.etag);
        let others = publications.iter().map(|publication| &publication.document).filter(is_other);
        let (number, bodies) = others.fold((0, 0), |(number, octets), one| (number + 1, octets + one.body.len()));
        let most = if of_call { MOST_OCTETS_OF_CALLS } else { MOST_OCTETS_OF_USER };
        if number >= self.limits.publications_per_user || bodies + new.body.len() > most {
            return Err(NotPublished::ResourceFull);
        }
        let more = usize::from(old.is_none());
        let fits = self.publications + more <= self.limits.publications && octets <= self.limits.publication_octets;
        fits.then_some(()).ok_or(NotPublished::StoreFull)
    }
}
