//! What the SIP stack is built on, and which knows nothing of SIP: bounded [`mod@fifo`]s, the [`bell`] that wakes a
//! runner, the [`actor`] trait, the [`runner`] and its [`sleeper`], their [`placement`], [`time`], the timing
//! [`wheel`], [`congestion`], statistics ([`stats`]), randomness ([`rng`]), keyed hashing ([`hash`]), tables that
//! grow without moving ([`chunks`]), slots with generations ([`mod@slab`]), [`log`] set-up.
#![forbid(unsafe_code)]

pub mod actor;
pub mod bell;
pub mod chunks;
pub mod congestion;
pub mod fifo;
pub mod hash;
pub mod log;
pub mod placement;
pub mod rng;
pub mod runner;
pub mod slab;
pub mod sleeper;
pub mod stats;
pub mod time;
pub mod wheel;

pub use actor::{Actor, Sleeper, Turn};
pub use bell::Bell;
pub use chunks::Chunks;
pub use congestion::{Backlog, CongestionManager, Tolerance, Zone};
pub use fifo::{Class, FifoReceiver, FifoSender, Full, Meter, fifo};
pub use hash::{HashMap, HashSet, Keyed};
pub use placement::Placement;
pub use rng::Rng;
pub use runner::{Control, Runner};
pub use slab::Slab;
pub use sleeper::ParkSleeper;
pub use stats::{Counter, Gauge, Histogram};
pub use time::{Clock, RealClock, Time, VirtualClock};
pub use wheel::Wheel;
