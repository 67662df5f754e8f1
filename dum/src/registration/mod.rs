//! Registrations (RFC 3261 §10): a [`ClientRegistration`] keeps bindings alive at a registrar, a
//! [`ServerRegistration`] is a REGISTER that a registrar answers.
//!
//! A user agent that registers with a password and takes the binding away again:
//! ```
//! # // The other side, so that this can be run: a registrar in the same process.
//! # mod other {
//! #     use dum::auth::{ServerAuthHandler, ServerAuthManager, ServerAuthOptions};
//! #     use dum::registration::{MemoryRegistrations, RegistrationPersistence, ServerRegistrationHandler};
//! #     use dum::{Application, DialogUsageManager, DumOptions};
//! #     use rutil::Rng;
//! #     use stack::auth::{Algorithm, Secret};
//! #     use stack::{Stack, TransportSpec};
//! #     struct Registrar(MemoryRegistrations, ServerAuthManager);
//! #     impl Application for Registrar {
//! #         fn server_auth(&mut self) -> Option<&mut dyn ServerAuthHandler> {
//! #             Some(self)
//! #         }
//! #         fn server_registrations(&mut self) -> Option<&mut dyn ServerRegistrationHandler> {
//! #             Some(self)
//! #         }
//! #     }
//! #     impl ServerAuthHandler for Registrar {
//! #         fn manager(&self) -> &ServerAuthManager {
//! #             &self.1
//! #         }
//! #         fn realm(&self, _: &stack::message::Message) -> String {
//! #             "example.com".to_owned()
//! #         }
//! #         fn secret(&self, user: &str, _: Algorithm) -> Option<Secret> {
//! #             (user == "alice").then(|| Secret::password("wonderland"))
//! #         }
//! #     }
//! #     impl ServerRegistrationHandler for Registrar {
//! #         fn persistence(&mut self) -> &mut dyn RegistrationPersistence {
//! #             &mut self.0
//! #         }
//! #     }
//! #     pub fn registrar() -> (Stack, String) {
//! #         let (mut builder, mut rng) = (Stack::builder(), Rng::from_os().unwrap());
//! #         builder.add_transport(TransportSpec::udp("127.0.0.1:0".parse().unwrap()));
//! #         let mut options = DumOptions::default();
//! #         options.master.add_method(stack::header::Method::Register);
//! #         builder.register_tu(DialogUsageManager::<Registrar>::tu_options(), move |_| {
//! #             let auth = ServerAuthManager::new(ServerAuthOptions::default(), &mut rng);
//! #             let app = Registrar(MemoryRegistrations::new(10, &mut rng), auth);
//! #             DialogUsageManager::new(app, options.clone(), &mut rng)
//! #         });
//! #         let stack = builder.start().unwrap();
//! #         let address = format!("<sip:{};lr>", stack.transports().iter().next().unwrap().bound);
//! #         (stack, address)
//! #     }
//! # }
//! use dum::auth::Credential;
//! use dum::registration::{ClientRegistration, ClientRegistrationHandler};
//! use dum::{Application, DialogUsageManager, Dum, DumHandle, DumOptions, Handle};
//! use rutil::Rng;
//! use stack::header::{HeaderValue, NameAddr};
//! use stack::{Stack, TransportSpec, message::Message};
//! use std::sync::{Arc, mpsc::{Sender, channel}};
//!
//! struct Phone(Sender<&'static str>);
//! impl Application for Phone {
//!     fn client_registrations(&mut self) -> Option<&mut dyn ClientRegistrationHandler> {
//!         Some(self)
//!     }
//! }
//!
//! impl ClientRegistrationHandler for Phone {
//!     fn on_success(&mut self, dum: &mut Dum<'_>, registration: Handle<ClientRegistration>, _: &Message) {
//!         let _ = self.0.send("registered");
//!         // From here on it is refreshed by itself. This one has seen enough.
//!         let _ = registration.end(dum);
//!     }
//!     fn on_removed(&mut self, _: &mut Dum<'_>, _: Handle<ClientRegistration>, _: &Message) {
//!         let _ = self.0.send("removed");
//!     }
//! }
//!
//! # let (_registrar, proxy) = other::registrar();
//! let (mut builder, mut rng, (tell, told)) = (Stack::builder(), Rng::from_os()?, channel());
//! builder.add_transport(TransportSpec::udp("127.0.0.1:0".parse()?));
//! let user = builder.register_tu(DialogUsageManager::<Phone>::tu_options(), move |_| {
//!     DialogUsageManager::new(Phone(tell.clone()), DumOptions::default(), &mut rng)
//! });
//! let stack = builder.start()?;
//! DumHandle::<Phone>::new(stack.poster(user)).command(move |_, dum| {
//!     let address = |text| Arc::new(NameAddr::parse(text).expect("an address").into_owned());
//!     let mut profile = dum.master_profile().user_profile();
//!     profile.set_from(address("<sip:alice@example.com>")).set_outbound_proxy(Some(address(&proxy)));
//!     profile.set_credentials([Credential::new("example.com", "alice", "wonderland")].into());
//!     dum.register(&Arc::new(profile)).expect("there is room for one");
//! })?;
//! assert_eq!((told.recv()?, told.recv()?), ("registered", "removed"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bindings;
mod callback;
pub(crate) mod client;
pub(crate) mod flows;
#[cfg(test)]
mod flows_tests;
mod gruu;
#[cfg(test)]
mod gruu_tests;
mod machine;
mod nat;
#[cfg(test)]
mod nat_tests;
pub(crate) mod server;
#[cfg(test)]
mod server_tests;
mod store;
#[cfg(test)]
mod tests;
pub(crate) mod times;

pub use bindings::{Binding, RegisterRefusal, RegistrarLimits};
pub(crate) use callback::Callback;
pub use client::{ClientRegistration, MAX_BINDINGS, MOST_LEFT};
pub use server::ServerRegistration;
pub use store::{MemoryRegistrations, RegistrationPersistence, StoreFull};

use crate::dum::Dum;
use crate::handle::Handle;
use crate::outcome::Outcome;
use stack::message::Message;
use std::time::Duration;

/// Why nothing is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// A limit of [`crate::Limits`] is reached, or [`MAX_BINDINGS`].
    #[error("no room for another one")]
    NoRoom,
    /// The usage has ended.
    #[error("the usage has ended")]
    Ended,
    /// The address-of-record is no SIP URI.
    #[error("only SIP URIs have a registrar")]
    NotSip,
    /// Flows are those of a device, and the profile does not say which.
    #[error("flows need UserProfile::instance_id")]
    NoInstance,
    /// A registration by flow (`UserProfile::reg_id`) binds one address (RFC 5626 §6).
    #[error("a registration by flow has one binding")]
    OneFlow,
}

/// Hears of registrations that this side keeps.
pub trait ClientRegistrationHandler {
    /// The registrar has answered with 2xx: to the first REGISTER, to each refresh and to a query. What it said can be read
    /// by [`Handle::bindings`], [`Handle::expires`] and [`Handle::profile`].
    fn on_success(&mut self, _dum: &mut Dum<'_>, _registration: Handle<ClientRegistration>, _response: &Message) {}

    /// What [`Handle::end`] or [`Handle::remove_all`] asked for is done; the usage has ended.
    fn on_removed(&mut self, _dum: &mut Dum<'_>, _registration: Handle<ClientRegistration>, _response: &Message) {}

    /// A request was refused or not answered, or a 2xx to REGISTER binds for no time: after how long it is tried again, and
    /// none to give up. `suggested` is what Retry-After says, a day at most, or a time that grows with each failure (RFC 5626
    /// §4.5) where the server or the network has failed, or the server grants nothing; none where it would be refused again,
    /// or where what was to be removed will have expired by then. The default takes it.
    fn on_request_retry(
        &mut self,
        _dum: &mut Dum<'_>,
        _registration: Handle<ClientRegistration>,
        _outcome: &Outcome,
        suggested: Option<Duration>,
    ) -> Option<Duration> {
        suggested
    }

    /// The way by which it was registered is gone: its connection has ended, or keep-alives are not answered any more. It is
    /// registered anew by another one, at once or, if this one was good for nothing, after a pause (RFC 5626 §4.5); what
    /// comes of that is told as ever.
    fn on_flow_failed(&mut self, _dum: &mut Dum<'_>, _registration: Handle<ClientRegistration>) {}

    /// The first hop cannot keep a flow for this side: `response` is its 439 (RFC 5626 §11.6). It is registered without one at
    /// once, and for as long as this usage lasts; what comes of that is told as ever. Behind a NAT it may be reached no longer
    /// than the keep-alives hold, of which none is answered.
    fn on_no_outbound(&mut self, _dum: &mut Dum<'_>, _registration: Handle<ClientRegistration>, _response: &Message) {}

    /// A query, or the removal of one binding, was given up alone: the bindings of this side are kept as before, and what was
    /// to be removed expires by itself.
    fn on_refused(&mut self, _dum: &mut Dum<'_>, _registration: Handle<ClientRegistration>, _outcome: &Outcome) {}

    /// It was given up; the usage has ended.
    fn on_failure(&mut self, _dum: &mut Dum<'_>, _registration: Handle<ClientRegistration>, _outcome: &Outcome) {}
}

/// Is the registrar of the addresses that this side is responsible for. Each method is called with a REGISTER that is well
/// formed and in order, and is to answer by [`Handle::accept`] or [`Handle::reject`], now or within 32 s; the default
/// accepts. Whose addresses they are, and who may change them, is for the handler to see
/// ([`crate::auth::ServerAuthManager`]).
pub trait ServerRegistrationHandler {
    /// Where the bindings are kept.
    fn persistence(&mut self) -> &mut dyn RegistrationPersistence;

    /// For how long an address is bound, and how often.
    fn limits(&self) -> RegistrarLimits {
        RegistrarLimits::default()
    }

    /// At least one binding is new.
    fn on_add(&mut self, dum: &mut Dum<'_>, registration: Handle<ServerRegistration>, _register: &Message) {
        let _ = registration.accept(dum, |_| {});
    }

    /// Bindings are refreshed; others may be removed.
    fn on_refresh(&mut self, dum: &mut Dum<'_>, registration: Handle<ServerRegistration>, _register: &Message) {
        let _ = registration.accept(dum, |_| {});
    }

    /// Bindings are removed.
    fn on_remove(&mut self, dum: &mut Dum<'_>, registration: Handle<ServerRegistration>, _register: &Message) {
        let _ = registration.accept(dum, |_| {});
    }

    /// All bindings of the address are removed (`*`).
    fn on_remove_all(&mut self, dum: &mut Dum<'_>, registration: Handle<ServerRegistration>, _register: &Message) {
        let _ = registration.accept(dum, |_| {});
    }

    /// Somebody asks for the bindings.
    fn on_query(&mut self, dum: &mut Dum<'_>, registration: Handle<ServerRegistration>, _register: &Message) {
        let _ = registration.accept(dum, |_| {});
    }
}
