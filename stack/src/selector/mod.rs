//! The transport selector: where a message goes next (RFC 3263), what its Via says, and the resolver that it asks.

mod actor;
mod cache;
mod domain;
mod locate;
pub mod resolver;

pub(crate) use actor::{SelectorParts, TransportSelector};
pub use locate::{Located, Target, locate, locate_uri};
