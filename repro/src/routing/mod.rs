//! Where calls to numbers go: dial rules, trunks, and their health.

pub mod cause;
pub mod dial;
pub mod health;
pub mod prefix;
