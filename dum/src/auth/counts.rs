//! How often each nonce was used: what a recorded request is known by (RFC 7616 §5.5).

use parking_lot::Mutex;
use rutil::{HashMap, Keyed, Rng, Time};
use stack::auth::Nonce;
use std::hash::BuildHasher;

/// Parts, each with its lock, so that threads seldom meet.
const PARTS: usize = 16;

/// The counts that one nonce was used with.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// The highest.
    highest: u32,
    /// Which of the 32 below it, by bits: requests may overtake each other.
    below: u32,
}

impl Seen {
    /// Whether a count is used for the first time, which it now is.
    fn take(&mut self, count: u32) -> bool {
        if count > self.highest {
            let ahead = count - self.highest;
            // The bit of what was the highest comes in with the shift; of a nonce that was never used there is none.
            let shifted = (u64::from(self.below) << 1 | u64::from(self.highest > 0)).checked_shl(ahead - 1);
            (self.highest, self.below) = (count, shifted.unwrap_or(0) as u32);
            return true;
        }
        let bit = (1u64.checked_shl(self.highest - count).unwrap_or(0) >> 1) as u32;
        let new = count > 0 && bit != 0 && self.below & bit == 0;
        self.below |= if new { bit } else { 0 };
        new
    }
}

/// Half of what a part remembers.
#[derive(Debug)]
struct Generation {
    seen: HashMap<u64, Seen>,
    /// When the youngest nonce in it was made.
    latest: Time,
}

#[derive(Debug)]
struct Part {
    young: Generation,
    old: Generation,
    /// Nonces that were made until then and are not remembered may have been used.
    forgotten: Option<Time>,
    most: usize,
}

impl Part {
    fn take(&mut self, nonce: Nonce, count: u32) -> bool {
        if let Some(seen) = self.young.seen.get_mut(&nonce.id) {
            return seen.take(count);
        }
        let known = self.old.seen.remove(&nonce.id);
        if known.is_none() && self.forgotten.is_some_and(|until| nonce.at <= until) {
            return false;
        }
        if self.young.seen.len() >= self.most {
            let empty = HashMap::with_hasher(self.young.seen.hasher().clone());
            let young = Generation { seen: empty, latest: Time::ZERO };
            let left = std::mem::replace(&mut self.old, std::mem::replace(&mut self.young, young));
            if !left.seen.is_empty() {
                self.forgotten = self.forgotten.max(Some(left.latest));
            }
        }
        self.young.latest = self.young.latest.max(nonce.at);
        self.young.seen.entry(nonce.id).or_insert(known.unwrap_or_default()).take(count)
    }
}

/// The counts of the nonces that were answered rightly, for all threads. What finds no room pushes out the oldest half, and
/// then no nonce is taken any more that is as old as what was pushed out: clients have to answer a new one sooner, but
/// nothing is ever taken twice.
#[derive(Debug)]
pub(super) struct NonceCounts {
    parts: [Mutex<Part>; PARTS],
    hasher: Keyed,
}

impl NonceCounts {
    /// Room for so many nonces.
    pub(super) fn new(most: usize, rng: &mut Rng) -> Self {
        let hasher = Keyed::new(rng);
        let generation = || Generation { seen: HashMap::with_hasher(hasher.clone()), latest: Time::ZERO };
        let part = || Part { young: generation(), old: generation(), forgotten: None, most: (most / PARTS / 2).max(1) };
        NonceCounts { parts: std::array::from_fn(|_| Mutex::new(part())), hasher }
    }

    /// Whether a nonce was not used with this count before, which it now is.
    pub(super) fn take(&self, nonce: Nonce, count: u32) -> bool {
        let part = self.hasher.hash_one(nonce.id) as usize % PARTS;
        self.parts.get(part).is_some_and(|part| part.lock().take(nonce, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn nonce(id: u64, at: u64) -> Nonce {
        Nonce { at: Time::from_millis(at), id }
    }

    fn counts(most: usize) -> NonceCounts {
        NonceCounts::new(most, &mut Rng::from_seed(1))
    }

    #[test]
    fn each_count_serves_once_in_whatever_order() {
        let counts = counts(100);
        let mut used = HashSet::new();
        for count in [1, 1, 3, 2, 2, 3, 40, 39, 8, 8, 7, 4, 72, 71, 40, 0, u32::MAX, u32::MAX, 72, u32::MAX - 1] {
            let highest = used.iter().max().copied().unwrap_or(0);
            let within = count > highest || count > 0 && highest - count <= 32;
            let expected = within && used.insert(count);
            assert_eq!(counts.take(nonce(7, 1), count), expected, "{count} after {highest}");
        }
        assert!(!counts.take(nonce(8, 1), 0), "counts begin with 1");
    }

    /// A model with all that was ever used: whatever is forgotten, nothing is taken twice.
    #[test]
    fn nothing_is_taken_twice_however_many_nonces_there_are() {
        let (counts, mut rng, mut used) = (counts(64), Rng::from_seed(3), HashSet::new());
        let mut taken = 0;
        for now in 1..20_000u64 {
            let id = now.saturating_sub(rng.next_u64() % 200).max(1);
            let count = 1 + (rng.next_u64() % 4) as u32;
            if counts.take(nonce(id, id), count) {
                taken += 1;
                assert!(used.insert((id, count)), "{id} {count} a second time");
            }
        }
        assert!(taken > 2_000, "{taken}");
        for part in &counts.parts {
            let part = part.lock();
            assert!(part.young.seen.len() <= 2 && part.old.seen.len() <= 2);
        }
    }

    #[test]
    fn one_of_many_threads_has_a_count() {
        let (counts, taken) = (counts(1_000), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for id in 0..500 {
                        if counts.take(nonce(id, 1), 1) {
                            taken.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(taken.into_inner(), 500);
    }
}
