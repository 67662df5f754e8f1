//! The four machines as tables, to be read against their figures: figure 6 and 8 of RFC 3261 (non-INVITE client and
//! server), figures 5 and 7 as RFC 6026 §8.4 and §8.5 amend them (INVITE client and server). Each table holds every
//! pair of state and event; a lone `-` means that the event changes nothing and nothing is done.
//!
//! `cargo test -p stack tables -- --nocapture` prints what the machines do.

use super::machine::Action;
use super::{client_invite, client_non_invite, server_invite, server_non_invite};
use std::fmt::{Debug, Write};

/// One line for each pair: state, event, next state, actions.
fn print<S: Copy + PartialEq + Debug, E: Copy + Debug>(
    states: &[S],
    events: &[E],
    start: &[Action],
    step: fn(S, E) -> (S, &'static [Action]),
) -> String {
    let mut table = format!("start: {}\n", list(start));
    for state in states {
        let _ = writeln!(table, "{state:?}");
        for event in events {
            let (next, actions) = step(*state, *event);
            assert!(states.contains(&next), "{next:?} is not among the states of the table");
            assert!(actions.iter().chain(start).all(|a| heard(a, events)), "no event for a timer of {actions:?}");
            let _ = match (next == *state, actions.is_empty()) {
                (true, true) => writeln!(table, "  {:16} -", text(event)),
                _ => writeln!(table, "  {:16} {:11} {}", text(event), text(&next), list(actions)),
            };
        }
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// A timer that is armed has its event in the table.
fn heard<E: Debug>(action: &Action, events: &[E]) -> bool {
    let Action::Arm(timer) = action else { return true };
    events.iter().any(|event| text(event) == format!("Timer({timer:?})"))
}

fn text(value: &impl Debug) -> String {
    format!("{value:?}")
}

fn list(actions: &[Action]) -> String {
    actions.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn compare(name: &str, printed: &str, expected: &str) {
    println!("{name}\n{printed}");
    let difference = printed.lines().zip(expected.lines()).find(|(is, should)| is != should);
    if let Some((is, should)) = difference {
        panic!("{name}: the machine says\n{is}\nwhere the table says\n{should}\nThe machine as a whole:\n{printed}");
    }
    assert_eq!(printed.lines().count(), expected.lines().count(), "{name}: the table has other pairs:\n{printed}");
}

macro_rules! machine_table {
    ($test:ident, $machine:ident, $expected:ident) => {
        #[test]
        fn $test() {
            let printed = print(&$machine::STATES, &$machine::EVENTS, $machine::START, $machine::step);
            compare(stringify!($machine), &printed, $expected);
        }
    };
}

machine_table!(invite_client, client_invite, INVITE_CLIENT);
machine_table!(non_invite_client, client_non_invite, NON_INVITE_CLIENT);
machine_table!(invite_server, server_invite, INVITE_SERVER);
machine_table!(non_invite_server, server_non_invite, NON_INVITE_SERVER);

/// Figure 5 of RFC 3261 with RFC 6026's Accepted. Beyond it: Timer Cancelled (RFC 3261 §9.1), and a transport error in
/// Completed ends the transaction without telling the transaction user twice.
const INVITE_CLIENT: &str = "\
start: Arm(A), Arm(B)
Calling
  Provisional      Proceeding  PassUp
  Success          Accepted    PassUp, Forget, Arm(M)
  Failure          Completed   SendAck, PassUp, Arm(D)
  Timer(A)         Calling     Resend, Arm(A)
  Timer(B)         Terminated  Timeout, Terminate
  Timer(D)         -
  Timer(M)         -
  Timer(Cancelled) -
  TransportError   Terminated  TransportFailed, Terminate
Proceeding
  Provisional      Proceeding  PassUp
  Success          Accepted    PassUp, Forget, Arm(M)
  Failure          Completed   SendAck, PassUp, Arm(D)
  Timer(A)         -
  Timer(B)         -
  Timer(D)         -
  Timer(M)         -
  Timer(Cancelled) Terminated  Timeout, Terminate
  TransportError   -
Completed
  Provisional      -
  Success          -
  Failure          Completed   SendAck
  Timer(A)         -
  Timer(B)         -
  Timer(D)         Terminated  Terminate
  Timer(M)         -
  Timer(Cancelled) -
  TransportError   Terminated  Terminate
Accepted
  Provisional      -
  Success          Accepted    PassUp
  Failure          -
  Timer(A)         -
  Timer(B)         -
  Timer(D)         -
  Timer(M)         Terminated  Terminate
  Timer(Cancelled) -
  TransportError   -
Terminated
  Provisional      -
  Success          -
  Failure          -
  Timer(A)         -
  Timer(B)         -
  Timer(D)         -
  Timer(M)         -
  Timer(Cancelled) -
  TransportError   -
";

/// Figure 6 of RFC 3261.
const NON_INVITE_CLIENT: &str = "\
start: Arm(E), Arm(F)
Trying
  Provisional      Proceeding  PassUp
  Final            Completed   PassUp, Forget, Arm(K)
  Timer(E)         Trying      Resend, Arm(E)
  Timer(F)         Terminated  Timeout, Terminate
  Timer(K)         -
  TransportError   Terminated  TransportFailed, Terminate
Proceeding
  Provisional      Proceeding  PassUp
  Final            Completed   PassUp, Forget, Arm(K)
  Timer(E)         Proceeding  Resend, Arm(E)
  Timer(F)         Terminated  Timeout, Terminate
  Timer(K)         -
  TransportError   Terminated  TransportFailed, Terminate
Completed
  Provisional      -
  Final            -
  Timer(E)         -
  Timer(F)         -
  Timer(K)         Terminated  Terminate
  TransportError   -
Terminated
  Provisional      -
  Final            -
  Timer(E)         -
  Timer(F)         -
  Timer(K)         -
  TransportError   -
";

/// Figure 7 of RFC 3261 with RFC 6026's Accepted; a transport error in Proceeding is told, and ends nothing (RFC 6026
/// §7.1). Trying is Proceeding before anything was sent.
const INVITE_SERVER: &str = "\
start: Arm(Trying)
Trying
  Retransmit       Proceeding  SendTrying
  Ack              -
  Provisional      Proceeding  Send
  Success          Accepted    Send, Forget, Arm(L)
  Failure          Completed   Send, Arm(G), Arm(H)
  Timer(Trying)    Proceeding  SendTrying
  Timer(G)         -
  Timer(H)         -
  Timer(I)         -
  Timer(L)         -
  TransportError   -
Proceeding
  Retransmit       Proceeding  Resend
  Ack              -
  Provisional      Proceeding  Send
  Success          Accepted    Send, Forget, Arm(L)
  Failure          Completed   Send, Arm(G), Arm(H)
  Timer(Trying)    -
  Timer(G)         -
  Timer(H)         -
  Timer(I)         -
  Timer(L)         -
  TransportError   Proceeding  TransportFailed
Completed
  Retransmit       Completed   Resend
  Ack              Confirmed   Forget, Arm(I)
  Provisional      -
  Success          -
  Failure          -
  Timer(Trying)    -
  Timer(G)         Completed   Resend, Arm(G)
  Timer(H)         Terminated  Timeout, Terminate
  Timer(I)         -
  Timer(L)         -
  TransportError   Terminated  TransportFailed, Terminate
Confirmed
  Retransmit       -
  Ack              -
  Provisional      -
  Success          -
  Failure          -
  Timer(Trying)    -
  Timer(G)         -
  Timer(H)         -
  Timer(I)         Terminated  Terminate
  Timer(L)         -
  TransportError   -
Accepted
  Retransmit       -
  Ack              Accepted    PassUp
  Provisional      -
  Success          Accepted    Send, Forget
  Failure          -
  Timer(Trying)    -
  Timer(G)         -
  Timer(H)         -
  Timer(I)         -
  Timer(L)         Terminated  Terminate
  TransportError   Accepted    TransportFailed
Terminated
  Retransmit       -
  Ack              -
  Provisional      -
  Success          -
  Failure          -
  Timer(Trying)    -
  Timer(G)         -
  Timer(H)         -
  Timer(I)         -
  Timer(L)         -
  TransportError   -
";

/// Figure 8 of RFC 3261. Beyond it RFC 4320: the first 100 is Timer Trying's alone, and Timer Abandoned ends what nobody
/// answered.
const NON_INVITE_SERVER: &str = "\
start: Arm(Trying)
Trying
  Retransmit       -
  Provisional      -
  Final            Completed   Send, Arm(J)
  Timer(Trying)    Proceeding  SendTrying, Arm(Abandoned)
  Timer(Abandoned) -
  Timer(J)         -
  TransportError   -
Proceeding
  Retransmit       Proceeding  Resend
  Provisional      Proceeding  Send
  Final            Completed   Send, Arm(J)
  Timer(Trying)    -
  Timer(Abandoned) Terminated  Terminate
  Timer(J)         -
  TransportError   Terminated  TransportFailed, Terminate
Completed
  Retransmit       Completed   Resend
  Provisional      -
  Final            -
  Timer(Trying)    -
  Timer(Abandoned) -
  Timer(J)         Terminated  Terminate
  TransportError   Terminated  TransportFailed, Terminate
Terminated
  Retransmit       -
  Provisional      -
  Final            -
  Timer(Trying)    -
  Timer(Abandoned) -
  Timer(J)         -
  TransportError   -
";
