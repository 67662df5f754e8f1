//! Addresses whose messages are not read.

use crate::transport::source_of;
use parking_lot::Mutex;
use rutil::{Clock, RealClock, Time};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bans at once.
const MOST: usize = 65_536;
/// Changes that are remembered for the scanners; one that has missed more copies all.
const LOG: usize = 4096;
/// Bans that have ended and are looked for when one is set.
const SEARCH: usize = 2;

/// Why a source is banned, and with that, what of it is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// What datagrams did, whose source anybody may have written: datagrams are not read.
    Datagrams,
    /// What came on connections, or showed otherwise that it comes from where it says: nothing is read.
    Connections,
    /// Somebody wants it: nothing is read, not even of who is exempt.
    ByHand,
}

/// When the bans of a source end, by [`Cause`].
#[derive(Clone, Copy, Debug)]
struct Ban([Time; 3]);

impl Ban {
    fn end(&self) -> Time {
        self.0.into_iter().max().unwrap_or(Time::ZERO)
    }

    fn holds(&self, cause: Cause, now: Time) -> bool {
        self.0[cause as usize] > now
    }
}

#[derive(Debug, Default)]
struct List {
    bans: HashMap<IpAddr, Ban>,
    /// By when they end.
    order: BTreeSet<(Time, IpAddr)>,
    /// How often something has changed, and what did lately.
    changes: u64,
    log: VecDeque<IpAddr>,
}

impl List {
    fn changed(&mut self, source: IpAddr) {
        self.changes += 1;
        if self.log.len() >= LOG {
            self.log.pop_front();
        }
        self.log.push_back(source);
    }

    fn remove(&mut self, source: IpAddr) -> Option<Ban> {
        let ban = self.bans.remove(&source)?;
        self.order.remove(&(ban.end(), source));
        self.changed(source);
        Some(ban)
    }

    /// Makes room for one more, if there is none: by what has ended, or for a ban by hand by the one that ends first.
    fn has_room(&mut self, cause: Cause, now: Time) -> bool {
        for _ in 0..SEARCH {
            match self.order.first() {
                Some(&(end, source)) if end <= now => drop(self.remove(source)),
                _ => break,
            }
        }
        if self.bans.len() >= MOST
            && cause == Cause::ByHand
            && let Some(&(_, source)) = self.order.first()
        {
            self.remove(source);
        }
        self.bans.len() < MOST
    }

    fn set(&mut self, source: IpAddr, cause: Cause, end: Time, now: Time) -> bool {
        if !self.bans.contains_key(&source) && !self.has_room(cause, now) {
            return false;
        }
        let ban = self.bans.entry(source).or_insert(Ban([Time::ZERO; 3]));
        self.order.remove(&(ban.end(), source));
        let known = &mut ban.0[cause as usize];
        *known = end.max(*known);
        self.order.insert((ban.end(), source));
        self.changed(source);
        true
    }
}

/// The bans of a stack, of addresses and of /64s of IPv6: set by hand or by [`super::SourceLimits`], each with its end.
/// Scanners keep a copy, so no message waits for a lock. At most 65,536; an entry leaves when it has ended and others
/// come, or for one by hand that finds no room: the one that ends first. To set one costs the logarithm of how many there
/// are, however many come: whoever can write others' addresses into datagrams can have them come fast.
#[derive(Debug, Default)]
pub struct Bans {
    list: Mutex<List>,
    /// [`List::changes`], to be read without the lock.
    changes: AtomicU64,
}

impl Bans {
    /// Bans an address, or the /64 that it is of, until `now + length`; a longer ban stays.
    pub fn ban(&self, address: IpAddr, length: Duration, now: Time) {
        self.set(address, Cause::ByHand, length, now);
    }

    /// The same, for a cause. False when there is no room.
    pub(crate) fn set(&self, address: IpAddr, cause: Cause, length: Duration, now: Time) -> bool {
        let mut list = self.list.lock();
        let set = list.set(source_of(address), cause, now + length, now);
        self.changes.store(list.changes, Ordering::Release);
        set
    }

    /// Lifts a ban, whatever its cause; whether there was one.
    pub(crate) fn lift(&self, address: IpAddr) -> bool {
        let mut list = self.list.lock();
        let lifted = list.remove(source_of(address)).is_some();
        self.changes.store(list.changes, Ordering::Release);
        lifted
    }

    /// Who is banned, and for how long still.
    pub(crate) fn list(&self, now: Time) -> Vec<(IpAddr, Duration)> {
        let mut bans: Vec<_> =
            self.list.lock().bans.iter().map(|(source, ban)| (*source, ban.end().since(now))).collect();
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

    /// Reads nothing more that comes from an address, or from the /64 of an IPv6 address, for so long; a ban that is longer
    /// stays.
    pub fn ban(&self, address: IpAddr, length: Duration) {
        self.bans.ban(address, length, self.clock.now());
    }

    /// Ends a ban, whoever set it. False when there was none.
    pub fn lift(&self, address: IpAddr) -> bool {
        self.bans.lift(address)
    }

    /// Who is banned, and for how long still; of IPv6 the first address of the /64.
    pub fn list(&self) -> Vec<(IpAddr, Duration)> {
        self.bans.list(self.clock.now())
    }
}

/// A scanner's copy of the bans.
#[derive(Default)]
pub(crate) struct Banned {
    bans: HashMap<IpAddr, Ban>,
    changes: u64,
}

impl Banned {
    /// Takes over what has changed: one load when nothing has, and no more than the changes, unless they were very many.
    pub(crate) fn follow(&mut self, bans: &Bans) {
        if bans.changes.load(Ordering::Acquire) == self.changes {
            return;
        }
        let list = bans.list.lock();
        let missed = list.changes - self.changes;
        self.changes = list.changes;
        match usize::try_from(missed).ok().and_then(|missed| list.log.len().checked_sub(missed)) {
            Some(known) => {
                for source in list.log.range(known..) {
                    match list.bans.get(source) {
                        Some(ban) => drop(self.bans.insert(*source, *ban)),
                        None => drop(self.bans.remove(source)),
                    }
                }
            }
            None => self.bans.clone_from(&list.bans),
        }
    }

    /// Whether what comes from an address at `now`, on a connection or not, is not to be read. `exempt` is asked for who
    /// is banned.
    pub(crate) fn contains(&self, address: IpAddr, connection: bool, exempt: impl FnOnce() -> bool, now: Time) -> bool {
        if self.bans.is_empty() {
            return false;
        }
        let Some(ban) = self.bans.get(&source_of(address)) else { return false };
        let by_itself = ban.holds(Cause::Connections, now) || !connection && ban.holds(Cause::Datagrams, now);
        ban.holds(Cause::ByHand, now) || by_itself && !exempt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn address(n: u32) -> IpAddr {
        IpAddr::V4(n.into())
    }

    fn hears(banned: &Banned, address: IpAddr, ms: u64) -> bool {
        !banned.contains(address, false, || false, Time::from_millis(ms))
    }

    #[test]
    fn a_ban_ends_or_is_lifted() {
        let (bans, mut banned) = (Bans::default(), Banned::default());
        let at = Time::from_millis;
        bans.ban(address(1), 2 * SECOND, at(0));
        bans.ban(address(1), SECOND, at(0));
        bans.ban("::ffff:0.0.0.2".parse().unwrap(), 9 * SECOND, at(0));
        assert!(hears(&banned, address(1), 0), "not yet heard of");
        banned.follow(&bans);
        assert!(!hears(&banned, address(1), 1999) && hears(&banned, address(1), 2000));
        assert!(!hears(&banned, address(2), 2000) && hears(&banned, address(3), 0));
        assert_eq!(bans.list(at(2000)), [(address(2), 7 * SECOND)]);
        assert!(bans.lift(address(2)) && !bans.lift(address(2)));
        banned.follow(&bans);
        assert!(hears(&banned, address(2), 0));
    }

    #[test]
    fn a_ban_is_of_the_prefix_that_one_customer_has() {
        let (bans, mut banned) = (Bans::default(), Banned::default());
        let [first, same, other] = ["2001:db8::1", "2001:db8::2:3", "2001:db8:0:1::1"].map(|ip| ip.parse().unwrap());
        bans.ban(first, SECOND, Time::ZERO);
        banned.follow(&bans);
        assert!(!hears(&banned, first, 0) && !hears(&banned, same, 0) && hears(&banned, other, 0));
        assert!(bans.lift(same));
    }

    #[test]
    fn what_datagrams_did_is_no_ban_of_connections() {
        let (bans, mut banned) = (Bans::default(), Banned::default());
        let causes = [Cause::Datagrams, Cause::Connections, Cause::ByHand];
        for (n, cause) in (0..).zip(causes) {
            assert!(bans.set(address(n), cause, SECOND, Time::ZERO));
        }
        banned.follow(&bans);
        let contains = |n, connection, exempt| banned.contains(address(n), connection, || exempt, Time::ZERO);
        assert_eq!([0, 1, 2].map(|n| contains(n, false, false)), [true, true, true]);
        assert_eq!([0, 1, 2].map(|n| contains(n, true, false)), [false, true, true]);
        assert_eq!([0, 1, 2].map(|n| contains(n, false, true)), [false, false, true]);
    }

    #[test]
    fn bans_are_bounded_and_those_by_hand_have_room() {
        let (bans, mut banned) = (Bans::default(), Banned::default());
        let most = MOST as u32;
        for n in 0..most {
            assert!(bans.set(address(n), Cause::Datagrams, SECOND * (n + 1), Time::ZERO));
        }
        banned.follow(&bans);
        assert_eq!(banned.bans.len(), MOST);
        assert!(!bans.set(address(most), Cause::Datagrams, SECOND, Time::ZERO), "nothing has ended");
        assert!(bans.set(address(5), Cause::Datagrams, SECOND, Time::ZERO), "known");
        bans.ban(address(u32::MAX), SECOND, Time::ZERO);
        banned.follow(&bans);
        assert!(hears(&banned, address(0), 0) && !hears(&banned, address(u32::MAX), 0));
        // What has ended makes room, little by little.
        assert!(bans.set(address(most), Cause::Datagrams, SECOND, Time::from_millis(4000)));
        banned.follow(&bans);
        let list = bans.list.lock();
        assert_eq!((list.bans.len(), list.order.len(), banned.bans.len()), (MOST - 1, MOST - 1, MOST - 1));
        assert_eq!(list.log.len(), LOG);
    }

    #[test]
    fn a_copy_takes_over_what_has_changed() {
        let (bans, mut banned) = (Bans::default(), Banned::default());
        for turn in 0..10 {
            // More and fewer changes than are remembered.
            for n in 0..LOG as u32 / 2 + turn * 700 {
                bans.ban(address(turn << 16 | n), SECOND, Time::ZERO);
                if n % 3 == 0 {
                    bans.lift(address((turn << 16) | (n / 2)));
                }
            }
            banned.follow(&bans);
            let list = bans.list.lock();
            assert_eq!(list.bans.len(), banned.bans.len());
            assert!(list.bans.keys().all(|source| banned.bans.contains_key(source)));
        }
    }
}
