//! The transport selector: where a message goes next (RFC 3263), and the resolver that it asks.

pub mod resolver;
