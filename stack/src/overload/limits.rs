//! What one source may ask for: a rate of new work, and a ban for who does not heed it. Addresses are those that messages
//! come from, never what headers say.

use super::Asks;
use crate::transport::{Flow, source_of};
use rutil::{HashMap, Keyed, Rng, Time};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Sources that are remembered at once, in two halves.
const SOURCES: usize = 65_536;
/// How long offences are remembered.
const MEMORY: Duration = Duration::from_secs(60);
/// Tokens are counted in thousandths.
const TOKEN: u64 = 1000;
/// How many times as many as outside of dialogs may begin something within.
const WITHIN: u64 = 4;

/// Limits on one source, an address or a /64 of IPv6, by each shard for itself; see
/// [`crate::StackOptions::source_limits`]. What comes as datagrams and what comes on connections is counted apart, for
/// anybody may have written the source of a datagram.
#[derive(Clone, Debug, Default)]
pub struct SourceLimits {
    /// Requests outside of dialogs a second, and four times as many INVITEs, SUBSCRIBEs and REFERs that have a To tag,
    /// which anybody can write; what is above is refused with 503. 0: no limit.
    pub rate: u32,
    /// How many may come at once; 0 is [`SourceLimits::rate`].
    pub burst: u32,
    /// After so many offences (requests above the rate, what is no SIP) within a minute a source is banned: of what it
    /// sends nothing more is read, or no more datagrams if those did it. 0: never. Whoever can write another's address
    /// into a datagram can have the other's datagrams banned.
    pub ban_after: u32,
    /// How long a ban lasts.
    pub ban_for: Duration,
    /// Who is not limited and never banned by itself. It is asked when somebody is to be refused or banned, not before.
    pub exempt: Exempt,
}

/// Says which addresses no limit is for.
#[derive(Clone, Default)]
pub struct Exempt(Option<Arc<dyn Fn(IpAddr) -> bool + Send + Sync>>);

impl Exempt {
    /// Those for which `is` says so.
    pub fn those(is: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Exempt(Some(Arc::new(is)))
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.0.as_ref().is_some_and(|is| is(address))
    }
}

impl fmt::Debug for Exempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Exempt(some)" } else { "Exempt(none)" })
    }
}

/// Who asks: an address, and whether on a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    address: IpAddr,
    connection: bool,
}

impl Asker {
    pub(crate) fn of(flow: &Flow) -> Self {
        Asker { address: flow.peer.ip(), connection: flow.kind.is_reliable() }
    }

    fn key(self) -> (IpAddr, bool) {
        (source_of(self.address), self.connection)
    }
}

impl Asks {
    const fn times(self) -> u64 {
        match self {
            Asks::Outside => 1,
            Asks::Within => WITHIN,
        }
    }
}

/// What one source has used.
#[derive(Clone, Copy, Debug)]
struct Source {
    /// By [`Asks`]: thousandths of requests that it may still send, and when they were counted.
    tokens: [(u64, Time); 2],
    offences: u32,
    since: Time,
}

/// Counts what each source asks for. At most 65,536 sources are remembered, those that came last: one leaves when so many
/// others have come since, and begins anew.
pub(crate) struct Sources {
    limits: SourceLimits,
    new: HashMap<(IpAddr, bool), Source>,
    old: HashMap<(IpAddr, bool), Source>,
}

impl Sources {
    /// `None` when nothing is limited.
    pub(crate) fn new(limits: &SourceLimits, rng: &mut Rng) -> Option<Self> {
        if limits.rate == 0 && limits.ban_after == 0 {
            return None;
        }
        let mut map = || HashMap::with_hasher(Keyed::new(rng));
        Some(Sources { limits: limits.clone(), new: map(), old: map() })
    }

    /// Whether no limit is for an address.
    pub(crate) fn exempts(&self, address: IpAddr) -> bool {
        self.limits.exempt.contains(address)
    }

    /// Whether a source may begin something more at `now`.
    pub(crate) fn allows(&mut self, asker: Asker, asks: Asks, now: Time) -> bool {
        let rate = u64::from(self.limits.rate) * asks.times();
        if rate == 0 {
            return true;
        }
        let most = self.most(asks);
        let (tokens, at) = &mut self.source(asker, now).tokens[asks as usize];
        let passed = u64::try_from(now.since(*at).as_micros()).unwrap_or(u64::MAX);
        // A request a second is a thousandth of a request a millisecond.
        *tokens = tokens.saturating_add(passed.saturating_mul(rate) / 1000).min(most);
        *at = now;
        match tokens.checked_sub(TOKEN) {
            Some(rest) => *tokens = rest,
            // Asked when it matters, for it may cost a lock that all shards share.
            None => return self.exempts(asker.address),
        }
        true
    }

    /// A source has sent too much, or garbage; for how long it is to be banned, if it is.
    pub(crate) fn offends(&mut self, asker: Asker, now: Time) -> Option<Duration> {
        let SourceLimits { ban_after, ban_for, .. } = self.limits;
        if ban_after == 0 {
            return None;
        }
        let source = self.source(asker, now);
        if now.since(source.since) > MEMORY {
            (source.offences, source.since) = (0, now);
        }
        source.offences = source.offences.saturating_add(1);
        if source.offences < ban_after {
            return None;
        }
        source.offences = 0;
        (!self.exempts(asker.address)).then_some(ban_for)
    }

    fn most(&self, asks: Asks) -> u64 {
        let burst = if self.limits.burst == 0 { self.limits.rate } else { self.limits.burst };
        u64::from(burst) * asks.times() * TOKEN
    }

    fn source(&mut self, asker: Asker, now: Time) -> &mut Source {
        let key = asker.key();
        if !self.new.contains_key(&key) {
            if self.new.len() >= SOURCES / 2 {
                std::mem::swap(&mut self.new, &mut self.old);
                self.new.clear();
            }
            let tokens = [Asks::Outside, Asks::Within].map(|asks| (self.most(asks), now));
            let fresh = Source { tokens, offences: 0, since: now };
            let known = self.old.remove(&key).unwrap_or(fresh);
            self.new.insert(key, known);
        }
        // It was put there if it was not.
        self.new.entry(key).or_insert(Source { tokens: [(0, now); 2], offences: 0, since: now })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;
    use std::sync::atomic::Ordering::Relaxed;

    fn address(n: u32) -> IpAddr {
        IpAddr::V4(n.into())
    }

    fn asker(n: u32) -> Asker {
        Asker { address: address(n), connection: false }
    }

    fn sources(limits: &SourceLimits) -> Sources {
        Sources::new(limits, &mut Rng::from_seed(1)).expect("something is limited")
    }

    #[test]
    fn a_rate_and_a_burst() {
        let mut sources = sources(&SourceLimits { rate: 10, burst: 3, ..SourceLimits::default() });
        let mut asked = |source, ms| sources.allows(asker(source), Asks::Outside, Time::from_millis(ms));
        assert_eq!([0, 0, 0, 0, 99].map(|ms| asked(1, ms)), [true, true, true, false, false]);
        assert!(asked(2, 99), "another source");
        assert_eq!([100, 100, 199, 200].map(|ms| asked(1, ms)), [true, false, false, true]);
        let within = [100; 13].map(|ms| sources.allows(asker(1), Asks::Within, Time::from_millis(ms)));
        assert_eq!(within.iter().filter(|allowed| **allowed).count(), 12, "four times as many");
        let mut asked = |source, ms| sources.allows(asker(source), Asks::Outside, Time::from_millis(ms));
        // An hour's rest is no more than a burst.
        assert_eq!([3_600_000; 4].map(|ms| asked(1, ms)), [true, true, true, false]);
    }

    #[test]
    fn offences_add_up_for_a_minute() {
        let mut sources =
            sources(&SourceLimits { ban_after: 3, ban_for: Duration::from_secs(9), ..Default::default() });
        let mut offend = |ms| sources.offends(asker(1), Time::from_millis(ms)).map(|ban| ban.as_secs());
        assert_eq!([0, 59_000].map(&mut offend), [None, None]);
        assert_eq!([61_000, 62_000, 63_000].map(&mut offend), [None, None, Some(9)], "the first two are forgotten");
        assert_eq!([64_000, 64_001, 64_002].map(&mut offend), [None, None, Some(9)]);
        assert!(sources.allows(asker(1), Asks::Outside, Time::ZERO), "there is no rate");
    }

    #[test]
    fn who_is_exempt_is_not_limited() {
        let exempt = Exempt::those(|ip| ip == address(1));
        let mut sources = sources(&SourceLimits { rate: 1, ban_after: 1, exempt, ..SourceLimits::default() });
        assert!((0..9).all(|_| sources.allows(asker(1), Asks::Outside, Time::ZERO)));
        assert_eq!(sources.offends(asker(1), Time::ZERO), None);
        assert!(sources.offends(asker(2), Time::ZERO).is_some());
    }

    #[test]
    fn who_is_exempt_is_asked_when_it_matters() {
        let asked = Arc::new(AtomicU32::new(0));
        let count = asked.clone();
        let exempt = Exempt::those(move |ip| {
            count.fetch_add(1, Relaxed);
            ip == address(1)
        });
        let limits = SourceLimits { rate: 10, burst: 2, ban_after: 2, exempt, ..SourceLimits::default() };
        let mut sources = sources(&limits);
        for n in [1, 2] {
            assert!((0..2).all(|_| sources.allows(asker(n), Asks::Outside, Time::ZERO)));
            assert_eq!(sources.offends(asker(n), Time::ZERO), None);
        }
        assert_eq!(asked.load(Relaxed), 0);
        assert!(sources.allows(asker(1), Asks::Outside, Time::ZERO) && sources.offends(asker(1), Time::ZERO).is_none());
        assert!(
            !sources.allows(asker(2), Asks::Outside, Time::ZERO) && sources.offends(asker(2), Time::ZERO).is_some()
        );
        assert_eq!(asked.load(Relaxed), 4);
    }

    #[test]
    fn a_source_is_a_prefix_and_what_datagrams_do_is_not_put_down_to_connections() {
        let mut sources = sources(&SourceLimits { rate: 1, ban_after: 2, ..SourceLimits::default() });
        let ask = |address: &str, connection| Asker { address: address.parse().unwrap(), connection };
        assert!(sources.allows(ask("2001:db8::1", false), Asks::Outside, Time::ZERO));
        assert!(!sources.allows(ask("2001:db8::2:1", false), Asks::Outside, Time::ZERO), "the same /64");
        assert!(sources.allows(ask("2001:db8:0:1::1", false), Asks::Outside, Time::ZERO), "another");
        assert!(sources.allows(ask("2001:db8::1", true), Asks::Outside, Time::ZERO), "on a connection");
        assert_eq!(sources.offends(ask("2001:db8::1", false), Time::ZERO), None);
        assert_eq!(sources.offends(ask("2001:db8::1", true), Time::ZERO), None);
        assert!(sources.offends(ask("2001:db8::2", true), Time::ZERO).is_some());
    }

    #[test]
    fn the_table_is_bounded_and_keeps_who_came_last() {
        let mut sources = sources(&SourceLimits { rate: 1, ..SourceLimits::default() });
        for n in 0..4 * SOURCES as u32 {
            assert!(sources.allows(asker(n), Asks::Outside, Time::ZERO));
            assert!(sources.new.len() + sources.old.len() <= SOURCES);
        }
        assert!(!sources.allows(asker(4 * SOURCES as u32 - 1), Asks::Outside, Time::ZERO));
        assert!(sources.allows(asker(0), Asks::Outside, Time::ZERO), "forgotten");
        assert!(Sources::new(&SourceLimits::default(), &mut Rng::from_seed(1)).is_none());
    }
}
