//! Registrations (RFC 3261 §10): a [`ClientRegistration`] keeps bindings alive at a registrar.

mod callback;
pub(crate) mod client;
mod machine;
#[cfg(test)]
mod tests;
pub(crate) mod times;

pub(crate) use callback::Callback;
pub use client::{ClientRegistration, MAX_BINDINGS};

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
}

/// Hears of registrations that this side keeps.
pub trait ClientRegistrationHandler {
    /// The registrar has answered with 2xx: to the first REGISTER, to each refresh and to a query. What it said can be read
    /// by [`Handle::bindings`], [`Handle::expires`] and [`Handle::profile`].
    fn on_success(&mut self, _dum: &mut Dum<'_>, _registration: Handle<ClientRegistration>, _response: &Message) {}

    /// What [`Handle::end`] or [`Handle::remove_all`] asked for is done; the usage has ended.
    fn on_removed(&mut self, _dum: &mut Dum<'_>, _registration: Handle<ClientRegistration>) {}

    /// A request was refused or not answered: after how long it is tried again, and none to give up. `suggested` is what
    /// Retry-After says, or a time that grows with each failure (RFC 5626 §4.5) where the server or the network has failed;
    /// none where it would be refused again. The default takes it.
    fn on_request_retry(
        &mut self,
        _dum: &mut Dum<'_>,
        _registration: Handle<ClientRegistration>,
        _outcome: &Outcome,
        suggested: Option<Duration>,
    ) -> Option<Duration> {
        suggested
    }

    /// It was given up; the usage has ended.
    fn on_failure(&mut self, _dum: &mut Dum<'_>, _registration: Handle<ClientRegistration>, _outcome: &Outcome) {}
}
