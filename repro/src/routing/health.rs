//! Whether a contact of a trunk is in service.
//!
//! ```text
//!                    Failed                    Recover
//!        InService ─────────> OutOfService ───────────────> Recovering
//!            ^                     ^  ^                     │ │    │
//!            │ Answered            │  └──────── Failed ─────┘ │    │ Tried
//!            ├─────────────────────┼──────────── Answered ────┘    v
//!            └─────────────────────┼──────────── Answered ────── Trial
//!                                  └──────────── Failed ─────────┘ │ Recover
//!                                                Recovering <──────┘
//! ```
//!
//! *Failed* is a 503, no answer at all or a transport error, of a call or of an OPTIONS; *Answered* is any other answer. Out of service a contact stays for `recovery_timeout`, whatever it answers meanwhile: one that answers
//! OPTIONS and refuses calls would else be tried all the time. After that an answer brings it back: to an OPTIONS where
//! some are sent, else to the one call that tries it (*Trial*).

use rutil::Time;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The state of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It gets calls.
    InService,
    /// It gets none.
    OutOfService,
    /// It waits for the answer that brings it back.
    Recovering,
    /// One call tries whether it is back.
    Trial,
}

/// What is heard of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It answered, and not with 503.
    Answered,
    /// It answered with 503, or not at all, or could not be reached.
    Failed,
    /// A call is sent to it.
    Tried,
    /// `recovery_timeout` has passed.
    Recover,
}

/// The state after an event.
pub const fn step(state: State, event: Event) -> State {
    use Event::{Answered, Failed, Recover, Tried};
    use State::{InService, OutOfService, Recovering, Trial};
    match (state, event) {
        (_, Failed) => OutOfService,
        (InService, Answered | Tried | Recover) => InService,
        (OutOfService, Recover) => Recovering,
        (OutOfService, Answered | Tried) => OutOfService,
        (Recovering | Trial, Answered) => InService,
        (Recovering, Tried) => Trial,
        // Its caller gave up before there was an answer.
        (Trial, Recover) => Recovering,
        (Recovering, Recover) | (Trial, Tried) => state,
    }
}

/// The state of a contact, shared by all shards: the state in the lower two bits of a number, the millisecond at which
/// it recovers above.
#[derive(Debug, Default)]
pub struct Health(AtomicU64);

const STATES: [State; 4] = [State::InService, State::OutOfService, State::Recovering, State::Trial];

fn unpack(word: u64) -> (State, u64) {
    (STATES.get((word & 3) as usize).copied().unwrap_or(State::InService), word >> 2)
}

fn pack(state: State, until: u64) -> u64 {
    state as u64 | (until << 2)
}

/// The millisecond at which a contact recovers that an operator has taken out of service: never.
const NEVER: u64 = u64::MAX >> 2;
/// In service, and not as if nothing had been noted: it means nothing else.
const BACK: u64 = 1;

impl Health {
    /// Takes it out of service until it is put back by hand, or puts it into service, whatever was heard of it.
    pub fn force(&self, out: bool) {
        let word = if out { pack(State::OutOfService, NEVER) } else { pack(State::InService, BACK) };
        self.0.store(word, Ordering::Relaxed);
    }

    /// Whether it was taken out of service by hand.
    pub fn is_forced_out(&self) -> bool {
        unpack(self.0.load(Ordering::Relaxed)).1 == NEVER
    }

    /// The state at a time.
    pub fn state(&self, now: Time) -> State {
        Self::at(self.0.load(Ordering::Relaxed), now)
    }

    fn at(word: u64, now: Time) -> State {
        let (state, until) = unpack(word);
        let waits = matches!(state, State::OutOfService | State::Trial);
        if waits && now.as_millis() >= until { step(state, Event::Recover) } else { state }
    }

    /// Becomes what another is, unless something was noted already.
    pub fn inherit(&self, other: &Health) {
        let known = other.0.load(Ordering::Relaxed);
        let _ = self.0.compare_exchange(0, known, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Whether a call may be sent to it; `probed`: OPTIONS find out when it is back, not calls.
    pub fn takes_calls(&self, now: Time, probed: bool) -> bool {
        match self.state(now) {
            State::InService => true,
            State::Recovering => !probed,
            State::OutOfService | State::Trial => false,
        }
    }

    /// Notes an event; `recovery` is how long it stays out of service. The states before and after.
    pub fn note(&self, event: Event, now: Time, recovery: Duration) -> (State, State) {
        let until = (now + recovery).as_millis();
        let next = |word| {
            let (before, waits_until) = (Self::at(word, now), unpack(word).1);
            let after = step(before, event);
            let by_hand = waits_until == NEVER;
            let begins = !by_hand && (event == Event::Failed || before != after && after == State::Trial);
            pack(after, if begins { until } else { waits_until })
        };
        // The closure always has a value, so both arms hold the word before.
        let (Ok(word) | Err(word)) = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| Some(next(word)));
        (Self::at(word, now), unpack(next(word)).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Event::{Answered, Failed, Recover, Tried};
    use State::{InService, OutOfService, Recovering, Trial};

    #[test]
    fn every_pair() {
        let table = [
            (InService, [InService, OutOfService, InService, InService]),
            (OutOfService, [OutOfService, OutOfService, OutOfService, Recovering]),
            (Recovering, [InService, OutOfService, Trial, Recovering]),
            (Trial, [InService, OutOfService, Trial, Recovering]),
        ];
        for (state, after) in table {
            assert_eq!([Answered, Failed, Tried, Recover].map(|event| step(state, event)), after, "{state:?}");
        }
    }

    const FIVE: Duration = Duration::from_secs(5);

    fn second(s: u64) -> Time {
        Time::from_millis(s * 1000)
    }

    #[test]
    fn a_call_tries_what_nothing_else_does() {
        let health = Health::default();
        assert!(health.takes_calls(second(0), false));
        assert_eq!(health.note(Failed, second(1), FIVE), (InService, OutOfService));
        assert_eq!(health.note(Answered, second(2), FIVE), (OutOfService, OutOfService));
        assert!(!health.takes_calls(second(5), false));
        assert!(health.takes_calls(second(6), false) && !health.takes_calls(second(6), true));
        assert_eq!(health.note(Tried, second(7), FIVE), (Recovering, Trial));
        assert!(!health.takes_calls(second(11), false), "one call at a time");
        // A second one, chosen at the same moment, does not make it longer.
        health.note(Tried, second(9), FIVE);
        assert_eq!(health.state(second(12)), Recovering, "the caller gave up");
        health.note(Tried, second(13), FIVE);
        assert_eq!(health.note(Answered, second(14), FIVE), (Trial, InService));
        assert!(health.takes_calls(second(14), false));
    }

    #[test]
    fn what_is_taken_out_by_hand_stays_out() {
        let health = Health::default();
        health.force(true);
        for event in [Answered, Failed, Tried, Answered] {
            assert_eq!(health.note(event, second(1), FIVE), (OutOfService, OutOfService), "{event:?}");
        }
        let copy = Health::default();
        copy.inherit(&health);
        for health in [&health, &copy] {
            assert!(health.is_forced_out() && !health.takes_calls(second(1_000_000), false));
        }
        health.force(false);
        // A shard that takes over the table late brings nothing of the one before.
        health.inherit(&copy);
        assert!(!health.is_forced_out() && health.takes_calls(second(1), true));
        assert_eq!(health.note(Failed, second(1), FIVE), (InService, OutOfService));
    }

    #[test]
    fn each_failure_begins_the_time_again() {
        let health = Health::default();
        health.note(Failed, second(1), FIVE);
        health.note(Failed, second(4), FIVE);
        assert_eq!((health.state(second(8)), health.state(second(9))), (OutOfService, Recovering));
        // An answer to an OPTIONS, where some are sent.
        assert_eq!(health.note(Answered, second(9), FIVE), (Recovering, InService));
        health.note(Failed, second(10), FIVE);
        health.note(Tried, second(15), FIVE);
        assert_eq!(health.note(Failed, second(16), FIVE), (Trial, OutOfService));
        assert_eq!(health.state(second(20)), OutOfService);
    }
}
