//! Addresses that were looked up, for as long as their servers say.

use rutil::{HashMap, Keyed, Time};
use std::net::IpAddr;
use std::time::Duration;

/// Names kept at most; when it is full, what has expired goes, and if that is nothing, everything.
const NAMES: usize = 4096;
/// An answer without a time to live, or with a very short one, is good for this long: a burst asks once.
const SHORTEST: Duration = Duration::from_secs(1);
/// The longest that an answer is believed.
const LONGEST: Duration = Duration::from_secs(3600);
/// How long a name is known not to exist (RFC 2308 allows up to the zone's minimum; this is less than any).
const NEGATIVE: Duration = Duration::from_secs(5);

/// Bounded by [`NAMES`]; an entry leaves when it is asked for after its time, or when the cache is full.
pub(super) struct AddressCache {
    entries: HashMap<String, Entry>,
}

struct Entry {
    addresses: Box<[IpAddr]>,
    until: Time,
}

impl AddressCache {
    pub(super) fn new(rng: &mut rutil::Rng) -> Self {
        AddressCache { entries: HashMap::with_hasher(Keyed::new(rng)) }
    }

    /// The addresses of a name; an empty slice when it is known to have none.
    pub(super) fn get(&self, name: &str, now: Time) -> Option<&[IpAddr]> {
        let entry = self.entries.get(name).filter(|entry| entry.until > now)?;
        Some(&entry.addresses)
    }

    /// Keeps an answer; `None` when the name has no addresses.
    pub(super) fn put(&mut self, name: String, addresses: Option<&[IpAddr]>, ttl: Duration, now: Time) {
        if self.entries.len() >= NAMES && !self.entries.contains_key(&name) {
            self.entries.retain(|_, entry| entry.until > now);
            if self.entries.len() >= NAMES {
                self.entries.clear();
            }
        }
        let life = if addresses.is_some() { ttl.clamp(SHORTEST, LONGEST) } else { NEGATIVE };
        self.entries.insert(name, Entry { addresses: addresses.unwrap_or(&[]).into(), until: now + life });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_expire_and_the_cache_is_bounded() {
        let mut cache = AddressCache::new(&mut rutil::Rng::from_seed(1));
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        cache.put("a".into(), Some(&[ip]), Duration::from_secs(10), Time::ZERO);
        cache.put("b".into(), None, Duration::ZERO, Time::ZERO);
        assert_eq!(cache.get("a", Time::from_millis(9_999)), Some(&[ip][..]));
        assert_eq!(cache.get("a", Time::from_millis(10_000)), None);
        assert_eq!(cache.get("b", Time::from_millis(4_000)), Some(&[][..]));
        assert_eq!(cache.get("b", Time::from_millis(5_000)), None);
        for n in 0..3 * NAMES {
            cache.put(n.to_string(), Some(&[ip]), Duration::from_secs(10), Time::ZERO);
            assert!(cache.entries.len() <= NAMES);
        }
    }
}
