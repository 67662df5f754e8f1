//! A SIP proxy and registrar (RFC 3261 §16 and §10) as a transaction user of the stack, in the shape of reSIProcate's
//! repro: a request runs through a chain of [`processors`], which answer it or choose its targets; the
//! [`proxy`] forwards it to them and sends the best of their responses back.
//!
//! All but the [`store`] is pure: events come in, commands go out. Sockets and clocks are the stack's, and so are the
//! threads, but for the one of the store.
#![forbid(unsafe_code)]

pub mod admin;
pub mod auth;
pub mod config;
pub mod events;
pub mod forwarding;
pub mod gruu_token;
pub mod location;
pub mod nat;
pub mod peers;
pub mod processors;
pub mod provisioning;
pub mod proxy;
pub mod registrar;
pub mod routing;
pub mod silo;
pub mod store;

pub use config::{Config, ConfigError};
pub use location::LocationStore;
pub use provisioning::Provisioning;
pub use proxy::{Proxy, Server};
