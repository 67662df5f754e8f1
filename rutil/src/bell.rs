//! The bell that wakes a sleeping runner, and costs one load when the runner is awake.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// Wakes one runner. Cloned into every FIFO end that feeds it from another thread.
///
/// The protocol: the runner calls [`Bell::doze`], looks once more at all its FIFOs, sleeps, and calls
/// [`Bell::awake`]. A sender pushes first and rings after. Both sides put a full fence between their write and
/// their read, so either the runner sees the item or the sender sees the runner asleep.
#[derive(Clone)]
pub struct Bell {
    inner: Option<Arc<Inner>>,
}

struct Inner {
    asleep: AtomicBool,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Bell {
    /// A bell that calls `wake` when it rings for a sleeper. `wake` must not block.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Bell { inner: Some(Arc::new(Inner { asleep: AtomicBool::new(false), wake: Box::new(wake) })) }
    }

    /// A bell that does nothing: for FIFOs both of whose ends live on one runner.
    pub const fn silent() -> Self {
        Bell { inner: None }
    }

    /// Wakes the runner if it sleeps.
    pub fn ring(&self) {
        if let Some(inner) = &self.inner {
            fence(Ordering::SeqCst);
            if inner.asleep.load(Ordering::Relaxed) && inner.asleep.swap(false, Ordering::AcqRel) {
                (inner.wake)();
            }
        }
    }

    /// Says that the runner is about to sleep: it must look at its FIFOs once more after this.
    pub fn doze(&self) {
        if let Some(inner) = &self.inner {
            inner.asleep.store(true, Ordering::Relaxed);
            fence(Ordering::SeqCst);
        }
    }

    /// Says that the runner is awake.
    pub fn awake(&self) {
        if let Some(inner) = &self.inner {
            inner.asleep.store(false, Ordering::Relaxed);
        }
    }
}

impl std::fmt::Debug for Bell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bell").field("silent", &self.inner.is_none()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Clock, ParkSleeper, RealClock, Sleeper};
    use std::sync::atomic::AtomicU64;
    use std::time::Duration;

    #[test]
    fn rings_once_a_doze_and_only_for_a_sleeper() {
        let woken = Arc::new(AtomicU64::new(0));
        let count = woken.clone();
        let bell = Bell::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let ring = |n| {
            (0..n).for_each(|_| bell.clone().ring());
            woken.load(Ordering::Relaxed)
        };
        assert_eq!(ring(3), 0, "awake");
        bell.doze();
        assert_eq!(ring(3), 1);
        bell.doze();
        assert_eq!(ring(1), 2);
        bell.doze();
        bell.awake();
        assert_eq!(ring(1), 2);
        Bell::silent().doze();
        Bell::silent().ring();
    }

    /// On a cache line of its own, as a FIFO's ends are.
    #[repr(align(128))]
    struct Line(AtomicU64);

    /// The sender writes and rings while the runner dozes, looks again and sleeps. Were either fence missing, a round
    /// would end with an item there and the runner asleep until its long timeout.
    #[test]
    fn no_ring_is_lost_between_the_last_look_and_sleep() {
        const ROUNDS: u64 = 30_000;
        const LONG: Duration = Duration::from_secs(10);
        let clock = RealClock::new();
        let lost = AtomicBool::new(false);
        let mut sleeper = ParkSleeper::new();
        let bell = sleeper.bell();
        let (sent, seen) = (Line(AtomicU64::new(0)), Line(AtomicU64::new(0)));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for i in 1..=ROUNDS {
                    // The first ring sets the other side going; the second falls, after a varying pause, into any
                    // step of its way back to sleep.
                    for item in [2 * i - 1, 2 * i] {
                        sent.0.store(item, Ordering::Relaxed);
                        bell.ring();
                        (0..i % 1024).for_each(|step| _ = std::hint::black_box(step));
                    }
                    while seen.0.load(Ordering::Relaxed) != 2 * i {
                        if lost.load(Ordering::Relaxed) {
                            return;
                        }
                        std::thread::yield_now();
                    }
                }
            });
            let runner_bell = sleeper.bell();
            let mut last = 0;
            while last < 2 * ROUNDS {
                runner_bell.doze();
                if sent.0.load(Ordering::Relaxed) == last {
                    let before = clock.now();
                    sleeper.sleep(Some(LONG));
                    if clock.now().since(before) >= LONG {
                        lost.store(true, Ordering::Relaxed);
                        return;
                    }
                }
                runner_bell.awake();
                last = sent.0.load(Ordering::Relaxed);
                seen.0.store(last, Ordering::Relaxed);
            }
        });
        assert!(!lost.into_inner(), "slept through a ring");
    }
}
