//! Contacts behind NATs, which are pinged.

use super::{Located, LocationStore, PARTS, Record};
use rutil::Time;
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

    /// One of them has not answered. With the `most`th time in a row it is removed; 0: never. What is removed.
    pub(crate) fn missed(&self, ping: &Natted, most: u8, now: Time) -> Record {
        if let Some(record) = self.part(&ping.aor).write().get_mut(&*ping.aor) {
            for binding in record.iter_mut().filter(|binding| binding.gave(&ping.contact)) {
                binding.missed = binding.missed.saturating_add(1);
            }
        }
        self.remove_where(&ping.aor, now, |one| most > 0 && one.missed >= most && one.gave(&ping.contact))
    }
}
