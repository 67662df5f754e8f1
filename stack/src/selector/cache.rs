//! What the DNS said, for as long as it may be believed (RFC 1035 §3.2.1, RFC 2308).

use super::records::{Query, Records};
use super::resolver::DnsError;
use rutil::{HashMap, Keyed, Rng, Time};
use std::time::Duration;

/// Answers kept at most; when it is full, what has expired goes, and if that is nothing, everything.
const ANSWERS: usize = 4096;
/// An answer without a time to live, or with a very short one, is good for this long: a burst asks once.
const SHORTEST: Duration = Duration::from_secs(1);
/// The longest that an answer is believed.
const LONGEST: Duration = Duration::from_secs(3600);
/// How long at least a name is known to have no such records, where its zone does not say.
const NEGATIVE: Duration = Duration::from_secs(5);
/// The longest that it is (RFC 2308 §5 recommends one to three hours as the most): records may come any moment.
const LONGEST_NEGATIVE: Duration = Duration::from_secs(600);
/// How long a question that no server answered is not asked again (RFC 2308 §7 allows five minutes).
const FAILED: Duration = Duration::from_secs(5);

/// Bounded by [`ANSWERS`] of at most [`super::records::MOST_RECORDS`] records; an entry leaves when there is an answer of
/// later, or when the cache is full, and means nothing once its time is up.
pub(super) struct Cache {
    entries: HashMap<Query, Entry>,
}

struct Entry {
    records: Records,
    until: Time,
}

impl Cache {
    pub(super) fn new(rng: &mut Rng) -> Self {
        Cache { entries: HashMap::with_hasher(Keyed::new(rng)) }
    }

    /// What is known; no records where it is known that there are none.
    pub(super) fn get(&self, query: &Query, now: Time) -> Option<&Records> {
        self.entries.get(query).filter(|entry| entry.until > now).map(|entry| &entry.records)
    }

    /// Keeps an answer; a question that failed has no records for a while.
    pub(super) fn put(&mut self, query: Query, result: Result<Records, DnsError>, ttl: Option<Duration>, now: Time) {
        if self.entries.len() >= ANSWERS && !self.entries.contains_key(&query) {
            self.entries.retain(|_, entry| entry.until > now);
            if self.entries.len() >= ANSWERS {
                self.entries.clear();
            }
        }
        let life = match &result {
            Ok(_) => ttl.unwrap_or_default().clamp(SHORTEST, LONGEST),
            Err(DnsError::NotFound) => ttl.unwrap_or(NEGATIVE).clamp(SHORTEST, LONGEST_NEGATIVE),
            Err(_) => FAILED,
        };
        let records = result.unwrap_or_else(|_| Records::none(query.record));
        self.entries.insert(query, Entry { records, until: now + life });
    }

    /// Forgets everything: other servers may say something else.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::records::RecordType;
    use super::*;

    fn query(name: &str) -> Query {
        Query::new(name, RecordType::A)
    }

    fn at(seconds: u64) -> Time {
        Time::from_millis(seconds * 1000)
    }

    #[test]
    fn answers_expire() {
        let mut cache = Cache::new(&mut Rng::from_seed(1));
        let found = Records::Addresses(Box::new(["192.0.2.1".parse().unwrap()]));
        let seconds = |n: u64| Some(Duration::from_secs(n));
        cache.put(query("a"), Ok(found.clone()), seconds(10), at(0));
        cache.put(query("zero"), Ok(found.clone()), seconds(0), at(0));
        cache.put(query("long"), Ok(found.clone()), Some(Duration::MAX), at(0));
        cache.put(query("none"), Err(DnsError::NotFound), seconds(30), at(0));
        cache.put(query("silent zone"), Err(DnsError::NotFound), None, at(0));
        cache.put(query("never"), Err(DnsError::NotFound), Some(Duration::MAX), at(0));
        cache.put(query("failed"), Err(DnsError::Timeout), None, at(0));
        let none = Records::none(RecordType::A);
        for (name, records, last) in [
            ("a", &found, 10),
            ("zero", &found, 1),
            ("long", &found, 3600),
            ("none", &none, 30),
            ("silent zone", &none, 5),
            ("never", &none, 600),
            ("failed", &none, 5),
        ] {
            let before = Time::from_nanos(at(last).as_nanos() - 1);
            assert_eq!(cache.get(&query(name), before), Some(records), "{name}");
            assert_eq!(cache.get(&query(name), at(last)), None, "{name}");
        }
        assert_eq!(cache.get(&Query::new("a", RecordType::Aaaa), at(0)), None, "another question");
        // A new answer takes the place of an old one.
        cache.put(query("a"), Err(DnsError::NotFound), seconds(30), at(9));
        assert_eq!(cache.get(&query("a"), at(10)), Some(&none));
        cache.clear();
        assert_eq!(cache.get(&query("a"), at(10)), None);
    }

    #[test]
    fn it_is_bounded() {
        let mut cache = Cache::new(&mut Rng::from_seed(1));
        for n in 0..3 * ANSWERS {
            cache.put(query(&n.to_string()), Err(DnsError::NotFound), None, at(0));
            assert!(cache.entries.len() <= ANSWERS);
        }
    }
}
