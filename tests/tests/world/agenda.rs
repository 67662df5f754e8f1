//! What a transaction user means to do later.

use rutil::Time;
use std::collections::BTreeMap;

/// Things to do, by time and then in the order in which they were put down.
pub(crate) struct Agenda<T> {
    entries: BTreeMap<(Time, u64), T>,
    number: u64,
}

impl<T> Agenda<T> {
    pub(crate) fn new() -> Self {
        Agenda { entries: BTreeMap::new(), number: 0 }
    }

    pub(crate) fn put(&mut self, at: Time, what: T) {
        self.number += 1;
        self.entries.insert((at, self.number), what);
    }

    pub(crate) fn next(&self) -> Option<Time> {
        self.entries.first_key_value().map(|((at, _), _)| *at)
    }

    pub(crate) fn take(&mut self, now: Time) -> Option<T> {
        if self.next()? > now {
            return None;
        }
        self.entries.pop_first().map(|(_, what)| what)
    }
}
