//! A sequence that grows without moving: what timers lie in.

use std::ops::{Index, IndexMut};

/// Items in a chunk: a power of two, so that an index is split by shift and mask.
const CHUNK: usize = 1 << SHIFT;
const SHIFT: u32 = 10;

/// A `Vec` in chunks of 1,024 items. A `Vec` that outgrows its buffer copies all it has into one of twice the size, which
/// for the timers of a busy shard stops it for tens of milliseconds and touches three times the memory; this adds a
/// chunk. It never shrinks.
pub(crate) struct Chunks<T> {
    chunks: Vec<Vec<T>>,
    len: usize,
}

impl<T> Chunks<T> {
    /// Without items and without memory.
    pub(crate) const fn new() -> Self {
        Chunks { chunks: Vec::new(), len: 0 }
    }

    /// Items in it.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds an item behind the last one.
    pub(crate) fn push(&mut self, item: T) {
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK => last.push(item),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(item);
                self.chunks.push(chunk);
            }
        }
        self.len += 1;
    }
}

impl<T> Index<usize> for Chunks<T> {
    type Output = T;
    #[inline]
    fn index(&self, index: usize) -> &T {
        &self.chunks[index >> SHIFT][index & (CHUNK - 1)]
    }
}

impl<T> IndexMut<usize> for Chunks<T> {
    #[inline]
    fn index_mut(&mut self, index: usize) -> &mut T {
        &mut self.chunks[index >> SHIFT][index & (CHUNK - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_stay_where_they_are() {
        let mut chunks = Chunks::new();
        chunks.push(0);
        let first: *const usize = &chunks[0];
        (1..3 * CHUNK + 1).for_each(|i| chunks.push(i));
        assert_eq!(chunks.len(), 3 * CHUNK + 1);
        assert!(std::ptr::eq(first, &chunks[0]));
        for at in [0, 1, CHUNK - 1, CHUNK, 3 * CHUNK] {
            assert_eq!(chunks[at], at);
        }
        chunks[CHUNK] = 7;
        assert_eq!((chunks[CHUNK], chunks[CHUNK + 1]), (7, CHUNK + 1));
    }
}
