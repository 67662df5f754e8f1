//! The actor around a transaction user: its FIFO in, its commands out.

use super::{TransactionUser, TuContext, TuEvent};
use crate::flow_token::FlowTokens;
use crate::overload::Bans;
use crate::transaction::{Command, Input};
use crate::transport::TransportTable;
use rutil::{Actor, Class, FifoReceiver, FifoSender, Full, Rng, Time, Turn};
use std::sync::Arc;
use std::time::Duration;

/// Events a turn: more than the transactions pass up in one pass, or `tu` would fill in a burst.
const BATCH: usize = 256;

/// How long to wait for room before looking again.
const HOLD: Duration = Duration::from_millis(1);

/// Drives one transaction user on one shard.
pub(crate) struct TuActor<T: ?Sized> {
    tu: u8,
    shard: u16,
    events: FifoReceiver<TuEvent>,
    commands: FifoSender<Input>,
    transports: TransportTable,
    rng: Rng,
    tokens: FlowTokens,
    bans: Arc<Bans>,
    /// Commands that found no room: while there are any, no event is taken.
    held: Vec<Command>,
    /// When to look again whether there is room.
    retry_at: Time,
    user: Box<T>,
}

impl<T: TransactionUser + ?Sized> TuActor<T> {
    pub(crate) fn new(
        tu: u8,
        shard: u16,
        events: FifoReceiver<TuEvent>,
        commands: FifoSender<Input>,
        transports: TransportTable,
        (rng, tokens, bans): (Rng, FlowTokens, Arc<Bans>),
        user: Box<T>,
    ) -> Self {
        let (held, retry_at) = (Vec::new(), Time::ZERO);
        TuActor { tu, shard, events, commands, transports, rng, tokens, bans, held, retry_at, user }
    }

    fn call(&mut self, now: Time, what: impl FnOnce(&mut T, &mut TuContext<'_>)) {
        let mut context = TuContext {
            now,
            rng: &mut self.rng,
            tokens: &self.tokens,
            bans: &self.bans,
            tu: self.tu,
            shard: self.shard,
            transports: &self.transports,
            commands: &mut self.held,
        };
        what(&mut self.user, &mut context);
        self.flush(now);
    }

    /// Pushes what is held, in order; what does not fit stays. The last tenth of `cmd` belongs to timers and to news of
    /// what was sent: were it full of commands, the selector could not go on, and what it is to send would overrun `out`.
    fn flush(&mut self, now: Time) {
        if self.held.is_empty() {
            return;
        }
        let mut pending = self.held.drain(..);
        while let Some(command) = pending.next() {
            if let Err(Full(Input::Command(command))) =
                self.commands.push(Input::Command(command), Class::Essential, now)
            {
                let rest: Vec<Command> = std::iter::once(command).chain(pending).collect();
                self.held = rest;
                self.retry_at = now + HOLD;
                return;
            }
        }
    }
}

impl<T: TransactionUser + ?Sized> Actor for TuActor<T> {
    fn name(&self) -> &'static str {
        self.user.name()
    }

    fn turn(&mut self, now: Time) -> Turn {
        self.transports.refresh();
        let held = self.held.len();
        self.flush(now);
        let mut worked = held != self.held.len();
        if self.user.deadline().is_some_and(|at| at <= now) && self.held.is_empty() {
            self.call(now, |user, stack| user.wake(stack));
            worked = true;
        }
        for _ in 0..BATCH {
            if !self.held.is_empty() {
                break;
            }
            let Some(event) = self.events.pop() else { break };
            self.call(now, |user, stack| user.process(event, stack));
            worked = true;
        }
        if worked { Turn::Worked } else { Turn::Idle }
    }

    fn wants_turn(&self) -> bool {
        !self.held.is_empty() || !self.events.is_empty()
    }

    fn deadline(&self) -> Option<Time> {
        if self.held.is_empty() { self.user.deadline() } else { Some(self.retry_at) }
    }

    fn drained(&self) -> bool {
        self.held.is_empty() && self.events.is_empty() && self.user.drained()
    }
}
