//! The sockets from which messages are sent.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Instant;

use super::Outcome;
use crate::{is_ci, note_skip, now, peers, raw};

/// Longer than any datagram.
const DATAGRAM: usize = 65_536;
/// How many addresses are tried before a port counts as taken.
const ADDRESSES: usize = 16;

/// Binds the port to which the answers to `message` will go, on an address of our own.
///
/// Fails only if something holds the port on all addresses; that is a reason to skip, or an error with `CI=true`.
pub(super) fn bind_for(message: &[u8]) -> Result<Result<UdpSocket, Outcome>, String> {
    let port = raw::response_port(message);
    let mut last = None;
    for _ in 0..ADDRESSES {
        match UdpSocket::bind((peers::loopback(), port)) {
            Ok(socket) => return Ok(Ok(socket)),
            Err(error) => last = Some(error),
        }
    }
    let reason = format!("port {port} cannot be bound: {}", last.map(|e| e.to_string()).unwrap_or_default());
    if is_ci() {
        return Err(reason);
    }
    note_skip(&reason);
    Ok(Err(Outcome::Skipped(reason)))
}

/// The next datagram before `deadline`, if there is one, and who sent it.
pub(super) fn receive(socket: &UdpSocket, deadline: Instant) -> Result<Option<(Vec<u8>, SocketAddr)>, String> {
    let mut buffer = vec![0; DATAGRAM];
    loop {
        let left = deadline.saturating_duration_since(now());
        if left.is_zero() {
            return Ok(None);
        }
        socket.set_read_timeout(Some(left)).map_err(|e| e.to_string())?;
        match socket.recv_from(&mut buffer) {
            Ok((length, from)) => {
                buffer.truncate(length);
                return Ok(Some((buffer, from)));
            }
            Err(e) if is_timeout(&e) => {}
            Err(e) => return Err(format!("receive: {e}")),
        }
    }
}

/// A read that ended because nothing came, or because a signal came.
pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
