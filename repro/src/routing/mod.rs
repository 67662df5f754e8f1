//! Where requests go that are not for a registered user: request filters, static routes, dial rules, trunks and their
//! health. Everything is pure here, but for the [`probe`], which sends OPTIONS.

pub mod cause;
pub mod dial;
pub mod filter;
pub mod health;
pub mod pattern;
pub mod prefix;
pub mod probe;
pub mod static_route;
pub mod trunk;
