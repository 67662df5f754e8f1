//! A SIP stack in the architecture of reSIProcate: transport, message-header scanner, transaction state machines,
//! timer queue and transport selector are actors joined by bounded FIFOs.
#![forbid(unsafe_code)]

pub mod auth;
pub mod contents;
pub mod flow_token;
pub mod grammar;
pub mod header;
pub mod helper;
pub mod hep;
pub mod message;
pub mod options;
pub mod overload;
pub mod scanner;
pub mod selector;
pub mod stack;
pub mod statistics;
mod timer;
pub mod transaction;
pub mod transport;
pub mod tu;
pub mod uri;
pub mod wiring;

pub use options::StackOptions;
pub use stack::{Congested, Stack, StackBuilder, StackError, TransportSpec, TuId};
