//! Handles, and the tables that they lead into.

use rutil::Slab;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

/// Names a usage: its slot and the slot's generation. It is `Copy`, may be kept for ever and go to any thread; once the
/// usage has ended, every call with it gives [`UsageEnded`], and it never leads to another usage.
pub struct Handle<U> {
    slot: u32,
    generation: u32,
    usage: PhantomData<fn() -> U>,
}

/// The usage that a handle names has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the usage has ended")]
pub struct UsageEnded;

/// A limit of [`crate::Limits`] is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room for another one")]
pub struct NoRoom;

impl<U> Handle<U> {
    /// The same slot under another type: for usages of two roles that share a table.
    pub(crate) const fn cast<V>(self) -> Handle<V> {
        Handle { slot: self.slot, generation: self.generation, usage: PhantomData }
    }
}

impl<U> Clone for Handle<U> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<U> Copy for Handle<U> {}

impl<U> PartialEq for Handle<U> {
    fn eq(&self, other: &Self) -> bool {
        (self.slot, self.generation) == (other.slot, other.generation)
    }
}
impl<U> Eq for Handle<U> {}

impl<U> Hash for Handle<U> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.slot, self.generation).hash(state);
    }
}

impl<U> fmt::Debug for Handle<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = std::any::type_name::<U>();
        write!(f, "{}({}.{})", name.rsplit("::").next().unwrap_or(name), self.slot, self.generation)
    }
}

/// Why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// There is no room for another usage.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// This message is not for that; the text says what is.
    #[error("{0}")]
    Unfit(&'static str),
}

/// All usages of one kind.
pub(crate) struct Usages<T> {
    slab: Slab<T>,
    limit: usize,
}

impl<T> Usages<T> {
    pub(crate) fn new(limit: usize) -> Self {
        Usages { slab: Slab::new(), limit }
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.slab.len() >= self.limit
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slab.iter()
    }

    pub(crate) fn insert(&mut self, usage: T) -> Result<Handle<T>, NoRoom> {
        if self.is_full() {
            return Err(NoRoom);
        }
        let (slot, generation) = self.slab.insert(usage);
        Ok(Handle { slot, generation, usage: PhantomData })
    }

    pub(crate) fn get(&self, handle: Handle<T>) -> Result<&T, UsageEnded> {
        self.slab.get(handle.slot, handle.generation).ok_or(UsageEnded)
    }

    pub(crate) fn get_mut(&mut self, handle: Handle<T>) -> Result<&mut T, UsageEnded> {
        self.slab.get_mut(handle.slot, handle.generation).ok_or(UsageEnded)
    }

    pub(crate) fn remove(&mut self, handle: Handle<T>) -> Result<T, UsageEnded> {
        self.slab.remove(handle.slot, handle.generation).ok_or(UsageEnded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_outlives_its_usage_and_leads_nowhere_else() {
        let mut usages = Usages::new(2);
        let first = usages.insert("first").unwrap();
        let second = usages.insert("second").unwrap();
        assert_eq!(usages.insert("third"), Err(NoRoom));
        assert_eq!(usages.remove(first), Ok("first"));
        let third = usages.insert("third").unwrap();
        assert_ne!(third, first);
        assert_eq!(usages.get_mut(first), Err(UsageEnded));
        assert_eq!(usages.get(first), Err(UsageEnded));
        assert_eq!((usages.remove(first), usages.get(second), usages.len()), (Err(UsageEnded), Ok(&"second"), 2));
        assert_eq!(format!("{first:?} {third:?}"), "&str(0.0) &str(0.1)");
        // A copy in another table or thread is the same name.
        assert_eq!(third.cast::<u8>().cast::<&str>(), third);
    }
}
