//! Scenarios that see all crates.

mod driver;
mod sipp;
mod torture;
