//! What keeps one flow alive.
//!
//! ```text
//!              it is time: asked for a sign of life
//!   Resting ────────────────────────────────────────► Asked ◄─┐ once more (STUN)
//!      ▲ └─ nothing is to be answered: sent, and that is all   │ └─┘
//!      └──────────── the answer, with our address as it was ───┤
//!                                                              │ none, a refusal, another address
//!   Failed ◄───────────────────────────────────────────────────┘
//!      └──── from any state: the connection is gone
//! ```
//!
//! That a ping on a connection is not answered is for its transport to see: it closes the connection then. One that still
//! lives when its time is up has answered.

use rutil::Rng;
use std::time::Duration;

/// What is sent, and what is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// CRLFs that nobody need answer.
    Blind,
    /// A double CRLF on a connection (RFC 5626 §4.4.1).
    Ping,
    /// A STUN Binding request (RFC 5626 §4.4.2).
    Stun,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Resting,
    /// So often.
    Asked(u32),
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Timer,
    /// By STUN: whether our address looks as it did before.
    Answered {
        same: bool,
    },
    Refused,
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    None,
    /// Send it, and look again after [`wait`], or after the pause where nothing is expected.
    Ask,
    /// The flow has shown that it lives: the next time is after the pause.
    Rest,
    /// Tell who uses it.
    Fail,
}

pub(super) fn step(mode: Mode, state: State, event: Event) -> (State, Action) {
    use State::{Asked, Failed, Resting};
    match (state, event) {
        (Failed, _) => (Failed, Action::None),
        (_, Event::Ended) => (Failed, Action::Fail),
        (Resting, Event::Timer) if mode == Mode::Blind => (Resting, Action::Ask),
        (Resting, Event::Timer) => (Asked(1), Action::Ask),
        (Asked(_), Event::Timer) if mode != Mode::Stun => (Resting, Action::Rest),
        (Asked(times), Event::Timer) if times < REQUESTS => (Asked(times + 1), Action::Ask),
        (Asked(_), Event::Timer | Event::Refused | Event::Answered { same: false }) => (Failed, Action::Fail),
        (Asked(_), Event::Answered { same: true }) => (Resting, Action::Rest),
        (Resting, Event::Answered { .. } | Event::Refused) => (Resting, Action::None),
    }
}

/// RFC 5389 §7.2.1: Rc, Rm and the RTO.
const REQUESTS: u32 = 7;
const LAST: u32 = 16;
const RTO: Duration = Duration::from_millis(500);

/// RFC 5626 §4.4.1: how long the answer to a ping may take.
pub(super) const PONG: Duration = Duration::from_secs(10);

/// By when the news of a connection that was closed for want of an answer is here.
const NEWS: Duration = Duration::from_secs(1);

/// How long the answer to a request may take that was sent so often.
pub(super) fn wait(mode: Mode, times: u32) -> Duration {
    match mode {
        Mode::Stun if times < REQUESTS => RTO * 2u32.pow(times.saturating_sub(1)),
        Mode::Stun => RTO * LAST,
        _ => PONG + NEWS,
    }
}

/// A time of five sixths to the whole of `every`: 24.2 to 29 s, and 100 to 120 s (RFC 5626 §4.4.1 and §4.4.2 want 24 to 29
/// and 95 to 120, and 80 to 100 % of what a Flow-Timer says).
pub(super) fn pause(every: Duration, rng: &mut Rng) -> Duration {
    let most = u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(most - rng.range(most / 6 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_hears_every_event() {
        use Event::{Answered, Ended, Refused, Timer};
        use Mode::{Blind, Ping, Stun};
        use State::{Asked, Failed, Resting};
        let same = |same| Answered { same };
        let none = |state| (state, Action::None);
        for mode in [Blind, Ping, Stun] {
            for event in [Timer, same(true), same(false), Refused, Ended] {
                assert_eq!(step(mode, Failed, event), none(Failed));
            }
            for state in [Resting, Asked(1)] {
                assert_eq!(step(mode, state, Ended), (Failed, Action::Fail));
            }
            for event in [same(true), same(false), Refused] {
                assert_eq!(step(mode, Resting, event), none(Resting));
            }
        }
        for (mode, state, event, expected) in [
            (Blind, Resting, Timer, (Resting, Action::Ask)),
            (Ping, Resting, Timer, (Asked(1), Action::Ask)),
            (Ping, Asked(1), Timer, (Resting, Action::Rest)),
            // Nobody wants an answer any more.
            (Blind, Asked(1), Timer, (Resting, Action::Rest)),
            (Stun, Resting, Timer, (Asked(1), Action::Ask)),
            (Stun, Asked(6), Timer, (Asked(7), Action::Ask)),
            (Stun, Asked(7), Timer, (Failed, Action::Fail)),
            (Stun, Asked(1), same(true), (Resting, Action::Rest)),
            (Stun, Asked(1), same(false), (Failed, Action::Fail)),
            (Stun, Asked(3), Refused, (Failed, Action::Fail)),
        ] {
            assert_eq!(step(mode, state, event), expected, "{mode:?} {state:?} {event:?}");
        }
    }

    /// RFC 5389 §7.2.1: requests at 0, 500, 1500, 3500, 7500, 15500 and 31500 ms, and the end at 39500.
    #[test]
    fn requests_are_repeated_as_stun_has_it() {
        let at = (1..=REQUESTS).scan(Duration::ZERO, |at, times| {
            *at += wait(Mode::Stun, times);
            Some(at.as_millis())
        });
        assert_eq!(at.collect::<Vec<_>>(), [500, 1500, 3500, 7500, 15_500, 31_500, 39_500]);
    }

    #[test]
    fn pauses_are_neither_longer_than_asked_for_nor_alike() {
        let mut rng = Rng::from_seed(3);
        for (every, least) in [(29, 24), (120, 95), (10, 8), (1, 0)] {
            let all: Vec<_> = (0..200).map(|_| pause(Duration::from_secs(every), &mut rng)).collect();
            let (first, last) = (all.iter().min().unwrap(), all.iter().max().unwrap());
            assert!(*last <= Duration::from_secs(every) && *first >= Duration::from_secs(least), "{first:?} {last:?}");
            assert!(*last - *first > Duration::from_millis(every * 100), "{every}");
        }
    }
}
