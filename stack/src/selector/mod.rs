//! The transport selector: where a message goes next (RFC 3263), what its Via says, and the resolver that it asks.

mod actor;
mod cache;
mod dns;
mod domain;
mod e164;
mod failover;
mod greylist;
mod locate;
mod lookups;
mod race;
mod racing;
pub mod records;
pub mod resolver;
pub mod search;
mod srv;

pub(crate) use actor::{SelectorParts, TransportSelector};
pub(crate) use failover::Cause;
pub use failover::{Failover, Retry};
pub use locate::{Located, Place, Target, locate, locate_uri, needs_flow};
