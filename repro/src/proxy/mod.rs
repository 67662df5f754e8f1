//! The proxy core (RFC 3261 §16): a transaction user that forwards requests and sends back the best response.
//!
//! ```text
//!   Request ──> RequestContext ── request chain ──> answered (or dropped)
//!                    ^                 │   └──────> parked, until an answer comes from elsewhere ──┐
//!                    └─────────────────┼───────────────────────────────────────────────────────────┘
//!                                      └──> Forwarding ── target chain ──> ResponseContext, a branch for each target
//!   Response, NoResponse, Cancelled, Timer C, time of a step ── response chain ──^   │
//!                                                                                    └──> the best response
//! ```
//!
//! One [`Proxy`] serves one shard. It keeps a `ResponseContext` for each request that it forwarded, until its last
//! branch has had its final response; the stack's limit on transactions bounds them. Of an INVITE that was answered
//! with 2xx there stays one entry of 40 octets in a map, until the client transaction ends (Timer M): it sends further
//! 2xx on their way (§16.7 step 5).

mod accounts;
mod agent;
mod best;
mod counters;
mod forward;
mod held;
mod parked;
mod posted;
mod request_context;
mod response_context;
mod responses;
mod server;
mod target;
mod view;

#[cfg(test)]
mod tests;

pub use agent::{Agent, AgentContext};
pub(crate) use counters::Counters;
pub use parked::{NotTaken, Waiter};
pub use posted::{Beat, Withdraw};
pub use request_context::{RequestContext, RequestState, RequestUri, Verb, aor_key};
pub use server::{Keeper, Server};
pub(crate) use target::Ended;
pub use target::{Step, Steps, Target, When, by_preference};
pub use view::{ResponseView, TargetView, Upstream};

use crate::accounting::Account;
use crate::events::{CallKey, EventServer, Parties};
use crate::forwarding::Onward;
use crate::location::SWEEP_EVERY;
use crate::nat::NatPings;
use crate::processors::ProcessorResult;
use crate::registrar;
use crate::routing::probe::Probe;
use crate::silo::Courier;
use accounts::{Answered as AnsweredCall, Tracked};
use best::Best;
use held::Held;
use parked::{Parked, ParkingLot};
use posted::Answered;
use response_context::{Begun, Branch, Forwarding, ResponseContext, Role, Started, direct, write};
use rutil::hash::Keyed;
use rutil::{Counter, HashMap, Rng, Time, Wheel};
use slab::Slab;
use stack::message::Message;
use stack::transaction::TimerValues;
use stack::tu::{
    AddPath, ClientTransaction, MessageFilterRule, ServerTransaction, TransactionUser, TuContext, TuEvent, TuOptions,
};
use std::sync::Arc;
use std::time::Duration;

/// Timer C may be late by a second: it is longer than three minutes anyway.
const SECOND: u64 = 1_000_000_000;

/// How exact the time of a step is, nanoseconds.
const STEP_TICK: u64 = 100_000_000;

/// An INVITE that was answered with 2xx.
struct Accepted {
    server: ServerTransaction,
    /// If it is watched.
    upstream: Option<Box<Upstream>>,
    /// Who has answered, if it is watched.
    target: Option<Box<Target>>,
    /// What was told of it, if somebody is.
    told: Option<Box<AnsweredCall>>,
    /// The call that is told as a dialog.
    call: Option<Box<CallKey>>,
}

/// How long a shutdown waits for the ACK after a 2xx was sent back: two repetitions of the 2xx (500 ms and 1 s after the
/// one before, RFC 3261 §13.3.1.4) and a round trip. Without its ACK the call would end where it began.
const ACK_WAIT: Duration = Duration::from_secs(2);

/// The proxy of one shard.
pub struct Proxy {
    server: Arc<Server>,
    shard: u16,
    contexts: Slab<ResponseContext>,
    /// The context of each branch that waits for a final response.
    branches: HashMap<ClientTransaction, usize>,
    /// The context of each INVITE that may be cancelled.
    invites: HashMap<ServerTransaction, usize>,
    /// Where 2xx go that come after the context has ended.
    accepted: HashMap<ClientTransaction, Accepted>,
    parking: ParkingLot,
    events: EventServer,
    held: Held,
    /// The same where nodes share their bindings.
    shared: Held,
    agents: Vec<Box<dyn Agent>>,
    /// The agent of each request that is one's own.
    own: HashMap<ClientTransaction, usize>,
    /// One entry for each INVITE branch; those whose branch has ended mean nothing.
    timer_c: Wheel<ClientTransaction, SECOND>,
    c: Duration,
    /// One entry for each step that has a time, and for each user whose calls are forwarded after a time: its context and
    /// its number. Those of other steps and users mean nothing.
    steps: Wheel<(usize, u64), STEP_TICK>,
    last_step: u64,
    /// Until when the ACK for the last 2xx may come.
    acks_until: Option<Time>,
    sweep_at: Time,
}

impl Proxy {
    /// The proxy of a shard; `rng` gives the secrets of its tables.
    pub fn new(server: Arc<Server>, shard: u16, rng: &mut Rng) -> Self {
        let hasher = Keyed::new(rng);
        // One shard asks for all.
        let mut agents: Vec<Box<dyn Agent>> = match shard {
            0 => vec![Box::new(Probe::new(&server.provisioning().trunks))],
            _ => Vec::new(),
        };
        // One of its own: it will be replaced, and is cloned for each request, which shards should not meet at.
        let server = Arc::new(Server::clone(&server));
        let pings = NatPings::new(server.config(), shard, rng);
        agents.extend(pings.map(|pings| Box::new(pings) as Box<dyn Agent>));
        if let Some(silo) = server.silo() {
            agents.push(Box::new(Courier::new(silo.clone(), shard, rng)));
        }
        Proxy {
            events: EventServer::new(server.clone(), shard, rng),
            server,
            shard,
            contexts: Slab::new(),
            branches: HashMap::with_hasher(hasher.clone()),
            invites: HashMap::with_hasher(hasher.clone()),
            accepted: HashMap::with_hasher(hasher.clone()),
            parking: ParkingLot::new(rng),
            held: Held::default(),
            shared: Held::default(),
            agents,
            own: HashMap::with_hasher(hasher),
            timer_c: Wheel::new(),
            c: TimerValues::default().c,
            steps: Wheel::new(),
            last_step: 0,
            acks_until: None,
            sweep_at: Time::ZERO,
        }
    }

    /// How a proxy is registered with the stack: it takes every request and wants to know when transactions end.
    pub fn options() -> TuOptions {
        TuOptions { rule: MessageFilterRule::any(), terminations: true, ..TuOptions::default() }
    }

    fn on_request(&mut self, msg: Box<Message>, transaction: Option<ServerTransaction>, stack: &mut TuContext<'_>) {
        let server = self.server.clone();
        let mut context = self.context(RequestState::new(msg, transaction), &server, stack);
        context.read_uri();
        context.begin_account();
        if context.begins_call() {
            server.counters(self.shard).attempted.inc();
        }
        self.run(context, 0, None);
    }

    fn context<'s, 'c>(
        &mut self,
        state: RequestState,
        server: &'s Server,
        stack: &'s mut TuContext<'c>,
    ) -> RequestContext<'s, 'c> {
        let ticket = self.parking.next_ticket();
        RequestContext { state, server, stack, ticket, shard: self.shard, waiting: None, unkept: None }
    }

    /// Gives a request to the processors from `at` on, and forwards it. The first of them gets the answer that it waited
    /// for, if it did.
    fn run(&mut self, mut context: RequestContext<'_, '_>, mut at: usize, mut resumed: Option<Answered>) {
        let server = context.server;
        while let Some(processor) = server.chains().request.get(at) {
            let result = match resumed.take() {
                Some(answer) => processor.resume(&mut context, answer),
                None => processor.process(&mut context),
            };
            match result {
                ProcessorResult::Continue => at += 1,
                ProcessorResult::SkipThisChain => break,
                ProcessorResult::SkipAllChains => {
                    tracing::trace!(processor = processor.name(), "request ends here");
                    self.count_end(at);
                    return self.hold(context);
                }
                ProcessorResult::ToEventServer => {
                    self.count_end(at);
                    return self.serve_events(context);
                }
                ProcessorResult::WaitingForEvent => return self.park(context, at),
            }
        }
        let (transaction, verb) = (context.transaction, context.verb);
        let account = context.take_account();
        let call = context.parties_of_call();
        let (mut forwarding, stack) = context.into_forwarding();
        forwarding.accounted = account.is_some();
        match transaction {
            Some(transaction) => {
                self.forward(forwarding, (transaction, account, call), verb == Verb::Invite, stack);
            }
            None => send_stateless(forwarding, server, stack),
        }
        server.counters(self.shard).relayed.inc();
    }

    /// A request goes no further than a processor of the chain.
    fn count_end(&self, at: usize) {
        self.server.counters(self.shard).ended.get(at).into_iter().for_each(Counter::inc);
    }

    /// The event server answers it.
    fn serve_events(&mut self, context: RequestContext<'_, '_>) {
        let RequestContext { state: RequestState { request, transaction, .. }, stack, .. } = context;
        if let Some(transaction) = transaction {
            self.events.process(TuEvent::Request { transaction, msg: request }, stack);
        }
    }

    /// Whether a request was sent by the event server: nobody else waits for its answer.
    fn is_of_events(&self, client: ClientTransaction) -> bool {
        !self.events.drained()
            && !self.branches.contains_key(&client)
            && !self.accepted.contains_key(&client)
            && !self.own.contains_key(&client)
    }

    fn forward(
        &mut self,
        forwarding: Forwarding,
        (transaction, account, call): (ServerTransaction, Option<Account>, Option<Parties>),
        invite: bool,
        stack: &mut TuContext<'_>,
    ) {
        let counted = invite && !forwarding.request.has_to_tag();
        if !forwarding.fits() {
            if counted {
                self.server.counters(self.shard).ended_with(440, false);
            }
            if let (Some(accounting), Some(Account::Invite(call))) = (self.server.accounting(), account) {
                accounting.refused(call, 440, false, stack.now());
            }
            return stack.respond_status(transaction, 440);
        }
        let mut context = ResponseContext::new(transaction, invite);
        let begins = |parties| self.server.compositor().call_begins(parties, stack.now());
        context.call = call.and_then(begins).map(Box::new);
        context.counted = counted;
        context.tracked = account.map(|account| Box::new(Tracked::new(account)));
        if forwarding.watched {
            context.upstream = Some(Box::new(Upstream::of(&forwarding.request)));
        }
        if forwarding.options.path == AddPath::Flow && registrar::registers_flow(&forwarding.request) {
            context.device = forwarding.request.source().map(|source| Box::new(source.flow));
        }
        let slot = self.contexts.insert(context);
        if invite {
            self.invites.insert(transaction, slot);
        }
        self.start_stage(slot, forwarding, stack);
    }

    /// Begins what somebody leads to who may let ring for so long and no longer.
    fn start_stage(&mut self, slot: usize, forwarding: Forwarding, stack: &mut TuContext<'_>) {
        self.time_stage(slot, forwarding.onward.as_deref().and_then(Onward::patience), stack);
        self.start(slot, forwarding, stack);
    }

    fn time_stage(&mut self, slot: usize, patience: Option<Duration>, stack: &mut TuContext<'_>) {
        let Some(context) = self.contexts.get_mut(slot) else { return };
        (context.stage, context.so_far) = (0, Ended::default());
        if let Some(patience) = patience {
            self.last_step += 1;
            context.stage = self.last_step;
            self.steps.arm(stack.now() + patience, (slot, self.last_step));
        }
    }

    /// Begins the next step.
    fn start(&mut self, slot: usize, forwarding: Forwarding, stack: &mut TuContext<'_>) {
        let (timeout, rings_on) = forwarding.time_of_step();
        let Some(context) = self.contexts.get_mut(slot) else { return };
        (context.ended, context.rings_on, context.step) = (Ended::default(), rings_on, 0);
        if let Some(timeout) = timeout {
            self.last_step += 1;
            context.step = self.last_step;
            self.steps.arm(stack.now() + timeout, (slot, self.last_step));
        }
        self.begin(slot, forwarding, stack);
    }

    /// Begins branches.
    fn begin(&mut self, slot: usize, forwarding: Forwarding, stack: &mut TuContext<'_>) {
        let Some(context) = self.contexts.get_mut(slot) else { return };
        if let Some(upstream) = &mut context.upstream {
            upstream.keep_from(&forwarding.request, self.server.provisioning().peers.rewrites_from);
        }
        let Started { begun, skipped, rest } = forwarding.start(&self.server, stack);
        // The next flow of a device leaves nothing, and the steps that are left where they are.
        context.rest = rest.or(context.rest.take());
        if begun.len() > 1 {
            self.server.counters(self.shard).forked.inc();
        }
        let timer_c = stack.now() + self.c;
        for Begun { client, if_lost, fallback, target } in begun {
            let role = Role::Current;
            context.branches.push(Branch {
                client,
                role,
                proceeding: false,
                if_lost,
                timer_c,
                fallback,
                target,
                noted: false,
            });
            self.branches.insert(client, slot);
            if context.invite {
                self.timer_c.arm(timer_c, client);
            }
        }
        if !skipped.is_empty() {
            skipped.into_iter().for_each(|code| context.consider(Best::Local(code), Role::Current));
            self.settle(slot, stack);
        }
    }

    /// §16.10: the branches are cancelled; their responses answer the request.
    fn on_cancelled(&mut self, transaction: ServerTransaction, cancel: &Message, stack: &mut TuContext<'_>) {
        let Some(&slot) = self.invites.get(&transaction) else {
            if let Some(Parked { mut state, .. }) = self.parking.take_of(transaction) {
                if let (Some(accounting), Some(Account::Invite(call))) =
                    (self.server.accounting(), state.account.take())
                {
                    accounting.refused(call, 487, true, stack.now());
                }
                if !state.request.has_to_tag() {
                    self.server.counters(self.shard).ended_with(487, true);
                }
                stack.respond_status(transaction, 487);
            }
            return;
        };
        let Some(context) = self.contexts.get_mut(slot) else { return };
        context.cancelled = true;
        if let Some(tracked) = &mut context.tracked {
            tracked.cancelled(cancel);
        }
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
            self.failed(client, 408, stack);
        }
    }

    /// The time of a step is over, or that of a user.
    fn on_step_over(&mut self, slot: usize, number: u64, stack: &mut TuContext<'_>) {
        let Some(context) = self.contexts.get_mut(slot) else { return };
        if context.closed || context.answered {
            return;
        }
        match number {
            _ if number == context.step => context.pass_over(stack),
            _ if number == context.stage => context.give_up(stack),
            _ => return,
        }
        self.settle(slot, stack);
    }

    fn branch(&mut self, client: ClientTransaction) -> Option<&mut Branch> {
        let slot = self.branches.get(&client)?;
        self.contexts.get_mut(*slot)?.branch(client)
    }

    /// Lets an agent do what it has to do.
    fn with_agent(
        &mut self,
        index: usize,
        stack: &mut TuContext<'_>,
        what: impl FnOnce(&mut dyn Agent, &mut AgentContext<'_, '_>),
    ) {
        let Some(agent) = self.agents.get_mut(index) else { return };
        what(&mut **agent, &mut AgentContext { server: &self.server, stack, own: &mut self.own, index });
    }
}

/// The earlier of two times.
fn earlier(one: Option<Time>, other: Option<Time>) -> Option<Time> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// An ACK goes to one place.
fn send_stateless(mut forwarding: Forwarding, server: &Server, stack: &mut TuContext<'_>) {
    forwarding.set_breadth(1);
    let mut target = forwarding.steps.first_mut().and_then(|step| step.targets.pop());
    let (mut options, _) = forwarding.way(target.as_ref());
    let mut request = forwarding.request;
    direct(&mut request, target.as_ref());
    if write(&mut request, target.as_mut(), &mut options, server, stack).is_ok() {
        stack.send_stateless(request, options);
    }
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
            TuEvent::Response { transaction, .. } | TuEvent::NoResponse { transaction, .. }
                if self.is_of_events(transaction) =>
            {
                self.events.process(event, stack);
            }
            TuEvent::Response { transaction, msg } => self.on_response(transaction, msg, stack),
            TuEvent::NoResponse { transaction, reason } => self.on_no_response(transaction, reason, stack),
            TuEvent::Silent { transaction } => self.on_silent(transaction, stack),
            TuEvent::ClientEnded { transaction } => drop(self.accepted.remove(&transaction)),
            // A server transaction that ended takes no more responses; its branches end by themselves.
            TuEvent::ServerEnded { .. } | TuEvent::NotDelivered { .. } => {}
            // Stacks with transactions have none of these.
            TuEvent::FlowEnded { .. } | TuEvent::Binding { .. } => {}
            TuEvent::Raw { .. } | TuEvent::RawFailed { .. } => {}
            TuEvent::Posted(item) => self.on_posted(item, stack),
        }
    }

    fn deadline(&self) -> Option<Time> {
        // Asked for at each pass: no iterators.
        let mut first = earlier(self.timer_c.next_deadline(), self.acks_until);
        first = earlier(first, self.steps.next_deadline());
        first = earlier(first, self.parking.deadline());
        if !self.events.is_idle() {
            first = earlier(first, self.events.deadline());
        }
        if !self.server.is_passive() {
            for agent in &self.agents {
                first = earlier(first, agent.deadline());
            }
        }
        if self.server.location().is_empty() { first } else { earlier(first, Some(self.sweep_at)) }
    }

    fn wake(&mut self, stack: &mut TuContext<'_>) {
        let now = stack.now();
        while let Some(client) = self.timer_c.pop(now) {
            self.on_timer_c(client, stack);
        }
        while let Some((slot, step)) = self.steps.pop(now) {
            self.on_step_over(slot, step, stack);
        }
        while let Some(parked) = self.parking.pop(now) {
            self.resume(parked, None, stack);
        }
        // Who stands by sends nothing of his own accord.
        let agents = if self.server.is_passive() { 0 } else { self.agents.len() };
        for index in 0..agents {
            if self.agents.get(index).and_then(|agent| agent.deadline()).is_some_and(|at| at <= now) {
                self.with_agent(index, stack, |agent, context| agent.wake(context));
            }
        }
        if self.events.deadline().is_some_and(|at| at <= now) {
            self.events.wake(stack);
        }
        self.acks_until = self.acks_until.filter(|until| *until > now);
        if self.sweep_at <= now {
            self.server.location().sweep(now);
            self.sweep_at = now + SWEEP_EVERY;
        }
    }

    fn drained(&self) -> bool {
        let waits =
            self.parking.len() > 0 || !self.held.is_empty() || !self.shared.is_empty() || self.acks_until.is_some();
        self.contexts.is_empty() && !waits && self.events.drained()
    }
}
