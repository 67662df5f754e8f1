//! Bounded FIFOs with admission classes and a meter of depth, age and wait.

use crate::{Bell, Time};
use crossbeam_channel as channel;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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

/// The FIFO had no room for this class; here is the item back.
#[derive(Debug)]
pub struct Full<T>(pub T);

struct Entry<T> {
    item: T,
    since: Time,
}

/// What a FIFO has seen; shared by its ends and by whoever watches it.
#[derive(Debug)]
pub struct Meter {
    name: &'static str,
    capacity: usize,
    pushed: AtomicU64,
    refused: AtomicU64,
    popped: AtomicU64,
    /// When the item popped last was pushed, ns.
    head_since: AtomicU64,
    /// Moving average of the time one item takes to serve, ns.
    service: AtomicU64,
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
    /// Items in it now.
    pub fn depth(&self) -> usize {
        let popped = self.popped.load(Ordering::Acquire);
        self.pushed.load(Ordering::Acquire).saturating_sub(popped) as usize
    }
    /// Items refused since the start.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
    /// Items that went through since the start.
    pub fn passed(&self) -> u64 {
        self.popped.load(Ordering::Relaxed)
    }
    /// How long an item that arrives now will probably wait: depth × mean service time.
    pub fn expected_wait(&self) -> Duration {
        Duration::from_nanos(self.service.load(Ordering::Relaxed).saturating_mul(self.depth() as u64))
    }
    /// An upper bound of the oldest item's age: the time since the push of the item that left last, zero when empty.
    pub fn oldest_age(&self, now: Time) -> Duration {
        if self.depth() == 0 {
            return Duration::ZERO;
        }
        now.since(Time::from_nanos(self.head_since.load(Ordering::Relaxed)))
    }
}

/// Makes a FIFO that holds `capacity` items and rings `bell` (the consumer's) at each push.
pub fn fifo<T>(name: &'static str, capacity: usize, bell: Bell) -> (FifoSender<T>, FifoReceiver<T>) {
    let (tx, rx) = channel::bounded(capacity);
    let meter = Arc::new(Meter {
        name,
        capacity,
        pushed: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        popped: AtomicU64::new(0),
        head_since: AtomicU64::new(0),
        service: AtomicU64::new(0),
    });
    (FifoSender { tx, bell, meter: meter.clone() }, FifoReceiver { rx, meter })
}

/// The end that pushes.
pub struct FifoSender<T> {
    tx: channel::Sender<Entry<T>>,
    bell: Bell,
    meter: Arc<Meter>,
}

impl<T> Clone for FifoSender<T> {
    fn clone(&self) -> Self {
        FifoSender { tx: self.tx.clone(), bell: self.bell.clone(), meter: self.meter.clone() }
    }
}

impl<T> FifoSender<T> {
    /// Puts `item` at the end, or gives it back when `class` has no room left. Never blocks.
    pub fn push(&self, item: T, class: Class, now: Time) -> Result<(), Full<T>> {
        if !self.has_room(class) {
            self.meter.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Full(item));
        }
        match self.tx.try_send(Entry { item, since: now }) {
            Ok(()) => {
                self.meter.pushed.fetch_add(1, Ordering::Release);
                self.bell.ring();
                Ok(())
            }
            Err(e) => {
                self.meter.refused.fetch_add(1, Ordering::Relaxed);
                Err(Full(e.into_inner().item))
            }
        }
    }

    /// Whether an item of `class` would be taken now (another producer may be faster).
    pub fn has_room(&self, class: Class) -> bool {
        let limit = match class {
            Class::New => self.meter.capacity - self.meter.capacity / 5,
            Class::Essential => self.meter.capacity - self.meter.capacity / 10,
            Class::Internal => self.meter.capacity,
        };
        self.tx.len() < limit
    }

    /// The FIFO's meter.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }
}

/// The end that pops. One actor has it.
pub struct FifoReceiver<T> {
    rx: channel::Receiver<Entry<T>>,
    meter: Arc<Meter>,
}

impl<T> FifoReceiver<T> {
    /// Takes the oldest item. Never blocks.
    pub fn pop(&mut self) -> Option<T> {
        let entry = self.rx.try_recv().ok()?;
        self.meter.popped.fetch_add(1, Ordering::Release);
        self.meter.head_since.store(entry.since.as_nanos(), Ordering::Relaxed);
        Some(entry.item)
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.rx.is_empty()
    }

    /// Items in it.
    pub fn len(&self) -> usize {
        self.rx.len()
    }

    /// The FIFO's meter.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }
}
