//! The timer queue: one wheel a shard. Timers are armed and fire; none is cancelled.

use crate::transaction::{Arm, Input, TimerKey};
use rutil::wheel::Wheel;
use rutil::{Actor, Class, FifoReceiver, FifoSender, Full, Time, Turn};
use std::time::Duration;

/// Arms a turn.
const BATCH: usize = 256;

/// How long to wait for room before looking again.
const HOLD: Duration = Duration::from_millis(1);

/// The actor between `timer[i]` and `cmd[i]`. It always takes what is armed; a fire that finds no room is late, never
/// lost.
pub(crate) struct TimerQueue {
    arms: FifoReceiver<Arm>,
    fires: FifoSender<Input>,
    wheel: Wheel<TimerKey>,
    /// Fired, not yet delivered.
    late: Vec<TimerKey>,
    retry_at: Time,
}

impl TimerQueue {
    pub(crate) fn new(arms: FifoReceiver<Arm>, fires: FifoSender<Input>, now: Time) -> Self {
        TimerQueue { arms, fires, wheel: Wheel::new(now), late: Vec::new(), retry_at: now }
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
        if self.late.is_empty() && self.wheel.next_deadline().is_some_and(|at| at <= now) {
            let late = &mut self.late;
            self.wheel.expire(now, |key| late.push(key));
            // Delivered from the end: the earliest must be there.
            self.late.reverse();
        }
        while let Some(key) = self.late.pop() {
            if let Err(Full(_)) = self.fires.push(Input::Fired(key), Class::Internal, now) {
                self.late.push(key);
                self.retry_at = now + HOLD;
                break;
            }
            worked = true;
        }
        if worked { Turn::Worked } else { Turn::Idle }
    }

    fn deadline(&self) -> Option<Time> {
        if self.late.is_empty() { self.wheel.next_deadline() } else { Some(self.retry_at) }
    }
}
