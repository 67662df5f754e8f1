//! What a client publication does next (RFC 3903 §4).
//!
//! ```text
//!   Sending(Initial) ──2xx with SIP-ETag──► Published ──refresh is due, update, end──► Sending(…)
//!        ▲   │                                                                            │
//!        │   └─other──► Waiting ──time, command──► Sending     Ended ◄──2xx of Remove─────┤
//!        │                 └──an update is given up──► Published                          │
//!        └──────────────────── 412: the server has forgotten it ──────────────────────────┘
//! ```

/// What a PUBLISH is for. Of two that wait the greater is sent: it does what the other one would have done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Op {
    /// Publishes for the first time, without an entity-tag.
    Initial,
    Refresh,
    Modify,
    Remove,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Sending(Op),
    Published,
    Waiting(Op),
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The application wants something.
    Command(Op),
    /// A 2xx.
    Success,
    /// 412: nothing is published under our entity-tag; whether a removal waits.
    Forgotten {
        ending: bool,
    },
    /// 423, with a longer time to ask for.
    TooBrief,
    /// A 2xx that grants no time: nothing is published.
    NotGranted,
    /// Another final response, or none.
    Refused,
    Timer,
    /// The handler does not want another try.
    GaveUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    None,
    Send(Op),
    Queue(Op),
    Succeeded,
    /// What was published before stays; the next refresh is to be set.
    Kept,
    Removed,
    AskRetry,
    Failed,
}

pub(super) fn step(state: State, event: Event) -> (State, Action) {
    use State::{Ended, Published, Sending, Waiting};
    let send = |op| (Sending(op), Action::Send(op));
    match (state, event) {
        (Sending(_), Event::Command(op)) => (state, Action::Queue(op)),
        (Published, Event::Command(op)) => send(op),
        // Nothing is there that could be changed or removed.
        (Waiting(Op::Initial), Event::Command(Op::Remove)) => (Ended, Action::Removed),
        (Waiting(Op::Initial), Event::Command(_)) => send(Op::Initial),
        (Waiting(waiting), Event::Command(op)) => send(waiting.max(op)),
        (Sending(Op::Remove), Event::Success | Event::Forgotten { .. }) => (Ended, Action::Removed),
        (Sending(Op::Refresh | Op::Modify), Event::Forgotten { ending: true }) => (Ended, Action::Removed),
        (Sending(_), Event::Success) => (Published, Action::Succeeded),
        (Sending(Op::Refresh | Op::Modify), Event::Forgotten { ending: false }) => send(Op::Initial),
        (Sending(op), Event::TooBrief) => send(op),
        (Sending(_), Event::NotGranted) => (Waiting(Op::Initial), Action::AskRetry),
        (Sending(op), Event::Refused | Event::Forgotten { .. }) => (Waiting(op), Action::AskRetry),
        (Waiting(op), Event::Timer) => send(op),
        (Published, Event::Timer) => send(Op::Refresh),
        // What was published before is not touched by what would have taken its place.
        (Waiting(Op::Modify), Event::GaveUp) => (Published, Action::Kept),
        (Waiting(_), Event::GaveUp) => (Ended, Action::Failed),
        _ => (state, Action::None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_hears_every_event() {
        use Event::{Command, Forgotten, GaveUp, NotGranted, Refused, Success, Timer, TooBrief};
        use Op::{Initial, Modify, Refresh, Remove};
        use State::{Ended, Published, Sending, Waiting};
        let send = |op| (Sending(op), Action::Send(op));
        let (forgotten, unwanted) = (Forgotten { ending: false }, Forgotten { ending: true });
        for (state, event, expected) in [
            (Sending(Initial), Success, (Published, Action::Succeeded)),
            (Sending(Initial), Command(Modify), (Sending(Initial), Action::Queue(Modify))),
            (Sending(Initial), forgotten, (Waiting(Initial), Action::AskRetry)),
            (Sending(Initial), TooBrief, send(Initial)),
            (Sending(Modify), NotGranted, (Waiting(Initial), Action::AskRetry)),
            (Sending(Initial), Timer, (Sending(Initial), Action::None)),
            (Sending(Refresh), forgotten, send(Initial)),
            (Sending(Refresh), unwanted, (Ended, Action::Removed)),
            (Sending(Modify), forgotten, send(Initial)),
            (Sending(Modify), unwanted, (Ended, Action::Removed)),
            (Sending(Modify), Refused, (Waiting(Modify), Action::AskRetry)),
            (Sending(Remove), forgotten, (Ended, Action::Removed)),
            (Sending(Remove), Success, (Ended, Action::Removed)),
            (Published, Timer, send(Refresh)),
            (Published, Command(Remove), send(Remove)),
            (Published, Success, (Published, Action::None)),
            (Published, GaveUp, (Published, Action::None)),
            (Waiting(Initial), Command(Modify), send(Initial)),
            (Waiting(Initial), Command(Remove), (Ended, Action::Removed)),
            (Waiting(Modify), Command(Remove), send(Remove)),
            (Waiting(Modify), Command(Refresh), send(Modify)),
            (Waiting(Remove), Command(Modify), send(Remove)),
            (Waiting(Refresh), Timer, send(Refresh)),
            (Waiting(Refresh), GaveUp, (Ended, Action::Failed)),
            (Waiting(Modify), GaveUp, (Published, Action::Kept)),
            (Ended, Command(Initial), (Ended, Action::None)),
        ] {
            assert_eq!(step(state, event), expected, "{state:?} {event:?}");
        }
    }
}
