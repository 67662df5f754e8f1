//! Nonces that need no memory: each says when it was made, and proves that it was made here, for whom.

use crate::transport::source_of;
use rutil::{Rng, Time};
use siphasher::sip128::{Hasher128, SipHasher24};
use std::hash::Hasher;
use std::net::IpAddr;
use std::time::Duration;

/// Time, randomness and proof, in hexadecimal digits.
const DIGITS: usize = 16 + 16 + 32;

/// Makes nonces and knows them again, by a key that lives as long as this does. A nonce is bound to the address that it
/// was sent to, or its /64 of IPv6, so nobody else can use one that he has seen.
#[derive(Clone)]
pub struct Nonces {
    key: (u64, u64),
}

/// A nonce of ours that came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce {
    /// When it was made.
    pub at: Time,
    /// A short name for it, which nobody can choose.
    pub id: u64,
}

/// Why a nonce is not taken: in both cases the client is to answer a new one, and its user is not to be asked
/// (`stale=true`, RFC 7616 §3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadNonce {
    /// It is too old.
    #[error("a nonce that is too old")]
    Stale,
    /// It was not made here, or before the key was drawn, or for another address.
    #[error("not a nonce of ours for this address")]
    Foreign,
}

impl Nonces {
    /// Draws a key.
    pub fn new(rng: &mut Rng) -> Self {
        Nonces { key: (rng.next_u64(), rng.next_u64()) }
    }

    /// A nonce of this moment for a source. No two are alike.
    pub fn issue(&self, source: Option<IpAddr>, now: Time, rng: &mut Rng) -> String {
        let (at, random) = (now.as_nanos(), rng.next_u64());
        let proof = self.proof(at, random, source);
        format!("{at:016x}{random:016x}{proof:032x}")
    }

    /// What a nonce says, if it was made here for this source and not more than `lifetime` ago.
    ///
    /// # Errors
    /// [`BadNonce`].
    pub fn check(&self, nonce: &str, source: Option<IpAddr>, now: Time, lifetime: Duration) -> Result<Nonce, BadNonce> {
        let read = || {
            let (at, rest) = nonce.split_at_checked(16)?;
            let (random, proof) = rest.split_at_checked(16)?;
            let number = |digits| u64::from_str_radix(digits, 16).ok();
            Some((number(at)?, number(random)?, u128::from_str_radix(proof, 16).ok()?))
        };
        let (at, random, claimed) = read().filter(|_| nonce.len() == DIGITS).ok_or(BadNonce::Foreign)?;
        let proof = self.proof(at, random, source);
        // One comparison of two numbers: how long it takes tells nothing.
        if claimed != proof {
            return Err(BadNonce::Foreign);
        }
        let at = Time::from_nanos(at);
        if now.since(at) > lifetime { Err(BadNonce::Stale) } else { Ok(Nonce { at, id: proof as u64 }) }
    }

    fn proof(&self, at: u64, random: u64, source: Option<IpAddr>) -> u128 {
        let mut hasher = SipHasher24::new_with_keys(self.key.0, self.key.1);
        hasher.write(&at.to_be_bytes());
        hasher.write(&random.to_be_bytes());
        match source.map(source_of) {
            Some(IpAddr::V4(ip)) => hasher.write(&ip.octets()),
            Some(IpAddr::V6(ip)) => hasher.write(&ip.octets()),
            None => {}
        }
        hasher.finish128().as_u128()
    }
}

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Nonces")
    }
}
