//! Slots with generations: a stale name finds nothing.

use crate::Chunks;

/// Values by slot and generation. It grows to the most that were alive at once, and reuses freed slots.
pub struct Slab<T> {
    slots: Chunks<Slot<T>>,
    free: Vec<u32>,
}

struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Slab<T> {
    /// An empty slab.
    pub fn new() -> Self {
        Slab { slots: Chunks::new(), free: Vec::new() }
    }

    /// Values that are alive.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether no value is alive.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Slots that there are, free ones included.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Puts a value into a free slot; its slot and generation are its name.
    pub fn insert(&mut self, value: T) -> (u32, u32) {
        if let Some(slot) = self.free.pop() {
            let entry = &mut self.slots[slot as usize];
            entry.value = Some(value);
            return (slot, entry.generation);
        }
        self.slots.push(Slot { generation: 0, value: Some(value) });
        ((self.slots.len() - 1) as u32, 0)
    }

    /// The value with this name.
    pub fn get(&self, slot: u32, generation: u32) -> Option<&T> {
        self.slots.get(slot as usize).filter(|e| e.generation == generation)?.value.as_ref()
    }

    /// The value with this name, to change it.
    pub fn get_mut(&mut self, slot: u32, generation: u32) -> Option<&mut T> {
        let entry = self.slots.get_mut(slot as usize).filter(|e| e.generation == generation)?;
        entry.value.as_mut()
    }

    /// The value in a slot whatever its generation, with the generation.
    pub fn at(&self, slot: u32) -> Option<(u32, &T)> {
        let entry = self.slots.get(slot as usize)?;
        entry.value.as_ref().map(|value| (entry.generation, value))
    }

    /// Takes the value out; its name finds nothing any more.
    pub fn remove(&mut self, slot: u32, generation: u32) -> Option<T> {
        let entry = self.slots.get_mut(slot as usize).filter(|e| e.generation == generation)?;
        let value = entry.value.take()?;
        // 31 bits: a generation travels in a `Notify` key.
        entry.generation = entry.generation.wrapping_add(1) & 0x7fff_ffff;
        self.free.push(slot);
        Some(value)
    }

    /// All values.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
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
        assert_eq!((again, slab.len(), slab.slots()), (slot, 1, 1));
        assert_ne!(later, generation);
        assert_eq!(slab.remove(slot, generation), None);
        assert_eq!(slab.iter().collect::<Vec<_>>(), [&"b"]);
    }
}
