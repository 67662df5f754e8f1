//! What the scanner takes on: the zones of the congestion manager, and what becomes of the rest.

use super::actor::{MessageHeaderScanner, count};
use crate::message::Message;
use crate::overload::{Intake, Valve, Work, refusable, refuse};
use crate::transaction::ServerKey;
use crate::transport::Flow;
use bytes::Bytes;
use rutil::{CongestionManager, Time, Zone};
use std::sync::Arc;

/// Seconds that are added to Retry-After by chance, so that not all come back at once.
const SPREAD: u64 = 3;

/// Requests that are remembered, by four octets of their key each.
const RECENT: usize = 1 << 16;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is taken on.
    Serve,
    /// It is answered 503.
    Refuse,
    /// It is dropped: even an answer costs too much.
    Drop,
}

/// Decides what is taken on.
pub(super) struct Admission {
    congestion: Arc<CongestionManager>,
    /// The zone of this turn.
    zone: Zone,
    /// Datagrams to be answered 503 when what is worth more has had its turn: no more than a turn takes.
    refused: Vec<(Bytes, Flow, Time)>,
    /// The latest requests that were taken on: one that comes again belongs to its transaction, however little may be
    /// taken on now. An entry leaves for a later one; what is wrongly found here, the transactions refuse.
    recent: Box<[u32]>,
    valve: Valve,
}

fn place(key: ServerKey) -> (usize, u32) {
    (key.0 as usize % RECENT, (key.0 >> 32) as u32)
}

impl Admission {
    pub(super) fn new(congestion: Arc<CongestionManager>) -> Self {
        Admission {
            congestion,
            zone: Zone::Normal,
            refused: Vec::new(),
            recent: vec![0; RECENT].into(),
            valve: Valve::new(),
        }
    }

    /// Looks at what is tolerated: once a turn in which there is `something`, not once a message.
    pub(super) fn begin(&mut self, something: bool, intake: &Intake, now: Time) {
        if something {
            self.zone = self.congestion.zone(now);
        }
        if let Some(share) = self.valve.look(now) {
            tracing::debug!(share, "new work that the kernel lets through, of 1024");
            intake.set_share(share);
        }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.valve.deadline()
    }

    /// A request was taken on.
    pub(super) fn remember(&mut self, key: ServerKey, new: bool) {
        if new {
            self.valve.taken();
        }
        let (at, mark) = place(key);
        self.recent[at] = mark;
    }

    fn is_recent(&self, key: ServerKey) -> bool {
        let (at, mark) = place(key);
        self.recent[at] == mark
    }

    /// What becomes of a request; `work` is asked only when it matters.
    pub(super) fn judge(&self, work: impl FnOnce() -> Work) -> Verdict {
        match self.zone {
            Zone::Normal => Verdict::Serve,
            zone if work().is_welcome(zone) => Verdict::Serve,
            Zone::Drop => Verdict::Drop,
            _ => Verdict::Refuse,
        }
    }
}

impl MessageHeaderScanner {
    /// Whether a datagram goes on to be read.
    pub(super) fn admits(&mut self, bytes: &Bytes, flow: Flow, at: Time) -> bool {
        let verdict = self.admission.judge(|| Work::of(bytes));
        if verdict != Verdict::Serve {
            self.admission.valve.refused();
        }
        match verdict {
            Verdict::Serve => return true,
            // What is worth more goes first.
            Verdict::Refuse => self.admission.refused.push((bytes.clone(), flow, at)),
            Verdict::Drop => count(&self.parts.stats.dropped),
        }
        false
    }

    /// Whether a message of a stream goes on. Nobody would repeat one that is dropped, so it gets its answer.
    pub(super) fn admits_message(&mut self, msg: &mut Message, flow: Flow, now: Time) -> bool {
        let verdict = self.admission.judge(|| Work::of_message(msg));
        verdict == Verdict::Serve || !self.say_no(msg, flow, now)
    }

    /// Answers the datagrams that were refused.
    pub(super) fn answer_refused(&mut self, now: Time) {
        if self.admission.refused.is_empty() {
            return;
        }
        let mut refused = std::mem::take(&mut self.admission.refused);
        for (bytes, flow, at) in refused.drain(..) {
            match Message::parse_datagram(bytes, &self.parts.limits) {
                Ok(mut msg) => {
                    if !self.say_no(&mut msg, flow, now) {
                        self.message(msg, flow, at, now);
                    }
                }
                Err(_) => count(&self.parts.stats.garbage),
            }
        }
        self.admission.refused = refused;
    }

    /// Answers 503. False for a request that came before and was taken on.
    fn say_no(&mut self, msg: &mut Message, flow: Flow, now: Time) -> bool {
        let Some((key, reply_to)) = refusable(msg, &flow, &self.parts.keys) else {
            count(&self.parts.stats.garbage);
            return true;
        };
        if self.admission.is_recent(key) {
            return false;
        }
        count(&self.parts.stats.overload);
        let after = self.admission.congestion.retry_after() + self.parts.rng.range(SPREAD) as u32;
        self.reply(refuse(msg, &flow, key, after), reply_to, now);
        true
    }
}
