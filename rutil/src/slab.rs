//! Slots with generations: a stale name finds nothing.

/// Slots in a chunk: a power of two, so that an index is split by shift and mask.
const CHUNK: usize = 1 << SHIFT;
const SHIFT: u32 = 10;
/// A generation has 31 bits: it travels in a `Notify` key.
const GENERATIONS: u32 = 0x7fff_ffff;

/// Values by slot and generation, in chunks of 1,024 slots. It grows by a chunk where a `Vec` would move all it has. A value
/// goes into the lowest chunk that has room: after a rush the upper ones run empty, and their memory is given back, but for
/// one of them.
pub struct Slab<T> {
    chunks: Vec<Chunk<T>>,
    /// Bit *i* of word *w*: chunk 64 *w* + *i* has a free slot.
    open: Vec<u64>,
    len: usize,
    /// The generation with which the slots of a chunk begin: beyond all that those had whose memory was given back.
    begin: u32,
    /// A chunk that is empty and has its memory.
    spare: Option<usize>,
}

struct Chunk<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u16>,
}

struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Chunk<T> {
    fn is_empty(&self) -> bool {
        self.slots.len() == self.free.len()
    }

    fn is_full(&self) -> bool {
        self.free.is_empty() && self.slots.len() == CHUNK
    }

    /// Puts a value into one of its free slots: which, and the generation.
    fn insert(&mut self, value: T, begin: u32) -> (usize, u32) {
        if let Some(at) = self.free.pop() {
            let slot = &mut self.slots[usize::from(at)];
            slot.value = Some(value);
            return (usize::from(at), slot.generation);
        }
        if self.slots.capacity() == 0 {
            self.slots.reserve_exact(CHUNK);
        }
        self.slots.push(Slot { generation: begin, value: Some(value) });
        (self.slots.len() - 1, begin)
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Slab<T> {
    /// An empty slab.
    pub const fn new() -> Self {
        Slab { chunks: Vec::new(), open: Vec::new(), len: 0, begin: 0, spare: None }
    }

    /// Values that are alive.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no value is alive.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Slots that there are, free ones included: no value has one beyond.
    pub fn slots(&self) -> usize {
        self.chunks.len() * CHUNK
    }

    /// Puts a value into a free slot; its slot and generation are its name.
    pub fn insert(&mut self, value: T) -> (u32, u32) {
        let at = self.with_room();
        let chunk = &mut self.chunks[at];
        let (place, generation) = chunk.insert(value, self.begin);
        let full = chunk.is_full();
        self.len += 1;
        self.spare = self.spare.filter(|spare| *spare != at);
        if full {
            self.mark(at, false);
        }
        ((at * CHUNK + place) as u32, generation)
    }

    /// The lowest chunk with a free slot.
    fn with_room(&mut self) -> usize {
        let word = self.open.iter().position(|word| *word != 0);
        if let Some(word) = word {
            return word * 64 + self.open[word].trailing_zeros() as usize;
        }
        self.chunks.push(Chunk { slots: Vec::new(), free: Vec::new() });
        self.open.resize(self.chunks.len().div_ceil(64), 0);
        self.mark(self.chunks.len() - 1, true);
        self.chunks.len() - 1
    }

    fn mark(&mut self, chunk: usize, open: bool) {
        let (word, bit) = (&mut self.open[chunk / 64], 1 << (chunk % 64));
        *word = if open { *word | bit } else { *word & !bit };
    }

    fn slot(&self, slot: u32) -> Option<&Slot<T>> {
        self.chunks.get((slot >> SHIFT) as usize)?.slots.get(slot as usize & (CHUNK - 1))
    }

    fn slot_mut(&mut self, slot: u32) -> Option<&mut Slot<T>> {
        self.chunks.get_mut((slot >> SHIFT) as usize)?.slots.get_mut(slot as usize & (CHUNK - 1))
    }

    /// The value with this name.
    pub fn get(&self, slot: u32, generation: u32) -> Option<&T> {
        self.slot(slot).filter(|e| e.generation == generation)?.value.as_ref()
    }

    /// The value with this name, to change it.
    pub fn get_mut(&mut self, slot: u32, generation: u32) -> Option<&mut T> {
        self.slot_mut(slot).filter(|e| e.generation == generation)?.value.as_mut()
    }

    /// The value in a slot whatever its generation, with the generation.
    pub fn at(&self, slot: u32) -> Option<(u32, &T)> {
        let entry = self.slot(slot)?;
        entry.value.as_ref().map(|value| (entry.generation, value))
    }

    /// Takes the value out; its name finds nothing any more.
    pub fn remove(&mut self, slot: u32, generation: u32) -> Option<T> {
        let entry = self.slot_mut(slot).filter(|e| e.generation == generation)?;
        let value = entry.value.take()?;
        entry.generation = entry.generation.wrapping_add(1) & GENERATIONS;
        let at = (slot >> SHIFT) as usize;
        let chunk = &mut self.chunks[at];
        chunk.free.push((slot as usize & (CHUNK - 1)) as u16);
        let empty = chunk.is_empty();
        self.len -= 1;
        self.mark(at, true);
        if empty {
            self.give_back(at);
        }
        Some(value)
    }

    /// A chunk has run empty. If there is one already, the upper of both gives its memory back.
    fn give_back(&mut self, empty: usize) {
        let Some(spare) = self.spare else {
            self.spare = Some(empty);
            return;
        };
        let upper = spare.max(empty);
        // A name from before must not fit a slot that comes here again.
        let most = self.chunks[upper].slots.iter().map(|slot| slot.generation).max().unwrap_or(0);
        if most > GENERATIONS / 2 {
            // Generations begin anew some time; where they do not grow, what is given back would repeat names.
            return;
        }
        self.spare = Some(spare.min(empty));
        self.begin = self.begin.max(most);
        let chunk = &mut self.chunks[upper];
        *chunk = Chunk { slots: Vec::new(), free: Vec::new() };
        while self.chunks.last().is_some_and(|last| last.slots.capacity() == 0) {
            self.chunks.pop();
            self.mark(self.chunks.len(), false);
        }
        self.open.truncate(self.chunks.len().div_ceil(64));
    }

    /// All values.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| &chunk.slots).filter_map(|slot| slot.value.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;
    use std::collections::HashMap;

    #[test]
    fn a_stale_name_finds_nothing() {
        let mut slab = Slab::new();
        let (slot, generation) = slab.insert("a");
        assert_eq!(slab.get_mut(slot, generation), Some(&mut "a"));
        assert_eq!(slab.remove(slot, generation), Some("a"));
        assert_eq!(slab.get_mut(slot, generation), None);
        let (again, later) = slab.insert("b");
        assert_eq!((again, slab.len(), slab.slots()), (slot, 1, CHUNK));
        assert_ne!(later, generation);
        assert_eq!(slab.remove(slot, generation), None);
        assert_eq!(slab.iter().collect::<Vec<_>>(), [&"b"]);
    }

    #[test]
    fn after_a_rush_the_memory_is_given_back_and_no_old_name_fits() {
        let mut slab = Slab::new();
        let memory = |slab: &Slab<usize>| slab.chunks.iter().filter(|chunk| chunk.slots.capacity() > 0).count();
        let first: Vec<_> = (0..100 * CHUNK).map(|value| slab.insert(value)).collect();
        assert_eq!((memory(&slab), slab.slots()), (100, 100 * CHUNK));
        // As transactions end: the oldest first, and now and then a new one comes.
        let mut later = Vec::new();
        for (at, (slot, generation)) in first.iter().enumerate() {
            assert_eq!(slab.remove(*slot, *generation), Some(at));
            if at % 1000 == 0 {
                later.push(slab.insert(at));
            }
        }
        assert_eq!((slab.len(), memory(&slab), slab.slots()), (103, 2, 2 * CHUNK));
        let again: Vec<_> = (0..100 * CHUNK).map(|value| slab.insert(value)).collect();
        let known: std::collections::HashSet<_> = again.iter().chain(&later).collect();
        assert_eq!(known.len(), 100 * CHUNK + 103);
        assert!(first.iter().all(|name| !known.contains(name) && slab.get(name.0, name.1).is_none()));
    }

    #[test]
    fn it_does_what_a_map_does() {
        let mut rng = Rng::from_seed(4);
        let (mut slab, mut map, mut names) = (Slab::new(), HashMap::new(), Vec::new());
        for step in 0..200_000_u64 {
            // Waves, so that chunks come and go.
            let grows = (step / 20_000).is_multiple_of(2);
            if rng.next_u64() % 10 < if grows { 7 } else { 3 } || names.is_empty() {
                let name = slab.insert(step);
                assert!(map.insert(name, step).is_none());
                names.push(name);
            } else {
                let name = names.swap_remove((rng.next_u64() % names.len() as u64) as usize);
                assert_eq!(slab.get(name.0, name.1), map.get(&name));
                assert_eq!(slab.remove(name.0, name.1), map.remove(&name));
                assert_eq!(slab.remove(name.0, name.1), None);
            }
            assert_eq!(slab.len(), map.len());
        }
        let mut values: Vec<_> = slab.iter().copied().collect();
        values.sort_unstable();
        let mut expected: Vec<_> = map.values().copied().collect();
        expected.sort_unstable();
        assert_eq!(values, expected);
        assert!(map.iter().all(|(name, value)| slab.at(name.0) == Some((name.1, value))));
    }
}
