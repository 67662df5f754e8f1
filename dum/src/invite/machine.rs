//! A call from its INVITE to its end.
//!
//! ```text
//!   Calling ──1xx──► Early                          Received ──1xx──► Ringing
//!      │ \             │  \                             │  \             │
//!      │  End          │   End                          │   Reject,      │  CANCEL, BYE: 487
//!      │    ▼          │    ▼                           │   CANCEL: 487  │
//!      │  Cancelling ◄─┼──── (CANCEL sent)              │     ▼          ▼
//!      │    │   2xx    │                                │   Terminated
//!      │    └─► Ending │ 2xx                     Accept │
//!      │2xx    (ACK,   ▼                                ▼        no ACK
//!      └────────BYE)► Connected ◄────────ACK──────── Accepted ──────────► Ending (BYE)
//!                      │  ▲                             │ End
//!   2xx with offer     │  │ Answer (ACK)                ▼          ACK
//!   ─────────► Answering──┘                          HangingUp ─────────► Ending (BYE)
//!                      │
//!          End: BYE    │ BYE
//!     Ending ◄─────────┴──────► Terminated
//! ```
//!
//! The left half is the caller's, the right half the callee's; from Connected on they are one. A callee does not send BYE
//! before the ACK or the end of its patience (RFC 3261 §15).

use Action as A;
use Event as E;
use State::*;

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum State {
    /// INVITE sent, nothing heard that makes a dialog.
    Calling,
    /// An early dialog, caller's side.
    Early,
    /// Given up, for this reason; CANCEL is sent or held back by the stack until a 1xx comes.
    Cancelling(EndReason),
    /// A 2xx brought an offer; the ACK waits for the answer.
    Answering,
    /// INVITE received, nothing answered.
    Received,
    /// A provisional response was sent.
    Ringing,
    /// 2xx sent, repeated until its ACK.
    Accepted,
    /// The same, and BYE follows the ACK, for this reason.
    HangingUp(EndReason),
    /// Both sides have it.
    Connected,
    /// BYE sent.
    Ending,
    /// Over.
    Terminated,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    /// 101 to 199 with a To tag.
    Provisional,
    /// A 2xx, the first or again; the answer is in it or was before.
    Success,
    /// A 2xx with an offer.
    SuccessOffer,
    /// A 2xx whose body, or lack of one, breaks offer and answer.
    SuccessIllegal,
    /// A 2xx that makes no dialog as it stands.
    SuccessMalformed,
    /// 400 to 699.
    Refused,
    /// 3xx.
    Redirected,
    /// No final response came.
    TimedOut,
    /// The INVITE could not be sent.
    Unreachable,
    /// The INVITE has failed, after it was cancelled in case that it would.
    Cancelled,
    /// Another fork has sent a 2xx.
    Overtaken,
    /// The application answers the offer of the 2xx.
    Answer,
    /// The application sends a provisional response.
    Ring,
    /// The application accepts.
    Accept,
    /// The application refuses.
    Reject,
    /// CANCEL came.
    Cancel,
    /// ACK for the 2xx.
    Ack,
    /// The same, without the answer that it had to bring.
    AckIllegal,
    /// 64·T1 without ACK.
    NoAck,
    /// The application ends it.
    End,
    /// One of several early dialogs is to end, for this reason.
    EndFork(EndReason),
    /// BYE came.
    Bye,
    /// The session timer ran out (RFC 4028 §10).
    Expired,
    /// A request in the dialog was answered with 481: it is gone over there (RFC 3261 §12.2.1.2).
    Gone,
    /// A request in the dialog was answered with 408 or not at all; or nobody has answered the call for too long.
    Silent,
    /// A request in the dialog was answered with what ends the call, or the dialog as a whole (RFC 5057 §5.1), or is one that it
    /// cannot do without, and could not be sent: for this reason.
    Lost(EndReason),
    /// Another call has taken its place (RFC 3891).
    Replaced,
    /// BYE was answered, or never will be.
    ByeDone,
}

/// Why a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// We sent BYE.
    LocalBye,
    /// The peer sent BYE.
    RemoteBye,
    /// We gave up before there was an answer.
    LocalCancel,
    /// The caller gave up.
    RemoteCancel,
    /// We refused.
    Rejected,
    /// The peer refused: 4xx, 5xx or 6xx; or it has refused another request of the call in a way that ends that (405, 480, 501:
    /// RFC 5057 §5.1).
    Refused,
    /// The peer sent us elsewhere: 3xx.
    Redirected,
    /// No answer came in time: to the INVITE (Timer B, or [`crate::UserProfile::stale_call_time`]), or to another request
    /// of the call; or, of a call that we were to take, none was given in time, or PRACK never came.
    Timeout,
    /// The INVITE, or a PRACK for what it was answered with, could not be sent.
    Transport,
    /// Another fork of the same INVITE was answered first.
    OtherFork,
    /// Our 2xx was never acknowledged.
    NoAck,
    /// The session was not refreshed in time (RFC 4028).
    SessionExpired,
    /// The peer knows nothing of the dialog any more (481), or the dialog leads nowhere: a request in it, of the call or of
    /// another usage, was answered with 404, 410, 416, 482 to 485, 502 or 604 (RFC 5057 §5.1).
    Gone,
    /// Offer and answer did not fit each other (RFC 3264).
    IllegalNegotiation,
    /// The 2xx that answered our call does not say where the peer is: its Contact is missing, or that or Record-Route cannot be
    /// read (RFC 3261 §12.1.1).
    Malformed,
    /// A request with Replaces took its place (RFC 3891), answered or still ringing elsewhere.
    Replaced,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// Tell the application of a provisional response.
    TellProvisional,
    /// Tell it that the call is answered.
    TellConnected,
    /// Tell it that the ACK came.
    TellConfirmed,
    /// Tell it that the call has ended: nothing follows, and its handle leads nowhere.
    Tell(EndReason),
    /// Acknowledge the 2xx, the first or a repeated one.
    SendAck,
    /// End the dialog.
    SendBye,
    /// Give up the INVITE.
    SendCancel,
    /// Send the provisional response that was made.
    SendProvisional,
    /// Send the 2xx that was made, and repeat it.
    SendSuccess,
    /// Send the refusal that was made.
    SendFailure,
    /// Answer the INVITE with 487.
    Send487,
    /// Repeat nothing any more.
    StopRepeating,
    /// Forget it.
    Remove,
}

#[cfg(test)]
pub(crate) const STATES: [State; 20] = [
    Calling,
    Early,
    Cancelling(EndReason::LocalCancel),
    Cancelling(EndReason::Timeout),
    Cancelling(EndReason::Replaced),
    Cancelling(EndReason::Transport),
    Answering,
    Received,
    Ringing,
    Accepted,
    HangingUp(EndReason::LocalBye),
    HangingUp(EndReason::SessionExpired),
    HangingUp(EndReason::Timeout),
    HangingUp(EndReason::Replaced),
    HangingUp(EndReason::Gone),
    HangingUp(EndReason::Refused),
    HangingUp(EndReason::Transport),
    Connected,
    Ending,
    Terminated,
];

#[cfg(test)]
pub(crate) const EVENTS: [Event; 35] = [
    E::Provisional,
    E::Success,
    E::SuccessOffer,
    E::SuccessIllegal,
    E::SuccessMalformed,
    E::Refused,
    E::Redirected,
    E::TimedOut,
    E::Unreachable,
    E::Cancelled,
    E::Overtaken,
    E::Answer,
    E::Ring,
    E::Accept,
    E::Reject,
    E::Cancel,
    E::Ack,
    E::AckIllegal,
    E::NoAck,
    E::End,
    E::EndFork(EndReason::LocalBye),
    E::EndFork(EndReason::Timeout),
    E::EndFork(EndReason::Replaced),
    E::EndFork(EndReason::Gone),
    E::EndFork(EndReason::Refused),
    E::EndFork(EndReason::Transport),
    E::Bye,
    E::Expired,
    E::Gone,
    E::Silent,
    E::Lost(EndReason::Gone),
    E::Lost(EndReason::Refused),
    E::Lost(EndReason::Transport),
    E::Replaced,
    E::ByeDone,
];

/// One step.
pub(crate) const fn step(state: State, event: Event) -> (State, &'static [Action]) {
    use EndReason as R;
    match (state, event) {
        (Calling | Early, E::Provisional) => (Early, &[A::TellProvisional]),
        (Calling | Early, E::Success) => (Connected, &[A::SendAck, A::TellConnected]),
        (Calling | Early, E::SuccessOffer) => (Answering, &[A::TellConnected]),
        (Calling | Early | Answering, E::SuccessIllegal) => {
            (Ending, &[A::SendAck, A::SendBye, A::Tell(R::IllegalNegotiation)])
        }
        (Calling | Early, E::SuccessMalformed) => (Ending, &[A::SendAck, A::SendBye, A::Tell(R::Malformed)]),
        (Calling | Early, E::Refused) => (Terminated, &[A::Tell(R::Refused), A::Remove]),
        (Calling | Early, E::Redirected) => (Terminated, &[A::Tell(R::Redirected), A::Remove]),
        (Calling | Early, E::TimedOut) => (Terminated, &[A::Tell(R::Timeout), A::Remove]),
        (Calling | Early, E::Unreachable) => (Terminated, &[A::Tell(R::Transport), A::Remove]),
        (Calling | Early, E::Cancelled) => (Terminated, cancelled(R::LocalCancel)),
        (Calling | Early, E::Overtaken) => (Terminated, &[A::Tell(R::OtherFork), A::Remove]),
        (Calling | Early, E::End) => (Cancelling(R::LocalCancel), &[A::SendCancel]),
        (Calling | Early, E::Silent) => (Cancelling(R::Timeout), &[A::SendCancel]),
        (Early, E::Lost(EndReason::Transport)) => (Cancelling(R::Transport), &[A::SendCancel]),
        // RFC 3891 §3: it was ringing elsewhere.
        (Early, E::Replaced) => (Cancelling(R::Replaced), &[A::SendCancel]),
        // RFC 3261 §15: a caller may end one early dialog alone.
        (Early, E::EndFork(why)) => (Ending, bye(why)),
        (Early, E::Bye) => (Terminated, &[A::Tell(R::RemoteBye), A::Remove]),
        // §9.1: the 2xx crossed the CANCEL.
        (Cancelling(why), E::Success | E::SuccessOffer | E::SuccessIllegal | E::SuccessMalformed) => {
            (Ending, crossed(why))
        }
        (Cancelling(why), E::Refused | E::Redirected | E::TimedOut | E::Unreachable | E::Cancelled | E::Overtaken) => {
            (Terminated, cancelled(why))
        }
        (Answering, E::Answer) => (Connected, &[A::SendAck]),
        (Answering, E::End) => (Ending, &[A::SendAck, A::SendBye, A::Tell(R::LocalBye)]),
        (Answering, E::Expired) => (Ending, crossed(R::SessionExpired)),
        (Answering, E::Silent) => (Ending, crossed(R::Timeout)),
        (Answering, E::Replaced) => (Ending, crossed(R::Replaced)),
        (Answering, E::Lost(why)) => (Ending, crossed(why)),
        (Answering, E::Gone) => (Terminated, &[A::SendAck, A::Tell(R::Gone), A::Remove]),
        (Answering, E::Bye) => (Terminated, &[A::SendAck, A::Tell(R::RemoteBye), A::Remove]),

        (Received | Ringing, E::Ring) => (Ringing, &[A::SendProvisional]),
        (Received | Ringing, E::Accept) => (Accepted, &[A::SendSuccess, A::TellConnected]),
        (Received | Ringing, E::Reject | E::End) => {
            (Terminated, &[A::StopRepeating, A::SendFailure, A::Tell(R::Rejected), A::Remove])
        }
        (Received | Ringing, E::Cancel) => {
            (Terminated, &[A::StopRepeating, A::Send487, A::Tell(R::RemoteCancel), A::Remove])
        }
        (Received | Ringing, E::Silent) => {
            (Terminated, &[A::StopRepeating, A::SendFailure, A::Tell(R::Timeout), A::Remove])
        }
        (Ringing, E::Lost(why)) => (Terminated, pending(why)),
        (Ringing, E::Gone) => (Terminated, pending(R::Gone)),
        // §15.1.2: what is pending is answered 487.
        (Ringing, E::Bye) => (Terminated, &[A::StopRepeating, A::Send487, A::Tell(R::RemoteBye), A::Remove]),
        (Accepted, E::Ack) => (Connected, &[A::StopRepeating, A::TellConfirmed]),
        (Accepted, E::AckIllegal) => (Ending, &[A::StopRepeating, A::SendBye, A::Tell(R::IllegalNegotiation)]),
        // §13.3.1.4: the session is over, BYE says so.
        (Accepted, E::NoAck) => (Ending, &[A::StopRepeating, A::SendBye, A::Tell(R::NoAck)]),
        // §15: whatever the reason, no BYE before the ACK.
        (Accepted, E::End) => (HangingUp(R::LocalBye), &[]),
        (Accepted, E::Expired) => (HangingUp(R::SessionExpired), &[]),
        (Accepted, E::Silent) => (HangingUp(R::Timeout), &[]),
        (Accepted, E::Lost(why)) => (HangingUp(why), &[]),
        (Accepted, E::Replaced) => (HangingUp(R::Replaced), &[]),
        (HangingUp(why), E::Ack | E::AckIllegal | E::NoAck) => (Ending, bye(why)),
        (Accepted | HangingUp(_), E::Bye) => (Terminated, &[A::StopRepeating, A::Tell(R::RemoteBye), A::Remove]),

        // §13.2.2.4: every 2xx is acknowledged.
        (Connected | Ending, E::Success | E::SuccessOffer | E::SuccessIllegal) => (state, &[A::SendAck]),
        (Connected, E::End) => (Ending, &[A::SendBye, A::Tell(R::LocalBye)]),
        (Connected, E::NoAck) => (Ending, &[A::StopRepeating, A::SendBye, A::Tell(R::NoAck)]),
        (Connected, E::AckIllegal) => (Ending, &[A::StopRepeating, A::SendBye, A::Tell(R::IllegalNegotiation)]),
        (Connected, E::Bye) => (Terminated, &[A::StopRepeating, A::Tell(R::RemoteBye), A::Remove]),
        (Connected, E::Expired) => (Ending, bye(R::SessionExpired)),
        (Connected, E::Silent) => (Ending, bye(R::Timeout)),
        (Connected, E::Replaced) => (Ending, bye(R::Replaced)),
        // RFC 3261 §12.2.1.2: the end of such a dialog is a BYE, should it arrive all the same.
        (Connected, E::Lost(why)) => (Ending, bye(why)),
        // Not before the ACK: who lacks the 2xx does not know its dialog, and our 2xx is on its way once more.
        (Early | Connected, E::Gone) => (Terminated, &[A::StopRepeating, A::Tell(R::Gone), A::Remove]),
        (Ending, E::ByeDone) => (Terminated, &[A::Remove]),
        (same, _) => (same, &[]),
    }
}

/// The end of a call that we have not answered, by what became of a request of ours.
const fn pending(why: EndReason) -> &'static [Action] {
    use EndReason as R;
    match why {
        R::Refused => &[A::StopRepeating, A::Send487, A::Tell(R::Refused), A::Remove],
        R::Transport => &[A::StopRepeating, A::Send487, A::Tell(R::Transport), A::Remove],
        _ => &[A::StopRepeating, A::Send487, A::Tell(R::Gone), A::Remove],
    }
}

/// The end of a call that was given up before it was answered.
const fn cancelled(why: EndReason) -> &'static [Action] {
    use EndReason as R;
    match why {
        R::Timeout => &[A::Tell(R::Timeout), A::Remove],
        R::Replaced => &[A::Tell(R::Replaced), A::Remove],
        R::Transport => &[A::Tell(R::Transport), A::Remove],
        _ => &[A::Tell(R::LocalCancel), A::Remove],
    }
}

/// The same, where a 2xx has crossed the CANCEL, or waits for its ACK.
const fn crossed(why: EndReason) -> &'static [Action] {
    use EndReason as R;
    match why {
        R::Timeout => &[A::SendAck, A::SendBye, A::Tell(R::Timeout)],
        R::Replaced => &[A::SendAck, A::SendBye, A::Tell(R::Replaced)],
        R::SessionExpired => &[A::SendAck, A::SendBye, A::Tell(R::SessionExpired)],
        R::Gone => &[A::SendAck, A::SendBye, A::Tell(R::Gone)],
        R::Refused => &[A::SendAck, A::SendBye, A::Tell(R::Refused)],
        R::Transport => &[A::SendAck, A::SendBye, A::Tell(R::Transport)],
        _ => &[A::SendAck, A::SendBye, A::Tell(R::LocalCancel)],
    }
}

/// The end by BYE, of a call that was answered or of one early dialog.
const fn bye(why: EndReason) -> &'static [Action] {
    use EndReason as R;
    match why {
        R::SessionExpired => &[A::StopRepeating, A::SendBye, A::Tell(R::SessionExpired)],
        R::Timeout => &[A::StopRepeating, A::SendBye, A::Tell(R::Timeout)],
        R::Replaced => &[A::StopRepeating, A::SendBye, A::Tell(R::Replaced)],
        R::Gone => &[A::StopRepeating, A::SendBye, A::Tell(R::Gone)],
        R::Refused => &[A::StopRepeating, A::SendBye, A::Tell(R::Refused)],
        R::Transport => &[A::StopRepeating, A::SendBye, A::Tell(R::Transport)],
        _ => &[A::StopRepeating, A::SendBye, A::Tell(R::LocalBye)],
    }
}
