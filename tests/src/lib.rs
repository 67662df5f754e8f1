//! Scenarios that see all crates.
