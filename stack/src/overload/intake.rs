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
/// How often the share is looked at.
const INTERVAL: Duration = Duration::from_millis(100);
/// How long after a look comes one in a rush, and the refusals that make one.
const EARLY: Duration = Duration::from_millis(20);
const RUSH: f32 = 100.0;
/// Looks that count: longer than it takes until a backlog is refused and gone, or every other one would see no refusal.
const WINDOW: f32 = 8.0;
/// Of the capacity: when less is taken on and nobody refused, the load has fallen, or too few are let in.
const QUIET: f32 = 0.6;
/// So few refusals in a look are chance, and cost nothing.
const FEW: f32 = 4.0;

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
///
/// It wants little change more than the best share: who was dropped asks again for half a minute, and is let in late when
/// the share grows. So it learns what can be taken on in an interval (`capacity`), lets in a third of its part more, and
/// then stays until too many are refused, or hardly anybody for some time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Valve {
    share: u32,
    /// Tolerated are so many refusals to one that is taken on: one part of this.
    part: f32,
    /// Since the last look.
    now: Seen,
    /// Since the share was changed, the older the less.
    since: Seen,
    /// Looks in `since`.
    looks: f32,
    /// What can be taken on between two looks.
    capacity: f32,
    /// Looks that see what was let in by the share before, and waited.
    blind: u8,
    /// Looks in a row in which much less came than can be taken on.
    quiet: u8,
    /// Looks in a row in which hardly anybody was refused.
    calm: u8,
    /// The last look.
    last: Option<Time>,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    taken: f32,
    refused: f32,
}

impl Valve {
    /// Refusals up to one in `part` of what is taken on are tolerated.
    pub(crate) const fn new(part: u8) -> Self {
        let nothing = Seen { taken: 0.0, refused: 0.0 };
        Valve {
            share: ALL,
            part: part as f32,
            now: nothing,
            since: nothing,
            looks: 0.0,
            capacity: 0.0,
            blind: 0,
            quiet: 0,
            calm: 0,
            last: None,
        }
    }

    /// New work was taken on.
    pub(crate) fn taken(&mut self) {
        self.now.taken += 1.0;
    }

    /// New work was refused, or dropped, of those who could have been kept out by a smaller share.
    pub(crate) fn refused(&mut self) {
        self.now.refused += 1.0;
    }

    /// Looks at what was counted, when it is time; the share, if it has changed.
    pub(crate) fn look(&mut self, now: Time) -> Option<u32> {
        let since_last = self.last.map_or(INTERVAL, |last| now - last);
        let rush = self.blind == 0 && since_last >= EARLY && self.now.refused > RUSH && self.is_rush(self.now);
        if since_last < INTERVAL && !rush {
            return None;
        }
        self.last = Some(now);
        let mut seen = std::mem::take(&mut self.now);
        if since_last < INTERVAL {
            let scale = INTERVAL.as_secs_f32() / since_last.as_secs_f32();
            seen = Seen { taken: seen.taken * scale, refused: seen.refused * scale };
        }
        self.learn(seen);
        let (quiet, calm) = (seen.refused == 0.0 && seen.taken < self.capacity * QUIET, self.hardly_refuses(seen));
        self.quiet = if quiet { self.quiet.saturating_add(1) } else { 0 };
        self.calm = if calm { self.calm.saturating_add(1) } else { 0 };
        if self.blind > 0 {
            self.blind -= 1;
            return None;
        }
        if self.looks >= WINDOW {
            (self.since.taken, self.since.refused) = (self.since.taken / 2.0, self.since.refused / 2.0);
            self.looks /= 2.0;
        }
        (self.since.taken, self.since.refused) = (self.since.taken + seen.taken, self.since.refused + seen.refused);
        self.looks += 1.0;
        let before = self.share;
        self.share = self.wanted(seen);
        if self.share == before {
            return None;
        }
        (self.since, self.looks, self.calm) = (Seen::default(), 0.0, 0);
        self.blind = if self.share < before { 2 } else { 0 };
        Some(self.share)
    }

    /// Takes a look for what it says of the capacity: something only when there was too much, or more than ever. Quickly
    /// up, so that the share is found from above: what is let in too much costs a refusal, what is let in later comes late.
    fn learn(&mut self, seen: Seen) {
        let more = seen.taken - self.capacity;
        if self.capacity == 0.0 || (more > 0.0 && seen.refused > 0.0) {
            self.capacity += if self.capacity == 0.0 { more } else { more / 2.0 };
        } else if more > 0.0 || seen.refused > seen.taken / 8.0 {
            self.capacity += more / 8.0;
        }
    }

    /// So many refusals that there is no time to lose: what the sockets cannot keep is lost, whatever it is.
    fn is_rush(&self, seen: Seen) -> bool {
        seen.refused > FEW && seen.refused * self.part > 3.0 * seen.taken.max(self.capacity)
    }

    fn hardly_refuses(&self, seen: Seen) -> bool {
        seen.refused * self.part * 16.0 <= seen.taken
    }

    /// The share for what was `seen` last and since the last change.
    fn wanted(&self, seen: Seen) -> u32 {
        let (share, since) = (self.share as f32, self.since);
        let too_many = self.looks >= 4.0
            && seen.refused > 0.0
            && since.refused > FEW * self.looks
            && since.refused * self.part > 1.5 * since.taken;
        if too_many || self.is_rush(seen) {
            let capacity = self.capacity.max(since.taken / self.looks);
            let let_in = (since.taken + since.refused) / self.looks;
            let best = share * capacity * (1.0 + 1.0 / (3.0 * self.part)) / let_in;
            // Not below an eighth at once: one look may have seen a backlog.
            return (best.max(share / 8.0) as u32).clamp(LEAST, self.share);
        }
        if self.quiet >= 5 && self.share < ALL {
            return (self.share * 2).min(ALL);
        }
        if self.calm >= 20 && self.share < ALL {
            // More may be taken on than was thought.
            return ((share * 1.15) as u32).clamp(self.share + 1, ALL);
        }
        self.share
    }

    pub(crate) fn share(&self) -> u32 {
        self.share
    }

    /// When to look again although nothing comes.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.last.filter(|_| self.share < ALL).map(|last| last + INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays looks at what is left of `offered` a second, of which `capacity` can be taken on; the shares.
    fn play(valve: &mut Valve, from: u64, looks: u64, offered: u32, capacity: u32) -> Vec<u32> {
        let play_one = |at| {
            let seen = offered / 10 * valve.share / ALL;
            (0..seen.min(capacity / 10)).for_each(|_| valve.taken());
            (0..seen.saturating_sub(capacity / 10)).for_each(|_| valve.refused());
            valve.look(Time::from_millis(100 * at));
            valve.share
        };
        (from..from + looks).map(play_one).collect()
    }

    #[test]
    fn a_little_too_much_is_refused_and_much_too_much_is_not_let_in() {
        let mut valve = Valve::new(1);
        assert_eq!(play(&mut valve, 1, 25, 1000, 1000), [ALL; 25]);
        assert_eq!(play(&mut valve, 26, 25, 1900, 1000), [ALL; 25], "refused by us");
        for (from, times) in [(51, 3), (101, 5), (151, 10), (201, 100)] {
            let shares = play(&mut valve, from, 50, 1000 * times, 1000);
            let seen = 1000 * times * shares[49] / ALL;
            assert!((1000..=2000).contains(&seen), "{times} times: {seen} are let in, {shares:?}");
            assert_eq!(shares[30..], [shares[49]; 20], "{times} times: who was dropped comes back when it changes");
        }
        // The rush of a hundred times is over: within three seconds all is as before, and nothing is to be looked at.
        assert_eq!(play(&mut valve, 251, 30, 500, 1000)[29], ALL);
        assert_eq!(valve.deadline(), None);
    }

    #[test]
    fn it_finds_its_way_back_when_more_can_be_taken_on_than_before() {
        let mut valve = Valve::new(1);
        assert!(play(&mut valve, 1, 50, 10_000, 500)[49] <= 128);
        let shares = play(&mut valve, 51, 250, 10_000, 2000);
        assert!((204..=410).contains(&shares[249]), "{shares:?}");
    }

    #[test]
    fn neighbours_are_asked_for_little_more_than_can_be_served() {
        let mut valve = Valve::new(16);
        let shares = play(&mut valve, 1, 50, 3000, 1000);
        assert!((341..=363).contains(&shares[49]), "{shares:?}");
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
        let mut changes = Vec::new();
        for at in 0..175 {
            (0..1000).for_each(|_| valve.refused());
            changes.extend(valve.look(Time::from_millis(10 * at)).map(|share| (at, share)));
        }
        assert_eq!(changes, [(0, 128), (22, 16), (44, LEAST)]);
        assert_eq!((valve.share, valve.deadline()), (LEAST, Some(Time::from_millis(1840))));
    }

    #[test]
    fn a_few_refusals_change_nothing() {
        let mut valve = Valve::new(1);
        for at in 0..50 {
            valve.refused();
            assert_eq!(valve.look(Time::from_millis(100 * at)), None);
        }
    }
}
