//! A transaction user without a stack: for tests that hand it events and read its commands.

use super::TuContext;
use crate::flow_token::FlowTokens;
use crate::transaction::{Command, ServerTransaction};
use crate::transport::TransportTable;
use rutil::{Rng, Time};

/// The stack as a transaction user sees it, with nothing behind it.
pub struct Harness {
    /// The present.
    pub now: Time,
    rng: Rng,
    tokens: FlowTokens,
    transports: TransportTable,
    commands: Vec<Command>,
}

impl Harness {
    /// Time zero, a fixed seed, and these transports.
    pub fn new(transports: TransportTable) -> Self {
        let tokens = FlowTokens::new(&mut Rng::from_seed(2));
        Harness { now: Time::ZERO, rng: Rng::from_seed(1), tokens, transports, commands: Vec::new() }
    }

    /// Calls a transaction user with a context.
    pub fn call<R>(&mut self, what: impl FnOnce(&mut TuContext<'_>) -> R) -> R {
        what(&mut TuContext {
            now: self.now,
            rng: &mut self.rng,
            tokens: &self.tokens,
            tu: 0,
            shard: 0,
            transports: &self.transports,
            commands: &mut self.commands,
        })
    }

    /// Takes what was commanded since the last time.
    pub fn commands(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.commands)
    }

    /// A name for a server transaction: another for each number.
    pub fn server(number: u32) -> ServerTransaction {
        ServerTransaction { shard: 0, slot: number, generation: 0 }
    }
}
