//! Slots with generations: a stale name finds nothing.

use rutil::Chunks;

/// Grows to the most that were alive at once, and reuses freed slots.
pub(crate) struct Slab<T> {
    slots: Chunks<Slot<T>>,
    free: Vec<u32>,
}

struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Self {
        Slab { slots: Chunks::new(), free: Vec::new() }
    }

    /// Values that are alive.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Puts a value into a free slot; its slot and generation are its name.
    pub(crate) fn insert(&mut self, value: T) -> (u32, u32) {
        if let Some(slot) = self.free.pop() {
            let entry = &mut self.slots[slot as usize];
            entry.value = Some(value);
            return (slot, entry.generation);
        }
        self.slots.push(Slot { generation: 0, value: Some(value) });
        ((self.slots.len() - 1) as u32, 0)
    }

    pub(crate) fn get_mut(&mut self, slot: u32, generation: u32) -> Option<&mut T> {
        let entry = self.slots.get_mut(slot as usize).filter(|e| e.generation == generation)?;
        entry.value.as_mut()
    }

    /// The value in a slot whatever its generation, with the generation.
    pub(crate) fn at(&self, slot: u32) -> Option<(u32, &T)> {
        let entry = self.slots.get(slot as usize)?;
        entry.value.as_ref().map(|value| (entry.generation, value))
    }

    pub(crate) fn remove(&mut self, slot: u32, generation: u32) -> Option<T> {
        let entry = self.slots.get_mut(slot as usize).filter(|e| e.generation == generation)?;
        let value = entry.value.take()?;
        // 31 bits: a generation travels in a `Notify` key.
        entry.generation = entry.generation.wrapping_add(1) & 0x7fff_ffff;
        self.free.push(slot);
        Some(value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|slot| slot.value.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_name_finds_nothing() {
        let mut slab = Slab::new();
        let (slot, generation) = slab.insert("a");
        assert_eq!(slab.get_mut(slot, generation), Some(&mut "a"));
        assert_eq!(slab.remove(slot, generation), Some("a"));
        assert_eq!(slab.get_mut(slot, generation), None);
        let (again, later) = slab.insert("b");
        assert_eq!((again, slab.len()), (slot, 1));
        assert_ne!(later, generation);
        assert_eq!(slab.remove(slot, generation), None);
        assert_eq!(slab.iter().collect::<Vec<_>>(), [&"b"]);
    }
}
