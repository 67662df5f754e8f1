//! Calls that go to somebody else than their address says: forwards of users, groups, and redirections (3xx) that are
//! followed.
//!
//! ```text
//!   address ─► group ──────────────► its members ──────────┬─► nobody took it ─► fallback ─┐
//!      ▲       user ─ always ─┐      its contacts ─────────┤                               │
//!      │         └─ no contact┤                            ├─► no answer, busy, none ──────┤
//!      │                      │                            │   can be reached              │
//!      └──────────────────────┴────────────────────────────┴───────────────────────────────┘
//! ```
//!
//! `Resolver` says what an address leads to now, and `Onward` what it leads to when that has failed. The second is
//! asked only then: contacts and forwards may have changed meanwhile. Each turn is a [`Diversion`]; so many of them, or
//! somebody who would divert a second time, are a loop (482).
//!
//! Only INVITEs are forwarded, as call forwarding has it. A 6xx ends a call, and so does who hangs up; neither forwards.

mod diversion;
mod history;
mod onward;
mod resolver;

pub(crate) use diversion::{Chain, write_diversions};
pub use diversion::{Diversion, DiversionReason, Retarget};
pub(crate) use history::write_history;
pub(crate) use onward::Onward;
pub(crate) use resolver::{Resolved, Resolver, at_once};
