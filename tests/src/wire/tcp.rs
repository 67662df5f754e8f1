//! A message on a stream.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::framed::Framed;
use super::probe::Probe;
use super::{LIMIT, Outcome, PROBES, TICK};
use crate::corpus::Case;
use crate::verdict::{Role, Seen, Stream};
use crate::{now, raw};

/// Sends the message of `case` to `server` over a connection of its own and judges the reaction for `role`.
///
/// # Errors
/// As [`check_over_udp`](super::check_over_udp).
pub fn check_over_tcp(server: SocketAddr, case: &Case, role: Role) -> Result<Outcome, String> {
    exchange(server, case, role).map(Outcome::Right).map_err(|e| format!("{} over TCP: {e}", case.name))
}

/// How long the first probe after the message took to be answered.
fn exchange(server: SocketAddr, case: &Case, role: Role) -> Result<Option<Duration>, String> {
    let mut connection = Connection::open(server)?;
    connection.send(&over_tcp(case))?;
    let judge = |seen: &Seen| case.verdict.judge(role, seen);
    let mut answered_in = None;
    match case.verdict.stream {
        Stream::Same => {
            for _ in 0..PROBES {
                let took = connection.probe()?;
                answered_in = answered_in.or(took);
            }
            connection.read_until(|c| c.seen.is_final() || judge(&c.seen).is_ok())?;
            judge(&connection.seen)?;
        }
        Stream::Two => {
            answered_in = connection.probe()?;
            // Two requests that are sent on need not have answers yet.
            let wanted = if case.verdict.goes_on(role) { 0 } else { 2 };
            connection.read_until(|c| c.calls.len() >= wanted)?;
            if connection.calls.len() < wanted {
                return Err(format!("want answers to two requests, saw {:?}", connection.seen));
            }
        }
        Stream::Close => {
            connection.read_until(|c| c.framed.closed)?;
            let only_refused = connection.seen.statuses.iter().all(|s| (400..500).contains(s));
            if !connection.framed.closed || !only_refused || connection.seen.statuses.len() > 1 {
                return Err(format!("want at most one 4xx and the end of the connection, saw {:?}", connection.seen));
            }
        }
        Stream::Wait => {
            answered_in = Connection::open(server)?.probe()?;
            connection.read_available()?;
            if connection.seen.statuses.iter().any(|s| *s < 400) {
                return Err(format!("want no answer to half a request, saw {:?}", connection.seen));
            }
        }
        Stream::Any => {}
    }
    // Whatever became of this connection, others are served.
    let took = Connection::open(server)?.probe()?;
    Ok(answered_in.or(took))
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
    framed: Framed,
    seen: Seen,
    /// The Call-IDs of all responses that are not to probes.
    calls: Vec<Vec<u8>>,
}

impl Connection {
    fn open(server: SocketAddr) -> Result<Self, String> {
        let stream = TcpStream::connect_timeout(&server, LIMIT).map_err(|e| format!("connect: {e}"))?;
        Ok(Self { server, framed: Framed::new(stream), seen: Seen::default(), calls: Vec::new() })
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.framed.send(bytes)
    }

    /// Sends a probe, notes what comes before its answer, and says how long that took. A connection that the element
    /// closed needs no answer.
    fn probe(&mut self) -> Result<Option<Duration>, String> {
        let probe = Probe::new(self.server, self.framed.local_addr()?, "TCP");
        let sent = now();
        self.send(&probe.bytes)?;
        while let Some(message) = self.framed.next(sent + LIMIT)? {
            if probe.is_answered_by(&message) {
                return Ok(Some(now() - sent));
            }
            if !probe.owns(&message) {
                self.note(&message);
            }
        }
        if self.framed.closed && !self.seen.statuses.is_empty() {
            return Ok(None);
        }
        Err(format!("no answer to the probe within {LIMIT:?}; before it: {:?}", self.seen))
    }

    /// Notes responses until `done`, the end of the connection, or the end of the time.
    fn read_until(&mut self, done: impl Fn(&Self) -> bool) -> Result<(), String> {
        let deadline = now() + LIMIT;
        while !done(self) {
            match self.framed.next(deadline)? {
                Some(message) => self.note(&message),
                None => break,
            }
        }
        Ok(())
    }

    /// Notes what has arrived already.
    fn read_available(&mut self) -> Result<(), String> {
        while let Some(message) = self.framed.next(now() + TICK)? {
            self.note(&message);
        }
        Ok(())
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
