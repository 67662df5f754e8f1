//! Measurements of all crates.
