//! Answers that wait until bindings and messages are kept: what was acknowledged outlives the process.
//!
//! Bounded by [`crate::store::MOST_UNSAVED`], all shards together; an entry leaves when the store has told what became of
//! it.

use crate::registrar::RETRY_AFTER;
use crate::store::NotKept;
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
    /// Keeps an answer back until what it promises is kept, which `keep` asks for by a number. A place for it was reserved.
    ///
    /// # Errors
    /// When nobody can be asked; then it is refused.
    pub(super) fn hold(
        &mut self,
        response: Box<Message>,
        transaction: ServerTransaction,
        keep: impl FnOnce(u64) -> Result<(), NotKept>,
        stack: &mut TuContext<'_>,
    ) -> Result<(), NotKept> {
        self.last += 1;
        let kept = keep(self.last);
        match kept {
            Ok(()) => self.waiting.push_back(Waiting { number: self.last, transaction, response }),
            Err(error) => {
                tracing::error!(%error, "what was to be kept is not");
                stack.respond(transaction, refusal(response, 503));
            }
        }
        kept
    }

    /// Sends those up to a number: as they are, or refused with a status. Gives how many that are.
    pub(super) fn release(
        &mut self,
        up_to: u64,
        status: impl Fn(u64) -> Option<u16>,
        stack: &mut TuContext<'_>,
    ) -> usize {
        let done = self.waiting.partition_point(|waiting| waiting.number <= up_to);
        for Waiting { transaction, response, number } in self.waiting.drain(..done) {
            match status(number) {
                None => stack.respond(transaction, response),
                Some(status) => stack.respond(transaction, refusal(response, status)),
            }
        }
        done
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// What was to be a 200 as a refusal: nothing of what it granted is left.
fn refusal(mut response: Box<Message>, status: u16) -> Box<Message> {
    response.set_status(status);
    for name in ["Contact", "Path", "Service-Route", "Require", "Flow-Timer"] {
        response.remove_lines(name);
    }
    if status == 503 {
        response.append_line("Retry-After", RETRY_AFTER);
    }
    response
}
