//! Hash maps with a secret key: fast, and no peer can choose keys that collide.
//!
//! The key comes from an [`Rng`], so a simulation with the same seed iterates in the same order (with the same binary
//! on the same kind of processor). There is no `Default`: nobody gets a map with a known key by accident.

use crate::Rng;
use std::hash::BuildHasher;

/// Builds keyed ahash hashers. Clones share the key.
#[derive(Clone, Debug)]
pub struct Keyed(ahash::RandomState);

/// A map hashed by [`Keyed`]: `HashMap::with_hasher(Keyed::new(rng))`.
pub type HashMap<K, V> = std::collections::HashMap<K, V, Keyed>;

/// A set hashed by [`Keyed`].
pub type HashSet<K> = std::collections::HashSet<K, Keyed>;

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
