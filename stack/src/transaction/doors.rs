//! What may begin a transaction, on the way to a stack's end.

use std::sync::atomic::{AtomicU8, Ordering};

/// How far the doors are open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Door {
    /// For everything.
    #[default]
    Open,
    /// For what belongs to a dialog, or cancels something: the rest is answered 503.
    Dialogs,
    /// For nothing but a CANCEL of what is pending. Any other request on a reliable transport is answered 503; one over UDP
    /// gets no answer, so that it is repeated, and comes to whoever is there by then.
    Shut,
}

/// The doors of a stack, which its shards look at.
#[derive(Debug, Default)]
pub struct Doors(AtomicU8);

impl Doors {
    /// Opens or closes them.
    pub fn set(&self, door: Door) {
        self.0.store(door as u8, Ordering::Release);
    }

    /// How far they are open.
    pub fn get(&self) -> Door {
        match self.0.load(Ordering::Acquire) {
            0 => Door::Open,
            1 => Door::Dialogs,
            _ => Door::Shut,
        }
    }
}
