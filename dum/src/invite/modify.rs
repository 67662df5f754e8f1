//! A session that changes: re-INVITE (RFC 3261 §14) and UPDATE (RFC 3311), one exchange at a time.
//!
//! ```text
//!                SendInvite                GotInvite                  Answer
//!   SentInvite ◄──────────── Idle ───────────────────► ReceivedInvite ──────► Unacknowledged
//!    │ │  2xx: ACK             ▲ ▲ ▲                        │ Decline, Cancel        │ ACK
//!    │ └───────────────────────┘ │ └────────────────────────┴────────────────────────┘
//!    │ 2xx with offer  Answer: ACK        GotUpdate                  Answer, Decline
//!    └──────► Answering ─────────┤  Idle ───────────► ReceivedUpdate ────────────────► Idle
//!                    SendUpdate  │
//!   SentUpdate ◄──────────── Idle┘   491 to either: Idle, and once more after a while (glare)
//!                                    422 to either: at once, with a longer session (RFC 4028)
//!
//!                GotUpdate, settled           2xx: ACK; or refused
//!   SentInvite ──────────────────► WithinInvite ──────────────────► ReceivedUpdate
//!       ▲         Answer, Decline       │
//!       └───────────────────────────────┘
//! ```
//!
//! A re-INVITE of ours is settled when offer and answer are done with a reliable provisional response: then the peer may offer
//! something else (RFC 3311 §5.2, RFC 6337 §2.2).

use Action as A;
use Event as E;
use State::*;

/// What is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum State {
    #[default]
    Idle,
    SentInvite,
    /// The 2xx to our re-INVITE without offer brought one; the ACK waits for the answer.
    Answering,
    /// UPDATE, or PRACK with an offer.
    SentUpdate,
    /// Our re-INVITE is settled, and an UPDATE with an offer came.
    WithinInvite,
    ReceivedInvite,
    /// Our 2xx is repeated until its ACK.
    Unacknowledged,
    ReceivedUpdate,
}

impl State {
    /// Whether a re-INVITE of ours waits for its final response.
    pub(super) const fn is_inviting(self) -> bool {
        matches!(self, SentInvite | WithinInvite)
    }

    /// Whether an UPDATE, or PRACK, waits for our answer.
    pub(super) const fn owes_update(self) -> bool {
        matches!(self, ReceivedUpdate | WithinInvite)
    }
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    SendInvite,
    SendUpdate,
    /// The same with a PRACK (RFC 3262 §5).
    SendPrack,
    /// 2xx to what we sent.
    Success,
    /// The same to a re-INVITE, with an offer.
    SuccessOffer,
    /// 491 to what we sent.
    Pending,
    /// 422 to what we sent, which the next attempt heeds (RFC 4028).
    TooBrief,
    /// Any other final response to what we sent.
    Refused,
    GotInvite,
    /// UPDATE with an offer.
    GotUpdate,
    /// The same, while our re-INVITE is settled.
    GotUpdateWithin,
    /// The application answers, or offers where it was asked to.
    Answer,
    /// It refuses.
    Decline,
    /// CANCEL came for the re-INVITE.
    Cancel,
    /// ACK for our 2xx.
    Ack,
    /// It never came.
    NoAck,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    SendInvite,
    SendUpdate,
    SendPrack,
    SendAck,
    /// Send the 2xx that was made: to INVITE it is repeated.
    SendSuccess,
    SendFailure,
    Send487,
    /// The request waits for one of ours: 491 (RFC 3261 §14.2, RFC 3311 §5.2).
    Refuse491,
    /// The request waits for one of its own side: 500 with Retry-After (same places).
    Refuse500,
    /// The application hears of the offer, or is asked for one.
    TellOffer,
    /// The application hears that its offer was refused; what was agreed before counts.
    TellRefused,
    /// What was offered is forgotten.
    RollBack,
    /// Try once more later (RFC 3261 §14.1).
    ArmGlare,
    StopRepeating,
    /// Not now.
    Busy,
}

#[cfg(test)]
pub(crate) const STATES: [State; 8] =
    [Idle, SentInvite, Answering, SentUpdate, WithinInvite, ReceivedInvite, Unacknowledged, ReceivedUpdate];

#[cfg(test)]
pub(crate) const EVENTS: [Event; 16] = [
    E::SendInvite,
    E::SendUpdate,
    E::SendPrack,
    E::Success,
    E::SuccessOffer,
    E::Pending,
    E::TooBrief,
    E::Refused,
    E::GotInvite,
    E::GotUpdate,
    E::GotUpdateWithin,
    E::Answer,
    E::Decline,
    E::Cancel,
    E::Ack,
    E::NoAck,
];

/// One step.
pub(crate) const fn step(state: State, event: Event) -> (State, &'static [Action]) {
    match (state, event) {
        (Idle, E::SendInvite) => (SentInvite, &[A::SendInvite]),
        (Idle, E::SendUpdate) => (SentUpdate, &[A::SendUpdate]),
        (Idle, E::SendPrack) => (SentUpdate, &[A::SendPrack]),
        (Idle, E::GotInvite) => (ReceivedInvite, &[A::TellOffer]),
        (Idle, E::GotUpdate) => (ReceivedUpdate, &[A::TellOffer]),

        (SentInvite, E::Success) => (Idle, &[A::SendAck]),
        (SentInvite, E::SuccessOffer) => (Answering, &[A::TellOffer]),
        (Answering, E::Answer) => (Idle, &[A::SendAck]),
        (SentUpdate, E::Success | E::SuccessOffer) => (Idle, &[]),
        (SentInvite | SentUpdate, E::Pending) => (Idle, &[A::RollBack, A::ArmGlare]),
        (SentInvite, E::TooBrief) => (SentInvite, &[A::SendInvite]),
        (SentUpdate, E::TooBrief) => (SentUpdate, &[A::SendUpdate]),
        (SentInvite | SentUpdate, E::Refused) => (Idle, &[A::RollBack, A::TellRefused]),

        (SentInvite, E::GotUpdateWithin) => (WithinInvite, &[A::TellOffer]),
        (WithinInvite, E::Answer) => (SentInvite, &[A::SendSuccess]),
        (WithinInvite, E::Decline) => (SentInvite, &[A::RollBack, A::SendFailure]),
        (WithinInvite, E::Success) => (ReceivedUpdate, &[A::SendAck]),
        // What is offered by now is the peer's UPDATE, and is answered as ever.
        (WithinInvite, E::Refused) => (ReceivedUpdate, &[A::TellRefused]),

        (ReceivedInvite, E::Answer) => (Unacknowledged, &[A::SendSuccess]),
        (ReceivedUpdate, E::Answer) => (Idle, &[A::SendSuccess]),
        (ReceivedInvite | ReceivedUpdate, E::Decline) => (Idle, &[A::RollBack, A::SendFailure]),
        (ReceivedInvite, E::Cancel) => (Idle, &[A::RollBack, A::Send487]),
        (Unacknowledged, E::Ack) => (Idle, &[A::StopRepeating]),
        (Unacknowledged, E::NoAck) => (Idle, &[A::StopRepeating]),

        (SentInvite | Answering | SentUpdate | Unacknowledged, E::GotInvite | E::GotUpdate) => (state, &[A::Refuse491]),
        (WithinInvite, E::GotInvite) => (state, &[A::Refuse491]),
        (ReceivedInvite | ReceivedUpdate, E::GotInvite | E::GotUpdate) => (state, &[A::Refuse500]),
        (WithinInvite, E::GotUpdate | E::GotUpdateWithin) => (state, &[A::Refuse500]),
        (_, E::SendInvite | E::SendUpdate | E::SendPrack | E::Answer | E::Decline) => (state, &[A::Busy]),
        (same, _) => (same, &[]),
    }
}
