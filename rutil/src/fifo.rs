//! Bounded FIFOs with admission classes and a meter of depth, age and wait.
//!
//! A hop (one push and one pop between actors on one runner) costs 0.03 to 0.05 µs; `benches/benches/hop.rs` measures it.

use crate::runner::pass_time;
use crate::stats::{Histogram, Snapshot};
use crate::{Bell, Time};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How much of a FIFO an item may use. What is worth more when the house is full keeps the headroom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// New work from outside (a request that begins something): up to 80 % of the FIFO.
    New,
    /// Work that finishes what was begun (responses, ACK, CANCEL, in-dialog requests): up to 90 %.
    Essential,
    /// The stack's own events (timers, transport results, commands): all of it.
    Internal,
}

impl Class {
    /// The depth at which a FIFO of `capacity` refuses this class. Below five (ten) items there is no headroom.
    const fn limit(self, capacity: usize) -> usize {
        match self {
            Class::New => capacity - capacity / 5,
            Class::Essential => capacity - capacity / 10,
            Class::Internal => capacity,
        }
    }
}

/// The FIFO had no room for this class, or its consumer is gone; here is the item back.
#[derive(Debug, PartialEq, Eq)]
pub struct Full<T>(pub T);

struct Entry<T> {
    item: T,
    since: Time,
}

/// What a FIFO has seen; shared by its ends and by whoever watches it. All reads are a few relaxed loads.
#[derive(Debug)]
pub struct Meter {
    name: &'static str,
    capacity: usize,
    // What producers write and what the consumer writes lie on different cache lines.
    producers: Producers,
    consumer: Consumer,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Producers {
    pushed: AtomicU64,
    refused: AtomicU64,
    /// The most items that were in it at once.
    peak: AtomicU64,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Consumer {
    popped: AtomicU64,
    /// When the item popped last was pushed or, if later, when an item was pushed into the empty FIFO, ns.
    head_since: AtomicU64,
    /// Moving average of the time between two pops while there is a backlog, ns.
    service: AtomicU64,
    /// How long items waited that waited at all: most are popped in the pass that pushed them.
    waits: Histogram,
    /// It is gone.
    closed: AtomicBool,
}

impl Meter {
    /// The FIFO's name, as in the wiring table.
    pub fn name(&self) -> &'static str {
        self.name
    }
    /// How many items it can hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }
    /// Items in it now: none as soon as its consumer is gone.
    pub fn depth(&self) -> usize {
        if self.consumer.closed.load(Ordering::Relaxed) {
            return 0;
        }
        let popped = self.consumer.popped.load(Ordering::Acquire);
        self.producers.pushed.load(Ordering::Acquire).saturating_sub(popped) as usize
    }
    /// The most items that were in it at once since the start.
    pub fn peak(&self) -> usize {
        self.producers.peak.load(Ordering::Relaxed) as usize
    }
    /// How long the items that went through had waited, to the pass of the runner that popped them.
    pub fn waits(&self) -> Snapshot {
        let mut waits = self.consumer.waits.snapshot();
        waits.add_zeros(self.passed().saturating_sub(waits.count()));
        waits
    }
    /// Items refused since the start.
    pub fn refused(&self) -> u64 {
        self.producers.refused.load(Ordering::Relaxed)
    }
    /// Items that went through since the start.
    pub fn passed(&self) -> u64 {
        self.consumer.popped.load(Ordering::Relaxed)
    }
    /// The time from one pop to the next while the FIFO has a backlog, as a moving average: how long an item is served,
    /// with the share of the other actors on the consumer's runner. Zero until there has been a backlog.
    pub fn service_time(&self) -> Duration {
        Duration::from_nanos(self.consumer.service.load(Ordering::Relaxed))
    }
    /// How long an item that arrives now will probably wait: depth × [`Meter::service_time`].
    pub fn expected_wait(&self) -> Duration {
        Duration::from_nanos(self.consumer.service.load(Ordering::Relaxed).saturating_mul(self.depth() as u64))
    }
    /// The oldest item's age at `now`, zero when empty.
    ///
    /// It is exact for an item that was pushed into the empty FIFO until something is popped. Behind another item it
    /// is an upper bound, too large by at most the time that the item popped last has waited: the head's own time
    /// cannot be seen before it is popped.
    pub fn oldest_age(&self, now: Time) -> Duration {
        if self.depth() == 0 {
            return Duration::ZERO;
        }
        now.since(Time::from_nanos(self.consumer.head_since.load(Ordering::Relaxed)))
    }

    /// Takes `n` items served in `elapsed` into the service time.
    fn feed(&self, n: u64, elapsed: Duration) {
        let sample = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX) / n.max(1);
        let old = self.consumer.service.load(Ordering::Relaxed);
        let new = if old == 0 { sample } else { old - old / 8 + sample / 8 };
        self.consumer.service.store(new, Ordering::Relaxed);
    }

    /// Lets the service time fade: the consumer keeps up, so an average from a past overload must not outlive it.
    fn fade(&self) {
        let old = self.consumer.service.load(Ordering::Relaxed);
        if old != 0 {
            self.consumer.service.store(old - old.div_ceil(64), Ordering::Relaxed);
        }
    }
}

/// Makes a FIFO that holds `capacity` items (at least one) and rings `bell` (the consumer's) at each push.
pub fn fifo<T>(name: &'static str, capacity: usize, bell: Bell) -> (FifoSender<T>, FifoReceiver<T>) {
    let capacity = capacity.max(1);
    let queue = Arc::new(Mutex::new(VecDeque::new()));
    let meter = Arc::new(Meter { name, capacity, producers: Producers::default(), consumer: Consumer::default() });
    let taken = VecDeque::new();
    let receiver =
        FifoReceiver { queue: queue.clone(), taken, meter: meter.clone(), popped: 0, pass: None, in_pass: 0 };
    (FifoSender { queue, bell, meter }, receiver)
}

/// What was pushed and not fetched yet. The consumer fetches all of it at once and leaves its own empty queue, so where
/// items do not pile up both lie in a few cache lines that are used again and again. A ring as long as the FIFO is deep
/// would be walked from end to end, each place of it cold when its turn comes.
type Queue<T> = Arc<Mutex<VecDeque<Entry<T>>>>;

/// The end that pushes.
pub struct FifoSender<T> {
    queue: Queue<T>,
    bell: Bell,
    meter: Arc<Meter>,
}

impl<T> Clone for FifoSender<T> {
    fn clone(&self) -> Self {
        FifoSender { queue: self.queue.clone(), bell: self.bell.clone(), meter: self.meter.clone() }
    }
}

impl<T> FifoSender<T> {
    /// Puts `item` at the end, or gives it back when `class` has no room left or the consumer is gone
    /// ([`FifoSender::is_closed`] tells which). It waits for nothing but another end that pushes or fetches just now.
    pub fn push(&self, item: T, class: Class, now: Time) -> Result<(), Full<T>> {
        let (producers, consumer) = (&self.meter.producers, &self.meter.consumer);
        let mut queue = self.queue.lock();
        let pushed = producers.pushed.load(Ordering::Relaxed);
        let depth = pushed - consumer.popped.load(Ordering::Acquire);
        if depth >= class.limit(self.meter.capacity) as u64 || self.is_closed() {
            drop(queue);
            producers.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Full(item));
        }
        if depth == 0 {
            // This item becomes the head; without this its age would count from the last pop's item, however long ago.
            consumer.head_since.store(now.as_nanos(), Ordering::Relaxed);
        }
        queue.push_back(Entry { item, since: now });
        // Who has the lock is the only writer of these, so no read-modify-write is needed.
        producers.pushed.store(pushed + 1, Ordering::Release);
        if depth >= producers.peak.load(Ordering::Relaxed) {
            producers.peak.store(depth + 1, Ordering::Relaxed);
        }
        drop(queue);
        self.bell.ring();
        Ok(())
    }

    /// The same end for an actor on the consumer's own runner: while that runs the runner is awake, so it need not ring.
    pub fn near(&self) -> Self {
        FifoSender { bell: Bell::silent(), ..self.clone() }
    }

    /// Whether an item of `class` would be taken now (another producer may be faster).
    pub fn has_room(&self, class: Class) -> bool {
        self.meter.depth() < class.limit(self.meter.capacity) && !self.is_closed()
    }

    /// Whether the consumer is gone: nothing will be taken any more.
    pub fn is_closed(&self) -> bool {
        self.meter.consumer.closed.load(Ordering::Relaxed)
    }

    /// The FIFO's meter.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }
}

/// The end that pops. One actor has it. When it goes, what is in the FIFO is dropped, and nothing more is taken.
///
/// It feeds [`Meter::service_time`] by itself when its actor is driven by a [`crate::Runner`]: an item popped in one
/// pass that was there in the pass before proves a backlog in between, and the time between the two passes, divided by
/// the items popped in the earlier one, is a sample. No clock is read for it.
pub struct FifoReceiver<T> {
    queue: Queue<T>,
    /// What was fetched.
    taken: VecDeque<Entry<T>>,
    meter: Arc<Meter>,
    /// As in the meter, which this end alone writes.
    popped: u64,
    /// The pass of the runner in which an item was popped last, and how many were popped in it.
    pass: Option<Time>,
    in_pass: u64,
}

impl<T> FifoReceiver<T> {
    /// Takes the oldest item. Never blocks.
    pub fn pop(&mut self) -> Option<T> {
        // Most looks find nothing. To see that takes one load, and no lock.
        if self.is_empty() {
            return None;
        }
        if self.taken.is_empty() {
            // So it starts from its first place again.
            self.taken.clear();
            std::mem::swap(&mut self.taken, &mut *self.queue.lock());
        }
        let entry = self.taken.pop_front()?;
        let consumer = &self.meter.consumer;
        // This end is the only writer of the count, so no read-modify-write is needed.
        self.popped += 1;
        consumer.popped.store(self.popped, Ordering::Release);
        consumer.head_since.store(entry.since.as_nanos(), Ordering::Relaxed);
        let pass = pass_time();
        if let Some(now) = pass.filter(|now| *now > entry.since) {
            consumer.waits.record(now.since(entry.since));
        }
        if pass != self.pass {
            self.next_pass(pass, entry.since);
        }
        self.in_pass += 1;
        Some(entry.item)
    }

    /// Closes the account of the pass before; `head` is when the first item of this pass was pushed.
    #[cold]
    fn next_pass(&mut self, pass: Option<Time>, head: Time) {
        if let (Some(before), Some(now)) = (self.pass, pass) {
            if head <= before {
                self.meter.feed(self.in_pass, now.since(before));
            } else {
                self.meter.fade();
            }
        }
        self.pass = pass;
        self.in_pass = 0;
    }

    /// Tells the meter that `n` items were served in `elapsed`: for a consumer that no [`crate::Runner`] drives.
    pub fn served(&self, n: usize, elapsed: Duration) {
        if n > 0 {
            self.meter.feed(n as u64, elapsed);
        }
    }

    /// Whether nothing is in it. An item is in it from when it is counted, which is before the bell rings for it.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.meter.producers.pushed.load(Ordering::Acquire) == self.popped
    }

    /// Items in it.
    pub fn len(&self) -> usize {
        (self.meter.producers.pushed.load(Ordering::Acquire) - self.popped) as usize
    }

    /// The FIFO's meter.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }
}

impl<T> Drop for FifoReceiver<T> {
    fn drop(&mut self) {
        let mut queue = self.queue.lock();
        self.meter.consumer.closed.store(true, Ordering::Relaxed);
        let left = std::mem::take(&mut *queue);
        // What an item does when it goes is done without the lock: it may push.
        drop(queue);
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::in_pass;

    const MS: Duration = Duration::from_millis(1);

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    #[test]
    fn classes_keep_headroom() {
        let (tx, mut rx) = fifo("t", 10, Bell::silent());
        let fill = |class| (0..).take_while(|i| tx.push(*i, class, Time::ZERO).is_ok()).count();
        assert_eq!(fill(Class::New), 8);
        assert_eq!(fill(Class::Essential), 1);
        assert!(!tx.has_room(Class::Essential) && tx.has_room(Class::Internal));
        assert_eq!(fill(Class::Internal), 1);
        assert_eq!((tx.meter().depth(), tx.meter().refused(), rx.len()), (10, 3, 10));
        assert_eq!(tx.push(7, Class::Internal, Time::ZERO), Err(Full(7)));
        rx.pop();
        assert_eq!((tx.meter().depth(), tx.meter().passed()), (9, 1));
    }

    #[test]
    fn peak_and_waits_are_kept() {
        let (tx, mut rx) = fifo("t", 10, Bell::silent());
        (0..4).for_each(|i| tx.push(i, Class::New, at(10)).unwrap());
        in_pass(at(10), || rx.pop());
        in_pass(at(30), || [rx.pop(), rx.pop()]);
        tx.push(5, Class::New, at(30)).unwrap();
        let waits = tx.meter().waits();
        assert_eq!((tx.meter().peak(), waits.count(), waits.min()), (4, 3, Duration::ZERO));
        assert!(waits.quantile(0.5).abs_diff(20 * MS) <= MS / 5, "{:?}", waits.quantile(0.5));
    }

    #[test]
    fn tiny_fifos_take_every_class_and_a_lost_consumer_refuses() {
        let (tx, rx) = fifo("t", 0, Bell::silent());
        assert_eq!(tx.push(1, Class::New, Time::ZERO), Ok(()));
        assert_eq!(tx.push(2, Class::Internal, Time::ZERO), Err(Full(2)));
        drop(rx);
        let (tx, rx) = fifo("t", 4, Bell::silent());
        drop(rx);
        assert_eq!(tx.push(1, Class::Internal, Time::ZERO), Err(Full(1)));
        assert_eq!((tx.meter().depth(), tx.meter().refused()), (0, 1));
    }

    #[test]
    fn age_counts_from_the_push_into_the_empty_fifo() {
        let (tx, mut rx) = fifo("t", 10, Bell::silent());
        let meter = tx.meter().clone();
        tx.push(1, Class::New, at(0)).unwrap();
        rx.pop();
        assert_eq!(meter.oldest_age(at(99)), Duration::ZERO, "empty");
        tx.push(2, Class::New, at(100)).unwrap();
        tx.push(3, Class::New, at(130)).unwrap();
        assert_eq!(meter.oldest_age(at(150)), 50 * MS, "exact: nothing popped since it was empty");
        rx.pop();
        // The head is 20 ms old; the item popped before it had waited 50 ms: the bound lies between.
        let age = meter.oldest_age(at(150));
        assert!(age >= 20 * MS && age <= 70 * MS, "{age:?}");
        rx.pop();
        assert_eq!(meter.oldest_age(at(150)), Duration::ZERO);
    }

    #[test]
    fn service_time_is_learnt_from_a_backlog_only() {
        let (tx, mut rx) = fifo("t", 1000, Bell::silent());
        let meter = tx.meter().clone();
        let mut pass = |ms, n| in_pass(at(ms), || (0..n).for_each(|_| assert!(rx.pop().is_some())));
        for i in 0..40 {
            tx.push(i, Class::New, at(0)).unwrap();
        }
        pass(1, 10);
        assert_eq!(meter.service_time(), Duration::ZERO, "one pass says nothing");
        pass(21, 10);
        assert_eq!((meter.service_time(), meter.expected_wait()), (2 * MS, 40 * MS));
        pass(61, 10);
        assert_eq!(meter.service_time(), 2 * MS + 2 * MS / 8);
        pass(61, 10);
        let learnt = meter.service_time();
        // Ten idle seconds are no service time: the item was not there all the while.
        tx.push(0, Class::New, at(10_000)).unwrap();
        pass(10_000, 1);
        assert!(meter.service_time() < learnt);
        for i in 0..2000 {
            tx.push(0, Class::New, at(10_001 + i)).unwrap();
            pass(10_001 + i, 1);
        }
        assert_eq!(meter.service_time(), Duration::ZERO, "faded");
    }

    #[test]
    fn served_feeds_without_a_runner() {
        let (tx, mut rx) = fifo("t", 10, Bell::silent());
        tx.push(1, Class::New, at(0)).unwrap();
        tx.push(1, Class::New, at(0)).unwrap();
        rx.pop();
        rx.served(0, 9 * MS);
        rx.served(4, 8 * MS);
        assert_eq!(tx.meter().expected_wait(), 2 * MS);
    }

    #[test]
    fn producers_on_two_threads_lose_nothing_and_order_holds() {
        const N: u64 = 20_000;
        let (tx, mut rx) = fifo("t", 64, Bell::silent());
        let meter = tx.meter().clone();
        std::thread::scope(|scope| {
            for from in 0..2 {
                let tx = tx.clone();
                scope.spawn(move || {
                    for i in 0..N {
                        let mut item = (from, i);
                        while let Err(Full(back)) = tx.push(item, Class::New, Time::ZERO) {
                            item = back;
                            std::thread::yield_now();
                        }
                    }
                });
            }
            let mut next = [0, 0];
            while next != [N, N] {
                match rx.pop() {
                    Some((from, i)) => {
                        assert_eq!(i, next[from]);
                        next[from] += 1;
                    }
                    None => std::thread::yield_now(),
                }
            }
        });
        assert_eq!((meter.depth(), meter.passed()), (0, 2 * N));
    }

    #[test]
    fn what_nobody_takes_any_more_is_dropped() {
        let (tx, rx) = fifo("t", 2, Bell::silent());
        let item = Arc::new(());
        tx.push(item.clone(), Class::Internal, Time::ZERO).unwrap();
        tx.push(item.clone(), Class::Internal, Time::ZERO).unwrap();
        assert!(!tx.is_closed() && !tx.has_room(Class::Internal));
        drop(rx);
        assert!(tx.is_closed() && !tx.has_room(Class::Internal));
        assert_eq!(tx.meter().depth(), 0);
        assert_eq!(tx.push(item.clone(), Class::Internal, Time::ZERO), Err(Full(item.clone())));
        assert_eq!(Arc::strong_count(&item), 1, "the sender keeps nothing");
    }

    #[test]
    fn what_is_pushed_while_the_consumer_goes_is_dropped() {
        for _ in 0..2000 {
            let (tx, rx) = fifo("t", 8, Bell::silent());
            let (item, start) = (Arc::new(()), std::sync::Barrier::new(2));
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    start.wait();
                    while tx.push(item.clone(), Class::Internal, Time::ZERO).is_ok() {}
                });
                start.wait();
                drop(rx);
            });
            assert_eq!(Arc::strong_count(&item), 1);
        }
    }
}
