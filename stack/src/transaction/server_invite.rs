//! INVITE server transaction (RFC 3261 §17.2.1 with the Accepted state of RFC 6026 §8.5).

use super::machine::{Action, Timer};
use Action::{Arm, Forget, PassUp, Resend, Send, SendTrying, Terminate, Timeout, TransportFailed};

/// The states of figure 2 of RFC 6026. `Trying` is Proceeding before anything was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Given to the transaction user; nothing was sent yet.
    Trying,
    /// A provisional response was sent.
    Proceeding,
    /// A final response other than 2xx was sent; the ACK is awaited.
    Completed,
    /// The ACK came.
    Confirmed,
    /// A 2xx was sent: the transaction user repeats it until the ACK.
    Accepted,
    /// Gone.
    Terminated,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The INVITE once more.
    Retransmit,
    /// An ACK.
    Ack,
    /// The transaction user sends a 1xx.
    Provisional,
    /// The transaction user sends a 2xx.
    Success,
    /// The transaction user sends a 300–699.
    Failure,
    /// A timer fired.
    Timer(Timer),
    /// The transport could not send a response.
    TransportError,
}

/// All states, for tables.
pub const STATES: [State; 6] =
    [State::Trying, State::Proceeding, State::Completed, State::Confirmed, State::Accepted, State::Terminated];

/// All events, for tables.
pub const EVENTS: [Event; 11] = [
    Event::Retransmit,
    Event::Ack,
    Event::Provisional,
    Event::Success,
    Event::Failure,
    Event::Timer(Timer::Trying),
    Event::Timer(Timer::G),
    Event::Timer(Timer::H),
    Event::Timer(Timer::I),
    Event::Timer(Timer::L),
    Event::TransportError,
];

/// What to do when the INVITE has come.
pub const START: &[Action] = &[Arm(Timer::Trying)];

/// ```text
///                             |INVITE: to TU
///                             V
///  INVITE: resend last  +->[Trying, Proceeding]------ 2xx from TU ----+
///  1xx from TU: send    +---|        |    send                        |
///                                    |300-699 from TU: send           V
///  INVITE, Timer G: resend  +->[Completed]               INVITE: - [Accepted]<-+
///                           +---|   |   |Timer H, Tr.Err          |   |     +--+
///                               ACK |   +---------------+  Timer L|  ACK: to TU
///                                   V                   |         |  2xx from TU: send
///                        ACK: - [Confirmed]             |         |
///                                   |Timer I            |         |
///                                   V                   V         V
///                              [Terminated]<----------------------+
/// ```
pub const fn step(state: State, event: Event) -> (State, &'static [Action]) {
    use Event as E;
    use State::{Accepted, Completed, Confirmed, Proceeding, Terminated, Trying};
    match (state, event) {
        // A repeated INVITE means that the client still counts on Timer A: tell it that the request is here.
        (Trying, E::Retransmit | E::Timer(Timer::Trying)) => (Proceeding, &[SendTrying]),
        (Proceeding, E::Retransmit) => (Proceeding, &[Resend]),
        (Trying | Proceeding, E::Provisional) => (Proceeding, &[Send]),
        (Trying | Proceeding, E::Success) => (Accepted, &[Send, Forget, Arm(Timer::L)]),
        (Trying | Proceeding, E::Failure) => (Completed, &[Send, Arm(Timer::G), Arm(Timer::H)]),
        // RFC 6026 §7.1: the transaction user hears of it, and may still send its final response.
        (Proceeding, E::TransportError) => (Proceeding, &[TransportFailed]),
        (Accepted, E::TransportError) => (Accepted, &[TransportFailed]),
        (Completed, E::Retransmit) => (Completed, &[Resend]),
        (Completed, E::Timer(Timer::G)) => (Completed, &[Resend, Arm(Timer::G)]),
        (Completed, E::Ack) => (Confirmed, &[Forget, Arm(Timer::I)]),
        (Completed, E::Timer(Timer::H)) => (Terminated, &[Timeout, Terminate]),
        (Completed, E::TransportError) => (Terminated, &[TransportFailed, Terminate]),
        (Confirmed, E::Timer(Timer::I)) => (Terminated, &[Terminate]),
        (Accepted, E::Success) => (Accepted, &[Send, Forget]),
        (Accepted, E::Ack) => (Accepted, &[PassUp]),
        (Accepted, E::Timer(Timer::L)) => (Terminated, &[Terminate]),
        (same, _) => (same, &[]),
    }
}
