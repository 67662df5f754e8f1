//! The repro proxy.
fn main() {}
