//! The guides. They are files of `docs/` in the repository as well, and their Rust examples are compiled and run as tests.
//!
//! | you want to | read |
//! |---|---|
//! | run a proxy and registrar | [`run_repro`] |
//! | build a proxy, or a processor for `repro` | [`build_a_proxy`], then the crate [`repro`] |
//! | build a telephone, a registrar, a server of calls | [`build_a_user_agent`], then the crate [`dum`] |
//! | know what a server can carry | [`load_test`] |
//! | find out why something does not work | [`debug`] |
//! | know what others have, and what is missing here | [`compared`] |
//!
//! The crates: [`rutil`] ← [`stack`] ← [`dum`] ← [`repro`] ← [`apps`].
#![forbid(unsafe_code)]

#[doc = include_str!(concat!(env!("OUT_DIR"), "/build-a-proxy.md"))]
pub mod build_a_proxy {}

#[doc = include_str!(concat!(env!("OUT_DIR"), "/build-a-user-agent.md"))]
pub mod build_a_user_agent {}

#[doc = include_str!(concat!(env!("OUT_DIR"), "/compared.md"))]
pub mod compared {}

#[doc = include_str!(concat!(env!("OUT_DIR"), "/debug.md"))]
pub mod debug {}

#[doc = include_str!(concat!(env!("OUT_DIR"), "/load-test.md"))]
pub mod load_test {}

#[doc = include_str!(concat!(env!("OUT_DIR"), "/run-repro.md"))]
pub mod run_repro {}
