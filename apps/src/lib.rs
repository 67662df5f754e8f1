//! The programs, without their `main`: so that a test can run one with something in it that fails, and a program of one's
//! own can be `repro` with processors of its own.
//!
//! | program | what it is | module |
//! |---|---|---|
//! | `repro` | the proxy and registrar | [`mod@repro`] |
//! | `sipload` | the load generator | [`sipload`] |
//! | `sip` | a user agent at the command line, for tests and scripts | [`sip`] |
//!
//! `repro` with one more processor, and its arguments, configuration, log and signals:
//! ```no_run
//! use clap::Parser as _;
//! use ::repro::processors::{Processor, ProcessorResult};
//! use ::repro::proxy::{RequestContext, Verb};
//!
//! struct NoCalls;
//!
//! impl Processor for NoCalls {
//!     fn name(&self) -> &'static str {
//!         "no-calls"
//!     }
//!
//!     fn process(&self, context: &mut RequestContext<'_, '_>) -> ProcessorResult {
//!         if context.verb == Verb::Invite { context.respond(480) } else { ProcessorResult::Continue }
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     apps::repro::main(apps::repro::Args::parse(), |_, processors| processors.add_before("location-server", NoCalls))
//! }
//! ```
#![forbid(unsafe_code)]

mod admin;
mod arguments;
mod hop;
mod http_client;
mod percent;
mod redis;
pub mod repro;
pub mod sip;
pub mod sipload;
mod terminal;
mod tls;
