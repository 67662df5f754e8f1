//! The proxy core (RFC 3261 §16): a transaction user that forwards requests and sends back the best response.
//!
//! ```text
//!   Request ──> RequestContext ── request chain ──> answered (or dropped)
//!                                      │
//!                                      └──> Forwarding ──> ResponseContext, one branch for each target
//!   Response, NoResponse, Cancelled, Timer C ───────────────────^   │
//!                                                                   └──> the best response
//! ```
//!
//! One [`Proxy`] serves one shard. It keeps a `ResponseContext` for each request that it forwarded, until its last
//! branch has had its final response; the stack's limit on transactions bounds them. Of an INVITE that was answered
//! with 2xx there stays one entry of 32 octets in a map, until the client transaction ends (Timer M): it sends further
//! 2xx on their way (§16.7 step 5).

mod best;
mod forward;
mod request_context;
mod response_context;
mod server;

#[cfg(test)]
mod tests;

pub use request_context::{RequestContext, RequestUri, Verb, aor_key};
pub use server::Server;

use crate::location::{By, SWEEP_EVERY};
use crate::processors::{Processor, ProcessorResult, request_chain};
use crate::registrar;
use best::Best;
use response_context::{Begun, Branch, Forwarding, ResponseContext, direct};
use rutil::hash::Keyed;
use rutil::{HashMap, Rng, Time, Wheel};
use slab::Slab;
use stack::header::h;
use stack::message::Message;
use stack::transaction::TimerValues;
use stack::transport::TransportError;
use stack::tu::{
    AddPath, ClientTransaction, MessageFilterRule, NoResponse, ServerTransaction, TransactionUser, TuContext, TuEvent,
    TuOptions,
};
use std::sync::Arc;
use std::time::Duration;

/// Timer C may be late by a second: it is longer than three minutes anyway.
const SECOND: u64 = 1_000_000_000;

/// How long a shutdown waits for the ACK after a 2xx was sent back: two repetitions of the 2xx (500 ms and 1 s after the
/// one before, RFC 3261 §13.3.1.4) and a round trip. Without its ACK the call would end where it began.
const ACK_WAIT: Duration = Duration::from_secs(2);

/// The proxy of one shard.
pub struct Proxy {
    server: Arc<Server>,
    chain: Vec<Box<dyn Processor>>,
    contexts: Slab<ResponseContext>,
    /// The context of each branch that waits for a final response.
    branches: HashMap<ClientTransaction, usize>,
    /// The context of each INVITE that may be cancelled.
    invites: HashMap<ServerTransaction, usize>,
    /// Where 2xx go that come after the context has ended.
    accepted: HashMap<ClientTransaction, ServerTransaction>,
    /// One entry for each INVITE branch; those whose branch has ended mean nothing.
    timer_c: Wheel<ClientTransaction, SECOND>,
    c: Duration,
    /// Until when the ACK for the last 2xx may come.
    acks_until: Option<Time>,
    sweep_at: Time,
}

impl Proxy {
    /// The proxy of one shard; `rng` gives the secrets of its tables.
    pub fn new(server: Arc<Server>, rng: &mut Rng) -> Self {
        let hasher = Keyed::new(rng);
        Proxy {
            server,
            chain: request_chain(),
            contexts: Slab::new(),
            branches: HashMap::with_hasher(hasher.clone()),
            invites: HashMap::with_hasher(hasher.clone()),
            accepted: HashMap::with_hasher(hasher),
            timer_c: Wheel::new(),
            c: TimerValues::default().c,
            acks_until: None,
            sweep_at: Time::ZERO,
        }
    }

    /// How a proxy is registered with the stack: it takes every request and wants to know when transactions end.
    pub fn options() -> TuOptions {
        TuOptions { rule: MessageFilterRule::any(), refuse_merged: false, terminations: true }
    }

    fn on_request(&mut self, msg: Box<Message>, transaction: Option<ServerTransaction>, stack: &mut TuContext<'_>) {
        let server = self.server.clone();
        let mut context = RequestContext::new(msg, transaction, &server, stack);
        for processor in &self.chain {
            match processor.process(&mut context) {
                ProcessorResult::Continue => {}
                ProcessorResult::SkipThisChain => break,
                ProcessorResult::SkipAllChains => {
                    tracing::trace!(processor = processor.name(), "request ends here");
                    return;
                }
            }
        }
        let verb = context.verb;
        let forwarding = context.into_forwarding();
        match (transaction, verb) {
            (Some(transaction), Verb::Invite) => self.forward(forwarding, transaction, true, stack),
            (None, _) => send_stateless(forwarding, stack),
            (Some(transaction), _) => self.forward(forwarding, transaction, false, stack),
        }
    }

    fn forward(
        &mut self,
        forwarding: Forwarding,
        transaction: ServerTransaction,
        invite: bool,
        stack: &mut TuContext<'_>,
    ) {
        if !forwarding.fits() {
            return stack.respond_status(transaction, 440);
        }
        let mut context = ResponseContext::new(transaction, invite);
        if forwarding.options.path == AddPath::Flow && registrar::registers_flow(&forwarding.request) {
            context.device = forwarding.request.source().map(|source| Box::new(source.flow));
        }
        let slot = self.contexts.insert(context);
        if invite {
            self.invites.insert(transaction, slot);
        }
        self.start(slot, forwarding, stack);
    }

    /// Begins the branches of the most preferred targets.
    fn start(&mut self, slot: usize, forwarding: Forwarding, stack: &mut TuContext<'_>) {
        let (begun, rest) = forwarding.start(stack);
        let Some(context) = self.contexts.get_mut(slot) else { return };
        // The next flow of a device leaves nothing, and the targets of lower preference where they are.
        context.rest = rest.or(context.rest.take());
        let timer_c = stack.now() + self.c;
        for Begun { client, if_lost, fallback } in begun {
            context.branches.push(Branch { client, proceeding: false, if_lost, timer_c, fallback });
            self.branches.insert(client, slot);
            if context.invite {
                self.timer_c.arm(timer_c, client);
            }
        }
    }

    /// §16.7: the response comes with our Via on top, which is taken off.
    fn on_response(&mut self, client: ClientTransaction, mut msg: Box<Message>, stack: &mut TuContext<'_>) {
        let Some(code) = msg.status() else { return };
        msg.pop_front(h::VIAS);
        if !msg.exists(h::VIAS) {
            tracing::debug!(code, "response without a Via of its sender");
            // Nobody is waiting for it; for its context it counts as a bad gateway's.
            return if code >= 200 {
                self.end_branch(client, Best::Local(502), stack)
            };
        }
        let Some(&slot) = self.branches.get(&client) else {
            if let (Some(&server), 200..=299) = (self.accepted.get(&client), code) {
                self.acks_until = Some(stack.now() + ACK_WAIT);
                stack.respond(server, msg);
            }
            return;
        };
        match code {
            ..=199 => self.on_provisional(slot, client, code, msg, stack),
            200..=299 => self.on_success(slot, client, msg, stack),
            // RFC 5626 §7: only this says that it is the flow, and not the device.
            430 if self.try_next_flow(client, true, stack) => {}
            _ => self.end_branch(client, Best::Received(msg), stack),
        }
    }

    /// The flow of a device is dead, or not to be had: the next one gets the request, in the place of the branch that
    /// failed. One that is dead is forgotten. Whether that settles it.
    fn try_next_flow(&mut self, client: ClientTransaction, dead: bool, stack: &mut TuContext<'_>) -> bool {
        let Some(&slot) = self.branches.get(&client) else { return false };
        let Some(context) = self.contexts.get_mut(slot) else { return false };
        let Some(fallback) = context.branch(client).and_then(|branch| branch.fallback.take()) else { return false };
        if dead {
            tracing::debug!(aor = fallback.aor, contact = &*fallback.flow.uri, "flow failed");
            self.server.location().remove(&fallback.aor, &fallback.flow);
        }
        match fallback.next.filter(|_| !context.closed) {
            Some(next) => {
                context.remove(client);
                self.branches.remove(&client);
                self.start(slot, next, stack);
            }
            None if dead => self.end_branch(client, Best::Local(480), stack),
            None => return false,
        }
        true
    }

    fn on_provisional(
        &mut self,
        slot: usize,
        client: ClientTransaction,
        code: u16,
        msg: Box<Message>,
        stack: &mut TuContext<'_>,
    ) {
        let timer_c = stack.now() + self.c;
        let Some(context) = self.contexts.get_mut(slot) else { return };
        if let Some(branch) = context.branch(client) {
            branch.proceeding = true;
            // Step 2: each but 100 sets Timer C back.
            if code > 100 {
                branch.timer_c = timer_c;
            }
        }
        // Step 5; RFC 4320 §4.1 allows a non-INVITE client nothing but the 100 that the stack sends.
        if code > 100 && context.invite && !context.answered {
            stack.respond(context.server, msg);
        }
    }

    /// Steps 5 and 10: a 2xx is forwarded at once, and ends the other branches.
    fn on_success(&mut self, slot: usize, client: ClientTransaction, mut msg: Box<Message>, stack: &mut TuContext<'_>) {
        self.branches.remove(&client);
        let Some(context) = self.contexts.get_mut(slot) else { return };
        context.remove(client);
        if context.invite {
            self.accepted.insert(client, context.server);
            self.acks_until = Some(stack.now() + ACK_WAIT);
        }
        if let Some(flow) = context.device.take() {
            let timer = self.server.config().registrar.flow_timer;
            registrar::keep_alives_through(&mut msg, &flow, timer, stack);
        }
        if context.invite || !context.answered {
            stack.respond(context.server, msg);
        }
        context.answered = true;
        context.close(Some("SIP;cause=200;text=\"Call completed elsewhere\""), stack);
        self.settle(slot, stack);
    }

    /// A branch has ended without success.
    fn end_branch(&mut self, client: ClientTransaction, outcome: Best, stack: &mut TuContext<'_>) {
        let Some(slot) = self.branches.remove(&client) else { return };
        let Some(context) = self.contexts.get_mut(slot) else { return };
        context.remove(client);
        let global = outcome.code() >= 600;
        context.best.consider(outcome);
        if global {
            context.close(None, stack);
        }
        self.settle(slot, stack);
    }

    /// When no branch is left: the next targets, or the answer and the end.
    fn settle(&mut self, slot: usize, stack: &mut TuContext<'_>) {
        let Some(context) = self.contexts.get_mut(slot) else { return };
        let waits = !context.branches.is_empty() && (context.invite || !context.answered);
        if waits {
            return;
        }
        if let Some(rest) = context.rest.take() {
            if rest.fits() {
                return self.start(slot, *rest, stack);
            }
            context.best.consider(Best::Local(440));
        }
        context.answer(stack);
        let (server, invite) = (context.server, context.invite);
        for branch in &context.branches {
            self.branches.remove(&branch.client);
        }
        if invite {
            self.invites.remove(&server);
        }
        self.contexts.remove(slot);
    }

    /// §16.10: the branches are cancelled; their responses answer the request.
    fn on_cancelled(&mut self, transaction: ServerTransaction, cancel: &Message, stack: &mut TuContext<'_>) {
        let Some(&slot) = self.invites.get(&transaction) else { return };
        let Some(context) = self.contexts.get_mut(slot) else { return };
        context.cancelled = true;
        let reason = cancel.raw_values("Reason").next().and_then(|value| std::str::from_utf8(value).ok());
        context.close(reason, stack);
        self.settle(slot, stack);
    }

    /// §16.8: a branch that rang for too long is cancelled; one that never answered is over.
    fn on_timer_c(&mut self, client: ClientTransaction, stack: &mut TuContext<'_>) {
        let Some(&slot) = self.branches.get(&client) else { return };
        let Some(branch) = self.contexts.get_mut(slot).and_then(|context| context.branch(client)) else { return };
        if branch.timer_c > stack.now() {
            self.timer_c.arm(branch.timer_c, client);
        } else if branch.proceeding {
            stack.cancel(client, None);
        } else {
            self.end_branch(client, Best::Local(408), stack);
        }
    }

    fn on_no_response(&mut self, client: ClientTransaction, reason: NoResponse, stack: &mut TuContext<'_>) {
        tracing::debug!(?client, %reason, "no response");
        let Some(branch) = self.branch(client) else { return };
        let (if_lost, by) = (branch.if_lost, branch.fallback.as_ref().map(|fallback| &fallback.flow.by));
        // Where a Path begins may be away for a moment, or the way there; what names a connection ends with it.
        let (dead, next) = match by {
            Some(By::Flow(_)) if reason.is_dead_flow() => (true, true),
            Some(By::Flow(_)) => (false, reason == NoResponse::Transport(TransportError::Unreachable)),
            Some(By::Path(_)) => (false, reason != NoResponse::Timeout),
            Some(By::Uri) | None => (false, false),
        };
        if next && self.try_next_flow(client, dead, stack) {
            return;
        }
        // Who is told 430 forgets the flow (RFC 5626 §5.3.1): our own trouble is no reason for that.
        let lost = matches!(reason, NoResponse::Transport(_)) && (if_lost != 430 || reason.is_dead_flow());
        let code = if lost { if_lost } else { reason.status() };
        self.end_branch(client, Best::Local(code), stack);
    }

    fn branch(&mut self, client: ClientTransaction) -> Option<&mut Branch> {
        let slot = self.branches.get(&client)?;
        self.contexts.get_mut(*slot)?.branch(client)
    }
}

/// An ACK goes to one place.
fn send_stateless(mut forwarding: Forwarding, stack: &mut TuContext<'_>) {
    forwarding.set_breadth(1);
    let (options, _) = forwarding.way(forwarding.targets.first());
    let Forwarding { mut request, targets, .. } = forwarding;
    direct(&mut request, targets.first());
    stack.send_stateless(request, options);
}

impl TransactionUser for Proxy {
    fn name(&self) -> &'static str {
        "proxy"
    }

    fn process(&mut self, event: TuEvent, stack: &mut TuContext<'_>) {
        match event {
            TuEvent::Request { transaction, msg } => self.on_request(msg, Some(transaction), stack),
            TuEvent::Ack { msg } => self.on_request(msg, None, stack),
            TuEvent::Cancelled { transaction, cancel } => self.on_cancelled(transaction, &cancel, stack),
            TuEvent::Response { transaction, msg } => self.on_response(transaction, msg, stack),
            TuEvent::NoResponse { transaction, reason } => self.on_no_response(transaction, reason, stack),
            TuEvent::ClientEnded { transaction } => drop(self.accepted.remove(&transaction)),
            // A server transaction that ended takes no more responses; its branches end by themselves.
            TuEvent::ServerEnded { .. } | TuEvent::NotDelivered { .. } | TuEvent::Posted(_) => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        let sweep = (!self.server.location().is_empty()).then_some(self.sweep_at);
        self.timer_c.next_deadline().into_iter().chain(sweep).chain(self.acks_until).min()
    }

    fn wake(&mut self, stack: &mut TuContext<'_>) {
        let now = stack.now();
        while let Some(client) = self.timer_c.pop(now) {
            self.on_timer_c(client, stack);
        }
        self.acks_until = self.acks_until.filter(|until| *until > now);
        if self.sweep_at <= now {
            self.server.location().sweep(now);
            self.sweep_at = now + SWEEP_EVERY;
        }
    }

    fn drained(&self) -> bool {
        self.contexts.is_empty() && self.acks_until.is_none()
    }
}
