//! Scenarios that see all crates.

mod sipp;
mod torture;
