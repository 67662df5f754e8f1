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
