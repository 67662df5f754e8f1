//! The message-header scanner: octets to messages, each with its transaction's key and shard.

mod actor;
mod check;
mod stream;

pub(crate) use actor::{MessageHeaderScanner, ScannerParts};
pub use actor::{ScannerSnapshot, ScannerStats};
pub(crate) use check::stamp_received;
pub use check::{Refusal, check_request};
pub use stream::{Scanned, StreamScanner};
