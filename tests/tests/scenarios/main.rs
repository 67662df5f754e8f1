//! Scenarios that see all crates.

mod dead_target;
mod driver;
mod repro;
mod sipp;
mod torture;
