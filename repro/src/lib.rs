//! A SIP proxy and registrar (RFC 3261 §16 and §10) as a transaction user of the stack, in the shape of reSIProcate's
//! repro: a request runs through a chain of [`processors`], which answer it or choose its targets; the
//! [`proxy`] forwards it to them and sends the best of their responses back.
//!
//! All but the [`store`] and [`accounting`] is pure: events come in, commands go out. Sockets and clocks are the stack's, and
//! so are the threads, but for those of these two. The program `repro` is in the crate `apps`; this is what it is made of.
//!
//! A proxy from a configuration, with a processor of one's own:
//! ```
//! use repro::processors::{Processor, ProcessorResult, Processors};
//! use repro::proxy::{RequestContext, Verb};
//! use repro::{Config, Provisioning, Proxy, Server};
//! use rutil::Rng;
//! use stack::{Stack, TransportSpec};
//! use std::sync::Arc;
//!
//! /// Nobody is called at all.
//! struct Quiet;
//!
//! impl Processor for Quiet {
//!     fn name(&self) -> &'static str {
//!         "quiet"
//!     }
//!
//!     fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
//!         if context.verb == Verb::Invite { context.respond(480) } else { ProcessorResult::Continue }
//!     }
//! }
//!
//! let config = Config::parse("listen = [\"udp:127.0.0.1:0\"]\ndomains = [\"example.com\"]", "repro.toml")?;
//! let mut rng = Rng::from_os()?;
//! let provisioning = Arc::new(Provisioning::compile(&config.records, &mut rng)?);
//! let mut processors = Processors::standard();
//! processors.add_before("location-server", Quiet);
//! let chains = processors.chains(&config.chains)?;
//! let server = Arc::new(Server::new(config, chains, &mut rng).with_provisioning(provisioning));
//!
//! let mut builder = Stack::builder();
//! builder.add_transport(TransportSpec::udp("127.0.0.1:0".parse()?));
//! let shared = server.clone();
//! let proxy = builder.register_tu(Proxy::options(), move |shard| Proxy::new(shared.clone(), shard, &mut rng));
//! let stack = builder.start()?;
//! server.set_poster(stack.poster(proxy));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | wanted | where |
//! |---|---|
//! | a rule of one's own | [`processors`], with [`proxy::RequestContext`] |
//! | the configuration, as text and as values | [`config`] |
//! | domains, users, trunks, routes: the records | [`provisioning`] |
//! | who is registered where | [`location`], [`registrar`] |
//! | numbers, trunks, static routes, filters | [`routing`] |
//! | call forwarding and groups | [`forwarding`] |
//! | other networks, identities | [`peers`] |
//! | what outlives the process | [`store`] |
//! | several nodes with one location service | [`cluster`] |
//! | who is told what | [`events`] |
//! | lines for billing | [`accounting`] |
//! | `/metrics` | [`admin`] |
#![forbid(unsafe_code)]

pub mod accounting;
pub mod admin;
pub mod auth;
pub mod cluster;
pub mod config;
pub mod events;
pub mod forwarding;
pub mod gruu_token;
pub mod location;
pub mod nat;
mod on_panic;
pub mod peers;
pub mod processors;
pub mod provisioning;
pub mod proxy;
pub mod registrar;
pub mod routing;
pub mod silo;
pub mod store;
mod wakes;

pub use config::{Config, ConfigError};
pub use location::LocationStore;
pub use on_panic::OnPanic;
pub use provisioning::Provisioning;
pub use proxy::{Proxy, Server};
