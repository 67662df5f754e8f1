//! The sleeper of a runner that has no sockets.

use crate::{Actor, Bell, Sleeper, Time, Turn};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::time::Duration;

/// Parks its runner's thread until its bell rings or time is up.
///
/// It may be made on one thread and run on another: a ring is remembered, not sent to a thread, so one that comes
/// before the first sleep is not lost.
pub struct ParkSleeper {
    shared: Arc<Shared>,
    bell: Bell,
}

#[derive(Default)]
struct Shared {
    rung: Mutex<bool>,
    wake: Condvar,
}

impl ParkSleeper {
    /// A sleeper that no bell has woken yet.
    pub fn new() -> Self {
        let shared = Arc::<Shared>::default();
        let ringer = shared.clone();
        let bell = Bell::new(move || {
            *ringer.rung.lock() = true;
            ringer.wake.notify_one();
        });
        ParkSleeper { shared, bell }
    }
}

impl Default for ParkSleeper {
    fn default() -> Self {
        Self::new()
    }
}

impl Actor for ParkSleeper {
    fn name(&self) -> &'static str {
        "park"
    }

    fn turn(&mut self, _now: Time) -> Turn {
        Turn::Idle
    }

    fn wants_turn(&self) -> bool {
        false
    }
}

impl Sleeper for ParkSleeper {
    fn sleep(&mut self, timeout: Option<Duration>) {
        if timeout == Some(Duration::ZERO) {
            return; // There is no socket to look at.
        }
        let mut rung = self.shared.rung.lock();
        match timeout {
            Some(timeout) => {
                self.shared.wake.wait_while_for(&mut rung, |rung| !*rung, timeout);
            }
            None => self.shared.wake.wait_while(&mut rung, |rung| !*rung),
        }
        *rung = false;
    }

    fn bell(&self) -> Bell {
        self.bell.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Clock, RealClock};

    #[test]
    fn time_up_ends_sleep_and_zero_only_looks() {
        let clock = RealClock::new();
        let mut sleeper = ParkSleeper::new();
        let before = clock.now();
        sleeper.sleep(Some(Duration::from_millis(5)));
        assert!(clock.now().since(before) >= Duration::from_millis(5));
        sleeper.sleep(Some(Duration::ZERO));
    }

    #[test]
    fn a_ring_before_sleep_or_from_another_thread_ends_it() {
        let mut sleeper = ParkSleeper::new();
        let bell = sleeper.bell();
        bell.doze();
        bell.ring();
        sleeper.sleep(None);
        bell.doze();
        std::thread::scope(|scope| {
            scope.spawn(|| bell.ring());
            sleeper.sleep(Some(Duration::MAX));
        });
    }
}
