//! What the SIP stack is built on, and which knows nothing of SIP.
//!
//! State machines are joined by bounded FIFOs. An [`Actor`] is a state machine with the ends of its FIFOs: it pushes and pops
//! with calls that return at once, and is told what time it is. A [`Runner`] is the only loop: it gives actors their turns
//! and sleeps until its [`Bell`] rings. So the same actors run on one thread, on several, or in a test without a clock.
//!
//! An actor that adds up what comes by its FIFO, driven by hand at a time that is made up:
//! ```
//! use rutil::{Actor, Class, Control, FifoReceiver, ParkSleeper, Runner, Time, Turn, VirtualClock, fifo};
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU64, Ordering};
//!
//! struct Adder {
//!     numbers: FifoReceiver<u64>,
//!     sum: Arc<AtomicU64>,
//! }
//!
//! impl Actor for Adder {
//!     fn name(&self) -> &'static str {
//!         "adder"
//!     }
//!
//!     fn turn(&mut self, _now: Time) -> Turn {
//!         let Some(number) = self.numbers.pop() else { return Turn::Idle };
//!         self.sum.fetch_add(number, Ordering::Relaxed);
//!         Turn::Worked
//!     }
//! }
//!
//! let mut runner = Runner::new(ParkSleeper::new(), VirtualClock::new(), Arc::new(Control::default()));
//! let (sender, numbers) = fifo("numbers", 2, runner.bell());
//! let sum = Arc::new(AtomicU64::new(0));
//! runner.add(Box::new(Adder { numbers, sum: sum.clone() }));
//!
//! sender.push(40, Class::New, Time::ZERO).expect("there is room");
//! sender.push(2, Class::New, Time::ZERO).expect("there is room");
//! // Nothing waits: what has no room comes back, and is counted.
//! assert!(sender.push(1, Class::New, Time::ZERO).is_err());
//! assert_eq!(sender.meter().refused(), 1);
//!
//! assert!(runner.settle(Time::ZERO, 10));
//! assert_eq!(sum.load(Ordering::Relaxed), 42);
//! ```
//!
//! | wanted | where |
//! |---|---|
//! | FIFOs with depth, age and wait; who keeps headroom | [`mod@fifo`] |
//! | actors, the loop that drives them, what wakes it | [`actor`], [`runner`], [`sleeper`], [`bell`] |
//! | how many threads, and what runs where | [`placement`] |
//! | time, real and virtual; a timing wheel | [`time`], [`wheel`] |
//! | when to say no | [`congestion`] |
//! | counters and histograms; the log | [`stats`], [`log`] |
//! | randomness, keyed hashing | [`rng`], [`hash`] |
//! | slots with generations | [`mod@slab`] |
#![forbid(unsafe_code)]

pub mod actor;
pub mod bell;
mod chunks;
pub mod congestion;
pub mod fifo;
pub mod hash;
pub mod log;
pub mod placement;
pub mod priority;
pub mod rng;
pub mod runner;
pub mod slab;
pub mod sleeper;
pub mod stats;
pub mod time;
pub mod wheel;

pub use actor::{Actor, Sleeper, Turn};
pub use bell::Bell;
pub use congestion::{Backlog, CongestionManager, Tolerance, Zone};
pub use fifo::{Class, FifoReceiver, FifoSender, Full, Meter, fifo};
pub use hash::{HashMap, HashSet, Keyed};
pub use placement::Placement;
pub use priority::give_way;
pub use rng::Rng;
pub use runner::{Control, Runner};
pub use slab::Slab;
pub use sleeper::ParkSleeper;
pub use stats::{Counter, Gauge, Histogram};
pub use time::{Clock, RealClock, Time, VirtualClock};
pub use wheel::Wheel;
