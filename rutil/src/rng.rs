//! Randomness as an argument: a ChaCha8 generator, seeded by the system or, in simulation, by a number.

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use std::fmt;
use std::ops::Deref;

/// The system gave no randomness.
#[derive(Debug, thiserror::Error)]
#[error("the system's random source failed: {0}")]
pub struct EntropyError(getrandom::Error);

/// A random generator that cannot be predicted from its output. Whoever draws is given one.
pub struct Rng(ChaCha8Rng);

/// What tokens are made of: 32 characters that RFC 3261 §25.1 allows in a token, the same in either case-comparison.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

impl Rng {
    /// A generator that nobody can predict.
    pub fn from_os() -> Result<Self, EntropyError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(EntropyError)?;
        Ok(Rng(ChaCha8Rng::from_seed(seed)))
    }

    /// The generator number `seed`: always the same sequence. For tests and simulation only.
    pub fn from_seed(seed: u64) -> Self {
        Rng(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A new generator, seeded by this one: one for each shard or actor.
    pub fn split(&mut self) -> Self {
        let mut seed = [0; 32];
        self.fill(&mut seed);
        Rng(ChaCha8Rng::from_seed(seed))
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number from 0 to `n` − 1, each as likely as the other; 0 when `n` is 0.
    pub fn range(&mut self, n: u64) -> u64 {
        // The high half of a product maps 2^64 values onto n; the few that would favour some results are drawn again.
        loop {
            let product = u128::from(self.next_u64()) * u128::from(n);
            if product as u64 >= n.wrapping_neg().checked_rem(n).unwrap_or(0) {
                return (product >> 64) as u64;
            }
        }
    }

    /// True with probability `p` (never for 0, always for 1).
    pub fn chance(&mut self, p: f64) -> bool {
        const STEP: f64 = 1.0 / (1u64 << 53) as f64;
        ((self.next_u64() >> 11) as f64) * STEP < p
    }

    /// Fills `out` with random bytes.
    pub fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }

    /// Fills `out` with characters of `0-9a-v`, five random bits each.
    pub fn fill_token(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(12) {
            let mut bits = self.next_u64();
            for c in chunk {
                *c = ALPHABET[(bits % 32) as usize];
                bits >>= 5;
            }
        }
    }

    /// A token of `N` characters of `0-9a-v`, five random bits each, without allocation: for tags, branches and
    /// Call-IDs. RFC 3261 §19.3 asks for at least 32 random bits in a tag: seven characters.
    pub fn token<const N: usize>(&mut self) -> Token<N> {
        let mut chars = [0; N];
        self.fill_token(&mut chars);
        Token(chars)
    }
}

impl fmt::Debug for Rng {
    // The state is a secret: who knows it knows the tags to come.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rng")
    }
}

/// `N` random characters of `0-9a-v`; reads as a `str`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token<const N: usize>([u8; N]);

impl<const N: usize> Token<N> {
    /// The characters.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl<const N: usize> Deref for Token<N> {
    type Target = str;
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl<const N: usize> fmt::Display for Token<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl<const N: usize> fmt::Debug for Token<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_others_differ() {
        let draw = |mut rng: Rng| (0..4).map(|_| rng.next_u64()).collect::<Vec<_>>();
        assert_eq!(draw(Rng::from_seed(7)), draw(Rng::from_seed(7)));
        assert_ne!(draw(Rng::from_seed(7)), draw(Rng::from_seed(8)));
        assert_ne!(draw(Rng::from_os().unwrap()), draw(Rng::from_os().unwrap()));
        let mut parent = Rng::from_seed(7);
        assert_ne!(draw(parent.split()), draw(parent.split()));
    }

    #[test]
    fn range_is_even_and_stays_below() {
        let mut rng = Rng::from_seed(1);
        let mut seen = [0u32; 6];
        for _ in 0..6000 {
            seen[rng.range(6) as usize] += 1;
        }
        assert!(seen.iter().all(|n| (850..1150).contains(n)), "{seen:?}");
        assert_eq!((rng.range(0), rng.range(1)), (0, 0));
        assert!((0..100).all(|_| rng.range(u64::MAX) < u64::MAX));
    }

    #[test]
    fn chance_keeps_its_odds() {
        let mut rng = Rng::from_seed(2);
        let hits = (0..10_000).filter(|_| rng.chance(0.25)).count();
        assert!((2300..2700).contains(&hits), "{hits}");
        assert!((0..1000).all(|_| rng.chance(1.0) && !rng.chance(0.0)));
    }

    #[test]
    fn tokens_are_lower_case_base32_and_use_every_character() {
        let mut rng = Rng::from_seed(3);
        let mut seen = [false; 256];
        for _ in 0..100 {
            let token = rng.token::<17>();
            assert_eq!(token.len(), 17);
            token.bytes().for_each(|c| seen[usize::from(c)] = true);
        }
        let used: Vec<u8> = (0..=255).filter(|c| seen[usize::from(*c)]).collect();
        assert_eq!(used, ALPHABET);
        assert_ne!(rng.token::<8>(), rng.token::<8>());
    }
}
