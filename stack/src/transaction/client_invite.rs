//! INVITE client transaction (RFC 3261 §17.1.1 with the Accepted state of RFC 6026 §8.4).

use super::machine::{Action, Timer};
use Action::{Arm, Forget, PassUp, Resend, SendAck, Terminate, Timeout, TransportFailed};

/// The states of figure 1 of RFC 6026.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Sent, nothing heard.
    Calling,
    /// A provisional response came.
    Proceeding,
    /// A final response other than 2xx came and was acknowledged.
    Completed,
    /// A 2xx came: others may follow, and the transaction user acknowledges each.
    Accepted,
    /// Gone.
    Terminated,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A 1xx.
    Provisional,
    /// A 2xx.
    Success,
    /// A 300–699.
    Failure,
    /// A timer fired.
    Timer(Timer),
    /// The transport could not send, or the connection is gone.
    TransportError,
}

/// All states, for tables.
pub const STATES: [State; 5] =
    [State::Calling, State::Proceeding, State::Completed, State::Accepted, State::Terminated];

/// All events, for tables.
pub const EVENTS: [Event; 9] = [
    Event::Provisional,
    Event::Success,
    Event::Failure,
    Event::Timer(Timer::A),
    Event::Timer(Timer::B),
    Event::Timer(Timer::D),
    Event::Timer(Timer::M),
    Event::Timer(Timer::Cancelled),
    Event::TransportError,
];

/// What to do when the INVITE has been sent.
pub const START: &[Action] = &[Arm(Timer::A), Arm(Timer::B)];

/// ```text
///                    |INVITE sent
///  Timer A  +-----+  V                Timer B or Transport Err.
///  resend   +---->[Calling]---------------------------------------+
///                  |   |  \ 2xx: to TU                            |
///              1xx |   |300-699  \                                |
///            to TU |   |ACK, to TU +--------------------+         |
///                  V   |                                |         |
///  1xx to TU +-[Proceeding]-------- 2xx: to TU -------->|         |
///            +---->|  |                                 V         |
///                  |  | 300-699: ACK, to TU        [Accepted]<-+  |
///                  |  V                              |    +-----+  |
///      +------>[Completed]--+ Transport Err.  Timer M|  2xx to TU  |
///      +-300-699: ACK--|    |                        |             |
///               Timer D|    |                        |             |
///                      V    V                        V             |
///                     [Terminated]<--------------------------------+
/// ```
pub const fn step(state: State, event: Event) -> (State, &'static [Action]) {
    use Event as E;
    use State::{Accepted, Calling, Completed, Proceeding, Terminated};
    match (state, event) {
        (Calling, E::Timer(Timer::A)) => (Calling, &[Resend, Arm(Timer::A)]),
        (Calling, E::Timer(Timer::B)) => (Terminated, &[Timeout, Terminate]),
        (Calling | Proceeding, E::Provisional) => (Proceeding, &[PassUp]),
        (Calling | Proceeding, E::Success) => (Accepted, &[PassUp, Forget, Arm(Timer::M)]),
        (Calling | Proceeding, E::Failure) => (Completed, &[SendAck, PassUp, Arm(Timer::D)]),
        // In Calling only. Once a provisional response came, the other side has the INVITE, and its final response may
        // come over another connection (RFC 3261 §18.2.2) after the one that the INVITE took is gone.
        (Calling, E::TransportError) => (Terminated, &[TransportFailed, Terminate]),
        // RFC 3261 §9.1: a cancelled request without a final response is over after 64·T1.
        (Proceeding, E::Timer(Timer::Cancelled)) => (Terminated, &[Timeout, Terminate]),
        (Completed, E::Failure) => (Completed, &[SendAck]),
        (Completed, E::Timer(Timer::D)) => (Terminated, &[Terminate]),
        // The final response was passed up already: that its ACK could not be sent ends the transaction silently.
        (Completed, E::TransportError) => (Terminated, &[Terminate]),
        (Accepted, E::Success) => (Accepted, &[PassUp]),
        (Accepted, E::Timer(Timer::M)) => (Terminated, &[Terminate]),
        (same, _) => (same, &[]),
    }
}
