//! Targets that failed lately: they go behind the others (RFC 3263 §4.3, RFC 3261 §21.5.4).

use super::failover::Cause;
use super::locate::{Candidate, Target};
use rutil::{HashMap, Keyed, Rng, Time};
use std::time::Duration;

/// Targets on the list at most; for one more, the one whose time is up first leaves.
const MOST: usize = 1024;

/// How long a target stays that did not answer or could not be reached.
const FAILED: Duration = Duration::from_secs(60);

/// The longest that a Retry-After is believed.
const LONGEST: Duration = Duration::from_secs(3600);

/// Bounded by [`MOST`]; an entry leaves when room is needed, and means nothing once its time is up.
pub(super) struct Greylist {
    until: HashMap<Target, Time>,
}

impl Greylist {
    pub(super) fn new(rng: &mut Rng) -> Self {
        Greylist { until: HashMap::with_hasher(Keyed::new(rng)) }
    }

    /// A target failed: it comes last until its time is up, which a 503 says itself. Whether it does.
    pub(super) fn put(&mut self, target: Target, cause: Cause, now: Time) -> bool {
        let until = match cause {
            Cause::Failed => now + FAILED,
            Cause::Unavailable(Some(wait)) => now + wait.min(LONGEST),
            Cause::Unavailable(None) | Cause::NotProved => return false,
        };
        if self.until.len() >= MOST && !self.until.contains_key(&target) {
            self.until.retain(|_, until| *until > now);
            if self.until.len() >= MOST {
                let first = self.until.iter().min_by_key(|(_, until)| **until).map(|(target, _)| *target);
                first.map(|first| self.until.remove(&first));
            }
        }
        self.until.insert(target, until);
        true
    }

    /// Puts those on the list behind the others; else the order stays.
    pub(super) fn sort(&self, candidates: &mut [Candidate], now: Time) {
        if !self.until.is_empty() {
            candidates.sort_by_key(|one| self.until.get(&one.target).is_some_and(|until| *until > now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::TransportType;

    fn target(n: u32) -> Target {
        let ip = std::net::Ipv4Addr::from(0xc000_0200 + n);
        Target { kind: TransportType::Udp, address: (ip, 5060).into() }
    }

    #[test]
    fn failed_targets_come_last_until_their_time_is_up() {
        let mut list = Greylist::new(&mut Rng::from_seed(1));
        list.put(target(1), Cause::Failed, Time::ZERO);
        list.put(target(3), Cause::Unavailable(None), Time::ZERO);
        list.put(target(3), Cause::NotProved, Time::ZERO);
        list.put(target(2), Cause::Unavailable(Some(Duration::from_secs(10))), Time::ZERO);
        let order = |seconds: u64| {
            let mut candidates = [1, 2, 3].map(|n| Candidate { target: target(n), host: 0 });
            list.sort(&mut candidates, Time::from_millis(seconds * 1000));
            candidates.map(|one| (0..4).find(|n| target(*n) == one.target).unwrap())
        };
        assert_eq!(order(9), [3, 1, 2]);
        assert_eq!(order(10), [2, 3, 1]);
        assert_eq!(order(60), [1, 2, 3]);
    }

    #[test]
    fn it_is_bounded_and_no_peer_leaves_for_more_than_an_hour() {
        let mut list = Greylist::new(&mut Rng::from_seed(1));
        for n in 0..3 * MOST as u32 {
            let wait = Duration::from_secs(u64::from(n) + 1);
            list.put(target(n), Cause::Unavailable(Some(wait)), Time::ZERO);
            assert!(list.until.len() <= MOST);
        }
        // Those that would have stayed longest are still there.
        let last = target(3 * MOST as u32 - 1);
        assert_eq!(list.until.get(&last), Some(&(Time::ZERO + Duration::from_secs(3 * MOST as u64))));
        list.put(last, Cause::Unavailable(Some(Duration::MAX)), Time::ZERO);
        assert_eq!(list.until.get(&last), Some(&(Time::ZERO + LONGEST)));
    }
}
