//! A hierarchical timing wheel: a million timers, armed and expired in constant time each.
//!
//! Eight levels of 64 slots; a slot of level *n* spans 64ⁿ ticks. A timer lies in the level of the highest six-bit
//! digit in which its tick differs from the present one, so each timer of a level fires before each of the level above,
//! and moves down when the present enters its slot: at most once a level (twice for SIP's 32 s at 1 ms).
//!
//! A slot is the head and tail of a list through one slab. A timer costs 8 bytes of deadline, 4 of link and its item,
//! rounded up to the alignment: 16 bytes for an item of four. Freed nodes are used again; the slab keeps its peak
//! size, in chunks. What bounds it is what arms it: nothing can be cancelled, so whoever arms gives each timer a
//! generation and ignores the stale ones.

use crate::Time;
use crate::chunks::Chunks;

const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;
const LEVELS: usize = 8;
/// Timers that one [`Wheel::pop`] moves to a lower level. A slot of an upper level may hold hundreds of thousands: to
/// move them at once would stop their runner for tens of milliseconds.
const MOVES: usize = 1024;
/// No node: the end of a list.
const NIL: u32 = u32::MAX;

/// One millisecond, the resolution of [`Wheel`] if none is named, in ns.
pub const MILLISECOND: u64 = 1_000_000;

/// Timers that carry a `T` and fire in ticks of `RESOLUTION` ns (at least 0.1 ms).
///
/// No timer fires early: a deadline is rounded up to a tick. Timers fire in the order of their ticks and, within one
/// tick, in the order in which they were armed; one that is armed while a slot is being moved down may come before others
/// of its tick.
pub struct Wheel<T: Copy, const RESOLUTION: u64 = MILLISECOND> {
    /// The tick up to which everything was expired.
    present: u64,
    len: usize,
    levels: [Level; LEVELS],
    nodes: Chunks<Node<T>>,
    /// Head of the list of free nodes.
    free: u32,
    /// Head of what is left of a slot that is being moved down; the present stands at its first tick meanwhile.
    moving: u32,
}

struct Level {
    /// Bit *i*: slot *i* is not empty.
    occupied: u64,
    slots: [Slot; SLOTS],
}

#[derive(Clone, Copy)]
struct Slot {
    head: u32,
    tail: u32,
}

#[derive(Clone, Copy)]
struct Node<T> {
    tick: u64,
    next: u32,
    item: T,
}

impl<T: Copy, const RESOLUTION: u64> Default for Wheel<T, RESOLUTION> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Copy, const RESOLUTION: u64> Wheel<T, RESOLUTION> {
    /// An empty wheel that stands at [`Time::ZERO`].
    pub fn new() -> Self {
        // From 0.1 ms on every Time has a tick of fewer than BITS × LEVELS bits.
        const { assert!(RESOLUTION >= 100_000) };
        let level = || Level { occupied: 0, slots: [Slot { head: NIL, tail: NIL }; SLOTS] };
        Wheel {
            present: 0,
            len: 0,
            levels: std::array::from_fn(|_| level()),
            nodes: Chunks::new(),
            free: NIL,
            moving: NIL,
        }
    }

    /// Timers that have not fired.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no timer is armed.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Arms a timer that fires at `at` or up to one tick later; one whose time has passed fires at the next
    /// [`Wheel::expire`].
    ///
    /// # Panics
    /// When 2³² − 1 timers are armed.
    pub fn arm(&mut self, at: Time, item: T) {
        let node = Node { tick: at.as_nanos().div_ceil(RESOLUTION).max(self.present), next: NIL, item };
        let index = if self.free == NIL {
            assert!(self.nodes.len() < NIL as usize, "the wheel is full");
            self.nodes.push(node);
            (self.nodes.len() - 1) as u32
        } else {
            let index = self.free;
            self.free = self.nodes[index as usize].next;
            self.nodes[index as usize] = node;
            index
        };
        self.len += 1;
        self.link(index);
    }

    /// Fires every timer whose time has come, in order.
    pub fn expire(&mut self, now: Time, mut fire: impl FnMut(T)) {
        loop {
            match self.pop(now) {
                Some(item) => fire(item),
                None if self.moving == NIL => return,
                None => {}
            }
        }
    }

    /// Takes the first timer whose time has come: for a consumer that may have to stop half-way. With very many timers it
    /// may first have to put them in order: then it gives `None`, and [`Wheel::next_deadline`] is at hand.
    pub fn pop(&mut self, now: Time) -> Option<T> {
        let now = now.as_nanos() / RESOLUTION;
        loop {
            if !self.move_on() {
                return None;
            }
            match self.first() {
                Some((level, slot, start)) if start <= now => {
                    self.present = start;
                    if level == 0 {
                        return Some(self.take_head(slot));
                    }
                    self.move_down(level, slot);
                }
                // No armed timer lies between, so the present may jump over any number of slots.
                _ => {
                    self.present = self.present.max(now);
                    return None;
                }
            }
        }
    }

    /// When to call [`Wheel::expire`] next: perhaps before the first timer fires (then it only moves timers down, and
    /// the next answer is later), never after it.
    pub fn next_deadline(&self) -> Option<Time> {
        if self.len == 0 {
            return None;
        }
        if self.moving != NIL {
            return Some(Time::from_nanos(self.present.saturating_mul(RESOLUTION)));
        }
        self.first().map(|(_, _, start)| Time::from_nanos(start.saturating_mul(RESOLUTION)))
    }

    /// Level, slot and first tick of the slot with the earliest timers.
    fn first(&self) -> Option<(usize, usize, u64)> {
        let (level, occupied) = self.levels.iter().map(|l| l.occupied).enumerate().find(|(_, o)| *o != 0)?;
        let slot = occupied.trailing_zeros();
        let shift = BITS * level as u32;
        let turn = self.present >> (shift + BITS) << (shift + BITS);
        Some((level, slot as usize, turn | u64::from(slot) << shift))
    }

    /// Appends a node to the slot where it belongs as seen from the present.
    fn link(&mut self, index: u32) {
        let tick = self.nodes[index as usize].tick;
        // The lowest digit always counts as different: a timer of this very tick lies in level 0.
        let digit = ((tick ^ self.present) | (SLOTS as u64 - 1)).ilog2() / BITS;
        let level = &mut self.levels[digit as usize];
        let place = (tick >> (BITS * digit)) as usize % SLOTS;
        let slot = &mut level.slots[place];
        if level.occupied & 1 << place == 0 {
            level.occupied |= 1 << place;
            slot.head = index;
        } else {
            self.nodes[slot.tail as usize].next = index;
        }
        slot.tail = index;
    }

    /// Takes the first timer out of a slot of level 0 that is not empty.
    fn take_head(&mut self, place: usize) -> T {
        let level = &mut self.levels[0];
        let slot = &mut level.slots[place];
        let index = slot.head;
        let node = &mut self.nodes[index as usize];
        slot.head = node.next;
        if node.next == NIL {
            level.occupied &= !(1 << place);
        }
        node.next = self.free;
        self.free = index;
        self.len -= 1;
        node.item
    }

    /// Begins to spread a slot, at whose first tick the present has arrived, over the levels below.
    fn move_down(&mut self, level: usize, place: usize) {
        self.levels[level].occupied &= !(1 << place);
        self.moving = self.levels[level].slots[place].head;
    }

    /// Spreads some of it, in order; whether nothing is left.
    fn move_on(&mut self) -> bool {
        for _ in 0..MOVES {
            if self.moving == NIL {
                break;
            }
            let index = self.moving;
            self.moving = std::mem::replace(&mut self.nodes[index as usize].next, NIL);
            self.link(index);
        }
        self.moving == NIL
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;
    use std::collections::{BTreeMap, VecDeque};
    use std::time::Duration;

    fn fired(wheel: &mut Wheel<u32>, now: Time) -> Vec<u32> {
        let mut all = Vec::new();
        wheel.expire(now, |item| all.push(item));
        all
    }

    #[test]
    fn a_timer_takes_sixteen_bytes_with_a_small_item() {
        assert_eq!(size_of::<Node<u32>>(), 16);
        assert!(size_of::<Node<u64>>() <= 24 + 8);
    }

    #[test]
    fn a_full_slot_is_moved_in_parts() {
        const COUNT: u32 = 10 * MOVES as u32;
        let mut wheel = Wheel::<u32>::new();
        let at = Time::from_millis(8192);
        (0..COUNT).for_each(|item| wheel.arm(at, item));
        let mut got: Vec<u32> = Vec::new();
        for part in 1..COUNT / MOVES as u32 {
            assert_eq!(wheel.pop(at), None, "part {part}");
            assert!(wheel.next_deadline().unwrap() <= at, "it asks to go on");
            wheel.arm(Time::from_millis(9000), COUNT + part);
        }
        while let Some(item) = wheel.pop(at) {
            got.push(item);
        }
        assert_eq!(got, (0..COUNT).collect::<Vec<_>>());
        assert!(fired(&mut wheel, Time::from_millis(8999)).is_empty());
        assert_eq!(fired(&mut wheel, Time::from_millis(9000)).len(), 9);
    }

    #[test]
    fn never_early_and_at_most_a_tick_late() {
        let mut wheel = Wheel::<u32>::new();
        let at = Time::from_nanos(5_000_001);
        wheel.arm(at, 1);
        assert_eq!(wheel.next_deadline(), Some(Time::from_millis(6)));
        assert!(fired(&mut wheel, Time::from_nanos(5_999_999)).is_empty());
        assert_eq!(fired(&mut wheel, Time::from_millis(6)), [1]);
        assert!(wheel.is_empty() && wheel.next_deadline().is_none());
    }

    #[test]
    fn past_far_and_never() {
        let mut wheel = Wheel::<u32>::new();
        let day = Duration::from_secs(86_400);
        assert!(fired(&mut wheel, Time::from_millis(12_345)).is_empty());
        wheel.arm(Time::ZERO, 0);
        wheel.arm(Time::ZERO + 400 * day, 2);
        wheel.arm(Time::ZERO + 3 * day, 1);
        wheel.arm(Time::MAX, 3);
        assert!(wheel.next_deadline().unwrap() <= Time::from_millis(12_345));
        assert_eq!(fired(&mut wheel, Time::from_millis(12_345)), [0]);
        assert!(fired(&mut wheel, Time::ZERO + 2 * day).is_empty());
        assert_eq!(fired(&mut wheel, Time::ZERO + 40_000 * day), [1, 2]);
        assert!(fired(&mut wheel, Time::MAX).is_empty(), "never is never");
        assert_eq!(wheel.len(), 1);
    }

    #[test]
    fn pop_can_stop_half_way_and_the_clock_may_step_back() {
        let mut wheel = Wheel::<u32>::new();
        (0..4).for_each(|i| wheel.arm(Time::from_millis(100), i));
        let now = Time::from_millis(500);
        assert_eq!((wheel.pop(now), wheel.pop(now)), (Some(0), Some(1)));
        wheel.arm(Time::from_millis(7), 9);
        assert!(fired(&mut wheel, Time::from_millis(1)).is_empty());
        assert_eq!(fired(&mut wheel, now), [2, 3, 9]);
        assert_eq!(wheel.nodes.len(), 4, "the freed node was used again");
    }

    #[test]
    fn sleeping_until_next_deadline_ends() {
        let mut wheel = Wheel::<u32>::new();
        wheel.arm(Time::ZERO + Duration::from_secs(86_400), 1);
        let mut naps = 0;
        let mut now = Time::ZERO;
        while let Some(at) = wheel.next_deadline() {
            assert!(at > now, "the runner would spin");
            now = at;
            wheel.expire(now, |_| ());
            naps += 1;
        }
        assert!(now == Time::ZERO + Duration::from_secs(86_400) && naps <= LEVELS, "{naps}");
    }

    /// Deadlines from past to a month away, steps from none to a week.
    fn some_nanos(rng: &mut Rng) -> u64 {
        let magnitude = rng.range(52);
        rng.range(1 << magnitude)
    }

    #[test]
    fn does_as_an_ordered_map_does() {
        for seed in 0..200 {
            let mut rng = Rng::from_seed(seed);
            let mut wheel = Wheel::<u32>::new();
            let mut model: BTreeMap<u64, VecDeque<u32>> = BTreeMap::new();
            let (mut now, mut tick, mut peak) = (rng.range(1 << 40), 0, 0);
            for id in 0..1000 {
                if rng.chance(0.6) {
                    let at = (now + some_nanos(&mut rng)).saturating_sub(some_nanos(&mut rng) / 64);
                    wheel.arm(Time::from_nanos(at), id);
                    // A deadline in the past is due at once, behind what is due already.
                    model.entry(at.div_ceil(MILLISECOND).max(tick)).or_default().push_back(id);
                } else {
                    now += some_nanos(&mut rng);
                    tick = tick.max(now / MILLISECOND);
                    let mut expected = Vec::new();
                    while let Some(first) = model.first_entry().filter(|e| *e.key() <= tick) {
                        expected.extend(first.remove());
                    }
                    assert_eq!(fired(&mut wheel, Time::from_nanos(now)), expected, "seed {seed}");
                }
                let armed = model.values().map(VecDeque::len).sum::<usize>();
                peak = armed.max(peak);
                assert_eq!(wheel.len(), armed, "seed {seed}");
                let first = model.keys().next().map(|t| Time::from_millis(*t));
                assert_eq!(wheel.next_deadline().is_some(), first.is_some());
                assert!(wheel.next_deadline() <= first, "late: seed {seed}");
            }
            assert_eq!(wheel.nodes.len(), peak, "seed {seed}: freed nodes are used again");
        }
    }
}
