//! User agents built on dum, each on a stack of its own in virtual time, over a network that the test controls. Scenarios
//! are asserted message by message, and the headers that carry each are judged by what RFC 3261 demands (`hops`). But for
//! `chaos`: there people do anything at any time, by a seed, and what is asserted is what holds all the same.
//!
//! Which call flow of an RFC is where; the name of its test begins with its section, as `rfc_3665_3_2_`:
//!
//! | RFC | what | where |
//! |---|---|---|
//! | 3665 §2.1 to 2.5 | registrations, by repro | `registrations` |
//! | 3665 §3.1 | successful session establishment | `basic` |
//! | 3665 §3.2 | through two proxies | `two_proxies` |
//! | 3665 §3.3 | multiple proxy authentication | `two_proxies` |
//! | 3665 §3.4 | proxy failure | `two_proxies` |
//! | 3665 §3.5 | through a SIP ALG | `alg`, which plays it |
//! | 3665 §3.6 | redirect and proxy servers, SDP in ACK | `two_proxies` |
//! | 3665 §3.7 | re-INVITE, address change | `two_proxies` |
//! | 3665 §3.8 | no answer | `two_proxies` |
//! | 3665 §3.9 | busy | `two_proxies` |
//! | 3665 §3.10 | no response from user agent | `two_proxies` |
//! | 3665 §3.11 | temporarily unavailable | `two_proxies` |
//! | 5359 §2.1 | call hold | `changes` |
//! | 5359 §2.2 | consultation hold | `services` |
//! | 5359 §2.3 | music on hold | `services` |
//! | 5359 §2.4 | transfer, unattended | `transfer_flows` |
//! | 5359 §2.5 | transfer, attended | `transfer_flows` |
//! | 5359 §2.6 | transfer to an instant message | `services`, as REFER with `method=MESSAGE` |
//! | 5359 §2.7 | call forwarding, unconditional | `proxied` |
//! | 5359 §2.8 | call forwarding, busy | `proxied` |
//! | 5359 §2.9 | call forwarding, no answer | `proxied` |
//! | 5359 §2.10 | 3-way conference, third party is added | `services` |
//! | 5359 §2.11 | 3-way conference, third party joins | `services` |
//! | 5359 §2.12 | find-me | `proxied` |
//! | 5359 §2.13 | incoming call screening | `proxied` |
//! | 5359 §2.14 | outgoing call screening | `proxied` |
//! | 5359 §2.15 | call park | `services` |
//! | 5359 §2.16 | call pickup | `services` |
//! | 5359 §2.17 | automatic redial | `services` |
//! | 5359 §2.18 | click to dial | `services` |
//! | 3262 §3 | as callee: repeated, in order, 504, 421 and 420 | `reliable`; PRACK that fits nothing: `dum/src/invite/prack_tests.rs` |
//! | 3262 §4 | as caller: PRACK, and nobody answers it | `reliable`; its refusals: `prack_tests.rs` |
//! | 3262 §5 | offers and answers in 183 and PRACK | `reliable`, as patterns 3 to 5 of RFC 6337 |
//! | 4028 §7, 7.4 | refreshes by the caller, with UPDATE and re-INVITE | `timers` |
//! | 4028 §7.3, 9 | too brief: 422 of a proxy, of the callee | `timers` |
//! | 4028 §9 | refreshes by the callee | `timers` |
//! | 4028 §10 | no refresh: both end the call | `timers` |
//! | 4028 §12 | example call flow | `two_proxies` |
//! | 3891 §3 | what cannot be replaced: 481, 486, 603 | `services`; 400: `dum/src/invite/join_tests.rs`, 420: 5589 §7.7 |
//! | 3891 §7 | an early call is replaced; an established one | 5359 §2.16; 5359 §2.5 and 5589 §7.3 |
//! | 5589 §6.1 | successful transfer | `transfer_flows` |
//! | 5589 §6.2 | with dialog reuse | `transfer_flows` |
//! | 5589 §6.3.1 | target busy | `transfer_flows` |
//! | 5589 §6.3.2 | target does not answer | `transfer_flows` |
//! | 5589 §7.1 | exposing the target | `transfer_flows` |
//! | 5589 §7.2 | protecting the target | `transfer_flows` |
//! | 5589 §7.3 | attended | `transfer_flows` |
//! | 5589 §7.4 | one party does not support REFER | `transfer_flows` |
//! | 5589 §7.5 | the Contact may not lead to one user agent | `transfer_flows` |
//! | 5589 §7.6 | semi-attended, all three ways | `transfer_flows` |
//! | 5589 §7.7 | fallback to basic transfer | `transfer_flows` |
//! | 5589 §8 | Referred-By | `transfer_flows` |
//! | 5589 §9 | as an ad hoc conference | `transfer_parties` |
//! | 5589 §10 | with multiple parties | `transfer_parties` |
//! | 5589 §11.1 | gateway hairpins to the same gateway | `transfer_parties` |
//! | 5589 §11.2 | consultative turned blind gateway glare | `transfer_flows` |
//! | 3725 §4.1 to 4.4 | third party call control, flows I to IV | `third_party` |
//! | 6337 §2.2 | pattern 1, offer in INVITE, answer in 2xx | `basic`, as 3665 §3.1 |
//! | 6337 §2.2 | pattern 2, offer in 2xx, answer in ACK | `basic`; in a re-INVITE: `changes` |
//! | 6337 §2.2 | patterns 3 to 5, with reliable responses and PRACK | `reliable` |
//! | 6337 §2.2 | pattern 6, UPDATE | `reliable`, early; `changes`, later |
//! | 6337 §2.3 | refused in INVITE, re-INVITE, UPDATE, 2xx, 183 | `offer_answer`; in PRACK: `reliable`, pattern 5 |
//! | 6337 §3.1.1 | nothing is offered before the PRACK | `offer_answer` |
//! | 6337 §3.4 | a re-INVITE fails: what was agreed still counts | `changes`, `offer_answer`; once settled: `dum/src/invite/glare_tests.rs` |
//! | 6337 §4.1 | messages that cross | `offer_answer`; more: `dum/src/invite/crossing_tests.rs`, `reason_tests.rs` |
//! | 6337 §4.2 | glare | `changes`, `offer_answer` |
//! | 6337 §5.3 | hold and resume, 0.0.0.0 | `changes`, as 5359 §2.1 |
//!
//! With others' telephones some of them are in `tests/tests/scenarios/linphone.rs` and `baresip.rs`. What else goes wrong with
//! transfers is in `transfer`, REFER in `dum/src/refer/tests.rs`, and passwords of a registrar in
//! `tests/tests/scenarios/passwords.rs`.

mod alg;
mod basic;
mod challenges;
mod changes;
mod chaos;
mod desk;
mod ends;
mod hops;
mod offer_answer;
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
mod unsent;
mod world;
