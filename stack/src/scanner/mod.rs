//! The message-header scanner: octets to messages, each with its transaction's key and shard.

mod actor;
mod admission;
mod check;
mod stats;
mod stream;
mod streams;
pub(crate) mod stun;
mod undelivered;

pub(crate) use actor::{MessageHeaderScanner, ScannerParts};
pub(crate) use admission::Shared;
pub use check::{Refusal, check_request};
pub(crate) use check::{TopVia, stamp_received};
pub use stats::{ScannerSnapshot, ScannerStats};
pub use stream::{Scanned, StreamScanner};
