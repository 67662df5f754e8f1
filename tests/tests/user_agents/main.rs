//! User agents built on dum, each on a stack of its own in virtual time, over a network that the test controls. Scenarios
//! are asserted message by message. But
//! for `chaos`: there people do anything at any time, by a seed, and what is asserted is what holds all the same.
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
//! | 3665 §3.5, an ALG | `alg`, which plays it | |
//! | 3665 §3.6, 3.7 | `basic`, `changes` | |
//! | 3725 §4, flows I to IV | `third_party` | |
//! | 5359 §2.1 to 2.3, 2.6, 2.10, 2.11, 2.15 to 2.18 | `services`, 2.1 in `changes` | 2.6 as REFER with `method=MESSAGE` |
//! | 5359 §2.4, 2.5, transfers | `transfer_flows` | with others' telephones: `tests/tests/scenarios/linphone.rs`, `baresip.rs` |
//! | 5359 §2.7 to 2.9, 2.12 to 2.14 | `proxied` | |
//! | 5589 §6 to 8 | `transfer_flows` | what else goes wrong: `transfer`; figure 13 not |
//! | 5589 §9 to 11 | `transfer_parties`, 11.2 in `transfer_flows` | |
//! | 3262, 3311; 6337, patterns 1 to 6 | `basic`, `reliable` | refusals of PRACK: `dum/src/invite/prack_tests.rs` |
//! | 3515, REFER out of a call | `services`, 2.15 and 2.18 | `dum/src/refer/tests.rs` |
//! | 3891, Replaces | `transfer`, `services` | |
//! | 4028, session timers | `timers`: refreshed by either side, too brief for the callee or on the way (§12) | |

mod alg;
mod basic;
mod challenges;
mod changes;
mod chaos;
mod desk;
mod ends;
mod people;
mod phone;
mod proxied;
mod races;
mod redirects;
mod registrations;
mod reliable;
mod services;
mod steps;
mod third_party;
mod timers;
mod transfer;
mod transfer_flows;
mod transfer_parties;
mod two_proxies;
mod world;
