//! The transaction layer as a whole (scanner, transactions, timer queue, selector, transaction users on one shard) in
//! virtual time: what goes out on the wire and when, and what the transaction users hear.

mod bench;
mod cancel;
mod client;
mod failover;
mod flows;
mod limits;
mod matching;
mod octets;
mod overload;
mod race;
mod server;
mod statistics;
mod streams;
mod transport;
mod users;
mod written;
