//! A message in a datagram.

use std::net::{SocketAddr, UdpSocket};

use super::probe::Probe;
use super::{LIMIT, Outcome, PROBES, client};
use crate::corpus::Case;
use crate::verdict::{Reaction, Role, Seen, judge};
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
    exchange(&socket, server, &message, case.verdict.reactions(role))
        .map_err(|e| format!("{} over UDP: {e}", case.name))
}

fn exchange(socket: &UdpSocket, server: SocketAddr, message: &[u8], right: &[Reaction]) -> Result<Outcome, String> {
    let mut seen = Seen::default();
    send(socket, server, message)?;
    for _ in 0..PROBES {
        probe(socket, server, &mut seen)?;
    }
    // The element lives. If it has yet to do what is wanted, it has the rest of the time to do so.
    let deadline = now() + LIMIT;
    while judge(right, &seen).is_err() && !seen.is_final() {
        match client::receive(socket, deadline)? {
            Some((message, _)) => seen.statuses.extend(raw::status(&message)),
            None => break,
        }
    }
    judge(right, &seen).map(|()| Outcome::Right)
}

/// Sends a probe and notes what comes before its answer.
fn probe(socket: &UdpSocket, server: SocketAddr, seen: &mut Seen) -> Result<(), String> {
    let own = socket.local_addr().map_err(|e| e.to_string())?;
    let probe = Probe::new(server, own, "UDP");
    send(socket, server, &probe.bytes)?;
    let deadline = now() + LIMIT;
    while let Some((message, _)) = client::receive(socket, deadline)? {
        if probe.is_answered_by(&message) {
            return Ok(());
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
