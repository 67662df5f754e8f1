//! Several addresses of one host over connections: which of them comes up first (RFC 8305 §5). A pure machine: it says
//! when to begin the next attempt, is told what became of each, and ends with the one that is up or without.
//!
//! ```text
//!   begin ──> attempt 1 ──┬─ it is up ─────────────────────────────> won, the others are given up
//!                         ├─ it fails ──────────────> attempt 2 …
//!                         └─ the delay has passed ──> attempt 2 beside it …
//!                                                     all have failed, or it takes too long ──> lost
//! ```

use super::failover::Cause;
use crate::transport::TransportError;
use rutil::Time;
use std::time::Duration;

/// How long a race may take: the transports say sooner what became of an attempt, unless there was no room for the news.
const PATIENCE: Duration = Duration::from_secs(15);

/// What an attempt has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    Waiting,
    Connecting,
    Failed(TransportError),
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Time has passed.
    Due,
    /// This attempt is up.
    Up(usize),
    /// This attempt has failed.
    Failed(usize, TransportError),
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// This attempt is to be begun.
    Connect(usize),
    /// Something must happen, or time must pass.
    Wait,
    /// This attempt is the one; what is [`Race::under_way`] is given up.
    Won(usize),
    /// There is none.
    Lost(TransportError),
}

/// A race under way.
#[derive(Debug)]
pub(super) struct Race {
    attempts: Vec<Attempt>,
    delay: Duration,
    /// When the next attempt begins beside those under way.
    next: Time,
    ends: Time,
}

impl Race {
    /// A race of so many addresses, in their order. `delay`: how long one has before the next begins.
    pub(super) fn new(count: usize, delay: Duration, now: Time) -> Self {
        Race { attempts: vec![Attempt::Waiting; count], delay, next: now, ends: now + PATIENCE }
    }

    /// When [`Event::Due`] is due.
    pub(super) fn deadline(&self) -> Time {
        match self.attempts.contains(&Attempt::Waiting) {
            true => self.next.min(self.ends),
            false => self.ends,
        }
    }

    /// What becomes of it; it is asked again after each [`Step::Connect`] that fails at once, with that failure.
    pub(super) fn step(&mut self, event: Event, now: Time) -> Step {
        match event {
            Event::Up(at) => return Step::Won(at),
            Event::Failed(at, error) => {
                // One that is told twice, or was given up, decides nothing.
                let Some(attempt) = self.attempts.get_mut(at).filter(|attempt| **attempt == Attempt::Connecting) else {
                    return Step::Wait;
                };
                *attempt = Attempt::Failed(error);
                if self.attempts.iter().all(|attempt| matches!(attempt, Attempt::Failed(_))) {
                    return Step::Lost(error);
                }
                // Nobody waits for the delay of one that has failed (RFC 8305 §5).
                self.next = now;
            }
            Event::Due if now >= self.ends => return Step::Lost(TransportError::ConnectTimeout),
            Event::Due => {}
        }
        let waiting = self.attempts.iter().position(|attempt| *attempt == Attempt::Waiting);
        match waiting.filter(|_| now >= self.next) {
            Some(at) => {
                self.attempts[at] = Attempt::Connecting;
                self.next = now + self.delay;
                Step::Connect(at)
            }
            None => Step::Wait,
        }
    }

    /// The attempts that were begun and have come to nothing yet.
    pub(super) fn under_way(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.attempts.len()).filter(|at| self.attempts[*at] == Attempt::Connecting)
    }

    /// Whether an attempt has failed.
    pub(super) fn has_failed(&self, at: usize) -> bool {
        matches!(self.attempts.get(at), Some(Attempt::Failed(_)))
    }

    /// What is to be held against the address of an attempt that is not up; nothing if it was not begun, or for what is our
    /// own trouble.
    pub(super) fn cause(&self, at: usize) -> Option<Cause> {
        use TransportError::{Congested, Handshake, NoTransport};
        match self.attempts.get(at)? {
            Attempt::Waiting | Attempt::Failed(Congested | NoTransport) => None,
            Attempt::Failed(Handshake) => Some(Cause::NotProved),
            Attempt::Connecting | Attempt::Failed(_) => Some(Cause::Failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Event::{Due, Failed, Up};
    use Step::{Connect, Lost, Wait, Won};

    const DELAY: Duration = Duration::from_millis(250);
    const REFUSED: TransportError = TransportError::Refused;

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    /// Two addresses; events with their times, and what comes of each.
    fn plays(events: &[(u64, Event, Step)]) -> Race {
        let mut race = Race::new(2, DELAY, at(0));
        assert_eq!(race.step(Due, at(0)), Connect(0));
        for (ms, event, step) in events {
            assert_eq!(race.step(*event, at(*ms)), *step, "{event:?} at {ms}");
        }
        race
    }

    #[test]
    fn the_first_has_its_time() {
        assert_eq!(plays(&[(249, Due, Wait), (249, Up(0), Won(0))]).under_way().collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn the_second_begins_beside_the_first() {
        let race = plays(&[(250, Due, Connect(1)), (300, Due, Wait), (301, Up(1), Won(1))]);
        assert_eq!(race.under_way().collect::<Vec<_>>(), [0, 1]);
        plays(&[(250, Due, Connect(1)), (301, Up(0), Won(0))]);
    }

    #[test]
    fn a_failure_begins_the_next_at_once() {
        let race = plays(&[(3, Failed(0, REFUSED), Connect(1)), (4, Failed(0, REFUSED), Wait), (9, Up(1), Won(1))]);
        assert!(race.has_failed(0) && !race.has_failed(1));
        plays(&[(3, Failed(0, REFUSED), Connect(1)), (4, Failed(1, TransportError::Io), Lost(TransportError::Io))]);
    }

    #[test]
    fn a_failure_of_one_leaves_the_other() {
        plays(&[(250, Due, Connect(1)), (260, Failed(1, REFUSED), Wait), (900, Up(0), Won(0))]);
        plays(&[(250, Due, Connect(1)), (260, Failed(1, REFUSED), Wait), (900, Failed(0, REFUSED), Lost(REFUSED))]);
    }

    #[test]
    fn each_address_answers_for_itself() {
        use TransportError::{Congested, Handshake, NoTransport};
        for (first, last, causes) in [
            (REFUSED, Congested, [Some(Cause::Failed), None]),
            (NoTransport, REFUSED, [None, Some(Cause::Failed)]),
            (REFUSED, Handshake, [Some(Cause::Failed), Some(Cause::NotProved)]),
            (Handshake, REFUSED, [Some(Cause::NotProved), Some(Cause::Failed)]),
        ] {
            let race = plays(&[(3, Failed(0, first), Connect(1)), (4, Failed(1, last), Lost(last))]);
            assert_eq!([race.cause(0), race.cause(1)], causes);
        }
        let race = plays(&[(3, Due, Wait)]);
        assert_eq!([race.cause(0), race.cause(1)], [Some(Cause::Failed), None], "too slow, and never asked");
    }

    #[test]
    fn it_ends_although_nobody_says_anything() {
        let race = plays(&[(250, Due, Connect(1)), (14_999, Due, Wait)]);
        assert_eq!(race.deadline(), at(15_000));
        plays(&[(250, Due, Connect(1)), (15_000, Due, Lost(TransportError::ConnectTimeout))]);
        assert_eq!(Race::new(2, DELAY, at(7)).deadline(), at(7));
        assert_eq!(plays(&[]).deadline(), at(250));
    }
}
