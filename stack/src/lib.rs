//! A SIP stack in the architecture of reSIProcate: transport, message-header scanner, transaction state machines,
//! timer queue and transport selector are actors joined by bounded FIFOs (RFC 3261 with its updates).
//!
//! On top of it stands a *transaction user*: a proxy (the crate `repro`), a user agent (the crate `dum`), or one's own. It
//! gets requests, responses and news ([`tu::TuEvent`]), and gives commands ([`tu::TuContext`]): send this, answer that. Retransmissions,
//! timers, DNS (RFC 3263), connections, TLS, overload and malformed messages are the stack's.
//!
//! ```text
//!   sockets ──► transports ──► scanner ──► transactions ──► transaction users
//!                   ▲                        │   ▲               │
//!                   └──────── selector ◄─────┘   └───────────────┘
//! ```
//!
//! A client that asks another what it can do; the other is here, too, in the same way:
//! ```
//! use rutil::Rng;
//! use stack::header::{HeaderValue, NameAddr};
//! use stack::helper;
//! use stack::tu::{SendOptions, TransactionUser, TuContext, TuEvent, TuOptions};
//! use stack::{Stack, TransportSpec};
//! use std::sync::mpsc::{Sender, channel};
//!
//! /// Answers each request with 200, and tells the status of each response.
//! struct Both(Sender<u16>);
//!
//! impl TransactionUser for Both {
//!     fn name(&self) -> &'static str {
//!         "both"
//!     }
//!
//!     fn process(&mut self, event: TuEvent, stack: &mut TuContext<'_>) {
//!         match event {
//!             TuEvent::Request { transaction, .. } => stack.respond_status(transaction, 200),
//!             TuEvent::Response { msg, .. } => drop(self.0.send(msg.status().unwrap_or_default())),
//!             // What stands for a response that will not come: 408 or 503.
//!             TuEvent::NoResponse { reason, .. } => drop(self.0.send(reason.status())),
//!             _ => {}
//!         }
//!     }
//! }
//!
//! let (tell, told) = channel();
//! let mut builder = Stack::builder();
//! builder.add_transport(TransportSpec::udp("127.0.0.1:0".parse()?));
//! let user = builder.register_tu(TuOptions::default(), move |_shard| Both(tell.clone()));
//! let stack = builder.start()?;
//!
//! let own = format!("<sip:{}>", stack.transports().iter().next().expect("one transport").bound);
//! let (bob, alice) = (NameAddr::parse(&own)?, NameAddr::parse("<sip:alice@example.com>")?);
//! let options = helper::make_options(&bob, &alice, &mut Rng::from_os()?);
//! stack.send(user, options, SendOptions::default())?;
//! assert_eq!(told.recv()?, 200);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | wanted | where |
//! |---|---|
//! | start a stack, its transports, its threads | [`Stack`], [`StackBuilder`], [`TransportSpec`], [`StackOptions`] |
//! | hear and command | [`tu`] |
//! | read and write messages | [`message`], [`header`] (the headers by their names are [`header::h`]), [`uri`] |
//! | make messages from few facts | [`helper`] |
//! | bodies: SDP, multipart, PIDF and others | [`contents`] |
//! | passwords (digest) | [`auth`] |
//! | TLS and its certificates | [`transport::tls`] |
//! | numbers, bans, overload | [`statistics`], [`overload`] |
//! | copies of messages for a capture server | [`hep`] |
#![forbid(unsafe_code)]

pub mod auth;
pub mod contents;
pub mod flow_token;
pub mod grammar;
pub mod header;
pub mod helper;
pub mod hep;
pub mod message;
pub mod options;
pub mod overload;
pub mod scanner;
pub mod selector;
pub mod stack;
pub mod statistics;
mod timer;
pub mod transaction;
pub mod transport;
pub mod tu;
pub mod uri;
pub mod wiring;

pub use options::StackOptions;
pub use stack::{Congested, Stack, StackBuilder, StackError, TransportSpec, TuId};
