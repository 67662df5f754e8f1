//! A message in a datagram.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use super::probe::Probe;
use super::{LIMIT, Outcome, PROBES, client};
use crate::corpus::Case;
use crate::verdict::{Role, Seen};
use crate::{now, raw};

/// Sends the message of `case` to `server` in a datagram and judges the reaction for `role`.
///
/// # Errors
/// What was seen and what would have been right; or that the element answers no more.
pub fn check_over_udp(server: SocketAddr, case: &Case, role: Role) -> Result<Outcome, String> {
    let message = raw::with_transport(&case.bytes, "UDP");
    let socket = match client::bind_for(&message)? {
        Ok(socket) => socket,
        Err(skipped) => return Ok(skipped),
    };
    let judge = |seen: &Seen| case.verdict.judge(role, seen);
    exchange(&socket, server, &message, judge)
        .map(|answered_in| Outcome::Right(Some(answered_in)))
        .map_err(|e| format!("{} over UDP: {e}", case.name))
}

/// How long the first probe after the message took to be answered.
fn exchange(
    socket: &UdpSocket,
    server: SocketAddr,
    message: &[u8],
    judge: impl Fn(&Seen) -> Result<(), String>,
) -> Result<Duration, String> {
    let mut seen = Seen::default();
    send(socket, server, message)?;
    let answered_in = probe(socket, server, &mut seen)?;
    for _ in 1..PROBES {
        probe(socket, server, &mut seen)?;
    }
    // The element lives. If it has yet to do what is wanted, it has the rest of the time to do so.
    let deadline = now() + LIMIT;
    while judge(&seen).is_err() && !seen.is_final() {
        match client::receive(socket, deadline)? {
            Some((message, _)) => seen.statuses.extend(raw::status(&message)),
            None => break,
        }
    }
    judge(&seen).map(|()| answered_in)
}

/// Sends a probe, notes what comes before its answer, and says how long that took.
fn probe(socket: &UdpSocket, server: SocketAddr, seen: &mut Seen) -> Result<Duration, String> {
    let own = socket.local_addr().map_err(|e| e.to_string())?;
    let probe = Probe::new(server, own, "UDP");
    let sent = now();
    send(socket, server, &probe.bytes)?;
    let deadline = sent + LIMIT;
    while let Some((message, _)) = client::receive(socket, deadline)? {
        if probe.is_answered_by(&message) {
            return Ok(now() - sent);
        }
        if !probe.owns(&message) {
            seen.statuses.extend(raw::status(&message));
        }
    }
    Err(format!("no answer to the probe within {LIMIT:?}; before it: {seen:?}"))
}

fn send(socket: &UdpSocket, server: SocketAddr, bytes: &[u8]) -> Result<(), String> {
    socket.send_to(bytes, server).map(drop).map_err(|e| format!("send: {e}"))
}
