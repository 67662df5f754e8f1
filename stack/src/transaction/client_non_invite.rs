//! Non-INVITE client transaction (RFC 3261 §17.1.2).

use super::machine::{Action, Timer};
use Action::{Arm, Forget, PassUp, Resend, Terminate, Timeout, TransportFailed};

/// The states of figure 6 of RFC 3261.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Sent, nothing heard.
    Trying,
    /// A provisional response came.
    Proceeding,
    /// A final response came.
    Completed,
    /// Gone.
    Terminated,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A 1xx.
    Provisional,
    /// A 200–699.
    Final,
    /// A timer fired.
    Timer(Timer),
    /// The transport could not send, or the connection is gone.
    TransportError,
}

/// All states, for tables.
pub const STATES: [State; 4] = [State::Trying, State::Proceeding, State::Completed, State::Terminated];

/// All events, for tables.
pub const EVENTS: [Event; 6] = [
    Event::Provisional,
    Event::Final,
    Event::Timer(Timer::E),
    Event::Timer(Timer::F),
    Event::Timer(Timer::K),
    Event::TransportError,
];

/// What to do when the request has been sent.
pub const START: &[Action] = &[Arm(Timer::E), Arm(Timer::F)];

/// ```text
///                     |Request sent
///  Timer E  +------+  V
///  resend   +---->[Trying]------------ Timer F or Transport Err. ---+
///                  |  |  200-699: to TU                             |
///         1xx to TU|  +-----------------------------+               |
///                  V                                |               |
///  Timer E  +->[Proceeding]-- 200-699: to TU ------>|               |
///  resend,  +---|     |                             V               |
///  1xx to TU          |                       [Completed]           |
///                     |Timer F or Transport Err.    |Timer K        |
///                     V                             V               |
///                 [Terminated]<-------------------------------------+
/// ```
pub const fn step(state: State, event: Event) -> (State, &'static [Action]) {
    use Event as E;
    use State::{Completed, Proceeding, Terminated, Trying};
    match (state, event) {
        (Trying, E::Timer(Timer::E)) => (Trying, &[Resend, Arm(Timer::E)]),
        (Proceeding, E::Timer(Timer::E)) => (Proceeding, &[Resend, Arm(Timer::E)]),
        (Trying | Proceeding, E::Timer(Timer::F)) => (Terminated, &[Timeout, Terminate]),
        // In Proceeding too, as figure 6 has it: what failed may be the request that Timer E sent again, so the other side
        // has gone since its 100.
        (Trying | Proceeding, E::TransportError) => (Terminated, &[TransportFailed, Terminate]),
        (Trying | Proceeding, E::Provisional) => (Proceeding, &[PassUp]),
        (Trying | Proceeding, E::Final) => (Completed, &[PassUp, Forget, Arm(Timer::K)]),
        (Completed, E::Timer(Timer::K)) => (Terminated, &[Terminate]),
        (same, _) => (same, &[]),
    }
}
