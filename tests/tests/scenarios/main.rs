//! Scenarios that see all crates.

mod dead_target;
mod driver;
mod end;
mod eyeballs;
mod hep;
mod http;
mod idle;
mod interfaces;
mod jssip;
mod keep_alive;
mod lame;
mod locate;
mod lossy;
mod name_server;
mod outbound;
mod overload;
mod passwords;
mod phone;
mod registered;
mod repro;
mod sipp;
mod tls;
mod torture;
mod trunks;
mod user_agent;
mod websocket;
