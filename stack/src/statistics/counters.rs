//! Counters that one thread writes and any may read.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that one thread writes, so to count takes no read-modify-write; anyone may read it.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Its value now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
    #[inline]
    pub(crate) fn inc(&self) {
        self.add(1);
    }
    #[inline]
    pub(crate) fn dec(&self) {
        self.set(self.get().wrapping_sub(1));
    }
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        self.set(self.get().wrapping_add(n));
    }
    #[inline]
    pub(crate) fn set(&self, to: u64) {
        self.0.store(to, Ordering::Relaxed);
    }
}

/// Declares counters and the values that they had at one moment; behind a semicolon one field that is no counter.
macro_rules! counters {
    (
        $(#[$about:meta])* $vis:vis struct $Stats:ident => $(#[$said:meta])* $Snapshot:ident;
        $($(#[$doc:meta])* $name:ident,)*
        $(; $more:ident: $type:ty)?
    ) => {
        $(#[$about])*
        #[derive(Debug, Default)]
        $vis struct $Stats {
            $($(#[$doc])* pub $name: $crate::statistics::Counter,)*
            $(pub(super) $more: $type,)?
        }

        $(#[$said])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        $vis struct $Snapshot {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl $Stats {
            /// Reads all counters.
            pub fn snapshot(&self) -> $Snapshot {
                $Snapshot { $($name: self.$name.get(),)* }
            }
        }

        impl $Snapshot {
            /// Adds what another one has counted.
            pub fn add(&mut self, other: &$Snapshot) {
                $(self.$name += other.$name;)*
            }
        }
    };
}
pub(crate) use counters;
