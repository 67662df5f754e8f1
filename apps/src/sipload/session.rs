//! A session as the caller has it: a call, or one request. A pure machine.

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The first request has gone out.
    Calling,
    /// A provisional response other than 100 has come.
    Ringing,
    /// It is answered.
    Talking,
    /// BYE has gone out.
    Ending,
    /// It is to end before it is answered: CANCEL.
    Cancelling,
    /// It is over.
    Over,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A response to the INVITE from 101 to 199.
    Provisional,
    /// 2xx to the INVITE.
    Success,
    /// 2xx to the first request of a session that is no call.
    Done,
    /// A challenge to the first request that can be answered.
    Challenge,
    /// Another final response to the first request, or none.
    Failure,
    /// A challenge to the BYE that can be answered.
    ByeChallenge,
    /// 2xx to the BYE.
    ByeSuccess,
    /// Another final response to the BYE, or none.
    ByeFailure,
    /// BYE of the peer.
    PeerBye,
    /// It has lasted long enough.
    HoldOver,
    /// The run is to end.
    Stop,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Note the time to the first provisional response.
    NoteRinging,
    /// Note the time to the answer.
    NoteAnswer,
    /// Send the first request again, with credentials.
    Authorize,
    /// Send ACK.
    Ack,
    /// Wait until the call has lasted long enough.
    Hold,
    /// Send BYE.
    Bye,
    /// Send BYE again, with credentials.
    AuthorizeBye,
    /// Send CANCEL.
    Cancel,
    /// Note the time that the BYE took.
    NoteBye,
    /// The call did all that it should.
    Succeeded,
    /// It did not: count why.
    Failed,
    /// The end of the run ended it.
    Stopped,
    /// The peer ended it before its time.
    HungUp,
}

/// What an event does (RFC 3261 §13.2.2, §15; a 2xx that comes again is acknowledged again, §13.2.2.4).
pub(super) const fn step(state: State, event: Event) -> (State, &'static [Action]) {
    use Action::{
        Ack, Authorize, AuthorizeBye, Bye, Cancel, Failed, Hold, HungUp, NoteAnswer, NoteBye, NoteRinging, Stopped,
        Succeeded,
    };
    use Event as E;
    use State::{Calling, Cancelling, Ending, Over, Ringing, Talking};
    match (state, event) {
        (Calling, E::Provisional) => (Ringing, &[NoteRinging]),
        (Calling | Ringing, E::Success) => (Talking, &[NoteAnswer, Ack, Hold]),
        (Calling | Ringing, E::Done) => (Over, &[NoteAnswer, Succeeded]),
        (Calling | Ringing, E::Challenge) => (Calling, &[Authorize]),
        (Calling | Ringing, E::Failure) => (Over, &[Failed]),
        (Calling | Ringing, E::Stop) => (Cancelling, &[Cancel]),
        (Talking, E::HoldOver | E::Stop) => (Ending, &[Bye]),
        (Talking | Ending, E::Success) => (state, &[Ack]),
        (Ending, E::ByeChallenge) => (Ending, &[AuthorizeBye]),
        (Ending, E::ByeSuccess) => (Over, &[NoteBye, Succeeded]),
        (Ending, E::ByeFailure) => (Over, &[Failed]),
        (Talking, E::PeerBye) => (Over, &[HungUp]),
        // The two BYEs have crossed: what the peer says to ours does not matter.
        (Ending, E::PeerBye) => (Over, &[Succeeded]),
        // The answer was faster than the CANCEL (RFC 3261 §9.1).
        (Cancelling, E::Success) => (Ending, &[Ack, Bye]),
        (Cancelling, E::Failure) => (Over, &[Stopped]),
        (same, _) => (same, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(events: &[Event]) -> (State, Vec<Action>) {
        let mut done = Vec::new();
        let state = events.iter().fold(State::Calling, |state, event| {
            let (state, actions) = step(state, *event);
            done.extend_from_slice(actions);
            state
        });
        (state, done)
    }

    #[test]
    fn a_call_goes_its_way() {
        use Action::*;
        let (state, done) = run(&[Event::Provisional, Event::Provisional, Event::Success, Event::HoldOver]);
        assert_eq!((state, &done[..]), (State::Ending, &[NoteRinging, NoteAnswer, Ack, Hold, Bye][..]));
        assert_eq!(step(state, Event::ByeSuccess), (State::Over, &[NoteBye, Succeeded][..]));
        assert_eq!(step(state, Event::ByeFailure), (State::Over, &[Failed][..]));
        assert_eq!(step(state, Event::ByeChallenge), (State::Ending, &[AuthorizeBye][..]));
    }

    #[test]
    fn a_peer_may_hang_up() {
        let (state, done) = run(&[Event::Success, Event::PeerBye, Event::HoldOver, Event::ByeFailure]);
        assert_eq!((state, done.last()), (State::Over, Some(&Action::HungUp)));
        let (state, done) = run(&[Event::Success, Event::HoldOver, Event::PeerBye, Event::ByeFailure]);
        assert_eq!((state, done.last()), (State::Over, Some(&Action::Succeeded)));
    }

    #[test]
    fn an_answer_that_comes_again_is_acknowledged_again() {
        let (state, done) = run(&[Event::Success, Event::Success, Event::HoldOver, Event::Success]);
        assert_eq!(state, State::Ending);
        assert_eq!(done.iter().filter(|action| **action == Action::Ack).count(), 3);
        assert_eq!(done.iter().filter(|action| **action == Action::NoteAnswer).count(), 1);
    }

    #[test]
    fn the_end_of_the_run_ends_every_call() {
        for before in [&[][..], &[Event::Provisional]] {
            let (state, done) = run(&[before, &[Event::Stop]].concat());
            assert_eq!((state, done.last()), (State::Cancelling, Some(&Action::Cancel)));
            assert_eq!(step(state, Event::Failure), (State::Over, &[Action::Stopped][..]));
            assert_eq!(step(state, Event::Success), (State::Ending, &[Action::Ack, Action::Bye][..]));
        }
        assert_eq!(step(State::Talking, Event::Stop), (State::Ending, &[Action::Bye][..]));
        assert_eq!(step(State::Ending, Event::Stop), (State::Ending, &[][..]));
    }

    #[test]
    fn a_request_is_done_with_its_answer() {
        let (state, done) = run(&[Event::Challenge, Event::Done, Event::Done, Event::Failure]);
        assert_eq!((state, done), (State::Over, vec![Action::Authorize, Action::NoteAnswer, Action::Succeeded]));
    }

    #[test]
    fn a_call_fails_once() {
        let (state, done) = run(&[Event::Failure, Event::Failure, Event::Stop, Event::Success]);
        assert_eq!((state, done), (State::Over, vec![Action::Failed]));
    }
}
