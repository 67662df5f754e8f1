//! reSIProcate's Dialog Usage Manager: user agents without the protocol's sharp edges. A program sets a profile and
//! handlers, gets typed handles, and never sees a CSeq, a tag or a retransmission.
//!
//! ```text
//!   stack ──TuEvent──► DialogUsageManager ──► features ──► dispatch ──► usage ──► Callback ──► Application's handlers
//!     ▲                    ▲ (Posted)            │ by transaction, dialog or method   │
//!     └── TuContext ◄──────┼────────────── Dum ◄─┴────────────────────────────────────┘ handles' calls
//!                       DumHandle (any thread)
//! ```
//!
//! * [`DialogUsageManager`] is a transaction user and pure: events, commands, time and randomness come in, what it sends
//!   is left in the [`stack::tu::TuContext`].
//! * [`Application`] is the program: which handlers it has. Handlers are traits; each method says when it is called.
//! * [`Dum`] is the user agent during one call: handlers and commands get it, handles are used with it.
//! * [`Handle`] names a usage. It is `Copy`, and after the end of its usage every call with it gives [`UsageEnded`].
//! * [`DumHandle`] brings commands from other threads, through the same bounded FIFO that messages come by.
//! * It runs on the stack's thread, or as an actix actor ([`actor`]).
//! * [`UserProfile`] and [`MasterProfile`] hold the settings, in levels.
//!
//! A user agent that asks another what it can do:
//! ```
//! use dum::out_of_dialog::{ClientOutOfDialogRequest, OutOfDialogHandler};
//! use dum::{Application, DialogUsageManager, Dum, DumHandle, DumOptions, Handle, Outcome};
//! use rutil::Rng;
//! use stack::header::{HeaderValue, Method, NameAddr};
//! use stack::{Stack, TransportSpec};
//! use std::sync::mpsc::{Sender, channel};
//!
//! struct Asker(Sender<u16>);
//!
//! impl Application for Asker {
//!     fn out_of_dialog(&mut self, _: &Method<'_>) -> Option<&mut dyn OutOfDialogHandler> {
//!         Some(self)
//!     }
//! }
//!
//! impl OutOfDialogHandler for Asker {
//!     fn on_success(&mut self, _: &mut Dum<'_>, _: Handle<ClientOutOfDialogRequest>, outcome: &Outcome) {
//!         self.0.send(outcome.status).expect("somebody waits");
//!     }
//! }
//!
//! // It has no handler for what it is asked itself: dum answers OPTIONS.
//! let (answers, answer) = channel();
//! let (mut builder, mut rng) = (Stack::builder(), Rng::from_os()?);
//! builder.add_transport(TransportSpec::udp("127.0.0.1:0".parse()?));
//! let user = builder.register_tu(DialogUsageManager::<Asker>::tu_options(), move |_| {
//!     DialogUsageManager::new(Asker(answers.clone()), DumOptions::default(), &mut rng)
//! });
//! let stack = builder.start()?;
//! let own = format!("<sip:{}>", stack.transports().iter().next().expect("one transport").bound);
//! DumHandle::<Asker>::new(stack.poster(user)).command(move |_, dum| {
//!     let profile = dum.master_profile().user().clone();
//!     let own = NameAddr::parse(&own).expect("a URI");
//!     let options = dum.make_request(&profile, &Method::Options, &own);
//!     dum.send_request(options).expect("there is room for one");
//! })?;
//! assert_eq!(answer.recv()?, 200);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | wanted | where |
//! |---|---|
//! | make and take calls, early media, re-INVITE, 100rel, session timers | [`invite`] |
//! | transfer calls | [`refer`] |
//! | register, or be the registrar | [`registration`] |
//! | watch, and be watched (RFC 6665) | [`subscription`] |
//! | publish, or keep what others publish (RFC 3903) | [`publication`] |
//! | texts (RFC 3428) | [`pager`] |
//! | OPTIONS, INFO and requests of one's own | [`out_of_dialog`] |
//! | passwords, of both sides | [`auth`] |
//! | see, change, refuse or put off messages before the usages do, or before they leave | [`feature`] |
//! | find a call, a subscription or a transfer by its dialog, keep data with a dialog | [`lookup`] |
//! | settings | [`MasterProfile`], [`UserProfile`] |
//!
//! Whole programs are in `dum/examples`: `auto_answer`, `softphone`, `b2bua`, `presence_watcher`.
//!
//! # How a usage is added
//!
//! A usage is a directory beside [`out_of_dialog`], which is the smallest and the pattern: `mod.rs` with the handler
//! trait, the usage's `Callback` enum and its `deliver`; a file for each role (`client.rs`, `server.rs`) with the usage's
//! type, the methods of its `Handle<…>` and what happens at each event; its machine, `step(state, event) -> (state,
//! actions)`, in a file of its own with the figure above it and a table test; `tests.rs`, which plays the other side with
//! `testing::Bench`.
//!
//! 1. *State* lives in a `Usages<T>` in `core.rs`, with a limit of [`Limits`]. A usage that has timers holds an `Alarm` for
//!    each; a usage in a dialog holds the `Handle<DialogEntry>`. A request that waits for its answer, and is nothing else,
//!    is an `asked::Asked`, by the handle of its kind.
//! 2. *Events* come by `usage.rs`: a variant of `Usage`, and a line in each `match`: `outcome` (a response, or none),
//!    `takes` and `request` (in its dialog), `dialog` and `dialog_lost`, `first_request`, `ack`, `cancelled`, `timer`. What begins a server usage is a
//!    line in `dispatch::out_of_dialog`.
//! 3. *Sending*: `dum.send(usage, msg, options)` for requests, `dum.stack.respond` for responses; `dum.make_request` (out
//!    of a dialog), `dum.make_in_dialog` and `dum.make_response` write what every message says. `clients` remembers whose
//!    request it was, until its final response.
//! 4. *Dialogs*: `core.dialogs.open` begins a set (who sends an INVITE or SUBSCRIBE is its creator), `add` a dialog in it,
//!    `join` and `leave` are for usages. The rest goes by itself.
//! 5. *Timers*: `core.timers.set(&mut usage.alarm, Fire { usage, kind }, now, after)`; `Usage::timer` hears the fire and
//!    asks `is_due`. Nothing is cancelled: an alarm is cleared or moved.
//! 6. *Callbacks* are never made in mid-step: `dum.call_back(Callback::…)` queues one, and when the step is done `deliver`
//!    asks the [`Application`] for the handler, or answers as the RFC wants it where there is none. `application.rs` gets a
//!    method for each handler trait.
#![forbid(unsafe_code)]

pub mod actor;
mod application;
mod asked;
pub mod auth;
mod callback;
mod command;
mod core;
mod dialog;
mod dialog_id;
mod dialogs;
mod dispatch;
mod dum;
mod effect;
pub mod feature;
mod flow;
mod handle;
pub mod invite;
pub mod lookup;
mod manager;
pub mod out_of_dialog;
mod outcome;
pub mod pager;
mod parts;
mod profile;
pub mod publication;
pub mod refer;
pub mod registration;
pub mod subscription;
#[cfg(test)]
mod testing;
mod timers;
mod usage;
mod validate;

pub use crate::core::{DumOptions, Limits};
pub use application::Application;
pub use command::{Congested, DumHandle, posted};
pub use dialog::{Dialog, DialogError, DialogState, InDialogError, MAX_ROUTES};
pub use dialog_id::{DialogId, DialogSetId};
pub use dialogs::{AppData, DialogEntry as AppDialog, DialogSet as AppDialogSet};
pub use dum::Dum;
pub use handle::{Handle, NoRoom, NotSent, UsageEnded};
pub use lookup::DialogUsage;
pub use manager::{Counts, DialogUsageManager};
pub use outcome::Outcome;
pub use profile::{
    DatagramKeepAlive, EventPackage, Gruu, MasterProfile, Profile, Reliability, SessionTimerMode, UserProfile,
};
