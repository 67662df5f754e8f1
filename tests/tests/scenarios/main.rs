//! Scenarios that see all crates.

mod driver;
mod repro;
mod sipp;
mod torture;
