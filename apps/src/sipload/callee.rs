//! The callee of one shard: answers calls at once, and keeps of each no more than its 200 until the ACK comes.

use super::dialog::write_line;
use super::job::session;
use super::stats::Stats;
use super::template::message;
use bytes::Bytes;
use rutil::{HashMap, Keyed, Rng, Slab, Time, Wheel};
use stack::header::{HeaderId, Method};
use stack::message::{Message, reason_phrase};
use stack::transport::TransportType;
use stack::tu::{ServerTransaction, TransactionUser, TuContext, TuEvent};
use std::hash::BuildHasher as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// When a 200 is repeated, in ns: to 10 ms.
const TICK: u64 = 10_000_000;
/// RFC 3261 §17.1.1.1
const T1: Duration = Duration::from_millis(500);
/// The longest time between two repetitions (RFC 3261 §13.3.1.4).
const T2: Duration = Duration::from_secs(4);
/// Repetitions of a 200 in 64·T1: after 0.5, 1.5, 3.5, 7.5, 11.5 s and so on.
const REPETITIONS: u8 = 10;
/// The most calls in progress; then 503.
const LIMIT: usize = 1_000_000;

/// A call in progress.
struct Call {
    key: u64,
    invite: ServerTransaction,
    /// The 200 until its ACK comes.
    answer: Option<Bytes>,
    repeated: u8,
}

/// The callee of one shard.
pub(super) struct Callee {
    stats: Arc<Stats>,
    calls: Slab<Call>,
    /// By a hash of the Call-ID.
    by_id: HashMap<u64, (u32, u32)>,
    hasher: Keyed,
    repeat: Wheel<(u32, u32), TICK>,
}

impl Callee {
    pub(super) fn new(stats: Arc<Stats>, rng: &mut Rng) -> Self {
        Callee {
            stats,
            calls: Slab::new(),
            by_id: HashMap::with_hasher(Keyed::new(rng)),
            hasher: Keyed::new(rng),
            repeat: Wheel::new(),
        }
    }

    fn key(&self, msg: &Message) -> u64 {
        let id = msg.fields().find(|(id, _)| *id == HeaderId::CALL_ID).map(|(_, value)| value);
        self.hasher.hash_one(id)
    }

    fn invited(&mut self, transaction: ServerTransaction, msg: &Message, stack: &mut TuContext<'_>) {
        let key = self.key(msg);
        let known = self.by_id.get(&key).copied();
        if self.calls.len() >= LIMIT || msg.has_to_tag() != known.is_some() {
            // Within a call that is not there, or without a tag in one that is.
            let code = if known.is_some() {
                482
            } else if msg.has_to_tag() {
                481
            } else {
                503
            };
            return stack.respond_status(transaction, code);
        }
        let tag: [u8; 8] = format!("{:08x}", key as u32).into_bytes().try_into().unwrap_or_default();
        let own = own_address(msg, stack);
        if known.is_none() {
            respond(transaction, response(msg, 180, &tag, own, false), stack);
        }
        let answer = response(msg, 200, &tag, own, true);
        respond(transaction, answer.clone(), stack);
        let answer = Some(answer);
        let at = match known {
            Some(at) => at,
            None => {
                self.stats.started.inc();
                self.stats.in_progress.add(1);
                let at = self.calls.insert(Call { key, invite: transaction, answer: None, repeated: 0 });
                self.by_id.insert(key, at);
                at
            }
        };
        if let Some(call) = self.calls.get_mut(at.0, at.1) {
            (call.invite, call.answer, call.repeated) = (transaction, answer, 0);
            self.repeat.arm(stack.now() + T1, at);
        }
    }

    fn ended(&mut self, transaction: ServerTransaction, msg: &Message, stack: &mut TuContext<'_>) {
        let Some(at) = self.by_id.remove(&self.key(msg)) else { return stack.respond_status(transaction, 481) };
        respond(transaction, response(msg, 200, b"", None, false), stack);
        self.calls.remove(at.0, at.1);
        self.stats.in_progress.add(-1);
        self.stats.succeeded.inc();
    }

    /// Repeats the 200s whose ACK has not come (RFC 3261 §13.3.1.4).
    fn repeat(&mut self, stack: &mut TuContext<'_>) {
        while let Some(at) = self.repeat.pop(stack.now()) {
            let Some(call) = self.calls.get_mut(at.0, at.1) else { continue };
            let Some(answer) = call.answer.clone() else { continue };
            call.repeated += 1;
            if call.repeated > REPETITIONS {
                let key = call.key;
                self.by_id.remove(&key);
                self.calls.remove(at.0, at.1);
                self.stats.in_progress.add(-1);
                self.stats.fail("no ACK for the 200".to_owned());
                continue;
            }
            let next = T2.min(T1 * 2u32.saturating_pow(call.repeated.into()));
            respond(call.invite, answer, stack);
            self.repeat.arm(stack.now() + next, at);
        }
    }
}

fn respond(transaction: ServerTransaction, octets: Bytes, stack: &mut TuContext<'_>) {
    match message(octets) {
        Some(response) => stack.respond(transaction, response),
        // A request whose header lines cannot be repeated.
        None => stack.respond_status(transaction, 400),
    }
}

/// Where a request came to.
fn own_address(msg: &Message, stack: &TuContext<'_>) -> Option<(TransportType, SocketAddr)> {
    let flow = msg.source()?.flow;
    let own = stack.transports().get(flow.transport)?;
    let address = match flow.local {
        Some(ip) if own.is_wildcard() => SocketAddr::new(ip, own.bound.port()),
        _ => own.advertised,
    };
    Some((own.kind, address))
}

/// A response (RFC 3261 §8.2.6.2); `own` becomes its Contact.
fn response(
    request: &Message,
    code: u16,
    tag: &[u8],
    own: Option<(TransportType, SocketAddr)>,
    with_session: bool,
) -> Bytes {
    let mut out = Vec::with_capacity(768);
    // Writing to a vector cannot fail.
    let _ = write!(out, "SIP/2.0 {code} {}\r\n", reason_phrase(code));
    for (id, value) in request.fields() {
        match id {
            HeaderId::VIA | HeaderId::RECORD_ROUTE | HeaderId::FROM | HeaderId::CALL_ID | HeaderId::CSEQ => {
                write_line(&mut out, id, value);
            }
            HeaderId::TO => {
                write_line(&mut out, id, value);
                if !tag.is_empty() && !request.has_to_tag() {
                    out.truncate(out.len() - 2);
                    out.extend_from_slice(b";tag=");
                    out.extend_from_slice(tag);
                    out.extend_from_slice(b"\r\n");
                }
            }
            _ => {}
        }
    }
    if let Some((kind, address)) = own {
        let _ = match kind {
            TransportType::Udp => write!(out, "Contact: <sip:{address}>\r\n"),
            _ => write!(out, "Contact: <sip:{address};transport={}>\r\n", kind.as_param()),
        };
    }
    match own.filter(|_| with_session) {
        Some((_, address)) => {
            let sdp = session(address);
            let _ = write!(out, "Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}", sdp.len());
        }
        None => out.extend_from_slice(b"Content-Length: 0\r\n\r\n"),
    }
    Bytes::from(out)
}

impl TransactionUser for Callee {
    fn name(&self) -> &'static str {
        "callee"
    }

    fn process(&mut self, event: TuEvent, stack: &mut TuContext<'_>) {
        match event {
            TuEvent::Request { transaction, msg } => match msg.method() {
                Some(Method::Invite) => self.invited(transaction, &msg, stack),
                Some(Method::Bye) => self.ended(transaction, &msg, stack),
                Some(Method::Cancel) => stack.respond_status(transaction, 481),
                Some(_) => {
                    self.stats.requests.inc();
                    respond(transaction, response(&msg, 200, b"sipload", own_address(&msg, stack), false), stack);
                }
                None => stack.respond_status(transaction, 400),
            },
            TuEvent::Ack { msg } => {
                if let Some(call) = self.by_id.get(&self.key(&msg)).and_then(|at| self.calls.get_mut(at.0, at.1)) {
                    call.answer = None;
                }
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.repeat.next_deadline()
    }

    fn wake(&mut self, stack: &mut TuContext<'_>) {
        self.repeat(stack);
    }
}

#[cfg(test)]
#[path = "callee_tests.rs"]
mod tests;
