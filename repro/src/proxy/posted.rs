//! What waits, a request for its processor or an answer until something is kept, and what other threads post.

use super::parked::{Answer, Parked};
use super::{Proxy, RequestContext};
use crate::cluster::Written;
use crate::provisioning::Provisioning;
use crate::store::Saved;
use crate::wakes::Changed;
use stack::tu::TuContext;
use std::any::Any;
use std::sync::Arc;

/// What is posted to see whether a shard still takes what it is given: it passes through its FIFO, and is nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat;

/// What is posted when the process ends and waits no longer: who calls is told 503, so that another node is asked, and what
/// rings is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Withdraw;

/// What a processor that waited gets; nothing when its time was over.
pub(super) type Answered = Option<Box<dyn Any + Send>>;

/// When to come back who finds too many requests waiting, seconds.
const RETRY_AFTER: &str = "5";

impl Proxy {
    /// Keeps back an answer that is to wait until something is kept, if there is one.
    pub(super) fn hold(&mut self, context: RequestContext<'_, '_>) {
        let (Some(unkept), Some(transaction)) = (context.unkept, context.state.transaction) else { return };
        let (server, shard) = (context.server, self.shard);
        match (unkept.changes, server.cluster()) {
            (Some(changes), Some(cluster)) => {
                let write = |number| cluster.write(&unkept.aor, changes, (shard, number));
                if self.shared.hold(unkept.response, transaction, write, context.stack).is_err() {
                    cluster.release(1);
                }
            }
            _ => match server.journal() {
                None => context.stack.respond(transaction, unkept.response),
                Some(journal) => {
                    let save = |number| journal.save(&unkept.aor, shard, number);
                    if self.held.hold(unkept.response, transaction, save, context.stack).is_err() {
                        journal.release(1);
                    }
                }
            },
        }
    }

    /// Keeps a request until the answer comes that its processor has asked for.
    pub(super) fn park(&mut self, mut context: RequestContext<'_, '_>, at: usize) {
        let Some(waiting) = context.waiting.take() else {
            tracing::error!(at, "a processor waits for nothing");
            context.respond(500);
            return;
        };
        if self.parking.len() >= context.server.config().limits.waiting {
            context.respond_with(503, |response| response.append_line("Retry-After", RETRY_AFTER));
            return;
        }
        context.server.counters(self.shard).parked.inc();
        let until = context.stack.now() + waiting.patience;
        self.parking.park(waiting.ticket, Parked { state: context.state, at }, until);
    }

    pub(super) fn resume(&mut self, parked: Parked, answer: Answered, stack: &mut TuContext<'_>) {
        let (server, Parked { state, at }) = (self.server.clone(), parked);
        let context = self.context(state, &server, stack);
        self.run(context, at, Some(answer));
    }

    /// What other threads have put in.
    pub(super) fn on_posted(&mut self, item: Box<dyn Any + Send>, stack: &mut TuContext<'_>) {
        let item = match item.downcast::<Answer>() {
            Ok(answer) => {
                return if let Some(parked) = self.parking.take(answer.ticket) {
                    self.resume(parked, Some(answer.item), stack);
                };
            }
            Err(item) => item,
        };
        let item = match item.downcast::<Saved>() {
            Ok(saved) => {
                let status = |_| if saved.kept { None } else { Some(503) };
                let done = self.held.release(saved.up_to, status, stack);
                return self.server.journal().into_iter().for_each(|journal| journal.release(done));
            }
            Err(item) => item,
        };
        let item = match item.downcast::<Written>() {
            Ok(written) => {
                let status = |number| written.refused.iter().find(|(other, _)| *other == number).map(|(_, code)| *code);
                let done = self.shared.release(written.up_to, status, stack);
                return self.server.cluster().into_iter().for_each(|cluster| cluster.release(done));
            }
            Err(item) => item,
        };
        match item.downcast::<Arc<Provisioning>>() {
            Ok(provisioning) => {
                provisioning.trunks.keep_health(&self.server.provisioning().trunks);
                self.server = Arc::new(self.server.with_provisioning(*provisioning));
                (0..self.agents.len())
                    .for_each(|index| self.with_agent(index, stack, |agent, context| agent.wake(context)));
                self.events.set_server(self.server.clone(), stack);
            }
            Err(item) if item.is::<Changed>() => self.events.tell(stack),
            Err(item) if item.is::<Withdraw>() => self.withdraw(stack),
            Err(item) if item.is::<Beat>() => {}
            Err(_) => tracing::warn!("what was posted is nothing that the proxy knows"),
        }
    }

    /// Gives up all requests that have no answer.
    fn withdraw(&mut self, stack: &mut TuContext<'_>) {
        let pending = self.contexts.iter().filter(|(_, context)| !context.answered);
        let slots: Vec<usize> = pending.map(|(slot, _)| slot).collect();
        if !slots.is_empty() {
            tracing::warn!(
                requests = slots.len(),
                "not answered in time: what rings is cancelled, and who asked is told 503"
            );
        }
        for slot in slots {
            if let Some(context) = self.contexts.get_mut(slot) {
                context.withdraw(stack);
            }
            self.settle(slot, stack);
        }
    }
}
