//! A subscription of ours in its dialog, and the NOTIFYs of one that is held (RFC 6665 §4.1.2, §4.2.2).
//!
//! ```text
//!                     time to refresh                          2xx, or refused for now
//!   Subscribed ──────────────────────────► Refreshing ─────────────────────────► Subscribed
//!       └──────────── end ──────────────────────┴──► Ending ──NOTIFY terminated, any refusal, Timer N──► Ended
//!   Subscribed, Refreshing ──NOTIFY terminated, 481 and its like, expiry, Timer N──► Ended
//! ```
//!
//! Of a subscription that is held, one NOTIFY is under way at a time, and the last state is what counts:
//!
//! ```text
//!   Idle ──state──► Sent ──state──► Behind ──2xx──► Sent ──2xx──► Idle
//!                    └──refused, Retry-After──► Waiting ──time is up──► Sent
//!                                                  └──SUBSCRIBE──► Idle
//! ```

/// Where a subscription of ours is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Subscribed,
    /// A SUBSCRIBE is under way.
    Refreshing,
    /// A SUBSCRIBE that ends it is sent.
    Ending,
    Ended,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A NOTIFY, not the last.
    Notify,
    /// The last NOTIFY.
    Terminated,
    /// It is to be refreshed.
    Due,
    /// 2xx to a SUBSCRIBE.
    Success,
    /// 423: longer.
    TooBrief,
    /// A refusal that leaves it as it is (§4.1.2.2).
    Refused,
    /// A refusal that ends it: 481 and others (RFC 5057 §5.1).
    Gone,
    /// It lasts no longer.
    Expired,
    /// No NOTIFY came after a SUBSCRIBE.
    TimerN,
    /// The application wants no more.
    End,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    SendRefresh,
    SendEnd,
    StopTimerN,
    /// The next refresh is a while before the end.
    ArmRefresh,
    /// The same, where the end has come so near that the next refresh would be too late.
    Hasten,
    /// The next refresh is sooner: the last one failed.
    ArmRetry,
    Finish,
}

/// One step.
pub(super) fn step(state: State, event: Event) -> (State, &'static [Action]) {
    use Action::{ArmRefresh, ArmRetry, Finish, Hasten, SendEnd, SendRefresh, StopTimerN};
    use State::{Ended, Ending, Refreshing, Subscribed};
    match (state, event) {
        (Ended, _) => (Ended, &[]),
        (_, Event::Terminated | Event::Gone | Event::Expired | Event::TimerN) => (Ended, &[Finish]),
        (Ending, Event::Refused | Event::TooBrief) => (Ended, &[Finish]),
        (Ending, _) => (Ending, &[]),
        (_, Event::End) => (Ending, &[SendEnd]),
        (Subscribed, Event::Notify) => (Subscribed, &[StopTimerN, Hasten]),
        (Refreshing, Event::Notify) => (Refreshing, &[StopTimerN]),
        (Subscribed, Event::Due) => (Refreshing, &[SendRefresh]),
        (Refreshing, Event::TooBrief) => (Refreshing, &[SendRefresh]),
        (Refreshing, Event::Success) => (Subscribed, &[ArmRefresh]),
        (Refreshing, Event::Refused) => (Subscribed, &[StopTimerN, ArmRetry]),
        (Refreshing, Event::Due) | (Subscribed, Event::Success | Event::TooBrief | Event::Refused) => (state, &[]),
    }
}

/// Where the NOTIFYs of a subscription that is held are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Outbox {
    #[default]
    Idle,
    /// One is under way.
    Sent,
    /// One is under way that is no longer true.
    Behind,
    /// The subscriber wants to be left alone for a while.
    Waiting,
}

/// What happens to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// There is something to tell.
    State,
    /// The one under way was accepted.
    Accepted,
    /// It was refused with Retry-After.
    Later,
    /// The while is over.
    Due,
    /// The subscriber sends SUBSCRIBE: it wants the state now.
    Asked,
}

impl Outbox {
    /// One step: whether a NOTIFY is to be sent.
    pub(crate) fn step(self, notice: Notice) -> (Outbox, bool) {
        match (self, notice) {
            (Outbox::Idle, Notice::State) | (Outbox::Behind, Notice::Accepted) | (Outbox::Waiting, Notice::Due) => {
                (Outbox::Sent, true)
            }
            (Outbox::Sent, Notice::State) => (Outbox::Behind, false),
            (Outbox::Sent, Notice::Accepted) => (Outbox::Idle, false),
            (Outbox::Sent | Outbox::Behind, Notice::Later) => (Outbox::Waiting, false),
            (Outbox::Waiting, Notice::Asked) => (Outbox::Idle, false),
            (state, _) => (state, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_in_every_state() {
        use Action::*;
        use State::*;
        let events = [
            Event::Notify,
            Event::Terminated,
            Event::Due,
            Event::Success,
            Event::TooBrief,
            Event::Refused,
            Event::Gone,
            Event::Expired,
            Event::TimerN,
            Event::End,
        ];
        type Step = (State, &'static [Action]);
        let end: Step = (Ended, &[Finish]);
        let table: [(State, [Step; 10]); 4] = [
            (
                Subscribed,
                [
                    (Subscribed, &[StopTimerN, Hasten]),
                    end,
                    (Refreshing, &[SendRefresh]),
                    (Subscribed, &[]),
                    (Subscribed, &[]),
                    (Subscribed, &[]),
                    end,
                    end,
                    end,
                    (Ending, &[SendEnd]),
                ],
            ),
            (
                Refreshing,
                [
                    (Refreshing, &[StopTimerN]),
                    end,
                    (Refreshing, &[]),
                    (Subscribed, &[ArmRefresh]),
                    (Refreshing, &[SendRefresh]),
                    (Subscribed, &[StopTimerN, ArmRetry]),
                    end,
                    end,
                    end,
                    (Ending, &[SendEnd]),
                ],
            ),
            (Ending, [(Ending, &[]), end, (Ending, &[]), (Ending, &[]), end, end, end, end, end, (Ending, &[])]),
            (Ended, [(Ended, &[]); 10]),
        ];
        for (state, row) in table {
            for (event, expected) in events.into_iter().zip(row) {
                assert_eq!(step(state, event), expected, "{state:?} {event:?}");
            }
        }
    }

    #[test]
    fn one_notify_at_a_time_and_the_last_state_counts() {
        use Notice::*;
        use Outbox::*;
        let table = [
            (Idle, [(Sent, true), (Idle, false), (Idle, false), (Idle, false), (Idle, false)]),
            (Sent, [(Behind, false), (Idle, false), (Waiting, false), (Sent, false), (Sent, false)]),
            (Behind, [(Behind, false), (Sent, true), (Waiting, false), (Behind, false), (Behind, false)]),
            (Waiting, [(Waiting, false), (Waiting, false), (Waiting, false), (Sent, true), (Idle, false)]),
        ];
        for (state, row) in table {
            assert_eq!([State, Accepted, Later, Due, Asked].map(|notice| state.step(notice)), row, "{state:?}");
        }
    }
}
