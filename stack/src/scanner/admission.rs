//! What the scanner takes on: the zones of the congestion manager, and what becomes of the rest.

use super::actor::MessageHeaderScanner;
use super::stats::{ScannerStats, count};
use crate::header::Method;
use crate::message::Message;
use crate::overload::{
    ALL, Asker, Asks, Banned, Bans, Cause, Episode, Gate, Intake, Lost, Sources, Throttle, Valve, Work, refusable,
    refuse, report, seems_to_offer,
};
use crate::transaction::ServerKey;
use crate::transport::{Flow, TransportType, decides};
use bytes::Bytes;
use rutil::{CongestionManager, Rng, Time, Zone};
use std::sync::Arc;
use std::time::Duration;

/// Seconds that are added to Retry-After by chance, so that not all come back at once.
const SPREAD: u64 = 3;

/// Requests that are remembered, by four octets of their key each.
const RECENT: usize = 1 << 16;

/// How long the kernel draws lots with the same key: ten times as long as a request is repeated (64·T1), so that few
/// repetitions see another.
const KEY_FOR: Duration = Duration::from_secs(320);

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

/// What others tell the scanner, or hear from it.
#[derive(Clone)]
pub(crate) struct Shared {
    /// One a shard.
    pub(crate) intake: Arc<Intake>,
    /// One a stack.
    pub(crate) bans: Arc<Bans>,
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
    /// What the kernel lets through, and what neighbours are asked to send.
    valves: [Valve; 2],
    /// What the kernel draws lots with, and until when.
    key: (u64, Time),
    sources: Option<Sources>,
    banned: Banned,
    /// What is logged of overload, and of bans.
    episode: Episode,
    ban_lines: Throttle,
}

fn place(key: ServerKey) -> (usize, u32) {
    (key.0 as usize % RECENT, (key.0 >> 32) as u32)
}

impl Admission {
    pub(super) fn new(congestion: Arc<CongestionManager>, sources: Option<Sources>) -> Self {
        Admission {
            congestion,
            zone: Zone::Normal,
            refused: Vec::new(),
            recent: vec![0; RECENT].into(),
            valves: [Valve::new(1), Valve::new(16)],
            key: (0, Time::ZERO),
            sources,
            banned: Banned::default(),
            episode: Episode::default(),
            ban_lines: Throttle::default(),
        }
    }

    /// Looks at what is tolerated: once a turn in which there is `something`, not once a message.
    pub(super) fn begin(&mut self, something: bool, shared: &Shared, rng: &mut Rng, now: Time) {
        let Shared { intake, bans } = shared;
        if something {
            self.zone = self.congestion.zone(now);
            self.banned.follow(bans);
        }
        let [kernel, neighbours] = &mut self.valves;
        let mut changed = kernel.look(now).is_some();
        let share = kernel.share();
        if share < ALL && self.key.1 <= now {
            // As wide as a gate has room for.
            self.key = (rng.next_u64() >> 11, now + KEY_FOR);
            changed = true;
        }
        if changed {
            tracing::debug!(share, "new work that the kernel lets through, of 1024");
            intake.set_gate(Gate { share, key: self.key.0 });
        }
        if let Some(share) = neighbours.look(now) {
            intake.set_wanted(share);
        }
    }

    /// Tells an operator that overload begins or is over: asked once a turn, behind [`Admission::begin`].
    pub(super) fn report(&mut self, stats: &ScannerStats, shard: u16, now: Time) {
        if self.zone == Zone::Normal && !self.episode.is_on() {
            return;
        }
        // That of a turn without messages was not looked at.
        let (zone, shut) = (self.congestion.zone(now), self.valves[0].share() < ALL);
        let lost = Lost { refused: stats.overload.get(), dropped: stats.dropped.get() };
        let wait = self.congestion.longest_wait(now);
        if let Some(news) = self.episode.look(zone, shut, wait, lost, now) {
            news.log(shard);
        }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.valves.iter().filter_map(Valve::deadline).chain(self.episode.deadline()).min()
    }

    /// A request was taken on. Its mark is kept if it could have been refused: marks are all over the memory.
    pub(super) fn remember(&mut self, key: ServerKey, msg: &Message, new: bool) {
        if new {
            self.valves.iter_mut().for_each(Valve::taken);
        } else if self.sources.is_none() || Asks::of_message(msg).is_none() {
            return;
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
    /// Whether what a source sends is not to be read.
    pub(super) fn is_banned(&mut self, flow: &Flow, now: Time) -> bool {
        let Admission { banned, sources, .. } = &self.admission;
        let address = flow.peer.ip();
        let exempt = || sources.as_ref().is_some_and(|sources| sources.exempts(address));
        let banned = banned.contains(address, flow.kind.is_reliable(), exempt, now);
        if banned {
            count(&self.parts.stats.banned);
        }
        banned
    }

    /// What came from this source is no SIP, or too much.
    pub(super) fn offence(&mut self, flow: &Flow, now: Time) {
        let (address, sources) = (flow.peer.ip(), &mut self.admission.sources);
        let Some(length) = sources.as_mut().and_then(|s| s.offends(Asker::of(flow), now)) else { return };
        let cause = if flow.kind.is_reliable() { Cause::Connections } else { Cause::Datagrams };
        let Shared { bans, .. } = &self.parts.shared;
        if !bans.set(address, cause, length, now) {
            tracing::debug!(peer = %address, "no room for a ban");
            return;
        }
        count(&self.parts.stats.bans);
        if let Some(others) = self.admission.ban_lines.passes(now) {
            tracing::warn!(peer = %address, seconds = length.as_secs(), others_since = others, "banned");
        }
        self.admission.banned.follow(bans);
    }

    /// Whether a source may have a request served, by its rate; `asks` is asked only when there is one.
    fn is_excess(&mut self, asks: impl FnOnce() -> Option<Asks>, flow: &Flow, now: Time) -> bool {
        let Some(sources) = &mut self.admission.sources else { return false };
        let excess = asks().is_some_and(|asks| !sources.allows(Asker::of(flow), asks, now));
        if excess {
            count(&self.parts.stats.excess);
            self.offence(flow, now);
        }
        excess
    }

    /// Whether a datagram goes on to be read.
    pub(super) fn admits(&mut self, bytes: &Bytes, flow: Flow, at: Time, now: Time) -> bool {
        let excess = self.is_excess(|| Asks::of(bytes), &flow, now);
        let verdict = match self.admission.judge(|| Work::of(bytes)) {
            Verdict::Serve if excess => Verdict::Refuse,
            // Nobody would repeat a WebSocket message.
            Verdict::Drop if flow.kind.is_reliable() => Verdict::Refuse,
            verdict => verdict,
        };
        if verdict != Verdict::Serve && !excess {
            let [kernel, _] = &mut self.admission.valves;
            // What comes otherwise than through the filter, or past it, is no reason to shut out who cannot pass it.
            if flow.kind == TransportType::Udp && decides(bytes) {
                kernel.refused();
            }
        }
        match verdict {
            Verdict::Serve => return true,
            // What is worth more goes first.
            Verdict::Refuse => self.admission.refused.push((bytes.clone(), flow, at)),
            Verdict::Drop => {
                count(&self.parts.stats.dropped);
                if self.parts.control && seems_to_offer(bytes) {
                    self.admission.valves[1].refused();
                }
            }
        }
        false
    }

    /// Whether a message of a stream goes on. Nobody would repeat one that is dropped, so it gets its answer.
    pub(super) fn admits_message(&mut self, msg: &mut Message, flow: Flow, now: Time) -> bool {
        let excess = self.is_excess(|| Asks::of_message(msg), &flow, now);
        let verdict = if excess { Verdict::Refuse } else { self.admission.judge(|| Work::of_message(msg)) };
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
                        self.message(Box::new(msg), flow, at, now);
                    }
                }
                Err(_) => {
                    count(&self.parts.stats.garbage);
                    self.offence(&flow, now);
                }
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
        self.parts.tap.received(|| msg.to_bytes(), flow, now);
        count(&self.parts.stats.overload);
        // What strangers are refused is nothing that neighbours could leave out.
        if self.parts.control && report(msg, self.parts.shared.intake.wanted(), now) {
            self.admission.valves[1].refused();
        }
        let after = self.admission.congestion.retry_after() + self.parts.rng.range(SPREAD) as u32;
        self.parts.tally.response_sent(msg.method() == Some(Method::Invite), 503);
        let bytes = refuse(msg, &flow, key, after);
        self.parts.tap.sent(&bytes, reply_to, now);
        self.reply(bytes, reply_to, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overload::SourceLimits;

    fn message(method: &str, to: &str) -> Message {
        Message::parse(format!("{method} sip:a@b SIP/2.0\r\nTo: <sip:a@b>{to}\r\n\r\n").into_bytes()).unwrap()
    }

    #[test]
    fn only_what_could_have_been_refused_leaves_a_mark() {
        let limits = SourceLimits { rate: 1, ..SourceLimits::default() };
        let limited = Sources::new(&limits, &mut Rng::from_seed(1));
        for (sources, within) in [(None, false), (limited, true)] {
            let mut admission = Admission::new(Arc::new(CongestionManager::new()), sources);
            for (n, method, to, expected) in [
                (1, "INVITE", "", true),
                (2, "INVITE", ";tag=1", within),
                (3, "BYE", ";tag=1", false),
                (4, "ACK", "", false),
            ] {
                let key = ServerKey(n << 32 | n);
                admission.remember(key, &message(method, to), method == "INVITE" && to.is_empty());
                assert_eq!(admission.is_recent(key), expected, "{method}{to}");
            }
        }
    }
}
