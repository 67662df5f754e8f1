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
539 pairs change nothing
Calling
  Provisional    Early          TellProvisional
  Success        Connected      SendAck, TellConnected
  SuccessOffer   Answering      TellConnected
  SuccessIllegal Ending         SendAck, SendBye, Tell(IllegalNegotiation)
  SuccessMalformed Ending         SendAck, SendBye, Tell(Malformed)
  Refused        Terminated     Tell(Refused), Remove
  Redirected     Terminated     Tell(Redirected), Remove
  TimedOut       Terminated     Tell(Timeout), Remove
  Unreachable    Terminated     Tell(Transport), Remove
  Cancelled      Terminated     Tell(LocalCancel), Remove
  Overtaken      Terminated     Tell(OtherFork), Remove
  End            Cancelling(LocalCancel) SendCancel
  Silent         Cancelling(Timeout) SendCancel
Early
  Provisional    Early          TellProvisional
  Success        Connected      SendAck, TellConnected
  SuccessOffer   Answering      TellConnected
  SuccessIllegal Ending         SendAck, SendBye, Tell(IllegalNegotiation)
  SuccessMalformed Ending         SendAck, SendBye, Tell(Malformed)
  Refused        Terminated     Tell(Refused), Remove
  Redirected     Terminated     Tell(Redirected), Remove
  TimedOut       Terminated     Tell(Timeout), Remove
  Unreachable    Terminated     Tell(Transport), Remove
  Cancelled      Terminated     Tell(LocalCancel), Remove
  Overtaken      Terminated     Tell(OtherFork), Remove
  End            Cancelling(LocalCancel) SendCancel
  EndFork(LocalBye) Ending         StopRepeating, SendBye, Tell(LocalBye)
  EndFork(Timeout) Ending         StopRepeating, SendBye, Tell(Timeout)
  EndFork(Replaced) Ending         StopRepeating, SendBye, Tell(Replaced)
  EndFork(Gone)  Ending         StopRepeating, SendBye, Tell(Gone)
  EndFork(Refused) Ending         StopRepeating, SendBye, Tell(Refused)
  EndFork(Transport) Ending         StopRepeating, SendBye, Tell(Transport)
  Bye            Terminated     Tell(RemoteBye), Remove
  Gone           Terminated     StopRepeating, Tell(Gone), Remove
  Silent         Cancelling(Timeout) SendCancel
  Lost(Transport) Cancelling(Transport) SendCancel
  Replaced       Cancelling(Replaced) SendCancel
Cancelling(LocalCancel)
  Success        Ending         SendAck, SendBye, Tell(LocalCancel)
  SuccessOffer   Ending         SendAck, SendBye, Tell(LocalCancel)
  SuccessIllegal Ending         SendAck, SendBye, Tell(LocalCancel)
  SuccessMalformed Ending         SendAck, SendBye, Tell(LocalCancel)
  Refused        Terminated     Tell(LocalCancel), Remove
  Redirected     Terminated     Tell(LocalCancel), Remove
  TimedOut       Terminated     Tell(LocalCancel), Remove
  Unreachable    Terminated     Tell(LocalCancel), Remove
  Cancelled      Terminated     Tell(LocalCancel), Remove
  Overtaken      Terminated     Tell(LocalCancel), Remove
Cancelling(Timeout)
  Success        Ending         SendAck, SendBye, Tell(Timeout)
  SuccessOffer   Ending         SendAck, SendBye, Tell(Timeout)
  SuccessIllegal Ending         SendAck, SendBye, Tell(Timeout)
  SuccessMalformed Ending         SendAck, SendBye, Tell(Timeout)
  Refused        Terminated     Tell(Timeout), Remove
  Redirected     Terminated     Tell(Timeout), Remove
  TimedOut       Terminated     Tell(Timeout), Remove
  Unreachable    Terminated     Tell(Timeout), Remove
  Cancelled      Terminated     Tell(Timeout), Remove
  Overtaken      Terminated     Tell(Timeout), Remove
Cancelling(Replaced)
  Success        Ending         SendAck, SendBye, Tell(Replaced)
  SuccessOffer   Ending         SendAck, SendBye, Tell(Replaced)
  SuccessIllegal Ending         SendAck, SendBye, Tell(Replaced)
  SuccessMalformed Ending         SendAck, SendBye, Tell(Replaced)
  Refused        Terminated     Tell(Replaced), Remove
  Redirected     Terminated     Tell(Replaced), Remove
  TimedOut       Terminated     Tell(Replaced), Remove
  Unreachable    Terminated     Tell(Replaced), Remove
  Cancelled      Terminated     Tell(Replaced), Remove
  Overtaken      Terminated     Tell(Replaced), Remove
Cancelling(Transport)
  Success        Ending         SendAck, SendBye, Tell(Transport)
  SuccessOffer   Ending         SendAck, SendBye, Tell(Transport)
  SuccessIllegal Ending         SendAck, SendBye, Tell(Transport)
  SuccessMalformed Ending         SendAck, SendBye, Tell(Transport)
  Refused        Terminated     Tell(Transport), Remove
  Redirected     Terminated     Tell(Transport), Remove
  TimedOut       Terminated     Tell(Transport), Remove
  Unreachable    Terminated     Tell(Transport), Remove
  Cancelled      Terminated     Tell(Transport), Remove
  Overtaken      Terminated     Tell(Transport), Remove
Answering
  SuccessIllegal Ending         SendAck, SendBye, Tell(IllegalNegotiation)
  Answer         Connected      SendAck
  End            Ending         SendAck, SendBye, Tell(LocalBye)
  Bye            Terminated     SendAck, Tell(RemoteBye), Remove
  Expired        Ending         SendAck, SendBye, Tell(SessionExpired)
  Gone           Terminated     SendAck, Tell(Gone), Remove
  Silent         Ending         SendAck, SendBye, Tell(Timeout)
  Lost(Gone)     Ending         SendAck, SendBye, Tell(Gone)
  Lost(Refused)  Ending         SendAck, SendBye, Tell(Refused)
  Lost(Transport) Ending         SendAck, SendBye, Tell(Transport)
  Replaced       Ending         SendAck, SendBye, Tell(Replaced)
Received
  Ring           Ringing        SendProvisional
  Accept         Accepted       SendSuccess, TellConnected
  Reject         Terminated     StopRepeating, SendFailure, Tell(Rejected), Remove
  Cancel         Terminated     StopRepeating, Send487, Tell(RemoteCancel), Remove
  End            Terminated     StopRepeating, SendFailure, Tell(Rejected), Remove
  Silent         Terminated     StopRepeating, SendFailure, Tell(Timeout), Remove
Ringing
  Ring           Ringing        SendProvisional
  Accept         Accepted       SendSuccess, TellConnected
  Reject         Terminated     StopRepeating, SendFailure, Tell(Rejected), Remove
  Cancel         Terminated     StopRepeating, Send487, Tell(RemoteCancel), Remove
  End            Terminated     StopRepeating, SendFailure, Tell(Rejected), Remove
  Bye            Terminated     StopRepeating, Send487, Tell(RemoteBye), Remove
  Gone           Terminated     StopRepeating, Send487, Tell(Gone), Remove
  Silent         Terminated     StopRepeating, SendFailure, Tell(Timeout), Remove
  Lost(Gone)     Terminated     StopRepeating, Send487, Tell(Gone), Remove
  Lost(Refused)  Terminated     StopRepeating, Send487, Tell(Refused), Remove
  Lost(Transport) Terminated     StopRepeating, Send487, Tell(Transport), Remove
Accepted
  Ack            Connected      StopRepeating, TellConfirmed
  AckIllegal     Ending         StopRepeating, SendBye, Tell(IllegalNegotiation)
  NoAck          Ending         StopRepeating, SendBye, Tell(NoAck)
  End            HangingUp(LocalBye)
  Bye            Terminated     StopRepeating, Tell(RemoteBye), Remove
  Expired        HangingUp(SessionExpired)
  Silent         HangingUp(Timeout)
  Lost(Gone)     HangingUp(Gone)
  Lost(Refused)  HangingUp(Refused)
  Lost(Transport) HangingUp(Transport)
  Replaced       HangingUp(Replaced)
HangingUp(LocalBye)
  Ack            Ending         StopRepeating, SendBye, Tell(LocalBye)
  AckIllegal     Ending         StopRepeating, SendBye, Tell(LocalBye)
  NoAck          Ending         StopRepeating, SendBye, Tell(LocalBye)
  Bye            Terminated     StopRepeating, Tell(RemoteBye), Remove
HangingUp(SessionExpired)
  Ack            Ending         StopRepeating, SendBye, Tell(SessionExpired)
  AckIllegal     Ending         StopRepeating, SendBye, Tell(SessionExpired)
  NoAck          Ending         StopRepeating, SendBye, Tell(SessionExpired)
  Bye            Terminated     StopRepeating, Tell(RemoteBye), Remove
HangingUp(Timeout)
  Ack            Ending         StopRepeating, SendBye, Tell(Timeout)
  AckIllegal     Ending         StopRepeating, SendBye, Tell(Timeout)
  NoAck          Ending         StopRepeating, SendBye, Tell(Timeout)
  Bye            Terminated     StopRepeating, Tell(RemoteBye), Remove
HangingUp(Replaced)
  Ack            Ending         StopRepeating, SendBye, Tell(Replaced)
  AckIllegal     Ending         StopRepeating, SendBye, Tell(Replaced)
  NoAck          Ending         StopRepeating, SendBye, Tell(Replaced)
  Bye            Terminated     StopRepeating, Tell(RemoteBye), Remove
HangingUp(Gone)
  Ack            Ending         StopRepeating, SendBye, Tell(Gone)
  AckIllegal     Ending         StopRepeating, SendBye, Tell(Gone)
  NoAck          Ending         StopRepeating, SendBye, Tell(Gone)
  Bye            Terminated     StopRepeating, Tell(RemoteBye), Remove
HangingUp(Refused)
  Ack            Ending         StopRepeating, SendBye, Tell(Refused)
  AckIllegal     Ending         StopRepeating, SendBye, Tell(Refused)
  NoAck          Ending         StopRepeating, SendBye, Tell(Refused)
  Bye            Terminated     StopRepeating, Tell(RemoteBye), Remove
HangingUp(Transport)
  Ack            Ending         StopRepeating, SendBye, Tell(Transport)
  AckIllegal     Ending         StopRepeating, SendBye, Tell(Transport)
  NoAck          Ending         StopRepeating, SendBye, Tell(Transport)
  Bye            Terminated     StopRepeating, Tell(RemoteBye), Remove
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
  Lost(Gone)     Ending         StopRepeating, SendBye, Tell(Gone)
  Lost(Refused)  Ending         StopRepeating, SendBye, Tell(Refused)
  Lost(Transport) Ending         StopRepeating, SendBye, Tell(Transport)
  Replaced       Ending         StopRepeating, SendBye, Tell(Replaced)
Ending
  Success        Ending         SendAck
  SuccessOffer   Ending         SendAck
  SuccessIllegal Ending         SendAck
  ByeDone        Terminated     Remove
Terminated
";
const CHANGE: &str = "\
55 pairs change nothing
Idle
  SendInvite     SentInvite     SendInvite
  SendUpdate     SentUpdate     SendUpdate
  SendPrack      SentUpdate     SendPrack
  GotInvite      ReceivedInvite TellOffer
  GotUpdate      ReceivedUpdate TellOffer
  Answer         Idle           Busy
  Decline        Idle           Busy
SentInvite
  SendInvite     SentInvite     Busy
  SendUpdate     SentInvite     Busy
  SendPrack      SentInvite     Busy
  Success        Idle           SendAck
  SuccessOffer   Answering      TellOffer
  Pending        Idle           RollBack, ArmGlare
  TooBrief       SentInvite     SendInvite
  Refused        Idle           RollBack, TellRefused
  GotInvite      SentInvite     Refuse491
  GotUpdate      SentInvite     Refuse491
  GotUpdateWithin WithinInvite   TellOffer
  Answer         SentInvite     Busy
  Decline        SentInvite     Busy
Answering
  SendInvite     Answering      Busy
  SendUpdate     Answering      Busy
  SendPrack      Answering      Busy
  GotInvite      Answering      Refuse491
  GotUpdate      Answering      Refuse491
  Answer         Idle           SendAck
  Decline        Answering      Busy
SentUpdate
  SendInvite     SentUpdate     Busy
  SendUpdate     SentUpdate     Busy
  SendPrack      SentUpdate     Busy
  Success        Idle
  SuccessOffer   Idle
  Pending        Idle           RollBack, ArmGlare
  TooBrief       SentUpdate     SendUpdate
  Refused        Idle           RollBack, TellRefused
  GotInvite      SentUpdate     Refuse491
  GotUpdate      SentUpdate     Refuse491
  Answer         SentUpdate     Busy
  Decline        SentUpdate     Busy
WithinInvite
  SendInvite     WithinInvite   Busy
  SendUpdate     WithinInvite   Busy
  SendPrack      WithinInvite   Busy
  Success        ReceivedUpdate SendAck
  Refused        ReceivedUpdate TellRefused
  GotInvite      WithinInvite   Refuse491
  GotUpdate      WithinInvite   Refuse500
  GotUpdateWithin WithinInvite   Refuse500
  Answer         SentInvite     SendSuccess
  Decline        SentInvite     RollBack, SendFailure
ReceivedInvite
  SendInvite     ReceivedInvite Busy
  SendUpdate     ReceivedInvite Busy
  SendPrack      ReceivedInvite Busy
  GotInvite      ReceivedInvite Refuse500
  GotUpdate      ReceivedInvite Refuse500
  Answer         Unacknowledged SendSuccess
  Decline        Idle           RollBack, SendFailure
  Cancel         Idle           RollBack, Send487
Unacknowledged
  SendInvite     Unacknowledged Busy
  SendUpdate     Unacknowledged Busy
  SendPrack      Unacknowledged Busy
  GotInvite      Unacknowledged Refuse491
  GotUpdate      Unacknowledged Refuse491
  Answer         Unacknowledged Busy
  Decline        Unacknowledged Busy
  Ack            Idle           StopRepeating
  NoAck          Idle           StopRepeating
ReceivedUpdate
  SendInvite     ReceivedUpdate Busy
  SendUpdate     ReceivedUpdate Busy
  SendPrack      ReceivedUpdate Busy
  GotInvite      ReceivedUpdate Refuse500
  GotUpdate      ReceivedUpdate Refuse500
  Answer         Idle           SendSuccess
  Decline        Idle           RollBack, SendFailure
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
