//! User agents built on dum, each on a stack of its own in virtual time, over a network that the test controls. Scenarios
//! are asserted message by message.
//!
//! Which call flow of an RFC is where:
//!
//! | RFC | here | elsewhere, or not |
//! |---|---|---|
//! | 3665 §2, registrations | | `dum/src/registration` (both sides), `tests/tests/scenarios/passwords.rs` (by repro) |
//! | 3665 §3.1, 3.8, 3.9, 3.10, 3.11 | `basic` | |
//! | 3665 §3.2 | `proxied`, by one proxy | by two: `tests/tests/scenarios/two_nodes.rs` |
//! | 3665 §3.3, several challenges | | `dum/src/auth/tests.rs` |
//! | 3665 §3.4, a proxy that fails | | `tests/tests/transactions/failover.rs` |
//! | 3665 §3.5, an ALG | | not: there is none in this project |
//! | 3665 §3.6, 3.7 | `basic`, `changes` | |
//! | 3725 §4, flows I to IV | `third_party` | |
//! | 5359 §2.1 to 2.3, 2.6, 2.10, 2.11, 2.15 to 2.18 | `services`, 2.1 in `changes` | 2.6 as REFER with `method=MESSAGE` |
//! | 5359 §2.4, 2.5, transfers | | as 5589, and by Linphone: `tests/tests/scenarios/linphone.rs` |
//! | 5359 §2.7 to 2.9, 2.12 to 2.14 | `proxied` | |
//! | 5589 §6.1, 7.3, transfers | `transfer` | message by message the first half of 6.1 alone |
//! | 3262, 3311; 6337, patterns 1 to 4 and 6 | `basic`, `reliable` | 5, an offer in PRACK: not; none is sent, and one that comes is heard without a test |
//! | 3515, REFER out of a call | `services`, 2.15 and 2.18 | `dum/src/refer/tests.rs` |
//! | 3891, Replaces | `transfer`, `services` | |
//! | 4028, session timers | `timers`, refreshed by the caller | by the callee, and 422: `dum/src/invite` |

mod basic;
mod changes;
mod chaos;
mod proxied;
mod races;
mod reliable;
mod services;
mod third_party;
mod timers;
mod transfer;
mod world;
