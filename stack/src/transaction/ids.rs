//! Names of transactions, and the branches that carry them.

use std::fmt;

/// Names a client transaction: its shard, and a random number that its branch carries. Never used twice.
///
/// Each further attempt of a request (RFC 3263 §4.3) is a transaction of its own, with a number beside the random one;
/// transaction users know the name of the first alone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientTransaction {
    shard: u16,
    nonce: u64,
}

/// Names a server transaction. A name whose transaction has ended names nothing: commands for it are ignored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerTransaction {
    pub(crate) shard: u16,
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

/// The cookie that begins the branches of RFC 3261 (§8.1.1.7).
pub const MAGIC_COOKIE: &str = "z9hG4bK";

/// Where the number of the attempt is: four bits below the highest, which tells servers from clients.
const ATTEMPT: u32 = 59;

/// Its bits.
const ATTEMPTS: u64 = 0xf << ATTEMPT;

/// Length of a branch without a loop-detection part.
const BRANCH_LEN: usize = MAGIC_COOKIE.len() + 2 + 16;

impl ClientTransaction {
    /// A name from 64 random bits, of which 58 are used.
    pub fn new(shard: u16, random: u64) -> Self {
        ClientTransaction { shard, nonce: random & !(1 << 63 | ATTEMPTS | 1) }
    }

    /// The attempt that follows this one; `None` after the sixteenth.
    pub(crate) fn next_attempt(self) -> Option<Self> {
        let next = ((self.nonce & ATTEMPTS) >> ATTEMPT) + 1;
        (next < 16).then_some(ClientTransaction { nonce: self.nonce & !ATTEMPTS | next << ATTEMPT, ..self })
    }

    /// The name that transaction users know.
    pub(crate) fn first_attempt(self) -> Self {
        ClientTransaction { nonce: self.nonce & !ATTEMPTS, ..self }
    }

    /// The shard that it lives in.
    pub fn shard(self) -> u16 {
        self.shard
    }

    /// The key in the shard's table. A CANCEL has the branch of its INVITE and a key of its own.
    pub(crate) fn key(self, cancel: bool) -> u64 {
        self.nonce | u64::from(cancel)
    }

    /// The branch: cookie, shard, number, and where the proxy gives one, the loop-detection hash of RFC 3261 §16.6
    /// step 8.
    pub(crate) fn branch(self, loop_hash: Option<u64>) -> Branch {
        let mut text = [0; BRANCH_LEN + 17];
        text[..7].copy_from_slice(MAGIC_COOKIE.as_bytes());
        write_hex(&mut text[7..9], u64::from(self.shard & 0xff));
        write_hex(&mut text[9..25], self.nonce);
        let len = match loop_hash {
            Some(hash) => {
                text[25] = b'.';
                write_hex(&mut text[26..42], hash);
                42
            }
            None => BRANCH_LEN,
        };
        Branch { text, len }
    }

    /// Reads a branch of ours.
    pub(crate) fn from_branch(branch: &str) -> Option<Self> {
        let rest = branch.as_bytes();
        if rest.len() < BRANCH_LEN || !rest[..7].eq_ignore_ascii_case(MAGIC_COOKIE.as_bytes()) {
            return None;
        }
        if !matches!(rest.get(BRANCH_LEN), None | Some(b'.')) {
            return None;
        }
        let shard = read_hex(&rest[7..9])? as u16;
        let nonce = read_hex(&rest[9..25])?;
        (nonce & (1 << 63 | 1) == 0).then_some(ClientTransaction { shard, nonce })
    }
}

/// The loop-detection part of a branch that [`ClientTransaction`] made, for the proxy that finds its own Via again.
pub fn loop_hash(branch: &str) -> Option<u64> {
    ClientTransaction::from_branch(branch)?;
    read_hex(branch.as_bytes().get(BRANCH_LEN + 1..).filter(|h| h.len() == 16)?)
}

impl ServerTransaction {
    /// The shard that it lives in.
    pub fn shard(self) -> u16 {
        self.shard
    }
}

/// A branch's text, on the stack.
#[derive(Clone, Copy)]
pub(crate) struct Branch {
    text: [u8; BRANCH_LEN + 17],
    len: usize,
}

impl Branch {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.text[..self.len]
    }
}

/// Writes a number in hexadecimal, with as many digits as there is room for.
pub(super) fn write_hex(into: &mut [u8], mut n: u64) {
    for b in into.iter_mut().rev() {
        *b = b"0123456789abcdef"[(n & 15) as usize];
        n >>= 4;
    }
}

fn read_hex(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0u64, |n, b| {
        let digit = match b {
            b'0'..=b'9' => b - b'0',
            b'a'..=b'f' => b - b'a' + 10,
            b'A'..=b'F' => b - b'A' + 10,
            _ => return None,
        };
        Some(n << 4 | u64::from(digit))
    })
}

impl fmt::Debug for ClientTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {:02x}{:016x}", self.shard, self.nonce)
    }
}

impl fmt::Debug for ServerTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "server {}/{}.{}", self.shard, self.slot, self.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_names_its_transaction() {
        for random in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef] {
            let id = ClientTransaction::new(7, random);
            for hash in [None, Some(0), Some(u64::MAX)] {
                let branch = id.branch(hash);
                let text = std::str::from_utf8(branch.as_bytes()).unwrap();
                assert_eq!(ClientTransaction::from_branch(text), Some(id));
                assert_eq!(ClientTransaction::from_branch(&text.to_uppercase()), Some(id));
                assert_eq!(loop_hash(text), hash);
            }
        }
    }

    #[test]
    fn attempts_have_branches_of_their_own_and_one_name() {
        let first = ClientTransaction::new(3, u64::MAX);
        assert_eq!(first.first_attempt(), first);
        let all: Vec<_> = std::iter::successors(Some(first), |id| id.next_attempt()).collect();
        assert_eq!(all.len(), 16);
        let mut keys = std::collections::HashSet::new();
        for id in all {
            assert!(keys.insert(id.key(false)) && keys.insert(id.key(true)));
            assert_eq!((id.key(false) >> 63, id.first_attempt(), id.shard()), (0, first, 3));
            let branch = id.branch(Some(7));
            assert_eq!(ClientTransaction::from_branch(std::str::from_utf8(branch.as_bytes()).unwrap()), Some(id));
        }
    }

    #[test]
    fn other_branches_name_nothing() {
        for text in [
            "",
            "z9hG4bK",
            "z9hG4bK07",
            "z9hG4bK07xxxxxxxxxxxxxxxx",
            "z9hG4bK070000000000000000x",
            "grüße grüße grüße grüße",
        ] {
            assert_eq!(ClientTransaction::from_branch(text), None, "{text}");
        }
    }
}
