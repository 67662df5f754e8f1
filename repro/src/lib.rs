//! A SIP proxy and registrar (RFC 3261 §16 and §10) as a transaction user of the stack, in the shape of reSIProcate's
//! repro: a request runs through a chain of [`processors`], which answer it or choose its targets; the
//! [`proxy`] forwards it to them and sends the best of their responses back.
//!
//! Everything here is pure: events come in, commands go out. Sockets, clocks and threads are the stack's.
#![forbid(unsafe_code)]

pub mod config;
pub mod gruu_token;
pub mod location;
pub mod processors;
pub mod provisioning;
pub mod proxy;
pub mod registrar;

pub use config::{Config, ConfigError};
pub use location::LocationStore;
pub use provisioning::Provisioning;
pub use proxy::{Proxy, Server};
