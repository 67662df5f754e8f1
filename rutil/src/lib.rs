//! What the SIP stack is built on, and which knows nothing of SIP: bounded [`fifo`]s, the [`bell`] that wakes a
//! runner, the [`actor`] trait, the [`runner`], [`time`], the timing [`wheel`], congestion, statistics, randomness.
#![forbid(unsafe_code)]

pub mod actor;
pub mod bell;
pub mod fifo;
pub mod runner;
pub mod time;

pub use actor::{Actor, Sleeper, Turn};
pub use bell::Bell;
pub use fifo::{Class, FifoReceiver, FifoSender, Full, fifo};
pub use runner::Runner;
pub use time::{Clock, Time};
