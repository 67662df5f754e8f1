//! Subscriptions to events, of both sides (RFC 6665): SUBSCRIBE and NOTIFY.
//!
//! What can be subscribed to is in the [`crate::MasterProfile`]: an [`crate::EventPackage`] says how long subscriptions
//! last and which bodies there are, and [`crate::Application`] has a handler for each.
//!
//! *Subscriber.* [`Dum::send_subscribe`] gives a [`ClientSubscriptionSet`]: the SUBSCRIBE, all its forks, and the attempts
//! that follow when they end. Each NOTIFY from another notifier makes a [`ClientSubscription`], with a dialog of its own;
//! it is refreshed by itself, at a time that is spread. What ends is tried again as RFC 6665 §4.1.3 has it, unless
//! [`ClientSubscriptionHandler::on_request_retry`] says otherwise.
//!
//! *Notifier.* A SUBSCRIBE makes a [`ServerSubscription`], to be accepted or rejected. [`Handle::notify`] tells the state;
//! one NOTIFY is under way at a time, and while it is, the last state takes the place of those before.
//!
//! Somebody watches whether a user agent, here their own, can be reached:
//! ```
//! use dum::subscription::*;
//! use dum::{Application, DialogUsageManager, Dum, DumHandle, DumOptions, EventPackage, Handle};
//! use rutil::Rng;
//! use stack::contents::event::{EventDocument, Pidf, pidf::{Basic, Tuple}};
//! use stack::header::{HeaderValue, MediaType, NameAddr};
//! use stack::message::Message;
//! use stack::{Stack, TransportSpec};
//! use std::sync::mpsc::{Sender, channel};
//!
//! struct Presence(Sender<Option<Basic>>);
//!
//! impl Application for Presence {
//!     fn client_subscriptions(&mut self, _: &str) -> Option<&mut dyn ClientSubscriptionHandler> {
//!         Some(self)
//!     }
//!     fn server_subscriptions(&mut self, _: &str) -> Option<&mut dyn ServerSubscriptionHandler> {
//!         Some(self)
//!     }
//! }
//!
//! impl ClientSubscriptionHandler for Presence {
//!     fn on_update_active(&mut self, _: &mut Dum<'_>, _: Handle<ClientSubscription>, notify: &Message) {
//!         let Ok(pidf) = Pidf::parse(notify.body()) else { return };
//!         self.0.send(pidf.tuples.first().and_then(|tuple| tuple.basic)).expect("somebody waits");
//!     }
//! }
//!
//! impl ServerSubscriptionHandler for Presence {
//!     fn on_new_subscription(&mut self, dum: &mut Dum<'_>, sub: Handle<ServerSubscription>, _: &Message) {
//!         let tuples = vec![Tuple::new("desk", Basic::Open)];
//!         let pidf = Pidf { entity: "sip:own".into(), tuples, ..Pidf::default() };
//!         sub.accept(dum, SubscriptionState::Active, Some(&pidf.to_contents())).expect("nobody else answers");
//!     }
//! }
//!
//! let (states, state) = channel();
//! let (mut builder, mut rng, mut options) = (Stack::builder(), Rng::from_os()?, DumOptions::default());
//! let presence = EventPackage::new("presence").with_type(MediaType::new("application", "pidf+xml"));
//! options.master.add_package(presence);
//! builder.add_transport(TransportSpec::udp("127.0.0.1:0".parse()?));
//! let user = builder.register_tu(DialogUsageManager::<Presence>::tu_options(), move |_| {
//!     DialogUsageManager::new(Presence(states.clone()), options.clone(), &mut rng)
//! });
//! let stack = builder.start()?;
//! let own = format!("<sip:{}>", stack.transports().iter().next().expect("one transport").bound);
//! DumHandle::<Presence>::new(stack.poster(user)).command(move |_, dum| {
//!     let profile = dum.master_profile().user().clone();
//!     let subscribe = dum.make_subscribe(&profile, &NameAddr::parse(&own).expect("a URI"), "presence");
//!     dum.send_subscribe(&profile, subscribe).expect("there is room for one");
//! })?;
//! assert_eq!(state.recv()?, Some(Basic::Open));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub(crate) mod callback;
pub(crate) mod client;
mod machine;
pub(crate) mod server;
pub(crate) mod set;
mod state;
#[cfg(test)]
mod tests;

pub(crate) use callback::Callback;
pub use client::ClientSubscription;
pub(crate) use machine::{Notice, Outbox};
pub use server::ServerSubscription;
pub use set::ClientSubscriptionSet;
pub use state::{SubscriptionState, TerminateReason};

use crate::dialog::DialogError;
use crate::dum::Dum;
use crate::handle::{Handle, NoRoom, UsageEnded};
use stack::message::Message;
use std::time::Duration;

/// How a subscription of ours ended, or what came of its SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscriptionEnd {
    /// The notifier ended it.
    Terminated(TerminateReason),
    /// A SUBSCRIBE was refused with this status; 408 and 503 also stand for no answer.
    Refused(u16),
    /// No NOTIFY came in time, or no refresh was answered until the end.
    Timeout,
    /// We ended it.
    Local,
}

/// How a subscription of somebody else ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerSubscriptionEnd {
    /// We ended it.
    Local(TerminateReason),
    /// It was not refreshed.
    Expired,
    /// The subscriber ended it, or wanted the state once.
    ByClient,
    /// A NOTIFY was refused with this status, or not answered (408, 503).
    NotifyFailed(u16),
    /// Nobody answered the SUBSCRIBE.
    Unanswered,
}

/// Why a call with a subscription does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionError {
    /// It has ended.
    #[error(transparent)]
    Ended(#[from] UsageEnded),
    /// It is accepted already, or not yet.
    #[error("not in this state of the subscription")]
    NotNow,
    /// A limit is reached; a SUBSCRIBE that was to be accepted is refused with 503.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// The SUBSCRIBE makes no dialog; it is refused with 400.
    #[error(transparent)]
    Dialog(#[from] DialogError),
}

/// Hears of subscriptions of ours.
pub trait ClientSubscriptionHandler {
    /// A notifier has it: its first NOTIFY. What it says comes next. There may be several, when the SUBSCRIBE forked.
    fn on_new_subscription(
        &mut self,
        _dum: &mut Dum<'_>,
        _set: Handle<ClientSubscriptionSet>,
        _subscription: Handle<ClientSubscription>,
        _notify: &Message,
    ) {
    }

    /// A NOTIFY: it is active. The body may be empty.
    fn on_update_active(&mut self, _dum: &mut Dum<'_>, _sub: Handle<ClientSubscription>, _notify: &Message) {}

    /// A NOTIFY: it waits for somebody to allow it.
    fn on_update_pending(&mut self, _dum: &mut Dum<'_>, _sub: Handle<ClientSubscription>, _notify: &Message) {}

    /// A NOTIFY with a state of an extension.
    fn on_update_extension(&mut self, _dum: &mut Dum<'_>, _sub: Handle<ClientSubscription>, _notify: &Message) {}

    /// It is over; its handle leads nowhere any more. `msg` is the last NOTIFY, which may have a body, or the refusal.
    fn on_terminated(
        &mut self,
        _dum: &mut Dum<'_>,
        _sub: Handle<ClientSubscription>,
        _end: SubscriptionEnd,
        _msg: Option<&Message>,
    ) {
    }

    /// Nothing came of a SUBSCRIBE: it was refused, with a response, or no NOTIFY came (Timer N, RFC 6665 §4.1.2.4).
    fn on_failure(
        &mut self,
        _dum: &mut Dum<'_>,
        _set: Handle<ClientSubscriptionSet>,
        _end: SubscriptionEnd,
        _response: Option<&Message>,
    ) {
    }

    /// There is no subscription any more: when to try again, if at all. By default as proposed, which is what RFC 6665
    /// §4.1.3 says of the reason, and Retry-After, a day at most. Attempts that fail one after the other wait longer than
    /// that, up to an hour.
    fn on_request_retry(
        &mut self,
        _dum: &mut Dum<'_>,
        _set: Handle<ClientSubscriptionSet>,
        _end: SubscriptionEnd,
        proposed: Option<Duration>,
    ) -> Option<Duration> {
        proposed
    }

    /// Nothing more is to come; the set's handle leads nowhere any more.
    fn on_ended(&mut self, _dum: &mut Dum<'_>, _set: Handle<ClientSubscriptionSet>) {}
}

/// Hears of subscriptions of others.
pub trait ServerSubscriptionHandler {
    /// A SUBSCRIBE came. [`Handle::accept`] or [`Handle::reject`] answer it, now or within 32 s. By default it is refused
    /// with 603.
    fn on_new_subscription(&mut self, dum: &mut Dum<'_>, sub: Handle<ServerSubscription>, _subscribe: &Message) {
        let _ = sub.reject(dum, 603, |_| {});
    }

    /// It was refreshed, which is answered already. If nothing is told now, the last state is told once more, as every
    /// SUBSCRIBE has its NOTIFY (RFC 6665 §4.2.1.2).
    fn on_refresh(&mut self, _dum: &mut Dum<'_>, _sub: Handle<ServerSubscription>, _subscribe: &Message) {}

    /// A NOTIFY was accepted, and none is under way: what is told now takes the place of nothing. A package whose NOTIFYs
    /// say what has changed waits for this. `response` is the 2xx.
    fn on_accepted(&mut self, _dum: &mut Dum<'_>, _sub: Handle<ServerSubscription>, _response: &Message) {}

    /// It is over; its handle leads nowhere any more. `msg` is the SUBSCRIBE that has ended it, or the response that has; none
    /// where time or this side did.
    fn on_terminated(
        &mut self,
        _dum: &mut Dum<'_>,
        _sub: Handle<ServerSubscription>,
        _end: ServerSubscriptionEnd,
        _msg: Option<&Message>,
    ) {
    }
}
