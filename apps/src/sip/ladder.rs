//! A ladder diagram of what was sent and received.
//!
//! ```text
//!            sip                    192.0.2.1:5060
//!    0.000    |------- INVITE (sdp) ------->|
//!    1.204    |<------ 100 Trying ----------|
//! ```

use super::wire::{Step, Trace};
use std::fmt::Write as _;
use std::net::SocketAddr;

/// Columns between two lines of the ladder.
const WIDTH: usize = 34;
/// Columns before the first line.
const MARGIN: usize = 14;
/// Peers that have a line of their own; what goes to others has the last one.
const PEERS: usize = 6;

/// Draws it.
pub(super) fn draw(trace: &Trace) -> String {
    let mut peers: Vec<SocketAddr> = Vec::new();
    for step in &trace.steps {
        if !peers.contains(&step.peer) && peers.len() < PEERS {
            peers.push(step.peer);
        }
    }
    let mut out = heads(&peers);
    for step in &trace.steps {
        let column = peers.iter().position(|peer| *peer == step.peer);
        // Who has no line says who it is.
        let who = if column.is_none() { format!(", {}", step.peer) } else { String::new() };
        let _ = writeln!(out, "{}", rung(step, &who, column.unwrap_or(peers.len().saturating_sub(1)), peers.len()));
    }
    if trace.more > 0 {
        let _ = writeln!(out, "and {} more", trace.more);
    }
    out
}

/// The line above, with everybody's name over their line.
fn heads(peers: &[SocketAddr]) -> String {
    let mut line = " ".repeat(MARGIN);
    for (at, name) in std::iter::once("sip".to_owned()).chain(peers.iter().map(SocketAddr::to_string)).enumerate() {
        let middle = MARGIN + at * WIDTH;
        let from = middle.saturating_sub(name.len() / 2).max(line.trim_end().len() + 1);
        line.truncate(line.trim_end().len().min(from));
        let _ = write!(line, "{:from$}{name}", "", from = from.saturating_sub(line.len()));
    }
    line + "\n"
}

/// One message: an arrow from our line to the peer's, over those between.
fn rung(step: &Step, who: &str, column: usize, peers: usize) -> String {
    let again = if step.again { " (again)" } else { "" };
    let room = (column + 1) * WIDTH - 1;
    let mut label: String = format!(" {}{who}{again} ", step.what);
    if label.chars().count() > room.saturating_sub(4) {
        label = label.chars().take(room.saturating_sub(7)).collect::<String>() + "... ";
    }
    let dashes = room - 1 - label.chars().count();
    let (before, after) = (dashes / 2, dashes - dashes / 2);
    let arrow = match step.sent {
        true => format!("{}{label}{}>", "-".repeat(before), "-".repeat(after)),
        false => format!("<{}{label}{}", "-".repeat(before), "-".repeat(after)),
    };
    let rest = format!("{:>WIDTH$}", "|").repeat(peers.saturating_sub(column + 1));
    let time = format!("{:.3}", step.at.as_secs_f64());
    format!("{time:>width$}  |{arrow}|{rest}", width = MARGIN - 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn step(ms: u64, peer: &str, sent: bool, what: &str, again: bool) -> Step {
        Step {
            at: Duration::from_millis(ms),
            peer: peer.parse().expect("an address"),
            sent,
            what: what.to_owned(),
            again,
        }
    }

    #[test]
    fn a_call_is_a_ladder() {
        let (one, two) = ("192.0.2.1:5060", "192.0.2.2:5061");
        let steps = vec![
            step(0, one, true, "INVITE (sdp)", false),
            step(500, one, true, "INVITE (sdp)", true),
            step(1204, one, false, "180 Ringing", false),
            step(2000, two, false, "BYE", false),
            step(2001, two, true, "200 OK", false),
        ];
        let drawn = draw(&Trace { steps, more: 3 });
        let wanted = "\
             \x20            sip                         192.0.2.1:5060                    192.0.2.2:5061\n\
             \x20      0.000  |--------- INVITE (sdp) --------->|                                 |\n\
             \x20      0.500  |----- INVITE (sdp) (again) ----->|                                 |\n\
             \x20      1.204  |<--------- 180 Ringing ----------|                                 |\n\
             \x20      2.000  |<------------------------------ BYE -------------------------------|\n\
             \x20      2.001  |----------------------------- 200 OK ----------------------------->|\n\
             and 3 more\n";
        assert_eq!(drawn, wanted, "\n{drawn}");
    }

    #[test]
    fn a_long_reason_is_cut_and_many_peers_share_a_line() {
        let mut steps = vec![step(0, "192.0.2.1:1", false, &"x".repeat(500), false)];
        steps.extend((2..10).map(|n| step(n, &format!("192.0.2.{n}:1"), true, "ACK", false)));
        let drawn = draw(&Trace { steps, more: 0 });
        let widths: Vec<_> = drawn.lines().skip(1).map(str::len).collect();
        assert!(widths.iter().all(|width| *width == MARGIN + 1 + PEERS * WIDTH), "{widths:?}\n{drawn}");
        assert!(drawn.contains("x... ") && drawn.contains("ACK, 192.0.2.9:1"), "{drawn}");
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert_eq!(draw(&Trace::default()).trim(), "sip");
    }
}
