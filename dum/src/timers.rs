//! Timers: one wheel for all usages, and an [`Alarm`] in a usage for each kind that it has.
//!
//! Nothing is cancelled: what fires is looked up by usage (slot and generation) and kind, and its alarm says whether it
//! still means anything. An alarm that is moved to a later time costs nothing until the earlier one fires, so a peer that
//! refreshes a thousand times fills no wheel; and an alarm that is far away is looked at every minute, so what a usage
//! leaves in the wheel is gone a minute after it.

use crate::usage::Usage;
use rutil::{Time, Wheel};
use std::time::Duration;

/// What a usage waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TimerKind {
    /// A response of a call is sent once more.
    Repeat,
    /// The session is to be refreshed, or was not (RFC 4028).
    Session,
    /// A change that met another one is tried once more (RFC 3261 §14.1).
    Glare,
    /// A publication is to be refreshed, or tried again.
    Publication,
    /// A registration is to be refreshed, or tried again.
    Registration,
    /// A flow wants a keep-alive, or has not answered one.
    KeepAlive,
    /// A subscription is to be refreshed, or ends.
    Subscription,
    /// A NOTIFY is due: it was not received (RFC 6665 §4.1.2.4), or is to be sent once more.
    Notify,
    /// The application has not answered a request, and its client waits no longer (RFC 4320 §4.2).
    Unanswered,
}

/// What fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fire {
    pub(crate) usage: Usage,
    pub(crate) kind: TimerKind,
}

/// One timer of a usage: off, or set to a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alarm {
    due: Time,
    /// The entry in the wheel that will look at this alarm next.
    armed: Time,
}

impl Alarm {
    /// Not set.
    pub(crate) const OFF: Alarm = Alarm { due: Time::MAX, armed: Time::MAX };

    /// Whether it is set.
    pub(crate) fn is_set(&self) -> bool {
        self.due != Time::MAX
    }

    /// Whether it is set to a later time than that, or not set.
    pub(crate) fn is_after(&self, time: Time) -> bool {
        self.due > time
    }

    /// From now on it means nothing.
    pub(crate) fn clear(&mut self) {
        self.due = Time::MAX;
    }
}

/// An entry in the wheel is no later than this.
const LOOK: Duration = Duration::from_secs(60);

/// The wheel.
pub(crate) struct Timers {
    wheel: Wheel<Fire>,
}

impl Timers {
    pub(crate) fn new() -> Self {
        Timers { wheel: Wheel::new() }
    }

    /// Sets an alarm; one that was set is moved.
    pub(crate) fn set(&mut self, alarm: &mut Alarm, fire: Fire, now: Time, after: Duration) {
        alarm.due = now + after;
        self.arm(alarm, fire, now);
    }

    fn arm(&mut self, alarm: &mut Alarm, fire: Fire, now: Time) {
        let at = alarm.due.min(now + LOOK);
        if alarm.is_set() && at < alarm.armed {
            alarm.armed = at;
            self.wheel.arm(at, fire);
        }
    }

    /// Whether an alarm whose entry has fired is due. It is off then; one that was moved is armed for its new time.
    pub(crate) fn is_due(&mut self, alarm: &mut Alarm, fire: Fire, now: Time) -> bool {
        // An entry from before the alarm was moved to an earlier time: another one looks after it.
        if alarm.armed > now {
            return false;
        }
        alarm.armed = Time::MAX;
        if alarm.due <= now {
            *alarm = Alarm::OFF;
            return true;
        }
        self.arm(alarm, fire, now);
        false
    }

    pub(crate) fn pop(&mut self, now: Time) -> Option<Fire> {
        self.wheel.pop(now)
    }

    /// Entries in the wheel.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.wheel.len()
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        self.wheel.next_deadline()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handle::Usages;

    #[test]
    fn an_alarm_fires_once_at_its_last_time() {
        let usage = Usage::ClientOutOfDialog(Usages::new(1).insert(crate::out_of_dialog::tests::client()).unwrap());
        let fire = Fire { usage, kind: TimerKind::Unanswered };
        let (mut timers, mut alarm) = (Timers::new(), Alarm::OFF);
        let second = Duration::from_secs(1);
        timers.set(&mut alarm, fire, Time::ZERO, second);
        (2..=9).for_each(|n| timers.set(&mut alarm, fire, Time::ZERO, second * n));
        assert_eq!(timers.wheel.len(), 1, "moved, not armed again");
        let mut due = Vec::new();
        for s in 0..20 {
            let now = Time::ZERO + second * s;
            while let Some(fire) = timers.pop(now) {
                due.extend(timers.is_due(&mut alarm, fire, now).then_some(s));
            }
        }
        assert_eq!((due, timers.deadline()), (vec![9], None));
        // An earlier time needs an entry of its own; the stale one finds nothing.
        timers.set(&mut alarm, fire, Time::ZERO, second * 40);
        timers.set(&mut alarm, fire, Time::ZERO, second * 30);
        let at = |s| Time::ZERO + second * s;
        assert!(timers.pop(at(30)).is_some_and(|fire| timers.is_due(&mut alarm, fire, at(30))));
        assert!(timers.pop(at(40)).is_some_and(|fire| !timers.is_due(&mut alarm, fire, at(40))));
        timers.set(&mut alarm, fire, at(40), second);
        alarm.clear();
        assert!(timers.pop(at(41)).is_some_and(|fire| !timers.is_due(&mut alarm, fire, at(41))));
        assert_eq!(timers.deadline(), None);
    }

    #[test]
    fn what_is_far_away_has_one_entry_and_that_for_a_minute() {
        let usage = Usage::ClientOutOfDialog(Usages::new(1).insert(crate::out_of_dialog::tests::client()).unwrap());
        let fire = Fire { usage, kind: TimerKind::Unanswered };
        let (mut timers, mut alarm) = (Timers::new(), Alarm::OFF);
        let mut due = Vec::new();
        for s in 0..400 {
            let now = Time::ZERO + Duration::from_secs(s);
            if s < 10 {
                // Now near, now far.
                timers.set(&mut alarm, fire, now, Duration::from_secs(if s % 2 == 0 { 300 } else { 40 - 2 * s }));
            } else if s == 10 {
                timers.set(&mut alarm, fire, now, Duration::from_secs(300));
            }
            assert!(timers.deadline().is_none_or(|at| at <= now + LOOK));
            while let Some(fire) = timers.pop(now) {
                due.extend(timers.is_due(&mut alarm, fire, now).then_some(s));
            }
            assert!(s < 100 || timers.wheel.len() <= 1, "{s}");
        }
        assert_eq!((due, timers.deadline()), (vec![310], None));
    }
}
