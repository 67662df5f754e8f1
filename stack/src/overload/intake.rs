//! How much new work the kernel lets through to the sockets at all.
//!
//! An answer of 503 costs a tenth of a call. At ten times the capacity nothing but answers would be given, so only some
//! of those who are refused get one; what is beyond that is dropped by the kernel, at nobody's cost here.

use rutil::{Backlog, Time};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Everything is let through.
pub(crate) const ALL: u32 = 1024;
/// The least that is let through, of [`ALL`]: enough to see when the rush is over.
const LEAST: u32 = 4;
/// How often the share is looked at: longer than it takes until a backlog is refused and gone, or every other look would
/// see no refusal.
const INTERVAL: Duration = Duration::from_millis(250);

/// What a shard and its sockets tell each other: what waits in them, and how much new work they should let through.
#[derive(Debug)]
pub struct Intake {
    /// Told by the transports.
    pub backlog: std::sync::Arc<Backlog>,
    /// A [`Gate`]; told by the scanner.
    gate: AtomicU64,
    /// Of [`ALL`]: what neighbours are asked to send; told by the scanner.
    wanted: AtomicU32,
}

/// Which datagrams with new work the kernel lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gate {
    /// How many of [`ALL`].
    pub(crate) share: u32,
    /// What the lots are drawn with: who knows it could make requests that pass always. 53 bits.
    pub(crate) key: u64,
}

impl Gate {
    const SHARE_BITS: u32 = 11;
    /// Everything passes.
    pub(crate) const OPEN: Gate = Gate { share: ALL, key: 0 };

    const fn pack(self) -> u64 {
        self.key << Self::SHARE_BITS | self.share as u64
    }

    const fn unpack(packed: u64) -> Self {
        Gate { share: packed as u32 & ((1 << Self::SHARE_BITS) - 1), key: packed >> Self::SHARE_BITS }
    }
}

impl Default for Intake {
    fn default() -> Self {
        Intake { backlog: Default::default(), gate: AtomicU64::new(Gate::OPEN.pack()), wanted: AtomicU32::new(ALL) }
    }
}

impl Intake {
    /// How many of 1024 datagrams with new work are to be let through.
    pub fn share(&self) -> u32 {
        self.gate().share
    }

    pub(crate) fn gate(&self) -> Gate {
        Gate::unpack(self.gate.load(Ordering::Relaxed))
    }

    pub(crate) fn wanted(&self) -> u32 {
        self.wanted.load(Ordering::Relaxed)
    }

    pub(crate) fn set_wanted(&self, share: u32) {
        self.wanted.store(share, Ordering::Relaxed);
    }

    pub(crate) fn set_gate(&self, gate: Gate) {
        self.gate.store(gate.pack(), Ordering::Relaxed);
    }
}

/// Finds the share that keeps refusals below a part of what is taken on. A machine: it counts, and is asked at intervals.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Valve {
    share: u32,
    /// Tolerated are so many refusals to one that is taken on: one part of this.
    part: u64,
    taken: u32,
    refused: u32,
    due: Time,
}

impl Valve {
    /// Refusals up to one in `part` of what is taken on are tolerated.
    pub(crate) const fn new(part: u64) -> Self {
        Valve { share: ALL, part, taken: 0, refused: 0, due: Time::ZERO }
    }

    /// New work was taken on.
    pub(crate) fn taken(&mut self) {
        self.taken += 1;
    }

    /// New work was refused, or dropped, of those who could have been kept out by a smaller share.
    pub(crate) fn refused(&mut self) {
        self.refused += 1;
    }

    /// Looks at what was counted, when it is time; the share, if it has changed.
    pub(crate) fn look(&mut self, now: Time) -> Option<u32> {
        if now < self.due {
            return None;
        }
        self.due = now + INTERVAL;
        let (taken, refused, before) = (u64::from(self.taken), u64::from(self.refused), self.share);
        (self.taken, self.refused) = (0, 0);
        if refused > taken / self.part {
            // Half of that more than what was taken on: somebody must be refused, or nobody knows that more would come.
            let wanted = u64::from(before) * (taken + taken / (2 * self.part)) / (taken + refused);
            self.share = (wanted as u32).clamp(before / 16, before).max(LEAST);
        } else if refused == 0 {
            self.share = (before * 3 / 2).max(before + 1).min(ALL);
        }
        (self.share != before).then_some(self.share)
    }

    pub(crate) fn share(&self) -> u32 {
        self.share
    }

    /// When to look again although nothing comes.
    pub(crate) fn deadline(&self) -> Option<Time> {
        (self.share < ALL).then_some(self.due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays intervals in which so many come, of which so many can be taken on; the shares.
    fn play(valve: &mut Valve, from: u64, intervals: u64, offered: u32, capacity: u32) -> Vec<u32> {
        let mut shares = Vec::new();
        for at in from..from + intervals {
            let seen = offered * valve.share / ALL;
            (0..seen.min(capacity)).for_each(|_| valve.taken());
            (0..seen.saturating_sub(capacity)).for_each(|_| valve.refused());
            valve.look(Time::from_millis(250 * at));
            shares.push(valve.share);
        }
        shares
    }

    #[test]
    fn a_little_too_much_is_refused_and_much_too_much_is_not_let_in() {
        let mut valve = Valve::new(2);
        assert_eq!(play(&mut valve, 1, 10, 1000, 1000), [ALL; 10]);
        assert_eq!(play(&mut valve, 11, 10, 1400, 1000), [ALL; 10], "refused by us");
        for (from, times) in [(21, 2), (41, 5), (61, 10), (81, 100)] {
            let shares = play(&mut valve, from, 20, 1000 * times, 1000);
            let seen = 1000 * times * shares[19] / ALL;
            assert!((1000..=1300).contains(&seen), "{times} times: {seen} are let in, {shares:?}");
        }
        // The rush of a hundred times is over: within three seconds all is as before, and nothing is to be looked at.
        assert_eq!(play(&mut valve, 101, 12, 500, 1000)[11], ALL);
        assert_eq!(valve.deadline(), None);
    }

    #[test]
    fn a_gate_survives_the_way_to_the_sockets() {
        let intake = Intake::default();
        assert_eq!((intake.gate(), intake.share()), (Gate::OPEN, ALL));
        for gate in [Gate { share: LEAST, key: (1 << 53) - 1 }, Gate { share: ALL - 1, key: 5 }] {
            intake.set_gate(gate);
            assert_eq!((intake.gate(), intake.share()), (gate, gate.share));
        }
    }

    #[test]
    fn it_looks_at_intervals_and_never_closes() {
        let mut valve = Valve::new(2);
        for at in 0..175 {
            (0..1000).for_each(|_| valve.refused());
            assert_eq!(valve.look(Time::from_millis(10 * at)).is_some(), at == 0 || at == 25, "{at}");
        }
        assert_eq!((valve.share, valve.deadline()), (LEAST, Some(Time::from_millis(1750))));
    }
}
