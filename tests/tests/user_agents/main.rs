//! User agents built on dum, each on a stack of its own in virtual time, over a network that the test controls. Scenarios
//! are asserted message by message.

mod basic;
mod changes;
mod chaos;
mod races;
mod reliable;
mod third_party;
mod timers;
mod transfer;
mod world;
