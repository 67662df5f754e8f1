//! The programs, without their `main`: so that a test can run one with something in it that fails.
#![forbid(unsafe_code)]

mod admin;
mod arguments;
mod hop;
mod http_client;
pub mod repro;
pub mod sip;
pub mod sipload;
mod terminal;
