//! Nonces that need no memory: each says when it was made, and proves that it was made here.

use rutil::{Rng, Time};
use siphasher::sip128::{Hasher128, SipHasher24};
use std::hash::Hasher;
use std::time::Duration;

/// Time, randomness and proof, in hexadecimal digits.
const DIGITS: usize = 16 + 16 + 32;

/// Makes nonces and knows them again, by a key that lives as long as this does.
#[derive(Clone)]
pub struct Nonces {
    key: (u64, u64),
}

/// Why a nonce is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadNonce {
    /// It is too old: the client is to answer a new one, and its user is not to be asked (`stale=true`).
    #[error("a nonce that is too old")]
    Stale,
    /// It was not made here, or before the key was drawn.
    #[error("not a nonce of ours")]
    Foreign,
}

impl Nonces {
    /// Draws a key.
    pub fn new(rng: &mut Rng) -> Self {
        Nonces { key: (rng.next_u64(), rng.next_u64()) }
    }

    /// A nonce of this moment. No two are alike.
    pub fn issue(&self, now: Time, rng: &mut Rng) -> String {
        let named = format!("{:016x}{:016x}", now.as_nanos(), rng.next_u64());
        let proof = self.proof(&named);
        named + &format!("{proof:032x}")
    }

    /// When a nonce was made, if that was here and not more than `lifetime` ago.
    ///
    /// # Errors
    /// [`BadNonce`].
    pub fn check(&self, nonce: &str, now: Time, lifetime: Duration) -> Result<Time, BadNonce> {
        let (named, proof) = nonce.split_at_checked(32).ok_or(BadNonce::Foreign)?;
        let claimed = u128::from_str_radix(proof, 16).map_err(|_| BadNonce::Foreign)?;
        if nonce.len() != DIGITS || claimed != self.proof(named) {
            return Err(BadNonce::Foreign);
        }
        let at = named.get(..16).and_then(|at| u64::from_str_radix(at, 16).ok()).ok_or(BadNonce::Foreign)?;
        let at = Time::from_nanos(at);
        if now.since(at) > lifetime { Err(BadNonce::Stale) } else { Ok(at) }
    }

    fn proof(&self, named: &str) -> u128 {
        let mut hasher = SipHasher24::new_with_keys(self.key.0, self.key.1);
        hasher.write(named.as_bytes());
        hasher.finish128().as_u128()
    }
}

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Nonces")
    }
}
