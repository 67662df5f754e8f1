//! Answers that wait until bindings and messages are kept: what was acknowledged outlives the process.
//!
//! Bounded by [`crate::store::MOST_UNSAVED`], all shards together; an entry leaves when the store has told what became of
//! it.

use super::Server;
use crate::registrar::RETRY_AFTER;
use crate::store::Saved;
use stack::message::Message;
use stack::tu::{ServerTransaction, TuContext};
use std::collections::VecDeque;

/// An answer that waits.
struct Waiting {
    number: u64,
    transaction: ServerTransaction,
    response: Box<Message>,
}

/// The answers of a shard that wait, in the order in which they were given.
#[derive(Default)]
pub(super) struct Held {
    waiting: VecDeque<Waiting>,
    last: u64,
}

impl Held {
    /// Keeps an answer back until the bindings of an address-of-record are kept. A place in the journal was reserved.
    pub(super) fn hold(
        &mut self,
        (aor, response): (&str, Box<Message>),
        transaction: ServerTransaction,
        (server, shard): (&Server, u16),
        stack: &mut TuContext<'_>,
    ) {
        let Some(journal) = server.journal() else { return stack.respond(transaction, response) };
        self.last += 1;
        match journal.save(aor, shard, self.last) {
            Ok(()) => self.waiting.push_back(Waiting { number: self.last, transaction, response }),
            Err(error) => {
                tracing::error!(%error, "what was to be kept is not");
                journal.release(1);
                stack.respond(transaction, refusal(response));
            }
        }
    }

    /// The store has told what became of some.
    pub(super) fn on_saved(&mut self, saved: Saved, server: &Server, stack: &mut TuContext<'_>) {
        let done = self.waiting.partition_point(|waiting| waiting.number <= saved.up_to);
        for Waiting { transaction, response, .. } in self.waiting.drain(..done) {
            match saved.kept {
                true => stack.respond(transaction, response),
                false => stack.respond(transaction, refusal(response)),
            }
        }
        server.journal().into_iter().for_each(|journal| journal.release(done));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// What was to be a 200 as a 503: nothing of what it granted is left.
fn refusal(mut response: Box<Message>) -> Box<Message> {
    response.set_status(503);
    for name in ["Contact", "Path", "Service-Route", "Require", "Flow-Timer"] {
        response.remove_lines(name);
    }
    response.append_line("Retry-After", RETRY_AFTER);
    response
}
