//! Non-INVITE server transaction (RFC 3261 §17.2.2 with the rules of RFC 4320).

use super::machine::{Action, Timer};
use Action::{Arm, Resend, Send, SendTrying, Terminate, TransportFailed};

/// The states of figure 8 of RFC 3261.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Given to the transaction user; nothing was sent yet.
    Trying,
    /// A 100 was sent.
    Proceeding,
    /// A final response was sent.
    Completed,
    /// Gone.
    Terminated,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The request once more.
    Retransmit,
    /// The transaction user sends a 100.
    Provisional,
    /// The transaction user sends a 200–699.
    Final,
    /// A timer fired.
    Timer(Timer),
    /// The transport could not send a response.
    TransportError,
}

/// All states, for tables.
pub const STATES: [State; 4] = [State::Trying, State::Proceeding, State::Completed, State::Terminated];

/// All events, for tables.
pub const EVENTS: [Event; 7] = [
    Event::Retransmit,
    Event::Provisional,
    Event::Final,
    Event::Timer(Timer::Trying),
    Event::Timer(Timer::Abandoned),
    Event::Timer(Timer::J),
    Event::TransportError,
];

/// What to do when the request has come. Timer Abandoned begins with the 100: most requests are answered before.
pub const START: &[Action] = &[Arm(Timer::Trying)];

/// ```text
///                      |Request: to TU
///                      V
///   Request,   +-->[Trying]-------- 200-699 from TU: send ------+
///   1xx from TU: - ---+ |                                       |
///                      |Timer Trying: send 100                  |
///                      V                                        V
///   Request: resend [Proceeding]--- 200-699 from TU: send ->[Completed]
///   100 from TU: send  |                       Request: resend  |   |
///                      |Timer Abandoned (RFC 4320)       Timer J|   |Transport Err.
///                      |or Transport Err.                       |   |
///                      V                                        V   V
///                 [Terminated]<------------------------------------+
/// ```
pub const fn step(state: State, event: Event) -> (State, &'static [Action]) {
    use Event as E;
    use State::{Completed, Proceeding, Terminated, Trying};
    match (state, event) {
        (Trying, E::Timer(Timer::Trying)) => (Proceeding, &[SendTrying, Arm(Timer::Abandoned)]),
        // RFC 4320 §4.1: over UDP no 100 before the client's Timer E has reached T2, and then one is due in any case.
        // So Timer Trying decides when, and a 100 that the transaction user offers earlier is dropped.
        (Proceeding, E::Provisional) => (Proceeding, &[Send]),
        (Trying | Proceeding, E::Final) => (Completed, &[Send, Arm(Timer::J)]),
        (Proceeding, E::Timer(Timer::Abandoned)) => (Terminated, &[Terminate]),
        (Proceeding, E::Retransmit) => (Proceeding, &[Resend]),
        (Completed, E::Retransmit) => (Completed, &[Resend]),
        (Completed, E::Timer(Timer::J)) => (Terminated, &[Terminate]),
        (Proceeding | Completed, E::TransportError) => (Terminated, &[TransportFailed, Terminate]),
        (same, _) => (same, &[]),
    }
}
