//! What the proxies count of calls and requests, for whoever operates them.

use rutil::Counter;

/// What one shard counts, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counters {
    /// INVITEs outside of any dialog.
    pub(crate) attempted: Counter,
    /// Of those, answered with 2xx.
    pub(crate) answered: Counter,
    /// Of those, given up by their callers.
    pub(crate) cancelled: Counter,
    /// Of those, answered with 401 or 407: who knows the password tries again.
    pub(crate) challenged: Counter,
    /// Of those, answered otherwise: 3xx, 4xx, 5xx, 6xx.
    pub(crate) failed: [Counter; 4],
    /// Requests that were sent on.
    pub(crate) relayed: Counter,
    /// Requests that went to several targets at the same time.
    pub(crate) forked: Counter,
    /// Requests that waited for an answer from elsewhere.
    pub(crate) parked: Counter,
    /// Requests that went no further than a processor of the chain, by its place there.
    pub(crate) ended: Box<[Counter]>,
}

impl Counters {
    /// For a chain of so many processors.
    pub(super) fn new(processors: usize) -> Self {
        Counters { ended: (0..processors).map(|_| Counter::default()).collect(), ..Counters::default() }
    }

    /// A call has had a final answer that is no 2xx.
    pub(super) fn ended_with(&self, code: u16, cancelled: bool) {
        let counter = match code {
            _ if cancelled => Some(&self.cancelled),
            401 | 407 => Some(&self.challenged),
            _ => self.failed.get(usize::from(code / 100).wrapping_sub(3)),
        };
        counter.into_iter().for_each(Counter::inc);
    }
}
