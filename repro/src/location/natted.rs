//! Contacts behind NATs, which are pinged.

use super::{Change, Located, LocationStore, PARTS};
use rutil::Time;
use stack::contents::event::reg_info::Event;
use std::sync::Arc;

/// A contact behind a NAT that forgets it when nothing is sent there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Natted {
    /// The address-of-record.
    pub aor: Arc<str>,
    /// The contact.
    pub contact: Located,
    /// How many pings it has not answered, one after the other.
    pub missed: u8,
}

impl LocationStore {
    /// Those of one part of the store, 0 to 15.
    pub(crate) fn natted(&self, part: usize, now: Time) -> Vec<Natted> {
        let part = self.parts[part % PARTS].read();
        let of = |aor: &str, record: &super::Record| -> Vec<Natted> {
            let live = record.iter().filter(|binding| binding.wants_pings() && binding.expires_at > now);
            live.map(|one| Natted { aor: aor.into(), contact: one.located(), missed: one.missed }).collect()
        };
        part.iter().flat_map(|(aor, record)| of(aor, record)).collect()
    }

    /// One of them has answered.
    pub(crate) fn answered(&self, ping: &Natted) {
        if let Some(record) = self.part(&ping.aor).write().get_mut(&*ping.aor) {
            record.iter_mut().filter(|binding| binding.gave(&ping.contact)).for_each(|binding| binding.missed = 0);
        }
    }

    /// One of them has not answered. With the `most`th time in a row it is removed; 0: never. Whether it is.
    pub(crate) fn missed(&self, ping: &Natted, most: u8, now: Time) -> bool {
        let mut part = self.part(&ping.aor).write();
        let Some(record) = part.get_mut(&*ping.aor) else { return false };
        for binding in record.iter_mut().filter(|binding| binding.gave(&ping.contact)) {
            binding.missed = binding.missed.saturating_add(1);
        }
        let gone = |binding: &super::Binding| most > 0 && binding.missed >= most && binding.gave(&ping.contact);
        let gone_ones = || record.iter().filter(|binding| gone(binding));
        self.note(&ping.aor, now, || gone_ones().map(|one| Change::new(Event::Deactivated, one)).collect());
        self.leave(gone_ones());
        let before = record.len();
        record.retain(|binding| !gone(binding));
        record.len() < before
    }
}
