//! Temporary GRUUs (RFC 5627 §3.2): user parts that lead to one device of one user, and tell nobody which.
//!
//! Nothing is kept of them: a token has the address-of-record in it, encrypted, and marks of the device and of the Call-ID
//! that it was given for, behind a keyed code. It is good as long as a binding of that device with that Call-ID lives. The
//! keys live as long as the process, or at nodes that share a secret as long as that: nonces have 128 bits, so that no two
//! are the same however many nodes draw them at random, and for how long. SipHash-2-4, which is made to be a pseudo-random
//! function, gives the key stream, the marks and the code, under a key each.

use crate::cluster::ClusterSecret;
use rutil::Rng;
use siphasher::sip128::{Hasher128, SipHasher24};
use std::fmt::Write as _;
use std::hash::Hasher;

/// How a user part begins that is meant to be a token.
const PREFIX: &str = "gruu-";
/// What makes two tokens differ that are given for the same.
const NONCE: usize = 16;
/// The marks of device and Call-ID.
const MARKS: usize = 16;
/// The code that proves where a token comes from.
const PROOF: usize = 16;
/// What is encrypted is filled up to a multiple of this, so that its length tells less.
const BLOCK: usize = 16;
/// Longer ones are not looked at: the longest address-of-record has 512 octets.
const LONGEST: usize = NONCE + MARKS + 512 + BLOCK + PROOF;

/// Makes and reads temporary GRUUs; all shards share one.
#[derive(Clone)]
pub struct GruuTokens {
    stream: (u64, u64),
    mark: (u64, u64),
    proof: (u64, u64),
}

/// A token that this process did not make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a temporary GRUU of ours")]
pub struct BadGruu;

/// What a token was given for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Temporary {
    /// The key of the address-of-record.
    pub aor: String,
    device: u64,
    call_id: u64,
}

impl GruuTokens {
    /// Draws the keys.
    pub fn new(rng: &mut Rng) -> Self {
        let mut key = || (rng.next_u64(), rng.next_u64());
        GruuTokens { stream: key(), mark: key(), proof: key() }
    }

    /// The same keys at every node that shares a secret.
    pub fn of_cluster(secret: &ClusterSecret) -> Self {
        let key = |label| secret.key(label);
        GruuTokens { stream: key("gruu stream"), mark: key("gruu mark"), proof: key("gruu proof") }
    }

    /// What makes tokens differ, drawn at random.
    pub fn nonce(rng: &mut Rng) -> u128 {
        u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64())
    }

    /// A token: `gruu-` and hexadecimal digits. No `nonce` may be used twice.
    pub fn token(&self, aor: &str, device: &str, call_id: &str, nonce: u128) -> String {
        let mut octets = Vec::with_capacity(NONCE + MARKS + aor.len() + BLOCK + PROOF);
        octets.extend(nonce.to_be_bytes());
        octets.extend(self.mark(device).to_be_bytes());
        octets.extend(self.mark(call_id).to_be_bytes());
        octets.extend(aor.as_bytes());
        octets.resize((octets.len() - NONCE).next_multiple_of(BLOCK) + NONCE, 0);
        self.crypt(nonce, octets.get_mut(NONCE..).unwrap_or_default());
        octets.extend(code(self.proof, &[&octets]).to_be_bytes());
        let mut token = String::with_capacity(PREFIX.len() + 2 * octets.len());
        token.push_str(PREFIX);
        for octet in octets {
            let _ = write!(token, "{octet:02x}");
        }
        token
    }

    /// How long the token for an address-of-record is.
    pub fn length(aor: &str) -> usize {
        PREFIX.len() + 2 * (NONCE + (MARKS + aor.len()).next_multiple_of(BLOCK) + PROOF)
    }

    /// What a user part was given for.
    ///
    /// # Errors
    /// [`BadGruu`]: it was tampered with, another process made it, or it is none.
    pub fn read(&self, user: &str) -> Result<Temporary, BadGruu> {
        self.open(user.strip_prefix(PREFIX).ok_or(BadGruu)?).ok_or(BadGruu)
    }

    fn open(&self, digits: &str) -> Option<Temporary> {
        if digits.len() > 2 * LONGEST || !digits.len().is_multiple_of(2) {
            return None;
        }
        let digit = |c: u8| char::from(c).to_digit(16).map(|d| d as u8);
        let octet = |pair: &[u8; 2]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
        let mut octets: Vec<u8> = digits.as_bytes().as_chunks().0.iter().map(octet).collect::<Option<_>>()?;
        let proof = octets.split_off(octets.len().checked_sub(PROOF)?);
        // One comparison of two numbers: how long it takes tells nothing.
        if code(self.proof, &[&octets]) != u128::from_be_bytes(proof.try_into().ok()?) {
            return None;
        }
        let (nonce, _) = octets.split_first_chunk()?;
        self.crypt(u128::from_be_bytes(*nonce), octets.get_mut(NONCE..)?);
        let (device, rest) = octets.get(NONCE..)?.split_first_chunk()?;
        let (call_id, aor) = rest.split_first_chunk()?;
        let aor = std::str::from_utf8(aor).ok()?.trim_end_matches('\0').to_owned();
        Some(Temporary { aor, device: u64::from_be_bytes(*device), call_id: u64::from_be_bytes(*call_id) })
    }

    /// Whether a token was given for this device.
    pub fn is_for_device(&self, token: &Temporary, device: &str) -> bool {
        self.mark(device) == token.device
    }

    /// Whether a token was given for a REGISTER with this Call-ID.
    pub fn is_for_call_id(&self, token: &Temporary, call_id: &str) -> bool {
        self.mark(call_id) == token.call_id
    }

    fn mark(&self, text: &str) -> u64 {
        code(self.mark, &[text.as_bytes()]) as u64
    }

    /// Encrypts what is plain, and the other way round.
    fn crypt(&self, nonce: u128, octets: &mut [u8]) {
        for (at, block) in octets.chunks_mut(BLOCK).enumerate() {
            let key = code(self.stream, &[&nonce.to_be_bytes(), &(at as u64).to_be_bytes()]).to_be_bytes();
            block.iter_mut().zip(key).for_each(|(octet, key)| *octet ^= key);
        }
    }
}

fn code(key: (u64, u64), parts: &[&[u8]]) -> u128 {
    let mut hash = SipHasher24::new_with_keys(key.0, key.1);
    parts.iter().for_each(|part| hash.write(part));
    hash.finish128().as_u128()
}

impl std::fmt::Debug for GruuTokens {
    // The keys are secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GruuTokens")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(seed: u64) -> GruuTokens {
        GruuTokens::new(&mut Rng::from_seed(seed))
    }

    #[test]
    fn a_token_says_what_it_was_given_for_to_nobody_else() {
        let tokens = tokens(1);
        for aor in ["bob@example.com", "example.com", &"x".repeat(512)] {
            let token = tokens.token(aor, "<urn:uuid:1>", "call", 7);
            assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
            assert_eq!(token.len(), GruuTokens::length(aor));
            let read = tokens.read(&token).unwrap();
            assert_eq!(read.aor, aor);
            assert!(tokens.is_for_device(&read, "<urn:uuid:1>") && !tokens.is_for_device(&read, "<urn:uuid:2>"));
            assert!(tokens.is_for_call_id(&read, "call") && !tokens.is_for_call_id(&read, "other"));
        }
        // Two for the same have nothing in common, and users with names of about the same length look alike.
        let pair = [7, 8].map(|nonce| tokens.token("bob@example.com", "<urn:uuid:1>", "call", nonce));
        let same = pair[0].bytes().zip(pair[1].bytes()).skip(PREFIX.len() + 2 * NONCE).filter(|(a, b)| a == b);
        assert!(same.count() < 30);
        assert_eq!(GruuTokens::length("bob@example.com"), GruuTokens::length("al@example.com"));
    }

    #[test]
    fn nobody_else_can_make_one() {
        let own = tokens(1);
        let token = own.token("bob@example.com", "<urn:uuid:1>", "call", 7);
        assert_eq!(tokens(2).read(&token), Err(BadGruu));
        for at in 0..token.len() {
            let other = if token.as_bytes()[at] == b'0' { "1" } else { "0" };
            assert_eq!(own.read(&format!("{}{other}{}", &token[..at], &token[at + 1..])), Err(BadGruu));
            assert_eq!(own.read(&token[..at]), Err(BadGruu));
        }
        for user in ["bob", "gruu-", "gruu-00", "gruu-ä", &format!("{token}00"), &format!("gruu-{}", "00".repeat(5000))]
        {
            assert_eq!(own.read(user), Err(BadGruu), "{user}");
        }
    }
}
