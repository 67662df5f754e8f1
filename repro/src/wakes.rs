//! Which shards are to look at something, and how they are woken.

use stack::tu::TuPoster;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a proxy is posted to wake it: there is something to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Changed;

/// A flag for each shard that there can be.
pub(crate) struct Wakes {
    flags: Box<[AtomicU64]>,
    poster: OnceLock<TuPoster>,
}

impl Wakes {
    pub(crate) fn new() -> Self {
        let words = (usize::from(u16::MAX) + 1) / u64::BITS as usize;
        Wakes { flags: (0..words).map(|_| AtomicU64::new(0)).collect(), poster: OnceLock::new() }
    }

    /// Says how shards are woken, once the stack has started.
    pub(crate) fn set_poster(&self, poster: TuPoster) {
        // A second one would be of another stack.
        let _ = self.poster.set(poster);
    }

    fn flag(&self, shard: u16) -> (&AtomicU64, u64) {
        let bits = u64::BITS as u16;
        (&self.flags[usize::from(shard / bits)], 1 << (shard % bits))
    }

    /// There is something for a shard: it is woken, unless it was since it looked last.
    pub(crate) fn wake(&self, shard: u16) {
        let (flags, own) = self.flag(shard);
        // One that is not woken has its inbox full, and looks at the flag when it has worked on that.
        if flags.fetch_or(own, Ordering::SeqCst) & own == 0
            && let Some(poster) = self.poster.get()
        {
            let _ = poster.post(shard.into(), Box::new(Changed));
        }
    }

    /// Whether there may be something for a shard.
    pub(crate) fn is_ready(&self, shard: u16) -> bool {
        let (flags, own) = self.flag(shard);
        flags.load(Ordering::SeqCst) & own != 0
    }

    /// A shard looks now; whether there may be something.
    pub(crate) fn take(&self, shard: u16) -> bool {
        let (flags, own) = self.flag(shard);
        flags.fetch_and(!own, Ordering::SeqCst) & own != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shard_has_a_flag_of_its_own() {
        let wakes = Wakes::new();
        let shards = [0, 1, 63, 64, 128, u16::MAX];
        shards.iter().for_each(|shard| wakes.wake(*shard));
        for shard in shards {
            assert!(wakes.is_ready(shard) && wakes.take(shard), "{shard}");
            assert!(!wakes.is_ready(shard) && !wakes.take(shard), "{shard}");
        }
        assert!(!wakes.is_ready(2));
    }
}
