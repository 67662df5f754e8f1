//! The machines as tables, to be read against their figures. A pair of state and event that changes nothing, and asks for
//! nothing, has no line; the first line counts them.
//!
//! `cargo test -p dum tables -- --nocapture` prints what the machines do.

use super::{machine, modify, offer_answer, reliable};
use std::fmt::{Debug, Write};

fn print<S: Copy + PartialEq + Debug, E: Copy + Debug, A: Debug>(
    states: &[S],
    events: &[E],
    step: impl Fn(S, E) -> (S, A),
    idle: impl Fn(&A) -> bool,
) -> String {
    let (mut table, mut silent) = (String::new(), 0);
    for state in states {
        let _ = writeln!(table, "{state:?}");
        for event in events {
            let (next, actions) = step(*state, *event);
            assert!(states.contains(&next), "{next:?} is not among the states of the table");
            if next == *state && idle(&actions) {
                silent += 1;
                continue;
            }
            let actions = format!("{actions:?}");
            let line = format!(
                "  {:14} {:14} {}",
                format!("{event:?}"),
                format!("{next:?}"),
                actions.trim_matches(['[', ']'])
            );
            let _ = writeln!(table, "{}", line.trim_end());
        }
    }
    format!("{silent} pairs change nothing\n{table}")
}

fn compare(name: &str, printed: &str, expected: &str) {
    println!("{name}\n{printed}");
    let difference = printed.lines().zip(expected.lines()).find(|(is, should)| is != should);
    if let Some((is, should)) = difference {
        panic!("{name}: the machine says\n{is}\nwhere the table says\n{should}\nThe machine as a whole:\n{printed}");
    }
    assert_eq!(printed.lines().count(), expected.lines().count(), "{name}: the table has other pairs:\n{printed}");
}

#[test]
fn call() {
    let printed = print(&machine::STATES, &machine::EVENTS, machine::step, |actions| actions.is_empty());
    compare("call", &printed, CALL);
}

#[test]
fn change() {
    let printed = print(&modify::STATES, &modify::EVENTS, modify::step, |actions| actions.is_empty());
    compare("change", &printed, CHANGE);
}

#[test]
fn offers_and_answers() {
    let (states, events) = (offer_answer::STATES, offer_answer::EVENTS);
    let printed = print(&states, &events, offer_answer::step, |effect| *effect == offer_answer::Effect::Illegal);
    compare("offers and answers", &printed, OFFER_ANSWER);
}

#[test]
fn reliable_provisional() {
    let printed = print(&reliable::STATES, &reliable::EVENTS, reliable::step, |actions| actions.is_empty());
    compare("reliable", &printed, RELIABLE);
}

const CALL: &str = "\
259 pairs change nothing
Calling
  Provisional    Early          TellProvisional
  Success        Connected      SendAck, TellConnected
  SuccessOffer   Answering      TellConnected
  SuccessIllegal Ending         SendAck, SendBye, Tell(IllegalNegotiation)
  Refused        Terminated     Tell(Refused), Remove
  Redirected     Terminated     Tell(Redirected), Remove
  TimedOut       Terminated     Tell(Timeout), Remove
  Unreachable    Terminated     Tell(Transport), Remove
  Overtaken      Terminated     Tell(OtherFork), Remove
  End            Cancelling     SendCancel
Early
  Provisional    Early          TellProvisional
  Success        Connected      SendAck, TellConnected
  SuccessOffer   Answering      TellConnected
  SuccessIllegal Ending         SendAck, SendBye, Tell(IllegalNegotiation)
  Refused        Terminated     Tell(Refused), Remove
  Redirected     Terminated     Tell(Redirected), Remove
  TimedOut       Terminated     Tell(Timeout), Remove
  Unreachable    Terminated     Tell(Transport), Remove
  Overtaken      Terminated     Tell(OtherFork), Remove
  End            Cancelling     SendCancel
  EndFork        Ending         SendBye, Tell(LocalBye)
  Bye            Terminated     Tell(RemoteBye), Remove
  Gone           Terminated     StopRepeating, Tell(Gone), Remove
  Replaced       Cancelling     SendCancel
Cancelling
  Success        Ending         SendAck, SendBye, Tell(LocalCancel)
  SuccessOffer   Ending         SendAck, SendBye, Tell(LocalCancel)
  SuccessIllegal Ending         SendAck, SendBye, Tell(LocalCancel)
  Refused        Terminated     Tell(LocalCancel), Remove
  Redirected     Terminated     Tell(LocalCancel), Remove
  TimedOut       Terminated     Tell(LocalCancel), Remove
  Unreachable    Terminated     Tell(LocalCancel), Remove
  Overtaken      Terminated     Tell(LocalCancel), Remove
Answering
  SuccessIllegal Ending         SendAck, SendBye, Tell(IllegalNegotiation)
  Answer         Connected      SendAck
  End            Ending         SendAck, SendBye, Tell(LocalBye)
  Bye            Terminated     SendAck, Tell(RemoteBye), Remove
Received
  Ring           Ringing        SendProvisional
  Accept         Accepted       SendSuccess, TellConnected
  Reject         Terminated     StopRepeating, SendFailure, Tell(Rejected), Remove
  Cancel         Terminated     StopRepeating, Send487, Tell(RemoteCancel), Remove
  End            Terminated     StopRepeating, SendFailure, Tell(Rejected), Remove
Ringing
  Ring           Ringing        SendProvisional
  Accept         Accepted       SendSuccess, TellConnected
  Reject         Terminated     StopRepeating, SendFailure, Tell(Rejected), Remove
  Cancel         Terminated     StopRepeating, Send487, Tell(RemoteCancel), Remove
  End            Terminated     StopRepeating, SendFailure, Tell(Rejected), Remove
  Bye            Terminated     StopRepeating, Send487, Tell(RemoteBye), Remove
Accepted
  Ack            Connected      StopRepeating, TellConfirmed
  AckIllegal     Ending         StopRepeating, SendBye, Tell(IllegalNegotiation)
  NoAck          Ending         StopRepeating, SendBye, Tell(NoAck)
  End            HangingUp(LocalBye)
  Bye            Terminated     StopRepeating, Tell(RemoteBye), Remove
  Expired        HangingUp(SessionExpired)
  Gone           Terminated     StopRepeating, Tell(Gone), Remove
  Silent         HangingUp(Timeout)
  Replaced       HangingUp(Replaced)
HangingUp(LocalBye)
  Ack            Ending         StopRepeating, SendBye, Tell(LocalBye)
  AckIllegal     Ending         StopRepeating, SendBye, Tell(LocalBye)
  NoAck          Ending         StopRepeating, SendBye, Tell(LocalBye)
  Bye            Terminated     StopRepeating, Tell(RemoteBye), Remove
  Gone           Terminated     StopRepeating, Tell(Gone), Remove
HangingUp(SessionExpired)
  Ack            Ending         StopRepeating, SendBye, Tell(SessionExpired)
  AckIllegal     Ending         StopRepeating, SendBye, Tell(SessionExpired)
  NoAck          Ending         StopRepeating, SendBye, Tell(SessionExpired)
  Bye            Terminated     StopRepeating, Tell(RemoteBye), Remove
  Gone           Terminated     StopRepeating, Tell(Gone), Remove
HangingUp(Timeout)
  Ack            Ending         StopRepeating, SendBye, Tell(Timeout)
  AckIllegal     Ending         StopRepeating, SendBye, Tell(Timeout)
  NoAck          Ending         StopRepeating, SendBye, Tell(Timeout)
  Bye            Terminated     StopRepeating, Tell(RemoteBye), Remove
  Gone           Terminated     StopRepeating, Tell(Gone), Remove
HangingUp(Replaced)
  Ack            Ending         StopRepeating, SendBye, Tell(Replaced)
  AckIllegal     Ending         StopRepeating, SendBye, Tell(Replaced)
  NoAck          Ending         StopRepeating, SendBye, Tell(Replaced)
  Bye            Terminated     StopRepeating, Tell(RemoteBye), Remove
  Gone           Terminated     StopRepeating, Tell(Gone), Remove
Connected
  Success        Connected      SendAck
  SuccessOffer   Connected      SendAck
  SuccessIllegal Connected      SendAck
  AckIllegal     Ending         StopRepeating, SendBye, Tell(IllegalNegotiation)
  NoAck          Ending         StopRepeating, SendBye, Tell(NoAck)
  End            Ending         SendBye, Tell(LocalBye)
  Bye            Terminated     StopRepeating, Tell(RemoteBye), Remove
  Expired        Ending         StopRepeating, SendBye, Tell(SessionExpired)
  Gone           Terminated     StopRepeating, Tell(Gone), Remove
  Silent         Ending         StopRepeating, SendBye, Tell(Timeout)
  Replaced       Ending         StopRepeating, SendBye, Tell(Replaced)
Ending
  Success        Ending         SendAck
  SuccessOffer   Ending         SendAck
  SuccessIllegal Ending         SendAck
  ByeDone        Terminated     Remove
Terminated
";
const CHANGE: &str = "\
38 pairs change nothing
Idle
  SendInvite     SentInvite     SendInvite
  SendUpdate     SentUpdate     SendUpdate
  GotInvite      ReceivedInvite TellOffer
  GotUpdate      ReceivedUpdate TellOffer
  Answer         Idle           Busy
  Decline        Idle           Busy
  Again          SentInvite     SendInvite
SentInvite
  SendInvite     SentInvite     Busy
  SendUpdate     SentInvite     Busy
  Success        Idle           SendAck
  SuccessOffer   Answering      TellOffer
  Pending        Idle           RollBack, ArmGlare
  Refused        Idle           RollBack, TellRefused
  GotInvite      SentInvite     Refuse491
  GotUpdate      SentInvite     Refuse491
  Answer         SentInvite     Busy
  Decline        SentInvite     Busy
  Again          SentInvite     ArmGlare
Answering
  SendInvite     Answering      Busy
  SendUpdate     Answering      Busy
  GotInvite      Answering      Refuse491
  GotUpdate      Answering      Refuse491
  Answer         Idle           SendAck
  Decline        Answering      Busy
  Again          Answering      ArmGlare
SentUpdate
  SendInvite     SentUpdate     Busy
  SendUpdate     SentUpdate     Busy
  Success        Idle
  SuccessOffer   Idle
  Pending        Idle           RollBack, ArmGlare
  Refused        Idle           RollBack, TellRefused
  GotInvite      SentUpdate     Refuse491
  GotUpdate      SentUpdate     Refuse491
  Answer         SentUpdate     Busy
  Decline        SentUpdate     Busy
  Again          SentUpdate     ArmGlare
ReceivedInvite
  SendInvite     ReceivedInvite Busy
  SendUpdate     ReceivedInvite Busy
  GotInvite      ReceivedInvite Refuse500
  GotUpdate      ReceivedInvite Refuse500
  Answer         Unacknowledged SendSuccess
  Decline        Idle           RollBack, SendFailure
  Cancel         Idle           RollBack, Send487
  Again          ReceivedInvite ArmGlare
Unacknowledged
  SendInvite     Unacknowledged Busy
  SendUpdate     Unacknowledged Busy
  GotInvite      Unacknowledged Refuse491
  GotUpdate      Unacknowledged Refuse491
  Answer         Unacknowledged Busy
  Decline        Unacknowledged Busy
  Ack            Idle           StopRepeating
  NoAck          Idle           StopRepeating
  Again          Unacknowledged ArmGlare
ReceivedUpdate
  SendInvite     ReceivedUpdate Busy
  SendUpdate     ReceivedUpdate Busy
  GotInvite      ReceivedUpdate Refuse500
  GotUpdate      ReceivedUpdate Refuse500
  Answer         Idle           SendSuccess
  Decline        Idle           RollBack, SendFailure
  Again          ReceivedUpdate ArmGlare
";
const OFFER_ANSWER: &str = "\
9 pairs change nothing
Stable
  SendOffer      OfferSent      Propose
  ReceiveOffer   OfferReceived  Propose
OfferSent
  ReceiveAnswer  Stable         Agree
  Refused        Stable         RollBack
OfferReceived
  SendAnswer     Stable         Agree
  Refused        Stable         RollBack
";

const RELIABLE: &str = "\
2 pairs change nothing
Idle
  Ring           Waiting        Send
  Accept         Idle           Accept
Waiting
  Ring           Waiting        Queue
  Prack          Idle           StopRepeating, Next
  Accept         Holding
  NoPrack        Idle           StopRepeating, Refuse
Holding
  Ring           Holding        Busy
  Prack          Idle           StopRepeating, Accept
  Accept         Holding        Busy
  NoPrack        Idle           StopRepeating, Refuse
";
