//! The timer queue: one wheel a shard. Timers are armed and fire; none is cancelled.

use crate::transaction::{Arm, Input, TimerKey};
use rutil::{Actor, Class, FifoReceiver, FifoSender, Full, Time, Turn, Wheel};
use std::time::Duration;

/// How late a timer may be, nanoseconds. A shard that handles 500 calls/s arms some 6,000 timers/s, most of which mean
/// nothing when they fire; fired one by one they would wake a runner that sleeps as often as the messages do. RFC 3261's
/// shortest timer is T1, fifty times longer.
const RESOLUTION: u64 = 10_000_000;

/// Arms a turn.
const BATCH: usize = 256;

/// How long to wait for room before looking again.
const HOLD: Duration = Duration::from_millis(1);

/// The actor between `timer[i]` and `cmd[i]`. It always takes what is armed; a fire that finds no room is late, never
/// lost.
pub(crate) struct TimerQueue {
    arms: FifoReceiver<Arm>,
    fires: FifoSender<Input>,
    wheel: Wheel<TimerKey, RESOLUTION>,
    /// While `cmd[i]` is full nothing fires before this.
    retry_at: Time,
}

impl TimerQueue {
    pub(crate) fn new(arms: FifoReceiver<Arm>, fires: FifoSender<Input>) -> Self {
        TimerQueue { arms, fires, wheel: Wheel::new(), retry_at: Time::ZERO }
    }
}

impl Actor for TimerQueue {
    fn name(&self) -> &'static str {
        "timers"
    }

    fn turn(&mut self, now: Time) -> Turn {
        let mut worked = false;
        for _ in 0..BATCH {
            let Some(arm) = self.arms.pop() else { break };
            self.wheel.arm(arm.at, arm.key);
            worked = true;
        }
        if !self.fires.has_room(Class::Internal) {
            self.retry_at = now + HOLD;
        }
        while self.fires.has_room(Class::Internal) {
            let Some(key) = self.wheel.pop(now) else { break };
            worked = true;
            if let Err(Full(_)) = self.fires.push(Input::Fired(key), Class::Internal, now) {
                // Somebody was faster: again in a moment.
                self.wheel.arm(now + HOLD, key);
                break;
            }
        }
        if worked { Turn::Worked } else { Turn::Idle }
    }

    fn wants_turn(&self) -> bool {
        !self.arms.is_empty()
    }

    fn deadline(&self) -> Option<Time> {
        self.wheel.next_deadline().map(|at| at.max(self.retry_at))
    }
}
