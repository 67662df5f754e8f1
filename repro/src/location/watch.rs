//! Who hears of changes of which addresses-of-record: a mark for each that somebody watches.
//!
//! Where nobody watches anything, a change costs one load. Else what has changed is kept at the mark, for each shard that
//! set one, and the shard's proxy is woken; it takes everything at once. Bounded: marks by who sets them, the changes of
//! a mark by [`MOST_CHANGES`], of which each contact has one; when there are more it is told that it has lost some.

use super::Binding;
use crate::wakes::Wakes;
use parking_lot::Mutex;
use rutil::hash::Keyed;
use rutil::{HashMap, Time};
use smallvec::SmallVec;
use stack::contents::event::reg_info::Event;
use stack::tu::TuPoster;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Most changes that a mark keeps.
const MOST_CHANGES: usize = 64;

/// What has become of a contact (RFC 3680 §4.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What brought it there.
    pub event: Event,
    /// The contact, afterwards, or as it was last.
    pub binding: Binding,
}

impl Change {
    pub(super) fn new(event: Event, binding: &Binding) -> Self {
        Change { event, binding: binding.clone() }
    }
}

/// What has become of an address-of-record since the last time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The last change of each contact.
    pub list: Vec<Change>,
    /// There were more: only a look at the store tells.
    pub lost: bool,
}

impl Changes {
    fn add(&mut self, new: &[Change]) {
        for change in new {
            self.list.retain(|known| known.binding.id != change.binding.id);
            if self.list.len() < MOST_CHANGES {
                self.list.push(change.clone());
            } else {
                self.lost = true;
            }
        }
    }
}

/// Who sets a mark: each takes back its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watcher {
    /// Who tells of registrations (RFC 3680).
    Registrations = 1,
    /// Who tells of presence (RFC 3856).
    Presence = 2,
}

#[derive(Debug)]
struct Mark {
    shard: u16,
    /// Who has set it, a bit each.
    by: u8,
    changes: Changes,
}

#[derive(Debug)]
struct Marks {
    by_aor: HashMap<Box<str>, SmallVec<[Mark; 1]>>,
    /// Those whose marks have changes, and for which shard.
    changed: Vec<(u16, Box<str>)>,
}

/// The marks.
pub struct Watch {
    /// How many there are.
    count: AtomicUsize,
    marks: Mutex<Marks>,
    wakes: Wakes,
}

impl Watch {
    pub(super) fn new(hasher: &Keyed) -> Self {
        Watch {
            count: AtomicUsize::new(0),
            marks: Mutex::new(Marks { by_aor: HashMap::with_hasher(hasher.clone()), changed: Vec::new() }),
            wakes: Wakes::new(),
        }
    }

    /// Says how shards are woken, once the stack has started.
    pub(crate) fn set_poster(&self, poster: TuPoster) {
        self.wakes.set_poster(poster);
    }

    /// From now on a shard hears of an address-of-record.
    pub fn set(&self, aor: &str, shard: u16, by: Watcher) {
        let mut all = self.marks.lock();
        let marks = all.by_aor.entry(aor.into()).or_default();
        match marks.iter_mut().find(|mark| mark.shard == shard) {
            Some(mark) => mark.by |= by as u8,
            None => {
                marks.push(Mark { shard, by: by as u8, changes: Changes::default() });
                self.count.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    /// A shard hears no more of an address-of-record, unless somebody else there does.
    pub fn clear(&self, aor: &str, shard: u16, by: Watcher) {
        let mut all = self.marks.lock();
        let Some(marks) = all.by_aor.get_mut(aor) else { return };
        let before = marks.len();
        marks.iter_mut().filter(|mark| mark.shard == shard).for_each(|mark| mark.by &= !(by as u8));
        marks.retain(|mark| mark.by != 0);
        if marks.len() == before {
            return;
        }
        self.count.fetch_sub(before - marks.len(), Ordering::SeqCst);
        if marks.is_empty() {
            all.by_aor.remove(aor);
        }
        all.changed.retain(|(of, changed)| *of != shard || **changed != *aor);
    }

    /// Something has changed, if anybody watches that.
    pub(super) fn note(&self, aor: &str, what: impl FnOnce() -> Vec<Change>) {
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut all = self.marks.lock();
        let Marks { by_aor, changed } = &mut *all;
        let Some(marks) = by_aor.get_mut(aor) else { return };
        let changes = what();
        if changes.is_empty() {
            return;
        }
        for mark in marks {
            if mark.changes.list.is_empty() {
                changed.push((mark.shard, aor.into()));
            }
            mark.changes.add(&changes);
            self.wakes.wake(mark.shard);
        }
    }

    /// Whether there may be something for a shard to take.
    pub fn is_ready(&self, shard: u16) -> bool {
        self.wakes.is_ready(shard)
    }

    /// Takes what has changed.
    pub fn take(&self, shard: u16) -> Vec<(Box<str>, Changes)> {
        if !self.wakes.take(shard) {
            return Vec::new();
        }
        let mut all = self.marks.lock();
        let Marks { by_aor, changed } = &mut *all;
        let own = changed.extract_if(.., |(of, _)| *of == shard);
        let taken = own.filter_map(|(_, aor)| {
            let mark = by_aor.get_mut(&aor)?.iter_mut().find(|mark| mark.shard == shard)?;
            Some((aor, std::mem::take(&mut mark.changes)))
        });
        taken.collect()
    }
}

/// What tells two records apart.
pub(super) fn changes(old: &[Binding], new: &[Binding], now: Time) -> Vec<Change> {
    let is_in = |binding: &Binding, record: &[Binding]| record.iter().any(|other| other.id == binding.id);
    let gone = old.iter().filter(|binding| !is_in(binding, new)).map(|binding| {
        let event = if binding.expires_at <= now { Event::Expired } else { Event::Unregistered };
        Change::new(event, binding)
    });
    let come = new.iter().filter(|binding| !old.contains(binding)).map(|binding| {
        let event = if is_in(binding, old) { Event::Refreshed } else { Event::Registered };
        Change::new(event, binding)
    });
    gone.chain(come).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::location::{By, NewBinding};
    use Watcher::{Presence, Registrations};
    use rutil::Rng;

    fn binding(id: u32, expires: u64) -> Binding {
        let uri = stack::uri::Uri::parse("sip:a@192.0.2.1").unwrap();
        let new = NewBinding {
            uri: &uri,
            text: uri.to_string().into(),
            params: "",
            q: 1000,
            expires_at: Time::from_millis(expires),
            call_id: "c",
            cseq: 1,
            neighbour: None,
            by: By::Uri,
            device: None,
            reg_id: 0,
            now: Time::ZERO,
        };
        let mut binding = Binding::new(new);
        binding.id = id;
        binding
    }

    fn ids(changes: &[Change]) -> Vec<(u32, Event)> {
        changes.iter().map(|change| (change.binding.id, change.event)).collect()
    }

    #[test]
    fn records_are_compared_by_the_names_of_their_bindings() {
        let old = [binding(1, 10), binding(2, 500), binding(3, 500), binding(4, 500)];
        let new = [binding(3, 900), binding(4, 500), binding(5, 500)];
        let told = ids(&changes(&old, &new, Time::from_millis(100)));
        let expected = [(1, Event::Expired), (2, Event::Unregistered), (3, Event::Refreshed), (5, Event::Registered)];
        assert_eq!(told, expected);
    }

    #[test]
    fn each_shard_takes_what_it_has_a_mark_for_and_of_a_contact_the_last() {
        let watch = Watch::new(&Keyed::new(&mut Rng::from_seed(1)));
        let change = |id, event| vec![Change::new(event, &binding(id, 500))];
        watch.note("a@h", || panic!("nobody watches"));
        watch.set("a@h", 0, Registrations);
        watch.set("a@h", 1, Registrations);
        watch.set("a@h", 1, Presence);
        watch.note("b@h", || panic!("nobody watches that"));
        watch.note("a@h", || change(1, Event::Registered));
        watch.note("a@h", || change(2, Event::Registered));
        watch.note("a@h", || change(1, Event::Refreshed));
        assert!(watch.is_ready(0) && watch.is_ready(1) && !watch.is_ready(2));
        let taken = watch.take(1);
        assert_eq!(taken.iter().map(|(aor, _)| &**aor).collect::<Vec<_>>(), ["a@h"]);
        assert_eq!(ids(&taken[0].1.list), [(2, Event::Registered), (1, Event::Refreshed)]);
        assert!(!watch.is_ready(1) && watch.take(1).is_empty());
        watch.clear("a@h", 0, Registrations);
        assert!(watch.take(0).is_empty());
        watch.clear("a@h", 1, Registrations);
        watch.note("a@h", || change(3, Event::Registered));
        assert_eq!(watch.take(1).len(), 1, "presence is told still");
        watch.clear("a@h", 1, Presence);
        watch.note("a@h", || panic!("nobody watches any more"));
    }

    #[test]
    fn changes_are_bounded() {
        let watch = Watch::new(&Keyed::new(&mut Rng::from_seed(1)));
        watch.set("a@h", 0, Registrations);
        for id in 1..=100 {
            watch.note("a@h", || vec![Change::new(Event::Registered, &binding(id, 500))]);
        }
        let taken = watch.take(0);
        assert_eq!((taken[0].1.list.len(), taken[0].1.lost), (MOST_CHANGES, true));
    }
}
