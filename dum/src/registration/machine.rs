//! What a client registration does next.
//!
//! ```text
//!            ┌──────────────────────── 423: with the registrar's Min-Expires ─┐
//!            ▼                                                                │
//!   Idle ──command──► Sending ──2xx──► Registered (or Idle: nothing bound) ───┘
//!                      ▲   │ │              │ refresh is due, flow is gone (if it was a good one), command
//!                      │   │ └─2xx to end, remove_all─► Ended    │
//!      time, command   │   │ other                             ▼
//!                      │   ▼                                  Sending
//!                     Waiting ──the handler gives up──► Ended
//! ```
//!
//! A query or a removal that is refused leads to Registered too, if bindings are left.

/// What a REGISTER is for. Of two that wait the greater is sent: it does what the other one would have done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Op {
    /// Asks which there are.
    Query,
    /// Removes some.
    Remove,
    /// Adds or refreshes the bindings of this side, and removes those that are to go.
    Register,
    /// Removes those of this side, and ends.
    End,
    /// Removes those of all devices (`*`), and ends.
    RemoveAll,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Idle,
    Sending(Op),
    Registered,
    Waiting(Op),
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Command(Op),
    /// A 2xx; whether bindings of this side are there.
    Success {
        bound: bool,
    },
    /// 423, with a longer time to ask for.
    TooBrief,
    /// Another final response, or none; whether bindings of this side are there.
    Refused {
        bound: bool,
    },
    /// It is time for the refresh, or for another try.
    Timer,
    /// The handler does not want another try.
    GaveUp,
    /// The flow to the registrar is gone (RFC 5626 §4.5); whether another one is to be made at once.
    FlowFailed {
        good: bool,
    },
    /// The application knows of another way: whatever is under way or waits goes by that, and with it the bindings of this
    /// side, if there are any.
    OtherWay {
        bound: bool,
    },
    /// The request under way has gone with it: the same by another one.
    Again,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    None,
    Send(Op),
    /// It comes after the one that is on its way.
    Queue(Op),
    /// Tell of a success; the next refresh is to be set.
    Succeeded,
    /// Tell of the end that was asked for.
    Removed,
    /// Ask the handler whether and when to try again.
    AskRetry,
    /// Tell of the failure.
    Failed,
    /// It is tried again after a pause that nobody is asked about.
    Pause,
}

pub(super) fn step(state: State, event: Event) -> (State, Action) {
    use State::{Ended, Idle, Registered, Sending, Waiting};
    match (state, event) {
        (Sending(_), Event::Command(op)) => (state, Action::Queue(op)),
        (Idle | Registered, Event::Command(op)) => (Sending(op), Action::Send(op)),
        (Waiting(waiting), Event::Command(op)) => (Sending(waiting.max(op)), Action::Send(waiting.max(op))),
        (Sending(Op::RemoveAll | Op::End), Event::Success { .. }) => (Ended, Action::Removed),
        (Sending(_), Event::Success { bound: true }) => (Registered, Action::Succeeded),
        (Sending(_), Event::Success { bound: false }) => (Idle, Action::Succeeded),
        (Sending(op), Event::TooBrief | Event::Again) => (state, Action::Send(op)),
        // The bindings stay as they are: their refresh also says which there are, and removes what is to go.
        (Sending(Op::Query | Op::Remove), Event::Refused { bound: true }) => (Registered, Action::AskRetry),
        (Sending(op), Event::Refused { .. }) => (Waiting(op), Action::AskRetry),
        (Waiting(op), Event::Timer) => (Sending(op), Action::Send(op)),
        (Sending(op) | Waiting(op), Event::OtherWay { bound }) => {
            let op = if bound { op.max(Op::Register) } else { op };
            (Sending(op), Action::Send(op))
        }
        (Registered, Event::Timer | Event::OtherWay { .. } | Event::FlowFailed { good: true }) => {
            (Sending(Op::Register), Action::Send(Op::Register))
        }
        (Registered, Event::FlowFailed { good: false }) => (Waiting(Op::Register), Action::Pause),
        // The last one of this side: it expires by itself.
        (Waiting(Op::Remove), Event::GaveUp) => (Idle, Action::None),
        (Waiting(_), Event::GaveUp) => (Ended, Action::Failed),
        _ => (state, Action::None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_hears_every_event() {
        use Event::{Again, Command, FlowFailed, GaveUp, Refused, Success, Timer, TooBrief};
        use Op::{End, Query, Register, Remove, RemoveAll};
        use State::{Ended, Idle, Registered, Sending, Waiting};
        let send = |op| (Sending(op), Action::Send(op));
        let (bound, good) = (Success { bound: true }, FlowFailed { good: true });
        let (other_way, idly) = (Event::OtherWay { bound: true }, Event::OtherWay { bound: false });
        for (state, event, expected) in [
            (Idle, Command(Register), send(Register)),
            (Idle, Timer, (Idle, Action::None)),
            (Idle, good, (Idle, Action::None)),
            (Registered, Command(Query), send(Query)),
            (Registered, Timer, send(Register)),
            (Registered, good, send(Register)),
            (Idle, other_way, (Idle, Action::None)),
            (Registered, other_way, send(Register)),
            (Sending(Query), other_way, send(Register)),
            (Sending(Remove), other_way, send(Register)),
            (Sending(Query), idly, send(Query)),
            (Waiting(End), other_way, send(End)),
            (Waiting(Remove), GaveUp, (Idle, Action::None)),
            (Registered, FlowFailed { good: false }, (Waiting(Register), Action::Pause)),
            (Sending(End), Again, send(End)),
            (Registered, Again, (Registered, Action::None)),
            (Registered, bound, (Registered, Action::None)),
            (Sending(Register), Command(End), (Sending(Register), Action::Queue(End))),
            (Sending(Register), bound, (Registered, Action::Succeeded)),
            (Sending(Remove), Success { bound: false }, (Idle, Action::Succeeded)),
            (Sending(End), bound, (Ended, Action::Removed)),
            (Sending(RemoveAll), Success { bound: false }, (Ended, Action::Removed)),
            (Sending(Register), TooBrief, send(Register)),
            (Sending(Query), Refused { bound: false }, (Waiting(Query), Action::AskRetry)),
            (Sending(Query), Refused { bound: true }, (Registered, Action::AskRetry)),
            (Sending(Remove), Refused { bound: true }, (Registered, Action::AskRetry)),
            (Sending(End), Refused { bound: true }, (Waiting(End), Action::AskRetry)),
            (Sending(Register), Timer, (Sending(Register), Action::None)),
            (Sending(Register), good, (Sending(Register), Action::None)),
            (Waiting(Register), Timer, send(Register)),
            (Waiting(Register), Command(End), send(End)),
            (Waiting(Register), Command(Query), send(Register)),
            (Waiting(End), Command(Register), send(End)),
            (Waiting(Register), GaveUp, (Ended, Action::Failed)),
            (Waiting(Register), good, (Waiting(Register), Action::None)),
            (Registered, GaveUp, (Registered, Action::None)),
            (Ended, Command(Register), (Ended, Action::None)),
            (Ended, Timer, (Ended, Action::None)),
        ] {
            assert_eq!(step(state, event), expected, "{state:?} {event:?}");
        }
    }
}
