//! Scenarios that see all crates.

mod dead_target;
mod driver;
mod end;
mod repro;
mod sipp;
mod torture;
