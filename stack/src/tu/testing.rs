//! A transaction user without a stack: for tests that hand it events and read its commands.

use super::TuContext;
use crate::flow_token::FlowTokens;
use crate::overload::Bans;
use crate::transaction::{Command, ServerTransaction};
use crate::transport::TransportTable;
use rutil::{Rng, Time};
use std::net::IpAddr;
use std::time::Duration;

/// The stack as a transaction user sees it, with nothing behind it.
pub struct Harness {
    /// The present.
    pub now: Time,
    rng: Rng,
    tokens: FlowTokens,
    bans: Bans,
    transports: TransportTable,
    commands: Vec<Command>,
}

impl Harness {
    /// Time zero, a fixed seed, and these transports.
    pub fn new(transports: TransportTable) -> Self {
        let tokens = FlowTokens::new(&mut Rng::from_seed(2));
        let (rng, bans) = (Rng::from_seed(1), Bans::default());
        Harness { now: Time::ZERO, rng, tokens, bans, transports, commands: Vec::new() }
    }

    /// Calls a transaction user with a context.
    pub fn call<R>(&mut self, what: impl FnOnce(&mut TuContext<'_>) -> R) -> R {
        what(&mut TuContext {
            now: self.now,
            rng: &mut self.rng,
            tokens: &self.tokens,
            bans: &self.bans,
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

    /// Who is banned, and for how long still.
    pub fn banned(&self) -> Vec<(IpAddr, Duration)> {
        self.bans.list(self.now)
    }

    /// A name for a server transaction: another for each number.
    pub fn server(number: u32) -> ServerTransaction {
        ServerTransaction { shard: 0, slot: number, generation: 0 }
    }
}
