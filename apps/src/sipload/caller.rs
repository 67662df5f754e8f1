//! The caller of one shard: a transaction user that starts sessions, calls or single requests, when the schedule says so.

use super::credentials;
use super::dialog::{Dialog, Remote};
use super::job::Job;
use super::pace::{BATCH, Pace, share};
use super::schedule::Shape;
use super::session::{Action, Event, State, step};
use super::stats::Stats;
use super::template::{Fill, message};
use super::users::Users;
use super::way::Way;
use crate::hop::Hop;
use rutil::rng::Token;
use rutil::{HashMap, Keyed, Rng, Slab, Time, Wheel};
use stack::header::{HeaderId, Method};
use stack::message::{Message, reason_phrase};
use stack::transport::{ConnectionId, Flow, TransportType};
use stack::tu::{ClientTransaction, NextHop, NoResponse, ServerTransaction, TransactionUser, TuContext, TuEvent};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How exactly calls are held, in ns: to 10 ms, so that many end in one go.
const HOLD_TICK: u64 = 10_000_000;

/// What all shards' callers have in common.
pub(super) struct CallerOptions {
    /// When calls start.
    pub(super) shape: Shape,
    /// What each session does.
    pub(super) job: Job,
    /// Who does it; none: nobody in particular, who answers no challenge.
    pub(super) users: Option<Users>,
    /// The Request-URI, and To.
    pub(super) target: String,
    /// Where the first request goes.
    pub(super) hop: Hop,
    /// The most calls in progress, of all shards.
    pub(super) limit: u32,
    /// Shards.
    pub(super) shards: u16,
}

/// What the program posts: all calls are to end.
pub(super) struct Stop;

/// A session.
struct Session {
    state: State,
    /// Its number, from which its Call-ID, its tag and its user follow.
    id: u64,
    /// The CSeq number of the first request.
    cseq: u32,
    /// What the first request answered a challenge with: header lines, mostly none.
    credentials: String,
    /// When its times began: when it was due, or when it was started, if that was before.
    due: Time,
    /// When BYE was sent.
    ending: Time,
    first: ClientTransaction,
    bye: Option<ClientTransaction>,
    /// BYEs that were sent.
    byes: u32,
    /// Where the requests of the dialog go.
    next_hop: NextHop,
    dialog: Option<Dialog>,
}

/// A session's place.
type At = (u32, u32);

/// The caller of one shard.
pub(super) struct Caller {
    options: Arc<CallerOptions>,
    shard: u16,
    stats: Arc<Stats>,
    /// How sessions leave, one after the other; none before the run has begun.
    ways: Vec<Way>,
    /// Where the latest dialog went.
    remote: Remote,
    run: Token<8>,
    pace: Pace,
    sessions: Slab<Session>,
    transactions: HashMap<ClientTransaction, At>,
    /// By their numbers, for what the peers ask within them.
    by_id: HashMap<u64, At>,
    holds: Wheel<At, HOLD_TICK>,
    started: u64,
}

impl Caller {
    pub(super) fn new(options: Arc<CallerOptions>, shard: u16, stats: Arc<Stats>, rng: &mut Rng) -> Self {
        Caller {
            pace: Pace::new(Some(&options.shape), options.limit, (shard, options.shards)),
            options,
            shard,
            stats,
            ways: Vec::new(),
            remote: Remote::default(),
            run: rng.token(),
            sessions: Slab::new(),
            transactions: HashMap::with_hasher(Keyed::new(rng)),
            by_id: HashMap::with_hasher(Keyed::new(rng)),
            holds: Wheel::new(),
            started: 0,
        }
    }

    /// The run begins: now it is known which addresses the transports have.
    fn begin(&mut self, stack: &TuContext<'_>) {
        let CallerOptions { job, users, target, hop, .. } = &*self.options;
        let Hop { kind, address: peer, .. } = *hop;
        let (connection, local) = (ConnectionId::default(), None);
        let own = stack.transports().iter().filter(|own| own.kind == kind && own.shard == self.shard);
        let way = |transport| Flow { transport, kind, connection, peer, local };
        let request = |own| job.request(target, kind, own, users.is_some());
        self.ways = own.map(|own| Way::new(way(own.id), request(own.advertised))).collect();
        self.pace.begin(stack.now());
    }

    /// Starts what is due.
    fn start_due(&mut self, stack: &mut TuContext<'_>) {
        let now = stack.now();
        for _ in 0..BATCH {
            let Some(due) = self.pace.take(self.sessions.len(), now) else { return };
            self.start(due, stack);
        }
    }

    fn start(&mut self, due: Time, stack: &mut TuContext<'_>) {
        let now = stack.now();
        if self.sessions.len() >= share(self.options.limit, self.shard, self.options.shards) {
            self.stats.not_started.inc();
            return;
        }
        // Each shard has numbers of its own.
        let id = self.started * u64::from(self.options.shards) + u64::from(self.shard);
        let Some((first, credentials)) = self.send_first(id, 1, None, stack) else {
            self.stats.not_started.inc();
            return;
        };
        let (state, due_or_now) = (State::Calling, due.min(now));
        let session = Session {
            state,
            id,
            cseq: 1,
            credentials,
            due: due_or_now,
            ending: now,
            first,
            bye: None,
            byes: 0,
            next_hop: NextHop::Route,
            dialog: None,
        };
        let at = self.sessions.insert(session);
        self.transactions.insert(first, at);
        self.by_id.insert(id, at);
        self.started += 1;
        self.stats.started.inc();
        self.stats.in_progress.add(1);
        self.stats.started_at(due, now);
    }

    /// Sends the first request of a session, with an answer to `refusal`, which is returned as well. None if there is none.
    fn send_first(
        &mut self,
        id: u64,
        cseq: u32,
        refusal: Option<&Message>,
        stack: &mut TuContext<'_>,
    ) -> Option<(ClientTransaction, String)> {
        let user = self.options.users.as_ref().map(|users| users.get(id));
        let (name, domain) = user.as_ref().map_or(("sipload", ""), |user| (&user.name, &user.domain));
        let at = way_of(id, &self.options, self.ways.len());
        let way = self.ways.get_mut(at)?;
        let mut fill = Fill { via: b"", id, run: &self.run, cseq, name, domain, credentials: "" };
        let lines = match refusal {
            Some(refusal) => {
                let request = message(way.first.render(&fill))?;
                credentials::answer(refusal, &request, user.as_ref()?, stack.rng())?
            }
            None => String::new(),
        };
        fill.credentials = &lines;
        let (method, next_hop) = (Method::from_token(self.options.job.method()), NextHop::From(way.flow));
        let sent = way.send(method, next_hop, |first, via| first.render(&Fill { via, ..fill }), stack)?;
        Some((sent, lines))
    }

    /// Sends the first request again, with credentials. False when the challenge cannot be answered.
    fn authorize(&mut self, at: At, refusal: Option<&Message>, stack: &mut TuContext<'_>) -> bool {
        let Some((id, cseq, before)) = self.sessions.get(at.0, at.1).map(|s| (s.id, s.cseq + 1, s.first)) else {
            return false;
        };
        let sent = refusal.and_then(|refusal| self.send_first(id, cseq, Some(refusal), stack));
        let Some((first, credentials)) = sent else { return false };
        self.transactions.remove(&before);
        self.transactions.insert(first, at);
        if let Some(session) = self.sessions.get_mut(at.0, at.1) {
            (session.first, session.cseq, session.credentials) = (first, cseq, credentials);
        }
        true
    }

    /// Sends BYE: the first, or another that answers `refusal`. False when there is nothing to send.
    fn send_bye(&mut self, at: At, refusal: Option<&Message>, stack: &mut TuContext<'_>) -> bool {
        let Some(session) = self.sessions.get_mut(at.0, at.1) else { return false };
        let Some(dialog) = &session.dialog else { return false };
        let lines = match (refusal, &self.options.users) {
            (None, _) => Some(String::new()),
            (Some(refusal), Some(users)) => {
                let (user, bye) = (users.get(session.id), message(dialog.bye(1, b"", "")));
                bye.and_then(|bye| credentials::answer(refusal, &bye, &user, stack.rng()))
            }
            (Some(_), None) => None,
        };
        let way = way_of(session.id, &self.options, self.ways.len());
        let (Some(lines), Some(way)) = (lines, self.ways.get_mut(way)) else { return false };
        let nth = session.byes + 1;
        let bye = way.send(Method::Bye, session.next_hop, |_, via| dialog.bye(nth, via, &lines), stack);
        let Some(bye) = bye else { return false };
        session.byes = nth;
        if let Some(before) = session.bye.replace(bye) {
            self.transactions.remove(&before);
        }
        self.transactions.insert(bye, at);
        true
    }

    /// Something happened to a session; `why` is asked when that is its failure.
    fn happens(
        &mut self,
        at: At,
        event: Event,
        message: Option<&Message>,
        why: impl Fn() -> String,
        stack: &mut TuContext<'_>,
    ) {
        let Some(session) = self.sessions.get_mut(at.0, at.1) else { return };
        let (state, actions) = step(session.state, event);
        session.state = state;
        let heard = message.and_then(Message::source).map_or(stack.now(), |source| source.at);
        let (mut hold_over, mut authorize, mut bye) = (false, false, None);
        for action in actions {
            match action {
                Action::NoteRinging => self.stats.ringing.record(heard.since(session.due)),
                Action::NoteAnswer => self.stats.answered.record(heard.since(session.due)),
                Action::Ack => {
                    let way = way_of(session.id, &self.options, self.ways.len());
                    if let (Some(answer), Some(way)) = (message, self.ways.get_mut(way)) {
                        self.remote.learn(answer, &self.options.target, &self.options.hop);
                        acknowledge(session, answer, &self.remote, way, stack);
                    }
                }
                Action::Authorize => authorize = true,
                Action::Hold => match self.options.job {
                    Job::Call(hold) if !hold.is_zero() => self.holds.arm(stack.now() + hold, at),
                    _ => hold_over = true,
                },
                Action::Bye => (bye, session.ending) = (Some(None), stack.now()),
                Action::AuthorizeBye => bye = Some(message),
                Action::Cancel => stack.cancel(session.first, None),
                Action::NoteBye => self.stats.bye.record(heard.since(session.ending)),
                Action::Succeeded => self.stats.succeeded.inc(),
                Action::Failed => self.stats.fail(why()),
                Action::Stopped => self.stats.stopped.inc(),
                Action::HungUp => self.stats.hung_up.inc(),
            }
        }
        if state == State::Over {
            self.forget(at);
        } else if let Some(refusal) = bye {
            if !self.send_bye(at, refusal, stack) {
                self.happens(at, Event::ByeFailure, message, why, stack);
            }
        } else if hold_over {
            self.happens(at, Event::HoldOver, None, why, stack);
        } else if authorize && !self.authorize(at, message, stack) {
            self.happens(at, Event::Failure, message, why, stack);
        }
    }

    fn forget(&mut self, at: At) {
        let Some(session) = self.sessions.remove(at.0, at.1) else { return };
        self.transactions.remove(&session.first);
        self.by_id.remove(&session.id);
        session.bye.map(|bye| self.transactions.remove(&bye));
        self.stats.in_progress.add(-1);
    }

    /// A response, or the news that there is none.
    fn answered(
        &mut self,
        transaction: ClientTransaction,
        answer: Result<&Message, NoResponse>,
        stack: &mut TuContext<'_>,
    ) {
        let Some(at) = self.transactions.get(&transaction).copied() else { return };
        let Some(session) = self.sessions.get(at.0, at.1) else { return };
        let to_bye = session.bye == Some(transaction);
        let may_answer = if to_bye { session.byes == 1 } else { session.cseq == 1 } && self.options.users.is_some();
        let is_call = matches!(self.options.job, Job::Call(_));
        let code = answer.map_or(0, |message| message.status().unwrap_or(0));
        let event = match (to_bye, code) {
            (false, 101..=199) => Event::Provisional,
            (false, 200..=299) if is_call => Event::Success,
            (false, 200..=299) => Event::Done,
            (false, 401 | 407) if may_answer => Event::Challenge,
            (true, 200..=299) => Event::ByeSuccess,
            (true, 401 | 407) if may_answer => Event::ByeChallenge,
            (_, 100..=199) => return,
            (false, _) => Event::Failure,
            (true, _) => Event::ByeFailure,
        };
        let method = if to_bye { "BYE" } else { self.options.job.method() };
        let why = || match answer {
            Ok(_) => format!("{method}: {code} {}", reason_phrase(code)),
            Err(reason) => format!("{method}: {reason}"),
        };
        self.happens(at, event, answer.ok(), why, stack);
    }

    /// The call that a request of the peer is in.
    fn call_of(&self, request: &Message) -> Option<At> {
        let (_, call_id) = request.fields().find(|(id, _)| *id == HeaderId::CALL_ID)?;
        let (id, run) = std::str::from_utf8(call_id).ok()?.split_once('-')?;
        let at = self.by_id.get(&id.parse().ok()?).copied()?;
        let dialog = self.sessions.get(at.0, at.1)?.dialog.as_ref()?;
        (run == &*self.run && dialog.is_from_peer(request)).then_some(at)
    }

    /// What a peer asks of itself.
    fn asked(&mut self, transaction: ServerTransaction, request: &Message, stack: &mut TuContext<'_>) {
        self.stats.requests.inc();
        let method = request.method();
        let method = method.as_ref().map(|method| method.as_str());
        let of_call = self.call_of(request);
        let code = match method {
            Some("BYE") if of_call.is_none() => 481,
            Some("BYE" | "OPTIONS" | "NOTIFY" | "INFO") => 200,
            Some("INVITE") => 486,
            _ => 405,
        };
        stack.respond_status(transaction, code);
        if let Some(at) = of_call.filter(|_| method == Some("BYE")) {
            self.happens(at, Event::PeerBye, None, String::new, stack);
        }
    }

    /// Ends all calls; other requests have their answers soon.
    fn stop(&mut self, stack: &mut TuContext<'_>) {
        self.pace.stop();
        if !matches!(self.options.job, Job::Call(_)) {
            return;
        }
        let all: Vec<At> = self.transactions.values().copied().collect();
        for at in all {
            self.happens(at, Event::Stop, None, String::new, stack);
        }
    }

    fn look_for_end(&self) {
        if self.pace.is_over() && self.sessions.is_empty() {
            self.stats.done.store(true, Ordering::Release);
        }
    }
}

/// Which of so many ways session `id` leaves.
fn way_of(id: u64, options: &CallerOptions, ways: usize) -> usize {
    (id / u64::from(options.shards)) as usize % ways.max(1)
}

/// Acknowledges a 2xx. A second dialog of the same INVITE (a fork) is ended at once (RFC 3261 §13.2.2.4).
fn acknowledge(session: &mut Session, answer: &Message, remote: &Remote, way: &mut Way, stack: &mut TuContext<'_>) {
    let credentials = &session.credentials;
    if session.dialog.as_ref().is_some_and(|dialog| !dialog.has(answer)) {
        let fork = Dialog::of(answer, remote, session.cseq);
        way.send_ack(session.next_hop, |via| fork.ack(via, credentials), stack);
        way.send(Method::Bye, session.next_hop, |_, via| fork.bye(1, via, ""), stack);
        return;
    }
    let dialog = session.dialog.get_or_insert_with(|| {
        // A WebSocket client has its connection and no other way; the rest of a call goes out on the way that it began on where
        // it leads to the same place.
        let websocket = matches!(way.flow.kind, TransportType::Ws | TransportType::Wss);
        if websocket || remote.is_at_hop() {
            session.next_hop = NextHop::From(way.flow);
        }
        Dialog::of(answer, remote, session.cseq)
    });
    way.send_ack(session.next_hop, |via| dialog.ack(via, credentials), stack);
}

impl TransactionUser for Caller {
    fn name(&self) -> &'static str {
        "caller"
    }

    fn process(&mut self, event: TuEvent, stack: &mut TuContext<'_>) {
        match event {
            TuEvent::Response { transaction, msg } => {
                self.stats.heard.inc();
                self.answered(transaction, Ok(&msg), stack);
            }
            TuEvent::NoResponse { transaction, reason } => self.answered(transaction, Err(reason), stack),
            TuEvent::Request { transaction, msg } => self.asked(transaction, &msg, stack),
            TuEvent::Posted(item) if item.is::<Stop>() => self.stop(stack),
            _ => {}
        }
        self.look_for_end();
    }

    fn deadline(&self) -> Option<Time> {
        if self.ways.is_empty() {
            return Some(Time::ZERO);
        }
        self.pace.deadline(self.sessions.len()).into_iter().chain(self.holds.next_deadline()).min()
    }

    fn wake(&mut self, stack: &mut TuContext<'_>) {
        if self.ways.is_empty() {
            self.begin(stack);
        }
        while let Some(at) = self.holds.pop(stack.now()) {
            self.happens(at, Event::HoldOver, None, String::new, stack);
        }
        self.start_due(stack);
        self.look_for_end();
    }
}

#[cfg(test)]
#[path = "caller_tests.rs"]
mod tests;
