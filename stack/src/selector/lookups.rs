//! Searches that wait for the DNS, and the questions that they share.

use super::cache::Cache;
use super::records::{Query, Records};
use super::resolver::{Answer, DnsError, Lookup, ResolverHandle};
use super::search::{Found, Search, Step};
use crate::statistics::Tally;
use crate::transport::TransportError;
use crate::tu::NoResponse;
use rutil::{HashMap, Keyed, Rng, Time};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Searches that wait at most; more are refused.
const WAITING: usize = 1024;

/// Entries of a queue of what is due, those included that mean nothing any more: several times what can wait.
const MOST_DUE: usize = 4 * WAITING;

/// How long a search may take: three questions one after the other that nobody answers.
const PATIENCE: Duration = Duration::from_secs(13);

/// How long one question waits. The resolver answers sooner, unless it has died.
const UNANSWERED: Duration = Duration::from_secs(6);

/// What came of a search, with what waited for it.
pub(super) type Outcome<T> = (T, Result<Found, NoResponse>);

/// A search, and what waits for it.
struct Pending<T> {
    item: T,
    search: Search,
}

/// A question under way.
struct Asked {
    query: Query,
    since: Time,
    /// Who wants to know; some may have ended.
    searches: Vec<u64>,
}

/// Something is due; it may have left meanwhile.
#[derive(Clone, Copy)]
enum Due {
    Search(u64),
    Question(u64),
}

/// Searches under way, [`WAITING`] at most. A search leaves with its last answer or when its time is up, a question with
/// its answer or when its time is up; there are no more questions than the resolver takes.
pub(super) struct Lookups<T> {
    shard: u16,
    resolver: ResolverHandle,
    /// Of the name servers that `cache` speaks of.
    generation: u64,
    cache: Cache,
    tally: Arc<Tally>,
    rng: Rng,
    searches: HashMap<u64, Pending<T>>,
    asked: HashMap<u64, Asked>,
    /// The tokens of the questions in `asked`.
    tokens: HashMap<Query, u64>,
    /// By time, those of searches and those of questions; what has left is in them too.
    due: [VecDeque<(Time, Due)>; 2],
    next: u64,
}

impl<T> Lookups<T> {
    pub(super) fn new(shard: u16, resolver: ResolverHandle, tally: Arc<Tally>, mut rng: Rng) -> Self {
        let cache = Cache::new(&mut rng);
        let state = Keyed::new(&mut rng);
        Lookups {
            shard,
            generation: resolver.generation(),
            resolver,
            cache,
            tally,
            rng,
            searches: HashMap::with_hasher(state.clone()),
            asked: HashMap::with_hasher(state.clone()),
            tokens: HashMap::with_hasher(state),
            due: Default::default(),
            next: 0,
        }
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.searches.is_empty()
    }

    /// When [`Lookups::expire`] has something to do.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.due.iter().filter_map(|due| due.front()).map(|(at, _)| *at).min()
    }

    /// Begins a search. Its outcome, when everything that it asks is known or it cannot be made.
    pub(super) fn begin(&mut self, item: T, mut search: Search, now: Time) -> Option<Outcome<T>> {
        self.renew(now);
        let id = self.number();
        let first = search.start();
        if let Some(result) = self.drive(id, &mut search, first, now) {
            return Some((item, result));
        }
        self.searches.insert(id, Pending { item, search });
        self.schedule(0, now + PATIENCE, Due::Search(id));
        None
    }

    /// Takes an answer; the searches that end with it.
    pub(super) fn answer(&mut self, answer: Answer, now: Time) -> Vec<Outcome<T>> {
        self.renew(now);
        let Some(asked) = self.asked.remove(&answer.token) else { return Vec::new() };
        self.tokens.remove(&asked.query);
        self.count(answer.result.as_ref().err(), now.since(asked.since));
        if let Err(error) = &answer.result {
            tracing::debug!(query = ?asked.query, %error, "nothing found");
        }
        self.cache.put(asked.query.clone(), answer.result, answer.ttl, now);
        self.tell(&asked, now)
    }

    /// Gives up what was not answered in time; the searches that end with it.
    pub(super) fn expire(&mut self, now: Time) -> Vec<Outcome<T>> {
        let mut ended = Vec::new();
        for at in 0..self.due.len() {
            while let Some((time, due)) = self.due[at].front().copied() {
                let waits = match due {
                    Due::Search(id) => self.searches.contains_key(&id),
                    Due::Question(token) => self.asked.contains_key(&token),
                };
                if waits && time > now {
                    break;
                }
                self.due[at].pop_front();
                match due {
                    Due::Search(id) => {
                        let given_up = self.searches.remove(&id);
                        ended.extend(given_up.map(|pending| (pending.item, Err(NoResponse::NotFound))));
                    }
                    Due::Question(token) => {
                        if let Some(asked) = self.asked.remove(&token) {
                            self.tokens.remove(&asked.query);
                            self.count(Some(&DnsError::Timeout), now.since(asked.since));
                            ended.extend(self.tell(&asked, now));
                        }
                    }
                }
            }
        }
        ended
    }

    /// Tells the searches what the cache knows now; nothing when it does not.
    fn tell(&mut self, asked: &Asked, now: Time) -> Vec<Outcome<T>> {
        let mut ended = Vec::new();
        for id in &asked.searches {
            let Some(mut pending) = self.searches.remove(id) else { continue };
            let step = match self.cache.get(&asked.query, now) {
                Some(records) => pending.search.step(&asked.query, records, &mut self.rng),
                None => pending.search.step(&asked.query, &Records::none(asked.query.record), &mut self.rng),
            };
            match self.drive(*id, &mut pending.search, step, now) {
                Some(result) => ended.push((pending.item, result)),
                None => drop(self.searches.insert(*id, pending)),
            }
        }
        ended
    }

    /// Answers a search from the cache as far as that goes, and asks for the rest.
    fn drive(&mut self, id: u64, search: &mut Search, first: Step, now: Time) -> Option<Result<Found, NoResponse>> {
        let mut step = first;
        loop {
            let queries = match step {
                Step::Ask(queries) => queries,
                Step::Wait => return None,
                Step::Found(found) => return Some(Ok(found)),
                Step::Failed(reason) => return Some(Err(reason)),
            };
            step = Step::Wait;
            for query in queries {
                if let Some(records) = self.cache.get(&query, now) {
                    self.tally.dns.cached.inc();
                    step = search.step(&query, records, &mut self.rng);
                    // What else was to be asked has no bearing any more.
                    if !matches!(step, Step::Wait) {
                        break;
                    }
                } else if !self.ask(query, id, now) {
                    return Some(Err(TransportError::Congested.into()));
                }
            }
        }
    }

    /// Asks, unless that is asked already. False when too many wait, or the resolver takes no more.
    fn ask(&mut self, query: Query, id: u64, now: Time) -> bool {
        // The one that asks is not among them.
        if self.searches.len() >= WAITING {
            return false;
        }
        if let Some(same) = self.tokens.get(&query).and_then(|token| self.asked.get_mut(token)) {
            same.searches.push(id);
            return true;
        }
        let token = self.number();
        let lookup = Lookup { query: query.clone(), token, shard: self.shard };
        if self.resolver.try_lookup(lookup).is_err() {
            return false;
        }
        self.note(token, Asked { query, since: now, searches: vec![id] }, now);
        true
    }

    /// How a question ended.
    fn count(&self, error: Option<&DnsError>, took: Duration) {
        let dns = &self.tally.dns;
        let counter = match error {
            None => &dns.answered,
            Some(DnsError::NotFound) => &dns.not_found,
            Some(DnsError::Timeout) => &dns.timed_out,
            Some(DnsError::BadName | DnsError::Failed(_)) => &dns.failed,
        };
        counter.inc();
        self.tally.dns_time.record(took);
    }

    fn note(&mut self, token: u64, asked: Asked, now: Time) {
        self.tally.dns.asked.inc();
        self.tokens.insert(asked.query.clone(), token);
        self.asked.insert(token, asked);
        self.schedule(1, now + UNANSWERED, Due::Question(token));
    }

    /// Puts something down for its time. What has left behind one that waits long goes when there is much of it.
    fn schedule(&mut self, queue: usize, at: Time, due: Due) {
        if self.due[queue].len() >= MOST_DUE {
            let (searches, asked) = (&self.searches, &self.asked);
            self.due[queue].retain(|(_, due)| match due {
                Due::Search(id) => searches.contains_key(id),
                Due::Question(token) => asked.contains_key(token),
            });
        }
        self.due[queue].push_back((at, due));
    }

    /// Other name servers: nothing is known any more, and what is under way is asked again.
    fn renew(&mut self, now: Time) {
        let generation = self.resolver.generation();
        if generation == self.generation {
            return;
        }
        self.generation = generation;
        self.cache.clear();
        self.tokens.clear();
        let asked: Vec<Asked> = self.asked.drain().map(|(_, asked)| asked).collect();
        for asked in asked {
            let token = self.number();
            // One that is refused ends when its time is up.
            let _ = self.resolver.try_lookup(Lookup { query: asked.query.clone(), token, shard: self.shard });
            self.note(token, asked, now);
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
