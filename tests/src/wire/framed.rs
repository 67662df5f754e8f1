//! A stream that is read message by message (RFC 3261 §18.3).

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use super::client;
use crate::{now, raw};

/// One end of a TCP connection.
#[derive(Debug)]
pub(super) struct Framed {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// The other side has closed it.
    pub(super) closed: bool,
}

impl Framed {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new(), closed: false }
    }

    pub(super) fn local_addr(&self) -> Result<SocketAddr, String> {
        self.stream.local_addr().map_err(|e| e.to_string())
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        match self.stream.write_all(bytes) {
            Err(e) if is_closed(&e) => self.closed = true,
            Err(e) => return Err(format!("send: {e}")),
            Ok(()) => {}
        }
        Ok(())
    }

    /// The next whole message; none at the end of the connection or of the time.
    pub(super) fn next(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>, String> {
        let mut chunk = [0; 4096];
        loop {
            if let Some(message) = raw::take_message(&mut self.buffer) {
                return Ok(Some(message));
            }
            let left = deadline.saturating_duration_since(now());
            if left.is_zero() || self.closed {
                return Ok(None);
            }
            self.stream.set_read_timeout(Some(left)).map_err(|e| e.to_string())?;
            match self.stream.read(&mut chunk) {
                Ok(0) => self.closed = true,
                Ok(length) => self.buffer.extend_from_slice(&chunk[..length]),
                Err(e) if client::is_timeout(&e) => {}
                Err(e) if is_closed(&e) => self.closed = true,
                Err(e) => return Err(format!("receive: {e}")),
            }
        }
    }
}

fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted
    )
}
