//! Guessing is slowed, and ends with a ban: a count of wrong passwords by source, and by source and user.
//!
//! A machine: it is told what happened and says what to do. Sources are those that messages come from, and are sure: a
//! guess is judged only when it answers a nonce that this source was sent.

use rutil::{HashMap, Keyed, Rng, Time};
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// How long wrong answers count.
const MEMORY: Duration = Duration::from_secs(60);
/// Entries in each of two generations.
const MOST: usize = 32_768;

/// How many wrong answers are borne, within a minute.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GuardLimits {
    /// For one user from one source; the next ones count as wrong without a look.
    pub(crate) failures: u32,
    /// From one source, for all users; then it is banned. 0: never.
    pub(crate) ban_after: u32,
}

/// A source (an address, or a /64 of IPv6), and a user as a hash; 0: all users.
type Key = (IpAddr, u64);

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    since: Time,
}

/// Counts wrong passwords. 65,536 entries, those that came last: one leaves when so many others have come since. An account
/// is never locked: who guesses from elsewhere does a user no harm.
#[derive(Debug)]
pub(crate) struct Guard {
    limits: GuardLimits,
    hasher: Keyed,
    young: HashMap<Key, Failures>,
    old: HashMap<Key, Failures>,
}

impl Guard {
    pub(crate) fn new(limits: GuardLimits, rng: &mut Rng) -> Self {
        let hasher = Keyed::new(rng);
        let map = || HashMap::with_hasher(hasher.clone());
        Guard { limits, young: map(), old: map(), hasher }
    }

    /// Whether a source has guessed at a user's password so often that no other guess is looked at.
    pub(crate) fn is_slowed(&self, source: IpAddr, user: &str, now: Time) -> bool {
        let key = (source_of(source), self.hash(user));
        let known = self.young.get(&key).or_else(|| self.old.get(&key));
        known.is_some_and(|known| now.since(known.since) <= MEMORY && known.count >= self.limits.failures)
    }

    /// A source has given a wrong password for a user; whether it is to be banned.
    pub(crate) fn failed(&mut self, source: IpAddr, user: &str, now: Time) -> bool {
        let source = source_of(source);
        self.count((source, self.hash(user)), now);
        let all = self.count((source, 0), now);
        self.limits.ban_after > 0 && all >= self.limits.ban_after
    }

    /// What a source has guessed counts no more.
    pub(crate) fn forgive(&mut self, source: IpAddr) {
        let source = source_of(source);
        self.young.retain(|(other, _), _| *other != source);
        self.old.retain(|(other, _), _| *other != source);
    }

    fn count(&mut self, key: Key, now: Time) -> u32 {
        if self.young.len() >= MOST && !self.young.contains_key(&key) {
            let empty = HashMap::with_hasher(self.hasher.clone());
            self.old = std::mem::replace(&mut self.young, empty);
        }
        let kept = self.old.remove(&key).filter(|kept| now.since(kept.since) <= MEMORY);
        let entry = self.young.entry(key).or_insert(kept.unwrap_or(Failures { count: 0, since: now }));
        if now.since(entry.since) > MEMORY {
            *entry = Failures { count: 0, since: now };
        }
        entry.count = entry.count.saturating_add(1);
        entry.count
    }

    fn hash(&self, user: &str) -> u64 {
        self.hasher.hash_one(user).max(1)
    }
}

fn source_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(failures: u32, ban_after: u32) -> Guard {
        Guard::new(GuardLimits { failures, ban_after }, &mut Rng::from_seed(1))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn at(seconds: u64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    #[test]
    fn who_guesses_is_slowed_for_that_user_and_nobody_else_is() {
        let mut guard = guard(3, 0);
        let (here, there) = (ip("192.0.2.1"), ip("192.0.2.2"));
        for n in 0..3 {
            assert!(!guard.is_slowed(here, "alice", at(n)), "{n}");
            assert!(!guard.failed(here, "alice", at(n)));
        }
        assert!(guard.is_slowed(here, "alice", at(3)) && guard.is_slowed(ip("::ffff:192.0.2.1"), "alice", at(3)));
        assert!(!guard.is_slowed(here, "bob", at(3)) && !guard.is_slowed(there, "alice", at(3)));
        assert!(guard.is_slowed(here, "alice", at(60)) && !guard.is_slowed(here, "alice", at(61)));
    }

    #[test]
    fn who_goes_on_is_banned_whatever_names_he_takes() {
        let mut guard = guard(3, 5);
        let users = ["alice", "bob", "carol", "dave", "eve", "alice"];
        let bans: Vec<bool> = users.iter().map(|user| guard.failed(ip("2001:db8::1"), user, at(1))).collect();
        assert_eq!(bans, [false, false, false, false, true, true]);
        assert!(guard.failed(ip("2001:db8::ffff"), "x", at(2)), "of the same /64");
        assert!(!guard.failed(ip("2001:db8:0:1::1"), "x", at(2)));
        assert!(!guard.failed(ip("2001:db8::1"), "x", at(62)), "a minute later");
    }

    #[test]
    fn the_table_has_a_bound_and_forgets_the_oldest() {
        let mut guard = guard(1, 0);
        for n in 0..2 * MOST as u32 {
            guard.failed(IpAddr::V4((0x0a00_0000 + n).into()), "alice", at(1));
        }
        assert!(guard.young.len() <= MOST && guard.old.len() <= MOST);
        assert!(!guard.is_slowed(ip("10.0.0.0"), "alice", at(1)));
        assert!(guard.is_slowed(IpAddr::V4((0x0a00_0000 + 2 * MOST as u32 - 1).into()), "alice", at(1)));
    }
}
