//! What threads that may wait have to tell the proxies, which may not: what one does not take now is kept for later.

use smallvec::SmallVec;
use stack::tu::TuPoster;
use std::any::Any;
use std::collections::VecDeque;

/// News for the proxies that they have not taken.
#[derive(Default)]
pub(super) struct Outbox(pub(super) VecDeque<(u16, Box<dyn Any + Send>)>);

impl Outbox {
    pub(super) fn push(&mut self, shard: u16, item: impl Any + Send) {
        self.0.push_back((shard, Box::new(item)));
    }

    /// What is newer than all of its kind that the shard has not taken: these are dropped.
    pub(super) fn replace<T: Any + Send>(&mut self, shard: u16, item: T) {
        self.0.retain(|(other, waits)| *other != shard || !waits.is::<T>());
        self.push(shard, item);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells the proxies. What one does not take now is kept, and what is for the same one stays behind it.
    pub(super) fn post(&mut self, poster: &TuPoster) {
        let mut busy: SmallVec<[u16; 8]> = SmallVec::new();
        for _ in 0..self.0.len() {
            let Some((shard, item)) = self.0.pop_front() else { return };
            let refused = if busy.contains(&shard) { Err(item) } else { poster.post(shard.into(), item) };
            if let Err(item) = refused {
                busy.push(shard);
                self.0.push_back((shard, item));
            }
        }
    }
}
