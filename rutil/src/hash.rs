//! Hash maps with a secret key: fast, and no peer can choose keys that collide.
//!
//! The key comes from an [`Rng`], so a simulation with the same seed iterates in the same order (with the same binary
//! on the same kind of processor). There is no `Default`: nobody gets a map with a known key by accident.

use crate::Rng;
use std::hash::{BuildHasher, Hash};

/// Builds keyed ahash hashers. Clones share the key.
#[derive(Clone, Debug)]
pub struct Keyed(ahash::RandomState);

/// A map hashed by [`Keyed`]: `HashMap::with_hasher(Keyed::new(rng))`.
pub type HashMap<K, V> = std::collections::HashMap<K, V, Keyed>;

/// A set hashed by [`Keyed`].
pub type HashSet<K> = std::collections::HashSet<K, Keyed>;

/// Entries for which a map may have room whatever it has.
const ROOM: usize = 8192;

/// Gives back most of a map's memory when seven eighths of it are unused: for who has removed an entry, so that a rush does
/// not keep its memory for ever.
pub fn shrink<K: Eq + Hash, V>(map: &mut HashMap<K, V>) {
    if map.capacity() > ROOM && map.len() < map.capacity() / 8 {
        map.shrink_to(2 * map.len());
    }
}

impl Keyed {
    /// A hasher whose 256-bit key is drawn from `rng`.
    pub fn new(rng: &mut Rng) -> Self {
        let mut key = || rng.next_u64();
        Keyed(ahash::RandomState::with_seeds(key(), key(), key(), key()))
    }
}

impl BuildHasher for Keyed {
    type Hasher = ahash::AHasher;
    fn build_hasher(&self) -> Self::Hasher {
        self.0.build_hasher()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_decides() {
        let hash = |seed| Keyed::new(&mut Rng::from_seed(seed)).hash_one("z9hG4bK776asdhds");
        assert_eq!(hash(1), hash(1));
        assert_ne!(hash(1), hash(2));
    }

    #[test]
    fn a_rush_keeps_no_memory() {
        let mut map = HashMap::with_hasher(Keyed::new(&mut Rng::from_seed(1)));
        map.extend((0..100_000).map(|i| (i, i)));
        for i in 0..100_000 {
            map.remove(&i);
            shrink(&mut map);
            assert!(map.get(&(i + 1)) == (i < 99_999).then_some(&(i + 1)));
        }
        assert!(map.is_empty() && map.capacity() <= 2 * ROOM);
    }

    #[test]
    fn iteration_repeats_with_the_seed() {
        let order = |seed| {
            let mut map = HashMap::with_hasher(Keyed::new(&mut Rng::from_seed(seed)));
            map.extend((0..100).map(|i| (i, ())));
            map.into_keys().collect::<Vec<u32>>()
        };
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
    }
}
