//! What a program puts into a transaction user's FIFO from another thread: reSIProcate's `TransactionUser::post`.

use super::TuEvent;
use rutil::{Class, Clock, FifoSender, Full, RealClock};
use std::any::Any;
use std::sync::Arc;

/// Puts events of the program's own into the FIFO of a transaction user ([`crate::Stack::poster`]). Clones are cheap and
/// may go to any thread.
#[derive(Clone)]
pub struct TuPoster {
    /// One for each shard.
    fifos: Arc<[FifoSender<TuEvent>]>,
    clock: RealClock,
}

impl TuPoster {
    pub(crate) fn new(fifos: Vec<FifoSender<TuEvent>>, clock: RealClock) -> Self {
        TuPoster { fifos: fifos.into(), clock }
    }

    /// The shards, one transaction user each.
    pub fn shards(&self) -> usize {
        self.fifos.len()
    }

    /// Puts an item into the FIFO of the transaction user of a shard, which gets it as [`TuEvent::Posted`] after what was
    /// there before. Never blocks.
    ///
    /// # Errors
    /// The item, when four fifths of the FIFO are full (the rest is kept for the stack's own events), when there is no such
    /// shard, or when the stack has stopped.
    pub fn post(&self, shard: usize, item: Box<dyn Any + Send>) -> Result<(), Box<dyn Any + Send>> {
        let Some(fifo) = self.fifos.get(shard) else { return Err(item) };
        match fifo.push(TuEvent::Posted(item), Class::New, self.clock.now()) {
            Err(Full(TuEvent::Posted(item))) => Err(item),
            _ => Ok(()),
        }
    }
}
