//! A message on a stream.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use super::probe::Probe;
use super::{LIMIT, Outcome, PROBES, client};
use crate::corpus::Case;
use crate::verdict::{Role, Seen, Stream, judge};
use crate::{now, raw};

/// Sends the message of `case` to `server` over a connection of its own and judges the reaction for `role`.
///
/// # Errors
/// As [`check_over_udp`](super::check_over_udp).
pub fn check_over_tcp(server: SocketAddr, case: &Case, role: Role) -> Result<Outcome, String> {
    exchange(server, case, role).map(|()| Outcome::Right).map_err(|e| format!("{} over TCP: {e}", case.name))
}

fn exchange(server: SocketAddr, case: &Case, role: Role) -> Result<(), String> {
    let mut connection = Connection::open(server)?;
    connection.send(&over_tcp(case))?;
    let right = case.verdict.reactions(role);
    match case.verdict.stream {
        Stream::Same => {
            for _ in 0..PROBES {
                connection.probe()?;
            }
            connection.read_until(|c| c.seen.is_final() || judge(right, &c.seen).is_ok())?;
            judge(right, &connection.seen)?;
        }
        Stream::Two => {
            connection.probe()?;
            connection.read_until(|c| c.calls.len() == 2)?;
            if connection.calls.len() != 2 {
                return Err(format!("want answers to two requests, saw {:?}", connection.seen));
            }
        }
        Stream::Close => {
            connection.read_until(|c| c.seen.closed)?;
            let only_refused = connection.seen.statuses.iter().all(|s| (400..500).contains(s));
            if !connection.seen.closed || !only_refused || connection.seen.statuses.len() > 1 {
                return Err(format!("want at most one 4xx and the end of the connection, saw {:?}", connection.seen));
            }
        }
        Stream::Wait => {
            Connection::open(server)?.probe()?;
            connection.read_available()?;
            if connection.seen.statuses.iter().any(|s| *s < 400) {
                return Err(format!("want no answer to half a request, saw {:?}", connection.seen));
            }
        }
        Stream::Any => {}
    }
    // Whatever became of this connection, others are served.
    Connection::open(server)?.probe()
}

/// The message, or both messages, with TCP in the topmost Via.
fn over_tcp(case: &Case) -> Vec<u8> {
    if case.verdict.stream != Stream::Two {
        return raw::with_transport(&case.bytes, "TCP");
    }
    let (first, second) = case.bytes.split_at(raw::body_start(&case.bytes));
    let blank = second.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    let (blank, second) = second.split_at(blank);
    [&raw::with_transport(first, "TCP"), blank, &raw::with_transport(second, "TCP")].concat()
}

struct Connection {
    server: SocketAddr,
    stream: TcpStream,
    buffer: Vec<u8>,
    seen: Seen,
    /// The Call-IDs of all responses that are not to probes.
    calls: Vec<Vec<u8>>,
}

impl Connection {
    fn open(server: SocketAddr) -> Result<Self, String> {
        let stream = TcpStream::connect_timeout(&server, LIMIT).map_err(|e| format!("connect: {e}"))?;
        Ok(Self { server, stream, buffer: Vec::new(), seen: Seen::default(), calls: Vec::new() })
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        match self.stream.write_all(bytes) {
            Err(e) if is_closed(&e) => self.seen.closed = true,
            Err(e) => return Err(format!("send: {e}")),
            Ok(()) => {}
        }
        Ok(())
    }

    /// Sends a probe and notes what comes before its answer. A connection that the element closed needs no answer.
    fn probe(&mut self) -> Result<(), String> {
        let own = self.stream.local_addr().map_err(|e| e.to_string())?;
        let probe = Probe::new(self.server, own, "TCP");
        self.send(&probe.bytes)?;
        let deadline = now() + LIMIT;
        while let Some(message) = self.next(deadline)? {
            if probe.is_answered_by(&message) {
                return Ok(());
            }
            if !probe.owns(&message) {
                self.note(&message);
            }
        }
        if self.seen.closed && !self.seen.statuses.is_empty() {
            return Ok(());
        }
        Err(format!("no answer to the probe within {LIMIT:?}; before it: {:?}", self.seen))
    }

    /// Notes responses until `done`, the end of the connection, or the end of the time.
    fn read_until(&mut self, done: impl Fn(&Self) -> bool) -> Result<(), String> {
        let deadline = now() + LIMIT;
        while !done(self) {
            match self.next(deadline)? {
                Some(message) => self.note(&message),
                None => break,
            }
        }
        Ok(())
    }

    /// Notes what has arrived already.
    fn read_available(&mut self) -> Result<(), String> {
        self.stream.set_nonblocking(true).map_err(|e| e.to_string())?;
        let mut chunk = [0; 4096];
        while let Ok(length @ 1..) = self.stream.read(&mut chunk) {
            self.buffer.extend_from_slice(&chunk[..length]);
        }
        while let Some(message) = raw::take_message(&mut self.buffer) {
            self.note(&message);
        }
        Ok(())
    }

    /// The next whole message; none at the end of the connection or of the time.
    fn next(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>, String> {
        let mut chunk = [0; 4096];
        loop {
            if let Some(message) = raw::take_message(&mut self.buffer) {
                return Ok(Some(message));
            }
            let left = deadline.saturating_duration_since(now());
            if left.is_zero() || self.seen.closed {
                return Ok(None);
            }
            self.stream.set_read_timeout(Some(left)).map_err(|e| e.to_string())?;
            match self.stream.read(&mut chunk) {
                Ok(0) => self.seen.closed = true,
                Ok(length) => self.buffer.extend_from_slice(&chunk[..length]),
                Err(e) if client::is_timeout(&e) => {}
                Err(e) if is_closed(&e) => self.seen.closed = true,
                Err(e) => return Err(format!("receive: {e}")),
            }
        }
    }

    fn note(&mut self, message: &[u8]) {
        if let Some(status) = raw::status(message) {
            self.seen.statuses.push(status);
            let call = raw::first(message, "call-id").unwrap_or_default();
            if !self.calls.contains(&call) {
                self.calls.push(call);
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
