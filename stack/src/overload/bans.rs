//! Addresses whose messages are not read.

use parking_lot::Mutex;
use rutil::{Clock, RealClock, Time};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bans at once; one more takes the place of the one that ends first.
const MOST: usize = 65_536;

/// The bans of a stack: set by hand or by [`super::SourceLimits`], each with its end. Scanners keep a copy, so no message
/// waits for a lock. At most 65,536; an entry leaves when it has ended and another comes, or for one that ends later.
#[derive(Debug, Default)]
pub struct Bans {
    until: Mutex<HashMap<IpAddr, Time>>,
    changes: AtomicU64,
}

impl Bans {
    /// Bans an address until `now + length`; a longer ban stays.
    pub fn ban(&self, address: IpAddr, length: Duration, now: Time) {
        let (address, end) = (address.to_canonical(), now + length);
        let mut until = self.until.lock();
        if until.len() >= MOST && !until.contains_key(&address) {
            until.retain(|_, end| *end > now);
            let first = until.iter().min_by_key(|(_, end)| **end).map(|(address, _)| *address);
            if let Some(first) = first.filter(|_| until.len() >= MOST) {
                until.remove(&first);
            }
        }
        let known = until.entry(address).or_insert(end);
        *known = end.max(*known);
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// Lifts a ban; whether there was one.
    pub(crate) fn lift(&self, address: IpAddr) -> bool {
        let lifted = self.until.lock().remove(&address.to_canonical()).is_some();
        self.changes.fetch_add(1, Ordering::Release);
        lifted
    }

    /// Who is banned, and for how long still.
    pub(crate) fn list(&self, now: Time) -> Vec<(IpAddr, Duration)> {
        let until = self.until.lock();
        let mut bans: Vec<_> = until.iter().map(|(address, end)| (*address, end.since(now))).collect();
        bans.retain(|(_, left)| !left.is_zero());
        bans.sort();
        bans
    }
}

/// The bans of a running stack, to be read and changed from any thread.
#[derive(Clone, Debug)]
pub struct BanList {
    bans: Arc<Bans>,
    clock: RealClock,
}

impl BanList {
    pub(crate) fn new(bans: Arc<Bans>, clock: RealClock) -> Self {
        BanList { bans, clock }
    }

    /// Reads nothing more that comes from an address, for so long; a ban that is longer stays.
    pub fn ban(&self, address: IpAddr, length: Duration) {
        self.bans.ban(address, length, self.clock.now());
    }

    /// Ends a ban, whoever set it. False when there was none.
    pub fn lift(&self, address: IpAddr) -> bool {
        self.bans.lift(address)
    }

    /// Who is banned, and for how long still.
    pub fn list(&self) -> Vec<(IpAddr, Duration)> {
        self.bans.list(self.clock.now())
    }
}

/// A scanner's copy of the bans.
#[derive(Default)]
pub(crate) struct Banned {
    until: HashMap<IpAddr, Time>,
    changes: u64,
}

impl Banned {
    /// Takes over what has changed: one load when nothing has.
    pub(crate) fn follow(&mut self, bans: &Bans, now: Time) {
        let changes = bans.changes.load(Ordering::Acquire);
        if changes == self.changes {
            return;
        }
        let until = bans.until.lock();
        self.changes = changes;
        self.until = until.iter().filter(|(_, end)| **end > now).map(|(address, end)| (*address, *end)).collect();
    }

    /// Whether an address is banned at `now`.
    pub(crate) fn contains(&self, address: IpAddr, now: Time) -> bool {
        !self.until.is_empty() && self.until.get(&address.to_canonical()).is_some_and(|end| *end > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn address(n: u32) -> IpAddr {
        IpAddr::V4(n.into())
    }

    #[test]
    fn a_ban_ends_or_is_lifted() {
        let (bans, mut banned) = (Bans::default(), Banned::default());
        let at = Time::from_millis;
        bans.ban(address(1), 2 * SECOND, at(0));
        bans.ban(address(1), SECOND, at(0));
        bans.ban("::ffff:0.0.0.2".parse().unwrap(), 9 * SECOND, at(0));
        assert!(!banned.contains(address(1), at(0)), "not yet heard of");
        banned.follow(&bans, at(0));
        assert!(banned.contains(address(1), at(1999)) && !banned.contains(address(1), at(2000)));
        assert!(banned.contains(address(2), at(2000)) && !banned.contains(address(3), at(0)));
        assert_eq!(bans.list(at(2000)), [(address(2), 7 * SECOND)]);
        assert!(bans.lift(address(2)) && !bans.lift(address(2)));
        banned.follow(&bans, at(0));
        assert!(!banned.contains(address(2), at(0)));
    }

    #[test]
    fn bans_are_bounded() {
        let bans = Bans::default();
        for n in 0..MOST as u32 {
            bans.ban(address(n), SECOND * (n + 1), Time::ZERO);
        }
        bans.ban(address(u32::MAX), SECOND, Time::ZERO);
        let list = bans.list(Time::ZERO);
        assert_eq!(list.len(), MOST);
        assert!(list.iter().all(|(ip, _)| *ip != address(0)), "the one that ends first has made room");
    }
}
